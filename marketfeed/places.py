"""`Place`: streams that are served together, and the links that serve them.

One link, or with `redundancy` two. A link that is to be replaced is left only when another has taken over, so that a
planned cut is no hole: make before break (T16). Links follow each other one at a time, and ever more slowly where none
lasts, so that a venue which says of every connection that it is to go is not hammered (D1).
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct, structs

from .counts import Counts
from .driver import Driver
from .edge import Edge
from .events import Disconnected, Instrument
from .lanes import LanedStreams
from .pace import Backoff
from .session import Session
from .subscriptions import Subscription
from .taped import Taping, names
from .venues._spec import Endpoints, LinkPlan, Venue

LOOK_S = 0.25
"""Between two looks at a link that is to take over."""
SETTLE_S = 2.0
"""So long it must carry everything before the one it replaces is closed: what is on its way there arrives."""
HAND_OVER_S = 600.0
"""So long a link that is itself to go waits to take over wholly; then it is made again in its place."""
ROTATE_AT, SPREAD = 0.95, 0.03
"""Share of a connection's lifetime after which it is replaced, and what the dice add at most."""


class Serving(Struct, frozen=True):
    """What the places of one venue share.

    `tell` takes an event's kind and fields, `relist` has the instruments read again, `care` is for sessions, `numbers`
    are of links.
    """

    venue: Venue
    endpoints: Endpoints
    edge: Edge
    taping: Taping
    streams: LanedStreams[Any]
    instruments: Mapping[str, Instrument[Any]]
    exact: bool
    care: Mapping[str, Any]
    tell: Callable[..., None]
    relist: Callable[[], None]
    ended: Counts
    numbers: Iterator[int]
    redundancy: int = 1


class Succession:
    """A link and those that take over from it, one after another: when the next may be made."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._backoff: Backoff | None = None

    def up(self) -> None:
        """The newest of them stands."""
        if self._backoff is not None:
            self._backoff.up(self._edge.clock.mono_ns())

    def due(self) -> int:
        """When the newest is to be replaced (mono_ns): now, but where it is itself a replacement that did not last."""
        now = self._edge.clock.mono_ns()
        if self._backoff is None or self._backoff.lasted(now):
            self._backoff = Backoff()
            return now
        return now + self._backoff.down(now, self._edge.dice())


class Place:
    """See the module's docstring; its links run in `tasks`."""

    def __init__(self, serving: Serving, plan: LinkPlan, tasks: asyncio.TaskGroup) -> None:
        self.plan = plan
        self.subscriptions: set[Subscription] = set()
        self.wires: list[Wire] = []
        self._serving = serving
        self._tasks = tasks
        self._replacing: set[asyncio.Task[None]] = set()
        self._open(plan.url, Succession(serving.edge))
        if serving.redundancy > 1 and plan.url and not serving.venue.coins:
            self._open(self._spare(), Succession(serving.edge))

    def fill(self, plan: LinkPlan, wanted: list[Subscription]) -> list[Subscription]:
        """Take what fits in here; returns the rest. A place that has nothing takes something."""
        if (plan.url, plan.kind) != (self.plan.url, self.plan.kind):
            return wanted
        taken: list[Subscription] = []
        natives = {(s.channel, self._native(s)) for s in self.subscriptions}
        held = len(self.subscriptions)
        room = max(self._serving.venue.pace.subscriptions_per_link - held, not held)
        for subscription in wanted:
            key = (subscription.channel, self._native(subscription))
            if len(taken) < room and key not in natives:
                natives.add(key)
                taken.append(subscription)
        self.subscriptions.update(taken)
        if taken:
            for wire in self.wires:
                wire.driver.change(taken, ())
        return [s for s in wanted if s not in taken]

    def leave(self, gone: set[Subscription]) -> None:
        """Unsubscribe these. Their streams end first, so that no link takes over what another one leaves."""
        if gone:
            self.subscriptions -= gone
            self._tell_end(gone)
            self._rest(gone)
            for wire in self.wires:
                wire.driver.change((), sorted(gone))

    def end(self) -> None:
        """All ends: no link is to take over from another."""
        if len(self.wires) > 1:
            self._rest(self.subscriptions)

    def stop(self) -> None:
        """Close all links for good."""
        for task in (*self._replacing, *(wire.task for wire in self.wires)):
            task.cancel()

    def replace(self, old: "Wire", reason: str) -> None:
        """Have another link take over from this one, once."""
        if old in self.wires and not old.leaving:
            old.leaving = reason
            old.replacing = self._tasks.create_task(self._replace(old, old.succession.due()))
            self._replacing.add(old.replacing)
            old.replacing.add_done_callback(self._replacing.discard)

    def lost(self, old: "Wire") -> None:
        """The connection of a link that is to be replaced is gone: it is left to the next one where that is there."""
        if old.heir is not None:
            self.retire(old, old.leaving)
            return
        old.leaving = ""
        old.replacing.cancel()

    def retire(self, old: "Wire", reason: str) -> None:
        """Close a link for good that others have taken over from."""
        if old.heir is not None:
            old.heir.elder = None
        self.wires.remove(old)
        old.driver.parting = reason
        old.task.cancel()

    def waiting(self) -> dict[str, str]:
        """Streams that flow on none of the links, and what they wait for."""
        first, *others = [wire.waiting() for wire in self.wires]
        return {name: why for name, why in first.items() if all(name in other for other in others)}

    def _open(self, url: str, succession: Succession) -> "Wire":
        wire = Wire(self, self._serving, url, succession)
        self.wires.append(wire)
        wire.task = self._tasks.create_task(wire.driver.run())
        return wire

    def _spare(self) -> str:
        """Where the second link goes: another address, where the venue has one."""
        at, url = self._serving.endpoints, self.plan.url
        return at.spare + url.removeprefix(at.ws) if at.spare and url.startswith(at.ws) else url

    async def _replace(self, old: "Wire", due: int) -> None:
        await self._serving.edge.sleep_until(due)
        if not await self._took_over(old):
            old.driver.restart(old.leaving)
            return
        new = old.heir = self._open(old.url, old.succession)
        new.elder = old
        carried = 0.0
        while old in self.wires and carried < SETTLE_S:
            await asyncio.sleep(LOOK_S)
            carried = carried + LOOK_S if self._carries(new, old) else 0.0
        if old in self.wires:
            self.retire(old, f"replaced by {new.link}: {old.leaving}")

    async def _took_over(self, wire: "Wire") -> bool:
        """Wait until no link is left that this one is to take over from; False where that takes too long."""
        waited = 0.0
        while wire.elder is not None and waited < HAND_OVER_S:
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        return wire.elder is None

    def _carries(self, new: "Wire", old: "Wire") -> bool:
        """Whether everything that flows on the old link flows on the new one, without a hole between."""
        session = new.driver.session
        if session is None or old.driver.session is None or session.waiting().keys() - old.waiting().keys():
            return False
        return self._serving.streams.in_step(session)

    def _tell_end(self, gone: set[Subscription]) -> None:
        serving = self._serving
        now = serving.edge.clock.unix_ns()
        with serving.taping.told(now):
            for subscription in sorted(gone):
                serving.streams.unwanted(subscription, now)
        serving.edge.deliver()

    def _rest(self, gone: set[Subscription]) -> None:
        for subscription in gone:
            self._serving.streams.drop(subscription)
        self._serving.taping.keep("want", drop=names(sorted(gone)))

    def _native(self, subscription: Subscription) -> str:
        return self._serving.instruments[subscription.symbol].native


