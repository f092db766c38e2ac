"""Kraken spot, WebSocket v2: trades, ticker, book with CRC32 on every update.

Docs: docs.kraken.com/exchange/api-reference/spot-websocket-v2, .../guides/websockets/book-checksum-v2.
Checked 2026-11-21. A venue is one file, each wire type under its payload: the reason for its length.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Generic, Literal
from urllib.parse import quote

import msgspec
import orjson
from msgspec import Struct

from ..events import Instrument
from ..number import MAX_EXPONENT, Int64, N, P, Price, S, Size, check_numbers, odd
from ..subscriptions import Subscription
from ..symbols import canonical
from ._plan import MAX_ASKED, one_host
from ._rules import crc32_levels, level_text, rfc3339_ns, step, too_often
from ._spec import BookRule, Context, Endpoints, Levels, LinkPlan, Pace, PastTrade, Picture, Proof, Request, Venue

NAME = "kraken"
# 150 connection attempts in 10 minutes by an address; about one public REST call a second; heartbeat each second
PACE = Pace(
    frames_per_s=15,
    subscriptions_per_link=600,
    connects=(140, 600),
    rest=(1, 1.0),
    silence_s=5,
    heartbeat=True,
    ping_idle_s=3,
)
AUDIT_LEVELS = 50
BOOK = BookRule(
    snapshot="stream",
    checksum=crc32_levels,
    checksum_levels=10,
    depths=(10, 25, 100, 500, 1000),
    audit=AUDIT_LEVELS,
)
HISTORY_TRADES = 1000
MAX_SECONDS = 10**11


class WTrade(Struct, Generic[P]):
    """{"symbol":"BTC/USD","side":"sell","price":4136.4,"qty":0.23374249,"ord_type":"limit","trade_id":10218208,
    "timestamp":"2026-10-06T07:48:36.925533Z"}: `side` is the taker's."""

    symbol: str
    side: Literal["buy", "sell"]
    price: P
    qty: P
    trade_id: Int64
    timestamp: str


class WTicker(Struct, Generic[S]):
    """{"symbol":"BTC/USD","bid":105944.20,"bid_qty":2.5,"ask":105944.30,"ask_qty":3.2,"last":105899.4,
    "volume":163.28908096,"vwap":105904.39279,"low":104711.0,...,"timestamp":"2026-10-25T09:30:59.123456Z"}"""

    symbol: str
    bid: S | None = None
    bid_qty: S | None = None
    ask: S | None = None
    ask_qty: S | None = None
    last: S | None = None
    volume: S | None = None
    timestamp: str = ""


class WLevel(Struct, gc=False):
    """{"price":105944.20,"qty":0.136}: read as Decimal in both modes, for the checksum is over the digits."""

    price: Decimal
    qty: Decimal


class WLevelChecked(Struct, gc=False):
    """The same, for the grammar and range of its numbers."""

    price: Price
    qty: Size


class WBook(Struct):
    """{"symbol":"BTC/USD","bids":[],"asks":[{"price":29431.1,"qty":0.0},{"price":29433.3,"qty":0.8}],
    "checksum":3547452596,"timestamp":"2023-07-30T15:29:58.343415Z"}"""

    symbol: str
    bids: list[WLevel]
    asks: list[WLevel]
    checksum: Int64
    timestamp: str = ""


class WBookChecked(Struct):
    """The same with checked numbers."""

    bids: list[WLevelChecked]
    asks: list[WLevelChecked]


class WName(Struct):
    """The one field of a row that a malformed frame is still searched for."""

    symbol: str


class WFrame(Struct):
    """{"channel":"trade","type":"update","data":[...]}: data. {"method":"subscribe","success":true,...}: a reply."""

    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw()
    method: str = ""


class WResult(Struct):
    """{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"}"""

    channel: str = ""
    symbol: str = ""
    depth: int = 0


