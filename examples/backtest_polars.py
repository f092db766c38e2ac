"""Moving averages over a recording, in polars: no position is taken where trades are known to be missing.

python examples/record_a_day.py --sim --seconds 20
python examples/backtest_polars.py recorded
"""

from pathlib import Path

import polars as pl
from _source import run_on

import marketfeed as mf

VENUE, SYMBOL = "kraken", "BTC-USD"
BAR, FAST, SLOW = "1s", 2, 5
COST = 0.0002
"""Of the price, for each change of the position by one."""


def bars(folder: Path) -> pl.DataFrame:
    """Bars by receive time. The files need no code of ours; `_manifests` says which are whole."""
    files = folder / f"venue={VENUE}/channel=trades/*/*.parquet"
    trades = pl.scan_parquet(files).filter(pl.col("symbol").cast(pl.String) == SYMBOL).sort("ts_recv", "seq_local")
    made = trades.group_by_dynamic("ts_recv", every=BAR).agg(close=pl.col("price").last(), volume=pl.col("size").sum())
    return made.with_columns(end=pl.col("ts_recv").dt.offset_by(BAR)).collect()


def incomplete(found: pl.DataFrame, missing: pl.DataFrame) -> pl.Series:
    """Which bars have trades that are known to be missing."""
    missing = missing.with_columns(pl.col("ts_to").fill_null(found["end"].max()))
    touched = found.join_where(missing, pl.col("ts_recv") <= pl.col("ts_to"), pl.col("end") > pl.col("ts_from"))
    return found["ts_recv"].is_in(touched["ts_recv"].unique().implode())


def backtest(found: pl.DataFrame) -> pl.DataFrame:
    """Long over the slow average, short below, decided at a bar's end; flat next to an incomplete bar."""
    fast, slow = (pl.col("close").rolling_mean(count) for count in (FAST, SLOW))
    known = ~(pl.col("incomplete") | pl.col("incomplete").shift(1, fill_value=True))
    return found.with_columns(position=(fast - slow).sign().fill_null(0) * known.cast(pl.Int8)).with_columns(
        gain=pl.when(known)
        .then(pl.col("position").shift(1) * pl.col("close").pct_change())
        .otherwise(0.0)
        .fill_null(0),
        paid=pl.col("position").diff().abs().fill_null(0) * COST,
    )


def main(folder: Path) -> None:
    """Print what would have come of it."""
    missing = pl.DataFrame(mf.recording.open(folder).missing("trades", venue=VENUE, symbol=SYMBOL))
    found = bars(folder)
    done = backtest(found.with_columns(incomplete=incomplete(found, missing)))
    changes = done.filter(pl.col("paid") > 0).height
    print(f"{done.height} bars, {done['incomplete'].sum()} of them incomplete, {changes} changes of position")
    print(f"{done['gain'].sum():+.4%} before costs, {done['gain'].sum() - done['paid'].sum():+.4%} after")


if __name__ == "__main__":
    run_on(main, __doc__)
