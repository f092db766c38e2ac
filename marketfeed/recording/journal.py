"""The recorder's crash-safe log: frames with a CRC in segments `NNNNNNNNNN.journal` of one folder.

A segment is a head (magic and version, random id of the segment, number of its first frame, CRC) and frames (u32
length, u32 CRC, u64 number, payload), all big-endian. A frame's CRC is over the segment's id, length, number and
payload, and numbers grow by one: neither another segment's old disk block nor a frame in the wrong place passes.

Nothing here waits or looks at a clock, and no segment is opened for writing twice. What writes the format stands beside
what reads it: the reason for its length.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from ..errors import RecordingError
from .disk import Disk, Handle

SUFFIX = ".journal"
MAGIC = b"MFJ\x01"
MAX_PAYLOAD = 64 << 20  # bytes

_HEAD, _CRC, _FRAME, _KEY = Struct(">4s8sQ"), Struct(">I"), Struct(">IIQ"), Struct(">IQ")
HEAD_BYTES = _HEAD.size + _CRC.size
FRAME_BYTES = _FRAME.size  # beside the payload

Frame = tuple[int, bytes]  # number and payload


class JournalFailed(RecordingError):
    """The disk refused the journal, or the journal is closed. `path` is the segment or folder; `__cause__` the OSError.

    What is not known to be synced waits in `Journal.lost_to_sync` for `Journal.reopen`.
    """

    def __init__(self, path: str, reason: object) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class Cut(NamedTuple):
    """What `recover` could not take: the last `bytes` of the segment at `path`, or a payload of that many."""

    path: str
    bytes: int
    reason: str


class Recovered(NamedTuple):
    """What a folder of segments holds; the next journal in it begins with `next_number`."""

    frames: list[Frame]
    cuts: list[Cut]
    next_number: int


class Journal:
    """Appends payloads to segments. Of one thread; every method may block on the disk.

    `flush_s` is how long a payload may wait before the operating system has it (then a killed process loses nothing),
    `sync_s` how long before the disk has it. `sync_bytes` bounds what may be lost and what is kept in memory: beyond
    it `add` syncs by itself. A segment of `segment_bytes` or more is rotated by `tick`. `next_number` is what `recover`
    said; without it the folder is read. `entropy` makes the ids of segments. Raises JournalFailed as its methods do.

    Every method that writes raises JournalFailed when the disk fails, and from then on until `reopen`: what an fsync
    that failed had to write, a second one may call done without writing it, so that segment is not touched again.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str | Path,
        *,
        sync_s: float = 1.0,
        flush_s: float = 0.1,
        segment_bytes: int = 64 << 20,
        sync_bytes: int = 8 << 20,
        next_number: int | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._disk = disk
        self._folder = str(Path(folder))
        self._sync_ns, self._flush_ns = int(sync_s * 1e9), int(flush_s * 1e9)
        self._segment_bytes, self._sync_bytes = segment_bytes, sync_bytes
        self._entropy = entropy
        self._file: Handle | None = None  # None: failed or closed
        self._buffer = bytearray()
        self._ring: list[Frame] = []  # all since the last sync; `sync_bytes` is its bound
        self._written = self._unsynced = self._seed = self._flushed_at = self._synced_at = 0
        self.path = self._folder
        try:
            disk.make_folder(self._folder)
            disk.sync_folder(str(Path(folder).parent))
            names = segments(disk, self._folder)
        except OSError as exc:
            raise JournalFailed(self._folder, exc) from exc
        self._segment = int(names[-1][: -len(SUFFIX)]) if names else 0
        self.next_number = recover(disk, self._folder).next_number if next_number is None else next_number
        self._attempt(self._begin)

    @property
    def pending_bytes(self) -> int:
        """Bytes that a killed process would lose."""
        return len(self._buffer)

    @property
    def unsynced_bytes(self) -> int:
        """Bytes that a power loss could take, those pending included."""
        return self._unsynced

    @property
    def failed(self) -> bool:
        """Whether only `reopen` helps, as after `close`."""
        return self._file is None

    def lost_to_sync(self) -> list[bytes]:
        """Payloads since the last sync, oldest first: what a failure may have taken and `reopen` writes again."""
        return [payload for _, payload in self._ring]

    def add(self, payload: bytes) -> int:
        """Take a payload in; returns its number, which was `next_number`.

        Raises ValueError for one beyond MAX_PAYLOAD, JournalFailed for a failed journal (not taken in) and where
        more than `sync_bytes` had to be synced and could not be (taken in: it is the last of `lost_to_sync`).
        """
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"a payload of {len(payload)} bytes is more than {MAX_PAYLOAD}")
        self._require()
        number, self.next_number = self.next_number, self.next_number + 1
        self._ring.append((number, payload))
        self._encode(number, payload)
        if self._unsynced >= self._sync_bytes:
            self.sync()
        return number

    def tick(self, now: int) -> str | None:
        """Flush, sync and rotate what is due at `now`, monotonic nanoseconds; the path of a segment it closed."""
        self._require()
        if now - self._synced_at >= self._sync_ns or self._unsynced >= self._sync_bytes:
            self.sync()
            self._synced_at = self._flushed_at = now
        elif now - self._flushed_at >= self._flush_ns:
            self.flush()
            self._flushed_at = now
        return self.rotate() if self._written >= self._segment_bytes else None

    def flush(self) -> None:
        """Hand all that is pending to the operating system."""
        self._attempt(self._flush)

    def sync(self) -> None:
        """Return when every payload taken in outlives a power loss."""
        self._attempt(self._sync)

    def rotate(self) -> str:
        """Sync and close the segment and begin the next; returns the closed one's path.

        After JournalFailed every segment but `path` is closed, and none of them is written again.
        """
        closed = self.path
        self._attempt(self._end)
        self._attempt(self._begin)
        return closed

    def reopen(self) -> int:
        """After a failure, begin a new segment with all of `lost_to_sync`, under their old numbers, and sync it.

        Returns how many; a reader takes each once. Raises JournalFailed while the disk is still ill: nothing is lost
        by it, try again later. Does nothing to a journal that has not failed.
        """
        if self._file is not None:
            return 0
        self._buffer.clear()
        again = self._ring.copy()
        self._attempt(self._begin)
        for number, payload in again:
            self._encode(number, payload)
        self.sync()
        return len(again)

    def close(self) -> None:
        """Sync and close; a failed journal stays as it is."""
        if self._file is not None:
            self._attempt(self._end)

    def _require(self) -> Handle:
        if self._file is None:
            raise JournalFailed(self.path, "has failed or is closed; reopen() begins another segment")
        return self._file

    def _attempt(self, what: Callable[[], object]) -> None:
        try:
            what()
        except OSError as exc:
            suspect, self._file = self._file, None
            if suspect is not None:
                with suppress(OSError):  # the first error tells more
                    suspect.close()
            raise JournalFailed(self.path, exc) from exc

    def _flush(self) -> Handle:
        file = self._require()
        if self._buffer:
            file.write(bytes(self._buffer))
            self._buffer.clear()
        return file

    def _sync(self) -> Handle:
        file = self._flush()
        if self._unsynced:
            file.sync()
            self._unsynced = 0
            self._ring.clear()
        return file

    def _end(self) -> None:
        file, self._file = self._sync(), None
        file.close()

    def _begin(self) -> None:
        self._segment += 1  # also past one that could not be begun: its name may be there
        self.path = str(Path(self._folder, f"{self._segment:010}{SUFFIX}"))
        key = self._entropy(8)
        head = _HEAD.pack(MAGIC, key, self._ring[0][0] if self._ring else self.next_number)
        self._seed = crc32(key)
        self._file = self._disk.create(self.path)
        try:
            self._file.write(head + _CRC.pack(crc32(head)))
            self._disk.sync_folder(self._folder)  # what is synced under a name that is lost is lost
        except OSError:
            with suppress(OSError):  # a full disk is tried each second: one file a try would be many
                self._disk.remove(self.path)
            raise
        self._written = self._unsynced = HEAD_BYTES

    def _encode(self, number: int, payload: bytes) -> None:
        self._buffer += _FRAME.pack(len(payload), _sum(self._seed, number, payload), number)
        self._buffer += payload
        self._written += FRAME_BYTES + len(payload)
        self._unsynced += FRAME_BYTES + len(payload)


