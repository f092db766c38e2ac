"""The public face, on a made-up venue and virtual time; `tests/loopback` holds it against simulated venues."""

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue
from marketfeed.events import Head
from marketfeed.rest import AiohttpRest
from marketfeed.transports.fake import FakeLink, FakeTransport
from marketfeed.venues._spec import Request

from . import toy
from .test_runner import World, a_venue, listing
from .virtual import LoopClock, Rest, Transport, now_s, settle, until, virtual

VENUE = a_venue(structs.replace(toy.PACE, connects=(1000, 60)), toy.STREAM)


@pytest.fixture(autouse=True)
def _toy_is_a_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    real = catalogue.venue
    monkeypatch.setattr(catalogue, "venue", lambda name: VENUE if name == "toy" else real(name))


class Toy:
    """A feed on the made-up venue, which acknowledges all it is asked for."""

    def __init__(self, **options: Any) -> None:
        self.transport = Transport()
        self.transport.answers_pings = True
        self.transport.on_link = lambda link: World._opened(self, link)  # type: ignore[arg-type]
        self.rest = Rest({"/list": listing("BTC-USD", "ETH-USD", "SOL-USD")})
        self.feed = mf.Feed(
            default_venue="toy",
            transport=options.pop("transport", self.transport),
            rest=self.rest,
            clock=options.pop("clock", None) or LoopClock(),
            dice=lambda: 0.5,
            **options,
        )

    @property
    def link(self) -> FakeLink:
        return self.transport.links[-1]

    def say(self, *frames: Any) -> None:
        for frame in frames:
            self.link.frame(json.dumps(frame).encode())


def fed(test: Callable[..., Awaitable[None]]) -> Callable[[], None]:
    """Run with a feed that is entered, and left at the end."""

    @virtual
    async def run() -> None:
        toys = Toy()
        async with toys.feed:
            await test(toys)
        assert all(link.closed or link.closing for link in toys.transport.links)
        assert toys.rest.closed or not toys.rest.asked

    return run


async def read(consumer: Any, count: int) -> list[Head]:
    return [await asyncio.wait_for(anext(aiter(consumer)), 5) for _ in range(count)]


@fed
async def test_names_are_read_as_people_type_them(t: Toy) -> None:
    asked = t.feed.subscribe("btc-usd", "ETH/USD", "toy:sol_usd", trades=True)
    assert [s.name for s in asked] == ["toy:BTC-USD:trades", "toy:ETH-USD:trades", "toy:SOL-USD:trades"]
    await t.feed.live(5)


@fed
async def test_what_cannot_be_asked_for_is_refused_at_once(t: Toy) -> None:
    with pytest.raises(mf.UnknownVenue, match="did you mean kraken"):
        t.feed.subscribe("krakn:BTC-USD", trades=True)
    with pytest.raises(mf.ConfigError, match="nothing to subscribe to"):
        t.feed.subscribe("BTC-USD")
    with pytest.raises(mf.ConfigError, match="no name to subscribe to"):
        t.feed.subscribe(trades=True)
    with pytest.raises(mf.ConfigError, match="no name to subscribe to"):
        t.feed.unsubscribe(trades=True)
    with pytest.raises(mf.ConfigError, match="not a symbol"):
        t.feed.subscribe("BTC", trades=True)
    with pytest.raises(mf.ConfigError, match="depth"):
        t.feed.subscribe("BTC-USD", book=-1)
    t.feed.subscribe("BTC-USD", book=10)
    with pytest.raises(mf.ConfigError, match="already kept with depth 10"):
        t.feed.subscribe("BTC-USD", book=True)
    assert t.feed.waiting() == {"toy:BTC-USD:book": "loading instruments"}


def test_settings_that_cannot_be_are_refused_before_anything_is_opened() -> None:
    with pytest.raises(mf.ConfigError, match="redundancy"):
        mf.Feed(redundancy=3)
    with pytest.raises(mf.UnknownVenue):
        mf.Feed({"krakn": mf.VenueSettings()})
    with pytest.raises(mf.ConfigError, match="use wss://"):
        mf.Feed({"kraken": mf.VenueSettings(ws="ws://kraken.example")})
    with pytest.raises(mf.ConfigError, match="transport"):
        mf.Feed(transport="carrier pigeon")


