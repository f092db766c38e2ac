"""`Auditing`: live books held against REST now and then, each as it was at the moment that REST shows (section 4.3 of
what is promised of books: the venue's own word, by another way).

    idle ──due──▶ remembering ──▶ asked ──answer──▶ awaited ──▶ judged: equal, differs, unclear

Where a venue numbers its books, it is asked at once, the stream is awaited where the answer is ahead of it, and one
difference is enough. Elsewhere two seconds before and after are remembered too, and levels that changed in them are not
judged; the book is wrong only after three such audits in a row.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Literal
from zlib import crc32

from msgspec import Struct

from .commands import Fetch
from .events import Audit
from .fetches import Fetches
from .memory import Compared, Memory
from .number import N
from .pace import SECOND
from .sync import BookSync
from .venues._spec import Audits, BookRule, Picture, Request

Verdict = Literal["equal", "differs", "unclear"]

AROUND_NS = 2 * SECOND
"""So long is remembered before and after a book without a number is asked for: answers may be older, or ahead."""
BEHIND_NS = 2 * SECOND
"""So long the stream may be behind the number of an answer."""
MAX_AGE_NS = 30 * SECOND
"""An audit without an answer ends."""
IN_A_ROW = 3
"""Differences in a row by which a book without a number is wrong."""
AGAIN_NS = 10 * SECOND
"""Until the next audit after one that found a difference."""
QUIET_NS = 60 * SECOND
"""Until the next audit after one that found a silent book equal."""


class Checked(Struct):
    """Where one book is. Times are mono_ns; `probed` are who wants to know the outcome."""

    due: int
    state: Literal["idle", "remembering", "asked", "awaited"] = "idle"
    since: int = 0
    memory: Any = None
    picture: Any = None
    wrong: int = 0
    count: int = 0
    probed: list[Callable[[Verdict], None]] = []


class Auditing(Generic[N]):
    """The audits of one connection's books, each every `every_s` seconds or so. `soon` has the session ticked."""

    def __init__(
        self,
        audits: Audits,
        rule: BookRule,
        books: Mapping[str, BookSync[N]],
        every_s: float,
        fetch: Callable[[Fetch], None],
        tokens: Iterator[int],
        soon: Callable[[], None],
    ) -> None:
        self._audits = audits
        self._rule = rule
        self._books = books
        self._every = int(every_s * SECOND)
        self._soon = soon
        self._checked: dict[str, Checked] = {}
        self._fetches = Fetches(self._request, fetch, tokens, background=True)

    def probe(self, native: str, told: Callable[[Verdict], None], mono_ns: int) -> bool:
        """Audit this book now, and tell the outcome too; False where it is not live."""
        sync = self._books.get(native)
        if sync is None or sync.state != "live":
            return False
        known = self._known(native, mono_ns)
        known.probed.append(told)
        if known.state == "idle":
            known.due = mono_ns
        self._soon()
        return True

    def tick(self, mono_ns: int, ts_recv: int) -> int | None:
        """Do what is due; returns when the next is, or None."""
        for native in [native for native in self._checked if native not in self._books]:
            self._fetches.forget(native)
            for tell in self._checked.pop(native).probed:
                tell("unclear")
        for native, sync in list(self._books.items()):
            self._look(native, sync, self._known(native, mono_ns), mono_ns, ts_recv)
        later = self._fetches.tick(mono_ns)
        waits = [k.since + AROUND_NS for k in self._checked.values() if k.state == "remembering"]
        return min([*waits, *([] if later is None else [later])], default=None)

    def on_reply(self, token: int, status: int, body: bytes, mono_ns: int) -> bool:
        """An answer; returns whether it was one about an audit. Raises ValueError where it cannot be read."""
        native = self._fetches.answered(token)
        if native is None:
            return False
        known = self._checked[native]
        self._fetches.served(native)
        known.state, known.since = "awaited", mono_ns
        self._soon()
        if status == 200:
            known.picture = self._audits.audit_picture(native, body)
        return True

    def on_failure(self, token: int, mono_ns: int) -> bool:
        """A fetch failed; returns whether it was one about an audit."""
        return self.on_reply(token, 0, b"", mono_ns)

    def _known(self, native: str, mono_ns: int) -> Checked:
        known = self._checked.get(native)
        if known is None:
            first = mono_ns + int(self._every * (0.1 + 0.9 * _spread(native, 0)))
            known = self._checked[native] = Checked(first)
        return known

    def _look(self, native: str, sync: BookSync[N], known: Checked, now: int, ts_recv: int) -> None:
        if sync.state != "live" or (known.state != "idle" and sync.memory is not known.memory):
            if known.state != "idle" or known.probed:
                self._end(native, known, now, "unclear")
            return
        if known.state == "idle":
            self._begin(sync, known, now)
        if known.state == "remembering" and (sync.numbered or now - known.since >= AROUND_NS):
            known.state, known.since = "asked", now
            self._fetches.ask(native, now)
        elif known.state == "awaited" and known.picture is None:
            self._tell(native, sync, known, now, ts_recv, "unclear", Compared(example="REST gave no book"))
        elif known.state == "awaited":
            self._judge(native, sync, known, now, ts_recv)
        elif known.state == "asked" and (known.memory.full or now - known.since > MAX_AGE_NS):
            self._tell(native, sync, known, now, ts_recv, "unclear", Compared(example="the answer took too long"))

    def _begin(self, sync: BookSync[N], known: Checked, now: int) -> None:
        """Begin to remember where an audit is due, or where less than half of what REST shows is known."""
        levels = sync.known()
        if levels is not None and levels < self._rule.window // 2:
            known.due = min(known.due, known.since + AGAIN_NS)
        if known.due <= now:
            known.memory = sync.remember(2 * self._rule.audit)
            known.state, known.since = "remembering", now

    def _judge(self, native: str, sync: BookSync[N], known: Checked, now: int, ts_recv: int) -> None:
        memory: Memory[N] = known.memory
        picture: Picture[N] = known.picture
        if memory.full:
            self._tell(native, sync, known, now, ts_recv, "unclear", Compared(example="too much has changed meanwhile"))
        elif not sync.numbered:
            if now - known.since < AROUND_NS:
                return
            levels = min(self._rule.audit, sync.depth // 2) if sync.depth else self._rule.audit
            found = memory.compare(picture, memory.stable(), levels, (None, None))
            if not found.levels:
                self._tell(native, sync, known, now, ts_recv, "unclear", Compared(example="every level changed"))
                return
            self._tell(native, sync, known, now, ts_recv, "differs" if found.wrong else "equal", found)
        elif picture.seq < (since := memory.seq if memory.learned is None else memory.newest):
            example = f"REST shows update {picture.seq}, from before {since}"
            self._tell(native, sync, known, now, ts_recv, "unclear", Compared(example=example))
        elif picture.seq > memory.newest:
            if now - known.since >= BEHIND_NS:
                example = f"REST knows update {picture.seq}, the stream stopped at {memory.newest}"
                self._tell(native, sync, known, now, ts_recv, "differs", Compared(example=example))
        else:
            found = memory.compare(picture, memory.at(picture.seq), self._rule.audit, sync.edges)
            if not found.wrong and memory.learned is None:
                sync.learn(picture, self._rule.window)
            self._tell(native, sync, known, now, ts_recv, "differs" if found.wrong else "equal", found)

    def _tell(
        self, native: str, sync: BookSync[N], known: Checked, now: int, ts_recv: int, verdict: Verdict, found: Compared
    ) -> None:
        """Tell the outcome, and void a book that is not the venue's."""
        view, seq = sync.stream.view, known.picture.seq if known.picture is not None else 0
        if verdict != "unclear":
            view.audits += 1
            view.audits_equal += verdict == "equal"
            known.wrong = known.wrong + 1 if verdict == "differs" else 0
        sync.stream.tell(
            Audit,
            ts_recv,
            epoch=view.epoch,
            seq=seq or view.seq,
            levels=found.levels,
            wrong=found.wrong,
            verdict=verdict,
            score=view.score,
            detail=found.example,
        )
        quiet = bool(known.probed)
        surely = known.wrong >= (1 if sync.numbered else IN_A_ROW)
        self._end(native, known, now, verdict)
        if surely:
            known.wrong = 0
            sync.doubt("audit", found.example, ts_recv)
        elif verdict == "differs":
            known.due = now + AGAIN_NS
        elif quiet and verdict == "equal":
            known.due = min(known.due, now + QUIET_NS)

    def _end(self, native: str, known: Checked, now: int, verdict: Verdict) -> None:
        sync = self._books[native]
        if sync.memory is known.memory and (sync.memory is None or sync.memory.learned is None):
            sync.memory = None
        self._fetches.forget(native)
        known.count += 1
        known.state, known.memory, known.picture = "idle", None, None
        known.due = now + int(self._every * (0.9 + 0.2 * _spread(native, known.count)))
        told, known.probed = known.probed, []
        for tell in told:
            tell(verdict)

    def _request(self, native: str) -> Request:
        return self._audits.audit_request(native)


def _spread(native: str, count: int) -> float:
    """From 0 to 1, the same for the same book and count: audits of many books do not come together."""
    return crc32(f"{native} {count}".encode()) / 2**32
