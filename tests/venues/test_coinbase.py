"""Coinbase Advanced Trade as its protocol sheet has it: what it sends, what we make of it, what we ask."""

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketfeed.events import (
    BookDelta,
    BookSnapshot,
    BookVoid,
    Gap,
    Malformed,
    Refused,
    SchemaDrift,
    Ticker,
    Trade,
    VenueStatus,
)
from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import Request
from marketfeed.venues.coinbase import MAX_OLD, VENUE, instruments, instruments_requests

from .conftest import Play, Talk
from .numbers import BEYOND, NO_IDS, NO_NUMBERS, NOT_POSITIVE, SOUND, TINY, UNDERFLOW

HERE = Path(__file__).parent / "coinbase"
MODES = pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
NOW = "2026-04-07T14:30:02.789012Z"
Begin = Callable[..., Talk]


@pytest.fixture
def begin(talk: type[Talk]) -> Begin:
    def start(*names: str, **options: Any) -> Talk:
        begun = talk(VENUE, *(names or ("BTC-USD",)), **options).open()
        begun.take()
        return begun

    return start


def say(number: int, channel: str, *events: Any, **fields: Any) -> dict[str, Any]:
    frame = {"channel": channel, "client_id": "", "timestamp": NOW, "sequence_num": number, "events": list(events)}
    return frame | fields


def book(number: int, kind: str = "update", product: str = "BTC-USD", rows: Any = None) -> dict[str, Any]:
    rows = [("bid", "100", "1"), ("offer", "101", "2")] if rows is None else rows
    updates = [{"side": s, "event_time": NOW, "price_level": p, "new_quantity": q} for s, p, q in rows]
    return say(number, "l2_data", {"type": kind, "product_id": product, "updates": updates})


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "trade_id": str(number),
        "product_id": "BTC-USD",
        "price": "100.5",
        "size": "0.5",
        "side": "BUY",
        "time": NOW,
    } | fields


def trades(number: int, *rows: Any, kind: str = "update") -> dict[str, Any]:
    return say(number, "market_trades", {"type": kind, "trades": list(rows)})


def ticker(number: int, **fields: Any) -> dict[str, Any]:
    known = {"type": "ticker", "product_id": "BTC-USD", "price": "100", "volume_24_h": "7", "best_bid": "99"}
    return say(number, "ticker", {"type": "update", "tickers": [known | fields]})


def beat(number: int) -> dict[str, Any]:
    return say(number, "heartbeats", {"current_time": "2026-04-07 14:30:10 +0000 UTC m=+1.5", "heartbeat_counter": 42})


def listing(number: int, **channels: Any) -> dict[str, Any]:
    return say(number, "subscriptions", {"subscriptions": channels})


def with_number(frame: dict[str, Any], text: str) -> str:
    """The frame with a piece of JSON in place of its "?"."""
    return json.dumps(frame).replace('"?"', text)


def kinds(talk: Talk) -> list[str]:
    return [type(e).__name__ for e in talk.take()]


# What it sends


@pytest.mark.parametrize("channel", ["trades", "ticker", "book"])
def test_frames_give_these_events(begin: Begin, play: Play, channel: str) -> None:
    play(begin(channels=(channel,)), HERE / channel)


def test_the_side_of_a_trade_is_the_makers(begin: Begin) -> None:
    talk = begin().frame(trades(0, row(1, side="BUY"), row(2, side="SELL")))
    assert [e.side for e in talk.take() if isinstance(e, Trade)] == ["sell", "buy"]


def test_trades_come_newest_first_and_leave_in_order(begin: Begin) -> None:
    talk = begin().frame(trades(0, row(12), row(11), row(10)))
    assert [e.id for e in talk.take() if isinstance(e, Trade)] == ["10", "11", "12"]


def test_history_is_not_news(begin: Begin) -> None:
    talk = begin("BTC-USD", "ETH-USD")
    eth = row(7, product_id="ETH-USD")
    talk.frame(trades(0, row(12), eth, row(11), row(99, product_id="XRP-USD"), kind="snapshot"))
    assert talk.take() == []
    talk.frame(trades(1, row(13), row(8, product_id="ETH-USD")))
    assert kinds(talk) == ["Trade", "Trade"]


