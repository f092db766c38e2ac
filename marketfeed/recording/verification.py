"""`verify`: whether a dataset is what was recorded, and what of it is known to be missing.

Three floors: the names in the folder against the manifests, each file against its manifest and itself, and the events
of each venue against each other. An error is damage or a contradiction: data that cannot be trusted. A note is worth
knowing: told gaps, times that were not recorded, clocks that were set, what a crash left.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from ..errors import RecordingError
from ..events import Gap, Head
from ..text import escaped
from ._verify_events import VenueCheck
from ._verify_file import FileCheck, Held
from ._verify_names import check_names, paths_of, read_manifests
from .dataset import Dataset
from .findings import Coverage, Finding, Findings, Hour, Report
from .layout import PATTERN, file_at, present, reading
from .losses import LAGGED, NO_MARKET, RECORDER, UNREAD, Loss, not_recorded
from .manifest import MANIFESTS, Entry, Manifest, hole
from .times import FOREVER

__all__ = ["Coverage", "Finding", "Hour", "Report", "verify"]

Tell = Callable[[str, int, int], None]


def verify(path: str | Path, *, quick: bool = False, tell: Tell = lambda what, done, of: None) -> Report:
    """Check a dataset; nothing is changed. What is wrong is in the report, also where nothing of it can be read.

    `quick` looks at names, sizes, hashes and footers alone. `tell` is called as it goes: with `files`, bytes read and
    bytes there are, then with `events`, events read and those there are. Raises RecordingError where there is no
    folder, or nothing of a dataset in it, and where something may not be read: that is no damage.
    """
    root = Path(path)
    with reading(root):
        if not root.is_dir():
            raise RecordingError(f"{root}: there is no such folder")
        if not (root / MANIFESTS).is_dir() and not any(root.glob(PATTERN)):
            raise RecordingError(f"{root}: no recording in it: neither {MANIFESTS} nor {PATTERN}")
        return _Verify(root, quick, tell).run()


class _Verify:
    def __init__(self, root: Path, quick: bool, tell: Tell) -> None:
        self._root = root
        self._quick = quick
        self._tell = tell
        self._found = Findings()
        self._held: dict[str, Held] = {}
        """By the path of the file."""

    def run(self) -> Report:
        if (self._root / MANIFESTS).is_dir():
            manifests = read_manifests(self._root, self._found)
            check_names(self._root, manifests, self._found)
            paths = paths_of(self._root, manifests, self._found)
        else:
            manifests = []
            self._found.note("manifest", MANIFESTS, "is not there: hashes, rows and gaps cannot be checked")
            paths = [file.relative_to(self._root).as_posix() for file in self._root.glob(PATTERN)]
        self._files(sorted(paths), manifests)
        coverage: list[Coverage] = []
        if not self._quick:
            for manifest in manifests:
                self._against(manifest)
            coverage = self._events(manifests)
        return self._report(coverage)

    def _files(self, paths: Sequence[str], manifests: Sequence[Manifest]) -> None:
        told = {entry.path: (entry, manifest) for manifest in manifests for entry in manifest.files}
        nobody: tuple[Entry | None, Manifest | None] = (None, None)
        total, done = sum(present(self._root / path).stat().st_size for path in paths), 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            self._tell("files", done, total)

        for path in paths:
            entry, manifest = told.get(path, nobody)
            check = FileCheck(self._root, file_at(self._root, path), self._found)
            self._held[path] = check.run(entry, manifest, self._quick, tell)

    def _against(self, manifest: Manifest) -> None:
        """What a manifest says of all its files together."""
        where = f"{MANIFESTS}/{manifest.name}"
        files = [self._held.get(entry.path) for entry in manifest.files]
        held = [one for one in files if one is not None and one.sound]
        if len(held) < len(manifest.files):
            return  # what is wrong with them has been told
        events = sum(one.events for one in held)
        if events != manifest.events:
            self._found.error("rows", where, f"its files hold {events} events, and it says {manifest.events}")
        missing = list(chain.from_iterable(one.missing for one in held))
        gaps: tuple[list[Head], list[Head]] = ([e for e in missing if isinstance(e, Gap)], list(manifest.gaps))
        holes: tuple[list[Head], list[Head]] = ([e for e in missing if hole(e)], list(manifest.holes))
        for what, (there, said) in (("gap", gaps), ("hole", holes)):
            for event in (Counter(there) - Counter(said)).elements():
                self._found.error(
                    "gaps", where, f"does not tell a {what} that its files hold: {_name(event)}", event.ts_recv
                )
            for event in (Counter(said) - Counter(there)).elements():
                self._found.error(
                    "gaps", where, f"tells a {what} that its files do not hold: {_name(event)}", event.ts_recv
                )

    def _events(self, manifests: Sequence[Manifest]) -> list[Coverage]:
        sound = [path for path, held in self._held.items() if held.sound]
        data = Dataset(self._root, [file_at(self._root, path) for path in sound])
        if self._held and not any(file_at(self._root, path).channel not in NO_MARKET for path in self._held):
            self._found.note("silence", RECORDER, "no data of any market came")
        unread = self._unread(manifests)
        total, done = sum(self._held[path].events for path in sound), 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            self._tell("events", done, total)

        coverage = []
        for venue in data.venues:
            try:
                coverage += VenueCheck(data, venue, self._found, unread).run(tell)
            except RecordingError as exc:
                self._found.error("events", venue, f"cannot be read: {escaped(str(exc))}")
        self._note_holes(data)
        return coverage

    def _unread(self, manifests: Sequence[Manifest]) -> list[Loss]:
        """The times of files that are missing or cannot be read: what follows from it is not told again."""
        entries = [entry for manifest in manifests for entry in manifest.files]
        lost = []
        for entry in entries:
            if not self._held.get(entry.path, Held()).sound:
                with suppress(RecordingError):  # no path at all, which has been told
                    file = file_at(self._root, entry.path)
                    lost.append(Loss(entry.ts_from, entry.ts_to, file.venue, "", file.channel, UNREAD))
        return lost

    def _note_holes(self, data: Dataset) -> None:
        for loss in not_recorded(data):
            known = loss.ts_to != FOREVER
            if loss.ts_from and (known or loss.cause == LAGGED):  # else it is before or after the recording
                time = f"for {(loss.ts_to - loss.ts_from) / 1e9:,.1f} s" if known else "to an end that is not known"
                self._found.note("hole", RECORDER, f"{loss.cause} {time} {escaped(loss.detail)}".rstrip(), loss.ts_from)

    def _report(self, coverage: list[Coverage]) -> Report:
        some = [held for held in self._held.values() if held.rows]
        return Report(
            path=str(self._root),
            files=len(self._held),
            rows=sum(held.rows for held in some),
            bytes=sum(held.bytes for held in self._held.values()),
            ts_from=min((held.ts_from for held in some if held.sound), default=0),
            ts_to=max((held.ts_to for held in some), default=0),
            simulated=any(held.simulated for held in some),
            quick=self._quick,
            findings=self._found.all(),
            coverage=coverage,
        )


def _name(event: Head) -> str:
    channel = getattr(event, "channel", "")
    return escaped(":".join(filter(None, (event.venue, event.symbol, channel, f"seq_local {event.seq_local}"))))
