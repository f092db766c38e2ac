"""Books held against REST, each as it was: nothing wrong is called equal, nothing right is called wrong (4.3 of what is
promised of books); how far a book is known (P26); and quiet markets that REST confirms (T05).
"""

import random
from collections.abc import Callable
from decimal import Decimal
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

import marketfeed as mf
from marketfeed import audit as audit_module
from marketfeed import memory as memory_module
from marketfeed import sim
from marketfeed.audit import BEHIND_NS, IN_A_ROW, MAX_AGE_NS, QUIET_NS, Auditing
from marketfeed.book import Book
from marketfeed.commands import Fetch
from marketfeed.counts import Counts
from marketfeed.events import Audit, BookDelta, BookSnapshot, BookVoid, Gap, Head, Malformed, Stale
from marketfeed.memory import Compared, Memory
from marketfeed.outlet import Outlet
from marketfeed.pace import SECOND
from marketfeed.streams import BookStream
from marketfeed.subscriptions import Subscription
from marketfeed.sync import FEWEST, LOOK_NS, BookSync
from marketfeed.venues import binance, coinbase, kraken
from marketfeed.venues._spec import BookRule, Picture, Request

from .fuzz import oracle
from .fuzz.oracle import SYMBOLS
from .loopback.rig import VENUES, bench, plain
from .venues.conftest import Talk
from .venues.test_kraken import SNAPSHOT
from .virtual import until

NUMBERED = BookRule(snapshot="rest", numbered=True, audit=20)
PLAIN = BookRule(snapshot="stream", audit=20)
WINDOW = BookRule(snapshot="rest", numbered=True, audit=8, window=8)


# What is remembered

Side = dict[float, float]


def book(bids: Side, asks: Side) -> Book[float]:
    made: Book[float] = Book()
    made.bids.load(list(bids.items()))
    made.asks.load(list(asks.items()))
    return made


def levels(side: Side, *, asks: bool) -> tuple[tuple[float, float], ...]:
    return tuple(sorted(((p, s) for p, s in side.items() if s), reverse=not asks))


prices = st.integers(1, 12).map(float)
sizes = st.integers(0, 3).map(float)
updates = st.lists(
    st.tuples(st.integers(1, 3), st.lists(st.tuples(st.booleans(), prices, sizes), max_size=4)), max_size=12
)


@given(st.dictionaries(prices, sizes, max_size=12), updates, st.integers(0, 36), st.integers(1, 30))
def test_a_book_as_it_was_is_what_a_slow_one_says(
    start: Side, does: list[tuple[int, list[tuple[bool, float, float]]]], at: int, kept: int
) -> None:
    """At any number inside what is remembered the true picture of that moment compares equal."""
    sides: tuple[Side, Side] = ({p: s for p, s in start.items() if p <= 6}, {p: s for p, s in start.items() if p > 6})
    memory: Memory[float] = Memory(book(*sides), 0, kept)
    true: dict[int, tuple[Side, Side]] = {0: (dict(sides[0]), dict(sides[1]))}
    seq = 0
    for width, changes in does:
        mine: tuple[list[Any], list[Any]] = ([], [])
        for is_ask, price, size in changes:
            sides[is_ask][price] = size
            mine[is_ask].append((price, size))
        seq += width
        memory.note(seq, tuple(mine[0]), tuple(mine[1]))
        true[seq] = dict(sides[0]), dict(sides[1])
    if at > seq:
        return
    if at in true:
        bids, asks = true[at]
    else:  # inside an update: what it changes may be anything, the rest is as before it
        before, after = max(n for n in true if n < at), min(n for n in true if n > at)
        (b0, a0), (b1, a1) = true[before], true[after]
        bids = {p: 7.0 if b0.get(p, 0) != b1.get(p, 0) else b0[p] for p in b0}
        asks = {p: 7.0 if a0.get(p, 0) != a1.get(p, 0) else a0[p] for p in a0}
    for shown in (30, 3):
        picture = Picture(at, levels(bids, asks=False)[:shown], levels(asks, asks=True)[:shown])
        found = memory.compare(picture, memory.at(at), shown, (None, None))
        assert not found.wrong, found.example


@given(st.dictionaries(prices, st.integers(1, 3).map(float), min_size=2, max_size=12), st.data())
def test_a_level_that_is_wrong_is_found(start: Side, data: Any) -> None:
    sides: tuple[Side, Side] = ({p: s for p, s in start.items() if p <= 6}, {p: s for p, s in start.items() if p > 6})
    memory: Memory[float] = Memory(book(*sides), 5, 30)
    which = data.draw(st.booleans())
    price = data.draw(prices.filter(lambda p: (p > 6) == which))
    other = data.draw(sizes.filter(lambda s: s != sides[which].get(price, 0)))
    sides[which][price] = other
    picture = Picture(5, levels(sides[0], asks=False), levels(sides[1], asks=True))
    assert memory.compare(picture, memory.at(5), 30, (None, None)).wrong == 1


A, B, C = ((10.0, 1.0), (9.0, 2.0), (8.0, 3.0))
NONE: tuple[Any, ...] = ()


