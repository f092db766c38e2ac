"""What a venue's dialect and the server say to each other: values only, no I/O.

A **dialect** is one venue's protocol; a **conversation** is one client's connection to it. Both are
told the time and return what is to be sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import ClassVar, NamedTuple

import msgspec
import orjson

from .faults import Troubles
from .market import Market, Step


class Now(NamedTuple):
    """The time: `unix` in ns for what is written into frames, `mono` in seconds for deadlines."""

    unix: int
    mono: float


class Frame(NamedTuple):
    """A text frame to send. `data` frames can be hit by faults; acks and answers cannot."""

    text: str
    data: bool = True


class Ping(NamedTuple):
    """A protocol ping to send."""


class Hangup(NamedTuple):
    """End the connection with a close frame; what follows it is not sent."""

    code: int
    reason: str


Out = Frame | Ping | Hangup


class Reply(msgspec.Struct, frozen=True):
    """A REST answer; `delay_s` is how long the server sits on it."""

    status: int
    body: bytes
    headers: dict[str, str] = {}
    delay_s: float = 0.0


def json_reply(body: object, status: int = 200, headers: dict[str, str] | None = None, delay_s: float = 0.0) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, orjson.dumps(body), headers or {}, delay_s)


def too_many(retry_after_s: float, body: object, status: int = 429) -> Reply:
    """A refusal for asking too often, with `Retry-After` in whole seconds as HTTP has it."""
    return json_reply(body, status, {"Retry-After": f"{retry_after_s:.0f}"})


class Limit:
    """At most `count` in any `window_s` seconds. `take()` counts one and says whether it was allowed."""

    def __init__(self, count: float, window_s: float) -> None:
        self.count = count
        self.window_s = window_s
        self.used = 0.0
        self._taken: deque[tuple[float, float]] = deque()

    def take(self, mono: float, weight: float = 1.0) -> bool:
        """Count `weight` at `mono` seconds; False where that passes the limit (it is counted all the same)."""
        while self._taken and self._taken[0][0] <= mono - self.window_s:
            self.used -= self._taken.popleft()[1]
        self._taken.append((mono, weight))
        self.used += weight
        return self.used <= self.count


class Conversation(ABC):
    """One client's connection. Every method returns what to send, in order."""

    @cached_property
    def muted(self) -> set[str]:
        """Streams, as `book:BTC-USD`, that say nothing until they are subscribed to again."""
        return set()

    def mutes(self, channel: str, market: Market) -> bool:
        """Whether this stream says nothing."""
        return bool(self.muted) and f"{channel}:{market.instrument.symbol}" in self.muted

    def unmute(self, channel: str, market: Market) -> None:
        """It is subscribed to again."""
        self.muted.discard(f"{channel}:{market.instrument.symbol}")

    def on_open(self, now: Now) -> list[Out]:
        """The socket is up; nothing has been asked yet."""
        return []

    @abstractmethod
    def on_text(self, text: str, now: Now) -> list[Out]:
        """The client has sent a text frame."""

    def on_control(self, *, pong: bool, now: Now) -> list[Out]:
        """The client has sent a protocol ping (answered by the server) or a pong."""
        return []

    @abstractmethod
    def on_step(self, step: Step, now: Now) -> list[Out]:
        """A market of this venue has moved."""

    def shutdown_notice(self, now: Now) -> list[Out]:
        """The server is about to go; most venues do not say so."""
        return []

    def on_tick(self, now: Now) -> list[Out]:
        """Some tens of milliseconds have passed."""
        return []


class Dialect(ABC):
    """One venue: its markets, its handshake, its REST interface."""

    NAME: ClassVar[str]
    WS_PATH: ClassVar[str] = ""
    """What the venue's own WebSocket URL carries after the host."""
    RESOLUTION_NS: ClassVar[int] = 1
    """The step of the timestamps that it sends."""
    BY_UPDATE_ID: ClassVar[bool] = False
    """Whether its book frames are keyed by update id, or else by timestamp."""
    CONNECTS: ClassVar[tuple[int, float]]
    """Connection attempts allowed per address, and in how many seconds."""

    def __init__(self, markets: Mapping[str, Market], troubles: Troubles, *, by_hand: bool) -> None:
        """`markets` by canonical symbol; `by_hand` when steps are called, so that nothing waits for wall time."""
        self.markets = markets
        self.troubles = troubles
        self.by_hand = by_hand

    def listed(self) -> dict[str, Market]:
        """The markets that are not taken off the list."""
        return {symbol: market for symbol, market in self.markets.items() if market.listed}

    @abstractmethod
    def connect(self, path: str, query: Mapping[str, str], now: Now) -> Conversation | Reply:
        """Accept a WebSocket handshake, or say why not."""

    @abstractmethod
    def rest(self, method: str, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """Answer a REST request."""


class Batch:
    """When a batched stream is due: every `every_s` seconds, or every `steps` steps where steps are made by hand."""

    def __init__(self, every_s: float, steps: int | None) -> None:
        self._every_s = every_s
        self._steps = steps
        self._sent = 0.0
        self._count = 0

    def due(self, now: Now, *, step: bool) -> bool:
        """Whether to send now; `step` says that a market step has just been made."""
        if self._steps is not None:
            self._count += step
            if not step or self._count < self._steps:
                return False
            self._count = 0
            return True
        if now.mono - self._sent < self._every_s:
            return False
        self._sent = now.mono
        return True


def fixed(number: int, step: Decimal, digits: int) -> str:
    """So many steps as text with exactly `digits` after the point: 5 steps of 0.01 at 8 digits is `0.05000000`."""
    return f"{step * number:.{digits}f}"


def rfc3339(unix_ns: int, digits: int) -> str:
    """A Unix ns time as `2026-10-06T17:35:55.440295Z`, cut to 6 or 9 `digits`."""
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    head = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{head}.{ns // 10 ** (9 - digits):0{digits}d}Z"


def read_object(text: str) -> dict[str, object] | None:
    """The JSON object in a client's frame, or None where it is none."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return message if isinstance(message, dict) else None


def names(value: object) -> Sequence[str]:
    """The strings in a list that a client sent; anything else in it is passed over."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
