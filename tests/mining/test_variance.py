"""Luck, against the oracles of mining.md 1.8 and a Poisson sum written out."""

from math import exp, inf, lgamma, log

import pytest

from marketfeed.mining.coins import coin
from marketfeed.mining.economics import blocks_per_day
from marketfeed.mining.variance import (
    blocks_std,
    chance,
    expected_blocks,
    mean_wait,
    median_wait,
    relative_std,
    revenue_interval,
    solo,
)


def test_the_oracle_of_1_8() -> None:
    """1 PH/s alone on Bitcoin in November 2025."""
    rate = blocks_per_day(coin("BTC"), 155973032196071.94, 1e15)
    odds = solo(rate)
    assert odds.blocks_day == pytest.approx(1.2897465240e-4, abs=5e-15)
    assert odds.mean_wait_days == pytest.approx(7753.46, abs=5e-3)
    assert odds.chance_30_days == pytest.approx(0.0038618, abs=5e-8)
    assert odds.chance_365_days == pytest.approx(0.045985, abs=5e-7)  # six digits: the page's seventh is not right
    assert odds.median_wait_days == pytest.approx(7753.46 * 0.693147, rel=1e-6)
    assert odds.chance_day == pytest.approx(1.28966e-4, rel=1e-5)


def test_long_gaps_between_blocks() -> None:
    """1.8: none in an hour 0.36 times a day, none in 90 minutes once in 56 days."""
    rate = 144.0
    assert rate * (1 - chance(rate, 60 / 1440)) == pytest.approx(0.36, abs=0.005)
    assert 1 / (rate * (1 - chance(rate, 90 / 1440))) == pytest.approx(56, abs=0.5)


def test_spread() -> None:
    assert expected_blocks(0.5, 8) == 4
    assert blocks_std(0.5, 8) == 2
    assert relative_std(0.5, 8) == 0.5


def test_half_of_all_waits_are_shorter_than_the_median() -> None:
    assert chance(0.01, median_wait(0.01)) == pytest.approx(0.5, abs=1e-15)


def test_without_hashrate_the_wait_is_for_ever() -> None:
    odds = solo(0.0)
    assert (odds.mean_wait_days, odds.median_wait_days, odds.chance_365_days) == (inf, inf, 0)
    assert relative_std(0.0, 30) == inf
    assert revenue_interval(0.0, 30, 3.125) == (0, 0)


@pytest.mark.parametrize(("rate", "days"), [(0.001, 30), (0.1, 30), (2, 30), (10, 15)])
def test_an_interval_is_of_poisson_quantiles(rate: float, days: float) -> None:
    low, high = revenue_interval(rate, days, 1.0, 0.9)
    mean = rate * days

    def passed(blocks: float) -> float:
        return sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(int(blocks) + 1))

    assert passed(low) >= 0.05 > passed(low - 1) if low else passed(0) >= 0.05
    assert passed(high) >= 0.95 > passed(high - 1) if high else passed(0) >= 0.95


def test_an_interval_is_in_what_a_block_brings() -> None:
    """At 9 expected blocks 95 % of months have 4 to 15 (Poisson tables)."""
    assert revenue_interval(0.3, 30, 3.125) == (4 * 3.125, 15 * 3.125)


def test_many_blocks_are_normal() -> None:
    low, high = revenue_interval(144, 365, 1.0)
    mean = 144 * 365
    assert low == pytest.approx(mean - 1.959964 * mean**0.5, abs=0.01)
    assert high == pytest.approx(mean + 1.959964 * mean**0.5, abs=0.01)
    below, above = revenue_interval(1, 500, 1.0), revenue_interval(1, 500.001, 1.0)
    assert list(above) == pytest.approx(list(below), abs=2)


def test_a_confidence_at_the_edge_of_floats_ends() -> None:
    low, high = revenue_interval(1, 400, 1.0, 1 - 2**-53)
    assert 0 < low < 400 < high < 2000
    low, high = revenue_interval(1, 600, 1.0, 1 - 2**-53)
    assert 0 < low < 600 < high < 2000


@pytest.mark.parametrize("bad", [-1.0, float("nan"), inf])
def test_bad_numbers_are_refused(bad: float) -> None:
    for question in (
        lambda: chance(bad, 1),
        lambda: chance(1, bad),
        lambda: mean_wait(bad),
        lambda: median_wait(bad),
        lambda: revenue_interval(1, 1, bad),
    ):
        with pytest.raises(ValueError, match="not a finite number from 0 up"):
            question()


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95, float("nan")])
def test_bad_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        revenue_interval(1, 30, 1.0, confidence)
