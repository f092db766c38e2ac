"""Several connections for one stream: what one loses is no loss, what both tell is told once, and no book is wrong.

Links are played by the test at the level of sessions' sinks; books are proven by the very `BookSync`.
"""

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from marketfeed.book import Book
from marketfeed.counts import Counts
from marketfeed.events import (
    BookDelta,
    BookSnapshot,
    BookVoid,
    Gap,
    Head,
    Recovered,
    Refused,
    Stale,
    Subscribed,
    Ticker,
    Trade,
)
from marketfeed.lanes import LanedStreams
from marketfeed.lanes.book_lane import AHEAD
from marketfeed.lanes.books import REMEMBERED
from marketfeed.lanes.trades import MAX_WAITING
from marketfeed.outlet import Outlet, Stream
from marketfeed.streams import BookStream
from marketfeed.subscriptions import Channel, Subscription
from marketfeed.sync import BookSync
from marketfeed.trusted_book import TrustedBook
from marketfeed.venues._spec import BookRule, Picture

SECOND = 1_000_000_000
REST = BookRule(snapshot="rest", numbered=True)
STREAM = BookRule(snapshot="stream")


class World:
    """The streams of a feed, and what they told."""

    def __init__(self) -> None:
        self.events: list[Head] = []
        self.streams: LanedStreams[Any] = LanedStreams(Outlet(self.events.append))
        self.mono_ns = 0
        self.read = count(1)

    def seat(self, channel: Channel = "trades", rule: BookRule = REST) -> "Seat":
        return Seat(self, Subscription("toy", "BTC-USD", channel), rule)

    def of(self, *kinds: type[Head]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    def ids(self) -> list[int]:
        return [int(trade.id) for trade in self.of(Trade)]

    def gaps(self) -> list[tuple[str, int, int]]:
        return [(gap.cause, gap.from_seq, gap.to_seq) for gap in self.of(Gap)]

    def look(self, seconds: float = 1) -> None:
        self.mono_ns += int(seconds * SECOND)
        self.streams.look(self.mono_ns, self.mono_ns)

    def view(self) -> TrustedBook[Any]:
        stream = self.streams.find("toy", "BTC-USD", "book")
        assert isinstance(stream, BookStream)
        return stream.view


class Seat:
    """One connection's part in one stream, as a session would have it."""

    def __init__(self, world: World, subscription: Subscription, rule: BookRule) -> None:
        self.world = world
        self.subscription = subscription
        self.asked = 0
        stream: Any = world.streams.join(subscription, self)
        self.stream = stream
        self.sync: BookSync[Any] | None = None
        if subscription.channel == "book":
            self.sync = BookSync(rule, stream, "BTCUSD", 0, Counts(), self._ask)

    def _ask(self, sync: BookSync[Any]) -> None:
        self.asked += 1

    def reseat(self, subscription: Subscription, stream: Stream) -> None:
        assert subscription == self.subscription
        self.stream = stream
        if self.sync is not None:
            assert isinstance(stream, BookStream)
            self.sync.feed(stream)

    def alone(self) -> bool:
        """Whether it feeds the stream itself."""
        return self.stream is self.world.streams.get(self.subscription)

    def trade(self, *numbers: int, price: float = 100.0, ts: int = 0) -> "Seat":
        for number in numbers:
            self.stream.trade(price, 1.0, "buy", number, ts or number, number)
        return self

    def ticker(self, bid: float, ts: int = 0) -> "Seat":
        self.stream.ticker(ts, next(self.world.read), bid=bid)
        return self

    def snapshot(self, seq: int, truth: "Truth | None" = None) -> "Seat":
        assert self.sync is not None
        bids, asks = (truth or Truth(0)).at(seq)
        self.sync.snapshot(seq if self.sync._numbered else 0, bids, asks, 0, seq)
        return self

    def delta(self, *numbers: int, truth: "Truth | None" = None) -> "Seat":
        """Changes, one number each; of a truth what it says."""
        assert self.sync is not None
        for seq in numbers:
            bids, asks = (truth or Truth(0)).change(seq)
            number = seq if self.sync._numbered else 0
            self.sync.delta(number, number, bids, asks, seq, seq)
        return self

    def live(self, seq: int, truth: "Truth | None" = None) -> "Seat":
        """Have its book proven as of a number, and one change on."""
        return self.delta(seq, truth=truth).snapshot(seq, truth).delta(seq + 1, truth=truth)

    def lose(self, reason: str = "cut") -> None:
        """The connection is lost, as a session tells it."""
        if self.sync is not None:
            self.sync.lost(reason, 0)
        else:
            self.stream.lost("link lost", 0, reason)
        self.leave()

    def leave(self) -> bool:
        return self.world.streams.leave(self.subscription, self, 0)


class Truth:
    """A book that changes with each number: sizes of ten prices a side."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def change(self, seq: int) -> tuple[Any, Any]:
        price = (seq * 7 + self.seed) % 10
        size = float((seq * 13 + self.seed) % 5)
        return (((100.0 - price, size),), ()) if seq % 2 else ((), ((101.0 + price, size),))

    def at(self, seq: int) -> tuple[Any, Any]:
        """Both sides after so many changes."""
        bids: dict[float, float] = {100.0 - n: 9.0 for n in range(10)}
        asks: dict[float, float] = {101.0 + n: 9.0 for n in range(10)}
        for number in range(1, seq + 1):
            for side, levels in zip((bids, asks), self.change(number), strict=True):
                side.update(levels)
        return tuple((p, s) for p, s in bids.items() if s), tuple((p, s) for p, s in asks.items() if s)

    def book(self, seq: int) -> tuple[list[Any], list[Any]]:
        book: Book[float] = Book()
        bids, asks = self.at(seq)
        book.bids.load(bids)
        book.asks.load(asks)
        return list(book.bids.all()), list(book.asks.all())


# Taking part and leaving


@pytest.mark.parametrize("channel", ["trades", "ticker", "book", "chain"])
def test_a_stream_that_one_connection_feeds_has_nothing_in_its_way(channel: Channel) -> None:
    world = World()
    subscription = Subscription("toy", "BTC" if channel == "chain" else "BTC-USD", channel)
    seat = Seat(world, subscription, STREAM)
    assert seat.alone()
    assert world.streams.join(subscription, seat) is seat.stream
    assert seat.leave()


def test_a_chain_takes_what_several_connections_say() -> None:
    world = World()
    subscription = Subscription("toy", "BTC", "chain")
    first, second = Seat(world, subscription, STREAM), Seat(world, subscription, STREAM)
    assert first.stream is second.stream
    assert not first.leave()
    assert second.leave()


@pytest.mark.parametrize("channel", ["trades", "ticker", "book"])
def test_with_a_second_connection_both_have_lanes_and_the_last_one_has_none_again(channel: Channel) -> None:
    world = World()
    first = world.seat(channel, STREAM)
    second = world.seat(channel, STREAM)
    assert not first.alone()
    assert world.streams.join(second.subscription, second) is second.stream
    assert not first.leave()
    assert second.alone()
    assert not first.leave()
    assert second.leave()
    assert world.events == []


def test_what_was_heard_of_a_connection_is_counted_for_it_alone() -> None:
    world = World()
    first, second = world.seat(), world.seat()
    first.trade(1, 2)
    second.stream.seed(2, 0)
    assert (first.stream.heard(), second.stream.heard()) == (2, 1)


def test_what_a_venue_says_to_each_connection_is_told() -> None:
    world = World()
    first, second = world.seat(), world.seat()
    first.stream.tell(Subscribed, 0, channel="trades")
    assert first.stream.good
    second.stream.tell(Refused, 0, channel="trades", reason="no")
    assert not second.stream.good
    assert [type(event) for event in world.events] == [Subscribed, Refused]


def test_a_lane_that_rests_leaves_the_stream_as_it_is() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat().trade(1)
    first.stream.rest()
    second.trade(2)
    assert world.ids() == [1, 2]


# Trades: by id


def test_P12_a_trade_that_both_tell_is_told_once_by_whoever_is_first() -> None:
    world = World()
    first, second = world.seat().trade(1, 2), world.seat()
    second.trade(2, 3, 4)
    first.trade(3, 4, 5)
    second.trade(5)
    assert world.ids() == [1, 2, 3, 4, 5]
    assert world.gaps() == []


def test_T08_two_links_with_different_delay_arbitrate_by_sequence() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat()
    second.trade(2, 3, 4, 5, 6)
    first.trade(2, 3)
    second.trade(7)
    first.trade(4, 5, 6, 7, 8)
    assert world.ids() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert world.gaps() == []


def test_P14_what_one_connection_lost_waits_for_the_other() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat().trade(1)
    first.trade(2, 4, 5)
    assert world.ids() == [1, 2]
    second.trade(2, 3)
    assert world.ids() == [1, 2, 3, 4, 5]
    assert world.gaps() == []


def test_P14_what_both_lost_is_told_as_soon_as_that_is_sure() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat().trade(1)
    first.trade(4)
    second.trade(3, 4)
    assert world.ids() == [1, 3, 4]
    assert world.gaps() == [("trade ids", 2, 2)]


def test_a_hole_is_not_waited_for_longer_than_two_seconds() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat().trade(1)
    world.look()
    first.trade(3)
    world.look(0.5)
    world.look()
    assert world.ids() == [1]
    world.look()
    assert world.ids() == [1, 3]
    second.trade(2, 3, 4)
    assert world.ids() == [1, 3, 2, 4]
    assert world.gaps() == [("trade ids", 2, 2)]


def test_I5_what_waits_is_bounded() -> None:
    world = World()
    first, _ = world.seat().trade(1), world.seat().trade(1)
    first.trade(*range(3, MAX_WAITING + 3))
    assert world.ids() == [1]
    first.trade(MAX_WAITING + 3)
    assert world.ids() == [1, *range(3, MAX_WAITING + 4)]
    assert world.gaps() == [("trade ids", 2, 2)]


def test_what_waits_is_forgotten_with_its_stream() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat().trade(1)
    first.trade(3)
    world.streams.drop(first.subscription)
    second.leave()
    assert world.ids() == [1]


def test_the_end_of_a_connection_is_no_gap_while_another_flows() -> None:
    world = World()
    first, second = world.seat().trade(1, 2), world.seat().trade(1)
    first.lose()
    assert world.gaps() == []
    assert world.streams.spared == 1
    second.trade(2, 3)
    assert world.ids() == [1, 2, 3]
    assert second.alone()
    second.lose()
    assert world.gaps() == [("link lost", 0, 0)]


def test_the_end_of_the_last_connection_that_flows_is_a_gap_and_tells_all_that_waits() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat()
    second.stream.tell(Subscribed, 0, channel="trades")
    second.trade(1)
    first.trade(3)
    second.stream.doubt("silent for 9 s", 0)
    first.lose()
    assert world.ids() == [1, 3]
    assert [cause for cause, _, _ in world.gaps()] == ["trade ids", "link lost"]


def test_a_hole_of_the_whole_link_is_no_gap_where_another_brings_what_was_lost() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat().trade(1)
    first.stream.lost("sequence", 0, "frame 3 was expected, 4 came")
    first.trade(3)
    assert world.ids() == [1]
    second.trade(2, 3)
    assert world.ids() == [1, 2, 3]
    assert world.gaps() == []


def test_a_history_of_a_second_connection_says_nothing_of_what_the_first_brings() -> None:
    world = World()
    first, second = world.seat(), world.seat()
    first.stream.seed(10, 0)
    second.stream.seed(12, 0)
    assert not second.stream.in_step
    second.trade(13)
    first.trade(11, 12)
    assert second.stream.in_step
    assert world.ids() == [11, 12, 13]
    assert world.gaps() == []


def test_a_history_counts_where_no_other_connection_flows() -> None:
    world = World()
    first = world.seat().trade(1)
    second = world.seat()
    first.lose()
    second.stream.seed(4, 0)
    second.trade(5)
    assert world.ids() == [1, 5]
    assert [gap for gap in world.gaps() if gap[1]] == [("trade ids", 2, 4)]


def test_a_history_that_overlaps_with_updates_is_no_new_count_of_ids() -> None:
    world = World()
    first, second = world.seat().trade(8, 9), world.seat()
    second.stream.seed(10, 0)
    second.trade(10)
    first.trade(10, 11)
    assert world.ids() == [8, 9, 10, 11]
    assert world.gaps() == []


def test_P25_a_new_count_of_ids_is_told_once_and_the_slower_connection_follows() -> None:
    world = World()
    first, second = world.seat().trade(98, 99), world.seat().trade(98)
    first.trade(1, ts=1000)
    first.trade(2, ts=1001)
    second.trade(99)
    second.trade(1, ts=1000)
    second.trade(2, ts=1001)
    second.trade(3, ts=1002)
    assert world.ids() == [98, 99, 1, 2, 3]
    assert [gap.detail for gap in world.of(Gap)] == ["the venue restarted its ids at 1"]
    first.lose()
    assert second.alone()


def test_a_connection_that_has_not_begun_its_new_count_is_not_left_alone_with_the_stream() -> None:
    world = World()
    first, second = world.seat().trade(98, 99), world.seat().trade(98)
    first.trade(1, ts=1000)
    first.lose()
    assert not second.alone()
    second.trade(99)
    second.trade(1, ts=1000)
    assert second.alone()
    assert world.ids() == [98, 99, 1]


def test_a_late_trade_of_a_venue_is_no_new_count_for_the_other_connection() -> None:
    world = World()
    first, second = world.seat().trade(5), world.seat().trade(5)
    first.trade(6, 7, ts=50)
    second.trade(4, ts=20)
    second.trade(6, 7, 8, ts=50)
    first.trade(8, ts=50)
    assert world.ids() == [5, 6, 7, 8]
    assert world.gaps() == []


@pytest.mark.parametrize("waits", [False, True])
def test_two_connections_that_disagree_on_a_trade_are_an_alarm(waits: bool) -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat().trade(1)
    first.trade(3 if waits else 2)
    second.trade(3 if waits else 2, price=101.0)
    number = 3 if waits else 2
    assert ("disagreement", number, number) in world.gaps()
    assert world.streams.disagreements == 1
    assert f"trade {number} differently" in world.of(Gap)[-1 if not waits else 0].detail


def test_only_so_many_trades_are_remembered_to_compare() -> None:
    world = World()
    first, second = world.seat().trade(1), world.seat().trade(1)
    first.trade(*range(2, 1200))
    second.trade(2, price=5.0)
    assert world.streams.disagreements == 0
    second.trade(1199, price=5.0)
    assert world.streams.disagreements == 1


Plan = list[tuple[int, int]]


def played(plan: Sequence[tuple[int, bool]], losses: set[int], count: int) -> list[tuple[int, list[int]]]:
    """Who speaks and what comes then: two links, each with all the numbers in order, the first without some."""
    left = [[n for n in range(2, count + 1) if n not in losses], list(range(2, count + 1))]
    said = []
    for n, second in plan:
        link = left[second]
        said.append((int(second), link[:n]))
        del link[:n]
    return [*said, (0, left[0]), (1, left[1])]


PLANS = st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=30)
LOSSES = st.sets(st.integers(2, 60), max_size=20)


@given(PLANS, LOSSES, st.integers(5, 60))
@settings(max_examples=60, deadline=None)
def test_T08_any_interleaving_and_any_loss_of_one_link_give_the_truth(
    plan: list[tuple[int, bool]], losses: set[int], count: int
) -> None:
    world = World()
    links = [world.seat().trade(1), world.seat().trade(1)]
    for who, numbers in played(plan, losses, count):
        links[who].trade(*numbers)
    assert world.ids() == list(range(1, count + 1))
    assert world.gaps() == []


@given(PLANS, LOSSES, st.integers(5, 60), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_T16_a_link_that_takes_over_at_any_time_gives_the_truth(
    plan: list[tuple[int, bool]], losses: set[int], count: int, left_after: int
) -> None:
    """The old link has everything up to where it ends; the new one everything from where it begins."""
    world = World()
    old = world.seat().trade(1)
    told, begun = 1, min(left_after + 1, count)
    old.trade(*range(2, begun + 1))
    new = world.seat()
    new.stream.tell(Subscribed, 0, channel="trades")
    at = [begun + 1, max(1, begun - len(losses) % 3)]
    for n, second in plan:
        top = min(at[second] + n, count + 1)
        (new if second else old).trade(*range(at[second], top))
        at[second] = top
        told = max(told, top - 1)
        if second and new.stream.in_step and at[1] > at[0]:
            break
    old.trade(*range(at[0], min(max(at), count + 1)))
    old.leave()
    new.trade(*range(at[1], count + 1))
    assert world.ids() == list(range(1, count + 1))
    assert world.gaps() == []
    assert new.alone()


@pytest.mark.parametrize("channel", ["trades", "ticker"])
def test_T08_what_only_one_connection_was_promised_is_lost_with_it_and_not_before(channel: Channel) -> None:
    world = World()
    first = world.seat(channel)
    first.stream.tell(Subscribed, 1, channel=channel)
    second = world.seat(channel)
    second.lose()
    assert world.gaps() == [], "the first one was promised it, though nothing has come"
    third = world.seat(channel)
    first.lose()
    assert world.gaps() == [("link lost", 0, 0)], "nobody promised it to the third"
    third.stream.tell(Subscribed, 2, channel=channel)
    fourth = world.seat(channel)
    third.lose()
    assert len(world.gaps()) == 2
    fourth.stream.tell(Subscribed, 3, channel=channel)
    fifth = world.seat(channel)
    fifth.lose()
    assert len(world.gaps()) == 2


@pytest.mark.parametrize("channel", ["trades", "ticker"])
def test_T08_a_connection_made_anew_carries_nothing_before_it_is_promised_something(channel: Channel) -> None:
    world = World()
    first = world.seat(channel)
    first.trade(1) if channel == "trades" else first.ticker(1)
    first.lose()
    anew, second = world.seat(channel), world.seat(channel)
    second.stream.tell(Subscribed, 2, channel=channel)
    second.lose()
    assert world.gaps() == [("link lost", 0, 0)] * 2
    anew.stream.tell(Subscribed, 3, channel=channel)
    world.seat(channel).lose()
    assert len(world.gaps()) == 2


# Tickers: of one connection at a time


def test_tickers_are_told_of_one_connection_and_of_the_other_from_where_it_breaks_off() -> None:
    world = World()
    first, second = world.seat("ticker").ticker(1, 10), world.seat("ticker")
    second.ticker(1, 10)
    first.ticker(2, 20)
    second.ticker(2, 20)
    second.ticker(3, 30)
    first.lose()
    second.ticker(4, 40)
    assert [t.bid for t in world.of(Ticker)] == [1, 2, 3, 4]
    assert world.gaps() == []


def test_a_ticker_that_was_told_is_not_told_again_by_the_slower_connection() -> None:
    world = World()
    first, second = world.seat("ticker").ticker(1, 10), world.seat("ticker")
    second.ticker(1, 10)
    first.ticker(2, 20)
    first.lose()
    second.ticker(2, 20)
    second.ticker(2.5, 20)
    assert [t.bid for t in world.of(Ticker)] == [1, 2, 2.5]


def test_T08_the_last_ticker_of_a_connection_that_stalled_is_not_told_after_newer_ones() -> None:
    world = World()
    first, second = world.seat("ticker").ticker(1), world.seat("ticker").ticker(1)
    first.ticker(2).ticker(3)
    first.lose()
    assert [t.bid for t in world.of(Ticker)] == [1, 2, 3]
    second.ticker(4)
    assert [t.bid for t in world.of(Ticker)] == [1, 2, 3, 4]


def test_T08_of_two_tickers_of_one_moment_the_one_read_first_is_not_told_after_the_other() -> None:
    world = World()
    first, second = world.seat("ticker").ticker(1, 10), world.seat("ticker").ticker(1, 10)
    first.ticker(2, 10)
    first.lose()
    assert [t.bid for t in world.of(Ticker)] == [1, 2]
    second.ticker(2.5, 10)
    assert [t.bid for t in world.of(Ticker)] == [1, 2, 2.5]


def test_T08_a_ticker_that_is_newer_by_the_venues_clock_is_told_though_it_was_read_before() -> None:
    world = World()
    first, second = world.seat("ticker").ticker(1, 10), world.seat("ticker")
    second.ticker(3, 30)
    first.ticker(2, 20)
    first.lose()
    assert [t.bid for t in world.of(Ticker)] == [1, 2, 3]


def test_a_ticker_that_nobody_wants_is_taken_over_by_nobody() -> None:
    world = World()
    first, second = world.seat("ticker").ticker(1, 10), world.seat("ticker").ticker(1, 10)
    first.ticker(2, 20)
    second.ticker(3, 30)
    world.streams.drop(first.subscription)
    first.leave()
    second.leave()
    assert [t.bid for t in world.of(Ticker)] == [1, 2]


def test_the_first_connection_to_tell_a_ticker_is_told() -> None:
    world = World()
    first, second = world.seat("ticker"), world.seat("ticker")
    first.lose()
    assert second.alone()
    third = world.seat("ticker")
    second.lose()
    third.ticker(1)
    assert [t.bid for t in world.of(Ticker)] == [1]


def test_the_end_of_both_connections_is_a_gap() -> None:
    world = World()
    first, second, third = world.seat("ticker"), world.seat("ticker"), world.seat("ticker")
    first.ticker(1)
    second.ticker(1)
    first.lose()
    second.stream.lost("link lost", 0, "cut")
    assert world.gaps() == [("link lost", 0, 0)]
    third.ticker(2)
    assert [t.bid for t in world.of(Ticker)] == [1, 2]


def test_a_ticker_that_stops_on_one_connection_is_told_of_the_other() -> None:
    world = World()
    first, second = world.seat("ticker").ticker(1), world.seat("ticker").ticker(1)
    world.look()
    first.ticker(2)
    for bid in range(3, 9):
        second.ticker(bid)
    world.look()
    world.look()
    assert [t.bid for t in world.of(Ticker)] == [1, 2]
    for bid in range(9, 15):
        second.ticker(bid)
    world.look()
    second.ticker(15)
    assert [t.bid for t in world.of(Ticker)] == [1, 2, 14, 15]


def test_a_silence_that_another_connection_fills_is_not_told_as_stale() -> None:
    world = World()
    first, second = world.seat("ticker"), world.seat("ticker")
    first.ticker(1)
    second.ticker(1)
    first.stream.doubt("silent", 0)
    second.ticker(2)
    assert world.of(Stale) == []
    assert [t.bid for t in world.of(Ticker)] == [1, 2]
    second.stream.doubt("silent", 0)
    second.stream.flows(0)
    assert [type(e) for e in world.of(Stale, Recovered)] == [Stale, Recovered]


# Books with numbers


def test_P15_a_hole_on_one_connection_is_none_where_the_other_has_the_number() -> None:
    world = World()
    truth = Truth(3)
    first = world.seat("book").live(10, truth)
    second = world.seat("book").live(10, truth)
    second.delta(12, 13, truth=truth)
    first.delta(12, 15, truth=truth)  # 13 and 14 are missing there
    assert world.of(Gap, BookVoid) == []
    second.delta(14, 15, truth=truth)
    assert world.view().seq == 15
    assert (world.view().bids(), world.view().asks()) == truth.book(15)
    assert world.streams.spared == 1
    first.delta(16, truth=truth).snapshot(15, truth)
    first.delta(17, truth=truth)
    assert (world.view().epoch, world.view().seq) == (1, 17)
    assert (world.view().bids(), world.view().asks()) == truth.book(17)


def test_a_book_that_begins_later_is_held_against_the_one_shown_and_is_a_copy_from_there_on() -> None:
    world = World()
    truth = Truth(1)
    first = world.seat("book").live(10, truth)
    second = world.seat("book")
    second.delta(14, truth=truth).snapshot(14, truth).delta(15, truth=truth)
    assert not second.stream.view.live
    first.delta(12, 13, truth=truth)
    assert not second.stream.in_step
    first.delta(14, truth=truth)
    assert second.stream.in_step
    assert world.view().seq == 15
    first.leave()
    assert second.alone()
    second.delta(16, truth=truth)
    assert [d.seq for d in world.of(BookDelta)] == [11, 12, 13, 14, 15, 16]
    assert (world.view().bids(), world.view().asks()) == truth.book(16)
    assert len(world.of(BookSnapshot)) == 1


def test_a_lane_far_ahead_remembers_the_newest_changes_and_takes_part_from_there() -> None:
    world = World()
    truth = Truth(1)
    first = world.seat("book").live(10, truth)
    second = world.seat("book")
    top = 14 + AHEAD + 20
    second.delta(14, truth=truth).snapshot(14, truth).delta(*range(15, top), truth=truth)
    first.delta(*range(12, top - AHEAD - 1), truth=truth)
    assert not second.stream.view.live
    first.delta(top - AHEAD - 1, truth=truth)
    assert world.view().seq == top - 1
    assert [d.seq for d in world.of(BookDelta)] == list(range(11, top))
    assert world.of(Gap) == []


def test_where_the_numbers_between_were_never_told_the_book_is_void_and_begins_anew_at_once() -> None:
    world = World()
    truth = Truth(1)
    first = world.seat("book").live(10, truth)
    second = world.seat("book")
    second.delta(14, truth=truth).snapshot(14, truth).delta(15, truth=truth)
    first.lose()
    kinds = [type(e) for e in world.of(Gap, BookVoid, BookSnapshot)]
    assert kinds == [BookSnapshot, Gap, BookVoid, BookSnapshot]
    assert (world.view().epoch, world.view().seq, world.view().live) == (2, 15, True)
    assert (world.view().bids(), world.view().asks()) == truth.book(15)


def test_what_begins_anew_finds_the_lanes_that_are_still_ahead() -> None:
    world = World()
    truth = Truth(1)
    first = world.seat("book").live(10, truth)
    second, third = world.seat("book"), world.seat("book")
    for seat, seq in ((second, 14), (third, 20)):
        seat.delta(seq, truth=truth).snapshot(seq, truth).delta(seq + 1, truth=truth)
    first.lose()
    assert world.view().seq == 21
    second.delta(*range(16, 23), truth=truth)
    third.lose()
    assert (world.view().live, world.view().epoch, world.view().seq) == (True, 2, 22)
    assert (world.view().bids(), world.view().asks()) == truth.book(22)


def test_a_new_snapshot_of_the_only_proven_lane_is_a_new_epoch() -> None:
    world = World()
    truth = Truth(1)
    rule = BookRule(snapshot="stream", numbered=True)
    first = world.seat("book", rule).snapshot(10, truth)
    world.seat("book", rule)
    first.snapshot(20, truth)
    assert (world.view().epoch, world.view().seq) == (2, 20)


def test_a_new_snapshot_of_one_lane_is_no_new_epoch_beside_another() -> None:
    world = World()
    truth = Truth(1)
    rule = BookRule(snapshot="stream", numbered=True)
    first = world.seat("book", rule).snapshot(10, truth)
    second = world.seat("book", rule).snapshot(10, truth)
    first.snapshot(12, truth)
    second.delta(11, 12, 13, truth=truth)
    assert (world.view().epoch, world.view().seq) == (1, 13)
    first.delta(13, 14, truth=truth)
    assert (world.view().bids(), world.view().asks()) == truth.book(14)


def test_all_connections_lost_voids_the_book_as_with_one() -> None:
    world = World()
    first, second = world.seat("book").live(10), world.seat("book").live(10)
    first.lose()
    assert world.of(Gap, BookVoid) == []
    second.lose()
    assert [type(e) for e in world.of(Gap, BookVoid)] == [Gap, BookVoid]


def test_a_lane_that_never_was_proven_costs_nothing_when_it_goes() -> None:
    world = World()
    first, second = world.seat("book").live(10), world.seat("book")
    second.delta(12)
    second.lose()
    assert world.of(Gap, BookVoid) == []
    assert first.alone()


def test_a_lane_left_alone_before_its_book_is_proven_feeds_the_stream_when_it_is() -> None:
    world = World()
    truth = Truth(2)
    first, second = world.seat("book").live(10, truth), world.seat("book")
    first.lose()
    assert second.alone()
    second.live(20, truth)
    assert (world.view().epoch, world.view().seq) == (2, 21)


def test_a_slow_lane_left_alone_catches_up_before_it_is_the_stream() -> None:
    world = World()
    truth = Truth(2)
    first, second = world.seat("book").live(10, truth), world.seat("book").live(10, truth)
    first.delta(12, 13, 14, truth=truth)
    first.lose()
    assert not second.alone()
    assert (world.view().bids(), world.view().asks()) == truth.book(14)
    second.delta(12, 13, truth=truth)
    assert not second.alone()
    second.delta(14, truth=truth)
    assert second.alone()
    second.delta(15, truth=truth)
    assert (world.view().bids(), world.view().asks()) == truth.book(15)
    assert [d.seq for d in world.of(BookDelta)] == [11, 12, 13, 14, 15]


def test_updates_that_span_several_numbers_are_merged_where_they_overlap() -> None:
    world = World()
    truth = Truth(4)
    first, second = world.seat("book").live(10, truth), world.seat("book").live(10, truth)
    assert first.sync is not None
    assert second.sync is not None
    spans = [(first.sync, 12, 15), (second.sync, 12, 13), (second.sync, 14, 17), (first.sync, 16, 18)]
    for sync, start, end in spans:
        bids: dict[float, float] = {}
        asks: dict[float, float] = {}
        for seq in range(start, end + 1):
            for side, levels in zip((bids, asks), truth.change(seq), strict=True):
                side.update(levels)
        sync.delta(start, end, tuple(bids.items()), tuple(asks.items()), 0, 0)
    assert [(d.prev_seq, d.seq) for d in world.of(BookDelta)] == [(10, 11), (11, 15), (15, 17), (17, 18)]
    assert (world.view().bids(), world.view().asks()) == truth.book(18)
    assert world.streams.disagreements == 0


def test_two_connections_that_disagree_on_an_update_void_the_book_and_both_begin_anew() -> None:
    world = World()
    truth, other = Truth(1), Truth(2)
    first, second = world.seat("book").live(10, truth), world.seat("book").live(10, truth)
    first.delta(12, truth=truth)
    second.delta(12, truth=other)
    assert [e.cause for e in world.of(Gap)] == ["disagreement"]
    assert world.of(Gap)[0].from_seq == 12
    assert len(world.of(BookVoid)) == 1
    assert not world.view().live
    assert world.streams.disagreements == 1
    for seat in (first, second):
        asked = seat.asked
        seat.delta(13, truth=truth)
        assert seat.asked == asked + 1
        seat.snapshot(13, truth).delta(14, truth=truth)
    assert (world.view().epoch, world.view().seq, world.view().live) == (2, 14, True)


def test_the_same_levels_in_another_order_are_no_disagreement() -> None:
    world = World()
    first, second = world.seat("book").live(10), world.seat("book").live(10)
    assert first.sync is not None
    assert second.sync is not None
    first.sync.delta(12, 12, ((99.0, 1.0), (98.0, 2.0)), (), 0, 0)
    second.sync.delta(12, 12, ((98.0, 2.0), (99.0, 1.0)), (), 0, 0)
    assert world.streams.disagreements == 0


def test_a_book_that_differs_where_it_joins_is_an_alarm() -> None:
    world = World()
    first = world.seat("book").live(10, Truth(1))
    second = world.seat("book")
    second.delta(10, truth=Truth(1)).snapshot(10, Truth(2)).delta(11, truth=Truth(1))
    assert [e.cause for e in world.of(Gap)] == ["disagreement"]
    assert not world.view().live
    assert first.sync is not None
    assert first.sync.state == "waiting"


@pytest.mark.parametrize("ahead", [1, 3])
def test_a_book_that_differs_where_it_takes_the_lead_is_an_alarm_and_tells_nothing(ahead: int) -> None:
    world = World()
    truth = Truth(1)
    first = world.seat("book").live(10, truth)
    first.delta(12, 13, truth=truth)
    second = world.seat("book")
    start = 11 if ahead == 1 else 14
    second.delta(start, truth=truth).snapshot(start, Truth(3))
    second.delta(*range(start + 1, 14 + ahead), truth=truth)
    first.delta(14, truth=truth)
    assert [e.cause for e in world.of(Gap)] == ["disagreement"]
    assert [d.seq for d in world.of(BookDelta)] in ([11, 12, 13], [11, 12, 13, 14])
    assert not world.view().live


def test_a_book_that_differs_where_it_passes_the_one_shown_is_an_alarm_and_tells_nothing() -> None:
    world = World()
    first = world.seat("book").live(10, Truth(1))
    second = world.seat("book").live(10, Truth(1))
    third = world.seat("book")
    second.lose()
    second = world.seat("book")
    first.delta(12, truth=Truth(1))
    second.delta(11, truth=Truth(1)).snapshot(11, Truth(3))
    assert second.sync is not None
    second.sync.delta(12, 13, ((99.0, 1.0),), (), 0, 0)
    assert [e.cause for e in world.of(Gap)] == ["disagreement"]
    assert [d.seq for d in world.of(BookDelta)] == [11, 12]
    assert third.asked == 0


def test_a_snapshot_with_updates_held_stops_where_two_connections_disagree() -> None:
    world = World()
    first = world.seat("book").live(10, Truth(1))
    first.delta(12, 13, 14, truth=Truth(1))
    second = world.seat("book")
    second.delta(11, truth=Truth(1)).delta(12, truth=Truth(2)).delta(13, 14, truth=Truth(1))
    second.snapshot(10, Truth(1))
    assert second.sync is not None
    assert second.sync.state == "waiting"
    assert [e.cause for e in world.of(Gap)] == ["disagreement"]


def test_only_so_many_changes_are_remembered_to_compare() -> None:
    world = World()
    truth = Truth(1)
    first, second = world.seat("book").live(10, truth), world.seat("book").live(10, truth)
    first.delta(*range(12, 14 + REMEMBERED), truth=truth)
    second.delta(12, truth=Truth(2))
    assert world.streams.disagreements == 0


@given(PLANS, LOSSES, st.integers(5, 60), st.integers(0, 9), st.booleans())
@settings(max_examples=60, deadline=None)
def test_T08_books_of_two_links_with_any_loss_of_one_are_never_wrong_and_miss_nothing(
    plan: list[tuple[int, bool]], losses: set[int], count: int, seed: int, again: bool
) -> None:
    world = World()
    truth = Truth(seed)
    links = [world.seat("book").live(10, truth), world.seat("book").live(10, truth)]
    for who, numbers in played(plan, losses, count):
        for seq in (number + 10 for number in numbers):
            link = links[who]
            link.delta(seq, truth=truth)
            if again and link.sync is not None and link.sync.state == "buffering":
                link.snapshot(seq - 1, truth)
            view = world.view()
            assert (view.bids(), view.asks()) == truth.book(view.seq)
    assert world.of(Gap, BookVoid) == []
    assert [(d.prev_seq, d.seq) for d in world.of(BookDelta)] == [(n, n + 1) for n in range(10, count + 10)]
    kept: TrustedBook[float] = TrustedBook("events")
    for event in world.events:
        kept.apply(event)
    assert (kept.bids(), kept.asks()) == truth.book(count + 10)


# Books with numbers whose snapshots end somewhere (P26)

WINDOW = BookRule(snapshot="rest", numbered=True, window=3)


def narrow(world: World, *bids: float) -> Seat:
    """A book of which three bids are known, as of number 10 and one change on."""
    seat = world.seat("book", WINDOW)
    assert seat.sync is not None
    seat.sync.delta(10, 10, (), (), 0, 0)
    seat.sync.snapshot(10, tuple((bid, 1.0) for bid in bids), ((101.0, 1.0),), 0, 0)
    seat.sync.delta(11, 11, ((bids[0], 2.0),), (), 0, 0)
    return seat


def test_P26_two_books_that_know_different_depths_learn_from_each_other_and_it_is_told() -> None:
    world = World()
    first = narrow(world, 100.0, 99.0, 98.0)
    assert first.sync is not None
    first.sync.delta(12, 12, ((90.0, 7.0), (100.0, 0.0)), (), 0, 0)
    second = world.seat("book", WINDOW)
    assert second.sync is not None
    second.sync.delta(12, 12, ((90.0, 7.0), (100.0, 0.0)), (), 0, 0)
    second.sync.snapshot(11, ((100.0, 2.0), (99.0, 1.0), (98.0, 1.0), (97.0, 1.0), (96.0, 1.0)), ((101.0, 1.0),), 0, 0)
    assert first.sync.edges == second.sync.edges == (96.0, None)
    second.sync.delta(13, 13, ((99.0, 4.0),), (), 0, 0)
    first.sync.delta(13, 13, ((99.0, 4.0),), (), 0, 0)
    whole = [(99.0, 4.0), (98.0, 1.0), (97.0, 1.0), (96.0, 1.0), (90.0, 7.0)]
    assert world.view().bids() == whole
    assert world.of(BookDelta)[-1].bids == ((96.0, 1.0), (97.0, 1.0), (99.0, 4.0))
    assert world.streams.disagreements == 0
    kept: TrustedBook[float] = TrustedBook("events")
    for event in world.events:
        kept.apply(event)
    assert kept.bids() == whole
    second.leave()
    assert first.alone()
    first.sync.delta(14, 14, ((101.5, 0.0),), (), 0, 0)
    assert world.view().bids() == whole


def test_a_level_that_both_know_and_one_lacks_is_a_disagreement_however_deep() -> None:
    world = World()
    narrow(world, 100.0, 99.0, 98.0)
    narrow(world, 100.0, 99.0, 97.0)
    assert [e.cause for e in world.of(Gap)] == ["disagreement"]


def test_what_an_audit_of_one_connection_learns_is_told_once_and_known_to_both() -> None:
    world = World()
    first, second = narrow(world, 100.0, 99.0, 98.0), narrow(world, 100.0, 99.0, 98.0)
    assert first.sync is not None
    assert second.sync is not None
    assert first.sync.remember(10) is not None
    picture = Picture(11, ((100.0, 2.0), (99.0, 1.0), (98.0, 1.0), (97.0, 3.0)), ((101.0, 1.0),))
    first.sync.learn(picture, 4)
    assert first.sync.edges == second.sync.edges == (97.0, None)
    second.sync.delta(12, 12, ((99.0, 5.0),), (), 0, 0)
    first.sync.delta(12, 12, ((99.0, 5.0),), (), 0, 0)
    assert world.of(BookDelta)[-1].bids == ((97.0, 3.0), (99.0, 5.0))
    assert world.view().bids() == [(100.0, 2.0), (99.0, 5.0), (98.0, 1.0), (97.0, 3.0)]
    assert world.streams.disagreements == 0
    second.sync.delta(13, 13, ((99.0, 6.0),), (), 0, 0)
    assert first.sync.remember(10) is not None
    first.sync.learn(structs.replace(picture, seq=12), 4)  # it is behind: left to the next audit
    assert first.sync.edges == (97.0, None)


def test_what_an_audit_has_learned_before_a_second_connection_came_is_told_all_the_same() -> None:
    world = World()
    first = narrow(world, 100.0, 99.0, 98.0)
    assert first.sync is not None
    assert first.sync.remember(10) is not None
    first.sync.learn(Picture(11, ((100.0, 2.0), (99.0, 1.0), (98.0, 1.0), (97.0, 3.0)), ((101.0, 1.0),)), 4)
    second = narrow(world, 100.0, 99.0, 98.0)
    assert second.sync is not None
    second.sync.delta(12, 12, ((99.0, 5.0),), (), 0, 0)
    assert world.of(BookDelta)[-1].bids == ((97.0, 3.0), (99.0, 5.0))
    assert world.view().bids() == [(100.0, 2.0), (99.0, 5.0), (98.0, 1.0), (97.0, 3.0)]


# Books without numbers: a proven standby


def test_a_standby_takes_over_with_a_new_epoch_and_a_whole_book_and_nothing_is_void() -> None:
    world = World()
    truth = Truth(5)
    first = world.seat("book", STREAM).snapshot(10, truth)
    second = world.seat("book", STREAM).snapshot(10, truth)
    first.delta(11, 12, truth=truth)
    second.delta(11, 12, 13, truth=truth)
    assert first.sync is not None
    first.sync.doubt("checksum", "book does not match the venue's checksum", 0)
    assert [(e.epoch, type(e)) for e in world.of(BookSnapshot, BookVoid, Gap)] == [(1, BookSnapshot), (2, BookSnapshot)]
    assert (world.view().bids(), world.view().asks()) == truth.book(13)
    assert first.asked == 1
    first.snapshot(13, truth)
    second.delta(14, truth=truth)
    first.delta(14, truth=truth)
    assert [(d.epoch, d.seq, d.prev_seq) for d in world.of(BookDelta)] == [(1, 2, 1), (1, 3, 2), (2, 2, 1)]
    second.lose()
    assert first.alone()
    assert (world.view().epoch, world.view().live) == (3, True)
    assert (world.view().bids(), world.view().asks()) == truth.book(14)
    first.delta(15, truth=truth)
    assert (world.view().bids(), world.view().asks()) == truth.book(15)


def test_a_fault_of_the_standby_is_not_told() -> None:
    world = World()
    first, second = world.seat("book", STREAM).snapshot(10), world.seat("book", STREAM).snapshot(10)
    second.lose()
    assert [type(e) for e in world.events] == [BookSnapshot]
    assert first.alone()
    assert world.streams.spared == 1


def test_a_new_snapshot_of_the_lane_told_is_a_new_epoch_and_one_of_the_standby_is_none() -> None:
    world = World()
    first, second = world.seat("book", STREAM).snapshot(10), world.seat("book", STREAM).snapshot(10)
    second.snapshot(11)
    assert world.view().epoch == 1
    first.snapshot(12)
    assert world.view().epoch == 2


def test_a_book_that_is_stale_or_stands_still_gives_way_to_the_standby() -> None:
    world = World()
    first, second = world.seat("book", STREAM).snapshot(10), world.seat("book", STREAM).snapshot(10)
    first.stream.doubt("silent for 9 s", 0)
    assert world.view().epoch == 2
    second.delta(11)
    first.stream.flows(0)
    world.look()
    first.delta(*range(11, 17))
    world.look()
    assert world.view().epoch == 3
    assert world.of(Stale) == []
    second.stream.doubt("silent for 9 s", 0)
    first.stream.doubt("silent for 9 s", 0)
    assert len(world.of(Stale)) == 1


def test_T23_after_a_sleep_of_the_machine_no_standby_takes_over() -> None:
    world = World()
    first, second = world.seat("book", STREAM).snapshot(10), world.seat("book", STREAM).snapshot(10)
    trades = world.seat("trades").trade(1), world.seat("trades").trade(1)
    world.streams.slept("the machine slept", 0)
    assert not world.view().live
    assert [type(e) for e in world.of(BookSnapshot, Gap, BookVoid)] == [BookSnapshot, Gap, BookVoid]
    for seat in (first, second):
        seat.delta(11)
        seat.lose()
    assert len(world.of(BookSnapshot)) == 1
    assert not trades[0].alone()


def test_a_book_that_nobody_wants_is_taken_over_by_nobody() -> None:
    world = World()
    first, second = world.seat("book", STREAM).snapshot(10), world.seat("book", STREAM).snapshot(10)
    world.streams.drop(first.subscription)
    first.leave()
    second.leave()
    assert [type(e) for e in world.events] == [BookSnapshot]


def test_a_buffer_that_overflows_on_one_connection_is_no_gap_beside_a_book_that_lives() -> None:
    world = World()
    world.seat("book").live(10)
    second = world.seat("book")
    second.stream.lost("overflow", 0, "too many")
    assert world.of(Gap) == []
