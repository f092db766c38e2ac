"""The next difficulty: the exact rule on real epochs, the forecast on mempool.space's vectors (mining.md 4.6, 4.16)."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.errors import ConfigError
from marketfeed.mining.coins import COINS, coin
from marketfeed.mining.compact import bits_from_target, target_from_bits
from marketfeed.mining.retarget import Forecast, change_percent, forecast, next_bits

from .oracles import EPOCHS, NEXT_BITS, RETARGETS

BTC, LTC = coin("BTC"), coin("LTC")
BITS = {height: bits for height, _, bits, _, _ in EPOCHS}
SPANS = [(bits, BITS.get(height + 2016) or NEXT_BITS[height], spans) for height, _, bits, _, spans in EPOCHS if spans]


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(("epoch", "first", "last", "old", "new"), RETARGETS)
def test_the_retargets_of_4_16(epoch: str, first: int, last: int, old: int, new: int) -> None:
    assert next_bits(BTC, old, first, last) == new


@pytest.mark.parametrize(("old", "new", "spans"), SPANS)
def test_the_spans_of_4_16_and_no_others(old: int, new: int, spans: tuple[int, int]) -> None:
    low, high = spans
    assert {next_bits(BTC, old, 0, span) for span in range(low, high + 1)} == {new}
    assert next_bits(BTC, old, 0, low - 1) != new
    assert next_bits(BTC, old, 0, high + 1) != new


@pytest.mark.parametrize(
    ("first", "last", "old", "new"),
    [
        (1358118740, 1358378777, 0x1C0AC141, 0x1C093F8D),
        (1317972665, 1318480354, 0x1E0FFFF0, 0x1E0FFFFF),  # the limit
        (1401682934, 1401757934, 0x1B075CF1, 0x1B01D73C),  # a quarter of the time and no less
        (1463690315, 1464900315, 0x1B015318, 0x1B054C60),  # four times and no more
    ],
)
def test_litecoins_own_vectors(first: int, last: int, old: int, new: int) -> None:
    """litecoin-project/litecoin src/test/pow_tests.cpp."""
    assert next_bits(LTC, old, first, last) == new


@given(st.integers(0, 2_000_000), st.integers(2**204, 2**236 - 1))
def test_litecoin_gives_up_one_bit_near_its_limit(span: int, target: int) -> None:
    """As its C++ does in 256 bits: shifted right before, left after the product."""
    bits = bits_from_target(target)
    exact, limit = target_from_bits(bits), 2**236 - 1
    shift = exact.bit_length() > 235
    product = (exact >> shift) * min(max(span, 75_600), 1_209_600)
    assert product < 2**256
    assert next_bits(LTC, bits, 0, span) == bits_from_target(min(product // 302_400 << shift, limit))


@pytest.mark.parametrize("code", sorted(set(COINS) - {"BTC", "LTC"}))
def test_other_coins_have_no_dated_retarget(code: str) -> None:
    with pytest.raises(ConfigError, match=f"{code} has no dated retarget.*BTC and LTC have one"):
        next_bits(coin(code), 0x1B00CBBD, 0, 1)
    with pytest.raises(ConfigError, match="no dated retarget"):
        forecast(coin(code), 1, start_time_s=0, now_s=1, tip_time_s=1)


def test_bad_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="sign bit"):
        next_bits(BTC, 0x1D80FFFF, 0, 1)


def test_the_previous_retarget_of_1_9() -> None:
    assert change_percent(0x1702B563, 0x170297FA) == 4.429396745461176


@pytest.mark.parametrize(("old", "new", "percent"), [(0x1B00FFFF, 0x1A00FFFF, 300), (0x1A00FFFF, 0x1B00FFFF, -75)])
def test_a_change_is_never_more_than_a_factor_of_four(old: int, new: int, percent: float) -> None:
    assert change_percent(old, new) == percent


def test_the_sample_of_4_6() -> None:
    """mempool.space's published difficulty-adjustment, digit for digit."""
    start = 1734312810
    found = forecast(BTC, 875_599, start_time_s=start, now_s=start + 390_537, tip_time_s=0)
    assert found == Forecast(
        progress_percent=32.49007936507937,
        blocks_into_epoch=655,
        remaining_blocks=1361,
        next_height=876_960,
        change_percent=0.7843046881601534,
        uncertainty_percent=pytest.approx(3.9073, abs=1e-4),  # type: ignore[arg-type]  # approx stands for a float
        locked_in=False,
        expected_blocks=650.895,
        time_avg_ms=596_239,
        adjusted_time_avg_ms=596_239,
        remaining_ms=811_481_279,
        estimated_retarget_ms=(start + 390_537) * 1000 + 811_481_279,
    )


