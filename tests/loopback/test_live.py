"""A feed on three simulated venues over real sockets: what a user does, on both transports and both loops."""

import asyncio
import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, sim
from marketfeed.events import Head

from ..fuzz.oracle import SYMBOLS
from ..virtual import on, until
from .rig import ALL, LOOPS, SCOPE, VENUES, Auditor, bench, plain


def settings(plant: sim.Simulator) -> dict[str, mf.VenueSettings]:
    return {name: mf.VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()}


@pytest.mark.parametrize("transport", ["websockets", "picows"])
@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_C09_three_venues_are_live_within_seconds_and_all_channels_flow(loop: str, transport: str) -> None:
    @on(LOOPS[loop])
    async def run() -> None:
        async with sim.Simulator(rate=200, seed=3, symbols=ALL) as plant:
            async with mf.Feed(settings(plant), transport=transport) as feed:
                names = [f"{venue}:{symbol}" for venue in VENUES for symbol in SYMBOLS[venue]]
                feed.subscribe(*names, trades=True, ticker=True, book=True)
                start = time.monotonic()
                await feed.live(timeout=5)
                assert time.monotonic() - start < 5
                assert all(feed.book(name).top() for name in names)
                missing = {f"{name} {kind}" for name in names for kind in ("Trade", "Ticker", "BookDelta")}
                async with asyncio.timeout(10):
                    async for event in feed:
                        missing.discard(f"{event.venue}:{event.symbol} {type(event).__name__}")
                        if not missing:
                            break
                assert not plant.breaches

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_exact_numbers_are_decimal_everywhere(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue, exact=True) as b:
            await b.recovered()
            seen: set[str] = set()

            def numbers() -> bool:
                seen.update(type(e).__name__ for e in b.audit.events)
                return {"Trade", "Ticker", "BookDelta", "BookSnapshot", "Instrument"} <= seen

            await b.until(numbers)
            for event in b.audit.events:
                assert not any(isinstance(value, float) for value in leaves(event)), event
            top = b.feed.book(f"{venue}:{b.first}").top()
            assert top is not None
            assert all(isinstance(number, Decimal) for level in top for number in level)

    run()


def leaves(event: Head) -> list[Any]:
    """Every number of a market event, in levels too."""
    if isinstance(event, mf.Disconnected | mf.Connected):
        return []
    found: list[Any] = []
    for value in structs.asdict(event).values():
        found += [n for level in value for n in level] if isinstance(value, tuple) else [value]
    return found


@pytest.mark.parametrize("venue", VENUES)
def test_C04_streams_come_and_go_while_it_runs_and_others_do_not_notice(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue) as b:
            await b.recovered()
            name = f"{venue}:{b.second}"
            depth = 10 if venue == "kraken" else True
            b.feed.subscribe(name, book=depth)  # a second interest
            b.feed.unsubscribe(name, book=depth)
            await b.recovered()
            assert b.epochs(b.second) == [1]
            b.feed.unsubscribe(name, book=depth)
            await b.until(lambda: not b.feed.book(name).live)
            before = len(b.audit.of(mf.BookDelta, symbol=b.first))
            trades = len(b.audit.of(mf.Trade, symbol=b.second))
            await b.until(lambda: len(b.audit.of(mf.BookDelta, symbol=b.first)) > before + 20)
            await b.until(lambda: len(b.audit.of(mf.Trade, symbol=b.second)) > trades)
            b.feed.subscribe(name, book=depth)
            await b.recovered()
            assert b.epochs(b.second) == [1, 2]
            assert b.epochs(b.first) == [1]
            assert len(b.audit.of(mf.Connected)) == 1
            assert b.audit.of(mf.Gap) == []
            void, end = b.audit.of(mf.BookVoid, mf.Unsubscribed)
            assert (void.symbol, void.epoch, void.reason) == (b.second, 1, "unsubscribed")
            assert (type(end), end.symbol, end.channel) == (mf.Unsubscribed, b.second, "book")

    run()


@pytest.mark.parametrize("venue", VENUES)
def test_a_symbol_that_the_venue_does_not_list_is_refused_with_the_nearest(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue) as b:
            typo = b.first.replace("BTC", "BTCC")
            b.feed.subscribe(f"{venue}:{typo}", trades=True)
            with pytest.raises(mf.NotLive, match=f"did you mean {b.first}"):
                await b.feed.live(timeout=10)
            assert b.audit.of(mf.Refused, symbol=typo)
            await b.checked()

    run()


