"""Trades that were missed: asked for over REST, told in their place, each once; what stays missing is named (P14)."""

import asyncio
import json
from collections.abc import Iterable
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

import marketfeed as mf
from marketfeed import backfill as module
from marketfeed.backfill import MAX_MISSED, MAX_PAGES, PATIENCE_NS, Backfills
from marketfeed.budgets import budget_of
from marketfeed.clock import SystemClock
from marketfeed.commands import Fetch
from marketfeed.events import Disconnected, Gap, Head, Malformed, Trade
from marketfeed.outlet import Outlet
from marketfeed.pace import SECOND, Budget
from marketfeed.rest import Reply
from marketfeed.streams import TradeStream
from marketfeed.subscriptions import Subscription
from marketfeed.venues import binance, coinbase, kraken
from marketfeed.venues._spec import PastTrade, Request

from .loopback.rig import Bench, bench, plain
from .test_driver import PACE, Venue
from .venues.conftest import Talk
from .virtual import now_s, virtual

VENUES = ["binance", "coinbase", "kraken"]


class Shelf:
    """A venue's history: it knows the trades of these ids, in pages of a few, asked for by id from the lowest on."""

    def __init__(self, known: Iterable[int] = (), page: int = 100) -> None:
        self.known = set(known)
        self.page = page
        self.asked: list[tuple[int, int, int, int]] = []

    def past_request(self, native: str, first: int, last: int, after_ns: int, before_ns: int) -> Request:
        self.asked.append((first, last, after_ns, before_ns))
        return Request(f"/past?{first}")

    def past_trades(self, native: str, body: bytes) -> list[PastTrade[Any]]:
        if body == b"?":
            raise ValueError("no page")
        return [PastTrade(1.0, 1.0, "buy", n, n) for n in json.loads(body)]

    def reply(self) -> bytes:
        first, last, *_ = self.asked[-1]
        return json.dumps([n for n in sorted(self.known) if first <= n <= last][: self.page]).encode()


class Rig:
    """One stream whose trades are at ts_event = id and ts_recv = 1000 + id; time is the test's."""

    def __init__(self, known: Iterable[int] = (), page: int = 100) -> None:
        self.told: list[Head] = []
        self.fetches: list[Fetch] = []
        self.shelf = Shelf(known, page)
        self.now = SECOND
        self.stream: TradeStream[Any] = TradeStream(Subscription("v", "A-B", "trades"), Outlet(self.told.append))
        self.fills: Backfills[Any] = Backfills(self.shelf, self.fetches.append, count(1), lambda: None)
        self.fills.add("AB", self.stream)

    def feed(self, *ids: int) -> "Rig":
        for number in ids:
            self.stream.trade(1.0, 1.0, "buy", number, number, 1000 + number)
        return self

    def answer(self, body: bytes | None = None, status: int = 200) -> "Rig":
        """The oldest open call is answered, by what the venue knows where nothing else is said."""
        token = self.fetches.pop(0).token
        assert self.fills.on_reply(token, status, self.shelf.reply() if body is None else body, 9999, self.now)
        return self

    def wait(self, seconds: float) -> "Rig":
        for _ in range(max(1, round(seconds * 4))):
            self.now += SECOND // 4
            self.fills.tick(self.now, 9000)
        return self

    def story(self) -> list[Any]:
        """What was told since the last time: ids of trades, those asked for negative; gaps as (first, last, healed)."""
        told = [
            (e.from_seq, e.to_seq, e.healed)
            if isinstance(e, Gap)
            else int(e.id) * (-1 if e.backfill else 1)
            if isinstance(e, Trade)
            else e
            for e in self.told
        ]
        self.told.clear()
        return told


def test_P14_what_was_missed_is_told_in_its_place_after_a_healed_gap() -> None:
    rig = Rig([4, 5]).feed(3, 6, 7)
    assert rig.story() == [3]
    assert rig.shelf.asked == [(4, 5, 3, 6)]
    assert rig.answer().story() == [(4, 5, True), -4, -5, 6, 7]
    assert rig.feed(8, 5, 6).story() == [8]
    assert rig.stream.duplicates == 2


