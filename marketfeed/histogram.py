"""`Histogram`: lengths of time, in buckets that grow with what they hold; `Offset`: how far two clocks are apart.

A bucket is at most a 32nd of its lengths wide, so that a percentile is at most 3.2 % too high. All in nanoseconds.
"""

from collections import deque

from .pace import SECOND

FINE = 5
"""Bits of a length that choose its bucket."""
LONGEST = 2**42
"""73 minutes; what is longer counts as that."""
SLOT_NS, SLOTS = 10 * SECOND, 6
"""An offset is of the last minute, in slots: of between 50 and 60 s."""


def bucket_of(ns: int) -> int:
    """The bucket that a length falls into."""
    if ns < 2 << FINE:
        return ns
    shift = ns.bit_length() - FINE - 1
    return (shift << FINE) + (ns >> shift)


def longest_in(bucket: int) -> int:
    """The longest length of a bucket."""
    if bucket < 2 << FINE:
        return bucket
    shift = (bucket >> FINE) - 1
    return ((bucket - (shift << FINE) + 1) << shift) - 1


class Histogram:
    """Adding costs no memory. A length below 0, as two clocks may make one, counts as 0 and in `early`."""

    __slots__ = ("_buckets", "count", "early", "longest", "total")

    def __init__(self) -> None:
        self.count = self.total = self.longest = self.early = 0
        self._buckets = [0] * (bucket_of(LONGEST - 1) + 1)

    def add(self, ns: int) -> None:
        """One more length."""
        if ns < 0:
            self.early += 1
            ns = 0
        self.count += 1
        self.total += ns
        self.longest = max(self.longest, ns)
        self._buckets[bucket_of(min(ns, LONGEST - 1))] += 1

    def percentile(self, share: float) -> int:
        """What so many of a hundred are not longer than; 0 where there are none."""
        left = self.count * share / 100
        for bucket, count in enumerate(self._buckets):
            left -= count
            if count and left <= 0:
                return min(longest_in(bucket), self.longest)
        return self.longest

    def buckets(self) -> list[tuple[int, int]]:
        """(longest length, count) of each bucket that holds something, shortest first."""
        return [(longest_in(bucket), count) for bucket, count in enumerate(self._buckets) if count]


class Offset:
    """The least distance of our clock ahead of another, over the last minute.

    It is the clocks' offset and the quickest way between them: the offset is lower by no more than one round trip.
    """

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: deque[tuple[int, int]] = deque(maxlen=SLOTS)

    def note(self, ahead_ns: int, mono_ns: int) -> None:
        """Our time less theirs, of one message."""
        slot = mono_ns // SLOT_NS
        if self._slots and self._slots[-1][0] == slot:
            self._slots[-1] = (slot, min(ahead_ns, self._slots[-1][1]))
        else:
            self._slots.append((slot, ahead_ns))

    def forget(self) -> None:
        """Our clock was set: what was noted before says nothing of it."""
        self._slots.clear()

    def least(self, mono_ns: int) -> int | None:
        """The least noted within the last minute; None where there was nothing."""
        first = mono_ns // SLOT_NS - SLOTS
        return min((ahead for slot, ahead in self._slots if slot > first), default=None)
