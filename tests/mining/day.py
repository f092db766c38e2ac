"""A day in which a price feed, a block explorer and a node are played, on a clock that costs nothing.

The venues speak their wire protocols; the chain's sources are the simulator's, without sockets. Everything that was
said is kept, for the reference that reckons profits by itself.
"""

import asyncio
import json
import random
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from msgspec import structs

from marketfeed import Feed, VenueSettings, catalogue
from marketfeed.errors import TransportError
from marketfeed.rest import FakeRest, Reply
from marketfeed.sim.bitcoind import AUTH, Bitcoind
from marketfeed.sim.chain import SimChain
from marketfeed.sim.chain_block import SimBlock
from marketfeed.sim.chain_view import ChainView
from marketfeed.sim.chain_wire import Call
from marketfeed.sim.conduct import Conduct
from marketfeed.sim.faults import Faults, Troubles
from marketfeed.sim.mempool import Mempool
from marketfeed.sim.wire import Frame, Now
from marketfeed.transport import Link, LinkListener
from marketfeed.transports.fake import FakeLink, FakeTransport
from marketfeed.venues._spec import Request, Secret
from marketfeed.venues.bitcoind import BITCOIND

from ..virtual import LoopClock

SECOND = 1_000_000_000
DAY_S = 86_400
EPOCH_STARTS = 969_696
"""A multiple of 2016: a retarget falls into the day."""
PAIRS = {
    "error": [],
    "result": {
        "XXBTZUSD": {
            "wsname": "XBT/USD",
            "pair_decimals": 1,
            "lot_decimals": 8,
            "tick_size": "0.1",
            "status": "online",
        }
    },
}
Tell = Any


