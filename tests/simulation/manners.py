"""Who was told to stay away comes back no sooner (T14): judged by the replies that arrived, since one may be lost."""

from typing import Any
from urllib.parse import urlsplit

from marketfeed.errors import TransportError
from marketfeed.rest import AiohttpRest, Reply
from marketfeed.sim.server import BANS
from marketfeed.testing import LoopClock
from marketfeed.transport import Link
from marketfeed.transports.websockets import WebsocketsTransport
from marketfeed.venues._spec import Request


class Manners:
    """Until when each port is to be left alone, by its replies, and who came before that; `seconds`: what they say."""

    def __init__(self, clock: LoopClock, seconds: float) -> None:
        self.wrong = ""
        self.told = 0
        self._now = clock.mono_ns
        self._ns = round(seconds * 1e9)
        self._until: dict[int | None, int] = {}

    def comes(self, url: str) -> None:
        """A call or a connection begins."""
        early = self._until.get(urlsplit(url).port, 0) - self._now()
        if early > 0:
            self.wrong = f"T14: {url} is asked {early / 1e9:.3f} s before the end of its ban"

    def hears(self, url: str, status: int) -> None:
        """A reply has arrived."""
        if status in BANS:
            self.told += 1
            self._until[urlsplit(url).port] = self._now() + self._ns


class Door(WebsocketsTransport):
    """Connections as they are, watched."""

    def __init__(self, manners: Manners) -> None:
        super().__init__()
        self._manners = manners

    async def connect(self, url: str, *args: Any, **named: Any) -> Link:
        self._manners.comes(url)
        try:
            return await super().connect(url, *args, **named)
        except TransportError as exc:
            self._manners.hears(url, exc.status)
            raise


LINKS = 2
"""While one connection takes over from another, each has a book to open."""


class Rest(AiohttpRest):
    """REST as it is, watched: one call for one book of a connection at a time (I7)."""

    def __init__(self, clock: LoopClock, manners: Manners) -> None:
        super().__init__(clock=clock)
        self.open: dict[str, int] = {}
        self.wrong = ""
        self._manners = manners

    async def fetch(self, base: str, request: Request) -> Reply:
        self._manners.comes(base)
        key = base + request.path
        self.open[key] = self.open.get(key, 0) + 1
        if self.open[key] > LINKS and "depth" in key:
            self.wrong = f"I7: {self.open[key]} calls at a time for {key}"
        try:
            reply = await super().fetch(base, request)
        finally:
            self.open[key] -= 1
        self._manners.hears(base, reply.status)
        return reply
