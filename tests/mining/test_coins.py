"""The coin table, and coins as people name them."""

import pytest

from marketfeed.errors import ConfigError
from marketfeed.mining.coins import COINS, algorithm, coin, parse_coins


@pytest.mark.parametrize(
    ("code", "name", "k", "block_time_s", "unit"),
    [
        ("BTC", "SHA-256d", 4294967296, 600, "TH/s"),
        ("BCH", "SHA-256d", 4294967296, 600, "TH/s"),
        ("LTC", "Scrypt", 4294967296, 150, "MH/s"),
        ("DOGE", "Scrypt", 4294967296, 60, "MH/s"),
        ("DASH", "X11", 4294967296, 150, "GH/s"),
        ("ZEC", "Equihash", 8192.015625, 75, "kSol/s"),
        ("RVN", "KawPow", 4294967296, 60, "MH/s"),
        ("ETC", "Etchash", 1, 13, "MH/s"),
        ("XMR", "RandomX", 1, 120, "kH/s"),
        ("KAS", "kHeavyHash", 2, 0.1, "TH/s"),
    ],
)
def test_the_table_of_1_2(code: str, name: str, k: float, block_time_s: float, unit: str) -> None:
    one = coin(code)
    assert one.code == code
    assert one.algorithm == name
    assert one.hashes_per_difficulty == pytest.approx(k, rel=1e-9)
    assert (one.block_time_s, one.hash_unit) == (block_time_s, unit)


def test_ten_coins_and_their_base_units() -> None:
    odd = {code: one.base_units for code, one in COINS.items() if one.base_units != 10**8}
    assert len(COINS) == 10
    assert odd == {"ETC": 10**18, "XMR": 10**12}


def test_names_are_read_as_people_type_them() -> None:
    assert coin(" btc ") is COINS["BTC"]
    assert [one.code for one in parse_coins("doge + ltc")] == ["LTC", "DOGE"]
    assert [one.code for one in parse_coins("LTC+DOGE")] == ["LTC", "DOGE"]
    assert parse_coins("kas") == (COINS["KAS"],)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DOG", "did you mean DOGE"),
        ("SOL", "there are BTC, BCH, LTC"),
        ("", "there are BTC"),
    ],
)
def test_an_unknown_coin_is_refused_with_the_nearest(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        coin(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LTC+BTC", "LTC is mined with Scrypt and BTC with SHA-256d"),
        ("BTC+BCH", "do not accept each other's work"),
        ("LTC+LTC", "twice"),
        ("LTC+", "no coin"),
    ],
)
def test_coins_that_cannot_be_mined_together_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_coins(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("sha256", "SHA-256d"), ("SHA-256d", "SHA-256d"), ("equihash 200,9", "Equihash"), ("etchash", "Etchash")],
)
def test_algorithms_are_read_as_people_type_them(text: str, name: str) -> None:
    assert algorithm(text) == name


def test_an_unknown_algorithm_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean etchash.*there are SHA-256d, Scrypt"):
        algorithm("ethash")
