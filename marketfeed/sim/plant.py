"""Servers that run together on loopback, the beat that drives their timers, and which venues there are."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from marketfeed.errors import ConfigError

from .bad_frames import BAD_FRAMES
from .binance import Binance
from .coinbase import Coinbase
from .faults import NOTICE_S, ONCE, PINGS, WHAT, Faults, Scripted
from .kraken import Kraken
from .link import Link
from .server import Endpoint, VenueServer
from .wire import Dialect, Hangup, Now, Ping

DIALECTS: dict[str, type[Dialect]] = {one.NAME: one for one in (Kraken, Binance, Coinbase)}
BEAT_S = 0.05
"""How often heartbeats, batches and scripted faults are looked at."""


class Plant:
    """Servers on loopback, between `async with` and its end. See `Simulator` and `serve_capture`."""

    def __init__(self, faults: str | Faults, clock: Callable[[], int]) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        """By venue; filled when the plant runs."""
        self.injected: Counter[str] = Counter()
        """How many faults of each kind were done."""
        self.breaches: Counter[str] = Counter()
        """How often a client broke a venue's rule, as `venue:rule`."""
        self.faults = Faults.parse(faults) if isinstance(faults, str) else faults
        self.clock = clock
        """Gives Unix ns."""
        self._last = 0
        self._servers: dict[str, VenueServer] = {}
        self._ports: Mapping[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._timers: list[asyncio.TimerHandle] = []

    def now(self) -> Now:
        """The time; `unix` never repeats, whatever the clock does."""
        self._last = max(self.clock(), self._last + 1)
        return Now(self._last, asyncio.get_running_loop().time())

    def inject(self, venue: str, kind: str, where: str = "") -> None:
        """Do one fault on every open connection of a venue: those of a data frame on the next one, all others now.

        `where` is a text that the frame must contain, such as `"book"`; of mute the channel, of close the code, of
        frame its name in `BAD_FRAMES`, of digits and delist the market, where there is one. Raises `ConfigError` for
        what is unknown.
        """
        if kind not in ONCE:
            raise ConfigError(f"no fault is called {kind!r}; there are {', '.join(ONCE)}")
        if kind in WHAT and not WHAT[kind](where):
            raise ConfigError(f"the fault {kind!r} cannot be of {where!r}")
        if kind in ("digits", "delist"):
            self._relist(venue, kind, where)
            return
        links = list(self._server(venue).links)
        if kind == "shutdown":
            self.announce_shutdown(venue)
        for link in links:
            self._strike(venue, link, kind, where)

    def _strike(self, venue: str, link: Link, kind: str, where: str) -> None:
        match kind:
            case "cut":
                link.abort()
            case "mute":
                link.conversation.muted.update(f"{where}:{symbol}" for symbol in self._server(venue).dialect.markets)
            case "close":
                link.say(Hangup(int(where), "on purpose"))
            case "frame":
                link.throw(BAD_FRAMES[where])
            case "pings":
                link.say(*[Ping()] * PINGS)
            case "shutdown":
                end = Hangup(1001, "going away")
                self._timers.append(asyncio.get_running_loop().call_later(NOTICE_S, link.say, end))
            case _:
                link.gremlin.arm(kind, where)
                return
        self.injected[kind] += 1

    def _relist(self, venue: str, kind: str, symbol: str) -> None:
        market = self._server(venue).dialect.markets.get(symbol)
        if market is None:
            return
        self.injected[kind] += 1
        if kind == "delist":
            market.listed = False
        else:
            market.refine()

    def turn_away(self, venue: str, status: int, count: int = 1) -> None:
        """Answer the next handshakes at a venue with this status: 403, 418 and 429 with a Retry-After."""
        self._server(venue).dialect.troubles.turn_away(status, count)

    def announce_shutdown(self, venue: str) -> None:
        """Tell every client that this server is about to go, where the venue has words for it (Binance)."""
        for link in list(self._server(venue).links):
            link.offer(link.conversation.shutdown_notice(self.now()))

    async def __aenter__(self) -> Self:
        try:
            for venue, server in self._servers.items():
                self.endpoints[venue] = await server.start(self._ports.get(venue, 0))
        except OSError:
            await self._stop()
            raise
        self._tasks.append(asyncio.create_task(self._beat()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*(server.stop() for server in self._servers.values()))

    def _server(self, venue: str) -> VenueServer:
        if venue not in self._servers:
            raise ConfigError(f"this plant has no {venue!r}; there are {', '.join(self._servers)}")
        return self._servers[venue]

    async def _beat(self) -> None:
        """Timers of all links, and the faults whose time has come."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        script = sorted(self.faults.script, key=lambda one: one.after_s)
        while True:
            while script and loop.time() - start >= script[0].after_s:
                self._happen(script.pop(0))
            for server in self._servers.values():
                for link in list(server.links):
                    if not link.full:
                        link.offer(link.conversation.on_tick(self.now()), timed=True)
            await self._on_beat(loop.time() - start)
            await asyncio.sleep(BEAT_S)

    async def _on_beat(self, elapsed_s: float) -> None:
        """What else is due, so long after the start."""

    def _happen(self, fault: Scripted) -> None:
        for venue in self._servers:
            self.inject(venue, fault.kind, fault.what)
