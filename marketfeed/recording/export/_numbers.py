"""Prices and sizes as text, exact: of a float its shortest text counts, which is what the venue wrote."""

from decimal import Decimal
from functools import lru_cache
from typing import Any

KEPT = 1 << 16
"""Numbers come back again and again."""


@lru_cache(KEPT)
def text(number: Any) -> str:
    """Its digits, without an exponent and without zeros at the end."""
    digits = format(number if isinstance(number, Decimal) else Decimal(repr(number)), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def places(number: Any) -> int:
    """Digits after the point."""
    return len(text(number).partition(".")[2])
