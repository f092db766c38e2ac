"""WhatToMine: the difficulty of a few chains over REST without a key, the last resort.

Docs: whattomine.com/api-docs is of the API with a token and a monthly quota; whether and how much the older routes
without one are limited is UNCONFIRMED, they answered in September and October 2026. It tells no blocks. Its block
reward is a mean with fees, and never used. Checked 2026-11-21.

/asic.json has all coins in one answer, {"coins":{"Bitcoin":{...},...}} with rows as of /coins/{id}.json, but a poll is
about one coin here, and the rows at hand lack `last_block`; so each coin is asked about by itself.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..number import Price
from ._chain import Conversation, Polled, polling_plan
from ._spec import Context, Endpoints, Pace, Request, Venue

NAME = "whattomine"
# 12 calls an hour a coin, 30 an hour while one fails and is asked again
PACE = Pace(
    frames_per_s=1,
    subscriptions_per_link=10,
    connects=(10, 60),
    rest=(30, 3600),
    silence_s=1050,
    ping_idle_s=float("inf"),
    poll_s=300,
)
IDS = {"BTC": 1, "BCH": 193}
"""Its numbers of coins: those whose number an answer shows, and whose difficulty there is shown to be the chain's own.

For BTC that is by `nethash` = difficulty * 2^32 / `block_time`, for BCH by both paying SHA-256 miners the same within
2 %. Of LTC, DOGE, DASH, ZEC, RVN, ETC and XMR no answer is at hand, and a difficulty in another unit would be wrong by
that much. KAS cannot be had from a poll of five minutes: its figures count as old after two.
"""


class WCoin(Struct):
    """{"id":1,"name":"Bitcoin","tag":"BTC","algorithm":"SHA-256","block_time":"512.0","block_reward":3.144377883333333,
    "last_block":969991,"difficulty":132716002350731.3,"difficulty24":132716002350731.61,
    "nethash":1113302519047363281250,"exchange_rate":85956.45,"status":"Active","lagging":false,"testing":false,
    "listed":true,"timestamp":1791192973,...}

    `nethash` is difficulty * 2^32 / `block_time`, a mean over blocks whose number is not told: a hashrate is told with
    that number or not at all. `lagging` is taken to mean figures that are not renewed: one row of the list had it.
    """

    tag: str
    difficulty: Price
    last_block: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    lagging: bool = False


_coin = msgspec.json.Decoder(WCoin, strict=False).decode


class Decoder(Polled):
    """What it says of several chains; see `_spec.Decoder` and `_spec.Polls`."""

    def __init__(self, context: Context[Any]) -> None:
        super().__init__(context)
        self._lagging: set[str] = set()

    def conversation(self, native: str) -> Conversation[None]:
        """One call."""
        answer = yield Request(f"/coins/{IDS[native]}.json")
        coin = _coin(answer.body)
        if coin.tag != native:
            raise ValueError(f"figures of {coin.tag[:20]!r}, {native} was asked about")
        if coin.last_block is None:
            raise ValueError("figures without a height")
        self._lagging &= self._port.chains.keys()
        if coin.lagging:
            self._lagging.add(native)
            self._say("lagging", f"its figures of {native} are old")
            return
        self._lagging.discard(native)
        if not self._lagging:
            self._well()
        if answer.sink.behind(coin.last_block):
            return  # another of its servers, behind the last one
        answer.sink.network(answer.recv_ns, height=coin.last_block, difficulty=coin.difficulty)


VENUE = Venue(
    name=NAME,
    title="WhatToMine",
    endpoints=Endpoints(ws="", rest="https://whattomine.com"),
    pace=PACE,
    decoder=Decoder,
    plan=polling_plan,
    channels=("chain",),
    coins=tuple(IDS),
)
