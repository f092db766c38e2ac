"""A book with its right to be believed: right, or it says that it is not."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from marketfeed.errors import BookNotTrusted, ConfigError
from marketfeed.events import BookDelta, BookSnapshot, BookVoid, Connected
from marketfeed.trusted_book import TrustedBook

BIDS = ((99.0, 1.0), (98.0, 2.0), (97.0, 4.0))
ASKS = ((101.0, 2.0), (102.0, 3.0), (104.0, 5.0))


def snapshot(epoch: int = 1, seq: int = 10, bids: Any = BIDS, asks: Any = ASKS) -> BookSnapshot[Any]:
    return BookSnapshot(
        venue="v", symbol="A-B", ts_event=7, ts_recv=8, epoch=epoch, seq=seq, depth=3, bids=bids, asks=asks
    )


def delta(seq: int, prev: int, bids: Any = (), asks: Any = (), epoch: int = 1) -> BookDelta[Any]:
    return BookDelta(
        venue="v", symbol="A-B", ts_event=9, ts_recv=11, epoch=epoch, seq=seq, prev_seq=prev, bids=bids, asks=asks
    )


def live(bids: Any = BIDS, asks: Any = ASKS) -> TrustedBook[Any]:
    book: TrustedBook[Any] = TrustedBook("v:A-B:book")
    book.apply(snapshot(bids=bids, asks=asks))
    return book


READS: dict[str, Callable[[TrustedBook[Any]], Any]] = {
    "best": lambda b: b.best(),
    "bids": lambda b: b.bids(),
    "asks": lambda b: b.asks(2),
    "depth_to": lambda b: b.depth_to("buy", 102.0),
    "vwap": lambda b: b.vwap("buy", 1.0),
    "imbalance": lambda b: b.imbalance(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "book v:A-B:book is unsynced: no snapshot yet"),
        ([snapshot(), BookVoid(venue="v", symbol="A-B", epoch=1, reason="link lost")], "is void: link lost"),
        ([snapshot(), delta(12, 11)], "is void: missed 10 to 11"),
        ([delta(11, 10)], "is unsynced"),
    ],
    ids=["nothing yet", "void", "missed a delta", "delta alone"],
)
def test_reading_an_unproven_book_is_refused(
    read: Callable[[TrustedBook[Any]], Any], events: list[Any], words: str
) -> None:
    book: TrustedBook[Any] = TrustedBook("v:A-B:book")
    for event in events:
        book.apply(event)
    assert not book.live
    assert book.top() is None
    with pytest.raises(BookNotTrusted, match=words):
        read(book)


def test_a_live_book_answers() -> None:
    book = live()
    assert book.live
    assert book.best() == ((99.0, 1.0), (101.0, 2.0))
    assert book.top() == ((99.0, 1.0), (101.0, 2.0))
    assert book.bids() == list(BIDS)
    assert book.asks(2) == list(ASKS[:2])
    assert book.asks(0) == []
    assert (book.epoch, book.seq, book.depth, book.ts_event, book.ts_recv) == (1, 10, 3, 7, 8)
    assert not book.crossed


@pytest.mark.parametrize(
    ("bids", "asks", "best", "top"),
    [
        ((), (), (None, None), None),
        (BIDS, (), ((99.0, 1.0), None), None),
        ((), ASKS, (None, (101.0, 2.0)), None),
    ],
)
def test_an_empty_side_is_none(bids: Any, asks: Any, best: Any, top: Any) -> None:
    assert live(bids, asks).best() == best
    assert live(bids, asks).top() == top


@pytest.mark.parametrize(
    ("side", "price", "total"),
    [
        ("buy", 101.0, 2.0),
        ("buy", 103.0, 5.0),
        ("buy", 100.0, 0.0),
        ("sell", 98.0, 3.0),
        ("sell", 0.0, 7.0),
        ("sell", 99.5, 0.0),
    ],
)
def test_depth_to_a_price(side: Any, price: float, total: float) -> None:
    assert live().depth_to(side, price) == total


@pytest.mark.parametrize(
    ("side", "size", "average"),
    [
        ("buy", 1.0, 101.0),
        ("buy", 2.0, 101.0),
        ("buy", 4.0, 101.5),
        ("buy", 11.0, None),
        ("sell", 3.0, 295 / 3),
        ("sell", 7.0, (99 + 196 + 388) / 7),
    ],
)
def test_vwap(side: Any, size: float, average: float | None) -> None:
    assert live().vwap(side, size) == average


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), Decimal(0)])
def test_vwap_of_nothing_is_a_mistake_in_the_call(size: Any) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        live().vwap("buy", size)


def test_exact_books_answer_in_exact_numbers() -> None:
    book = live([(Decimal("1.1"), Decimal("0.1"))], [(Decimal("1.3"), Decimal("0.3"))])
    assert book.vwap("buy", Decimal("0.3")) == Decimal("1.3")
    assert book.depth_to("sell", Decimal(1)) == Decimal("0.1")
    assert isinstance(book.depth_to("buy", Decimal(1)), Decimal)


@pytest.mark.parametrize(
    ("bids", "asks", "n", "value"),
    [(BIDS, ASKS, 1, -1 / 3), (BIDS, ASKS, 5, -3 / 17), (BIDS, (), 5, 1.0), ((), (), 5, None)],
)
def test_imbalance(bids: Any, asks: Any, n: int, value: float | None) -> None:
    assert live(bids, asks).imbalance(n) == value


def test_deltas_move_the_book_and_its_seq_together() -> None:
    book = live()
    book.apply(delta(12, 10, bids=((99.0, 0.0), (98.5, 1.0)), asks=((101.0, 7.0),)))
    assert book.bids() == [(98.5, 1.0), (98.0, 2.0), (97.0, 4.0)]
    assert book.best() == ((98.5, 1.0), (101.0, 7.0))
    assert (book.seq, book.ts_event, book.ts_recv) == (12, 9, 11)


def test_I1_a_delta_of_an_older_epoch_changes_nothing() -> None:
    book = live()
    book.apply(snapshot(epoch=2, seq=20))
    book.apply(delta(11, 10, bids=((99.0, 5.0),)))
    assert book.live
    assert book.bids() == list(BIDS)


def test_I1_a_delta_of_a_newer_epoch_means_that_its_snapshot_was_missed() -> None:
    book = live()
    book.apply(delta(21, 20, epoch=2))
    assert (book.state, book.reason) == ("void", "missed the snapshot of epoch 2")


def test_a_snapshot_restores_trust() -> None:
    book = live()
    book.doubt("for a test")
    assert book.last_known.bids(1) == [BIDS[0]]
    book.apply(snapshot(epoch=2, seq=1, bids=((1.0, 1.0),)))
    assert book.live
    assert (book.epoch, book.seq, book.reason) == (2, 1, "")


def test_the_flagged_rest_is_for_display() -> None:
    book = live()
    book.doubt("gap")
    known = book.last_known
    assert (known.state, known.bids(1), known.asks(2)) == ("void", [BIDS[0]], list(ASKS[:2]))


def test_other_events_change_nothing() -> None:
    book = live()
    book.apply(Connected(venue="v", link="l"))
    assert book.live


def test_a_crossed_book_says_so() -> None:
    assert live(((102.0, 1.0),), ASKS).crossed


def test_a_trusted_book_shows_itself() -> None:
    assert repr(live()) == "<TrustedBook v:A-B:book live epoch=1 seq=10 <Book 3x3 [(99.0, 1.0)] [(101.0, 2.0)]>>"
