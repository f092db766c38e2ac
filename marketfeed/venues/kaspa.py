"""Kaspa's public REST server: difficulty and DAA score; ten blocks a second are not told one by one.

Docs: api.kaspa.org/docs, kaspa-ng/kaspa-rest-server:endpoints/get_blockdag.py. Checked 2026-11-21.
"""

import msgspec
from msgspec import Struct

from ..number import Int64, Price
from ._chain import Conversation, Polled, polling_plan
from ._spec import Endpoints, Pace, Request, Venue

NAME = "kaspa"
COIN = "KAS"
NETWORK = "kaspa-mainnet"
# no key; limits are not published, so a tenth of a call a second, and twice that while it is asked again
PACE = Pace(
    frames_per_s=1,
    subscriptions_per_link=1,
    connects=(10, 60),
    rest=(12, 60),
    silence_s=45,
    ping_idle_s=float("inf"),
    poll_s=10,
)


class WDag(Struct):
    """{"networkName":"kaspa-mainnet","blockCount":"260890","headerCount":"2131312","difficulty":3870677677777.2,
    "pastMedianTime":"1656455670700","virtualDaaScore":"19989141",...}: numbers as text, the score as height."""

    virtualDaaScore: Int64
    difficulty: Price
    networkName: str = NETWORK


_dag = msgspec.json.Decoder(WDag, strict=False).decode


class Decoder(Polled):
    """What the server says; see `_spec.Decoder` and `_spec.Polls`. Its hashrate is made from the difficulty."""

    def conversation(self, native: str) -> Conversation[None]:
        """One call."""
        answer = yield Request("/info/blockdag")
        dag = _dag(answer.body)
        if dag.networkName != NETWORK:
            raise self._wrong_chain(dag.networkName, NETWORK)
        self._well()
        answer.sink.network(answer.recv_ns, height=dag.virtualDaaScore, difficulty=dag.difficulty)


VENUE = Venue(
    name=NAME,
    title="Kaspa REST",
    endpoints=Endpoints(ws="", rest="https://api.kaspa.org"),
    pace=PACE,
    decoder=Decoder,
    plan=polling_plan,
    channels=("chain",),
    coins=(COIN,),
)
