"""One market of a dataset as other software can take it: in one order of time, its book proven, loss noted.

`Market.steps` gives trades, tickers, snapshots and those changes of the book that follow each other without a hole,
each with the time at which it was known here. That time never goes back: what waited for its snapshot is known when
the snapshot is. Where a book is no longer to be believed, a `Clear` says which levels go; another comes before each
snapshot that replaces a book. Each UTC day, and a span that begins within a live book, begins with a snapshot.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from ...errors import ConfigError, MissingExtra
from ...events import BookDelta, BookSnapshot, BookVoid, Head, Malformed, Ticker, Trade
from ...text import escaped
from ...trusted_book import TrustedBook
from .._columns import told
from ..books import book_events
from ..dataset import Dataset
from ..layout import present
from ..losses import Loss, losses
from ..times import DAY, FOREVER, iso

try:
    import pyarrow.parquet as pq
except ImportError:
    raise MissingExtra("an export", "parquet") from None

SHOWN = 20
"""Names of symbols in an error."""


class Clear(NamedTuple):
    """The book's levels are known no more; `ts_event` is the venue's time, 0 where it said nothing of it."""

    ts_event: int
    bids: Sequence[tuple[Any, Any]]
    asks: Sequence[tuple[Any, Any]]


Step = Trade[Any] | Ticker[Any] | BookSnapshot[Any] | BookDelta[Any] | Clear


class Unknown(NamedTuple):
    """From when to when there was no book to be believed, and why."""

    ts_from: int
    ts_to: int
    reason: str


class Market:
    """A market of a dataset from `start` until before `end`, receive times in Unix nanoseconds or None.

    `losses` and `unknown` are whole when all `steps` are read; then `first` and `last` are the times of the first and
    the last step, None where there was none.
    """

    def __init__(
        self, data: Dataset, venue: str, symbol: str, start: int | None = None, end: int | None = None
    ) -> None:
        self.data, self.venue, self.symbol = data, venue, symbol
        self.start, self.end = start, end
        self.losses: list[Loss] = []
        self.unknown: list[Unknown] = []
        self.first: int | None = None
        self.last = 0
        self._book: TrustedBook[Any] = TrustedBook(f"{venue}:{symbol}:book")
        self._with_book = True
        self._shown = False
        """Whether the book's levels are in what was given."""
        self._day = -1
        self._now = 0

    def steps(self, channels: Sequence[str], *, book: bool = True) -> Iterator[tuple[int, Step]]:
        """All that there is of the channels, and of the book where it is wanted, with the time it was known."""
        self._with_book = book
        held: tuple[int, Step] | None = None  # what clears a book is of no use where nothing comes after it
        for event in self._events(channels):
            self._now = max(self._now, event.ts_recv)
            if self.start is not None and self._now < self.start:
                self._book.apply(event)
                continue
            for step in self._taken(event):
                if held is not None:
                    yield held
                held = self._now, step
                if not isinstance(step, Clear):
                    yield held
                    held = None
                    self.first = self._now if self.first is None else self.first
                    self.last = self._now
        self._known_again(self.last)
        self.unknown = [span for span in self.unknown if span.ts_from < span.ts_to]
        wanted = [*channels, *(["book"] if book else [])]
        self.losses = sorted(filter(self._within, [*self.losses, *self._losses(wanted)]))

    def _events(self, channels: Sequence[str]) -> Iterator[Head]:
        venue, symbol, start, end = self.venue, self.symbol, self.start, self.end
        others = [*channels] if self._with_book else [*channels, "life"]
        found = self.data.events(others, venue=venue, symbol=symbol, start=start, end=end)
        if not self._with_book:
            return found
        about = book_events(self.data, venue, symbol, start, end)
        return heapq.merge(about, found, key=lambda event: (event.ts_recv, event.seq_local))

    def _taken(self, event: Head) -> Iterator[Step]:
        if self._now // DAY != self._day:
            yield from self._opened()
        if isinstance(event, Trade | Ticker):
            yield event
        elif isinstance(event, BookSnapshot):
            yield from self._cleared(event.ts_event)
            self._known_again(self._now)
            self._book.apply(event)
            self._shown = True
            yield event
        elif isinstance(event, BookDelta | BookVoid):
            live = self._book.live
            self._book.apply(event)
            if live and not self._book.live:
                self._unknown_from(self._now)
                yield from self._cleared(0)
            elif live and isinstance(event, BookDelta) and event.epoch == self._book.epoch:
                yield event
        elif isinstance(event, Malformed):
            at = event.ts_recv
            self.losses.append(Loss(at, at, self.venue, "", "", "malformed", event.reason))

    def _opened(self) -> Iterator[Step]:
        """A new day, or the beginning of the span: the book as it stands."""
        now, book = self._now, self._book
        self._now = max(now // DAY * DAY, self.start or 0)
        if self._day < 0 and self._with_book and not book.live:
            self._unknown_from(now if self.start is None else self._now)
        self._day = now // DAY
        if book.live:
            yield from self._cleared(0)
            self._shown = True
            yield BookSnapshot(
                venue=self.venue,
                symbol=self.symbol,
                ts_recv=self._now,
                epoch=book.epoch,
                seq=book.seq,
                depth=book.depth,
                bids=tuple(book.bids()),
                asks=tuple(book.asks()),
            )
        self._now = now

    def _cleared(self, ts_event: int) -> Iterator[Step]:
        if self._shown:
            self._shown = False
            known = self._book.last_known
            yield Clear(ts_event, known.bids(FOREVER), known.asks(FOREVER))

    def _unknown_from(self, now: int) -> None:
        self.unknown.append(Unknown(now, 0, escaped(self._book.reason)))

    def _known_again(self, now: int) -> None:
        if self.unknown and not self.unknown[-1].ts_to:
            self.unknown[-1] = self.unknown[-1]._replace(ts_to=now)

    def _losses(self, channels: Sequence[str]) -> Iterator[Loss]:
        for loss in losses(self.data, self.venue):
            if any(loss.touches(self.venue, self.symbol, channel) for channel in channels):
                yield loss

    def _within(self, loss: Loss) -> bool:
        first = (self.first or 0) if self.start is None else self.start
        last = self.last if self.end is None else self.end - 1
        return (loss.ts_from <= last and loss.ts_to > first) or first <= loss.ts_from == loss.ts_to <= last

    def stem(self, kind: str, date: str) -> str:
        """A file's name before its ending: safe, whatever the names of venue and symbol are made of."""
        return f"{quote(self.venue, safe='')}_{kind}_{date}_{quote(self.symbol, safe='')}"

    def marks(self) -> tuple[bool, bool]:
        """Whether the market is simulated, and whether its numbers are exact; as the files say."""
        files = [present(file.path) for file in self.data.files if file.venue == self.venue]
        said = [told(pq.read_metadata(path).metadata, str(path)) for path in files]
        return any(s["simulated"] == "true" for s in said), any(s["exact"] == "true" for s in said)

    def missing(self) -> ConfigError:
        """Why there was nothing to give: no such symbol, or nothing of it in the span."""
        known = symbols_of(self.data, self.venue)
        name = escaped(self.symbol, 60)
        if self.symbol not in known:
            names = ", ".join(known[:SHOWN]) + ", ..." * (len(known) > SHOWN)
            return ConfigError(f"{self.data.root} has no {name} of {self.venue}; it has {names or 'no symbol'}")
        first, last = _of(self.data, self.venue).span
        return ConfigError(
            f"nothing of {self.venue}:{name} to export; {self.venue} was recorded from {iso(first)} to {iso(last)}"
        )


def symbols_of(data: Dataset, venue: str) -> list[str]:
    """The symbols that were recorded of a venue; reads that one column of its files."""
    return _of(data, venue).symbols


def _of(data: Dataset, venue: str) -> Dataset:
    only = Dataset(data.root)
    only.files = [file for file in only.files if file.venue == venue]
    return only
