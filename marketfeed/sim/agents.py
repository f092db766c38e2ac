"""Who trades in a simulated market: makers around a wandering fair price, takers, and second thoughts.

All dice are a `random.Random` that the caller seeds, so the same seed gives the same market.
"""

from __future__ import annotations

from random import Random

from .engine import Engine, Side

ORDERS = 1_200
"""Orders the crowd keeps in the book, both sides together: some hundreds of levels a side."""
LEVELS = 200
"""Levels below which a side is filled up before anything else happens."""
REACH = 160.0
"""Mean distance of a resting order from the fair price, in ticks."""
SPREAD = 5
"""Ticks of spread that a maker steps into at once."""


class Crowd:
    """The agent mix of one market: `open()` fills the book, each `act()` is one step of trading."""

    def __init__(self, engine: Engine, rng: Random, price: int, lots: int) -> None:
        """`price` is the fair price at the start, in ticks; `lots` the size of a usual order."""
        self.engine = engine
        self._rng = rng
        self._anchor = self.fair = float(price)
        self._lots = lots
        self._orders: list[int] = []

    def open(self) -> None:
        """Fill an empty book."""
        for n in range(ORDERS):
            self._make("bid" if n % 2 else "ask")

    def act(self) -> None:
        """One step: the fair price moves, a few agents act, and the book is kept alive."""
        rng = self._rng
        # Mostly a ripple, now and then a burst; weakly drawn home so that months of steps stay plausible.
        ripple = rng.gauss(0.0, 12.0 if rng.random() < 0.03 else 1.2)
        self.fair = max(self.fair + ripple + (self._anchor - self.fair) * 1e-5, 3 * REACH)
        for _ in range(rng.randint(1, 6)):
            dice = rng.random()
            side: Side = "bid" if rng.random() < 0.5 else "ask"
            if dice < 0.50:
                self._make(side)
            elif dice < 0.88:
                self._cancel()
            else:
                self.engine.market(side, self._size(0.6))
        self._correct()
        self._tend()

    def _correct(self) -> None:
        """An informed trader takes what is offered on the wrong side of the fair price: so prices follow it."""
        bid, ask = self.engine.bids.best(), self.engine.asks.best()
        fair = round(self.fair)
        if ask is not None and ask < fair:
            self._place("bid", fair - 1, 3.0)
        elif bid is not None and bid > fair:
            self._place("ask", fair + 1, 3.0)

    def _tend(self) -> None:
        """Keep the number of orders, both sides' depth and the spread within bounds."""
        while len(self._orders) > ORDERS:
            self._cancel()
        for side in ("bid", "ask"):
            while len(self.engine.side(side).prices) < LEVELS:
                self._make(side)
        bid, ask = self.engine.bids.best(), self.engine.asks.best()
        assert bid is not None
        assert ask is not None
        if ask - bid > SPREAD:
            middle = min(max(round(self.fair), bid + 2), ask - 2)
            self._place("bid", middle - 1)
            self._place("ask", middle + 1)

    def _make(self, side: Side) -> None:
        away = 1 + int(self._rng.expovariate(1.0 / REACH))
        self._place(side, max(1, round(self.fair) + (-away if side == "bid" else away)))

    def _place(self, side: Side, price: int, factor: float = 1.0) -> None:
        order = self.engine.limit(side, price, self._size(factor))
        if order in self.engine:
            self._orders.append(order)

    def _size(self, factor: float) -> int:
        return max(1, int(self._lots * factor * self._rng.lognormvariate(0.0, 1.0)))

    def _cancel(self) -> None:
        """One order picked at random leaves; those filled meanwhile are forgotten on the way."""
        orders = self._orders
        while orders:
            place = self._rng.randrange(len(orders))
            orders[place], orders[-1] = orders[-1], orders[place]
            if self.engine.cancel(orders.pop()):
                return
