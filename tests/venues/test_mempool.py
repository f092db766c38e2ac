"""mempool.space as its protocol sheet and its real frames have it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import Request
from marketfeed.venues.mempool import LITECOINSPACE, PATIENCE_NS, VENUE

from .chain_talk import BAD_BODIES, SECOND, ChainTalk, block_hash

BITS = 386038124
DA = {
    "progressPercent": 32.49007936507937,
    "difficultyChange": 0.7843046881601534,
    "estimatedRetargetDate": 1735514828279,
    "remainingBlocks": 1361,
    "remainingTime": 811481279,
    "previousRetarget": 4.429396745461176,
    "previousTime": 1734312810,
    "nextRetargetHeight": 876960,
    "timeAvg": 596239,
    "adjustedTimeAvg": 596239,
    "timeOffset": 0,
    "expectedBlocks": 650.895,
}
STATS = {
    "startBlock": 736556,
    "endBlock": 736655,
    "totalReward": "63811748254",
    "totalFee": "1311748254",
    "totalTx": "164216",
}


def block(height: int, fork: str = "", parent: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "id": block_hash(height, fork),
        "height": height,
        "timestamp": 1743541850 + height,
        "bits": BITS,
        "difficulty": 113757508810854,
        "previousblockhash": block_hash(height - 1, parent),
        "stale": False,
        "extras": {"reward": 315498786, "totalFees": 2998786, "pool": {"id": 43}},
    } | fields


def blocks(first: int, last: int) -> dict[str, Any]:
    return {"blocks": [block(h) for h in range(first, last + 1)]}


def begin(tip: int = 0, venue: Any = VENUE) -> ChainTalk:
    talk = ChainTalk(venue, tip=tip)
    talk.decoder.subscribe(talk.pairs)
    talk.port.polls.clear()
    return talk


def difficulty(bits: int) -> float:
    """The sheet's formula."""
    return float((0xFFFF / (bits & 0x007FFFFF)) * 256.0 ** (29 - (bits >> 24)))


def real(captures: Path) -> Iterator[dict[str, Any]]:
    path = captures / "mempool_space" / "ws-cypress2024-2025.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    for line in path.read_bytes().splitlines():
        yield json.loads(json.loads(line)["raw"])


# What it sends


def test_every_real_block_is_read_and_its_bits_say_its_difficulty(captures: Path) -> None:
    seen = 0
    for frame in real(captures):
        talk = begin().frame(frame)
        wire = {b["height"]: b for b in [*frame.get("blocks", ()), *([frame["block"]] if "block" in frame else ())]}
        for b in (b for run in talk.sink.runs for b in run):
            seen += 1
            sent = wire[b.height]
            assert (b.hash, b.prev_hash, b.time_s) == (sent["id"], sent["previousblockhash"], sent["timestamp"])
            assert b.bits is not None
            assert b.difficulty is None
            assert difficulty(b.bits) == pytest.approx(sent["difficulty"], rel=1e-9)
            assert (b.subsidy, b.fees) == (sent["extras"]["reward"] - b.fees, sent["extras"]["totalFees"])
            assert b.subsidy == (625_000_000 if b.height < 840_000 else 312_500_000)
        if not wire:
            assert sum(talk.port.counts.values()) == talk.port.counts["control"] == 1
        assert len(talk.sink.runs) == bool(wire)
    assert seen == 18


def test_a_real_first_frame_begins_with_its_best_block(captures: Path) -> None:
    first = next(real(captures))
    talk = begin().frame(first)
    assert talk.sink.heights == [[*range(837043, 837051)]]
    (said,) = talk.sink.said
    assert said == {
        "epoch_start_s": 1711619463,
        "retarget_change": 5.914788959658535,
        "retarget_ts": 1712766704114_000_000,
    }


