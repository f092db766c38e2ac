"""Where a command's data comes from: real venues, other endpoints, or a simulator in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from msgspec import Struct

from .. import catalogue
from ..errors import ConfigError
from ..feed import Feed
from ..settings import VenueSettings
from ..subscriptions import Subscription
from ..symbols import parse_coin_name, parse_name

CLOSE_S = 0.5
SIM_RATE = 20.0
"""Market steps a second of each simulated symbol: lively, and still readable."""
SIMULATED = "SIMULATED: made-up prices from a simulator in this process"
UNASKED = 1_000
"""Changes that an oracle remembers where nobody will ask it."""


class Source(Struct, frozen=True):
    """What was asked for: `names` are `venue:symbol`, and `chains` `source:coin`."""

    names: list[str]
    settings: dict[str, VenueSettings]
    simulated: bool = False
    transport: str = "auto"
    exact: bool = False
    venues: tuple[str, ...] = ()
    """Names of the venues asked, in the order asked."""
    chains: tuple[str, ...] = ()
    redundancy: int = 1


class Watched(Struct, frozen=True, kw_only=True):
    """What a command that watches streams is asked for: `book` is a depth, 0 for the venue's own, None for no book."""

    source: Source
    trades: bool = False
    ticker: bool = False
    book: int | None = None
    metrics: int | None = None
    verbose: int = 0
    quiet: bool = False

    def subscribe(self, feed: Feed) -> list[Subscription]:
        """Subscribe to all of it."""
        book: bool | int = False if self.book is None else self.book or True
        names, chains = self.source.names, self.source.chains
        wanted = feed.subscribe(*names, trades=self.trades, ticker=self.ticker, book=book) if names else []
        return wanted + (feed.subscribe(*chains, chain=True) if chains else [])


def choose(
    symbols: Sequence[str],
    *,
    venues: Sequence[str] = (),
    sim: bool = False,
    exact: bool = False,
    transport: str = "auto",
    endpoints: Sequence[str] = (),
    ws: str | None = None,
    rest: str | None = None,
    redundancy: int = 1,
) -> Source:
    """Read the options of `_options.SOURCE`. Raises ConfigError and UnknownVenue."""
    asked = _venues(venues)
    names: dict[str, None] = {}
    chains = [text for text in symbols if _is_chain(text)]
    for text in symbols:
        for default in asked if text not in chains else ():
            venue, symbol = parse_name(text, default)
            catalogue.venue(venue)
            names[f"{venue}:{symbol}"] = None
    coins = tuple(":".join(parse_coin_name(text)) for text in chains)
    used = list(dict.fromkeys(name.partition(":")[0] for name in (*names, *coins))) or asked
    settings = _settings(used, endpoints, ws, rest)
    if sim and settings:
        raise ConfigError("--sim brings its own endpoints: leave out --endpoint, --ws and --rest")
    return Source(list(names), settings, sim, transport, exact, tuple(used), coins, redundancy)


def foretold(source: Source, depth: int | None, *, quiet: bool) -> Iterator[str]:
    """What to tell before any data: that it is made up, and which books are not as deep as asked for (0: any depth)."""
    if source.simulated:
        yield SIMULATED
    for name in () if quiet else source.venues:
        depths = catalogue.venue(name).book.depths
        if depth and depths and depth > depths[-1]:
            yield f"{name} has at most {depths[-1]:,} levels a side: its books are that deep, not {depth:,}"


def _is_chain(text: str) -> bool:
    """Whether a name is of a coin at a source of chains."""
    venue, colon, _ = text.strip().partition(":")
    return bool(colon) and venue.lower() in catalogue.names() and bool(catalogue.venue(venue.lower()).coins)


def _venues(given: Sequence[str]) -> list[str]:
    if "all" in given:
        return catalogue.markets()
    asked = list(dict.fromkeys(name.lower() for name in given)) or [catalogue.DEFAULT_VENUE]
    for name in asked:
        catalogue.venue(name)
    return asked


def _settings(
    used: Sequence[str], endpoints: Sequence[str], ws: str | None, rest: str | None
) -> dict[str, VenueSettings]:
    found: dict[str, VenueSettings] = {}
    for text in endpoints:
        venue, equals, urls = text.partition("=")
        if not equals or not urls:
            raise ConfigError(f"--endpoint {text[:60]!r}: write VENUE=WS,REST, as kraken=wss://HOST/v2,https://HOST")
        catalogue.venue(venue)
        if venue not in used:
            raise ConfigError(f"--endpoint names {venue}, but nothing is asked of it")
        first, _, second = urls.partition(",")
        found[venue] = VenueSettings(ws=first or None, rest=second or None)
    if ws or rest:
        if len(used) != 1 or found:
            raise ConfigError("--ws and --rest are for one venue; with several, write --endpoint VENUE=WS,REST")
        found[used[0]] = VenueSettings(ws=ws, rest=rest)
    return found


@contextlib.asynccontextmanager
async def opened(source: Source, **settings: Any) -> AsyncIterator[Feed]:
    """A running feed of a source; the simulator, where there is one, runs as long."""
    async with contextlib.AsyncExitStack() as stack:
        venues = dict(source.settings)
        if source.simulated:
            from ..sim import Simulator  # noqa: PLC0415 # it brings aiohttp's server

            plant = await stack.enter_async_context(Simulator(source.venues, rate=SIM_RATE, keep=UNASKED))
            venues = {name: VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()}
        how: dict[str, Any] = {"exact": source.exact, "transport": source.transport, "redundancy": source.redundancy}
        feed = Feed(venues, **how, **settings)
        await feed.__aenter__()
        try:
            yield feed
        finally:
            with contextlib.suppress(TimeoutError):  # a venue that does not answer a close is left to itself
                async with asyncio.timeout(CLOSE_S):
                    await feed.close()
