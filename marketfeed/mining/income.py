"""Mined income by day for the books: coins at the spot price of the moment they were mined.

A help for records, not advice: which price and which moment count is for the reader's own tax law.
"""

import csv
import io
from collections.abc import Iterable
from datetime import date

import msgspec

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One observation of a rig: at `time_ns` (Unix ns) it mined `coins_day` of `coin`, at `price` in `quote`.

    Both hold until the rig's next sample of that coin. None is an input that was not known (stale).
    """

    time_ns: int
    coin: str
    quote: str
    coins_day: float | None
    price: float | None
    rig: str = ""


class Income(msgspec.Struct, frozen=True, kw_only=True):
    """One UTC day of one rig and coin.

    `coins` mined; `income` their worth in `quote`, each at the price of its moment; `mean_price` income over coins,
    None without coins. `covered_s` are the seconds these are of, `uncovered_s` those between samples that were too far
    apart or did not know their inputs: nothing is counted for them.
    """

    date: str
    rig: str
    coin: str
    quote: str
    coins: float
    mean_price: float | None
    income: float
    covered_s: float
    uncovered_s: float


class _Day:
    __slots__ = ("coins", "covered_ns", "income", "uncovered_ns")

    def __init__(self) -> None:
        self.coins = self.income = 0.0
        self.covered_ns = self.uncovered_ns = 0


def daily_income(samples: Iterable[Sample], max_gap_s: float = 300.0) -> list[Income]:
    """Mined income by UTC day, rig, coin and quote: each sample's rate and price held until the next one.

    Two samples more than `max_gap_s` apart leave the whole time between them uncovered. The last sample of a rig ends
    its record: what follows is unknown. Raises ValueError where a rig's samples of a coin are not in order of time, or
    hold a negative or non-finite number.
    """
    days: dict[tuple[int, str, str, str], _Day] = {}
    last: dict[tuple[str, str, str], Sample] = {}
    for sample in samples:
        _check(sample)
        key = (sample.rig, sample.coin, sample.quote)
        before = last.get(key)
        last[key] = sample
        if before is None:
            continue
        if sample.time_ns < before.time_ns:
            raise ValueError(f"{sample.coin} at {sample.time_ns} comes after {before.time_ns}: not in order of time")
        known = sample.time_ns - before.time_ns <= max_gap_s * SECOND_NS
        for day, span_ns in _by_day(before.time_ns, sample.time_ns):
            _add(days.setdefault((day, *key), _Day()), before, span_ns, known)
    return [
        Income(
            date=date.fromordinal(_EPOCH_DAY + day).isoformat(),
            rig=rig,
            coin=coin,
            quote=quote,
            coins=sums.coins,
            mean_price=sums.income / sums.coins if sums.coins else None,
            income=sums.income,
            covered_s=sums.covered_ns / SECOND_NS,
            uncovered_s=sums.uncovered_ns / SECOND_NS,
        )
        for (day, rig, coin, quote), sums in sorted(days.items())
    ]


def to_csv(rows: Iterable[Income]) -> str:
    """The rows as CSV with a header, numbers in full, an empty field where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Income.__struct_fields__)
    writer.writerows(msgspec.structs.astuple(row) for row in rows)
    return out.getvalue()


def _add(sums: _Day, held: Sample, span_ns: int, known: bool) -> None:
    if not known or held.coins_day is None or held.price is None:
        sums.uncovered_ns += span_ns
        return
    coins = held.coins_day * span_ns / DAY_NS
    sums.coins += coins
    sums.income += coins * held.price
    sums.covered_ns += span_ns


def _by_day(start_ns: int, end_ns: int) -> Iterable[tuple[int, int]]:
    """(days since 1970, ns of it) for each UTC day that a time touches."""
    while start_ns < end_ns:
        day = start_ns // DAY_NS
        stop = min(end_ns, (day + 1) * DAY_NS)
        yield day, stop - start_ns
        start_ns = stop


def _check(sample: Sample) -> None:
    for what, value in (("coins_day", sample.coins_day), ("price", sample.price)):
        if value is not None and not 0 <= value < float("inf"):
            raise ValueError(f"{what} {value} of {sample.coin} at {sample.time_ns} is not a finite number from 0 up")
