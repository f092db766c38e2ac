"""`marketfeed verify`: whether a recording is what was recorded."""

import click


@click.command("verify", short_help="Check a recording for damage and what is missing.")
@click.argument("path", type=click.Path(), metavar="FOLDER")
@click.option("--quick", is_flag=True, help="Names, sizes, hashes and footers alone: the rows are not read.")
@click.option("--strict", is_flag=True, help="End with 1 also where there are notes and no errors.")
@click.option("--json", "as_json", is_flag=True, help="The whole report as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors, and no progress.")
def command(path: str, quick: bool, strict: bool, as_json: bool, quiet: bool) -> int:
    """Check a folder that 'marketfeed record' has filled, and change nothing in it.

    An error is damage or a contradiction: a file that is missing, changed or not whole, rows out of order or twice,
    trade ids missing that no gap tells, a book that cannot be rebuilt or stands crossed, gaps that manifests and files
    tell differently. A note is worth knowing: told gaps, times that were not recorded, clocks that were set, what a
    crash or a running recorder left. The coverage is the part of each stream's time, to the end of its recorder, that
    is not told to be lost, and - where nothing came.

    Ends with 0 where there are no errors, with 1 where there are, and with 6 where there is no recording, or one
    that may not be read.

    \b
    Examples:
      marketfeed verify data
      marketfeed verify data --quick
      marketfeed verify data --json | jq '.findings[] | select(.severity == "error")'
      marketfeed verify data --strict --quiet && ./backtest
    """
    from . import _verify  # noqa: PLC0415 # heavy

    return _verify.run(path, quick=quick, strict=strict, as_json=as_json, quiet=quiet)