@fed
async def test_iterating_the_feed_is_a_consumer_and_batches_are_lists(t: Toy) -> None:
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    events = aiter(t.feed)
    assert await anext(events) == t.feed.instrument("BTC-USD")
    t.say(toy.trade(1), toy.trade(2), toy.trade(3))
    assert [e.id for e in await read(t.feed, 1) if isinstance(e, mf.Trade)] == ["1"]
    batch = await anext(t.feed.batches())
    assert [e.id for e in batch if isinstance(e, mf.Trade)] == ["2", "3"]


@fed
async def test_live_names_what_does_not_flow_and_why(t: Toy) -> None:
    t.feed.subscribe("BTC-USD", trades=True, book=True)
    start = now_s()
    with pytest.raises(mf.NotLive) as caught:
        await t.feed.live(timeout=3)
    assert now_s() - start == pytest.approx(3, abs=0.1)
    assert list(caught.value.waiting) == ["toy:BTC-USD:book"]
    assert "toy:BTC-USD:book" in str(caught.value)
    t.say(toy.snap(1))
    await t.feed.live(timeout=1)
    assert t.feed.waiting() == {}


@fed
async def test_live_without_a_timeout_waits_and_with_nothing_asked_returns(t: Toy) -> None:
    await t.feed.live()
    t.feed.subscribe("BTC-USD", book=True)
    waits = asyncio.create_task(t.feed.live())
    await asyncio.sleep(7)
    assert not waits.done()
    t.say(toy.snap(1))
    await waits


@fed
async def test_live_does_not_wait_for_what_was_refused(t: Toy) -> None:
    t.feed.subscribe("XXX-USD", "BTC-USD", trades=True)
    start = now_s()
    with pytest.raises(mf.NotLive, match="toy:XXX-USD:trades"):
        await t.feed.live(timeout=60)
    assert now_s() - start < 2


@fed
async def test_trust_a_book_is_readable_only_while_it_is_proven(t: Toy) -> None:
    t.feed.subscribe("BTC-USD", book=True)
    book = t.feed.book("BTC-USD")
    assert book.top() is None
    with pytest.raises(mf.BookNotTrusted, match="toy:BTC-USD:book is unsynced"):
        book.best()
    await until(lambda: t.transport.links)
    await settle()
    t.say(toy.snap(1))
    await t.feed.live(5)
    book = t.feed.book("toy:BTC-USD")
    assert book.best() == book.top() == ((100.0, 5.0), (101.0, 5.0))
    t.say(toy.delta(5, 6))  # 2 to 4 never came
    assert t.feed.book("BTC-USD").top() is None
    for look in (book.best, book.bids, book.asks, book.imbalance):
        with pytest.raises(mf.BookNotTrusted, match="void"):
            look()
    assert book.last_known.state == "void"
    assert book.last_known.bids(1) == [(100.0, 5.0)]


@fed
async def test_the_book_of_a_name_nobody_asked_for_is_unsynced(t: Toy) -> None:
    assert t.feed.book("ETH-USD").top() is None
    assert t.feed.instrument("ETH-USD") is None
    with pytest.raises(mf.ConfigError):
        t.feed.book("nonsense")


@fed
async def test_a_book_and_an_instrument_are_found_by_event_too(t: Toy) -> None:
    t.feed.subscribe("BTC-USD", book=True)
    reader = t.feed.consumer()
    await until(lambda: t.transport.links)
    await settle()
    t.say(toy.snap(1))
    event = (await read(reader, 4))[-1]
    assert isinstance(event, mf.BookSnapshot)
    assert t.feed.book(event).live
    instrument = t.feed.instrument(event)
    assert instrument is not None
    assert instrument == t.feed.instrument("btc/usd")
    assert instrument.native == "BTCUSD"


@fed
async def test_C04_a_stream_ends_when_everyone_who_asked_for_it_has_let_go(t: Toy) -> None:
    t.feed.subscribe("BTC-USD", "ETH-USD", trades=True)
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    t.feed.unsubscribe("BTC-USD", trades=True)
    await asyncio.sleep(1)
    assert not [f for f in t.link.sent if '"unsub"' in str(f)]
    t.feed.unsubscribe("BTC-USD", trades=True)
    t.feed.unsubscribe("BTC-USD", trades=True)
    await asyncio.sleep(1)
    assert [json.loads(f)["s"] for f in t.link.sent if '"unsub"' in str(f)] == [["BTCUSD"]]
    t.feed.subscribe("BTC-USD", trades=True)
    await asyncio.sleep(1)
    await t.feed.live(5)


