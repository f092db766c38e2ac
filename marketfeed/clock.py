"""The clock. The only module that looks at the time; everything else is told it."""

import time
from typing import Protocol, runtime_checkable


class Clock(Protocol):
    """Where time comes from; a test's clock stands still until it is moved."""

    def unix_ns(self) -> int:
        """Nanoseconds since 1970 UTC, for stamping. May step when the system's clock is set."""

    def mono_ns(self) -> int:
        """Nanoseconds that only grow, for deadlines. Their zero means nothing."""


@runtime_checkable
class WakingClock(Clock, Protocol):
    """A clock that knows of sleep; a feed on one watches over its loop."""

    def asleep_ns(self) -> int:
        """Nanoseconds that the machine has slept, of which `mono_ns` knows nothing. Their zero means nothing."""


_WAKING: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""The clock that runs on while the machine sleeps: Linux's, or macOS's, whose `time.monotonic` is another."""


class SystemClock:
    """The machine's own clocks."""

    # The C functions themselves: a Python method around them would double what a stamp costs.
    unix_ns = staticmethod(time.time_ns)
    mono_ns = staticmethod(time.monotonic_ns)

    def asleep_ns(self) -> int:
        """See `WakingClock`. Always 0 where the monotonic clock itself runs on in sleep, as on Windows."""
        return time.clock_gettime_ns(_WAKING) - time.monotonic_ns() if _WAKING is not None else 0
