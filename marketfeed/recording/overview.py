"""What a dataset holds: its streams, how much of each there is and when, what is missing, what is not sealed yet."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ..errors import MissingExtra, RecordingError
from ._columns import TIME, told
from .dataset import Dataset, open_dataset
from .disk import RealDisk
from .journal import read_segment, segments
from .layout import File, present, reading
from .losses import ALL, Loss, losses
from .manifest import manifests
from .payload import unpack
from .seal import JOURNAL
from .times import FOREVER

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

SECOND = 10**9
STEPS = [s * SECOND for s in (1, 2, 5, 10, 15, 30)]
STEPS += [60 * m * SECOND for m in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720)]
STEPS += [86400 * d * SECOND for d in (1, 2, 5, 7, 14, 28, 56, 182, 364)]
"""How long a cell of the coverage may be, ns."""

Tell = Callable[[int, int], None]


class Stream(msgspec.Struct, kw_only=True):
    """What a venue sent on a channel. Of a book a row is a level.

    `cells` has the rows received in each cell of the `Overview`, and `lossy` the numbers of the cells in which some of
    the stream is known to be missing. `missing` counts what is missing of this stream alone.
    """

    venue: str
    channel: str
    symbols: list[str]
    ts_from: int
    ts_to: int
    rows: int
    files: int
    bytes: int
    missing: int = 0
    cells: list[int] = []
    lossy: list[int] = []


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Between these receive times something is missing; "" is all venues, symbols or channels, None an open end."""

    ts_from: int
    ts_to: int | None
    venue: str
    symbol: str
    channel: str
    cause: str
    detail: str


