"""What one part of a program does harms no other: readers, forks, missing handles, cancellations, many log lines."""

import asyncio
import contextlib
import logging
import os
import resource
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, forked, sim
from marketfeed.clock import SystemClock
from marketfeed.consumer import EVENT_BYTES, Consumer
from marketfeed.events import Lagged, Trade
from marketfeed.log_limit import MOST, Limit, limited
from marketfeed.outlet import Outlet
from marketfeed.session import Session
from marketfeed.streams import Streams
from marketfeed.subscriptions import expand
from marketfeed.venues._plan import MAX_ASKED
from marketfeed.venues._spec import Context

from . import toy
from .test_feed import Toy
from .test_runner import a_venue
from .virtual import VirtualLoop, settle, until, virtual

VENUE = a_venue(structs.replace(toy.PACE, connects=(1000, 60)), toy.STREAM)


@pytest.fixture(autouse=True)
def _toy_is_a_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    real = catalogue.venue
    monkeypatch.setattr(catalogue, "venue", lambda name: VENUE if name == "toy" else real(name))


# Readers


class Reader:
    """A consumer with a task of its own, which takes `takes_s` for each event and raises at every one of `raises`."""

    def __init__(self, consumer: Consumer, takes_s: float = 0.0) -> None:
        self.consumer = consumer
        self.takes_s = takes_s
        self.got: list[str] = []
        self.lagged: list[Lagged] = []
        self.most = self.most_bytes = 0
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.consumer:
            if isinstance(event, Lagged):
                self.lagged.append(event)
            elif isinstance(event, Trade):
                self.got.append(event.id)
            if self.takes_s:
                await asyncio.sleep(self.takes_s)

    def look(self) -> None:
        self.most = max(self.most, len(self.consumer))
        self.most_bytes = max(self.most_bytes, self.consumer._bytes)