def test_real_forecasts_and_reward_stats_are_read(captures: Path) -> None:
    lines = [
        json.loads(line)
        for name in ("mempool_space/rest-docs.jsonl", "mining/rest-2026.jsonl")
        if (captures / name).is_file()
        for line in (captures / name).read_bytes().splitlines()
    ]
    by_url = {line["url"].removeprefix("https://mempool.space"): line["raw"] for line in lines}
    forecast = by_url.get("/api/v1/difficulty-adjustment")
    stats = by_url.get("/api/v1/mining/reward-stats/%{1}")
    one = by_url.get("/api/v1/block/%{1}")
    if forecast is None or stats is None or one is None:
        pytest.skip("no such captures")
    talk = begin().frame(f'{{"da":{forecast}}}')
    assert talk.sink.said == [
        {"epoch_start_s": 1791011796, "retarget_change": -1.909509687533617, "retarget_ts": 1792247483120_000_000}
    ]
    talk.ask()
    assert talk.answer(stats) is False
    assert talk.sink.said[1:] == [{"fees": 13117482.54, "fees_blocks": 100}]
    talk = begin().frame(f'{{"block":{one}}}')
    assert talk.sink.runs[0][0].subsidy == 2_500_000_000


def test_the_first_blocks_accept_the_subscription() -> None:
    talk = begin().frame({"loadingIndicators": {}})
    assert talk.port.told == []
    talk.frame(blocks(1, 8), blocks(2, 9))
    assert talk.port.told == [("accepted", "chain", "BTC")]
    assert talk.sink.tip == 9


def test_blocks_may_come_in_any_order() -> None:
    listed = [block(h) for h in (103, 101, 104, 102)]
    assert begin().frame({"blocks": listed}).sink.heights == [[101, 102, 103, 104]]


def test_only_the_blocks_that_follow_each_other_are_the_end_of_the_chain() -> None:
    listed = [block(h) for h in (98, 99, 101, 102)]
    assert begin().frame({"blocks": listed}).sink.heights == [[101, 102]]
    listed = [block(101, "a"), block(102), block(103)]
    assert begin().frame({"blocks": listed}).sink.heights == [[102, 103]]


def test_stale_blocks_are_not_of_the_best_chain() -> None:
    talk = begin().frame({"blocks": [block(101), block(102), block(102, "a", stale=True)]}, {"block": block(103)})
    assert talk.sink.heights == [[101, 102], [103]]
    assert talk.frame({"block": block(104, stale=True)}).sink.tip == 103


def test_extras_may_be_absent() -> None:
    for extras in (None, {}, {"reward": 5}, {"totalFees": 5}):
        (sent,) = begin().frame({"block": block(9, extras=extras)}).sink.runs[0]
        assert sent.subsidy is None
    (sent,) = begin().frame({"block": block(9, previousblockhash=None, bits=None, difficulty=12.5)}).sink.runs[0]
    assert (sent.prev_hash, sent.bits, sent.difficulty) == ("", None, 12.5)


def test_a_new_block_comes_with_a_forecast() -> None:
    talk = begin(tip=99).frame({"block": block(100), "da": DA, "fees": {}, "mempoolInfo": {}})
    assert talk.sink.heights == [[100]]
    assert talk.sink.said == [
        {"epoch_start_s": 1734312810, "retarget_change": 0.7843046881601534, "retarget_ts": 1735514828279_000_000}
    ]
    assert sum(talk.port.counts.values()) == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"estimatedRetargetDate": 1735514828}, {"retarget_ts": 1735514828 * SECOND}),
        ({"previousRetarget": None, "difficultyChange": None}, {"retarget_change": None}),
        ({"previousTime": None}, {"epoch_start_s": None}),
    ],
    ids=str,
)
def test_a_forecast_may_be_in_seconds_or_lack_parts(fields: dict[str, Any], said: dict[str, Any]) -> None:
    (heard,) = begin().frame({"da": DA | fields}).sink.said
    assert {name: heard.get(name) for name in said} == said


