"""The run of `tail`: from a feed to lines, until there is a reason to end."""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from ..consumer import Consumer
from ..errors import ConfigError, ConsumerTooSlow
from ..events import CHAIN_TYPES, MARKET_TYPES, Head, Instrument, encode_json
from ..feed import Feed
from . import _colour, _exit, _logs
from ._lines import Lines
from ._loop import Stop
from ._metrics import served
from ._notices import Notices
from ._reach import Reach
from ._source import Watched, foretold, opened
from ._writer import Writer

LOOK_S = 0.2
"""How often time limits are looked at."""
ROOM = {True: 128 * 2**20, False: 2**20}
"""Bytes that may wait for a slow reader: of JSON, which must not lose any, and of lines for a terminal."""
BURST = 1_000_000
"""Events that may wait: a full socket can bring tens of thousands in one turn of the loop. 64 MiB bounds them too."""
LAST_S = 0.3
"""How long a stopped command still writes what it has."""
PRINTED = frozenset({*MARKET_TYPES, *CHAIN_TYPES, Instrument})


class Plan(Watched, frozen=True, kw_only=True):
    """What `tail` was asked to do; see its options."""

    count: int | None = None
    duration_s: float | None = None
    idle_s: float | None = None
    as_json: bool = True
    life: bool = False


def json_wanted(as_json: bool, as_text: bool) -> bool:
    """JSON lines or lines for people: as asked for, else by whether stdout is a terminal. Raises ConfigError."""
    if as_json and as_text:
        raise ConfigError("--json and --text are two ways to print the same: choose one")
    return as_json or not (as_text or sys.stdout.isatty())


def columns() -> int:
    """Columns there are to print to: the terminal's, or without limit into a pipe, unless COLUMNS says how many."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else 10_000


async def tail(plan: Plan) -> int:
    """Run until there is a reason to end; the exit code. Raises what ends it with a message."""
    stop = Stop()
    writer = Writer(lambda: stop.set_from_thread(_exit.OK))
    tell = writer.tell
    try:
        with _logs.shown(writer, plan.verbose, plan.quiet):
            for line in foretold(plan.source, plan.book, quiet=plan.quiet):
                tell(line)
            async with opened(plan.source) as feed:
                with served(feed, plan.metrics, None if plan.quiet else tell):
                    code = await _Tail(plan, feed, writer, stop).run()
    except ConsumerTooSlow as exc:
        raise _exit.Failed(_exit.SLOW, "the reader of stdout is too slow: events would have been lost") from exc
    finally:
        await written(writer, stop)
    writer.check()
    return code


async def written(writer: Writer, stop: Stop) -> None:
    """Wait for the last lines: all of them, or a moment where somebody wants it to end."""
    writer.end()
    end = asyncio.get_running_loop().time() + LAST_S
    while writer.backlog and not writer.broken:
        if stop.signalled and asyncio.get_running_loop().time() > end:
            return
        await asyncio.sleep(0.005)


class _Tail:
    """One run: a consumer's events to lines and notices."""

    def __init__(self, plan: Plan, feed: Feed, writer: Writer, stop: Stop) -> None:
        self._plan, self._feed, self._writer, self._stop = plan, feed, writer, stop
        self._left = plan.count
        self._now = asyncio.get_running_loop().time
        self._began = self._heard = self._now()
        self._notices = Notices(writer.tell, verbose=plan.verbose, quiet=plan.quiet)
        self._consumer = self._reader()
        self._reach = Reach(plan.subscribe(feed), plan.source)
        self._lines = Lines(
            self._consumer.book if self._shows_books else None,
            width=columns,
            colour=_colour.wanted(sys.stdout),
            venues=len(plan.source.venues) > 1,
            symbols=len(plan.source.names) > 1,
            simulated=plan.source.simulated,
        )

    @property
    def _shows_books(self) -> bool:
        return self._plan.book is not None and not self._plan.as_json

    def _reader(self) -> Consumer:
        # a person who stops the terminal wants to go on with the newest; a program wants all or an error
        policy = "lossless" if self._plan.as_json else "drop_oldest"
        options: Any = {"books": self._shows_books, "policy": policy, "max_events": BURST}
        return self._feed.consumer(name="tail", **options)

    async def run(self) -> int:
        """Until there is a reason to end."""
        try:
            await self._stop.amid(self._pump(), self._look, LOOK_S)
        finally:
            self._notices.flush()
        return self._stop.code or _exit.OK

    def _look(self) -> None:
        """End where a time is up."""
        now = self._now()
        plan = self._plan
        self._notices.flush()
        self._reach.check(now - self._began)
        if plan.duration_s is not None and now - self._began >= plan.duration_s:
            self._reach.ended()
            self._stop.set(_exit.OK)
        elif plan.idle_s is not None and now - self._heard >= plan.idle_s:
            raise _exit.Failed(_exit.IDLE, f"nothing came for {plan.idle_s:g} s")

    async def _pump(self) -> None:
        async for events in self._consumer.batches():
            self._batch(events)
            if self._left == 0:
                return
            # what comes meanwhile waits in the consumer, within its bounds
            await self._writer.room(ROOM[self._plan.as_json])

    def _batch(self, events: Sequence[Head]) -> None:
        lines: list[bytes] = []
        for event in events:
            if type(event) in PRINTED:
                self._market(event, lines)
                if self._left == 0:
                    break
            else:
                self._flush(lines)
                self._life(event, lines)
        self._flush(lines)

    def _market(self, event: Head, lines: list[bytes]) -> None:
        if self._plan.as_json:
            lines.append(encode_json(event))
        elif (line := self._lines.line(event)) is not None:
            lines.append(line.encode())
        if type(event) is not Instrument:
            self._heard = self._now()
            if self._left is not None:
                self._left -= 1
        if self._reach.event(event):
            self._notices.release()

    def _life(self, event: Head, lines: list[bytes]) -> None:
        if self._plan.life and self._plan.as_json:
            lines.append(encode_json(event))
        if self._reach.event(event):
            self._notices.release()
        self._notices.event(event)

    def _flush(self, lines: list[bytes]) -> None:
        if lines:
            self._writer.put(b"\n".join(lines) + b"\n")
            lines.clear()
