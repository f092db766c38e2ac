"""Times and lengths of time as people give them, in Unix nanoseconds."""

import re
from datetime import UTC, datetime

from ..errors import ConfigError

Time = int | datetime | str
"""Unix nanoseconds, a datetime with its time zone, or ISO text, UTC where it names no zone."""

DAY = 86_400 * 10**9
FOREVER = 2**63 - 1
WAITED = 60 * 10**9
"""Nanoseconds that an event may have waited to be told: a change of a book for its snapshot, any for the recorder."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": DAY}


def time_ns(t: Time) -> int:
    """Unix nanoseconds of a time. Raises ConfigError for what is none, and for a datetime without a time zone."""
    try:
        if isinstance(t, str):
            parts = re.fullmatch(r"(.*:\d\d)\.(\d{1,9})(\D.*)?", t)  # fromisoformat would cut after microseconds
            when = datetime.fromisoformat(parts[1] + (parts[3] or "") if parts else t)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            more = int(parts[2].ljust(9, "0")) if parts else 0
        elif isinstance(t, datetime):
            if t.tzinfo is None:
                raise ValueError("it has no time zone")
            when, more = t, getattr(t, "nanosecond", 0)  # pandas' datetimes have them
        else:
            when, more = _EPOCH, t
    except ValueError as exc:
        raise ConfigError(f"{t!r} is not a time: {exc}") from exc
    since = when - _EPOCH
    ns = (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000 + more
    if not 0 <= ns < FOREVER:
        raise ConfigError(f"{t!r}: times are from 1970 to 2262")
    return ns


def step_ns(every: str) -> int:
    """Nanoseconds of `1s`, `250ms`, `5m`, `1h` or `1d`. Raises ConfigError for anything else."""
    parts = re.fullmatch(r"([1-9][0-9]{0,8})([a-z]+)", every)
    if parts is None or parts[2] not in _STEPS:
        raise ConfigError(f"{every!r} is not a length of time such as 1s, 5m or 1h")
    return int(parts[1]) * _STEPS[parts[2]]


def date_of(ns: int) -> str:
    """The UTC date of a time, as in `2026-04-07`."""
    return datetime.fromtimestamp(ns // 10**9, UTC).date().isoformat()


def iso(ns: int) -> str:
    """A time as people read it, UTC, to the millisecond."""
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns // 10**6 % 1000:03}Z"
