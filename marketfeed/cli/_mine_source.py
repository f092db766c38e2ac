"""Where `mine` gets prices and chains from, and whether any of it is reached."""

from collections.abc import Iterable, Sequence

from .. import catalogue
from ..errors import ConfigError, UnknownVenue
from ..mining.coins import Coin
from ..mining_plan import sources_of
from ._mine_ask import EXAMPLE
from ._reach import Reach
from ._source import Source, choose


def chosen(
    coins: Sequence[Coin],
    venues: Sequence[str],
    sources: Sequence[str],
    *,
    sim: bool,
    transport: str,
    endpoints: Sequence[str],
) -> tuple[list[str], list[str], Source]:
    """Venues of prices, sources of chains ([] for the default), and both as what to open.

    Raises ConfigError and UnknownVenue.
    """
    markets = _markets(venues)
    named = _chains(sources)
    if sim:
        named = _simulated(coins, named)
    used = [name for coin in coins for name in sources_of(coin, named)]
    source = choose((), venues=[*markets, *used], sim=sim, transport=transport, endpoints=endpoints)
    return markets, named, source


def _markets(venues: Sequence[str]) -> list[str]:
    if "all" in venues:
        return catalogue.markets()
    names = list(dict.fromkeys(name.lower() for name in venues)) or [catalogue.DEFAULT_VENUE]
    for name in names:
        if name not in catalogue.names():
            raise UnknownVenue(name, catalogue.markets())
        if catalogue.venue(name).coins:
            raise ConfigError(f"{name} tells chains and no prices: name it with --source")
    return names


def _chains(sources: Sequence[str]) -> list[str]:
    known = [name for name in catalogue.names() if catalogue.venue(name).coins]
    names = list(dict.fromkeys(name.lower() for name in sources))
    for name in names:
        if name in catalogue.names() and name not in known:
            raise ConfigError(f"{name} has prices and no chain: name it with --venue")
        if name not in known:
            raise UnknownVenue(name, known)
    return names


def _simulated(coins: Sequence[Coin], named: Sequence[str]) -> list[str]:
    """The sources that the simulator has; those that need a password only where they are named."""
    from ..sim.sources import SOURCES  # noqa: PLC0415 # heavy

    for coin in coins:
        having = [one for one in catalogue.chain_sources(coin.code) if one.name in SOURCES]
        if not having:
            raise ConfigError(f"the simulator has no chain of {coin.code}: --sim is for BTC")
    odd = [name for name in named if name not in SOURCES]
    if odd:
        raise ConfigError(f"no simulated source is called {odd[0]!r}; there are {', '.join(SOURCES)}")
    return list(named) or [name for name in SOURCES if catalogue.venue(name).credentials != "required"]


class MineReach(Reach):
    """As `Reach`, for streams that are found out later."""

    def __init__(self, source: Source) -> None:
        super().__init__((), source)
        self._wanted = {"what is not known yet"}  # so that nothing counts as all of it

    def want(self, names: Iterable[str]) -> None:
        """These streams are all there is."""
        self._wanted = set(names)

    def _example(self) -> str:
        return EXAMPLE
