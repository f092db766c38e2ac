"""Events as people like to read them: aligned, coloured by side, and never wider than the terminal."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ..events import Block, BookDelta, BookSnapshot, Head, Instrument, NetworkStats, Ticker, Trade
from ..mining.coins import COINS
from ..mining.units import format_hashrate
from ..text import escaped
from ..trusted_book import TrustedBook
from . import _colour

Books = Callable[[Head], TrustedBook[Any]]
SIZE_WIDTH = 10
HEAD = frozenset({"time", "venue", "symbol"})
"""Columns that all kinds of lines begin with."""


class Cell(NamedTuple):
    """One column of a line. Where the line is too wide the cells of lowest `rank` are left out."""

    rank: int
    text: str
    column: str = ""
    """Cells of one column are as wide as the widest so far."""
    left: bool = False
    colour: str = ""


def number(value: Any, digits: int | None) -> str:
    """A number with thousands separators and so many digits after the point; as many as it has where None."""
    if value is None:
        return "-"
    if digits is None:
        return f"{Decimal(str(value)):,f}"
    return f"{value:,.{digits}f}"


def _decimals(value: Any) -> int:
    return len(number(value, None).partition(".")[2])


def clock(ns: int) -> str:
    """Local time of day with milliseconds."""
    seconds, rest = divmod(ns, 1_000_000_000)
    when = datetime.fromtimestamp(seconds)  # noqa: DTZ006 # local time is what is meant
    return f"{when:%H:%M:%S}.{rest // 1_000_000:03d}"


class Lines:
    """`line(event)` is the text of a market event, None where there is nothing new to show.

    `books` gives the book of an event; `width` the columns there are; `venues` and `symbols` say whether
    several are shown, which gives them a column that stays; `simulated` marks every line.
    """

    def __init__(
        self,
        books: Books | None = None,
        *,
        width: Callable[[], int],
        colour: bool,
        venues: bool = True,
        symbols: bool = True,
        simulated: bool = False,
    ) -> None:
        self._books = books
        self._width = width
        self._colour = colour
        self._rank_venue = 5 if venues else 0
        self._rank_symbol = 6 if symbols else 1
        self._rank_tag = 2
        self._columns, self._gap = 0, 2
        self._gone: set[str] = set()
        self._simulated = simulated
        self._widths: dict[str, int] = {"size": SIZE_WIDTH, "tag": 5}
        self._digits: dict[tuple[str, str], tuple[int | None, int | None]] = {}
        self._seen: dict[tuple[str, str], list[int]] = {}
        self._tops: dict[tuple[str, str], object] = {}

    def line(self, event: Head) -> str | None:
        """The line of an event, without the line's end. Instruments are noted, for their digits and their names."""
        if isinstance(event, Instrument):
            for column, name in (("venue", event.venue), ("symbol", event.symbol)):
                self._widths[column] = max(self._widths.get(column, 0), len(name))
            self._digits[event.venue, event.symbol] = (event.price_digits, event.size_digits)
            return None
        if isinstance(event, Trade):
            return self._fit([*self._head(event), *self._trade(event)])
        if isinstance(event, Ticker):
            return self._fit([*self._head(event), *self._ticker(event)])
        if isinstance(event, BookDelta | BookSnapshot):
            cells = self._top(event)
            return self._fit([*self._head(event), *cells]) if cells else None
        if isinstance(event, Block):
            return self._fit([*self._head(event), *self._block(event)])
        if isinstance(event, NetworkStats):
            return self._fit([*self._head(event), *self._network(event)])
        return None

    def _head(self, event: Head) -> list[Cell]:
        cells = [Cell(4, clock(event.ts_event or event.ts_recv), "time", colour="dim")]
        if self._simulated:
            cells.append(Cell(9, "SIM", colour="alarm"))
        if self._rank_venue:
            cells.append(Cell(self._rank_venue, escaped(event.venue, 20), "venue", left=True))
        return [*cells, Cell(self._rank_symbol, escaped(event.symbol, 24), "symbol", left=True)]

    def _block(self, block: Block) -> list[Cell]:
        cells = [
            Cell(7, "block", "tag", left=True, colour="bold"),
            Cell(10, f"{block.height:,}", "height"),
            Cell(3, f"difficulty {block.difficulty:,.0f}"),
            Cell(2, "" if block.fees is None else f"fees {block.fees:,}"),
            Cell(1, escaped(block.hash, 64)),
        ]
        if block.orphans:
            cells.insert(2, Cell(9, f"replaces {block.orphans}", colour="alarm"))
        return [cell for cell in cells if cell.text]

    def _network(self, stats: NetworkStats) -> list[Cell]:
        change, coin = stats.retarget_change, COINS.get(stats.symbol)
        unit = "Sol/s" if coin is not None and "Sol" in coin.hash_unit else "H/s"
        cells = [
            Cell(7, "network", "tag", left=True, colour="dim"),
            Cell(10, f"{stats.height:,}", "height"),
            Cell(3, f"difficulty {stats.difficulty:,.0f}"),
            Cell(2, format_hashrate(stats.hashrate, unit)),
            Cell(1, "" if change is None else f"next {change:+.2f} % at {stats.retarget_height:,}"),
        ]
        return [cell for cell in cells if cell.text]

    def _known(self, event: Head, prices: list[Any], sizes: list[Any]) -> tuple[int, int]:
        """Digits after the point of a market: its instrument's, else the most seen so far."""
        price, size = self._digits.get((event.venue, event.symbol), (None, None))
        seen = self._seen.setdefault((event.venue, event.symbol), [0, 0])
        for i, values in ((0, prices), (1, sizes)):
            seen[i] = max([seen[i], *(_decimals(value) for value in values if value is not None)])
        return (seen[0] if price is None else price, seen[1] if size is None else size)

    def _trade(self, trade: Trade[Any]) -> list[Cell]:
        price, size = self._known(trade, [trade.price], [trade.size])
        self._rank_tag = 7  # beside trades all lines keep this column, so that prices stay below prices
        colour = "green" if trade.side == "buy" else "red"
        return [
            Cell(7, trade.side, "tag", left=True, colour=colour),
            Cell(10, number(trade.price, price), "price", colour=colour),
            Cell(8, number(trade.size, size), "size"),
        ]

    def _ticker(self, ticker: Ticker[Any]) -> list[Cell]:
        price, size = self._known(ticker, [ticker.bid, ticker.ask, ticker.last], [ticker.bid_size, ticker.ask_size])
        cells = [Cell(self._rank_tag, "quote", "tag", left=True, colour="dim")]
        if ticker.bid is not None or ticker.ask is not None:
            cells += self._quote((ticker.bid, ticker.bid_size), (ticker.ask, ticker.ask_size), price, size)
        if ticker.last is not None:
            cells += [Cell(1, "last"), Cell(1, number(ticker.last, price), "price")]
            if len(cells) == 3:
                cells[-1] = cells[-1]._replace(rank=10)
        return cells

    def _top(self, event: BookDelta[Any] | BookSnapshot[Any]) -> list[Cell]:
        """The best prices of a book, where they are others than before."""
        key = (event.venue, event.symbol)
        top = self._books(event).top() if self._books else None
        if top is None or self._tops.get(key) == top:
            return []
        self._tops[key] = top
        price, size = self._known(event, [top[0][0], top[1][0]], [top[0][1], top[1][1]])
        return [Cell(self._rank_tag, "book", "tag", left=True, colour="dim"), *self._quote(*top, price, size)]

    def _quote(self, bid: tuple[Any, Any], ask: tuple[Any, Any], price: int | None, size: int | None) -> list[Cell]:
        return [
            Cell(10, number(bid[0], price), "price", colour="green" if bid[0] is not None else ""),
            Cell(3, number(bid[1], size), "size"),
            Cell(10, number(ask[0], price), "price", colour="red" if ask[0] is not None else ""),
            Cell(3, number(ask[1], size), "size"),
        ]

    def _fit(self, cells: list[Cell]) -> str:
        for cell in cells:
            if cell.column:
                self._widths[cell.column] = max(self._widths.get(cell.column, 0), len(cell.text))
        columns = self._width()
        if columns != self._columns:
            self._columns, self._gap, self._gone = columns, 2, set()
        cells = [cell for cell in cells if cell.column not in self._gone]
        while len(cells) > 1 and sum(self._wide(cell) + self._gap for cell in cells) - self._gap > columns:
            if self._gap > 1:
                self._gap = 1
                continue
            lowest = min(cells, key=lambda cell: cell.rank).rank
            # a column that one line has no room for leaves all lines, so that they stay aligned
            self._gone |= {cell.column for cell in cells if cell.rank == lowest} & HEAD
            left = [cell for cell in cells if cell.rank != lowest]
            cells = left or cells[:1]  # of two prices the first: no empty line
        return (" " * self._gap).join(self._padded(cell) for cell in cells).rstrip() if cells else ""

    def _wide(self, cell: Cell) -> int:
        return max(self._widths.get(cell.column, 0), len(cell.text))

    def _padded(self, cell: Cell) -> str:
        gap = " " * (self._wide(cell) - len(cell.text))
        text = _colour.paint(cell.text, cell.colour) if self._colour and cell.colour else cell.text
        return text + gap if cell.left else gap + text
