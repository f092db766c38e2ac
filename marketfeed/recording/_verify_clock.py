"""Whether our clock was set while recording: by how long after the venue's time things were received."""

from collections import deque
from typing import NamedTuple

from ..events import Head
from .findings import Findings

WINDOW = 5 * 10**9
"""Nanoseconds: the least delay in each is compared."""
LEAST = 3
"""Events that make a window."""
STEADY, STEP = 5 * 10**8, 2 * 10**9
"""Delays that differ by less are alike; by more, between two that last, a clock was set."""


class _Window(NamedTuple):
    ts: int
    delay: int


class Delays:
    """Of one venue. A link that stalls makes delays long and short again; a clock that is set moves them for good."""

    def __init__(self, where: str, found: Findings) -> None:
        self._where = where
        self._found = found
        self._windows: deque[_Window] = deque(maxlen=4)
        self._began = self._delay = self._count = 0

    def take(self, event: Head) -> None:
        """One more event."""
        if not event.ts_event:
            return
        delay = event.ts_recv - event.ts_event
        if not self._began <= event.ts_recv < self._began + WINDOW:
            self._close()
            self._began, self._delay, self._count = event.ts_recv, delay, 0
        self._delay = min(self._delay, delay)
        self._count += 1

    def end(self) -> None:
        """Nothing comes any more."""
        self._close()

    def _close(self) -> None:
        if self._count < LEAST:
            return
        self._windows.append(_Window(self._began, self._delay))
        if len(self._windows) < 4:
            return
        (_, a), (_, b), (ts, c), (_, d) = self._windows
        if abs(a - b) < STEADY and abs(c - d) < STEADY and abs(c - b) > STEP:
            detail = f"receive times jump by {(c - b) / 1e9:+.3f} s against the venue's clock"
            self._found.note("clock", self._where, detail, ts)
