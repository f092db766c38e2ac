"""No hole at planned cuts, and none at a single fault where a stream has two links. Time is virtual."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, sim
from marketfeed.errors import ConfigError
from marketfeed.events import (
    EVENT_TYPES,
    BookSnapshot,
    BookVoid,
    Connected,
    Disconnected,
    Gap,
    Head,
    Refused,
    Subscribed,
    Ticker,
    Trade,
    Unsubscribed,
)
from marketfeed.places import HAND_OVER_S, LOOK_S, SETTLE_S
from marketfeed.recording.raw_recorder import RawRecorder
from marketfeed.recording.rerun import Rerun
from marketfeed.settings import VenueSettings
from marketfeed.transports.fake import FakeLink
from marketfeed.venues._spec import Endpoints

from . import toy
from .fuzz import rotations
from .fuzz.oracle import SYMBOLS
from .loopback.rig import Auditor, bench, plain
from .test_runner import PACE, World, a_venue, natives, world
from .virtual import now_s, settle, until, virtual

Make = Callable[..., World]
TWO = VenueSettings(redundancy=2)
TRADES = count(1)
GOING = {"c": "talk", "what": "restart", "text": "the venue is about to go"}


def say(link: FakeLink, *frames: Any) -> None:
    for frame in frames:
        link.frame(json.dumps(frame).encode())


def ids(w: World) -> list[int]:
    return [int(trade.id) for trade in w.of(Trade)]


def _more(w: World, known: int) -> bool:
    return len(w.transport.links) > known


async def both(w: World) -> tuple[FakeLink, FakeLink]:
    """Two links that are served."""
    await w.flowing()
    await until(lambda: all(not wire.waiting() for wire in w.runner.links))
    first, second = w.open_links()
    return first, second


# One link a stream


@world
async def test_T16_a_link_is_left_only_when_another_has_taken_over_and_nothing_is_lost(make: Make) -> None:
    w = make()
    w.want("BTC-USD")
    w.want("BTC-USD", channel="book")
    first = await w.transport.link()
    await until(lambda: natives(first) == ["book BTCUSD", "trades BTCUSD"])
    say(first, toy.snap(10), toy.trade(1), GOING)
    second = await w.transport.link(1)
    await until(lambda: natives(second) == ["book BTCUSD", "trades BTCUSD"])
    say(first, toy.trade(2), toy.delta(11, 11))
    assert first.closing is None
    await asyncio.sleep(10)
    assert first.closing is None, "the book of the new one is not proven"
    say(second, toy.snap(12, bids=[[100, 1]]), toy.trade(3))
    await asyncio.sleep(SETTLE_S + 1)
    assert first.closing is None, "what the new one began with was not reached"
    say(first, toy.delta(12, 12), toy.trade(3))
    since = now_s()
    await until(lambda: first.closing is not None)
    assert SETTLE_S - LOOK_S <= now_s() - since <= SETTLE_S + 2 * LOOK_S
    say(second, toy.delta(13, 13), toy.trade(4))
    await settle()
    assert ids(w) == [1, 2, 3, 4]
    assert len(w.of(BookSnapshot)) == 1
    assert (
        w.of(
            Gap,
        )
        == w.of(BookVoid)
        == []
    )
    (gone,) = w.of(Disconnected)
    assert (gone.link, gone.code, gone.retry_s) == ("toy-1", 1000, 0)
    assert gone.reason == "replaced by toy-2: the venue is about to go"
    assert [event.link for event in w.of(Connected)] == ["toy-1", "toy-2"]
    assert w.open_links() == [second]
    assert w.runner.waiting() == {}


@world
async def test_T16_a_link_is_replaced_before_the_venue_ends_it_for_its_age_and_so_for_ever(make: Make) -> None:
    w = make(pace=structs.replace(PACE, lifetime_s=1000))
    w.want("BTC-USD")
    await w.flowing()
    began = now_s()
    for _ in range(3):
        known = len(w.transport.links)
        await until(partial(_more, w, known), 1000, step=0.5)
        assert w.transport.at[-1] - began == pytest.approx(980, abs=1), "dice are 1 here: 0.95 and 0.03 of it"
        began = now_s()
        await until(lambda: len(w.open_links()) == 1)
    assert w.of(Gap) == []
    reasons = {event.reason.partition(": ")[2] for event in w.of(Disconnected)}
    assert reasons == {"the venue ends connections of its age"}


@world
async def test_a_link_that_dies_while_it_is_replaced_is_not_made_again(make: Make) -> None:
    w = make()
    w.want("BTC-USD")
    await w.flowing()
    first = w.transport.links[0]
    w.transport.takes_s = 5
    say(first, toy.trade(1), GOING)
    await asyncio.sleep(1)
    first.drop(1001, "going away")
    await asyncio.sleep(60)
    assert len(w.transport.links) == 2
    assert [gap.cause for gap in w.of(Gap)] == ["link lost"], "the other did not stand yet"
    assert w.runner.waiting() == {}


@world
async def test_what_the_other_link_refuses_keeps_the_old_one(make: Make) -> None:
    w = make()
    w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    first = w.transport.links[0]
    say(first, GOING)
    second = await w.transport.link(1)
    w.runner.links[0].replace("and its age says so too")
    say(second, {"c": "talk", "what": "nack", "ch": "trades", "s": "ETHUSD", "text": "full"})
    await asyncio.sleep(60)
    assert first.closing is None
    assert len(w.transport.links) == 2
    assert w.runner.waiting() == w.runner.refusals() == {}
    assert [event.symbol for event in w.of(Refused)] == ["ETH-USD"]


@world
async def test_a_stream_let_go_while_its_link_is_replaced_ends_on_both(make: Make) -> None:
    w = make()
    wanted = w.want("BTC-USD", channel="book")
    await until(lambda: w.transport.links and natives(w.transport.links[0]))
    first = w.transport.links[0]
    say(first, toy.snap(1), GOING)
    second = await w.transport.link(1)
    await until(lambda: natives(second))
    say(second, toy.snap(1))
    w.runner.unwant(wanted)
    await until(lambda: w.open_links() == [])
    await asyncio.sleep(60)
    assert len(w.of(BookSnapshot)) == 1
    assert w.of(Gap) == []
    assert [void.reason for void in w.of(BookVoid)] == ["unsubscribed"]
    assert len(w.of(Unsubscribed)) == 1
    assert len(w.transport.links) == 2


def announcing(w: World) -> list[float]:
    """The venue announces the end of each link as soon as it stands; returns when each was made."""
    opened = w.transport.on_link

    def on_link(link: FakeLink) -> None:
        opened(link)
        asyncio.get_running_loop().call_later(0.01, say, link, GOING)

    w.transport.on_link = on_link
    return w.transport.at


async def market(w: World, seconds: float) -> int:
    """Trades on every link; returns how many stood at once at most."""
    most = 0
    for _ in range(round(seconds * 10)):
        number = next(TRADES)
        for link in w.open_links():
            say(link, toy.trade(number))
        most = max(most, len(w.open_links()))
        await asyncio.sleep(0.1)
    return most


@world
async def test_D1_T16_links_that_all_announce_their_end_are_replaced_one_by_one_and_ever_more_slowly(
    make: Make,
) -> None:
    w = make()
    made = announcing(w)
    w.want("BTC-USD")
    await w.flowing()
    assert await market(w, 120.0) == 2
    assert w.transport.waits[0] == pytest.approx(0.01), "the first replacement is made without delay"
    taken_over = SETTLE_S + 4 * LOOK_S
    for wait, delay in zip(w.transport.waits[1:], (0.25, 0.5, 1, 2, 4, 8, *[15] * 8), strict=False):
        assert max(SETTLE_S, delay) <= wait <= max(taken_over, delay + 2 * LOOK_S)
    assert len(made) < 20
    assert w.of(Gap) == []
    assert ids(w) == sorted(set(ids(w)))
    assert len(w.open_links()) == 1
    assert {event.retry_s for event in w.of(Disconnected)} == {0}, "each was replaced, and is not tried again"


@world
async def test_D1_T16_a_replacement_that_stood_for_30_s_is_itself_replaced_without_delay(make: Make) -> None:
    w = make()
    w.want("BTC-USD")
    await w.flowing()
    for age in (1.0, 31.0, 31.0):
        await market(w, age)
        (old,) = w.open_links()
        known, since = len(w.transport.links), now_s()
        say(old, GOING)
        await until(partial(_more, w, known))
        assert now_s() - since < 0.02
        await market(w, SETTLE_S + 1)
    assert w.of(Gap) == []


@world
async def test_T16_a_young_link_that_ends_while_its_replacement_waits_is_a_loss_and_made_again_when_it_says(
    make: Make,
) -> None:
    w = make()
    w.want("BTC-USD")
    await w.flowing()
    for _ in range(6):  # delays are 4 s by then
        (old,) = w.open_links()
        known = len(w.transport.links)
        say(old, GOING)
        await until(partial(_more, w, known))
        await market(w, SETTLE_S + 1)
    (old,) = w.open_links()
    known, before = len(w.transport.links), len(w.of(Disconnected))
    say(old, GOING)
    await asyncio.sleep(1)
    assert w.open_links() == [old]
    old.drop(1001, "going away")
    since = now_s()
    await until(partial(_more, w, known))
    (gone,) = w.of(Disconnected)[before:]
    assert (gone.code, gone.reason) == (1001, "going away")
    assert now_s() - since == pytest.approx(gone.retry_s, abs=0.02)
    assert gone.retry_s > 0
    assert [gap.cause for gap in w.of(Gap)] == ["link lost"]
    await market(w, 60.0)
    assert len(w.transport.links) == known + 1, "it stands for itself: its replacement is not asked for any more"
    assert w.runner.waiting() == {}


@world
async def test_T16_a_link_that_ends_before_another_stands_tells_when_that_one_is_tried_next(make: Make) -> None:
    w = make()
    w.want("BTC-USD")
    await w.flowing()
    (first,) = w.open_links()
    w.transport.script = [mf.TransportError("toy.example is full", status=503)] * 6
    say(first, GOING)
    await until(lambda: len(w.of(Disconnected)) == 6)
    await asyncio.sleep(3)
    first.drop(1001, "going away")
    since = now_s()
    await until(lambda: len(w.transport.links) == 2)
    (gone,) = [event for event in w.of(Disconnected) if event.link == "toy-1"]
    assert gone.retry_s == pytest.approx(5, abs=0.1), "of the 8 s after the sixth failure"
    assert now_s() - since == pytest.approx(gone.retry_s, abs=0.02)


@world
async def test_T16_a_replacement_that_cannot_take_over_and_is_to_go_itself_is_made_again_in_its_place(
    make: Make,
) -> None:
    w = make()
    w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    (first,) = w.open_links()
    say(first, GOING)
    second = await w.transport.link(1)
    say(second, {"c": "talk", "what": "nack", "ch": "trades", "s": "ETHUSD", "text": "full"})
    await asyncio.sleep(1)
    say(second, GOING)
    await asyncio.sleep(HAND_OVER_S)
    assert w.open_links() == [first, second]
    await until(lambda: len(w.transport.links) == 3)
    assert second.closing == (1000, "the venue is about to go")
    await until(lambda: w.open_links() == w.transport.links[2:])
    assert w.of(Gap) == [], "the old one carried all"
    assert w.runner.waiting() == {}


@world
async def test_a_stream_let_go_while_a_replacement_waits_ends_it_too(make: Make) -> None:
    w = make()
    announcing(w)
    wanted = w.want("BTC-USD")
    await w.flowing()
    await market(w, 31.0)
    known = len(w.transport.links)
    w.runner.unwant(wanted)
    await until(lambda: w.open_links() == [])
    await asyncio.sleep(60)
    assert len(w.transport.links) == known


# Two links a stream


@world
async def test_two_links_are_kept_each_with_every_stream_and_the_second_at_the_spare_address(make: Make) -> None:
    at = Endpoints(ws="wss://toy.example", rest="https://toy.example", spare="wss://spare.example")
    w = make(settings=TWO, venue=structs.replace(a_venue(), endpoints=at))
    w.want("BTC-USD", "ETH-USD")
    first, second = await both(w)
    assert natives(first) == natives(second) == ["trades BTCUSD", "trades ETHUSD"]
    assert [call["url"] for call in w.transport.calls] == ["wss://toy.example", "wss://spare.example"]
    w.want("SOL-USD")
    await until(lambda: "trades SOLUSD" in natives(first) and "trades SOLUSD" in natives(second))
    assert {event.link for event in w.of(Connected)} == {"toy-1", "toy-2"}
    assert len(w.of(Subscribed)) == 6


@world
async def test_without_a_spare_address_the_second_link_is_another_connection_to_the_same(make: Make) -> None:
    w = make(settings=TWO)
    w.want("BTC-USD")
    await both(w)
    assert [call["url"] for call in w.transport.calls] == ["wss://toy.example"] * 2


@world
async def test_the_loss_of_one_link_is_told_of_the_link_alone(make: Make) -> None:
    w = make(settings=TWO)
    for channel in ("trades", "ticker", "book"):
        w.want("BTC-USD", channel=channel)
    await until(lambda: len(w.open_links()) == 2 and all(len(natives(link)) == 3 for link in w.open_links()))
    first, second = w.open_links()
    for link in (first, second):
        say(link, toy.snap(10), toy.trade(1), {"c": "ticker", "s": "BTCUSD", "bid": 1})
    first.drop()
    say(second, toy.trade(2), toy.delta(11, 11))
    second.frame(json.dumps({"c": "ticker", "s": "BTCUSD", "bid": 2}).encode(), recv_ns=2)
    assert w.runner.waiting() == {}
    await until(lambda: len(w.open_links()) == 2)
    await until(lambda: len(natives(w.open_links()[1])) == 3)
    again = w.open_links()[1]
    say(again, toy.snap(11, bids=[[100, 1]]), toy.trade(2))
    say(second, toy.trade(3), toy.delta(12, 12))
    say(again, toy.trade(3), toy.delta(12, 12))
    second.drop()
    say(again, toy.trade(4), toy.delta(13, 13))
    await settle()
    assert ids(w) == [1, 2, 3, 4]
    assert w.of(Gap) == w.of(BookVoid) == []
    assert len(w.of(BookSnapshot)) == 1
    assert [event.link for event in w.of(Disconnected)] == ["toy-1", "toy-2"]
    assert [event.bid for event in w.of(Ticker)][:2] == [1, 2]


@world
async def test_a_stream_that_waits_on_one_link_and_flows_on_the_other_does_not_wait(make: Make) -> None:
    w = make(settings=TWO)
    w.transport.script = [mf.TransportError("cannot reach toy.example"), None, mf.TransportError("nor now")]
    w.want("BTC-USD")
    await w.flowing()
    assert len(w.open_links()) == 1
    assert w.runner.waiting() == {}
    w.open_links()[0].drop()
    await settle()
    assert w.runner.waiting() == {"toy:BTC-USD:trades": "cannot reach toy.example"}


@world
async def test_two_links_that_the_venue_wants_replaced_are_both_replaced_without_a_hole(make: Make) -> None:
    w = make(settings=TWO)
    w.want("BTC-USD", channel="book")
    await until(lambda: len(w.open_links()) == 2 and all(natives(link) for link in w.open_links()))
    old = w.open_links()
    for link in old:
        say(link, toy.snap(10))
    for link in old:
        say(link, {"c": "talk", "what": "restart", "text": "maintenance"})
    await until(lambda: len(w.open_links()) == 4 and all(natives(link) for link in w.open_links()))
    for link in w.open_links()[2:]:
        say(link, toy.snap(10))
    await until(lambda: len(w.open_links()) == 2)
    assert not set(w.open_links()) & set(old)
    for seq in (11, 12):
        for link in w.open_links():
            say(link, toy.delta(seq, seq))
    assert w.of(Gap) == w.of(BookVoid) == []
    assert len(w.of(BookSnapshot)) == 1


@world
async def test_a_runner_that_ends_makes_no_standby_take_over(make: Make) -> None:
    w = make(settings=TWO, venue=a_venue(rule=toy.LINK))
    w.want("BTC-USD", channel="book")
    await until(lambda: len(w.open_links()) == 2 and all(natives(link) for link in w.open_links()))
    for link in w.open_links():
        say(link, toy.snap(0))
    w.task.cancel()
    await asyncio.gather(w.task, return_exceptions=True)
    assert len(w.of(BookSnapshot)) == 1
    assert w.of(Gap) == w.of(BookVoid) == []


@pytest.mark.parametrize("links", [0, 3, -1])
def test_a_number_of_links_that_is_not_served_is_refused(links: int) -> None:
    with pytest.raises(ConfigError, match=f"redundancy={links}"):
        mf.Feed(redundancy=links)
    with pytest.raises(ConfigError, match=f"redundancy={links}"):
        virtual(_a_world)(VenueSettings(redundancy=links))


async def _a_world(settings: VenueSettings) -> None:
    World(settings=settings)


def test_a_spare_address_is_the_venues_own_unless_another_one_is_set() -> None:
    binance = catalogue.venue("binance").endpoints
    assert VenueSettings().endpoints(binance).spare == binance.spare != ""
    assert VenueSettings(ws="wss://mirror.example").endpoints(binance).spare == ""
    assert VenueSettings(spare="wss://mirror.example/").endpoints(binance).spare == "wss://mirror.example"
    with pytest.raises(ConfigError, match="not encrypted"):
        VenueSettings(spare="ws://mirror.example").endpoints(binance)


# Whole venues: the real protocols, a market that moves, every live book held to the oracle


@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_T16_planned_cuts_lose_nothing_double_nothing_and_void_nothing(venue: str) -> None:
    found = rotations.one(venue, "planned", seed=3, rotations=4)
    assert (found["rotations"], found["links"]) == (4, 5)
    assert found["trades"] > 20
    assert found["books checked"] > 20
    assert found["epochs"] == (1 if venue == "binance" else 5)


@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_T08_any_single_fault_of_one_of_two_links_is_no_hole(venue: str) -> None:
    found = rotations.one(venue, "faults", seed=4, rotations=6)
    assert found["books checked"] > 100
    assert found["spared"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["planned", "faults"])
@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_T08_T16_a_thousand_rotations(venue: str, mode: str) -> None:
    found = rotations.one(venue, mode, seed=5, rotations=334)
    assert found["lost"] == found["voids"] == found["gaps"] == 0


@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_a_cut_of_one_link_over_loopback_voids_no_book(venue: str) -> None:
    @plain
    async def run() -> None:
        async with bench(venue, redundancy=2) as b:
            b.audit = Auditor(links=2)
            await b.until(lambda: len(b.audit.of(mf.Connected)) == 2)
            await b.recovered()
            await b.until(lambda: not any(wire.waiting() for wire in b.feed._runners[venue].links))
            b.plant._server(venue).links[0].abort()
            await b.until(lambda: len(b.audit.of(mf.Connected)) == 3)
            await b.checked()
            assert len(b.audit.of(mf.Disconnected)) == 1
            assert b.audit.of(mf.Gap, mf.BookVoid) == []

    run()


def test_a_raw_recording_of_two_links_runs_again_event_for_event(tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        told: list[Head] = []

        async def more() -> None:
            mark = len(told)
            await until(lambda: len(told) > mark + 100)

        names = ("kraken:BTC-USD", "binance:BTC-USDT")
        async with sim.Simulator(["kraken", "binance"], rate=300) as plant:
            at = {v: mf.VenueSettings(ws=e.ws, rest=e.rest) for v, e in plant.endpoints.items()}
            async with mf.Feed(at, redundancy=2, dice=lambda: 0.02) as feed:
                for kind in EVENT_TYPES:
                    feed.on(kind, told.append)
                async with RawRecorder(feed, tmp_path):
                    feed.subscribe(*names, trades=True, ticker=True, book=True)
                    await feed.live(10)
                    for venue in ("kraken", "binance", "kraken"):
                        await more()
                        plant._server(venue).links[0].abort()
                        await until(lambda: all(len(r.sessions()) == 2 for r in feed._runners.values()))
                    feed.unsubscribe(names[0], trades=True, ticker=True, book=True)
                    await more()
        rerun = Rerun(tmp_path)
        again = list(rerun)
        assert again == [event for event in told if event.venue][: len(again)]
        assert len(again) > 400
        assert (rerun.unlike, rerun.torn) == ([], [])

    run()
