"""The run of `export`."""

import sys

import click
import msgspec
from msgspec import Struct

from ..errors import ConfigError
from ..recording.dataset import Dataset, open_dataset
from ..recording.export import Summary, export, symbols_of
from ..symbols import parse_symbol
from ..text import escaped
from . import _exit
from ._figures import SECOND, length, many, moment, size
from ._replay import Progress


class Plan(Struct, frozen=True, kw_only=True):
    """What `export` was asked to do; see its options."""

    path: str
    format: str
    out: str
    venue: str | None = None
    symbol: str | None = None
    start: str | None = None
    end: str | None = None
    every: str = "1m"
    force: bool = False
    as_json: bool = False
    quiet: bool = False


def run(plan: Plan) -> int:
    """Export it; the exit code. Raises ConfigError and RecordingError."""
    progress = Progress(shown=not plan.quiet and sys.stderr.isatty())
    progress.look("reading")
    try:
        data = open_dataset(plan.path)
        venue, symbol = _market(data, plan)
        done = export(
            data,
            plan.format,
            plan.out,
            venue=venue,
            symbol=symbol,
            start=plan.start,
            end=plan.end,
            every=plan.every,
            force=plan.force,
            progress=lambda now, steps: progress.look(f"exporting: {moment(now)} UTC, {many(steps, 'event')}"),
        )
    finally:
        progress.clear()
    if done.simulated and not plan.quiet:
        click.echo("marketfeed: SIMULATED: this was recorded from a simulator", err=True)
    if plan.as_json:
        click.echo(msgspec.json.encode(done).decode())
    else:
        _tell(done, plan.out)
    return _exit.OK


def _market(data: Dataset, plan: Plan) -> tuple[str, str]:
    """Venue and symbol, as people write them; the only one there is, where none is named."""
    head, colon, tail = (plan.symbol or "").partition(":")
    if colon and plan.venue not in {None, head}:
        raise ConfigError(f"--venue {plan.venue} and --symbol {plan.symbol} name two venues")
    venue = _one("--venue", head if colon else plan.venue, data.venues)
    name = tail if colon else plan.symbol
    if name is None:
        return venue, _one("--symbol", None, symbols_of(data, venue))
    try:
        return venue, parse_symbol(name)
    except ConfigError:
        return venue, name  # it may be there all the same, and if not is answered with those that are


def _one(option: str, named: str | None, known: list[str]) -> str:
    if named is None and len(known) != 1:
        raise ConfigError(f"say which with {option}: {', '.join(known) or 'nothing is there'}")
    return named if named is not None else known[0]


def _tell(done: Summary, folder: str) -> None:
    mark = "SIMULATED " if done.simulated else ""
    name = escaped(f"{done.venue}:{done.symbol}")
    click.echo(f"{mark}{name} from {moment(done.ts_from)} to {moment(done.ts_to)} UTC, into {escaped(folder)}:")
    for file in done.files:
        click.echo(f"  {escaped(file.name, 300)}  {many(file.rows, 'row')}, {size(file.bytes)}")
    unknown = sum(span["ts_to"] - span["ts_from"] for span in done.book_unknown)
    time = length(unknown) if unknown >= SECOND else f"{unknown / 1e6:.1f} ms"
    missing = ["1 loss" if len(done.losses) == 1 else f"{len(done.losses):,} losses"] if done.losses else []
    missing += [f"no book to be believed for {time}"] if unknown else []
    missing += [f"{what}: {times:,}" for what, times in done.changed.items()]
    click.echo("\n".join(f"  {line}" for line in missing or ["nothing is known to be missing"]))
