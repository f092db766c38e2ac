"""Every event a feed can deliver: the one place where a field's meaning and unit is written.

All events share a head:

- `venue`: who delivered it, as in `kraken`;
- `symbol`: canonical name, as in `BTC-USD`, of a chain its coin, as in `BTC`; "" for a whole connection;
- `ts_event`: the venue's clock, Unix nanoseconds UTC; 0 where it gives none;
- `ts_recv`: our clock when the frame was read, Unix nanoseconds UTC;
- `seq_local`: grows with each event of a feed: the only total order across venues.

Prices are in the quote currency. Sizes are the venue's own numbers: `Instrument.size_unit` says of what.
Numbers are `float`, or `Decimal` under `Feed(exact=True)`. JSON of an event carries `"kind"`.
Loss is an event too, and stands before anything newer than what was lost.

All events are in one file, so that a field's meaning stands once: the reason for its length.
"""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Generic, Literal

import msgspec

from .number import N

Side = Literal["buy", "sell"]
Cause = Literal[
    "link lost",
    "sequence",
    "checksum",
    "malformed",
    "overflow",
    "crossed",
    "trade ids",
    "halted",
    "blocks",
    "silent",
    "audit",
    "disagreement",
    "rejected",
]
Trigger = Literal[
    "start", "price", "block", "reorg", "difficulty", "fees", "stale", "recovered", "electricity", "heartbeat"
]
"""What made a `MiningProfit` be told."""


