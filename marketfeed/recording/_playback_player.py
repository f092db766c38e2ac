"""`Player`: tells what a script holds when it is due, and to readers that are ready for it."""

import asyncio
from math import inf
from typing import Any, cast

from ..hub import Hub
from ._playback_pace import Pace
from ._playback_reader import Reader
from ._playback_script import Script

RUN = 64
"""Batches told before everybody else has a turn of the loop."""
PATIENCE = 8
"""Turns of the loop that a reader has to come back, before others that wait get more."""
COURTESY = 3
"""Turns of the loop that a coroutine has to go on after it waited for streams to flow."""
_TURN = -1.0


class Player:
    """Runs as one task, from when `begun` is set. `over` is set when nothing more comes, for whatever reason.

    `waiters` are those who wait for streams to flow, and their tasks; `listeners` counts who waits for the end.
    """

    def __init__(self, script: Script, pace: Pace, hub: Hub) -> None:
        self.begun = False
        self.ended = False
        self.over = asyncio.Event()
        self.waiters: dict[asyncio.Future[None], asyncio.Task[Any] | None] = {}
        self.listeners = 0
        self._script = script
        self._pace = pace
        self._hub = hub
        self._wake: asyncio.Future[None] | None = None
        self._patience = 0
        self._courtesy = 0

    @property
    def readers(self) -> list[Reader]:
        """All consumers."""
        return cast(list[Reader], self._hub.consumers)

    async def run(self) -> None:
        """Play until cancelled: after the end somebody may go back."""
        run = 0
        while True:
            wait = self._wait_s()
            if wait == 0.0:
                self._step()
                run += 1
                if run % RUN and not self._courtesy:
                    continue
            if wait is None or wait > 0:
                await self._changed(wait)
            else:
                for _ in range(max(self._courtesy, 1)):
                    await asyncio.sleep(0)
                self._courtesy = 0

    def stir(self) -> None:
        """Look again: something has changed."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def again(self) -> None:
        """Play on, after the end too."""
        self.ended = False
        self.over.clear()
        self.stir()

    def stop(self) -> None:
        """Nothing more comes."""
        self.over.set()
        self._release()

    def look(self) -> None:
        """Release the waiters, if there is an answer for them; they have their turn before more is told."""
        if self.waiters:
            stuck = any(reader.stuck(self.waiters.values()) for reader in self.readers)
            if stuck or self.over.is_set() or self._script.waiting().keys() <= self._script.refused.keys():
                self._release()

    def _release(self) -> None:
        waiters, self.waiters = self.waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._courtesy = COURTESY

    def _wait_s(self) -> float | None:
        """Seconds until the next step, `_TURN` for one turn of the loop, None until something changes."""
        if self._pace.paused or self.over.is_set() or not self.begun:
            return None
        if self._pace.speed == inf:
            return self._turn()
        if any(reader.full for reader in self.readers):
            return None
        following = self._script.following
        return 0.0 if following is None or self._script.has_news else self._pace.wait_s(following)

    def _turn(self) -> float | None:
        """At "max": whether the readers are ready."""
        readers = self.readers
        busy = [reader for reader in readers if not reader.waits]
        if not busy:
            return 0.0 if readers or self._hub.handlers or self.waiters or self.listeners else None
        if any(reader.full for reader in busy) or (len(busy) == len(readers) and not self.waiters):
            return None
        # one may wait for what another does with the next event: as live, it is not kept from it
        if self._patience < PATIENCE and not all(reader.away for reader in busy):
            self._patience += 1
            return _TURN
        for reader in busy:
            reader.away = True
        return 0.0

    def _step(self) -> None:
        self._patience = 0
        going = True
        try:
            going = self._script.step()
            if not going:
                self._script.finish()
        finally:
            self._pace.at = max(self._pace.at, self._script.place)
            self._hub.deliver()
        if not going:
            self.ended = True
            self.over.set()
            for reader in self.readers:
                reader.end()
        self.look()

    async def _changed(self, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, self.stir)
        try:
            await self._wake
        finally:
            self._wake = None
            if timer is not None:
                timer.cancel()
