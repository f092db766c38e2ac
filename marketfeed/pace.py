"""Delays and quotas as pure counters: time and dice are arguments. All times are nanoseconds of one monotonic clock."""

from collections import deque
from typing import NamedTuple

from .venues._spec import Pace

SECOND = 1_000_000_000
LATE_NS = 1_000_000
"""What a turn may be late by; the way to a venue varies by more."""
BANNED = frozenset({402, 403, 418, 429})
"""Statuses by which a venue sends an address away; without a Retry-After they mean a minute."""


class Spent(NamedTuple):
    """Of a quota: what was spent in the window that ends now, what waits for its turn, and what is allowed."""

    used: float
    waiting: float
    amount: float
    seconds: float


class Quota:
    """At most `amount` in any window of `seconds`; reservations are served in the order they are made."""

    __slots__ = ("_amount", "_blocked_until", "_log", "_passed", "_sum", "_taken", "_taken_sum", "_window", "moved")

    def __init__(self, amount: float, seconds: float) -> None:
        self._amount = amount
        self._window = int(seconds * SECOND)
        self._log: deque[tuple[int, float]] = deque()
        """(when, weight) in the window that ends with the last reservation, which may lie ahead; `_sum` is of these."""
        self._passed: deque[tuple[int, float]] = deque()
        """Those before it; they count again where the last ones are given back."""
        self._sum = 0.0
        self._blocked_until = 0
        self._taken: deque[tuple[int, float]] = deque()
        """What was really spent in the window that ends now."""
        self._taken_sum = 0.0
        self.moved = 0
        """By how much all that waits has been moved on so far, since something was spent late."""

    def reserve(self, weight: float, now: int) -> int:
        """The time at which `weight` may be spent, at or after `now`; it counts as spent then.

        More than the whole quota at once is let through when nothing else is in the window.
        """
        while self._passed and self._passed[0][0] + self._window <= now:
            self._passed.popleft()
        at = max(now, self._blocked_until, self._log[-1][0] if self._log else 0)
        while self._log:
            when, spent = self._log[0]
            if when + self._window > at:
                if self._sum + weight <= self._amount:
                    break
                at = when + self._window
            self._passed.append(self._log.popleft())
            self._sum -= spent
        self._log.append((at, weight))
        self._sum += weight
        return at

    def give_back(self, weight: float, at: int) -> None:
        """What was reserved for that time will not be spent."""
        if (at, weight) in self._log:
            self._log.remove((at, weight))
            self._sum -= weight
        elif (at, weight) in self._passed:
            self._passed.remove((at, weight))
        while self._passed and (not self._log or self._passed[-1][0] + self._window > self._log[-1][0]):
            self._log.appendleft(self._passed.pop())
            self._sum += self._log[0][1]

    def take(self, weight: float, at: int, now: int) -> int:
        """Spend what was reserved for `at`: returns `now`, or where that is too soon when it may be tried again.

        Where the loop stood still, it is late, and all that is reserved for `at` or later moves on by as much: else
        what comes late and what comes in time would be nearer to each other than the quota allows.
        """
        taken = self._taken
        while taken and taken[0][0] + self._window <= now:
            self._taken_sum -= taken.popleft()[1]
        if taken and self._taken_sum + weight > self._amount:
            return taken[0][0] + self._window
        taken.append((now, weight))
        self._taken_sum += weight
        if (late := now - at) > LATE_NS:
            self._log = deque((when + late * (when >= at), spent) for when, spent in self._log)
            self._passed = deque((when + late * (when >= at), spent) for when, spent in self._passed)
            self.moved += late
        return now

    def adopt(self, spent: float, now: int) -> None:
        """The venue counts `spent` in this window: what it knows more than we do was spent by others."""
        others = spent - self.spent(now).used
        if others > 0:
            self._log.append((max(now, self._log[-1][0] if self._log else 0), others))
            self._sum += others

    def peek(self, now: int, weight: float = 1.0, share: float = 1.0) -> int:
        """When `weight` could be spent within a share of the quota, without spending it."""
        at = max(now, self._blocked_until, self._log[-1][0] if self._log else 0)
        spent = self._sum
        for when, paid in self._log:
            if when + self._window <= at:
                spent -= paid
            elif spent + weight > self._amount * share:
                at = when + self._window
                spent -= paid
            else:
                break
        return at

    def spent(self, now: int) -> Spent:
        """How much of it is spent."""
        recent = (*self._passed, *self._log)
        used = sum(weight for when, weight in recent if now - self._window < when <= now)
        waiting = sum(weight for when, weight in self._log if when > now)
        return Spent(used, waiting, self._amount, self._window / SECOND)

    def block(self, until: int) -> None:
        """Nothing may be spent before `until`: the venue said so."""
        self._blocked_until = max(self._blocked_until, until)

    @property
    def blocked_until(self) -> int:
        """When the venue lets us go on; 0 where it never stopped us."""
        return self._blocked_until


