"""One client's WebSocket at a simulated venue: faults, an outbox with a bound, and the task that empties it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from aiohttp import web

from .faults import Gremlin
from .wire import Conversation, Frame, Hangup, Out, Ping

ROOM = 1 << 20
"""Characters that may wait in an outbox before its filler has to wait for the client."""


class Link:
    """What goes to one client, in order. `offer()` never waits; whoever fills must ask for `room()`."""

    def __init__(
        self, ws: web.WebSocketResponse, transport: asyncio.Transport, conversation: Conversation, gremlin: Gremlin
    ) -> None:
        self.conversation = conversation
        self.gremlin = gremlin
        self.closed = False
        self.flood = 0
        """Pings sent beside the conversation, and not answered yet."""
        self._ws = ws
        self._transport = transport
        self._outbox: deque[str | Ping | Hangup | bytes] = deque()
        self._size = 0
        self._busy = False
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "stalled" if self.gremlin.stalled else "open"
        return f"Link({state}, {len(self._outbox)} waiting)"

    @property
    def full(self) -> bool:
        """Whether the client has fallen so far behind that more must wait."""
        return self._size > ROOM

    def offer(self, items: Iterable[Out], *, timed: bool = False) -> None:
        """Queue what a conversation said; `timed` when the wall clock made it say so. Faults strike here."""
        for item in items:
            if self.closed:
                return
            if not isinstance(item, Frame):
                self._put(item)
            elif not item.data:
                self._put(item.text)
            else:
                texts = self.gremlin.pass_on(item.text, timed=timed)
                if texts is None:
                    self.abort()
                    return
                for text in texts:
                    self._put(text)

    def say(self, *items: Ping | Hangup) -> None:
        """Queue what is no frame of a conversation."""
        for item in items:
            self.flood += isinstance(item, Ping)
            self._put(item)

    def throw(self, raw: bytes) -> None:
        """Put bytes on the wire as they are, between two frames."""
        self._transport.write(raw)

    def pong(self, payload: bytes) -> None:
        """Answer the client's protocol ping, also while the data is stalled."""
        self._put(payload)

    async def room(self) -> None:
        """Wait until the outbox is within its bound, or the link is gone."""
        while self.full and not self.closed:
            await self._wait()

    async def drained(self) -> None:
        """Wait until everything is handed to the socket, or the link is gone."""
        while (self._outbox or self._busy) and not self.closed:
            await self._wait()

    def abort(self) -> None:
        """Cut the connection: no close frame, and what is still queued is lost."""
        self._end()
        self._transport.abort()

    async def hang_up(self, code: int, reason: str) -> None:
        """Close politely; a client that does not answer is cut by the server's close timeout."""
        self._end()
        await self._ws.close(code=code, message=reason.encode())

    async def write(self) -> None:
        """Empty the outbox until the link is gone. Each send waits for a client that reads too slowly."""
        try:
            while not self.closed:
                while self._outbox and not self.closed:
                    await self._send(self._outbox.popleft())
                self._busy = False
                self._taken.set()
                await self._filled.wait()
                self._filled.clear()
        except (ConnectionError, RuntimeError):
            pass  # the client has gone while we were writing: its reader ends the link
        finally:
            self._end()

    async def _send(self, item: str | Ping | Hangup | bytes) -> None:
        self._busy = True
        match item:
            case str():
                self._size -= len(item)
                await self._ws.send_str(item)
                if not self.full:
                    self._taken.set()
            case Ping():
                await self._ws.ping()
            case Hangup(code, reason):
                await self.hang_up(code, reason)
            case _:
                await self._ws.pong(item)

    def _put(self, item: str | Ping | Hangup | bytes) -> None:
        self._outbox.append(item)
        if isinstance(item, str):
            self._size += len(item)
        self._filled.set()

    async def _wait(self) -> None:
        self._taken.clear()
        await self._taken.wait()

    def _end(self) -> None:
        """Whoever waits is let go."""
        self.closed = True
        self._outbox.clear()
        self._size = 0
        self._filled.set()
        self._taken.set()
