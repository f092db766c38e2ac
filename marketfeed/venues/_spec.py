"""What a venue declares, and what its decoder may call.

The whole interface between a venue's file and the rest is here: the reason for its length.

A venue's file holds one `Venue` record named `VENUE`. Floor 2 runs it without knowing its name.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Generic, Literal, Protocol

from msgspec import Struct

from ..counts import Counts
from ..events import Cause, Instrument, Side
from ..number import N, N_contra
from ..subscriptions import Channel, Subscription

Instruments = Mapping[str, Instrument[N]]
"""Instruments of one venue by canonical symbol."""


class Endpoints(Struct, frozen=True):
    """Where a venue is: base URLs of its WebSocket and REST sides, without a trailing slash.

    `spare` is another address with the same streams, for a second link; "" where there is none.
    """

    ws: str
    rest: str
    spare: str = ""


class Secret:
    """A key or token that never prints itself; `reveal()` is for the wire alone."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__


class Request(Struct, frozen=True):
    """A REST call. `path` begins with "/" and is appended to the venue's REST base; `weight` is its cost there."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str | Secret] = {}
    body: bytes = b""
    weight: int = 1


class Pace(Struct, frozen=True, kw_only=True):
    """A venue's limits and rhythms, from its documents. Seconds, unless a name says otherwise."""

    frames_per_s: float
    """Frames we may send on one connection, or `frames_by_address` on all of them together."""
    frames_by_address: bool = False
    """The venue counts the frames of an address, over all its connections."""
    subscriptions_per_link: int
    symbols_per_frame: int = 100
    """Subscriptions in one subscribe frame."""
    frame_bytes: int = 32_768
    connects: tuple[int, float]
    """(n, seconds): connection attempts an address may make."""
    rest: tuple[int, float]
    """(weight, seconds): REST weight an address may spend."""
    silence_s: float
    """No sign of life for this long: the link is dead."""
    heartbeat: bool = False
    """The venue sends a frame at least each second or so: then only frames are signs of life, and pongs are not."""
    ping_idle_s: float = 10.0
    pong_wait_s: float = 5.0
    ack_s: float = 5.0
    first_data_s: float = 10.0
    max_message: int = 16 * 2**20
    """Bytes of the largest frame taken."""
    lifetime_s: float = 0.0
    """After which the venue ends a connection; 0 where it is not known to."""
    poll_s: float = 0.0
    """Between two polls of a stream, for sources that are asked over REST."""


class BookRule(Struct, frozen=True, kw_only=True):
    """How a venue's books are proven.

    `snapshot`: whether it comes in the stream or over REST. `scope`: whether a hole voids that book alone or every
    stream of the link. `numbered`: the venue numbers each book's updates with (first, last). `checksum`: given the
    best levels' texts of both sides (`price digits + size digits`, best first), the venue's number.
    """

    snapshot: Literal["stream", "rest"]
    scope: Literal["book", "link"] = "book"
    numbered: bool = False
    checksum: Callable[[Sequence[str], Sequence[str]], int] | None = None
    checksum_levels: int = 10
    depths: tuple[int, ...] = ()
    """Depths the venue offers, shallowest first; empty where it only serves all."""

    window: int = 0
    """Levels a side of a REST snapshot; where it is full, what lies beyond is unknown until it changes (P26)."""
    audit: int = 0
    """Levels a side that REST shows for a comparison; 0 where none can be made."""

    def offered(self, depth: int) -> int:
        """The depth to ask for: the shallowest with `depth` levels, the deepest for 0; 0 where all come anyway."""
        if not self.depths:
            return 0
        return next((d for d in self.depths if d >= depth > 0), self.depths[-1])


class LinkPlan(Struct, frozen=True):
    """One connection to make: its URL and what to ask for on it. Without a URL it is a polling link: REST alone."""

    url: str
    subscriptions: tuple[Subscription, ...]
    headers: Mapping[str, str] = {}
    kind: str = ""
    """Links of one kind are interchangeable: a stream may move between them."""


class TradeSink(Protocol[N_contra]):
    """Where a decoder puts trades of one stream."""

    def trade(self, price: N_contra, size: N_contra, side: Side, number: int, ts_event: int, ts_recv: int) -> None:
        """One new trade; `number` is the venue's id where ids of a market are consecutive integers."""

    def seed(self, number: int, ts_recv: int) -> None:
        """The newest id in a history that is not to be told: what follows it is new."""


class TickerSink(Protocol[N_contra]):
    """Where a decoder puts tickers of one stream; what a frame did not carry is None."""

    def ticker(
        self,
        ts_event: int,
        ts_recv: int,
        *,
        bid: N_contra | None = None,
        bid_size: N_contra | None = None,
        ask: N_contra | None = None,
        ask_size: N_contra | None = None,
        last: N_contra | None = None,
        volume_24h: N_contra | None = None,
    ) -> None: ...


Levels = tuple[tuple[N, N], ...]