class Unsealed(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the journal and in no file yet."""

    segments: int = 0
    bytes: int = 0
    events: int = 0
    ts_from: int = 0
    ts_to: int = 0


class Overview(msgspec.Struct, kw_only=True):
    """A dataset. Times are receive times, Unix ns. Cells of the coverage begin at `start` and last `step` each.

    `cuts` is what of the journal could not be read, as its manifests say.
    """

    path: str
    versions: list[str]
    exact: bool
    simulated: bool
    ts_from: int
    ts_to: int
    rows: int
    files: int
    bytes: int
    start: int
    step: int
    streams: list[Stream]
    missing: list[Missing]
    cuts: list[str]
    unsealed: Unsealed


def overview(path: str | Path, *, cells: int = 60, tell: Tell = lambda done, files: None) -> Overview:
    """Look through a dataset, its coverage in at most so many cells: reads the times and symbols of every row.

    `tell` is called with the files that are done and all there are. Raises RecordingError where there is no dataset,
    and for a file that is damaged or missing.
    """
    root = Path(path)
    with reading(root):
        if not root.is_dir():
            raise RecordingError(f"{root}: there is no such folder")
        frames = list(_frames(root / JOURNAL))  # before the manifests: what is sealed meanwhile counts once
        passes = manifests(RealDisk(), root)
    unsealed = _unsealed(root, frames, passes[-1].last if passes else 0)
    try:
        data = open_dataset(root)
    except RecordingError:
        if not unsealed.events:
            raise
        data = None
    found = Overview(
        path=str(root),
        versions=[],
        exact=False,
        simulated=False,
        ts_from=0,
        ts_to=0,
        rows=0,
        files=0,
        bytes=0,
        start=0,
        step=SECOND,
        streams=[],
        missing=[],
        cuts=[cut for manifest in passes for cut in manifest.cuts],
        unsealed=unsealed,
    )
    if data is not None:
        _Look(data, found, cells, tell).run()
    return found


class _Look:
    """Fills in an overview from the files."""

    def __init__(self, data: Dataset, found: Overview, cells: int, tell: Tell) -> None:
        self._data, self._found, self._tell = data, found, tell
        found.ts_from, found.ts_to = data.span
        found.step = _step(found.ts_to - found.ts_from, cells)
        found.start = found.ts_from // found.step * found.step
        self._count = (found.ts_to - found.start) // found.step + 1
        self._versions: set[str] = set()
        self._symbols: set[str] = set()

    def run(self) -> None:
        found = self._found
        streams: dict[tuple[str, str], list[File]] = {}
        for file in self._data.files:
            streams.setdefault((file.venue, file.channel), []).append(file)
        lost = [loss for loss in losses(self._data) if loss.ts_from and not _is_the_end(loss, found.ts_to)]
        found.missing = [_missing(loss) for loss in lost]
        for (venue, channel), files in streams.items():
            found.streams.append(self._stream(venue, channel, files, lost))
        found.rows = sum(stream.rows for stream in found.streams)
        found.bytes = sum(stream.bytes for stream in found.streams)
        found.versions = sorted(self._versions)

    def _stream(self, venue: str, channel: str, files: list[File], lost: list[Loss]) -> Stream:
        cells: Counter[int] = Counter()
        self._symbols = set()
        first, last, size = FOREVER, 0, 0
        for file in files:
            self._tell(self._found.files, len(self._data.files))
            for table in self._batches(file):
                times = table["ts_recv"].cast(TIME).cast(pa.int64())
                span = pc.min_max(times).as_py()
                first, last = min(first, span["min"]), max(last, span["max"])
                numbers = pc.divide(pc.subtract(times, self._found.start), self._found.step)
                for one in pc.value_counts(numbers):
                    cells[one["values"].as_py()] += one["counts"].as_py()
                self._symbols.update(table["symbol"].unique().to_pylist())
            size += present(file.path).stat().st_size
            self._found.files += 1
        mine = [loss for loss in lost if loss.venue in {ALL, venue} and loss.channel in {ALL, channel}]
        return Stream(
            venue=venue,
            channel=channel,
            symbols=sorted(self._symbols - {""}),
            ts_from=first,
            ts_to=last,
            rows=cells.total(),
            files=len(files),
            bytes=size,
            missing=sum((loss.venue, loss.channel) == (venue, channel) for loss in mine),
            cells=[cells[n] for n in range(self._count)],
            lossy=sorted({n for loss in mine for n in self._cells_of(loss)}),
        )

    def _batches(self, file: File) -> Iterator[pa.Table]:
        path = present(file.path)
        try:
            with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as opened:
                said = told(opened.schema_arrow.metadata, str(path))
                self._versions.add(said.get("version", ""))
                self._found.exact |= said.get("exact") == "true"
                self._found.simulated |= said.get("simulated") == "true"
                for batch in opened.iter_batches(columns=["ts_recv", "symbol"]):
                    yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as exc:
            raise RecordingError(f"{path}: {exc}") from exc

    def _cells_of(self, loss: Loss) -> range:
        first = max(loss.ts_from - self._found.start, 0) // self._found.step
        last = max(loss.ts_to - self._found.start, 0) // self._found.step
        return range(first, min(last, self._count - 1) + 1)


def _is_the_end(loss: Loss, last: int) -> bool:
    """Whether it only says that nothing was recorded after the last event."""
    return loss.ts_to == FOREVER and loss.ts_from >= last and loss.venue == ALL


def _missing(loss: Loss) -> Missing:
    values = loss._asdict()
    values["ts_to"] = None if loss.ts_to == FOREVER else loss.ts_to
    return Missing(**values)


def _step(span: int, cells: int) -> int:
    """The shortest step of which at most so many cells hold the span, wherever in a cell it begins."""
    least = span / max(cells - 1, 1)
    return STEPS[min(bisect_right(STEPS, least), len(STEPS) - 1)]


def _frames(folder: Path) -> Iterator[tuple[int, bytes]]:
    """The frames of all segments; a recorder may write there, and seal some meanwhile."""
    disk = RealDisk()
    try:
        names = segments(disk, str(folder))
    except PermissionError:
        raise
    except OSError:
        return
    for name in names:
        try:
            data = disk.read(str(folder / name))
        except FileNotFoundError:
            continue
        yield from read_segment(data)[0]


def _unsealed(root: Path, frames: list[tuple[int, bytes]], last: int) -> Unsealed:
    waiting = dict(frame for frame in frames if frame[0] > last)
    if not waiting:
        return Unsealed()
    times = [event.ts_recv for payload in waiting.values() for event in unpack(payload).each()[0]]
    return Unsealed(
        segments=len(segments(RealDisk(), str(root / JOURNAL))),
        bytes=sum(map(len, waiting.values())),
        events=len(times),
        ts_from=min(times, default=0),
        ts_to=max(times, default=0),
    )