class Day(FakeTransport):
    """Transport and REST of everybody. `down` are the hosts that cannot be reached now."""

    def __init__(self, seed: int = 5) -> None:
        super().__init__()
        self.clock = LoopClock()
        self.dice = random.Random(seed)
        self.down: set[str] = set()
        self.muted = False
        """Whether the price feed says nothing, and answers pings all the same."""
        self.price = 100_000.0
        self.prices: list[tuple[int, float]] = []
        """(received, middle price) of each ticker that reached us."""
        self.history: list[tuple[int, list[SimBlock]]] = []
        """(time, best chain's last blocks) after each change of the chain, as the sources told it."""
        self.links_to: dict[str, list[tuple[FakeLink, Any]]] = {}
        self.chain = SimChain(
            seed,
            start=self.clock.unix_ns() / SECOND,
            height=EPOCH_STARTS - 70,
            block_time=600,
            reorgs=0.0,
            fee_spikes=0.02,
            drift=0.5,
        )
        self.views = {name: ChainView(self.chain, Conduct()) for name in ("mempool", "bitcoind")}
        self.dialects = {
            "mempool.space": Mempool(self.views["mempool"], self._troubles("mempool"), by_hand=True),
            "127.0.0.1": Bitcoind(self.views["bitcoind"], self._troubles("bitcoind"), by_hand=True),
        }
        self.rest = FakeRest()
        self.rest.fetch = self._fetch  # type: ignore[method-assign] # it answers as the venues do
        self._note()

    def _troubles(self, name: str) -> Troubles:
        return Troubles(Faults.parse(""), name, Counter(), Counter())

    def feed(self) -> Feed:
        """A feed of this world. The node is asked once a minute, which is cheap; this Kraken has no heartbeat."""
        patient = structs.replace(BITCOIND.pace, poll_s=60.0, silence_s=200.0)
        quiet = structs.replace(catalogue.venue("kraken").pace, silence_s=10.0)
        venues = {"bitcoind": VenueSettings(pace=patient), "kraken": VenueSettings(pace=quiet)}
        return Feed(venues, transport=self, rest=self.rest, clock=self.clock, dice=self.dice.random)

    def now(self) -> Now:
        """The time as the simulator wants it."""
        return Now(self.clock.unix_ns(), self.clock.mono_ns() / SECOND)

    async def connect(self, url: str, listener: LinkListener, **options: Any) -> Link:
        host = urlsplit(url).hostname or ""
        await asyncio.sleep(0.05)
        if host in self.down:
            raise TransportError(f"cannot connect to {host}: refused")
        link = FakeLink(listener)
        peer = None
        if host == "mempool.space":
            peer = self.dialects[host].connect("/api/v1/ws", {}, self.now())
        self.links_to.setdefault(host, []).append((link, peer))
        link.send = lambda payload: self._heard(host, link, peer, str(payload))  # type: ignore[method-assign]
        link.ping = lambda: self._soon(link.pong)  # type: ignore[method-assign]
        return link

    def _soon(self, act: Any, *args: Any) -> None:
        asyncio.get_running_loop().call_soon(act, *args)

    def _heard(self, host: str, link: FakeLink, peer: Any, text: str) -> None:
        if peer is not None:
            self._send(link, peer.on_text(text, self.now()))
            return
        asked = json.loads(text)
        params = asked.get("params", {})
        for symbol in params.get("symbol", []):
            result = {"channel": params["channel"], "symbol": symbol}
            self._say(link, {"method": asked["method"], "success": True, "result": result, "req_id": asked["req_id"]})
        if asked["method"] == "ping":
            self._say(link, {"method": "pong", "req_id": asked.get("req_id", 0)})

    def _send(self, link: FakeLink, outs: list[Any]) -> None:
        for out in outs:
            if isinstance(out, Frame):
                self._soon(link.frame, out.text.encode(), self.clock.unix_ns())

    def _say(self, link: FakeLink, message: Any) -> None:
        self._soon(link.frame, json.dumps(message).encode(), self.clock.unix_ns())

    async def _fetch(self, base: str, request: Request) -> Reply:
        host = urlsplit(base).hostname or ""
        await asyncio.sleep(0.02)
        if host in self.down:
            raise TransportError(f"cannot connect to {host}: refused")
        if host == "api.kraken.com":
            return Reply(200, json.dumps(PAIRS).encode())
        path, _, _ = request.path.partition("?")
        auth = request.headers.get("Authorization", "")
        authorization = auth.reveal() if isinstance(auth, Secret) else auth
        call = Call(request.method, path, authorization=authorization, body=request.body)
        said = self.dialects[host].call(call, self.now())
        return Reply(said.status, said.body)

    def cut(self, host: str) -> None:
        """Every connection to a host breaks, and it cannot be reached."""
        self.down.add(host)
        for link, _ in self.links_to.get(host, []):
            link.drop()

    def heal(self, host: str) -> None:
        """It can be reached again."""
        self.down.discard(host)

    async def trade(self, every_s: float = 4.0) -> None:
        """The market moves for ever."""
        while True:
            await asyncio.sleep(every_s * self.dice.uniform(0.2, 1.8))
            self.price *= 1 + self.dice.gauss(0, 0.0004)
            bid, ask = round(self.price - 0.05, 1), round(self.price + 0.05, 1)
            if not self.muted:
                self.quote(bid, ask)

    def quote(self, bid: float, ask: float = 0.0) -> None:
        """The market says these best prices, or this one on both sides."""
        ask = ask or bid
        for link, _ in self.links_to.get("ws.kraken.com", []):
            if link.closed is None:
                data = [{"symbol": "BTC/USD", "bid": bid, "bid_qty": 1.0, "ask": ask, "ask_qty": 1.0, "last": 1.0}]
                self.prices.append((self.clock.unix_ns(), (bid + ask) / 2))
                link.frame(
                    json.dumps({"channel": "ticker", "type": "update", "data": data}).encode(), self.clock.unix_ns()
                )

    async def mine(self) -> None:
        """Blocks come for ever, each at its time."""
        while True:
            await asyncio.sleep(max(0.0, self.chain.next_at - self.clock.unix_ns() / SECOND) + 0.001)
            self.chain.advance(self.clock.unix_ns() / SECOND)
            self.tell()

    def reorg(self, depth: int) -> list[SimBlock]:
        """The last blocks are replaced; returns the orphans."""
        self.chain.advance(self.clock.unix_ns() / SECOND)
        step = self.chain.reorg(depth)
        self.tell()
        return list(step.orphans)

    def tell(self) -> None:
        """The sources take in what the chain did, and say so."""
        self._note()
        for view in self.views.values():
            news = view.follow()
            if view is self.views["mempool"]:
                for link, peer in self.links_to.get("mempool.space", []):
                    if link.closed is None:
                        self._send(link, peer.on_news(news, self.now()))

    def _note(self) -> None:
        tip = self.chain.tip.height
        self.history.append(
            (self.clock.unix_ns(), [self.chain.best(h) for h in range(tip - 3000, tip + 1) if h >= self.chain.first])
        )


__all__ = ["AUTH", "DAY_S", "EPOCH_STARTS", "SECOND", "Day"]
