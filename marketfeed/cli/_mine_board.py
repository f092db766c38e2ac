"""What the live view of `mine` knows: the newest profits, the chains, who spoke when, and the day's course."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from ..events import Block, Head, Input, MiningProfit, NetworkStats, Ticker, Trade, channel_of
from ..mining.ranking import Ranking

DAY_NS = 86_400 * 10**9
MOST = 2_880
"""Points kept of a course: every half minute of a day."""


class Course:
    """Profit over the last day, thinned as it grows old."""

    def __init__(self) -> None:
        self._points: list[tuple[int, float]] = []
        self._step = 0

    def add(self, at: int, value: float) -> None:
        """A value from `at` (Unix ns) on."""
        points = self._points
        if len(points) > 1 and at - points[-2][0] < self._step:
            points[-1] = (at, value)
        else:
            points.append((at, value))
        if len(points) > MOST:
            while points and points[0][0] < at - DAY_NS:
                points.pop(0)
        if len(points) > MOST:
            del points[1:-1:2]
            self._step = max(2 * self._step, (at - points[0][0]) // MOST)

    def columns(self, count: int, now: int) -> tuple[list[float], int]:
        """The last value of each of `count` equal parts of the time there is, and that time (ns), a day at most."""
        if not self._points or count < 1:
            return [], 0
        start = max(self._points[0][0], now - DAY_NS)
        length = max(1, now - start)
        values: list[float] = []
        at, held = 0, self._points[0][1]
        for column in range(count):
            end = start + length * (column + 1) // count
            while at < len(self._points) and self._points[at][0] <= end:
                held = self._points[at][1]
                at += 1
            values.append(held)
        return values, length


class Heard(Struct, frozen=True):
    """An input as it is now: its source, how old its last sign of life is, and whether it is stale."""

    what: str
    source: str
    age_s: float
    stale: bool
    value: float | None


class Board:
    """Takes in a feed's events; `profits` are the newest by coin's label and rig, in the order asked for.

    `names` has what to call each rig, `best` what each would mine now: what has earned more for long enough.
    """

    def __init__(self, labels: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> None:
        self.labels = {label: tuple(rigs) for label, rigs in labels.items()}
        self.names = dict(names)
        self.profits: dict[tuple[str, str], MiningProfit] = {}
        self.courses: dict[tuple[str, str], Course] = {}
        self.best: dict[str, str | None] = {}
        self._ranking = Ranking()
        self._chains: dict[tuple[str, str], NetworkStats] = {}
        self._spoke: dict[str, int] = {}

    def on_event(self, event: Head) -> None:
        """Note an event: a profit, network figures, or that a stream has spoken."""
        if isinstance(event, MiningProfit):
            key = (event.symbol, event.rig)
            self.profits[key] = event
            self.best[event.rig] = self._ranking.offer(event)
            if event.profit_day is not None:
                self.courses.setdefault(key, Course()).add(event.ts_recv, event.profit_day)
            return
        if isinstance(event, NetworkStats):
            self._chains[event.venue, event.symbol] = event
        if isinstance(event, Trade | Ticker | Block | NetworkStats):  # what is told of silence is no sign of life
            self._spoke[f"{event.venue}:{event.symbol}:{channel_of(event)}"] = event.ts_recv

    @property
    def whole(self) -> bool:
        """Whether every rig and coin has a profit that is known and rests on nothing stale."""
        return not self.missing()

    def missing(self) -> list[str]:
        """What is still to come, in words."""
        found: dict[str, None] = {}
        for label, rigs in self.labels.items():
            for rig in rigs:
                profit = self.profits.get((label, rig))
                if profit is None:
                    found[label] = None
                else:
                    found.update(dict.fromkeys(profit.stale))
        return list(found)

    def inputs(self, profit: MiningProfit, kind: str, now: int) -> list[Heard]:
        """The inputs of a profit of one kind, with their ages now."""
        return [self._heard(one, profit, now) for one in profit.inputs if one.kind == kind]

    def chain(self, profit: MiningProfit, coin: str) -> NetworkStats | None:
        """The network figures a profit was made from: of the source used, or else of any, fresh ones first."""
        told = [
            ((not one.used, one.stale), stats)
            for one in profit.inputs
            if one.kind == "network" and one.what == coin
            if (stats := self._chains.get((one.source.partition(":")[0], coin))) is not None
        ]
        return min(told, key=lambda one: one[0])[1] if told else None

    def _heard(self, one: Input, profit: MiningProfit, now: int) -> Heard:
        told = profit.ts_recv - one.age_ms * 1_000_000 if one.ts else 0
        then = min(max(self._spoke.get(leg, 0), told) for leg in one.source.split(" x "))
        return Heard(one.what, one.source, max(0, now - then) / 1e9 if then else float("inf"), one.stale, one.value)
