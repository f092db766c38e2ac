"""Streams: trades once and in order, tickers as they come, books in epochs, instruments when they change."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from marketfeed.book import Book
from marketfeed.errors import BookNotTrusted
from marketfeed.events import BookDelta, BookSnapshot, BookVoid, Gap, Head, Instrument, Subscribed, Ticker, Trade
from marketfeed.outlet import Outlet, Stream
from marketfeed.streams import MAX_HOLES, BookStream, Streams, TickerStream, TradeStream
from marketfeed.subscriptions import Channel, Subscription


class Told(list[Head]):
    """What was told, and streams that tell it."""

    def __init__(self) -> None:
        super().__init__()
        self.outlet = Outlet(self.append)

    def trades(self) -> TradeStream[Any]:
        return TradeStream(Subscription("v", "A-B", "trades"), self.outlet)

    def book(self) -> BookStream[Any]:
        return BookStream(Subscription("v", "A-B", "book"), self.outlet)

    def ids(self) -> list[str]:
        return [e.id for e in self if isinstance(e, Trade)]

    def gaps(self) -> list[tuple[int, int]]:
        return [(e.from_seq, e.to_seq) for e in self if isinstance(e, Gap)]


@pytest.fixture
def told() -> Told:
    return Told()


def feed(stream: TradeStream[Any], *ids: int) -> None:
    for number in ids:
        stream.trade(1.0, 1.0, "buy", number, number, number * 10)


# Trades


def test_a_trade_is_told_as_it_came(told: Told) -> None:
    told.trades().trade(Decimal("0.10"), Decimal(2), "sell", 7, 5, 6)
    assert told == [
        Trade(
            venue="v",
            symbol="A-B",
            ts_event=5,
            ts_recv=6,
            seq_local=1,
            price=Decimal("0.10"),
            size=Decimal(2),
            side="sell",
            id="7",
        )
    ]


@pytest.mark.parametrize(
    ("came", "ids", "gaps"),
    [
        ([1, 2, 3], [1, 2, 3], []),
        ([5], [5], []),  # what was before the first is before our time
        ([0, 1], [0, 1], []),
        ([1, 2, 5], [1, 2, 5], [(3, 4)]),  # P14
        ([1, 5, 9], [1, 5, 9], [(2, 4), (6, 8)]),
        ([1, 2, 2, 1, 3], [1, 2, 3], []),  # P12
        ([1, 5, 3, 3, 2, 4, 6], [1, 5, 3, 2, 4, 6], [(2, 4)]),  # P13: late ones still come, once
        ([1, 5, 3, 5, 1], [1, 5, 3], [(2, 4)]),  # a late one does not turn the clock back
    ],
)
def test_P12_P13_P14_each_trade_once_and_every_hole_told(
    told: Told, came: list[int], ids: list[int], gaps: list[tuple[int, int]]
) -> None:
    stream = told.trades()
    feed(stream, *came)
    assert told.ids() == [str(i) for i in ids]
    assert told.gaps() == gaps
    assert stream.duplicates == len(came) - len(ids)
    assert stream.events == len(ids)


def test_P14_a_gap_stands_before_the_trade_after_it(told: Told) -> None:
    feed(told.trades(), 1, 4)
    assert told[1] == Gap(
        venue="v",
        symbol="A-B",
        ts_recv=40,
        seq_local=2,
        channel="trades",
        cause="trade ids",
        from_seq=2,
        to_seq=3,
        ts_from=10,
        ts_to=40,
    )
    assert isinstance(told[2], Trade)


def test_P12_fifty_replayed_after_a_reconnect_are_left_out(told: Told) -> None:
    stream = told.trades()
    feed(stream, *range(1, 101))
    feed(stream, *range(51, 104))
    assert told.ids() == [str(i) for i in range(1, 104)]
    assert (stream.duplicates, told.gaps()) == (50, [])


def test_P13_the_venues_clock_may_go_back_between_trades(told: Told) -> None:
    stream = told.trades()
    for number, ts_event in [(5, 10), (6, 9), (5, 10), (6, 9), (7, 8)]:
        stream.trade(1.0, 1.0, "buy", number, ts_event, 0)
    assert (told.ids(), told.gaps(), stream.duplicates) == (["5", "6", "7"], [], 2)


def test_P25_ids_that_begin_again_are_told_and_followed(told: Told) -> None:
    stream = told.trades()
    feed(stream, 1000, 1005)
    stream.trade(1.0, 1.0, "buy", 1, 2000, 2000)
    stream.trade(1.0, 1.0, "buy", 2, 2001, 2001)
    stream.trade(1.0, 1.0, "buy", 1002, 2002, 2002)
    assert told.ids() == ["1000", "1005", "1", "2", "1002"]
    assert [e.detail for e in told if isinstance(e, Gap)] == ["", "the venue restarted its ids at 1", ""]
    assert told.gaps()[-1] == (3, 1001), "holes of the old count are forgotten"


@pytest.mark.parametrize(
    ("before", "seed", "after", "ids", "gaps"),
    [
        ([], 10, [10, 11], [11], []),  # a history at first: nothing of it is new
        ([8], 10, [11], [8, 11], [(9, 10)]),  # after a reconnect: what was missed
        ([10], 10, [11], [10, 11], []),
        ([10], 5, [11], [10, 11], []),  # an old history changes nothing
    ],
)
def test_P12_a_history_is_not_told_but_what_it_reveals_is(
    told: Told, before: list[int], seed: int, after: list[int], ids: list[int], gaps: list[tuple[int, int]]
) -> None:
    stream = told.trades()
    feed(stream, *before)
    stream.seed(seed, 99)
    feed(stream, *after)
    assert told.ids() == [str(i) for i in ids]
    assert told.gaps() == gaps
    assert stream.events == len(ids)


def test_P25_ids_that_begin_again_after_a_history_are_followed(told: Told) -> None:
    stream = told.trades()
    stream.seed(1000, 1)
    feed(stream, 1001)
    stream.trade(1.0, 1.0, "buy", 1, 2000, 2000)
    assert told.ids() == ["1001", "1"]


def test_ids_missed_while_nobody_listened_are_no_gap(told: Told) -> None:
    stream = told.trades()
    feed(stream, 1, 4)
    stream.rest()
    assert stream.events == 0
    feed(stream, 50, 3)
    assert told.ids() == ["1", "4", "50"]
    assert told.gaps() == [(2, 3)]


def test_I5_remembered_holes_are_bounded(told: Told) -> None:
    stream = told.trades()
    feed(stream, *range(1, 2 * MAX_HOLES + 10, 2))
    assert len(stream._holes) == MAX_HOLES
    feed(stream, 2)
    assert stream.duplicates == 1, "a hole long forgotten is not filled"


class Looks(int):
    """A number that counts how often it is compared."""

    count = 0

    def __lt__(self, other: int) -> bool:
        Looks.count += 1
        return int(self) < other

    def __le__(self, other: int) -> bool:
        Looks.count += 1
        return int(self) <= other

    def __ge__(self, other: int) -> bool:
        Looks.count += 1
        return int(self) >= other

    def __gt__(self, other: int) -> bool:
        Looks.count += 1
        return int(self) > other


def test_P12_a_repeat_is_not_held_against_each_of_many_holes(told: Told) -> None:
    stream = told.trades()
    feed(stream, *range(1, 2 * MAX_HOLES + 10, 2))
    Looks.count = 0
    feed(stream, Looks(2 * MAX_HOLES + 1))
    assert stream.duplicates == 1
    assert 0 < Looks.count < 20


@given(st.data())
def test_P12_P13_P14_any_mix_of_drops_repeats_and_late_ones(data: st.DataObject) -> None:
    told = Told()
    stream = told.trades()
    count = data.draw(st.integers(1, 25))
    clock, times = 0, {}
    for number in range(1, count + 1):
        clock += data.draw(st.integers(0, 2))  # several trades may share a time
        times[number] = clock
    came = data.draw(st.lists(st.integers(1, count), min_size=1, max_size=50))
    for number in came:
        stream.trade(1.0, 1.0, "buy", number, times[number], 0)
    ids = [int(i) for i in told.ids()]
    assert max(Counter(ids).values()) == 1
    named = {number for first, last in told.gaps() for number in range(first, last + 1)}
    assert set(range(came[0], max(came) + 1)) <= set(ids) | named
    assert set(ids) == {n for n in came if n >= came[0]}
    assert stream.duplicates + len(ids) == len(came)


# Losing the link


def cut_since(ts_from: int, channel: Channel) -> Gap:
    """What is told second, of a link that was cut at 5."""
    return Gap(
        venue="v",
        symbol="A-B",
        ts_recv=5,
        seq_local=2,
        channel=channel,
        cause="link lost",
        ts_from=ts_from,
        ts_to=5,
        detail="cut",
    )


@pytest.mark.parametrize("channel", ["trades", "ticker"])
def test_what_a_broken_link_costs_is_told_only_of_streams_that_had_begun(told: Told, channel: Channel) -> None:
    stream: Any = Streams(told.outlet).get(Subscription("v", "A-B", channel))
    stream.lost("link lost", 5, "cut")
    assert told == []
    if channel == "trades":
        stream.trade(1.0, 1.0, "buy", 1, 1, 4)
    else:
        stream.ticker(0, 4, last=1.0)
    stream.lost("link lost", 5, "cut")
    assert told[-1] == cut_since(4, channel)
    stream.rest()
    stream.lost("link lost", 6)
    assert len(told) == 2


@pytest.mark.parametrize("channel", ["trades", "ticker"])
def test_T01_what_was_acknowledged_has_begun_though_nothing_of_it_came_yet(told: Told, channel: Channel) -> None:
    stream: Any = Streams(told.outlet).get(Subscription("v", "A-B", channel))
    stream.tell(Subscribed, 3, channel=channel)
    stream.lost("link lost", 5, "cut")
    assert told[-1] == cut_since(3, channel)
    stream.tell(Subscribed, 7, channel=channel)
    stream.lost("sequence", 8, "a number is missing")
    assert (told[-1].ts_from, told[-1].ts_to) == (3, 8)  # type: ignore[attr-defined]
    stream.rest()
    stream.lost("link lost", 9)
    assert len(told) == 4, "asked for again it begins anew"


def test_a_book_that_was_never_shown_has_nothing_to_lose(told: Told) -> None:
    book = told.book()
    book.tell(Subscribed, 3, channel="book")
    book.lost("overflow", 5, "too many")
    assert [type(event) for event in told] == [Subscribed]


# Tickers


@pytest.mark.parametrize(
    ("sent", "told_as"),
    [
        (
            {"bid": 1.0, "bid_size": 2.0, "ask": 3.0, "ask_size": 4.0, "last": 5.0, "volume_24h": 6.0},
            {"bid": 1.0, "bid_size": 2.0, "ask": 3.0, "ask_size": 4.0, "last": 5.0, "volume_24h": 6.0},
        ),
        ({}, {}),
        ({"bid": 0.0, "bid_size": 2.0, "ask": 3.0}, {"ask": 3.0}),  # a price of 0 is how venues write none
        ({"ask": Decimal("0.0"), "ask_size": Decimal(1), "last": Decimal(0)}, {}),
        ({"volume_24h": 0.0}, {"volume_24h": 0.0}),  # a volume of 0 is a volume
    ],
)
def test_a_ticker_has_what_its_frame_carried(told: Told, sent: dict[str, Any], told_as: dict[str, Any]) -> None:
    stream: TickerStream[Any] = TickerStream(Subscription("v", "A-B", "ticker"), told.outlet)
    stream.ticker(7, 8, **sent)
    assert told == [Ticker(venue="v", symbol="A-B", ts_event=7, ts_recv=8, seq_local=1, **told_as)]


# Books


def book(*bids: tuple[float, float]) -> Book[Any]:
    made: Book[Any] = Book()
    made.bids.load(bids)
    return made


def test_I1_I2_an_epoch_is_a_snapshot_and_its_deltas(told: Told) -> None:
    stream = told.book()
    source = object()
    stream.opened(source, book((1.0, 2.0)), 100, 10, 5, 6)
    stream.changed(103, ((1.0, 3.0),), (), 7, 8)
    stream.opened(source, book(), 0, 10, 9, 10)
    stream.changed(0, (), (), 11, 12)
    head = {"venue": "v", "symbol": "A-B"}
    assert told == [
        BookSnapshot(
            **head, ts_event=5, ts_recv=6, seq_local=1, epoch=1, seq=100, depth=10, bids=((1.0, 2.0),), asks=()
        ),
        BookDelta(
            **head, ts_event=7, ts_recv=8, seq_local=2, epoch=1, seq=103, prev_seq=100, bids=((1.0, 3.0),), asks=()
        ),
        BookSnapshot(**head, ts_event=9, ts_recv=10, seq_local=3, epoch=2, seq=1, depth=10, bids=(), asks=()),
        BookDelta(**head, ts_event=11, ts_recv=12, seq_local=4, epoch=2, seq=2, prev_seq=1, bids=(), asks=()),
    ]
    assert (stream.events, stream.ts_recv, stream.view.seq, stream.view.epoch) == (4, 12, 2, 2)


def test_I14_doubt_is_told_once_gap_first(told: Told) -> None:
    stream = told.book()
    source = object()
    stream.opened(source, book(), 5, 0, 1, 2)
    stream.void(source, "sequence", "a hole", 9, 6, 8)
    stream.void(source, "sequence", "again", 10)
    assert told[1:] == [
        Gap(
            venue="v",
            symbol="A-B",
            ts_recv=9,
            seq_local=2,
            channel="book",
            cause="sequence",
            epoch=1,
            from_seq=6,
            to_seq=8,
            ts_from=2,
            ts_to=9,
            detail="a hole",
        ),
        BookVoid(venue="v", symbol="A-B", ts_recv=9, seq_local=3, epoch=1, reason="sequence: a hole"),
    ]
    assert not stream.view.live


def test_I8_one_that_is_not_the_source_voids_nothing(told: Told) -> None:
    stream = told.book()
    stream.opened(object(), book(), 5, 0, 1, 2)
    stream.void(object(), "link lost", "an older link", 3)
    assert stream.view.live
    assert len(told) == 1


def test_a_book_at_rest_is_closed(told: Told) -> None:
    stream = told.book()
    source = object()
    stream.opened(source, book(), 5, 0, 1, 2)
    stream.rest()
    stream.void(source, "link lost", "cut", 3)
    assert len(told) == 1
    with pytest.raises(BookNotTrusted, match="unsubscribed"):
        stream.snapshot_event()


def test_a_late_joiner_gets_the_book_as_it_stands(told: Told) -> None:
    stream = told.book()
    shown = book((1.0, 2.0))
    stream.opened(object(), shown, 5, 10, 1, 2)
    shown.bids.apply([(0.5, 1.0)])
    stream.changed(6, ((0.5, 1.0),), (), 3, 4)
    assert stream.snapshot_event() == BookSnapshot(
        venue="v",
        symbol="A-B",
        ts_event=3,
        ts_recv=4,
        seq_local=3,
        epoch=1,
        seq=6,
        depth=10,
        bids=((1.0, 2.0), (0.5, 1.0)),
        asks=(),
    )


# All streams


def test_a_stream_is_made_when_first_asked_for_and_kept(told: Told) -> None:
    streams: Streams[Any] = Streams(told.outlet)
    asked = [Subscription("v", "A-B", c) for c in ("trades", "ticker", "book")]
    kinds: list[type[Stream]] = [TradeStream, TickerStream, BookStream]
    made = [streams.get(s) for s in asked]
    assert [type(s) for s in made] == kinds
    assert [streams.get(s) for s in asked] == made == list(streams)
    assert streams.get(Subscription("v", "A-B", "book", 25)) is made[2], "the depth is not part of a stream's name"
    assert streams.find("v", "A-B", "book") is made[2]
    assert streams.find("v", "X-Y", "book") is None


def test_asked_for_again_a_stream_begins_a_later_epoch(told: Told) -> None:
    streams: Streams[Any] = Streams(told.outlet)
    asked = Subscription("v", "A-B", "book")
    streams.drop(asked)  # nobody asked yet: nothing to do
    stream = streams.get(asked)
    assert isinstance(stream, BookStream)
    stream.opened(object(), book(), 5, 0, 1, 2)
    streams.drop(asked)
    stream.opened(object(), book(), 5, 0, 1, 2)
    assert [e.epoch for e in told if isinstance(e, BookSnapshot)] == [1, 2]


def test_seq_local_orders_all_events_of_a_feed(told: Told) -> None:
    streams: Streams[Any] = Streams(told.outlet)
    one: Any = streams.get(Subscription("v", "A-B", "trades"))
    two: Any = streams.get(Subscription("w", "A-B", "trades"))
    for number in range(1, 4):
        feed(one, number)
        feed(two, number * 2)
    assert [e.seq_local for e in told] == list(range(1, len(told) + 1))


def test_P29_an_instrument_is_told_when_new_and_when_changed(told: Told) -> None:
    streams: Streams[Any] = Streams(told.outlet)
    listed: Instrument[Any] = Instrument(venue="v", symbol="A-B", native="AB", base="A", quote="B")
    halted = structs.replace(listed, trading=False, status="halted")
    for ts_recv, instrument in enumerate([listed, listed, halted, halted], 1):
        streams.introduce(instrument, ts_recv)
    assert told == [
        structs.replace(listed, ts_recv=1, seq_local=1),
        structs.replace(halted, ts_recv=3, seq_local=2),
    ]
    assert streams.instruments == {("v", "A-B"): told[1]}


def test_P29_I14_who_comes_later_hears_of_instruments_in_the_order_in_which_they_were_told(told: Told) -> None:
    streams: Streams[Any] = Streams(told.outlet)
    first: Instrument[Any] = Instrument(venue="v", symbol="A-B", native="AB", base="A", quote="B")
    second = structs.replace(first, symbol="C-B", native="CB", base="C")
    assert [streams.introduce(one, 1) for one in (first, second, first)] == [False, False, False]
    assert streams.introduce(structs.replace(first, status="halted"), 2)
    assert [i.seq_local for i in streams.instruments.values()] == [2, 3]
