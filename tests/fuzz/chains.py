"""Sources of chains that answer what a session asks, growing and forking as they go: what fuzzers break."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from marketfeed.venues._spec import Request

from ..venues import (
    test_bitcoind,
    test_blockchaininfo,
    test_blockchair,
    test_geth,
    test_kaspa,
    test_mempool,
    test_monerod,
    test_whattomine,
)


class Source:
    """A source; `news` moves its chain and returns the frames it pushes."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice

    def answer(self, request: Request) -> bytes:
        """The body of its answer."""
        return json.dumps(self.reply(request)).encode()

    def reply(self, request: Request) -> Any:
        """The same, not yet JSON."""
        raise NotImplementedError

    def news(self) -> list[bytes]:
        """Some time has passed."""
        return []


class OfNode(Source):
    """A node with a chain of its own that grows, and now and then loses its best blocks to a fork."""

    def __init__(self, dice: Random, node: Any) -> None:
        super().__init__(dice)
        self.node = node

    def reply(self, request: Request) -> Any:
        try:
            return self.node(request)
        except (LookupError, StopIteration, ValueError):
            return None  # asked for a block that a broken answer spoke of

    def news(self) -> list[bytes]:
        fork = ""
        if self.dice.random() < 0.1:
            fork = self.dice.choice("abcdef")
            for height in range(self.node.tip, self.node.tip - self.dice.randrange(1, 4), -1):
                gone = self.node.hashes.pop(height)
                getattr(self.node, "gone", {})[gone] = height
        self.node.grow(self.dice.choice((1, 1, 1, 2, 4)), fork)
        return []


class Figures(Source):
    """Figures of the chain alone, whose height grows."""

    def __init__(self, dice: Random, body: dict[str, Any], height: str, wrap: Callable[[Any], Any] = dict) -> None:
        super().__init__(dice)
        self._body = dict(body)
        self._height = height
        self._wrap = wrap

    def reply(self, request: Request) -> Any:
        return self._wrap(self._body)

    def news(self) -> list[bytes]:
        self._body[self._height] = type(self._body[self._height])(int(self._body[self._height]) + 1)
        return []


class Mempool(Source):
    """mempool.space: pushes its blocks, answers what was missed."""

    def __init__(self, dice: Random) -> None:
        super().__init__(dice)
        self._tip = 890_448

    def reply(self, request: Request) -> Any:
        if "reward-stats" in request.path:
            return test_mempool.STATS
        if "difficulty-adjustment" in request.path:
            return test_mempool.DA
        top = int(request.path.rpartition("/")[2])
        return [test_mempool.block(height) for height in range(top, top - 15, -1)]

    def news(self) -> list[bytes]:
        self._tip += self.dice.choice((1, 1, 1, 2, 20))
        push: dict[str, Any] = {"block": test_mempool.block(self._tip)}
        if self.dice.random() < 0.3:
            push = test_mempool.blocks(self._tip - 7, self._tip)
        if self.dice.random() < 0.5:
            push["da"] = test_mempool.DA
        return [json.dumps(push).encode(), b'{"pong":true}']


SOURCES: dict[str, tuple[str, Callable[[Random], Source]]] = {
    "mempool": ("BTC", Mempool),
    "bitcoind": ("BTC", lambda dice: OfNode(dice, test_bitcoind.Node())),
    "monerod": ("XMR", lambda dice: OfNode(dice, test_monerod.Node())),
    "geth": ("ETC", lambda dice: OfNode(dice, test_geth.Node())),
    "kaspa": ("KAS", lambda dice: Figures(dice, test_kaspa.DAG, "virtualDaaScore")),
    "blockchair": ("BTC", lambda dice: Figures(dice, test_blockchair.STATS, "best_block_height", _with_context)),
    "blockchaininfo": ("BTC", lambda dice: Figures(dice, test_blockchaininfo.STATS, "n_blocks_total")),
    "whattomine": ("BTC", lambda dice: Figures(dice, test_whattomine.COIN, "last_block")),
}
"""By venue: its coin, and what makes the source."""


def _with_context(stats: Any) -> Any:
    return {"data": dict(stats), "context": test_blockchair.CONTEXT}
