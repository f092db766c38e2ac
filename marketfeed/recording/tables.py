"""Events as Arrow tables and Parquet files, one table a channel, and back again; see _columns.py for the columns.

A book has one row a level: flat rows are read by every tool. `part` counts the rows of one event from 0, bids before
asks, each side in the event's order; an event without levels has one row whose `side` is null. So an event comes
back exactly: the same levels in the same order. `side` is `bid` or `ask`, size 0 removes the level.

Nothing is rounded: a number that its column cannot hold exactly raises RecordingError.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ..errors import MissingExtra, RecordingError
from ..events import Head
from ..text import escaped
from ._columns import CHANNEL, COLUMNS, EXACT, FIELDS, LEVEL, TIME, TYPES, Column, kind_in, schema, told

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

__all__ = ["ROW_GROUP", "order", "read_batches", "schema", "to_events", "to_tables", "write", "writer_options"]

ROW_GROUP = 122_880
"""Rows a row group: DuckDB's own number, so that each of its threads takes one."""

REPEATING = 0.15
"""The share of different values up to which a dictionary of them is the smaller way to store prices and sizes."""

_COUNTING = {pa.uint64(), pa.int64(), pa.uint32()}
_NUMBERS = {pa.float64(), EXACT}
_REFUSED = (ValueError, TypeError, OverflowError)
"""What Arrow raises for a value that is not for the column: too large, too fine, of another type, no Unicode."""


def to_tables(events: Sequence[Head], exact: bool = False, *, simulated: bool = False) -> dict[str, pa.Table]:
    """The events of each channel as a table, in their order: `trades`, `ticker`, `book`, `instrument`, `chain`,
    `profit`, `life`; a channel without events is not there.

    `exact` takes events of a `Feed(exact=True)`: `decimal128(38, 18)`, which is 20 digits before the point and 18
    after it. `simulated` marks made-up markets in the schema's metadata.

    Raises RecordingError naming value, venue and symbol where a column cannot hold a value exactly, Decimal in a
    float table and float in an exact one included.
    """
    found: dict[str, list[Head]] = {}
    for event in events:
        channel = CHANNEL.get(type(event))
        if channel is None:
            raise RecordingError(f"no table holds events of type {type(event).__name__}")
        found.setdefault(channel, []).append(event)
    return {channel: _table(channel, held, exact, simulated) for channel, held in found.items()}


def _table(channel: str, events: Sequence[Head], exact: bool, simulated: bool) -> pa.Table:
    made = schema(channel, exact=exact, simulated=simulated)
    arrays = []
    types = {type(event) for event in events}
    for column in COLUMNS[channel].values():
        arrays.append(_array(column, _taken(column, events, types), exact, events, range(len(events))))
    if channel == "book":
        origin, levels = _levels(events)
        arrays = [array.take(pa.array(origin, pa.int64())) for array in arrays]
        arrays += [_array(c, levels[c.name], exact, events, origin) for c in LEVEL]
    return pa.Table.from_arrays(arrays, schema=made)


def _taken(column: Column, events: Sequence[Head], types: set[type[Head]]) -> list[Any]:
    """A column's values. Events of one type, as most tables have, go through no loop of ours."""
    if len(types) == 1:
        (alone,) = types
        get = column.get.get(alone)
        values: list[Any] = list(map(get, events)) if get else [None] * len(events)
    else:
        gets = column.get.get
        values = [get(event) if (get := gets(type(event))) else None for event in events]
    if column.encode:
        values = [None if value is None else column.encode(value) for value in values]
    return values


def _levels(events: Sequence[Any]) -> tuple[list[int], dict[str, list[Any]]]:
    """For each row of a book's table the index of its event, and the columns that only levels have."""
    origin: list[int] = []
    parts: list[int] = []
    sides: list[str | None] = []
    levels: list[tuple[Any, Any]] = []
    for index, event in enumerate(events):
        bids, asks = event.bids, event.asks
        held = len(bids) + len(asks)
        origin += [index] * (held or 1)
        parts += range(held or 1)
        sides += ["bid"] * len(bids) + ["ask"] * len(asks) if held else (None,)
        levels += bids + asks if held else ((None, None),)
    prices, amounts = zip(*levels, strict=True) if levels else ((), ())
    values: list[list[Any]] = [parts, sides, list(prices), list(amounts)]
    columns = dict(zip((column.name for column in LEVEL), values, strict=True))
    return origin, columns


def _array(column: Column, values: list[Any], exact: bool, events: Sequence[Head], origin: Sequence[int]) -> pa.Array:
    type_ = column.arrow(exact).type
    try:
        return pa.array(values, type_)
    except _REFUSED:
        for index, value in zip(origin, values, strict=True):
            try:
                pa.array([value], type_)
            except _REFUSED as exc:
                event = events[index]
                raise RecordingError(
                    f"{escaped(event.venue, 40)} {escaped(event.symbol, 40)}: {column.name} "
                    f"{escaped(repr(value), 60)} does not fit {type_}: {escaped(str(exc), 200)}"
                ) from exc
        raise


def to_events(channel: str, table: pa.Table) -> list[Head]:
    """The events of a channel's table, equal to those that it was made from.

    A Decimal is equal in value and has 18 digits after the point: 1.50 comes back as 1.500000000000000000. Columns
    that are not known are left out, and those that an older file lacks are the field's default. Rows of a book must
    be in order. Raises RecordingError for a table that is not one of ours.
    """
    return list(read_batches(channel, table.to_batches()))


