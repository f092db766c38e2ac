"""Streams: one for each `venue:symbol:channel`, between sessions and consumers.

A session proves what it can on its own connection; the stream makes it public. It outlives connections, and owns
what must outlive them: epoch and trust of a book, the trade ids already told, the public `seq`. All kinds of streams
are here, and what keeps them: the reason for its length.
"""

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from typing import Any, Generic, Protocol

from msgspec import structs

from .book import Book, Level
from .chain import ChainStream
from .events import BookDelta, BookSnapshot, BookVoid, Cause, Instrument, Side, Ticker, Trade
from .number import N
from .outlet import Outlet, Stream
from .subscriptions import Subscription
from .trusted_book import TrustedBook

MAX_HOLES = 256
_first = itemgetter(0)


class Healer(Protocol):
    """What asks for trades that a stream missed; see `backfill.py`."""

    def holds(self, price: Any, size: Any, side: Side, number: int, ts_event: int, ts_recv: int) -> bool:
        """Whether it keeps a trade whose id is not the next one, to tell it after those before it."""

    def missed(self, last: int, ts_recv: int) -> bool:
        """Whether it asks for what is missing up to this id."""


class TradeStream(Stream, Generic[N]):
    """Trades in the venue's order, each once.

    Ids of a market are consecutive integers: a jump is told as a `Gap` before the trade after it, a repeat is left
    out and counted, a late one that fills a told gap still comes. An id that falls back while the venue's
    clock goes on means that the venue restarted its count (P12-P14). The last of the `healers`, where there is one, is
    asked about a jump first.
    """

    __slots__ = ("_holes", "_next", "_seeded", "_ts_event", "duplicates", "healers", "histories")

    def __init__(self, subscription: Subscription, outlet: Outlet) -> None:
        super().__init__(subscription, outlet)
        self.duplicates = 0
        self.histories = 0
        self._next = 0
        """The id that comes next; 0 before the first trade, where `_seeded` is what a history says comes next."""
        self._seeded = 0
        self._ts_event = 0
        self._holes: list[tuple[int, int]] = []
        self.healers: list[Healer] = []

    @property
    def public(self) -> "TradeStream[N]":
        """The stream as everybody sees it: this one, unless it is one of several connections' part in it."""
        return self

    @property
    def expected(self) -> int:
        """The id that comes next, 0 where none is known."""
        return self._next or self._seeded

    @property
    def ts_event(self) -> int:
        """The venue's time of the newest trade told, 0 where there is none."""
        return self._ts_event

    @property
    def reached(self) -> tuple[int, int]:
        """The id that comes next by this connection, 0 where none is known, and the venue's time of the one before."""
        return self.expected, self._ts_event

    def trade(self, price: N, size: N, side: Side, number: int, ts_event: int, ts_recv: int) -> None:
        """One new trade; see `TradeSink`. Hot."""
        if number == self._next:
            self._next = number + 1
            # never turned back: a repeat of the newest would look like a restart (and `max` is a call)
            if ts_event > self._ts_event:  # noqa: PLR1730
                self._ts_event = ts_event
        elif (
            self.healers and self.healers[-1].holds(price, size, side, number, ts_event, ts_recv)
        ) or not self._is_new(number, ts_event, ts_recv):
            return
        self.ts_recv = ts_recv
        self.events += 1
        self._emit(
            Trade(
                venue=self.venue,
                symbol=self.symbol,
                ts_event=ts_event,
                ts_recv=ts_recv,
                seq_local=self._number(),
                price=price,
                size=size,
                side=side,
                id=f"{number}",
            )
        )

    def past(self, price: N, size: N, side: Side, number: int, ts_event: int, ts_recv: int) -> None:
        """A trade that was missed and asked for; `fills` or `expected` has said that it is wanted."""
        if number == self.expected:
            self._next, self._seeded = number + 1, 0
        self._ts_event = max(self._ts_event, ts_event)
        self.ts_recv = ts_recv
        self.events += 1
        fields = {"price": price, "size": size, "side": side, "id": f"{number}", "backfill": True}
        self.tell(Trade, ts_recv, ts_event=ts_event, **fields)

    def healed(self, first: int, last: int, ts_recv: int) -> None:
        """Say that these ids were missed, and follow."""
        self.gap("trade ids", ts_recv, from_seq=first, to_seq=last, healed=True)

    def skip(self, first: int, last: int, ts_recv: int) -> None:
        """Say that these ids, the next ones, are missing, and go on after them."""
        self._hole(first, last, ts_recv)
        self._next, self._seeded = last + 1, 0

    def seed(self, number: int, ts_recv: int) -> None:
        """The newest id of a history that is not told; ids missed while away become a `Gap`."""
        self.histories += 1
        if 0 < self.expected <= number:
            if self.healers and self.healers[-1].missed(number, ts_recv):
                return
            self._hole(self.expected, number, ts_recv)
        if number >= self.expected:
            self._next, self._seeded = 0, number + 1

    def heard(self) -> int:
        """See `Stream.heard`; a history proves a quiet market."""
        return self.events + self.duplicates + self.histories

    def rest(self) -> None:
        """See `Stream.rest`; ids missed while nobody listened are no gap."""
        super().rest()
        self._next = self._seeded = self._ts_event = 0
        self._holes.clear()

    def _is_new(self, number: int, ts_event: int, ts_recv: int) -> bool:
        """Judge an id that is not the next one; False for a repeat."""
        expected = self.expected
        if number < expected:
            if self.fills(number):
                return True
            # just after a history no time of the venue is known, so nothing counts as later
            if not self._next or ts_event <= self._ts_event:
                self.duplicates += 1
                return False
            self.gap("trade ids", ts_recv, detail=f"the venue restarted its ids at {number}")
            self._holes.clear()
        elif 0 < expected < number:
            self._hole(expected, number - 1, ts_recv)
        self._ts_event = max(self._ts_event, ts_event) if self._next else ts_event
        self._next, self._seeded = number + 1, 0
        return True

    def fills(self, number: int) -> bool:
        """Whether an id is missing, and told so; it is not from now on."""
        i = bisect_right(self._holes, number, key=_first) - 1
        if i < 0 or number > self._holes[i][1]:
            return False
        first, last = self._holes[i]
        self._holes[i : i + 1] = [h for h in ((first, number - 1), (number + 1, last)) if h[0] <= h[1]]
        return True

    def _hole(self, first: int, last: int, ts_recv: int) -> None:
        self.gap("trade ids", ts_recv, from_seq=first, to_seq=last)
        self._holes.append((first, last))
        del self._holes[:-MAX_HOLES]


