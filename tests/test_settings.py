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
        (VenueSettings(proxy="user:secret@proxy.example:3128"), "is not the URL of a proxy: write http://HOST"),
        (VenueSettings(proxy="http://user:secret@proxy.example:99999"), "is not the URL of a proxy"),
        (VenueSettings(proxy=""), "is not the URL of a proxy"),
    ],
)
def test_a_url_that_may_not_be_used_is_refused_with_what_to_write(settings: VenueSettings, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        settings.endpoints(DEFAULT)
    assert "secret" not in str(caught.value)


def test_G13_settings_are_shown_without_the_password_of_a_proxy() -> None:
    shown = repr(VenueSettings(rest="https://mirror.example", proxy="http://user:se@cret@proxy.example:3128"))
    assert "proxy='...@proxy.example:3128'" in shown
    assert "rest='https://mirror.example'" in shown
    assert "cret@" not in shown
    assert "'http://proxy.example:3128'" in repr(VenueSettings(proxy="http://proxy.example:3128"))