def test_P14_history_after_a_new_subscription_shows_what_was_missed(begin: Begin) -> None:
    talk = begin().frame(trades(0, row(10)), trades(1, row(14), row(13), kind="snapshot"))
    _, gap = talk.take()
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.from_seq, gap.to_seq) == ("trade ids", 11, 14)


def test_what_a_ticker_lacks_is_none(begin: Begin) -> None:
    talk = begin().frame(
        ticker(0, best_bid="", volume_24_h="", price="0"), ticker(1, best_ask="", best_ask_quantity="")
    )
    first, second = talk.take()
    assert isinstance(first, Ticker)
    assert isinstance(second, Ticker)
    assert (first.bid, first.volume_24h, first.last, first.ask) == (None, None, None, None)
    assert (second.bid, second.volume_24h, second.last, second.ask) == (99.0, 7.0, 100.0, None)


def test_an_update_before_its_snapshot_is_left_out(begin: Begin) -> None:
    talk = begin().frame(book(0))
    assert (talk.take(), talk.counts.unproven) == ([], 1)


def test_a_new_snapshot_replaces_the_book_at_any_time(begin: Begin) -> None:
    talk = begin().frame(book(0, "snapshot"), book(1, "snapshot", rows=[("bid", "50", "1")]))
    _, second = talk.take()
    assert isinstance(second, BookSnapshot)
    assert (second.bids, second.asks, second.epoch) == (((50.0, 1.0),), (), 2)


def test_frames_without_a_time_have_none(begin: Begin) -> None:
    talk = begin().frame(book(0, "snapshot") | {"timestamp": ""})
    assert talk.take()[0].ts_event == 0


def test_P32_the_year_1_is_no_time(begin: Begin) -> None:
    talk = begin().frame(trades(0, row(1, time="0001-01-01T00:00:00.000000Z")))
    assert talk.take()[0].ts_event == 0


def test_client_id_may_be_missing(begin: Begin) -> None:
    frame = book(0, "snapshot")
    del frame["client_id"]
    assert kinds(begin().frame(frame)) == ["BookSnapshot"]


@pytest.mark.parametrize("channel", ["candles", "status", "ticker_batch", "user"])
def test_channels_that_are_known_but_not_asked_for_are_ignored(begin: Begin, channel: str) -> None:
    talk = begin().frame(say(0, channel, {"anything": 1}))
    assert (talk.take(), talk.counts.ignored) == ([], 1)


def test_P03_unknown_channels_and_kinds_are_told_once(begin: Begin) -> None:
    talk = begin().frame(say(0, "mood"), say(1, "mood"), {"type": "notice", "message": "hello"})
    assert [e.what for e in talk.take() if isinstance(e, SchemaDrift)] == ["mood", "notice"]
    assert (talk.counts.ignored, talk.counts.links_ok) == (3, 1)


@pytest.mark.parametrize(
    "frame",
    [
        book(0, product="XRP-USD"),
        trades(0, row(1, product_id="XRP-USD")),
        ticker(0, product_id="XRP-USD"),
        say(0, "l2_data"),
        say(0, "ticker"),
        say(0, "market_trades"),
    ],
)
def test_P05_data_of_another_market_is_dropped_and_counted(begin: Begin, frame: dict[str, Any]) -> None:
    talk = begin().frame(frame)
    assert (talk.events, talk.counts.ignored) == ([], 1)


def test_P05_the_other_rows_of_a_frame_still_count(begin: Begin) -> None:
    talk = begin().frame(book(0, "snapshot"))
    talk.take()
    frame = say(1, "l2_data", *book(1, product="XRP-USD")["events"], *book(1)["events"])
    assert kinds(talk.frame(frame)) == ["BookDelta"]
    assert kinds(talk.frame(trades(2, row(1, product_id="XRP-USD"), row(2)))) == ["Trade"]
    both = say(3, "ticker", *ticker(3, product_id="XRP-USD")["events"], *ticker(3)["events"])
    assert kinds(talk.frame(both)) == ["Ticker"]
    assert talk.counts.ignored == 0


