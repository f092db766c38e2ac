"""`Feed`: the public face. Subscribes, fans out, and shows books; everything else is below.

All that a user calls is here: the reason for its length.
"""

import asyncio
import inspect
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from . import catalogue
from .clock import Clock, SystemClock, WakingClock
from .consumer import MAX_BYTES, MAX_EVENTS, MAX_LAG_NS, Consumer, Filter, Policy
from .counts import Counts
from .errors import ConfigError, ConsumerTooSlow, NotLive
from .events import Event, Head, Instrument
from .forked import in_child
from .hub import Hub, check_type, leaving
from .loop_watch import LoopWatch
from .rest import AiohttpRest, Rest
from .runner import Runner
from .settings import VenueSettings, check_redundancy, credentials
from .streams import BookStream
from .subscriptions import Subscription, expand
from .symbols import parse_name
from .taped import Tape
from .transport import Transport, pick_transport
from .trusted_book import TrustedBook
from .watch import UNWATCHED

if TYPE_CHECKING:
    from .cold_start import ColdStart
    from .miner import Miner
    from .mining.plan import Mining
    from .stats import Stats

log = logging.getLogger("marketfeed.feed")

E = TypeVar("E", bound=Head)
LIVE_POLL_S = 0.02


class Feed:
    """Live market data of any venues: `async with Feed() as feed`, subscribe, then `async for event in feed`.

    `venues` sets endpoints and the like per venue (`VenueSettings`). `default_venue` serves names without one.
    `transport` is "auto", "websockets", "picows" or a `Transport`; `exact=True` makes all numbers `Decimal`.
    `policy` and `max_events` are those of the feed's own iteration. `redundancy` is links a stream: 1 or 2.
    `rest`, `clock` and `dice` are for tests.

    Iterating the feed is one consumer, which begins when iteration begins. Raises ConfigError for settings that
    cannot be.
    """

    _reads: type[Consumer] = Consumer

    def __init__(
        self,
        venues: Mapping[str, VenueSettings] | None = None,
        *,
        default_venue: str = catalogue.DEFAULT_VENUE,
        transport: str | Transport = "auto",
        exact: bool = False,
        redundancy: int = 1,
        policy: Policy = "lossless",
        max_events: int = 10_000,
        rest: Rest | None = None,
        clock: Clock | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        check_redundancy(redundancy)
        self._redundancy = redundancy
        self.exact = exact
        self.default_venue = default_venue
        self._settings = dict(venues or {})
        for name, settings in self._settings.items():
            settings.endpoints(catalogue.venue(name).endpoints)
        self._transport = pick_transport(transport) if isinstance(transport, str) else transport
        self._rest = rest
        self._rests: list[Rest] = []
        self._clock = clock or SystemClock()
        self._dice = dice
        self._policy: Policy = policy
        self._max_events = max_events
        self._hub = Hub()
        self._runners: dict[str, Runner] = {}
        self._watch: LoopWatch | None = None
        if isinstance(self._clock, WakingClock):
            self._watch = LoopWatch(self._clock, self._hub, self._runners, self.tell)
        self._tasks: dict[asyncio.Task[None], None] = {}  # not a set: they end in the order they began
        self._interest: dict[Subscription, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: Consumer | None = None
        self._closed = False
        self._tape: Tape | None = None
        self._fault: Exception | None = None
        self._elsewhere: ConfigError | None = None

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ConfigError("a feed is entered once; make a new one")
        self._loop = asyncio.get_running_loop()
        if self._watch is not None:
            self._watch.start()
        in_child(self._forked)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every link and end every consumer; what they have queued can still be read."""
        if self._elsewhere is not None:
            raise self._elsewhere
        self._closed = True
        if self._watch is not None:
            self._watch.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for rest in self._rests:
            await rest.close()
        self._hub.deliver()
        for consumer in list(self._hub.consumers):
            consumer.end()

    @property
    def closed(self) -> bool:
        """Whether the feed has been left, for good."""
        return self._closed

    def subscribe(
        self,
        *names: str,
        trades: bool = False,
        ticker: bool = False,
        book: bool | int = False,
        chain: bool = False,
    ) -> list[Subscription]:
        """Ask for streams, at any time: names such as `kraken:BTC-USD`, `btc/usd`; returns what was asked for.

        `book` is True for the deepest book the venue offers, or a number of levels. `chain` is of coins, as in
        `mempool:BTC`. A symbol that the venue does not list is told as `Refused`, with the nearest that exists. Raises
        UnknownVenue and ConfigError for names, channels and credentials that cannot be, and where none is given.
        """
        wanted = list(expand(names, venue=self.default_venue, trades=trades, ticker=ticker, book=book, chain=chain))
        for subscription in wanted:
            self._check_depth(subscription)
            self._check_venue(subscription)
        self._check_running()
        for subscription in wanted:
            self._interest[subscription] = self._interest.get(subscription, 0) + 1
            self._want(subscription)
        return wanted

    def unsubscribe(
        self,
        *names: str,
        trades: bool = False,
        ticker: bool = False,
        book: bool | int = False,
        chain: bool = False,
    ) -> list[Subscription]:
        """Ask for streams no more; a stream ends when everyone who subscribed to it has unsubscribed."""
        dropped = list(expand(names, venue=self.default_venue, trades=trades, ticker=ticker, book=book, chain=chain))
        self._check_running()
        for subscription in dropped:
            for known in [s for s in self._interest if s.name == subscription.name]:
                self._interest[known] -= 1
                if not self._interest[known]:
                    del self._interest[known]
                    self._unwant(known)
        return dropped

    async def live(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 # the face has a timeout, in seconds
        """Wait until all that was asked for flows: books live, tickers seen, trades acknowledged.

        Raises NotLive naming what does not flow and why: after `timeout` seconds, or at once when nothing but refused
        streams is left.
        """
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while waiting := self.waiting():
            if self._fault is not None:
                raise self._fault
            refused = {name for runner in self._runners.values() for name in runner.refusals()}
            if waiting.keys() <= refused or (end is not None and loop.time() >= end):
                raise NotLive(waiting)
            await asyncio.sleep(LIVE_POLL_S)

    def plan(
        self,
        *names: str,
        trades: bool = False,
        ticker: bool = False,
        book: bool | int = False,
        chain: bool = False,
    ) -> "list[ColdStart]":
        """What a start with these streams would cost at each venue, and how long its limits make it last.

        Nothing is asked for, and the feed need not be entered. Raises UnknownVenue and ConfigError as `subscribe`.
        """
        from .cold_start import plan  # noqa: PLC0415 # rarely wanted

        by_venue: dict[str, list[Subscription]] = {}
        for wanted in expand(names, venue=self.default_venue, trades=trades, ticker=ticker, book=book, chain=chain):
            self._check_venue(wanted)
            by_venue.setdefault(wanted.venue, []).append(wanted)
        plans = []
        for name, found in by_venue.items():
            settings = self._settings.get(name, VenueSettings())
            links = self._redundancy if settings.redundancy is None else settings.redundancy
            plans.append(plan(catalogue.venue(name), found, settings.pace, links))
        return plans

    def waiting(self) -> dict[str, str]:
        """Streams that do not flow, by name, and what each waits for; empty when all is live."""
        found: dict[str, str] = {}
        for runner in self._runners.values():
            found.update(runner.waiting())
        return found

    async def mine(self, want: "Mining") -> "Miner":
        """Tell a `MiningProfit` for each rig whenever a price or the chain moves, until what it returns is closed.

        Raises ConfigError for what cannot be computed.
        """
        from .miner import Miner  # noqa: PLC0415 # who does not mine does not pay for it
        from .mining_plan import plan_of  # noqa: PLC0415

        self._check_running()
        miner = Miner(await plan_of(want, self), self, self._hub, self._clock)
        if callable(want.electricity):
            miner.ask(want.electricity, self._start)
        return miner

    def tell(self, kind: type[Head], **fields: Any) -> None:
        """Tell every consumer an event that is not a venue's: for what works on a feed, such as a recorder."""
        self._hub.outlet.tell(kind(seq_local=self._hub.outlet.number(), **fields))
        self._hub.deliver()

    def tape(self, tape: Tape) -> None:
        """Keep every input of every connection. Raises ConfigError where something is subscribed to already."""
        self._check_running()
        if self._runners:
            raise ConfigError("what a connection gets is kept from its beginning; do this before you subscribe")
        tape.batch = self._hub.batch
        self._tape = tape

    def consumer(
        self,
        keep: Filter | None = None,
        *,
        policy: Policy = "lossless",
        books: bool = False,
        max_events: int = MAX_EVENTS,
        max_lag_s: float = MAX_LAG_NS / 1e9,
        max_bytes: int = MAX_BYTES,
        name: str = "",
    ) -> Consumer:
        """One more reader: see `Consumer`. `keep` chooses its events. It first gets instruments and whole books.

        `max_events` may wait for it, each for `max_lag_s`, and all of them reckoned at `max_bytes` in memory. `name` is
        what `stats` calls it.
        """
        self._check_running()
        consumer = self._reads(
            self._hub.outlet,
            self._clock,
            keep=keep,
            policy=policy,
            books=books,
            max_events=max_events,
            max_lag_s=max_lag_s,
            max_bytes=max_bytes,
            exact=self.exact,
            name=name,
        )
        consumer.on_end(self._hub.leave)
        self._hub.join(consumer)
        if self._fault is not None:
            consumer.end(self._fault)
        return consumer

    def on(self, kind: type[E], handler: Callable[[E], None] | Callable[[E], Awaitable[None]]) -> None:
        """Call `handler` with every event of that type.

        A plain function is called as the event arrives, before any consumer sees it, so it must be quick. A
        coroutine function gets a lossless consumer and a task of its own: where it is too slow that is logged, and it
        is called no more. One that raises is logged and called again with the next event. What waits for a coroutine
        function when the feed closes is let go. No handler gets a `Lagged`: each is of one consumer, and in its stream.
        Raises ConfigError where `kind` is no type of event.
        """
        check_type(kind)
        called: Any = handler
        if any(inspect.iscoroutinefunction(one) for one in (handler, type(handler).__call__)):
            own = self.consumer(lambda event: isinstance(event, kind), name=f"on {kind.__name__}")
            self._start(self._pump(own, kind, called))
        else:
            self._hub.handle(kind, called)

    async def _pump(self, consumer: Consumer, kind: type[Head], handler: Callable[[Any], Awaitable[None]]) -> None:
        try:
            async for event in consumer:
                if isinstance(event, kind):  # a `Lagged` comes to every consumer
                    try:
                        await handler(event)
                    except Exception as exc:  # whatever a user's handler raises must not stop the feed
                        self._hub.report(handler, exc)
                    except asyncio.CancelledError as exc:  # of what it waited for, unless the feed closes
                        if leaving():
                            raise
                        self._hub.report(handler, exc)
        except ConsumerTooSlow as exc:
            self._hub.report(handler, exc)

    def __aiter__(self) -> AsyncIterator[Event[Any]]:
        return self._reader()

    async def batches(self) -> AsyncIterator[list[Event[Any]]]:
        """Like iterating the feed, in lists of all events that wait."""
        async for events in self._reader().batches():
            yield events

    def _reader(self) -> Consumer:
        if self._own is None or (self._own.ended and not self._closed):
            self._own = self.consumer(policy=self._policy, max_events=self._max_events, name="feed")
        return self._own

    def book(self, of: Head | str) -> TrustedBook[Any]:
        """The newest proven book of an event's market, or of a name; it may be ahead of the event in hand.

        Raises ConfigError where the name is none.
        """
        venue, symbol = parse_name(of, self.default_venue) if isinstance(of, str) else (of.venue, of.symbol)
        stream = self._hub.streams.find(venue, symbol, "book")
        return stream.view if isinstance(stream, BookStream) else TrustedBook(f"{venue}:{symbol}:book")

    def instrument(self, of: Head | str) -> Instrument[Any] | None:
        """The instrument of an event's market or of a name; None while it is not known."""
        venue, symbol = parse_name(of, self.default_venue) if isinstance(of, str) else (of.venue, of.symbol)
        return self._hub.streams.instruments.get((venue, symbol))

    async def instruments(self, venue: str) -> list[Instrument[Any]]:
        """Every instrument a venue lists.

        Raises TransportError where it does not answer, VenueError where what it answers is no list of them.
        """
        self._check_running()
        return await self._runner(venue).all_instruments()

    def counts(self) -> dict[str, Counts]:
        """Counters by venue."""
        return {name: runner.counts() for name, runner in self._runners.items()}

    def stats(self) -> "Stats":
        """All that has been counted and measured, as of now; from the loop's thread."""
        from .stats import stats_of  # noqa: PLC0415 # who does not look does not pay for it

        lag = self._watch.watch.lag if self._watch is not None else None
        return stats_of(self._runners, self._hub, self._clock, lag)

    def _forked(self, error: ConfigError) -> None:
        """See `in_child`."""
        self._elsewhere = error
        for consumer in self._hub.consumers:
            consumer.close(error)
        for stream in self._hub.streams:
            if isinstance(stream, BookStream):
                stream.view.doubt("it is the parent process's")

    def _check_running(self) -> None:
        if self._elsewhere is not None:
            raise self._elsewhere
        if self._closed:
            raise ConfigError("this feed is closed; make a new one")
        if self._loop is None:
            raise ConfigError("enter the feed first: async with Feed() as feed")
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if not here:
            raise ConfigError("this feed runs on another event loop or thread; use it from the one that entered it")

    def _check_depth(self, wanted: Subscription) -> None:
        for known in self._interest:
            if known.name == wanted.name and known.depth != wanted.depth:
                raise ConfigError(f"{known.name} is already kept with depth {known.depth or 'full'}; ask for that")

    def _check_venue(self, wanted: Subscription) -> None:
        catalogue.check(wanted)
        credentials(catalogue.venue(wanted.venue))

    def _want(self, wanted: Subscription) -> None:
        self._runner(wanted.venue).want([wanted])

    def _unwant(self, wanted: Subscription) -> None:
        self._runner(wanted.venue).unwant([wanted])

    def _runner(self, name: str) -> Runner:
        runner = self._runners.get(name)
        if runner is None:
            settings = self._settings.get(name, VenueSettings())
            rest = self._rest or AiohttpRest(proxy=settings.proxy, clock=self._clock)
            self._rests.append(rest)
            runner = self._runners[name] = Runner(
                catalogue.venue(name),
                settings,
                self._hub,
                transport=self._transport,
                rest=rest,
                clock=self._clock,
                dice=self._dice,
                exact=self.exact,
                tape=self._tape,
                redundancy=self._redundancy,
                watch=self._watch.watch if self._watch is not None else UNWATCHED,
            )
            self._start(runner.run())
        return runner

    def _start(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        """A fault of ours in the background comes out at every consumer and in `live()`: nothing dies unheard."""
        self._tasks.pop(task, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if self._fault is None:
            self._fault = error if isinstance(error, Exception) else RuntimeError(repr(error))
            log.error("a task of the feed failed", exc_info=error)
        for consumer in self._hub.consumers:
            consumer.end(self._fault)
