"""Faults on purpose: what to break, how often, and the dice that decide.

    drop=0.1%,dup=0.1%,reorder=0.05%,corrupt=0.1%,checksum=0.1%,cut=0.01%   a chance per data frame
    stall@30s,cut@45s                                                      once, so long after the start
    mute=book@30s,close=1012@40s,frame=utf8@50s,shutdown@60s,pings@70s     the same
    digits=BTC-USD@30s,delist=ETH-USD@30s   a market is made finer (told at Kraken alone), or taken off the list
    late_snapshot=2s,no_snapshot=3,refuse=ETH-USD,http429=3,retry_after=2   conduct of the venue
    handshake=503x3                                                         so many are answered so
    mempool:lag=3,bitcoind:down@30s,bitcoind:well@60s    conduct of a source of the chain: see `conduct`

A dropped frame has used its sequence number: that is what makes the hole.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import msgspec

from marketfeed.errors import ConfigError

from .bad_frames import BAD_FRAMES
from .conduct import Deed

RATES = ("drop", "dup", "reorder", "corrupt", "checksum", "cut")
"""Kinds that happen by chance to a data frame; each can also happen once, by script."""
MUTED = ("book", "trades", "ticker")
_SYMBOL = re.compile("[A-Z0-9]+-[A-Z0-9]+")
WHAT: dict[str, Callable[[str], bool]] = {
    "mute": lambda what: what in MUTED,
    "close": lambda what: what.isdecimal() and len(what) == 4 and 1000 <= int(what) <= 4999,
    "frame": lambda what: what in BAD_FRAMES,
    "digits": lambda what: _SYMBOL.fullmatch(what) is not None,
    "delist": lambda what: _SYMBOL.fullmatch(what) is not None,
}
"""Kinds that say what: `kind=what@seconds`, and the `where` of `inject`."""
ONCE = (*RATES, "stall", "shutdown", "pings", *WHAT)
"""Kinds that `name@seconds` and `inject` know."""
COUNTS = ("no_snapshot", "http429")
SECONDS = ("late_snapshot", "retry_after")
KNOWN = (*ONCE, *SECONDS, *COUNTS, "refuse", "handshake")
PINGS = 500
"""How many a flood of pings has."""
NOTICE_S = 10.0
"""From the notice of a shutdown to the end of its connections."""
EARLY_S = 0.25
"""A request so soon after a refusal was on its way before it."""


class Scripted(NamedTuple):
    """One fault, once, `after_s` seconds after the start."""

    kind: str
    after_s: float
    what: str = ""


class Faults(msgspec.Struct, frozen=True):
    """What goes wrong. Rates are chances per data frame from 0 to 1; see the module for each kind."""

    drop: float = 0.0
    dup: float = 0.0
    reorder: float = 0.0
    """Swapped with the data frame after it."""
    corrupt: float = 0.0
    """One bracket becomes a NUL byte: never valid JSON, always valid UTF-8."""
    checksum: float = 0.0
    """Kraken's book checksum is wrong; elsewhere nothing happens."""
    cut: float = 0.0
    """The connection is aborted, without a close frame."""
    script: tuple[Scripted, ...] = ()
    late_snapshot: float = 0.0
    """Seconds that a book snapshot, in-band or over REST, comes late."""
    no_snapshot: int = 0
    """How many snapshots never come: 503 over REST, silence in-band (updates flow on)."""
    refuse: tuple[str, ...] = ()
    """Symbols whose subscription is refused."""
    http429: int = 0
    """How many REST requests are answered 429."""
    retry_after: float = 1.0
    """Seconds that those replies ask for."""
    handshake: tuple[int, int] = (0, 0)
    """A status, and how many handshakes are answered with it; 403, 418 and 429 with a Retry-After."""
    conduct: tuple[Deed, ...] = ()
    """How sources of the chain misbehave, and when."""

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Read the comma-separated form; `ConfigError` names the part that is wrong and the known kinds."""
        values: dict[str, object] = {}
        script: list[Scripted] = []
        refuse: list[str] = []
        conduct: list[Deed] = []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            if ":" in part:
                conduct.append(Deed.parse(part))
                continue
            name, sign, value = part.partition("@" if "@" in part.partition("=")[0] else "=")
            name, value = name.strip(), value.strip()
            if name not in KNOWN:
                raise ConfigError(f"fault {part!r}: no kind is called {name!r}; there are {', '.join(KNOWN)}")
            if name in WHAT:
                what, _, at = value.partition("@")
                if sign != "=" or not WHAT[name](what):
                    raise ConfigError(
                        f"fault {part!r}: write mute=book@30s, close=1012@30s, frame=utf8@30s, digits=BTC-USD@30s"
                    )
                script.append(Scripted(name, _seconds(part, at), what))
            elif sign == "@":
                if name not in ONCE:
                    raise ConfigError(f"fault {part!r}: only {', '.join(ONCE)} happen at a time")
                script.append(Scripted(name, _seconds(part, value)))
            elif name == "refuse":
                refuse.append(_symbol(part, value))
            elif name == "handshake":
                values[name] = _handshake(part, value)
            else:
                values[name] = _value(part, name, value)
        return cls(script=tuple(script), refuse=tuple(refuse), conduct=tuple(conduct), **values)  # type: ignore[arg-type]

    @property
    def rates(self) -> dict[str, float]:
        """The kinds that have a chance, with it."""
        return {kind: rate for kind in RATES if (rate := getattr(self, kind)) > 0}


def _value(part: str, name: str, value: str) -> float | int:
    if name in COUNTS:
        if not value.isdecimal():
            raise ConfigError(f"fault {part!r}: {name} takes a whole number, such as {name}=3")
        return int(value)
    if name in SECONDS:
        return _seconds(part, value)
    if name in ("stall", "shutdown", "pings"):
        raise ConfigError(f"fault {part!r}: it happens at a time: {name}@30s")
    share = _number(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    if not 0 <= share <= 1:
        raise ConfigError(f"fault {part!r}: {name} takes a chance from 0% to 100%, such as {name}=0.1%")
    return share


def _seconds(part: str, value: str) -> float:
    seconds = _number(value.removesuffix("s"))
    if not 0 <= seconds < 1e9:
        raise ConfigError(f"fault {part!r}: {value!r} is not a time in seconds, such as 2s")
    return seconds


def _handshake(part: str, value: str) -> tuple[int, int]:
    found = re.fullmatch(r"([345][0-9][0-9])x([0-9]{1,6})", value)
    if found is None:
        raise ConfigError(f"fault {part!r}: handshake takes a status and how often, such as handshake=503x3")
    return int(found[1]), int(found[2])


def _symbol(part: str, value: str) -> str:
    if not _SYMBOL.fullmatch(value.upper()):
        raise ConfigError(f"fault {part!r}: refuse takes one symbol, such as refuse=ETH-USD")
    return value.upper()


def _number(text: str) -> float:
    """The number in a text, or NaN (which no range contains)."""
    return float(text) if re.fullmatch(r"[0-9]*\.?[0-9]+", text) else math.nan


class Troubles:
    """The conduct faults of one venue as they are used up; counts what was injected, and what clients broke."""

    def __init__(self, faults: Faults, venue: str, injected: Counter[str], breaches: Counter[str]) -> None:
        self.faults = faults
        self.injected = injected
        self._venue = venue
        self._breaches = breaches
        self._no_snapshot = faults.no_snapshot
        self._http429 = faults.http429
        self._handshake, self._turned_away = faults.handshake
        self._refused_at = self._shut_until = 0.0

    def refuses(self, symbol: str) -> bool:
        """Whether a subscription to this canonical symbol is refused."""
        return symbol in self.faults.refuse and self._count("refuse")

    def withholds_snapshot(self) -> bool:
        """Whether the snapshot asked for now never comes."""
        if self._no_snapshot <= 0:
            return False
        self._no_snapshot -= 1
        return self._count("no_snapshot")

    def snapshot_delay_s(self) -> float:
        """How late the snapshot asked for now comes."""
        if self.faults.late_snapshot:
            self._count("late_snapshot")
        return self.faults.late_snapshot

    def is_busy(self) -> bool:
        """Whether this REST request is answered 429."""
        if self._http429 <= 0:
            return False
        self._http429 -= 1
        return self._count("http429")

    def turn_away(self, status: int, count: int) -> None:
        """Answer so many handshakes with this status, from now on."""
        self._handshake, self._turned_away = status, count

    def turned_away(self) -> int:
        """The status that the handshake in hand is answered with; 0 where it is let in."""
        if self._turned_away <= 0:
            return 0
        self._turned_away -= 1
        self._count("handshake")
        return self._handshake

    def close_until(self, mono: float, seconds: float) -> None:
        """A client was told at `mono` seconds to stay away for so long."""
        self._refused_at = mono
        self._shut_until = max(self._shut_until, mono + seconds)

    def arrived(self, mono: float) -> None:
        """A request or a handshake: too early where the client was told to stay away."""
        if self._refused_at + EARLY_S < mono < self._shut_until:
            self.breach("early")

    def breach(self, rule: str) -> None:
        """Note that a client has broken one of the venue's rules."""
        self._breaches[f"{self._venue}:{rule}"] += 1

    def _count(self, kind: str) -> bool:
        self.injected[kind] += 1
        return True


