"""How the command of a runner ends on Ctrl-C: at once, and in a line."""

import os
import signal
import sys
from collections.abc import Callable


def ends(main: Callable[[], None]) -> None:
    """Run a command; Ctrl-C ends it with 130, and keeps no figures."""
    try:
        main()
    except KeyboardInterrupt:
        ignore()
        print("stopped", file=sys.stderr, flush=True)
        os._exit(130)  # a loop that was half made would complain on the way out


def ignore() -> None:
    """No further Ctrl-C disturbs the end that is under way; `timeout -s INT` sends two."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def once() -> None:
    """Let the first Ctrl-C alone be one, however quickly others follow."""

    def first(*_: object) -> None:
        ignore()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, first)