class BookSink(Protocol[N_contra]):
    """Where a decoder puts what it hears of one book; the sink asks the venue's `BookRule` what to make of it."""

    def snapshot(
        self,
        seq: int,
        bids: Levels[N_contra],
        asks: Levels[N_contra],
        ts_event: int,
        ts_recv: int,
        proof: "Proof | None" = None,
    ) -> None:
        """A whole book as of `seq` (0 where the venue does not number)."""

    def delta(
        self,
        first: int,
        last: int,
        bids: Levels[N_contra],
        asks: Levels[N_contra],
        ts_event: int,
        ts_recv: int,
        proof: "Proof | None" = None,
    ) -> None:
        """Changes numbered `first` to `last` (0, 0 where the venue does not number), to apply in order."""


class ChainBlock(Struct, frozen=True, kw_only=True):
    """A block as a source knows it; fields as in `events.Block`, `time_s` from its header, Unix seconds."""

    height: int
    hash: str
    prev_hash: str = ""
    time_s: int
    difficulty: float | None = None
    """Not needed where there are `bits`."""
    bits: int | None = None
    subsidy: int | None = None
    fees: int | None = None


class ChainSink(Protocol):
    """Where a decoder puts what it hears of a coin's chain. Raises ValueError for what no chain can be."""

    @property
    def tip(self) -> int:
        """Height of the best block told, 0 before the first."""

    def behind(self, height: int) -> bool:
        """Whether a server that is behind the last one may say this best height: below the tip, but not so far below
        that the tip must be wrong."""

    def blocks(self, blocks: Sequence[ChainBlock], ts_recv: int, *, whole: bool = False) -> None:
        """The end of the best chain as the source knows it: one block or several that follow each other, best last.

        Those known are passed over, others are told; of the very first only the best is told, the rest is history.
        `whole` means that the last is the best block of one node: one known and below the tip then says that those
        above it are no more, and is told again. Of a source of many servers it is one that is behind.
        """

    def network(
        self,
        ts_recv: int,
        *,
        height: int | None = None,
        difficulty: float | None = None,
        bits: int | None = None,
        hashrate: float | None = None,
        hashrate_blocks: int = 0,
        fees: float | None = None,
        fees_blocks: int = 0,
        epoch_start_s: int | None = None,
        retarget_change: float | None = None,
        retarget_ts: int | None = None,
    ) -> None:
        """What the source says of the next block; what it does not say keeps its value.

        `height` is the best block's, for sources that tell no blocks. `fees` are base units a block on average over
        `fees_blocks`, before a share that miners do not get. `epoch_start_s` is the time the epoch's span is measured
        from: of its first block, of Litecoin the one before. `retarget_change` percent, `retarget_ts` Unix nanoseconds.
        """


class Proof(Struct, frozen=True, gc=False):
    """A venue's checksum and the texts of the levels that came with it, in the order of the levels."""

    checksum: int
    bid_texts: Sequence[str]
    ask_texts: Sequence[str]


class Port(Protocol[N_contra]):
    """What a decoder may call besides its sinks. Each stream it serves is found by the venue's own name."""

    @property
    def trades(self) -> Mapping[str, TradeSink[N_contra]]:
        """Sinks of trades."""

    @property
    def tickers(self) -> Mapping[str, TickerSink[N_contra]]:
        """Sinks of tickers."""

    @property
    def books(self) -> Mapping[str, BookSink[N_contra]]:
        """Sinks of books."""

    @property
    def chains(self) -> Mapping[str, ChainSink]:
        """Sinks of chains."""

    def poll(self, native: str) -> None:
        """Have `Polls.poll` of this stream called now, and not only when it is due."""

    def accepted(self, channel: Channel, native: str, depth: int = 0) -> None:
        """The venue acknowledged a subscription; `depth` where it says which depth of a book it serves."""

    def refused(self, channel: Channel, native: str, reason: str) -> None:
        """The venue refused a subscription, in its own words."""

    def unsettled(self, channel: Channel, native: str) -> None:
        """The request that held this among others was refused for one of them: it is asked for again, alone."""

    def dropped(self, channel: Channel, native: str) -> None:
        """The venue acknowledged the end of a subscription."""

    @property
    def counts(self) -> Counts:
        """Counters of this connection."""

    def hole(self, reason: str, cause: Cause = "sequence") -> None:
        """Every stream of this link is suspect: its frames were lost (link scope), or the venue halted."""

    def status(self, status: str, detail: str = "") -> None:
        """The venue spoke of itself: `maintenance`, `online`, `shutdown`."""

    def control(self) -> None:
        """This frame was protocol talk (ack, heartbeat), not data."""

    def pong(self) -> None:
        """This frame answers a ping of ours: protocol talk that we ourselves brought about."""

    def unasked(self, native: str) -> None:
        """This frame is known to the venue and not asked of us: ignored. `native` is its market, "" if none."""

    def drift(self, what: str, raw: bytes) -> None:
        """This frame is of a kind we do not know: ignored, and told once a kind."""

    def restart(self, reason: str) -> None:
        """This connection should be replaced: the venue is about to close it, or it cannot be trusted."""


