"""One bot, live and then on what was recorded meanwhile: it decides the same.

python examples/replay_bot.py --sim --seconds 5
"""

import asyncio
from tempfile import TemporaryDirectory

from _source import run, venues

import marketfeed as mf

MARKET = "kraken:BTC-USD"


async def bot(feed: mf.Feed) -> list[str]:
    """Be where the book leans, while it is proven; where the events come from is not the bot's business."""
    side, decisions = "out", []
    feed.subscribe(MARKET, trades=True, book=10)
    events = feed.consumer(books=True)
    await feed.live(timeout=15)
    async for event in events:
        wanted = side
        match event:
            case mf.Trade() if (lean := events.book(event).imbalance(3)) is not None:
                wanted = "long" if lean > 0.1 else "short" if lean < -0.1 else side
            case mf.BookVoid():
                wanted = "out"
        if wanted != side:
            side = wanted
            decisions.append(f"{event.ts_recv} {side:<5} at {events.book(event).top()}")
    return decisions


async def main(sim: bool, seconds: float | None) -> None:
    """Record so long, and run the bot on both."""
    with TemporaryDirectory() as folder:
        async with venues(sim, "kraken") as settings, mf.Feed(settings) as feed:
            recorder = mf.recording.Recorder(feed, folder, simulated=sim)
            async with recorder:
                running = asyncio.create_task(bot(feed))
                await asyncio.sleep(seconds or 10)
        live = await running
        async with mf.recording.Playback(folder, speed="max") as feed:
            again = await bot(feed)
    for decision in again[:10]:
        print(decision)
    same = again == live[: len(again)]
    print(f"{len(again)} decisions replayed: {'the same as live' if same else 'NOT THE SAME'}")
    print(f"{len(live) - len(again)} more were made live, between the end of the recording and that of the feed")


if __name__ == "__main__":
    run(main, __doc__)
