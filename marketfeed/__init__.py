"""marketfeed: real-time crypto market data over WebSocket, typed, and right or flagged.

import marketfeed as mf

async def main():
    async with mf.Feed() as feed:
        feed.subscribe("coinbase:BTC-USD", "kraken:BTC-USD", trades=True, book=True)
        async for event in feed:
            print(event)

mf.run(main())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .consumer import Consumer
from .errors import (
    BookNotTrusted,
    ConfigError,
    ConsumerTooSlow,
    MarketFeedError,
    MissingExtra,
    NotLive,
    RecordingError,
    TransportError,
    UnknownSymbol,
    UnknownVenue,
    VenueError,
)
from .events import (
    Audit,
    Block,
    BookDelta,
    BookSnapshot,
    BookVoid,
    ClockStep,
    Connected,
    Disconnected,
    Event,
    Gap,
    Instrument,
    Lagged,
    LifeEvent,
    LoopLag,
    Malformed,
    MarketEvent,
    MiningProfit,
    NetworkStats,
    RecorderStatus,
    Recovered,
    Refused,
    SchemaDrift,
    Stale,
    Subscribed,
    Ticker,
    Trade,
    Unsubscribed,
    VenueStatus,
    encode_json,
)
from .feed import Feed
from .loop import run
from .settings import VenueSettings
from .subscriptions import Subscription
from .trusted_book import TrustedBook

if TYPE_CHECKING:
    from . import metrics, mining, recording, sim

__version__ = "0.1.0"

__all__ = [
    "Audit",
    "Block",
    "BookDelta",
    "BookNotTrusted",
    "BookSnapshot",
    "BookVoid",
    "ClockStep",
    "ConfigError",
    "Connected",
    "Consumer",
    "ConsumerTooSlow",
    "Disconnected",
    "Event",
    "Feed",
    "Gap",
    "Instrument",
    "Lagged",
    "LifeEvent",
    "LoopLag",
    "Malformed",
    "MarketEvent",
    "MarketFeedError",
    "MiningProfit",
    "MissingExtra",
    "NetworkStats",
    "NotLive",
    "RecorderStatus",
    "RecordingError",
    "Recovered",
    "Refused",
    "SchemaDrift",
    "Stale",
    "Subscribed",
    "Subscription",
    "Ticker",
    "Trade",
    "TransportError",
    "TrustedBook",
    "UnknownSymbol",
    "UnknownVenue",
    "Unsubscribed",
    "VenueError",
    "VenueSettings",
    "VenueStatus",
    "encode_json",
    "metrics",
    "mining",
    "recording",
    "run",
    "sim",
]


def __getattr__(name: str) -> Any:
    """`mf.sim` and `mf.recording` are loaded when first used: a bot that does neither does not pay for them."""
    if name in {"metrics", "mining", "recording", "sim"}:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
