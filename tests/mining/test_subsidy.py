"""What blocks pay (mining.md 1.11). Integers, exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.mining.coins import COINS, coin, halving
from marketfeed.mining.subsidy import KAS_CRESCENDO, KAS_DEFLATION, kas_month_table, xmr_subsidy

KAS_MONTH_DAA = 26_298_000
"""Blocks of a month at ten a second."""
MIDNIGHT_2024_11_12 = 1_731_369_600


@pytest.mark.parametrize(
    ("code", "height", "subsidy"),
    [
        ("BTC", 0, 5_000_000_000),
        ("BTC", 209_999, 5_000_000_000),
        ("BTC", 839_999, 625_000_000),
        ("BTC", 840_000, 312_500_000),
        ("BTC", 1_050_000, 156_250_000),
        ("BTC", 6_719_999, 2),
        ("BTC", 6_720_000, 1),
        ("BTC", 6_929_999, 1),
        ("BTC", 6_930_000, 0),
        ("BTC", 210_000 * 64, 0),
        ("BTC", 10**15, 0),
        ("BCH", 840_000, 312_500_000),
        ("LTC", 2_519_999, 1_250_000_000),
        ("LTC", 2_520_000, 625_000_000),
        ("LTC", 3_360_000, 312_500_000),
        ("DOGE", 145_000, 250_000 * 10**8),
        ("DOGE", 599_999, 15_625 * 10**8),
        ("DOGE", 600_000, 10_000 * 10**8),
        ("DOGE", 50_000_000, 10_000 * 10**8),
        ("RVN", 4_200_000, 1250 * 10**8),
        ("RVN", 6_300_000, 625 * 10**8),
        ("DASH", 0, 500_000_000),
        ("DASH", 210_240, 500_000_000),
        ("DASH", 210_241, 464_285_715),
        ("DASH", 2_400_000, 221_278_131),
        ("DASH", 10**15, 13),
        ("ZEC", 653_600, 625_000_000),
        ("ZEC", 1_046_399, 625_000_000),
        ("ZEC", 1_046_400, 312_500_000),
        ("ZEC", 2_726_400, 156_250_000),
        ("ZEC", 4_406_400, 78_125_000),
        ("ETC", 0, 5 * 10**18),
        ("ETC", 5_000_000, 5 * 10**18),
        ("ETC", 5_000_001, 4 * 10**18),
        ("ETC", 25_000_000, 2_048 * 10**15),
        ("ETC", 25_000_001, 16_384 * 10**14),
        ("ETC", 30_000_001, 131_072 * 10**13),
        ("ETC", 10**15, 0),
        ("XMR", 3_500_000, 600_000_000_000),
        ("KAS", KAS_DEFLATION - 1, 50_000_000_000),
        ("KAS", KAS_DEFLATION, 44_000_000_000),
        ("KAS", KAS_DEFLATION + 2_629_800, 41_530_469_757),
        ("KAS", KAS_CRESCENDO - 1, 5_827_047_018),
        ("KAS", KAS_CRESCENDO, 582_704_702),
        ("KAS", KAS_CRESCENDO + 19 * KAS_MONTH_DAA, 194_454_365),
        ("KAS", 10**15, 0),
    ],
)
def test_subsidy(code: str, height: int, subsidy: int) -> None:
    assert coin(code).subsidy(height) == subsidy


@pytest.mark.parametrize(
    ("code", "height", "kept"),
    [
        ("BTC", 840_000, 312_500_000),
        ("DASH", 2_400_000, 44_255_627),
        ("ZEC", 2_726_400, 125_000_000),
        ("ZEC", 1_046_400, 250_000_000),
        ("KAS", KAS_CRESCENDO, 582_704_702),
    ],
)
def test_the_miners_part(code: str, height: int, kept: int) -> None:
    assert coin(code).miner_subsidy(height) == kept


def test_fees_are_the_miners_but_for_dash() -> None:
    assert {code: one.miner_fee_share for code, one in COINS.items() if one.miner_fee_share != 1} == {"DASH": 0.25}


@pytest.mark.parametrize(
    ("month", "sompi"),
    [
        (0, 44_000_000_000),
        (1, 41_530_469_757),
        (2, 39_199_543_598),
        (3, 36_999_442_271),
        (4, 34_922_823_143),
        (12, 22_000_000_000),
        (35, 5_827_047_018),
        (54, 1_944_543_648),
        (100, 136_417_277),  # from here on: rusty-kaspa's own table
        (200, 422_947),
        (400, 4),
        (424, 1),
        (425, 0),
    ],
)
def test_kas_month_table(month: int, sompi: int) -> None:
    assert kas_month_table()[month] == sompi


def test_kas_month_table_has_426_months() -> None:
    """As rusty-kaspa's; the sum is over its literal table."""
    assert len(kas_month_table()) == 426
    assert sum(kas_month_table()) == 783_954_764_543


