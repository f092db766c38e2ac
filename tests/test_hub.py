"""The hub: every event once to everybody, whatever anybody does; late joiners are whole; torn books are mended."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.book import Book
from marketfeed.consumer import MAX_BYTES, Consumer
from marketfeed.errors import ConsumerTooSlow
from marketfeed.events import BookDelta, BookSnapshot, Head, Instrument, Lagged, RecorderStatus, Trade
from marketfeed.hub import Hub
from marketfeed.streams import BookStream, TradeStream
from marketfeed.trusted_book import TrustedBook

from . import toy
from .test_consumer import Clock, drain, waiting
from .virtual import settle, virtual


class Market:
    """A hub with one book and one trade stream, moved by hand."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.clock = Clock()
        self.stream: BookStream[float] = self.hub.streams.get(toy.subscription())  # type: ignore[assignment]
        self.trades: TradeStream[float] = self.hub.streams.get(toy.subscription(channel="trades"))  # type: ignore[assignment]
        self.book: Book[float] = Book()
        self.number = 0
        self.hub.streams.introduce(toy.instruments("BTC-USD")["BTC-USD"], 1)

    def consumer(self, **options: Any) -> Consumer:
        consumer = Consumer(self.hub.outlet, self.clock, **options)
        consumer.on_end(self.hub.leave)
        self.hub.join(consumer)
        return consumer

    def open(self, levels: int = 3) -> None:
        self.book = Book()
        self.book.bids.load([(100.0 - n, 1.0) for n in range(levels)])
        self.book.asks.load([(101.0 + n, 1.0) for n in range(levels)])
        self.stream.opened(self, self.book, 0, 0, 1, 1)

    def torn(self, consumer: Consumer, books: int, levels: int = 3) -> set[str]:
        """Open so many books more, that the consumer has read, and tear them; gives their symbols."""
        symbols = {f"C{n}-USD" for n in range(books)}
        for symbol in symbols:
            self.stream = self.hub.streams.get(toy.subscription(symbol))  # type: ignore[assignment]
            self.open(levels)
            self.deliver()
            waiting(consumer)
        consumer.torn.update(("toy", symbol) for symbol in symbols)
        return symbols

    def change(self, price: float, size: float) -> None:
        levels = ((price, size),)
        side = (levels, ()) if price <= 100 else ((), levels)
        self.book.bids.apply(side[0])
        self.book.asks.apply(side[1])
        self.stream.changed(0, *side, 1, 1)

    def void(self) -> None:
        self.stream.void(self, "sequence", "a hole", 1)

    def trade(self, count: int = 1) -> None:
        for _ in range(count):
            self.number += 1
            self.trades.trade(1.0, 1.0, "buy", self.number, 1, 1)

    def deliver(self) -> None:
        self.hub.deliver()


@pytest.fixture
def market() -> Market:
    return Market()


def test_every_consumer_gets_every_event_once_in_order(market: Market) -> None:
    consumers = [market.consumer() for _ in range(3)]
    market.trade(5)
    market.deliver()
    market.deliver()
    told = [waiting(consumer) for consumer in consumers]
    assert told[0] == told[1] == told[2]
    assert [event.id for event in told[0] if isinstance(event, Trade)] == ["1", "2", "3", "4", "5"]


def test_C02_a_handler_that_raises_harms_nobody(market: Market, caplog: pytest.LogCaptureFixture) -> None:
    got: list[str] = []

    def broken(event: Trade[float]) -> None:
        if event.id in {"2", "4"}:
            raise ZeroDivisionError(event.id)
        got.append(event.id)

    market.hub.handlers[Trade] = [broken, lambda event: got.append(f"other {event.id}")]
    consumer = market.consumer()
    with caplog.at_level(logging.ERROR, "marketfeed.hub"):
        market.trade(5)
        market.deliver()
    assert got == ["1", "other 1", "other 2", "3", "other 3", "other 4", "5", "other 5"]
    assert len([e for e in waiting(consumer) if isinstance(e, Trade)]) == 5
    assert market.hub.handler_errors == 2
    assert caplog.text.count("raised") == 2
    assert "broken" in caplog.text


