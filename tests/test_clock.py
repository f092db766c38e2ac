"""The system's clock."""

import time

from marketfeed.clock import Clock, SystemClock


def test_system_clock() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.unix_ns() - time.time_ns()) < 10**9
    first = clock.mono_ns()
    assert isinstance(first, int)
    assert clock.mono_ns() >= first
