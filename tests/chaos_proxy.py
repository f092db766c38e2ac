"""`ChaosProxy`: a TCP proxy on loopback that harms what it carries, as Toxiproxy does, and a little more.

Toxiproxy's eight: `latency_s` (with `jitter_s`), `bandwidth`, `slow_close_s`, `timeout`, `reset`, `slice_bytes`,
`limit_bytes` and `down`; and `corrupt`, `half_open` and `cut`. What comes from the venue is harmed, what goes to it
only where a connection is dead.
"""

import asyncio
import socket
import struct
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Self

HOST = "127.0.0.1"
CHUNK = 65_536


class _Pipe:
    """One connection and its way to the target."""

    def __init__(self, client: asyncio.StreamWriter, venue: asyncio.StreamWriter) -> None:
        self.client = client
        self.venue = venue
        self.dead = False
        """Whether nothing passes any more."""
        self.reset_in: int | None = None
        """Bytes until it is reset."""
        self.passed = 0

    def reset(self) -> None:
        """RST to the client."""
        sock = self.client.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.transport.abort()
        self.venue.transport.abort()


class ChaosProxy:
    """Listens on `port` between `async with` and its end. What is set holds until it is set back by `heal`.

    `done` counts what was done. `answers` are sent to the next connections in place of the venue's. A client may also
    speak CONNECT to it, as to a proxy; what it said is kept in `asked`.
    """

    def __init__(self, target: int, dice: Random) -> None:
        self.port = 0
        self.done: Counter[str] = Counter()
        self.answers: list[bytes] = []
        self.asked: list[bytes] = []
        self._target = target
        self._dice = dice
        self._pipes: set[_Pipe] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.heal()

    def heal(self) -> None:
        """Harm nothing from now on; connections that are dead stay so."""
        self.latency_s = self.jitter_s = self.slow_close_s = 0.0
        self.bandwidth = 0
        self.slice_bytes = (0, 0)
        self.limit_bytes = 0
        self._corrupt = 0

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.down()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def up(self) -> None:
        """Take connections, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Refuse connections, and end those that stand."""
        self.done["down"] += 1
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """FIN, without a word: what the venue would have said is lost."""
        self.done["fin"] += 1
        for pipe in self._pipes:
            pipe.client.close()
            pipe.venue.transport.abort()

    def reset(self, within: int = 1) -> None:
        """RST after at most so many bytes more from the venue."""
        self.done["reset_peer"] += 1
        for pipe in self._pipes:
            pipe.reset_in = self._dice.randrange(within)

    def half_open(self) -> None:
        """Nothing passes on the connections that stand, and neither side is told."""
        self.done["half_open"] += 1
        for pipe in self._pipes:
            pipe.dead = True

    def timeout(self, seconds: float) -> None:
        """Nothing passes on the connections that stand, and then they end."""
        self.done["timeout"] += 1
        for pipe in self._pipes:
            pipe.dead = True
            asyncio.get_running_loop().call_later(seconds, pipe.client.close)

    def corrupt(self, count: int = 1) -> None:
        """Set the high bit of one byte in each of the next reads: it is no JSON any more, or no frame."""
        self._corrupt += count

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # cancelled by us alone, at the end: streams would log that as an error
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
                await self._serve(reader, client)
        finally:
            self._tasks.discard(task)
            if not client.transport.is_closing():
                client.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"CONNECT "):
            self.asked.append(head)
            client.write(b"HTTP/1.1 200 OK\r\n\r\n")
            head = b""
        elif self.answers:
            client.write(self.answers.pop(0))
            self.done["answer"] += 1
            await client.drain()
            return
        back, venue = await asyncio.open_connection(HOST, self._target)
        venue.write(head)
        pipe = _Pipe(client, venue)
        self._pipes.add(pipe)
        ways = [asyncio.create_task(self._up(pipe, reader)), asyncio.create_task(self._down(pipe, back))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pipes.discard(pipe)
            venue.transport.abort()  # before anything that a second cancellation would end
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _up(self, pipe: _Pipe, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            if not pipe.dead:
                pipe.venue.write(data)
                await pipe.venue.drain()

    async def _down(self, pipe: _Pipe, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            if self.latency_s or self.jitter_s:
                await asyncio.sleep(self.latency_s + self._dice.random() * self.jitter_s)
            if self._corrupt:
                data = self._broken(data)
            for piece in self._pieces(data):
                if not pipe.dead and not await self._pass(pipe, piece):
                    return
        if pipe.dead:
            await asyncio.Event().wait()  # until the client gives it up
        if self.slow_close_s:
            self.done["slow_close"] += 1
            await asyncio.sleep(self.slow_close_s)
        pipe.client.close()
        await pipe.client.wait_closed()

    async def _pass(self, pipe: _Pipe, piece: bytes) -> bool:
        """Write one piece, however slowly; False where the connection ends here."""
        if pipe.reset_in is not None and len(piece) > pipe.reset_in:
            pipe.client.write(piece[: pipe.reset_in])
            pipe.reset()
            return False
        if pipe.reset_in is not None:
            pipe.reset_in -= len(piece)
        pipe.passed += len(piece)
        if self.limit_bytes and pipe.passed > self.limit_bytes:
            self.done["limit_data"] += 1
            pipe.client.close()
            return False
        pipe.client.write(piece)
        await pipe.client.drain()
        if self.bandwidth:
            await asyncio.sleep(len(piece) / self.bandwidth)
        return True

    def _pieces(self, data: bytes) -> list[bytes]:
        least, most = self.slice_bytes
        if self.bandwidth:
            least, most = 1, max(1, self.bandwidth // 20)
        if not most:
            return [data]
        pieces = []
        while data:
            size = self._dice.randint(least, most)
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    def _broken(self, data: bytes) -> bytes:
        self._corrupt -= 1
        self.done["corrupt"] += 1
        at = self._dice.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]