@pytest.mark.parametrize(
    ("shown", "changes", "levels_", "known", "expected"),
    [
        pytest.param((A, B, C), [], 3, None, (3, 0, ""), id="equal"),
        pytest.param((A, (9.0, 5.0), C), [], 3, None, (3, 1, "9.0: 5.0 there, 2.0 here"), id="another-size"),
        pytest.param((A, C), [], 3, None, (3, 1, "9.0: none there, 2.0 here"), id="not-there"),
        pytest.param((A, (9.5, 1.0), B, C), [], 4, None, (4, 1, "9.5: 1.0 there, none here"), id="not-here"),
        pytest.param((A, (9.5, 1.0)), [], 2, None, (2, 1, "9.5: 1.0 there, none here"), id="ends-at-its-last-price"),
        pytest.param((A, (9.0, 5.0)), [(9.0, 4.0)], 2, None, (1, 0, ""), id="one-that-changed"),
        pytest.param((A, C), [(9.0, 4.0)], 2, None, (2, 0, ""), id="one-that-changed-and-is-not-there"),
        pytest.param((A, (9.5, 4.0), B), [(9.5, 0.0)], 3, None, (2, 0, ""), id="one-that-came-and-went"),
        pytest.param((A, B, (7.0, 1.0)), [], 3, 8.0, (3, 1, "8.0: none there, 3.0 here"), id="heard-of"),
        pytest.param((A, B, C, (7.0, 1.0)), [], 4, 8.0, (3, 0, ""), id="beyond-what-is-known"),
        pytest.param((A, B, C, (7.0, 1.0)), [(7.0, 2.0)], 4, 8.0, (3, 0, ""), id="beyond-and-changed"),
        pytest.param((A, (9.0, 0.0), C), [], 3, None, (3, 1, "9.0: none there, 2.0 here"), id="a-zero-is-none"),
        pytest.param(NONE, [], 3, None, (3, 3, "10.0: none there, 1.0 here"), id="nothing-there"),
    ],
)
def test_a_picture_is_held_against_what_was(
    shown: Any, changes: Any, levels_: int, known: float | None, expected: tuple[int, int, str]
) -> None:
    """Of bids, and mirrored of asks."""
    for asks in (False, True):
        sides = [dict((A, B, C)), {}]
        if asks:
            sides = [{}, {-p: s for p, s in (A, B, C)}]
        memory: Memory[float] = Memory(book(*sides), 0, 30)
        for price, size in changes:
            change = ((-price if asks else price, size),)
            memory.note(0, () if asks else change, change if asks else ())
        mine = tuple((-p if asks else p, s) for p, s in shown)
        edge = None if known is None else -known if asks else known
        edges = (None, edge) if asks else (edge, None)
        picture = Picture(0, () if asks else mine, mine if asks else ())
        found = memory.compare(picture, memory.stable(), levels_, edges)
        assert found[:2] == expected[:2]
        assert asks or found == Compared(*expected)


def test_of_a_book_that_is_remembered_in_part_the_rest_is_not_judged() -> None:
    memory: Memory[float] = Memory(book({float(p): 1.0 for p in range(1, 10)}, {}), 0, 3)
    shown = ((9.0, 1.0), (8.0, 1.0), (7.0, 1.0), (6.5, 4.0), (6.0, 1.0))
    assert memory.compare(Picture(0, shown, ()), memory.stable(), 9, (None, None)) == Compared(3, 0, "")


def test_I5_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "MAX_CHANGED", 3)
    memory: Memory[float] = Memory(book({1.0: 1.0}, {}), 0, 3)
    memory.note(1, ((1.0, 2.0),), ((2.0, 1.0), (3.0, 1.0)))
    assert not memory.full
    memory.note(2, ((1.0, 2.0),), ())
    assert memory.full
    assert memory.newest == 2


# One book, its audits


class Shown:
    """What REST shows."""

    def __init__(self) -> None:
        self.picture: Picture[Any] | None = None

    def audit_request(self, native: str) -> Request:
        return Request(f"/book/{native}")

    def audit_picture(self, native: str, body: bytes) -> Picture[Any]:
        if self.picture is None:
            raise ValueError("no book")
        return self.picture


BIDS, ASKS = ((10.0, 1.0), (9.0, 1.0)), ((11.0, 1.0), (12.0, 1.0))


