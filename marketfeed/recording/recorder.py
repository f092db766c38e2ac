"""`Recorder`: a feed's events into a dataset, by a thread of its own, so that no disk ever holds up the feed.

Events go into a journal, which is flushed every 100 ms and synced every second; a segment that is old or large enough
is sealed into Parquet by a process of its own. What a crash leaves is sealed at the next start. What is not recorded
is told: as `RecorderStatus` to every consumer, and in the recording itself. Loop, thread and process meet here: the
reason for its length.
"""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Self, TypeVar

from ..clock import Clock, SystemClock
from ..consumer import MAX_BYTES
from ..errors import ConfigError, RecordingError
from ..events import (
    BookDelta,
    BookSnapshot,
    Connected,
    Disconnected,
    Event,
    Gap,
    Head,
    Lagged,
    RecorderStatus,
    Refused,
    Subscribed,
    Unsubscribed,
    channel_of,
)
from ..feed import Feed
from ..log_limit import limited
from ..text import escaped
from .disk import Disk, Lock, RealDisk
from .journal import MAX_PAYLOAD, Journal
from .lock import FolderLock
from .losses import RECORDER
from .payload import pack
from .seal import JOURNAL, Manifest, Sealer, manifests
from .sealing import SealingProcess, Seals
from .sent_whole import Market, SentWhole
from .times import WAITED
from .writer import Limits, Writer

log = limited("marketfeed.recording")
T = TypeVar("T")

CHUNK = 2_000
"""Events packed at once, or levels of books, so that the loop is held for a millisecond or two."""
WORDS = (RecorderStatus, Lagged, Connected, Disconnected, Subscribed, Unsubscribed, Refused, Gap)
"""Events that say from when to when others are missing."""


