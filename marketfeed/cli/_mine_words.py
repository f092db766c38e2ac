"""Numbers of mining as people write them: money, hashrates, times, percent."""

from ..mining.coins import Coin
from ..mining.units import format_hashrate

_USUAL = {"SHA-256d": "PH/s"}
"""The unit hashprice is quoted in, where it is not the one of rigs."""


def hash_unit(coin: Coin) -> str:
    """The unit of hashrate that people quote a coin's hashprice for."""
    return _USUAL.get(coin.algorithm, coin.hash_unit)


def efficiency_unit(coin: Coin) -> str:
    """`J/TH` for rigs of `TH/s`."""
    return f"J/{coin.hash_unit.removesuffix('/s')}"


def hashrate(hs: float, coin: Coin, digits: int = 4) -> str:
    """`270 TH/s`, `840 kSol/s`."""
    return format_hashrate(hs, "Sol/s" if "Sol" in coin.hash_unit else "H/s", digits)


def si(value: float, symbol: str = "", digits: int = 5) -> str:
    """`132.72 T`, `3.645 kW`."""
    return format_hashrate(value, symbol, digits).rstrip()


def money(value: float | None, *, signed: bool = False) -> str:
    """`1,234.50`: cents, or four significant digits of what is less than a unit."""
    return fixed(value, digits_of(value), signed=signed)


def digits_of(*values: float | None) -> int:
    """Digits after the point for amounts that stand together: cents, or more where the largest is less than a unit."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return 2 if not largest or largest >= 1 else 3 - _magnitude(largest)


def fixed(value: float | None, digits: int, *, signed: bool = False) -> str:
    """`-1,234.50` with so many digits after the point; never `-0.00`."""
    if value is None:
        return "-"
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    return text if text.strip("+-0.,") else text.lstrip("+-")


def coins(value: float | None) -> str:
    """An amount of coins: eight digits after the point where it is small, fewer where it is not."""
    if value is None:
        return "-"
    if value and abs(value) < 0.0001:
        return _significant(value, 6)
    return f"{value:,.8f}" if abs(value) < 1 else f"{value:,.4f}"


def percent(part: float | None, digits: int = 1) -> str:
    """`61.9 %` of 0.619."""
    return "-" if part is None else f"{part * 100:,.{digits}f} %"


def chance(part: float) -> str:
    """A probability: `0.386 %`, never rounded to certainty or to nothing."""
    if part <= 0:
        return "0 %"
    if part > 0.9999:
        return "over 99.99 %"
    return f"{part * 100:.3g} %" if part >= 1e-6 else f"1 in {1 / part:.3g}"


def span(seconds: float) -> str:
    """A time in its two largest units: `6 d 3 h`, `40 s`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        many, left = divmod(left, size)
        if many or (unit == "s" and not parts):
            parts.append(f"{many:,} {unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def _significant(value: float, digits: int = 4) -> str:
    """Significant digits without an exponent."""
    places = max(0, digits - 1 - _magnitude(value))
    text = f"{value:.{min(places, 20)}f}"
    return text.rstrip("0").rstrip(".") if places > digits else text


def _magnitude(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])
