"""Parquet files of one partition merged into one, in the order in which `Dataset.events` merges them.

A file keeps its own order, which may differ from that of `ts_recv` by what waited for a snapshot. So a row's place
among those of other files is the greatest `ts_recv` of its file up to it, then `seq_local`.

Files are read one after another and in pieces: no more is held than where they overlap.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

from ..errors import MissingExtra, RecordingError
from ._columns import TIME, schema, told
from .tables import ROW_GROUP, order, writer_options

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

BATCH = 65_536
"""Rows that are read at a time."""
LEVEL = 9
"""Of zstd: merging has time."""
FOREVER = 2**63 - 1
PLACE = "place"
"""The column, while merging, of the greatest `ts_recv` so far."""


class Source(NamedTuple):
    """A file to merge: its path for messages, its first `ts_recv`, and how to have its bytes."""

    path: str
    ts_from: int
    read: Callable[[], bytes]


class Merge:
    """Of files of one channel, alike exact and simulated. Raises RecordingError where one is none of ours."""

    def __init__(self, channel: str, sources: Sequence[Source], *, exact: bool, simulated: bool) -> None:
        self._sources = sorted(sources, key=lambda source: (source.ts_from, source.path))
        self._schema = schema(channel, exact=exact, simulated=simulated)
        self._keys = order(channel)
        self._sorted = True
        for source in self._sources:
            self._check(source)

    def write(self, sink: Any) -> int:
        """Write the merged file; how many rows it has."""
        groups = self._groups()
        first = next(groups, self._schema.empty_table())
        options = writer_options(first, LEVEL)
        if self._sorted:
            options["sorting_columns"] = pq.SortingColumn.from_ordering(self._schema, self._keys)
        rows = 0
        with pq.ParquetWriter(sink, self._schema, **options) as writer:
            for table in chain([first], groups):
                rows += table.num_rows
                writer.write_table(table, row_group_size=ROW_GROUP)
        return rows

    def _groups(self) -> Iterator[pa.Table]:
        """All rows in order, in tables of whole row groups; the last may be shorter."""
        held = self._schema.empty_table()
        for table in self._rows():
            held = pa.concat_tables([held, table])
            whole = held.num_rows // ROW_GROUP * ROW_GROUP
            if whole:
                yield held.slice(0, whole)
                held = held.slice(whole)
        if held.num_rows:
            yield held

    def _check(self, source: Source) -> None:
        with _opened(source) as file:
            said = told(file.schema_arrow.metadata, source.path)
            mine = told(self._schema.metadata, source.path)
            for word in ("channel", "exact", "simulated"):
                if said.get(word) != mine[word]:
                    raise RecordingError(f"{source.path}: says {word} {said.get(word)}, where {mine[word]} belongs")
            newer = sorted(set(file.schema_arrow.names) - set(self._schema.names))
            if newer:
                raise RecordingError(f"{source.path}: has {', '.join(newer)}, which this version would lose")
            groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
            self._sorted &= all(group.sorting_columns for group in groups)

    def _rows(self) -> Iterator[pa.Table]:
        """All rows in order, in pieces."""
        runs: list[_Run] = []
        following = [source.ts_from for source in self._sources[1:]] + [FOREVER]
        for source, limit in zip(self._sources, following, strict=True):
            runs = [run for run in runs if run.held.num_rows]
            run = _Run(self._schema)
            runs.append(run)
            with _opened(source) as file:
                for batch in file.iter_batches(BATCH):
                    run.add(self._fitted(batch, source.path))
                    yield from _merged([one.before(min(limit, run.top)) for one in runs])
            yield from _merged([one.before(limit) for one in runs])

    def _fitted(self, batch: pa.RecordBatch, path: str) -> pa.Table:
        """With the columns that an older file lacks."""
        names, count = set(batch.schema.names), batch.num_rows
        columns = [batch.column(f.name) if f.name in names else pa.nulls(count, f.type) for f in self._schema]
        try:
            return pa.Table.from_arrays(columns, schema=self._schema)
        except (pa.ArrowException, ValueError, TypeError) as exc:
            raise RecordingError(f"{path}: {exc}") from exc


class _Run:
    """Rows of one file that wait for their turn, with their places. `top` is the place of the last one read."""

    def __init__(self, made: pa.Schema) -> None:
        self.held = made.append(pa.field(PLACE, pa.int64())).empty_table()
        self.top = 0

    def add(self, table: pa.Table) -> None:
        places = pc.cumulative_max(table["ts_recv"].cast(TIME).cast(pa.int64()), start=self.top)
        self.top = places[-1].as_py()
        self.held = pa.concat_tables([self.held, table.append_column(PLACE, places)])

    def before(self, limit: int) -> pa.Table:
        """Take the rows whose place is before `limit`: they are the first ones."""
        count = pc.sum(pc.less(self.held[PLACE], limit)).as_py() or 0
        taken, self.held = self.held.slice(0, count), self.held.slice(count)
        return taken


def _merged(parts: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """The rows of several files as one table; none where there is none."""
    some = [part for part in parts if part.num_rows]
    if not some:
        return
    whole = pa.concat_tables(some)
    if len(some) > 1:
        streams, start = [], 0
        for number, part in enumerate(some):
            places = range(start, start + part.num_rows)
            columns = (part[PLACE].to_pylist(), part["seq_local"].to_pylist(), repeat(number), places)
            streams.append(zip(*columns, strict=False))
            start = places.stop
        whole = whole.unify_dictionaries().take([row for *_, row in heapq.merge(*streams)])
    yield whole.drop_columns(PLACE)


def _opened(source: Source) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(pa.BufferReader(source.read()), page_checksum_verification=True)
    except pa.ArrowException as exc:
        raise RecordingError(f"{source.path}: is not a whole Parquet file: {exc}") from exc
