"""Standard output that tells where it cannot be written: a full disk is an error, a reader that has gone is none."""

import io
import os
import sys
from contextlib import suppress
from typing import Any

from . import _exit

GONE = (BrokenPipeError, ConnectionResetError)
"""What a write raises where the reader of stdout has had enough."""


def unwritten(exc: OSError) -> _exit.Failed:
    """What ends a command whose output cannot be written."""
    return _exit.Failed(_exit.ERROR, f"cannot write: {exc.strerror or exc}")


class _Output(io.FileIO):
    """A file descriptor that raises Failed where it cannot be written, and BrokenPipeError where nobody reads it.

    Both once: what buffers above it try to write again is let go.
    """

    _broken = False

    def write(self, data: Any, /) -> int:
        """Write some of these bytes; how many."""
        if self._broken:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as exc:
            self._broken = True
            if isinstance(exc, GONE):
                raise BrokenPipeError(*exc.args) from None
            raise unwritten(exc) from exc


def guard() -> None:
    """Make the process's stdout one that tells. Raises Failed where it is closed. A stdin that is closed is empty."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 # the process's own, as long as it lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 # whoever closed it wants nothing of it
    if sys.stdout is None:
        raise _exit.Failed(_exit.ERROR, "standard output is closed")
    if sys.stdout.isatty():  # a terminal is never full, and Windows' own kind of it is no plain file
        return
    raw = _Output(sys.stdout.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=sys.stdout.encoding, errors=sys.stdout.errors, line_buffering=False
    )


def flush() -> None:
    """Write what print() still holds. Raises Failed where it cannot be written."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
