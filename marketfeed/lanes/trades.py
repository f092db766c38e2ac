"""Trades and tickers of several connections: trades by id, each once; tickers of one lane, while it flows."""

from collections import deque
from typing import Any, Generic, NamedTuple

from ..events import Side
from ..number import N
from ..streams import TickerStream, TradeStream
from .lane import Lane, Merge

MAX_WAITING = 1_000
"""Trades that wait for those before them, from another connection."""
REMEMBERED = 1_000
"""Trades of which it is known what was told, to compare with what another connection says."""
OVERTAKE = 5
"""Tickers of another lane, and none of the one told for two looks, after which the other is told."""


class Held(NamedTuple, Generic[N]):
    """Arguments of `TradeSink.trade`."""

    price: N
    size: N
    side: Side
    number: int
    ts_event: int
    ts_recv: int


class TradeLane(Lane, TradeStream[N], Generic[N]):
    """Trades as one connection hears them. `next` is the id after the last one, 0 before the first.

    `old` says that another connection told of a new count of ids that has not come here yet.
    """

    def begin(self, merge: Any, seat: Any) -> None:
        """See `Lane`."""
        super().begin(merge, seat)
        self.next = self.newest_ts = self.first = 0
        self.old = False
        self.healers = merge.public.healers

    @property
    def public(self) -> TradeStream[N]:
        """See `TradeStream`."""
        stream: TradeStream[N] = self.merge.public
        return stream

    @property
    def in_step(self) -> bool:
        """See `Lane`; what it began with must have been reached by what is told."""
        return self.good and (not self.first or self.public.expected >= self.first)

    @property
    def reached(self) -> tuple[int, int]:
        """See `TradeStream`; another connection may be ahead."""
        return self.next, self.newest_ts

    def trade(self, price: N, size: N, side: Side, number: int, ts_event: int, ts_recv: int) -> None:
        """See `TradeStream`."""
        self.count += 1
        self.begun = True
        self.merge.trade(self, Held(price, size, side, number, ts_event, ts_recv))

    def seed(self, number: int, ts_recv: int) -> None:
        """See `TradeStream`; where another lane flows, it brings what came before."""
        self.count += 1
        self.begun = True
        self.next = max(self.next, number + 1)
        self.first = self.first or number + 1
        if not self.merge.covered(self):
            self.merge.give_up()
            self.public.seed(number, ts_recv)

    def heard(self) -> int:
        """See `Lane`."""
        return self.count


class TradeMerge(Merge[TradeStream[N]], Generic[N]):
    """Trades that come too early for their id wait until no connection can bring those before, or for a second."""

    lane = TradeLane

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._held: dict[int, Held[N]] = {}
        self._since = 0
        self._told: dict[int, tuple[N, N, Side]] = {}
        self._order: deque[int] = deque()

    def adopt(self, seat: Any) -> Any:
        """See `Merge`."""
        lane = super().adopt(seat)
        lane.next = self.public.expected
        lane.newest_ts = self.public.ts_event
        return lane

    def trade(self, lane: TradeLane[N], one: Held[N]) -> None:
        """A trade of one lane."""
        number = one.number
        if number < lane.next and 0 < lane.newest_ts < one.ts_event:
            self._restarted(lane, one)
            return
        if number >= lane.next:
            lane.next = number + 1
        lane.newest_ts = max(lane.newest_ts, one.ts_event)
        lane.first = lane.first or number
        if lane.old:
            self.public.duplicates += 1
            return
        expected = self.public.expected
        if number < expected or number in self._held:
            self._again(one)
        elif number > expected > 0:
            self._held[number] = one
        else:
            self._tell(one)
        if self._held:
            self._drain()
        self.settle()

    def _again(self, one: Held[N]) -> None:
        """An id that is known: a repeat, or one that was missing."""
        known = self._held.get(one.number)
        said = (known.price, known.size, known.side) if known else self._told.get(one.number)
        if said is not None and said != (one.price, one.size, one.side):
            self.joins.disagreements += 1
            detail = f"two connections tell trade {one.number} differently"
            self.public.gap("disagreement", one.ts_recv, from_seq=one.number, to_seq=one.number, detail=detail)
        if known:
            self.public.duplicates += 1
        else:
            self.public.trade(*one)

    def _restarted(self, lane: TradeLane[N], one: Held[N]) -> None:
        """The venue begins its ids anew; the first lane to say so tells it, the others follow."""
        lane.next, lane.newest_ts, lane.first = one.number + 1, one.ts_event, one.number
        if lane.old:
            lane.old = False
            self.trade(lane, one)
            return
        self.give_up()
        self._told.clear()
        self._order.clear()
        self._tell(one)
        if self.public.expected == one.number + 1:
            for other in self.lanes:
                other.old = other is not lane and other.next > 0

    def _tell(self, one: Held[N]) -> None:
        self._told[one.number] = (one.price, one.size, one.side)
        self._order.append(one.number)
        if len(self._order) > REMEMBERED:
            self._told.pop(self._order.popleft(), None)
        self.public.trade(*one)

    def _drain(self) -> None:
        """Tell what waits and has no cause to."""
        while self._held:
            first = min(self._held)
            waits = first > self.public.expected and any(0 < lane.next < first for lane in self.lanes)
            if waits and len(self._held) <= MAX_WAITING:
                return
            self._since = 0
            self._tell(self._held.pop(first))
        self._since = 0

    def give_up(self) -> None:
        """Tell all that waits; what is missing is missing."""
        for number in sorted(self._held):
            self._tell(self._held.pop(number))
        self._since = 0

    def lost(self, cause: Any, ts_recv: int, detail: str) -> None:
        """See `Merge`."""
        self.give_up()
        super().lost(cause, ts_recv, detail)

    def moved(self, lane: Any, ts_recv: int) -> None:
        """See `Merge`; what it would have brought is not waited for."""
        if lane not in self.lanes or not lane.begun:
            lane.next = 0
        self._drain()

    def rest(self) -> None:
        """See `Merge`."""
        self._held.clear()

    def at_rest(self, lane: TradeLane[N]) -> bool:
        """See `Merge`."""
        return not self._held and not lane.old

    def judge(self, mono_ns: int, ts_recv: int) -> None:
        """See `Merge`: a hole is waited for at least a second, at most two."""
        if self._held and not self._since:
            self._since = mono_ns
        elif self._held:
            self.give_up()
            self.settle()


