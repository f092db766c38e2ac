import asyncio
import gzip
import json
import os
from pathlib import Path

import aiohttp
import pytest
import websockets

from marketfeed.errors import ConfigError, RecordingError
from marketfeed.sim import CaptureSource, serve_capture
from marketfeed.sim.capture_names import split_name
from marketfeed.sim.capture_talk import binance_stream

CAPTURES = Path(os.environ.get("MARKETFEED_CAPTURES", Path(__file__).parents[3] / "shared" / "captures"))
KRAKEN = "kraken/book-v2-btcusd-d10-mhadiamiri202607.jsonl"
COINBASE = "coinbase/advanced-multi-cryptofeed202608.jsonl.gz"
BINANCE = "binance/spot-multi-cryptofeed202110.jsonl.gz"
HFT = "binance/spot-btcusdt-hftbacktest202408.jsonl.gz"


def capture(name):
    path = CAPTURES / name
    if not path.exists():
        pytest.skip(f"no captures at {CAPTURES} (set MARKETFEED_CAPTURES)")
    return path


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def requests(source):
    """What a client of each venue says to get everything in the file."""
    if source.venue == "binance":
        streams = [f"{name.lower()}@{kind}" + ("@100ms" if kind == "depth" else "") for name, kind in source.streams]
        return [{"method": "SUBSCRIBE", "params": streams, "id": 1}]
    if source.venue == "kraken":
        return [
            {"method": "subscribe", "params": {"channel": kind, "symbol": [name]}, "req_id": 1}
            for name, kind in source.streams
        ]
    return [{"type": "subscribe", "channel": kind, "product_ids": [name]} for name, kind in source.streams]


@pytest.mark.parametrize("name", [KRAKEN, COINBASE, BINANCE, HFT])
async def test_real_captures_are_served_unchanged_and_in_order(name):
    async with serve_capture(capture(name), once=True) as plant:
        source = plant.source
        recorded = [record.raw for record in source.records() if record.dir == "in"]
        base = plant.endpoints[source.venue]
        url = base.ws + ("/stream" if source.venue == "binance" else "")
        got = []

        async def depth(http, symbol):
            query = {"symbol": symbol, "limit": "5000"}
            async with http.get(f"{base.rest}/api/v3/depth", params=query) as reply:
                return symbol, await reply.text(), len(got)

        async with aiohttp.ClientSession() as http, websockets.connect(url, max_size=None) as ws:
            asked = [asyncio.create_task(depth(http, symbol)) for symbol in source.depth_replies]
            for request in requests(source):
                assert plant.missing()
                await ws.send(json.dumps(request))
            async with asyncio.timeout(20):
                async for frame in ws:
                    got.append(frame)
            assert ws.close_code == 1000
            replies = [await task for task in asked]
        await plant.finished()
    if source.venue == "binance":  # this one's recordings have no acks
        assert json.loads(got.pop(0)) == {"result": None, "id": 1}
    assert got == recorded
    bodies = [record.raw for record in source.records() if record.dir == "rest" and "/depth" in record.url]
    assert sorted(body for _, body, _ in replies) == sorted(bodies)
    for _, body, seen in replies:
        before = [raw for raw in recorded[:seen] if '"depthUpdate"' in raw]
        assert before  # the snapshot came where it stands in the file, not before the stream
        assert "lastUpdateId" in body


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (KRAKEN, "tail BTC-USD --venue kraken --book=10"),
        (COINBASE, "tail BTC-USD ETH-USD --venue coinbase --trades --ticker --book"),
        (HFT, "tail BTC-USDT --venue binance --trades --ticker --book"),
    ],
)
def test_tail_command(name, command):
    assert " ".join(CaptureSource(capture(name)).tail_command()) == command


async def test_reference_data_is_made_where_the_recording_has_none():
    async with serve_capture(capture(KRAKEN)) as plant, aiohttp.ClientSession() as http:
        assert plant.source.depths == {"BTC/USD": 10}
        async with http.get(plant.endpoints["kraken"].rest + "/0/public/AssetPairs?pair=XBTUSD") as reply:
            pairs = (await reply.json())["result"]
        assert (pairs["XXBTZUSD"]["pair_decimals"], pairs["XXBTZUSD"]["lot_decimals"]) == (1, 8)
    async with serve_capture(capture(HFT)) as plant, aiohttp.ClientSession() as http:
        async with http.get(plant.endpoints["binance"].rest + "/api/v3/exchangeInfo") as reply:
            [row] = (await reply.json())["symbols"]
        assert (row["baseAsset"], row["quoteAsset"]) == ("BTC", "USDT")
        assert row["filters"][0]["tickSize"] == "0.01000000"


