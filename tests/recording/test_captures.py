"""Real payloads, served over a socket and recorded: what is read back is what was told live, digest for digest."""

import asyncio
from bisect import bisect_right
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

import marketfeed as mf
from marketfeed import sim
from marketfeed.events import Head, RecorderStatus

from ..loopback.rig import plain

pytest.importorskip("pyarrow")

from marketfeed.recording import Digest, RawRecorder, Recorder, Replay, Rerun  # needs pyarrow
from marketfeed.recording import open as open_recording

CAPTURES = [
    pytest.param("binance/spot-btcusdt-hftbacktest202408.jsonl.gz", marks=pytest.mark.soak),
    pytest.param("binance/spot-multi-cryptofeed202104.jsonl.gz", marks=pytest.mark.soak),
    "binance/spot-multi-cryptofeed202110.jsonl.gz",
    pytest.param("coinbase/advanced-multi-cryptofeed202608.jsonl.gz", marks=pytest.mark.soak),
    "kraken/book-v2-btcusd-d10-mhadiamiri202607.jsonl",
    "kraken/book-v2-btcusd-gap-mhadiamiri202607.jsonl",
]
TIMES = 25
"""Random times of each market at which its book is rebuilt."""


class Live:
    """All that was told, and the best levels of each book after each of its events."""

    def __init__(self, feed: mf.Feed) -> None:
        self.events: list[Head] = []
        self.tops: dict[str, list[tuple[int, Any]]] = {}
        self._feed = feed
        for kind in Head.__subclasses__():
            feed.on(kind, self._take)

    def _take(self, event: Head) -> None:
        self.events.append(event)
        if isinstance(event, mf.BookSnapshot | mf.BookDelta | mf.BookVoid):
            book = self._feed.book(event)
            whole = (list(book.bids()), list(book.asks())) if book.live else None
            states = self.tops.setdefault(event.symbol, [])
            before = states[-1][0] if states else 0  # what waited for a snapshot is older than that
            states.append((max(event.ts_recv, before), whole))


def digest(events: list[Head]) -> str:
    found = Digest()
    for event in events:
        found.add(event)
    return found.hexdigest()


def voids(events: list[Head]) -> list[str]:
    """Why books were void before the recording's end, by which a difference of digests is understood."""
    reasons = [event.reason for event in events if isinstance(event, mf.BookVoid)]
    return [reason for reason in reasons if not reason.endswith("end of recording")]


@pytest.mark.parametrize("name", CAPTURES)
def test_a_recorded_capture_is_what_was_told_live(name: str, captures: Path, tmp_path: Path) -> None:
    path = captures / name
    if not path.exists():
        pytest.skip(f"no {name} among the captures")
    live: list[Live] = []

    @plain
    async def run() -> None:
        async with sim.serve_capture(path, once=True) as plant:
            venue = plant.source.venue
            at, asked = plant.endpoints[venue], plant.source.tail_command()
            names = [f"{venue}:{word}" for word in asked[1 : asked.index("--venue")]]
            depth = next((word.partition("=")[2] for word in asked if word.startswith("--book")), None)
            book = False if depth is None else int(depth) if depth else True
            async with mf.Feed({venue: mf.VenueSettings(ws=at.ws, rest=at.rest)}) as feed, AsyncExitStack() as stack:
                live.append(Live(feed))
                await stack.enter_async_context(Recorder(feed, tmp_path, rotate_s=1.0, simulated=True))
                await stack.enter_async_context(RawRecorder(feed, tmp_path / "_raw", rotate_bytes=200_000))
                left = asyncio.Event()
                feed.on(mf.Disconnected, lambda _: left.set())
                channels: Any = {"trades": "--trades" in asked, "ticker": "--ticker" in asked, "book": book}
                feed.subscribe(*names, **channels)
                async with asyncio.timeout(60):
                    await plant.finished()
                    await left.wait()
                feed.unsubscribe(*names, **channels)  # a slow disk would have it served once more

    run()
    (told,) = live
    data = open_recording(tmp_path)
    recorded = sorted(data.events(), key=lambda event: event.seq_local)
    ended = next(i for i, e in enumerate(told.events) if isinstance(e, RecorderStatus) and e.status == "ended")
    told.events = told.events[: ended + 1]
    assert recorded == told.events
    replayed = [*Replay(path)]
    assert voids(told.events) == voids(replayed)
    market = digest(replayed)
    assert digest(recorded) == digest(told.events) == market
    rerun = Rerun(tmp_path / "_raw")
    again = list(rerun)
    of_venues = [e for e in told.events if not isinstance(e, RecorderStatus | mf.LoopLag | mf.ClockStep)]
    assert again == of_venues[: len(again)]
    assert digest(again) == market
    assert (rerun.unlike, rerun.torn) == ([], [])
    dice = Random(7)
    for symbol, found in told.tops.items():
        states = [one for one in found if one[0] <= told.events[-1].ts_recv]
        times = [ts for ts, _ in states]
        for _ in range(TIMES):
            t = dice.randint(times[0], times[-1])
            _, whole = states[bisect_right(times, t) - 1]
            book_then = data.book_at(data.venues[0], symbol, t)
            levels = (list(book_then.bids()), list(book_then.asks())) if book_then.live else None
            assert levels == whole, (symbol, t)
