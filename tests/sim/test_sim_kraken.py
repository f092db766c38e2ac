import json
from decimal import Decimal

import pytest
from sim_clients import KrakenBook, Talk, unix_ns

from marketfeed.sim.kraken import Kraken
from marketfeed.sim.kraken_frames import checksum
from marketfeed.sim.wire import Hangup

# The sheet's worked example: section 6 of the protocol sheet.
ASKS = """45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660
45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827"""
BIDS = """45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586
45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238"""


def talk(**options):
    return Talk(Kraken, path="/v2", **options)


def subscribe(channel="book", symbols=("BTC/USD",), req_id=1, **params):
    return {
        "method": "subscribe",
        "params": {"channel": channel, "symbol": list(symbols), **params},
        "req_id": req_id,
    }


def test_checksum_of_the_sheets_worked_example():
    def levels(text):
        return [tuple(level.split("/")) for level in text.split()]

    assert checksum(levels(ASKS), levels(BIDS)) == 3310070434


def test_the_status_frame_comes_first_and_heartbeats_only_after_a_subscription():
    one = talk()
    [status] = one.hello
    assert (status["channel"], status["data"][0]["system"]) == ("status", "online")
    assert status["data"][0]["connection_id"] > 2**53
    assert one.later(2.0) == []
    one.say(**subscribe("trade"))
    assert one.later(0.5) == []
    assert one.later(0.6) == [{"channel": "heartbeat"}]
    one.say(**subscribe("ticker", event_trigger="bbo"))
    assert one.later(0.6) == []  # something else has been sent


def test_each_symbol_is_answered_alone_with_the_same_req_id():
    ack, book, error = talk().say(**subscribe(symbols=["BTC/USD", "XXX/USD"], depth=10, req_id=7))
    assert ack["result"] == {"channel": "book", "depth": 10, "snapshot": True, "symbol": "BTC/USD"}
    assert (ack["success"], ack["req_id"], ack["method"]) == (True, 7, "subscribe")
    assert (book["channel"], book["type"], len(book["data"][0]["bids"])) == ("book", "snapshot", 10)
    assert error["error"] == "Currency pair not supported XXX/USD"
    assert (error["success"], error["symbol"], error["req_id"]) == (False, "XXX/USD", 7)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (subscribe(), "Already subscribed"),
        (subscribe(depth=25), "Already subscribed"),
        (subscribe(depth=11, symbols=["ETH/USD"]), "depth not supported"),
        (subscribe("ohlc"), "not supported"),
        (subscribe("ticker", event_trigger="often"), "Event trigger"),
        (subscribe(symbols=["BTC-USD"]), "Currency pair not supported"),
        (subscribe(symbols=[]), "Symbol missing"),
        ({**subscribe(depth=25), "method": "unsubscribe"}, "Subscription Not Found"),
        ({**subscribe("trade"), "method": "unsubscribe"}, "Subscription Not Found"),
        ({"method": "shout"}, "Unsupported"),
        ([1], "Malformed"),
    ],
)
def test_refusals(message, words):
    one = talk()
    one.say(**subscribe())
    [answer] = one.text(json.dumps(message))
    assert words in answer["error"]
    assert answer["success"] is False


@pytest.mark.parametrize("depth", [10, 25, 1000])
def test_books_follow_the_truncation_rule_and_the_oracle(depth):
    one = talk()
    market = one.markets["BTC/USD".replace("/", "-")]
    book = KrakenBook(market.oracle)
    book.depth = depth
    frames = one.say(**subscribe(depth=depth)) + one.step("BTC-USD", 400)
    keys = [key for key in map(book.frame, frames) if key is not None]
    assert len(keys) > 100
    assert keys == sorted(set(keys))
    assert all(key % 1_000 == 0 for key in keys)
    assert book.hash == market.oracle.hash_at(keys[-1], depth)


def test_every_frame_of_a_book_of_ten_matches_the_oracle_in_its_window():
    one = talk()
    oracle = one.markets["BTC-USD"].oracle
    book = KrakenBook(oracle)
    pushed_out = 0
    for frame in one.say(**subscribe()) + one.step("BTC-USD", 300):
        before = set(book.bids) | set(book.asks)
        key = book.frame(frame)
        if key is not None:
            assert book.hash == oracle.hash_at(key, 10)
            zeros = {row["price"] for side in ("bids", "asks") for row in frame["data"][0][side] if not row["qty"]}
            pushed_out += bool(before - set(book.bids) - set(book.asks) - zeros)
    assert pushed_out  # some levels left the window without a zero


def test_numbers_have_the_pairs_full_precision():
    one = talk()
    one.say(**subscribe())
    for frame in one.step("BTC-USD", 50):
        for side in ("bids", "asks"):
            for row in frame["data"][0][side]:
                assert -row["price"].as_tuple().exponent == 1
                assert -row["qty"].as_tuple().exponent == 8


