"""`marketfeed export`: a market of a recording in the files of other software."""

import click

from . import _options


@click.command("export", short_help="Write a recording as files that backtesters read.")
@click.argument("path", type=click.Path())
@click.option(
    "--format",
    "format_",
    type=click.Choice(["hftbacktest", "tardis", "nautilus", "candles"]),
    required=True,
    help="Whose files.",
)
@click.option("--out", required=True, metavar="DIR", help="Where the files go; made if it is missing.")
@click.option("--venue", metavar="NAME", help="Needed where several were recorded.")
@click.option("--symbol", metavar="NAME", help="The same; as BTC-USD, or kraken:BTC-USD.")
@click.option("--from", "start", metavar="TIME", help="First receive time, as 2026-04-07 or 2026-04-07T14:30:00Z.")
@click.option("--to", "end", metavar="TIME", help="Receive time before which it ends.")
@click.option("--every", default="1m", show_default=True, metavar="LENGTH", help="Of candles: 1s, 5m, 1h, 1d.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--json", "as_json", is_flag=True, help="What was written as one JSON object.")
@_options.QUIET
def command(
    path: str,
    format_: str,
    out: str,
    venue: str | None,
    symbol: str | None,
    start: str | None,
    end: str | None,
    every: str,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Write one market of the recording in the folder PATH as files for other software, one a UTC day:

    \b
      hftbacktest  trades and book as events of hftbacktest 2, .npz
      tardis       trades, incremental_book_L2 and book_ticker, CSV as Tardis has it, .csv.gz
      nautilus     a catalog of NautilusTrader, Parquet; a file a type, not a day
      candles      open, high, low, close and volume, .csv.gz

    Where a book was not to be believed, its levels are taken away until the next snapshot. What else is missing no such
    file can say: beside each day's files a .gaps.json lists it, and whether the market was simulated. A file gets its
    name when all are whole, and takes the place of no other without --force. Times without a zone are UTC.
    Needs pyarrow: pip install 'marketfeed[parquet]'.

    \b
    Examples:
      marketfeed export data --format hftbacktest --symbol kraken:BTC-USD --out bt
      marketfeed export data --format tardis --venue kraken --symbol BTC-USD --from 2026-04-07 --to 2026-04-08 --out csv
      marketfeed export data --format candles --every 5m --symbol coinbase:BTC-USD --out candles --json
    """
    from . import _export  # noqa: PLC0415 # heavy

    plan = _export.Plan(
        path=path,
        format=format_,
        out=out,
        venue=venue,
        symbol=symbol,
        start=start,
        end=end,
        every=every,
        force=force,
        as_json=as_json,
        quiet=quiet,
    )
    return _export.run(plan)
