"""`marketfeed record`: market data into Parquet files."""

import re
from typing import Any

import click

from . import _options


class _Rotation(_options.Duration):
    """A time of a second or more."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        seconds = super().convert(value, param, ctx)
        if seconds < 1:
            self.fail("files of less than a second would be too many; write 1m or 1h", param, ctx)
        return seconds


class _Bytes(click.ParamType[int]):
    """A size such as 64MB or 1GB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        found = re.fullmatch(r"(\d{1,9})\s*([kmg])b", str(value).strip().lower())
        count = int(found[1]) * {"k": 10**3, "m": 10**6, "g": 10**9}[found[2]] if found else 0
        if not 10**6 <= count <= 10**9:
            self.fail(f"{str(value)[:40]!r} is not a size from 1MB to 1GB; write 64MB", param, ctx)
        return count


@click.command("record", cls=_options.BareBook, short_help="Record market data into Parquet files.")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--to", "folder", required=True, metavar="FOLDER", help="Where the files go; made if it is missing.")
@click.option("--trades", is_flag=True, help="Trades.")
@click.option("--ticker", is_flag=True, help="Best prices and the last one.")
@click.option(
    "--book",
    type=_options.Depth(),
    metavar="[=DEPTH]",
    help="Order books: all levels, or so many a side.",
)
@click.option("--rotate", type=_Rotation(), default="1h", show_default=True, help="Seal what is that old.")
@click.option(
    "--rotate-size",
    type=_Bytes(),
    default="64MB",
    show_default=True,
    help="Seal earlier where so much is in the journal.",
)
@click.option("--raw", is_flag=True, help="Keep what came from the venues, too, as it came: for exact replay.")
@_options.SOURCE
@_options.DURATION
@_options.PLAN
@_options.METRICS
@_options.TALK
def command(
    symbols: tuple[str, ...],
    folder: str,
    trades: bool,
    ticker: bool,
    book: int | None,
    rotate: float,
    rotate_size: int,
    raw: bool,
    duration: float | None,
    only_plan: bool,
    metrics: int | None,
    verbose: int,
    quiet: bool,
    **source: object,
) -> int:
    """Record every event into a folder of Parquet files, until stopped: trades, ticker and whole books, unless
    --trades, --ticker or --book say which, and always what is lost and what happens to connections.

    Events go into a journal at once and are sealed into Parquet from time to time, and all of them at the end. What a
    crash leaves in the journal is sealed at the next start in that folder. One recorder writes to a folder at a time.

    How it goes is told on stderr, in a line that redraws in place on a terminal, else one a minute: time, events, their
    rate, how long after the venue's stamp the newest came, gaps, what is in the journal and what is sealed, and when it
    is sealed next. In the end one line on stdout says what was recorded.

    With --raw every input of every connection goes into FOLDER/_raw besides, compressed: 'marketfeed replay FOLDER'
    makes the same events of it again, to the last digit. Keys and passwords are taken out.

    It goes on through lost connections, but ends with exit code 3 where no venue is reached within 10 seconds of the
    start, and with 6 where it cannot record into the folder. Of a coin at a source of chains, as mempool:BTC, it
    records blocks and network figures. Needs pyarrow: pip install 'marketfeed[parquet]'.

    \b
    Examples:
      marketfeed record BTC-USD --to data
      marketfeed record BTC-USD ETH-USD --venue coinbase --venue kraken --to data
      marketfeed record kraken:BTC-USD mempool:BTC --trades --to data --rotate 10m
      marketfeed record BTC-USD --raw --to data
      marketfeed record BTC-USD --sim --duration 10s --to trial
    """
    from . import _loop, _record_run, _source  # noqa: PLC0415 # heavy

    chosen = _source.choose(symbols, **source)  # type: ignore[arg-type] # the options of `_options.SOURCE`
    if not (trades or ticker or book is not None):
        trades, ticker, book = True, True, 0
    if only_plan:
        from . import _cold_start  # noqa: PLC0415 # rarely wanted

        return _cold_start.show(chosen, trades=trades, ticker=ticker, book=book)
    plan = _record_run.Plan(
        source=chosen,
        folder=folder,
        trades=trades,
        ticker=ticker,
        book=book,
        rotate_s=rotate,
        rotate_bytes=rotate_size,
        raw=raw,
        duration_s=duration,
        metrics=metrics,
        verbose=verbose,
        quiet=quiet,
    )
    return _loop.run(_record_run.record(plan))
