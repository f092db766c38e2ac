"""A pass gathers events and makes tables of them piece by piece, so that few events are held as objects at once."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import MissingExtra, RecordingError
from ..events import (
    Gap,
    Head,
    Lagged,
    RecorderStatus,
    Trade,
    channel_of,
    encode_json,
)
from ..text import escaped
from .manifest import hole
from .tables import to_tables

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

DAY = 86_400 * 10**9
WAITED = 60 * 10**9
"""Nanoseconds that changes may have waited for a snapshot, at most."""
PIECE = 10_000
"""Events made into tables at once."""
_LOSSES = {Gap, Lagged, RecorderStatus}


class Place(NamedTuple):
    """Which file an event goes into: one of these three."""

    venue: str
    channel: str
    day: int


class Gathered:
    """Events of one pass, in the order of the feed. `rejected` are those that no table can hold, JSON and reason.

    In the place of such a one is a `Gap`.
    """

    def __init__(self, *, exact: bool, simulated: bool) -> None:
        self.events = 0
        self.gaps: list[Gap] = []
        self.holes: list[RecorderStatus | Lagged] = []
        self.rejected: list[tuple[bytes, str]] = []
        self._exact = exact
        self._simulated = simulated
        self._waiting: list[Head] = []
        self._newest = 0
        """The greatest `ts_recv`."""
        self._made: dict[Place, list[pa.Table]] = {}

    def add(self, events: Sequence[Head]) -> None:
        """Take in events."""
        self._waiting += events
        if len(self._waiting) >= PIECE:
            self._make()

    def tables(self) -> Iterator[tuple[Place, pa.Table]]:
        """The table of each file, by its place; each once."""
        self._make()
        for place in sorted(self._made):
            yield place, pa.concat_tables(self._made.pop(place)).unify_dictionaries()

    def _make(self) -> None:
        of: dict[tuple[str, int], list[Head]] = defaultdict(list)
        for day, events in self._days(self._waiting).items():
            for event in events:
                of[event.venue, day].append(event)
        for event in self._waiting:
            if type(event) in _LOSSES:
                if isinstance(event, Gap):
                    self.gaps.append(event)
                elif (missing := hole(event)) is not None:
                    self.holes.append(missing)
        self._waiting.clear()
        for (venue, day), events in of.items():
            for channel, table in self._tables(events).items():
                self._made.setdefault(Place(venue, channel, day), []).append(table)

    def _days(self, events: list[Head]) -> dict[int, list[Head]]:
        """Which file each is for. What waited for a snapshot follows it, over midnight too, though it came before."""
        times = [event.ts_recv for event in events]
        last = max(times, default=0)
        if last // DAY == min(times, default=0) // DAY >= self._newest // DAY:
            self._newest = max(self._newest, last)
            return {last // DAY: events}
        found: dict[int, list[Head]] = defaultdict(list)
        for event in events:
            self._newest = max(self._newest, event.ts_recv)
            waited = self._newest - event.ts_recv < WAITED
            found[(self._newest if waited else event.ts_recv) // DAY].append(event)
        return found

    def _tables(self, events: list[Head]) -> dict[str, pa.Table]:
        try:
            made = to_tables(events, self._exact, simulated=self._simulated)
        except RecordingError:
            made = to_tables([self._fitting(event) for event in events], self._exact, simulated=self._simulated)
        self.events += len(events)
        return made

    def _fitting(self, event: Head) -> Head:
        """The event, or in its place the gap that it leaves."""
        try:
            to_tables([event], self._exact)
        except RecordingError as exc:
            self.rejected.append((encode_json(event), str(exc)))
            self.gaps.append(_left_by(event, escaped(str(exc), 200)))
            return self.gaps[-1]
        return event


def _left_by(event: Head, why: str) -> Gap:
    number = int(event.id) if isinstance(event, Trade) and event.id.isdecimal() and len(event.id) < 19 else 0
    return Gap(
        venue=event.venue,
        symbol=event.symbol,
        ts_recv=event.ts_recv,
        seq_local=event.seq_local,
        channel=channel_of(event),
        cause="rejected",
        from_seq=number,
        to_seq=number,
        ts_from=event.ts_recv,
        ts_to=event.ts_recv + 1,
        detail=why,
    )


def span(table: pa.Table) -> tuple[int, int]:
    """The least and the greatest `ts_recv` of a table, Unix nanoseconds."""
    found = pc.min_max(table.column("ts_recv").cast("int64")).as_py()
    return found["min"], found["max"]
