"""`Miner`: keeps a mining join fed and on time within a running feed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from .chain import ChainStream
from .clock import Clock
from .events import (
    Block,
    Disconnected,
    Head,
    MiningProfit,
    NetworkStats,
    Stale,
    Ticker,
    Trade,
)
from .hub import Hub, leaving
from .mining.join import Join
from .mining.plan import Plan
from .outlet import Outlet
from .pace import SECOND

KINDS: tuple[type[Head], ...] = (Trade, Ticker, Block, NetworkStats, Disconnected, Stale)
ASK_S = 60.0
LATE_NS = 10 * SECOND
"""What is due for longer was due while the process slept, or before its clock was set."""
LOOK_S = 60.0
"""Between two looks at the clock, at most."""
NEWEST = 4096
"""Profits that a miner knows for its own."""


class Feeding(Protocol):
    """What a miner needs of its feed; see `Feed`."""

    @property
    def closed(self) -> bool:
        """Whether it has ended."""

    def subscribe(self, *names: str, trades: bool = False, ticker: bool = False, chain: bool = False) -> Any:
        """Want streams."""

    def unsubscribe(self, *names: str, trades: bool = False, ticker: bool = False, chain: bool = False) -> Any:
        """Want them no more."""


class Miner:
    """One join within a feed, which tells its profits to every consumer. `close()` ends it."""

    def __init__(self, plan: Plan, feed: Feeding, hub: Hub, clock: Clock) -> None:
        self.plan = plan
        self._own: dict[int, None] = {}
        """Numbers of the newest profits told."""
        outlet = Outlet(self._emit)
        outlet.number = hub.outlet.number
        self._join = Join(plan, outlet)
        self._feed = feed
        self._hub = hub
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._told = False
        self._asking: asyncio.Task[None] | None = None
        self._armed = 0
        self._timed = 0
        """When the timer fired last, by the wall clock."""
        self._wanted: list[tuple[str, dict[str, bool]]] = []
        for kind in KINDS:
            hub.handlers[kind] = [*hub.handlers.get(kind, ()), self._on_event]
        try:
            for leg in self._join.legs():
                self._want(f"{leg.venue}:{leg.symbol}", {leg.kind: True})
            for name in self._chains():
                self._want(name, {"chain": True})
        except BaseException:
            self.close()
            raise
        for coin, sources in plan.sources.items():
            for source in sources:
                stream = hub.streams.find(source, coin, "chain")
                if isinstance(stream, ChainStream) and (figures := stream.figures(clock.unix_ns())) is not None:
                    hub.outlet.emit(figures)  # for everybody, and recordings: the next may be a block away
        hub.deliver()

    def close(self) -> None:
        """Tell no more profits, and want no more what they are made from."""
        for kind in KINDS:
            self._hub.handlers[kind] = [one for one in self._hub.handlers[kind] if one != self._on_event]
        for task in (self._timer, self._asking):
            if task is not None:
                task.cancel()
        wanted, self._wanted = self._wanted, []
        for name, channel in wanted if not self._feed.closed else ():
            self._feed.unsubscribe(name, **channel)

    def _want(self, name: str, channel: dict[str, bool]) -> None:
        self._feed.subscribe(name, **channel)
        self._wanted.append((name, channel))

    def tells(self, event: Head) -> bool:
        """Whether an event is one of the newest profits of this one, and not of another with the same coin and rig."""
        return isinstance(event, MiningProfit) and event.seq_local in self._own

    def ask(self, price: Callable[[], Awaitable[float]], start: Callable[[Any], "asyncio.Task[None]"]) -> None:
        """Ask a callable for the price of electricity from now on, each minute."""
        self._asking = start(self._ask(price))

    async def _ask(self, price: Callable[[], Awaitable[float]]) -> None:
        while True:
            try:
                self._join.set_electricity(float(await price()), self._clock.unix_ns())
            except Exception as exc:  # whatever a user's callable raises: the last price stands, and shows its age
                self._hub.report(price, exc)
            except asyncio.CancelledError as exc:
                if leaving():
                    raise
                self._hub.report(price, exc)
            else:
                self._after()
            await asyncio.sleep(ASK_S)

    def _emit(self, event: Head) -> None:
        self._own[event.seq_local] = None
        if len(self._own) > NEWEST:
            del self._own[next(iter(self._own))]
        self._hub.outlet.emit(event)

    def _chains(self) -> list[str]:
        return [f"{source}:{coin}" for coin, of in self.plan.sources.items() for source in of]

    def _on_event(self, event: Head) -> None:
        if self._join.deadline and event.ts_recv - self._join.deadline > LATE_NS:
            self._join.skip(event.ts_recv)
        self._join.on_event(event)
        self._after()

    def _after(self) -> None:
        """Hand on what was told, once the batch in hand is through, and set the timer."""
        loop = asyncio.get_running_loop()
        if self._hub.batch and not self._told:
            self._told = True
            loop.call_soon(self._deliver)
        deadline = self._join.deadline
        if deadline and (self._timer is None or deadline < self._armed):
            if self._timer is not None:
                self._timer.cancel()
            self._armed = deadline
            delay = max(0, deadline - self._clock.unix_ns()) / SECOND
            self._timer = loop.call_later(min(delay, LOOK_S), self._on_timer)

    def _deliver(self) -> None:
        self._told = False
        self._hub.deliver()

    def _on_timer(self) -> None:
        """The deadline may have moved since the timer was set: then nothing is due, and a new one is set."""
        self._timer = None
        now, deadline = self._clock.unix_ns(), self._join.deadline
        if now < self._timed - LATE_NS:
            self._join.rebase(now)
        elif deadline and now - deadline > LATE_NS:
            self._join.skip(now)
        else:
            self._join.on_time(now)
        self._timed = now
        self._after()
