"""Whether a venue has been reached, and what to say where none is."""

from collections.abc import Iterable

from .. import catalogue
from ..events import CHAIN_TYPES, MARKET_TYPES, Connected, Disconnected, Head, Instrument, Refused
from ..subscriptions import Subscription
from ..text import escaped
from . import _exit
from ._notices import blocked
from ._source import Source

REACH_S = 8.5
"""A command that has reached no venue by then ends; with its start and its end that is within 10 s."""
DATA = frozenset({Connected, *MARKET_TYPES, *CHAIN_TYPES})


class Reach:
    """Follows the events of a feed: `event` says when the first venue is reached, `check` raises what ends a command.

    It ends where nothing was reached in time, at once where nothing can be (every venue blocks this address, or sent it
    away for longer), and where all is refused. `command` is what a user would write, but for the names.
    """

    def __init__(self, wanted: Iterable[Subscription], source: Source, command: str = "tail") -> None:
        self._wanted = {s.name for s in wanted}
        self._source, self._command = source, command
        self._reached = False
        self._failures: dict[str, Disconnected] = {}
        self._refused: dict[str, str] = {}

    def event(self, event: Head) -> bool:
        """Note an event; True where it is the first that shows a venue to be reached. Raises Failed."""
        if type(event) in DATA:
            self._failures.pop(event.venue, None)
            first, self._reached = not self._reached, True
            return first
        if isinstance(event, Instrument):
            self._failures.pop(event.venue, None)
        elif isinstance(event, Disconnected):
            self._failures[event.venue] = event
            self._hopeless()
        elif isinstance(event, Refused):
            self._refused[f"{event.venue}:{event.symbol}:{event.channel}"] = event.reason
            if self._refused.keys() >= self._wanted:
                raise _exit.Failed(_exit.REFUSED, "; ".join(dict.fromkeys(map(escaped, self._refused.values()))))
        return False

    def check(self, seconds: float) -> None:
        """Raise Failed where no venue has been reached after so long."""
        if self._reached or seconds < REACH_S:
            return
        waiting = set(self._source.venues) - self._failures.keys()
        if waiting and seconds < 2 * REACH_S and self._answered(waiting):
            return
        raise _exit.Failed(_exit.UNREACHED, self._unreached())

    def ended(self) -> None:
        """Raise Failed where no venue has been reached, and the command ends now."""
        if not self._reached:
            raise _exit.Failed(_exit.UNREACHED, self._unreached())

    def _answered(self, venues: set[str]) -> bool:
        """Whether one of these has refused something: its connection is on the way."""
        return any(name.partition(":")[0] in venues for name in self._refused)

    def _hopeless(self) -> None:
        """Raise Failed where every venue blocks this address, or is to be left alone for longer than is waited."""
        if self._reached or not set(self._source.venues) <= self._failures.keys():
            return
        words = [blocked(event) for event in self._failures.values()]
        if all(words):
            raise _exit.Failed(_exit.UNREACHED, "; ".join(words))
        if all(event.retry_s > REACH_S for event in self._failures.values()):
            raise _exit.Failed(_exit.UNREACHED, self._unreached())

    def _unreached(self) -> str:
        why = []
        for venue in self._source.venues:
            failure = self._failures.get(venue)
            reason = "no answer" if failure is None else blocked(failure) or escaped(failure.reason)
            why.append(f"{venue}: {reason}")
        text = f"no venue could be reached ({'; '.join(why)})"
        if self._source.simulated:
            return text
        return f"{text}. Check the network, or try it without one: {self._example()} --sim"

    def _example(self) -> str:
        """The command that was run, with what it cannot do without."""
        symbols = dict.fromkeys(name.removeprefix(f"{catalogue.DEFAULT_VENUE}:") for name in self._source.names)
        return " ".join(("marketfeed", self._command, *symbols, *self._source.chains))
