"""Output that never holds up the event loop: a thread writes stdout and stderr, in the order given."""

import asyncio
import io
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

from . import _stdout

ROOM_S = 0.01
"""How often somebody who waits for room looks again."""


class Writer:
    """`put` returns at once; a thread writes and flushes. `backlog` is bytes not yet written.

    Both streams share one queue, so what is told on stderr stands before newer data also on a terminal.
    `on_broken` is called from the thread when stdout takes no more; what is left is then let go. Where that is not
    because its reader has gone, `check` raises what ends the command.
    """

    def __init__(self, on_broken: Callable[[], None]) -> None:
        self.backlog = 0
        self.broken = False
        self._failure: OSError | None = None
        self._on_broken = on_broken
        self._queue: deque[tuple[bool, bytes]] = deque()
        self._news = threading.Condition()
        self._out, self._err = _writing(sys.stdout), _writing(sys.stderr)
        self._ended = False
        threading.Thread(target=self._run, name="output", daemon=True).start()

    def put(self, data: bytes, *, err: bool = False) -> None:
        """Write this after all that was put before."""
        if data:
            with self._news:
                self.backlog += len(data)
                self._queue.append((err, data))
                self._news.notify()

    def tell(self, line: str) -> None:
        """One line on stderr."""
        self.put(f"marketfeed: {line}\n".encode(), err=True)

    async def room(self, limit: int) -> None:
        """Wait until no more than `limit` bytes are unwritten, or nobody reads them."""
        while True:
            if self.backlog <= limit or self.broken:
                return
            await asyncio.sleep(ROOM_S)

    def end(self) -> None:
        """Let the thread go when it has written everything."""
        with self._news:
            self._ended = True
            self._news.notify()

    def check(self) -> None:
        """Raise Failed where stdout could not be written, other than for a reader that has had enough."""
        if self._failure is not None:
            raise _stdout.unwritten(self._failure)

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._queue:
                    if self._ended:
                        return
                    self._news.wait()
                err, data = self._take()
            self._write(err, data)
            with self._news:
                self.backlog -= len(data)

    def _take(self) -> tuple[bool, bytes]:
        """The next bytes for one stream: many small writes become one."""
        err, first = self._queue.popleft()
        pieces = [first]
        while self._queue and self._queue[0][0] == err:
            pieces.append(self._queue.popleft()[1])
        return err, b"".join(pieces)

    def _write(self, err: bool, data: bytes) -> None:
        if self.broken and not err:
            return
        try:
            (self._err if err else self._out)(data)
        except (OSError, ValueError) as exc:
            if not err:
                self._failure = exc if isinstance(exc, OSError) and not isinstance(exc, _stdout.GONE) else None
                self.broken = True
                self._on_broken()


def _writing(stream: TextIO) -> Callable[[bytes], None]:
    """How to write bytes to a stream.

    A file descriptor is written directly: a thread that is stuck inside Python's own buffer could not be left behind.
    """
    try:
        number = stream.fileno()
    except (io.UnsupportedOperation, AttributeError):
        buffer = stream.buffer

        def captured(data: bytes) -> None:
            buffer.write(data)
            buffer.flush()

        return captured

    def direct(data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(number, left) :]
            except BlockingIOError:  # whoever shares the terminal may have made it non-blocking
                select.select([], [number], [])

    return direct
