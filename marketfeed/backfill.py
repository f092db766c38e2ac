"""`Backfill`: trades that a stream missed, asked for over REST and told in their place (P14).

A jump of a stream's ids opens a hole. Trades that come meanwhile wait in it, until all before them are there or it was
open for too long; then everything is told by id. What is found after that is told late, as what fills a told gap.
"""

from collections.abc import Callable, Iterator
from typing import Generic

from .commands import Fetch
from .events import Side
from .fetches import Fetches
from .hole import Held, Hole
from .number import N
from .pace import SECOND
from .streams import TradeStream
from .venues._spec import History, Request

PATIENCE_NS = 2 * SECOND
"""For so long trades wait for those before them."""
MAX_HELD = 5_000
"""So many trades wait in one hole."""
MAX_MISSED = 5_000
"""A hole of more ids than that is told and left as it is."""
MAX_PAGES = 10
"""Answers about one hole after which what is still missing is given up."""


class Backfill(Generic[N]):
    """Mends one stream on one connection; `ask` has its next page fetched."""

    def __init__(self, stream: TradeStream[N], ask: Callable[[], None]) -> None:
        self.stream = stream
        self.hole: Hole[N] | None = None
        self._ask = ask
        stream.healers.append(self)

    def holds(self, price: N, size: N, side: Side, number: int, ts_event: int, ts_recv: int) -> bool:
        """See `Healer`."""
        hole = self.hole
        waits = hole is not None and not hole.late
        if hole is None or hole.late:
            hole = self._new(number) if 0 < self.stream.expected < number else None
            if hole is None:
                return False
        elif number < hole.first:
            # a repeat; or a count that begins anew, before which all that waits is to be told
            if ts_event > max((h.ts_event for h in hole.held.values()), default=hole.after_ns):
                self.release(ts_recv)
            return False
        elif number - hole.first >= MAX_MISSED + MAX_HELD:
            self.release(ts_recv)
            return False
        hole.held.setdefault(number, Held(price, size, side, number, ts_event, ts_recv))
        hole.top = max(hole.top, number)
        hole.begin_at(self.stream.expected)
        if not waits:
            self._ask()
        elif len(hole.held) > MAX_HELD or hole.whole:
            self.release(ts_recv)
        return True

    def missed(self, last: int, ts_recv: int) -> bool:
        """See `Healer`."""
        hole = self.hole
        if hole is None or hole.late:
            if self._new(last) is None:
                return False
            self._ask()
        elif last - hole.first >= MAX_MISSED + MAX_HELD:
            self.release(ts_recv)
            return False
        else:
            hole.top = max(hole.top, last)
        return True

    def _new(self, top: int) -> Hole[N] | None:
        """A hole up to this id; None where it is too large. One that was told before it is given up."""
        first = self.stream.expected
        if top - first >= MAX_MISSED:
            return None
        self.hole = Hole(first, top, self.stream.ts_event)
        return self.hole

    def release(self, ts_recv: int) -> None:
        """Tell all that waits, by id, and what is missing between.

        What waited bears the time at which it is told, at least: in no order by `ts_recv` it stands before its gap.
        """
        hole = self.hole
        if hole is None or hole.late:
            return
        stream = self.stream
        hole.begin_at(stream.expected)
        hole.late = True
        for run in hole.runs():
            if run.past:
                stream.healed(run.first, run.last, ts_recv)
            elif not run.there:
                stream.skip(run.first, run.last, ts_recv)
                continue
            for number in range(run.first, run.last + 1):
                known = hole.held[number]
                if run.past:
                    stream.past(known.price, known.size, known.side, number, known.ts_event, known.ts_recv)
                else:
                    at = max(known.ts_recv, ts_recv)
                    stream.trade(known.price, known.size, known.side, number, known.ts_event, at)
        if hole.whole:
            self.hole = None

    def answered(self, trades: list["Held[N]"], ts_recv: int) -> bool:
        """A page came; returns whether it brought something. What completes the hole is told."""
        hole = self.hole
        assert hole is not None
        if not hole.late:
            hole.begin_at(self.stream.expected)
        new = [t for t in trades if hole.first <= t.number <= hole.top and t.number not in hole.held]
        hole.held.update((t.number, t) for t in new)
        if hole.late:
            self._tell_late(sorted(t.number for t in new), hole, ts_recv)
            if hole.whole:
                self.hole = None
        elif hole.whole:
            self.release(ts_recv)
        return bool(new)

    def _tell_late(self, numbers: list[int], hole: Hole[N], ts_recv: int) -> None:
        """Tell what fills a gap that was told."""
        wanted = [n for n in numbers if self.stream.fills(n)]
        while wanted:
            length = next((i for i, n in enumerate(wanted) if n != wanted[0] + i), len(wanted))
            run, wanted = wanted[:length], wanted[length:]
            self.stream.healed(run[0], run[-1], ts_recv)
            for known in map(hole.held.__getitem__, run):
                self.stream.past(known.price, known.size, known.side, known.number, known.ts_event, known.ts_recv)

    def forget(self) -> None:
        """The stream is not this connection's any more; what waits is not told."""
        self.hole = None
        self.stream.healers.remove(self)


