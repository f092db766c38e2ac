"""REST over aiohttp, against a server that writes raw bytes."""

import asyncio
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from marketfeed import catalogue
from marketfeed import rest as rest_module
from marketfeed.errors import ConfigError, TransportError
from marketfeed.rest import AiohttpRest, FakeRest, Reply
from marketfeed.venues._spec import Request, Secret

SOON = 5.0


class Venue:
    """Answers every request with the same bytes; `answer` None keeps silent."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""
        self.plain = False
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.base = f"http://localhost:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            if self.plain:
                await reader.read(1)
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                writer.close()
                return
            head = await reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self.requests.append(head + await reader.readexactly(int(length[0].split(b":")[1]) if length else 0))
            self.asked.set()
            if self.answer is None:
                await reader.read()
            else:
                writer.write(self.answer)
                await writer.drain()
        writer.close()
        self.gone.set()

    async def stop(self) -> None:
        self.server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue()
    await venue.start()
    yield venue
    await venue.stop()
    assert not asyncio.all_tasks() - {asyncio.current_task()}


@pytest.fixture
async def rest(venue: Venue) -> AsyncIterator[AiohttpRest]:
    rest = AiohttpRest(timeout_s=SOON, max_body=10_000)
    yield rest
    await rest.close()


def http(status: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", body])


async def test_reply(venue: Venue, rest: AiohttpRest) -> None:
    venue.answer = http(b"200 OK", b"X-MBX-USED-WEIGHT-1M: 42", body=b'{"a":1}')
    request = Request(
        path="/v1/x?b=%2F&c=d%20e", method="POST", headers={"X-Key": Secret("hush"), "X-Plain": "p"}, body=b"[1]"
    )
    assert await rest.fetch(venue.base, request) == Reply(200, b'{"a":1}', None, 42)
    sent = venue.requests[0]
    assert sent.startswith(b"POST /v1/x?b=%2F&c=d%20e HTTP/1.1\r\n")
    assert b"X-Key: hush\r\n" in sent
    assert b"X-Plain: p\r\n" in sent
    assert b"User-Agent: marketfeed/" in sent
    assert sent.endswith(b"[1]")


@pytest.mark.parametrize(
    ("head", "header", "expected"),
    [
        (b"429 Too Many", b"Retry-After: 7", Reply(429, b"no", 7.0)),
        (b"418 Banned", b"Retry-After: x", Reply(418, b"no")),
        (b"451 Geo", b"X-MBX-USED-WEIGHT-1M: lots", Reply(451, b"no")),
        (b"503 Down", b"X: y", Reply(503, b"no")),
        (b"302 Found", b"Location: http://localhost:1/", Reply(302, b"no")),  # not followed
    ],
)
async def test_any_status_is_a_reply(
    venue: Venue, rest: AiohttpRest, head: bytes, header: bytes, expected: Reply
) -> None:
    venue.answer = http(head, header, body=b"no")
    assert await rest.fetch(venue.base, Request(path="/")) == expected
    assert len(venue.requests) == 1


@pytest.mark.parametrize("packed", [False, True])
async def test_body_is_bounded(venue: Venue, rest: AiohttpRest, packed: bool) -> None:
    """T18, T19: also after decompression."""
    for size, fits in ((10_000, True), (10_001, False), (50_000_000, False)):
        body = b"x" * size
        venue.answer = (
            http(b"200 OK", b"Content-Encoding: gzip", body=gzip.compress(body))
            if packed
            else http(b"200 OK", body=body)
        )
        if fits:
            assert (await rest.fetch(venue.base, Request(path="/"))).body == body
        else:
            with pytest.raises(TransportError, match="localhost sent a reply larger than 10000 bytes"):
                await rest.fetch(venue.base, Request(path="/"))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"SSH-2.0\r\n\r\n"])
async def test_no_whole_reply(venue: Venue, rest: AiohttpRest, answer: bytes) -> None:
    venue.answer = answer
    with pytest.raises(TransportError, match="localhost sent no whole reply"):
        await rest.fetch(venue.base, Request(path="/"))


async def test_silence(venue: Venue) -> None:
    venue.answer = None
    rest = AiohttpRest(timeout_s=0.1)
    with pytest.raises(TransportError, match=r"no answer from localhost within 0\.1 s"):
        await rest.fetch(venue.base, Request(path="/"))
    await asyncio.wait_for(venue.gone.wait(), SOON)
    await rest.close()


async def test_cancelled(venue: Venue, rest: AiohttpRest) -> None:
    venue.answer = None
    call = asyncio.create_task(rest.fetch(venue.base, Request(path="/")))
    await asyncio.wait_for(venue.asked.wait(), SOON)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(venue.gone.wait(), SOON)


async def test_T03_an_idle_connection_is_not_kept_for_a_call_after_the_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert min(catalogue.venue(name).pace.silence_s for name in catalogue.names()) > rest_module.IDLE_S
    monkeypatch.setattr(rest_module, "IDLE_S", 0.05)
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        rest = AiohttpRest()
        try:
            port = server.sockets[0].getsockname()[1]
            assert (await rest.fetch(f"http://127.0.0.1:{port}", Request("/"))).status == 200
            async with asyncio.timeout(SOON):
                await ended.wait()
        finally:
            await rest.close()


async def test_T24_calls_after_a_renewal_are_made_over_new_connections_and_one_under_way_is_heard() -> None:
    asked, ended = asyncio.Queue[asyncio.StreamWriter](), asyncio.Queue[asyncio.StreamWriter]()
    answer = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.put_nowait(writer)
                if b"/late" in head:
                    await answer.wait()
                writer.write(http(b"200 OK", body=b"{}"))
        ended.put_nowait(writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(SOON):
        rest = AiohttpRest()
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await rest.fetch(base, Request("/"))
        late = asyncio.create_task(rest.fetch(base, Request("/late")))
        first = await asked.get()
        assert await asked.get() is first
        await rest.renew()
        await rest.fetch(base, Request("/"))
        second = await asked.get()
        assert second is not first
        assert ended.empty()
        answer.set()
        assert (await late).status == 200
        assert await ended.get() is first
        answer.clear()
        late = asyncio.create_task(rest.fetch(base, Request("/late")))
        assert await asked.get() is second
        await rest.renew()
        await rest.close()
        with pytest.raises(TransportError):
            await late
        answer.set()
        assert await ended.get() is second


async def test_nobody_listens(venue: Venue, rest: AiohttpRest) -> None:
    venue.server.close()
    with pytest.raises(TransportError, match="localhost refused the connection"):
        await rest.fetch(venue.base, Request(path="/"))


async def test_name_does_not_resolve(rest: AiohttpRest) -> None:
    with pytest.raises(TransportError, match=r"cannot resolve host no-such-venue\.invalid"):
        await rest.fetch("https://no-such-venue.invalid", Request(path="/"))


async def test_tls_on_a_plain_port(venue: Venue, rest: AiohttpRest) -> None:
    venue.plain = True
    with pytest.raises(TransportError, match="TLS: handshake with localhost failed") as caught:
        await rest.fetch(venue.base.replace("http", "https"), Request(path="/"))
    assert caught.value.fatal


@pytest.mark.parametrize(
    ("base", "request_"),
    [
        ("http://api.example.com", Request(path="/")),
        ("https://api.example.com", Request(path=".evil.example/")),
        ("https://api.example.com", Request(path="/a b")),
        ("wss://localhost", Request(path="/")),
        ("http://localhost", Request(path="/", method="GET / HTTP/1.1\r\nX:")),
        ("http://localhost", Request(path="/", headers={"A": Secret("b\r\nC: d")})),
    ],
)
async def test_refused_before_any_connection(rest: AiohttpRest, base: str, request_: Request) -> None:
    with pytest.raises(ConfigError):
        await rest.fetch(base, request_)


async def test_proxy(venue: Venue) -> None:
    venue.answer = http(b"200 OK", body=b"by proxy")
    rest = AiohttpRest(proxy=venue.base)
    assert (await rest.fetch("http://localhost:1", Request(path="/x"))).body == b"by proxy"
    assert venue.requests[0].startswith(b"GET http://localhost:1/x HTTP/1.1\r\n")
    venue.answer = http(b"407 Proxy Authentication Required")
    with pytest.raises(TransportError, match=r"the proxy refused to connect to a\.example: HTTP 407"):
        await rest.fetch("https://a.example", Request(path="/x"))
    await rest.close()


async def test_closed() -> None:
    rest = AiohttpRest()
    await rest.close()
    await rest.close()
    with pytest.raises(TransportError, match="REST is closed"):
        await rest.fetch("http://localhost", Request(path="/"))


def test_import_leaves_aiohttp_alone() -> None:
    libraries = "{'aiohttp', 'picows', 'websockets'}"
    code = f"import sys, marketfeed.rest, marketfeed.transport; sys.exit(bool({libraries} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_fake() -> None:
    fake = FakeRest({"/a": b"x", "/b": [Reply(429), TransportError("down")]})
    assert await fake.fetch("https://v", Request(path="/a")) == Reply(200, b"x")
    assert await fake.fetch("https://v", Request(path="/b")) == Reply(429)
    with pytest.raises(TransportError, match="down"):
        await fake.fetch("https://v", Request(path="/b"))
    assert (await fake.fetch("https://v", Request(path="/b"))).status == 404
    assert [request.path for _, request in fake.asked] == ["/a", "/b", "/b", "/b"]
    await fake.close()
    assert fake.closed