def read_batches(channel: str, batches: Iterable[pa.RecordBatch]) -> Iterator[Head]:
    """The events of a channel's record batches as they come; an event of a book may span two of them."""
    if channel not in TYPES:
        raise RecordingError(f"no table is called {channel}; there are {', '.join(TYPES)}")
    types = {kind_in(channel, type_): type_ for type_ in TYPES[channel]}
    alone = TYPES[channel][0] if len(types) == 1 else None
    pending: _Pending | None = None
    for batch in batches:
        columns = {name: _values(batch.column(name)) for name in batch.schema.names}
        absent: list[Any] = [None] * batch.num_rows
        plans = {
            type_: [(f, columns.get(f.column.name, absent)) for f in fields]
            for type_, fields in FIELDS[channel].items()
        }
        kinds = columns.get("kind", absent)
        levels = [columns.get(column.name, absent) for column in LEVEL] if channel == "book" else []
        for i in range(batch.num_rows):
            if pending and levels[0][i]:
                pending.add(*(values[i] for values in levels))
                continue
            type_ = alone or types.get(kinds[i])
            if type_ is None:
                raise RecordingError(f"table {channel}: the kind {kinds[i]!r} is not known")
            made = _filled(type_, plans[type_], i)
            if levels:
                if pending:
                    yield pending.event()
                pending = _Pending(type_, made)
                pending.add(*(values[i] for values in levels))
            else:
                yield type_(**made)
    if pending:
        yield pending.event()


def _filled(type_: type[Head], plan: list[tuple[Any, list[Any]]], row: int) -> dict[str, Any]:
    made = {}
    for field, values in plan:
        value = values[row]
        if value is not None:
            decode = field.column.decode
            made[field.name] = decode(value) if decode else value
        elif field.optional:
            made[field.name] = None
        elif field.required:
            raise RecordingError(f"a row of {type_.__name__} has no {field.column.name}")
    return made


class _Pending:
    """An event of a book whose levels are being read."""

    def __init__(self, type_: type[Any], made: dict[str, Any]) -> None:
        self._type = type_
        self._made = made
        self._parts = 0
        self._sides: dict[str, list[tuple[Any, Any]]] = {"bid": [], "ask": []}

    def add(self, part: int, side: str | None, price: Any, size: Any) -> None:
        if part != self._parts:
            raise RecordingError(f"table book: rows are missing or out of order at seq_local {self._made['seq_local']}")
        self._parts += 1
        if side is not None:
            self._sides[side].append((price, size))

    def event(self) -> Head:
        made: Head = self._type(**self._made, bids=tuple(self._sides["bid"]), asks=tuple(self._sides["ask"]))
        return made


def _values(array: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(array.type):
        array = array.cast(TIME).cast(pa.int64())  # Python's own datetime has no nanoseconds
    elif pa.types.is_dictionary(array.type):
        words = array.dictionary.to_pylist()  # 20 times as fast as `to_pylist` of the whole
        return [None if at is None else words[at] for at in array.indices.to_pylist()]
    values: list[Any] = array.to_pylist()
    return values


def order(channel: str) -> list[tuple[str, str]]:
    """The order of a channel's rows by time, as `Table.sort_by` takes it."""
    return [(name, "ascending") for name in ("ts_recv", "seq_local", *(("part",) if channel == "book" else ()))]


def write(table: pa.Table, sink: str | Path | IO[bytes]) -> None:
    """Write a table of `to_tables` as one Parquet file, its rows as they are. The sink is not synced or renamed.

    A feed's own order is kept because it is not always that of `ts_recv`: what waited for a snapshot follows it.
    """
    keys = order(told(table.schema.metadata, "table")["channel"])
    options = writer_options(table.slice(0, ROW_GROUP))
    names = [name for name, _ in keys]
    if table.select(names).equals(table.select(names).sort_by(keys)):
        options["sorting_columns"] = pq.SortingColumn.from_ordering(table.schema, keys)
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP)


def writer_options(sample: pa.Table, level: int = 3) -> dict[str, Any]:
    """How we write Parquet, as arguments of `pyarrow.parquet.ParquetWriter`: what pyarrow, polars and DuckDB all read.

    `level` is zstd's: while a recorder runs it has to be quick.
    Counting numbers and times are stored as differences, prices and sizes as a dictionary where they repeat in
    `sample`, the first rows of the file: where they do not, plain numbers are a third smaller, and quicker. Of
    BYTE_STREAM_SPLIT on decimals, the smallest, polars and DuckDB read nothing.
    """
    made = sample.schema
    deltas = {f.name for f in made if f.type == TIME or f.type in _COUNTING}
    texts = {f.name for f in made if f.type == pa.string()}
    plain = {f.name for f in made if f.type in _NUMBERS and _rarely_repeats(sample[f.name])}
    return {
        "compression": "zstd",
        "compression_level": level,
        "version": "2.6",  # the first with nanoseconds
        "data_page_version": "1.0",
        "use_dictionary": [f.name for f in made if f.name not in deltas | texts | plain and f.type != pa.bool_()],
        "column_encoding": dict.fromkeys(deltas, "DELTA_BINARY_PACKED") | dict.fromkeys(texts, "DELTA_BYTE_ARRAY"),
        "write_statistics": True,
        "write_page_index": True,
        "write_page_checksum": True,
    }


def _rarely_repeats(values: pa.ChunkedArray) -> bool:
    return bool(pc.count_distinct(values).as_py() > REPEATING * len(values))