def test_a_trade_asked_for_says_so_and_when_it_was_received() -> None:
    rig = Rig([4]).feed(3, 5).answer()
    gap, past, live = rig.told[1:]
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.ts_from, gap.ts_to, gap.channel) == ("trade ids", 1003, 9999, "trades")
    assert isinstance(past, Trade)
    assert (past.backfill, past.ts_event, past.ts_recv) == (True, 4, 9999)
    assert isinstance(live, Trade)
    assert (live.backfill, live.ts_event, live.ts_recv) == (False, 5, 9999), "the time of its telling: it waited"


def test_P14_what_cannot_be_found_is_named_and_the_rest_is_told() -> None:
    rig = Rig([4, 7]).feed(3, 8, 9).answer()
    assert rig.story() == [3]
    rig.wait(2.25)
    assert rig.story() == [(4, 4, True), -4, (5, 6, False), (7, 7, True), -7, 8, 9]


def test_trades_wait_for_two_seconds_at_most() -> None:
    rig = Rig().feed(3, 6)
    rig.wait(0.25)
    assert rig.fills.tick(rig.now, 9000) == SECOND + SECOND // 4 + PATIENCE_NS
    assert rig.wait(1.75).story() == [3]
    assert rig.wait(0.25).story() == [(4, 5, False), 6]
    assert rig.feed(7).story() == [7]


def test_an_answer_that_comes_too_late_still_fills_the_gap() -> None:
    rig = Rig([4, 5, 7]).feed(3, 6, 8).wait(2.25)
    assert rig.story() == [3, (4, 5, False), 6, (7, 7, False), 8]
    rig.feed(9, 5)
    assert rig.story() == [9, 5]
    assert rig.answer().story() == [(4, 4, True), -4]
    assert rig.answer().story() == [(7, 7, True), -7]
    assert rig.feed(4, 10).story() == [10]
    assert rig.fills.tick(rig.now, 9000) is None


def test_a_hole_of_several_pages_is_asked_for_page_by_page() -> None:
    rig = Rig(range(4, 9), page=2).feed(3, 9)
    rig.answer().answer()
    assert rig.story() == [3]
    assert rig.answer().story() == [(4, 8, True), -4, -5, -6, -7, -8, 9]
    assert rig.shelf.asked == [(4, 8, 3, 9), (6, 8, 5, 9), (8, 8, 7, 9)]
    assert not rig.fetches


def test_one_call_is_open_and_pages_are_bounded() -> None:
    rig = Rig().feed(3, 5)
    answered = 0
    for _ in range(400):
        assert len(rig.fetches) <= 1
        if rig.fetches:
            rig.answer()
            answered += 1
        rig.wait(0.25)
    assert answered == MAX_PAGES
    assert rig.story() == [3, (4, 4, False), 5]


def test_pages_are_bounded_while_trades_wait_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 1)
    rig = Rig().feed(3, 5).answer()
    assert not rig.fetches
    assert rig.wait(2.25).story() == [3, (4, 4, False), 5]


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_answer_that_is_none_is_asked_for_again_later(status: int) -> None:
    rig = Rig([4]).feed(3, 5)
    if status == 200:
        with pytest.raises(ValueError, match="no page"):
            rig.answer(b"?")
    else:
        rig.answer(b"?", status)
    assert not rig.fetches
    rig.wait(0.5)
    assert rig.answer().story() == [3, (4, 4, True), -4, 5]


def test_a_call_that_fails_is_made_again() -> None:
    rig = Rig([4]).feed(3, 5)
    assert rig.fills.on_failure(rig.fetches.pop().token, rig.now)
    assert not rig.fills.on_failure(99, rig.now)
    rig.wait(0.5)
    assert rig.answer().story() == [3, (4, 4, True), -4, 5]


def test_an_answer_that_nobody_waits_for_is_nobodys() -> None:
    rig = Rig([4]).feed(3, 5)
    assert not rig.fills.on_reply(99, 200, b"[4]", 9999, rig.now)
    assert rig.story() == [3]