class Rig:
    """A live book (10 9 | 11 12, update 5), audited; time is the test's."""

    def __init__(self, rule: BookRule = NUMBERED, every_s: float = 900.0, depth: int = 0) -> None:
        self.told: list[Head] = []
        self.fetches: list[Fetch] = []
        self.now = SECOND
        self.shown = Shown()
        self.stream: BookStream[Any] = BookStream(Subscription("v", "A-B", "book"), Outlet(self.told.append))
        self.asks = 0
        self.sync: BookSync[Any] = BookSync(rule, self.stream, "AB", depth, Counts(), self._ask)
        self.books = {"AB": self.sync}
        self.auditing: Auditing[Any] = Auditing(
            self.shown, rule, self.books, every_s, self.fetches.append, count(1), lambda: None
        )
        self.begin()

    def _ask(self, sync: BookSync[Any]) -> None:
        self.asks += 1

    def begin(self, bids: Any = BIDS, asks: Any = ASKS, seq: int = 5) -> "Rig":
        if self.sync._rule.snapshot == "rest":
            self.sync.delta(seq, seq, (), (), 0, 1)
            self.sync.snapshot(seq - 1, bids, asks, 0, 1)
        else:
            self.sync.snapshot(0, bids, asks, 0, 1)
        self.told.clear()
        return self

    def delta(self, seq: int, bids: Any = (), asks: Any = (), first: int = 0) -> "Rig":
        numbered = self.sync.numbered
        self.sync.delta((first or seq) if numbered else 0, seq if numbered else 0, bids, asks, 0, seq)
        return self

    def due(self) -> "Rig":
        """Let time pass until REST is asked."""
        for _ in range(4000):
            if self.fetches:
                return self
            self.wait(0.25)
        raise AssertionError("no audit")

    def wait(self, seconds: float) -> "Rig":
        for _ in range(max(1, round(seconds * 4))):
            self.now += SECOND // 4
            for sync in self.books.values():
                sync.on_tick(self.now, self.now)
            self.auditing.tick(self.now, self.now)
        return self

    def answer(self, seq: int = 5, bids: Any = BIDS, asks: Any = ASKS, status: int = 200) -> "Rig":
        self.shown.picture = Picture(seq, bids, asks)
        assert self.auditing.on_reply(self.fetches.pop(0).token, status, b"", self.now)
        self.auditing.tick(self.now, self.now)
        return self

    def audits(self) -> list[Any]:
        """Audits told since the last time, and what they led to."""
        told = [
            (e.verdict, e.levels, e.wrong, e.detail) if isinstance(e, Audit) else (type(e).__name__, e.reason)
            for e in self.told
            if isinstance(e, Audit | BookVoid)
        ]
        self.told.clear()
        return told


EQUAL = ("equal", 4, 0, "")


def test_a_book_is_audited_now_and_then_and_never_with_the_others() -> None:
    rig = Rig()
    asked = []
    for _ in range(20):
        rig.due()
        asked.append(rig.now)
        rig.answer()
    assert SECOND * 90 <= asked[0] <= SECOND * 901
    gaps = [b - a for a, b in pairwise(asked)]
    assert all(809 * SECOND <= gap <= 991 * SECOND for gap in gaps)
    assert len(set(gaps)) > 10
    assert rig.audits() == [EQUAL] * 20
    view = rig.stream.view
    assert (view.audits, view.audits_equal, view.score) == (20, 20, 1.0)


def test_an_audit_says_of_which_book_it_speaks() -> None:
    rig = Rig().due().answer()
    (told,) = (e for e in rig.told if isinstance(e, Audit))
    assert (told.epoch, told.seq, told.score, told.symbol) == (1, 5, 1.0, "A-B")


def test_a_book_is_compared_as_it_was_and_not_as_it_is() -> None:
    rig = Rig().due()
    rig.delta(6, ((10.0, 3.0),)).delta(7, ((9.0, 0.0),), ((11.5, 2.0),))
    rig.answer(6, ((10.0, 3.0), (9.0, 1.0)))
    assert rig.audits() == [EQUAL]


def test_one_difference_voids_a_book_that_has_numbers() -> None:
    rig = Rig().due().answer(5, ((10.0, 2.0), (9.0, 1.0)))
    said = "10.0: 2.0 there, 1.0 here"
    assert rig.audits() == [("differs", 4, 1, said), ("BookVoid", f"audit: {said}")]
    assert rig.sync.state == "waiting"
    assert rig.stream.view.score == 0.0
    (gap,) = [e for e in rig.told if isinstance(e, Gap)] or [None]
    assert gap is None  # `audits` took it


def test_a_difference_is_a_gap_of_the_book() -> None:
    rig = Rig().due().answer(5, ((10.0, 2.0), (9.0, 1.0)))
    (gap,) = (e for e in rig.told if isinstance(e, Gap))
    assert (gap.cause, gap.epoch, gap.channel) == ("audit", 1, "book")


def test_an_answer_ahead_of_the_stream_waits_for_it() -> None:
    rig = Rig().due().answer(7, ((10.0, 3.0), (9.0, 1.0)))
    assert rig.audits() == []
    rig.delta(6).delta(7, ((10.0, 3.0),)).wait(0.25)
    assert rig.audits() == [EQUAL]


def test_T04_a_stream_that_stays_behind_is_muted() -> None:
    rig = Rig().due().answer(7).wait(BEHIND_NS / SECOND)
    said = "REST knows update 7, the stream stopped at 5"
    assert rig.audits() == [("differs", 0, 0, said), ("BookVoid", f"audit: {said}")]


def test_an_answer_from_before_is_unclear() -> None:
    rig = Rig().due().answer(4)
    assert rig.audits() == [("unclear", 0, 0, "REST shows update 4, from before 5")]
    assert rig.stream.view.audits == 0
    rig.due().answer()
    assert rig.audits() == [EQUAL]


@pytest.mark.parametrize("how", ["refused", "failed", "unreadable"])
def test_no_book_is_unclear(how: str) -> None:
    rig = Rig().due()
    if how == "unreadable":
        with pytest.raises(ValueError, match="no book"):
            rig.auditing.on_reply(rig.fetches.pop().token, 200, b"", rig.now)
        rig.wait(0.25)
    elif how == "failed":
        assert rig.auditing.on_failure(rig.fetches.pop().token, rig.now)
        assert not rig.auditing.on_failure(99, rig.now)
        rig.wait(0.25)
    else:
        rig.answer(status=500)
    assert rig.audits() == [("unclear", 0, 0, "REST gave no book")]


