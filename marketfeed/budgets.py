"""One budget a venue for the whole process: its limits are for an address, however many feeds use it.

A budget is kept as long as the process lives, so that a feed made anew after a ban knows of it; the ban itself is kept
for the next process, too.
"""

from threading import Lock

from .bans import Bans
from .clock import Clock, SystemClock
from .pace import SECOND, Budget, Spent
from .venues._spec import Endpoints, Pace

_known: dict[tuple[str, str, Pace], Budget] = {}
_making = Lock()


def budget_of(endpoints: Endpoints, pace: Pace, clock: Clock) -> Budget:
    """What all feeds with these endpoints and this pace share; with a clock of its own, a feed has its own budget."""
    if not isinstance(clock, SystemClock):
        return Budget(pace)
    key = (endpoints.ws, endpoints.rest, pace)
    with _making:
        if key not in _known:
            _known[key] = _Shared(pace, Bans(endpoints, clock), clock.mono_ns())
        return _known[key]


class _Shared(Budget):
    """A budget for several threads, each of which may run a feed, and with bans that outlive the process."""

    def __init__(self, pace: Pace, bans: Bans, now: int) -> None:
        super().__init__(pace)
        self._lock = Lock()
        self._bans = bans
        if left := bans.left():
            super().retry_after(left / SECOND, now, 0.0)

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
            self._bans.keep(until - now)
        return until
