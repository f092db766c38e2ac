"""Where to connect, and TCP to a name with several addresses, tried side by side (RFC 8305, "happy eyeballs").

asyncio has that, uvloop has not; and a socket of our own can be shut down whatever a library does when cancelled.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from ..transport import check_url, proxy_for, split_url
from ._failures import check_headers

NEXT_ADDRESS_S = 0.25
"""An address that has not answered for so long is joined by the next one."""

Address = tuple[int, int, int, str, Any]
"""What getaddrinfo gives: family, kind, protocol, canonical name, socket address."""


class Route(NamedTuple):
    """Where a WebSocket URL leads."""

    host: str
    port: int
    secure: bool
    proxy: str | None


def route(url: str, headers: Mapping[str, str], proxy: str | None) -> Route:
    """The way to a URL, once it and the headers are found fit for use; ConfigError where they are not."""
    check_url(url)
    check_headers(headers)
    parts = split_url(url)
    secure = parts.scheme == "wss"
    return Route(parts.hostname or "", parts.port or (443 if secure else 80), secure, proxy_for(url, proxy))


async def dial(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket, or OSError of the last address tried. Cancelling leaves nothing behind."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    attempts: set[asyncio.Task[socket.socket]] = set()
    failure: OSError | None = None
    winner: socket.socket | None = None
    waiting = interleaved(infos)
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(loop.create_task(_attempt(waiting.pop(0))))
            done, attempts = await asyncio.wait(
                attempts, timeout=NEXT_ADDRESS_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            sockets = []
            for task in done:
                try:
                    sockets.append(task.result())
                except OSError as exc:
                    failure = exc
            if sockets:
                winner, *spares = sockets
                for spare in spares:
                    spare.close()
                return winner
    finally:
        try:
            await _abandon(attempts)
        except asyncio.CancelledError:
            if winner is not None:
                winner.close()
            raise
    raise failure or OSError(f"{host} has no address")


def interleaved(infos: Iterable[Address]) -> list[Address]:
    """Addresses in the resolver's order, with the two families taking turns."""
    infos = list(infos)
    first = [info for info in infos if info[0] == infos[0][0]]
    other = [info for info in infos if info[0] != infos[0][0]]
    return [info for info in chain.from_iterable(zip_longest(first, other)) if info is not None]


async def _attempt(info: Address) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        with suppress(OSError):  # small frames must not wait for each other; a socket without it still works
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _abandon(attempts: set[asyncio.Task[socket.socket]]) -> None:
    if not attempts:
        return
    for task in attempts:
        task.cancel()
    for late in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(late, socket.socket):
            late.close()
