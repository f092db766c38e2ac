"""One side-sorted book: levels as sizes by price, and the prices in order. Knows nothing of trust or sequence.

Prices of each side are kept in a list that grows towards the best, so that the work near the touch, where markets
move, is at the end of the list. Asks are kept negated for that. A dict holds the sizes; a second one, where the
venue has a checksum, the texts.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Generic

from .number import N

Level = tuple[N, N]


class BookSide(Generic[N]):
    """One side. `levels` maps price to size; `keys` are prices towards the best (asks: negated)."""

    __slots__ = ("_negated", "keys", "levels", "texts")

    def __init__(self, *, asks: bool) -> None:
        self.levels: dict[N, N] = {}
        self.texts: dict[N, str] = {}
        self.keys: list[N] = []
        self._negated = asks

    def load(self, levels: Sequence[Level[N]], texts: Sequence[str] = ()) -> None:
        """Replace everything. A size of 0 is no level; the later of two equal prices wins."""
        self.levels = {price: size for price, size in levels if size}
        self.texts = {level[0]: text for level, text in zip(levels, texts, strict=False) if level[1]}
        # negating floats and Decimals is exact: Decimals are at most 40 digits and copy_negate does not round
        self.keys = sorted([_negate(p) for p in self.levels] if self._negated else self.levels)

    def apply(self, changes: Sequence[Level[N]]) -> None:
        """Apply changes in order; removing an unknown level changes nothing. Hot."""
        levels, keys, negated = self.levels, self.keys, self._negated
        for price, size in changes:
            if size:
                if price not in levels:
                    insort(keys, _negate(price) if negated else price)
                levels[price] = size
            elif price in levels:
                del levels[price]
                del keys[bisect_left(keys, _negate(price) if negated else price)]

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
        over = len(self.keys) - depth
        if over <= 0:
            return []
        gone = self.keys[:over]
        del self.keys[:over]
        dropped = []
        for key in gone:
            price = _negate(key) if self._negated else key
            zero = self.levels.pop(price) * 0
            self.texts.pop(price, None)
            dropped.append((price, zero))
        return dropped

    def best(self, n: int) -> list[Level[N]]:
        """The best `n` levels, best first."""
        keys = self.keys[-n:][::-1] if n > 0 else []
        levels = self.levels
        if self._negated:
            return [(price, levels[price]) for price in map(_negate, keys)]
        return [(price, levels[price]) for price in keys]

    def best_texts(self, n: int) -> list[str]:
        """Texts of the best `n` levels, best first."""
        keys = self.keys[-n:][::-1]
        texts = self.texts
        return [texts[_negate(k)] for k in keys] if self._negated else [texts[k] for k in keys]

    def all(self) -> tuple[Level[N], ...]:
        """Every level, best first."""
        return tuple(self.best(len(self.keys)))


def _negate(number: Any) -> Any:
    return number.copy_negate() if type(number) is Decimal else -number


class Book(Generic[N]):
    """Both sides of a market."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids: BookSide[N] = BookSide(asks=False)
        self.asks: BookSide[N] = BookSide(asks=True)

    def crossed(self) -> bool:
        """Whether the best bid is above the best ask; equal prices (locked) are not crossed."""
        bids, asks = self.bids.keys, self.asks.keys
        return bool(bids and asks and bids[-1] > _negate(asks[-1]))

    def __repr__(self) -> str:
        bid, ask = self.bids.best(1), self.asks.best(1)
        return f"<Book {len(self.bids.keys)}x{len(self.asks.keys)} {bid} {ask}>"
