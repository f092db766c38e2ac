import asyncio

import aiohttp
import pytest
from chain_clients import Socket, get, plant, post, rpc

from marketfeed import sim
from marketfeed.errors import ConfigError
from marketfeed.mining.compact import difficulty_from_bits
from marketfeed.sim import plant as plant_module
from marketfeed.sim.conduct import Deed, read

WANT = {"action": "want", "data": ["blocks"]}


@pytest.mark.parametrize(
    ("text", "deed"),
    [
        ("mempool:lag=3", Deed("mempool", "lag=3", 0.0)),
        ("bitcoind:down@30s", Deed("bitcoind", "down", 30.0)),
        ("mempool:lie=1.5@2", Deed("mempool", "lie=1.5", 2.0)),
    ],
)
def test_parse(text, deed):
    assert sim.Faults.parse(f"drop=1%, {text} ,http429=2").conduct == (deed,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mempool:sulk", "cannot 'sulk'.*lag, lie"),
        ("mempool:", "SOURCE:WHAT"),
        (":lag=3", "SOURCE:WHAT"),
        ("mempool:lag=3@soon", "SOURCE:WHAT"),
        ("mempool:lag", "lag=BLOCKS"),
        ("mempool:hang=3", "without a number"),
        ("mempool:lag=1.5", "whole number"),
        ("mempool:lie=0", "0.001 to 1000"),
    ],
)
def test_parse_names_what_is_wrong(text, words):
    with pytest.raises(ConfigError, match=words):
        sim.Faults.parse(text)


def test_read():
    assert read(" lag=3 ") == ("lag", 3.0)


async def heights(running):
    return int((await get(running, "/api/blocks/tip/height"))[1]), await rpc(running, "getblockcount")


async def test_one_lags_behind_the_other_and_catches_up():
    async with plant() as running, Socket(running, WANT) as socket:
        await socket.next()
        top = running.chain.truth.tip.height
        await running.chain.behave("mempool", "lag=2")
        steps = await running.chain.mine(3)
        assert await heights(running) == (top + 1, top + 3)
        assert (await get(running, f"/api/block-height/{top + 2}"))[0] == 404
        assert [frame["block"]["height"] for frame in await socket.rest()] == [top + 1]
        await running.chain.behave("mempool", "well")
        assert await heights(running) == (top + 3, top + 3)
        assert [frame["block"]["id"] for frame in await socket.rest()] == [step.blocks[0].hash for step in steps[1:]]
        assert running.injected == {"mempool:lag": 1}


async def test_a_lagging_node_does_not_know_of_a_reorg_yet():
    async with plant() as running:
        await running.chain.behave("bitcoind", "lag=2")
        lost = running.chain.truth.tip
        await running.chain.reorg(1)
        assert await rpc(running, "getbestblockhash") == lost.hash
        assert (await rpc(running, "getblockheader", lost.hash))["confirmations"] == 1
        await running.chain.mine(2)
        assert (await rpc(running, "getblockheader", lost.hash))["confirmations"] == -1


async def test_lies_and_misprints():
    async with plant() as running:
        true = difficulty_from_bits(running.chain.truth.tip.bits)
        await running.chain.behave("bitcoind", "lie=2")
        info = await rpc(running, "getmininginfo")
        assert info["difficulty"] == pytest.approx(2 * true, rel=1e-4)
        assert info["difficulty"] == difficulty_from_bits(int(info["bits"], 16))
        assert info["next"]["difficulty"] == info["difficulty"]
        await running.chain.behave("mempool", "misprint=3")
        row = (await get(running, "/api/v1/blocks"))[1][0]
        assert row["difficulty"] == 3 * true
        assert row["bits"] == running.chain.truth.tip.bits


async def test_http_500():
    async with plant() as running, Socket(running, WANT) as socket:
        await socket.next()
        await running.chain.behave("mempool", "error")
        assert (await get(running, "/api/blocks/tip/height"))[0] == 500
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="500"):
                await http.ws_connect(socket.url)
        await running.chain.mine()
        assert len(await socket.rest()) == 1  # what stands goes on
        await running.chain.behave("mempool", "well")
        assert (await get(running, "/api/blocks/tip/height"))[0] == 200


