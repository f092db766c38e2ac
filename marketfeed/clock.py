"""The clock. The only module that looks at the time; everything else is told it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from; a test's clock stands still until it is moved."""

    def unix_ns(self) -> int:
        """Nanoseconds since 1970 UTC, for stamping. May step when the system's clock is set."""

    def mono_ns(self) -> int:
        """Nanoseconds that only grow, for deadlines. Their zero means nothing."""


class SystemClock:
    """The machine's own clocks."""

    # The C functions themselves: a Python method around them would double what a stamp costs.
    unix_ns = staticmethod(time.time_ns)
    mono_ns = staticmethod(time.monotonic_ns)
