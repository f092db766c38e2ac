"""Sealing: after a crash or an error at any moment, every event that was synced is in the dataset, and once."""

import errno
import hashlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import structs

from marketfeed import events as ev
from marketfeed.errors import RecordingError

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq  # may be missing

from marketfeed.recording.journal import SUFFIX, Journal, read_segment, recover  # needs pyarrow
from marketfeed.recording.manifest import FORMAT, Manifest
from marketfeed.recording.payload import pack, unpack
from marketfeed.recording.seal import JOURNAL, MANIFESTS, PART, REJECTED, Sealer, manifests
from marketfeed.recording.tables import to_events

from .crash_disk import CrashDisk

ROOT = Path("/data")
FOLDER = ROOT / JOURNAL
MIDNIGHT = 20_550 * 86_400 * 10**9
ILL = (OSError, RecordingError)


def event(number: int) -> ev.Head:
    """A trade, from event 8 on one of the next day; each fifth event is of the recorder's own life."""
    head: dict[str, Any] = {"ts_recv": MIDNIGHT + number - 8, "seq_local": number}
    if number % 5 == 0:
        return ev.RecorderStatus(venue="recorder", status="sealed", events=number, **head)
    return ev.Trade(venue="kraken", symbol="BTC-USD", price=float(number), size=1.0, side="buy", id=str(number), **head)


class Folder:
    """A dataset on a crashing disk. `truth` is every event given to the journal, `promised` what it has synced."""

    def __init__(self, seed: int = 0) -> None:
        self.disk = CrashDisk(seed)
        self.disk.make_folder(str(ROOT))
        self.disk.sync_folder("/")
        self.truth: set[int] = set()
        self.promised: set[int] = set()
        self.sealer = sealer(self.disk)
        self.sealer.finish()
        self.journal = self.begin()

    def begin(self) -> Journal:
        self.journal = Journal(self.disk, FOLDER, next_number=self.sealer.last + 1, entropy=Random(1).randbytes)
        return self.journal

    def add(self, *frames: int) -> None:
        """Frames of so many events."""
        for count in frames:
            numbers = range(len(self.truth) + 1, len(self.truth) + count + 1)
            self.truth.update(numbers)
            self.journal.add(pack([event(number) for number in numbers], exact=False, simulated=False))

    def sync(self) -> None:
        self.journal.sync()
        self.promised = set(self.truth)

    def rotate(self) -> None:
        self.journal.rotate()
        self.promised = set(self.truth)


def sealer(disk: CrashDisk) -> Sealer:
    return Sealer(disk, ROOT, "1")


def loaded(seed: int = 0) -> Folder:
    """Twice sealed, which made two files a partition; then two closed segments and an open one with a tail."""
    folder = Folder(seed)
    folder.add(2, 1)
    folder.rotate()
    assert folder.sealer.seal(folder.journal.path) is not None
    folder.add(2)
    folder.rotate()
    folder.add(3, 2)
    folder.rotate()
    folder.add(1)
    folder.sync()
    folder.add(1)
    folder.journal.flush()
    return folder


@cache
def in_file(channel: str, data: bytes) -> list[ev.Head]:
    return to_events(channel, pq.ParquetFile(BytesIO(data)).read(use_threads=False))


def read(disk: CrashDisk, *, finished: bool = True) -> list[int]:
    """The numbers of all events in files that count, each checked whole and equal to what was recorded."""
    found: list[ev.Head] = []
    named = set()
    for manifest in manifests(disk, ROOT):
        passed: list[ev.Head] = []
        for entry in manifest.files:
            path = str(ROOT / entry.path)
            named.add(path)
            data = disk.read(path if path in disk.names else path + PART)
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256), path
            made = to_events(
                path.split("channel=")[1].split("/", maxsplit=1)[0], pq.read_table(BytesIO(data), partitioning=None)
            )
            assert len(made) == entry.rows
            assert (made[0].ts_recv, made[-1].ts_recv) == (entry.ts_from, entry.ts_to)
            passed += made
        assert len(passed) == manifest.events
        found += passed
    seen = {path for path in disk.names if path.endswith(".parquet")}
    assert seen <= named, "what a reader sees counts"
    if finished:
        assert seen == named
        assert not [path for path in disk.names if path.endswith(PART)]
    assert all(one == event(one.seq_local) for one in found)
    return [one.seq_local for one in found]


