"""`Join`: prices and networks in, `MiningProfit` out. Without clock and timer: time is that of its events and ticks.

It tells a profit at once on a block, a reorg, a new difficulty, an input that goes stale or comes back, and a new price
of electricity; on a price where it moved enough, and not too often; and now and then anyway. The same events give the
same profits, so that a recording of inputs is a recording of profits.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import ConfigError
from ..events import Block, Head, Input, Ticker, Trade, Trigger
from ..outlet import Outlet
from ..pace import SECOND
from .coins import Coin
from .electricity import MOST
from .networks import Networks
from .plan import Plan
from .prices import Leg, Prices
from .profit import Seen, check, profit
from .rigs import Rig

SET_BACK_NS = 5 * SECOND
"""An event so much older than the newest means that the clock was set back."""


def check_rigs(coins: Sequence[Coin], rigs: Iterable[Rig]) -> None:
    """Raise ConfigError where a rig does not hash what the coins need, or has another one's id."""
    needed = coins[0].algorithm
    known: dict[str, str] = {}
    for rig in rigs:
        if rig.id in known:
            raise ConfigError(f"two rigs have the id {rig.id}: {known[rig.id]} and {rig.name}; give each its own")
        known[rig.id] = rig.name
        if rig.algorithm != needed:
            label = "+".join(coin.code for coin in coins)
            raise ConfigError(f"{rig.name} hashes {rig.algorithm}, and {label} needs {needed}")


