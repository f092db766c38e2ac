"""The subscription desk of one connection: what is asked, acknowledged, flowing, and when to ask again.

    queued ──frame sent──▶ asked ──ack──▶ acked ──first data──▶ flowing
      ▲                      │ no ack in time, 3 tries            │
      └──────────────────────┴───────── dropping ◀── ask again ───┘
                                           │ unsubscribed
                                           ▼
                                          gone              (refused is an end too)

An unsubscribe goes out first and is awaited (5 s at most) before the same stream is asked for again (P27, P28). All
ways into and out of these states are here: the reason for its length.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from .events import Refused, Subscribed
from .outlet import Stream
from .pace import SECOND, Quota
from .streams import BookStream
from .subscriptions import Channel, Subscription
from .venues._spec import Decoder, Pace

State = Literal["queued", "asked", "acked", "flowing", "dropping", "refused"]
TRIES = 3
RETRY_S = 30.0
MOST_QUIET = 7
"""Doublings of that for a book whose market may be quiet: about an hour."""

Key = tuple[Channel, str]


class Entry:
    """One subscription on this connection. `since` is when its state began (mono_ns), `seen` what was heard before.

    `again` is what to ask for once an unsubscribe is done, `later` when (mono_ns, 0 for at once); `alone` that no
    other is to stand in its frame; `muted` that it fell silent after it had flowed. `quiet` is how often a book was
    asked for again without first data.
    """

    __slots__ = (
        "acked",
        "again",
        "alone",
        "later",
        "muted",
        "native",
        "quiet",
        "reason",
        "seen",
        "since",
        "state",
        "stream",
        "subscription",
        "tries",
    )

    def __init__(self, subscription: Subscription, native: str, stream: Stream) -> None:
        self.subscription = subscription
        self.native = native
        self.stream = stream
        self.state: State = "queued"
        self.since = 0
        self.seen = stream.heard()
        self.tries = self.quiet = 0
        self.muted = False
        self.again: Subscription | None = None
        self.later = 0
        self.acked = False
        self.alone = False
        self.reason = ""

    @property
    def key(self) -> Key:
        """(channel, native name)."""
        return (self.subscription.channel, self.native)

    def __repr__(self) -> str:
        return f"<{self.subscription.name} {self.state}>"


class Desk:
    """Keeps a connection's subscriptions true to what is wanted, at the venue's pace.

    `send` takes a frame; `gone` is told when an unsubscribe is done. `busy` says that a tick is wanted soon. `by_turns`
    means that frames go out by `take_turn` alone; `waits` says that one is to, `begun` that one has. `idle` says
    whether nothing comes of a book that is not live.
    """

    def __init__(
        self,
        decoder: Decoder,
        pace: Pace,
        snapshots: frozenset[str],
        send: Callable[[str], None],
        gone: Callable[[Entry], None],
        stuck: Callable[[str], None],
        *,
        by_turns: bool = False,
        idle: Callable[[Entry], bool] = lambda entry: False,
    ) -> None:
        self.begun = False
        self.entries: dict[Key, Entry] = {}
        self._decoder = decoder
        self._pace = pace
        self._snapshots = snapshots
        self._send = send
        self._gone = gone
        self._stuck = stuck
        self._by_turns = by_turns
        self._idle = idle
        self._quota = Quota(pace.frames_per_s, 1.0)
        self._out: list[tuple[str, tuple[Entry, ...], State]] = []
        """Frames to send, those whose answer is awaited from then on, and the state in which it is."""

    @property
    def busy(self) -> bool:
        """Whether something is being waited for."""
        return bool(self._out) or any(e.state != "flowing" and e.state != "refused" for e in self.entries.values())

    @property
    def waits(self) -> bool:
        """Whether a frame waits for its turn."""
        return self._by_turns and bool(self._out)

    def waiting(self) -> dict[str, str]:
        """Streams that do not flow yet, and why; where a market may be quiet, an ack is enough."""
        found = self.refusals()
        for entry in self.entries.values():
            proven_by_data = entry.subscription.channel in self._snapshots or isinstance(entry.stream, BookStream)
            flowing = (
                entry.stream.view.live if isinstance(entry.stream, BookStream) else entry.stream.heard() > entry.seen
            )
            if not flowing and (proven_by_data or entry.state in ("queued", "asked")):
                found.setdefault(entry.subscription.name, f"subscription {entry.state}, no data yet")
        return found

    def refusals(self) -> dict[str, str]:
        """Streams the venue refused, and its words."""
        return {e.subscription.name: e.reason for e in self.entries.values() if e.state == "refused"}

    def add(self, entries: Iterable[Entry]) -> None:
        """Want these from now on."""
        for entry in entries:
            known = self.entries.get(entry.key)
            if known is None:
                self.entries[entry.key] = entry
            elif known.state == "dropping":
                known.again = entry.subscription  # its depth may be another
                known.stream = entry.stream

    def reseat(self, key: Key, stream: Stream) -> None:
        """This one is heard elsewhere from now on; what was heard of it before counts on."""
        entry = self.entries.get(key)
        if entry is not None:
            entry.seen += stream.heard() - entry.stream.heard()
            entry.stream = stream

    def drop(self, keys: Iterable[Key], now: int) -> None:
        """Want these no more."""
        leaving: list[Entry] = []
        for key in keys:
            entry = self.entries.get(key)
            if entry is None:
                continue
            entry.again, entry.later = None, 0
            if entry.state == "refused" or (entry.state == "queued" and not entry.tries):
                self._forget(entry)  # an ask that got no answer may yet have been heard: that one is unsubscribed
            elif entry.state != "dropping":
                leaving.append(entry)
        self._leave(leaving, now)

    def renew(self, key: Key, later: int = 0) -> bool:
        """Unsubscribe and subscribe again, for a new snapshot, not before `later` (mono_ns).

        False where that is under way already. What is asked for and heard is served, though its acknowledgement is
        still on the way.
        """
        entry = self.entries.get(key)
        if entry is None or not (
            entry.state in ("acked", "flowing") or (entry.state == "asked" and entry.stream.heard() > entry.seen)
        ):
            return False
        self._renew(entry)
        entry.later = later
        return True

    def serves(self, key: Key) -> bool:
        """Whether what is heard of it goes on: of one that is being left some may still come."""
        entry = self.entries.get(key)
        return entry is not None and entry.state != "dropping"

    def mute(self, key: Key, reason: str, recv_ns: int) -> None:
        """It fell silent while the connection lives: tell it, and ask for it anew (T04)."""
        entry = self.entries[key]
        entry.muted = entry.muted or entry.state == "flowing"
        entry.stream.doubt(f"{reason}; it is asked for again", recv_ns)
        self.renew(key)

    def accepted(self, key: Key, recv_ns: int) -> None:
        """The venue acknowledged; data has yet to come."""
        entry = self.entries.get(key)
        if entry is not None and not entry.acked and entry.state in ("asked", "flowing"):
            entry.acked = True
            if entry.state == "asked":
                entry.state = "acked"
                entry.since = 0
            entry.stream.tell(Subscribed, recv_ns, channel=entry.subscription.channel)

    def refused(self, key: Key, reason: str, recv_ns: int) -> None:
        """The venue will not serve this one; it is not asked again on this connection."""
        entry = self.entries.get(key)
        if entry is not None and entry.state == "asked":
            entry.state = "refused"
            entry.reason = reason
            entry.stream.tell(Refused, recv_ns, channel=entry.subscription.channel, reason=reason)

    def unsettled(self, key: Key) -> None:
        """Its frame was refused for one of those in it: ask for this one again, alone (P27)."""
        entry = self.entries.get(key)
        if entry is not None and entry.state == "asked":
            entry.alone = True
            self._requeue(entry)

    def reconsider(self, native: str, *, listed: bool, again: bool) -> None:
        """A market has changed: what the venue refused of it is asked for again (P29).

        So is what was not heard since it was not listed, once it is so `again`.
        """
        for entry in self.entries.values():
            if entry.native != native:
                continue
            if not listed:
                entry.seen = entry.stream.heard()
            elif entry.state == "refused":
                self._requeue(entry)
            elif again and entry.stream.heard() <= entry.seen:
                self.renew(entry.key)

    def dropped(self, key: Key) -> bool:
        """The venue ended a subscription; whether it did so unasked, in which case it is asked for again."""
        entry = self.entries.get(key)
        if entry is not None and entry.state in ("acked", "flowing"):
            self._requeue(entry)
            return True
        if entry is None or entry.state != "dropping" or entry.since < 0:
            return False
        if entry.again:
            self._requeue(entry)
        else:
            self._forget(entry)
        return False

    def tick(self, now: int, recv_ns: int) -> int | None:
        """Do what is due; returns when to be called again, None where nothing is waited for."""
        self._leave([e for e in self.entries.values() if e.state == "dropping" and e.since < 0], now)
        for entry in list(self.entries.values()):
            self._look(entry, now, recv_ns)
        self._ask([e for e in self.entries.values() if e.state == "queued" and e.since <= now])
        while self._out and not self._by_turns:
            at = self._quota.peek(now)
            if at > now:
                return at
            self._quota.reserve(1, now)
            self.take_turn(now)
        return now + SECOND // 4 if self.busy else None

    def take_turn(self, now: int) -> None:
        """Send the next frame; from now on its answer is awaited."""
        frame, about, state = self._out.pop(0)
        for entry in about:
            if entry.state == state and entry.since >= 0:
                entry.since = now
        self.begun = True
        self._send(frame)

    def _look(self, entry: Entry, now: int, recv_ns: int) -> None:
        """Judge one entry against its deadline."""
        pace = self._pace
        if entry.state == "dropping" and 0 < entry.since <= now - int(pace.ack_s * SECOND):
            if entry.again:
                self._requeue(entry)
            else:
                self._forget(entry)
            return
        if entry.state in ("asked", "acked") and entry.stream.heard() > entry.seen:
            self._flows(entry, recv_ns)
        elif entry.state == "asked" and 0 < entry.since <= now - int(pace.ack_s * SECOND):
            self._again(entry, now, recv_ns, "no acknowledgement")
        elif entry.state == "acked":
            if not entry.since:
                entry.since = now
            elif entry.since <= now - int(pace.first_data_s * SECOND):
                if entry.subscription.channel in self._snapshots:
                    self._again(entry, now, recv_ns, "acknowledged, but no data")
                else:
                    book = ", or its snapshot waits for its turn" if isinstance(entry.stream, BookStream) else ""
                    reason = f"no data in {pace.first_data_s:g} s since the acknowledgement; the market may be quiet"
                    entry.stream.doubt(reason + book, recv_ns)
                    if entry.since <= now - int(RETRY_S * SECOND) * 2**entry.quiet and self._idle(entry):
                        entry.quiet = min(entry.quiet + 1, MOST_QUIET)
                        self._renew(entry)

    def _flows(self, entry: Entry, recv_ns: int) -> None:
        entry.state = "flowing"
        entry.tries = entry.quiet = 0
        entry.muted = False
        entry.stream.flows(recv_ns)

    def _again(self, entry: Entry, now: int, recv_ns: int, reason: str) -> None:
        """A deadline passed: ask again, three times at once, then slowly and with a `Stale`."""
        entry.tries += 1
        if entry.tries >= TRIES and entry.muted:
            self._stuck(f"{entry.subscription.name} fell silent, and did not come back after {TRIES} tries")
        elif entry.tries >= TRIES:
            entry.later = now + int(RETRY_S * SECOND)
            entry.stream.doubt(f"{reason} after {TRIES} tries", recv_ns)
        if entry.state == "acked":
            self._renew(entry)  # asked for what it serves already, a venue sends no snapshot
        else:
            self._requeue(entry)

    def _renew(self, entry: Entry) -> None:
        entry.state = "dropping"
        entry.again = entry.subscription
        entry.since = -1  # the unsubscribe goes out with the next tick

    def _requeue(self, entry: Entry) -> None:
        entry.state = "queued"
        entry.subscription = entry.again or entry.subscription
        entry.again = None
        entry.acked = False
        entry.since, entry.later = entry.later, 0
        entry.seen = entry.stream.heard()

    def _forget(self, entry: Entry) -> None:
        self.entries.pop(entry.key, None)
        self._gone(entry)

    def _ask(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            entry.state = "asked"
            entry.since = 0
        self._queue(entries, "asked", self._decoder.subscribe)

    def _leave(self, entries: Sequence[Entry], now: int) -> None:
        before = len(self._out)
        for entry in entries:
            entry.state = "dropping"
            entry.since = 0
        self._queue(entries, "dropping", self._decoder.unsubscribe)
        if len(self._out) == before:  # there is nobody to be told
            for entry in entries:
                entry.since = now

    def _queue(
        self, entries: Sequence[Entry], state: State, build: Callable[[Sequence[tuple[Subscription, str]]], list[str]]
    ) -> None:
        step = self._pace.symbols_per_frame
        groups: dict[str, list[Entry]] = {}
        for entry in entries:
            own = entry.native if entry.alone else ""
            groups.setdefault(f"{entry.subscription.channel} {own}", []).append(entry)
        for same in groups.values():
            for i in range(0, len(same), step):
                part = tuple(same[i : i + step])
                frames = build([(e.subscription, e.native) for e in part])
                # the answer is awaited once all is said: what stands before it may go out long before
                self._out += [(frame, part if frame is frames[-1] else (), state) for frame in frames]
