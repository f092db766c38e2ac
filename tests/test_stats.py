"""`feed.stats()`: everything counted, in one snapshot; and the same for Prometheus. A made-up venue, virtual time."""

import asyncio
import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

import marketfeed as mf
from marketfeed import metrics
from marketfeed.metrics import METRICS, Collector
from marketfeed.stats import Stats

from . import toy
from .test_feed import Toy, _toy_is_a_venue, fed, read  # noqa: F401 # the fixture, of every test here
from .virtual import settle, until

BOOK = "toy:BTC-USD:book"


def say(t: Toy, *frames: Any) -> None:
    """Frames that are read now."""
    for frame in frames:
        t.link.frame(json.dumps(frame).encode(), t.feed._clock.unix_ns())


async def standing(t: Toy, **channels: Any) -> None:
    t.feed.subscribe("BTC-USD", **channels)
    await until(lambda: t.transport.links)
    await settle()


@fed
async def test_a_feed_that_has_done_nothing_has_nothing_to_show(t: Toy) -> None:
    stats = t.feed.stats()
    assert (stats.venues, stats.streams, stats.consumers, stats.told, stats.left) == ({}, {}, [], {}, {})


@fed
async def test_a_snapshot_is_plain_numbers_and_json_and_comes_back_from_it(t: Toy) -> None:
    await standing(t, trades=True, book=True)
    say(t, toy.snap(1), toy.trade(1))
    stats = t.feed.stats()
    text = msgspec.json.encode(stats)
    assert msgspec.json.decode(text, type=Stats) == stats
    assert json.loads(text)["streams"][BOOK]["book"]["state"] == "live"


@fed
async def test_frames_events_and_ages(t: Toy) -> None:
    await standing(t, trades=True)
    say(t, toy.trade(1), toy.trade(2), toy.trade(2))
    await asyncio.sleep(3)
    stats = t.feed.stats()
    stream, venue = stats.streams["toy:BTC-USD:trades"], stats.venues["toy"]
    assert (stream.events, stream.duplicates, stream.waiting) == (2, 1, "")
    assert stream.event_age == venue.event_age == 3_000_000_000
    assert venue.decoded == 3
    assert venue.counts == t.feed.counts()["toy"]
    assert venue.links[0].frames == venue.counts.frames
    assert venue.links[0].frame_age in range(2_000_000_000, 4_000_000_001)
    assert (venue.wanted, venue.waiting) == (1, 0)


@fed
async def test_what_waits_says_for_what(t: Toy) -> None:
    await standing(t, book=True)
    before = t.feed.stats()
    assert before.streams[BOOK].waiting
    assert before.venues["toy"].waiting == 1
    assert before.streams[BOOK].event_age is None
    book = before.streams[BOOK].book
    assert book is not None
    assert (book.state, book.score) == ("unsynced", None)


@fed
async def test_loss_is_counted_by_stream_and_reason(t: Toy) -> None:
    await standing(t, book=True)
    say(t, toy.snap(1), toy.delta(5, 6))
    stats = t.feed.stats()
    assert stats.streams[BOOK].told["gap"] == stats.streams[BOOK].told["book_void"] == {"sequence": 1}
    assert stats.total("gap") == 1
    assert stats.total("malformed") == 0
    book = stats.streams[BOOK].book
    assert book is not None
    assert (book.state, book.epoch) == ("void", 1)


@fed
async def test_what_is_not_counted_has_no_total(t: Toy) -> None:
    stats = t.feed.stats()
    with pytest.raises(mf.ConfigError, match=r"^'gapp' is not counted in stats\(\)\.told; did you mean gap"):
        stats.total("gapp")
    with pytest.raises(mf.ConfigError, match=r"^'trade' is not counted .*: data is `events` of each stream$"):
        stats.total("trade")
    with pytest.raises(mf.ConfigError, match=r"^'lagged' is not counted .*: `dropped` of each consumer$"):
        stats.total("lagged")
    with pytest.raises(mf.ConfigError, match="; there are audit, book_void,"):
        stats.total("?")


@fed
async def test_reconnects_are_counted_by_reason_and_a_link_that_is_down_says_why(t: Toy) -> None:
    await standing(t, trades=True)
    t.link.drop(1006, "cut")
    await settle()
    stats = t.feed.stats()
    assert stats.venues["toy"].told["disconnected"] == {"close 1006": 1}
    assert not stats.venues["toy"].links[0].up
    await asyncio.sleep(20)
    stats = t.feed.stats()
    assert stats.venues["toy"].told["connected"] == {"": 2}
    assert stats.venues["toy"].links[0].up


@fed
async def test_what_was_refused_is_counted_though_it_is_no_stream(t: Toy) -> None:
    t.feed.subscribe("XXX-USD", trades=True)
    await asyncio.sleep(1)
    stats = t.feed.stats()
    assert stats.venues["toy"].told["refused"] == {"": 1}
    assert stats.total("refused") == 1


