"""What a venue does to its connections on purpose, seen by a plain client on a virtual network."""

import asyncio
import functools
import json

import aiohttp
import pytest
import websockets

from marketfeed import sim
from marketfeed.errors import ConfigError
from marketfeed.sim.bad_frames import BAD_FRAMES
from marketfeed.sim.faults import NOTICE_S, PINGS
from marketfeed.testing import LoopClock, run

ASKS = {
    "kraken": [
        {"method": "subscribe", "params": {"channel": channel, "symbol": ["BTC/USD", "ETH/USD"]}}
        for channel in ("book", "trade", "ticker")
    ],
    "binance": [
        {"method": "SUBSCRIBE", "params": [f"{one}@{kind}" for one in ("btcusdt", "ethusdt")], "id": 1}
        for kind in ("depth@100ms", "trade", "ticker")
    ],
    "coinbase": [
        {"type": "subscribe", "channel": channel, "product_ids": ["BTC-USD", "ETH-USD"]}
        for channel in ("level2", "market_trades", "ticker")
    ],
}
NAMES = {
    "kraken": {"book": '"channel":"book"', "trades": '"channel":"trade"', "ticker": '"channel":"ticker"'},
    "binance": {"book": '"depthUpdate"', "trades": '"e":"trade"', "ticker": '"24hrTicker"'},
    "coinbase": {"book": '"l2_data"', "trades": '"market_trades"', "ticker": '"channel":"ticker"'},
}
VENUES = pytest.mark.parametrize("venue", sorted(ASKS))


def virtual(scene):
    """Run a coroutine on a virtual loop."""

    @functools.wraps(scene)
    def test(**arguments):
        run(scene(**arguments))

    return test


def plant(venue, faults=""):
    return sim.Simulator([venue], seed=3, faults=faults, rate=4.0, clock=LoopClock().unix_ns)


class Client:
    def __init__(self, plant, venue):
        self.url = plant.endpoints[venue].ws + ("/stream" if venue == "binance" else "")
        self.venue = venue

    async def __aenter__(self):
        self.ws = await websockets.connect(self.url, compression=None, close_timeout=1, max_size=2**24)
        return self

    async def __aexit__(self, *exc):
        await self.ws.close()

    async def ask(self, kinds=range(3), undo=False):
        for n in kinds:
            text = json.dumps(ASKS[self.venue][n])
            if undo:
                text = text.replace("subscribe", "unsubscribe").replace("SUBSCRIBE", "UNSUBSCRIBE")
            await self.ws.send(text)
            await asyncio.sleep(0.5)

    async def hear(self, seconds):
        """Everything of so many seconds."""
        frames = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    frames.append(await self.ws.recv())
        except TimeoutError:
            return frames


def kinds(venue, frames):
    return {name for name, words in NAMES[venue].items() if any(words in frame for frame in frames)}


@VENUES
@pytest.mark.parametrize("channel", ["book", "trades", "ticker"])
@virtual
async def test_T04_a_muted_channel_is_silent_until_it_is_asked_for_again(venue, channel):
    async with plant(venue) as one:
        async with Client(one, venue) as client:
            await client.ask()
            assert kinds(venue, await client.hear(10)) == {"book", "trades", "ticker"}
            one.inject(venue, "mute", channel)
            await client.hear(1)
            assert kinds(venue, await client.hear(20)) == {"book", "trades", "ticker"} - {channel}
            again = [["book", "trades", "ticker"].index(channel)]
            await client.ask(again, undo=True)
            await client.ask(again)
            assert kinds(venue, await client.hear(10)) == {"book", "trades", "ticker"}
            assert one.injected == {"mute": 1}


LISTS = {
    "kraken": "/0/public/AssetPairs",
    "binance": "/api/v3/exchangeInfo",
    "coinbase": "/api/v3/brokerage/market/products",
}
WIRE = {"kraken": "ETH/USD", "binance": "ETHUSDT", "coinbase": "ETH-USD"}


async def listing(one, venue):
    async with aiohttp.ClientSession() as http, http.get(one.endpoints[venue].rest + LISTS[venue]) as reply:
        return await reply.text()


