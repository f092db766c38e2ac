"""A recording played as a feed: the same events and decisions as live; paced, paused, sought, waited for."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import marketfeed as mf
from marketfeed.events import Head, RecorderStatus, encode_json
from marketfeed.recording.playback import Playback
from tests.conftest import ROOT
from tests.virtual import LoopClock, now_s, on, settle, until, virtual

SECOND = 10**9
T0 = 1_790_000_000 * SECOND
plain = on(asyncio.SelectorEventLoop)
BOOK_UPDATE = '"channel":"book","type":"update","data":[{"symbol":"BTC/USD"'


def head(at: float, number: int, symbol: str = "BTC-USD", venue: str = "kraken") -> dict[str, Any]:
    return {"venue": venue, "symbol": symbol, "ts_recv": T0 + round(at * SECOND), "seq_local": number}


def trade(at: float, number: int, price: float = 100.0, **of: str) -> mf.Trade[float]:
    return mf.Trade(**head(at, number, **of), price=price, size=1.0, side="buy", id=str(number))


def instrument(at: float, number: int, **of: str) -> mf.Instrument[float]:
    return mf.Instrument(**head(at, number, **of), native="XBT", base="BTC", quote="USD")


def snapshot(at: float, number: int, epoch: int = 1, bid: float = 99.0, **of: str) -> mf.BookSnapshot[float]:
    return mf.BookSnapshot(**head(at, number, **of), epoch=epoch, seq=number, bids=((bid, 1.0),), asks=((101.0, 1.0),))


def delta(at: float, number: int, before: int, bid: float, epoch: int = 1, **of: str) -> mf.BookDelta[float]:
    return mf.BookDelta(**head(at, number, **of), epoch=epoch, seq=number, prev_seq=before, bids=((bid, 2.0),), asks=())


def status(at: float, number: int, word: str, since: float | None = None) -> RecorderStatus:
    ts_from = 0 if since is None else T0 + round(since * SECOND)
    return RecorderStatus(**head(at, number, "", "recorder"), status=word, ts_from=ts_from)


def market(**of: Any) -> list[Any]:
    """A market for twenty minutes: an instrument, a book that rises by 0.01 a second, and trades between."""
    found: list[Head] = [instrument(0, 1, **of), snapshot(0, 2, **of)]
    for n in range(1, 1200):
        found.append(delta(n, 2 * n + 1, 2 * n - 1 if n > 1 else 2, 99 + n / 100, **of))
        found.append(trade(n + 0.5, 2 * n + 2, 100 + n / 100, **of))
    return found


MARKET = market()


async def all_of(feed: Playback, *names: str, **wanted: Any) -> list[Any]:
    feed.subscribe(*names or ["kraken:BTC-USD"], **wanted or {"trades": True, "book": True})
    return [event async for event in feed]


async def some_of(events: AsyncIterator[Any], count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(events), 10_000) for _ in range(count)]


def lines(path: Path, events: Iterable[Head]) -> Path:
    path.write_bytes(b"".join(encode_json(event) + b"\n" for event in events))
    return path


def as_lines(tmp_path: Path, events: list[Head]) -> Path:
    return lines(tmp_path / "events.jsonl", events)


def as_dataset(tmp_path: Path, events: list[Head]) -> Path:
    pytest.importorskip("pyarrow")
    from tests.recording.test_dataset import save  # noqa: PLC0415 # needs pyarrow

    save(tmp_path / "data", events)
    return tmp_path / "data"


def as_they_are(tmp_path: Path, events: list[Head]) -> list[Head]:
    return events


KINDS: list[Any] = [as_they_are, as_lines, as_dataset]
each_kind = pytest.mark.parametrize("kept", KINDS, ids=lambda kind: kind.__name__)
Kept = Callable[[Path, list[Head]], Any]


# --- the same events and the same decisions


async def bot(feed: mf.Feed) -> list[tuple[Any, ...]]:
    """What a bot sees, and what it makes of it."""
    decided: list[tuple[Any, ...]] = []
    events = feed.consumer(books=True)
    feed.subscribe("kraken:BTC-USD", trades=True, ticker=True, book=10)
    feed.subscribe("coinbase:ETH-USD", trades=True, book=True)
    await feed.live(timeout=10)
    async for event in events:
        if isinstance(event, mf.Trade):
            top = events.book(event).top()
            decided.append((event, "buy" if top and top[0][1] > top[1][1] else "sell", top))
        else:
            decided.append((event,))
        if isinstance(event, RecorderStatus) and event.status == "ended":
            break
    return decided


def test_a_bot_decides_on_a_recording_as_it_did_live(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")

    @plain
    async def run() -> None:
        async with mf.sim.Simulator(["kraken", "coinbase"], rate=None, seed=5) as plant:
            settings = {name: mf.VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()}
            async with mf.Feed(settings) as feed:
                async with mf.recording.Recorder(feed, tmp_path, simulated=True):
                    feed.subscribe("kraken:ETH-USD", trades=True)  # recorded too, and not the bot's business
                    running = asyncio.create_task(bot(feed))
                    await until(lambda: not feed.waiting())
                    for _ in range(40):
                        await plant.step(5)
                        await asyncio.sleep(0.002)
                    voids: list[mf.BookVoid] = []
                    feed.on(mf.BookVoid, voids.append)
                    plant.inject("kraken", "checksum", BOOK_UPDATE)
                    while not (voids and feed.book("kraken:BTC-USD").live):
                        await plant.step(5)
                        await asyncio.sleep(0.002)
                    await plant.step(50)
                    await asyncio.sleep(0.05)
                live = [told for told in await running if (told[0].venue, told[0].symbol) != ("kraken", "ETH-USD")]
        assert {type(event) for event, *_ in live} >= {mf.Trade, mf.BookVoid, mf.Gap, mf.Instrument, mf.Connected}
        assert len(live) > 300
        again = lines(tmp_path / "again.jsonl", mf.recording.open(tmp_path).events())
        for source in (tmp_path, again, mf.recording.open(tmp_path), list(mf.recording.read_events(again))):
            async with Playback(source, speed="max") as feed:
                started, *played = await bot(feed)
            assert started[0].status == "started"
            # live, what two connections got at almost one time may have been told in the other order
            for venue in ("kraken", "coinbase", "recorder"):
                assert [told for told in played if told[0].venue == venue] == [t for t in live if t[0].venue == venue]
            assert len(played) == len(live)

    run()


@each_kind
def test_C05_C14_what_befell_the_process_is_played_whatever_is_subscribed_to(kept: Kept, tmp_path: Path) -> None:
    last = MARKET[-1]
    after = {"venue": "", "ts_recv": last.ts_recv + SECOND}
    stood = mf.LoopLag(**after, seq_local=last.seq_local + 1, lag_ns=5 * SECOND)
    stepped = mf.ClockStep(**after, seq_local=last.seq_local + 2, step_ns=-SECOND)

    @plain
    async def run() -> None:
        async with Playback(kept(tmp_path, [*MARKET, stood, stepped]), speed="max") as feed:
            feed.subscribe("kraken:BTC-USD", trades=True)
            told = [type(event) async for event in feed]
        assert told[-2:] == [mf.LoopLag, mf.ClockStep]

    run()


@each_kind
def test_all_events_come_as_they_were_recorded(kept: Kept, tmp_path: Path) -> None:
    source = kept(tmp_path, MARKET)

    @plain
    async def run() -> None:
        before, after = mf.recording.Digest(), mf.recording.Digest()
        async with Playback(source, speed="max") as feed:
            played = await all_of(feed)
            assert feed.ended
            assert feed.now == MARKET[-1].ts_recv
        for event, told in zip(MARKET, played, strict=True):
            assert event == told
            before.add(event)
            after.add(told)
        assert before.hexdigest() == after.hexdigest()
        assert len(before.streams()) == 2

    run()


@plain
async def test_decimals_stay_decimals(tmp_path: Path) -> None:
    source = as_lines(tmp_path, [snapshot(0, 1), trade(1, 2)])
    async with Playback(source, speed="max", exact=True) as feed:
        played = await all_of(feed)
    assert played == list(mf.recording.read_events(source, exact=True))
    assert isinstance(played[1], mf.Trade)
    assert isinstance(played[1].price, Decimal)
    assert feed.exact


@plain
async def test_a_bot_gets_what_it_asked_for_and_what_concerns_it() -> None:
    mine = [
        instrument(0, 1),
        mf.Connected(**head(0, 2, ""), link="kraken-1"),
        mf.Subscribed(**head(0, 3), channel="trades"),
        trade(1, 4),
        mf.Gap(**head(2, 5), channel="trades", cause="trade ids"),
        mf.Lagged(venue="", ts_recv=T0 + 2 * SECOND, seq_local=6, policy="drop_oldest", dropped=3),
        status(3, 7, "sealed"),
        mf.Disconnected(**head(4, 8, ""), link="kraken-1", code=1006, reason="gone"),
    ]
    others: list[Head] = [
        instrument(0, 11, symbol="ETH-USD"),
        trade(1, 12, symbol="ETH-USD"),
        snapshot(1, 13),
        delta(1, 14, 13, 100.0),
        mf.Gap(**head(2, 15), channel="book", cause="sequence"),
        mf.BookVoid(**head(2, 16), epoch=1, reason="sequence"),
        mf.Connected(**head(2, 17, "", "coinbase"), link="coinbase-1"),
        mf.Ticker(**head(3, 18), bid=1.0),
    ]
    events = sorted([*mine, *others], key=lambda event: (event.ts_recv, event.seq_local))
    async with Playback(events, speed="max") as feed:
        assert await all_of(feed, trades=True) == mine


def test_raw_frames_are_played_through_the_sessions_that_run_live(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "replay-a-capture.md").read_text()
    path = tmp_path / "kraken.jsonl"
    path.write_text(page.partition("```jsonl\n")[2].partition("```")[0])
    told = list(mf.recording.Replay(path))

    @plain
    async def run() -> None:
        for source in (path, mf.recording.Replay(path)):
            async with Playback(source, speed="max") as feed:
                assert await all_of(feed, book=True) == told
                await feed.seek(told[0].ts_recv)
                assert [event async for event in feed][-len(told) :] == told

    run()
    assert len(told) > 5


# --- the order of several sources


@plain
async def test_sources_are_merged_by_receive_time_ties_by_number_each_in_its_own_order() -> None:
    eth: dict[str, Any] = {"symbol": "ETH-USD"}
    kraken: list[Head] = [trade(1, 1), trade(5, 2), trade(3, 3), trade(7, 4)]  # 3 waited, and stays where it is
    coinbase: list[Head] = [trade(n, n, venue="coinbase", **eth) for n in (0, 1, 3, 4, 5, 6, 8)]
    async with Playback(kraken, iter(coinbase), speed="max") as feed:
        played = await all_of(feed, "kraken:BTC-USD", "coinbase:ETH-USD", trades=True)
    told = [(event.venue[0], (event.ts_recv - T0) // SECOND) for event in played]
    assert told == [
        *(("c", 0), ("k", 1), ("c", 1), ("c", 3), ("c", 4)),
        *(("k", 5), ("k", 3), ("c", 5), ("c", 6), ("k", 7), ("c", 8)),
    ]


@plain
async def test_a_stream_in_two_sources_at_once_is_refused_and_one_after_the_other_is_not(tmp_path: Path) -> None:
    monday, tuesday = [trade(n, n) for n in range(5)], [trade(n, n) for n in range(5, 9)]
    async with Playback(monday, tuesday, speed="max") as feed:
        assert await all_of(feed, trades=True) == monday + tuesday
    path = as_lines(tmp_path, list(monday))
    async with Playback(path, monday, speed="max") as feed:
        with pytest.raises(mf.RecordingError, match=r"events\.jsonl and a list hold kraken:BTC-USD:trades"):
            await all_of(feed, trades=True)


# --- time


@pytest.mark.parametrize("speed", [1, 60, 0.5])
def test_distances_are_kept_and_nothing_adds_up(speed: float) -> None:
    @virtual
    async def run() -> None:
        async with Playback(MARKET, speed=speed, clock=LoopClock()) as feed:
            began = now_s()
            feed.subscribe("kraken:BTC-USD", trades=True, book=True)
            async for event in feed:
                due = (event.ts_recv - T0) / SECOND / speed
                assert now_s() - began == pytest.approx(due, abs=1e-5)
                assert feed.now == pytest.approx(event.ts_recv, abs=10_000 * speed)
            assert event == MARKET[-1]

    run()


@virtual
async def test_a_slow_reader_is_late_and_then_on_time_again() -> None:
    async with Playback(MARKET, speed=1, clock=LoopClock(), max_events=10) as feed:
        feed.subscribe("kraken:BTC-USD", trades=True)
        began = now_s()
        got = []
        async for event in feed:
            got.append(event)
            if len(got) == 100:
                await asyncio.sleep(60)
            if len(got) > 300:
                assert now_s() - began == pytest.approx((event.ts_recv - T0) / SECOND, abs=1e-5)
        assert got[1:] == [event for event in MARKET if isinstance(event, mf.Trade)]


@virtual
async def test_the_recorded_time_goes_on_between_events_and_never_past_the_next() -> None:
    async with Playback([trade(0, 1), trade(100, 2)], speed=10, clock=LoopClock()) as feed:
        assert feed.now == T0
        feed.subscribe("kraken:BTC-USD", trades=True)
        await asyncio.sleep(4)
        assert feed.now == pytest.approx(T0 + 40 * SECOND, abs=1000)
        await feed.played()
        assert feed.now == T0 + 100 * SECOND
        await asyncio.sleep(5)
        assert feed.now == T0 + 100 * SECOND


@virtual
async def test_pause_and_resume() -> None:
    async with Playback([trade(n, n) for n in range(1, 9)], speed=1, clock=LoopClock()) as feed:
        feed.subscribe("kraken:BTC-USD", trades=True)
        events = feed.consumer()
        began = now_s()
        await some_of(events, 3)
        await asyncio.sleep(0.25)
        feed.pause()
        assert feed.paused
        stood = feed.now
        await asyncio.sleep(1000)
        assert (len(events), feed.now) == (0, stood)
        feed.resume()
        (event,) = await some_of(events, 1)
        assert event.id == "4"
        assert now_s() - began == pytest.approx(1003, abs=1e-5)
        assert not feed.paused


@each_kind
def test_start_and_end(kept: Kept, tmp_path: Path) -> None:
    source = kept(tmp_path, MARKET)

    @plain
    async def run() -> None:
        async with Playback(source, speed="max", start=T0 + 100 * SECOND, end=T0 + 200 * SECOND) as feed:
            known, opened, *played = await all_of(feed)
            assert known == MARKET[0]
            assert (opened.bids, opened.ts_recv) == (tuple(at_second(100).bids()), T0 + 99 * SECOND)
            assert played == [event for event in MARKET if 100 <= (event.ts_recv - T0) / SECOND < 200]

    run()


def at_second(at: float) -> mf.TrustedBook[float]:
    """The book before what was received then."""
    book: mf.TrustedBook[float] = mf.TrustedBook("the truth")
    for event in MARKET:
        if event.ts_recv < T0 + round(at * SECOND):
            book.apply(event)
    return book


@each_kind
def test_seek_on_and_back(kept: Kept, tmp_path: Path) -> None:
    source = kept(tmp_path, MARKET)

    @virtual
    async def run() -> None:
        async with Playback(source, speed=1, clock=LoopClock()) as feed:
            feed.subscribe("kraken:BTC-USD", trades=True, book=True)
            events = feed.consumer(books=True)
            await some_of(events, 5)
            await asyncio.sleep(1.9)
            assert len(events) > 0
            for at in (1000, 10, 10, 1100.2, 2.2):
                began = now_s()
                when = T0 + round(at * SECOND)
                await feed.seek(when)
                truth = at_second(at)
                assert feed.now == when
                assert feed.book("kraken:BTC-USD").bids() == truth.bids()
                known, opened = await some_of(events, 2)
                assert known == MARKET[0]
                assert (opened.bids, opened.asks) == (tuple(truth.bids()), tuple(truth.asks()))
                assert events.book(opened).bids() == truth.bids()
                following = [event for event in MARKET if event.ts_recv >= when][:3]
                assert await some_of(events, 3) == following
                assert now_s() - began == pytest.approx((following[2].ts_recv - following[0].ts_recv) / SECOND)
                assert events.book(opened).bids() == at_second(at + 1.6).bids()
            await feed.seek(T0 + 2000 * SECOND)
            assert [type(event) async for event in events] == [mf.BookVoid]
            assert feed.ended

    run()


@virtual
async def test_seek_while_paused_and_after_the_end() -> None:
    async with Playback(MARKET, speed=1, clock=LoopClock()) as feed:
        feed.subscribe("kraken:BTC-USD", trades=True)
        events = feed.consumer()
        feed.pause()
        await feed.seek(T0 + 50 * SECOND)
        await asyncio.sleep(100)
        assert [type(event) for event in await some_of(events, 1)] == [mf.Instrument]
        assert len(events) == 0
        feed.resume()
        assert (await some_of(events, 1))[0].id == "102"
        await feed.seek(T0 + 1199 * SECOND)
        assert [event.seq_local async for event in events] == [1, 2400]
        await feed.played()
        await feed.seek(T0 + 1199 * SECOND)
        assert not feed.ended
        assert [event.seq_local async for event in feed] == [1, 2400]


@plain
async def test_what_can_be_read_only_once_cannot_be_sought() -> None:
    async with Playback(iter(MARKET), speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        await some_of(aiter(feed), 10)
        with pytest.raises(mf.ConfigError, match="a list_iterator can be read only once"):
            await feed.seek(T0)
        assert [event.seq_local async for event in feed] == list(range(11, 2401))


# --- readers are waited for


@plain
async def test_a_slow_bot_gets_every_event_and_nothing_is_ahead_of_what_it_has_in_hand() -> None:
    async with Playback(MARKET[:600], speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        events = feed.consumer(books=True)
        played: list[Any] = []
        async for event in events:
            played.append(event)
            if len(played) % 100 == 0:
                await asyncio.sleep(0.01)
            if event is not MARKET[0]:  # it came together with the book
                assert feed.book(event).top() == events.book(event).top()
            assert feed.now == event.ts_recv
        assert played == MARKET[:600]


@virtual
async def test_a_reader_that_is_far_behind_is_waited_for_at_any_speed() -> None:
    async with Playback(MARKET, speed=3600, clock=LoopClock()) as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        events = feed.consumer(max_events=50)
        played: list[Any] = []
        async for event in events:
            played.append(event)
            await asyncio.sleep(10)  # far more than a consumer of a live feed may be behind
            assert len(events) <= 51
        assert played == MARKET
        assert events.dropped == 0


@plain
async def test_readers_that_need_each_other_both_go_on() -> None:
    async with Playback(MARKET[:400], speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        trades = feed.consumer(lambda event: isinstance(event, mf.Trade))
        books = feed.consumer(lambda event: isinstance(event, mf.BookDelta))
        pairs = [(trade, await anext(books)) async for trade in trades]
        assert len(pairs) == 199
        assert all(delta.seq_local == trade.seq_local - 1 for trade, delta in pairs)


@plain
async def test_a_consumer_that_nobody_reads_stops_the_others_when_it_is_full() -> None:
    async with Playback(MARKET, speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        unread, display = feed.consumer(max_events=100), feed.consumer(policy="drop_oldest", max_events=7)
        reading = asyncio.create_task(some_of(aiter(feed), 2000))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reading), 0.3)
        assert len(unread) == 100
        assert display.dropped > 50
        unread.close()
        assert await reading == MARKET[:2000]


@plain
async def test_at_max_it_plays_only_while_somebody_listens() -> None:
    async with Playback(MARKET, speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        await settle(100)
        assert feed.waiting() == {f"kraken:BTC-USD:{channel}": "not played yet" for channel in ("trades", "book")}
        await feed.live()
        await settle(100)
        assert feed.now == T0
        heard: list[mf.Trade[float]] = []
        feed.on(mf.Trade, heard.append)
        await feed.played()
        assert len(heard) == 1199


@plain
async def test_handlers_get_all_and_coroutines_are_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    at_once: list[Head] = []
    slowly: list[Head] = []

    async def slow(event: mf.Trade[float]) -> None:
        if event.seq_local % 100 == 0:
            await asyncio.sleep(0.001)
        slowly.append(event)

    async with Playback(MARKET[:1000], speed="max") as feed:
        feed.on(mf.Trade, at_once.append)
        feed.on(mf.Trade, slow)
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        await feed.played()
        assert at_once == slowly == [event for event in MARKET[:1000] if isinstance(event, mf.Trade)]
    assert not caplog.records


@plain
async def test_batches_are_what_was_received_at_one_time() -> None:
    events = [trade(n // 3, n) for n in range(30)]
    async with Playback(events, speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True)
        assert [[str(event.seq_local) for event in batch] async for batch in feed.batches()] == [
            [str(n), str(n + 1), str(n + 2)] for n in range(0, 30, 3)
        ]


# --- who comes late


@each_kind
def test_who_joins_late_gets_instruments_and_whole_books(kept: Kept, tmp_path: Path) -> None:
    source = kept(tmp_path, MARKET)

    @plain
    async def run() -> None:
        async with Playback(source, speed="max") as feed:
            feed.subscribe("kraken:BTC-USD", book=True)
            first = feed.consumer(books=True)
            await some_of(first, 500)
            late = feed.consumer(books=True)
            known, opened = await some_of(late, 2)
            assert known == feed.instrument("kraken:BTC-USD") == MARKET[0]
            assert opened.bids == tuple(first.book(opened).bids())
            rest = asyncio.create_task(some_of(late, 100))
            assert await some_of(first, 100) == await rest

            feed.subscribe("kraken:BTC-USD", trades=True)
            played = await some_of(first, 100)
            assert {type(event) for event in played[1:]} == {mf.Trade, mf.BookDelta}

    run()


@each_kind
def test_a_book_asked_for_late_comes_whole(kept: Kept, tmp_path: Path) -> None:
    other = market(symbol="ETH-USD")
    both = sorted([*MARKET[:1600], *other[:1600]], key=lambda event: (event.ts_recv, event.seq_local))
    source = kept(tmp_path, both)

    @plain
    async def run() -> None:
        async with Playback(source, speed="max") as feed:
            feed.subscribe("kraken:ETH-USD", trades=True)
            events = feed.consumer(books=True)
            await some_of(events, 300)
            feed.subscribe("kraken:BTC-USD", book=True)
            found: list[Any] = []
            async for event in events:
                if event.symbol == "BTC-USD":
                    found.append(event)
            known, opened, *changes = found
            assert known == MARKET[0]
            assert opened.bids == tuple(at_second((changes[0].ts_recv - T0) / SECOND).bids())
            assert changes == [event for event in MARKET[:1600] if isinstance(event, mf.BookDelta)][-len(changes) :]
            assert 400 < len(changes) < 600
            assert feed.book("kraken:BTC-USD").bids() == events.book("kraken:BTC-USD").bids()

    run()


@plain
async def test_what_nobody_wants_any_more_is_told_no_more() -> None:
    async with Playback(MARKET, speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        events = feed.consumer(books=True)
        await some_of(events, 100)
        view = feed.book("kraken:BTC-USD")
        feed.unsubscribe("kraken:BTC-USD", book=True)
        assert (view.top(), view.reason) == (None, "unsubscribed")
        assert {type(event) for event in await some_of(events, 100)} == {mf.BookVoid, mf.Unsubscribed, mf.Trade}
        assert {type(event) for event in await some_of(events, 100)} == {mf.Trade}
        feed.subscribe("kraken:BTC-USD", book=True)
        known, opened, *_ = await some_of(events, 100)
        assert (type(known), type(opened)) == (mf.Instrument, mf.BookSnapshot)
        assert view.live
        assert feed.book(opened) is view


# --- what is not there


@each_kind
def test_a_stream_that_is_not_there_is_refused_with_what_is(kept: Kept, tmp_path: Path) -> None:
    source = kept(tmp_path, MARKET)

    @plain
    async def run() -> None:
        async with Playback(source, speed="max") as feed:
            feed.subscribe("kraken:BTC-USD", "kraken:BTC-USDT", "coinbase:BTC-USD", trades=True)
            events = feed.consumer()
            told = {event.venue + event.symbol: event async for event in events if isinstance(event, mf.Refused)}
            assert sorted(told) == ["coinbaseBTC-USD", "krakenBTC-USDT"]
            refused = told["krakenBTC-USDT"]
            assert refused.channel == "trades"
            assert "the recording has no kraken:BTC-USDT:trades; did you mean kraken:BTC-USD:trades" in refused.reason
            assert "it holds kraken:BTC-USD:book, kraken:BTC-USD:trades" in refused.reason
            with pytest.raises(mf.NotLive, match="has no coinbase:BTC-USD:trades"):
                await feed.live()
            with pytest.raises(mf.UnknownVenue, match="did you mean kraken"):
                feed.subscribe("krakn:BTC-USD", trades=True)

    run()


@plain
async def test_live_does_not_wait_for_what_was_refused() -> None:
    async with Playback(MARKET, speed="max") as feed:
        feed.subscribe("kraken:DOGE-USD", trades=True)
        with pytest.raises(mf.NotLive, match="DOGE"):
            await feed.live()
        feed.unsubscribe("kraken:DOGE-USD", trades=True)
        feed.subscribe("kraken:BTC-USD", trades=True)
        await feed.live()


@plain
async def test_of_what_can_be_read_only_once_the_end_tells_what_was_not_there() -> None:
    async with Playback(iter(MARKET), speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", "kraken:DOGE-USD", "toy:X-Y", trades=True)
        told = [event async for event in feed if not isinstance(event, mf.Trade)]
        assert [(type(event), event.symbol) for event in told] == [
            (mf.Instrument, "BTC-USD"),
            (mf.Refused, "DOGE-USD"),
            (mf.Refused, "X-Y"),
        ]
        assert sorted(feed.waiting()) == ["kraken:DOGE-USD:trades", "toy:X-Y:trades"]


@plain
async def test_live_ends_where_the_recording_does() -> None:
    events = [trade(0, 1), mf.Subscribed(**head(1, 2), channel="book"), trade(2, 3)]
    async with Playback(events, speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        with pytest.raises(mf.NotLive, match="no snapshot yet, and the recording has ended"):
            await feed.live()
        assert feed.ended
        with pytest.raises(mf.NotLive):
            await feed.live()
        assert [event async for event in feed] == []
        await feed.played()


@virtual
async def test_live_has_its_timeout_and_says_when_nobody_reads() -> None:
    async with Playback([trade(0, 1), snapshot(100, 2)], speed=1, clock=LoopClock()) as feed:
        feed.subscribe("kraken:BTC-USD", book=True)
        with pytest.raises(mf.NotLive, match="no snapshot yet"):
            await feed.live(timeout=5)
        await feed.live(timeout=200)
    late = [*(trade(n, n) for n in range(50)), snapshot(100, 100)]
    async with Playback(late, speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        unread = feed.consumer(max_events=20)
        with pytest.raises(mf.NotLive, match="20 events wait for a consumer that nobody reads meanwhile"):
            await feed.live()
        unread.close()
        await feed.live()


@plain
async def test_a_bot_that_waits_for_its_book_is_told_when_its_queue_is_full() -> None:
    void = mf.BookVoid(**head(1, 2), epoch=1, reason="checksum")
    async with Playback([snapshot(0, 1), void, *(trade(n, n) for n in range(3, 99))], speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", trades=True, book=True)
        async for event in feed.consumer(max_events=30):
            if isinstance(event, mf.BookVoid):
                with pytest.raises(mf.NotLive, match="checksum; 30 events wait for a consumer that nobody reads"):
                    await feed.live()
        assert event == trade(98, 98)


# --- holes


HOLED = [snapshot(0, 1), delta(1, 2, 1, 99.5), status(2, 3, "ended")]
AFTER = [snapshot(10, 1, bid=98.0), status(11, 2, "started", since=2), delta(12, 3, 1, 98.5)]


@each_kind
@pytest.mark.parametrize("clean", [True, False], ids=["ended", "killed"])
def test_books_are_void_across_a_time_that_was_not_recorded(clean: bool, kept: Kept, tmp_path: Path) -> None:
    before = HOLED if clean else [*HOLED[:2], trade(2, 3)]
    source = kept(tmp_path, [*before, *AFTER])

    @plain
    async def run() -> None:
        async with Playback(source, speed="max") as feed:
            feed.subscribe("kraken:BTC-USD", book=True)
            events = feed.consumer(books=True)
            told: list[Any] = [(event, events.book("kraken:BTC-USD").live) async for event in events]
        voids = [(event, live) for event, live in told if isinstance(event, mf.BookVoid)]
        others = [(event, live) for event, live in told if not isinstance(event, mf.BookVoid)]
        assert [event for event, _ in others] == [
            event for event in (*before, *AFTER) if not isinstance(event, mf.Trade)
        ]
        assert [live for _, live in others if live][-3:] == [True] * 3
        if clean or kept is as_dataset:  # else the snapshot after it is the first to tell
            ((void, live),) = voids
            assert (void.epoch, void.ts_recv, live) == (1, T0 + 2 * SECOND, False)
            assert told.index((void, live)) < [event for event, _ in told].index(AFTER[0])
        assert feed.book("kraken:BTC-USD").top() == ((98.5, 2.0), (101.0, 1.0))

    run()


@each_kind
def test_a_book_that_does_not_come_back_after_a_hole_stays_void(kept: Kept, tmp_path: Path) -> None:
    eth = [snapshot(0, 5, symbol="ETH-USD"), delta(12, 6, 5, 99.5, symbol="ETH-USD")]
    events = sorted([*HOLED[:2], trade(2, 3), *AFTER, *eth], key=lambda event: event.ts_recv)
    source = kept(tmp_path, events)

    @plain
    async def run() -> None:
        async with Playback(source, speed="max") as feed:
            played = await all_of(feed, "kraken:BTC-USD", "kraken:ETH-USD", book=True)
            assert [type(event) for event in played if event.symbol == "ETH-USD"] == [mf.BookSnapshot, mf.BookVoid]
            assert feed.book("kraken:ETH-USD").top() is None
            assert feed.book("kraken:BTC-USD").live
            assert feed.counts()["kraken"].unproven == 1

    run()


@plain
async def test_the_books_of_a_source_that_ends_before_others_are_void() -> None:
    short: list[Head] = [snapshot(0, 1), delta(1, 2, 1, 99.5)]
    long: list[Head] = [snapshot(0, 1, venue="coinbase"), *(trade(n, n, venue="coinbase") for n in range(2, 5))]
    async with Playback(short, long, speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", "coinbase:BTC-USD", book=True)
        feed.subscribe("coinbase:BTC-USD", trades=True)
        played = [event async for event in feed]
        assert [event.venue for event in played if isinstance(event, mf.BookVoid)] == ["kraken"]
        assert [type(event) for event in played[:4]] == [mf.BookSnapshot, mf.BookSnapshot, mf.BookDelta, mf.BookVoid]
        assert feed.book("coinbase:BTC-USD").live


@plain
async def test_the_last_book_is_not_void_only_because_the_recording_ends() -> None:
    async with Playback(HOLED, speed="max") as feed:
        assert await all_of(feed, book=True) == HOLED
        assert feed.book("kraken:BTC-USD").top() == ((99.5, 2.0), (101.0, 1.0))


@plain
async def test_a_change_that_does_not_follow_voids_the_book_for_everybody() -> None:
    broken = [snapshot(0, 1), delta(1, 2, 1, 99.5), delta(2, 4, 3, 99.7), delta(3, 5, 4, 99.8), snapshot(4, 6, epoch=2)]
    async with Playback(broken, speed="max") as feed:
        played = await all_of(feed, book=True)
        assert [type(event) for event in played] == [mf.BookSnapshot, mf.BookDelta, mf.BookVoid, mf.BookSnapshot]
        void = played[2]
        assert isinstance(void, mf.BookVoid)
        assert (void.ts_recv, void.reason) == (broken[2].ts_recv, "missed 2 to 3")
        assert feed.counts()["kraken"].unproven == 2


@each_kind
def test_a_book_of_which_a_recorder_could_not_keep_a_change_is_void(kept: Kept, tmp_path: Path) -> None:
    """Nothing but the gap tells of it, and the next change may be far."""
    gap = mf.Gap(**head(2, 4), channel="book", cause="rejected", ts_from=T0, ts_to=T0 + 1)
    told = [snapshot(0, 1), delta(1, 2, 1, 99.5), trade(1, 3), gap, trade(3, 5), trade(9, 6)]

    @plain
    async def run() -> None:
        async with Playback(kept(tmp_path, told), speed="max") as feed:
            feed.subscribe("kraken:BTC-USD", trades=True, book=True)
            events = feed.consumer(books=True)
            shown = [(type(e), feed.book("kraken:BTC-USD").live, events.book(e).live) async for e in events]
            after = shown[shown.index((mf.BookVoid, False, False)) :]
            assert after == [(mf.BookVoid, False, False), (mf.Trade, False, False), (mf.Trade, False, False)]
            await feed.seek(T0 + 3 * SECOND)
            assert not feed.book("kraken:BTC-USD").live

    run()


# --- what goes wrong


def test_settings_that_cannot_be_are_refused_at_once(tmp_path: Path) -> None:
    for sources, options, message in (
        ((), {}, "nothing to play"),
        (([],), {"speed": 0}, "speed=0"),
        (([],), {"speed": "fast"}, "speed=fast"),
        (([],), {"speed": float("nan")}, "speed=nan"),
        ((5,), {}, "5 is no recording"),
        (([],), {"start": "yesterday"}, "yesterday"),
    ):
        with pytest.raises(mf.ConfigError, match=message):
            Playback(*sources, **options)
    with pytest.raises(mf.RecordingError, match="there is no such file"):
        Playback(tmp_path / "nothing")


@plain
async def test_a_damaged_file_is_told_before_anything_is_played(tmp_path: Path) -> None:
    path = as_lines(tmp_path, MARKET[:10])
    path.write_bytes(path.read_bytes() + b"{]\n")
    with pytest.raises(mf.RecordingError, match=r"events\.jsonl, line 11"):
        async with Playback(path):
            raise AssertionError("never")


@plain
async def test_what_breaks_on_the_way_comes_out_after_all_that_was_read() -> None:
    def breaking() -> Iterator[Head]:
        yield from MARKET[:10]
        raise mf.RecordingError("page 7 is damaged")

    async with Playback(breaking(), speed="max") as feed:
        feed.subscribe("kraken:BTC-USD", "kraken:ETH-USD", trades=True, book=True)
        told: list[Head] = []

        async def read() -> None:
            async for event in feed:
                told.append(event)

        with pytest.raises(mf.RecordingError, match="page 7"):
            await read()
        assert told == MARKET[:10]
        assert not feed.ended
        for wait in (feed.live(), feed.played(), feed.seek(T0)):
            with pytest.raises(mf.RecordingError, match="page 7"):
                await wait


@plain
async def test_what_only_a_live_feed_can_do_says_so() -> None:
    async with Playback(MARKET) as feed:
        with pytest.raises(mf.ConfigError, match=r"mf\.mining\.profits"):
            await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s21xp"], electricity=0.1))
        with pytest.raises(mf.ConfigError, match="no connections"):
            feed.tape(None)  # type: ignore[arg-type] # it is not looked at
        assert feed.counts() == {}
        assert await feed.instruments("kraken") == [MARKET[0]]
        assert await feed.instruments("coinbase") == []


@plain
async def test_leaving_in_the_middle_ends_everything() -> None:
    feed = Playback(MARKET, speed="max")
    async with feed:
        feed.subscribe("kraken:BTC-USD", trades=True)
        events = feed.consumer()
        await some_of(events, 3)
        waits = asyncio.create_task(feed.played())
        await settle()
    assert feed.closed
    assert not feed.ended
    await waits
    with suppress(StopAsyncIteration):
        await anext(events)
    with pytest.raises(mf.ConfigError, match="closed"):
        feed.subscribe("kraken:BTC-USD", trades=True)


def test_the_example_decides_the_same_twice() -> None:
    pytest.importorskip("pyarrow")
    example = [sys.executable, "examples/replay_bot.py", "--sim", "--seconds", "1"]
    done = subprocess.run(example, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    first, *decisions, told, last = done.stdout.splitlines()
    assert first.startswith("SIMULATED")
    assert all(re.fullmatch(r"\d{19} (long |short|out  ) at .+", decision) for decision in decisions)
    assert re.fullmatch(r"[1-9]\d* decisions replayed: the same as live", told)
    assert re.fullmatch(r"\d+ more were made live, .+", last)
