"""What a user can set for a venue, and the keys that the environment holds for it."""

import os
from base64 import b64encode
from pathlib import Path

from msgspec import Struct, structs

from .errors import ConfigError
from .transport import check_url, is_proxy
from .venues._spec import Endpoints, Pace, Secret, Venue

SHORTEST = 4


class VenueSettings(Struct, frozen=True, kw_only=True):
    """Settings of one venue: where it is, and how to reach it. What is None is the venue's own.

    `ws` and `rest` are base URLs, so that a simulator or a mirror can stand in; `ws://` and `http://` only on loopback.
    `proxy` is a URL; None means HTTP(S)_PROXY of the environment. `max_resyncs` is how often a minute a book may
    be asked for again on one connection before the connection is replaced. `backfill` asks over REST for trades that
    were missed. Every `audit_s` seconds each live book is compared with REST, 0 for never. `zmq` is where a node
    publishes its blocks (`tcp://127.0.0.1:28332`), in the extra `[zmq]`: it is asked at once then, and not only when
    that is due.
    `redundancy` is links a stream, as of `Feed`; the second goes to `spare`, another WebSocket base URL, where there is
    one.
    """

    ws: str | None = None
    spare: str | None = None
    rest: str | None = None
    proxy: str | None = None
    pace: Pace | None = None
    max_resyncs: int = 3
    backfill: bool = True
    audit_s: float = 900.0
    zmq: str | None = None
    redundancy: int | None = None

    def __repr__(self) -> str:
        """All fields; of the proxy without its user name and password."""
        told = structs.asdict(self)
        if self.proxy and "@" in self.proxy:
            told["proxy"] = f"...@{self.proxy.rpartition('@')[2]}"
        return f"VenueSettings({', '.join(f'{name}={value!r}' for name, value in told.items())})"

    def endpoints(self, default: Endpoints) -> Endpoints:
        """The endpoints to use. Raises ConfigError for a URL that may not be used, that of the proxy too."""
        if self.proxy is not None and not is_proxy(self.proxy):
            raise ConfigError("proxy= is not the URL of a proxy: write http://HOST:PORT")  # it may hold a password
        spare = ("" if self.ws else default.spare) if self.spare is None else self.spare
        chosen = Endpoints(
            ws=(self.ws or default.ws).rstrip("/"),
            rest=(self.rest or default.rest).rstrip("/"),
            spare=spare.rstrip("/"),
        )
        sockets = ("ws", "wss")
        for url, schemes in ((chosen.ws, sockets), (chosen.spare, sockets), (chosen.rest, ("http", "https"))):
            if not url:
                continue  # a source that is polled has no WebSocket, and few venues a second one
            check_url(url)
            if url.partition(":")[0] not in schemes:
                raise ConfigError(f"{url!r} must begin with {schemes[1]}:// (or {schemes[0]}:// on loopback)")
        return chosen


def check_redundancy(links: int) -> None:
    """Raises ConfigError for a number of links a stream that is not served."""
    if links not in (1, 2):
        raise ConfigError(f"redundancy={links}: a stream has one link, or two")


def credentials(venue: Venue) -> dict[str, str | Secret]:
    """Headers with what the environment has for a venue that takes `user:password` (HTTP basic).

    Read from MARKETFEED_<NAME>_AUTH, or from the file that MARKETFEED_<NAME>_COOKIE names, as bitcoind writes one.
    Raises ConfigError where the venue cannot do without and there are none, or where the file cannot be read.
    """
    text = _auth(venue) if venue.credentials else ""
    return {"Authorization": Secret("Basic " + _basic(text))} if text else {}


def secrets(venue: Venue) -> list[str]:
    """Every text that gives `credentials` away, for who must take it out of what is kept.

    A password of less than four letters is not among them alone, since it would be found everywhere.
    """
    try:
        text = _auth(venue) if venue.credentials else ""
    except ConfigError:
        return []
    password = text.partition(":")[2]
    return [text, _basic(text), *([password] if len(password) >= SHORTEST else [])] if text else []


def _basic(text: str) -> str:
    return b64encode(text.encode()).decode()


def _auth(venue: Venue) -> str:
    """`user:password`, "" where there is none and none is needed."""
    name = f"MARKETFEED_{venue.name.upper().replace('.', '_')}"
    text, cookie = os.environ.get(f"{name}_AUTH", ""), os.environ.get(f"{name}_COOKIE", "")
    if not text and cookie:
        try:
            text = Path(cookie).read_text("ascii").strip()
        except (OSError, ValueError) as exc:
            raise ConfigError(f"the file that {name}_COOKIE names cannot be read: {type(exc).__name__}") from None
    if not text:
        if venue.credentials == "optional":
            return ""
        raise ConfigError(
            f"{venue.title} asks for a password: set {name}_AUTH to user:password in the environment, "
            f"or {name}_COOKIE to the path of its .cookie file"
        )
    if ":" not in text or not text.isprintable():
        raise ConfigError(f"{name}_AUTH must be user:password")
    return text
