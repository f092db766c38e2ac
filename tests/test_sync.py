"""One book on one connection, under everything that a venue and a network can do to it.

The machine at the end plays a venue with a slow and obvious book (a dict, sorted when asked) against `BookSync` and
`BookStream`: updates are dropped, repeated, reordered and merged, snapshots come late, old, or not at all.
"""

import json
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from marketfeed import sync as sync_module
from marketfeed.counts import Counts
from marketfeed.events import BookDelta, BookSnapshot, BookVoid, Gap, Head
from marketfeed.outlet import Outlet
from marketfeed.streams import BookStream
from marketfeed.subscriptions import Subscription
from marketfeed.sync import LEVEL_BYTES, MAX_BUFFERED, MAX_CROSSED_NS, MAX_OLD, BookSync
from marketfeed.trusted_book import TrustedBook
from marketfeed.venues._spec import BookRule, Proof

REST = BookRule(snapshot="rest", numbered=True)
NUMBERED = BookRule(snapshot="stream", numbered=True)
PLAIN = BookRule(snapshot="stream")


def crc(bids: Sequence[str], asks: Sequence[str]) -> int:
    return zlib.crc32(json.dumps([*bids, "/", *asks]).encode())


CHECKED = BookRule(snapshot="stream", checksum=crc, checksum_levels=10)


class Rig:
    """A sync, its stream, what it told and how often it asked."""

    def __init__(self, rule: BookRule, depth: int = 0, buffer_bytes: int = 2**20) -> None:
        self.told: list[Head] = []
        self.asks = 0
        self.served = True
        self.counts = Counts()
        self.stream: BookStream[Any] = BookStream(Subscription("v", "A-B", "book"), Outlet(self.told.append))
        self.sync: BookSync[Any] = BookSync(
            rule, self.stream, "AB", depth, self.counts, self._ask, buffer_bytes, lambda: self.served
        )

    def _ask(self, sync: BookSync[Any]) -> None:
        assert sync is self.sync
        self.asks += 1

    def delta(
        self, first: int, last: int, bids: Any = ((1.0, 1.0),), asks: Any = (), at: int = 1, proof: Any = None
    ) -> "Rig":
        self.sync.delta(first, last, bids, asks, 0, at, proof)
        return self

    def snapshot(
        self, seq: int, bids: Any = ((1.0, 5.0),), asks: Any = ((2.0, 5.0),), at: int = 1, proof: Any = None
    ) -> "Rig":
        self.sync.snapshot(seq, bids, asks, 0, at, proof)
        return self

    def story(self) -> list[Any]:
        """What was told, in short, since the last time."""
        short = {
            BookSnapshot: lambda e: ("snapshot", e.epoch, e.seq),
            BookDelta: lambda e: ("delta", e.prev_seq, e.seq),
            Gap: lambda e: ("gap", e.cause, e.from_seq, e.to_seq),
            BookVoid: lambda e: ("void", e.epoch),
        }
        told = [short[type(e)](e) for e in self.told]  # type: ignore[no-untyped-call]
        self.told.clear()
        return told


def proof(*bids: str, asks: Sequence[str] = (), book: int | None = None) -> Proof:
    return Proof(crc(bids, asks) if book is None else book, bids, asks)


# The snapshot comes over REST (Binance: drop u <= L; the first kept has U <= L+1 <= u)


def test_a_book_joins_its_snapshot() -> None:
    rig = Rig(REST)
    rig.delta(101, 102).delta(103, 105)
    assert (rig.asks, rig.sync.state, rig.story()) == (1, "buffering", [])
    rig.snapshot(102)
    assert rig.story() == [("snapshot", 1, 102), ("delta", 102, 105)]
    rig.delta(106, 106)
    assert rig.story() == [("delta", 105, 106)]
    assert (rig.counts.joins, rig.counts.stale, rig.counts.links_ok) == (1, 1, 2)


