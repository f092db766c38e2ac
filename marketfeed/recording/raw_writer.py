"""What the thread of a `RawRecorder` does: lines into segments, runs begun and ended, and disks that fail."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ..clock import Clock
from ..errors import RecordingError
from ..events import Head, Instrument, encode_json
from ..log_limit import limited
from ..taped import Input
from .digest import Digest
from .disk import Disk, Lock
from .raw_file import RawFile, mend, name
from .raw_lines import Redaction, lines_of
from .segments import PART, Segment

log = limited("marketfeed.recording")

SECOND = 1_000_000_000
RETRY_S = 1.0
"""Between two tries of a disk that refuses."""
LOST = "lost"
"""In place of inputs that had no room."""


class Kept(NamedTuple):
    """An input, and the events that it led to."""

    what: Input
    events: list[Head]


class _Run:
    """What a run has had so far. `opened` are the connections that can be lived through: those made within it."""

    def __init__(self, unix_ns: int, *, first: bool) -> None:
        self.first = first
        when = datetime.fromtimestamp(unix_ns // SECOND, UTC)
        self.name = f"{when:%Y%m%dT%H%M%S}.{unix_ns % SECOND:09d}Z"
        self.number = 0
        self.opened = {""}
        self.events = 0
        self.digest = Digest()
        self.exact = sha256()

    def take(self, events: list[Head]) -> None:
        """Take in the events of an input."""
        self.events += len(events)
        for event in events:
            self.digest.add(event)
            self.exact.update(encode_json(event) + b"\n")


class RawWriter:
    """Of one thread. `tell` is called with the status and detail of a `RecorderStatus`."""

    def __init__(
        self,
        disk: Disk,
        path: Path,
        clock: Clock,
        tell: Callable[[str, str], None],
        *,
        rotate_s: float,
        rotate_bytes: int,
        sync_s: float,
        simulated: bool,
    ) -> None:
        from .. import __version__  # noqa: PLC0415 # the package's own, which is not whole while this is imported

        self.lines = 0
        self._disk, self._path, self._clock, self._tell = disk, path, clock, tell
        self._rotate_ns, self._rotate_bytes, self._sync_ns = int(rotate_s * SECOND), rotate_bytes, int(sync_s * SECOND)
        self._simulated, self._version = simulated, __version__
        self._redaction = Redaction()
        self._abouts: dict[str, Input] = {}
        self._instruments: dict[tuple[str, str], Head] = {}
        """With what is said of each venue, how a run begins."""
        self._lock: Lock | None = None
        self._file: RawFile | None = None
        self._run: _Run | None = None
        self._synced = self._began = self._retry_at = 0
        self._refused = ""
        self._runs = 0

    def open(self) -> None:
        """Take the folder, and make whole what a crash left. Raises RecordingError."""
        folder = str(self._path)
        try:
            self._disk.make_folder(folder)
            self._lock = self._disk.lock(folder)
            for found in self._disk.listing(folder):
                if found.endswith(PART):
                    mend(self._disk, self._path / found, self._version, simulated=self._simulated)
        except BaseException as exc:
            self.release()
            if isinstance(exc, OSError):
                raise RecordingError(f"{folder}: cannot record there: {exc.strerror or exc}") from exc
            raise

    def release(self) -> None:
        """Let the folder go."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def step(self, take: Callable[[], Kept | None]) -> None:
        """Write what has come; what fails is told, and a new run begun when the disk takes data again."""
        now = self._clock.mono_ns()
        if now < self._retry_at:
            return
        try:
            while (kept := take()) is not None:
                self._put(kept)
            self._look_after(now)
        except Exception as exc:  # a fault of ours, too, must neither end the thread nor go unheard
            self._retry_at = now + int(RETRY_S * SECOND)
            self._break()
            if not self._refused:
                log.error("raw recording has paused: %s", exc, exc_info=None if isinstance(exc, OSError) else exc)
                self._tell("paused", str(exc) or repr(exc))
            self._refused = str(exc) or repr(exc)
        else:
            if self._refused and self._file is not None:
                self._refused = ""
                self._tell("resumed", "the disk takes data again; connections made from now on can be run again")

    def end(self, take: Callable[[], Kept | None]) -> str:
        """Write the rest and close; why that could not be, "" where it could."""
        self._retry_at = 0
        self.step(take)
        lost = self._refused
        try:
            if self._file is not None:
                self._close(self._file)
        except Exception as exc:  # a fault of ours, too: the folder is let go
            lost = str(exc) or repr(exc)
        if lost:
            log.error("the end of the raw recording is not whole: %s", lost)
        self.release()
        return lost

    def _put(self, kept: Kept) -> None:
        what, events = kept
        if what.dir == LOST:
            self._lose(what.more["inputs"])
            return
        if what.dir in ("about", "open"):
            self._redaction.meet(what.more["venue"])
        if what.dir == "about":
            self._abouts[what.more["venue"]] = what
        for event in events if what.dir == "told" else ():
            if isinstance(event, Instrument):
                self._instruments.pop((event.venue, event.symbol), None)  # a run begins with them as they were told
                self._instruments[event.venue, event.symbol] = event
        run = self._run
        if run is None or self._file is None:
            fresh = run is None
            run = self._open_file()
            if fresh and what.dir == "about":
                return  # a run begins with these, and with the instruments
            if fresh and what.dir == "told":
                events = [event for event in events if not isinstance(event, Instrument)]
        if what.dir == "open":
            run.opened.add(what.conn)
        if what.conn in run.opened:
            self._add(run, what, events)
        if what.dir == "close":
            run.opened.discard(what.conn)

    def _add(self, run: _Run, what: Input, events: list[Head]) -> None:
        assert self._file is not None
        run.take(events)
        for line in lines_of(what, events):
            self._file.add(self._redaction(line), what.recv_ns)
            self.lines += 1

    def _open_file(self) -> _Run:
        fresh = self._run is None
        run = self._run = self._run or _Run(self._clock.unix_ns(), first=not self._runs)
        run.number += 1
        self._began = self._clock.mono_ns()
        self._file = RawFile(self._disk, self._path / f"{run.name}-{run.number:06d}{PART}")
        self._disk.sync_folder(str(self._path))
        self._runs += fresh
        if fresh:
            for what in self._abouts.values():
                self._add(run, what, [])
            self._add(run, Input(dir="told", conn=""), list(self._instruments.values()))
        return run

    def _look_after(self, now: int) -> None:
        """Flush, sync and rotate."""
        file = self._file
        if file is None:
            return
        file.flush()
        if now - self._synced >= self._sync_ns:
            file.sync()
            self._synced = now
        if file.size >= self._rotate_bytes or now - self._began >= self._rotate_ns:
            self._close(file)

    def _lose(self, inputs: int) -> None:
        """There is a hole: what was before it is a run."""
        log.error("the disk is too slow: %d inputs are left out of the raw recording", inputs)
        self._tell("lagged", f"{inputs:,} inputs left out; connections made from now on can be run again")
        if self._file is not None:
            self._close(self._file)
        self._break()

    def _break(self) -> None:
        if self._file is not None:
            self._file.drop()
        self._file = self._run = None

    def _close(self, file: RawFile) -> None:
        run = self._run
        assert run is not None
        self._file = None
        digest = file.close()
        name(
            self._disk,
            self._path,
            Segment(
                version=self._version,
                run=run.name,
                number=run.number,
                lines=file.lines,
                bytes=file.size,
                sha256=digest,
                ts_from=file.ts_from,
                ts_to=file.ts_to,
                events=run.events,
                digest=run.digest.hexdigest(),
                exact_digest=run.exact.hexdigest() if run.first else "",
                simulated=self._simulated,
            ),
        )
