"""Exit codes of every command, and how an error becomes one line on stderr and a code."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

OK = 0
ERROR = 1
USAGE = 2
UNREACHED = 3
REFUSED = 4
IDLE = 5
RECORDING = 6
SLOW = 7
INTERRUPTED = 130
TERMINATED = 143

MEANINGS = {
    OK: "done; also --count or --duration reached, or the reader of a pipe has had enough",
    ERROR: "something failed; one line on stderr says what",
    USAGE: "what was asked for cannot be: an option, a name, a venue",
    UNREACHED: "no venue could be reached",
    REFUSED: "the venues refused all that was asked for, as with an unknown symbol",
    IDLE: "nothing came for --idle-timeout",
    RECORDING: "a recording cannot be read or written, or is not what it says",
    SLOW: "the reader of a pipe was so slow that events would have been lost",
    INTERRUPTED: "stopped by Ctrl-C (SIGINT)",
    TERMINATED: "stopped by SIGTERM",
}
"""Every exit code and what it means."""

HELP = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {text}" for code, text in MEANINGS.items())

MAX_LINE = 2_000


class Process:
    """What is true of this process."""

    ours = False
    """Whether it runs this command and nothing else, so that `leave` ends it and nothing needs to be closed before."""


class Failed(click.ClickException):
    """A command ends with this code, after one line on stderr (none where `message` is empty)."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code

    def show(self, file: Any = None) -> None:
        """Print the line."""
        if self.message:
            complain(self.message)


def complain(message: str) -> None:
    """One line `marketfeed: ...` on stderr, whatever is in it."""
    from ..text import escaped  # noqa: PLC0415 # the package is not needed for --help

    with contextlib.suppress(OSError, ValueError):
        click.echo(f"marketfeed: {escaped(message, MAX_LINE)}", err=True)


def code_of(run: Callable[[], Any]) -> int:
    """Run a command; its exit code. Errors that a user can meet are told in one line, others are a traceback."""
    _on_terminate()
    try:
        result = run()
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Failed as exc:
        exc.show()
        return exc.code
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except Exception as exc:  # which of them are known is looked up only then: it imports the errors
        code = _known(exc)
        if code is None:
            raise
        complain(str(exc))
        return code
    return result if isinstance(result, int) else OK


def _known(exc: Exception) -> int | None:
    from .. import errors  # noqa: PLC0415 # the same

    kinds: list[tuple[type[Exception], int]] = [
        (errors.UnknownSymbol, REFUSED),
        (errors.ConfigError, USAGE),
        (errors.TransportError, UNREACHED),
        (errors.RecordingError, RECORDING),
        (errors.ConsumerTooSlow, SLOW),
        (errors.MarketFeedError, ERROR),
    ]
    return next((code for kind, code in kinds if isinstance(exc, kind)), None)


def _on_terminate() -> None:
    """Let SIGTERM end what does not run an event loop as quietly as Ctrl-C does."""

    def terminate(*_: object) -> None:
        raise SystemExit(TERMINATED)

    with contextlib.suppress(ValueError):  # not in the main thread: somebody else's process
        signal.signal(signal.SIGTERM, terminate)


def leave(code: int) -> None:
    """End the process now.

    Not by `sys.exit`: that would wait for threads, and one that looks up a name may take half a minute.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Failed, OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