def test_an_answer_after_all_came_by_itself_changes_nothing() -> None:
    rig = Rig([4, 5]).feed(3, 6, 4, 5, 7)
    assert rig.story() == [3, 4, 5, 6, 7]
    assert rig.answer().story() == []
    assert rig.fills.tick(rig.now, 9000) is None


def test_P13_trades_that_come_out_of_order_while_they_wait_are_told_by_id_without_a_gap() -> None:
    rig = Rig().feed(3, 6, 5, 4, 7)
    assert rig.story() == [3, 4, 5, 6, 7]


def test_a_part_that_came_by_itself_is_not_said_to_be_missing() -> None:
    rig = Rig([4, 6]).feed(3, 7, 5)
    assert rig.answer().story() == [3, (4, 4, True), -4, 5, (6, 6, True), -6, 7]


def test_the_first_of_those_missing_comes_by_itself() -> None:
    rig = Rig([5]).feed(3, 6, 4)
    assert rig.story() == [3, 4]
    assert rig.answer().story() == [(5, 5, True), -5, 6]


def test_all_that_was_missing_comes_by_itself_and_twice() -> None:
    rig = Rig().feed(3, 5, 4, 5)
    assert rig.story() == [3, 4, 5]
    assert rig.wait(2.25).story() == []
    assert rig.feed(6).story() == [6]


def test_another_hole_among_those_that_wait_is_the_same_hole() -> None:
    rig = Rig([4, 6]).feed(3, 5, 7)
    assert rig.shelf.asked == [(4, 4, 3, 5)]
    rig.answer()
    assert rig.story() == [3]
    assert rig.answer().story() == [(4, 4, True), -4, 5, (6, 6, True), -6, 7]


def test_a_later_hole_takes_the_place_of_one_that_was_told() -> None:
    rig = Rig([4, 8]).feed(3, 5).wait(2.25)
    rig.feed(6, 7, 9)
    old, new = rig.fetches
    assert not rig.fills.on_reply(old.token, 200, b"[4]", 9999, rig.now)
    assert rig.fills.on_reply(new.token, 200, b"[8]", 9999, rig.now)
    assert rig.story() == [3, (4, 4, False), 5, 6, 7, (8, 8, True), -8, 9]


def test_repeats_stay_out_while_trades_wait() -> None:
    rig = Rig([4, 5]).feed(2, 3, 6, 6, 2, 3)
    assert rig.answer().story() == [2, 3, (4, 5, True), -4, -5, 6]
    assert rig.stream.duplicates == 2


def test_P25_a_count_that_begins_anew_ends_the_waiting() -> None:
    rig = Rig().feed(1003, 1006)
    rig.stream.trade(1.0, 1.0, "buy", 1, 2000, 3000)
    assert rig.story() == [1003, (1004, 1005, False), 1006, (0, 0, False), 1]


def test_a_hole_of_very_many_ids_is_told_and_left() -> None:
    rig = Rig().feed(3, 4 + MAX_MISSED)
    assert rig.story() == [3, (4, 3 + MAX_MISSED, False), 4 + MAX_MISSED]
    assert not rig.fetches
    assert rig.feed(5 + MAX_MISSED).story() == [5 + MAX_MISSED]


def test_I5_a_jump_beyond_all_bounds_ends_the_waiting() -> None:
    rig = Rig().feed(3, 5, 2**62)
    assert rig.story() == [3, (4, 4, False), 5, (6, 2**62 - 1, False), 2**62]


def test_I5_no_more_than_so_many_trades_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD", 3)
    rig = Rig().feed(3, 5, 6, 7)
    assert rig.story() == [3]
    assert rig.feed(8).story() == [(4, 4, False), 5, 6, 7, 8]


def test_a_history_that_is_ahead_has_its_hole_filled_at_once() -> None:
    rig = Rig([4, 5, 6]).feed(3)
    rig.stream.seed(6, 1100)
    assert rig.shelf.asked == [(4, 6, 3, 0)]
    rig.stream.seed(7, 1200)
    rig.shelf.known.add(7)
    assert rig.answer().story() == [3]
    assert rig.answer().story() == [(4, 7, True), -4, -5, -6, -7]
    assert rig.feed(8).story() == [8]


