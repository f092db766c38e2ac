"""Consumers: three policies, exact loss, and no way for one of them to harm another."""

import asyncio
import itertools
import tracemalloc
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.consumer import EVENT_BYTES, LEVEL_BYTES, MAX_BYTES, Consumer
from marketfeed.errors import ConfigError, ConsumerTooSlow
from marketfeed.events import BookDelta, BookSnapshot, BookVoid, Gap, Head, Lagged, Ticker, Trade
from marketfeed.outlet import Outlet

from .virtual import cancelled, settle, virtual

MS = 1_000_000


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.mono = 0

    def mono_ns(self) -> int:
        return self.mono

    def unix_ns(self) -> int:
        return 1_790_000_000 * 10**9 + self.mono


class Desk:
    """Makes consumers and numbered events."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.outlet = Outlet(lambda event: None)

    def consumer(self, **options: Any) -> Consumer:
        return Consumer(self.outlet, self.clock, **options)

    def trade(self, symbol: str = "BTC-USD") -> Trade[float]:
        number = self.outlet.number()
        return Trade(venue="toy", symbol=symbol, price=1.0, size=1.0, side="buy", id=str(number), seq_local=number)

    def trades(self, count: int) -> list[Head]:
        return [self.trade() for _ in range(count)]

    def ticker(self, symbol: str = "BTC-USD") -> Ticker[float]:
        return Ticker(venue="toy", symbol=symbol, last=1.0, seq_local=self.outlet.number())

    def snapshot(self, seq: int = 1, levels: int = 1, epoch: int = 1) -> BookSnapshot[float]:
        bids = tuple((1000.0 - n, 1.0) for n in range(levels))
        number = self.outlet.number()
        return BookSnapshot(
            venue="toy", symbol="BTC-USD", epoch=epoch, seq=seq, bids=bids, asks=((2000.0, 1.0),), seq_local=number
        )

    def delta(self, seq: int, size: float = 2.0) -> BookDelta[float]:
        return BookDelta(
            venue="toy",
            symbol="BTC-USD",
            epoch=1,
            seq=seq,
            prev_seq=seq - 1,
            bids=((1000.0, size),),
            asks=(),
            seq_local=self.outlet.number(),
        )


def waiting(consumer: Consumer) -> list[Head]:
    """What can be read now, read."""
    return [drain(consumer) for _ in range(len(consumer))]


def drain(consumer: Consumer) -> Head:
    step = consumer.__anext__()
    try:
        step.send(None)  # type: ignore[attr-defined] # a coroutine that has something to give does not wait
    except StopIteration as done:
        event: Head = done.value
        return event
    raise AssertionError("it waits")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_consumer_has_one_of_three_policies_and_room_for_one_event(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="lossless, drop_oldest, conflate"):
        desk.consumer(policy="newest")
    with pytest.raises(ConfigError, match="at least one"):
        desk.consumer(max_events=0)
    with pytest.raises(ConfigError, match="some time and room"):
        desk.consumer(max_lag_s=0)
    consumer = desk.consumer(max_events=1)
    consumer.offer([desk.trade()])
    assert len(waiting(consumer)) == 1


def test_events_come_in_order_and_only_those_it_keeps(desk: Desk) -> None:
    consumer = desk.consumer(keep=lambda event: isinstance(event, Trade))
    first, second = desk.trade(), desk.trade()
    consumer.offer([first, desk.ticker(), second])
    assert waiting(consumer) == [first, second]


def test_lossless_10000_events_may_wait_and_not_one_more(desk: Desk) -> None:
    consumer = desk.consumer()
    events = desk.trades(10_001)
    consumer.offer(events[:10_000])
    assert len(consumer) == 10_000
    consumer.offer(events[10_000:])
    (lagged,) = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert (lagged.policy, lagged.dropped) == ("lossless", 10_001)
    assert (lagged.from_seq_local, lagged.to_seq_local) == (1, 10_001)
    assert consumer.dropped == 10_001
    with pytest.raises(ConsumerTooSlow, match="10001 events waited; read faster"):
        drain(consumer)
    with pytest.raises(ConsumerTooSlow):
        drain(consumer)
    consumer.offer([desk.trade()])
    assert len(consumer) == 0


def test_lossless_an_event_may_wait_2_s_and_no_longer(desk: Desk) -> None:
    consumer = desk.consumer()
    consumer.offer([desk.trade()])
    desk.clock.mono += 2_000 * MS
    consumer.offer([desk.trade()])
    assert len(consumer) == 2
    desk.clock.mono += 1
    consumer.offer([desk.trade()])
    assert [type(event) for event in waiting(consumer)] == [Lagged]


def test_lossless_64_mib_may_wait_and_no_more(desk: Desk) -> None:
    consumer = desk.consumer()
    levels = (MAX_BYTES // 2 - EVENT_BYTES) // LEVEL_BYTES - 1
    consumer.offer([desk.snapshot(levels=levels)])
    consumer.offer([desk.snapshot(levels=levels)])
    assert len(consumer) == 2
    consumer.offer([desk.snapshot(levels=10)])
    assert [type(event) for event in waiting(consumer)] == [Lagged]


@pytest.mark.parametrize("policy", ["lossless", "drop_oldest", "conflate"])
def test_one_event_alone_always_passes_however_large_and_however_late(desk: Desk, policy: Any) -> None:
    consumer = desk.consumer(policy=policy)
    huge = desk.snapshot(levels=400_000)
    assert EVENT_BYTES + LEVEL_BYTES * 400_000 > MAX_BYTES
    consumer.offer([huge])
    desk.clock.mono += 60_000 * MS
    assert waiting(consumer) == [huge]
    consumer.offer([huge])
    assert waiting(consumer) == [huge]
    assert consumer.dropped == 0


def test_memory_is_counted_down_as_events_are_read(desk: Desk) -> None:
    consumer = desk.consumer()
    levels = (MAX_BYTES // 3) // LEVEL_BYTES
    for _ in range(20):
        consumer.offer([desk.snapshot(levels=levels)])
        assert len(waiting(consumer)) == 1


def numbered(kind: str, n: int, number: Callable[[str], Any]) -> Head:
    """An event of which no part is any other's."""
    head: dict[str, Any] = {
        "venue": "v",
        "symbol": "A-B",
        "ts_recv": 10**18 + n,
        "ts_event": 10**18 - n,
        "seq_local": n,
    }
    price, size = number(f"65000.{n:03}"), number(f"0.{n:06}1")
    if kind == "trade":
        return Trade(**head, price=price, size=size, side="buy", id=f"{n:020}")
    if kind == "ticker":
        rest = {name: number(f"65000.{n:03}") for name in ("ask", "ask_size", "last", "volume_24h")}
        return Ticker(**head, bid=price, bid_size=size, **rest)
    levels = tuple((number(f"{65_000 + n}.{i:03}"), number(f"{n}.{i:03}")) for i in range(40))
    return BookSnapshot(**head, epoch=1, seq=10**9 + n, bids=levels, asks=())


