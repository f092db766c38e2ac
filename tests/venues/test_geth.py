"""core-geth as its protocol sheet has it."""

import json
from typing import Any

import pytest

from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import Request
from marketfeed.venues.geth import VENUE

from .chain_talk import BAD_BODIES, ChainTalk, RpcRefusal, block_hash, methods, rpc_node

TIP = 21_855_055
EACH = "eth_chainId+eth_syncing+eth_getBlockByNumber"


class Node:
    """A node with a chain: hashes by height."""

    def __init__(self) -> None:
        self.hashes = {h: block_hash(h) for h in range(TIP - 200, TIP + 1)}
        self.fields: dict[str, Any] = {}
        self.methods: dict[str, Any] = {}

    @property
    def tip(self) -> int:
        return max(self.hashes)

    def grow(self, blocks: int = 1, fork: str = "") -> None:
        for height in range(self.tip + 1, self.tip + 1 + blocks):
            self.hashes[height] = block_hash(height, fork)

    def block(self, number: str, whole: bool) -> Any:
        assert whole is False
        height = self.tip if number == "latest" else int(number, 16)
        if height not in self.hashes:
            return None
        return {
            "number": hex(height),
            "hash": "0x" + self.hashes[height].upper(),
            "parentHash": "0x" + self.hashes.get(height - 1, block_hash(height - 1)),
            "timestamp": "0x691fd2f0",
            "difficulty": "0x8d1c6ad5aa3f7",
            "transactions": [],
        } | self.fields

    def __call__(self, request: Request) -> Any:
        assert request.path == "/"
        known = {"eth_chainId": "0x3d", "eth_syncing": False, "eth_getBlockByNumber": self.block}
        return rpc_node(known | self.methods)(request)


# What it says


def test_the_best_block_with_some_history() -> None:
    talk = ChainTalk(VENUE)
    assert methods(talk.serve(Node())) == [EACH, "eth_getBlockByNumber"]
    assert talk.sink.heights == [[*range(TIP - 6, TIP + 1)]]
    best = talk.sink.runs[0][-1]
    assert (best.hash, best.prev_hash, best.time_s) == (block_hash(TIP), block_hash(TIP - 1), 0x691FD2F0)
    assert (best.difficulty, best.bits, best.subsidy, best.fees) == (float(0x8D1C6AD5AA3F7), None, None, None)


def test_a_quiet_chain_and_a_block_that_follows_cost_one_call() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    talk.serve(node)
    assert methods(talk.serve(node)) == [EACH]
    node.grow()
    assert methods(talk.serve(node)) == [EACH]
    assert talk.sink.heights[1:] == [[TIP], [TIP + 1]]


def test_P15_blocks_between_two_polls_are_asked_for() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    talk.serve(node)
    node.grow(5)
    talk.serve(node)
    assert talk.sink.heights[1][-5:] == [*range(TIP + 1, TIP + 6)]


def test_P15_a_reorganisation_comes_with_the_blocks_it_replaced() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    talk.serve(node)
    for height in (TIP, TIP - 1):
        del node.hashes[height]
    node.grow(2, "a")
    talk.serve(node)
    assert [b.hash[0] for b in talk.sink.runs[1]][-3:] == ["0", "a", "a"]
    assert talk.sink.tip == TIP


def test_P15_blocks_that_are_gone_meanwhile_leave_what_is_joined() -> None:
    node, talk = Node(), ChainTalk(VENUE, tip=TIP - 4)
    del node.hashes[TIP - 3]
    talk.serve(node)
    assert talk.sink.heights == [[TIP - 2, TIP - 1, TIP]]


def test_difficulties_over_2_53_are_read_as_integers() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.fields = {"difficulty": hex(2**60 + 1)}
    talk.serve(node)
    assert talk.sink.runs[0][-1].difficulty == float(2**60)


# What it cannot say


def test_a_node_that_syncs_is_not_heard_and_says_so_once() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.methods = {"eth_syncing": {"currentBlock": "0x1", "highestBlock": "0x2"}}
    talk.serve(node)
    talk.serve(node)
    assert (talk.sink.runs, talk.port.statuses) == ([], [("syncing", "")])
    node.methods = {}
    talk.serve(node)
    assert talk.port.statuses[1:] == [("online", "")]


def test_P05_a_node_on_another_chain_is_refused_by_name() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.methods = {"eth_chainId": "0x1"}
    with pytest.raises(ValueError, match="the node is on chain '1', not 61"):
        talk.serve(node)
    assert talk.port.statuses[0][0] == "error"


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("eth_chainId", RpcRefusal(-32601, "the method does not exist")),
        ("eth_chainId", 61),
        ("eth_chainId", ""),
        ("eth_syncing", "no"),
        ("eth_getBlockByNumber", None),
        ("eth_getBlockByNumber", []),
        ("eth_getBlockByNumber", RpcRefusal(-32000, "header not found")),
    ],
    ids=str,
)
def test_P04_what_is_no_result(method: str, result: Any) -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.methods = {method: result if result is not None else lambda *_: None}
    with pytest.raises(ValueError):
        talk.serve(node)
    assert talk.sink.runs == []


@pytest.mark.parametrize("body", [*BAD_BODIES, [], {}, [{"id": 0, "result": "0x3d"}]], ids=lambda b: repr(b)[:60])
def test_P01_P02_P04_what_is_no_answer(body: Any) -> None:
    talk = ChainTalk(VENUE)
    talk.ask()
    with pytest.raises((ValueError, RecursionError)):
        talk.answer(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"number": 5},
        {"number": "5"},
        {"number": "0x"},
        {"number": "0x" + "f" * 16},
        {"number": "-0x5"},
        {"number": "0x1_0"},
        {"hash": "0x00"},
        {"hash": None},
        {"parentHash": "0x" + "g" * 64},
        {"timestamp": 1.5},
        {"difficulty": "NaN"},
        {"difficulty": "0x" + "f" * 65},
        {"difficulty": 10**15},
    ],
    ids=str,
)
def test_P04_P07_P08_P10_a_block_that_no_node_has(fields: dict[str, Any]) -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.fields = fields
    with pytest.raises(ValueError):
        talk.serve(node)
    assert talk.sink.runs == []


def test_P10_a_difficulty_of_zero_is_the_sinks_to_refuse() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.fields = {"difficulty": "0x0", "timestamp": "0xfffffffffffffff"}
    talk.sink.refuse = ValueError("no chain has that")
    with pytest.raises(ValueError, match="no chain has that"):
        talk.serve(node)


def test_P05_blocks_of_other_heights_than_asked_for() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    other = node.block("latest", False) | {"number": hex(TIP + 9)}
    node.methods = {
        "eth_getBlockByNumber": lambda number, _: node.block("latest", False) if number[0] == "l" else other
    }
    with pytest.raises(ValueError, match=f"{TIP + 9} came"):
        talk.serve(node)


# How it is asked


def test_the_first_call() -> None:
    assert json.loads(ChainTalk(VENUE).ask().body)[2] == {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "eth_getBlockByNumber",
        "params": ["latest", False],
    }


def test_a_polling_link() -> None:
    wanted = Subscription("geth", "ETC", "chain")
    (link,) = VENUE.plan(VENUE.endpoints, [wanted], VENUE.pace)
    assert (link.url, link.subscriptions) == ("", (wanted,))
    assert (VENUE.coins, VENUE.channels, VENUE.endpoints.rest) == (("ETC",), ("chain",), "http://127.0.0.1:8545")
