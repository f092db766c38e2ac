"""`Pulse`: whether a connection lives. An idle one is pinged, a silent one is given up.

What counts as life: any frame; a pong too, unless the venue has a heartbeat. A venue without one may stop its data and
still answer pings, so a link that was lively is given up after 20 times its own mean distance between frames (10 to
120 s), and one that was always quiet is not.
"""

from typing import Literal

from .pace import SECOND
from .venues._spec import Pace

LOOK_NS = SECOND
"""Between two looks."""
LIVELY = 20
"""Frames before a link is known well enough, and distances between frames that are silence."""
MIN_SILENCE_S, MAX_SILENCE_S = 10.0, 120.0
WEIGHT = 0.2
"""Of the newest distance in the mean."""


class Pulse:
    """Looks at what has been received since the last look; it needs no call for each frame."""

    __slots__ = ("_alive_at", "_distance_s", "_frame_at", "_frames", "_pace", "_pinged_at", "_pongs", "pongs")

    def __init__(self, pace: Pace, mono_ns: int) -> None:
        self.pongs = 0
        self._pace = pace
        self._alive_at = mono_ns
        self._frame_at = mono_ns
        self._pinged_at = 0
        self._frames = 0
        self._pongs = 0
        self._distance_s = 0.0

    def look(self, frames: int, mono_ns: int) -> tuple[Literal["fine", "ping", "dead"], str]:
        """What to do now, given the number of frames received so far; for "dead", why."""
        pace = self._pace
        if frames != self._frames:
            self._learn(frames, mono_ns)
            self._alive_at = self._frame_at = mono_ns
            self._pinged_at = 0
        elif self.pongs != self._pongs:
            self._pinged_at = 0
            if not pace.heartbeat:
                self._alive_at = mono_ns
        self._pongs = self.pongs
        idle = mono_ns - self._alive_at
        if idle >= pace.silence_s * SECOND:
            return "dead", f"silent for {idle / SECOND:.1f} s"
        if mono_ns - self._frame_at >= self._silence_s() * SECOND:
            return "dead", f"no data for {(mono_ns - self._frame_at) / SECOND:.1f} s, and pings answered"
        if self._pinged_at and mono_ns - self._pinged_at >= pace.pong_wait_s * SECOND:
            return "dead", f"no pong in {pace.pong_wait_s:g} s"
        if idle >= pace.ping_idle_s * SECOND and not self._pinged_at:
            self._pinged_at = mono_ns
            return "ping", ""
        return "fine", ""

    def _learn(self, frames: int, mono_ns: int) -> None:
        distance = (mono_ns - self._frame_at) / SECOND / (frames - self._frames)
        self._distance_s = distance if not self._frames else (1 - WEIGHT) * self._distance_s + WEIGHT * distance
        self._frames = frames

    def _silence_s(self) -> float:
        """Seconds without a frame after which a link that pongs is not believed; infinite where that means nothing."""
        silence = LIVELY * self._distance_s
        if self._pace.heartbeat or self._frames < LIVELY or silence > MAX_SILENCE_S:
            return float("inf")
        return max(MIN_SILENCE_S, silence)
