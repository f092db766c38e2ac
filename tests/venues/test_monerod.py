"""monerod as its protocol sheet has it."""

import json
from typing import Any

import pytest

from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import Request
from marketfeed.venues.monerod import TAIL, VENUE

from .chain_talk import BAD_BODIES, ChainTalk, RpcRefusal, block_hash, methods, rpc_node

TIP = 2286471
INFO = {
    "difficulty": 225889137349,
    "wide_difficulty": "0x34980ab2c5",
    "height": TIP + 1,
    "nettype": "mainnet",
    "status": "OK",
    "synchronized": True,
    "busy_syncing": False,
    "target": 120,
}
EACH = ["get_info", "get_last_block_header"]


class Node:
    """A node with a chain: hashes by height."""

    def __init__(self) -> None:
        self.hashes = {h: block_hash(h) for h in range(TIP - 200, TIP + 1)}
        self.info: dict[str, Any] = dict(INFO)
        self.fields: dict[str, Any] = {}
        self.methods: dict[str, Any] = {}

    @property
    def tip(self) -> int:
        return max(self.hashes)

    def grow(self, blocks: int = 1, fork: str = "") -> None:
        for height in range(self.tip + 1, self.tip + 1 + blocks):
            self.hashes[height] = block_hash(height, fork)
        self.info["height"] = self.tip + 1

    def header(self, height: int) -> dict[str, Any]:
        return {
            "difficulty": 227026389695,
            "wide_difficulty": "0x34dbd3cabf",
            "hash": self.hashes[height],
            "prev_hash": self.hashes.get(height - 1, block_hash(height - 1)),
            "height": height,
            "reward": 1181337498013,
            "timestamp": 1612088597,
        } | self.fields

    def __call__(self, request: Request) -> Any:
        assert request.path == "/json_rpc"
        known = {
            "get_info": {"top_block_hash": self.hashes[self.tip]} | self.info,
            "get_last_block_header": lambda: {"block_header": self.header(self.tip), "status": "OK"},
            "get_block_headers_range": lambda start_height, end_height: {
                "headers": [self.header(h) for h in range(start_height, end_height + 1)]
            },
        }
        return rpc_node(known | self.methods)(request)


# What it says


def test_the_best_block_and_the_next_ones_difficulty() -> None:
    talk = ChainTalk(VENUE)
    assert methods(talk.serve(Node())) == [*EACH, "get_block_headers_range"]
    assert talk.sink.heights == [[*range(TIP - 6, TIP + 1)]]
    best = talk.sink.runs[0][-1]
    assert (best.hash, best.prev_hash, best.time_s) == (block_hash(TIP), block_hash(TIP - 1), 1612088597)
    assert (best.difficulty, best.bits) == (227026389695.0, None)
    assert (best.subsidy, best.fees) == (TAIL, 581337498013)
    assert talk.sink.said == [{"difficulty": 225889137349.0}]


def test_a_quiet_chain_costs_one_call_and_a_new_block_two() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    talk.serve(node)
    assert methods(talk.serve(node)) == EACH[:1]
    node.grow()
    assert methods(talk.serve(node)) == EACH
    assert (talk.sink.heights[1:], len(talk.sink.said)) == ([[TIP + 1]], 3)


def test_P15_blocks_between_two_polls_are_asked_for() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    talk.serve(node)
    node.grow(3)
    talk.serve(node)
    assert talk.sink.heights[1][-3:] == [TIP + 1, TIP + 2, TIP + 3]


def test_P15_a_reorganisation_comes_with_the_blocks_it_replaced() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    talk.serve(node)
    for height in (TIP, TIP - 1):
        del node.hashes[height]
    node.grow(3, "a")
    talk.serve(node)
    assert [b.hash[0] for b in talk.sink.runs[1]][-4:] == ["0", "a", "a", "a"]


def test_the_wide_difficulty_counts() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.fields = {"wide_difficulty": "0x" + "f" * 32, "difficulty": 5}
    node.info |= {"wide_difficulty": None}
    talk.serve(node)
    assert talk.sink.runs[0][-1].difficulty == float(2**128 - 1)
    assert talk.sink.said == [{"difficulty": 225889137349.0}]


def test_a_reward_below_the_tail_is_not_taken_apart() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.fields = {"reward": TAIL - 1}
    talk.serve(node)
    best = talk.sink.runs[0][-1]
    assert (best.subsidy, best.fees) == (None, None)


def test_a_difficulty_of_another_next_block_is_not_told() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    first = node(talk.ask())
    node.grow()
    assert talk.answer(first) is True
    talk.serve(node)
    assert (talk.sink.tip, talk.sink.said) == (TIP + 1, [])


