"""The venues there are, found by name, loaded when asked."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest

from marketfeed import catalogue
from marketfeed.errors import ConfigError, UnknownVenue
from marketfeed.venues._spec import Venue

from . import toy


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A venue that another package has installed."""
    module = ModuleType("somebody_elses")
    module.VENUE = toy.venue()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somebody_elses", module)
    point = EntryPoint("elsewhere", "somebody_elses:VENUE", catalogue.GROUP)
    points = EntryPoints([point])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points.select(group=group))
    catalogue.venue.cache_clear()
    yield "elsewhere"
    catalogue.venue.cache_clear()


def test_the_built_in_venues() -> None:
    assert {"binance", "coinbase", "kraken"} <= set(catalogue.names())
    assert catalogue.names() == sorted(catalogue.names())
    assert catalogue.DEFAULT_VENUE in catalogue.names()


@pytest.mark.parametrize("name", catalogue.BUILT_IN)
def test_a_venue_has_the_name_it_is_found_by(name: str) -> None:
    venue = catalogue.venue(name)
    assert isinstance(venue, Venue)
    assert venue.name == name
    assert catalogue.venue(name) is venue
    own_node = venue.endpoints.rest.startswith("http://127.0.0.1:")
    assert venue.endpoints.ws.startswith("wss://") or (venue.coins and not venue.endpoints.ws)
    assert venue.endpoints.rest.startswith("https://") or own_node
    assert ("chain" in venue.channels) == bool(venue.coins)
    assert not venue.endpoints.ws.endswith("/")


@pytest.mark.parametrize(
    ("name", "words"),
    [("krakn", "did you mean kraken"), ("", "there are bchn, binance, bitcoind"), ("Kraken!", "did you mean kraken")],
)
def test_an_unknown_venue_is_refused_with_the_nearest(name: str, words: str) -> None:
    with pytest.raises(UnknownVenue, match=words):
        catalogue.venue(name)


def test_venues_join_by_entry_point(plugin: str) -> None:
    assert plugin in catalogue.names()
    assert catalogue.venue(plugin).title == "Toy"


def test_what_is_no_venue_does_not_join(plugin: str) -> None:
    sys.modules["somebody_elses"].VENUE = "a text"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="is not a Venue"):
        catalogue.venue(plugin)
