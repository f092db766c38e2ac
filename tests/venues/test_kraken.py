"""Kraken v2 as its protocol sheet has it: what it sends, what we make of it, what we ask."""

import json
import tracemalloc
import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketfeed.events import BookDelta, BookVoid, Gap, Malformed, Refused, SchemaDrift, Ticker, Trade, VenueStatus
from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import Request
from marketfeed.venues.kraken import VENUE, instruments, instruments_requests

from .conftest import Play, Talk
from .numbers import NO_IDS

HERE = Path(__file__).parent / "kraken"
MODES = pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
NOW = "2026-10-06T07:48:36.925533Z"
Begin = Callable[..., Talk]
Rows = list[tuple[str, str]]

BIDS: Rows = [("29430.1", "0.50000000"), ("29429.0", "1.00000000")]
ASKS: Rows = [("29431.1", "0.25000000"), ("29433.3", "0.80000000")]


@pytest.fixture
def begin(talk: type[Talk]) -> Begin:
    def start(*names: str, **options: Any) -> Talk:
        known: dict[str, Any] = {"depth": 10, "digits": (1, 8), "native": lambda s: s.replace("-", "/")} | options
        begun = talk(VENUE, *(names or ("BTC-USD",)), **known).open()
        begun.take()
        return begun

    return start


def checksum(bids: Rows, asks: Rows) -> int:
    """The guide's recipe: asks then bids, best first, each number without its point and leading zeros."""
    digits = "".join(n.replace(".", "").lstrip("0") for side in (asks, bids) for level in side[:10] for n in level)
    return zlib.crc32(digits.encode())


def book(kind: str, bids: Rows, asks: Rows, proof: int, name: str = "BTC/USD") -> str:
    def levels(rows: Rows) -> str:
        return "[" + ",".join(f'{{"price":{p},"qty":{q}}}' for p, q in rows) + "]"

    row = f'{{"symbol":"{name}","bids":{levels(bids)},"asks":{levels(asks)},"checksum":{proof},"timestamp":"{NOW}"}}'
    return f'{{"channel":"book","type":"{kind}","data":[{row}]}}'


SNAPSHOT = book("snapshot", BIDS, ASKS, checksum(BIDS, ASKS))


def trade(number: Any = 1, kind: str = "update", **fields: Any) -> dict[str, Any]:
    data = {"symbol": "BTC/USD", "side": "sell", "price": 4136.4, "qty": 0.2, "trade_id": number, "timestamp": NOW}
    return {"channel": "trade", "type": kind, "data": [data | fields]}


def ticker(**fields: Any) -> dict[str, Any]:
    return {"channel": "ticker", "type": "update", "data": [{"symbol": "BTC/USD", "bid": 1.0, "bid_qty": 2.0} | fields]}


def ack(request: int, channel: str, name: str = "BTC/USD", method: str = "subscribe", **fields: Any) -> dict[str, Any]:
    result = {"channel": channel, "symbol": name} | fields
    return {"method": method, "result": result, "success": True, "req_id": request}


def with_number(frame: dict[str, Any], text: str) -> str:
    return json.dumps(frame).replace('"?"', text)


# What it sends


@pytest.mark.parametrize("channel", ["trades", "ticker", "book"])
def test_frames_give_these_events(begin: Begin, play: Play, channel: str) -> None:
    play(begin(channels=(channel,)), HERE / channel)


def test_exact_numbers_keep_every_digit(begin: Begin) -> None:
    talk = begin(exact=True)
    talk.frame(with_number(trade(price="?"), "4136.40"), with_number(ticker(bid="?"), "1.10"), SNAPSHOT)
    talk.frame(book("update", [("29430.1", "0.75000000")], [], checksum([("29430.1", "0.75000000"), BIDS[1]], ASKS)))
    sold, bid, _, changed = talk.take()
    assert isinstance(sold, Trade)
    assert isinstance(bid, Ticker)
    assert isinstance(changed, BookDelta)
    assert (str(sold.price), str(bid.bid)) == ("4136.40", "1.10")
    assert str(changed.bids) == "((Decimal('29430.1'), Decimal('0.75000000')),)"


def test_history_is_not_news_but_shows_what_was_missed(begin: Begin) -> None:
    talk = begin().frame(trade(10), trade(13, "snapshot"))
    _, gap = talk.take()
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.from_seq, gap.to_seq) == ("trade ids", 11, 13)


