"""Nodes of bitcoind's family as their protocol sheet has them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import ChainBlock, Request, Venue
from marketfeed.venues.bitcoind import BCHN, BITCOIND, DASHD, DOGECOIND, LITECOIND, RAVEND, ZCASHD

from .chain_talk import BAD_BODIES, ChainTalk, RpcRefusal, Sink, block_hash, methods, rpc_node

FAMILY = [BITCOIND, LITECOIND, DOGECOIND, BCHN, DASHD, ZCASHD, RAVEND]
TIP = 933586
MINING = {
    "blocks": TIP,
    "bits": "1701fca1",
    "difficulty": 141668107417558.2,
    "networkhashps": 934512955213370500000,
    "chain": "main",
    "next": {"height": TIP + 1, "bits": "1701fca1", "difficulty": 141668107417558.2},
}
MARKS = {
    "BTC": (478559, "00000000000000000019f112ec0a9982926f1258cdcc558dd7c3b7e5dc7fa148"),
    "BCH": (661648, "0000000000000000029e471c41818d24b8b74c911071c4ef0b4a0509f9b5a8ce"),
    "LTC": (0, "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"),
    "DOGE": (0, "1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691"),
    "DASH": (0, "00000ffd590b1485b3caadc19b22e6379c733355108f107a430458cdf3407ab6"),
    "ZEC": (0, "00040fe8ec8471911baa1db1266ea15dd06b4a8a5c453883c000b031973dce08"),
    "RVN": (0, "0000006b444bc2f2ffe627be9d9e7e7a0730000870ef6eb6da46c8eae389df90"),
}
"""What each coin is known by."""
ORDINARY = ["getblockchaininfo+getmininginfo", "getblockheader+getblockstats"]
HISTORY = ["getblockhash", "getblockheader+getblockstats"]


class NodeSink(Sink):
    """History apart from what is the node's best chain."""

    def __init__(self, tip: int = 0) -> None:
        super().__init__(tip)
        self.history: list[list[int]] = []

    def blocks(self, blocks: Sequence[ChainBlock], ts_recv: int, *, whole: bool = False) -> None:
        if whole:
            super().blocks(blocks, ts_recv)
        else:
            assert blocks[-1].height < self.tip
            self.history.append([b.height for b in blocks])


class NodeTalk(ChainTalk):
    """A conversation with one node, whose best block is its own."""

    sink: NodeSink

    def __init__(self, venue: Venue, coin: str = "", tip: int = 0) -> None:
        super().__init__(venue, coin, tip)
        self.sink = NodeSink(tip)
        self.port.chains[self.coin] = self.sink

    def serve(self, node: Callable[[Request], Any], most: int = 20) -> list[Request]:
        if isinstance(node, Node):
            node.marks |= [MARKS[self.coin]]
            node.coins = self.coin == "BCH"
        return super().serve(node, most)

    def settle(self, node: Any) -> "NodeTalk":
        """Polls until nothing is asked for but the state of the chain."""
        for _ in range(10):
            if len(self.serve(node)) == 1:
                return self
        raise AssertionError("still asking")


