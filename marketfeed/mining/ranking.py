"""The best of several things to mine, without flapping between two that earn nearly the same."""

from ..events import MiningProfit


class Ranking:
    """Per rig, the coin to mine. Another takes over where it earns `lead` more of revenue, for `hold_s` on end.

    Switching costs a restart, and pools pay little for short visits; so the one in place stays until another has been
    better for long enough by enough. A coin whose profit is not known, or rests on a stale input, takes over never,
    and loses its place at once; a stale one that is not used matters not.
    """

    def __init__(self, lead: float = 0.02, hold_s: float = 300.0) -> None:
        self._lead = lead
        self._hold_ns = int(hold_s * 1e9)
        self._newest: dict[str, dict[str, MiningProfit]] = {}
        self._best: dict[str, str] = {}
        self._ahead: dict[str, dict[str, int]] = {}
        """By rig: who is ahead of the one in place, and since when."""

    def offer(self, profit: MiningProfit) -> str | None:
        """Take in a profit; returns the label of the coin to mine with its rig now, None while none is known."""
        rig, now = profit.rig, profit.ts_recv
        self._newest.setdefault(rig, {})[profit.symbol] = profit
        known = self.ranked(rig)
        before = self._ahead.pop(rig, {})
        if not known:
            self._best.pop(rig, None)
            return None
        top = known[0].symbol
        held = next((one for one in known if one.symbol == self._best.get(rig)), None)
        if held is None:
            self._best[rig] = top
            return top
        enough = _profit(held) + self._lead * abs(held.revenue_day or 0.0)
        ahead = {one.symbol: before.get(one.symbol, now) for one in known if _profit(one) > enough}
        if top in before and top in ahead and now - ahead[top] >= self._hold_ns:
            self._best[rig] = top
        else:
            self._ahead[rig] = ahead
        return self._best[rig]

    def ranked(self, rig: str) -> list[MiningProfit]:
        """The newest profits of a rig, the best first; those that are not known are left out."""
        return sorted((one for one in self._newest.get(rig, {}).values() if _counts(one)), key=_profit, reverse=True)


def _counts(profit: MiningProfit) -> bool:
    return profit.profit_day is not None and not any(one.stale and one.used for one in profit.inputs)


def _profit(profit: MiningProfit) -> float:
    return profit.profit_day or 0.0
