"""What each simulated venue lists: the real venues' names, ticks and lots, with plausible prices."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cache

import msgspec


class SimInstrument(msgspec.Struct, frozen=True):
    """One market of a simulated venue; prices count in `tick`, sizes in `lot` of the base currency."""

    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    start: Decimal
    """The price the simulation starts at."""
    usual: Decimal = Decimal("0.1")
    """The size of a usual order."""
    finer: int = 0
    """How many digits of a price are printed beyond those of its tick."""
    alias: str | None = None
    """The market whose book this name shows (Coinbase: BTC-USDC shows BTC-USD)."""

    @property
    def symbol(self) -> str:
        """The canonical name, `BASE-QUOTE`."""
        return f"{self.base}-{self.quote}"

    @property
    def price_digits(self) -> int:
        """Digits after the point of a price."""
        return digits(self.tick) + self.finer

    @property
    def size_digits(self) -> int:
        """Digits after the point of a size."""
        return digits(self.lot)

    def ticks(self, price: float | str | Decimal) -> int:
        """A price as a whole number of ticks (rounded: a float is allowed its last bit)."""
        return round(Decimal(str(price)) / self.tick)

    def lots(self, size: float | str | Decimal) -> int:
        """A size as a whole number of lots."""
        return round(Decimal(str(size)) / self.lot)

    def price(self, ticks: int) -> Decimal:
        """The exact price of so many ticks."""
        return self.tick * ticks

    def size(self, lots: int) -> Decimal:
        """The exact size of so many lots."""
        return self.lot * lots


@cache
def digits(step: Decimal) -> int:
    """Digits after the point that a step such as 0.01 needs."""
    exponent = step.as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _listing(rows: Iterable[str]) -> tuple[SimInstrument, ...]:
    """Read rows of `BASE-QUOTE tick lot start usual [alias]`."""
    out = []
    for row in rows:
        name, tick, lot, start, usual, *alias = row.split()
        base, quote = name.split("-")
        numbers = (Decimal(tick), Decimal(lot), Decimal(start), Decimal(usual))
        out.append(SimInstrument(base, quote, *numbers, alias=alias[0] if alias else None))
    return tuple(out)


INSTRUMENTS: dict[str, tuple[SimInstrument, ...]] = {
    "kraken": _listing(
        (
            "BTC-USD  0.1   0.00000001 65000.0 0.15",
            "ETH-USD  0.01  0.00000001 3200.00 1.5",
            "SOL-USD  0.01  0.00000001 165.00  25",
            "BTC-USDT 0.1   0.00000001 65020.0 0.10",
        )
    ),
    # Binance has no BTC-USD: its dollar is USDT.
    "binance": _listing(
        (
            "BTC-USDT 0.01    0.00001 65010.00 0.15",
            "ETH-USDT 0.01    0.0001  3201.00  1.5",
            "SOL-USDT 0.01    0.001   165.10   25",
            "ETH-BTC  0.00001 0.0001  0.04923  1.2",
        )
    ),
    "coinbase": _listing(
        (
            "BTC-USD  0.01 0.00000001 65005.00 0.12",
            "ETH-USD  0.01 0.00000001 3200.50  1.4",
            "SOL-USD  0.01 0.00000001 165.05   20",
            "BTC-USDC 0.01 0.00000001 65005.00 0.12 BTC-USD",
        )
    ),
}
"""By venue, in the order they are listed there."""
