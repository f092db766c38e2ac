"""Every error marketfeed raises, as one tree.

    MarketFeedError
    ├── ConfigError (also ValueError)    what was asked for cannot be: fix the call
    │   ├── UnknownVenue                 no such venue; names the nearest
    │   ├── UnknownSymbol                the venue does not list it; names the nearest
    │   └── MissingExtra                 an optional package is not installed
    ├── VenueError                       the venue said no, or has not delivered
    │   └── NotLive                      `Feed.live()` ran out of time; names what is missing
    ├── TransportError                   the network, TLS or the handshake failed; it is tried again
    ├── RecordingError                   a recording cannot be read
    ├── BookNotTrusted                   the book asked for is not proven right now
    └── ConsumerTooSlow                  a lossless consumer passed its bounds

Losses are not exceptions: they are events in the stream (`marketfeed.events`).
"""

from collections.abc import Iterable
from difflib import get_close_matches


class MarketFeedError(Exception):
    """Base of every error marketfeed raises."""


class ConfigError(MarketFeedError, ValueError):
    """What was asked for cannot be done; the message says what to change."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint "; did you mean ...?" with the nearest of `known`, or "" where nothing is near."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


class UnknownVenue(ConfigError):
    """No venue of that name is installed."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = sorted(known)
        hint = nearest(name, self.known) or f"; there are {', '.join(self.known)}"
        super().__init__(f"no venue is called {name!r}{hint}")


class UnknownSymbol(ConfigError):
    """The venue does not list that symbol."""

    def __init__(self, venue: str, symbol: str, known: Iterable[str]) -> None:
        self.venue = venue
        self.symbol = symbol
        super().__init__(f"{venue} has no {symbol}{nearest(symbol, known)}")


class MissingExtra(ConfigError):
    """An optional package is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an optional package: pip install 'marketfeed[{extra}]'")


class VenueError(MarketFeedError):
    """The venue refused, or did not deliver what it acknowledged."""


class NotLive(VenueError):
    """Not everything asked for is flowing.

    `waiting` maps each stream (`venue:symbol:channel`) to what it waits for.
    """

    def __init__(self, waiting: dict[str, str]) -> None:
        self.waiting = waiting
        super().__init__("not flowing: " + "; ".join(f"{name} ({why})" for name, why in waiting.items()))


class TransportError(MarketFeedError):
    """The network, TLS or the WebSocket handshake failed.

    `status` is the HTTP status of a refused handshake or reply, else 0; `retry_after_s` is what the venue
    asked for in seconds, else None; `fatal` marks what trying again at once cannot mend (bad certificate, 404).
    """

    def __init__(
        self, message: str, *, status: int = 0, retry_after_s: float | None = None, fatal: bool = False
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        self.fatal = fatal
        super().__init__(message)


class RecordingError(MarketFeedError):
    """A recording cannot be read; the message names the file and the line."""


class BookNotTrusted(MarketFeedError):
    """The book is not proven right now; `last_known` of the book shows the flagged rest."""

    def __init__(self, name: str, state: str, reason: str) -> None:
        self.name = name
        self.state = state
        self.reason = reason
        super().__init__(f"book {name} is {state}" + (f": {reason}" if reason else ""))


class ConsumerTooSlow(MarketFeedError):
    """A lossless consumer passed its bounds and was ended, so that it never misses events unknowingly."""