# What cannot be read


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xef\xbb\xbf{}",
        b'{"channel":"\xff"}',
        b"[" * 100_000,
        b'{"events":' + b"[" * 100_000,
        {},
        {"channel": 5, "sequence_num": 1},
        {"channel": "l2_data", "sequence_num": "x", "events": []},
        {"channel": "l2_data", "events": []},
        {"sequence_num": 1},
        json.dumps(book(1)) + json.dumps(book(2)),
        json.dumps(book(1))[:-1],
        say(1, "l2_data", {"type": "update", "updates": []}),
    ],
    ids=lambda f: repr(f)[:60],
)
@MODES
def test_P01_P02_what_hides_its_number_or_its_book_voids_the_link(begin: Begin, frame: Any, exact: bool) -> None:
    talk = begin("BTC-USD", "ETH-USD", exact=exact)
    talk.frame(book(0, "snapshot"))
    talk.take()
    talk.frame(frame)
    assert [type(e) for e in talk.take()] == [Malformed, Gap, BookVoid]
    assert talk.counts.malformed == 1


@pytest.mark.parametrize(
    "frame",
    [
        book(1, kind="something"),
        book(1, rows=[("ask", "101", "2")]),
        book(1) | {"timestamp": "yesterday"},
        say(1, "l2_data", {"type": "update", "product_id": "BTC-USD", "updates": {}}),
        say(1, "l2_data", {"type": "update", "product_id": "BTC-USD"}),
    ],
)
def test_P04_a_bad_book_frame_voids_its_book_alone_and_counts(begin: Begin, frame: dict[str, Any]) -> None:
    talk = begin("BTC-USD", "ETH-USD", channels=("book",))
    talk.frame(book(0, "snapshot"), frame, book(2, "snapshot", "ETH-USD"))
    assert talk.told() == [
        "BookSnapshot BTC-USD",
        "Malformed",
        "Gap BTC-USD book",
        "BookVoid BTC-USD",
        "BookSnapshot ETH-USD",
    ]
    assert (talk.counts.links_ok, talk.counts.links_broken, talk.counts.malformed) == (2, 0, 1)


@pytest.mark.parametrize(
    "frame",
    [
        trades(1, row(1, side="UNKNOWN")),
        trades(1, row(1, time="now")),
        trades(1, row(1, time="2026-04-07T14:30:02.7x9Z")),
        trades(1, row(1, price=None)),
        trades(1, {}, kind="update"),
        trades(1, kind="something"),
        ticker(1, product_id=""),
        ticker(1) | {"timestamp": "2026-04-07"},
        say(1, "subscriptions", {"subscriptions": []}),
    ],
)
def test_P04_any_other_bad_frame_voids_no_book(begin: Begin, frame: dict[str, Any]) -> None:
    talk = begin().frame(book(0, "snapshot"), frame, book(2))
    assert kinds(talk) == ["BookSnapshot", "Malformed", "BookDelta"]
    assert talk.counts.links_ok == 2


@pytest.mark.parametrize("channel", ["l2_data", "market_trades", "ticker"])
def test_P04_a_frame_without_its_events_is_no_empty_one(begin: Begin, channel: str) -> None:
    frame = say(1, channel)
    del frame["events"]
    talk = begin().frame(book(0, "snapshot"), frame)
    assert kinds(talk)[:2] == ["BookSnapshot", "Malformed"]
    assert (talk.states()["BTC-USD"] == "live") == (channel != "l2_data")


def test_a_bad_frame_is_not_told_twice_when_the_next_number_shows_the_hole(begin: Begin) -> None:
    talk = begin().frame(book(0, "snapshot"), trades(1, row(1)))
    talk.take()
    talk.frame('{"channel":"l2_data","sequence_num":2,')
    assert talk.told() == ["Malformed", "Gap BTC-USD book", "BookVoid BTC-USD", "Gap BTC-USD trades"]
    talk.frame(beat(3), beat(4))
    assert talk.told() == []
    assert (talk.counts.links_ok, talk.counts.links_broken) == (2, 1)
    talk.frame(beat(6))
    assert "Gap BTC-USD trades" in talk.told()


