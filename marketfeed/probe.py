"""`Probes`: whether a market whose trades are silent is quiet: REST is asked for the trades after the last one told.

For streams of connections that have no book to compare (T04, T05).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic

from .audit import Verdict
from .commands import Fetch
from .fetches import Fetches
from .number import N
from .streams import TradeStream
from .venues._spec import History, Request

ASKED = 100
"""Trades asked for; one is enough."""


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
        self._asked: dict[str, tuple[tuple[int, int], list[Callable[[Verdict], None]]]] = {}
        """How far the stream had come, and who wants to know."""
        self._fetches = Fetches(self._request, fetch, tokens, background=True)

    def probe(self, native: str, told: Callable[[Verdict], None]) -> bool:
        """Ask now, and tell: "equal" where REST knows no trade more, "unclear" where it does not answer.

        False where the stream has no ids that follow one another, or none yet.
        """
        stream = self._streams.get(native)
        if stream is None or not stream.reached[0]:
            return False
        _, waiting = self._asked.setdefault(native, (stream.reached, []))
        waiting.append(told)
        self._fetches.forget(native)
        self._fetches.ask(native, 0)
        self._soon()
        return True

    def on_reply(self, token: int, status: int, body: bytes) -> bool:
        """An answer; returns whether it was one of these. Raises ValueError where a page cannot be read."""
        native = self._fetches.answered(token)
        if native is None:
            return False
        self._fetches.served(native)
        verdict: Verdict = "unclear"
        (first, _), waiting = self._asked.pop(native)
        try:
            if status == 200:
                numbers = [trade.number for trade in self._history.past_trades(native, body)]
                verdict = "differs" if max(numbers, default=0) >= first else "equal"
        finally:
            for told in waiting:
                told(verdict)
        return True

    def on_failure(self, token: int) -> bool:
        """A fetch failed; returns whether it was one of these."""
        return self.on_reply(token, 0, b"")

    def _request(self, native: str) -> Request:
        first, after_ns = self._asked[native][0]
        return self._history.past_request(native, first, first + ASKED - 1, after_ns, 0)
