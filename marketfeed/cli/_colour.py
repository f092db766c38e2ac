"""Colour on a terminal: plain ANSI, off where NO_COLOR says so, on where FORCE_COLOR does."""

import os
from typing import TextIO

CODES = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1", "alarm": "1;33"}


def wanted(stream: TextIO) -> bool:
    """Whether to colour what goes to this stream."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str) -> str:
    """The text in a colour of `CODES`; as it is where `colour` is ""."""
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m" if colour else text