class TickerStream(Stream, Generic[N]):
    """Tickers as they come."""

    __slots__ = ()

    def ticker(
        self,
        ts_event: int,
        ts_recv: int,
        *,
        bid: N | None = None,
        bid_size: N | None = None,
        ask: N | None = None,
        ask_size: N | None = None,
        last: N | None = None,
        volume_24h: N | None = None,
    ) -> None:
        """One ticker; see `TickerSink`. A price of 0 means that there is none. Hot."""
        self.ts_recv = ts_recv
        self.events += 1
        self._emit(
            Ticker(
                venue=self.venue,
                symbol=self.symbol,
                ts_event=ts_event,
                ts_recv=ts_recv,
                seq_local=self._number(),
                bid=bid or None,
                bid_size=bid_size if bid else None,
                ask=ask or None,
                ask_size=ask_size if ask else None,
                last=last or None,
                volume_24h=volume_24h,
            )
        )


class BookStream(Stream, Generic[N]):
    """A book made public: epochs of one snapshot and its deltas, and the trust in between.

    Changes arrive proven from a `BookSync`; its book is the one shown, so nothing is copied. `numbered` says whether
    the venue numbers it.
    """

    __slots__ = ("_source", "numbered", "view")

    shared = False
    """Whether other connections feed it too."""

    def __init__(self, subscription: Subscription, outlet: Outlet) -> None:
        super().__init__(subscription, outlet)
        self.view: TrustedBook[N] = TrustedBook(subscription.name)
        self.numbered = False
        self._source: Any = None

    @property
    def source(self) -> Any:
        """What proves the book shown, None before the first."""
        return self._source

    def led_by(self, source: Any) -> None:
        """From here on this proves it: its book is the very same."""
        self._source = source
        self.view.moved_to(source.book)

    def opened(self, source: Any, book: Book[N], seq: int, depth: int, ts_event: int, ts_recv: int) -> None:
        """A proven whole book: a new epoch. `seq` is the venue's number, 0 where it does not number books."""
        self._source = source
        self.numbered = seq > 0
        self.ts_recv = ts_recv
        self.events += 1
        self.view.opened(book, self.view.epoch + 1, seq or 1, depth, ts_event, ts_recv)
        self._emit(self.snapshot_event())

    def changed(
        self, seq: int, bids: tuple[Level[N], ...], asks: tuple[Level[N], ...], ts_event: int, ts_recv: int
    ) -> None:
        """Proven changes, already in the book. `seq` is the venue's number or 0. Hot."""
        view = self.view
        previous = view.seq
        view.seq = seq = seq or previous + 1
        view.ts_event = ts_event
        view.ts_recv = self.ts_recv = ts_recv
        self.events += 1
        self._emit(
            BookDelta(
                venue=self.venue,
                symbol=self.symbol,
                ts_event=ts_event,
                ts_recv=ts_recv,
                seq_local=self._number(),
                epoch=view.epoch,
                seq=seq,
                prev_seq=previous,
                bids=bids,
                asks=asks,
            )
        )

    def learned(self, bids: tuple[Level[N], ...], asks: tuple[Level[N], ...], edges: tuple[Any, Any]) -> None:
        """Levels that an audit found beyond what was known, where it is shared; and how far it is known then."""

    def void(self, source: object, cause: Cause, reason: str, ts_recv: int, first: int = 0, last: int = 0) -> None:
        """The book shown cannot be trusted any more; `first` to `last` are the missing numbers, 0 where unknown."""
        if source is not self._source or not self.view.live:
            return
        epoch, why = self.view.epoch, f"{cause}: {reason}"
        self.view.doubt(why)
        self.gap(cause, ts_recv, epoch=epoch, from_seq=first, to_seq=last, detail=reason)
        self.tell(BookVoid, ts_recv, epoch=epoch, reason=why)

    def lost(self, cause: Cause, ts_recv: int, detail: str = "") -> None:
        """See `Stream.lost`; it begins with its first epoch: nothing is missing from a book that was never shown."""
        if self.events:
            super().lost(cause, ts_recv, detail)

    def unwanted(self, ts_recv: int) -> None:
        """See `Stream.unwanted`; the book is void."""
        if self.view.live:
            self.view.doubt("unsubscribed")
            self.tell(BookVoid, ts_recv, epoch=self.view.epoch, reason="unsubscribed")
        super().unwanted(ts_recv)

    def rest(self) -> None:
        """See `Stream.rest`; the book is closed until it is asked for again."""
        super().rest()
        self._source = None
        self.view.doubt("unsubscribed")

    def snapshot_event(self) -> BookSnapshot[N]:
        """The live book as an event, for the start of an epoch and for late joiners. Raises BookNotTrusted."""
        view = self.view
        return BookSnapshot(
            venue=self.venue,
            symbol=self.symbol,
            ts_event=view.ts_event,
            ts_recv=view.ts_recv,
            seq_local=self._number(),
            epoch=view.epoch,
            seq=view.seq,
            depth=view.depth,
            bids=tuple(view.bids()),
            asks=tuple(view.asks()),
        )


