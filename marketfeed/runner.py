"""`Runner`: one venue of a feed. Learns its instruments, plans links, keeps a driver on each."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from msgspec import structs

from .budgets import budget_of
from .clock import Clock
from .counts import Counts
from .driver import Driver, Edge
from .errors import ConfigError, TransportError, UnknownSymbol
from .events import Disconnected, Head, Instrument, Refused
from .hashblocks import check_zmq, hashblocks
from .hub import Hub
from .listing import Listing
from .pace import SECOND, Backoff
from .rest import Rest
from .session import Session
from .settings import VenueSettings, credentials
from .subscriptions import Subscription
from .taped import Tape, Taping, names
from .text import escaped
from .transport import Transport
from .venues._spec import LinkPlan, Venue


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
    ) -> None:
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
        self._exact = exact
        self._taping = Taping(tape)
        self._settings = settings
        self._wanted: set[Subscription] = set()
        self._links: list[_Kept] = []
        self._made = 0
        self._work = asyncio.Event()
        self._asked = asyncio.Event()
        self._last_failure = ""
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
        )
        self._taping.keep("about", venue=venue.name, exact=exact, max_resyncs=settings.max_resyncs, pace=settings.pace)
        self._listing = Listing(venue, self._edge, exact=exact)
        self.instruments = self._listing.known

    async def run(self) -> None:
        """Serve until cancelled; every link and task ends with it. What is known is served while more is learnt."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._learn())
            if self._settings.zmq is not None:
                tasks.create_task(hashblocks(self._settings.zmq, self._poll_now))
            while True:
                await self._work.wait()
                self._work.clear()
                self._assign(tasks)

    def _poll_now(self) -> None:
        for kept in self._links:
            kept.driver.poll()

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

    def sessions(self) -> list[Session[Any]]:
        """Sessions of the standing connections."""
        return [kept.driver.session for kept in self._links if kept.driver.session is not None]

    def refusals(self) -> dict[str, str]:
        """Streams that will not come, and why."""
        found = dict(self.refused)
        for session in self.sessions():
            found.update(session.refusals())
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
        placed = {s: kept for kept in self._links for s in kept.subscriptions}
        for subscription in self._wanted:
            name = subscription.name
            if name in self.refused:
                found[name] = self.refused[name]
            elif subscription not in placed:
                found[name] = self._last_failure or "loading instruments"
            elif placed[subscription].driver.session is None:
                found[name] = placed[subscription].failure or "connecting"
        for session in self.sessions():
            found.update(session.waiting())
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
                except (TransportError, ValueError) as exc:
                    await asyncio.sleep(self._unlisted(exc, backoff))
                else:
                    self._work.set()

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

    def _unknown(self) -> set[str]:
        return {s.symbol for s in self._wanted if s.symbol not in self.instruments and s.name not in self.refused}

    async def all_instruments(self) -> list[Instrument[Any]]:
        """Every instrument the venue lists. Raises TransportError or ValueError where it does not answer."""
        if not self._listing.whole:
            await self._listing.learn([])
        return [self.instruments[name] for name in sorted(self.instruments)]

    def _refuse(self, symbols: set[str]) -> None:
        for subscription in sorted(self._wanted):
            if subscription.symbol in symbols:
                reason = str(UnknownSymbol(self.venue.name, subscription.symbol, self.instruments))
                self.refused[subscription.name] = reason
                self._tell(Refused, symbol=subscription.symbol, channel=subscription.channel, reason=reason)

    def _assign(self, tasks: asyncio.TaskGroup) -> None:
        """Move the links to what is wanted: unsubscribe, fill free places, then open new links."""
        now = self._edge.clock.unix_ns()
        served = {s for s in self._wanted if s.symbol in self.instruments}
        for kept in list(self._links):
            kept.leave(kept.subscriptions - served)
            if not kept.subscriptions:
                kept.stop()
                self._links.remove(kept)
        fresh = sorted(served - {s for kept in self._links for s in kept.subscriptions})
        with self._taping.told(now):
            for symbol in dict.fromkeys(s.symbol for s in fresh if s.channel != "chain"):
                self._hub.streams.introduce(self.instruments[symbol], now)
        self._hub.deliver()
        for plan in self.venue.plan(self.endpoints, fresh, self.venue.pace):
            rest = list(plan.subscriptions)
            for kept in self._links:
                rest = kept.fill(plan, rest)
            while rest:  # once, but for markets that share the venue's name: one of them a link
                rest = self._open(plan, tasks).fill(plan, rest)

    def _open(self, plan: LinkPlan, tasks: asyncio.TaskGroup) -> "_Kept":
        self._made += 1
        kept = _Kept(self, plan, f"{self.venue.name}-{self._made}")
        self._links.append(kept)
        kept.task = tasks.create_task(kept.driver.run())
        return kept

    def _tell(self, kind: type[Head], **fields: Any) -> None:
        outlet, now = self._hub.outlet, self._edge.clock.unix_ns()
        with self._taping.told(now):
            outlet.emit(kind(venue=self.venue.name, ts_recv=now, seq_local=outlet.number(), **fields))
        self._hub.deliver()


class _Kept:
    """One link: its plan, what it serves now, its driver. It is the driver's `Maker`."""

    def __init__(self, runner: Runner, plan: LinkPlan, link: str) -> None:
        self.plan = plan
        self.subscriptions: set[Subscription] = set()
        self.failure = ""
        self.link = link
        self.task: asyncio.Task[None] | None = None
        self._runner = runner
        self.driver = Driver(plan.url, plan.headers, self, runner._edge)

    def session(self) -> Session[Any]:
        """See `Maker`."""
        runner = self._runner
        return runner._taping.session(
            runner.venue,
            structs.replace(self.plan, subscriptions=tuple(sorted(self.subscriptions))),
            runner._hub.streams,
            runner.instruments,
            link=self.link,
            exact=runner._exact,
            max_resyncs=runner._settings.max_resyncs,
        )

    def failed(self, reason: str, status: int, retry_s: float, attempt: int) -> None:
        """See `Maker`."""
        self.failure = reason
        self._runner._tell(
            Disconnected, link=self.link, code=0, reason=reason, status=status, retry_s=retry_s, attempt=attempt
        )

    def ended(self, session: Session[Any]) -> None:
        """See `Maker`."""
        self._runner.ended.add(session.counts)

    def fill(self, plan: LinkPlan, wanted: list[Subscription]) -> list[Subscription]:
        """Take what fits into this link; returns the rest. A link that has nothing takes something."""
        if (plan.url, plan.kind) != (self.plan.url, self.plan.kind):
            return wanted
        taken: list[Subscription] = []
        natives = {(s.channel, self._native(s)) for s in self.subscriptions}
        held = len(self.subscriptions)
        room = max(self._runner.venue.pace.subscriptions_per_link - held, not held)
        for subscription in wanted:
            key = (subscription.channel, self._native(subscription))
            if len(taken) < room and key not in natives:
                natives.add(key)
                taken.append(subscription)
        self.subscriptions.update(taken)
        if taken:
            self.driver.change(taken, ())
        return [s for s in wanted if s not in taken]

    def leave(self, gone: set[Subscription]) -> None:
        """Unsubscribe these."""
        if gone:
            self.subscriptions -= gone
            self.driver.change((), sorted(gone))
            for subscription in gone:
                self._runner._hub.streams.drop(subscription)
            self._runner._taping.keep("want", drop=names(sorted(gone)))

    def stop(self) -> None:
        """Close the link for good."""
        if self.task is not None:
            self.task.cancel()

    def _native(self, subscription: Subscription) -> str:
        return self._runner.instruments[subscription.symbol].native