@pytest.mark.parametrize("number", [float, Decimal])
@pytest.mark.parametrize("kind", ["trade", "ticker", "snapshot"])
def test_what_waits_takes_no_more_memory_than_it_is_reckoned_at(
    desk: Desk, kind: str, number: Callable[[str], Any]
) -> None:
    consumer = desk.consumer(exact=number is Decimal, max_events=10_000)
    tracemalloc.start()
    try:
        for n in range(1_000, 2_000):
            consumer.offer([numbered(kind, n, number)])
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(consumer) == 1_000
    assert 0.5 < taken / consumer.backlog()[0] < 1


def test_a_consumer_may_wait_longer_and_hold_more(desk: Desk) -> None:
    patient = desk.consumer(policy="drop_oldest", max_lag_s=float("inf"), max_bytes=10**9)
    hasty = desk.consumer(policy="drop_oldest")
    for _ in range(2):
        for consumer in (patient, hasty):
            consumer.offer([desk.trade()])
        desk.clock.mono += 600_000 * MS
    assert len(waiting(patient)) == 2
    assert isinstance(waiting(hasty)[0], Lagged)


def test_drop_oldest_says_exactly_what_was_left_out_before_anything_newer(desk: Desk) -> None:
    consumer = desk.consumer(policy="drop_oldest", max_events=5)
    events = desk.trades(8)
    consumer.offer(events)
    lagged, *rest = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert (lagged.policy, lagged.dropped, lagged.from_seq_local, lagged.to_seq_local) == ("drop_oldest", 3, 1, 3)
    assert rest == events[3:]


def test_drop_oldest_drops_that_follow_each_other_are_one_lagged_with_their_sum(desk: Desk) -> None:
    consumer = desk.consumer(policy="drop_oldest", max_events=3)
    events = desk.trades(3)
    consumer.offer(events)
    for _ in range(10):
        events.append(desk.trade())
        consumer.offer(events[-1:])
    lagged, *rest = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert lagged.dropped == consumer.dropped == 13 - len(rest)
    assert (lagged.from_seq_local, lagged.to_seq_local) == (events[0].seq_local, events[12 - len(rest)].seq_local)
    assert rest == events[-len(rest) :]


