"""`marketfeed tail`: market data as it comes."""

import click

from . import _options


@click.command(
    "tail",
    cls=_options.BareBook,
    short_help="Print trades, tickers and books as they come.",
)
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--trades", is_flag=True, help="Trades.")
@click.option("--ticker", is_flag=True, help="Best prices and the last one.")
@click.option(
    "--book",
    type=_options.Depth(),
    metavar="[=DEPTH]",
    help="Order books: all levels, or so many a side. A terminal shows their best prices.",
)
@_options.SOURCE
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N market events.")
@_options.DURATION
@click.option("--idle-timeout", type=_options.Duration(), help="End when nothing has come for so long.")
@_options.PLAN
@_options.JSON
@_options.TEXT
@_options.LIFE
@_options.METRICS
@_options.TALK
def command(
    symbols: tuple[str, ...],
    trades: bool,
    ticker: bool,
    book: int | None,
    count: int | None,
    duration: float | None,
    idle_timeout: float | None,
    only_plan: bool,
    as_json: bool,
    as_text: bool,
    life: bool,
    metrics: int | None,
    verbose: int,
    quiet: bool,
    **source: object,
) -> int:
    """Print market data as it comes: trades and ticker, unless --trades, --ticker or --book say which.

    Lines for people on a terminal, JSON lines into a pipe. Data goes to stdout; what is lost, and what happens to
    connections, to stderr. It goes on through lost connections until stopped, but ends with exit code 3
    where no venue is reached within 10 seconds of the start. Of a coin at a source of chains, as mempool:BTC, it prints
    blocks and network figures.

    \b
    Examples:
      marketfeed tail BTC-USD
      marketfeed tail BTC-USD ETH-USD --venue kraken --venue coinbase
      marketfeed tail kraken:BTC-USD binance:BTC-USDT --trades
      marketfeed tail BTC-USD --book=10 --venue kraken
      marketfeed tail BTC-USD --sim --count 5
      marketfeed tail mempool:BTC
      marketfeed tail BTC-USD --trades --json --duration 1m > trades.jsonl
    """
    from . import _loop, _source, _watch  # noqa: PLC0415 # heavy

    chosen = _source.choose(symbols, **source)  # type: ignore[arg-type] # the options of `_options.SOURCE`
    if not (trades or ticker or book is not None):
        trades = ticker = True
    if only_plan:
        from . import _cold_start  # noqa: PLC0415 # rarely wanted

        return _cold_start.show(chosen, trades=trades, ticker=ticker, book=book, as_json=as_json)
    plan = _watch.Plan(
        source=chosen,
        trades=trades,
        ticker=ticker,
        book=book,
        count=count,
        duration_s=duration,
        idle_s=idle_timeout,
        as_json=_watch.json_wanted(as_json, as_text),
        life=life,
        metrics=metrics,
        verbose=verbose,
        quiet=quiet,
    )
    return _loop.run(_watch.tail(plan))
