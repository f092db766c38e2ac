import json

import aiohttp
import pytest
from chain_clients import AUTH, get, plant, post, rpc

from marketfeed.mining.compact import difficulty_from_bits, target_from_bits


def call(method, *params, version="1.0", **more):
    return {"jsonrpc": version, "id": 7, "method": method, "params": list(params), **more}


async def test_the_tip():
    async with plant() as running:
        await running.chain.mine(3)
        tip = running.chain.truth.tip
        info = await rpc(running, "getblockchaininfo")
        expected = {
            "chain": "main", "blocks": tip.height, "headers": tip.height, "bestblockhash": tip.hash, "time": tip.time,
            "bits": f"{tip.bits:08x}", "difficulty": difficulty_from_bits(tip.bits), "initialblockdownload": False,
            "mediantime": tip.median_time, "chainwork": f"{tip.chainwork:064x}",
            "target": f"{target_from_bits(tip.bits):064x}",
        }  # fmt: skip
        assert info.items() >= expected.items()
        assert await rpc(running, "getbestblockhash") == tip.hash
        assert await rpc(running, "getblockcount") == tip.height
        assert await rpc(running, "getdifficulty") == difficulty_from_bits(tip.bits)
        assert await rpc(running, "getblockhash", tip.height - 1) == tip.prev_hash


async def test_the_next_difficulty_is_known_one_block_early():
    async with plant(height=969_696 + 2_005) as running:
        for _ in range(12):
            tip = running.chain.truth.tip
            mining = await rpc(running, "getmininginfo")
            assert mining["bits"] == f"{tip.bits:08x}"
            assert mining["next"]["height"] == tip.height + 1
            assert (mining["next"]["bits"] != mining["bits"]) == (tip.height % 2016 == 2015)
            assert mining["next"]["difficulty"] == difficulty_from_bits(int(mining["next"]["bits"], 16))
            said = mining["next"]["bits"]
            [step] = await running.chain.mine()
            assert f"{step.blocks[0].bits:08x}" == said


async def test_headers_and_stats():
    async with plant() as running:
        lost = running.chain.truth.tip
        await running.chain.reorg(1)
        truth = running.chain.truth
        tip, before = truth.tip, truth.best(truth.tip.height - 1)
        header = await rpc(running, "getblockheader", before.hash)
        assert header["confirmations"] == 2
        assert header["nextblockhash"] == tip.hash
        assert (header["previousblockhash"], header["time"], header["nTx"]) == (
            before.prev_hash,
            before.time,
            before.tx_count,
        )
        assert "nextblockhash" not in await rpc(running, "getblockheader", tip.hash, True)
        orphan = await rpc(running, "getblockheader", lost.hash)
        assert (orphan["confirmations"], orphan["height"]) == (-1, lost.height)
        raw = bytes.fromhex(await rpc(running, "getblockheader", tip.hash, False))
        assert len(raw) == 80
        assert raw[4:36][::-1].hex() == tip.prev_hash
        assert int.from_bytes(raw[72:76], "little") == tip.bits
        wanted = ["height", "time", "subsidy", "totalfee"]
        stats = {"height": tip.height, "time": tip.time, "subsidy": tip.subsidy, "totalfee": tip.fees}
        assert await rpc(running, "getblockstats", tip.height, wanted) == stats
        assert await rpc(running, "getblockstats", tip.hash, wanted) == stats
        everything = await rpc(running, "getblockstats", tip.height)
        assert everything.items() >= stats.items()
        assert everything["blockhash"] == tip.hash


async def test_hashrate():
    async with plant() as running:
        truth = running.chain.truth
        blocks = [truth.best(height) for height in range(truth.tip.height - 120, truth.tip.height + 1)]
        times = [block.time for block in blocks]
        measured = (blocks[-1].chainwork - blocks[0].chainwork) / (max(times) - min(times))
        assert await rpc(running, "getnetworkhashps") == pytest.approx(measured)
        assert (await rpc(running, "getmininginfo"))["networkhashps"] == pytest.approx(measured)
        epoch = await rpc(running, "getnetworkhashps", -1)
        assert epoch == await rpc(running, "getnetworkhashps", truth.tip.height % 2016 + 1)
        assert await rpc(running, "getnetworkhashps", 120, truth.tip.height - 500) > 0
        assert await rpc(running, "getnetworkhashps", 10**8, truth.tip.height) > 0