@pytest.mark.parametrize("frame", [{"channel": "heartbeat"}, {"method": "pong", "req_id": 1}], ids=str)
def test_heartbeats_and_pongs_are_talk(begin: Begin, frame: dict[str, Any]) -> None:
    talk = begin().frame(frame)
    assert (talk.events, talk.counts.control) == ([], 1)


def test_P30_the_venue_speaks_of_itself(begin: Begin) -> None:
    talk = begin().frame({"channel": "status", "type": "update", "data": [{"system": "maintenance", "version": "2"}]})
    (status,) = talk.take()
    assert isinstance(status, VenueStatus)
    assert (status.status, talk.counts.control) == ("maintenance", 1)


@pytest.mark.parametrize("channel", ["ohlc", "instrument", "level3"])
def test_channels_that_are_known_but_not_asked_for_are_ignored(begin: Begin, channel: str) -> None:
    talk = begin().frame({"channel": channel, "type": "update", "data": []})
    assert (talk.events, talk.counts.ignored) == ([], 1)


def test_P03_an_unknown_channel_is_told_once(begin: Begin) -> None:
    talk = begin().frame({"channel": "mood", "data": []}, {"channel": "mood", "data": []})
    assert [e.what for e in talk.take() if isinstance(e, SchemaDrift)] == ["mood"]
    assert talk.counts.ignored == 2


@pytest.mark.parametrize(
    "frame", [trade(symbol="ETH/USD"), ticker(symbol="ETH/USD"), SNAPSHOT.replace("BTC/USD", "ETH/USD")], ids=str
)
def test_P05_data_of_another_market_is_dropped_and_counted(begin: Begin, frame: Any) -> None:
    talk = begin().frame(frame)
    assert (talk.events, talk.counts.ignored, talk.counts.unknown_symbols) == ([], 1, 1)


# The book


def test_a_checksum_on_every_update_proves_the_book(begin: Begin) -> None:
    talk = begin().frame(SNAPSHOT, book("update", [], [("29431.1", "0.0")], checksum(BIDS, ASKS[1:])))
    assert talk.told() == ["BookSnapshot BTC-USD", "BookDelta BTC-USD"]
    assert (talk.counts.checksums_ok, talk.counts.checksums_bad) == (2, 0)


def test_without_an_instrument_the_digits_are_as_sent(begin: Begin) -> None:
    talk = begin(digits=None).frame(SNAPSHOT)
    assert talk.counts.checksums_ok == 1


FINER_BIDS: Rows = [("29430.10", "0.50000000"), ("29429.00", "1.00000000")]
FINER_ASKS: Rows = [("29431.10", "0.25000000"), ("29433.30", "0.80000000")]
FINER = checksum(FINER_BIDS, FINER_ASKS)


def test_P29_a_market_that_was_wanted_later_is_read_by_its_digits(begin: Begin) -> None:
    talk = begin("ETH-USD")
    talk.enlist("BTC-USD", "BTC/USD", (1, 8))
    talk.change([talk.sub("BTC-USD", "book", 10)])
    short = ([(price, f"{Decimal(size).normalize():f}") for price, size in side] for side in (BIDS, ASKS))
    talk.frame(ack(4, "book", depth=10), book("snapshot", *short, checksum(BIDS, ASKS)))
    assert talk.states()["BTC/USD"] == "live"


def test_P29_a_book_of_other_digits_has_the_list_read_again(begin: Begin) -> None:
    talk = begin().frame(ack(1, "book", depth=10), SNAPSHOT)
    talk.frame(book("update", BIDS[:1], [], FINER))
    assert talk.relists == 0  # once may be a byte on its way
    talk.wait(1).frame(ack(2, "book", method="unsubscribe")).wait(1).frame(ack(3, "book", depth=10))
    talk.frame(book("snapshot", FINER_BIDS, FINER_ASKS, FINER))
    assert (talk.states(), talk.relists) == ({"BTC/USD": "waiting"}, 1)
    talk.relisted("BTC-USD", "BTC/USD", (2, 8))
    talk.frame(ack(4, "book", method="unsubscribe")).wait(1).frame(ack(5, "book", depth=10))
    talk.frame(book("snapshot", FINER_BIDS, FINER_ASKS, FINER))
    assert (talk.states(), talk.closed) == ({"BTC/USD": "live"}, "")


