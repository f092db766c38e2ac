"""Moving averages over a recording, in SQL: no position is taken where trades are known to be missing.

python examples/record_a_day.py --sim --seconds 20
python examples/backtest_duckdb.py recorded
"""

from pathlib import Path

import duckdb
from _source import run_on

import marketfeed as mf

VENUE, SYMBOL = "kraken", "BTC-USD"
COST = 0.0002
"""Of the price, for each change of the position by one."""

QUERY = """
with trades as (
    select epoch_ns(ts_recv) // 1000000000 as second, ts_recv, seq_local, price
    from read_parquet($files, hive_partitioning = true)
    where symbol = $symbol
),
bars as (
    select second, last(price order by ts_recv, seq_local) as close from trades group by second
),
checked as (
    select *, exists (
        select 1 from missing
        where bars.second * 1000000000 <= coalesce(epoch_ns(ts_to), 9223372036854775807)
          and (bars.second + 1) * 1000000000 > epoch_ns(ts_from)
    ) as incomplete
    from bars
),
signals as (
    select *,
        close / lag(close) over w - 1 as change,
        not incomplete and not coalesce(lag(incomplete) over w, true) as known,
        sign(avg(close) over (order by second rows 1 preceding) - avg(close) over (order by second rows 4 preceding))
            * (row_number() over w >= 5)::int as signal
    from checked window w as (order by second)
),
positions as (
    select *, signal * known::int as position from signals
),
results as (
    select *,
        case when known then coalesce(lag(position) over w * change, 0) else 0 end as gain,
        coalesce(abs(position - lag(position) over w), 0) * $cost as paid
    from positions window w as (order by second)
)
select count(*), count(*) filter (incomplete), count(*) filter (paid > 0), sum(gain), sum(gain) - sum(paid) from results
"""
"""Averages of 2 and 5 bars of a second: long over the slow one, short below, flat next to an incomplete bar."""


def main(folder: Path) -> None:
    """Print what would have come of it. The files need no code of ours; what is missing is asked of it."""
    with duckdb.connect() as db:
        db.register("missing", mf.recording.open(folder).missing("trades", venue=VENUE, symbol=SYMBOL))
        files = str(folder / f"venue={VENUE}/channel=trades/*/*.parquet")
        found = db.execute(QUERY, {"files": files, "symbol": SYMBOL, "cost": COST}).fetchone()
    assert found is not None
    bars, incomplete, changes, gain, left = found
    print(f"{bars} bars, {incomplete} of them incomplete, {changes} changes of position")
    print(f"{gain:+.4%} before costs, {left:+.4%} after")


if __name__ == "__main__":
    run_on(main, __doc__)