def test_drop_oldest_drops_what_is_older_than_2_s(desk: Desk) -> None:
    consumer = desk.consumer(policy="drop_oldest")
    old, new = desk.trade(), desk.trade()
    consumer.offer([old])
    desk.clock.mono += 1_500 * MS
    consumer.offer([new])
    desk.clock.mono += 600 * MS
    newest = desk.trade()
    consumer.offer([newest])
    lagged, *rest = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert (lagged.dropped, rest) == (1, [new, newest])


def test_drop_oldest_a_lagged_in_front_does_not_make_what_is_behind_it_younger(desk: Desk) -> None:
    consumer = desk.consumer(policy="drop_oldest", max_events=2)
    consumer.offer(desk.trades(3))
    desk.clock.mono += 2_001 * MS
    newest = desk.trade()
    consumer.offer([newest])
    lagged, *rest = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert (lagged.dropped, rest) == (3, [newest])


Script = list[tuple[int, int, int]]


@given(
    script=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9), st.integers(0, 900)), max_size=60),
    size=st.integers(1, 8),
)
def test_C01_whatever_happens_read_and_dropped_are_all_there_was_in_order(script: Script, size: int) -> None:
    desk = Desk()
    consumer = desk.consumer(policy="drop_oldest", max_events=size)
    offered: list[Head] = []
    read: list[Head] = []
    for arrivals, reads, ms in [*script, (1, 999, 0)]:
        batch = desk.trades(arrivals)
        offered += batch
        consumer.offer(batch)
        assert len(consumer) <= size + 1
        for _ in range(min(reads, len(consumer))):
            read.append(drain(consumer))
        desk.clock.mono += ms * MS
    told = sum(event.dropped for event in read if isinstance(event, Lagged))
    got = [event for event in read if isinstance(event, Trade)]
    assert told == consumer.dropped
    assert told + len(got) == len(offered)
    at = 0
    for event in read:  # a Lagged stands exactly where what it tells of would have stood
        if isinstance(event, Lagged):
            missing = offered[at : at + event.dropped]
            assert (missing[0].seq_local, missing[-1].seq_local) == (event.from_seq_local, event.to_seq_local)
            at += event.dropped
        else:
            assert event is offered[at]
            at += 1


def test_conflate_keeps_the_newest_ticker_of_each_market_and_all_else(desk: Desk) -> None:
    consumer = desk.consumer(policy="conflate", max_events=4)
    old, kept, other = desk.ticker(), desk.trade(), desk.ticker("ETH-USD")
    newer, newest = desk.ticker(), desk.ticker()
    consumer.offer([old, kept, other, newer, newest])
    lagged, *rest = waiting(consumer)
    assert rest == [kept, other, newest]
    assert isinstance(lagged, Lagged)
    assert (lagged.policy, lagged.dropped) == ("conflate", 2)
    assert (lagged.from_seq_local, lagged.to_seq_local) == (old.seq_local, newer.seq_local)


def test_conflate_within_its_bounds_merges_nothing(desk: Desk) -> None:
    consumer = desk.consumer(policy="conflate", max_events=4)
    events = [desk.ticker() for _ in range(4)]
    consumer.offer(events)
    assert waiting(consumer) == events


def test_conflate_a_market_s_newest_ticker_is_never_lost_to_age(desk: Desk) -> None:
    consumer = desk.consumer(policy="conflate")
    quiet = desk.ticker("SOL-USD")
    consumer.offer([quiet])
    busy: list[Ticker[float]] = []
    for _ in range(100):
        desk.clock.mono += 100 * MS
        busy.append(desk.ticker())
        consumer.offer(busy[-1:])
    events = waiting(consumer)
    assert quiet in events
    assert busy[-1] in events
    assert sum(e.dropped for e in events if isinstance(e, Lagged)) == 101 - sum(isinstance(e, Ticker) for e in events)


def test_conflate_a_ticker_in_front_does_not_make_what_is_behind_it_younger(desk: Desk) -> None:
    consumer = desk.consumer(policy="conflate")
    quiet, old = desk.ticker(), desk.trade()
    consumer.offer([quiet, old])
    for _ in range(5):
        desk.clock.mono += 500 * MS
        consumer.offer(desk.trades(1))
    assert consumer.backlog()[1] == 2_000 * MS
    lagged, *rest = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert (lagged.dropped, lagged.to_seq_local, rest[0]) == (1, old.seq_local, quiet)
    assert len(rest) == 6


