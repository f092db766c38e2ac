"""Where sealing is done: on a real disk in a process of its own, so that making tables never holds up the loop.

That process takes one pass and ends. It shares the folder's lock, and ends at once when the recorder does.
"""

import gc
import logging
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Thread
from typing import Protocol

import msgspec

from ..errors import RecordingError
from ..text import escaped
from .disk import RealDisk
from .seal import Manifest, Sealer

log = logging.getLogger("marketfeed.recording")

NICE = 10
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from marketfeed.recording.sealing import main; main()"


class Seals(Protocol):
    """Takes passes: a `Sealer`, or a `SealingProcess` that starts one."""

    def seal(self, open_segment: str = "") -> Manifest | None:
        """As `Sealer.seal`."""


class _Task(msgspec.Struct):
    root: str
    version: str
    last: int
    broken: bool
    open_segment: str


class _Answer(msgspec.Struct):
    manifest: Manifest | None = None
    error: str = ""


class SealingProcess:
    """Takes each pass of a sealer in another process; `lock` is the open file that it inherits."""

    def __init__(self, sealer: Sealer, root: Path, version: str, lock: int) -> None:
        self._sealer = sealer
        self._root = root
        self._version = version
        self._lock = lock

    def seal(self, open_segment: str = "") -> Manifest | None:
        """As `Sealer.seal`. Raises RecordingError where the process was ended from outside."""
        sealer = self._sealer
        if not sealer.closed(open_segment):
            return None
        task = _Task(str(self._root), self._version, sealer.last, sealer.broken, open_segment)
        sealer.broken = True
        if not sys.executable or getattr(sys, "frozen", False):
            return sealer.seal(open_segment)  # there is no Python to start
        answer = self._answer(task)
        if answer is None:
            return sealer.seal(open_segment)
        if answer.error:
            raise RecordingError(answer.error)
        sealer.broken = False
        if answer.manifest is not None:
            sealer.last = answer.manifest.last
        return answer.manifest

    def _answer(self, task: _Task) -> _Answer | None:
        """What the process says; None where it cannot be started."""
        with tempfile.TemporaryFile() as errors:
            command = [sys.executable, "-c", _BOOT, *sys.path]
            process = Popen(  # noqa: S603 # our own interpreter and module
                command,
                bufsize=0,  # so that nothing is left to flush into a broken pipe when it is closed
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                pass_fds=() if sys.platform == "win32" else (self._lock,),
                start_new_session=True,  # Ctrl-C is ours
            )
            with process:
                assert process.stdin is not None
                assert process.stdout is not None
                with suppress(BrokenPipeError):
                    process.stdin.write(msgspec.json.encode(task) + b"\n")  # and left open: its end is the sign to end
                said = process.stdout.read()
            with suppress(msgspec.MsgspecError):
                return msgspec.json.decode(said, type=_Answer)
            errors.seek(0)
            reason = escaped((errors.read().decode(errors="replace").strip().splitlines() or [""])[-1], 200)
        if process.returncode < 0:
            raise RecordingError(f"the sealing process was ended by signal {-process.returncode}")
        log.warning("no sealing process, so it is done here: exit code %d: %s", process.returncode, reason)
        return None


def main() -> None:
    """Be the sealing process: a task on stdin, an answer on stdout."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)  # the recorder says when
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Task)
    Thread(target=_end_with_the_recorder, daemon=True).start()
    with suppress(AttributeError, OSError):
        os.nice(NICE)
    gc.disable()  # events hold no cycles, and there are many
    sealer = Sealer(RealDisk(), Path(task.root), task.version, last=task.last, broken=task.broken)
    try:
        answer = _Answer(manifest=sealer.seal(task.open_segment))
    except (OSError, RecordingError) as exc:
        answer = _Answer(error=str(exc))
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()


def _end_with_the_recorder() -> None:
    while os.read(0, 64):
        pass
    os._exit(1)
