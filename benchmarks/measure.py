"""How a row is measured: the CPU time of this process alone, the best of several rounds, rounds of all rows in turn.

Rows that are compared are measured in turn within each round, so that a machine that is slow for a while is slow for
all of them. The best round is the one least disturbed by others.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Mapping

from msgspec import Struct


class Scale(Struct, frozen=True):
    """How much is measured: rounds, and messages a round for what costs about a microsecond each."""

    messages: int = 40_000
    rounds: int = 5

    def of(self, share: float) -> int:
        """Messages a round for what costs more: a share of the full number, 40 at least."""
        return max(40, int(self.messages * share))


class Row(Struct):
    """One line of the table. `ratio` is to the row named `floor`."""

    name: str
    value: float
    unit: str = "us/msg"
    floor: str = ""
    ratio: float | None = None
    detail: str = ""


class Meter:
    """Takes the CPU time from one message to another: the first fifth warms up, the rest counts."""

    def __init__(self, count: int) -> None:
        self._warm = count // 5
        self._count = count
        self._began = 0
        self._cost = 0
        self._done = asyncio.Event()

    def counter(self) -> Callable[[object], None]:
        """A handler that does nothing but count."""
        seen, mark = 0, self._warm

        def note(_message: object) -> None:
            nonlocal seen, mark
            seen += 1
            if seen == mark:
                mark = self._mark(seen)

        return note

    async def finished(self) -> float:
        """Wait for the last message; microseconds of CPU a message."""
        async with asyncio.timeout(120):
            await self._done.wait()
        return self._cost / 1000 / (self._count - self._warm)

    @property
    def done(self) -> bool:
        """Whether the last message has come."""
        return self._done.is_set()

    def _mark(self, seen: int) -> int:
        if seen == self._warm:
            self._began = time.process_time_ns()
            return self._count
        self._cost = time.process_time_ns() - self._began
        self._done.set()
        return 0


def best(variants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The best result of each variant, all of them measured once a round."""
    found = dict.fromkeys(variants, float("inf"))
    for _ in range(rounds):
        for name, variant in variants.items():
            gc.collect()
            found[name] = min(found[name], variant())
    return found


def timed(prepare: Callable[[], Callable[[], int]]) -> Callable[[], float]:
    """A variant without a socket: `prepare` makes what is run, which returns how many messages it took."""

    def variant() -> float:
        run = prepare()
        began = time.process_time_ns()
        count = run()
        return (time.process_time_ns() - began) / 1000 / count

    return variant


def rows(results: Mapping[str, float], floors: Mapping[str, str], unit: str = "us/msg") -> list[Row]:
    """Results as rows, each with its ratio to the row that is its floor."""
    return [
        Row(name, value, unit, floors.get(name, ""), value / results[floors[name]] if name in floors else None)
        for name, value in results.items()
    ]
