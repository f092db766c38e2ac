"""A made-up Bitcoin chain: blocks at Poisson times, retargets by the real rule, fee spikes, reorgs.

Pure: dice are seeded, time is told. The same seed and the same times told give the same chain; how often
`advance()` is called changes nothing.
"""

from __future__ import annotations

from hashlib import sha256
from math import exp, log
from random import Random

import msgspec

from ..errors import ConfigError
from ..mining.compact import target_from_bits, work
from .chain_block import BLOCK_S, EPOCH, ChainStep, SimBlock, retarget, subsidy_at

START_HEIGHT = 969_990
START_BITS = 0x1702_1EF0
"""Height and difficulty (132716002350731.27) of the real chain on 2026-10-05."""
HISTORY = 2_100
"""Blocks there are at least below the start: what a source can be asked for."""
DEEPEST = 100
"""Blocks that a reorg may replace."""
SPIKE = 20
"""Times the usual fees, while a spike lasts."""
USUAL_FEES = 2_500_000
_GENESIS = 1_000_000_000


class SimChain:
    """The true chain: `tip`, `best()`, `orphans`, and `advance()` and `reorg()` that move it."""

    def __init__(
        self,
        seed: int | str = 0,
        *,
        coin: str = "BTC",
        start: float,
        height: int = START_HEIGHT,
        bits: int = START_BITS,
        block_time: float = BLOCK_S,
        haste: float = 1.0,
        retarget_every: int = EPOCH,
        drift: float = 0.01,
        fee_spikes: float = 0.01,
        reorgs: float = 0.005,
    ) -> None:
        """A chain whose tip at `start` (Unix s) is at `height`.

        `bits` are those of the first block of its history, an epoch or more before; what holds at `height`
        follows from there. `block_time` is what the retarget aims at, in seconds; from `start` on blocks come `haste`
        times as fast, as if so much more were mining. `drift` how much the
        hashrate grows in 2016 blocks' time (0.01 is 1 %), `fee_spikes` and `reorgs` the chance per block that one
        begins. Raises `ConfigError` for what cannot be.
        """
        _check(coin, height, bits, block_time, retarget_every, drift, fee_spikes, reorgs)
        self.coin = coin
        self.block_time = block_time
        self.retarget_every = retarget_every
        self.aimed_s = round(block_time * retarget_every)
        """Seconds that an epoch is aimed to take."""
        self.orphans: list[SimBlock] = []
        """Every block that was on the best chain once and is no more, in the order they were lost."""
        self._seed = f"{seed}:{coin}"
        self._rng = Random(self._seed)
        self._drift, self._spikes, self._reorgs = drift, fee_spikes, reorgs
        self._haste = 1.0
        self._branch = self._spike = 0
        self._blocks: list[SimBlock] = []
        self._known: dict[str, SimBlock] = {}
        self._hashes_s = work(bits) / block_time
        self._since = self._next_at = self.now = float(_GENESIS)
        self._grow_history(height, bits, start)
        self._haste = haste
        self._schedule(self.now)

    def __repr__(self) -> str:
        return f"SimChain({self.coin}, tip {self.tip.height}, bits {self.tip.bits:08x}, {len(self.orphans)} orphans)"

    @property
    def tip(self) -> SimBlock:
        """The best block."""
        return self._blocks[-1]

    @property
    def first(self) -> int:
        """The lowest height remembered: the first block of an epoch."""
        return self._blocks[0].height

    @property
    def next_at(self) -> float:
        """When the next block comes, Unix s: no client can know."""
        return self._next_at

    def best(self, height: int) -> SimBlock:
        """The block of the best chain at a height; `KeyError` where there is none, or none remembered."""
        if not self.first <= height <= self.tip.height:
            raise KeyError(f"no block {height}: there are {self.first} to {self.tip.height}")
        return self._blocks[height - self.first]

    def find(self, block_hash: str) -> SimBlock | None:
        """A block by its hash, orphans too."""
        return self._known.get(block_hash)

    def is_best(self, block: SimBlock) -> bool:
        """Whether a block is on the best chain."""
        return self.first <= block.height <= self.tip.height and self.best(block.height).hash == block.hash

    def bits_after(self, tip: SimBlock) -> int:
        """The bits that the block after `tip` must have; `tip` may be any block of the best chain."""
        height = tip.height + 1
        if height % self.retarget_every:
            return tip.bits
        return retarget(tip.bits, self.best(height - self.retarget_every).time, tip.time, self.aimed_s)

    def advance(self, to_unix_s: float) -> list[ChainStep]:
        """Let time pass; every block that came, in order. Time told that lies in the past changes nothing."""
        steps = []
        while self._next_at <= to_unix_s:
            at = self._next_at
            depth = 0
            if self._rng.random() < self._reorgs:
                depth = 2 if self._rng.random() < 0.1 else 1
            steps.append(self._replace(depth, at))
            self._schedule(at)
        self.now = max(self.now, to_unix_s)
        return steps

    def reorg(self, depth: int = 1) -> ChainStep:
        """Replace the last `depth` blocks now, by a branch that is longer by one; `ConfigError` above 100."""
        if not 1 <= depth <= DEEPEST:
            raise ConfigError(f"a reorg replaces 1 to {DEEPEST} blocks, not {depth}")
        step = self._replace(depth, self.now)
        self._schedule(self.now)
        return step

    def _replace(self, depth: int, at: float) -> ChainStep:
        """One block comes at `at`; with a depth it ends a rival branch, which wins by having more work."""
        orphans = tuple(self._blocks[len(self._blocks) - depth :])
        kept = len(self._blocks) - depth
        del self._blocks[kept:]
        self.orphans += orphans
        self._branch += bool(depth)
        for orphan in orphans:
            later = orphan.found + self._rng.random() * self.block_time / 20
            self._add(min(at, max(later, self.tip.found)))
        self._add(at)
        while orphans and self.tip.chainwork <= orphans[-1].chainwork:
            self._add(at)  # a retarget within the branch has made its blocks lighter
        return ChainStep(at, tuple(self._blocks[kept:]), orphans)

    def _schedule(self, at: float) -> None:
        """Draw when the next block comes: a chance of hashrate / work in every second."""
        epochs = (at - self._since) / (self.block_time * EPOCH)
        hashes_s = self._haste * self._hashes_s * exp(min(self._drift * epochs, 20.0))
        self._next_at = at + self._rng.expovariate(hashes_s / work(self.bits_after(self.tip)))

    def _add(self, at: float) -> None:
        tip = self.tip
        self._append(tip.height + 1, tip.hash, self.bits_after(tip), tip.chainwork, at)

    def _append(self, height: int, prev_hash: str, bits: int, before: int, at: float) -> None:
        rng = self._rng
        # Miners' clocks differ, and they may stamp a block when they begin on it.
        skew = rng.uniform(-1.0, 0.5) * self.block_time if rng.random() < 0.2 else 0.0
        times = [block.time for block in self._blocks[-11:]]
        time = max(int(at + skew), _median(times) + 1) if times else int(at)
        number = int.from_bytes(sha256(f"{self._seed}|{height}|{self._branch}".encode()).digest())
        fees, tx_count = self._fees()
        block = SimBlock(
            height=height,
            hash=f"{number % target_from_bits(bits):064x}",
            prev_hash=prev_hash,
            time=time,
            median_time=_median([*times[-10:], time]),
            bits=bits,
            subsidy=subsidy_at(height),
            fees=fees,
            tx_count=tx_count,
            chainwork=before + work(bits),
            found=at,
        )
        self._blocks.append(block)
        self._known[block.hash] = block

    def _fees(self) -> tuple[int, int]:
        """Fees and number of transactions: usual ones, now and then a spike of some blocks, or an empty block."""
        rng = self._rng
        self._spike = max(0, self._spike - 1)
        if rng.random() < self._spikes:
            self._spike = rng.randint(3, 12)
        fees = rng.lognormvariate(log(USUAL_FEES), 0.4) * (SPIKE if self._spike else 1)
        count = rng.randint(1_500, 4_500)
        return (0, 1) if rng.random() < 0.005 else (round(fees), count)

    def _grow_history(self, height: int, bits: int, start: float) -> None:
        """Mine from an epoch's first block up to `height`, then move it all in time so that it ends at `start`."""
        every = self.retarget_every
        first = max(0, min(height - HISTORY, (height // every - 1) * every)) // every * every
        before = "0" * 24 + sha256(f"{self._seed}|before".encode()).hexdigest()[24:]
        self._append(first, before, bits, work(bits) * first, self._since)
        self._schedule(self._since)
        while self.tip.height < height:
            at = self._next_at
            self._add(at)
            self._schedule(at)
        # The tip is about as old as tips are.
        shift = int(start - self.tip.found - self._rng.random() * self.block_time / 2)
        self._blocks = [
            msgspec.structs.replace(
                one, time=one.time + shift, median_time=one.median_time + shift, found=one.found + shift
            )
            for one in self._blocks
        ]
        self._known = {one.hash: one for one in self._blocks}
        self._since += shift
        self.now = float(start)


def _median(times: list[int]) -> int:
    return sorted(times)[len(times) // 2]


def _check(
    coin: str, height: int, bits: int, block_time: float, every: int, drift: float, spikes: float, reorgs: float
) -> None:
    """Raise `ConfigError` for what no chain can be made of."""
    if coin != "BTC":
        raise ConfigError(f"the simulated chain is BTC's; there is none for {coin!r}")
    if not 0 <= height < 2**31:
        raise ConfigError(f"a chain cannot start at height {height}")
    if not 1.0 <= block_time <= 86_400:
        raise ConfigError(f"the block time is 1 s to a day, not {block_time:g} s")
    if not 8 <= every <= 1_000_000:
        raise ConfigError(f"a retarget comes every 8 to 1000000 blocks, not every {every}")
    if not -0.5 <= drift <= 1.0:
        raise ConfigError(f"the hashrate's drift is -0.5 to 1 an epoch, not {drift}")
    if not (0 <= spikes <= 1 and 0 <= reorgs <= 1):
        raise ConfigError("fee spikes and reorgs are chances from 0 to 1")
    try:
        work(bits)
    except ValueError as exc:
        raise ConfigError(str(exc)) from None