class WReply(Struct):
    """{"method":"subscribe","result":{...},"success":true,"req_id":1}: one for each symbol.

    {"error":"Currency pair not supported XXX/USD","method":"subscribe","req_id":1,"success":false,"symbol":"XXX/USD"}
    """

    success: bool = True
    result: WResult | None = None
    error: str = ""
    symbol: str = ""
    req_id: int = 0


class WSystem(Struct):
    """{"system":"online","api_version":"v2","connection_id":6447481662169813000,"version":"2.0.10"}"""

    system: str = ""


class WPast(Struct, Generic[P]):
    """{"error":[],"result":{"XXBTZUSD":[["30243.40000","0.34507674",1688669597.8277369,"b","m","",61044952],...],
    "last":"1688671969993150842"}}: price, size, time, side, order type, misc, id; oldest first."""

    error: list[str] = []
    result: dict[str, list[tuple[P, P, Decimal, Literal["b", "s"], str, str, Int64]] | str] = {}


class WDepth(Struct, Generic[P, S]):
    """{"bids":[["45285.2","0.001",1699999999],...],"asks":[...]}: price, size, time."""

    bids: list[tuple[P, S, float]]
    asks: list[tuple[P, S, float]]


class WShown(Struct, Generic[P, S]):
    """{"error":[],"result":{"XXBTZUSD":{...}}}: it has no number."""

    error: list[str] = []
    result: dict[str, WDepth[P, S]] = {}


_envelope = msgspec.json.Decoder(WFrame).decode
_past = msgspec.json.Decoder(WPast[Price], strict=False).decode
_past_exact = msgspec.json.Decoder(WPast[Decimal], strict=False).decode
_shown = msgspec.json.Decoder(WShown[Price, Size], strict=False).decode
_shown_exact = msgspec.json.Decoder(WShown[Decimal, Decimal], strict=False).decode
_reply = msgspec.json.Decoder(WReply).decode
_system = msgspec.json.Decoder(list[WSystem]).decode
_names = msgspec.json.Decoder(list[WName]).decode
_book = msgspec.json.Decoder(list[WBook]).decode
_book_checked = msgspec.json.Decoder(list[WBookChecked]).decode
_trades = msgspec.json.Decoder(list[WTrade[Price]]).decode
_trades_exact = msgspec.json.Decoder(list[WTrade[Decimal]]).decode
_ticker = msgspec.json.Decoder(list[WTicker[Size]]).decode
_ticker_exact = msgspec.json.Decoder(list[WTicker[Decimal]]).decode

_WIRE = {"trades": "trade", "ticker": "ticker", "book": "book"}
_CHANNEL: dict[str, Literal["trades", "ticker", "book"]] = {"trade": "trades", "ticker": "ticker", "book": "book"}
_UNASKED = frozenset({"ohlc", "instrument", "level3", "executions", "balances"})