class Wire:
    """One link of a place. It is its driver's `Maker`.

    `leaving` says why it is to be replaced, `heir` is the link that was made for that, `elder` the one that it was
    itself made for, until that one is gone.
    """

    task: asyncio.Task[None]
    replacing: asyncio.Task[None]

    def __init__(self, place: Place, serving: Serving, url: str, succession: Succession) -> None:
        self.url = url
        self.link = f"{serving.venue.name}-{next(serving.numbers)}"
        self.failure = ""
        self.leaving = ""
        self.succession = succession
        self.heir: Wire | None = None
        self.elder: Wire | None = None
        self._place = place
        self._serving = serving
        self._timer: asyncio.TimerHandle | None = None
        self.driver = Driver(url, place.plan.headers, self, serving.edge)

    @property
    def subscriptions(self) -> set[Subscription]:
        """What it serves."""
        return self._place.subscriptions

    def waiting(self) -> dict[str, str]:
        """Streams that do not flow here, and what they wait for."""
        session = self.driver.session
        if session is None:
            return dict.fromkeys((s.name for s in self.subscriptions), self.failure or "connecting")
        return session.waiting()

    def session(self) -> Session[Any]:
        """See `Maker`."""
        serving = self._serving
        self.succession.up()
        if lifetime_s := serving.venue.pace.lifetime_s:
            delay = lifetime_s * (ROTATE_AT + SPREAD * serving.edge.dice())
            reason = "the venue ends connections of its age"
            self._timer = asyncio.get_running_loop().call_later(delay, self.replace, reason)
        return serving.taping.session(
            serving.venue,
            structs.replace(self._place.plan, url=self.url, subscriptions=tuple(sorted(self.subscriptions))),
            serving.streams,
            serving.instruments,
            link=self.link,
            exact=serving.exact,
            by_turns=serving.venue.pace.frames_by_address,
            **serving.care,
        )

    def failed(self, reason: str, status: int, retry_s: float, attempt: int) -> None:
        """See `Maker`."""
        self.failure = reason
        self._serving.tell(
            Disconnected, link=self.link, code=0, reason=reason, status=status, retry_s=retry_s, attempt=attempt
        )

    def replace(self, reason: str) -> None:
        """See `Maker`."""
        self._place.replace(self, reason)

    def relist(self) -> None:
        """See `Maker`."""
        self._serving.relist()

    def retry(self, delay: int) -> int:
        """See `Maker`."""
        return delay if self.heir is None else max(0, self.heir.driver.due - self._serving.edge.clock.mono_ns())

    def ended(self, session: Session[Any]) -> None:
        """See `Maker`; a link that another was made for is not made again."""
        self._serving.ended.add(session.counts)
        if self._timer is not None:
            self._timer.cancel()
        if self.leaving and self in self._place.wires and not self.task.cancelling():
            self._place.lost(self)
