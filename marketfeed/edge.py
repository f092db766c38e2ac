"""`Edge`: what the drivers of one venue share: how it is reached, and their turns in its budget."""

import asyncio
from collections.abc import Callable, Mapping

from msgspec import Struct, field, structs

from .clock import Clock
from .errors import TransportError
from .meter import Meter
from .pace import SECOND, Budget
from .rest import Reply, Rest
from .transport import Transport
from .venues._spec import Request, Secret
from .watch import UNWATCHED, Unwatched, Watch

SLOW_RETRY_NS = 60 * SECOND
"""Between attempts that nothing but a change of settings or certificates can mend, from the second on (T09, T15)."""


class Edge(Struct, frozen=True):
    """What drivers of one venue share: how to reach it, its budget, clock and dice."""

    transport: Transport
    rest: Rest
    rest_base: str
    budget: Budget
    clock: Clock
    dice: Callable[[], float]
    deliver: Callable[[], None]
    """Hands on what sessions have emitted; called after each input."""
    max_message: int
    proxy: str | None = None
    headers: Callable[[], Mapping[str, str | Secret]] = dict
    """Asked before each REST call: keys, from the environment; a node writes itself a new one when it starts."""
    watch: Watch | Unwatched = UNWATCHED
    """Over the loop: looked at before what was read late."""
    meter: Meter = field(default_factory=Meter)

    async def call(self, request: Request) -> Reply:
        """Make a REST call. Raises TransportError and ConfigError as `Rest.fetch`."""
        meter, began = self.meter, self.clock.mono_ns()
        meter.calls += 1
        try:
            reply = await self._call(request)
        except TransportError:
            meter.failed_calls += 1
            raise
        meter.exchanged(self.clock.mono_ns() - began)
        return reply

    async def _call(self, request: Request) -> Reply:
        if keys := self.headers():
            request = structs.replace(request, headers={**keys, **request.headers})
        return await self.rest.fetch(self.rest_base, request)

    async def turn(self, weight: int | None = None) -> None:
        """Wait for a turn in the budget, of a call of that weight or of a connection.

        Where the venue sends us away meanwhile, for another one after that. One that is waited for no more is given
        back, and one that is taken late, since the loop stood still, moves on those that follow.
        """
        budget = self.budget
        while True:
            now, moved = self.clock.mono_ns(), budget.moved(weight)
            at = budget.connect_at(now) if weight is None else budget.fetch_at(weight, now)
            if at > now:
                self.meter.waited(at - now)
            if await self._taken(weight, at - moved):
                return

    async def _taken(self, weight: int | None, at: int) -> bool:
        """Wait for the turn at `at` and take it; False where the venue has sent us away meanwhile."""
        budget = self.budget
        try:
            while True:
                due, now = at + budget.moved(weight), self.clock.mono_ns()
                if due <= now:
                    if budget.blocked_until > now:
                        return False
                    due = budget.take(weight, due, now)
                    if due <= now:
                        return True
                await self.sleep_until(due)
        except asyncio.CancelledError:
            budget.give_back(weight, at + budget.moved(weight))
            raise

    async def leisure(self, weight: int) -> None:
        """Wait until a call of this weight takes nothing from those that books wait for."""
        while (at := self.budget.spare_at(weight, now := self.clock.mono_ns())) > now:
            await self.sleep_until(at)

    async def sleep_until(self, mono_ns: int) -> None:
        """Sleep until a time of the monotonic clock."""
        delay = mono_ns - self.clock.mono_ns()
        if delay > 0:
            await asyncio.sleep(delay / SECOND)
