import asyncio
import itertools
import json
from decimal import Decimal

import aiohttp
import pytest
import websockets
from sim_clients import BinanceBook, CoinbaseBook, KrakenBook, unix_ns

from marketfeed import sim
from marketfeed.errors import ConfigError
from marketfeed.sim import link as link_module
from marketfeed.sim import plant as plant_module
from marketfeed.sim import simulator as simulator_module

KRAKEN = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}}
KRAKEN_TRADES = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}}
COINBASE = {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]}
BINANCE = {"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms", "btcusdt@trade"], "id": 1}


class Client:
    """A plain websockets client that asks for one thing and reads what is there."""

    def __init__(self, plant, venue, message):
        self.base = plant.endpoints[venue]
        self.url = self.base.ws + ("/stream" if venue == "binance" else "")
        self.message = message

    async def __aenter__(self):
        self.ws = await websockets.connect(self.url, max_size=None, compression=None, close_timeout=1)
        await self.ws.send(json.dumps(self.message))
        return self

    async def __aexit__(self, *exc):
        await self.ws.close()

    async def next(self):
        return await asyncio.wait_for(self.ws.recv(), 5)

    async def to_the_end(self):
        """Read until the connection ends, which raises."""
        while True:
            await self.next()

    async def until(self, words):
        """Everything up to and with the first frame that contains `words`."""
        frames = [await self.next()]
        while words not in frames[-1]:
            frames.append(await self.next())
        return frames

    async def rest(self):
        """Everything that was sent before now: the answer to a protocol ping comes after it."""
        pong = await self.ws.ping()
        frames = []
        while not pong.done():
            get = asyncio.ensure_future(self.ws.recv())
            done, _ = await asyncio.wait({get, pong}, return_when=asyncio.FIRST_COMPLETED, timeout=5)
            if get in done:
                frames.append(get.result())
            else:
                get.cancel()
                await asyncio.gather(get, return_exceptions=True)
        while True:
            try:
                async with asyncio.timeout(0):
                    frames.append(await self.ws.recv())
            except TimeoutError:
                return frames


def market_frames(frames):
    return [text for text in frames if "heartbeat" not in text]


def fake_clock():
    ticks = itertools.count(1_790_000_000_000_000_000, 1_000_000)
    return lambda: next(ticks)


async def test_three_venues_over_real_sockets_agree_with_the_oracle():
    async with sim.Simulator(seed=7, rate=None) as plant:
        async with (
            Client(plant, "kraken", KRAKEN) as kraken,
            Client(plant, "coinbase", COINBASE) as coinbase,
            Client(plant, "binance", BINANCE) as binance,
            aiohttp.ClientSession() as http,
        ):
            first = [
                await kraken.until('"snapshot","data"'),
                await coinbase.until("l2_data"),
                await binance.until("null"),
            ]
            url = f"{plant.endpoints['binance'].rest}/api/v3/depth?symbol=BTCUSDT&limit=5000"
            async with http.get(url) as reply:
                snapshot = await reply.json()
            await plant.step(200)
            books = [
                KrakenBook(plant.oracle("kraken", "BTC-USD")),
                CoinbaseBook(plant.oracle("coinbase", "BTC-USDC")),
                BinanceBook(plant.oracle("binance", "BTC-USDT")),
            ]
            keys = []
            for client, book, frames in zip((kraken, coinbase), books[:2], first[:2], strict=True):
                for text in frames + market_frames(await client.rest()):
                    keys.append(book.frame(json.loads(text, parse_float=Decimal)))
                assert keys[-1] is not None
                depth = 10 if client is kraken else None
                assert book.hash == book.oracle.hash_at(keys[-1], depth)
            books[2].snapshot(snapshot)
            for text in await binance.rest():
                if "depthUpdate" in text:
                    books[2].apply(json.loads(text)["data"])
            assert books[2].gaps == 0
            assert books[2].last == plant.oracle("binance", "BTC-USDT").last_key
            assert books[2].hash == books[2].oracle.hash_at(books[2].last)
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()


