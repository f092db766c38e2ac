"""`RawRecorder`: every input of a feed's connections, as it came, so that `Rerun` lives through it again.

Inputs are handed to a thread, which compresses and writes them, so that no disk ever holds up the feed. What a crash
leaves is made whole at the next start. An input that is lost ends a run: what comes after it begins another, of which
only the connections made from then on can be lived through.
"""

import asyncio
import threading
from collections import deque
from pathlib import Path
from typing import Self

from ..clock import Clock, SystemClock
from ..errors import RecordingError
from ..events import Head, RecorderStatus
from ..feed import Feed
from ..taped import Input
from .disk import Disk, RealDisk
from .raw_writer import LOST, Kept, RawWriter

INPUT_BYTES = 300
"""What an input is reckoned at, besides its data."""


class RawRecorder:
    """Keeps every input of a feed's connections in the folder `path`, from `async with` on until it is left.

    Enter it before anything is subscribed to. `rotate_s` and `rotate_bytes` (compressed) are how old and large a file
    grows; `flush_s` is what a killed process may lose, `sync_s` what a power loss may take. Keys and passwords are
    taken out of what is written. Raises RecordingError for a folder that cannot be written to or that another recorder
    writes to, and when it is left for an end that could not be written.
    """

    def __init__(
        self,
        feed: Feed,
        path: str | Path,
        *,
        rotate_s: float = 3600.0,
        rotate_bytes: int = 256 << 20,
        flush_s: float = 0.1,
        sync_s: float = 1.0,
        waiting_bytes: int = 256 << 20,
        simulated: bool = False,
        disk: Disk | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path)
        self._feed = feed
        self._clock = clock or SystemClock()
        self._flush_s = flush_s
        self._tape = _Tape(waiting_bytes)
        self._writer = RawWriter(
            disk or RealDisk(),
            self.path,
            self._clock,
            self._tell_soon,
            rotate_s=rotate_s,
            rotate_bytes=rotate_bytes,
            sync_s=sync_s,
            simulated=simulated,
        )
        self._stop = threading.Event()
        self._lost = ""
        """Why the end could not be written."""
        self._thread = threading.Thread(target=self._work, name="marketfeed raw recorder", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def lines(self) -> int:
        """Lines written so far."""
        return self._writer.lines

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._writer.open)
        try:
            self._feed.tape(self._tape)
        except BaseException:
            self._writer.release()
            raise
        self._thread.start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._tape.end()
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        if self._lost and error is None:
            raise RecordingError(f"{self.path}: the end of the raw recording is not whole: {self._lost}")

    def _work(self) -> None:
        while not self._stop.wait(self._flush_s):
            self._writer.step(self._tape.take)
        self._lost = self._writer.end(self._tape.take)

    def _tell_soon(self, status: str, detail: str) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._tell, status, detail)

    def _tell(self, status: str, detail: str) -> None:
        if not self._feed.closed:
            now = self._clock.unix_ns()
            self._feed.tell(RecorderStatus, venue="recorder", ts_recv=now, status=status, detail=f"raw: {detail}")


class _Tape:
    """What came and is not written yet: the feed's thread puts, the writer's takes."""

    def __init__(self, waiting_bytes: int) -> None:
        self.batch: list[Head] = []
        self._ended = False
        self._queue: deque[tuple[Kept, int]] = deque()
        self._put = self._taken = 0
        """Bytes; each is changed by one thread alone."""
        self._limit = waiting_bytes
        self._lost = 0

    def mark(self) -> int:
        """See `Tape`."""
        return len(self.batch)

    def keep(self, what: Input, mark: int) -> None:
        """See `Tape`. Hot."""
        if self._ended:
            return
        if self._put - self._taken > self._limit:
            self._lost += 1
            return
        self._tell_lost()
        size = INPUT_BYTES + sum(map(len, what.data))
        self._put += size
        self._queue.append((Kept(what, self.batch[mark:]), size))

    def end(self) -> None:
        """Keep no more; what had no room at last is told all the same."""
        self._tell_lost()
        self._ended = True

    def _tell_lost(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            self._queue.append((Kept(Input(dir=LOST, conn="", more={"inputs": lost}), []), 0))

    def take(self) -> Kept | None:
        """The next, in order; None where all is written."""
        if not self._queue:
            return None
        kept, size = self._queue.popleft()
        self._taken += size
        return kept
