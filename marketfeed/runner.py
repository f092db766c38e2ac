"""`Runner`: one venue of a feed. Learns its instruments, plans links, keeps a driver on each."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count, product
from typing import Any

from msgspec import structs

from .budgets import budget_of
from .clock import Clock
from .counts import Counts
from .edge import Edge
from .errors import ConfigError, TransportError, UnknownSymbol, VenueError
from .events import Disconnected, Head, Instrument, Refused
from .hashblocks import check_zmq, hashblocks
from .hub import Hub
from .listing import Listing
from .meter import Meter
from .pace import SECOND, Backoff, Budget
from .places import Place, Serving, Wire
from .rest import Rest
from .session import Session
from .settings import VenueSettings, check_redundancy, credentials
from .subscriptions import Subscription
from .taped import Tape, Taping
from .text import escaped
from .transport import Transport
from .venues._spec import Venue
from .watch import UNWATCHED, Unwatched, Watch

PATIENCE_S = 10.0
"""Who asks for a list waits so long for a ban to end."""


class Runner:
    """Serves what is wanted of one venue; `want` and `unwant` may be called at any time, from the loop's thread."""

    def __init__(
        self,
        venue: Venue,
        settings: VenueSettings,
        hub: Hub,
        *,
        transport: Transport,
        rest: Rest,
        clock: Clock,
        dice: Callable[[], float],
        exact: bool,
        tape: Tape | None = None,
        redundancy: int = 1,
        watch: Watch | Unwatched = UNWATCHED,
    ) -> None:
        if settings.redundancy is not None:
            check_redundancy(settings.redundancy)
        if settings.pace is not None:
            venue = structs.replace(venue, pace=settings.pace)
        if settings.zmq is not None:
            if not venue.pace.poll_s:
                raise ConfigError(f"{venue.name} is not polled: zmq= is for nodes of one's own")
            check_zmq(settings.zmq)
        self.venue = venue
        self.endpoints = settings.endpoints(venue.endpoints)
        self.refused: dict[str, str] = {}
        self.ended = Counts()
        self._hub = hub
        self._taping = Taping(tape)
        self._settings = settings
        self._wanted: set[Subscription] = set()
        self._places: list[Place] = []
        self._work = asyncio.Event()
        self._asked = asyncio.Event()
        self._last_failure = ""
        self.meter = Meter(hub.batch)
        self._edge = Edge(
            transport=transport,
            rest=rest,
            rest_base=self.endpoints.rest,
            budget=budget_of(self.endpoints, venue.pace, clock),
            clock=clock,
            dice=dice,
            deliver=hub.deliver,
            max_message=venue.pace.max_message,
            proxy=settings.proxy,
            headers=partial(credentials, venue),
            watch=watch,
            meter=self.meter,
        )
        care = {key: getattr(settings, key) for key in ("max_resyncs", "backfill", "audit_s")}
        self._taping.keep("about", venue=venue.name, exact=exact, pace=settings.pace, **care)
        self._listing = Listing(venue, self._edge, exact=exact)
        self.instruments = self._listing.known
        self._serving = Serving(
            venue=venue,
            endpoints=self.endpoints,
            edge=self._edge,
            taping=self._taping,
            streams=hub.streams,
            instruments=self.instruments,
            exact=exact,
            care=care,
            tell=self._tell,
            relist=self._listing.doubt,
            ended=self.ended,
            redundancy=redundancy if settings.redundancy is None else settings.redundancy,
            numbers=count(1),
        )

    async def run(self) -> None:
        """Serve until cancelled; every link and task ends with it. What is known is served while more is learnt."""
        self._tell_ban()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._learn())
            if not self.venue.coins:
                tasks.create_task(self._listing.keep(self._served, self._learnt))
            if self._settings.zmq is not None:
                tasks.create_task(hashblocks(self._settings.zmq, self._poll_now))
            try:
                while True:
                    await self._work.wait()
                    self._work.clear()
                    self._assign(tasks)
            finally:
                for place in self._places:
                    place.end()

    def _tell_ban(self) -> None:
        """Of a ban from before this feed, perhaps before this process: nothing is asked until it ends."""
        left_s = self._banned_s()
        if left_s > 0:
            self._last_failure = reason = self._ban_text(left_s)
            self._tell(Disconnected, link="rest", code=0, reason=reason, retry_s=left_s)

    def _banned_s(self) -> float:
        return max(0, self.budget.blocked_until - self._edge.clock.mono_ns()) / SECOND

    def _ban_text(self, left_s: float) -> str:
        left = f"{left_s:.0f} s" if left_s < 180 else f"{left_s / 60:.0f} min"
        return f"{self.venue.title} sent this address away before, and is left alone for {left} more"

    def _poll_now(self) -> None:
        for wire in self.links:
            wire.driver.poll()

    def want(self, subscriptions: Iterable[Subscription]) -> None:
        """Serve these too; one that was refused is looked up again."""
        for subscription in subscriptions:
            self._wanted.add(subscription)
            self.refused.pop(subscription.name, None)
        self._work.set()
        self._asked.set()

    def unwant(self, subscriptions: Iterable[Subscription]) -> None:
        """Serve these no more."""
        for subscription in subscriptions:
            self._wanted.discard(subscription)
            self.refused.pop(subscription.name, None)
        self._work.set()

    @property
    def budget(self) -> Budget:
        """What the venue allows this address."""
        return self._edge.budget

    @property
    def wanted(self) -> frozenset[Subscription]:
        """What is to be served."""
        return frozenset(self._wanted)

    @property
    def links(self) -> list[Wire]:
        """The links there are, standing or not."""
        return [wire for place in self._places for wire in place.wires]

    def sessions(self) -> list[Session[Any]]:
        """Sessions of the standing connections."""
        return [wire.driver.session for wire in self.links if wire.driver.session is not None]

    def refusals(self) -> dict[str, str]:
        """Streams that will not come, and why; one that another link serves does come."""
        found, waiting = dict(self.refused), self.waiting()
        for session in self.sessions():
            found.update((name, why) for name, why in session.refusals().items() if name in waiting)
        return found

    def counts(self) -> Counts:
        """Counters of all connections so far."""
        total = Counts()
        total.add(self.ended)
        for session in self.sessions():
            total.add(session.counts)
        return total

    def waiting(self) -> dict[str, str]:
        """What is wanted and does not flow yet, and what it waits for."""
        found: dict[str, str] = {}
        placed = {s for place in self._places for s in place.subscriptions}
        for subscription in self._wanted:
            name = subscription.name
            if name in self.refused:
                found[name] = self.refused[name]
            elif subscription not in placed:
                found[name] = self._last_failure or "loading instruments"
        for place in self._places:
            found.update(place.waiting())
        return found

    async def _learn(self) -> None:
        """Learn the instruments wanted, beside all else, trying until the venue answers; the unknown are refused."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            backoff = Backoff()
            while unknown := self._unknown():
                if self._listing.whole:
                    self._refuse(unknown)
                    break
                try:
                    await self._listing.learn(sorted(unknown))
                except (TransportError, VenueError, ValueError) as exc:
                    await asyncio.sleep(self._unlisted(exc, backoff))
                else:
                    self._learnt()

    def _unlisted(self, exc: Exception, backoff: Backoff) -> float:
        """Tell that the venue does not list; returns the seconds until it is asked again."""
        edge = self._edge
        delay = max(backoff.down(edge.clock.mono_ns(), edge.dice()), self._listing.away(exc)) / SECOND
        self._last_failure = reason = escaped(str(exc))
        status = exc.status if isinstance(exc, TransportError) else 0
        self._tell(
            Disconnected, link="rest", code=0, reason=reason, status=status, retry_s=delay, attempt=backoff.attempt
        )
        return delay

    def _served(self) -> list[str]:
        return sorted({s.symbol for s in self._wanted if s.symbol in self.instruments})

    def _learnt(self) -> None:
        """Serve what is known now, and tell what has changed: to readers, then to the links (P29)."""
        streams, now = self._hub.streams, self._edge.clock.unix_ns()
        known = [symbol for venue, symbol in streams.instruments if venue == self.venue.name]
        with self._taping.told(now):
            changed = [symbol for symbol in known if streams.introduce(self.instruments[symbol], now)]
        self._hub.deliver()
        for symbol, wire in product(changed, self.links):
            wire.driver.relisted(symbol)
        self.refused = {name: why for name, why in self.refused.items() if name.split(":")[1] not in self.instruments}
        self._work.set()

    def _unknown(self) -> set[str]:
        return {s.symbol for s in self._wanted if s.symbol not in self.instruments and s.name not in self.refused}

    async def all_instruments(self) -> list[Instrument[Any]]:
        """Every instrument the venue lists now.

        Raises TransportError, VenueError or ValueError where it does not, or a ban lasts.
        """
        if not self._listing.whole:
            if (left_s := self._banned_s()) > PATIENCE_S:
                raise TransportError(self._ban_text(left_s), retry_after_s=left_s)
            await self._listing.learn([])
            self._learnt()
        return [self.instruments[name] for name in sorted(self._listing.listed)]

    def _refuse(self, symbols: set[str]) -> None:
        for subscription in sorted(self._wanted):
            if subscription.symbol in symbols:
                reason = str(UnknownSymbol(self.venue.name, subscription.symbol, self.instruments))
                self.refused[subscription.name] = reason
                self._tell(Refused, symbol=subscription.symbol, channel=subscription.channel, reason=reason)

    def _assign(self, tasks: asyncio.TaskGroup) -> None:
        """Move the places to what is wanted: unsubscribe, fill what is free, then open new ones."""
        now = self._edge.clock.unix_ns()
        served = {s for s in self._wanted if s.symbol in self.instruments}
        for place in list(self._places):
            place.leave(place.subscriptions - served)
            if not place.subscriptions:
                place.stop()
                self._places.remove(place)
        fresh = sorted(served - {s for place in self._places for s in place.subscriptions})
        with self._taping.told(now):
            for symbol in dict.fromkeys(s.symbol for s in fresh if s.channel != "chain"):
                self._hub.streams.introduce(self.instruments[symbol], now)
        self._hub.deliver()
        for plan in self.venue.plan(self.endpoints, fresh, self.venue.pace):
            rest = list(plan.subscriptions)
            for place in self._places:
                rest = place.fill(plan, rest)
            while rest:  # once, but for markets that share the venue's name: one of them a link
                self._places.append(Place(self._serving, plan, tasks))
                rest = self._places[-1].fill(plan, rest)

    def _tell(self, kind: type[Head], **fields: Any) -> None:
        outlet, now = self._hub.outlet, self._edge.clock.unix_ns()
        with self._taping.told(now):
            outlet.tell(kind(venue=self.venue.name, ts_recv=now, seq_local=outlet.number(), **fields))
        self._hub.deliver()
