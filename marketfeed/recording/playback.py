"""`Playback`: recordings as a feed, so that what runs live runs on them unchanged.

At "max" a reader gets what was received at one time, and more once it waits for more: no book, no clock and no other
reader is ahead of what it has in hand.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast

from .. import catalogue
from ..clock import Clock
from ..consumer import MAX_BYTES, MAX_EVENTS, MAX_LAG_NS, Consumer, Filter, Policy
from ..counts import Counts
from ..errors import ConfigError, NotLive
from ..events import Head, Instrument
from ..feed import Feed
from ..subscriptions import Subscription
from ._playback_pace import Pace
from ._playback_player import Player
from ._playback_reader import Reader
from ._playback_script import Script
from ._playback_sources import Source, opened
from .times import Time, time_ns

if TYPE_CHECKING:
    from ..miner import Miner
    from ..mining.plan import Mining
    from ..taped import Tape

__all__ = ["Playback", "Source"]
E = TypeVar("E", bound=Head)


class Playback(Feed):
    """Recordings as a feed: `async with Playback("data/", speed="max") as feed`, then as with `Feed`.

    A source is a folder with a dataset (or a `Dataset`) or a raw recording, a file of events as JSON lines or of raw
    frames, or any events in order. Several are merged by `ts_recv`, ties by `seq_local`. `speed` is how many times as
    fast as it was recorded; "max" is as fast as its readers are. Played is what was received from `start` to before
    `end`. `exact` reads files of lines as Decimals. `default_venue`, `policy` and `max_events` are as with `Feed`;
    `clock` is for tests.

    Told is, as it was recorded, what belongs to the streams subscribed to, life and loss of their venues, and what a
    recorder says; a stream that is not there is `Refused`. Lossless consumers are waited for. At "max" it plays only
    while somebody reads, handles, or waits in `live()` or `played()`. At the end consumers end. Raises ConfigError for
    settings that cannot be, RecordingError for what cannot be read.
    """

    _reads = Reader

    def __init__(
        self,
        *sources: Source,
        speed: float | Literal["max"] = 1,
        start: Time | None = None,
        end: Time | None = None,
        exact: bool = False,
        default_venue: str = catalogue.DEFAULT_VENUE,
        policy: Policy = "lossless",
        max_events: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        if not sources:
            raise ConfigError("nothing to play: give a path, a dataset or events")
        super().__init__(default_venue=default_venue, exact=exact, policy=policy, max_events=max_events, clock=clock)
        self._start_at = None if start is None else time_ns(start)
        end_at = None if end is None else time_ns(end)
        self._script = Script([opened(source, exact) for source in sources], self._hub, end_at)
        self._pace = Pace(_times(speed), self._clock)
        self._player = Player(self._script, self._pace, self._hub)
        self._playing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._script.open(self._start_at)
        self._pace.at = self._start_at or self._script.following or 0
        self._playing = self._start(self._player.run())
        return self

    async def close(self) -> None:
        """End every consumer; what they have queued can still be read."""
        await super().close()
        self._player.stop()

    @property
    def speed(self) -> float:
        """How many times as fast as it was recorded; infinite for "max"."""
        return self._pace.speed

    @property
    def now(self) -> int:
        """The recorded time, Unix nanoseconds: that of what was told last, or between that and the next."""
        return self._pace.now(self._script.following)

    @property
    def ended(self) -> bool:
        """Whether all is told."""
        return self._player.ended

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._pace.paused

    def pause(self) -> None:
        """Stand still; what consumers have queued can still be read."""
        self._pace.pause(self._script.following)

    def resume(self) -> None:
        """Go on, with what was left of the time to the next event."""
        self._pace.paused = False
        self._player.stir()

    async def seek(self, to: Time) -> None:
        """Go on or back to a time; the first event from then on comes next, at once.

        Every consumer lets go what it has queued and gets what a new one would get there; a book that is not live there
        is void. One that has ended stays so. Raises ConfigError where a source can be read only once.
        """
        self._check_running()
        if self._fault is not None:
            raise self._fault
        at = time_ns(to)
        self._script.seek(at)
        self._pace.jump(at)
        for reader in self._player.readers:
            reader.rewind()
        self._hub.deliver()
        self._player.again()

    async def played(self) -> None:
        """Wait until all is told, and coroutines given to `on` have done with it. Raises what ended it early."""
        self._check_running()
        self._player.listeners += 1
        self._player.stir()
        try:
            await self._player.over.wait()
        finally:
            self._player.listeners -= 1
        if self._fault is not None:
            raise self._fault
        if pumps := [task for task in self._tasks if task is not self._playing]:
            await asyncio.wait(pumps)

    async def live(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 # as the feed's
        """Play until all that was asked for flows; raises NotLive as `Feed.live` does, and at the end."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while waiting := self.waiting():
            if self._fault is not None:
                raise self._fault
            here = asyncio.current_task()
            if stuck := [len(reader) for reader in self._player.readers if reader.stuck([here])]:
                why = f"{max(stuck):,} events wait for a consumer that nobody reads meanwhile"
                raise NotLive({name: f"{reason}; {why}" for name, reason in waiting.items()})
            if self._player.over.is_set() or self._closed or waiting.keys() <= self._script.refused.keys():
                raise NotLive(waiting)
            waiter = loop.create_future()
            self._player.waiters[waiter] = here
            self._player.stir()
            try:
                async with asyncio.timeout_at(end):
                    await waiter
            except TimeoutError:
                raise NotLive(self.waiting()) from None
            finally:
                self._player.waiters.pop(waiter, None)

    def waiting(self) -> dict[str, str]:
        """Streams that do not flow, by name, and what each waits for; empty when all is live."""
        found = self._script.waiting()
        if not self._player.over.is_set():
            return found
        refused = self._script.refused
        return {name: why if name in refused else f"{why}, and the recording has ended" for name, why in found.items()}

    async def mine(self, want: "Mining") -> "Miner":
        """Not on a recording: raises ConfigError."""
        raise ConfigError("a recording is not mined live; give its events to mf.mining.profits")

    def tape(self, tape: "Tape") -> None:
        """Not on a recording: raises ConfigError."""
        raise ConfigError("a recording has no connections whose inputs could be kept")

    def consumer(
        self,
        keep: Filter | None = None,
        *,
        policy: Policy = "lossless",
        books: bool = False,
        max_events: int = MAX_EVENTS,
        max_lag_s: float = MAX_LAG_NS / 1e9,
        max_bytes: int = MAX_BYTES,
        name: str = "",
    ) -> Consumer:
        """One more reader, as `Feed.consumer` gives it; a lossless one is waited for, however slow it is."""
        limits: Any = {"max_events": max_events, "max_lag_s": max_lag_s, "max_bytes": max_bytes, "name": name}
        made = cast(Reader, super().consumer(keep, policy=policy, books=books, **limits))
        made.told = self._player.stir
        made.on_end(self._left)
        if self._player.over.is_set():
            made.end(self._fault)
        self._player.stir()
        return made

    def on(self, kind: type[E], handler: Callable[[E], None] | Callable[[E], Awaitable[None]]) -> None:
        """Call `handler` with every event of that type, as `Feed.on` does; a coroutine is waited for."""
        super().on(kind, handler)
        self._player.stir()

    async def instruments(self, venue: str) -> list[Instrument[Any]]:
        """Every instrument of a venue in the recording."""
        self._check_running()
        known = self._script.instruments
        return [known[market] for market in sorted(known) if market[0] == venue]

    def counts(self) -> dict[str, Counts]:
        """Counters by venue: `unproven` alone, as there are no frames."""
        return {venue: Counts(unproven=count) for venue, count in self._script.shelf.unproven.items()}

    def _check_venue(self, wanted: Subscription) -> None:
        if not self._script.may_hold(wanted.venue):
            catalogue.check(wanted)

    def _want(self, wanted: Subscription) -> None:
        self._player.begun |= self._script.want(wanted)
        self._player.stir()

    def _unwant(self, wanted: Subscription) -> None:
        self._script.unwant(wanted)
        self._player.look()

    def _reader(self) -> Consumer:
        ended = self._own is not None and self._player.over.is_set()
        return cast(Consumer, self._own) if ended else super()._reader()  # it may have something queued still

    def _left(self, consumer: Consumer) -> None:
        self._hub.leave(consumer)
        self._player.stir()

    def _done(self, task: asyncio.Task[None]) -> None:
        super()._done(task)
        if self._fault is not None:
            self._player.stop()


def _times(speed: float | str) -> float:
    with suppress(ValueError):
        times = inf if speed == "max" else float(speed)
        if times > 0:
            return times
    raise ConfigError(f"speed={speed}: it is above 0, or 'max'")
