"""A pytest plugin: a bot on simulated venues, with faults by script, in time that costs nothing.

Put `pytest_plugins = ["marketfeed.testing.plugin"]` into `conftest.py` or a test's module. Needs pytest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random
from typing import Any, TypeVar

import pytest

from ..events import EVENT_TYPES, Head
from ..feed import Feed
from ..settings import VenueSettings
from ..sim import Simulator
from .loop import LoopClock, run
from .network import Network

E = TypeVar("E", bound=Head)


class Stage:
    """What a story is told on: `feed` is connected to `plant`, over `network`; all of them on a virtual clock."""

    def __init__(self, plant: Simulator, feed: Feed, network: Network) -> None:
        self.plant = plant
        self.feed = feed
        self.network = network
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
        """Wait, by the virtual clock, until something holds. Raises TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 # any condition, of which nobody tells
                await asyncio.sleep(0.01)


Story = Callable[[Stage], Awaitable[None]]


def play(
    story: Story,
    *venues: str,
    faults: str = "",
    seed: int = 0,
    rate: float = 10.0,
    symbols: Iterable[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Run a story, `async def story(stage)`, on a stage of its own. The same arguments make the same run.

    `venues` are simulated ones, kraken where none is named; `faults`, `rate` (market steps a second) and `symbols`
    are `sim.Simulator`'s, `settings` go to each `VenueSettings`, `options` to `Feed`. Fails where the story fails, or
    a venue's rule was broken.
    """
    network = Network(seed)

    async def main() -> None:
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
                await story(Stage(plant, feed, network))
            assert not plant.breaches, f"a venue's rule was broken: {dict(plant.breaches)}"

    run(main(), network)


@pytest.fixture
def marketfeed_play() -> Callable[..., None]:
    """`play`: a story on simulated venues with faults, on a virtual clock."""
    return play
