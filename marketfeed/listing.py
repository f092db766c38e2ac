"""`Listing`: the instruments of one venue, asked for over REST within its budget."""

import asyncio
from collections.abc import Callable
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
"""Between two times that it is, where a market is doubted; doubling each time that the venue does not answer."""


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
    """`known` is by canonical symbol; `listed` names what the last whole list had, and what was found by name since."""

    def __init__(self, venue: Venue, edge: Edge, *, exact: bool) -> None:
        self.known: dict[str, Instrument[Any]] = dict(coins_of(venue))
        self.listed = set(self.known)
        self._whole_at: int | None = None
        self._venue = venue
        self._edge = edge
        self._exact = exact
        self._doubted = asyncio.Event()
        self._reading = asyncio.Lock()

    def doubt(self) -> None:
        """What is known may not be so any more: it is read again soon."""
        self._doubted.set()

    async def keep(self, served: Callable[[], list[str]], learnt: Callable[[], None]) -> None:
        """Read again what is served, for ever: each hour, and where it is doubted (P29).

        What is missing twice in a row is `UNLISTED` until it is there again. `learnt` is called each time, before
        anything else can happen.
        """
        missing: set[str] = set()
        delay = AT_MOST_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await self._doubted.wait()
            self._doubted.clear()
            try:
                if symbols := served():
                    before, missing = missing, set(symbols) - await self.learn(symbols)
                    for symbol in missing & before:
                        self.known[symbol] = structs.replace(self.known[symbol], trading=False, status=UNLISTED)
                    learnt()
                    if missing - before:
                        self._doubted.set()
                delay = AT_MOST_S
            except (TransportError, VenueError, ValueError) as exc:
                log.info("instruments were not read again: %s", exc)
                delay = max(min(2 * delay, AGAIN_S), self.away(exc) / SECOND)
                self._doubted.set()
            await asyncio.sleep(delay)

    async def learn(self, symbols: list[str]) -> set[str]:
        """Ask for these symbols, and for all that the venue has where it does not answer that with every one of them.

        Returns what was found; `known` is changed at once, when all has come.
        Raises TransportError, VenueError or ValueError where it does not answer at all.
        """
        async with self._reading:  # of two answers the one that came later is newer
            *narrow, everything = self._venue.instruments_requests(symbols)
            found: dict[str, Instrument[Any]] = {}
            for request in narrow if symbols else ():
                body = await self._fetch(request)
                found |= {} if body is None else self._read_if_listed(body)
                if found.keys() >= set(symbols):
                    self.known.update(found)
                    self.listed.update(found)
                    return set(found)
            body = await self._fetch(everything)
            if body is None:
                raise TransportError(f"{self._venue.title} does not list its instruments")
            found |= self._read(body)
            if not found:
                raise VenueError(f"{self._venue.title} lists no instrument at all")
            self._whole_at = self._edge.clock.mono_ns()
            self.known.update(found)
            self.listed = set(found)
            return set(found)

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

    def _read_if_listed(self, body: bytes) -> dict[str, Instrument[Any]]:
        try:
            return self._read(body)
        except VenueError:
            return {}  # a venue may answer 200 to a filter it does not like: the whole list decides

    def _read(self, body: bytes) -> dict[str, Instrument[Any]]:
        return {i.symbol: i if self._exact else i.as_floats() for i in listed(self._venue, body)}

    async def _fetch(self, request: Request) -> bytes | None:
        edge = self._edge
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
