"""A loop that stands still, a machine that sleeps, a clock that is set: told before any data, and blamed on nobody."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue
from marketfeed.clock import SystemClock
from marketfeed.events import (
    BookDelta,
    BookSnapshot,
    BookVoid,
    ClockStep,
    Connected,
    Disconnected,
    Gap,
    Head,
    LoopLag,
    Recovered,
    Stale,
    Ticker,
    Trade,
)
from marketfeed.watch import BLINKS, LAG_NS, SAMPLE_NS, SLEPT_NS, UNWATCHED, Watch

from . import toy
from .test_feed import Toy
from .test_runner import a_venue
from .virtual import LoopClock, VirtualLoop, now_s, settle, until, virtual

MS, SECOND, HOUR = 10**6, 10**9, 3600 * 10**9
VENUE = a_venue(structs.replace(toy.PACE, connects=(1000, 60), silence_s=3.0, ping_idle_s=1.0), toy.STREAM)
DATA = (Trade, Ticker, BookDelta, BookSnapshot)


@pytest.fixture(autouse=True)
def _toy_is_a_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    real = catalogue.venue
    monkeypatch.setattr(catalogue, "venue", lambda name: VENUE if name == "toy" else real(name))


class Wall:
    """Clocks that a test moves, and what a watch says of them."""

    def __init__(self) -> None:
        self.mono, self.unix, self.asleep = 5 * SECOND, 1_790_000_000 * SECOND, 0
        self.torn = 0
        self.told: list[tuple[str, int]] = []
        self.watch = Watch(self, self.asleep_ns, self)

    def unix_ns(self) -> int:
        return self.unix

    def mono_ns(self) -> int:
        return self.mono

    def asleep_ns(self) -> int:
        if self.torn:
            self.torn -= 1
            self.pass_(60 * MS)
        return self.asleep

    def pass_(self, ns: int) -> None:
        self.mono += ns
        self.unix += ns

    def sleep(self, ns: int) -> None:
        self.asleep += ns
        self.unix += ns

    def look(self, after_ns: int = SAMPLE_NS) -> list[tuple[str, int]]:
        self.pass_(after_ns)
        self.told.clear()
        self.watch.look()
        return self.told[:]

    def lagged(self, lag_ns: int) -> None:
        self.told.append(("lagged", lag_ns))

    def stepped(self, step_ns: int) -> None:
        self.told.append(("stepped", step_ns))

    def stood(self, lag_ns: int) -> None:
        self.told.append(("stood", lag_ns))

    def slept(self, lag_ns: int) -> None:
        self.told.append(("slept", lag_ns))


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (0, []),
        (SAMPLE_NS, []),
        (SAMPLE_NS + LAG_NS - 1, []),
        (SAMPLE_NS + LAG_NS, [("lagged", LAG_NS)]),
        (SAMPLE_NS + 999 * MS, [("lagged", 999 * MS)]),
        (SAMPLE_NS + SECOND, [("lagged", SECOND), ("stood", SECOND)]),
        (SAMPLE_NS + SLEPT_NS - 1, [("lagged", SLEPT_NS - 1), ("stood", SLEPT_NS - 1)]),
        (SAMPLE_NS + SLEPT_NS, [("lagged", SLEPT_NS), ("slept", SLEPT_NS)]),
    ],
)
def test_C05_how_late_a_look_is_decides_what_is_told(after: int, told: list[tuple[str, int]]) -> None:
    assert Wall().look(after) == told


def test_C05_a_loop_that_stalls_again_and_again_is_told_when_it_is_longer_and_else_once_a_second() -> None:
    wall = Wall()
    stalls = [200, 150, 200, 300, 250, 250, 250, 250]
    told = [bool(wall.look(SAMPLE_NS + ms * MS)) for ms in stalls]
    assert told == [True, False, False, True, False, False, False, True]


def test_C05_what_is_read_after_a_stall_is_stamped_later_than_the_watch_waits() -> None:
    wall = Wall()
    wall.look()
    wall.pass_(SAMPLE_NS + LAG_NS)
    assert wall.unix == wall.watch.late_at
    wall.pass_(1)
    assert wall.unix > wall.watch.late_at
    assert wall.look(0)
    assert wall.unix < wall.watch.late_at
    UNWATCHED.look()
    assert wall.unix < UNWATCHED.late_at


@pytest.mark.parametrize("step", [50 * MS, -50 * MS, HOUR, -HOUR])
def test_C14_a_clock_that_is_set_is_told_once_by_how_much_it_moved(step: int) -> None:
    wall = Wall()
    wall.unix += step
    assert wall.look() == [("stepped", step)]
    assert wall.look() == []


def test_C14_a_clock_that_is_slewed_is_not_set() -> None:
    wall = Wall()
    for _ in range(100):
        wall.unix += 25_000  # 500 millionths, as fast as a clock is slewed
        assert wall.look() == []


@pytest.mark.parametrize("torn", range(BLINKS))
def test_C14_losing_the_processor_between_two_clocks_is_no_step(torn: int) -> None:
    wall = Wall()
    wall.torn = torn
    assert [what for what, _ in wall.look()] == ["lagged"] * (torn == 2)


def test_T23_sleep_is_told_by_its_length_and_is_no_step_of_the_clock() -> None:
    wall = Wall()
    wall.sleep(HOUR)
    assert wall.look() == [("lagged", HOUR), ("slept", HOUR)]
    wall.sleep(200 * MS)
    wall.unix += SECOND  # and an hour later the clock is put right
    assert wall.look() == [("stepped", SECOND)]


def test_T23_the_systems_clock_knows_how_long_the_machine_slept() -> None:
    clock = SystemClock()
    slept = [clock.asleep_ns() for _ in range(3)]
    assert slept[0] >= -MS
    assert max(slept) - min(slept) < SECOND, "it did not sleep in this test"


class WakingLoopClock(LoopClock):
    """The virtual loop's clock, watched; `slept_ns` is what the machine slept."""

    def __init__(self) -> None:
        self.slept_ns = 0

    def unix_ns(self) -> int:
        return super().unix_ns() + self.slept_ns

    def asleep_ns(self) -> int:
        return self.slept_ns


