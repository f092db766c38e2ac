"""`marketfeed info`: what a recording holds."""

import click

from . import _exit


@click.command("info", short_help="Show what a recording holds, and what is missing in it.")
@click.argument("path", type=click.Path())
@click.option("--cells", type=click.IntRange(2, 10_000), metavar="N", help="Cells of the coverage, at most.")
@click.option("--svg", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="Draw the coverage into this file, over what is there.")  # fmt: skip
@click.option("--png", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="The same as PNG. Needs resvg-py: pip install 'marketfeed[png]'.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def command(path: str, cells: int | None, svg: str | None, png: str | None, as_json: bool, quiet: bool) -> int:
    """Show what the recording in the folder PATH holds: streams, rows, size and time, what is missing, and a picture.

    Each line of the picture is a stream, each cell of it a length of time: data came (#), data came and something is
    known to be missing (!), nothing is there and something is known to be missing (-), nothing came (.). What waits in
    the journal, where a recorder writes or was killed, is counted apart: it is sealed at the next start.

    It believes what the files say; 'marketfeed verify' proves it. Needs pyarrow: pip install 'marketfeed[parquet]'.

    \b
    Examples:
      marketfeed info data
      marketfeed info data --svg coverage.svg --png coverage.png
      marketfeed info data --json | jq .missing
    """
    import sys  # noqa: PLC0415 # with the heavy ones
    from pathlib import Path  # noqa: PLC0415 # the same

    import msgspec  # noqa: PLC0415 # heavy

    from ..recording.overview import overview  # noqa: PLC0415 # heavy
    from ..text import escaped  # noqa: PLC0415 # heavy
    from . import _colour, _info_svg, _info_text  # noqa: PLC0415 # heavy
    from ._replay import Progress  # noqa: PLC0415 # heavy
    from ._watch import columns  # noqa: PLC0415 # heavy

    width = columns()
    drawn_to = [name for name in (svg, png) if name]
    progress = Progress(shown=not quiet and sys.stderr.isatty())
    try:
        found = overview(
            path,
            cells=cells or (_info_svg.CELLS if drawn_to else _info_text.cells(width)),
            tell=lambda done, files: progress.look(f"reading file {done + 1:,} of {files:,}"),
        )
    finally:
        progress.clear()
    drawn = _info_svg.drawing(found) if drawn_to else ""
    for name in drawn_to:
        try:
            Path(name).write_bytes(_info_svg.png(drawn) if name == png else drawn.encode())
        except OSError as exc:
            raise _exit.Failed(_exit.ERROR, f"{name}: cannot be written: {exc.strerror}") from exc
    if as_json:
        click.echo(msgspec.json.encode(found))
        return _exit.OK
    room = width if sys.stdout.isatty() else sys.maxsize  # COLUMNS makes the picture smaller, and cuts no figures
    for line in _info_text.text(found, room, picture=not drawn_to, colour=_colour.wanted(sys.stdout)):
        click.echo(line, color=True)
    if drawn_to:
        click.echo(f"\nthe coverage is drawn in {escaped(' and '.join(drawn_to), 400)}")
    return _exit.OK
