"""`Meter`: what is measured of one venue beside its counters: how long things take, and waits for the budget.

Measured is one read of a socket in each 10 ms at most: the others pay for one comparison.
"""

from collections.abc import Callable

from .clock import Clock
from .events import Head
from .histogram import Histogram, Offset

EVERY_NS = 10_000_000


class Meter:
    """`due` is a receive time (Unix ns): what is read before it is not measured. 0 has the next one measured.

    `batch` is where events are before they are delivered. `round_trip` is the quickest exchange with the venue, a
    connect or a call: no round trip of a message takes longer. 0 before the first.
    """

    __slots__ = (
        *("batch", "calls", "due", "failed_calls", "offset", "round_trip", "to_emit", "to_receive"),
        *("waited_ns", "waits"),
    )

    def __init__(self, batch: list[Head] | None = None) -> None:
        self.batch: list[Head] = [] if batch is None else batch
        self.due = 0
        self.to_receive = Histogram()
        self.to_emit = Histogram()
        self.offset = Offset()
        self.round_trip = 0
        self.calls = self.failed_calls = 0
        self.waits = self.waited_ns = 0

    def measure(self, recv_ns: int, hand_on: Callable[[], None], clock: Clock) -> None:
        """Hand on what was received at `recv_ns`, and measure that."""
        self.due = recv_ns + EVERY_NS
        if self.batch and (at := self.batch[-1].ts_event):
            self.to_receive.add(recv_ns - at)
            self.offset.note(recv_ns - at, clock.mono_ns())
        hand_on()
        self.to_emit.add(clock.unix_ns() - recv_ns)

    def exchanged(self, took_ns: int) -> None:
        """The venue answered so long after it was spoken to."""
        self.round_trip = min(took_ns, self.round_trip or took_ns)

    def waited(self, ns: int) -> None:
        """Something waited so long for its turn in the budget."""
        self.waits += 1
        self.waited_ns += ns
