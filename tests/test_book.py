"""A book against a slow and obvious one: a dict, sorted when asked."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.book import SWEEP, Book, BookSide


class Obvious:
    """What a side must show, written so that nobody can doubt it."""

    def __init__(self, asks: bool) -> None:
        self.asks = asks
        self.sizes: dict[Any, Any] = {}

    def apply(self, changes: list[tuple[Any, Any]]) -> None:
        for price, size in changes:
            self.sizes.pop(price, None)
            if size:
                self.sizes[price] = size

    def levels(self) -> list[tuple[Any, Any]]:
        return sorted(self.sizes.items(), reverse=not self.asks)


def numbers(kind: type) -> st.SearchStrategy[Any]:
    return st.integers(1, 40).map(lambda n: kind(n) / 4)


def changes(kind: type) -> st.SearchStrategy[list[tuple[Any, Any]]]:
    return st.lists(st.tuples(numbers(kind), st.just(kind(0)) | numbers(kind)), max_size=12)


NUMBERS = pytest.mark.parametrize("kind", [float, Decimal], ids=["float", "exact"])
SIDES = pytest.mark.parametrize("asks", [False, True], ids=["bids", "asks"])


@SIDES
@NUMBERS
@given(data=st.data())
def test_I4_a_side_is_what_the_obvious_one_is(kind: type, asks: bool, data: st.DataObject) -> None:
    side: BookSide[Any] = BookSide(asks=asks)
    obvious = Obvious(asks)
    start = data.draw(changes(kind))
    side.load(start, [f"{price}|{size}" for price, size in start])
    obvious.apply([(price, size) for price, size in start if size])
    for batch in data.draw(st.lists(changes(kind), max_size=6)):
        side.apply(batch)
        side.apply_texts(batch, [f"{price}|{size}" for price, size in batch])
        obvious.apply(batch)
        depth = data.draw(st.none() | st.integers(1, 10))
        if depth is not None:
            gone = side.truncate(depth)
            assert sorted(price for price, _ in gone) == sorted(price for price, _ in obvious.levels()[depth:])
            assert all(size == 0 and type(size) is kind for _, size in gone)
            obvious.apply(gone)
        levels = obvious.levels()
        assert list(side.all()) == levels
        assert side.best(3) == levels[:3]
        assert side.best_texts(3) == [f"{price}|{size}" for price, size in levels[:3]]
        assert len(side.texts) == side.count == len(levels)


@SIDES
@NUMBERS
def test_what_is_removed_away_from_the_touch_neither_shows_nor_piles_up(kind: type, asks: bool) -> None:
    side: BookSide[Any] = BookSide(asks=asks)
    obvious = Obvious(asks)
    dice = random.Random(7)
    most = 0
    for step in range(4000):
        # a few levels near the touch stay, many behind it come and go
        price = kind(dice.randint(1, 5) if dice.random() < 0.1 else dice.randint(100, 2000))
        price = price if asks else kind(3000) - price
        change = (price, kind(dice.choice([0, 0, 1, 2])))
        side.apply([change])
        obvious.apply([change])
        if step % 50 == 0:
            assert list(side.all()) == obvious.levels()
            assert side.count == len(obvious.sizes)
            most = max(most, side.count)
            assert len(side.keys) <= 2 * most + SWEEP
            assert len(side.keys) == len(side._levels)
    gone = side.truncate(10)
    assert sorted(price for price, _ in gone) == sorted(price for price, _ in obvious.levels()[10:])
    assert list(side.all()) == obvious.levels()[:10]
    side.apply([(price, kind(0)) for price, _ in obvious.levels()])
    assert (side.all(), side.best(1), side.count, side.keys) == ((), [], 0, [])


@SIDES
def test_ghosts_are_swept_after_as_many_calls_as_there_were_levels(asks: bool) -> None:
    side: BookSide[float] = BookSide(asks=asks)
    best = 0.5 if asks else 1e6
    many = [(float(price), 1.0) for price in range(1, 500)]
    side.apply([(best, 1.0), *many])
    side.apply([(price, 0.0) for price, _ in many])
    assert side.all() == ((best, 1.0),)
    for _ in range(500 + SWEEP):
        side.apply([(best, 2.0)])
    assert side.all() == ((best, 2.0),)
    assert len(side.keys) == 1


@SIDES
@given(data=st.data())
def test_I10_applying_a_change_twice_is_applying_it_once(asks: bool, data: st.DataObject) -> None:
    once: BookSide[float] = BookSide(asks=asks)
    twice: BookSide[float] = BookSide(asks=asks)
    for batch in data.draw(st.lists(changes(float), max_size=5)):
        once.apply(batch)
        twice.apply(batch)
        twice.apply(batch)
        assert once.all() == twice.all()


@SIDES
def test_P21_I11_removing_an_unknown_level_changes_nothing(asks: bool) -> None:
    side: BookSide[float] = BookSide(asks=asks)
    side.load([(1.0, 1.0)], ["a"])
    side.apply([(2.0, 0.0)])
    side.apply_texts([(2.0, 0.0)], ["b"])
    assert side.all() == ((1.0, 1.0),)
    assert side.best_texts(9) == ["a"]


def test_one_price_twice_in_a_message_is_applied_in_order() -> None:
    side: BookSide[float] = BookSide(asks=False)
    side.apply([(1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (2.0, 0.0)])
    assert side.all() == ((1.0, 2.0),)


def test_a_load_replaces_everything_and_a_size_of_0_is_no_level() -> None:
    side: BookSide[float] = BookSide(asks=True)
    side.load([(5.0, 1.0)], ["old"])
    side.load([(2.0, 1.0), (1.0, 0.0), (3.0, 4.0), (3.0, 5.0)], ["two", "one", "three", "later"])
    assert side.all() == ((2.0, 1.0), (3.0, 5.0))
    assert side.best_texts(5) == ["two", "later"]
    side.load([])
    assert side.all() == ()


@pytest.mark.parametrize("n", [0, -1])
def test_no_levels_asked_for_is_no_levels(n: int) -> None:
    side: BookSide[float] = BookSide(asks=False)
    side.load([(1.0, 1.0)])
    assert side.best(n) == []


def test_P26_truncating_drops_the_worst_and_says_which() -> None:
    bids: BookSide[Decimal] = BookSide(asks=False)
    bids.load([(Decimal(p), Decimal(1)) for p in (1, 2, 3, 4)])
    assert bids.truncate(4) == []
    assert sorted(bids.truncate(2)) == [(Decimal(1), Decimal(0)), (Decimal(2), Decimal(0))]
    assert [price for price, _ in bids.all()] == [4, 3]


def test_exact_prices_of_40_digits_are_not_rounded_by_their_side() -> None:
    long = Decimal("1234567890.123456789012345678901234567")
    asks: BookSide[Decimal] = BookSide(asks=True)
    asks.load([(long, Decimal(1))])
    assert asks.all() == ((long, Decimal(1)),)
    asks.apply([(long, Decimal(0))])
    assert asks.all() == ()


@pytest.mark.parametrize(
    ("bid", "ask", "crossed"),
    [(1.0, 2.0, False), (2.0, 2.0, False), (2.0, 1.0, True), (None, 1.0, False), (1.0, None, False)],
)
def test_P22_crossed_is_bid_above_ask_and_locked_is_not(bid: float | None, ask: float | None, crossed: bool) -> None:
    book: Book[float] = Book()
    book.bids.load([(bid, 1.0)] if bid else [])
    book.asks.load([(ask, 1.0)] if ask else [])
    assert book.crossed() is crossed


def test_a_book_shows_itself_in_short() -> None:
    book: Book[float] = Book()
    book.bids.load([(1.0, 2.0), (0.5, 1.0)])
    assert repr(book) == "<Book 2x0 [(1.0, 2.0)] []>"
