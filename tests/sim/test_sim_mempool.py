import json

import aiohttp
import pytest
from chain_clients import START, Socket, get, plant

from marketfeed import sim
from marketfeed.mining.compact import difficulty_from_bits
from marketfeed.sim import mempool
from marketfeed.sim import plant as plant_module

INIT, WANT = {"action": "init"}, {"action": "want", "data": ["blocks", "stats"]}

VARYING = {"coinbaseAddresses", "medianFeeAmt"}
"""Keys of `extras` that real frames have or lack."""


def raw_frames(captures):
    """Real frames, by what they hold."""
    for line in (captures / "mempool_space" / "ws-cypress2024-2025.jsonl").read_text().split("\n"):
        if line.strip():
            yield json.loads(json.loads(line)["raw"])


async def test_init_is_a_full_snapshot():
    async with plant() as running, Socket(running, INIT) as socket:
        frame = await socket.next()
        truth = running.chain.truth
        assert {"blocks", "da", "conversions", "mempool-blocks", "mempoolInfo", "fees", "backendInfo"} <= frame.keys()
        assert [row["id"] for row in frame["blocks"]] == [
            truth.best(truth.tip.height - n).hash for n in range(7, -1, -1)
        ]
        assert frame["conversions"] == {"time": START, **dict.fromkeys(frame["conversions"].keys() - {"time"}, -1)}
        assert frame["da"]["nextRetargetHeight"] == truth.tip.height - truth.tip.height % 2016 + 2016
        row = frame["blocks"][-1]
        assert row["extras"]["reward"] == 312_500_000 + row["extras"]["totalFees"] == truth.tip.reward
        assert row["bits"] == truth.tip.bits
        assert row["difficulty"] == difficulty_from_bits(truth.tip.bits)
        assert (row["previousblockhash"], row["timestamp"]) == (truth.tip.prev_hash, truth.tip.time)


async def test_frames_have_the_keys_of_real_ones(captures):
    async with plant() as running, Socket(running, INIT) as socket:
        mine = await socket.next()
    for real in raw_frames(captures):
        for row in [*real.get("blocks", []), *([real["block"]] if "block" in real else [])]:
            assert mine["blocks"][-1].keys() == row.keys()
            assert mine["blocks"][-1]["extras"].keys() ^ row["extras"].keys() <= VARYING
        for key in ("da", "fees", "conversions", "mempoolInfo"):
            if key in real:
                assert mine[key].keys() == real[key].keys()
        for row in real.get("mempool-blocks", []):
            assert mine["mempool-blocks"][0].keys() == row.keys()


async def test_want_brings_the_state_once_and_each_replaces_the_set():
    async with plant() as running, Socket(running, WANT) as socket:
        assert (await socket.next()).keys() == {"blocks", "mempoolInfo", "vBytesPerSecond", "fees", "da"}
        await socket.say({"action": "want", "data": ["blocks", "mempool-blocks", "nonsense"]})
        assert (await socket.next()).keys() == {"mempool-blocks"}
        await running.chain.mine()
        assert (await socket.next()).keys() == {"block", "mempool-blocks"}
        await socket.say({"action": "want", "data": []})
        await socket.say({"action": "want", "data": "blocks"})
        assert await socket.rest() == []
        await running.chain.mine()
        assert await socket.rest() == []
        await socket.say({"action": "ping", "refresh-blocks": True})
        assert (await socket.next()).keys() == {"pong", "blocks"}


async def test_each_new_block_is_a_frame():
    async with plant() as running, Socket(running, WANT) as socket:
        await socket.next()
        steps = await running.chain.advance(6 * 3600)
        assert len(steps) > 15
        frames = await socket.rest()
        assert [frame["block"]["id"] for frame in frames] == [step.blocks[0].hash for step in steps]
        progress = [frame["da"]["remainingBlocks"] for frame in frames]
        assert progress == list(range(progress[0], progress[0] - len(steps), -1))


async def test_a_reorg_is_the_last_eight_blocks():
    async with plant() as running, Socket(running, WANT) as socket:
        await socket.next()
        lost = running.chain.truth.tip
        step = await running.chain.reorg(2)
        frame = await socket.next()
        assert frame.keys() == {"blocks", "da"}
        assert [row["id"] for row in frame["blocks"]][-3:] == [block.hash for block in step.blocks]
        assert len(frame["blocks"]) == 8
        assert [one["hash"] for one in frame["blocks"][-2]["extras"]["orphans"]] == [lost.hash]
        assert not any(row["stale"] for row in frame["blocks"])


@pytest.mark.parametrize("text", ["{", "null", "x" * 50_001])
async def test_what_is_not_json_or_too_long_ends_the_connection(text):
    async with plant() as running, Socket(running, text) as socket:
        assert await socket.closed() == 1000
        assert running.breaches.total() == 1