def test_conflate_drops_the_oldest_where_nothing_can_be_merged(desk: Desk) -> None:
    consumer = desk.consumer(policy="conflate", max_events=3)
    events = desk.trades(5)
    consumer.offer(events)
    lagged, *rest = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert (lagged.dropped, rest) == (2, events[2:])


def test_conflate_tells_the_span_of_what_was_merged_and_of_what_was_dropped_together(desk: Desk) -> None:
    consumer = desk.consumer(policy="conflate", max_events=2)
    first, old, middle, new, last = desk.trade(), desk.ticker(), desk.trade(), desk.ticker(), desk.trade()
    consumer.offer([first, old, middle, new, last])
    lagged, *rest = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert rest == [new, last]
    assert (lagged.dropped, lagged.from_seq_local, lagged.to_seq_local) == (3, first.seq_local, middle.seq_local)


def test_dropped_book_events_mark_the_book_torn(desk: Desk) -> None:
    consumer = desk.consumer(policy="drop_oldest", max_events=2)
    consumer.offer([desk.snapshot(), desk.delta(2), desk.delta(3)])
    assert consumer.torn == {("toy", "BTC-USD")}


def test_books_move_with_the_events_read(desk: Desk) -> None:
    consumer = desk.consumer(books=True)
    events = [desk.snapshot(), desk.delta(2, 7.0), desk.delta(3, 9.0)]
    void = BookVoid(venue="toy", symbol="BTC-USD", epoch=1, reason="hole")
    consumer.offer([*events, void])
    assert not consumer.book("toy:BTC-USD").live
    sizes = []
    for event in events:
        assert drain(consumer) is event
        ((_, size), _) = consumer.book(event).best()
        sizes.append(size)
    assert sizes == [1.0, 7.0, 9.0]
    drain(consumer)
    assert consumer.book("toy:BTC-USD").top() is None
    assert consumer.book("toy:BTC-USD").reason == "hole"


def test_books_of_a_consumer_that_dropped_are_void_until_the_next_snapshot(desk: Desk) -> None:
    consumer = desk.consumer(books=True, policy="drop_oldest", max_events=2)
    consumer.offer([desk.snapshot()])
    first = drain(consumer)
    assert consumer.book(first).live
    consumer.offer([desk.delta(2), desk.delta(3), desk.delta(4)])
    assert not consumer.book(first).live
    assert [type(event) for event in waiting(consumer)] == [Lagged, BookDelta, BookDelta]
    assert consumer.book(first).reason == "events of this book were dropped"
    consumer.offer([desk.snapshot(4), desk.delta(5)])
    waiting(consumer)
    assert consumer.book(first).seq == 5


def test_books_are_kept_only_where_they_were_asked_for(desk: Desk) -> None:
    with pytest.raises(ConfigError, match=r"consumer\(books=True\)"):
        desk.consumer().book("toy:BTC-USD")


def test_a_gap_of_a_book_counts_as_its_event_and_one_of_trades_does_not(desk: Desk) -> None:
    consumer = desk.consumer(policy="drop_oldest", max_events=1)
    gap = Gap(venue="toy", symbol="BTC-USD", channel="trades", cause="sequence")
    consumer.offer([gap, desk.trade()])
    assert consumer.torn == set()


def test_C02_a_filter_that_raises_ends_its_own_consumer_with_that_error(desk: Desk) -> None:
    def keep(event: Head) -> bool:
        if event.seq_local == 3:
            raise ZeroDivisionError("a bug in a filter")
        return True

    consumer = desk.consumer(keep=keep)
    events = desk.trades(5)
    consumer.offer(events)
    assert waiting(consumer) == events[:2]
    with pytest.raises(ZeroDivisionError):
        drain(consumer)


@virtual
async def test_a_reader_waits_and_is_woken() -> None:
    desk = Desk()
    consumer = desk.consumer()
    reader = asyncio.create_task(consumer.__anext__())  # type: ignore[arg-type]
    await settle()
    event = desk.trade()
    consumer.offer([event])
    consumer.offer([desk.trade()])
    assert await reader is event
    assert len(consumer) == 1


