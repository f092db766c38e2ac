"""Coinbase Advanced Trade: trades, ticker, book; one number counts every frame of a connection.

Docs: docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/{websocket-overview, websocket-channels,
websocket-rate-limits}, .../advanced-trade-asyncapi.json. Checked 2026-11-21.

A venue is one file, each wire type under its payload: the reason for its length.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Generic, Literal
from urllib.parse import quote

import msgspec
import orjson
from msgspec import Struct

from ..events import Instrument
from ..number import Int64, N, P, Price, S, Size, check_numbers, decimals, odd
from ..subscriptions import Channel, Subscription
from ..symbols import canonical, parse_symbol
from ._plan import MAX_ASKED, one_host
from ._rules import rfc3339_ns, step, too_often
from ._spec import BookRule, Context, Endpoints, LinkPlan, Pace, PastTrade, Picture, Request, Venue

NAME = "coinbase"
# 8 connections and 8 messages a second by an address: 4, since the network may push two bursts together. 10 public
# REST calls a second. 20 products of three channels a connection: a snapshot is megabytes, and one lost frame voids
# all. A heartbeat each second.
PACE = Pace(
    frames_per_s=4,
    frames_by_address=True,
    subscriptions_per_link=60,
    connects=(4, 1),
    rest=(10, 1),
    silence_s=5,
    heartbeat=True,
    ping_idle_s=2.5,
    max_message=64 * 2**20,
)
AUDIT_LEVELS = 50
BOOK = BookRule(snapshot="stream", scope="link", numbered=False, audit=AUDIT_LEVELS)
HISTORY_TRADES = 1000
MAX_OLD = 10
"""Frames in a row numbered below what is expected, after which the venue has begun a new count."""


class WFrame(Struct):
    """{"channel":"l2_data","client_id":"","timestamp":"2026-04-07T14:30:00.123456Z","sequence_num":0,"events":[...]}

    {"type":"error","message":"..."} has none of these. `sequence_num` counts the frames of all channels from 0.
    """

    channel: str = ""
    timestamp: str = ""
    sequence_num: Int64 | None = None
    events: msgspec.Raw = msgspec.Raw()
    type: str = ""
    message: str = ""


class WTrade(Struct, Generic[P]):
    """{"trade_id":"995098700","product_id":"BTC-USD","price":"68900.50","size":"0.00150000","side":"BUY",
    "time":"2026-04-07T14:30:02.789012Z"}: `side` is the maker's, so the taker did the opposite."""

    trade_id: Int64
    product_id: str
    price: P
    size: P
    side: Literal["BUY", "SELL"]
    time: str


class WTrades(Struct, Generic[P]):
    """{"type":"update","trades":[...]}: what came since the last one, newest first. A snapshot is history."""

    type: Literal["snapshot", "update"]
    trades: list[WTrade[P]]


class WPast(Struct, Generic[P]):
    """{"trades":[...],"best_bid":"68923.66","best_ask":"68923.67"}: over REST, newest first."""

    trades: list[WTrade[P]]


class WRow(Struct, Generic[P, S]):
    """{"price":"68923.66","size":"0.17189468"}"""

    price: P
    size: S


class WPriceBook(Struct, Generic[P, S]):
    """{"product_id":"BTC-USD","bids":[...],"asks":[...],"time":"2026-04-07T00:28:59.662782Z"}: it has no number."""

    bids: list[WRow[P, S]]
    asks: list[WRow[P, S]]


class WShown(Struct, Generic[P, S]):
    """{"pricebook":{...},"last":"68923.67","mid_market":"68923.665"}"""

    pricebook: WPriceBook[P, S]


class WTicker(Struct, Generic[S]):
    """{"type":"ticker","product_id":"BTC-USD","price":"68900.50","volume_24_h":"15328.12345678",...,
    "best_bid":"68900.00","best_bid_quantity":"1.50000000","best_ask":"68901.00","best_ask_quantity":"0.50000000"}"""

    product_id: str
    price: S | None = None
    volume_24_h: S | None = None
    best_bid: S | None = None
    best_bid_quantity: S | None = None
    best_ask: S | None = None
    best_ask_quantity: S | None = None


class WTickers(Struct, Generic[S]):
    """{"type":"snapshot","tickers":[...]}"""

    tickers: list[WTicker[S]]


