"""`Listing`: the instruments of one venue, asked for over REST within its budget."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from .edge import SLOW_RETRY_NS, Edge
from .errors import TransportError, VenueError
from .events import Instrument
from .pace import SECOND
from .venues._spec import Request, Venue

_WORDS = {403: " (blocked)", 418: " (banned)", 429: " (too many requests)", 451: " (blocked in your region)"}

UNANSWERED = frozenset({400, 404, 414, 431})
"""What is not listed, or asked for by too many names for one request."""
FRESH_NS = 600 * SECOND
"""How long a whole list is believed about what is not in it."""


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

    async def learn(self, symbols: list[str]) -> None:
        """Ask for these symbols, and for all that the venue has where it does not answer that with every one of them.

        Raises TransportError, VenueError or ValueError where it does not answer at all.
        """
        *narrow, everything = self._venue.instruments_requests(symbols)
        for request in narrow if symbols else ():
            body = await self._fetch(request)
            if body is not None and self._keep_if_listed(body) and all(s in self.known for s in symbols):
                return
        body = await self._fetch(everything)
        if body is None:
            raise TransportError(f"{self._venue.title} does not list its instruments")
        self._keep(listed(self._venue, body))
        self._whole_at = self._edge.clock.mono_ns()

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

    def _keep_if_listed(self, body: bytes) -> bool:
        try:
            self._keep(listed(self._venue, body))
        except VenueError:
            return False  # a venue may answer 200 to a filter it does not like: the whole list decides
        return True

    def _keep(self, instruments: Iterable[Instrument[Decimal]]) -> None:
        for instrument in instruments:
            self.known[instrument.symbol] = instrument if self._exact else instrument.as_floats()

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