@pytest.mark.parametrize(
    ("buffered", "seq", "state", "stale", "asks"),
    [
        ([(101, 102)], 100, "live", 0, 1),  # U = L+1
        ([(99, 102)], 100, "live", 0, 1),  # P17: U <= L
        ([(101, 102)], 101, "live", 0, 1),  # L inside
        ([(101, 102)], 99, "buffering", 0, 2),  # P18, I6: too old, asked again
        ([(101, 102)], 102, "joining", 1, 1),  # P19: newer than all that is held
        ([(101, 102)], 500, "joining", 1, 1),
        ([(101, 102), (103, 104)], 103, "live", 1, 1),
        ([(101, 102), (103, 104)], 1, "buffering", 0, 2),
    ],
)
def test_P17_P18_P19_I6_where_a_snapshot_falls(
    buffered: list[tuple[int, int]], seq: int, state: str, stale: int, asks: int
) -> None:
    rig = Rig(REST)
    for first, last in buffered:
        rig.delta(first, last)
    rig.snapshot(seq)
    assert (rig.sync.state, rig.counts.stale, rig.asks) == (state, stale, asks)
    assert bool(rig.story()) == (state == "live")


def test_P18_a_snapshot_that_is_too_old_is_asked_for_until_one_joins() -> None:
    rig = Rig(REST).delta(101, 102).snapshot(50).snapshot(60).snapshot(100)
    assert rig.asks == 3
    assert rig.story() == [("snapshot", 1, 100), ("delta", 100, 102)]


def test_P19_a_snapshot_that_is_ahead_waits_for_the_delta_that_bridges_it() -> None:
    rig = Rig(REST).delta(101, 102).snapshot(105)
    rig.delta(103, 104)
    assert (rig.sync.state, rig.story(), rig.counts.stale) == ("joining", [], 2)
    rig.delta(105, 107)
    assert rig.story() == [("snapshot", 1, 105), ("delta", 105, 107)]


def test_P15_a_hole_while_joining_begins_again() -> None:
    rig = Rig(REST).delta(101, 102).snapshot(105).delta(120, 121)
    assert (rig.sync.state, rig.asks, rig.counts.links_broken) == ("buffering", 2, 1)
    rig.snapshot(119)
    assert rig.story() == [("snapshot", 1, 119), ("delta", 119, 121)]


def test_a_snapshot_nobody_waits_for_is_ignored() -> None:
    rig = Rig(REST).snapshot(100)
    assert (rig.sync.state, rig.story()) == ("waiting", [])
    rig.delta(101, 102).snapshot(100)
    rig.story()
    rig.snapshot(300, bids=((9.0, 9.0),))
    assert (rig.sync.state, rig.story(), rig.stream.view.bids()) == ("live", [], [(1.0, 1.0)])


@pytest.mark.parametrize("missing", [1, 5])
def test_P15_D6_a_hole_after_the_join_is_told_before_anything_newer(missing: int) -> None:
    rig = Rig(REST).delta(101, 102).snapshot(100)
    rig.story()
    after = 103 + missing
    rig.delta(after, after)
    assert rig.story() == [("gap", "sequence", 103, after - 1), ("void", 1)]
    assert (rig.sync.state, rig.asks, rig.counts.links_broken) == ("buffering", 2, 1)
    assert not rig.stream.view.live
    rig.snapshot(after)
    rig.delta(after + 1, after + 1)
    assert rig.story() == [("snapshot", 2, after), ("delta", after, after + 1)]


@pytest.mark.parametrize("again", [(101, 102), (102, 102), (50, 60)])
def test_P16_I10_repeats_and_old_updates_change_nothing_but_a_counter(again: tuple[int, int]) -> None:
    rig = Rig(REST).delta(101, 102).snapshot(100)
    rig.story()
    rig.delta(*again, bids=((1.0, 99.0),))
    assert (rig.story(), rig.counts.stale, rig.counts.links_ok) == ([], 1, 1)
    assert rig.stream.view.bids() == [(1.0, 1.0)]


def test_P17_an_update_that_overlaps_is_applied() -> None:
    rig = Rig(REST).delta(101, 105).snapshot(100)
    rig.story()
    rig.delta(104, 107)
    assert (rig.story(), rig.counts.links_ok) == ([("delta", 105, 107)], 1)
    rig.delta(108, 108)
    assert rig.story() == [("delta", 107, 108)], "and what follows it follows it"