async def test_the_same_seed_and_steps_give_the_same_frames_and_faults():
    async def run():
        faults = "drop=2%,dup=2%,corrupt=2%,reorder=2%,checksum=2%"
        async with sim.Simulator(["kraken"], seed=3, rate=None, faults=faults, clock=fake_clock()) as plant:
            async with Client(plant, "kraken", KRAKEN_TRADES) as client:
                await client.until("success")
                await plant.step(300)
                # The clock also counts heartbeat looks, so times differ from run to run; the trades do not.
                frames = [text.partition(',"timestamp"')[0] for text in market_frames(await client.rest())]
                return frames, {kind: n for kind, n in plant.injected.items() if kind != "checksum"}

    one, two = await run(), await run()
    strip = [[text.replace("\x00", "") for text in frames] for frames, _ in (one, two)]
    assert len(strip[0]) == len(strip[1]) > 100
    assert one[1] == two[1]
    assert sum(one[1].values()) > 10


async def test_a_running_market_flows_and_beats():
    async with sim.Simulator(["kraken"], rate=2_000) as plant:
        async with Client(plant, "kraken", KRAKEN) as client:
            frames = [await client.next() for _ in range(200)]
    assert sum('"type":"update"' in text for text in frames) > 150


async def test_heartbeats_come_when_nothing_moves(monkeypatch):
    monkeypatch.setattr(plant_module, "BEAT_S", 0.01)
    async with sim.Simulator(["kraken"], rate=None) as plant:
        async with Client(plant, "kraken", KRAKEN) as client:
            assert (await client.until("heartbeat"))[-1] == '{"channel":"heartbeat"}'


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("drop", lambda numbers: set(range(numbers[0], numbers[-1])) - set(numbers)),
        ("dup", lambda numbers: len(numbers) > len(set(numbers))),
        ("reorder", lambda numbers: numbers != sorted(numbers)),
    ],
)
async def test_injected_faults_reach_the_client(kind, check):
    async with sim.Simulator(["coinbase"], rate=None) as plant:
        async with Client(plant, "coinbase", COINBASE) as client:
            frames = await client.until("l2_data")
            await plant.step(3)
            plant.inject("coinbase", kind, "l2_data")
            await plant.step(5)
            frames += await client.rest()
            assert check([json.loads(text)["sequence_num"] for text in frames])
            assert plant.injected == {kind: 1}


async def test_a_cut_has_no_close_frame_and_a_new_connection_works():
    async with sim.Simulator(["kraken"], rate=None) as plant:
        async with Client(plant, "kraken", KRAKEN) as client:
            await client.until('"snapshot","data"')
            plant.inject("kraken", "cut")
            with pytest.raises(websockets.ConnectionClosedError):
                await client.to_the_end()
            assert client.ws.close_code == 1006
        await plant.step(10)
        async with Client(plant, "kraken", KRAKEN) as client:
            await client.until('"snapshot","data"')


async def test_a_stall_stops_data_but_answers_pings_until_reconnect():
    async with sim.Simulator(["kraken"], rate=None, faults="stall@0s") as plant:
        async with Client(plant, "kraken", KRAKEN) as client:
            await client.until('"snapshot","data"')
            plant.inject("kraken", "stall")
            await plant.step(20)
            assert await client.rest() == []
            await client.ws.send('{"method":"ping","req_id":1}')
            assert '"pong"' in await client.next()
        async with Client(plant, "kraken", KRAKEN) as client:
            await client.until('"snapshot","data"')
            await plant.step(20)
            assert await client.rest()


async def test_scripted_faults_happen_on_time(monkeypatch):
    monkeypatch.setattr(plant_module, "BEAT_S", 0.01)
    async with sim.Simulator(["kraken"], rate=None, faults="cut@0.2s") as plant:
        async with Client(plant, "kraken", KRAKEN) as client:
            with pytest.raises(websockets.ConnectionClosedError):
                await client.to_the_end()
        assert plant.injected == {"cut": 1}


