"""The frame of a bot: trades and book of one market, decisions on a trusted book alone, a clean end.

python examples/bot_skeleton.py --sim --seconds 5
"""

import asyncio
from contextlib import suppress

from _source import run, venues

import marketfeed as mf

MARKET = "kraken:BTC-USD"


class Bot:
    """Follows one market. `ready` says whether it may act at all."""

    def __init__(self) -> None:
        self.ready = False
        self.seen = 0

    def on_trade(self, trade: mf.Trade, book: mf.TrustedBook) -> None:
        """Decide. `book` is as it was when this trade came."""
        self.seen += 1
        top = book.top()
        if not self.ready or top is None:
            return  # no proven book, no decision
        (bid, _), (ask, _) = top
        side = "lifts the ask" if trade.side == "buy" else "hits the bid"
        print(f"{trade.price:>12,.1f} x {trade.size:<12.8f} {side:<14} {bid:,.1f} / {ask:,.1f}")

    def hold(self, why: str) -> None:
        """Stop acting: take orders off the market here, before anything else."""
        if self.ready:
            print(f"hold: {why}")
        self.ready = False

    def go(self) -> None:
        """Act again."""
        self.ready = True
        print("the book is proven: go")


async def follow(events: mf.Consumer, bot: Bot) -> None:
    """Give a market's events to the bot, in order."""
    async for event in events:
        match event:
            case mf.Trade():
                bot.on_trade(event, events.book(event))
            case mf.BookSnapshot():
                bot.go()
            case mf.BookVoid(reason=reason):
                bot.hold(reason)
            case mf.Gap(channel="trades", healed=False, from_seq=first, to_seq=last, cause=cause):
                which = f"trades {first} to {last} are" if first else "trades may be"  # healed ones follow
                print(f"{which} missing ({cause}): volume and position need a look")
            case mf.Disconnected(reason=reason, retry_s=retry_s):
                # no reason to hold: where it costs the book, a `BookVoid` says so
                print(f"{reason}" + (f"; trying again in {retry_s:.1f} s" if retry_s else ""))


async def main(sim: bool, seconds: float | None) -> None:
    """Run until stopped, or for so long."""
    bot = Bot()
    async with venues(sim, "kraken") as settings, mf.Feed(settings) as feed:
        feed.subscribe(MARKET, trades=True, book=10)
        await feed.live(timeout=15)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await follow(feed.consumer(books=True), bot)
    print(f"done: {bot.seen} trades")


if __name__ == "__main__":
    run(main, __doc__)