def test_what_a_history_shows_and_rest_does_not_is_named() -> None:
    rig = Rig().feed(3)
    rig.stream.seed(5, 1100)
    rig.wait(2.25)
    assert rig.story() == [3, (4, 5, False)]
    assert rig.feed(6).story() == [6]


@pytest.mark.parametrize("waits", [True, False])
def test_a_history_far_ahead_is_told_and_left(waits: bool) -> None:
    rig = Rig().feed(3)
    if waits:
        rig.feed(5)
    rig.stream.seed(2**40, 1100)
    assert rig.story() == [3, *([(4, 4, False), 5] if waits else []), (6 if waits else 4, 2**40, False)]
    assert rig.feed(2**40 + 1).story() == [2**40 + 1]


def test_a_stream_that_only_a_history_spoke_of_is_filled_too() -> None:
    rig = Rig([10])
    rig.stream.seed(9, 1100)
    rig.feed(11)
    assert rig.shelf.asked == [(10, 10, 0, 11)]
    assert rig.answer().story() == [(10, 10, True), -10, 11]


def test_the_first_after_a_history_may_come_late() -> None:
    rig = Rig()
    rig.stream.seed(9, 1100)
    assert rig.feed(11, 10, 12).story() == [10, 11, 12]


def test_a_stream_that_is_unsubscribed_is_forgotten() -> None:
    rig = Rig([4]).feed(3, 5)
    rig.fills.forget("AB")
    rig.fills.forget("AB")
    assert not any(fetch.wanted() for fetch in rig.fetches)
    assert not rig.stream.healers
    assert not rig.fills.on_reply(rig.fetches.pop().token, 200, b"[4]", 9999, rig.now)
    assert rig.story() == [3]


def test_a_stream_is_mended_once() -> None:
    rig = Rig()
    rig.fills.add("AB", rig.stream)
    assert len(rig.stream.healers) == 1


steps = st.lists(
    st.one_of(
        st.just("live"), st.just("live"), st.just("lost"), st.just("again"), st.just("answer"), st.just("fail"),
        st.just("time"),
    ),
    max_size=60,
)  # fmt: skip


@given(steps, st.sets(st.integers(1, 60)), st.integers(1, 3))
def test_P12_P14_nothing_is_lost_in_silence_doubled_or_out_of_order(
    does: list[str], known: set[int], page: int
) -> None:
    """Whatever the link loses and repeats, and whatever REST knows: each id is told once or named as missing."""
    rig = Rig(page=page)
    newest = 0
    for step in ["live", *does]:
        if step in ("live", "lost"):
            newest += 1
            rig.shelf.known = {n for n in known if n <= newest}
        if step == "live":
            rig.feed(newest)
        elif step == "again":
            rig.feed(max(1, newest - 2))
        elif step == "time":
            rig.wait(1)
        elif rig.fetches and step == "answer":
            rig.answer()
        elif rig.fetches and step == "fail":
            rig.fills.on_failure(rig.fetches.pop(0).token, rig.now)
    last = newest + 1
    rig.feed(last)
    rig.fills.close(9999)
    missing: set[int] = set()
    there: set[int] = set()
    promised: set[int] = set()
    top = 0
    for e in rig.told:
        if isinstance(e, Gap):
            ids = set(range(e.from_seq, e.to_seq + 1))
            missing = missing - ids if e.healed else missing | ids
            promised = ids if e.healed else set()
        elif isinstance(e, Trade):
            number = int(e.id)
            assert number not in there, "told twice"
            if number < top:
                assert number in missing | promised, "out of order, and no gap told it"
            else:
                assert not set(range(top + 1, number)) - missing - there, "passed over in silence"
            assert e.backfill == (number in promised)
            there.add(number)
            missing.discard(number)
            top = max(top, number)
    assert there | missing == set(range(1, last + 1))
    assert not there & missing