def _kind(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Head(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag=_kind, kw_only=True):
    """What every event has; see the module's docstring."""

    venue: str
    symbol: str = ""
    ts_event: int = 0
    ts_recv: int = 0
    seq_local: int = 0


class Trade(Head, Generic[N], frozen=True, gc=False, kw_only=True):
    """One match. `side` is the taker's; `id` is the venue's, as text, "" where it gives none.

    `backfill` marks one that was missed when it happened and asked for afterwards; `ts_recv` is when it was.
    """

    price: N
    size: N
    side: Side
    id: str
    backfill: bool = False


class Ticker(Head, Generic[N], frozen=True, gc=False, kw_only=True):
    """Best prices, last price and volume; None is what this frame did not carry, never a remembered value.

    `volume_24h` is in base units over the last 24 hours.
    """

    bid: N | None = None
    bid_size: N | None = None
    ask: N | None = None
    ask_size: N | None = None
    last: N | None = None
    volume_24h: N | None = None


class BookSnapshot(Head, Generic[N], frozen=True, gc=False, kw_only=True):
    """A whole book: it opens an `epoch` and replaces all known before, also a book that was live until then.

    `bids` and `asks` are (price, size), best first. `seq` is the venue's number where it numbers each book, else 1.
    `depth` is the levels a side that are known, 0 for all: what lies beyond is unknown, not empty.
    """

    epoch: int
    seq: int
    prev_seq: int = 0
    depth: int = 0
    bids: tuple[tuple[N, N], ...]
    asks: tuple[tuple[N, N], ...]


class BookDelta(Head, Generic[N], frozen=True, gc=False, kw_only=True):
    """Changes to a book, in order: (price, new size), size 0 removes the level.

    `prev_seq` is the `seq` of the book event before it in the same `epoch`. Levels that a venue drops
    because they left its depth window are removals here, so a book kept from these events is exact.
    """

    epoch: int
    seq: int
    prev_seq: int
    bids: tuple[tuple[N, N], ...]
    asks: tuple[tuple[N, N], ...]


UNLISTED = "not listed"
"""Status of an instrument that the venue's list has no more."""


class Instrument(Head, Generic[N], frozen=True, gc=False, kw_only=True):
    """What a market is; comes before its stream's first data and on change.

    `native` is the venue's own name. `tick` and `lot` are the steps of price and size, None where unknown;
    `price_digits` and `size_digits` the digits after the point the venue prints. `size_unit` says what a size counts;
    `contract_size` is base units a contract (quote units where `inverse`). `status` is the venue's word, or
    `not listed` where its list has the market no more.
    """

    native: str
    base: str
    quote: str
    tick: N | None = None
    lot: N | None = None
    price_digits: int | None = None
    size_digits: int | None = None
    size_unit: Literal["base", "quote", "contract"] = "base"
    contract_size: N | None = None
    inverse: bool = False
    trading: bool = True
    status: str = ""

    def as_floats(self) -> "Instrument[float]":
        """The same instrument with `float` steps."""

        def number(value: Any) -> float | None:
            return None if value is None else float(value)

        steps = {name: number(getattr(self, name)) for name in ("tick", "lot", "contract_size")}
        plain: Any = msgspec.structs.replace(self, **steps)
        same: Instrument[float] = plain
        return same

    def base_size(self, size: N, price: N) -> N:
        """A size of this market in base units; `price` matters for quote-sized and inverse markets."""
        held: Any = size  # arithmetic on N: float or Decimal, never both
        if self.size_unit == "contract" and self.contract_size is not None:
            held = held * self.contract_size
        in_quote = self.size_unit == "quote" or (self.size_unit == "contract" and self.inverse)
        base: N = held / price if in_quote else held
        return base

    def notional(self, size: N, price: N) -> N:
        """The value of a size at a price, in quote units."""
        base: Any = self.base_size(size, price)
        value: N = base * price
        return value

    def round_price(self, price: N) -> N:
        """The price on the nearest tick; itself where the tick is unknown."""
        return _to_step(price, self.tick)

    def round_size(self, size: N) -> N:
        """The size on the nearest lot; itself where the lot is unknown."""
        return _to_step(size, self.lot)


def _to_step(value: N, step: N | None) -> N:
    if step is None:
        return value
    # repr of a float is its shortest text, which is what the venue wrote: 0.1 steps stay 0.1 steps
    exact = Decimal(str(step))
    steps = (Decimal(str(value)) / exact).to_integral_value(ROUND_HALF_EVEN)
    rounded: Any = type(value)
    result: N = rounded(steps * exact)
    return result


class Block(Head, frozen=True, gc=False, kw_only=True):
    """A block of a coin's best chain, as its source (`venue`) knows it; `ts_event` is the time in its header.

    `difficulty` is the block's own, `bits` its compact form where the chain has one. `subsidy` is all that the block
    creates and `fees` what its transactions pay, in the coin's base units (satoshi and the like), None where the source
    does not say. `prev_hash` is "" where it is not told. `orphans` is how many blocks told before are no longer on the
    best chain: all told with this height or a greater one. A block that fills a told gap has a lesser height and no
    orphans.
    """

    height: int
    hash: str
    prev_hash: str = ""
    difficulty: float
    bits: int | None = None
    subsidy: int | None = None
    fees: int | None = None
    orphans: int = 0


class NetworkStats(Head, frozen=True, gc=False, kw_only=True):
    """What mining the next block takes and gives, as of the best block `height` that the source (`venue`) knows.

    `difficulty` and `bits` are those of the next block. `hashrate` is hashes a second: measured by the source over
    `hashrate_blocks` blocks, or implied by the difficulty where that is 0. `reward` is what a miner keeps of the
    next block's subsidy and `fees` the mean a block of what a miner keeps of fees, over `fees_blocks` blocks; both in
    base units. Where the chain has epochs: `epoch_blocks` are those of this epoch so far, `retarget_height` is the
    first block of the next, `retarget_change` its expected change of difficulty in percent, `retarget_ts` its
    expected time in Unix nanoseconds, `next_bits` its exact bits once they are locked in. The subsidy changes to
    `next_subsidy` base units at `subsidy_height`.
    """

    height: int
    difficulty: float
    bits: int | None = None
    hashrate: float
    hashrate_blocks: int = 0
    reward: int
    fees: float | None = None
    fees_blocks: int = 0
    epoch_blocks: int | None = None
    retarget_height: int | None = None
    retarget_change: float | None = None
    retarget_ts: int | None = None
    next_bits: int | None = None
    subsidy_height: int | None = None
    next_subsidy: int | None = None


class Input(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One thing that a `MiningProfit` was made from.

    `what` says of which coin or pair, `source` who told it (`kraken:BTC-USD:trades`). `ts` is when its value was
    received (Unix nanoseconds, 0 for a constant), `age_ms` how long before the profit its source last gave a sign of
    life about it. A `stale` price is left out where others are fresh; `used` says whether the profit rests on it.
    """

    kind: Literal["price", "network", "electricity"]
    what: str
    source: str
    value: float | None
    ts: int = 0
    age_ms: int = 0
    stale: bool = False
    used: bool = False


class Term(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one coin gives: merged mining has several for the same hashes.

    `price` is in the quote currency, `reward` in coins a block: subsidy and, where the pool's scheme pays them, fees.
    `fees` are what of it is transaction fees, the mean of `fees_blocks` blocks. `coins_day` is before the pool's fee.
    None is what cannot be known now.
    """

    coin: str
    height: int
    difficulty: float | None
    reward: float | None
    fees: float | None = None
    fees_blocks: int = 0
    price: float | None
    coins_day: float | None
    revenue_day: float | None


class MiningProfit(Head, frozen=True, gc=False, kw_only=True):
    """What a rig earns a day, from the newest price and difficulty; `symbol` is the coin, or `LTC+DOGE` where merged.

    Money is in `quote` a day, rates in H/s, `watts` of the rig, `electricity` in quote a kWh, `pool_fee` and `uptime`
    fractions, `pue` what the site draws over what its rigs draw. `terms` has each coin's share and `inputs` everything
    it was made from, with age; `stale` names the inputs that are stale. `hashprice` is revenue for one `hash_unit`
    (such as `PH/s`) a day. What an input too old would decide is None: revenue and all that follows from it.
    `breakeven_electricity` is quote a kWh, `breakeven_price` and `cost_per_coin` quote a coin, of the first coin.
    `trigger` says why the event was told now.
    """

    rig: str
    algorithm: str
    quote: str
    hashrate: float
    watts: float
    electricity: float | None
    pool_fee: float
    scheme: str
    uptime: float
    pue: float = 1.0
    terms: tuple[Term, ...]
    revenue_day: float | None
    fee_day: float | None
    power_cost_day: float | None
    profit_day: float | None
    margin: float | None
    hashprice: float | None
    hash_unit: str
    breakeven_electricity: float | None
    breakeven_price: float | None
    breakeven_difficulty: float | None
    cost_per_coin: float | None
    trigger: Trigger
    inputs: tuple[Input, ...]
    stale: tuple[str, ...] = ()


class Connected(Head, frozen=True, gc=False, kw_only=True):
    """A connection stands. `link` names it inside the feed; `attempt` counts tries since it last stood."""

    link: str
    attempt: int = 1


class Disconnected(Head, frozen=True, gc=False, kw_only=True):
    """A connection ended or could not be made; it is tried again in `retry_s` seconds.

    `code` is the WebSocket close code (1006 where none came, 0 where it never stood), `status` the HTTP status of
    a refused handshake, else 0.
    """

    link: str
    code: int
    reason: str
    attempt: int = 0
    status: int = 0
    retry_s: float = 0.0


class Subscribed(Head, frozen=True, gc=False, kw_only=True):
    """The venue acknowledged a stream; data has yet to prove it."""

    channel: str


class Unsubscribed(Head, frozen=True, gc=False, kw_only=True):
    """Nobody wants a stream that had begun any more: what follows is missing until it is `Subscribed` again."""

    channel: str


class Refused(Head, frozen=True, gc=False, kw_only=True):
    """The venue will not serve a stream, in its own words (`reason`); the other streams go on."""

    channel: str
    reason: str


class Gap(Head, frozen=True, gc=False, kw_only=True):
    """Something is missing from a stream.

    `from_seq` to `to_seq` are the first and last missing numbers (trade ids, book sequence), 0 where unknown;
    `ts_from` to `ts_to` the receive times of the last event before (the `Subscribed` where there was none yet) and of
    the discovery, Unix nanoseconds.
    `epoch` is the book's, 0 for other channels. `healed` says that what was missing follows, asked for over REST:
    trades with `backfill`. Numbers that a gap without it has named may follow so later.
    """

    channel: str
    cause: Cause
    epoch: int = 0
    from_seq: int = 0
    to_seq: int = 0
    ts_from: int = 0
    ts_to: int = 0
    healed: bool = False
    detail: str = ""


class BookVoid(Head, frozen=True, gc=False, kw_only=True):
    """A book is no longer trusted; this epoch is over. A `BookSnapshot` of the next epoch restores it."""

    epoch: int
    reason: str


class Stale(Head, frozen=True, gc=False, kw_only=True):
    """A stream's acknowledgement or first data is overdue; where the venue owes it, it is asked for again."""

    channel: str
    reason: str


class Recovered(Head, frozen=True, gc=False, kw_only=True):
    """A stream that was stale flows."""

    channel: str


class Lagged(Head, frozen=True, gc=False, kw_only=True):
    """This consumer was too slow: `dropped` events were left out (or merged, under `conflate`).

    `from_seq_local` to `to_seq_local` are the first and last of them.
    """

    policy: str
    dropped: int
    from_seq_local: int = 0
    to_seq_local: int = 0


class Malformed(Head, frozen=True, gc=False, kw_only=True):
    """A frame could not be understood and was left out. `sample` is its beginning, escaped to plain ASCII."""

    link: str
    reason: str
    size: int
    sample: str


class SchemaDrift(Head, frozen=True, gc=False, kw_only=True):
    """The venue sends a kind of message we do not know; told once per kind and connection."""

    link: str
    what: str
    sample: str


class VenueStatus(Head, frozen=True, gc=False, kw_only=True):
    """The venue speaks of itself: online, maintenance, shutdown, rate limits."""

    status: str
    detail: str = ""


class RecorderStatus(Head, frozen=True, gc=False, kw_only=True):
    """The recorder speaks of itself; `detail` says why.

    `status` is `started`, `paused` and `resumed` (the disk refuses, and does no more), `lagged` (events were left out),
    `sealed`, `unsealed` (that failed, and is tried again) or `ended`. Where something was not recorded, `ts_from` to
    `ts_to` say when (Unix ns): what was sent then is missing. `events` counts what the status is about.
    """

    status: str
    detail: str = ""
    ts_from: int = 0
    ts_to: int = 0
    events: int = 0


class LoopLag(Head, frozen=True, gc=False, kw_only=True):
    """The event loop stood still for `lag_ns`: what came meanwhile was read late, so its `ts_recv` is late too."""

    lag_ns: int


class ClockStep(Head, frozen=True, gc=False, kw_only=True):
    """The wall clock moved by `step_ns` against the monotonic one: times before and after do not compare.

    Positive where it jumped ahead. No deadline depends on it.
    """

    step_ns: int


class Audit(Head, frozen=True, gc=False, kw_only=True):
    """A live book was held against a REST snapshot, as the book was at the snapshot's moment.

    `verdict` is `equal`, `differs` or `unclear` (no moment to compare at); `seq` and `epoch` are the book's then.
    `levels` were compared and `wrong` of them differ. `score` is the share of this book's clear audits that were equal.
    """

    epoch: int
    verdict: Literal["equal", "differs", "unclear"]
    seq: int = 0
    levels: int = 0
    wrong: int = 0
    score: float = 1.0
    detail: str = ""


MarketEvent = Trade[N] | Ticker[N] | BookSnapshot[N] | BookDelta[N]
ChainEvent = Block | NetworkStats | MiningProfit
LifeEvent = (
    Connected
    | Disconnected
    | Subscribed
    | Unsubscribed
    | Refused
    | Gap
    | BookVoid
    | Stale
    | Recovered
    | Lagged
    | Malformed
    | SchemaDrift
    | VenueStatus
    | RecorderStatus
    | LoopLag
    | ClockStep
    | Audit
)
Event = Trade[N] | Ticker[N] | BookSnapshot[N] | BookDelta[N] | Instrument[N] | ChainEvent | LifeEvent

MARKET_TYPES: tuple[type[Head], ...] = (Trade, Ticker, BookSnapshot, BookDelta)
CHAIN_TYPES: tuple[type[Head], ...] = (Block, NetworkStats, MiningProfit)
LIFE_TYPES: tuple[type[Head], ...] = (
    Connected,
    Disconnected,
    Subscribed,
    Unsubscribed,
    Refused,
    Gap,
    BookVoid,
    Stale,
    Recovered,
    Lagged,
    Malformed,
    SchemaDrift,
    VenueStatus,
    RecorderStatus,
    LoopLag,
    ClockStep,
    Audit,
)
EVENT_TYPES: tuple[type[Head], ...] = (*MARKET_TYPES, Instrument, *CHAIN_TYPES, *LIFE_TYPES)

_CHANNELS: dict[type[Head], str] = {
    Trade: "trades",
    Ticker: "ticker",
    BookSnapshot: "book",
    BookDelta: "book",
    Audit: "book",
    Block: "chain",
    NetworkStats: "chain",
    MiningProfit: "profit",
}


def kind(event: Head) -> str:
    """An event's name in JSON: `trade`, `book_delta`."""
    return str(type(event).__struct_config__.tag)


def channel_of(event: Head) -> str:
    """The channel an event belongs to; "" where it is about a whole symbol or connection."""
    found = _CHANNELS.get(type(event))
    if found is None:
        found = "book" if type(event) is BookVoid else getattr(event, "channel", "")
    return found


# numbers stay JSON numbers in exact mode too, with every digit: one contract for both modes
encode_json: Callable[[Any], bytes] = msgspec.json.Encoder(decimal_format="number").encode
"""An event as one line of JSON, without the line's end."""
