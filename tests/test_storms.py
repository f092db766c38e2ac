"""Many links at once, and what a venue allows: attempts, frames and REST weight stay within it, bans are kept.

Time is virtual. `python -m tests.fuzz.storms` is the long form of the first part.
"""

import asyncio
import json
from collections.abc import Callable

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, cold_start
from marketfeed.errors import TransportError
from marketfeed.events import BookSnapshot
from marketfeed.pace import SECOND, Budget, Quota
from marketfeed.rest import Reply
from marketfeed.subscriptions import Subscription
from marketfeed.transports.fake import FakeLink
from marketfeed.venues._spec import Request

from . import toy
from .fuzz.storms import Storm, over, storms
from .test_driver import Line, Venue, say
from .virtual import LoopClock, Rest, Transport, now_s, settle, until, virtual

# Storms against the budget alone


def test_T22_T14_storms_break_no_quota_and_no_ban_and_end_in_time() -> None:
    found, bad = storms(1, 300)
    assert bad == []
    assert (found.early, found.over, found.late) == (0, 0, 0)
    assert found.attempts > 20_000
    assert found.calls > 10_000
    assert found.bans > 400


@pytest.mark.parametrize(
    ("spent", "amount", "breaches"),
    [
        ([(0, 1), (0, 1), (10, 1)], 2, 0),  # the window is half open
        ([(0, 1), (0, 1), (9, 1)], 2, 1),
        ([(0, 5)], 2, 0),  # one alone always goes
        ([(0, 5), (9, 1), (10, 1)], 2, 1),
    ],
)
def test_the_judge_of_storms_counts_what_is_too_much(spent: list[tuple[int, int]], amount: int, breaches: int) -> None:
    assert over([(at * SECOND, float(weight)) for at, weight in spent], amount, 10.0) == breaches


def test_the_judge_of_storms_sees_a_budget_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Budget.__init__
    larger = {"connects": (300, 10.0), "rest": (6_000, 1.0)}
    monkeypatch.setattr(Budget, "__init__", lambda self, pace: real(self, structs.replace(pace, **larger)))
    found, bad = storms(1, 50)
    assert bad
    assert found.over > 100


def test_the_judge_of_storms_sees_a_ban_that_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quota, "block", lambda self, until: None)
    found, bad = storms(1, 50)
    assert bad
    assert found.early > 100


def test_the_judge_of_storms_sees_a_link_that_never_comes_back() -> None:
    storm = Storm(1)
    storm.links += 1
    storm.run()
    storm.links += 1
    assert storm._judge().late == 1


# Storms of real drivers

PACE = structs.replace(toy.PACE, connects=(10, 5.0), rest=(20, 1.0))


def windows(times: list[float], seconds: float) -> list[int]:
    """How many stand in the window that each of them ends."""
    return [sum(end - seconds + 1e-6 < at <= end for at in times) for end in times]


@virtual
async def test_T22_forty_links_that_drop_together_come_back_within_the_quota_and_in_its_time() -> None:
    venue = Venue(pace=PACE, dice=0.5)
    lines = [Line(venue) for _ in range(40)]
    await until(lambda: len(venue.transport.links) == 40, 60)
    await asyncio.sleep(5)
    before, start = len(venue.transport.at), now_s()
    for link in list(venue.transport.links):
        link.drop()
    await until(lambda: len(venue.transport.links) == 80, 60)
    again = venue.transport.at[before:]
    assert len(again) == 40, "one attempt a link"
    assert max(windows(again, 5.0)) <= 10
    assert again[-1] - start <= 40 / 10 * 5.0 + 2
    for line in lines:
        await line.stop()


@virtual
async def test_T14_T22_a_ban_told_to_one_of_forty_links_holds_all_and_every_fetch_of_theirs() -> None:
    venue = Venue(pace=PACE, dice=0.5, replies={})
    venue.transport.script = [None, None, TransportError("429", status=429, retry_after_s=60)]
    lines = [Line(venue, toy.subscription()) for _ in range(40)]
    await until(lambda: len(venue.transport.at) == 3, 5)
    told = now_s()
    await settle()
    flying = len(venue.transport.at)
    assert flying <= 10, "what the quota let go in that very moment"
    for link in venue.transport.links:
        say(link, toy.delta(1, 2))  # a book begins, and wants its snapshot
    await until(lambda: len(venue.transport.links) == 40, 300)
    later = venue.transport.at[flying:]
    assert min(*later, *venue.rest.at) >= told + 60
    assert max(windows(later, 5.0)) <= 10
    assert venue.rest.at
    for line in lines:
        await line.stop()


@virtual
async def test_T22_a_link_of_many_streams_subscribes_at_the_venues_pace() -> None:
    pace = structs.replace(PACE, frames_per_s=2, symbols_per_frame=1)
    venue = Venue(pace=pace)
    sent: list[float] = []

    def watch(link: FakeLink) -> None:
        link.send = lambda payload: sent.append(now_s())  # type: ignore[method-assign]

    venue.transport.on_link = watch
    names = [toy.subscription(s, c) for s in ("BTC-USD", "ETH-USD", "SOL-USD") for c in ("trades", "ticker")]
    line = Line(venue, *names)
    await until(lambda: len(sent) == 6, 10)
    assert max(windows(sent, 1.0)) <= 2
    assert sent[-1] - sent[0] < 3
    await line.stop()


