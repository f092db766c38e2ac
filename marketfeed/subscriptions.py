"""What a user can ask for: a channel of a symbol at a venue."""

from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from msgspec import Struct

from .errors import ConfigError
from .symbols import parse_coin_name, parse_name

Channel = Literal["trades", "ticker", "book", "chain"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
"""The last, `chain`, is of coins (`mempool:BTC`), the others are of markets (`kraken:BTC-USD`)."""


class Subscription(Struct, frozen=True, order=True):
    """One stream, named `venue:symbol:channel`.

    `depth` is the number of levels a side of a book, 0 for the deepest the venue offers; other channels have 0.
    """

    venue: str
    symbol: str
    channel: Channel
    depth: int = 0

    @property
    def name(self) -> str:
        """`kraken:BTC-USD:book`; the depth is not part of a stream's name."""
        return f"{self.venue}:{self.symbol}:{self.channel}"


def expand(
    names: Iterable[str],
    *,
    venue: str = "",
    trades: bool = False,
    ticker: bool = False,
    book: bool | int = False,
    chain: bool = False,
) -> Iterator[Subscription]:
    """The subscriptions of names as people type them and the channels asked for.

    `book` is True for full depth or a number of levels a side. Raises ConfigError where a name is not one, and where
    no name is given or no channel is asked for.
    """
    depth = 0 if isinstance(book, bool) else book
    if depth < 0:
        raise ConfigError(f"book={depth}: a depth is a positive number of levels a side")
    asked = [c for c, wanted in zip(CHANNELS, (trades, ticker, book is not False, chain), strict=True) if wanted]
    if not asked:
        raise ConfigError("nothing to subscribe to; ask for trades=True, ticker=True, book=True or chain=True")
    names = list(names)
    if not names:
        raise ConfigError("no name to subscribe to; give a market or a coin, as in kraken:BTC-USD or mempool:BTC")
    for name in names:
        for channel in asked:
            at, symbol = (parse_coin_name if channel == "chain" else parse_name)(name, venue)
            yield Subscription(at, symbol, channel, depth if channel == "book" else 0)
