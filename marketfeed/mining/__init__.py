"""Mining: coins, difficulty, profit of a rig, and the chain's next changes.

    async for profit in mf.mining.stream(feed, coins=["BTC"], rigs=["s21xp"], electricity=0.06):
        print(profit.profit_day, profit.stale)

Everything but `stream` is pure functions of numbers given. Names are loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .coins import COINS, Coin, coin, halving, parse_coins
    from .economics import calculate
    from .income import daily_income, to_csv
    from .live import profits, share_out, stream
    from .payback import payback
    from .plan import Limits, Mining, Plan
    from .ranking import Ranking
    from .rigs import Rig, catalogue, fleet, load_rigs, make_rig, rig

_ROOMS = {
    "coins": ("COINS", "Coin", "coin", "halving", "parse_coins"),
    "economics": ("calculate",),
    "income": ("daily_income", "to_csv"),
    "live": ("profits", "share_out", "stream"),
    "payback": ("payback",),
    "plan": ("Limits", "Mining", "Plan"),
    "ranking": ("Ranking",),
    "rigs": ("Rig", "catalogue", "fleet", "load_rigs", "make_rig", "rig"),
}
__all__ = [
    "COINS",
    "Coin",
    "Limits",
    "Mining",
    "Plan",
    "Ranking",
    "Rig",
    "calculate",
    "catalogue",
    "coin",
    "daily_income",
    "fleet",
    "halving",
    "load_rigs",
    "make_rig",
    "parse_coins",
    "payback",
    "profits",
    "rig",
    "share_out",
    "stream",
    "to_csv",
]


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
