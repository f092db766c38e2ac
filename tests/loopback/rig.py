"""A feed on simulated venues over real sockets, everything it says held against the rules and the oracle."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, sim
from marketfeed.events import Head

from ..fuzz.oracle import KRAKEN_DEPTH, SYMBOLS, Checker, WrongBook
from ..virtual import on, until

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}
VENUES = sorted(SYMBOLS)
ALL = sorted({symbol for symbols in SYMBOLS.values() for symbol in symbols})
SCOPE = {name: catalogue.venue(name).book.scope for name in VENUES}
NEEDLE = {
    "kraken": '"channel":"book","type":"update","data":[{"symbol":"BTC/USD"',
    "binance": '"stream":"btcusdt@depth',
    "coinbase": '"type":"update","product_id":"BTC-USD","updates"',
}
"""What a frame of the first symbol's book contains."""

plain = on(asyncio.SelectorEventLoop)


class Auditor:
    """What must hold of any sequence of events: I1, I2, I4, I14.

    With `renewals` a live book may be replaced by a snapshot of the next epoch: a venue that was asked twice sends two.
    With two `links` a stream the loss of one closes no book.
    """

    def __init__(self, *, renewals: bool = False, links: int = 1) -> None:
        self._renewals = renewals or links > 1
        self._links = links
        self.events: list[Head] = []
        self._open: dict[str, tuple[int, int]] = {}
        self._epochs: dict[str, int] = {}
        self._gone: dict[str, set[str]] = {}
        self._seq_local = 0

    def take(self, event: Head) -> None:
        assert event.seq_local > self._seq_local, "seq_local grows"
        self._seq_local = event.seq_local
        self.events.append(event)
        name = f"{event.venue}:{event.symbol}"
        if isinstance(event, mf.BookSnapshot):
            again = self._renewals or name not in self._open
            assert again, f"{name}: a new epoch without a word about the old one"
            assert event.epoch > self._epochs.get(name, 0)
            self._epochs[name] = event.epoch
            self._open[name] = (event.epoch, event.seq)
            self._check_sides(event)
        elif isinstance(event, mf.BookDelta):
            assert (event.epoch, event.prev_seq) == self._open.get(name), f"{name}: a delta that follows nothing"
            self._open[name] = (event.epoch, event.seq)
        elif isinstance(event, mf.BookVoid):
            assert event.epoch == self._open.pop(name)[0]
            self._gone.get(event.venue, set()).discard(name)
        elif isinstance(event, mf.Disconnected) and event.code:  # 0: it never stood, as one that was to take over
            ours = event.reason.startswith(("closed by us", "replaced by")) or event.link == "rest" or self._links > 1
            self._gone[event.venue] = {n for n in self._open if n.startswith(f"{event.venue}:") and not ours}
        elif isinstance(event, mf.Connected):
            still = self._gone.pop(event.venue, set()) & set(self._open)
            assert not still, f"books still open after a lost link: {still}"

    def _check_sides(self, event: mf.BookSnapshot[Any]) -> None:
        bids, asks = [p for p, _ in event.bids], [p for p, _ in event.asks]
        assert bids == sorted(set(bids), reverse=True)
        assert asks == sorted(set(asks))
        assert all(size > 0 for _, size in (*event.bids, *event.asks))

    def of(self, *kinds: type[Head], symbol: str = "") -> list[Any]:
        return [e for e in self.events if isinstance(e, kinds) and symbol in ("", e.symbol)]

    def gaps(self) -> set[str]:
        return {f"{gap.symbol}:{gap.channel}" for gap in self.of(mf.Gap)}


class Bench:
    """One venue, two symbols, all channels, a market that moves while the test waits."""

    def __init__(self, venue: str, plant: sim.Simulator, feed: mf.Feed) -> None:
        self.venue = venue
        self.plant = plant
        self.feed = feed
        self.first, self.second = SYMBOLS[venue]
        self.audit = Auditor()
        self.checkers: dict[str, Checker] = {}
        self.wrong: list[BaseException] = []
        self._pump: asyncio.Task[None] | None = None

    def subscribe(self) -> None:
        for symbol in (self.first, self.second):
            depth = KRAKEN_DEPTH if self.venue == "kraken" else None
            name = f"{self.venue}:{symbol}"
            oracle = self.plant.oracle(self.venue, symbol)
            self.checkers[symbol] = Checker(self.feed, name, oracle, by_seq=self.venue == "binance", depth=depth)
            self.feed.subscribe(name, trades=True, ticker=True, book=depth or True)
        for kind in Head.__subclasses__():
            self.feed.on(kind, self._take)

    def _take(self, event: Head) -> None:
        try:
            self.audit.take(event)
            if isinstance(event, mf.BookSnapshot | mf.BookDelta):
                self.checkers[event.symbol].take(event)
        except (AssertionError, KeyError, WrongBook) as exc:
            self.wrong.append(exc)

    def move(self) -> None:
        """Let the market run on by itself until the bench ends."""

        async def pump() -> None:
            while True:
                await self.plant.step(3)
                await asyncio.sleep(0.001)

        self._pump = asyncio.create_task(pump())

    async def stop(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> None:
        await until(lambda: self.wrong or condition(), seconds, 0.005)
        self.check()

    def check(self) -> None:
        if self.wrong:
            raise self.wrong[0]

    async def recovered(self) -> None:
        """Everything flows, and each book has been checked a good while longer."""
        await self.until(lambda: not self.feed.waiting())
        await self.checked()

    async def checked(self, *symbols: str) -> None:
        """The books of these symbols (of both) have each been checked twenty times more."""
        marks = {symbol: self.checkers[symbol].checked for symbol in symbols or self.checkers}
        await self.until(lambda: all(self.checkers[s].checked > mark + 20 for s, mark in marks.items()))

    def epochs(self, symbol: str) -> list[int]:
        return [e.epoch for e in self.audit.of(mf.BookSnapshot, symbol=symbol)]


@asynccontextmanager
async def bench(
    venue: str, faults: str = "", *, pace: Any = None, care: Any = None, **options: Any
) -> AsyncIterator[Bench]:
    """A bench whose market moves; faults, pace and settings (`care`) as a test wants them. It checks all events."""
    async with sim.Simulator([venue], seed=7, faults=faults, rate=None, symbols=SYMBOLS[venue]) as plant:
        at = plant.endpoints[venue]
        paced = structs.replace(catalogue.venue(venue).pace, **(pace or {}))
        settings = mf.VenueSettings(ws=at.ws, rest=at.rest, pace=paced, max_resyncs=100, **(care or {}))
        async with mf.Feed({venue: settings}, dice=lambda: 0.02, **options) as feed:
            one = Bench(venue, plant, feed)
            one.subscribe()
            one.move()
            try:
                yield one
            finally:
                await one.stop()
            one.check()
            assert not plant.breaches
