"""Kraken spot, WebSocket v2 and REST, as a server would speak it. Source: docs.kraken.com, checked 2026-11-21."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import orjson

from .instruments import SimInstrument
from .kraken_frames import book_frame, pair_row, ticker_row, trade_row, wire_name
from .kraken_rest import KrakenRest
from .market import Market, Step
from .wire import Conversation, Dialect, Frame, Hangup, Limit, Now, Out, Reply, names, read_object, rfc3339

DEPTHS = (10, 25, 100, 500, 1000)
MESSAGES = (20, 1.0)
"""Inbound messages a second; the real limit is dynamic, careful clients keep to 20."""
SILENCE_S = 60.0
"""A socket with nothing subscribed and no ping is closed after about a minute."""


class Kraken(Dialect):
    """The venue: `wss://ws.kraken.com/v2` and `https://api.kraken.com/0/public/...`."""

    NAME = "kraken"
    WS_PATH = "/v2"
    RESOLUTION_NS = 1_000
    CONNECTS = (150, 600.0)

    def connect(self, path: str, query: Mapping[str, str], now: Now) -> Conversation | Reply:
        """Only `/v2` is spoken here; v1 is frozen at the venue too."""
        if path.rstrip("/") != "/v2":
            return Reply(404, b"Not Found")
        return KrakenConversation(self)

    def rest(self, method: str, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """`/0/public/{Time,SystemStatus,AssetPairs,Depth,Trades}`: errors come with status 200, in `error`."""
        return self._rest.reply(path, query, now)

    @cached_property
    def _rest(self) -> KrakenRest:
        return KrakenRest(self._instruments, self.troubles, self.listed)

    def _instruments(self) -> list[SimInstrument]:
        return [market.instrument for market in self.listed().values()]


class Book(NamedTuple):
    """A book subscription: its depth, and what the client holds of each side."""

    depth: int
    bids: dict[int, int]
    asks: dict[int, int]


class KrakenConversation(Conversation):
    """One connection. Channels: book, trade, ticker, instrument, status, heartbeat."""

    def __init__(self, venue: Kraken) -> None:
        self._venue = venue
        self._books: dict[str, Book] = {}
        self._trades: set[str] = set()
        self._tickers: dict[str, str] = {}
        self._instruments = False
        self._late: list[tuple[float, str]] = []
        self._sent = 0.0
        self._heard: float | None = None
        self._limit = Limit(*MESSAGES)

    def on_open(self, now: Now) -> list[Out]:
        """The status frame comes unasked."""
        self._heard = now.mono
        connection = 2**62 + now.unix % 2**61  # beyond 2**53 on purpose, as the real ones are
        data = {"system": "online", "api_version": "v2", "connection_id": connection, "version": "2.0.10"}
        return self._data("status", "update", [data])

    def on_control(self, *, pong: bool, now: Now) -> list[Out]:
        """Protocol pings count as activity."""
        self._heard = now.mono
        return []

    def on_text(self, text: str, now: Now) -> list[Out]:
        """`ping`, `subscribe`, `unsubscribe`; one answer per symbol."""
        self._heard = now.mono
        message = read_object(text)
        if not self._limit.take(now.mono):
            self._venue.troubles.breach("messages")
            return [self._answer({"error": "Exceeded msg rate", "success": False}, message or {}, now)]
        if message is None:
            return [self._answer({"error": "Malformed request", "success": False}, {}, now)]
        method, params = message.get("method"), message.get("params")
        if method == "ping":
            return [self._answer({"method": "pong"}, message, now)]
        if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
            return [self._answer({"error": "Unsupported method", "success": False}, message, now)]
        if params.get("channel") == "instrument":
            return self._instrument(message, params, now)
        out: list[Out] = []
        for symbol in names(params.get("symbol")):
            one = self._subscribe if method == "subscribe" else self._unsubscribe
            outcome = one(symbol, params, now)
            if isinstance(outcome, str):
                outcome = {"error": outcome, "success": False, "symbol": symbol}, []
            out += [self._answer({"method": method, **outcome[0]}, message, now), *outcome[1]]
        return out or [self._answer({"error": "Symbol missing", "method": method, "success": False}, message, now)]

    def on_step(self, step: Step, now: Now) -> list[Out]:
        """Book, trade and ticker updates of one market step."""
        symbol = wire_name(step.market.instrument)
        out: list[Out] = []
        market = step.market
        if symbol in self._books and symbol not in {name for _, name in self._late} and not self.mutes("book", market):
            out += self._book_update(step, symbol)
        if symbol in self._trades and step.trades and not self.mutes("trades", market):
            out += self._data(
                "trade", "update", [trade_row(symbol, step.market.instrument, one) for one in step.trades]
            )
        trigger = self._tickers.get(symbol)
        ticks = (trigger == "bbo" and step.bbo) or (trigger == "trades" and step.trades)
        if ticks and not self.mutes("ticker", market):
            out += self._data("ticker", "update", [ticker_row(step.market, step.at)])
        if out:
            self._sent = now.mono
        return out

    def on_tick(self, now: Now) -> list[Out]:
        """Late snapshots, and a heartbeat a second where something is subscribed and nothing else is sent."""
        out: list[Out] = []
        for due in [late for late in self._late if late[0] <= now.mono]:
            self._late.remove(due)
            if due[1] in self._books:
                out += self._book_snapshot(due[1], now)
        if self._books or self._trades or self._tickers or self._instruments:
            if not out and now.mono - self._sent >= 1.0:
                out.append(Frame('{"channel":"heartbeat"}'))
        elif self._heard is not None and now.mono - self._heard > SILENCE_S:
            out.append(Hangup(1000, "no activity"))
        if out:
            self._sent = now.mono
        return out

    def _subscribe(self, symbol: str, params: dict[str, object], now: Now) -> tuple[dict[str, object], list[Out]] | str:
        """The ack's own part and the snapshot that follows, or the venue's words of refusal."""
        market = self._market(symbol)
        if market is None or not market.listed or self._venue.troubles.refuses(market.instrument.symbol):
            return f"Currency pair not supported {symbol}"
        channel, snapshot = params.get("channel"), params.get("snapshot", params.get("channel") != "trade")
        result: dict[str, object] = {"channel": channel, "snapshot": snapshot, "symbol": symbol}
        frames: list[Out] = []
        if symbol in {"book": self._books, "trade": self._trades, "ticker": self._tickers}.get(str(channel), ()):
            return "Already subscribed"
        self.unmute("trades" if channel == "trade" else str(channel), market)
        match channel:
            case "book":
                depth = params.get("depth", 10)
                if depth not in DEPTHS or not isinstance(depth, int):
                    return "Subscription depth not supported"
                result["depth"] = depth
                # The window is known from now on, whether or not its snapshot is sent.
                self._books[symbol] = Book(depth, dict(market.bids.top(depth)), dict(market.asks.top(depth)))
                frames = self._first_book(symbol, now) if snapshot else []
            case "trade":
                self._trades.add(symbol)
                if snapshot:
                    rows = [trade_row(symbol, market.instrument, one) for one in market.recent]
                    frames = self._data("trade", "snapshot", rows)
            case "ticker":
                trigger = str(params.get("event_trigger", "trades"))
                if trigger not in ("trades", "bbo"):
                    return "Event trigger not supported"
                result["event_trigger"] = self._tickers[symbol] = trigger
                frames = self._data("ticker", "snapshot", [ticker_row(market, now.unix)]) if snapshot else []
            case _:
                return f"Subscription {channel} not supported"
        self._sent = now.mono
        return {"result": result, "success": True}, frames

    def _unsubscribe(
        self, symbol: str, params: dict[str, object], now: Now
    ) -> tuple[dict[str, object], list[Out]] | str:
        channel = params.get("channel")
        result: dict[str, object] = {"channel": channel, "symbol": symbol}
        book = self._books.get(symbol)
        if channel == "book" and book is not None and params.get("depth", 10) == book.depth:
            del self._books[symbol]
            self._late = [late for late in self._late if late[1] != symbol]
            result["depth"] = book.depth
        elif channel == "trade" and symbol in self._trades:
            self._trades.remove(symbol)
        elif channel == "ticker" and symbol in self._tickers:
            result["event_trigger"] = self._tickers.pop(symbol)
        else:
            return "Subscription Not Found"
        return {"result": result, "success": True}, []

    def _instrument(self, message: dict[str, object], params: dict[str, object], now: Now) -> list[Out]:
        """The reference channel: no symbols, and `data` is an object."""
        self._instruments = message["method"] == "subscribe"
        ack = {"method": message["method"], "result": {"channel": "instrument", "snapshot": True}, "success": True}
        out: list[Out] = [self._answer(ack, message, now)]
        if self._instruments and params.get("snapshot", True):
            listed = [market.instrument for market in self._venue.listed().values()]
            pairs = ",".join(map(pair_row, listed))
            assets = sorted({coin for one in listed for coin in (one.base, one.quote)})
            rows = ",".join(f'{{"id":"{c}","status":"enabled","precision":10,"precision_display":5}}' for c in assets)
            text = f'{{"channel":"instrument","type":"snapshot","data":{{"assets":[{rows}],"pairs":[{pairs}]}}}}'
            out.append(Frame(text))
        return out

    def _market(self, symbol: str) -> Market | None:
        market = self._venue.markets.get(symbol.replace("/", "-"))
        return market if market is not None and "/" in symbol else None

    def _first_book(self, symbol: str, now: Now) -> list[Out]:
        """The snapshot, unless a fault withholds or delays it."""
        if self._venue.troubles.withholds_snapshot():
            return []
        if delay := self._venue.troubles.snapshot_delay_s():
            self._late.append((now.mono + delay, symbol))
            return []
        return self._book_snapshot(symbol, now)

    def _book_snapshot(self, symbol: str, now: Now) -> list[Out]:
        market, book = self._market(symbol), self._books[symbol]
        assert market is not None
        bids, asks = market.bids.top(book.depth), market.asks.top(book.depth)
        self._books[symbol] = Book(book.depth, dict(bids), dict(asks))
        return [book_frame(market, "snapshot", bids, asks, market.stamp(now.unix))]

    def _book_update(self, step: Step, symbol: str) -> list[Out]:
        """What this step did inside the client's window.

        A level that left the book is sent with 0; one that was pushed out of the window is not sent;
        one that comes back into the window is sent again.
        """
        market, book = step.market, self._books[symbol]
        changes, windows = [], []
        for held, side in ((book.bids, market.bids), (book.asks, market.asks)):
            window = dict(side.top(book.depth))
            gone = [(price, 0) for price in held if price not in window and price not in side.levels]
            changes.append(gone + [(price, size) for price, size in window.items() if held.get(price) != size])
            windows.append(window)
        if not (changes[0] or changes[1]):
            return []
        self._books[symbol] = Book(book.depth, *windows)
        return [book_frame(market, "update", changes[0], changes[1], step.at)]

    def _data(self, channel: str, kind: str, rows: list[str] | list[dict[str, object]]) -> list[Out]:
        texts = [row if isinstance(row, str) else orjson.dumps(row).decode() for row in rows]
        return [Frame(f'{{"channel":"{channel}","type":"{kind}","data":[{",".join(texts)}]}}')]

    def _answer(self, body: dict[str, object], message: dict[str, object], now: Now) -> Frame:
        """A reply: never data, so that no fault takes it."""
        time = rfc3339(now.unix, 6)
        answer = {**body, "time_in": time, "time_out": time}
        if "req_id" in message:
            answer["req_id"] = message["req_id"]
        return Frame(orjson.dumps(answer).decode(), data=False)
