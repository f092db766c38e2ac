"""A segment of a raw recording while it is written, and one made whole after a crash."""

import zlib
from hashlib import sha256
from pathlib import Path

import msgspec

from ..errors import RecordingError
from .disk import Disk
from .raw import Line
from .segments import ABOUT, PART, SUFFIX, Segment, lines, number_of

LEVEL = 3
"""Of compression: a thread must keep up with a feed."""
MENDED = ".new"
AT_ONCE = 10_000


class RawFile:
    """A compressed file that grows; whatever is flushed can be unpacked."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.lines = self.size = self.ts_from = self.ts_to = 0
        self._handle = disk.create(str(path))
        self._pack = zlib.compressobj(LEVEL, wbits=31)
        self._sha = sha256()
        self._waiting: list[bytes] = []

    def add(self, line: bytes, recv_ns: int) -> None:
        """One line with its newline, of that time or of none (0)."""
        self._waiting.append(line)
        self.lines += 1
        if recv_ns:
            self.ts_from = min(self.ts_from or recv_ns, recv_ns)
            self.ts_to = max(self.ts_to, recv_ns)

    def flush(self) -> None:
        """Hand all to the operating system."""
        if self._waiting:
            text, self._waiting = b"".join(self._waiting), []
            self._out(self._pack.compress(text) + self._pack.flush(zlib.Z_SYNC_FLUSH))

    def sync(self) -> None:
        """All that was flushed outlives a power loss."""
        self._handle.sync()

    def close(self) -> str:
        """End it; returns its SHA-256."""
        try:
            self.flush()
            self._out(self._pack.flush())
            self._handle.sync()
        finally:
            self._handle.close()
        return self._sha.hexdigest()

    def drop(self) -> None:
        """Leave it as it is."""
        self._handle.close()

    def _out(self, data: bytes) -> None:
        self._handle.write(data)
        self._sha.update(data)
        self.size += len(data)


def name(disk: Disk, folder: Path, segment: Segment) -> None:
    """Say what a segment holds, then give it its name: one that has it is whole."""
    told = folder / f"{segment.name}{ABOUT}"
    if told.name in disk.listing(str(folder)):
        disk.remove(str(told))  # of a crash before the name was given
    handle = disk.create(str(told))
    try:
        handle.write(msgspec.json.format(msgspec.json.encode(segment)))
        handle.sync()
    finally:
        handle.close()
    disk.sync_folder(str(folder))
    disk.rename(str(folder / f"{segment.name}{PART}"), str(folder / f"{segment.name}{SUFFIX}"))
    disk.sync_folder(str(folder))


def mend(disk: Disk, path: Path, version: str, *, simulated: bool) -> None:
    """Of a segment that a crash cut off, keep the whole lines. Raises RecordingError for what is no recording."""
    run, number = path.name.removesuffix(PART).rpartition("-")[0], number_of(path)
    if not run or not number:
        raise RecordingError(f"{path}: is no recording: its name tells no run; move it away")
    made = path.with_name(path.name + MENDED)
    if made.name in disk.listing(str(path.parent)):
        disk.remove(str(made))
    file = RawFile(disk, made)
    try:
        for line in lines(path):
            try:
                recv_ns = msgspec.json.decode(line, type=Line).recv_ns
            except ValueError:
                if file.lines:
                    break  # what a disk had there before
                raise
            file.add(line + b"\n", recv_ns)
            if not file.lines % AT_ONCE:
                file.flush()
    except ValueError as exc:
        file.drop()
        raise RecordingError(f"{path}: is no recording: {exc}; move it away") from exc
    digest = file.close()
    disk.rename(str(made), str(path))
    segment = Segment(
        version=version,
        run=run,
        number=number,
        lines=file.lines,
        bytes=file.size,
        sha256=digest,
        ts_from=file.ts_from,
        ts_to=file.ts_to,
        simulated=simulated,
        cut="by a crash; what came after it is not here",
    )
    name(disk, path.parent, segment)
