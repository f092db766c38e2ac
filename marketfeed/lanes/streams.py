"""`LanedStreams`: streams that may be fed by several connections at a time."""

from typing import Any, Generic

from ..number import N
from ..outlet import Outlet, Stream
from ..streams import Seat, Streams
from ..subscriptions import Subscription
from .books import BookMerge
from .lane import Merge
from .trades import TickerMerge, TradeMerge

MERGES: dict[str, type[Merge[Any]]] = {"trades": TradeMerge, "ticker": TickerMerge, "book": BookMerge}
"""By channel; a chain needs none, since it knows its blocks by their hashes."""


class LanedStreams(Streams[N], Generic[N]):
    """The first connection of a stream feeds it itself; with a second one both get lanes, and what makes one of them.

    Everything happens within what a connection hears, so that a rerun of a recording does the same. See `lane.Joins`
    for the counters.
    """

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(outlet)
        self.spared = 0
        self.disagreements = 0
        self._seats: dict[str, list[Seat]] = {}
        self._merges: dict[str, Merge[Any]] = {}

    def join(self, subscription: Subscription, seat: Seat) -> Stream:
        """See `Streams`."""
        stream, name = self.get(subscription), subscription.name
        seats, merge = self._seats.setdefault(name, []), self._merges.get(name)
        if seat in seats:
            return merge.of(seat) if merge else stream
        seats.append(seat)
        kind = MERGES.get(subscription.channel)
        if kind is None or len(seats) == 1:
            return stream
        if merge is None:
            merge = self._merges[name] = kind(stream, self.outlet, self)
            first = seats[0]
            first.reseat(subscription, merge.adopt(first))
        lane: Stream = merge.attach(seat)
        return lane

    def leave(self, subscription: Subscription, seat: Seat, ts_recv: int) -> bool:
        """See `Streams`."""
        seats, merge = self._seats.get(subscription.name, []), self._merges.get(subscription.name)
        if seat in seats:
            seats.remove(seat)
            if merge is not None:
                merge.leave(merge.of(seat), ts_recv)
                if not seats:
                    del self._merges[subscription.name]
        return not seats

    def end(self, subscription: Subscription, seat: Seat) -> None:
        """See `Joins`."""
        merge = self._merges.pop(subscription.name)
        seat.reseat(subscription, merge.public)

    def drop(self, subscription: Subscription) -> None:
        """See `Streams`."""
        merge = self._merges.get(subscription.name)
        if merge is not None:
            merge.rest()
        super().drop(subscription)

    def slept(self, reason: str, ts_recv: int) -> None:
        """See `Streams`."""
        for merge in list(self._merges.values()):
            merge.slept(reason, ts_recv)

    def look(self, mono_ns: int, ts_recv: int) -> None:
        """See `Streams`."""
        for merge in list(self._merges.values()):
            merge.look(mono_ns, ts_recv)

    def in_step(self, seat: Seat) -> bool:
        """Whether each stream of this connection can be left to it, with nothing lost between."""
        return all(merge.of(seat).in_step for name, merge in self._merges.items() if seat in self._seats[name])