class TickerLane(Lane, TickerStream[N], Generic[N]):
    """Tickers as one connection hears them; `newest` is one that was not told."""

    def begin(self, merge: Any, seat: Any) -> None:
        """See `Lane`."""
        super().begin(merge, seat)
        self.newest: tuple[int, int, dict[str, Any]] | None = None
        self.seen = 0

    def ticker(self, ts_event: int, ts_recv: int, **numbers: Any) -> None:
        """See `TickerStream`."""
        self.count += 1
        self.begun = True
        self.merge.ticker(self, ts_event, ts_recv, numbers)


class TickerMerge(Merge[TickerStream[N]], Generic[N]):
    """One lane is told, and another from where that one breaks off."""

    lane = TickerLane

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._told: TickerLane[N] | None = None
        self._ts_event = 0
        self._skip_to = 0
        """What was told (ts_event) when another lane was chosen: what is older there was told."""
        self._numbers: dict[str, Any] = {}

    def adopt(self, seat: Any) -> Any:
        """See `Merge`."""
        self._told = lane = super().adopt(seat)
        return lane

    def ticker(self, lane: TickerLane[N], ts_event: int, ts_recv: int, numbers: dict[str, Any]) -> None:
        """A ticker of one lane."""
        if self._told is None:
            self._told = lane
        if self._told is lane:
            self._tell(ts_event, ts_recv, numbers)
        else:
            lane.newest = (ts_event, ts_recv, numbers)
        self.settle()

    def _tell(self, ts_event: int, ts_recv: int, numbers: dict[str, Any]) -> None:
        if ts_event and self._skip_to:
            if ts_event < self._skip_to or (ts_event == self._skip_to and numbers == self._numbers):
                return
            self._skip_to = 0
        self._ts_event = ts_event or self._ts_event
        self._numbers = numbers
        self.public.ticker(ts_event, ts_recv, **numbers)

    def moved(self, lane: Any, ts_recv: int) -> None:
        """See `Merge`."""
        if lane is self._told:
            self._switch(next((other for other in self.lanes if other is not lane and other.good), None))

    def _switch(self, lane: TickerLane[N] | None) -> None:
        self._told, self._skip_to = lane, self._ts_event
        if lane is not None and lane.newest is not None:
            newest, lane.newest = lane.newest, None
            if newest[2] != self._numbers and self._is_newer(newest[0], newest[1]):
                self._tell(*newest)

    def _is_newer(self, ts_event: int, ts_recv: int) -> bool:
        """Whether this is newer than what was told: by the venue's clock where that tells them apart, else by ours."""
        if ts_event and self._ts_event and ts_event != self._ts_event:
            return ts_event > self._ts_event
        return ts_recv > self.public.ts_recv

    def rest(self) -> None:
        """See `Merge`; no lane takes over what another one leaves."""
        self._told, self._ts_event, self._skip_to, self._numbers = None, 0, 0, {}
        for lane in self.lanes:
            lane.newest = None

    def at_rest(self, lane: TickerLane[N]) -> bool:
        """See `Merge`."""
        return self._told in (lane, None) and not self._skip_to

    def judge(self, mono_ns: int, ts_recv: int) -> None:
        """See `Merge`: a lane that was silent for a look while another spoke is not told any more."""
        told = self._told
        for lane in self.lanes:
            if told is not None and lane is not told and told.count == told.seen and lane.count - lane.seen >= OVERTAKE:
                self.joins.spared += 1
                self._switch(lane)
                break
        for lane in self.lanes:
            lane.seen = lane.count
