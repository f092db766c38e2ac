"""`BookSync`: one book on one connection, from what the venue sends to what is proven.

States:

    waiting ──first delta──▶ buffering ──REST snapshot──▶ joining ──bridging delta──▶ live
       │  ▲                      ▲                           │ too old: ask again      │
       │  └──────── asked again ─┼───────────────────────────┘                         │
       │                         └──────────────── gap (rest) ◀────────────────────────┤
       └──────────── snapshot in the stream ──▶ live ──▶ gap (stream): waiting ◀───────┘

Nothing leaves unless the state is live, and a doubt is told before anything else is done about it.
"""

from collections.abc import Callable
from typing import Generic, Literal

from .book import Book, Level
from .counts import Counts
from .events import Cause
from .number import N
from .streams import BookStream
from .venues._rules import contiguous
from .venues._spec import BookRule, Levels, Proof

State = Literal["waiting", "buffering", "joining", "live"]

MAX_CROSSED_NS = 2_000_000_000
JUST_CROSSED = -1
MAX_OLD = 10
"""Numbered updates in a row below what is known, after which the venue has begun a new count (P25)."""
MAX_BUFFERED = 10_000
LEVEL_BYTES = 64
"""What one buffered level is reckoned at when a buffer's memory is bounded."""

_Delta = tuple[int, int, tuple[Level[N], ...], tuple[Level[N], ...], int, int]


