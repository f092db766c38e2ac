"""The simulated chain of a plant, and the sources that tell it: `plant.chain`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from ..errors import ConfigError
from .bitcoind import Bitcoind
from .chain import START_BITS, START_HEIGHT, SimChain
from .chain_block import BLOCK_S as BITCOIN_BLOCK_S
from .chain_block import EPOCH, ChainStep
from .chain_server import ChainServer
from .chain_view import ChainView
from .chain_wire import ChainDialect
from .conduct import Conduct, read
from .faults import Troubles
from .mempool import Mempool

if TYPE_CHECKING:
    from .plant import Plant

SOURCES: dict[str, type[ChainDialect]] = {one.NAME: one for one in (Mempool, Bitcoind)}
BLOCK_S = 10.0
"""Seconds between blocks where nobody says: a sixtieth of Bitcoin's, so that people see some."""


class ChainSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a plant's chain is like; see `SimChain`. `start` is Unix s, None for the plant's clock.

    Blocks come every `block_time` seconds. With Bitcoin's own epochs its difficulty is of a chain that aims at 600 s
    all the same, so that forecasts made for Bitcoin fit; with others the chain aims at `block_time`.
    """

    block_time: float = BLOCK_S
    retarget_every: int = EPOCH
    height: int = START_HEIGHT
    bits: int = START_BITS
    start: float | None = None
    drift: float = 0.01
    fee_spikes: float = 0.01
    reorgs: float = 0.005


class Sources:
    """A chain, its sources' servers, and the hand that moves them; a plant makes it.

        plant = sim.Simulator(["kraken", "mempool", "bitcoind"], rate=None, chain=sim.ChainSettings(block_time=600))
        async with plant:
            await plant.chain.mine(3)
            await plant.chain.behave("mempool", "lag=2")
            plant.chain.truth.tip.height

    Both sources tell one chain. Where the plant's `rate` is None, it moves when `advance()`, `mine()` or
    `reorg()` say so, else with the plant's clock.
    """

    def __init__(
        self,
        names: Iterable[str],
        settings: ChainSettings,
        plant: Plant,
        *,
        seed: int,
        by_hand: bool,
    ) -> None:
        hasty = settings.retarget_every == EPOCH and 1 <= settings.block_time < BITCOIN_BLOCK_S
        self.truth = SimChain(
            seed,
            start=plant.clock() / 1e9 if settings.start is None else settings.start,
            height=settings.height,
            bits=settings.bits,
            block_time=BITCOIN_BLOCK_S if hasty else settings.block_time,
            haste=BITCOIN_BLOCK_S / settings.block_time if hasty else 1.0,
            retarget_every=settings.retarget_every,
            drift=settings.drift,
            fee_spikes=settings.fee_spikes,
            reorgs=settings.reorgs,
        )
        """The true chain."""
        self.block_time = settings.block_time
        self.servers: dict[str, ChainServer] = {}
        self._views: dict[str, ChainView] = {}
        self._now = plant.now
        self._by_hand = by_hand
        self._injected = plant.injected
        for name in names:
            view = self._views[name] = ChainView(self.truth, Conduct())
            troubles = Troubles(plant.faults, name, plant.injected, plant.breaches)
            self.servers[name] = ChainServer(
                SOURCES[name](view, troubles, by_hand=by_hand),
                faults=plant.faults,
                seed=f"{seed}:{name}",
                injected=plant.injected,
                now=plant.now,
            )
        self._deeds = sorted(plant.faults.conduct, key=lambda deed: deed.after_s)
        for deed in self._deeds:
            self._check(deed.source, deed.what)

    def __repr__(self) -> str:
        return f"Sources({self.truth!r}, {', '.join(self.servers)})"

    def view(self, source: str) -> ChainView:
        """The chain as a source knows it; `ConfigError` where there is none of that name."""
        if source not in self._views:
            raise ConfigError(f"this plant has no source {source!r}; there are {', '.join(self._views)}")
        return self._views[source]

    async def behave(self, source: str, what: str) -> None:
        """Let a source lag, lie, fail or be well again; `what` is as in `conduct`. Raises `ConfigError`."""
        self._check(source, what)
        await self.servers[source].behave(what)
        if read(what)[0] != "well":
            self._injected[f"{source}:{read(what)[0]}"] += 1

    async def advance(self, seconds: float) -> list[ChainStep]:
        """Let so much of the chain's time pass, and wait until all that is told is handed to the sockets."""
        steps = await self._to(self.truth.now + seconds)
        await self._drained()
        return steps

    async def mine(self, count: int = 1) -> list[ChainStep]:
        """Let time pass until `count` more blocks have come (of which a reorg may replace some)."""
        steps = []
        for _ in range(count):
            steps += await self._to(self.truth.next_at)
        await self._drained()
        return steps

    async def reorg(self, depth: int = 1) -> ChainStep:
        """Replace the last `depth` blocks now; raises `ConfigError` as `SimChain.reorg` does."""
        step = self.truth.reorg(depth)
        await self._tell()
        await self._drained()
        return step

    async def beat(self, elapsed_s: float) -> None:
        """What is due: scripted conduct, and blocks where the clock makes them."""
        while self._deeds and elapsed_s >= self._deeds[0].after_s:
            deed = self._deeds[0]
            try:
                await self.behave(deed.source, deed.what)
            except OSError:
                break  # somebody has its port: it stays down until that is free
            self._deeds.pop(0)
        if not self._by_hand:
            await self._to(self._now().unix / 1e9)

    async def _to(self, unix_s: float) -> list[ChainStep]:
        """Move to a time block by block, so that each is told by itself."""
        steps = []
        while self.truth.next_at <= unix_s:
            steps += self.truth.advance(self.truth.next_at)
            await self._tell()
        self.truth.advance(unix_s)
        return steps

    async def _tell(self) -> None:
        for server in self.servers.values():
            await server.tell()

    async def _drained(self) -> None:
        for server in self.servers.values():
            await server.drained()

    def _check(self, source: str, what: str) -> None:
        self.view(source)
        if read(what)[0] == "warmup" and source != Bitcoind.NAME:
            raise ConfigError(f"{source} does not warm up: that is bitcoind's")
