"""`BookLane`: a book as one connection hears it."""

from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple

from ..book import Book, Level
from ..events import Cause
from ..number import N
from ..outlet import Outlet
from ..streams import BookStream
from ..subscriptions import Subscription
from .lane import Lane
from .union import Edges, Levels

AHEAD = 4_096
"""Changes that a lane remembers which is ahead of what is told."""


class Change(NamedTuple, Generic[N]):
    """Arguments of `BookStream.changed`, and the number before."""

    before: int
    seq: int
    bids: Sequence[Level[N]]
    asks: Sequence[Level[N]]
    ts_event: int
    ts_recv: int


class BookLane(Lane, BookStream[N], Generic[N]):
    """A book as one connection hears it. `view` is live while the stream can be left to it.

    `proven` says that its source's book is; `joined` that its numbers overlap with those told, `same` that its book
    began as a copy of the one shown. Its changes go from `since` to `seq`.
    """

    def __init__(self, subscription: Subscription, outlet: Outlet) -> None:
        super().__init__(subscription, outlet)
        self.proven = self.joined = self.same = False
        self.since = self.seq = self.depth = self.seen = 0
        self.ahead: deque[Change[N]] = deque(maxlen=AHEAD)

    shared = True

    @property
    def good(self) -> bool:
        """See `Lane`."""
        return self.view.live and not self.stale

    def opened(self, source: Any, book: Book[N], seq: int, depth: int, ts_event: int, ts_recv: int) -> None:
        """See `BookStream`."""
        self.count += 1
        self._source = source
        self.numbered = seq > 0
        self.proven, self.joined, self.same = True, False, False
        self.since = self.seq = seq
        self.depth, self.ts_recv = depth, ts_recv
        self.view.ts_event = ts_event
        self.ahead.clear()
        self.merge.opened(self)

    def changed(
        self, seq: int, bids: tuple[Level[N], ...], asks: tuple[Level[N], ...], ts_event: int, ts_recv: int
    ) -> None:
        """See `BookStream`."""
        self.count += 1
        before, self.seq = self.seq, seq
        self.ts_recv = ts_recv
        self.view.ts_event = ts_event
        self.merge.changed(self, Change(before, seq, bids, asks, ts_event, ts_recv))

    def learned(self, bids: Levels, asks: Levels, edges: Edges) -> None:
        """See `BookStream`; what is old beside the book shown is left to the next audit."""
        if self.same and self.seq == self.merge.public.view.seq:
            self.merge.spread(bids, asks, edges)

    def void(self, source: object, cause: Cause, reason: str, ts_recv: int, first: int = 0, last: int = 0) -> None:
        """See `BookStream`; told where no other lane is proven."""
        if self.proven and source is self._source:
            self.distrust(f"{cause}: {reason}")
            self.merge.joins.spared += self.merge.void(self, cause, reason, ts_recv, first, last)

    def distrust(self, reason: str) -> None:
        """Its book is not proven any more."""
        self.proven = self.joined = self.same = False
        self.ahead.clear()
        self.view.doubt(reason)

    def take_over(self, public: BookStream[N]) -> None:
        """Be what the stream was while one connection fed it."""
        view = public.view
        self._source, self.numbered = public.source, public.numbered
        self.proven = self.same = True
        self.since = self.seq = view.seq if self.numbered else 0
        self.depth, self.ts_recv = view.depth, view.ts_recv
        self.view.ts_event = view.ts_event
        self.join()

    def join(self) -> None:
        """Its book is the one shown, or will be."""
        self.joined = True
        self.view.opened(self._source.book, self.view.epoch + 1, self.seq, self.depth, self.view.ts_event, self.ts_recv)
