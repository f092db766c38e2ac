"""One venue on a loopback port: its WebSocket and its REST interface, spoken by a dialect."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import msgspec
from aiohttp import WSMsgType, web

from .faults import Faults, Gremlin
from .link import Link
from .wire import Dialect, Limit, Now, Reply, too_many

HOST = "127.0.0.1"
GOODBYE_S = 0.5
"""How long a close handshake may take before the socket is cut."""
BANS = (403, 418, 429)
CLIENT_FRAME = 1 << 16
"""Longest frame taken from a client."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a simulated venue listens: base URLs, with the path that the real venue's base has."""

    ws: str
    rest: str


class VenueServer:
    """An aiohttp server for one dialect. `start()` binds, `stop()` leaves no task and no socket behind."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        faults: Faults,
        seed: str,
        injected: Counter[str],
        now: Callable[[], Now],
    ) -> None:
        self.dialect = dialect
        self.links: list[Link] = []
        self.now = now
        self._faults = faults
        self._seed = seed
        self._injected = injected
        self._accepted = 0
        self._connects = Limit(*dialect.CONNECTS)
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> Endpoint:
        """Listen on loopback; port 0 is any free one."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=GOODBYE_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        return Endpoint(f"ws://{HOST}:{bound}{self.dialect.WS_PATH}", f"http://{HOST}:{bound}")

    async def stop(self) -> None:
        """Close every link politely, then all sockets."""
        with suppress(ConnectionError):
            await asyncio.gather(
                *(link.hang_up(1001, "going away") for link in list(self.links)), return_exceptions=True
            )
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def drained(self) -> None:
        """Wait until everything said so far is handed to the sockets."""
        for link in list(self.links):
            await link.drained()

    async def room(self, patience_s: float | None = None) -> None:
        """Wait until every client has room; one that has none for `patience_s` is cut, as venues do."""
        for link in [link for link in self.links if link.full]:
            try:
                await asyncio.wait_for(link.room(), patience_s)
            except TimeoutError:
                self.dialect.troubles.breach("slow reader")
                link.abort()

    async def attached(self, link: Link) -> None:
        """A hook for servers that push on their own: runs beside the link, cancelled with it."""

    async def answer(self, request: web.Request) -> Reply:
        """The REST answer; a hook for servers whose answers have to wait."""
        now = self.now()
        self.dialect.troubles.arrived(now.mono)
        if self.dialect.troubles.is_busy():
            self.dialect.troubles.close_until(now.mono, round(self._faults.retry_after))
            return too_many(
                self._faults.retry_after,
                {"code": -1003, "msg": "Too many requests.", "error": ["EAPI:Rate limit exceeded"]},
            )
        return self.dialect.rest(request.method, request.path, request.query, now)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        reply = await self.answer(request)
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        return _response(reply)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        now = self.now()
        self.dialect.troubles.arrived(now.mono)
        if status := self.dialect.troubles.turned_away():
            return _response(self._turned_away(status, now))
        if not self._connects.take(now.mono):
            self.dialect.troubles.breach("connects")
            return _response(too_many(self.dialect.CONNECTS[1], {"msg": "too many connections"}))
        conversation = self.dialect.connect(request.path, request.query, now)
        if isinstance(conversation, Reply):
            return _response(conversation)
        ws = web.WebSocketResponse(compress=False, autoping=False, timeout=GOODBYE_S, max_msg_size=CLIENT_FRAME)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws  # gone before it began
        self._accepted += 1
        gremlin = Gremlin(self._faults, f"{self._seed}:{self._accepted}", self._injected)
        link = Link(ws, transport, conversation, gremlin)
        self.links.append(link)
        link.offer(conversation.on_open(now))
        tasks = [asyncio.create_task(link.write()), asyncio.create_task(self.attached(link))]
        try:
            await self._read(ws, link)
        finally:
            self.links.remove(link)
            link.abort() if not ws.closed else None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return ws

    def _turned_away(self, status: int, now: Now) -> Reply:
        if status not in BANS:
            return Reply(status, b"")
        self.dialect.troubles.close_until(now.mono, round(self._faults.retry_after))
        return too_many(self._faults.retry_after, {"msg": "stay away"}, status)

    async def _read(self, ws: web.WebSocketResponse, link: Link) -> None:
        """Give the client's frames to the conversation until the link ends."""
        async for message in ws:
            now = self.now()
            if link.closed:
                return
            match message.type:
                case WSMsgType.TEXT:
                    link.offer(link.conversation.on_text(message.data, now))
                case WSMsgType.PING:
                    link.offer(link.conversation.on_control(pong=False, now=now))
                    link.pong(message.data)
                case WSMsgType.PONG if link.flood:
                    link.flood -= 1
                case WSMsgType.PONG:
                    link.offer(link.conversation.on_control(pong=True, now=now))


def _response(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.status, body=reply.body, headers={"Content-Type": "application/json", **reply.headers}
    )
