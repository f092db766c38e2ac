"""Books rebuilt from a dataset: snapshot, then changes, believed only where nothing of them is missing."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtra
from ..events import BookVoid, Gap, Head
from ..trusted_book import TrustedBook
from ._columns import EXACT, TIME
from .times import FOREVER, WAITED, Time, step_ns, time_ns

try:
    import pyarrow as pa
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

if TYPE_CHECKING:
    from .dataset import Dataset

LAST = 2**64 - 1
"""Sorts after all that was received at the same time."""


def book_events(data: Dataset, venue: str, symbol: str, start: int | None, end: Time | None) -> Iterator[Head]:
    """The events that make a book, from the newest snapshot at or before `start`; a void where nothing was recorded."""
    if start is not None:
        times = data._snapshot_times(venue, symbol, before=start + 1)
        # changes that waited for the snapshot follow it and were received before it
        start = max(times[-1] - WAITED, 0) if times else start
    return with_holes(data, "book", venue, symbol, start, end)


def with_holes(
    data: Dataset, channel: str, venue: str, symbol: str, start: int | None, end: Time | None
) -> Iterator[Head]:
    """The events of a stream and of its life, and a `BookVoid` of epoch 0 at each time after which some are missing."""
    found = data.events((channel, "life"), venue=venue, symbol=symbol, start=start, end=end)
    if channel == "book":
        found = _told(found)
    until = FOREVER if end is None else time_ns(end)
    voids = [
        BookVoid(venue=venue, symbol=symbol, ts_recv=since, seq_local=LAST, epoch=0, reason="it was not recorded")
        for since in data._holes
        if (start or 0) <= since < until
    ]
    return heapq.merge(found, voids, key=by_time)


def _told(events: Iterator[Head]) -> Iterator[Head]:
    """The events, and a void of the book of which the recorder could not keep one: nothing but a gap tells of it."""
    for event in events:
        yield event
        if isinstance(event, Gap) and event.cause == "rejected" and event.channel == "book":
            fields = {name: getattr(event, name) for name in ("venue", "symbol", "ts_recv", "seq_local")}
            yield BookVoid(**fields, epoch=event.epoch, reason=event.cause)


def by_time(event: Head) -> tuple[int, int]:
    """The order of all events."""
    return event.ts_recv, event.seq_local


def book_at(data: Dataset, venue: str, symbol: str, t: Time) -> TrustedBook[Any]:
    """See `Dataset.book_at`."""
    at = time_ns(t)
    book: TrustedBook[Any] = TrustedBook(f"{venue}:{symbol}:book")
    for event in book_events(data, venue, symbol, at, at + 1):
        book.apply(event)
    return book


def top_of_book(data: Dataset, venue: str, symbol: str, every: str, start: Time | None, end: Time | None) -> pa.Table:
    """See `Dataset.top_of_book`."""
    step = step_ns(every)
    first = None if start is None else time_ns(start)
    due = None if first is None else -(-first // step) * step
    book: TrustedBook[Any] = TrustedBook(f"{venue}:{symbol}:book")
    rows: list[tuple[Any, ...]] = []
    last = -1
    for event in book_events(data, venue, symbol, first, end):
        if due is None:
            due = -(-event.ts_recv // step) * step
        while due < event.ts_recv:  # what is received at a multiple itself counts as known then
            rows.append((due, *best(book)))
            due += step
        book.apply(event)
        last = event.ts_recv
    if due == last:
        rows.append((due, *best(book)))
    number = EXACT if data._is_exact("book") else pa.float64()
    fields = [pa.field("ts", TIME), *(pa.field(name, number) for name in ("bid", "bid_size", "ask", "ask_size"))]
    columns = list(zip(*rows, strict=True)) or [()] * len(fields)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)], schema=pa.schema(fields))


def best(book: TrustedBook[Any]) -> tuple[Any, Any, Any, Any]:
    """Bid, its size, ask, its size; None where a side is empty or the book is not to be believed."""
    if not book.live:
        return None, None, None, None
    bid, ask = book.best()
    return (*(bid or (None, None)), *(ask or (None, None)))
