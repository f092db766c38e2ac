"""Tariffs by time of day."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.errors import ConfigError
from marketfeed.mining.electricity import parse_tariff

NIGHT = "00:00-06:00=0.04,06:00-24:00=0.09"
MINUTE_NS = 60 * 10**9


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("tariff", "offset_min", "time", "price", "change"),
    [
        ("0.06", 0, "2026-11-21T12:00", 0.06, None),
        ("-0.01", 0, "2026-11-21T12:00", -0.01, None),
        ("00:00-24:00=0.06", 0, "2026-11-21T12:00", 0.06, None),
        ("00:00-12:00=0.06,12:00-24:00=0.06", 0, "2026-11-21T11:00", 0.06, None),
        (NIGHT, 0, "2026-11-21T00:00", 0.04, "2026-11-21T06:00"),
        (NIGHT, 0, "2026-11-21T05:59:59", 0.04, "2026-11-21T06:00"),
        (NIGHT, 0, "2026-11-21T06:00", 0.09, "2026-11-22T00:00"),
        (NIGHT, 60, "2026-11-21T05:30", 0.09, "2026-11-21T23:00"),
        (NIGHT, 60, "2026-11-21T23:30", 0.04, "2026-11-22T05:00"),
        (NIGHT, -300, "2026-11-21T04:59", 0.09, "2026-11-21T05:00"),
        ("06:00-24:00=0.09, 00:00-06:00=0.04", 0, "2026-11-21T01:00", 0.04, "2026-11-21T06:00"),
        ("22:00-06:00=0.04,06:00-22:00=0.09", 0, "2026-11-21T23:00", 0.04, "2026-11-22T06:00"),
        ("22:00-06:00=0.04,06:00-22:00=0.09", 0, "2026-11-21T05:00", 0.04, "2026-11-21T06:00"),
        ("22:00-06:00=0.04,06:00-22:00=0.09", 0, "2026-11-21T06:00", 0.09, "2026-11-21T22:00"),
        ("22:00-00:00=0.04,00:00-22:00=0.09", 0, "2026-11-21T23:00", 0.04, "2026-11-22T00:00"),
    ],
)
def test_price_and_next_change(tariff: str, offset_min: int, time: str, price: float, change: str | None) -> None:
    found = parse_tariff(tariff, offset_min)
    assert found.price_at(at(time)) == price
    assert found.next_change(at(time)) == (None if change is None else at(change))


def test_the_mean_is_weighted_by_time() -> None:
    assert parse_tariff(NIGHT).mean() == pytest.approx((6 * 0.04 + 18 * 0.09) / 24, rel=1e-15)
    assert parse_tariff("0.06").mean() == pytest.approx(0.06, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read; write 0.06, or"),
        ("cheap", "'cheap' cannot be read"),
        ("nan", "is not a number"),
        ("inf", "is not a number"),
        ("00:00-24:00=cheap", "cannot be read"),
        ("00:00-06:00=0.04", "no price from 06:00 to 24:00"),
        ("06:00-24:00=0.04", "no price from 00:00 to 06:00"),
        ("00:00-06:00=0.04,07:00-24:00=0.09", "no price from 06:00 to 07:00"),
        ("00:00-06:00=0.04,05:30-24:00=0.09", "two prices at 05:30"),
        ("00:00-24:00=0.04,05:00-06:00=0.09", "two prices at 05:00"),
        ("00:00-25:00=0.04", "25:00 in .* is no time of day"),
        ("00:00-06:60=0.04", "06:60 in .* is no time of day"),
        ("24:00-06:00=0.04", "covers no time"),
        ("06:00-06:00=0.04", "covers no time"),
        ("0-6=0.04", "'0-6=0.04' in a tariff is not FROM-TO=PRICE"),
        ("00:00-06:00=0.04,", "'' in a tariff is not FROM-TO=PRICE"),
    ],
)
def test_bad_tariffs_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_tariff(text)


@pytest.mark.parametrize("offset_min", [-1440, 1440, 3600])
def test_an_offset_beyond_a_day_is_refused(offset_min: int) -> None:
    with pytest.raises(ConfigError, match="Berlin in winter is 60"):
        parse_tariff("0.06", offset_min)


@st.composite
def tariffs(draw: st.DrawFn) -> tuple[str, int]:
    cuts = sorted(draw(st.sets(st.integers(1, 1439), max_size=5)))
    edges = [0, *cuts, 1440]
    pieces = [
        f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}={draw(st.sampled_from(['0.1', '0.2']))}"
        for a, b in pairwise(edges)
    ]
    return ",".join(draw(st.permutations(pieces))), draw(st.integers(-840, 840))


@given(tariffs(), st.integers(0, 4 * 10**18))
def test_a_price_holds_until_its_next_change_and_no_longer(tariff: tuple[str, int], now: int) -> None:
    found = parse_tariff(*tariff)
    change = found.next_change(now)
    if change is None:
        assert {found.price_at(now + minute * MINUTE_NS) for minute in range(0, 1440, 7)} == {found.price_at(now)}
        return
    assert now < change <= now + 1440 * MINUTE_NS
    assert found.price_at(change - 1) == found.price_at(now) != found.price_at(change)
