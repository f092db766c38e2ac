"""What hashing earns: the worked examples of mining.md section 4, to the digits given there."""

from typing import Any

import pytest

from marketfeed.errors import ConfigError
from marketfeed.mining.coins import coin
from marketfeed.mining.economics import (
    Scheme,
    Term,
    blocks_per_day,
    breakeven_electricity,
    calculate,
    cost_per_coin,
    efficiency,
    hashprice,
    hashvalue,
    measured_hashrate,
    network_hashrate,
    reward_coins,
)
from marketfeed.mining.rigs import rig

BTC, LTC, DOGE, XMR, ZEC = coin("BTC"), coin("LTC"), coin("DOGE"), coin("XMR"), coin("ZEC")
NOV_2025 = 155973032196071.94
"""Difficulty of 2025-11-03, bits 0x1701cdfb (4.4)."""


def test_4_1_difficulty_1() -> None:
    assert network_hashrate(BTC, 1) == pytest.approx(7158278.8267, abs=5e-5)
    assert hashvalue(BTC, 1, 50, "TH/s") == pytest.approx(1005828380.5847, abs=5e-5)


def test_4_2_minerstats_reward_is_that_of_12_5_coins() -> None:
    """Its sample says 6.25: a feed's reward field is not to be trusted without the height."""
    per_hash_hour = hashvalue(BTC, 14715214060656, 12.5, "H/s") / 24
    assert per_hash_hour == pytest.approx(7.120099593003851e-19, rel=1e-15)
    assert per_hash_hour == pytest.approx(7.1200995930039e-19, rel=1e-14)


def test_4_3_blockchain_info_stats() -> None:
    found = measured_hashrate(BTC, 6702169884349, 135, 86_400)
    assert found == 4.497750072736728e19
    assert found / 1e9 == pytest.approx(44977500727.36728, rel=1e-15)
    reward = (168750000000 + 11648437530) / 1e8 / 135
    day = calculate(found, 0, [Term(BTC, 6702169884349, reward, 7292.97)], electricity_per_kwh=0)
    assert day.coins[0].blocks_day == pytest.approx(135, rel=1e-14)
    assert day.revenue_day == pytest.approx(13156403.929531645, rel=1e-14)
    assert hashprice(BTC, 6702169884349, reward, 7292.97, "PH/s") == pytest.approx(292.5107824, abs=5e-8)


def test_4_4_hashrate_index_2025_11_03() -> None:
    """Fees were 0.62 % of rewards; published 0.00040577 BTC and 43.33 USD a PH/s and day, tolerance 0.5 %."""
    reward = 3.125 / (1 - 0.0062)
    assert reward == pytest.approx(3.14450, abs=5e-6)
    assert blocks_per_day(BTC, NOV_2025, 1e15) == 1.2897465240276938e-4
    assert hashvalue(BTC, NOV_2025, reward, "PH/s") == pytest.approx(0.000405560, abs=5e-10)
    assert hashvalue(BTC, NOV_2025, reward, "PH/s") == pytest.approx(0.00040577, rel=0.005)
    assert hashprice(BTC, NOV_2025, reward, 106_935, "PH/s") == pytest.approx(43.369, abs=5e-4)
    assert hashprice(BTC, NOV_2025, reward, 106_935, "PH/s") == pytest.approx(43.33, rel=0.005)


@pytest.mark.parametrize(
    ("difficulty", "reward", "price", "computed", "published"),
    [
        (108522647629298.16, 3.125 + 0.0931, 93_450, 55.746, 55.21),
        (101646843652785.17, 3.28, 87_235, 56.627, 55.97),
    ],
    ids=["2024-12-23", "2024-11-12"],
)
def test_4_5_hashprice_in_usd(
    difficulty: float, reward: float, price: float, computed: float, published: float
) -> None:
    found = hashprice(BTC, difficulty, reward, price, "PH/s")
    assert found == pytest.approx(computed, abs=5e-4)
    assert found == pytest.approx(published, rel=0.015)


