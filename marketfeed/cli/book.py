"""`marketfeed book`: a live ladder of one order book."""

import click

from . import _options


@click.command("book", short_help="Show a live order book that redraws in place.")
@click.argument("symbol")
@click.option("--levels", type=click.IntRange(1, 1000), default=10, show_default=True, metavar="N",
              help="Levels a side; a terminal shows what fits.")  # fmt: skip
@click.option("--depth", type=_options.Depth(), default=0, metavar="N", help="Levels to subscribe to. [default: all]")
@_options.SOURCE
@click.option("--plain", is_flag=True, help="Text below text, no redrawing; so it is into a pipe.")
@click.option("--interval", type=_options.Duration(), help="Time between drawings. [default: 0.1s; plain 1s]")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N drawings.")
@_options.DURATION
@_options.TALK
def command(
    symbol: str,
    levels: int,
    depth: int,
    plain: bool,
    interval: float | None,
    count: int | None,
    duration: float | None,
    verbose: int,
    quiet: bool,
    **source: object,
) -> int:
    """Show the order book of a market as it moves: asks above, bids below, best prices in the middle.

    The book is LIVE while it is proven. Otherwise it says why it is not, and what is shown is the last that was known.

    \b
    Examples:
      marketfeed book BTC-USD
      marketfeed book kraken:BTC-USD --levels 20
      marketfeed book BTC-USD --sim
      marketfeed book BTC-USD --sim --plain --count 3
    """
    import sys  # noqa: PLC0415 # with the heavy ones

    from .. import catalogue, errors  # noqa: PLC0415 # heavy
    from ..subscriptions import Subscription  # noqa: PLC0415 # heavy
    from . import _loop, _show, _source  # noqa: PLC0415 # heavy

    chosen = _source.choose([symbol], **source)  # type: ignore[arg-type] # the options of `_options.SOURCE`
    if len(chosen.names) > 1:
        raise errors.ConfigError("book shows one market: name one venue")
    for name in chosen.chains:
        at, _, coin = name.partition(":")
        catalogue.check(Subscription(at, coin, "book"))
    plain = plain or not sys.stdout.isatty()
    return _loop.run(
        _show.book(
            _show.Plan(
                source=chosen,
                levels=levels,
                depth=depth,
                plain=plain,
                interval_s=interval or (1.0 if plain else 0.1),
                count=count,
                duration_s=duration,
                verbose=verbose,
                quiet=quiet,
            )
        )
    )
