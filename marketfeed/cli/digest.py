"""`marketfeed digest`: one number of a stream of events."""

from typing import BinaryIO

import click


@click.command("digest", short_help="Make one number of a stream of events.")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--streams", is_flag=True, help="Also one for each stream, before that of all.")
def command(file: BinaryIO, streams: bool) -> int:
    """Read events as JSON lines (from FILE, or stdin) and print their digest.

    Two streams with the same digest hold the same market events in the same order within each stream, whenever
    and however they came: receive times and local counters are left out, and so are life and loss events.

    \b
    Examples:
      marketfeed digest events.jsonl
      marketfeed replay kraken.jsonl --json | marketfeed digest --streams
    """
    from ..recording.digest import Digest  # noqa: PLC0415 # heavy

    digest = Digest()
    for line in file:
        digest.add_json(line)
    for name, value in digest.streams().items() if streams else ():
        click.echo(f"{value}  {name}")
    click.echo(digest.hexdigest())
    return 0