class Decoder(Protocol):
    """One connection's understanding of a venue; new for each connection, its state dies with it.

    The session calls exactly one of `frame` for each data frame, and builds what to send with the rest.
    """

    def frame(self, raw: bytes, recv_ns: int) -> None:
        """Understand one frame. Raises ValueError or RecursionError where it cannot: the frame is malformed."""

    def glance(self, frames: Sequence[bytes]) -> None:
        """Look over the frames of one read before each is understood: for what is cheaper to look for in many at once.

        Here a decoder finds out whether the numbers in them must be judged by their text (`number.odd`).
        """

    def suspects(self, raw: bytes) -> Sequence[str] | None:
        """Native names whose books a malformed frame may have carried; None where it may be any."""

    def subscribe(self, add: Sequence[tuple[Subscription, str]]) -> list[str]:
        """Frames that subscribe to (subscription, native name) pairs."""

    def unsubscribe(self, drop: Sequence[tuple[Subscription, str]]) -> list[str]:
        """Frames that unsubscribe."""

    def ping(self) -> str | None:
        """A JSON ping for venues that want one in place of a protocol ping."""


class RestBooks(Protocol):
    """What a decoder has besides where its venue's `BookRule.snapshot` is "rest"."""

    def book_request(self, native: str) -> Request:
        """The REST snapshot of a book."""

    def book_reply(self, native: str, body: bytes, recv_ns: int) -> None:
        """Hand a REST snapshot to the book's sink. Raises ValueError where it is none."""


class PastTrade(Struct, Generic[N], frozen=True, gc=False):
    """A trade of a venue's history; fields as the arguments of `TradeSink.trade`."""

    price: N
    size: N
    side: Side
    number: int
    ts_event: int


class History(Protocol):
    """What a decoder has besides where its venue has a public `history` of trades with the ids of the stream."""

    def past_request(self, native: str, first: int, last: int, after_ns: int, before_ns: int) -> Request:
        """A page of the trades `first` to `last`, from either end.

        `after_ns` and `before_ns` are the venue's times of the trades known before and after them, 0 where none is.
        """

    def past_trades(self, native: str, body: bytes) -> "list[PastTrade[Any]]":
        """The trades of a page, in any order, also others than asked for.

        Raises ValueError where it is none, and LookupError where the venue says that it has no such market.
        """


class Picture(Struct, Generic[N], frozen=True):
    """A book as REST shows it: `seq` is the venue's number (0 where it does not number), levels are best first."""

    seq: int
    bids: Levels[N]
    asks: Levels[N]


class Audits(Protocol):
    """What a decoder has besides where `BookRule.audit` says how many levels REST shows."""

    def audit_request(self, native: str) -> Request:
        """A book as of now."""

    def audit_picture(self, native: str, body: bytes) -> "Picture[Any]":
        """The book in the answer. Raises as `History.past_trades`."""


class Polls(Protocol):
    """What a decoder has besides where it asks over REST: on a link without URL every `Pace.poll_s`, or on `Port.poll`.

    One call of a stream is open at a time; a failed one is made again after a growing delay.
    """

    def poll(self, native: str) -> Request:
        """The next call of the conversation about a stream."""

    def polled(self, native: str, body: bytes, recv_ns: int) -> bool:
        """Its answer (HTTP 200); returns whether `poll` is to be called again at once.

        Raises ValueError where it is none.
        """


class Context(Struct, Generic[N], frozen=True):
    """What a decoder is made with: its port, the number type, instruments by native name."""

    port: Port[N]
    exact: bool
    instruments: Mapping[str, Instrument[N]]


def _no_requests(symbols: Sequence[str]) -> list[Request]:
    return []


def _no_instruments(body: bytes) -> list[Instrument[Decimal]]:
    return []


class Venue(Struct, frozen=True, kw_only=True):
    """One venue, declared. See docs/how-to/add-a-venue.md for the walk through."""

    name: str
    title: str
    endpoints: Endpoints
    pace: Pace
    book: BookRule = BookRule(snapshot="stream")
    decoder: Callable[[Context[Any]], Decoder]
    plan: Callable[[Endpoints, Sequence[Subscription], Pace], list[LinkPlan]]
    instruments_requests: Callable[[Sequence[str]], list[Request]] = _no_requests
    """Requests that list the instruments for these canonical symbols; the last one lists all."""
    instruments: Callable[[bytes], list[Instrument[Decimal]]] = _no_instruments
    """Instruments in a reply, sizes and steps as Decimal. Raises ValueError where it is not a list of them."""
    channels: tuple[Channel, ...] = ("trades", "ticker", "book")
    coins: tuple[str, ...] = ()
    """Coins whose chains it tells, for a chain source; such a venue has the channel "chain" and no instruments."""
    history: bool = False
    """Whether trades that were missed can be asked for: then its decoder has what `History` says."""
    credentials: Literal["", "optional", "required"] = ""
    """Whether it takes `user:password` (HTTP basic) from the environment; see `settings.credentials`."""
    first_data: frozenset[str] = frozenset()
    """Channels whose first data comes at once (a snapshot): its absence is a fault, not a quiet market."""
