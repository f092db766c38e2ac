"""`Pulse`: whether a connection lives. An idle one is pinged, a silent one is given up.

What counts as life: any frame; a pong too, unless the venue has a heartbeat. A venue without one may stop its data and
still answer pings, so a link that was lively is doubted after 20 times its own mean distance between frames (7 to
120 s); one that was always quiet, or has just begun, is not sure to be alive after 120 s. A lively link is pinged
earlier too, so that within 10 s of silence it is known to be dead.
"""

from typing import Literal

from .pace import SECOND
from .venues._spec import Pace

LOOK_NS = SECOND
"""Between two looks."""
LIVELY = 20
"""Frames before a link is known well enough, and distances between frames that are silence."""
MIN_SILENCE_S, MAX_SILENCE_S = 7.0, 120.0
"""By the least a question over REST, which may be ahead of the stream for two seconds, is decided within ten."""
LIVELY_PING_S = 4.0
"""Silence after which a lively link is pinged: with five seconds for the pong it is dead within ten."""
DOUBLINGS = 5
"""Of the silence that is believed: more would be over the most anyway."""
WEIGHT = 0.2
"""Of the newest distance in the mean."""

Verdict = Literal["fine", "ping", "quiet", "unsure", "dead"]


class Pulse:
    """Looks at what has been received since the last look; it needs no call for each frame."""

    __slots__ = (
        "_alive_at",
        "_believed",
        "_believed_at",
        "_distance_s",
        "_frame_at",
        "_frames",
        "_looked_at",
        "_pace",
        "_pinged_at",
        "_pongs",
        "pongs",
    )

    def __init__(self, pace: Pace, mono_ns: int) -> None:
        self.pongs = 0
        self._pace = pace
        self._alive_at = mono_ns
        self._frame_at = self._believed_at = self._looked_at = mono_ns
        self._pinged_at = 0
        self._believed = 0
        self._frames = 0
        self._pongs = 0
        self._distance_s = 0.0

    @property
    def heard_at(self) -> int:
        """When a look last found new frames (mono_ns), or the connection came to stand."""
        return self._frame_at

    def believe(self, mono_ns: int) -> None:
        """It is known otherwise that there was nothing to send; each time without data it is doubted later."""
        self._believed = min(self._believed + 1, DOUBLINGS)
        self._believed_at = mono_ns

    @property
    def due(self) -> int:
        """When a look finds more than the last one did, if nothing comes (mono_ns)."""
        pace = self._pace
        if self._pinged_at:
            waits = self._pinged_at + pace.pong_wait_s * SECOND
        else:
            doubted = max(self._frame_at, self._believed_at) + self._silence_s() * SECOND
            waits = min(self._alive_at + self._ping_idle_s() * SECOND, doubted)
        return int(min(waits, self._alive_at + pace.silence_s * SECOND))

    def look(self, frames: int, mono_ns: int, age_ns: int = 0) -> tuple[Verdict, str]:
        """What to do now, given the number of frames received so far, and why.

        "quiet": the connection is dead, unless the market is; "unsure": the market is quiet, unless the connection is
        dead. The last of the frames came `age_ns` ago.
        """
        pace = self._pace
        if frames != self._frames:
            at = max(mono_ns - min(max(0, age_ns), LOOK_NS), self._frame_at)
            self._learn(frames, at)
            self._alive_at = self._frame_at = at
            self._pinged_at = 0
        elif self.pongs != self._pongs:
            self._pinged_at = 0
            if not pace.heartbeat:
                self._alive_at = max(self._alive_at, self._looked_at)  # it came since then
        self._pongs = self.pongs
        self._looked_at = mono_ns
        idle = mono_ns - self._alive_at
        if idle >= pace.silence_s * SECOND:
            return "dead", f"silent for {idle / SECOND:.1f} s"
        if self._pinged_at and mono_ns - self._pinged_at >= pace.pong_wait_s * SECOND:
            return "dead", f"no pong in {pace.pong_wait_s:g} s"
        if self._pinged_at:
            return "fine", ""
        if mono_ns - max(self._frame_at, self._believed_at) >= self._silence_s() * SECOND:
            why = f"no data for {(mono_ns - self._frame_at) / SECOND:.1f} s, and pings answered"
            return "quiet" if self._known else "unsure", why
        if idle >= self._ping_idle_s() * SECOND:
            self._pinged_at = mono_ns
            return "ping", ""
        return "fine", ""

    def _learn(self, frames: int, mono_ns: int) -> None:
        distance = (mono_ns - self._frame_at) / SECOND / (frames - self._frames)
        self._distance_s = distance if not self._frames else (1 - WEIGHT) * self._distance_s + WEIGHT * distance
        self._frames = frames
        self._believed = 0

    def _ping_idle_s(self) -> float:
        idle = self._pace.ping_idle_s
        return min(idle, LIVELY_PING_S) if self._silence_s() < idle else idle

    @property
    def _known(self) -> bool:
        """Whether silence means something, by the distances of its frames so far."""
        return self._frames >= LIVELY and LIVELY * self._distance_s <= MAX_SILENCE_S

    def _silence_s(self) -> float:
        """Seconds without a frame after which a link that pongs is not believed; infinite where it has a heartbeat."""
        if self._pace.heartbeat:
            return float("inf")
        if not self._known:
            return MAX_SILENCE_S
        return min(MAX_SILENCE_S, max(MIN_SILENCE_S, LIVELY * self._distance_s) * 2.0**self._believed)