@fed
async def test_what_is_no_venues_is_counted_for_the_feed(t: Toy) -> None:
    t.feed.tell(mf.RecorderStatus, venue="", status="paused")
    assert t.feed.stats().told == {"recorder_status": {"paused": 1}}


@fed
async def test_readers_by_name_and_how_they_ended(t: Toy) -> None:
    await standing(t, trades=True)
    slow = t.feed.consumer(name="strategy", policy="drop_oldest", max_events=2)
    other = t.feed.consumer(name="strategy")
    unnamed = t.feed.consumer()
    strict = t.feed.consumer(name="strict", max_events=2)
    say(t, *(toy.trade(n) for n in range(1, 6)))
    await asyncio.sleep(1)
    stats = t.feed.stats()
    found = {one.name: one for one in stats.consumers}
    assert [one.name for one in (slow, other, unnamed)] == ["strategy", "strategy-2", "consumer-3"]
    assert found["strategy"].dropped == slow.dropped > 0
    assert found["strategy"].queued == len(slow)
    assert found["strategy"].lag == 1_000_000_000
    assert found["strategy"].bytes > 0
    assert "strict" not in found
    assert strict.ended
    other.close()
    t.feed.consumer(lambda event: bool(event.no_such_field) if isinstance(event, mf.Trade) else False)
    say(t, toy.trade(6))
    assert t.feed.stats().left == {"too slow": 1, "closed": 1, "failed": 1}


@fed
async def test_latency_is_measured_by_stage(t: Toy) -> None:
    await standing(t, trades=True)
    reader = t.feed.consumer(name="r")
    t.feed.on(mf.Trade, lambda trade: None)
    now = t.feed._clock.unix_ns()
    say(t, toy.trade(1, ts=now - 70_000_000))
    await asyncio.sleep(0.5)
    await read(reader, 2)
    stats = t.feed.stats()
    venue = stats.venues["toy"]
    assert venue.to_receive.max == 70_000_000
    assert venue.to_receive.p50 == venue.to_receive.p99 == venue.to_receive.max
    assert venue.to_receive.count < venue.to_emit.count  # an acknowledgement has no time of the venue
    assert stats.consumers[0].to_reader.max == 500_000_000


@fed
async def test_P31_the_offset_of_clocks_is_published_with_its_uncertainty_and_corrects_nothing(t: Toy) -> None:
    t.transport.takes_s = 0.08
    await standing(t, trades=True)
    await asyncio.sleep(0.1)
    clock = t.feed.stats().venues["toy"].clock
    assert (clock.least, clock.offset, clock.uncertainty) == (None, None, None)
    reader, sent = t.feed.consumer(), t.feed._clock.unix_ns() - 2_000_000_000
    say(t, toy.trade(1, ts=sent))
    venue = t.feed.stats().venues["toy"]
    assert venue.clock.least == 2_000_000_000
    assert venue.clock.round_trip is not None
    assert 0 < venue.clock.round_trip <= 80_000_000
    assert venue.clock.offset == venue.clock.least - venue.clock.round_trip // 2
    assert venue.clock.uncertainty == venue.clock.round_trip // 2
    event = (await read(reader, 2))[-1]
    assert event.ts_event == sent


@fed
async def test_a_clock_turned_back_is_measured_again_within_a_second(t: Toy) -> None:
    await standing(t, trades=True)
    say(t, toy.trade(1, ts=1))
    before = t.feed.stats().venues["toy"].to_emit.count
    t.feed._clock.skew_ns = -3_600_000_000_000  # type: ignore[attr-defined]
    await asyncio.sleep(1.1)
    say(t, toy.trade(2, ts=1))
    assert t.feed.stats().venues["toy"].to_emit.count == before + 1


@fed
async def test_the_budget_shows_what_is_spent_and_calls_are_counted(t: Toy) -> None:
    await standing(t, trades=True)
    venue = t.feed.stats().venues["toy"]
    assert venue.budget["connects"].used == 1
    assert venue.budget["connects"].amount == 1000
    assert venue.budget["rest"].used == venue.calls == len(t.rest.asked)
    assert (venue.waits, venue.waited, venue.failed_calls, venue.blocked) == (0, 0, 0, 0)
    t.rest.replies["/list?of=YYY-USD"] = mf.TransportError("no answer", retry_after_s=30)
    await asyncio.sleep(601)  # a list is believed for ten minutes
    t.feed.subscribe("YYY-USD", trades=True)
    await asyncio.sleep(1)
    venue = t.feed.stats().venues["toy"]
    assert venue.failed_calls == 1
    assert venue.waiting == 1
    assert 20_000_000_000 < venue.blocked < 40_000_000_000


