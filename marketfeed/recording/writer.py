"""What the recorder's thread does: journal what comes, rotate, have it sealed; and go on when the disk fails."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Event
from typing import NamedTuple, Protocol

from ..clock import Clock
from ..errors import RecordingError
from ..log_limit import limited
from .journal import Journal
from .payload import unpack
from .seal import Manifest
from .sealing import Seals

log = limited("marketfeed.recording")

SECOND = 1_000_000_000
RETRY_S = 1.0
"""Between two tries of a disk that refuses."""
SEAL_RETRY_S = 10.0
"""Between two tries of a pass that failed; what it takes is safe in the journal."""
PAUSE_S = 1.0
LAST_TRIES = 5
"""Of a disk that refuses the end of a recording, with pauses between."""


class Tell(Protocol):
    """Called by the thread with a `RecorderStatus`'s fields."""

    def __call__(self, status: str, *, detail: str = "", events: int = 0) -> None:
        """From the loop, soon."""


class Limits(NamedTuple):
    """When a segment is sealed, how long events may wait for the operating system and for the disk; see `Recorder`."""

    rotate_s: float
    rotate_bytes: int
    flush_s: float
    sync_s: float


REMEMBERED = 10
"""Passes; the dataset itself knows all of them."""


class Writer:
    """Journals what it is given. `give` and `waiting` are for the loop, all else for the thread that runs it.

    `sealed` holds the newest passes that are done, oldest first.
    """

    def __init__(
        self, journal: Journal, seals: Seals, executor: Executor, clock: Clock, limits: Limits, tell: Tell
    ) -> None:
        self.sealed: deque[Manifest] = deque(maxlen=REMEMBERED)
        self._journal = journal
        self._seals = seals
        self._executor = executor
        self._clock = clock
        self._limits = limits
        self._tell = tell
        self._queue: deque[bytes] = deque()
        self._given = self._written = 0
        """Bytes; each is changed by one thread alone."""
        self._began = clock.mono_ns()
        self._bytes = 0
        """In the segment."""
        self._retry_at = 0
        self._refused = ""
        """Why the disk does not take data; "" while it does."""
        self._pass: Future[Manifest | None] | None = None
        self._unsealed = False
        self._seal_failed = ""
        self._seal_at = 0

    def give(self, payload: bytes) -> None:
        """Hand over a payload; nothing here waits."""
        self._given += len(payload)
        self._queue.append(payload)

    @property
    def waiting(self) -> int:
        """Bytes that were given and are not written."""
        return self._given - self._written

    def run(self, stop: Event) -> None:
        """Step until it is set, and to the end."""
        while not stop.wait(self._limits.flush_s):
            self.step()
        self.end(lambda: time.sleep(PAUSE_S))

    def step(self) -> None:
        """Write what has come, and do what is due. What fails is told, and tried again later."""
        now = self._clock.mono_ns()
        if now >= self._retry_at:
            try:
                self._write(now)
            except Exception as exc:  # a fault of ours, too, must neither end the thread nor go unheard
                self._refuse(exc, now)
            else:
                self._accept()
        self._seal(now)

    def end(self, pause: Callable[[], object]) -> None:
        """Write and seal all; of a disk that refuses some tries are made. Raises RecordingError for what is lost."""
        for last in [*[False] * (LAST_TRIES - 1), True]:
            self._retry_at = 0
            self.step()
            if not self._refused:
                try:
                    self._journal.close()
                except RecordingError as exc:
                    self._refuse(exc, 0)
                else:
                    break
            if not last:
                pause()
        self._seal_all(pause)
        if self._refused:
            held = [*self._journal.lost_to_sync(), *self._queue]
            count = sum(len(events) for payload in held for events in unpack(payload).each())
            raise RecordingError(f"the last {count:,} events may not be recorded: {self._refused}")

    def _write(self, now: int) -> None:
        journal = self._journal
        if journal.failed:
            journal.reopen()
        while self._queue:
            self._add()
            if self._bytes >= self._limits.rotate_bytes:
                self._rotate(now)
        journal.tick(now)
        if self._bytes and now - self._began >= self._limits.rotate_s * SECOND:
            self._rotate(now)

    def _rotate(self, now: int) -> None:
        self._journal.rotate()
        self._began, self._bytes = now, 0
        self._unsealed = True

    def _add(self) -> None:
        number = self._journal.next_number
        payload = self._queue[0]
        try:
            self._journal.add(payload)
        finally:
            if self._journal.next_number > number:  # taken in, also where the sync that it led to failed
                self._queue.popleft()
                self._bytes += len(payload)
                self._written += len(payload)

    def _refuse(self, exc: Exception, now: int) -> None:
        self._retry_at = now + int(RETRY_S * SECOND)
        if not self._refused:
            self._tell("paused", detail=str(exc))
            log.error("recording has paused: %s", exc, exc_info=_ours(exc))
        self._refused = str(exc) or repr(exc)

    def _accept(self) -> None:
        if self._refused:
            self._refused = ""
            log.warning("recording goes on")
            self._tell("resumed", detail="the disk takes data again; what waited is written")

    def _seal(self, now: int) -> None:
        """See how the pass goes, and begin the next one where one is due."""
        if self._pass is not None:
            if not self._pass.done():
                return
            self._judge(self._pass, now)
        if self._unsealed and now >= self._seal_at:
            self._begin_pass(self._journal.path)

    def _begin_pass(self, open_segment: str) -> None:
        self._pass = self._executor.submit(self._seals.seal, open_segment)

    def _judge(self, done: Future[Manifest | None], now: int) -> None:
        self._pass = None
        try:
            manifest = done.result()
        except Exception as exc:  # as above
            self._seal_at = now + int(SEAL_RETRY_S * SECOND)
            if not self._seal_failed:
                log.error("sealing failed: %s", exc, exc_info=_ours(exc))
                self._tell("unsealed", detail=f"sealing failed, and is tried again: {exc}")
            self._seal_failed = str(exc) or repr(exc)
            return
        self._seal_failed = ""
        if manifest is None:
            self._unsealed = False
        else:
            self.sealed.append(manifest)
            self._tell("sealed", events=manifest.events)

    def _seal_all(self, pause: Callable[[], object]) -> None:
        if self._pass is not None:
            self._judge(self._pass, 0)  # waits; it knew of an open segment
        self._unsealed, tries = True, LAST_TRIES
        while self._unsealed and tries:
            self._begin_pass("")
            assert self._pass is not None
            self._judge(self._pass, 0)
            if self._seal_failed:
                tries -= 1
                if tries:
                    pause()


def _ours(exc: Exception) -> Exception | None:
    """An error that is no fault of the disk's, and worth a traceback."""
    return None if isinstance(exc, RecordingError | OSError) else exc
