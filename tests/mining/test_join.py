"""Prices joined with networks: when a profit is told, from what, and what is said of inputs that are old."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.errors import ConfigError
from marketfeed.events import (
    Block,
    Connected,
    Disconnected,
    Head,
    MiningProfit,
    NetworkStats,
    Stale,
    Ticker,
    Trade,
)
from marketfeed.mining.coins import parse_coins
from marketfeed.mining.electricity import parse_tariff
from marketfeed.mining.join import Join
from marketfeed.mining.live import profits
from marketfeed.mining.plan import Limits, Plan
from marketfeed.mining.prices import Leg, PriceKind, Route
from marketfeed.mining.rigs import Rig, make_rig
from marketfeed.outlet import Outlet

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
D = 155973032196071.94
TWO = {"BTC": ("mempool", "blockchair")}
RIG = Rig(id="xp", name="XP", algorithm="SHA-256d", hashrate_hs=270e12, watts=3645.0)
ROUTES: tuple[Route, ...] = ((Leg("kraken", "BTC-USD"),),)


def plan(
    coins: str = "BTC",
    *rigs: Rig,
    routes: Any = None,
    sources: Any = None,
    electricity: str | None = "0.05",
    limits: dict[str, float] | None = None,
    **terms: Any,
) -> Plan:
    chosen = parse_coins(coins)
    return Plan(
        coins=chosen,
        rigs=rigs or (RIG,),
        quote="USD",
        routes=routes or {coin.code: ((Leg("kraken", f"{coin.code}-USD"),),) for coin in chosen},
        sources=sources or {coin.code: ("mempool",) for coin in chosen},
        electricity=None if electricity is None else parse_tariff(electricity),
        limits=Limits(**(limits or {})),
        **terms,
    )


class World:
    """A join, its inputs and what it told."""

    def __init__(self, made: Plan | None = None, **options: Any) -> None:
        self.plan = made or plan(**options)
        self.told: list[Any] = []
        self.inputs: list[Head] = []
        self.join = Join(self.plan, Outlet(self.told.append))
        self.now = START

    def after(self, seconds: float) -> "World":
        """Time passes, and what is due is done."""
        self.now += round(seconds * SECOND)
        self.join.on_time(self.now)
        return self

    def give(self, event: Head) -> "World":
        self.inputs.append(event)
        self.join.on_event(event)
        return self

    def ticker(self, price: float, venue: str = "kraken", symbol: str = "BTC-USD", spread: float = 0.0) -> "World":
        half = spread / 2
        return self.give(
            Ticker(venue=venue, symbol=symbol, ts_recv=self.now, bid=price - half, ask=price + half, last=1.0)
        )

    def network(self, height: int = 1000, venue: str = "mempool", coin: str = "BTC", **fields: Any) -> "World":
        given: dict[str, Any] = {"difficulty": D, "hashrate": 1e21, "reward": 312_500_000, "fees": 1_950_000.0}
        return self.give(NetworkStats(venue=venue, symbol=coin, ts_recv=self.now, height=height, **given | fields))

    def block(self, height: int, venue: str = "mempool", orphans: int = 0) -> "World":
        self.give(
            Block(
                venue=venue,
                symbol="BTC",
                ts_recv=self.now,
                height=height,
                hash=f"{height:08x}",
                difficulty=D,
                orphans=orphans,
            )
        )
        return self

    def ready(self) -> "World":
        """All inputs are there, and the first profit is told."""
        self.ticker(106_935.0).network()
        assert [p.trigger for p in self.take()] == ["start"]
        return self

    def ready_at_both(self) -> "World":
        return self.ticker(100_000.0).ticker(100_000.0, "coinbase").network()

    def take(self) -> list[MiningProfit]:
        taken = list(self.told)
        self.told.clear()
        return taken

    def one(self) -> MiningProfit:
        (profit,) = self.take()
        return profit


@pytest.fixture
def world() -> World:
    return World()


def test_the_worked_example_of_a_full_machine() -> None:
    """mining.md 4.9."""
    world = World(pool_fee=0.02)
    profit = world.ticker(106_935.0).network().one()
    (term,) = profit.terms
    assert (term.coin, term.height, term.reward) == ("BTC", 1000, 3.1445)
    assert term.coins_day == pytest.approx(0.00010950141451, rel=1e-10)
    assert profit.revenue_day == pytest.approx(11.709534, abs=1e-6)
    assert profit.power_cost_day == pytest.approx(4.374)
    assert profit.profit_day == pytest.approx(7.101343, abs=1e-6)
    assert profit.breakeven_electricity == pytest.approx(0.1311768, abs=1e-7)
    assert profit.breakeven_price == pytest.approx(40759.887, abs=1e-3)
    assert (profit.venue, profit.symbol, profit.quote, profit.rig, profit.trigger) == (
        "mining",
        "BTC",
        "USD",
        "xp",
        "start",
    )
    assert profit.stale == ()


def test_every_input_has_its_source_time_and_age() -> None:
    world = World(sources=TWO)
    world.ticker(100_000.0).after(3).network()
    price, net, backup, power = world.one().inputs
    assert (price.source, price.value, price.age_ms, price.stale) == ("kraken:BTC-USD:ticker", 100_000.0, 3000, False)
    assert (net.source, net.value, net.ts, net.stale) == ("mempool:BTC:chain", D, world.now, False)
    assert (backup.source, backup.value, backup.stale) == ("blockchair:BTC:chain", None, True)
    assert (power.kind, power.value, power.stale) == ("electricity", 0.05, False)


def test_nothing_is_told_before_everything_is_there(world: World) -> None:
    world.ticker(100_000.0).after(9)
    assert world.take() == []
    world.network()
    assert world.one().trigger == "start"


def test_P35_what_never_comes_is_told_as_missing(world: World) -> None:
    world.ticker(100_000.0).after(10)
    profit = world.one()
    assert (profit.trigger, profit.revenue_day, profit.profit_day) == ("stale", None, None)
    assert profit.power_cost_day == pytest.approx(4.374)
    assert profit.stale == ("mempool:BTC:chain",)
    world.network()
    assert world.one().revenue_day is not None


# When


def test_a_price_is_told_when_it_moved_enough_and_not_too_often(world: World) -> None:
    world = World(limits={"dead_band": 0.001, "min_interval_s": 1.0}).ready().after(2)
    world.ticker(106_935.0 * 1.0009)
    assert world.take() == []
    world.ticker(106_935.0 * 1.0011)
    assert world.one().trigger == "price"
    for i in range(10):
        world.ticker(120_000.0 + i * 1000).after(0.05)
    assert world.take() == []
    world.after(0.5)
    assert world.one().terms[0].price == 129_000.0, "the newest, at the end of the interval"
    world.after(5)
    assert world.take() == []


def test_a_price_that_came_back_within_the_interval_is_not_told(world: World) -> None:
    world.ready().after(2).ticker(107_935.0).take()
    world.ticker(120_000.0).after(0.2).ticker(107_935.0).after(5)
    assert world.take() == []


def test_a_block_is_told_at_once(world: World) -> None:
    world.ready().after(0.1).block(1001).network(1001)
    profit = world.one()
    assert (profit.trigger, profit.terms[0].height) == ("block", 1001)


def test_a_block_that_another_source_tells_too_is_no_news() -> None:
    world = World(sources=TWO).ready().network(1000, "blockchair").block(1001).network(1001)
    assert [p.trigger for p in world.take()] == ["recovered", "block"]
    world.block(1001, "blockchair").network(1001, "blockchair")
    assert world.take() == []


def test_a_reorg_is_told_as_one(world: World) -> None:
    world.ready().block(1001).network(1001).take()
    world.block(1001, orphans=1).block(1002).network(1002)
    assert world.one().trigger == "reorg"


def test_a_new_difficulty_is_told_at_once(world: World) -> None:
    world.ready().network(difficulty=D * 1.05)
    profit = world.one()
    assert (profit.trigger, profit.terms[0].difficulty) == ("difficulty", D * 1.05)
    world.network(difficulty=D * 1.05, hashrate=2e21)
    assert world.take() == [], "an estimate changes no profit"


def test_now_and_then_it_is_told_anyway(world: World) -> None:
    world.ready()
    for _ in range(13):
        world.after(10).ticker(106_935.0)
    assert [(p.trigger, (p.ts_recv - START) // SECOND) for p in world.take()] == [("heartbeat", 60), ("heartbeat", 120)]


def test_electricity_changes_with_the_time_of_day() -> None:
    tariff = "00:00-06:00=0.04,06:00-24:00=0.09"
    world = World(electricity=tariff, limits={"price_stale_s": 1e6, "price_dead_s": 1e6})
    midnight = START - START % (86_400 * SECOND) + 86_400 * SECOND
    world.now = midnight - 5 * SECOND
    world.ready().after(20)
    (profit,) = world.take()
    assert (profit.trigger, profit.electricity, profit.ts_recv) == ("electricity", 0.04, midnight)


def test_electricity_may_come_from_outside_and_shows_its_age() -> None:
    world = World(electricity=None)
    world.ticker(106_935.0).network()
    assert world.take() == []
    world.join.set_electricity(0.07, world.now)
    world.after(10)
    profit = world.one()
    assert profit.electricity == 0.07
    world.join.set_electricity(-0.01, world.now)
    profit = world.one()
    assert (profit.trigger, profit.electricity) == ("electricity", -0.01)
    assert profit.profit_day > profit.revenue_day  # type: ignore[operator] # both are known
    world.join.set_electricity(-0.01, world.now)
    assert world.take() == []


def test_without_a_price_of_electricity_there_is_revenue_and_no_profit() -> None:
    world = World(electricity=None)
    world.ticker(106_935.0).network().after(10)
    profit = world.one()
    assert profit.revenue_day is not None
    assert (profit.electricity, profit.profit_day) == (None, None)


# Prices


def test_several_rigs_are_several_events_of_one_moment() -> None:
    other = Rig(id="old", name="Old", algorithm="SHA-256d", hashrate_hs=100e12, watts=3250.0, count=10)
    world = World(plan("BTC", RIG, other)).ticker(100_000.0).network()
    first, second = world.take()
    assert (first.rig, second.rig, second.hashrate, second.watts) == ("xp", "old", 1e15, 32_500.0)
    assert first.ts_recv == second.ts_recv


def test_the_median_of_several_venues_leaves_out_the_stale_and_names_them() -> None:
    routes = {"BTC": [(Leg(v, "BTC-USD"),) for v in ("kraken", "coinbase", "binance")]}
    world = World(routes=routes, limits={"heartbeat_s": 1e6})
    world.ticker(100.0).ticker(103.0, "coinbase").ticker(200.0, "binance").network()
    assert world.one().terms[0].price == 103.0
    world.after(20).ticker(100.0).ticker(103.0, "coinbase").after(11)
    profit = world.one()
    assert (profit.trigger, profit.ts_recv - START) == ("stale", 30 * SECOND)
    assert profit.stale == ("binance:BTC-USD:ticker",)
    assert profit.terms[0].price == 101.5
    world.ticker(102.0, "binance")
    profit = world.one()
    assert (profit.trigger, profit.terms[0].price) == ("recovered", 102.0)


def test_P35_prices_that_disagree_are_named() -> None:
    """The middle of two is no price of anybody, where one of them is of another coin."""
    routes = {"BTC": [(Leg(v, "BTC-USD"),) for v in ("kraken", "coinbase", "binance")]}
    world = World(routes={"BTC": routes["BTC"][:2]}).ticker(100.0).ticker(104.0, "coinbase").network()
    assert world.one().stale == ()
    world.after(2).ticker(200.0, "coinbase")
    profit = world.one()
    both = ("kraken:BTC-USD:ticker disagrees", "coinbase:BTC-USD:ticker disagrees")
    assert (profit.trigger, profit.terms[0].price, profit.stale) == ("stale", 150.0, both)
    world.after(0.1).ticker(101.0, "coinbase")
    assert (world.take()[-1].trigger, world.join.deadline > world.now) == ("recovered", True)

    world = World(routes=routes).ticker(100.0).ticker(101.0, "coinbase").ticker(1.0, "binance").network()
    profit = world.one()
    assert (profit.terms[0].price, profit.stale) == (100.0, ("binance:BTC-USD:ticker disagrees",))
    assert world.ticker(100.0, "binance").one().trigger == "recovered"
    profit = world.ticker(94.0, "binance").one()
    assert (profit.trigger, profit.terms[0].price) == ("stale", 100.0), "though the median has not moved"


def test_a_price_may_go_over_another_currency() -> None:
    routes = {"BTC": [(Leg("kraken", "BTC-USDT"), Leg("kraken", "USDT-USD"))]}
    world = World(routes=routes).ticker(100_000.0, symbol="BTC-USDT").network()
    assert world.take() == []
    world.after(1).ticker(0.999, symbol="USDT-USD")
    profit = world.one()
    assert profit.terms[0].price == pytest.approx(99_900.0)
    assert profit.inputs[0].source == "kraken:BTC-USDT:ticker x kraken:USDT-USD:ticker"
    assert profit.inputs[0].age_ms == 1000, "as old as its oldest part"


def test_a_leg_may_be_inverse() -> None:
    routes = {"BTC": [(Leg("kraken", "BTC-USDC"), Leg("kraken", "USD-USDC", inverse=True))]}
    world = World(routes=routes).ticker(100.0, symbol="BTC-USDC").ticker(1.25, symbol="USD-USDC").network()
    assert world.one().terms[0].price == pytest.approx(80.0)


@pytest.mark.parametrize(
    ("kind", "events", "price"),
    [
        ("ticker", [Ticker(venue="kraken", symbol="BTC-USD", ts_recv=1, bid=99.0, ask=101.0, last=5.0)], 100.0),
        ("ticker", [Ticker(venue="kraken", symbol="BTC-USD", ts_recv=1, bid=0.0, ask=101.0, last=98.0)], 98.0),
        ("ticker", [Ticker(venue="kraken", symbol="BTC-USD", ts_recv=1, volume_24h=7.0)], None),
        ("ticker", [Ticker(venue="kraken", symbol="BTC-USD", ts_recv=1, bid=101.0, ask=99.0, last=98.0)], None),
        ("ticker", [Ticker(venue="kraken", symbol="BTC-USD", ts_recv=1, bid=99.0, ask=199.0, last=98.0)], None),
        ("ticker", [Ticker(venue="kraken", symbol="BTC-USD", ts_recv=1, bid=1.0, ask=2.0, last=98.0)], 1.5),
        (
            "trades",
            [
                Trade(venue="kraken", symbol="BTC-USD", ts_recv=1, price=97.0, size=1.0, side="buy", id="1"),
                Ticker(venue="kraken", symbol="BTC-USD", ts_recv=1, bid=99.0, ask=101.0),
            ],
            97.0,
        ),
    ],
)
def test_what_of_a_market_counts(kind: PriceKind, events: Iterable[Any], price: float | None) -> None:
    world = World(routes={"BTC": [(Leg("kraken", "BTC-USD", kind),)]})
    for event in events:
        world.give(event)
    world.now = 1
    world.network()
    assert [p.terms[0].price for p in world.take()] == ([] if price is None else [price])


def test_P35_a_price_grows_stale_and_then_counts_no_more(world: World) -> None:
    world.ready().after(400)
    told = [(p.trigger, (p.ts_recv - START) // SECOND, p.revenue_day is None) for p in world.take()]
    assert ("stale", 30, False) in told
    dead = [one for one in told if one[2]]
    assert dead
    assert dead[0][1] <= 360, "at the latest with the next heartbeat"
    world.ticker(106_935.0)
    profit = world.take()[-1]
    assert (profit.trigger, profit.stale) == ("recovered", ())


def test_a_market_without_a_price_grows_stale(world: World) -> None:
    world.ready()
    for _ in range(4):
        world.after(10).give(Ticker(venue="kraken", symbol="BTC-USD", ts_recv=world.now, bid=None, ask=None))
    profit = world.one()
    assert (profit.trigger, profit.ts_recv - START) == ("stale", 30 * SECOND)


def test_P35_a_market_that_is_crossed_or_all_but_empty_grows_stale(world: World) -> None:
    world.ready()
    for spread in (-10.0, 500_000.0) * 2:
        world.after(10).ticker(1_000_000.0, spread=2 * spread)
    profit = world.one()
    assert (profit.trigger, profit.terms[0].price, profit.stale) == ("stale", 106_935.0, ("kraken:BTC-USD:ticker",))


def test_a_trade_that_was_missed_is_as_old_as_it_is() -> None:
    world = World(routes={"BTC": [(Leg("kraken", "BTC-USD", "trades"),)]}, limits={"min_interval_s": 0.0})

    def trade(price: float, age_s: float, *, backfill: bool) -> MiningProfit:
        at, world.now = world.now - round(age_s * SECOND), world.now + 1
        fields: dict[str, Any] = {"size": 1.0, "side": "buy", "id": "1", "backfill": backfill}
        world.give(Trade(venue="kraken", symbol="BTC-USD", ts_event=at, ts_recv=world.now, price=price, **fields))
        world.network(difficulty=D + world.now % 1000)
        return world.take()[-1]

    assert trade(100.0, 0, backfill=False).terms[0].price == 100.0
    world.after(200)
    profit = trade(90.0, 100, backfill=True)
    assert (profit.terms[0].price, profit.inputs[0].age_ms, profit.inputs[0].stale) == (90.0, 100_000, True)
    assert trade(110.0, 0, backfill=False).stale == ()
    assert trade(50.0, 40, backfill=True).terms[0].price == 110.0, "it was before the last one"


def test_inputs_say_whether_they_are_used() -> None:
    routes = {"BTC": [(Leg(v, "BTC-USD"),) for v in ("kraken", "coinbase")]}
    world = World(routes=routes, sources=TWO).ticker(100.0).ticker(102.0, "coinbase").network().after(20).ticker(100.0)
    world.after(15)
    used = {one.source: one.used for one in world.take()[-1].inputs}
    assert used == {
        "kraken:BTC-USD:ticker": True,
        "coinbase:BTC-USD:ticker": False,
        "mempool:BTC:chain": True,
        "blockchair:BTC:chain": False,
        "tariff": True,
    }


def test_a_clock_that_was_set_back_makes_nobody_wait(world: World) -> None:
    world.ready()
    world.now -= 3600 * SECOND
    world.ticker(107_500.0).after(2).ticker(108_000.0)
    assert {p.trigger for p in world.take()} == {"price"}
    world.after(31)
    assert "kraken:BTC-USD:ticker" in world.take()[-1].stale


def test_before_anything_is_heard_nothing_is_due_in_a_sleep(world: World) -> None:
    world.join.skip(world.now)
    assert world.take() == []


def test_what_was_due_in_a_long_sleep_is_told_once(world: World) -> None:
    world.ready()
    world.now += 3 * 86_400 * SECOND
    world.join.skip(world.now)
    assert [p.trigger for p in world.take()] == ["stale"]
    world.ticker(106_935.0)
    assert [p.trigger for p in world.take()] == ["recovered"]


def test_a_tariff_that_changed_in_a_sleep_is_told_after_it() -> None:
    world = World(electricity="00:00-06:00=0.04,06:00-24:00=0.09", limits={"heartbeat_s": 1e6})
    world.now += 86_400 * SECOND - START % (86_400 * SECOND) - 5 * SECOND
    world.ready()
    world.now += 25 * SECOND
    world.join.skip(world.now)
    profit = world.one()
    assert (profit.trigger, profit.electricity, profit.ts_recv) == ("electricity", 0.04, world.now)


# Networks


def test_a_height_that_cannot_be_accuses_nobody() -> None:
    world = World(sources=TWO, limits={"price_stale_s": 1e6, "price_dead_s": 1e6}).ready()
    world.network(10**9, "blockchair", reward=0).after(100)
    assert "mempool:BTC:chain" not in world.take()[-1].stale


def test_another_source_takes_over_where_the_first_is_gone() -> None:
    world = World(sources=TWO, limits={"price_stale_s": 1e6, "price_dead_s": 1e6, "heartbeat_s": 1e6}).ready()
    world.network(1000, "blockchair", difficulty=D).after(5)
    world.give(Disconnected(venue="mempool", ts_recv=world.now, link="mempool-1", code=1006, reason="gone"))
    world.take()
    world.after(44)
    assert world.take() == []
    world.after(1)
    profit = world.one()
    assert (profit.trigger, profit.stale) == ("stale", ("mempool:BTC:chain",))
    world.network(1001, "blockchair", difficulty=D * 1.01)
    profit = world.one()
    assert profit.terms[0].difficulty == D * 1.01
    world.give(Connected(venue="mempool", ts_recv=world.now, link="mempool-1"))
    assert world.take() == [], "a connection tells nothing of the chain"
    world.network(1001, "mempool", difficulty=D * 1.01)
    assert [(p.trigger, p.stale) for p in world.take()] == [("recovered", ())]


def test_a_coin_that_is_not_heard_says_nothing_of_another_of_the_same_source() -> None:
    l7 = Rig(id="l7", name="L7", algorithm="Scrypt", hashrate_hs=9.5e9, watts=3425.0)
    sources = dict.fromkeys(("LTC", "DOGE"), ("blockchair",))
    world = World(plan("LTC+DOGE", l7, sources=sources, limits={"price_stale_s": 1e6, "price_dead_s": 1e6}))
    world.ticker(100.0, symbol="LTC-USD").ticker(0.25, symbol="DOGE-USD")
    world.network(coin="LTC", venue="blockchair").network(coin="DOGE", venue="blockchair")
    world.give(Stale(venue="blockchair", symbol="LTC", ts_recv=world.now, channel="chain", reason="not heard"))
    assert world.after(50).take()[-1].stale == ("blockchair:LTC:chain",)


def test_a_short_cut_of_a_source_is_no_news(world: World) -> None:
    world.ready()
    world.give(Disconnected(venue="mempool", ts_recv=world.now, link="mempool-1", code=1006, reason="gone")).after(20)
    world.network().after(9)
    assert world.take() == []


def test_P35_a_source_that_lags_is_stale() -> None:
    world = World(sources=TWO, limits={"price_stale_s": 1e6}).ready().network(1003, "blockchair")
    assert world.one().terms[0].height == 1000, "one that is asked now and then lags for moments"
    world.after(45)
    profit = world.one()
    assert profit.stale == ("mempool:BTC:chain",)
    assert profit.terms[0].height == 1003
    world.network(1003)
    assert world.one().stale == ()


def test_P35_sources_that_disagree_are_named() -> None:
    world = World(sources=TWO).ready().network(1000, "blockchair", difficulty=D * 1.001)
    assert world.one().stale == ("blockchair:BTC:chain disagrees",)


@pytest.mark.parametrize(
    ("coin", "height", "first", "second", "disagree"),
    [
        ("BTC", 1000, {"bits": 0x1701CDFB}, {"bits": 0x1701CDFB}, False),
        ("BTC", 1000, {"bits": 0x1701CDFB}, {"bits": 0x1701CDFC}, True),
        ("BTC", 2015, {"bits": 0x1701CDFB}, {"difficulty": D * 2}, False),
        ("BCH", 1000, {"bits": 0x1701CDFB}, {"difficulty": D * 2}, False),
        ("BCH", 1000, {}, {"difficulty": D * 11}, True),
        ("BTC", 1000, {}, {"difficulty": D / 11, "height": 1002}, True),
        ("BTC", 1000, {}, {"difficulty": D / 2, "height": 1002}, False),
        ("BTC", 1000, {}, {"reward": 156_250_000, "height": 1001}, False),
        ("BTC", 1000, {}, {"reward": 0, "height": 10**9}, True),
    ],
)
def test_what_sources_can_disagree_about(
    coin: str, height: int, first: dict[str, Any], second: dict[str, Any], disagree: bool
) -> None:
    sources = {coin: ("mempool", "blockchair")}
    world = World(plan(coin, sources=sources)).ticker(100.0, symbol=f"{coin}-USD")
    other: dict[str, Any] = {"height": height, "venue": "blockchair", "coin": coin} | second
    world.network(height, coin=coin, **first).network(**other)
    assert bool(world.take()[-1].stale) is disagree


def test_a_quiet_chain_is_no_fault() -> None:
    """Blocks of 90 minutes come once in 56 days."""
    world = World(limits={"price_stale_s": 100.0}).ready()
    for _ in range(90):
        world.after(60).ticker(106_935.0)
    assert {p.stale for p in world.take()} == {()}
    for _ in range(91):
        world.after(60).ticker(106_935.0)
    assert "mempool:BTC:chain" in world.take()[-1].stale


def test_P35_a_source_that_repeats_one_block_for_too_long_is_stale() -> None:
    """A node that lost its peers goes on answering."""
    world = World(limits={"price_stale_s": 100.0}).ready()
    for minute in range(1, 182):
        world.after(60).ticker(106_935.0).network()
        stale = world.take()[-1].stale
        assert bool(stale) is (minute >= 180), minute
    world.network(1001)
    assert world.take()[-1].stale == ()


def test_P35_a_source_that_stands_still_lags_however_far_the_others_are() -> None:
    world = World(sources=TWO, limits={"price_stale_s": 100.0}).ready()
    for minute in range(600):
        world.after(60).ticker(106_935.0).network(1000).network(1000 + minute // 10, "blockchair")
    profit = world.take()[-1]
    assert profit.stale == ("mempool:BTC:chain",)
    assert profit.terms[0].height == 1059


def test_a_block_in_place_of_the_best_one_is_news_of_the_chain() -> None:
    world = World(limits={"price_stale_s": 1e6, "price_dead_s": 1e6}).ready().after(9_000)
    world.block(1000, orphans=1).network(1000).after(9_000)
    assert {p.stale for p in world.take()} == {()}


def test_a_clock_set_forward_makes_no_source_old() -> None:
    world = World(limits={"price_stale_s": 1e6, "price_dead_s": 1e6}).ready()
    world.now += 86_400 * SECOND
    world.join.skip(world.now)
    assert world.take()[-1].stale == ("mempool:BTC:chain",)
    assert world.network().take()[-1].stale == ()


def test_figures_of_a_lost_source_end_with_the_epoch() -> None:
    world = World(limits={"price_stale_s": 1e8, "price_dead_s": 1e8})
    world.ticker(100_000.0).network(retarget_ts=START + 600 * SECOND, venue="mempool")
    world.give(Disconnected(venue="mempool", ts_recv=world.now, link="mempool-1", code=1006, reason="gone")).after(700)
    assert world.take()[-1].revenue_day is None


# Terms


@pytest.mark.parametrize(
    "options",
    [
        {"pool_fee": 2.0},
        {"uptime": 1.5},
        {"pue": 0.5},
        {"limits": {"heartbeat_s": float("inf")}},
        {"limits": {"price_stale_s": 0.0}},
        {"limits": {"min_interval_s": -1.0}},
        {"limits": {"network_down_s": float("nan")}},
    ],
    ids=str,
)
def test_terms_that_cannot_be_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        World(**options)


def test_what_is_beyond_computing_is_not_known() -> None:
    profit = World().ticker(1e300).network(difficulty=1e-3, reward=10**18).one()
    assert (profit.revenue_day, profit.profit_day) == (None, None)


def test_a_profit_can_be_computed_again_from_what_it_says() -> None:
    profit = World(pue=1.3, uptime=0.9, pool_fee=0.01).ticker(100_000.0).network(fees_blocks=144).one()
    (term,) = profit.terms
    assert (term.fees, term.fees_blocks, profit.pue) == (0.0195, 144, 1.3)
    cost = profit.watts * 24 / 1000 * profit.uptime * profit.pue * (profit.electricity or 0)
    assert profit.power_cost_day == pytest.approx(cost, rel=1e-12)


def test_a_price_of_electricity_that_is_none_is_refused_and_an_old_one_named() -> None:
    world = World(electricity=None, limits={"price_stale_s": 1e6, "price_dead_s": 1e6, "heartbeat_s": 1e6})
    world.ticker(100_000.0).network()
    with pytest.raises(ValueError, match="is none"):
        world.join.set_electricity(float("nan"), world.now)
    world.join.set_electricity(0.05, world.now)
    assert world.one().trigger == "start", "it was the last to come"
    world.after(180)
    profit = world.one()
    assert (profit.trigger, profit.stale, profit.electricity) == ("stale", ("electricity",), 0.05)
    world.join.set_electricity(0.05, world.now)
    assert world.one().trigger == "recovered"


def test_a_price_of_electricity_that_is_absurd_costs_no_profits() -> None:
    """Beyond what can be computed it would: each event would raise from then on."""
    world = World(electricity=None).ticker(100_000.0).network()
    world.join.set_electricity(0.05, world.now)
    for absurd in (1e307, -1e10, float("inf")):
        with pytest.raises(ValueError, match="is none"):
            world.join.set_electricity(absurd, world.now)
    assert world.block(1001).network(1001).take()[-1].electricity == 0.05
    with pytest.raises(ConfigError, match="per kWh"):
        plan(electricity="1e307")


def test_a_rig_beyond_computing_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="XP"):
        World(plan("BTC", Rig(id="xp", name="XP", algorithm="SHA-256d", hashrate_hs=1e12, watts=1e305)))


def test_schemes_change_what_a_block_pays() -> None:
    assert World(scheme="PPS").ticker(1.0).network().one().terms[0].reward == 3.125
    assert World(scheme="PPLNS").ticker(1.0).network().one().terms[0].reward == 3.1445


def test_merged_coins_add() -> None:
    """mining.md 4.8: an L7 on LTC and DOGE."""
    l7 = Rig(id="l7", name="L7", algorithm="Scrypt", hashrate_hs=9.5e9, watts=3425.0)
    world = World(plan("LTC+DOGE", l7))
    world.ticker(100.0, symbol="LTC-USD").ticker(0.25, symbol="DOGE-USD")
    world.network(coin="LTC", difficulty=20.92e6, reward=1_250_000_000, fees=None)
    world.network(coin="DOGE", difficulty=7.02e6, reward=1_000_000_000_000, fees=None)
    profit = world.one()
    ltc, doge = profit.terms
    assert (profit.symbol, ltc.coin, doge.coin) == ("LTC+DOGE", "LTC", "DOGE")
    assert profit.revenue_day == pytest.approx((ltc.revenue_day or 0) + (doge.revenue_day or 0), rel=1e-12)
    assert ltc.coins_day == pytest.approx(9.5e9 * 86400 / (20.92e6 * 2**32) * 12.5)
    assert doge.coins_day == pytest.approx(9.5e9 * 86400 / (7.02e6 * 2**32) * 10_000)


def test_a_rig_of_another_algorithm_is_refused() -> None:
    with pytest.raises(ConfigError, match="XP hashes SHA-256d, and LTC needs Scrypt"):
        World(plan("LTC", RIG))


def test_two_rigs_of_one_id_are_refused() -> None:
    """Their profits could not be told apart: not in a ranking, and not in the day's income."""
    other = make_rig("100TH/s", "3kW", "sha256")
    with pytest.raises(ConfigError, match="two rigs have the id own: Small and own rig"):
        World(plan("BTC", make_rig("90TH/s", "3kW", "sha256", name="Small"), other))


