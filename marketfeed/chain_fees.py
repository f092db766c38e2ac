"""`Fees`: the mean fees a block of one chain, of the blocks that are known and of what the source says."""

from collections.abc import Mapping

from .pace import SECOND
from .venues._spec import ChainBlock

FEE_BLOCKS = 144
FEES_LEAST = 20
"""Known blocks below which their mean is luck: one block of huge fees would be most of it."""
BELIEVED_NS = 2 * 3600 * SECOND
"""How long a source's mean, or its forecast of a retarget, stands after it was last said."""


class Fees:
    """See the module's docstring."""

    __slots__ = ("_at", "_said")

    def __init__(self) -> None:
        self._said: float | None = None
        self._at = 0

    def say(self, fees: float, ts_recv: int) -> None:
        """The source says its mean."""
        self._said, self._at = fees, ts_recv

    def mean(self, known: Mapping[int, ChainBlock], tip: int, ts_recv: int) -> tuple[float | None, int]:
        """Mean over the last 144, and over how many blocks it is: of those known, the rest as the source says."""
        self._at = min(self._at, ts_recv)  # the clock may have been set back
        if ts_recv - self._at >= BELIEVED_NS:
            self._said = None
        paid = [b.fees for height, b in known.items() if b.fees is not None and height > tip - FEE_BLOCKS]
        if self._said is None:
            return (sum(paid) / len(paid), len(paid)) if len(paid) >= FEES_LEAST else (None, 0)
        return (sum(paid) + (FEE_BLOCKS - len(paid)) * self._said) / FEE_BLOCKS, FEE_BLOCKS
