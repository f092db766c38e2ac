"""`Memory`: a book as it was when it began to be remembered, and what changed since; so that it can be held against a
picture of it that was taken at another moment."""

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple

from .book import Book
from .number import N
from .venues._spec import Levels, Picture

MAX_CHANGED = 50_000
"""Changes of levels remembered; after more of them there is nothing to compare at."""

Seen = dict[Any, Any]
"""The size that each price had, 0 for none, and None for any; prices that are not there were empty, as far as is
remembered."""


class Compared(NamedTuple):
    """How many levels were compared, how many of them differ, and the first that does."""

    levels: int = 0
    wrong: int = 0
    example: str = ""

    def __add__(self, other: tuple[Any, ...]) -> "Compared":
        levels, wrong, example = other
        return Compared(self.levels + levels, self.wrong + wrong, self.example or example)


class Memory(Generic[N]):
    """Remembers the best `levels` of each side of `book` as of now (`seq`), and every change from now on."""

    __slots__ = ("_changes", "_edges", "_left", "_was", "learned", "newest", "seq")

    def __init__(self, book: Book[N], seq: int, levels: int) -> None:
        self.seq = self.newest = seq
        sides = book.bids, book.asks
        self._was = tuple(side.best(levels) for side in sides)
        self._edges = tuple(
            was[-1][0] if side.count > len(was) > 0 else None for side, was in zip(sides, self._was, strict=True)
        )
        self._left = MAX_CHANGED
        self._changes: list[tuple[int, Levels[N], Levels[N]]] = []
        self.learned: tuple[Levels[N], Levels[N]] | None = None
        """Levels that the book gets with its next update."""

    @property
    def full(self) -> bool:
        """Whether more changed than is remembered."""
        return self._left < 0

    def note(self, seq: int, bids: Levels[N], asks: Levels[N]) -> None:
        """The book changes."""
        self.newest = seq
        self._left -= len(bids) + len(asks)
        if not self.full:
            self._changes.append((seq, bids, asks))

    def stable(self) -> tuple[Seen, Seen]:
        """The size of each price that did not change since it began, by side, and any of those that did.

        A stream sends what changed in a while at once: REST may show what was in between.
        """
        return self._seen(lambda seq, before: "across")

    def at(self, seq: int) -> tuple[Seen, Seen]:
        """The size that each price had at that number; any, where an update across it changed it.

        With what an audit has learned, which is so from the newest number on.
        """
        both = self._seen(lambda last, before: "before" if last <= seq else "across" if before < seq else "")
        for seen, learned in zip(both, self.learned or ((), ()), strict=True):
            seen.update(learned)
        return both

    def touched_after(self, seq: int) -> tuple[set[N], set[N]]:
        """Prices that changed after that number, or may have, by side."""
        later = [change for change in self._changes if change[0] > seq]
        return {p for _, bids, _ in later for p, _ in bids}, {p for *_, asks in later for p, _ in asks}

    def _seen(self, when: Any) -> tuple[Seen, Seen]:
        both: tuple[Seen, Seen] = tuple(dict(was) for was in self._was)  # type: ignore[assignment]
        before = self.seq
        for seq, *sides in self._changes:
            how = when(seq, before)
            before = seq
            for seen, changes in zip(both, sides, strict=True):
                for price, size in changes if how else ():
                    seen[price] = size if how == "before" else None
        return both

    def compare(self, picture: Picture[N], seen: tuple[Seen, Seen], levels: int, known: tuple[Any, Any]) -> Compared:
        """Hold what was seen against the best `levels` of a picture.

        `known` are the prices of bids and asks beyond which levels that were never heard of are unknown, None for none.
        """
        total = Compared()
        for i, shown in enumerate((picture.bids, picture.asks)):
            sign = -1 if i else 1
            edges = [edge for edge in (self._edges[i], known[i]) if edge is not None]
            edge = max(sign * e for e in edges) if edges else None
            total += _compare(shown[:levels], seen[i], sign, edge, whole=len(shown) < levels)
        return total


def _compare(shown: Levels[N], seen: Mapping[N, Any], sign: int, edge: Any, *, whole: bool) -> Compared:
    """One side; `sign` makes greater prices the better ones. A picture that is not `whole` ends at its last price."""
    levels = wrong = 0
    example = ""
    prices: dict[Any, Any] = {price: size for price, size in shown if size}
    last: Any = None if whole or not shown else sign * shown[-1][0]
    for price in (*prices, *(p for p in seen if p not in prices)):
        key: Any = sign * price
        there, here = prices.get(price, 0), seen.get(price, 0)
        unknown = price not in seen and edge is not None and key < edge
        outside = price not in prices and last is not None and key <= last
        if here is None or unknown or outside or not (here or there):
            continue
        levels += 1
        if here != there:
            wrong += 1
            example = example or f"{price}: {there or 'none'} there, {here or 'none'} here"
    return Compared(levels, wrong, example)