@plain
async def test_the_whole_listing_of_each_venue_can_be_read() -> None:
    async with sim.Simulator(rate=None, symbols=ALL) as plant:
        async with mf.Feed(settings(plant)) as feed:
            for venue in VENUES:
                assert {one.symbol for one in await feed.instruments(venue)} >= set(SYMBOLS[venue])
            feed.subscribe(*(f"{venue}:{SYMBOLS[venue][0]}" for venue in VENUES), trades=True)
            await feed.live(timeout=5)


@plain
async def test_coinbase_an_alias_is_served_beside_the_market_it_shows() -> None:
    async with sim.Simulator(["coinbase"], rate=200, symbols=["BTC-USD", "BTC-USDC"]) as plant:
        async with mf.Feed(settings(plant)) as feed:
            reader = feed.consumer(lambda e: isinstance(e, mf.BookDelta))
            feed.subscribe("BTC-USD", "BTC-USDC", trades=True, book=True)
            await feed.live(timeout=5)
            seen: set[str] = set()
            async with asyncio.timeout(5):
                while len(seen) < 2:
                    seen.add((await anext(aiter(reader))).symbol)


@plain
async def test_I18_readers_that_join_at_any_time_keep_the_same_books() -> None:
    async with bench("binance") as b:
        readers = []
        for _ in range(8):
            readers.append(b.feed.consumer(books=True))
            mark = b.checkers[b.first].checked
            await b.until(lambda mark=mark: b.checkers[b.first].checked > mark + 5)
            for reader in readers:
                while len(reader):
                    await anext(aiter(reader))
        await b.stop()
        await asyncio.sleep(0.1)
        for reader in readers:
            while len(reader):
                await anext(aiter(reader))
            for symbol in (b.first, b.second):
                mine, true = reader.book(f"binance:{symbol}"), b.feed.book(f"binance:{symbol}")
                assert (mine.epoch, mine.seq) == (true.epoch, true.seq)
                assert mine.bids() == true.bids()
                assert mine.asks() == true.asks()


@pytest.mark.parametrize(("loop", "transport"), [("asyncio", "websockets"), ("uvloop", "picows")])
def test_C05_a_blocked_loop_costs_no_connection_where_the_kernel_kept_what_came(loop: str, transport: str) -> None:
    async def venue(plant_ready: Any, stop: Any) -> None:
        async with sim.Simulator(["coinbase"], rate=50, symbols=["BTC-USD"]) as plant:
            plant_ready(plant.endpoints["coinbase"])
            await asyncio.to_thread(stop.wait)

    @on(LOOPS[loop])
    async def run() -> None:
        found: list[Any] = []
        stop = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(venue(found.append, stop)))
        thread.start()
        try:
            await until(lambda: found, 5)
            pace = structs.replace(catalogue.venue("coinbase").pace, silence_s=1.0)
            at = mf.VenueSettings(ws=found[0].ws, rest=found[0].rest, pace=pace)
            async with mf.Feed({"coinbase": at}, transport=transport) as feed:
                audit = Auditor()
                for kind in Head.__subclasses__():
                    feed.on(kind, audit.take)
                feed.subscribe("coinbase:BTC-USD", trades=True, book=True)
                await feed.live(timeout=5)
                for _ in range(2):
                    await asyncio.sleep(0.1)
                    time.sleep(1.2)  # noqa: ASYNC251 # the user's code that blocks the loop is the test
                before = len(audit.events)
                await until(lambda: len(audit.events) > before + 20, 5)
                assert len(audit.of(mf.Connected)) == 1
                assert audit.of(mf.Disconnected, mf.Gap) == []
                assert sum(lag.lag_ns > 10**9 for lag in audit.of(mf.LoopLag)) == 2
        finally:
            stop.set()
            thread.join()

    run()


@plain
async def test_leaving_a_feed_closes_its_links_and_ends_its_readers() -> None:
    async with sim.Simulator(rate=200, symbols=ALL) as plant:
        async with mf.Feed(settings(plant)) as feed:
            feed.subscribe(*(f"{v}:{SYMBOLS[v][0]}" for v in VENUES), trades=True, book=True)
            reader = feed.consumer()
            await feed.live(timeout=5)
        kinds = [type(event) async for event in reader]
        assert kinds.count(mf.Disconnected) == 3
        await until(lambda: not any(plant._server(v).links for v in VENUES), 5)


def test_endpoints_in_clear_text_are_for_loopback_alone() -> None:
    assert set(SCOPE) == set(VENUES)
    for venue in VENUES:
        with pytest.raises(mf.ConfigError, match="use wss://"):
            mf.Feed({venue: mf.VenueSettings(ws="ws://10.0.0.1:80")})
        mf.Feed({venue: mf.VenueSettings(ws="ws://127.0.0.1:80", rest="http://localhost:80")})
