"""Hashrates and powers as people write them: `270TH/s`, `840 kSol/s`, `3645W`. Letter case does not matter.

Numbers in code are H/s (Equihash: Sol/s) and watts.
"""

import re
from decimal import Context, Decimal

from ..errors import ConfigError

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
_TEXT = re.compile(r"\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d{1,2})?)\s*([a-z/]*)\s*", re.IGNORECASE | re.ASCII)
_HASH = re.compile(r"([kmgtpezy]?)(h|sol)(?:/s)?", re.IGNORECASE | re.ASCII)
_POWER = re.compile(r"([kmg]?)(w)", re.IGNORECASE | re.ASCII)


def parse_hashrate(text: str) -> float:
    """H/s, or Sol/s, of `270TH/s`, `1 PH/s`, `9.5GH` or `840 kSol/s`.

    There is no milli: `98 mh/s` is 98 million. Raises ConfigError for what is no number above 0 with a known unit.
    """
    rate = _parse(text, "hashrate", _HASH, "270TH/s, 9.5GH/s or 840kSol/s")
    if rate <= 0:
        raise ConfigError(f"hashrate {text[:30]!r} is not above 0")
    return float(rate)


def parse_power(text: str) -> float:
    """Watts of `3645W`, `20kW` or `1.2MW`; raises ConfigError for what is no number from 0 up with a known unit."""
    power = _parse(text, "power", _POWER, "3645W or 3.6kW")
    if power < 0:
        raise ConfigError(f"power {text[:30]!r} is below 0")
    return float(power)


def unit_scale(unit: str) -> float:
    """H/s (or Sol/s) in one of a unit: 1e15 for `PH/s`; raises ConfigError for an unknown unit."""
    return float(_scale(unit, unit, "unit", _HASH, "TH/s, MH/s or kSol/s"))


def format_hashrate(hs: float, symbol: str = "H/s", digits: int = 6) -> str:
    """`270 TH/s`: at most `digits` significant digits, 17 for all there are; `symbol` is `H/s` or `Sol/s`.

    `parse_hashrate` reads it back: exactly with 17 digits. Raises ValueError for NaN, infinities and negative rates.
    """
    if not 0 <= hs < float("inf"):
        raise ValueError(f"hashrate {hs} is not a finite number from 0 up")
    # repr is the shortest text that brings the same float back, so that 17 digits lose nothing
    rounded = Context(prec=digits).create_decimal(repr(hs))
    step = min(max(rounded.adjusted() // 3, 0), len(_PREFIXES) - 1)
    number = format(rounded.scaleb(-3 * step).normalize(), "f")
    return f"{number} {_PREFIXES[step]}{symbol}"


def _parse(text: str, what: str, unit: re.Pattern[str], example: str) -> Decimal:
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text[:30]!r} is not a {what}; write it as {example}")
    if not found[2]:
        raise ConfigError(f"{what} {text[:30]!r} has no unit; write it as {example}")
    return Decimal(found[1]) * _scale(found[2], text, what, unit, example)


def _scale(unit: str, text: str, what: str, known: re.Pattern[str], example: str) -> Decimal:
    found = known.fullmatch(unit)
    if found is None:
        raise ConfigError(f"{what} {text[:30]!r}: {unit[:20]!r} is not a unit of it; write it as {example}")
    upper = found[1].upper()
    return Decimal(1000) ** [prefix.upper() for prefix in _PREFIXES].index(upper)