class Node:
    """A node with a chain: hashes by height."""

    def __init__(self, tip: int = TIP, **methods: Any) -> None:
        self.hashes = {h: block_hash(h) for h in range(tip - 200, tip + 1)}
        self.gone: dict[str, int] = {}
        self.marks = dict([MARKS["BTC"], MARKS["BCH"]])
        self.chain: dict[str, Any] = {"chain": "main", "initialblockdownload": False}
        self.mining: Any = MINING
        self.methods: Mapping[str, Any] = methods
        self.coins = False
        """Whether it writes amounts in coins, as BCHN does."""

    @property
    def tip(self) -> int:
        return max(self.hashes)

    def grow(self, blocks: int = 1, fork: str = "") -> None:
        for height in range(self.tip + 1, self.tip + 1 + blocks):
            self.hashes[height] = block_hash(height, fork)

    def cut(self, blocks: int) -> None:
        for height in range(self.tip, self.tip - blocks, -1):
            self.gone[self.hashes.pop(height)] = height

    def hash(self, height: int) -> Any:
        return self.marks.get(height) or self.hashes.get(height, block_hash(height))

    def header(self, text: str, verbose: bool) -> Any:
        assert verbose is True
        height = self.gone.get(text) or next(h for h, known in self.hashes.items() if known == text)
        return {
            "hash": text,
            "confirmations": -1 if text in self.gone else self.tip - height + 1,
            "height": height,
            "time": 1_769_000_000 + height,
            "mediantime": 1_769_000_000,
            "bits": "1701fca1",
            "difficulty": 141668107417558.2,
            "previousblockhash": self.hashes.get(height - 1, block_hash(height - 1)),
        }

    def stats(self, text: str, names: list[str]) -> Any:
        assert names == ["height", "time", "subsidy", "totalfee"]
        height = self.header(text, True)["height"]
        subsidy, fees = (3.125, 0.02998786) if self.coins else (312500000, 2998786)
        return {"height": height, "time": 1, "subsidy": subsidy, "totalfee": fees}

    def __call__(self, request: Request) -> Any:
        assert request.path == "/"
        known = {
            "getblockchaininfo": self.chain | {"blocks": self.tip, "bestblockhash": self.hashes[self.tip]},
            "getmininginfo": self.mining,
            "getblockhash": self.hash,
            "getblockheader": self.header,
            "getblockstats": self.stats,
        }
        return rpc_node(known | dict(self.methods))(request)


class OldNode(Node):
    """One whose headers know blocks it has not in `hashes`."""

    def header(self, text: str, verbose: bool) -> Any:
        self.hashes.setdefault(int(text, 16) % 16**63, text)
        return super().header(text, verbose)


# What it says


def test_at_first_the_best_block_is_told_with_some_history() -> None:
    talk = NodeTalk(BITCOIND)
    asked = talk.serve(OldNode())
    first = f"{ORDINARY[0]}+getblockhash"
    assert methods(asked) == [first, ORDINARY[1], *HISTORY, "getblockhash", "getblockheader", *HISTORY]
    assert talk.sink.heights == [[*range(TIP - 6, TIP + 1)]]
    best = talk.sink.runs[0][-1]
    assert (best.height, best.hash, best.prev_hash) == (TIP, block_hash(TIP), block_hash(TIP - 1))
    assert (best.time_s, best.bits, best.difficulty) == (1_769_000_000 + TIP, 0x1701FCA1, None)
    assert (best.subsidy, best.fees) == (312500000, 2998786)
    assert talk.sink.said == [
        {
            "bits": 0x1701FCA1,
            "hashrate": 934512955213370500000.0,
            "hashrate_blocks": 120,
            "epoch_start_s": 1_769_000_000 + TIP - TIP % 2016,
        }
    ]


def test_a_quiet_chain_costs_one_call() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    talk.settle(node)
    assert methods(talk.serve(node)) == ORDINARY[:1]
    assert len(talk.sink.runs) == 1


def test_a_block_that_follows_costs_two() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    talk.settle(node)
    node.grow()
    assert methods(talk.serve(node)) == ORDINARY
    assert talk.sink.heights[1:] == [[TIP + 1]]


def test_P15_blocks_between_two_polls_are_asked_for() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    talk.settle(node)
    node.grow(4)
    assert methods(talk.serve(node)) == [*ORDINARY, *HISTORY]
    assert talk.sink.heights[1][-4:] == [TIP + 1, TIP + 2, TIP + 3, TIP + 4]


def test_P15_a_reorganisation_comes_with_the_blocks_it_replaced() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    talk.serve(node)
    node.cut(2)
    node.grow(3, "a")
    talk.serve(node)
    assert [(b.height, b.hash[0]) for b in talk.sink.runs[1]][-4:] == [
        (TIP - 2, "0"),
        (TIP - 1, "a"),
        (TIP, "a"),
        (TIP + 1, "a"),
    ]


def test_P15_over_20_missing_blocks_are_a_gap() -> None:
    node, talk = Node(), NodeTalk(BCHN, tip=TIP - 100)
    talk.serve(node)
    assert talk.sink.heights == [[*range(TIP - 20, TIP + 1)]]


def test_P15_a_new_connection_joins_what_the_last_one_told() -> None:
    talk = NodeTalk(BCHN, tip=TIP - 3)
    talk.serve(Node())
    assert talk.sink.heights == [[*range(TIP - 9, TIP + 1)]]


# Fees of the day


