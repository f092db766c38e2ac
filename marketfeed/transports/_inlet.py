"""The gate between a socket and its listener, shared by the transports: what makes them behave alike."""

import asyncio
from collections import deque
from collections.abc import Callable

from ..text import escaped
from ..transport import GIVEN_UP, SLICE, LinkListener

CLOSE_S = 2.0
"""How long a venue may take to answer our close, or to let go of TCP; then the connection is aborted."""

MAX_UNREAD_PONGS = 1 << 20
"""Bytes of answers to a venue's pings that may wait to be read by it."""


class Inlet:
    """Passes frames on, holds them back until `connect` has returned, and tells the end exactly once.

    `frames` and `pong` are what a transport calls; they are rebound as the link goes from held to open to shut, so
    that the hot path has nothing to ask.
    """

    __slots__ = ("_held", "_listener", "_opened", "_verdict", "asked", "done", "frames", "max_message", "pong")

    def __init__(self, listener: LinkListener, max_message: int) -> None:
        self._listener = listener
        self._held: deque[tuple[list[bytes], int] | None] = deque()  # None is a pong
        self._opened = False
        self._verdict: tuple[int, str] | None = None
        self.max_message = max_message
        self.asked: tuple[int, str] | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.frames: Callable[[list[bytes], int], None] = lambda frames, recv_ns: self._held.append((frames, recv_ns))
        self.pong: Callable[[], None] = lambda: self._held.append(None)

    def open(self, fail: Callable[[Exception], None]) -> None:
        """Let through what was held, then all that comes. `fail` is told what the listener raised meanwhile."""
        self._opened = True
        try:
            while self._held:  # the listener may close the link, which empties it
                held = self._held.popleft()
                if held is None:
                    self._listener.on_pong()
                else:
                    self._listener.on_frames(*held)
        except Exception as exc:  # a listener may raise anything
            self._held.clear()
            fail(exc)
        if self.done.done():
            self._tell()
        elif self.frames is not _ignore_frames:
            self.frames = self._listener.on_frames
            self.pong = self._listener.on_pong

    def read(self, frames: list[bytes], recv_ns: int) -> None:
        """Pass on what one read brought, in slices; the listener may close the link after any of them."""
        if len(frames) <= SLICE:
            self.frames(frames, recv_ns)
            return
        for start in range(0, len(frames), SLICE):
            self.frames(frames[start : start + SLICE], recv_ns)

    def shut(self) -> None:
        """Take nothing in any more; what is held was whole, and still goes through."""
        self.frames, self.pong = _ignore_frames, _ignore_pong

    def ask(self, code: int, reason: str) -> None:
        """We are closing; it counts as done once the venue answers."""
        self.asked = (code, escaped(reason) or "closed by us")
        self.shut()
        self._held.clear()

    def give_up(self, reason: str) -> None:
        """The link is believed dead."""
        self.settle(GIVEN_UP, escaped(reason) or "given up")
        self.shut()
        self._held.clear()

    def settle(self, code: int, words: str) -> None:
        """Why the link ends; the first reason given stands."""
        if self._verdict is None:
            self._verdict = (code, words)

    def said(self, code: int, reason: str | bytes) -> None:
        """A close frame came from the venue."""
        if self.asked is not None:
            self.settle(*self.asked)
        else:
            self.settle(code, "closed by the venue" + (f": {escaped(reason)}" if reason else ""))

    def broke(self, code: int, detail: str) -> None:
        """The library gave up on what the venue sent."""
        if code == 1009:
            self.settle(code, f"message larger than {self.max_message} bytes")
        else:
            self.settle(code, f"the venue broke the WebSocket protocol: {escaped(detail)}")

    def lost(self) -> None:
        """TCP is gone: tell the end, after whatever is still held."""
        if self.done.done():
            return
        if self.asked is not None:
            self.settle(1006, f"{self.asked[1]} (the venue did not answer the close)")
        self.settle(1006, "connection lost: no close frame came")
        self.done.set_result(None)
        if self._opened:
            self._tell()

    def _tell(self) -> None:
        self.shut()
        if self._verdict is None:
            return
        try:
            self._listener.on_closed(*self._verdict)
        except Exception as exc:  # the link is over; whoever watches the loop must still hear of it
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "on_closed of a link's listener raised", "exception": exc})


def raised(exc: Exception) -> str:
    """The words for a listener that raised."""
    return f"the listener raised {escaped(type(exc).__name__)}"


def check_code(code: int, reason: str) -> str:
    """The reason cut to what a close frame can carry; ValueError where the code may not be sent."""
    if not (1000 <= code <= 1014 and code not in {1004, 1005, 1006}) and not 3000 <= code <= 4999:
        raise ValueError(f"{code} is no close code that may be sent")
    return reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")


def _ignore_frames(frames: list[bytes], recv_ns: int) -> None:
    """After the close, frames have no reader."""


def _ignore_pong() -> None:
    """After the close, nobody asks whether the link lives."""
