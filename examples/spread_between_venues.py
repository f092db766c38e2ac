"""What BTC-USD costs at one venue against the other, whenever it changes.

python examples/spread_between_venues.py --sim --seconds 5
"""

import asyncio
from contextlib import suppress
from typing import NamedTuple

from _source import run, venues

import marketfeed as mf

SYMBOL = "BTC-USD"
HERE, THERE = "coinbase", "kraken"


class Quote(NamedTuple):
    """Best prices of one venue."""

    bid: float
    ask: float


def basis_points(buy: Quote, sell: Quote) -> float:
    """What is left of buying at one ask and selling at the other bid, before fees."""
    return (sell.bid - buy.ask) / buy.ask * 10_000


async def follow(events: mf.Consumer) -> None:
    """Keep the newest quote of each venue while it can be believed, and print both directions."""
    quotes: dict[str, Quote] = {}
    shown: tuple[Quote, Quote] | None = None
    async for event in events:
        match event:
            case mf.Ticker(venue=venue, bid=bid, ask=ask) if bid is not None and ask is not None:
                quotes[venue] = Quote(bid, ask)
            case mf.Gap(venue=venue) | mf.Disconnected(venue=venue) | mf.Stale(venue=venue):
                if quotes.pop(venue, None):
                    print(f"{venue}: the last quote is not to be trusted any more")
        if len(quotes) == 2 and (quotes[HERE], quotes[THERE]) != shown:
            here, there = shown = quotes[HERE], quotes[THERE]
            print(
                f"{HERE} {here.bid:,.2f} / {here.ask:,.2f}   {THERE} {there.bid:,.2f} / {there.ask:,.2f}   "
                f"buy {HERE}: {basis_points(here, there):+7.2f} bp   buy {THERE}: {basis_points(there, here):+7.2f} bp"
            )


async def main(sim: bool, seconds: float | None) -> None:
    """Run until stopped, or for so long."""
    async with venues(sim, HERE, THERE) as settings, mf.Feed(settings) as feed:
        events = feed.consumer()
        feed.subscribe(f"{HERE}:{SYMBOL}", f"{THERE}:{SYMBOL}", ticker=True)
        await feed.live(timeout=15)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await follow(events)


if __name__ == "__main__":
    run(main, __doc__)
