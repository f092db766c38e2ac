"""`Seen`: what every replay knows of the events it has told: kinds, gaps, the digest, and the books as they stand."""

from abc import abstractmethod
from collections import Counter
from typing import Any

from ..counts import Counts
from ..events import BookDelta, BookSnapshot, BookVoid, Gap, Head, kind
from ..trusted_book import TrustedBook
from .digest import Digest

BOOK_TYPES = frozenset({BookDelta, BookSnapshot, BookVoid})


class Seen:
    """Grows with each event that is noted. A subclass has the `counts` of its sessions."""

    @property
    @abstractmethod
    def counts(self) -> Counts:
        """Counters of all sessions so far."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.gaps = 0
        self.digest = Digest()
        self._books: dict[str, TrustedBook[Any]] = {}

    def note(self, event: Head) -> None:
        """Take in an event."""
        self.kinds[kind(event)] += 1
        self.gaps += type(event) is Gap
        self.digest.add(event)
        if type(event) in BOOK_TYPES:
            self.book(event).apply(event)

    def book(self, event: Head) -> TrustedBook[Any]:
        """The book of an event's market as of the event in hand: the two move together."""
        name = f"{event.venue}:{event.symbol}:book"
        found = self._books.get(name)
        if found is None:
            found = self._books[name] = TrustedBook(name)
        return found

    def stats(self) -> dict[str, Any]:
        """What has been seen so far, under the names of `replay --stats --json`."""
        counts = self.counts
        return {
            "frames": counts.frames,
            "decoded": counts.decoded,
            "control": counts.control,
            "ignored": counts.ignored,
            "malformed": counts.malformed,
            "events": dict(sorted(self.kinds.items())),
            "links_ok": counts.links_ok,
            "links_broken": counts.links_broken,
            "joins": counts.joins,
            "checksums_ok": counts.checksums_ok,
            "checksums_bad": counts.checksums_bad,
            "gaps": self.gaps,
            "stale": counts.stale,
            "unproven": counts.unproven,
            "digest": self.digest.hexdigest(),
        }