async def test_a_hundred_messages_in_ten_seconds_are_let_through():
    async with plant() as running, Socket(running) as socket:
        for _ in range(100):
            await socket.say("5")
        await socket.say({"action": "ping"})
        assert await socket.closed() == 1000
        assert running.breaches == {"mempool:messages": 1}


async def test_other_paths_have_no_websocket():
    async with plant() as running, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(running.endpoints["mempool"].ws + "/api/v1/other")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(running.endpoints["bitcoind"].rest)


async def test_rest():
    async with plant() as running:
        truth = running.chain.truth
        await running.chain.mine(2)
        top = truth.tip.height
        assert await get(running, "/api/blocks/tip/height") == (200, str(top))
        assert await get(running, "/api/blocks/tip/hash") == (200, truth.tip.hash)
        assert await get(running, f"/api/block-height/{top - 1}") == (200, truth.tip.prev_hash)
        assert (await get(running, f"/api/block-height/{top + 1}"))[0] == 404
        for path, heights in (
            ("/api/v1/blocks", range(top, top - 15, -1)),
            (f"/api/v1/blocks/{top - 20}", range(top - 20, top - 35, -1)),
            (f"/api/v1/blocks/{top + 3}", range(top, top - 12, -1)),
            (f"/api/v1/blocks/{top + 20}", range(0)),
        ):
            status, rows = await get(running, path)
            assert (status, [row["id"] for row in rows]) == (200, [truth.best(height).hash for height in heights])
        _, stats = await get(running, "/api/v1/mining/reward-stats/144")
        blocks = [truth.best(height) for height in range(top - 143, top + 1)]
        assert stats == {
            "startBlock": top - 143,
            "endBlock": top,
            "totalReward": str(sum(block.subsidy + block.fees for block in blocks)),
            "totalFee": str(sum(block.fees for block in blocks)),
            "totalTx": str(sum(block.tx_count for block in blocks)),
        }
        _, forecast = await get(running, "/api/v1/difficulty-adjustment")
        assert forecast == running.chain.view("mempool").adjustment(int(truth.now))
        assert (await get(running, "/api/v1/prices"))[1]["USD"] == -1
        assert (await get(running, "/api/v1/fees/mempool-blocks"))[1][0]["totalFees"] > 0
        _, hashrate = await get(running, "/api/v1/mining/hashrate/3d")
        assert hashrate["currentDifficulty"] == difficulty_from_bits(truth.tip.bits)
        assert hashrate["difficulty"][-1]["height"] == top - top % 2016
        assert 5e20 < hashrate["currentHashrate"] < 2e21
        for path, status in (("/api/v1/blocks/x", 400), ("/api/v1/mining/reward-stats/0", 400), ("/api/v1/x", 404)):
            assert (await get(running, path))[0] == status


async def test_too_many_requests_are_refused():
    async with plant(faults="http429=1,retry_after=3") as running, aiohttp.ClientSession() as http:
        statuses = []
        for _ in range(62):
            async with http.get(running.endpoints["mempool"].rest + "/api/blocks/tip/height") as reply:
                statuses.append((reply.status, reply.headers.get("Retry-After")))
        async with http.post(running.endpoints["mempool"].rest + "/api/blocks/tip/height") as reply:
            assert reply.status == 405
        assert statuses == [(429, "3"), *[(200, None)] * 60, (429, "60")]
        assert running.breaches == {"mempool:requests": 1}


async def test_faults_of_frames_strike_here_too():
    async with plant() as running, Socket(running, WANT) as socket:
        await socket.next()
        running.inject("mempool", "drop", '"block"')
        steps = await running.chain.mine(2)
        assert [frame["block"]["id"] for frame in await socket.rest()] == [steps[1].blocks[0].hash]
        running.inject("mempool", "cut")
        assert await socket.closed() == 1006


async def test_a_running_chain_follows_the_clock_and_tells_figures_each_second(monkeypatch):
    """The plant's clock jumps a block time at every look: no waiting for real blocks."""
    monkeypatch.setattr(plant_module, "BEAT_S", 0.005)
    monkeypatch.setattr(mempool, "POLL_S", 0.01)
    now = [START * 10**9]

    def clock():
        now[0] += 10**9
        return now[0]

    async with sim.Simulator(["mempool"], rate=100, clock=clock) as running, Socket(running, WANT) as socket:
        kinds = set()
        first = running.chain.truth.tip.height
        while not {"block", "transactions"} <= kinds:
            kinds |= (await socket.next()).keys()
        assert running.chain.truth.tip.height > first
