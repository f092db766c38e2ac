"""What `verify` asks of recorded trades: every id once, and none missing that no gap tells."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..events import Gap, Trade
from .findings import Findings

REMEMBERED = 50_000
"""Ids of a market that are known again after a run has ended."""
MAX_HOLES = 256

Excused = Callable[[int, int], bool]


class Trades:
    """Of one market. `excused(since, until)` says whether nothing was recorded for a while between two times."""

    def __init__(self, where: str, found: Findings, excused: Excused) -> None:
        self._where = where
        self._found = found
        self._excused = excused
        self._last = 0
        self._ts = 0
        self._told: list[tuple[int, int]] = []
        """Ids that gaps have told to be missing."""
        self._restarted = self._again = False
        self._known: OrderedDict[str, int] = OrderedDict()

    def gap(self, event: Gap) -> None:
        """A gap of this stream; of one that is healed all follows."""
        if event.healed:
            return
        if event.from_seq:
            self._told.append((event.from_seq, event.to_seq))
            del self._told[:-MAX_HOLES]
        elif event.cause == "trade ids":
            self._restarted = True

    def subscribed(self) -> None:
        """The stream was subscribed to, maybe after nobody wanted it: what was missed then is no gap of it."""
        self._again = True

    def trade(self, event: Trade[Any]) -> None:
        """One more trade."""
        if event.id.isascii() and event.id.isdecimal():
            self._number(int(event.id), event)
        elif event.id and event.id in self._known:
            self._found.error("trade ids", self._where, f"trade {event.id} is there twice", event.ts_recv)
        self._known[event.id] = event.ts_event
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self._ts = event.ts_recv

    def _number(self, number: int, event: Trade[Any]) -> None:
        expected = self._last + 1
        if self._last and number > expected:
            self._jump(expected, number - 1, event)
        elif self._last and number < expected and not self._late(number, event):
            return
        self._last = number
        self._restarted = self._again = False

    def _jump(self, first: int, last: int, event: Trade[Any]) -> None:
        """Ids that did not come."""
        left = _without((first, last), self._told)
        if not left or self._excused(self._ts, event.ts_recv):
            return
        what = " and ".join(f"{a} to {b}" if b > a else f"{a}" for a, b in left[:3])
        if self._again:
            self._found.note("trade ids", self._where, f"{what} are from before it was subscribed to", event.ts_recv)
        else:
            self._found.error("trade ids", self._where, f"{what} are missing, and no gap tells it", event.ts_recv)

    def _late(self, number: int, event: Trade[Any]) -> bool:
        """An id below the last one: True where counting goes on from it."""
        for at, (first, last) in enumerate(self._told):
            if first <= number <= last:  # a late one that fills a gap
                self._told[at : at + 1] = [h for h in ((first, number - 1), (number + 1, last)) if h[0] <= h[1]]
                return False
        if self._restarted:
            self._told.clear()
            return True
        again = self._known.get(event.id) == event.ts_event
        if not again and self._excused(self._ts, event.ts_recv):
            return True  # a venue that began anew meanwhile
        what = "is there twice" if again else f"comes after {self._last}"
        self._found.error("trade ids", self._where, f"trade {number} {what}", event.ts_recv)
        return False


def _without(span: tuple[int, int], told: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of a span of ids is in none of the others."""
    left = [span]
    for first, last in told:
        left = [part for a, b in left for part in ((a, min(b, first - 1)), (max(a, last + 1), b)) if part[0] <= part[1]]
    return left
