"""The virtual loop and its network: what asyncio promises of a connection holds, and each fault is what it says."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from marketfeed.testing import LoopClock, Network, VirtualLoop, run
from marketfeed.testing.pipe import WINDOW
from marketfeed.testing.wire import UNHEARD_S

SECOND = 1_000_000_000


class End(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.at: list[float] = []
        self.lost: list[Exception | None] = []
        self.paused = 0
        self.eof = False
        self.keeps_open = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)
        self.at.append(asyncio.get_running_loop().time())

    def eof_received(self) -> bool:
        self.eof = True
        return self.keeps_open

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.paused -= 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)

    @property
    def text(self) -> bytes:
        return b"".join(self.heard)


class Pair:
    """A client and a server that are connected."""

    def __init__(self, network: Network, client: End, server: End, port: int) -> None:
        self.network, self.client, self.server, self.port = network, client, server, port


Scene = Callable[[Pair], Coroutine[Any, Any, None]]


def connected(scene: Scene) -> Callable[[], None]:
    """Run a scene with a connected pair; no connection is left after it."""

    def test() -> None:
        network = Network(1)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            server = End()
            listener = await loop.create_server(lambda: server, "127.0.0.1", 0)
            port = listener.sockets[0].getsockname()[1]
            transport, client = await loop.create_connection(End, "localhost", port)
            await scene(Pair(network, client, server, port))
            for end in (transport, server.transport):
                end.abort()
            listener.close()
            await listener.wait_closed()
            await asyncio.sleep(1)

        run(main(), network)
        assert network.open == 0

    test.__name__, test.__doc__ = scene.__name__, scene.__doc__
    return test


@connected
async def test_bytes_come_whole_in_order_and_late(pair: Pair) -> None:
    loop = asyncio.get_running_loop()
    pair.network.way(pair.port).latency_s = 0.25
    began = loop.time()
    pair.client.transport.write(b"one")
    pair.client.transport.writelines([b"two", b"three"])
    pair.server.transport.write(b"back")
    await asyncio.sleep(1)
    assert pair.server.text == b"onetwothree"
    assert pair.client.at == [pytest.approx(began + 0.25)]
    assert pair.client.transport.get_extra_info("peername") == ("127.0.0.1", pair.port)


@connected
async def test_jitter_keeps_the_order(pair: Pair) -> None:
    pair.network.way(pair.port).jitter_s = 2.0
    for n in range(50):
        pair.client.transport.write(bytes([n]))
    await asyncio.sleep(5)
    assert pair.server.text == bytes(range(50))
    assert len(pair.server.heard) > 1


@connected
async def test_a_close_lets_what_was_written_through(pair: Pair) -> None:
    pair.client.transport.write(b"last words")
    pair.client.transport.close()
    pair.client.transport.write(b"ignored")
    await asyncio.sleep(1)
    assert (pair.server.text, pair.server.eof) == (b"last words", True)
    assert pair.client.lost == pair.server.lost == [None]


@connected
async def test_half_of_a_connection_can_end(pair: Pair) -> None:
    pair.server.keeps_open = True
    pair.client.transport.write_eof()
    await asyncio.sleep(1)
    pair.server.transport.write(b"still here")
    await asyncio.sleep(1)
    assert pair.client.text == b"still here"
    assert pair.server.lost == []


@connected
async def test_who_writes_to_a_peer_that_has_gone_is_told(pair: Pair) -> None:
    pair.client.keeps_open = pair.server.keeps_open = True
    pair.client.transport.abort()
    await asyncio.sleep(1)
    pair.server.transport.write(b"anybody?")
    await asyncio.sleep(1)
    assert isinstance(pair.server.lost[0], ConnectionResetError)


@connected
async def test_a_reader_that_pauses_holds_up_its_writer(pair: Pair) -> None:
    pair.server.transport.pause_reading()
    pair.client.transport.write(b"x" * (2 * WINDOW))
    assert pair.client.paused == 1
    assert pair.client.transport.get_write_buffer_size() == WINDOW
    pair.client.transport.close()
    await asyncio.sleep(1)
    assert (pair.server.heard, pair.client.lost) == ([], [])
    pair.server.transport.resume_reading()
    await asyncio.sleep(1)
    assert (len(pair.server.text), pair.client.paused, pair.client.lost) == (2 * WINDOW, 0, [None])


@connected
async def test_T01_a_reset_loses_what_was_on_its_way(pair: Pair) -> None:
    pair.server.transport.write(b"lost")
    assert pair.network.reset(pair.port) == 1
    await asyncio.sleep(1)
    assert pair.client.heard == []
    for end in (pair.client, pair.server):
        assert [type(exc) for exc in end.lost] == [ConnectionResetError]


@connected
async def test_T01_a_reset_can_wait_for_the_midst_of_a_message(pair: Pair) -> None:
    pair.network.reset(pair.port, after=3)
    pair.server.transport.write(b"message")
    await asyncio.sleep(1)
    assert pair.client.text == b"mes"
    assert isinstance(pair.client.lost[0], ConnectionResetError)


@connected
async def test_T02_an_end_comes_after_what_was_said(pair: Pair) -> None:
    pair.server.transport.write(b"bye")
    pair.network.end(pair.port)
    await asyncio.sleep(1)
    assert (pair.client.text, pair.client.eof, pair.client.lost) == (b"bye", True, [None])


@connected
async def test_T03_nobody_is_told_of_a_frozen_connection_before_the_machine_gives_up(pair: Pair) -> None:
    pair.network.freeze(pair.port)
    pair.server.transport.write(b"unheard")
    await asyncio.sleep(UNHEARD_S - 1)
    assert pair.client.heard == pair.client.lost == pair.server.lost == []
    await asyncio.sleep(2)
    assert isinstance(pair.server.lost[0], TimeoutError)
    assert pair.client.lost == []


@connected
async def test_T03_what_was_frozen_goes_on_where_it_thaws(pair: Pair) -> None:
    pair.network.freeze(pair.port)
    pair.server.transport.write(b"late")
    await asyncio.sleep(30)
    pair.network.thaw(pair.port)
    await asyncio.sleep(UNHEARD_S)
    assert (pair.client.text, pair.server.lost) == (b"late", [])


@connected
async def test_T06_a_drip_is_a_byte_at_a_time(pair: Pair) -> None:
    pair.network.way(pair.port).drip_s = 2.0
    pair.server.transport.write(b"drip")
    pair.client.transport.write(b"not this way")
    await asyncio.sleep(5)
    assert pair.client.heard == [b"d", b"r", b"i"]
    assert pair.server.text == b"not this way"


@connected
async def test_T07_slices_are_of_any_size_between_two(pair: Pair) -> None:
    pair.network.way(pair.port).slices = (1, 64)
    pair.server.transport.write(bytes(5_000))
    await asyncio.sleep(1)
    sizes = {len(data) for data in pair.client.heard}
    assert (sum(len(data) for data in pair.client.heard), min(sizes), max(sizes)) == (5_000, 1, 64)


@connected
async def test_T20_one_byte_is_spoiled(pair: Pair) -> None:
    pair.network.spoil(pair.port, after=5)
    pair.server.transport.write(b"abc")
    await asyncio.sleep(1)
    pair.server.transport.write(b"defg")
    await asyncio.sleep(1)
    assert pair.client.text == b"abcde\xffg"


@connected
async def test_T24_an_address_that_is_gone_fails_here_and_says_nothing_there(pair: Pair) -> None:
    pair.network.unplug(pair.port)
    await asyncio.sleep(1)
    assert [getattr(exc, "strerror", "") for exc in pair.client.lost] == ["network is unreachable"]
    assert pair.server.lost == []


def test_a_connection_whose_socket_is_closed_before_it_is_used_ends() -> None:
    network = Network()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = End()
        await loop.create_server(lambda: server, "127.0.0.1", 9_000)
        with socket.socket() as sock:
            await loop.sock_connect(sock, ("127.0.0.1", 9_000))
            await asyncio.sleep(10)
            assert (network.open, server.eof) == (2, False)
        await asyncio.sleep(10)
        assert (network.open, server.eof) == (0, True)

    run(main(), network)


def test_T10_T11_names_refusals_and_silence() -> None:
    network = Network()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(End, "127.0.0.1", 9_000)
        with pytest.raises(OSError, match="taken"):
            await loop.create_server(End, "127.0.0.1", 9_000)
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("nowhere.example", 1)
        network.names["venue"] = ("::1", "127.0.0.1")
        assert [info[4][0] for info in await loop.getaddrinfo("venue", 9_000)] == ["::1", "127.0.0.1"]
        assert len(await loop.getaddrinfo("venue", 9_000, family=socket.AF_INET6)) == 1
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(End, "venue", 9_000)  # nobody listens at its first address
        network.away.add("::1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.create_connection(End, "venue", 9_000), 3)
        network.way(9_000).refuse = True
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(End, "localhost", 9_000)
        network.way(9_000).refuse, network.way(9_000).swallow = False, True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.create_connection(End, "127.0.0.1", 9_000), 3)
        assert network.dials == 4
        assert listener.is_serving()
        listener.close()
        assert not listener.is_serving()

    run(main(), network)


def test_there_is_no_tls_and_it_says_so() -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="no TLS"):
            await asyncio.get_running_loop().create_connection(End, "localhost", 1, ssl=True)

    run(main())


def test_a_day_takes_no_time_and_nobody_left_is_a_deadlock() -> None:
    async def main() -> float:
        clock, before = LoopClock(), asyncio.get_running_loop().time()
        mono, unix = clock.mono_ns(), clock.unix_ns()
        await asyncio.sleep(86_400)
        clock.skew_ns = 5 * SECOND
        assert clock.mono_ns() - mono == 86_400 * SECOND
        assert clock.unix_ns() - unix == 86_405 * SECOND
        return asyncio.get_running_loop().time() - before

    assert run(main()) == pytest.approx(86_400)

    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualLoop()
    with pytest.raises(RuntimeError, match="deadlock"):
        loop.run_until_complete(task := loop.create_task(stuck()))
    task.cancel()
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
