"""A proxy as companies have them: it opens tunnels with CONNECT, unless it refuses, and cuts those that are idle.

What is asked for in clear text it asks for itself.
"""

import asyncio
from typing import Self
from urllib.parse import urlsplit


class ConnectProxy:
    """Stands between `async with` and its end. `refuses` is the status it answers with, 0 for a tunnel.

    A tunnel through which nothing came for `idle_s` is cut.
    """

    def __init__(self, idle_s: float = 30.0) -> None:
        self.idle_s = idle_s
        self.refuses = 0
        self.tunnels = self.idle = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End all tunnels."""
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, asked = head.split()[:2]
            if self.refuses:
                writer.write(b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\n\r\n" % self.refuses)
                return
            tunnel = method == b"CONNECT"
            place = urlsplit(f"//{asked.decode()}" if tunnel else asked.decode())
            there, back = await asyncio.open_connection(place.hostname, place.port)
            self._open.add(back)
            if tunnel:
                self.tunnels += 1
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                back.write(head)
            try:
                await self._relay((reader, back), (there, writer))
            finally:
                self._open.discard(back)
                back.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.close()

    async def _relay(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Both ways, until either ends or nothing came for too long."""
        loop = asyncio.get_running_loop()
        last = loop.time()

        async def one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            nonlocal last
            while data := await source.read(65_536):
                last = loop.time()
                sink.write(data)
                await sink.drain()

        tasks = [asyncio.create_task(one_way(*way)) for way in ways]
        try:
            while not any(task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=last + self.idle_s - loop.time(), return_when="FIRST_COMPLETED")
                if loop.time() - last >= self.idle_s:
                    self.idle += 1
                    return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
