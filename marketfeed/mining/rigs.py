"""Rigs: the catalogue of known hardware, rigs of one's own, and fleets of them.

The catalogue's figures are nameplates (Bitmain allows itself 3 % of hashrate and 5 % of power): each entry says where
it is from, and a measured rig of one's own is always better.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError, nearest
from . import coins
from .units import parse_hashrate, parse_power

_CATALOGUE = Path(__file__).with_name("rigs.toml")
_TEXTS = ("name", "algorithm", "hashrate", "power", "source", "date")
_NEEDED = ("algorithm", "hashrate", "power")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Rig(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of machine. `hashrate_hs` in H/s (Equihash: Sol/s) and `watts` are of one; there are `count` of it.

    `source` says where the figures are from and `date` of when they are, "" for rigs of one's own.
    """

    id: str
    name: str
    algorithm: str
    hashrate_hs: float
    watts: float
    count: int = 1
    source: str = ""
    date: str = ""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All machines of a fleet together, in H/s (or Sol/s) and watts."""

    algorithm: str
    hashrate_hs: float
    watts: float
    count: int


def load_rigs(path: str | Path) -> dict[str, Rig]:
    """Rigs by id from a TOML file: one table a rig, `[my-rig]` with algorithm, hashrate, power; name, source, date.

    Raises ConfigError, naming file, table and key, for a file that cannot be read or has anything else in it.
    """
    try:
        tables = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as exc:
        raise ConfigError(f"rigs file {path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # TOMLDecodeError and UnicodeDecodeError are both
        raise ConfigError(f"rigs file {path} is not TOML: {exc}") from exc
    return {id: _from_table(id, table, f"rigs file {path}, table [{id}]") for id, table in tables.items()}


@cache
def catalogue() -> dict[str, Rig]:
    """The hardware that ships with marketfeed, by id."""
    return load_rigs(_CATALOGUE)


def rig(id: str, own: Mapping[str, Rig] | None = None) -> Rig:
    """The rig of an id, from one's own or else the catalogue; raises ConfigError, with the nearest known."""
    known = {**catalogue(), **(own or {})}
    found = known.get(id.strip().lower())
    if found is None:
        hint = nearest(id.strip().lower(), known) or "; give its hashrate, power and algorithm instead"
        raise ConfigError(f"no rig is called {id[:40]!r}{hint}")
    return found


def make_rig(hashrate: str, power: str, algorithm: str, *, name: str = "own rig") -> Rig:
    """A rig of texts: `make_rig("270TH/s", "3645W", "sha256")`. Raises ConfigError for what cannot be read."""
    return Rig(
        id="own",
        name=name,
        algorithm=coins.algorithm(algorithm),
        hashrate_hs=parse_hashrate(hashrate),
        watts=parse_power(power),
    )


def fleet(text: str, own: Mapping[str, Rig] | None = None) -> tuple[Rig, ...]:
    """Rigs with their counts of `s21xp*10,s19pro*3`; an id alone is one machine.

    Raises ConfigError for unknown ids, ids given twice and counts below 1.
    """
    rigs: dict[str, Rig] = {}
    for piece in text.split(","):
        id, star, count = (part.strip() for part in piece.partition("*"))
        one = rig(id, own)
        if one.id in rigs:
            raise ConfigError(f"{one.id} stands twice in {text[:60]!r}; add the counts up")
        if star and not (count.isascii() and count.isdigit() and 0 < len(count) < 8 and int(count)):
            raise ConfigError(f"{piece.strip()[:40]!r} has no count from 1 up; write it as {one.id}*10")
        rigs[one.id] = msgspec.structs.replace(one, count=int(count) if star else one.count)
    return tuple(rigs.values())


def totals(rigs: Iterable[Rig]) -> Totals:
    """The sum of all machines.

    Raises ConfigError where there are none, or where algorithms differ: they mine different coins.
    """
    listed = tuple(rigs)
    names = sorted({one.algorithm for one in listed})
    if len(names) != 1:
        what = f"mixes {' and '.join(names)}; ask for each by itself" if names else "has no rigs"
        raise ConfigError(f"the fleet {what}")
    return Totals(
        algorithm=names[0],
        hashrate_hs=sum(one.hashrate_hs * one.count for one in listed),
        watts=sum(one.watts * one.count for one in listed),
        count=sum(one.count for one in listed),
    )


def _from_table(id: str, table: Any, where: str) -> Rig:
    if not _ID.fullmatch(id):
        raise ConfigError(f"{where}: an id is of a-z, 0-9 and dashes, 40 at most")
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: a rig is a table; put [{id}] on a line, and its keys below")
    for key, value in table.items():
        if key not in _TEXTS:
            raise ConfigError(f"{where}: there is no key {key!r}{nearest(key, _TEXTS)}")
        if not isinstance(value, str):
            raise ConfigError(f'{where}, key {key}: write it as text with its unit, as in hashrate = "270 TH/s"')
    missing = [key for key in _NEEDED if key not in table]
    if missing:
        raise ConfigError(f"{where}: {' and '.join(missing)} missing")
    try:
        own = make_rig(table["hashrate"], table["power"], table["algorithm"], name=table.get("name", id))
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc
    return msgspec.structs.replace(own, id=id, source=table.get("source", ""), date=table.get("date", ""))