class Budget:
    """What one address may do at one venue; shared by all its drivers.

    Every fetch, connect and frame is asked for here first. A Retry-After blocks fetches and connects alike.
    """

    def __init__(self, pace: Pace) -> None:
        self._rest = Quota(*pace.rest)
        self._connects = Quota(*pace.connects)
        self._frames = Quota(pace.frames_per_s, 1.0)
        self._kept_until = 0

    def frame_at(self, now: int, *, first: bool) -> int:
        """When a frame may go where the limit is the address's; one that may go now counts as sent.

        The first of a connection goes before others: a venue gives up connections that say nothing.
        """
        at = self._frames.peek(now)
        if first and at > now:
            self._kept_until = at + LATE_NS
        elif not first:
            at = max(at, self._kept_until)
        if at <= now:
            self._frames.reserve(1, now)
        return at

    def fetch_at(self, weight: int, now: int) -> int:
        """When a REST call of this weight may go."""
        return self._rest.reserve(weight, now)

    def spare_at(self, weight: int, now: int) -> int:
        """When a REST call of this weight could go and leave half of the quota to others."""
        return self._rest.peek(now, weight, 0.5)

    def used(self, weight: int | None, now: int) -> None:
        """What the venue says this address has spent, where it says so."""
        if weight is not None:
            self._rest.adopt(weight, now)

    @property
    def blocked_until(self) -> int:
        """When the venue lets us come back; 0 where it never sent us away."""
        return self._connects.blocked_until

    def connect_at(self, now: int) -> int:
        """When the next connection attempt may go."""
        return self._connects.reserve(1, now)

    def spent(self, now: int) -> dict[str, Spent]:
        """How much of each quota is spent, by its name."""
        return {"rest": self._rest.spent(now), "connects": self._connects.spent(now)}

    def moved(self, weight: int | None) -> int:
        """By how much turns of that kind (see `give_back`) that wait were moved on so far; see `take`."""
        return self._quota(weight).moved

    def take(self, weight: int | None, at: int, now: int) -> int:
        """Take the turn that is for `at`: returns `now`, or where that is too soon when it may be tried again."""
        return self._quota(weight).take(1 if weight is None else weight, at, now)

    def give_back(self, weight: int | None, at: int) -> None:
        """A call of that weight, or without one a connection, that was to go then will not be made."""
        self._quota(weight).give_back(1 if weight is None else weight, at)

    def _quota(self, weight: int | None) -> Quota:
        return self._connects if weight is None else self._rest

    def heed(self, status: int, retry_after_s: float | None, now: int, dice: float) -> int:
        """Obey an answer: for how many nanoseconds it sends us away, 0 where it does not."""
        if status not in BANNED and retry_after_s is None:
            return 0
        return self.retry_after(60.0 if retry_after_s is None else retry_after_s, now, dice) - now

    def retry_after(self, seconds: float, now: int, dice: float) -> int:
        """The venue sent us away for `seconds`; returns when we may come back.

        `dice` (0 to 1) spreads the return over up to a tenth more, at most 10 s.
        """
        until = now + int((seconds + dice * min(10.0, 0.1 * seconds + 0.05)) * SECOND)
        self.block(until)
        return until

    def block(self, until: int) -> None:
        """Nothing goes before `until`."""
        self._rest.block(until)
        self._connects.block(until)


class Backoff:
    """Delays between attempts: full jitter over 0.25 s, doubling up to 15 s; reset only by 30 s of success.

    A success that does not last does not reset it, so a venue that accepts and then cuts is not hammered (D1).
    """

    FIRST_S = 0.25
    CAP_S = 15.0
    RESET_S = 30.0

    __slots__ = ("_up_since", "attempt")

    def __init__(self) -> None:
        self.attempt = 0
        self._up_since: int | None = None

    def up(self, now: int) -> None:
        """The connection stands."""
        self._up_since = now

    def lasted(self, now: int) -> bool:
        """Whether the connection that stands has stood so long that the next delay is a first one."""
        return self._up_since is not None and now - self._up_since >= self.RESET_S * SECOND

    def down(self, now: int, dice: float) -> int:
        """The attempt or connection ended; returns the delay before the next. `dice` is from 0 to 1."""
        if self.lasted(now):
            self.attempt = 0
        self._up_since = None
        ceiling = min(self.CAP_S, self.FIRST_S * 2.0 ** min(self.attempt, 16))
        self.attempt += 1
        return int(dice * ceiling * SECOND)
