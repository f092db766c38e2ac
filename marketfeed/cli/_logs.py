"""Logs on stderr: one escaped line each, in order with everything else."""

import contextlib
import logging
from collections.abc import Iterator

from ..text import escaped
from ._writer import Writer

OTHERS = ("aiohttp", "asyncio", "websockets")
"""Libraries whose logs are for those who look for a fault: only with -vv."""


class _Handler(logging.Handler):
    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self._writer.put(f"marketfeed: {escaped(text, 1000)}\n".encode(), err=True)


@contextlib.contextmanager
def shown(writer: Writer, verbose: int, quiet: bool) -> Iterator[None]:
    """Show logs: warnings, all with -vv, errors alone with -q."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose > 1 else logging.WARNING
    handler = _Handler(writer)
    levels = {"": level, **dict.fromkeys(OTHERS, level if verbose > 1 else logging.CRITICAL)}
    loggers = {name: logging.getLogger(name or None) for name in levels}
    old = {name: log.level for name, log in loggers.items()}
    for name, log in loggers.items():
        log.setLevel(levels[name])
    loggers[""].addHandler(handler)
    try:
        yield
    finally:
        loggers[""].removeHandler(handler)
        for name, log in loggers.items():
            log.setLevel(old[name])