class Join:
    """See the module's docstring. `deadline` is the Unix time (ns) at which `on_time` wants to be called.

    Raises ConfigError as `check_rigs` does.
    """

    def __init__(self, plan: Plan, outlet: Outlet) -> None:
        check_rigs(plan.coins, plan.rigs)
        check(plan)
        limits = plan.limits
        self.plan = plan
        self.deadline = 0
        self._outlet = outlet
        self._prices = Prices(plan.routes, int(limits.price_stale_s * SECOND), int(limits.price_dead_s * SECOND))
        self._networks = Networks(
            plan.sources, int(limits.network_down_s * SECOND), int(limits.network_dead_s * SECOND)
        )
        self._electricity: float | None = None
        self._since = 0  # when electricity was set from outside
        self._newest = 0  # receive time of the newest event
        self._began = 0
        self._told = 0
        self._told_prices: dict[str, float] = {}
        self._stale: tuple[str, ...] = ()
        self._pending: dict[tuple[str, str], Trigger] = {}

    def legs(self) -> list[Leg]:
        """Every market needed."""
        return self._prices.legs()

    def set_electricity(self, price: float, now: int) -> None:
        """A new price a kWh, where it comes from outside. Raises ValueError for what is none."""
        if not abs(price) < MOST:
            raise ValueError(f"a price of electricity of {price} is none")
        self.on_time(now)
        changed, self._electricity, self._since = price != self._electricity, price, now
        self._began = self._began or now
        self._judge("electricity" if changed else None, now)
        self._plan_next(now)

    def skip(self, now: int) -> None:
        """The process slept, or its clock jumped: what was due meanwhile is not told, but what is so now."""
        if self.deadline:
            self._due(now)
            self._plan_next(now)

    def rebase(self, now: int) -> None:
        """The clock was set back: ages begin anew, so that what falls silent from here on is noticed in time."""
        self._prices.rebase(now)
        self._networks.rebase(now)
        self._told, self._began = min(self._told, now), min(self._began, now)
        self._since, self._newest = min(self._since, now), now
        self._plan_next(now)

    def on_event(self, event: Head) -> None:
        """Take in an event of a feed; those that are not of this join are passed over."""
        now = event.ts_recv
        if now < self._newest - SET_BACK_NS:
            self.rebase(now)
        self._newest = max(self._newest, now)
        self.on_time(now)
        trigger: Trigger | None = None
        if isinstance(event, Trade | Ticker):
            if not self._prices.on_event(event):
                return
            if self._told and not self._stale and not self._prices.apart(now):  # all that it can change now is itself
                self._on_price(now)
                return
        else:
            before = self._used(now)
            if self._networks.on_event(event):
                trigger = self._network_trigger(event, before, now)
        self._began = self._began or now
        self._judge(trigger, now)
        self._plan_next(now)

    def on_time(self, now: int) -> None:
        """Do what is due, each at its own time."""
        while self.deadline and self.deadline <= now:
            at = self.deadline
            self._due(at)
            self._plan_next(at)

    def _on_price(self, now: int) -> None:
        if self._moved(now):
            due = self._told + int(self.plan.limits.min_interval_s * SECOND)
            if now >= due:
                self._tell("price", now)
                self._plan_next(now)
            else:
                self.deadline = min(self.deadline, due)

    def _used(self, now: int) -> tuple[Any, ...]:
        """What of the networks profit is made from."""
        found = (self._networks.network(coin.code, now).stats for coin in self.plan.coins)
        return tuple((s.difficulty, s.reward, s.fees) if s else None for s in found)

    def _network_trigger(self, event: Head, before: tuple[Any, ...], now: int) -> Trigger | None:
        """Why figures of a source are news: what it told of blocks before them, if it is the one that is used."""
        key = (event.venue, event.symbol)
        if isinstance(event, Block):
            self._pending[key] = "reorg" if event.orphans else self._pending.get(key, "block")
            return None
        pending = self._pending.pop(key, None)
        used = self._networks.network(event.symbol, now).stats
        if pending and used is not None and used.venue == event.venue:
            return pending
        after = self._used(now)
        if [one and one[:2] for one in after] != [one and one[:2] for one in before]:
            return "difficulty"
        return "fees" if after != before else None

    def _judge(self, trigger: Trigger | None, now: int) -> None:
        """Tell what the newest input gives rise to."""
        if not self._told:
            if self._complete(now):
                self._tell("start", now)
            return
        if trigger is not None:
            self._tell(trigger, now)
            return
        stale = self._stale_now(now)
        if stale != self._stale:
            self._tell("stale" if set(stale) - set(self._stale) else "recovered", now)
        elif self._moved(now) and now - self._told >= self.plan.limits.min_interval_s * SECOND:
            self._tell("price", now)

    def _due(self, at: int) -> None:
        limits = self.plan.limits
        if not self._told:
            self._tell("start" if self._complete(at) else "stale", at)
            return
        tariff = self.plan.electricity
        change = None if tariff is None else tariff.next_change(self._told)
        if change is not None and change <= at:
            self._tell("electricity", at)
            return
        stale = self._stale_now(at)
        if stale != self._stale:
            self._tell("stale" if set(stale) - set(self._stale) else "recovered", at)
        elif self._moved(at) and at - self._told >= limits.min_interval_s * SECOND:
            self._tell("price", at)
        elif at - self._told >= limits.heartbeat_s * SECOND:
            self._tell("heartbeat", at)

    def _plan_next(self, now: int) -> None:
        limits = self.plan.limits
        if not self._told:
            self.deadline = self._began + int(limits.first_s * SECOND) if self._began else 0
            return
        times = [self._told + int(limits.heartbeat_s * SECOND)]
        times += self._prices.edges(now)
        times += self._networks.edges(now)
        if self.plan.electricity is not None:
            change = self.plan.electricity.next_change(self._told)
            times += [change] if change else []
        elif self._since:
            times.append(self._since + int(limits.electricity_stale_s * SECOND))
        if self._moved(now):
            times.append(self._told + int(limits.min_interval_s * SECOND))
        self.deadline = min(at for at in times if at > now)

    def _complete(self, now: int) -> bool:
        return all(
            self._prices.price(coin.code, now).complete and self._networks.network(coin.code, now).complete
            for coin in self.plan.coins
        ) and (self.plan.electricity is not None or self._electricity is not None)

    def _moved(self, now: int) -> bool:
        for coin in self.plan.coins:
            price, told = self._prices.value(coin.code, now), self._told_prices.get(coin.code)
            if price != told and (price is None or told is None or abs(price / told - 1) >= self.plan.limits.dead_band):
                return True
        return False

    def _stale_now(self, now: int) -> tuple[str, ...]:
        named: list[str] = []
        for coin in self.plan.coins:
            price, network = self._prices.price(coin.code, now), self._networks.network(coin.code, now)
            named += [one.source for one in (*price.inputs, *network.inputs) if one.stale]
            named += (*price.disagree, *network.disagree)
        if self._electricity_input(now).stale:
            named.append("electricity")
        return tuple(named)

    def _tell(self, trigger: Trigger, now: int) -> None:
        prices = [self._prices.price(coin.code, now) for coin in self.plan.coins]
        networks = [self._networks.network(coin.code, now) for coin in self.plan.coins]
        self._told = now
        self._stale = self._stale_now(now)
        self._told_prices = {
            coin.code: price.value
            for coin, price in zip(self.plan.coins, prices, strict=True)
            if price.value is not None
        }
        seen = Seen(now, prices, networks, self._electricity_input(now), self._stale)
        for rig in self.plan.rigs:
            self._outlet.emit(profit(self.plan, rig, seen, trigger, self._outlet.number()))

    def _electricity_input(self, now: int) -> Input:
        tariff = self.plan.electricity
        value = tariff.price_at(now) if tariff is not None else self._electricity
        limit = int(self.plan.limits.electricity_stale_s * SECOND)
        return Input(
            kind="electricity",
            what=f"{self.plan.quote}/kWh",
            source="tariff" if tariff is not None else "callable",
            value=value,
            ts=self._since,
            age_ms=(now - self._since) // 1_000_000 if self._since else 0,
            stale=value is None or (tariff is None and now - self._since >= limit),
            used=value is not None,
        )
