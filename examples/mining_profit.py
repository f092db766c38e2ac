"""What a rig earns a day, told whenever the price or the chain moves.

python examples/mining_profit.py --sim --seconds 5
"""

import asyncio
from contextlib import aclosing, suppress

from _source import run, venues

import marketfeed as mf

RIG = mf.mining.make_rig("270TH/s", "3645W", "sha256", name="one S21 XP")
ELECTRICITY = "00:00-06:00=0.04,06:00-24:00=0.07"
"""USD a kWh, by time of day (UTC)."""
PRICES = ["coinbase", "kraken"]
CHAIN = ["mempool"]


def show(profit: mf.MiningProfit) -> None:
    """One line. What is not known is None, and what is old is named: nothing is made up."""
    (term,) = profit.terms
    if profit.profit_day is None or profit.breakeven_price is None or term.price is None:
        print(f"{profit.trigger:<10} not known, for want of {', '.join(profit.stale)}")
        return
    print(
        f"{profit.trigger:<10} block {term.height:,}  {term.price:>10,.2f} USD  "
        f"profit {profit.profit_day:+.5f} USD a day, 0 at {profit.breakeven_price:,.0f}",
        f"  STALE: {', '.join(profit.stale)}" if profit.stale else "",
        sep="",
    )


async def watch(feed: mf.Feed) -> None:
    """The stream subscribes to what it needs, and ends it when it is closed."""
    profits = mf.mining.stream(
        feed,
        coins=["BTC"],
        rigs=[RIG],
        electricity=ELECTRICITY,
        venues=PRICES,
        sources=CHAIN,
        pool_fee=0.02,
        limits=mf.mining.Limits(dead_band=0.0, min_interval_s=0.5),  # the least move is told, twice a second at most
    )
    async with aclosing(profits):
        async for profit in profits:
            show(profit)


async def main(sim: bool, seconds: float | None) -> None:
    """Run until stopped, or for so long."""
    async with venues(sim, *PRICES, *CHAIN) as settings, mf.Feed(settings) as feed:
        watching = asyncio.create_task(watch(feed))
        await asyncio.wait([watching], timeout=seconds)
        waiting = feed.waiting()  # before the profits end, and with them what they need
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        if waiting:
            raise mf.NotLive(waiting)


if __name__ == "__main__":
    run(main, __doc__)