class Gremlin:
    """Breaks the data frames of one connection; the same dice break the same frames."""

    def __init__(self, faults: Faults, seed: str, injected: Counter[str]) -> None:
        self._rates = tuple(faults.rates.items())
        # Frames made by the wall clock (heartbeats) have dice of their own: how many there are must not
        # change what happens to the market's frames.
        self._dice = {False: Random(seed), True: Random(f"{seed}:timed")}
        self._injected = injected
        self._armed: list[tuple[str, str]] = []
        self._held: str | None = None
        self.stalled = False

    def arm(self, kind: str, where: str = "") -> None:
        """Break the next data frame that contains `where`; a stall holds from now on."""
        if kind == "stall":
            self.stalled = True
            self._injected[kind] += 1
        else:
            self._armed.append((kind, where))

    def pass_on(self, text: str, *, timed: bool = False) -> list[str] | None:
        """What reaches the wire in place of one data frame; None: the connection is cut here."""
        if self.stalled:
            return []
        dice = self._dice[timed]
        kinds = [kind for kind, rate in self._rates if dice.random() < rate]
        for armed in [armed for armed in self._armed if armed[1] in text]:
            self._armed.remove(armed)
            kinds.append(armed[0])
        held, self._held = self._held, None
        if held is not None and "reorder" in kinds:
            kinds.remove("reorder")
        out = self._break(text, kinds, dice) if kinds else [text]
        if held is None or out is None:
            return out
        if not out:
            self._held = held
            return out
        return [*out, held]

    def _break(self, text: str, kinds: list[str], dice: Random) -> list[str] | None:
        """Apply one kind, of several the gravest: what is counted is what was done."""
        kind = next(kind for kind in ("cut", "drop", "corrupt", "reorder", "checksum", "dup") if kind in kinds)
        if kind == "checksum":
            text, found = re.subn(r'"checksum":(\d+)', lambda m: f'"checksum":{int(m[1]) ^ 1}', text)
            self._injected[kind] += found
            return [text]
        self._injected[kind] += 1
        match kind:
            case "cut":
                return None
            case "drop":
                return []
            case "corrupt":
                place = dice.choice([n for n, char in enumerate(text) if char in "{}[]"])
                return [text[:place] + "\x00" + text[place + 1 :]]
            case "reorder":
                self._held = text
                return []
        return [text, text]
