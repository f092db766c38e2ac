"""The raw format: JSON lines, one input of a session a line. The page docs/reference/raw-format.md fixes it."""

import binascii
import gzip
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, TypeVar

import msgspec
from msgspec import Struct

from ..errors import RecordingError
from ..text import escaped
from ..venues._spec import Pace

T = TypeVar("T")
MAX_SECONDS_DIGITS = 12
"""Digits of a Unix time in seconds; one with an absurd exponent would take a minute to become an integer."""


class Line(Struct):
    """One line. Readers ignore the keys and the values of `dir` that they do not know."""

    dir: str
    conn: str = ""
    t: Decimal | None = None
    url: str = ""
    raw: str = ""
    b64: str = ""
    code: int = 1006
    reason: str = ""
    mono: int = 0
    seq: int = 0
    token: int = 0
    status: int = 200
    venue: str = ""
    name: str = ""
    add: list[str] = []
    drop: list[str] = []
    attempt: int = 1
    retry_s: float | None = 0.0
    exact: bool = False
    max_resyncs: int = 3
    backfill: bool = False
    audit_s: float = 0.0
    pace: Pace | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for base64 that is none and for a time that no clock shows."""
        if self.b64:
            binascii.a2b_base64(self.b64, strict_mode=True)
        if self.t is not None and not (self.t.is_finite() and self.t.adjusted() < MAX_SECONDS_DIGITS):
            raise ValueError("t is not a time")

    @property
    def data(self) -> bytes:
        """The frame or body, as it was on the wire."""
        return binascii.a2b_base64(self.b64) if self.b64 else self.raw.encode()

    @property
    def recv_ns(self) -> int:
        """Receive time in Unix nanoseconds; 0 where none was kept."""
        return int(self.t * 1_000_000_000) if self.t is not None else 0


_line = msgspec.json.Decoder(Line).decode


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as probe:
        zipped = probe.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value] # gzip's is one


def read_lines(path: str | Path) -> Iterator[Line]:
    """The lines of a recording, plain or gzip. Raises RecordingError naming the file and the line."""
    return decoded(path, _line, "a line of a raw recording")


def decoded(path: str | Path, decode: Callable[[bytes], T], what: str) -> Iterator[T]:
    """What `decode` makes of each line of a file, plain or gzip; `what` says what a line is.

    Raises RecordingError naming the file and the line.
    """
    path = Path(path)
    number = 0
    try:
        with _open(path) as stream:
            for text in stream:
                number += 1
                if text.strip():
                    yield decode(text)
    except FileNotFoundError:
        raise RecordingError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise RecordingError(f"{path}: is a folder; name one recording") from None
    except (ValueError, RecursionError) as exc:
        raise RecordingError(f"{path}, line {number}: not {what}: {escaped(str(exc), 200)}") from exc
    except (OSError, EOFError, zlib.error) as exc:
        raise RecordingError(f"{path}, after line {number}: {exc}") from exc
