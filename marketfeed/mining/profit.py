"""One `MiningProfit`, from a rig and what is known of prices and networks."""

from collections.abc import Sequence
from math import isfinite

from msgspec import Struct

from ..errors import ConfigError
from ..events import Input, MiningProfit, NetworkStats, Trigger
from ..events import Term as TermOf
from .coins import Coin
from .economics import Result, Term, calculate
from .economics import hashprice as hashprice_of
from .electricity import MOST
from .networks import Network
from .plan import Plan
from .prices import Price
from .rigs import Rig


class Seen(Struct, frozen=True):
    """What is known at `now` (Unix ns): prices and networks in the order of the plan's coins."""

    now: int
    prices: Sequence[Price]
    networks: Sequence[Network]
    electricity: Input
    stale: tuple[str, ...]


def profit(plan: Plan, rig: Rig, seen: Seen, trigger: Trigger, seq_local: int) -> MiningProfit:
    """The event. What cannot be known is None: never 0, and never made from other inputs than those it names."""
    terms = [_term(plan, *one) for one in zip(plan.coins, seen.prices, seen.networks, strict=True)]
    given = [term for term in terms if term is not None]
    whole = len(given) == len(plan.coins)
    e = seen.electricity.value
    try:
        result = _result(plan, rig, given if whole else [], e)
    except ValueError:  # beyond what can be computed, though each number is sound: nothing is known then
        whole, result = False, _result(plan, rig, [], e)
    priced = whole and e is not None
    first = result.coins[0] if priced else None
    unit = plan.coins[0].hash_unit
    inputs = (
        *(one for price in seen.prices for one in price.inputs),
        *(one for network in seen.networks for one in network.inputs),
        seen.electricity,
    )
    return MiningProfit(
        venue="mining",
        symbol=plan.label,
        ts_event=max(one.ts for one in inputs),
        ts_recv=seen.now,
        seq_local=seq_local,
        rig=rig.id,
        algorithm=rig.algorithm,
        quote=plan.quote,
        hashrate=rig.hashrate_hs * rig.count,
        watts=rig.watts * rig.count,
        electricity=e,
        pool_fee=plan.pool_fee,
        scheme=plan.scheme,
        uptime=plan.uptime,
        pue=plan.pue,
        terms=_shown(plan, seen, result if whole else None),
        revenue_day=result.revenue_day if whole else None,
        fee_day=result.pool_fee_day if whole else None,
        power_cost_day=None if e is None else result.power_cost_day,
        profit_day=result.profit_day if priced else None,
        margin=result.margin if priced else None,
        hashprice=sum(hashprice_of(t.coin, t.difficulty, t.reward, t.price, unit) for t in given) if whole else None,
        hash_unit=unit,
        breakeven_electricity=result.breakeven_electricity if whole else None,
        breakeven_price=first.breakeven_price if first else None,
        breakeven_difficulty=first.breakeven_difficulty if first else None,
        cost_per_coin=first.cost_per_coin if first else None,
        trigger=trigger,
        inputs=inputs,
        stale=seen.stale,
    )


def _result(plan: Plan, rig: Rig, terms: Sequence[Term], electricity: float | None) -> Result:
    result = calculate(
        rig.hashrate_hs * rig.count,
        rig.watts * rig.count,
        terms,
        electricity_per_kwh=electricity or 0.0,
        pool_fee=plan.pool_fee,
        uptime=plan.uptime,
        pue=plan.pue,
    )
    if not isfinite(result.profit_day):
        raise ValueError("more than can be computed")
    return result


def check(plan: Plan) -> None:
    """Raise ConfigError for terms, rigs and limits that nothing can be computed with."""
    for rig in plan.rigs:
        try:
            _result(plan, rig, [], MOST)
        except ConfigError:
            raise
        except ValueError as exc:
            raise ConfigError(f"{rig.name}: {exc}") from exc
    for name in plan.limits.__struct_fields__:
        value = getattr(plan.limits, name)
        if not 0 <= value < 1e9 or (value == 0 and name not in {"dead_band", "min_interval_s"}):
            raise ConfigError(f"limit {name}={value} is not a number of seconds above 0")


def fees(plan: Plan, coin: Coin, stats: NetworkStats) -> float:
    """Coins a block of transaction fees that the plan's scheme pays."""
    return 0.0 if plan.scheme == "PPS" else (stats.fees or 0.0) / coin.base_units


def reward(plan: Plan, coin: Coin, stats: NetworkStats) -> float:
    """Coins a block on the plan's terms: the miner's subsidy, and fees unless the pool keeps them."""
    paid = 0.0 if plan.scheme == "PPS" else stats.fees or 0.0
    return (stats.reward + paid) / coin.base_units


def _term(plan: Plan, coin: Coin, price: Price, network: Network) -> Term | None:
    if network.stats is None or price.value is None:
        return None
    return Term(coin, network.stats.difficulty, reward(plan, coin, network.stats), price.value)


def _shown(plan: Plan, seen: Seen, result: Result | None) -> tuple[TermOf, ...]:
    shown = []
    for i, coin in enumerate(plan.coins):
        stats = seen.networks[i].stats
        shown.append(
            TermOf(
                coin=coin.code,
                height=stats.height if stats else 0,
                difficulty=stats.difficulty if stats else None,
                reward=reward(plan, coin, stats) if stats else None,
                fees=fees(plan, coin, stats) if stats else None,
                fees_blocks=stats.fees_blocks if stats and plan.scheme != "PPS" else 0,
                price=seen.prices[i].value,
                coins_day=result.coins[i].coins_day if result else None,
                revenue_day=result.coins[i].revenue_day if result else None,
            )
        )
    return tuple(shown)
