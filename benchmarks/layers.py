"""One layer at a time, without sockets: decoder, session, stream, book, Kraken's checksum, fan-out, memory."""

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import marketfeed as mf
from marketfeed.book import Book
from marketfeed.clock import SystemClock
from marketfeed.commands import Fetch, Send
from marketfeed.consumer import Consumer
from marketfeed.hub import Hub
from marketfeed.outlet import Outlet
from marketfeed.session import Session
from marketfeed.streams import Streams, TradeStream
from marketfeed.subscriptions import Channel, Subscription
from marketfeed.transport import SLICE
from marketfeed.venues import binance, kraken
from marketfeed.venues._spec import Context, LinkPlan, Venue

from . import floors, frames
from .measure import Row, Scale, best, rows, timed

Prepare = Callable[[], Callable[[], int]]
SECOND = 1_000_000_000
ROUNDS = 3
"""Rounds here for one over a socket: they are short."""


class _NullPort:
    """A port that takes everything and does nothing: what is left is the decoder's own work."""

    def __init__(self) -> None:
        self.trades = self.tickers = self.books = dict.fromkeys(["BTCUSDT", "BTC/USD"], self)

    def trade(self, *_args: Any) -> None:
        pass

    def delta(self, *_args: Any) -> None:
        pass


class Talk:
    """One session, subscribed and with its book joined; what it emits is let go at once, as a hub does."""

    def __init__(self, venue: Venue, symbol: str, channel: Channel, *, exact: bool = False, depth: int = 0) -> None:
        self.events: list[Any] = []
        listing = frames.exchange_info() if venue is binance.VENUE else frames.KRAKEN_PAIRS
        known: list[mf.Instrument[Any]] = [
            instrument if exact else instrument.as_floats() for instrument in venue.instruments(listing)
        ]
        wanted = Subscription(venue.name, symbol, channel, depth)
        streams: Streams[Any] = Streams(Outlet(self.events.append))
        self.session: Session[Any] = Session(
            venue, LinkPlan("wss://x", (wanted,)), streams, {i.symbol: i for i in known}, link="x", exact=exact
        )
        self.session.on_open(SECOND, SECOND)
        self.session.on_tick(2 * SECOND, SECOND)
        assert any(isinstance(command, Send) for command in self.session.commands)
        self.session.commands.clear()

    def join(self, first: bytes, snapshot: bytes) -> None:
        """Join a book over REST: its first change makes the session ask for the snapshot."""
        self.session.on_frame(first, SECOND)
        fetch = next(command for command in self.session.commands if isinstance(command, Fetch))
        self.session.commands.clear()
        self.session.on_reply(fetch.token, 200, snapshot, SECOND, 3 * SECOND)

    def read(self, raw: list[bytes]) -> int:
        """Give it frames; every one must be good."""
        on_frames, events = self.session.on_frames, self.events
        for start in range(0, len(raw), SLICE):
            on_frames(raw[start : start + SLICE], SECOND)
            events.clear()
        counts = self.session.counts
        wrong = counts.malformed + counts.links_broken + counts.checksums_bad + counts.unproven
        assert not wrong, counts
        return len(raw)


def decode(scale: Scale) -> list[Row]:
    """Binance's decoder with nothing behind it, beside the typed decode alone."""
    trades, changes = list(frames.trades(scale.of(0.5))), frames.depth(scale.of(0.05))[1]
    variants = {
        "decode trade: msgspec alone": timed(lambda: _each(floors.decode_trade, trades)),
        "decode trade: decoder": timed(lambda: _decoder(trades)),
        "decode trade: decoder, exact": timed(lambda: _decoder(trades, exact=True)),
        "decode depth: msgspec alone": timed(lambda: _each(floors.decode_depth, changes)),
        "decode depth: decoder": timed(lambda: _decoder(changes)),
        "decode depth: decoder, exact": timed(lambda: _decoder(changes, exact=True)),
    }
    return _against_first(variants, scale, "msgspec alone")


def session(scale: Scale) -> list[Row]:
    """`Session.on_frames` with its streams and book, beside the decoder alone."""
    trades = list(frames.trades(scale.of(0.5)))
    snapshot, changes = frames.depth(scale.of(0.05))

    def read_trades(exact: bool) -> Prepare:
        def prepare() -> Callable[[], int]:
            talk = Talk(binance.VENUE, "BTC-USDT", "trades", exact=exact)
            return lambda: talk.read(trades)

        return prepare

    def read_depth(exact: bool) -> Prepare:
        def prepare() -> Callable[[], int]:
            talk = Talk(binance.VENUE, "BTC-USDT", "book", exact=exact)
            talk.join(changes[0], snapshot)
            return lambda: talk.read(changes[1:])

        return prepare

    variants = {
        "session trade: decoder alone": timed(lambda: _decoder(trades)),
        "session trade: on_frames": timed(read_trades(False)),
        "session trade: on_frames, exact": timed(read_trades(True)),
        "session depth: decoder alone": timed(lambda: _decoder(changes)),
        "session depth: on_frames, book kept": timed(read_depth(False)),
        "session depth: on_frames, book kept, exact": timed(read_depth(True)),
    }
    return _against_first(variants, scale, "decoder alone")


