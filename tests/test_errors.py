"""One tree of errors, each with its data as attributes."""

import pytest

from marketfeed import errors
from marketfeed.errors import (
    BookNotTrusted,
    ConfigError,
    ConsumerTooSlow,
    MarketFeedError,
    MissingExtra,
    NotLive,
    RecordingError,
    TransportError,
    UnknownSymbol,
    UnknownVenue,
    VenueError,
    nearest,
)

TREE = {
    ConfigError: MarketFeedError,
    UnknownVenue: ConfigError,
    UnknownSymbol: ConfigError,
    MissingExtra: ConfigError,
    VenueError: MarketFeedError,
    NotLive: VenueError,
    TransportError: MarketFeedError,
    RecordingError: MarketFeedError,
    BookNotTrusted: MarketFeedError,
    ConsumerTooSlow: MarketFeedError,
}


@pytest.mark.parametrize(("error", "parent"), TREE.items(), ids=lambda e: e.__name__)
def test_the_tree_is_as_drawn(error: type[Exception], parent: type[Exception]) -> None:
    assert error.__bases__[0] is parent
    assert f" {error.__name__}" in str(errors.__doc__)


def test_every_error_is_in_the_tree() -> None:
    made_here = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)}
    assert made_here == {*TREE, MarketFeedError}


def test_a_mistake_in_a_call_is_also_a_value_error() -> None:
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnknownVenue("krakn", ["kraken", "binance"]), "no venue is called 'krakn'; did you mean kraken?"),
        (UnknownVenue("zzz", ["kraken", "binance"]), "no venue is called 'zzz'; there are binance, kraken"),
        (UnknownSymbol("kraken", "BTC-USS", ["BTC-USD", "XX-YY"]), "kraken has no BTC-USS; did you mean BTC-USD?"),
        (UnknownSymbol("kraken", "Q-Q", []), "kraken has no Q-Q"),
        (MissingExtra("the recorder", "parquet"), "the recorder needs an optional package: pip install"),
        (NotLive({"a:B-C:book": "connecting", "a:B-C:trades": "no data"}), "a:B-C:book (connecting); a:B-C:trades"),
        (BookNotTrusted("a:B-C:book", "void", "gap"), "book a:B-C:book is void: gap"),
        (BookNotTrusted("a:B-C:book", "unsynced", ""), "book a:B-C:book is unsynced"),
        (TransportError("refused"), "refused"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else "",
)
def test_the_message_says_what_is_wrong_and_what_to_do(error: Exception, words: str) -> None:
    assert words in str(error)


def test_data_is_in_attributes() -> None:
    unknown = UnknownVenue("x", ["b", "a"])
    assert (unknown.name, unknown.known) == ("x", ["a", "b"])
    assert (UnknownSymbol("v", "S-T", []).venue, UnknownSymbol("v", "S-T", []).symbol) == ("v", "S-T")
    assert MissingExtra("x", "fast").extra == "fast"
    assert NotLive({"s": "w"}).waiting == {"s": "w"}
    refused = TransportError("no", status=429, retry_after_s=3.0, fatal=True)
    assert (refused.status, refused.retry_after_s, refused.fatal) == (429, 3.0, True)
    plain = TransportError("no")
    assert (plain.status, plain.retry_after_s, plain.fatal) == (0, None, False)
    book = BookNotTrusted("n", "void", "r")
    assert (book.name, book.state, book.reason) == ("n", "void", "r")


def test_nearest_names_up_to_three() -> None:
    assert nearest("BTC-USD", ["BTC-USDT", "BTC-USDC", "BTC-EUR"]).startswith("; did you mean BTC-USD")
    assert nearest("q", ["BTC-USDT"]) == ""
