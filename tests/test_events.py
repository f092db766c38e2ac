"""Events: their head, their names, their JSON, and what an instrument can reckon."""

from decimal import Decimal
from typing import Any, get_args

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from marketfeed import events
from marketfeed.events import (
    CHAIN_TYPES,
    EVENT_TYPES,
    LIFE_TYPES,
    MARKET_TYPES,
    BookDelta,
    BookSnapshot,
    BookVoid,
    Connected,
    Gap,
    Head,
    Instrument,
    LifeEvent,
    Stale,
    Ticker,
    Trade,
    VenueStatus,
    channel_of,
    encode_json,
    kind,
)

KINDS = [
    "trade",
    "ticker",
    "book_snapshot",
    "book_delta",
    "instrument",
    "block",
    "network_stats",
    "mining_profit",
    "connected",
    "disconnected",
    "subscribed",
    "unsubscribed",
    "refused",
    "gap",
    "book_void",
    "stale",
    "recovered",
    "lagged",
    "malformed",
    "schema_drift",
    "venue_status",
    "recorder_status",
    "loop_lag",
    "clock_step",
    "audit",
]
TRADE: Trade[float] = Trade(
    venue="kraken", symbol="BTC-USD", ts_event=1, ts_recv=2, seq_local=3, price=0.1, size=2.0, side="buy", id="7"
)


def test_every_event_has_one_name() -> None:
    assert [t.__struct_config__.tag for t in EVENT_TYPES] == KINDS
    assert kind(TRADE) == "trade"


def test_the_lists_hold_every_event_of_the_module() -> None:
    made_here = {t for t in vars(events).values() if isinstance(t, type) and issubclass(t, Head)} - {Head}
    assert set(EVENT_TYPES) == made_here
    assert set(get_args(LifeEvent)) == set(LIFE_TYPES)
    assert set(EVENT_TYPES) == {*MARKET_TYPES, Instrument, *CHAIN_TYPES, *LIFE_TYPES}


@pytest.mark.parametrize("event", EVENT_TYPES, ids=lambda t: t.__name__)
def test_events_are_frozen_share_a_head_and_take_keywords_only(event: type[Head]) -> None:
    config = event.__struct_config__
    assert config.frozen
    assert config.tag_field == "kind"
    assert event.__struct_fields__[:5] == ("venue", "symbol", "ts_event", "ts_recv", "seq_local")
    assert not config.gc
    with pytest.raises(TypeError):
        event("kraken")  # type: ignore[misc]


def test_json_of_an_event() -> None:
    assert orjson.loads(encode_json(TRADE)) == {
        "kind": "trade",
        "venue": "kraken",
        "symbol": "BTC-USD",
        "ts_event": 1,
        "ts_recv": 2,
        "seq_local": 3,
        "price": 0.1,
        "size": 2.0,
        "side": "buy",
        "id": "7",
        "backfill": False,
    }


def test_exact_numbers_keep_every_digit_in_json() -> None:
    exact = structs.replace(TRADE, price=Decimal("0.10000000"), size=Decimal("12345678901234567890.123456789"))
    assert b'"price":0.10000000,"size":12345678901234567890.123456789' in encode_json(exact)


@pytest.mark.parametrize("number", [float, Decimal])
def test_json_brings_an_event_back(number: Any) -> None:
    book: BookSnapshot[Any] = BookSnapshot(
        venue="v", symbol="A-B", epoch=1, seq=5, bids=((number("1.5"), number("2.25")),), asks=()
    )
    assert msgspec.json.decode(encode_json(book), type=BookSnapshot[number]) == book


@pytest.mark.parametrize(
    ("event", "channel"),
    [
        (TRADE, "trades"),
        (Ticker(venue="v"), "ticker"),
        (BookSnapshot(venue="v", epoch=1, seq=1, bids=(), asks=()), "book"),
        (BookDelta(venue="v", epoch=1, seq=1, prev_seq=0, bids=(), asks=()), "book"),
        (BookVoid(venue="v", epoch=1, reason=""), "book"),
        (Gap(venue="v", channel="trades", cause="sequence"), "trades"),
        (Stale(venue="v", channel="ticker", reason=""), "ticker"),
        (Connected(venue="v", link="l"), ""),
        (VenueStatus(venue="v", status="online"), ""),
        (Instrument(venue="v", native="n", base="A", quote="B"), ""),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Head) else None,
)
def test_the_channel_an_event_belongs_to(event: Head, channel: str) -> None:
    assert channel_of(event) == channel


def instrument(**fields: Any) -> Instrument[Any]:
    return Instrument(venue="v", symbol="A-B", native="AB", base="A", quote="B", **fields)


@pytest.mark.parametrize(
    ("market", "size", "price", "base", "notional"),
    [
        (instrument(), 2.0, 50.0, 2.0, 100.0),
        (instrument(size_unit="quote"), 100.0, 50.0, 2.0, 100.0),
        (instrument(size_unit="contract", contract_size=0.5), 4.0, 50.0, 2.0, 100.0),
        (instrument(size_unit="contract", contract_size=100.0, inverse=True), 1.0, 50.0, 2.0, 100.0),
        (instrument(size_unit="contract"), 2.0, 50.0, 2.0, 100.0),
        (instrument(), Decimal("0.1"), Decimal("0.3"), Decimal("0.1"), Decimal("0.03")),
    ],
)
def test_sizes_in_base_units_and_their_value(
    market: Instrument[Any], size: Any, price: Any, base: Any, notional: Any
) -> None:
    assert market.base_size(size, price) == base
    assert market.notional(size, price) == notional


@pytest.mark.parametrize(
    ("step", "value", "rounded"),
    [
        (0.1, 0.30000000000000004, 0.3),
        (0.01, 1.005, 1.0),
        (0.05, 0.12, 0.1),
        (0.05, 0.13, 0.15),
        (10.0, 25.0, 20.0),  # halves go to the even step
        (1e-8, 0.123456784, 0.12345678),
        (Decimal("0.1"), Decimal("0.35"), Decimal("0.4")),
        (Decimal("0.5"), Decimal("100"), Decimal("100.0")),
        (None, 0.123, 0.123),
    ],
)
def test_rounding_to_a_step(step: Any, value: Any, rounded: Any) -> None:
    market = instrument(tick=step, lot=step)
    assert market.round_price(value) == market.round_size(value) == rounded
    assert type(market.round_price(value)) is type(value)


@given(st.integers(1, 10**9), st.sampled_from(["0.1", "0.01", "0.5", "0.00000001", "0.25", "5"]))
def test_a_price_on_its_tick_stays_there(steps: int, tick: str) -> None:
    on_tick = Decimal(tick) * steps
    assert instrument(tick=Decimal(tick)).round_price(on_tick) == on_tick
    assert instrument(tick=float(tick)).round_price(float(on_tick)) == float(on_tick)


def test_an_instrument_as_floats() -> None:
    exact = instrument(tick=Decimal("0.10"), lot=Decimal("1E-8"), contract_size=None, price_digits=1)
    assert exact.as_floats() == instrument(tick=0.1, lot=1e-8, contract_size=None, price_digits=1)