def test_trades_are_numbered_without_holes_and_tell_the_takers_side():
    one = talk()
    [_] = one.say(**subscribe("trade"))  # no snapshot unless asked for
    prints = [row for frame in one.step("BTC-USD", 200) for row in frame["data"]]
    ids = [row["trade_id"] for row in prints]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert {row["side"] for row in prints} == {"buy", "sell"}
    reports = list(one.markets["BTC-USD"].recent)
    assert [row["side"] for row in prints[-50:]] == ["buy" if r.fill.taker == "bid" else "sell" for r in reports]
    _, snapshot = talk().say(**subscribe("trade", snapshot=True))
    assert snapshot["type"] == "snapshot"


def test_ticker_triggers():
    quiet, busy = talk(), talk()
    for one, trigger in ((quiet, "trades"), (busy, "bbo")):
        ack, snapshot = one.say(**subscribe("ticker", event_trigger=trigger))
        assert ack["result"]["event_trigger"] == trigger
        assert snapshot["type"] == "snapshot"
    rows = [one.step("BTC-USD", 200) for one in (quiet, busy)]
    assert 0 < len(rows[0]) < len(rows[1])
    [row] = rows[1][-1]["data"]
    assert row["bid"] < row["ask"]
    assert row["low"] <= row["vwap"] <= row["high"]


def test_unsubscribe_with_the_same_depth_then_a_fresh_snapshot():
    one = talk()
    one.say(**subscribe(depth=25))
    [ack] = one.say(**{**subscribe(depth=25), "method": "unsubscribe"})
    assert ack["success"]
    assert one.step("BTC-USD", 20) == []
    assert one.say(**subscribe(depth=10))[1]["type"] == "snapshot"


def test_ping_instrument_and_idle_close():
    one = talk()
    [pong] = one.say(method="ping", req_id=101)
    assert (pong["method"], pong["req_id"]) == ("pong", 101)
    ack, reference = one.say(method="subscribe", params={"channel": "instrument"}, req_id=3)
    assert ack["success"]
    pair = reference["data"]["pairs"][0]
    assert (pair["symbol"], pair["price_precision"], pair["qty_increment"]) == ("BTC/USD", 1, Decimal("0.00000001"))
    [hangup] = talk().later(61)
    assert isinstance(hangup, Hangup)


def test_more_than_twenty_messages_a_second_is_told():
    one = talk()
    answers = [one.say(method="ping")[0] for _ in range(21)]
    assert answers[-1]["error"] == "Exceeded msg rate"
    assert one.breaches == {"kraken:messages": 1}


def test_snapshot_faults():
    late = talk(faults="late_snapshot=2s")
    assert len(late.say(**subscribe())) == 1
    assert late.step("BTC-USD", 20) == []
    book = KrakenBook(late.markets["BTC-USD"].oracle)
    [snapshot] = late.later(2.0)
    assert book.frame(snapshot) == unix_ns(snapshot["data"][0]["timestamp"])
    never = talk(faults="no_snapshot=1")
    assert len(never.say(**subscribe())) == 1
    assert all(frame["type"] == "update" for frame in never.step("BTC-USD", 30))
    assert len(never.say(**subscribe(symbols=["ETH/USD"]))) == 2
    [refused] = talk(faults="refuse=ETH-USD").say(**subscribe(symbols=["ETH/USD"]))
    assert refused["error"] == "Currency pair not supported ETH/USD"


@pytest.mark.parametrize(
    ("pair", "keys"),
    [
        (None, ["XXBTZUSD", "XETHZUSD", "SOLUSD", "XBTUSDT"]),
        ("XBTUSD", ["XXBTZUSD"]),
        ("XXBTZUSD,SOL/USD", ["XXBTZUSD", "SOLUSD"]),
        ("BTC/USDT", ["XBTUSDT"]),
        ("NOPE", None),
    ],
)
def test_asset_pairs(pair, keys):
    status, body, _ = talk().rest("/0/public/AssetPairs", **({"pair": pair} if pair else {}))
    assert status == 200
    if keys is None:
        assert body == {"error": ["EQuery:Unknown asset pair"]}
    else:
        assert list(body["result"]) == keys
        assert body["result"][keys[0]]["status"] == "online"


def test_rest_status_limit_and_v1_path():
    one = talk()
    assert one.rest("/0/public/SystemStatus")[1]["result"]["status"] == "online"
    assert [one.rest("/0/public/Time")[1]["error"] for _ in range(20)][-1] == ["EGeneral:Too many requests"]
    assert Kraken(one.markets, one.venue.troubles, by_hand=True).connect("/", {}, one.now).status == 404
