"""Conversations with a venue: a made-up one for the rules, Kraken for hostile frames.

Whatever comes, a session does not raise, counts every frame once, and tells a loss before anything newer.
"""

import json
import re
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from marketfeed import catalogue
from marketfeed.events import (
    UNLISTED,
    BookDelta,
    BookSnapshot,
    BookVoid,
    Connected,
    Disconnected,
    Gap,
    Head,
    Malformed,
    Refused,
    SchemaDrift,
    Stale,
    Subscribed,
    Ticker,
    Trade,
    VenueStatus,
)
from marketfeed.session import MAX_RESYNCS
from marketfeed.subscriptions import Channel
from marketfeed.venues._rules import crc32_levels, level_text
from marketfeed.venues._spec import BookRule

from .toy import (
    LINK,
    PACE,
    REST,
    STREAM,
    Conversation,
    PingingDecoder,
    delta,
    rest_snap,
    snap,
    subscription,
    trade,
)
from .venues.conftest import START, Talk
from .venues.numbers import BEYOND, NO_NUMBERS, NOT_POSITIVE, UNDERFLOW

MODES = pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
SOUND = b'{"c":"talk","what":"beat"}'


def kinds(talk: Talk, symbol: str = "") -> list[str]:
    """Names of the events since the last time, of one symbol where it is given."""
    return [type(e).__name__ for e in talk.take() if not symbol or e.symbol == symbol]


def live(rule: BookRule = REST, **options: Any) -> Conversation:
    """A conversation whose two books are live at 100."""
    talk = Conversation(rule, **options)
    for native in ("BTCUSD", "ETHUSD"):
        if rule.snapshot == "rest":
            talk.frame(delta(101, 101, native)).reply(rest_snap(100))
        else:
            talk.frame(snap(100, native))
    talk.pass_time(0.25)
    assert set(talk.states().values()) == {"live"}
    talk.take()
    return talk


def is_counted_once(talk: Talk) -> None:
    counts = talk.session.counts
    assert counts.frames == counts.decoded + counts.control + counts.ignored + counts.malformed
    assert min(structs.astuple(counts)) >= 0
    assert counts.decoded >= 0


# Open, ask, flow, close


def test_a_conversation_from_open_to_close() -> None:
    talk = Conversation(REST, "BTC-USD", channels=("book",), ack=False)
    talk.session.on_open(talk.mono_ns, talk.now, attempt=3)
    talk._do()
    assert talk.sent == [{"do": "sub", "ch": "book", "s": ["BTCUSD"], "depth": 0}]
    talk.ack("BTCUSD").frame(delta(101, 102, bids=[[100, 7]]))
    assert [f.request.path for f in talk.fetches] == ["/depth?symbol=BTCUSD"]
    talk.reply(rest_snap(100)).frame(delta(103, 103, bids=[[100, 0]], ts=9)).drop_link()
    head = {"venue": "toy", "symbol": "BTC-USD"}
    ms = 1_000_000
    at = [START + i * ms for i in range(6)]
    opening = BookSnapshot(
        **head, ts_recv=at[3], seq_local=3, epoch=1, seq=100, bids=((100.0, 5.0),), asks=((101.0, 5.0),)
    )
    last = {"ts_recv": at[4], "symbol": "BTC-USD", "venue": "toy"}
    assert talk.take() == [
        Connected(venue="toy", ts_recv=at[0], seq_local=1, link="link-1", attempt=3),
        Subscribed(**head, ts_recv=at[1], seq_local=2, channel="book"),
        opening,
        BookDelta(**head, ts_recv=at[2], seq_local=4, epoch=1, seq=102, prev_seq=100, bids=((100.0, 7.0),), asks=()),
        BookDelta(**last, ts_event=9, seq_local=5, epoch=1, seq=103, prev_seq=102, bids=((100.0, 0.0),), asks=()),
        Disconnected(venue="toy", ts_recv=at[4], seq_local=6, link="link-1", code=1006, reason="cut"),
        Gap(
            **last,
            seq_local=7,
            channel="book",
            cause="link lost",
            epoch=1,
            ts_from=at[4],
            ts_to=at[4],
            detail="cut",
        ),
        BookVoid(**last, seq_local=8, epoch=1, reason="link lost: cut"),
    ]


def test_a_link_closed_for_good_costs_nothing() -> None:
    talk = live().frame(trade(1))
    talk.take()
    talk.session.on_close(1000, "unsubscribed", talk.now, retry_s=None)
    assert kinds(talk) == ["Disconnected"]


def test_a_lost_link_is_told_of_each_stream_that_had_begun() -> None:
    talk = live().frame(trade(1), {"c": "ticker", "s": "BTCUSD", "last": 5})
    talk.take()
    talk.drop_link()
    told = [(type(e).__name__, e.symbol, getattr(e, "channel", "")) for e in talk.take()]
    assert told == [
        ("Disconnected", "", ""),
        ("Gap", "BTC-USD", "book"),
        ("BookVoid", "BTC-USD", ""),
        ("Gap", "ETH-USD", "book"),
        ("BookVoid", "ETH-USD", ""),
        ("Gap", "BTC-USD", "trades"),
        ("Gap", "ETH-USD", "trades"),
        ("Gap", "BTC-USD", "ticker"),
        ("Gap", "ETH-USD", "ticker"),
    ]


def test_T01_a_link_lost_before_the_first_trade_is_a_gap_where_the_venue_had_promised_them() -> None:
    talk = Conversation(REST, "BTC-USD").drop_link()
    told = [(type(e).__name__, getattr(e, "channel", "")) for e in talk.take()]
    assert told[-3:] == [("Disconnected", ""), ("Gap", "trades"), ("Gap", "ticker")], "no book was ever shown"


def test_a_link_lost_before_anything_was_acknowledged_costs_nothing() -> None:
    talk = Conversation(REST, "BTC-USD", ack=False).open()
    talk.drop_link()
    assert kinds(talk) == ["Connected", "Disconnected"]


