"""mempool.space (Bitcoin) and litecoinspace.org (Litecoin): blocks as they come, retarget forecast, mean of fees.

Docs: mempool.space/docs/api/{rest,websocket}, mempool/mempool:backend/src/api/{websocket-handler.ts,
difficulty-adjustment.ts, mining/mining-routes.ts}; litecoin-foundation/ltcspace is a fork of it, whose WebSocket is
taken to be the same. Checked 2026-11-21.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..number import Int64, Price
from ..subscriptions import Subscription
from ._chain import Answer, Asking, Conversation, Hash, MaybeHash, from_tip, joined
from ._plan import one_host
from ._spec import ChainBlock, ChainSink, Context, Endpoints, LinkPlan, Pace, Request, Venue

# 100 messages in 10 s close the connection, and so does silence of 120 s; the site's own client pings after 30 s. REST
# limits are enforced and not published (429, then a ban): six calls a minute.
PACE = Pace(frames_per_s=5, subscriptions_per_link=1, connects=(5, 60), rest=(6, 60), silence_s=45, ping_idle_s=15)
STATS_BLOCKS = 144
MOST = 150
"""More missing blocks than these are not asked for: 15 come with a call."""
PATIENCE_NS = 120 * 1_000_000_000
"""So long a block waits for those before it."""

_OURS = frozenset({"block", "blocks", "da"})
_KNOWN = frozenset(
    {"pong", "backendInfo", "conversions", "fees", "loadingIndicators", "mempoolInfo", "vBytesPerSecond"}
) | {"live-2h-chart", "mempool-blocks", "previousRetarget", "rbfSummary", "transactions", "txConfirmed", "txPosition"}


class WExtras(Struct):
    """{"reward":315498786,"totalFees":2998786,"medianFee":2.144206217858874,"pool":{"id":43,"name":"Braiins Pool"}}"""

    reward: Int64 | None = None
    totalFees: Int64 | None = None


class WBlock(Struct):
    """{"id":"000000000000000000019bfe551da67e0d93dda4b355d16f1fdb4031ba7e5d61","height":890448,
    "timestamp":1743541850,"bits":386038124,"difficulty":113757508810854,"previousblockhash":"0000000000000000000004cc
    6260ec7065ee8f65591864fb4c720ec110e3e2ab","stale":false,"extras":{...}}: `difficulty` may be rounded, so `bits`."""

    id: Hash
    height: Int64
    timestamp: Int64
    bits: Annotated[int, Meta(ge=0, lt=2**32)] | None = None
    difficulty: Price | None = None
    previousblockhash: MaybeHash | None = None
    stale: bool = False
    extras: WExtras | None = None


class WForecast(Struct):
    """{"progressPercent":32.49007936507937,"difficultyChange":0.7843046881601534,"estimatedRetargetDate":1735514828279,
    "previousRetarget":4.429396745461176,"previousTime":1734312810,"nextRetargetHeight":876960,...}: `previousTime` is
    the time of the epoch's first block in seconds, `estimatedRetargetDate` milliseconds, or seconds as documented."""

    previousTime: Int64 | None = None
    difficultyChange: Annotated[float, Meta(ge=-100, le=1000)] | None = None
    estimatedRetargetDate: Annotated[float, Meta(ge=0, lt=10**14)] | None = None


class WStats(Struct):
    """{"startBlock":736556,"endBlock":736655,"totalReward":"63811748254","totalFee":"1311748254","totalTx":"164216"}"""

    startBlock: Int64
    endBlock: Int64
    totalFee: Int64


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_block = msgspec.json.Decoder(WBlock | None).decode
_blocks = msgspec.json.Decoder(list[WBlock]).decode
_forecast = msgspec.json.Decoder(WForecast | None).decode
_stats = msgspec.json.Decoder(WStats, strict=False).decode


class Decoder(Asking):
    """One connection to a mempool server; see `_spec.Decoder` and `_spec.Polls`.

    A block that does not follow what was told is held until those between came over REST, or will not come.
    """

    def __init__(self, context: Context[Any], coin: str, forecasts: bool) -> None:
        super().__init__(context)
        self._coin = coin
        self._forecasts = forecasts
        self._accepted = False
        self._fees_known = False
        self._outdated = False  # whether blocks came after the last forecast
        self._held: list[ChainBlock] = []
        self._held_since = 0

    def frame(self, raw: bytes, recv_ns: int) -> None:
        """See `_spec.Decoder`; several keys may come in one frame."""
        parts = _parts(raw)
        sink = self._port.chains.get(self._coin)
        if parts.keys().isdisjoint(_OURS):
            self._on_others(parts, raw)
            if sink is not None:
                self._settle(sink, recv_ns)
            return
        blocks = _read(_blocks(parts["blocks"])) if "blocks" in parts else []
        if "block" in parts and (block := _block(parts["block"])) is not None:
            blocks += _read([block])
        forecast = _forecast(parts["da"]) if "da" in parts else None
        if "blocks" in parts and not self._accepted:
            self._accepted = True
            self._port.accepted("chain", self._coin)
            sink = self._port.chains.get(self._coin)
        if sink is None:
            self._port.unasked(self._coin)
            return
        self._on_blocks(sink, joined(blocks), recv_ns)
        if forecast is not None and not self._held:
            self._on_forecast(sink, forecast, recv_ns)
        elif self._outdated:
            self._port.poll(self._coin)

    def _on_others(self, parts: dict[str, msgspec.Raw], raw: bytes) -> None:
        if not parts:
            raise ValueError("a frame without a key")
        if parts.keys().isdisjoint(_KNOWN):
            self._port.drift(min(parts)[:40], raw)
        else:
            self._port.control()

    def _on_blocks(self, sink: ChainSink, run: list[ChainBlock], recv_ns: int) -> None:
        waiting = bool(self._held)
        if run:
            self._held = joined([*(b for b in self._held if b.height < run[0].height), *run])
        if not waiting:
            self._held_since = recv_ns
        self._settle(sink, recv_ns)
        if self._held and not waiting:
            self._port.poll(self._coin)

    def _settle(self, sink: ChainSink, recv_ns: int, *, now: bool = False) -> None:
        """Hand over what is held, unless blocks before it are missing and may still come."""
        held = self._held
        if not held:
            return
        missing = held[0].height - 1 - sink.tip if sink.tip else 0
        if 0 < missing <= MOST and not now and recv_ns - self._held_since < PATIENCE_NS:
            return
        self._held = []
        fresh = from_tip(held, sink)
        if fresh:  # else this server is behind another one
            sink.blocks(fresh, recv_ns)
            self._outdated = self._forecasts

    def _on_forecast(self, sink: ChainSink, forecast: WForecast, recv_ns: int) -> None:
        if not self._forecasts:
            return
        self._outdated = False
        date = forecast.estimatedRetargetDate
        sink.network(
            recv_ns,
            epoch_start_s=forecast.previousTime,
            retarget_change=forecast.difficultyChange,
            retarget_ts=None if date is None else int(date) * (1_000_000 if date >= 10**11 else 1_000_000_000),
        )

    def conversation(self, native: str) -> Conversation[None]:
        """The mean of fees, then the blocks that are missing; these first where they are all that is asked about.

        Then the forecast, which comes with blocks only to those who want a frame a second besides.
        """
        if not self._held:
            self._on_stats((yield _STATS))
        while self._held:
            self._on_earlier((yield Request(f"/api/v1/blocks/{self._held[0].height - 1}")))
        if not self._fees_known:
            self._on_stats((yield _STATS))
        if self._outdated:
            answer = yield _FORECAST
            forecast = _forecast(answer.body)
            if forecast is not None:
                self._on_forecast(answer.sink, forecast, answer.recv_ns)
        if self._held:  # since the last call was made: nobody else asks for what is missing
            yield from self.conversation(native)

    def _on_stats(self, answer: Answer) -> None:
        stats = _stats(answer.body)
        count = stats.endBlock - stats.startBlock + 1
        if not 0 < count <= STATS_BLOCKS:
            raise ValueError(f"fees of {count} blocks, {STATS_BLOCKS} were asked for")
        self._fees_known = True
        answer.sink.network(answer.recv_ns, fees=stats.totalFee / count, fees_blocks=count)

    def _on_earlier(self, answer: Answer) -> None:
        """15 blocks downwards; where they do not lead to what is held, it is handed over as it is."""
        earlier = _read(_blocks(answer.body))
        if not self._held:
            return  # patience ended while this was asked
        first = self._held[0].height
        self._held = joined([*(b for b in earlier if b.height < first), *self._held])
        self._settle(answer.sink, answer.recv_ns, now=self._held[0].height == first)

    def subscribe(self, add: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`; the first `blocks` accepts it."""
        self._accepted = False
        self._port.poll(self._coin)
        return ['{"action":"init"}', '{"action":"want","data":["blocks"]}']

    def unsubscribe(self, drop: Sequence[tuple[Subscription, str]]) -> list[str]:
        """See `_spec.Decoder`; what is wanted is replaced by nothing, and nobody acknowledges that."""
        self._held = []
        self._forget(self._coin)
        self._port.dropped("chain", self._coin)
        return ['{"action":"want","data":[]}']

    def ping(self) -> str | None:
        """See `_spec.Decoder`."""
        return '{"action":"ping"}'


_FORECAST = Request("/api/v1/difficulty-adjustment")
_STATS = Request(f"/api/v1/mining/reward-stats/{STATS_BLOCKS}")


def _read(blocks: list[WBlock]) -> list[ChainBlock]:
    """Those of the best chain, which a stale one is not; `reward` is all that the miner got."""
    found = []
    for b in (b for b in blocks if not b.stale):
        extras = b.extras or WExtras()
        reward, fees = extras.reward, extras.totalFees
        found.append(
            ChainBlock(
                height=b.height,
                hash=b.id,
                prev_hash=b.previousblockhash or "",
                time_s=b.timestamp,
                difficulty=b.difficulty if b.bits is None else None,
                bits=b.bits,
                subsidy=None if reward is None or fees is None else reward - fees,
                fees=fees,
            )
        )
    return found


def plan(endpoints: Endpoints, wanted: Sequence[Subscription], pace: Pace) -> list[LinkPlan]:
    """One URL."""
    return one_host(f"{endpoints.ws}/api/v1/ws", wanted, pace)


def _venue(name: str, host: str, coin: str, *, forecasts: bool) -> Venue:
    return Venue(
        name=name,
        title=host,
        endpoints=Endpoints(ws=f"wss://{host}", rest=f"https://{host}"),
        pace=PACE,
        decoder=partial(Decoder, coin=coin, forecasts=forecasts),
        plan=plan,
        channels=("chain",),
        coins=(coin,),
    )


VENUE = _venue("mempool", "mempool.space", "BTC", forecasts=True)
# the forecast's constants in the code are Bitcoin's
LITECOINSPACE = _venue("litecoinspace", "litecoinspace.org", "LTC", forecasts=False)
