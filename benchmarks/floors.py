"""The least a client could do, written by hand: receive alone, or receive, one typed decode, one event, a callback.

They have no reconnect, no symbols, no ids checked, no time of receipt: nothing but what the work itself costs.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from websockets.asyncio.client import connect

Take = Callable[[bytes], None]
BEGIN = "{}"
"""What the server waits for before it sends; without an id it gets no ack."""


class WTrade(Struct):
    """The fields of a Binance trade that an event needs."""

    s: str
    t: int
    p: float
    q: float
    T: int
    m: bool


class WTradeFrame(Struct):
    """A trade in its envelope."""

    data: WTrade


class WDepth(Struct):
    """The fields of a Binance depth update that a book needs."""

    E: int
    s: str
    U: int
    u: int
    b: tuple[tuple[float, float], ...]
    a: tuple[tuple[float, float], ...]


class WDepthFrame(Struct):
    """A depth update in its envelope."""

    data: WDepth


class WSnapshot(Struct):
    """A depth snapshot over REST."""

    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


class Event(Struct, frozen=True, gc=False):
    """A trade for the callback."""

    venue: str
    symbol: str
    ts_event: int
    price: float
    size: float
    side: str
    id: int


decode_trade = msgspec.json.Decoder(WTradeFrame, strict=False).decode
decode_snapshot = msgspec.json.Decoder(WSnapshot, strict=False).decode
decode_depth = msgspec.json.Decoder(WDepthFrame, strict=False).decode


def trade_taker(handler: Callable[[Any], None]) -> Take:
    """Decode a trade, make the event, call the handler."""
    decode, event = decode_trade, Event

    def take(raw: bytes) -> None:
        t = decode(raw).data
        handler(event("binance", "BTC-USDT", t.T * 1_000_000, t.p, t.q, "sell" if t.m else "buy", t.t))

    return take


def depth_taker(handler: Callable[[Any], None]) -> Take:
    """Decode a depth update, call the handler; there is no book."""
    decode = decode_depth

    def take(raw: bytes) -> None:
        handler(decode(raw).data)

    return take


class _Listener(WSListener):
    """What picows calls."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, BEGIN.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            self._take(frame.get_payload_as_bytes())


async def by_picows(url: str, take: Take, finished: Callable[[], Any]) -> Any:
    """Receive with picows until `finished()` returns; gives what it returned."""
    transport, _ = await ws_connect(lambda request, response: _Listener(take), url)
    assert transport is not None
    try:
        return await finished()
    finally:
        transport.disconnect()
        await transport.wait_disconnected()


async def by_websockets(url: str, take: Take, finished: Callable[[], Any]) -> Any:
    """Receive with a `recv` loop of websockets until `finished()` returns; gives what it returned."""

    async def receive() -> None:
        while True:
            take(await connection.recv(decode=False))

    async with connect(url, compression=None, ping_interval=None, proxy=None) as connection:
        await connection.send(BEGIN)
        receiving = asyncio.create_task(receive())
        result = await finished()
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        return result


RECEIVERS = {"picows": by_picows, "websockets": by_websockets}