def test_an_old_node_without_a_top_hash_is_asked_each_time() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.info |= {"top_block_hash": ""}
    talk.serve(node)
    assert methods(talk.serve(node)) == EACH
    assert len(talk.sink.said) == 2


# What it cannot say


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"synchronized": False}, ("syncing", f"at block {TIP}")),
        ({"busy_syncing": True}, ("syncing", f"at block {TIP}")),
        ({"status": "BUSY"}, ("warming up", "BUSY")),
    ],
    ids=str,
)
def test_a_node_that_is_not_ready_is_not_heard_and_says_so_once(fields: dict[str, Any], status: Any) -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.info |= fields
    talk.serve(node)
    talk.serve(node)
    assert (talk.sink.runs, talk.sink.said, talk.port.statuses) == ([], [], [status])
    node.info |= INFO
    talk.serve(node)
    assert (talk.sink.tip, talk.port.statuses[1:]) == (TIP, [("online", "")])


@pytest.mark.parametrize("method", EACH)
def test_a_busy_core_is_no_fault_and_other_errors_are(method: str) -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.methods = {method: RpcRefusal(-9, "Core is busy")}
    talk.serve(node)
    assert talk.port.statuses == [("warming up", "Core is busy")]
    node.methods = {method: RpcRefusal(-32601, "Method not found")}
    with pytest.raises(ValueError, match="RPC error -32601: Method not found"):
        talk.serve(node)


@pytest.mark.parametrize("chain", ["testnet", "stagenet", "fakechain"])
def test_P05_a_node_on_another_chain_is_refused_by_name(chain: str) -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.info |= {"nettype": chain}
    with pytest.raises(ValueError, match=f"the node is on chain '{chain}', not mainnet"):
        talk.serve(node)
    assert talk.port.statuses[0][0] == "error"


@pytest.mark.parametrize("body", [*BAD_BODIES, [], {}, {"result": []}, {"result": None}, {"error": []}], ids=repr)
def test_P01_P02_P04_what_is_no_answer(body: Any) -> None:
    talk = ChainTalk(VENUE)
    talk.ask()
    with pytest.raises((ValueError, RecursionError)):
        talk.answer(body)
    talk.serve(Node())
    assert talk.sink.tip == TIP


@pytest.mark.parametrize(
    "fields",
    [
        {"height": -1},
        {"height": 2**63},
        {"height": "5"},
        {"wide_difficulty": "0x"},
        {"wide_difficulty": "34980ab2c5"},
        {"wide_difficulty": "0x" + "f" * 33},
        {"wide_difficulty": "-0x5"},
        {"wide_difficulty": None, "difficulty": None},
        {"difficulty": -1},
        {"difficulty": 2**63},
        {"difficulty": "225889137349"},
        {"difficulty": 1.5},
        {"top_block_hash": "x"},
        {"synchronized": "yes"},
    ],
    ids=str,
)
def test_P04_P07_P10_a_state_that_no_node_has(fields: dict[str, Any]) -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.info |= fields
    with pytest.raises(ValueError):
        talk.serve(node)
    assert (talk.sink.runs, talk.sink.said) == ([], [])


@pytest.mark.parametrize(
    "fields",
    [
        {"hash": "x"},
        {"prev_hash": None},
        {"height": 2**64},
        {"timestamp": -1},
        {"timestamp": "1"},
        {"reward": -1},
        {"reward": 1e30},
        {"wide_difficulty": "0xg"},
        {"wide_difficulty": None, "difficulty": None},
    ],
    ids=str,
)
def test_P04_P07_P10_a_block_that_no_node_has(fields: dict[str, Any]) -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.fields = fields
    with pytest.raises(ValueError):
        talk.serve(node)
    assert talk.sink.runs == []


def test_P05_headers_of_other_heights_than_asked_for() -> None:
    node, talk = Node(), ChainTalk(VENUE)
    node.methods = {"get_block_headers_range": {"headers": [node.header(TIP), node.header(TIP) | {"height": TIP + 9}]}}
    with pytest.raises(ValueError, match=f"{TIP + 9} came"):
        talk.serve(node)


# How it is asked


def test_calls_are_single_ones() -> None:
    assert json.loads(ChainTalk(VENUE).ask().body) == {"jsonrpc": "2.0", "id": 0, "method": "get_info", "params": {}}


def test_a_polling_link() -> None:
    wanted = Subscription("monerod", "XMR", "chain")
    (link,) = VENUE.plan(VENUE.endpoints, [wanted], VENUE.pace)
    assert (link.url, link.subscriptions) == ("", (wanted,))
    assert (VENUE.coins, VENUE.channels, VENUE.credentials) == (("XMR",), ("chain",), "optional")
    assert VENUE.endpoints.rest == "http://127.0.0.1:18081"
