"""The published contract: what is committed is what the types say, real events fit it, and no change breaks readers."""

import copy
import json
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from marketfeed import events as ev
from marketfeed import schema

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "schemas"
CONTRACT = Path(__file__).resolve().parent / "contract"
"""The last released contract. Replace it when a release is made, and `schema.MAJOR` with it where the change breaks."""

HEAD = {"venue": "kraken", "symbol": "BTC-USD", "ts_event": 1, "ts_recv": 2, "seq_local": 3}
MARKET = [
    lambda n: ev.Trade(**HEAD, price=n("1.5"), size=n("2"), side="buy", id="1"),
    lambda n: ev.Ticker(**HEAD, bid=n("1"), bid_size=n("2")),
    lambda n: ev.BookSnapshot(**HEAD, epoch=1, seq=1, bids=((n("1"), n("2")),), asks=()),
    lambda n: ev.BookDelta(**HEAD, epoch=1, seq=2, prev_seq=1, bids=((n("1"), n("0")),), asks=()),
    lambda n: ev.Instrument(**HEAD, native="XBT/USD", base="BTC", quote="USD", tick=n("0.1")),
]
CHAIN = [
    ev.Block(**HEAD, height=1, hash="00ab", difficulty=1.5, bits=0x1D00FFFF, subsidy=5_000_000_000, fees=7, orphans=1),
    ev.NetworkStats(
        **HEAD, height=1, difficulty=1.5, hashrate=7158278.8, reward=312_500_000, fees=1.5, fees_blocks=144
    ),
    ev.MiningProfit(
        **HEAD,
        **dict.fromkeys(("electricity", "revenue_day", "fee_day", "power_cost_day", "profit_day", "margin")),
        **dict.fromkeys(("hashprice", "breakeven_electricity", "breakeven_price", "breakeven_difficulty")),
        cost_per_coin=None,
        rig="s21xp",
        algorithm="SHA-256d",
        quote="USD",
        hashrate=270e12,
        watts=3645.0,
        pool_fee=0.02,
        scheme="FPPS",
        uptime=1.0,
        terms=(
            ev.Term(coin="BTC", height=1, difficulty=1.5, reward=3.1, price=None, coins_day=None, revenue_day=None),
        ),
        hash_unit="TH/s",
        trigger="stale",
        inputs=(ev.Input(kind="price", what="BTC", source="kraken:BTC-USD:ticker", value=None, stale=True),),
        stale=("kraken:BTC-USD:ticker",),
    ),
]
LIFE = [
    ev.Connected(**HEAD, link="kraken-1"),
    ev.Disconnected(**HEAD, link="kraken-1", code=1006, reason="reset", retry_s=0.5),
    ev.Subscribed(**HEAD, channel="book"),
    ev.Unsubscribed(**HEAD, channel="book"),
    ev.Refused(**HEAD, channel="book", reason="no"),
    ev.Gap(**HEAD, channel="book", cause="sequence", from_seq=1, to_seq=2),
    ev.BookVoid(**HEAD, epoch=1, reason="hole"),
    ev.Stale(**HEAD, channel="book", reason="silent"),
    ev.Recovered(**HEAD, channel="book"),
    ev.Lagged(**HEAD, policy="lossless", dropped=3),
    ev.Malformed(**HEAD, link="kraken-1", reason="no JSON", size=3, sample="{"),
    ev.SchemaDrift(**HEAD, link="kraken-1", what="x", sample="{"),
    ev.VenueStatus(**HEAD, status="online"),
    ev.RecorderStatus(**HEAD, status="started", ts_from=1, ts_to=2),
    ev.LoopLag(**HEAD, lag_ns=5_000_000_000),
    ev.ClockStep(**HEAD, step_ns=-60_000_000),
    ev.Audit(**HEAD, epoch=1, seq=7, levels=40, wrong=1, verdict="differs", score=0.5),
]


def test_committed_schemas_are_those_of_the_types():
    committed = {path.name: path.read_text(encoding="utf-8") for path in PUBLISHED.glob("*.json")}
    made = {f"{kind}.json": schema.text(body) for kind, body in schema.schemas().items()}
    assert committed == made, "run: python -m marketfeed.schema schemas/"


def test_writing_takes_away_what_is_no_more(tmp_path):
    (tmp_path / "old_event.json").write_text("{}")
    assert {path.name for path in schema.write(tmp_path)} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("kind", schema.schemas())
def test_schemas_are_valid_and_told(kind):
    body = schema.schema(kind)
    Draft202012Validator.check_schema(body)
    assert body["$id"] == f"urn:marketfeed:schema:{schema.MAJOR}:{kind}"
    assert body["description"]
    for name in ("venue", "symbol", "ts_event", "ts_recv", "seq_local"):
        assert body["properties"][name]["description"]


@pytest.mark.parametrize("event", [make(n) for make in MARKET for n in (float, Decimal)] + CHAIN + LIFE, ids=ev.kind)
def test_real_events_fit(event):
    Draft202012Validator(schema.schema(ev.kind(event))).validate(json.loads(ev.encode_json(event)))


def test_every_event_is_tried():
    assert {ev.kind(make(float)) for make in MARKET} | {ev.kind(event) for event in CHAIN + LIFE} == set(
        schema.schemas()
    )


def test_no_change_breaks_readers():
    released = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in CONTRACT.glob("*.json")}
    assert released
    major = {int(body["$id"].split(":")[3]) for body in released.values()}
    if major != {schema.MAJOR}:
        return  # a new major version may break
    now = schema.schemas()
    assert released.keys() <= now.keys(), "an event is gone: that needs a new schema.MAJOR"
    broken = {kind: found for kind, old in released.items() if (found := schema.breaking(old, now[kind]))}
    assert not broken, "this breaks readers and needs a new schema.MAJOR"


def _changed(change):
    new = copy.deepcopy(schema.schema("gap"))
    change(new)
    return schema.breaking(schema.schema("gap"), new)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: s["properties"].pop("cause"), ["cause is gone"]),
        (lambda s: s["required"].remove("cause"), ["cause may be missing"]),
        (lambda s: s["properties"]["from_seq"].update(type="string"), ["from_seq has another type"]),
        (lambda s: s["properties"]["from_seq"].pop("type"), ["from_seq has another type"]),
        (lambda s: s["properties"]["cause"]["enum"].pop(), ["cause has another type"]),
        (lambda s: s["properties"]["kind"].update(enum=["hole"]), ["kind has another type"]),
        (lambda s: s["properties"]["cause"]["enum"].append("new"), []),
        (lambda s: s["properties"].update(new={"type": "string"}), []),
        (lambda s: s["properties"]["cause"].update(description="other words"), []),
        (lambda s: s["properties"]["epoch"].update(default=1), []),
    ],
)
def test_what_breaks_readers(change, expected):
    assert _changed(change) == expected


def test_nested_types_are_compared():
    old = schema.schema("book_delta")
    new = copy.deepcopy(old)
    new["properties"]["bids"]["items"]["prefixItems"][0] = {"type": "string"}
    assert schema.breaking(old, new) == ["bids has another type"]