def picky(event: Any) -> bool:
    return bool(1 // (not isinstance(event, Trade)))


def refuses(event: Any) -> None:
    raise ValueError("no")


async def fails(event: Any) -> None:
    raise RuntimeError("no")


async def stuck(consumer: Consumer) -> None:
    async for _ in consumer:
        await asyncio.Event().wait()


@virtual
async def test_C01_C02_ninety_eight_readers_get_all_beside_one_that_is_stuck_one_slow_one_raising() -> None:
    toys = Toy()
    async with toys.feed as feed:
        feed.subscribe("BTC-USD", trades=True)
        await feed.live(5)
        links = len(toys.transport.links)
        healthy = [Reader(feed.consumer()) for _ in range(98)]
        slow = Reader(feed.consumer(policy="drop_oldest", max_events=100, max_lag_s=1.0), takes_s=0.1)
        lossless = feed.consumer(max_events=100)
        tasks = [asyncio.create_task(stuck(lossless))]
        frozen = feed.consumer(policy="conflate", max_events=100, max_bytes=50 * EVENT_BYTES)
        tasks.append(asyncio.create_task(stuck(frozen)))
        raising = feed.consumer(picky)
        feed.on(Trade, refuses)
        feed.on(Trade, fails)
        for number in range(1, 1_001):
            toys.say(toy.trade(number))
            await asyncio.sleep(0.01)
            slow.look()
            assert len(frozen) <= 51
            assert frozen._bytes <= 50 * EVENT_BYTES
            assert len(lossless) <= 101
        every = [str(number) for number in range(1, 1_001)]
        assert all(reader.got == every and not reader.lagged for reader in healthy)
        assert slow.most <= 102, "its bound, the instrument it joined with, and its `Lagged`"
        assert raising.ended
        assert isinstance(await anext(raising), mf.Instrument)
        with pytest.raises(ZeroDivisionError):
            await anext(raising)
        assert lossless.ended
        assert not any(reader.consumer.ended for reader in healthy)
        assert feed._hub.handler_errors == 2_000
        slow.takes_s = 0
        await until(lambda: not len(slow.consumer))
        missed = sum(event.dropped for event in slow.lagged)
        assert len(slow.got) + missed == 1_000, "every event was read, or told as left out"
        assert missed == slow.consumer.dropped > 500
        for event in slow.lagged:
            told = [str(n) for n in range(1, 1_001) if str(n) not in slow.got]
            assert event.dropped <= len(told)
        assert len(toys.transport.links) == links, "the socket did not notice"
        for task in (*tasks, slow.task, *(reader.task for reader in healthy)):
            task.cancel()
        await settle()


# Cancellation


def cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()


class Taken:
    """Reads a feed in its simplest form, and keeps what it got."""

    def __init__(self, toys: Toy) -> None:
        self.toys = toys
        self.ids: list[str] = []

    async def run(self) -> None:
        async with self.toys.feed as feed:
            feed.subscribe("BTC-USD", "ETH-USD", trades=True, book=True)
            talk = asyncio.get_running_loop().call_later(0.1, self._talk)
            try:
                reader = feed.consumer()
                await feed.live(5)
                async for event in reader:
                    if isinstance(event, Trade):
                        self.ids.append(event.id)
                        await asyncio.sleep(0.01)
                    if self.ids[-1:] == ["5"]:
                        break
                feed.unsubscribe("ETH-USD", trades=True, book=True)
                await asyncio.sleep(0.1)
            finally:
                talk.cancel()

    def _talk(self) -> None:
        if self.toys.transport.links:
            self.toys.say(toy.snap(1), toy.snap(1, "ETHUSD"), *(toy.trade(number) for number in range(1, 6)))


def test_C03_I15_a_feed_with_a_reader_is_cancelled_at_any_turn_of_the_loop_and_leaves_nothing() -> None:
    def run(turn: int) -> bool:
        """Cancel at one turn of the loop; whether there was still something to cancel."""
        going_on = False

        @virtual
        async def at_turn() -> None:
            nonlocal going_on
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            taken = Taken(Toy())
            task = asyncio.create_task(taken.run())
            loop.at_turn[loop.turns + turn] = partial(cancel, task)
            with contextlib.suppress(asyncio.CancelledError):
                await task
            going_on = task.cancelled()
            loop.at_turn.clear()
            toys = taken.toys
            assert taken.ids == ["1", "2", "3", "4", "5"][: len(taken.ids)], "in order, none twice, none left out"
            assert toys.feed.closed or not toys.transport.links
            assert not toys.feed._tasks
            assert all(link.closed or link.closing for link in toys.transport.links)

        at_turn()
        return going_on

    turns = 1
    while run(turns):
        turns += 1
    assert turns > 30


# Fork


def in_a_child(what: Any) -> str:
    """The words of the error that a child gets from what it does, or what it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover # another process
        try:
            said = str(what())
        except BaseException as exc:  # the parent asks for any
            said = f"{type(exc).__name__}: {exc}"
        os.write(writing, said.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_C07_a_forked_child_is_refused_with_what_to_do_and_the_parent_goes_on() -> None:
    @virtual
    async def run() -> None:
        toys = Toy()
        async with toys.feed as feed:
            feed.subscribe("BTC-USD", trades=True, book=True)
            await until(lambda: toys.transport.links)
            await settle()
            toys.say(toy.snap(1), toy.trade(1))
            await feed.live(5)
            reader = feed.consumer()
            sent = list(toys.link.sent)

            def first() -> Any:
                with contextlib.suppress(StopIteration):
                    reader.__anext__().__await__().send(None)

            words = "ConfigError: this feed is of the process that this one was forked from; make a new one here"
            assert in_a_child(lambda: feed.subscribe("ETH-USD", trades=True)) == words
            assert in_a_child(feed.consumer) == words
            assert in_a_child(lambda: feed.close().send(None)) == words
            assert in_a_child(first) == words
            assert in_a_child(lambda: feed.book("BTC-USD").top()) == "None"
            assert in_a_child(lambda: mf.Feed().waiting()) == "{}", "a new one is fine"
            assert toys.link.sent == sent
            assert feed.book("BTC-USD").live
            toys.say(toy.trade(2))
            await settle()
            assert not reader.ended
            feed.subscribe("ETH-USD", trades=True)
            await feed.live(5)

    run()


def test_C07_a_feed_that_is_gone_is_not_kept_for_the_children() -> None:
    class Known:
        def lost(self, error: mf.ConfigError) -> None:
            raise AssertionError("nobody forks here")

    known = Known()
    forked.in_child(known.lost)
    assert any(told() is not None and told().__self__ is known for told in forked._told)  # type: ignore[union-attr]
    del known
    forked.in_child(Toy(clock=SystemClock()).feed._forked)
    assert sum(told() is None for told in forked._told) <= 1


# Handles


@contextlib.contextmanager
def no_more_handles() -> Iterator[None]:
    """As many file handles as are open, and no more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    spares = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                spares.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for spare in spares:
            os.close(spare)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts handles as Linux shows them")
@pytest.mark.asyncio
async def test_C12_without_file_handles_what_flows_flows_on_and_the_rest_comes_when_there_are_some() -> None:
    symbols = ["BTC-USD", "BTC-USDT"]
    async with sim.Simulator(["kraken", "binance"], rate=50, symbols=symbols) as plant:
        settings = {name: mf.VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()}
        async with mf.Feed(settings, dice=lambda: 0.5) as feed:
            trades: list[Trade[Any]] = []
            lost: list[mf.Disconnected] = []
            feed.on(Trade, trades.append)
            feed.on(mf.Disconnected, lost.append)
            feed.subscribe(f"kraken:{symbols[0]}", trades=True, book=10)
            await feed.live(10)
            with no_more_handles():
                feed.subscribe(f"binance:{symbols[1]}", trades=True, book=True)
                await until(lambda: len(lost) > 1, 10)
                seen = len(trades)
                await until(lambda: len(trades) > seen + 20, 10)
            assert {event.venue for event in lost} == {"binance"}
            assert "Too many open files" in lost[0].reason
            assert feed.book(f"kraken:{symbols[0]}").live
            await feed.live(20)


# Memory


@pytest.mark.parametrize("name", catalogue.markets())
def test_C13_requests_that_a_venue_never_answers_are_not_remembered_for_ever(name: str) -> None:
    venue = catalogue.venue(name)
    (wanted,) = expand(["BTC-USD"], venue=name, trades=True)
    (link,) = venue.plan(venue.endpoints, [wanted], venue.pace)
    known = {"BTC-USD": mf.Instrument(venue=name, symbol="BTC-USD", native="BTC-USD", base="BTC", quote="USD")}
    session = Session[Any](venue, link, Streams(Outlet(lambda event: None)), known, link="test")
    decoder: Any = venue.decoder(Context(port=session, exact=False, instruments=known))
    for _ in range(MAX_ASKED + 100):
        decoder.subscribe([(wanted, "BTC-USD")])
    remembered = decoder._requests if name == "kraken" else decoder._asked
    assert len(remembered) == MAX_ASKED


# Log lines


def record(message: str, at: float) -> logging.LogRecord:
    made = logging.LogRecord("marketfeed.x", logging.ERROR, "", 1, message, (7,), None)
    made.created = at
    return made


def test_C15_ten_lines_a_minute_of_each_message_and_then_how_many_there_were() -> None:
    limit = Limit()
    passed = [limit.filter(record("failed: %s", 1000 + at / 10)) for at in range(300)]
    assert passed == [True] * MOST + [False] * 290
    assert limit.filter(record("of another kind: %s", 1000)), "each message has its own"
    later = record("failed: %s", 1060)
    assert limit.filter(later)
    assert later.getMessage() == "failed: 7 (290 more like it were left out)"
    again = record("failed: %s", 1121)
    assert limit.filter(again)
    assert again.getMessage() == "failed: 7"


def test_C15_a_clock_that_is_set_back_silences_nothing() -> None:
    limit = Limit()
    assert [limit.filter(record("x %s", 5000)) for _ in range(11)].count(True) == MOST
    assert limit.filter(record("x %s", 1000))


def test_C15_a_logger_is_limited_once() -> None:
    log = limited("marketfeed.driver")
    assert limited("marketfeed.driver") is log
    assert sum(isinstance(one, Limit) for one in log.filters) == 1
