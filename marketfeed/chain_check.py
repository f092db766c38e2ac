"""What a block of any chain must be, as far as it shows by itself or by those next to it."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite

from .mining.compact import difficulty_from_bits
from .pace import SECOND
from .venues._spec import ChainBlock

MAX_AHEAD_S = 4 * 3600
"""A header's time may be two hours ahead of honest clocks; and ours may be wrong too."""
EARLIEST_S = 1_231_006_505
"""The first block of the first chain."""
LATEST_NS = 2**63 - 1
"""Of Unix times that others can keep."""
MOST_CHANGE = 1000
"""Percent of an expected change; the rules allow 300."""
LEAST_DIFFICULTY, MOST_DIFFICULTY = 1e-3, 1e40
"""Beyond those of all chains."""
MOST_STEP = 4
"""A chain with epochs never moves more than fourfold."""
MOST_DRIFT = 10
"""Where difficulty follows every block, more between two words of a source is beyond what hashrates do."""
ROUNDED = 1.00025
"""Of a step that is just the most."""
MENDING = 3
"""Refusals in a row, agreeing with each other, that prove what was believed wrong."""
_HASH = re.compile(r"[0-9a-f]{8,128}")


def check_block(block: ChainBlock, ts_recv: int) -> None:
    """Raise ValueError, naming the block, for height, hash, time, amounts or difficulty that no block has."""
    name = f"block {block.height}"
    if not 0 < block.height < 2**53 or not _HASH.fullmatch(block.hash):
        raise ValueError(f"{name} has a height or a hash that no block has")
    _check_time(name, block.time_s, ts_recv)
    if (block.subsidy or 0) < 0 or (block.fees or 0) < 0:
        raise ValueError(f"{name} pays a negative amount")
    difficulty = difficulty_of(block)
    check_difficulty(difficulty, f"{name} has ")
    if block.bits is not None and block.difficulty is not None and abs(block.difficulty / difficulty - 1) > 1e-9:
        raise ValueError(f"{name} has difficulty {block.difficulty!r}, and its bits say {difficulty!r}")


def _check_time(name: str, time_s: int, ts_recv: int) -> None:
    if time_s < EARLIEST_S or (ts_recv and time_s > ts_recv // SECOND + MAX_AHEAD_S):
        raise ValueError(f"{name} has an absurd time: {time_s} s")


def check_run(blocks: Sequence[ChainBlock]) -> None:
    """Raise ValueError where they do not follow each other."""
    if any(b.height != a.height + 1 for a, b in pairwise(blocks)):
        raise ValueError("blocks do not follow each other")
    if any(b.prev_hash not in ("", a.hash) for a, b in pairwise(blocks)):
        raise ValueError("blocks do not build on each other")


def check_difficulty(difficulty: float, what: str = "") -> None:
    """Raise ValueError for what is no number, or no chain's."""
    if not LEAST_DIFFICULTY <= difficulty <= MOST_DIFFICULTY:
        raise ValueError(f"{what}difficulty {difficulty!r}, which no chain has")


def check_said(height: int | None, epoch_start_s: int | None, said: Mapping[str, float], ts_recv: int) -> None:
    """Raise ValueError where one of a network's figures is no number, or none that a chain has."""
    if epoch_start_s is not None:
        _check_time("the epoch", epoch_start_s, ts_recv)
    if not -100 <= said.get("retarget_change", 0) <= MOST_CHANGE:
        raise ValueError(f"a change of difficulty by {said['retarget_change']!r} % is none")
    if not 0 <= said.get("retarget_ts", 0) <= LATEST_NS:
        raise ValueError(f"a retarget at {said['retarget_ts']!r} ns is none")
    if "difficulty" in said:
        check_difficulty(said["difficulty"])
    if "hashrate" in said and not (isfinite(said["hashrate"]) and said["hashrate"] > 0):
        raise ValueError(f"hashrate {said['hashrate']!r} is not a positive number")
    if "fees" in said and not (isfinite(said["fees"]) and said["fees"] >= 0):
        raise ValueError(f"fees {said['fees']!r} are not a number")
    if height is not None and not 0 < height < 2**53:
        raise ValueError(f"height {height} is none")


class Steps:
    """Judges steps of difficulty, `epochs` or not: what was believed first may itself be wrong."""

    __slots__ = ("_most", "_refused", "_words")

    def __init__(self, *, epochs: bool) -> None:
        self._most = (MOST_STEP if epochs else MOST_DRIFT) * ROUNDED
        self._words = "four" if epochs else "ten"
        self._refused: list[float] = []

    def check(self, difficulties: Sequence[float], known: float) -> bool:
        """Whether these show that the known one was wrong. Raises ValueError where they are too far away from it."""
        far = next((d for d in difficulties if not 1 / self._most < d / known < self._most), None)
        if far is None:
            if difficulties:
                self._refused.clear()
            return False
        self._refused = [*self._refused, far][-MENDING:]
        if len(self._refused) < MENDING or max(self._refused) > 4 * min(self._refused):
            raise ValueError(f"difficulty {far!r} is over {self._words} times away from {known!r}")
        self._refused.clear()
        return True


class Heights:
    """Judges how far a best height is from the tip, which may itself be wrong: all that is true would seem old then.

    A chain comes no further than time allows beyond a day of blocks, or beyond as many as are remembered.
    """

    __slots__ = ("_block_s", "_far", "_moved", "_refused")

    def __init__(self, block_s: float, remembered: int) -> None:
        self._block_s = block_s
        self._far = max(remembered, round(86_400 / block_s))
        self._moved = 0
        """When the tip was last another one (Unix ns)."""
        self._refused: list[int] = []

    def behind(self, height: int, tip: int) -> bool:
        """Whether a server that is behind may say this."""
        return tip - self._far <= height < tip

    def check(self, height: int, tip: int, ts_recv: int) -> bool:
        """Whether this shows that the tip was wrong. Raises ValueError where it is too far away from it."""
        ahead = self._far + 4 * max(0, ts_recv - self._moved) / SECOND / self._block_s
        if not tip or tip - self._far <= height <= tip + ahead:
            self._refused.clear()
            self._moved = self._moved if height == tip else ts_recv
            return False
        self._refused = [*self._refused, height][-MENDING:]
        if len(self._refused) < MENDING or max(self._refused) - min(self._refused) > self._far:
            raise ValueError(f"height {height} is far from {tip}, the best one known")
        self._refused.clear()
        self._moved = ts_recv
        return True


def filling(blocks: Sequence[ChainBlock], told: Mapping[int, ChainBlock]) -> list[ChainBlock]:
    """Of blocks that follow each other, those that fill a hole below one that is told."""
    found: list[ChainBlock] = []
    parent = ""  # of the block above, where that is on the chain as it is known
    for block in reversed(blocks):
        known, above = told.get(block.height), told.get(block.height + 1)
        belongs = block.hash == (above.prev_hash if above else parent)
        if known is None and belongs:
            found.append(block)
        parent = block.prev_hash if belongs or (known is not None and known.hash == block.hash) else ""
    return found


def difficulty_of(block: ChainBlock) -> float:
    """From its bits where it has them. Raises ValueError where it tells neither, or bits that cannot be."""
    if block.bits is not None:
        return difficulty_from_bits(block.bits)
    if block.difficulty is None:
        raise ValueError(f"block {block.height} tells neither bits nor difficulty")
    return block.difficulty
