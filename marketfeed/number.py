"""Numbers as venues write them: `float` or `Decimal`, one grammar, no hostile values.

The code is generic over the number type `N`. A venue's wire types are decoded with msgspec into `Price` and `Size`
(float mode), which reject NaN, infinities, signs, blanks, underscores and absurd magnitudes by themselves. Three
things they cannot see are found in the text by `odd` and judged by `check_numbers`: numbers of more than
40 characters, exponents beyond 30, and a size that underflows to 0 (it would remove a level).
In exact mode a frame is first read as floats, for their grammar, and then as `Decimal`.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from msgspec import Meta

if TYPE_CHECKING:
    from typing_extensions import TypeVar as _DefaultTypeVar

    N = _DefaultTypeVar("N", bound=float | Decimal, default=float)
    N_contra = TypeVar("N_contra", bound=float | Decimal, contravariant=True)
else:
    N = TypeVar("N")  # msgspec wants it plain; type checkers see float or Decimal, float where nothing is said
    N_contra = TypeVar("N_contra", contravariant=True)

P = TypeVar("P")
"""A wire type's positive number: `Price` or `Decimal`."""
S = TypeVar("S")
"""A wire type's number that may be zero: `Size` or `Decimal`."""

Price = Annotated[float, Meta(ge=1e-30, lt=1e30)]
Size = Annotated[float, Meta(ge=0, lt=1e30)]
UsualPrice = Annotated[float, Meta(ge=1e-30, lt=1e12)]
UsualSize = Annotated[float, Meta(ge=0, lt=1e12)]
"""Where frames are looked at for `EVERY_THIRD`; what is not usual is read again as `Price` and `Size`."""
Int64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Millis = Annotated[int, Meta(ge=0, lt=10**14)]
"""Unix time in milliseconds; 0 where the venue gives none."""

MAX_CHARS = 40
MAX_EXPONENT = 30

SHAPE = bytes(0x30 if chr(i) in "0123456789." else 0x65 if chr(i) in "eE" else 0x20 for i in range(256))
_LONG = b"0" * (MAX_CHARS + 1)
EVERY_THIRD = b"0" * 7
"""In the shape of every third byte of a frame this shows a number of over 20 digits: one of over 40 characters, and
one below 1e12 whose exponent is beyond 30, since its digits then begin `0.0000000000000000000`. JSON strings that
follow each other (`","`) are three characters apart at least, so that they do not run together."""
_SUSPECT = re.compile(rb"(?<![\w.])-?\d(?:[\d.]*[eE]([+-]?\d+)|[\d.]{39,})(?![\w.])")
"""A number with an exponent, or a long one: all others are sound."""
_MARKS = (b"0" * MAX_CHARS, b"0e")
"""What the shape of each such number has in it."""
_WORDS = bytes(0x78 if chr(i).isascii() and (chr(i).isalnum() or chr(i) in "_.+-") else 0x20 for i in range(256))
FEW = 1_000
"""Marks that are looked at one by one; more are found sooner by reading all of a frame."""


_ESCAPED = re.compile(rb"\\u00(?:3[0-9]|45|65|2[bdeBDE])")


def odd(raw: bytes) -> bool:
    """Whether a frame may hold a number that a float decoder cannot judge. Hot: about 2 ns a byte."""
    shape = raw.translate(SHAPE)
    return _LONG in shape or b"0e" in shape or b"\\" in raw


def check_numbers(raw: bytes) -> None:
    """Judge every number in a frame by its text; called where `odd` says so.

    Raises ValueError for one of over 40 characters, with an exponent beyond 30, or written with JSON escapes, which
    would hide both. Any other is at least 1e-70, so no float made from it can have become 0.
    """
    if _ESCAPED.search(raw):
        raise ValueError("a digit or sign of a number is escaped")
    for match in _suspects(raw):
        exponent = match[1]
        if len(match[0]) > MAX_CHARS:
            raise ValueError(f"number of {len(match[0])} characters, over {MAX_CHARS}")
        if exponent is not None and abs(int(exponent)) > MAX_EXPONENT:
            raise ValueError(f"exponent {int(exponent)} beyond {MAX_EXPONENT}")


def _suspects(raw: bytes) -> Iterator[re.Match[bytes]]:
    """The numbers to be judged. One odd word among megabytes of plain levels costs no reading of all of them."""
    shape = raw.translate(SHAPE)
    if sum(map(shape.count, _MARKS)) > FEW:
        yield from _SUSPECT.finditer(raw)
        return
    words = raw.translate(_WORDS)
    for mark in _MARKS:
        at = shape.find(mark)
        while at >= 0:
            begin, end = words.rfind(b" ", 0, at) + 1, words.find(b" ", at)
            end = len(raw) if end < 0 else end
            yield from _SUSPECT.finditer(raw, begin, end)
            at = shape.find(mark, end)


def reader(checked: Callable[[bytes], Any], exact: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """A decoder of frames that lets no hostile number through.

    `checked` decodes with `Price` and `Size`; `exact`, where given, decodes the same frame with `Decimal` once
    `checked` has found it sound. Raises what they raise (msgspec errors, ValueError, RecursionError).
    """
    if exact is None:

        def read(raw: bytes) -> Any:
            if odd(raw):
                check_numbers(raw)
            return checked(raw)
    else:

        def read(raw: bytes) -> Any:
            if odd(raw):
                check_numbers(raw)
            checked(raw)
            return exact(raw)

    return read


def decimals(step: Decimal) -> int:
    """Digits after the point of a tick or lot: 2 for 0.01, 0 for 10."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