def listening(said: list[tuple[int, float]], opened: list[float]) -> Callable[[FakeLink], None]:
    """Notes (number of the link, when) of what is sent, and when each link was made."""

    def watch(link: FakeLink) -> None:
        number = len(opened)
        opened.append(now_s())
        link.send = lambda payload: said.append((number, now_s()))  # type: ignore[method-assign]

    return watch


@virtual
async def test_T22_frames_of_all_links_share_the_quota_of_their_address() -> None:
    pace = structs.replace(PACE, connects=(4, 1.0), frames_per_s=4, frames_by_address=True, symbols_per_frame=1)
    venue = Venue(pace=pace, dice=0.5)
    said: list[tuple[int, float]] = []
    opened: list[float] = []
    venue.transport.on_link = listening(said, opened)
    names = [toy.subscription(s, "trades") for s in ("BTC-USD", "ETH-USD", "SOL-USD")]
    lines = [Line(venue, *names) for _ in range(40)]
    await until(lambda: len(said) == 120, 40)
    assert max(windows([at for _, at in said], 1.0)) <= 4
    assert said[-1][1] - said[0][1] < 120 / 4 + 0.5
    begun = dict(reversed(said))
    assert max(begun[number] - at for number, at in enumerate(opened)) < 2, "before a venue gives up who says nothing"
    for line in lines:
        await line.stop()


@virtual
async def test_T22_a_link_that_is_lost_while_its_frames_wait_holds_up_nobody() -> None:
    venue = Venue(pace=structs.replace(PACE, frames_per_s=1, frames_by_address=True, symbols_per_frame=1), dice=0.0)
    said: list[tuple[int, float]] = []
    opened: list[float] = []
    venue.transport.on_link = listening(said, opened)
    names = [toy.subscription(s, c) for s in ("BTC-USD", "ETH-USD", "SOL-USD") for c in ("trades", "ticker")]
    lines = [Line(venue, *names) for _ in range(2)]
    await until(lambda: len(said) == 4)
    await lines[0].stop()
    await until(lambda: [number for number, _ in said].count(1) == 6, 6)
    assert [round(at - said[0][1], 2) for _, at in said] == list(range(len(said)))
    await lines[1].stop()


@virtual
async def test_T22_calls_that_a_lost_link_waited_for_leave_their_turn_to_others() -> None:
    """Else each connection that is lost in a cold start would put the next one's snapshots off for ever."""
    venue = Venue(pace=structs.replace(PACE, rest=(1, 10.0)), dice=0.0)
    books = [toy.subscription("BTC-USD"), toy.subscription("ETH-USD"), toy.subscription("SOL-USD")]
    line = Line(venue, *books)
    for number in range(20):
        link = await line.link(number)
        for native in ("BTCUSD", "ETHUSD", "SOLUSD"):
            say(link, toy.delta(1, 2, native))
        await asyncio.sleep(1)
        link.drop()
    link = await line.link(20)
    say(link, toy.delta(1, 2))
    asked = len(venue.rest.at)
    await until(lambda: len(venue.rest.at) > asked, 11)
    assert min(b - a for a, b in zip(venue.rest.at, venue.rest.at[1:], strict=False)) > 9.99
    await line.stop()


# A cold start

BINANCE = catalogue.venue("binance")
COINS = [f"C{number}" for number in range(500)]


def info() -> bytes:
    rows = [{"symbol": f"{c}USDT", "status": "TRADING", "baseAsset": c, "quoteAsset": "USDT"} for c in COINS]
    return json.dumps({"symbols": rows}).encode()


class BinanceRest(Rest):
    """Answers what a cold start asks for, and keeps (time, weight)."""

    def __init__(self) -> None:
        super().__init__(takes_s=0.05)
        self.spent: list[tuple[float, int]] = []

    async def fetch(self, base: str, request: Request) -> Reply:
        self.spent.append((now_s(), request.weight))
        await super().fetch(base, request)
        if "exchangeInfo?" in request.path:
            return Reply(414)  # 500 names make a longer line than servers take
        if "exchangeInfo" in request.path:
            return Reply(200, info())
        return Reply(200, b'{"lastUpdateId":5,"bids":[["100","1"]],"asks":[["101","1"]]}')


def binance_link(link: FakeLink) -> None:
    """Acknowledges what is asked for, and lets one of its books move every half second."""
    send, loop = link.send, asyncio.get_running_loop()
    numbers: dict[str, int] = {}

    def move(names: list[str], at: int = 0) -> None:
        name = names[at % len(names)]
        first = numbers.get(name, 0) + 1
        numbers[name] = first + 8
        data = {"e": "depthUpdate", "E": 5, "s": name, "U": first, "u": first + 8, "b": [["100", "1"]], "a": []}
        link.frame(json.dumps({"stream": f"{name.lower()}@depth@100ms", "data": data}).encode())

    def go_on(names: list[str], at: int = 0) -> None:
        if link.closed is None and link.closing is None:
            move(names, at)
            loop.call_later(0.5, go_on, names, at + 1)

    def answer(payload: str | bytes) -> None:
        send(payload)
        said = json.loads(payload)
        names = [stream.partition("@")[0].upper() for stream in said["params"]]
        loop.call_soon(link.frame, json.dumps({"result": None, "id": said["id"]}).encode())
        for at in range(len(names)):
            loop.call_soon(move, names, at)
        loop.call_later(0.5, go_on, names)

    link.send = answer  # type: ignore[method-assign]


