"""`Taped`: a session that keeps each of its inputs on a tape, to be lived through again, event for event."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol

from msgspec import Struct

from .events import Head
from .number import N
from .session import Session
from .subscriptions import Subscription


class Input(Struct, frozen=True, kw_only=True):
    """What happened to a connection: a line of a raw recording, or with several frames some lines.

    `recv_ns` and `mono_ns` are 0 where the session was not told. The rest is as in the format of raw recordings.
    """

    dir: str
    conn: str
    recv_ns: int = 0
    mono_ns: int = 0
    data: Sequence[bytes] = ()
    more: dict[str, Any] = {}


class Tape(Protocol):
    """Keeps inputs, each with the events that it led to.

    `batch` is where events are before they are delivered.
    """

    batch: list[Head]

    def mark(self) -> int:
        """Called before an input: where its events begin."""

    def keep(self, what: Input, mark: int) -> None:
        """Called after it."""


class Taped(Session[N], Generic[N]):
    """See the module's docstring. `mono_ns` of a line is the clock by which deadlines are kept."""

    def __init__(self, *args: Any, tape: Tape, **named: Any) -> None:
        super().__init__(*args, **named)
        self._tape = tape
        self._inside = False

    @contextmanager
    def _input(self, what: Callable[[], Input]) -> Iterator[None]:
        """Keep an input; what it calls of the same session is a part of it."""
        if self._inside:
            yield
            return
        self._inside, mark = True, self._tape.mark()
        try:
            yield
        finally:
            self._inside = False
            self._tape.keep(what(), mark)

    def on_open(self, mono_ns: int, recv_ns: int, attempt: int = 1) -> None:
        """See `Session`."""
        plan = self._plan
        more = {"venue": self.venue.name, "url": plan.url, "add": names(plan.subscriptions), "attempt": attempt}
        with self._input(lambda: Input(dir="open", conn=self.link, recv_ns=recv_ns, mono_ns=mono_ns, more=more)):
            super().on_open(mono_ns, recv_ns, attempt)

    def on_frames(self, frames: list[bytes], recv_ns: int) -> bool:
        """See `Session`. Hot."""
        self._inside, mark = True, self._tape.mark()
        try:
            return super().on_frames(frames, recv_ns)
        finally:
            self._inside = False
            self._tape.keep(Input(dir="in", conn=self.link, recv_ns=recv_ns, data=frames), mark)

    def on_reply(self, token: int, status: int, body: bytes, recv_ns: int, mono_ns: int) -> None:
        """See `Session`."""
        more = {"token": token, "status": status}
        with self._input(
            lambda: Input(dir="rest", conn=self.link, recv_ns=recv_ns, mono_ns=mono_ns, data=(body,), more=more)
        ):
            super().on_reply(token, status, body, recv_ns, mono_ns)

    def on_failure(self, token: int, mono_ns: int, reason: str = "") -> None:
        """See `Session`."""
        more = {"token": token, "reason": reason}
        with self._input(lambda: Input(dir="fail", conn=self.link, mono_ns=mono_ns, more=more)):
            super().on_failure(token, mono_ns, reason)

    def on_turn(self, mono_ns: int) -> None:
        """See `Session`; from it on an answer is awaited."""
        with self._input(lambda: Input(dir="turn", conn=self.link, mono_ns=mono_ns)):
            super().on_turn(mono_ns)

    def on_pong(self) -> None:
        """See `Session`; an idle link that answers is not dead, and its market is asked about."""
        with self._input(lambda: Input(dir="pong", conn=self.link)):
            super().on_pong()

    def on_tick(self, mono_ns: int, recv_ns: int) -> bool:
        """See `Session`; every tick is kept, for one that does nothing yet may begin to wait."""
        with self._input(lambda: Input(dir="tick", conn=self.link, recv_ns=recv_ns, mono_ns=mono_ns)):
            return super().on_tick(mono_ns, recv_ns)

    def change(self, add: Sequence[Subscription], drop: Sequence[Subscription], mono_ns: int) -> None:
        """See `Session`."""
        more = {"add": names(add), "drop": names(drop)}
        with self._input(lambda: Input(dir="want", conn=self.link, mono_ns=mono_ns, more=more)):
            super().change(add, drop, mono_ns)

    def relisted(self, symbol: str, recv_ns: int) -> None:
        """See `Session`; what is listed now was told before."""
        with self._input(lambda: Input(dir="list", conn=self.link, recv_ns=recv_ns, more={"name": symbol})):
            super().relisted(symbol, recv_ns)

    def poll(self, native: str) -> None:
        """See `Session`; a decoder's own call is a part of what it answers."""
        with self._input(lambda: Input(dir="poll", conn=self.link, more={"name": native})):
            super().poll(native)

    def on_close(self, code: int, reason: str, recv_ns: int, *, retry_s: float | None = 0.0, attempt: int = 0) -> None:
        """See `Session`."""
        more = {"code": code, "reason": reason, "retry_s": retry_s, "attempt": attempt}
        with self._input(lambda: Input(dir="close", conn=self.link, recv_ns=recv_ns, more=more)):
            super().on_close(code, reason, recv_ns, retry_s=retry_s, attempt=attempt)

    def slept(self, reason: str, recv_ns: int) -> None:
        """See `Session`."""
        with self._input(lambda: Input(dir="slept", conn=self.link, recv_ns=recv_ns, more={"reason": reason})):
            super().slept(reason, recv_ns)


class Taping:
    """A tape, or none, for what runs sessions."""

    def __init__(self, tape: Tape | None) -> None:
        self._tape = tape

    def session(self, *args: Any, **named: Any) -> Session[Any]:
        """A session that keeps its inputs where there is a tape."""
        return Session(*args, **named) if self._tape is None else Taped(*args, tape=self._tape, **named)

    def keep(self, what: str, **more: Any) -> None:
        """Keep what is no connection's."""
        if self._tape is not None:
            self._tape.keep(Input(dir=what, conn="", more=more), self._tape.mark())

    @contextmanager
    def told(self, recv_ns: int) -> Iterator[None]:
        """Keep the events emitted meanwhile, which no session emits."""
        mark = self._tape.mark() if self._tape is not None else 0
        yield
        if self._tape is not None:
            self._tape.keep(Input(dir="told", conn="", recv_ns=recv_ns), mark)


def names(subscriptions: Sequence[Subscription]) -> list[str]:
    """As `venue:symbol:channel`, and of a book of a certain depth `venue:symbol:book:10`."""
    return [f"{s.name}:{s.depth}" if s.depth else s.name for s in subscriptions]
