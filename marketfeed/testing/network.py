"""A network in memory, below the real framing code: names, listeners, connections, and faults on their way.

What happens to bytes is a `Way` of each server's port, to be changed at any time; what happens once is a method.
The same seed and the same program give the same bytes at the same times.
"""

import asyncio
import errno
import socket
import ssl as tls
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from random import Random
from typing import Any, Self
from weakref import WeakKeyDictionary, ref

from .pipe import Pipe
from .wire import Way, Wire

FIRST_PORT = 20_000
UNUSED_S = 1.0
"""So often it is looked whether the socket of a connection that nobody uses yet was closed: it does not say so."""


class Network:
    """Listeners by address and port, names, and all open connections.

    `names` says what a name resolves to: addresses, or none where it does not. `away` are addresses that answer
    nothing, as IPv6 that is announced and not routed. `dns_s` is what a look-up takes.
    """

    def __init__(self, seed: int | str = 0) -> None:
        self.names: dict[str, Sequence[str]] = {"localhost": ("127.0.0.1",)}
        self.away: set[str] = set()
        self.dns_s = 0.0005
        self.dials = 0
        """Connections tried so far."""
        self._dice = Random(f"network {seed}")
        self._ways: dict[int, Way] = {}
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._pipes: dict[Pipe, int] = {}
        self._waiting: WeakKeyDictionary[socket.socket, Pipe] = WeakKeyDictionary()
        self._next_port = FIRST_PORT

    def __repr__(self) -> str:
        return f"Network({len(self._listeners)} listeners, {self.open} connections)"

    @property
    def open(self) -> int:
        """Connections that are not gone."""
        return len([pipe for pipe in self._pipes if not pipe.gone])

    def way(self, port: int) -> Way:
        """How connections to a server's port fare."""
        return self._ways.setdefault(port, Way())

    def reset(self, port: int, after: int = 0) -> int:
        """Reset the connections to a port, once `after` bytes more have come to the client; returns how many."""
        pipes = self._clients(port)
        for pipe in pipes:
            if after:
                pipe.back.cut_after = after
            else:
                pipe.reset()
        return len(pipes)

    def end(self, port: int) -> int:
        """End the connections to a port from the server's side, without a close frame; returns how many."""
        pipes = self._clients(port)
        for pipe in pipes:
            pipe.back.sender.abort()
        return len(pipes)

    def freeze(self, port: int) -> int:
        """From now on nothing comes through on the connections that stand, and nobody says so; returns how many."""
        pipes = self._clients(port)
        for pipe in pipes:
            pipe.wire.frozen = pipe.back.frozen = True
        return len(pipes)

    def unplug(self, port: int) -> int:
        """The client's end of the connections to a port fails, as where its address is gone; returns how many."""
        pipes = self._clients(port)
        for pipe in pipes:
            pipe.wire.frozen = pipe.back.frozen = True
            pipe.fail(OSError(errno.ENETUNREACH, "network is unreachable"))
        return len(pipes)

    def thaw(self, port: int) -> int:
        """What was frozen goes on, with all that waited on its way; returns how many."""
        pipes = self._clients(port)
        for pipe in pipes:
            for wire in (pipe.wire, pipe.back):
                wire.frozen = False
                wire.pump()
        return len(pipes)

    def spoil(self, port: int, after: int = 0) -> int:
        """Make one byte on its way to each client of a port 0xFF, after so many others; returns how many clients."""
        pipes = self._clients(port)
        for pipe in pipes:
            pipe.back.spoil_after = after
        return len(pipes)

    async def resolve(self, host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        """As `getaddrinfo`, for streams."""
        await asyncio.sleep(self.dns_s)
        addresses = self.names.get(host)
        if addresses is None:
            with suppress(ValueError):
                addresses = (str(ip_address(host)),)
        infos = [_info(address, port) for address in addresses or ()]
        found = [info for info in infos if family in (0, info[0])]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    async def connect(self, sock: socket.socket, host: str, port: int) -> None:
        """Connect this socket to whoever listens there."""
        self.dials += 1
        way = self.way(port)
        await asyncio.sleep(2 * way.latency_s)
        if host in self.away or way.swallow:
            await asyncio.get_running_loop().create_future()
        listener = self._listeners.get((host, port))
        if listener is None or way.refuse:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {host} port {port}")
        if way.untrusted:
            raise tls.SSLCertVerificationError(1, "certificate verify failed: certificate has expired")
        self._waiting[sock] = self._join(listener, host, port)
        self._look_again(ref(sock), self._waiting[sock])

    def take(self, sock: socket.socket, protocol: Any) -> Pipe:
        """Give a connected socket's end of the connection to a protocol."""
        pipe = self._waiting.pop(sock)
        pipe.sock = sock
        pipe.begin(protocol)
        return pipe

    def listen(self, protocol_factory: Callable[[], Any], host: str, port: int) -> "Listener":
        """Listen at an address; port 0 is the next free one."""
        if not port:
            while (host, self._next_port) in self._listeners:
                self._next_port += 1
            port, self._next_port = self._next_port, self._next_port + 1
        if (host, port) in self._listeners:
            raise OSError(errno.EADDRINUSE, f"{host} port {port} is taken")
        listener = Listener(protocol_factory, host, port, self._listeners)
        self._listeners[host, port] = listener
        return listener

    def _join(self, listener: "Listener", host: str, port: int) -> Pipe:
        way = self.way(port)
        there, back = Wire(way, self._dice, to_client=False), Wire(way, self._dice, to_client=True)
        name, ours = (host, port), (host, 40_000 + self.dials % 20_000)
        client = Pipe(there, back, {"peername": name, "sockname": ours}, self._forget)
        server = Pipe(back, there, {"peername": ours, "sockname": name}, self._forget)
        self._pipes[client] = port
        self._pipes[server] = 0
        server.begin(listener.protocol_factory())
        return client

    def _look_again(self, name: "ref[socket.socket]", pipe: Pipe) -> None:
        asyncio.get_running_loop().call_later(UNUSED_S, self._look, name, pipe)

    def _look(self, name: "ref[socket.socket]", pipe: Pipe) -> None:
        """End a connection whose socket was closed before any protocol had it."""
        sock = name()
        if sock is None or sock.fileno() < 0:
            pipe.abort()
        elif sock in self._waiting:
            self._look_again(name, pipe)

    def _clients(self, port: int) -> list[Pipe]:
        return [pipe for pipe, to in self._pipes.items() if to == port and not pipe.gone]

    def _forget(self, pipe: Pipe) -> None:
        self._pipes.pop(pipe, None)


class Listener(asyncio.AbstractServer):
    """What `create_server` gives."""

    def __init__(
        self, protocol_factory: Callable[[], Any], host: str, port: int, listeners: dict[tuple[str, int], "Listener"]
    ) -> None:
        self.protocol_factory = protocol_factory
        self._name = (host, port)
        self._listeners = listeners

    @property
    def sockets(self) -> list[Self]:
        """Something with `getsockname`."""
        return [self]

    def getsockname(self) -> tuple[str, int]:
        """See `socket.socket`."""
        return self._name

    def close(self) -> None:
        """See asyncio."""
        self._listeners.pop(self._name, None)

    def is_serving(self) -> bool:
        """See asyncio."""
        return self._name in self._listeners

    async def wait_closed(self) -> None:
        """See asyncio."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See asyncio."""
        return asyncio.get_running_loop()

    async def start_serving(self) -> None:
        """See asyncio: it serves from the start."""

    async def serve_forever(self) -> None:
        """See asyncio."""
        await asyncio.get_running_loop().create_future()


def _info(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