def served(text: str) -> dict[str, dict[str, float]]:
    """Samples by name and labels, as Prometheus' own parser reads them."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = ",".join(sample.labels[name] for name in sorted(sample.labels))
            found.setdefault(sample.name, {})[key] = sample.value
    return found


def text_of(collector: Collector) -> str:
    import prometheus_client as client  # noqa: PLC0415

    registry = client.CollectorRegistry()
    registry.register(collector)
    return client.generate_latest(registry).decode()


@fed
async def test_prometheus_reads_what_stats_says(t: Toy) -> None:
    await standing(t, trades=True, book=True)
    reader = t.feed.consumer(name="r")
    await asyncio.sleep(0.1)  # of what comes within 10 ms only the first is measured
    say(t, toy.trade(1, ts=t.feed._clock.unix_ns() - 70_000_000), toy.snap(1), toy.delta(5, 6))
    await read(reader, 3)
    found, stats = served(text_of(Collector(t.feed))), t.feed.stats()
    assert found["marketfeed_up"] == {"": 1}
    assert found["marketfeed_frames_total"] == {"toy": stats.venues["toy"].counts.frames}
    assert found["marketfeed_book_live"] == {"BTC-USD,toy": 0}
    assert found["marketfeed_told_total"]["book,gap,sequence,BTC-USD,toy"] == 1
    assert found["marketfeed_links"] == {"down,toy": 0, "up,toy": 1}
    assert found["marketfeed_consumer_queue_events"] == {"r": len(reader)}
    received = found["marketfeed_latency_seconds_bucket"]
    assert received["+Inf,venue_to_receive,toy"] == found["marketfeed_latency_seconds_count"]["venue_to_receive,toy"]
    assert {received["0.05,venue_to_receive,toy"], received["0.1,venue_to_receive,toy"]} == {0, 1}
    assert found["marketfeed_latency_seconds_sum"]["venue_to_receive,toy"] == pytest.approx(0.07)


@fed
async def test_G12_names_from_outside_are_escaped_in_labels(t: Toy) -> None:
    t.feed.consumer(name='a"b\\c\n\x1b[31m\u202e')
    text = text_of(Collector(t.feed))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert list(served(text)["marketfeed_consumer_dropped_total"]) == ['a"b\\c\\x0a\\x1b[31m\\u202e']


def test_names_follow_prometheus_conventions() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.replace("_", "").isalnum()
        assert metric.name == metric.name.lower()
        assert not metric.name.endswith(("_total", "_ms", "_ns", "_count", "_sum", "_bucket"))
        assert metric.help
        assert not metric.help.endswith(".")
        assert "le" not in metric.labels


def fetched(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


async def test_a_server_answers_on_loopback_until_it_is_closed() -> None:
    async with mf.Feed() as feed:
        with metrics.serve(feed, 0) as server:
            found = served(await asyncio.to_thread(fetched, server.port))
            assert found["marketfeed_up"] == {"": 1}
            assert found["process_open_fds"][""] > 0
            with pytest.raises(mf.ConfigError, match=rf"127\.0\.0\.1:{server.port}: Address already in use"):
                metrics.serve(feed, server.port)
        with pytest.raises(OSError, match="refused"):
            await asyncio.to_thread(fetched, server.port)
        with pytest.raises(mf.ConfigError, match="cannot be served"):
            metrics.serve(feed, 70_000)


async def test_a_loop_that_stands_still_is_told_as_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ANSWER_S", 0.05)
    async with mf.Feed() as feed:
        with metrics.serve(feed, 0) as server, ThreadPoolExecutor() as threads:
            found = served(threads.submit(fetched, server.port).result(10))  # it is the loop that waits here
            assert found["marketfeed_up"] == {"": 0}
            assert "marketfeed_handler_errors_total" not in found
            found = served(await asyncio.to_thread(fetched, server.port))
            assert found["marketfeed_up"] == {"": 1}


async def test_a_loop_that_stood_still_is_in_the_lag() -> None:
    async with mf.Feed() as feed:
        await asyncio.sleep(0.12)
        time.sleep(0.2)  # noqa: ASYNC251 # the loop stands still
        await asyncio.sleep(0.12)
        lag = feed.stats().loop_lag
        assert lag.count >= 3
        assert lag.max >= 100_000_000
        assert served(text_of(Collector(feed)))["marketfeed_loop_lag_seconds_count"] == {"": lag.count}


async def test_metrics_are_of_a_running_loop_and_need_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def outside() -> None:
        with pytest.raises(mf.ConfigError, match="inside its async with"):
            Collector(mf.Feed())

    await asyncio.to_thread(outside)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with mf.Feed() as feed:
        with pytest.raises(mf.MissingExtra, match=r"marketfeed\[metrics\]"):
            metrics.serve(feed, 0)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
