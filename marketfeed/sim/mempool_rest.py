"""The REST interface of a mempool server. Source: mempool/mempool, mining-routes.ts and bitcoin.routes.ts."""

from __future__ import annotations

from .chain_view import ChainView
from .mempool_frames import block_row, prices, projected, whole
from .wire import Reply, json_reply

PAGE = 15
"""Blocks in one answer of `/api/v1/blocks`."""
HASHRATE_BLOCKS = 1_008
"""Blocks that `currentHashrate` is measured over."""
_TEXT = {"Content-Type": "text/plain"}


def answer(view: ChainView, path: str, now_s: int) -> Reply:
    """The answer to a GET of `path` at `now_s` (Unix s)."""
    match path.strip("/").removeprefix("api/").split("/"):
        case ["blocks", "tip", "height"]:
            return Reply(200, str(view.tip.height).encode(), _TEXT)
        case ["blocks", "tip", "hash"]:
            return Reply(200, view.tip.hash.encode(), _TEXT)
        case ["block-height", height]:
            block = view.block(int(height)) if _number(height) else None
            return Reply(404, b"Block not found", _TEXT) if block is None else Reply(200, block.hash.encode(), _TEXT)
        case ["v1", "blocks", *rest] if len(rest) < 2:
            if rest and not _number(rest[0]):
                return Reply(400, b"Invalid height", _TEXT)
            return _page(view, int(rest[0]) if rest else view.tip.height)
        case ["v1", "difficulty-adjustment"]:
            return json_reply(view.adjustment(now_s))
        case ["v1", "prices"]:
            return json_reply(prices(now_s))
        case ["v1", "fees", "mempool-blocks"]:
            return json_reply(projected(view))
        case ["v1", "mining", "reward-stats", count]:
            return _rewards(view, count)
        case ["v1", "mining", "hashrate", _]:
            return _hashrate(view)
    return Reply(404, b"Not Found", _TEXT)


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _page(view: ChainView, height: int) -> Reply:
    """Fifteen blocks downwards; what lies above the tip is left out of the fifteen."""
    count = PAGE - max(0, height - view.tip.height)
    blocks = view.last(count, min(height, view.tip.height)) if count > 0 else []
    return json_reply([block_row(view, block) for block in reversed(blocks)])


def _rewards(view: ChainView, count: str) -> Reply:
    """Sums over the last blocks: of reward, of fees and of transactions, as texts."""
    if not _number(count) or not int(count):
        return Reply(400, b"Invalid block count", _TEXT)
    blocks = view.last(min(int(count), view.tip.height - view.chain.first + 1))
    return json_reply(
        {
            "startBlock": blocks[0].height,
            "endBlock": blocks[-1].height,
            "totalReward": str(sum(block.reward for block in blocks)),
            "totalFee": str(sum(block.fees for block in blocks)),
            "totalTx": str(sum(block.tx_count for block in blocks)),
        }
    )


def _hashrate(view: ChainView) -> Reply:
    """Hashrate now, and difficulty by epoch as far back as is remembered, whatever interval is asked for."""
    every = view.chain.retarget_every
    rows = []
    for height in range(-(-view.chain.first // every) * every, view.tip.height + 1, every):
        block, before = view.block(height), view.block(height - 1)
        assert block is not None
        difficulty = view.difficulty(block.bits)
        adjustment = difficulty / view.difficulty(before.bits) if before else 1.0
        rows.append({"time": block.time, "height": height, "difficulty": difficulty, "adjustment": adjustment})
    current = whole(view.hashrate(HASHRATE_BLOCKS))
    return json_reply(
        {
            "hashrates": [{"timestamp": view.tip.time, "avgHashrate": current}],
            "difficulty": rows,
            "currentHashrate": current,
            "currentDifficulty": view.difficulty(view.tip.bits),
        }
    )
