"""`Liveness`: whether each stream of a connection flows, where the connection itself lives.

A stream that is silent is muted only where something says that its market is not just quiet:

- its book or ticker is silent beside trades, which change both;
- by its own pace it is silent for long, and the other channels of its market go on, or there are none.

A market in which every channel is silent is quiet as far as this tells (T05). Where its book or its trades are so by
their own pace, it is worth a question over REST, whose answer alone decides; another one each time that the silence is
twice as long.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from .pace import SECOND
from .subscriptions import Channel

LIVELY = 20
"""Distances by which a pace is known, how many of them in a row are silence, and what others must have told since."""
WEIGHT = 0.1
"""Of the newest distance in the mean."""
WITNESSED_S = 5.0
"""Silence that is enough beside as many trades."""
MOST_S = 120.0
"""A stream so slow that it would be muted later is not judged by its own pace."""
ASKED: tuple[Channel, ...] = ("book", "trades")
"""What REST can be asked about."""


ASK_NS = 5 * SECOND
"""Between two questions about whole markets: where many rest at once, they do not spend what all share."""


class Heard(NamedTuple):
    """A stream by channel and market, and how much of it was heard so far."""

    channel: Channel
    native: str
    heard: int


class Muted(NamedTuple):
    """A stream that is muted, and why; `witnessed` where trades say so, and not its own pace.

    `whole`: all of its market is silent, which may be quiet.
    """

    channel: Channel
    native: str
    reason: str
    witnessed: bool = False
    whole: bool = False


class _Known(Struct):
    """What was heard of a stream when it was heard last; `trades` and `others` are those of its market."""

    count: int
    at: int
    trades: int
    others: int
    distance_s: float = 0.0
    distances: int = -1
    """The time before the first is none."""
    asked: int = 0
    """How often in this silence REST was."""

    @property
    def patience_s(self) -> float:
        """Silence that is long for its pace; infinite where that is not known, or too slow to be judged by."""
        patience_s = LIVELY * self.distance_s
        return patience_s if self.distances >= LIVELY and patience_s <= MOST_S else math.inf


class Liveness:
    """Told once a second what was heard; it costs no call for each frame."""

    def __init__(self) -> None:
        self._known: dict[tuple[Channel, str], _Known] = {}
        self._asked_at = -ASK_NS

    def look(self, streams: Iterable[Heard], mono_ns: int) -> list[Muted]:
        """Streams that are muted as of now. One is told again only where it was heard between.

        A stream that is left out of a look, as while it is asked for again, is new after it.
        """
        markets: dict[str, dict[Channel, int]] = {}
        for channel, native, count in streams:
            markets.setdefault(native, {})[channel] = count
        before, self._known = self._known, {}
        found = []
        for native, counts in markets.items():
            whole, trades = sum(counts.values()), counts.get("trades", 0)
            for channel, count in counts.items():
                known = before.get((channel, native)) or _Known(count, mono_ns, trades, whole - count)
                self._known[channel, native] = known
                if count != known.count:
                    _learn(known, count, mono_ns)
                    known.trades, known.others = trades, whole - count
                elif why := _muted(known, channel, mono_ns, trades, whole - count, alone=len(counts) == 1):
                    found.append(Muted(channel, native, *why))
                    self._known[channel, native] = _Known(count, mono_ns, trades, whole - count)
        if mono_ns - self._asked_at >= ASK_NS and (still := self._still(markets, mono_ns)):
            self._asked_at = mono_ns
            found.append(still)
        return found

    def _still(self, markets: Mapping[str, Mapping[Channel, int]], mono_ns: int) -> Muted | None:
        """Of the markets that are worth a question the one asked about least, of those the longest silent."""
        worth: list[tuple[int, float, Channel, str]] = []
        for native, channels in markets.items():
            streams = {channel: self._known[channel, native] for channel in channels}
            silent_s = (mono_ns - max(known.at for known in streams.values())) / SECOND
            channel = next((c for c in ASKED if c in streams and streams[c].patience_s < math.inf), None)
            if channel is not None and len(streams) > 1:
                asked = streams[channel].asked
                if silent_s >= streams[channel].patience_s * 2**asked:
                    worth.append((-asked, silent_s, channel, native))
        if not worth:
            return None
        _, silent_s, channel, native = max(worth)
        self._known[channel, native].asked += 1
        return Muted(channel, native, f"silent for {silent_s:.1f} s with all of its market", whole=True)


def _learn(known: _Known, count: int, mono_ns: int) -> None:
    distance = (mono_ns - known.at) / SECOND  # between looks and not events: a burst is one
    if known.distances >= 0:
        known.distance_s = (1 - WEIGHT) * known.distance_s + WEIGHT * distance if known.distances else distance
    known.distances += 1
    known.count, known.at, known.asked = count, mono_ns, 0


def _muted(
    known: _Known, channel: Channel, mono_ns: int, trades: int, others: int, *, alone: bool
) -> tuple[str, bool] | None:
    """Why a stream that was not heard is muted, and whether trades say so; None where it may be quiet."""
    silent_s = (mono_ns - known.at) / SECOND
    beside = trades - known.trades if channel in ("book", "ticker") else 0
    if silent_s >= WITNESSED_S and beside >= LIVELY:
        return f"silent for {silent_s:.1f} s beside {beside} trades", True
    if silent_s < known.patience_s:
        return None
    if alone:
        return f"silent for {silent_s:.1f} s, once every {known.distance_s:.2g} s before", False
    if others - known.others >= LIVELY:
        return f"silent for {silent_s:.1f} s, and its market is not", False
    return None
