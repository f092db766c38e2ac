import json

import pytest
from sim_clients import BinanceBook, Talk

from marketfeed.sim.binance import Binance
from marketfeed.sim.wire import Hangup, Ping


def talk(path="/stream", **options):
    return Talk(Binance, path=path, **options)


def subscribe(*streams, id=1):
    return {"method": "SUBSCRIBE", "params": list(streams), "id": id}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (json.dumps(subscribe("btcusdt@trade")), {"result": None, "id": 1}),
        (json.dumps(subscribe("nosuch@trade", "BTCUSDT@trade", "btcusdt@nosuch", id="a")), {"result": None, "id": "a"}),
        ('{"method":"LIST_SUBSCRIPTIONS","id":3}', {"result": ["ethusdt@trade"], "id": 3}),
        ('{"method":"UNSUBSCRIBE","params":["ethusdt@trade"],"id":312}', {"result": None, "id": 312}),
        ('{"method":"SET_PROPERTY","params":["combined",false],"id":5}', {"result": None, "id": 5}),
        ('{"method":"GET_PROPERTY","params":["combined"],"id":6}', {"result": True, "id": 6}),
        ('{"method":"SET_PROPERTY","params":["shape",true],"id":5}', {"code": 0, "id": 5}),
        ('{"method":"SET_PROPERTY","params":["combined","x"],"id":5}', {"code": 1, "id": 5}),
        ('{"id":1}', {"code": 2}),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', {"code": 2, "id": 1}),
        ('{"method":"DANCE","id":1}', {"code": 2, "id": 1}),
        ("{", {"code": 3}),
    ],
)
def test_control_plane(text, answer):
    one = talk(query={"streams": "ethusdt@trade"})
    [got] = one.text(text)
    got.pop("msg", None)
    assert got == answer


def test_unknown_streams_are_acked_and_silent():
    one = talk()
    one.say(**subscribe("nosuch@trade", "BTCUSDT@trade", "btcusdt@nosuch", "btcusdt@trade@100ms"))
    assert one.step("BTC-USDT", 50) == []


@pytest.mark.parametrize(("path", "wrapped"), [("/stream", True), ("/ws", False), ("/ws/btcusdt@bookTicker", False)])
def test_paths(path, wrapped):
    one = talk(path)
    one.say(**subscribe("btcusdt@bookTicker"))
    frame = one.step("BTC-USDT", 20)[0]
    assert ("stream" in frame) is wrapped
    row = frame["data"] if wrapped else frame
    assert set(row) == set("usbBaA")
    assert float(row["b"]) < float(row["a"])


def test_the_book_joins_the_rest_snapshot_and_follows_the_oracle():
    one = talk()
    oracle = one.markets["BTC-USDT"].oracle
    book = BinanceBook(oracle)
    one.say(**subscribe("btcusdt@depth@100ms"))
    book.waiting += [frame["data"] for frame in one.step("BTC-USDT", 5)]
    status, body, reply = one.rest("/api/v3/depth", symbol="BTCUSDT", limit="5000")
    assert (status, reply.headers["X-MBX-USED-WEIGHT-1M"]) == (200, "250")
    book.waiting += [frame["data"] for frame in one.step("BTC-USDT", 5)]
    book.snapshot(body)
    frames = one.step("BTC-USDT", 300)
    assert len(frames) > 250
    for frame in frames:
        assert frame["stream"] == "btcusdt@depth@100ms"
        book.apply(frame["data"])
        assert book.hash == oracle.hash_at(book.last)
    assert book.gaps == 0


def test_depth_batches_by_time_when_the_market_runs_by_itself():
    one = talk(by_hand=False)
    one.say(**subscribe("btcusdt@depth@100ms", "ethusdt@depth"))
    fast = one.step("BTC-USDT", 100)  # 2 s
    slow = one.step("ETH-USDT", 100)
    assert 15 <= len(fast) <= 21
    assert 1 <= len(slow) <= 3
    assert max(len(frame["data"]["b"]) for frame in fast) > 3


def test_trades_count_up_and_m_says_that_the_buyer_was_the_maker():
    one = talk()
    one.say(**subscribe("btcusdt@trade"))
    rows = [frame["data"] for frame in one.step("BTC-USDT", 200)]
    assert [row["t"] for row in rows] == list(range(rows[0]["t"], rows[0]["t"] + len(rows)))
    recent = one.markets["BTC-USDT"].recent
    assert [row["m"] for row in rows[-50:]] == [report.fill.taker == "ask" for report in recent]
    assert all(len(row["p"].partition(".")[2]) == 8 for row in rows)


