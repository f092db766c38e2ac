"""What a user can set for a venue, and what is refused."""

import pytest

from marketfeed.errors import ConfigError
from marketfeed.settings import VenueSettings
from marketfeed.venues._spec import Endpoints

DEFAULT = Endpoints(ws="wss://venue.example/feed", rest="https://venue.example")


def test_what_is_not_set_is_the_venue_s_own() -> None:
    assert VenueSettings().endpoints(DEFAULT) == DEFAULT
    mixed = VenueSettings(rest="https://mirror.example").endpoints(DEFAULT)
    assert mixed == Endpoints(ws=DEFAULT.ws, rest="https://mirror.example")


def test_a_slash_at_the_end_changes_nothing() -> None:
    settings = VenueSettings(ws="wss://mirror.example/v2/", rest="https://mirror.example//")
    assert settings.endpoints(DEFAULT) == Endpoints(ws="wss://mirror.example/v2", rest="https://mirror.example")


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:1", "127.9.9.9", "[::1]:1"])
def test_plain_text_is_allowed_on_loopback(host: str) -> None:
    settings = VenueSettings(ws=f"ws://{host}/x", rest=f"http://{host}")
    assert settings.endpoints(DEFAULT) == Endpoints(ws=f"ws://{host}/x", rest=f"http://{host}")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (VenueSettings(ws="ws://venue.example"), "use wss://"),
        (VenueSettings(rest="http://venue.example"), "use https://"),
        (VenueSettings(ws="ws://127.0.0.1.venue.example"), "not encrypted"),
        (VenueSettings(ws="https://venue.example"), "must begin with wss://"),
        (VenueSettings(rest="wss://venue.example"), "must begin with https://"),
        (VenueSettings(ws="venue.example"), "begins with wss://"),
        (VenueSettings(rest="https://"), "without a host"),
        (VenueSettings(rest="https://venue.example:99999"), "malformed"),
        (VenueSettings(ws="wss://user:secret@venue.example"), "user name"),
    ],
)
def test_a_url_that_may_not_be_used_is_refused_with_what_to_write(settings: VenueSettings, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        settings.endpoints(DEFAULT)
    assert "secret" not in str(caught.value)
