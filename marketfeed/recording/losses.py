"""What a dataset says of itself that is missing: gaps of the feed, and times when nothing was recorded."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import MissingExtra
from ..events import Connected, Disconnected, Gap, Head, Lagged, RecorderStatus, Subscribed, Unsubscribed
from ._columns import TIME, WORD
from .times import FOREVER, WAITED

try:
    import pyarrow as pa
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

if TYPE_CHECKING:
    from .dataset import Dataset

NO_MARKET = {"life", "instrument"}
"""Channels that say nothing of what goes on in a market."""
RECORDER = "recorder"
"""Under this name, in place of a venue's, the recorder tells when it did not record (`RecorderStatus`)."""
ALL = ""
"""As venue, symbol and channel of a loss: of every one of them."""
NOT_CONNECTED = "not connected"
"""Cause of a loss from a recorder's start until a venue that was tried for is heard."""
NOT_SUBSCRIBED = "not subscribed"
"""Cause of a loss until a stream that was recorded before is acknowledged again, if it is: from a recorder's start, or
from when nobody wanted it any more."""
LAGGED = "lagged"
"""Cause of a loss by events that were left out, and of which a recorder could not say until when."""
LINK_LOST = "link lost"
UNREAD = "unread"
"""Cause of a loss that a file makes which is not there or cannot be read."""
_OPEN_ENDED = {LINK_LOST, "halted"}
"""Causes after which nothing comes until the stream is subscribed to again."""


class Loss(NamedTuple):
    """From when to when (receive times, Unix ns) something is missing from a stream, or from all.

    `ts_from` is 0 before the first recording and `ts_to` is `FOREVER` after the last, or where the end is not known.
    """

    ts_from: int
    ts_to: int
    venue: str
    symbol: str
    channel: str
    cause: str
    detail: str = ""

    def touches(self, venue: str | None, symbol: str | None, channel: str | None) -> bool:
        """Whether it is about that stream; None is any."""
        asked = ((self.venue, venue), (self.symbol, symbol), (self.channel, channel))
        return all(wanted is None or mine in {ALL, wanted} for mine, wanted in asked)


def losses(data: Dataset, venue: str | None = None) -> list[Loss]:
    """All that is missing of a venue (of all, where None), by the time from which it is. Reads the life events.

    A gap of a lost connection lasts until the stream is subscribed to again, and one of a book until its next snapshot.
    A venue that was tried for and not heard is missing from the start of the recorder, and so is a stream of an earlier
    run until it is subscribed to again.
    """
    found = not_recorded(data)
    trials, returns = _Trials(data), _Returns(data)
    snapshots = cache(data._snapshot_times)
    waiting: dict[tuple[str, str, str], Loss] = {}
    for event in data.events("life", venue=venue):
        trials.take(event)
        returns.take(event)
        if isinstance(event, Subscribed) and (open_ := waiting.pop((event.venue, event.symbol, event.channel), None)):
            found.append(open_._replace(ts_to=event.ts_recv))
        elif isinstance(event, Gap) and not event.healed:
            name = (event.venue, event.symbol, event.channel)
            loss = Loss(event.ts_from or event.ts_recv, event.ts_to or event.ts_recv, *name, event.cause, event.detail)
            if event.channel == "book":
                found.append(loss._replace(ts_to=_first(snapshots(event.venue, event.symbol), loss.ts_to)))
            elif event.cause in _OPEN_ENDED:
                known = waiting.get(name)
                waiting[name] = loss._replace(ts_from=min(loss.ts_from, known.ts_from)) if known else loss
            else:
                found.append(loss)
        elif isinstance(event, Unsubscribed):
            name, since = (event.venue, event.symbol, event.channel), event.ts_recv
            if event.channel == "book":
                again = _first(snapshots(event.venue, event.symbol), since)
                found.append(Loss(since, again, *name, NOT_SUBSCRIBED))
            else:
                waiting.setdefault(name, Loss(since, since, *name, NOT_SUBSCRIBED))
    found += [loss._replace(ts_to=FOREVER) for loss in waiting.values()]
    found += trials.failed()
    found += returns.late()
    return sorted(found)


