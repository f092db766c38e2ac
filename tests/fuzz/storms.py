"""`python -m tests.fuzz.storms`: storms against the budget that all links to a venue share, in virtual time.

A storm: many links drop at one moment, at a venue that is well, or out for a while, or that sends everybody away. Each
link is what a `Driver` is to the budget (a turn, an attempt, back-off), without sockets; in a third of the storms the
loop stands still now and then. The judge counts for itself.
"""

import argparse
import heapq
import random
from collections.abc import Iterator
from itertools import count

from msgspec import Struct, structs

from marketfeed.pace import SECOND, Backoff, Budget
from marketfeed.venues._spec import Pace

from . import ctrl_c, figures

PACES = [
    ((250, 300.0), (5000, 60.0)),
    ((140, 600.0), (1, 1.0)),
    ((8, 1.0), (10, 1.0)),
    ((5, 60.0), (6, 60.0)),
    ((30, 10.0), (100, 10.0)),
]
"""(connects, REST weight) of venues, and of one that is made up."""
KINDS = ("well", "out", "bans")


class Verdict(Struct):
    """Of one storm, or of many: breaches are attempts that should not have been made."""

    storms: int = 0
    links: int = 0
    attempts: int = 0
    calls: int = 0
    bans: int = 0
    stalls: int = 0
    early: int = 0
    over: int = 0
    late: int = 0
    worst_s: float = 0.0
    """The longest a storm took beyond what its quota makes it take."""

    def add(self, other: "Verdict") -> None:
        """Take another's figures in."""
        for name in self.__struct_fields__:
            if name != "worst_s":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.worst_s = max(self.worst_s, other.worst_s)


def over(times: list[tuple[int, float]], amount: float, window_s: float) -> int:
    """How many of the (time, weight) stand in a window with more than `amount`, where not one alone is more."""
    found = 0
    for i, (end, _) in enumerate(times):
        inside = [weight for at, weight in times[: i + 1] if at > end - window_s * SECOND]
        found += sum(inside) > amount and len(inside) > 1
    return found