class Watched(Toy):
    """A feed with three streams that flow, on a loop that a test stops; `events` is all that was told."""

    def __init__(self) -> None:
        super().__init__(clock=WakingLoopClock())
        self.clock = self.feed._clock
        assert isinstance(self.clock, WakingLoopClock)
        self.events: list[Head] = []
        self.number = 0
        for kind in Head.__subclasses__():
            self.feed.on(kind, self.events.append)

    async def begin(self) -> None:
        self.feed.subscribe("BTC-USD", trades=True, ticker=True, book=True)
        await until(lambda: self.transport.links)
        await settle()
        self.talk()
        self.link.frame(json.dumps(toy.snap(1)).encode(), self.feed._clock.unix_ns())
        await self.feed.live(5)
        await asyncio.sleep(0.2)
        self.events.clear()

    def talk(self) -> None:
        """The venue says something, now."""
        self.number += 1
        for frame in (toy.trade(self.number), {"c": "ticker", "s": "BTCUSD", "last": 5}):
            self.link.frame(json.dumps(frame).encode(), self.feed._clock.unix_ns())

    def of(self, *kinds: type[Head]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def watched(test: Callable[[Watched, VirtualLoop], Awaitable[None]]) -> Callable[[], None]:
    @virtual
    async def run() -> None:
        t = Watched()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with t.feed:
            await t.begin()
            await test(t, loop)
        assert t.feed._watch is not None
        assert t.feed._watch._timer is None

    return run


@watched
async def test_C05_a_stall_of_5_s_is_told_before_what_waited_and_costs_no_connection(
    t: Watched, loop: VirtualLoop
) -> None:
    loop.now += 5  # longer than this venue may be silent
    t.talk()
    assert t.names() == ["LoopLag", "Trade", "Ticker"]
    assert 4.9 * SECOND < t.events[0].lag_ns <= 5 * SECOND  # type: ignore[attr-defined]
    await asyncio.sleep(0.5)
    t.talk()
    await asyncio.sleep(2)
    assert t.of(Disconnected, Stale, Gap, BookVoid) == []
    assert len(t.of(LoopLag)) == 1
    assert len(t.transport.links) == 1


@watched
async def test_C05_the_time_that_a_loop_stood_still_is_nobodys_silence(t: Watched, loop: VirtualLoop) -> None:
    """A venue in the same process, or a machine that was halted, could say nothing meanwhile."""
    loop.now += 10
    await asyncio.sleep(0.5)
    assert t.names() == ["LoopLag"]
    t.talk()
    await asyncio.sleep(1)
    assert t.of(Disconnected, Gap) == []
    t.transport.answers_pings = False
    t.link.ping = lambda: None  # type: ignore[method-assign]
    start = now_s()
    await until(lambda: t.of(Disconnected), 10)
    assert 1 < now_s() - start < 5, "silence is still found in its time"


@watched
async def test_C05_a_reader_is_not_too_slow_for_a_stall_of_its_loop(t: Watched, loop: VirtualLoop) -> None:
    reader = t.feed.consumer()
    got: list[Head] = []

    async def read() -> None:
        async for event in reader:
            got.append(event)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(read())
    t.talk()
    t.talk()
    await asyncio.sleep(0.015)
    loop.now += 20
    t.talk()
    await asyncio.sleep(0.5)
    assert not reader.ended
    assert len([event for event in got if isinstance(event, Trade)]) >= 2
    task.cancel()


@watched
async def test_C05_a_stall_before_anything_is_connected_made_nothing_late(t: Watched, loop: VirtualLoop) -> None:
    t.link.drop()
    await settle()
    t.events.clear()
    loop.now += 0.2
    t.feed._watch.watch.look()  # type: ignore[union-attr]
    assert t.names() == []


@watched
async def test_C06_a_pause_of_the_collector_is_told_as_any_other(t: Watched, loop: VirtualLoop) -> None:
    def pause(phase: str, info: dict[str, int]) -> None:
        loop.now += 0.2

    gc.callbacks.append(pause)  # called before and after
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(pause)
    t.talk()
    assert t.names() == ["LoopLag", "Trade", "Ticker"]
    assert t.of(LoopLag)[0].lag_ns > 300 * MS


@pytest.mark.parametrize("frozen", [True, False], ids=["halted", "suspended"])
def test_T23_after_sleep_all_is_stale_and_void_before_any_data_and_one_connection_is_made_anew(frozen: bool) -> None:
    """Halted as by SIGSTOP the monotonic clock runs on, in a laptop's sleep it stands."""

    @watched
    async def run(t: Watched, loop: VirtualLoop) -> None:
        assert isinstance(t.clock, WakingLoopClock)
        first, before = t.link, t.feed.book("BTC-USD").epoch
        if frozen:
            loop.now += 3600
        else:
            t.clock.slept_ns += HOUR
        turns = loop.turns
        t.talk()  # what waited in the kernel is an hour old
        assert t.of(*DATA) == []
        assert t.names()[:4] == ["LoopLag", "Stale", "Stale", "Stale"]
        assert sorted(event.channel for event in t.of(Stale)) == ["book", "ticker", "trades"]
        assert [event.epoch for event in t.of(BookVoid)] == [before]
        assert not t.feed.book("BTC-USD").live
        await until(lambda: t.link is not first, 5)
        assert loop.turns - turns < 60, "no avalanche of what was due meanwhile"
        await settle()
        assert [type(e) for e in t.of(Disconnected, Connected)] == [Disconnected, Connected]
        assert "stood still for 3600 s" in t.of(Disconnected)[0].reason
        assert t.of(ClockStep, *DATA) == []
        t.talk()
        t.link.frame(json.dumps(toy.snap(9)).encode(), t.clock.unix_ns())
        await asyncio.sleep(1)
        assert sorted(event.channel for event in t.of(Recovered)) == ["book", "ticker", "trades"]
        assert t.feed.book("BTC-USD").epoch == before + 1
        assert len(t.transport.links) == 2
        assert len(t.of(Stale)) == 3

    run()


@pytest.mark.parametrize("hours", [1, -1])
def test_C14_after_a_clock_was_set_its_distance_is_that_of_the_new_time(hours: int) -> None:
    @watched
    async def run(t: Watched, loop: VirtualLoop) -> None:
        assert isinstance(t.clock, WakingLoopClock)
        for number, hours_off in enumerate((0, hours), 1):
            t.clock.skew_ns = hours_off * HOUR
            await asyncio.sleep(0.1)
            right = t.clock.unix_ns() - t.clock.skew_ns
            t.link.frame(json.dumps(toy.trade(number, ts=right)).encode(), t.clock.unix_ns())
            assert t.feed.stats().venues["toy"].clock.least == hours_off * HOUR
            await asyncio.sleep(1)

    run()


@pytest.mark.parametrize("hours", [1, -1])
def test_C14_a_clock_set_by_an_hour_is_told_and_no_timeout_fires(hours: int) -> None:
    @watched
    async def run(t: Watched, loop: VirtualLoop) -> None:
        assert isinstance(t.clock, WakingLoopClock)
        t.clock.skew_ns = hours * HOUR
        if hours > 0:
            t.talk()
            assert t.names() == ["ClockStep", "Trade", "Ticker"]
        await asyncio.sleep(0.1)
        assert [event.step_ns for event in t.of(ClockStep)] == [hours * HOUR]
        for _ in range(5):
            t.talk()
            await asyncio.sleep(1)
        assert t.of(Disconnected, Stale, Gap, LoopLag) == []
        assert len(t.of(ClockStep)) == 1

    run()


@virtual
async def test_a_test_clock_that_knows_nothing_of_sleep_is_not_watched() -> None:
    class Simple:
        unix_ns, mono_ns = LoopClock.unix_ns, LoopClock.mono_ns
        skew_ns = 0

    t = Toy(clock=Simple())
    async with t.feed:
        assert t.feed._watch is None
    assert mf.Feed()._watch is not None
