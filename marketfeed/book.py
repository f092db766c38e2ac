"""One side-sorted book: levels as sizes by price, and the prices in order. Knows nothing of trust or sequence.

Prices of each side are kept in a list that grows towards the best, so that the work near the touch, where markets
move, is at the end of the list; asks are kept negated for that. A level that is removed stays as a ghost of size 0
until it would be the best, or until there are as many ghosts as levels: most come back soon, and a list is dear to cut
in the middle. Nothing shows a ghost.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import islice
from operator import neg
from typing import Any, Generic

from .number import N

Level = tuple[N, N]

SWEEP = 64
"""A side is swept after as many calls and new prices as it had levels at the last sweep, and this many."""


class BookSide(Generic[N]):
    """One side. `texts` are the venue's own text of each level, where it has a checksum.

    `keys` are the prices in order, best last, those of asks negated; ghosts are among them, but never last.
    """

    __slots__ = ("_asks", "_levels", "_price", "_sweep_in", "keys", "texts")

    def __init__(self, *, asks: bool) -> None:
        self.texts: dict[N, str] = {}
        self._asks = asks
        self._levels: dict[N, N] = {}
        self.keys: list[N] = []
        self._price: Callable[[Any], Any] = _same
        """From key to price and back."""
        self._sweep_in = SWEEP

    @property
    def count(self) -> int:
        """Number of levels. Where there are no texts, they are counted one by one."""
        return len(self.texts) if self.texts else sum(1 for size in self._levels.values() if size)

    def load(self, levels: Sequence[Level[N]], texts: Sequence[str] = ()) -> None:
        """Replace everything. A size of 0 is no level; the later of two equal prices wins."""
        self._levels = {price: size for price, size in levels if size}
        self.texts = {level[0]: text for level, text in zip(levels, texts, strict=False) if level[1]}
        self._price = _same
        if levels:
            self._learn(levels[0][0])
        self._sweep()

    def apply(self, changes: Sequence[Level[N]]) -> None:
        """Apply changes in order; removing an unknown level changes nothing. Hot."""
        levels, keys = self._levels, self.keys
        if not keys and changes:
            self._learn(changes[0][0])
        key = self._price
        known = len(levels)
        levels.update(changes)
        new = len(levels) - known
        if new:
            for price in list(islice(reversed(levels), new)):  # a dict is in the order of arrival
                if levels[price]:
                    insort(keys, key(price))
                else:
                    del levels[price]
        while keys:
            price = key(keys[-1])
            if levels[price]:
                break
            del levels[price]
            keys.pop()
        self._sweep_in -= 1 + new
        if self._sweep_in < 0:
            self._sweep()

    def apply_texts(self, changes: Sequence[Level[N]], texts: Sequence[str]) -> None:
        """Keep the venue's own text of each changed level, for its checksum; called after `apply`."""
        kept = self.texts
        for (price, size), text in zip(changes, texts, strict=True):
            if size:
                kept[price] = text
            else:
                kept.pop(price, None)

    def truncate(self, depth: int) -> list[Level[N]]:
        """Drop all but the best `depth` levels; returns the removals as changes of size 0."""
        over = self.count - depth
        if over <= 0:
            return []
        keys, passed = self.keys, 0
        dropped: list[Level[N]] = []
        while len(dropped) < over:
            price = self._price(keys[passed])
            passed += 1
            size: Any = self._levels.pop(price)
            if size:
                self.texts.pop(price, None)
                dropped.append((price, size * 0))
        del keys[:passed]
        return dropped

    def best(self, n: int) -> list[Level[N]]:
        """The best `n` levels, best first."""
        found: list[Level[N]] = []
        if n > 0:
            levels, price_of = self._levels, self._price
            for key in reversed(self.keys):
                price = price_of(key)
                size = levels[price]
                if size:
                    found.append((price, size))
                    if len(found) == n:
                        break
        return found

    def size_of(self, price: N) -> N | None:
        """The size at a price, None where there is none."""
        return self._levels.get(price) or None

    def count_to(self, price: N) -> int:
        """Number of levels at this price and better."""
        keys = self.keys[bisect_left(self.keys, self._price(price)) :]
        return sum(map(bool, map(self._levels.__getitem__, map(self._price, keys))))

    def best_texts(self, n: int) -> list[str]:
        """Texts of the best `n` levels, best first."""
        return [self.texts[price] for price, _ in self.best(n)]

    def all(self) -> tuple[Level[N], ...]:
        """Every level, best first."""
        return tuple(self.best(self.count))

    def _sweep(self) -> None:
        self._levels = {price: size for price, size in self._levels.items() if size}
        self.keys = sorted(map(self._price, self._levels))
        self._sweep_in = len(self.keys) + SWEEP

    def _learn(self, price: N) -> None:
        if self._asks:
            # exact for both: an operator on Decimal would round to the context's 28 digits
            self._price = Decimal.copy_negate if isinstance(price, Decimal) else neg


def _same(key: Any) -> Any:
    return key


class Book(Generic[N]):
    """Both sides of a market."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids: BookSide[N] = BookSide(asks=False)
        self.asks: BookSide[N] = BookSide(asks=True)

    def crossed(self) -> bool:
        """Whether the best bid is above the best ask; equal prices (locked) are not crossed."""
        bids: list[Any] = self.bids.keys
        asks: list[Any] = self.asks.keys
        return bool(bids and asks) and bids[-1] + asks[-1] > 0

    def __repr__(self) -> str:
        return f"<Book {self.bids.count}x{self.asks.count} {self.bids.best(1)} {self.asks.best(1)}>"