def test_litecoins_forecast_is_made_with_bitcoins_constants() -> None:
    talk = begin(venue=LITECOINSPACE).frame({"blocks": [block(3_000_000)], "da": DA})
    assert (talk.sink.heights, talk.sink.said) == ([[3_000_000]], [])
    assert talk.port.told == [("accepted", "chain", "LTC")]


@pytest.mark.parametrize(
    "frame", [{"pong": True}, {"loadingIndicators": {}}, {"conversions": {"USD": -1}, "novelty": 1}, {"fees": {}}]
)
def test_what_is_none_of_ours_is_talk(frame: dict[str, Any]) -> None:
    talk = begin().frame(frame)
    assert talk.port.counts == {"control": 1, "unasked": 0, "drift": 0}


def test_P03_a_frame_of_unknown_keys_is_drift() -> None:
    talk = begin().frame({"novelty": 1, "mood": 2})
    assert talk.port.told == [("drift", "mood")]
    assert talk.port.counts == {"control": 0, "unasked": 0, "drift": 1}


def test_P05_what_nobody_asks_for_is_counted() -> None:
    talk = begin()
    talk.port.chains.clear()
    talk.frame({"block": block(5)})
    assert talk.port.counts == {"control": 0, "unasked": 1, "drift": 0}
    assert talk.answer(STATS) is False
    assert talk.port.counts["unasked"] == 2


def test_talk_is_talk_to_who_wants_nothing() -> None:
    talk = begin()
    talk.port.chains.clear()
    talk.frame({"mempoolInfo": {}})
    assert talk.port.counts["unasked"] == 0


def test_a_null_in_place_of_a_block_or_forecast_is_nothing() -> None:
    talk = begin().frame({"block": None, "da": None})
    assert (talk.sink.runs, talk.sink.said) == ([], [])


# What cannot be read


@pytest.mark.parametrize(
    "frame",
    [
        *BAD_BODIES,
        {},
        [],
        {"block": []},
        {"block": {}},
        {"blocks": {}},
        {"blocks": [5]},
        {"da": []},
        {"block": block(1) | {"id": "../../etc"}},
        {"block": block(1) | {"id": block_hash(1) + "\n"}},
        {"block": block(1, previousblockhash="x")},
        {"block": block(1) | {"height": -1}},
        {"block": block(1) | {"height": 2**63}},
        {"block": block(1) | {"height": 1.5}},
        {"block": block(1) | {"height": "1"}},
        {"block": block(1, timestamp=-1)},
        {"block": block(1, bits=2**32)},
        {"block": block(1, bits="1701fca1")},
        {"block": block(1, bits=None, difficulty=0)},
        {"block": block(1, bits=None, difficulty=-5)},
        '{"block":' + json.dumps(block(1, difficulty=7)).replace("7", "NaN", 1) + "}",
        '{"da":{"difficultyChange":1e400}}',
        {"block": block(1, extras={"reward": 2**63})},
        {"block": block(1, extras={"reward": -1})},
        {"block": block(1, stale="no")},
        {"da": DA | {"difficultyChange": 1e9}},
        {"da": DA | {"difficultyChange": "1"}},
        {"da": DA | {"estimatedRetargetDate": 1e300}},
        {"da": DA | {"previousTime": -1}},
    ],
    ids=lambda f: repr(f)[:70],
)
def test_P01_P02_P04_P07_P10_what_cannot_be_read_is_malformed(frame: Any) -> None:
    talk = begin()
    with pytest.raises((ValueError, RecursionError)):
        talk.frame(frame)
    assert (talk.sink.runs, talk.sink.said) == ([], [])
    assert sum(talk.port.counts.values()) == 0


def test_P10_what_no_chain_can_be_is_the_sinks_to_refuse() -> None:
    talk = begin()
    talk.sink.refuse = ValueError("an absurd time")
    with pytest.raises(ValueError, match="an absurd time"):
        talk.frame({"block": block(1, timestamp=2**62)})
    talk.sink.refuse = None
    assert talk.frame({"block": block(2)}).sink.tip == 2


