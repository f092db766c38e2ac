"""Mined income by day."""

import csv
import io
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.mining.income import DAY_NS, Income, Sample, daily_income, to_csv

NOON = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()) * 10**9


def sample(
    after_s: float, coins_day: float | None = 0.864, price: float | None = 100.0, coin: str = "BTC", rig: str = ""
) -> Sample:
    """`after_s` seconds after noon; 0.864 coins a day are 1e-5 a second."""
    return Sample(
        time_ns=NOON + int(after_s * 10**9), coin=coin, quote="USD", coins_day=coins_day, price=price, rig=rig
    )


def test_a_rate_holds_until_the_next_sample() -> None:
    rows = daily_income([sample(0), sample(100, coins_day=1.728, price=200.0), sample(200)])
    assert rows == [
        Income(
            date="2026-11-21",
            rig="",
            coin="BTC",
            quote="USD",
            coins=pytest.approx(0.003, rel=1e-12),  # type: ignore[arg-type]  # approx stands for a float
            mean_price=pytest.approx(500 / 3, rel=1e-12),  # type: ignore[arg-type]
            income=pytest.approx(0.5, rel=1e-12),  # type: ignore[arg-type]
            covered_s=200.0,
            uncovered_s=0.0,
        )
    ]


def test_midnight_divides_a_span_between_its_days() -> None:
    rows = daily_income([sample(43_100), sample(43_300)])
    assert [(row.date, row.covered_s) for row in rows] == [("2026-11-21", 100), ("2026-11-22", 100)]
    assert [row.coins for row in rows] == [pytest.approx(0.001, rel=1e-12)] * 2


def test_a_long_gap_is_not_counted_but_shown() -> None:
    rows = daily_income([sample(0), sample(300), sample(601), sample(701)], max_gap_s=300)
    assert [(row.covered_s, row.uncovered_s) for row in rows] == [(400, 301)]
    assert rows[0].coins == pytest.approx(0.004, rel=1e-12)


def test_a_gap_of_days_is_shown_on_each_of_them() -> None:
    rows = daily_income([sample(0), sample(2 * 86_400)])
    assert [(row.date, row.uncovered_s, row.mean_price) for row in rows] == [
        ("2026-11-21", 43_200, None),
        ("2026-11-22", 86_400, None),
        ("2026-11-23", 43_200, None),
    ]


@pytest.mark.parametrize("unknown", [sample(100, coins_day=None), sample(100, price=None)])
def test_while_an_input_is_unknown_nothing_is_counted(unknown: Sample) -> None:
    rows = daily_income([sample(0), unknown, sample(150), sample(200)])
    assert [(row.covered_s, row.uncovered_s) for row in rows] == [(150, 50)]


def test_rigs_and_coins_are_kept_apart() -> None:
    starts = [sample(0, coin="LTC"), sample(0, rig="a"), sample(0, rig="b")]
    rows = daily_income([*starts, sample(50, rig="b"), sample(100, rig="a"), sample(100, coin="LTC")])
    assert [(row.rig, row.coin, row.covered_s) for row in rows] == [
        ("", "LTC", 100),
        ("a", "BTC", 100),
        ("b", "BTC", 50),
    ]


def test_one_sample_is_no_time() -> None:
    assert daily_income([sample(0)]) == []
    assert daily_income([sample(0), sample(0)]) == []


def test_samples_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="not in order of time"):
        daily_income([sample(10), sample(0)])


@pytest.mark.parametrize(
    "bad", [sample(0, coins_day=-1.0), sample(0, price=float("nan")), sample(0, price=float("inf"))]
)
def test_hostile_numbers_are_refused(bad: Sample) -> None:
    with pytest.raises(ValueError, match="is not a finite number from 0 up"):
        daily_income([bad])


@given(
    st.lists(st.tuples(st.integers(0, 2 * DAY_NS), st.floats(0, 10), st.floats(0, 1e6)), min_size=2, max_size=20),
    st.floats(0, 90_000),
)
def test_every_second_is_covered_or_not_and_no_coin_is_lost(rates: list[tuple[int, float, float]], gap: float) -> None:
    rates.sort()
    samples = [
        Sample(time_ns=NOON + time, coin="BTC", quote="USD", coins_day=rate, price=price) for time, rate, price in rates
    ]
    rows = daily_income(samples, max_gap_s=gap)
    passed_s = (rates[-1][0] - rates[0][0]) / 1e9
    assert sum(row.covered_s + row.uncovered_s for row in rows) == pytest.approx(passed_s, abs=1e-6)
    spans = [(after[0] - now[0], now[1], now[2]) for now, after in pairwise(rates)]
    counted = [(span / DAY_NS * rate, price) for span, rate, price in spans if span <= gap * 1e9]
    assert sum(row.coins for row in rows) == pytest.approx(sum(coins for coins, _ in counted), rel=1e-9, abs=1e-12)
    assert sum(row.income for row in rows) == pytest.approx(sum(c * p for c, p in counted), rel=1e-9, abs=1e-9)


def test_csv_reads_back() -> None:
    rows = daily_income([sample(0, rig='attic, "left"'), sample(100, rig='attic, "left"')])
    text = to_csv([*rows, *daily_income([sample(0, coins_day=None), sample(10)])])
    assert text.splitlines()[0] == "date,rig,coin,quote,coins,mean_price,income,covered_s,uncovered_s"
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["rig"], float(first["coins"])) == ('attic, "left"', rows[0].coins)
    assert (second["mean_price"], second["uncovered_s"]) == ("", "10.0")
