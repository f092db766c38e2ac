"""`BookSync`: one book on one connection, from what the venue sends to what is proven.

States:

    waiting ──first delta──▶ buffering ──REST snapshot──▶ joining ──bridging delta──▶ live
       │  ▲                      ▲                           │ too old: ask again      │
       │  └──────── asked again ─┼───────────────────────────┘                         │
       │                         └──────────────── gap (rest) ◀────────────────────────┤
       └──────────── snapshot in the stream ──▶ live ──▶ gap (stream): waiting ◀───────┘

Nothing leaves unless the state is live, and a doubt is told before anything else is done about it. All that a book can
go through on a connection is here, and how far it is known: the reason for its length.
"""

from collections.abc import Callable
from typing import Any, Generic, Literal

from .book import Book, Level
from .counts import Counts
from .events import Cause
from .memory import Memory
from .number import N
from .streams import BookStream
from .venues._rules import contiguous
from .venues._spec import BookRule, Levels, Picture, Proof

State = Literal["waiting", "buffering", "joining", "live"]

MAX_CROSSED_NS = 2_000_000_000
JUST_CROSSED = -1
MAX_OLD = 10
"""Numbered updates in a row below what is known, after which the venue has begun a new count (P25)."""
LOOK_NS = 5_000_000_000
"""Between two looks at how far a book is known."""
FEWEST = 20
"""A book known to this part of what REST shows is begun anew."""
MAX_BUFFERED = 10_000
LEVEL_BYTES = 64
"""What one buffered level is reckoned at when a buffer's memory is bounded."""

_Delta = tuple[int, int, tuple[Level[N], ...], tuple[Level[N], ...], int, int]