class BookSync(Generic[N]):
    """Applies the venue's `BookRule` to one book; the decoder calls `snapshot` and `delta` (see `BookSink`).

    `ask(sync)` is called whenever a new snapshot is needed; asking is idempotent. `buffer_bytes` bounds what is held
    while a snapshot is awaited: passing it is a gap, never growth (I5).
    """

    __slots__ = (
        "_ask",
        "_buffer",
        "_buffer_bytes",
        "_counts",
        "_crossed_since",
        "_held",
        "_horizon",
        "_numbered",
        "_old",
        "_rule",
        "_seen",
        "_stream",
        "book",
        "depth",
        "native",
        "seq",
        "state",
    )

    def __init__(
        self,
        rule: BookRule,
        stream: BookStream[N],
        native: str,
        depth: int,
        counts: Counts,
        ask: Callable[["BookSync[N]"], None],
        buffer_bytes: int = 64 * 2**20,
    ) -> None:
        self.native = native
        self.depth = depth
        self._horizon = depth
        self.state: State = "waiting"
        self.book: Book[N] = Book()
        self.seq = 0
        self._rule = rule
        self._numbered = rule.numbered
        self._stream = stream
        self._counts = counts
        self._ask = ask
        self._buffer: list[_Delta[N]] = []
        self._buffer_bytes = buffer_bytes
        self._held = 0
        self._seen = 0
        self._old = 0
        self._crossed_since = 0

    def snapshot(
        self, seq: int, bids: Levels[N], asks: Levels[N], ts_event: int, ts_recv: int, proof: Proof | None = None
    ) -> None:
        """A whole book; see `BookSink`."""
        if self._rule.snapshot == "rest":
            if self.state == "buffering":
                self._load(bids, asks, None)
                self._join(seq, ts_event, ts_recv)
            return
        self._load(bids, asks, proof)
        if proof is not None and not self._proves(proof):
            self.doubt("checksum", "snapshot does not match its checksum", ts_recv)
            return
        self.state = "live"
        self.seq = self._seen = seq
        self._crossed_since = 0
        self._stream.opened(self, self.book, seq, self._horizon, ts_event, ts_recv)

    def delta(
        self,
        first: int,
        last: int,
        bids: Levels[N],
        asks: Levels[N],
        ts_event: int,
        ts_recv: int,
        proof: Proof | None = None,
    ) -> None:
        """Changes to the book; see `BookSink`. Hot."""
        if self._numbered:
            if first == self._seen + 1:
                self._seen = last
                self._old = 0
                self._counts.links_ok += 1
            elif not self._follows(first, last, ts_recv):
                return
        if self.state == "live":
            self._apply(last, bids, asks, ts_event, ts_recv, proof)
        elif self._rule.snapshot == "rest":
            self._hold((first, last, bids, asks, ts_event, ts_recv))
        else:
            self._counts.unproven += 1

    def doubt(self, cause: Cause, reason: str, ts_recv: int, first: int = 0, last: int = 0) -> None:
        """The book cannot be trusted from here on: say so, then ask for a new snapshot.

        One over REST is asked for at the next delta, which is the first it can be joined to.
        """
        self._stream.void(self, cause, reason, ts_recv, first, last)
        self._restart()
        if self._rule.snapshot == "stream":
            self._ask(self)

    def on_tick(self, mono_ns: int, ts_recv: int) -> None:
        """Look at what only time can tell: a book may cross for moments, and one that stays so is wrong (P22)."""
        if self._crossed_since == JUST_CROSSED:
            self._crossed_since = mono_ns
        elif self._crossed_since and mono_ns - self._crossed_since > MAX_CROSSED_NS and self.state == "live":
            self.doubt("crossed", "bid above ask for more than 2 s", ts_recv)

    def lost(self, reason: str, ts_recv: int) -> None:
        """The connection is gone; this sync is done."""
        self._stream.void(self, "link lost", reason, ts_recv)
        self._restart()

    def _restart(self) -> None:
        self.state = "waiting"
        self._counts.unproven += len(self._buffer)
        self._buffer.clear()
        self._held = 0

    def _follows(self, first: int, last: int, ts_recv: int) -> bool:
        """Test a numbered delta against the one before it on this link; voids on a hole."""
        seen = self._seen
        if not seen:
            self._seen = last
            return True
        if last <= seen:
            return self._is_new_count(last, ts_recv)
        verdict = contiguous(seen, first, last)
        if verdict == "gap":
            self._counts.links_broken += 1
            self._seen = last
            reason = f"update {seen} was followed by {first}"
            if self.state == "live":
                self.doubt("sequence", reason, ts_recv, seen + 1, first - 1)
            else:
                self._restart()
            return True
        self._counts.links_ok += 1
        self._seen = last
        return True

    def _is_new_count(self, last: int, ts_recv: int) -> bool:
        """An update below what is known: an old one, or after ten in a row the first of a new count."""
        self._old += 1
        if self._old < MAX_OLD:
            self._counts.links_ok += 1
            self._counts.stale += 1
            return False
        self._counts.links_broken += 1
        self.doubt("sequence", f"{self._old} updates in a row were numbered below {self._seen}, now {last}", ts_recv)
        self._seen = last
        self._old = 0
        return True

    def _hold(self, delta: _Delta[N]) -> None:
        """Keep a delta until a snapshot can be joined, or join it."""
        size = LEVEL_BYTES * (len(delta[2]) + len(delta[3]) + 2)
        if self._buffer and (len(self._buffer) >= MAX_BUFFERED or self._held + size > self._buffer_bytes):
            self._stream.lost("overflow", delta[5], f"{len(self._buffer)} updates waited for a snapshot in vain")
            self._restart()
        self._held += size
        self._buffer.append(delta)
        if self.state == "waiting":
            self.state = "buffering"
            self._ask(self)
        elif self.state == "joining":
            self._join(self.seq, 0, delta[5])

    def _join(self, seq: int, ts_event: int, ts_recv: int) -> None:
        """Join a snapshot at `seq` to the buffered deltas; live once a delta bridges it.

        Binance: drop u <= L; the first kept must have U <= L+1 <= u, else the snapshot is too old.
        """
        self.seq = seq
        kept = [delta for delta in self._buffer if delta[1] > seq]
        self._counts.stale += len(self._buffer) - len(kept)
        self._buffer = kept
        self.state = "joining"
        if not kept:
            self._held = 0
            return
        if kept[0][0] > seq + 1:
            self.state = "buffering"
            self._ask(self)
            return
        self._buffer = []
        self._held = 0
        self.state = "live"
        self._crossed_since = 0
        self._counts.joins += 1
        self._stream.opened(self, self.book, seq, self._horizon, ts_event, ts_recv)
        for _, last, bids, asks, at, recv in kept:
            self._apply(last, bids, asks, at, recv, None)

    def _load(self, bids: Levels[N], asks: Levels[N], proof: Proof | None) -> None:
        self.book = Book()
        self.book.bids.load(bids, proof.bid_texts if proof else ())
        self.book.asks.load(asks, proof.ask_texts if proof else ())
        window = self._rule.window
        self._horizon = self.depth or (window if window and max(len(bids), len(asks)) >= window else 0)
        if self.depth:
            self.book.bids.truncate(self.depth)
            self.book.asks.truncate(self.depth)

    def _apply(
        self,
        last: int,
        bids: tuple[Level[N], ...],
        asks: tuple[Level[N], ...],
        ts_event: int,
        ts_recv: int,
        proof: Proof | None,
    ) -> None:
        """Apply to a live book, prove the result, tell it. Hot."""
        book = self.book
        book.bids.apply(bids)
        book.asks.apply(asks)
        if proof is not None:
            book.bids.apply_texts(bids, proof.bid_texts)
            book.asks.apply_texts(asks, proof.ask_texts)
        if self.depth:
            bids = (*bids, *book.bids.truncate(self.depth))
            asks = (*asks, *book.asks.truncate(self.depth))
        if proof is not None and not self._proves(proof):
            self.doubt("checksum", "book does not match the venue's checksum", ts_recv)
            return
        if not book.crossed():
            self._crossed_since = 0
        elif not self._crossed_since:
            self._crossed_since = JUST_CROSSED
        self.seq = last
        self._stream.changed(last, bids, asks, ts_event, ts_recv)

    def _proves(self, proof: Proof) -> bool:
        rule = self._rule
        if rule.checksum is None:
            return True
        n = rule.checksum_levels
        right = rule.checksum(self.book.bids.best_texts(n), self.book.asks.best_texts(n)) == proof.checksum
        if right:
            self._counts.checksums_ok += 1
        else:
            self._counts.checksums_bad += 1
        return right

    def __repr__(self) -> str:
        return f"<BookSync {self.native} {self.state} seq={self.seq} held={len(self._buffer)}>"
