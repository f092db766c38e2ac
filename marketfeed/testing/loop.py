"""A loop whose clock jumps to the next timer, and whose network is a toy: a sleep of a day takes no time."""

import asyncio
import selectors
import socket
import ssl as tls
from collections.abc import Coroutine
from typing import Any, TypeVar

from .network import Network

SECOND = 1_000_000_000
UNIX_S = 1_790_000_000
"""What the wall clock of a virtual loop shows at its zero."""

T = TypeVar("T")


class _Jump(selectors.SelectSelector):
    """Where the loop would sleep, its clock moves on instead."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            return []  # there is work in hand
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: nothing is due and nobody is left to do anything")
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop without waiting, and without a kernel's socket: connections are made within `network`.

    One thread, one order of all things: with the same seeds a program does the same twice. TLS, datagrams, pipes and
    servers of the machine are not there.
    """

    def __init__(self, network: Network | None = None) -> None:
        selector = _Jump()
        selector.loop = self
        self.now = 1_000.0
        self.network = network or Network()
        super().__init__(selector)

    def time(self) -> float:
        """Seconds; they pass only where everybody waits."""
        return self.now

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[tuple[Any, ...]]:
        """The addresses that the network has for a name."""
        return await self.network.resolve(str(host), int(port or 0), family)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect a socket within the network: it serves as a name for the connection, nothing more."""
        await self.network.connect(sock, str(address[0]), int(address[1]))

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """Give a protocol one end of a connection: that of `sock`, or a new one."""
        _refuse_tls(options.get("ssl"))
        sock = options.get("sock")
        if sock is None:
            (family, kind, proto, _, address), *_ = await self.network.resolve(str(host), int(port), 0)
            sock = socket.socket(family, kind, proto)
            try:
                await self.network.connect(sock, *address[:2])
            except BaseException:
                sock.close()
                raise
        protocol = protocol_factory()
        pipe = self.network.take(sock, protocol)
        try:
            await asyncio.sleep(0)  # until the protocol has heard of it
        except BaseException:
            pipe.abort()
            raise
        return pipe, protocol

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """Listen within the network."""
        _refuse_tls(options.get("ssl"))
        return self.network.listen(protocol_factory, str(host or "127.0.0.1"), int(port or 0))


class LoopClock:
    """The running loop's time as a `Clock`. `skew_ns` moves the wall clock alone.

    A feed on it does not watch over its loop: twenty looks a second would make a virtual day long.
    """

    skew_ns = 0

    def unix_ns(self) -> int:
        """See `Clock`."""
        return UNIX_S * SECOND + self.mono_ns() + self.skew_ns

    def mono_ns(self) -> int:
        """See `Clock`."""
        return round(asyncio.get_running_loop().time() * SECOND)


def run(main: Coroutine[Any, Any, T], network: Network | None = None) -> T:
    """`asyncio.run` on a `VirtualLoop`; returns what the coroutine returns."""
    from aiohttp import connector  # noqa: PLC0415 # 100 ms that `import marketfeed.testing` need not cost

    pool: Any = connector
    machines = pool.monotonic
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(network)) as runner:
        pool.monotonic = runner.get_loop().time  # aiohttp ages its connections and names by the machine's clock
        try:
            return runner.run(main)
        finally:
            pool.monotonic = machines


def _refuse_tls(asked: Any) -> None:
    if asked:
        raise tls.SSLError("a virtual network has no TLS: use ws:// and http://")
