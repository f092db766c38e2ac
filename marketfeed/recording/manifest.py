"""Manifests: what each pass of sealing made of which frames, and what is known to be missing."""

from pathlib import Path

import msgspec

from ..errors import RecordingError
from ..events import Gap, Head, Lagged, RecorderStatus
from ..text import escaped
from .disk import Disk
from .layout import file_at, reading

FORMAT = 1
MANIFESTS = "_manifests"
"""Their folder in a dataset."""


class Entry(msgspec.Struct, frozen=True):
    """One Parquet file: its path within the dataset, rows, bytes, SHA-256, and least and greatest `ts_recv`."""

    path: str
    rows: int
    bytes: int
    sha256: str
    ts_from: int
    ts_to: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One pass: frames `first` to `last` of the journal, the files they became, and what is known to be missing.

    `gaps` are those of the feed, `holes` what was sent while nothing was recorded or could be kept, `cuts` what of the
    journal could not be read and what no table could hold.
    """

    format: int = FORMAT
    version: str
    first: int
    last: int
    exact: bool
    simulated: bool
    events: int
    files: list[Entry]
    gaps: list[Gap]
    holes: list[RecorderStatus | Lagged]
    cuts: list[str]
    replaces: list[str] = []
    """Names of the manifests that this one stands for (`compact`): they and their files count no more."""

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.first:012d}-{self.last:012d}.json"


def hole(event: Head) -> RecorderStatus | Lagged | None:
    """The event, where it says that something was not recorded."""
    if isinstance(event, Lagged) or (isinstance(event, RecorderStatus) and event.ts_from):
        return event
    return None


def manifests(disk: Disk, root: Path) -> list[Manifest]:
    """All passes that count, in order. Raises RecordingError for one that cannot be read, or leads out of `root`."""
    found = every_manifest(disk, root)
    gone = {name for manifest in found for name in manifest.replaces}
    return [manifest for manifest in found if manifest.name not in gone]


def every_manifest(disk: Disk, root: Path) -> list[Manifest]:
    """All manifests, in order, also those that another one stands for. Raises RecordingError as `manifests` does."""
    folder = root / MANIFESTS
    found = []
    try:
        names = sorted(name for name in disk.listing(str(folder)) if name.endswith(".json"))
    except FileNotFoundError:
        return []
    for name in names:
        try:
            with reading(folder / name):
                manifest = msgspec.json.decode(disk.read(str(folder / name)), type=Manifest)
        except (ValueError, OSError) as exc:
            raise RecordingError(f"{folder / name} is no manifest: {exc}") from exc
        if manifest.format > FORMAT:
            later = f"format {manifest.format} of marketfeed {escaped(manifest.version, 40)}"
            raise RecordingError(f"{folder / name} has {later}; this version reads formats up to {FORMAT}")
        for entry in manifest.files:
            file_at(root, entry.path)  # what it names is read, renamed and removed: nothing outside of the folder
        found.append(manifest)
    return found
