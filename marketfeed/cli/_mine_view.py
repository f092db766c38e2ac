"""The live view of `mine` as text: what rigs earn, then the coin's price and chain; what is stale is named."""

import math
from collections.abc import Sequence

from ..events import MiningProfit, NetworkStats
from ..events import Term as TermOf
from ..mining.coins import COINS, Coin
from ..mining.units import unit_scale
from ..text import escaped
from ._mine_board import Board, Heard
from ._mine_frame import KEY, Frame, Word, fit, line, sign, spark
from ._mine_words import coins, digits_of, efficiency_unit, fixed, hash_unit, hashrate, money, percent, si, span
from ._table import table

SPARK = 48
"""Columns of a course at most."""


def view(board: Board, frame: Frame, now: int, note: str = "") -> list[str]:
    """The lines of a drawing at a time (Unix ns), each within the columns there are. `note` is its last line."""
    lines = [_title(board, frame)]
    lines += _best(board, frame)
    for label, rigs in board.labels.items():
        profits = [profit for rig in rigs if (profit := board.profits.get((label, rig))) is not None]
        if not profits:
            continue
        one = len(profits) == 1 and len(board.labels) == 1
        # what is earned comes first: a low window shows that at least
        lines += ["", *(_rig(board, profits[0], frame, now) if one else _rigs(board, profits, frame))]
        lines += ["", *_market(board, profits[0], frame, now)]
    if note or frame.rows is not None:
        room = len(lines) if frame.rows is None else max(1, frame.rows - 1)
        note = note or (f"{len(lines) - room} more lines: make the window higher" if len(lines) > room else "")
        lines = [*lines[:room], fit([(escaped(note, 500), "yellow")], frame)]
    return lines if frame.rows is None else lines[: frame.rows]


def _best(board: Board, frame: Frame) -> list[str]:
    """What to mine with each rig that has a choice."""
    chosen = [
        (f"{escaped(board.names.get(rig, rig), 40)}: {label}", "bold")
        for rig, label in board.best.items()
        if label and sum(rig in rigs for rigs in board.labels.values()) > 1
    ]
    return ["", *line("best", chosen, frame)] if chosen else []


def _title(board: Board, frame: Frame) -> str:
    words = [(f"mine {' '.join(board.labels)}", "bold")]
    if frame.simulated:
        words.append(("SIMULATED", "alarm"))
    waiting = [label for label, rigs in board.labels.items() if not any((label, rig) in board.profits for rig in rigs)]
    stale = list(dict.fromkeys(name for one in board.profits.values() for name in one.stale))
    if waiting:
        words.append((f"WAITING for prices and chain of {', '.join(waiting)}", "red"))
    elif stale:
        words.append(("STALE", "red"))
    else:
        words.append(("LIVE", "green"))
    return fit(words, frame)


def _market(board: Board, profit: MiningProfit, frame: Frame, now: int) -> list[str]:
    """What is the same for all rigs: prices, chains, what one unit of hashrate earns."""
    lines: list[str] = []
    for term in profit.terms:
        coin = COINS[term.coin]
        stats = board.chain(profit, coin.code)
        price = f"{money(term.price)} {profit.quote}" if term.price is not None else "not known"
        heard = [one for one in board.inputs(profit, "price", now) if one.what == coin.code]
        lines += line(coin.code, [(price, "bold"), *_ages(heard)], frame)
        sources = [one for one in board.inputs(profit, "network", now) if one.what == coin.code]
        lines += line("network", [*_network(coin, term, stats, profit.scheme), *_ages(sources)], frame)
        if stats is not None:
            lines += _changes(coin, stats, frame, now)
    unit = hash_unit(COINS[profit.terms[0].coin])
    if profit.hashprice is not None:
        lines += line("hashprice", [(f"{money(_per(profit, unit))} {profit.quote}/{unit}/day", "")], frame)
    if profit.stale:
        lines += line("stale", [(escaped(name), "alarm") for name in profit.stale], frame)
    return lines


def _network(coin: Coin, term: TermOf, stats: NetworkStats | None, scheme: str) -> list[Word]:
    words: list[Word] = [(f"height {term.height:,}", "")] if term.height else []
    if term.difficulty is not None:
        words.append((f"difficulty {si(term.difficulty)}", ""))
    if stats is not None:
        words.append((hashrate(stats.hashrate, coin), ""))
    if term.reward is not None:
        words.append((f"{coins(term.reward)} {coin.code}/block", ""))
        if not term.fees_blocks and scheme != "PPS":
            words.append(("without fees", "yellow"))  # not known yet, or never by this source
    return words or [("not known", "red")]


def _ages(heard: Sequence[Heard]) -> list[Word]:
    words: list[Word] = []
    for one in heard:
        legs = [leg.split(":") for leg in one.source.split(" x ")]
        name = legs[0][0] if len(legs) == 1 else " x ".join(f"{leg[0]} {leg[1]}" for leg in legs)
        age = "silent" if not math.isfinite(one.age_s) else f"{one.age_s:.1f} s" if one.age_s < 10 else span(one.age_s)
        words.append((f"{escaped(name, 60)} {age}", "alarm" if one.stale else "dim"))
    return words


