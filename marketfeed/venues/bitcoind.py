"""Own nodes of bitcoind's family, over JSON-RPC: Bitcoin, Litecoin, Dogecoin, Bitcoin Cash, Dash, Zcash, Ravencoin.

Docs: developer.bitcoin.org/reference/rpc/{getblockchaininfo, getmininginfo, getblockheader, getblockstats,
getblockhash}, bitcoin-cash-node:src/rpc/blockchain.cpp; what a node of the family lacks is done without. What they do
differently is all here: the reason for its length. Checked 2026-11-21.
"""

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..number import Int64, Price, Size
from ._chain import (
    Answer,
    Call,
    Conversation,
    Hash,
    MaybeHash,
    Polled,
    RpcError,
    Trail,
    WReply,
    joined,
    polling_plan,
    read_replies,
    rpc,
    take,
)
from ._spec import ChainBlock, Context, Endpoints, Pace, Venue

# one's own node has no limits; a hole of 20 blocks is three calls
PACE = Pace(
    frames_per_s=1,
    subscriptions_per_link=1,
    connects=(10, 60),
    rest=(50, 1.0),
    silence_s=30,
    ping_idle_s=float("inf"),
    poll_s=5,
)
HASHRATE_BLOCKS = 120
"""`networkhashps` is measured over these (getnetworkhashps without arguments)."""
EPOCH = 2016
DAY, PART, TRIES = 144, 24, 8
"""Blocks whose fees make a mean, how many are asked for in a poll, and how many polls in a row may fail at that."""
_NO_METHOD = -32601
MARKS = {
    "BTC": (478_559, "00000000000000000019f112ec0a9982926f1258cdcc558dd7c3b7e5dc7fa148"),
    "BCH": (661_648, "0000000000000000029e471c41818d24b8b74c911071c4ef0b4a0509f9b5a8ce"),
    "LTC": (0, "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"),
    "DOGE": (0, "1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691"),
    "DASH": (0, "00000ffd590b1485b3caadc19b22e6379c733355108f107a430458cdf3407ab6"),
    "ZEC": (0, "00040fe8ec8471911baa1db1266ea15dd06b4a8a5c453883c000b031973dce08"),
    "RVN": (0, "0000006b444bc2f2ffe627be9d9e7e7a0730000870ef6eb6da46c8eae389df90"),
}
"""A height, and the hash there that no other chain has. Nodes of all coins call theirs `main`; BTC and BCH share their
blocks up to 478,558, and BCH those up to 661,647 with others that left it."""

Bits = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}\Z")]
Money = Annotated[float, Meta(ge=0, le=21e6)]


class WChain(Struct):
    """{"chain":"main","blocks":933586,"headers":933586,"bestblockhash":"0000...","difficulty":141668107417558.2,
    "initialblockdownload":false,...}; zcashd writes "initial_block_download_complete":true."""

    chain: str
    blocks: Int64
    bestblockhash: Hash
    initialblockdownload: bool = False
    initial_block_download_complete: bool = True


class WNext(Struct):
    """{"height":933587,"bits":"1701fca1","difficulty":141668107417558.2}"""

    height: Int64
    bits: Bits


class WMining(Struct):
    """{"blocks":933586,"bits":"1701fca1","difficulty":141668107417558.2,"networkhashps":934512955213370500000,
    "chain":"main","next":{...}}: `next` is told by Core from 29 on; zcashd's hashes are solutions."""

    networkhashps: Size = 0.0
    next: WNext | None = None


class WHeader(Struct):
    """{"hash":"0000...","confirmations":1,"height":933586,"time":1769000000,"bits":"1701fca1",
    "difficulty":141668107417558.2,"previousblockhash":"0000...",...}: -1 confirmations are of a block that left the
    best chain."""

    hash: Hash
    height: Int64
    time: Int64
    bits: Bits
    difficulty: Price
    confirmations: int = 1
    previousblockhash: MaybeHash = ""


class WStats(Struct):
    """{"height":933586,"subsidy":312500000,"time":1769000000,"totalfee":2998786}: satoshi."""

    height: Int64
    subsidy: Int64
    totalfee: Int64


