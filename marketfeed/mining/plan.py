"""What profits to tell: as a user wants them (`Mining`), and as they are computed (`Plan`)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from .coins import Coin
from .economics import Scheme
from .electricity import Tariff
from .prices import PriceKind, Route
from .rigs import Rig

Electricity = float | str | Tariff | Callable[[], Awaitable[float]]
"""A price a kWh, a table by time of day (see `mining.electricity.parse_tariff`), or who is asked for it each minute."""


class Limits(Struct, frozen=True, kw_only=True):
    """When inputs are old and profits are told. Seconds, unless a name says otherwise."""

    price_stale_s: float = 30.0
    """A market silent for this long is stale."""
    price_dead_s: float = 300.0
    """Its price counts no more."""
    network_down_s: float = 45.0
    """A chain source whose connection is lost for this long is stale."""
    network_dead_s: float = 6 * 3600.0
    """Its figures count no more."""
    min_interval_s: float = 1.0
    """Between two profits told for a price."""
    dead_band: float = 0.0005
    """Relative move of a price that is worth telling."""
    heartbeat_s: float = 60.0
    """A profit is told again after this long."""
    electricity_stale_s: float = 180.0
    """A callable that gave no price of electricity for this long is stale."""
    first_s: float = 10.0
    """What has not come by then is told as missing."""


class Mining(Struct, frozen=True, kw_only=True):
    """What profits to tell: of `coins` (`BTC`, or `LTC+DOGE` where merged) with `rigs` (names or `Rig`s).

    `electricity` is in `quote` a kWh. `venues` give prices, each its own, of which the median counts (the feed's
    default venue where none is named); `price` is what of theirs. `sources` tell the chain: where none is named, nodes
    of one's own and two public ones. `pool_fee` and `uptime` are fractions, `pue` is power at the plug of the site over
    that of the rig.
    """

    coins: str
    rigs: Sequence[str | Rig]
    quote: str = "USD"
    electricity: Electricity
    venues: Sequence[str] = ()
    sources: Sequence[str] = ()
    price: PriceKind = "ticker"
    pool_fee: float = 0.0
    scheme: Scheme = "FPPS"
    uptime: float = 1.0
    pue: float = 1.0
    limits: Limits = Limits()


class Plan(Struct, frozen=True, kw_only=True):
    """What to compute: for coins (several where merged) and rigs, over routes and sources, on which terms.

    `routes` and `sources` are by coin. `electricity` None is set from outside (`Join.set_electricity`).
    """

    coins: tuple[Coin, ...]
    rigs: tuple[Rig, ...]
    quote: str
    routes: Mapping[str, Sequence[Route]]
    sources: Mapping[str, Sequence[str]]
    electricity: Tariff | None
    pool_fee: float = 0.0
    scheme: Scheme = "FPPS"
    uptime: float = 1.0
    pue: float = 1.0
    limits: Limits = Limits()

    @property
    def label(self) -> str:
        """`BTC`, or `LTC+DOGE` where merged."""
        return "+".join(coin.code for coin in self.coins)
