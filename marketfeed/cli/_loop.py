"""The event loop of a command: signals become a quiet stop, and its end does not wait for stragglers."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from . import _exit

TIDY_S = 0.3


class Stop:
    """Why a command is to end: an exit code, set once, by a signal, a closed pipe or a condition."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int] = self._loop.create_future()
        for name, code in ((signal.SIGINT, _exit.INTERRUPTED), (signal.SIGTERM, _exit.TERMINATED)):
            # not on Windows, nor outside of the main thread: there KeyboardInterrupt does it
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                self._loop.add_signal_handler(name, self._asked, code)

    def set(self, code: int) -> None:
        """End with this code, unless an end is set already."""
        if not self._code.done():
            self._code.set_result(code)

    def _asked(self, code: int) -> None:
        """By a signal; by a second one, whatever is under way ends now (C10)."""
        if self.signalled and _exit.Process.ours:
            _exit.leave(code)
        self.set(code)

    def set_from_thread(self, code: int) -> None:
        """The same from another thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended anyway
            self._loop.call_soon_threadsafe(self.set, code)

    @property
    def code(self) -> int | None:
        """The exit code, None while there is no reason to end."""
        return self._code.result() if self._code.done() else None

    @property
    def signalled(self) -> bool:
        """Whether somebody wants it to end now, whatever is left to write."""
        return self.code in {_exit.INTERRUPTED, _exit.TERMINATED}

    async def wait(self, *tasks: asyncio.Future[Any], timeout_s: float | None = None) -> None:
        """Wait until there is a reason, or one of the tasks is done, or the time is up."""
        await asyncio.wait({self._code, *tasks}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    async def amid(self, work: Coroutine[Any, Any, None], look: Callable[[], None], every_s: float) -> None:
        """Work until there is a reason to end or it is done, and look every so often; what it raises comes out."""
        task = asyncio.ensure_future(work)
        try:
            while self.code is None:
                await self.wait(task, timeout_s=every_s)
                if task.done():
                    task.result()
                    break
                look()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def run(main: Coroutine[Any, Any, int]) -> int:
    """Like `marketfeed.run`, but it does not wait for threads that look up names."""
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            loop.run_until_complete(_tidy())
        finally:
            asyncio.set_event_loop(None)
            if not _exit.Process.ours:  # closing would wait for a thread that looks up a name, for ten seconds or more
                loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 # not on Windows, and not needed
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _tidy() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=TIDY_S)
    await asyncio.get_running_loop().shutdown_asyncgens()
