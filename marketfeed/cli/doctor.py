"""`marketfeed doctor`: what may keep a feed from running here, and what to do."""

from typing import Any

import click

from . import _options


@click.command("doctor", short_help="Look for what keeps a feed from running.")
@click.option(
    "--venue",
    "venues",
    multiple=True,
    metavar="NAME",
    shell_complete=_options._venue_names,
    help="Venue or source of chains to look at; repeat it for several. [default: all venues]",
)
@click.option("--books", type=click.IntRange(min=0), default=100, show_default=True, metavar="N",
              help="Say what a start with N books costs at a venue.")  # fmt: skip
@_options.SIM
@_options.TRANSPORT
@_options.ENDPOINT
@_options.WS
@_options.REST
@_options.JSON
def command(venues: tuple[str, ...], books: int, as_json: bool, **source: Any) -> int:
    """Look at this machine and at the way to each venue: packages, clock, names, TLS, WebSocket, REST, budget.

    Each line is ok, a note, a warn(ing) or a fail, with the time it took and what to do. Ends with 0 where nothing
    failed, with 3 where no venue answers, else with 1. Each venue gets one connection and two REST calls, within its
    limits.

    \b
    Examples:
      marketfeed doctor
      marketfeed doctor --venue kraken --venue mempool
      marketfeed doctor --venue binance --books 500
      marketfeed doctor --sim
      marketfeed doctor --json
    """
    from . import _doctor_run, _loop, _source  # noqa: PLC0415 # heavy

    chosen = _source.choose((), venues=venues or ["all"], **source)
    return _loop.run(_doctor_run.examine(chosen, books=books, as_json=as_json))