class Decoder(Generic[N]):
    """One connection to Kraken; see `_spec.Decoder`."""

    def __init__(self, context: Context[N]) -> None:
        self._port = context.port
        self._exact = context.exact
        self._instruments = context.instruments
        self._requests: dict[int, tuple[str, list[str]]] = {}
        self._req_id = 0
        self._system = ""
        self._odd = True

    def glance(self, frames: Sequence[bytes]) -> None:
        """See `_spec.Decoder`."""
        self._odd = odd(b"".join(frames))

    def frame(self, raw: bytes, recv_ns: int) -> None:
        """See `_spec.Decoder`."""
        if self._odd:
            check_numbers(raw)
        frame = _envelope(raw)
        channel = frame.channel
        if channel == "book":
            self._on_book(_is_snapshot(frame), frame.data, recv_ns)
        elif channel == "trade":
            self._on_trades(_is_snapshot(frame), frame.data, recv_ns)
        elif channel == "ticker":
            self._on_ticker(frame.data, recv_ns)
        elif channel == "heartbeat":
            self._port.control()
        elif frame.method == "pong":
            self._port.pong()
        elif channel == "status":
            systems = _system(frame.data)
            self._port.control()
            for status in systems:
                self._on_system(status.system)
        elif frame.method:
            reply = _reply(raw)
            self._port.control()
            self._on_reply(frame.method, reply)
        elif channel in _UNASKED:
            self._port.unasked("")
        elif channel:
            self._port.drift(channel, raw)
        else:
            raise ValueError("neither a channel nor a method")

    def _on_system(self, system: str) -> None:
        """Maintenance stops the books without a word of each; back online they must begin anew."""
        before, self._system = self._system, system
        self._port.status(system)
        if system == "maintenance":
            self._port.hole("the venue is in maintenance", "halted")
        elif before == "maintenance":
            self._port.restart(f"{system} again after maintenance")

    def _on_trades(self, history: bool, data: msgspec.Raw, recv_ns: int) -> None:
        trades: list[WTrade[Any]] = _trades(data)
        if self._exact:
            trades = _trades_exact(data)
        used = False
        for t in trades:
            sink = self._port.trades.get(t.symbol)
            if sink is None:
                continue
            used = True
            if history:
                sink.seed(t.trade_id, recv_ns)
            else:
                sink.trade(t.price, t.qty, t.side, t.trade_id, rfc3339_ns(t.timestamp), recv_ns)
        if not used:
            self._port.unasked(trades[0].symbol if trades else "")

    def _on_ticker(self, data: msgspec.Raw, recv_ns: int) -> None:
        tickers: list[WTicker[Any]] = _ticker(data)
        if self._exact:
            tickers = _ticker_exact(data)
        used = False
        for t in tickers:
            sink = self._port.tickers.get(t.symbol)
            if sink is None:
                continue
            used = True
            sink.ticker(
                rfc3339_ns(t.timestamp) if t.timestamp else 0,
                recv_ns,
                bid=t.bid,
                bid_size=t.bid_qty,
                ask=t.ask,
                ask_size=t.ask_qty,
                last=t.last,
                volume_24h=t.volume,
            )
        if not used:
            self._port.unasked(tickers[0].symbol if tickers else "")

    def _on_book(self, snapshot: bool, data: msgspec.Raw, recv_ns: int) -> None:
        _book_checked(data)
        books = _book(data)
        used = False
        for b in books:
            sink = self._port.books.get(b.symbol)
            if sink is None:
                continue
            used = True
            ts_event = rfc3339_ns(b.timestamp) if b.timestamp else 0
            bids, bid_texts = self._levels(b.symbol, b.bids)
            asks, ask_texts = self._levels(b.symbol, b.asks)
            proof = Proof(b.checksum, bid_texts, ask_texts)
            if snapshot:
                sink.snapshot(0, bids, asks, ts_event, recv_ns, proof)
            else:
                sink.delta(0, 0, bids, asks, ts_event, recv_ns, proof)
        if not used:
            self._port.unasked(books[0].symbol if books else "")

    def _levels(self, native: str, levels: list[WLevel]) -> tuple[Levels[N], list[str]]:
        """Levels in the feed's numbers, and their checksum texts: at the pair's precision, as sent where unknown."""
        known = self._instruments.get(native)
        price_digits = known.price_digits if known else None
        size_digits = known.size_digits if known else None
        texts: list[str] = []
        pairs: list[Any] = []
        levels.reverse()
        while levels:  # each is let go as it is read, for its digits take more memory than what is made of them
            v = levels.pop()
            texts.append(level_text(_fixed(v.price, price_digits), _fixed(v.qty, size_digits)))
            pairs.append((v.price, v.qty) if self._exact else (float(v.price), float(v.qty)))
        return tuple(pairs), texts

    def _on_reply(self, method: str, reply: WReply) -> None:
        """A reply; one to what came too often settles nothing: without an answer, it is asked again."""
        if not reply.success and too_often(reply.error):
            self._port.status("error", reply.error)
            return
        asked, natives = self._requests.get(reply.req_id, ("", []))
        wire = reply.result.channel if reply.result else asked
        native = (reply.result.symbol if reply.result else "") or reply.symbol
        channel = _CHANNEL.get(wire)
        if channel is None:
            return
        # an error that names no symbol is about all of its request
        for name in [native] if native else natives:
            if method == "unsubscribe":
                self._port.dropped(channel, name)
            elif reply.success or "already subscribed" in reply.error.lower():
                self._port.accepted(channel, name, reply.result.depth if reply.result else 0)
            else:
                self._port.refused(channel, name, reply.error)

    def suspects(self, raw: bytes) -> Sequence[str] | None:
        """See `_spec.Decoder`."""
        try:
            frame = _envelope(raw)
            if frame.channel != "book":
                return ()
            return [row.symbol for row in _names(frame.data)]
        except (ValueError, RecursionError):
            return None

    def subscribe(self, add: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`."""
        return self._requests_for("subscribe", add)

    def unsubscribe(self, drop: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`; the depth of a book must match."""
        return self._requests_for("unsubscribe", drop)

    def _requests_for(self, method: str, about: Sequence[tuple[Subscription, str]]) -> list[str]:
        groups: dict[tuple[str, int], list[str]] = {}
        for subscription, native in about:
            depth = BOOK.offered(subscription.depth) if subscription.channel == "book" else 0
            groups.setdefault((_WIRE[subscription.channel], depth), []).append(native)
        frames = []
        for (channel, depth), natives in groups.items():
            self._req_id += 1
            self._requests[self._req_id] = (channel, natives)
            self._requests.pop(self._req_id - MAX_ASKED, None)
            params: dict[str, Any] = {"channel": channel, "symbol": natives}
            if channel == "book":
                params["depth"] = depth
            elif channel == "ticker":
                params["event_trigger"] = "bbo"
            if method == "subscribe":
                params["snapshot"] = channel != "trade"
            frames.append(orjson.dumps({"method": method, "params": params, "req_id": self._req_id}).decode())
        return frames

    def ping(self) -> str | None:
        """See `_spec.Decoder`; Kraken counts a JSON ping as activity."""
        self._req_id += 1
        return f'{{"method":"ping","req_id":{self._req_id}}}'

    def audit_request(self, native: str) -> Request:
        """See `_spec.Audits`."""
        return Request(f"/0/public/Depth?pair={_rest_name(native)}&count={AUDIT_LEVELS}")

    def audit_picture(self, native: str, body: bytes) -> Picture[N]:
        """See `_spec.Audits`."""
        shown = next(iter(self._result(body, _shown, _shown_exact)), None)
        if shown is None:
            raise ValueError("an answer without a book")
        bids, asks = (tuple((price, size) for price, size, _ in side) for side in (shown.bids, shown.asks))
        return Picture(0, bids, asks)

    def past_request(self, native: str, first: int, last: int, after_ns: int, before_ns: int) -> Request:
        """See `_spec.History`; by time, oldest first. Streams cut times to microseconds."""
        since = max(0, after_ns - 1_000_000)
        return Request(f"/0/public/Trades?pair={_rest_name(native)}&since={since}&count={HISTORY_TRADES}")

    def past_trades(self, native: str, body: bytes) -> list[PastTrade[N]]:
        """See `_spec.History`."""
        rows: Any = next((found for found in self._result(body, _past, _past_exact) if not isinstance(found, str)), ())
        return [
            PastTrade(price, size, "buy" if side == "b" else "sell", number, _micros(at) * 1_000)
            for price, size, at, side, _, _, number in rows
        ]

    def _result(self, body: bytes, checked: Any, exact: Any) -> Any:
        """What is under the pair's REST name, which is not the one asked for.

        Raises LookupError for a pair that is not there, and ValueError for any other error, in the venue's words. What
        stands beside a result is a warning.
        """
        if odd(body):
            check_numbers(body)
        read = checked(body)
        if (words := ", ".join(read.error)) and not read.result:
            raise LookupError(words) if "Unknown asset pair" in words else ValueError(words)
        return (exact(body) if self._exact else read).result.values()


def _is_snapshot(frame: WFrame) -> bool:
    """Whether data is a snapshot, and no update. Raises ValueError where it says neither."""
    if frame.type == "update":
        return False
    if frame.type == "snapshot":
        return True
    raise ValueError("neither a snapshot nor an update")


def _micros(seconds: Decimal) -> int:
    """A time as the stream has it. Raises ValueError where it is none."""
    if not 0 <= seconds < MAX_SECONDS:
        raise ValueError(f"not a Unix time: {seconds:.40}")
    return int(seconds * 1_000_000)


def _rest_name(native: str) -> str:
    return quote("/".join(_OLD.get(part, part) for part in native.split("/")), safe="")


def _fixed(number: Decimal, digits: int | None) -> str:
    return f"{number:f}" if digits is None else f"{number:.{digits}f}"


class WPair(Struct):
    """{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD","pair_decimals":1,"lot_decimals":8,
    "tick_size":"0.1","ordermin":"0.0001","status":"online",...}"""

    wsname: str = ""
    pair_decimals: int = 0
    lot_decimals: int = 0
    tick_size: Decimal | None = None
    status: str = ""


class WPairs(Struct):
    """{"error":[],"result":{"XXBTZUSD":{...}}}; HTTP 200 even on errors."""

    error: list[str] = []
    result: dict[str, WPair] = {}


_pairs = msgspec.json.Decoder(WPairs).decode
# REST still writes the codes of v1; v2 streams, and people, write these
_MODERN = {"XBT": "BTC", "XDG": "DOGE"}
_OLD = {modern: old for old, modern in _MODERN.items()}


def instruments_requests(symbols: Sequence[str]) -> list[Request]:
    """AssetPairs of these symbols, then all."""
    names = ",".join("/".join(_OLD.get(part, part) for part in symbol.split("-")) for symbol in symbols)
    return [
        Request(f"/0/public/AssetPairs?pair={quote(names, safe='')}"),
        Request("/0/public/AssetPairs"),
    ]


def instruments(body: bytes) -> list[Instrument[Decimal]]:
    """Instruments of an AssetPairs reply; dark pools (`.d`) have no wsname of their own and are left out."""
    reply = _pairs(body)
    if reply.error:
        raise ValueError(", ".join(reply.error))
    found = []
    for name, pair in reply.result.items():
        base, slash, counter = pair.wsname.partition("/")
        if not slash or name.endswith(".d"):
            continue
        base, counter = _MODERN.get(base, base), _MODERN.get(counter, counter)
        try:
            symbol = canonical(base, counter)
        except ValueError:
            continue  # a name that no text may carry (P33)
        price_digits, size_digits = _digits(pair.pair_decimals), _digits(pair.lot_decimals)
        found.append(
            Instrument(
                venue=NAME,
                symbol=symbol,
                native=f"{base}/{counter}",
                base=base,
                quote=counter,
                tick=step(pair.tick_size) or _last_digit(price_digits),
                lot=_last_digit(size_digits),
                price_digits=price_digits,
                size_digits=size_digits,
                trading=pair.status == "online",
                status=pair.status,
            )
        )
    return found


def _digits(number: int) -> int | None:
    """Digits after the point as listed; None where no number has so many."""
    return number if 0 <= number <= MAX_EXPONENT else None


def _last_digit(digits: int | None) -> Decimal | None:
    return None if digits is None else Decimal(1).scaleb(-digits)


def plan(endpoints: Endpoints, wanted: Sequence[Subscription], pace: Pace) -> list[LinkPlan]:
    """One URL for everything."""
    return one_host(endpoints.ws, wanted, pace)


VENUE = Venue(
    name=NAME,
    title="Kraken",
    endpoints=Endpoints(ws="wss://ws.kraken.com/v2", rest="https://api.kraken.com"),
    pace=PACE,
    book=BOOK,
    decoder=Decoder,
    plan=plan,
    history=True,
    instruments_requests=instruments_requests,
    instruments=instruments,
    first_data=frozenset({"ticker", "book"}),
)