@pytest.mark.parametrize("bound", ["messages", "bytes"])
def test_I5_what_is_held_is_bounded(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(REST, buffer_bytes=LEVEL_BYTES * 3 * 8 if bound == "bytes" else 2**30)
    if bound == "messages":
        monkeypatch.setattr(sync_module, "MAX_BUFFERED", 8)
    for seq in range(1, 100):
        rig.delta(seq, seq)
        assert len(rig.sync._buffer) <= 8
        assert rig.sync.state == "buffering"
    assert rig.story() == []
    assert rig.counts.unproven + len(rig.sync._buffer) == 99
    rig.snapshot(98)
    assert rig.story() == [("snapshot", 1, 98), ("delta", 98, 99)]


def test_I5_one_update_larger_than_the_bound_is_held_alone() -> None:
    rig = Rig(REST, buffer_bytes=LEVEL_BYTES * 5)
    many = tuple((float(p), 1.0) for p in range(1, 50))
    rig.delta(1, 1, bids=many).delta(2, 2, bids=many)
    assert len(rig.sync._buffer) == 1
    rig.snapshot(1, bids=())
    assert rig.story() == [("snapshot", 1, 1), ("delta", 1, 2)]


def test_I5_what_an_overflow_costs_a_book_that_had_begun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "MAX_BUFFERED", 2)
    rig = Rig(REST).delta(101, 101).snapshot(100)
    rig.sync.doubt("malformed", "a frame was lost", 9)
    rig.story()
    for seq in (102, 103):
        rig.delta(seq, seq)
    assert rig.story() == []
    rig.delta(104, 104)
    assert rig.story() == [("gap", "overflow", 0, 0)]


def test_the_bound_on_messages_is_the_documented_one() -> None:
    assert MAX_BUFFERED == 10_000


def test_a_doubted_rest_book_is_asked_for_at_the_next_update() -> None:
    rig = Rig(REST).delta(101, 102).snapshot(100)
    rig.story()
    rig.sync.doubt("malformed", "a frame was lost", 9)
    assert (rig.story(), rig.asks) == ([("gap", "malformed", 0, 0), ("void", 1)], 1)
    rig.delta(103, 103)
    assert (rig.asks, rig.sync.state) == (2, "buffering")


# The snapshot comes in the stream


def test_updates_before_the_snapshot_are_left_out_and_counted() -> None:
    rig = Rig(NUMBERED).delta(5, 5)
    assert (rig.story(), rig.counts.unproven, rig.asks) == ([], 1, 0)
    rig.snapshot(7).delta(8, 9)
    assert rig.story() == [("snapshot", 1, 7), ("delta", 7, 9)]


def test_P15_a_hole_in_the_stream_asks_for_a_new_snapshot() -> None:
    rig = Rig(NUMBERED).snapshot(7)
    rig.story()
    rig.delta(10, 10).delta(11, 11)
    assert rig.story() == [("gap", "sequence", 8, 9), ("void", 1)]
    assert (rig.asks, rig.counts.unproven, rig.sync.state) == (1, 2, "waiting")
    rig.snapshot(12)
    assert rig.story() == [("snapshot", 2, 12)]


def test_P25_a_sequence_that_begins_again_is_taken_with_a_snapshot() -> None:
    rig = Rig(NUMBERED).snapshot(7000).delta(7001, 7001).snapshot(1).delta(2, 2)
    assert rig.story() == [("snapshot", 1, 7000), ("delta", 7000, 7001), ("snapshot", 2, 1), ("delta", 1, 2)]


def test_a_hole_while_waiting_is_counted_and_not_told() -> None:
    rig = Rig(NUMBERED).delta(1, 1).delta(5, 5)
    assert (rig.story(), rig.counts.links_broken, rig.counts.unproven) == ([], 1, 2)


