"""When a machine has paid for itself, with every assumption said aloud."""

import msgspec

from ..errors import ConfigError

MONTH_DAYS = 30.4375
"""A twelfth of 365.25 days."""


class Payback(msgspec.Struct, frozen=True, kw_only=True):
    """The answer and what it stands on.

    `days` until profit and resale cover the price, None where they do not within `horizon_days`; `profit` is that of
    the whole horizon in quote currency, `roi_percent` what is won or lost over it for each 100 of the price;
    `stops_after_days` is when mining stops to pay for its power, None where it does not within the horizon.
    """

    days: float | None
    profit: float
    roi_percent: float
    horizon_days: int
    stops_after_days: int | None
    assumptions: tuple[str, ...]


def payback(
    hardware_price: float,
    revenue_day: float,
    cost_day: float,
    *,
    difficulty_growth: float = 0.0,
    price_change: float = 0.0,
    resale: float = 0.0,
    horizon_days: int = 1825,
) -> Payback:
    """Payback time and return of a machine. All money in one quote currency.

    `revenue_day` is after the pool's fee (`Result`: revenue_day - pool_fee_day), `cost_day` electricity; growth and
    change are percent a month (2 is 2 %), compounded daily; `resale` is what the used machine brings whenever it is
    sold. Revenue of day n is revenue_day * ((1 + price) / (1 + difficulty))^(n / 30.4375). A day whose revenue is below
    its cost counts as 0: the machine is switched off.
    Raises ConfigError for a price not above 0, a change of -100 % or less, and what is negative or no number.
    """
    inf = float("inf")
    if not 0 < hardware_price < inf:
        raise ConfigError(f"a machine's price is above 0; got {hardware_price}")
    for what, value in (("revenue", revenue_day), ("resale", resale)):
        if not 0 <= value < inf:
            raise ConfigError(f"{what} {value} is not a number from 0 up")
    if not -inf < cost_day < inf:
        raise ConfigError(f"cost {cost_day} is not a number")
    for what, percent in (("difficulty growth", difficulty_growth), ("price change", price_change)):
        if not -100 < percent <= 1000:
            raise ConfigError(f"{what} of {percent} % a month is not between -100 and 1000")
    if not 1 <= horizon_days <= 36_525:
        raise ConfigError(f"a horizon of {horizon_days} days is not between 1 and 36525")

    factor = ((1 + price_change / 100) / (1 + difficulty_growth / 100)) ** (1 / MONTH_DAYS)
    total, revenue = 0.0, revenue_day
    days: float | None = 0.0 if resale >= hardware_price else None
    stops: int | None = None
    for day in range(horizon_days):
        profit = revenue - cost_day
        if profit <= 0:
            stops = day if stops is None else stops
            profit = 0.0
        else:
            stops = None
        if days is None and profit >= (missing := hardware_price - resale - total):
            days = day + missing / profit
        total += profit
        revenue *= factor
    return Payback(
        days=days,
        profit=total,
        roi_percent=(total + resale - hardware_price) / hardware_price * 100,
        horizon_days=horizon_days,
        stops_after_days=stops,
        assumptions=(
            f"the machine costs {hardware_price:g} and is sold for {resale:g} in the end",
            f"today it earns {revenue_day:g} a day after the pool's fee and uses {cost_day:g} of electricity",
            f"difficulty changes by {difficulty_growth:+g} % a month, spread evenly over its days",
            f"the coin's price changes by {price_change:+g} % a month, spread evenly over its days",
            "electricity, fees, subsidy and uptime stay as they are: no halving, no repairs, no taxes",
            "it is switched off on days on which power would cost more than it earns",
            f"the return is that of {horizon_days} days",
        ),
    )
