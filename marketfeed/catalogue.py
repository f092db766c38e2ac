"""The venues there are: name to module, loaded when asked; others join through the entry points `marketfeed.venues`."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from .errors import ConfigError, UnknownVenue
from .subscriptions import Subscription
from .venues._spec import Venue

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUILT_IN = {
    "binance": "marketfeed.venues.binance",
    "coinbase": "marketfeed.venues.coinbase",
    "kraken": "marketfeed.venues.kraken",
    "bitcoind": "marketfeed.venues.bitcoind:BITCOIND",
    "litecoind": "marketfeed.venues.bitcoind:LITECOIND",
    "dogecoind": "marketfeed.venues.bitcoind:DOGECOIND",
    "bchn": "marketfeed.venues.bitcoind:BCHN",
    "dashd": "marketfeed.venues.bitcoind:DASHD",
    "zcashd": "marketfeed.venues.bitcoind:ZCASHD",
    "ravend": "marketfeed.venues.bitcoind:RAVEND",
    "monerod": "marketfeed.venues.monerod",
    "geth": "marketfeed.venues.geth",
    "mempool": "marketfeed.venues.mempool",
    "litecoinspace": "marketfeed.venues.mempool:LITECOINSPACE",
    "kaspa": "marketfeed.venues.kaspa",
    "blockchair": "marketfeed.venues.blockchair",
    "blockchaininfo": "marketfeed.venues.blockchaininfo",
    "whattomine": "marketfeed.venues.whattomine",
}
"""Module of each, and the record's name in it where that is not VENUE. Of a coin's chain the first is trusted most."""
DEFAULT_VENUE = "coinbase"
GROUP = "marketfeed.venues"


def _points() -> "Iterable[EntryPoint]":
    from importlib.metadata import entry_points  # noqa: PLC0415 # a fifth of what `import marketfeed` may cost

    return entry_points(group=GROUP)


def names() -> list[str]:
    """Names of all venues installed, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in _points())})


def markets() -> list[str]:
    """Names of the venues that have markets, and not chains, sorted."""
    return [name for name in names() if not venue(name).coins]


def check(subscription: Subscription) -> None:
    """Raise ConfigError where a stream's venue is unknown or has no such channel."""
    found = venue(subscription.venue)
    if subscription.channel not in found.channels:
        serves = ", ".join(found.channels)
        hint = f" of {', '.join(found.coins)}" if found.coins else ""
        raise ConfigError(f"{found.name} has no {subscription.channel!r}; it serves {serves}{hint}")


def chain_sources(coin: str) -> list[Venue]:
    """Sources of a coin's chain, the most trusted first: own nodes, then public ones."""
    return [found for name in (*BUILT_IN, *(p.name for p in _points())) if coin in (found := venue(name)).coins]


@cache
def venue(name: str) -> Venue:
    """The venue of that name. Raises UnknownVenue with the nearest names."""
    if name in BUILT_IN:
        module, _, record = BUILT_IN[name].partition(":")
        found = getattr(import_module(module), record or "VENUE")
    else:
        points = [point for point in _points() if point.name == name]
        if not points:
            raise UnknownVenue(name, names())
        found = points[0].load()
    if not isinstance(found, Venue):
        raise ConfigError(f"what is installed as venue {name!r} is not a Venue")
    return found
