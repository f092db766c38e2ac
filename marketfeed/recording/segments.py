"""Segments of raw recordings: their names, what is said of each, and how those are read that a crash cut off."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ..errors import RecordingError
from ..text import escaped
from .raw import Line

FORMAT = 1
SUFFIX, PART, ABOUT = ".jsonl.gz", ".jsonl.gz.part", ".json"
FOLDER = "_raw"
"""Of a dataset, where its raw recording is."""
CHUNK = 1 << 20


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one file, next to it: its place in a run, its size, and the events that its inputs led to.

    `run` is when the recording began; `cut` says what a crash left out. The digests are of all events of the run so
    far: `digest` as everywhere, `exact_digest` the SHA-256 of all events as JSON lines with every field, life and loss
    events among them; "" in a run that began after a loss, whose streams had a past.
    """

    format: int = FORMAT
    version: str
    run: str
    number: int
    lines: int
    bytes: int
    sha256: str
    ts_from: int
    ts_to: int
    events: int = 0
    digest: str = ""
    exact_digest: str = ""
    simulated: bool = False
    cut: str = ""

    @property
    def name(self) -> str:
        """Of its file, without an ending."""
        return f"{self.run}-{self.number:06d}"


def segments(folder: Path) -> dict[str, list[Path]]:
    """The files of each run, both in order; one that is being written, or was when a crash came, is the last."""
    runs: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name.partition(".jsonl")[0]):
        if path.name.endswith((SUFFIX, PART)):
            runs.setdefault(path.name.rpartition("-")[0], []).append(path)
    return runs


def number_of(path: Path) -> int:
    """Its place in its run, from 1; 0 where its name tells none."""
    number = path.name.partition(".jsonl")[0].rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def about(path: Path) -> Segment | None:
    """What is said of a segment; None of one that did not end. Raises RecordingError where that cannot be read."""
    if path.name.endswith(PART):
        return None
    told = path.with_name(path.name.removesuffix(SUFFIX) + ABOUT)
    try:
        return msgspec.json.decode(told.read_bytes(), type=Segment)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise RecordingError(f"{told}: cannot be read: {escaped(str(exc), 200)}") from exc


def lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a segment; of one that did not end, those that reached the disk.

    Raises RecordingError for damage in one that did.
    """
    torn, rest, unpacker = path.name.endswith(PART), b"", zlib.decompressobj(wbits=31)
    with path.open("rb") as stream:
        while packed := stream.read(CHUNK):
            before = unpacker.copy() if torn else None
            try:
                text = rest + unpacker.decompress(packed)
            except zlib.error as exc:
                if before is None:
                    raise RecordingError(f"{path}: is damaged: {exc}") from exc
                yield from (rest + _up_to_damage(before, packed)).split(b"\n")[:-1]
                return
            *found, rest = text.split(b"\n")
            yield from found
    if not torn and (rest or not unpacker.eof):
        raise RecordingError(f"{path}: ends before its end")


def _up_to_damage(unpacker: Any, packed: bytes) -> bytes:
    """What comes before the damage in a piece, of which as a whole nothing comes: a power loss leaves zeros behind."""
    found = []
    with suppress(zlib.error):
        for at in range(len(packed)):
            found.append(unpacker.decompress(packed[at : at + 1]))
    return b"".join(found)


_line = msgspec.json.Decoder(Line).decode


def read_segment(path: Path) -> Iterator[Line]:
    """The lines of a segment, read. Raises RecordingError naming the file and the line."""
    for number, text in enumerate(lines(path), 1):
        try:
            yield _line(text)
        except (ValueError, RecursionError) as exc:
            raise RecordingError(f"{path}, line {number}: no line of a recording: {escaped(str(exc), 200)}") from exc
