"""The hub: everything a feed's sessions emit goes through here, once, to every consumer and handler."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from .consumer import Consumer
from .errors import ConfigError, nearest
from .events import EVENT_TYPES, Head
from .lanes import LanedStreams
from .outlet import Outlet
from .streams import BookStream

log = logging.getLogger("marketfeed.hub")

Handler = Callable[[Any], object]


def check_type(kind: object) -> None:
    """Raises ConfigError for what is no type of event; the message names the nearest."""
    if not (isinstance(kind, type) and issubclass(kind, Head)):
        known = [one.__name__ for one in EVENT_TYPES]
        given = kind if isinstance(kind, str) else getattr(kind, "__name__", type(kind).__name__)
        hint = nearest(given, known) or f"; there are {', '.join(known)}"
        raise ConfigError(f"{repr(kind)[:60]} is no type of event{hint}")


def leaving() -> bool:
    """Whether somebody wants the running task to end; else a CancelledError is of what a user's code waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _check_done(made: object) -> None:
    """Raises TypeError for a coroutine that a handler returned: nobody awaits it, so that it would never run."""
    if inspect.iscoroutine(made):
        made.close()
        raise TypeError("it returned a coroutine, which nobody awaits: give on() the coroutine function itself")


class Hub:
    """`deliver()` empties the batch into handlers, then consumers, in order.

    A handler that raises is logged, counted in `handler_errors`, and harms nobody.
    """

    def __init__(self) -> None:
        self.batch: list[Head] = []
        self.outlet = Outlet(self.batch.append)
        self.streams: LanedStreams[Any] = LanedStreams(self.outlet)
        self.consumers: list[Consumer] = []
        """Replaced, never changed: whoever goes through it may add and remove."""
        self.handlers: dict[type[Head], list[Handler]] = {}
        self.handler_errors = 0
        self.left: dict[str, int] = {}
        """Consumers that are gone, by how they ended."""
        self._joined = 0
        self._due: deque[tuple[list[Head], list[Consumer]]] = deque()
        """Batches and who gets them: the one that is handed on, and those that its handlers led to."""

    def handle(self, kind: type[Head], handler: Handler) -> None:
        """Call `handler` with every event of that type, and of those made of it."""
        for one in dict.fromkeys((kind, *EVENT_TYPES)):
            if issubclass(one, kind):
                self.handlers.setdefault(one, []).append(handler)

    def deliver(self) -> None:
        """Hand on all that was emitted since the last call. Hot."""
        batch = self.batch
        if not batch:
            return
        # who joins from within a handler has these events in its first snapshots already
        consumers = self.consumers
        events = batch[:]
        batch.clear()
        if self.handlers:
            self._due.append((events, consumers))
            if len(self._due) == 1:  # else a handler led to it: consumers first get what that one is called with
                self._hand_on()
        else:
            self._offer(events, consumers)

    def _hand_on(self) -> None:
        """Hand on the batches that are due, to handlers and then to consumers."""
        due, handlers = self._due, self.handlers
        try:
            while due:
                events, consumers = due[0]
                for event in events:
                    for handler in handlers.get(type(event), ()):
                        try:
                            if (made := handler(event)) is not None:
                                _check_done(made)
                        except Exception as exc:  # whatever a user's handler raises must not stop the feed
                            self.report(handler, exc)
                self._offer(events, consumers)
                due.popleft()
        finally:
            due.clear()

    def _offer(self, events: list[Head], consumers: list[Consumer]) -> None:
        for consumer in consumers:
            consumer.offer(events)
            if consumer.torn:
                self._mend(consumer)

    def _torn(self, consumer: Consumer) -> None:
        self.deliver()
        self._mend(consumer)

    def _mend(self, consumer: Consumer) -> None:
        for venue, symbol in consumer.torn.copy():
            if not consumer.has_room:
                return  # the others once it has read
            consumer.torn.discard((venue, symbol))
            stream = self.streams.find(venue, symbol, "book")
            if isinstance(stream, BookStream) and stream.view.live:
                whole = stream.snapshot_event()
                consumer.whole = whole.seq_local
                consumer.offer([whole])

    def join(self, consumer: Consumer) -> None:
        """Add a consumer; it first gets every `Instrument` and a full `BookSnapshot` of each live book."""
        self.deliver()
        books = [stream for stream in self.streams if isinstance(stream, BookStream) and stream.view.live]
        self._joined += 1
        taken = {one.name for one in self.consumers}
        given, number = consumer.name, self._joined
        while not consumer.name or consumer.name in taken:
            consumer.name = f"{given or 'consumer'}-{number}"
            number += 1
        consumer.on_torn(self._torn)
        consumer.welcome([*self.streams.instruments.values(), *(book.snapshot_event() for book in books)])
        self.consumers = [*self.consumers, consumer]

    def leave(self, consumer: Consumer) -> None:
        """Remove a consumer."""
        self.consumers = [one for one in self.consumers if one is not consumer]
        self.left[consumer.end_word] = self.left.get(consumer.end_word, 0) + 1

    def report(self, handler: object, exc: BaseException) -> None:
        """Log and count a handler that raised."""
        self.handler_errors += 1
        if self.handler_errors <= 10 or self.handler_errors % 1000 == 0:
            log.error("handler %r raised (%d so far)", handler, self.handler_errors, exc_info=exc)
