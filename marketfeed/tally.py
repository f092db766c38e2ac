"""`Tally`: how often each event of life and loss was told, by where and why.

It is asked by what is rare alone: market data goes past it. Words of a venue make no reason, so that reasons are few.
"""

from collections.abc import Collection
from typing import get_args

from .errors import ConfigError, nearest
from .events import (
    EVENT_TYPES,
    LIFE_TYPES,
    Audit,
    BookVoid,
    Cause,
    Disconnected,
    Gap,
    Head,
    Lagged,
    RecorderStatus,
    Stale,
    VenueStatus,
    channel_of,
    kind,
)

OTHER = "other"
MOST = 20_000
"""Places that are told apart; what is beyond them is counted for its venue as a whole."""

Place = tuple[str, str, str]
"""(venue, symbol, channel); "" where an event names none."""
Told = dict[str, dict[str, int]]
"""Kind of event to reason to count."""

CAUSES: frozenset[str] = frozenset(get_args(Cause))
STATUSES = frozenset({"online", "maintenance", "cancel_only", "post_only", "limit_only", "shutdown", "error"})
LOST = {
    "closed by us": "closed by us",
    "replaced by": "replaced",
    "stood still": "stood still",
    "silent for": "silent",
    "fell silent": "silent",
    "resyncs of": "resyncs",
    "no data for": "no data",
    "no pong": "no pong",
    "cannot resolve": "name not resolved",
    "TLS": "TLS",
    "no answer": "no answer",
    "cannot reach": "not reached",
    "refused the connection": "refused",
}
"""What is in the words with which a connection is told lost, and the reason that it stands for."""
STALE = {
    "no acknowledgement": "no acknowledgement",
    "acknowledged, but": "no first data",
    "no data in": "no first data",
    "silent for": "silent",
    "not heard for": "silent",
}


class Tally:
    """`told` is by place; the score of a book's audits by (venue, symbol)."""

    __slots__ = ("scores", "told")

    def __init__(self) -> None:
        self.told: dict[Place, Told] = {}
        self.scores: dict[tuple[str, str], float] = {}

    def note(self, event: Head) -> None:
        """Count an event; a trade that was asked for again is data, though it comes this way."""
        if not isinstance(event, LIFE_TYPES):
            return
        place = (event.venue, event.symbol, channel_of(event))
        told = self.told.get(place)
        if told is None:
            if len(self.told) >= MOST:
                place = (event.venue, "", "")
            told = self.told.setdefault(place, {})
        if isinstance(event, Audit) and place[1]:
            self.scores[event.venue, event.symbol] = event.score
        reasons = told.setdefault(kind(event), {})
        reason = reason_of(event)
        reasons[reason] = reasons.get(reason, 0) + 1

    def of_venue(self, venue: str, streams: Collection[str]) -> Told:
        """What was told of a venue and of its streams that are not among these, as of one that was refused."""
        found: Told = {}
        for (name, symbol, channel), told in self.told.items():
            if name == venue and f"{name}:{symbol}:{channel}" not in streams:
                for name_of, reasons in told.items():
                    total = found.setdefault(name_of, {})
                    for reason, count in reasons.items():
                        total[reason] = total.get(reason, 0) + count
        return found

    def at(self, venue: str, symbol: str, channel: str) -> Told:
        """What was told of a stream, in a copy."""
        return {name: dict(reasons) for name, reasons in self.told.get((venue, symbol, channel), {}).items()}


def check_counted(name: str) -> None:
    """Raises ConfigError for what no `told` ever holds, so that 0 means that it did not happen."""
    counted = sorted(_name(one) for one in LIFE_TYPES if one is not Lagged)
    if name in counted:
        return
    if name == _name(Lagged):
        hint = ": `dropped` of each consumer"
    elif name in map(_name, EVENT_TYPES):
        hint = ": data is `events` of each stream"
    else:
        hint = nearest(str(name), counted) or f"; there are {', '.join(counted)}"
    raise ConfigError(f"{name!r} is not counted in stats().told{hint}")


def _name(kind: type[Head]) -> str:
    return str(kind.__struct_config__.tag)


def reason_of(event: Head) -> str:
    """Why it was told, in one of few words; "" for kinds that have one reason."""
    match event:
        case Gap():
            return event.cause
        case BookVoid():
            cause = event.reason.partition(":")[0]
            return cause if cause in CAUSES else OTHER
        case Disconnected():
            return _lost(event)
        case Stale():
            return _known(event.reason, STALE) or OTHER
        case VenueStatus():
            return event.status if event.status in STATUSES else OTHER
        case Audit():
            return event.verdict
        case RecorderStatus():
            return event.status
    return ""


def _lost(event: Disconnected) -> str:
    if event.status:
        return f"HTTP {event.status}"
    return _known(event.reason, LOST) or (f"close {event.code}" if event.code else OTHER)


def _known(text: str, reasons: dict[str, str]) -> str:
    return next((reason for words, reason in reasons.items() if words in text), "")
