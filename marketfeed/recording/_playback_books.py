"""Books kept from recorded events: what of them may still be believed, and where that ends."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from ..book import Book
from ..errors import RecordingError
from ..events import BookDelta, BookSnapshot, BookVoid, Gap, Head
from ..trusted_book import TrustedBook

Market = tuple[str, str]
"""(venue, symbol)."""


class Hole(NamedTuple):
    """Here a source says that events received after `since` were not recorded; `last` that it has no more at all."""

    since: int
    last: bool = False


class Shelf:
    """Books by market, moved by `apply` and voided by `hole`. Sources are numbered, places are receive times."""

    def __init__(self) -> None:
        self.books: dict[Market, TrustedBook[Any]] = {}
        self.unproven: Counter[str] = Counter()
        """By venue, changes left out because their book was not live."""
        self._opened: dict[Market, tuple[int, int]] = {}

    def put(self, market: Market, book: TrustedBook[Any], source: int = 0, place: int = 0) -> None:
        """Keep this book from now on; if it is live, this source opened it at this place."""
        self.books[market] = book
        self._opened[market] = source, place

    def live(self) -> dict[Market, tuple[TrustedBook[Any], int]]:
        """The live books, and at which place each was opened."""
        return {market: (book, self._opened[market][1]) for market, book in self.books.items() if book.live}

    def apply(self, event: Head, source: int, place: int) -> Head | None:
        """Move the book of an event, if it is kept; what is to be told: the event, a `BookVoid`, or nothing."""
        market = event.venue, event.symbol
        book = self.books.get(market)
        if book is None:
            return event
        was_live = book.live
        book.apply(event)
        if isinstance(event, BookSnapshot):
            self._opened[market] = source, place
        elif isinstance(event, BookDelta) and not book.live:
            self.unproven[event.venue] += 1
            return _void(market, book, event.ts_recv, event.seq_local) if was_live else None
        return event

    def lack(self, gap: Gap) -> BookVoid | None:
        """Void the book of which a recorder could not keep an event: nothing but this gap tells of it."""
        market = gap.venue, gap.symbol
        book = self.books.get(market)
        if gap.cause != "rejected" or gap.channel != "book" or book is None or not book.live:
            return None
        book.apply(gap)
        return _void(market, book, gap.ts_recv, gap.seq_local)

    def hole(self, source: int, since: int, ts_recv: int, seq_local: int) -> Iterator[BookVoid]:
        """Void the books of a source that were opened up to `since`: they may have changed unseen."""
        for market, (opened_by, place) in self._opened.items():
            book = self.books.get(market)
            if book is not None and book.live and opened_by == source and place <= since:
                book.doubt("the recording has a hole")
                yield _void(market, book, ts_recv, seq_local)


def _void(market: Market, book: TrustedBook[Any], ts_recv: int, seq_local: int) -> BookVoid:
    venue, symbol = market
    return BookVoid(
        venue=venue, symbol=symbol, ts_recv=ts_recv, seq_local=seq_local, epoch=book.epoch, reason=book.reason
    )


def show(view: TrustedBook[Any], known: TrustedBook[Any]) -> None:
    """Make `view` a live book like `known`, of levels of its own."""
    book: Book[Any] = Book()
    book.bids.load(known.bids())
    book.asks.load(known.asks())
    view.opened(book, known.epoch, known.seq, known.depth, known.ts_event, known.ts_recv)


class Owners:
    """Which source tells which stream: two at once would tell everything twice."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = list(names)
        self._of: dict[tuple[str, str, str], int] = {}
        self._over: set[int] = set()

    def ended(self, source: int) -> None:
        """This one has no more; others may go on with its streams."""
        self._over.add(source)

    def check(self, stream: tuple[str, str, str], source: int) -> None:
        """Raise RecordingError where another source that goes on has told of this stream."""
        owner = self._of.setdefault(stream, source)
        if owner != source:
            if owner not in self._over:
                both = f"{self._names[owner]} and {self._names[source]}"
                raise RecordingError(f"{both} hold {':'.join(stream)} of the same time; play one of them")
            self._of[stream] = source
