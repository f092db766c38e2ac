"""Sealing: frames of the journal become Parquet files, all of a pass or none.

A pass writes its files under names that no reader looks at, then its manifest, which is the moment it counts; then it
gives the files their names and removes the segments. Whatever of that a crash leaves open, `finish` does at the start.
"""

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import msgspec

from ..errors import RecordingError
from ..events import Head, RecorderStatus
from .disk import Disk
from .gather import DAY, Gathered, span
from .journal import read_segment, segments
from .layout import PART, partition
from .losses import RECORDER
from .manifest import MANIFESTS, Entry, Manifest, manifests
from .payload import unpack
from .replaced import drop_replaced
from .tables import write

__all__ = ["JOURNAL", "MANIFESTS", "PART", "REJECTED", "Entry", "Manifest", "Sealer", "manifests"]

JOURNAL, REJECTED = "_journal", "_rejected"
"""Folders of a dataset that hold no partitions; in `_rejected` is, as JSON lines, what no table could hold."""
PASS_BYTES = 64 << 20
"""A pass takes no more segments once it has so much."""


class Sealer:
    """Seals the journal of one dataset. Of one thread; raises OSError where the disk fails, and may be called again.

    `last` is the last frame that is sealed. `broken` says that an earlier pass may have ended in its middle.
    """

    def __init__(self, disk: Disk, root: Path, version: str, *, last: int = 0, broken: bool = False) -> None:
        self.last = last
        self.broken = broken
        self._disk = disk
        self._root = root
        self._version = version
        self._folders: set[str] = set()
        """Those that are known to be there, durably."""

    def finish(self, open_segment: str = "") -> None:
        """Do what a crash or an error left of earlier passes, and take away what of them does not count.

        Raises RecordingError for a dataset without manifests: its files count, and would not beside a manifest.
        """
        self._check_unnamed()
        self._folders.clear()
        for name in (MANIFESTS, JOURNAL):
            self._folder(self._root / name)
        self._disk.sync_folder(str(self._root / MANIFESTS))  # a manifest that is seen may not outlive a power loss yet
        counting: set[str] = set()
        for manifest in manifests(self._disk, self._root):
            self.last = max(self.last, manifest.last)
            counting.update(entry.path for entry in manifest.files)
        for folder, name in self._parts():
            whole = (folder / name.removesuffix(PART)).relative_to(self._root).as_posix()
            if whole in counting:
                self._name(whole)
            else:
                self._disk.remove(str(folder / name))
        drop_replaced(self._disk, self._root, counting)
        self._drop([name for name in self.closed(open_segment) if self._is_sealed(name)])
        self.broken = False

    def seal(self, open_segment: str = "") -> Manifest | None:
        """Seal the oldest closed segments that are not sealed; None where nothing is left to seal.

        `open_segment` is the path of the one being written. Raises RecordingError for a frame that holds no events.
        """
        if self.broken:
            self.finish(open_segment)
        found = _Pass(self._disk, self._root, self.last)
        for name in self.closed(open_segment):
            if not found.take(name):
                break
        if found.gathered is None:
            self._drop(found.empty)
            return None
        self.broken = True
        manifest = self._write(found, found.gathered)
        self._durable(self._root / MANIFESTS / manifest.name, msgspec.json.format(msgspec.json.encode(manifest)))
        self.last = manifest.last
        for entry in manifest.files:
            self._name(entry.path)
        self._drop(found.names)
        self.broken = False
        return manifest

    def _write(self, found: "_Pass", gathered: Gathered) -> Manifest:
        name = f"{found.first:012d}-{found.last:012d}"
        files = []
        for place, table in gathered.tables():
            path = self._root / partition(place.venue, place.channel, place.day * DAY) / f"{name}.parquet"
            body = BytesIO()
            write(table, body)
            data = body.getvalue()
            self._part(path, data)
            since, until = span(table)
            files.append(
                Entry(
                    path=path.relative_to(self._root).as_posix(),
                    rows=table.num_rows,
                    bytes=len(data),
                    sha256=hashlib.sha256(data).hexdigest(),
                    ts_from=since,
                    ts_to=until,
                )
            )
        if gathered.rejected:
            lines = b"".join(line + b"\n" for line, _ in gathered.rejected)
            self._durable(self._root / REJECTED / f"{name}.jsonl", lines)
        return Manifest(
            version=self._version,
            first=found.first,
            last=found.last,
            exact=found.kind[0],
            simulated=found.kind[1],
            events=gathered.events,
            files=files,
            gaps=gathered.gaps,
            holes=gathered.holes,
            cuts=found.cuts + [f"{REJECTED}/{name}.jsonl: {reason}" for _, reason in gathered.rejected],
        )

    def _folder(self, folder: Path) -> None:
        """Make it, durably."""
        if str(folder) not in self._folders:
            self._disk.make_folder(str(folder))
            self._disk.sync_folder(str(folder.parent))
            self._folders.add(str(folder))

    def _part(self, path: Path, data: bytes) -> None:
        for above in reversed(path.relative_to(self._root).parents[:-1]):
            self._folder(self._root / above)
        name = str(path) + PART
        if (path.name + PART) in self._disk.listing(str(path.parent)):
            self._disk.remove(name)  # of a pass that failed
        file = self._disk.create(name)
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()
        self._disk.sync_folder(str(path.parent))

    def _durable(self, path: Path, data: bytes) -> None:
        self._part(path, data)
        self._disk.rename(str(path) + PART, str(path))
        self._disk.sync_folder(str(path.parent))

    def _name(self, path: str) -> None:
        """Give a file of a pass that counts its name; done already, there is nothing to do."""
        whole = self._root / path
        if whole.name + PART in self._disk.listing(str(whole.parent)):
            self._disk.rename(str(whole) + PART, str(whole))
            self._disk.sync_folder(str(whole.parent))

    def closed(self, open_segment: str = "") -> list[str]:
        """The segments that are there and are not written any more."""
        names = segments(self._disk, str(self._root / JOURNAL))
        return [name for name in names if not open_segment or name < Path(open_segment).name]

    def _is_sealed(self, name: str) -> bool:
        """Whether a segment has frames, and all are sealed; one that lost all of them has yet to be told."""
        frames, _, lost = read_segment(self._disk.read(str(self._root / JOURNAL / name)))
        return frames[-1][0] <= self.last if frames else not lost

    def _drop(self, names: list[str]) -> None:
        for name in names:
            self._disk.remove(str(self._root / JOURNAL / name))
        if names:
            self._disk.sync_folder(str(self._root / JOURNAL))

    def _check_unnamed(self) -> None:
        if MANIFESTS in self._disk.listing(str(self._root)):
            return
        for folder in self._partitions():
            for name in self._disk.listing(str(folder)):
                if name.endswith(".parquet"):
                    raise RecordingError(
                        f"{self._root}: holds data without manifests ({folder / name}), which would count no more "
                        "beside ours; record into another folder"
                    )

    def _parts(self) -> list[tuple[Path, str]]:
        """Every file that does not count."""
        folders = [self._root / MANIFESTS, *self._partitions()]
        if REJECTED in self._disk.listing(str(self._root)):
            folders.append(self._root / REJECTED)
        return [(folder, name) for folder in folders for name in self._disk.listing(str(folder)) if name.endswith(PART)]

    def _partitions(self) -> list[Path]:
        level = [self._root]
        for key in ("venue=", "channel=", "date="):
            level = [
                folder / name for folder in level for name in self._disk.listing(str(folder)) if name.startswith(key)
            ]
        return level


