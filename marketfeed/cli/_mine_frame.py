"""Text within the columns there are: keys and words, colours, and a course of values as bars."""

from collections.abc import Sequence

from msgspec import Struct

from . import _colour

KEY = 12
"""Columns of a key."""
BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-=+*#@"
Word = tuple[str, str]
"""A piece of text and its colour."""


class Frame(Struct, frozen=True):
    """What there is to draw on; `rows` None is as many as it takes. `bars` from low to high draw a course."""

    columns: int
    rows: int | None = None
    colour: bool = False
    simulated: bool = False
    bars: str = BARS


def spark(values: Sequence[float], bars: str) -> str:
    """Values as bars from the lowest to the highest; all in the middle where they are the same to a thousandth."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if high - low <= 1e-3 * max(abs(high), abs(low)):
        return bars[len(bars) // 2 - 1] * len(values)
    return "".join(bars[round((value - low) / (high - low) * (len(bars) - 1))] for value in values)


def sign(value: float | None) -> str:
    """The colour of a profit."""
    return "" if not value else "green" if value > 0 else "red"


def line(key: str, words: Sequence[Word], frame: Frame) -> list[str]:
    """A key and its words, on as many lines as they take."""
    width = min(KEY, max(0, frame.columns - 20))
    lines: list[list[Word]] = [[(f"{key:<{width}}", "dim")]]
    used = width
    for text, colour in words:
        fresh = len(lines[-1]) == 1
        gap = 0 if fresh else 3
        if not fresh and used + gap + len(text) > frame.columns:
            lines.append([(" " * width, "")])
            used, gap = width, 0
        lines[-1].append((" " * gap + text, colour))
        used += gap + len(text)
    return [fit(line, frame, "") for line in lines]


def fit(words: Sequence[Word], frame: Frame, between: str = "  ") -> str:
    """Words in their colours, cut where the line is full."""
    left = frame.columns
    pieces: list[str] = []
    for text, colour in words:
        gap = between if pieces else ""
        part = text[: max(0, left - len(gap))]
        if not part:
            break
        left -= len(gap) + len(part)
        pieces.append(gap + (_colour.paint(part, colour) if frame.colour and colour else part))
    return "".join(pieces).rstrip()