def test_an_answer_that_does_not_come_ends_the_audit() -> None:
    rig = Rig().due()
    assert rig.fetches[0].wanted()
    rig.wait(MAX_AGE_NS / SECOND + 0.25)
    assert rig.audits() == [("unclear", 0, 0, "the answer took too long")]
    assert not rig.fetches[0].wanted(), "I8: where it still waits for its turn, it is not made"
    assert not rig.auditing.on_reply(rig.fetches.pop().token, 200, b"", rig.now)
    assert rig.sync.memory is None


def test_so_much_that_changes_meanwhile_is_unclear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "MAX_CHANGED", 1)
    rig = Rig().due()
    rig.delta(6, ((10.0, 3.0), (9.0, 2.0))).wait(0.25)
    assert rig.audits() == [("unclear", 0, 0, "the answer took too long")]
    rig = Rig().due()
    rig.delta(6, ((10.0, 3.0), (9.0, 2.0))).answer(6)
    assert rig.audits() == [("unclear", 0, 0, "too much has changed meanwhile")]


def test_a_book_that_is_not_live_any_more_is_not_judged() -> None:
    rig = Rig().due()
    rig.sync.doubt("sequence", "hole", 1)
    rig.wait(0.25)
    assert not rig.auditing.on_reply(rig.fetches.pop().token, 200, b"", rig.now)
    assert [v for v, *_ in rig.audits()] == ["BookVoid"]
    rig = Rig().due()
    rig.sync.doubt("sequence", "hole", 1)
    rig.begin(seq=6).wait(0.25)
    rig.fetches.clear()
    rig.due().answer(6)
    assert rig.audits() == [EQUAL]


def test_a_book_dropped_is_audited_no_more() -> None:
    rig = Rig().due()
    del rig.books["AB"]
    rig.wait(0.25)
    assert not rig.auditing.on_reply(rig.fetches.pop().token, 200, b"", rig.now)


def test_a_book_without_numbers_is_wrong_after_three_audits_in_a_row() -> None:
    rig = Rig(PLAIN)
    wrong = ((10.0, 2.0), (9.0, 1.0))
    for _ in range(IN_A_ROW - 1):
        rig.due().answer(0, wrong).wait(2.25)
    assert [v for v, *_ in rig.audits()] == ["differs", "differs"]
    rig.due().answer(0).wait(2.25)
    assert rig.audits() == [EQUAL]
    for _ in range(IN_A_ROW):
        assert rig.sync.state == "live"
        rig.due().answer(0, wrong).wait(2.25)
    assert [v for v, *_ in rig.audits()] == ["differs"] * 3 + ["BookVoid"]
    assert rig.asks == 1
    assert rig.stream.view.score == 1 / 6


def test_of_a_book_without_numbers_what_changed_around_is_not_judged() -> None:
    """Before the question, since answers may be old; after the answer, since the stream may be late."""
    rig = Rig(PLAIN)
    rig.due().delta(1, ((10.0, 4.0),)).answer(0, ((10.0, 6.0), (9.5, 1.0), (9.0, 1.0))).wait(1)
    assert rig.audits() == []
    rig.delta(2, ((9.5, 1.0),)).wait(1.25)
    assert rig.audits() == [("equal", 3, 0, "")]


def test_a_book_of_which_nothing_stayed_is_not_judged() -> None:
    rig = Rig(PLAIN)
    rig.due().delta(1, ((10.0, 4.0), (9.0, 4.0)), ((11.0, 4.0), (12.0, 4.0))).answer(0).wait(2.25)
    assert rig.audits() == [("unclear", 0, 0, "every level changed")]
    assert rig.stream.view.audits == 0


def test_of_a_book_cut_to_a_depth_the_better_half_is_compared() -> None:
    """Levels go in and out at its end."""
    rig = Rig(structs.replace(PLAIN, depths=(4,)), depth=4)
    rig.begin(tuple((float(p), 1.0) for p in (10, 9, 8, 7)), tuple((float(p), 1.0) for p in (11, 12, 13, 14)))
    shown = tuple((float(p), 1.0) for p in (10, 9, 3, 2)), tuple((float(p), 1.0) for p in (11, 12, 20, 21))
    rig.due().answer(0, *shown).wait(2.25)
    assert rig.audits() == [EQUAL]


# Probes


def test_T05_a_probe_is_an_audit_now_and_one_more_a_minute_later() -> None:
    rig = Rig()
    verdicts: list[str] = []
    assert rig.auditing.probe("AB", verdicts.append, rig.now)
    rig.wait(0.25).answer()
    assert verdicts == ["equal"]
    rig.wait(QUIET_NS / SECOND - 0.25)
    assert not rig.fetches
    rig.wait(0.5).answer()
    assert verdicts == ["equal"]
    rig.wait(QUIET_NS / SECOND + 1)
    assert not rig.fetches


def test_a_probe_joins_an_audit_under_way() -> None:
    rig = Rig().due()
    verdicts: list[str] = []
    assert rig.auditing.probe("AB", verdicts.append, rig.now)
    assert len(rig.wait(0.25).fetches) == 1
    rig.answer(5, ())
    assert verdicts == ["differs"]


