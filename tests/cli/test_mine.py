import json

import pytest

from marketfeed.cli import _exit
from marketfeed.cli._mine_heights import height_today
from marketfeed.cli._mine_words import chance, digits_of, fixed, money, si, span
from marketfeed.mining.coins import COINS

from .helpers import Terminal, call, rows

S21XP = ["BTC", "--calc", "--hashrate", "270TH/s", "--power", "3645W", "--difficulty", "155973032196071.94",
         "--price", "106935", "--reward", "3.1445", "--electricity", "0.05"]  # fmt: skip


def one(*args: str) -> dict:
    result = call("mine", *args, "--json")
    assert result.exit_code == 0, result.output
    (found,) = rows(result.stdout)
    return found


def test_a_whole_machine():
    found = one(*S21XP, "--fee", "2%")
    expected = {
        "coins_day": 0.00010950141451,
        "revenue_day": 11.709534,
        "power_cost_day": 4.374,
        "profit_day": 7.101343,
        "breakeven_electricity": 0.1311768,
        "breakeven_price": 40759.887,
        "hashprice": 43.369,
        "energy_kwh_day": 87.48,
        "efficiency": 13.5,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert found["margin"] == pytest.approx(7.101343 / (11.709534 * 0.98), rel=1e-6)
    assert (found["coin"], found["quote"], found["algorithm"]) == ("BTC", "USD", "SHA-256d")
    assert (found["hashprice_unit"], found["efficiency_unit"]) == ("USD/PH/s/day", "J/TH")
    assert found["assumptions"] == []
    assert one(*S21XP, "--fee", "0.02") == found


def test_every_key():
    assert set(one(*S21XP)) == {
        "coin", "rig", "count", "algorithm", "hashrate", "watts", "efficiency", "efficiency_unit", "quote",
        "electricity", "pool_fee", "scheme", "uptime", "pue", "difficulty", "price", "reward", "subsidy", "fees",
        "height", "height_assumed", "network_hashrate", "blocks_day", "coins_day", "revenue_day", "hashvalue",
        "hashvalue_unit", "breakeven_price", "breakeven_difficulty", "cost_per_coin", "chance_day", "chance_month",
        "chance_year", "mean_days_to_block", "hashprice", "hashprice_unit", "pool_fee_day", "energy_kwh_day",
        "power_cost_day", "profit_day", "margin", "breakeven_electricity", "coins", "assumptions",
    }  # fmt: skip


def test_the_odds_of_a_solo_miner():
    found = one("BTC", "--calc", "--hashrate", "1PH/s", "--power", "20kW", "--difficulty", "155973032196071.94",
                "--price", "1", "--reward", "3", "-e", "0")  # fmt: skip
    assert found["blocks_day"] == pytest.approx(1.2897465240e-4)
    assert found["mean_days_to_block"] == pytest.approx(7753.46, rel=1e-6)
    assert found["chance_month"] == pytest.approx(0.0038618, rel=1e-4)
    assert found["chance_year"] == pytest.approx(0.0459850, rel=1e-5)


@pytest.mark.parametrize(
    ("args", "key", "value"),
    [
        # the halving block 840000, and the day's revenue of all miners in 2019
        (["--difficulty", "86388558925171.02", "--height", "840000", "--price", "1"], "coins_day", 0.000727692122),
        (["--difficulty", "6702169884349", "--height", "575000", "--fees", "0.8628472", "--price", "7292.97"],
         "hashprice", 292.5107824),
        (["--difficulty", "31251101365711.12", "--height", "736556", "--fees", "0.13117482540", "--price", "1"],
         "hashvalue", 0.004107609947),
        (["--difficulty", "155.97303219607194T", "--height", "921312", "--fees", "1", "--price", "1", "--scheme",
          "pps"], "reward", 3.125),
    ],
)  # fmt: skip
def test_subsidies_of_a_height(args, key, value):
    found = one("BTC", "--calc", "--hashrate", "1PH/s", "--power", "20kW", "-e", "0.05", *args)
    assert found[key] == pytest.approx(value, rel=1e-6)


def test_an_assumed_subsidy_is_said():
    args = [arg for arg in S21XP if arg not in {"--reward", "3.1445"}]
    found = one(*args)
    assert found["height_assumed"]
    assert any("today's height" in point and "--height" in point for point in found["assumptions"])
    assert any("no transaction fees" in point for point in found["assumptions"])
    assert "today's height" in " ".join(call("mine", *args).stdout.split())


def test_heights_of_today():
    now = 1_795_000_000  # November 2026
    assert all(height_today(coin, now) > 0 for coin in COINS.values())
    pays = {code: coin.subsidy(height_today(coin, now)) / coin.base_units for code, coin in COINS.items()}
    assert (pays["BTC"], pays["BCH"], pays["LTC"], pays["DOGE"]) == (3.125, 3.125, 6.25, 10_000)
    assert (pays["ZEC"], pays["RVN"], pays["XMR"]) == (1.5625, 1250, 0.6)


MERGED = ["--calc", "--rig", "l7", "-e", "0.05", "--fees", "0", "--fees", "0"]


def test_merged_coins_in_the_order_they_are_written():
    ltc, doge = ["20785580.478287995", "90", "3000000"], ["7.02M", "0.15", "6000000"]

    def given(*coins: list[str]) -> list[str]:
        names = ("--difficulty", "--price", "--height")
        return [word for of in coins for name, value in zip(names, of, strict=True) for word in (name, value)]

    found = one("LTC+DOGE", *MERGED, *given(ltc, doge))
    assert one("doge+ltc", *MERGED, *given(doge, ltc)) == found
    assert [coin["coin"] for coin in found["coins"]] == ["LTC", "DOGE"]
    assert found["coin"] == "LTC+DOGE"
    assert found["revenue_day"] == pytest.approx(sum(coin["revenue_day"] for coin in found["coins"]))
    assert found["coins"][0]["blocks_day"] == pytest.approx(9.5e9 * 86400 / (20785580.478287995 * 2**32))


def test_a_fleet_and_a_tariff():
    args = [arg for arg in S21XP if arg not in {"--hashrate", "270TH/s", "--power", "3645W"}]
    args[args.index("0.05")] = "00:00-06:00=0.04,06:00-24:00=0.08"
    found = one(*args, "--rig", "s21xp*10", "--utc-offset", "+1")
    assert (found["count"], found["watts"], found["hashrate"]) == (10, 36450, 2.7e15)
    assert found["electricity"] == pytest.approx(0.07)
    assert found["assumptions"] == ["electricity costs what it does in the mean of the day"]


def test_rigs_of_ones_own(tmp_path):
    path = tmp_path / "rigs.toml"
    path.write_text('[mine]\nalgorithm = "sha256"\nhashrate = "100 TH/s"\npower = "2 kW"\n')
    args = [arg for arg in S21XP if arg not in {"--hashrate", "270TH/s", "--power", "3645W"}]
    assert one(*args, "--rigs", str(path))["rig"] == "mine"
    assert one(*args, "--rigs", str(path), "--rig", "mine*3")["hashrate"] == 3e14
    assert "mine " in call("mine", "--list", "--rigs", str(path)).stdout
    path.write_text("[mine]\nhashrat = 1\n")
    assert "did you mean hashrate" in call("mine", *args, "--rigs", str(path)).stderr


def test_payback():
    found = one(*S21XP, "--payback", "3000", "--difficulty-growth", "2%", "--resale", "300")["payback"]
    assert found["hardware_price"] == 3000
    assert 300 < found["days"] < 700
    text = " ".join(call("mine", *S21XP, "--payback", "3000").stdout.split())
    assert "paid back in" in text
    assert "It is assumed that: - the machine costs 3000" in text


def test_text():
    result = call("mine", *S21XP, "--fee", "2%")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["BTC", "with", "own", "rig"]
    assert ["profit", "+7.10", "USD/day"] in lines
    assert ["power", "cost", "-4.37", "USD/day"] in lines
    assert ["hashprice", "43.37", "USD/PH/s/day"] in lines
    assert ["break-even", "price", "40,759.89", "USD/BTC"] in lines
    assert "\x1b" not in result.stdout


def test_compared_by_given_numbers():
    args = [arg for arg in S21XP if arg not in {"--hashrate", "270TH/s", "--power", "3645W"}]
    found = rows(call("mine", *args, "--rig", "s19pro", "--rig", "s21xp", "--compare", "--json").stdout)
    assert [(row["rank"], row["rig"]) for row in found] == [(1, "s21xp"), (2, "s19pro")]
    lines = call("mine", *args, "--rig", "s19pro", "--rig", "s21xp", "--compare").stdout.splitlines()
    assert lines[1].split()[:4] == ["1", "BTC", "s21xp", "+7.34"]


def test_a_pipe_is_as_wide_as_COLUMNS_says():
    assert max(map(len, call("mine", "--list").stdout.splitlines())) > 80
    assert max(map(len, call("mine", "--list", columns=80).stdout.splitlines())) <= 80


def test_power_that_pays_is_no_cost():
    args = ("BTC", "--calc", "--rig", "s21xp", "--difficulty", "132.7T", "--price", "65000")
    assert "power pays 87.48 USD/day" in " ".join(call("mine", *args, "-e", "-1").stdout.split())
    assert "power cost -87.48 USD/day" in " ".join(call("mine", *args, "-e", "1").stdout.split())


def test_a_misspelt_venue_is_told_those_with_prices():
    told = call("mine", "BTC", "--rig", "s21xp", "-e", "1", "--venue", "nosuch").stderr
    assert "there are binance, coinbase, kraken" in told


def test_list():
    lines = call("mine", "--list").stdout.splitlines()
    assert lines[0].split() == ["id", "name", "algorithm", "hashrate", "power", "efficiency", "date", "source"]
    assert any(
        line.startswith("s21xp ") and line.split()[4:10] == ["SHA-256d", "270", "TH/s", "3,645", "W", "13.5"]
        for line in lines
    )
    found = {row["id"]: row for row in rows(call("mine", "--list", "LTC", "--json").stdout)}
    assert {row["algorithm"] for row in found.values()} == {"Scrypt"}
    assert found["l7"]["coins"] == ["LTC", "DOGE"]


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("args", [["--list"], S21XP, [*S21XP, "--payback", "3000"], [*S21XP, "--compare"]])
def test_a_narrow_terminal(columns, args):
    with Terminal("mine", *args, columns=columns, NO_COLOR="1") as terminal:
        text = terminal.read_until(lambda _: False)
        assert "\x1b" not in text
        assert all(len(line) <= columns for line in text.split("\r\n"))
        if "--payback" in args:
            assert "USD/PH/s/day" in text


BASE = ["--rig", "s21xp", "-e", "0.06"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["BTX", *BASE], "no coin to mine is called 'BTX'; did you mean BTC?"),
        (["BTC", "--rig", "s21x", "-e", "0.06"], "no rig is called 's21x'; did you mean s21xp"),
        (["LTC", *BASE], "no rig given hashes Scrypt, which LTC needs"),
        (["BTC+LTC", *BASE], "one rig cannot mine both"),
        (["BTC", "--rig", "s21xp"], "--electricity is missing"),
        (["BTC", "-e", "0.06"], "which rig?"),
        (BASE, "which coin?"),
        (["BTC", "-e", "0.06", "--hashrate", "1TH/s"], "--power is missing"),
        (["BTC", "-e", "cheap", "--rig", "s21xp"], "electricity price 'cheap' cannot be read"),
        (["BTC", *BASE, "--utc-offset", "+1"], "--utc-offset goes with a price by time of day"),
        (["BTC", *BASE, "--utc-offset", "soon"], "write +1, -5 or +05:30"),
        (["BTC", *BASE, "--fee", "2"], "2 percent are 0.02 or 2%"),
        (["BTC", *BASE, "--scheme", "free"], "--scheme"),
        (["BTC", *BASE, "--source", "mempol"], "did you mean mempool?"),
        (["BTC", *BASE, "--source", "kraken"], "name it with --venue"),
        (["BTC", *BASE, "--venue", "mempool"], "name it with --source"),
        (["BTC", *BASE, "--venue", "krakn"], "did you mean kraken?"),
        (["BTC", *BASE, "--price", "3"], "--price goes with --calc; live, --price-of says which price"),
        (["BTC", *BASE, "--payback", "3"], "--payback goes with --calc"),
        (["BTC", *BASE, "--json", "--text"], "choose one"),
        (["BTC", *BASE, "--pue", "0.5", "--calc", "--difficulty", "1T", "--price", "1"], "PUE 0.5 is below 1"),
        (["LTC", "--rig", "l7", "-e", "0.06", "--sim"], "--sim is for BTC"),
        (["BTC", *BASE, "--calc"], "--calc needs --difficulty"),
        (["BTC", *BASE, "--calc", "--difficulty", "0"], "is not above 0"),
        (["BTC", *BASE, "--calc", "--difficulty", "much"], "106935.5 or 132.7T"),
        (["BTC", *BASE, "--calc", "--difficulty", "1T", "--price", "nan"], "is not a number"),
        (["BTC", *BASE, "--calc", "--difficulty", "1T", "--price", "1", "--sim"], "leave out --sim"),
        (["BTC", *BASE, "--calc", "--difficulty", "1T", "--price", "1", "--venue", "kraken"], "leave out --venue"),
        (["BTC", *BASE, "--calc", "--difficulty", "1T", "--price", "1", "--price", "2"], "given 2 times for BTC"),
        (["BTC", *BASE, "--calc", "--difficulty", "1T", "--price", "1", "--resale", "2"], "go with --payback"),
        ([*S21XP, "--fees", "1"], "leave out --fees and --height"),
        (["BTC", "BCH", *BASE, "--calc", "--difficulty", "1T", "--price", "1"], "--calc computes one coin"),
        (["ZEC", "--calc", "--rig", "z15", "-e", "1", "--difficulty", "1", "--price", "1", "--height", "5"], "653600"),
        (["BTC", "--income", "-"], "leave them out"),
        (["BTC", "--rig", "s21xp", "-e", "1e300", "--sim"], "electricity price '1e300' is not a number of a currency"),
        (["BTC", *BASE, "--calc", "--difficulty", "1T", "--price", "1", "--fees", "1e300"], "more than can be"),
        (["BTC", *BASE, "--calc", "--difficulty", "1", "--price", "1e300", "--fees", "1e6"], "more than can be"),
        (["BTC", *BASE, "--calc", "--difficulty", "1T", "--price", "1e6", "--payback", "1e-300"], "more than"),
    ],
)
def test_what_cannot_be(args, words):
    result = call("mine", *args)
    assert result.exit_code == _exit.USAGE
    assert words in result.stderr
    assert result.stdout == ""