def test_4_5_hashvalue_of_2025_03_03() -> None:
    difficulty = 110568428300952.69
    assert hashvalue(BTC, difficulty, 3.166578, "PH/s") == pytest.approx(0.00057612, abs=5e-9)
    assert hashvalue(BTC, difficulty, 3.125, "PH/s") == pytest.approx(0.000568555, abs=5e-10)
    assert hashvalue(BTC, difficulty, 3.125 / (1 - 0.0193), "PH/s") == pytest.approx(0.000579744, abs=5e-10)


@pytest.mark.parametrize(
    ("difficulty", "block_time_s", "nethash"),
    [(2.27050237419557e15, 13.2861, 170893066753642), (3.25620720085259e15, 15.2385, 213682921603346)],
)
def test_4_7_whattomine_nethash_is_difficulty_over_time(difficulty: float, block_time_s: float, nethash: int) -> None:
    """K is 1 in the Ethash family."""
    assert int(measured_hashrate(coin("ETC"), difficulty, 1, block_time_s)) == nethash


def test_4_7_whattomine_api_sample() -> None:
    found = calculate(1e15, 3500, [Term(BTC, 1.0, 0.0, 0.0)], electricity_per_kwh=0.1)
    assert found.power_cost_day == pytest.approx(8.40, abs=1e-12)
    earned = hashvalue(BTC, NOV_2025, 3.125, "PH/s")
    priced = calculate(1e15, 3500, [Term(BTC, NOV_2025, 3.125, 121.18 / earned)], electricity_per_kwh=0.1)
    assert priced.revenue_day == pytest.approx(121.18, rel=1e-14)
    assert priced.profit_day == pytest.approx(112.78, rel=1e-14)


def test_4_8_the_same_hashes_count_on_both_chains() -> None:
    """LiteSolo: a miner's 8.538324377e16 hashes were worth this many blocks of each, so the mean D follow."""
    hashes_a_day = 8.538324377e16 / 86_400
    assert blocks_per_day(LTC, 20.92e6, hashes_a_day) == pytest.approx(0.9502658052, rel=5e-4)
    assert blocks_per_day(DOGE, 7.02e6, hashes_a_day) == pytest.approx(2.831957961, rel=5e-4)
    assert network_hashrate(LTC, 20785580.478287995) == pytest.approx(5.9516e14, rel=1e-5)


def test_4_8_l7_on_litecoin_and_dogecoin_at_once() -> None:
    """DOGE's D is not given there: it is what 0.0296506 blocks a day mean."""
    l7 = rig("l7")
    terms = [Term(LTC, 20785580.478287995, 12.5, 100.0), Term(DOGE, 6445314, 10_000, 0.1)]
    ltc, doge = calculate(l7.hashrate_hs, l7.watts, terms, electricity_per_kwh=0.05).coins
    assert ltc.blocks_day == pytest.approx(0.0091942, abs=5e-8)
    assert ltc.coins_day == pytest.approx(0.114928, abs=5e-7)
    assert doge.blocks_day == pytest.approx(0.0296506, abs=5e-8)
    assert doge.coins_day == pytest.approx(296.5055, abs=5e-4)


def test_4_9_a_full_machine() -> None:
    s21xp = rig("s21xp")
    found = calculate(
        s21xp.hashrate_hs,
        s21xp.watts,
        [Term(BTC, NOV_2025, 3.1445, 106_935)],
        electricity_per_kwh=0.05,
        pool_fee=0.02,
    )
    assert found.coins[0].coins_day == pytest.approx(0.00010950141451, abs=5e-15)
    assert found.revenue_day == pytest.approx(11.709534, abs=5e-7)
    assert found.energy_kwh_day == pytest.approx(87.48, abs=1e-12)
    assert found.power_cost_day == pytest.approx(4.374, abs=1e-12)
    assert found.profit_day == pytest.approx(7.101343, abs=5e-7)
    assert found.breakeven_electricity == pytest.approx(0.1311768, abs=5e-8)
    assert found.coins[0].breakeven_price == pytest.approx(40759.887, abs=5e-4)
    assert found.margin == pytest.approx(7.101343 / (11.709534 * 0.98), rel=1e-6)


