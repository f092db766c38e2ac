"""A Parquet catalog of NautilusTrader: `trade_tick`, `quote_tick`, `order_book_delta` and a `currency_pair`.

As version 1.221 has it with 128-bit numbers, which are those of its packages for Linux and macOS. The folder is the
catalog; a type is one file for the whole span, whose name says its times. All files of an export have one precision,
the instrument's or the data's, whichever is finer: NautilusTrader asks for that.
"""

import hashlib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import ConfigError, RecordingError
from ...events import BookDelta, BookSnapshot, Head, Instrument, Ticker, Trade
from ._currency_pair import currency_pair
from ._files import Outputs
from ._market import Clear, Market, Step
from ._numbers import KEPT, places, text

FINEST = 16
"""Digits after the point, which all numbers have there."""
MOST = 17_014_118_346_046
"""The greatest price there."""
FIXED = pa.binary(16)
ADD, UPDATE, DELETE, CLEAR = 1, 2, 3, 4
NO_SIDE, BUY, SELL = 0, 1, 2
LAST, SNAPSHOT = 128, 32
NONE = bytes(16)
ROWS = 50_000
"""Rows that are held before they are written."""
MAX_ID = 36
"""Characters of a trade's id."""


def _schema(**types: pa.DataType) -> pa.Schema:
    whole = {**types, "ts_event": pa.uint64(), "ts_init": pa.uint64()}
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in whole.items()])


SCHEMAS = {
    "trade_tick": _schema(price=FIXED, size=FIXED, aggressor_side=pa.uint8(), trade_id=pa.string()),
    "quote_tick": _schema(bid_price=FIXED, ask_price=FIXED, bid_size=FIXED, ask_size=FIXED),
    "order_book_delta": _schema(
        action=pa.uint8(),
        side=pa.uint8(),
        price=FIXED,
        size=FIXED,
        order_id=pa.uint64(),
        flags=pa.uint8(),
        sequence=pa.uint64(),
    ),
}


def fixed(number: Any) -> bytes:
    """128 bits, little-endian, 16 digits after the point. Raises RecordingError where the number does not fit."""
    whole, _, part = text(number).partition(".")
    if len(part) > FINEST or abs(int(whole)) >= MOST:
        raise RecordingError(f"{text(number)}: NautilusTrader has no such number")
    return int(whole + part.ljust(FINEST, "0")).to_bytes(16, "little", signed=True)


class _Fixed(dict[Any, bytes]):
    """Numbers as `fixed` gives them; `places` is the most digits after the point that one had."""

    places = 0

    def __missing__(self, number: Any) -> bytes:
        if len(self) > KEPT:
            self.clear()
        made = self[number] = fixed(number)
        self.places = max(self.places, places(number))
        return made


