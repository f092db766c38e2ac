"""`Watch`: notices that the event loop stood still, that the wall clock was set, that the machine slept.

It is looked at every 50 ms, and before whatever is read late: a driver compares the stamp of each read with `late_at`.
So a stall is told before anything that waited in the kernel meanwhile. All times are nanoseconds.
"""

from collections.abc import Callable
from typing import Protocol

from .clock import Clock
from .histogram import Histogram

SAMPLE_NS = 50_000_000
"""Between two looks."""
LAG_NS = 100_000_000
"""A look that is so late is told."""
AGAIN_NS = 1_000_000_000
"""After a stall is told, only a longer one is for so long."""
LONG_NS = 1_000_000_000
"""A stall by which silence and slowness of others cannot be judged."""
SLEPT_NS = 15_000_000_000
"""A stall after which no connection is believed: so long silence itself takes to be found."""
STEP_NS = 50_000_000
"""By which the wall clock moves against the monotonic one."""
BLINK_NS = 1_000_000
BLINKS = 3
"""The clocks are read together where that takes no longer, tried so often."""


class Witness(Protocol):
    """Who is told."""

    def lagged(self, lag_ns: int) -> None:
        """The loop stood still for so long."""

    def stepped(self, step_ns: int) -> None:
        """The wall clock was set, by so much."""

    def stood(self, lag_ns: int) -> None:
        """The loop stood still for a second or more: it was no one else's silence."""

    def slept(self, lag_ns: int) -> None:
        """It stood still for so long that nothing known is new any more."""


class Unwatched:
    """Stands for a watch where there is none: nothing is ever late."""

    late_at = 1 << 63

    def look(self) -> None:
        """See `Watch`."""


UNWATCHED = Unwatched()


class Watch:
    """`late_at` is the Unix time after which a look is due at once; `asleep_ns` says how long the machine has slept.

    `lag` is by how much each look was late.
    """

    __slots__ = (
        *("_asleep", "_asleep_ns", "_clock", "_longest", "_mono", "_told_at", "_unix", "_witness", "lag", "late_at"),
    )

    def __init__(self, clock: Clock, asleep_ns: Callable[[], int], witness: Witness) -> None:
        self._clock = clock
        self._asleep_ns = asleep_ns
        self._witness = witness
        self._mono, self._unix, self._asleep = self._read()
        self.late_at = self._unix + SAMPLE_NS + LAG_NS
        self.lag = Histogram()
        self._longest = 0
        self._told_at = 0

    def look(self) -> None:
        """Tell what happened since the last look."""
        mono, unix, asleep = self._read()
        stood = mono - self._mono + asleep - self._asleep
        step = unix - self._unix - stood
        self._mono, self._unix, self._asleep = mono, unix, asleep
        self.late_at = unix + SAMPLE_NS + LAG_NS
        if abs(step) >= STEP_NS:
            self._witness.stepped(step)
        lag = stood - SAMPLE_NS
        self.lag.add(max(0, lag))
        if lag >= LAG_NS:
            self._late(lag, mono)

    def _late(self, lag: int, mono: int) -> None:
        if lag > self._longest or mono - self._told_at >= AGAIN_NS:
            self._longest, self._told_at = lag, mono
            self._witness.lagged(lag)
        if lag >= SLEPT_NS:
            self._witness.slept(lag)
        elif lag >= LONG_NS:
            self._witness.stood(lag)

    def _read(self) -> tuple[int, int, int]:
        """(monotonic, Unix, asleep) of one moment: a process that loses the CPU between them would see a step."""
        clock = self._clock
        for _ in range(BLINKS):
            before, unix, asleep, mono = clock.mono_ns(), clock.unix_ns(), self._asleep_ns(), clock.mono_ns()
            if mono - before <= BLINK_NS:
                break
        return mono, unix, asleep
