"""`Script`: which recorded events are told to those who asked for some, and how things stand meanwhile.

It fills the hub's batch; when to do so is for others to say.
"""

from collections.abc import Sequence
from typing import Any

from ..errors import nearest
from ..events import (
    MARKET_TYPES,
    Block,
    BookVoid,
    ClockStep,
    Gap,
    Head,
    Instrument,
    Lagged,
    LoopLag,
    NetworkStats,
    RecorderStatus,
    Refused,
    Unsubscribed,
    channel_of,
)
from ..hub import Hub
from ..streams import BookStream
from ..subscriptions import Subscription
from ..text import escaped
from ._playback_books import Hole, Market, Owners, Shelf, show
from ._playback_sources import BOOK, Held, Opened, Stream, merged, stream_of
from .times import iso

_OF_ALL = (RecorderStatus, Lagged, LoopLag, ClockStep)
"""What is of no venue, and of everybody's business."""

DATA = frozenset({*MARKET_TYPES, Block, NetworkStats})
BATCH = 1_000
"""Events told at once, at most."""
SHOWN = 10
"""Streams named to who asks for one that is not there."""


class Script:
    """What is told of some sources up to before `end`. Call `open` first.

    `number` is the `seq_local` of what was told last. Events made here have it too: they stand between two recorded
    ones. `refused` has the reason of each stream wanted that is not there.
    """

    def __init__(self, sources: Sequence[Opened], hub: Hub, end: int | None) -> None:
        self.refused: dict[str, str] = {}
        self.shelf = Shelf()
        self.number = 0
        self._sources = sources
        self._hub = hub
        self._end = end
        self._held = Held(set(), {})
        self._guessing = False
        """Whether only playing a source tells what it holds."""
        self._new: list[Subscription] = []
        """Wanted, and not looked for yet."""
        self._wanted: dict[Stream, Subscription] = {}
        self._markets: set[Market] = set()
        self._venues: set[str] = set()
        self._seen: set[Stream] = set()
        self.place = -1
        """That of what was told last."""
        hub.outlet.number = lambda: self.number

    @property
    def has_news(self) -> bool:
        """Whether something is wanted that was not looked for yet."""
        return bool(self._new)

    def open(self, start: int | None) -> None:
        """Look what there is, and be at `start`. Raises RecordingError for what cannot be read."""
        for source in self._sources:
            held = source.held()
            if held is None:
                self._guessing = True
            else:
                self._held.streams.update(held.streams)
                self._held.instruments.update(held.instruments)
        self._go(start)

    def _go(self, start: int | None) -> None:
        self._reel = merged(self._sources, start, self._end)
        self._head = next(self._reel, None)
        self._fresh = start is None  # nothing comes before what comes next
        self.place = -1 if start is None else start - 1
        self._seen.clear()
        self._owners = Owners([source.name for source in self._sources]) if len(self._sources) > 1 else None

    @property
    def following(self) -> int | None:
        """The place of what comes next; None at the end."""
        return None if self._head is None else self._head[0]

    @property
    def instruments(self) -> dict[Market, Instrument[Any]]:
        """Of each market in the recording: as it is known now, or else as it comes first."""
        return {**self._held.instruments, **self._hub.streams.instruments}

    def may_hold(self, venue: str) -> bool:
        """Whether there may be something of a venue."""
        return self._guessing or venue in {held for held, _, _ in self._held.streams}

    def want(self, wanted: Subscription) -> bool:
        """Tell of this stream, too; whether that is news."""
        known = self.refused.pop(wanted.name, None) is None and _stream(wanted) in self._wanted
        if known or wanted in self._new:
            return False
        self._new.append(wanted)
        if wanted.channel == "book":
            self._hub.streams.get(wanted)  # from now on there is one view of it
        return True

    def unwant(self, wanted: Subscription) -> None:
        """Tell no more of this one, and that it ends here."""
        self._tell_end(wanted)
        self.refused.pop(wanted.name, None)
        self._new = [other for other in self._new if other != wanted]
        self._wanted.pop(_stream(wanted), None)
        self._seen.discard(_stream(wanted))
        if wanted.channel == "book":
            self.shelf.books.pop((wanted.venue, wanted.symbol), None)
        self._hub.streams.drop(wanted)
        self._count()

    def waiting(self) -> dict[str, str]:
        """What is wanted and does not flow, and why."""
        found = {**self.refused, **{wanted.name: "not played yet" for wanted in self._new}}
        for stream, wanted in self._wanted.items():
            at = self._hub.streams.find(*stream)
            view = at.view if isinstance(at, BookStream) else None
            sure = wanted.channel == "trades" and stream in self._held.streams  # where a market may be quiet
            if not (view.live if view else sure or stream in self._seen):
                found[wanted.name] = view.reason if view else "nothing of it yet"
        return found

    def step(self) -> bool:
        """Put what comes next into the batch: what is new, or what was received at one time; False at the end."""
        if self._new and (self._head is None or self._head[0] > self.place):
            self._admit()
            return True
        if self._head is None:
            return False
        self._fresh = False
        place, source, _ = self._head
        for _ in range(BATCH):
            self.place = place
            item = self._head[2]
            try:
                if not isinstance(item, Hole):
                    self._take(item, source, place)
            finally:
                self._head = next(self._reel, None)
            if isinstance(item, Hole) and self._head is not None:  # before anything newer, and not after the last
                self._tear(item, source, place)
            if self._head is None or self._head[:2] != (place, source):
                break
        return True

    def seek(self, at: int) -> None:
        """Be at a time, and put into the batch how things stand there. Raises ConfigError where that cannot be."""
        for source in self._sources:
            source.events(at)  # whoever cannot says so before anything is changed
        self._go(at)
        self._new, self._wanted = [*self._wanted.values(), *self._new], {}
        self._admit(f"the recording goes on at {iso(at)}, where this book is not proven")

    def finish(self) -> None:
        """At the end: refuse what never came, where only that could tell."""
        if self._guessing:
            for stream, wanted in list(self._wanted.items()):
                if stream not in self._held.streams:
                    self._refuse(wanted)

    def _admit(self, void: str = "") -> None:
        """Begin with what is new; with `void` as reason, books that are not live are void."""
        new, self._new = self._new, []
        for wanted in new:
            if self._guessing or _stream(wanted) in self._held.streams:
                self._wanted[_stream(wanted)] = wanted
            else:
                self._refuse(wanted)
        new = [wanted for wanted in new if wanted.name not in self.refused]
        self._count()
        before = self.place + 1 if self._head is None else self._head[0]
        books = {(s.venue, s.symbol): self._hub.streams.get(s) for s in new if s.channel == "book"}
        states = [] if self._fresh else [source.state(before, books.keys()) for source in self._sources]
        known = {market: one for state in states for market, one in state.instruments.items()}
        for market in dict.fromkeys((s.venue, s.symbol) for s in new if s.channel != "chain"):
            if market in known:
                self._introduce(known[market])
        for market, stream in books.items():
            assert isinstance(stream, BookStream)
            self.shelf.put(market, stream.view)
            if void:
                stream.view.doubt(void)
            for source, state in enumerate(states):
                if market in state.books:
                    book, place = state.books[market]
                    show(stream.view, book)
                    self.shelf.put(market, stream.view, source, place)
            if stream.view.live:
                self._tell(stream.snapshot_event())
            elif void:
                epoch = stream.view.epoch
                self._tell(self._made(BookVoid, stream.subscription, ts_recv=before, epoch=epoch, reason=void))

    def _take(self, event: Head, source: int, place: int) -> None:
        channel = channel_of(event)
        if channel and event.symbol:
            stream = event.venue, event.symbol, channel
            if self._guessing and stream_of(event) is not None:
                self._held.streams.add(stream)
            if stream not in self._wanted:
                return
            if type(event) in DATA:
                self._seen.add(stream)
                if self._owners is not None:
                    self._owners.check(stream, source)
            if isinstance(event, BOOK):
                told = self.shelf.apply(event, source, place)
                if told is None:
                    return
                event = told
        elif isinstance(event, Instrument):
            if (event.venue, event.symbol) in self._markets:
                self._introduce(event)
            return
        elif not isinstance(event, _OF_ALL) and not (
            event.venue in self._venues and (not event.symbol or (event.venue, event.symbol) in self._markets)
        ):
            return
        self._tell(event)
        if isinstance(event, Gap) and (void := self.shelf.lack(event)) is not None:
            self._tell(void)

    def _tear(self, hole: Hole, source: int, place: int) -> None:
        for void in self.shelf.hole(source, hole.since, place, self.number):
            self._tell(void)
        if hole.last and self._owners is not None:
            self._owners.ended(source)

    def _introduce(self, instrument: Instrument[Any]) -> None:
        self._hub.streams.instruments.pop((instrument.venue, instrument.symbol), None)  # they stand as they were told
        self._hub.streams.instruments[instrument.venue, instrument.symbol] = instrument
        self._tell(instrument)

    def _refuse(self, wanted: Subscription) -> None:
        held = sorted(":".join(stream) for stream in self._held.streams)
        more = f" and {len(held) - SHOWN:,} more" if len(held) > SHOWN else ""
        holds = f"it holds {', '.join(held[:SHOWN])}{more}" if held else "it holds none"
        reason = escaped(f"the recording has no {wanted.name}{nearest(wanted.name, held)}; {holds}", 1_000)
        self._wanted.pop(_stream(wanted), None)
        self.refused[wanted.name] = reason
        at = self.place if self._head is None else max(self.place, self._head[0])
        self._tell(self._made(Refused, wanted, ts_recv=at, channel=wanted.channel, reason=reason))

    def _tell_end(self, wanted: Subscription) -> None:
        stream = self._hub.streams.find(*_stream(wanted))
        live = isinstance(stream, BookStream) and stream.view.live
        if isinstance(stream, BookStream) and live:
            epoch = stream.view.epoch
            self._tell(self._made(BookVoid, wanted, ts_recv=self.place, epoch=epoch, reason="unsubscribed"))
        if live or _stream(wanted) in self._seen:
            self._tell(self._made(Unsubscribed, wanted, ts_recv=self.place, channel=wanted.channel))

    def _made(self, kind: type[Head], of: Subscription, **fields: Any) -> Head:
        return kind(venue=of.venue, symbol=of.symbol, seq_local=self.number, **fields)

    def _tell(self, event: Head) -> None:
        self.number = event.seq_local
        self._hub.outlet.emit(event)

    def _count(self) -> None:
        self._markets = {(s.venue, s.symbol) for s in self._wanted.values() if s.channel != "chain"}
        self._venues = {s.venue for s in self._wanted.values()}


def _stream(of: Subscription) -> Stream:
    return of.venue, of.symbol, of.channel
