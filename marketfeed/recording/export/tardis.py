"""CSV files as Tardis has them, which hftbacktest, NautilusTrader and others read.

One file a day and type: `trades`, `incremental_book_L2` and `book_ticker`, gzip. Times are microseconds; where the
venue gave no time, the receive time stands for it. What takes a book's levels away, also before a snapshot that
replaces it, are rows with amount 0: no reader keeps a level that is not there, whatever it makes of `is_snapshot`.
"""

from typing import Any

from ...events import BookDelta, BookSnapshot, Ticker, Trade
from ..times import DAY, date_of
from ._csv import CsvFile
from ._files import Outputs
from ._market import Clear, Market, Step
from ._numbers import text

HEAD = ("exchange", "symbol", "timestamp", "local_timestamp")
TYPES = {
    "trades": (*HEAD, "id", "side", "price", "amount"),
    "incremental_book_L2": (*HEAD, "is_snapshot", "side", "price", "amount"),
    "book_ticker": (*HEAD, "ask_amount", "ask_price", "bid_price", "bid_amount"),
}
"""The columns of each type, in their order."""


class Writer:
    """See `_run.Writer`."""

    kind = "tardis"
    channels = ("trades", "ticker")
    book = True

    def __init__(self, market: Market, outputs: Outputs, every: str) -> None:
        self._market, self._outputs = market, outputs
        self._day = -1
        self._tables: dict[str, CsvFile] = {}

    def names(self, date: str) -> list[str]:
        """See `_run.Writer`."""
        return [self._name(type_, date) for type_ in TYPES]

    def take(self, now: int, step: Step) -> None:
        """See `_run.Writer`."""
        if now // DAY != self._day:
            self._end_day()
            self._day = now // DAY
        head = (self._market.venue, self._market.symbol, (step.ts_event or now) // 1000, now // 1000)
        if isinstance(step, Trade):
            self._write("trades", [(*head, step.id, step.side, text(step.price), text(step.size))])
        elif isinstance(step, Ticker):
            best = (step.ask_size, step.ask, step.bid, step.bid_size)
            if step.ask is not None or step.bid is not None:
                self._write("book_ticker", [(*head, *("" if n is None else text(n) for n in best))])
        elif isinstance(step, Clear):
            if "incremental_book_L2" in self._tables:
                gone = [("bid", price) for price, _ in step.bids] + [("ask", price) for price, _ in step.asks]
                self._write("incremental_book_L2", [(*head, "false", side, text(price), "0") for side, price in gone])
        else:
            self._levels(head, step)

    def close(self) -> dict[str, int]:
        """See `_run.Writer`."""
        self._end_day()
        return {}

    def _levels(self, head: tuple[Any, ...], step: BookSnapshot[Any] | BookDelta[Any]) -> None:
        whole = "true" if isinstance(step, BookSnapshot) else "false"
        rows = [(*head, whole, "bid", text(price), text(size)) for price, size in step.bids]
        rows += [(*head, whole, "ask", text(price), text(size)) for price, size in step.asks]
        self._write("incremental_book_L2", rows)

    def _write(self, type_: str, rows: list[tuple[Any, ...]]) -> None:
        table = self._tables.get(type_)
        if table is None:
            table = self._tables[type_] = CsvFile(self._outputs.part(), TYPES[type_])
        table.write(rows)

    def _end_day(self) -> None:
        for type_, table in self._tables.items():
            table.close()
            self._outputs.add(table.part, self._name(type_, date_of(self._day * DAY)), table.rows)
        self._tables.clear()

    def _name(self, type_: str, date: str) -> str:
        return self._market.stem(type_, date) + ".csv.gz"
