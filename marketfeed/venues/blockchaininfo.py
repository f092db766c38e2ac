"""blockchain.info: Bitcoin's figures of the last 24 hours over REST without a key, where nothing better is at hand.

Docs: blockchain.com/explorer/api/charts_api (/stats), of which some fields are known to be broken. It tells no blocks,
and is a few minutes behind. Checked 2026-11-21.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..number import Int64, Price, Size
from ._chain import Conversation, Polled, polling_plan
from ._spec import Endpoints, Pace, Request, Venue

NAME = "blockchaininfo"
COIN = "BTC"
# no key; limits are not published (one call in 10 s is said of its /q, unconfirmed)
PACE = Pace(
    frames_per_s=1,
    subscriptions_per_link=1,
    connects=(10, 60),
    rest=(6, 60),
    silence_s=210,
    ping_idle_s=float("inf"),
    poll_s=60,
)
GIGA = 1e9


class WStats(Struct):
    """{"timestamp":1791193160000.0,"market_price_usd":86303.18,"hash_rate":1095159811329.552,
    "total_fees_btc":-51875000000,"n_btc_mined":51875000000,"n_tx":872969,"n_blocks_mined":166,
    "minutes_between_blocks":8.1697,"totalbc":2009371875000000,"n_blocks_total":969990,"miners_revenue_usd":0.0,
    "nextretarget":971711,"difficulty":132716002350731,"miners_revenue_btc":0,...}

    `n_blocks_total` is taken for the number of blocks, genesis included, so that the best height is one less: `totalbc`
    is to the satoshi what that many blocks from genesis paid (and in two older answers too, with 476111 and 575644),
    and `nextretarget` is one short of the retarget as well. A height one too low is one of the past; one too high would
    pair a block that nobody has seen with the difficulty of the one before.

    `hash_rate` is GH/s: `n_blocks_mined` (of 24 hours) * difficulty * 2^32 / 86400 s. `difficulty` is rounded to an
    integer, which is 4e-15 of it. `total_fees_btc` is satoshi in those blocks: revenue less `n_btc_mined`, and so
    negative where the revenue is missing, as it is in this answer.
    """

    n_blocks_total: Annotated[int, Meta(ge=2, le=2**63 - 1)]
    difficulty: Price
    hash_rate: Size | None = None
    n_blocks_mined: Int64 | None = None
    total_fees_btc: Annotated[float, Meta(gt=-1e30, lt=1e30)] | None = None


_stats = msgspec.json.Decoder(WStats, strict=False).decode


class Decoder(Polled):
    """What it says; see `_spec.Decoder` and `_spec.Polls`."""

    def conversation(self, native: str) -> Conversation[None]:
        """One call."""
        answer = yield Request("/stats")
        stats = _stats(answer.body)
        height = stats.n_blocks_total - 1
        if answer.sink.behind(height):
            return  # another of its servers, behind the last one
        state: dict[str, Any] = {"height": height, "difficulty": stats.difficulty}
        if stats.n_blocks_mined:
            state |= _of_a_day(stats, stats.n_blocks_mined)
        answer.sink.network(answer.recv_ns, **state)


def _of_a_day(stats: WStats, blocks: int) -> dict[str, Any]:
    """What is measured over these blocks; fees of nothing at all are not known rather than none."""
    found: dict[str, Any] = {}
    if stats.hash_rate:
        found |= {"hashrate": stats.hash_rate * GIGA, "hashrate_blocks": blocks}
    if stats.total_fees_btc and stats.total_fees_btc > 0:
        found |= {"fees": stats.total_fees_btc / blocks, "fees_blocks": blocks}
    return found


VENUE = Venue(
    name=NAME,
    title="blockchain.info",
    endpoints=Endpoints(ws="", rest="https://api.blockchain.info"),
    pace=PACE,
    decoder=Decoder,
    plan=polling_plan,
    channels=("chain",),
    coins=(COIN,),
)
