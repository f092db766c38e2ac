"""The result of `mine --calc` for people: aligned, with units."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..mining.coins import parse_coins
from . import _colour
from ._mine_words import chance, coins, digits_of, fixed, hashrate, money, percent, si, span

Row = tuple[str, str, str, str]
"""Label, number, unit, and a remark."""
DAY_S = 86_400


def lines(found: Mapping[str, Any], name: str, width: int, colour: bool) -> list[str]:
    """The lines of one rig, each within `width` columns; no unit is ever cut."""
    quote = found["quote"]
    sections = [_rig(found), *(_coin(found, one, quote) for one in found["coins"]), _day(found), _even(found)]
    sections += [_solo(one, len(found["coins"]) > 1) for one in found["coins"]]
    if "payback" in found:
        sections.append(_payback(found["payback"], quote))
    rows = [row for section in sections for row in section]
    widths = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    bold = _painter(colour)
    out = [bold(f"{found['coin']} with {name}"[:width], "bold")]
    for section in sections:
        out.append("")
        for row in section:
            sign = (found["profit_day"] > 0) - (found["profit_day"] < 0) if row[0] in {"profit", "margin"} else 0
            out += [bold(line, ("", "green", "red")[sign]) for line in _row(row, widths, width)]
    assumed = [*found["assumptions"], *found.get("payback", {}).get("assumptions", ())]
    return [*out, "", *_wrapped("It is assumed that", assumed, width)] if assumed else out


def _painter(colour: bool) -> Callable[[str, str], str]:
    return lambda text, code: _colour.paint(text, code) if colour and text else text


def _row(row: Row, widths: tuple[int, int], width: int) -> list[str]:
    label, number, unit, remark = row
    line = f"{label:<{widths[0]}}  {number:>{widths[1]}} {unit}".rstrip()
    if len(line) > width:
        return [label[:width], f"  {number} {unit}".rstrip()[:width]]
    whole = f"{line}   {remark}" if remark else line
    return [whole if len(whole) <= width else line]


def _wrapped(title: str, points: Sequence[str], width: int) -> list[str]:
    out = [f"{title}:"[:width]]
    for point in points:
        line = "-"
        for word in point.split():
            if len(line) + 1 + len(word) > width:
                out.append(line)
                line = " "
            line += f" {word}"
        out.append(line)
    return out


def _rig(found: Mapping[str, Any]) -> list[Row]:
    number, unit = hashrate(found["hashrate"], parse_coins(found["coin"])[0], 6).split(" ")
    watts, watt_unit = si(found["watts"], "W", 6).split(" ")
    rows = [
        ("hashrate", number, unit, found["algorithm"]),
        ("power", watts, watt_unit, f"{found['energy_kwh_day']:,.2f} kWh/day"),
        ("efficiency", f"{found['efficiency']:.4g}", found["efficiency_unit"], ""),
        ("electricity", f"{found['electricity']:g}", f"{found['quote']}/kWh", ""),
        ("pool fee", percent(found["pool_fee"], 2).removesuffix(" %"), "%", found["scheme"]),
    ]
    if found["uptime"] != 1:
        rows.append(("uptime", percent(found["uptime"]).removesuffix(" %"), "%", ""))
    if found["pue"] != 1:
        rows.append(("PUE", f"{found['pue']:g}", "", ""))
    return rows


def _coin(found: Mapping[str, Any], one: Mapping[str, Any], quote: str) -> list[Row]:
    coin = parse_coins(one["coin"])[0]
    merged = len(found["coins"]) > 1
    unit = found["hashprice_unit"]
    net, net_unit = hashrate(one["network_hashrate"], coin, 6).split(" ")
    difficulty, _, prefix = si(one["difficulty"], "", 6).partition(" ")
    rows = [
        ("price", money(one["price"]), f"{quote}/{coin.code}", ""),
        ("difficulty", difficulty, prefix, ""),
        ("network", net, net_unit, "that the difficulty implies"),
        ("reward", coins(one["reward"]), f"{coin.code}/block", _reward(one, coin.code)),
        ("hashvalue", coins(one["hashvalue"]), one["hashvalue_unit"], ""),
    ]
    if not merged or one is found["coins"][-1]:
        rows.append(("hashprice", money(found["hashprice"]), unit, "of all coins" if merged else ""))
    return rows


def _reward(one: Mapping[str, Any], code: str) -> str:
    if one["height"] is None:
        return "as given"
    about = "ASSUMED height" if one["height_assumed"] else "height"
    return f"subsidy {one['subsidy']:,.8g} {code} ({about} {one['height']:,}), fees {one['fees']:g}"


def _day(found: Mapping[str, Any]) -> list[Row]:
    per_day = f"{found['quote']}/day"
    cost = found["power_cost_day"]
    digits = digits_of(found["revenue_day"], cost)
    return [
        *(("mined", coins(one["coins_day"]), f"{one['coin']}/day", "before the pool's fee") for one in found["coins"]),
        ("revenue", fixed(found["revenue_day"], digits), per_day, ""),
        ("pool fee", fixed(-found["pool_fee_day"], digits), per_day, ""),
        ("power cost" if cost >= 0 else "power pays", fixed(-cost, digits), per_day, ""),
        ("profit", fixed(found["profit_day"], digits, signed=True), per_day, ""),
        ("margin", percent(found["margin"]).removesuffix(" %"), "%" if found["margin"] is not None else "", ""),
    ]


def _even(found: Mapping[str, Any]) -> list[Row]:
    quote, rows = found["quote"], []
    even = found["breakeven_electricity"]
    if even is not None:
        rows.append(("break-even power", money(even), f"{quote}/kWh", ""))
    for one in found["coins"]:
        code = one["coin"]
        if one["breakeven_price"] is not None:
            rows.append(("break-even price", money(one["breakeven_price"]), f"{quote}/{code}", ""))
        if one["breakeven_difficulty"] is not None:
            number, _, prefix = si(one["breakeven_difficulty"], "", 6).partition(" ")
            rows.append(("break-even diff.", number, prefix, code if len(found["coins"]) > 1 else ""))
        if one["cost_per_coin"] is not None:
            rows.append(("power for a coin", money(one["cost_per_coin"]), f"{quote}/{code}", ""))
    return rows


def _solo(one: Mapping[str, Any], merged: bool) -> list[Row]:
    of = f" of {one['coin']}" if merged else ""
    wait = one["mean_days_to_block"]
    rows = []
    for label, key, remark in (
        ("solo in a day", "chance_day", f"chance of a block{of} or more"),
        ("solo in 30 days", "chance_month", ""),
        ("solo in 365 days", "chance_year", ""),
    ):
        number, _, unit = (
            chance(one[key]).rpartition(" ") if "in" not in chance(one[key]) else (chance(one[key]), "", "")
        )
        rows.append((label, number, unit, remark))
    rows.append(("mean solo wait", "never" if wait is None else span(wait * DAY_S), "", ""))
    return rows


def _payback(found: Mapping[str, Any], quote: str) -> list[Row]:
    days = found["days"]
    never = f"not in {found['horizon_days']:,} days"
    rows = [
        ("machine", money(found["hardware_price"]), quote, ""),
        ("paid back in", never if days is None else f"{days:,.0f}", "" if days is None else "days", ""),
        ("return", f"{found['roi_percent']:+,.1f}", "%", f"over {found['horizon_days']:,} days"),
    ]
    if found["stops_after_days"] is not None:
        rows.append(("stops to pay after", f"{found['stops_after_days']:,}", "days", ""))
    return rows
