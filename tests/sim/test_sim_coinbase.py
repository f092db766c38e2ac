import pytest
from sim_clients import CoinbaseBook, Talk

from marketfeed.sim.coinbase import Coinbase
from marketfeed.sim.wire import Hangup

ROOT = "/api/v3/brokerage/market/"


def talk(**options):
    return Talk(Coinbase, path="/", **options)


def subscribe(channel="level2", *products, type="subscribe"):
    message = {"type": type, "channel": channel}
    return {**message, "product_ids": list(products or ("BTC-USD",))} if channel != "heartbeats" else message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"type": "subscribe", "channel": "level3", "product_ids": ["BTC-USD"]}, "level3"),
        ({"type": "subscribe", "channel": ["level2"], "product_ids": ["BTC-USD"]}, "not supported"),
        ({"type": "subscribe", "channel": "level2"}, "product_ids"),
        (subscribe("level2", "BTC-USD", "NO-SUCH"), "NO-SUCH is not a valid product"),
        ({"type": "ask"}, "type is invalid"),
    ],
)
def test_errors_have_no_channel_and_no_sequence(message, words):
    one = talk()
    [error] = one.say(**message)
    assert set(error) == {"type", "message"}
    assert words in error["message"]
    assert one.say(**subscribe())[0]["sequence_num"] == 0


def test_the_state_message_lists_the_whole_connection():
    one = talk()
    one.say(**subscribe("level2", "BTC-USD"))
    one.say(**subscribe("heartbeats"))
    state = one.say(**subscribe("level2", "ETH-USD"))[0]
    assert state["events"][0]["subscriptions"] == {"level2": ["BTC-USD", "ETH-USD"], "heartbeats": ["heartbeats"]}
    [state] = one.say(**subscribe("level2", "BTC-USD", type="unsubscribe"))
    assert state["events"][0]["subscriptions"]["level2"] == ["ETH-USD"]
    assert one.step("BTC-USD", 20) == []


def test_one_sequence_over_all_channels_of_the_connection():
    one = talk()
    frames = []
    for channel in ("level2", "market_trades", "ticker", "heartbeats"):
        frames += one.say(**subscribe(channel, "BTC-USD", "ETH-USD"))
    for _ in range(50):
        frames += one.step("BTC-USD") + one.step("ETH-USD") + one.later(0.1)
    assert [frame["sequence_num"] for frame in frames] == list(range(len(frames)))
    assert {frame["channel"] for frame in frames} == {
        "l2_data", "market_trades", "ticker", "heartbeats", "subscriptions",
    }  # fmt: skip


def test_the_book_follows_the_oracle_at_every_frame():
    one = talk()
    oracle = one.markets["BTC-USD"].oracle
    book = CoinbaseBook(oracle)
    frames = one.say(**subscribe()) + one.step("BTC-USD", 300)
    keys = []
    for frame in frames:
        if (key := book.frame(frame)) is not None:
            keys.append(key)
            assert book.hash == oracle.hash_at(key)
    assert len(keys) > 250
    assert keys == sorted(set(keys))


def test_an_alias_carries_the_other_products_id():
    one = talk()
    state, snapshot = one.say(**subscribe("level2", "BTC-USDC"))
    assert state["events"][0]["subscriptions"] == {"level2": ["BTC-USDC"]}
    assert snapshot["events"][0]["product_id"] == "BTC-USD"
    assert {f["events"][0]["product_id"] for f in one.step("BTC-USD", 20)} == {"BTC-USD"}
    assert len(one.say(**subscribe("level2", "BTC-USD"))) == 1  # the same book: no second snapshot


def test_trades_carry_the_makers_side_newest_first_after_a_snapshot_of_old_ones():
    one = talk()
    snapshot, _ = one.say(**subscribe("market_trades"))
    assert snapshot["events"][0]["type"] == "snapshot"
    old = int(snapshot["events"][0]["trades"][0]["trade_id"])
    rows = []
    for frame in one.step("BTC-USD", 200):
        ids = [int(row["trade_id"]) for row in frame["events"][0]["trades"]]
        assert ids == sorted(ids, reverse=True)
        rows += reversed(frame["events"][0]["trades"])
    assert [int(row["trade_id"]) for row in rows] == list(range(old + 1, old + 1 + len(rows)))
    recent = one.markets["BTC-USD"].recent
    assert [row["side"] for row in rows[-50:]] == ["SELL" if r.fill.taker == "bid" else "BUY" for r in recent]