def held(disk: CrashDisk) -> set[int]:
    """The numbers of all events in segments."""
    frames = recover(disk, FOLDER).frames if str(FOLDER) in disk.names else []
    return {one.seq_local for _, payload in frames for one in unpack(payload).events()}


def segments(disk: CrashDisk) -> list[str]:
    return [path for path in disk.names if path.endswith(SUFFIX)]


def recovered(disk: CrashDisk, folder: Folder) -> None:
    """What a start does, and what must hold then."""
    again = sealer(disk)
    again.finish()
    again.seal()
    numbers = read(disk)
    assert len(numbers) == len(set(numbers)), "nothing twice"
    assert folder.promised <= set(numbers) <= folder.truth
    assert not any(recover_one(disk, path) for path in segments(disk)), "what is sealed is gone"


def recover_one(disk: CrashDisk, path: str) -> int:
    """How many frames a segment holds; one that lost all of them stays until a manifest tells it."""
    return len(read_segment(disk.read(path))[0])


def judge(disk: CrashDisk, folder: Folder) -> None:
    """Right after a crash: nothing promised is missing, no segment went before what it held was sealed."""
    sealed = read(disk, finished=False)
    assert len(sealed) == len(set(sealed))
    assert folder.promised <= set(sealed) | held(disk)


def crash_everywhere(seed: int, variants: int, again: int) -> int:
    """Crash at every boundary of a pass and of the end of a recording; `again` times during the recovery too."""
    dice, folder = Random(seed), loaded(seed)
    states = 0

    def boundary() -> None:
        nonlocal states
        for _ in range(variants):
            found = folder.disk.crash(dice)
            judge(found, folder)
            twice(found, folder, dice, again)
            recovered(found, folder)
            states += 1

    folder.disk.boundary = boundary
    folder.sealer.seal(folder.journal.path)
    folder.journal.close()
    folder.promised = set(folder.truth)
    folder.sealer.seal()
    folder.sealer.finish()
    folder.disk.boundary = lambda: None
    assert sorted(read(folder.disk)) == sorted(folder.truth)
    return states


def twice(disk: CrashDisk, folder: Folder, dice: Random, times: int) -> None:
    """Crash during the recovery, at some of its boundaries."""

    def boundary() -> None:
        if dice.random() < 0.1 and len(found) < times:
            found.append(disk.crash(dice))

    found: list[CrashDisk] = []
    disk.boundary = boundary
    if times:
        recovered(disk, folder)
    disk.boundary = lambda: None
    for one in found:
        judge(one, folder)
        recovered(one, folder)


def test_R02_R03_a_crash_at_every_boundary_of_a_pass_loses_and_doubles_nothing() -> None:
    assert crash_everywhere(seed=1, variants=2, again=1) > 100


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_R02_R03_the_same_in_many_more_states() -> None:
    assert sum(crash_everywhere(seed, variants=10, again=2) for seed in range(10)) > 5_000


def pass_and_end(folder: Folder, tries: int = 1) -> int:
    """A pass, more frames, another pass; each tried again until it is done. Returns how often it failed."""
    failed = 0

    def attempt(what: Callable[[], object]) -> None:
        nonlocal failed
        for _ in range(tries):
            try:
                what()
            except ILL:
                failed += 1
            else:
                return

    attempt(lambda: folder.sealer.seal(folder.journal.path))
    return failed


