"""One budget a venue for the whole process: its limits are for an address, however many feeds use it.

Feeds with paces or streams of their own have budgets of their own, but a ban is of the host, and holds for all of them.
It is known as long as the process lives, so that a feed made anew knows of it, and is kept for the next process, too.
"""

from threading import Lock

from .bans import Bans, place_of
from .clock import Clock, SystemClock
from .pace import Budget, Spent
from .venues._spec import Endpoints, Pace

_known: dict[str, "_Host"] = {}
_making = Lock()


def budget_of(endpoints: Endpoints, pace: Pace, clock: Clock) -> Budget:
    """What all feeds with these endpoints and this pace share; with a clock of its own, a feed has its own budget."""
    if not isinstance(clock, SystemClock):
        return Budget(pace)
    place = place_of(endpoints)
    with _making:
        if place not in _known:
            _known[place] = _Host(Bans(endpoints, clock))
        host = _known[place]
    return host.budget(endpoints, pace, clock.mono_ns())


class _Host:
    """The budgets of one host, and the ban that holds for all of them; it outlives the process."""

    def __init__(self, bans: Bans) -> None:
        self.lock = Lock()
        """Of all the budgets: a ban is known to each of them, or to none."""
        self._bans = bans
        self._banned_until = 0
        self._budgets: dict[tuple[str, str, Pace], _Shared] = {}

    def budget(self, endpoints: Endpoints, pace: Pace, now: int) -> "_Shared":
        """The one with these endpoints and this pace."""
        key = (endpoints.ws, endpoints.rest, pace)
        with self.lock:
            if key not in self._budgets:
                self._budgets[key] = _Shared(pace, self)
                left = self._bans.left()
                self._block(now + left if left else 0)
            return self._budgets[key]

    def ban(self, until: int, now: int) -> None:
        """Keep all away, and the next process; called with the lock held."""
        self._block(until)
        self._bans.keep(until - now)

    def _block(self, until: int) -> None:
        self._banned_until = max(self._banned_until, until)
        for budget in self._budgets.values():
            budget.block(self._banned_until)


class _Shared(Budget):
    """A budget for several threads, each of which may run a feed."""

    def __init__(self, pace: Pace, host: _Host) -> None:
        super().__init__(pace)
        self._host = host
        self._lock = host.lock

    def frame_at(self, now: int, *, first: bool) -> int:
        with self._lock:
            return super().frame_at(now, first=first)

    def fetch_at(self, weight: int, now: int) -> int:
        with self._lock:
            return super().fetch_at(weight, now)

    def spare_at(self, weight: int, now: int) -> int:
        with self._lock:
            return super().spare_at(weight, now)

    def used(self, weight: int | None, now: int) -> None:
        with self._lock:
            super().used(weight, now)

    def connect_at(self, now: int) -> int:
        with self._lock:
            return super().connect_at(now)

    def take(self, weight: int | None, at: int, now: int) -> int:
        with self._lock:
            return super().take(weight, at, now)

    def give_back(self, weight: int | None, at: int) -> None:
        with self._lock:
            super().give_back(weight, at)

    def spent(self, now: int) -> dict[str, Spent]:
        with self._lock:
            return super().spent(now)

    def retry_after(self, seconds: float, now: int, dice: float) -> int:
        with self._lock:
            until = super().retry_after(seconds, now, dice)
            self._host.ban(until, now)
        return until
