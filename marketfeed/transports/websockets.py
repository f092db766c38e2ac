"""The `websockets` library as a transport: always installed, the reference for the others.

Frames go from `data_received` to the listener in the same call: there is no task and no queue, and `recv()` is not
used. That leans on two methods of `ClientConnection`, which the library lets users subclass (`create_connection=`):
asyncio's `data_received` and `process_event`, its hook for each parsed frame.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidMessage, InvalidProxy, InvalidStatus, ProxyError
from websockets.frames import BINARY, CLOSE, CONT, PING, TEXT, Frame, Opcode
from websockets.protocol import CLOSING, OPEN, Event

from ..clock import Clock
from ..errors import ConfigError, TransportError
from ..text import escaped
from ..transport import GIVEN_UP, NO_HEADERS, Link, LinkListener, user_agent
from ._dial import dial, route
from ._failures import culprit, failed, refused, retry_after_s
from ._inlet import CLOSE_S, MAX_UNREAD_PONGS, Inlet, check_code, raised

_log = logging.getLogger("marketfeed.transports.websockets")
_log.addHandler(logging.NullHandler())

TURN_BYTES = 256 << 10
"""Read from a connection before all else in the loop has its turn."""


class WebsocketsTransport:
    """Connects with `websockets`. `tls` replaces the default verification context, for a private authority."""

    name = "websockets"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls

    async def connect(  # noqa: D102
        self,
        url: str,
        listener: LinkListener,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        max_message: int,
        timeout_s: float = 10.0,
        proxy: str | None = None,
        clock: Clock,
    ) -> Link:
        host, port, secure, proxy = route(url, headers, proxy)
        inlet = Inlet(listener, max_message)
        options: dict[str, Any] = {}
        if secure:
            self._tls = self._tls or ssl.create_default_context()
            options = {"ssl": self._tls, "ssl_shutdown_timeout": CLOSE_S}
        try:
            async with asyncio.timeout(timeout_s):
                if proxy is None:
                    options["sock"] = await dial(host, port)
                connection = await _Connect(
                    url,
                    compression=None,
                    additional_headers=dict(headers),
                    user_agent_header=user_agent(),
                    proxy=proxy,
                    open_timeout=None,
                    ping_interval=None,
                    close_timeout=CLOSE_S,
                    max_size=max_message,
                    max_queue=None,
                    logger=_log,
                    create_connection=lambda protocol, **rest: _Connection(protocol, inlet, clock, **rest),  # type: ignore[arg-type]
                    **options,
                )
        except Exception as exc:
            raise _explained(exc, culprit(exc, host, proxy), timeout_s, clock) from exc
        assert isinstance(connection, _Connection)
        # Not before the caller, awaiting this, has the link in hand.
        connection.loop.call_soon(inlet.open, connection.listener_raised)
        return WebsocketsLink(connection)


class WebsocketsLink:
    """A link over `websockets`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection

    def send(self, payload: str | bytes) -> None:  # noqa: D102
        connection = self._connection
        if connection.protocol.state is not OPEN:
            return
        if isinstance(payload, str):
            connection.protocol.send_text(payload.encode())
        else:
            connection.protocol.send_binary(payload)
        connection.send_data()

    def ping(self) -> None:  # noqa: D102
        connection = self._connection
        if connection.protocol.state is OPEN:
            connection.protocol.send_ping(b"")
            connection.send_data()

    def close(self, code: int = 1000, reason: str = "") -> None:  # noqa: D102
        if code == GIVEN_UP:
            self._connection.inlet.give_up(reason)
            self._connection.transport.abort()
        else:
            self._connection.ask(code, check_code(code, reason))

    async def wait_closed(self) -> None:  # noqa: D102
        await asyncio.shield(self._connection.inlet.done)


