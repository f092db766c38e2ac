"""`Lane` and `Merge`: what trades, tickers and books of several connections share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from ..events import Cause, Head, Refused, Subscribed
from ..outlet import Outlet, Stream
from ..pace import SECOND
from ..streams import Seat
from ..subscriptions import Subscription

LOOK_NS = SECOND
"""Between two looks at what only time can tell."""


class Joins(Protocol):
    """Who makes and ends merges; counts what the lanes of a feed did.

    `spared` are faults of one connection that another made good, `disagreements` numbers of which two said different
    things.
    """

    spared: int
    disagreements: int

    def end(self, subscription: Subscription, seat: Seat) -> None:
        """One connection is left and in step: it feeds the stream itself again."""


class Lane(Stream):
    """One connection's part in a stream; to its session it is the stream.

    `begun` says that it was heard of late, `acked` that the venue promised it. A lane that is good carries the stream:
    what another one loses is then no loss.
    """

    merge: Any

    def begin(self, merge: "Merge[Any]", seat: Seat) -> None:
        """Take part in this merge."""
        self.merge = merge
        self.seat = seat
        self.begun = self.acked = False
        self.count = 0

    @property
    def good(self) -> bool:
        """Whether the stream can be left to it."""
        return (self.begun or self.acked) and not self.stale

    @property
    def in_step(self) -> bool:
        """Whether it can be the only one from now on, with nothing lost between."""
        return self.good

    def heard(self) -> int:
        """See `Stream.heard`: of this connection."""
        return self.count

    def tell(self, kind: Callable[..., Head], ts_recv: int, **fields: Any) -> None:
        """See `Stream.tell`; what the venue says to one connection is told as ever."""
        if kind is Subscribed:
            self.acked = True
        elif kind is Refused:
            self.begun = self.acked = False
        self.merge.public.tell(kind, ts_recv, **fields)

    def doubt(self, reason: str, ts_recv: int) -> None:
        """See `Stream.doubt`; while another lane is good, the stream flows."""
        self.stale = True
        if self.merge.covered(self):
            self.merge.moved(self, ts_recv)
        else:
            self.merge.public.doubt(reason, ts_recv)

    def flows(self, ts_recv: int) -> None:
        """See `Stream.flows`."""
        self.stale = False
        self.merge.public.flows(ts_recv)

    def lost(self, cause: Cause, ts_recv: int, detail: str = "") -> None:
        """See `Stream.lost`; told where no other lane is good."""
        was_good = self.good
        self.begun = self.acked = False
        if not self.merge.covered(self):
            self.merge.lost(cause, ts_recv, detail)
        elif was_good:
            self.merge.joins.spared += 1
        self.merge.moved(self, ts_recv)

    def rest(self) -> None:
        """See `Stream.rest`; only its whole stream rests."""


S = TypeVar("S", bound=Stream)


class Merge(ABC, Generic[S]):
    """What makes one stream, `public`, of several lanes."""

    lane: type[Any]
    """Kind of its lanes."""

    def __init__(self, public: S, outlet: Outlet, joins: Joins) -> None:
        self.public = public
        self.joins = joins
        self.lanes: list[Any] = []
        self._outlet = outlet
        self._looked_at = 0

    def attach(self, seat: Seat) -> Any:
        """A lane for one more connection."""
        lane = self.lane(self.public.subscription, self._outlet)
        lane.begin(self, seat)
        self.lanes.append(lane)
        return lane

    def adopt(self, seat: Seat) -> Any:
        """A lane for the connection that has fed the stream alone so far."""
        lane = self.attach(seat)
        lane.begun = self.public.heard_again
        lane.acked = self.public.acked
        lane.stale = self.public.stale
        return lane

    def of(self, seat: Seat) -> Any:
        """The lane of a connection."""
        return next(lane for lane in self.lanes if lane.seat is seat)

    def covered(self, lane: Lane) -> bool:
        """Whether the stream flows without this lane."""
        return any(other.good for other in self.lanes if other is not lane)

    def leave(self, lane: Any, ts_recv: int) -> None:
        """A connection is gone, or feeds this stream no more."""
        self.lanes.remove(lane)
        self.moved(lane, ts_recv)
        self.settle()

    def settle(self) -> None:
        """Stand back where only one lane is left, and nothing waits."""
        if len(self.lanes) == 1 and self.at_rest(self.lanes[0]):
            self.joins.end(self.public.subscription, self.lanes[0].seat)

    @abstractmethod
    def at_rest(self, lane: Any) -> bool:
        """Whether this lane, the only one, can be the stream itself."""

    def rest(self) -> None:
        """Nobody wants the stream now: forget what waits."""

    def slept(self, reason: str, ts_recv: int) -> None:
        """The machine slept: no lane proves anything."""

    def lost(self, cause: Cause, ts_recv: int, detail: str) -> None:
        """No lane is known to feed the stream; one that was not heard yet is missed only where none stands."""
        if self.public.events or not any(lane.acked for lane in self.lanes):
            self.public.lost(cause, ts_recv, detail)

    def moved(self, lane: Any, ts_recv: int) -> None:
        """This lane is not to be waited for any more, for now or for good."""

    def look(self, mono_ns: int, ts_recv: int) -> None:
        """Judge what only time can tell."""
        if mono_ns - self._looked_at >= LOOK_NS:
            self._looked_at = mono_ns
            self.judge(mono_ns, ts_recv)

    def judge(self, mono_ns: int, ts_recv: int) -> None:
        """Called by `look` once a second."""
