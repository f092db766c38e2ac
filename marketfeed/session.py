"""`Session`: one connection's conversation with a venue, without socket, clock, dice or log.

The driver feeds it what happened (`on_open`, `on_frame`, `on_reply`, `on_failure`, `on_pong`, `on_tick`, `change`,
`relisted`, `on_close`); events leave through the streams' outlet, work to do is left in `commands`. Nothing a venue
sends can raise: bad input becomes `Malformed`, and what it may have damaged is doubted. A session serves one
connection; the next one gets a new session. Both sides of the conversation are here, what the driver calls and what
the decoder calls: the reason for its length. `recv_ns` is Unix time, for stamping; `mono_ns` the monotonic clock, for
deadlines.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Generic, Literal, cast

from msgspec import structs

from .audit import Verdict
from .care import Care
from .chain import ChainStream
from .commands import Close, Command, Ping, Relist, Replace, Send
from .counts import Counts
from .desk import Desk, Entry
from .events import (
    UNLISTED,
    Cause,
    Connected,
    Disconnected,
    Head,
    Instrument,
    Malformed,
    SchemaDrift,
    VenueStatus,
)
from .fetches import Fetches, delay_ns
from .liveness import Heard, Liveness, Muted
from .number import N
from .outlet import Stream
from .pace import SECOND
from .polling import Polling
from .pulse import LOOK_NS, Pulse
from .streams import BookStream, Streams, TickerStream, TradeStream
from .subscriptions import Channel, Subscription
from .sync import BookSync
from .text import escaped
from .venues._spec import Context, LinkPlan, Polls, Request, RestBooks, Venue

SAMPLE = 200
MAX_RESYNCS = 3
"""New snapshots of one book asked for on one connection within a minute; more make a new connection."""
LONG_NS = 600 * SECOND
"""A book over REST that has waited so long for its next update is subscribed to anew."""
STEADY_NS = 10 * SECOND
"""A book over REST that was live for so long is steady; one that is lost before it is, again and again, is asked for
after growing delays, so that it does not spend what all share."""


class Session(Generic[N]):
    """See the module's docstring. It is also the `Port` of its decoder.

    `commands` is done and cleared by the driver; `deadline` is the mono_ns at which `on_tick` wants to be called, 0
    for at once. `by_turns` means that the venue counts frames over all connections: each goes out by an `on_turn`.
    """

    def __init__(
        self,
        venue: Venue,
        plan: LinkPlan,
        streams: Streams[N],
        instruments: Mapping[str, Instrument[N]],
        *,
        link: str,
        exact: bool = False,
        max_resyncs: int = MAX_RESYNCS,
        backfill: bool = False,
        audit_s: float = 0.0,
        by_turns: bool = False,
    ) -> None:
        self.venue = venue
        self.link = link
        self.commands: list[Command] = []
        self.deadline = 0
        self._counts = Counts()
        self._frames = 0
        self.trades: dict[str, TradeStream[N]] = {}
        self.tickers: dict[str, TickerStream[N]] = {}
        self.books: dict[str, BookSync[N]] = {}
        self.chains: dict[str, ChainStream] = {}
        self._streams = streams
        self._plan = plan
        self._instruments = instruments
        self._natives = {i.native: i for i in instruments.values()}
        self._native: dict[str, str] = {}
        """What each market was called when it was asked for on this connection, by its symbol."""
        self._decoder = venue.decoder(Context(port=self, exact=exact, instruments=self._natives))
        self._frame = self._decoder.frame
        self._rest_books = cast(RestBooks, self._decoder)
        self._desk = Desk(
            self._decoder,
            venue.pace,
            venue.first_data,
            lambda frame: self.commands.append(Send(frame)),
            self._gone,
            self._close,
            by_turns=by_turns,
            idle=self._idle,
        )
        self._liveness = Liveness()
        self._looked_at = 0
        self._answers = 0
        tokens = count(1)
        self._fetches = Fetches(self._book_request, self.commands.append, tokens)
        self._polling = Polling(
            cast(Polls, self._decoder),
            self.chains,
            venue.pace,
            self.commands.append,
            tokens,
            only=not plan.url,
        )
        self._care: Care[N] = Care(
            venue,
            self._decoder,
            self.books,
            self.trades,
            self.commands.append,
            tokens,
            self._soon,
            backfill=backfill,
            audit_s=audit_s,
        )
        self._probing = False
        self._probed_at = 0
        """How many frames had come."""
        self._why = ""
        """Why the connection is probed."""
        self._sure = False
        """Whether it is given up where the probe says nothing."""
        self._attempt = 1
        # a rhythm that we make ourselves says nothing of the source, and nor does a pong
        self._pace = venue.pace if plan.url else structs.replace(venue.pace, heartbeat=True)
        self._pulse = Pulse(self._pace, 0)
        self._recv_ns = 0
        self._mono_ns = 0
        self._resyncs: dict[str, list[int]] = {}
        self._joined: dict[str, int] = {}
        """When a REST snapshot was joined last (mono_ns)."""
        self._moved: dict[str, tuple[int, int]] = {}
        """How many updates a book had that was not live, and since when no more (mono_ns)."""
        self._losses: dict[str, int] = {}
        """How often in a row such a book was lost before it was steady."""
        self._max_resyncs = max_resyncs
        self._drifts: set[str] = set()
        self._closing = self._leaving = False

    @property
    def counts(self) -> Counts:
        """Counters of this connection."""
        self._counts.frames = self._frames
        return self._counts

    def on_open(self, mono_ns: int, recv_ns: int, attempt: int = 1) -> None:
        """Connected: tell it, and ask for what is wanted at the venue's pace.

        A polled source is connected once it has answered.
        """
        self._recv_ns = recv_ns
        self._mono_ns = mono_ns
        self._pulse = Pulse(self._pace, mono_ns)
        self._attempt = attempt
        if self._plan.url:
            self._tell(Connected, link=self.link, attempt=attempt)
        self.change(self._plan.subscriptions, (), mono_ns)
        self.on_tick(mono_ns, recv_ns)

    def on_frame(self, raw: bytes, recv_ns: int) -> bool:
        """One whole data frame; returns whether `on_tick` wants to be called at once."""
        return self.on_frames([raw], recv_ns)

    def on_frames(self, frames: list[bytes], recv_ns: int) -> bool:
        """Whole data frames of one socket read, in order; otherwise as `on_frame`. Hot."""
        self._frames += len(frames)  # first, so that counts are never behind what was made of them
        self._recv_ns = recv_ns
        self._decoder.glance(frames)
        understand = self._frame
        for raw in frames:
            try:
                understand(raw, recv_ns)
            except (ValueError, LookupError, RecursionError, ArithmeticError) as exc:
                self._malformed(raw, exc)
        return not self.deadline

    def on_reply(self, token: int, status: int, body: bytes, recv_ns: int, mono_ns: int) -> None:
        """Answer to `Fetch(token)`; one that nobody waits for any more is ignored (I8)."""
        polled = self._polling.answered(token)
        if polled is not None:
            self._on_poll(polled, status, body, recv_ns, mono_ns)
            return
        self._recv_ns = recv_ns
        self._mono_ns = mono_ns
        if self._cared_for(token, status, body):
            return
        native = self._fetches.answered(token)
        sync = self.books.get(native) if native is not None else None
        if native is None or sync is None:
            return
        if status == 200:
            try:
                self._rest_books.book_reply(native, body, recv_ns)
            except (ValueError, LookupError, RecursionError, ArithmeticError) as exc:
                self._tell_malformed(body, f"REST snapshot of {escaped(native, 40)}: {_words(exc)}")
        if sync.state in ("live", "joining"):
            self._fetches.served(native)
            self._joined[native] = mono_ns
        else:
            self._fetches.ask(native, mono_ns)
        self.deadline = 0

    def on_failure(self, token: int, mono_ns: int, reason: str = "") -> None:
        """The fetch failed before an answer came; it is asked again after a growing delay (P20)."""
        if self._care.on_failure(token, mono_ns):
            return
        if (native := self._polling.answered(token)) is not None:
            why = escaped(reason, SAMPLE)
            if self._polling.failed(native, why, mono_ns) and self._plan.url:  # else its silence ends the link
                self._tell(VenueStatus, status="error", detail=why)
            self.deadline = 0
        elif (native := self._fetches.answered(token)) is not None:
            self._fetches.ask(native, mono_ns)
            self.deadline = 0

    @property
    def turn(self) -> Literal["", "first", "next"]:
        """Which turn it waits for among the frames of its address; "" where for none. See `on_turn`."""
        if not self._desk.waits:
            return ""
        return "next" if self._desk.begun else "first"

    def on_turn(self, mono_ns: int) -> None:
        """Its turn has come: the next frame goes out."""
        if self._desk.waits:
            self._desk.take_turn(mono_ns)

    def on_pong(self) -> None:
        """A pong, or the venue's own ping: the connection lives."""
        self._pulse.pongs += 1

    def on_tick(self, mono_ns: int, recv_ns: int) -> bool:
        """Do what is due; returns whether anything was done."""
        before = len(self.commands)
        age_ns = recv_ns - self._recv_ns
        self._mono_ns = mono_ns
        self._recv_ns = recv_ns
        self._look_alive(mono_ns, age_ns)
        if self._plan.url and not self._closing and mono_ns - self._looked_at >= SECOND:
            self._looked_at = mono_ns
            self._look_for_muted(mono_ns)
        later = [self._fetches.tick(mono_ns), self._polling.tick(mono_ns), self._care.tick(mono_ns, recv_ns)]
        if not self._plan.url:
            self._polling.look(mono_ns, recv_ns)
        for sync in list(self.books.values()):
            sync.on_tick(mono_ns, recv_ns)
        self._streams.look(mono_ns, recv_ns)
        soon = self._desk.tick(mono_ns, recv_ns)  # after all else: what that has doubted is asked for again at once
        due = (soon, *later, mono_ns + LOOK_NS, self._pulse.due if self._pulse.due > mono_ns else None)
        self.deadline = min(t for t in due if t is not None)
        return len(self.commands) > before

    def change(self, add: Sequence[Subscription], drop: Sequence[Subscription], mono_ns: int) -> None:
        """Change what is wanted while connected; a symbol without an instrument is the caller's mistake."""
        entries = []
        for subscription in add:
            stream = self._streams.join(subscription, self)
            instrument = self._instruments[subscription.symbol]
            native = self._native.setdefault(subscription.symbol, instrument.native)
            self._natives[native] = instrument
            entry = Entry(subscription, native, stream)
            entries.append(entry)
            self._open_sink(entry)
        self._desk.add(entries)
        for entry in entries:
            self._polling.ask(entry.native, mono_ns)
        leaving = [(s.channel, self._called(s.symbol)) for s in drop]
        for subscription in drop:
            self._streams.leave(subscription, self, self._recv_ns)
        self._desk.drop(leaving, mono_ns)
        for channel, native in leaving:
            self._sinks(channel).pop(native, None)
            if channel == "chain":
                self._polling.drop(native)
            elif channel == "trades":
                self._care.forget(native)
        self.deadline = 0

    def relisted(self, symbol: str, recv_ns: int) -> None:
        """A market is listed with a change (P29): what comes of it is read by that from now on.

        A book whose checksum is over other digits, and one of a market that is not listed any more, begin anew. What
        was refused is asked for again, and what is silent of a market that is listed again; a new name is asked for
        on a new connection.
        """
        native, instrument = self._native.get(symbol), self._instruments[symbol]
        if native is None or all(entry.subscription.symbol != symbol for entry in self._desk.entries.values()):
            self._native.pop(symbol, None)  # wanted again, it is asked for by the name that it has then
            return
        self._recv_ns = recv_ns
        if instrument.native != native:
            self._close(f"{symbol} is listed by another name")
            return
        before, self._natives[native] = self._natives[native], instrument
        sync, listed = self.books.get(native), instrument.status != UNLISTED
        self._desk.reconsider(native, listed=listed, again=before.status == UNLISTED)
        if sync is not None and not listed:
            sync.doubt("halted", "the market is not listed any more", recv_ns)
        elif sync is not None and self.venue.book.checksum and _digits(before) != _digits(instrument):
            self._resyncs.pop(native, None)  # what was lost by the old digits is explained
            sync.doubt("checksum", "the digits of the market have changed", recv_ns)

    def on_close(self, code: int, reason: str, recv_ns: int, *, retry_s: float | None = 0.0, attempt: int = 0) -> None:
        """The connection is gone: tell it, then what it costs each stream.

        `retry_s` None means that we closed it for good: books end, and nothing is missing.
        """
        self._recv_ns = recv_ns
        self._care.close(recv_ns)
        self._tell(Disconnected, link=self.link, code=code, reason=reason, retry_s=retry_s or 0.0, attempt=attempt)
        if retry_s is None:
            for entry in self._desk.entries.values():
                if self._streams.leave(entry.subscription, self, recv_ns):
                    self._streams.drop(entry.subscription)
            return
        for sync in self.books.values():
            sync.lost(reason, recv_ns)
        for stream in (*self.trades.values(), *self.tickers.values(), *self.chains.values()):
            stream.lost("link lost", recv_ns, reason)
        for entry in self._desk.entries.values():
            self._streams.leave(entry.subscription, self, recv_ns)

    def reseat(self, subscription: Subscription, stream: Stream) -> None:
        """See `Seat`: other connections begin or end to feed the same stream."""
        native = self._called(subscription.symbol)
        self._desk.reseat((subscription.channel, native), stream)
        sinks = self._sinks(subscription.channel)
        if subscription.channel == "book" and native in sinks:
            self.books[native].feed(cast(BookStream[N], stream))
        elif native in sinks:
            sinks[native] = stream

    def slept(self, reason: str, recv_ns: int) -> None:
        """The machine slept, so what the kernel kept is old: all that flowed is in doubt. A close follows (T23)."""
        self._recv_ns = recv_ns
        self._streams.slept(reason, recv_ns)
        for entry in self._desk.entries.values():
            if entry.stream.heard() > entry.seen:
                entry.stream.doubt(reason, recv_ns)
        for sync in self.books.values():
            sync.lost(reason, recv_ns)

    @property
    def heard_at(self) -> int:
        """When the look was made that last found new frames (mono_ns); there is one a second."""
        return self._pulse.heard_at

    def waiting(self) -> dict[str, str]:
        """Streams of this link that do not flow yet, and what each waits for."""
        return self._desk.waiting()

    def refusals(self) -> dict[str, str]:
        """Streams the venue refused on this connection, and its words."""
        return self._desk.refusals()

    def accepted(self, channel: Channel, native: str, depth: int = 0) -> None:
        """See `Port`; a depth the venue grants is the one the book is kept at."""
        if depth and native in self.books:
            self.books[native].depth = depth
        self._desk.accepted((channel, native), self._recv_ns)

    def refused(self, channel: Channel, native: str, reason: str) -> None:
        """See `Port`."""
        self._desk.refused((channel, native), escaped(reason, SAMPLE), self._recv_ns)

    def poll(self, native: str) -> None:
        """See `Port`."""
        self._polling.hurry(native)
        self.deadline = 0

    def unsettled(self, channel: Channel, native: str) -> None:
        """See `Port`."""
        self._desk.unsettled((channel, native))
        self.deadline = 0

    def dropped(self, channel: Channel, native: str) -> None:
        """See `Port`."""
        self.deadline = 0
        if self._desk.dropped((channel, native)):
            reason = "the venue ended the subscription"
            sink = self._sinks(channel)[native]  # what the desk holds and is not leaving has one
            if isinstance(sink, BookSync):
                sink.doubt("halted", reason, self._recv_ns)
            else:
                sink.lost("halted", self._recv_ns, reason)

    def hole(self, reason: str, cause: Cause = "sequence") -> None:
        """See `Port`."""
        for sync in list(self.books.values()):
            sync.doubt(cause, reason, self._recv_ns)
        for stream in (*self.trades.values(), *self.tickers.values()):
            stream.lost(cause, self._recv_ns, reason)

    def status(self, status: str, detail: str = "") -> None:
        """See `Port`."""
        status, detail = escaped(status, 40), escaped(detail, SAMPLE)
        self._polling.status = "" if status == "online" else ": ".join(filter(None, (status, detail)))
        self._tell(VenueStatus, status=status, detail=detail)

    def restart(self, reason: str) -> None:
        """See `Port`."""
        if not self._leaving and not self._closing:
            self._leaving = True
            self.deadline = 0
            self.commands.append(Replace(reason))

    def control(self) -> None:
        """See `Port`."""
        self.counts.control += 1

    def pong(self) -> None:
        """See `Port`; it proves no data, as a protocol's own pong does not."""
        self.control()
        self._answers += 1
        self.on_pong()

    def unasked(self, native: str) -> None:
        """See `Port`."""
        self.counts.ignored += 1
        if native and native not in self._natives:
            self.counts.unknown_symbols += 1

    def drift(self, what: str, raw: bytes) -> None:
        """See `Port`."""
        self.counts.ignored += 1
        what = escaped(what, 60)
        if what not in self._drifts and len(self._drifts) < 100:
            self._drifts.add(what)
            self._tell(SchemaDrift, link=self.link, what=what, sample=_sample(raw))

    def _tell(self, kind: type[Head], **fields: Any) -> None:
        outlet = self._streams.outlet
        outlet.tell(kind(venue=self.venue.name, ts_recv=self._recv_ns, seq_local=outlet.number(), **fields))

    def _sinks(self, channel: Channel) -> dict[str, Any]:
        sinks: dict[str, dict[str, Any]] = {
            "trades": self.trades,
            "ticker": self.tickers,
            "book": self.books,
            "chain": self.chains,
        }
        return sinks[channel]

    def _open_sink(self, entry: Entry) -> None:
        stream, channel = entry.stream, entry.subscription.channel
        if isinstance(stream, BookStream):
            if entry.native not in self.books:
                rule, depth = self.venue.book, entry.subscription.depth
                limit = 4 * self.venue.pace.max_message
                self.books[entry.native] = BookSync(
                    rule,
                    stream,
                    entry.native,
                    rule.offered(depth),
                    self.counts,
                    self._resync,
                    limit,
                    partial(self._desk.serves, entry.key),
                )
        else:
            self._sinks(channel)[entry.native] = stream
            if isinstance(stream, TradeStream):
                self._care.add(entry.native, stream)

    def _called(self, symbol: str) -> str:
        """What a market is called on this connection."""
        return self._native.get(symbol) or self._instruments[symbol].native

    def _gone(self, entry: Entry) -> None:
        if entry.subscription.channel == "book":
            self._resyncs.pop(entry.native, None)
            self._joined.pop(entry.native, None)
            self._moved.pop(entry.native, None)
            self._losses.pop(entry.native, None)
            self._fetches.forget(entry.native)
        elif entry.subscription.channel == "chain":
            self._polling.forget(entry.native)

    def _idle(self, entry: Entry) -> bool:
        """Whether nothing comes of a book that is not live: no update at all, or for long none more.

        Trades and tickers are not asked for again for that: what would come meanwhile were lost.
        """
        sync = self.books.get(entry.native) if entry.subscription.channel == "book" else None
        if sync is None or sync.state == "buffering":
            return False  # it may wait for its snapshot's turn
        known = self._moved.get(entry.native, (0, self._mono_ns))
        if known[0] != sync.waited:
            known = self._moved[entry.native] = sync.waited, self._mono_ns
        return not sync.waited or self._mono_ns - known[1] >= LONG_NS

    def _heard_of(self, entry: Entry) -> int:
        """What was heard of a stream, updates of a book that is not live yet among it: it is not silent."""
        sync = self.books.get(entry.native) if entry.subscription.channel == "book" else None
        return entry.stream.heard() + (sync.waited if sync is not None else 0)

    def _watched(self, entry: Entry) -> bool:
        """Whether silence of a stream says something; the desk waits for first data where the venue promises it."""
        flows = entry.state == "flowing"
        if not (flows or entry.state == "acked") or self._natives[entry.native].status == UNLISTED:
            return False
        if not isinstance(entry.stream, BookStream):
            return flows
        joins = self.venue.book.snapshot == "rest" and self.books[entry.native].state != "buffering"
        return joins or (flows and entry.stream.view.live)

    def _soon(self) -> None:
        self.deadline = 0

    def _cared_for(self, token: int, status: int, body: bytes) -> bool:
        """Whether this answer is of trades that were missed, or of an audit.

        A venue that has none of either may not list the market any more.
        """
        try:
            asked = self._care.on_reply(token, status, body, self._recv_ns, self._mono_ns)
        except (ValueError, LookupError, RecursionError, ArithmeticError) as exc:
            self._tell_malformed(body, f"an answer over REST: {_words(exc)}")
            asked, status = True, 404 if isinstance(exc, LookupError) else 0
        if asked and status in (400, 404):
            self.commands.append(Relist())
        return asked

    def _book_request(self, native: str) -> Request:
        return self._rest_books.book_request(native)

    def _on_poll(self, native: str, status: int, body: bytes, recv_ns: int, mono_ns: int) -> None:
        """An answer of a polled source: a message as a frame is one."""
        self._recv_ns = recv_ns
        if not self._frames and not self._plan.url:
            self._tell(Connected, link=self.link, attempt=self._attempt)
        self._frames += 1
        self._mono_ns = mono_ns
        self.deadline = 0
        if status != 200:
            self.counts.control += 1
            why = f"HTTP {status}: {escaped(body, 80)}" if body else f"HTTP {status}"
            if self._polling.failed(native, why, mono_ns):
                self._tell(VenueStatus, status="error", detail=escaped(why, SAMPLE))
            return
        try:
            self._polling.take(native, body, recv_ns, mono_ns)
        except (ValueError, LookupError, RecursionError, ArithmeticError) as exc:
            self._malformed(body, exc)
            self._polling.unread(native, _words(exc), mono_ns)

    def _look_for_muted(self, mono_ns: int) -> None:
        """Tell and mend the streams that fell silent while the connection lives."""
        heard = [
            Heard(entry.subscription.channel, entry.native, self._heard_of(entry))
            for entry in self._desk.entries.values()
            if self._watched(entry)
        ]
        for muted in self._liveness.look(heard, mono_ns):
            asked = not muted.witnessed and self._ask_about(muted, mono_ns)
            if muted.whole and not asked and muted.channel != "trades":
                self._ask_about(muted._replace(channel="trades"), mono_ns)
            elif not asked and not muted.whole:
                self._mute(muted)

    def _ask_about(self, muted: Muted, mono_ns: int) -> bool:
        """Have REST say whether a silent market is quiet (T05); False where it cannot."""
        entry = self._desk.entries.get((muted.channel, muted.native))
        if entry is None:
            return False
        told = partial(self._probed, muted, entry.stream.heard())
        return self._care.probe(muted.channel, muted.native, told, mono_ns)

    def _probed(self, muted: Muted, heard: int, verdict: Verdict) -> None:
        """What REST said; where the stream has spoken meanwhile, that says more."""
        entry = self._desk.entries.get((muted.channel, muted.native))
        if verdict == "equal" or (verdict == "unclear" and muted.whole):
            return
        if entry is not None and entry.state == "flowing" and entry.stream.heard() == heard:
            self._mute(muted)  # the other channels are judged beside it, once it is back

    def _mute(self, muted: Muted) -> None:
        self.deadline = 0
        self._desk.mute((muted.channel, muted.native), muted.reason, self._recv_ns)
        if muted.channel == "book":
            self.books[muted.native].doubt("silent", muted.reason, self._recv_ns)

    def _malformed(self, raw: bytes, exc: Exception) -> None:
        self.counts.malformed += 1
        self._tell_malformed(raw, _words(exc))
        names = self._decoder.suspects(raw)
        if names is None and self.venue.book.scope == "link":
            self.hole("a frame could not be read", "malformed")
            return
        for native in list(self.books) if names is None else names:
            sync = self.books.get(native)
            if sync is not None:
                sync.doubt("malformed", "a frame that may have been of this book could not be read", self._recv_ns)

    def _tell_malformed(self, raw: bytes, reason: str) -> None:
        self._tell(Malformed, link=self.link, reason=reason, size=len(raw), sample=_sample(raw))

    def _resync(self, sync: BookSync[N]) -> None:
        """A book needs a new snapshot: over REST, or by subscribing again."""
        native = sync.native
        self.deadline = 0
        if self.venue.book.snapshot == "rest":
            if delay := self._delay(native):
                self._fetches.ask_at(native, self._mono_ns + delay)
            else:
                self._fetches.ask(native, self._mono_ns)
            return
        recent = [at for at in self._resyncs.get(native, ()) if at > self._mono_ns - 60 * SECOND]
        doubted = bool(recent) and self.venue.book.checksum is not None
        # the list needs a turn over REST: without its news another snapshot would do no better
        later = self._mono_ns + SECOND * 2 ** (len(recent) - 1) if doubted else 0
        if self._desk.renew(("book", native), later):
            self.counts.resyncs += 1
            self._resyncs[native] = [*recent, self._mono_ns]
            if doubted:
                self.commands.append(Relist())
            if len(recent) >= self._max_resyncs:
                self._close(f"{len(recent) + 1} resyncs of {escaped(native, 40)} within a minute")

    def _delay(self, native: str) -> int:
        """Until a book is asked for over REST: 0, but for one that was lost soon after it was joined, again."""
        joined = self._joined.pop(native, None)
        if joined is None:
            return 0
        self.counts.resyncs += 1
        soon = self._mono_ns - joined < STEADY_NS
        losses = self._losses[native] = self._losses.get(native, 0) + 1 if soon else 0
        return delay_ns(losses - 1)

    def _look_alive(self, mono_ns: int, age_ns: int) -> None:
        verdict, why = self._pulse.look(self._heard() if self._plan.url else self._polling.lively, mono_ns, age_ns)
        if verdict in ("quiet", "unsure") and not self._probing:
            self._why, self._sure = why, verdict == "quiet"
            # of books, else of trades, the liveliest is asked about: one that is always quiet would speak for all
            entries = self._desk.entries.values()
            self._probed_at = self._frames
            self._probing = any(
                self._care.probe(*entry.key, partial(self._link_probed, entry), mono_ns)
                for entry in sorted(entries, key=lambda e: (e.key[0] == "book", e.stream.heard()), reverse=True)
            )
        if verdict == "dead" or (verdict == "quiet" and not self._probing):
            failure = self._polling.why
            self._close(f"{why}: {failure}" if failure else why, dead=bool(self._plan.url))
        elif verdict == "unsure" and not self._probing:
            self._pulse.believe(mono_ns)
        elif verdict == "ping":
            ping = self._decoder.ping()
            self.commands.append(Send(ping) if ping is not None else Ping())

    def _heard(self) -> int:
        """Frames that prove that data flows; where none is due, the answers to our pings among them."""
        due = any(entry.acked for entry in self._desk.entries.values())
        return self._frames - self._answers if due else self._frames

    def _link_probed(self, entry: Entry, verdict: Verdict) -> None:
        """REST says whether a connection without data is of a quiet market (T05).

        Where it says nothing since data came, or the stream that was asked about was left, the next look decides.
        """
        self._probing = False
        if verdict == "equal" or (verdict == "unclear" and not self._sure):
            self._pulse.believe(self._mono_ns)
        elif verdict == "differs" or (self._desk.serves(entry.key) and self._frames == self._probed_at):
            self._close(self._why)

    def _close(self, reason: str, *, dead: bool = False) -> None:
        if not self._closing:
            self._closing = True
            self.deadline = 0
            self.commands.append(Close(reason, dead))


def _digits(instrument: Instrument[Any]) -> tuple[int | None, int | None]:
    return instrument.price_digits, instrument.size_digits


def _words(exc: Exception) -> str:
    return escaped(str(exc) or type(exc).__name__, SAMPLE)


def _sample(raw: bytes) -> str:
    return escaped(raw, SAMPLE)
