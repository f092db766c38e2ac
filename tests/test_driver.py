"""One link kept up: back-off, liveness, fetches, and an end that leaves nothing behind. Time is virtual."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from marketfeed.commands import Relist
from marketfeed.driver import Driver
from marketfeed.edge import SLOW_RETRY_NS, Edge
from marketfeed.errors import TransportError
from marketfeed.events import BookDelta, BookSnapshot, Connected, Disconnected, Gap, Head, Trade
from marketfeed.outlet import Outlet
from marketfeed.pace import Backoff, Budget
from marketfeed.rest import Reply
from marketfeed.session import Session
from marketfeed.streams import Streams
from marketfeed.subscriptions import Subscription
from marketfeed.transport import GIVEN_UP
from marketfeed.transports.fake import FakeLink
from marketfeed.venues._spec import Pace

from . import toy
from .virtual import LoopClock, Rest, Transport, VirtualLoop, cancelled, now_s, settle, until, virtual

PACE = Pace(frames_per_s=50, subscriptions_per_link=100, connects=(1000, 60), rest=(1000, 1.0), silence_s=30)
BTC, ETH = "/depth?symbol=BTCUSD", "/depth?symbol=ETHUSD"
REFUSED = TransportError("the venue refused the connection")


def body(frame: Any) -> bytes:
    return json.dumps(frame).encode()


class Venue:
    """One venue as drivers see it: what they share, and all that came of it."""

    def __init__(
        self,
        *script: Exception | None,
        rule: Any = toy.REST,
        pace: Pace = PACE,
        dice: float | random.Random = 1.0,
        replies: Any = None,
        takes_s: float = 0.0,
        answers_pings: bool = True,
    ) -> None:
        self.events: list[Head] = []
        self.transport = Transport(*script, takes_s=takes_s)
        self.transport.answers_pings = answers_pings
        self.rest = Rest(replies)
        self.rule = rule
        self.venue = toy.venue(rule, pace=pace)
        self.streams: Streams[Any] = Streams(Outlet(self.events.append))
        self.delivered = 0
        self.deliveries = 0
        self.edge = Edge(
            transport=self.transport,
            rest=self.rest,
            rest_base="https://toy.example",
            budget=Budget(pace),
            clock=LoopClock(),
            dice=dice.random if isinstance(dice, random.Random) else lambda: dice,
            deliver=self._deliver,
            max_message=1000,
        )

    def _deliver(self) -> None:
        self.delivered = len(self.events)
        self.deliveries += 1

    def of(self, kind: type[Head]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


class Line:
    """One driver of a venue, running; it is also its `Maker`."""

    def __init__(self, venue: Venue, *wanted: Subscription) -> None:
        self.venue = venue
        self.wanted = list(wanted) or [toy.subscription("BTC-USD", "trades")]
        self.sessions: list[Session[Any]] = []
        self.ends: list[Session[Any]] = []
        self.failures: list[tuple[str, int, float, int]] = []
        self.to_replace: list[str] = []
        self.relists = 0
        self.driver = Driver("wss://toy.example/feed", {"X-Name": "us"}, self, venue.edge)
        self.task = asyncio.create_task(self.driver.run())

    def session(self) -> Session[Any]:
        made = self.venue.venue
        (plan,) = made.plan(made.endpoints, self.wanted, made.pace)
        known = toy.instruments("BTC-USD", "ETH-USD", "SOL-USD")
        by_turns = made.pace.frames_by_address
        self.sessions.append(Session(made, plan, self.venue.streams, known, link="toy-1", by_turns=by_turns))
        return self.sessions[-1]

    def failed(self, reason: str, status: int, retry_s: float, attempt: int) -> None:
        self.failures.append((reason, status, retry_s, attempt))

    def replace(self, reason: str) -> None:
        self.to_replace.append(reason)

    def relist(self) -> None:
        self.relists += 1

    def retry(self, delay: int) -> int:
        return delay

    def ended(self, session: Session[Any]) -> None:
        self.ends.append(session)

    async def link(self, number: int = 0) -> FakeLink:
        link = await self.venue.transport.link(number)
        await settle()
        return link

    async def stop(self) -> None:
        await cancelled(self.task)


def say(link: FakeLink, frame: Any) -> None:
    link.frame(body(frame), 1)


def asked(link: FakeLink) -> list[tuple[str, str, list[str]]]:
    frames = [json.loads(frame) for frame in link.sent]
    return [(f["do"], f["ch"], f["s"]) for f in frames]


@virtual
async def test_a_driver_connects_with_what_its_plan_says_and_subscribes() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    call = venue.transport.calls[0]
    assert call["url"] == "wss://toy.example/feed"
    assert call["headers"] == {"X-Name": "us"}
    assert call["max_message"] == 1000
    assert asked(link) == [("sub", "trades", ["BTCUSD"])]
    assert venue.of(Connected) == [venue.events[0]]
    await line.stop()
    assert link.closing == (1000, "")


@virtual
async def test_D1_delays_between_refused_attempts_double_up_to_15_s_and_never_end() -> None:
    venue = Venue(*[REFUSED] * 40)
    line = Line(venue)
    await line.link()
    assert venue.transport.waits[:8] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    assert set(venue.transport.waits[7:]) == {15}
    assert [attempt for *_, attempt in line.failures] == list(range(1, 41))
    assert line.failures[2] == ("the venue refused the connection", 0, 1.0, 3)
    await line.stop()


@virtual
async def test_D1_delays_are_jittered_over_their_whole_range() -> None:
    venue = Venue(*[REFUSED] * 300, dice=random.Random(1))
    line = Line(venue)
    await line.link()
    waits = venue.transport.waits[10:]
    assert min(waits) < 1.5
    assert max(waits) > 13.5
    assert 6.5 < sum(waits) / len(waits) < 8.5
    await line.stop()


@virtual
async def test_D1_a_venue_that_accepts_and_cuts_is_met_with_growing_delays() -> None:
    venue = Venue()
    venue.transport.on_link = lambda link: asyncio.get_running_loop().call_later(29, link.drop)
    line = Line(venue)
    await line.link(5)
    assert venue.transport.waits == [29.25, 29.5, 30, 31, 33]
    assert [d.retry_s for d in venue.of(Disconnected)] == [0.25, 0.5, 1, 2, 4]
    await line.stop()


@virtual
async def test_D1_only_30_s_of_success_begin_the_delays_anew() -> None:
    venue = Venue(*[REFUSED] * 6)
    venue.transport.on_link = lambda link: asyncio.get_running_loop().call_later(30, link.drop)
    line = Line(venue)
    await line.link(1)
    assert venue.transport.waits[-1] == 30.25
    assert venue.of(Connected)[0].attempt == 7
    assert venue.of(Connected)[1].attempt == 2
    await line.stop()


@pytest.mark.parametrize("seed", range(5))
def test_D14_a_refusing_server_sees_few_dials(seed: int) -> None:
    @virtual
    async def run() -> None:
        venue = Venue(*[REFUSED] * 10_000, dice=random.Random(seed))
        line = Line(venue)
        await asyncio.sleep(60)
        assert 4 < len(venue.transport.at) < 30
        await asyncio.sleep(3600)
        assert len(venue.transport.at) < 30 + 3600 / 5
        await line.stop()

    run()


@virtual
async def test_T22_attempts_of_all_links_keep_within_the_venue_s_quota() -> None:
    pace = Pace(frames_per_s=50, subscriptions_per_link=1, connects=(3, 10), rest=(10, 1), silence_s=30)
    venue = Venue(pace=pace, dice=0.0)
    lines = [Line(venue) for _ in range(10)]
    await until(lambda: len(venue.transport.at) == 10, 60)
    start = venue.transport.at[0]
    assert [round(at - start) for at in venue.transport.at] == [0, 0, 0, 10, 10, 10, 20, 20, 20, 30]
    for line in lines:
        await line.stop()


@pytest.mark.parametrize("status", [403, 418, 429])
def test_T14_no_attempt_before_the_time_the_venue_gave(status: int) -> None:
    @virtual
    async def run() -> None:
        venue = Venue(TransportError("sent away", status=status, retry_after_s=120))
        line = Line(venue)
        await line.link()
        assert venue.transport.waits == [130.0]  # with the dice at 1 a tenth more, at most 10 s
        assert line.failures == [("sent away", status, 130.0, 1)]
        await line.stop()

    run()


@virtual
async def test_T14_a_ban_without_a_time_means_a_minute() -> None:
    venue = Venue(TransportError("banned", status=418), dice=0.0)
    line = Line(venue)
    await line.link()
    assert venue.transport.waits == [60.0]
    await line.stop()


@virtual
async def test_T14_a_retry_after_of_any_status_is_kept() -> None:
    venue = Venue(TransportError("down for maintenance", status=503, retry_after_s=30), dice=0.0)
    line = Line(venue)
    await line.link()
    assert venue.transport.waits == [30.0]
    await line.stop()


@virtual
async def test_T14_a_ban_of_one_link_holds_all_links_of_the_venue_and_their_fetches() -> None:
    venue = Venue(dice=0.0, replies={BTC: body(toy.rest_snap(1))})
    first = Line(venue, toy.subscription())
    link = await first.link()
    venue.transport.script.append(TransportError("banned", status=429, retry_after_s=100))
    start = now_s()
    second = Line(venue)
    await settle()
    third = Line(venue)
    say(link, toy.delta(1, 2))
    await settle()
    assert venue.rest.at == []
    await until(lambda: len(venue.transport.links) == 3, 200)
    assert [round(at - start) for at in venue.transport.at[1:]] == [0, 100, 100]
    assert [round(at - start) for at in venue.rest.at] == [100]
    for line in (first, second, third):
        await line.stop()


@virtual
async def test_T14_an_attempt_that_already_waits_its_turn_heeds_a_ban_that_comes_meanwhile() -> None:
    pace = Pace(frames_per_s=50, subscriptions_per_link=9, connects=(1, 5), rest=(1, 5), silence_s=300)
    replies = {BTC: [Reply(429, retry_after_s=100), body(toy.rest_snap(1))], ETH: body(toy.rest_snap(1))}
    venue = Venue(pace=pace, dice=0.0, replies=replies)
    line = Line(venue, toy.subscription("BTC-USD"), toy.subscription("ETH-USD"))
    link = await line.link()
    start = now_s()
    other = Line(venue)  # its turn is in 5 s
    await settle()
    say(link, toy.delta(1, 2, "BTCUSD"))
    say(link, toy.delta(1, 2, "ETHUSD"))  # its turn is in 5 s
    await until(lambda: len(venue.transport.at) == 2 and len(venue.rest.at) >= 2, 300)
    assert venue.transport.at[1] - start > 99.9
    assert venue.rest.at[1] - start > 99.9
    await other.stop()
    await line.stop()


@virtual
async def test_T14_a_fetch_sent_away_keeps_new_links_away_too() -> None:
    venue = Venue(dice=0.0, replies={BTC: Reply(429, retry_after_s=50)})
    line = Line(venue, toy.subscription())
    link = await line.link()
    say(link, toy.delta(1, 2))
    await until(lambda: venue.rest.at)
    start = now_s()
    link.drop()
    await line.link(1)
    assert venue.transport.at[1] - start == pytest.approx(50, abs=0.1)
    await line.stop()


@virtual
async def test_T09_T15_what_only_new_settings_can_mend_is_tried_once_more_and_then_once_a_minute() -> None:
    fatal = TransportError("TLS: the certificate is refused", fatal=True)
    venue = Venue(fatal, fatal, TransportError("404", status=404, fatal=True))
    line = Line(venue)
    await line.link()
    assert [retry_s for _, _, retry_s, _ in line.failures] == venue.transport.waits
    first, *others = venue.transport.waits
    assert first <= Backoff.FIRST_S
    assert others == [60.0, 60.0]
    assert SLOW_RETRY_NS == 60 * 10**9
    await line.stop()


@virtual
@pytest.mark.parametrize("between", [None, TransportError("in trouble", status=503)], ids=["stood", "passing failure"])
async def test_T15_T20_an_answer_spoiled_once_is_no_server_that_never_answers_well(
    between: TransportError | None,
) -> None:
    spoiled = TransportError("no WebSocket server we can talk to", fatal=True)
    venue = Venue(spoiled, between, spoiled, None)
    line = Line(venue)
    if between is None:
        (await line.link()).drop()
    await line.link(1 if between is None else 0)
    assert max(venue.transport.waits) < Backoff.CAP_S
    await line.stop()


@virtual
async def test_T03_silence_is_answered_by_a_ping_then_a_close_then_a_new_link() -> None:
    venue = Venue(answers_pings=False)
    line = Line(venue)
    link = await line.link()
    start = now_s()
    await until(lambda: link.pings, 20)
    assert 9.99 < now_s() - start < 11.1
    await until(lambda: link.closing, 20)
    assert link.closing == (GIVEN_UP, "no pong in 5 s")
    assert 14.99 < now_s() - start < 16.2
    await line.link(1)
    lives = [e for e in venue.events if isinstance(e, Connected | Disconnected)]
    assert [type(e).__name__ for e in lives] == ["Connected", "Disconnected", "Connected"]
    await line.stop()


@virtual
async def test_T03_a_dead_link_is_left_without_waiting_for_its_answer_to_the_close() -> None:
    venue = Venue(answers_pings=False)
    line = Line(venue)
    link = await line.link()
    link.answers_close = False
    await until(lambda: link.closing, 20)
    left = now_s()
    await line.link(1)
    assert now_s() - left < 1.0
    assert venue.of(Disconnected)[0].reason == "no pong in 5 s"
    await line.stop()


@virtual
async def test_D2_the_watchdog_runs_though_no_first_message_ever_came() -> None:
    venue = Venue(dice=0.0, answers_pings=False)
    line = Line(venue)
    for number in range(5):
        link = await line.link(number)
        await until(lambda link=link: link.closing, 40)
    assert len(venue.transport.at) >= 5
    await line.stop()


@virtual
async def test_T04_a_lively_link_that_falls_silent_while_pongs_come_is_replaced() -> None:
    venue = Venue(rule=toy.STREAM)
    line = Line(venue, toy.subscription())
    link = await line.link()
    say(link, {"c": "talk", "what": "ack", "ch": "book", "s": "BTCUSD"})
    say(link, toy.snap(1))
    for number in range(2, 300):
        say(link, toy.delta(number, number))
        await asyncio.sleep(1)
    assert link.closing is None
    await until(lambda: len(venue.transport.links) > 1, 25)
    assert link.closing is not None
    await settle()
    assert [type(e).__name__ for e in venue.events[-4:]] == ["Disconnected", "Gap", "BookVoid", "Connected"]
    await line.stop()


@virtual
async def test_T05_a_quiet_link_that_pongs_is_left_alone() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    for number in range(60):
        await asyncio.sleep(10)
        say(link, toy.trade(number + 1))
    await asyncio.sleep(3600)
    assert link.closing is None
    await line.stop()


@virtual
async def test_pings_go_out_only_while_the_link_is_idle() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    for number in range(60):
        await asyncio.sleep(1)
        say(link, toy.trade(number + 1))
    assert link.pings == 0
    await asyncio.sleep(15)
    assert 1 <= link.pings <= 2
    assert len(venue.of(Trade)) == 60
    await line.stop()


@virtual
async def test_U26_after_a_reconnect_all_is_subscribed_again_at_the_venue_s_pace() -> None:
    pace = Pace(
        frames_per_s=2, subscriptions_per_link=100, symbols_per_frame=1, connects=(99, 1), rest=(9, 1), silence_s=30
    )
    venue = Venue(pace=pace)
    wanted = [toy.subscription(s, "trades") for s in ("BTC-USD", "ETH-USD", "SOL-USD")]
    line = Line(venue, *wanted, toy.subscription("BTC-USD", "ticker"), toy.subscription("ETH-USD", "ticker"))
    (await line.link()).drop()
    link = await line.link(1)
    start = now_s()
    seen: dict[float, int] = {}
    while len(link.sent) < 5:
        seen[round(now_s() - start)] = len(link.sent)
        await asyncio.sleep(0.25)
        assert now_s() < start + 10
    assert seen[0] == 2
    assert seen[1] <= 4
    assert sorted(s for _, _, (s,) in asked(link)) == ["BTCUSD", "BTCUSD", "ETHUSD", "ETHUSD", "SOLUSD"]
    await line.stop()


@virtual
async def test_D3_a_slow_snapshot_delays_no_other_frame() -> None:
    venue = Venue(replies={BTC: body(toy.rest_snap(1)), ETH: body(toy.rest_snap(1))})
    line = Line(venue, toy.subscription("BTC-USD"), toy.subscription("ETH-USD"), toy.subscription("ETH-USD", "trades"))
    link = await line.link()
    say(link, toy.delta(1, 2, "ETHUSD"))
    await until(lambda: venue.of(BookSnapshot))
    venue.rest.takes_s = 10
    say(link, toy.delta(1, 2, "BTCUSD"))
    for number in range(1, 10):
        await asyncio.sleep(1)
        before = len(venue.events)
        say(link, toy.trade(number, "ETHUSD"))
        say(link, toy.delta(2 + number, 2 + number, "ETHUSD"))
        assert [type(e) for e in venue.events[before:]] == [Trade, BookDelta]
        assert venue.delivered == len(venue.events)
    assert {e.symbol for e in venue.of(BookSnapshot)} == {"ETH-USD"}
    await until(lambda: len(venue.of(BookSnapshot)) == 2)
    await line.stop()


@virtual
async def test_P20_a_fetch_that_fails_is_made_again_until_it_succeeds() -> None:
    bad = [TransportError("no answer"), Reply(503), b"{", TransportError("no answer")] * 3
    venue = Venue(replies={BTC: [*bad, body(toy.rest_snap(1))]})
    line = Line(venue, toy.subscription())
    link = await line.link()
    say(link, toy.delta(1, 2))
    await until(lambda: venue.of(BookSnapshot), 400)
    waits = [b - a for a, b in zip(venue.rest.at, venue.rest.at[1:], strict=False)]
    assert len(venue.rest.at) == 13
    assert max(waits) <= 30.5
    assert waits == sorted(waits)
    assert len(venue.transport.links) == 1
    await line.stop()


@virtual
async def test_P20_the_venue_s_own_count_of_weight_slows_fetches_down() -> None:
    pace = Pace(frames_per_s=50, subscriptions_per_link=9, connects=(99, 1), rest=(100, 60), silence_s=300)
    venue = Venue(pace=pace, replies={BTC: Reply(200, body(toy.rest_snap(1)), used_weight=100)})
    line = Line(venue, toy.subscription("BTC-USD"), toy.subscription("ETH-USD"))
    link = await line.link()
    say(link, toy.delta(1, 2, "BTCUSD"))
    await until(lambda: venue.of(BookSnapshot))
    say(link, toy.delta(1, 2, "ETHUSD"))
    await until(lambda: len(venue.rest.at) == 2, 100)
    assert venue.rest.at[1] - venue.rest.at[0] > 50
    await line.stop()


@virtual
async def test_I8_a_call_that_nobody_waits_for_any_more_is_not_made_and_leaves_its_turn_to_others() -> None:
    pace = Pace(frames_per_s=50, subscriptions_per_link=9, connects=(99, 1), rest=(1, 10), silence_s=300)
    replies = {path: body(toy.rest_snap(1)) for path in (BTC, ETH, "/depth?symbol=SOLUSD")}
    venue = Venue(pace=pace, replies=replies)
    line = Line(venue, *(toy.subscription(symbol) for symbol in ("BTC-USD", "ETH-USD", "SOL-USD")))
    link = await line.link()
    start = now_s()
    for name in ("BTCUSD", "ETHUSD"):  # their turns are now and in 10 s
        say(link, toy.delta(1, 2, name))
    await asyncio.sleep(1)
    line.driver.change([], [toy.subscription("ETH-USD")])
    await asyncio.sleep(6)  # for the unsubscribe no answer comes
    say(link, toy.delta(1, 2, "SOLUSD"))
    await asyncio.sleep(30)
    assert [round(at - start) for at in venue.rest.at] == [0, 10]
    assert {event.symbol for event in venue.of(BookSnapshot)} == {"BTC-USD", "SOL-USD"}
    await line.stop()


@virtual
async def test_I5_calls_that_were_given_up_do_not_gather_while_the_venue_has_sent_us_away() -> None:
    venue = Venue(replies={BTC: body(toy.rest_snap(1))})
    line = Line(venue, toy.subscription())
    link = await line.link()
    venue.edge.budget.retry_after(7200, venue.edge.clock.mono_ns(), 0.0)
    for _ in range(100):
        say(link, toy.delta(1, 2))
        await asyncio.sleep(1)
        line.driver.change([], [toy.subscription()])
        await asyncio.sleep(6)
        line.driver.change([toy.subscription()], [])
    assert len(asyncio.all_tasks()) <= 3  # this test, the driver and one call
    assert venue.edge.budget.spent(venue.edge.clock.mono_ns())["rest"].waiting <= 1
    await line.stop()


@virtual
async def test_an_answer_that_comes_after_its_link_has_gone_is_nobody_s() -> None:
    venue = Venue(replies={BTC: body(toy.rest_snap(1))})
    venue.rest.takes_s = 5
    line = Line(venue, toy.subscription())
    link = await line.link()
    say(link, toy.delta(1, 2))
    await asyncio.sleep(1)
    link.drop()
    await line.link(1)
    await asyncio.sleep(8)
    assert venue.of(BookSnapshot) == []
    await line.stop()


@virtual
async def test_D8_a_hundred_reconnects_leave_one_link_one_timer_and_no_task() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    venue = Venue(dice=0.01, replies={BTC: body(toy.rest_snap(1))})
    line = Line(venue, toy.subscription(), toy.subscription("BTC-USD", "trades"))
    for number in range(100):
        link = await line.link(number)
        say(link, toy.delta(1, 2))
        say(link, toy.trade(number + 1))
        if number % 2:
            await settle()
        link.drop()
        await settle()
    link = await line.link(100)
    await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == 2  # the driver and this test
    assert len(loop.timers()) == 1
    assert len(line.ends) == 100
    assert [one.closed is None for one in venue.transport.links] == [False] * 100 + [True]
    await asyncio.sleep(12)
    assert sum(one.pings for one in venue.transport.links) == link.pings == 1
    await line.stop()


@virtual
async def test_a_venue_that_closes_is_told_with_its_code_and_what_it_cost() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    say(link, toy.trade(1))
    link.drop(1012, "service restart")
    await line.link(1)
    kinds = [type(event).__name__ for event in venue.events]
    assert kinds == ["Connected", "Trade", "Disconnected", "Gap", "Connected"]
    gone = venue.of(Disconnected)[0]
    assert (gone.code, gone.reason, gone.retry_s, gone.attempt) == (1012, "service restart", 0.25, 1)
    assert venue.of(Gap)[0].cause == "link lost"
    await line.stop()


@virtual
async def test_T16_a_session_that_is_to_be_replaced_says_so_to_its_maker_and_goes_on() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    say(link, {"c": "talk", "what": "restart", "text": "the venue is about to go"})
    assert line.to_replace == ["the venue is about to go"]
    assert link.closing is None
    line.driver.parting = "replaced by another"
    await line.stop()
    (gone,) = venue.of(Disconnected)
    assert (gone.code, gone.reason, gone.retry_s) == (1000, "replaced by another", 0)


@virtual
async def test_P29_a_session_that_doubts_its_markets_says_so_to_its_maker_and_hears_of_changes() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    line.sessions[0].commands.append(Relist())
    say(link, toy.trade(1))
    await asyncio.sleep(1.1)
    assert (line.relists, link.closing) == (1, None)
    line.driver.relisted("BTC-USD")
    assert line.sessions[0].commands == []
    await line.stop()
    line.driver.relisted("BTC-USD")  # of a link that is gone, nothing


@virtual
async def test_what_one_read_brought_is_handed_on_at_once() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    before = venue.deliveries
    line.driver.on_frames([body(toy.trade(1)), b"{", body(toy.trade(2))], 7)
    assert [(event.id, event.ts_recv) for event in venue.of(Trade)] == [("1", 7), ("2", 7)]
    assert line.sessions[0].counts.frames == 3
    assert line.sessions[0].counts.malformed == 1
    assert venue.deliveries == before + 1
    assert link.closing is None
    await line.stop()


@virtual
async def test_frames_and_pongs_after_a_close_have_no_effect() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    link.answers_close = False
    line.driver.restart("asked by hand")
    assert link.closing == (1000, "asked by hand")
    before = len(venue.events)
    link.drop()
    await settle()
    line.driver.on_frames([body(toy.trade(1))], 1)
    line.driver.on_pong()
    line.driver.on_closed(1000, "again")
    line.driver.restart("nobody is there")
    assert venue.of(Trade) == []
    assert len(venue.events) == before + 1
    assert line.sessions[0].counts.frames == 0
    await line.stop()


@virtual
async def test_what_is_wanted_can_change_while_the_link_stands() -> None:
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    say(link, {"c": "talk", "what": "ack", "ch": "trades", "s": "BTCUSD"})
    line.driver.change([toy.subscription("ETH-USD", "trades")], [toy.subscription("BTC-USD", "trades")])
    await asyncio.sleep(1)
    assert sorted(asked(link)) == [
        ("sub", "trades", ["BTCUSD"]),
        ("sub", "trades", ["ETHUSD"]),
        ("unsub", "trades", ["BTCUSD"]),
    ]
    await line.stop()


@virtual
async def test_what_is_wanted_while_the_link_is_being_made_is_subscribed_when_it_stands() -> None:
    venue = Venue(takes_s=2)
    line = Line(venue)
    await asyncio.sleep(1)
    added = toy.subscription("ETH-USD", "trades")
    line.wanted.append(added)
    line.driver.change([added], ())
    link = await line.link()
    await asyncio.sleep(1)
    assert asked(link) == [("sub", "trades", ["BTCUSD", "ETHUSD"])]
    await line.stop()


@virtual
async def test_a_fault_of_ours_in_a_frame_a_fetch_or_a_timer_comes_out_of_run() -> None:
    for break_it in (break_fetch, break_timer, break_open):
        venue = Venue(replies={BTC: body(toy.rest_snap(1))})
        if break_it is break_open:
            venue.venue = toy.venue(decoder=BrokenDecoder, pace=PACE)
        line = Line(venue, toy.subscription())
        if break_it is not break_open:
            break_it(line, await line.link())
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(line.task, 5)
        assert venue.transport.links[0].closed is not None


class BrokenDecoder(toy.Decoder):
    def subscribe(self, add: Any) -> list[str]:
        raise ZeroDivisionError


def broken(*args: Any, **kwargs: Any) -> Any:
    raise ZeroDivisionError


def break_fetch(line: Line, link: FakeLink) -> None:
    line.sessions[0].on_reply = broken  # type: ignore[method-assign]
    say(link, toy.delta(1, 2))


def break_timer(line: Line, link: FakeLink) -> None:
    line.sessions[0].on_tick = broken  # type: ignore[method-assign]


def break_open(line: Line, link: FakeLink) -> None: ...


@virtual
async def test_a_maker_that_fails_leaves_no_link_open() -> None:
    venue = Venue()
    line = Line(venue)
    line.session = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(line.task, 5)
    assert all(link.closed for link in venue.transport.links)


@virtual
async def test_C05_a_loop_that_was_blocked_hears_what_waits_before_it_judges_silence() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    venue = Venue()
    line = Line(venue)
    link = await line.link()
    await asyncio.sleep(1)
    loop.now += 40  # the whole loop stood still; frames wait in the kernel
    asyncio.get_running_loop().call_soon(say, link, toy.trade(1))
    await asyncio.sleep(2)
    assert link.closing is None
    assert len(venue.of(Trade)) == 1
    await line.stop()


def scenarios() -> Iterator[tuple[str, Venue]]:
    replies = {BTC: body(toy.rest_snap(1))}
    yield "talk", Venue(dice=0.1, replies=replies)
    yield "refused", Venue(REFUSED, REFUSED, dice=0.1, replies=replies)
    yield "banned", Venue(TransportError("429", status=429, retry_after_s=1), dice=0.1, replies=replies)
    yield "slow", Venue(dice=0.1, replies=replies, takes_s=0.5)


def play(link: FakeLink, number: int) -> None:
    """What the venue says on a new link, and its end."""
    loop = asyncio.get_running_loop()
    loop.call_later(0.1, say, link, toy.delta(1, 2))
    loop.call_later(0.2, say, link, toy.trade(number))
    loop.call_later(0.3, link.drop)


@pytest.mark.parametrize("name", [name for name, _ in scenarios()])
def test_C03_cancelled_at_any_turn_of_the_loop_a_driver_closes_its_link_and_leaves_nothing(name: str) -> None:
    async def run(turn: int) -> bool:
        """Cancel at one turn of the loop; whether the story was still going on."""
        venue = dict(scenarios())[name]
        venue.rest.takes_s = 0.05
        venue.transport.on_link = lambda link: play(link, len(venue.transport.links))
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        line = Line(venue, toy.subscription(), toy.subscription("BTC-USD", "trades"))
        loop.at_turn[loop.turns + turn] = line.task.cancel
        while not line.task.done():
            await asyncio.sleep(0.01)
            if len(venue.transport.links) == 3:
                await line.stop()
                return False
        assert line.task.cancelled()
        assert all(link.closing or link.closed for link in venue.transport.links)
        assert len(line.ends) == len(venue.transport.links)
        assert len(venue.of(Connected)) == len(venue.of(Disconnected))
        await asyncio.sleep(1)  # what the scene itself had planned
        assert len(venue.of(Connected)) == len(venue.of(Disconnected))
        return True

    turn = 1
    while True:
        going_on: list[bool] = []

        @virtual
        async def one(turn: int = turn, told: list[bool] = going_on) -> None:
            told.append(await run(turn))

        one()
        if not going_on[0]:
            break
        turn += 1
    assert turn > 40