class Writer:
    """See `_run.Writer`."""

    kind = "nautilus"
    channels = ("trades", "ticker")
    book = True

    def __init__(self, market: Market, outputs: Outputs, every: str) -> None:
        self._market, self._outputs = market, outputs
        venue = market.venue.upper().replace(".", "_")
        self._id = f"{market.symbol}.{venue}"
        self._tables: dict[str, _Table] = {}
        self._changed = Counter[str]()
        self._prices, self._sizes = _Fixed(), _Fixed()

    def names(self, date: str) -> list[str]:
        """See `_run.Writer`; names tell the time of the first and the last row."""
        return []

    def take(self, now: int, step: Step) -> None:
        """See `_run.Writer`."""
        times = (step.ts_event or now, now)
        if isinstance(step, Trade):
            side = BUY if step.side == "buy" else SELL
            row = (self._prices[step.price], self._sizes[step.size], side, self._trade_id(step), *times)
            self._write("trade_tick", [row])
        elif isinstance(step, Ticker):
            if step.bid is None or step.ask is None or step.bid_size is None or step.ask_size is None:
                self._changed["tickers without both sides left out"] += 1
                return
            best = (self._prices[step.bid], self._prices[step.ask], self._sizes[step.bid_size])
            self._write("quote_tick", [(*best, self._sizes[step.ask_size], *times)])
        elif isinstance(step, Clear):
            self._write("order_book_delta", [(CLEAR, NO_SIDE, NONE, NONE, 0, LAST, 0, *times)])
        else:
            self._levels(step, times)

    def close(self) -> dict[str, int]:
        """See `_run.Writer`."""
        said = self._instrument()
        price = max(self._prices.places, places(said.tick or 0), said.price_digits or 0)
        size = max(self._sizes.places, places(said.lot or 0), said.size_digits or 0)
        if max(price, size) > FINEST:
            raise RecordingError(f"{self._id}: NautilusTrader has {FINEST} digits after the point, not more")
        precision = {"instrument_id": self._id, "price_precision": str(price), "size_precision": str(size)}
        for type_, table in self._tables.items():
            whole = self._outputs.part()
            table.close(whole, precision)
            self._add(whole, type_, table.first, table.last, table.rows)
        if self._tables:
            self._add_instrument(said, price, size)
        return dict(self._changed)

    def _levels(self, step: BookSnapshot[Any] | BookDelta[Any], times: tuple[int, int]) -> None:
        whole = isinstance(step, BookSnapshot)
        flags, known = (SNAPSHOT, ADD) if whole else (0, UPDATE)
        rows: list[list[Any]] = [[CLEAR, NO_SIDE, NONE, NONE, 0, flags, step.seq, *times]] if whole else []
        prices, sizes = self._prices, self._sizes
        for side, levels in ((BUY, step.bids), (SELL, step.asks)):
            for price, size in levels:
                action = known if size else DELETE
                rows.append([action, side, prices[price], sizes[size], 0, flags, step.seq, *times])
        if rows:
            rows[-1][5] |= LAST
            self._write("order_book_delta", rows)

    def _trade_id(self, trade: Trade[Any]) -> str:
        if trade.id.strip() and trade.id.isascii() and trade.id.isprintable() and len(trade.id) <= MAX_ID:
            return trade.id
        self._changed["trade ids made"] += 1
        if not trade.id:
            return str(trade.seq_local)
        return hashlib.sha256(trade.id.encode()).hexdigest()[:MAX_ID]

    def _write(self, type_: str, rows: list[Any]) -> None:
        table = self._tables.get(type_)
        if table is None:
            table = self._tables[type_] = _Table(self._outputs.part(), SCHEMAS[type_])
        table.write(rows)

    def _add(self, part: Path, type_: str, first: int, last: int, rows: int) -> None:
        """Under its name, unless the catalog has data of that time: it must not be there twice."""
        names = f"{_stamp(first)}", f"{_stamp(last)}"
        folder = f"data/{type_}/{quote(self._id, safe='')}"
        name = f"{folder}/{names[0]}_{names[1]}.parquet"
        for other in sorted((self._outputs.folder / folder).glob("*_*.parquet")):
            begins, _, ends = other.stem.partition("_")
            same = self._outputs.force and other.name == name.rpartition("/")[2]
            if not same and begins <= names[1] and ends >= names[0]:
                raise ConfigError(f"{other} has data of that time already; remove it first")
        self._outputs.add(part, name, rows)

    def _instrument(self) -> Instrument[Any]:
        """As told last, else what the name tells."""
        market = self._market
        known: Head | None = None
        for event in market.data.events("instrument", venue=market.venue, symbol=market.symbol, end=market.end):
            known = event
        if isinstance(known, Instrument):
            return known
        base, _, rest = market.symbol.partition("-")
        self._changed["instrument made of its name"] += 1
        return Instrument(venue=market.venue, symbol=market.symbol, native=market.symbol, base=base, quote=rest)

    def _add_instrument(self, said: Instrument[Any], price_places: int, size_places: int) -> None:
        folder = f"data/currency_pair/{quote(self._id, safe='')}"
        if "-" in said.quote or not said.quote or said.size_unit != "base":
            self._changed["no instrument: it is no currency pair"] += 1
            return
        if any((self._outputs.folder / folder).glob("*.parquet")) and not self._outputs.force:
            return
        table = currency_pair(self._id, said, price_places, size_places)
        part = self._outputs.part()
        pq.write_table(table, part)
        self._add(part, "currency_pair", said.ts_recv, said.ts_recv, 1)


class _Table:
    """A file of one type."""

    def __init__(self, part: Path, schema: pa.Schema) -> None:
        self.part = part
        self.first = self.last = self.rows = 0
        self._schema = schema
        self._held: list[Any] = []
        self._writer = pq.ParquetWriter(part, schema)

    def write(self, rows: list[Any]) -> None:
        self._held += rows
        if len(self._held) >= ROWS:
            self._flush()

    def close(self, whole: Path, metadata: dict[str, str]) -> None:
        """Copy it with the metadata, which is known only now and stands where nothing can be added."""
        self._flush()
        self._writer.close()
        with pq.ParquetFile(self.part) as rows, pq.ParquetWriter(whole, self._schema.with_metadata(metadata)) as out:
            for group in range(rows.num_row_groups):
                out.write_table(rows.read_row_group(group).replace_schema_metadata(metadata))
        self.part.unlink()

    def _flush(self) -> None:
        if not self._held:
            return
        self.first = self.first or self._held[0][-1]
        self.last = self._held[-1][-1]
        self.rows += len(self._held)
        arrays = [pa.array(c, f.type) for c, f in zip(zip(*self._held, strict=True), self._schema, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._held.clear()


def _stamp(ns: int) -> str:
    at = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{at:%Y-%m-%dT%H-%M-%S}-{ns % 10**9:09}Z"