def test_a_bad_frame_that_had_no_number_leaves_the_count_right(begin: Begin) -> None:
    talk = begin().frame(beat(0), "garbage", beat(1))
    assert (talk.counts.links_ok, talk.counts.links_broken) == (1, 0)


# The number of every frame


def live(begin: Begin) -> Talk:
    talk = begin("BTC-USD", "ETH-USD")
    talk.frame(book(0, "snapshot"), book(1, "snapshot", "ETH-USD"), trades(2, row(10)), ticker(3))
    both = ["BTC-USD", "ETH-USD"]
    talk.frame(listing(4, level2=both, ticker=both, market_trades=both))
    talk.take()
    return talk.wait(1)


def test_P15_a_hole_voids_every_book_and_tells_every_stream_of_the_link(begin: Begin) -> None:
    talk = live(begin).frame(book(6))
    assert talk.told() == [
        "Gap BTC-USD book",
        "BookVoid BTC-USD",
        "Gap ETH-USD book",
        "BookVoid ETH-USD",
        "Gap BTC-USD trades",
        "Gap ETH-USD trades",
        "Gap BTC-USD ticker",
        "Gap ETH-USD ticker",
    ]
    assert (talk.counts.links_ok, talk.counts.links_broken, talk.counts.unproven) == (4, 1, 1)


def test_P15_a_hole_before_the_acknowledgement_has_the_book_asked_for_again(begin: Begin) -> None:
    """The list of subscriptions comes after the first snapshots."""
    talk = begin(channels=("book",)).frame(book(0, "snapshot"))
    talk.sent.clear()
    talk.frame(beat(2), listing(3, level2=["BTC-USD"], heartbeats=["heartbeats"])).wait(0.25)
    assert kinds(talk) == ["BookSnapshot", "Gap", "BookVoid"]
    talk.frame(listing(4, heartbeats=["heartbeats"])).wait(0.25)
    assert [(m["type"], m["channel"]) for m in talk.sent] == [("unsubscribe", "level2"), ("subscribe", "level2")]
    talk.frame(book(5, "snapshot"), listing(6, level2=["BTC-USD"]))
    assert talk.states() == {"BTC-USD": "live"}


def test_P27_a_snapshot_of_a_subscription_that_is_being_left_opens_no_book(begin: Begin) -> None:
    talk = begin("BTC-USD", "ETH-USD", channels=("book",))
    talk.frame(listing(0, level2=["BTC-USD", "ETH-USD"]), book(1, "snapshot", "ETH-USD"))
    talk.frame(beat(3))  # a hole, while the other snapshot is on its way
    talk.frame(book(4, "snapshot")).wait(0.25)
    assert talk.states() == {"BTC-USD": "waiting", "ETH-USD": "waiting"}
    talk.frame(listing(5, heartbeats=["heartbeats"])).wait(0.25)
    talk.frame(book(6, "snapshot"), book(7, "snapshot", "ETH-USD"), listing(8, level2=["BTC-USD", "ETH-USD"]))
    assert talk.states() == {"BTC-USD": "live", "ETH-USD": "live"}


def test_P15_after_a_hole_the_books_are_asked_for_again(begin: Begin) -> None:
    talk = live(begin).frame(book(6))
    talk.sent.clear()
    talk.wait(1)
    assert talk.sent == [{"type": "unsubscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": "level2"}]
    talk.sent.clear()
    both = ["BTC-USD", "ETH-USD"]
    talk.frame(listing(7, ticker=both, market_trades=both, level2=None)).wait(1)
    assert talk.sent == [{"type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": "level2"}]
    talk.take()
    talk.frame(book(8, "snapshot"), book(9), book(10, "snapshot", "ETH-USD"))
    assert talk.told() == ["BookSnapshot BTC-USD", "BookDelta BTC-USD", "BookSnapshot ETH-USD"]


@pytest.mark.parametrize(
    "frame",
    [beat(6), say(6, "mood"), say(6, "candles"), listing(6), trades(6, {}), say(6, "")],
    ids=["heartbeat", "unknown", "not asked for", "control", "malformed", "no channel"],
)
def test_P15_any_frame_shows_a_hole(begin: Begin, frame: dict[str, Any]) -> None:
    talk = live(begin).frame(frame)
    assert [e.symbol for e in talk.take() if isinstance(e, BookVoid)] == ["BTC-USD", "ETH-USD"]


