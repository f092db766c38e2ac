"""The few file operations the recorder uses, as a `Disk`, so that a test can put a crashing or a full one in its place.

Every operation may raise OSError. Paths are strings.
"""

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Protocol

from .lock import FolderLock

_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_FULL_SYNC = 51  # F_FULLFSYNC of macOS, whose fsync leaves the data in the drive's cache


class Handle(Protocol):
    """A file open for appending."""

    def write(self, data: bytes) -> None:
        """Write all of `data`. After an error any part of it may be in the file."""

    def sync(self) -> None:
        """Return when all that was written outlives a power loss; the file's name may not (`Disk.sync_folder`)."""

    def close(self) -> None:
        """Close it, synced or not."""


class Lock(Protocol):
    """A folder that is ours."""

    def release(self) -> None:
        """Let others have it."""


class Disk(Protocol):
    """File operations; what `RealDisk` does is what they promise."""

    def lock(self, folder: str) -> Lock:
        """Take a folder for ourselves. Raises RecordingError where another has it, or where nothing can be written."""

    def create(self, path: str) -> Handle:
        """Create and open for appending. Raises FileExistsError."""

    def rename(self, old: str, new: str) -> None:
        """Give the file another name at once, over whatever has it; durable after `sync_folder`."""

    def sync_folder(self, path: str) -> None:
        """Return when the names made, changed and removed in the folder outlive a power loss."""

    def remove(self, path: str) -> None:
        """Remove a file; durable after `sync_folder`."""

    def listing(self, path: str) -> list[str]:
        """Names in a folder, sorted."""

    def read(self, path: str) -> bytes:
        """All of a file."""

    def make_folder(self, path: str) -> None:
        """Make a folder where none is; its parent must exist. Durable after `sync_folder` of the parent."""


class RealDisk:
    """The `Disk` of the operating system. Files are the owner's alone, and no symbolic link is followed to one."""

    def lock(self, folder: str) -> Lock:
        """Take a folder for this process, until `release` or the end of the process."""
        return FolderLock(Path(folder))

    def create(self, path: str) -> Handle:
        """Create 0600 and open for appending. Raises FileExistsError, also for a symbolic link that leads nowhere."""
        return _File(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | _NO_LINK, 0o600))

    def rename(self, old: str, new: str) -> None:
        """Give the file another name at once, over whatever has it; durable after `sync_folder`."""
        os.replace(old, new)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable; Windows offers no such thing and nothing is done there."""
        if sys.platform == "win32":
            return
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINK)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)

    def remove(self, path: str) -> None:
        """Remove a file; durable after `sync_folder`."""
        os.unlink(path)

    def listing(self, path: str) -> list[str]:
        """Names in a folder, sorted."""
        return sorted(os.listdir(path))

    def read(self, path: str) -> bytes:
        """All of a file. A symbolic link is refused."""
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_LINK), "rb") as stream:
            return stream.read()

    def make_folder(self, path: str) -> None:
        """Make a folder, 0700, where none is. Raises NotADirectoryError for a file or a symbolic link."""
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "is no folder, or a link to one", path) from None


class _File:
    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._number, rest) :]  # a nearly full disk takes a part, then refuses the rest

    def sync(self) -> None:
        if sys.platform == "darwin":
            import fcntl  # noqa: PLC0415 # Windows has none

            fcntl.fcntl(self._number, _FULL_SYNC)
        else:
            getattr(os, "fdatasync", os.fsync)(self._number)

    def close(self) -> None:
        os.close(self._number)