@MODES
def test_numbers_are_of_the_kind_asked_for(exact: bool) -> None:
    talk = Conversation(STREAM, exact=exact).frame(trade(1, p="0.10", q="2"), snap(5, bids=[["0.10", "1"]]))
    number = Decimal if exact else float
    traded, book = (e for e in talk.take() if isinstance(e, Trade | BookSnapshot))
    assert (traded.price, type(traded.price)) == (number("0.10"), number)  # type: ignore[union-attr]
    assert [type(n) for level in book.bids for n in level] == [number, number]  # type: ignore[union-attr]


# Books over REST


def test_P15_D4_I17_a_gap_voids_one_book_and_fetches_it_again() -> None:
    talk = live().frame(delta(106, 107))
    told = talk.take()
    assert [type(e) for e in told] == [Gap, BookVoid]
    assert {e.symbol for e in told} == {"BTC-USD"}
    assert [f.request.path for f in talk.fetches] == ["/depth?symbol=BTCUSD"]
    assert talk.states() == {"BTCUSD": "buffering", "ETHUSD": "live"}
    talk.frame(delta(102, 102, "ETHUSD"))
    assert kinds(talk) == ["BookDelta"]
    talk.reply(rest_snap(106))
    assert kinds(talk) == ["BookSnapshot", "BookDelta"]
    assert not talk.closed


def test_P20_a_book_that_is_lost_again_and_again_is_asked_for_ever_more_slowly() -> None:
    """So that it does not spend what all books share; once it was steady it is asked for at once."""
    talk, seq, asked = live(), 200, []
    while len(asked) < 10:
        seq += 2
        talk.frame(delta(seq, seq)).wait(0.25)  # each leaves a hole
        if talk.fetches:
            asked.append(talk.mono_ns)
            talk.reply(rest_snap(seq - 1))
            assert talk.states()["BTCUSD"] == "live"
    waits = [(b - a) / 1e9 for a, b in pairwise(asked)]
    assert waits == sorted(waits)
    assert waits[0] <= 0.51
    assert 30 <= waits[-1] <= 31
    assert talk.counts.resyncs == 10
    for steady in range(1, 50):
        talk.frame(delta(seq + steady, seq + steady)).wait(0.25)
    talk.frame(delta(seq + 51, seq + 51))
    assert talk.fetches
    assert not talk.closed


def test_D3_a_late_snapshot_holds_nobody_up() -> None:
    talk = Conversation().frame(delta(101, 101), delta(101, 101, "ETHUSD"))
    btc, eth = talk.fetches
    talk.fetches = [eth]
    talk.reply(rest_snap(100)).take()
    for i in range(40):  # ten seconds
        talk.frame(delta(102 + i, 102 + i, "ETHUSD"), trade(i + 1)).wait(0.25)
        assert kinds(talk) == ["BookDelta", "Trade"]
    talk.fetches = [btc]
    talk.frame(delta(102, 102)).reply(rest_snap(101))
    assert kinds(talk, "BTC-USD") == ["BookSnapshot", "BookDelta"]


def test_I7_one_fetch_a_book_is_open_whatever_happens() -> None:
    talk = Conversation()
    for seq in range(101, 200, 7):  # every update leaves a hole
        talk.frame(delta(seq, seq))
    assert len(talk.fetches) == 1


def test_I8_an_answer_nobody_waits_for_is_ignored() -> None:
    talk = live()
    talk.session.on_reply(999, 200, b"junk", talk.now, talk.mono_ns)
    talk.session.on_reply(1, 200, json.dumps(rest_snap(300)).encode(), talk.now, talk.mono_ns)
    talk.session.on_failure(999, talk.mono_ns)
    assert (talk.take(), set(talk.states().values())) == ([], {"live"})


def test_I8_an_answer_for_a_book_dropped_meanwhile_is_ignored() -> None:
    talk = Conversation().frame(delta(101, 101))
    talk.change(drop=[subscription()]).take()
    talk.reply(rest_snap(100))
    assert (talk.take(), talk.commands_left()) == ([], [])


@pytest.mark.parametrize("answer", ["status", "failure", "junk", "too old", "empty", "deep"])
def test_P20_a_snapshot_that_does_not_come_is_asked_for_for_ever_and_ever_more_slowly(answer: str) -> None:
    talk = Conversation().frame(delta(101, 101))
    asked_at = [talk.mono_ns]
    seq = 101
    while len(asked_at) < 14:
        if talk.fetches:
            if answer == "failure":
                talk.fail()
            else:
                bodies = {"junk": b"<html>", "too old": rest_snap(1), "empty": b"", "deep": b"[" * 100_000}
                talk.reply(bodies.get(answer, b""), status=503 if answer == "status" else 200)
        seq += 1
        talk.frame(delta(seq, seq)).wait(0.25)
        if talk.fetches:
            asked_at.append(talk.mono_ns)
    waits = [(b - a) / 1e9 for a, b in pairwise(asked_at)]
    assert waits == sorted(waits)
    assert waits[:3] == [0.25, 0.5, 1.0]
    assert waits[-1] == 30.0
    assert not [e for e in talk.take() if isinstance(e, BookSnapshot | BookDelta)]
    assert not talk.closed
    talk.reply(rest_snap(seq - 1))
    assert talk.states()["BTCUSD"] == "live"


def test_P01_a_malformed_rest_snapshot_is_told_and_is_no_frame() -> None:
    talk = Conversation().frame(delta(101, 101))
    talk.take()
    frames = talk.session.counts.frames
    talk.reply(b'{"seq":"x"}')
    (told,) = talk.take()
    assert isinstance(told, Malformed)
    assert told.reason.startswith("REST snapshot of BTCUSD: ")
    assert (talk.session.counts.frames, talk.session.counts.malformed) == (frames, 0)


# Books in the stream


def test_D5_P15_a_gap_in_the_stream_subscribes_one_book_again() -> None:
    talk = live(STREAM)
    talk.sent.clear()
    talk.frame(delta(105, 105)).pass_time(0.25)
    assert talk.sent == [{"do": "unsub", "ch": "book", "s": ["BTCUSD"], "depth": 0}]
    talk.frame({"c": "talk", "what": "gone", "ch": "book", "s": "BTCUSD"}).pass_time(0.25)
    assert talk.sent[1:] == [{"do": "sub", "ch": "book", "s": ["BTCUSD"], "depth": 0}]
    talk.ack("BTCUSD").frame(snap(200))
    assert kinds(talk) == ["Gap", "BookVoid", "Subscribed", "BookSnapshot"]
    assert (talk.closed, talk.session.counts.resyncs, talk.states()) == ("", 1, {"BTCUSD": "live", "ETHUSD": "live"})