@pytest.mark.parametrize("frame", [book(5), beat(5), say(5, "mood"), say(5, "candles"), trades(5, {})], ids=str)
def test_every_frame_takes_a_number(begin: Begin, frame: dict[str, Any]) -> None:
    talk = live(begin).frame(frame, beat(6))
    assert (talk.counts.links_ok, talk.counts.links_broken) == (6, 0)


@pytest.mark.parametrize(
    "frame", [book(4), book(0, "snapshot"), trades(3, row(11)), beat(4), listing(2), trades(3, {})], ids=str
)
def test_P16_an_old_frame_is_dropped_whatever_it_is(begin: Begin, frame: dict[str, Any]) -> None:
    talk = live(begin).frame(frame)
    assert (talk.take(), talk.counts.stale) == ([], 1)
    assert kinds(talk.frame(book(5))) == ["BookDelta"]


def test_P25_a_new_count_asks_for_a_new_connection(begin: Begin) -> None:
    talk = live(begin).frame(beat(3), beat(5), *(beat(i) for i in range(MAX_OLD - 6)), *(beat(i) for i in range(5)))
    assert (talk.replaced, talk.take()) == ("", [])
    talk.frame(beat(5))
    assert talk.replaced == "the venue began a new count of frames"
    assert "BookVoid BTC-USD" in talk.told()


def test_the_first_number_is_0(begin: Begin) -> None:
    talk = begin().frame(beat(0))
    assert (talk.counts.links_ok, talk.counts.links_broken, talk.counts.resyncs) == (0, 0, 0)


def test_the_first_number_not_0_breaks_no_link_for_it_has_no_predecessor(begin: Begin) -> None:
    talk = begin().frame(beat(3), beat(4))
    assert (talk.counts.links_ok, talk.counts.links_broken, talk.counts.resyncs) == (1, 0, 0)


# Numbers

FIELDS = {
    "trade price": trades(1, row(1, price="?")),
    "trade size": trades(1, row(2, size="?")),
    "bid": ticker(1, best_bid="?"),
    "volume": ticker(1, volume_24_h="?"),
    "level price": book(1, rows=[("bid", "?", "1")]),
    "level size": book(1, rows=[("offer", "101", "?")]),
}
REQUIRED = ("trade price", "trade size", "level price", "level size")
POSITIVE = ("trade price", "trade size", "level price")


def refuses(begin: Begin, frame: str, exact: bool) -> None:
    talk = begin(exact=exact).frame(book(0, "snapshot"))
    talk.take()
    talk.frame(frame)
    assert isinstance(talk.take()[0], Malformed), frame
    assert (talk.counts.malformed, talk.counts.links_ok) == (1, 1)


@pytest.mark.parametrize(("text", "value"), SOUND)
@MODES
def test_P06_P08_sound_numbers_in_every_spelling(begin: Begin, text: str, value: float, exact: bool) -> None:
    talk = begin(exact=exact).frame(book(0, "snapshot"))
    talk.take()
    talk.frame(*(with_number(frame | {"sequence_num": n}, text) for n, frame in enumerate(FIELDS.values(), 1)))
    price, size, bid, volume, level, resized = talk.take()
    assert isinstance(price, Trade)
    assert isinstance(size, Trade)
    assert isinstance(bid, Ticker)
    assert isinstance(volume, Ticker)
    assert isinstance(level, BookDelta)
    assert isinstance(resized, BookDelta)
    told = [price.price, size.size, bid.bid, volume.volume_24h, level.bids[0][0], resized.asks[0][1]]
    assert told == [Decimal(text.strip('"')) if exact else value] * 6


def outside(fields: Iterable[str], texts: list[str]) -> list[tuple[str, str]]:
    return [(field, text) for field in fields for text in texts]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *outside(REQUIRED, NO_NUMBERS),
        *outside(("bid", "volume"), [text for text in NO_NUMBERS if text not in ('""', "null")]),
    ],
)
@MODES
def test_P07_what_is_no_number(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, with_number(FIELDS[field], text), exact)


