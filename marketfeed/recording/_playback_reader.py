"""`Reader`: a consumer of a playback, which is waited for."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from ..consumer import Consumer


def _nobody() -> None:
    """Nobody listens."""


class Reader(Consumer):
    """A consumer that says when it waits for events; a lossless one is never too slow, as the player waits for it."""

    told: Callable[[], None] = staticmethod(_nobody)
    reads: asyncio.Task[Any] | None = None
    """Who waited for events last."""
    away = False
    """Whether its reader was waited for, and did not come back yet."""

    @property
    def waits(self) -> bool:
        """Whether its reader is done with all it got, and waits for more."""
        return self._wake is not None and not self._wake.done()

    @property
    def full(self) -> bool:
        """Whether it can take no more without losing something."""
        return self._policy == "lossless" and (len(self._queue) >= self._max_events or self._bytes >= self._max_bytes)

    def stuck(self, waiting: Collection[asyncio.Task[Any] | None]) -> bool:
        """Whether it is full, and will be while these wait for something else, or since nobody reads it."""
        return self.full and (self.reads is None or self.reads.done() or self.reads in waiting)

    def rewind(self) -> None:
        """Let go what is queued: the player goes elsewhere."""
        self._queue.clear()
        self._bytes = 0
        self.torn.clear()

    def _over(self, now: int) -> bool:
        return self._policy != "lossless" and super()._over(now)

    async def _wait(self) -> None:
        self.reads, self.away = asyncio.current_task(), False
        self.told()
        await super()._wait()
