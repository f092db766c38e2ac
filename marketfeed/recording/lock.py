"""One recorder a folder."""

import os
import sys
import time
from pathlib import Path

from ..errors import RecordingError

NAME = "_lock"
WAIT_S = 10.0
"""For the sealing process of a recorder that was killed: it ends by itself, at once."""


class FolderLock:
    """Held until `release`, or until the process ends however it ends. Raises RecordingError where another holds it.

    `number` is the open file's: a process that inherits it holds the lock too.
    """

    def __init__(self, folder: Path) -> None:
        flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
        try:
            self.number = os.open(folder / NAME, flags, 0o600)
        except OSError as exc:
            raise RecordingError(f"{folder}: cannot record there: {exc.strerror}") from exc
        try:
            self._take(folder)
        except BaseException:
            os.close(self.number)
            raise

    def _take(self, folder: Path) -> None:
        end = time.monotonic() + WAIT_S
        while not _locked(self.number):
            os.lseek(self.number, 0, os.SEEK_SET)
            holder = os.read(self.number, 20).decode("ascii", "replace").strip()
            if _lives(holder) or time.monotonic() > end:
                raise RecordingError(
                    f"{folder}: another recorder writes there (process {holder or 'unknown'}); name another folder"
                )
            time.sleep(0.02)
        os.ftruncate(self.number, 0)
        os.lseek(self.number, 0, os.SEEK_SET)
        os.write(self.number, f"{os.getpid()}".encode())

    def release(self) -> None:
        """Let others record here."""
        os.close(self.number)


def _locked(file: int) -> bool:
    try:
        _lock(file)
    except OSError:
        return False
    return True


def _lock(file: int) -> None:
    try:
        import fcntl  # noqa: PLC0415 # not on Windows
    except ImportError:
        import msvcrt  # noqa: PLC0415 # on Windows alone

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined] # seen elsewhere
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lives(process: str) -> bool:
    """Whether a process may still run."""
    if sys.platform == "win32" or not process.isdecimal():
        return True  # there no lock is inherited, and a signal of 0 is none
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True
