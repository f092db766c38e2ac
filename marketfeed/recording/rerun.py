"""`Rerun`: a raw recording of ours lived through again: the same sessions get the same inputs at the same times.

So the same events come out, with every field: what was recorded says of each segment which digest they must have.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import structs

from .. import catalogue
from ..counts import Counts
from ..errors import RecordingError
from ..events import Head, Instrument, encode_json
from ..lanes import LanedStreams
from ..listing import coins_of
from ..outlet import Outlet
from ..session import Session
from ..subscriptions import CHANNELS, Subscription
from ..text import escaped
from ..venues._spec import LinkPlan, Venue
from .lines import decoder
from .raw import Line
from .seen import Seen
from .segments import about, number_of, read_segment, segments


class Rerun(Seen):
    """Iterate over it for the events of the raw recording in the folder `path`, exactly as they were told.

    `counts`, `kinds`, `gaps` and `digest` grow with it, `unlike` with each segment whose events are not those it says
    or of whose run an earlier one is gone, and `torn` with each that did not end: its last second may be missing. A
    recorder that was started again has begun another run there, with streams and numbers of its own; so has one that
    lost something, whose epochs begin anew.
    Raises RecordingError for what is no recording.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        if not self.path.is_dir():
            raise RecordingError(f"{self.path}: there is no such folder; a raw recording of ours is one")
        self._runs = segments(self.path)
        if not self._runs:
            raise RecordingError(f"{self.path}: holds no raw recording")
        self.wanted: list[Subscription] = []
        """Every stream seen so far."""
        self.unlike: list[str] = []
        self.torn: list[str] = []
        self._ended = Counts()
        self._run = _Run()

    @property
    def counts(self) -> Counts:
        """Counters of all sessions so far; `unknown_symbols` counts more here, since fewer instruments are known."""
        total = Counts()
        total.add(self._ended)
        total.add(self._run.counts())
        return total

    def __iter__(self) -> Iterator[Head]:
        for files in self._runs.values():
            self._ended.add(self._run.counts())
            self._run = _Run()
            digest, whole = sha256(), True
            for number, path in enumerate(files, 1):
                whole &= number_of(path) == number
                for same in _together(read_segment(path)):
                    for event in self._run.take(same):
                        self.note(event)
                        digest.update(encode_json(event) + b"\n")
                        yield event
                self.wanted = sorted({*self.wanted, *self._run.wanted})
                self._compare(path, digest.hexdigest(), whole)

    def _compare(self, path: Path, digest: str, whole: bool) -> None:
        told = about(path)
        if told is None or told.cut:
            self.torn.append(path.name)
        elif not whole or told.exact_digest not in ("", digest):
            self.unlike.append(path.name)

    def stats(self) -> dict[str, Any]:
        """See `Seen.stats`; and the segments that did not end, or whose events are not those they say."""
        return super().stats() | {"torn": self.torn, "unlike": self.unlike}


