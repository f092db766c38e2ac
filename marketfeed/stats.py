"""What `Feed.stats` shows: all that was counted and measured, as plain numbers that become JSON by `msgspec.json`.

Lengths of time are nanoseconds. It is put together when it is asked for, of counters that are there anyway.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from .clock import Clock
from .consumer import Consumer
from .counts import Counts
from .histogram import Histogram
from .hub import Hub
from .meter import Meter
from .outlet import Stream
from .runner import Runner
from .streams import BookStream, TradeStream
from .tally import Told, check_counted
from .venues._spec import Venue


class Latency(Struct, frozen=True, kw_only=True):
    """How long a stage takes, of what was measured of it since the feed began.

    Percentiles are at most 3.2 % too high. `early` of the measured were below 0 and count as 0: clocks differ.
    `buckets` are (longest length, count), shortest first, without those that are empty.
    """

    count: int
    p50: int
    p90: int
    p99: int
    max: int
    total: int
    early: int = 0
    buckets: list[tuple[int, int]] = []


class ClockDistance(Struct, frozen=True, kw_only=True):
    """How far our clock is ahead of the venue's, over the last minute; None where that is not known.

    `least` is the least of receive time less the venue's: the offset and the quickest way of a message. `round_trip` is
    the quickest connect or call so far; where that message took no longer, `offset` is wrong by `uncertainty` at most.
    Events are never corrected by it.
    """

    least: int | None = None
    round_trip: int | None = None
    offset: int | None = None
    uncertainty: int | None = None


class BudgetState(Struct, frozen=True, kw_only=True):
    """A quota of the venue that all feeds of the process share: `used` in the `seconds` that end now, of `amount`.

    `waiting` has its turn later.
    """

    used: float
    waiting: float
    amount: float
    seconds: float


class LinkState(Struct, frozen=True, kw_only=True):
    """A connection. `frames` and `frame_age` are of the one that stands; the age is known to about a second."""

    link: str
    up: bool
    streams: int
    frames: int = 0
    frame_age: int | None = None
    failure: str = ""


class VenueStats(Struct, frozen=True, kw_only=True):
    """One venue. `counts` are of all its connections so far, `decoded` those of its frames that were data asked for.

    `told` counts events about the venue, its connections and streams that it refused: kind, then reason. `disconnected`
    there are the reconnects. `waits` and `waited` are turns in the budget that had to be waited for; `blocked` is how
    long the venue still sends us away. `calls` are REST calls, `failed_calls` those without an answer.
    """

    counts: Counts
    decoded: int
    told: Told
    links: list[LinkState]
    wanted: int
    waiting: int
    event_age: int | None
    to_receive: Latency
    to_emit: Latency
    clock: ClockDistance
    budget: dict[str, BudgetState]
    blocked: int
    waits: int
    waited: int
    calls: int
    failed_calls: int


class BookState(Struct, frozen=True, kw_only=True):
    """A book. `score` is the share of its audits that found it equal; None where there was none."""

    state: str
    epoch: int
    seq: int
    reason: str = ""
    score: float | None = None


class StreamStats(Struct, frozen=True, kw_only=True):
    """One stream. `events` since it was last asked for; `told` counts its life and loss: kind, then reason.

    `waiting` says what it waits for, "" where it flows.
    """

    venue: str
    symbol: str
    channel: str
    events: int
    event_age: int | None
    waiting: str = ""
    stale: bool = False
    duplicates: int = 0
    told: Told = {}
    book: BookState | None = None


class ConsumerStats(Struct, frozen=True, kw_only=True):
    """One reader: `queued` events, reckoned at `bytes`, the oldest of which waits for `lag`.

    `to_reader` is from the queue to whoever reads.
    """

    name: str
    policy: str
    queued: int
    bytes: int
    lag: int
    dropped: int
    to_reader: Latency


class Stats(Struct, frozen=True, kw_only=True):
    """A feed as it is at `ts` (Unix ns). Streams are by name, as `kraken:BTC-USD:book`.

    `told` counts events that are no venue's; `left` consumers that are gone, by how they ended. `loop_lag` is how late
    a timer of the feed came, looked at 20 times a second. `spared` counts faults of one of a stream's connections that
    another one made good.
    """

    ts: int
    venues: dict[str, VenueStats]
    streams: dict[str, StreamStats]
    consumers: list[ConsumerStats]
    told: Told
    left: dict[str, int]
    handler_errors: int
    loop_lag: Latency
    spared: int = 0

    def total(self, kind: str) -> int:
        """How often an event of this kind was told, of all venues and streams: `gap`, `book_void`.

        Raises ConfigError for a kind that `told` does not count.
        """
        of = [self.told, *(v.told for v in self.venues.values()), *(s.told for s in self.streams.values())]
        if not any(kind in told for told in of):
            check_counted(kind)
        return sum(sum(told.get(kind, {}).values()) for told in of)


def stats_of(runners: Mapping[str, Runner], hub: Hub, clock: Clock, lag: Histogram | None) -> Stats:
    """The state of a feed's parts; `lag` is that of its loop."""
    waiting: dict[str, str] = {}
    for runner in runners.values():
        waiting.update(runner.waiting())
    unix, mono = clock.unix_ns(), clock.mono_ns()
    streams = {s.subscription.name: _stream(s, hub, waiting, unix) for s in hub.streams}
    return Stats(
        ts=unix,
        venues={name: _venue(runner, hub, streams, mono) for name, runner in runners.items()},
        streams=streams,
        consumers=[_consumer(consumer) for consumer in hub.consumers],
        told=hub.outlet.tally.of_venue("", ()),
        left=dict(hub.left),
        handler_errors=hub.handler_errors,
        loop_lag=_latency(lag or Histogram()),
        spared=hub.streams.spared,
    )