# In a session, at each venue


def binance_trade(number: int, symbol: str = "BTCUSDT") -> Any:
    data = {"e": "trade", "E": number, "s": symbol, "t": number, "p": "1.5", "q": "2", "T": number, "m": True}
    return {"stream": f"{symbol.lower()}@trade", "data": data}


def at_binance(**care: Any) -> Talk:
    made = Talk(binance.VENUE, "BTC-USDT", channels=("trades",), native=lambda s: s.replace("-", ""), **care).open()
    made.take()
    return made.frame(binance_trade(3))


def ids(talk: Talk) -> list[Any]:
    return [
        (e.from_seq, e.to_seq, e.healed) if isinstance(e, Gap) else int(e.id) if isinstance(e, Trade) else type(e)
        for e in talk.take()
    ]


ROWS = [
    {"id": n, "price": "1.50", "qty": "2.00", "quoteQty": "3", "time": n, "isBuyerMaker": True, "isBestMatch": True}
    for n in (4, 5)
]


def test_a_session_asks_and_tells() -> None:
    talk = at_binance(backfill=True).frame(binance_trade(6)).wait(0.25)
    (fetch,) = talk.fetches
    assert fetch.background
    assert fetch.request == Request("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=4&limit=2", weight=25)
    assert ids(talk.reply(ROWS)) == [3, (4, 5, True), 4, 5, 6]


def test_a_session_that_does_not_backfill_asks_nothing() -> None:
    talk = at_binance().frame(binance_trade(6)).wait(3)
    assert not talk.fetches
    assert ids(talk) == [3, (4, 5, False), 6]


def test_a_session_waits_for_two_seconds_and_not_for_its_look_of_each_second() -> None:
    talk = at_binance(backfill=True).frame(binance_trade(6)).wait(0.25)
    assert talk.session.deadline <= talk.mono_ns + SECOND
    assert ids(talk.wait(1.75)) == [3]
    assert ids(talk.wait(0.25)) == [(4, 5, False), 6]


def test_P01_an_answer_that_cannot_be_read_is_told_and_asked_for_again() -> None:
    talk = at_binance(backfill=True).frame(binance_trade(6)).wait(0.25).reply(b"[{]")
    assert ids(talk) == [3, Malformed]
    assert ids(talk.wait(0.5).reply(ROWS)) == [(4, 5, True), 4, 5, 6]


def test_a_call_that_fails_in_a_session_is_made_again() -> None:
    talk = at_binance(backfill=True).frame(binance_trade(6)).wait(0.25)
    talk.session.on_failure(talk.fetches.pop().token, talk.mono_ns, "timeout")
    assert ids(talk.wait(0.5).reply(ROWS)) == [3, (4, 5, True), 4, 5, 6]


@pytest.mark.parametrize("retry_s", [0.5, None])
def test_I14_what_waits_is_told_before_the_end_of_its_connection(retry_s: float | None) -> None:
    talk = at_binance(backfill=True).frame(binance_trade(6))
    talk.session.on_close(1006, "cut", talk.now, retry_s=retry_s)
    assert ids(talk)[:4] == [3, (4, 5, False), 6, Disconnected]
    assert not talk.session.trades["BTCUSDT"].healers


def test_a_stream_dropped_while_it_waits_is_told_no_more() -> None:
    talk = at_binance(backfill=True).frame(binance_trade(6))
    talk.change(drop=[talk.sub("BTC-USDT", "trades")])
    assert ids(talk.wait(3)) == [3]


def past(venue: Any, exact: bool, body: Any) -> list[PastTrade[Any]]:
    made = Talk(venue, "BTC-USD", channels=("trades",), exact=exact)
    return made.session._decoder.past_trades("BTC-USD", json.dumps(body).encode())


