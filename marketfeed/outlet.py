"""Where events of streams leave, and what all streams share."""

from collections.abc import Callable
from itertools import count
from typing import Any

from .events import Cause, Gap, Head, Recovered, Stale, Subscribed, Unsubscribed
from .subscriptions import Subscription
from .tally import Tally


class Outlet:
    """Where all events of a feed leave: `emit` takes one, `number()` gives the next `seq_local`.

    `tell` also counts it in `tally`: for events of life and loss, which are rare.
    """

    __slots__ = ("emit", "number", "tally")

    def __init__(self, emit: Callable[[Head], None]) -> None:
        self.emit = emit
        self.number: Callable[[], int] = count(1).__next__
        self.tally = Tally()

    def tell(self, event: Head) -> None:
        """Emit an event of life or loss."""
        self.tally.note(event)
        self.emit(event)


class Stream:
    """What all streams share. `events` counts what was told; `ts_recv` is the receive time of the last.

    A stream begins with its first event or its first acknowledgement (`acked_at`, Unix ns, 0 before): what is missing
    from then on is told. `acked` says that it was acknowledged since it last broke off. `stale` outlives connections:
    who was told `Stale` is told `Recovered`, whichever connection brings the data.
    """

    __slots__ = (
        "_emit",
        "_heard_before",
        "_number",
        "_tell",
        "acked",
        "acked_at",
        "events",
        "stale",
        "subscription",
        "symbol",
        "ts_recv",
        "venue",
    )

    def __init__(self, subscription: Subscription, outlet: Outlet) -> None:
        self.subscription = subscription
        self.venue = subscription.venue
        self.symbol = subscription.symbol
        self.events = 0
        self.ts_recv = 0
        self.stale = False
        self.acked = False
        self.acked_at = 0
        self._heard_before = 0
        self._emit = outlet.emit
        self._tell = outlet.tell
        self._number = outlet.number

    def tell(self, kind: Callable[..., Head], ts_recv: int, **fields: Any) -> None:
        """Emit an event of this stream's market; for what is rare."""
        if kind is Subscribed:
            self.acked = True
            self.acked_at = self.acked_at or ts_recv
        self._tell(kind(venue=self.venue, symbol=self.symbol, ts_recv=ts_recv, seq_local=self._number(), **fields))

    def gap(self, cause: Cause, ts_recv: int, **fields: Any) -> None:
        """Say that something of this stream is missing."""
        since = self.ts_recv if self.events else self.acked_at
        self.tell(Gap, ts_recv, channel=self.subscription.channel, cause=cause, ts_from=since, ts_to=ts_recv, **fields)

    def doubt(self, reason: str, ts_recv: int) -> None:
        """It does not flow as it should; told once, until it flows again."""
        if not self.stale:
            self.stale = True
            self.tell(Stale, ts_recv, channel=self.subscription.channel, reason=reason)

    def flows(self, ts_recv: int) -> None:
        """It does; told where it was in doubt."""
        if self.stale:
            self.stale = False
            self.tell(Recovered, ts_recv, channel=self.subscription.channel)

    def heard(self) -> int:
        """Grows with whatever proves that the stream flows."""
        return self.events

    @property
    def heard_again(self) -> bool:
        """Whether it was heard since it last broke off."""
        return self.heard() > self._heard_before

    def unwanted(self, ts_recv: int) -> None:
        """Tell that nobody wants this stream any more, if it had begun; `rest` follows."""
        if self.events or self.acked_at:
            self.tell(Unsubscribed, ts_recv, channel=self.subscription.channel)

    def rest(self) -> None:
        """Nobody wants this stream now: what comes after a later subscription is no continuation."""
        self._break_off()
        self.events = self.acked_at = 0
        self.stale = False

    def lost(self, cause: Cause, ts_recv: int, detail: str = "") -> None:
        """What feeds this stream broke off; says so if the stream had begun."""
        if self.events or self.acked_at:
            self.gap(cause, ts_recv, detail=detail)
        self._break_off()

    def _break_off(self) -> None:
        self.acked = False
        self._heard_before = self.heard()
