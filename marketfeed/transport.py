"""The seam between marketfeed and a WebSocket library: three small protocols, and which library serves them.

A `Transport` connects and gives a `Link`; what arrives on it is pushed into a `LinkListener`, with no queue between.
The libraries themselves are in `marketfeed.transports`; `marketfeed.transports.fake` is one for tests.
"""

from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from .clock import Clock
from .errors import ConfigError, MissingExtra, nearest

ENTRY_POINTS = "marketfeed.transports"
"""Group of entry points that name further transports: each a class or function that makes one."""

GIVEN_UP = 1006
"""The code of a close that nobody is asked to answer: the link is believed dead."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

SLICE = 64
"""Messages handed to a listener at a time, at most.

One read can bring thousands: in slices, what is made of one is still in the CPU's cache when it is handed on, and a
close that a message gives rise to comes into effect soon.
"""


class LinkListener(Protocol):
    """Who is told what happens on a link. Nothing is called before `connect` has returned to an `await` of it.

    An exception that `on_frames` or `on_pong` raises closes the link with 1011 and is named in `on_closed`.
    """

    def on_frames(self, frames: list[bytes], recv_ns: int) -> None:
        """What one socket read brought: whole data messages in order, fragments joined, at most `SLICE`. Hot.

        The list is the listener's to keep. `recv_ns` is Unix time, one reading per socket read, so that the slices of
        a large one share it. All that was read before the end of the link comes before `on_closed`.
        """

    def on_pong(self) -> None:
        """A pong came, or a ping from the venue (already answered): the link is alive."""

    def on_closed(self, code: int, reason: str) -> None:
        """The link is gone. Exactly once, and last.

        `code` is that of whoever closed first, and 1006 where the link broke or our close was not answered; `reason`
        is plain words in printable ASCII, safe to show.
        """


class Link(Protocol):
    """An open connection. All methods return at once and may be called from the listener."""

    def send(self, payload: str | bytes) -> None:
        """Send a text message (str) or a binary one (bytes). On a closed link: ignored."""

    def ping(self) -> None:
        """Send a protocol ping; its answer is an `on_pong`. On a closed link: ignored."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start closing: no `on_frames` or `on_pong` after this, and `on_closed` within two seconds and a bit.

        `code` is one that may be sent (1000, 1001 and so on, 3000 to 4999), else ValueError; or `GIVEN_UP`, with which
        nothing is sent and `on_closed` follows at once.
        """

    async def wait_closed(self) -> None:
        """Wait until `on_closed` has been called."""


class Transport(Protocol):
    """A way to open WebSocket connections."""

    name: str

    async def connect(
        self,
        url: str,
        listener: LinkListener,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        max_message: int,
        timeout_s: float = 10.0,
        proxy: str | None = None,
        clock: Clock,
    ) -> Link:
        """Open a link, or raise TransportError; a URL that may not be used is a ConfigError, before any connection.

        `max_message` bounds a message in bytes, fragments together; a larger one closes the link with 1009.
        `timeout_s` covers all of it: name, TCP, TLS, handshake. `proxy` None means the environment's (HTTPS_PROXY,
        NO_PROXY), which loopback never uses. No redirect is followed and no compression is offered.
        """


def pick_transport(name: str = "auto") -> Transport:
    """The transport of that name; "auto" is picows where it is installed, else websockets.

    Other names are looked up among entry points of the group "marketfeed.transports". MissingExtra where picows is
    asked for and not installed, ConfigError where no transport has the name.
    """
    if name in {"auto", "picows"}:
        try:
            from .transports.picows import PicowsTransport  # noqa: PLC0415
        except ImportError:
            if name == "picows":
                raise MissingExtra("transport picows", "fast") from None
        else:
            return PicowsTransport()
    if name in {"auto", "websockets"}:
        from .transports.websockets import WebsocketsTransport  # noqa: PLC0415

        return WebsocketsTransport()
    from importlib import metadata  # noqa: PLC0415  # 15 ms that `import marketfeed` need not cost

    others = metadata.entry_points(group=ENTRY_POINTS)
    for entry in others:
        if entry.name == name:
            made: Transport = entry.load()()
            return made
    known = ["auto", "picows", "websockets", *sorted({entry.name for entry in others})]
    hint = nearest(name, known) or f"; there are {', '.join(known)}"
    raise ConfigError(f"no transport is called {name!r}{hint}")


def check_url(url: str) -> None:
    """Refuse an address that would be read in clear over a network: ws:// and http:// only on loopback.

    ConfigError says what to write instead. It never repeats path or query, which may hold a token.
    """
    parts = split_url(url)
    if parts.scheme in {"ws", "wss"} and parts.username is not None:
        raise ConfigError(f"the URL for {parts.hostname} holds a user name: keys for a WebSocket go into headers")
    if parts.scheme in {"ws", "http"} and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"{parts.scheme}://{parts.hostname} is not encrypted, and that is allowed on loopback only "
            f"(localhost, 127.0.0.0/8, ::1): use {parts.scheme}s://"
        )


def split_url(url: str) -> SplitResult:
    """The parts of a ws, wss, http or https URL with a host; ConfigError for any other text."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # asked for here because a bad port raises only when it is read
    except ValueError:
        raise ConfigError("that URL has a malformed host or port") from None
    if parts.scheme not in {"ws", "wss", "http", "https"}:
        raise ConfigError(f"a URL begins with wss:// or https://, not {parts.scheme[:20]!r}")
    if not parts.hostname:
        raise ConfigError(f"a {parts.scheme}:// URL without a host")
    if parts.fragment:
        raise ConfigError(f"the URL for {parts.hostname} has a fragment (#...), which is never sent")
    if any(char <= " " or char == "\x7f" for char in url):
        raise ConfigError(f"the URL for {parts.hostname} has a blank or a control character in it")
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host's name says that it is this machine; no name but `localhost` is trusted to."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: str, proxy: str | None) -> str | None:
    """The proxy to use for a URL: the one given, else the environment's, and none for loopback.

    ConfigError where a variable of the environment holds no URL; it names the variable, not the value.
    """
    if proxy is not None:
        return proxy
    parts = split_url(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # slow to import

    if proxy_bypass(host):
        return None
    found = getproxies()
    kinds = ("wss", "https", "all") if parts.scheme in {"wss", "https"} else ("ws", "http", "all")
    kind = next((kind for kind in kinds if found.get(kind)), None)
    if kind is None:
        return None
    if not is_proxy(found[kind]):
        raise ConfigError(f"{kind.upper()}_PROXY is not the URL of a proxy: write http://HOST:PORT")
    return found[kind]


def is_proxy(text: str) -> bool:
    """Whether a text is a URL with a host, as a proxy's is."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # a bad port raises only when it is read
    except ValueError:
        return False
    return bool(parts.scheme and parts.hostname)


@cache
def user_agent() -> str:
    """How we introduce ourselves: `marketfeed/<version>`."""
    from importlib import metadata  # noqa: PLC0415

    try:
        return f"marketfeed/{metadata.version('marketfeed')}"
    except metadata.PackageNotFoundError:
        return "marketfeed/0"
