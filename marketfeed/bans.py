"""Bans on disk: a venue that sent this address away is left alone by the next process, too (T14).

A file an endpoint in the folder of state, `bans/api.binance.com-443`, holds when the ban ends (nanoseconds since 1970).
"""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from .clock import Clock
from .log_limit import limited
from .transport import is_loopback
from .transports._failures import MAX_RETRY_AFTER_S
from .venues._spec import Endpoints

log = limited("marketfeed.bans")

SECOND = 1_000_000_000
SHORTEST_S = 5.0
"""A process takes about that long to be started again: what is shorter is not kept."""
LONGEST_S = MAX_RETRY_AFTER_S + 60.0
"""No ban is longer; a file that says so was written by a clock that was wrong."""
STATE = "MARKETFEED_STATE"


def state_folder() -> Path | None:
    """Where this user's state is: MARKETFEED_STATE ("": nowhere), else as XDG_STATE_HOME and its default say."""
    named = os.environ.get(STATE)
    if named is not None:
        return Path(named) if named else None
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "marketfeed"


def place_of(endpoints: Endpoints) -> str:
    """What a ban is of: `api.binance.com-443`, whatever the path or the streams are."""
    parts = urlsplit(endpoints.rest or endpoints.ws)
    return f"{parts.hostname or ''}-{parts.port or 443}".replace(":", "_").replace("/", "_")


class Bans:
    """The ban of one venue's endpoints, kept over restarts.

    A venue on loopback is a simulated one: its bans are kept only where MARKETFEED_STATE names the folder. A disk that
    refuses is logged, and the ban holds in this process alone.
    """

    def __init__(self, endpoints: Endpoints, clock: Clock) -> None:
        host, folder = urlsplit(endpoints.rest or endpoints.ws).hostname or "", state_folder()
        kept = folder is not None and (bool(os.environ.get(STATE)) or not is_loopback(host))
        self._path = folder / "bans" / place_of(endpoints) if kept and folder is not None else None
        self._clock = clock

    def left(self) -> int:
        """Nanoseconds that the ban still lasts, 0 where there is none."""
        if self._path is None:
            return 0
        try:
            left = int(self._path.read_text("ascii")) - self._clock.unix_ns()
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as exc:
            log.warning("the ban that %s tells of cannot be read: %r", self._path, exc)
            return 0
        if left > LONGEST_S * SECOND:
            log.warning("%s tells of a ban that is longer than any; it is not believed", self._path)
            return 0
        return max(0, left)

    def keep(self, ns: int) -> None:
        """The ban lasts for so many nanoseconds from now on, unless a longer one stands."""
        if self._path is None or ns < SHORTEST_S * SECOND or self.left() >= ns:
            return
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_text(str(self._clock.unix_ns() + ns), "ascii")
            fresh.replace(self._path)
        except OSError as exc:
            log.warning("a ban of %.0f s is not kept for the next start: %r", ns / SECOND, exc)
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
