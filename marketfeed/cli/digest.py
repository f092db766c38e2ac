"""`marketfeed digest`: one number of a stream of events."""

from typing import TYPE_CHECKING, BinaryIO

import click

from . import _exit

if TYPE_CHECKING:
    from ..recording.digest import Digest


@click.command("digest", short_help="Make one number of a stream of events.")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--streams", is_flag=True, help="Also one for each stream, before that of all.")
def command(file: BinaryIO, streams: bool) -> int:
    """Read events as JSON lines (from FILE, or stdin) and print their digest.

    Two streams with the same digest hold the same market events in the same order within each stream, whenever
    and however they came: receive times and local counters are left out, and so are life and loss events. A line
    that is no event, or no market event at all, has no digest: exit code 6.

    \b
    Examples:
      marketfeed digest events.jsonl
      marketfeed replay kraken.jsonl --json | marketfeed digest --streams
    """
    from ..recording.digest import Digest  # noqa: PLC0415 # heavy

    digest, name = Digest(), getattr(file, "name", "<stdin>")
    for number, line in enumerate(file, 1):
        if line.strip():
            _add(digest, line, number, name)
    found = digest.streams()
    if not found:
        raise _exit.Failed(_exit.RECORDING, f"{name}: there is no market event, and so no digest")
    for name, value in found.items() if streams else ():
        click.echo(f"{value}  {name}")
    click.echo(digest.hexdigest())
    return 0


def _add(digest: "Digest", line: bytes, number: int, name: str) -> None:
    try:
        digest.add_json(line)
    except ValueError as exc:
        way = f"; of a raw recording: marketfeed replay {name} --json | marketfeed digest" if b'"dir"' in line else ""
        raise _exit.Failed(_exit.RECORDING, f"{name}, line {number}: not an event: {exc}{way}") from exc
