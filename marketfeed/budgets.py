"""One budget a venue for the whole process: its limits are for an address, however many feeds use it.

A budget is kept as long as the process lives, so that a feed made anew after a ban knows of it.
"""

from threading import Lock

from .clock import Clock, SystemClock
from .pace import Budget, Spent
from .venues._spec import Endpoints, Pace

_known: dict[tuple[str, str, Pace], Budget] = {}
_making = Lock()


def budget_of(endpoints: Endpoints, pace: Pace, clock: Clock) -> Budget:
    """What all feeds with these endpoints and this pace share; with a clock of its own, a feed has its own budget."""
    if not isinstance(clock, SystemClock):
        return Budget(pace)
    with _making:
        return _known.setdefault((endpoints.ws, endpoints.rest, pace), _Shared(pace))


class _Shared(Budget):
    """A budget for several threads: each may run a feed."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(pace)
        self._lock = Lock()

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

    def give_back(self, weight: int | None, at: int) -> None:
        with self._lock:
            super().give_back(weight, at)

    def spent(self, now: int) -> dict[str, Spent]:
        with self._lock:
            return super().spent(now)

    def retry_after(self, seconds: float, now: int, dice: float) -> int:
        with self._lock:
            return super().retry_after(seconds, now, dice)