async def test_the_door():
    async with plant() as running:
        ask = call("getblockcount")
        wrong = {"Authorization": "Basic bm86bm8="}
        assert await post(running, ask, {}) == (401, None)
        assert await post(running, ask, wrong) == (401, None)
        assert running.breaches == {"bitcoind:password": 1}
        assert (await post(running, ask))[0] == 200
        assert (await get(running, "/", "bitcoind"))[0] == 405
        assert (await get(running, "/other", "bitcoind"))[0] == 404
        async with aiohttp.ClientSession() as http:
            async with http.post(running.endpoints["bitcoind"].rest, json=ask) as reply:
                assert reply.headers["WWW-Authenticate"] == 'Basic realm="jsonrpc"'


async def test_versions_batches_and_notifications():
    async with plant() as running:
        tip = running.chain.truth.tip
        assert await post(running, call("getblockcount")) == (200, {"result": tip.height, "error": None, "id": 7})
        modern = {"jsonrpc": "2.0", "result": tip.height, "id": 7}
        assert await post(running, call("getblockcount", version="2.0")) == (200, modern)
        unknown = {"code": -32601, "message": "Method not found"}
        assert await post(running, call("nope")) == (404, {"result": None, "error": unknown, "id": 7})
        assert await post(running, call("nope", version="2.0")) == (
            200,
            {"jsonrpc": "2.0", "error": unknown, "id": 7},
        )
        note = {"jsonrpc": "2.0", "method": "getblockcount"}
        assert await post(running, note) == (204, None)
        assert await post(running, [note]) == (204, None)
        assert await post(running, []) == (200, [])
        status, said = await post(running, [call("getblockcount"), call("nope"), note, call("getbestblockhash"), 5])
        assert status == 200
        assert [one["result"] for one in said] == [tip.height, None, tip.hash, None]
        assert [one["error"] and one["error"]["code"] for one in said] == [None, -32601, None, -32600]
        named = {"jsonrpc": "1.0", "id": 7, "method": "getblockhash", "params": {"height": tip.height}}
        assert (await post(running, named))[1]["result"] == tip.hash


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"{", 500, -32700, "Parse error"),
        (b"5", 400, -32600, "Invalid Request object"),
        ({"id": 1}, 400, -32600, "Missing method"),
        ({"id": 1, "method": 5}, 400, -32600, "must be a string"),
        ({"id": 1, "method": "getblockcount", "params": 5}, 400, -32600, "array or object"),
        (call("getblockcount", 1), 500, -1, "getblockcount"),
        ({"method": "getblockhash", "params": {"hight": 1}}, 500, -8, "hight"),
        (call("getblockhash", 10**9), 500, -8, "Block height out of range"),
        (call("getblockhash", -1), 500, -8, "Block height out of range"),
        (call("getblockhash", "1"), 500, -3, "type number"),
        (call("getblockhash", True), 500, -3, "type number"),
        (call("getblockheader", "00" * 32), 500, -5, "Block not found"),
        (call("getblockheader", "00"), 500, -8, "length 64 (not 2"),
        (call("getblockheader", "zz" * 32), 500, -8, "hexadecimal"),
        (call("getblockheader", 5), 500, -3, "type string"),
        (call("getblockstats", 10**9), 500, -8, "after current tip"),
        (call("getblockstats", -5), 500, -8, "is negative"),
        (call("getblockstats", "00" * 32), 500, -5, "Block not found"),
        (call("getblockstats", 969_990, ["fun"]), 500, -8, "Invalid selected statistic 'fun'"),
        (call("getblockstats", 969_990, "height"), 500, -3, "type array"),
        (call("getnetworkhashps", 0), 500, -8, "Invalid nblocks"),
        (call("getnetworkhashps", 120, 10**9), 500, -8, "does not exist"),
    ],
    ids=str,
)
async def test_errors(body, status, code, words):
    async with plant() as running:
        found, said = await post(running, body)
        assert (found, said["error"]["code"]) == (status, code)
        assert words in said["error"]["message"]
        assert said["result"] is None


async def test_both_sources_tell_one_chain():
    async with plant() as running:
        await running.chain.mine(4)
        await running.chain.reorg(2)
        _, rows = await get(running, "/api/v1/blocks")
        for row in rows:
            header = await rpc(running, "getblockheader", row["id"])
            stats = await rpc(running, "getblockstats", row["height"], ["totalfee", "subsidy", "txs"])
            assert header["confirmations"] > 0
            assert int(header["bits"], 16) == row["bits"]
            assert header["difficulty"] == row["difficulty"]
            assert header["time"] == row["timestamp"]
            assert stats["totalfee"] == row["extras"]["totalFees"]
            assert stats["subsidy"] + stats["totalfee"] == row["extras"]["reward"]
            assert stats["txs"] == row["tx_count"]


def test_the_auth_header_is_that_of_the_credentials():
    assert json.dumps(AUTH) == '{"Authorization": "Basic bWFya2V0ZmVlZDpzaW11bGF0ZWQ="}'