def test_books_that_are_not_numbered_count_from_1_in_their_epoch() -> None:
    rig = Rig(PLAIN).snapshot(0).delta(0, 0).delta(0, 0)
    assert rig.story() == [("snapshot", 1, 1), ("delta", 1, 2), ("delta", 2, 3)]
    assert rig.counts == Counts()


def test_P23_a_checksum_proves_snapshot_and_updates() -> None:
    rig = Rig(CHECKED).snapshot(0, bids=((1.0, 5.0),), asks=(), proof=proof("one"))
    rig.delta(0, 0, bids=((2.0, 1.0),), proof=proof("two", book=crc(["two", "one"], [])))
    rig.delta(0, 0, bids=((2.0, 0.0),), proof=proof("gone", book=crc(["one"], [])))
    assert rig.story() == [("snapshot", 1, 1), ("delta", 1, 2), ("delta", 2, 3)]
    assert (rig.counts.checksums_ok, rig.counts.checksums_bad) == (3, 0)


def test_P23_a_wrong_checksum_voids_and_nothing_of_the_update_is_told() -> None:
    rig = Rig(CHECKED).snapshot(0, bids=((1.0, 5.0),), asks=(), proof=proof("one"))
    rig.story()
    rig.delta(0, 0, bids=((2.0, 1.0),), proof=proof("two", book=1))
    assert rig.story() == [("gap", "checksum", 0, 0), ("void", 1)]
    assert (rig.asks, rig.counts.checksums_bad) == (1, 1)


def test_P23_a_snapshot_with_a_wrong_checksum_never_opens() -> None:
    rig = Rig(CHECKED).snapshot(0, proof=proof("x", asks=["y"], book=1))
    assert (rig.story(), rig.asks, rig.sync.state, rig.counts.checksums_bad) == ([], 1, "waiting", 1)


def test_P24_a_proof_where_the_venue_has_no_checksum_rule_proves_nothing_and_stops_nothing() -> None:
    rig = Rig(PLAIN).snapshot(0, bids=((1.0, 5.0),), asks=(), proof=proof("one", book=0))
    assert (rig.story(), rig.counts.checksums_bad) == ([("snapshot", 1, 1)], 0)


def test_P26_levels_that_leave_the_window_are_told_as_removals() -> None:
    rig = Rig(PLAIN, depth=2).snapshot(0, bids=((1.0, 5.0), (2.0, 5.0), (3.0, 5.0)), asks=((4.0, 1.0), (5.0, 1.0)))
    assert rig.told[0].bids == ((3.0, 5.0), (2.0, 5.0))  # type: ignore[attr-defined]
    rig.delta(0, 0, bids=((2.5, 7.0),), asks=((6.0, 1.0),))
    change: Any = rig.told[1]
    assert change.bids == ((2.5, 7.0), (2.0, 0.0))
    assert change.asks == ((6.0, 1.0), (6.0, 0.0))
    assert rig.stream.view.bids() == [(3.0, 5.0), (2.5, 7.0)]


# Crossed books


def test_P22_a_book_may_cross_for_two_seconds() -> None:
    rig = Rig(PLAIN).snapshot(0)
    rig.story()
    rig.delta(0, 0, bids=((3.0, 1.0),))
    assert rig.stream.view.crossed
    for mono_ns in (100, 100 + MAX_CROSSED_NS):
        rig.sync.on_tick(mono_ns, 9)
    rig.delta(0, 0, bids=((3.0, 0.0),))
    rig.delta(0, 0, bids=((2.0, 1.0),))  # locked: allowed for ever
    for mono_ns in (200, 900 * MAX_CROSSED_NS):
        rig.sync.on_tick(mono_ns, 9)
    assert [what for what, *_ in rig.story()] == ["delta"] * 3
    assert rig.stream.view.live


def test_P22_crossed_for_longer_it_is_doubted_without_another_word_from_the_venue() -> None:
    rig = Rig(PLAIN).snapshot(0).delta(0, 0, bids=((3.0, 1.0),))
    rig.story()
    for mono_ns in (100, 101 + MAX_CROSSED_NS, 500 * MAX_CROSSED_NS):
        rig.sync.on_tick(mono_ns, 9)
    assert (rig.story(), rig.asks) == ([("gap", "crossed", 0, 0), ("void", 1)], 1)


