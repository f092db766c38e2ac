"""Record a day of two venues, and say what came and what is missing.

python examples/record_a_day.py --sim --seconds 5
"""

import asyncio
from contextlib import suppress

from _source import run, venues

import marketfeed as mf

FOLDER = "recorded"
MARKETS = ["coinbase:BTC-USD", "kraken:BTC-USD"]
DAY_S = 86_400.0


async def tell(events: mf.Consumer) -> None:
    """Say what is lost, as it happens. The recording holds the same events."""
    async for event in events:
        match event:
            case mf.Gap(venue=venue, symbol=symbol, channel=channel, cause=cause):
                print(f"gap: {venue}:{symbol}:{channel}: {cause}")
            case mf.RecorderStatus(status=status, detail=detail, events=count) if status != "started":
                print(f"recorder: {status} {count or ''} {detail}".rstrip())


def show() -> None:
    """What the folder holds now: this run, and those before."""
    from marketfeed.recording.overview import overview  # noqa: PLC0415 # it needs [parquet]
    from marketfeed.recording.times import iso  # noqa: PLC0415 # the same

    found = overview(FOLDER)
    for stream in found.streams:
        print(f"{stream.venue:<9} {stream.channel:<11} {stream.rows:>9,} rows {stream.bytes / 1e6:>8.2f} MB")
    for loss in found.missing:
        until = "no known end" if loss.ts_to is None else iso(loss.ts_to)
        print(f"missing: {iso(loss.ts_from)} to {until}: {loss.venue or 'all venues'} {loss.channel}: {loss.cause}")


async def main(sim: bool, seconds: float | None) -> None:
    """A day, or for so long. What is in the journal at the end is sealed as the recorder is left."""
    async with venues(sim, "coinbase", "kraken") as settings, mf.Feed(settings) as feed:
        losses = feed.consumer(lambda event: isinstance(event, mf.Gap | mf.RecorderStatus))
        async with mf.recording.Recorder(feed, FOLDER, rotate_s=3600, simulated=sim) as recorder:
            feed.subscribe(*MARKETS, trades=True, ticker=True, book=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds or DAY_S):
                    await tell(losses)
        print(f"recorded {recorder.events:,} events")
    show()


if __name__ == "__main__":
    run(main, __doc__)
