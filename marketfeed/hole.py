"""`Hole`: the ids that a stream of trades jumped over, and what is known of them so far."""

from collections.abc import Iterator
from typing import Generic, NamedTuple

from .events import Side
from .number import N


class Run(NamedTuple):
    """Ids that are missing (not `there`), that were asked for (`past`), or that came by themselves."""

    first: int
    last: int
    there: bool
    past: bool


class Held(NamedTuple, Generic[N]):
    """A trade that waits; arguments as of `TradeSink.trade`. `past` says that it was asked for."""

    price: N
    size: N
    side: Side
    number: int
    ts_event: int
    ts_recv: int
    past: bool = False


class Hole(Generic[N]):
    """Ids from `first` to `top`: those that wait, by id, and between them those that are missing.

    `late` is set once what waited was told. `until` is the mono_ns at which it is, 0 before the first tick.
    """

    def __init__(self, first: int, top: int, after_ns: int) -> None:
        self.first = first
        self.top = top
        self.after_ns = after_ns
        self.held: dict[int, Held[N]] = {}
        self.until = 0
        self.pages = 0
        self.late = False

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return len(self.held) > self.top - self.first

    def begin_at(self, first: int) -> None:
        """What is before this id was told meanwhile."""
        if first > self.first:
            self.first = first
            self.held = {number: known for number, known in self.held.items() if number >= first}

    def missing(self) -> list[tuple[int, int]]:
        """Runs of ids that are not there, lowest first."""
        found, at = [], self.first
        for number in sorted(self.held):
            if number > at:
                found.append((at, number - 1))
            at = number + 1
        return [*found, (at, self.top)] if at <= self.top else found

    def edges(self, first: int, last: int) -> tuple[int, int]:
        """Times (ts_event) of the trades known next to these ids, 0 where there is none."""
        before = max((n for n in self.held if n < first), default=0)
        after = min((n for n in self.held if n > last), default=0)
        return self.held[before].ts_event if before else self.after_ns, self.held[after].ts_event if after else 0

    def runs(self) -> Iterator[Run]:
        """All ids of the hole, in order."""
        start, kind = self.first, (False, False)
        for number in range(self.first, self.top + 1):
            known = self.held.get(number)
            now = (known is not None, known is not None and known.past)
            if now != kind:
                if number > start:
                    yield Run(start, number - 1, *kind)
                start, kind = number, now
        if start <= self.top:
            yield Run(start, self.top, *kind)
