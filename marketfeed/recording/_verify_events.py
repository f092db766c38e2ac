"""The third floor of `verify`: a venue's events in their order, held against each other, and how much is covered."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from ..events import (
    MARKET_TYPES,
    BookDelta,
    BookSnapshot,
    BookVoid,
    Gap,
    Head,
    Malformed,
    Refused,
    SchemaDrift,
    Stale,
    Subscribed,
    Trade,
    channel_of,
    kind,
)
from ..text import escaped
from ._verify_books import Books
from ._verify_clock import Delays
from ._verify_trades import Trades
from .dataset import Dataset
from .findings import Coverage, Findings, Hour
from .losses import ALL, LINK_LOST, NOT_CONNECTED, UNREAD, Loss, apart, losses, runs
from .times import FOREVER

HOUR = 3600 * 10**9
SILENCE = 300 * 10**9
"""Nanoseconds without a word of a venue, and without one about why, that are worth a note."""
TELL = 5_000
CHANNELS = ("trades", "ticker", "book")

Stream = tuple[str, str, str]
Spans = list[tuple[int, int]]


class VenueCheck:
    """Of one venue of a dataset; `unread` are the losses that files which cannot be read have made."""

    def __init__(self, data: Dataset, venue: str, found: Findings, unread: Sequence[Loss] = ()) -> None:
        self._data = data
        self._venue = venue
        self._found = found
        self._losses = [loss for loss in [*losses(data, venue), *unread] if loss.venue in {ALL, venue}]
        self._holes = {channel: self._unrecorded(channel) for channel in (ALL, *CHANNELS)}
        self._trades: dict[str, Trades] = {}
        self._books: dict[str, Books] = {}
        self._events: dict[Stream, Counter[int]] = {}
        self._spans: dict[Stream, tuple[int, int]] = {}
        self._runs = runs(data)
        self._end = data.span[1]
        self._delays = Delays(venue, found)
        self._last = 0

    def run(self, tell: Callable[[int], None]) -> list[Coverage]:
        """Go through all events; `tell` is told how many, now and then."""
        count = 0
        for event in self._data.events(venue=self._venue):
            self._take(event)
            count += 1
            if not count % TELL:
                tell(TELL)
        tell(count % TELL)
        self._listen(FOREVER)
        for book in self._books.values():
            book.end(self._last)
        self._delays.end()
        self._note_losses()
        return [self._coverage(stream) for stream in sorted(self._events)]

    def _take(self, event: Head) -> None:
        now = event.ts_recv
        self._listen(now)
        self._last = max(self._last, now)
        self._delays.take(event)
        if isinstance(event, Trade):
            self._trades_of(event.symbol).trade(event)
        elif isinstance(event, BookSnapshot | BookDelta | BookVoid):
            self._books_of(event.symbol).take(event)
        elif isinstance(event, Gap) and event.channel == "trades":
            self._trades_of(event.symbol).gap(event)
        elif isinstance(event, Subscribed) and event.channel == "trades":
            self._trades_of(event.symbol).subscribed()
        elif isinstance(event, Stale | Malformed | SchemaDrift | Refused):
            where = escaped(":".join(filter(None, (self._venue, event.symbol, channel_of(event)))))
            detail = event.what if isinstance(event, SchemaDrift) else event.reason
            self._found.note(kind(event), where, escaped(detail), now)
        channel = channel_of(event)
        if event.symbol and channel in CHANNELS:
            self._count((self._venue, event.symbol, channel), event)

    def _listen(self, now: int) -> None:
        """Note a silence before the next event, or before the end of a recorder that heard none."""
        if not self._last or now - self._last <= SILENCE:
            return
        until = min(now, self._ends(self._last) - 1)  # what follows its end is a hole, and noted as one
        if until - self._last <= SILENCE or self._excused(ALL, self._last, until):
            return
        lost = (loss for loss in self._losses if loss.cause == LINK_LOST)
        if not any(loss.ts_from <= self._last and loss.ts_to >= until for loss in lost):
            seconds = (until - self._last) / 1e9
            self._found.note("silence", self._venue, f"nothing came for {seconds:,.0f} s, and nothing says why", until)

    def _ends(self, ts: int) -> int:
        """When the recorder ended that ran at that time, as far as anything tells."""
        at = bisect_right(self._runs, (ts, FOREVER)) - 1
        return max(ts, min(self._runs[at][1] if at >= 0 else FOREVER, self._end))

    def _count(self, stream: Stream, event: Head) -> None:
        known = self._events.setdefault(stream, Counter())
        if isinstance(event, MARKET_TYPES):
            known[event.ts_recv // HOUR] += 1
        first, last = self._spans.get(stream, (event.ts_recv, 0))
        self._spans[stream] = first, max(event.ts_recv, last)

    def _trades_of(self, symbol: str) -> Trades:
        if symbol not in self._trades:
            where = escaped(f"{self._venue}:{symbol}:trades")
            self._trades[symbol] = Trades(where, self._found, partial(self._excused, "trades"))
        return self._trades[symbol]

    def _books_of(self, symbol: str) -> Books:
        if symbol not in self._books:
            where = escaped(f"{self._venue}:{symbol}:book")
            self._books[symbol] = Books(where, self._found, partial(self._excused, "book"))
        return self._books[symbol]

    def _unrecorded(self, channel: str) -> Spans:
        wanted = [loss for loss in self._losses if not loss.symbol and loss.channel in {ALL, channel}]
        return apart((loss.ts_from, loss.ts_to) for loss in wanted)

    def _excused(self, channel: str, since: int, until: int) -> bool:
        """Whether between two times something was not recorded, or is of a file that cannot be read."""
        holes = self._holes[channel]
        at = bisect_right(holes, (until, FOREVER))
        return at > 0 and holes[at - 1][1] >= since

    def _note_losses(self) -> None:
        """What is told to be missing, by stream or venue, and cause."""
        told: dict[tuple[str, str], list[Loss]] = {}
        for loss in self._losses:
            if loss.symbol or loss.cause == NOT_CONNECTED:
                where = escaped(":".join(filter(None, (loss.venue, loss.symbol, loss.channel))))
                told.setdefault((where, loss.cause), []).append(loss)
        for (where, cause), some in sorted(told.items()):
            spans = apart((loss.ts_from, self._ended(loss)) for loss in some)
            seconds = sum(until - since for since, until in spans) / 1e9
            many = "1 gap" if len(some) == 1 else f"{len(some)} gaps"
            self._found.note("gap", where, f"{many} ({cause}), {seconds:,.1f} s in all, the first", some[0].ts_from)

    def _ended(self, loss: Loss) -> int:
        return self._ends(loss.ts_from) if loss.ts_to == FOREVER else loss.ts_to

    def _coverage(self, stream: Stream) -> Coverage:
        known, name = self._events[stream], ":".join(stream)
        first, last = self._spans[stream]
        mine = [loss for loss in self._losses if loss.touches(*stream)]
        away = [(loss.ts_from, self._ended(loss)) for loss in mine if loss.cause == NOT_CONNECTED]
        wanted = apart([(first, self._ends(last)), *away]) or [(first, last)]
        lost = apart((loss.ts_from, loss.ts_to) for loss in mine)
        if not known.total():
            if not any(loss.cause == UNREAD for loss in mine):
                return Coverage(stream=name, events=0, covered=None, hours=[])
            lost = wanted
        hours = []
        for hour in sorted({n for since, until in wanted for n in range(since // HOUR, until // HOUR + 1)}):
            part = _covered(_common(wanted, [(hour * HOUR, (hour + 1) * HOUR)]), lost)
            hours.append(Hour(ts=hour * HOUR, events=known[hour], covered=part))
        return Coverage(stream=name, events=known.total(), covered=_covered(wanted, lost), hours=hours)


def _covered(wanted: Spans, lost: Spans) -> float:
    whole = sum(until - since for since, until in wanted)
    return 1 - sum(until - since for since, until in _common(wanted, lost)) / whole if whole else 1.0


def _common(some: Spans, others: Spans) -> Spans:
    both = ((max(a, since), min(b, until)) for a, b in some for since, until in others)
    return [(since, until) for since, until in both if since < until]
