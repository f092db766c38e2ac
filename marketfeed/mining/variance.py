"""Luck: blocks come as a Poisson process, so that what is expected is not what a month brings.

`rate` is expected blocks a day (`economics.blocks_per_day`): one's own for solo mining, the pool's for PPLNS.
Raises ValueError throughout for a rate, time or reward that is no finite number from 0 up.
"""

from math import exp, expm1, inf, log, sqrt
from statistics import NormalDist

import msgspec

_EXACT_TO = 500.0
"""Expected blocks up to which the Poisson sum is made; beyond, e^-mean nears the smallest float, and it is normal."""


class SoloOdds(msgspec.Struct, frozen=True, kw_only=True):
    """What solo mining promises: waits in days (infinite at no hashrate), chances of at least one block, 0 to 1."""

    blocks_day: float
    mean_wait_days: float
    median_wait_days: float
    chance_day: float
    chance_30_days: float
    chance_365_days: float


def solo(rate: float) -> SoloOdds:
    """The odds of a solo miner with `rate` expected blocks a day."""
    return SoloOdds(
        blocks_day=rate,
        mean_wait_days=mean_wait(rate),
        median_wait_days=median_wait(rate),
        chance_day=chance(rate, 1),
        chance_30_days=chance(rate, 30),
        chance_365_days=chance(rate, 365),
    )


def expected_blocks(rate: float, days: float) -> float:
    """Expected blocks in a time: rate * days."""
    return _sound("rate", rate) * _sound("days", days)


def blocks_std(rate: float, days: float) -> float:
    """Standard deviation of the blocks found in a time: sqrt(rate * days)."""
    return sqrt(expected_blocks(rate, days))


def relative_std(rate: float, days: float) -> float:
    """Standard deviation of revenue as a part of its mean: 1 / sqrt(rate * days); infinite where nothing is found."""
    expected = expected_blocks(rate, days)
    return 1 / sqrt(expected) if expected else inf


def chance(rate: float, days: float) -> float:
    """Probability of at least one block: 1 - exp(-rate * days)."""
    return -expm1(-expected_blocks(rate, days))


def mean_wait(rate: float) -> float:
    """Mean days to the next block: 1 / rate; infinite at rate 0."""
    return 1 / rate if _sound("rate", rate) else inf


def median_wait(rate: float) -> float:
    """Days in which a block is as likely as not: ln 2 / rate; infinite at rate 0."""
    return log(2) / rate if _sound("rate", rate) else inf


def revenue_interval(rate: float, days: float, per_block: float, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) revenue of a time: in `confidence` of all cases or a little more it is between them.

    `per_block` is what a block brings, in coins or quote currency. The blocks are Poisson quantiles, exact up to 500
    expected and normal beyond. Raises ValueError where confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    expected = expected_blocks(rate, days)
    tail = (1 - confidence) / 2
    value = _sound("reward", per_block)
    return _quantile(expected, tail) * value, _quantile(expected, 1 - tail) * value


def _quantile(expected: float, share: float) -> float:
    """The least number of blocks that is not passed in `share` of all cases."""
    share = min(share, 1 - 2**-53)  # the largest float below 1: certainty would need infinitely many
    if expected > _EXACT_TO:
        return NormalDist(expected, sqrt(expected)).inv_cdf(share)
    blocks, term = 0, exp(-expected)
    total = term
    # at the far end the sum may stop short of `share` by rounding; then the terms have become 0
    while total < share and term:
        blocks += 1
        term *= expected / blocks
        total += term
    return float(blocks)


def _sound(what: str, value: float) -> float:
    if not 0 <= value < inf:
        raise ValueError(f"{what} {value} is not a finite number from 0 up")
    return value