class Recorder:
    """Records every event of a feed into the folder `path`, from `async with` on until it is left.

    `rotate_s` and `rotate_bytes` are how old and large the journal grows before it is sealed; `flush_s` is what a
    killed process may lose, `sync_s` what a power loss may take. `waiting_bytes` may wait for a slow disk: what comes
    beyond is left out, and told. `simulated` marks the dataset. `disk` and `clock` are for tests.

    Entering raises MissingExtra without pyarrow, and RecordingError for a folder that cannot be written to, that
    another recorder writes to, or that holds data of another kind. Leaving raises RecordingError for what is lost.
    """

    def __init__(
        self,
        feed: Feed,
        path: str | Path,
        *,
        rotate_s: float = 3600.0,
        rotate_bytes: int = 64 << 20,
        flush_s: float = 0.1,
        sync_s: float = 1.0,
        waiting_bytes: int = 256 << 20,
        simulated: bool = False,
        disk: Disk | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path)
        self.events = 0
        """Events taken so far."""
        self._feed = feed
        self._disk = disk or RealDisk()
        self._clock = clock or SystemClock()
        self._simulated = simulated
        self._limits = Limits(rotate_s, rotate_bytes, flush_s, sync_s)
        self._waiting_bytes = waiting_bytes
        self._left_out = _LeftOut()
        self._ending = False
        self._overflowed = 0
        self._sent_whole = SentWhole()
        self._executor = ThreadPoolExecutor(1, "marketfeed sealer")
        self._stop = threading.Event()
        self._opened: Future[tuple[Writer, int]] = Future()
        self._ended: Future[None] = Future()
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def sealed(self) -> list[Manifest]:
        """The newest passes of sealing that are done, up to ten, oldest first; `last` tells them apart."""
        return list(self._writer.sealed.copy()) if self._writer else []

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ConfigError("a recorder is entered once; make a new one")
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, name="marketfeed recorder", daemon=True).start()
        try:
            writer, last_ts = await asyncio.shield(asyncio.wrap_future(self._opened))
            self._consumer = self._feed.consumer(
                name="recorder",
                policy="drop_oldest",
                max_events=1_000_000,
                max_lag_s=inf,
                max_bytes=max(self._waiting_bytes, MAX_BYTES),
            )
        except BaseException:
            self._stop.set()
            with suppress(RecordingError):  # the first error tells more
                await _whole(asyncio.wrap_future(self._ended))
            raise
        self._writer = writer
        self._tell("started", ts_from=last_ts, ts_to=self._clock.unix_ns() if last_ts else 0)
        self._pump = asyncio.create_task(self._record(writer))
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._look_for_overflow()
        self._ending = True
        self._take_up()
        self._tell("ended")
        self._consumer.end()  # and not `close`: what waits is recorded
        try:
            await _whole(asyncio.ensure_future(self._finish()))
        except RecordingError as exc:
            log.error("%s", exc)
            if error is None:
                raise

    async def _finish(self) -> None:
        await asyncio.wait([self._pump])
        self._stop.set()
        await asyncio.wrap_future(self._ended)
        self._pump.result()

    async def _record(self, writer: Writer) -> None:
        """Hand on what comes; nothing here waits for the disk."""
        try:
            async for events in self._consumer.batches():
                for some in _chunks(self._sent_whole.dated(events)):
                    self._take(writer, some)
                    await asyncio.sleep(0)
                self._look_for_overflow()
        except Exception as exc:
            log.error("recording ends: %r", exc)
            self._consumer.close()
            self._tell("ended", detail=escaped(repr(exc), 200))
            raise _early(self.path, exc) from exc

    def _take(self, writer: Writer, events: list[Head]) -> None:
        left = self._left_out
        if writer.waiting > self._waiting_bytes // (2 if left.events else 1) and not self._ending:
            if not left.events:
                log.error("the disk is too slow: events are left out")
                self._tell("lagged", detail="the disk is too slow", ts_from=events[0].ts_recv)
            # they say what is missing, also of a time after this one; a feed's may be too many all the same
            kept = WORDS if writer.waiting <= 2 * self._waiting_bytes else RecorderStatus
            words: list[Head] = [event for event in events if isinstance(event, kept)]
            if words:
                self._give(writer, words)
            left.add([event for event in events if not isinstance(event, kept)])
            return
        self._take_up()
        self._give(writer, events)

    def _take_up(self) -> None:
        """After events were left out: say which, and have all books sent whole: no reader knows which lost some."""
        left = self._left_out
        if left.events:
            self._left_out = _LeftOut()
            at = self._mend(left.torn.union(self._books()))
            self._tell("resumed", ts_recv=at, ts_from=left.since, ts_to=left.until, events=left.events)

    def _look_for_overflow(self) -> None:
        """The queue's `Lagged` tells readers of the recording; it tells nobody else, and voids every book for them."""
        lost, self._overflowed = self._consumer.dropped - self._overflowed, self._consumer.dropped
        if lost and not self._ending:
            log.error("events came faster than they can be taken: %d are left out", lost)
            at = self._mend(self._books())
            self._tell("lagged", ts_recv=at, detail="events came faster than they can be taken", events=lost)

    def _books(self) -> set[Market]:
        return {(one.venue, one.symbol) for one in self._feed.stats().streams.values() if one.channel == "book"}

    def _mend(self, torn: Iterable[Market]) -> int:
        """Have these books sent whole, after the word that is to bear the time given back."""
        at = self._clock.unix_ns()
        self._consumer.torn.update(torn)
        self._sent_whole.ask(torn, at)
        return at

    def _give(self, writer: Writer, events: list[Head]) -> None:
        try:
            payload = pack(events, exact=self._feed.exact, simulated=self._simulated)
            if len(payload) > MAX_PAYLOAD:
                raise ValueError(f"it has {len(payload):,} bytes")
        except Exception as exc:  # whatever is in an event, the others are recorded
            if len(events) > 1:
                self._give(writer, events[: len(events) // 2])
                self._give(writer, events[len(events) // 2 :])
                return
            log.error("an event cannot be recorded: %r", exc)
            left = _LeftOut()
            left.add(events)
            at = 0
            if not isinstance(events[0], BookSnapshot):  # the same would come again, for ever
                at = self._mend(left.torn)
            detail = f"an event cannot be recorded: {escaped(repr(exc), 200)}"
            self._tell("lagged", ts_recv=at, detail=detail, ts_from=left.since, ts_to=left.until, events=1)
        else:
            self.events += len(events)
            writer.give(payload)

    def _tell(self, status: str, *, ts_recv: int = 0, **fields: Any) -> None:
        at = ts_recv or self._clock.unix_ns()
        self._feed.tell(RecorderStatus, venue=RECORDER, ts_recv=at, status=status, **fields)

    def _tell_soon(self, status: str, *, detail: str = "", events: int = 0) -> None:
        """Called by the writer. The word bears the time at which it happened, however late the loop hears of it."""
        assert self._loop is not None
        now = self._clock.unix_ns()
        with suppress(RuntimeError):  # the loop is closed, and nobody listens
            self._loop.call_soon_threadsafe(
                partial(self._tell, status, ts_recv=now, detail=escaped(detail, 500), events=events)
            )

    def _work(self) -> None:
        """All that the thread does; it lets the folder go, however it ends."""
        lock, error = None, None
        try:
            self._executor.submit(int).result()  # in an hour there may be no thread to have
            lock = self._lock()
            writer, last_ts = self._open(lock)
        except BaseException as exc:
            self._opened.set_exception(exc)
        else:
            self._opened.set_result((writer, last_ts))
            try:
                writer.run(self._stop)
            except BaseException as exc:
                log.error("recording has ended: %r", exc)
                self._tell_soon("ended", detail=repr(exc))
                error = exc if isinstance(exc, RecordingError) else _early(self.path, exc)
        self._executor.shutdown()
        if lock is not None:
            lock.release()
        self._ended.set_exception(error) if error else self._ended.set_result(None)

    def _lock(self) -> Lock:
        try:
            self._disk.make_folder(str(self.path))
            with suppress(PermissionError):  # a parent that cannot be read cannot be synced
                self._disk.sync_folder(str(self.path.parent))
            return self._disk.lock(str(self.path))
        except OSError as exc:
            raise _refused(self.path, exc) from exc

    def _open(self, lock: Lock) -> tuple[Writer, int]:
        """Seal what a crash left, and begin; gives the newest `ts_recv` recorded before, too."""
        from .. import __version__  # noqa: PLC0415 # the package's own, which is not whole while this is imported

        disk, path = self._disk, self.path
        try:
            sealer = Sealer(disk, path, __version__)
            sealer.finish()
            seals: Seals = sealer
            if isinstance(lock, FolderLock) and type(disk) is RealDisk:
                seals = SealingProcess(sealer, path, __version__, lock.number)
            while seals.seal():
                pass
            past = manifests(disk, path)
            self._check_kind(past)
            journal = Journal(
                disk,
                path / JOURNAL,
                sync_s=self._limits.sync_s,
                flush_s=0.0,
                segment_bytes=1 << 62,
                next_number=sealer.last + 1,
            )
        except OSError as exc:
            raise _refused(path, exc) from exc
        writer = Writer(journal, seals, self._executor, self._clock, self._limits, self._tell_soon)
        return writer, _newest(past, self._clock.unix_ns())

    def _check_kind(self, past: list[Manifest]) -> None:
        for manifest in past[-1:]:
            if manifest.simulated != self._simulated:
                kinds = ("simulated", "real") if manifest.simulated else ("real", "simulated")
                raise RecordingError(f"{self.path}: holds {kinds[0]} data; record {kinds[1]} data into another folder")
            if manifest.exact != self._feed.exact:
                kind = "exact" if manifest.exact else "float"
                raise RecordingError(f"{self.path}: holds {kind} numbers; record others into another folder")


class _LeftOut:
    """Events that are not recorded: how many, from when to when, and of which books."""

    def __init__(self) -> None:
        self.events = self.since = self.until = 0
        self.torn: set[tuple[str, str]] = set()

    def add(self, events: list[Head]) -> None:
        """Some more."""
        if not events:
            return
        self.events += len(events)
        self.since = self.since or events[0].ts_recv
        self.until = max(self.until, *(event.ts_recv for event in events))
        self.torn.update((event.venue, event.symbol) for event in events if channel_of(event) == "book")


def _chunks(events: list[Event[Any]]) -> Iterator[list[Head]]:
    """Events to be packed at once. What waited for a snapshot stays with it: a file of its own would stand before."""
    some: list[Head] = []
    size = newest = 0
    for event in events:
        if size >= CHUNK and event.ts_recv >= newest:
            yield some
            some, size = [], 0
        some.append(event)
        newest = max(newest, event.ts_recv)
        size += 1 + (len(event.bids) + len(event.asks) if isinstance(event, BookDelta | BookSnapshot) else 0)
    if some:
        yield some


async def _whole(waited: "asyncio.Future[T]") -> T:
    """Wait for something to its end, also when cancelled; the cancellation comes out then."""
    cancelled: asyncio.CancelledError | None = None
    while not waited.done():
        try:
            await asyncio.shield(waited)
        except asyncio.CancelledError as exc:
            cancelled = exc
        except Exception:  # noqa: S110 # comes out below
            pass
    if cancelled is not None:
        raise cancelled
    return waited.result()


def _newest(past: list[Manifest], now: int) -> int:
    """The last time of which something was recorded, 0 for none; not one that a clock has shown that was ahead."""
    times = [ts for manifest in past for file in manifest.files for ts in (file.ts_from, file.ts_to)]
    last = max(times, default=0)
    if last <= now + WAITED:
        return min(last, now)
    return max((ts for ts in times if ts <= now), default=last)


def _early(path: Path, exc: BaseException) -> RecordingError:
    return RecordingError(f"{path}: recording ended before it was to: {exc!r}")


def _refused(path: Path, exc: OSError) -> RecordingError:
    return RecordingError(f"{path}: cannot record there: {exc.strerror or exc}")
