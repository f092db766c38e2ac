"""Mutated real messages into real sessions: only counted rejections, bounded time, bounded memory.

Bases are the captures where they are there, and what simulated venues and chain sources say to the same session, which
heals itself between blows. `make fuzz`, or `python -m tests.fuzz.mutation --seed 1 --messages 1000000 --venue kraken`.
"""

import argparse
import gc
import math
import os
import re
import string
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import marketfeed as mf
from marketfeed import catalogue
from marketfeed.commands import Close, Fetch
from marketfeed.events import CHAIN_TYPES, MARKET_TYPES, Head
from marketfeed.listing import coins_of
from marketfeed.outlet import Outlet
from marketfeed.recording.raw import read_lines
from marketfeed.session import Session
from marketfeed.streams import Streams
from marketfeed.subscriptions import Subscription
from marketfeed.text import escaped
from marketfeed.venues._spec import LinkPlan

from ..loopback.rig import Auditor
from . import ctrl_c, figures
from .chains import SOURCES
from .mutator import Mutator
from .oracle import KRAKEN_DEPTH, SYMBOLS
from .wire import SECOND, START, Wire

STEP_NS = 250_000_000
CPU_NS = 50_000_000
MEMORY, MEMORY_TIMES, EXACT_TIMES = 64 * 1024, 8, 16
"""Bytes, and times the size of a message; a Decimal takes four times what a float takes."""
MIB = 1 << 20
SAMPLE = 0.01
FOLDERS = {"kraken": ["kraken"], "binance": ["binance"], "coinbase": ["coinbase"], "mempool": ["mempool_space"]}
PRINTABLE = frozenset(string.printable) - frozenset(string.whitespace) | {" "}
_NUMBER = re.compile(rb'"sequence_num":\d+')
LARGEST = 256 * 1024
"""Captured messages beyond that are rarely taken: each mutation copies them."""


class Found(AssertionError):
    """A message did what none may do."""


@cache
def captured(venue: str) -> tuple[list[bytes], list[bytes]]:
    """Real messages of a venue: frames that its decoder can read, and all else. None in a clone without captures."""
    root = Path(os.environ.get("MARKETFEED_CAPTURES") or Path(__file__).parents[3] / "shared" / "captures")
    known = catalogue.venue(venue)
    reader: Session[Any] = Session(known, LinkPlan("wss://-", ()), Streams(Outlet(lambda event: None)), {}, link="-")
    frames: list[bytes] = []
    others: list[bytes] = []
    for folder in FOLDERS.get(venue, []):
        for path in sorted((root / folder).glob("*.jsonl*")):
            for line in read_lines(path):
                if line.dir in ("in", "rest"):
                    before = reader.counts.malformed
                    reader.on_frame(line.data, 0)
                    (others if reader.counts.malformed > before else frames).append(line.data)
    return frames, others


class Watch:
    """Hands messages to a session and holds what comes of them against the rules."""

    def __init__(self, dice: Random) -> None:
        self.timed = True
        self.times = MEMORY_TIMES
        self.batch: list[Head] = []
        self.audit = Auditor(renewals=True)
        self.events: Counter[str] = Counter()
        self.worst_ns = self.worst_size = 0
        self.worst_memory = 0.0
        self.last = b""
        self.messages = 0
        self._dice = dice

    def hand(self, session: Session[Any], raw: bytes, act: Callable[[], object]) -> None:
        """Do `act`, which gives `raw` to the session; raises Found."""
        self.last = raw
        self.messages += 1
        try:
            if self._dice.random() < SAMPLE:
                self._weighed(raw, act)
            else:
                self._timed(raw, act)
            counts = session.counts
            if not 0 <= counts.decoded <= counts.frames:
                raise Found(f"frames do not add up: {counts}")
            self.drain()
        except Found:
            raise
        except Exception as exc:
            raise Found(f"{type(exc).__name__}: {exc}") from exc

    def drain(self) -> None:
        """Judge the events since the last time."""
        for event in self.batch:
            self.events[type(event).__name__] += 1
            judge(event)
            self.audit.take(event)
        self.audit.events.clear()
        self.batch.clear()

    def _timed(self, raw: bytes, act: Callable[[], object]) -> None:
        gc.disable()  # else a message pays for the simulated venue's rubbish
        began = time.thread_time_ns()
        act()
        spent = time.thread_time_ns() - began
        gc.enable()
        if spent > self.worst_ns:
            self.worst_ns, self.worst_size = spent, len(raw)
        if self.timed and spent > CPU_NS * max(1.0, len(raw) / MIB):
            raise Found(f"{spent / 1e6:.1f} ms of CPU for {len(raw)} bytes")

    def _weighed(self, raw: bytes, act: Callable[[], object]) -> None:
        tracemalloc.start()
        try:
            act()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        limit = MEMORY + self.times * len(raw)
        self.worst_memory = max(self.worst_memory, peak / limit)
        if peak > limit:
            raise Found(f"{peak} bytes of memory for {len(raw)} bytes, over {limit}")


