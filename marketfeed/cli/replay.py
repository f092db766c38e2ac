"""`marketfeed replay`: a raw recording through the sessions that run live."""

import click

from . import _options


@click.command("replay", short_help="Run a raw recording through the live code.")
@click.argument("file", type=click.Path())
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), metavar="X",
              help="X times as fast as it was recorded. [default: as fast as possible]")  # fmt: skip
@click.option("--stats", is_flag=True, help="Print counts and the digest in place of events; with --json one object.")
@click.option("--venue", metavar="NAME", help="The venue, where no URL in the file tells.")
@_options.EXACT
@_options.JSON
@_options.TEXT
@_options.LIFE
@_options.TALK
def command(
    file: str,
    speed: float | None,
    stats: bool,
    venue: str | None,
    exact: bool,
    as_json: bool,
    as_text: bool,
    life: bool,
    verbose: int,
    quiet: bool,
) -> int:
    """Run a raw recording through the same code that runs live, and print its events.

    FILE is a capture (JSON lines, plain or gzip), or the folder of a recording made by 'marketfeed record --raw': the
    events of that are those that were told live, to the last digit, and exit code 6 says that they are not.

    What is printed, and where, is as with 'marketfeed tail'. The digest of --stats is that of the events:
    'marketfeed digest' gives the same for events that came another way.

    \b
    Examples:
      marketfeed replay kraken.jsonl
      marketfeed replay kraken.jsonl --speed 10
      marketfeed replay kraken.jsonl.gz --stats
      marketfeed replay kraken.jsonl --json | marketfeed digest
      marketfeed replay data --stats
    """
    from . import _replay, _watch  # noqa: PLC0415 # heavy

    return _replay.run(
        _replay.Plan(
            file=file,
            speed=speed,
            stats=stats,
            venue=venue,
            exact=exact,
            as_json=as_json if stats else _watch.json_wanted(as_json, as_text),
            life=life,
            verbose=verbose,
            quiet=quiet,
        )
    )