def test_P22_a_snapshot_that_is_crossed_and_stays_so_is_doubted() -> None:
    rig = Rig(PLAIN).snapshot(0, bids=((3.0, 1.0),))
    rig.story()
    for mono_ns in (100, 101 + MAX_CROSSED_NS):
        rig.sync.on_tick(mono_ns, 9)
    assert (rig.story(), rig.asks) == ([("gap", "crossed", 0, 0), ("void", 1)], 1)


@pytest.mark.parametrize("rule", [PLAIN, REST], ids=["stream", "rest"])
def test_P27_the_last_words_of_a_subscription_open_no_book(rule: BookRule) -> None:
    rig = Rig(rule)
    rig.served = False
    rig.delta(101, 101).snapshot(100).delta(102, 102)
    assert (rig.story(), rig.asks, rig.sync.state, rig.counts.unproven) == ([], 0, "waiting", 3)
    rig.served = True
    rig.delta(103, 103).snapshot(102)
    assert rig.story()[0][0] == "snapshot"


def test_P25_numbers_that_stay_below_what_is_known_are_a_new_count() -> None:
    rig = Rig(NUMBERED if NUMBERED.snapshot == "rest" else REST)
    rig.delta(101, 101)
    rig.snapshot(100)
    rig.story()
    for number in range(1, MAX_OLD):
        rig.delta(number, number)
    assert (rig.story(), rig.sync.state) == ([], "live")
    rig.delta(MAX_OLD, MAX_OLD)
    assert [what for what, *_ in rig.story()] == ["gap", "void"]
    assert rig.sync.state == "buffering"
    rig.delta(MAX_OLD + 1, MAX_OLD + 1)
    rig.snapshot(MAX_OLD)
    assert [what for what, *_ in rig.story()] == ["snapshot", "delta"]


# Ends


def test_a_lost_link_voids_the_book_and_asks_for_nothing() -> None:
    rig = Rig(NUMBERED).snapshot(7)
    rig.story()
    rig.sync.lost("cut", 9)
    rig.sync.lost("cut", 9)
    assert (rig.story(), rig.asks) == ([("gap", "link lost", 0, 0), ("void", 1)], 0)


def test_I12_the_book_shown_stays_whole_while_the_next_is_built() -> None:
    rig = Rig(REST).delta(101, 102).snapshot(100)
    rig.sync.doubt("malformed", "", 1)
    rig.delta(103, 104, bids=((7.0, 7.0),))
    rig.snapshot(50, bids=((9.0, 9.0),))  # too old
    assert rig.stream.view.last_known.bids(5) == [(1.0, 1.0)]


def test_a_sync_shows_itself() -> None:
    assert repr(Rig(REST).delta(5, 6).sync) == "<BookSync AB buffering seq=0 held=1>"


# The machine


class Update(NamedTuple):
    first: int
    last: int
    bids: tuple[tuple[Any, Any], ...]
    asks: tuple[tuple[Any, Any], ...]


Levels = tuple[tuple[Any, Any], ...]
sizes = st.sampled_from([0, 0, 1, 2, 3])
bid_changes = st.lists(st.tuples(st.integers(1, 6), sizes), max_size=3)
ask_changes = st.lists(st.tuples(st.integers(11, 16), sizes), max_size=3)