@virtual
async def test_a_cold_start_of_500_books_takes_what_its_plan_says_and_never_more_than_the_limit() -> None:
    transport, rest = Transport(), BinanceRest()
    transport.on_link, transport.answers_pings = binance_link, True
    feed = mf.Feed(
        {"binance": mf.VenueSettings(audit_s=0)},
        default_venue="binance",
        transport=transport,
        rest=rest,
        clock=LoopClock(),
        dice=lambda: 0.5,
    )
    names = [f"{coin}-USDT" for coin in COINS]
    (plan,) = feed.plan(*names, book=True)
    async with feed:
        live: list[float] = []
        stale: list[mf.Stale] = []
        feed.on(BookSnapshot, lambda event: live.append(now_s()))
        feed.on(mf.Stale, stale.append)
        start = now_s()
        feed.subscribe(*names, book=True)
        await until(lambda: len(live) == 500, 1_000, step=1.0)
        minute = 60 - 1e-6  # a timer fires up to a nanosecond early
        minutes = [sum(w for at, w in rest.spent if end - minute < at <= end) for end, _ in rest.spent]
        assert max(minutes) <= 5_000 < 6_000, "what the venue allows"
        assert (len(rest.spent), sum(w for _, w in rest.spent)) == (plan.calls, plan.weight)
        assert max(minutes) == plan.peak
        assert len(transport.links) == plan.connections == 3
        assert sum(len(link.sent) for link in transport.links) == plan.frames == 5
        assert plan.seconds <= live[-1] - start <= plan.seconds + 1
        assert feed.waiting() == {}
        assert {event.reason.rpartition(", or ")[2] for event in stale} == {"its snapshot waits for its turn"}


PLANS: list[tuple[str, int, tuple[int, int, int, float]]] = [
    ("binance", 1, (1, 1, 90, 0.0)),
    ("binance", 100, (1, 1, 5_040, 60.0)),
    ("binance", 500, (3, 5, 25_040, 300.0)),
    ("coinbase", 500, (9, 18, 1, 4.0)),
    ("kraken", 1_000, (2, 10, 2, 1.0)),
]


@pytest.mark.parametrize(("name", "count", "expected"), PLANS, ids=[f"{n}-{c}" for n, c, _ in PLANS])
def test_the_plan_of_a_cold_start(name: str, count: int, expected: tuple[int, int, int, float]) -> None:
    plan = cold_start.books(catalogue.venue(name), count)
    assert (plan.connections, plan.frames, plan.weight, plan.seconds) == expected
    assert (plan.venue, plan.streams, plan.books) == (name, count, count)
    assert plan.peak <= plan.allowed[0]


@pytest.mark.parametrize("name", [name for name in catalogue.names() if catalogue.venue(name).coins])
def test_the_plan_of_a_source_of_chains(name: str) -> None:
    venue = catalogue.venue(name)
    plan = cold_start.plan(venue, [Subscription(name, venue.coins[0], "chain")])
    assert (plan.streams, plan.books, plan.seconds) == (1, 0, 0.0)
    assert plan.connections == (0 if venue.pace.poll_s else 1)
    assert plan.calls == (1 if venue.pace.poll_s else 0)


def test_a_plan_counts_each_stream_once_and_takes_a_pace_of_ones_own() -> None:
    one = Subscription("kraken", "BTC-USD", "book")
    pace = structs.replace(catalogue.venue("kraken").pace, frames_per_s=1, symbols_per_frame=1)
    wanted = [one, one, *(Subscription("kraken", f"A{n}-USD", "trades") for n in range(4))]
    plan = cold_start.plan(catalogue.venue("kraken"), wanted, pace)
    assert (plan.streams, plan.books, plan.frames, plan.seconds) == (5, 1, 5, 5.0)


def test_a_feed_plans_each_venue_with_its_settings_and_before_it_is_entered() -> None:
    pace = structs.replace(BINANCE.pace, rest=(500, 60))
    feed = mf.Feed({"binance": mf.VenueSettings(pace=pace)})
    plans = feed.plan("binance:BTC-USDT", "binance:ETH-USDT", "kraken:BTC-USD", book=10)
    assert [(one.venue, one.streams, one.allowed) for one in plans] == [
        ("binance", 2, (500, 60)),
        ("kraken", 1, (1, 1.0)),
    ]
    with pytest.raises(mf.ConfigError, match="nothing to subscribe to"):
        feed.plan("BTC-USD")
    with pytest.raises(mf.UnknownVenue):
        feed.plan("krakn:BTC-USD", trades=True)
