"""core-geth, an own node of Ethereum Classic, over JSON-RPC.

Docs: etclabscore.github.io/core-geth/JSON-RPC-API (eth_chainId, eth_syncing, eth_getBlockByNumber). Fees would take
the receipts of every transaction, and are left out. Checked 2026-11-21.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ._chain import Conversation, Polled, Trail, joined, polling_plan, read_replies, rpc, take
from ._spec import ChainBlock, Context, Endpoints, Pace, Venue

NAME = "geth"
COIN = "ETC"
CHAIN_ID = 61
# one's own node has no limits
PACE = Pace(
    frames_per_s=1,
    subscriptions_per_link=1,
    connects=(10, 60),
    rest=(50, 1.0),
    silence_s=30,
    ping_idle_s=float("inf"),
    poll_s=5,
)

Quantity = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{1,15}\Z")]
Big = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{1,64}\Z")]
Hash = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{64}\Z")]


class WBlock(Struct):
    """{"number":"0x14d7b4f","hash":"0x...","parentHash":"0x...","timestamp":"0x691fd2f0","difficulty":"0x8d1c...",
    "transactions":["0x..."],...}"""

    number: Quantity
    hash: Hash
    parentHash: Hash
    timestamp: Quantity
    difficulty: Big


_chain_id = msgspec.json.Decoder(Quantity).decode
_syncing = msgspec.json.Decoder(bool | dict[str, Any]).decode
_block = msgspec.json.Decoder(WBlock | None).decode


class Decoder(Polled):
    """What one node says; see `_spec.Decoder` and `_spec.Polls`."""

    def __init__(self, context: Context[Any]) -> None:
        super().__init__(context)
        self._trail = Trail()

    def conversation(self, native: str) -> Conversation[None]:
        """The best block, and where it does not follow what was told, those that led there."""
        answer = yield rpc("/", [("eth_chainId", []), ("eth_syncing", []), ("eth_getBlockByNumber", ["latest", False])])
        chain, syncing, latest = read_replies(answer.body, 3)
        chain_id = int(take(chain, _chain_id), 16)
        if chain_id != CHAIN_ID:
            raise self._wrong_chain(str(chain_id), str(CHAIN_ID))
        if take(syncing, _syncing) is not False:
            self._say("syncing")
            return
        wire = take(latest, _block)
        if wire is None:
            raise ValueError("no latest block")
        self._well()
        best = _read(wire)
        run = [best]
        missing = self._trail.missing(best, answer.sink.tip)
        if missing:
            answer = yield rpc("/", [("eth_getBlockByNumber", [hex(height), False]) for height in missing])
            said = [take(one, _block) for one in read_replies(answer.body, len(missing))]
            run = joined([*(_read(one) for one in said if one is not None), best])
            if run[-1] != best:
                raise ValueError(f"blocks up to {missing[-1]} were asked for, {run[-1].height} came")
        self._trail.hand(run, answer)


def _read(block: WBlock) -> ChainBlock:
    return ChainBlock(
        height=int(block.number, 16),
        hash=_bare(block.hash),
        prev_hash=_bare(block.parentHash),
        time_s=int(block.timestamp, 16),
        difficulty=float(int(block.difficulty, 16)),
    )


def _bare(text: str) -> str:
    return text[2:].lower()


VENUE = Venue(
    name=NAME,
    title="Ethereum Classic node",
    endpoints=Endpoints(ws="", rest="http://127.0.0.1:8545"),
    pace=PACE,
    decoder=Decoder,
    plan=polling_plan,
    channels=("chain",),
    coins=(COIN,),
)
