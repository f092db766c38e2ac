"""`marketfeed symbols`: what a venue trades."""

import click

from . import _options


@click.command("symbols", short_help="List what a venue trades.")
@click.argument("venue")
@click.argument("pattern", default="")
@_options.SIM
@_options.ENDPOINT
@_options.REST
@_options.JSON
def command(venue: str, pattern: str, sim: bool, endpoints: tuple[str, ...], rest: str | None, as_json: bool) -> int:
    """List the markets of a venue, as it says now: name, tick, lot, status.

    PATTERN is a part of a name, or a whole one with * and ?.

    \b
    Examples:
      marketfeed symbols kraken
      marketfeed symbols coinbase 'BTC-*'
      marketfeed symbols binance eth --json
      marketfeed symbols kraken --sim
    """
    from .. import catalogue  # noqa: PLC0415 # heavy
    from . import _instruments, _loop, _source  # noqa: PLC0415 # heavy

    catalogue.venue(venue.lower())  # "all" is none here
    source = _source.choose((), venues=[venue], sim=sim, exact=True, endpoints=endpoints, rest=rest)
    return _loop.run(_instruments.listing(source, venue.lower(), pattern, as_json))
