"""Books of several connections.

Where the venue numbers a book, the connections are merged by number: the first that brings the next change is told, and
one is left out only when its number was told. A lane that begins later takes part from where its numbers overlap with
those told; then its book is held against the one shown, and must be the same. Elsewhere one lane is told, the others
keep proven books and stand by, and another takes over with a new epoch.
"""

from collections.abc import Sequence
from typing import Any, Generic

from ..events import Cause
from ..number import N
from ..streams import BookStream
from .book_lane import AHEAD, BookLane, Change
from .lane import Merge
from .union import Edges, Levels, unite

REMEMBERED = 1_024
"""Changes of which it is known what was told, to compare with what another connection says."""
OVERTAKE = 5
"""Changes of another lane, and none of the one told for two looks, after which the other is told."""


class BookMerge(Merge[BookStream[N]], Generic[N]):
    """See the module's docstring. While the book shown is live, `_told` is the lane that told its newest change."""

    lane = BookLane

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._told: BookLane[N] | None = None
        self._changes: dict[int, Change[N]] = {}
        self._edges: Edges = (None, None)
        """How far the book shown is known."""
        self._learned: tuple[Levels, Levels] = ((), ())
        """Levels that it has got and that the next change tells."""

    def adopt(self, seat: Any) -> Any:
        """See `Merge`."""
        lane, public = super().adopt(seat), self.public
        if public.view.live:
            self._told = lane
            self._learned = public.source.hurry()
            self._edges = public.source.edges
            lane.take_over(public)
        return lane

    def opened(self, lane: BookLane[N]) -> None:
        """A lane has a proven book."""
        others = [other for other in self.lanes if other is not lane and other.joined]
        if not self.public.view.live or not others or (not lane.numbered and self._told is lane):
            self._show(lane)
        elif lane.numbered:
            self._overlap(lane)
        else:
            lane.join()
        self.settle()

    def changed(self, lane: BookLane[N], change: Change[N]) -> None:
        """A lane's book has changed."""
        public = self.public
        if not lane.numbered:
            if lane is self._told:
                public.changed(0, tuple(change.bids), tuple(change.asks), change.ts_event, change.ts_recv)
        elif not lane.joined:
            if len(lane.ahead) == AHEAD:
                lane.since = lane.ahead[0].seq
            lane.ahead.append(change)
            self._overlap(lane)
        elif change.seq > public.view.seq:
            if not lane.same:
                self._unite(lane, [change])
            if lane.proven:
                self._tell(lane, change)
                for other in self.lanes:
                    if other.proven and not other.joined:
                        self._overlap(other)
        else:
            self._compare(lane, change)
        if len(self.lanes) == 1:
            self.settle()

    def void(self, lane: BookLane[N], cause: Cause, reason: str, ts_recv: int, first: int, last: int) -> bool:
        """A lane's book is not proven any more: another one's goes on, or is told anew, or there is none.

        Returns whether nothing was lost by that.
        """
        public = self.public
        proven = [other for other in self.lanes if other is not lane and other.proven]
        joined = [other for other in proven if other.joined]
        if not public.view.live:
            return False
        if joined:
            if not lane.numbered and lane is self._told:
                self._show(joined[0])
            return True
        public.void(public.source, cause, reason, ts_recv, first, last)
        if proven:
            self._show(max(proven, key=lambda other: other.seq))
        return False

    def slept(self, reason: str, ts_recv: int) -> None:
        """See `Merge`: no lane takes over from another."""
        self.public.void(self.public.source, "link lost", reason, ts_recv)
        for lane in self.lanes:
            lane.distrust(reason)

    def _show(self, lane: BookLane[N]) -> None:
        """Begin an epoch with the book of this lane."""
        self._changes.clear()
        self._told = lane
        source = lane.source
        self._learned, self._edges = ((), ()), source.edges
        seq = lane.seq if lane.numbered else 0
        self.public.opened(source, source.book, seq, lane.depth, lane.view.ts_event, lane.ts_recv)
        lane.ahead.clear()
        lane.join()
        lane.same = True
        for other in self.lanes:
            if other is not lane and other.proven and other.numbered:
                self._overlap(other)

    def _overlap(self, lane: BookLane[N]) -> None:
        """Let a lane take part where its numbers overlap with those told; what it is ahead is told then."""
        seq = self.public.view.seq
        if lane.since > seq:
            return
        ahead = [change for change in lane.ahead if change.seq > seq]
        lane.ahead.clear()
        lane.join()
        if ahead or lane.seq == seq:
            self._unite(lane, ahead)
        for change in ahead:
            if lane.proven:
                self._tell(lane, change)

    def _tell(self, lane: BookLane[N], change: Change[N]) -> None:
        public = self.public
        self._told = lane
        public.led_by(lane.source)
        public.view.depth = lane.view.depth
        learned, self._learned = self._learned, ((), ())
        bids, asks = (*learned[0], *change.bids), (*learned[1], *change.asks)
        public.changed(change.seq, bids, asks, change.ts_event, change.ts_recv)
        self._changes[change.seq] = change
        if len(self._changes) > REMEMBERED:
            del self._changes[next(iter(self._changes))]

    def _compare(self, lane: BookLane[N], change: Change[N]) -> None:
        """A change that was told: did the other connection say the same?"""
        told = self._changes.get(change.seq)
        if told is not None and told.before == change.before and not _same(told, change):
            self._disagree(change.seq, change.ts_recv)
        elif not lane.same and change.seq == self.public.view.seq:
            self._unite(lane, [])

    def _unite(self, lane: BookLane[N], ahead: Sequence[Change[N]]) -> None:
        """Hold a lane's book against the one shown, moved on by what is ahead; from here on they are the same.

        What lies beyond the edges of one it learns from the other.
        """
        source = lane.source
        changes = ((change.bids, change.asks) for change in ahead)
        union = unite(source.book, source.edges, self.public.view.book, self._edges, changes)
        if union is None:
            self._disagree(lane.seq, lane.ts_recv)
            return
        lane.same = True
        source.take(*union.first, source.edges)
        self.spread(*union.second, union.edges)

    def spread(self, bids: Levels, asks: Levels, edges: Edges) -> None:
        """Let every book have levels that one of them has learned; they are told with the next change."""
        self._edges = edges
        self._learned = (*self._learned[0], *bids), (*self._learned[1], *asks)
        for lane in self.lanes:
            if lane.same:
                lane.source.take(bids, asks, edges)

    def _disagree(self, seq: int, ts_recv: int) -> None:
        """Two connections say different things of one number: nobody knows which is right, and all begin anew."""
        self.joins.disagreements += 1
        reason = f"two connections tell update {seq} differently"
        self.public.void(self.public.source, "disagreement", reason, ts_recv, seq, seq)
        for lane in self.lanes:
            if lane.proven:
                lane.source.doubt("disagreement", reason, ts_recv)

    def moved(self, lane: Any, ts_recv: int) -> None:
        """See `Merge`; a lane that is gone proves nothing."""
        if lane not in self.lanes and lane.proven:
            lane.distrust("closed")
            self.void(lane, "link lost", "closed by us", ts_recv, 0, 0)
        elif lane.stale and not lane.numbered and lane is self._told:
            self._take_over([other for other in self.lanes if other is not lane and other.good])

    def _take_over(self, others: Sequence[BookLane[N]]) -> None:
        if others:
            self.joins.spared += 1
            self._show(others[0])

    def at_rest(self, lane: BookLane[N]) -> bool:
        """See `Merge`; the book shown must be the lane's own."""
        public = self.public
        if not lane.proven:
            return not public.view.live
        if not lane.joined or (lane.numbered and not (lane.same and lane.seq == public.view.seq)):
            return False
        public.led_by(lane.source)
        return True

    def judge(self, mono_ns: int, ts_recv: int) -> None:
        """See `Merge`: a lane that was silent for a look while another spoke is not told any more."""
        told = self._told
        if told is not None and self.public.view.live and not told.numbered and told.count == told.seen:
            self._take_over([o for o in self.lanes if o is not told and o.good and o.count - o.seen >= OVERTAKE])
        for lane in self.lanes:
            lane.seen = lane.count


def _same(one: Change[Any], other: Change[Any]) -> bool:
    """Whether two changes say the same; in which order does not matter."""
    if one.bids == other.bids and one.asks == other.asks:
        return True
    return dict(one.bids) == dict(other.bids) and dict(one.asks) == dict(other.asks)