@pytest.mark.parametrize(
    "body",
    [
        *BAD_BODIES,
        [],
        {},
        STATS | {"totalFee": "x"},
        STATS | {"totalFee": "-1"},
        STATS | {"totalFee": str(2**63)},
        STATS | {"totalFee": "NaN"},
        STATS | {"endBlock": 736555},
        STATS | {"endBlock": 2**60},
    ],
    ids=lambda b: repr(b)[:60],
)
def test_P01_P04_P07_a_bad_reward_stats_is_asked_for_again(body: Any) -> None:
    talk = begin()
    assert talk.ask().path == "/api/v1/mining/reward-stats/144"
    with pytest.raises((ValueError, RecursionError)):
        talk.answer(body)
    assert talk.ask().path == "/api/v1/mining/reward-stats/144"


# What we ask


def test_it_says_what_it_wants() -> None:
    talk = ChainTalk(VENUE)
    assert [json.loads(f) for f in talk.decoder.subscribe(talk.pairs)] == [
        {"action": "init"},
        {"action": "want", "data": ["blocks"]},
    ]
    assert talk.port.polls == ["BTC"]
    assert [json.loads(f) for f in talk.decoder.unsubscribe(talk.pairs)] == [{"action": "want", "data": []}]
    assert talk.port.told == [("dropped", "chain", "BTC")]
    assert json.loads(talk.decoder.ping()) == {"action": "ping"}
    assert list(talk.decoder.suspects(b"")) == []


def test_fees_are_a_mean_of_a_days_blocks() -> None:
    talk = begin()
    assert talk.ask() == Request("/api/v1/mining/reward-stats/144")
    assert talk.answer(STATS) is False
    assert talk.sink.said == [{"fees": 13117482.54, "fees_blocks": 100}]


def earlier(request: Request) -> list[dict[str, Any]]:
    """15 blocks downwards, as the server gives them."""
    last = int(request.path.removeprefix("/api/v1/blocks/"))
    return [block(h) for h in range(last, last - 15, -1)]


def test_P15_a_hole_is_filled_before_the_block_after_it_is_told() -> None:
    talk = begin(tip=100)
    talk.ask()
    talk.answer(STATS)
    talk.frame({"block": block(104)})
    assert (talk.sink.runs, talk.port.polls) == ([], ["BTC"])
    asked = talk.serve(lambda r: DA if "difficulty" in r.path else earlier(r))
    assert [r.path for r in asked] == ["/api/v1/blocks/103", "/api/v1/difficulty-adjustment"]
    assert talk.sink.heights == [[*range(94, 105)]]
    assert talk.sink.said[-1]["retarget_change"] == DA["difficultyChange"]


def test_a_block_asks_for_a_new_forecast_where_none_comes_with_it() -> None:
    talk = begin(tip=100).frame({"block": block(101), "da": DA})
    assert talk.port.polls == []
    talk.frame({"block": block(102)})
    assert talk.port.polls == ["BTC"]
    asked = talk.serve(lambda r: DA if "difficulty" in r.path else STATS)
    assert [r.path for r in asked] == ["/api/v1/mining/reward-stats/144", "/api/v1/difficulty-adjustment"]
    other = begin(100, LITECOINSPACE).frame({"block": block(101)})
    assert other.port.polls == [], "its constants may be Bitcoin's"


def test_P15_a_hole_that_comes_while_a_forecast_is_asked_for_is_filled_too() -> None:
    talk = begin(tip=100).frame({"block": block(101)})
    talk.ask()
    assert talk.answer(STATS) is True
    assert talk.ask() == Request("/api/v1/difficulty-adjustment")
    talk.frame({"block": block(104)})
    assert talk.answer(DA) is True
    asked = talk.serve(lambda r: DA if "difficulty" in r.path else earlier(r))
    assert [r.path for r in asked] == ["/api/v1/blocks/103", "/api/v1/difficulty-adjustment"]
    assert talk.sink.heights == [[101], [*range(95, 105)]]