def test_P29_the_second_and_third_snapshot_within_a_minute_leave_the_list_time_to_come(begin: Begin) -> None:
    talk = begin("BTC-USD", channels=("book",)).frame(ack(1, "book", depth=10), SNAPSHOT)
    talk.frame(book("update", BIDS[:1], [], FINER))
    waits = []
    for request in (2, 4, 6):
        talk.wait(0.25).frame(ack(request, "book", method="unsubscribe"))
        quarters = 0
        while talk.sent[-1]["method"] == "unsubscribe":
            talk.wait(0.25)
            quarters += 1
        waits.append(quarters / 4)
        talk.frame(ack(request + 1, "book", depth=10), book("snapshot", FINER_BIDS, FINER_ASKS, FINER))
    assert waits == pytest.approx([0.25, 1, 2], abs=0.5)


def test_P29_news_of_other_digits_is_not_one_loss_too_many(begin: Begin) -> None:
    talk = begin().frame(ack(1, "book", depth=10), SNAPSHOT, book("update", BIDS[:1], [], FINER))
    for request in (2, 4, 6):  # the list is on its way meanwhile
        talk.wait(0.25).frame(ack(request, "book", method="unsubscribe"))
        talk.wait(0.25).frame(ack(request + 1, "book", depth=10))
        if request < 6:
            talk.frame(book("snapshot", FINER_BIDS, FINER_ASKS, FINER))
    talk.relisted("BTC-USD", "BTC/USD", (2, 8))
    assert talk.closed == ""


def test_P29_a_book_whose_market_gets_other_digits_begins_anew(begin: Begin) -> None:
    talk = begin().frame(ack(1, "book", depth=10), SNAPSHOT)
    talk.take()
    talk.relisted("BTC-USD", "BTC/USD", (1, 8), status="post_only")
    assert (talk.told(), talk.states()) == ([], {"BTC/USD": "live"})
    talk.relisted("BTC-USD", "BTC/USD", (2, 8))
    gap, void = talk.take()
    assert isinstance(gap, Gap)
    assert isinstance(void, BookVoid)
    assert (gap.cause, gap.detail) == ("checksum", "the digits of the market have changed")
    assert talk.sent[-1]["method"] == "unsubscribe"


def test_an_update_of_thousands_of_usual_levels_takes_no_more_than_8_times_its_size(begin: Begin) -> None:
    talk = begin().frame(SNAPSHOT)
    frame = book("update", [("64523.8", "0.00037100")] * 5_000, [], 1)
    tracemalloc.start()
    try:
        talk.frame(frame)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024 + 8 * len(frame)


def test_P23_a_wrong_checksum_voids_that_book_and_asks_again(begin: Begin) -> None:
    talk = begin("BTC-USD", "ETH-USD", channels=("book",))
    talk.frame(ack(1, "book", depth=10), ack(1, "book", "ETH/USD", depth=10))
    talk.frame(SNAPSHOT, SNAPSHOT.replace("BTC/USD", "ETH/USD"))
    talk.take()
    talk.frame(book("update", BIDS[:1], [], 12345))
    assert talk.told() == ["Gap BTC-USD book", "BookVoid BTC-USD"]
    talk.wait(1)
    assert talk.sent[-1]["method"] == "unsubscribe"
    assert talk.sent[-1]["params"] == {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}
    talk.frame(ack(2, "book", method="unsubscribe")).wait(1)
    assert talk.sent[-1]["params"] == {"channel": "book", "symbol": ["BTC/USD"], "depth": 10, "snapshot": True}
    talk.frame(SNAPSHOT)
    assert talk.states() == {"BTC/USD": "live", "ETH/USD": "live"}


def test_P23_a_snapshot_that_is_not_its_checksum_never_shows(begin: Begin) -> None:
    talk = begin().frame(book("snapshot", BIDS, ASKS, 12345))
    assert [e for e in talk.take() if not isinstance(e, Gap)] == []
    assert talk.states() == {"BTC/USD": "waiting"}


def test_P26_levels_beyond_the_depth_are_removed(begin: Begin) -> None:
    bids = [(f"{100 - i}.0", "1.00000000") for i in range(10)]
    better = [("101.0", "1.00000000"), *bids[:9]]
    talk = begin().frame(book("snapshot", bids, [], checksum(bids, [])))
    talk.frame(book("update", better[:1], [], checksum(better, [])))
    changed = talk.take()[-1]
    assert isinstance(changed, BookDelta)
    assert changed.bids == ((101.0, 1.0), (91.0, 0.0))


