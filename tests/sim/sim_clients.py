"""Naive clients of the simulated venues: each keeps a book by the venue's rule, as the protocol sheets have it."""

import json
import zlib
from collections import Counter, deque
from datetime import datetime
from decimal import Decimal

from marketfeed.sim import Oracle, level_hash
from marketfeed.sim.faults import Faults, Troubles
from marketfeed.sim.instruments import INSTRUMENTS
from marketfeed.sim.market import Market
from marketfeed.sim.wire import Frame, Now

UNIX = 1_790_000_000_123_456_789


class Talk:
    """A conversation with a dialect, without sockets: time moves when the test says so."""

    def __init__(self, dialect, *, faults="", by_hand=True, path="", query=None, seed="7"):
        self.breaches, self.injected = Counter(), Counter()
        self.markets = {
            one.symbol: Market(
                one, f"{seed}:{one.symbol}", resolution=dialect.RESOLUTION_NS, by_update_id=dialect.BY_UPDATE_ID
            )
            for one in INSTRUMENTS[dialect.NAME]
        }
        self.mono = 1_000.0
        for market in self.markets.values():
            if market.instrument.alias is None:
                market.open(self.now.unix)
        troubles = Troubles(Faults.parse(faults), dialect.NAME, self.injected, self.breaches)
        self.venue = dialect(self.markets, troubles, by_hand=by_hand)
        self.conversation = self.venue.connect(path, query or {}, self.now)
        self.hello = self._read(self.conversation.on_open(self.now)) if hasattr(self.conversation, "on_open") else []

    @property
    def now(self):
        return Now(UNIX + round((self.mono - 1_000.0) * 1e9), self.mono)

    def say(self, **message):
        return self.text(json.dumps(message))

    def text(self, text):
        return self._read(self.conversation.on_text(text, self.now))

    def later(self, seconds):
        self.mono += seconds
        return self._read(self.conversation.on_tick(self.now))

    def step(self, symbol, count=1):
        out = []
        for _ in range(count):
            self.mono += 0.02
            step = self.markets[symbol].step(self.now.unix)
            out += self._read(self.conversation.on_step(step, self.now))
        return out

    def rest(self, path, **query):
        reply = self.venue.rest("GET", path, query, self.now)
        return reply.status, json.loads(reply.body), reply

    def _read(self, items):
        return [json.loads(item.text, parse_float=Decimal) if isinstance(item, Frame) else item for item in items]


def unix_ns(text):
    """A venue's RFC 3339 time in ns, exactly."""
    head, _, fraction = text.rstrip("Z").partition(".")
    seconds = round(datetime.fromisoformat(head + "+00:00").timestamp())
    return seconds * 10**9 + int(fraction.ljust(9, "0"))


class Sides:
    """A book as two dicts, and its hash by the oracle's published function."""

    def __init__(self, oracle: Oracle):
        self.oracle = oracle
        self.bids, self.asks = {}, {}

    def put(self, side, price, size):
        book = self.bids if side in ("bid", "bids", "b") else self.asks
        price, size = Decimal(price), Decimal(size)
        book.pop(price, None)
        if size:
            book[price] = size

    def cut(self, depth):
        self.bids = dict(sorted(self.bids.items(), reverse=True)[:depth])
        self.asks = dict(sorted(self.asks.items())[:depth])

    @property
    def hash(self):
        one = self.oracle.instrument
        rows = [("bid", level) for level in self.bids.items()] + [("ask", level) for level in self.asks.items()]
        return sum(level_hash(side, one.ticks(p), one.lots(q)) for side, (p, q) in rows) % 2**64


class KrakenBook(Sides):
    """Apply, truncate, checksum."""

    depth = 10

    def frame(self, message):
        """The frame's key, or None where it is no book frame; asserts the checksum."""
        if message.get("channel") != "book":
            return None
        [row] = message["data"]
        if message["type"] == "snapshot":
            self.bids, self.asks = {}, {}
        for side in ("bids", "asks"):
            for level in row[side]:
                self.put(side, level["price"], level["qty"])
        self.cut(self.depth)
        assert self.checksum() == row["checksum"]
        return unix_ns(row["timestamp"])

    def checksum(self):
        one = self.oracle.instrument
        text = ""
        for levels in (sorted(self.asks.items())[:10], sorted(self.bids.items(), reverse=True)[:10]):
            for price, size in levels:
                for number, digits in ((price, one.price_digits), (size, one.size_digits)):
                    text += f"{number:.{digits}f}".replace(".", "").lstrip("0")
        return zlib.crc32(text.encode())


class BinanceBook(Sides):
    """Join a REST snapshot to the diffs, then follow `U == u + 1`."""

    last = None
    gaps = 0

    def __init__(self, oracle):
        super().__init__(oracle)
        self.waiting = deque()

    def snapshot(self, body):
        self.last = body["lastUpdateId"]
        for side in ("bids", "asks"):
            for price, size in body[side]:
                self.put(side, price, size)
        for event in self.waiting:
            if event["u"] > self.last:
                assert event["U"] <= self.last + 1 <= event["u"]
                self.apply(event)

    def apply(self, event):
        self.gaps += event["U"] != self.last + 1
        self.last = event["u"]
        for side in "ba":
            for price, size in event[side]:
                self.put(side, price, size)


class CoinbaseBook(Sides):
    """One product's levels; the connection's sequence is checked by its reader."""

    def frame(self, message):
        if message["channel"] != "l2_data":
            return None
        for event in message["events"]:
            if event["type"] == "snapshot":
                self.bids, self.asks = {}, {}
            for row in event["updates"]:
                assert row["side"] in ("bid", "offer")
                self.put(row["side"], row["price_level"], row["new_quantity"])
        return unix_ns(message["timestamp"])