def resync(talk: Conversation, seq: int) -> None:
    talk.frame(delta(seq + 5, seq + 5)).pass_time(0.25)
    talk.frame({"c": "talk", "what": "gone", "ch": "book", "s": "BTCUSD"}).pass_time(0.25)
    talk.ack("BTCUSD").frame(snap(seq + 10)).pass_time(0.25)


def test_D5_a_book_that_breaks_again_and_again_gets_a_new_connection() -> None:
    talk = live(STREAM)
    for i in range(MAX_RESYNCS):
        resync(talk, 100 + 10 * i)
        assert not talk.closed
    resync(talk, 200)
    assert talk.closed == "4 resyncs of BTCUSD within a minute"


def test_breaks_more_than_a_minute_apart_are_borne_for_ever() -> None:
    talk = live(STREAM)
    for i in range(10):
        resync(talk, 100 + 10 * i)
        talk.wait(25)
    assert not talk.closed


def test_P01_a_burst_of_bad_frames_is_one_resync_and_no_new_connection() -> None:
    talk = live(STREAM)
    talk.frame(*[b'{"c":"book","s":"BTCUSD","b":'] * 50, *[b"\x00"] * 50).pass_time(0.25)
    assert (talk.closed, talk.session.counts.resyncs) == ("", 2), "one of each book"


def test_a_book_ended_by_the_venue_is_doubted_and_asked_for_again() -> None:
    talk = live(STREAM).frame(trade(1), {"c": "ticker", "s": "BTCUSD", "last": 5}).wait(0.25)
    talk.take()
    talk.sent.clear()
    for channel in ("book", "trades", "ticker"):
        talk.frame({"c": "talk", "what": "gone", "ch": channel, "s": "BTCUSD"})
    talk.wait(0.25)
    assert [(type(e).__name__, getattr(e, "cause", "")) for e in talk.take()] == [
        ("Gap", "halted"),
        ("BookVoid", ""),
        ("Gap", "halted"),
        ("Gap", "halted"),
    ]
    assert sorted(f["ch"] for f in talk.sent) == ["book", "ticker", "trades"]


def test_the_depth_a_venue_grants_is_the_one_kept() -> None:
    talk = Conversation(STREAM).ack("BTCUSD", depth=1)
    talk.frame(snap(5, bids=[[1, 1], [2, 2]]))
    (book,) = [e for e in talk.take() if isinstance(e, BookSnapshot)]
    assert (book.depth, book.bids) == (1, ((2.0, 2.0),))


# One counter over the whole link


def test_a_hole_in_the_link_voids_every_book_and_tells_every_stream() -> None:
    talk = live(LINK).frame(trade(1, n=0), {"c": "ticker", "s": "ETHUSD", "last": 5, "n": 1})
    talk.take()
    talk.frame({"c": "talk", "what": "beat", "n": 5})
    told = [(type(e).__name__, e.symbol, getattr(e, "channel", "")) for e in talk.take()]
    assert told == [
        ("Gap", "BTC-USD", "book"),
        ("BookVoid", "BTC-USD", ""),
        ("Gap", "ETH-USD", "book"),
        ("BookVoid", "ETH-USD", ""),
        ("Gap", "BTC-USD", "trades"),
        ("Gap", "ETH-USD", "trades"),
        ("Gap", "BTC-USD", "ticker"),
        ("Gap", "ETH-USD", "ticker"),
    ]
    assert not talk.closed


@pytest.mark.parametrize(
    ("raw", "voided"),
    [
        (b"\xff", {"BTC-USD", "ETH-USD"}),
        (b'{"c":"book","s":"ETHUSD"}', {"ETH-USD"}),
        (b'{"c":"trades","s":1}', set()),
        (b'{"c":"book","s":"XXXYYY"}', set()),
    ],
)
@pytest.mark.parametrize("rule", [LINK, STREAM, REST], ids=["link", "stream", "rest"])
def test_P01_I17_what_a_bad_frame_may_have_damaged_is_doubted_and_no_more(
    rule: BookRule, raw: bytes, voided: set[str]
) -> None:
    talk = live(rule).frame(raw)
    told = talk.take()
    assert isinstance(told[0], Malformed)
    assert {e.symbol for e in told if isinstance(e, BookVoid)} == voided
    assert all(e.cause == "malformed" for e in told if isinstance(e, Gap))


# Frames that are no data


def test_every_frame_is_counted_once() -> None:
    talk = live()
    before = structs.replace(talk.session.counts)
    talk.frame(
        trade(1),  # decoded
        delta(102, 102),
        trade(1, "XXXYYY"),  # P05: of a market nobody knows
        {"c": "ticker", "s": "XXXYYY"},
        delta(1, 1, "XXXYYY"),
        {"c": "candles", "s": "BTCUSD"},  # P03
        SOUND,  # control
        b"\xff",  # malformed
        b"",
    )
    counts = talk.session.counts
    assert counts.frames - before.frames == 9
    assert counts.decoded - before.decoded == 2
    assert (counts.ignored, counts.unknown_symbols) == (4, 3)
    assert counts.control - before.control == 1
    assert counts.malformed == 2


def test_P05_unknown_markets_leave_nothing_behind() -> None:
    talk = live()
    sizes = [len(talk.session.trades), len(talk.session.tickers), len(talk.session.books)]
    for i in range(500):
        talk.frame(trade(1, f"X{i}"), {"c": "ticker", "s": f"X{i}"}, delta(1, 1, f"X{i}"))
    assert [len(talk.session.trades), len(talk.session.tickers), len(talk.session.books)] == sizes
    assert talk.take() == []


