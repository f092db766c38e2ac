"""A price-time-priority matching engine in integer ticks and lots.

Pure: no clock, no dice, no I/O. Every call leaves what it changed in `changes` and
`trades`; `take()` hands both over and starts afresh.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Literal, NamedTuple

Side = Literal["bid", "ask"]
"""The side of the book an order rests on: a buyer is a bid."""


class LevelChange(NamedTuple):
    """A price level's new total size, in lots; 0 means that the level is gone."""

    side: Side
    price: int
    size: int


class Fill(NamedTuple):
    """One match, at the resting order's price; `taker` is the side of the order that arrived."""

    price: int
    size: int
    taker: Side


class _Level:
    """The orders at one price, oldest first (a dict keeps the order of arrival)."""

    __slots__ = ("orders", "size")

    def __init__(self) -> None:
        self.orders: dict[int, int] = {}
        self.size = 0


class BookSide:
    """One side: its levels by price, and their prices in ascending order."""

    def __init__(self, side: Side) -> None:
        self.side: Side = side
        self.levels: dict[int, _Level] = {}
        self.prices: list[int] = []

    def best(self) -> int | None:
        """The best price in ticks, or None where the side is empty."""
        if not self.prices:
            return None
        return self.prices[-1] if self.side == "bid" else self.prices[0]

    def add(self, order: int, price: int, size: int) -> int:
        """Rest an order; returns the level's new size in lots."""
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = _Level()
            insort(self.prices, price)
        level.orders[order] = size
        level.size += size
        return level.size

    def reduce(self, order: int, price: int, size: int) -> int:
        """Take `size` lots from an order, which leaves at zero; returns the level's new size."""
        level = self.levels[price]
        level.size -= size
        left = level.orders[order] - size
        if left:
            level.orders[order] = left
        else:
            del level.orders[order]
            if not level.orders:
                del self.levels[price]
                del self.prices[bisect_left(self.prices, price)]
        return level.size

    def top(self, depth: int | None = None) -> list[tuple[int, int]]:
        """(price, size) of the best `depth` levels, best first; all where depth is None."""
        prices = self.prices
        if self.side == "bid":
            prices = prices[::-1] if depth is None else prices[: -depth - 1 : -1]
        elif depth is not None:
            prices = prices[:depth]
        levels = self.levels
        return [(price, levels[price].size) for price in prices]


class Engine:
    """A market: two sides, order numbers, and what has changed since `take()`."""

    def __init__(self) -> None:
        self.bids = BookSide("bid")
        self.asks = BookSide("ask")
        self.changes: list[LevelChange] = []
        self.trades: list[Fill] = []
        self._where: dict[int, tuple[Side, int]] = {}
        self._next = 1

    def __repr__(self) -> str:
        return f"Engine({self.bids.best()} x {self.asks.best()}, {len(self._where)} orders)"

    def __contains__(self, order: int) -> bool:
        return order in self._where

    def side(self, side: Side) -> BookSide:
        """The half of the book that `side` rests on."""
        return self.bids if side == "bid" else self.asks

    def resting(self, order: int) -> int:
        """Lots of this order that still rest; 0 where it is filled, cancelled or unknown."""
        where = self._where.get(order)
        return 0 if where is None else self.side(where[0]).levels[where[1]].orders[order]

    def limit(self, side: Side, price: int, size: int) -> int:
        """Match against the other side up to `price`, rest what is left; returns the order number."""
        if price <= 0 or size <= 0:
            raise ValueError(f"price and size must be positive, got {price} and {size}")
        order, self._next = self._next, self._next + 1
        left = self._match(side, size, price)
        if left:
            level = self.side(side).add(order, price, left)
            self._where[order] = (side, price)
            self.changes.append(LevelChange(side, price, level))
        return order

    def market(self, side: Side, size: int) -> int:
        """Match at any price; returns the lots filled. What finds nobody is cancelled."""
        if size <= 0:
            raise ValueError(f"size must be positive, got {size}")
        return size - self._match(side, size, None)

    def cancel(self, order: int) -> bool:
        """Take an order out; False where it is not resting any more."""
        where = self._where.pop(order, None)
        if where is None:
            return False
        side, price = where
        book = self.side(side)
        level = book.reduce(order, price, book.levels[price].orders[order])
        self.changes.append(LevelChange(side, price, level))
        return True

    def take(self) -> tuple[list[LevelChange], list[Fill]]:
        """What has happened since the last call, in order."""
        out = self.changes, self.trades
        self.changes, self.trades = [], []
        return out

    def _match(self, taker: Side, size: int, limit: int | None) -> int:
        """Fill from the best price inwards, oldest order first; returns the lots left over."""
        book = self.asks if taker == "bid" else self.bids
        while size:
            price = book.best()
            if price is None or (limit is not None and (price > limit if taker == "bid" else price < limit)):
                break
            orders = book.levels[price].orders
            order = next(iter(orders))
            fill = min(size, orders[order])
            if fill == orders[order]:
                del self._where[order]
            level = book.reduce(order, price, fill)
            self.changes.append(LevelChange(book.side, price, level))
            self.trades.append(Fill(price, fill, taker))
            size -= fill
        return size
