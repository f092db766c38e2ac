"""A book drawn as a ladder of text: asks above, bids below, the state always in sight."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ..events import Instrument
from ..text import escaped
from ..trusted_book import TrustedBook
from . import _colour
from ._lines import number

AROUND = 4
"""Lines of a drawing that are no levels."""


class Frame(Struct, frozen=True):
    """What there is to draw on; `rows` None is as many as it takes."""

    columns: int
    rows: int | None = None
    levels: int = 10
    colour: bool = False
    simulated: bool = False


def ladder(
    book: TrustedBook[Any], instrument: Instrument[Any] | None, frame: Frame, now_ns: int, note: str = ""
) -> list[str]:
    """The lines of a drawing, each within the columns there are. `note` is its last line."""
    levels = frame.levels if frame.rows is None else max(1, min(frame.levels, (frame.rows - AROUND) // 2))
    known = book.last_known
    asks, bids = known.asks(levels), known.bids(levels)
    digits = (None, None) if instrument is None else (instrument.price_digits, instrument.size_digits)
    rows = _levels(asks, bids, digits, frame, dim=not book.live)
    above, below = rows[: len(asks)], rows[len(asks) :]
    lines = [
        _title(book, frame),
        _facts(book, frame, now_ns),
        *reversed(above),
        _middle(asks, bids, digits[0], frame),
        *below,
    ]
    if note or frame.rows is not None:
        lines.append(_cut(note, frame, "yellow"))
    return lines if frame.rows is None else lines[: frame.rows]


def _title(book: TrustedBook[Any], frame: Frame) -> str:
    name = escaped(book.name.removesuffix(":book"), 60)
    state = {"live": "LIVE", "void": "VOID", "unsynced": "WAITING"}[book.state]
    mark = "SIMULATED" if frame.simulated else ""
    words = [(name, "bold"), (mark, "alarm"), (state, "green" if book.live else "red")]
    words = [word for word in words if word[0]]
    if len("  ".join(text for text, _ in words)) > frame.columns:
        words.reverse()  # the state and the mark matter more than the name
    elif not book.live and book.reason:
        words[-1] = (f"{state}: {escaped(book.reason)}", "red")
    return _words(words, frame)


def _facts(book: TrustedBook[Any], frame: Frame, now_ns: int) -> str:
    if not book.epoch:
        return ""
    age = max(0, now_ns - book.ts_recv) / 1e9
    words = [(f"seq {book.seq}", "dim"), (f"age {age:.1f} s", "dim"), (f"epoch {book.epoch}", "dim")]
    return _words(words, frame, whole=True)


def _middle(asks: Sequence[Any], bids: Sequence[Any], digits: int | None, frame: Frame) -> str:
    if not asks or not bids:
        return ""
    spread, mid = asks[0][0] - bids[0][0], (asks[0][0] + bids[0][0]) / 2
    fine = None if digits is None else digits + 1
    words = [(f"spread {number(_tidy(spread), digits)}", ""), (f"mid {number(_tidy(mid), fine)}", "")]
    return _words([("--", "dim"), *words], frame, whole=True)


def _tidy(value: Any) -> Any:
    """A float without the dust of its arithmetic."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


def _levels(
    asks: Sequence[Any], bids: Sequence[Any], digits: tuple[int | None, int | None], frame: Frame, *, dim: bool
) -> list[str]:
    """A line for each level: price, size, and a bar as long as the size is large; where it is narrow, less of these."""
    cells = [(number(p, digits[0]), number(s, digits[1]), float(s)) for p, s in (*asks, *bids)]
    if not cells:
        return []
    widths = (max(len(cell[0]) for cell in cells), max(len(cell[1]) for cell in cells))
    largest = max(cell[2] for cell in cells) or 1.0
    room = min(30, frame.columns - sum(widths) - 6)
    lines = []
    for i, (price, size, amount) in enumerate(cells):
        side = "dim" if dim else "red" if i < len(asks) else "green"
        bar = "#" * round(room * amount / largest) if room > 2 else ""
        line = _fitting(f"{price:>{widths[0]}}", f"{size:>{widths[1]}}", frame.columns)
        lines.append(_painted(line, side, frame) + (f"  {_painted(bar, 'dim', frame)}" if bar else ""))
    return lines


def _fitting(price: str, size: str, columns: int) -> str:
    """As much of a level as fits whole: a number that is cut reads as another one."""
    choices = (f"  {price}  {size}", f"  {price}", price)
    return next((line for line in choices if len(line) <= columns), "." * min(3, columns))


def _words(words: Sequence[tuple[str, str]], frame: Frame, *, whole: bool = False) -> str:
    """Words in their colours, cut where the line is full; `whole` ones are left out there."""
    left = frame.columns
    pieces: list[str] = []
    for text, colour in words:
        gap = "  " if pieces else ""
        part = text[: max(0, left - len(gap))]
        if not part or (whole and part != text):
            break
        left -= len(gap) + len(part)
        pieces.append(gap + _painted(part, colour, frame))
    return "".join(pieces)


def _cut(text: str, frame: Frame, colour: str) -> str:
    return _painted(text[: frame.columns], colour, frame) if text else ""


def _painted(text: str, colour: str, frame: Frame) -> str:
    return _colour.paint(text, colour) if frame.colour and colour else text