def test_a_market_known_and_not_asked_for_is_ignored_but_not_unknown() -> None:
    talk = Conversation(REST, channels=("book",)).frame(trade(1))
    assert (talk.session.counts.ignored, talk.session.counts.unknown_symbols) == (1, 0)


def test_P03_D20_an_unknown_kind_is_told_once_and_data_flows() -> None:
    talk = live()
    for _ in range(5):
        talk.frame({"c": "candles\x1b[31m", "s": "BTCUSD"}, trade(talk.session.counts.frames, extra={"new": [1]}))
    told = talk.take()
    (drift,) = [e for e in told if isinstance(e, SchemaDrift)]
    assert drift.what == "candles\\x1b[31m"
    assert len([e for e in told if isinstance(e, Trade)]) == 5
    for i in range(300):
        talk.frame({"c": f"kind {i}"})
    assert len(talk.take()) == 99, "bounded"


def test_P27_a_refusal_is_told_in_the_venues_words_made_safe() -> None:
    talk = Conversation(ack=False)
    talk.session.on_open(talk.mono_ns, talk.now)
    talk._do()
    talk.frame({"c": "talk", "what": "nack", "s": "BTCUSD", "text": "no\x1b[2J"})
    (refused,) = [e for e in talk.take() if isinstance(e, Refused)]
    assert (refused.symbol, refused.channel, refused.reason) == ("BTC-USD", "book", "no\\x1b[2J")
    assert talk.session.refusals() == {"toy:BTC-USD:book": "no\\x1b[2J"}
    assert len(talk.session.waiting()) == 6


def test_P27_a_request_refused_for_another_is_made_again_alone() -> None:
    talk = Conversation(ack=False, channels=("book",))
    talk.session.on_open(talk.mono_ns, talk.now)
    talk._do()
    talk.frame({"c": "talk", "what": "nack", "s": "BTCUSD"}, {"c": "talk", "what": "alone", "s": "ETHUSD"})
    talk.pass_time(0.25)
    assert [f["s"] for f in talk.sent] == [["BTCUSD", "ETHUSD"], ["ETHUSD"]]


def test_P30_what_a_venue_says_of_itself_is_told() -> None:
    talk = live().frame({"c": "talk", "what": "status", "text": "maintenance\n"})
    assert talk.take() == [
        VenueStatus(
            venue="toy",
            ts_recv=talk.now,
            seq_local=talk.session._streams.outlet.number() - 1,
            status="maintenance\\x0a",
            detail="said by the venue",
        )
    ]


def test_T16_a_venue_that_wants_a_new_connection_gets_one_once() -> None:
    talk = live()
    wishes = 0
    for _ in range(3):
        talk.session.on_frame(b'{"c":"talk","what":"restart","text":"shutdown"}', talk.now)
        wishes += len(talk.session.commands)
        talk._do()
    assert (talk.replaced, talk.closed, wishes) == ("shutdown", "", 1)


# Changing what is wanted


def test_change_while_connected() -> None:
    talk = live()
    talk.sent.clear()
    talk.change(drop=[subscription("ETH-USD"), subscription("ETH-USD", "trades"), subscription("ETH-USD", "ticker")])
    assert sorted((f["do"], f["ch"], *f["s"]) for f in talk.sent) == [
        ("unsub", "book", "ETHUSD"),
        ("unsub", "ticker", "ETHUSD"),
        ("unsub", "trades", "ETHUSD"),
    ]
    ignored = talk.session.counts.ignored
    talk.frame(delta(102, 102, "ETHUSD"), trade(1, "ETHUSD"), {"c": "ticker", "s": "ETHUSD"})
    assert (talk.session.counts.ignored - ignored, talk.take()) == (3, [])
    for channel in ("book", "trades", "ticker"):
        talk.frame({"c": "talk", "what": "gone", "ch": channel, "s": "ETHUSD"})
    talk.sent.clear()
    talk.change(add=[subscription("ETH-USD"), subscription("BTC-USD")])
    assert talk.sent == [{"do": "sub", "ch": "book", "s": ["ETHUSD"], "depth": 0}]
    assert talk.states() == {"BTCUSD": "live", "ETHUSD": "waiting"}


# Whether the link lives


def test_T03_an_idle_link_is_pinged_and_given_up_when_no_pong_comes() -> None:
    talk = live()
    talk.pass_time(10)
    assert (talk.pings, talk.closed) == (1, "")
    talk.pass_time(5)
    assert talk.closed == "no pong in 5 s"


def test_T05_pongs_or_frames_keep_a_quiet_link() -> None:
    talk = live()
    for _ in range(200):
        talk.pass_time(10.25)
        talk.session.on_pong()
    assert talk.pings == 200
    for _ in range(50):
        talk.pass_time(9).frame(SOUND)
    assert (talk.pings, talk.closed) == (200, "")


def test_D2_a_venue_that_accepts_and_says_nothing_at_all_is_left() -> None:
    talk = Conversation(ack=False, pace=structs.replace(PACE, silence_s=8.0))
    talk.session.on_open(talk.mono_ns, talk.now)
    talk._do()
    talk.pass_time(8.25)
    assert talk.closed == "silent for 8.0 s"


def test_T04_a_lively_link_whose_data_stops_is_left_though_it_pongs() -> None:
    talk = live()
    for i in range(60):
        talk.frame(trade(i + 1)).wait(0.25)
    for _ in range(40):
        talk.wait(0.25)
    assert talk.closed == "no data for 7.0 s, and pings answered"


@pytest.mark.parametrize(("every_s", "heartbeat"), [(30, False), (1, True)])
def test_T05_one_that_was_always_quiet_or_has_a_heartbeat_is_not_left_for_that(every_s: int, heartbeat: bool) -> None:
    talk = live(pace=structs.replace(PACE, heartbeat=heartbeat, silence_s=60.0))
    for i in range(30):
        talk.frame(trade(i + 1), delta(102 + i, 102 + i)).wait(every_s)
    talk.wait(50)
    assert not talk.closed


def traded(talk: Talk, first: int, seconds: int, *, quickly: int = 4) -> None:
    """Trades of one market go on, so many a second."""
    for number in range(first, first + seconds * quickly):
        talk.frame(trade(number)).wait(1 / quickly)