@pytest.mark.parametrize(("joules", "expected"), [(13.5, 0.133735), (17.5, 0.103167), (29.5, 0.061201)])
def test_4_9_breakeven_electricity_of_a_hashprice(joules: float, expected: float) -> None:
    per_th = 43.33 / 1000
    assert breakeven_electricity(per_th, joules) == pytest.approx(expected, abs=5e-7)
    assert breakeven_electricity(per_th, joules, 0.02) == pytest.approx(expected * 0.98, abs=5e-7)


def test_4_10_block_840000() -> None:
    difficulty = 86388558925171.02
    assert hashvalue(BTC, difficulty, 3.125, "PH/s") == pytest.approx(0.000727692122, abs=5e-13)
    assert network_hashrate(BTC, difficulty) == pytest.approx(618.393e18, abs=5e14)
    assert reward_coins(BTC, 840_000, 37.67 * 1e8) == pytest.approx(40.8, abs=0.05)


def test_4_11_measured_network_hashrate_overstates_revenue() -> None:
    by_difficulty = hashprice(BTC, 141668107417558.25, 3.125, 83_625, "TH/s")
    by_network = 144 * 3.125 * 83_625 / 904.29e6
    assert by_difficulty == pytest.approx(0.037108, abs=5e-7)
    assert by_network == pytest.approx(0.041614, abs=5e-7)
    assert by_network / by_difficulty == pytest.approx(1.12, abs=0.005)


def test_4_12_mempool_reward_stats() -> None:
    assert BTC.subsidy(736_600) == (63811748254 - 1311748254) // 100 == 625_000_000
    reward = reward_coins(BTC, 736_600, 1311748254 / 100)
    assert hashvalue(BTC, 31251101365711.12, reward, "PH/s") == pytest.approx(0.004107609947, abs=5e-13)


def test_4_13_cost_of_one_coin() -> None:
    assert cost_per_coin(BTC, 15958652328578.91, 6.25, 85.3e-12, 0.035) == pytest.approx(9094.747205, abs=5e-7)


def test_4_14_monero_and_zcash() -> None:
    assert network_hashrate(XMR, 225889137349) == pytest.approx(1.882409e9, abs=500)
    x5 = rig("x5")
    xmr = calculate(x5.hashrate_hs, x5.watts, [Term(XMR, 225889137349, 0.6, 1.0)], electricity_per_kwh=0)
    assert xmr.revenue_day == pytest.approx(0.04865254, abs=5e-9)
    assert network_hashrate(ZEC, 127318833.42730181) == pytest.approx(13.90664e9, abs=5e3)
    z15pro = rig("z15pro")
    assert reward_coins(ZEC, 3_323_688) == 1.25
    zec = calculate(z15pro.hashrate_hs, z15pro.watts, [Term(ZEC, 127318833.42730181, 1.25, 1.0)], electricity_per_kwh=0)
    assert zec.revenue_day == pytest.approx(0.08698004, abs=5e-9)


def test_4_15_braiins_2025_12_13() -> None:
    assert hashvalue(BTC, 148195306640204.72, 3.125 + 0.016, "TH/s") == pytest.approx(4.2637e-7, abs=5e-12)


def test_kaspa_counts_single_blocks_and_its_network_ten_a_second() -> None:
    """1.3: H_net is 2 * D * 10."""
    assert network_hashrate(coin("KAS"), 1e12) == pytest.approx(2e13, rel=1e-15)
    assert blocks_per_day(coin("KAS"), 1e12, 2e13) == pytest.approx(864_000, rel=1e-15)


