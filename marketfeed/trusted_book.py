"""A book together with its right to be believed: reading refuses unless it is proven."""

from typing import Any, Generic, Literal

from .book import Book, Level
from .errors import BookNotTrusted, ConfigError
from .events import BookDelta, BookSnapshot, BookVoid, Gap, Head, Side
from .number import N

State = Literal["unsynced", "live", "void"]


class TrustedBook(Generic[N]):
    """The newest proven book of one stream.

    Every reading method raises BookNotTrusted unless `live`; `top()` answers None instead, and `last_known` shows the
    rest, flagged. `seq` and `epoch` are those of the last event in it, `depth` the levels a side that are known, 0 for
    all. `audits` counts how often the book was held against REST with a clear outcome, `audits_equal` how often it was
    the same.
    """

    __slots__ = (
        "_book",
        "audits",
        "audits_equal",
        "depth",
        "epoch",
        "name",
        "reason",
        "seq",
        "state",
        "ts_event",
        "ts_recv",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: State = "unsynced"
        self.reason = "no snapshot yet"
        self.epoch = 0
        self.seq = 0
        self.depth = 0
        self.ts_event = 0
        self.ts_recv = 0
        self.audits = self.audits_equal = 0
        self._book: Book[N] = Book()

    @property
    def live(self) -> bool:
        """Whether the book is proven right now."""
        return self.state == "live"

    @property
    def score(self) -> float:
        """The share of audits that found the book equal; 1 where there was none."""
        return self.audits_equal / self.audits if self.audits else 1.0

    @property
    def crossed(self) -> bool:
        """Whether the best bid is above the best ask; venues show that for moments, more than 2 s voids the book."""
        return self._book.crossed()

    @property
    def last_known(self) -> "LastKnown[N]":
        """What the book showed last, whatever its state: for display, never for a decision."""
        return LastKnown(self._book, self.state)

    def _proven(self) -> Book[N]:
        if self.state != "live":
            raise BookNotTrusted(self.name, self.state, self.reason)
        return self._book

    def top(self) -> tuple[Level[N], Level[N]] | None:
        """((bid, size), (ask, size)), or None where the book is not live or a side is empty."""
        if self.state != "live":
            return None
        bid, ask = self._book.bids.best(1), self._book.asks.best(1)
        return (bid[0], ask[0]) if bid and ask else None

    def best(self) -> tuple[Level[N] | None, Level[N] | None]:
        """Best bid and best ask as (price, size); None for an empty side."""
        book = self._proven()
        bid, ask = book.bids.best(1), book.asks.best(1)
        return (bid[0] if bid else None, ask[0] if ask else None)

    def bids(self, n: int | None = None) -> list[Level[N]]:
        """The best `n` bids (all, where None), best first."""
        side = self._proven().bids
        return side.best(side.count if n is None else n)

    def asks(self, n: int | None = None) -> list[Level[N]]:
        """The best `n` asks (all, where None), best first."""
        side = self._proven().asks
        return side.best(side.count if n is None else n)

    def depth_to(self, side: Side, price: N) -> N:
        """Total size that an order of this taker side meets up to and including `price`."""
        limit: Any = price
        levels: list[Any] = self.asks() if side == "buy" else self.bids()
        inside = [size for at, size in levels if (at <= limit if side == "buy" else at >= limit)]
        total: N = sum(inside, type(limit)(0))
        return total

    def vwap(self, side: Side, size: N) -> N | None:
        """Average price a taker order of `size` would pay; None where the book is not deep enough.

        Raises ConfigError for a size that is not above 0.
        """
        if not size > 0:
            raise ConfigError(f"size={size}: an order's size is above 0")
        left: Any = size
        paid: Any = type(left)(0)
        levels: list[Any] = self.asks() if side == "buy" else self.bids()
        for price, there in levels:
            taken = min(left, there)
            paid += price * taken
            left -= taken
            if left <= 0:
                average: N = paid / size
                return average
        return None

    def imbalance(self, n: int = 5) -> float | None:
        """(bid size - ask size) / (bid size + ask size) over the best `n` levels, -1 to 1; None for an empty book."""
        bid = sum(float(size) for _, size in self.bids(n))
        ask = sum(float(size) for _, size in self.asks(n))
        return (bid - ask) / (bid + ask) if bid + ask else None

    def opened(self, book: Book[N], epoch: int, seq: int, depth: int, ts_event: int, ts_recv: int) -> None:
        """Show a newly proven book."""
        self._book = book
        self.epoch, self.seq, self.depth = epoch, seq, depth
        self.ts_event, self.ts_recv = ts_event, ts_recv
        self.state, self.reason = "live", ""

    @property
    def book(self) -> Book[N]:
        """The book itself, proven or not: for who keeps it."""
        return self._book

    def moved_to(self, book: Book[N]) -> None:
        """The same book is kept by another from here on."""
        self._book = book

    def doubt(self, reason: str) -> None:
        """Flag the book: it stays readable through `last_known` alone."""
        self.state, self.reason = "void", reason

    def apply(self, event: Head) -> None:
        """Keep this book from events, as a consumer with `books=True` and a replay do."""
        if isinstance(event, BookDelta):
            if self.state != "live" or event.epoch < self.epoch:
                return
            if event.epoch != self.epoch:
                self.doubt(f"missed the snapshot of epoch {event.epoch}")
                return
            if event.prev_seq != self.seq:
                self.doubt(f"missed {self.seq} to {event.prev_seq}")
                return
            self._book.bids.apply(event.bids)
            self._book.asks.apply(event.asks)
            self.seq, self.ts_event, self.ts_recv = event.seq, event.ts_event, event.ts_recv
        elif isinstance(event, BookSnapshot):
            book: Book[N] = Book()
            book.bids.load(event.bids)
            book.asks.load(event.asks)
            self.opened(book, event.epoch, event.seq, event.depth, event.ts_event, event.ts_recv)
        elif isinstance(event, BookVoid):
            self.doubt(event.reason)
        elif isinstance(event, Gap) and event.channel == "book":
            # the void that follows it says no more, and a recording may hold the gap alone
            self.doubt(event.cause)

    def __repr__(self) -> str:
        return f"<TrustedBook {self.name} {self.state} epoch={self.epoch} seq={self.seq} {self._book!r}>"


class LastKnown(Generic[N]):
    """A book as last known, with the state it is in now."""

    __slots__ = ("_book", "state")

    def __init__(self, book: Book[N], state: State) -> None:
        self._book = book
        self.state = state

    def bids(self, n: int) -> list[Level[N]]:
        """The best `n` bids, best first."""
        return self._book.bids.best(n)

    def asks(self, n: int) -> list[Level[N]]:
        """The best `n` asks, best first."""
        return self._book.asks.best(n)
