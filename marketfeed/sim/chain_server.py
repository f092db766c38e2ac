"""The server of one source of the chain: requests with bodies, and the ways a source can fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from aiohttp import web

from .chain_wire import Call, ChainConversation, ChainDialect
from .conduct import STATES, read
from .faults import Faults
from .server import HOST, Endpoint, VenueServer
from .wire import Now, Reply, too_many


class ChainServer(VenueServer):
    """A `VenueServer` that minds its source's conduct."""

    def __init__(
        self, dialect: ChainDialect, *, faults: Faults, seed: str, injected: Counter[str], now: Callable[[], Now]
    ) -> None:
        super().__init__(dialect, faults=faults, seed=seed, injected=injected, now=now)
        self._source = dialect
        self._port = 0
        self._stopping = False

    async def start(self, port: int = 0) -> Endpoint:
        """Listen on loopback; a source without a WebSocket has "" for its address."""
        self._stopping = False
        endpoint = await super().start(port)
        self._port = int(endpoint.rest.rpartition(":")[2])
        return endpoint if self._source.SOCKET else Endpoint("", endpoint.rest)

    async def stop(self) -> None:
        """Let go of those who hang, then stop."""
        self._stopping = True
        self._source.conduct.moving.set()
        await super().stop()

    async def tell(self) -> None:
        """Look what the chain did, and push it to those who listen."""
        news = self._source.view.follow()
        for link in list(self.links):
            assert isinstance(link.conversation, ChainConversation)
            link.offer(link.conversation.on_news(news, self.now()))

    async def behave(self, what: str) -> None:
        """Behave so from now on, see `conduct`; raises `ConfigError`, and `OSError` where the port has been taken."""
        conduct = self._source.conduct
        was, kind = conduct.state, read(what)[0]
        assert self._runner is not None
        if was == "down" and kind in (*STATES, "well") and kind != "down":
            await web.TCPSite(self._runner, HOST, self._port).start()
        conduct.change(what)
        if conduct.state == "down" and was != "down":
            await self._shut(self._runner)
        await self.tell()

    async def answer(self, request: web.Request) -> Reply:
        """As the dialect says."""
        if self._source.troubles.is_busy():
            return too_many(self._faults.retry_after, {"error": "Too Many Requests"})
        call = Call(
            request.method,
            request.path,
            dict(request.query),
            request.headers.get("Authorization", ""),
            await request.read(),
        )
        return self._source.call(call, self.now())

    async def _shut(self, runner: web.AppRunner) -> None:
        """Refuse whoever comes, and cut whoever is there."""
        for site in list(runner.sites):
            await site.stop()
        for link in list(self.links):
            link.abort()
        assert runner.server is not None
        for connection in runner.server.connections:
            connection.force_close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        conduct = self._source.conduct
        await conduct.moving.wait()
        if conduct.state == "error" or self._stopping:
            return web.Response(status=500, text="Internal Server Error")
        return await super()._handle(request)
