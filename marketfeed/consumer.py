"""Consumers: each with its own queue, bounds and policy, so that one that is slow or fails harms nobody else.

A queue, its bounds and what each policy does beyond them are one thing: the reason for its length.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Literal

from .clock import Clock
from .errors import ConfigError, ConsumerTooSlow
from .events import BookDelta, BookSnapshot, BookVoid, Event, Head, Lagged, Ticker, channel_of
from .histogram import Histogram
from .meter import EVERY_NS
from .outlet import Outlet
from .trusted_book import TrustedBook

Policy = Literal["lossless", "drop_oldest", "conflate"]
POLICIES: tuple[Policy, ...] = ("lossless", "drop_oldest", "conflate")
Filter = Callable[[Any], bool]

MAX_EVENTS = 10_000
MAX_LAG_NS = 2_000_000_000
MAX_BYTES = 64 * 2**20
EVENT_BYTES = 480
LEVEL_BYTES = 180
"""What an event and a level of a book are reckoned at in memory."""
EXACT_EVENT_BYTES = 960
EXACT_LEVEL_BYTES = 340
"""The same where numbers are Decimals, of 104 bytes each."""

_LEVELLED = (BookDelta, BookSnapshot)
_BOOK = (BookDelta, BookSnapshot, BookVoid)


class Consumer:
    """One reader of a feed's events: `async for event in consumer`, or `async for events in consumer.batches()`.

    Made by `Feed.consumer`. What happens when it falls behind its bounds (10,000 events, 2 s, 64 MiB, or others given)
    is its policy:

    - `lossless`: it gets one `Lagged` and then ConsumerTooSlow; nothing is ever left out without ending it;
    - `drop_oldest`: the oldest are left out, a `Lagged` says how many, and torn books come whole again;
    - `conflate`: of the tickers that wait only the newest of each market is kept; the rest as `drop_oldest`.

    With `books=True` it keeps its own books, which move with its events: `book(event)`.
    """

    def __init__(
        self,
        outlet: Outlet,
        clock: Clock,
        *,
        keep: Filter | None = None,
        policy: Policy = "lossless",
        books: bool = False,
        max_events: int = MAX_EVENTS,
        max_lag_s: float = MAX_LAG_NS / 1e9,
        max_bytes: int = MAX_BYTES,
        exact: bool = False,
        name: str = "",
    ) -> None:
        if policy not in POLICIES:
            raise ConfigError(f"policy={policy!r}; there are {', '.join(POLICIES)}")
        if max_events < 1:
            raise ConfigError(f"max_events={max_events}; a consumer holds at least one event")
        if not max_lag_s > 0 or max_bytes < 1:
            raise ConfigError(f"max_lag_s={max_lag_s}, max_bytes={max_bytes}; a consumer has some time and room")
        self.dropped = 0
        self.name = name
        self.policy = policy
        self.to_reader = Histogram()
        self._measure_at = 0
        self._outlet = outlet
        self._clock = clock
        self._keep = keep
        self._policy = policy
        self._max_events = max_events
        self._max_lag_ns = max_lag_s * 1e9
        self._max_bytes = max_bytes
        self._reckoned = (EXACT_EVENT_BYTES, EXACT_LEVEL_BYTES) if exact else (EVENT_BYTES, LEVEL_BYTES)
        self._queue: deque[tuple[int, int, Head]] = deque()
        """(when it came, bytes it is reckoned at, event)"""
        self._bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._ended: Exception | None = None
        self._judging = False
        self._books: dict[str, TrustedBook[Any]] | None = {} if books else None
        self.torn: set[tuple[str, str]] = set()
        self.whole = 0
        """`seq_local` of the newest book that was sent whole."""
        self._on_end: Callable[[Consumer], None] | None = None
        self._on_torn: Callable[[Consumer], None] | None = None

    def offer(self, events: Iterable[Head]) -> None:
        """Take in events, at once and never waiting; the feed calls this."""
        if self._ended is not None:
            return
        now = self._clock.mono_ns()
        keep, queue = self._keep, self._queue
        event_bytes, level_bytes = self._reckoned
        try:
            for event in events:
                if keep is None or keep(event):
                    size = event_bytes
                    if isinstance(event, _LEVELLED):
                        size += level_bytes * (len(event.bids) + len(event.asks))
                    queue.append((now, size, event))
                    self._bytes += size
        except Exception as exc:  # whatever a user's filter raises is the business of its consumer alone
            self.end(exc)
            return
        if queue:
            self._wake_up()
            if len(queue) > 1 and self._over(now):
                self._judge_soon()

    def welcome(self, events: Iterable[Head]) -> None:
        """Take in what a late joiner gets first: it counts for no bound but that of age."""
        now = self._clock.mono_ns()
        kept = [event for event in events if self._keep is None or self._keep(event)]
        self._queue.extend((now, 0, event) for event in kept)
        self._max_events += len(kept)

    def excuse(self, ns: int) -> None:
        """The loop stood still for so long: that is not the reader's lag."""
        self._queue = deque((at + ns, size, event) for at, size, event in self._queue)

    def end(self, error: Exception | None = None) -> None:
        """No more events come; what is queued is still delivered, then `error` is raised or the iteration stops."""
        if self._ended is None:
            self._ended = error or StopAsyncIteration()
            self._wake_up()
        if self._on_end is not None:
            told, self._on_end = self._on_end, None
            told(self)

    def on_end(self, told: Callable[["Consumer"], None]) -> None:
        """Call this when the consumer leaves."""
        self._on_end = told

    def on_torn(self, told: Callable[["Consumer"], None]) -> None:
        """Call this when books are torn and all else is read: a quiet market brings nothing to mend them with."""
        self._on_torn = told

    def close(self, error: Exception | None = None) -> None:
        """Leave the feed; what is queued is let go. Iterating it ends, or raises `error`."""
        self._queue.clear()
        self._bytes = 0
        self.end(error)

    @property
    def ended(self) -> bool:
        """Whether no more events come."""
        return self._ended is not None

    @property
    def end_word(self) -> str:
        """How it ended, in few words."""
        if isinstance(self._ended, ConsumerTooSlow):
            return "too slow"
        return "closed" if isinstance(self._ended, StopAsyncIteration) else "failed"

    @property
    def has_room(self) -> bool:
        """Whether a whole book fits in beside what waits: many at once would push each other out."""
        if 2 * self._bytes <= self._max_bytes and 2 * len(self._queue) <= self._max_events:
            return True
        # one at a time for who never catches up: the next when the last was read, or left out
        first = next((event.seq_local for _, _, event in self._queue if not isinstance(event, Lagged)), 0)
        return first > self.whole

    def backlog(self) -> tuple[int, int]:
        """(bytes that what is queued is reckoned at, how long the oldest has waited in nanoseconds)."""
        return self._bytes, max(0, self._clock.mono_ns() - self._queue[0][0]) if self._queue else 0

    def __len__(self) -> int:
        return len(self._queue)

    def __aiter__(self) -> AsyncIterator[Event[Any]]:
        return self

    async def __anext__(self) -> Event[Any]:
        while not self._queue:
            await self._wait()
        return self._take()

    async def batches(self) -> AsyncIterator[list[Event[Any]]]:
        """Lists of events: all that wait, at least one."""
        while True:
            while not self._queue:
                try:
                    await self._wait()
                except StopAsyncIteration:
                    return
            yield [self._take() for _ in range(len(self._queue))]

    def book(self, of: Head | str) -> TrustedBook[Any]:
        """This consumer's own book of an event's market (or of `venue:symbol`), as of the event in hand.

        Raises ConfigError unless the consumer was made with `books=True`.
        """
        if self._books is None:
            raise ConfigError("this consumer keeps no books; make it with consumer(books=True)")
        name = of if isinstance(of, str) else f"{of.venue}:{of.symbol}"
        found = self._books.get(name)
        if found is None:
            found = self._books[name] = TrustedBook(f"{name}:book")
        return found

    async def _wait(self) -> None:
        if self._ended is not None:
            raise self._ended
        if self._wake is not None:
            raise RuntimeError("a consumer has one reader; make another with feed.consumer()")
        if self.torn and self._on_torn is not None:
            self._on_torn(self)
            if self._queue:
                return
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _take(self) -> Event[Any]:
        size: int
        event: Any  # whatever came is of the union
        at, size, event = self._queue.popleft()
        self._bytes -= size
        if at >= self._measure_at:
            self._measure_at = at + EVERY_NS
            self.to_reader.add(self._clock.mono_ns() - at)
        if self._books is not None and isinstance(event, _BOOK):
            self.book(event).apply(event)
        taken: Event[Any] = event
        return taken

    def _over(self, now: int) -> bool:
        queue = self._queue
        return len(queue) > self._max_events or self._bytes > self._max_bytes or now - queue[0][0] > self._max_lag_ns

    def _judge_soon(self) -> None:
        """Judge only after the reader has had its turn: one burst in one turn of the loop makes nobody slow."""
        if self._bytes > self._max_bytes:
            self._overflow(self._clock.mono_ns())
        elif not self._judging:
            self._judging = True
            try:
                asyncio.get_running_loop().call_soon(self._judge)
            except RuntimeError:
                self._judge()  # no loop, so no turn to wait for

    def _judge(self) -> None:
        self._judging = False
        now = self._clock.mono_ns()
        if len(self._queue) > 1 and self._over(now) and self._ended is None:
            self._overflow(now)

    def _overflow(self, now: int) -> None:
        if self._policy == "lossless":
            waiting = len(self._queue)
            lost = [event for _, _, event in self._queue]
            self._queue.clear()
            self._bytes = 0
            self._tell_lag(now, lost, None)
            self.end(ConsumerTooSlow(f"{waiting} events waited; read faster, or choose policy drop_oldest or conflate"))
            return
        told = self._queue[0]
        before = told[2] if isinstance(told[2], Lagged) else None
        if before is not None:
            self._queue.popleft()
        dropped = self._conflate(now) if self._policy == "conflate" else []
        while len(self._queue) > 1 and self._over(now):
            _, size, event = self._queue.popleft()
            self._bytes -= size
            dropped.append(event)
        if dropped:
            self._mark_books(dropped)
            self._tell_lag(now, dropped, before)
        elif before is not None:
            self._queue.appendleft(told)

    def _conflate(self, now: int) -> list[Head]:
        """Leave out tickers that a newer one of the same market follows, and whatever else has waited too long.

        A market's newest ticker never has; it becomes as old as what is behind it, whose age it must not hide.
        """
        newest: set[tuple[str, str]] = set()
        kept: deque[tuple[int, int, Head]] = deque()
        left_out: list[Head] = []
        behind = now
        for at, size, event in reversed(self._queue):
            if isinstance(event, Ticker):
                market = (event.venue, event.symbol)
                keep, at = market not in newest, behind  # noqa: PLW2901 # see above
                newest.add(market)
            else:
                young = now - at <= self._max_lag_ns
                keep = young or not kept
                behind = at if young else behind
            if keep:
                kept.appendleft((at, size, event))
            else:
                left_out.append(event)
                self._bytes -= size
        self._queue = kept
        return left_out

    def _mark_books(self, dropped: list[Head]) -> None:
        """A book of which an event was left out is torn: the hub sends a whole one after what is queued."""
        for event in dropped:
            if channel_of(event) == "book":
                self.torn.add((event.venue, event.symbol))
                if self._books is not None:
                    self.book(event).doubt("events of this book were dropped")

    def _tell_lag(self, now: int, dropped: list[Head], before: Lagged | None) -> None:
        """Stand a `Lagged` where the dropped events were: in front of all that is newer.

        One that still stands there, `before`, becomes part of it.
        """
        self.dropped += len(dropped)
        numbers = [event.seq_local for event in dropped]
        count = len(dropped)
        if before is not None:
            numbers += [before.from_seq_local, before.to_seq_local]
            count += before.dropped
        lagged = Lagged(
            venue="",
            ts_recv=self._clock.unix_ns(),
            seq_local=self._outlet.number(),
            policy=self._policy,
            dropped=count,
            from_seq_local=min(numbers),
            to_seq_local=max(numbers),
        )
        # as old as what it stands in front of: it must not hide the age of that
        self._queue.appendleft((self._queue[0][0] if self._queue else now, 0, lagged))
