"""Read a capture file and say what it holds: venue, streams, instruments, acks. No sockets here.

The format is JSON lines, plain or gzip, one record a line: `dir` is open, out, in or rest; `raw` the
text exactly as it was on the wire. What is not known is passed over.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import orjson

from marketfeed.errors import ConfigError, RecordingError

from .capture_names import Digits, split_name
from .instruments import SimInstrument

HOSTS = (
    (re.compile(r"^wss?://ws\.kraken\.com/v2"), "kraken"),
    (re.compile(r"^wss://advanced-trade-ws\.coinbase\.com|^https://api\.coinbase\.com/api/v3/"), "coinbase"),
    (re.compile(r"^(wss|https)://(stream|data-stream|api\d?|data-api|www)\.binance\.(com|us|vision)"), "binance"),
)
"""Which URL tells which venue; other APIs of the same companies are other protocols."""
DATA_KINDS = {
    "kraken": ("book", "trade", "ticker"),
    "binance": ("trade", "ticker", "bookTicker", "depth"),
    "coinbase": ("level2", "market_trades", "ticker"),
}
"""The streams a client must have asked for, where the file holds them; others are sent along."""
METADATA = {"kraken": "AssetPairs", "binance": "exchangeInfo", "coinbase": "products"}
FLAGS = {
    "trade": "--trades",
    "market_trades": "--trades",
    "ticker": "--ticker",
    "bookTicker": "--ticker",
    "book": "--book",
    "depth": "--book",
    "level2": "--book",
}

Stream = tuple[str, str]
"""(the venue's symbol, kind), such as `("BTCUSDT", "depth")`."""


class Record(msgspec.Struct, frozen=True):
    """One line of a capture."""

    dir: str
    raw: str = ""
    t: float | None = None
    url: str = ""


_decode = msgspec.json.Decoder(Record).decode


class CaptureSource:
    """A capture file, scanned once when made.

    Raises `ConfigError` where no URL tells the venue and none is named, or nothing in it can be
    served; `RecordingError` where the file cannot be read.
    """

    def __init__(self, path: str | Path, venue: str | None = None) -> None:
        self.path = Path(path)
        if venue is not None and venue not in DATA_KINDS:
            raise ConfigError(f"no simulated venue is called {venue!r}; there are {', '.join(DATA_KINDS)}")
        self.venue = venue or self._tell_venue()
        self.streams: Counter[Stream] = Counter()
        """Frames of each stream that a client has to ask for."""
        self.acked: set[Stream] = set()
        """Kraken streams whose ack is in the file."""
        self.has_acks = self.venue == "coinbase"  # its state messages use up sequence numbers: none can be added
        self.depths: dict[str, int] = {}
        """Kraken's book depth by symbol, as the recorded ack has it."""
        self.depth_replies: Counter[str] = Counter()
        """Binance: how many REST depth snapshots there are of each symbol."""
        self.metadata: bytes | None = None
        """The recorded reply about instruments, where there is one."""
        self._digits: dict[str, Digits] = {}
        for record in self.records():
            if record.dir == "in":
                self._note_frame(record.raw)
            elif record.dir == "rest":
                self._note_reply(record)
        if not self.streams:
            raise ConfigError(f"{self.path.name} holds no frames of {self.venue} that can be served")

    def __repr__(self) -> str:
        return f"CaptureSource({self.path.name}, {self.venue}, {len(self.streams)} streams)"

    def records(self) -> Iterator[Record]:
        """The lines of the file, in order; nothing is kept in memory."""
        number = 0
        try:
            with gzip.open(self.path, "rb") if self.path.suffix == ".gz" else self.path.open("rb") as lines:
                for number, line in enumerate(lines, 1):  # noqa: B007 (told in the error)
                    if line.strip():
                        yield _decode(line)
        except (OSError, EOFError, zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise RecordingError(f"{self.path}: line {number}: {exc}") from exc

    def instruments(self) -> list[SimInstrument]:
        """The instruments in the file: names from a table of known quotes, tick and lot from the digits seen."""
        return [self._digits[name].instrument(self.venue, name) for name in self.symbols]

    @property
    def symbols(self) -> list[str]:
        """The venue's own names, in order of first appearance."""
        return list(dict.fromkeys(symbol for symbol, _ in self.streams))

    def tail_command(self) -> list[str]:
        """The arguments of the `marketfeed` command that subscribes to what the file holds."""
        names = ["-".join(split_name(self.venue, name)) for name in self.symbols]
        flags = dict.fromkeys(FLAGS[kind] for _, kind in self.streams)
        depth = next(iter(self.depths.values()), None)
        text = {"--book": "--book" if depth is None else f"--book={depth}"}
        return ["tail", *names, "--venue", self.venue, *(text.get(flag, flag) for flag in sorted(flags, reverse=True))]

    def _tell_venue(self) -> str:
        """The venue of the first URL that is known."""
        for record in self.records():
            for pattern, venue in HOSTS:
                if record.url and pattern.match(record.url):
                    return venue
        raise ConfigError(
            f"{self.path.name}: no URL in it tells a venue that is known; name it: {', '.join(DATA_KINDS)}"
        )

    def _note_frame(self, raw: str) -> None:
        try:
            frame = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return
        if not isinstance(frame, dict):
            return
        if "result" in frame:
            self._note_ack(frame["result"])
        for symbol, kind in frame_streams(self.venue, frame):
            self.streams[symbol, kind] += 1
            self._digits.setdefault(symbol, Digits(padded=self.venue != "kraken")).see(raw)

    def _note_ack(self, result: object) -> None:
        self.has_acks = True
        if isinstance(result, dict) and "symbol" in result:
            self.acked.add((result["symbol"], result["channel"]))
            if "depth" in result:
                self.depths[result["symbol"]] = result["depth"]

    def _note_reply(self, record: Record) -> None:
        symbol = depth_symbol(record.url)
        if self.venue == "binance" and symbol:
            self.depth_replies[symbol] += 1
        elif METADATA[self.venue] in urlsplit(record.url).path and self.metadata is None:
            self.metadata = record.raw.encode()


def depth_symbol(url: str) -> str | None:
    """The symbol that a Binance depth URL asks for, whatever its host and version."""
    parts = urlsplit(url)
    return parse_qs(parts.query).get("symbol", [None])[0] if parts.path.endswith("/depth") else None


def frame_streams(venue: str, frame: dict[str, object]) -> set[Stream]:
    """The streams that a decoded frame belongs to, of the kinds a client has to ask for."""
    found: set[Stream] = set()
    if venue == "binance":
        name, _, kind = str(frame.get("stream", "")).partition("@")
        found = {(name.upper(), kind.partition("@")[0])}
    elif venue == "kraken":
        rows = frame.get("data")
        if isinstance(rows, list):
            found = {(str(row.get("symbol")), str(frame.get("channel"))) for row in rows if isinstance(row, dict)}
    else:
        channel = {"l2_data": "level2"}.get(str(frame.get("channel")), str(frame.get("channel")))
        events = frame.get("events")
        for event in events if isinstance(events, list) else []:
            rows = [event, *event.get("trades", ()), *event.get("tickers", ())]
            found |= {(row["product_id"], channel) for row in rows if "product_id" in row}
    return {stream for stream in found if stream[1] in DATA_KINDS[venue]}
