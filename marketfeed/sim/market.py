"""One simulated market: engine, agents, oracle and the day's figures, moved step by step.

A step's outcome is a `Step`, which every venue's dialect renders in its own words.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import NamedTuple

from msgspec import structs

from .agents import Crowd
from .engine import BookSide, Engine, Fill, LevelChange
from .instruments import SimInstrument
from .oracle import Oracle

OPENING = 30
"""Steps traded before anybody looks, so that the first snapshot and the trades in it are lived in."""
PAST = 20_000
"""Trades that REST still knows."""


class Print(NamedTuple):
    """A trade as the venue reports it: its id, the fill, and when (Unix ns)."""

    id: int
    fill: Fill
    at: int


class Step(NamedTuple):
    """What one step did. `key` is the oracle's; `first` and `last` number the level changes."""

    market: Market
    key: int
    at: int
    first: int
    last: int
    changes: tuple[LevelChange, ...]
    """Each changed level once, with its size after the step, in order of first change."""
    trades: tuple[Print, ...]
    bbo: bool
    """Whether price or size of the best bid or ask has moved."""


class Market:
    """One instrument's market. `by_update_id` says what the venue's frames are keyed by."""

    def __init__(
        self,
        instrument: SimInstrument,
        seed: str,
        *,
        resolution: int = 1,
        by_update_id: bool = False,
        keep: int = 1_000_000,
    ) -> None:
        """`resolution` is that of the venue's timestamps, in ns: stamps are unique and rising at it.

        The oracle remembers `keep` changes.
        """
        self.instrument = instrument
        self.listed = True
        """Whether the venue still lists it; where not, nothing moves and nothing is told of it."""
        self.engine = Engine()
        self.oracle = Oracle(instrument, keep)
        self.recent: deque[Print] = deque(maxlen=50)
        self.past: deque[Print] = deque(maxlen=PAST)
        self.update_id = 0
        self._resolution = resolution
        self._by_update_id = by_update_id
        self._stamp = 0
        rng = Random(seed)
        self._trade_id = self.first_trade = rng.randrange(10**6, 10**9)
        self.update_id = rng.randrange(10**9, 10**10)
        start = instrument.ticks(instrument.start)
        self._crowd = Crowd(self.engine, rng, start, instrument.lots(instrument.usual))
        self.day = Day(rng, start, instrument.lots(instrument.usual))
        self._top: tuple[tuple[int, int], ...] = ()
        self._opened = False

    def __repr__(self) -> str:
        return f"Market({self.instrument.symbol}, {self.engine!r})"

    @property
    def bids(self) -> BookSide:
        """The bids as they are now."""
        return self.engine.bids

    @property
    def asks(self) -> BookSide:
        """The asks as they are now."""
        return self.engine.asks

    def refine(self) -> None:
        """Print one digit more of each price from now on, as a venue may that makes a market finer."""
        self.instrument = structs.replace(self.instrument, finer=self.instrument.finer + 1)

    def open(self, now: int) -> None:
        """Fill the book and trade a little, unseen; `now` is Unix ns."""
        if not self._opened:
            self._opened = True
            self._crowd.open()
            self.step(now)
            for _ in range(OPENING):
                self.step(now)

    def stamp(self, now: int) -> int:
        """A Unix ns timestamp no earlier than `now` and later than every one before, published as a key."""
        step = self._resolution
        self._stamp = max(now - now % step, self._stamp + step)
        self.oracle.publish(self.update_id if self._by_update_id else self._stamp)
        return self._stamp

    def best(self) -> tuple[tuple[int, int], ...]:
        """The best bid and ask as (ticks, lots); the crowd never leaves a side empty."""
        return (self.bids.top(1)[0], self.asks.top(1)[0])

    def step(self, now: int) -> Step:
        """One step of trading at `now` (Unix ns)."""
        self._crowd.act()
        raw, fills = self.engine.take()
        self.oracle.learn(raw)
        changes = {(change.side, change.price): change for change in raw}
        first, self.update_id = self.update_id + 1, self.update_id + len(raw)
        at = self.stamp(now)
        trades = tuple(self._report(fill, at) for fill in fills)
        top = self.best()
        moved, self._top = top != self._top, top
        key = self.update_id if self._by_update_id else at
        return Step(self, key, at, first, self.update_id, tuple(changes.values()), trades, moved)

    def _report(self, fill: Fill, at: int) -> Print:
        self._trade_id += 1
        report = Print(self._trade_id, fill, at)
        self.recent.append(report)
        self.past.append(report)
        self.day.add(fill)
        return report

    @property
    def last_trade(self) -> Print:
        """The newest trade; there has been one since `open()`."""
        return self.recent[-1]


class Day:
    """A market's last 24 hours in ticks and lots: they begin with plausible made-up ones."""

    def __init__(self, rng: Random, start: int, lots: int) -> None:
        self.trades = rng.randrange(50_000, 90_000)
        self.volume = lots * self.trades
        self.open = round(start * rng.uniform(0.98, 1.02))
        self.low = round(min(start, self.open) * rng.uniform(0.97, 0.999))
        self.high = round(max(start, self.open) * rng.uniform(1.001, 1.03))
        self.turnover = (self.low + self.high) // 2 * self.volume

    def add(self, fill: Fill) -> None:
        """Count one trade."""
        self.trades += 1
        self.volume += fill.size
        self.turnover += fill.price * fill.size
        self.low = min(self.low, fill.price)
        self.high = max(self.high, fill.price)

    @property
    def vwap(self) -> float:
        """The volume-weighted price, in ticks."""
        return self.turnover / self.volume
