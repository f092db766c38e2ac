"""Sequence verdicts, checksums and clocks that venues share."""

import re
import zlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal

Verdict = Literal["apply", "stale", "gap"]


def contiguous(known: int, first: int, last: int) -> Verdict:
    """Judge an update numbered `first` to `last` on a book that is at `known`.

    It applies where it begins at or before the next number and ends after what is known, so an overlap with what is
    already in the book is harmless (sizes are absolute). Binance: first U of a joined book is at most L+1, later ones
    are u+1; source: Binance spot web-socket-streams.md, "How to manage a local order book correctly".
    """
    if last <= known:
        return "stale"
    return "apply" if first <= known + 1 else "gap"


def crc32_levels(bids: Sequence[str], asks: Sequence[str]) -> int:
    """CRC32 of the levels' texts, asks first, each side best first.

    Source: Kraken, "Book checksum (v2)"; IEEE polynomial, unsigned.
    """
    return zlib.crc32("".join([*asks, *bids]).encode("ascii"))


def level_text(price: str, size: str) -> str:
    """A level's part of the checksum: both numbers without the point and without leading zeros."""
    return price.replace(".", "").lstrip("0") + size.replace(".", "").lstrip("0")


@lru_cache(maxsize=64)
def _whole_seconds(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp())


def rfc3339_ns(text: str) -> int:
    """Unix nanoseconds of `2026-04-07T14:30:02.789012Z`, with up to nine digits of fraction.

    A time before 1970 is 0: venues write year 1 for "none". Raises ValueError for anything else.
    """
    if len(text) < len("2026-04-07T14:30:02Z") or text[-1] != "Z":
        raise ValueError(f"not a UTC time: {text[:40]!r}")
    seconds = _whole_seconds(text[:19])
    if seconds < 0:
        return 0
    fraction = text[20:-1]
    if not fraction:
        return seconds * 1_000_000_000
    if text[19] != "." or len(fraction) > 9 or not (fraction.isascii() and fraction.isdigit()):
        raise ValueError(f"not a UTC time: {text[:40]!r}")
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


_TOO_OFTEN = re.compile(r"rate limit|msg rate|too many (?:requests|messages)", re.IGNORECASE)


def too_often(words: str) -> bool:
    """Whether an error says that too much was asked for at once: it refuses nothing, later the same will do."""
    return _TOO_OFTEN.search(words) is not None


def step(number: Decimal | None) -> Decimal | None:
    """A tick or lot as listed; None where it is no sane positive number (0 is how venues switch the rule off)."""
    sane = number is not None and number.is_finite() and Decimal("1e-30") <= number < Decimal("1e30")
    return number if sane else None
