"""Compaction: the many small files of a partition become one, and the dataset stays what it was, row by row.

A step takes one date: it writes the merged files under names that no reader looks at, then a manifest that stands for
those of the passes they came from, which is the moment it counts; then `Sealer.finish` names them and removes what they
replace. A crash leaves the old or the new, and the next start of a recorder or of `compact` finishes what is left.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from ..clock import Clock, SystemClock
from ..errors import RecordingError
from ._merge import Merge, Source
from .disk import Disk, Handle, RealDisk
from .lock import FolderLock
from .manifest import MANIFESTS, Entry, Manifest, manifests
from .seal import PART, Sealer

Tell = Callable[[str, int], None]


class Compacted(msgspec.Struct, kw_only=True):
    """What `compact` has done: partitions, their files and bytes before and after, and what it left alone, and why."""

    partitions: int = 0
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    left: list[str] = []


def compact(
    path: str | Path,
    *,
    everything: bool = False,
    tell: Tell = lambda partition, files: None,
    clock: Clock | None = None,
) -> Compacted:
    """Merge the files of each partition into one: those of dates before today (UTC), or of every date.

    `tell` is called with each partition and the number of its files before they are merged. A partition of which a
    file is damaged or missing is left alone. Raises RecordingError where there is no recording, where a recorder
    writes to it, and where the disk refuses; what was merged by then is whole.
    """
    root = Path(path)
    if not (root / MANIFESTS).is_dir():
        raise RecordingError(f"{root}: holds no recording")
    lock = FolderLock(root)
    try:
        today = datetime.fromtimestamp((clock or SystemClock()).unix_ns() // 10**9, UTC).date().isoformat()
        return Compaction(RealDisk(), root, tell).run("" if everything else today)
    except OSError as exc:
        raise RecordingError(f"{root}: cannot be compacted: {exc.strerror or exc}") from exc
    finally:
        lock.release()


class Compaction:
    """Of one dataset, which nobody else writes to. Raises OSError where the disk fails; it may be tried again."""

    def __init__(self, disk: Disk, root: Path, tell: Tell = lambda partition, files: None) -> None:
        self._disk, self._root, self._tell = disk, root, tell
        self._done = Compacted()

    def run(self, today: str) -> Compacted:
        """Compact all dates before `today`, or all where it is empty."""
        self._finish()
        dates = {_date(entry.path) for manifest in manifests(self._disk, self._root) for entry in manifest.files}
        for date in sorted(date for date in dates if not today or date < today):
            try:
                self._step(date)
            except BaseException:
                with suppress(OSError, RecordingError):  # the first error tells more, and the next start does it
                    self._finish()
                raise
        return self._done

    def _finish(self) -> None:
        Sealer(self._disk, self._root, "").finish()

    def _step(self, date: str) -> None:
        """Merge what there is to merge of a date, and have it count."""
        passes = manifests(self._disk, self._root)
        wanted = self._partitions(passes, date)
        if not wanted:
            return
        touched = [n for n, one in enumerate(passes) if any(_folder(entry.path) in wanted for entry in one.files)]
        span = passes[touched[0] : touched[-1] + 1]
        kinds = {(one.exact, one.simulated) for one in span}
        if len(kinds) > 1:
            raise RecordingError(f"{self._root}: holds recordings of several kinds (--exact or not, simulated or not)")
        merged = {folder: self._merged(folder, entries, span) for folder, entries in wanted.items()}
        made = {folder: entry for folder, entry in merged.items() if entry is not None}
        if not made:
            return
        kept = [entry for one in span for entry in one.files if _folder(entry.path) not in made]
        self._commit(_joined(span, sorted([*kept, *made.values()], key=lambda entry: entry.path)))
        self._finish()
        for folder, entry in made.items():
            self._done.partitions += 1
            self._done.files_before += len(wanted[folder])
            self._done.bytes_before += sum(old.bytes for old in wanted[folder])
            self._done.files_after += 1
            self._done.bytes_after += entry.bytes

    def _partitions(self, passes: Sequence[Manifest], date: str) -> dict[str, list[Entry]]:
        """The partitions of a date that several passes wrote to, and of which there still is anything."""
        found: dict[str, list[Entry]] = {}
        writers: dict[str, set[str]] = {}
        for one in passes:
            for entry in one.files:
                if _date(entry.path) == date:
                    found.setdefault(_folder(entry.path), []).append(entry)
                    writers.setdefault(_folder(entry.path), set()).add(one.name)
        return {
            folder: entries
            for folder, entries in sorted(found.items())
            if len(writers[folder]) > 1 and self._names(folder) & {Path(entry.path).name for entry in entries}
        }

    def _names(self, folder: str) -> set[str]:
        try:
            return set(self._disk.listing(str(self._root / folder)))
        except FileNotFoundError:
            return set()

    def _merged(self, folder: str, entries: Sequence[Entry], span: Sequence[Manifest]) -> Entry | None:
        """One file, under a name that does not count yet; None where the partition is to be left alone."""
        self._tell(folder, len(entries))
        channel = unquote(folder.split("/")[1].partition("=")[2])
        try:
            sources = [Source(entry.path, entry.ts_from, self._reading(entry)) for entry in entries]
            merge = Merge(channel, sources, exact=span[0].exact, simulated=span[0].simulated)
        except RecordingError as exc:
            self._done.left.append(str(exc))
            return None
        path = f"{folder}/{span[0].first:012d}-{span[-1].last:012d}.parquet"
        rows, size, digest = self._write(path, merge.write)
        if rows != sum(entry.rows for entry in entries):
            raise RecordingError(f"{self._root / path}: {rows} rows were made of {sum(e.rows for e in entries)}")
        return Entry(
            path=path,
            rows=rows,
            bytes=size,
            sha256=digest,
            ts_from=min(entry.ts_from for entry in entries),
            ts_to=max(entry.ts_to for entry in entries),
        )

    def _reading(self, entry: Entry) -> Callable[[], bytes]:
        def read() -> bytes:
            try:
                data = self._disk.read(str(self._root / entry.path))
            except FileNotFoundError:
                raise RecordingError(f"{entry.path}: is missing") from None
            if (len(data), hashlib.sha256(data).hexdigest()) != (entry.bytes, entry.sha256):
                raise RecordingError(f"{entry.path}: is not the file that was recorded")
            return data

        return read

    def _commit(self, manifest: Manifest) -> None:
        path = f"{MANIFESTS}/{manifest.name}"
        body = msgspec.json.format(msgspec.json.encode(manifest))
        self._write(path, lambda sink: sink.write(body))
        self._disk.rename(str(self._root / path) + PART, str(self._root / path))
        self._disk.sync_folder(str(self._root / MANIFESTS))

    def _write(self, path: str, fill: Callable[["_Sink"], int]) -> tuple[int, int, str]:
        """Make a file under a name that does not count yet, durably: what `fill` says of it, its bytes and SHA-256."""
        whole = self._root / path
        file = self._disk.create(str(whole) + PART)
        sink = _Sink(file)
        try:
            said = fill(sink)
            file.sync()
        finally:
            file.close()
        self._disk.sync_folder(str(whole.parent))
        return said, sink.size, sink.hash.hexdigest()


class _Sink:
    """What pyarrow writes to."""

    closed = False

    def __init__(self, file: Handle) -> None:
        self._file = file
        self.size = 0
        self.hash: Any = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._file.write(bytes(data))
        self.hash.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Its maker closes the file."""


def _joined(span: Sequence[Manifest], files: list[Entry]) -> Manifest:
    """One manifest in the place of several."""
    from .. import __version__  # noqa: PLC0415 # the package's own, which is not whole while this is imported

    return Manifest(
        version=__version__,
        first=span[0].first,
        last=span[-1].last,
        exact=span[0].exact,
        simulated=span[0].simulated,
        events=sum(one.events for one in span),
        files=files,
        gaps=[gap for one in span for gap in one.gaps],
        holes=[hole for one in span for hole in one.holes],
        cuts=[cut for one in span for cut in one.cuts],
        replaces=[one.name for one in span],
    )


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _date(path: str) -> str:
    return _folder(path).rpartition("date=")[2]
