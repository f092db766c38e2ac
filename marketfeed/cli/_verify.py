"""The run of `verify`: progress meanwhile, then the report."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator

import click
import msgspec

from ..recording.findings import Coverage, Finding, Report
from ..recording.times import iso
from ..recording.verification import verify
from ..text import escaped
from . import _colour, _exit
from ._figures import many, size
from ._table import table

DRAW_S = 0.2
CLEAR = "\r\x1b[2K"
HOURS = 3
"""Hours that are not whole and are shown of a stream; --json has all."""


def run(path: str, *, quick: bool, strict: bool, as_json: bool, quiet: bool) -> int:
    """Check, print, and the exit code. Raises Failed where there is something to fail for."""
    progress = _Progress(shown=not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb")
    try:
        report = verify(path, quick=quick, tell=progress.tell)
    finally:
        progress.clear()
    if as_json:
        counts = {"errors": report.errors, "notes": report.notes}
        click.echo(msgspec.json.encode({**counts, **msgspec.to_builtins(report)}))
    else:
        for line in _lines(report, quiet=quiet):
            click.echo(line)
    if report.errors or (strict and report.notes):
        raise _exit.Failed(_exit.ERROR, f"{escaped(path, 200)}: {_summary(report)}")
    return _exit.OK


class _Progress:
    """A line on the terminal that says how far it is."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._drawn_at = 0.0
        self._drawn = False

    def tell(self, what: str, done: int, of: int) -> None:
        """See `verify`."""
        now = time.monotonic()
        if not self._shown or now - self._drawn_at < DRAW_S:
            return
        self._drawn_at, self._drawn = now, True
        unit = f"{size(done)} of {size(of)}" if what == "files" else f"{done:,} of {of:,}"
        self._write(f"{CLEAR}checking {what}: {100 * done // max(of, 1)} % ({unit})")

    def clear(self) -> None:
        """Leave no trace."""
        if self._drawn:
            self._write(CLEAR)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _lines(report: Report, *, quiet: bool) -> Iterator[str]:
    colours = _colour.wanted(sys.stdout)
    shown = [one for one in report.findings if one.severity == "error" or not quiet]
    if not quiet:
        yield from _head(report)
    for severity, colour in (("error", "red"), ("note", "yellow")):
        for finding in shown:
            if finding.severity == severity:
                yield from _finding(finding, colour if colours else "")
    if not quiet:
        yield from _coverage(report.coverage, after=shown)
        summary = _summary(report)
        colour = "red" if report.errors else "green"
        yield _colour.paint(summary, colour) if colours else summary


def _head(report: Report) -> Iterator[str]:
    made_up = "SIMULATED: " if report.simulated else ""
    held = f"{many(report.files, 'file')}, {many(report.rows, 'row')}, {size(report.bytes)}"
    yield f"{escaped(report.path, 200)}: {made_up}{held}"
    if report.ts_from:
        yield f"received from {iso(report.ts_from)} to {iso(report.ts_to)}"
    if report.quick:
        yield "quick: the rows were not read"
    yield ""


def _finding(finding: Finding, colour: str) -> Iterator[str]:
    when = f" at {iso(finding.ts)}" if finding.ts else ""
    word = _colour.paint(f"{finding.severity:<5}", colour)
    yield f"{word}  {finding.check:<9}  {finding.where}: {finding.detail}{when}"
    if finding.more:
        yield f"       {'':<9}  ... and {finding.more:,} more of these there"


def _coverage(coverage: list[Coverage], *, after: list[Finding]) -> Iterator[str]:
    if after:
        yield ""
    if not coverage:
        return
    rows = [(one.stream, f"{one.events:,}", _percent(one.covered), _worst(one)) for one in coverage]
    yield from table(("stream", "events", "covered", "hours that are not whole"), rows, right=(1, 2))
    yield ""


def _worst(one: Coverage) -> str:
    some = [hour for hour in one.hours if hour.covered < 1]
    texts = [f"{iso(hour.ts)[:13]}h {_percent(hour.covered)}" for hour in some[:HOURS]]
    more = len(some) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")


def _percent(part: float | None) -> str:
    """Rounded down: 100 % is nothing lost."""
    return "-" if part is None else f"{int(part * 10_000) / 100:.2f} %"


def _summary(report: Report) -> str:
    return f"{many(report.errors, 'error')}, {many(report.notes, 'note')}"