def test_a_book_that_is_not_live_cannot_be_probed() -> None:
    rig = Rig()
    assert not rig.auditing.probe("XY", print, rig.now)
    rig.sync.doubt("sequence", "hole", 1)
    assert not rig.auditing.probe("AB", print, rig.now)


# How far a book is known (P26)


def ladder(best: int, n: int, step: int) -> tuple[tuple[float, float], ...]:
    return tuple((float(best + i * step), 1.0) for i in range(n))


def far() -> Rig:
    """A book of which REST has shown eight levels a side, from 100 and 101."""
    rig = Rig(WINDOW)
    rig.sync.doubt("sequence", "anew", 1)
    return rig.begin(ladder(100, 8, -1), ladder(101, 8, 1), 6)


def test_P26_a_book_known_in_part_says_so_and_learns_more_with_its_next_update() -> None:
    rig = far()
    view = rig.stream.view
    assert view.depth == 8
    # the market falls: the best five bids go, and one is heard of beyond what REST has shown
    rig.delta(7, (*((p, 0.0) for p, _ in ladder(100, 5, -1)), (90.0, 2.0))).wait(LOOK_NS / SECOND)
    assert view.depth == 3
    assert [p for p, _ in view.bids()] == [95.0, 94.0, 93.0, 90.0]
    rig.due().answer(7, (*ladder(95, 5, -1), (90.0, 2.0), (89.0, 1.0), (88.0, 1.0)), ladder(101, 8, 1))
    assert [v for v, *_ in rig.audits()] == ["equal"]
    rig.delta(8, ((94.0, 5.0), (89.0, 4.0)))
    (told,) = (e for e in rig.told if isinstance(e, BookDelta))
    assert told.bids == ((92.0, 1.0), (91.0, 1.0), (89.0, 1.0), (88.0, 1.0), (94.0, 5.0), (89.0, 4.0))
    assert (told.prev_seq, told.seq) == (7, 8)
    assert rig.sync.edges == (88.0, 108.0)
    rig.wait(LOOK_NS / SECOND)
    assert view.depth == 8
    assert view.live


def test_P26_what_changed_after_the_picture_is_not_learned_from_it() -> None:
    rig = far().delta(7, tuple((p, 0.0) for p, _ in ladder(100, 5, -1))).due()
    rig.delta(8, ((92.0, 0.0), (91.0, 7.0)))
    rig.answer(7, ladder(95, 8, -1), ladder(101, 8, 1)).delta(9)
    assert dict(rig.stream.view.bids()) == {95: 1, 94: 1, 93: 1, 91: 7, 90: 1, 89: 1, 88: 1}


def test_P26_a_picture_that_is_whole_makes_the_book_whole() -> None:
    rig = far().delta(7, tuple((p, 0.0) for p, _ in ladder(100, 5, -1))).due()
    rig.answer(7, ladder(95, 4, -1), (*ladder(101, 7, 1), (108.0, 1.0))).delta(8)
    assert rig.sync.edges == (None, 108.0)
    rig = far().delta(7, tuple((p, 0.0) for p, _ in ladder(100, 5, -1))).due()
    rig.delta(8, asks=((108.0, 0.0),)).answer(8, ladder(95, 4, -1), ladder(101, 7, 1)).delta(9)
    assert rig.sync.edges == (None, None)
    assert rig.sync.known() is None
    assert rig.stream.view.depth == 0


def test_P26_nothing_to_learn_is_nothing_told() -> None:
    rig = far().due().answer(6, ladder(100, 8, -1), ladder(101, 8, 1))
    assert rig.sync.memory is None
    assert rig.sync.edges == (93.0, 108.0)


def test_a_side_known_further_than_a_picture_stays_so() -> None:
    rig = far().delta(7, ((100.5, 1.0),), ((100.9, 1.0),)).due()
    rig.answer(7, ((100.5, 1.0), *ladder(100, 7, -1)), ((100.9, 1.0), *ladder(101, 7, 1)))
    assert rig.sync.edges == (93.0, 108.0)


def learned() -> Rig:
    """One whose next update is to bring what an audit has learned."""
    rig = far().delta(7, tuple((p, 0.0) for p, _ in ladder(100, 5, -1))).due()
    rig.answer(7, ladder(95, 8, -1), ladder(101, 8, 1))
    assert rig.sync.memory is not None
    assert rig.sync.memory.learned is not None
    rig.told.clear()
    return rig


@pytest.mark.parametrize(
    ("seq", "size", "verdict"),
    [(7, 1.0, "equal"), (7, 2.0, "differs"), (8, 1.0, "differs"), (6, 1.0, "unclear")],
    ids=["quiet", "wrong", "moved on", "old"],
)
def test_T04_T05_a_market_can_be_asked_about_before_what_was_learned_is_told(
    seq: int, size: float, verdict: str
) -> None:
    rig = learned()
    verdicts: list[str] = []
    assert rig.auditing.probe("AB", verdicts.append, rig.now)
    rig.wait(0.25).answer(seq, ((95, 1.0), (94, size), *ladder(93, 6, -1)), ladder(101, 8, 1)).wait(3)
    assert verdicts == [verdict]
    if verdict in ("equal", "unclear"):
        rig.delta(8, ((95, 3.0),))
        assert {94.0, 93.0} <= {price for price, _ in rig.sync.book.bids.all()}  # what was learned is not lost