class Backfills(Generic[N]):
    """The holes of one connection's streams, by native name, and their fetches. `soon` has the session ticked."""

    def __init__(
        self, history: History, fetch: Callable[[Fetch], None], tokens: Iterator[int], soon: Callable[[], None]
    ) -> None:
        self._history = history
        self._soon = soon
        self._fills: dict[str, Backfill[N]] = {}
        self._fetches = Fetches(self._request, fetch, tokens, background=True)

    def add(self, native: str, stream: TradeStream[N]) -> None:
        """Mend this stream from now on."""
        if native not in self._fills:
            self._fills[native] = Backfill(stream.public, lambda: self._ask(native))

    def forget(self, native: str) -> None:
        """Mend it no more."""
        fill = self._fills.pop(native, None)
        if fill is not None:
            fill.forget()
            self._fetches.forget(native)

    def close(self, ts_recv: int) -> None:
        """The connection is gone: what waits is told."""
        for native, fill in list(self._fills.items()):
            fill.release(ts_recv)
            self.forget(native)

    def on_reply(self, token: int, status: int, body: bytes, ts_recv: int, mono_ns: int) -> bool:
        """An answer; returns whether it was one about trades. Raises ValueError where a page cannot be read."""
        native = self._fetches.answered(token)
        if native is None:
            return False
        try:
            trades = self._history.past_trades(native, body) if status == 200 else []
        except (ValueError, LookupError, RecursionError, ArithmeticError):
            self._go_on(native, mono_ns, progress=False)
            raise
        held = [Held(t.price, t.size, t.side, t.number, t.ts_event, ts_recv, past=True) for t in trades]
        fill = self._fills[native]
        self._go_on(native, mono_ns, progress=fill.hole is not None and fill.answered(held, ts_recv))
        return True

    def on_failure(self, token: int, mono_ns: int) -> bool:
        """A fetch failed; returns whether it was one about trades."""
        native = self._fetches.answered(token)
        if native is not None:
            self._go_on(native, mono_ns, progress=False)
        return native is not None

    def tick(self, mono_ns: int, ts_recv: int) -> int | None:
        """Tell what has waited for too long; returns when to be called again, None where nothing waits."""
        later = []
        for native, fill in self._fills.items():
            hole = fill.hole
            if hole is not None and not hole.late:
                hole.until = hole.until or mono_ns + PATIENCE_NS
                if hole.until <= mono_ns:
                    fill.release(ts_recv)
                else:
                    later.append(hole.until)
            if fill.hole is None:
                self._fetches.forget(native)
        asked = self._fetches.tick(mono_ns)
        return min([*later, *([] if asked is None else [asked])], default=None)

    def _ask(self, native: str) -> None:
        self._fetches.forget(native)  # a fetch for a hole before this one is nobody's
        self._fetches.ask(native, 0)
        self._soon()

    def _go_on(self, native: str, mono_ns: int, *, progress: bool) -> None:
        """Ask for the next page, later where the last one brought nothing, until there were too many."""
        hole = self._fills[native].hole
        if progress or hole is None:
            self._fetches.served(native)
        if hole is None:
            return
        hole.pages += 1
        if hole.pages < MAX_PAGES:
            self._fetches.ask(native, mono_ns)
            self._soon()
        elif hole.late:
            self._fills[native].hole = None

    def _request(self, native: str) -> Request:
        hole = self._fills[native].hole
        assert hole is not None, "asked for only while there is one"
        missing = hole.missing()
        first, last = missing[0][0], missing[-1][1]
        return self._history.past_request(native, first, last, *hole.edges(first, last))
