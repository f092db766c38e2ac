"""The recorder: what it holds is what others heard, whatever the disk does, and what is missing is told."""

import asyncio
import errno
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import marketfeed as mf
from marketfeed import events as ev
from marketfeed import sim
from marketfeed.book import Book
from marketfeed.errors import ConfigError, RecordingError
from marketfeed.recording.lines import decoder
from marketfeed.subscriptions import Subscription

from ..loopback.rig import plain
from ..virtual import until

pytest.importorskip("pyarrow")

from marketfeed.recording import Digest, sealing, writer  # needs pyarrow
from marketfeed.recording import open as open_recording
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.journal import Journal
from marketfeed.recording.lock import FolderLock
from marketfeed.recording.manifest import MANIFESTS, manifests
from marketfeed.recording.recorder import Recorder
from marketfeed.recording.seal import JOURNAL

from . import crash_disk
from .crash_disk import CrashDisk, CrashHandle
from .recorded import script, seal
from .run import MIDNIGHT, ROOT, SECOND, Run, sealed, trades


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PAUSE_S", 0.001)


def new_disk() -> CrashDisk:
    return CrashDisk()


def digest(events: list[Any]) -> str:
    """Of the numbers as floats: a Decimal comes back equal, with more zeros."""
    found = Digest()
    for event in events:
        found.add(decoder(False)(ev.encode_json(event)))
    return found.hexdigest()


def by_stream(events: list[Any]) -> dict[tuple[str, str], list[Any]]:
    streams = defaultdict(list)
    for event in events:
        streams[event.venue, ev.channel_of(event)].append(event)
    return streams


@pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
def test_what_is_recorded_is_what_a_consumer_heard(exact: bool, tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        async with sim.Simulator(["kraken", "binance", "coinbase"], seed=7, faults="drop=1%", rate=None) as plant:
            venues = {name: mf.VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()}
            async with mf.Feed(venues, exact=exact) as feed:
                one = Run(feed, tmp_path / "data")
                async with Recorder(feed, one.path, rotate_bytes=200_000, simulated=True) as recorder:
                    feed.subscribe("kraken:BTC-USD", "coinbase:BTC-USD", trades=True, ticker=True, book=True)
                    feed.subscribe("binance:BTC-USDT", trades=True, book=True)
                    async with asyncio.timeout(60):
                        while recorder.events < 3_000 or not recorder.sealed:
                            await plant.step(3)
                            await asyncio.sleep(0.001)
                live = one.events[: one.events.index(one.status("ended")) + 1]
                found = list(open_recording(one.path).events())
        assert sum(manifest.events for manifest in recorder.sealed) == recorder.events == len(live)
        assert len(recorder.sealed) > 1
        assert {manifest.simulated for manifest in recorder.sealed} == {True}
        assert {ev.Gap, ev.BookVoid, ev.Connected, ev.RecorderStatus, ev.Instrument} <= {type(e) for e in found}
        assert sorted(found, key=lambda event: event.seq_local) == live
        assert by_stream(found) == by_stream(live)
        assert digest(found) == digest(live)
        gaps = [gap for manifest in recorder.sealed for gap in manifest.gaps]
        assert gaps == [event for event in live if isinstance(event, ev.Gap)]

    run()


@plain
async def test_a_pass_begins_when_the_time_is_up_or_the_journal_large_enough() -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        async with one.recorder(rotate_s=60, rotate_bytes=50_000) as recorder:
            one.tell(3)
            await one.idle(recorder, 0)
            one.clock.move(59.9)
            one.tell(1)
            await one.idle(recorder, 0)
            assert not recorder.sealed
            one.clock.move(0.1)
            await one.until(lambda: recorder.sealed)
            assert recorder.sealed[0].events == 5  # with the word that it has started
            assert one.disk is not None
            assert trades(sealed(one.disk)) == [1, 2, 3, 4]
            one.tell(1_000)
            await one.until(lambda: len(recorder.sealed) > 1)
            assert sum(manifest.events for manifest in recorder.sealed) > 500
        assert trades(sealed(one.disk)) == list(range(1, 1_005))
        assert one.statuses()[:3] == ["started", "sealed", "sealed"]
        assert not [path for path in one.disk.names if path.startswith(f"{ROOT / JOURNAL}/")]


@plain
async def test_when_nothing_was_recorded_is_told_at_the_next_start() -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        async with one.recorder():
            one.tell(3)
        ended = one.clock.unix_ns()
        one.clock.move(100)
        async with one.recorder() as recorder:
            pass
        (told,) = recorder.sealed[0].holes
        assert (told.status, told.ts_from, told.ts_to) == ("started", ended, one.clock.unix_ns())  # type: ignore[union-attr]


@plain
async def test_R01_what_a_crash_left_is_sealed_at_the_next_start_and_the_hole_is_told() -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        assert one.disk is not None
        async with one.recorder(simulated=True) as recorder:
            one.tell(5)
            await one.idle(recorder)
            left = one.disk.killed()
        last = one.clock.unix_ns()
        one.disk = left
        one.clock.move(30)
        with pytest.raises(RecordingError, match="holds simulated data; record real data into another folder"):
            await one.recorder().__aenter__()
        assert {manifest.simulated for manifest in manifests(left, ROOT)} == {True}, "as it was recorded"
        async with one.recorder(simulated=True) as again:
            one.tell(1)
        assert trades(sealed(left)) == [1, 2, 3, 4, 5, 6]
        (hole,) = again.sealed[0].holes
        assert isinstance(hole, ev.RecorderStatus)
        assert hole.ts_from <= last
        assert hole.ts_to == one.clock.unix_ns()


@pytest.mark.parametrize(
    ("ahead_s", "away_s", "since_s"),
    [
        pytest.param(86_400, 100, 5, id="a-day-ahead"),
        pytest.param(3_600, 100, 5, id="an-hour-ahead"),
        pytest.param(10, 3, 8, id="a-little-ahead"),  # it may have been set back while nothing ran
    ],
)
async def test_a_clock_that_was_ahead_hides_no_hole(ahead_s: float, away_s: float, since_s: float) -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        assert one.disk is not None
        async with one.recorder() as recorder:
            one.clock.move(ahead_s)
            one.tell(3)
            one.clock.move(-ahead_s)
            one.tell(3)
            await one.idle(recorder, 0)
            left = one.disk.killed()
        one.disk = left
        one.clock.move(away_s)
        async with one.recorder() as recorder:
            pass
        (told,) = manifests(left, ROOT)[-1].holes
        assert isinstance(told, ev.RecorderStatus)
        assert (told.ts_from - MIDNIGHT) // SECOND in {since_s, since_s - 1}
        assert told.ts_to == told.ts_recv == one.clock.unix_ns()


@plain
async def test_a_folder_of_exact_numbers_takes_no_others() -> None:
    disk = new_disk()
    async with mf.Feed(exact=True) as feed, Run(feed, disk=disk).recorder():
        pass
    async with mf.Feed() as feed:
        with pytest.raises(RecordingError, match="holds exact numbers"):
            await Run(feed, disk=disk).recorder().__aenter__()
    assert not disk.locked


# the folder


HOLDER = """
import sys, time
from pathlib import Path
from marketfeed.recording.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", HOLDER, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_R09_a_second_recorder_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        async with mf.Feed() as feed:
            async with Recorder(feed, tmp_path):
                with pytest.raises(RecordingError, match=rf"another recorder writes there \(process {os.getpid()}\)"):
                    await Recorder(feed, tmp_path).__aenter__()
            with holder(tmp_path) as other:
                assert other.stdout is not None
                other.stdout.readline()
                with pytest.raises(RecordingError, match=rf"\(process {other.pid}\); name another folder"):
                    await Recorder(feed, tmp_path).__aenter__()
                other.kill()
                other.wait()
                async with Recorder(feed, tmp_path):
                    pass

    run()


def test_R09_the_sealing_process_of_a_killed_recorder_is_waited_for(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    held = FolderLock(tmp_path)
    (tmp_path / "_lock").write_text(str(dead.pid))
    threading.Timer(0.2, held.release).start()
    FolderLock(tmp_path).release()
    assert (tmp_path / "_lock").read_text() == str(os.getpid())


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to(path.parent / "elsewhere")


def no_parent(path: Path) -> None:
    path.parent.rmdir()


def a_linked_lock(path: Path) -> None:
    path.mkdir()
    (path / "_lock").symlink_to(path.parent / "target")


def a_linked_journal(path: Path) -> None:
    path.mkdir()
    (path / "_journal").symlink_to(path.parent)


@pytest.mark.parametrize("spoil", [a_file, a_link, no_parent, a_linked_lock, a_linked_journal])
def test_R05_a_folder_that_cannot_be_one_is_refused_with_the_reason(spoil: Any, tmp_path: Path) -> None:
    path = tmp_path / "in" / "data"
    path.parent.mkdir()
    spoil(path)
    before = sorted(tmp_path.rglob("*"))

    @plain
    async def run() -> None:
        async with mf.Feed() as feed:
            with pytest.raises(RecordingError, match=r"data: cannot record there: \w+"):
                await Recorder(feed, path).__aenter__()

    run()
    assert [found for found in sorted(tmp_path.rglob("*")) if found.name not in {"_lock", "_manifests"}] == [
        found for found in before if found.name not in {"_lock", "_manifests"}
    ], "nothing is written through a link"


@plain
async def test_R10_a_dataset_without_manifests_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Its files count because there are none: the first one would take them from every reader."""
    data = seal(tmp_path / "data", script().events)
    shutil.rmtree(data / MANIFESTS)
    before = len(list(open_recording(data).events()))
    assert before
    async with mf.Feed() as feed:
        with pytest.raises(RecordingError, match=r"holds data without manifests .*; record into another folder"):
            async with Recorder(feed, data):
                pass
    assert not (data / MANIFESTS).exists()
    assert len(list(open_recording(data).events())) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_R05_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    @plain
    async def run() -> None:
        async with mf.Feed() as feed:
            with pytest.raises(RecordingError, match="cannot record there: Permission denied"):
                await Recorder(feed, tmp_path).__aenter__()

    run()


def test_R05_files_are_the_owners_alone(tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        async with mf.Feed() as feed, Recorder(feed, tmp_path / "data"):
            pass

    run()
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").rglob("*/") if path.is_dir()} == {0o700}


# a disk that fails


async def recorded_through(disk: CrashDisk, first: int, ill_for: int, number: int) -> tuple[Run, list[Any]]:
    """A run in which operations fail from the `first` on, so many of them; tried again where it is refused."""
    async with mf.Feed() as feed:
        one = Run(feed, disk=disk)
        at: list[int] = []

        def fail(operation: int) -> int:
            if first <= operation < first + ill_for:
                at.append(one.clock.now)
                return number
            return 0

        disk.fail = fail
        recorder = one.recorder(rotate_s=5)
        for _ in range(ill_for + 1):
            try:
                await recorder.__aenter__()
            except RecordingError as exc:
                assert "/data" in str(exc)  # noqa: PT017 # each must say where
                recorder = one.recorder(rotate_s=5)
            else:
                break
        began = len(at)
        for count in (3, 1, 4):
            one.tell(count)
            await one.idle(recorder)
            await one.until(lambda: not writer_of(recorder)._journal.unsynced_bytes, 0.25)
        await one.until(lambda: recorder.sealed or len(at) > began, 0.25)
        one.tell(2)
        await one.idle(recorder)
        try:
            await recorder.__aexit__(None, None, None)
        finally:
            disk.fail = lambda operation: 0
        for told, failed in zip(
            [e for e in one.events if getattr(e, "status", "") == "paused"], at[began:], strict=False
        ):
            assert told.ts_recv - (failed + one.clock.unix_ns() - one.clock.now) <= 10**9, "told within a second"
        return one, at


def writer_of(recorder: Recorder) -> Any:
    assert recorder._writer is not None
    return recorder._writer


@pytest.mark.parametrize(("ill_for", "number"), [(1, errno.EIO), (4, errno.ENOSPC)], ids=["once", "for-a-while"])
def test_R04_R06_an_error_at_any_operation_harms_nobody_and_loses_nothing(ill_for: int, number: int) -> None:
    failures = 0

    @plain
    async def run() -> None:
        nonlocal failures
        well = new_disk()
        await recorded_through(well, 0, 0, 0)
        for first in range(1, well.operations + 1):
            disk = new_disk()
            one, at = await recorded_through(disk, first, ill_for, number)
            failures += bool(at)
            assert threading.get_ident() not in disk.threads, "nothing of the disk is done on the loop's thread"
            assert trades(one.events) == list(range(1, 11)), "the live stream is unharmed"
            assert sorted(trades(sealed(disk))) == list(range(1, 11)), disk.log[first - 1]
            said = one.statuses()
            assert said.count("resumed") == said.count("paused"), (first, said, disk.log[first - 1])
            assert not disk.locked
        assert failures > well.operations * 0.9

    run()


@plain
async def test_R04_a_full_disk_pauses_the_recording_and_what_came_meanwhile_is_written_then() -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        disk = one.disk
        assert disk is not None
        async with one.recorder(rotate_s=5) as recorder:
            one.tell(10)
            await one.until(lambda: recorder.sealed, 0.5)
            before = {path: disk.read(path) for path in disk.names if path.endswith(".parquet")}
            disk.fail = lambda operation: errno.ENOSPC
            one.tell(10)
            await one.until(lambda: "paused" in one.statuses())
            files = len(disk.names)
            for _ in range(50):
                one.tell(10)
                one.clock.move(1.0)
                await asyncio.sleep(0.002)
            assert trades(one.events) == list(range(1, 521)), "the feed goes on"
            assert len(disk.names) == files, "no file a try"
            assert {path: bytes(disk.names[path].data) for path in before} == before  # type: ignore[union-attr]
            disk.fail = lambda operation: 0
            await one.until(lambda: "resumed" in one.statuses(), 0.5)
        assert [s for s in one.statuses() if "sealed" not in s] == ["started", "paused", "resumed", "ended"]
        assert "injected" in one.status("paused").detail
        found = sealed(disk)
        assert trades(found) == list(range(1, 521))
        assert [e.status for e in found if isinstance(e, ev.RecorderStatus) and "sealed" not in e.status] == [
            "started", "paused", "resumed", "ended",
        ]  # fmt: skip


@plain
async def test_R04_an_end_that_cannot_be_written_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        disk = one.disk
        assert disk is not None
        recorder = await one.recorder().__aenter__()
        one.tell(2)
        await one.idle(recorder)
        disk.fail = lambda operation: errno.ENOSPC
        one.tell(3)
        with pytest.raises(RecordingError, match=r"the last \d events may not be recorded: .*injected"):
            await recorder.__aexit__(None, None, None)
        assert not disk.locked
        assert "may not be recorded" in caplog.text
        disk.fail = lambda operation: 0
        async with one.recorder():
            pass
        assert trades(sealed(disk)) == [1, 2], "what was written before is there"


@plain
async def test_sealing_that_fails_is_told_and_tried_again() -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        disk = one.disk
        assert disk is not None
        ill = True

        def fail(operation: int) -> int:
            return errno.EIO if ill and disk.log[-1].endswith(".parquet.part") else 0

        disk.fail = fail
        async with one.recorder(rotate_s=5) as recorder:
            one.tell(2)
            await one.until(lambda: "unsealed" in one.statuses(), 0.5)
            one.tell(2)
            for _ in range(100):
                one.clock.move(1.0)
                await asyncio.sleep(0.001)
            assert one.statuses().count("unsealed") == 1, "told once"
            assert "paused" not in one.statuses()
            ill = False
            await one.until(lambda: recorder.sealed, 0.5)
        assert trades(sealed(disk)) == [1, 2, 3, 4]


class SlowDisk(CrashDisk):
    """One that writes nothing while `gate` is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.stuck = threading.Event()


class SlowHandle(CrashHandle):
    def write(self, data: bytes) -> None:
        assert isinstance(self.disk, SlowDisk)
        if not self.disk.gate.is_set():
            self.disk.stuck.set()
        self.disk.gate.wait(20)
        super().write(data)


def slow(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    monkeypatch.setattr(crash_disk, "CrashHandle", SlowHandle)
    return SlowDisk()


def test_a_slow_disk_holds_up_nobody_and_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """R07."""

    @plain
    async def run() -> None:
        disk = slow(monkeypatch)
        async with mf.Feed() as feed:
            one = Run(feed, disk=disk)
            async with one.recorder(waiting_bytes=100_000) as recorder:
                one.tell(10)
                await one.idle(recorder)
                disk.gate.clear()
                one.tell(1)
                await one.until(disk.stuck.is_set)
                for _ in range(300):
                    one.tell(10)
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                assert trades(one.events) == list(range(1, 3_012))
                assert one.statuses()[-1] == "lagged"
                assert writer_of(recorder).waiting < 110_000
                disk.gate.set()
                await one.until(lambda: writer_of(recorder).waiting < 10_000)
                one.tell(5)
                await one.idle(recorder)
            threads, found = disk.threads.copy(), sealed(disk)
            kept, resumed = trades(found), one.status("resumed")
            left = sorted(set(range(1, 3_017)) - set(kept))
            assert kept == sorted(set(kept))
            assert left == list(range(left[0], left[0] + len(left))), "in one piece"
            times = {int(e.id): e.ts_recv for e in one.events if isinstance(e, ev.Trade)}
            assert (resumed.ts_from, resumed.ts_to) == (times[left[0]], times[left[-1]])
            assert resumed.events == len(left)
            words = [e.status for e in found if isinstance(e, ev.RecorderStatus)]
            assert words == one.statuses()[: len(words)], "words are kept"
            assert words[-1] == "ended"
            assert resumed in manifests(disk, ROOT)[0].holes
            assert threading.get_ident() not in threads

    run()


def test_R07_what_the_feed_says_is_missing_is_kept_while_events_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that is lost meanwhile is lost for longer than that."""

    @plain
    async def run() -> None:
        disk = slow(monkeypatch)
        async with mf.Feed() as feed:
            one = Run(feed, disk=disk)
            async with one.recorder(waiting_bytes=3_000) as recorder:
                disk.gate.clear()
                one.tell(20)
                await one.until(disk.stuck.is_set)
                while "lagged" not in one.statuses():
                    one.tell(20)
                    await asyncio.sleep(0.01)
                lost: Any = {"venue": "kraken", "symbol": "BTC-USD", "channel": "trades", "cause": "link lost"}
                feed.tell(ev.Gap, **lost, ts_recv=one.clock.unix_ns(), ts_from=one.clock.unix_ns() - 1)
                one.tell(20)
                await asyncio.sleep(0.01)
                many = [one.clock.unix_ns() + n for n in range(200)]
                for at in many:
                    feed.tell(ev.Gap, **lost, ts_recv=at)
                    await asyncio.sleep(0)
                assert writer_of(recorder).waiting < 7_000, "all of this is bounded"
                disk.gate.set()
            found = sealed(disk)
            gaps = [event for event in found if isinstance(event, ev.Gap)]
            assert gaps[0].ts_from
            assert len(gaps) < len(many)
            resumed = one.status("resumed")
            assert len(trades(found)) + len(gaps) + resumed.events == one.told + 1 + len(many)

    run()


def test_what_is_left_out_at_the_end_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """R07."""

    @plain
    async def run() -> None:
        disk = slow(monkeypatch)
        async with mf.Feed() as feed:
            one = Run(feed, disk=disk)
            async with one.recorder(waiting_bytes=1_000) as recorder:
                disk.gate.clear()
                for _ in range(20):
                    one.tell(10)
                    await asyncio.sleep(0.001)
                assert "lagged" in one.statuses()
                threading.Timer(0.05, disk.gate.set).start()
            found = sealed(disk)
            resumed = [event for event in one.events if getattr(event, "status", "") == "resumed"]
            assert len(trades(found)) + sum(event.events for event in resumed) == 200
            assert resumed
            assert all(event in found for event in resumed), "also one that was told while more was left out"
            assert recorder.events == len(found)

    run()


def test_a_book_that_lost_changes_to_a_slow_disk_is_asked_for_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """R07."""

    @plain
    async def run() -> None:
        disk = slow(monkeypatch)
        async with mf.Feed() as feed:
            one = Run(feed, disk=disk)
            mended: list[set[tuple[str, str]]] = []
            monkeypatch.setattr(feed._hub, "_mend", lambda consumer: mended.append(set(consumer.torn)))
            async with one.recorder(waiting_bytes=1_000) as recorder:
                disk.gate.clear()
                one.tell(1)
                await one.until(disk.stuck.is_set)
                one.tell(20)
                await asyncio.sleep(0.001)
                feed.tell(
                    ev.BookDelta, venue="v", symbol="A-B", ts_recv=9, epoch=1, seq=2, prev_seq=1, bids=(), asks=()
                )
                await asyncio.sleep(0.001)
                assert not mended
                disk.gate.set()
                await one.until(lambda: not writer_of(recorder).waiting)
                one.tell(1)
                await one.idle(recorder)
            assert mended[0] == {("v", "A-B")}

    run()


def test_a_quiet_book_that_lost_nothing_is_known_again_once_a_slow_disk_has_caught_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R07: readers cannot know of which books changes were left out, and take every one for void."""
    gate, stuck = threading.Event(), threading.Event()
    gate.set()
    write = Journal.add

    def slowly(journal: Journal, payload: bytes) -> int:
        if not gate.is_set():
            stuck.set()
        gate.wait(20)
        return write(journal, payload)

    @plain
    async def run() -> None:
        monkeypatch.setattr(Journal, "add", slowly)
        async with mf.Feed() as feed:
            one = Run(feed, tmp_path / "data")
            async with one.recorder(waiting_bytes=20_000) as recorder:
                opened(one)
                await one.idle(recorder)
                one.clock.move(60)
                gate.clear()
                one.tell(1)
                await one.until(stuck.is_set)
                while "lagged" not in one.statuses():
                    one.tell(100)
                    await asyncio.sleep(0.001)
                lost = one.status("lagged").ts_from
                one.tell(20)
                one.clock.move(60)
                gate.set()
                await one.until(lambda: not writer_of(recorder).waiting)
                one.tell(1)
                await one.until(lambda: "resumed" in one.statuses())
                resumed = one.status("resumed").ts_recv
                await one.idle(recorder)
                one.clock.move(60)
        data = open_recording(one.path)
        assert data.book_at("binance", "BTC-USDT", lost).state == "void"
        assert data.book_at("binance", "BTC-USDT", resumed).bids() == [(1.0, 1.0)]

    run()


@plain
async def test_changes_that_waited_for_a_snapshot_stay_with_it_however_large_it_is(tmp_path: Path) -> None:
    async with mf.Feed() as feed:
        one = Run(feed, tmp_path / "data")
        book: dict[str, Any] = {"venue": "binance", "symbol": "BTC-USDT", "epoch": 1}
        async with one.recorder(rotate_bytes=1_000) as recorder:
            one.clock.move(1)
            now = one.clock.unix_ns()

            def tell(kind: Any, ago: float, seq: int, bids: Any, **more: Any) -> None:
                number, at = feed._hub.outlet.number(), now - int(ago * 1e9)
                feed._hub.outlet.tell(kind(**book, **more, seq_local=number, ts_recv=at, seq=seq, bids=bids))

            tell(ev.BookSnapshot, 0, 1, tuple((float(n), 1.0) for n in range(3_000, 0, -1)), asks=())
            for seq in range(2, 6):
                tell(ev.BookDelta, 0.9 - seq / 10, seq, ((3_000.0, float(seq)),), asks=(), prev_seq=seq - 1)
            feed._hub.deliver()
            await one.until(lambda: recorder.sealed)
            for seq in range(6, 8):
                tell(ev.BookDelta, 0, seq, ((3_000.0, float(seq)),), asks=(), prev_seq=seq - 1)
            feed._hub.deliver()
            await one.idle(recorder)
            one.clock.move(60)
    data = open_recording(one.path)
    assert len([file for file in data.files if file.channel == "book"]) > 1
    found = data.book_at("binance", "BTC-USDT", now)
    assert (found.state, found.seq) == ("live", 7)
    assert found.best()[0] == (3_000.0, 7.0)
    assert [event.seq for event in data.events("book") if isinstance(event, ev.BookSnapshot | ev.BookDelta)] == list(
        range(1, 8)
    )


def opened(one: Run) -> Any:
    """The stream of a book that was sent whole, one bid of 1.0 at 1.0, a second later."""
    one.clock.move(1)
    stream: Any = one.feed._hub.streams.get(Subscription("binance", "BTC-USDT", "book", 0))
    book: Book[float] = Book()
    book.bids.load([(1.0, 1.0)])
    stream.opened(None, book, 5, 0, 0, one.clock.unix_ns())
    one.feed._hub.deliver()
    return stream


@plain
async def test_a_quiet_book_that_stands_when_a_recorder_begins_again_is_known_from_there_on(tmp_path: Path) -> None:
    async with mf.Feed() as feed:
        one = Run(feed, tmp_path / "data")
        async with one.recorder() as recorder:
            stream = opened(one)
            await one.idle(recorder)
            one.clock.move(60)
        one.clock.move(60)
        async with one.recorder() as recorder:
            one.clock.move(1)
            stream.changed(6, ((1.0, 2.0),), (), 0, one.clock.unix_ns())
            feed._hub.deliver()
            await one.idle(recorder)
            found = one.clock.unix_ns()
            one.clock.move(60)
    data = open_recording(one.path)
    assert data.book_at("binance", "BTC-USDT", found).bids() == [(1.0, 2.0)]
    begun = [event.ts_recv for event in data.events("life") if isinstance(event, ev.RecorderStatus)][2]
    assert data.book_at("binance", "BTC-USDT", begun).bids() == [(1.0, 1.0)]
    assert data.book_at("binance", "BTC-USDT", begun - 1).state == "void"


@plain
async def test_a_book_that_is_sent_whole_after_a_loss_is_known_from_there_on(tmp_path: Path) -> None:
    """Also one of which nothing came since what was lost."""
    async with mf.Feed() as feed:
        one = Run(feed, tmp_path / "data")
        async with one.recorder() as recorder:
            stream = opened(one)
            await one.idle(recorder)
            lost = one.clock.unix_ns()
            one.clock.move(0.1)
            stream.view.book.bids.apply(((1.0, 2.0),))
            stream.changed(6, ((object(), 2.0),), (), 0, lost)  # as no recorder can keep it
            feed._hub.deliver()
            await one.idle(recorder)
            found = one.clock.unix_ns()
            one.clock.move(60)
    assert one.status("lagged").ts_from == lost
    data = open_recording(one.path)
    assert data.book_at("binance", "BTC-USDT", lost).state == "void"
    assert data.book_at("binance", "BTC-USDT", found).bids() == [(1.0, 2.0)]


# faults of ours, of the program around us, and hostile events


@plain
async def test_a_book_that_is_too_large_to_be_recorded_is_told_once_and_not_asked_for_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("marketfeed.recording.recorder.MAX_PAYLOAD", 2_000)
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        async with one.recorder() as recorder:
            stream = opened(one)
            book: Book[float] = Book()
            book.bids.load([(price / 100, 1.0) for price in range(1_000)])
            stream.opened(None, book, 6, 0, 0, one.clock.unix_ns())
            for _ in range(20):
                one.tell(1)
                await one.idle(recorder)
        assert one.statuses().count("lagged") == 1
        assert one.disk is not None
        assert trades(sealed(one.disk)) == list(range(1, 21))


def fault(payload: bytes) -> int:
    raise KeyError("a fault of ours")


def test_an_unexpected_error_in_the_thread_is_told_and_survived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @plain
    async def run() -> None:
        async with mf.Feed() as feed:
            one = Run(feed, disk=new_disk())
            async with one.recorder() as recorder:
                one.tell(1)
                await one.idle(recorder)
                journal = writer_of(recorder)._journal
                with monkeypatch.context() as patched:
                    patched.setattr(journal, "add", fault)
                    one.tell(3)
                    await one.until(lambda: "paused" in one.statuses(), 0.5)
                await one.until(lambda: "resumed" in one.statuses(), 0.5)
            assert "a fault of ours" in one.status("paused").detail
            assert "Traceback" in caplog.text
            assert one.disk is not None
            assert trades(sealed(one.disk)) == [1, 2, 3, 4]

    run()


@plain
async def test_a_burst_that_overflows_the_queue_is_told_in_the_data() -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        levels = tuple((float(price), 1.0) for price in range(20_000))
        async with one.recorder() as recorder:
            for number in range(80):  # 288 MB as a consumer reckons, in one turn of the loop
                feed.tell(
                    ev.BookSnapshot, venue="v", symbol="A-B", ts_recv=number + 1, epoch=1, seq=1, bids=levels, asks=()
                )
            await one.idle(recorder)
        assert one.disk is not None
        found = sealed(one.disk)
        (lagged,) = [event for event in found if isinstance(event, ev.Lagged)]
        kept = [event for event in found if isinstance(event, ev.BookSnapshot)]
        assert len(kept) + lagged.dropped == 80 + 1, "with the word that it has started"
        assert [hole for manifest in recorder.sealed for hole in manifest.holes] == [lagged]


def burst(one: Run, count: int) -> None:
    """So many large books in one turn of the loop: 75 are more than may wait."""
    levels = tuple((float(price), 1.0) for price in range(20_000))
    for number in range(count):
        at = one.clock.unix_ns() - count + number
        one.feed.tell(ev.BookSnapshot, venue="v", symbol="A-B", ts_recv=at, epoch=1, seq=1, bids=levels, asks=())


@pytest.mark.parametrize("other", [False, True], ids=["", "beside another word"])
@plain
async def test_every_book_is_sent_whole_after_the_queue_overflowed(tmp_path: Path, other: bool) -> None:
    """Its `Lagged` voids also those that lost nothing, and nobody but the recording reads it."""
    async with mf.Feed() as feed:
        one = Run(feed, tmp_path / "data")
        feed._clock = one.clock
        async with one.recorder() as recorder:
            opened(one)
            await one.idle(recorder)
            one.clock.move(600)
            burst(one, 10)
            await one.until(lambda: not len(recorder._consumer))
            burst(one, 60)  # while those ten are handed on
            if other:
                recorder._tell("resumed", detail="the disk takes data again")
            one.clock.move(0.5)
            burst(one, 20)
            await one.until(lambda: "lagged" in one.statuses())
            told = one.status("lagged")
            await one.idle(recorder)
            one.clock.move(60)
    data = open_recording(one.path)
    (lagged,) = [event for event in data.events("life") if isinstance(event, ev.Lagged)]
    assert told.events == lagged.dropped
    assert data.book_at("binance", "BTC-USDT", lagged.ts_recv - 1).state == "void"
    assert data.book_at("binance", "BTC-USDT", told.ts_recv).bids() == [(1.0, 1.0)]
    assert [event.ts_recv for event in data.events("book", venue="binance")][-1] == told.ts_recv
    assert data.missing().column("cause").to_pylist().count("lagged") == 1


@plain
async def test_an_overflow_at_the_very_end_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        async with one.recorder() as recorder:
            await one.idle(recorder)
            burst(one, 80)
        assert one.status("lagged").events == recorder._consumer.dropped
        assert "are left out" in caplog.text


@plain
async def test_an_event_that_cannot_be_packed_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        async with one.recorder() as recorder:
            one.tell(2)
            feed.tell(ev.Connected, venue="v", ts_recv=77, link="\ud800")
            feed.tell(
                ev.Block,
                venue="n",
                symbol="ETH",
                ts_recv=78,
                height=1,
                hash="0x",
                difficulty=0.0,
                subsidy=10**21,
                fees=0,
            )
            one.tell(2)
            await one.idle(recorder)
        assert one.disk is not None
        found = sealed(one.disk)
        assert sorted(trades(found)) == [1, 2, 3, 4]
        assert [event.subsidy for event in found if isinstance(event, ev.Block)] == [10**21]
        told = one.status("lagged")
        assert (told.events, told.ts_from, told.ts_to) == (1, 77, 77)
        assert told in found
        assert "surrogates" in caplog.text


@plain
async def test_leaving_is_whole_though_it_is_cancelled() -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        assert one.disk is not None
        recorder = await one.recorder().__aenter__()
        one.tell(100)
        leaving = asyncio.create_task(recorder.__aexit__(None, None, None))
        await asyncio.sleep(0)
        for _ in range(3):
            leaving.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert not one.disk.locked
        assert trades(sealed(one.disk)) == list(range(1, 101))


@plain
async def test_entering_leaves_nothing_behind_where_it_is_cancelled_or_fails() -> None:
    async with mf.Feed() as feed:
        for turns in range(6):
            one = Run(feed, disk=new_disk())
            assert one.disk is not None
            entering = asyncio.create_task(one.recorder().__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            entering.cancel()
            await asyncio.wait([entering])
            if not entering.cancelled():  # it was there first
                await entering.result().__aexit__(None, None, None)
            assert not one.disk.locked
        one = Run(feed, disk=new_disk())
        recorder = one.recorder()
    with pytest.raises(ConfigError, match="closed"):
        await recorder.__aenter__()
    assert one.disk is not None
    assert not one.disk.locked
    with pytest.raises(ConfigError, match="entered once"):
        await recorder.__aenter__()


@plain
async def test_a_feed_that_fails_ends_the_recording_loudly(caplog: pytest.LogCaptureFixture) -> None:
    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        recorder = await one.recorder().__aenter__()
        one.tell(3)
        recorder._consumer.end(RuntimeError("the feed's own fault"))
        await until(lambda: "recording ends" in caplog.text)
        with pytest.raises(RecordingError, match=r"recording ended before it was to: .*the feed's own fault"):
            await recorder.__aexit__(None, None, None)
        assert one.disk is not None
        assert trades(sealed(one.disk)) == [1, 2, 3]
        assert not one.disk.locked


# sealing in a process of its own


@plain
async def test_a_machine_without_a_thread_to_start_later_does_not_end_a_recording(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with mf.Feed() as feed:
        one = Run(feed, disk=new_disk())
        async with one.recorder(rotate_s=60) as recorder:
            with monkeypatch.context() as full:
                full.setattr(threading.Thread, "start", start)
                one.tell(3)
                await one.idle(recorder)
                one.clock.move(60)
                await one.until(lambda: recorder.sealed)
        assert one.statuses()[:3] == ["started", "sealed", "ended"]
        assert one.disk is not None
        assert trades(sealed(one.disk)) == [1, 2, 3]


@pytest.mark.parametrize("gone", [False, True], ids=["dying", "gone before it has its task"])
def test_a_sealing_process_that_is_killed_is_followed_by_another(
    gone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen(*arguments, **options))
        if len(started) == 1:
            started[0].kill()
            if gone:
                started[0].wait()
        return started[-1]

    monkeypatch.setattr(sealing, "Popen", start)

    @plain
    async def run() -> None:
        async with mf.Feed() as feed:
            one = Run(feed, tmp_path)
            async with one.recorder() as recorder:
                one.tell(5)
            assert [s for s in one.statuses() if s != "started"] == ["ended", "unsealed", "sealed"]
            assert "signal 9" in one.status("unsealed").detail
            assert len(recorder.sealed) == 1
        assert trades(list(open_recording(tmp_path).events())) == [1, 2, 3, 4, 5]
        assert len(started) == 2

    run()


@pytest.mark.parametrize("python", ["", "/bin/false"])
def test_without_a_python_to_start_it_is_sealed_here(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", python)

    @plain
    async def run() -> None:
        async with mf.Feed() as feed:
            one = Run(feed, tmp_path)
            async with one.recorder():
                one.tell(5)
        assert trades(list(open_recording(tmp_path).events())) == [1, 2, 3, 4, 5]
        assert ("no sealing process" in caplog.text) == bool(python)

    caplog.set_level(logging.WARNING)
    run()


def test_the_real_disk_is_what_a_recorder_writes_to() -> None:
    assert isinstance(Recorder(mf.Feed(), "somewhere")._disk, RealDisk)
