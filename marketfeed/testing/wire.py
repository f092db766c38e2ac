"""Bytes on their way from one end of a virtual connection to the other, and what can happen to them."""

import asyncio
import errno
from collections import deque
from random import Random
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from .pipe import Pipe

UNHEARD_S = 60.0
"""A peer that has acknowledged nothing for so long is given up by the machine."""
READ = 256 * 1024
"""Bytes handed over at a time, at most."""


class Way(Struct):
    """How bytes fare between one server's port and its clients, until it is changed. All of it may be at any time."""

    latency_s: float = 0.0005
    jitter_s: float = 0.0
    """Up to so much is added to the latency of each write; order is kept."""
    slices: tuple[int, int] | None = None
    """What is read at a time, in bytes: from, to."""
    drip_s: float = 0.0
    """Seconds from one byte to the next, towards the client."""
    refuse: bool = False
    """New connections are refused."""
    untrusted: bool = False
    """New connections fail as they do where the server's certificate has expired."""
    swallow: bool = False
    """New connections are not answered."""
    struck_at: float = 0.0
    """When a byte was last spoiled or a connection reset that had waited for its place (loop time)."""


class Wire:
    """Bytes on their way to one transport, in order."""

    def __init__(self, way: Way, dice: Random, *, to_client: bool) -> None:
        self.queued = 0
        """Bytes written and not yet read."""
        self.frozen = False
        self.sender: Pipe
        self.receiver: Pipe
        self.spoil_after: int | None = None
        """After so many bytes more one is made 0xFF."""
        self.cut_after: int | None = None
        """After so many bytes more the connection is reset."""
        self._way = way
        self._dice = dice
        self._to_client = to_client
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._last = 0.0
        self._end: tuple[float, OSError | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    def send(self, data: bytes) -> None:
        """Put bytes on their way."""
        self._chunks.append((self._due(), data))
        self.queued += len(data)
        if self.frozen:
            self._lose_patience()
        elif self._timer is None:
            self._wake(self._chunks[0][0])

    def end(self, error: OSError | None = None) -> None:
        """The sender is gone: what it has written still comes, and then the end, unless it is an error."""
        if self._end is None or error is not None:
            self._end = (self._due(), error)
        if error is not None:
            self._drop()
        if not self.frozen and self._timer is None:
            self._wake(self._end[0])

    def pump(self) -> None:
        """Read on, after a pause or a thaw."""
        if self._timer is None and not self.frozen and (self._chunks or self._end is not None):
            self._wake(self._chunks[0][0] if self._chunks else self._end[0] if self._end is not None else 0.0)

    def stop(self) -> None:
        """Nobody reads any more."""
        self._drop()
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
        self._timer = self._patience = None

    def _due(self) -> float:
        way = self._way
        due = asyncio.get_running_loop().time() + way.latency_s
        if way.jitter_s:
            due += self._dice.random() * way.jitter_s
        self._last = max(self._last, due)
        return self._last

    def _drop(self) -> None:
        self._chunks.clear()
        self.queued = 0

    def _wake(self, at: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(at, self._deliver)

    def _lose_patience(self) -> None:
        if self._patience is None:
            lost = TimeoutError(errno.ETIMEDOUT, "nothing was acknowledged")
            self._patience = asyncio.get_running_loop().call_later(UNHEARD_S, self._give_up, lost)

    def _give_up(self, lost: OSError) -> None:
        self._patience = None
        if self.frozen:
            self.sender.fail(lost)

    def _deliver(self) -> None:
        self._timer = None
        if self.frozen:
            return
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        receiver = self.receiver
        now = asyncio.get_running_loop().time() + 1e-9
        if receiver.gone:
            if self._chunks:
                self.sender.fail(ConnectionResetError(errno.ECONNRESET, "the peer has closed"))
            self._drop()
            return
        if not receiver.reading:
            return  # until it asks for more
        if (due := self._take(now)) is not None:
            self._wake(due)
        elif self._end is not None and not self._chunks and not receiver.gone:
            receiver.peer_ended(self._end[1])

    def _take(self, now: float) -> float | None:
        """Hand over what is due; returns when to come again, None where nothing is left on its way."""
        receiver, way = self.receiver, self._way
        if way.drip_s and self._to_client and self._chunks:
            if self._chunks[0][0] <= now:
                self._hand_over(self._pop(1))
                return now + way.drip_s if receiver.reading and not receiver.gone else None
            return self._chunks[0][0]
        while self._chunks and self._chunks[0][0] <= now:
            data = self._pop(self._dice.randint(*way.slices) if way.slices else READ)
            while len(data) < READ and not way.slices and self._chunks and self._chunks[0][0] <= now:
                data += self._pop(READ - len(data))
            self._hand_over(data)
            if receiver.gone or not receiver.reading or self.frozen:
                return None
        if self._chunks:
            return self._chunks[0][0]
        return self._end[0] if self._end is not None and self._end[0] > now else None

    def _pop(self, most: int) -> bytes:
        due, data = self._chunks.popleft()
        if len(data) > most:
            self._chunks.appendleft((due, data[most:]))
            data = data[:most]
        self.queued -= len(data)
        return data

    def _hand_over(self, data: bytes) -> None:
        if self.spoil_after is not None:
            self.spoil_after, at = self.spoil_after - len(data), self.spoil_after
            if at < len(data):
                self.spoil_after = None
                self._way.struck_at = asyncio.get_running_loop().time()
                data = data[:at] + b"\xff" + data[at + 1 :]
        cut = self.cut_after is not None and self.cut_after < len(data)
        if self.cut_after is not None:
            data, self.cut_after = data[: self.cut_after], self.cut_after - len(data)
        if data:
            self.receiver.protocol.data_received(data)
        if cut:
            self.cut_after = None
            self._way.struck_at = asyncio.get_running_loop().time()
            self.receiver.reset()
        self.sender.written()
