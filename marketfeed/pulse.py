"""`Pulse`: whether a connection lives. Any frame or pong says so; an idle one is pinged, a silent one is given up."""

from typing import Literal

from .pace import SECOND
from .venues._spec import Pace

LOOK_NS = SECOND
"""Between two looks."""


class Pulse:
    """Looks at what has been received since the last look; it needs no call for each frame."""

    __slots__ = ("_alive_at", "_pace", "_pinged_at", "_seen", "pongs")

    def __init__(self, pace: Pace, mono_ns: int) -> None:
        self.pongs = 0
        self._pace = pace
        self._alive_at = mono_ns
        self._pinged_at = 0
        self._seen = (0, 0)

    def look(self, frames: int, mono_ns: int) -> tuple[Literal["fine", "ping", "dead"], str]:
        """What to do now, given the number of frames received so far; for "dead", why."""
        pace = self._pace
        if (frames, self.pongs) != self._seen:
            self._seen = (frames, self.pongs)
            self._alive_at = mono_ns
            self._pinged_at = 0
        idle = mono_ns - self._alive_at
        if idle >= pace.silence_s * SECOND:
            return "dead", f"silent for {idle / SECOND:.1f} s"
        if self._pinged_at and mono_ns - self._pinged_at >= pace.pong_wait_s * SECOND:
            return "dead", f"no pong in {pace.pong_wait_s:g} s"
        if idle >= pace.ping_idle_s * SECOND and not self._pinged_at:
            self._pinged_at = mono_ns
            return "ping", ""
        return "fine", ""
