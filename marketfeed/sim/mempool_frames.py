"""Blocks, fees and the like as mempool.space writes them. What a chain of headers has not is drawn from the hash."""

from __future__ import annotations

from statistics import median

import orjson

from .chain_block import SimBlock
from .chain_view import ChainView

VSIZE = 998_000
"""Virtual bytes of a full block."""
POOLS = ("Foundry USA", "AntPool", "ViaBTC", "F2Pool", "SpiderPool", "MARA Pool", "Luxor", "Braiins Pool")
CURRENCIES = ("USD", "EUR", "GBP", "CAD", "CHF", "AUD", "JPY")


def whole(number: float) -> orjson.Fragment | float:
    """A number as JavaScript prints it: whole below 1e21, also where 64 bits do not hold it."""
    return orjson.Fragment(str(int(number))) if number < 1e21 else number


def block_row(view: ChainView, block: SimBlock) -> dict[str, object]:
    """A block with its extras."""
    dice = int(block.hash[-12:], 16)
    size = 1_500_000 + dice % 600_000 if block.tx_count > 1 else 250
    pool = dice // 7 % len(POOLS)
    lost = [one for one in view.chain.orphans if one.height == block.height and one.hash != block.hash]
    return {
        "id": block.hash,
        "height": block.height,
        "version": 0x2000_0000 + dice % 0x1000 * 0x2000,
        "timestamp": block.time,
        "bits": view.bits(block.bits),
        "nonce": dice % 2**32,
        "difficulty": view.difficulty(block.bits),
        "merkle_root": block.hash[::-1],
        "tx_count": block.tx_count,
        "size": size,
        "weight": min(3_993_000, 4 * size),
        "previousblockhash": block.prev_hash,
        "mediantime": block.median_time,
        "stale": not view.holds(block),
        "extras": {
            "reward": block.reward,
            "coinbaseRaw": f"03{block.height.to_bytes(3, 'little').hex() if block.height < 2**24 else ''}",
            "orphans": [
                {"height": one.height, "hash": one.hash, "status": "valid-fork", "prevhash": one.prev_hash}
                for one in lost
            ],
            "medianFee": rate(block.fees),
            "feeRange": fee_range(block.fees),
            "totalFees": block.fees,
            "avgFee": block.fees // max(block.tx_count - 1, 1),
            "avgFeeRate": block.fees // VSIZE,
            "utxoSetChange": dice % 9_000 - 4_500,
            "avgTxSize": round(size / block.tx_count, 2),
            "totalInputs": 2 * block.tx_count,
            "totalOutputs": 3 * block.tx_count,
            "totalOutputAmt": 130_000_000 * block.tx_count,
            "segwitTotalTxs": block.tx_count * 9 // 10,
            "segwitTotalSize": size * 9 // 10,
            "segwitTotalWeight": size * 9 // 4,
            "feePercentiles": None,
            "virtualSize": VSIZE,
            "coinbaseAddress": None,
            "coinbaseAddresses": [],
            "coinbaseSignature": "",
            "coinbaseSignatureAscii": "",
            "header": "",
            "utxoSetSize": None,
            "totalInputAmt": None,
            "pool": {
                "id": pool + 1,
                "name": POOLS[pool],
                "slug": POOLS[pool].lower().replace(" ", ""),
                "minerNames": None,
            },
            "matchRate": 100,
            "expectedFees": block.fees,
            "expectedWeight": 3_991_000,
            "similarity": 1,
        },
    }


def rate(fees: int) -> float:
    """Satoshi a virtual byte, in the middle of a block that pays so much."""
    return fees / VSIZE * 0.8


def fee_range(fees: int) -> list[float]:
    """The rates of a block from the lowest to the highest, in seven steps."""
    return [rate(fees) * factor for factor in (0.5, 0.7, 0.8, 1.0, 1.3, 2.5, 40.0)]


def pending_fees(view: ChainView) -> int:
    """What the next block's transactions are expected to pay: the middle of the last three blocks."""
    return int(median(block.fees for block in view.last(3)))


def projected(view: ChainView) -> list[dict[str, object]]:
    """`mempool-blocks`: the next block, and three after it that pay less and less."""
    fees = pending_fees(view)
    return [
        {
            "blockSize": 1_700_000,
            "blockVSize": VSIZE,
            "nTx": 2_500 // (n + 1),
            "totalFees": fees // (n + 1),
            "medianFee": rate(fees // (n + 1)),
            "feeRange": fee_range(fees // (n + 1)),
        }
        for n in range(4)
    ]


def recommended(view: ChainView) -> dict[str, int]:
    """`fees`: what to pay now, in satoshi a virtual byte."""
    fast = max(1, round(rate(pending_fees(view))))
    economy = max(1, fast // 2)
    return {"fastestFee": fast, "halfHourFee": fast, "hourFee": fast, "economyFee": economy, "minimumFee": 1}


def mempool_info(view: ChainView) -> dict[str, object]:
    """`mempoolInfo`: of a mempool that nothing is known about but its fees."""
    fees = pending_fees(view) * 3 / 1e8
    return {"loaded": True, "size": 42_000, "bytes": 31_000_000, "usage": 190_000_000, "total_fee": fees,
            "maxmempool": 300_000_000, "mempoolminfee": 1e-05, "minrelaytxfee": 1e-05, "incrementalrelayfee": 1e-05,
            "unbroadcastcount": 0, "fullrbf": True}  # fmt: skip


def prices(now_s: int) -> dict[str, int]:
    """Prices that the server does not know, which it writes as -1."""
    return {"time": now_s, **dict.fromkeys(CURRENCIES, -1)}
