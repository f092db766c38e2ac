"""A venue on loopback in a process of its own, so that a client's CPU can be counted alone.

It speaks just enough of Binance: exchangeInfo and depth over REST, an ack for SUBSCRIBE, then frames. The first part
of a path is the load: `/KIND-COUNT-RATE`, as in `/trades-40000-0/stream`. KIND is `trades`, `book` (changes that
wait for the snapshot to be fetched) or `changes` (which do not). RATE 0 is as fast as the client reads, with many
frames a segment; another is frames a second, each written alone, with the monotonic clock in microseconds as T.
"""

import asyncio
import base64
import hashlib
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import orjson

import marketfeed as mf

from . import frames

TOGETHER = 128
"""Frames in one write, where the client sets the speed."""
NAP_S = 20e-6
"""Between looks at the clock of a paced stream; kernels make it about 80."""


class Load(NamedTuple):
    """What a client asks for by its URL."""

    kind: str
    messages: int
    rate: int

    @property
    def path(self) -> str:
        """The first part of URLs, `/trades-40000-0`."""
        return f"/{self.kind}-{self.messages}-{self.rate}"


@contextmanager
def serving() -> Iterator[int]:
    """Run the server in another process; gives its port. It ends when its standard input does."""
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


class Venue:
    """All connections of the server."""

    def __init__(self) -> None:
        self._joined = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection: REST calls, or a WebSocket."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                path = head.split(" ", 2)[1]
                if "sec-websocket-key" in head.lower():
                    await self._stream(_load(path), head, reader, writer)
                    break
                body = self._reply(path)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    def _reply(self, path: str) -> bytes:
        if "/depth?" not in path:
            return frames.exchange_info()
        self._joined.set()
        return _depth(_load(path).messages)[0]

    async def _stream(self, load: Load, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the handshake and the request, then send; what the client says later goes unread but for its close."""
        key = next(line.split(":", 1)[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        proof = hashlib.sha1((key.strip() + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()  # RFC 6455
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(proof) + b"\r\n\r\n"
        )
        self._joined.clear()
        request = orjson.loads((await _read(reader))[1])
        if "id" in request:
            writer.write(_framed(orjson.dumps({"result": None, "id": request["id"]})))
        sending = asyncio.create_task(self._send(load, writer))
        try:
            while (await _read(reader))[0] != 8:
                pass
            sending.cancel()
            writer.write(b"\x88\x02\x03\xe8")
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, load: Load, writer: asyncio.StreamWriter) -> None:
        if load.rate:
            await _send_paced(load, writer)
            return
        chunks = _trades(load.messages) if load.kind == "trades" else _depth(load.messages)[1]
        if load.kind == "book":
            writer.write(chunks[0])
            await self._joined.wait()
        for chunk in chunks[load.kind == "book" :]:
            writer.write(chunk)
            await writer.drain()


async def _send_paced(load: Load, writer: asyncio.StreamWriter) -> None:
    start = time.monotonic()
    sent = 0
    while sent < load.messages:
        due = min(load.messages, int((time.monotonic() - start) * load.rate))
        while sent < due:
            writer.write(_framed(frames.trade(sent + 1, time.monotonic_ns() // 1000)))
            sent += 1
        await writer.drain()
        await asyncio.sleep(0)
        time.sleep(NAP_S)  # noqa: ASYNC251 # nothing else is served meanwhile, and the loop's own naps are too long


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One short frame of a client: opcode and payload."""
    first, size = await reader.readexactly(2)
    size &= 127
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return first & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def _framed(payload: bytes) -> bytes:
    size = len(payload)
    return (bytes((0x81, size)) if size < 126 else struct.pack(">BBH", 0x81, 126, size)) + payload


@cache
def _trades(count: int) -> list[bytes]:
    return _chunks([_framed(frame) for frame in frames.trades(count)])


@cache
def _depth(count: int) -> tuple[bytes, list[bytes]]:
    """The snapshot, and the changes after it; the first of them alone, for it is what a book is joined at."""
    snapshot, changes = frames.depth(count)
    framed = [_framed(frame) for frame in changes]
    return snapshot, [framed[0], *_chunks(framed[1:])]


def _chunks(framed: list[bytes]) -> list[bytes]:
    return [b"".join(framed[i : i + TOGETHER]) for i in range(0, len(framed), TOGETHER)]


def _load(path: str) -> Load:
    kind, count, rate = path.split("/")[1].split("-")
    return Load(kind, int(count), int(rate))


async def main() -> None:
    """Serve until standard input ends, having said on which port."""
    server = await asyncio.start_server(Venue().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    mf.run(main())