@pytest.mark.parametrize("text", [*BEYOND, *UNDERFLOW, '"1.' + "0" * 39 + '"'], ids=lambda t: t[:20])
@pytest.mark.parametrize("field", FIELDS)
@MODES
def test_P08_P09_magnitudes_beyond_all_markets(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, with_number(FIELDS[field], text), exact)


@pytest.mark.parametrize("text", [*NOT_POSITIVE, *TINY])
@pytest.mark.parametrize("field", POSITIVE)
@MODES
def test_P10_prices_and_traded_sizes_are_positive(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, with_number(FIELDS[field], text), exact)


@pytest.mark.parametrize("text", NO_IDS)
@MODES
def test_P10_trade_ids_are_exact_integers(begin: Begin, text: str, exact: bool) -> None:
    refuses(begin, with_number(trades(1, row(1, trade_id="?")), text), exact)


# What we ask


def test_heartbeats_first_then_one_channel_a_frame(begin: Begin) -> None:
    talk = begin("BTC-USD", "ETH-USD")
    both = ["BTC-USD", "ETH-USD"]
    assert talk.sent == [
        {"type": "subscribe", "channel": "heartbeats"},
        {"type": "subscribe", "product_ids": both, "channel": "level2"},
        {"type": "subscribe", "product_ids": both, "channel": "ticker"},
        {"type": "subscribe", "product_ids": both, "channel": "market_trades"},
    ]


def test_a_listing_accepts_what_is_in_it(begin: Begin) -> None:
    talk = begin("BTC-USD", "ETH-USD")
    talk.frame(listing(0, heartbeats=["heartbeats"]), listing(1, heartbeats=["heartbeats"], level2=["ETH-USD"]))
    assert talk.told() == ["Subscribed ETH-USD book"]
    talk.frame(listing(2, level2=["ETH-USD", "BTC-USD"], market_trades=["BTC-USD"], candles=["BTC-USD"]))
    assert talk.told() == ["Subscribed BTC-USD book", "Subscribed BTC-USD trades"]
    assert talk.counts.control == 3


def test_what_is_no_longer_listed_was_dropped(begin: Begin) -> None:
    talk = begin("BTC-USD", "ETH-USD", channels=("ticker",)).frame(listing(0, ticker=["BTC-USD", "ETH-USD"]))
    leaving = talk.sub("ETH-USD", "ticker")
    talk.change(drop=[leaving])
    assert talk.sent[-1] == {"type": "unsubscribe", "product_ids": ["ETH-USD"], "channel": "ticker"}
    talk.change(add=[leaving])
    assert talk.sent[-1]["type"] == "unsubscribe"  # its end is awaited first
    talk.frame(listing(1, ticker=["BTC-USD"])).wait(1)
    assert talk.sent[-1] == {"type": "subscribe", "product_ids": ["ETH-USD"], "channel": "ticker"}


