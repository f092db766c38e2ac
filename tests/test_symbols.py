"""Names as people type them, and as venues must not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.errors import ConfigError
from marketfeed.symbols import MAX_NAME, canonical, parse_coin_name, parse_name, parse_symbol

HOSTILE = [
    "BTC-\x1b[31mUSD",
    "BTC\n-USD",
    "BTC-USD\n",
    "BTC-U\u202eSD",
    "../etc-USD",
    "A" * 10_000 + "-USD",
    "BTC-USD\x00",
    "\u017fOL-USD",  # upper() makes an ASCII S of it
    "\ufb01L-USD",  # and FI of this
    "BTC-\u0661",
    "",
    "-",
    "BTC",
    "BTC-",
    "BTC--USD",
    "A-B-C-D-E",
    "BTC USD",
]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("BTC-USD", "BTC-USD"),
        ("btc-usd", "BTC-USD"),
        ("btc/usd", "BTC-USD"),
        ("BTC_USD", "BTC-USD"),
        ("  eth-usdt \n", "ETH-USDT"),
        ("btc-usdt-perp", "BTC-USDT-PERP"),
        ("BTC-USD-20261225", "BTC-USD-20261225"),
        ("1INCH-USD", "1INCH-USD"),
    ],
)
def test_names_are_read_as_people_type_them(typed: str, name: str) -> None:
    assert parse_symbol(typed) == name


@pytest.mark.parametrize("text", [t for t in HOSTILE if t.strip() != "BTC-USD"], ids=ascii)
def test_P33_what_cannot_be_a_name_is_refused_in_few_words(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_symbol(text)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("typed", "venue", "result"),
    [
        ("kraken:BTC-USD", "", ("kraken", "BTC-USD")),
        (" Kraken:btc/usd ", "coinbase", ("kraken", "BTC-USD")),
        ("btc-usd", "coinbase", ("coinbase", "BTC-USD")),
        ("coinapi.binance:btc-usdt", "", ("coinapi.binance", "BTC-USDT")),
    ],
)
def test_a_venue_stands_before_the_colon(typed: str, venue: str, result: tuple[str, str]) -> None:
    assert parse_name(typed, venue) == result


@pytest.mark.parametrize(
    "text", ["BTC-USD", "kra ken:BTC-USD", ":BTC-USD", "a.b.c:BTC-USD", "1x:BTC-USD", "kraken:", "k:b"]
)
def test_a_name_without_a_sane_venue_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_name(text)


def test_a_missing_venue_is_said_with_the_name_to_write() -> None:
    with pytest.raises(ConfigError, match="write VENUE:BTC-USD"):
        parse_name("btc/usd")


def test_canonical_joins_a_venues_codes() -> None:
    assert canonical("btc", "usd") == "BTC-USD"


@pytest.mark.parametrize("text", [t for t in HOSTILE if t.count("-") == 1], ids=ascii)
def test_P33_hostile_codes_never_become_names(text: str) -> None:
    base, quote = text.split("-")
    with pytest.raises(ValueError, match="not a symbol"):
        canonical(base, quote)


@given(st.text(max_size=80), st.text(max_size=8))
def test_P33_canonical_gives_ascii_names_from_ascii_codes_or_refuses(base: str, quote: str) -> None:
    try:
        name = canonical(base, quote)
    except ValueError:
        return
    assert name == f"{base}-{quote}".upper()
    assert (base + quote).isascii()
    assert len(name) <= MAX_NAME
    assert parse_symbol(name) == name


@given(st.text(max_size=80))
def test_parsing_twice_changes_nothing(text: str) -> None:
    try:
        name = parse_symbol(text)
    except ConfigError:
        return
    assert name.isascii()
    assert parse_symbol(name) == name


@pytest.mark.parametrize(
    ("text", "venue", "name"),
    [
        ("mempool:BTC", "", ("mempool", "BTC")),
        ("Mempool:btc", "", ("mempool", "BTC")),
        ("btc", "kaspa", ("kaspa", "BTC")),
    ],
)
def test_a_coins_chain(text: str, venue: str, name: tuple[str, str]) -> None:
    assert parse_coin_name(text, venue) == name


@pytest.mark.parametrize("text", ["BTC", "mempool:BTC-USD", "mempool:", ":BTC", "mem pool:BTC", "mempool:\u212a", ""])
def test_what_is_no_coins_chain(text: str) -> None:
    with pytest.raises(ConfigError, match="write SOURCE:COIN, as in mempool:BTC"):
        parse_coin_name(text)
