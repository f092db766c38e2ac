"""Each fault a simulated venue knows, at each venue: told in the stream before anything newer, recovered, and no
other book disturbed than the venue's rule allows. Every event is audited and every live book held to the oracle.
"""

import re
from contextlib import suppress

import pytest

import marketfeed as mf

from .rig import NEEDLE, SCOPE, VENUES, Bench, bench, plain

QUICK = {"ack_s": 0.3, "first_data_s": 0.4}


def streams(b: Bench) -> set[str]:
    return {f"{symbol}:{channel}" for symbol in (b.first, b.second) for channel in ("trades", "ticker", "book")}


async def strike(b: Bench, kind: str) -> None:
    """Do a fault to the first symbol's book once all flows, and wait until it was done."""
    await b.recovered()
    assert not b.audit.of(mf.Gap, mf.BookVoid, mf.Malformed, mf.Disconnected)
    b.plant.inject(b.venue, kind, "" if kind in ("cut", "stall") else NEEDLE[b.venue])
    await b.until(lambda: b.plant.injected[kind])


async def voided(b: Bench) -> None:
    """Lose book frames until one is missed: what one set may be set again by the next, and then nothing is wrong."""
    while not b.audit.of(mf.BookVoid):
        done = b.plant.injected["drop"]
        with suppress(AssertionError):
            await b.until(lambda: b.audit.of(mf.BookVoid), 0.5)
            return
        b.plant.inject(b.venue, "drop", NEEDLE[b.venue])
        await b.until(lambda before=done: b.plant.injected["drop"] > before)


def assert_link_scope(b: Bench) -> None:
    """A hole in the link's one counter: every stream is told, both books begin a new epoch, the link stays."""
    assert b.audit.gaps() == streams(b)
    assert b.epochs(b.first) == b.epochs(b.second) == [1, 2]
    assert len(b.audit.of(mf.Connected)) == 1


def assert_book_scope(b: Bench) -> None:
    """One book began anew; nobody else noticed (I17)."""
    assert b.audit.gaps() == {f"{b.first}:book"}
    assert b.epochs(b.first) == [1, 2]
    assert b.epochs(b.second) == [1]
    assert {e.symbol for e in b.audit.of(mf.BookVoid)} == {b.first}
    assert len(b.audit.of(mf.Connected)) == 1


@pytest.mark.parametrize("venue", VENUES)
def test_D4_D6_a_lost_book_frame_is_told_and_only_what_it_may_have_hurt_recovers(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue) as b:
            await strike(b, "drop")
            await voided(b)
            await b.recovered()
            gap = b.audit.of(mf.Gap, symbol=b.first)[0]
            assert gap.cause == ("checksum" if venue == "kraken" else "sequence")
            if venue == "binance":
                assert 0 < gap.from_seq <= gap.to_seq
            assert_link_scope(b) if SCOPE[venue] == "link" else assert_book_scope(b)

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_I10_a_frame_that_comes_twice_changes_nothing(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue) as b:
            await strike(b, "dup")
            await b.recovered()
            assert b.audit.of(mf.Gap, mf.BookVoid, mf.Disconnected) == []
            assert b.epochs(b.first) == b.epochs(b.second) == [1]

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_frames_in_the_wrong_order_never_make_a_wrong_book(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue) as b:
            await strike(b, "reorder")
            await b.recovered()
            if SCOPE[venue] == "link":
                await b.until(lambda: len(b.epochs(b.first)) == 2)
                await b.recovered()
                assert_link_scope(b)
            else:
                assert b.epochs(b.second) == [1]
                assert b.audit.gaps() <= {f"{b.first}:book"}

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_a_frame_that_cannot_be_read_is_told_and_what_it_may_have_carried_is_doubted(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue) as b:
            await strike(b, "corrupt")
            await b.until(lambda: b.audit.of(mf.Malformed))
            await b.recovered()
            (malformed,) = b.audit.of(mf.Malformed)
            assert malformed.sample.isascii()
            assert b.feed.counts()[venue].malformed == 1
            assert b.audit.of(mf.Gap, symbol=b.first)[0].cause == "malformed"
            if SCOPE[venue] == "link":
                assert_link_scope(b)
            else:
                assert b.epochs(b.first) == [1, 2]
                assert len(b.audit.of(mf.Connected)) == 1

    run()


