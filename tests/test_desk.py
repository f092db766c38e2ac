"""The subscription desk: whatever a venue acknowledges, refuses, ignores or forgets, it ends with what is wanted."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from marketfeed.desk import RETRY_S, Desk, Entry
from marketfeed.events import Head, Recovered, Refused, Stale, Subscribed
from marketfeed.outlet import Outlet
from marketfeed.pace import SECOND
from marketfeed.streams import Streams
from marketfeed.subscriptions import Channel, Subscription

from .toy import PACE, Decoder, subscription

BTC: tuple[Channel, str] = ("book", "BTC")
TRADES: tuple[Channel, str] = ("trades", "BTC")
QUARTER = SECOND // 4


class Rig:
    """A desk, what it sent, and what was told."""

    def __init__(
        self, *, by_turns: bool = False, idle: Callable[[Entry], bool] = lambda entry: False, **pace: Any
    ) -> None:
        self.told: list[Head] = []
        self.sent: list[dict[str, Any]] = []
        self.gone: list[str] = []
        self.stuck: list[str] = []
        self.now = SECOND
        self.streams: Streams[Any] = Streams(Outlet(self.told.append))
        decoder = object.__new__(Decoder)  # it builds frames and hears nothing
        self.desk = Desk(
            decoder,
            structs.replace(PACE, **pace),
            frozenset({"book"}),
            lambda frame: self.sent.append(json.loads(frame)),
            lambda entry: self.gone.append(entry.subscription.name),
            self.stuck.append,
            by_turns=by_turns,
            idle=idle,
        )

    def add(self, *keys: tuple[Channel, str], depth: int = 0) -> "Rig":
        made = []
        for channel, native in keys:
            wanted = subscription(f"{native}-USD", channel, depth)
            made.append(Entry(wanted, native, self.streams.get(wanted)))
        self.desk.add(made)
        return self

    def drop(self, *keys: tuple[Channel, str]) -> "Rig":
        self.desk.drop(keys, self.now)
        return self

    def data(self, key: tuple[Channel, str]) -> "Rig":
        self.desk.entries[key].stream.events += 1
        return self

    def ack(self, key: tuple[Channel, str]) -> "Rig":
        self.desk.accepted(key, 0)
        return self

    def tick(self, seconds: float = 0.25) -> "Rig":
        for _ in range(max(1, round(seconds * 4))):
            self.now += QUARTER
            self.desk.tick(self.now, self.now)
        return self

    def state(self, key: tuple[Channel, str] = BTC) -> str | None:
        entry = self.desk.entries.get(key)
        return entry.state if entry else None

    def said(self) -> list[str]:
        """What was sent since the last time, in short."""
        short = [f"{frame['do']} {frame['ch']} {' '.join(frame['s'])}" for frame in self.sent]
        self.sent.clear()
        return short


def test_a_stream_is_asked_for_acknowledged_and_flows() -> None:
    rig = Rig().add(BTC)
    assert rig.desk.busy
    assert (rig.state(), rig.tick().said(), rig.state()) == ("queued", ["sub book BTC"], "asked")
    assert rig.ack(BTC).state() == "acked"
    assert rig.told == [
        Subscribed(venue="toy", symbol="BTC-USD", seq_local=1, channel="book"),
    ]
    assert rig.data(BTC).tick().state() == "flowing"
    assert not rig.desk.busy
    assert rig.desk.tick(rig.now, rig.now) is None
    assert rig.tick(600).said() == []
    assert repr(rig.desk.entries[BTC]) == "<toy:BTC-USD:book flowing>"


def test_data_may_come_before_its_ack() -> None:
    rig = Rig().add(BTC).tick().data(BTC).tick()
    assert rig.state() == "flowing"
    rig.ack(BTC).ack(BTC)
    assert [type(e) for e in rig.told] == [Subscribed]


def test_T04_a_muted_stream_is_told_once_and_asked_for_anew() -> None:
    rig = Rig().add(TRADES).tick().ack(TRADES).data(TRADES).tick()
    rig.said()
    for _ in range(2):
        rig.desk.mute(TRADES, "silent for 9 s", rig.now)
    assert rig.tick().said() == ["unsub trades BTC"]
    rig.desk.dropped(TRADES)
    assert rig.tick().said() == ["sub trades BTC"]
    rig.ack(TRADES).tick(20)
    assert rig.state(TRADES) == "acked", "it may be quiet: its ack is all there is"
    rig.data(TRADES).tick()
    assert [type(e) for e in rig.told] == [Subscribed, Stale, Subscribed, Recovered]
    assert isinstance(rig.told[1], Stale)
    assert rig.told[1].reason == "silent for 9 s; it is asked for again"
    assert rig.stuck == []


def test_T04_a_muted_stream_that_no_asking_brings_back_is_stuck() -> None:
    rig = Rig().add(TRADES).tick().ack(TRADES).data(TRADES).tick()
    rig.desk.mute(TRADES, "silent for 9 s", rig.now)
    rig.tick().desk.dropped(TRADES)
    rig.tick(20)
    assert rig.stuck[0] == "toy:BTC-USD:trades fell silent, and did not come back after 3 tries"


def test_P28_no_ack_is_asked_again_three_times_then_slowly_and_said_once() -> None:
    rig = Rig().add(TRADES)
    asked_at = []
    for _ in range(600):
        rig.tick()
        if rig.said():
            asked_at.append(round((rig.now - SECOND) / SECOND))
    waits = [b - a for a, b in pairwise(asked_at)]
    assert waits[:2] == [5, 5]
    assert set(waits[2:]) <= {35, 36}
    assert rig.told == [
        Stale(
            venue="toy",
            symbol="BTC-USD",
            ts_recv=rig.told[0].ts_recv,
            seq_local=1,
            channel="trades",
            reason="no acknowledgement after 3 tries",
        )
    ]
    rig.tick(40).ack(TRADES)
    rig.data(TRADES).tick()
    assert [type(e) for e in rig.told] == [Stale, Subscribed, Recovered]
    assert rig.state(TRADES) == "flowing"


def test_P28_acknowledged_without_its_snapshot_is_unsubscribed_first_and_asked_again() -> None:
    """A venue that serves a stream already answers "already subscribed", and sends no snapshot."""
    rig = Rig().add(BTC).tick().ack(BTC)
    rig.said()
    rig.tick(10.75)
    assert (rig.said(), rig.state()) == (["unsub book BTC"], "dropping")
    rig.desk.dropped(BTC)
    assert rig.tick().said() == ["sub book BTC"]


def test_P28_a_snapshot_that_never_comes_is_asked_for_slowly_and_said_once() -> None:
    rig = Rig().add(BTC)
    asked = 0
    for _ in range(4 * 300):
        for said in rig.tick().said():
            if said.startswith("sub"):
                asked += 1
                rig.ack(BTC)
            else:
                rig.desk.dropped(BTC)
    assert 8 <= asked <= 12
    stale = [e for e in rig.told if isinstance(e, Stale)]
    assert [e.reason for e in stale] == ["acknowledged, but no data after 3 tries"]


def asked_again(rig: Rig, seconds: int) -> list[int]:
    """Seconds between two times that trades are asked for again, of which nothing comes but acknowledgements."""
    waits, quarters = [], 0
    for _ in range(4 * seconds):
        quarters += 1
        if "unsub trades BTC" in rig.tick().said():
            waits.append(quarters // 4)
            quarters = 0
            rig.desk.dropped(TRADES)
            rig.tick().ack(TRADES)
    return waits


def test_T05_a_quiet_market_is_said_once_and_not_asked_for_again() -> None:
    rig = Rig().add(TRADES).tick().ack(TRADES)
    assert asked_again(rig, 6 * 60) == []
    assert [type(e) for e in rig.told] == [Subscribed, Stale]
    rig.data(TRADES).tick()
    assert [type(e) for e in rig.told] == [Subscribed, Stale, Recovered]


def test_T05_what_is_idle_is_asked_for_again_ever_more_seldom() -> None:
    rig = Rig(idle=lambda entry: True).add(TRADES).tick().ack(TRADES)
    assert asked_again(rig, 6 * 3600) == [30, 60, 120, 240, 480, 960, 1920, 3840, 3840, 3840, 3840]
    assert sum(isinstance(e, Stale) for e in rig.told) == 1


def test_P27_a_refusal_is_told_and_final_on_this_connection() -> None:
    rig = Rig().add(BTC, TRADES).tick()
    rig.desk.refused(BTC, "no such market", 5)
    rig.desk.refused(BTC, "no such market", 6)
    assert rig.told == [
        Refused(venue="toy", symbol="BTC-USD", ts_recv=5, seq_local=1, channel="book", reason="no such market")
    ]
    assert (rig.state(), rig.state(TRADES)) == ("refused", "asked")
    rig.said()
    rig.add(BTC).tick(4)
    assert rig.said() == []
    assert rig.desk.refusals() == {"toy:BTC-USD:book": "no such market"}
    rig.drop(BTC)
    assert (rig.state(), rig.gone, rig.said()) == (None, ["toy:BTC-USD:book"], [])


def test_P27_what_stood_in_a_refused_frame_is_asked_for_alone() -> None:
    rig = Rig().add(("book", "A"), ("book", "BAD"), ("book", "C")).tick()
    assert rig.said() == ["sub book A BAD C"]
    rig.desk.refused(("book", "BAD"), "no such market", 0)
    rig.desk.unsettled(("book", "A"))
    rig.desk.unsettled(("book", "C"))
    rig.desk.unsettled(("book", "BAD"))
    rig.desk.unsettled(("book", "nobody's"))
    assert rig.tick().said() == ["sub book A", "sub book C"]
    assert [rig.state(("book", n)) for n in ("A", "BAD", "C")] == ["asked", "refused", "asked"]


def test_answers_about_what_nobody_asked_change_nothing() -> None:
    rig = Rig().add(BTC)
    for key in (BTC, ("ticker", "XXX")):
        rig.desk.accepted(key, 0)  # type: ignore[arg-type]
        rig.desk.refused(key, "no", 0)  # type: ignore[arg-type]
        assert not rig.desk.dropped(key)  # type: ignore[arg-type]
        assert not rig.desk.renew(key)  # type: ignore[arg-type]
    rig.drop(("ticker", "XXX"))
    assert (rig.state(), rig.told) == ("queued", [])


def test_an_unsubscribe_is_awaited_and_then_forgotten() -> None:
    rig = Rig().add(BTC).tick().ack(BTC)
    rig.said()
    rig.drop(BTC).drop(BTC).tick()
    assert (rig.said(), rig.state(), rig.gone) == (["unsub book BTC"], "dropping", [])
    assert not rig.desk.dropped(BTC)
    assert (rig.state(), rig.gone) == (None, ["toy:BTC-USD:book"])


def test_an_unsubscribe_without_an_ack_is_forgotten_after_5_s() -> None:
    rig = Rig().add(BTC).tick().drop(BTC).tick(5)
    assert rig.state() == "dropping"
    assert rig.tick(0.5).state() is None


@pytest.mark.parametrize("answered", [True, False])
def test_asked_again_while_leaving_waits_for_the_unsubscribe(answered: bool) -> None:
    rig = Rig().add(BTC).tick().ack(BTC).data(BTC).tick()
    rig.drop(BTC).tick().add(BTC).tick()
    assert rig.said() == ["sub book BTC", "unsub book BTC"]
    if answered:
        rig.desk.dropped(BTC)
        rig.tick()
    else:
        rig.tick(5.5)
    assert (rig.said(), rig.gone) == (["sub book BTC"], [])


def test_asked_again_while_leaving_with_another_depth_gets_that_depth() -> None:
    rig = Rig().add(BTC, depth=10).tick().ack(BTC).drop(BTC).tick()
    rig.add(BTC, depth=100)
    rig.desk.dropped(BTC)
    rig.tick()
    assert [(f["do"], f["depth"]) for f in rig.sent] == [("sub", 10), ("unsub", 10), ("sub", 100)]


def test_asked_again_and_dropped_again_is_dropped() -> None:
    rig = Rig().add(BTC).tick().ack(BTC).drop(BTC).add(BTC).drop(BTC).tick()
    rig.desk.dropped(BTC)
    assert rig.state() is None


def test_what_was_never_sent_is_dropped_without_a_word() -> None:
    rig = Rig().add(BTC).drop(BTC).tick()
    assert (rig.said(), rig.gone) == ([], ["toy:BTC-USD:book"])


def test_what_was_asked_in_vain_is_unsubscribed_too() -> None:
    """The venue may have heard, and be late with its ack."""
    rig = Rig().add(BTC).tick(16)
    assert (rig.state(), rig.said()) == ("queued", ["sub book BTC"] * 3)
    assert rig.drop(BTC).tick().said() == ["unsub book BTC"]


def test_P23_a_new_snapshot_is_an_unsubscribe_its_ack_and_a_subscribe() -> None:
    rig = Rig().add(BTC).tick().ack(BTC).data(BTC).tick()
    rig.said()
    assert rig.desk.renew(BTC)
    assert not rig.desk.renew(BTC), "it is under way"
    assert not rig.desk.dropped(BTC), "an ack of an unsubscribe that has not gone out is of another"
    assert rig.state() == "dropping"
    assert rig.tick().said() == ["unsub book BTC"]
    rig.desk.dropped(BTC)
    assert rig.tick().said() == ["sub book BTC"]
    assert rig.ack(BTC).tick().state() == "acked", "data from before proves nothing"


def test_what_a_venue_ends_by_itself_is_asked_for_again() -> None:
    rig = Rig().add(BTC).tick().ack(BTC).data(BTC).tick()
    rig.said()
    assert rig.desk.dropped(BTC)
    assert rig.tick().said() == ["sub book BTC"]


def test_frames_hold_no_more_than_the_venue_takes_and_one_channel_each() -> None:
    rig = Rig(symbols_per_frame=2)
    names: list[tuple[Channel, str]] = [(c, n) for n in ("A", "B", "C") for c in ("trades", "book")]
    assert rig.add(*names).tick().said() == ["sub trades A B", "sub trades C", "sub book A B", "sub book C"]


def test_frames_go_out_at_the_venues_pace() -> None:
    rig = Rig(symbols_per_frame=1, frames_per_s=2)
    rig.add(*[("trades", f"S{i}") for i in range(6)])
    sent = []
    for _ in range(12):
        sent.append(len(rig.tick().said()))
    assert [sum(sent[i : i + 4]) for i in (0, 4, 8)] == [2, 2, 2]


def test_T22_frames_that_go_by_turns_wait_for_them_and_their_answers_are_awaited_from_then_on() -> None:
    rig = Rig(by_turns=True, symbols_per_frame=1).add(("trades", "A"), ("trades", "B"))
    assert rig.tick(60).said() == []
    assert (rig.desk.waits, rig.desk.begun) == (True, False)
    rig.desk.take_turn(rig.now)
    assert rig.said() == ["sub trades A"]
    assert (rig.desk.waits, rig.desk.begun) == (True, True)
    rig.desk.take_turn(rig.now)
    assert rig.said() == ["sub trades B"]
    assert not rig.tick(4.75).desk.waits
    assert rig.tick(0.25).desk.waits, "no acknowledgement came in 5 s"


def test_the_end_of_an_unsubscribe_is_awaited_from_when_it_went_out() -> None:
    rig = Rig(by_turns=True).add(TRADES).tick()
    rig.desk.take_turn(rig.now)
    rig.ack(TRADES).drop(TRADES).tick(60)
    assert rig.state(TRADES) == "dropping"
    rig.desk.take_turn(rig.now)
    assert rig.said() == ["sub trades BTC", "unsub trades BTC"]
    assert rig.tick(4.75).state(TRADES) == "dropping"
    assert rig.tick(0.25).state(TRADES) is None


def test_the_desk_says_when_it_wants_to_be_called_next() -> None:
    rig = Rig(symbols_per_frame=1, frames_per_s=1).add(("trades", "A"), ("trades", "B"))
    assert rig.desk.tick(SECOND, 0) == 2 * SECOND
    assert rig.desk.tick(2 * SECOND, 0) == 2 * SECOND + QUARTER


class OneFrameEach(Decoder):
    """One whose venue takes one market a frame."""

    def subscribe(self, add: Any) -> list[str]:
        return [self._frame("sub", [one]) for one in add]


def slow(markets: int) -> Rig:
    """A desk with many frames of one batch to send, one a second."""
    rig = Rig(frames_per_s=1)
    rig.desk._decoder = object.__new__(OneFrameEach)
    return rig.add(*[("book", f"M{i:02}") for i in range(markets)])


@pytest.mark.parametrize("quarters", range(4))
def test_a_renewal_goes_out_though_older_frames_of_its_batch_are_still_being_sent(quarters: int) -> None:
    first: tuple[Channel, str] = ("book", "M00")
    rig = slow(20).tick()
    for _ in range(quarters):
        rig.tick()
    rig.ack(first)  # and its snapshot never comes
    said = rig.tick(25).said()
    assert "unsub book M00" in said
    assert said.count("sub book M00") == 1, "not asked for again before that"


def test_a_slow_retry_stays_slow_though_older_frames_of_its_batch_are_still_being_sent() -> None:
    first: tuple[Channel, str] = ("book", "M00")
    rig = slow(60).tick()
    asked = 0
    for _ in range(4 * 100):
        asked += sum(said == "sub book M00" for said in rig.tick().said())
    entry = rig.desk.entries[first]
    assert entry.tries >= 1
    assert asked <= 5


def test_what_is_waited_for_is_named() -> None:
    rig = Rig().add(BTC, TRADES)
    wait = {
        "toy:BTC-USD:book": "subscription queued, no data yet",
        "toy:BTC-USD:trades": "subscription queued, no data yet",
    }
    assert rig.desk.waiting() == wait
    rig.tick().ack(BTC).ack(TRADES)
    assert rig.desk.waiting() == {"toy:BTC-USD:book": "subscription acked, no data yet"}, "a market may be quiet"
    rig.desk.entries[BTC].stream.view.state = "live"  # type: ignore[attr-defined]
    assert rig.desk.waiting() == {}


class Machine(RuleBasedStateMachine):
    """A desk against a venue that acknowledges late, twice, or not at all, and may not hear a subscription.

    The venue answers a second subscription with an ack alone, as Kraken does.
    """

    KEYS: tuple[tuple[Channel, str], ...] = (("book", "A"), ("book", "B"), ("trades", "A"))
    NEVER: tuple[Channel, str] = ("book", "BAD")

    @initialize()
    def begin(self) -> None:
        self.rig = Rig(frames_per_s=3, symbols_per_frame=2)
        self.wanted: set[tuple[Channel, str]] = set()
        self.serves: set[tuple[Channel, str]] = set()
        self.answers: list[tuple[str, tuple[Channel, str]]] = []
        self.depths: dict[tuple[Channel, str], int] = {}

    @rule(key=st.sampled_from([*KEYS, NEVER]), depth=st.sampled_from([10, 100]))
    def want(self, key: tuple[Channel, str], depth: int) -> None:
        if key not in self.wanted:
            self.wanted.add(key)
            self.depths[key] = depth
            self.rig.add(key, depth=depth)

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def want_no_more(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.wanted)))
        self.wanted.discard(key)
        self.rig.drop(key)

    @rule(key=st.sampled_from(KEYS))
    def is_doubted(self, key: tuple[Channel, str]) -> None:
        if key[0] == "book":
            self.rig.desk.renew(key)

    @rule(quarters=st.integers(1, 60))
    def time_passes(self, quarters: int) -> None:
        self.rig.tick(quarters / 4)

    @precondition(lambda self: self.rig.sent)
    @rule(hears=st.booleans())
    def venue_gets_a_frame(self, hears: bool) -> None:
        frame = self.rig.sent.pop(0)
        for native in frame["s"]:
            key = (frame["ch"], native)
            if frame["do"] == "unsub":
                self.serves.discard(key)
                self.answers.append(("gone", key))
            elif not hears:
                continue
            elif key == self.NEVER:
                self.answers.append(("no", key))
            else:
                self.answers.append(("yes", key))
                if key not in self.serves and key[0] == "book":
                    self.answers.append(("data", key))
                self.serves.add(key)

    @precondition(lambda self: self.answers)
    @rule(lost=st.booleans())
    def an_answer_comes(self, lost: bool) -> None:
        what, key = self.answers.pop(0)
        if lost:
            return
        if what == "yes":
            self.rig.desk.accepted(key, 0)
        elif what == "no":
            self.rig.desk.refused(key, "never", 0)
        elif what == "gone":
            self.rig.desk.dropped(key)
        elif key in self.rig.desk.entries:
            self.rig.data(key)

    @invariant()
    def the_desk_knows_what_is_wanted(self) -> None:
        if not hasattr(self, "rig"):
            return
        for key, entry in self.rig.desk.entries.items():
            assert key in self.wanted or entry.state == "dropping"
        assert self.wanted <= set(self.rig.desk.entries)

    def teardown(self) -> None:
        """Once the venue is healthy, what it serves is what is wanted, and all of it flows."""
        if not hasattr(self, "rig"):
            return
        for _ in range(int(4 * (3 * RETRY_S + 30))):
            self.rig.tick()
            while self.rig.sent:
                self.venue_gets_a_frame(True)
            while self.answers:
                self.an_answer_comes(False)
        self.the_desk_knows_what_is_wanted()
        assert self.serves == self.wanted - {self.NEVER}
        for key, entry in self.rig.desk.entries.items():
            good = {"book": {"flowing"}, "trades": {"acked"}}[key[0]] if key != self.NEVER else {"refused"}
            assert entry.state in good, entry
            assert entry.subscription.depth == self.depths[key]
        refusals = [e for e in self.rig.told if isinstance(e, Refused)]
        assert all(e.symbol == "BAD-USD" for e in refusals)


Machine.TestCase.settings = settings(max_examples=max(settings.default.max_examples, 60), stateful_step_count=30)
TestAnyOrderOfAnswers = Machine.TestCase


def test_an_entry_has_the_key_its_decoder_knows() -> None:
    streams: Streams[Any] = Streams(Outlet(lambda event: None))
    wanted = Subscription("v", "A-B", "ticker")
    assert Entry(wanted, "AB", streams.get(wanted)).key == ("ticker", "AB")
