"""The run of `record`: a recorder on a feed, and what is told meanwhile."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..events import MARKET_TYPES, Gap, Head, RecorderStatus
from ..feed import Feed
from ..recording.raw_recorder import RawRecorder
from ..recording.recorder import Recorder
from ..recording.seal import JOURNAL, REJECTED
from ..recording.segments import FOLDER as RAW
from ..text import escaped
from . import _exit, _logs
from ._figures import clock, columns, many, size
from ._loop import Stop
from ._metrics import served
from ._notices import Notices
from ._reach import Reach
from ._show import BEHIND
from ._source import Watched, foretold, opened
from ._watch import BURST, LOOK_S, written
from ._writer import Writer

DRAW_S, LINE_S = 0.5, 60.0
"""Between two status lines: redrawn on a terminal, and one below the other."""
RATE_S = 5.0
"""A terminal shows the events a second of so long, else it is those since the line before."""
CLEAR = b"\r\x1b[2K"


class Plan(Watched, frozen=True, kw_only=True):
    """What `record` was asked to do; see its options."""

    folder: str
    rotate_s: float = 3600.0
    rotate_bytes: int = 64_000_000
    raw: bool = False
    duration_s: float | None = None


async def record(plan: Plan) -> int:
    """Run until there is a reason to end; the exit code. Raises what ends it with a message."""
    stop = Stop()
    writer = _Writer(lambda: None)  # nobody reads stdout: no reason to end
    tell = writer.tell
    try:
        with _logs.shown(writer, plan.verbose, plan.quiet):
            for line in foretold(plan.source, plan.book, quiet=plan.quiet):
                tell(line)
            async with opened(plan.source) as feed:
                with served(feed, plan.metrics, None if plan.quiet else tell):
                    code = await _Record(plan, feed, writer, stop).run()
    finally:
        writer.status("")
        await written(writer, stop)
    writer.check()
    return code


class _Writer(Writer):
    """A writer with a status line at the bottom of the terminal that stderr is; whatever is written takes its place."""

    _shown = False

    def status(self, text: str) -> None:
        """Show this in place of the status before."""
        if text or self._shown:
            self.put(text.encode(), err=True)
            self._shown = bool(text)

    def put(self, data: bytes, *, err: bool = False) -> None:
        """Write this after all that was put before; also called from the threads that log."""
        shown, self._shown = self._shown, False
        if shown:
            super().put(CLEAR + data if err else CLEAR, err=True)
        if not (shown and err):
            super().put(data, err=err)


class _Record:
    """One run."""

    def __init__(self, plan: Plan, feed: Feed, writer: _Writer, stop: Stop) -> None:
        self._plan, self._feed, self._writer, self._stop = plan, feed, writer, stop
        self._now = asyncio.get_running_loop().time
        self._redraws = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._notices = Notices(self._tell, verbose=plan.verbose, quiet=plan.quiet)
        self._consumer = feed.consumer(self._is_life, policy="drop_oldest", max_events=BURST, name="life")
        self._recorder = Recorder(
            feed,
            plan.folder,
            rotate_s=plan.rotate_s,
            rotate_bytes=plan.rotate_bytes,
            simulated=plan.source.simulated,
        )
        self._newest: Head | None = None
        self._journal = 0
        self._weighing: asyncio.Future[int] | None = None
        self._gaps = self._left_out = 0
        self._last = self._files = self._bytes = self._sealed = self._rejected = 0

    async def run(self) -> int:
        """Until there is a reason to end, and all is sealed."""
        async with contextlib.AsyncExitStack() as recorders:
            await recorders.enter_async_context(self._recorder)
            if self._plan.raw:  # the dataset's folder is there now, and nothing is subscribed to
                await recorders.enter_async_context(self._raw())
            self._began = self._drawn_at = self._sealed_at = self._now()
            self._past = deque([(self._began, 0)])
            self._reach = Reach(self._plan.subscribe(self._feed), self._plan.source, "record --to trial")
            try:
                await self._stop.amid(self._pump(), self._look, LOOK_S)
            finally:
                self._notices.flush()
            if self._redraws and not self._plan.quiet:
                self._writer.status("sealing what is left")
            self._leave_at_a_second_signal()
        return self._end()

    def _raw(self) -> RawRecorder:
        plan = self._plan
        return RawRecorder(self._feed, Path(plan.folder) / RAW, rotate_s=plan.rotate_s, simulated=plan.source.simulated)

    def _is_life(self, event: Head) -> bool:
        if type(event) not in MARKET_TYPES:
            return True
        self._newest = event
        return False

    async def _pump(self) -> None:
        async for events in self._consumer.batches():
            for event in events:
                self._event(event)

    def _event(self, event: Head) -> None:
        if isinstance(event, RecorderStatus):
            self._recorder_says(event)
            return
        self._gaps += isinstance(event, Gap)
        if self._reach.event(event):
            self._notices.release()
        self._notices.event(event)

    def _recorder_says(self, event: RecorderStatus) -> None:
        if event.status == "ended":  # by a fault: nothing more is recorded, and leaving it raises why
            self._stop.set(_exit.RECORDING)
        self._left_out += event.events if event.status in {"lagged", "resumed"} else 0
        # its troubles are in the log, as errors; what they cost is not
        told = self._plan.verbose or (event.status == "resumed" and event.events)
        if told and not self._plan.quiet:
            count = f" ({event.events:,} events)" if event.events else ""
            self._tell(": ".join(filter(None, (f"recorder: {event.status}{count}", escaped(event.detail)))))

    def _look(self) -> None:
        """End where the time is up, else say how it goes."""
        now = self._now()
        self._notices.flush()
        self._reach.check(now - self._began)
        self._tally()
        if self._plan.duration_s is not None and now - self._began >= self._plan.duration_s:
            self._reach.ended()
            self._stop.set(_exit.OK)
        elif not self._plan.quiet and now - self._drawn_at >= (DRAW_S if self._redraws else LINE_S):
            self._drawn_at = now
            self._draw(now)

    def _tally(self) -> None:
        for manifest in self._recorder.sealed:
            if manifest.last <= self._last:
                continue
            self._last = manifest.last
            self._sealed += manifest.events - sum(gap.cause == "rejected" for gap in manifest.gaps)
            self._rejected += sum(cut.startswith(REJECTED) for cut in manifest.cuts)
            self._files += len(manifest.files)
            self._bytes += sum(file.bytes for file in manifest.files)
            self._sealed_at = self._now()

    def _draw(self, now: float) -> None:
        events = self._recorder.events
        while self._redraws and len(self._past) > 1 and now - self._past[1][0] >= RATE_S:
            self._past.popleft()
        since, before = self._past[0] if self._redraws else self._past[-1]
        self._past.append((now, events))
        if not self._redraws:
            self._past.popleft()
        left = max(self._sealed_at + self._plan.rotate_s - now, 0.0)
        self._weigh()
        parts = [
            "SIMULATED" if self._plan.source.simulated else "",
            clock(now - self._began),
            f"{events:,} events",
            f"{(events - before) / max(now - since, 1e-3):,.0f}/s",
            f"lag {lag(self._newest)}",
            many(self._gaps, "gap"),
            f"journal {size(self._journal)}",
            f"{many(self._files, 'file')} {size(self._bytes)}",
            f"seals in {clock(left)}",
        ]
        text = "  ".join(filter(None, parts))
        if not self._redraws:
            self._tell(text)
        elif self._writer.backlog <= BEHIND:
            self._writer.status(text[: columns(sys.stderr) - 1])

    def _end(self) -> int:
        """Say what was recorded; the exit code. Raises Failed where not all of it is sealed."""
        self._tally()
        folder = escaped(self._plan.folder, 200)
        made_up = "SIMULATED " if self._plan.source.simulated else ""
        text = (
            f"recorded {self._recorder.events:,} {made_up}events in {many(self._files, 'file')} "
            f"({size(self._bytes)}) into {folder}, {many(self._gaps, 'gap')}"
        )
        text += f", {self._left_out:,} events left out" if self._left_out else ""
        self._writer.put(f"{text}\n".encode())
        if self._rejected:
            self._tell(f"{many(self._rejected, 'event')} did not fit any file: they are in {Path(folder, REJECTED)}")
        missing = self._recorder.events - self._sealed - self._rejected
        if missing > 0:
            held = Path(self._plan.folder) / JOURNAL
            raise _exit.Failed(
                _exit.ERROR,
                f"{missing:,} events are not sealed: what {held} holds of them is sealed at the next start",
            )
        return self._stop.code or _exit.OK

    def _weigh(self) -> None:
        """See how large the journal is, in a thread: the disk may not answer."""
        if self._weighing is None or self._weighing.done():
            self._journal = self._weighing.result() if self._weighing else 0
            self._weighing = asyncio.ensure_future(asyncio.to_thread(_bytes_in, Path(self._plan.folder) / JOURNAL))

    def _leave_at_a_second_signal(self) -> None:
        """A disk may never answer; what is in the journal is safe."""
        if not _exit.Process.ours:
            return
        loop = asyncio.get_running_loop()
        for name, code in ((signal.SIGINT, _exit.INTERRUPTED), (signal.SIGTERM, _exit.TERMINATED)):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(name, _leaving(code))

    def _tell(self, line: str) -> None:
        self._writer.put(f"marketfeed: {line}\n".encode(), err=True)


def _leaving(code: int) -> Callable[[], None]:
    def leave() -> None:
        _exit.complain("left before all was sealed: the rest is sealed at the next start")
        _exit.leave(code)

    return leave


def _bytes_in(folder: Path) -> int:
    found = 0
    with contextlib.suppress(OSError):  # also of a segment that is being removed
        for entry in os.scandir(folder):
            found += entry.stat().st_size
    return found


def lag(newest: Head | None) -> str:
    """How long after the venue's stamp an event was received; venues that give none have none."""
    if newest is None or not newest.ts_event:
        return "-"
    return f"{(newest.ts_recv - newest.ts_event) / 1e6:,.0f} ms"
