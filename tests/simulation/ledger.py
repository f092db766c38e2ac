"""Trades as a ledger: each number once, and each that is missing named by a `Gap` before anything newer."""

import marketfeed as mf
from marketfeed.events import Head


class Ledger:
    """Told every event; AssertionError where a trade is doubled, or missing and not named."""

    def __init__(self) -> None:
        self.told = 0
        self.missing = 0
        """Numbers that a `Gap` named, and that have not come since."""
        self._next: dict[str, int] = {}
        self._holes: dict[str, set[int]] = {}

    def take(self, event: Head) -> None:
        name = f"{event.venue}:{event.symbol}"
        if isinstance(event, mf.Gap) and event.channel == "trades" and event.from_seq:
            self._gap(name, event)
        elif isinstance(event, mf.Trade):
            self._trade(name, int(event.id))

    def forget(self, name: str) -> None:
        """Nobody listens any more: what comes next follows nothing."""
        self._next.pop(name, None)
        self._holes.pop(name, None)

    def _gap(self, name: str, gap: mf.Gap) -> None:
        expected = self._next.get(name)
        if expected is None:
            return
        assert gap.from_seq <= expected, f"{name}: {expected} to {gap.from_seq - 1} are not in any gap"
        named = set(range(max(gap.from_seq, expected), gap.to_seq + 1))
        self._holes.setdefault(name, set()).update(named)
        self.missing += len(named)
        self._next[name] = max(expected, gap.to_seq + 1)

    def _trade(self, name: str, number: int) -> None:
        expected = self._next.get(name, number)
        self.told += 1
        if number == expected:
            self._next[name] = number + 1
            return
        holes = self._holes.get(name, set())
        assert number in holes, f"{name}: trade {number} where {expected} was expected: doubled, or an untold gap"
        holes.remove(number)
        self.missing -= 1
