"""Short slices of the fuzzers of `make fuzz`, and what they and `make chaos` would notice."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from random import Random

import pytest

import marketfeed as mf
from marketfeed.events import Head

from .fuzz import chaos, differential, mutation
from .fuzz.mutation import Found, judge
from .fuzz.mutator import Mutator
from .fuzz.oracle import SYMBOLS
from .fuzz.wire import START, Wire

FRAME = b'{"channel":"book","data":[{"symbol":"BTC/USD","bids":[{"price":1.5,"qty":0.25}],"checksum":7}]}'


@pytest.mark.parametrize("venue", mutation.VENUES)
def test_P01_P02_P04_P07_P08_P09_P10_P33_mutated_messages_are_counted_and_do_no_harm(venue: str) -> None:
    figures = mutation.fuzz(venue, seed=11, messages=300, quick=True)
    assert figures["messages"] >= 300
    assert 0 < figures["malformed"] < figures["messages"], "some are broken, and some can still be read"
    assert figures["data events"] > 0
    assert figures["worst memory % of limit"] <= 100


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("venue", mutation.VENUES)
def test_P01_P10_50000_mutated_messages_cost_their_bounds(venue: str) -> None:
    assert mutation.fuzz(venue, seed=5, messages=50_000)["messages"] >= 50_000


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, lambda raw: zlib.compress(bytes(50_000_000))])
@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_P34_a_compressed_payload_is_malformed_and_not_unpacked(venue: str, pack: Callable[[bytes], bytes]) -> None:
    told: list[Head] = []
    wire = Wire(venue, SYMBOLS[venue], seed="7", take=told.append)
    for _ in range(40):
        wire.step()
    told.clear()
    assert wire.session is not None
    for raw in (packed := pack(FRAME), packed[:-5], packed[5:]):
        wire.session.on_frame(raw, START)
    assert [type(event) for event in told if isinstance(event, mf.Malformed)] == [mf.Malformed] * 3


@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_I1_I2_I3_I4_I14_a_live_book_is_the_venue_s_without_sockets(venue: str) -> None:
    figures = differential.fuzz(venue, seed=11, messages=2_000)
    assert figures["frames"] >= 2_000
    assert figures["checked"] > 200


def test_one_seed_is_one_run() -> None:
    one, other = (differential.fuzz("binance", seed=11, messages=1_000) | {"cpu_s": 0} for _ in range(2))
    assert one == other


def mutants() -> Iterator[bytes]:
    mutator = Mutator(Random(3), [FRAME])
    return (mutator.mutate(FRAME) for _ in range(2_000))


def test_a_mutator_breaks_in_many_ways_and_the_same_dice_in_the_same() -> None:
    broken = list(mutants())
    assert broken == list(mutants())
    assert len({*broken} - {FRAME}) > 1_000
    assert any(b"1E1000000" in raw for raw in broken)
    assert any(b"[" * 100 in raw for raw in broken)
    assert any(b"\\u001b" in raw for raw in broken)
    assert any(len(raw) > 10_000 for raw in broken)


@pytest.mark.parametrize("empty", [b"", b"0", b'""'])
def test_a_mutator_breaks_what_has_no_parts(empty: bytes) -> None:
    mutator = Mutator(Random(3), [empty])
    assert len({mutator.mutate(empty) for _ in range(500)}) > 50


@pytest.mark.parametrize(
    "event",
    [
        mf.Trade(venue="v", price=float("nan"), size=1.0, side="buy", id="1"),
        mf.Trade(venue="v", price=1.0, size=0.0, side="buy", id="1"),
        mf.Ticker(venue="v", bid=-1.0),
        mf.BookSnapshot(venue="v", epoch=1, seq=1, bids=((1.0, 0.0),), asks=()),
        mf.BookDelta(venue="v", epoch=1, seq=1, prev_seq=0, bids=(), asks=((1.0, -1.0),)),
        mf.Malformed(venue="v", link="l", reason="\x1b[31m", size=1, sample=""),
        mf.Malformed(venue="v", link="l", reason="", size=1, sample="x" * 500),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_no_event_may_hold_is_found(event: Head) -> None:
    with pytest.raises(Found):
        judge(event)


def test_what_an_event_may_hold_is_not() -> None:
    judge(mf.BookDelta(venue="v", epoch=1, seq=1, prev_seq=0, bids=((1.0, 0.0),), asks=()))


@pytest.mark.parametrize("key", chaos.KEYS)
def test_G13_a_key_in_an_output_is_found(key: str) -> None:
    assert chaos.search("log", f"GET / Authorization: {key}") != []


@pytest.mark.parametrize("mark", ["\x1b[31m", "\x9b2J", "\u202e", "\u200b", "\x00", "\r"])
def test_G12_what_a_terminal_obeys_is_found(mark: str) -> None:
    assert len(chaos.search("log", f"one\n{mark}\ttwo")) == 1
    assert not chaos.search("log", "one\n\ttwo")


def trade(number: int) -> mf.Trade[float]:
    return mf.Trade(venue="v", symbol="A-B", price=1.0, size=1.0, side="buy", id=str(number))


def test_trades_that_are_missing_are_found_unless_a_gap_tells_them() -> None:
    ids = chaos.Ids()
    for event in (trade(5), mf.Gap(venue="v", channel="trades", cause="trade ids", from_seq=6, to_seq=8), trade(9)):
        ids.take(event)
    ids.take(trade(7))
    ids.take(trade(10))
    with pytest.raises(AssertionError, match="11 to 11 are missing"):
        ids.take(trade(12))


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_G12_G13_chaos_leaves_no_key_no_escape_and_no_wrong_book(seed: int) -> None:
    figures, hits = chaos.run(seed, 30.0)
    assert hits == []
    assert figures["keys sent"], "the key went over the wire, else nothing is shown"
    assert (figures["wrong"], figures["verify"]) == (0, 0)