@pytest.mark.parametrize("ill_for", [3, *(pytest.param(ill, marks=pytest.mark.soak) for ill in (1, 40))])
def test_R04_R06_an_error_at_any_operation_harms_nothing_and_the_next_pass_takes_all(ill_for: int) -> None:
    well = loaded()
    before = well.disk.operations
    pass_and_end(well)
    dice = Random(ill_for)
    for nth in range(1, well.disk.operations - before + 1):
        folder = loaded()
        sealed = read(folder.disk)
        at = folder.disk.operations + nth
        folder.disk.fail = lambda number, at=at: errno.ENOSPC if at <= number < at + ill_for else 0  # type: ignore[misc]
        assert pass_and_end(folder) == 1, folder.disk.log[at - 1]
        folder.disk.fail = lambda number: 0
        assert set(sealed) <= set(read(folder.disk, finished=False)), "what was sealed stays"
        crashed = folder.disk.crash(dice)
        judge(crashed, folder)
        recovered(crashed, folder)
        folder.add(2)  # so that the next pass has other frames than the one that failed
        folder.rotate()
        folder.sealer.seal(folder.journal.path)
        numbers = read(folder.disk)
        assert sorted(numbers) == sorted(folder.truth), folder.disk.log[at - 1]
        assert segments(folder.disk) == [folder.journal.path]
        crashed = folder.disk.crash(dice)
        judge(crashed, folder)
        recovered(crashed, folder)


def test_errors_again_and_again_while_frames_come() -> None:
    for seed in range(12):
        dice, folder = Random(seed), Folder(seed)
        folder.disk.fail = lambda number: 0
        for _ in range(12):
            folder.add(dice.randint(1, 3))
            folder.rotate()
            folder.disk.fail = lambda number, dice=dice: errno.EIO if dice.random() < 1 / 30 else 0  # type: ignore[misc]
            pass_and_end(folder)
            folder.disk.fail = lambda number: 0
        crashed = folder.disk.crash(dice)
        judge(crashed, folder)
        recovered(crashed, folder)
        folder.sealer.seal(folder.journal.path)
        assert sorted(read(folder.disk)) == sorted(folder.truth)


def test_a_pass_says_what_it_did() -> None:
    folder = loaded()
    made = folder.sealer.seal(folder.journal.path)
    assert made is not None
    assert (made.first, made.last, made.events, made.cuts, made.gaps) == (3, 5, 7, [], [])
    assert [entry.path for entry in made.files] == [
        "venue=kraken/channel=trades/date=2026-04-06/000000000003-000000000005.parquet",
        "venue=kraken/channel=trades/date=2026-04-07/000000000003-000000000005.parquet",
        "venue=recorder/channel=life/date=2026-04-06/000000000003-000000000005.parquet",
        "venue=recorder/channel=life/date=2026-04-07/000000000003-000000000005.parquet",
    ]
    assert folder.sealer.seal(folder.journal.path) is None
    assert manifests(folder.disk, ROOT)[-1] == made
    assert segments(folder.disk) == [folder.journal.path]


def test_old_partitions_may_be_removed() -> None:
    folder = loaded()
    folder.journal.close()
    folder.sealer.seal()
    for path in [path for path in folder.disk.names if path.startswith(f"{ROOT}/venue=kraken")]:
        del folder.disk.names[path]
    again = sealer(folder.disk)
    again.finish()
    assert again.last == folder.sealer.last
    assert again.seal() is None


def test_what_a_torn_segment_lost_is_in_the_manifest() -> None:
    folder = loaded()
    folder.journal.close()
    folder.disk.truncate(folder.journal.path, folder.disk.size(folder.journal.path) - 3)
    folder.sealer.seal()
    cuts = manifests(folder.disk, ROOT)[-1].cuts
    assert len(cuts) == 1
    assert cuts[0].startswith(f"{Path(folder.journal.path).name}: ")
    assert cuts[0].endswith(" bytes: torn frame")


