"""What `mine` was asked, checked: coins, rigs, and the price of electricity."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ..errors import ConfigError
from ..mining.coins import Coin, parse_coins
from ..mining.economics import Scheme
from ..mining.electricity import Tariff, parse_tariff
from ..mining.rigs import Rig, catalogue, fleet, load_rigs, make_rig

EXAMPLE = "marketfeed mine BTC --rig s21xp --electricity 0.06"
CALC_ONLY = (
    "difficulty",
    "price",
    "fees",
    "height",
    "reward",
    "payback",
    "difficulty_growth",
    "price_change",
    "resale",
)
"""Options that mean nothing without --calc."""
LIVE_ONLY = ("venues", "sources", "sim", "endpoints", "count", "duration")
"""Options that mean nothing with it."""


class Ask(Struct, frozen=True, kw_only=True):
    """What to compute. `shared` has the rigs that can mine each of the coins, by label as `LTC+DOGE`."""

    shared: Mapping[str, tuple[Rig, ...]]
    typed: tuple[str, ...]
    """The coins as they were written."""
    quote: str
    tariff: Tariff
    fee: float
    scheme: Scheme
    uptime: float
    pue: float

    @property
    def coins(self) -> tuple[Coin, ...]:
        """Every coin once."""
        return tuple({coin.code: coin for label in self.shared for coin in parse_coins(label)}.values())

    @property
    def rigs(self) -> tuple[Rig, ...]:
        """Every rig once."""
        return tuple({rig.id: rig for of in self.shared.values() for rig in of}.values())


def read(
    coins: Sequence[str],
    *,
    rigs: Sequence[str],
    hashrate: str | None,
    power: str | None,
    rigs_file: str | None,
    electricity: str | None,
    utc_offset: int | None,
    quote: str,
    fee: float,
    scheme: Scheme,
    uptime: float,
    pue: float,
    given: Mapping[str, Any],
) -> Ask:
    """Check what was asked; `given` are the other options. Raises ConfigError, saying what to write instead."""
    _fits_mode(given)
    if not coins:
        raise ConfigError(f"which coin? Write it as in: {EXAMPLE}")
    for text in coins:
        parse_coins(text)
    chosen = own_rigs(coins, rigs, hashrate, power, rigs_file)
    if not chosen:
        raise ConfigError(
            "which rig? Name one with --rig (--list shows them), or give your own with --hashrate and --power"
        )
    if electricity is None:
        raise ConfigError("--electricity is missing: what a kWh costs, as --electricity 0.06")
    if utc_offset is not None and "=" not in electricity:
        raise ConfigError("--utc-offset goes with a price by time of day, as 00:00-06:00=0.04,06:00-24:00=0.09")
    from ..mining import share_out  # noqa: PLC0415 # it brings the join, which --list can do without

    return Ask(
        shared=share_out(coins, chosen),
        typed=tuple(coins),
        quote=quote.upper(),
        tariff=parse_tariff(electricity, utc_offset or 0),
        fee=fee,
        scheme=scheme,
        uptime=uptime,
        pue=pue,
    )


def own_rigs(
    coins: Sequence[str], rigs: Sequence[str], hashrate: str | None, power: str | None, rigs_file: str | None
) -> tuple[Rig, ...]:
    """The rigs asked for: of the catalogue, of a file, and one given by its figures."""
    own = load_rigs(rigs_file) if rigs_file else {}
    chosen = fleet(",".join(rigs), own) if rigs else tuple(own.values()) if not hashrate else ()
    if (hashrate is None) != (power is None):
        missing = "--hashrate" if hashrate is None else "--power"
        raise ConfigError(f"{missing} is missing: a rig of your own is --hashrate 270TH/s --power 3645W")
    if hashrate is not None and power is not None:
        chosen += (make_rig(hashrate, power, parse_coins(coins[0])[0].algorithm),)
    return chosen


def known_rigs(rigs_file: str | None) -> list[Rig]:
    """The catalogue, and one's own."""
    return list({**catalogue(), **(load_rigs(rigs_file) if rigs_file else {})}.values())


def _fits_mode(given: Mapping[str, Any]) -> None:
    calc = bool(given.get("calc"))

    def first(names: Sequence[str]) -> str | None:
        return next((f"--{name.replace('_', '-')}" for name in names if given.get(name) not in (None, (), False)), None)

    odd = first(LIVE_ONLY if calc else CALC_ONLY)
    if odd is not None and calc:
        option = odd.removesuffix("s") if odd in {"--venues", "--sources", "--endpoints"} else odd
        raise ConfigError(f"--calc uses given numbers and no network: leave out {option}")
    if odd is not None:
        hint = "; live, --price-of says which price" if odd == "--price" else ""
        raise ConfigError(f"{odd} goes with --calc{hint}")
    if calc:
        for name in ("difficulty", "price"):
            if not given.get(name):
                raise ConfigError(f"--calc needs --{name}")
    if given.get("payback") is None and any(given.get(name) is not None for name in CALC_ONLY[-3:]):
        raise ConfigError("--difficulty-growth, --price-change and --resale go with --payback")