def _together(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Frames of one socket read have one time, and but the first of them no number; all else is by itself."""
    same: list[Line] = []
    for line in lines:
        if same and (
            line.dir != "in" or line.seq or (same[0].dir, same[0].conn, same[0].t) != ("in", line.conn, line.t)
        ):
            yield same
            same = []
        same.append(line)
    if same:
        yield same


class _Numbers:
    """Numbers for events, set to what they were."""

    def __init__(self) -> None:
        self.next = 1

    def __call__(self) -> int:
        number, self.next = self.next, self.next + 1
        return number


class _Run:
    """One run: its sessions and streams."""

    def __init__(self) -> None:
        self.wanted: set[Subscription] = set()
        self._batch: list[Head] = []
        self._numbers = _Numbers()
        outlet = Outlet(self._batch.append)
        outlet.number = self._numbers
        self._streams: LanedStreams[Any] = LanedStreams(outlet)
        self._abouts: dict[str, Line] = {}
        self._venues: dict[str, Venue] = {}
        self._instruments: dict[str, dict[str, Instrument[Any]]] = {}
        self._sessions: dict[str, Session[Any]] = {}
        self._ended = Counts()

    def counts(self) -> Counts:
        """Counters of all its sessions so far."""
        total = Counts()
        total.add(self._ended)
        for session in self._sessions.values():
            total.add(session.counts)
        return total

    def take(self, same: list[Line]) -> list[Head]:
        """The events of a line, or of frames that came together."""
        line = same[0]
        self._numbers.next = line.seq or self._numbers.next
        if line.dir == "about":
            self._meet(line)
        elif line.dir == "told":
            self._told(line)
        elif line.dir == "open":
            self._open(line)
        elif line.dir == "want" and not line.conn:
            for subscription in map(_subscription, line.drop):
                self._streams.drop(subscription)
        elif (session := self._sessions.get(line.conn)) is not None:
            self._live(session, line, same)
            session.commands.clear()
        events = self._batch[:]
        self._batch.clear()
        return events

    def _meet(self, line: Line) -> None:
        venue = catalogue.venue(line.venue)
        self._abouts[line.venue] = line
        self._venues[line.venue] = structs.replace(venue, pace=line.pace) if line.pace else venue
        self._instruments[line.venue] = dict(coins_of(venue))

    def _told(self, line: Line) -> None:
        known = self._abouts.get(line.venue)
        event = decoder(known is not None and known.exact)(line.data)
        if isinstance(event, Instrument):
            self._instruments.setdefault(event.venue, {})[event.symbol] = event
        self._batch.append(event)

    def _open(self, line: Line) -> None:
        known = self._abouts.get(line.venue)
        if known is None:
            raise RecordingError(f"a connection of {escaped(line.venue, 40)!r}, of which nothing was said before")
        plan = LinkPlan(line.url, tuple(map(_subscription, line.add)))
        self.wanted.update(plan.subscriptions)
        session = self._sessions[line.conn] = Session(
            self._venues[line.venue],
            plan,
            self._streams,
            self._instruments[line.venue],
            link=line.conn,
            exact=known.exact,
            max_resyncs=known.max_resyncs,
            backfill=known.backfill,
            audit_s=known.audit_s,
            by_turns=self._venues[line.venue].pace.frames_by_address,
        )
        session.on_open(line.mono, line.recv_ns, line.attempt)
        session.commands.clear()

    def _live(self, session: Session[Any], line: Line, same: list[Line]) -> None:
        kind = line.dir
        if kind == "in":
            session.on_frames([one.data for one in same], line.recv_ns)
        elif kind == "pong":
            session.on_pong()
        elif kind == "turn":
            session.on_turn(line.mono)
        elif kind == "tick":
            session.on_tick(line.mono, line.recv_ns)
        elif kind == "rest":
            session.on_reply(line.token, line.status, line.data, line.recv_ns, line.mono)
        elif kind == "fail":
            session.on_failure(line.token, line.mono, line.reason)
        elif kind == "want":
            added = list(map(_subscription, line.add))
            self.wanted.update(added)
            session.change(added, list(map(_subscription, line.drop)), line.mono)
        elif kind == "poll":
            session.poll(line.name)
        elif kind == "list":
            session.relisted(line.name, line.recv_ns)
        elif kind == "slept":
            session.slept(line.reason, line.recv_ns)
        elif kind == "close":
            session.on_close(line.code, line.reason, line.recv_ns, retry_s=line.retry_s, attempt=line.attempt)
            self._ended.add(session.counts)
            del self._sessions[line.conn]


def _subscription(name: str) -> Subscription:
    """Of `venue:symbol:channel` or `venue:symbol:book:10`. Raises RecordingError."""
    venue, symbol, channel, depth = [*name.split(":"), "0", "", ""][:4]
    if channel not in CHANNELS or not depth.isdigit():
        raise RecordingError(f"{escaped(name, 80)!r} is no stream; they are as kraken:BTC-USD:trades")
    return Subscription(venue, symbol, channel, int(depth))
