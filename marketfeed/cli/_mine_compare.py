"""`mine --compare`: rigs and coins side by side, once everything that they need has come."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ..events import MiningProfit
from ..mining.coins import parse_coins
from ..mining.units import unit_scale
from . import _exit
from ._mine_ask import Ask
from ._mine_board import Board
from ._mine_tables import compared, ranked, rig_name, units

WAIT_S = 20.0
"""How long it waits for inputs where --duration says nothing else."""
TELL_S = 1.0, 5.0
"""When it is first told what is waited for, and how often."""
TAKEN = ("hashrate", "watts", "revenue_day", "power_cost_day", "profit_day", "margin", "breakeven_electricity",
         "breakeven_price", "cost_per_coin")  # fmt: skip


class Compare:
    """Waits for `board` to be whole, and makes the table of it."""

    def __init__(
        self, ask: Ask, board: Board, tell: Callable[[str], None], wait_s: float | None, *, quiet: bool
    ) -> None:
        self._ask, self._board, self._tell, self._quiet = ask, board, tell, quiet
        self._wait_s = wait_s or WAIT_S
        self._told_s = TELL_S[0] - TELL_S[1]

    def done(self, seconds: float) -> bool:
        """Whether everything is there, or has been waited for long enough; tells now and then what is not."""
        if self._board.whole or seconds >= self._wait_s:
            return True
        if not self._quiet and seconds >= self._told_s + TELL_S[1]:
            self._told_s = seconds
            self._tell(f"waiting for {', '.join(self._board.missing())} ({self._wait_s - seconds:.0f} s left)")
        return False

    def lines(self, as_json: bool, width: int, colour: bool) -> list[str]:
        """The table, or an object for each row. Raises Failed where not one profit is known."""
        missing = ", ".join(self._board.missing())
        names = {rig.id: rig_name(rig) for rig in self._ask.rigs}
        rows = [_row(profit, names[profit.rig]) for profit in self._board.profits.values()]
        if all(row["profit_day"] is None for row in rows):
            raise _exit.Failed(
                _exit.UNREACHED, f"no profit is known after {self._wait_s:g} s; still missing: {missing}"
            )
        if missing and not self._quiet:
            self._tell(f"not whole after {self._wait_s:g} s; stale or missing: {missing}")
        return printed(rows, as_json, width, colour)


def printed(rows: list[dict[str, Any]], as_json: bool, width: int, colour: bool) -> list[str]:
    """Rows, the best first, as a table or as JSON."""
    rows = ranked(rows)
    if as_json:
        return [orjson.dumps(row).decode() for row in rows]
    return compared(rows, width, colour)


def row_of_calc(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A row of what `--calc` has computed."""
    unit = found["hashprice_unit"].split("/", 1)[1].removesuffix("/day")
    same = {key: found[key] for key in (*TAKEN, "quote", "algorithm", "pool_fee_day", "hashprice")}
    return {
        "coin": found["coin"],
        "rig": found["rig"],
        "rig_name": name,
        **same,
        "efficiency": found["efficiency"],
        "efficiency_unit": found["efficiency_unit"],
        "hash_unit": unit,
        "stale": [],
    }


def _row(profit: MiningProfit, name: str) -> dict[str, Any]:
    shown = units(parse_coins(profit.symbol)[0], profit.hashrate, profit.watts)
    scale = unit_scale(shown["hash_unit"]) / unit_scale(profit.hash_unit)
    return {
        "coin": profit.symbol,
        "rig": profit.rig,
        "rig_name": name,
        **{key: getattr(profit, key) for key in TAKEN},
        "quote": profit.quote,
        "algorithm": profit.algorithm,
        "pool_fee_day": profit.fee_day,
        "hashprice": None if profit.hashprice is None else profit.hashprice * scale,
        **shown,
        "stale": list(profit.stale),
    }