@pytest.mark.parametrize("rule", [STREAM, REST], ids=["stream", "rest"])
def test_T04_a_book_that_is_silent_beside_trades_is_void_and_asked_for_again(rule: BookRule) -> None:
    talk = live(rule)
    talk.sent.clear()
    traded(talk, 1, 12)
    told = [(type(e).__name__, e.symbol) for e in talk.take() if getattr(e, "channel", "book") == "book"]
    told = [one for one in told if one[0] != "Trade"]
    assert told == [("Stale", "BTC-USD"), ("Gap", "BTC-USD"), ("BookVoid", "BTC-USD")]
    assert talk.states() == {"BTCUSD": "waiting", "ETHUSD": "live"}
    assert [(f["do"], f["ch"], f["s"]) for f in talk.sent[:2]] == [
        ("unsub", "book", ["BTCUSD"]),
        ("sub", "book", ["BTCUSD"]),
    ]
    talk.ack("BTCUSD")
    if rule is STREAM:
        talk.frame(snap(200))
    else:
        talk.frame(delta(201, 201)).reply(rest_snap(200))
    traded(talk, 49, 2)
    assert [k for k in kinds(talk) if k not in ("Trade", "BookDelta")] == ["Subscribed", "BookSnapshot", "Recovered"]
    assert talk.closed == ""


def test_T04_a_reason_says_what_was_silent_and_beside_what() -> None:
    talk = live()
    traded(talk, 1, 7)
    (stale,) = [e for e in talk.take() if isinstance(e, Stale) and e.channel == "book"]
    assert re.fullmatch(r"silent for \d\.\d s beside \d+ trades; it is asked for again", stale.reason)
    assert stale.channel == "book"


def test_T04_a_muted_stream_that_does_not_come_back_costs_the_connection() -> None:
    talk = live()
    traded(talk, 1, 90)
    assert talk.closed == "toy:BTC-USD:book fell silent, and did not come back after 3 tries"


def test_T05_a_book_that_waits_for_its_snapshot_is_not_muted() -> None:
    talk = live()
    talk.frame(delta(300, 300)).take()
    traded(talk, 1, 30)
    assert [e for e in talk.take() if isinstance(e, Stale) and e.channel == "book"] == []


def joining() -> Conversation:
    """A book has its snapshot, and waits for the update that follows it."""
    talk = Conversation(REST, "BTC-USD").frame(delta(90, 90)).reply(rest_snap(100))
    assert talk.states() == {"BTCUSD": "joining"}
    talk.sent.clear()
    return talk


def test_T04_a_book_that_stops_before_it_was_live_is_asked_for_again_beside_trades() -> None:
    talk = joining()
    traded(talk, 1, 8)
    assert [(f["do"], f["ch"]) for f in talk.sent[:1]] == [("unsub", "book")]


def test_P28_a_book_that_waits_for_its_snapshot_in_the_stream_has_its_time_beside_trades() -> None:
    talk = Conversation(STREAM, "BTC-USD", channels=("trades", "book"))
    talk.sent.clear()
    traded(talk, 1, 9)
    assert talk.sent == []
    talk.frame(snap(5))
    assert talk.states() == {"BTCUSD": "live"}


def test_T04_a_book_whose_updates_are_behind_rest_is_not_silent() -> None:
    talk = joining()
    for number in range(91, 101):  # a second behind, and another, until they have caught up
        talk.frame(delta(number, number))
        traded(talk, 4 * number, 1)
    assert (talk.sent, talk.states()) == ([], {"BTCUSD": "joining"})
    talk.frame(delta(101, 101))
    assert talk.states() == {"BTCUSD": "live"}


def test_P29_the_book_of_a_market_that_is_not_listed_any_more_is_void() -> None:
    talk = live()
    talk.relisted("BTC-USD", "BTCUSD", status=UNLISTED, trading=False)
    assert [k for k in kinds(talk) if k != "Stale"] == ["Gap", "BookVoid"]
    assert (talk.states()["BTCUSD"], talk.states()["ETHUSD"]) == ("waiting", "live")


def test_P29_what_was_refused_is_asked_for_again_when_its_market_is_listed_again() -> None:
    talk = live(STREAM)
    talk.relisted("BTC-USD", "BTCUSD", status=UNLISTED, trading=False)
    talk.frame({"c": "talk", "what": "gone", "ch": "book", "s": "BTCUSD"}).wait(1)
    talk.frame({"c": "talk", "what": "nack", "ch": "book", "s": "BTCUSD", "text": "delisted"})
    assert talk.session.refusals() == {"toy:BTC-USD:book": "delisted"}
    talk.sent.clear()
    talk.relisted("BTC-USD", "BTCUSD")
    assert ("sub", "book", ["BTCUSD"]) in [(f["do"], f["ch"], f["s"]) for f in talk.sent]


def test_P29_what_is_silent_of_a_market_that_is_listed_again_is_asked_for_again() -> None:
    talk = live().frame(trade(1)).wait(1)
    talk.relisted("BTC-USD", "BTCUSD", status=UNLISTED, trading=False)
    assert "toy:BTC-USD:book" in talk.session.waiting()
    talk.frame(delta(200, 200)).reply(rest_snap(199))  # which has come back by itself
    talk.sent.clear()
    talk.relisted("BTC-USD", "BTCUSD")
    asked = [(f["do"], f["ch"], f["s"]) for f in talk.sent]
    assert sorted(asked) == [("unsub", channel, ["BTCUSD"]) for channel in ("ticker", "trades")]
    assert talk.states() == {"BTCUSD": "live", "ETHUSD": "live"}


def test_P29_a_market_with_another_name_is_asked_for_on_a_new_connection() -> None:
    talk = live()
    talk.relisted("BTC-USD", "XBTUSD")
    assert talk.closed == "BTC-USD is listed by another name"
    talk.change(drop=[subscription("BTC-USD", "trades")])
    assert [(f["do"], f["s"]) for f in talk.sent[-1:]] == [("unsub", ["BTCUSD"])]