@fed
async def test_a_book_asked_for_again_begins_a_new_epoch(t: Toy) -> None:
    t.feed.subscribe("BTC-USD", "ETH-USD", book=True)
    reader = t.feed.consumer(lambda e: isinstance(e, mf.BookSnapshot | mf.BookDelta) and e.symbol == "BTC-USD")
    ends = t.feed.consumer(lambda e: isinstance(e, mf.BookVoid | mf.Unsubscribed))
    await until(lambda: t.transport.links)
    await settle()
    t.say(toy.snap(1), toy.snap(1, "ETHUSD"), toy.delta(2, 2))
    t.feed.unsubscribe("BTC-USD", book=True)
    await asyncio.sleep(1)
    told = [structs.replace(event, ts_recv=0, seq_local=0) for event in await read(ends, 2)]
    assert told == [
        mf.BookVoid(venue="toy", symbol="BTC-USD", epoch=1, reason="unsubscribed"),
        mf.Unsubscribed(venue="toy", symbol="BTC-USD", channel="book"),
    ]
    assert t.feed.book("BTC-USD").top() is None
    assert t.feed.book("BTC-USD").reason == "unsubscribed"
    assert t.feed.book("ETH-USD").live
    t.say(toy.delta(3, 3))
    t.feed.subscribe("BTC-USD", book=True)
    await asyncio.sleep(1)
    t.say(toy.snap(9), toy.delta(10, 10))
    assert [(e.epoch, e.seq) for e in await read(reader, 4)] == [(1, 1), (1, 2), (2, 9), (2, 10)]


@fed
async def test_exact_is_off_by_default_and_numbers_are_floats(t: Toy) -> None:
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    reader = t.feed.consumer(lambda e: isinstance(e, mf.Trade))
    t.say(toy.trade(1, p="100.10"))
    (event,) = await read(reader, 1)
    assert isinstance(event.price, float)


@virtual
async def test_exact_gives_decimals_with_every_digit() -> None:
    t = Toy(exact=True)
    async with t.feed:
        t.feed.subscribe("BTC-USD", trades=True)
        await t.feed.live(5)
        reader = t.feed.consumer(lambda e: isinstance(e, mf.Trade))
        t.say(toy.trade(1, p="100.10"))
        (event,) = await read(reader, 1)
        assert str(event.price) == "100.10"
        assert isinstance(event.price, Decimal)


@fed
async def test_C02_handlers_get_their_events_and_one_that_raises_harms_nobody(t: Toy) -> None:
    got: list[str] = []

    def quick(event: mf.Trade[float]) -> None:
        got.append(f"quick {event.id}")
        raise ZeroDivisionError

    async def slow(event: mf.Trade[float]) -> None:
        await asyncio.sleep(0.1)
        got.append(f"slow {event.id}")
        raise ZeroDivisionError

    t.feed.on(mf.Trade, quick)
    t.feed.on(mf.Trade, slow)
    reader = t.feed.consumer(lambda e: isinstance(e, mf.Trade))
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    t.say(toy.trade(1), toy.trade(2))
    await asyncio.sleep(1)
    assert got == ["quick 1", "quick 2", "slow 1", "slow 2"]
    assert len(await read(reader, 2)) == 2
    assert len(t.transport.links) == 1
    assert t.link.closing is None


@fed
async def test_C02_a_handler_whose_own_task_was_cancelled_is_called_again(t: Toy) -> None:
    got: list[str] = []

    async def waits_in_vain(event: mf.Trade[float]) -> None:
        got.append(event.id)
        task = asyncio.create_task(asyncio.sleep(1))
        task.cancel()
        await task

    t.feed.on(mf.Trade, waits_in_vain)
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    t.say(toy.trade(1), toy.trade(2))
    await asyncio.sleep(1)
    assert got == ["1", "2"]
    assert t.feed.stats().handler_errors == 2


@fed
async def test_a_handler_may_be_an_object_whose_call_waits(t: Toy) -> None:
    class Bot:
        def __init__(self) -> None:
            self.got: list[str] = []

        async def __call__(self, event: mf.Trade[float]) -> None:
            await asyncio.sleep(0.1)
            self.got.append(event.id)

    bot = Bot()
    t.feed.on(mf.Trade, bot)
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    t.say(toy.trade(1), toy.trade(2))
    await asyncio.sleep(1)
    assert bot.got == ["1", "2"]