@pytest.mark.parametrize(
    ("code", "height", "fees", "scheme", "coins"),
    [
        ("BTC", 840_000, 5_000_000.0, "FPPS", 3.175),
        ("BTC", 840_000, 5_000_000.0, "PPS+", 3.175),
        ("BTC", 840_000, 5_000_000.0, "PPLNS", 3.175),
        ("BTC", 840_000, 5_000_000.0, "solo", 3.175),
        ("BTC", 840_000, 5_000_000.0, "PPS", 3.125),
        ("DASH", 2_400_000, 400.0, "FPPS", 0.44255727),
        ("ETC", 25_000_001, 0.0, "FPPS", 1.6384),
    ],
)
def test_a_scheme_changes_only_what_a_block_pays(
    code: str, height: int, fees: float, scheme: Scheme, coins: float
) -> None:
    assert reward_coins(coin(code), height, fees, scheme) == pytest.approx(coins, rel=1e-15)


@pytest.mark.parametrize(
    ("id", "unit", "joules"),
    [("s21xp", "TH/s", 13.5), ("l7", "MH/s", 0.361), ("z15pro", "kSol/s", 3.3), ("x5", "kH/s", 6.37)],
)
def test_efficiency_in_the_units_of_section_3(id: str, unit: str, joules: float) -> None:
    one = rig(id)
    assert efficiency(one.hashrate_hs, one.watts, unit) == pytest.approx(joules, rel=0.005)


def test_a_coins_own_unit_is_the_default() -> None:
    assert hashprice(BTC, NOV_2025, 3.1445, 106_935) == hashprice(BTC, NOV_2025, 3.1445, 106_935, "TH/s")


def test_uptime_and_pue() -> None:
    """90 % of the time on: all but the break-evens falls; PUE 1.2 burns a fifth more."""
    terms = [Term(BTC, NOV_2025, 3.1445, 106_935)]
    full = calculate(270e12, 3645, terms, electricity_per_kwh=0.05, pool_fee=0.02)
    part = calculate(270e12, 3645, terms, electricity_per_kwh=0.05, pool_fee=0.02, uptime=0.9)
    assert part.profit_day == pytest.approx(full.profit_day * 0.9, rel=1e-14)
    assert part.breakeven_electricity == pytest.approx(full.breakeven_electricity, rel=1e-14)
    cooled = calculate(270e12, 3645, terms, electricity_per_kwh=0.05, pool_fee=0.02, pue=1.2)
    assert cooled.energy_kwh_day == pytest.approx(87.48 * 1.2, rel=1e-14)
    assert cooled.profit_day == pytest.approx(full.profit_day - 4.374 * 0.2, rel=1e-12)


def test_where_there_is_nothing_there_is_no_ratio() -> None:
    off = calculate(270e12, 3645, [Term(BTC, NOV_2025, 3.1, 1e5)], electricity_per_kwh=0.05, uptime=0)
    assert (off.margin, off.breakeven_electricity, off.profit_day) == (None, None, 0)
    assert (off.coins[0].breakeven_price, off.coins[0].cost_per_coin) == (None, None)
    worthless = calculate(270e12, 3645, [Term(BTC, NOV_2025, 3.1, 0.0)], electricity_per_kwh=0.05)
    assert (worthless.margin, worthless.coins[0].breakeven_difficulty) == (None, None)
    assert worthless.profit_day == pytest.approx(-4.374, rel=1e-15)
    assert breakeven_electricity(0.05, 0) is None


def test_where_the_other_coin_pays_for_all_nothing_is_needed_of_this_one() -> None:
    terms = [Term(LTC, 20.92e6, 6.25, 0.01), Term(DOGE, 7.02e6, 10_000, 0.2)]
    ltc, doge = calculate(9.5e9, 3425, terms, electricity_per_kwh=0.05).coins
    assert (ltc.breakeven_price, ltc.breakeven_difficulty) == (None, None)
    assert doge.breakeven_price is not None
    assert doge.breakeven_price < 0.2


