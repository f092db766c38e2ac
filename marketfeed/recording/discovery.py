"""What a capture made by others holds: its venue, its streams, its instruments.

Such a file names no subscriptions, so every stream that its frames speak of counts as wanted.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .. import catalogue
from ..counts import Counts
from ..errors import ConfigError, RecordingError, VenueError
from ..events import Instrument
from ..listing import coins_of, listed
from ..subscriptions import CHANNELS, Channel, Subscription
from ..symbols import canonical
from ..transport import is_loopback
from ..venues._spec import Context, Decoder, Venue
from .raw import Line

KNOWN_QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "DAI", "USD", "EUR", "GBP", "AUD", "BRL", "TRY", "RUB", "UAH",
    "JPY", "BTC", "ETH", "BNB", "XRP", "DOGE",
)  # fmt: skip
"""Quotes that end a run-together name such as BTCUSDT. A guess, used only where a file has no instruments."""


class _Heard(dict[str, Any]):
    """Sinks of one channel that only note which names were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}

    def get(self, name: str, default: Any = None) -> Any:
        self.names[name] = None
        return default

    def __missing__(self, name: str) -> Any:
        self.names[name] = None
        raise KeyError(name)


class _Listener:
    """A `Port` that serves nothing and notes every market named."""

    def __init__(self) -> None:
        self.sinks: dict[Channel, _Heard] = {channel: _Heard() for channel in CHANNELS}
        self.trades, self.tickers, self.books = self.sinks["trades"], self.sinks["ticker"], self.sinks["book"]
        self.chains = self.sinks["chain"]
        self.depths: dict[str, int] = {}
        self.counts = Counts()

    def accepted(self, channel: Channel, native: str, depth: int = 0) -> None:
        """Note an acknowledged stream and its depth."""
        self.sinks[channel].get(native)
        if depth:
            self.depths[native] = depth

    def poll(self, native: str) -> None:
        """Nothing to note."""

    def refused(self, channel: Channel, native: str, reason: str) -> None:
        """Nothing to note."""

    def unsettled(self, channel: Channel, native: str) -> None:
        """Nothing to note."""

    def dropped(self, channel: Channel, native: str) -> None:
        """Nothing to note."""

    def hole(self, reason: str, cause: str = "") -> None:
        """Nothing to note."""

    def status(self, status: str, detail: str = "") -> None:
        """Nothing to note."""

    def control(self) -> None:
        """Nothing to note."""

    def pong(self) -> None:
        """Nothing to note."""

    def unasked(self, native: str) -> None:
        """Nothing to note."""

    def drift(self, what: str, raw: bytes) -> None:
        """Nothing to note."""

    def restart(self, reason: str) -> None:
        """Nothing to note."""


def rest_key(url: str) -> tuple[str, str]:
    """(kind, market) of a REST URL: ("depth", "BTCUSDT"), whatever its host, version and limit."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    market = next((query[key][0] for key in ("symbol", "pair", "product_id") if key in query), "")
    return parts.path.rstrip("/").rpartition("/")[2], market


def venue_of(lines: Iterable[Line], named: str | None = None) -> Venue:
    """The venue whose hosts the file's URLs name, or else the one that is `named`.

    Raises RecordingError where nothing tells, and ConfigError where the URLs tell another than the one named.
    """
    given = catalogue.venue(named) if named else None
    told = _told(lines)
    if given and told and given is not told:
        raise ConfigError(f"its URLs are {told.name}'s: leave out --venue {given.name}")
    found = told or given
    if found is None:
        names = ", ".join(catalogue.names())
        raise RecordingError(f"no URL in the file tells its venue; name it with --venue ({names})")
    return found


def _told(lines: Iterable[Line]) -> Venue | None:
    hosts: dict[str, Venue] = {}
    for name in catalogue.names():
        venue = catalogue.venue(name)
        for url in (venue.endpoints.ws, venue.endpoints.rest):
            if _site(url) and not is_loopback(urlsplit(url).hostname or ""):  # a node of one's own: many coins have one
                hosts[_site(url)] = venue
    return next((hosts[_site(line.url)] for line in lines if line.url and _site(line.url) in hosts), None)


def _site(url: str) -> str:
    return ".".join((urlsplit(url).hostname or "").split(".")[-2:])


class Found:
    """Streams and instruments of a capture. `wanted` is by connection label."""

    def __init__(self, venue: Venue, lines: Iterable[Line]) -> None:
        self.venue = venue
        self.wanted: dict[str, list[Subscription]] = {}
        self.instruments: dict[str, Instrument[Decimal]] = {}
        self._by_native: dict[str, Instrument[Decimal]] = coins_of(venue)
        listing = {rest_key(request.path)[0] for request in venue.instruments_requests(())}
        heard: dict[str, _Listener] = {}
        decoders: dict[str, Decoder] = {}
        for line in lines:
            if line.dir == "rest" and rest_key(line.url)[0] in listing:
                self._learn(line.data)
            elif line.dir == "in":
                if line.conn not in heard:
                    heard[line.conn] = port = _Listener()
                    decoders[line.conn] = venue.decoder(Context(port=port, exact=False, instruments={}))
                try:
                    decoders[line.conn].frame(line.data, 0)
                except (ValueError, RecursionError, ArithmeticError):
                    continue  # the replay proper counts it
        for conn, port in heard.items():
            self.wanted[conn] = self._streams(port)

    def _learn(self, body: bytes) -> None:
        try:
            known = listed(self.venue, body)
        except VenueError:
            return
        for instrument in known:
            other = self._by_native.setdefault(instrument.native, instrument)
            if other is not instrument and instrument.symbol == instrument.native:
                self._by_native[instrument.native] = instrument  # the market itself, not one that shows its book

    def _streams(self, port: _Listener) -> list[Subscription]:
        found = []
        for channel, sink in port.sinks.items():
            for native in sink.names:
                instrument = self._by_native.get(native) or guess(self.venue.name, native)
                if instrument is not None:
                    self.instruments[instrument.symbol] = instrument
                    depth = port.depths.get(native, 0) if channel == "book" else 0
                    found.append(Subscription(self.venue.name, instrument.symbol, channel, depth))
        return found


def guess(venue: str, native: str) -> Instrument[Decimal] | None:
    """An instrument made from a name alone; None where the name does not say what it is."""
    name = native.upper()
    parts = name.replace("/", "-").replace("_", "-").split("-")
    if len(parts) == 1:
        end = next((q for q in KNOWN_QUOTES if name.endswith(q) and len(name) > len(q)), None)
        if end is None:
            return None
        parts = [name[: -len(end)], end]
    try:
        symbol = canonical(parts[0], "-".join(parts[1:]))
    except ValueError:
        return None
    return Instrument(venue=venue, symbol=symbol, native=native, base=parts[0], quote=parts[1])


def as_numbers(instruments: Mapping[str, Instrument[Decimal]], exact: bool) -> dict[str, Instrument[Any]]:
    """Instruments in a feed's number type."""
    return {s: i if exact else i.as_floats() for s, i in instruments.items()}
