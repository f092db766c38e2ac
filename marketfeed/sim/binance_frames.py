"""Binance's payloads as text, to the digit. Source: binance-spot-api-docs, web-socket-streams.md."""

from __future__ import annotations

from .instruments import SimInstrument
from .market import Market
from .wire import Now, fixed


def wire_name(one: SimInstrument) -> str:
    """The venue's name, `BTCUSDT`."""
    return one.base + one.quote


def levels(one: SimInstrument, rows: list[tuple[int, int]]) -> str:
    """Levels as the venue writes them: eight digits after the point, whatever the tick."""
    return ",".join(f'["{fixed(price, one.tick, 8)}","{fixed(size, one.lot, 8)}"]' for price, size in rows)


def book_ticker(market: Market) -> str:
    """The best prices: no type, no time."""
    one = market.instrument
    bid, ask = market.best()
    b, B, a, A = (
        fixed(bid[0], one.tick, 8),
        fixed(bid[1], one.lot, 8),
        fixed(ask[0], one.tick, 8),
        fixed(ask[1], one.lot, 8),
    )
    return f'{{"u":{market.update_id},"s":"{wire_name(one)}","b":"{b}","B":"{B}","a":"{a}","A":"{A}"}}'


def day_ticker(market: Market, now: Now, unit_ns: int) -> str:
    """The rolling day."""
    one, day, last = market.instrument, market.day, market.last_trade
    bid, ask = market.best()

    def price(ticks: float) -> str:
        return f"{float(one.tick) * ticks:.8f}"

    at = now.unix // unit_ns
    return (
        f'{{"e":"24hrTicker","E":{at},"s":"{wire_name(one)}","p":"{price(last.fill.price - day.open)}",'
        f'"P":"{100 * (last.fill.price - day.open) / day.open:.3f}","w":"{price(day.vwap)}","x":"{price(day.open)}",'
        f'"c":"{fixed(last.fill.price, one.tick, 8)}","Q":"{fixed(last.fill.size, one.lot, 8)}",'
        f'"b":"{fixed(bid[0], one.tick, 8)}","B":"{fixed(bid[1], one.lot, 8)}",'
        f'"a":"{fixed(ask[0], one.tick, 8)}","A":"{fixed(ask[1], one.lot, 8)}",'
        f'"o":"{price(day.open)}","h":"{price(day.high)}","l":"{price(day.low)}",'
        f'"v":"{fixed(day.volume, one.lot, 8)}","q":"{fixed(day.turnover, one.tick * one.lot, 8)}",'
        f'"O":{at - 86_400 * 10**9 // unit_ns},"C":{at},"F":{last.id - day.trades + 1},"L":{last.id},"n":{day.trades}}}'
    )