def judge(event: Head) -> None:
    """Raise Found for a number that is none, a size that cannot be, or text that a terminal would obey."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str):
            if len(value) > 400 or not PRINTABLE.issuperset(value):
                raise Found(f"{type(event).__name__}.{name} is {value[:80]!r}")
        elif isinstance(value, float | Decimal) and not math.isfinite(value):
            raise Found(f"{type(event).__name__}.{name} is {value}")
    if isinstance(event, mf.Trade):
        _positive(event, event.price, event.size)
    elif isinstance(event, mf.Ticker):
        _positive(event, *(v for v in (event.bid, event.ask, event.last) if v is not None))
    elif isinstance(event, mf.BookSnapshot | mf.BookDelta):
        for price, size in (*event.bids, *event.asks):
            _positive(event, price)
            if not (math.isfinite(size) and size >= 0) or (isinstance(event, mf.BookSnapshot) and size == 0):
                raise Found(f"a level of {size} at {price} in {type(event).__name__}")


def _positive(event: Head, *numbers: Any) -> None:
    for number in numbers:
        if not (math.isfinite(number) and number > 0):
            raise Found(f"{number} in {type(event).__name__}")


class MarketRound:
    """A simulated venue whose frames and answers are followed, or replaced, by broken ones."""

    MESSAGES = 5_000
    """Mutated ones after which a round of another seed begins."""

    def __init__(self, venue: str, seed: str, *, real: bool) -> None:
        self.dice = Random(seed)
        self.watch = Watch(self.dice)
        frames, others = captured(venue) if real else ([], [])
        self._small = [raw for raw in frames if len(raw) <= LARGEST]
        self._odd = [*others, *(raw for raw in frames if len(raw) > LARGEST)]
        self._seen = [b"{}"]
        self._mutator = Mutator(self.dice, self._small or self._seen)
        self.looks = self.live = 0
        exact = self.dice.random() < 0.3
        self.watch.times = EXACT_TIMES if exact else MEMORY_TIMES
        self.wire = Wire(
            venue,
            SYMBOLS[venue],
            seed=seed,
            take=self.watch.batch.append,
            depth=KRAKEN_DEPTH if venue == "kraken" else 0,
            exact=exact,
            step_ns=STEP_NS,
            hand=self._hand,
            answer=self._answer,
        )

    def run(self, messages: int) -> None:
        """Until so many were mutated."""
        while self.watch.messages < messages:
            self.wire.step()
            self.watch.drain()

    def _hand(self, session: Session[Any], frames: list[bytes], recv_ns: int) -> None:
        self._seen[200:] = frames
        if self.wire.venue.book.scope == "link":
            self._instead(session, frames, recv_ns)
            return
        session.on_frames(frames, recv_ns)
        if not (self._books_live() or self.dice.random() < 0.05):
            return
        for _ in range(24):
            if not self._books_live() and self.dice.random() < 0.8:
                return
            self._blow(session, self._mutator.mutate(self._base()), recv_ns)

    def _instead(self, session: Session[Any], frames: list[bytes], recv_ns: int) -> None:
        """Where frames of a link are numbered, a broken one takes the place, and the number, of another."""
        for raw in frames:
            number = _NUMBER.search(raw)
            if number and self.dice.random() < (0.7 if self._books_live() else 0.12):
                base = _NUMBER.sub(number[0], self._base())
                self._blow(session, self._mutator.mutate(base), recv_ns)
            else:
                session.on_frames([raw], recv_ns)

    def _blow(self, session: Session[Any], raw: bytes, recv_ns: int) -> None:
        self.looks += 1
        self.live += self._books_live()
        self.watch.hand(session, raw, lambda: session.on_frames([raw], recv_ns))

    def _books_live(self) -> bool:
        venue = self.wire.venue.name
        return any(self.wire.book(f"{venue}:{symbol}").live for symbol in SYMBOLS[venue])

    def _base(self) -> bytes:
        if self._odd and self.dice.random() < 0.002:
            return self.dice.choice(self._odd)
        return self.dice.choice(self._small if self._small and self.dice.random() < 0.5 else self._seen)

    def _answer(self, session: Session[Any], token: int, status: int, body: bytes, recv_ns: int, mono_ns: int) -> None:
        if self.dice.random() < 0.5:
            body = self._mutator.mutate(body)
        self.watch.hand(session, body, lambda: session.on_reply(token, status, body, recv_ns, mono_ns))


class ChainRound:
    """A source of a chain whose frames and answers are broken more often than not."""

    MESSAGES = 500  # once a broken answer was believed, what is true may look too old

    def __init__(self, venue: str, seed: str, *, real: bool) -> None:
        coin, make = SOURCES[venue]
        self.dice = Random(seed)
        self.watch = Watch(self.dice)
        self.looks = self.live = 0
        self._venue = catalogue.venue(venue)
        self._source = make(self.dice)
        self._streams: Streams[Any] = Streams(Outlet(self.watch.batch.append))
        self._wanted = [Subscription(venue, coin, "chain")]
        self._seen = [b"{}"]
        self._real = [raw for kind in captured(venue) for raw in kind] if real else []
        self._mutator = Mutator(self.dice, self._real or self._seen)
        self._mono = SECOND
        self._links = 0

    def run(self, messages: int) -> None:
        """Until so many were mutated."""
        while self.watch.messages < messages:
            self._link(messages)

    def _link(self, messages: int) -> None:
        self._links += 1
        venue = self._venue
        (plan,) = venue.plan(venue.endpoints, self._wanted, venue.pace)
        instruments: Any = coins_of(venue)
        session: Session[Any] = Session(venue, plan, self._streams, instruments, link=f"link-{self._links}")
        session.on_open(self._mono, self._now)
        while self.watch.messages < messages:
            self._mono += SECOND * self.dice.choice((1, 5, 30))
            if self.dice.random() < 0.2:
                for raw in self._source.news():
                    self._frame(session, raw)
            if session.deadline <= self._mono:
                session.on_tick(self._mono, self._now)
            commands, session.commands[:] = session.commands[:], []
            for command in commands:
                if isinstance(command, Fetch):
                    self._reply(session, command)
                elif isinstance(command, Close):
                    session.on_close(1006, command.reason, self._now)
                    return
            self.watch.drain()

    @property
    def _now(self) -> int:
        return START + self._mono

    def _frame(self, session: Session[Any], raw: bytes) -> None:
        session.on_frames([raw], self._now)
        for _ in range(self.dice.randrange(6)):
            base = self.dice.choice(self._real) if self._real and self.dice.random() < 0.5 else raw
            bad = self._mutator.mutate(base)
            self.watch.hand(session, bad, lambda bad=bad: session.on_frames([bad], self._now))

    def _reply(self, session: Session[Any], fetch: Fetch) -> None:
        body = self._source.answer(fetch.request)
        self._seen = [*self._seen[-50:], body]
        self.looks += 1
        if self.dice.random() < 0.6:
            body = self._mutator.mutate(body)
            self.watch.hand(session, body, lambda: session.on_reply(fetch.token, 200, body, self._now, self._mono))
        else:
            self.live += 1
            session.on_reply(fetch.token, 200, body, self._now, self._mono)


VENUES = (*sorted(SYMBOLS), *SOURCES)


def fuzz(venue: str, *, seed: int, messages: int, only: int = 0, quick: bool = False) -> dict[str, Any]:
    """Rounds of one venue until so many messages were mutated; with `only` that round. Raises Found.

    `quick` leaves out the captures, and how long a message takes.
    """
    began = time.process_time()
    make = ChainRound if venue in SOURCES else MarketRound
    done, events = Counter[str](), Counter[str]()
    worst_ns = worst_size = 0
    worst_memory = 0.0
    number = only or 1
    while done["messages"] < messages:
        one = make(venue, f"{seed}:{venue}:{number}", real=not quick)
        one.watch.timed = not quick
        try:
            one.run(make.MESSAGES if only else min(make.MESSAGES, messages - done["messages"]))
        except Found:
            print(f"again: python -m tests.fuzz.mutation --seed {seed} --venue {venue} --round {number}")
            print(f"message {one.watch.messages}: {escaped(one.watch.last, 4_000)}", flush=True)
            raise
        watch = one.watch
        done.update(messages=watch.messages, looks=one.looks, live=one.live)
        events.update(watch.events)
        if watch.worst_ns > worst_ns:
            worst_ns, worst_size = watch.worst_ns, watch.worst_size
        worst_memory = max(worst_memory, watch.worst_memory)
        if only:
            break
        number += 1
    return {
        "venue": venue,
        "messages": done["messages"],
        "malformed": events["Malformed"],
        "drifts": events["SchemaDrift"],
        "data events": sum(events[kind.__name__] for kind in (*MARKET_TYPES, *CHAIN_TYPES)),
        "sound %": round(100 * done["live"] / max(1, done["looks"])),
        "worst cpu ms": round(worst_ns / 1e6, 1),
        "of bytes": worst_size,
        "worst memory % of limit": round(100 * worst_memory),
        "cpu_s": round(time.process_time() - began, 1),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messages", type=int, default=20_000, help="mutated messages for each venue")
    parser.add_argument("--venue", choices=VENUES, action="append")
    parser.add_argument("--round", type=int, default=0, help="this round alone, as a failure names it")
    figures.argument(parser)
    args = parser.parse_args()
    figures.tell("mutation", args.figures, (_loaded(venue, args) for venue in args.venue or VENUES))


def _loaded(venue: str, args: argparse.Namespace) -> dict[str, Any]:
    """One venue, once its captures are read; and what was loaded is not looked at for rubbish again."""
    captured(venue)
    gc.collect()
    gc.freeze()
    return fuzz(venue, seed=args.seed, messages=args.messages, only=args.round)


if __name__ == "__main__":
    ctrl_c.ends(main)
