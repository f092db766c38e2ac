"""A pytest plugin: a bot on simulated venues, with faults by script, in time that costs nothing.

Put `pytest_plugins = ["marketfeed.testing.plugin"]` into `conftest.py` or a test's module. Needs pytest.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random
from typing import Any, TypeVar

import pytest

from ..errors import NotLive
from ..events import EVENT_TYPES, Head
from ..feed import Feed
from ..settings import VenueSettings
from ..sim import Simulator
from .loop import LoopClock, run
from .network import Network

E = TypeVar("E", bound=Head)


class Deaths:
    """Tasks of a loop that died of an exception that nobody has looked at."""

    def __init__(self) -> None:
        self._failed: list[asyncio.Task[Any]] = []

    def make(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        """The loop's task factory."""
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if task._log_traceback:
            self._failed.append(task)

    def unheard(self) -> list[tuple[str, BaseException]]:
        """Names of tasks and what they died of, where nobody has looked at it until now."""
        return [(task.get_name(), task._exception) for task in self._failed if task._log_traceback and task._exception]

    def hear(self) -> None:
        """Look at all of them, so that asyncio tells none again."""
        for task in self._failed:
            task.exception()


class Stage:
    """What a story is told on: `feed` is connected to `plant`, over `network`; all of them on a virtual clock."""

    def __init__(self, plant: Simulator, feed: Feed, network: Network, deaths: Deaths) -> None:
        self.plant = plant
        self.feed = feed
        self.network = network
        self._deaths = deaths
        self._told: list[Head] = []
        for kind in EVENT_TYPES:
            feed.on(kind, self._told.append)

    def told(self, kind: type[E]) -> list[E]:
        """The events of a type that the feed has told so far."""
        return [event for event in self._told if isinstance(event, kind)]

    def port(self, venue: str) -> int:
        """The venue's port, as `network` takes it. Raises KeyError for a venue that is not on the stage."""
        return int(self.plant.endpoints[venue].ws.partition("://")[2].partition("/")[0].rpartition(":")[2])

    async def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait, by the virtual clock, until something holds.

        Raises TimeoutError after `seconds`: it says what does not flow, and which tasks have died. Raises TypeError for
        a condition that is to be awaited: as an object it would hold at once.
        """
        __tracebackhide__ = True
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not (holds := condition()):
            if loop.time() >= end:
                raise TimeoutError("; ".join([f"waited {seconds:g} s", *self._missing(), *self.dead()]))
            await asyncio.sleep(0.01)
        if inspect.iscoroutine(holds):
            holds.close()
            raise TypeError("a condition is a plain function: this one is a coroutine function, which always holds")

    def _missing(self) -> list[str]:
        if waiting := self.feed.waiting():
            return [str(NotLive(waiting))]
        return [] if self.feed.stats().streams else ["nothing is subscribed to"]

    def dead(self) -> list[str]:
        """Which tasks died, and of what, where nobody has looked at it; and how often handlers raised."""
        dead = [f"the task {name} died: {type(exc).__name__}: {exc}" for name, exc in self._deaths.unheard()]
        if errors := self.feed.stats().handler_errors:
            dead.append(f"handlers raised, {errors} in all: the log says what")
        return dead


Story = Callable[[Stage], Awaitable[None]]


def play(
    story: Story,
    *venues: str,
    faults: str = "",
    seed: int = 0,
    rate: float = 10.0,
    symbols: Iterable[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    limit_s: float = 3600.0,
    **options: Any,
) -> None:
    """Run a story, `async def story(stage)`, on a stage of its own. The same arguments make the same run.

    `venues` are simulated ones, kraken where none is named; `faults`, `rate` (market steps a second) and `symbols`
    are `sim.Simulator`'s, `settings` go to each `VenueSettings`, `options` to `Feed`. Fails where the story fails or
    has not ended after `limit_s` of its own time, a task died of an exception that nobody looked at, a handler raised,
    or a venue's rule was broken.
    """
    __tracebackhide__ = True
    network = Network(seed)

    async def main() -> Exception | None:
        clock = LoopClock()
        made = Simulator(
            venues or ("kraken",), seed=seed, faults=faults, rate=rate, symbols=symbols, clock=clock.unix_ns
        )
        async with made as plant:
            at = {
                name: VenueSettings(ws=end.ws, rest=end.rest, **(settings or {}))
                for name, end in plant.endpoints.items()
            }
            given: dict[str, Any] = {
                "transport": "websockets",
                "clock": clock,
                "dice": Random(f"feed {seed}").random,
            } | options
            async with Feed(at, **given) as feed:
                failed = await _told(story, plant, feed, network, limit_s)
            if failed is None and plant.breaches:
                failed = AssertionError(f"a venue's rule was broken: {dict(plant.breaches)}")
            return failed

    if failed := run(main(), network):
        raise failed


async def _told(story: Story, plant: Simulator, feed: Feed, network: Network, limit_s: float) -> Exception | None:
    """Tell a story; returned is what it failed with, so that the traceback begins here, and not in the loop."""
    __tracebackhide__ = True
    deaths = Deaths()
    asyncio.get_running_loop().set_task_factory(deaths.make)
    stage = Stage(plant, feed, network, deaths)
    failed: Exception | None = None
    try:
        async with asyncio.timeout(limit_s) as limit:
            await story(stage)
        await asyncio.sleep(0)  # whoever died just now is known then
    except Exception as exc:  # whatever it is, it is raised again
        failed = exc
        if limit.expired():
            failed = TimeoutError("; ".join([f"the story has not ended after {limit_s:g} s", *stage.dead()]))
            failed.__cause__ = exc
    unheard = deaths.unheard()
    if failed is None and (dead := stage.dead()):
        failed = AssertionError("; ".join(dead))
    if unheard and failed and failed.__cause__ is None:
        failed.__cause__ = unheard[0][1]
    deaths.hear()
    return failed


@pytest.fixture
def marketfeed_play() -> Callable[..., None]:
    """`play`: a story on simulated venues with faults, on a virtual clock."""
    return play
