"""When what was recorded is due: `speed` times as fast as it was received, by a clock, with pauses and jumps."""

from math import inf

from ..clock import Clock
from ..pace import SECOND


class Pace:
    """Keeps distances from one moment on, so that nothing adds up; `inf` as speed means that all is due at once.

    `at` is the recorded time of what was told last, or where one stands or jumped to.
    """

    def __init__(self, speed: float, clock: Clock) -> None:
        self.speed = speed
        self.at = 0
        self.paused = False
        self._clock = clock
        self._anchor: tuple[int, int] | None = None
        """When it set out, by the clock, and from which recorded time."""
        self._from: int | None = None
        """The recorded time to set out from; None is that of the next event."""

    def now(self, following: int | None) -> int:
        """The recorded time, which never is after the event that comes next, at `following`; None at the end."""
        if self._anchor is None or following is None:
            return self.at
        since, start = self._anchor
        now = start + int((self._clock.mono_ns() - since) * self.speed)
        return max(self.at, min(now, following))

    def wait_s(self, following: int) -> float:
        """Seconds until the event that comes next is due, 0 where it is."""
        if self.speed == inf:
            return 0.0
        now = self._clock.mono_ns()
        if self._anchor is None:
            self._anchor = now, following if self._from is None else self._from
        since, start = self._anchor
        return max(0.0, (since + (following - start) / self.speed - now) / SECOND)

    def pause(self, following: int | None) -> None:
        """Stand still."""
        if self._anchor is not None:
            self.at = self._from = self.now(following)
            self._anchor = None
        self.paused = True

    def jump(self, at: int) -> None:
        """Be elsewhere: the next event there is due at once."""
        self.at = at
        self._anchor = self._from = None
