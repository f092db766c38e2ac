"""The `picows` library as a transport: about ten times cheaper a message than `websockets`, in the extra `[fast]`.

Its parser is in C and calls the listener from the socket's read. It leaves to us: joining fragments, bounding their
sum, refusing reserved bits, answering closes. It does not check that text is UTF-8: the JSON decoder does.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from picows import (
    WSFrame,
    WSHandshakeError,
    WSInvalidHeaderError,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSTransport,
    ws_connect,
)
from python_socks import ProxyError

from ..clock import Clock
from ..errors import ConfigError, TransportError
from ..text import escaped
from ..transport import GIVEN_UP, NO_HEADERS, Link, LinkListener, user_agent
from ._dial import dial, route
from ._failures import culprit, failed, refused_head
from ._inlet import CLOSE_S, MAX_UNREAD_PONGS, Inlet, check_code, raised

_log = logging.getLogger("marketfeed.transports.picows")
_log.addHandler(logging.NullHandler())

READ_BYTES = 64 << 10
"""Read at once."""

TEXT, BINARY, CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION


class PicowsTransport:
    """Connects with `picows`. `tls` replaces the default verification context, for a private authority."""

    name = "picows"

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
        host, _, secure, proxy = route(url, headers, proxy)
        link = PicowsLink(listener, clock, max_message)
        options: dict[str, Any] = {}
        if secure:
            self._tls = self._tls or ssl.create_default_context()
            options = {"ssl_context": self._tls, "ssl_shutdown_timeout": CLOSE_S}
        dialled: list[socket.socket] = []

        async def dialler(target: WSParsedURL) -> socket.socket:
            dialled.append(await dial(target.host, target.port))
            return dialled[-1]

        try:
            async with asyncio.timeout(timeout_s):
                _, made = await ws_connect(
                    lambda request, response: link,
                    url,
                    websocket_handshake_timeout=None,
                    logger_name=_log,
                    enable_auto_pong=False,  # it would hide the venue's pings from us
                    max_frame_size=max_message,
                    extra_headers={"User-Agent": user_agent(), **headers},
                    max_redirects=0,
                    proxy=proxy,
                    socket_factory=dialler,
                    **options,
                )
                if made is None:  # picows' answer to a connection that ended before the handshake did
                    raise EOFError
        except BaseException as exc:
            # Cancelled in the handshake, picows keeps the connection: end it from below.
            for sock in dialled:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            if not isinstance(exc, Exception):
                raise
            raise _explained(exc, culprit(exc, host, proxy), timeout_s, clock) from exc
        # Not before the caller, awaiting this, has the link in hand.
        asyncio.get_running_loop().call_soon(link.inlet.open, link.listener_raised)
        return link


class PicowsLink(WSListener):
    """A link over `picows`, and what picows calls."""

    def __init__(self, listener: LinkListener, clock: Clock, max_message: int) -> None:
        self.inlet = Inlet(listener, max_message)
        self._unix_ns = clock.unix_ns
        self._recv_ns = 0  # of the socket read in hand; 0 between reads
        self._frames: list[bytes] = []  # of that read, not yet handed on; empty while a message is here in part
        self._parts: bytearray | None = None
        self._ping: bytes | None = None
        self._transport: WSTransport
        self._abort: asyncio.TimerHandle | None = None
        self._farewell: asyncio.Task[None] | None = None

    def send(self, payload: str | bytes) -> None:  # noqa: D102
        if isinstance(payload, str):
            self._transport.send(TEXT, payload.encode())
        else:
            self._transport.send(BINARY, payload)

    def ping(self) -> None:  # noqa: D102
        self._transport.send_ping()

    def close(self, code: int = 1000, reason: str = "") -> None:  # noqa: D102
        if code == GIVEN_UP:
            self.inlet.give_up(reason)
            self._transport.disconnect(False)
            return
        reason = check_code(code, reason)
        if self.inlet.asked is not None or self._transport.is_disconnected:
            return
        self.inlet.ask(code, reason)
        self._send_close(code, reason)
        self._abort_later()

    async def wait_closed(self) -> None:  # noqa: D102
        await asyncio.shield(self.inlet.done)

    def on_ws_connected(self, transport: WSTransport) -> None:  # noqa: D102
        self._transport = transport
        below = transport.underlying_transport
        below.set_protocol(_Bounded(below.get_protocol()))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: D102
        frames = self._frames
        # With frames in hand, this one begins no read and stands in no fragmented message; of that size it is data, as
        # picows refuses larger control frames. (Or a continuation of nothing, which the decoder judges as a message.)
        # To ask for its type would cost as much as all other questions here.
        if frames and frame.payload_size > 125 and frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            frames.append(frame.get_payload_as_bytes())
        else:
            self._take(transport, frame)
        if frame.last_in_buffer:
            self._hand_on()
            self._recv_ns = 0
            if self._ping is not None:
                self._answer(self._ping)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: D102
        if self._abort is not None:
            self._abort.cancel()
        shake = transport.close_handshake
        if shake is not None and shake.sent is not None and shake.recv is None and self.inlet.asked is None:
            self.inlet.broke(shake.sent.code.value, shake.sent.reason)
        self._farewell = asyncio.get_running_loop().create_task(self._say_farewell(transport))

    def listener_raised(self, exc: Exception) -> None:
        """Close because the listener cannot go on."""
        self.inlet.settle(1011, raised(exc))
        self._end(1011)

    async def _say_farewell(self, transport: WSTransport) -> None:
        try:
            with suppress(Exception):  # picows keeps what it refused here, and asyncio complains where nobody asks
                await transport.wait_disconnected()
        finally:
            self.inlet.lost()

    def _hand_on(self) -> None:
        frames = self._frames
        if frames:
            self._frames = []
            try:
                self.inlet.read(frames, self._recv_ns)
            except Exception as exc:  # a listener may raise anything
                self.listener_raised(exc)

    def _take(self, transport: WSTransport, frame: WSFrame) -> None:
        """Any frame, with all there is to ask about it."""
        if not self._recv_ns:
            self._recv_ns = self._unix_ns()
            if transport.is_close_frame_sent and self.inlet.asked is None:
                self.inlet.shut()  # picows refused an earlier frame and has not let go yet
        kind = frame.msg_type
        reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
        if (kind is TEXT or kind is BINARY) and frame.fin and self._parts is None and not reserved:
            self._frames.append(frame.get_payload_as_bytes())
            return
        self._hand_on()
        if reserved:
            self._break(1002, "reserved bits are set, and no extension was agreed")
        elif kind is WSMsgType.PONG:
            self._pong()
        elif kind is WSMsgType.PING:
            self._ping = frame.get_payload_as_bytes()  # a flood of pings in one read gets one answer
            self._pong()
        elif kind is WSMsgType.CLOSE:
            self._closed_by_peer(frame.get_payload_as_bytes())
        else:
            self._fragment(frame, kind)

    def _pong(self) -> None:
        try:
            self.inlet.pong()
        except Exception as exc:  # a listener may raise anything
            self.listener_raised(exc)

    def _fragment(self, frame: WSFrame, kind: WSMsgType) -> None:
        if (kind is CONTINUATION) != (self._parts is not None):
            self._break(1002, "fragments out of order")
            return
        parts = self._parts = bytearray() if self._parts is None else self._parts
        if len(parts) + frame.payload_size > self.inlet.max_message:
            self._break(1009, "")
            return
        parts += frame.get_payload_as_bytes()
        if frame.fin:
            self._parts = None
            self._frames.append(bytes(parts))

    def _answer(self, ping: bytes) -> None:
        self._ping = None
        if self._transport.underlying_transport.get_write_buffer_size() > MAX_UNREAD_PONGS:
            self.inlet.settle(1008, "the venue pings and does not read the answers")
            self._transport.disconnect(False)
        else:
            self._transport.send_pong(ping)

    def _closed_by_peer(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        self.inlet.said(code, payload[2:])
        self._end(code if payload else 1000)

    def _break(self, code: int, detail: str) -> None:
        self.inlet.broke(code, detail)
        self._end(code)

    def _end(self, code: int) -> None:
        self.inlet.shut()
        self._send_close(code, "")
        self._transport.disconnect()  # after what is still to be written; the timer bounds that
        self._abort_later()

    def _send_close(self, code: int, reason: str) -> None:
        self._transport.send_close(code, reason.encode())  # type: ignore[arg-type]  # application codes are no WSCloseCode

    def _abort_later(self) -> None:
        if self._abort is None and not self._transport.is_disconnected:
            self._abort = asyncio.get_running_loop().call_later(CLOSE_S, self._transport.disconnect, False)


class _Bounded(asyncio.BufferedProtocol):
    """Stands before picows' own, which doubles its buffer for good whenever a read fills it.

    After a burst each link would keep megabytes; so it grows for large messages alone.
    """

    def __init__(self, own: Any) -> None:
        self._own_buffer = own.get_buffer
        for name in ("buffer_updated", "eof_received", "connection_lost", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(own, name))

    def get_buffer(self, sizehint: int) -> Any:
        """As much of its buffer as is read at once."""
        return self._own_buffer(sizehint)[:READ_BYTES]


def _explained(exc: Exception, host: str, timeout_s: float, clock: Clock) -> Exception:
    if isinstance(exc, TransportError | ConfigError):
        return exc
    if isinstance(exc, WSHandshakeError) and not isinstance(exc, WSInvalidHeaderError):
        # From the bytes: picows parses only statuses that Python's HTTPStatus knows, and proxies send others.
        refusal = refused_head(host, exc.raw_header or b"", clock)
        if refusal is not None:
            return refusal
    if isinstance(exc, ProxyError):
        return TransportError(f"the proxy refused to connect to {escaped(host)}: {escaped(str(exc))}")
    return failed(exc, host, timeout_s)
