"""The live run of `mine`: miners in a feed, to JSON lines, a view that redraws in place, or a table in the end."""

import asyncio
import contextlib
import select
import shutil
import sys
import time
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ..errors import ConsumerTooSlow
from ..events import MARKET_TYPES, Head, Instrument, MiningProfit, Ticker, Trade, encode_json
from ..feed import Feed
from ..mining.plan import Mining
from ..mining.prices import PriceKind, Route
from ..text import escaped
from . import _colour, _exit, _logs
from ._loop import Stop
from ._mine_ask import Ask
from ._mine_board import Board
from ._mine_compare import Compare
from ._mine_frame import BARS, PLAIN_BARS, Frame
from ._mine_source import MineReach
from ._mine_tables import rig_name
from ._mine_view import view
from ._notices import Notices
from ._show import BEHIND, NOTE_S
from ._show import _Screen as Screen
from ._source import SIMULATED, Source, opened
from ._watch import BURST, ROOM, columns, written
from ._writer import Writer

LOOK_S = 0.1
"""How often time limits are looked at."""
DRAW_S = {True: 0.25, False: 1.0}
"""Between two drawings: on a screen, and of text below text."""
PASSED = frozenset({*MARKET_TYPES, Instrument})


class Plan(Struct, frozen=True, kw_only=True):
    """What `mine` was asked to do live; see its options."""

    ask: Ask
    source: Source
    venues: list[str]
    chains: list[str]
    price_of: PriceKind = "ticker"
    compare: bool = False
    as_json: bool = True
    plain: bool = False
    count: int | None = None
    duration_s: float | None = None
    verbose: int = 0
    quiet: bool = False

    @property
    def drawn(self) -> bool:
        """Whether there is a view."""
        return not (self.as_json or self.compare)


async def mine(plan: Plan) -> int:
    """Run until there is a reason to end; the exit code. Raises what ends it with a message."""
    stop = Stop()
    writer = Writer(lambda: stop.set_from_thread(_exit.OK))
    screen = Screen(writer) if plan.drawn and not plan.plain else None
    try:
        with _logs.shown(writer, plan.verbose, plan.quiet or screen is not None):
            if plan.source.simulated:
                writer.put(f"marketfeed: {SIMULATED}\n".encode(), err=True)
            async with opened(plan.source) as feed:
                code = await _Mine(plan, feed, writer, stop, screen).run()
    except ConsumerTooSlow as exc:
        raise _exit.Failed(_exit.SLOW, "the reader of stdout is too slow: profits would have been lost") from exc
    finally:
        if screen is not None:
            screen.leave()
        await written(writer, stop)
    writer.check()
    return code


