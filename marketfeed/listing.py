"""`Listing`: the instruments of one venue, asked for over REST within its budget."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Any

from msgspec import structs

from .edge import SLOW_RETRY_NS, Edge
from .errors import TransportError, VenueError
from .events import UNLISTED, Instrument
from .log_limit import limited
from .pace import SECOND
from .venues._spec import Request, Venue

log = limited("marketfeed.listing")

_WORDS = {403: " (blocked)", 418: " (banned)", 429: " (too many requests)", 451: " (blocked in your region)"}

UNANSWERED = frozenset({400, 404, 414, 431})
"""What is not listed, or asked for by too many names for one request."""
FRESH_NS = 600 * SECOND
"""How long a whole list is believed about what is not in it."""
AGAIN_S = 3600.0
"""So often what is served is read again."""
AT_MOST_S = 10.0
"""Between two times that it is read again, where books say that a market has changed, or the venue does not answer."""


def coins_of(venue: Venue) -> dict[str, Instrument[Any]]:
    """What a source of chains lists: its coins, by their names."""
    return {coin: Instrument(venue=venue.name, symbol=coin, native=coin, base=coin, quote="") for coin in venue.coins}


def listed(venue: Venue, body: bytes) -> list[Instrument[Decimal]]:
    """Instruments in a reply. Raises VenueError where it cannot be read as a list of them (P01, P02)."""
    try:
        return venue.instruments(body)
    except (ValueError, LookupError, RecursionError, ArithmeticError) as exc:
        raise VenueError(f"{venue.title} answered with no list of instruments: {exc}") from exc


class Listing:
    """`known` is by canonical symbol."""

    def __init__(self, venue: Venue, edge: Edge, *, exact: bool) -> None:
        self.known: dict[str, Instrument[Any]] = dict(coins_of(venue))
        self._whole_at: int | None = None
        self._venue = venue
        self._edge = edge
        self._exact = exact
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """What is known may not be so any more: it is read again soon."""
        self._doubted.set()

    async def keep(self, served: Callable[[], list[str]], learnt: Callable[[], None]) -> None:
        """Read again what is served, for ever: each hour in the background, and where it is doubted (P29).

        `learnt` is called each time, before anything else can happen.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await self._doubted.wait()
            away = 0
            try:
                if symbols := served():
                    await self.learn(symbols, background=not self._doubted.is_set())
                    learnt()
                self._doubted.clear()
            except (TransportError, VenueError, ValueError) as exc:
                log.info("instruments were not read again: %s", exc)
                away = self.away(exc)
                self._doubted.set()
            await asyncio.sleep(max(AT_MOST_S, away / SECOND))

    async def learn(self, symbols: list[str], *, background: bool = False) -> None:
        """Ask for these symbols, and for all that the venue has where it does not answer that with every one of them.

        One that was known and is not listed any more is `UNLISTED` from then on. In the `background` half of the
        budget is left to others.
        Raises TransportError, VenueError or ValueError where it does not answer at all.
        """
        *narrow, everything = self._venue.instruments_requests(symbols)
        for request in narrow if symbols else ():
            body = await self._fetch(request, background)
            if body is not None and self._keep_if_listed(body).issuperset(symbols):
                return
        body = await self._fetch(everything, background)
        if body is None:
            raise TransportError(f"{self._venue.title} does not list its instruments")
        kept = self._keep(listed(self._venue, body))
        self._whole_at = self._edge.clock.mono_ns()
        for symbol in self.known.keys() - kept:
            self.known[symbol] = structs.replace(self.known[symbol], trading=False, status=UNLISTED)

    @property
    def whole(self) -> bool:
        """Whether `known` is all the venue has, read lately enough to say that something is not there."""
        return bool(self._venue.coins) or (
            self._whole_at is not None and self._edge.clock.mono_ns() - self._whole_at < FRESH_NS
        )

    def away(self, exc: Exception) -> int:
        """How long a failure keeps us from trying again at least, in nanoseconds."""
        if isinstance(exc, TransportError):
            edge = self._edge
            away = edge.budget.heed(exc.status, exc.retry_after_s, edge.clock.mono_ns(), edge.dice())
            return away or (SLOW_RETRY_NS if exc.fatal else 0)
        return 0

    def _keep_if_listed(self, body: bytes) -> set[str]:
        try:
            return self._keep(listed(self._venue, body))
        except VenueError:
            return set()  # a venue may answer 200 to a filter it does not like: the whole list decides

    def _keep(self, instruments: Iterable[Instrument[Decimal]]) -> set[str]:
        """Know these; returns their symbols."""
        found = {i.symbol: i if self._exact else i.as_floats() for i in instruments}
        self.known.update(found)
        return set(found)

    async def _fetch(self, request: Request, background: bool) -> bytes | None:
        edge = self._edge
        if background:
            await edge.leisure(request.weight)
        await edge.turn(request.weight)
        reply = await edge.call(request)
        edge.budget.used(reply.used_weight, edge.clock.mono_ns())
        if reply.status in UNANSWERED:
            return None
        if reply.status != 200:
            raise TransportError(
                f"{self._venue.title} answered HTTP {reply.status}{_WORDS.get(reply.status, '')}",
                status=reply.status,
                retry_after_s=reply.retry_after_s,
            )
        return reply.body
