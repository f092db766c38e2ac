"""`plan_of`: from the mining that a user wants to a plan, with the markets and sources that there are for it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from . import catalogue
from .errors import ConfigError, TransportError
from .events import Instrument
from .mining.coins import Coin, parse_coins
from .mining.electricity import Tariff, parse_tariff
from .mining.join import check_rigs
from .mining.plan import Electricity, Mining, Plan
from .mining.prices import Leg, PriceKind, Route
from .mining.rigs import Rig, rig
from .settings import credentials
from .transport import is_loopback
from .venues._spec import Venue

BRIDGES = ("USDT", "USD", "USDC", "EUR", "BTC")
"""Currencies over which a price may go where a coin has no market in the one asked for."""


class Listings(Protocol):
    """What a plan needs of its feed; see `Feed`."""

    default_venue: str

    async def instruments(self, venue: str) -> list[Instrument[Any]]:
        """What a venue lists."""


async def plan_of(want: Mining, feed: Listings) -> Plan:
    """The plan for what is wanted, with routes and sources found. Raises ConfigError for what cannot be computed."""
    chosen, rigs, power = parse_coins(want.coins), rigs_of(want.rigs), tariff(want.electricity)
    check_rigs(chosen, rigs)
    sources = {coin.code: sources_of(coin, want.sources) for coin in chosen}
    quote = want.quote.upper()
    venues = list(want.venues) or [feed.default_venue]

    async def markets(venue: str) -> dict[str, Instrument[Any]]:
        return {one.symbol: one for one in await feed.instruments(venue)}

    return Plan(
        coins=chosen,
        rigs=rigs,
        quote=quote,
        routes={coin.code: await routes_of(coin.code, quote, venues, want.price, markets) for coin in chosen},
        sources=sources,
        electricity=power,
        pool_fee=want.pool_fee,
        scheme=want.scheme,
        uptime=want.uptime,
        pue=want.pue,
        limits=want.limits,
    )


def tariff(electricity: Electricity) -> Tariff | None:
    """The tariff of what a user gives; None for a callable. Raises ConfigError where it is none of these."""
    if isinstance(electricity, Tariff):
        return electricity
    if callable(electricity):
        return None
    return parse_tariff(str(electricity))


def rigs_of(rigs: Iterable[str | Rig]) -> tuple[Rig, ...]:
    """Rigs by name or as they are. Raises ConfigError for names that are not known, and where there is none."""
    found = tuple(rig(one) if isinstance(one, str) else one for one in rigs)
    if not found:
        raise ConfigError("no rig to compute for; name one, as in rigs=['s21xp']")
    return found


def sources_of(coin: Coin, named: Sequence[str]) -> list[str]:
    """Chain sources of a coin, most trusted first: those named, in that order, else nodes of one's own and two others.

    An own node counts where its credentials are in the environment. Raises ConfigError where there is none.
    """
    known = catalogue.chain_sources(coin.code)
    if named:
        names = {one.name for one in known}
        return [name for name in named if name in names] or _none(coin, known)
    usable = [one for one in known if _usable(one)]
    own = [one.name for one in usable if is_loopback(urlsplit(one.endpoints.rest).hostname or "")]
    public = [one.name for one in usable if one.name not in own]
    return own + public[:2] or _none(coin, known)


def _usable(venue: Venue) -> bool:
    try:
        credentials(venue)
    except ConfigError:
        return False
    return True


def _none(coin: Coin, known: Sequence[Venue]) -> list[str]:
    names = ", ".join(one.name for one in known)
    raise ConfigError(
        f"no source for the chain of {coin.code} can be used; there are {names or 'none'}: see their docs"
    )


async def routes_of(
    coin: str,
    quote: str,
    venues: Sequence[str],
    kind: PriceKind,
    markets: Callable[[str], Awaitable[Mapping[str, Any]]],
) -> list[Route]:
    """Routes from a coin to a currency, one a venue: its own market, else over one currency between.

    `markets` gives a venue's instruments by symbol. A venue that does not answer is taken to have the market itself:
    the feed goes on asking. The second half of a route may lie at another of the venues. Raises ConfigError where
    none has any.
    """
    listed: dict[str, Mapping[str, Any]] = {}
    for venue in venues:
        try:
            listed[venue] = await markets(venue)
        except (TransportError, ValueError):
            listed[venue] = {f"{coin}-{quote}": None}
    found: list[Route] = []
    for venue in venues:
        if f"{coin}-{quote}" in listed[venue]:
            found.append((Leg(venue, f"{coin}-{quote}", kind),))
            continue
        bridge = next(
            (
                (Leg(venue, f"{coin}-{over}", kind), second)
                for over in BRIDGES
                if f"{coin}-{over}" in listed[venue]
                and (second := _second(over, quote, [venue, *venues], listed, kind)) is not None
            ),
            None,
        )
        if bridge is not None:
            found.append(bridge)
    if not found:
        raise ConfigError(
            f"no market of {', '.join(venues)} gives a price of {coin} in {quote}, not over {', '.join(BRIDGES)} "
            "either; name other venues"
        )
    return found


def _second(
    over: str, quote: str, venues: Sequence[str], listed: Mapping[str, Mapping[str, Any]], kind: PriceKind
) -> Leg | None:
    for venue in venues:
        if f"{over}-{quote}" in listed[venue]:
            return Leg(venue, f"{over}-{quote}", kind)
        if f"{quote}-{over}" in listed[venue]:
            return Leg(venue, f"{quote}-{over}", kind, inverse=True)
    return None
