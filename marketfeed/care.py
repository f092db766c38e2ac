"""`Care`: what a session asks over REST beside the conversation: what it missed, and how what it has compares."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, cast

from .audit import Auditing, Verdict
from .backfill import Backfills
from .commands import Fetch
from .number import N
from .probe import Probes
from .streams import TradeStream
from .subscriptions import Channel
from .sync import BookSync
from .venues._spec import Audits, Decoder, History, Venue


class Care(Generic[N]):
    """Either part is there where it is wanted and the venue has it. `soon` has the session ticked."""

    def __init__(
        self,
        venue: Venue,
        decoder: Decoder,
        books: Mapping[str, BookSync[N]],
        trades: Mapping[str, TradeStream[N]],
        fetch: Callable[[Fetch], None],
        tokens: Iterator[int],
        soon: Callable[[], None],
        *,
        backfill: bool,
        audit_s: float,
    ) -> None:
        self._backfills: Backfills[N] | None = None
        self._probes: Probes[N] | None = None
        self._auditing: Auditing[N] | None = None
        if backfill and venue.history:
            self._backfills = Backfills(cast(History, decoder), fetch, tokens, soon)
            self._probes = Probes(cast(History, decoder), trades, fetch, tokens, soon)
        if audit_s and venue.book.audit:
            audits: Any = cast(Audits, decoder)
            self._auditing = Auditing(audits, venue.book, books, audit_s, fetch, tokens, soon)

    def add(self, native: str, stream: TradeStream[N]) -> None:
        """Ask for what this stream misses from now on."""
        if self._backfills is not None:
            self._backfills.add(native, stream)

    def forget(self, native: str) -> None:
        """Ask for trades of this market no more."""
        for part in (self._backfills, self._probes):
            if part is not None:
                part.forget(native)

    def close(self, ts_recv: int) -> None:
        """The connection is gone: trades that wait are told."""
        if self._backfills is not None:
            self._backfills.close(ts_recv)

    def probe(self, channel: Channel, native: str, told: Callable[[Verdict], None], mono_ns: int) -> bool:
        """Have a book compared now, or trades asked for; False where that is not possible."""
        if channel == "book":
            return self._auditing is not None and self._auditing.probe(native, told, mono_ns)
        return channel == "trades" and self._probes is not None and self._probes.probe(native, told, mono_ns)

    def on_reply(self, token: int, status: int, body: bytes, ts_recv: int, mono_ns: int) -> bool:
        """An answer; returns whether it was asked for here. Raises ValueError where it cannot be read."""
        return (
            (self._backfills is not None and self._backfills.on_reply(token, status, body, ts_recv, mono_ns))
            or (self._auditing is not None and self._auditing.on_reply(token, status, body, mono_ns))
            or (self._probes is not None and self._probes.on_reply(token, status, body))
        )

    def on_failure(self, token: int, mono_ns: int) -> bool:
        """A fetch failed; returns whether it was asked for here."""
        parts = (self._backfills, self._auditing)
        return any(part.on_failure(token, mono_ns) for part in parts if part is not None) or (
            self._probes is not None and self._probes.on_failure(token)
        )

    def tick(self, mono_ns: int, ts_recv: int) -> int | None:
        """Do what is due; returns when the next is, or None."""
        parts = [part for part in (self._backfills, self._auditing) if part is not None]
        due = [part.tick(mono_ns, ts_recv) for part in parts]
        if self._probes is not None:
            due.append(self._probes.tick(mono_ns))
        return min((at for at in due if at is not None), default=None)
