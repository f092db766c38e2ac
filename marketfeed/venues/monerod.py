"""monerod, an own Monero node or an open one (port 18089), over JSON-RPC.

Docs: docs.getmonero.org/rpc-library/monerod-rpc (get_info, get_last_block_header, get_block_headers_range). A node
with `--rpc-login` wants HTTP digest, which is not spoken here: a proxy before it may take basic. Checked 2026-11-21.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..number import Int64
from ._chain import Conversation, Hash, MaybeHash, Polled, Trail, joined, polling_plan, read_reply, rpc, take
from ._spec import ChainBlock, Context, Endpoints, Pace, Venue

NAME = "monerod"
COIN = "XMR"
# an own node has no limits; an open one is somebody's kindness
PACE = Pace(
    frames_per_s=1,
    subscriptions_per_link=1,
    connects=(10, 60),
    rest=(10, 1.0),
    silence_s=30,
    ping_idle_s=float("inf"),
    poll_s=5,
)
TAIL = 600_000_000_000
"""Piconero: the subsidy for ever, but for what a block above the median size forgoes."""

Wide = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{1,32}\Z")]


class WInfo(Struct):
    """{"difficulty":280716748706,"wide_difficulty":"0x415c05a7a2","height":3195028,"nettype":"mainnet","status":"OK",
    "busy_syncing":false,"synchronized":true,"target":120,"top_block_hash":"bdf06d18ed1931a8...",...}: `height` is the
    number of blocks, one more than the best one's, and the difficulty is the next one's."""

    height: Int64
    difficulty: Int64 | None = None
    wide_difficulty: Wide | None = None
    top_block_hash: MaybeHash = ""
    nettype: str = "mainnet"
    status: str = "OK"
    synchronized: bool = True
    busy_syncing: bool = False


class WHeader(Struct):
    """{"difficulty":227026389695,"wide_difficulty":"0x34dbd3cabf","hash":"...","prev_hash":"...","height":2286454,
    "orphan_status":false,"reward":1181337498013,"timestamp":1612088597,...}: `reward` is with fees."""

    hash: Hash
    height: Int64
    timestamp: Int64
    reward: Int64
    prev_hash: MaybeHash = ""
    difficulty: Int64 | None = None
    wide_difficulty: Wide | None = None


class WLast(Struct):
    """{"block_header":{...},"status":"OK","untrusted":false}"""

    block_header: WHeader


class WRange(Struct):
    """{"headers":[...],"status":"OK","untrusted":false}: ascending."""

    headers: list[WHeader]


_info = msgspec.json.Decoder(WInfo).decode
_last = msgspec.json.Decoder(WLast).decode
_range = msgspec.json.Decoder(WRange).decode


class Decoder(Polled):
    """What one node says; see `_spec.Decoder` and `_spec.Polls`."""

    BUSY = frozenset({-9})

    def __init__(self, context: Context[Any]) -> None:
        super().__init__(context)
        self._trail = Trail()

    def conversation(self, native: str) -> Conversation[None]:
        """The state of the chain; where its end is new, the blocks that led there."""
        answer = yield rpc("/json_rpc", ("get_info", {}))
        info = take(read_reply(answer.body), _info)
        if info.nettype != "mainnet":
            raise self._wrong_chain(info.nettype, "mainnet")
        if info.status != "OK":
            self._say("warming up", info.status[:40])
            return
        if not info.synchronized or info.busy_syncing:
            self._say("syncing", f"at block {info.height - 1}")
            return
        difficulty = _difficulty(info)
        self._well()
        if not info.top_block_hash or info.top_block_hash != self._trail.last:
            answer = yield rpc("/json_rpc", ("get_last_block_header", {}))
            last = _block(take(read_reply(answer.body), _last).block_header)
            run = [last]
            missing = self._trail.missing(last, answer.sink.tip)
            if missing:
                span = {"start_height": missing[0], "end_height": missing[-1]}
                answer = yield rpc("/json_rpc", ("get_block_headers_range", span))
                run = joined([*map(_block, take(read_reply(answer.body), _range).headers), last])
                if run[-1] != last:
                    raise ValueError(f"blocks up to {missing[-1]} were asked for, {run[-1].height} came")
            self._trail.hand(run, answer)
        if answer.sink.tip == info.height - 1:  # else the end changed meanwhile, or the node is far behind
            answer.sink.network(answer.recv_ns, difficulty=difficulty)


def _difficulty(said: WInfo | WHeader) -> float:
    if said.wide_difficulty is not None:
        return float(int(said.wide_difficulty, 16))
    if said.difficulty is None:
        raise ValueError("no difficulty")
    return float(said.difficulty)


def _block(header: WHeader) -> ChainBlock:
    tail = header.reward >= TAIL
    return ChainBlock(
        height=header.height,
        hash=header.hash,
        prev_hash=header.prev_hash,
        time_s=header.timestamp,
        difficulty=_difficulty(header),
        subsidy=TAIL if tail else None,
        fees=header.reward - TAIL if tail else None,
    )


VENUE = Venue(
    name=NAME,
    title="Monero node",
    endpoints=Endpoints(ws="", rest="http://127.0.0.1:18081"),
    pace=PACE,
    decoder=Decoder,
    plan=polling_plan,
    channels=("chain",),
    coins=(COIN,),
    credentials="optional",
)
