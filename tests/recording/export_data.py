"""A market whose true book is known at each moment, recorded as a dataset, for the tests of exports."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from marketfeed import events as ev
from marketfeed.recording import tables
from marketfeed.recording.layout import partition
from marketfeed.recording.times import DAY

MIDNIGHT = 20_550 * DAY
"""2026-04-07."""
SECOND = 10**9
VENUE, SYMBOL = "kraken", "BTC-USD"
HEAD: dict[str, Any] = {"venue": VENUE, "symbol": SYMBOL}

Sides = tuple[dict[Any, Any], dict[Any, Any]]


class Told(NamedTuple):
    """From this receive time on the book is this (None: not to be believed); `step` tells what happened."""

    ts: int
    book: Sides | None


class Made(NamedTuple):
    """All events in the order of the feed, and what was true."""

    events: list[ev.Head]
    truth: list[Told]

    def book(self, t: int) -> Sides | None:
        """The true book after all that was received up to and including `t`."""
        return next((told.book for told in reversed(self.truth) if told.ts <= t), None)

    def trades(self) -> list[Any]:
        return [event for event in self.events if isinstance(event, ev.Trade)]


def save(root: Path, events: Iterable[ev.Head], *, exact: bool = False, simulated: bool = False) -> Path:
    """As a recorder does, a file for each venue, channel and date."""
    held: dict[tuple[str, int], list[ev.Head]] = {}
    for event in events:
        held.setdefault((event.venue, event.ts_recv // DAY), []).append(event)
    for (venue, day), some in held.items():
        for channel, table in tables.to_tables(some, exact, simulated=simulated).items():
            folder = root / partition(venue, channel, day * DAY)
            folder.mkdir(parents=True, exist_ok=True)
            tables.write(table, folder / "1.parquet")
    return root


def market(number: Any = float, seed: int = 1, count: int = 1500) -> Made:
    """Over a midnight: a book that breaks, mends, is sent anew and waits for its snapshot; trades told late; a venue
    whose clock is behind, ahead, goes back, or is silent; a change that is missing without a word.
    """
    rng = random.Random(seed)
    now, epoch, seq = MIDNIGHT - 60 * SECOND, 0, 0
    book: Sides | None = None
    events: list[ev.Head] = []
    truth: list[Told] = []

    def price(side: int) -> Any:
        away = rng.randrange(1, 40)
        return number(str((1000 + (away if side else -away)) / 10))

    def size() -> Any:
        return number(str(rng.randrange(1, 10**6) / 10**4))

    def head(**more: Any) -> dict[str, Any]:
        late = rng.choice((0, 10**6, 3 * 10**7, 2 * SECOND, -(10**6)))
        ts_event = 0 if rng.random() < 0.1 else now - late
        return {**HEAD, "ts_event": ts_event, "ts_recv": now, "seq_local": len(events), **more}

    def told() -> None:
        truth.append(Told(now, None if book is None else (dict(book[0]), dict(book[1]))))

    def levels(side: int) -> tuple[tuple[Any, Any], ...]:
        assert book is not None
        return tuple(sorted(book[side].items(), reverse=not side))

    def delta(**more: Any) -> ev.BookDelta[Any]:
        nonlocal seq
        assert book is not None
        seq += 1
        changes: list[list[tuple[Any, Any]]] = [[], []]
        for side in (0, 1):
            for _ in range(rng.randrange(4)):
                at = price(side)
                if at in book[side] and rng.random() < 0.6:
                    del book[side][at]
                    changes[side].append((at, number("0")))
                else:
                    book[side][at] = size()
                    changes[side].append((at, book[side][at]))
        sides = {"bids": tuple(changes[0]), "asks": tuple(changes[1])}
        return ev.BookDelta(**head(**more), epoch=epoch, seq=seq, prev_seq=seq - 1, **sides)

    for _ in range(count):
        now += rng.choice((0, 0, 7_000_003, 300_000_000))
        roll = rng.random()
        if roll < 0.3:
            old = {"ts_event": now - 90 * SECOND} if rng.random() < 0.05 else {}
            trade = {"price": price(rng.randrange(2)), "size": size(), "side": rng.choice(("buy", "sell"))}
            events.append(ev.Trade(**head(**old), **trade, id=f"t{len(events)}"))
        elif roll < 0.4:
            quotes = {"bid": price(0), "bid_size": size(), "ask": price(1), "ask_size": size()}
            events.append(ev.Ticker(**head(), **(quotes if rng.random() < 0.8 else {"bid": price(0)})))
        elif book is None or roll < 0.43:
            epoch, seq = epoch + 1, rng.randrange(1000)
            book = tuple({price(side): size() for _ in range(rng.randrange(12))} for side in (0, 1))  # type: ignore[assignment]
            events.append(ev.BookSnapshot(**head(), epoch=epoch, seq=seq, bids=levels(0), asks=levels(1)))
            if rng.random() < 0.3:  # what waited for it was received before, and is told after it
                events.append(delta(ts_recv=now - 1, ts_event=now - 2))
            told()
        elif roll < 0.45:
            gap = {"channel": "book", "cause": "sequence", "ts_from": now - 5, "ts_to": now, "epoch": epoch}
            events.append(ev.Gap(**head(), **gap))
            events.append(ev.BookVoid(**head(), epoch=epoch, reason="hole"))
            book = None
            told()
        else:
            change = delta()
            if rng.random() < 0.01:  # it never came here, and nobody says so until the one after it
                change = delta()
                book = None
            events.append(change)
            told()
    return Made(events, truth)


def recorder(status: str, ts: int, **more: Any) -> ev.RecorderStatus:
    return ev.RecorderStatus(venue="recorder", status=status, ts_recv=ts, seq_local=10**9, **more)
