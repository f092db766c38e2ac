"""When a machine has paid for itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.errors import ConfigError
from marketfeed.mining.payback import payback


def test_with_nothing_changing_it_is_a_division() -> None:
    found = payback(1000, 11.5, 4.0, horizon_days=365)
    assert found.days == pytest.approx(1000 / 7.5, rel=1e-12)
    assert found.profit == pytest.approx(7.5 * 365, rel=1e-12)
    assert found.roi_percent == pytest.approx((7.5 * 365 - 1000) / 10, rel=1e-12)
    assert found.stops_after_days is None


def test_resale_shortens_it() -> None:
    assert payback(1000, 11.5, 4.0, resale=250).days == pytest.approx(100, rel=1e-12)
    assert payback(1000, 11.5, 4.0, resale=1000).days == 0


def test_what_does_not_pay_never_pays_back() -> None:
    found = payback(1000, 3.0, 4.0, horizon_days=100)
    assert (found.days, found.profit, found.stops_after_days) == (None, 0, 0)
    assert found.roi_percent == -100


def test_growing_difficulty_ends_it() -> None:
    """At 10 % a month 11.5 falls to 4.0 after ln(11.5/4)/ln(1.1) months: 11.08, which is day 337.2."""
    found = payback(5000, 11.5, 4.0, difficulty_growth=10)
    assert found.stops_after_days == 338
    assert found.days is None


def test_a_growing_price_starts_it() -> None:
    found = payback(1000, 3.0, 4.0, price_change=10, horizon_days=1825)
    assert found.days is not None
    assert found.days > 92  # ln(4/3)/ln(1.1) months are 91.9 days without profit
    assert found.stops_after_days is None


def test_growth_and_price_cancel_out() -> None:
    assert payback(1000, 11.5, 4.0, difficulty_growth=5, price_change=5).days == payback(1000, 11.5, 4.0).days


def test_every_assumption_is_said() -> None:
    said = "\n".join(payback(1000, 11.5, 4.0, difficulty_growth=2.5, price_change=-1, resale=50).assumptions)
    for figure in (
        "costs 1000",
        "sold for 50",
        "11.5 a day",
        "4 of electricity",
        "+2.5 % a month",
        "-1 % a month",
        "1825",
    ):
        assert figure in said


@given(st.floats(1, 1e5), st.floats(0, 1000), st.floats(0, 1000), st.floats(-5, 20), st.floats(0.1, 20))
def test_harder_is_never_sooner(price: float, revenue: float, cost: float, growth: float, more: float) -> None:
    easy = payback(price, revenue, cost, difficulty_growth=growth, horizon_days=400)
    hard = payback(price, revenue, cost, difficulty_growth=growth + more, horizon_days=400)
    assert hard.profit <= easy.profit
    if hard.days is not None:
        assert easy.days is not None
        assert easy.days <= hard.days * (1 + 1e-9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hardware_price": 0}, "price is above 0"),
        ({"hardware_price": float("nan")}, "price is above 0"),
        ({"revenue_day": -1}, "revenue -1"),
        ({"resale": float("inf")}, "resale inf"),
        ({"cost_day": float("nan")}, "cost nan"),
        ({"difficulty_growth": -100}, "difficulty growth of -100 %"),
        ({"price_change": float("nan")}, "price change of nan %"),
        ({"horizon_days": 0}, "horizon of 0 days"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        payback(**({"hardware_price": 1000.0, "revenue_day": 10.0, "cost_day": 4.0} | change))
