"""What a playback reads: datasets, JSON lines, and any events; each from a time on, and asked how things stood then.

An event's place is the greatest receive time of its source up to it: a source keeps its own order, in which changes
of a book may stand after the snapshot that they waited for.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast

import msgspec

from ..errors import ConfigError
from ..events import (
    BookDelta,
    BookSnapshot,
    BookVoid,
    Gap,
    Head,
    Instrument,
    Lagged,
    RecorderStatus,
    Subscribed,
    channel_of,
)
from ..subscriptions import CHANNELS
from ..trusted_book import TrustedBook
from ._playback_books import Hole, Market, Shelf
from .lines import read_events
from .raw import decoded
from .replay import Replay
from .rerun import Rerun
from .segments import segments
from .times import WAITED

if TYPE_CHECKING:
    from .dataset import Dataset

Stream = tuple[str, str, str]
"""(venue, symbol, channel)."""
Placed = tuple[int, "Head | Hole"]
Source: TypeAlias = "str | Path | Dataset | Iterable[Head]"
BOOK = (BookDelta, BookSnapshot, BookVoid)
_first = msgspec.json.Decoder(dict[str, Any]).decode


class Held(NamedTuple):
    """What a source holds: its streams, and the first instrument of each market."""

    streams: set[Stream]
    instruments: dict[Market, Instrument[Any]]


class State(NamedTuple):
    """How things stood: the instruments known, and the live books with the places at which they were opened."""

    instruments: dict[Market, Instrument[Any]]
    books: dict[Market, tuple[TrustedBook[Any], int]]


class Opened(Protocol):
    """A source that can be played."""

    name: str

    def held(self) -> Held | None:
        """What it holds; None where only playing it tells."""

    def events(self, start: int | None) -> Iterator[Placed]:
        """The events of places from `start` on (all, where None), and the holes between them."""

    def state(self, before: int, markets: Collection[Market]) -> State:
        """How things stood before the event of place `before`, of these markets; nothing where all was over by then."""


def opened(source: Source, exact: bool) -> Opened:
    """A source as it is given. Raises ConfigError and RecordingError for what is none."""
    if isinstance(source, str | Path):
        return _at(Path(source), exact)
    if isinstance(source, Replay):
        return _replayed(source)
    if isinstance(source, Rerun):
        return Events(str(source.path), lambda: iter(Rerun(source.path)))
    if hasattr(source, "book_at"):
        return Recorded(cast("Dataset", source))
    if not isinstance(source, Iterable):
        raise ConfigError(f"{source!r} is no recording: give a path, a dataset, or events")
    name = f"a {type(source).__name__}"
    return Once(name, source) if isinstance(source, Iterator) else Events(name, partial(iter, source))


def _at(path: Path, exact: bool) -> Opened:
    if not path.is_dir():
        is_raw = next(decoded(path, _first, "an event"), {}).get("dir")
        return (
            _replayed(Replay(path, exact=exact))
            if is_raw
            else Events(str(path), partial(read_events, path, exact=exact))
        )
    if segments(path):
        return Events(str(path), lambda: iter(Rerun(path)))
    from .dataset import open_dataset  # noqa: PLC0415 # needs pyarrow

    return Recorded(open_dataset(path))


def _replayed(replay: Replay) -> "Events":
    """A capture; each time through sessions that are new, as they remember what they told."""
    known: set[Stream] = {(s.venue, s.symbol, s.channel) for s in replay.wanted}
    return Events(
        str(replay.path), lambda: iter(Replay(replay.path, venue=replay.venue.name, exact=replay.exact)), known
    )


class Events:
    """Events that can be read again from their beginning; `known` are their streams, if that is known."""

    def __init__(self, name: str, again: Callable[[], Iterator[Head]], known: set[Stream] | None = None) -> None:
        self.name = name
        self._again = again
        self._known = known

    def held(self) -> Held | None:
        """See `Opened`; reads all, unless it is known."""
        if self._known is not None:
            return Held(self._known, {})
        found = Held(set(), {})
        for event in self._again():
            if isinstance(event, Instrument):
                found.instruments.setdefault((event.venue, event.symbol), event)
            elif (stream := stream_of(event)) is not None:
                found.streams.add(stream)
        return found

    def events(self, start: int | None) -> Iterator[Placed]:
        """See `Opened`."""
        place = 0
        for event in self._again():
            place = max(place, event.ts_recv)
            if start is None or place >= start:
                yield place, event
                if (hole := hole_at(event)) is not None:
                    yield place, hole

    def state(self, before: int, markets: Collection[Market]) -> State:
        """See `Opened`."""
        instruments: dict[Market, Instrument[Any]] = {}
        shelf = Shelf()
        for venue, symbol in markets:
            shelf.put((venue, symbol), TrustedBook(f"{venue}:{symbol}:book"))
        for place, event in self.events(None):
            if place >= before:
                return State(instruments, shelf.live())
            if isinstance(event, Hole):
                list(shelf.hole(0, event.since, 0, 0))
            elif isinstance(event, Instrument):
                instruments[event.venue, event.symbol] = event
            elif isinstance(event, BOOK):
                shelf.apply(event, 0, place)
            elif isinstance(event, Gap):
                shelf.lack(event)
        return State({}, {})


class Once(Events):
    """Events that can be read only once."""

    def __init__(self, name: str, events: Iterator[Head]) -> None:
        super().__init__(name, lambda: events)

    def held(self) -> None:
        """See `Opened`."""

    def events(self, start: int | None) -> Iterator[Placed]:
        """See `Opened`."""
        if start is not None:
            raise ConfigError(f"{self.name} can be read only once, so not from a time on; give a path or a list")
        return super().events(None)

    def state(self, before: int, markets: Collection[Market]) -> State:
        """See `Opened`; what was told is gone."""
        return State({}, {})


class Recorded:
    """A dataset, of which only what is needed is read."""

    def __init__(self, data: "Dataset") -> None:
        self.name = str(data.root)
        self._data = data
        self._streams: set[Stream] = set()

    def held(self) -> Held:
        """See `Opened`; reads the names in it."""
        from ._playback_dataset import streams  # noqa: PLC0415 # needs pyarrow

        found = Held(streams(self._data), {})
        for event in self._data.events("instrument"):
            if isinstance(event, Instrument):
                found.instruments.setdefault((event.venue, event.symbol), event)
        self._streams = found.streams
        return found

    def events(self, start: int | None) -> Iterator[Placed]:
        """See `Opened`."""
        from .losses import not_recorded  # noqa: PLC0415 # needs pyarrow

        # what waited for a snapshot was received before the place it has
        found = self._data.events(start=None if start is None else max(start - WAITED, 0))
        holes = sorted({loss.ts_from for loss in not_recorded(self._data)} - {0}, reverse=True)
        while start is not None and holes and holes[-1] < start:
            holes.pop()
        place = 0
        for event in found:
            while holes and holes[-1] < event.ts_recv:
                since = holes.pop()
                place = max(place, since)
                yield place, Hole(since)
            place = max(place, event.ts_recv)
            if start is None or place >= start:
                yield place, event

    def state(self, before: int, markets: Collection[Market]) -> State:
        """See `Opened`."""
        data = self._data
        if not before or data.span[1] < before:
            return State({}, {})
        told = data.events("instrument", end=before)
        instruments = {(e.venue, e.symbol): e for e in told if isinstance(e, Instrument)}
        kept = [market for market in markets if (*market, "book") in self._streams]
        books = {market: (data.book_at(*market, before - 1), 0) for market in kept}  # holes before are known
        return State(instruments, {market: known for market, known in books.items() if known[0].live})


def stream_of(event: Head) -> Stream | None:
    """The stream that an event proves to be held: by its data, or as the venue's acknowledgement."""
    channel = channel_of(event)
    if channel not in CHANNELS or (hasattr(event, "channel") and not isinstance(event, Subscribed)):
        return None
    return (event.venue, event.symbol, channel) if type(event) is not BookVoid else None