@pytest.mark.parametrize("sealed_before", [False, True], ids=["in-a-pass", "between-passes"])
@pytest.mark.parametrize("gone", [False, True], ids=["damaged", "removed"])
def test_R08_frames_that_damage_took_from_the_middle_are_a_hole(gone: bool, sealed_before: bool) -> None:
    folder = Folder()
    folder.add(2)
    folder.rotate()
    if sealed_before:
        folder.sealer.seal(folder.journal.path)
    folder.add(2)
    path = folder.journal.path
    folder.rotate()
    folder.add(3)
    folder.journal.close()
    if gone:
        folder.disk.remove(path)
    else:
        folder.disk.truncate(path, folder.disk.size(path) - 3)
    folder.sealer.seal()
    found = manifests(folder.disk, ROOT)
    hole = ev.RecorderStatus(
        venue="recorder",
        ts_recv=event(5).ts_recv,
        seq_local=4,
        status="lagged",
        detail="frames 2 to 2 of the journal are lost",
        ts_from=event(2).ts_recv,
        ts_to=event(5).ts_recv,
    )
    assert found[-1].holes == [hole]
    assert sum(manifest.events for manifest in found) == 2 + 1 + 3
    places = [entry.path for entry in found[-1].files if entry.path.startswith("venue=recorder")]
    assert hole in [e for path in places for e in in_file("life", folder.disk.read(f"{ROOT}/{path}"))]


def test_an_event_that_is_none_costs_no_other() -> None:
    """A decoder of a user's own may put anything into one, and only a reader looks."""
    folder = Folder()
    good = event(1)
    nothing: Any = "BUY"
    bad = ev.Trade(venue="mine", symbol="A-B", ts_recv=MIDNIGHT, price=1.0, size=1.0, side=nothing, id="7")
    late: Any = structs.replace(event(2), ts_event=1.5)
    head: Any = {"venue": "node", "symbol": "ETC", "ts_recv": MIDNIGHT, "seq_local": 3}
    block = ev.Block(**head, height=1, hash="a", difficulty=1.0, subsidy=10**25)  # which makes the frame JSON
    folder.journal.add(pack([good, bad], exact=False, simulated=False))
    folder.journal.add(pack([late, block], exact=False, simulated=False))
    folder.journal.add(pack([bad], exact=False, simulated=False))
    folder.journal.close()
    folder.sealer.seal()
    (made,) = manifests(folder.disk, ROOT)
    assert made.events == 2
    assert [cut.partition(": ")[2] for cut in made.cuts] == [
        "Invalid enum value 'BUY' - at `$[0].side`",
        "Expected `int`, got `float` - at `$[0].ts_event`",
        "Invalid enum value 'BUY' - at `$[0].side`",
    ]
    lines = folder.disk.read(f"{ROOT}/{REJECTED}/{Path(made.name).stem}.jsonl").splitlines()
    assert [msgspec.json.decode(line)["venue"] for line in lines] == ["mine", "kraken", "mine"]
    later = Folder()
    later.journal.add(pack([good], exact=False, simulated=False).replace(b"trade", b"later"))
    later.journal.close()
    with pytest.raises(RecordingError, match=r"holds no events of this version: .*'later'"):
        later.sealer.seal()


def test_frames_and_manifests_that_are_none_are_refused() -> None:
    folder = Folder()
    folder.journal.add(b'{"type":"nonsense"}')
    folder.journal.close()
    with pytest.raises(RecordingError, match="a frame of the journal holds no events"):
        folder.sealer.seal()
    assert segments(folder.disk), "and kept"
    handle = folder.disk.create(f"{ROOT}/{MANIFESTS}/1.json")
    handle.write(b"{")
    with pytest.raises(RecordingError, match=r"1\.json is no manifest"):
        sealer(folder.disk).finish()


def test_R10_a_manifest_of_a_later_format_is_refused() -> None:
    folder = Folder()
    kind = {"exact": False, "simulated": False}
    made = Manifest(version="9.0", first=1, last=1, **kind, events=0, files=[], gaps=[], holes=[], cuts=[])
    handle = folder.disk.create(f"{ROOT}/{MANIFESTS}/1.json")
    handle.write(msgspec.json.encode(msgspec.structs.replace(made, format=FORMAT + 1)))
    with pytest.raises(RecordingError, match=r"1\.json has format 2 of marketfeed 9\.0; this version reads .* up to 1"):
        manifests(folder.disk, ROOT)
