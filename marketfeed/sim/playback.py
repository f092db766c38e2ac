"""Serve a capture: its own frames, unchanged and in order, to a client that asked for all it holds."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from .capture import CaptureSource, Stream, depth_symbol
from .capture_talk import CaptureConversation, CaptureDialect
from .faults import Faults, Troubles
from .link import Link
from .plant import Plant
from .server import VenueServer
from .wire import Frame, Reply, json_reply

ASK_S = 1.0
"""How long the stream waits at a REST snapshot for a client that has not asked for it yet."""
HOLD_S = 60.0
"""How long a client's request is held for a snapshot that the stream has not come to."""


class CaptureServer(VenueServer):
    """Pushes the recording to each client; REST depth replies wait for their place in it."""

    def __init__(self, dialect: CaptureDialect, plant: Plant, *, once: bool, speed: float | None) -> None:
        super().__init__(
            dialect,
            faults=plant.faults,
            seed=f"capture:{dialect.source.path.name}",
            injected=plant.injected,
            now=plant.now,
        )
        self._source = dialect.source
        self._once = once
        self._speed = speed
        self._asked: dict[str, deque[asyncio.Future[bytes]]] = {}
        self._kept: dict[str, deque[bytes]] = {}
        self._last: dict[str, bytes] = {}
        self._left: Counter[str] = Counter(self._source.depth_replies)
        self._news = asyncio.Event()
        self.finished = asyncio.Event()
        """Set when a client has been sent the whole recording."""

    async def attached(self, link: Link) -> None:
        """Push the recording once the client has asked for all of it."""
        assert isinstance(link.conversation, CaptureConversation)
        await link.conversation.ready.wait()
        self._kept.clear()
        self._left = Counter(self._source.depth_replies)
        began, first = asyncio.get_running_loop().time(), None
        for record in self._source.records():
            if self._speed and record.t is not None:
                first = record.t if first is None else first
                due = began + (record.t - first) / self._speed
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            if record.dir == "in":
                link.offer([Frame(record.raw)])
                if link.full:
                    await link.room()
            elif record.dir == "rest" and (symbol := depth_symbol(record.url)):
                await link.drained()
                await self._hand_over(symbol, record.raw.encode())
            if link.closed:
                return
        await link.drained()
        self.finished.set()
        if self._once:
            await link.hang_up(1000, "end of recording")

    async def answer(self, request: web.Request) -> Reply:
        """Depth waits for the recorded reply; everything else is answered at once."""
        symbol = request.query.get("symbol", "")
        if self._source.venue != "binance" or not request.path.endswith("/depth"):
            return await super().answer(request)
        if symbol not in self._source.depth_replies:
            return json_reply({"code": -1121, "msg": "Invalid symbol."}, 400)
        if kept := self._kept.get(symbol):
            return Reply(200, kept.popleft())
        if not self._left[symbol] and symbol in self._last:
            return Reply(200, self._last[symbol])  # the recording has no newer one
        asked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(symbol, deque()).append(asked)
        self._news.set()
        try:
            return Reply(200, await asyncio.wait_for(asked, HOLD_S))
        except TimeoutError:
            return json_reply({"code": -1001, "msg": "The recording has not come to a snapshot."}, 503)

    async def _hand_over(self, symbol: str, body: bytes) -> None:
        """Give a snapshot to whoever waits for it; wait a little for one who has not asked yet, then keep it."""
        deadline = asyncio.get_running_loop().time() + ASK_S
        while not self._answer_one(symbol, body):
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), deadline - asyncio.get_running_loop().time())
            except TimeoutError:
                self._kept.setdefault(symbol, deque()).append(body)
                break
        self._left[symbol] -= 1
        self._last[symbol] = body

    def _answer_one(self, symbol: str, body: bytes) -> bool:
        """Answer the oldest request that is still open; False where there is none."""
        waiting = self._asked.get(symbol, deque())
        while waiting:
            asked = waiting.popleft()
            if not asked.done():
                asked.set_result(body)
                return True
        return False


class CapturePlant(Plant):
    """A running capture: `.endpoints`, `.source`, and `finished()` to wait for its end."""

    def __init__(
        self,
        path: str | Path,
        venue: str | None = None,
        *,
        faults: str | Faults = "",
        port: int = 0,
        once: bool = False,
        speed: float | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(faults, clock)
        self.source = CaptureSource(path, venue)
        self._ports = {self.source.venue: port}
        dialect = CaptureDialect(self.source, Troubles(self.faults, self.source.venue, self.injected, self.breaches))
        self._playing = CaptureServer(dialect, self, once=once, speed=speed)
        self._servers[self.source.venue] = self._playing

    async def finished(self) -> None:
        """Wait until a client has been sent the whole recording."""
        await self._playing.finished.wait()

    def missing(self) -> set[Stream]:
        """Streams of the recording that the connected clients have not asked for: why nothing is sent."""
        left = set(self.source.streams)
        for link in self._playing.links:
            assert isinstance(link.conversation, CaptureConversation)
            left &= link.conversation.missing
        return left


def serve_capture(
    path: str | Path,
    venue: str | None = None,
    *,
    faults: str | Faults = "",
    port: int = 0,
    once: bool = False,
    speed: float | None = None,
) -> CapturePlant:
    """Serve a capture file (.jsonl, .jsonl.gz) as it was recorded; use with `async with`.

    The venue is told from the URLs in it, else must be named. `speed` 1.0 is as recorded, None as fast as
    the client reads. At its end the connection stays open, or is closed with 1000 where `once`. Raises
    `ConfigError` and `RecordingError` as `CaptureSource` does.
    """
    return CapturePlant(path, venue, faults=faults, port=port, once=once, speed=speed)