def test_negative_electricity_is_paid_to_the_miner() -> None:
    found = calculate(270e12, 3645, [Term(BTC, NOV_2025, 3.1445, 106_935)], electricity_per_kwh=-0.01)
    assert found.profit_day == pytest.approx(found.revenue_day + 0.8748, rel=1e-12)
    assert found.coins[0].breakeven_price is None


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("difficulty", [0, -1, NAN, INF])
def test_P35_hostile_difficulties_are_refused(difficulty: float) -> None:
    questions: list[Any] = [
        lambda: blocks_per_day(BTC, difficulty, 1e15),
        lambda: network_hashrate(BTC, difficulty),
        lambda: measured_hashrate(BTC, difficulty, 1, 600),
        lambda: hashprice(BTC, difficulty, 3.1, 1e5),
        lambda: cost_per_coin(BTC, difficulty, 3.1, 1e-11, 0.05),
        lambda: calculate(1e15, 1000, [Term(BTC, difficulty, 3.1, 1e5)], electricity_per_kwh=0.05),
    ]
    for question in questions:
        with pytest.raises(ValueError, match=r"difficulty .* is not a finite number above 0"):
            question()


def test_a_difficulty_that_means_infinite_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond what can be computed"):
        blocks_per_day(XMR, 1e-300, 1e20)


@pytest.mark.parametrize("bad", [-1.0, NAN, INF])
def test_hostile_rewards_prices_and_fees_are_refused(bad: float) -> None:
    for term in (Term(BTC, 1e14, bad, 1e5), Term(BTC, 1e14, 3.1, bad)):
        with pytest.raises(ValueError, match=r"(reward|price) .* is not a finite number from 0 up"):
            calculate(1e15, 1000, [term], electricity_per_kwh=0.05)
    with pytest.raises(ValueError, match="fees"):
        reward_coins(BTC, 840_000, bad)
    with pytest.raises(ValueError, match="hashprice"):
        breakeven_electricity(bad, 13.5)
    with pytest.raises(ValueError, match="span"):
        measured_hashrate(BTC, 1e14, 1, bad)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hashrate_hs": -1.0}, "hashrate in H/s is -1.0"),
        ({"hashrate_hs": NAN}, "hashrate in H/s is nan"),
        ({"watts": INF}, "power in W is inf"),
        ({"watts": -1.0}, "power in W is -1.0"),
        ({"electricity_per_kwh": NAN}, "electricity price nan"),
        ({"pool_fee": 2.0}, "pool fee 2.0 is not a fraction below 1; 2 % is 0.02"),
        ({"pool_fee": -0.1}, "not a fraction"),
        ({"pool_fee": NAN}, "not a fraction"),
        ({"uptime": 95.0}, "95 % is 0.95"),
        ({"uptime": NAN}, "uptime nan"),
        ({"pue": 0.9}, "below 1"),
        ({"pue": INF}, "PUE inf"),
    ],
)
def test_a_users_mistakes_are_named(change: dict[str, float], said: str) -> None:
    rest: dict[str, Any] = {"hashrate_hs": 1e15, "watts": 1000.0, "electricity_per_kwh": 0.05} | change
    with pytest.raises(ConfigError, match=said):
        calculate(terms=[Term(BTC, 1e14, 3.1, 1e5)], **rest)


@pytest.mark.parametrize("bad", [-1.0, NAN, INF])
def test_bad_efficiencies_are_refused(bad: float) -> None:
    questions: list[Any] = [
        lambda: efficiency(bad, 1000, "TH/s"),
        lambda: efficiency(1e12, bad, "TH/s"),
        lambda: breakeven_electricity(0.05, bad),
        lambda: cost_per_coin(BTC, 1e14, 3.1, bad, 0.05),
    ]
    for question in questions:
        with pytest.raises(ConfigError, match="must be a number from 0 up"):
            question()
    with pytest.raises(ConfigError, match="no efficiency"):
        efficiency(0, 1000, "TH/s")
