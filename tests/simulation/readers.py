"""Consumers of a world: some join late and keep books of their own, some read nothing, some raise."""

import asyncio
from random import Random
from typing import Any

import marketfeed as mf

from ..loopback.rig import Auditor
from .world import World


class Readers:
    """Joined by and by; those that keep up must agree with the feed's own books (I18), whatever the others do."""

    MOST = 6

    def __init__(self, world: World, dice: Random) -> None:
        self._world = world
        self._dice = dice
        self._tasks: list[tuple[Any, asyncio.Task[None]]] = []
        self._stuck: list[Any] = []
        self._wrong: list[BaseException] = []
        world.feed.on(mf.Ticker, self._raise_at_times)

    def _raise_at_times(self, event: mf.Ticker) -> None:
        if event.seq_local % 97 == 0:
            raise ValueError("a user's mistake")

    async def act(self) -> None:
        """Perhaps one more joins, or one leaves."""
        act = self._dice.random()
        if act < 0.15 and len(self._tasks) < self.MOST:
            consumer = self._world.feed.consumer(books=True)
            self._world.audits.append(audit := Auditor(renewals=True))
            self._tasks.append((consumer, asyncio.create_task(self._read(consumer, audit))))
        elif act < 0.2 and self._tasks:
            _, task = self._tasks.pop(self._dice.randrange(len(self._tasks)))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        elif act < 0.25 and len(self._stuck) < 2:
            self._stuck.append(self._world.feed.consumer(policy=self._dice.choice(["drop_oldest", "lossless"])))

    async def _read(self, consumer: Any, audit: Auditor) -> None:
        try:
            async for event in consumer:
                audit.take(event)
                audit.events.clear()
        except AssertionError as exc:
            self._wrong.append(exc)
        except mf.ConsumerTooSlow:
            pass  # a machine that slept an hour is too slow for anybody

    async def agree(self) -> None:
        """AssertionError where a reader's book is not the feed's."""
        await asyncio.sleep(0)
        if self._wrong:
            raise self._wrong[0]
        for consumer, task in self._tasks:
            for name in self._world.names if not task.done() else ():
                mine, true = consumer.book(name), self._world.feed.book(name)
                if mine.live and true.live and (mine.epoch, mine.seq) == (true.epoch, true.seq):
                    assert (mine.bids(), mine.asks()) == (true.bids(), true.asks()), f"I18: {name}"

    async def close(self) -> None:
        for _, task in self._tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._tasks), return_exceptions=True)
