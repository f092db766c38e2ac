"""Options and kinds of values that several commands share."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)")


class Duration(click.ParamType[float]):
    """A time such as 10s, 5m, 1.5h, 250ms; a bare number is seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(str(value).strip().lower())
        seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
        if not 0 < seconds < 1e9:
            self.fail(f"{str(value)[:40]!r} is not a time; write 10s, 5m or 1.5h", param, ctx)
        return seconds


class Depth(click.ParamType[int]):
    """A number of levels, or "full"."""

    name = "depth"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Levels a side; 0 for all."""
        if value in {"full", 0}:
            return 0
        if not str(value).isdecimal() or not 0 < int(value) <= 1_000_000:
            self.fail(f"{str(value)[:40]!r} is not a number of levels; write --book or --book=10", param, ctx)
        return int(value)


class BareBook(click.Command):
    """A command of `symbols` whose `--book` may stand alone, without taking the next word for its depth."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare `--book` its value."""
        end = args.index("--") if "--" in args else len(args)
        left = super().parse_args(ctx, ["--book=full" if a == "--book" else a for a in args[:end]] + args[end:])
        for text in ctx.params["symbols"] or ():  # none where a shell completes
            if text.isdecimal():
                raise click.UsageError(f"{text[:40]!r} is not a symbol; did you mean --book={text[:40]}?", ctx)
        return left


def with_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in this order in `--help`."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _venue_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from .. import catalogue  # noqa: PLC0415 # only for completion

    return [name for name in [*catalogue.markets(), "all"] if name.startswith(incomplete)]


VENUE = click.option(
    "--venue",
    "venues",
    multiple=True,
    metavar="NAME",
    shell_complete=_venue_names,
    help="Venue of symbols that name none; repeat it for several, or 'all'. [default: coinbase]",
)
SIM = click.option("--sim", is_flag=True, help="Simulated venues in this process: made-up prices, no network.")
EXACT = click.option("--exact", is_flag=True, help="Decimal numbers: every digit as the venue sent it.")
DURATION = click.option("--duration", type=Duration(), help="End after this time, as 10s, 5m.")
TRANSPORT = click.option("--transport", default="auto", metavar="NAME", help="auto, picows or websockets.")
ENDPOINT = click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="VENUE=WS,REST",
    help="Other addresses of a venue, as kraken=wss://HOST/v2,https://HOST.",
)
WS = click.option("--ws", metavar="URL", help="WebSocket address, where there is one venue.")
REST = click.option("--rest", metavar="URL", help="REST address, where there is one venue.")
REDUNDANCY = click.option(
    "--redundancy", type=click.IntRange(1, 2), default=1, metavar="LINKS", help="Connections a stream: 1, or 2."
)
VERBOSE = click.option("-v", "--verbose", count=True, help="All life events on stderr; twice: logs too.")
QUIET = click.option("-q", "--quiet", is_flag=True, help="Nothing but errors on stderr.")
JSON = click.option("--json", "as_json", is_flag=True, help="JSON lines, also on a terminal.")
TEXT = click.option("--text", "as_text", is_flag=True, help="Lines for people, also into a pipe.")
PLAN = click.option("--plan", "only_plan", is_flag=True, help="Print what the start would cost each venue, and end.")
METRICS = click.option(
    "--metrics",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve figures for Prometheus on this port of 127.0.0.1; 0 is any that is free.",
)
LIFE = click.option("--life", is_flag=True, help="With JSON lines: life and loss events among them too.")

SOURCE = with_options(VENUE, SIM, EXACT, TRANSPORT, ENDPOINT, WS, REST, REDUNDANCY)
"""Where data comes from; see `_source.choose`."""
TALK = with_options(VERBOSE, QUIET)
"""What stderr shows; see `_notices.Notices`."""
