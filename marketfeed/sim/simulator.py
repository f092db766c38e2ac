"""The made-up venues: their markets and what moves them, and the chain beside them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from marketfeed.errors import ConfigError

from .faults import Faults, Troubles
from .instruments import INSTRUMENTS
from .market import Market
from .oracle import Oracle
from .plant import DIALECTS, Plant
from .server import VenueServer
from .sources import SOURCES, ChainSettings, Sources

PATIENCE_S = 10.0
"""How long a running market waits for a client that does not read, before it cuts it."""


class Simulator(Plant):
    """Made-up venues that speak the real ones' protocols.

        async with Simulator(["kraken", "binance"], seed=7, faults="drop=0.1%", rate=50) as plant:
            plant.endpoints["kraken"].ws

    `rate` is market steps a second for every symbol; None means that nothing moves until `step()`, and
    then the same seed and the same steps give the same frames. `symbols` limits what is listed, `ports`
    fixes a venue's port, `clock` gives Unix ns, and each market's oracle remembers `keep` changes. Raises
    `ConfigError` for names and faults unknown.

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
        keep: int = 100_000,
    ) -> None:
        super().__init__(faults, clock)
        self._rate = _checked(rate)
        self._running: asyncio.Task[None] | None = None
        self._keep = keep
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
            self._sources = Sources(sources, chain or ChainSettings(), self, seed=seed, by_hand=rate is None)
            self._servers |= self._sources.servers
        elif chain is not None or self.faults.conduct:
            raise ConfigError(f"a chain needs a source that tells it: {' or '.join(SOURCES)}")

    def _add(self, venue: str, seed: int, wanted: set[str] | None) -> None:
        kind = DIALECTS[venue]
        markets = self._markets[venue] = {
            one.symbol: Market(
                one,
                f"{seed}:{venue}:{one.symbol}",
                resolution=kind.RESOLUTION_NS,
                by_update_id=kind.BY_UPDATE_ID,
                keep=self._keep,
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
        self.pace(self._rate)
        return self

    def pace(self, rate: float | None) -> None:
        """Move so many steps a second from now on; None: not until `step()`. Raises as for `rate`."""
        _checked(rate)
        if self._running is not None:
            self._running.cancel()
            self._tasks.remove(self._running)
            self._running = None
        if rate is not None:
            self._running = asyncio.create_task(self._run(rate))
            self._tasks.append(self._running)

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
            if market.instrument.alias is None and market.listed
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


def _checked(rate: float | None) -> float | None:
    if rate is not None and not 0 < rate <= 100_000:
        raise ConfigError(f"rate is steps a second, above 0 and up to 100000, or None; got {rate}")
    return rate