def test_events_of_others_are_passed_over(world: World) -> None:
    world.ready().ticker(5.0, "bitfinex").ticker(5.0, symbol="ETH-USD").network(coin="LTC").network(venue="kaspa")
    assert world.take() == []


@given(
    st.lists(
        st.tuples(
            st.floats(0, 70), st.sampled_from(["price", "other", "block", "reorg", "cut", "up"]), st.floats(0.9, 1.1)
        ),
        max_size=30,
    )
)
def test_recorded_inputs_give_the_same_profits(steps: list[tuple[float, str, float]]) -> None:
    """Live, timers run beside the events; in a replay there are the events alone."""
    routes = {"BTC": [(Leg("kraken", "BTC-USD"),), (Leg("coinbase", "BTC-USD"),)]}
    world = World(routes=routes).ready_at_both()
    height = 1000
    for seconds, what, factor in steps:
        world.after(seconds)
        if what == "price":
            world.ticker(100_000.0 * factor)
        elif what == "other":
            world.ticker(100_000.0 * factor, "coinbase")
        elif what in {"block", "reorg"}:
            height += what == "block"
            world.block(height, orphans=what == "reorg").network(height)
        elif what == "cut":
            world.give(Disconnected(venue="mempool", ts_recv=world.now, link="m", code=1006, reason="gone"))
        else:
            world.give(Connected(venue="mempool", ts_recv=world.now, link="m"))
    live = world.take()
    again = profits(world.inputs, world.plan)
    end = world.inputs[-1].ts_recv
    assert [p for p in live if p.ts_recv <= end] == again