@fed
async def test_a_handler_of_what_is_no_event_is_refused_and_the_nearest_named(t: Toy) -> None:
    def sync(event: Any) -> None:
        raise AssertionError(event)

    async def waiting(event: Any) -> None:
        raise AssertionError(event)

    kinds: list[tuple[Any, str]] = [
        ("trade", "^'trade' is no type of event; did you mean Trade"),
        ("book_delta", "^'book_delta' is .* did you mean BookDelta"),
        (mf.Trade(venue="v", price=1.0, size=1.0, side="buy", id="1"), "is no type of event; did you mean Trade"),
        (mf.Trade[float], "is no type of event; did you mean Trade"),
        (42, "^42 is no type of event; there are Trade, Ticker,"),
        (bytes, "is no type of event; there are Trade, Ticker,"),
    ]
    for kind, words in kinds:
        for handler in (sync, waiting):
            with pytest.raises(mf.ConfigError, match=words):
                t.feed.on(kind, handler)


@fed
async def test_a_handler_of_every_event_gets_every_event_whether_it_waits_or_not(t: Toy) -> None:
    sync: list[Head] = []
    waiting: list[Head] = []

    async def wait(event: Head) -> None:
        waiting.append(event)

    t.feed.on(Head, sync.append)
    t.feed.on(Head, wait)
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    t.say(toy.trade(1))
    await asyncio.sleep(1)
    assert {mf.Connected, mf.Subscribed, mf.Trade} <= {type(event) for event in sync}
    assert waiting == sync


@fed
async def test_C01_an_async_handler_that_is_too_slow_is_called_no_more_and_harms_nobody(t: Toy) -> None:
    got: list[Any] = []

    async def stuck(event: mf.Trade[float]) -> None:
        got.append(event)
        await asyncio.sleep(10)

    t.feed.on(mf.Trade, stuck)
    reader = t.feed.consumer(lambda e: isinstance(e, mf.Trade))
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    for number in range(1, 31):
        t.say(toy.trade(number))
        await asyncio.sleep(0.5)
        await read(reader, 1)
    t.say(toy.trade(31))
    assert [e.id for e in await read(reader, 1)] == ["31"]
    assert {type(e) for e in got} == {mf.Trade}
    assert t.feed._hub.handler_errors == 1


@fed
async def test_C01_a_stuck_reader_stops_neither_the_socket_nor_the_others(t: Toy) -> None:
    stuck = t.feed.consumer(max_events=100)
    dropping = t.feed.consumer(policy="drop_oldest", max_events=100)
    healthy = t.feed.consumer(lambda e: isinstance(e, mf.Trade))
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    for number in range(1, 1001):
        t.say(toy.trade(number))
        assert [e.id for e in await read(healthy, 1)] == [str(number)]
    assert [type(e) for e in await read(stuck, 1)] == [mf.Lagged]
    with pytest.raises(mf.ConsumerTooSlow):
        await read(stuck, 1)
    lagged, *rest = await read(dropping, len(dropping))
    assert isinstance(lagged, mf.Lagged)
    assert [e.id for e in rest if isinstance(e, mf.Trade)] == [str(n) for n in range(1001 - len(rest), 1001)]
    assert len(t.transport.links) == 1


@fed
async def test_nothing_dies_unheard_a_bug_in_a_driver_comes_out_everywhere(t: Toy) -> None:
    t.feed.subscribe("BTC-USD", "ETH-USD", trades=True, book=True)
    reader = t.feed.consumer()
    handled: list[Any] = []

    async def handler(event: mf.Trade[float]) -> None:
        handled.append(event)

    t.feed.on(mf.Trade, handler)
    await until(lambda: t.transport.links)
    await settle()
    t.say(toy.trade(1))

    def broken(*args: Any) -> Any:
        raise ZeroDivisionError("a bug of ours")

    (session,) = t.feed._runners["toy"].sessions()
    session.on_tick = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await t.feed.live(20)
    seen = await read(reader, len(reader))
    assert any(isinstance(e, mf.Trade) for e in seen)
    with pytest.raises(ZeroDivisionError):
        await anext(aiter(reader))
    late = aiter(t.feed)
    assert isinstance(await anext(late), mf.Instrument)
    with pytest.raises(ZeroDivisionError):
        await read(late, 9)
    assert len(handled) == 1


@fed
async def test_nothing_dies_unheard_a_bug_with_nobody_reading_is_logged(t: Toy) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("marketfeed.feed").addHandler(handler)
    try:
        for error in (KeyboardInterrupt, ZeroDivisionError):

            async def fail(error: type[BaseException] = error) -> None:
                raise BaseExceptionGroup("two", [error("one"), error("other")])

            t.feed._start(fail())
        await settle()
    finally:
        logging.getLogger("marketfeed.feed").removeHandler(handler)
    assert len(records) == 1
    with pytest.raises(RuntimeError, match="KeyboardInterrupt"):
        async for _ in t.feed.consumer():
            pass