@pytest.mark.parametrize("venue", [BITCOIND, BCHN, LITECOIND], ids=lambda v: getattr(v, "name", ""))
def test_amounts_are_base_units_whatever_the_node_writes(venue: Venue) -> None:
    talk = NodeTalk(venue)
    talk.serve(OldNode())
    assert {(b.subsidy, b.fees) for b in talk.sink.runs[0]} == {(312500000, 2998786)}


@pytest.mark.parametrize("amount", [-1e-8, 21_000_001, 312500000, 1e308, "3.125", None, "NaN", [3.125]])
def test_P10_an_amount_of_more_coins_than_there_are_is_refused(amount: Any) -> None:
    node, talk = Node(), NodeTalk(BCHN)
    node.methods = {"getblockstats": lambda text, names: Node.stats(node, text, names) | {"totalfee": amount}}
    with pytest.raises(ValueError):
        talk.serve(node)
    assert talk.sink.runs == []


def fee_polls(talk: NodeTalk, node: Any, most: int = 12) -> list[list[str]]:
    """What each of so many polls asks for in the end."""
    return [methods(talk.serve(node))[1:] for _ in range(most)]


@pytest.mark.parametrize("venue", FAMILY, ids=lambda v: getattr(v, "name", ""))
def test_history_of_144_blocks_is_asked_for_in_small_parts(venue: Venue) -> None:
    node, talk = Node(), NodeTalk(venue)
    first = talk.serve(OldNode())
    assert methods(first)[-2:] == HISTORY
    assert fee_polls(talk, node) == [HISTORY] * 5 + [[]] * 7
    parts = talk.sink.history
    assert [len(part) for part in parts] == [24, 24, 24, 24, 24, 17]
    assert sorted(h for part in parts for h in part) == [*range(TIP - 143, TIP - 6)]
    assert talk.sink.tip == TIP
    assert len(json.loads(first[-2].body)) == 24
    assert len(json.loads(first[-1].body)) == 48


def test_a_young_chain_has_no_more_history_than_blocks() -> None:
    node, talk = Node(40), NodeTalk(BCHN)
    node.hashes = {h: block_hash(h) for h in range(1, 41)}
    talk.settle(node)
    assert talk.sink.history == [[*range(10, 34)], [*range(1, 10)]]


@pytest.mark.parametrize("error", [RpcRefusal(-32601, "Method not found"), RpcRefusal(-1, "Block not available")])
def test_P04_where_there_are_no_fees_there_is_no_history(error: RpcRefusal) -> None:
    node, talk = Node(), NodeTalk(BCHN)
    node.methods = {"getblockstats": error}
    assert len(talk.serve(node)) == 4
    assert fee_polls(talk, node, 2) == [[], []]
    assert talk.sink.history == []


def test_a_pruned_node_tells_the_fees_it_has() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    gone = RpcRefusal(-1, "Block not available (pruned data)")

    def stats(text: str, names: list[str]) -> Any:
        return gone if int(text, 16) < TIP - 20 else Node.stats(node, text, names)

    node.methods = {"getblockstats": stats}
    talk.settle(node)
    assert talk.sink.history == [[*range(TIP - 30, TIP - 6)]]


def test_P04_history_that_cannot_be_had_is_not_asked_for_for_ever() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    node.coins = True

    def refuse(request: Request) -> Any:
        said = node(request)
        return {"error": {"code": -1, "message": "batch too large"}} if len(said) >= 24 else said

    for _ in range(8):
        with pytest.raises(ValueError, match="batch too large"):
            talk.serve(refuse)
    assert methods(talk.serve(refuse)) == ORDINARY[:1]
    assert len(talk.sink.said) == 9


def test_P15_history_that_does_not_lead_to_what_was_told_is_left() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    first = Node()
    talk.serve(first)
    for height in range(TIP - 199, TIP - 30):
        node.hashes[height] = block_hash(height, "b")
    assert fee_polls(talk, node, 2) == [HISTORY, []]
    assert talk.sink.history == [[*range(TIP - 30, TIP - 6)]]


def test_P15_a_node_that_lost_its_best_blocks_says_so() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    talk.settle(node)
    node.cut(2)
    assert methods(talk.serve(node)) == ORDINARY
    assert talk.sink.heights[1:] == [[TIP - 2]]


