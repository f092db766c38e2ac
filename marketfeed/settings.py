"""What a user can set for a venue."""

from msgspec import Struct

from .errors import ConfigError
from .transport import check_url
from .venues._spec import Endpoints, Pace


class VenueSettings(Struct, frozen=True, kw_only=True):
    """Settings of one venue: where it is, and how to reach it. What is None is the venue's own.

    `ws` and `rest` are base URLs, so that a simulator or a mirror can stand in; `ws://` and `http://` only on loopback.
    `proxy` is a URL; None means HTTP(S)_PROXY of the environment. `max_resyncs` is how often a minute a book may
    be asked for again on one connection before the connection is replaced.
    """

    ws: str | None = None
    rest: str | None = None
    proxy: str | None = None
    pace: Pace | None = None
    max_resyncs: int = 3

    def endpoints(self, default: Endpoints) -> Endpoints:
        """The endpoints to use. Raises ConfigError for a URL that may not be used."""
        chosen = Endpoints(ws=(self.ws or default.ws).rstrip("/"), rest=(self.rest or default.rest).rstrip("/"))
        for url, schemes in ((chosen.ws, ("ws", "wss")), (chosen.rest, ("http", "https"))):
            check_url(url)
            if url.partition(":")[0] not in schemes:
                raise ConfigError(f"{url!r} must begin with {schemes[1]}:// (or {schemes[0]}:// on loopback)")
        return chosen
