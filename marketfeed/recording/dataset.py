"""A recorded dataset: a folder `venue=NAME/channel=NAME/date=YYYY-MM-DD/*.parquet`, read as far as it is asked for.

A file holds what was received on that UTC date, in the feed's order. Nothing is read when a dataset is opened but its
manifests: a file that none of them names does not count. A folder without manifests counts with all its files. Times
are given as Unix nanoseconds, as datetimes with a time zone, or as ISO text, UTC where it names no zone; `start` is the
first and `end` the first no more, both of `ts_recv`.

All that a user calls is here: the reason for its length. Needs pyarrow: importing this raises
MissingExtra where there is none.
"""

import heapq
from collections.abc import Iterator, Sequence
from functools import cached_property, reduce
from importlib import import_module
from itertools import count
from operator import and_
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError, MissingExtra, RecordingError
from ..events import Head
from ..trusted_book import TrustedBook
from . import books, candles, joins, losses
from ._columns import TIME, TYPES, schema, told
from .disk import RealDisk
from .layout import PATTERN, File, file_at, partition, present, reading
from .losses import RECORDER
from .manifest import MANIFESTS, manifests
from .tables import order, read_batches
from .times import FOREVER, WAITED, Time, date_of, step_ns, time_ns

try:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

__all__ = ["RECORDER", "Dataset", "File", "Time", "open_dataset", "partition", "step_ns", "time_ns"]
_CHECKED = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)


def open_dataset(path: str | Path) -> "Dataset":
    """The dataset in a folder. Raises RecordingError where there is no folder or no file of a dataset in it."""
    root = Path(path)
    with reading(root):
        if not root.is_dir():
            raise RecordingError(f"{root}: there is no such folder")
    found = Dataset(root)
    if not found.files and (root / MANIFESTS).is_dir():
        raise RecordingError(f"{root}: nothing is sealed yet; a recorder seals what it left at its end or next start")
    if not found.files:
        raise RecordingError(f"{root}: no file {PATTERN} in it")
    return found


def counting(root: Path) -> list[File]:
    """The files that count: those that manifests name, or all where there are none."""
    with reading(root):
        if (root / MANIFESTS).is_dir():
            named = {entry.path for manifest in manifests(RealDisk(), root) for entry in manifest.files}
        else:
            named = {path.relative_to(root).as_posix() for path in root.glob(PATTERN)}
    return [file_at(root, path) for path in named]


