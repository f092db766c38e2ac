"""A transport without a network, for tests: it records what was asked of it, and the test plays the venue."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ..clock import Clock
from ..transport import GIVEN_UP, NO_HEADERS, Link, LinkListener, check_url


class FakeLink:
    """An open link. Read `sent`, `pings` and `closing`; call `frame`, `pong` and `drop` to be the venue.

    A close asked for is answered at once where `answers_close` is set, else when the test calls `drop`.
    """

    def __init__(self, listener: LinkListener, *, answers_close: bool = True) -> None:
        self.listener = listener
        self.answers_close = answers_close
        self.sent: list[str | bytes] = []
        self.pings = 0
        self.closing: tuple[int, str] | None = None
        self.closed: tuple[int, str] | None = None
        self._done = asyncio.Event()

    def send(self, payload: str | bytes) -> None:
        """Record a message."""
        if self.closing is None and self.closed is None:
            self.sent.append(payload)

    def ping(self) -> None:
        """Count a ping."""
        if self.closing is None and self.closed is None:
            self.pings += 1

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Record the close; `on_closed` follows soon where `answers_close` is set."""
        if self.closing is None and self.closed is None:
            self.closing = (code, reason)
            if self.answers_close or code == GIVEN_UP:
                asyncio.get_running_loop().call_soon(self.drop, code, reason)

    async def wait_closed(self) -> None:
        """Wait until the listener was told."""
        await self._done.wait()

    def frame(self, raw: bytes, recv_ns: int = 1) -> None:
        """A message from the venue. Ignored after a close, as on a real link."""
        if self.closing is None and self.closed is None:
            self.listener.on_frames([raw], recv_ns)

    def pong(self) -> None:
        """A pong or ping from the venue."""
        if self.closing is None and self.closed is None:
            self.listener.on_pong()

    def drop(self, code: int = 1006, reason: str = "connection lost: no close frame came") -> None:
        """The link ends; only the first time counts."""
        if self.closed is None:
            self.closed = (code, reason)
            self._done.set()
            self.listener.on_closed(code, reason)


class FakeTransport:
    """Every `connect` gives a new `FakeLink`, or raises what the script holds next.

    `script` is used up in order: an exception is raised, None connects; once it is empty every attempt connects.
    `calls` holds the arguments of each attempt, `links` the links made.
    """

    name = "fake"

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.calls: list[dict[str, Any]] = []
        self.links: list[FakeLink] = []
        self._made = asyncio.Condition()

    async def connect(
        self,
        url: str,
        listener: LinkListener,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        max_message: int,
        timeout_s: float = 10.0,
        proxy: str | None = None,
        clock: Clock,
    ) -> Link:
        """Do what the script says."""
        check_url(url)
        self.calls.append(
            {"url": url, "headers": dict(headers), "max_message": max_message, "timeout_s": timeout_s, "proxy": proxy}
        )
        outcome = self.script.pop(0) if self.script else None
        if outcome is not None:
            raise outcome
        link = FakeLink(listener)
        async with self._made:
            self.links.append(link)
            self._made.notify_all()
        return link

    async def link(self, number: int = 0) -> FakeLink:
        """The link of that number, waiting until it was made."""
        async with self._made:
            await self._made.wait_for(lambda: len(self.links) > number)
        return self.links[number]