async def test_down_refuses_and_comes_back_at_the_same_port():
    async with plant() as running, Socket(running, WANT) as socket, aiohttp.ClientSession() as http:
        url = running.endpoints["mempool"].rest + "/api/blocks/tip/height"
        async with http.get(url) as reply:  # a connection that would be used again
            await reply.read()
        await running.chain.behave("mempool", "down")
        await running.chain.behave("mempool", "down")
        assert await socket.closed() == 1006
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(url)
        assert (await post(running, {"method": "getblockcount"}))[0] == 200  # the other goes on
        await running.chain.mine()
        await running.chain.behave("mempool", "well")
        async with http.get(url) as reply:
            assert int(await reply.text()) == running.chain.truth.tip.height
        async with Socket(running, WANT) as again:
            assert len((await again.next())["blocks"]) == 8


async def test_a_plant_ends_while_a_source_is_down():
    async with plant() as running:
        await running.chain.behave("bitcoind", "down")


async def test_hang_answers_nobody_until_it_is_well():
    async with plant() as running, Socket(running, WANT) as socket:
        await socket.next()
        await running.chain.behave("bitcoind", "hang")
        await running.chain.behave("mempool", "hang")
        asked = asyncio.ensure_future(rpc(running, "getblockcount"))
        done, _ = await asyncio.wait({asked}, timeout=0.1)
        assert not done
        await socket.say({"action": "ping"})
        await running.chain.mine()
        pong = await socket.ws.ping()
        await asyncio.wait_for(pong, 5)  # the connection stands, and says nothing
        await running.chain.behave("mempool", "well")
        assert await socket.rest() == []
        await running.chain.behave("bitcoind", "well")
        assert await asked == running.chain.truth.tip.height


async def test_a_plant_ends_while_somebody_hangs():
    async with plant() as running:
        await running.chain.behave("mempool", "hang")
        asked = asyncio.ensure_future(get(running, "/api/blocks/tip/height"))
        await asyncio.wait({asked}, timeout=0.1)
    assert (await asked)[0] == 500


async def test_warming_up():
    async with plant() as running:
        await running.chain.behave("bitcoind", "warmup")
        assert (await rpc(running, "getblockcount"))["code"] == -28
        assert (await post(running, {"id": 1, "method": "getblockcount"}))[0] == 500
        await running.chain.behave("bitcoind", "well")
        assert await rpc(running, "getblockcount") == running.chain.truth.tip.height


async def test_conduct_by_script(monkeypatch):
    monkeypatch.setattr(plant_module, "BEAT_S", 0.01)
    async with plant(faults="bitcoind:warmup@0.05s,bitcoind:well@0.2s") as running:
        async with asyncio.timeout(5):
            while not running.injected:  # noqa: ASYNC110 (a counter has no event)
                await asyncio.sleep(0.005)
            while isinstance(await rpc(running, "getblockcount"), dict):
                pass
        assert running.injected == {"bitcoind:warmup": 1}


async def test_exchanges_and_the_chain_together():
    async with plant("kraken", "mempool", "bitcoind") as running:
        assert list(running.endpoints) == ["kraken", "mempool", "bitcoind"]
        assert running.endpoints["bitcoind"].ws == ""
        await running.step(3)
        assert running.oracle("kraken", "BTC-USD").keys
        await running.chain.mine()
        assert repr(running.chain).endswith("mempool, bitcoind)")
        with pytest.raises(ConfigError, match="no BTC-USD; it lists no markets"):
            running.oracle("mempool", "BTC-USD")
        for deed, words in (
            (running.chain.behave("kraken", "lag=3"), "no source 'kraken'; there are mempool, bitcoind"),
            (running.chain.behave("mempool", "sulk"), "cannot 'sulk'"),
            (running.chain.behave("mempool", "warmup"), "does not warm up"),
            (running.chain.reorg(0), "1 to 100"),
        ):
            with pytest.raises(ConfigError, match=words):
                await deed


@pytest.mark.parametrize(
    ("venues", "options", "words"),
    [
        (["kraken"], {"chain": sim.ChainSettings()}, "needs a source"),
        (["kraken"], {"faults": "mempool:lag=3"}, "needs a source"),
        (["mempool"], {"faults": "bitcoind:lag=3"}, "no source 'bitcoind'"),
        (["mempool"], {"faults": "mempool:warmup"}, "does not warm up"),
        (["mempool"], {"chain": sim.ChainSettings(block_time=0)}, "1 s to a day"),
        (["monerod"], {}, "there are kraken, binance, coinbase, mempool, bitcoind"),
    ],
)
def test_mistakes_are_named(venues, options, words):
    with pytest.raises(ConfigError, match=words):
        sim.Simulator(venues, **options)


def test_a_plant_without_a_chain_says_so():
    with pytest.raises(ConfigError, match="start it with mempool or bitcoind"):
        _ = sim.Simulator(["kraken"]).chain
