"""About which height a coin's chain has today, for a subsidy where nobody says the height."""

from ..mining.coins import Coin

_KNOWN: dict[str, tuple[int, int]] = {
    "BTC": (878_976, 1_736_712_111),
    "BCH": (840_000, 1_712_190_000),
    "LTC": (2_520_000, 1_690_990_000),
    "DOGE": (5_000_000, 1_701_000_000),
    "DASH": (1_892_161, 1_687_300_000),
    "ZEC": (2_726_400, 1_732_320_000),
    "RVN": (2_100_000, 1_641_900_000),
    "ETC": (20_000_000, 1_717_100_000),
    "XMR": (3_000_000, 1_698_000_000),
    "KAS": (110_165_000, 1_746_457_200),
}
"""A height, mostly of a change of subsidy, and about when it came (Unix s)."""


def height_today(coin: Coin, now_s: float) -> int:
    """The height at a time, with blocks as fast as aimed at: some weeks off, which matters near a change alone."""
    height, at = _KNOWN[coin.code]
    return height + int(max(0.0, now_s - at) / coin.block_time_s)
