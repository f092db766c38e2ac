"""Kraken's frames as text, to the digit. Source: docs.kraken.com, WebSocket v2."""

from __future__ import annotations

import zlib

from .instruments import SimInstrument
from .market import Market, Print
from .wire import Frame, rfc3339


def wire_name(instrument: SimInstrument) -> str:
    """The v2 name, `BTC/USD`."""
    return f"{instrument.base}/{instrument.quote}"


def checksum(asks: list[tuple[str, str]], bids: list[tuple[str, str]]) -> int:
    """The v2 CRC32 over (price, qty) texts at full precision, best first, ten levels a side ("Book checksum v2")."""
    parts = [number.replace(".", "").lstrip("0") for side in (asks, bids) for level in side[:10] for number in level]
    return zlib.crc32("".join(parts).encode())


def _texts(one: SimInstrument, levels: list[tuple[int, int]]) -> list[tuple[str, str]]:
    """Prices and sizes with all the digits of the pair's precision: the checksum is over these."""
    return [
        (f"{one.price(price):.{one.price_digits}f}", f"{one.size(size):.{one.size_digits}f}") for price, size in levels
    ]


def book_frame(market: Market, kind: str, bids: list[tuple[int, int]], asks: list[tuple[int, int]], at: int) -> Frame:
    """A book frame; the checksum is over the best ten as they are now."""
    one = market.instrument
    sides = [",".join(f'{{"price":{p},"qty":{q}}}' for p, q in _texts(one, side)) for side in (bids, asks)]
    crc = checksum(_texts(one, market.asks.top(10)), _texts(one, market.bids.top(10)))
    return Frame(
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{wire_name(one)}","bids":[{sides[0]}],'
        f'"asks":[{sides[1]}],"checksum":{crc},"timestamp":"{rfc3339(at, 6)}"}}]}}'
    )


def trade_row(symbol: str, one: SimInstrument, report: Print) -> str:
    """`side` is the taker's."""
    [(price, size)] = _texts(one, [(report.fill.price, report.fill.size)])
    side = "buy" if report.fill.taker == "bid" else "sell"
    return (
        f'{{"symbol":"{symbol}","side":"{side}","price":{price},"qty":{size},"ord_type":"limit",'
        f'"trade_id":{report.id},"timestamp":"{rfc3339(report.at, 6)}"}}'
    )


def ticker_row(market: Market, at: int) -> str:
    """A ticker row, with the day's figures."""
    one, day, last = market.instrument, market.day, market.last_trade.fill
    (bid, bid_qty), (ask, ask_qty) = _texts(one, list(market.best()))
    low, high, final, change = (
        f"{one.price(n):.{one.price_digits}f}" for n in (day.low, day.high, last.price, last.price - day.open)
    )
    return (
        f'{{"symbol":"{wire_name(one)}","bid":{bid},"bid_qty":{bid_qty},"ask":{ask},"ask_qty":{ask_qty},"last":{final},'
        f'"volume":{one.size(day.volume):.{one.size_digits}f},"vwap":{float(one.tick) * day.vwap:.{one.price_digits}f},'
        f'"low":{low},"high":{high},"change":{change},"change_pct":{100 * (last.price - day.open) / day.open:.2f},'
        f'"timestamp":"{rfc3339(at, 6)}"}}'
    )


def pair_row(one: SimInstrument) -> str:
    """A row of the instrument channel."""
    return (
        f'{{"symbol":"{wire_name(one)}","base":"{one.base}","quote":"{one.quote}","status":"online",'
        f'"qty_precision":{one.size_digits},"qty_increment":{one.lot:f},"price_precision":{one.price_digits},'
        f'"price_increment":{one.tick:f},"cost_precision":5,"cost_min":0.5,"qty_min":0.0001,"marginable":true,"has_index":true}}'
    )