class _Mine:
    """One run."""

    def __init__(self, plan: Plan, feed: Feed, writer: Writer, stop: Stop, screen: Screen | None) -> None:
        self._plan, self._feed, self._writer, self._stop, self._screen = plan, feed, writer, stop, screen
        self._now = asyncio.get_running_loop().time
        self._began = self._drawn_at = self._now()
        self._left = plan.count
        self._fresh = False
        self._note, self._noted = "", 0.0
        shared = plan.ask.shared
        self._board = Board(
            {label: [rig.id for rig in rigs] for label, rigs in shared.items()},
            {rig.id: rig_name(rig) for rig in plan.ask.rigs},
        )
        self._compare = Compare(plan.ask, self._board, self._tell, plan.duration_s, quiet=plan.quiet)
        self._notices = Notices(self._tell, verbose=plan.verbose, quiet=plan.quiet)
        self._reach = MineReach(plan.source)
        for kind in (Ticker, Trade):
            feed.on(kind, self._board.on_event)
        # a program wants all or an error; a person the newest
        policy = "lossless" if plan.as_json and not plan.compare else "drop_oldest"
        self._consumer = feed.consumer(
            lambda event: type(event) not in PASSED,
            policy=policy,  # type: ignore[arg-type] # one of the two
            max_events=BURST,
        )

    async def run(self) -> int:
        """Until there is a reason to end."""
        work = [asyncio.ensure_future(self._pump()), asyncio.ensure_future(self._start())]
        try:
            while self._stop.code is None and not self._done(work):
                await self._stop.wait(work[0], timeout_s=LOOK_S)
        finally:
            for task in work:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
            self._notices.flush()
        if self._plan.compare and self._stop.code is None:
            self._print()
        elif self._plan.drawn and self._fresh:
            self._draw()
        return self._stop.code or _exit.OK

    def _done(self, work: Sequence["asyncio.Future[None]"]) -> bool:
        """Whether it has come to its end by itself."""
        pump, start = work
        if start.done():
            start.result()
        if pump.done():
            pump.result()
            return True
        plan, seconds = self._plan, self._now() - self._began
        self._notices.flush()
        self._reach.check(seconds)
        if _unread():
            self._stop.set(_exit.OK)  # profits are rare: the next write, which would tell, may be a minute away
        over = plan.duration_s is not None and seconds >= plan.duration_s
        if over:
            self._reach.ended()
        if plan.compare:
            return self._compare.done(seconds)
        if plan.drawn and self._due():
            self._draw()
        return over

    async def _start(self) -> None:
        plan, ask = self._plan, self._plan.ask
        names: list[str] = []
        for label, rigs in ask.shared.items():
            miner = await self._feed.mine(
                Mining(
                    coins=label,
                    rigs=rigs,
                    quote=ask.quote,
                    electricity=ask.tariff,
                    venues=plan.venues,
                    sources=plan.chains,
                    price=plan.price_of,
                    pool_fee=ask.fee,
                    scheme=ask.scheme,
                    uptime=ask.uptime,
                    pue=ask.pue,
                )
            )
            names += _streams(miner.plan.routes, miner.plan.sources)
        self._reach.want(names)

    async def _pump(self) -> None:
        async for events in self._consumer.batches():
            lines = [line for event in events if (line := self._take(event)) is not None]
            if lines and self._plan.as_json and not self._plan.compare:
                self._writer.put(b"\n".join(lines) + b"\n")
                await self._writer.room(ROOM[True])
            if self._left == 0:
                return

    def _take(self, event: Head) -> bytes | None:
        """Note an event; its line of JSON, if it is a profit and still to be told."""
        if self._reach.event(event):
            self._notices.release()
        if not isinstance(event, MiningProfit):
            self._board.on_event(event)
            self._notices.event(event)
            return None
        if self._left == 0:
            return None
        self._board.on_event(event)
        self._fresh = True
        if self._left is not None and not self._plan.compare:
            self._left -= 1
        return encode_json(event)

    def _due(self) -> bool:
        if self._screen is None and not self._fresh:
            return False  # text below text only where there is news; a screen also shows how ages grow
        return self._now() - self._drawn_at >= DRAW_S[self._screen is not None]

    def _draw(self) -> None:
        if self._writer.backlog > BEHIND:
            return
        self._drawn_at, self._fresh = self._now(), False
        size = (columns(), shutil.get_terminal_size().lines)
        frame = Frame(
            columns=size[0],
            rows=None if self._screen is None else size[1],
            colour=_colour.wanted(sys.stdout),
            simulated=self._plan.source.simulated,
            bars=BARS if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else PLAIN_BARS,
        )
        note = self._note if self._now() - self._noted < NOTE_S else ""
        lines = view(self._board, frame, time.time_ns(), note)
        if self._screen is not None:
            self._screen.draw(lines, size)
        else:
            self._writer.put(("\n".join(lines) + "\n\n").encode())

    def _print(self) -> None:
        lines = self._compare.lines(self._plan.as_json, columns(), _colour.wanted(sys.stdout))
        self._writer.put(("\n".join(lines) + "\n").encode())

    def _tell(self, line: str) -> None:
        if self._screen is None:
            self._writer.put(f"marketfeed: {escaped(line, 2_000)}\n".encode(), err=True)
        else:
            self._note, self._noted = line, self._now()


def _unread() -> bool:
    """Whether stdout is a pipe whose reader has gone."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(what & select.POLLERR for _, what in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # Windows, or no file at all
        return False


def _streams(routes: Mapping[str, Sequence[Route]], sources: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of all streams of a plan."""
    legs = [leg.name for of in routes.values() for route in of for leg in route]
    return legs + [f"{source}:{coin}:chain" for coin, of in sources.items() for source in of]