def test_P29_a_change_of_what_is_not_served_here_is_nothing() -> None:
    talk = live()
    talk.relisted("SOL-USD", "SOLUSD")
    assert (talk.take(), talk.closed, talk.states()) == ([], "", {"BTCUSD": "live", "ETHUSD": "live"})


def test_P29_a_new_name_of_what_is_not_served_here_any_more_is_for_the_next_time() -> None:
    talk = live()
    channels: tuple[Channel, ...] = ("trades", "ticker", "book")
    talk.change(drop=[subscription("BTC-USD", channel) for channel in channels])
    talk.frame(*({"c": "talk", "what": "gone", "ch": channel, "s": "BTCUSD"} for channel in channels))
    talk.relisted("BTC-USD", "XBTUSD")
    assert talk.closed == ""
    talk.change([subscription("BTC-USD", "trades")])
    assert [(f["do"], f["s"]) for f in talk.sent[-1:]] == [("sub", ["XBTUSD"])]


def test_T04_with_a_heartbeat_pongs_alone_are_no_life() -> None:
    talk = live(pace=structs.replace(PACE, heartbeat=True))
    talk.wait(31)
    assert talk.closed == "silent for 30.0 s"


def test_a_venue_that_wants_json_pings_gets_those() -> None:
    talk = live(decoder=PingingDecoder)
    talk.sent.clear()
    talk.pass_time(10.25)
    assert (talk.sent, talk.pings) == ([{"do": "ping"}], 0)


def test_a_tick_says_whether_it_did_anything_and_when_to_come_again() -> None:
    talk = live()
    assert talk.session.on_tick(talk.mono_ns, talk.now) is False
    assert talk.mono_ns < talk.session.deadline <= talk.mono_ns + 10**9
    assert talk.session.on_tick(talk.mono_ns + 11 * 10**9, talk.now) is True


def test_P28_T05_stale_and_recovered_are_told_of_quiet_streams() -> None:
    talk = live()
    talk.wait(11)
    assert {type(e) for e in talk.take()} == {Stale}
    talk.frame(trade(1)).wait(0.25)
    assert kinds(talk) == ["Trade", "Recovered"]


# Any bytes

SOUND_FRAMES = {
    "toy": [
        trade(1),
        trade(2, "ETHUSD"),
        delta(102, 103),
        snap(104),
        {"c": "ticker", "s": "BTCUSD", "bid": "1.5"},
        json.loads(SOUND),
    ],
    "kraken": [
        {"channel": "heartbeat"},
        {"channel": "status", "type": "update", "data": [{"system": "online", "api_version": "v2"}]},
        {
            "method": "subscribe",
            "result": {"channel": "book", "symbol": "BTC/USD", "depth": 10},
            "success": True,
            "req_id": 1,
        },
        {"method": "subscribe", "error": "Currency pair not supported", "success": False, "symbol": "X/Y", "req_id": 1},
        {"method": "pong", "req_id": 1},
        {
            "channel": "book",
            "type": "snapshot",
            "data": [{"symbol": "BTC/USD", "bids": [{"price": 1.5, "qty": 1}], "asks": [], "checksum": 1}],
        },
        {"channel": "book", "type": "update", "data": [{"symbol": "BTC/USD", "bids": [], "asks": [], "checksum": 0}]},
        {
            "channel": "trade",
            "type": "update",
            "data": [
                {
                    "symbol": "BTC/USD",
                    "side": "sell",
                    "price": 1,
                    "qty": 2,
                    "trade_id": 3,
                    "timestamp": "2026-10-06T07:48:36.925533Z",
                }
            ],
        },
        {"channel": "ticker", "type": "update", "data": [{"symbol": "BTC/USD", "bid": 1, "ask": 2}]},
    ],
}
JUNK = [
    None,
    True,
    -1,
    0,
    1e308,
    2**64,
    "",
    "x",
    "NaN",
    [],
    {},
    [[]],
    [{}],
    {"symbol": []},
    "BTC/USD",
    "BTCUSD",
    "1e400",
]


def _begun(name: str, exact: bool) -> Talk:
    if name == "toy":
        return live(STREAM, exact=exact)
    return Talk(catalogue.venue(name), "BTC-USD", native=lambda s: s.replace("-", "/"), exact=exact).open()


