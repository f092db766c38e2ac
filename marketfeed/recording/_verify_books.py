"""What `verify` asks of recorded books: each change follows the one before it, and the book they make is sound."""

from collections.abc import Callable
from typing import Any

from ..events import BookDelta, BookSnapshot, BookVoid
from ..trusted_book import TrustedBook
from .findings import Findings

MAX_CROSSED = 5 * 10**9
"""A live book is voided after 2 s with the bid above the ask; beyond this one (ns) it was not."""

Excused = Callable[[int, int], bool]


class Books:
    """Of one market. `excused(since, until)` says whether nothing was recorded for a while between two times."""

    def __init__(self, where: str, found: Findings, excused: Excused) -> None:
        self._where = where
        self._found = found
        self._excused = excused
        self._book: TrustedBook[Any] = TrustedBook(where)
        self._epoch = 0
        self._ts = 0
        self._crossed_since = 0
        self._lost = False
        """Whether a break was told, so that what follows from it is not."""

    def take(self, event: BookSnapshot[Any] | BookDelta[Any] | BookVoid) -> None:
        """One more event of the book."""
        now = max(self._ts, event.ts_recv)  # what waited for a snapshot is known with it
        if isinstance(event, BookSnapshot):
            self._opens(event, now)
        elif isinstance(event, BookDelta):
            self._follows(event, now)
        if not isinstance(event, BookDelta):
            self._judge(now)
        self._book.apply(event)
        if not (self._book.live and self._book.crossed):
            self._judge(now)
        elif not self._crossed_since:
            self._crossed_since = now
        self._ts = now

    def end(self, now: int) -> None:
        """Nothing of this market comes any more."""
        self._judge(now)

    def _opens(self, event: BookSnapshot[Any], now: int) -> None:
        if self._epoch and event.epoch != self._epoch + 1 and not self._excused(self._ts, now):
            what = f"epoch {event.epoch} follows epoch {self._epoch}"
            self._found.error("book", self._where, f"{what}: snapshots are missing or out of order", event.ts_recv)
        self._epoch = event.epoch
        self._lost = False
        bids, asks = [price for price, _ in event.bids], [price for price, _ in event.asks]
        sizes = [size for _, size in (*event.bids, *event.asks)]
        if bids != sorted(set(bids), reverse=True) or asks != sorted(set(asks)) or not all(s > 0 for s in sizes):
            self._found.error("book", self._where, "a snapshot's levels are out of order or empty", event.ts_recv)

    def _follows(self, event: BookDelta[Any], now: int) -> None:
        book = self._book
        if book.live and (event.epoch, event.prev_seq) == (book.epoch, book.seq):
            return
        if not self._lost and not self._excused(self._ts, now):
            if book.live:
                what = (
                    f"change {event.seq} of epoch {event.epoch} follows {event.prev_seq}, and {book.seq} came before it"
                )
            else:
                what = f"change {event.seq} of epoch {event.epoch} is of a book without a snapshot"
            self._found.error("book", self._where, what, event.ts_recv)
        self._lost = True

    def _judge(self, now: int) -> None:
        """A time for which the bid stood above the ask is over, if there was one."""
        since, self._crossed_since = self._crossed_since, 0
        if since and now - since > MAX_CROSSED:
            seconds = (now - since) / 1e9
            self._found.error("crossed", self._where, f"the bid stood above the ask for {seconds:.1f} s", since)
