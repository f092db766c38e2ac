"""Candles from recorded trades, that say where they are not the whole truth."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from ..errors import MissingExtra
from ..events import Gap, Subscribed, Unsubscribed
from ._columns import TIME
from .losses import apart, runs
from .times import FOREVER, Time, step_ns, time_ns

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

if TYPE_CHECKING:
    from .dataset import Dataset


def candles(data: Dataset, venue: str, symbol: str, every: str, start: Time | None, end: Time | None) -> pa.Table:
    """See `Dataset.candles`."""
    step = step_ns(every)
    trades = data.table("trades", venue=venue, symbol=symbol, start=start, end=end)
    found = _made(trades, step)
    lost = [loss for loss in data._losses(venue) if loss.touches(venue, symbol, "trades")]
    # trades can be missing within one read, and before a clock that was set back: neither leaves a candle whole
    spans = [(min(loss.ts_from, loss.ts_to), max(loss.ts_to, loss.ts_from + 1)) for loss in lost]
    # what lies outside of what was sealed, or was asked for, is missing just as well
    spans += [(0, _began(data, venue, symbol, trades))]
    spans += [(_sealed_until(data), FOREVER)] if any(until == FOREVER for _, until in runs(data)[-1:]) else []
    spans += [(0, time_ns(start))] if start is not None else []
    spans += [(time_ns(end), FOREVER)] if end is not None else []
    holes = apart(spans)
    marks = [_touched(holes, at, at + step) for at in found["ts"].cast(pa.int64()).to_pylist()]
    return found.append_column("incomplete", pa.array(marks, pa.bool_()))


def _began(data: Dataset, venue: str, symbol: str, trades: pa.Table) -> int:
    """When the stream was first subscribed to, or brought a trade before that; 0 where it stood before."""
    for event in data.events("life", venue=venue, symbol=symbol):
        if isinstance(event, Subscribed | Unsubscribed | Gap) and event.channel == "trades":
            first = trades["ts_recv"].cast(pa.int64())[:1].to_pylist()
            return min([event.ts_recv, *first]) if isinstance(event, Subscribed) else 0
    return 0


def _sealed_until(data: Dataset) -> int:
    newest = max(file.date for file in data.files)
    return max(data._footer(file)[2] for file in data.files if file.date == newest)


def _touched(holes: list[tuple[int, int]], begins: int, ends: int) -> bool:
    at = bisect_left(holes, (ends, 0))
    return at > 0 and holes[at - 1][1] > begins


def _made(trades: pa.Table, step: int) -> pa.Table:
    length = pa.scalar(step, pa.int64())
    begins = pc.multiply(pc.divide(trades["ts_recv"].cast(pa.int64()), length), length)
    size = trades["size"]
    nothing = pa.scalar(None, size.type)
    held = pa.table(
        {
            "ts": begins,
            "price": trades["price"],
            "size": size,
            "buy": pc.if_else(pc.equal(trades["side"].cast(pa.string()), "buy"), size, nothing),
            "sell": pc.if_else(pc.equal(trades["side"].cast(pa.string()), "sell"), size, nothing),
        }
    )
    zero = pc.ScalarAggregateOptions(min_count=0)
    sums = [("size", "sum"), ("buy", "sum", zero), ("sell", "sum", zero)]
    wanted = [("price", "max"), ("price", "min"), ("price", "count"), *sums]
    found = held.group_by("ts", use_threads=False).aggregate(wanted)  # one thread: groups stay in their order
    counts = found["price_count"]
    last = pc.cumulative_sum(counts)  # rows are in order, so a candle's are together
    return pa.table(
        {
            "ts": found["ts"].cast(TIME),
            "open": held["price"].take(pc.subtract(last, counts)),
            "high": found["price_max"],
            "low": found["price_min"],
            "close": held["price"].take(pc.subtract(last, pa.scalar(1, pa.int64()))),
            "volume": found["size_sum"].cast(size.type),
            "buy_volume": found["buy_sum"].cast(size.type),
            "sell_volume": found["sell_sum"].cast(size.type),
            "trades": counts,
        }
    )
