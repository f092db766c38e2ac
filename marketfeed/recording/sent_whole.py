"""Books that a recorder has sent to it whole, and as of when they are recorded."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import structs

from ..events import BookSnapshot, Event, RecorderStatus

Market = tuple[str, str]
"""(venue, symbol)"""


class SentWhole:
    """Each is recorded as of the word that has it sent: that recording has started, or that events were left out.

    It bears the time of its newest change, which was not recorded: readers would take it for one that has changed
    unseen since.
    """

    def __init__(self) -> None:
        self._asked: list[tuple[int, set[Market]]] = []
        """(time of the word, the books that follow it), oldest first"""
        self._since: dict[Market, int] = {}
        self._begun = False

    def ask(self, markets: Iterable[Market], at: int) -> None:
        """These come after the word of this time that something is missing."""
        self._asked.append((at, set(markets)))

    def dated(self, events: list[Event[Any]]) -> list[Event[Any]]:
        """The events, those books with the time of their word."""
        if not self._begun:
            self._begun = True
            began = next((event.ts_recv for event in events if isinstance(event, RecorderStatus)), 0)
            self._since = {(e.venue, e.symbol): began for e in events if isinstance(e, BookSnapshot)}
        return list(self._dated(events)) if self._asked or self._since else events

    def _dated(self, events: list[Event[Any]]) -> Iterator[Event[Any]]:
        for event in events:
            if isinstance(event, BookSnapshot):
                since = self._since.pop((event.venue, event.symbol), 0)
                yield structs.replace(event, ts_recv=since) if event.ts_recv < since else event
                continue
            if isinstance(event, RecorderStatus) and event.status in {"lagged", "resumed"}:
                found = next((i for i, (at, _) in enumerate(self._asked) if at == event.ts_recv), None)
                if found is not None:  # else it is another's word; those before it were left out, and asked anew
                    self._since.update(dict.fromkeys(self._asked[found][1], event.ts_recv))
                    del self._asked[: found + 1]
            yield event
