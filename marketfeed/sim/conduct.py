"""How a source of the simulated chain behaves, and how to say so in text.

    lag=3          three blocks behind the chain (it falls back no faster than blocks come)
    lie=2          its bits, targets and difficulties are twice as hard as the true ones, and agree
    misprint=2     its difficulty figures alone are; its bits are true
    error          HTTP 500 to every request and handshake; connections that stand go on
    hang           no request is answered, and connections that stand say nothing
    down           every connection is cut, new ones are refused
    warmup         bitcoind answers -28 to every call
    well           all of that is over

Among the faults of a plant they carry the source's name and when: `mempool:lag=3`, `bitcoind:down@30s`.
"""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

from ..errors import ConfigError

STATES = ("error", "hang", "down", "warmup")
"""Of these a source is in one at most."""
KINDS = ("lag", "lie", "misprint", *STATES, "well")
_FORM = re.compile(r"([a-z]+)(?:=([0-9]*\.?[0-9]+))?")
_SCRIPTED = re.compile(r"([a-z]+):([^@]+)(?:@([0-9]*\.?[0-9]+)s?)?")


class Deed(NamedTuple):
    """One change of conduct of a source, `after_s` seconds after the start."""

    source: str
    what: str
    after_s: float

    @classmethod
    def parse(cls, text: str) -> Deed:
        """Read `SOURCE:WHAT[@SECONDS]`; `ConfigError` says what is wrong with it."""
        found = _SCRIPTED.fullmatch(text)
        if found is None:
            raise ConfigError(f"fault {text!r}: write SOURCE:WHAT or SOURCE:WHAT@SECONDS, such as bitcoind:down@30s")
        read(found[2])
        return cls(found[1], found[2], float(found[3] or 0))


def read(what: str) -> tuple[str, float]:
    """The kind and number in a text such as `lag=3`; `ConfigError` names the kinds there are."""
    found = _FORM.fullmatch(what.strip())
    if found is None or found[1] not in KINDS:
        raise ConfigError(f"a source cannot {what!r}; there are {', '.join(KINDS)}")
    kind, number = found[1], found[2]
    if (number is not None) != (kind in ("lag", "lie", "misprint")):
        raise ConfigError(f"{what!r}: write lag=BLOCKS, lie=FACTOR, misprint=FACTOR, and the others without a number")
    value = float(number or 0)
    if kind == "lag" and not (value.is_integer() and value <= 1_000):
        raise ConfigError(f"{what!r}: a lag is a whole number of blocks, at most 1000")
    if kind in ("lie", "misprint") and not 0.001 <= value <= 1_000:
        raise ConfigError(f"{what!r}: difficulties are multiplied by 0.001 to 1000")
    return kind, value


class Conduct:
    """The conduct of one source now. `state` is one of `STATES`, or "" while it serves."""

    def __init__(self) -> None:
        self.lag = 0
        self.lie = self.misprint = 1.0
        self.state = ""
        self.moving = asyncio.Event()
        """Set unless it hangs."""
        self.moving.set()

    def __repr__(self) -> str:
        return f"Conduct({self.state or 'well'}, lag={self.lag}, lie={self.lie:g}, misprint={self.misprint:g})"

    def change(self, what: str) -> None:
        """Behave so from now on; `ConfigError` for what is unknown."""
        kind, value = read(what)
        match kind:
            case "lag":
                self.lag = int(value)
            case "lie":
                self.lie = value
            case "misprint":
                self.misprint = value
            case "well":
                self.lag, self.lie, self.misprint, self.state = 0, 1.0, 1.0, ""
            case _:
                self.state = kind
        if self.state == "hang":
            self.moving.clear()
        else:
            self.moving.set()
