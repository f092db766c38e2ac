"""From the socket to a handler: the floors and a whole `Feed`, against the same server."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal

import marketfeed as mf

from . import floors
from .measure import Meter, Row, Scale, best, rows
from .server import Load

Read = Literal["handler", "async for", "batches"]
RATE = 10_000
"""Messages a second of a paced stream."""


def trades(port: int, scale: Scale) -> list[Row]:
    """Trades as fast as they can be read, both transports."""
    load = Load("trades", scale.messages, 0)
    variants = {}
    for transport in ("picows", "websockets"):
        variants[f"trades, {transport}: bare receive"] = _floor(port, load, transport, lambda handler: handler)
        variants[f"trades, {transport}: floor by hand"] = _floor(port, load, transport, floors.trade_taker)
        variants[f"trades, {transport}: Feed.on"] = _feed(port, load, transport)
    for read in ("async for", "batches"):
        variants[f"trades, picows: Feed {read}"] = _feed(port, load, "picows", read=read)
    variants["trades, picows: Feed.on, exact"] = _feed(port, load, "picows", exact=True)
    variants["trades, picows: Feed batches, exact"] = _feed(port, load, "picows", read="batches", exact=True)
    against = {name: _own_floor(name) for name in variants if "bare" not in name and "floor" not in name}
    found = rows(best(variants, scale.rounds), against)
    bare, feed = (_named(found, f"trades, websockets: {what}") for what in ("bare receive", "Feed.on"))
    found.append(
        Row("trades, websockets: Feed.on, to bare", feed.value, floor=bare.name, ratio=feed.value / bare.value)
    )
    return found


def depth(port: int, scale: Scale) -> list[Row]:
    """Depth frames of 28 levels with the book of 1,000 levels a side kept, beside receive and decode without a book."""
    count = scale.of(0.2)
    variants = {
        f"depth, {transport}: floor by hand": _floor(port, Load("changes", count, 0), transport, floors.depth_taker)
        for transport in ("picows", "websockets")
    }
    load = Load("book", count, 0)
    for transport in ("picows", "websockets"):
        variants[f"depth, {transport}: Feed with its book"] = _feed(port, load, transport)
    variants["depth, picows: Feed with its book, exact"] = _feed(port, load, "picows", exact=True)
    against = {name: _own_floor(name) for name in variants if "floor" not in name}
    return rows(best(variants, scale.rounds), against)


def latency(port: int, scale: Scale) -> list[Row]:
    """A paced stream of trades: from the server's write to the handler, and the CPU when frames come singly."""
    load = Load("trades", scale.of(0.5), RATE)
    delays: dict[str, list[int]] = {}
    variants = {}
    for transport in ("picows", "websockets"):
        name = f"paced, {transport}: floor by hand"
        variants[name] = _floor(port, load, transport, floors.trade_taker, delays.setdefault(name, []))
        name = f"paced, {transport}: Feed.on"
        variants[name] = _feed(port, load, transport, delays=delays.setdefault(name, []))
    against = {name: _own_floor(name) for name in variants if "floor" not in name}
    found = rows(best(variants, max(2, scale.rounds // 2)), against)
    for row in found:
        parts = (f"p{share * 100:g} {_quantile(delays[row.name], share):.0f} us" for share in (0.5, 0.99, 0.999))
        row.detail = "latency " + ", ".join(parts)
    return found


def _own_floor(name: str) -> str:
    """The hand-written client of the same load and transport."""
    return name.partition(":")[0] + ": floor by hand"


def _named(found: list[Row], name: str) -> Row:
    return next(row for row in found if row.name == name)


def _quantile(delays: list[int], share: float) -> float:
    ordered = sorted(delays)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000


def _handler(meter: Meter, delays: list[int] | None) -> Callable[[Any], None]:
    """Count; where delays are wanted, note them too, for every stream whose times are the monotonic clock's."""
    note = meter.counter()
    if delays is None:
        return note
    clock, keep = time.monotonic_ns, delays.append

    def handler(trade: Any) -> None:
        keep(clock() - trade.ts_event // 1000)
        note(trade)

    return handler


def _floor(
    port: int,
    load: Load,
    transport: str,
    taker: Callable[[Callable[[Any], None]], floors.Take],
    delays: list[int] | None = None,
) -> Callable[[], float]:
    async def main() -> float:
        meter = Meter(load.messages)
        url = f"ws://127.0.0.1:{port}{load.path}/stream"
        cost: float = await floors.RECEIVERS[transport](url, taker(_handler(meter, delays)), meter.finished)
        return cost

    return lambda: float(mf.run(main()))


def _feed(
    port: int,
    load: Load,
    transport: str,
    *,
    read: Read = "handler",
    exact: bool = False,
    delays: list[int] | None = None,
) -> Callable[[], float]:
    """A whole feed of one stream.

    Its queue holds the whole load, since a loop that reads a socket which never runs dry lets no reader run
    for megabytes at a time.
    """
    address = f"127.0.0.1:{port}{load.path}"
    settings = {"binance": mf.VenueSettings(ws=f"ws://{address}", rest=f"http://{address}")}
    kind: type[Any] = mf.Trade if load.kind == "trades" else mf.BookDelta

    async def main() -> float:
        meter = Meter(load.messages)
        handler = _handler(meter, delays)
        async with mf.Feed(settings, transport=transport, exact=exact, max_events=load.messages + 100) as feed:
            feed.subscribe("binance:BTC-USDT", trades=kind is mf.Trade, book=kind is mf.BookDelta)
            if read == "handler":
                feed.on(kind, handler)
            else:
                async with asyncio.timeout(120):
                    await (_iterate if read == "async for" else _batches)(feed, kind, handler, meter)
            cost = await meter.finished()
            _check(feed, load)
        return cost

    return lambda: float(mf.run(main()))


async def _iterate(feed: mf.Feed, kind: type[Any], handler: Callable[[Any], None], meter: Meter) -> None:
    async for event in feed:
        if type(event) is kind:
            handler(event)
            if meter.done:
                return


async def _batches(feed: mf.Feed, kind: type[Any], handler: Callable[[Any], None], meter: Meter) -> None:
    async for events in feed.batches():
        for event in events:
            if type(event) is kind:
                handler(event)
        if meter.done:
            return


def _check(feed: mf.Feed, load: Load) -> None:
    """A figure for work that was not done right is worth nothing."""
    counts = feed.counts()["binance"]
    wrong = counts.malformed or counts.links_broken or counts.ignored or counts.unproven
    if wrong or (load.kind == "book" and not feed.book("binance:BTC-USDT").live):
        raise RuntimeError(f"the feed did not read the server's stream: {counts}")
