"""A feed's figures for Prometheus: `serve(feed, 9100)`, or a `Collector` in a registry of one's own.

All of it is read from `feed.stats()` when it is asked for, and at no other time. Needs the extra `[metrics]`. What
there is stands in `METRICS`, a line or two each: the reason for its length.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from .errors import ConfigError, MissingExtra
from .feed import Feed
from .stats import Latency, Stats, StreamStats, VenueStats
from .text import escaped

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import Metric as Family

ANSWER_S = 2.0
"""How long the feed's loop has to answer; one that does not is told as `marketfeed_up` 0."""
REQUEST_S = 10.0
"""A client that says nothing for so long is left."""
POLL_S = 0.02
"""How often the server looks whether it is to end."""
BOUNDS_NS = (*(part * 10**power for power in range(4, 10) for part in (1, 2, 5)), 10**10)
"""Upper bounds of histograms: 10 us to 10 s."""

Row = tuple[tuple[str, ...], Any]
"""Values of the labels, and what is told under them."""


class Metric(NamedTuple):
    """One metric: its name without the prefix `marketfeed_`, and how it is read."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    rows: Callable[[Stats], Iterable[Row]]


def _venues(read: Callable[[VenueStats], Any]) -> Callable[[Stats], Iterable[Row]]:
    """One row a venue; none where there is nothing to tell."""
    return lambda stats: (((name,), value) for name, v in stats.venues.items() if (value := read(v)) is not None)


def _counted(*kinds: str, of: dict[str, str] | None = None) -> Callable[[Stats], Iterable[Row]]:
    """Fields of `Counts`, each under its name or the one that `of` gives it."""
    words = of or {}
    return lambda stats: (
        ((name, words.get(kind, kind)), getattr(v.counts, kind)) for name, v in stats.venues.items() for kind in kinds
    )


def _streams(read: Callable[[StreamStats], Any]) -> Callable[[Stats], Iterable[Row]]:
    return lambda stats: (
        ((s.venue, s.symbol, s.channel), value) for s in stats.streams.values() if (value := read(s)) is not None
    )


def _books(read: Callable[[Any], Any]) -> Callable[[Stats], Iterable[Row]]:
    return lambda stats: (
        ((s.venue, s.symbol), value)
        for s in stats.streams.values()
        if s.book is not None and (value := read(s.book)) is not None
    )


def _consumers(read: Callable[[Any], Any]) -> Callable[[Stats], Iterable[Row]]:
    return lambda stats: (((escaped(c.name),), read(c)) for c in stats.consumers)


def _quotas(read: Callable[[Any], Any]) -> Callable[[Stats], Iterable[Row]]:
    return lambda stats: (
        ((name, quota), read(state)) for name, v in stats.venues.items() for quota, state in v.budget.items()
    )


def _told(stats: Stats) -> Iterator[Row]:
    """Life and loss: of streams, of venues and their connections, of the feed."""
    places = [((s.venue, s.symbol, s.channel), s.told) for s in stats.streams.values()]
    places += [((name, "", ""), v.told) for name, v in stats.venues.items()]
    places += [(("", "", ""), stats.told)]
    for place, told in places:
        for kind, reasons in told.items():
            for reason, count in reasons.items():
                yield (*place, kind, reason), count


def _stages(stats: Stats) -> Iterator[Row]:
    for name, venue in stats.venues.items():
        yield (name, "venue_to_receive"), venue.to_receive
        yield (name, "receive_to_emit"), venue.to_emit


def _links(stats: Stats) -> Iterator[Row]:
    for name, venue in stats.venues.items():
        up = sum(link.up for link in venue.links)
        yield (name, "up"), up
        yield (name, "down"), len(venue.links) - up


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


VENUE = ("venue",)
STREAM = ("venue", "symbol", "channel")

METRICS = (
    Metric("up", "gauge", "Whether the feed's loop answered this request", (), lambda _: [((), 1)]),
    Metric("frames", "counter", "Frames received", VENUE, _venues(lambda v: v.counts.frames)),
    Metric("frames_decoded", "counter", "Frames that were data asked for", VENUE, _venues(lambda v: v.decoded)),
    Metric("frames_left_out", "counter", "Frames that were no data asked for: protocol talk, ignored, malformed",
           (*VENUE, "why"), _counted("control", "ignored", "malformed")),
    Metric("sequence_tests", "counter", "Numbers of book messages that joined, and that did not", (*VENUE, "result"),
           _counted("links_ok", "links_broken", of={"links_ok": "ok", "links_broken": "broken"})),
    Metric("checksum_tests", "counter", "Checksums of books", (*VENUE, "result"),
           _counted("checksums_ok", "checksums_bad", of={"checksums_ok": "ok", "checksums_bad": "bad"})),
    Metric("snapshot_joins", "counter", "REST snapshots joined", VENUE, _venues(lambda v: v.counts.joins)),
    Metric("updates_stale", "counter", "Old or repeated updates, without effect", VENUE,
           _venues(lambda v: v.counts.stale)),
    Metric("updates_unproven", "counter", "Updates left out because their book was not live", VENUE,
           _venues(lambda v: v.counts.unproven)),
    Metric("unknown_symbols", "counter", "Frames of markets that nobody knows", VENUE,
           _venues(lambda v: v.counts.unknown_symbols)),
    Metric("resyncs", "counter", "Books asked for again", VENUE, _venues(lambda v: v.counts.resyncs)),
    Metric("told", "counter", "Events of life and loss: disconnected, gap, book_void, stale, malformed and so on",
           (*STREAM, "kind", "reason"), _told),
    Metric("events", "counter", "Events of a stream since it was last asked for", STREAM, _streams(lambda s: s.events)),
    Metric("duplicates", "counter", "Trades that came twice", STREAM,
           _streams(lambda s: s.duplicates if s.channel == "trades" else None)),
    Metric("event_age_seconds", "gauge", "Since the last event of a stream", STREAM,
           _streams(lambda s: _seconds(s.event_age))),
    Metric("flowing", "gauge", "Whether a stream flows", STREAM, _streams(lambda s: int(not s.waiting))),
    Metric("stale", "gauge", "Whether a stream is told stale", STREAM, _streams(lambda s: int(s.stale))),
    Metric("book_live", "gauge", "Whether a book is proven", ("venue", "symbol"),
           _books(lambda b: int(b.state == "live"))),
    Metric("book_epoch", "gauge", "Epoch of a book: grows each time it is proven anew", ("venue", "symbol"),
           _books(lambda b: b.epoch)),
    Metric("book_truth_ratio", "gauge", "Share of a book's audits that found it equal", ("venue", "symbol"),
           _books(lambda b: b.score)),
    Metric("links", "gauge", "Connections", (*VENUE, "state"), _links),
    Metric("faults_spared", "counter", "Faults of one connection of a stream that another made good", (),
           lambda stats: [((), stats.spared)]),
    Metric("latency_seconds", "histogram", "How long a stage takes; the first has the clocks' distance in it",
           (*VENUE, "stage"), _stages),
    Metric("clock_offset_seconds", "gauge", "How far this clock is ahead of the venue's", VENUE,
           _venues(lambda v: _seconds(v.clock.offset))),
    Metric("clock_uncertainty_seconds", "gauge", "By how much that may be wrong", VENUE,
           _venues(lambda v: _seconds(v.clock.uncertainty))),
    Metric("budget_used", "gauge", "Spent of a quota in its window", (*VENUE, "quota"), _quotas(lambda q: q.used)),
    Metric("budget_limit", "gauge", "What a quota allows in its window", (*VENUE, "quota"),
           _quotas(lambda q: q.amount)),
    Metric("budget_waiting", "gauge", "What has its turn later", (*VENUE, "quota"), _quotas(lambda q: q.waiting)),
    Metric("budget_waits", "counter", "Turns that were waited for", VENUE, _venues(lambda v: v.waits)),
    Metric("budget_wait_seconds", "counter", "How long", VENUE, _venues(lambda v: _seconds(v.waited))),
    Metric("blocked_seconds", "gauge", "How long the venue still sends us away", VENUE,
           _venues(lambda v: _seconds(v.blocked))),
    Metric("rest_calls", "counter", "REST calls", VENUE, _venues(lambda v: v.calls)),
    Metric("rest_calls_failed", "counter", "REST calls without an answer", VENUE, _venues(lambda v: v.failed_calls)),
    Metric("consumer_queue_events", "gauge", "Events that wait for a reader", ("consumer",),
           _consumers(lambda c: c.queued)),
    Metric("consumer_queue_bytes", "gauge", "What they are reckoned at", ("consumer",), _consumers(lambda c: c.bytes)),
    Metric("consumer_lag_seconds", "gauge", "How long the oldest waits", ("consumer",),
           _consumers(lambda c: _seconds(c.lag))),
    Metric("consumer_dropped", "counter", "Events left out of a reader's queue", ("consumer",),
           _consumers(lambda c: c.dropped)),
    Metric("consumer_wait_seconds", "histogram", "From the queue to the reader", ("consumer",),
           _consumers(lambda c: c.to_reader)),
    Metric("consumers_left", "counter", "Readers that are gone: closed, failed, too slow", ("how",),
           lambda stats: (((how,), count) for how, count in stats.left.items())),
    Metric("loop_lag_seconds", "histogram", "How late a timer of the event loop came", (),
           lambda stats: [((), stats.loop_lag)]),
    Metric("handler_errors", "counter", "Handlers that raised", (), lambda stats: [((), stats.handler_errors)]),
)  # fmt: skip
"""Counters are served with `_total` after their name, histograms with `_bucket`, `_count` and `_sum`."""


class Collector:
    """What a registry of `prometheus_client` asks, from any thread. Make it in the loop that runs the feed.

    Raises MissingExtra, and ConfigError where no loop runs.
    """

    def __init__(self, feed: Feed) -> None:
        _client()
        self._feed = feed
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigError("metrics are of a running feed: make them inside its async with") from None
        self._thread = threading.get_ident()

    def collect(self) -> Iterator["Family"]:
        """All metrics, or `marketfeed_up` 0 alone where the loop does not answer in time."""
        stats = self._stats()
        if stats is None:
            yield _family(METRICS[0], [((), 0)])
            return
        for metric in METRICS:
            yield _family(metric, metric.rows(stats))

    def describe(self) -> Iterator["Family"]:
        """The same without values, so that a registry need not ask the feed for their names."""
        for metric in METRICS:
            yield _family(metric, ())

    def _stats(self) -> Stats | None:
        if threading.get_ident() == self._thread:
            return self._feed.stats()
        answer: Future[Stats] = Future()

        def look() -> None:
            try:
                answer.set_result(self._feed.stats())
            except Exception as exc:  # it belongs to whoever asked
                answer.set_exception(exc)

        try:
            self._loop.call_soon_threadsafe(look)
            return answer.result(ANSWER_S)
        except (TimeoutError, RuntimeError):  # it stands still, or is closed
            return None


class Server:
    """Serves `/metrics` from threads of its own until it is closed; `with` closes it too. `port` is the one it has."""

    def __init__(self, feed: Feed, port: int, host: str) -> None:
        client = _client()
        registry = client.CollectorRegistry()
        registry.register(Collector(feed))
        client.ProcessCollector(registry=registry)
        try:
            self._server = _listening(host, port, client.make_wsgi_app(registry))
        except (OSError, OverflowError) as exc:
            why = getattr(exc, "strerror", None) or str(exc)
            raise ConfigError(f"metrics cannot be served on {escaped(host)}:{port}: {why}") from exc
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="marketfeed metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def serve(feed: Feed, port: int, *, host: str = "127.0.0.1") -> Server:
    """Serve a running feed's figures at `http://host:port/metrics`; port 0 is any that is free.

    Whoever reaches the port can read them: they hold no keys, but say what is subscribed to. Raises MissingExtra, and
    ConfigError where the port cannot be had.
    """
    return Server(feed, port, host)


def _listening(host: str, port: int, app: Any) -> "WSGIServer":
    """A server with a thread for each request, that writes no log; it does not serve yet."""
    from socketserver import TCPServer, ThreadingMixIn  # noqa: PLC0415 # nobody else needs these
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server  # noqa: PLC0415

    class Threads(ThreadingMixIn, WSGIServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def server_bind(self) -> None:
            TCPServer.server_bind(self)  # not WSGIServer's, which waits for a resolver
            self.server_name, self.server_port = host, self.server_address[1]
            self.setup_environ()

    class Quiet(WSGIRequestHandler):
        timeout = REQUEST_S

        def log_message(self, format: str, *args: object) -> None: ...

    return make_server(host, port, app, Threads, Quiet)


def _client() -> Any:
    try:
        import prometheus_client  # noqa: PLC0415 # an extra
    except ImportError:
        raise MissingExtra("metrics for Prometheus", "metrics") from None
    return prometheus_client


def _family(metric: Metric, rows: Iterable[Row]) -> "Family":
    from prometheus_client import core  # noqa: PLC0415 # the same

    kinds: dict[str, Any] = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }
    family = kinds[metric.kind](f"marketfeed_{metric.name}", metric.help, labels=metric.labels)
    for labels, value in rows:
        if isinstance(value, Latency):
            family.add_metric(labels, _buckets(value), value.total / 1e9)
        else:
            family.add_metric(labels, value)
    found: Family = family
    return found


def _buckets(latency: Latency) -> list[tuple[str, float]]:
    """(upper bound in seconds, how many are not above it), as Prometheus wants it."""
    bounds = [(f"{bound / 1e9:g}", sum(n for ns, n in latency.buckets if ns <= bound)) for bound in BOUNDS_NS]
    return [*bounds, ("+Inf", latency.count)]