def test_a_forecast_may_be_unknown() -> None:
    talk = begin(tip=100).frame({"block": block(101)})
    talk.serve(lambda r: b"null" if "difficulty" in r.path else STATS)
    assert all("retarget_change" not in said for said in talk.sink.said)


def test_P15_a_long_hole_takes_several_calls_and_the_fees_come_after() -> None:
    talk = begin(tip=100).frame(blocks(133, 140))
    asked = talk.serve(lambda r: earlier(r) if "blocks" in r.path else DA if "difficulty" in r.path else STATS)
    assert [r.path for r in asked] == [
        "/api/v1/blocks/132",
        "/api/v1/blocks/117",
        "/api/v1/blocks/102",
        "/api/v1/mining/reward-stats/144",
        "/api/v1/difficulty-adjustment",
    ]
    assert talk.sink.heights == [[*range(94, 141)]]


def test_P15_a_hole_of_over_150_blocks_is_told_at_once() -> None:
    talk = begin(tip=100).frame({"block": block(252)})
    assert talk.sink.heights == [[252]]
    assert begin(tip=100).frame({"block": block(251)}).sink.runs == []


def test_P15_what_comes_meanwhile_waits_too() -> None:
    talk = begin(tip=100).frame({"block": block(102)}, {"block": block(103), "da": DA})
    assert (talk.sink.runs, talk.sink.said, talk.port.polls) == ([], [], ["BTC"])
    talk.ask()
    assert talk.answer([block(101), block(100)]) is True
    assert talk.sink.heights == [[100, 101, 102, 103]]


def test_P15_a_reorganisation_meanwhile_replaces_what_waits() -> None:
    talk = begin(tip=100).frame({"block": block(102)})
    talk.frame({"blocks": [block(99), block(100), block(101, "a"), block(102, "a", "a"), block(103, "b", "a")]})
    assert [b.hash[0] for b in talk.sink.runs[0]] == ["0", "0", "a", "a", "b"]


def test_P15_blocks_that_do_not_lead_there_end_the_wait() -> None:
    for answer in ([], [block(101, "f")], [block(50)]):
        talk = begin(tip=100).frame({"block": block(102)})
        talk.ask()
        talk.answer(answer)
        assert talk.sink.heights == [[102]]


def test_P20_patience_ends_where_no_answer_comes() -> None:
    talk = begin(tip=100).frame({"block": block(102)})
    talk.ask()
    talk.now += PATIENCE_NS
    talk.frame({"pong": True})
    assert talk.sink.heights == [[102]]
    assert talk.answer([block(101)]) is True  # the fees are not known yet
    assert talk.sink.heights == [[102]]


def test_P20_a_call_that_failed_does_not_keep_a_hole_open() -> None:
    talk = begin(tip=100)
    assert talk.ask().path == "/api/v1/mining/reward-stats/144"  # and it never answers
    talk.frame({"block": block(102)})
    assert talk.ask().path == "/api/v1/blocks/101"


def test_a_server_behind_the_last_one_is_no_reorganisation() -> None:
    talk = begin(tip=100).frame(blocks(80, 87))
    assert talk.sink.runs == []
    assert talk.frame(blocks(90, 99)).sink.heights == [[*range(94, 100)]]


def test_a_tip_far_above_all_that_comes_is_doubted() -> None:
    assert begin(tip=2**40).frame(blocks(90, 99)).sink.heights == [[*range(90, 100)]]


def test_one_url() -> None:
    for venue, host in ((VENUE, "mempool.space"), (LITECOINSPACE, "litecoinspace.org")):
        (coin,) = venue.coins
        (link,) = venue.plan(venue.endpoints, [Subscription(venue.name, coin, "chain")], venue.pace)
        assert link.url == f"wss://{host}/api/v1/ws"
        assert venue.endpoints.rest == f"https://{host}"
        assert (venue.channels, venue.credentials, venue.pace.poll_s) == (("chain",), "", 0)