def test_microseconds_on_request():
    frames = []
    for query in ({}, {"timeUnit": "MICROSECOND"}):
        one = talk(query={"streams": "btcusdt@trade", **query})
        frames.append(one.step("BTC-USDT", 50)[0]["data"]["T"])
    assert frames[0] == frames[1] // 1_000


def test_day_ticker_and_partial_depth():
    one = talk()
    one.say(**subscribe("btcusdt@ticker", "btcusdt@depth5"))
    frames = one.step("BTC-USDT", 10)
    assert {frame["stream"] for frame in frames} == {"btcusdt@ticker", "btcusdt@depth5"}
    by = {frame["stream"]: frame["data"] for frame in frames}
    assert by["btcusdt@ticker"]["e"] == "24hrTicker"
    assert len(by["btcusdt@depth5"]["bids"]) == 5


def test_five_messages_a_second_and_pongs_count():
    one = talk()
    for n in range(4):
        one.say(method="LIST_SUBSCRIPTIONS", id=n)
    assert one.conversation.on_control(pong=True, now=one.now) == []
    [hangup] = one.say(method="LIST_SUBSCRIPTIONS", id=9)
    assert isinstance(hangup, Hangup)
    assert one.breaches == {"binance:messages": 1}


def test_stream_limit():
    one = talk()
    error, hangup = one.say(**subscribe(*(f"s{n}@trade" for n in range(1025))))
    assert error["code"] == 2
    assert isinstance(hangup, Hangup)


def test_pings_every_twenty_seconds_and_a_cut_without_pong():
    one = talk()
    assert one.later(19) == []
    assert one.later(1) == [Ping()]
    one.conversation.on_control(pong=True, now=one.now)
    assert [one.later(20) for _ in range(4)] == [[Ping()]] * 4
    [hangup] = one.later(1)
    assert isinstance(hangup, Hangup)


def test_server_shutdown_notice():
    one = talk()
    [frame] = one._read(one.conversation.shutdown_notice(one.now))
    assert (frame["stream"], frame["data"]["e"]) == ("!serverShutdown", "serverShutdown")


@pytest.mark.parametrize(
    ("path", "query", "status", "expected"),
    [
        ("/api/v3/time", {}, 200, "serverTime"),
        ("/api/v3/ping", {}, 200, None),
        ("/api/v3/exchangeInfo", {"symbols": '["ETHBTC"]'}, 200, "symbols"),
        ("/api/v3/exchangeInfo", {"symbol": "BTCUSD"}, 400, -1121),
        ("/api/v3/exchangeInfo", {"symbols": "ETHBTC"}, 400, -1100),
        ("/api/v3/depth", {"symbol": "BTCUSD"}, 400, -1121),
        ("/api/v1/depth", {"symbol": "BTCUSDT"}, 404, -1000),
    ],
)
def test_rest(path, query, status, expected):
    got, body, _ = talk().rest(path, **query)
    assert got == status
    assert expected is None or expected in body or body["code"] == expected


def test_exchange_info_is_filtered_and_exact():
    _, body, _ = talk().rest("/api/v3/exchangeInfo", symbols='["ETHBTC"]')
    [row] = body["symbols"]
    assert (row["symbol"], row["baseAsset"], row["quoteAsset"]) == ("ETHBTC", "ETH", "BTC")
    assert row["filters"][0]["tickSize"] == "0.00001000"
    assert row["filters"][1]["stepSize"] == "0.00010000"
    assert not any(s["symbol"] == "BTCUSD" for s in talk().rest("/api/v3/exchangeInfo")[1]["symbols"])


def test_weight_runs_out_and_comes_back():
    one = talk()
    replies = [one.rest("/api/v3/depth", symbol="BTCUSDT", limit="5000") for _ in range(25)]
    assert [status for status, _, _ in replies].count(429) == 1
    assert replies[-1][2].headers["Retry-After"] == "60"
    one.mono += 61
    assert one.rest("/api/v3/depth", symbol="BTCUSDT")[0] == 200


def test_snapshot_faults():
    one = talk(faults="no_snapshot=2,late_snapshot=0.5s,refuse=ETH-USDT")
    assert [one.rest("/api/v3/depth", symbol="BTCUSDT")[0] for _ in range(3)] == [503, 503, 200]
    assert one.rest("/api/v3/depth", symbol="BTCUSDT")[2].delay_s == 0.5
    assert one.say(**subscribe("ethusdt@trade"))[0]["code"] == 2
    assert one.injected == {"no_snapshot": 2, "late_snapshot": 2, "refuse": 1}