class WCoins(Struct):
    """{"height":933586,"subsidy":3.12500000,"time":1769000000,"totalfee":0.00123456}: coins, at nodes of BCH."""

    height: Int64
    subsidy: Money
    totalfee: Money


_chain = msgspec.json.Decoder(WChain).decode
_mining = msgspec.json.Decoder(WMining).decode
_header = msgspec.json.Decoder(WHeader).decode
_stats = msgspec.json.Decoder(WStats).decode
_coins = msgspec.json.Decoder(WCoins).decode
_hash = msgspec.json.Decoder(Hash).decode


class Decoder(Polled):
    """What one node says; see `_spec.Decoder` and `_spec.Polls`."""

    BUSY = frozenset({-28})

    def __init__(self, context: Context[Any], coin: str) -> None:
        super().__init__(context)
        self._coin = coin
        self._known = False
        """Whether the node has shown that it is on this coin's chain."""
        self._bits = coin != "ZEC"  # its difficulty 1 is another target, so that its bits do not say it
        self._epochs = coin in ("BTC", "LTC")
        self._read_stats = _stats_in_coins if coin == "BCH" else _stats
        self._epoch = -1
        self._trail = Trail()
        self._has_stats = True
        self._oldest: ChainBlock | None = None
        """The lowest block handed over, as long as those before it are wanted."""
        self._failures = 0

    def conversation(self, native: str) -> Conversation[None]:
        """The state of the chain; where its end is new, the blocks that led there; once an epoch, when it began."""
        calls: list[Call] = [("getblockchaininfo", []), ("getmininginfo", [])]
        if not self._known:
            calls.append(("getblockhash", [MARKS[self._coin][0]]))
        answer = yield rpc("/", calls)
        first, second, *mark = read_replies(answer.body, len(calls))
        chain = take(first, _chain)
        if chain.chain != "main":
            raise self._wrong_chain(chain.chain, "main")
        mining = _or_none(second)
        if chain.initialblockdownload or not chain.initial_block_download_complete:
            self._say("syncing", f"at block {chain.blocks}")
            return
        if mark:
            self._know(take(mark[0], _hash))
        self._well()
        if chain.bestblockhash != self._trail.last:
            run, answer = yield from self._new_blocks(chain.bestblockhash)
            if not run:
                return  # it left the best chain meanwhile
            if not self._trail.last:
                self._oldest = run[0]
            self._trail.hand(run, answer)
            if run[0].height <= self._epoch:
                self._epoch = -1
        if answer.sink.tip != chain.blocks:
            return  # the end changed meanwhile, or the node is far behind
        began, start = chain.blocks - chain.blocks % EPOCH, None
        if self._epochs and began != self._epoch:
            start, answer = yield from self._time(began - (native == "LTC"))  # Litecoin measures from a block earlier
            self._epoch = began
        hashrate = mining.networkhashps if mining else 0.0
        following = mining.next if mining and self._bits else None
        answer.sink.network(
            answer.recv_ns,
            bits=int(following.bits, 16) if following and following.height == chain.blocks + 1 else None,
            hashrate=hashrate or None,
            hashrate_blocks=HASHRATE_BLOCKS if hashrate else 0,
            epoch_start_s=start,
        )
        yield from self._look_back(chain.blocks)

    def _know(self, found: str) -> None:
        """Raise ValueError where the node has another block than this coin's chain."""
        height, right = MARKS[self._coin]
        if found != right:
            words = f"the node's block {height} is {found}, and not {self._coin}'s"
            self._say("error", words)
            raise ValueError(words)
        self._known = True

    def _look_back(self, tip: int) -> Conversation[None]:
        """Some blocks before those handed over, of a day of them: a part in each poll, for a node may be slow."""
        first, oldest = max(tip - DAY + 1, 1), self._oldest
        if oldest is None or oldest.fees is None or oldest.height <= first or self._failures == TRIES:
            self._oldest = None
            return
        self._failures += 1
        hashes, _ = yield from self._hashes(range(max(oldest.height - PART, first), oldest.height))
        found, answer = yield from self._blocks(hashes)
        run = joined([*found, oldest])[:-1]
        if run:
            answer.sink.blocks(run, answer.recv_ns)
        self._failures, self._oldest = 0, run[0] if run else None

    def _new_blocks(self, best: str) -> Conversation[tuple[list[ChainBlock], Answer]]:
        """The best block and those that lead to it from what was told; none where it is the best no more."""
        run, answer = yield from self._blocks([best])
        missing = self._trail.missing(run[0], answer.sink.tip) if run else range(0)
        if missing:
            hashes, answer = yield from self._hashes(missing)
            earlier, answer = yield from self._blocks(hashes)
            run = joined([*earlier, *run])
        return run, answer

    def _hashes(self, heights: range) -> Conversation[tuple[list[str], Answer]]:
        answer = yield rpc("/", [("getblockhash", [height]) for height in heights])
        return [take(said, _hash) for said in read_replies(answer.body, len(heights))], answer

    def _blocks(self, hashes: list[str]) -> Conversation[tuple[list[ChainBlock], Answer]]:
        """These blocks, but for those that left the best chain; with fees where the node has them."""
        calls: list[Call] = [("getblockheader", [text, True]) for text in hashes]
        if self._has_stats:
            calls += [("getblockstats", [text, ["height", "time", "subsidy", "totalfee"]]) for text in hashes]
        answer = yield rpc("/", calls)
        said = read_replies(answer.body, len(calls))
        found = []
        for number, text in enumerate(hashes):
            header = take(said[number], _header)
            stats = self._stats(said[len(hashes) + number]) if self._has_stats else None
            if header.hash != text or (stats and stats.height != header.height):
                raise ValueError(f"another block than asked for: {header.hash}")
            if header.confirmations < 0:
                continue
            found.append(
                ChainBlock(
                    height=header.height,
                    hash=text,
                    prev_hash=header.previousblockhash,
                    time_s=header.time,
                    difficulty=None if self._bits else header.difficulty,
                    bits=int(header.bits, 16) if self._bits else None,
                    subsidy=stats.subsidy if stats else None,
                    fees=stats.totalfee if stats else None,
                )
            )
        return found, answer

    def _stats(self, said: WReply) -> WStats | None:
        """None where the node has no such method, or not the block (a pruned one)."""
        try:
            return take(said, self._read_stats)
        except RpcError as exc:
            if exc.code in self.BUSY:
                raise
            self._has_stats = exc.code != _NO_METHOD
            return None

    def _time(self, height: int) -> Conversation[tuple[int, Answer]]:
        hashes, _ = yield from self._hashes(range(height, height + 1))
        answer = yield rpc("/", [("getblockheader", [hashes[0], True])])
        return take(read_replies(answer.body, 1)[0], _header).time, answer


