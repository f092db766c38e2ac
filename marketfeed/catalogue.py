"""The venues there are: name to module, loaded when asked; others join through the entry points `marketfeed.venues`."""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from .errors import UnknownVenue
from .venues._spec import Venue

BUILT_IN = {
    "binance": "marketfeed.venues.binance",
    "coinbase": "marketfeed.venues.coinbase",
    "kraken": "marketfeed.venues.kraken",
}
DEFAULT_VENUE = "coinbase"
GROUP = "marketfeed.venues"


def names() -> list[str]:
    """Names of all venues installed, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


@cache
def venue(name: str) -> Venue:
    """The venue of that name. Raises UnknownVenue with the nearest names."""
    if name in BUILT_IN:
        found = import_module(BUILT_IN[name]).VENUE
    else:
        points = [point for point in entry_points(group=GROUP) if point.name == name]
        if not points:
            raise UnknownVenue(name, names())
        found = points[0].load()
    assert isinstance(found, Venue), f"{name} is not a Venue"
    return found
