"""A block of the simulated chain, what a step of it did, and the two rules that make its numbers."""

from __future__ import annotations

import msgspec

from ..mining.compact import DIFFICULTY_1, bits_from_target, target_from_bits

EPOCH = 2016
"""Blocks between two retargets of Bitcoin."""
BLOCK_S = 600.0
"""Seconds that Bitcoin aims at between two blocks."""
HALVING = 210_000


class SimBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One block, on the best chain or orphaned; money in satoshi, times in Unix seconds."""

    height: int
    hash: str
    prev_hash: str
    time: int
    """As in the header: not always after its parent's, but after the median of the eleven blocks before."""
    median_time: int
    """Median header time of this block and the ten before it."""
    bits: int
    subsidy: int
    fees: int
    tx_count: int
    chainwork: int
    """Expected hashes of the whole chain up to and with this block."""
    found: float
    """When it really came."""

    @property
    def reward(self) -> int:
        """What its miner got."""
        return self.subsidy + self.fees


class ChainStep(msgspec.Struct, frozen=True):
    """What happened at `at` (Unix s): `blocks` joined the best chain, lowest first, in place of `orphans`."""

    at: float
    blocks: tuple[SimBlock, ...]
    orphans: tuple[SimBlock, ...] = ()


def subsidy_at(height: int) -> int:
    """What a block of this height creates: 50 BTC, half as much every 210,000 blocks, 0 after 33 times."""
    return 5_000_000_000 >> height // HALVING


def retarget(bits: int, first_time: int, last_time: int, aimed_s: int = 1_209_600) -> int:
    """The bits of the next epoch, by Bitcoin's rule, which is older than any error in it.

    The span is from the header time of the epoch's first block to that of its last: one interval less than
    there are blocks. It is held within a factor of four of the time aimed at; the new target is the old one
    times span over aim, in whole numbers, and never above difficulty 1.
    """
    span = min(max(last_time - first_time, aimed_s // 4), aimed_s * 4)
    return bits_from_target(min(target_from_bits(bits) * span // aimed_s, DIFFICULTY_1))
