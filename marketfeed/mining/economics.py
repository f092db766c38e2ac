"""What hashing earns and costs. Plain floats; per day means 86,400 s.

Every figure is the product written in its docstring, taken from left to right, so that another program that does the
same agrees to 1e-12. Letters as there: H hashrate in H/s (Equihash: Sol/s), D difficulty, K expected hashes per D,
R coins per block, P price in quote currency per coin, W watts, e quote currency per kWh, f pool fee as a fraction,
u uptime as a fraction, x PUE (what the site draws over what the rig draws).
ConfigError is the user's mistake (a fee of 2), ValueError a number no venue may send (a difficulty of 0).
"""

from collections.abc import Sequence
from math import isfinite
from typing import Literal

import msgspec

from ..errors import ConfigError
from .coins import Coin
from .units import unit_scale

DAY_S = 86_400
Scheme = Literal["PPS", "FPPS", "PPS+", "PPLNS", "solo"]
"""How a pool pays. The expected value is one formula for all: only R (PPS pays no fees), f and the luck differ."""


class Term(msgspec.Struct, frozen=True):
    """One coin of those mined: its difficulty, coins per block for the miner, and price in quote per coin."""

    coin: Coin
    difficulty: float
    reward: float
    price: float


class Yield(msgspec.Struct, frozen=True, kw_only=True):
    """One coin's part of a `Result`, per day.

    `blocks_day` expected blocks and `coins_day` coins, before the pool's fee; `revenue_day` their value.
    `breakeven_price` and `breakeven_difficulty` make the whole profit 0 with the other coins as they are; None where
    nothing does: no coins, or the others pay all costs. `cost_per_coin` is the electricity spent for one
    coin, None where there are no coins.
    """

    coin: str
    blocks_day: float
    coins_day: float
    revenue_day: float
    breakeven_price: float | None
    breakeven_difficulty: float | None
    cost_per_coin: float | None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a rig makes per day, in the quote currency; uptime and PUE are in every figure.

    `revenue_day` is before the pool's fee; `margin` is profit over revenue after it, None at no revenue;
    `breakeven_electricity` is the price per kWh of profit 0, None where no energy is used.
    """

    revenue_day: float
    pool_fee_day: float
    energy_kwh_day: float
    power_cost_day: float
    profit_day: float
    margin: float | None
    breakeven_electricity: float | None
    coins: tuple[Yield, ...]


def blocks_per_day(coin: Coin, difficulty: float, hashrate_hs: float) -> float:
    """Expected blocks a day: H * 86400 / (D * K).

    Raises ValueError where difficulty is not above 0 or the result is no finite number.
    """
    blocks = hashrate_hs * DAY_S / (_positive("difficulty", difficulty) * coin.hashes_per_difficulty)
    if not isfinite(blocks):
        raise ValueError(f"difficulty {difficulty} and {hashrate_hs} H/s are beyond what can be computed")
    return blocks


def network_hashrate(coin: Coin, difficulty: float) -> float:
    """H/s that difficulty implies at the aimed block time: D * K / T. Raises ValueError for a bad difficulty."""
    return _positive("difficulty", difficulty) * coin.hashes_per_difficulty / coin.block_time_s


def measured_hashrate(coin: Coin, difficulty: float, blocks: int, span_s: float) -> float:
    """H/s that found `blocks` in a span chosen beforehand: blocks * D * K / span.

    Over the span from one block to the Nth after it this is what bitcoind's getnetworkhashps gives: (N-1)/N of it is
    the unbiased figure. It is off by about 1/sqrt(N), so revenue is never computed from it. Raises ValueError for a bad
    difficulty or span.
    """
    return blocks * _positive("difficulty", difficulty) * coin.hashes_per_difficulty / _positive("span", span_s)


def reward_coins(coin: Coin, height: int, fees: float = 0.0, scheme: Scheme = "FPPS") -> float:
    """R: coins a block pays its miner: (miner's subsidy + fees * miner's share) / base units; PPS pays no fees.

    `fees` is the mean of a block's fees in base units. Raises ValueError for negative or non-finite fees, or as
    `Coin.subsidy` does.
    """
    shared = 0.0 if scheme == "PPS" else _from_zero("fees", fees) * coin.miner_fee_share
    return (coin.miner_subsidy(height) + shared) / coin.base_units


def hashvalue(coin: Coin, difficulty: float, reward: float, unit: str = "") -> float:
    """Coins a day of one unit of hashrate: blocks a day * R. `unit` as in `PH/s`, else the coin's own.

    Raises ConfigError for an unknown unit, ValueError for bad numbers.
    """
    scale = unit_scale(unit or coin.hash_unit)
    return blocks_per_day(coin, difficulty, scale) * _from_zero("reward", reward)


def hashprice(coin: Coin, difficulty: float, reward: float, price: float, unit: str = "") -> float:
    """Quote currency a day of one unit of hashrate: hashvalue * P. Raises as `hashvalue` does."""
    return hashvalue(coin, difficulty, reward, unit) * _from_zero("price", price)


def efficiency(hashrate_hs: float, watts: float, unit: str) -> float:
    """Joules per unit of hashes: W / (H / unit), as 13.5 J/TH for `TH/s`.

    Raises ConfigError for an unknown unit, a hashrate not above 0 or a bad power.
    """
    scale = unit_scale(unit)
    _check("hashrate in H/s", hashrate_hs)
    if not hashrate_hs:
        raise ConfigError("a hashrate of 0 has no efficiency")
    return _check("power in W", watts) / (hashrate_hs / scale)


def breakeven_electricity(hashprice_day: float, joules: float, pool_fee: float = 0.0) -> float | None:
    """Quote per kWh at which a rig of `joules` per unit earns nothing: hashprice * (1-f) / (joules * 24 / 1000).

    `hashprice_day` is per the same unit as `joules` (13.5 J/TH: quote per TH/s per day). None where no energy is used.
    Raises ConfigError for a bad fee or efficiency, ValueError for a bad hashprice.
    """
    kept = _from_zero("hashprice", hashprice_day) * (1 - _fee(pool_fee))
    return kept / (joules * 24 / 1000) if _check("joules", joules) else None


def cost_per_coin(
    coin: Coin, difficulty: float, reward: float, joules_per_hash: float, electricity_per_kwh: float
) -> float:
    """Quote spent on electricity for one coin: e * joules / 1000 * D * K / (3600 * R).

    Raises ValueError where difficulty or reward is not above 0, ConfigError for a bad efficiency or electricity price.
    """
    hashes = _positive("difficulty", difficulty) * coin.hashes_per_difficulty
    return (
        _electricity(electricity_per_kwh)
        * _check("joules", joules_per_hash)
        / 1000
        * hashes
        / (3600 * _positive("reward", reward))
    )


def calculate(
    hashrate_hs: float,
    watts: float,
    terms: Sequence[Term],
    *,
    electricity_per_kwh: float,
    pool_fee: float = 0.0,
    uptime: float = 1.0,
    pue: float = 1.0,
) -> Result:
    """What a rig makes a day; several terms are coins mined by the same hashes (merged), whose revenues add.

    coins = H * 86400 / (D * K) * R * u; revenue = sum of coins * P in the order of `terms`; fee = revenue * f;
    energy = W * 24 / 1000 * u * x; cost = energy * e; profit = revenue - fee - cost.
    Electricity may be negative, as spot markets are at times. Raises ConfigError for a bad rig, fee, uptime or PUE, and
    ValueError for a bad difficulty, reward or price.
    """
    _check("hashrate in H/s", hashrate_hs)
    _check("power in W", watts)
    kept = 1 - _fee(pool_fee)
    if not 0 <= uptime <= 1:
        raise ConfigError(f"uptime {uptime} is no fraction; 95 % is 0.95")
    if not 1 <= pue < float("inf"):
        raise ConfigError(f"PUE {pue} is below 1; a site that draws 5 % more than its rigs has 1.05")
    blocks = [blocks_per_day(term.coin, term.difficulty, hashrate_hs) * uptime for term in terms]
    coins = [count * _from_zero("reward", term.reward) for count, term in zip(blocks, terms, strict=True)]
    revenues = [count * _from_zero("price", term.price) for count, term in zip(coins, terms, strict=True)]
    revenue = sum(revenues, 0.0)
    fee = revenue * pool_fee
    energy = watts * 24 / 1000 * uptime * pue
    cost = energy * _electricity(electricity_per_kwh)
    profit = revenue - fee - cost
    return Result(
        revenue_day=revenue,
        pool_fee_day=fee,
        energy_kwh_day=energy,
        power_cost_day=cost,
        profit_day=profit,
        margin=profit / (revenue * kept) if revenue else None,
        breakeven_electricity=revenue * kept / energy if energy else None,
        coins=tuple(
            _yield(term, blocks[i], coins[i], cost, kept, sum(revenues[:i] + revenues[i + 1 :], 0.0))
            for i, term in enumerate(terms)
        ),
    )


def _yield(term: Term, blocks: float, coins: float, cost: float, kept: float, others: float) -> Yield:
    needed = cost - others * kept  # what this coin must bring in, the fee taken off
    revenue = coins * term.price
    return Yield(
        coin=term.coin.code,
        blocks_day=blocks,
        coins_day=coins,
        revenue_day=revenue,
        breakeven_price=needed / (coins * kept) if coins and needed >= 0 else None,
        breakeven_difficulty=term.difficulty * revenue * kept / needed if revenue and needed > 0 else None,
        cost_per_coin=cost / coins if coins else None,
    )


def _check(what: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ConfigError(f"{what} is {value}; it must be a number from 0 up")
    return value


def _electricity(per_kwh: float) -> float:
    if not isfinite(per_kwh):
        raise ConfigError(f"electricity price {per_kwh} is not a number")
    return per_kwh


def _fee(pool_fee: float) -> float:
    if not 0 <= pool_fee < 1:
        raise ConfigError(f"pool fee {pool_fee} is not a fraction below 1; 2 % is 0.02")
    return pool_fee


def _positive(what: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise ValueError(f"{what} {value} is not a finite number above 0")
    return value


def _from_zero(what: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{what} {value} is not a finite number from 0 up")
    return value
