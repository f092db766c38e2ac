"""mempool.space, as a server of it would speak. Source: mempool/mempool, websocket-handler.ts, read 2026-11-21."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import orjson

from . import mempool_rest
from .chain_block import SimBlock
from .chain_wire import Call, ChainConversation, ChainDialect
from .mempool_frames import block_row, mempool_info, prices, projected, recommended
from .wire import Conversation, Frame, Hangup, Limit, Now, Out, Reply, too_many

WANTABLE = ("blocks", "mempool-blocks", "live-2h-chart", "stats", "tomahawk")
LAST = 8
"""Blocks in `blocks`."""
MESSAGES = (100, 10.0)
MESSAGE_BYTES = 50_000
REQUESTS = (60, 60.0)
"""REST calls an address may make, and in how many seconds. The real number is not published."""
POLL_S = 1.0
"""How often the mempool's figures are sent to those who want them."""
SILENCE_S = 120.0
"""The proxy in front of it closes what has said nothing for so long."""


class Mempool(ChainDialect):
    """`wss://mempool.space/api/v1/ws` and the REST interface of `https://mempool.space`."""

    NAME = "mempool"
    CONNECTS = (60, 60.0)

    def connect(self, path: str, query: Mapping[str, str], now: Now) -> Conversation | Reply:
        """`/api/v1/ws` alone."""
        if path.rstrip("/") != "/api/v1/ws":
            return super().connect(path, query, now)
        return MempoolConversation(self)

    def call(self, call: Call, now: Now) -> Reply:
        """The GET routes of `mempool_rest`, within a limit of calls."""
        if call.method != "GET":
            return Reply(405, b"Method Not Allowed", {"Content-Type": "text/plain"})
        if not self._limit.take(now.mono):
            self.troubles.breach("requests")
            return too_many(REQUESTS[1], {"error": "Too Many Requests"})
        return mempool_rest.answer(self.view, call.path, int(self.seconds(now)))

    @cached_property
    def _limit(self) -> Limit:
        return Limit(*REQUESTS)


class MempoolConversation(ChainConversation):
    """One WebSocket. What is sent are objects of several keys, each with its own meaning."""

    def __init__(self, venue: Mempool) -> None:
        self._venue = venue
        self._view = venue.view
        self._wants: frozenset[str] = frozenset()
        self._limit = Limit(*MESSAGES)
        self._heard: float | None = None
        self._sent = 0.0

    def on_control(self, *, pong: bool, now: Now) -> list[Out]:
        """Pings and pongs keep the proxy from closing."""
        self._heard = now.mono
        return []

    def on_text(self, text: str, now: Now) -> list[Out]:
        """`init`, `want`, `ping`; what is not JSON ends the connection."""
        self._heard = now.mono
        if self._venue.conduct.state == "hang":
            return []
        if len(text) > MESSAGE_BYTES or not self._limit.take(now.mono):
            self._venue.troubles.breach("messages")
            return [Hangup(1000, "")]
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            message = None
        if message is None:
            self._venue.troubles.breach("json")
            return [Hangup(1000, "")]
        if not isinstance(message, dict):
            return []
        out: list[Out] = []
        answer: list[str] = []
        match message.get("action"):
            case "init":
                out = self._frame(
                    ("mempoolInfo", "vBytesPerSecond", "blocks", "conversions", "mempool-blocks", "transactions",
                     "backendInfo", "loadingIndicators", "da", "fees"), now, data=False)  # fmt: skip
            case "want" if isinstance(message.get("data"), list):
                answer = self._want([name for name in WANTABLE if name in message["data"]])
            case "ping":
                answer = ["pong"]
        if message.get("refresh-blocks") and "blocks" not in answer:
            answer.append("blocks")
        return out + self._frame(answer, now, data=False)

    def on_news(self, news: Sequence[SimBlock | None], now: Now) -> list[Out]:
        """A frame for each new block, or the last blocks where others were replaced."""
        if self._venue.conduct.state == "hang":
            return []
        out: list[Out] = []
        wants = self._wants
        figures = ["mempoolInfo", "vBytesPerSecond", "fees", "da"] if "stats" in wants else []
        waiting = ["mempool-blocks"] if "mempool-blocks" in wants else []
        for block in news:
            if block is None:
                keys = ["blocks"] if "blocks" in wants else []
                out += self._frame(keys + ["da"] * ("stats" in wants), now)
            else:
                keys = ["block"] if "blocks" in wants else []
                out += self._frame(keys + figures + waiting, now, block=block)
        return out

    def on_tick(self, now: Now) -> list[Out]:
        """The mempool's figures once a second to those who want them; not where the chain is moved by hand."""
        if self._heard is None:
            self._heard = now.mono
        if now.mono - self._heard > SILENCE_S:
            return [Hangup(1000, "")]
        if self._venue.by_hand or self._venue.conduct.state == "hang" or now.mono - self._sent < POLL_S:
            return []
        self._sent = now.mono
        keys = ["mempoolInfo", "vBytesPerSecond", "transactions", "da", "fees"] if "stats" in self._wants else []
        return self._frame(keys + ["mempool-blocks"] * ("mempool-blocks" in self._wants), now)

    def _want(self, wanted: list[str]) -> list[str]:
        """Each `want` replaces the one before; the present state goes with what is new in it."""
        new = [name for name in wanted if name not in self._wants]
        self._wants = frozenset(wanted)
        keys = {
            "blocks": ["blocks"],
            "mempool-blocks": ["mempool-blocks"],
            "stats": ["mempoolInfo", "vBytesPerSecond", "fees", "da"],
        }
        return [key for name in new for key in keys.get(name, [])]

    def _frame(self, keys: Sequence[str], now: Now, *, block: SimBlock | None = None, data: bool = True) -> list[Out]:
        """One frame with these keys; none where there are none."""
        if not keys:
            return []
        view, seconds = self._view, int(self._venue.seconds(now))
        make: dict[str, Callable[[], object]] = {
            "block": lambda: block and block_row(view, block),
            "blocks": lambda: [block_row(view, one) for one in view.last(LAST)],
            "da": lambda: view.adjustment(seconds),
            "fees": lambda: recommended(view),
            "mempoolInfo": lambda: mempool_info(view),
            "mempool-blocks": lambda: projected(view),
            "vBytesPerSecond": lambda: 2_364,
            "conversions": lambda: prices(seconds),
            "transactions": list,
            "loadingIndicators": dict,
            "backendInfo": lambda: {"hostname": "simulated", "version": "3.2.1", "gitCommit": "", "lightning": False},
            "pong": lambda: True,
        }
        return [Frame(orjson.dumps({key: make[key]() for key in keys}).decode(), data=data)]
