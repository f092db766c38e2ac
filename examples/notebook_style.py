# ruff: noqa: F704, PLE1142 # await outside a function is what notebook cells are for
"""Cells for a notebook, where a loop runs already: paste them, or open this file as one.

Outside a notebook: python examples/run_cells.py examples/notebook_style.py --sim --seconds 5
"""

# %% A feed that stays open from cell to cell. It starts no loop of its own.
import asyncio
from contextlib import AsyncExitStack

from _source import options, venues

import marketfeed as mf

chosen = options(__doc__)
stack = AsyncExitStack()
settings = await stack.enter_async_context(venues(chosen.sim, "kraken"))
feed = await stack.enter_async_context(mf.Feed(settings))

# %% Ask for streams, and wait until they flow.
feed.subscribe("kraken:BTC-USD", "kraken:ETH-USD", trades=True, book=10)
await feed.live(timeout=15)
print(feed.instrument("kraken:BTC-USD"))

# %% Look at a book, as often as this cell is run.
book = feed.book("kraken:BTC-USD")
print("bids", book.bids(3))
print("asks", book.asks(3))

# %% Take some trades. A consumer of this cell alone, closed at its end: one left unread would fall behind.
trades = feed.consumer(lambda event: isinstance(event, mf.Trade))
taken: list[mf.Trade] = []
async for event in trades:
    taken.append(event)
    if len(taken) == 10:
        break
trades.close()
for trade in taken:
    print(f"{trade.symbol:<8} {trade.side:<4} {trade.price:>10,.2f} {trade.size:.8f}")

# %% Count in the background while other cells run.
seen = {"buy": 0.0, "sell": 0.0}


def count(trade: mf.Trade) -> None:
    """Called with every trade as it comes: it must be quick."""
    seen[trade.side] += trade.size * trade.price


feed.on(mf.Trade, count)
await asyncio.sleep(chosen.seconds or 5)
print({side: round(value) for side, value in seen.items()})

# %% Close it.
await stack.aclose()