def test_P27_an_error_refuses_the_products_it_names(begin: Begin) -> None:
    talk = begin("BTC-USD", "XYZ-USD", channels=("ticker",))
    talk.frame({"type": "error", "message": "XYZ-USD is not a valid product"})
    (refused,) = talk.take()
    assert isinstance(refused, Refused)
    assert (refused.symbol, refused.channel, refused.reason) == ("XYZ-USD", "ticker", "XYZ-USD is not a valid product")
    talk.sent.clear()
    talk.wait(1)
    assert talk.sent == [{"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "ticker"}]
    talk.frame(listing(0, ticker=["BTC-USD"]))
    assert talk.told() == ["Subscribed BTC-USD ticker"]
    assert talk.counts.control == 2


def test_P27_an_error_without_a_name_is_about_what_waited_longest(begin: Begin) -> None:
    talk = begin().frame(listing(0, level2=["BTC-USD"]), {"type": "error", "message": "failure to subscribe"})
    assert talk.told() == ["Subscribed BTC-USD book", "Refused BTC-USD ticker"]
    talk.frame({"type": "error"})
    (refused,) = talk.take()
    assert isinstance(refused, Refused)
    assert (refused.channel, refused.reason) == ("trades", "refused without a word")


def test_an_error_that_is_about_nothing_asked_is_told(begin: Begin) -> None:
    talk = begin(channels=("ticker",)).frame(listing(0, ticker=["BTC-USD"]))
    talk.take()
    talk.frame({"type": "error", "message": "rate limit of BTC-USD exceeded"})
    assert [e.detail for e in talk.take() if isinstance(e, VenueStatus)] == ["rate limit of BTC-USD exceeded"]


def test_P27_what_came_too_often_is_asked_for_again_later_and_never_refused(begin: Begin) -> None:
    talk = begin()
    talk.sent.clear()
    limited = {"type": "error", "message": "rate limit exceeded"}
    talk.frame(listing(0, heartbeats=["heartbeats"], level2=["BTC-USD"]), limited, limited).wait(2)
    assert talk.sent == [], "not at once"
    assert talk.told() == ["Subscribed BTC-USD book", "VenueStatus", "VenueStatus"]
    talk.wait(3)
    assert [said["channel"] for said in talk.sent] == ["ticker", "market_trades"]
    number = 0
    while number < 3600 or "ticker" not in {said["channel"] for said in talk.sent}:
        talk.sent.clear()
        number += 1
        talk.frame({"channel": "heartbeats", "sequence_num": number, "events": []}, limited).wait(1)
    assert number < 3700
    assert not [event for event in talk.take() if isinstance(event, Refused)]
    talk.frame(listing(number + 1, heartbeats=["heartbeats"], level2=["BTC-USD"], ticker=["BTC-USD"]))
    assert talk.told() == ["Subscribed BTC-USD ticker"]


def test_heartbeats_that_were_asked_for_too_often_are_asked_for_again(begin: Begin) -> None:
    talk = begin(channels=("ticker",))
    talk.sent.clear()
    talk.frame({"type": "error", "message": "rate limit exceeded"}).wait(4)
    assert talk.frame(listing(0)).wait(2).sent[0] == {"type": "subscribe", "channel": "heartbeats"}
    alone = begin(channels=("ticker",)).frame({"type": "error", "message": "rate limit exceeded"})
    alone.frame(listing(0, ticker=["BTC-USD"]))
    assert alone.replaced, "nothing more is asked for on it"


def test_the_alias_of_a_product_is_what_is_asked_for_and_what_comes(begin: Begin) -> None:
    talk = begin("BTC-USDC", native=lambda name: name.replace("USDC", "USD"), channels=("book",))
    assert talk.sent[1]["product_ids"] == ["BTC-USD"]
    talk.frame(listing(0, level2=["BTC-USD"]), book(1, "snapshot"))
    assert talk.told() == ["Subscribed BTC-USDC book", "BookSnapshot BTC-USDC"]


def test_the_link_dies_after_five_silent_seconds_and_needs_no_json_ping(begin: Begin) -> None:
    talk = begin()
    assert talk.session._decoder.ping() is None
    assert VENUE.pace.silence_s == 5


def test_T05_history_proves_a_quiet_market_and_it_is_not_asked_for_again(begin: Begin) -> None:
    talk = begin(channels=("trades",)).frame(trades(0, row(1), kind="snapshot"), listing(1, market_trades=["BTC-USD"]))
    talk.sent.clear()
    talk.wait(30)
    assert talk.sent == []


# Instruments and links


def product(**fields: Any) -> dict[str, Any]:
    return {
        "product_id": "BTC-USD",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "price_increment": "0.01",
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "is_disabled": False,
        "view_only": False,
        "product_type": "SPOT",
        "base_currency_id": "BTC",
        "quote_currency_id": "USD",
        "alias": "",
        "alias_to": ["BTC-USDC"],
    } | fields


def listed(*products: dict[str, Any]) -> bytes:
    return json.dumps({"products": products, "num_products": len(products)}).encode()


@pytest.mark.parametrize("body", [listed(product()), json.dumps(product()).encode()], ids=["list", "one"])
def test_instruments_of_a_list_or_of_one_product(body: bytes) -> None:
    (found,) = instruments(body)
    assert (found.symbol, found.native, found.base, found.quote) == ("BTC-USD", "BTC-USD", "BTC", "USD")
    assert (found.tick, found.lot) == (Decimal("0.01"), Decimal("0.00000001"))
    assert (found.price_digits, found.size_digits) == (2, 8)
    assert (found.trading, found.status) == (True, "online")


def test_an_alias_has_the_native_name_that_its_frames_carry() -> None:
    (found,) = instruments(listed(product(product_id="BTC-USDC", quote_currency_id="USDC", alias="BTC-USD")))
    assert (found.symbol, found.native) == ("BTC-USDC", "BTC-USD")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "delisted"}, "delisted"),
        ({"auction_mode": True}, "online, auction_mode"),
        ({"status": "", "cancel_only": True, "view_only": True}, "unknown, cancel_only, view_only"),
    ],
)
def test_P29_only_online_without_a_flag_is_trading(fields: dict[str, Any], status: str) -> None:
    (found,) = instruments(listed(product(**fields)))
    assert (found.trading, found.status) == (False, status)


