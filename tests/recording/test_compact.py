"""Compaction: fewer files, the same dataset; a crash or an error at any moment leaves the old one or the new one."""

import errno
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from marketfeed import events as ev
from marketfeed.errors import RecordingError

pa = pytest.importorskip("pyarrow")

import pyarrow.parquet as pq  # noqa: E402 # may be missing

from marketfeed.recording import Digest, _merge, tables  # noqa: E402 # needs pyarrow
from marketfeed.recording.compact import Compaction, compact  # noqa: E402
from marketfeed.recording.dataset import open_dataset, partition  # noqa: E402
from marketfeed.recording.disk import Disk, RealDisk  # noqa: E402
from marketfeed.recording.lock import FolderLock  # noqa: E402
from marketfeed.recording.manifest import MANIFESTS, Entry, Manifest, every_manifest, manifests  # noqa: E402
from marketfeed.recording.seal import JOURNAL, PART, Sealer  # noqa: E402

from .crash_disk import CrashDisk  # noqa: E402
from .test_dataset import DAY, MIDNIGHT, SECOND, market  # noqa: E402

ROOT = Path("/data")
TODAY = "2026-04-07"  # the date of MIDNIGHT


class At:
    """A clock that stands."""

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def unix_ns(self) -> int:
        return self.ns

    def mono_ns(self) -> int:
        return self.ns


def put(disk: Disk, path: Path, data: bytes) -> None:
    file = disk.create(str(path))
    file.write(data)
    file.sync()
    file.close()
    disk.sync_folder(str(path.parent))


def folders(disk: Disk, root: Path, path: str) -> None:
    at = root
    for name in path.split("/"):
        at = at / name
        disk.make_folder(str(at))
        disk.sync_folder(str(at.parent))


