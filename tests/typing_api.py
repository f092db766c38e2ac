"""How users' code looks to a type checker; mypy --strict reads this file in `test_exports.py`, nothing runs it."""

from decimal import Decimal
from typing import assert_type

import marketfeed as mf


def numbers_are_floats_unless_said_otherwise(trade: mf.Trade, exact: mf.Trade[Decimal]) -> None:
    assert_type(trade.price, float)
    assert_type(exact.price, Decimal)
    assert_type(trade.id, str)


def a_ticker_may_lack_a_price(ticker: mf.Ticker) -> None:
    assert_type(ticker.bid, float | None)


def books(book: mf.TrustedBook, snapshot: mf.BookSnapshot) -> None:
    assert_type(book.top(), tuple[tuple[float, float], tuple[float, float]] | None)
    assert_type(book.bids(5), list[tuple[float, float]])
    assert_type(book.vwap("buy", 1.0), float | None)
    assert_type(snapshot.bids, tuple[tuple[float, float], ...])


def events(event: mf.Event) -> str:
    match event:
        case mf.Trade(symbol=symbol, price=price, side=side):
            assert_type(price, float)
            return f"{symbol} {price} {side}"
        case mf.BookSnapshot(epoch=epoch) | mf.BookDelta(epoch=epoch):
            assert_type(epoch, int)
            return str(epoch)
        case mf.Gap(channel=channel, from_seq=first, to_seq=last):
            return f"{channel} {first} {last}"
        case mf.Disconnected(retry_s=seconds):
            assert_type(seconds, float)
            return str(seconds)
        case _:
            return event.venue


async def main() -> None:
    async with mf.Feed() as feed:
        feed.subscribe("coinbase:BTC-USD", trades=True, book=10)
        async for event in feed:
            match event:
                case mf.Trade(price=price):
                    print(price)
                case mf.BookDelta() | mf.BookSnapshot():
                    print(feed.book(event).top())


if __name__ == "__main__":
    mf.run(main())