@pytest.mark.parametrize(("wanted", "asked"), [(0, 1000), (1, 10), (10, 10), (11, 25), (500, 500), (5000, 1000)])
def test_the_depth_asked_for_is_the_shallowest_that_will_do(begin: Begin, wanted: int, asked: int) -> None:
    talk = begin(depth=wanted, channels=("book",))
    assert talk.sent[-1]["params"]["depth"] == asked


def test_the_depth_that_is_granted_is_the_one_kept(begin: Begin) -> None:
    talk = begin().frame(ack(1, "book", depth=25))
    assert talk.session.books["BTC/USD"].depth == 25


# What cannot be read


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"data":' + b"[" * 100_000,
        {"channel": ""},
        {"channel": "trade", "data": [{}]},
        {"channel": "trade", "data": {}},
        trade(side="both"),
        trade(timestamp="now"),
        ticker(timestamp="2026"),
        {"channel": "status", "data": 5},
        {"method": "subscribe", "success": "maybe"},
        json.dumps(trade())[:-2],
    ],
    ids=lambda f: repr(f)[:60],
)
@MODES
def test_P01_P02_P04_what_cannot_be_read_is_malformed(begin: Begin, frame: Any, exact: bool) -> None:
    talk = begin(exact=exact).frame(frame)
    assert [type(e) for e in talk.take()] == [Malformed]
    assert talk.counts.malformed == talk.counts.frames == 1


@pytest.mark.parametrize(
    ("frame", "voided"),
    [
        (SNAPSHOT.replace('"checksum"', '"sum"'), ["BTC-USD"]),
        (SNAPSHOT.replace("0.25000000", "-1"), ["BTC-USD"]),
        (SNAPSHOT.replace("BTC/USD", "XRP/USD").replace("0.25000000", "-1"), []),
        (SNAPSHOT[:-3], ["BTC-USD", "ETH-USD"]),
        ('{"channel":"book","data":[{}]}', ["BTC-USD", "ETH-USD"]),
        ('{"channel":"book","data":[5]}', ["BTC-USD", "ETH-USD"]),
        ('{"channel":"trade","data":[{}]}', []),
    ],
)
def test_P04_a_bad_frame_voids_the_books_it_may_be_of(begin: Begin, frame: str, voided: list[str]) -> None:
    talk = begin("BTC-USD", "ETH-USD", channels=("book",)).frame(SNAPSHOT, SNAPSHOT.replace("BTC/USD", "ETH/USD"))
    talk.take()
    talk.frame(frame)
    assert [e.symbol for e in talk.take() if isinstance(e, BookVoid)] == voided


@pytest.mark.parametrize("frame", [book("update", [], [], 1), trade()], ids=["book", "trade"])
@pytest.mark.parametrize("kind", [None, "", "Snapshot"])
def test_P04_data_that_does_not_say_whether_it_is_history_is_not_read(begin: Begin, frame: Any, kind: Any) -> None:
    message = json.loads(frame) if isinstance(frame, str) else frame
    message = {name: value for name, value in (message | {"type": kind}).items() if value is not None}
    talk = begin().frame(SNAPSHOT)
    talk.take()
    talk.frame(message)
    assert isinstance(talk.take()[0], Malformed)


def answering_pings(talk: Talk) -> Talk:
    """Six seconds in which nothing comes but answers to pings."""
    for _ in range(12):
        talk.wait(0.5)
        talk.frame(*[{"method": "pong", "req_id": s["req_id"]} for s in talk.sent if s["method"] == "ping"])
        talk.sent.clear()
    return talk


def test_T04_a_venue_that_answers_pings_and_has_stopped_its_heartbeat_is_given_up(begin: Begin) -> None:
    talk = answering_pings(begin().frame(ack(1, "book"), SNAPSHOT))
    assert talk.closed.startswith("silent for 5")
    assert talk.counts.control == talk.counts.frames - 1


def test_T04_where_nothing_is_due_an_answered_ping_is_life(begin: Begin) -> None:
    refusal = {"error": "Currency pair not supported BTC/USD", "method": "subscribe", "success": False, "req_id": 1}
    talk = answering_pings(begin(channels=("book",)).frame(refusal | {"symbol": "BTC/USD"}))
    assert talk.session.refusals()
    assert talk.closed == ""


# Numbers: JSON numbers here, never strings

FIELDS = {
    "trade price": with_number(trade(price="?"), "?"),
    "trade size": with_number(trade(qty="?"), "?"),
    "bid": with_number(ticker(bid="?"), "?"),
    "level price": book("update", [("?", "1")], [], 1),
    "level size": book("update", [], [("29431.1", "?")], 1),
}