async def test_recorded_reference_data_is_served_as_it_is():
    async with serve_capture(capture(COINBASE)) as plant, aiohttp.ClientSession() as http:
        root = plant.endpoints["coinbase"].rest + "/api/v3/brokerage/market/products"
        async with http.get(root) as reply:
            assert await reply.read() == plant.source.metadata
        async with http.get(root + "/ETH-USD") as reply:
            assert (await reply.json())["product_id"] == "ETH-USD"
        async with http.get(root + "/NO-SUCH") as reply:
            assert reply.status == 404


KRAKEN_OPEN = {"dir": "open", "url": "wss://ws.kraken.com/v2", "raw": ""}


def kraken_frame(symbol, channel, n):
    row = f'{{"symbol":"{symbol}","price":{n}.50,"qty":0.10000000}}'
    return {"t": n / 10, "dir": "in", "raw": f'{{"channel":"{channel}","type":"update","data":[{row}]}}'}


async def test_nothing_is_sent_before_everything_is_asked_for_and_acks_are_added_where_missing(tmp_path):
    frames = [kraken_frame("BTC/USD", "trade", n) for n in range(3)] + [kraken_frame("ETH/USD", "trade", 9)]
    path = write(tmp_path / "k.jsonl", KRAKEN_OPEN, *frames)
    async with serve_capture(path, speed=1_000) as plant, websockets.connect(plant.endpoints["kraken"].ws) as ws:
        for symbol, depth in (("BTC/USD", {}), ("XX/USD", {}), ("ETH/USD", {})):
            message = {"method": "subscribe", "params": {"channel": "trade", "symbol": [symbol], **depth}, "req_id": 4}
            await ws.send(json.dumps(message))
            answer = json.loads(await ws.recv())
            assert (answer["success"], answer["req_id"]) == (symbol != "XX/USD", 4)
        assert [await ws.recv() for _ in frames] == [frame["raw"] for frame in frames]
        await ws.send('{"method":"ping","req_id":5}')
        assert json.loads(await ws.recv())["method"] == "pong"


async def test_another_depth_than_the_recordings_gets_the_recorded_one_and_is_told_so():
    async with (
        serve_capture(capture(KRAKEN)) as plant,
        websockets.connect(plant.endpoints["kraken"].ws, close_timeout=0.1) as ws,
    ):
        params = {"channel": "book", "symbol": ["BTC/USD"], "depth": 100}
        await ws.send(json.dumps({"method": "subscribe", "params": params}))
        assert json.loads(await ws.recv())["channel"] == "status"
        assert json.loads(await ws.recv())["result"]["depth"] == 10


def test_what_cannot_be_served_is_told(tmp_path):
    frame = kraken_frame("BTC/USD", "trade", 1)
    nameless = write(tmp_path / "a.jsonl", frame)
    with pytest.raises(ConfigError, match="name it"):
        CaptureSource(nameless)
    assert CaptureSource(nameless, "kraken").symbols == ["BTC/USD"]
    with pytest.raises(ConfigError, match="'bitmex'"):
        CaptureSource(nameless, "bitmex")
    with pytest.raises(ConfigError, match="no frames of coinbase"):
        CaptureSource(nameless, "coinbase")
    with pytest.raises(ConfigError, match="name it"):
        CaptureSource(write(tmp_path / "v1.jsonl", {**KRAKEN_OPEN, "url": "wss://ws.kraken.com"}, frame))
    with pytest.raises(RecordingError, match=r"none\.jsonl"):
        CaptureSource(tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl").write_text(json.dumps(KRAKEN_OPEN) + "\n{oops\n")
    with pytest.raises(RecordingError, match="line 2"):
        CaptureSource(tmp_path / "bad.jsonl")
    whole = gzip.compress(nameless.read_bytes() * 50)
    (tmp_path / "torn.jsonl.gz").write_bytes(whole[:-12])
    with pytest.raises(RecordingError, match="torn"):
        CaptureSource(tmp_path / "torn.jsonl.gz", "kraken")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("RENBTCETH", ("RENBTC", "ETH")),
        ("BTC/USD", ("BTC", "USD")),
        ("BTC-USD", ("BTC", "USD")),
    ],
)
def test_split_name(name, expected):
    assert split_name("binance", name) == expected


def test_unknown_quotes_are_told():
    with pytest.raises(ConfigError, match="BTCXYZ"):
        split_name("binance", "BTCXYZ")


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("btcusdt@depth@100ms", ("BTCUSDT", "depth")),
        ("btcusdt@trade", ("BTCUSDT", "trade")),
        ("btcusdt@kline_1m", ("BTCUSDT", "@kline_1m")),
    ],
)
def test_binance_stream(name, stream):
    assert binance_stream(name) == stream