@plain
async def test_D5_P23_a_wrong_checksum_renews_that_book_alone() -> None:
    async with bench("kraken") as b:
        await strike(b, "checksum")
        await b.until(lambda: b.audit.of(mf.BookVoid))
        await b.recovered()
        assert b.audit.of(mf.Gap)[0].cause == "checksum"
        assert_book_scope(b)


@pytest.mark.parametrize("venue", VENUES)
def test_T01_a_cut_is_told_for_every_stream_and_healed_on_a_new_link(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue) as b:
            await strike(b, "cut")
            await b.until(lambda: len(b.audit.of(mf.Connected)) == 2)
            await b.recovered()
            (gone,) = b.audit.of(mf.Disconnected)
            assert gone.code == 1006
            assert {gap.cause for gap in b.audit.of(mf.Gap)} <= {"link lost", "trade ids"}
            assert b.audit.gaps() == streams(b)
            assert b.epochs(b.first) == b.epochs(b.second) == [1, 2]

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_T03_a_venue_that_falls_silent_is_left_for_a_new_link(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue, pace={"silence_s": 1.0}) as b:
            await strike(b, "stall")
            await b.until(lambda: len(b.audit.of(mf.Connected)) == 2)
            await b.recovered()
            (gone,) = b.audit.of(mf.Disconnected)
            assert re.match(r"silent for \d\.\d s", gone.reason)
            assert b.epochs(b.first) == b.epochs(b.second) == [1, 2]

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_P18_P19_a_late_snapshot_is_awaited(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue, "late_snapshot=0.3s") as b:
            await b.recovered()
            assert b.plant.injected["late_snapshot"]
            assert b.audit.of(mf.Gap, mf.BookVoid, mf.Disconnected) == []
            assert b.epochs(b.first) == b.epochs(b.second) == [1]

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_P20_P28_a_snapshot_that_never_comes_is_asked_for_again(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue, "no_snapshot=2", pace=QUICK) as b:
            await b.recovered()
            assert b.plant.injected["no_snapshot"] == 2
            assert len(b.audit.of(mf.Connected)) == 1

    run()


@pytest.mark.parametrize("venue", ["kraken", "binance", "coinbase"])
def test_P27_a_refused_subscription_is_told_and_the_others_go_on(venue: str) -> None:
    @plain
    async def run() -> None:
        symbol = "ETH-USDT" if venue == "binance" else "ETH-USD"
        async with bench(venue, f"refuse={symbol}") as b:
            await b.until(lambda: b.audit.of(mf.Refused))
            assert b.audit.of(mf.Refused, symbol=b.first) == []
            await b.until(lambda: b.feed.book(f"{venue}:{b.first}").live, 4)
            await b.checked(b.first)
            await b.until(lambda: len(b.audit.of(mf.Refused, symbol=symbol)) == 3, 8)
            with pytest.raises(mf.NotLive, match=symbol):
                await b.feed.live(timeout=10)
            assert b.audit.of(mf.Gap, mf.BookVoid, mf.Disconnected) == []
            assert b.epochs(b.first) == [1]

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_T14_requests_turned_away_are_made_again_when_the_venue_allows(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue, "http429=1,retry_after=1") as b:
            await b.until(lambda: b.audit.of(mf.Disconnected))
            (told,) = b.audit.of(mf.Disconnected)
            assert (told.link, told.status) == ("rest", 429)
            assert told.retry_s >= 1.0
            await b.recovered()
            assert b.plant.injected["http429"] == 1

    run()