class Storm:
    """One storm of a seed; `run` goes through it to its end and judges it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.connects, self.rest = self.dice.choice(PACES)
        self.kind = self.dice.choice(KINDS)
        self.links = self.dice.randint(1, 60)
        self.books = self.dice.choice([0, 0, 3])
        self.weight = self.dice.choice([1, min(50, int(self.rest[0]))])
        self.heals_at = 0 if self.kind == "well" else int(self.dice.uniform(1, 90) * SECOND)
        pace = Pace(frames_per_s=5, subscriptions_per_link=10, connects=self.connects, rest=self.rest, silence_s=10)
        self.budget = Budget(pace)
        self.now = 0
        self.attempts: list[int] = []
        self.calls: list[int] = []
        self.bans: list[tuple[int, int]] = []
        """(told at, until) by the venue's own words, without our jitter."""
        self.up_at: list[int] = []
        self.given_back = 0
        self.stalls: list[float] = []
        """Seconds for which the loop stood still."""
        self._stalls = self.dice.random() < 1 / 3
        self._due: list[tuple[int, int, Iterator[int]]] = []
        self._tie = count()

    def run(self) -> Verdict:
        """To the end."""
        for _ in range(self.links):
            self._step(self._link())
        while self._due:
            due, _, waiter = heapq.heappop(self._due)
            self.now = max(self.now, due)
            if self._stalls and self.dice.random() < 0.03:
                self.stalls.append(self.dice.uniform(0.01, 2.0))
                self.now += int(self.stalls[-1] * SECOND)
            self._step(waiter)
        return self._judge()

    def _step(self, waiter: Iterator[int]) -> None:
        until = next(waiter, None)
        if until is not None:
            heapq.heappush(self._due, (max(until, self.now), next(self._tie), waiter))

    def _turn(self, weight: int | None = None) -> Iterator[int]:
        """As `Edge.turn`; now and then who waits is cancelled, and asks again."""
        while True:
            budget, moved = self.budget, self.budget.moved(weight)
            at = (budget.connect_at(self.now) if weight is None else budget.fetch_at(weight, self.now)) - moved
            if at + moved > self.now and self.dice.random() < 0.1:
                yield int(self.dice.uniform(self.now, at + moved))
                budget.give_back(weight, at + budget.moved(weight))
                self.given_back += weight is None
                continue
            due = at + moved
            while due > self.now or (
                budget.blocked_until <= self.now and (due := budget.take(weight, due, self.now)) > self.now
            ):
                yield due
                due = at + budget.moved(weight)
            if budget.blocked_until <= self.now:
                return

    def _link(self) -> Iterator[int]:
        backoff = Backoff()
        yield self.now + backoff.down(self.now, self.dice.random())
        while True:
            yield from self._turn()
            self.attempts.append(self.now)
            yield self.now + int(self.dice.uniform(0.01, 0.3) * SECOND)
            refused = self._refused()
            if refused is None:
                break
            delay = backoff.down(self.now, self.dice.random())
            yield self.now + max(delay, refused)
        self.up_at.append(self.now)
        for _ in range(self.books):
            self._step(self._fetch())

    def _fetch(self) -> Iterator[int]:
        yield self.now
        yield from self._turn(self.weight)
        self.calls.append(self.now)
        yield self.now + SECOND // 20
        if self.kind == "bans" and len(self.bans) < 5 and self.dice.random() < 0.05:
            self._ban()
            self._step(self._fetch())

    def _refused(self) -> int | None:
        """What an attempt that has just been made comes to: None where the link stands, else how long to stay away."""
        if self.kind == "out" and self.now < self.heals_at:
            return 0
        if self.kind == "bans" and len(self.bans) < 5 and (self.now < self.heals_at or self.dice.random() < 0.05):
            return self._ban() - self.now
        return None

    def _ban(self) -> int:
        seconds = self.dice.choice([0, 1, 30, 120, 3600])
        self.bans.append((self.now, self.now + seconds * SECOND))
        return self.budget.retry_after(seconds, self.now, self.dice.random())

    def _judge(self) -> Verdict:
        tries = [(at, 1.0) for at in self.attempts]
        calls = [(at, float(self.weight)) for at in self.calls]
        early = sum(told < at < until for told, until in self.bans for at in (*self.attempts, *self.calls))
        needed_s = (len(self.attempts) + self.given_back) / self.connects[0] * self.connects[1]
        begin = max([self.heals_at, *(until for _, until in self.bans)])
        patience_s = {"well": 0.25 + 0.3, "out": Backoff.CAP_S + 0.3, "bans": 10.0 + Backoff.CAP_S}[self.kind]
        spread_s = max(0, max(self.up_at) - begin) / SECOND
        beyond_s = spread_s - needed_s - patience_s - sum(self.stalls)
        return Verdict(
            storms=1,
            links=self.links,
            attempts=len(self.attempts),
            calls=len(self.calls),
            bans=len(self.bans),
            stalls=len(self.stalls),
            early=early,
            over=over(tries, *self.connects) + over(calls, *self.rest),
            late=int(len(self.up_at) != self.links) + int(beyond_s > 2.0),
            worst_s=max(0.0, beyond_s),
        )


def storms(first: int, many: int) -> tuple[Verdict, list[int]]:
    """What came of so many storms, and the seeds of those that broke something."""
    total, bad = Verdict(), []
    for seed in range(first, first + many):
        verdict = Storm(seed).run()
        total.add(verdict)
        if verdict.early or verdict.over or verdict.late:
            bad.append(seed)
    return total, bad


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.storms", description=__doc__.splitlines()[0])
    parser.add_argument("--storms", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first one")
    figures.argument(parser)
    args = parser.parse_args()
    total, bad = storms(args.seed, args.storms)
    figures.tell("storms", args.figures, [{**structs.asdict(total), "worst_s": round(total.worst_s, 2)}])
    print("early: attempts or calls before the time given; over: beyond the quota, in any window")
    print("late: storms over N / quota + 2 s; worst_s: the longest over N / quota")
    for one in bad[:5]:
        print(f"again: python -m tests.fuzz.storms --storms 1 --seed {one}")
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    ctrl_c.ends(main)