def test_trades_are_batched_by_a_quarter_second():
    one = talk(by_hand=False)
    one.say(**subscribe("market_trades"))
    assert 5 <= len(one.step("BTC-USD", 100)) <= 9  # 2 s
    one.later(1)
    assert one.later(1) == []


def test_tickers_come_with_matches():
    one = talk()
    snapshot, _ = one.say(**subscribe("ticker"))
    assert snapshot["events"][0]["type"] == "snapshot"
    rows = [frame["events"][0]["tickers"][0] for frame in one.step("BTC-USD", 50)]
    assert rows
    assert all(float(row["best_bid"]) < float(row["best_ask"]) for row in rows)


def test_heartbeats_count_and_use_sequence_numbers():
    one = talk()
    one.say(**subscribe("heartbeats"))
    beats = one.later(1.0) + one.later(0.5) + one.later(0.6)
    counters = [frame["events"][0]["heartbeat_counter"] for frame in beats]
    assert counters == [counters[0], counters[0] + 1]
    assert [frame["sequence_num"] for frame in beats] == [1, 2]
    assert " +0000 UTC m=+" in beats[0]["events"][0]["current_time"]


def test_a_client_that_says_nothing_for_five_seconds_is_cut():
    one = talk()
    assert one.later(5) == []
    [hangup] = one.later(0.1)
    assert isinstance(hangup, Hangup)
    assert one.breaches == {"coinbase:first subscribe": 1}


def test_eight_messages_a_second():
    one = talk()
    answers = [one.say(type="?")[0]["message"] for _ in range(9)]
    assert answers[-1] == "rate limit exceeded" != answers[-2]


def test_messages_are_counted_over_all_connections():
    one = talk()
    for _ in range(8):
        one.say(type="?")
    other = one.venue.connect("/", {}, one.now)
    [refused] = other.on_text('{"type":"?"}', one.now)
    assert "rate limit exceeded" in refused.text
    assert one.breaches == {"coinbase:messages": 1}


def test_snapshot_faults():
    late = talk(faults="late_snapshot=2s,refuse=ETH-USD")
    assert [frame["channel"] for frame in late.say(**subscribe())] == ["subscriptions"]
    assert late.step("BTC-USD", 10) == []
    [snapshot] = late.later(2.0)
    assert (snapshot["sequence_num"], snapshot["events"][0]["type"]) == (1, "snapshot")
    assert late.say(**subscribe("level2", "ETH-USD"))[0]["type"] == "error"
    never = talk(faults="no_snapshot=1")
    assert len(never.say(**subscribe())) == 1
    assert all(frame["events"][0]["type"] == "update" for frame in never.step("BTC-USD", 10))


def test_rest():
    one = talk()
    _, body, _ = one.rest(ROOT + "products", product_type="SPOT")
    assert [row["product_id"] for row in body["products"]] == ["BTC-USD", "ETH-USD", "SOL-USD", "BTC-USDC"]
    assert (body["products"][0]["alias_to"], body["products"][3]["alias"]) == (["BTC-USDC"], "BTC-USD")
    assert one.rest(ROOT + "products", product_type="FUTURE")[1]["products"] == []
    assert [r["product_id"] for r in one.rest(ROOT + "products", limit="1", offset="1")[1]["products"]] == ["ETH-USD"]
    assert one.rest(ROOT + "products/ETH-USD")[1]["price_increment"] == "0.01"
    assert one.rest(ROOT + "products/NO-SUCH")[0] == 404
    book = one.rest(ROOT + "product_book", product_id="BTC-USDC", limit="3")[1]["pricebook"]
    assert (book["product_id"], len(book["bids"])) == ("BTC-USD", 3)
    assert one.rest(ROOT + "product_book")[0] == 404
    assert [one.rest("/nowhere")[0] for _ in range(4)][-1] == 429