def refuses(begin: Begin, field: str, text: str, exact: bool) -> None:
    talk = begin(exact=exact).frame(SNAPSHOT)
    talk.take()
    talk.frame(FIELDS[field].replace("?", text))
    assert isinstance(talk.take()[0], Malformed)
    assert talk.counts.malformed == 1


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "1_000", "+1.5", ".5", "1.", "01", "0x10", '"NaN"', '" 1"', "[]", ""]
)
@pytest.mark.parametrize("field", FIELDS)
@MODES
def test_P07_what_is_no_number(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, field, text, exact)


@pytest.mark.parametrize("text", ["1e31", "1E1000000", "1e-400", "0." + "0" * 400 + "1", "1." + "0" * 39, "1E-5000"])
@pytest.mark.parametrize("field", FIELDS)
@MODES
def test_P08_P09_magnitudes_beyond_all_markets(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, field, text, exact)


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "-1e-8", "1e-31"])
@pytest.mark.parametrize("field", ["trade price", "trade size", "level price"])
@MODES
def test_P10_prices_and_traded_sizes_are_positive(begin: Begin, field: str, text: str, exact: bool) -> None:
    refuses(begin, field, text, exact)


@pytest.mark.parametrize("text", [text for text in NO_IDS if text != '"x"'])
def test_P10_trade_ids_are_exact_integers(begin: Begin, text: str) -> None:
    assert [type(e) for e in begin().frame(with_number(trade("?"), text)).take()] == [Malformed]


# What we ask


def test_one_request_a_channel(begin: Begin) -> None:
    talk = begin("BTC-USD", "ETH-USD")
    both = ["BTC/USD", "ETH/USD"]
    assert talk.sent == [
        {
            "method": "subscribe",
            "params": {"channel": "book", "symbol": both, "depth": 10, "snapshot": True},
            "req_id": 1,
        },
        {
            "method": "subscribe",
            "params": {"channel": "ticker", "symbol": both, "event_trigger": "bbo", "snapshot": True},
            "req_id": 2,
        },
        {"method": "subscribe", "params": {"channel": "trade", "symbol": both, "snapshot": False}, "req_id": 3},
    ]


def test_acks_come_one_by_one(begin: Begin) -> None:
    talk = begin().frame(ack(3, "trade"), ack(9, "executions"), {"method": "subscribe", "success": True, "req_id": 9})
    assert talk.told() == ["Subscribed BTC-USD trades"]
    assert talk.counts.control == 3


def test_P27_an_error_refuses_its_symbol(begin: Begin) -> None:
    talk = begin("BTC-USD", "XYZ-USD", channels=("trades",))
    error = "Currency pair not supported XYZ/USD"
    talk.frame({"error": error, "method": "subscribe", "req_id": 1, "success": False, "symbol": "XYZ/USD"})
    (refused,) = talk.take()
    assert isinstance(refused, Refused)
    assert (refused.symbol, refused.reason) == ("XYZ-USD", error)


def test_P27_an_error_that_names_no_symbol_is_about_all_of_its_request(begin: Begin) -> None:
    talk = begin("BTC-USD", "ETH-USD", channels=("trades",))
    talk.frame({"error": "Malformed request", "method": "subscribe", "req_id": 1, "success": False})
    assert talk.told() == ["Refused BTC-USD trades", "Refused ETH-USD trades"]


def asked(talk: Talk) -> list[Any]:
    return [said["params"] for said in talk.sent if said["method"] == "subscribe"]


@pytest.mark.parametrize("error", ["EGeneral:Too many requests", "Exceeded msg rate", "EAPI:Rate limit exceeded"])
def test_P27_what_came_too_often_is_asked_for_again_later_and_never_refused(begin: Begin, error: str) -> None:
    talk = begin(channels=("trades",))
    (first,) = talk.sent
    talk.frame({"error": error, "method": "subscribe", "req_id": 1, "success": False}).wait(2)
    assert talk.told() == ["VenueStatus"]
    assert asked(talk) == [first["params"]], "not at once"
    talk.frame({"channel": "heartbeat"}).wait(3)
    assert asked(talk) == [first["params"]] * 2
    assert talk.told() == []