class _Pass:
    """What a pass takes: the frames of `names` that are not sealed yet, all of one kind (exact, simulated)."""

    def __init__(self, disk: Disk, root: Path, sealed: int) -> None:
        self.names: list[str] = []
        self.empty: list[str] = []
        """Those of which nothing was to be taken, and nothing is to be told."""
        self.cuts: list[str] = []
        self.first, self.last = sealed + 1, sealed
        self.kind = (False, False)
        self.gathered: Gathered | None = None
        self._disk = disk
        self._root = root
        self._bytes = self._newest = 0

    def take(self, name: str) -> bool:
        """Take a segment; False where it is for another pass."""
        if self._bytes >= PASS_BYTES:
            return False
        data = self._disk.read(str(self._root / JOURNAL / name))
        frames, good, reason = read_segment(data)
        before = self.last
        for number, payload in frames:
            if number > self.last:  # else it was written twice, around an error
                held = unpack(payload)
                if self.gathered is None:
                    self.kind = (held.exact, held.simulated)
                    self.first = number
                    self.gathered = Gathered(exact=held.exact, simulated=held.simulated)
                elif self.kind != (held.exact, held.simulated):
                    return False
                events, bad = held.each()
                if number > self.last + 1:
                    self.gathered.add(self._lost(number, events))
                self.gathered.add(events)
                self.gathered.rejected += bad
                self._newest = max((event.ts_recv for event in events), default=self._newest)
                self.last = number
        if reason:
            self.cuts.append(f"{name}: {len(data) - good} bytes: {reason}")
        elif self.last == before:
            self.empty.append(name)
        self.names.append(name)
        self._bytes += len(data)
        return True

    def _lost(self, number: int, following: Sequence[Head]) -> list[Head]:
        """The word that frames before this number are lost: damage took them, and no recorder knows of it."""
        sealed = manifests(self._disk, self._root)[-1:] if not self._newest else []
        since = self._newest or max((file.ts_to for one in sealed for file in one.files), default=0)
        if not since or not following:
            return []  # nothing came before
        until = following[0].ts_recv
        word = RecorderStatus(
            venue=RECORDER,
            ts_recv=until,
            seq_local=max(following[0].seq_local - 1, 0),
            status="lagged",
            detail=f"frames {self.last + 1} to {number - 1} of the journal are lost",
            ts_from=since,
            ts_to=until,
        )
        return [word]