def _stats_in_coins(raw: msgspec.Raw) -> WStats:
    said = _coins(raw)
    return WStats(said.height, round(said.subsidy * 1e8), round(said.totalfee * 1e8))


def _or_none(said: WReply) -> WMining | None:
    try:
        return take(said, _mining)
    except RpcError as exc:
        if exc.code in Decoder.BUSY:
            raise
        return None


def _venue(name: str, title: str, coin: str, port: int) -> Venue:
    return Venue(
        name=name,
        title=title,
        endpoints=Endpoints(ws="", rest=f"http://127.0.0.1:{port}"),
        pace=PACE,
        decoder=partial(Decoder, coin=coin),
        plan=polling_plan,
        channels=("chain",),
        coins=(coin,),
        credentials="required",
    )


BITCOIND = _venue("bitcoind", "Bitcoin node", "BTC", 8332)
LITECOIND = _venue("litecoind", "Litecoin node", "LTC", 9332)
DOGECOIND = _venue("dogecoind", "Dogecoin node", "DOGE", 22555)
BCHN = _venue("bchn", "Bitcoin Cash node", "BCH", 8332)
DASHD = _venue("dashd", "Dash node", "DASH", 9998)
ZCASHD = _venue("zcashd", "Zcash node", "ZEC", 8232)
RAVEND = _venue("ravend", "Ravencoin node", "RVN", 8766)
