"""Plain clients of the simulated chain's sources, and a plant whose time the test moves."""

import asyncio
import json
from base64 import b64encode

import aiohttp
import websockets

from marketfeed import sim

START = 1_790_000_000
AUTH = {"Authorization": "Basic " + b64encode(sim.BITCOIND_AUTH.encode()).decode()}


def plant(*venues, faults="", **chain):
    settings = sim.ChainSettings(**{"block_time": 600, "start": START, "reorgs": 0.0, **chain})
    return sim.Simulator(venues or ["mempool", "bitcoind"], seed=7, rate=None, faults=faults, chain=settings)


class Socket:
    """A WebSocket at the mempool source."""

    def __init__(self, running, *said):
        self.url = running.endpoints["mempool"].ws + "/api/v1/ws"
        self.said = said

    async def __aenter__(self):
        self.ws = await websockets.connect(self.url, max_size=None, compression=None, close_timeout=1)
        for message in self.said:
            await self.say(message)
        return self

    async def __aexit__(self, *exc):
        await self.ws.close()

    async def say(self, message):
        await self.ws.send(message if isinstance(message, str) else json.dumps(message))

    async def next(self):
        return json.loads(await asyncio.wait_for(self.ws.recv(), 5))

    async def rest(self):
        """Every frame sent before now: the answer to a ping comes after them."""
        await self.say({"action": "ping"})
        frames = [await self.next()]
        while "pong" not in frames[-1]:
            frames.append(await self.next())
        return frames[:-1]

    async def closed(self):
        """The close code, once the connection has ended."""
        try:
            async with asyncio.timeout(5):
                while True:
                    await self.ws.recv()
        except websockets.ConnectionClosed:
            return self.ws.close_code


async def get(running, path, source="mempool"):
    """Status and body of a GET, JSON where it is."""
    async with aiohttp.ClientSession() as http, http.get(running.endpoints[source].rest + path) as reply:
        text = await reply.text()
        return reply.status, json.loads(text) if "json" in reply.headers["Content-Type"] else text


async def post(running, body, headers=AUTH):
    """Status and body of a POST to the node."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as http:
        async with http.post(running.endpoints["bitcoind"].rest, data=data, headers=headers) as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if text else None


async def rpc(running, method, *params):
    """A call's result; its error where it has one."""
    _, said = await post(running, {"jsonrpc": "1.0", "id": 1, "method": method, "params": list(params)})
    return said["error"] or said["result"]