def _changes(coin: Coin, stats: NetworkStats, frame: Frame, now: int) -> list[str]:
    """The next retarget, and the next change of the subsidy."""
    lines: list[str] = []
    if stats.retarget_height is not None:
        left = max(0, stats.retarget_height - stats.height)
        words: list[Word] = []
        if stats.retarget_change is not None:
            known = stats.next_bits is not None or not stats.epoch_blocks
            doubt = "" if known else f" (±{100 / math.sqrt(stats.epoch_blocks or 1):.1f})"
            change = stats.retarget_change
            words.append((f"{change:+.2f} %{doubt}", "red" if change > 0 else "green" if change < 0 else ""))
        if stats.next_bits is not None:
            words.append(("locked in", "bold"))
        if stats.retarget_ts is not None:
            words.append((f"in {span((stats.retarget_ts - now) / 1e9)}", ""))
        words.append((f"{left:,} block{'s' * (left != 1)} left", ""))
        lines += line("retarget", words, frame)
    if stats.subsidy_height is not None and stats.next_subsidy is not None:
        left = max(0, stats.subsidy_height - stats.height)
        then = f"{stats.next_subsidy / coin.base_units:,.8g} {coin.code}"
        words = [(f"to {then}", ""), (f"in {span(left * coin.block_time_s)}", ""), (f"{left:,} blocks left", "")]
        lines += line("subsidy", words, frame)
    return lines


def _rig(board: Board, profit: MiningProfit, frame: Frame, now: int) -> list[str]:
    """One rig in full."""
    coin, quote = COINS[profit.terms[0].coin], profit.quote
    joules = profit.watts / profit.hashrate * unit_scale(coin.hash_unit)
    facts = [
        (escaped(board.names.get(profit.rig, profit.rig), 60), "bold"),
        (hashrate(profit.hashrate, coin), ""),
        (si(profit.watts, "W", 4), ""),
        (f"{joules:.4g} {efficiency_unit(coin)}", ""),
    ]
    digits = digits_of(profit.revenue_day, profit.power_cost_day)
    cost = "power not known"
    if profit.power_cost_day is not None:
        cost = f"power {fixed(-profit.power_cost_day, digits)}"
    if profit.electricity is not None:
        cost += f" at {profit.electricity:g}/kWh"
    even: list[Word] = []
    if profit.breakeven_electricity is not None:
        even.append((f"{money(profit.breakeven_electricity)} {quote}/kWh", ""))
    if profit.breakeven_price is not None:
        even.append((f"{money(profit.breakeven_price)} {quote}/{coin.code}", ""))
    known = profit.profit_day is not None
    lines = line("rig", facts, frame)
    whole = f"{fixed(profit.profit_day, digits, signed=True)} {quote}/day" if known else "not known"
    lines += line(
        "profit", [(whole, sign(profit.profit_day) or "bold"), (f"margin {percent(profit.margin)}", "")], frame
    )
    if profit.revenue_day is not None:
        parts = [
            (fixed(profit.revenue_day, digits), ""),
            (f"fee {fixed(-(profit.fee_day or 0), digits)}", ""),
            (cost, ""),
        ]
        lines += line("revenue", parts, frame)
    if even:
        lines += line("break-even", even, frame)
    course = board.courses.get((profit.symbol, profit.rig))
    room = min(SPARK, frame.columns - KEY - 12)
    if course is not None and room > 3:
        values, length = course.columns(room, now)
        words: list[Word] = [(spark(values, frame.bars), sign(profit.profit_day)), (span(length / 1e9), "dim")]
        low, high = fixed(min(values), digits), fixed(max(values), digits)
        words += [(f"{low} to {high}", "dim")] * (low != high)
        lines += line("course", words, frame)
    return lines


def _rigs(board: Board, profits: Sequence[MiningProfit], frame: Frame) -> list[str]:
    """Several rigs, a line each, the best first."""
    ordered = sorted(profits, key=lambda one: (one.profit_day is None, -(one.profit_day or 0.0)))
    digits = digits_of(*(one.revenue_day for one in ordered), *(one.power_cost_day for one in ordered))
    rows = [
        [
            board.names.get(one.rig, one.rig),
            fixed(one.profit_day, digits, signed=True),
            fixed(one.revenue_day, digits),
            fixed(one.power_cost_day, digits),
            percent(one.margin),
            money(one.breakeven_electricity),
        ]
        for one in ordered
    ]
    head = ["rig", f"{profits[0].quote}/day", "revenue", "power", "margin", "even kWh"]
    for keep in (6, 5, 2):  # as many columns as fit
        lines = table(head[:keep], [row[:keep] for row in rows], range(1, keep))
        if max(map(len, lines)) <= frame.columns:
            break
    signs = ["dim", *(sign(one.profit_day) for one in ordered)]
    return [fit([(line, sign)], frame) for line, sign in zip(lines, signs, strict=True)]


def _per(profit: MiningProfit, unit: str) -> float:
    """Hashprice for a unit, of the event's, which is for its own."""
    return (profit.hashprice or 0.0) * unit_scale(unit) / unit_scale(profit.hash_unit)
