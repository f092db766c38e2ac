"""Events of hftbacktest 2: `.npz` files with one array `data`, to be read one after the other, or each alone.

hftbacktest runs the exchange by `exch_ts` and the strategy by `local_ts`, and takes rows in the order of both. Where
these differ, a row is written twice, once for each. `exch_ts` is the venue's own time with these changes, so that
nothing is known before it happened and a book's changes keep their order: a time after the receive time becomes that,
the receive time stands where the venue gave none, and a change of the book is never before the one before it, nor, told
over `WINDOW` late, before what is written by then. A trade so late, as those from before a subscription, is for the
strategy alone.
"""

import heapq
import struct
import zipfile
from collections import Counter, deque
from pathlib import Path
from typing import Any

from ...events import BookSnapshot, Ticker, Trade
from ..times import DAY, date_of
from ._files import Outputs
from ._market import Clear, Market, Step

DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
ROW = struct.Struct("<QqqddQqd")
NAMES = ("ev <u8", "exch_ts <i8", "local_ts <i8", "px <f8", "qty <f8", "order_id <u8", "ival <i8", "fval <f8")
WINDOW = 5 * 10**9
"""Nanoseconds that rows wait for others with an earlier `exch_ts`."""
PIECE = 1 << 20


class Row:
    """A row that waits; `early` once it was written for the exchange alone, or never will be."""

    __slots__ = ("early", "ev", "exch_ts", "local_ts", "px", "qty")

    def __init__(self, ev: int, exch_ts: int, local_ts: int, px: float, qty: float) -> None:
        self.ev, self.exch_ts, self.local_ts, self.px, self.qty = ev, exch_ts, local_ts, px, qty
        self.early = False


class Writer:
    """See `_run.Writer`."""

    kind = "hftbacktest"
    channels = ("trades",)
    book = True

    def __init__(self, market: Market, outputs: Outputs, every: str) -> None:
        self._market, self._outputs = market, outputs
        self._changed = Counter[str]()
        self._book_ts = 0
        """Of the newest change of the book; none after it is before it."""
        self._exch_ts = 0
        """Of the newest row written for the exchange."""
        self._count = 0
        self._local: deque[Row] = deque()
        self._exch: list[tuple[int, bool, int, Row]] = []
        """The same rows by `exch_ts`; of equals trades first: a change of depth that a trade made is after it."""
        self._day = -1
        self._file: _Array | None = None

    def names(self, date: str) -> list[str]:
        """See `_run.Writer`."""
        return [self._market.stem(self.kind, date) + ".npz"]

    def take(self, now: int, step: Step) -> None:
        """See `_run.Writer`."""
        while self._local and self._local[0].local_ts < now - WINDOW:
            self._write_next()
        if isinstance(step, Ticker):
            return
        exch_ts = min(step.ts_event or now, now)
        self._changed["exch_ts not given"] += not step.ts_event
        self._changed["exch_ts after local_ts"] += step.ts_event > now
        if isinstance(step, Trade):
            self._trade(now, exch_ts, step)
            return
        written = max(self._book_ts, self._exch_ts)
        self._changed["exch_ts of a book going back"] += 0 < step.ts_event < written
        self._book_ts = max(written, exch_ts)
        kind = SNAPSHOT if isinstance(step, BookSnapshot) else CLEAR if isinstance(step, Clear) else DEPTH
        for side, levels in ((BUY, step.bids), (SELL, step.asks)):
            # a side is cleared from its best price to the one that the row names
            for price, size in [(levels[-1][0], 0)] if kind == CLEAR and levels else levels:
                self._hold(Row(kind | side, self._book_ts, now, float(price), float(size)), trade=False)

    def close(self) -> dict[str, int]:
        """See `_run.Writer`."""
        while self._local:
            self._write_next()
        self._end_day()
        return {name: many for name, many in self._changed.items() if many}

    def _trade(self, now: int, exch_ts: int, trade: Trade[Any]) -> None:
        row = Row(TRADE | (BUY if trade.side == "buy" else SELL), exch_ts, now, float(trade.price), float(trade.size))
        if exch_ts < self._exch_ts:
            row.early = True
            self._changed["trades too late for the exchange"] += 1
            self._local.append(row)
        else:
            self._hold(row, trade=True)

    def _hold(self, row: Row, *, trade: bool) -> None:
        self._count += 1
        self._local.append(row)
        heapq.heappush(self._exch, (row.exch_ts, not trade, self._count, row))

    def _write_next(self) -> None:
        """Write the first row that waits for the strategy, or one that the exchange knows before."""
        row = self._local[0]
        if row.early:
            self._write(self._local.popleft(), LOCAL)
            return
        first = heapq.heappop(self._exch)[3]
        self._exch_ts = first.exch_ts
        if first is row:
            self._write(self._local.popleft(), EXCH | LOCAL)
        else:
            first.early = True
            self._write(first, EXCH)

    def _write(self, row: Row, who: int) -> None:
        if self._file is None or (who & LOCAL and row.local_ts // DAY != self._day):
            self._end_day()
            self._day = row.local_ts // DAY
            self._file = _Array(self._outputs.part())
        self._file.write(ROW.pack(row.ev | who, row.exch_ts, row.local_ts, row.px, row.qty, 0, 0, 0.0))

    def _end_day(self) -> None:
        if self._file is not None:
            part = self._outputs.part()
            self._file.pack(part)
            self._outputs.add(part, self.names(date_of(self._day * DAY))[0], self._file.rows)
            self._file = None


class _Array:
    """Rows on the disk until their number is known, which stands before them."""

    def __init__(self, part: Path) -> None:
        self.rows = 0
        self._part = part
        self._file = part.open("wb", buffering=PIECE)

    def write(self, row: bytes) -> None:
        self._file.write(row)
        self.rows += 1

    def pack(self, into: Path) -> None:
        """Write the `.npz` and take the rows away."""
        self._file.close()
        head = _header(self.rows)
        entry = zipfile.ZipInfo("data.npy")  # of 1980, so that the same data makes the same file
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.file_size = len(head) + self.rows * ROW.size
        with zipfile.ZipFile(into, "w") as packed, packed.open(entry, "w") as out, self._part.open("rb") as rows:
            out.write(head)
            while piece := rows.read(PIECE):
                out.write(piece)
        self._part.unlink()


def _header(rows: int) -> bytes:
    """What stands before the rows in a `.npy` file, as numpy writes it."""
    fields = ", ".join("('{}', '{}')".format(*name.split()) for name in NAMES)
    said = f"{{'descr': [{fields}], 'fortran_order': False, 'shape': ({rows},), }}"
    padded = said + " " * (-(len(said) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode()