class WLevel(Struct, Generic[P, S]):
    """{"side":"offer","event_time":"2026-04-07T14:30:01.456789Z","price_level":"68901.00","new_quantity":"0.0"}"""

    side: Literal["bid", "offer"]
    price_level: P
    new_quantity: S


class WBook(Struct, Generic[P, S]):
    """{"type":"update","product_id":"BTC-USD","updates":[...]}: sizes are absolute, 0 removes."""

    type: Literal["snapshot", "update"]
    product_id: str
    updates: list[WLevel[P, S]]


class WName(Struct):
    """Whose book an event is of, where the rest of it cannot be read."""

    product_id: str


class WSubscriptions(Struct):
    """{"subscriptions":{"level2":["BTC-USD","ETH-USD"],"heartbeats":["heartbeats"]}}: all that the connection has."""

    subscriptions: dict[str, list[str] | None] = {}


_envelope = msgspec.json.Decoder(WFrame).decode
_trades = msgspec.json.Decoder(list[WTrades[Price]], strict=False).decode
_trades_exact = msgspec.json.Decoder(list[WTrades[Decimal]], strict=False).decode
_tickers = msgspec.json.Decoder(list[WTickers[Size]], strict=False).decode
_tickers_exact = msgspec.json.Decoder(list[WTickers[Decimal]], strict=False).decode
_books = msgspec.json.Decoder(list[WBook[Price, Size]], strict=False).decode
_books_exact = msgspec.json.Decoder(list[WBook[Decimal, Decimal]], strict=False).decode
_past = msgspec.json.Decoder(WPast[Price], strict=False).decode
_past_exact = msgspec.json.Decoder(WPast[Decimal], strict=False).decode
_shown = msgspec.json.Decoder(WShown[Price, Size], strict=False).decode
_shown_exact = msgspec.json.Decoder(WShown[Decimal, Decimal], strict=False).decode
_names = msgspec.json.Decoder(list[WName]).decode
_subscriptions = msgspec.json.Decoder(list[WSubscriptions]).decode

_WIRE: dict[Channel, str] = {"trades": "market_trades", "ticker": "ticker", "book": "level2"}
_CHANNEL: dict[str, Channel] = {wire: channel for channel, wire in _WIRE.items()}
_UNASKED = frozenset({"candles", "status", "ticker_batch", "user", "futures_balance_summary"})
_EMPTY = re.compile(rb':\s*""')
_PRODUCT = re.compile(r"[A-Z0-9]+(?:-[A-Z0-9]+)+")

_Key = tuple[Channel, str]


