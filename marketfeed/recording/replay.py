"""Replay of a capture through the same sessions that run live.

Of a capture made by others every stream counts as wanted and acknowledged; a REST line answers the open `Fetch` of its
kind and market, and one that nobody has asked for yet is kept for the next such `Fetch`; ticks follow the recorded
times.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..commands import Fetch
from ..counts import Counts
from ..events import Head
from ..outlet import Outlet
from ..session import Session
from ..streams import Streams
from ..subscriptions import Subscription
from ..venues._spec import LinkPlan, Venue
from .discovery import Found, as_numbers, rest_key, venue_of
from .raw import Line, read_lines
from .seen import Seen


class Replay(Seen):
    """Iterate over it for the events of a raw file, in order. `counts`, `kinds`, `gaps` and `digest` grow with it.

    `venue` is needed only where no URL in the file tells. Raises RecordingError for what is no recording, and
    ConfigError for another venue than the URLs tell.
    """

    def __init__(self, path: str | Path, *, venue: str | None = None, exact: bool = False) -> None:
        super().__init__()
        self.path = Path(path)
        self.exact = exact
        self.venue: Venue = venue_of(read_lines(path), venue)
        self._batch: list[Head] = []
        self._streams: Streams[Any] = Streams(Outlet(self._batch.append))
        self._sessions: dict[str, Session[Any]] = {}
        self._ended = Counts()
        self._answers: dict[tuple[str, str], list[Line]] = {}
        self._open: dict[tuple[str, str], tuple[Session[Any], int]] = {}
        self._found = Found(self.venue, read_lines(path))
        self._instruments = as_numbers(self._found.instruments, exact)

    @property
    def counts(self) -> Counts:
        """Counters of all sessions so far."""
        total = Counts()
        total.add(self._ended)
        for session in self._sessions.values():
            total.add(session.counts)
        return total

    @property
    def wanted(self) -> list[Subscription]:
        """Every stream in the file."""
        return sorted({s for streams in self._found.wanted.values() for s in streams})

    def __iter__(self) -> Iterator[Head]:
        for line in read_lines(self.path):
            self._ticks(line.recv_ns)
            self._take(line)
            yield from self._drain()

    def _drain(self) -> Iterator[Head]:
        for event in self._batch:
            self.note(event)
            yield event
        self._batch.clear()

    def _take(self, line: Line) -> None:
        now = line.recv_ns
        if line.dir == "open":
            self._close(line.conn, "opened again", now)
            self._session(line.conn, line.url, now)
        elif line.dir == "in":
            session = self._session(line.conn, line.url, now)
            session.on_frame(line.data, now)
            self._perform(session)
        elif line.dir == "rest":
            self._rest(line, now)
        elif line.dir == "close":
            self._close(line.conn, line.reason, now, line.code)

    def _session(self, conn: str, url: str, now: int) -> Session[Any]:
        session = self._sessions.get(conn)
        if session is None:
            wanted = self._found.wanted.get(conn, [])
            for subscription in wanted if not self.venue.coins else ():
                self._streams.introduce(self._instruments[subscription.symbol], now)
            plan = LinkPlan(url or self.venue.endpoints.ws, tuple(wanted))
            session = Session(self.venue, plan, self._streams, self._instruments, link=conn, exact=self.exact)
            self._sessions[conn] = session
            session.on_open(now, now)
            session.on_tick(now, now)
            for s in wanted:
                session.accepted(s.channel, self._instruments[s.symbol].native, s.depth)
            self._perform(session)
        return session

    def _close(self, conn: str, reason: str, now: int, code: int = 1006) -> None:
        session = self._sessions.pop(conn, None)
        if session is not None:
            session.on_close(code, reason, now)
            self._ended.add(session.counts)

    def _ticks(self, now: int) -> None:
        for session in self._sessions.values():
            if now and session.deadline <= now:
                session.on_tick(now, now)
                self._perform(session)

    def _perform(self, session: Session[Any]) -> None:
        """Of what a session asks for only fetches matter: the rest was said when the capture was made."""
        while session.commands:
            command = session.commands.pop(0)
            if isinstance(command, Fetch):
                key = rest_key(command.request.path)
                kept = self._answers.get(key)
                if kept:
                    self._answer(session, command.token, kept.pop(0))
                else:
                    self._open[key] = (session, command.token)

    def _rest(self, line: Line, now: int) -> None:
        key = rest_key(line.url)
        asked = self._open.pop(key, None)
        if asked is not None:
            self._answer(asked[0], asked[1], line)
        else:
            self._answers.setdefault(key, []).append(line)

    def _answer(self, session: Session[Any], token: int, line: Line) -> None:
        session.on_reply(token, 200, line.data, line.recv_ns, line.recv_ns)
        self._perform(session)
