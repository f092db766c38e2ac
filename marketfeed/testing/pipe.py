"""One end of a virtual connection: a transport that behaves as asyncio's own."""

import asyncio
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .wire import Wire

if TYPE_CHECKING:
    import socket

WINDOW = 256 * 1024
"""Bytes that the two machines' buffers take in before a writer has to keep its own."""
HIGH, LOW = 64 * 1024, 16 * 1024


class Pipe(asyncio.Transport):
    """One end of a connection, as asyncio's own transports behave."""

    def __init__(self, wire: Wire, back: Wire, extra: dict[str, Any], on_gone: Callable[["Pipe"], None]) -> None:
        super().__init__(extra)
        self.protocol: Any = None
        self.wire, self.back = wire, back
        wire.sender = back.receiver = self
        self.reading = False
        self.gone = False
        self.sock: socket.socket | None = None
        self._on_gone = on_gone
        self._closing = False
        self._paused = False
        self._limits = (LOW, HIGH)

    def __repr__(self) -> str:
        return f"<Pipe {self.get_extra_info('sockname')} to {self.get_extra_info('peername')}>"

    def begin(self, protocol: Any) -> None:
        """This protocol's from now on."""
        self.protocol = protocol
        loop = asyncio.get_running_loop()
        loop.call_soon(protocol.connection_made, self)
        if self.gone:
            loop.call_soon(self._lost, ConnectionResetError(errno.ECONNRESET, "reset before it was used"))
        else:
            self.reading = True
            loop.call_soon(self.back.pump)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio."""
        if self._closing or not data:
            return
        self.wire.send(bytes(data))
        if not self._paused and self.get_write_buffer_size() > self._limits[1]:
            self._paused = True
            self.protocol.pause_writing()

    def written(self) -> None:
        """The other side has read."""
        if self._paused and self.get_write_buffer_size() <= self._limits[0]:
            self._paused = False
            if not self.gone:
                self.protocol.resume_writing()
        if self._closing and not self.gone and not self.get_write_buffer_size():
            self._lose(None)

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return max(0, self.wire.queued - WINDOW)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """See asyncio."""
        return self._limits

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio."""
        high = HIGH if high is None else high
        self._limits = (high // 4 if low is None else low, high)

    def can_write_eof(self) -> bool:
        """See asyncio."""
        return True

    def write_eof(self) -> None:
        """See asyncio."""
        self.wire.end()

    def is_reading(self) -> bool:
        """See asyncio."""
        return self.reading and not self._closing

    def pause_reading(self) -> None:
        """See asyncio."""
        self.reading = False

    def resume_reading(self) -> None:
        """See asyncio."""
        if not self.reading:
            self.reading = True
            self.back.pump()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio."""
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._closing

    def close(self) -> None:
        """See asyncio: what was written still goes out."""
        if not self._closing:
            self._closing = True
            self.reading = False
            if not self.get_write_buffer_size():
                self._lose(None)

    def abort(self) -> None:
        """See asyncio: what this machine has taken in already still goes out."""
        self._lose(None)

    def fail(self, error: OSError) -> None:
        """The connection is broken for this end."""
        self._lose(error)

    def reset(self) -> None:
        """Reset the connection: both ends hear of it at once, and what was on its way is lost."""
        for end in (self, self.back.sender):
            end.wire.stop()
            end.fail(ConnectionResetError(errno.ECONNRESET, "reset by the network"))

    def peer_ended(self, error: OSError | None) -> None:
        """The other end is gone."""
        if error is not None:
            self._lose(error)
        elif not self._closing and not self.protocol.eof_received():
            self.close()

    def _lose(self, error: OSError | None) -> None:
        if self.gone:
            return
        self.gone = self._closing = True
        self.back.stop()
        self.wire.end()
        asyncio.get_running_loop().call_soon(self._lost, error)

    def _lost(self, error: OSError | None) -> None:
        try:
            if self.protocol is not None:
                self.protocol.connection_lost(error)
        finally:
            if self.sock is not None:
                self.sock.close()
            self._on_gone(self)
