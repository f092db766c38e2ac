"""The calls that the simulated node knows, in Bitcoin Core's words. Source: rpc/blockchain.cpp and rpc/mining.cpp."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from ..mining.compact import target_from_bits
from .chain_block import SimBlock
from .chain_view import ChainView
from .mempool_frames import VSIZE, fee_range

Params = Mapping[str, Any]
NOT_FOUND = -5
BAD_PARAMETER = -8
WRONG_TYPE = -3
MARK = (478_559, "00000000000000000019f112ec0a9982926f1258cdcc558dd7c3b7e5dc7fa148")
"""Bitcoin's first block that Bitcoin Cash has not: clients know by it whose node this is."""
_HASH = re.compile(r"[0-9a-fA-F]{64}")


class RpcFailure(Exception):
    """A call that has an error for an answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def chain_info(view: ChainView, params: Params) -> object:
    """`getblockchaininfo`."""
    tip = view.tip
    return {
        "chain": "main",
        "blocks": tip.height,
        "headers": tip.height,
        "bestblockhash": tip.hash,
        **_difficulty(view, tip.bits),
        "time": tip.time,
        "mediantime": tip.median_time,
        "verificationprogress": 0.9999987,
        "initialblockdownload": False,
        "chainwork": f"{tip.chainwork:064x}",
        "size_on_disk": 780_000_000_000,
        "pruned": False,
        "warnings": [],
    }


def mining_info(view: ChainView, params: Params) -> object:
    """`getmininginfo`: `next` is what the block after the tip must have, a retarget included."""
    return {
        "blocks": view.tip.height,
        **_difficulty(view, view.tip.bits),
        "networkhashps": view.hashrate(120),
        "pooledtx": 42_000,
        "blockmintxfee": 1e-05,
        "chain": "main",
        "next": {"height": view.tip.height + 1, **_difficulty(view, view.next_bits())},
        "warnings": [],
    }


def header(view: ChainView, params: Params) -> object:
    """`getblockheader blockhash ( verbose )`; -1 confirmations are those of an orphan."""
    block = _by_hash(view, params.get("blockhash"))
    version = 0x2000_0000
    merkle = block.hash[::-1]
    nonce = int(block.hash[-8:], 16)
    if not params.get("verbose", True):
        words = bytes.fromhex(block.prev_hash)[::-1] + bytes.fromhex(merkle)[::-1]
        tail = struct.pack("<III", block.time, view.bits(block.bits), nonce)
        return (struct.pack("<I", version) + words + tail).hex()
    held = view.holds(block)
    after = view.block(block.height + 1) if held else None
    return {
        "hash": block.hash,
        "confirmations": view.tip.height - block.height + 1 if held else -1,
        "height": block.height,
        "version": version,
        "versionHex": f"{version:08x}",
        "merkleroot": merkle,
        "time": block.time,
        "mediantime": block.median_time,
        "nonce": nonce,
        **_difficulty(view, block.bits),
        "chainwork": f"{block.chainwork:064x}",
        "nTx": block.tx_count,
        "previousblockhash": block.prev_hash,
        **({} if after is None else {"nextblockhash": after.hash}),
    }


def block_hash(view: ChainView, params: Params) -> object:
    """`getblockhash height`."""
    height = _whole(params.get("height"), "height")
    block = view.block(height)
    if block is None and height == MARK[0]:
        return MARK[1]
    if block is None:
        raise RpcFailure(BAD_PARAMETER, "Block height out of range")
    return block.hash


def block_stats(view: ChainView, params: Params) -> object:
    """`getblockstats hash_or_height ( stats )`."""
    wanted = params.get("hash_or_height")
    if isinstance(wanted, str):
        block = _by_hash(view, wanted)
    else:
        height = _whole(wanted, "hash_or_height")
        found = view.block(height)
        if found is None:
            text = f"Target block height {height} after current tip {view.tip.height}"
            raise RpcFailure(BAD_PARAMETER, text if height >= 0 else f"Target block height {height} is negative")
        block = found
    rates = [int(rate) for rate in fee_range(block.fees)]
    stats = {
        "avgfee": block.fees // max(block.tx_count - 1, 1),
        "avgfeerate": block.fees // VSIZE,
        "blockhash": block.hash,
        "feerate_percentiles": rates[1:6],
        "height": block.height,
        "maxfeerate": rates[6],
        "mediantime": block.median_time,
        "minfeerate": rates[0],
        "subsidy": block.subsidy,
        "time": block.time,
        "totalfee": block.fees,
        "total_weight": 3_993_000 if block.tx_count > 1 else 0,
        "txs": block.tx_count,
    }
    chosen = params.get("stats") or list(stats)
    if not isinstance(chosen, list):
        raise RpcFailure(WRONG_TYPE, "JSON value of type string is not of expected type array")
    if unknown := [name for name in chosen if name not in stats]:
        raise RpcFailure(BAD_PARAMETER, f"Invalid selected statistic '{unknown[0]}'")
    return {name: stats[name] for name in chosen}


def network_hashrate(view: ChainView, params: Params) -> object:
    """`getnetworkhashps ( nblocks height )`: -1 blocks are those since the last retarget."""
    count = _whole(params.get("nblocks", 120), "nblocks")
    height = _whole(params.get("height", -1), "height")
    if count < -1 or not count:
        raise RpcFailure(BAD_PARAMETER, "Invalid nblocks. Must be a positive number or -1.")
    if height < -1 or height > view.tip.height:
        raise RpcFailure(BAD_PARAMETER, "Block does not exist at specified height")
    height = view.tip.height if height == -1 else height
    if count == -1:
        count = height % view.chain.retarget_every + 1
    return view.hashrate(min(count, max(height - view.chain.first, 0)), height)


def _difficulty(view: ChainView, true: int) -> dict[str, object]:
    bits = view.bits(true)
    return {"bits": f"{bits:08x}", "target": f"{target_from_bits(bits):064x}", "difficulty": view.difficulty(true)}


def _by_hash(view: ChainView, text: object) -> SimBlock:
    if not isinstance(text, str):
        raise RpcFailure(WRONG_TYPE, "JSON value of type number is not of expected type string")
    if len(text) != 64:
        raise RpcFailure(BAD_PARAMETER, f"blockhash must be of length 64 (not {len(text)}, for '{text[:64]}')")
    if not _HASH.fullmatch(text):
        raise RpcFailure(BAD_PARAMETER, f"blockhash must be hexadecimal string (not '{text}')")
    block = view.find(text.lower())
    if block is None:
        raise RpcFailure(NOT_FOUND, "Block not found")
    return block


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise RpcFailure(WRONG_TYPE, f"Wrong type passed: {name} is not of expected type number")
    return value


METHODS: dict[str, tuple[Callable[[ChainView, Params], object], tuple[str, ...]]] = {
    "getbestblockhash": (lambda view, _: view.tip.hash, ()),
    "getblockchaininfo": (chain_info, ()),
    "getblockcount": (lambda view, _: view.tip.height, ()),
    "getblockhash": (block_hash, ("height",)),
    "getblockheader": (header, ("blockhash", "verbose")),
    "getblockstats": (block_stats, ("hash_or_height", "stats")),
    "getdifficulty": (lambda view, _: view.difficulty(view.tip.bits), ()),
    "getmininginfo": (mining_info, ()),
    "getnetworkhashps": (network_hashrate, ("nblocks", "height")),
}
"""By method: what runs it, and its parameters' names."""