class BookSync(Generic[N]):
    """Applies the venue's `BookRule` to one book; the decoder calls `snapshot` and `delta` (see `BookSink`).

    `ask(sync)` is called whenever a new snapshot is needed; asking is idempotent. `served` tells whether the venue goes
    on after what it has sent: a book is not opened by the last of a subscription. `buffer_bytes` bounds what is held
    while a snapshot is awaited: passing it is a gap, never growth (I5).
    """

    __slots__ = (
        "_ask",
        "_buffer",
        "_buffer_bytes",
        "_counts",
        "_crossed_since",
        "_edges",
        "_held",
        "_horizon",
        "_known",
        "_looked_at",
        "_numbered",
        "_old",
        "_renewed",
        "_rule",
        "_seen",
        "_served",
        "_stream",
        "book",
        "depth",
        "memory",
        "native",
        "seq",
        "state",
        "waited",
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
        served: Callable[[], bool] = lambda: True,
    ) -> None:
        self.native = native
        self.depth = depth
        self._horizon = depth
        self._edges: tuple[N | None, N | None] = None, None
        """Prices of bids and asks beyond which levels are unknown until they change; None for none (P26)."""
        self._known = self._looked_at = 0
        self._renewed = False
        """Whether REST shows what is newer, as it does but for captures."""
        self.memory: Memory[N] | None = None
        self.state: State = "waiting"
        self.book: Book[N] = Book()
        self.seq = 0
        self.waited = 0
        """Updates that came while it was not live."""
        self._rule = rule
        self._numbered = rule.numbered
        self._stream = stream
        self._counts = counts
        self._ask = ask
        self._served = served
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
        if not self._served():
            self._counts.unproven += 1
            return
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
        self._crossed_since = JUST_CROSSED if self.book.crossed() else 0
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
            self.waited += 1
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
        if mono_ns - self._looked_at >= LOOK_NS and self.state == "live" and self._edges != (None, None):
            self._look_far(mono_ns, ts_recv)
        if self._crossed_since == JUST_CROSSED:
            self._crossed_since = mono_ns
        elif self._crossed_since and mono_ns - self._crossed_since > MAX_CROSSED_NS and self.state == "live":
            self.doubt("crossed", "bid above ask for more than 2 s", ts_recv)

    def lost(self, reason: str, ts_recv: int) -> None:
        """The connection is gone; this sync is done."""
        self._stream.void(self, "link lost", reason, ts_recv)
        self._restart()

    @property
    def numbered(self) -> bool:
        """Whether the venue numbers its updates."""
        return self._numbered

    @property
    def stream(self) -> BookStream[N]:
        """Where what is proven goes."""
        return self._stream

    @property
    def edges(self) -> tuple[N | None, N | None]:
        """Prices of bids and asks beyond which levels that were never heard of are unknown, None for none."""
        return self._edges

    def remember(self, levels: int) -> Memory[N] | None:
        """Keep what changes from now on, beside the best `levels` as they are; None for a book that is not live.

        Where the next update is still to bring what an audit has learned, nothing has changed since that one.
        """
        if self.state != "live":
            return None
        if self.memory is None or self.memory.learned is None:
            self.memory = Memory(self.book, self.seq, levels)
        return self.memory

    def learn(self, picture: Picture[N], window: int) -> None:
        """Take from a picture of the book what lies beyond its edges: it comes with the next update (P26)."""
        memory, self.memory = self.memory, None
        if memory is None or self._edges == (None, None):
            return
        self._renewed = True
        learned, edges = [], []
        sides = (self.book.bids, picture.bids), (self.book.asks, picture.asks)
        for i, ((side, shown), touched) in enumerate(zip(sides, memory.touched_after(picture.seq), strict=True)):
            old, new = self._edges[i], _edge(shown, window)
            beyond = [v for v in shown if old is not None and _further(v[0], old, i)]
            learned.append(tuple(v for v in beyond if v[0] not in touched and side.size_of(v[0]) != v[1]))
            edges.append(old if old is None or (new is not None and _further(old, new, i)) else new)
        if self._stream.shared:
            self._stream.learned(learned[0], learned[1], (edges[0], edges[1]))
            return
        memory.learned = learned[0], learned[1]
        self._edges = edges[0], edges[1]
        self._known, self._looked_at = window, 0
        self._stream.view.depth = 0 if self._edges == (None, None) else window
        self.memory = memory if any(learned) else None

    def known(self) -> int | None:
        """Levels a side that REST has shown, of the side with fewer, as of the last look; None for all."""
        return None if self._edges == (None, None) else self._known

    def _look_far(self, mono_ns: int, ts_recv: int) -> None:
        """The market moves on, and what REST has shown stays where it was (P26)."""
        self._looked_at = mono_ns
        sides = zip((self.book.bids, self.book.asks), self._edges, strict=True)
        self._known = min(side.count_to(edge) for side, edge in sides if edge is not None)
        self._stream.view.depth = max(self._known, 1)  # 0 says that all of it is known
        if self._renewed and self._known <= self._rule.window // FEWEST:
            self.doubt("audit", f"{self._known} levels of a side are known, and REST has shown no more", ts_recv)

    def feed(self, stream: BookStream[N]) -> None:
        """What is proven goes there from now on."""
        self._stream = stream

    def take(self, bids: Levels[N], asks: Levels[N], edges: tuple[N | None, N | None]) -> None:
        """Levels that another connection of the stream knows, and how far both know the book from here on."""
        self.book.bids.apply(bids)
        self.book.asks.apply(asks)
        self._edges, self._looked_at = edges, 0
        if bids or asks:
            self.memory = None

    def hurry(self) -> tuple[Levels[N], Levels[N]]:
        """What an audit has learned and the next update was to bring: the book has it now, and it is yet to be told."""
        learned = self.memory.learned if self.memory is not None else None
        if learned is None:
            return (), ()
        self.take(*learned, self._edges)
        return learned

    def _restart(self) -> None:
        self.state = "waiting"
        self.memory = None
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
        if self.state == "waiting" and not self._served():
            self._counts.unproven += 1
            return
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
        self._apply_held(kept)

    def _apply_held(self, deltas: list[_Delta[N]]) -> None:
        for _, last, bids, asks, at, recv in deltas:
            if self.state == "live":  # unless another connection says otherwise, meanwhile
                self._apply(last, bids, asks, at, recv, None)

    def _load(self, bids: Levels[N], asks: Levels[N], proof: Proof | None) -> None:
        self.book = Book()
        self.memory = None
        self.book.bids.load(bids, proof.bid_texts if proof else ())
        self.book.asks.load(asks, proof.ask_texts if proof else ())
        window = self._rule.window
        self._horizon = self.depth or (window if window and max(len(bids), len(asks)) >= window else 0)
        if window:
            self._known = self._horizon
            self._edges = _edge(bids, window), _edge(asks, window)
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
        if self.memory is not None:
            bids, asks = self._remembered(self.memory, last, bids, asks)
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

    def _remembered(
        self, memory: Memory[N], last: int, bids: Levels[N], asks: Levels[N]
    ) -> tuple[Levels[N], Levels[N]]:
        """Note changes for an audit; with those that one has learned, which are older."""
        if memory.learned is None:
            memory.note(last, bids, asks)
            return bids, asks
        self.memory = None
        return (*memory.learned[0], *bids), (*memory.learned[1], *asks)

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


def _edge(levels: Levels[N], window: int) -> N | None:
    """The price at which a side of a snapshot ends; None where all of it is there."""
    return levels[-1][0] if len(levels) >= window else None


def unknown(price: Any, edge: Any, asks: int) -> bool:
    """Whether a level is beyond the edge of its side, so that it is known only where it has changed."""
    return edge is not None and _further(price, edge, asks)


def widest(one: Any, other: Any, asks: int) -> Any:
    """The edge that is further from the best; None where there is no edge."""
    if one is None or other is None:
        return None
    return one if _further(one, other, asks) else other


def _further(price: Any, than: Any, asks: int) -> bool:
    """Whether a price is further from the best of its side."""
    return bool(price > than if asks else price < than)
