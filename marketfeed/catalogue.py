"""The venues there are: name to module, loaded when asked; others join through the entry points `marketfeed.venues`."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from .errors import ConfigError, UnknownVenue
from .venues._spec import Venue

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUILT_IN = {
    "binance": "marketfeed.venues.binance",
    "coinbase": "marketfeed.venues.coinbase",
    "kraken": "marketfeed.venues.kraken",
}
DEFAULT_VENUE = "coinbase"
GROUP = "marketfeed.venues"


def _points() -> "Iterable[EntryPoint]":
    from importlib.metadata import entry_points  # noqa: PLC0415 # a fifth of what `import marketfeed` may cost

    return entry_points(group=GROUP)


def names() -> list[str]:
    """Names of all venues installed, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in _points())})


@cache
def venue(name: str) -> Venue:
    """The venue of that name. Raises UnknownVenue with the nearest names."""
    if name in BUILT_IN:
        found = import_module(BUILT_IN[name]).VENUE
    else:
        points = [point for point in _points() if point.name == name]
        if not points:
            raise UnknownVenue(name, names())
        found = points[0].load()
    if not isinstance(found, Venue):
        raise ConfigError(f"what is installed as venue {name!r} is not a Venue")
    return found