def _sum(seed: int, number: int, payload: bytes | memoryview) -> int:
    return crc32(payload, crc32(_KEY.pack(len(payload), number), seed))


def _first(data: bytes) -> int:
    """Number of a segment's first frame; 0 where the head is not whole."""
    if len(data) < HEAD_BYTES or crc32(data[: _HEAD.size]) != _CRC.unpack_from(data, _HEAD.size)[0]:
        return 0
    magic, _, first = _HEAD.unpack_from(data)
    return int(first) if magic == MAGIC else 0


def read_segment(data: bytes) -> tuple[list[Frame], int, str]:
    """All whole frames up to the first that is not, how many bytes were good, and why the rest is not ("": no rest)."""
    expected = _first(data)
    if not expected:
        return [], 0, "no head of a journal's segment" if data else ""
    seed, frames, at, whole = crc32(data[4:12]), list[Frame](), HEAD_BYTES, memoryview(data)
    while at < len(data):
        length, crc, number = _FRAME.unpack_from(data, at) if at + FRAME_BYTES <= len(data) else (0, 0, 0)
        end = at + FRAME_BYTES + length
        if end > len(data):
            return frames, at, "torn frame"
        payload = whole[at + FRAME_BYTES : end]
        if number != expected or _sum(seed, number, payload) != crc:
            return frames, at, "wrong checksum or number"
        frames.append((number, bytes(payload)))
        expected, at = expected + 1, end
    return frames, at, ""


def segments(disk: Disk, folder: str) -> list[str]:
    """Names of a folder's segments, in order. Raises OSError."""
    return [
        name for name in disk.listing(folder) if name.endswith(SUFFIX) and len(name) == 18 and name[:10].isdecimal()
    ]


def recover(disk: Disk, folder: str | Path) -> Recovered:
    """The frames of all segments of a folder, each number once, in order, and what was cut. Nothing is changed.

    Of two different payloads under one number the first stays and the other is a cut. Raises RecordingError for a
    folder or a segment that cannot be read.
    """
    found: dict[int, bytes] = {}
    cuts: list[Cut] = []
    following, path = 1, str(Path(folder))
    try:
        for name in segments(disk, path):
            path = str(Path(folder, name))
            data = disk.read(path)
            frames, good, reason = read_segment(data)
            following = max(following, _first(data), frames[-1][0] + 1 if frames else 0)
            if reason:
                cuts.append(Cut(path, len(data) - good, reason))
            for number, payload in frames:
                if found.setdefault(number, payload) != payload:
                    cuts.append(Cut(path, len(payload), f"another payload has number {number}"))
    except OSError as exc:
        raise RecordingError(f"{path}: {exc}") from exc
    return Recovered(sorted(found.items()), cuts, following)
