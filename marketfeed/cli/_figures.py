"""Counts, sizes and times as people read them, and the room there is for them."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

SECOND = 10**9


def many(count: int, what: str) -> str:
    """`1 file`, `1,234 files`."""
    return f"{count:,} {what}" + "s" * (count != 1)


def size(count: float) -> str:
    """Bytes: `812 B`, `35.4 kB`, `1.2 GB`."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} GB"


def clock(seconds: float) -> str:
    """`0:07`, `59:59`, `12:00:00`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def length(ns: int) -> str:
    """The two largest units of a length of time: `12 ms`, `1.5 s`, `2 min 5 s`, `3 d 4 h`."""
    seconds = round(ns / SECOND)
    for unit, lower, span, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if seconds >= span:
            whole, rest = divmod(seconds, span)
            return f"{whole:,} {unit}" + (f" {rest // part} {lower}" if rest >= part else "")
    return f"{ns / SECOND:.1f} s".replace(".0", "") if ns >= SECOND or not ns else f"{ns / 1e6:.0f} ms"


def moment(ns: int) -> str:
    """A time in UTC, to the second."""
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%Y-%m-%d %H:%M:%S}"


def columns(stream: TextIO) -> int:
    """Of the terminal that a stream is; 80 where that is not known."""
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or 80
    return 80