@pytest.mark.parametrize("how", ["dropped", "void", "changed"])
def test_T04_whoever_asks_about_a_book_is_told_whatever_happens(how: str) -> None:
    rig = Rig()
    verdicts: list[str] = []
    assert rig.auditing.probe("AB", verdicts.append, rig.now)
    if how == "dropped":
        rig.books.clear()
    elif how == "void":
        rig.sync.doubt("sequence", "a hole", 1)
    else:
        rig = learned()
        assert rig.auditing.probe("AB", verdicts.append, rig.now)
        rig.wait(0.25).delta(8)
    rig.wait(0.25)
    assert verdicts == ["unclear"]


def test_P26_a_book_that_ran_from_all_that_is_known_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketfeed.sync.FEWEST", 4)
    rig = far().delta(7, tuple((p, 0.0) for p, _ in ladder(100, 5, -1))).due()
    rig.answer(7, ladder(95, 8, -1), ladder(101, 8, 1)).delta(8)
    rig.audits()
    rig.delta(9, tuple((p, 0.0) for p, _ in ladder(95, 6, -1))).wait(LOOK_NS / SECOND)
    assert rig.audits() == [("BookVoid", "audit: 2 levels of a side are known, and REST has shown no more")]
    assert FEWEST == 20


def test_P26_where_rest_shows_nothing_newer_as_of_a_capture_the_depth_alone_tells() -> None:
    rig = far()
    rig.delta(7, tuple((p, 0.0) for p, _ in ladder(100, 8, -1))).wait(LOOK_NS / SECOND)
    assert rig.sync.state == "live"
    assert rig.sync.stream.view.depth == 1


@given(st.integers(0, 2**32))
def test_I3_P26_what_is_known_of_a_drifting_book_is_true(seed: int) -> None:
    """A market of forty levels drifts; REST shows eight a side. Levels inside what is known are those of the market."""
    dice = random.Random(seed)
    true: list[Side] = [{float(p): 1.0 for p in range(61, 101)}, {float(p): 1.0 for p in range(101, 141)}]

    def shown() -> tuple[Any, Any]:
        return levels(true[0], asks=False)[:8], levels(true[1], asks=True)[:8]

    rig = Rig(WINDOW)
    rig.sync.doubt("sequence", "anew", 1)
    rig.begin(*shown(), 6)
    seq = 6
    for _ in range(dice.randrange(5, 60)):
        seq += 1
        side = dice.randrange(2)
        best = (min if side else max)(true[side])
        if dice.random() < 0.6:  # the market moves into this side
            changes = {best: 0.0, dice.choice(list(true[side])): float(dice.randrange(1, 5))}
            changes[best] = 0.0
        else:
            changes = {dice.choice(list(true[side])): float(dice.randrange(1, 5))}
        true[side].update(changes)
        true[side] = {p: s for p, s in true[side].items() if s}
        if len(true[side]) < 10:
            break
        rig.delta(seq, *((), tuple(changes.items())) if side else (tuple(changes.items()), ()))
        if dice.random() < 0.3 and rig.sync.state == "live" and not rig.fetches:
            rig.auditing.probe("AB", lambda verdict: None, rig.now)
            rig.wait(0.25)
        elif rig.fetches and dice.random() < 0.5:
            rig.answer(seq, *shown())
            assert not [v for v, *_ in rig.audits() if v == "differs"]
        rig.delta(seq := seq + 1)
        bid_edge, ask_edge = rig.sync.edges
        view = rig.stream.view
        if not view.live:
            return
        assert [v for v in view.bids() if bid_edge is None or v[0] >= bid_edge] == [
            v for v in levels(true[0], asks=False) if bid_edge is None or v[0] >= bid_edge
        ]
        assert [v for v in view.asks() if ask_edge is None or v[0] <= ask_edge] == [
            v for v in levels(true[1], asks=True) if ask_edge is None or v[0] <= ask_edge
        ]


# In a session, at each venue


def at_binance(**care: Any) -> Talk:
    made = Talk(binance.VENUE, "BTC-USDT", native=lambda s: s.replace("-", ""), **care).open()
    made.session.accepted("book", "BTCUSDT")
    made.frame(depth_update(5)).reply(REST).take()
    return made


REST = {"lastUpdateId": 4, "bids": [["10", "1"], ["9", "1"]], "asks": [["11", "1"], ["12", "1"]]}


def depth_update(seq: int, **more: Any) -> Any:
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": seq, "u": seq, "b": [], "a": [], **more}
    return {"stream": "btcusdt@depth@100ms", "data": data}


def binance_trade(number: int) -> Any:
    data = {"e": "trade", "E": number, "s": "BTCUSDT", "t": number, "p": "1.5", "q": "2", "T": number, "m": True}
    return {"stream": "btcusdt@trade", "data": data}


def verdicts(talk: Talk) -> list[str]:
    return [e.verdict for e in talk.take() if isinstance(e, Audit)]


def until_asked(talk: Talk) -> Talk:
    for seq in range(6, 200):
        if talk.fetches:
            return talk
        talk.frame(depth_update(seq)).wait(0.5)
    raise AssertionError("no audit")


