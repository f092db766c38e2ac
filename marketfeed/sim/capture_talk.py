"""What a served capture answers: acks where the recording has none, and reference data. No sockets here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson

from .binance import STREAMS
from .binance_rest import exchange_info
from .capture import DATA_KINDS, CaptureSource, Stream
from .coinbase_rest import product
from .faults import Troubles
from .kraken_rest import KrakenRest
from .market import Step
from .plant import DIALECTS
from .wire import Conversation, Dialect, Frame, Now, Out, Reply, json_reply, names, read_object, rfc3339


class CaptureConversation(Conversation):
    """Reads what the client subscribes to; `ready` is set when that covers the recording."""

    def __init__(self, source: CaptureSource, streams: list[str]) -> None:
        self.ready = asyncio.Event()
        self._source = source
        self._wanted: set[Stream] = set()
        self._want({binance_stream(stream) for stream in streams})

    def on_text(self, text: str, now: Now) -> list[Out]:
        """Subscriptions are noted, and acknowledged only where the recording has no ack of its own."""
        message = read_object(text) or {}
        match self._source.venue:
            case "kraken":
                return self._kraken(message, now)
            case "binance":
                return self._binance(message)
        if message.get("type") == "subscribe":
            channel = str(message.get("channel"))
            self._want({(name, channel) for name in names(message.get("product_ids"))})
        return []

    def on_step(self, step: Step, now: Now) -> list[Out]:
        """Nothing moves here: the recording is pushed by the server."""
        return []

    @property
    def missing(self) -> set[Stream]:
        """What the client has yet to ask for."""
        return set(self._source.streams) - self._wanted

    def _want(self, streams: set[Stream]) -> None:
        self._wanted |= streams
        if not self.missing:
            self.ready.set()

    def _binance(self, message: dict[str, object]) -> list[Out]:
        if message.get("method") == "SUBSCRIBE":
            self._want({binance_stream(stream) for stream in names(message.get("params"))[:STREAMS]})
        if self._source.has_acks:
            return []
        return [_answer({"result": None, "id": message.get("id")})]

    def _kraken(self, message: dict[str, object], now: Now) -> list[Out]:
        at = rfc3339(now.unix, 6)
        tail: dict[str, object] = {"time_in": at, "time_out": at}
        if "req_id" in message:
            tail["req_id"] = message["req_id"]
        method, params = message.get("method"), message.get("params")
        if method == "ping":
            return [_answer({"method": "pong", **tail})]
        if not isinstance(params, dict):
            return []
        out: list[Out] = []
        channel = str(params.get("channel"))
        for symbol in names(params.get("symbol")):
            outcome = self._kraken_one(str(method), symbol, channel, params)
            if outcome is not None:
                out.append(_answer({"method": method, **outcome, **tail}))
        return out

    def _kraken_one(
        self, method: str, symbol: str, channel: str, params: dict[str, object]
    ) -> dict[str, object] | None:
        """The answer for one symbol, None where the recording brings it.

        A book asked for at another depth gets the recorded one: its ack says which.
        """
        source = self._source
        if symbol not in source.symbols:
            return {"error": f"Currency pair not supported {symbol}", "success": False, "symbol": symbol}
        if method == "subscribe":
            self._want({(symbol, channel)})
            if (symbol, channel) in source.acked:
                return None
        result = {key: value for key, value in params.items() if key not in ("symbol", "token")}
        if channel == "book" and symbol in source.depths:
            result["depth"] = source.depths[symbol]
        return {"result": {**result, "symbol": symbol}, "success": True}


class CaptureDialect(Dialect):
    """A venue as its recording lets it be: the real one's paths, the recording's instruments."""

    def __init__(self, source: CaptureSource, troubles: Troubles) -> None:
        super().__init__({}, troubles, by_hand=True)
        self.source = source
        real = DIALECTS[source.venue]
        self.NAME, self.WS_PATH, self.CONNECTS = real.NAME, real.WS_PATH, real.CONNECTS  # type: ignore[misc]
        listed = source.instruments()
        self._kraken = KrakenRest(lambda: listed, troubles)

    def connect(self, path: str, query: Mapping[str, str], now: Now) -> Conversation | Reply:
        """Any path; Binance's may carry streams."""
        streams = query.get("streams", "").split("/") if "streams" in query else path.split("/")[2:]
        return CaptureConversation(self.source, streams if self.source.venue == "binance" else [])

    def rest(self, method: str, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """Reference data: as recorded, else made from what the file shows."""
        source, leaf = self.source, path.rpartition("/")[2]
        match source.venue:
            case "kraken":
                recorded = source.metadata if leaf == "AssetPairs" else None
                return Reply(200, recorded) if recorded else self._kraken.reply(path, query, now)
            case "binance":
                if leaf == "exchangeInfo":
                    return (
                        Reply(200, source.metadata)
                        if source.metadata
                        else json_reply(exchange_info(source.instruments(), now))
                    )
                return json_reply({"serverTime": now.unix // 10**6} if leaf == "time" else {})
        body = source.metadata or orjson.dumps({"products": [product(one, []) for one in source.instruments()]})
        if leaf == "products":
            return Reply(200, body)
        rows = orjson.loads(body)["products"]
        row = next((row for row in rows if row.get("product_id") == leaf), None)
        return json_reply(row) if row else json_reply({"error": "NOT_FOUND"}, 404)


def binance_stream(name: str) -> Stream:
    """(symbol, kind) of a stream name: `btcusdt@depth@100ms` is `("BTCUSDT", "depth")`."""
    symbol, _, kind = name.partition("@")
    kind = kind.partition("@")[0]
    return symbol.upper(), kind if kind in DATA_KINDS["binance"] else f"@{kind}"


def _answer(body: dict[str, object]) -> Frame:
    return Frame(orjson.dumps(body).decode(), data=False)