async def test_a_client_that_does_not_read_holds_the_market_up_and_memory_stays_bounded(monkeypatch):
    monkeypatch.setattr(link_module, "ROOM", 10_000)
    async with sim.Simulator(["coinbase"], rate=None) as plant:
        async with Client(plant, "coinbase", COINBASE) as client:
            client.ws.transport.pause_reading()
            stepping = asyncio.create_task(plant.step(200_000))
            link = plant._servers["coinbase"].links[0]
            oracle, before = plant.oracle("coinbase", "BTC-USD"), 0
            async with asyncio.timeout(20):
                while before != oracle.last_key:  # until the kernel's buffers are full too
                    before = oracle.last_key
                    await asyncio.wait({stepping}, timeout=0.3)
            assert not stepping.done()
            assert link.full
            assert link._size < 200_000
            stepping.cancel()
            client.ws.transport.abort()


async def test_a_running_market_cuts_a_client_that_does_not_read(monkeypatch):
    monkeypatch.setattr(link_module, "ROOM", 10_000)
    monkeypatch.setattr(simulator_module, "PATIENCE_S", 0.1)
    async with sim.Simulator(["coinbase"], rate=20_000) as plant:
        async with Client(plant, "coinbase", COINBASE) as client:
            client.ws.transport.pause_reading()
            async with asyncio.timeout(10):
                while not plant.breaches:  # noqa: ASYNC110 (a counter has no event)
                    await asyncio.sleep(0.01)
            client.ws.transport.abort()
        assert plant.breaches == {"coinbase:slow reader": 1}


async def test_rest_faults_and_connection_limit():
    async with sim.Simulator(["coinbase"], rate=None, faults="http429=2,retry_after=3") as plant:
        async with aiohttp.ClientSession() as http:
            url = plant.endpoints["coinbase"].rest + "/api/v3/brokerage/market/products"
            replies = []
            for _ in range(3):
                async with http.get(url) as reply:
                    replies.append((reply.status, reply.headers.get("Retry-After")))
            assert replies == [(429, "3"), (429, "3"), (200, None)]
            assert plant.injected == {"http429": 2}
            for _ in range(8):
                async with http.ws_connect(plant.endpoints["coinbase"].ws):
                    pass
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                await http.ws_connect(plant.endpoints["coinbase"].ws)
            assert plant.breaches == {"coinbase:connects": 1}


async def test_going_away_is_said_politely():
    async with sim.Simulator(["kraken"], rate=None) as plant:
        client = Client(plant, "kraken", KRAKEN)
        await client.__aenter__()
        await client.until("success")
    with pytest.raises(websockets.ConnectionClosedOK):
        await client.to_the_end()
    assert client.ws.close_code == 1001


async def test_binance_cuts_a_client_that_talks_too_much():
    async with sim.Simulator(["binance"], rate=None) as plant:
        async with Client(plant, "binance", BINANCE) as client:
            for _ in range(6):
                await client.ws.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
            with pytest.raises(websockets.ConnectionClosedError):
                await client.to_the_end()
            assert client.ws.close_code == 1008
        assert plant.breaches["binance:messages"] >= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"venues": ["bitmex"]}, "'bitmex'.*kraken, binance, coinbase"),
        ({"venues": ["binance"], "symbols": ["BTC-USD"]}, "lists none of BTC-USD"),
        ({"rate": 0}, "rate"),
        ({"faults": "boom"}, "boom"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        sim.Simulator(**options)


async def test_mistakes_while_it_runs():
    async with sim.Simulator(["coinbase"], rate=None, symbols=["ETH-USD"]) as plant:
        for call, words in (
            (lambda: plant.oracle("kraken", "BTC-USD"), "no 'kraken'"),
            (lambda: plant.oracle("coinbase", "BTC-USD"), "no BTC-USD; it lists ETH-USD"),
            (lambda: plant.inject("coinbase", "melt"), "melt"),
        ):
            with pytest.raises(ConfigError, match=words):
                call()
        assert unix_ns("2026-01-01T00:00:00.5Z") % 10**9 == 500_000_000
