"""Tables of `mine`: the catalogue of rigs, and rigs and coins compared; columns that do not fit are left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..mining.coins import COINS, Coin
from ..mining.rigs import Rig
from . import _colour
from ._mine_words import digits_of, efficiency_unit, fixed, hash_unit, hashrate, money, percent, si
from ._table import table

GAP = 2


def fitted(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int, right: Sequence[int], last: Sequence[int]
) -> list[str]:
    """A table within `width`: columns go in the order of `last` until it fits, and what is left is cut."""
    kept = list(range(len(head)))
    gone = list(last)
    while True:
        lines = table(
            [head[i] for i in kept],
            [[row[i] for i in kept] for row in rows],
            [at for at, i in enumerate(kept) if i in right],
        )
        if max(map(len, lines)) <= width or not gone:
            return [line[:width].rstrip() for line in lines]
        kept.remove(gone.pop(0))


def coin_of(algorithm: str) -> Coin:
    """The first coin of an algorithm, whose units its rigs are told in."""
    return next(coin for coin in COINS.values() if coin.algorithm == algorithm)


def rig_row(rig: Rig) -> dict[str, Any]:
    """A rig as `--list --json` prints it."""
    coin = coin_of(rig.algorithm)
    return {
        "id": rig.id,
        "name": rig.name,
        "algorithm": rig.algorithm,
        "coins": [one.code for one in COINS.values() if one.algorithm == rig.algorithm],
        "hashrate": rig.hashrate_hs,
        "watts": rig.watts,
        "efficiency": _efficiency(rig.hashrate_hs, rig.watts, coin),
        "efficiency_unit": efficiency_unit(coin),
        "source": rig.source,
        "date": rig.date,
    }


def rigs(listed: Sequence[Rig], width: int) -> list[str]:
    """The lines of `--list`."""
    rows = []
    for rig in listed:
        coin = coin_of(rig.algorithm)
        rows.append(
            [
                rig.id,
                rig.name,
                rig.algorithm,
                hashrate(rig.hashrate_hs, coin),
                f"{rig.watts:,.0f} W",
                f"{_efficiency(rig.hashrate_hs, rig.watts, coin):.4g} {efficiency_unit(coin)}",
                rig.date,
                rig.source,
            ]
        )
    head = ["id", "name", "algorithm", "hashrate", "power", "efficiency", "date", "source"]
    return fitted(head, rows, width, (3, 4, 5), (7, 6, 1, 5, 4))


def compared(rows: Sequence[Mapping[str, Any]], width: int, colour: bool) -> list[str]:
    """The lines of `--compare`; each row as `ranked` gives it. The best coin of each rig has a star."""
    digits = digits_of(*(row[key] for row in rows for key in ("revenue_day", "power_cost_day")))
    texts = [
        [
            f"{row['rank']}",
            row["coin"],
            row["rig_name"] + (" *" if row["best"] and any(not one["best"] for one in rows) else ""),
            fixed(row["profit_day"], digits, signed=True),
            fixed(row["revenue_day"], digits),
            fixed(row["pool_fee_day"], digits),
            fixed(row["power_cost_day"], digits),
            percent(row["margin"]),
            money(row["breakeven_electricity"]),
            hashrate(row["hashrate"], coin_of(row["algorithm"])),
            si(row["watts"], "W", 4),
            f"{row['efficiency']:.4g} {row['efficiency_unit']}",
            f"{money(row['hashprice'])}/{row['hash_unit'].removesuffix('/s')}",
            "stale" if row["stale"] else "",
        ]
        for row in rows
    ]
    head = ["", "coin", "rig", "profit/day", "revenue", "fee", "power", "margin", "even kWh", "hashrate", "draws",
            "efficiency", "hashprice", ""]  # fmt: skip
    lines = fitted(head, texts, width, (0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), (12, 11, 10, 9, 5, 8, 4, 6, 7, 0, 1))
    if not colour:
        return lines
    signs = [row["profit_day"] or 0.0 for row in rows]
    return [lines[0], *(_colour.paint(line, _sign(sign)) for line, sign in zip(lines[1:], signs, strict=True))]


def ranked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows by profit, those without last; `rank` counts from 1, `best` marks the best coin of each rig."""
    rows.sort(key=lambda row: (row["profit_day"] is None, -(row["profit_day"] or 0.0)))
    seen: set[str] = set()
    for at, row in enumerate(rows):
        row["rank"] = at + 1
        row["best"] = row["profit_day"] is not None and row["rig"] not in seen
        if row["best"]:
            seen.add(row["rig"])
    return rows


def units(coin: Coin, hs: float, watts: float) -> dict[str, Any]:
    """Efficiency and the unit of hashprice, for a row."""
    return {
        "efficiency": _efficiency(hs, watts, coin),
        "efficiency_unit": efficiency_unit(coin),
        "hash_unit": hash_unit(coin),
    }


def rig_name(rig: Rig) -> str:
    """`s21xp x10`, and the name of a rig that has no id of its own."""
    return (rig.name if rig.id == "own" else rig.id) + (f" x{rig.count}" if rig.count > 1 else "")


def _efficiency(hs: float, watts: float, coin: Coin) -> float:
    from ..mining.economics import efficiency  # noqa: PLC0415 # with the numbers, not for every import

    return efficiency(hs, watts, coin.hash_unit)


def _sign(value: float) -> str:
    return "green" if value > 0 else "red" if value < 0 else ""
