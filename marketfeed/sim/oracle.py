"""The truth about a simulated book at every key a venue has published, kept by another hand.

Slow and obvious on purpose: two dicts, a list of changes, and sorting when asked. It shares no
code with the engine or with the product's books, so that a mistake in one is not repeated here.

A **key** is what a client can see on a frame: Binance the last update id (`u`, and `lastUpdateId`
of REST snapshots), Kraken and Coinbase the frame's timestamp in Unix nanoseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from heapq import nlargest, nsmallest

from .engine import LevelChange, Side
from .instruments import SimInstrument

CHECKPOINT = 1_000
"""Changes between two full copies of the book."""
_MASK = (1 << 64) - 1

Sides = tuple[dict[int, int], dict[int, int]]


def level_hash(side: Side, price_ticks: int, size_lots: int) -> int:
    """The 64-bit hash of one level; a book's hash is their sum modulo 2**64, in any order.

    A test keeps the same sum over the product's levels: add a level's hash when it appears,
    subtract the old one when it changes or goes. A size of 0 hashes to 0.
    """
    if size_lots == 0:
        return 0
    seed = (price_ticks << 1 | (side == "ask")) * 0x9E3779B97F4A7C15 & _MASK
    return _mix(_mix(seed) ^ size_lots * 0xD6E8FEB86659FD93 & _MASK)


def _mix(x: int) -> int:
    """splitmix64's finaliser: every input bit moves about half of the output bits."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31


class Oracle:
    """What the book of one market was at each published key.

    It remembers about the last `keep` changes; asking for a key older than that, or for one
    that was never published, raises `KeyError`.
    """

    def __init__(self, instrument: SimInstrument, keep: int) -> None:
        self.instrument = instrument
        self._keep = keep
        self._book: Sides = ({}, {})
        self._hash = 0
        self._version = 0
        self._log: deque[LevelChange] = deque()
        self._forgotten = 0
        self._checkpoints: dict[int, Sides] = {0: ({}, {})}
        self._keys: dict[int, tuple[int, int]] = {}
        self._cursor: tuple[int, Sides] = (0, ({}, {}))

    def __repr__(self) -> str:
        return f"Oracle({self.instrument.symbol}, {len(self._keys)} keys, {self._version} changes)"

    def __contains__(self, key: int) -> bool:
        return key in self._keys

    @property
    def keys(self) -> list[int]:
        """Every key remembered, oldest first."""
        return list(self._keys)

    @property
    def last_key(self) -> int:
        """The newest published key; `KeyError` before the first."""
        if not self._keys:
            raise KeyError("nothing has been published yet")
        return next(reversed(self._keys))

    def learn(self, changes: Iterable[LevelChange]) -> None:
        """Take in what the engine changed, in order."""
        for change in changes:
            side, price, size = change
            book = self._book[side == "ask"]
            self._hash = (
                self._hash - level_hash(side, price, book.get(price, 0)) + level_hash(side, price, size)
            ) & _MASK
            _put(self._book, change)
            self._log.append(change)
            self._version += 1
            if self._version % CHECKPOINT == 0:
                self._checkpoints[self._version] = (dict(self._book[0]), dict(self._book[1]))
                self._forget()

    def publish(self, key: int) -> None:
        """The state now is what a client knows after the frame of this key."""
        self._keys[key] = (self._version, self._hash)

    def hash_at(self, key: int, depth: int | None = None) -> int:
        """The book's hash at a key; with `depth`, over the best `depth` levels a side alone.

        Kraken's clients know no more than the depth they subscribed to; see `level_hash`.
        """
        if depth is None:
            return self._find(key)[1]
        bids, asks = self.ticks_at(key, depth)
        total = sum(level_hash("bid", price, size) for price, size in bids)
        return (total + sum(level_hash("ask", price, size) for price, size in asks)) & _MASK

    def levels_at(
        self, key: int, depth: int | None = None
    ) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """(bids, asks) at a key as exact (price, size), best first; all levels where depth is None."""
        bids, asks = self.ticks_at(key, depth)
        one = self.instrument
        return (
            [(one.price(price), one.size(size)) for price, size in bids],
            [(one.price(price), one.size(size)) for price, size in asks],
        )

    def ticks_at(self, key: int, depth: int | None = None) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """`levels_at` in whole ticks and lots."""
        bids, asks = self._at(self._find(key)[0])
        if depth is None:
            return sorted(bids.items(), reverse=True), sorted(asks.items())
        return nlargest(depth, bids.items()), nsmallest(depth, asks.items())

    def _find(self, key: int) -> tuple[int, int]:
        try:
            return self._keys[key]
        except KeyError:
            raise KeyError(f"{self.instrument.symbol}: key {key} was never published, or is forgotten") from None

    def _at(self, version: int) -> Sides:
        """The book after `version` changes: from the last look where that is behind, else from a checkpoint."""
        start, book = self._cursor
        base = version - version % CHECKPOINT
        if not base <= start <= version:
            start = base
            bids, asks = self._checkpoints[base]
            book = (dict(bids), dict(asks))
        for n in range(start, version):
            _put(book, self._log[n - self._forgotten])
        self._cursor = (version, book)
        return book

    def _forget(self) -> None:
        """Drop the oldest checkpoint's worth of changes, and the keys within it."""
        while self._version - self._forgotten > self._keep:
            oldest = self._forgotten + CHECKPOINT
            self._checkpoints.pop(self._forgotten, None)
            for _ in range(CHECKPOINT):
                self._log.popleft()
            self._forgotten = oldest
            while self._keys:
                key, (version, _) = next(iter(self._keys.items()))
                if version >= oldest:
                    break
                del self._keys[key]


def _put(book: Sides, change: LevelChange) -> None:
    side = book[change.side == "ask"]
    if change.size:
        side[change.price] = change.size
    else:
        side.pop(change.price, None)
