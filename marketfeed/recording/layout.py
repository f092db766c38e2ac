"""Where the files of a dataset are: `venue=NAME/channel=NAME/date=YYYY-MM-DD/*.parquet`."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from ..errors import RecordingError
from ..text import escaped
from .times import date_of

PART = ".part"
"""Ends the name of a file that a pass of the recorder has written and not named yet."""
PATTERN = "venue=*/channel=*/date=*/*.parquet"
_PATH = re.compile(r"venue=[^/]*/channel=[a-z]+/date=\d{4}-\d\d-\d\d/[^/]+\.parquet")


def partition(venue: str, channel: str, ts_ns: int) -> str:
    """The folder, inside a dataset, of what a venue sent on a channel at that receive time."""
    return f"venue={quote(venue, safe='')}/channel={channel}/date={date_of(ts_ns)}"


class File(NamedTuple):
    """One file of a dataset and what its folders say."""

    path: Path
    venue: str
    channel: str
    date: str


def file_at(root: Path, path: str) -> File:
    """The file at this path within a dataset. Raises RecordingError for a path that is none, or leads out of it."""
    if not _PATH.fullmatch(path) or "/../" in path:
        raise RecordingError(f"{root}: {escaped(path)} is no path of a dataset's file")
    venue, channel, date = (unquote(folder.partition("=")[2]) for folder in path.split("/")[:3])
    return File(root / path, venue, channel, date)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise RecordingError for what may not be read; it names what was refused, or `path` where nothing tells."""
    try:
        yield
    except PermissionError as exc:
        reason = os.strerror(exc.errno or errno.EACCES)
        raise RecordingError(f"{exc.filename or path}: cannot be read: {reason}") from exc


def present(path: Path) -> Path:
    """Where a file that counts is: under its own name, or under its first one if the recorder crashed before naming."""
    first = path.with_name(path.name + PART)
    return first if not path.exists() and first.exists() else path
