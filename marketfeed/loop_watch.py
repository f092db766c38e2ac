"""`LoopWatch`: watches over a feed's event loop, and sees to it that nobody else is judged by what it finds."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from .clock import WakingClock
from .events import ClockStep, Head, LoopLag
from .hub import Hub
from .runner import Runner
from .watch import SAMPLE_NS, Watch

Tell = Callable[..., None]


class LoopWatch:
    """Runs from `start` to `stop`, by one timer; see `Witness` for what it hears of."""

    def __init__(self, clock: WakingClock, hub: Hub, runners: Mapping[str, Runner], tell: Tell) -> None:
        self.watch = Watch(clock, clock.asleep_ns, self)
        self._clock = clock
        self._hub = hub
        self._runners = runners
        self._tell_all = tell
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._again(asyncio.get_running_loop())

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lagged(self, lag_ns: int) -> None:
        """See `Witness`; before anything is connected there is nothing that could have been late."""
        if any(runner.sessions() for runner in self._runners.values()):
            self._tell(LoopLag, lag_ns=lag_ns)

    def stepped(self, step_ns: int) -> None:
        """See `Witness`; a feed that stamps nothing, such as a recording's, has no use for it."""
        for runner in self._runners.values():
            runner.meter.offset.forget()
        if self._runners:
            self._tell(ClockStep, step_ns=step_ns)

    def stood(self, lag_ns: int) -> None:
        """See `Witness`: neither venues nor readers answer for it."""
        for consumer in self._hub.consumers:
            consumer.excuse(lag_ns)
        for runner in self._runners.values():
            for kept in runner.links:
                kept.driver.stood(lag_ns)

    def slept(self, lag_ns: int) -> None:
        """See `Witness`; readers are not judged by it either."""
        for consumer in self._hub.consumers:
            consumer.excuse(lag_ns)
        for runner in self._runners.values():
            for kept in runner.links:
                kept.driver.slept(f"this program stood still for {lag_ns / 1e9:.0f} s")

    def _tell(self, kind: type[Head], **fields: Any) -> None:
        self._tell_all(kind, venue="", ts_recv=self._clock.unix_ns(), **fields)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(SAMPLE_NS / 1e9, self._again, loop)
        self.watch.look()
