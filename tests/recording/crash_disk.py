"""A disk in memory that forgets, at a crash, what POSIX lets it forget.

Unsynced bytes may be lost, torn at any byte, zero where the file has grown, missing sector by sector (written out of
order) or another file's old bytes; names are made, changed and removed for good by a sync of their folder alone.
"""

import errno
import posixpath
from collections.abc import Callable
from functools import wraps
from random import Random
from threading import RLock, get_ident
from typing import Any

from marketfeed.errors import RecordingError

SECTOR = 32
"""Bytes; small, so that small loads span many."""


class Inode:
    """A file: its bytes now, and how many of them a sync has made durable."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.durable = bytes(data)
        self.suspect = False  # a write or sync of it has failed


GONE = Inode()
"""Stands in a change of names for a name that went."""
Entry = Inode | None
"""A file, or None for a folder."""
Names = dict[str, Entry]


class CrashDisk:
    """A `Disk`. Counts its operations; `fail` maps an operation's number to the errno it fails with.

    A failed sync drops what it had to write, and what is then done to that file is a broken promise (R06): an
    AssertionError. `boundary` is called after each operation that changes something.
    """

    def __init__(self, seed: int = 0) -> None:
        self.names: Names = {"/": None}
        self.durable_names: Names = {"/": None}
        self.pending: list[Names] = []  # unsynced changes of names; a crash takes each wholly or not at all
        self.operations = 0
        self.fail: Callable[[int], int] = lambda number: 0
        self.boundary: Callable[[], None] = lambda: None
        self.random = Random(seed)
        self.log: list[str] = []
        self.threads: set[int] = set()
        self.locked: set[str] = set()
        self.mutex = RLock()
        """Held during each operation, `boundary` included: a recorder writes and seals at once."""

    # what a test asks for

    def crash(self, random: Random) -> "CrashDisk":
        """A disk as it may be found after a power loss now; this one stays as it is."""
        after = CrashDisk()
        names = self._names_after(random)
        style = random.choice(("lost", "kept", "torn", "zeros", "sectors", "recycled", "mixed"))
        others = [bytes(entry.data) for entry in self.names.values() if entry is not None] or [b""]
        for path, entry in sorted(names.items()):
            if path == "/" or all(folder in names for folder in _folders(path)):
                data = None if entry is None else _contents_after(entry, style, others, random)
                after.names[path] = after.durable_names[path] = None if data is None else Inode(data)
        return after

    def killed(self) -> "CrashDisk":
        """A disk as it is found after the process was killed now: all that was written is there."""
        with self.mutex:
            after = CrashDisk()
            for path, entry in self.names.items():
                after.names[path] = after.durable_names[path] = None if entry is None else Inode(bytes(entry.data))
            return after

    def _names_after(self, random: Random) -> Names:
        names = dict(self.durable_names)
        keep = random.choice((0.0, 0.5, 1.0))
        prefix = random.randint(0, len(self.pending)) if random.random() < 0.5 else None
        for at, change in enumerate(self.pending):
            if at >= prefix if prefix is not None else random.random() >= keep:
                continue
            names.update(change)
        return {path: entry for path, entry in names.items() if entry is not GONE}

    def _step(self, what: str) -> None:
        self.operations += 1
        self.threads.add(get_ident())
        self.log.append(what)
        number = self.fail(self.operations)
        if number:
            raise OSError(number, "injected", what)

    def _changed(self, path: str, entry: Entry) -> None:
        self.names[path] = entry
        self.pending.append({path: entry})

    def _file(self, path: str) -> Inode:
        entry = self.names.get(path)
        if entry is None:
            raise OSError(errno.EISDIR if path in self.names else errno.ENOENT, "no such file", path)
        return entry

    # Disk

    def lock(self, folder: str) -> "CrashLock":
        self._step(f"lock {folder}")
        if folder in self.locked:
            raise RecordingError(f"{folder}: another recorder writes there")
        self.locked.add(folder)
        return CrashLock(self, folder)

    def create(self, path: str) -> "CrashHandle":
        self._step(f"create {path}")
        if path in self.names:
            raise FileExistsError(errno.EEXIST, "is there", path)
        if posixpath.dirname(path) not in self.names:
            raise FileNotFoundError(errno.ENOENT, "no such folder", path)
        inode = Inode()
        self._changed(path, inode)
        self.boundary()
        return CrashHandle(self, path, inode)

    def rename(self, old: str, new: str) -> None:
        self._step(f"rename {old} {new}")
        assert posixpath.dirname(old) == posixpath.dirname(new), "a rename between folders is not modelled"
        inode = self._file(old)
        del self.names[old]
        self.names[new] = inode
        self.pending.append({new: inode, old: GONE})
        self.boundary()

    def sync_folder(self, path: str) -> None:
        self._step(f"sync_folder {path}")
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "no such folder", path)
        done = [change for change in self.pending if posixpath.dirname(next(iter(change))) == path]
        self.pending = [change for change in self.pending if change not in done]
        for change in done:
            self.durable_names.update(change)
        self.durable_names = {name: entry for name, entry in self.durable_names.items() if entry is not GONE}
        self.boundary()

    def remove(self, path: str) -> None:
        self._step(f"remove {path}")
        self._file(path)
        del self.names[path]
        self.pending.append({path: GONE})
        self.boundary()

    def listing(self, path: str) -> list[str]:
        self._step(f"listing {path}")
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "no such folder", path)
        return sorted(posixpath.basename(name) for name in self.names if posixpath.dirname(name) == path != name)

    def read(self, path: str) -> bytes:
        self._step(f"read {path}")
        return bytes(self._file(path).data)

    def size(self, path: str) -> int:
        self._step(f"size {path}")
        return len(self._file(path).data)

    def truncate(self, path: str, size: int) -> None:
        self._step(f"truncate {path}")
        del self._file(path).data[size:]
        self.boundary()

    def make_folder(self, path: str) -> None:
        self._step(f"make_folder {path}")
        if path not in self.names:
            self._changed(path, None)
        elif self.names[path] is not None:
            raise NotADirectoryError(errno.ENOTDIR, "is a file", path)
        self.boundary()


class CrashLock:
    """A `Lock` of a `CrashDisk`."""

    def __init__(self, disk: CrashDisk, folder: str) -> None:
        self.disk, self.folder = disk, folder

    def release(self) -> None:
        self.disk.locked.remove(self.folder)


class CrashHandle:
    """A `Handle` of a `CrashDisk`."""

    def __init__(self, disk: CrashDisk, path: str, inode: Inode) -> None:
        self.disk, self.path, self.inode = disk, path, inode

    def write(self, data: bytes) -> None:
        assert not self.inode.suspect, f"{self.path} was written after it had failed"
        try:
            self.disk._step(f"write {self.path}")
        except OSError:
            self.inode.suspect = True
            self.inode.data += data[: self.disk.random.randint(0, len(data))]
            raise
        self.inode.data += data
        self.disk.boundary()

    def sync(self) -> None:
        assert not self.inode.suspect, f"{self.path} was synced after it had failed"
        try:
            self.disk._step(f"sync {self.path}")
        except OSError:
            self.inode.suspect = True
            raise
        self.inode.durable = bytes(self.inode.data)
        self.disk.boundary()

    def close(self) -> None:
        self.disk._step(f"close {self.path}")


def _one_at_a_time(operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    def locked(self: Any, *args: Any) -> Any:
        with getattr(self, "disk", self).mutex:
            return operation(self, *args)

    return locked


for _name in (
    "lock",
    "create",
    "rename",
    "sync_folder",
    "remove",
    "listing",
    "read",
    "size",
    "truncate",
    "make_folder",
):
    setattr(CrashDisk, _name, _one_at_a_time(getattr(CrashDisk, _name)))
for _name in ("write", "sync", "close"):
    setattr(CrashHandle, _name, _one_at_a_time(getattr(CrashHandle, _name)))


def _folders(path: str) -> list[str]:
    above = posixpath.dirname(path)
    return [above] if above == "/" else [above, *_folders(above)]


def _contents_after(inode: Inode, style: str, others: list[bytes], random: Random) -> bytes:
    now, durable = bytes(inode.data), inode.durable
    if style == "mixed":
        style = random.choice(("lost", "kept", "torn", "zeros", "sectors", "recycled"))
    if len(now) < len(durable):  # truncated, not synced
        return random.choice((now, durable))
    if style == "lost" or len(now) == len(durable):
        return durable
    if style == "kept":
        return now
    start, end = len(durable), random.randint(len(durable), len(now))
    if style == "torn":
        return now[:end]
    if style == "zeros":
        return now[:end] + bytes(random.randint(end, len(now)) - end)
    filler = bytes(len(now)) if style == "sectors" else random.choice(others).ljust(len(now), b"\0")
    odds, found = random.choice((0.1, 0.5, 0.9)), bytearray(durable)
    for at in range(start, len(now), SECTOR):
        found += (now if random.random() < odds else filler)[at : min(at + SECTOR, len(now))]
    return bytes(found)
