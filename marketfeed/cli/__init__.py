"""The command `marketfeed`: one module a command, imported when it is called, so that `--help` is quick."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from . import _exit, _stdout

COMMANDS = {
    "tail": "Print trades, tickers and books as they come.",
    "book": "Show a live order book that redraws in place.",
    "record": "Record market data into Parquet files.",
    "export": "Write a recording as files that backtesters read.",
    "info": "Show what a recording holds, and what is missing in it.",
    "verify": "Check a recording for damage and what is missing.",
    "compact": "Merge the small files of a recording.",
    "mine": "Show what mining earns, live or from given numbers.",
    "venues": "List the venues there are.",
    "symbols": "List what a venue trades.",
    "replay": "Run a raw recording through the live code.",
    "digest": "Make one number of a stream of events.",
    "doctor": "Look for what keeps a feed from running.",
    "sim": "Run simulated venues, or serve a recording as a venue.",
    "schema": "Print the JSON Schema of an event.",
    "completion": "Print the script that completes commands in a shell.",
}
"""What `--help` lists, in this order. The module of a command is `marketfeed.cli.<name>`."""


class _Commands(click.Group):
    """A group that imports a command when it is called, and ends with the exit codes of `_exit`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found = importlib.import_module(f".{name}", __name__).command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from ..errors import nearest  # noqa: PLC0415 # the package is not needed for --help

            hint = nearest(args[0], COMMANDS) or f"; there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command is called {args[0][:40]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # here, because click would make an error of it
            raise _exit.Failed(_exit.OK) from None
        except KeyboardInterrupt:  # and an empty line of this
            raise _exit.Failed(_exit.INTERRUPTED) from None

    def main(self, args: Sequence[str] | None = None, *pos: Any, **named: Any) -> Any:
        named["standalone_mode"] = False
        sys.exit(_exit.code_of(lambda: super(_Commands, self).main(args, *pos, **named)))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_exit.HELP,
)
@click.version_option(package_name="marketfeed", prog_name="marketfeed", message="%(prog)s %(version)s")
def cli() -> None:
    """Real-time crypto market data: typed, and right or flagged.

    \b
      marketfeed tail BTC-USD                trades and quotes, live from Coinbase
      marketfeed tail BTC-USD --sim          the same from a simulated venue: no network needed
      marketfeed book kraken:BTC-USD         a live order book
      marketfeed COMMAND --help              options and examples of a command
    """


def main() -> None:
    """Run the command and leave the process with its exit code."""
    _exit.Process.ours = True
    code = _exit.code_of(_stdout.guard)
    if code == _exit.OK:
        try:
            cli.main(prog_name="marketfeed")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else _exit.ERROR
        code = _exit.code_of(_stdout.flush) or code
    if "_MARKETFEED_COMPLETE" in os.environ:
        sys.exit(code)
    _exit.leave(code)
