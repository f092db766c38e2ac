"""Binance as its protocol sheet has it: what it sends, what we make of it, what we ask."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketfeed.events import BookDelta, BookVoid, Gap, Malformed, Refused, SchemaDrift, Ticker, Trade, VenueStatus
from marketfeed.subscriptions import Subscription
from marketfeed.venues import binance
from marketfeed.venues._spec import Request
from marketfeed.venues.binance import VENUE, instruments, instruments_requests

from .conftest import Play, Talk
from .numbers import BEYOND, NO_IDS, NO_NUMBERS, NOT_POSITIVE, SOUND, TINY, UNDERFLOW

HERE = Path(__file__).parent / "binance"
MODES = pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
Begin = Callable[..., Talk]


@pytest.fixture
def begin(talk: type[Talk]) -> Begin:
    def start(*names: str, **options: Any) -> Talk:
        begun = talk(VENUE, *(names or ("BTC-USDT",)), native=lambda s: s.replace("-", ""), **options).open()
        begun.take()
        return begun

    return start


def wrap(stream: str, data: Any) -> dict[str, Any]:
    return {"stream": stream, "data": data}


def trade(number: int = 1, name: str = "BTCUSDT", **fields: Any) -> dict[str, Any]:
    data = {"e": "trade", "E": 2, "s": name, "t": number, "p": "100.5", "q": "0.5", "T": 1, "m": False, "M": True}
    return wrap(f"{name.lower()}@trade", data | fields)


def best(name: str = "BTCUSDT", **fields: Any) -> dict[str, Any]:
    return wrap(f"{name.lower()}@bookTicker", {"u": 1, "s": name, "b": "100", "B": "1", "a": "101", "A": "2"} | fields)


def ticker(name: str = "BTCUSDT", **fields: Any) -> dict[str, Any]:
    data = {"e": "24hrTicker", "E": 5, "s": name, "c": "100", "b": "99", "B": "1", "a": "101", "A": "2", "v": "7"}
    return wrap(f"{name.lower()}@ticker", data | fields)


def delta(first: int, last: int, name: str = "BTCUSDT", **fields: Any) -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": 5, "s": name, "U": first, "u": last, "b": [["100", "1"]], "a": [["101", "2"]]}
    return wrap(f"{name.lower()}@depth@100ms", data | fields)


def snapshot(last: int) -> dict[str, Any]:
    return {"lastUpdateId": last, "bids": [["100", "1"], ["99", "3"]], "asks": [["101", "2"], ["102", "4"]]}


def with_number(frame: dict[str, Any], text: str) -> str:
    """The frame with a piece of JSON in place of its "?"."""
    return json.dumps(frame).replace('"?"', text)


# What it sends


@pytest.mark.parametrize("channel", ["trades", "ticker", "book"])
def test_frames_give_these_events(begin: Begin, play: Play, channel: str) -> None:
    play(begin("BNB-BTC", channels=(channel,)), HERE / channel)


def test_taker_sells_where_the_buyer_is_the_maker(begin: Begin) -> None:
    talk = begin().frame(trade(1, m=True), trade(2, m=False))
    assert [e.side for e in talk.take() if isinstance(e, Trade)] == ["sell", "buy"]


def test_exact_numbers_keep_every_digit(begin: Begin) -> None:
    talk = begin(exact=True).frame(trade(p="100.50000000", q="0.10"), best(b="100.10", B="1.0"), ticker(v="7.000"))
    sold, bid, day = talk.take()
    assert isinstance(sold, Trade)
    assert isinstance(bid, Ticker)
    assert isinstance(day, Ticker)
    assert (str(sold.price), str(sold.size)) == ("100.50000000", "0.10")
    assert (str(bid.bid), str(bid.bid_size), str(day.volume_24h)) == ("100.10", "1.0", "7.000")
    talk.frame(delta(11, 12, b=[["99.90", "1.10"]])).reply(snapshot(11))
    changed = talk.take()[-1]
    assert isinstance(changed, BookDelta)
    assert str(changed.bids) == "((Decimal('99.90'), Decimal('1.10')),)"


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        ("btcusdt@aggTrade", {"e": "aggTrade", "s": "BTCUSDT", "a": 1, "p": "1", "q": "1"}),
        ("btcusdt@kline_1m", {"e": "kline", "s": "BTCUSDT", "k": {}}),
        ("btcusdt@miniTicker", {"e": "24hrMiniTicker", "s": "BTCUSDT"}),
        ("btcusdt@ticker_1h", {"e": "1hTicker", "s": "BTCUSDT"}),
        ("btcusdt@avgPrice", {"e": "avgPrice", "s": "BTCUSDT"}),
        ("btcusdt@referencePrice", {"e": "referencePrice", "s": "BTCUSDT", "r": None, "t": 1}),
        ("btcusdt@blockTrade", {"e": "blockTrade", "s": "BTCUSDT"}),
        ("btcusdt@depth5", {"lastUpdateId": 160, "bids": [], "asks": []}),
        ("btcusdt@depth20@100ms", {"lastUpdateId": 160, "bids": [], "asks": []}),
        ("!miniTicker@arr", [{"e": "24hrMiniTicker", "s": "BTCUSDT"}]),
        ("!ticker_1h@arr", [{"e": "1hTicker", "s": "BTCUSDT"}]),
    ],
)
def test_streams_that_are_known_but_not_asked_for_are_ignored(begin: Begin, stream: str, data: Any) -> None:
    talk = begin().frame(wrap(stream, data))
    assert (talk.events, talk.counts.ignored, talk.counts.malformed) == ([], 1, 0)


def test_P03_an_unknown_kind_is_told_once(begin: Begin) -> None:
    talk = begin()
    talk.frame(wrap("btcusdt@mood", {"e": "mood", "s": "BTCUSDT"}), wrap("btcusdt@mood", {"e": "mood", "s": "BTCUSDT"}))
    talk.frame(wrap("btcusdt@tide", {"h": 3}), wrap("btcusdt@sun", {"e": 5}))
    assert [e.what for e in talk.take() if isinstance(e, SchemaDrift)] == ["mood", "tide", "sun"]
    assert talk.counts.ignored == 4


def test_P03_new_fields_are_no_fault(begin: Begin) -> None:
    talk = begin().frame(trade(new=[1, {"x": None}]), best(new=1), ticker(new="")).frame({**trade(2), "new": {}})
    assert [type(e) for e in talk.take()] == [Trade, Ticker, Ticker, Trade]


@pytest.mark.parametrize(
    "frame", [trade(name="XRPUSDT"), best("XRPUSDT"), ticker("XRPUSDT"), delta(1, 2, "XRPUSDT")], ids=str
)
def test_P05_data_of_another_market_is_dropped_and_counted(begin: Begin, frame: dict[str, Any]) -> None:
    talk = begin().frame(frame)
    assert (talk.events, talk.counts.ignored, talk.counts.unknown_symbols) == ([], 1, 1)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xef\xbb\xbf{}",
        b'{"stream":"\xff@trade","data":{}}',
        b"[" * 100_000,
        b'{"stream":"btcusdt@trade","data":' + b"[" * 100_000,
        b'{"a":' * 100_000,
        {},
        {"stream": ""},
        {"stream": "btcusdt@trade"},
        {"e": "trade", "s": "BTCUSDT"},
        wrap("btcusdt@trade", {"e": "trade"}),
        wrap("btcusdt@trade", {}),
        wrap("btcusdt@trade", []),
        wrap("btcusdt@bookTicker", {"u": 1, "s": "BTCUSDT"}),
        wrap("btcusdt@depth@100ms", {"e": "depthUpdate", "s": "BTCUSDT"}),
        json.dumps(trade()) + json.dumps(trade(2)),
        json.dumps(trade())[:-2],
        json.dumps(best())[:-2],
        trade(T=10**15),
        trade(T=-1),
        trade(s=None),
        delta(12, 11),
        delta(11, 12, b=[["1"]]),
        delta(11, 12, b=[["1", "2", "3"]]),
        delta(11, 12, b={"1": "2"}),
    ],
    ids=lambda f: repr(f)[:60],
)
@MODES
def test_P01_P02_P04_what_cannot_be_read_is_malformed_and_harms_nothing(begin: Begin, frame: Any, exact: bool) -> None:
    talk = begin(exact=exact).frame(frame)
    assert [type(e) for e in talk.take()] == [Malformed]
    assert talk.counts.malformed == talk.counts.frames == 1
    talk.frame(trade())
    assert isinstance(talk.take()[0], Trade)


# Numbers


@pytest.mark.parametrize(("text", "value"), SOUND)
@MODES
def test_P06_P08_sound_numbers_in_every_spelling(begin: Begin, text: str, value: float, exact: bool) -> None:
    talk = begin(exact=exact)
    talk.frame(with_number(trade(p="?"), text), with_number(trade(2, q="?"), text), with_number(best(B="?"), text))
    price, size, bid = talk.take()
    assert isinstance(price, Trade)
    assert isinstance(size, Trade)
    assert isinstance(bid, Ticker)
    assert (price.price, size.size, bid.bid_size) == ((Decimal(text.strip('"')),) * 3 if exact else (value,) * 3)


FIELDS = {
    "trade price": trade(p="?"),
    "trade size": trade(q="?"),
    "bid": best(b="?"),
    "ask size": best(A="?"),
    "last": ticker(c="?"),
    "volume": ticker(v="?"),
    "level price": delta(12, 13, b=[["?", "1"]]),
    "level size": delta(12, 13, a=[["101", "?"]]),
}
POSITIVE = ("trade price", "trade size", "level price")


def refuses(begin: Begin, frame: str, exact: bool) -> None:
    talk = begin(exact=exact).frame(delta(11, 11)).reply(snapshot(10))
    talk.take()
    talk.frame(frame)
    assert isinstance(talk.take()[0], Malformed), frame
    assert talk.counts.malformed == 1


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("field", FIELDS)
@MODES
def test_P07_what_is_no_number(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, with_number(FIELDS[field], text), exact)


@pytest.mark.parametrize("text", [*BEYOND, *UNDERFLOW], ids=lambda t: t[:20])
@pytest.mark.parametrize("field", FIELDS)
@MODES
def test_P08_P09_magnitudes_beyond_all_markets(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, with_number(FIELDS[field], text), exact)


@pytest.mark.parametrize("field", FIELDS)
@MODES
def test_P08_more_than_40_characters(begin: Begin, field: str, exact: bool) -> None:
    refuses(begin, with_number(FIELDS[field], '"1.' + "0" * 39 + '"'), exact)


@pytest.mark.parametrize("text", [*NOT_POSITIVE, *TINY])
@pytest.mark.parametrize("field", POSITIVE)
@MODES
def test_P10_prices_and_traded_sizes_are_positive(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, with_number(FIELDS[field], text), exact)


@pytest.mark.parametrize("text", NO_IDS)
@pytest.mark.parametrize("frame", [trade(t="?"), delta(1, 2, u="?"), delta(1, 2, U="?")], ids=["t", "u", "U"])
@MODES
def test_P10_ids_are_exact_integers(begin: Begin, frame: dict[str, Any], text: str, exact: bool) -> None:
    refuses(begin, with_number(frame, text), exact)


@pytest.mark.parametrize("size", ['"0"', '"0.00000000"', "0", '"0e0"'])
@MODES
def test_P09_only_a_zero_removes_a_level(begin: Begin, size: str, exact: bool) -> None:
    talk = begin(exact=exact).frame(delta(11, 11)).reply(snapshot(10))
    talk.frame(with_number(delta(12, 12, b=[["100", "?"]], a=[]), size))
    assert [float(p) for p, _ in talk.session.books["BTCUSDT"].book.bids.best(9)] == [99.0]


def test_P09_an_escaped_exponent_removes_nothing(begin: Begin) -> None:
    refuses(begin, with_number(FIELDS["level size"], r'"1\u0065-400"'), exact=False)


# What we ask


def test_a_ticker_is_two_streams_and_names_are_lower_case(begin: Begin) -> None:
    talk = begin()
    assert talk.session.commands == []
    assert talk.sent == [
        {"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1},
        {"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker", "btcusdt@ticker"], "id": 2},
        {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 3},
    ]


def test_an_ack_accepts_all_of_its_request(begin: Begin) -> None:
    talk = begin("BTC-USDT", "ETH-USDT", channels=("trades",)).frame({"result": None, "id": 1})
    assert talk.told() == ["Subscribed BTC-USDT trades", "Subscribed ETH-USDT trades"]
    assert talk.counts.control == 1


@pytest.mark.parametrize(
    "error",
    [
        {"code": 2, "msg": "Invalid request: unknown stream", "id": 2},
        {"error": {"code": 2, "msg": "Invalid request: unknown stream"}, "id": 2},
    ],
    ids=["flat", "nested"],
)
def test_P27_an_error_refuses_its_request_alone(begin: Begin, error: dict[str, Any]) -> None:
    talk = begin().frame(error)
    (refused,) = talk.take()
    assert isinstance(refused, Refused)
    assert (refused.channel, refused.reason) == ("ticker", "Invalid request: unknown stream")
    talk.frame({"result": None, "id": 1}, {"result": None, "id": 3})
    assert talk.told() == ["Subscribed BTC-USDT book", "Subscribed BTC-USDT trades"]


def test_P27_an_error_without_id_is_about_what_waited_longest(begin: Begin) -> None:
    talk = begin().frame({"result": None, "id": 1}, {"code": 3, "msg": ""}, {"code": 0, "msg": "x", "id": None})
    assert talk.told() == ["Subscribed BTC-USDT book", "Refused BTC-USDT ticker", "Refused BTC-USDT trades"]


@pytest.mark.parametrize("about", [{"id": 1}, {}], ids=str)
def test_P27_what_came_too_often_is_asked_for_again_later_and_never_refused(
    begin: Begin, about: dict[str, int]
) -> None:
    talk = begin(channels=("trades",))
    (first,) = talk.sent
    talk.frame({"code": 2, "msg": "Too many requests", **about}).wait(2)
    assert talk.told() == ["VenueStatus"]
    assert talk.sent == [first], "not at once"
    talk.wait(4)
    assert talk.sent[-1] == first | {"id": 2}
    assert talk.told() == []


def test_an_error_that_is_about_nothing_asked_is_told(begin: Begin) -> None:
    talk = begin().frame(*({"result": None, "id": i} for i in (1, 2, 3)))
    talk.take()
    talk.frame({"code": 2, "msg": "Too many requests"}, {"code": 1, "msg": "no", "id": "abc"}, {"result": [], "id": 99})
    assert [e.detail for e in talk.take() if isinstance(e, VenueStatus)] == ["Too many requests", "no"]
    assert talk.counts.control == 6


@pytest.mark.parametrize("answer", [{"result": None, "id": 4}, {"code": 2, "msg": "no such stream", "id": 4}], ids=str)
def test_unsubscribing_ends_with_any_answer(begin: Begin, answer: dict[str, Any]) -> None:
    talk = begin().frame(*({"result": None, "id": i} for i in (1, 2, 3)))
    talk.change(drop=[talk.sub("BTC-USDT", "trades")])
    assert talk.sent[-1] == {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 4}
    talk.frame(answer, trade())
    assert talk.counts.ignored == 1
    talk.change(add=[talk.sub("BTC-USDT", "trades")])
    assert talk.sent[-1] == {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 5}


@pytest.mark.parametrize(
    "frame",
    [
        {"e": "serverShutdown", "E": 1770123456789},
        wrap("!serverShutdown", {"e": "serverShutdown", "E": 1770123456789}),
    ],
    ids=["raw", "combined"],
)
def test_T16_an_announced_shutdown_asks_for_a_new_connection(begin: Begin, frame: dict[str, Any]) -> None:
    talk = begin().frame(frame)
    (status,) = talk.take()
    assert isinstance(status, VenueStatus)
    assert status.status == "shutdown"
    assert talk.replaced == "the venue announced its shutdown"
    assert talk.counts.control == 1


def test_quiet_link_is_pinged_by_protocol(begin: Begin) -> None:
    assert begin().session._decoder.ping() is None


# The book


def test_the_snapshot_is_asked_for_when_updates_flow(begin: Begin) -> None:
    talk = begin()
    assert talk.fetches == []
    talk.frame(delta(11, 12), delta(13, 13))
    assert [f.request for f in talk.fetches] == [Request("/api/v3/depth?symbol=BTCUSDT&limit=1000", weight=50)]


@pytest.mark.parametrize(
    ("last_update_id", "state", "why"),
    [
        (9, "buffering", "older than the oldest update: asked for again"),
        (10, "live", "the first kept update begins at L+1"),
        (11, "live", "it holds L+1"),
        (12, "live", "the first ends at L and is dropped, the second begins at L+1"),
        (15, "joining", "newer than all updates: wait for the next"),
    ],
)
def test_P17_P18_P19_the_snapshot_joins_where_u_allows(begin: Begin, last_update_id: int, state: str, why: str) -> None:
    talk = begin().frame(delta(11, 12), delta(13, 15)).reply(snapshot(last_update_id))
    assert talk.states() == {"BTCUSDT": state}, why


def asked_again_after(talk: Talk, seconds: int) -> list[int]:
    """When streams are subscribed to anew while nothing comes."""
    talk.sent.clear()
    found = []
    for second in range(seconds):
        talk.wait(1)
        found += [second for frame in talk.sent if frame["method"] == "UNSUBSCRIBE"]
        talk.frame(*({"result": None, "id": frame["id"]} for frame in talk.sent))
        talk.sent.clear()
    return found


def test_T05_a_book_that_does_not_come_is_asked_for_again_and_one_that_is_joining_only_after_long(begin: Begin) -> None:
    talk = begin(channels=("book",)).frame({"result": None, "id": 1})
    assert asked_again_after(talk, 100) == pytest.approx([30, 91], abs=3)
    talk = begin(channels=("book",)).frame({"result": None, "id": 1}, delta(11, 12))
    assert asked_again_after(talk, 100) == [], "the snapshot may wait for its turn"
    talk.reply(snapshot(12))
    assert talk.states() == {"BTCUSDT": "joining"}
    assert asked_again_after(talk, 650) == pytest.approx([600], abs=3)


def test_P18_a_snapshot_too_old_is_fetched_again(begin: Begin) -> None:
    talk = begin().frame(delta(21, 22)).reply(snapshot(10))
    assert talk.take() == []
    talk.wait(2)
    talk.reply(snapshot(20))
    assert talk.told() == ["BookSnapshot BTC-USDT", "BookDelta BTC-USDT"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"{", {"code": -1121, "msg": "Invalid symbol."}, {"lastUpdateId": -1, "bids": [], "asks": []}],
)
@MODES
def test_P20_a_reply_that_is_no_snapshot_is_asked_for_again(begin: Begin, body: Any, exact: bool) -> None:
    talk = begin(exact=exact).frame(delta(11, 11)).reply(body)
    assert [type(e) for e in talk.take()] == [Malformed]
    talk.wait(2).reply(snapshot(10))
    assert talk.states() == {"BTCUSDT": "live"}


@MODES
def test_P09_a_hostile_number_in_a_snapshot(begin: Begin, exact: bool) -> None:
    body = json.dumps(snapshot(10)).replace('"3"', '"1e-400"').encode()
    talk = begin(exact=exact).frame(delta(11, 11)).reply(body)
    assert [type(e) for e in talk.take()] == [Malformed]
    assert talk.states() == {"BTCUSDT": "buffering"}


def test_a_reply_for_a_book_that_is_gone_is_ignored(begin: Begin) -> None:
    talk = begin()
    talk.session.books.clear()
    decoder: Any = talk.session._decoder
    decoder.book_reply("BTCUSDT", json.dumps(snapshot(10)).encode(), 1)
    assert talk.events == []


def test_P15_a_gap_voids_one_book_and_fetches_it_again(begin: Begin) -> None:
    talk = begin("BTC-USDT", "ETH-USDT", channels=("book",))
    talk.frame(delta(11, 12)).reply(snapshot(10)).frame(delta(5, 6, "ETHUSDT")).reply(snapshot(4))
    talk.take()
    talk.frame(delta(15, 16))  # 13 and 14 never came
    gap, void = talk.take()
    assert isinstance(gap, Gap)
    assert isinstance(void, BookVoid)
    assert (gap.symbol, gap.from_seq, gap.to_seq, void.symbol) == ("BTC-USDT", 13, 14, "BTC-USDT")
    talk.frame(delta(7, 7, "ETHUSDT"))
    assert talk.told() == ["BookDelta ETH-USDT"]
    talk.reply(snapshot(15))
    assert talk.told() == ["BookSnapshot BTC-USDT", "BookDelta BTC-USDT"]
    assert talk.states() == {"BTCUSDT": "live", "ETHUSDT": "live"}


def test_P16_an_old_update_changes_nothing(begin: Begin) -> None:
    talk = begin().frame(delta(11, 12)).reply(snapshot(10))
    talk.take()
    talk.frame(delta(11, 12), delta(10, 11))
    assert (talk.take(), talk.counts.stale) == ([], 2)


def live(begin: Begin) -> Talk:
    talk = begin("BTC-USDT", "ETH-USDT", channels=("book",))
    talk.frame(delta(11, 12)).reply(snapshot(10)).frame(delta(5, 6, "ETHUSDT")).reply(snapshot(4))
    talk.take()
    return talk


@pytest.mark.parametrize(
    ("frame", "voided"),
    [
        (json.dumps(delta(13, 13))[:-3], ["BTC-USDT"]),
        (json.dumps(delta(13, 13)) + json.dumps(delta(7, 7, "ETHUSDT")), ["BTC-USDT", "ETH-USDT"]),
        (json.dumps(trade())[:-3], []),
        (json.dumps(best())[:-3], []),
        (json.dumps(delta(13, 13))[:20], ["BTC-USDT", "ETH-USDT"]),
        (b'{"stream":"\xff\xfe@depth","data":{', []),
    ],
    ids=["cut", "two in one", "a trade", "best prices", "no name left", "no book's name"],
)
def test_P01_a_frame_that_cannot_be_read_voids_the_books_it_names(begin: Begin, frame: Any, voided: list[str]) -> None:
    talk = live(begin).frame(frame)
    assert [e.symbol for e in talk.take() if isinstance(e, BookVoid)] == voided


# Instruments and links


def listed(**fields: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.00", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
        ],
    } | fields


def info(*symbols: dict[str, Any]) -> bytes:
    return json.dumps({"timezone": "UTC", "serverTime": 1, "rateLimits": [], "symbols": symbols}).encode()


def test_instruments_are_named_from_their_assets() -> None:
    (found,) = instruments(info(listed()))
    assert (found.symbol, found.native, found.base, found.quote) == ("BTC-USDT", "BTCUSDT", "BTC", "USDT")
    assert (found.tick, found.lot) == (Decimal("0.01"), Decimal("0.00001"))
    assert (found.price_digits, found.size_digits) == (2, 5)
    assert (found.trading, found.status) == (True, "TRADING")


@pytest.mark.parametrize("status", ["HALT", "BREAK", "END_OF_DAY", "CANCEL_ONLY", "SOMETHING_NEW"])
def test_P29_any_other_status_is_not_trading(status: str) -> None:
    (found,) = instruments(info(listed(status=status)))
    assert (found.trading, found.status) == (False, status)


@pytest.mark.parametrize(
    "filters",
    [
        [],
        [
            {"filterType": "PRICE_FILTER", "tickSize": "0.00000000"},
            {"filterType": "LOT_SIZE", "stepSize": "NaN"},
        ],
        [{"filterType": "PRICE_FILTER"}, {"filterType": "LOT_SIZE", "stepSize": "1E+1000000"}],
    ],
)
def test_a_step_that_is_off_or_absurd_is_unknown(filters: Any) -> None:
    (found,) = instruments(info(listed(filters=filters)))
    assert (found.tick, found.lot, found.price_digits, found.size_digits) == (None, None, None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"baseAsset": "B\u202eTC"},
        {"baseAsset": "\u5e01\u5b89"},
        {"quoteAsset": "US DT"},
        {"symbol": "BTC/../USDT"},
        {"symbol": "\x1b[2J"},
    ],
    ids=ascii,
)
def test_P33_hostile_names_never_enter_and_the_others_do(fields: Any) -> None:
    assert [i.native for i in instruments(info(listed(**fields), listed()))] == ["BTCUSDT"]


def test_what_is_no_list_of_instruments_raises() -> None:
    with pytest.raises(ValueError, match="symbols"):
        instruments(b'{"code":-1121,"msg":"Invalid symbol."}')


def test_instruments_are_asked_for_by_name_then_all() -> None:
    assert instruments_requests(["BTC-USDT", "ETH-BTC"]) == [
        Request("/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%2C%22ETHBTC%22%5D", weight=20),
        Request("/api/v3/exchangeInfo", weight=20),
    ]


def test_links_hold_200_subscriptions_and_stay_below_1024_streams() -> None:
    wanted = [Subscription("binance", f"A{i}-USDT", "ticker") for i in range(450)]
    plans = VENUE.plan(VENUE.endpoints, wanted, VENUE.pace)
    assert [len(p.subscriptions) for p in plans] == [200, 200, 50]
    assert {p.url for p in plans} == {"wss://stream.binance.com:9443/stream"}
    streams = max(len(names) for names in binance._STREAMS.values())
    assert VENUE.pace.subscriptions_per_link * streams < 1024


def test_P27_the_neighbours_of_a_refused_stream_are_asked_for_again_alone(begin: Begin) -> None:
    talk = begin("BTC-USDT", "XYZ-USDT", channels=("trades",))
    talk.sent.clear()
    talk.frame({"code": 2, "msg": "Invalid request: xyzusdt", "id": 1})
    assert talk.told() == []
    talk.wait(2)
    assert [sent["params"] for sent in talk.sent] == [["btcusdt@trade"], ["xyzusdt@trade"]]
    talk.frame({"result": None, "id": 2}, {"code": 2, "msg": "Invalid request: xyzusdt", "id": 3})
    assert talk.told() == ["Subscribed BTC-USDT trades", "Refused XYZ-USDT trades"]
