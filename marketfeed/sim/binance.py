"""Binance spot streams, as a server would speak them. Source: binance-spot-api-docs, checked 2026-11-21."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import orjson

from .binance_frames import book_ticker, day_ticker, levels, wire_name
from .binance_rest import BinanceRest
from .market import Market, Print, Step
from .wire import Batch, Conversation, Dialect, Frame, Hangup, Limit, Now, Out, Ping, Reply, fixed, names

MESSAGES = (5, 1.0)
"""Inbound messages a second, pings and pongs counted; one more and the connection is cut."""
STREAMS = 1024
PING_S = 20.0
PONG_S = 60.0
DAY_S = 86_400.0
PARTIAL = ("5", "10", "20")
MUTED_AS = {"trade": "trades", "depth": "book", "bookTicker": "ticker"}
"""What kinds of streams are called where one is muted."""


class Binance(Dialect):
    """The venue: `/ws/...` and `/stream` of `wss://stream.binance.com:9443`, REST of `https://api.binance.com`."""

    NAME = "binance"
    RESOLUTION_NS = 1_000
    BY_UPDATE_ID = True
    CONNECTS = (300, 300.0)

    def connect(self, path: str, query: Mapping[str, str], now: Now) -> Conversation | Reply:
        """`/ws`, `/ws/<stream>[/<stream>]`, `/stream`, `/stream?streams=a/b`; `timeUnit=MICROSECOND` on each."""
        parts = [part for part in path.split("/") if part]
        if not parts or parts[0] not in ("ws", "stream") or (parts[0] == "stream" and len(parts) > 1):
            return Reply(404, b"Not Found")
        combined = parts[0] == "stream"
        streams = query.get("streams", "").split("/") if combined else parts[1:]
        micros = query.get("timeUnit", "").upper() == "MICROSECOND"
        wanted = [stream for stream in streams if stream]
        if len(wanted) > STREAMS:
            return Reply(400, b"Too many streams")
        return BinanceConversation(self, wanted, combined=combined, unit_ns=1_000 if micros else 1_000_000)

    def rest(self, method: str, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """`/api/v3/{ping,time,exchangeInfo,depth}` with weights."""
        return self._rest.reply(path, query, now)

    @cached_property
    def _rest(self) -> BinanceRest:
        return BinanceRest(self.listed, self.troubles)

    def find(self, name: str) -> Market | None:
        """The market of a wire name such as `BTCUSDT`, in upper case."""
        return next((m for m in self.markets.values() if m.listed and wire_name(m.instrument) == name), None)


class Diff:
    """One diff stream of one connection: the changes since it last sent, and the update ids they span."""

    def __init__(self, market: Market, batch: Batch) -> None:
        self.market = market
        self._batch = batch
        self._first = market.update_id + 1
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def add(self, step: Step) -> None:
        """Note one step's changes; a level that changes twice is sent once, with its last size."""
        for side, price, size in step.changes:
            (self._bids if side == "bid" else self._asks)[price] = size

    def flush(self, now: Now, unit_ns: int, *, step: bool) -> str | None:
        """The event, where it is due and anything has changed."""
        last = self.market.update_id
        if last < self._first or not self._batch.due(now, step=step):
            return None
        one = self.market.instrument
        # Keyed by `u`: the oracle publishes each step's last id, and a batch ends with a step.
        text = (
            f'{{"e":"depthUpdate","E":{now.unix // unit_ns},"s":"{wire_name(one)}","U":{self._first},"u":{last},'
            f'"b":[{levels(one, list(self._bids.items()))}],"a":[{levels(one, list(self._asks.items()))}]}}'
        )
        self._first = last + 1
        self._bids.clear()
        self._asks.clear()
        return text