class Seat(Protocol):
    """A connection, as far as a stream knows it."""

    def reseat(self, subscription: Subscription, stream: Stream) -> None:
        """What it hears of this stream goes there from now on."""


class Streams(Generic[N]):
    """All streams of a feed, made when first asked for; and the instruments they are of.

    Here each stream is for one connection after another; `lanes.LanedStreams` is for several at a time.
    """

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.instruments: dict[tuple[str, str], Instrument[N]] = {}
        self._streams: dict[str, Stream] = {}

    def get(self, subscription: Subscription) -> Stream:
        """The stream of a subscription."""
        stream = self._streams.get(subscription.name)
        if stream is None:
            kinds: dict[str, type[Stream]] = {
                "trades": TradeStream,
                "ticker": TickerStream,
                "book": BookStream,
                "chain": ChainStream,
            }
            stream = self._streams[subscription.name] = kinds[subscription.channel](subscription, self.outlet)
        return stream

    def join(self, subscription: Subscription, seat: Seat) -> Stream:
        """Where a connection puts what it hears of a stream."""
        return self.get(subscription)

    def leave(self, subscription: Subscription, seat: Seat, ts_recv: int) -> bool:
        """A connection feeds a stream no more; whether nobody else does."""
        return True

    def look(self, mono_ns: int, ts_recv: int) -> None:
        """Judge what only time can tell; called with each tick of each connection."""

    def slept(self, reason: str, ts_recv: int) -> None:
        """The machine slept: no connection of any stream proves anything that is heard from now on."""

    def unwanted(self, subscription: Subscription, ts_recv: int) -> None:
        """Tell that nobody wants a stream any more; `drop` follows."""
        self.get(subscription).unwanted(ts_recv)

    def drop(self, subscription: Subscription) -> None:
        """Rest a stream that nobody wants; asked for again it begins anew, in a later epoch."""
        stream = self._streams.get(subscription.name)
        if stream is not None:
            stream.rest()

    def find(self, venue: str, symbol: str, channel: str) -> Stream | None:
        """A stream that exists, or None."""
        return self._streams.get(f"{venue}:{symbol}:{channel}")

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def introduce(self, instrument: Instrument[N], ts_recv: int) -> bool:
        """Tell an instrument when it is new or has changed; returns whether it has changed."""
        key = (instrument.venue, instrument.symbol)
        known = self.instruments.get(key)
        same = structs.replace(instrument, ts_recv=0, seq_local=0)
        if known is None or structs.replace(known, ts_recv=0, seq_local=0) != same:
            told = structs.replace(instrument, ts_recv=ts_recv, seq_local=self.outlet.number())
            self.instruments.pop(key, None)  # whoever comes later hears of them in the order in which they were told
            self.instruments[key] = told
            self.outlet.emit(told)
            return known is not None
        return False