class _Connect(connect):
    """One attempt at one address: a venue's redirect is for the user to judge."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Connection(ClientConnection):
    """The library's connection, with frames handed on where they are parsed."""

    def __init__(self, protocol: Any, inlet: Inlet, clock: Clock, **rest: Any) -> None:
        super().__init__(protocol, **rest)
        self.inlet = inlet
        self._unix_ns = clock.unix_ns
        self._recv_ns = 0
        self._frames: list[bytes] = []  # of the read in hand, not yet handed on
        self._parts = bytearray()
        self._abort: asyncio.TimerHandle | None = None
        self._unread = TURN_BYTES  # of this turn of the loop, or a later one

    def data_received(self, data: bytes) -> None:
        self._recv_ns = self._unix_ns()
        super().data_received(data)
        self._hand_on()
        if self.protocol.state is not OPEN:
            self._wind_up()
        self._unread -= len(data)
        if self._unread <= 0:
            self._rest()

    def _rest(self) -> None:
        """Let all else have its turn: uvloop reads 32 times in a row where there is so much, megabytes at once."""
        self._unread = TURN_BYTES
        if not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def process_event(self, event: Event) -> None:
        if self.response is None or not isinstance(event, Frame):
            super().process_event(event)
            return
        opcode = event.opcode
        if (opcode is TEXT or opcode is BINARY) and event.fin:
            self._frames.append(bytes(event.data))
        elif opcode is TEXT or opcode is BINARY or opcode is CONT:
            self._parts += event.data  # the protocol has bounded their sum
            if event.fin:
                self._frames.append(bytes(self._parts))
                self._parts = bytearray()
        else:
            self._hand_on()
            self._control(opcode)

    def _hand_on(self) -> None:
        frames = self._frames
        if frames:
            self._frames = []
            try:
                self.inlet.read(frames, self._recv_ns)
            except Exception as exc:  # a listener may raise anything
                self.listener_raised(exc)

    def _control(self, opcode: Opcode) -> None:
        if opcode is CLOSE:
            assert self.protocol.close_rcvd is not None
            self.inlet.said(self.protocol.close_rcvd.code, self.protocol.close_rcvd.reason)
            return
        if opcode is PING and self.transport.get_write_buffer_size() > MAX_UNREAD_PONGS:
            self.inlet.settle(1008, "the venue pings and does not read the answers")
            self.transport.abort()
        try:
            self.inlet.pong()
        except Exception as exc:  # a listener may raise anything
            self.listener_raised(exc)

    def listener_raised(self, exc: Exception) -> None:
        self.inlet.settle(1011, raised(exc))
        self.inlet.shut()
        if self.protocol.state is OPEN:
            self.protocol.fail(1011, "")
            self.send_data()
        self._let_go()

    def ask(self, code: int, reason: str) -> None:
        if self.inlet.asked is not None or self.inlet.done.done():
            return
        self.inlet.ask(code, reason)
        if self.protocol.state is OPEN:
            self.protocol.send_close(code, reason)
            self.send_data()
        self._abort_later()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._abort is not None:
            self._abort.cancel()
        self.inlet.lost()

    def _wind_up(self) -> None:
        """Let go of TCP, unless there is an answer to wait for: to the handshake, or to our close."""
        if self.response is None and self.protocol.handshake_exc is not None:
            self.transport.abort()  # the library would wait for the peer to hang up
        if self.protocol.state is not CLOSING:
            return
        if self.protocol.close_rcvd is None:
            if self.inlet.asked is not None:
                return
            sent = self.protocol.close_sent
            self.inlet.broke(*((sent.code, sent.reason) if sent is not None else (1006, "")))
        self._let_go()

    def _let_go(self) -> None:
        self.transport.close()  # after what is still to be written; the timer bounds that
        self._abort_later()

    def _abort_later(self) -> None:
        if self._abort is None:
            self._abort = self.loop.call_later(CLOSE_S, self.transport.abort)


def _explained(exc: Exception, host: str, timeout_s: float, clock: Clock) -> Exception:
    match exc:
        case TransportError() | ConfigError():
            return exc
        case InvalidStatus():
            response = exc.response
            after = response.headers.get_all("Retry-After")
            return refused(host, response.status_code, retry_after_s(after[0] if after else None, clock))
        case ProxyError():
            return TransportError(f"the proxy refused to connect to {escaped(host)}: {escaped(str(exc))}")
        case InvalidProxy() | ImportError():
            return ConfigError(f"that proxy cannot be used: {escaped(type(exc).__name__)}")
        case InvalidMessage() if isinstance(exc.__cause__, OSError | EOFError):
            return failed(exc.__cause__, host, timeout_s)
    return failed(exc, host, timeout_s)