@VENUES
@virtual
async def test_P29_a_market_taken_off_the_list_is_silent(venue):
    async with plant(venue) as one:
        async with Client(one, venue) as client:
            await client.ask()
            assert WIRE[venue] in await listing(one, venue)
            one.inject(venue, "delist", "ETH-USDT" if venue == "binance" else "ETH-USD")
            await client.hear(1)
            assert kinds(venue, frames := await client.hear(10)) == {"book", "trades", "ticker"}
            assert not any(WIRE[venue] in frame for frame in frames)
            assert WIRE[venue] not in await listing(one, venue)
            assert one.injected == {"delist": 1}


@virtual
async def test_P29_a_market_made_finer_says_so_in_its_list():
    async with plant("kraken") as one:
        assert '"pair_decimals":1' in await listing(one, "kraken")
        one.inject("kraken", "digits", "BTC-USD")
        assert '"pair_decimals":2' in await listing(one, "kraken")
        one.inject("kraken", "digits", "BTC-EUR")  # which it never had
        assert one.injected == {"digits": 1}


@VENUES
@virtual
async def test_T17_a_close_has_the_code_asked_for(venue):
    async with plant(venue, "close=4321@2s") as one:
        async with Client(one, venue) as client:
            await client.ask()
            with pytest.raises(websockets.ConnectionClosed):
                await client.hear(5)
            assert (client.ws.close_code, client.ws.close_reason) == (4321, "on purpose")


@VENUES
@virtual
async def test_T16_a_shutdown_is_announced_where_there_are_words_and_then_comes(venue):
    async with plant(venue) as one:
        async with Client(one, venue) as client:
            await client.ask()
            one.inject(venue, "shutdown")
            frames = await client.hear(NOTICE_S - 2)
            assert any("serverShutdown" in frame for frame in frames) == (venue == "binance")
            with pytest.raises(websockets.ConnectionClosed):
                await client.hear(3)
            assert client.ws.close_code == 1001


@pytest.mark.parametrize("name", sorted(BAD_FRAMES))
@virtual
async def test_T18_T19_T20_a_bad_frame_ends_the_connection_of_a_client_that_looks(name):
    async with plant("kraken") as one:
        async with Client(one, "kraken") as client:
            await client.ask()
            one.inject("kraken", "frame", name)
            with pytest.raises(websockets.ConnectionClosed) as ended:
                await client.hear(5)
            assert ended.value.sent.code == {"oversize": 1009, "utf8": 1007}.get(name, 1002)


@VENUES
@virtual
async def test_T21_a_flood_of_pings_is_no_ones_breach(venue):
    async with plant(venue) as one:
        async with Client(one, venue) as client:
            await client.ask()
            one.inject(venue, "pings")
            await client.hear(5)
            assert one._server(venue).links[0].flood == 0
            assert not one.breaches
    assert PINGS > 100


@pytest.mark.parametrize(("status", "told"), [(503, None), (404, None), (429, "7"), (418, "7"), (403, "7")])
@virtual
async def test_T13_T14_T15_handshakes_are_answered_as_asked(status, told):
    async with plant("coinbase", f"handshake={status}x2,retry_after=7") as one:
        for _ in range(2):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(one.endpoints["coinbase"].ws)
            assert refused.value.response.status_code == status
            assert refused.value.response.headers.get("Retry-After") == told
        async with Client(one, "coinbase"):
            assert one.injected == {"handshake": 2}


@virtual
async def test_T14_who_comes_before_the_time_given_is_noted():
    async with plant("kraken", "http429=1,retry_after=5") as one, aiohttp.ClientSession() as http:
        url = one.endpoints["kraken"].rest + "/0/public/Time"

        async def get():
            async with http.get(url) as answer:
                return answer.status

        assert await get() == 429
        await asyncio.sleep(0.1)  # may have been on its way
        assert await get() == 200
        assert not one.breaches
        await asyncio.sleep(2)
        await get()
        assert one.breaches == {"kraken:early": 1}
        await asyncio.sleep(5)
        await get()
        one.turn_away("kraken", 429)
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(one.endpoints["kraken"].ws)
        await asyncio.sleep(1)
        async with Client(one, "kraken"):
            assert one.breaches == {"kraken:early": 2}


@virtual
async def test_what_is_no_fault_is_named():
    async with plant("kraken") as one:
        with pytest.raises(ConfigError, match="cannot be of 'books'"):
            one.inject("kraken", "mute", "books")
        with pytest.raises(ConfigError, match="no fault is called 'sulk'"):
            one.inject("kraken", "sulk")
