"""Names of markets: `BTC-USD`, derivatives `BTC-USDT-PERP` and `BTC-USD-20261225`, in text `venue:symbol:channel`.

A chain has its coin's name: `mempool:BTC`.
"""

import re

from .errors import ConfigError

_SYMBOL = re.compile(r"[A-Z0-9]{1,24}(-[A-Z0-9]{1,24}){1,3}")
_COIN = re.compile(r"[A-Z0-9]{1,24}")
_VENUE = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31})?")
MAX_NAME = 64


def parse_symbol(text: str) -> str:
    """The canonical name of what people type: `btc/usd`, `BTC_USD` and `btc-usd` are `BTC-USD`.

    Raises ConfigError where the text cannot be a name.
    """
    name = text.strip().upper().replace("/", "-").replace("_", "-")
    if not _named(text, name):
        raise ConfigError(f"{text[:MAX_NAME]!r} is not a symbol; write BASE-QUOTE, as in BTC-USD")
    return name


def parse_name(text: str, venue: str = "") -> tuple[str, str]:
    """(venue, symbol) of `kraken:BTC-USD`; a name without a venue gets `venue`.

    Raises ConfigError where the text is no name, or has no venue and none is given.
    """
    head, colon, tail = text.strip().partition(":")
    if not colon:
        if not venue:
            raise ConfigError(f"{text[:MAX_NAME]!r} names no venue; write VENUE:{parse_symbol(head)}")
        return venue, parse_symbol(head)
    if not _VENUE.fullmatch(head.lower()):
        raise ConfigError(f"{head[:MAX_NAME]!r} is not a venue's name")
    return head.lower(), parse_symbol(tail)


def parse_coin_name(text: str, venue: str = "") -> tuple[str, str]:
    """(source, coin) of `mempool:BTC`, a stream of the channel "chain"; a name without a source gets `venue`.

    Raises ConfigError where the text is no such name.
    """
    head, colon, tail = text.strip().partition(":")
    source, coin = (head.lower(), tail.upper()) if colon else (venue, head.upper())
    if not (_VENUE.fullmatch(source) and text.isascii() and _COIN.fullmatch(coin)):
        raise ConfigError(f"{text[:MAX_NAME]!r} is not a coin's chain; write SOURCE:COIN, as in mempool:BTC")
    return source, coin


def canonical(base: str, quote: str) -> str:
    """`BASE-QUOTE` from a venue's own codes.

    Raises ValueError where a code holds anything but ASCII letters and digits: such names never enter (P33).
    """
    name = f"{base.upper()}-{quote.upper()}"
    if not _named(base + quote, name):
        raise ValueError(f"not a symbol: {name[:MAX_NAME]!r}")
    return name


def _named(text: str, name: str) -> bool:
    # upper() turns some foreign letters into ASCII ones, so the text itself is looked at too
    return text.isascii() and len(name) <= MAX_NAME and _SYMBOL.fullmatch(name) is not None
