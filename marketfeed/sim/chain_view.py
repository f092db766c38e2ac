"""The chain as one source sees and tells it: behind the truth where it lags, with other numbers where it lies."""

from __future__ import annotations

from math import floor

from ..mining.compact import DIFFICULTY_1, bits_from_target, difficulty_from_bits, target_from_bits
from .chain import SimChain
from .chain_block import BLOCK_S, SimBlock, retarget
from .conduct import Conduct


class ChainView:
    """One source's knowledge of the chain. It moves when `follow()` is called, to a branch with more work alone."""

    def __init__(self, chain: SimChain, conduct: Conduct) -> None:
        self.chain = chain
        self.conduct = conduct
        self.tip = chain.tip

    def follow(self) -> list[SimBlock | None]:
        """Take in what the chain did, and what to tell of it: each new block, or None: a reorg, look at `last()`."""
        goal = self.chain.best(max(self.chain.tip.height - self.conduct.lag, self.chain.first))
        old = self.tip
        if goal.chainwork <= old.chainwork:
            return []
        self.tip = goal
        if not self.chain.is_best(old):
            return [None]
        return [self.chain.best(height) for height in range(old.height + 1, goal.height + 1)]

    def block(self, height: int) -> SimBlock | None:
        """The block at a height of the branch it takes for the best."""
        if not self.chain.first <= height <= self.tip.height:
            return None
        block = self.tip
        while block.height > height and not self.chain.is_best(block):
            before = self.chain.find(block.prev_hash)
            assert before is not None
            block = before
        return block if block.height == height else self.chain.best(height)

    def last(self, count: int, tip: int | None = None) -> list[SimBlock]:
        """The `count` blocks that end at its tip, or at height `tip`; lowest first."""
        top = self.tip.height if tip is None else tip
        return [one for height in range(top - count + 1, top + 1) if (one := self.block(height)) is not None]

    def find(self, block_hash: str) -> SimBlock | None:
        """A block that it has, by hash, orphans too."""
        block = self.chain.find(block_hash)
        if block is None or (block.height > self.tip.height and self.chain.is_best(block)):
            return None
        return block

    def holds(self, block: SimBlock) -> bool:
        """Whether a block is on the branch it takes for the best."""
        mine = self.block(block.height)
        return mine is not None and mine.hash == block.hash

    def next_bits(self) -> int:
        """The true bits of the block after its tip."""
        height = self.tip.height + 1
        first = self.block(height - self.chain.retarget_every)
        if height % self.chain.retarget_every or first is None:
            return self.tip.bits
        return retarget(self.tip.bits, first.time, self.tip.time, self.chain.aimed_s)

    def bits(self, true: int) -> int:
        """Bits as it tells them."""
        if self.conduct.lie == 1.0:
            return true
        return bits_from_target(min(max(int(target_from_bits(true) / self.conduct.lie), 1), DIFFICULTY_1))

    def difficulty(self, true: int) -> float:
        """The difficulty of true bits, as it tells it."""
        return difficulty_from_bits(self.bits(true)) * self.conduct.misprint

    def hashrate(self, blocks: int, height: int | None = None) -> float:
        """Hashes a second over the last `blocks` blocks: work over the span of header times, as nodes measure it.

        Where the chain's blocks come faster than Bitcoin's, it is what Bitcoin would show at this difficulty.
        """
        top = self.tip.height if height is None else height
        window = self.last(blocks + 1, top)
        times = [one.time for one in window]
        span = max(times, default=0) - min(times, default=0)
        if span <= 0:
            return 0.0
        return (window[-1].chainwork - window[0].chainwork) / span * self.chain.block_time / BLOCK_S

    def adjustment(self, now_s: int) -> dict[str, float | int]:
        """What mempool.space calls `da`: how the epoch goes, `now_s` being Unix seconds.

        Its rule, with the chain's own constants: in an epoch's first quarter the blocks before it count too,
        at today's difficulty; then those of the epoch alone; at its last block no clock any more.
        """
        every, aim = self.chain.retarget_every, self.chain.block_time
        if isinstance(aim, float) and aim.is_integer():
            aim = int(aim)
        height = self.tip.height
        into = height % every
        start = height - into
        began = self._time(start)
        elapsed = max(now_s - began, 0)
        previous = self._previous(start)
        window = every // 4 - 1
        average = adjusted = elapsed / into if into else float(aim)
        if into < window:
            before = (began - self._time(height - window)) * (1 + previous / 100)
            span = elapsed + before
            change = (aim / (span / (window + 1)) - 1) * 100 if span > 0 else 300.0
            adjusted = span / window
        else:
            span = self.tip.time - began if into == every - 1 else elapsed
            change = (aim / (span / (into + 1)) - 1) * 100 if span > 0 else 300.0
        left = every - into
        remaining = left * floor(adjusted * 1000)
        return {
            "progressPercent": into / every * 100,
            "difficultyChange": _held(change),
            "estimatedRetargetDate": now_s * 1000 + remaining,
            "remainingBlocks": left,
            "remainingTime": remaining,
            "previousRetarget": previous,
            "previousTime": began,
            "nextRetargetHeight": height + left,
            "timeAvg": floor(average * 1000),
            "adjustedTimeAvg": floor(adjusted * 1000),
            "timeOffset": 0,
            "expectedBlocks": elapsed / aim,
        }

    def _previous(self, start: int) -> float:
        """What the epoch that begins at `start` changed, in percent."""
        last, first = self.block(start - 1), self.block(start)
        if last is None or first is None:
            return 0.0
        return _held(target_from_bits(last.bits) * 100 / target_from_bits(first.bits) - 100)

    def _time(self, height: int) -> int:
        """The header time at a height; of the oldest block where it is older than all that is remembered."""
        block = self.block(max(height, self.chain.first))
        assert block is not None
        return block.time


def _held(percent: float) -> float:
    return min(max(percent, -75.0), 300.0)
