"""What can be asked for."""

import pytest

from marketfeed.errors import ConfigError
from marketfeed.subscriptions import CHANNELS, Subscription, expand


def test_a_stream_is_named_without_its_depth() -> None:
    assert Subscription("kraken", "BTC-USD", "book", 10).name == "kraken:BTC-USD:book"
    assert CHANNELS == ("trades", "ticker", "book", "chain")


def test_names_and_channels_multiply() -> None:
    asked = list(expand(["kraken:btc/usd", "eth-usd"], venue="coinbase", trades=True, ticker=True, book=True))
    assert asked == [
        Subscription("kraken", "BTC-USD", "trades"),
        Subscription("kraken", "BTC-USD", "ticker"),
        Subscription("kraken", "BTC-USD", "book", 0),
        Subscription("coinbase", "ETH-USD", "trades"),
        Subscription("coinbase", "ETH-USD", "ticker"),
        Subscription("coinbase", "ETH-USD", "book", 0),
    ]


@pytest.mark.parametrize(("book", "depth"), [(True, 0), (10, 10), (1, 1), (0, 0)])
def test_a_book_has_a_depth_and_other_channels_have_none(book: bool | int, depth: int) -> None:
    assert [s.depth for s in expand(["k:A-B"], trades=True, book=book)] == [0, depth]


def test_streams_sort_by_venue_symbol_and_channel() -> None:
    streams = [*expand(["k:B-C", "a:B-C", "k:A-C"], trades=True, book=5)]
    assert [s.name for s in sorted(streams)] == [
        "a:B-C:book",
        "a:B-C:trades",
        "k:A-C:book",
        "k:A-C:trades",
        "k:B-C:book",
        "k:B-C:trades",
    ]


@pytest.mark.parametrize(
    ("names", "asked", "words"),
    [
        (["k:A-B"], {}, "nothing to subscribe to"),
        ([], {"trades": True}, "no name to subscribe to; give a market or a coin, as in kraken:BTC-USD or mempool:BTC"),
        (["k:A-B"], {"book": -1}, "depth is a positive number"),
        (["A-B"], {"trades": True}, "names no venue"),
        (["k:A"], {"trades": True}, "not a symbol"),
    ],
)
def test_what_cannot_be_asked_is_refused(names: list[str], asked: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        list(expand(names, **asked))