def test_help():
    text = call("mine", "--help").stdout
    assert "Rigs:\n  --rig ID" in text
    assert text.count("--difficulty D") == 1
    assert max(map(len, text.splitlines())) <= 84  # examples are not wrapped


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1,234.50"), (-0.0, "0.00"), (0.06, "0.06000"), (0.00041234, "0.0004123"), (None, "-"), (-3, "-3.00")],
)
def test_money(value, text):
    assert money(value) == text


def test_numbers():
    assert fixed(-0.001, 2, signed=True) == "0.00"
    assert (digits_of(None, 0.0), digits_of(0.5, 120.0), digits_of(0.0123)) == (2, 2, 5)
    assert si(132716002350731.27) == "132.72 T"
    assert [span(s) for s in (0, 40, 3600, 90_000, 31_557_600 * 2 + 86_400)] == [
        "0 s",
        "40 s",
        "1 h",
        "1 d 1 h",
        "2 y 1 d",
    ]
    assert (chance(0), chance(1), chance(0.00386), chance(1e-9)) == ("0 %", "over 99.99 %", "0.386 %", "1 in 1e+09")


def test_json_holds_no_infinity():
    found = one(*[arg if arg != "3.1445" else "0" for arg in S21XP])
    assert found["breakeven_price"] is None
    json.dumps(found, allow_nan=False)
