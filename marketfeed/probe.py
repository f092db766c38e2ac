"""`Probes`: whether a market whose trades are silent is quiet: REST is asked for the trades after the last one told.

For streams of connections that have no book to compare (T04, T05).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic

from msgspec import Struct

from .audit import MAX_AGE_NS, Verdict
from .commands import Fetch
from .fetches import Fetches
from .number import N
from .streams import TradeStream
from .venues._spec import History, Request

ASKED = 100
"""Trades asked for; one is enough."""


class Asked(Struct):
    """How far the stream had come, since when an answer is awaited (mono_ns), and who wants to know."""

    reached: tuple[int, int]
    since: int
    told: list[Callable[[Verdict], None]] = []


class Probes(Generic[N]):
    """Of one connection, by native name. `soon` has the session ticked."""

    def __init__(
        self,
        history: History,
        streams: Mapping[str, TradeStream[N]],
        fetch: Callable[[Fetch], None],
        tokens: Iterator[int],
        soon: Callable[[], None],
    ) -> None:
        self._history = history
        self._streams = streams
        self._soon = soon
        self._asked: dict[str, Asked] = {}
        self._fetches = Fetches(self._request, fetch, tokens, background=True)

    def probe(self, native: str, told: Callable[[Verdict], None], mono_ns: int) -> bool:
        """Ask now, and tell: "equal" where REST knows no trade more, "unclear" where it does not answer in time.

        False where the stream has no ids that follow one another, or none yet.
        """
        stream = self._streams.get(native)
        if stream is None or not stream.reached[0]:
            return False
        self._asked.setdefault(native, Asked(stream.reached, mono_ns)).told.append(told)
        self._fetches.forget(native)
        self._fetches.ask(native, mono_ns)
        self._soon()
        return True

    def forget(self, native: str) -> None:
        """Nobody will say: its stream is wanted no more, or the answer took too long."""
        self._fetches.forget(native)
        if native in self._asked:
            self._tell(native, "unclear")

    def tick(self, mono_ns: int) -> int | None:
        """End what has waited for too long; returns when the next is due, or None."""
        for native in [native for native, asked in self._asked.items() if mono_ns - asked.since > MAX_AGE_NS]:
            self.forget(native)
        return min((asked.since + MAX_AGE_NS + 1 for asked in self._asked.values()), default=None)

    def on_reply(self, token: int, status: int, body: bytes) -> bool:
        """An answer; returns whether it was one of these. Raises ValueError where a page cannot be read."""
        native = self._fetches.answered(token)
        if native is None:
            return False
        self._fetches.served(native)
        verdict: Verdict = "unclear"
        try:
            if status == 200:
                numbers = [trade.number for trade in self._history.past_trades(native, body)]
                verdict = "differs" if max(numbers, default=0) >= self._asked[native].reached[0] else "equal"
        finally:
            self._tell(native, verdict)
        return True

    def on_failure(self, token: int) -> bool:
        """A fetch failed; returns whether it was one of these."""
        return self.on_reply(token, 0, b"")

    def _tell(self, native: str, verdict: Verdict) -> None:
        for told in self._asked.pop(native).told:
            told(verdict)

    def _request(self, native: str) -> Request:
        first, after_ns = self._asked[native].reached
        return self._history.past_request(native, first, first + ASKED - 1, after_ns, 0)
