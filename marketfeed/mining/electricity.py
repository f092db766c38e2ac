"""The price of electricity: one figure, or a table by time of day at a fixed offset from UTC."""

import re

import msgspec

from ..errors import ConfigError

MOST = 1e9
"""A price per kWh beyond those of all currencies, either way."""
_DAY_MIN = 1440
_MINUTE_NS = 60 * 10**9
_RANGE = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})=(.+)", re.ASCII)
_EXAMPLE = "write 0.06, or 00:00-06:00=0.04,06:00-24:00=0.09"


class Tariff(msgspec.Struct, frozen=True):
    """Prices per kWh over the day, in the currency the user thinks in.

    `slots` are (first minute of the local day, price), in order, the first at 0, neighbours of different price;
    `offset_min` is local time minus UTC in minutes, the same all year: summer time is not followed.
    """

    slots: tuple[tuple[int, float], ...]
    offset_min: int = 0

    def price_at(self, unix_ns: int) -> float:
        """The price per kWh at a Unix time in ns."""
        minute = self._local_min(unix_ns) % _DAY_MIN
        return next(price for start, price in reversed(self.slots) if start <= minute)

    def next_change(self, unix_ns: int) -> int | None:
        """The next Unix time in ns, after this one, at which the price differs; None where it never does."""
        if len(self.slots) == 1:
            return None
        local = self._local_min(unix_ns)
        midnight, minute = local - local % _DAY_MIN, local % _DAY_MIN
        # midnight is no change where the last price of a day is the first of the next
        starts = [start for start, _ in self.slots][self.slots[0][1] == self.slots[-1][1] :]
        later = next((start for start in starts if start > minute), starts[0] + _DAY_MIN)
        return (midnight + later - self.offset_min) * _MINUTE_NS

    def mean(self) -> float:
        """The price per kWh of a rig that runs all day, weighted by time."""
        ends = [*(start for start, _ in self.slots[1:]), _DAY_MIN]
        weighted = sum(price * (end - start) for (start, price), end in zip(self.slots, ends, strict=True))
        return weighted / _DAY_MIN

    def _local_min(self, unix_ns: int) -> int:
        return unix_ns // _MINUTE_NS + self.offset_min


def parse_tariff(text: str, offset_min: int = 0) -> Tariff:
    """A tariff of `0.06`, or of times and prices: `00:00-06:00=0.04,06:00-24:00=0.09`; a range may pass midnight.

    `offset_min` is local time minus UTC in minutes. Raises ConfigError for what cannot be read, and for minutes that
    have two prices or none.
    """
    if not -_DAY_MIN < offset_min < _DAY_MIN:
        raise ConfigError(f"an offset of {offset_min} minutes from UTC is more than a day; Berlin in winter is 60")
    if "=" not in text:
        return Tariff(((0, _price(text, text)),), offset_min)
    ranges: list[tuple[int, int, float]] = []
    for piece in text.split(","):
        start, end, price = _range(piece.strip(), text)
        ranges += [(start, end, price)] if start < end else [(start, _DAY_MIN, price), (0, end, price)]
    slots: list[tuple[int, float]] = []
    at = 0
    for start, end, price in sorted(one for one in ranges if one[0] < one[1]):
        if start != at:
            fault = f"no price from {_clock(at)} to {_clock(start)}" if start > at else f"two prices at {_clock(start)}"
            raise ConfigError(f"tariff {text[:60]!r} has {fault}")
        if not slots or slots[-1][1] != price:
            slots.append((start, price))
        at = end
    if at != _DAY_MIN:
        raise ConfigError(f"tariff {text[:60]!r} has no price from {_clock(at)} to 24:00")
    return Tariff(tuple(slots), offset_min)


def _range(piece: str, text: str) -> tuple[int, int, float]:
    found = _RANGE.fullmatch(piece)
    if found is None:
        raise ConfigError(f"{piece[:40]!r} in a tariff is not FROM-TO=PRICE; {_EXAMPLE}")
    start, end = _minute(found[1], found[2], piece), _minute(found[3], found[4], piece)
    if start in (end, _DAY_MIN):
        raise ConfigError(f"{piece[:40]!r} in a tariff covers no time; {_EXAMPLE}")
    return start, end, _price(found[5], text)


def _minute(hours: str, minutes: str, piece: str) -> int:
    minute = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or minute > _DAY_MIN:
        raise ConfigError(f"{hours}:{minutes} in {piece[:40]!r} is no time of day (00:00 to 24:00)")
    return minute


def _price(number: str, text: str) -> float:
    try:
        price = float(number)
    except ValueError:
        raise ConfigError(f"electricity price {text[:60]!r} cannot be read; {_EXAMPLE}") from None
    if not abs(price) < MOST:
        raise ConfigError(f"electricity price {text[:60]!r} is not a number of a currency per kWh")
    return price


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