def _stream(stream: Stream, hub: Hub, waiting: Mapping[str, str], unix: int) -> StreamStats:
    wanted, tally = stream.subscription, hub.outlet.tally
    return StreamStats(
        venue=stream.venue,
        symbol=stream.symbol,
        channel=wanted.channel,
        events=stream.events,
        event_age=unix - stream.ts_recv if stream.ts_recv else None,
        waiting=waiting.get(wanted.name, ""),
        stale=stream.stale,
        duplicates=stream.duplicates if isinstance(stream, TradeStream) else 0,
        told=tally.at(stream.venue, stream.symbol, wanted.channel),
        book=_book(stream, tally.scores) if isinstance(stream, BookStream) else None,
    )


def _book(stream: BookStream[Any], scores: Mapping[tuple[str, str], float]) -> BookState:
    view = stream.view
    score = scores.get((stream.venue, stream.symbol))
    return BookState(state=view.state, epoch=view.epoch, seq=view.seq, reason=view.reason, score=score)


def _venue(runner: Runner, hub: Hub, streams: Mapping[str, StreamStats], mono: int) -> VenueStats:
    venue: Venue = runner.venue
    meter, counts = runner.meter, runner.counts()
    own = [stream for stream in streams.values() if stream.venue == venue.name]
    return VenueStats(
        counts=counts,
        decoded=counts.decoded,
        told=hub.outlet.tally.of_venue(venue.name, streams.keys()),
        links=[_link(kept) for kept in runner.links],
        wanted=len(runner.wanted),
        waiting=len(runner.waiting()),
        event_age=min((s.event_age for s in own if s.event_age is not None), default=None),
        to_receive=_latency(meter.to_receive),
        to_emit=_latency(meter.to_emit),
        clock=_clock(meter, mono),
        budget={
            name: BudgetState(used=s.used, waiting=s.waiting, amount=s.amount, seconds=s.seconds)
            for name, s in runner.budget.spent(mono).items()
        },
        blocked=max(0, runner.budget.blocked_until - mono),
        waits=meter.waits,
        waited=meter.waited_ns,
        calls=meter.calls,
        failed_calls=meter.failed_calls,
    )


def _link(kept: Any) -> LinkState:
    session, streams = kept.driver.session, len(kept.subscriptions)
    if session is None:
        return LinkState(link=kept.link, up=False, streams=streams, failure=kept.failure)
    return LinkState(
        link=kept.link, up=True, streams=streams, frames=session.counts.frames, frame_age=kept.driver.frame_age
    )


def _clock(meter: Meter, mono: int) -> ClockDistance:
    least, trip = meter.offset.least(mono), meter.round_trip or None
    if least is None or trip is None:
        return ClockDistance(least=least, round_trip=trip)
    half = (trip + 1) // 2
    return ClockDistance(least=least, round_trip=trip, offset=least - half, uncertainty=half)


def _consumer(consumer: Consumer) -> ConsumerStats:
    size, lag = consumer.backlog()
    return ConsumerStats(
        name=consumer.name,
        policy=consumer.policy,
        queued=len(consumer),
        bytes=size,
        lag=lag,
        dropped=consumer.dropped,
        to_reader=_latency(consumer.to_reader),
    )


def _latency(found: Histogram) -> Latency:
    p50, p90, p99 = (found.percentile(share) for share in (50, 90, 99))
    return Latency(
        count=found.count,
        p50=p50,
        p90=p90,
        p99=p99,
        max=found.longest,
        total=found.total,
        early=found.early,
        buckets=found.buckets(),
    )