class _Trials:
    """Connections of each venue in each run of a recorder, until the venue is heard; takes life events in their order.

    Which streams were wanted is not recorded before a connection stands: all of the venue is missing.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._runs = runs(data)
        self._connected: set[tuple[str, int]] = set()
        self._acknowledged: dict[tuple[str, int], int] = {}
        self._failed: dict[tuple[str, int], Disconnected] = {}

    def take(self, event: Head) -> None:
        name = event.venue, bisect_right(self._runs, (event.ts_recv, FOREVER)) - 1
        if name in self._acknowledged:
            return
        if isinstance(event, Subscribed):
            self._acknowledged[name] = event.ts_recv
        elif isinstance(event, Connected):
            self._connected.add(name)
        # else it stood before the recorder began, and its streams tell what its end costs them
        elif isinstance(event, Disconnected) and (not event.code or name in self._connected):
            self._failed.setdefault(name, event)

    def failed(self) -> list[Loss]:
        """What was lost by those that failed before anything was heard."""
        found = []
        for (venue, run), event in self._failed.items():
            since, until = self._runs[run] if run >= 0 else (event.ts_recv, FOREVER)
            until = self._acknowledged.get((venue, run), until)
            heard = self._heard(venue, since, until)
            if heard >= event.ts_recv:
                found.append(Loss(since, heard, venue, ALL, ALL, NOT_CONNECTED, event.reason))
        return found

    def _heard(self, venue: str, since: int, until: int) -> int:
        """When data came first, at the latest `until`: not every stream is acknowledged, nor by every recording."""
        channels = [channel for channel in self._data.channels if channel not in NO_MARKET]
        first = next(self._data.events(channels, venue=venue, start=since), None)
        return until if first is None else min(first.ts_recv, until)


class _Returns:
    """When each stream began in each run of a recorder; takes life events in their order.

    Another run may not want a stream at all, and a connection takes its time: neither is covered.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._runs = runs(data)
        self._began: dict[tuple[str, str, str], dict[int, int]] = {}
        self._acknowledged: set[tuple[str, int]] = set()
        self._symbols: dict[tuple[str, str, int], set[str]] = {}

    def take(self, event: Head) -> None:
        """A gap that comes first is of a stream that stood before the recorder began."""
        if not isinstance(event, Subscribed | Gap):
            return
        run = bisect_right(self._runs, (event.ts_recv, FOREVER)) - 1
        known = self._began.setdefault((event.venue, event.symbol, event.channel), {})
        known.setdefault(run, event.ts_recv if isinstance(event, Subscribed) else 0)
        if isinstance(event, Subscribed):
            self._acknowledged.add((event.venue, run))

    def late(self) -> Iterator[Loss]:
        """What later runs lack of the streams of earlier ones."""
        for stream, known in self._began.items():
            for run in range(max(min(known), 0) + 1, len(self._runs)):
                since, until = self._runs[run]
                began = known[run] if run in known else until if self._is_absent(stream, run) else 0
                if began > since:
                    yield Loss(since, began, *stream, NOT_SUBSCRIBED)

    def _is_absent(self, stream: tuple[str, str, str], run: int) -> bool:
        """Whether nobody wanted it. Where a venue acknowledged nothing its streams stood before, and may be quiet."""
        venue, symbol, channel = stream
        if (venue, run) in self._acknowledged:
            return symbol not in self._heard(venue, channel, run)
        return not any(self._heard(venue, one, run) for one in self._data.channels)

    def _heard(self, venue: str, channel: str, run: int) -> set[str]:
        """The symbols that something of came."""
        key = venue, channel, run
        if key not in self._symbols:
            since, until = self._runs[run]
            data, end = self._data, None if until == FOREVER else until
            files, where = data._chosen(channel, venue, None, since, end)
            spans = [(file, *data._footer(file)[1:]) for file in files]
            files = [file for file, first, last in spans if first < until and last >= since]
            column = data._load(files, filter=where, columns=["symbol"])["symbol"].unique() if files else pa.array([])
            self._symbols[key] = set(column.to_pylist())
        return self._symbols[key]


def runs(data: Dataset) -> list[tuple[int, int]]:
    """From when to when (Unix ns) recorders ran, in order; `FOREVER` is the end of one that has not told it."""
    found: list[tuple[int, int]] = []
    for event in data.events("life", venue=RECORDER):
        if not isinstance(event, RecorderStatus):
            continue
        if event.status == "started":
            if found and found[-1][1] == FOREVER:
                found[-1] = found[-1][0], event.ts_from or event.ts_recv
            found.append((event.ts_recv, FOREVER))
        elif event.status == "ended" and found:
            found[-1] = found[-1][0], event.ts_recv
    return found


def not_recorded(data: Dataset) -> list[Loss]:
    """When nothing was recorded, or not all of it: around the runs of a recorder, and by its word."""
    found: list[Loss] = []
    ended = lagged = 0
    for event in data.events("life", venue=RECORDER):
        if not isinstance(event, RecorderStatus):
            continue
        if event.status == "ended":
            ended = event.ts_recv
        elif event.status == "started":
            if lagged:  # and killed before it could say what it left out
                found.append(_unrecorded(lagged, event.ts_recv, LAGGED, ""))
            since = min(ended or FOREVER, event.ts_from or FOREVER) if ended or event.ts_from else 0
            found.append(_unrecorded(since, event.ts_to or event.ts_recv, "not recorded", event.detail))
            ended = lagged = 0
        elif event.ts_from and event.ts_to:
            found.append(_unrecorded(event.ts_from, event.ts_to, event.status, event.detail))
            lagged = 0 if event.status == "resumed" else lagged
        elif event.ts_from:
            lagged = event.ts_from
    if ended:
        found.append(_unrecorded(ended, FOREVER, "not recorded", ""))
    if lagged:
        found.append(_unrecorded(lagged, FOREVER, LAGGED, ""))
    for event in data.events("life", venue=""):
        if isinstance(event, Lagged):
            detail = f"{event.dropped} events were left out"
            found.append(_unrecorded(event.ts_recv - WAITED, event.ts_recv, LAGGED, detail))
    return sorted(found)


def _unrecorded(since: int, until: int, cause: str, detail: str) -> Loss:
    return Loss(since, until, ALL, ALL, ALL, cause, detail)


def _first(times: list[int], since: int) -> int:
    at = bisect_left(times, since)
    return times[at] if at < len(times) else FOREVER


def apart(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order, those that touch or overlap as one, without empty ones."""
    made: list[tuple[int, int]] = []
    for since, until in sorted(spans):
        if until <= since:
            continue
        if made and since <= made[-1][1]:
            made[-1] = made[-1][0], max(until, made[-1][1])
        else:
            made.append((since, until))
    return made


def table(found: list[Loss]) -> pa.Table:
    """As an Arrow table; null is of all venues, symbols or channels, and an end that is not known."""
    shown = [loss for loss in found if loss.ts_from]
    columns = {
        "ts_from": pa.array([loss.ts_from for loss in shown], TIME),
        "ts_to": pa.array([None if loss.ts_to == FOREVER else loss.ts_to for loss in shown], TIME),
    }
    for name in ("venue", "symbol", "channel", "cause"):
        columns[name] = pa.array([getattr(loss, name) or None for loss in shown], WORD)
    columns["detail"] = pa.array([loss.detail for loss in shown], pa.string())
    return pa.table(columns)