def test_P27_an_end_that_was_asked_for_too_often_is_not_taken_for_granted(begin: Begin) -> None:
    talk = begin(channels=("trades",)).frame(
        {"method": "subscribe", "req_id": 1, "success": True, "result": {"channel": "trade", "symbol": "BTC/USD"}}
    )
    talk.change(drop=[talk.sub("BTC-USD", "trades")])
    talk.frame({"error": "Exceeded msg rate", "method": "unsubscribe", "req_id": 2, "success": False})
    assert talk.session._desk.entries


def test_already_subscribed_is_no_refusal(begin: Begin) -> None:
    error = {"error": "Already subscribed to one interval on this symbol", "method": "subscribe", "success": False}
    talk = begin(channels=("trades",)).frame(error | {"req_id": 1, "symbol": "BTC/USD"})
    assert talk.told() == ["Subscribed BTC-USD trades"]


def test_a_quiet_link_is_pinged_in_json(begin: Begin) -> None:
    ping = begin().session._decoder.ping()
    assert ping is not None
    assert json.loads(ping) == {"method": "ping", "req_id": 4}


# Instruments and links


def listed(**pairs: Any) -> bytes:
    return json.dumps({"error": [], "result": pairs}).encode()


def pair(**fields: Any) -> dict[str, Any]:
    known = {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1}
    return known | {"lot_decimals": 8, "tick_size": "0.1", "ordermin": "0.0001", "status": "online"} | fields


def test_instruments_have_modern_names() -> None:
    (found,) = instruments(listed(XXBTZUSD=pair()))
    assert (found.symbol, found.native, found.base, found.quote) == ("BTC-USD", "BTC/USD", "BTC", "USD")
    assert (found.tick, found.lot) == (Decimal("0.1"), Decimal("1E-8"))
    assert (found.price_digits, found.size_digits, found.trading) == (1, 8, True)


def test_a_tick_that_is_absent_follows_from_the_digits() -> None:
    assert instruments(listed(A=pair(tick_size=None, pair_decimals=2)))[0].tick == Decimal("0.01")


@pytest.mark.parametrize("digits", [31, 10**9, 10**30, -1, -(10**6)])
def test_P08_digits_that_no_number_has_are_unknown_and_cost_nothing(digits: int) -> None:
    (found,) = instruments(listed(A=pair(tick_size=None, pair_decimals=digits, lot_decimals=digits)))
    assert (found.tick, found.lot, found.price_digits, found.size_digits) == (None, None, None, None)


@pytest.mark.parametrize("tick", ["sNaN", "NaN", "-0.1", "0", "1e400", "1e-400"])
def test_P07_P08_a_tick_that_is_absurd_follows_from_the_digits(tick: str) -> None:
    (found,) = instruments(listed(A=pair(tick_size=tick)))
    assert (found.tick, found.as_floats().tick) == (Decimal("0.1"), 0.1)


def test_P29_only_online_is_trading() -> None:
    assert instruments(listed(A=pair(status="cancel_only")))[0].trading is False


def test_P33_dark_pools_and_hostile_names_never_enter() -> None:
    found = instruments(listed(**{"A.d": pair(), "B": pair(wsname=""), "C": pair(wsname="X\u202e/USD"), "D": pair()}))
    assert [i.symbol for i in found] == ["BTC-USD"]


def test_an_error_comes_with_http_200() -> None:
    with pytest.raises(ValueError, match="EQuery:Unknown asset pair"):
        instruments(b'{"error":["EQuery:Unknown asset pair"]}')


def test_instruments_are_asked_for_by_their_old_names_then_all() -> None:
    assert instruments_requests(["BTC-USD", "DOGE-BTC"]) == [
        Request("/0/public/AssetPairs?pair=XBT%2FUSD%2CXDG%2FXBT"),
        Request("/0/public/AssetPairs"),
    ]


def test_one_url_for_everything() -> None:
    wanted = [Subscription("kraken", f"A{i}-USD", "trades") for i in range(700)]
    plans = VENUE.plan(VENUE.endpoints, wanted, VENUE.pace)
    assert [(p.url, len(p.subscriptions)) for p in plans] == [
        ("wss://ws.kraken.com/v2", 600),
        ("wss://ws.kraken.com/v2", 100),
    ]


def test_P30_maintenance_voids_the_books_and_its_end_brings_a_new_connection(begin: Begin) -> None:
    talk = begin()
    system = {"channel": "status", "type": "update"}
    talk.frame({**system, "data": [{"system": "online"}]}, {**system, "data": [{"system": "maintenance"}]})
    assert talk.closed == ""
    talk.frame({**system, "data": [{"system": "online"}]}).wait(1)
    assert talk.replaced == "online again after maintenance"