def test_a_block_that_left_the_chain_meanwhile_is_left_out() -> None:
    node, talk = Node(), NodeTalk(BCHN, tip=TIP - 1)
    node.coins = True
    first = node(talk.ask())
    node.cut(1)
    node.grow(1, "a")
    assert talk.answer(first) is True
    assert talk.answer(node(talk.ask())) is False
    assert talk.sink.runs == []
    talk.serve(node)
    assert talk.sink.runs[0][-1].hash == block_hash(TIP, "a")


def test_a_node_far_behind_tells_nothing() -> None:
    talk = NodeTalk(BCHN, tip=TIP + 50)
    talk.serve(Node())
    assert (talk.sink.runs, talk.sink.said) == ([], [])


@pytest.mark.parametrize(
    ("venue", "asks"), [(v, v in (BITCOIND, LITECOIND)) for v in FAMILY], ids=lambda v: getattr(v, "name", "")
)
def test_only_bitcoin_and_litecoin_have_epochs(venue: Venue, asks: bool) -> None:
    talk = NodeTalk(venue)
    talk.serve(OldNode())
    assert ("epoch_start_s" in talk.sink.said[0]) is asks


def test_an_epochs_beginning_is_asked_for_once() -> None:
    node, talk = OldNode(2016 * 400 + 3), NodeTalk(BITCOIND)
    node.mining = {}
    talk.settle(node)
    node.grow()
    assert methods(talk.serve(node)) == ORDINARY
    node.grow(2012)
    assert methods(talk.serve(node))[-2:] == ["getblockhash", "getblockheader"]
    assert [s["epoch_start_s"] for s in talk.sink.said if "epoch_start_s" in s] == [
        1_769_000_000 + 2016 * 400,
        1_769_000_000 + 2016 * 401,
    ]


def test_P15_a_reorganisation_across_an_epochs_beginning_asks_for_it_again() -> None:
    node, talk = OldNode(2016 * 400), NodeTalk(BITCOIND)
    talk.settle(node)
    node.cut(1)
    node.grow(2, "a")
    assert methods(talk.serve(node))[-2:] == ["getblockhash", "getblockheader"]


def test_zcashs_bits_do_not_say_its_difficulty() -> None:
    talk = NodeTalk(ZCASHD)
    talk.serve(Node())
    best = talk.sink.runs[0][-1]
    assert (best.bits, best.difficulty) == (None, 141668107417558.2)
    assert "bits" not in talk.sink.said[0]


@pytest.mark.parametrize("error", [RpcRefusal(-32601, "Method not found"), RpcRefusal(-1, "Block not available")])
def test_P04_a_node_without_getblockstats_tells_no_fees(error: RpcRefusal) -> None:
    node, talk = Node(getblockstats=error), NodeTalk(RAVEND)
    talk.settle(node)
    assert {(b.subsidy, b.fees) for b in talk.sink.runs[0]} == {(None, None)}
    node.grow()
    again = "getblockheader" if error.code == -32601 else ORDINARY[1]
    assert methods(talk.serve(node)) == [ORDINARY[0], again]


@pytest.mark.parametrize(
    ("mining", "said"),
    [
        (RpcRefusal(-32601, "Method not found"), {}),
        ({"networkhashps": 0}, {}),
        ({"networkhashps": 5e20}, {"hashrate": 5e20, "hashrate_blocks": 120}),
        ({"next": {"height": TIP + 2, "bits": "1701fca1"}}, {}),
        ({"next": {"height": TIP + 1, "bits": "1702068f"}}, {"bits": 0x1702068F}),
    ],
    ids=str,
)
def test_figures_are_those_the_node_has(mining: Any, said: dict[str, Any]) -> None:
    node, talk = Node(), NodeTalk(BCHN)
    node.mining = mining
    talk.serve(node)
    assert talk.sink.said == [said]


# What it cannot say


@pytest.mark.parametrize("flag", [{"initialblockdownload": True}, {"initial_block_download_complete": False}], ids=str)
def test_a_node_that_syncs_is_not_heard_and_says_so_once(flag: dict[str, Any]) -> None:
    node, talk = Node(), NodeTalk(ZCASHD)
    node.chain |= flag
    talk.serve(node)
    talk.serve(node)
    assert (talk.sink.runs, talk.sink.said) == ([], [])
    assert talk.port.statuses == [("syncing", f"at block {TIP}")]
    node.chain = {"chain": "main"}
    talk.serve(node)
    assert talk.port.statuses[1:] == [("online", "")]
    assert talk.sink.tip == TIP