def stream(scale: Scale) -> list[Row]:
    """A trade through its `TradeStream`, beside making the event alone."""
    count = scale.messages

    def make() -> Callable[[], int]:
        event = mf.Trade

        def run() -> int:
            for i in range(count):
                event(
                    venue="v", symbol="s", ts_event=i, ts_recv=i, seq_local=i, price=1.5, size=1.0, side="buy", id="1"
                )
            return count

        return run

    def through() -> Callable[[], int]:
        trade = TradeStream[float](Subscription("binance", "BTC-USDT", "trades"), Outlet(lambda _: None)).trade

        def run() -> int:
            for i in range(1, count + 1):
                trade(1.5, 1.0, "buy", i, i, i)
            return count

        return run

    return _against_first({"stream: event alone": timed(make), "stream: trade": timed(through)}, scale, "event alone")


def apply(scale: Scale) -> list[Row]:
    """Changes applied to a book of 1,000 levels a side, and nothing else."""
    snapshot, changes = frames.depth(scale.of(0.05))
    results = best({"book apply, float": timed(_apply(snapshot, changes, float))}, ROUNDS * scale.rounds)
    results |= best({"book apply, exact": timed(_apply(snapshot, changes, Decimal))}, ROUNDS * scale.rounds)
    found = rows(results, {})
    for row in found:
        row.detail = f"{row.value * 1000 / 2 / frames.CHANGES:.0f} ns a level"
    return found


def checksum(scale: Scale) -> list[Row]:
    """Kraken's book of 100 levels a side through its session: each frame proven by its checksum."""
    snapshot, *updates = frames.kraken_book(scale.of(0.05))

    def read(exact: bool) -> Prepare:
        def prepare() -> Callable[[], int]:
            talk = Talk(kraken.VENUE, "BTC-USD", "book", exact=exact, depth=frames.KRAKEN_DEPTH)
            talk.read([snapshot])
            return lambda: talk.read(updates)

        return prepare

    variants = {"kraken book: float": timed(read(False)), "kraken book: exact": timed(read(True))}
    return rows(best(variants, ROUNDS * scale.rounds), {})


def fanout(scale: Scale) -> list[Row]:
    """Single events through the hub to consumers that are read by `async for`."""
    return rows(
        best(
            {
                f"fan-out: {readers} consumer{'s' * (readers > 1)}": timed(_fanout(readers, scale.of(0.5 / readers)))
                for readers in (1, 10)
            },
            ROUNDS * scale.rounds,
        ),
        {},
        unit="us/event",
    )


def memory(_scale: Scale) -> list[Row]:
    """What a live book of 1,000 levels a side takes while nothing happens; its session counts too."""
    found = []
    for exact in (False, True):
        snapshot, changes = frames.depth(1)
        talk = Talk(binance.VENUE, "BTC-USDT", "book", exact=exact)
        gc.collect()
        tracemalloc.start()
        talk.join(changes[0], snapshot)
        talk.events.clear()
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        found.append(Row(f"idle book: {'exact' if exact else 'float'}", size / 1000, "kB"))
    return found


def _against_first(variants: dict[str, Callable[[], float]], scale: Scale, floor: str) -> list[Row]:
    against = {name: f"{name.partition(':')[0]}: {floor}" for name in variants if floor not in name}
    return rows(best(variants, ROUNDS * scale.rounds), against)


def _each(decode: Callable[[bytes], Any], raw: list[bytes]) -> Callable[[], int]:
    def run() -> int:
        for frame in raw:
            decode(frame)
        return len(raw)

    return run


def _decoder(raw: list[bytes], *, exact: bool = False) -> Callable[[], int]:
    port: Any = _NullPort()
    decoder = binance.VENUE.decoder(Context(port=port, exact=exact, instruments={}))

    def run() -> int:
        frame = decoder.frame
        for start in range(0, len(raw), SLICE):
            read = raw[start : start + SLICE]
            decoder.glance(read)
            for one in read:
                frame(one, SECOND)
        return len(raw)

    return run


def _apply(snapshot: bytes, changes: list[bytes], kind: type[Any]) -> Prepare:
    def levels(sides: Any) -> Any:
        return tuple((kind(str(price)), kind(str(size))) for price, size in sides)

    reply = floors.decode_snapshot(snapshot)
    deltas = [(levels(d.b), levels(d.a)) for d in (floors.decode_depth(raw).data for raw in changes)]

    def prepare() -> Callable[[], int]:
        book: Book[Any] = Book()
        book.bids.load(levels(reply.bids))
        book.asks.load(levels(reply.asks))

        def run() -> int:
            for bids, asks in deltas:
                book.bids.apply(bids)
                book.asks.apply(asks)
            return len(deltas)

        return run

    return prepare


def _fanout(readers: int, count: int) -> Prepare:
    def prepare() -> Callable[[], int]:
        hub = Hub()
        trade = mf.Trade(venue="binance", symbol="BTC-USDT", price=1.5, size=1.0, side="buy", id="1")
        clock = SystemClock()
        consumers = [Consumer(hub.outlet, clock) for _ in range(readers)]
        for consumer in consumers:
            hub.join(consumer)

        async def main() -> None:
            for _ in range(0, count, 50):
                for _ in range(50):
                    hub.outlet.emit(trade)
                    hub.deliver()
                for consumer in consumers:
                    for _ in range(50):
                        await consumer.__anext__()

        def run() -> int:
            asyncio.run(main())
            return -(-count // 50) * 50

        return run

    return prepare
