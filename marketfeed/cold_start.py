"""What a start from nothing costs at one venue: connections, frames, REST weight, and how long its limits make it last.

The very budget, quotas and frames of a running feed are gone through in the time that they would take. What a venue
needs to answer comes on top.
"""

from collections.abc import Sequence
from typing import cast

from msgspec import Struct

from .events import Head, Instrument
from .outlet import Outlet
from .pace import SECOND, Budget, Quota
from .session import Session
from .streams import Streams
from .subscriptions import Channel, Subscription
from .venues._spec import Context, Decoder, LinkPlan, Pace, Polls, RestBooks, Venue


class ColdStart(Struct, frozen=True, kw_only=True):
    """Of one venue. `calls` and `weight` are of REST, and at most so much.

    `allowed` is what `Pace.rest` lets an address spend, (weight, seconds), and `peak` the most within such a window.
    `seconds` is when the last stream can be live by the venue's limits alone.
    """

    venue: str
    streams: int
    books: int
    connections: int
    frames: int
    calls: int
    weight: int
    peak: int
    allowed: tuple[int, float]
    seconds: float


def books(venue: Venue, count: int, pace: Pace | None = None) -> ColdStart:
    """The plan for so many books, whichever they are."""
    names = (f"M{number}-USDT" for number in range(count))
    return plan(venue, [Subscription(venue.name, name, "book") for name in names], pace)


def plan(venue: Venue, wanted: Sequence[Subscription], pace: Pace | None = None, links: int = 1) -> ColdStart:
    """The plan for these streams of one venue, with so many links each, and another pace than its own where given."""
    steps = _Steps(venue, pace or venue.pace)
    steps.learn(sorted({s.symbol for s in wanted if s.channel != "chain"}))
    unique = {s.name: s for s in wanted}
    for link in venue.plan(venue.endpoints, list(unique.values()), steps.pace):
        for _ in range(links if link.url and not venue.coins else 1):
            steps.open(link)
    steps.fetch_books()
    return ColdStart(
        venue=venue.name,
        streams=len(unique),
        books=sum(s.channel == "book" for s in unique.values()),
        connections=steps.connections,
        frames=steps.frames,
        calls=len(steps.spent),
        weight=sum(weight for _, weight in steps.spent),
        peak=_most(steps.spent, int(steps.pace.rest[1] * SECOND)),
        allowed=steps.pace.rest,
        seconds=steps.last / SECOND,
    )


class _Steps:
    """A start, step by step, in nanoseconds from its beginning."""

    def __init__(self, venue: Venue, pace: Pace) -> None:
        self.pace = pace
        self.connections = self.frames = self.last = 0
        self.spent: list[tuple[int, int]] = []
        """(when, weight) of each call."""
        self._learnt = 0
        self._venue = venue
        self._budget = Budget(pace)
        self._frames = Quota(pace.frames_per_s, 1.0)
        self._asked: list[tuple[int, int]] = []
        """(when, weight) of the snapshots that will be asked for."""

    def learn(self, symbols: Sequence[str]) -> None:
        """Ask for the instruments: those alone, and where that is refused all of them."""
        for request in self._venue.instruments_requests(symbols) if symbols else ():
            self._call(request.weight, self.last)
        self._learnt = self.last

    def open(self, link: LinkPlan) -> None:
        """Connect, subscribe, and say when snapshots are asked for."""
        at = self._budget.connect_at(self._learnt)
        self.last = max(self.last, at)
        if not self.pace.frames_by_address:
            self._frames = Quota(self.pace.frames_per_s, 1.0)
        decoder = _decoder(self._venue, link)
        if not link.url:
            talk = cast(Polls, decoder)
            self._asked += [(at, talk.poll(s.symbol).weight) for s in link.subscriptions]
            return
        self.connections += 1
        groups: dict[Channel, list[tuple[Subscription, str]]] = {}
        for subscription in link.subscriptions:
            groups.setdefault(subscription.channel, []).append((subscription, subscription.symbol))
        step, sent = self.pace.symbols_per_frame, at
        for channel, same in groups.items():
            for part in (same[i : i + step] for i in range(0, len(same), step)):
                for _ in decoder.subscribe(part):
                    sent = self._frames.reserve(1, at)
                    self.frames += 1
                if channel == "book" and self._venue.book.snapshot == "rest":
                    weight = cast(RestBooks, decoder).book_request(part[0][1]).weight
                    self._asked += [(sent, weight)] * len(part)
        self.last = max(self.last, sent)

    def fetch_books(self) -> None:
        """Ask for the snapshots, in the order in which their books begin."""
        for at, weight in sorted(self._asked):
            self._call(weight, at)

    def _call(self, weight: int, now: int) -> None:
        at = self._budget.fetch_at(weight, now)
        self.spent.append((at, weight))
        self.last = max(self.last, at)


def _decoder(venue: Venue, link: LinkPlan) -> Decoder:
    """One that nobody listens to; it takes canonical names for the venue's own, which are about as long."""
    told: list[Head] = []
    known = {
        s.symbol: Instrument(venue=venue.name, symbol=s.symbol, native=s.symbol, base="", quote="")
        for s in link.subscriptions
    }
    session = Session(venue, link, Streams(Outlet(told.append)), known, link="plan")
    return venue.decoder(Context(port=session, exact=False, instruments=known))


def _most(spent: Sequence[tuple[int, int]], window: int) -> int:
    """The most that is spent in any window."""
    most = inside = first = 0
    for at, weight in spent:
        inside += weight
        while spent[first][0] <= at - window:
            inside -= spent[first][1]
            first += 1
        most = max(most, inside)
    return most