@pytest.mark.parametrize("method", ["getblockchaininfo", "getmininginfo", "getblockheader", "getblockstats"])
def test_a_node_that_warms_up_says_so_once_and_is_no_fault(method: str) -> None:
    node, talk = Node(**{method: RpcRefusal(-28, "Loading block index...")}), NodeTalk(BCHN)
    talk.serve(node)
    talk.serve(node)
    assert talk.port.statuses[0] == ("warming up", "Loading block index...")
    assert talk.sink.runs == []
    node.methods = {}
    talk.serve(node)
    assert talk.sink.tip == TIP


@pytest.mark.parametrize("chain", ["test", "regtest", "signet", "x" * 10_000])
def test_P05_a_node_on_another_chain_is_refused_by_name(chain: str) -> None:
    node, talk = Node(), NodeTalk(BITCOIND)
    node.chain["chain"] = chain
    for _ in range(2):
        with pytest.raises(ValueError, match=f"the node is on chain '{chain[:40]}', not main"):
            talk.serve(node)
    assert [status for status, _ in talk.port.statuses] == ["error"]
    assert talk.sink.runs == []


@pytest.mark.parametrize("venue", FAMILY, ids=lambda v: v.name)
def test_P05_a_node_of_another_coin_is_refused_by_a_block_that_is_not_its(venue: Venue) -> None:
    """All of the family call their chain main; those of BTC and BCH have the same port, too."""
    talk = NodeTalk(venue)
    for coin in MARKS.keys() - set(venue.coins):
        hashes = dict([MARKS[coin]])
        node = Node(getblockhash=lambda height, known=hashes: known.get(height, block_hash(height)))
        with pytest.raises(ValueError, match=rf"not {talk.coin}'s"):
            talk.serve(node)
    assert {status for status, _ in talk.port.statuses} == {"error"}
    assert (talk.sink.runs, talk.sink.said) == ([], [])
    talk.settle(Node())
    assert talk.port.statuses[-1] == ("online", "")


def test_P05_a_node_that_syncs_need_not_have_the_block_it_is_known_by() -> None:
    node, talk = Node(getblockhash=RpcRefusal(-8, "Block height out of range")), NodeTalk(BITCOIND)
    node.chain["initialblockdownload"] = True
    talk.serve(node)
    assert talk.port.statuses == [("syncing", f"at block {TIP}")]


@pytest.mark.parametrize("method", ["getblockchaininfo", "getblockheader", "getblockhash"])
def test_an_error_of_the_node_is_told_in_its_words(method: str) -> None:
    node, talk = Node(**{method: RpcRefusal(-5, "Block not found")}), NodeTalk(BITCOIND)
    with pytest.raises(ValueError, match="RPC error -5: Block not found"):
        talk.serve(node)
    node.methods = {}
    talk.serve(OldNode())
    assert talk.sink.tip == TIP


