"""Binance spot: trades, best prices and 24 h figures, books joined from REST snapshots and numbered deltas.

Docs: github.com/binance/binance-spot-api-docs, web-socket-streams.md, rest-api.md, filters.md. Checked 2026-11-21.

A venue is one file, each wire type under its payload: the reason for its length.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Generic
from urllib.parse import quote

import msgspec
import orjson
from msgspec import Struct

from ..events import Instrument
from ..number import (
    EVERY_THIRD,
    SHAPE,
    Int64,
    Millis,
    N,
    P,
    Price,
    S,
    Size,
    UsualPrice,
    UsualSize,
    check_numbers,
    decimals,
    odd,
)
from ..subscriptions import Channel, Subscription
from ..symbols import canonical
from ._plan import MAX_ASKED, one_host
from ._rules import step, too_often
from ._spec import BookRule, Context, Endpoints, LinkPlan, Pace, PastTrade, Picture, Request, Venue

NAME = "binance"
# 5 frames a second in, our pings and pongs among them: 2, since the network may push two bursts together.
# A connection takes 1024 streams; others stop at 200, since a small one loses less when it drops. A ticker is two
# streams, so 200 subscriptions are 400 at most. 300 attempts in 5 minutes and 6000 of weight a minute by an address:
# margins are for others on it. The venue pings every 20 s.
PACE = Pace(
    frames_per_s=2,
    subscriptions_per_link=200,
    connects=(250, 300),
    rest=(5000, 60),
    silence_s=60,
    lifetime_s=86_400,
)
SNAPSHOT_LEVELS = 1000
BOOK = BookRule(snapshot="rest", numbered=True, window=SNAPSHOT_LEVELS, audit=SNAPSHOT_LEVELS)
SNAPSHOT_WEIGHT = 50
"""Of 6000 a minute; the next step, 5000 levels, costs 250 and would let only 24 books a minute begin."""
HISTORY_TRADES, HISTORY_WEIGHT = 1000, 25


class WTrade(Struct, Generic[P], tag_field="e", tag="trade", gc=False):
    """{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}

    `m`: the buyer was the maker, so the taker sold. `t` counts a symbol's trades without a hole.
    """

    s: str
    t: Int64
    p: P
    q: P
    T: Millis
    m: bool


class WDepth(Struct, Generic[P, S], tag_field="e", tag="depthUpdate", gc=False):
    """{"e":"depthUpdate","E":1633998512568,"s":"NKNUSDT","U":499869753,"u":499869754,
    "b":[["0.35170000","4265.00000000"]],"a":[["0.35290000","10968.00000000"]]}: sizes are absolute, 0 removes."""

    E: Millis
    s: str
    U: Int64
    u: Int64
    b: tuple[tuple[P, S], ...]
    a: tuple[tuple[P, S], ...]


class WTicker(Struct, Generic[S], tag_field="e", tag="24hrTicker", gc=False):
    """{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","b":"0.0024","B":"10","a":"0.0026","A":"100",
    "v":"10000","q":"18",...}: the last 24 hours, not the UTC day; `v` is in base units."""

    E: Millis
    s: str
    c: S
    b: S
    B: S
    a: S
    A: S
    v: S


class WFrame(Struct, Generic[P, S], gc=False):
    """{"stream":"bnbbtc@trade","data":{...}}: all data whose payload names its kind."""

    data: WTrade[P] | WDepth[P, S] | WTicker[S]


class WBest(Struct, Generic[S], gc=False):
    """{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}

    It has no time. A side that is empty is 0.
    """

    s: str
    b: S
    B: S
    a: S
    A: S


class WBestFrame(Struct, Generic[S], gc=False):
    """{"stream":"bnbusdt@bookTicker","data":{...}}: the only data asked for that does not name its kind."""

    data: WBest[S]


class WDepthReply(Struct, Generic[P, S]):
    """{"lastUpdateId":499869752,"bids":[["0.35210000","672.00000000"],...],"asks":[...]}"""

    lastUpdateId: Int64
    bids: tuple[tuple[P, S], ...]
    asks: tuple[tuple[P, S], ...]


class WPastTrade(Struct, Generic[P]):
    """{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,
    "isBuyerMaker":true,"isBestMatch":true}"""

    id: Int64
    price: P
    qty: P
    time: Millis
    isBuyerMaker: bool


class WError(Struct):
    """{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 73"}"""

    code: int | str = ""
    msg: str = ""


class WTalk(WError):
    """Any frame, as the cold path sees it.

    {"result":null,"id":1}: an ack. {"code":2,"msg":"...","id":1} or {"error":{"code":2,"msg":"..."},"id":1}: an error,
    with or without `id`. {"e":"serverShutdown","E":1770123456789}, also as `data` of the stream `!serverShutdown`.
    """

    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: WError | None = None
    e: str = ""
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()


class WKind(Struct):
    """{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT",...}: what a payload says it is."""

    e: str = ""


_frame = msgspec.json.Decoder(WFrame[UsualPrice, UsualSize], strict=False).decode
_frame_wide = msgspec.json.Decoder(WFrame[Price, Size], strict=False).decode
_frame_exact = msgspec.json.Decoder(WFrame[Decimal, Decimal], strict=False).decode
_best = msgspec.json.Decoder(WBestFrame[UsualSize], strict=False).decode
_best_wide = msgspec.json.Decoder(WBestFrame[Size], strict=False).decode
_best_exact = msgspec.json.Decoder(WBestFrame[Decimal], strict=False).decode
_depth = msgspec.json.Decoder(WDepthReply[Price, Size], strict=False).decode
_depth_exact = msgspec.json.Decoder(WDepthReply[Decimal, Decimal], strict=False).decode
_past = msgspec.json.Decoder(list[WPastTrade[Price]], strict=False).decode
_past_exact = msgspec.json.Decoder(list[WPastTrade[Decimal]], strict=False).decode
_talk = msgspec.json.Decoder(WTalk).decode
_kind = msgspec.json.Decoder(WKind).decode

_STREAMS: dict[Channel, tuple[str, ...]] = {
    "trades": ("trade",),
    "ticker": ("bookTicker", "ticker"),
    "book": ("depth@100ms",),
}
_OURS = frozenset({"trade", "bookTicker", "ticker", "depth@100ms", "depthUpdate", "24hrTicker"})
_B = ord("b")
"""What follows the first "@" of a frame of bookTicker, and of no other stream asked for."""
_UNASKED = re.compile(
    r"aggTrade|blockTrade|kline|24hrMiniTicker|(1h|4h|1d)Ticker|avgPrice|referencePrice"  # kinds that payloads name
    r"|depth(5|10|20)(@100ms)?|(mini)?[tT]icker(_1h|_4h|_1d)?@arr"  # streams whose payloads name none
)
_STREAM = re.compile(rb'"stream"\s*:\s*"([^"@]+)@([^"]*)"')


class Decoder(Generic[N]):
    """One connection to Binance; see `_spec.Decoder` and `_spec.RestBooks`."""

    def __init__(self, context: Context[N]) -> None:
        self._port = context.port
        self._exact = context.exact
        self._trades = context.port.trades
        self._tickers = context.port.tickers.get
        self._books = context.port.books.get
        self._asked: dict[int | str | None, tuple[bool, list[tuple[Channel, str]]]] = {}
        self._id = 0
        self._odd = self._closely = True
        self._bests = False  # whether a frame of bookTicker came: until then, nothing is looked at to find out

    def glance(self, frames: Sequence[bytes]) -> None:
        """See `_spec.Decoder`."""
        read = b"".join(frames)
        if self._exact:
            self._odd = odd(read)
        else:
            # a negative exponent takes a sign; another beyond 30, many digits, as numbers here are below 1e12 (a zero
            # hides any, and is zero)
            signed = read.find(b"-") >= 0 or read.find(b"\\") >= 0
            self._odd = signed or read[::3].translate(SHAPE).find(EVERY_THIRD) >= 0
        self._closely = self._odd or self._exact

    def frame(self, raw: bytes, recv_ns: int) -> None:
        """See `_spec.Decoder`. Hot: one typed decode a frame."""
        best = self._bests and raw[raw.find(b"@") + 1] == _B
        try:
            data: Any = (_best if best else _frame)(raw).data
        except (ValueError, RecursionError):
            if self._first_best(raw, recv_ns) or self._control(raw):
                return
            check_numbers(raw)
            data = (_best_wide if best else _frame_wide)(raw).data
        if self._closely:
            if self._odd:
                check_numbers(raw)
            if self._exact:
                data = (_best_exact if best else _frame_exact)(raw).data
        kind = type(data)
        if kind is WTrade:
            try:
                trades = self._trades[data.s]
            except KeyError:
                self._port.unasked(data.s)
                return
            trades.trade(data.p, data.q, "sell" if data.m else "buy", data.t, data.T * 1_000_000, recv_ns)
            return
        if kind is WDepth:
            if data.u < data.U:
                raise ValueError(f"update {data.U} to {data.u} runs backwards")
            book = self._books(data.s)
            if book is not None:
                book.delta(data.U, data.u, data.b, data.a, data.E * 1_000_000, recv_ns)
                return
        elif self._on_ticker(data, recv_ns):
            return
        self._port.unasked(data.s)

    def _first_best(self, raw: bytes, recv_ns: int) -> bool:
        """Read a frame that failed for being the first of bookTicker; False where it is not, or not the first."""
        if self._bests or raw[raw.find(b"@") + 1] != _B:
            return False
        self._bests = True
        self.frame(raw, recv_ns)
        return True

    def _on_ticker(self, data: Any, recv_ns: int) -> bool:
        sink = self._tickers(data.s)
        if sink is None:
            return False
        if type(data) is WBest:
            sink.ticker(0, recv_ns, bid=data.b, bid_size=data.B, ask=data.a, ask_size=data.A)
        else:
            sink.ticker(
                data.E * 1_000_000,
                recv_ns,
                bid=data.b,
                bid_size=data.B,
                ask=data.a,
                ask_size=data.A,
                last=data.c,
                volume_24h=data.v,
            )
        return True

    def _control(self, raw: bytes) -> bool:
        """Understand a frame that is not data asked for; False where it is, and cannot be read."""
        talk = _talk(raw)
        kind = talk.e or _kind_of(talk.data)
        if kind == "serverShutdown":
            self._port.control()
            self._port.status("shutdown")
            self._port.restart("the venue announced its shutdown")
        elif talk.stream:
            # `!miniTicker@arr` is of all markets
            native, _, name = ("", "", talk.stream[1:]) if talk.stream[0] == "!" else talk.stream.partition("@")
            what = kind or name
            if what in _OURS:
                return False
            if _UNASKED.fullmatch(what):
                self._port.unasked(native.upper())
            else:
                self._port.drift(what, raw)
        elif talk.error is not None or talk.code != "":
            self._port.control()
            self._on_error(talk.id, talk.error or talk)
        elif talk.result is not msgspec.UNSET:
            self._port.control()
            subscribes, about = self._asked.pop(talk.id, (True, []))
            for channel, native in about:
                (self._port.accepted if subscribes else self._port.dropped)(channel, native)
        else:
            return False
        return True

    def _on_error(self, about_id: int | str | None, error: WError) -> None:
        """Refuse or end what the error is about; one to what came too often settles nothing: it is asked again."""
        reason = error.msg or f"error {error.code}"
        if too_often(reason):
            self._asked.pop(about_id, None)
            self._port.status("error", reason)
            return
        if about_id is None:
            about_id = next(iter(self._asked), None)  # what has waited longest
        if about_id not in self._asked:
            self._port.status("error", reason)
            return
        subscribes, about = self._asked.pop(about_id)
        for channel, native in about:
            if subscribes and len(about) > 1:
                self._port.unsettled(channel, native)
            elif subscribes:
                self._port.refused(channel, native, reason)
            else:
                self._port.dropped(channel, native)  # what the venue will not end is not there

    def suspects(self, raw: bytes) -> Sequence[str] | None:
        """See `_spec.Decoder`; every stream named in the frame, for it may be two that ran together."""
        named = _STREAM.findall(raw)
        if not named:
            return None
        return [native.decode("ascii", "replace").upper() for native, name in named if name.startswith(b"depth")]

    def subscribe(self, add: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`. An unknown stream is acknowledged and stays silent: names come from exchangeInfo."""
        return self._request("SUBSCRIBE", add)

    def unsubscribe(self, drop: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`."""
        return self._request("UNSUBSCRIBE", drop)

    def _request(self, method: str, about: Sequence[tuple[Subscription, str]]) -> list[str]:
        self._id += 1
        self._asked[self._id] = (method == "SUBSCRIBE", [(s.channel, native) for s, native in about])
        self._asked.pop(self._id - MAX_ASKED, None)
        params = [f"{native.lower()}@{name}" for s, native in about for name in _STREAMS[s.channel]]
        return [orjson.dumps({"method": method, "params": params, "id": self._id}).decode()]

    def ping(self) -> str | None:
        """See `_spec.Decoder`; protocol pings do."""
        return None

    def book_request(self, native: str) -> Request:
        """See `_spec.RestBooks`."""
        path = f"/api/v3/depth?symbol={quote(native, safe='')}&limit={SNAPSHOT_LEVELS}"
        return Request(path, weight=SNAPSHOT_WEIGHT)

    def book_reply(self, native: str, body: bytes, recv_ns: int) -> None:
        """See `_spec.RestBooks`."""
        reply = self._read(body, _depth, _depth_exact)
        book = self._books(native)
        if book is not None:
            book.snapshot(reply.lastUpdateId, reply.bids, reply.asks, 0, recv_ns)

    def audit_request(self, native: str) -> Request:
        """See `_spec.Audits`."""
        return self.book_request(native)

    def audit_picture(self, native: str, body: bytes) -> Picture[N]:
        """See `_spec.Audits`."""
        reply = self._read(body, _depth, _depth_exact)
        return Picture(reply.lastUpdateId, reply.bids, reply.asks)

    def past_request(self, native: str, first: int, last: int, after_ns: int, before_ns: int) -> Request:
        """See `_spec.History`; by id, oldest first."""
        limit = min(last - first + 1, HISTORY_TRADES)
        path = f"/api/v3/historicalTrades?symbol={quote(native, safe='')}&fromId={first}&limit={limit}"
        return Request(path, weight=HISTORY_WEIGHT)

    def past_trades(self, native: str, body: bytes) -> list[PastTrade[N]]:
        """See `_spec.History`."""
        return [
            PastTrade(t.price, t.qty, "sell" if t.isBuyerMaker else "buy", t.id, t.time * 1_000_000)
            for t in self._read(body, _past, _past_exact)
        ]

    def _read(self, body: bytes, checked: Any, exact: Any) -> Any:
        if odd(body):
            check_numbers(body)
        read = checked(body)
        return exact(body) if self._exact else read


def _kind_of(payload: msgspec.Raw) -> str:
    try:
        return _kind(payload).e
    except ValueError:
        return ""  # none, or an array


class WFilter(Struct):
    """{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},
    {"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"}"""

    filterType: str
    tickSize: Decimal | None = None
    stepSize: Decimal | None = None


class WSymbol(Struct):
    """{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[...],...}"""

    symbol: str
    status: str
    baseAsset: str
    quoteAsset: str
    filters: list[WFilter] = []


class WExchangeInfo(Struct):
    """{"timezone":"UTC","serverTime":1633998511098,"rateLimits":[...],"symbols":[...]}"""

    symbols: list[WSymbol]


_exchange_info = msgspec.json.Decoder(WExchangeInfo).decode


def instruments_requests(symbols: Sequence[str]) -> list[Request]:
    """ExchangeInfo of these symbols, which is refused whole where the venue lacks one of them; then of all."""
    names = orjson.dumps([symbol.replace("-", "") for symbol in symbols])
    return [
        Request(f"/api/v3/exchangeInfo?symbols={quote(names, safe='')}", weight=20),
        Request("/api/v3/exchangeInfo", weight=20),
    ]


def instruments(body: bytes) -> list[Instrument[Decimal]]:
    """Instruments of an exchangeInfo reply."""
    found = []
    for s in _exchange_info(body).symbols:
        try:
            symbol = canonical(s.baseAsset, s.quoteAsset)
        except ValueError:
            continue  # a name that no text may carry (P33)
        if not (s.symbol.isascii() and s.symbol.isalnum()):
            continue  # the same; it would stand in requests
        filters = {f.filterType: f for f in s.filters}
        tick = step(filters["PRICE_FILTER"].tickSize) if "PRICE_FILTER" in filters else None
        lot = step(filters["LOT_SIZE"].stepSize) if "LOT_SIZE" in filters else None
        found.append(
            Instrument(
                venue=NAME,
                symbol=symbol,
                native=s.symbol,
                base=s.baseAsset,
                quote=s.quoteAsset,
                tick=tick,
                lot=lot,
                price_digits=None if tick is None else decimals(tick),
                size_digits=None if lot is None else decimals(lot),
                trading=s.status == "TRADING",
                status=s.status,
            )
        )
    return found


def plan(endpoints: Endpoints, wanted: Sequence[Subscription], pace: Pace) -> list[LinkPlan]:
    """One URL for everything; frames come wrapped with their stream's name, for not all payloads tell it."""
    return one_host(f"{endpoints.ws}/stream", wanted, pace)


VENUE = Venue(
    name=NAME,
    title="Binance",
    endpoints=Endpoints(
        ws="wss://stream.binance.com:9443",
        rest="https://api.binance.com",
        spare="wss://data-stream.binance.vision",  # market data alone, the same streams
    ),
    pace=PACE,
    book=BOOK,
    decoder=Decoder,
    plan=plan,
    history=True,
    instruments_requests=instruments_requests,
    instruments=instruments,
)