def hole_at(event: Head) -> Hole | None:
    """The hole that a recorded event tells of."""
    if isinstance(event, Lagged):
        return Hole(event.ts_recv)
    if not isinstance(event, RecorderStatus):
        return None
    return Hole(event.ts_recv) if event.status == "ended" else Hole(event.ts_from) if event.ts_from else None


def merged(sources: Collection[Opened], start: int | None, end: int | None) -> Iterator[tuple[int, int, "Head | Hole"]]:
    """(place, number of the source, event) of all sources: by place, ties by `seq_local`, each source in its order.

    A source that ends before others ends with a hole.
    """
    heap: list[tuple[int, int, int, Head | Hole, Iterator[Placed]]] = []
    for index, source in enumerate(sources):
        stream = source.events(start)
        for place, event in stream:
            if end is None or place < end:
                heap.append((place, _number(event), index, event, stream))
            break
    heapq.heapify(heap)
    while heap:
        place, number, index, event, stream = heap[0]
        yield place, index, event
        at, following = next(stream, (0, None))
        if following is None or (end is not None and at >= end):
            heapq.heappop(heap)
            if heap:
                yield place, index, Hole(place, last=True)
        else:
            number = number if isinstance(following, Hole) else following.seq_local
            heapq.heapreplace(heap, (at, number, index, following, stream))


def _number(event: "Head | Hole") -> int:
    return 0 if isinstance(event, Hole) else event.seq_local
