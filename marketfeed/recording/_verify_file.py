"""The second floor of `verify`: one Parquet file held against its manifest, its folders and itself."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..errors import MissingExtra, RecordingError
from ..events import Gap, Head
from ..text import escaped
from ._columns import TIME, schema, told
from .findings import Findings
from .layout import File, partition, present
from .manifest import Entry, Manifest, hole
from .tables import read_batches
from .times import FOREVER, WAITED, date_of, iso

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

PIECE = 1 << 20
BATCH = 1 << 16
STEP = 10**9
"""Nanoseconds that receive times may go back within a file: links are read one after another."""


class Held(NamedTuple):
    """What a file turned out to hold. `missing` are the events that say so; `sound` says that all of it can be read."""

    rows: int = 0
    bytes: int = 0
    events: int = 0
    ts_from: int = FOREVER
    ts_to: int = 0
    missing: tuple[Head, ...] = ()
    simulated: bool = False
    sound: bool = False


class FileCheck:
    """Of one file; `entry` and `manifest` are None where no manifest names it."""

    def __init__(self, root: Path, file: File, found: Findings) -> None:
        self._file = file
        self._path = present(file.path)
        self._found = found
        self._where = escaped(file.path.relative_to(root).as_posix())

    def error(self, check: str, detail: str, ts: int = 0) -> None:
        """Something is wrong with the file."""
        self._found.error(check, self._where, detail, ts)

    def run(self, entry: Entry | None, manifest: Manifest | None, quick: bool, tell: Callable[[int], None]) -> Held:
        """Check all; `quick` leaves out the rows. `tell` is told bytes as they are read."""
        try:
            size = self._hash(entry, tell)
            read = pq.ParquetFile(self._path, page_checksum_verification=True)
            said = told(read.metadata.metadata, "it")
        except PermissionError:
            raise
        except (RecordingError, pa.ArrowException, OSError, ValueError) as exc:
            self.error("footer", f"cannot be read: {escaped(str(exc))}")
            return Held()
        with read:
            self._claims(read.schema_arrow, said, manifest)
            simulated = said.get("simulated") == "true"
            rows = read.metadata.num_rows
            if entry is not None and rows != entry.rows:
                self.error("rows", f"has {rows} rows, and its manifest says {entry.rows}")
            if quick:
                return Held(rows=rows, bytes=size, simulated=simulated)
            try:
                held = self._rows(read)
            except (RecordingError, pa.ArrowException, OSError, ValueError) as exc:
                self.error("page", f"its rows cannot be read: {escaped(str(exc))}")
                return Held(rows=rows, bytes=size, simulated=simulated)
        if entry is not None and (held.ts_from, held.ts_to) != (entry.ts_from, entry.ts_to):
            spans = f"{iso(held.ts_from)} to {iso(held.ts_to)}", f"{iso(entry.ts_from)} to {iso(entry.ts_to)}"
            self.error("span", f"holds {spans[0]}, and its manifest says {spans[1]}")
        return held._replace(bytes=size, simulated=simulated)

    def _hash(self, entry: Entry | None, tell: Callable[[int], None]) -> int:
        digest, size = hashlib.sha256(), 0
        with self._path.open("rb") as stream:
            while piece := stream.read(PIECE):
                digest.update(piece)
                size += len(piece)
                tell(len(piece))
        if entry is not None and size != entry.bytes:
            self.error("size", f"has {size} bytes, and its manifest says {entry.bytes}")
        elif entry is not None and digest.hexdigest() != entry.sha256:
            self.error("hash", "its SHA-256 is not the one in its manifest: it was changed, or the disk has damaged it")
        return size

    def _claims(self, made: pa.Schema, said: dict[str, str], manifest: Manifest | None) -> None:
        """What the file says of itself, against manifest and folders."""
        if said["channel"] != self._file.channel:
            self.error("kind", f"says it is of channel {escaped(said['channel'])}")
            return
        for kind in ("exact", "simulated"):
            if manifest is not None and said.get(kind) != str(getattr(manifest, kind)).lower():
                self.error("kind", f"says {kind}={escaped(str(said.get(kind)))}, and its manifest does not")
        wanted = schema(self._file.channel, exact=said.get("exact") == "true")
        for field in made:
            if field.name in wanted.names and field.type != wanted.field(field.name).type:
                self.error("columns", f"column {field.name} is {field.type}, not {wanted.field(field.name).type}")

    def _rows(self, read: pq.ParquetFile) -> Held:
        """Read every page: order, span, the folder's own venue and date, and events that can be made of the rows."""
        rows = events = 0
        first, last = FOREVER, 0
        before: pa.Table | None = None
        missing: list[Head] = []
        keys = ["ts_recv", "seq_local", *(["part"] if self._file.channel == "book" else [])]
        for batch in read.iter_batches(BATCH):
            table = pa.table({name: batch.column(name) for name in keys})
            table = table.set_column(0, "ts_recv", table["ts_recv"].cast(TIME).cast(pa.int64()))
            span = pc.min_max(table["ts_recv"]).as_py()
            first, last = min(first, span["min"]), max(last, span["max"])
            self._order(table if before is None else pa.concat_tables([before, table]))
            before = table.slice(batch.num_rows - 1)
            rows += batch.num_rows
            events += self._events(batch, missing)
            if set(batch.column("venue").unique().to_pylist()) != {self._file.venue}:
                self.error("place", "holds rows of another venue than its folder says")
        if rows and not _belongs(self._file, first, last):
            self.error("place", f"holds {date_of(first)} to {date_of(last)}, and its folder says {self._file.date}")
        return Held(rows=rows, events=events, ts_from=first, ts_to=last, missing=tuple(missing), sound=True)

    def _events(self, batch: pa.RecordBatch, missing: list[Head]) -> int:
        if self._file.channel == "life":
            for event in read_batches("life", [batch]):
                if isinstance(event, Gap) or hole(event) is not None:
                    missing.append(event)
        if self._file.channel != "book":
            return int(batch.num_rows)
        return int(pc.sum(pc.equal(batch.column("part"), 0)).as_py() or 0)

    def _order(self, rows: pa.Table) -> None:
        """Rows stand in the order in which they came: `seq_local` grows, or it is a new run, and time has gone on."""
        ts, seq = rows["ts_recv"].combine_chunks(), rows["seq_local"].cast(pa.int64()).combine_chunks()
        count = rows.num_rows
        if count < 2:
            return
        went = pc.subtract(ts.slice(1), ts.slice(0, count - 1))
        grew = pc.subtract(seq.slice(1), seq.slice(0, count - 1))
        wrong = pc.and_(pc.less_equal(grew, 0), pc.less_equal(went, 0))
        if self._file.channel == "book":
            part = rows["part"].cast(pa.int64()).combine_chunks()
            opens = pc.equal(part.slice(1), 0)
            wrong = pc.and_(wrong, opens)
            torn = pc.and_(pc.invert(opens), pc.not_equal(pc.subtract(part.slice(1), part.slice(0, count - 1)), 1))
            for at in pc.indices_nonzero(torn).to_pylist():
                self.error(
                    "order", f"rows of one event are missing at seq_local {seq[at + 1].as_py()}", ts[at + 1].as_py()
                )
        for at in pc.indices_nonzero(wrong).to_pylist():
            number, when = seq[at + 1].as_py(), ts[at + 1].as_py()
            what = "is there twice" if not grew[at].as_py() else f"comes after {seq[at].as_py()}"
            self.error("order", f"row with seq_local {number} {what}", when)
        # what waited for a snapshot was received before it
        slack = WAITED if self._file.channel == "book" else STEP
        back = pc.and_(pc.less(went, -slack), pc.greater(grew, 0))
        for at in pc.indices_nonzero(back).to_pylist():
            seconds = -went[at].as_py() / 1e9
            self._found.note("clock", self._where, f"receive times go back by {seconds:.3f} s", ts[at + 1].as_py())


def _belongs(file: File, first: int, last: int) -> bool:
    """Whether a file's rows are of its date; what waited over midnight was received a little before it."""
    since = partition(file.venue, file.channel, min(first + WAITED, last)).rpartition("date=")[2]
    return since == file.date and date_of(last) == file.date