class Dataset:
    """What `open_dataset` gives. Files that are sealed later are not seen: open it again.

    Everything raises RecordingError for a file that is missing, damaged, of a later format, or not ours, naming it.
    """

    def __init__(self, root: Path, files: Sequence[File] | None = None) -> None:
        self.root = root
        self.files = sorted(counting(root) if files is None else files)
        """Those that are read: all that count, where `files` chooses none."""
        self._footers: dict[Path, tuple[bool, int, int]] = {}
        self._lost: dict[str, list[losses.Loss]] = {}

    @property
    def channels(self) -> list[str]:
        """The channels that were recorded: `trades`, `book`, `life` and so on."""
        return sorted({file.channel for file in self.files})

    @property
    def venues(self) -> list[str]:
        """The venues that were recorded."""
        return sorted({file.venue for file in self.files} - {RECORDER, ""})

    @cached_property
    def symbols(self) -> list[str]:
        """The symbols that were recorded; reads that one column of every file."""
        found: set[str] = set()
        for file in self.files:
            found.update(self._load([file], columns=["symbol"])["symbol"].unique().to_pylist())
        return sorted(found - {""})

    @cached_property
    def span(self) -> tuple[int, int]:
        """The first and the last receive time, Unix nanoseconds; reads the end of every file."""
        footers = [self._footer(file) for file in self.files]
        return min(first for _, first, _ in footers), max(last for _, _, last in footers)

    def table(
        self,
        channel: str,
        *,
        venue: str | None = None,
        symbol: str | None = None,
        start: Time | None = None,
        end: Time | None = None,
    ) -> pa.Table:
        """A channel's rows as an Arrow table in the order of `ts_recv`, `seq_local`; see tables.py for its columns.

        Of `life`, a `symbol` also brings what is about a whole connection. Changes of a book that waited for their
        snapshot stand before it here: to rebuild one, take `events` or `book_at`.
        """
        files, where = self._chosen(channel, venue, symbol, start, end)
        if not files:
            return schema(channel, exact=self._is_exact()).empty_table()
        return self._load(files, filter=where).sort_by(order(channel))

    def events(
        self,
        channels: str | Sequence[str] | None = None,
        *,
        venue: str | None = None,
        symbol: str | None = None,
        start: Time | None = None,
        end: Time | None = None,
    ) -> Iterator[Head]:
        """The events of the channels (of all, where None), by `ts_recv`, then `seq_local`; each file in its own order.

        Files are opened as their time comes and read in pieces: a dataset may be larger than memory. The venue
        `recorder` tells when nothing was recorded. Of `life`, a `symbol` also brings what is about a whole connection.
        """
        names = self.channels if channels is None else [channels] if isinstance(channels, str) else channels
        waiting = []
        for channel in names:
            files, where = self._chosen(channel, venue, symbol, start, end)
            waiting += [(self._footer(file)[1], file, where) for file in files]
        number = count()  # of equals the one of the earlier file first; events have no order of their own
        heap: list[tuple[int, int, int, Head, Iterator[Head]]] = []
        waiting.sort(key=lambda held: held[:2], reverse=True)
        while heap or waiting:
            while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
                _, file, where = waiting.pop()
                stream = self._stream(file, where)
                for event in stream:
                    heapq.heappush(heap, (event.ts_recv, event.seq_local, next(number), event, stream))
                    break
            if not heap:
                continue
            at, _, ordinal, event, stream = heap[0]
            following = next(stream, None)
            if following is None:
                heapq.heappop(heap)
            else:
                at = max(at, following.ts_recv)  # one file's order is kept: a book's events make sense in no other
                heapq.heapreplace(heap, (at, following.seq_local, ordinal, following, stream))
            yield event

    def polars(self, channel: str, **chosen: Any) -> Any:
        """`table` as a polars DataFrame."""
        return _installed("polars").from_arrow(self.table(channel, **chosen))

    def pandas(self, channel: str, **chosen: Any) -> Any:
        """`table` as a pandas DataFrame. Integers that can be missing are `Int64` and `UInt64`, not rounded floats."""
        pd = _installed("pandas")
        whole = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
        return self.table(channel, **chosen).to_pandas(types_mapper=whole.get)

    def missing(self, channel: str | None = None, *, venue: str | None = None, symbol: str | None = None) -> pa.Table:
        """What is known to be missing: `ts_from`, `ts_to`, `venue`, `symbol`, `channel`, `cause`, `detail`.

        Null is of all venues, symbols or channels, and a `ts_to` that is not known. `channel`, `venue` and `symbol`
        choose what touches them.
        """
        found = self._losses(venue)
        return losses.table([loss for loss in found if loss.touches(venue, symbol, channel)])

    def book_at(self, venue: str, symbol: str, t: Time) -> TrustedBook[Any]:
        """The book as it stood at `t`, after all that was received up to and including it.

        Its `state` is `unsynced` where nothing was known yet and `void` where it was not to be trusted, or from where
        something was not recorded to the next snapshot. `ts_recv` says how old its newest change is.
        """
        return books.book_at(self, venue, symbol, t)

    def top_of_book(
        self, venue: str, symbol: str, every: str = "1s", *, start: Time | None = None, end: Time | None = None
    ) -> pa.Table:
        """The best levels at each multiple of `every`, as known then: `ts`, `bid`, `bid_size`, `ask`, `ask_size`.

        From `start` (or the first event) to the last event before `end`. Null where the book was not live or the side
        was empty.
        """
        return books.top_of_book(self, venue, symbol, every, start, end)

    def candles(
        self, venue: str, symbol: str, every: str = "1m", *, start: Time | None = None, end: Time | None = None
    ) -> pa.Table:
        """Candles of the trades by receive time: `ts` (where one begins), `open`, `high`, `low`, `close`, `volume`,
        `buy_volume`, `sell_volume` (of the taker's side), `trades` (how many), `incomplete`.

        Volumes are in the venue's sizes. A time without trades has no row. `incomplete` says that trades are known to
        be missing, or that recording, `start` or `end` cut the candle.
        """
        return candles.candles(self, venue, symbol, every, start, end)

    def trades_with_quotes(
        self,
        venue: str,
        symbol: str,
        *,
        quotes: Literal["book", "ticker"] = "book",
        start: Time | None = None,
        end: Time | None = None,
    ) -> pa.Table:
        """The trades with the quote that was told last before each: `bid`, `bid_size`, `ask`, `ask_size`, `ts_quote`.

        From the rebuilt book, or from tickers. Null where there was none to be believed: before the first, and after a
        void, a gap or a time that was not recorded until the next. `ts_quote` is when the quote was received.
        """
        return joins.trades_with_quotes(self, venue, symbol, quotes, start, end)

    def _losses(self, venue: str | None = None) -> list[losses.Loss]:
        key = venue or ""
        if key not in self._lost:
            self._lost[key] = losses.losses(self, venue)
        return self._lost[key]

    @cached_property
    def _holes(self) -> list[int]:
        """After which receive times something was not recorded, in order."""
        return sorted({loss.ts_from for loss in losses.not_recorded(self)} - {0})

    def _snapshot_times(self, venue: str, symbol: str, before: int | None = None) -> list[int]:
        """When a book's snapshots were received, in order; only the newest before a time, where one is given."""
        files, where = self._chosen("book", venue, symbol, None, before)
        where &= (ds.field("kind") == "snapshot") & (ds.field("part") == 0)
        found: list[int] = []
        for file in sorted(files, key=lambda held: self._footer(held)[2], reverse=True):
            if before is not None and found and self._footer(file)[2] < found[-1]:
                break
            times = self._load([file], filter=where, columns=["ts_recv"])["ts_recv"].cast(pa.int64()).to_pylist()
            found = sorted(found + times)
        return found

    def _chosen(
        self, channel: str, venue: str | None, symbol: str | None, start: Time | None, end: Time | None
    ) -> tuple[list[File], Any]:
        """The files that can hold what is asked for, and the filter for their rows (None for all)."""
        if channel not in TYPES:
            raise ConfigError(f"no channel is called {channel!r}; there are {', '.join(TYPES)}")
        first = 0 if start is None else time_ns(start)
        after = FOREVER if end is None else time_ns(end)
        # what waited over midnight is in the file of the day after it was received
        dates = date_of(first), date_of(min(max(after - 1, 0) + WAITED, FOREVER))
        files = [f for f in self.files if f.channel == channel and venue in {None, f.venue}]
        files = [f for f in files if dates[0] <= f.date <= dates[1]]
        terms = []
        if start is not None:
            terms.append(ds.field("ts_recv") >= pa.scalar(first, TIME))
        if end is not None:
            terms.append(ds.field("ts_recv") < pa.scalar(after, TIME))
        if symbol is not None:
            terms.append(ds.field("symbol").isin([symbol, ""] if channel == "life" else [symbol]))
        return files, reduce(and_, terms) if terms else None

    def _footer(self, file: File) -> tuple[bool, int, int]:
        """Whether a file is exact, its first and last receive time; first after last where it has no rows."""
        found = self._footers.get(file.path)
        if found is None:
            with reading(file.path):
                path = present(file.path)
            try:
                with reading(path):
                    read = pq.read_metadata(path)
            except FileNotFoundError:
                raise RecordingError(f"{file.path}: is missing, and a manifest names it") from None
            except (pa.ArrowException, OSError) as exc:
                raise RecordingError(f"{path}: is not a whole Parquet file: {exc}") from exc
            said = told(read.metadata, str(path))
            at = read.schema.names.index("ts_recv")
            groups = [read.row_group(i).column(at).statistics for i in range(read.num_row_groups)]
            known = [group for group in groups if group is not None and group.has_min_max]
            first = min((group.min_raw for group in known), default=FOREVER)
            last = max((group.max_raw for group in known), default=0)
            found = self._footers[file.path] = (said["exact"] == "true", first, last)
        return found

    def _is_exact(self, channel: str | None = None) -> bool:
        """Whether the files (of a channel) hold exact numbers."""
        return self._exact([file for file in self.files if channel in {None, file.channel}])

    def _exact(self, files: Sequence[File]) -> bool:
        kinds = {self._footer(file)[0] for file in files}
        if len(kinds) > 1:
            raise RecordingError(f"{self.root}: has float and exact files of one channel; keep them in two datasets")
        return kinds == {True}

    def _read(self, files: Sequence[File], **wanted: Any) -> Any:
        """A scanner of files of one channel. The schema is given, so that columns may be missing or new in some."""
        made = schema(files[0].channel, exact=self._exact(files))
        found = ds.dataset([str(present(file.path)) for file in files], schema=made, format=_CHECKED)
        return found.scanner(**wanted)

    def _load(self, files: Sequence[File], **wanted: Any) -> pa.Table:
        try:
            with reading(self.root):
                return self._read(files, **wanted).to_table()
        except (pa.ArrowException, OSError) as exc:
            raise RecordingError(f"{self.root}, channel {files[0].channel}: {exc}") from exc

    def _stream(self, file: File, where: Any) -> Iterator[Head]:
        try:
            reader = self._read([file], filter=where, batch_size=8192, batch_readahead=2, fragment_readahead=1)
            with reading(file.path):
                yield from read_batches(file.channel, reader.to_batches())
        except (pa.ArrowException, OSError) as exc:
            raise RecordingError(f"{file.path}: {exc}") from exc


def _installed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigError(f"this needs {name}: pip install {name}") from None