@pytest.mark.parametrize(
    "body",
    [
        *BAD_BODIES,
        [],
        {},
        [{"id": 0, "result": {}, "error": None}],
        [{"id": 0}, {"id": 0}],
        [{"id": 0}, {"id": 1}, {"id": 2}],
        [{"id": None}, {"id": 1}],
        [{"id": 0, "error": "no"}, {"id": 1}],
        [{"id": 0, "error": {"code": 2**63}}, {"id": 1}],
        {"result": None, "error": {"code": -32700, "message": "Parse error"}, "id": None},
    ],
    ids=lambda b: repr(b)[:60],
)
def test_P01_P02_P04_what_is_no_answer_to_a_batch(body: Any) -> None:
    talk = NodeTalk(BITCOIND)
    talk.ask()
    with pytest.raises((ValueError, RecursionError)):
        talk.answer(body)
    talk.serve(OldNode())
    assert talk.sink.tip == TIP


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [
        ("getblockchaininfo", "chain", None),
        ("getblockchaininfo", "blocks", -1),
        ("getblockchaininfo", "blocks", 2**63),
        ("getblockchaininfo", "bestblockhash", "00"),
        ("getblockchaininfo", "initialblockdownload", "false"),
        ("getmininginfo", "networkhashps", -1),
        ("getmininginfo", "networkhashps", "NaN"),
        ("getmininginfo", "networkhashps", 10**31),
        ("getmininginfo", "next", {"height": TIP + 1, "bits": "0x1701fca1"}),
        ("getblockheader", "hash", block_hash(5)),
        ("getblockheader", "bits", 386038124),
        ("getblockheader", "bits", "1701fca"),
        ("getblockheader", "time", -1),
        ("getblockheader", "height", "5"),
        ("getblockheader", "difficulty", 0),
        ("getblockheader", "difficulty", -1.0),
        ("getblockheader", "difficulty", "1"),
        ("getblockheader", "previousblockhash", 5),
        ("getblockstats", "height", TIP - 1),
        ("getblockstats", "subsidy", -1),
        ("getblockstats", "totalfee", 2**63),
        ("getblockstats", "totalfee", 0.5),
    ],
    ids=str,
)
def test_P04_P07_P10_what_no_node_says(method: str, field: str, value: Any) -> None:
    node, talk = Node(), NodeTalk(BCHN)

    def spoil(request: Request) -> Any:
        calls, said = json.loads(request.body), node(request)
        for answer in said:
            if calls[answer["id"]]["method"] == method:
                answer["result"] = answer["result"] | {field: value}
        return said

    with pytest.raises(ValueError):
        talk.serve(spoil)
    assert talk.sink.said == []


def test_P10_what_no_chain_can_be_is_the_sinks_to_refuse() -> None:
    node, talk = Node(), NodeTalk(BCHN)
    talk.sink.refuse = ValueError("an absurd time")
    with pytest.raises(ValueError, match="an absurd time"):
        talk.serve(node)
    talk.sink.refuse = None
    talk.serve(node)
    assert talk.sink.tip == TIP


def test_P05_an_answer_that_nobody_waits_for_is_ignored() -> None:
    talk = NodeTalk(BITCOIND)
    assert talk.answer([]) is False
    talk.ask()
    talk.port.chains.clear()
    assert talk.answer([]) is False
    assert talk.port.counts["unasked"] == 2


# How it is asked


def test_a_polling_link_has_no_frames() -> None:
    talk = NodeTalk(BITCOIND)
    assert talk.decoder.subscribe(talk.pairs) == []
    assert talk.decoder.unsubscribe(talk.pairs) == []
    assert talk.port.told == [("accepted", "chain", "BTC"), ("dropped", "chain", "BTC")]
    assert talk.decoder.ping() is None
    assert list(talk.decoder.suspects(b"")) == []
    with pytest.raises(ValueError):
        talk.frame({})


def test_the_calls_are_json_rpc_in_one_batch() -> None:
    request = NodeTalk(BITCOIND).ask()
    assert (request.method, request.path) == ("POST", "/")
    assert json.loads(request.body) == [
        {"jsonrpc": "2.0", "id": 0, "method": "getblockchaininfo", "params": []},
        {"jsonrpc": "2.0", "id": 1, "method": "getmininginfo", "params": []},
        {"jsonrpc": "2.0", "id": 2, "method": "getblockhash", "params": [478_559]},
    ]


@pytest.mark.parametrize(
    ("venue", "coin", "port"),
    [
        (BITCOIND, "BTC", 8332),
        (LITECOIND, "LTC", 9332),
        (DOGECOIND, "DOGE", 22555),
        (BCHN, "BCH", 8332),
        (DASHD, "DASH", 9998),
        (ZCASHD, "ZEC", 8232),
        (RAVEND, "RVN", 8766),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_the_family(venue: Venue, coin: str, port: int) -> None:
    assert (venue.coins, venue.channels, venue.credentials) == ((coin,), ("chain",), "required")
    assert venue.endpoints.rest == f"http://127.0.0.1:{port}"
    wanted = Subscription(venue.name, coin, "chain")
    (link,) = venue.plan(venue.endpoints, [wanted], venue.pace)
    assert (link.url, link.subscriptions) == ("", (wanted,))
    assert venue.pace.poll_s == 5
    assert venue.pace.silence_s >= 3 * venue.pace.poll_s
