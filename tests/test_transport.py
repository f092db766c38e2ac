"""The same promises of every transport, on real loopback sockets against a server that writes raw bytes."""

import asyncio
import base64
import hashlib
import shutil
import socket
import ssl
import struct
import subprocess
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from marketfeed.clock import SystemClock
from marketfeed.errors import ConfigError, MissingExtra, TransportError
from marketfeed.text import escaped
from marketfeed.transport import GIVEN_UP, SLICE, Link, Transport, check_url, pick_transport, proxy_for
from marketfeed.transports import _dial
from marketfeed.transports._failures import failed, retry_after_s
from marketfeed.transports.fake import FakeTransport
from marketfeed.transports.websockets import TURN_BYTES

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
SOON = 5.0
MAX = 100_000
MOST_READ = 256_000
"""By uvloop, at once."""
ENDED = "connection lost: no close frame came"


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    size = len(data)
    if size < 126:
        return head + bytes([size]) + data
    if size < 65536:
        return head + b"\x7e" + struct.pack("!H", size) + data
    return head + b"\x7f" + struct.pack("!Q", size) + data


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


class Peer:
    """One accepted connection of the venue's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.request = b""

    async def head(self) -> bytes:
        self.request = await self.reader.readuntil(b"\r\n\r\n")
        return self.request

    async def accept(self, then: bytes = b"", extra: bytes = b"") -> None:
        await self.head()
        key = next(
            line.split(b":", 1)[1].strip()
            for line in self.request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        )
        magic = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key + magic).digest())
        self.writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n" + extra + b"\r\n" + then
        )
        await self.writer.drain()

    def write(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def read(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(size)
        return first & 0xF, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))

    async def gone(self) -> bool:
        """Wait until the client has let go of the connection."""
        with suppress(ConnectionError):
            await self.reader.read()
        return True

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Venue:
    """A server of one script; `peers` hands out the connections it took."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.script: Script = Peer.accept
        self.count = 0
        self.server: asyncio.Server
        self._all: list[Peer] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.url = ""

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"{'wss' if tls else 'ws'}://localhost:{self.port}/stream?a=b"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        self.count += 1
        peer = Peer(reader, writer)
        self._all.append(peer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.script(peer)
        self.peers.put_nowait(peer)

    async def peer(self) -> Peer:
        return await asyncio.wait_for(self.peers.get(), SOON)

    async def stop(self) -> None:
        self.server.close()
        for peer in self._all:
            peer.writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.wait_closed()


class Ear:
    """A listener that keeps everything in order."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.stamps: list[int] = []
        self.slices: list[int] = []
        self.link: Link | None = None
        self._news = asyncio.Event()

    def on_frames(self, frames: list[bytes], recv_ns: int) -> None:
        assert type(frames) is list
        assert 0 < len(frames) <= SLICE
        self.slices.append(len(frames))
        for raw in frames:
            assert type(raw) is bytes
            self.stamps.append(recv_ns)
            self._add(raw)

    def on_pong(self) -> None:
        self._add("pong")

    def on_closed(self, code: int, reason: str) -> None:
        self._add((code, reason))

    def _add(self, what: Any) -> None:
        self.heard.append(what)
        self._news.set()

    @property
    def closed(self) -> Any:
        return next((item for item in self.heard if isinstance(item, tuple)), None)

    async def until(self, condition: Callable[[list[Any]], Any]) -> list[Any]:
        async with asyncio.timeout(SOON):
            while not condition(self.heard):
                self._news.clear()
                await self._news.wait()
        return self.heard

    async def hear(self, *expected: Any) -> None:
        assert await self.until(lambda heard: len(heard) >= len(expected)) == list(expected)

    async def end(self) -> tuple[int, str]:
        await self.until(lambda _: self.closed is not None)
        assert self.heard[-1] == self.closed
        return self.closed  # type: ignore[no-any-return]


@pytest.fixture(params=["websockets", "picows"])
def transport(request: pytest.FixtureRequest) -> Transport:
    try:
        return pick_transport(request.param)
    except MissingExtra as exc:
        pytest.skip(str(exc))


@pytest.fixture(autouse=True)
async def no_leaks() -> AsyncIterator[None]:
    yield
    for _ in range(5):  # callbacks of what has just ended
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left


@pytest.fixture
async def venue(no_leaks: None) -> AsyncIterator[Venue]:
    venue = Venue()
    await venue.start()
    yield venue
    await venue.stop()


async def connect(transport: Transport, url: str, ear: Any, **options: Any) -> Link:
    settings: dict[str, Any] = {"max_message": MAX, "timeout_s": SOON, "clock": SystemClock()} | options
    return await transport.connect(url, ear, **settings)


async def failure(transport: Transport, url: str, **options: Any) -> TransportError:
    ear = Ear()
    with pytest.raises(TransportError) as caught:
        await connect(transport, url, ear, **options)
    await asyncio.sleep(0)
    assert ear.heard == []  # nobody hears of a link that never was
    return caught.value


async def opened(transport: Transport, venue: Venue, **options: Any) -> tuple[Ear, Link, Peer]:
    ear = Ear()
    ear.link = link = await connect(transport, venue.url, ear, **options)
    return ear, link, await venue.peer()


async def finish(ear: Ear, link: Link, peer: Peer) -> None:
    link.close()
    assert (await peer.read())[0] == CLOSE
    peer.write(close_frame(1000))
    assert await ear.end() == (1000, "closed by us")
    await asyncio.wait_for(link.wait_closed(), SOON)


async def test_frames_arrive_in_order_with_one_stamp_a_read(transport: Transport, venue: Venue) -> None:
    ear, link, peer = await opened(transport, venue)
    messages = [b'{"n":%d}' % n for n in range(50)]
    peer.write(*[frame(TEXT, raw) for raw in messages])
    await ear.hear(*messages)
    assert len(set(ear.stamps)) == 1
    peer.write(frame(BINARY, b"\x00\xff"), frame(TEXT, b""), frame(TEXT, b"x" * 300), frame(TEXT, b"y" * MAX))
    await ear.until(lambda heard: len(heard) == 54)
    assert ear.heard[50:] == [b"\x00\xff", b"", b"x" * 300, b"y" * MAX]
    assert ear.stamps == sorted(ear.stamps)
    await finish(ear, link, peer)


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_burst_does_not_leave_a_link_with_a_large_buffer(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """picows doubles its buffer whenever a read fills it, and never shrinks it; websockets has none of its own."""
    picows = pytest.importorskip("marketfeed.transports.picows")

    async def run() -> None:
        venue = Venue()
        await venue.start()
        ear, link, peer = await opened(picows.PicowsTransport(), venue)
        below = link._transport.underlying_transport.get_protocol()
        messages = [b"%d" % n * 100 for n in range(100_000, 104_000)]
        try:
            peer.write(*[frame(TEXT, raw) for raw in messages])
            await ear.hear(*messages)
            assert len(below._own_buffer(-1)) <= 2 * picows.READ_BYTES
            peer.write(frame(TEXT, b"x" * MAX))
            await ear.hear(*messages, b"x" * MAX)
        finally:
            link.close(GIVEN_UP, "the test is over")
            await venue.stop()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


async def test_a_read_is_handed_on_whole_and_in_slices(transport: Transport, venue: Venue) -> None:
    """In order with pongs and joined messages, nothing held back for the next read."""
    ear, link, peer = await opened(transport, venue)
    peer.write(frame(TEXT, b"alone"))
    await ear.hear(b"alone")
    many = [b"%d" % n for n in range(2 * SLICE + 1)]
    peer.write(*[frame(TEXT, raw) for raw in many])
    await ear.hear(b"alone", *many)
    assert ear.slices == [1, SLICE, SLICE, 1]
    assert len(set(ear.stamps[1:])) == 1
    peer.write(frame(TEXT, b"a"), frame(BINARY, b"b"), frame(PONG), frame(TEXT, b"c"), frame(TEXT, b"d", fin=False))
    peer.write(frame(PING, b"!"), frame(CONT, b"e"), frame(TEXT, b"f"), frame(TEXT, b"g"))
    await ear.hear(b"alone", *many, b"a", b"b", "pong", b"c", "pong", b"de", b"f", b"g")
    assert ear.slices[4:6] == [2, 1]
    assert await peer.read() == (PONG, b"!")
    await finish(ear, link, peer)


@pytest.mark.parametrize("bad", [frame(11), frame(TEXT, b"x", rsv=2), frame(CONT, b"x"), frame(TEXT, b"x" * MAX)])
async def test_what_came_before_a_broken_frame_is_handed_on(transport: Transport, venue: Venue, bad: bytes) -> None:
    ear, _, peer = await opened(transport, venue, max_message=MAX - 1)
    good = [b"%d" % n for n in range(SLICE + 5)]
    peer.write(*[frame(TEXT, raw) for raw in good], bad, frame(TEXT, b"late"))
    code, _ = await ear.end()
    assert code in {1002, 1009}
    assert ear.heard == [*good, ear.closed]


async def test_nothing_is_told_before_connect_returns(transport: Transport, venue: Venue) -> None:
    async def hello(peer: Peer) -> None:
        await peer.accept(then=frame(TEXT, b"hello") + frame(PONG) + frame(TEXT, b"again") + close_frame(1001, b"bye"))

    venue.script = hello
    ear = Ear()
    await connect(transport, venue.url, ear)
    assert ear.heard == []
    await ear.end()
    assert ear.heard == [b"hello", "pong", b"again", (1001, "closed by the venue: bye")]


async def test_closing_before_the_first_frame_is_let_through(transport: Transport, venue: Venue) -> None:
    async def hello(peer: Peer) -> None:
        await peer.accept(then=frame(TEXT, b"hello"))

    venue.script = hello
    ear, link, peer = Ear(), None, None
    link = await connect(transport, venue.url, ear)
    link.close(1001, "not wanted")
    peer = await venue.peer()
    assert await peer.read() == (CLOSE, struct.pack("!H", 1001) + b"not wanted")
    peer.write(close_frame(1001))
    assert await ear.end() == (1001, "not wanted")
    assert ear.heard == [ear.closed]


async def test_fragments_are_joined_around_control_frames(transport: Transport, venue: Venue) -> None:
    ear, link, peer = await opened(transport, venue)
    peer.write(frame(TEXT, b"ab", fin=False), frame(PING, b"!"), frame(CONT, b"", fin=False), frame(CONT, b"cd"))
    peer.write(frame(TEXT, b"whole"))
    await ear.hear("pong", b"abcd", b"whole")
    assert await peer.read() == (PONG, b"!")
    await finish(ear, link, peer)


async def test_message_cut_at_every_byte(transport: Transport, venue: Venue) -> None:
    """T07."""
    ear, link, peer = await opened(transport, venue)
    peer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in frame(TEXT, b"0123456789" * 20) + frame(TEXT, b"next"):
        peer.write(bytes([byte]))
        await asyncio.sleep(0)
    await ear.hear(b"0123456789" * 20, b"next")
    await finish(ear, link, peer)


async def test_ping_and_pong_both_show_life(transport: Transport, venue: Venue) -> None:
    ear, link, peer = await opened(transport, venue)
    link.ping()
    opcode, data = await peer.read()
    assert opcode == PING
    peer.write(frame(PONG, data))
    await ear.hear("pong")
    peer.write(frame(PONG, b"unsolicited"))
    await ear.hear("pong", "pong")
    peer.write(frame(PING, b"are you there"))
    await ear.hear("pong", "pong", "pong")
    assert await peer.read() == (PONG, b"are you there")
    peer.write(frame(PING, b"1"), frame(TEXT, b"data"))  # answered although the ping was not last in its read
    assert await peer.read() == (PONG, b"1")
    await finish(ear, link, peer)


async def test_ping_flood_does_not_starve_data(transport: Transport, venue: Venue) -> None:
    """T21."""
    ear, link, peer = await opened(transport, venue)
    peer.write(frame(PING, b"x") * 5000, frame(TEXT, b"data"))
    await ear.until(lambda heard: b"data" in heard)
    assert ear.heard.count("pong") == 5000
    assert (await peer.read())[0] == PONG
    link.close()
    peer.writer.transport.abort()
    await ear.end()


async def test_answers_to_pings_do_not_pile_up(
    transport: Transport, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T21: a peer that pings and does not read is cut."""
    monkeypatch.setattr(f"marketfeed.transports.{transport.name}.MAX_UNREAD_PONGS", -1)
    ear, _, peer = await opened(transport, venue)
    peer.write(frame(PING, b"x"))
    assert await ear.end() == (1008, "the venue pings and does not read the answers")
    assert await peer.gone()


async def test_sending(transport: Transport, venue: Venue) -> None:
    ear, link, peer = await opened(transport, venue, headers={"X-Key": "abc"})
    assert b"x-key: abc" in peer.request.lower()
    assert b"user-agent: marketfeed/" in peer.request.lower()
    assert peer.request.lower().count(b"user-agent") == 1
    assert peer.request.startswith(b"GET /stream?a=b HTTP/1.1\r\n")
    link.send('{"op":"é"}')
    link.send(b"\x01\x02")
    link.send("z" * 70_000)
    assert await peer.read() == (TEXT, '{"op":"é"}'.encode())
    assert await peer.read() == (BINARY, b"\x01\x02")
    assert await peer.read() == (TEXT, b"z" * 70_000)
    await finish(ear, link, peer)
    link.send("late")
    link.ping()
    link.close()
    assert ear.heard == [ear.closed]


async def test_reset_in_the_middle_of_a_message(transport: Transport, venue: Venue) -> None:
    """T01: the partial message is dropped."""
    ear, link, peer = await opened(transport, venue)
    peer.write(frame(TEXT, b"whole"), frame(TEXT, b"partial")[:-2])
    await ear.hear(b"whole")
    peer.reset()
    assert await ear.end() == (1006, ENDED)
    await asyncio.wait_for(link.wait_closed(), SOON)
    link.send("late")
    link.ping()
    link.close()
    assert ear.heard == [b"whole", (1006, ENDED)]


async def test_end_without_a_close_frame(transport: Transport, venue: Venue) -> None:
    """T02."""
    ear, _, peer = await opened(transport, venue)
    peer.write(frame(TEXT, b"frag", fin=False))
    peer.writer.close()
    assert await ear.end() == (1006, ENDED)
    assert ear.heard == [(1006, ENDED)]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1008, 1011, 1012, 1013, 3000, 4001, 4999])