VECTORS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {
            "height": 830_027,
            "start_time_s": seconds("2024-02-02T15:42:06+00:00"),
            "window_time_s": seconds("2024-02-08T14:43:05+00:00"),
            "now_s": seconds("2024-02-11T22:43:01+00:00"),
            "previous_change_percent": 7.333505241141637,
            "tip_time_s": 0,
        },
        {
            "change_percent": 8.512745140778843,
            "remaining_blocks": 565,
            "estimated_retarget_ms": 1708004001715,
            "time_avg_ms": 553_311,
            "locked_in": False,
        },
    ),
    (
        {
            "height": 750_134,
            "start_time_s": seconds("2022-08-18T11:07:00+00:00"),
            "window_time_s": seconds("2022-08-16T03:16:54+00:00"),
            "now_s": seconds("2022-08-19T14:03:53+00:00"),
            "previous_change_percent": 0.6280047707459726,
            "tip_time_s": 0,
        },
        {
            "change_percent": 1.0420538959004633,
            "time_avg_ms": 533_038,
            "adjusted_time_avg_ms": 594_992,
            "estimated_retarget_ms": 1662009048328,
            "expected_blocks": 161.68833333333333,
        },
    ),
    (
        {
            "height": 788_255,
            "start_time_s": seconds("2023-04-20T09:57:33+00:00"),
            "now_s": seconds("2023-05-04T14:54:09+00:00"),
            "tip_time_s": seconds("2023-05-04T14:54:26+00:00"),
        },
        {
            "change_percent": -1.4512637555574193,
            "locked_in": True,
            "remaining_blocks": 1,
            "remaining_ms": 609_129,
            "next_height": 788_256,
        },
    ),
]


@pytest.mark.parametrize(("given", "expected"), VECTORS, ids=["mid-epoch", "early", "locked in"])
def test_mempools_unit_vectors_of_4_6(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = forecast(BTC, **given)
    assert {name: getattr(found, name) for name in expected} == expected


def test_without_the_block_before_the_epoch_an_early_forecast_uses_its_own_blocks() -> None:
    """mempool.space's older answer to the second vector (before its 504-block window)."""
    given = {**VECTORS[1][0], "window_time_s": None}
    found = forecast(BTC, **given)
    assert found.adjusted_time_avg_ms == found.time_avg_ms == 533_038
    assert found.estimated_retarget_ms == 1661895424692
    assert found.change_percent == pytest.approx((600 * 183 / 97_013 - 1) * 100, rel=1e-12)


def test_at_the_first_block_nothing_is_known() -> None:
    found = forecast(BTC, 840_672, start_time_s=1713970312, now_s=1713970312, tip_time_s=1713970312)
    assert (found.blocks_into_epoch, found.uncertainty_percent) == (0, None)
    assert found.remaining_ms == 2016 * 600_000
    assert found.change_percent == 300  # no time has passed: see `uncertainty_percent`


@pytest.mark.parametrize(("now_s", "change"), [(10**9, 300), (10**9 - 50, 300), (10**9 + 10**8, -75)])
def test_a_forecast_stays_within_a_factor_of_four(now_s: int, change: float) -> None:
    found = forecast(BTC, 841_272, start_time_s=10**9, now_s=now_s, tip_time_s=now_s)
    assert found.change_percent == change


def test_a_window_that_runs_backwards_is_no_time() -> None:
    found = forecast(BTC, 840_682, start_time_s=10**9, now_s=10**9 + 6000, tip_time_s=0, window_time_s=10**9 + 9000)
    assert (found.change_percent, found.remaining_ms) == (300, 0)


def test_litecoin_measures_one_interval_more() -> None:
    """At blocks of exactly 150 s nothing changes, from the block before the epoch on and over the window alike."""
    tip = 2016 * 1500
    for into in (2015, 800, 100):
        now = into * 150 + 150
        found = forecast(LTC, tip + into, start_time_s=0, now_s=now, tip_time_s=now, window_time_s=now - 504 * 150)
        assert found.change_percent == 0
        assert found.time_avg_ms == found.adjusted_time_avg_ms == 150_000
        assert found.next_height == tip + 2016


@given(st.integers(302_400 // 4, 302_400 * 4))
def test_a_locked_in_forecast_is_the_exact_rule(span: int) -> None:
    old = 0x1A01CD2D
    for one in (BTC, LTC):
        last = int(span * one.block_time_s / 150)
        told = forecast(one, 2015, start_time_s=0, now_s=10**9, tip_time_s=last).change_percent
        assert told == pytest.approx(change_percent(old, next_bits(one, old, 0, last)), abs=0.02)


def test_a_negative_height_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        forecast(BTC, -1, start_time_s=0, now_s=1, tip_time_s=1)
