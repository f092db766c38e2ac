"""What tests of a recorder share: a feed that is told events, a clock that is moved, a recording on a crashing disk."""

import asyncio
import hashlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import marketfeed as mf
from marketfeed import events as ev
from marketfeed.recording.manifest import manifests
from marketfeed.recording.recorder import Recorder
from marketfeed.recording.seal import PART
from marketfeed.recording.tables import to_events

from .crash_disk import CrashDisk

ROOT = Path("/data")
MIDNIGHT = 20_550 * 86_400 * 10**9
SECOND = 10**9


class Hands:
    """A clock that is moved by hand, also from the recorder's thread's point of view."""

    def __init__(self) -> None:
        self.now = 5 * SECOND
        self.seen = False
        """Whether the recorder's thread has looked since it was moved."""

    def unix_ns(self) -> int:
        return MIDNIGHT + self.now

    def mono_ns(self) -> int:
        self.seen = True
        return self.now

    def move(self, seconds: float) -> None:
        self.seen = False
        self.now += int(seconds * SECOND)


class Run:
    """A feed, everything that is heard of it, and recorders on one folder."""

    def __init__(self, feed: mf.Feed, path: Path = ROOT, disk: CrashDisk | None = None) -> None:
        self.feed = feed
        self.path = path
        self.disk = disk
        self.clock = Hands()
        self.told = 0
        self.events: list[Any] = []
        """All that was heard of the feed."""
        for kind in ev.EVENT_TYPES:
            feed.on(kind, self.events.append)

    def recorder(self, **options: Any) -> Recorder:
        options = {"flush_s": 0.001, "disk": self.disk, "clock": self.clock} | options
        return Recorder(self.feed, self.path, **options)

    def tell(self, count: int) -> None:
        """So many trades, a nanosecond apart, numbered in their ids."""
        for _ in range(count):
            self.told += 1
            head = {"venue": "kraken", "symbol": "BTC-USD", "ts_recv": self.clock.unix_ns() - SECOND + self.told}
            self.feed.tell(ev.Trade, **head, price=float(self.told), size=1.0, side="buy", id=str(self.told))

    def statuses(self) -> list[str]:
        return [event.status for event in self.events if isinstance(event, ev.RecorderStatus)]

    def status(self, name: str) -> Any:
        """The first of that name."""
        return next(e for e in self.events if isinstance(e, ev.RecorderStatus) and e.status == name)

    async def until(self, condition: Callable[[], Any], move_s: float = 0.0) -> None:
        """Wait for what the recorder's thread does; the clock moves by so much each time that it has looked.

        A thread that waits for a core would find that seconds have passed between two of its lines.
        """
        async with asyncio.timeout(20):
            while not condition():
                if self.clock.seen:
                    self.clock.move(move_s)
                await asyncio.sleep(0.001)

    async def idle(self, recorder: Recorder, move_s: float = 0.25) -> None:
        """Until all that was told is written."""
        await asyncio.sleep(0.001)
        writer = recorder._writer
        assert writer is not None
        await self.until(lambda: not len(recorder._consumer) and not writer.waiting and not writer._refused, move_s)


@cache
def in_file(channel: str, data: bytes) -> list[ev.Head]:
    return to_events(channel, pq.ParquetFile(BytesIO(data)).read(use_threads=False))


def sealed(disk: CrashDisk, *, finished: bool = True) -> list[Any]:
    """All events of files that count, in the order of passes and files; each file is checked to be whole."""
    found: list[ev.Head] = []
    named = set()
    for manifest in manifests(disk, ROOT):
        passed: list[ev.Head] = []
        for entry in manifest.files:
            path = str(ROOT / entry.path)
            named.add(path)
            data = disk.read(path if path in disk.names else path + PART)
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256), path
            made = in_file(path.split("channel=")[1].split("/", maxsplit=1)[0], data)
            assert sum(map(rows, made)) == entry.rows
            assert {e.ts_recv for e in made} >= {entry.ts_from, entry.ts_to}
            passed += made
        assert len(passed) == manifest.events
        found += passed
    seen = {path for path in disk.names if path.endswith(".parquet")}
    assert seen == named if finished else seen <= named, "what a reader sees counts"
    assert not finished or not [path for path in disk.names if path.endswith(PART)]
    return found


def rows(event: Any) -> int:
    """Of the event's table: a book has one a level."""
    return max(1, len(getattr(event, "bids", ())) + len(getattr(event, "asks", ())))


def trades(events: list[Any]) -> list[int]:
    """The numbers of the trades among some events."""
    return [int(event.id) for event in events if isinstance(event, ev.Trade)]
