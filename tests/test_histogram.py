"""How long things take, in buckets; how far two clocks are apart; what is measured of a venue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.events import Head, Trade
from marketfeed.histogram import LONGEST, Histogram, Offset, bucket_of, longest_in
from marketfeed.meter import EVERY_NS, Meter
from marketfeed.pace import SECOND

lengths = st.integers(0, LONGEST - 1)


@given(lengths)
def test_a_length_is_in_its_bucket_and_none_is_wider_than_a_32nd(ns: int) -> None:
    bucket = bucket_of(ns)
    assert (longest_in(bucket - 1) if bucket else -1) < ns <= longest_in(bucket)
    assert longest_in(bucket) - ns <= ns / 32


def test_buckets_follow_each_other_without_a_hole() -> None:
    last = bucket_of(LONGEST - 1)
    assert longest_in(last) == LONGEST - 1
    for bucket in range(last):
        assert bucket_of(longest_in(bucket) + 1) == bucket + 1


@given(st.lists(lengths, min_size=1, max_size=200), st.sampled_from([50, 90, 99, 100]))
def test_a_percentile_is_that_of_the_sorted_lengths_and_at_most_a_32nd_above_it(found: list[int], share: int) -> None:
    histogram = Histogram()
    for ns in found:
        histogram.add(ns)
    true = sorted(found)[-(-len(found) * share // 100) - 1]
    assert true <= histogram.percentile(share) <= true * 33 / 32
    assert (histogram.count, histogram.total, histogram.longest) == (len(found), sum(found), max(found))
    assert sum(count for _, count in histogram.buckets()) == len(found)


def test_nothing_measured_is_zero() -> None:
    histogram = Histogram()
    assert (histogram.percentile(99), histogram.count, histogram.buckets()) == (0, 0, [])


def test_what_is_longer_than_the_longest_is_kept_as_that_and_below_zero_as_zero() -> None:
    histogram = Histogram()
    histogram.add(LONGEST * 10)
    histogram.add(-5)
    assert histogram.buckets() == [(0, 1), (LONGEST - 1, 1)]
    assert (histogram.early, histogram.longest, histogram.total) == (1, LONGEST * 10, LONGEST * 10)
    assert histogram.percentile(50) == 0


def test_a_percentile_beyond_all_is_the_longest() -> None:
    histogram = Histogram()
    histogram.add(100)
    assert histogram.percentile(101) == histogram.longest == 100


def test_the_offset_is_the_least_of_the_last_minute() -> None:
    offset = Offset()
    assert offset.least(0) is None
    offset.note(500, 0)
    offset.note(700, SECOND)
    assert offset.least(2 * SECOND) == 500
    offset.note(600, 30 * SECOND)
    assert offset.least(59 * SECOND) == 500
    assert offset.least(60 * SECOND) == 600
    offset.note(-20, 85 * SECOND)  # their clock is ahead
    assert offset.least(85 * SECOND) == -20
    assert offset.least(1000 * SECOND) is None


class Clock:
    unix, mono = 1_000 * SECOND, 0

    def unix_ns(self) -> int:
        return self.unix

    def mono_ns(self) -> int:
        return self.mono


def a_trade(ts_event: int) -> Trade[float]:
    return Trade(venue="toy", symbol="BTC-USD", ts_event=ts_event, price=1.0, size=1.0, side="buy", id="1")


def test_a_read_is_measured_from_the_venues_clock_to_ours_and_from_there_to_all_queues() -> None:
    batch: list[Head] = [a_trade(1_000 * SECOND - 3_000)]
    clock, meter = Clock(), Meter(batch)

    def hand_on() -> None:
        batch.clear()
        clock.unix += 40

    meter.measure(clock.unix, hand_on, clock)
    assert (meter.to_receive.count, meter.to_receive.total) == (1, 3_000)
    assert (meter.to_emit.count, meter.to_emit.total) == (1, 40)
    assert meter.offset.least(0) == 3_000
    assert meter.due == 1_000 * SECOND + EVERY_NS


@pytest.mark.parametrize("batch", [[], [a_trade(0)]], ids=["no event", "no time of the venue"])
def test_a_read_without_the_venues_time_says_nothing_of_its_clock(batch: list[Head]) -> None:
    meter = Meter(batch)
    meter.measure(5, lambda: None, Clock())
    assert (meter.to_receive.count, meter.to_emit.count, meter.offset.least(0)) == (0, 1, None)


def test_the_round_trip_is_the_quickest_exchange_and_waits_add_up() -> None:
    meter = Meter()
    for took in (90, 40, 70):
        meter.exchanged(took)
        meter.waited(took)
    assert (meter.round_trip, meter.waits, meter.waited_ns) == (40, 3, 200)
