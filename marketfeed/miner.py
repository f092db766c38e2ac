"""`Miner`: keeps a mining join fed and on time within a running feed; and which markets and sources it needs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from . import catalogue
from .chain import ChainStream
from .clock import Clock
from .errors import ConfigError, TransportError
from .events import (
    Block,
    Disconnected,
    Head,
    Instrument,
    MiningProfit,
    NetworkStats,
    Stale,
    Ticker,
    Trade,
)
from .hub import Hub
from .mining.coins import Coin, parse_coins
from .mining.electricity import Tariff, parse_tariff
from .mining.join import Join, check_rigs
from .mining.plan import Electricity, Mining, Plan
from .mining.prices import Leg, PriceKind, Route
from .mining.rigs import Rig, rig
from .outlet import Outlet
from .pace import SECOND
from .settings import credentials
from .transport import is_loopback
from .venues._spec import Venue

KINDS: tuple[type[Head], ...] = (Trade, Ticker, Block, NetworkStats, Disconnected, Stale)
BRIDGES = ("USDT", "USD", "USDC", "EUR", "BTC")
"""Currencies over which a price may go where a coin has no market in the one asked for."""
ASK_S = 60.0
LATE_NS = 10 * SECOND
"""What is due for longer was due while the process slept, or before its clock was set."""
LOOK_S = 60.0
"""Between two looks at the clock, at most."""
NEWEST = 4096
"""Profits that a miner knows for its own."""


class Feeding(Protocol):
    """What a miner needs of its feed; see `Feed`."""

    default_venue: str

    @property
    def closed(self) -> bool:
        """Whether it has ended."""

    def subscribe(self, *names: str, trades: bool = False, ticker: bool = False, chain: bool = False) -> Any:
        """Want streams."""

    def unsubscribe(self, *names: str, trades: bool = False, ticker: bool = False, chain: bool = False) -> Any:
        """Want them no more."""

    async def instruments(self, venue: str) -> list[Instrument[Any]]:
        """What a venue lists."""


class Miner:
    """One join within a feed, which tells its profits to every consumer. `close()` ends it."""

    def __init__(self, plan: Plan, feed: Feeding, hub: Hub, clock: Clock) -> None:
        self.plan = plan
        self._own: dict[int, None] = {}
        """Numbers of the newest profits told."""
        outlet = Outlet(self._emit)
        outlet.number = hub.outlet.number
        self._join = Join(plan, outlet)
        self._feed = feed
        self._hub = hub
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._told = False
        self._asking: asyncio.Task[None] | None = None
        self._armed = 0
        self._timed = 0
        """When the timer fired last, by the wall clock."""
        self._wanted: list[tuple[str, dict[str, bool]]] = []
        for kind in KINDS:
            hub.handlers[kind] = [*hub.handlers.get(kind, ()), self._on_event]
        try:
            for leg in self._join.legs():
                self._want(f"{leg.venue}:{leg.symbol}", {leg.kind: True})
            for name in self._chains():
                self._want(name, {"chain": True})
        except BaseException:
            self.close()
            raise
        for coin, sources in plan.sources.items():
            for source in sources:
                stream = hub.streams.find(source, coin, "chain")
                if isinstance(stream, ChainStream) and (figures := stream.figures(clock.unix_ns())) is not None:
                    hub.outlet.emit(figures)  # for everybody, and recordings: the next may be a block away
        hub.deliver()

    def close(self) -> None:
        """Tell no more profits, and want no more what they are made from."""
        for kind in KINDS:
            self._hub.handlers[kind] = [one for one in self._hub.handlers[kind] if one != self._on_event]
        for task in (self._timer, self._asking):
            if task is not None:
                task.cancel()
        wanted, self._wanted = self._wanted, []
        for name, channel in wanted if not self._feed.closed else ():
            self._feed.unsubscribe(name, **channel)

    def _want(self, name: str, channel: dict[str, bool]) -> None:
        self._feed.subscribe(name, **channel)
        self._wanted.append((name, channel))

    def tells(self, event: Head) -> bool:
        """Whether an event is one of the newest profits of this one, and not of another with the same coin and rig."""
        return isinstance(event, MiningProfit) and event.seq_local in self._own

    def ask(self, price: Callable[[], Awaitable[float]], start: Callable[[Any], "asyncio.Task[None]"]) -> None:
        """Ask a callable for the price of electricity from now on, each minute."""
        self._asking = start(self._ask(price))

    async def _ask(self, price: Callable[[], Awaitable[float]]) -> None:
        while True:
            try:
                self._join.set_electricity(float(await price()), self._clock.unix_ns())
            except Exception as exc:  # whatever a user's callable raises: the last price stands, and shows its age
                self._hub.report(price, exc)
            else:
                self._after()
            await asyncio.sleep(ASK_S)

    def _emit(self, event: Head) -> None:
        self._own[event.seq_local] = None
        if len(self._own) > NEWEST:
            del self._own[next(iter(self._own))]
        self._hub.outlet.emit(event)

    def _chains(self) -> list[str]:
        return [f"{source}:{coin}" for coin, of in self.plan.sources.items() for source in of]

    def _on_event(self, event: Head) -> None:
        if self._join.deadline and event.ts_recv - self._join.deadline > LATE_NS:
            self._join.skip(event.ts_recv)
        self._join.on_event(event)
        self._after()

    def _after(self) -> None:
        """Hand on what was told, once the batch in hand is through, and set the timer."""
        loop = asyncio.get_running_loop()
        if self._hub.batch and not self._told:
            self._told = True
            loop.call_soon(self._deliver)
        deadline = self._join.deadline
        if deadline and (self._timer is None or deadline < self._armed):
            if self._timer is not None:
                self._timer.cancel()
            self._armed = deadline
            delay = max(0, deadline - self._clock.unix_ns()) / SECOND
            self._timer = loop.call_later(min(delay, LOOK_S), self._on_timer)

    def _deliver(self) -> None:
        self._told = False
        self._hub.deliver()

    def _on_timer(self) -> None:
        """The deadline may have moved since the timer was set: then nothing is due, and a new one is set."""
        self._timer = None
        now, deadline = self._clock.unix_ns(), self._join.deadline
        if now < self._timed - LATE_NS:
            self._join.rebase(now)
        elif deadline and now - deadline > LATE_NS:
            self._join.skip(now)
        else:
            self._join.on_time(now)
        self._timed = now
        self._after()


async def plan_of(want: Mining, feed: Feeding) -> Plan:
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