def test_C02_a_coroutine_that_a_handler_returns_is_reported_since_nobody_awaits_it(
    market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(event: Trade[float]) -> None: ...

    market.hub.handlers[Trade] = [work, lambda event: event]
    market.trade(2)
    market.deliver()
    assert market.hub.handler_errors == 2
    assert "nobody awaits" in caplog.text


def test_C15_a_handler_that_always_raises_does_not_flood_the_log(
    market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    market.hub.handlers[Trade] = [lambda event: 1 / 0]
    market.trade(2_500)
    market.deliver()
    assert market.hub.handler_errors == 2_500
    assert len([r for r in caplog.records if r.name == "marketfeed.hub"]) == 12


def test_C01_slow_stuck_and_healthy_consumers_do_not_know_of_each_other(market: Market) -> None:
    healthy = [market.consumer() for _ in range(98)]
    stuck = market.consumer(policy="lossless", max_events=100)
    slow = market.consumer(policy="drop_oldest", max_events=100)
    got: list[list[Head]] = [[] for _ in healthy]
    seen: list[Head] = []
    market.open()
    for _ in range(100):
        market.trade(10)
        market.change(100.0, float(market.number))
        market.deliver()
        for consumer, mine in zip(healthy, got, strict=True):
            mine.extend(waiting(consumer))
        seen.append(drain(slow))
    assert all(mine == got[0] for mine in got)
    assert len([e for e in got[0] if isinstance(e, Trade)]) == 1_000
    assert not any(isinstance(e, Lagged) for e in got[0])
    assert isinstance(waiting(stuck)[0], Lagged)
    with pytest.raises(ConsumerTooSlow):
        drain(stuck)
    assert slow.dropped > 0
    assert stuck not in market.hub.consumers
    assert slow in market.hub.consumers
    assert all(len(one) <= 101 for one in (slow, stuck))


def test_a_torn_book_is_mended_by_a_whole_one_behind_what_waits(market: Market) -> None:
    consumer = market.consumer(policy="drop_oldest", max_events=4, books=True)
    market.open()
    market.deliver()
    waiting(consumer)
    for n in range(1, 10):
        market.change(100.0, float(n))
        market.deliver()
    kinds = []
    while len(consumer):
        event = drain(consumer)
        kinds.append(type(event))
        mine = consumer.book("toy:BTC-USD")
        if mine.live:
            assert isinstance(event, BookSnapshot | BookDelta)
    assert kinds[0] is Lagged
    assert BookSnapshot in kinds
    market.change(100.0, 77.0)
    market.deliver()
    waiting(consumer)
    assert consumer.book("toy:BTC-USD").bids() == market.stream.view.bids()
    assert consumer.book("toy:BTC-USD").seq == market.stream.view.seq


@virtual
async def test_a_torn_book_is_mended_in_a_market_that_falls_quiet() -> None:
    market = Market()
    market.open()
    consumer = market.consumer(policy="drop_oldest", max_events=3, books=True)
    for n in range(1, 10):
        market.change(100.0, float(n))
    market.deliver()
    await settle()
    book = consumer.book("toy:BTC-USD")
    async with asyncio.timeout(5):
        while not book.live:
            await anext(consumer)
    assert book.bids() == market.stream.view.bids()


@virtual
async def test_torn_books_come_whole_as_there_is_room_and_push_nothing_out() -> None:
    market = Market()
    consumer = market.consumer(policy="drop_oldest", max_bytes=100_000, books=True)
    symbols = market.torn(consumer, 10, levels=100)
    market.trade()
    market.deliver()
    whole: set[str] = set()
    async with asyncio.timeout(5):
        while len(whole) < len(symbols):
            event = await anext(consumer)
            if isinstance(event, BookSnapshot):
                whole.add(event.symbol)
    assert consumer.dropped == 0


@virtual
async def test_torn_books_push_nothing_out_of_a_short_queue_that_is_read_fast_enough() -> None:
    market = Market()
    consumer = market.consumer(policy="drop_oldest", max_events=20, books=True)
    symbols = market.torn(consumer, 40)
    whole: set[str] = set()
    for _ in range(200):
        market.trade()
        market.deliver()
        for _ in range(min(2, len(consumer))):  # twice as fast as what comes
            event = await anext(consumer)
            if isinstance(event, BookSnapshot):
                whole.add(event.symbol)
        await asyncio.sleep(0)
    assert (whole, consumer.dropped, consumer.torn) == (symbols, 0, set())


@virtual
async def test_a_reader_that_never_catches_up_gets_its_torn_book_whole_all_the_same() -> None:
    market = Market()
    market.open()
    consumer = market.consumer(policy="drop_oldest", max_bytes=50_000, books=True)
    waiting(consumer)
    whole = 0
    for n in range(1_000):
        market.change(100.0, float(n + 1))
        market.trade(9)
        market.deliver()
        if n > 50:
            for _ in range(9):  # a tenth too slow
                whole += isinstance(await anext(consumer), BookSnapshot)
        await asyncio.sleep(0)
    assert whole > 10


def test_a_torn_book_that_is_void_itself_waits_for_its_next_epoch(market: Market) -> None:
    consumer = market.consumer(policy="drop_oldest", max_events=2, books=True)
    market.open()
    market.change(100.0, 2.0)
    market.change(100.0, 3.0)
    market.void()
    market.deliver()
    assert BookSnapshot not in {type(event) for event in waiting(consumer)}
    market.open()
    market.deliver()
    waiting(consumer)
    assert consumer.book("toy:BTC-USD").epoch == 2


def test_a_late_joiner_first_gets_instruments_then_whole_live_books(market: Market) -> None:
    market.open()
    market.change(99.5, 5.0)
    market.trade()
    late = market.consumer()
    instrument, book = waiting(late)
    assert isinstance(instrument, Instrument)
    assert isinstance(book, BookSnapshot)
    assert (99.5, 5.0) in book.bids
    assert (book.epoch, book.seq) == (1, 2)
    market.void()
    market.deliver()
    assert [type(event) for event in waiting(market.consumer())] == [Instrument]


def test_no_two_consumers_have_one_name(market: Market) -> None:
    for name in ("bot-3", "bot", "bot", "", "consumer-7", "bot", ""):
        market.consumer(name=name)
    assert len({consumer.name for consumer in market.hub.consumers}) == 7


def test_a_late_joiner_gets_what_is_on_its_way_only_once(market: Market) -> None:
    early = market.consumer(books=True)
    market.open()
    market.change(100.0, 2.0)  # not delivered yet
    late = market.consumer(books=True)
    market.change(100.0, 3.0)
    market.deliver()
    for consumer in (early, late):
        waiting(consumer)
        assert consumer.book("toy:BTC-USD").seq == 3
        assert consumer.book("toy:BTC-USD").live


def test_who_joins_from_within_a_handler_gets_no_event_twice(market: Market) -> None:
    made: list[Consumer] = []

    def join(event: BookDelta[float]) -> None:
        if not made:
            made.append(market.consumer(books=True))

    market.hub.handlers[BookDelta] = [join]
    market.open()
    market.change(100.0, 2.0)
    market.change(100.0, 3.0)
    market.deliver()
    market.change(100.0, 4.0)
    market.deliver()
    events = waiting(made[0])
    assert [type(event) for event in events] == [Instrument, BookSnapshot, BookDelta]
    assert made[0].book("toy:BTC-USD").live
    assert made[0].book("toy:BTC-USD").seq == 4


def test_what_a_handler_leads_to_follows_what_it_was_called_with(market: Market) -> None:
    made: list[Consumer] = []

    def join(event: Trade[float]) -> None:
        market.hub.outlet.tell(RecorderStatus(venue="", status="ended", seq_local=market.hub.outlet.number()))
        made.append(market.consumer())

    consumer = market.consumer()
    market.hub.handle(Trade, join)
    market.trade(2)
    market.deliver()
    numbers = [event.seq_local for event in waiting(consumer)]
    assert len(numbers) == 5
    assert numbers == sorted(numbers)
    assert [sum(type(e) is RecorderStatus for e in waiting(one)) for one in made] == [1, 0]


def test_who_leaves_from_within_a_handler_or_a_filter_disturbs_nobody(market: Market) -> None:
    first, second, third = (market.consumer() for _ in range(3))
    for consumer in (first, second, third):
        waiting(consumer)
    market.hub.handlers[Trade] = [lambda event: first.close()]
    market.trade()
    market.deliver()
    assert (len(first), len(second), len(third)) == (0, 1, 1)
    market.hub.leave(first)
    assert market.hub.consumers == [second, third]


def test_C02_a_filter_that_raises_harms_nobody_else(market: Market) -> None:
    market.consumer()
    broken = market.consumer(keep=lambda event: isinstance(event, Instrument) or bool(1 / 0))
    healthy = market.consumer()
    waiting(healthy)
    market.trade(3)
    market.deliver()
    assert len(waiting(healthy)) == 3
    waiting(broken)
    with pytest.raises(ZeroDivisionError):
        drain(broken)
    assert broken not in market.hub.consumers


def test_a_joiner_of_more_than_a_queue_holds_is_not_turned_away(market: Market) -> None:
    for n in range(8):
        subscription = toy.subscription(f"C{n}-USD")
        stream: BookStream[float] = market.hub.streams.get(subscription)  # type: ignore[assignment]
        book: Book[float] = Book()
        book.bids.load([(float(p), 1.0) for p in range(1, 100_000)])
        stream.opened(market, book, 0, 0, 1, 1)
    market.deliver()
    assert MAX_BYTES < 8 * 100_000 * 180
    late = market.consumer()
    market.trade()
    market.deliver()
    assert [type(event) for event in waiting(late)] == [Instrument, *[BookSnapshot] * 8, Trade]


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["change", "change", "change", "deliver", "void", "open", "join"]), st.integers(0, 9)),
    max_size=80,
)