async def test_close_codes_of_the_venue(transport: Transport, venue: Venue, code: int) -> None:
    """T17. The close is told at once, and not when the venue lets go of TCP."""
    ear, link, peer = await opened(transport, venue)
    peer.write(frame(TEXT, b"last"), close_frame(code, "wartung \u202e\x1b[31m".encode()))
    assert await ear.end() == (code, r"closed by the venue: wartung \u202e\x1b[31m")
    assert ear.heard[0] == b"last"
    opcode, data = await peer.read()
    assert (opcode, data[:2]) == (CLOSE, struct.pack("!H", code))
    assert await peer.gone()
    await link.wait_closed()


async def test_close_frame_without_a_code(transport: Transport, venue: Venue) -> None:
    ear, _, peer = await opened(transport, venue)
    peer.write(frame(CLOSE))
    assert await ear.end() == (1005, "closed by the venue")


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, b"x" * (MAX + 1))],
        [frame(TEXT, b"x" * (MAX // 2), fin=False), frame(CONT, b"x" * (MAX // 2)), frame(TEXT, b"no")],
        [frame(TEXT, b"x", fin=False), *[frame(CONT, b"x" * 1000, fin=False)] * (MAX // 1000)],
        [frame(TEXT)[:1] + b"\x7f" + struct.pack("!Q", 2**62)],
    ],
    ids=["one", "two", "endless", "announced"],
)
async def test_oversize(transport: Transport, venue: Venue, frames: list[bytes]) -> None:
    """T18: 1009, and what was too large is not delivered; nor is anything after it."""
    ear, _, peer = await opened(transport, venue, max_message=MAX - 2)
    peer.write(frame(TEXT, b"good"), frame(TEXT, b"also"))
    await ear.hear(b"good", b"also")
    peer.write(*frames)
    peer.write(frame(TEXT, b"late"))
    if len(frames) == 2:
        peer.write(frame(TEXT, b"late"))
    assert await ear.end() == (1009, f"message larger than {MAX - 2} bytes")
    assert ear.heard == [b"good", b"also", ear.closed]


async def test_empty_fragments_cost_nothing(transport: Transport, venue: Venue) -> None:
    """T18: tiny fragments."""
    ear, link, peer = await opened(transport, venue)
    peer.write(frame(TEXT, b"a", fin=False), frame(CONT, fin=False) * 20_000, frame(CONT, b"b"))
    await ear.hear(b"ab")
    await finish(ear, link, peer)


async def test_no_compression_is_offered_or_taken(transport: Transport, venue: Venue) -> None:
    """T19: a bomb cannot be unpacked where nothing unpacks."""
    ear, _, peer = await opened(transport, venue)
    assert b"sec-websocket-extensions" not in peer.request.lower()
    peer.write(frame(TEXT, b"\xaa\x56\x4a\x2c", rsv=4))
    code, reason = await ear.end()
    assert code == 1002
    assert reason.startswith("the venue broke the WebSocket protocol: ")
    assert ear.heard == [ear.closed]


@pytest.mark.parametrize(
    "bad",
    [
        frame(TEXT, b"x", rsv=2),
        frame(3, b"x"),
        frame(11),
        frame(CONT, b"x"),
        frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
        frame(PING, b"x", fin=False),
        frame(PING, b"x" * 126),
        b"\x81\x81\x00\x00\x00\x00x",
        close_frame(1005),
        frame(CLOSE, b"x"),
    ],
    ids=["rsv", "opcode", "control", "stray", "interleaved", "split-ping", "big-ping", "masked", "code", "short"],
)
async def test_broken_protocol(transport: Transport, venue: Venue, bad: bytes) -> None:
    """T20."""
    ear, _, peer = await opened(transport, venue)
    peer.write(bad)
    code, reason = await ear.end()
    assert code == 1002
    assert reason.startswith("the venue broke the WebSocket protocol: ")
    assert ear.heard == [ear.closed]


async def test_invalid_utf8_is_the_decoders_to_refuse(transport: Transport, venue: Venue) -> None:
    """T20: the bytes arrive, and the link goes on."""
    ear, link, peer = await opened(transport, venue)
    peer.write(frame(TEXT, b"\xff\xfe"), frame(TEXT, b"next"))
    await ear.hear(b"\xff\xfe", b"next")
    await finish(ear, link, peer)


async def test_our_close_is_silent_and_answered(transport: Transport, venue: Venue) -> None:
    ear, link, peer = await opened(transport, venue)
    link.close(4000, "planned")
    link.close(1000, "twice")
    link.send("ignored")
    peer.write(frame(TEXT, b"late"), frame(PONG))
    assert await peer.read() == (CLOSE, struct.pack("!H", 4000) + b"planned")
    peer.write(frame(TEXT, b"later"), close_frame(4000))
    assert await ear.end() == (4000, "planned")
    assert ear.heard == [ear.closed]


async def test_our_close_is_bounded_when_nobody_answers(
    transport: Transport, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"marketfeed.transports.{transport.name}.CLOSE_S", 0.1)
    ear, link, peer = await opened(transport, venue)
    link.close(1000, "planned")
    assert await ear.end() == (1006, "planned (the venue did not answer the close)")
    assert await peer.gone()


async def test_T03_a_link_given_up_ends_at_once_and_says_nothing(transport: Transport, venue: Venue) -> None:
    ear, link, peer = await opened(transport, venue)
    link.close(GIVEN_UP, "silent for\x1b 5 s")
    link.send("ignored")
    assert await ear.end() == (1006, "silent for\\x1b 5 s")
    assert ear.heard == [ear.closed]
    assert await peer.gone()


async def test_a_code_that_may_not_be_sent(transport: Transport, venue: Venue) -> None:
    ear, link, peer = await opened(transport, venue)
    for code in (0, 999, 1005, 1015, 2999, 5000):
        with pytest.raises(ValueError):
            link.close(code)
    link.close(1000, "ü" * 200)
    opcode, data = await peer.read()
    assert (opcode, len(data) <= 125) == (CLOSE, True)
    assert data[2:].decode() == "ü" * 61
    peer.write(close_frame(1000))
    await ear.end()


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("what", ["frame", "pong"])
async def test_listener_that_raises(transport: Transport, venue: Venue, what: str, early: bool) -> None:
    class Broken(Ear):
        def _add(self, what: Any) -> None:
            super()._add(what)
            if not isinstance(what, tuple):
                raise KeyError("\x1b[31m")

    bad = frame(TEXT, b"first") if what == "frame" else frame(PONG)
    if early:

        async def hello(peer: Peer) -> None:
            await peer.accept(then=bad + frame(TEXT, b"second"))

        venue.script = hello
    ear = Broken()
    await connect(transport, venue.url, ear)
    peer = await venue.peer()
    if not early:
        peer.write(bad, frame(TEXT, b"second"))
    assert await ear.end() == (1011, "the listener raised KeyError")
    assert len(ear.heard) == 2
    assert await peer.read() == (CLOSE, struct.pack("!H", 1011))


async def test_listener_that_raises_when_told_the_end(transport: Transport, venue: Venue) -> None:
    class Broken(Ear):
        def on_closed(self, code: int, reason: str) -> None:
            super().on_closed(code, reason)
            raise KeyError

    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    ear = Broken()
    link = await connect(transport, venue.url, ear)
    (await venue.peer()).writer.close()
    await ear.end()
    await link.wait_closed()
    assert [type(exc) for exc in told] == [KeyError]


async def test_closing_from_inside_the_listener(transport: Transport, venue: Venue) -> None:
    class Closing(Ear):
        def on_frames(self, frames: list[bytes], recv_ns: int) -> None:
            super().on_frames(frames, recv_ns)
            assert self.link is not None
            self.link.close(1000, "enough")

    ear = Closing()
    ear.link = await connect(transport, venue.url, ear)
    peer = await venue.peer()
    peer.write(frame(TEXT, b"x") * 100)
    assert (await peer.read())[0] == CLOSE
    peer.write(close_frame(1000))
    await ear.end()
    assert ear.heard == [b"x"] * SLICE + [(1000, "enough")]  # the rest of the same read is not for it


def http(head: bytes, *headers: bytes, body: bytes = b"no") -> Script:
    async def script(peer: Peer) -> None:
        await peer.head()
        lines = b"\r\n".join([b"HTTP/1.1 " + head, b"Content-Length: %d" % len(body), *headers])
        peer.write(lines + b"\r\n\r\n" + body)
        await peer.writer.drain()

    return script


@pytest.mark.parametrize(
    ("head", "headers", "status", "after", "fatal"),
    [
        (b"429 Too Many Requests", [b"Retry-After: 17"], 429, 17.0, False),  # T14
        (b"418 I'm a teapot", [b"retry-after:  3600 "], 418, 3600.0, False),
        (b"402 Payment Required", [], 402, None, False),
        (b"403 Forbidden", [], 403, None, False),
        (b"429 Later", [b"Retry-After: soon"], 429, None, False),
        (b"429 Later", [b"Retry-After: Thu, 01 Jan 1970 00:00:10 GMT"], 429, 0.0, False),
        (b"451 Unavailable For Legal Reasons", [], 451, None, True),
        (b"500 Internal Server Error", [], 500, None, False),  # T13
        (b"503 Service Unavailable", [b"Retry-After: 5"], 503, 5.0, False),
        (b"520 Whatever", [], 520, None, False),
        (b"400 Bad Request", [], 400, None, True),  # T15
        (b"404 Not Found", [], 404, None, True),
        (b"200 OK", [], 200, None, False),
    ],
)
async def test_refused_handshake(
    transport: Transport, venue: Venue, head: bytes, headers: list[bytes], status: int, after: Any, fatal: bool
) -> None:
    venue.script = http(head, *headers)
    error = await failure(transport, venue.url)
    assert (error.status, error.retry_after_s, error.fatal) == (status, after, fatal)
    assert str(error).startswith(f"localhost answered HTTP {status}: ")
    assert venue.count == 1
    assert await (await venue.peer()).gone()


async def test_redirect_is_not_followed(transport: Transport, venue: Venue) -> None:
    """T15."""
    venue.script = http(b"302 Found", b"Location: " + venue.url.encode())
    error = await failure(transport, venue.url)
    assert (error.status, error.fatal, venue.count) == (302, True, 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["no-http", "no-accept"],
)
async def test_no_websocket_server(transport: Transport, venue: Venue, answer: bytes) -> None:
    """T15."""

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.write(answer)

    venue.script = script
    error = await failure(transport, venue.url)
    assert error.fatal
    assert "no WebSocket server" in str(error)


async def test_cut_in_the_handshake(transport: Transport, venue: Venue) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.writer.close()

    venue.script = script
    error = await failure(transport, venue.url)
    assert str(error) == "localhost cut the connection before it was open"
    assert not error.fatal


async def test_nobody_listens(transport: Transport, venue: Venue) -> None:
    await venue.stop()
    error = await failure(transport, venue.url)
    assert str(error) == "localhost refused the connection"
    assert not error.fatal


async def test_name_does_not_resolve(transport: Transport) -> None:
    """T10."""
    error = await failure(transport, "wss://no-such-venue.invalid/ws", proxy=None)
    assert str(error) == "cannot resolve host no-such-venue.invalid"
    assert not error.fatal


async def test_silence_in_the_handshake(transport: Transport, venue: Venue) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()

    venue.script = script
    error = await failure(transport, venue.url, timeout_s=0.1)
    assert str(error) == "no answer from localhost within 0.1 s"
    assert not error.fatal
    assert await asyncio.wait_for((await venue.peer()).gone(), SOON)  # the socket is closed, not left to a timer


async def test_cancelled_in_the_handshake(transport: Transport, venue: Venue) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()

    venue.script = script
    ear = Ear()
    attempt = asyncio.create_task(connect(transport, venue.url, ear))
    peer = await venue.peer()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert await asyncio.wait_for(peer.gone(), SOON)
    assert ear.heard == []


async def test_cancelled_at_every_step(transport: Transport, venue: Venue) -> None:
    for steps in range(12):
        ear = Ear()
        attempt = asyncio.create_task(connect(transport, venue.url, ear))
        for _ in range(steps):
            await asyncio.sleep(0)
        attempt.cancel()
        try:
            link = await attempt
        except asyncio.CancelledError:
            assert ear.heard == []
        else:
            link.close()
            (await venue.peer()).writer.close()
            await ear.end()


async def test_public_host_in_clear_is_refused(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("looked the host up")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    with pytest.raises(ConfigError, match="use wss://"):
        await connect(transport, "ws://stream.example.com/ws?token=secret", Ear())
    with pytest.raises(ConfigError, match="line break"):
        await connect(transport, "ws://localhost/", Ear(), headers={"X": "a\r\nY: b"})


async def test_proxy(transport: Transport, venue: Venue) -> None:
    """T12: a proxy that is asked for is used even for loopback; its refusal is told apart from the venue's."""

    async def tunnel(peer: Peer) -> None:
        request = await peer.head()
        assert request.startswith(b"CONNECT localhost:1 HTTP/1.1\r\n")
        peer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await peer.accept()

    venue.script = tunnel
    ear = Ear()
    link = await connect(transport, "ws://localhost:1/ws", ear, proxy=f"http://127.0.0.1:{venue.port}")
    peer = await venue.peer()
    peer.write(frame(TEXT, b"through"))
    await ear.hear(b"through")
    await finish(ear, link, peer)

    venue.script = http(b"407 Proxy Authentication Required")
    error = await failure(transport, "ws://localhost:1/ws", proxy=f"http://127.0.0.1:{venue.port}")
    assert str(error).startswith("the proxy refused to connect to localhost: ")
    assert (error.status, "407" in str(error)) == (0, True)


def certificate(folder: Path, names: str) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command makes the certificate and is not installed")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName={names} "
        f"-keyout {key.name} -out {cert.name}".split(),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return key, cert


AUTHORITY = """
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = DNS:localhost
"""


def expired(folder: Path) -> tuple[Path, Path]:
    """A certificate that was good in January 2020."""
    key, _ = certificate(folder, "DNS:localhost")
    (folder / "ca.cnf").write_text(AUTHORITY, "ascii")
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01", "ascii")
    for command in (
        f"openssl req -new -key {key.name} -subj /CN=test -out asked.pem",
        f"openssl ca -batch -selfsign -config ca.cnf -in asked.pem -keyfile {key.name} -notext -out old.pem "
        "-startdate 20200101000000Z -enddate 20200201000000Z",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return key, folder / "old.pem"


def serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """For a server with that key and certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate[1], certificate[0])
    return tls


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost")


@pytest.fixture
async def tls_venue(no_leaks: None, own_certificate: tuple[Path, Path]) -> AsyncIterator[Venue]:
    tls = serving(own_certificate)
    venue = Venue()
    await venue.start(tls)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side complains of the alert
    yield venue
    await venue.stop()


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_burst_leaves_all_else_its_turns(
    transport: Transport,
    loop: Callable[[], asyncio.AbstractEventLoop],
    secure: bool,
    own_certificate: tuple[Path, Path],
) -> None:
    """uvloop would read megabytes from one socket before anything else goes on."""
    heard: Counter[int] = Counter()
    turn = 0

    class Counting(Ear):
        def on_frames(self, frames: list[bytes], recv_ns: int) -> None:
            heard[turn] += sum(map(len, frames))
            super().on_frames(frames, recv_ns)

    async def run() -> None:
        venue, ear = Venue(), Counting()
        await venue.start(serving(own_certificate) if secure else None)
        trusting = ssl.create_default_context(cafile=own_certificate[1])
        link = await connect(type(transport)(tls=trusting), venue.url, ear)  # type: ignore[call-arg]
        peer = await venue.peer()

        def count() -> None:
            nonlocal turn
            turn += 1
            counted.append(asyncio.get_running_loop().call_soon(count))

        counted: deque[asyncio.Handle] = deque(maxlen=1)
        count()
        messages = [b"%d" % n * 100 for n in range(100_000, 106_000)]
        try:
            peer.write(*[frame(TEXT, raw) for raw in messages])
            await ear.hear(*messages)
        finally:
            counted.pop().cancel()
            link.close(GIVEN_UP, "the test is over")
            await venue.stop()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
    assert max(heard.values()) <= TURN_BYTES + MOST_READ


async def test_self_signed_certificate_is_refused(transport: Transport, tls_venue: Venue) -> None:
    """T09."""
    error = await failure(transport, tls_venue.url)
    assert str(error).startswith("TLS: the certificate of localhost is refused: ")
    assert "self-signed" in str(error) or "self signed" in str(error)
    assert error.fatal


async def test_tls(transport: Transport, tls_venue: Venue, own_certificate: tuple[Path, Path]) -> None:
    trusting = type(transport)(tls=ssl.create_default_context(cafile=own_certificate[1]))  # type: ignore[call-arg]
    ear, link, peer = await opened(trusting, tls_venue)
    peer.write(*[frame(TEXT, b"%d" % n) for n in range(100)], frame(TEXT, b"x" * MAX))
    await ear.until(lambda heard: len(heard) == 101)
    link.send("over TLS")
    assert await peer.read() == (TEXT, b"over TLS")
    await finish(ear, link, peer)

    ear, link, peer = await opened(trusting, tls_venue)
    peer.writer.transport.abort()
    assert await ear.end() == (1006, ENDED)

    error = await failure(trusting, tls_venue.url.replace("localhost", "127.0.0.1"))  # T09: the wrong name
    assert error.fatal
    assert "mismatch" in str(error)


async def test_T09_an_expired_certificate_is_refused(transport: Transport, no_leaks: None, tmp_path: Path) -> None:
    key, cert = expired(tmp_path)
    tls = serving((key, cert))
    venue = Venue()
    await venue.start(tls)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side complains of the alert
    trusting = type(transport)(tls=ssl.create_default_context(cafile=cert))  # type: ignore[call-arg]
    error = await failure(trusting, venue.url)
    await venue.stop()
    assert str(error) == "TLS: the certificate of localhost is refused: certificate has expired"
    assert error.fatal


async def test_tls_on_a_plain_port(transport: Transport, venue: Venue) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    venue.script = script
    error = await failure(transport, venue.url.replace("ws://", "wss://"))
    assert str(error).startswith("TLS: handshake with localhost failed: ")
    assert error.fatal


async def test_silence_in_the_tls_handshake(transport: Transport, venue: Venue) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)

    venue.script = script
    error = await failure(transport, venue.url.replace("ws://", "wss://"), timeout_s=0.1)
    assert str(error) == "no answer from localhost within 0.1 s"
    assert await asyncio.wait_for((await venue.peer()).gone(), SOON)


async def test_proxy_that_is_not_there(transport: Transport, venue: Venue) -> None:
    await venue.stop()
    error = await failure(transport, "wss://a.example/ws", proxy=f"http://127.0.0.1:{venue.port}")
    assert str(error) == "127.0.0.1 (the proxy) refused the connection"


async def test_second_address_is_tried_beside_a_silent_first(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    """T11: an address that swallows packets costs a quarter of a second."""
    loop = asyncio.get_running_loop()
    real, resolve = loop.sock_connect, loop.getaddrinfo

    async def swallowed(sock: socket.socket, address: Any) -> None:
        if sock.family == socket.AF_INET6:
            await asyncio.Event().wait()
        await real(sock, address)

    def both(host: str, port: int, **options: Any) -> Awaitable[Any]:
        if host != "localhost":  # uvloop asks for numbers too
            return resolve(host, port, **options)
        found = asyncio.Future[Any]()
        v6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))
        found.set_result([v6, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))])
        return found

    monkeypatch.setattr(loop, "sock_connect", swallowed)
    monkeypatch.setattr(loop, "getaddrinfo", both)
    monkeypatch.setattr(_dial, "NEXT_ADDRESS_S", 0.01)
    sock = await asyncio.wait_for(_dial.dial("localhost", venue.port), SOON)
    assert sock.family == socket.AF_INET
    sock.close()


def test_addresses_take_turns() -> None:
    def info(family: int, name: str) -> _dial.Address:
        return (family, 1, 6, "", name)

    mixed = [info(10, "a"), info(10, "b"), info(10, "c"), info(2, "d")]
    assert [entry[4] for entry in _dial.interleaved(mixed)] == ["a", "d", "b", "c"]
    assert _dial.interleaved([]) == []


@pytest.mark.parametrize(
    "url",
    [
        "ws://localhost:1/x",
        "ws://LOCALHOST",
        "http://127.9.9.9",
        "ws://[::1]:80/",
        "wss://a.example/",
        "https://a.example",
    ],
)
def test_urls_that_may_be_used(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "ws://a.example",
        "http://10.0.0.1/",
        "ws://localhost.example",
        "ws://127.1/",
        "ws://0.0.0.0/",
        "ws://[::]/",
        "ftp://localhost/",
        "localhost:80",
        "wss://",
        "wss://a:b/",
        "wss://user:pass@a.example/",
        "wss://a.example/#part",
        "wss://[::1/",
        "wss://a.example/a b",
        "wss://a.example/a\tb",
        "",
    ],
)
def test_urls_that_may_not(url: str) -> None:
    with pytest.raises(ConfigError):
        check_url(url)


def test_a_refused_url_does_not_print_its_token() -> None:
    with pytest.raises(ConfigError) as caught:
        check_url("http://user:pass@a.example/key?token=secret")
    assert not {"pass", "secret", "key"} & set(str(caught.value).replace("/", " ").replace("@", " ").split())


def test_proxy_comes_from_the_environment_but_not_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert proxy_for("wss://a.example/ws", None) == "http://proxy.example:3128"
    assert proxy_for("https://a.example/ws", None) == "http://proxy.example:3128"
    assert proxy_for("ws://localhost/ws", None) is None
    assert proxy_for("wss://127.0.0.1/ws", None) is None
    assert proxy_for("wss://localhost/ws", "http://mine:1") == "http://mine:1"
    monkeypatch.setenv("no_proxy", "a.example")
    assert proxy_for("wss://a.example/ws", None) is None


@pytest.mark.parametrize("value", ["foo", "proxy.example:3128", "http://", "http://[half", "http://proxy.example:port"])
def test_a_proxy_that_is_none_is_told_by_its_variable_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    for name in ("no_proxy", "NO_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigError) as caught:
        proxy_for("wss://a.example/ws", None)
    assert str(caught.value) == "HTTPS_PROXY is not the URL of a proxy: write http://HOST:PORT"


def test_picking() -> None:
    assert pick_transport("websockets").name == "websockets"
    assert pick_transport().name in {"picows", "websockets"}
    with pytest.raises(ConfigError, match="websockets"):
        pick_transport("websocket")


def test_picking_where_picows_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "marketfeed.transports.picows", None)
    assert pick_transport().name == "websockets"
    with pytest.raises(MissingExtra, match=r"marketfeed\[fast\]"):
        pick_transport("picows")


def test_picking_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name = "mine"

        def load(self) -> Any:
            return FakeTransport

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Entry()])
    assert isinstance(pick_transport("mine"), FakeTransport)


async def test_fake() -> None:
    fake = FakeTransport(TransportError("first"), None)
    ear = Ear()
    with pytest.raises(TransportError, match="first"):
        await connect(fake, "wss://a.example", ear)
    link = await connect(fake, "wss://a.example", ear)
    other = await fake.link()
    assert other is link
    link.send("x")
    link.ping()
    other.frame(b"y")
    other.pong()
    link.close(1000, "done")
    link.send("late")
    other.frame(b"late")
    await link.wait_closed()
    assert ear.heard == [b"y", "pong", (1000, "done")]
    assert (other.sent, other.pings, other.closing) == (["x"], 1, (1000, "done"))
    assert [call["url"] for call in fake.calls] == ["wss://a.example"] * 2


def test_escaped() -> None:
    assert escaped("plain ~ {}") == "plain ~ {}"
    assert escaped("a\n\x1b\x7f\x85é\u200b\u202e\U0001f600\ud800") == (
        r"a\x0a\x1b\x7f\x85\xe9\u200b\u202e\U0001f600\ud800"
    )
    assert escaped(b"ok\xff\x00") == r"ok\xff\x00"
    assert escaped("x" * 201) == "x" * 197 + "..."
    assert escaped("x" * 200) == "x" * 200
    assert len(escaped("\u202e" * 10_000)) == 200
    assert len(escaped(b"\xff" * 10_000, 50)) == 50
    assert escaped("") == ""


def test_retry_after() -> None:
    class Fixed:
        def unix_ns(self) -> int:
            return 1_445_412_480 * 10**9

        def mono_ns(self) -> int:
            return 0

    clock = Fixed()
    assert retry_after_s("Wed, 21 Oct 2015 07:28:30 GMT", clock) == 30.0
    assert retry_after_s("120", clock) == 120.0
    assert retry_after_s("9" * 400, clock) == 30 * 86_400
    for nonsense in (None, "", "-1", "1.5", "²", "inf", "x" * 100, "Wed, 99 Oct 2015 07:28:30 GMT"):
        assert retry_after_s(nonsense, clock) is None


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (ssl.SSLCertVerificationError(1, "it has expired"), "TLS: the certificate of host is refused: it has expired"),
        (ssl.SSLCertVerificationError("not for host"), "TLS: the certificate of host is refused: not for host"),
        (ssl.SSLError(1, "no version in common"), "TLS: handshake with host failed: no version in common"),
    ],
)
def test_T09_errors_of_tls_that_python_raises_by_itself_are_told_too(exc: ssl.SSLError, words: str) -> None:
    error = failed(exc, "host", 10.0)
    assert (str(error), error.fatal) == (words, True)
