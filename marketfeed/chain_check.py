"""What a block of any chain must be, as far as it shows by itself."""

import re
from math import isfinite

from .mining.compact import difficulty_from_bits
from .pace import SECOND
from .venues._spec import ChainBlock

MAX_AHEAD_S = 4 * 3600
"""A header's time may be two hours ahead of honest clocks; and ours may be wrong too."""
EARLIEST_S = 1_231_006_505
"""The first block of the first chain."""
_HASH = re.compile(r"[0-9a-f]{8,128}")


def check_block(block: ChainBlock, ts_recv: int) -> None:
    """Raise ValueError, naming the block, for height, hash, time, amounts or difficulty that no block has."""
    name = f"block {block.height}"
    if not 0 < block.height < 2**53 or not _HASH.fullmatch(block.hash):
        raise ValueError(f"{name} has a height or a hash that no block has")
    if block.time_s < EARLIEST_S or (ts_recv and block.time_s > ts_recv // SECOND + MAX_AHEAD_S):
        raise ValueError(f"{name} has an absurd time: {block.time_s} s")
    if (block.subsidy or 0) < 0 or (block.fees or 0) < 0:
        raise ValueError(f"{name} pays a negative amount")
    difficulty = difficulty_of(block)
    if not (isfinite(difficulty) and difficulty > 0):
        raise ValueError(f"{name} has difficulty {difficulty!r}, which is not a positive number")
    if block.bits is not None and block.difficulty is not None and abs(block.difficulty / difficulty - 1) > 1e-9:
        raise ValueError(f"{name} has difficulty {block.difficulty!r}, and its bits say {difficulty!r}")


def difficulty_of(block: ChainBlock) -> float:
    """From its bits where it has them. Raises ValueError where it tells neither, or bits that cannot be."""
    if block.bits is not None:
        return difficulty_from_bits(block.bits)
    if block.difficulty is None:
        raise ValueError(f"block {block.height} tells neither bits nor difficulty")
    return block.difficulty
