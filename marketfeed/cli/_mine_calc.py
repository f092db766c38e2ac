"""`mine --calc`: what mining earns by given numbers."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..mining import economics, variance
from ..mining.coins import Coin, parse_coins
from ..mining.payback import payback
from ..mining.rigs import Rig
from ._mine_ask import Ask
from ._mine_heights import height_today
from ._mine_words import efficiency_unit, hash_unit

SEVERAL = ("difficulty", "price", "fees", "height", "reward")


def computed(ask: Ask, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One object for each rig, as `--json` prints them. Raises ConfigError for numbers that do not fit the coins."""
    if len(ask.shared) > 1:
        raise ConfigError("--calc computes one coin, or several mined at the same time, as LTC+DOGE")
    typed = [code.strip().upper() for code in ask.typed[0].split("+")]
    numbers = {name: _by_coin(typed, name, given[name]) for name in SEVERAL}
    label, rigs = next(iter(ask.shared.items()))
    coins = parse_coins(label)
    blocks = [_reward(coin, {name: of.get(coin.code) for name, of in numbers.items()}, ask) for coin in coins]
    terms = [
        economics.Term(coin, numbers["difficulty"][coin.code], block["reward"], numbers["price"][coin.code])
        for coin, block in zip(coins, blocks, strict=True)
    ]
    found = [_of_rig(ask, label, rig, terms, blocks) for rig in rigs]
    for one in found:
        one["assumptions"] = _assumed(ask, coins, blocks, numbers["fees"])
        if given["payback"] is not None:
            one["payback"] = _payback(one, given)
        if not _finite(one):
            raise ConfigError("that is more than can be computed: give numbers of this world")
    return found


def _finite(found: Any) -> bool:
    if isinstance(found, Mapping):
        return all(map(_finite, found.values()))
    if isinstance(found, list):
        return all(map(_finite, found))
    return not isinstance(found, float) or math.isfinite(found)


def _assumed(
    ask: Ask, coins: Sequence[Coin], blocks: Sequence[Mapping[str, Any]], fees: Mapping[str, float]
) -> list[str]:
    """What was taken for granted because nobody said otherwise."""
    points = []
    for coin, block in zip(coins, blocks, strict=True):
        if block["height_assumed"]:
            pays = f"{block['subsidy']:,.8g} {coin.code} a block"
            points.append(f"the subsidy is that of about today's height {block['height']:,}: {pays} (--height)")
        if block["height"] is not None and coin.code not in fees:
            points.append(f"blocks of {coin.code} hold no transaction fees (--fees)")
    if len(ask.tariff.slots) > 1:
        points.append("electricity costs what it does in the mean of the day")
    return points


def _by_coin(typed: Sequence[str], name: str, values: Sequence[Any]) -> dict[str, Any]:
    if values and len(values) != len(typed):
        raise ConfigError(f"--{name} is given {len(values)} times for {'+'.join(typed)}: give it once for each coin")
    return dict(zip(typed, values, strict=False))


def _reward(coin: Coin, given: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    """What a block pays its miner, and what that was made of."""
    if given["reward"] is not None:
        if given["fees"] is not None or given["height"] is not None:
            raise ConfigError("--reward is all that a block pays: leave out --fees and --height")
        return {"reward": given["reward"], "subsidy": None, "fees": None, "height": None, "height_assumed": False}
    height = height_today(coin, time.time()) if given["height"] is None else given["height"]
    fees = given["fees"] or 0.0
    try:
        reward = economics.reward_coins(coin, height, fees * coin.base_units, ask.scheme)
        subsidy = coin.miner_subsidy(height) / coin.base_units
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    return {
        "reward": reward,
        "subsidy": subsidy,
        "fees": fees,
        "height": height,
        "height_assumed": given["height"] is None,
    }


def _of_rig(
    ask: Ask, label: str, rig: Rig, terms: Sequence[economics.Term], blocks: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    hashrate, watts = rig.hashrate_hs * rig.count, rig.watts * rig.count
    try:
        result = economics.calculate(
            hashrate,
            watts,
            terms,
            electricity_per_kwh=ask.tariff.mean(),
            pool_fee=ask.fee,
            uptime=ask.uptime,
            pue=ask.pue,
        )
        coins = [_of_coin(*one, ask.quote) for one in zip(terms, blocks, result.coins, strict=True)]
    except ConfigError:
        raise
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    first = terms[0].coin
    unit = hash_unit(first)
    price = sum(economics.hashprice(t.coin, t.difficulty, t.reward, t.price, unit) for t in terms)
    return {
        "coin": label,
        "rig": rig.id,
        "count": rig.count,
        "algorithm": rig.algorithm,
        "hashrate": hashrate,
        "watts": watts,
        "efficiency": economics.efficiency(hashrate, watts, first.hash_unit),
        "efficiency_unit": efficiency_unit(first),
        "quote": ask.quote,
        "electricity": ask.tariff.mean(),
        "pool_fee": ask.fee,
        "scheme": ask.scheme,
        "uptime": ask.uptime,
        "pue": ask.pue,
        **coins[0],
        "hashprice": price,
        "hashprice_unit": f"{ask.quote}/{unit}/day",
        "revenue_day": result.revenue_day,
        "pool_fee_day": result.pool_fee_day,
        "energy_kwh_day": result.energy_kwh_day,
        "power_cost_day": result.power_cost_day,
        "profit_day": result.profit_day,
        "margin": result.margin,
        "breakeven_electricity": result.breakeven_electricity,
        "coins": [{"coin": term.coin.code, **one} for term, one in zip(terms, coins, strict=True)],
    }


def _of_coin(term: economics.Term, block: Mapping[str, Any], share: economics.Yield, quote: str) -> dict[str, Any]:
    coin, unit = term.coin, hash_unit(term.coin)
    odds = variance.solo(share.blocks_day)
    return {
        "difficulty": term.difficulty,
        "price": term.price,
        **block,
        "network_hashrate": economics.network_hashrate(coin, term.difficulty),
        "blocks_day": share.blocks_day,
        "coins_day": share.coins_day,
        "revenue_day": share.revenue_day,
        "hashvalue": economics.hashvalue(coin, term.difficulty, term.reward, unit),
        "hashvalue_unit": f"{coin.code}/{unit}/day",
        "breakeven_price": share.breakeven_price,
        "breakeven_difficulty": share.breakeven_difficulty,
        "cost_per_coin": share.cost_per_coin,
        "chance_day": odds.chance_day,
        "chance_month": odds.chance_30_days,
        "chance_year": odds.chance_365_days,
        "mean_days_to_block": odds.mean_wait_days if math.isfinite(odds.mean_wait_days) else None,
    }


def _payback(one: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    found = payback(
        given["payback"],
        one["revenue_day"] - one["pool_fee_day"],
        one["power_cost_day"],
        difficulty_growth=given["difficulty_growth"] or 0.0,
        price_change=given["price_change"] or 0.0,
        resale=given["resale"] or 0.0,
    )
    return {
        "hardware_price": given["payback"],
        "days": found.days,
        "profit": found.profit,
        "roi_percent": found.roi_percent,
        "horizon_days": found.horizon_days,
        "stops_after_days": found.stops_after_days,
        "assumptions": list(found.assumptions),
    }