@fed
async def test_instruments_lists_all_of_a_venue(t: Toy) -> None:
    assert [one.symbol for one in await t.feed.instruments("toy")] == ["BTC-USD", "ETH-USD", "SOL-USD"]
    t.feed.subscribe("BTC-USD", trades=True)
    await t.feed.live(5)
    assert t.feed.counts()["toy"].control == 1


@virtual
async def test_closing_ends_consumers_after_what_they_have_queued() -> None:
    t = Toy()
    async with t.feed:
        reader = t.feed.consumer()
        t.feed.subscribe("BTC-USD", trades=True)
        await t.feed.live(5)
        t.say(toy.trade(1))
    kinds = [type(event).__name__ async for event in reader]
    assert kinds == ["Instrument", "Connected", "Subscribed", "Trade", "Disconnected"]
    assert t.rest.closed
    await t.feed.close()


@virtual
async def test_closing_while_links_and_listings_are_on_their_way_leaves_nothing() -> None:
    for seconds in (0.0, 0.5, 1.5, 2.5, 4.5):
        t = Toy()
        t.rest.takes_s = t.transport.takes_s = 1
        async with t.feed:
            t.feed.on(mf.Trade, settle)  # type: ignore[arg-type]
            t.feed.subscribe("BTC-USD", trades=True)
            await asyncio.sleep(seconds)


@virtual
async def test_C08_a_feed_is_used_inside_its_loop_and_its_with_block_alone() -> None:
    t = Toy()
    feed = t.feed

    def uses() -> list[Callable[[], Any]]:
        return [
            lambda: feed.subscribe("BTC-USD", trades=True),
            lambda: feed.unsubscribe("BTC-USD", trades=True),
            feed.consumer,
            lambda: aiter(feed),
            lambda: feed.on(mf.Trade, settle),  # type: ignore[arg-type]
        ]

    for use in uses():
        with pytest.raises(mf.ConfigError, match="async with Feed"):
            use()
    async with feed:
        told: list[str] = []

        def elsewhere() -> None:
            for use in uses():
                try:
                    use()
                except mf.ConfigError as exc:
                    told.append(str(exc))

            async def another_loop() -> None:
                elsewhere_again = [*uses()]
                for use in elsewhere_again:
                    with pytest.raises(mf.ConfigError, match="another event loop"):
                        use()
                with pytest.raises(mf.ConfigError, match="another event loop"):
                    await feed.instruments("toy")

            asyncio.run(another_loop())

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(told) == 5
        assert all("another event loop or thread" in text for text in told)
        with pytest.raises(mf.ConfigError, match="entered once"):
            async with feed:
                pass
    for use in uses():
        with pytest.raises(mf.ConfigError, match="closed"):
            use()


def test_each_venue_has_rest_of_its_own_with_its_proxy() -> None:
    @virtual
    async def run() -> None:
        feed = mf.Feed({"toy": mf.VenueSettings(proxy="http://localhost:3128")}, transport=FakeTransport())
        async with feed:
            runner = feed._runner("toy")
            assert isinstance(runner._edge.rest, AiohttpRest)
            assert runner._edge.proxy == "http://localhost:3128"
            await settle()

    run()


def test_run_returns_what_the_coroutine_returns_with_and_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert "uvloop" in mf.run(main())
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    assert "asyncio" in mf.run(main())


def test_P02_a_venue_whose_listing_cannot_be_read_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    nested = structs.replace(VENUE, name="nested", title="Nested", instruments_requests=lambda symbols: [Request("/n")])
    monkeypatch.setattr(catalogue, "venue", lambda name: {"toy": VENUE, "nested": nested}[name])

    @fed
    async def run(t: Toy) -> None:
        t.rest.replies["/n"] = b"[" * 100_000
        t.feed.subscribe("nested:BTC-USD", "BTC-USD", trades=True)
        told: list[Head] = []
        t.feed.on(mf.Disconnected, told.append)
        t.feed.on(mf.Trade, told.append)
        await asyncio.sleep(60)
        t.say(toy.trade(1))
        await settle()
        assert [(event.venue, type(event)) for event in told[-2:]] == [("nested", mf.Disconnected), ("toy", mf.Trade)]
        assert len([one for _, one in t.rest.asked if one.path == "/n"]) > 3

    run()
