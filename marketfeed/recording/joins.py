"""Recorded trades, each with the quote that stood when it came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigError, MissingExtra
from ..events import BookDelta, BookSnapshot, BookVoid, Gap, Head, Ticker, Unsubscribed
from ..trusted_book import TrustedBook
from ._columns import EXACT, TIME
from .books import best, book_events, by_time, with_holes
from .times import Time, time_ns

try:
    import pyarrow as pa
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

if TYPE_CHECKING:
    from .dataset import Dataset

Quotes = Literal["book", "ticker"]
LOOK_BACK = 60 * 10**9
"""A ticker this much older than `start` still counts, in nanoseconds."""
_BOOK = (BookSnapshot, BookDelta, BookVoid)
_NONE = (None, None, None, None, None)
_Quote = tuple[Any, Any, Any, Any, int | None]


def trades_with_quotes(
    data: Dataset, venue: str, symbol: str, quotes: Quotes, start: Time | None, end: Time | None
) -> pa.Table:
    """See `Dataset.trades_with_quotes`."""
    if quotes not in {"book", "ticker"}:
        raise ConfigError(f"quotes={quotes!r}; there are book and ticker")
    first = None if start is None else time_ns(start)
    trades = data.table("trades", venue=venue, symbol=symbol, start=start, end=end)
    times = trades["ts_recv"].cast(pa.int64()).to_pylist()
    if quotes == "book":
        standing = _book_quotes(book_events(data, venue, symbol, first, end))
    else:
        since = None if first is None else max(first - LOOK_BACK, 0)
        standing = _ticker_quotes(with_holes(data, "ticker", venue, symbol, since, end))
    rows = _as_of(zip(times, trades["seq_local"].to_pylist(), strict=True), standing)
    number = EXACT if data._is_exact("trades") else pa.float64()
    for name, values in zip(("bid", "bid_size", "ask", "ask_size"), rows, strict=False):
        trades = trades.append_column(name, pa.array(values, number))
    return trades.append_column("ts_quote", pa.array(rows[-1], TIME))


def _as_of(trades: Iterable[tuple[int, int]], quotes: Iterator[tuple[tuple[int, int], _Quote]]) -> list[list[Any]]:
    """For each trade the quote that was told before it, as columns."""
    columns: list[list[Any]] = [[], [], [], [], []]
    standing: _Quote = _NONE
    following = next(quotes, None)
    for trade in trades:
        while following is not None and following[0] < trade:
            standing = following[1]
            following = next(quotes, None)
        for column, value in zip(columns, standing, strict=True):
            column.append(value)
    return columns


def _book_quotes(events: Iterator[Head]) -> Iterator[tuple[tuple[int, int], _Quote]]:
    book: TrustedBook[Any] = TrustedBook("")
    at = 0
    for event in events:
        if isinstance(event, _BOOK):
            book.apply(event)
            at = max(at, event.ts_recv)  # what waited for its snapshot is known with it
            yield (at, event.seq_local), (*best(book), book.ts_recv if book.live else None)


def _ticker_quotes(events: Iterator[Head]) -> Iterator[tuple[tuple[int, int], _Quote]]:
    for event in events:
        if isinstance(event, Ticker):
            yield by_time(event), (event.bid, event.bid_size, event.ask, event.ask_size, event.ts_recv)
        elif (isinstance(event, Gap | Unsubscribed) and event.channel == "ticker") or (
            isinstance(event, BookVoid) and not event.epoch
        ):
            yield by_time(event), _NONE
