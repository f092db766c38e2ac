"""Simulated venues that run together: their markets, their servers, the beat that drives them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from marketfeed.errors import ConfigError

from .binance import Binance
from .coinbase import Coinbase
from .faults import ONCE, Faults, Scripted, Troubles
from .instruments import INSTRUMENTS
from .kraken import Kraken
from .market import Market
from .oracle import Oracle
from .server import Endpoint, VenueServer
from .sources import SOURCES, ChainSettings, Sources
from .wire import Dialect, Now

DIALECTS: dict[str, type[Dialect]] = {one.NAME: one for one in (Kraken, Binance, Coinbase)}
BEAT_S = 0.05
"""How often heartbeats, batches and scripted faults are looked at."""
PATIENCE_S = 10.0
"""How long a running market waits for a client that does not read, before it cuts it."""


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
        self._clock = clock
        self._last = 0
        self._servers: dict[str, VenueServer] = {}
        self._ports: Mapping[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def now(self) -> Now:
        """The time; `unix` never repeats, whatever the clock does."""
        self._last = max(self._clock(), self._last + 1)
        return Now(self._last, asyncio.get_running_loop().time())

    def inject(self, venue: str, kind: str, where: str = "") -> None:
        """Do one fault on every open connection of a venue: cut and stall now, others on the next data frame.

        `where` is a text that the frame must contain, such as `"book"`. Raises `ConfigError` for an unknown kind.
        """
        if kind not in ONCE:
            raise ConfigError(f"no fault is called {kind!r}; there are {', '.join(ONCE)}")
        for link in list(self._server(venue).links):
            if kind == "cut":
                self.injected[kind] += 1
                link.abort()
            else:
                link.gremlin.arm(kind, where)

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
            self.inject(venue, fault.kind)


class Simulator(Plant):
    """Made-up venues that speak the real ones' protocols.

        async with Simulator(["kraken", "binance"], seed=7, faults="drop=0.1%", rate=50) as plant:
            plant.endpoints["kraken"].ws

    `rate` is market steps a second for every symbol; None means that nothing moves until `step()`, and
    then the same seed and the same steps give the same frames. `symbols` limits what is listed, `ports`
    fixes a venue's port, `clock` gives Unix ns. Raises `ConfigError` for names and faults unknown.

    `mempool` and `bitcoind` among the venues tell one simulated chain: `chain` sets it, `.chain` moves it.
    """

    def __init__(
        self,
        venues: Iterable[str] = tuple(DIALECTS),
        *,
        seed: int = 0,
        faults: str | Faults = "",
        rate: float | None = 50.0,
        symbols: Iterable[str] | None = None,
        ports: Mapping[str, int] | None = None,
        chain: ChainSettings | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(faults, clock)
        if rate is not None and not 0 < rate <= 100_000:
            raise ConfigError(f"rate is steps a second, above 0 and up to 100000, or None; got {rate}")
        self._rate = rate
        self._ports = ports or {}
        self._markets: dict[str, dict[str, Market]] = {}
        wanted = None if symbols is None else set(symbols)
        sources = []
        for venue in venues:
            if venue in SOURCES:
                sources.append(venue)
            elif venue in DIALECTS:
                self._add(venue, seed, wanted)
            else:
                known = ", ".join((*DIALECTS, *SOURCES))
                raise ConfigError(f"no simulated venue is called {venue!r}; there are {known}")
        self._sources: Sources | None = None
        if sources:
            self._sources = Sources(
                sources,
                chain or ChainSettings(),
                seed=seed,
                faults=self.faults,
                injected=self.injected,
                breaches=self.breaches,
                now=self.now,
                start_ns=clock(),
                by_hand=rate is None,
            )
            self._servers |= self._sources.servers
        elif chain is not None or self.faults.conduct:
            raise ConfigError(f"a chain needs a source that tells it: {' or '.join(SOURCES)}")

    def _add(self, venue: str, seed: int, wanted: set[str] | None) -> None:
        kind = DIALECTS[venue]
        markets = self._markets[venue] = {
            one.symbol: Market(
                one, f"{seed}:{venue}:{one.symbol}", resolution=kind.RESOLUTION_NS, by_update_id=kind.BY_UPDATE_ID
            )
            for one in INSTRUMENTS[venue]
            if wanted is None or one.symbol in wanted or one.alias in wanted
        }
        # An alias shows another market's book: without that market it shows nothing.
        for one in [market.instrument for market in markets.values()]:
            if one.alias is not None and one.alias not in markets:
                del markets[one.symbol]
        if not markets:
            raise ConfigError(f"the simulated {venue} lists none of {', '.join(sorted(wanted or ()))}")
        dialect = kind(markets, Troubles(self.faults, venue, self.injected, self.breaches), by_hand=self._rate is None)
        self._servers[venue] = VenueServer(
            dialect,
            faults=self.faults,
            seed=f"{seed}:{venue}",
            injected=self.injected,
            now=self.now,
        )

    async def __aenter__(self) -> Self:
        for market in self._moving():
            market[1].open(self.now().unix)
        await super().__aenter__()
        if self._rate is not None:
            self._tasks.append(asyncio.create_task(self._run(self._rate)))
        return self

    @property
    def chain(self) -> Sources:
        """The simulated chain, where the plant has one; raises `ConfigError` where it has none."""
        if self._sources is None:
            raise ConfigError(f"this plant has no chain: start it with {' or '.join(SOURCES)}")
        return self._sources

    async def _on_beat(self, elapsed_s: float) -> None:
        if self._sources is not None:
            await self._sources.beat(elapsed_s)

    def oracle(self, venue: str, symbol: str) -> Oracle:
        """The true book of a symbol; an alias has the oracle of what it shows. `ConfigError` where it is not listed."""
        self._server(venue)
        listed = self._markets.get(venue, {})
        market = listed.get(symbol)
        if market is None:
            raise ConfigError(f"the simulated {venue} has no {symbol}; it lists {', '.join(listed) or 'no markets'}")
        alias = market.instrument.alias
        return market.oracle if alias is None else self._markets[venue][alias].oracle

    async def step(self, count: int = 1) -> None:
        """Move every market by `count` steps and wait until all frames are handed to the sockets.

        It waits for clients that read slowly: with one that never reads, it never returns.
        """
        for _ in range(count):
            self._move()
            await self._room(None)
        for server in self._servers.values():
            await server.drained()

    def _moving(self) -> list[tuple[VenueServer, Market]]:
        """Every market that moves by itself, with its venue: aliases do not."""
        return [
            (self._servers[venue], market)
            for venue, markets in self._markets.items()
            for market in markets.values()
            if market.instrument.alias is None
        ]

    def _move(self) -> None:
        for server, market in self._moving():
            now = self.now()
            step = market.step(now.unix)
            for link in list(server.links):
                link.offer(link.conversation.on_step(step, now))

    async def _room(self, patience_s: float | None) -> None:
        """Let the loop turn, so that clients are heard between two steps, and wait for those that lag."""
        await asyncio.sleep(0)
        for server in self._servers.values():
            await server.room(patience_s)

    async def _run(self, rate: float) -> None:
        """Steps at `rate` a second; what back-pressure costs is not made up for."""
        loop = asyncio.get_running_loop()
        owed, last = 0.0, loop.time()
        while True:
            await asyncio.sleep(max(1.0 / rate, 0.005))
            owed, last = min(owed + (loop.time() - last) * rate, max(1.0, rate * 0.25)), loop.time()
            while owed >= 1.0:
                owed -= 1.0
                self._move()
                await self._room(PATIENCE_S)