class Decoder(Generic[N]):
    """One connection to Coinbase; see `_spec.Decoder`.

    A frame that cannot be read at all hides its number. The session then calls every stream of the link doubtful, and
    nothing can be proven before the next number is seen: so a jump found there has been told already.
    """

    def __init__(self, context: Context[N]) -> None:
        self._port = context.port
        self._exact = context.exact
        self._expected = 0
        self._begun = False
        self._told = False
        self._old = 0
        self._odd = True
        self._beating = self._beats = self._limited = False
        self._listed: set[_Key] = set()
        self._asked: list[set[_Key]] = []

    def glance(self, frames: Sequence[bytes]) -> None:
        """See `_spec.Decoder`."""
        self._odd = odd(b"".join(frames))

    def frame(self, raw: bytes, recv_ns: int) -> None:
        """See `_spec.Decoder`."""
        try:
            frame = _envelope(raw)
        except (ValueError, RecursionError):
            self._told = True
            raise
        if frame.sequence_num is None:
            self._on_unnumbered(frame, raw)
        elif self._follows(frame.sequence_num):
            self._on_numbered(frame, raw, recv_ns)

    def _on_unnumbered(self, frame: WFrame, raw: bytes) -> None:
        if frame.channel or not frame.type:
            self._told = True
            raise ValueError("a frame without sequence_num")
        if frame.type == "error":
            self._port.control()
            self._on_error(frame.message)
        else:
            self._port.drift(frame.type, raw)

    def _on_numbered(self, frame: WFrame, raw: bytes, recv_ns: int) -> None:
        channel = frame.channel
        if channel == "l2_data":
            self._on_books(frame, recv_ns)
        elif channel == "market_trades":
            self._on_trades(frame, recv_ns)
        elif channel == "ticker":
            self._on_tickers(frame, recv_ns)
        elif channel == "heartbeats":
            self._port.control()
        elif channel == "subscriptions":
            listed = _subscriptions(frame.events)
            self._port.control()
            self._on_subscriptions(listed)
        elif channel in _UNASKED:
            self._port.unasked("")
        elif channel:
            self._port.drift(channel, raw)
        else:
            raise ValueError("a frame without a channel")

    def _follows(self, number: int) -> bool:
        """Test a frame's number, whatever its channel; False where the frame is an old one.

        asyncapi: "starts at 0, increases by 1 for every message of the connection, of any channel or product".
        """
        expected, port = self._expected, self._port
        if number < expected:
            port.counts.stale += 1
            self._old += 1
            if self._old == MAX_OLD:
                port.hole(f"{MAX_OLD} frames in a row were numbered below {expected}, the last {number}")
                port.restart("the venue began a new count of frames")
            return False
        if self._begun:
            if number == expected:
                port.counts.links_ok += 1
            else:
                port.counts.links_broken += 1
        if number != expected and not self._told:
            port.hole(f"frame {expected} was expected, {number} came")
        self._begun = True
        self._told = False
        self._old = 0
        self._expected = number + 1
        return True

    def _read(self, body: bytes, checked: Any, exact: Any) -> Any:
        if self._odd:
            check_numbers(body)
        read = checked(body)
        return exact(body) if self._exact else read

    def _on_books(self, frame: WFrame, recv_ns: int) -> None:
        books = self._read(bytes(frame.events), _books, _books_exact)
        ts_event = _time(frame)
        used = False
        for b in books:
            sink = self._port.books.get(b.product_id)
            if sink is None:
                continue
            used = True
            bids = tuple((v.price_level, v.new_quantity) for v in b.updates if v.side == "bid")
            asks = tuple((v.price_level, v.new_quantity) for v in b.updates if v.side == "offer")
            if b.type == "snapshot":
                sink.snapshot(0, bids, asks, ts_event, recv_ns)
            else:
                sink.delta(0, 0, bids, asks, ts_event, recv_ns)
        if not used:
            self._port.unasked(books[0].product_id if books else "")

    def _on_trades(self, frame: WFrame, recv_ns: int) -> None:
        batches = self._read(bytes(frame.events), _trades, _trades_exact)
        batches = [(b.type, [(t, rfc3339_ns(t.time)) for t in sorted(b.trades, key=_trade_id)]) for b in batches]
        used, name = False, ""
        for kind, trades in batches:
            newest: dict[str, int] = {}
            for t, ts_event in trades:
                name = t.product_id
                sink = self._port.trades.get(name)
                if sink is None:
                    continue
                used = True
                if kind == "snapshot":
                    newest[name] = t.trade_id
                else:
                    sink.trade(t.price, t.size, _taker(t), t.trade_id, ts_event, recv_ns)
            for product, number in newest.items():
                self._port.trades[product].seed(number, recv_ns)
        if not used:
            self._port.unasked(name)

    def _on_tickers(self, frame: WFrame, recv_ns: int) -> None:
        # what a ticker lacks may be "": in JSON nothing else can stand there, so it may be called null
        body = bytes(frame.events)
        if b'""' in body:
            body = _EMPTY.sub(b":null", body)
        tickers = [t for event in self._read(body, _tickers, _tickers_exact) for t in event.tickers]
        ts_event = _time(frame)
        used = False
        for t in tickers:
            sink = self._port.tickers.get(t.product_id)
            if sink is None:
                continue
            used = True
            sink.ticker(
                ts_event,
                recv_ns,
                bid=t.best_bid,
                bid_size=t.best_bid_quantity,
                ask=t.best_ask,
                ask_size=t.best_ask_quantity,
                last=t.price,
                volume_24h=t.volume_24_h,
            )
        if not used:
            self._port.unasked(tickers[0].product_id if tickers else "")

    def _on_subscriptions(self, events: list[WSubscriptions]) -> None:
        """The whole state: what is new in it was accepted, what is gone from it was dropped."""
        listed = {
            (_CHANNEL[wire], native)
            for event in events
            for wire, natives in event.subscriptions.items()
            if wire in _CHANNEL
            for native in natives or ()
        }
        gone = self._listed - listed
        self._listed = listed
        self._answered(listed)
        self._beats = any("heartbeats" in event.subscriptions for event in events)
        if self._limited and not self._beats and not self._asked:
            self._port.restart("heartbeats were asked for too often")
        for channel, native in sorted(gone):
            self._port.dropped(channel, native)
        for channel, native in sorted(listed):
            self._port.accepted(channel, native)

    def _on_error(self, message: str) -> None:
        """An error names no request: it is of one with a product that it names, else of what has waited longest.

        The request is refused whole; what it held beside the one at fault is asked for again. One that came too often
        is not refused: without an answer it is asked again, and heartbeats with it, which may have been meant.
        """
        if too_often(message):
            self._limited, self._beating = True, self._beats
            self._port.status("error", message)
            return
        named = set(_PRODUCT.findall(message))
        request = next((asked for asked in self._asked if any(native in named for _, native in asked)), None)
        if request is None and not named:
            request = next(iter(self._asked), None)
        if request is None:
            self._port.status("error", message)
            return
        guilty = {key for key in request if key[1] in named} or (request if len(request) == 1 else set())
        about = sorted(request)
        self._answered(request)
        for channel, native in about:
            if (channel, native) in guilty:
                self._port.refused(channel, native, message or "refused without a word")
            else:
                self._port.unsettled(channel, native)

    def _answered(self, about: set[_Key]) -> None:
        self._asked = [left for asked in self._asked if (left := asked - about)]

    def suspects(self, raw: bytes) -> Sequence[str] | None:
        """See `_spec.Decoder`; a frame whose number or channel cannot be read may be of any."""
        try:
            frame = _envelope(raw)
            if frame.sequence_num is None or not frame.channel:
                return None
            if frame.channel != "l2_data":
                return ()
            return [event.product_id for event in _names(frame.events)]
        except (ValueError, RecursionError):
            return None

    def subscribe(self, add: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`; one channel a frame, and heartbeats before all, or quiet channels are closed."""
        frames = [] if self._beating else ['{"type":"subscribe","channel":"heartbeats"}']
        self._beating = True
        for channel, natives in _by_channel(add):
            self._asked.append({(channel, native) for native in natives})
            del self._asked[:-MAX_ASKED]
            frames.append(_message("subscribe", channel, natives))
        return frames

    def unsubscribe(self, drop: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`."""
        self._answered({(s.channel, native) for s, native in drop})
        return [_message("unsubscribe", channel, natives) for channel, natives in _by_channel(drop)]

    def ping(self) -> str | None:
        """See `_spec.Decoder`; a protocol ping does."""
        return None

    def audit_request(self, native: str) -> Request:
        """See `_spec.Audits`."""
        return Request(f"{_BOOK}?product_id={quote(native, safe='')}&limit={AUDIT_LEVELS}")

    def audit_picture(self, native: str, body: bytes) -> Picture[N]:
        """See `_spec.Audits`."""
        self._odd = odd(body)
        shown = self._read(body, _shown, _shown_exact).pricebook
        bids, asks = (tuple((v.price, v.size) for v in side) for side in (shown.bids, shown.asks))
        return Picture(0, bids, asks)

    def past_request(self, native: str, first: int, last: int, after_ns: int, before_ns: int) -> Request:
        """See `_spec.History`; newest first, by whole seconds."""
        query = f"limit={HISTORY_TRADES}"
        if after_ns:
            query += f"&start={after_ns // 10**9}"
        if before_ns:
            query += f"&end={before_ns // 10**9 + 1}"
        return Request(f"{_ROOT}/{quote(native, safe='')}/ticker?{query}")

    def past_trades(self, native: str, body: bytes) -> list[PastTrade[N]]:
        """See `_spec.History`; the side is the maker's here too."""
        self._odd = odd(body)
        return [
            PastTrade(t.price, t.size, _taker(t), t.trade_id, rfc3339_ns(t.time))
            for t in self._read(body, _past, _past_exact).trades
            if t.product_id == native
        ]


def _time(frame: WFrame) -> int:
    return rfc3339_ns(frame.timestamp) if frame.timestamp else 0


def _taker(trade: WTrade[Any]) -> Literal["buy", "sell"]:
    return "sell" if trade.side == "BUY" else "buy"


def _trade_id(trade: WTrade[Any]) -> int:
    return trade.trade_id


def _by_channel(about: Sequence[tuple[Subscription, str]]) -> list[tuple[Channel, list[str]]]:
    groups: dict[Channel, list[str]] = {}
    for subscription, native in about:
        groups.setdefault(subscription.channel, []).append(native)
    return list(groups.items())


def _message(kind: str, channel: Channel, natives: list[str]) -> str:
    return orjson.dumps({"type": kind, "product_ids": natives, "channel": _WIRE[channel]}).decode()


class WProduct(Struct):
    """{"product_id":"BTC-USDC","base_increment":"0.00000001","price_increment":"0.01","status":"online",
    "cancel_only":false,...,"product_type":"SPOT","base_currency_id":"BTC","quote_currency_id":"USDC",
    "alias":"BTC-USD","alias_to":[]}: frames of an alias carry the name it stands for."""

    product_id: str
    base_currency_id: str
    quote_currency_id: str
    base_increment: str = ""
    price_increment: str = ""
    status: str = ""
    product_type: str = "SPOT"
    alias: str = ""
    cancel_only: bool = False
    limit_only: bool = False
    post_only: bool = False
    trading_disabled: bool = False
    auction_mode: bool = False
    is_disabled: bool = False
    view_only: bool = False


class WProducts(Struct):
    """{"products":[...],"num_products":812}"""

    products: list[WProduct]


_product = msgspec.json.Decoder(WProduct).decode
_products = msgspec.json.Decoder(WProducts).decode
_FLAGS = ("cancel_only", "limit_only", "post_only", "trading_disabled", "auction_mode", "is_disabled", "view_only")
_ROOT = "/api/v3/brokerage/market/products"
_BOOK = "/api/v3/brokerage/market/product_book"
FEW = 5
"""Up to so many products are asked for one by one; the list of all is megabytes."""


def instruments_requests(symbols: Sequence[str]) -> list[Request]:
    """Each product, where they are few; then all."""
    few = symbols if len(symbols) <= FEW else ()
    return [*(Request(f"{_ROOT}/{quote(s, safe='')}") for s in few), Request(f"{_ROOT}?product_type=SPOT")]


def instruments(body: bytes) -> list[Instrument[Decimal]]:
    """Instruments of a list of products, or of one product alone."""
    try:
        products = _products(body).products
    except msgspec.ValidationError:
        products = [_product(body)]
    found = []
    for p in products:
        if p.product_type != "SPOT":
            continue
        try:
            symbol = canonical(p.base_currency_id, p.quote_currency_id)
            native = parse_symbol(p.alias or p.product_id)
            tick, lot = _step(p.price_increment), _step(p.base_increment)
        except (ValueError, ArithmeticError):
            continue  # a name that no text may carry (P33), or no number; the others stand
        held = [flag for flag in _FLAGS if getattr(p, flag)]
        found.append(
            Instrument(
                venue=NAME,
                symbol=symbol,
                native=native,
                base=p.base_currency_id,
                quote=p.quote_currency_id,
                tick=tick,
                lot=lot,
                price_digits=None if tick is None else decimals(tick),
                size_digits=None if lot is None else decimals(lot),
                trading=p.status == "online" and not held,
                status=", ".join([p.status or "unknown", *held]),
            )
        )
    return found


def _step(text: str) -> Decimal | None:
    return step(Decimal(text)) if text else None


def plan(endpoints: Endpoints, wanted: Sequence[Subscription], pace: Pace) -> list[LinkPlan]:
    """One URL; markets in USDC on links of their own.

    Frames of BTC-USDC carry BTC-USD, its other name, so the two cannot be told apart on one link.
    """
    aliased = [s for s in wanted if s.symbol.endswith("-USDC")]
    plain = [s for s in wanted if not s.symbol.endswith("-USDC")]
    return [*one_host(endpoints.ws, plain, pace), *one_host(endpoints.ws, aliased, pace, kind="usdc")]


VENUE = Venue(
    name=NAME,
    title="Coinbase",
    endpoints=Endpoints(ws="wss://advanced-trade-ws.coinbase.com", rest="https://api.coinbase.com"),
    pace=PACE,
    book=BOOK,
    decoder=Decoder,
    plan=plan,
    history=True,
    instruments_requests=instruments_requests,
    instruments=instruments,
    first_data=frozenset({"trades", "ticker", "book"}),
)
