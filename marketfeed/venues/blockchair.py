"""Blockchair: the state of many chains over REST without a key, for where nothing better is at hand.

Docs: blockchair.com/api/docs ({chain}/stats), Blockchair/Blockchair.Support:API_DOCUMENTATION_EN.md. It tells the best
block and none before it, so blocks between two polls are a gap. Checked 2026-11-21.
"""

from typing import Any

import msgspec
from msgspec import Struct

from ..number import Int64, Price, Size
from ._chain import Conversation, Polled, polling_plan
from ._rules import rfc3339_ns
from ._spec import Endpoints, Pace, Request, Venue

NAME = "blockchair"
# 1440 calls a day without a key, whatever the chain, and 30 a minute; beyond that 402 or 429, then a ban. One coin may
# be polled at this rhythm for ever; with more, the budget makes the rhythm: of all six, every 407 s.
PACE = Pace(
    frames_per_s=1,
    subscriptions_per_link=10,
    connects=(10, 60),
    rest=(1400, 86_400),
    silence_s=420,
    ping_idle_s=float("inf"),
    poll_s=120,
)
CHAINS = {
    "BTC": "bitcoin",
    "BCH": "bitcoin-cash",
    "LTC": "litecoin",
    "DOGE": "dogecoin",
    "DASH": "dash",
    "ZEC": "zcash",
}
NO_HASHRATE = frozenset({"ZEC"})
"""Whether it counts hashes or solutions here is not documented: the difficulty's own is right."""
RETARGETS = frozenset({"BTC", "LTC"})


class WStats(Struct):
    """{"blocks":2428756,"blocks_24h":125,"difficulty":104649090.3851,"best_block_height":2428755,"best_block_hash":
    "00000000000000171993c83855edbbdb4b596a80d7979b9906199a152c02e602","best_block_time":"2023-04-13 15:55:31",
    "hashrate_24h":"650455020414125","next_retarget_time_estimate":"2023-04-17 02:55:52",
    "next_difficulty_estimate":107945581,...}: UTC; the hashrate as text."""

    best_block_height: Int64
    difficulty: Price
    hashrate_24h: Size | None = None
    blocks_24h: Int64 | None = None
    next_difficulty_estimate: Size | None = None
    next_retarget_time_estimate: str | None = None


class WContext(Struct):
    """{"code":200,"source":"A","state":2428755,"cache":{...},...}; with {"code":402,"error":"..."} there is no data."""

    code: int = 200
    error: str | None = None


class WReply(Struct):
    """{"data":{...},"context":{...}}"""

    data: WStats | None = None
    context: WContext | None = None


_reply = msgspec.json.Decoder(WReply, strict=False).decode


class Decoder(Polled):
    """What it says of several chains; see `_spec.Decoder` and `_spec.Polls`."""

    def conversation(self, native: str) -> Conversation[None]:
        """One call."""
        answer = yield Request(f"/{CHAINS[native]}/stats")
        said = _reply(answer.body)
        stats = said.data
        if stats is None or (said.context is not None and said.context.code != 200):
            context = said.context or WContext()
            raise ValueError(f"no data, code {context.code}: {(context.error or '')[:200]}")
        forecast = _forecast(native, stats)
        if answer.sink.behind(stats.best_block_height):
            return  # another of its servers, behind the last one
        # no blocks: polls are rarer than those of most chains, and each would tell a hole
        state: dict[str, Any] = {"height": stats.best_block_height, "difficulty": stats.difficulty}
        if stats.hashrate_24h and stats.blocks_24h and native not in NO_HASHRATE:
            state |= {"hashrate": stats.hashrate_24h, "hashrate_blocks": stats.blocks_24h}
        answer.sink.network(answer.recv_ns, **state, **forecast)


def _seconds(text: str) -> int:
    """Unix seconds of `2023-04-13 15:55:31`, which is UTC."""
    return rfc3339_ns(text.replace(" ", "T", 1) + "Z") // 1_000_000_000


def _forecast(native: str, stats: WStats) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if native not in RETARGETS:
        return found
    if stats.next_difficulty_estimate:
        found["retarget_change"] = stats.next_difficulty_estimate / stats.difficulty * 100 - 100
    if stats.next_retarget_time_estimate:
        found["retarget_ts"] = _seconds(stats.next_retarget_time_estimate) * 1_000_000_000
    return found


VENUE = Venue(
    name=NAME,
    title="Blockchair",
    endpoints=Endpoints(ws="", rest="https://api.blockchair.com"),
    pace=PACE,
    decoder=Decoder,
    plan=polling_plan,
    channels=("chain",),
    coins=tuple(CHAINS),
)
