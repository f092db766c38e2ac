"""What a capture without reference data lets us say about its instruments: names and digits."""

from __future__ import annotations

import re
from decimal import Decimal

from marketfeed.errors import ConfigError

from .instruments import SimInstrument

# Known quote currencies of Binance, for splitting names such as BTCUSDT where no exchangeInfo tells.
# The longest that fits wins: BTCFDUSD is BTC-FDUSD, not BTCFD-USD.
_QUOTES = (
    "USDT USDC FDUSD BUSD TUSD USDP USD1 USDS UST PAX DAI BTC ETH BNB XRP TRX DOGE SOL DOT VAI BIDR IDRT BKRW "
    "USD EUR GBP AUD BRL TRY RUB UAH NGN ZAR PLN RON ARS MXN COP CZK JPY IDR"
)
QUOTES = sorted(_QUOTES.split(), key=len, reverse=True)
_NUMBER = r'"?(\d+(?:\.\d+)?)"?'
_PAIRS = re.compile(
    rf'(?:"price":{_NUMBER},"(?:qty|size)":|"price_level":{_NUMBER},"new_quantity":|"p":{_NUMBER},"q":'
    rf'|"b":{_NUMBER},"B":|"a":{_NUMBER},"A":|\[{_NUMBER},){_NUMBER}'
)
"""A price followed by its size, in the words of each venue."""


class Digits:
    """The most digits after the point seen in the prices and sizes of one symbol.

    `padded`: zeros at the end of eight digits say nothing (Binance writes them; Kraken's are the precision).
    """

    def __init__(self, *, padded: bool) -> None:
        self._padded = padded
        self.price = self.size = 0
        self.sample = ""

    def see(self, raw: str) -> None:
        """Look at a frame."""
        for *prices, size in _PAIRS.findall(raw):
            price = next(filter(None, prices))
            self.price = max(self.price, self._count(price))
            self.size = max(self.size, self._count(size))
            self.sample = self.sample or price

    def _count(self, number: str) -> int:
        tail = number.partition(".")[2]
        return len(tail.rstrip("0") if self._padded and len(tail) == 8 else tail)

    def instrument(self, venue: str, name: str) -> SimInstrument:
        """The instrument as far as the digits tell; Kraken's numbers show their zeros, the others' are cut."""
        base, quote = split_name(venue, name)
        start = Decimal(self.sample or "1")
        return SimInstrument(base, quote, Decimal(1).scaleb(-self.price), Decimal(1).scaleb(-self.size), start)


def split_name(venue: str, name: str) -> tuple[str, str]:
    """Base and quote of a venue's name; `ConfigError` where no known quote ends it."""
    for mark in "/-":
        if mark in name:
            base, _, quote = name.partition(mark)
            return base, quote
    for quote in QUOTES:
        if name.endswith(quote) and len(name) > len(quote):
            return name.removesuffix(quote), quote
    raise ConfigError(f"{venue}: {name} ends in no quote currency that is known")