class Machine(RuleBasedStateMachine):
    """A venue, its wire, and one sync. Prices of the sides never meet, so books never cross."""

    RULE = REST
    NUMBER: Any = float

    @initialize()
    def begin(self) -> None:
        self.rig = Rig(self.RULE, buffer_bytes=LEVEL_BYTES * 60)
        self.books: dict[str, dict[int, int]] = {"bids": {}, "asks": {}}
        self.seq = 100
        self.truth: dict[int, tuple[Levels, Levels]] = {}
        self.wire: list[Update] = []  # sent and not yet arrived
        self.arrived: list[Update] = []
        self.answered = 0
        self.received = 0
        self.checked = 0
        self.consumer: TrustedBook[Any] = TrustedBook("v:A-B:book")
        self.live_told = False
        self._note()

    # the venue

    def _note(self) -> None:
        number = self.NUMBER
        sides = []
        for name in ("bids", "asks"):
            ordered = sorted(self.books[name].items(), reverse=name == "bids")
            sides.append(tuple((number(p), number(s)) for p, s in ordered))
        self.truth[self.seq] = (sides[0], sides[1])

    @rule(bids=bid_changes, asks=ask_changes, span=st.integers(1, 3))
    def venue_changes(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]], span: int) -> None:
        for name, changes in (("bids", bids), ("asks", asks)):
            for price, size in changes:
                self.books[name].pop(price, None)
                if size:
                    self.books[name][price] = size
        first, self.seq = self.seq + 1, self.seq + span
        self._note()
        number = self.NUMBER
        self.wire.append(
            Update(
                first,
                self.seq,
                tuple((number(p), number(s)) for p, s in bids),
                tuple((number(p), number(s)) for p, s in asks),
            )
        )

    # the wire

    def _deliver(self, update: Update) -> None:
        self.received += 1
        numbers = (update.first, update.last) if self.RULE.numbered else (0, 0)
        self.rig.sync.delta(
            *numbers, update.bids, update.asks, 0, 1, self._proof(update.last, update.bids, update.asks)
        )

    def _proof(self, seq: int, bids: Levels, asks: Levels) -> Proof | None:
        if self.RULE.checksum is None:
            return None
        true = [[f"{p}|{s}" for p, s in side] for side in self.truth[seq]]
        return Proof(crc(*true), [f"{p}|{s}" for p, s in bids], [f"{p}|{s}" for p, s in asks])

    @precondition(lambda self: self.wire)
    @rule()
    def arrives(self) -> None:
        update = self.wire.pop(0)
        self.arrived.append(update)
        self._deliver(update)

    @precondition(lambda self: self.wire)
    @rule()
    def is_dropped(self) -> None:
        self.wire.pop(0)

    @precondition(lambda self: len(self.wire) > 1)
    @rule()
    def two_change_places(self) -> None:
        self.wire[0], self.wire[1] = self.wire[1], self.wire[0]

    @precondition(lambda self: len(self.wire) > 1 and self.RULE.checksum is None)
    @rule()
    def two_run_together(self) -> None:
        one, two = sorted(self.wire[:2])
        if two.first == one.last + 1:
            self.wire[:2] = [Update(one.first, two.last, one.bids + two.bids, one.asks + two.asks)]

    @precondition(lambda self: self.arrived)
    @rule(data=st.data())
    def comes_again(self, data: st.DataObject) -> None:
        update = data.draw(st.sampled_from(self.arrived))
        before = (len(self.rig.told), self.rig.sync.state, self.rig.stream.view.seq)
        known = self.rig.sync._seen
        self._deliver(update)
        if self.RULE.numbered and known >= update.last:
            assert (len(self.rig.told), self.rig.sync.state, self.rig.stream.view.seq) == before

    # snapshots

    @precondition(lambda self: self.RULE.snapshot == "rest" and self.rig.asks > self.answered)
    @rule(data=st.data())
    def snapshot_is_answered(self, data: st.DataObject) -> None:
        self._answer(data.draw(st.sampled_from(sorted(self.truth))))

    @precondition(lambda self: self.RULE.snapshot == "rest" and self.rig.asks > self.answered)
    @rule()
    def snapshot_of_now_is_answered(self) -> None:
        self._answer(self.seq)

    def _answer(self, seq: int) -> None:
        held = list(self.rig.sync._buffer)
        was = self.rig.sync.state
        self.answered = self.rig.asks
        self.rig.sync.snapshot(seq, *self.truth[seq], 0, 1)
        if was == "buffering" and held and seq < held[0][0] - 1:
            assert self.rig.sync.state == "buffering"  # I6
            assert self.rig.asks > self.answered

    @precondition(lambda self: self.RULE.snapshot == "stream" and not self.wire)
    @rule()
    def snapshot_is_sent(self) -> None:
        bids, asks = self.truth[self.seq]
        seq = self.seq if self.RULE.numbered else 0
        self.rig.sync.snapshot(seq, bids, asks, 0, 1, self._proof(self.seq, bids, asks))

    @rule(why=st.sampled_from(["malformed", "overflow"]))
    def something_else_makes_it_doubtful(self, why: Any) -> None:
        self.rig.sync.doubt(why, "for the test", 1)
        assert not self.rig.stream.view.live

    # what must hold

    @invariant()
    def what_was_told_is_a_chain(self) -> None:
        """I1, I2, I4, I12, I14: an epoch is a snapshot and a chain of updates; doubt comes once, and first."""
        if not hasattr(self, "rig"):
            return
        book = self.consumer
        for event in self.rig.told[self.checked :]:
            if isinstance(event, BookSnapshot):
                assert event.epoch == book.epoch + 1
                self.live_told = True
            elif isinstance(event, BookDelta):
                assert self.live_told
                assert (event.epoch, event.prev_seq) == (book.epoch, book.seq)
                assert event.seq > event.prev_seq
            elif isinstance(event, Gap):
                assert self.live_told
                assert event.epoch == book.epoch
            elif isinstance(event, BookVoid):
                assert self.live_told
                assert isinstance(self.rig.told[self.rig.told.index(event) - 1], Gap)
                self.live_told = False
            book.apply(event)
            if book.live:
                self._is_true(book)
        self.checked = len(self.rig.told)
        assert book.live == self.live_told == self.rig.stream.view.live
        if book.live:
            assert (book.bids(), book.asks()) == (self.rig.stream.view.bids(), self.rig.stream.view.asks())
            self._is_true(self.rig.stream.view)

    def _is_true(self, book: TrustedBook[Any]) -> None:
        """I3: what is shown as live is what the venue had."""
        shown = (tuple(book.bids()), tuple(book.asks()))
        if self.RULE.numbered:
            assert shown == self.truth[book.seq]
        else:
            assert shown in self.truth.values()

    @invariant()
    def nothing_is_lost_uncounted(self) -> None:
        """I5, I13: received = told + held + dropped by reason; what is held is bounded."""
        if not hasattr(self, "rig"):
            return
        counts, sync = self.rig.counts, self.rig.sync
        told = sum(isinstance(e, BookDelta) for e in self.rig.told)
        held = len(sync._buffer)
        assert self.received == told + held + counts.stale + counts.unproven + self._bad_deltas()
        assert held <= 60 // 2 + 1
        if sync.state in ("live", "waiting"):
            assert not held

    def _bad_deltas(self) -> int:
        return self.rig.counts.checksums_bad  # snapshots of this venue are always right

    def teardown(self) -> None:
        """I9: once the venue is healthy the book is live."""
        if not hasattr(self, "rig"):
            return
        self.wire.clear()
        if self.RULE.snapshot == "stream":
            self.snapshot_is_sent()
        for _ in range(3):
            self.venue_changes([(1, 1)], [], 1)
            self.arrives()
            if self.RULE.snapshot == "rest" and self.rig.asks > self.answered:
                self._answer(self.seq)
        assert self.rig.stream.view.live
        self.what_was_told_is_a_chain()
        self.nothing_is_lost_uncounted()


class ExactMachine(Machine):
    NUMBER = Decimal


class NumberedMachine(Machine):
    RULE = NUMBERED


class CheckedMachine(Machine):
    RULE = CHECKED


_runs = settings(stateful_step_count=40)
for _machine in (Machine, ExactMachine, NumberedMachine, CheckedMachine):
    _machine.TestCase.settings = settings(_runs, max_examples=max(settings.default.max_examples, 60))
TestRest = Machine.TestCase
TestRestExact = ExactMachine.TestCase
TestNumberedStream = NumberedMachine.TestCase
TestCheckedStream = CheckedMachine.TestCase
