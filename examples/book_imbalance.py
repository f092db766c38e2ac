"""Which side of the book is heavier, four times a second, and what a market order of 1 BTC would pay.

python examples/book_imbalance.py --sim --seconds 5
"""

import asyncio
from contextlib import suppress

from _source import run, venues

import marketfeed as mf

MARKET = "kraken:BTC-USD"
LEVELS = 10
SIZE = 1.0
EVERY_S = 0.25
HALF = 20


def bar(imbalance: float) -> str:
    """-1 to 1 as a bar that grows to the left for asks and to the right for bids."""
    filled = round(abs(imbalance) * HALF)
    left, right = ("", "#" * filled) if imbalance >= 0 else ("#" * filled, "")
    return f"{left:>{HALF}}|{right:<{HALF}}"


def paid(price: float | None) -> str:
    """An average price, or that there is not enough."""
    return "not enough" if price is None else f"{price:,.1f}"


def show(book: mf.TrustedBook) -> None:
    """One line. Reading raises BookNotTrusted where the book is not proven, so nothing wrong can be shown."""
    try:
        imbalance = book.imbalance(LEVELS) or 0.0
        print(f"{imbalance:+.2f} {bar(imbalance)}  buy {paid(book.vwap('buy', SIZE))}", end="")
        print(f"  sell {paid(book.vwap('sell', SIZE))}")
    except mf.BookNotTrusted as exc:
        print(f"waiting: {exc}")


async def look(feed: mf.Feed) -> None:
    """The feed keeps the book by itself: whoever only looks now and then needs no events."""
    while True:
        show(feed.book(MARKET))
        await asyncio.sleep(EVERY_S)


async def main(sim: bool, seconds: float | None) -> None:
    """Run until stopped, or for so long."""
    async with venues(sim, "kraken") as settings, mf.Feed(settings) as feed:
        feed.subscribe(MARKET, book=100)
        await feed.live(timeout=15)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await look(feed)


if __name__ == "__main__":
    run(main, __doc__)