def test_a_step_that_is_absent_or_zero_is_unknown() -> None:
    (found,) = instruments(listed(product(base_increment="", price_increment="0")))
    assert (found.tick, found.lot, found.price_digits, found.size_digits) == (None, None, None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"base_currency_id": "B\u202eTC"},
        {"base_currency_id": ""},
        {"product_id": "BTC\x1b[2J"},
        {"alias": "../BTC-USD"},
        {"price_increment": "cheap"},
        {"product_type": "FUTURE"},
    ],
    ids=ascii,
)
def test_P33_what_cannot_be_told_is_left_out_and_the_others_stand(fields: dict[str, Any]) -> None:
    eth = product(product_id="ETH-USD", base_currency_id="ETH")
    assert [i.symbol for i in instruments(listed(product(**fields), eth))] == ["ETH-USD"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"error":"NOT_FOUND","message":"valid product_id is required"}'])
def test_what_is_no_list_of_instruments_raises(body: bytes) -> None:
    with pytest.raises(ValueError):
        instruments(body)


def test_few_instruments_are_asked_for_one_by_one_then_all() -> None:
    root = "/api/v3/brokerage/market/products"
    assert instruments_requests(["BTC-USD", "ETH-USD"]) == [
        Request(f"{root}/BTC-USD"),
        Request(f"{root}/ETH-USD"),
        Request(f"{root}?product_type=SPOT"),
    ]
    assert instruments_requests([f"A{i}-USD" for i in range(6)]) == [Request(f"{root}?product_type=SPOT")]


def test_a_pair_and_its_alias_are_on_different_links() -> None:
    wanted = [Subscription("coinbase", name, "book") for name in ("BTC-USD", "BTC-USDC", "ETH-USD")]
    plans = VENUE.plan(VENUE.endpoints, wanted, VENUE.pace)
    assert [([s.symbol for s in p.subscriptions], p.kind) for p in plans] == [
        (["BTC-USD", "ETH-USD"], ""),
        (["BTC-USDC"], "usdc"),
    ]
    assert {p.url for p in plans} == {"wss://advanced-trade-ws.coinbase.com"}


def test_links_hold_20_products_of_three_channels() -> None:
    wanted = [Subscription("coinbase", f"A{i:02}-USD", c) for i in range(30) for c in ("trades", "ticker", "book")]
    plans = VENUE.plan(VENUE.endpoints, wanted, VENUE.pace)
    assert [len({s.symbol for s in p.subscriptions}) for p in plans] == [20, 10]


def test_a_subscription_the_venue_ends_by_itself_is_told_and_asked_for_again(begin: Begin) -> None:
    talk = live(begin)
    talk.sent.clear()
    talk.frame(listing(5, ticker=["BTC-USD", "ETH-USD"], level2=["ETH-USD"], market_trades=["BTC-USD", "ETH-USD"]))
    assert talk.told() == ["Gap BTC-USD book", "BookVoid BTC-USD"]
    talk.wait(1)
    assert talk.sent == [{"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "level2"}]