NS = 1_688_669_597_827_736_000
TRADE = {"product_id": "BTC-USD", "price": "30243.40", "size": "0.5", "time": "2023-07-06T18:53:17.827736Z"}
PAGES: dict[str, tuple[Any, Any]] = {
    "binance": (
        binance.VENUE,
        [
            {"id": 7, "price": "30243.40", "qty": "0.5", "time": NS // 10**6, "isBuyerMaker": False},
            {"id": 8, "price": "30243.40", "qty": "0.5", "time": NS // 10**6, "isBuyerMaker": True},
        ],
    ),
    "coinbase": (
        coinbase.VENUE,
        {
            "trades": [
                {**TRADE, "trade_id": "8", "side": "BUY"},
                {**TRADE, "trade_id": "7", "side": "SELL"},
                {**TRADE, "trade_id": "6", "side": "SELL", "product_id": "ETH-USD"},
            ]
        },
    ),
    "kraken": (
        kraken.VENUE,
        {
            "error": [],
            "result": {
                "XXBTZUSD": [
                    ["30243.40000", "0.50000000", 1688669597.8277369, "b", "m", "", 7],
                    ["30243.40000", "0.50000000", 1688669597.8277369, "s", "l", "", 8],
                ],
                "last": "1688671969993150842",
            },
        },
    ),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("venue", VENUES)
def test_a_page_of_a_venues_history(venue: str, exact: bool) -> None:
    """By the side of the taker; of Coinbase's pages, whose side is the maker's, the opposite."""
    record, body = PAGES[venue]
    price, size = (Decimal("30243.40"), Decimal("0.5")) if exact else (30243.4, 0.5)
    at = NS // 10**6 * 10**6 if venue == "binance" else NS
    bought, sold = PastTrade(price, size, "buy", 7, at), PastTrade(price, size, "sell", 8, at)
    assert sorted(past(record, exact, body), key=lambda t: t.number) == [bought, sold]


@pytest.mark.parametrize("at", ["-1", "1e20", "1e-400"])
def test_P32_a_time_that_is_none(at: str) -> None:
    body = f'{{"error":[],"result":{{"X":[["1","1",{at},"b","m","",7]]}}}}'.encode()
    made = Talk(kraken.VENUE, "BTC-USD", channels=("trades",))
    with pytest.raises(ValueError, match=r"time|exponent"):
        made.session._decoder.past_trades("BTC/USD", body)


def test_an_error_in_place_of_krakens_history_is_no_page() -> None:
    with pytest.raises(ValueError, match="EGeneral:Too many requests"):
        past(kraken.VENUE, False, {"error": ["EGeneral:Too many requests"]})
    warned = PAGES["kraken"][1] | {"error": ["WGeneral:Soon to change"]}
    assert len(past(kraken.VENUE, False, warned)) == 2


@pytest.mark.parametrize(
    ("venue", "after_ns", "before_ns", "path"),
    [
        (kraken.VENUE, 5_000_000, 9, "/0/public/Trades?pair=XBT%2FUSD&since=4000000&count=1000"),
        (kraken.VENUE, 0, 0, "/0/public/Trades?pair=XBT%2FUSD&since=0&count=1000"),
        (coinbase.VENUE, 0, 0, "/api/v3/brokerage/market/products/BTC%2FUSD/ticker?limit=1000"),
        (
            coinbase.VENUE,
            5_999_999_999,
            8_000_000_001,
            "/api/v3/brokerage/market/products/BTC%2FUSD/ticker?limit=1000&start=5&end=9",
        ),
        (binance.VENUE, 0, 0, "/api/v3/historicalTrades?symbol=BTC%2FUSD&fromId=7&limit=1000"),
    ],
)
def test_what_a_venue_is_asked_for(venue: Any, after_ns: int, before_ns: int, path: str) -> None:
    made = Talk(venue, "BTC-USD", channels=("trades",))
    assert made.session._decoder.past_request("BTC/USD", 7, 5000, after_ns, before_ns).path == path


# Over loopback


def told_once(b: Bench) -> list[int]:
    """Ids of the first market's trades: each once, in order, and none missing."""
    numbers = [int(e.id) for e in b.audit.of(Trade, symbol=b.first)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return numbers


TRADES = {"kraken": '"channel":"trade"', "binance": "@trade", "coinbase": '"market_trades"'}


@pytest.mark.parametrize("venue", VENUES)
def test_P14_trades_of_a_lost_frame_and_of_a_cut_are_filled_in(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue) as b:
            await b.recovered()
            for kind in ("drop", "cut"):
                await asyncio.sleep(1.1)  # a venue that counts an address's messages is to have forgotten the last
                before = len(b.audit.of(Gap))
                b.plant.inject(venue, kind, TRADES[venue] if kind == "drop" else "")
                await b.until(lambda n=before: [g for g in b.audit.of(Gap)[n:] if g.healed])
            await b.until(lambda: [g for g in b.audit.of(Gap, symbol=b.first) if g.healed])
            healed = [g for g in b.audit.of(Gap, symbol=b.first) if g.healed]
            assert healed
            numbers = told_once(b)
            filled = [int(t.id) for t in b.audit.of(Trade, symbol=b.first) if t.backfill]
            assert filled == [n for g in healed for n in range(g.from_seq, g.to_seq + 1)]
            market = b.plant._markets[venue][b.first]
            truth = {report.id: report for report in market.past}
            for event in b.audit.of(Trade, symbol=b.first):
                if event.backfill:
                    report = truth[int(event.id)]
                    one = market.instrument
                    assert (event.price, event.size) == (
                        float(one.price(report.fill.price)),
                        float(one.size(report.fill.size)),
                    )
                    assert event.side == ("buy" if report.fill.taker == "bid" else "sell")
            assert len(numbers) > 10

    run()


@plain
async def test_a_feed_that_is_not_to_fill_in_names_what_is_missing() -> None:
    async with bench("binance", care={"backfill": False}) as b:
        await b.recovered()
        b.plant.inject("binance", "cut")
        await b.until(lambda: [g for g in b.audit.of(Gap) if g.cause == "trade ids"])
        assert not [g for g in b.audit.of(Gap) if g.healed]
        assert not [t for t in b.audit.of(mf.Trade) if t.backfill]


# The budget


def test_what_waits_takes_at_most_half_of_the_budget() -> None:
    budget = Budget(structs.replace(binance.VENUE.pace, rest=(100, 10.0)))
    assert budget.spare_at(25, 0) == 0
    budget.fetch_at(25, 0)
    assert budget.spare_at(25, SECOND) == SECOND
    budget.fetch_at(1, SECOND)
    assert budget.spare_at(25, SECOND) == 10 * SECOND, "when the first are forgotten"
    assert budget.fetch_at(50, SECOND) == SECOND, "the other half is for books"
    budget.retry_after(60.0, SECOND, 0.0)
    assert budget.spare_at(1, SECOND) == 61 * SECOND


def test_of_a_budget_of_one_call_a_second_the_whole_is_taken_where_nobody_wants_it() -> None:
    budget = Budget(kraken.VENUE.pace)
    assert budget.spare_at(1, 0) == 0
    budget.fetch_at(1, 0)
    assert budget.spare_at(1, 1) == SECOND
    assert budget.fetch_at(1, 1) == SECOND, "who waits goes first"
    assert budget.spare_at(1, 2) == 2 * SECOND


@virtual
async def test_a_background_call_waits_until_others_have_had_theirs() -> None:
    venue = Venue(pace=structs.replace(PACE, rest=(2, 10.0)), replies={"/depth?symbol=BTCUSD": Reply(200, b"{}")})
    started = now_s()
    await venue.edge.leisure(1)
    venue.edge.budget.fetch_at(1, venue.edge.clock.mono_ns())
    assert now_s() == started
    await venue.edge.leisure(1)
    assert now_s() == started + 10


def test_feeds_of_several_threads_share_what_is_spare() -> None:
    endpoints = structs.replace(binance.VENUE.endpoints, rest="https://spare.example")
    one, two = (budget_of(endpoints, kraken.VENUE.pace, SystemClock()) for _ in range(2))
    now = 10**18
    one.fetch_at(1, now)
    assert two.spare_at(1, now) == now + SECOND
