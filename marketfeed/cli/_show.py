"""The run of `book`: draws a ladder again and again, until there is a reason to end."""

import asyncio
import os
import shutil
import signal
import sys
import time
from contextlib import suppress

from msgspec import Struct

from ..events import MARKET_TYPES
from ..feed import Feed
from . import _colour, _exit, _logs
from ._ladder import Frame, ladder
from ._loop import Stop
from ._notices import Notices
from ._reach import Reach
from ._source import Source, foretold, opened
from ._watch import columns, written
from ._writer import Writer

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The terminal's other screen without a cursor, and back."""
BEHIND = 64 * 1024
"""Bytes a terminal may be behind before drawings are left out."""
NOTE_S = 10.0
"""How long a loss is shown below the ladder."""


class Plan(Struct, frozen=True, kw_only=True):
    """What `book` was asked to do; see its options."""

    source: Source
    levels: int = 10
    depth: int = 0
    plain: bool = False
    interval_s: float = 0.1
    count: int | None = None
    duration_s: float | None = None
    verbose: int = 0
    quiet: bool = False


async def book(plan: Plan) -> int:
    """Run until there is a reason to end; the exit code. Raises what ends it with a message."""
    stop = Stop()
    writer = Writer(lambda: stop.set_from_thread(_exit.OK))
    screen = None if plan.plain else _Screen(writer)
    try:
        with _logs.shown(writer, plan.verbose, plan.quiet or not plan.plain):
            for line in foretold(plan.source, plan.depth, quiet=plan.quiet):
                writer.tell(line)
            async with opened(plan.source) as feed:
                code = await _Show(plan, feed, writer, stop, screen).run()
    finally:
        if screen is not None:
            screen.leave()
        await written(writer, stop)
    writer.check()
    return code


class _Screen:
    """The terminal's other screen, entered at the first drawing and left whatever happens, also for Ctrl-Z."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._inside = False
        self._size = (0, 0)
        with suppress(NotImplementedError, ValueError, RuntimeError, AttributeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._suspend)

    def draw(self, lines: list[str], size: tuple[int, int]) -> None:
        """Put these lines in place of those before."""
        enter = "" if self._inside else ENTER
        clear = "\x1b[2J" if size != self._size else ""
        self._inside, self._size = True, size
        # each line is cleared before it is written: after a full one the cursor stands on its last character
        text = "\r\n".join(f"\x1b[2K{line}" for line in lines)
        rest = "\r\n\x1b[J" if len(lines) < size[1] else ""
        self._writer.put(f"{enter}{clear}\x1b[H{text}{rest}".encode())

    def leave(self) -> None:
        """Give the terminal back as it was."""
        if self._inside:
            self._inside = False
            self._writer.put(LEAVE.encode())

    def _suspend(self) -> None:
        self.leave()
        deadline = time.monotonic() + 0.2
        while self._writer.backlog and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGSTOP)  # the next drawing after SIGCONT enters again


class _Show:
    """One run: the newest proven book, drawn at intervals."""

    def __init__(self, plan: Plan, feed: Feed, writer: Writer, stop: Stop, screen: _Screen | None) -> None:
        self._plan, self._feed, self._writer, self._stop, self._screen = plan, feed, writer, stop, screen
        self._name = plan.source.names[0]
        self._left = plan.count
        self._note, self._noted = "", 0.0

        self._notices = Notices(self._tell, verbose=plan.verbose, quiet=plan.quiet)
        self._life = feed.consumer(lambda event: type(event) not in MARKET_TYPES, policy="drop_oldest")
        wanted = feed.subscribe(self._name, book=plan.depth or True)
        self._reach = Reach(wanted, plan.source, "book")

    async def run(self) -> int:
        """Until there is a reason to end."""
        now = asyncio.get_running_loop().time
        began = now()
        heard = asyncio.ensure_future(self._hear())
        try:
            while self._stop.code is None:
                if heard.done():
                    heard.result()
                self._notices.flush()
                self._reach.check(now() - began)
                self._draw()
                if self._left == 0:
                    break
                if self._plan.duration_s and now() - began >= self._plan.duration_s:
                    self._reach.ended()
                    break
                await self._stop.wait(heard, timeout_s=self._plan.interval_s)
        finally:
            heard.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await heard
        return self._stop.code or _exit.OK

    async def _hear(self) -> None:
        async for event in self._life:
            if self._reach.event(event):
                self._notices.release()
            self._notices.event(event)

    def _draw(self) -> None:
        book = self._feed.book(self._name)
        if (self._plan.plain and not book.epoch) or self._writer.backlog > BEHIND:
            return  # nothing to see yet, or a terminal that is behind: the next drawing is newer
        size = (columns(), shutil.get_terminal_size().lines)
        frame = Frame(
            columns=size[0],
            rows=None if self._screen is None else size[1],
            levels=self._plan.levels,
            colour=_colour.wanted(sys.stdout),
            simulated=self._plan.source.simulated,
        )
        note = self._note if asyncio.get_running_loop().time() - self._noted < NOTE_S else ""
        lines = ladder(book, self._feed.instrument(self._name), frame, time.time_ns(), note)
        if self._screen is not None:
            self._screen.draw(lines, size)
        else:
            self._writer.put(("\n".join(lines) + "\n\n").encode())
        if self._left is not None and book.epoch:
            self._left -= 1

    def _tell(self, line: str) -> None:
        if self._screen is None:
            self._writer.put(f"marketfeed: {line}\n".encode(), err=True)
        else:
            self._note, self._noted = line, asyncio.get_running_loop().time()