@given(steps=STEPS)
def test_I18_consumers_that_join_at_any_time_come_to_the_same_book(steps: list[Step]) -> None:
    market = Market()
    consumers = [market.consumer(books=True)]
    kept = [Kept()]
    market.open()
    for act, n in steps:
        if act == "change" and market.stream.view.live:
            market.change(95.0 + n if n < 6 else 101.0 + n, float(n % 4))
        elif act == "deliver":
            market.deliver()
        elif act == "void":
            market.void()
        elif act == "open" and not market.stream.view.live:
            market.open()
        elif act == "join":
            consumers.append(market.consumer(books=True, policy="drop_oldest", max_events=3 + n))
            kept.append(Kept())
        if n == 9:
            for consumer, mine in zip(consumers, kept, strict=True):
                mine.read(consumer)
    market.void()
    market.open()
    market.change(100.0, 42.0)
    market.deliver()
    for consumer, mine in zip(consumers, kept, strict=True):
        mine.read(consumer)
        for book in (mine.book, consumer.book("toy:BTC-USD")):
            assert (book.epoch, book.seq) == (market.stream.view.epoch, market.stream.view.seq)
            assert book.bids() == market.stream.view.bids()
            assert book.asks() == market.stream.view.asks()


class Kept:
    """A book kept by the public rules alone: a snapshot opens an epoch, deltas follow `prev_seq`."""

    def __init__(self) -> None:
        self.book: TrustedBook[float] = TrustedBook("kept")

    def read(self, consumer: Consumer) -> None:
        while len(consumer):
            self.book.apply(drain(consumer))
