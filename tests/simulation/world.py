"""One seed's world: simulated venues and a real feed on a virtual network, and what must hold of them at any time.

Nothing here waits for the machine, so one seed is one run and one digest of all its events.
"""

import asyncio
import hashlib
import re
from collections import Counter
from random import Random
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

import marketfeed as mf
from marketfeed import sim
from marketfeed.book import BookSide
from marketfeed.events import Head
from marketfeed.sync import MAX_BUFFERED
from marketfeed.testing import LoopClock, Network, Way

from ..fuzz.oracle import KRAKEN_DEPTH, SYMBOLS, Checker
from ..loopback.rig import Auditor
from .connect_proxy import ConnectProxy
from .ledger import Ledger
from .manners import Door, Manners, Rest
from .tape import RawTape

OURS = re.compile(":(pong|slow reader|first subscribe|early)$")
"""What a client is blamed for where its network is to blame; `Manners` know who was told to stay away."""


class WakingLoopClock(LoopClock):
    """Has the feed watch over its loop, so that sleeps and stalls are told."""

    def asleep_ns(self) -> int:
        return 0  # where the loop's time jumps, the monotonic clock knows of it


class World:
    """Venues, feed and checks, between `async with` and its end; made on a `VirtualLoop` with `network`."""

    def __init__(
        self,
        seed: int,
        venues: list[str],
        network: Network,
        *,
        rate: float = 1.0,
        faults: str = "",
        taped: bool = False,
        ticker: bool = True,
        proxied: bool = False,
        **options: Any,
    ) -> None:
        self.venues = venues
        self.network = network
        self.rate = rate
        self.dice = Random(f"world {seed}")
        self.clock = WakingLoopClock()
        self.manners = Manners(self.clock, round(sim.Faults.parse(faults).retry_after))
        self.rest = Rest(self.clock, self.manners)
        self.audit = Auditor(renewals=True)
        self.audits: list[Auditor] = []
        """Those of readers."""
        self.ledger = Ledger()
        self.resting: set[str] = set()
        self.checkers: dict[str, Checker] = {}
        self.wrong: list[str] = []
        self.struck: Counter[str] = Counter()
        self.hit: set[str] = set()
        """Markets whose book was void, venues that were left or not understood, since whoever asks made it empty."""
        self.events = self.lived_again = 0
        self._deltas: dict[str, mf.BookDelta[float]] = {}
        self._taped = taped
        self._tape: RawTape | None = None
        self.names = [f"{venue}:{symbol}" for venue in venues for symbol in SYMBOLS[venue]]
        self.plant = sim.Simulator(
            venues,
            seed=seed,
            faults=faults,
            rate=rate,
            symbols=sorted({symbol for venue in venues for symbol in SYMBOLS[venue]}),
            clock=LoopClock().unix_ns,
        )
        self._ticker = ticker
        self.proxy = ConnectProxy() if proxied else None
        self._options = options
        self._digest = hashlib.sha256()
        self._encode = msgspec.json.Encoder().encode
        self.feed: mf.Feed

    async def __aenter__(self) -> Self:
        await self.plant.__aenter__()
        if self.proxy is not None:
            await self.proxy.__aenter__()
        settings = {}
        for venue in self.venues:
            at = self.plant.endpoints[venue]
            proxy = self.proxy and self.proxy.url
            settings[venue] = mf.VenueSettings(ws=at.ws.replace("127.0.0.1", "localhost"), rest=at.rest, proxy=proxy)
        options: dict[str, Any] = {"transport": Door(self.manners), "rest": self.rest, "clock": self.clock}
        self.feed = mf.Feed(settings, dice=self.dice.random, **(options | self._options))
        await self.feed.__aenter__()
        if self._taped:
            self._tape = RawTape(self.feed, self.clock)
        for name in self.names:
            venue, symbol = name.split(":")
            depth = KRAKEN_DEPTH if venue == "kraken" else None
            oracle = self.plant.oracle(venue, symbol)
            self.checkers[name] = Checker(self.feed, name, oracle, by_seq=venue == "binance", depth=depth)
            self.subscribe(name)
        for kind in Head.__subclasses__():
            self.feed.on(kind, self._take)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.feed.__aexit__(kind, exc, traceback)
        if self.proxy is not None:
            await self.proxy.__aexit__()
        await self.plant.__aexit__(kind, exc, traceback)
        if self._tape is not None and exc is None:
            self.lived_again = self._tape.lived_again()

    def port(self, venue: str) -> int:
        return urlsplit(self.plant.endpoints[venue].ws).port or 0

    def way(self, venue: str) -> Way:
        return self.network.way(self.port(venue))

    def subscribe(self, name: str) -> None:
        self.resting.discard(name)
        depth = KRAKEN_DEPTH if name.startswith("kraken:") else True
        self.feed.subscribe(name, trades=True, ticker=self._ticker, book=depth)

    def unsubscribe(self, name: str) -> None:
        self.resting.add(name)
        self.feed.unsubscribe(name, trades=True, ticker=self._ticker, book=True)
        self.ledger.forget(name)

    @property
    def live(self) -> bool:
        """Whether everything that is wanted flows."""
        return not self.feed.waiting()

    @property
    def proven(self) -> bool:
        """Whether every book is live."""
        return all(self.feed.book(name).live for name in self.names)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()[:16]

    def _take(self, event: Head) -> None:
        self.events += 1
        self._digest.update(self._encode(event))
        try:
            self.audit.take(event)
            self.ledger.take(event)
            if isinstance(event, mf.BookSnapshot | mf.BookDelta):
                self.checkers[f"{event.venue}:{event.symbol}"].take(event)
                if isinstance(event, mf.BookDelta):
                    self._deltas[f"{event.venue}:{event.symbol}"] = event
            elif isinstance(event, mf.BookVoid | mf.Disconnected | mf.Malformed):
                self.hit.add(f"{event.venue}:{event.symbol}")
        except (AssertionError, KeyError) as exc:
            self.wrong.append(f"{exc!r} at {event!r}"[:2_000])
        if len(self.audit.events) > 10_000:
            del self.audit.events[:5_000]

    def look(self, *, deep: bool = False) -> None:
        """Check what can be seen from outside, now; `deep` compares whole books (I3, I4, I10, I11, I12)."""
        if self._tape is not None:
            self._tape.step()
        self.wrong += filter(None, (self.rest.wrong, self.manners.wrong))
        if broken := {rule: n for rule, n in self.plant.breaches.items() if not OURS.search(rule)}:
            self.wrong.append(f"rules of venues broken: {broken}")
        for runner in self.feed._runners.values():
            for session in runner.sessions():
                if session.counts.decoded < 0:
                    self.wrong.append(f"I13: frames counted twice: {session.counts}")
                for sync in session.books.values():
                    if len(sync._buffer) > MAX_BUFFERED or sync._held > sync._buffer_bytes:
                        self.wrong.append(f"I5: {sync!r}")
        if deep:
            for name in self.names:
                self._compare(name)
        if self.wrong:
            raise AssertionError("\n".join(self.wrong[:3]))

    def _compare(self, name: str) -> None:
        view, checker = self.feed.book(name), self.checkers[name]
        if not view.live:
            return
        bids, asks = view.bids(), view.asks()
        if [p for p, _ in bids] != sorted({p for p, _ in bids}, reverse=True):
            self.wrong.append(f"I4: bids of {name}")
        if [p for p, _ in asks] != sorted({p for p, _ in asks}) or any(size <= 0 for _, size in (*bids, *asks)):
            self.wrong.append(f"I4: {name}")
        key = view.seq if name.startswith("binance:") else view.ts_event
        if key and (difference := checker._difference(view, key)):
            self.wrong.append(f"I3: {name} at {key}: {difference}")
        delta = self._deltas.get(name)
        if delta is not None and (delta.epoch, delta.seq) == (view.epoch, view.seq):
            for levels, changes, rising in ((bids, delta.bids, False), (asks, delta.asks, True)):
                twin: BookSide[float] = BookSide(asks=rising)
                twin.load(levels)
                twin.apply([*changes, (1e-9, 0.0)])
                if twin.all() != tuple(levels):
                    self.wrong.append(f"I10, I11: the last delta again, or a level that is not there: {name}")

    async def run(self, seconds: float, *, look_s: float = 1.0, deep_s: float = 20.0) -> None:
        """Let time pass and look at every step."""
        loop = asyncio.get_running_loop()
        end, deep = loop.time() + seconds, loop.time() + deep_s
        while loop.time() < end:
            await asyncio.sleep(min(look_s, end - loop.time()))
            self.look(deep=loop.time() >= deep)
            if loop.time() >= deep:
                deep = loop.time() + deep_s

    async def until_live(self, budget_s: float, step_s: float = 0.01) -> float:
        """Wait until all is live (I9); returns the seconds it took. AssertionError where the budget is not enough."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self.live:
            if loop.time() - began >= budget_s:
                raise AssertionError(f"I9: not live after {budget_s:g} s: {self.feed.waiting()}")
            await asyncio.sleep(step_s)
        return loop.time() - began
