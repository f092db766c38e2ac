"""Running a coroutine on the fastest event loop there is."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any


def run(main: Awaitable[Any] | Iterable[Any]) -> Any:
    """`asyncio.run`, on uvloop where it is installed; returns what the coroutine returns."""
    try:
        import uvloop  # noqa: PLC0415 # not on Windows, and not needed
    except ImportError:
        return asyncio.run(main)  # type: ignore[arg-type] # a coroutine is what it asks for
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)  # type: ignore[arg-type] # the same