def _mutated(data: st.DataObject, value: Any) -> Any:
    """A JSON value with one thing about it changed, somewhere inside."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 3)):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: _mutated(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 3)):
        i = data.draw(st.integers(0, len(value) - 1))
        return [*value[:i], _mutated(data, value[i]), *value[i + 1 :]]
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        left = dict(value)
        left.pop(data.draw(st.sampled_from(sorted(value))))
        return left
    return data.draw(st.sampled_from(JUNK))


@st.composite
def hostile_bytes(draw: Callable[..., Any], name: str) -> bytes:
    data = draw(st.data())
    frame = draw(st.sampled_from(SOUND_FRAMES[name]))
    how = draw(st.sampled_from(["as it is", "mutated", "cut", "spliced", "flipped", "noise"]))
    if how == "mutated":
        frame = _mutated(data, frame)
    raw = json.dumps(frame).encode()
    if how == "cut":
        return raw[: draw(st.integers(0, len(raw)))]
    if how == "spliced":
        return raw + json.dumps(draw(st.sampled_from(SOUND_FRAMES[name]))).encode()
    if how == "flipped":
        i = draw(st.integers(0, len(raw) - 1))
        return raw[:i] + bytes([draw(st.integers(0, 255))]) + raw[i + 1 :]
    return draw(st.binary(max_size=60)) if how == "noise" else raw


@pytest.mark.parametrize("name", sorted(SOUND_FRAMES))
@MODES
@given(data=st.data())
@settings(max_examples=max(settings.default.max_examples, 150))
def test_any_bytes_are_survived_and_counted_once(name: str, exact: bool, data: st.DataObject) -> None:
    talk = _begun(name, exact)
    for raw in data.draw(st.lists(hostile_bytes(name), min_size=1, max_size=8)):
        before = structs.replace(talk.session.counts)
        talk.session.on_frame(raw, talk.now)
        after = talk.session.counts
        others = [getattr(after, kind) - getattr(before, kind) for kind in ("control", "ignored", "malformed")]
        assert after.frames - before.frames == 1
        assert sum(others) in (0, 1), f"counted {others}: {raw!r}"
    is_counted_once(talk)
    for event in talk.take():
        for number in _numbers(event):
            assert number == number
            assert abs(number) < 1e30
    talk.session.on_tick(talk.mono_ns, talk.now)
    talk.session.on_close(1006, "end", talk.now)


def _numbers(event: Head) -> list[Any]:
    if isinstance(event, Trade):
        return [event.price, event.size]
    if isinstance(event, Ticker):
        return [
            n
            for n in (event.bid, event.bid_size, event.ask, event.ask_size, event.last, event.volume_24h)
            if n is not None
        ]
    if isinstance(event, BookDelta | BookSnapshot):
        return [n for level in (*event.bids, *event.asks) for n in level]
    return []


@given(st.data())
def test_any_reply_is_survived(data: st.DataObject) -> None:
    talk = Conversation().frame(delta(101, 101))
    for _ in range(data.draw(st.integers(1, 5))):
        body = data.draw(
            st.binary(max_size=80) | st.just(_mutated(data, rest_snap(100))).map(lambda b: json.dumps(b).encode())
        )
        status = data.draw(st.sampled_from([200, 200, 200, 0, 404, 429, 503]))
        if talk.fetches:
            talk.reply(body, status)
        talk.wait(31)
    assert not talk.closed


@given(st.lists(st.tuples(st.sampled_from(["drop", "again", "junk", "restart", "ok"]), st.integers(0, 3)), max_size=15))
def test_I17_whatever_happens_to_one_book_the_other_does_not_notice(faults: list[tuple[str, int]]) -> None:
    def run(with_faults: bool) -> list[Any]:
        talk = live()
        btc = 102
        for i, (fault, n) in enumerate(faults):
            if with_faults:
                if fault == "drop":
                    btc += n
                elif fault == "again":
                    talk.frame(delta(101, 101))
                elif fault == "junk":
                    talk.frame(b'{"c":"book","s":"BTCUSD","b":[["x"]]}')
                elif fault == "restart":
                    btc = 1 + n
                talk.frame(delta(btc, btc))
                btc += 1
                if talk.fetches and n:
                    talk.reply(rest_snap(btc - n))
            talk.frame(delta(102 + i, 102 + i, "ETHUSD", bids=[[100 + n, i + 1]]))
        return [structs.replace(e, ts_recv=0, seq_local=0) for e in talk.take() if e.symbol == "ETH-USD"]

    assert run(True) == run(False)
    assert len(run(True)) == len(faults)


# Kraken: hostile frames, one by one (P01-P11)


def kraken(exact: bool) -> Talk:
    """A conversation with Kraken about BTC-USD, its book live and a trade told."""
    talk = Talk(catalogue.venue("kraken"), "BTC-USD", native=lambda s: s.replace("-", "/"), exact=exact, digits=(1, 8))
    talk.open()
    for request in [sent for sent in talk.sent if sent["method"] != "ping"]:
        talk.frame(kraken_reply(request, depth=request["params"].get("depth", 0)))
    talk.frame(
        kraken_book("snapshot", [("100.5", "1.00000000")], [("101.0", "2.00000000")]), kraken_trade(1), kraken_ticker()
    )
    talk.wait(0.25)
    assert talk.states() == {"BTC/USD": "live"}
    talk.take()
    return talk


def kraken_reply(request: Any, error: str = "", depth: int = 0) -> Any:
    reply = {"method": request["method"], "success": not error, "req_id": request["req_id"]}
    if error:
        return {**reply, "error": error, "symbol": "BTC/USD"}
    return {**reply, "result": {"channel": request["params"]["channel"], "symbol": "BTC/USD", "depth": depth}}


def kraken_book(kind: str, bids: Any, asks: Any, checksum: Any = None, symbol: Any = '"BTC/USD"') -> str:
    if checksum is None:
        texts = [[level_text(*level) for level in side] for side in (bids, asks)]
        checksum = crc32_levels(*texts)
    sides = [",".join(f'{{"price":{p},"qty":{q}}}' for p, q in side) for side in (bids, asks)]
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":{symbol},"bids":[{sides[0]}],"asks":[{sides[1]}],'
        f'"checksum":{checksum},"timestamp":"2026-10-06T07:48:36.925533Z"}}]}}'
    )


def kraken_trade(number: Any, price: Any = 100.5, qty: Any = 1, side: str = '"buy"', symbol: str = '"BTC/USD"') -> str:
    return (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":{symbol},"side":{side},"price":{price},"qty":{qty},'
        f'"ord_type":"limit","trade_id":{number},"timestamp":"2026-10-06T07:48:36.925533Z"}}]}}'
    )


def kraken_ticker(bid: Any = 100.5) -> str:
    row = f'{{"symbol":"BTC/USD","bid":{bid},"bid_qty":1,"ask":101,"ask_qty":2,"last":100}}'
    return f'{{"channel":"ticker","type":"update","data":[{row}]}}'


SOUND_BOOK = kraken_book("update", [("100.5", "3.00000000")], [], 0)
BAD_NUMBERS = sorted(
    {*NO_NUMBERS, *BEYOND, *UNDERFLOW, "NaN", "Infinity", "-1", "-1e-8", "1e-31", "1E1000000", "9" * 41}
)

HOSTILE: dict[str, list[str | bytes]] = {
    "P01 not JSON": [
        "",
        " ",
        "{",
        "null",
        "[]",
        "1",
        '"x"',
        "\ufeff{}",
        SOUND_BOOK[:-1],
        SOUND_BOOK[:60],
        b"\xff\xfe",
        SOUND_BOOK * 2,
    ],
    "P02 deep": [
        b"[" * 100,
        b"[" * 10_000,
        b"[" * 1_000_000,
        b'{"channel":"book","data":' + b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    "P04 wrong types": [
        '{"channel":1}',
        '{"channel":"book","type":"update","data":{}}',
        '{"channel":"book","type":"update","data":[1]}',
        '{"channel":"book","type":"update","data":[{"symbol":[]}]}',
        '{"channel":"book","type":"update","data":[{"symbol":{}}]}',
        '{"channel":"trade","type":"update"}',
        '{"channel":"status","data":5}',
        '{"method":"subscribe","success":"yes"}',
        '{"method":"subscribe","req_id":[]}',
        kraken_book("update", [], [], '"x"'),
        kraken_book("update", [], [], 0, symbol="null"),
        kraken_trade(2, side='"up"'),
    ],
    "P06-P10 trade price": [kraken_trade(2, price=n) for n in [*BAD_NUMBERS, *NOT_POSITIVE]],
    "P06-P10 trade size": [kraken_trade(2, qty=n) for n in [*BAD_NUMBERS, *NOT_POSITIVE]],
    "P10 trade id": [kraken_trade(n) for n in ("-1", "1.5", str(2**63), str(2**64), "null", '"1"')],
    "P06-P10 ticker": [kraken_ticker(n) for n in BAD_NUMBERS if n not in ("null",)],
    "P06-P10 book price": [kraken_book("update", [(n, "1")], [], 0) for n in [*BAD_NUMBERS, *NOT_POSITIVE]],
    "P06-P10 book size": [kraken_book("update", [("100.5", n)], [], 0) for n in BAD_NUMBERS],
    "P10 checksum": [kraken_book("update", [], [], n) for n in ("-1", str(2**63), "1.5")],
}


@MODES
@pytest.mark.parametrize("row", HOSTILE)
def test_P01_to_P10_a_hostile_frame_is_counted_told_and_left_out(row: str, exact: bool) -> None:
    for frame in HOSTILE[row]:
        raw = frame if isinstance(frame, bytes) else frame.encode()
        talk = kraken(exact)
        before = structs.replace(talk.session.counts)
        began = time.perf_counter()
        talk.frame(raw)
        took = time.perf_counter() - began
        told = talk.take()
        shown = raw[:120]
        assert talk.session.counts.malformed - before.malformed == 1, shown
        assert talk.session.counts.frames - before.frames == 1, shown
        assert talk.session.counts.control == before.control, shown
        assert isinstance(told[0], Malformed), shown
        assert told[0].size == len(raw)
        assert len(told[0].sample) <= 200
        assert {type(e) for e in told[1:]} <= {Gap, BookVoid}, shown
        book_is_suspect = b'"book"' in raw or not raw.startswith(b'{"')
        if book_is_suspect:
            assert talk.states() == {"BTC/USD": "waiting"}, shown
        assert not talk.closed, shown
        assert took < 0.2, (took, shown)
        talk.frame(kraken_trade(2), kraken_ticker())
        assert kinds(talk) == ["Trade", "Ticker"], shown


@MODES
def test_P01_kraken_a_hundred_bad_frames_cost_one_resync(exact: bool) -> None:
    talk = kraken(exact)
    talk.frame(*["{"] * 100)
    assert (talk.closed, talk.session.counts.resyncs, talk.session.counts.malformed) == ("", 1, 100)


@MODES
def test_P11_of_duplicate_keys_the_last_wins(exact: bool) -> None:
    talk = kraken(exact)
    talk.frame(kraken_trade(2).replace('"qty":1', '"qty":1,"qty":7'))
    (traded,) = talk.take()
    assert isinstance(traded, Trade)
    assert traded.size == 7


@MODES
@pytest.mark.parametrize("number", ["1e-8", "0.00000001", "1E2", "123456789012345.1", "0.1e1"])
def test_P08_sound_exponents_are_numbers(number: str, exact: bool) -> None:
    talk = kraken(exact)
    talk.frame(kraken_trade(2, price=number))
    (traded,) = talk.take()
    assert isinstance(traded, Trade)
    assert traded.price == (Decimal(number) if exact else float(number))


@MODES
def test_P23_kraken_a_wrong_checksum_voids_the_book_and_subscribes_again(exact: bool) -> None:
    talk = kraken(exact)
    talk.sent.clear()
    talk.frame(kraken_book("update", [("100.5", "3.00000000")], [], 1)).wait(0.25)
    assert kinds(talk) == ["Gap", "BookVoid"]
    (leave,) = talk.sent
    assert (leave["method"], leave["params"]["channel"], leave["params"]["symbol"]) == (
        "unsubscribe",
        "book",
        ["BTC/USD"],
    )
    talk.frame(kraken_reply(leave)).wait(0.25)
    assert [f["method"] for f in talk.sent] == ["unsubscribe", "subscribe"]
    talk.frame(kraken_book("snapshot", [("100.5", "1.00000000")], []))
    (opened,) = talk.take()
    assert isinstance(opened, BookSnapshot)
    assert opened.epoch == 2


def test_P28_kraken_a_bad_snapshot_before_its_ack_is_recovered_from() -> None:
    """Asked again without unsubscribing, Kraken answers "already subscribed" and sends no snapshot."""
    talk = Talk(catalogue.venue("kraken"), "BTC-USD", native=lambda s: s.replace("-", "/"), channels=("book",))
    talk.session.on_open(talk.mono_ns, talk.now)
    talk._do()
    served, answered = True, 1
    (asked,) = talk.sent
    talk.frame(kraken_book("snapshot", [("100.5", "1.0")], [], 1))  # its checksum is wrong
    talk.frame(kraken_reply(asked, depth=1000))
    for _ in range(4 * 20):
        talk.wait(0.25)
        for request in talk.sent[answered:]:
            if request["method"] == "ping":
                talk.frame({"channel": "heartbeat"})
            elif request["method"] == "unsubscribe":
                served = False
                talk.frame(kraken_reply(request))
            elif served:
                talk.frame(kraken_reply(request, error="Already subscribed"))
            else:
                served = True
                talk.frame(kraken_reply(request))
                talk.frame(kraken_book("snapshot", [("100.5", "1.0")], []))
            answered += 1
    assert talk.states() == {"BTC/USD": "live"}


# What every venue must declare


@pytest.mark.parametrize("name", catalogue.markets())
def test_D7_every_venue_declares_how_its_books_are_proven(name: str) -> None:
    rule = catalogue.venue(name).book
    assert rule.numbered or rule.checksum is not None or rule.scope == "link"