@virtual
async def test_C03_a_reader_cancelled_while_it_waits_loses_nothing() -> None:
    desk = Desk()
    for turns in range(6):
        consumer = desk.consumer()
        reader = asyncio.create_task(consumer.__anext__())  # type: ignore[arg-type]
        await settle(turns)
        event = desk.trade()
        consumer.offer([event])
        reader.cancel()
        (outcome,) = await asyncio.gather(reader, return_exceptions=True)
        assert outcome is event or await consumer.__anext__() is event


@virtual
async def test_there_is_one_reader_at_a_time() -> None:
    consumer = Desk().consumer()
    reader = asyncio.create_task(consumer.__anext__())  # type: ignore[arg-type]
    await settle()
    with pytest.raises(RuntimeError, match="one reader"):
        await consumer.__anext__()
    await cancelled(reader)


@virtual
async def test_batches_hold_all_that_waits() -> None:
    desk = Desk()
    consumer = desk.consumer()
    events = desk.trades(5)
    consumer.offer(events[:3])
    batches = consumer.batches()
    assert await anext(batches) == events[:3]
    waits = asyncio.create_task(anext(batches))  # type: ignore[arg-type]
    await settle()
    consumer.offer(events[3:])
    assert await waits == events[3:]
    consumer.end()
    with pytest.raises(StopAsyncIteration):
        await anext(batches)


@virtual
async def test_a_consumer_that_ended_gives_what_is_queued_and_then_stops() -> None:
    desk = Desk()
    consumer = desk.consumer()
    events = desk.trades(3)
    consumer.offer(events)
    consumer.end()
    consumer.offer([desk.trade()])
    assert [event async for event in consumer] == events
    assert [event async for event in consumer] == []


@virtual
async def test_an_error_that_ended_it_comes_after_what_is_queued() -> None:
    desk = Desk()
    consumer = desk.consumer()
    consumer.offer(desk.trades(1))
    consumer.end(ZeroDivisionError("a bug of ours"))
    consumer.end(ValueError("a later one"))
    await consumer.__anext__()
    with pytest.raises(ZeroDivisionError):
        await consumer.__anext__()
    with pytest.raises(ZeroDivisionError):
        async for _ in consumer.batches():
            pass


@virtual
async def test_end_wakes_a_reader_that_waits() -> None:
    for way in (Consumer.end, Consumer.close):
        consumer = Desk().consumer()

        async def read(consumer: Consumer = consumer) -> list[Head]:
            return [event async for event in consumer]

        reader = asyncio.create_task(read())
        await settle()
        way(consumer)
        assert await reader == []


@virtual
async def test_close_lets_go_of_what_is_queued_and_leaves_once() -> None:
    desk = Desk()
    consumer = desk.consumer()
    left: list[Consumer] = []
    consumer.on_end(left.append)
    consumer.offer(desk.trades(3))
    consumer.close()
    consumer.close()
    assert [event async for event in consumer] == []
    assert left == [consumer]


Ending = Callable[[Desk, Consumer], None]


def too_slow(desk: Desk, consumer: Consumer) -> None:
    consumer.offer(desk.trades(10_001))


def by_hand(desk: Desk, consumer: Consumer) -> None:
    consumer.end()


@pytest.mark.parametrize("ending", [too_slow, by_hand])
def test_a_consumer_that_ended_by_itself_leaves_the_feed_too(desk: Desk, ending: Ending) -> None:
    consumer = desk.consumer()
    left: list[Consumer] = []
    consumer.on_end(left.append)
    ending(desk, consumer)
    assert left == [consumer]


def test_welcoming_events_count_for_no_bound(desk: Desk) -> None:
    consumer = desk.consumer(max_events=2)
    books: Sequence[Head] = [desk.snapshot(levels=300_000) for _ in range(4)]
    consumer.welcome(books)
    trades = desk.trades(2)
    consumer.offer(trades)
    assert waiting(consumer) == [*books, *trades]
    for _ in itertools.repeat(None, 3):
        consumer.offer(desk.trades(2))
        assert len(waiting(consumer)) == 2


def test_a_full_queue_with_a_lagged_in_front_drops_nothing_for_what_it_does_not_keep(desk: Desk) -> None:
    consumer = desk.consumer(policy="drop_oldest", max_events=3, keep=lambda event: isinstance(event, Trade))
    events = desk.trades(4)
    consumer.offer(events)
    consumer.offer([desk.ticker()])
    lagged, *rest = waiting(consumer)
    assert isinstance(lagged, Lagged)
    assert (lagged.dropped, rest) == (1, events[1:])
