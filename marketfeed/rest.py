"""REST calls: one small protocol, aiohttp behind it, and a fake. The only module that imports aiohttp as a client."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from .clock import Clock, SystemClock
from .errors import ConfigError, TransportError
from .text import escaped
from .transport import check_url, proxy_for, split_url, user_agent
from .transports._failures import check_headers, culprit, failed, retry_after_s
from .venues._spec import Request, Secret

if TYPE_CHECKING:
    import aiohttp

IDLE_S = 4.0
"""So long a connection waits for the next call: less than any venue's silence, for a network that died took it too."""
MAX_BODY = 64 * 2**20
"""Bytes of the largest reply taken, after decompression."""

_METHOD = re.compile(r"[A-Z]{1,20}")


class Reply(Struct, frozen=True):
    """What the venue answered, whatever its status."""

    status: int
    body: bytes = b""
    retry_after_s: float | None = None
    """Seconds the venue asks us to stay away, where it says so."""
    used_weight: int | None = None
    """Weight spent in this minute by this address, where the venue counts for us (X-MBX-USED-WEIGHT-1M)."""
    date: str = ""
    """The server's clock as HTTP writes it, to the second; as it came, so from outside."""


class Rest(Protocol):
    """A way to make REST calls."""

    async def fetch(self, base: str, request: Request) -> Reply:
        """Make one call to `base + request.path`.

        Any HTTP status is a `Reply`, a redirect too: it is not followed, since a request may carry a key.
        TransportError where no whole reply came; ConfigError where the URL or a header may not be used.
        """

    async def renew(self) -> None:
        """Make later calls over new connections: the network may have left those that are kept (T24).

        Calls under way are heard to their end.
        """

    async def close(self) -> None:
        """Let go of all connections. Calls still open end in TransportError."""


class _Pool(Struct):
    """Connections that are kept for the next call, and how many calls are under way on them."""

    session: "aiohttp.ClientSession"
    calls: int = 0


class AiohttpRest:
    """REST over aiohttp, which is imported at the first call.

    `timeout_s` covers a whole call. `proxy` None means the environment's, which loopback never uses. `max_body`
    bounds a reply in bytes, after decompression.
    """

    def __init__(
        self,
        timeout_s: float = 10.0,
        proxy: str | None = None,
        max_body: int = MAX_BODY,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._proxy = proxy
        self._max_body = max_body
        self._clock = clock or SystemClock()
        self._pool: _Pool | None = None
        self._pools: list[_Pool] = []
        self._closed = False

    async def fetch(self, base: str, request: Request) -> Reply:  # noqa: D102
        import aiohttp  # noqa: PLC0415  # 100 ms that `import marketfeed` must not cost
        from yarl import URL  # noqa: PLC0415

        if not request.path.startswith("/"):  # else it could continue the host's name
            raise ConfigError(f"a request's path begins with '/': {escaped(request.path, 40)!r}")
        url = base + request.path
        check_url(url)
        parts = split_url(url)
        host = parts.hostname or ""
        if parts.scheme not in {"http", "https"}:
            raise ConfigError(f"a REST base begins with https://, not {parts.scheme}://")
        if not _METHOD.fullmatch(request.method):
            raise ConfigError(f"{escaped(request.method, 40)!r} is no HTTP method")
        headers = {
            name: value.reveal() if isinstance(value, Secret) else value for name, value in request.headers.items()
        }
        check_headers(headers)
        proxy = proxy_for(url, self._proxy)
        try:
            async with (
                self._session() as session,
                session.request(
                    request.method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=request.body or None,
                    proxy=proxy,
                    allow_redirects=False,
                ) as response,
            ):
                return Reply(
                    status=response.status,
                    body=await self._read(response, host),
                    retry_after_s=retry_after_s(response.headers.get("Retry-After"), self._clock),
                    used_weight=_count(response.headers.get("X-MBX-USED-WEIGHT-1M")),
                    date=response.headers.get("Date", ""),
                )
        except TransportError:
            raise
        except aiohttp.InvalidURL:
            raise ConfigError(f"the URL for {escaped(host)} cannot be used") from None
        except aiohttp.ClientHttpProxyError as exc:
            raise TransportError(f"the proxy refused to connect to {escaped(host)}: HTTP {exc.status}") from exc
        except aiohttp.ClientConnectorCertificateError as exc:
            raise failed(exc.certificate_error, host, self._timeout_s) from exc
        except (aiohttp.ClientConnectorError, aiohttp.ClientConnectorSSLError) as exc:
            raise failed(exc.os_error, culprit(exc.os_error, host, proxy), self._timeout_s) from exc
        except TimeoutError as exc:
            raise failed(TimeoutError(), host, self._timeout_s) from exc
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as exc:
            raise TransportError(f"{escaped(host)} sent no whole reply: {escaped(type(exc).__name__)}") from exc
        except (ValueError, RuntimeError) as exc:  # aiohttp's words for a proxy or a session it cannot use
            if self._closed:
                raise TransportError("REST is closed") from exc
            raise ConfigError(f"the call to {escaped(host)} cannot be made: {escaped(type(exc).__name__)}") from exc

    async def renew(self) -> None:  # noqa: D102
        self._pool = None
        await self._let_go()

    async def close(self) -> None:  # noqa: D102
        self._closed = True
        for pool in self._pools:
            await pool.session.close()

    @asynccontextmanager
    async def _session(self) -> "AsyncIterator[aiohttp.ClientSession]":
        pool = self._open()
        pool.calls += 1
        try:
            yield pool.session
        finally:
            pool.calls -= 1
            await self._let_go()

    async def _let_go(self) -> None:
        """Close the connections of before a renewal that no call is under way on."""
        for pool in [one for one in self._pools if one is not self._pool and not one.calls]:
            self._pools.remove(pool)
            await pool.session.close()

    def _open(self) -> _Pool:
        import aiohttp  # noqa: PLC0415

        if self._closed:
            raise TransportError("REST is closed")
        if self._pool is None:
            self._pool = _Pool(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(keepalive_timeout=IDLE_S),
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                    headers={"User-Agent": user_agent()},
                    cookie_jar=aiohttp.DummyCookieJar(),
                    trust_env=False,  # it would also read ~/.netrc, and use proxies for loopback
                )
            )
            self._pools.append(self._pool)
        return self._pool

    async def _read(self, response: "aiohttp.ClientResponse", host: str) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            if len(body) + len(chunk) > self._max_body:
                response.close()
                raise TransportError(f"{escaped(host)} sent a reply larger than {self._max_body} bytes")
            body += chunk
        return bytes(body)


class FakeRest:
    """REST without a network: a test says what each path answers, and reads what was asked.

    `replies` maps a path (with its query) to a Reply or bytes (status 200), an exception to raise, or a list of
    these that is used up in order. A path nobody scripted answers 404. `asked` holds each (base, request).
    """

    def __init__(self, replies: Mapping[str, "Answer | list[Answer]"] | None = None) -> None:
        self.replies = dict(replies or {})
        self.asked: list[tuple[str, Request]] = []
        self.closed = False

    async def fetch(self, base: str, request: Request) -> Reply:
        """Answer as scripted, after letting other tasks run once, as a network would."""
        self.asked.append((base, request))
        await asyncio.sleep(0)
        answer = self.replies.get(request.path, Reply(404))
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else Reply(404)
        if isinstance(answer, Exception):
            raise answer
        return Reply(200, answer) if isinstance(answer, bytes) else answer

    async def renew(self) -> None:
        """Nothing is kept here."""

    async def close(self) -> None:
        """Record the close."""
        self.closed = True


Answer = Reply | bytes | Exception


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
