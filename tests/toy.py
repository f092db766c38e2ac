"""A venue made up for the tests, so that the core is tested without knowing a real one.

Frames are JSON objects: `c` says what they are of (a channel, or "talk"), `s` the market by its native name, `n` the
frame's number on the link where the venue numbers those. Numbers are JSON numbers or text.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Generic, Literal

import msgspec
from msgspec import Struct, structs

from marketfeed.commands import Ping
from marketfeed.events import Instrument
from marketfeed.number import Int64, P, Price, S, Size, reader
from marketfeed.subscriptions import Channel, Subscription
from marketfeed.venues._plan import one_host
from marketfeed.venues._spec import BookRule, Context, Endpoints, Pace, Request, Venue

from .venues.conftest import SECOND, Talk

NAME = "toy"
PACE = Pace(frames_per_s=50, subscriptions_per_link=100, connects=(10, 60), rest=(10, 1.0), silence_s=30)
REST = BookRule(snapshot="rest", numbered=True)
STREAM = BookRule(snapshot="stream", numbered=True)
LINK = BookRule(snapshot="stream", scope="link")


class WTrade(Struct, Generic[P]):
    s: str
    p: P
    q: P
    side: Literal["buy", "sell"]
    id: Int64
    ts: int = 0


class WTicker(Struct, Generic[S]):
    s: str
    bid: S | None = None
    bid_size: S | None = None
    ask: S | None = None
    ask_size: S | None = None
    last: S | None = None
    volume: S | None = None


class WBook(Struct, Generic[P, S]):
    s: str
    b: tuple[tuple[P, S], ...]
    a: tuple[tuple[P, S], ...]
    f: Int64 = 0
    l: Int64 = 0
    snap: bool = False
    ts: int = 0


class WDepth(Struct, Generic[P, S]):
    seq: Int64
    b: tuple[tuple[P, S], ...]
    a: tuple[tuple[P, S], ...]


class WTalk(Struct):
    what: str
    ch: Literal["trades", "ticker", "book"] = "book"
    s: str = ""
    text: str = ""
    depth: int = 0


class WHead(Struct):
    c: str
    n: int = -1


def _read(kind: Any, exact: bool, *params: tuple[Any, Any]) -> Any:
    checked = msgspec.json.Decoder(kind[tuple(p[0] for p in params)], strict=False).decode
    return reader(checked, msgspec.json.Decoder(kind[tuple(p[1] for p in params)]).decode if exact else None)


_P, _S = (Price, Decimal), (Size, Decimal)


class Decoder:
    """See `_spec.Decoder` and `_spec.RestBooks`."""

    JSON_PING: str | None = None

    def __init__(self, context: Context[Any]) -> None:
        self.port = context.port
        self.expected = 0
        self.head = msgspec.json.Decoder(WHead).decode
        self.talk = msgspec.json.Decoder(WTalk).decode
        self.trade = _read(WTrade, context.exact, _P)
        self.ticker = _read(WTicker, context.exact, _S)
        self.book = _read(WBook, context.exact, _P, _S)
        self.depth = _read(WDepth, context.exact, _P, _S)

    def frame(self, raw: bytes, recv_ns: int) -> None:
        head = self.head(raw)
        if head.n >= 0:
            if head.n != self.expected:
                self.port.hole(f"frame {self.expected} was expected, {head.n} came")
            self.expected = head.n + 1
        if head.c == "trades":
            t = self.trade(raw)
            sink = self.port.trades.get(t.s)
            if sink is None:
                self.port.unasked(t.s)
            else:
                sink.trade(t.p, t.q, t.side, t.id, t.ts, recv_ns)
        elif head.c == "ticker":
            t = self.ticker(raw)
            tickers = self.port.tickers.get(t.s)
            if tickers is None:
                self.port.unasked(t.s)
            else:
                numbers = structs.asdict(t)
                del numbers["s"]
                tickers.ticker(0, recv_ns, volume_24h=numbers.pop("volume"), **numbers)
        elif head.c == "book":
            b = self.book(raw)
            book = self.port.books.get(b.s)
            if book is None:
                self.port.unasked(b.s)
            elif b.snap:
                book.snapshot(b.l, b.b, b.a, b.ts, recv_ns)
            else:
                book.delta(b.f, b.l, b.b, b.a, b.ts, recv_ns)
        elif head.c == "talk":
            talk = self.talk(raw)
            self.port.control()
            self._on_talk(talk)
        else:
            self.port.drift(head.c, raw)

    def _on_talk(self, talk: WTalk) -> None:
        if talk.what == "ack":
            self.port.accepted(talk.ch, talk.s, talk.depth)
        elif talk.what == "nack":
            self.port.refused(talk.ch, talk.s, talk.text)
        elif talk.what == "alone":
            self.port.unsettled(talk.ch, talk.s)
        elif talk.what == "gone":
            self.port.dropped(talk.ch, talk.s)
        elif talk.what == "status":
            self.port.status(talk.text, "said by the venue")
        elif talk.what == "restart":
            self.port.restart(talk.text)

    def glance(self, frames: Sequence[bytes]) -> None:
        """See `_spec.Decoder`."""

    def suspects(self, raw: bytes) -> Sequence[str] | None:
        try:
            named = json.loads(raw)
            if named["c"] != "book":
                return ()
            return [named["s"]] if isinstance(named["s"], str) else None
        except (ValueError, RecursionError, KeyError, TypeError):
            return None

    def subscribe(self, add: Sequence[tuple[Subscription, str]]) -> list[str]:
        return [self._frame("sub", add)]

    def unsubscribe(self, drop: Sequence[tuple[Subscription, str]]) -> list[str]:
        return [self._frame("unsub", drop)]

    def _frame(self, do: str, about: Sequence[tuple[Subscription, str]]) -> str:
        depth = max(s.depth for s, _ in about)
        return json.dumps({"do": do, "ch": about[0][0].channel, "s": [native for _, native in about], "depth": depth})

    def ping(self) -> str | None:
        return self.JSON_PING

    def book_request(self, native: str) -> Request:
        return Request(f"/depth?symbol={native}")

    def book_reply(self, native: str, body: bytes, recv_ns: int) -> None:
        depth = self.depth(body)
        self.port.books[native].snapshot(depth.seq, depth.b, depth.a, 0, recv_ns)


class PingingDecoder(Decoder):
    """One whose venue wants JSON pings."""

    JSON_PING = '{"do":"ping"}'


def venue(rule: BookRule = REST, *, decoder: Any = Decoder, pace: Pace = PACE) -> Venue:
    """The made-up venue with this book rule."""
    return Venue(
        name=NAME,
        title="Toy",
        endpoints=Endpoints(ws="wss://toy.example", rest="https://toy.example"),
        pace=pace,
        book=rule,
        decoder=decoder,
        plan=lambda endpoints, wanted, pace: one_host(endpoints.ws, wanted, pace),
        instruments_requests=lambda symbols: [],
        instruments=lambda body: [],
        first_data=frozenset({"book"}),
    )


def subscription(symbol: str = "BTC-USD", channel: Channel = "book", depth: int = 0) -> Subscription:
    """One at the made-up venue."""
    return Subscription(NAME, symbol, channel, depth)


def instruments(*symbols: str) -> Mapping[str, Instrument[Any]]:
    """Instruments whose native name is the symbol without its hyphen."""
    made = {}
    for symbol in symbols:
        base, _, quote = symbol.partition("-")
        made[symbol] = Instrument(venue=NAME, symbol=symbol, native=base + quote, base=base, quote=quote)
    return made


class Conversation(Talk):
    """A talk with the made-up venue about BTC-USD and ETH-USD, already open and acknowledged.

    Commands that are neither frames nor fetches are in `pings` and `closed`.
    """

    def __init__(self, rule: BookRule = REST, *names: str, ack: bool = True, **options: Any) -> None:
        self.pings = 0
        decoder, pace = options.pop("decoder", Decoder), options.pop("pace", PACE)
        super().__init__(
            venue(rule, decoder=decoder, pace=pace),
            *(names or ("BTC-USD", "ETH-USD")),
            native=lambda symbol: symbol.replace("-", ""),
            **options,
        )
        if ack:
            self.session.on_open(self.mono_ns, self.now)
            self._do()
            for said in list(self.sent):
                for native in said["s"]:
                    self.ack(native, said["ch"])

    def _do(self) -> None:
        self.pings += sum(isinstance(c, Ping) for c in self.session.commands)
        super()._do()

    def ack(self, native: str, channel: str = "book", depth: int = 0) -> "Conversation":
        """The venue acknowledges a subscription."""
        return self.frame({"c": "talk", "what": "ack", "ch": channel, "s": native, "depth": depth})

    def pass_time(self, seconds: float, step: float = 0.25) -> "Conversation":
        """Time passes and nothing at all comes, no pong either."""
        for _ in range(round(seconds / step)):
            self.mono_ns += int(step * SECOND)
            self.now += int(step * SECOND)
            self.session.on_tick(self.mono_ns, self.now)
            self._do()
        return self

    def fail(self) -> "Conversation":
        """The oldest open REST call fails."""
        self.session.on_failure(self.fetches.pop(0).token, self.mono_ns)
        self._do()
        return self

    def commands_left(self) -> list[Any]:
        """What the session wants done and nobody has done."""
        return list(self.session.commands)

    def drop_link(self, reason: str = "cut") -> "Conversation":
        """The connection ends."""
        self.session.on_close(1006, reason, self.now)
        return self


def delta(first: int, last: int, s: str = "BTCUSD", bids: Any = ((100, 1),), asks: Any = (), **more: Any) -> Any:
    """A book frame numbered `first` to `last`."""
    return {"c": "book", "s": s, "f": first, "l": last, "b": bids, "a": asks, **more}


def snap(seq: int, s: str = "BTCUSD", bids: Any = ((100, 5),), asks: Any = ((101, 5),), **more: Any) -> Any:
    """A whole book in the stream."""
    return {"c": "book", "s": s, "l": seq, "b": bids, "a": asks, "snap": True, **more}


def rest_snap(seq: int, bids: Any = ((100, 5),), asks: Any = ((101, 5),)) -> Any:
    """A whole book over REST."""
    return {"seq": seq, "b": bids, "a": asks}


def trade(number: int, s: str = "BTCUSD", p: Any = 100, q: Any = 1, ts: int = 0, **more: Any) -> Any:
    """A trade."""
    return {"c": "trades", "s": s, "p": p, "q": q, "side": "buy", "id": number, "ts": ts or number, **more}