class BinanceConversation(Conversation):
    """One connection; `combined` says whether frames are wrapped with their stream's name."""

    def __init__(self, venue: Binance, streams: list[str], *, combined: bool, unit_ns: int) -> None:
        self._venue = venue
        self._combined = combined
        self._unit_ns = unit_ns
        self._asked: dict[str, None] = {}
        """Every stream asked for, in order; those that exist are in `_live` too."""
        self._live: dict[str, tuple[str, Market]] = {}
        self._diffs: dict[str, Diff] = {}
        self._batches: dict[str, Batch] = {}
        self._limit = Limit(*MESSAGES)
        self._opened = self._pinged = self._ponged = 0.0
        for stream in streams:
            self._add(stream)

    def on_open(self, now: Now) -> list[Out]:
        """Nothing is said; the clocks start."""
        self._opened = self._pinged = self._ponged = now.mono
        return []

    def on_control(self, *, pong: bool, now: Now) -> list[Out]:
        """Pings and pongs count as messages."""
        if pong:
            self._ponged = now.mono
        return self._over_limit(now)

    def _over_limit(self, now: Now) -> list[Out]:
        """Count one inbound message; past the limit the client is cut."""
        if self._limit.take(now.mono):
            return []
        self._venue.troubles.breach("messages")
        return [Hangup(1008, "Too many requests")]

    def on_text(self, text: str, now: Now) -> list[Out]:
        """SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY."""
        if over := self._over_limit(now):
            return over
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as exc:
            return [_error(3, f"Invalid JSON: {exc.msg} at line {exc.lineno} column {exc.colno}")]
        if not isinstance(message, dict) or "method" not in message:
            return [_error(2, "Invalid request: missing field `method` at line 1 column 2")]
        number = message.get("id")
        params = message.get("params")
        match message["method"]:
            case "SUBSCRIBE" | "UNSUBSCRIBE" as method:
                streams = names(params)
                if not streams or len(streams) != len(params or ()):
                    return [_error(2, "Invalid request: params must be a list of stream names", number)]
                return self._change(method, streams, number)
            case "LIST_SUBSCRIPTIONS":
                return [_result(list(self._asked), number)]
            case "SET_PROPERTY":
                if not isinstance(params, list) or len(params) != 2 or params[0] != "combined":
                    return [_error(0, "Unknown property", number)]
                if not isinstance(params[1], bool):
                    return [_error(1, "Invalid value type: expected Boolean", number)]
                self._combined = params[1]
                return [_result(None, number)]
            case "GET_PROPERTY":
                return [_result(self._combined, number)]
        return [_error(2, f"Invalid request: unknown variant `{message['method']}`", number)]

    def on_step(self, step: Step, now: Now) -> list[Out]:
        """Trades and best prices at once; books when their batch is due."""
        out: list[Out] = []
        for stream, (kind, market) in self._live.items():
            if market is not step.market:
                continue
            if self.mutes(MUTED_AS.get(kind, kind), market):
                continue
            match kind:
                case "trade":
                    out += [self._data(stream, self._trade(market, one, now)) for one in step.trades]
                case "bookTicker" if step.bbo:
                    out.append(self._data(stream, book_ticker(market)))
                case "depth":
                    self._diffs[stream].add(step)
                    out += self._flush(stream, now, step=True)
                case "ticker" | "partial":
                    out += self._timed(stream, kind, market, now, step=True)
        return out

    def on_tick(self, now: Now) -> list[Out]:
        """Batches that are due, the server's ping, a missing pong, the end of the day."""
        if now.mono - self._ponged > PONG_S + PING_S:
            self._venue.troubles.breach("pong")
            return [Hangup(1008, "Pong timeout")]
        if now.mono - self._opened > DAY_S:
            return [Hangup(1001, "24 hours")]
        out: list[Out] = []
        if now.mono - self._pinged >= PING_S:
            self._pinged = now.mono
            out.append(Ping())
        for stream, (kind, market) in self._live.items():
            if not market.listed or self.mutes(MUTED_AS.get(kind, kind), market):
                continue
            if kind == "depth":
                out += self._flush(stream, now, step=False)
            elif kind in ("ticker", "partial"):
                out += self._timed(stream, kind, market, now, step=False)
        return out

    def shutdown_notice(self, now: Now) -> list[Out]:
        """The event that says this server is about to go."""
        return [self._data("!serverShutdown", f'{{"e":"serverShutdown","E":{now.unix // self._unit_ns}}}')]

    def _change(self, method: str, streams: Sequence[str], number: object) -> list[Out]:
        if method == "UNSUBSCRIBE":
            for stream in streams:
                self._asked.pop(stream, None)
                for table in (self._live, self._diffs, self._batches):
                    table.pop(stream, None)
            return [_result(None, number)]
        if len(set(streams) | self._asked.keys()) > STREAMS:
            return [
                _error(2, f"Invalid request: more than {STREAMS} streams", number),
                Hangup(1008, "Too many streams"),
            ]
        for stream in streams:
            market = self._venue.find(stream.partition("@")[0].upper())
            if market is not None and self._venue.troubles.refuses(market.instrument.symbol):
                return [_error(2, f"Invalid request: {stream} is refused", number)]
        for stream in streams:
            self._add(stream)
        return [_result(None, number)]

    def _add(self, stream: str) -> None:
        """Take up a stream; one that does not exist is accepted all the same and stays silent."""
        self._asked[stream] = None
        name, _, kind = stream.partition("@")
        # Upper-case stream names are unknown ones: the venue's are lower case.
        market = self._venue.find(name.upper()) if name == name.lower() else None
        if market is None or stream in self._live:
            return
        kind, _, speed = kind.partition("@")
        every_s, steps = (0.1, 1) if speed == "100ms" else (1.0, 10)
        if speed not in ("", "100ms") or (speed and not kind.startswith("depth")):
            return
        self.unmute(MUTED_AS.get(kind, kind), market)
        batch = Batch(every_s, steps if self._venue.by_hand else None)
        if kind == "depth":
            self._diffs[stream] = Diff(market, batch)
        elif kind == "ticker" or kind.removeprefix("depth") in PARTIAL:
            self._batches[stream] = batch
            kind = "ticker" if kind == "ticker" else "partial"
        elif kind not in ("trade", "bookTicker"):
            return
        self._live[stream] = (kind, market)

    def _flush(self, stream: str, now: Now, *, step: bool) -> list[Out]:
        text = self._diffs[stream].flush(now, self._unit_ns, step=step)
        return [self._data(stream, text)] if text else []

    def _timed(self, stream: str, kind: str, market: Market, now: Now, *, step: bool) -> list[Out]:
        if not self._batches[stream].due(now, step=step):
            return []
        if kind == "ticker":
            return [self._data(stream, day_ticker(market, now, self._unit_ns))]
        depth = int(stream.partition("@depth")[2].partition("@")[0])
        one = market.instrument
        bids, asks = levels(one, market.bids.top(depth)), levels(one, market.asks.top(depth))
        return [self._data(stream, f'{{"lastUpdateId":{market.update_id},"bids":[{bids}],"asks":[{asks}]}}')]

    def _trade(self, market: Market, report: Print, now: Now) -> str:
        one, fill = market.instrument, report.fill
        price, size = fixed(fill.price, one.tick, 8), fixed(fill.size, one.lot, 8)
        at, maker = report.at // self._unit_ns, "true" if fill.taker == "ask" else "false"
        return (
            f'{{"e":"trade","E":{now.unix // self._unit_ns},"s":"{wire_name(one)}","t":{report.id},"p":"{price}",'
            f'"q":"{size}","T":{at},"m":{maker},"M":true}}'
        )

    def _data(self, stream: str, text: str) -> Frame:
        return Frame(f'{{"stream":"{stream}","data":{text}}}' if self._combined else text)


def _result(result: object, number: object) -> Frame:
    return Frame(orjson.dumps({"result": result, "id": number}).decode(), data=False)


def _error(code: int, text: str, number: object = None) -> Frame:
    """Control-plane errors are flat; the id is there where the request had one."""
    body: dict[str, object] = {"code": code, "msg": text}
    if number is not None:
        body["id"] = number
    return Frame(orjson.dumps(body).decode(), data=False)