def test_a_session_audits_its_books_in_the_background() -> None:
    talk = until_asked(at_binance(audit_s=20.0))
    (fetch,) = talk.fetches
    assert fetch.background
    assert fetch.request == Request("/api/v3/depth?symbol=BTCUSDT&limit=1000", weight=50)
    talk.reply({**REST, "lastUpdateId": talk.session.books["BTCUSDT"].seq}).wait(0.25)
    assert verdicts(talk) == ["equal"]


@pytest.mark.parametrize("audit_s", [0.0, None])
def test_a_session_that_is_not_to_audit_asks_nothing(audit_s: float | None) -> None:
    talk = at_binance(**({} if audit_s is None else {"audit_s": audit_s}))
    for seq in range(6, 100):
        talk.frame(depth_update(seq)).wait(10)
        assert not talk.fetches


def test_P01_an_answer_that_cannot_be_read_is_told_and_the_outcome_unclear() -> None:
    talk = until_asked(at_binance(audit_s=20.0)).reply(b"[{]").wait(0.25)
    told = talk.take()
    assert [type(e) for e in told if isinstance(e, Malformed | Audit)] == [Malformed, Audit]
    assert not [e for e in told if isinstance(e, BookVoid)]


def test_a_call_that_fails_in_a_session_is_unclear() -> None:
    talk = until_asked(at_binance(audit_s=20.0))
    talk.session.on_failure(talk.fetches.pop().token, talk.mono_ns, "timeout")
    talk.wait(0.25)
    assert verdicts(talk) == ["unclear"]


def test_a_book_that_is_wrong_is_fetched_again() -> None:
    talk = until_asked(at_binance(audit_s=20.0))
    talk.take()
    seq = talk.session.books["BTCUSDT"].seq
    talk.reply({**REST, "lastUpdateId": seq, "asks": [["11", "2"]]}).wait(0.25)
    assert [type(e) for e in talk.take() if isinstance(e, Audit | BookVoid)] == [Audit, BookVoid]
    talk.frame(depth_update(seq + 1)).wait(0.25).reply({**REST, "lastUpdateId": seq})
    assert [e.epoch for e in talk.take() if isinstance(e, BookSnapshot)] == [2]


def picture(venue: Any, exact: bool, body: Any) -> Picture[Any]:
    made = Talk(venue, "BTC-USD", channels=("book",), exact=exact)
    decoder: Any = made.session._decoder
    shown: Picture[Any] = decoder.audit_picture("BTC-USD", body if isinstance(body, bytes) else mf.encode_json(body))
    return shown