def add_pass(disk: Disk, root: Path, events: Sequence[ev.Head], first: int, last: int, **said: Any) -> None:
    """What a pass of the recorder leaves, the events of each file in the order given."""
    kind = {"exact": False, "simulated": True} | {name: said.pop(name) for name in ("exact", "simulated") & said.keys()}
    held: dict[tuple[str, int], list[ev.Head]] = defaultdict(list)
    for event in events:
        held[event.venue, event.ts_recv // DAY].append(event)
    files = []
    for (venue, day), some in held.items():
        for channel, table in tables.to_tables(some, kind["exact"], simulated=kind["simulated"]).items():
            path = f"{partition(venue, channel, day * DAY)}/{first:012d}-{last:012d}.parquet"
            folders(disk, root, path.rpartition("/")[0])
            body = BytesIO()
            tables.write(table, body)
            data = body.getvalue()
            put(disk, root / path, data)
            times = table["ts_recv"].cast("int64").to_pylist()
            digest = hashlib.sha256(data).hexdigest()
            files.append(Entry(path, table.num_rows, len(data), digest, min(times), max(times)))
    folders(disk, root, MANIFESTS)
    manifest = Manifest(version="0", first=first, last=last, events=len(events), files=files, **kind,
                        **({"gaps": [], "holes": [], "cuts": []} | said))  # fmt: skip
    put(disk, root / MANIFESTS / manifest.name, msgspec.json.encode(manifest))


def save(root: Path, events: Sequence[ev.Head], each: int = 250, **said: Any) -> None:
    for n, start in enumerate(range(0, len(events), each)):
        add_pass(RealDisk(), root, events[start : start + each], 10 * n + 1, 10 * n + 10, **said)


def digest(events: Sequence[ev.Head]) -> str:
    found = Digest()
    for event in events:
        found.add(event)
    return found.hexdigest()


def files(root: Path) -> list[Path]:
    return sorted(root.glob("venue=*/channel=*/date=*/*"))


@pytest.mark.parametrize("number", [float, Decimal], ids=["float", "exact"])
def test_rows_order_and_digest_stay(number: Any, tmp_path: Path) -> None:
    events = market(number)
    save(tmp_path, events, exact=number is Decimal)
    before, told, digits = files(tmp_path), [], digest(list(open_dataset(tmp_path).events()))
    done = compact(tmp_path, everything=True, tell=lambda partition, many: told.append((partition, many)))
    after = list(open_dataset(tmp_path).events())
    assert after == events
    assert digest(after) == digits
    left = files(tmp_path)
    assert len(left) == len({path.parent for path in before}) < len(before)
    assert (done.files_before - done.files_after, done.left) == (len(before) - len(left), [])
    assert len(told) == done.partitions == done.files_after
    (manifest,) = manifests(RealDisk(), tmp_path)
    assert (manifest.first, manifest.last, manifest.events) == (1, 80, len(events))
    assert sorted(tmp_path / entry.path for entry in manifest.files) == left
    for entry in manifest.files:
        body = (tmp_path / entry.path).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (entry.bytes, entry.sha256)
        made = pq.ParquetFile(tmp_path / entry.path)
        assert made.metadata.num_rows == entry.rows
        assert made.schema_arrow.metadata[b"marketfeed.simulated"] == b"true"
        assert made.metadata.row_group(0).sorting_columns, "what is sorted still says so"
    assert compact(tmp_path, everything=True).partitions == 0, "nothing is left to do"


def out_of_order(seed: int) -> list[list[ev.Head]]:
    """Files of trades that overlap, each with rows that came late: what waited for a snapshot does."""
    dice, made, seq = Random(seed), [], 0
    for n in range(dice.randint(2, 5)):
        now, held = MIDNIGHT + dice.randint(10, 40) + 10 * n, list[ev.Head]()
        for _ in range(dice.randint(1, 40)):
            seq += 1
            now += dice.choice((0, 0, 1, 2))
            late = dice.choice((0, 0, 0, 0, 5))
            head: dict[str, Any] = {"venue": "kraken", "symbol": "BTC-USD", "ts_recv": now - late, "seq_local": seq}
            held.append(ev.Trade(**head, price=float(seq), size=1.0, side="buy", id=str(seq)))
        made.append(held)
    return made


@pytest.mark.parametrize("seed", range(20))
def test_files_that_overlap_are_merged_as_readers_merge_them(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, held in enumerate(out_of_order(seed)):
        add_pass(RealDisk(), tmp_path, held, n + 1, n + 1)
    before = list(open_dataset(tmp_path).events())
    monkeypatch.setattr(_merge, "BATCH", 7)
    monkeypatch.setattr(_merge, "ROW_GROUP", 16)
    compact(tmp_path, everything=True)
    (path,) = files(tmp_path)
    assert list(open_dataset(tmp_path).events()) == before
    assert pq.ParquetFile(path).metadata.num_row_groups == -(-len(before) // 16)


def test_today_is_left_alone(tmp_path: Path) -> None:
    events = market()
    save(tmp_path, events)
    before = files(tmp_path)
    compact(tmp_path, clock=At(MIDNIGHT - SECOND))
    assert files(tmp_path) == before
    compact(tmp_path, clock=At(MIDNIGHT + SECOND))
    after = files(tmp_path)
    assert {path for path in before if TODAY in str(path)} == {path for path in after if TODAY in str(path)}
    assert len(after) < len(before)
    assert list(open_dataset(tmp_path).events()) == events
    compact(tmp_path, clock=At(MIDNIGHT + DAY))
    assert len(files(tmp_path)) == len({path.parent for path in before})
    assert list(open_dataset(tmp_path).events()) == events


def test_what_is_known_to_be_missing_stays_known(tmp_path: Path) -> None:
    gap = ev.Gap(venue="kraken", symbol="BTC-USD", channel="trades", cause="trade ids", from_seq=3, to_seq=4)
    hole = ev.RecorderStatus(venue="recorder", status="started", ts_from=1, ts_to=2)
    events = market(count=40)
    for n in range(2):
        add_pass(RealDisk(), tmp_path, events[20 * n :][:20], n + 1, n + 1, gaps=[gap], holes=[hole], cuts=[f"cut {n}"])
    compact(tmp_path, everything=True)
    (manifest,) = manifests(RealDisk(), tmp_path)
    assert (manifest.gaps, manifest.holes, manifest.cuts) == ([gap] * 2, [hole] * 2, ["cut 0", "cut 1"])
    assert manifest.replaces == ["000000000001-000000000001.json", "000000000002-000000000002.json"]
    sealer = Sealer(RealDisk(), tmp_path, "1")
    sealer.finish()
    assert sealer.last == 2, "the recorder goes on counting"


def test_R08_a_damaged_file_is_left_alone_with_its_neighbours_and_named(tmp_path: Path) -> None:
    save(tmp_path, market())
    hurt = next(path for path in files(tmp_path) if "channel=ticker" in str(path))
    body = bytearray(hurt.read_bytes())
    body[40] ^= 1
    hurt.write_bytes(body)
    beside = set(hurt.parent.iterdir())
    done = compact(tmp_path, everything=True)
    assert done.left == [f"{hurt.relative_to(tmp_path)}: is not the file that was recorded"]
    assert set(hurt.parent.iterdir()) == beside
    assert done.partitions == len({path.parent for path in files(tmp_path)}) - 1
    assert sum(one.parent == hurt.parent for one in files(tmp_path)) > 1


def test_a_missing_file_is_named_and_old_data_that_was_removed_is_not(tmp_path: Path) -> None:
    save(tmp_path, market())
    some = [path for path in files(tmp_path) if "kraken/channel=trades" in str(path)]
    gone = [path for path in files(tmp_path) if "kraken/channel=book" in str(path)]
    for path in [some[0], *gone]:
        path.unlink()
    done = compact(tmp_path, everything=True)
    assert done.left == [f"{some[0].relative_to(tmp_path)}: is missing"]


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    trades = [event for event in market() if type(event) is ev.Trade and event.venue == "kraken"]
    save(tmp_path, trades, each=len(trades))
    (manifest,) = manifests(RealDisk(), tmp_path)
    entry = manifest.files[0]
    table = pq.read_table(tmp_path / entry.path, partitioning=None)
    pq.write_table(table.append_column("mood", pa.nulls(len(table), pa.string())), tmp_path / entry.path)
    body = (tmp_path / entry.path).read_bytes()
    files_ = [Entry(entry.path, entry.rows, len(body), hashlib.sha256(body).hexdigest(), entry.ts_from, entry.ts_to)]
    changed = msgspec.structs.replace(manifest, files=[*files_, *manifest.files[1:]])
    (tmp_path / MANIFESTS / manifest.name).write_bytes(msgspec.json.encode(changed))
    add_pass(RealDisk(), tmp_path, trades, 100, 100)
    done = compact(tmp_path, everything=True)
    assert done.left == [f"{entry.path}: has mood, which this version would lose"]


def test_columns_that_an_older_file_lacks_are_empty(tmp_path: Path) -> None:
    trades = [e for e in market() if type(e) is ev.Trade and e.venue == "kraken" and e.ts_recv < MIDNIGHT]
    half = len(trades) // 2
    add_pass(RealDisk(), tmp_path, trades[:half], 1, 1)
    (path,) = files(tmp_path)
    table = pq.read_table(path, partitioning=None).drop_columns("ts_event")
    pq.write_table(table, path)
    body = path.read_bytes()
    (old,) = manifests(RealDisk(), tmp_path)
    entry = msgspec.structs.replace(old.files[0], bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
    (tmp_path / MANIFESTS / old.name).write_bytes(msgspec.json.encode(msgspec.structs.replace(old, files=[entry])))
    add_pass(RealDisk(), tmp_path, trades[half:], 2, 2)
    before = list(open_dataset(tmp_path).events())
    assert compact(tmp_path, everything=True).left == []
    assert list(open_dataset(tmp_path).events()) == before


@pytest.mark.parametrize("kind", [{"exact": True}, {"simulated": False}])
def test_recordings_of_two_kinds_are_refused(kind: dict[str, bool], tmp_path: Path) -> None:
    number: Any = Decimal if "exact" in kind else float
    add_pass(RealDisk(), tmp_path, market(count=20), 1, 1)
    add_pass(RealDisk(), tmp_path, market(number, count=20), 2, 2, **kind)
    before = files(tmp_path)
    with pytest.raises(RecordingError, match="several kinds"):
        compact(tmp_path, everything=True)
    assert files(tmp_path) == before


def test_what_cannot_be_compacted(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no recording"):
        compact(tmp_path)
    with pytest.raises(RecordingError, match="holds no recording"):
        compact(tmp_path / "none")
    add_pass(RealDisk(), tmp_path, market(count=20), 1, 1, format=99)
    with pytest.raises(RecordingError, match="has format 99 of marketfeed 0; this version reads"):
        compact(tmp_path)


def test_a_manifest_cannot_have_files_outside_of_the_folder_removed(tmp_path: Path) -> None:
    data, mine = tmp_path / "data", tmp_path / "mine.txt"
    data.mkdir()
    mine.write_text("mine")
    add_pass(RealDisk(), data, market(count=20), 1, 1)
    stray = Manifest(version="0", first=2, last=2, exact=False, simulated=True, events=0, gaps=[], holes=[], cuts=[],
                     files=[Entry("../mine.txt", 1, 4, "", 1, 1)])  # fmt: skip
    later = msgspec.structs.replace(stray, last=3, files=[], replaces=[stray.name])
    for manifest in (stray, later):
        put(RealDisk(), data / MANIFESTS / manifest.name, msgspec.json.encode(manifest))
    with pytest.raises(RecordingError, match="is no path of a dataset's file"):
        compact(data)
    assert mine.exists()


def test_R09_not_while_a_recorder_writes(tmp_path: Path) -> None:
    save(tmp_path, market())
    held = FolderLock(tmp_path)
    with pytest.raises(RecordingError, match="another recorder writes there"):
        compact(tmp_path)
    held.release()
    compact(tmp_path)


# on a disk that crashes


@cache
def _loaded() -> tuple[CrashDisk, list[ev.Head]]:
    """Three passes of two channels over a midnight, all durable."""
    disk = CrashDisk()
    events = [e for e in market() if e.venue == "kraken" and type(e) in {ev.Trade, ev.Ticker}]
    at = next(n for n, event in enumerate(events) if event.ts_recv >= MIDNIGHT)
    events = events[at - 6 : at + 6]
    disk.make_folder(str(ROOT))
    disk.sync_folder("/")
    for n in range(3):
        add_pass(disk, ROOT, events[4 * n :][:4], n + 1, n + 1)
    folders(disk, ROOT, JOURNAL)
    return disk, events


def loaded() -> tuple[CrashDisk, list[ev.Head]]:
    """A new disk each time: all of it is durable, so that a crash copies it."""
    disk, events = _loaded()
    return disk.crash(Random(0)), events


def read(disk: CrashDisk, *, finished: bool) -> list[ev.Head]:
    """All events of the files that count, each checked; `finished` says that no other file may be there."""
    found: list[ev.Head] = []
    named = set()
    for manifest in manifests(disk, ROOT):
        rows = 0
        for entry in manifest.files:
            path = str(ROOT / entry.path)
            named.add(path)
            data = disk.read(path if path in disk.names else path + PART)
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256), path
            channel = path.split("channel=")[1].partition("/")[0]
            made = tables.to_events(channel, pq.read_table(BytesIO(data), partitioning=None))
            rows += len(made)
            found += made
        assert rows == manifest.events
    if finished:
        assert {path for path in disk.names if "venue=" in path and path.endswith((".parquet", PART))} == named
        assert every_manifest(disk, ROOT) == manifests(disk, ROOT)
        assert not [path for path in disk.names if path.endswith(PART)]
    return sorted(found, key=lambda event: event.seq_local)


def started(disk: CrashDisk) -> None:
    """What a recorder does at its start."""
    Sealer(disk, ROOT, "1").finish()


def crash_everywhere(seed: int, variants: int) -> int:
    dice, states = Random(seed), 0
    disk, events = loaded()

    def boundary() -> None:
        nonlocal states
        for _ in range(variants):
            found = disk.crash(dice)
            assert read(found, finished=False) == events
            started(found)
            assert read(found, finished=True) == events
            if dice.random() < 0.1:
                Compaction(found, ROOT).run("")
                assert read(found, finished=True) == events
                assert len(manifests(found, ROOT)) == 1
            states += 1

    disk.boundary = boundary
    Compaction(disk, ROOT).run("")
    disk.boundary = lambda: None
    assert read(disk, finished=True) == events
    return states


def test_R03_a_crash_at_every_boundary_leaves_the_old_or_the_new() -> None:
    assert crash_everywhere(seed=1, variants=2) > 50


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_R03_the_same_in_many_more_states() -> None:
    assert sum(crash_everywhere(seed, variants=8) for seed in range(5)) > 4_000


@pytest.mark.parametrize("ill_for", [1, 60])
def test_R04_R06_an_error_at_any_operation_harms_nothing_and_it_can_be_run_again(ill_for: int) -> None:
    well, events = loaded()
    before = well.operations
    Compaction(well, ROOT).run("")
    dice = Random(ill_for)
    for at in range(before + 1, well.operations + 1, 1 if ill_for == 1 else 7):
        disk, _ = loaded()
        disk.fail = lambda number, at=at: errno.ENOSPC if at <= number < at + ill_for else 0  # type: ignore[misc]
        with pytest.raises((OSError, RecordingError)):
            Compaction(disk, ROOT).run("")
        disk.fail = lambda number: 0
        assert read(disk, finished=False) == events
        crashed = disk.crash(dice)
        started(crashed)
        assert read(crashed, finished=True) == events
        Compaction(disk, ROOT).run("")
        assert read(disk, finished=True) == events
        assert len(manifests(disk, ROOT)) == 1
