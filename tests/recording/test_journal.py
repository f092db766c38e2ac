"""The recorder's log: what was synced is there after any crash, once and in order, and nothing is invented."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.errors import RecordingError
from marketfeed.recording import journal as module
from marketfeed.recording.disk import Disk, RealDisk, _File
from marketfeed.recording.journal import (
    FRAME_BYTES,
    HEAD_BYTES,
    Journal,
    JournalFailed,
    read_segment,
    recover,
    segments,
)

from .crash_disk import CrashDisk

FOLDER = "/journal"
MS = 1_000_000


class Load:
    """A scripted load on a journal, with what it may expect of a recovery at any moment."""

    def __init__(self, disk: CrashDisk, seed: int) -> None:
        self.disk = disk
        self.random = Random(seed)
        self.truth: dict[int, bytes] = {}  # every payload ever given to a journal
        self.promised: set[int] = set()  # those that a sync has returned for
        self.failures = 0
        self.now = 0
        self.journal: Journal | None = None

    def open(self) -> Journal:
        """A journal in the folder; tried again while the disk fails."""
        while True:
            try:
                self.journal = Journal(
                    self.disk, FOLDER, segment_bytes=600, sync_bytes=400, entropy=self.random.randbytes
                )
                return self.journal
            except RecordingError:
                self.failures += 1

    def run(self, steps: int) -> None:
        """Adds, ticks, flushes, syncs, rotations; after a failure the journal is begun again."""
        journal = self.journal or self.open()
        for _ in range(steps):
            what = self.random.choice(("add", "add", "add", "add", "tick", "tick", "flush", "sync", "rotate"))
            payload = self.random.randbytes(self.random.choice((0, 1, 7, 30, 90))) if what == "add" else b""
            self.attempt(journal, what, payload)
        self.attempt(journal, "sync", b"")

    def attempt(self, journal: Journal, what: str, payload: bytes) -> None:
        try:
            if what == "add":
                self.truth[journal.next_number] = payload
                assert journal.add(payload) == max(self.truth)
            elif what == "tick":
                self.now += self.random.choice((30, 100, 700)) * MS
                journal.tick(self.now)
            else:
                getattr(journal, what)()
        except JournalFailed:
            assert journal.failed
            self.failures += 1
            self.reopen(journal)
        self.note(journal)

    def reopen(self, journal: Journal) -> None:
        while journal.failed:
            for call in (
                journal.flush,
                journal.sync,
                journal.rotate,
                lambda: journal.add(b"no"),
                lambda: journal.tick(0),
            ):
                with pytest.raises(JournalFailed, match="has failed"):
                    call()
            held = journal.lost_to_sync()
            assert held == [self.truth[number] for number in sorted(self.truth)[len(self.truth) - len(held) :]]
            try:
                assert journal.reopen() == len(held)
            except JournalFailed:
                self.failures += 1
                assert journal.lost_to_sync() == held

    def note(self, journal: Journal) -> None:
        """All but what the journal still holds back is promised."""
        held = len(journal.lost_to_sync())
        self.promised |= set(sorted(self.truth)[: len(self.truth) - held])

    def check(self, disk: Disk) -> tuple[int, int]:
        """Judge a recovery from `disk`; returns how many frames were found, and how many cuts."""
        try:
            frames, cuts, following = recover(disk, FOLDER)
        except RecordingError:
            assert not self.promised, "the folder went, and something was promised"
            return 0, 0
        numbers = [number for number, _ in frames]
        assert all(a < b for a, b in pairwise(numbers)), "in order, none doubled"
        assert all(self.truth.get(number) == payload for number, payload in frames), "nothing invented"
        assert self.promised <= set(numbers), "what was synced is there"
        assert following > max(numbers, default=0)
        assert not any("another payload" in cut.reason for cut in cuts)
        return len(frames), len(cuts)


def crash_everywhere(seed: int, steps: int, variants: int, fail: Callable[[int], int] = lambda number: 0) -> list[int]:
    """Crash states of one load: [states, states with a cut tail, states that lost what was never promised]."""
    disk = CrashDisk(seed)
    disk.fail = fail
    load, dice, figures = Load(disk, seed), Random(seed + 1), [0, 0, 0]

    def boundary() -> None:
        for _ in range(variants):
            found, cuts = load.check(disk.crash(dice))
            figures[0] += 1
            figures[1] += cuts > 0
            figures[2] += found < len(load.truth)

    disk.boundary = boundary
    load.run(steps)
    disk.fail = lambda number: 0
    assert load.check(disk)[0] == len(load.truth)
    return figures


def now_and_then(seed: int) -> Callable[[int], int]:
    """An EIO at one operation of twelve."""
    dice = Random(seed)
    return lambda number: errno.EIO if dice.random() < 1 / 12 else 0


def test_R02_R03_what_was_synced_outlives_a_crash_at_every_boundary() -> None:
    states, cut, lost = crash_everywhere(seed=1, steps=260, variants=16)
    assert states >= 3_000
    assert cut > states / 10, "the disk does tear"
    assert lost > states / 10


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_R02_R03_the_same_in_100000_states_and_with_errors() -> None:
    states = 0
    for seed in range(40):
        states += crash_everywhere(seed, steps=200, variants=12)[0]
        states += crash_everywhere(seed, 200, 12, now_and_then(seed))[0]
    assert states >= 100_000


@pytest.mark.parametrize("seed", range(4))
def test_R02_a_journal_goes_on_after_a_crash_and_a_crash_after_that(seed: int) -> None:
    dice = Random(seed)
    for round_ in range(40):
        load = Load(CrashDisk(), seed * 100 + round_)
        for _ in range(3):
            stop = load.disk.operations + dice.randint(4, 60)
            _run_until(load, stop)
            load.disk = load.disk.crash(dice)
            kept = dict(_frames(load.disk))
            assert load.promised <= set(kept)
            assert all(load.truth[number] == payload for number, payload in kept.items())
            load.truth = kept  # a number lost unsynced may be given again
            load.promised = set(kept)
            load.journal = None
        load.run(20)
        assert load.check(load.disk)[0] == len(load.truth)


class _Stop(Exception):
    pass


def _run_until(load: Load, operation: int) -> None:
    def boundary() -> None:
        if load.disk.operations >= operation:
            raise _Stop

    load.disk.boundary = boundary
    try:
        load.run(1_000)
    except _Stop:
        load.disk.boundary = lambda: None


def _frames(disk: CrashDisk) -> list[tuple[int, bytes]]:
    return recover(disk, FOLDER).frames if FOLDER in disk.names else []


def _ill(errors: dict[int, int], operation: int) -> int:
    return errors.get(operation, 0)


def test_R06_an_error_at_any_operation_loses_and_doubles_nothing() -> None:
    well = CrashDisk()
    Load(well, 5).run(60)
    for at in range(1, well.operations + 1):
        for ill_for, number in ((1, errno.EIO), (1, errno.ENOSPC), (4, errno.EDQUOT)):
            disk = CrashDisk(at)
            disk.fail = partial(_ill, dict.fromkeys(range(at, at + ill_for), number))
            load = Load(disk, 5)
            load.run(60)
            assert load.failures >= 1 if ill_for > 1 else load.failures == 1, (at, disk.log[at - 1])
            assert load.check(disk)[0] == len(load.truth)
            assert load.promised == set(load.truth)
            for variant in range(3):
                assert load.check(disk.crash(Random(variant)))[0] == len(load.truth)


@pytest.mark.parametrize("seed", range(3))
def test_R06_errors_and_crashes_together(seed: int) -> None:
    states, _, _ = crash_everywhere(seed, 60, 6, now_and_then(seed))
    assert states > 300


def segment(payloads: list[bytes], first: int = 1, key: bytes = b"8 bytes.") -> bytes:
    disk = CrashDisk()
    journal = Journal(disk, FOLDER, next_number=first, entropy=lambda size: key)
    for payload in payloads:
        journal.add(payload)
    journal.close()
    return disk.read(journal.path)


@given(st.lists(st.binary(max_size=200), max_size=30), st.integers(1, 2**63))
def test_a_segment_comes_back(payloads: list[bytes], first: int) -> None:
    data = segment(payloads, first)
    assert read_segment(data) == (list(enumerate(payloads, first)), len(data), "")
    assert len(data) == HEAD_BYTES + sum(FRAME_BYTES + len(payload) for payload in payloads)


def test_R08_every_flipped_bit_ends_the_segment_at_its_frame() -> None:
    dice = Random(3)
    payloads = [dice.randbytes(dice.randint(0, 60)) for _ in range(40)]
    data = segment(payloads)
    frames, ends = read_segment(data)[0], [HEAD_BYTES]
    for payload in payloads:
        ends.append(ends[-1] + FRAME_BYTES + len(payload))
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found, good, reason = read_segment(bytes(flipped))
        whole = sum(end <= bit // 8 for end in ends) - 1  # frames that end before the flip; -1 in the head
        assert found == frames[: max(0, whole)], bit
        assert good == (ends[whole] if whole >= 0 else 0)
        assert reason


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_garbage_never_raises_and_gives_a_prefix(garbage: bytes, start: int, cut: int) -> None:
    data = segment([b"one", b"", b"three" * 20, b"four"])
    frames = read_segment(data)[0]
    for broken in (garbage, data[:start] + garbage + data[cut:], data[:cut]):
        found, good, reason = read_segment(broken)
        assert found == frames[: len(found)] or broken[:HEAD_BYTES] != data[:HEAD_BYTES]
        assert good + bool(reason) <= len(broken) or not broken
        assert bool(reason) == (good < len(broken))


def test_frames_of_another_segment_or_another_place_end_it() -> None:
    ours, theirs = segment([b"aa", b"bb", b"cc"]), segment([b"aa", b"bb", b"cc"], key=b"another.")
    step, one = FRAME_BYTES + 2, HEAD_BYTES + FRAME_BYTES + 2
    assert ours[one : one + 8] != theirs[one : one + 8]
    for wrong in (
        ours[:one] + theirs[one:],
        ours[:one] + ours[one + step :],  # one is missing
        ours[:one] + ours[HEAD_BYTES:one],  # one is there twice
        ours[:one] + bytes(200),
    ):
        assert read_segment(wrong) == ([(1, b"aa")], one, "wrong checksum or number")
    assert read_segment(b"MFJ\x02" + ours[4:])[2] == "no head of a journal's segment"
    assert read_segment(b"") == ([], 0, "")


def test_flush_sync_and_rotation_when_due() -> None:
    disk = CrashDisk()
    journal = Journal(disk, FOLDER, segment_bytes=300)
    assert journal.tick(1000 * MS) is None
    assert (journal.pending_bytes, journal.unsynced_bytes) == (0, 0)
    assert journal.add(b"x" * 84) == 1
    assert (journal.pending_bytes, journal.unsynced_bytes) == (100, 100)
    journal.tick(1099 * MS)
    assert journal.pending_bytes == 100
    journal.tick(1100 * MS)
    assert (journal.pending_bytes, journal.unsynced_bytes) == (0, 100)
    journal.tick(1999 * MS)
    assert journal.unsynced_bytes == 100
    before = disk.operations
    journal.tick(2000 * MS)
    assert journal.unsynced_bytes == 0
    assert disk.log[before:] == [f"sync {journal.path}"]
    journal.add(b"y" * 300)
    closed, read = journal.path, journal.tick(2001 * MS)
    assert read == closed == f"{FOLDER}/0000000001.journal"
    assert journal.path == f"{FOLDER}/0000000002.journal"
    journal.close()
    journal.close()
    assert [number for number, _ in recover(disk, FOLDER).frames] == [1, 2]
    with pytest.raises(JournalFailed, match="is closed"):
        journal.add(b"")


def test_what_is_unsynced_has_a_bound() -> None:
    journal = Journal(CrashDisk(), FOLDER, sync_bytes=1000)
    for _ in range(200):
        journal.add(b"z" * 90)
        assert journal.unsynced_bytes < 1000
        assert sum(map(len, journal.lost_to_sync())) < 1000


def test_a_well_journal_is_not_reopened_and_a_huge_payload_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAYLOAD", 10)
    journal = Journal(CrashDisk(), FOLDER)
    path = journal.path
    assert journal.reopen() == 0
    assert journal.path == path
    with pytest.raises(ValueError, match="11 bytes is more than 10"):
        journal.add(bytes(11))
    assert journal.next_number == 1


def test_numbers_go_on_where_the_folder_ends_even_if_all_was_sealed_and_removed() -> None:
    disk = CrashDisk()
    journal = Journal(disk, FOLDER)
    for _ in range(5):
        journal.add(b"p")
    closed = journal.rotate()
    journal.close()
    disk.remove(closed)
    assert recover(disk, FOLDER) == ([], [], 6)
    again = Journal(disk, FOLDER)
    assert (again.path, again.next_number) == (f"{FOLDER}/0000000003.journal", 6)


def test_two_payloads_under_one_number_are_told() -> None:
    disk = CrashDisk()
    for payload in (b"one", b"other"):
        journal = Journal(disk, FOLDER, next_number=1)
        journal.add(payload)
        journal.close()
    found = recover(disk, FOLDER)
    assert found.frames == [(1, b"one")]
    assert found.cuts == [(f"{FOLDER}/0000000002.journal", 5, "another payload has number 1")]


def test_R05_the_real_disk_keeps_files_private_and_follows_no_link(tmp_path: Path) -> None:
    disk, folder = RealDisk(), tmp_path / "j"
    journal = Journal(disk, folder)
    journal.add(b"a")
    journal.close()
    (folder / "notes.txt").write_text("not ours")
    assert (folder.stat().st_mode & 0o777, os.stat(journal.path).st_mode & 0o777) == (0o700, 0o600)
    assert segments(disk, str(folder)) == ["0000000001.journal"]
    assert os.stat(journal.path).st_size == HEAD_BYTES + FRAME_BYTES + 1
    os.truncate(journal.path, HEAD_BYTES + 3)
    assert recover(disk, folder) == ([], [(journal.path, 3, "torn frame")], 1)
    link, target = str(folder / "0000000002.journal"), tmp_path / "target"
    os.symlink(target, link)
    for refused in (disk.create, disk.read):
        with pytest.raises(OSError):
            refused(link)
    with pytest.raises(RecordingError, match="0000000002"):
        recover(disk, folder)
    assert not target.exists()
    disk.rename(journal.path, link)
    assert disk.read(link)[:4] == b"MFJ\x01"
    disk.remove(link)
    assert disk.listing(str(folder)) == ["notes.txt"]
    for path in (folder / "notes.txt", tmp_path / "link"):
        if not path.exists():
            path.symlink_to(folder)
        with pytest.raises(JournalFailed, match="is no folder"):
            Journal(disk, path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no always-full device")
def test_R04_a_full_disk_is_an_error_of_the_write() -> None:
    handle = _File(os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(OSError, match="No space left"):
        handle.write(b"x")
    handle.close()


def test_a_write_that_the_system_cuts_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda number, data: write(number, data[:3]))
    handle = RealDisk().create(str(tmp_path / "f"))
    handle.write(b"0123456789")
    handle.sync()
    handle.close()
    assert RealDisk().read(str(tmp_path / "f")) == b"0123456789"


VICTIM = """
import sys
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.journal import Journal
journal = Journal(RealDisk(), sys.argv[1], segment_bytes=20_000)
while True:
    for _ in range(journal.next_number % 7 + 1):
        number = journal.add(b"%d " % journal.next_number * (journal.next_number % 50))
    journal.flush()
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    journal.tick(number * 1_000_000)
"""


def test_R01_a_killed_process_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    following = 1
    for lines in (1, 40, 300):
        with subprocess.Popen([sys.executable, "-c", VICTIM, str(tmp_path / "j")], stdout=subprocess.PIPE) as victim:
            assert victim.stdout is not None
            flushed = [int(victim.stdout.readline()) for _ in range(lines)]
            victim.kill()
            flushed += [int(line) for line in victim.stdout.read().split(b"\n")[:-1]]
        found = recover(RealDisk(), tmp_path / "j")
        assert flushed[0] >= following, "a journal goes on where the one before it ended"
        following = found.next_number
        assert found.frames == [(n, b"%d " % n * (n % 50)) for n in range(1, following)]
        assert following > flushed[-1]