BODIES: dict[str, tuple[Any, int, Any]] = {
    "binance": (binance.VENUE, 7, {"lastUpdateId": 7, "bids": [["10.50", "1.0"]], "asks": [["11.5", "2.00"]]}),
    "coinbase": (
        coinbase.VENUE,
        0,
        {
            "pricebook": {
                "product_id": "BTC-USD",
                "bids": [{"price": "10.50", "size": "1.0"}],
                "asks": [{"price": "11.5", "size": "2.00"}],
                "time": "2026-04-07T00:28:59.662782Z",
            }
        },
    ),
    "kraken": (
        kraken.VENUE,
        0,
        {"error": [], "result": {"XXBTZUSD": {"asks": [["11.5", "2.00", 1699999999]], "bids": [["10.50", "1.0", 1]]}}},
    ),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("venue", sorted(BODIES))
def test_a_venues_book_over_rest(venue: str, exact: bool) -> None:
    record, seq, body = BODIES[venue]
    number: Callable[[str], Any] = Decimal if exact else float
    shown = picture(record, exact, body)
    assert shown == Picture(seq, ((number("10.50"), number("1.0")),), ((number("11.5"), number("2.00")),))
    assert type(shown.bids[0][0]) is (Decimal if exact else float)


def test_an_error_in_place_of_krakens_book() -> None:
    with pytest.raises(ValueError, match="EGeneral:Too many requests"):
        picture(kraken.VENUE, False, {"error": ["EGeneral:Too many requests"]})
    with pytest.raises(ValueError, match="without a book"):
        picture(kraken.VENUE, False, {"error": [], "result": {}})


@pytest.mark.parametrize(("error", "relists"), [("EQuery:Unknown asset pair", 1), ("EAPI:Rate limit exceeded", 0)])
def test_P29_a_pair_that_rest_does_not_know_has_the_list_read_again_and_another_error_has_not(
    error: str, relists: int
) -> None:
    talk = Talk(kraken.VENUE, "BTC-USD", channels=("book",), native=lambda s: s.replace("-", "/"), audit_s=60.0).open()
    talk.frame(SNAPSHOT)
    while not talk.fetches:
        talk.frame({"channel": "heartbeat"}).wait(1)
    talk.reply({"error": [error]})
    assert talk.relists == relists
    assert [e.reason for e in talk.take() if isinstance(e, Malformed)] == [f"an answer over REST: {error}"]


@pytest.mark.parametrize("venue", sorted(BODIES))
def test_P07_hostile_numbers_in_a_book_over_rest(venue: str) -> None:
    record, _, body = BODIES[venue]
    with pytest.raises(ValueError, match=r"."):
        picture(record, False, mf.encode_json(body).replace(b"2.00", b"1e-400"))


@pytest.mark.parametrize(
    ("venue", "path"),
    [
        (kraken.VENUE, "/0/public/Depth?pair=XBT%2FUSD&count=50"),
        (coinbase.VENUE, "/api/v3/brokerage/market/product_book?product_id=BTC%2FUSD&limit=50"),
    ],
)
def test_what_a_venue_is_asked_for(venue: Any, path: str) -> None:
    decoder: Any = Talk(venue, "BTC-USD", channels=("book",)).session._decoder
    assert decoder.audit_request("BTC/USD").path == path


# Quiet markets (T05)


def lively(**care: Any) -> Talk:
    """A book of Binance that has told something each second, and nothing else."""
    made = Talk(binance.VENUE, "BTC-USDT", native=lambda s: s.replace("-", ""), channels=("book",), **care).open()
    made.session.accepted("book", "BTCUSDT")
    made.frame(depth_update(5)).reply(REST)
    for seq in range(6, 40):
        made.frame(depth_update(seq)).wait(1)
    made.take()
    return made


def until_fetch(talk: Talk, seconds: float) -> Talk:
    for _ in range(round(seconds * 4)):
        if talk.fetches or talk.closed:
            return talk
        talk.wait(0.25)
    raise AssertionError("nothing is asked")


def test_T05_a_market_that_fell_silent_is_asked_about_and_left_alone_where_it_is_quiet() -> None:
    talk = lively(audit_s=1e6)
    for _ in range(3):
        until_fetch(talk, 90)
        assert not talk.closed
        talk.reply({**REST, "lastUpdateId": 39}).wait(0.25)
    told = talk.take()
    assert [e.verdict for e in told if isinstance(e, Audit)] == ["equal"] * 3
    assert [type(e) for e in told if isinstance(e, Stale | BookVoid | Gap)] == []
    assert not talk.closed
    assert talk.session.books["BTCUSDT"].state == "live"


def test_T04_one_whose_book_moves_on_over_rest_is_given_up() -> None:
    talk = until_fetch(lively(audit_s=1e6), 90)
    talk.reply({**REST, "lastUpdateId": 45}).wait(BEHIND_NS / SECOND + 0.25)
    told = talk.take()
    assert [e.verdict for e in told if isinstance(e, Audit)] == ["differs"]
    assert [e.reason.partition(":")[0] for e in told if isinstance(e, BookVoid)]
    assert talk.closed or talk.sent[-1]["method"] == "UNSUBSCRIBE"


def test_a_book_asked_for_again_while_it_is_probed_is_not_muted_too() -> None:
    talk = until_fetch(lively(audit_s=1e6), 90)
    talk.session.dropped("book", "BTCUSDT")
    talk.wait(0.5)
    assert not [e for e in talk.take() if isinstance(e, Stale)]


def test_T04_one_of_which_rest_says_nothing_is_given_up() -> None:
    talk = until_fetch(lively(audit_s=1e6), 90)
    talk.reply({}, status=503).wait(0.5)
    assert talk.closed or talk.sent[-1]["method"] == "UNSUBSCRIBE"


def test_without_audits_a_silent_market_is_judged_by_its_pace() -> None:
    talk = until_fetch_or_stale(lively())
    assert not talk.fetches


def until_fetch_or_stale(talk: Talk) -> Talk:
    for _ in range(400):
        if talk.closed or [e for e in talk.events if isinstance(e, Stale)]:
            return talk
        talk.wait(0.25)
    raise AssertionError("neither")


# Over loopback


@pytest.mark.parametrize("venue", VENUES)
def test_I3_live_books_are_equal_to_what_rest_shows(venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A market that steps by the clock: one that runs as fast as it can is ahead of its own stream."""
    monkeypatch.setattr(audit_module, "AROUND_NS", SECOND // 2)

    @plain
    async def run() -> None:
        symbol = SYMBOLS[venue][0]
        async with sim.Simulator([venue], seed=3, rate=100, symbols=[symbol]) as plant:
            at = plant.endpoints[venue]
            async with mf.Feed({venue: mf.VenueSettings(ws=at.ws, rest=at.rest, audit_s=0.5)}) as feed:
                told: list[Audit] = []
                feed.on(Audit, told.append)
                feed.subscribe(f"{venue}:{symbol}", book=100 if venue == "kraken" else True)
                await until(lambda: told, 20)
                assert told[0].verdict == "equal"
                assert told[0].levels >= 10
                view = feed.book(f"{venue}:{symbol}")
                assert (view.live, view.epoch, view.audits, view.score) == (True, 1, 1, 1.0)
                assert not plant.breaches

    run()


@plain
async def test_a_book_that_is_not_the_venues_is_voided_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "FULL_EVERY", 10**9)  # it would see at once what is spoiled here
    async with bench("binance", care={"audit_s": 1.0}) as b:
        await b.recovered()
        view = b.feed.book(f"binance:{b.first}")

        def found() -> bool:
            if b.audit.of(BookVoid):
                return True
            bids = view.book.bids
            price, size = bids.best(bids.count - 3)[-1]  # far from where the market would set it right
            bids.apply([(price, size + 1 - size % 1)])
            return False

        await b.until(found, 20)
        (void,) = b.audit.of(BookVoid)
        assert (void.symbol, void.reason.partition(":")[0]) == (b.first, "audit")
        assert b.audit.of(Audit, symbol=b.first)[-1].verdict == "differs"
        await b.until(lambda: b.epochs(b.first) == [1, 2] and view.live)
        assert view.score < 1