@pytest.mark.parametrize(
    ("code", "tip", "change"),
    [
        ("BTC", 839_999, (840_000, 312_500_000)),
        ("BTC", 840_000, (1_050_000, 156_250_000)),
        ("BTC", 6_720_000, (6_930_000, 0)),
        ("BTC", 6_930_000, None),
        ("LTC", 2_520_000, (3_360_000, 312_500_000)),
        ("DOGE", 145_000, (200_000, 125_000 * 10**8)),
        ("DOGE", 599_999, (600_000, 10_000 * 10**8)),
        ("DOGE", 5_000_000, None),
        ("RVN", 4_200_000, (6_300_000, 625 * 10**8)),
        ("DASH", 1, (210_241, 464_285_715)),
        ("DASH", 210_241, (420_481, 431_122_450)),
        ("DASH", 10**15, None),
        ("ZEC", 653_600, (1_046_400, 312_500_000)),
        ("ZEC", 1_046_400, (2_726_400, 156_250_000)),
        ("ZEC", 2_726_400, (4_406_400, 78_125_000)),
        ("ETC", 24_999_999, (25_000_001, 16_384 * 10**14)),
        ("XMR", 3_500_000, None),
        ("KAS", 0, (KAS_DEFLATION, 44_000_000_000)),
        ("KAS", KAS_DEFLATION, (KAS_DEFLATION + 2_629_800, 41_530_469_757)),
        ("KAS", KAS_CRESCENDO - 1, (KAS_CRESCENDO, 582_704_702)),
        # month 36 begins 94,672,800 s after the start, 27,400 s after Crescendo
        ("KAS", KAS_CRESCENDO, (KAS_CRESCENDO + 274_000, 550_000_000)),
        ("KAS", 10**15, None),
    ],
)
def test_next_subsidy_change(code: str, tip: int, change: tuple[int, int] | None) -> None:
    assert coin(code).next_subsidy_change(tip) == change


@given(st.sampled_from(sorted(COINS)), st.integers(653_600, 200_000_000))
def test_nothing_changes_before_the_next_change(code: str, height: int) -> None:
    one = coin(code)
    change = one.next_subsidy_change(height)
    if change is None:
        assert one.subsidy(height + 10**8) == one.subsidy(height)
        return
    at, new = change
    assert at > height
    assert one.subsidy(at - 1) == one.subsidy(height) != new == one.subsidy(at)


def test_a_tail_of_small_months_is_passed_over() -> None:
    """From month 389 to 390 KAS stays at one sompi a block, since tenths are rounded up."""
    late = KAS_CRESCENDO + 380 * KAS_MONTH_DAA
    change = coin("KAS").next_subsidy_change(late)
    assert change is not None
    assert change[1] == 0
    assert change[0] > late + 2 * KAS_MONTH_DAA


@pytest.mark.parametrize(
    ("emitted", "piconero"),
    [(18_186_022_843_595_960_691, 600_000_000_000), (0, 35_184_372_088_831), (2**64, 600_000_000_000)],
)
def test_xmr_by_emitted_supply(emitted: int, piconero: int) -> None:
    """The first is 1.11's: without the tail it would be 497286281802."""
    assert xmr_subsidy(emitted) == piconero


def test_a_negative_supply_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        xmr_subsidy(-1)


@pytest.mark.parametrize("code", sorted(COINS))
def test_a_negative_height_is_refused(code: str) -> None:
    for question in (coin(code).subsidy, coin(code).miner_subsidy, coin(code).next_subsidy_change):
        with pytest.raises(ValueError, match="negative"):
            question(-1)


@pytest.mark.parametrize(("code", "height"), [("DOGE", 144_999), ("ZEC", 653_599)])
def test_heights_a_schedule_does_not_know_are_refused(code: str, height: int) -> None:
    with pytest.raises(ValueError, match=f"{code}.*{height}"):
        coin(code).subsidy(height)


def test_halving_countdown() -> None:
    """1.11: Luxor's 179,980 blocks on 2024-11-12 end on 2028-04-14T20:40Z."""
    countdown = halving(coin("BTC"), 870_020, MIDNIGHT_2024_11_12)
    assert countdown is not None
    assert (countdown.blocks_left, countdown.height, countdown.new_subsidy) == (179_980, 1_050_000, 156_250_000)
    assert countdown.eta_unix_s == 1_839_357_600


def test_no_countdown_without_a_change() -> None:
    assert halving(coin("XMR"), 3_500_000, MIDNIGHT_2024_11_12) is None
