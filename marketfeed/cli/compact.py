"""`marketfeed compact`: the many small files of a recording become few."""

import click

from . import _exit, _figures


@click.command("compact", short_help="Merge the small files of a recording.")
@click.argument("path", type=click.Path())
@click.option("--all", "everything", is_flag=True, help="Also today's files (UTC), of which there will be more.")
@click.option("--json", "as_json", is_flag=True, help="What was done as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def command(path: str, everything: bool, as_json: bool, quiet: bool) -> int:
    """Merge the files of each venue, channel and date in the folder PATH into one, of all dates before today (UTC).

    A recorder seals files each hour, or more often; fewer are read faster. Rows and their order stay what they are.
    Whatever stops it (Ctrl-C, a crash, a full disk) harms nothing: run it again. It does not run while a recorder
    writes to the folder, and needs the room of one more date meanwhile.

    Where a file is damaged or missing, its neighbours stay as they are too; that is told, and the exit code is 1.
    Needs pyarrow: pip install 'marketfeed[parquet]'.

    \b
    Examples:
      marketfeed compact data
      marketfeed compact data --all --json
    """
    import sys  # noqa: PLC0415 # with the heavy ones

    import msgspec  # noqa: PLC0415 # heavy

    from ..recording.compact import compact  # noqa: PLC0415 # heavy
    from ..text import escaped  # noqa: PLC0415 # heavy
    from ._replay import Progress  # noqa: PLC0415 # heavy

    progress = Progress(shown=not quiet and sys.stderr.isatty())
    room = _figures.columns(sys.stderr) - 13
    try:
        done = compact(
            path,
            everything=everything,
            tell=lambda of, files: progress.look(escaped(f"merging {files} files of {of}", room)),
        )
    finally:
        progress.clear()
    for reason in done.left:
        _exit.complain(f"left as it is: {reason}")
    if as_json:
        click.echo(msgspec.json.encode(done))
    elif done.partitions:
        click.echo(
            f"merged {_figures.many(done.files_before, 'file')} ({_figures.size(done.bytes_before)}) into "
            f"{done.files_after:,} ({_figures.size(done.bytes_after)}) in {escaped(path)}"
        )
    elif not done.left:
        click.echo(f"nothing to merge in {escaped(path)}" + ("" if everything else " before today; --all takes all"))
    return _exit.ERROR if done.left else _exit.OK
