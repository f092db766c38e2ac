"""Hashrates and powers as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.errors import ConfigError
from marketfeed.mining.units import format_hashrate, parse_hashrate, parse_power, unit_scale


@pytest.mark.parametrize(
    ("text", "hs"),
    [
        ("270TH/s", 270e12),
        ("1 PH/s", 1e15),
        ("9.5GH", 9.5e9),
        ("840 kSol/s", 840e3),
        ("212kH/s", 212e3),
        ("98 mh/s", 98e6),
        ("1EH/s", 1e18),
        ("1e3 TH/s", 1e15),
        ("+5 H", 5.0),
        ("618.393 EH/s", 618.393e18),
        ("1ZH/s", 1e21),
    ],
)
def test_hashrates(text: str, hs: float) -> None:
    assert parse_hashrate(text) == hs


@pytest.mark.parametrize(
    ("text", "watts"), [("3645W", 3645), ("20kW", 20e3), ("1.2MW", 1.2e6), ("0 w", 0), ("1GW", 1e9)]
)
def test_powers(text: str, watts: float) -> None:
    assert parse_power(text) == watts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("270", "no unit"),
        ("270 TB/s", "'TB/s' is not a unit"),
        ("270 W", "'W' is not a unit"),
        ("-1TH/s", "not above 0"),
        ("0TH/s", "not above 0"),
        ("nan TH/s", "not a hashrate"),
        ("inf TH/s", "not a hashrate"),
        ("TH/s", "not a hashrate"),
        ("", "not a hashrate; write it as 270TH/s"),
        ("1,000 TH/s", "not a hashrate"),
        ("1_0 TH/s", "not a hashrate"),
        ("٣ TH/s", "not a hashrate"),
        ("1e999 TH/s", "not a hashrate"),
    ],
)
def test_bad_hashrates_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_hashrate(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("3645", "no unit"), ("-3W", "below 0"), ("3 TH/s", "'TH/s' is not a unit"), ("NaN W", "3645W or 3.6kW")],
)
def test_bad_powers_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_power(text)


@pytest.mark.parametrize(("unit", "scale"), [("H/s", 1), ("kSol/s", 1e3), ("TH/s", 1e12), ("PH", 1e15)])
def test_units(unit: str, scale: float) -> None:
    assert unit_scale(unit) == scale


@pytest.mark.parametrize("unit", ["", "W", "XH/s", "TH/day"])
def test_bad_units_are_refused(unit: str) -> None:
    with pytest.raises(ConfigError, match="is not a unit"):
        unit_scale(unit)


@pytest.mark.parametrize(
    ("hs", "text"),
    [
        (0.0, "0 H/s"),
        (0.5, "0.5 H/s"),
        (999.0, "999 H/s"),
        (212e3, "212 kH/s"),
        (270e12, "270 TH/s"),
        (618.3930001e18, "618.393 EH/s"),
        (999.9999e12, "1 PH/s"),  # rounding up passes into the next unit
        (5e30, "5000000 YH/s"),
    ],
)
def test_formatting(hs: float, text: str) -> None:
    assert format_hashrate(hs) == text


def test_solutions_keep_their_name() -> None:
    assert format_hashrate(840e3, "Sol/s") == "840 kSol/s"


@pytest.mark.parametrize("hs", [-1.0, float("nan"), float("inf")])
def test_rates_that_are_none_are_not_formatted(hs: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        format_hashrate(hs)


RATES = st.floats(1e-3, 1e26)


@given(RATES, st.sampled_from(["H/s", "Sol/s"]))
def test_all_digits_bring_the_same_rate_back(hs: float, symbol: str) -> None:
    assert parse_hashrate(format_hashrate(hs, symbol, digits=17)) == hs


@given(RATES)
def test_six_digits_bring_it_back_to_six_digits(hs: float) -> None:
    assert parse_hashrate(format_hashrate(hs)) == pytest.approx(hs, rel=5e-6)
