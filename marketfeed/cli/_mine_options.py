"""What `mine` may be asked: its options, in groups for `--help`, and the kinds of values they take."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

import click

from . import _options

_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?)\s*([kmgtpe]?)", re.IGNORECASE | re.ASCII)
_OFFSET = re.compile(r"([+-]?)(\d{1,2})(?::([0-5]\d))?", re.ASCII)
_POWERS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}


class Number(click.ParamType[float]):
    """A number from 0 up, or above 0; with `si` also as 132.7T."""

    name = "number"

    def __init__(self, *, zero: bool = False, si: bool = False) -> None:
        self._zero, self._si = zero, si

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        found = _NUMBER.fullmatch(str(value).strip())
        if found is None or (found[2] and not self._si):
            example = "106935.5 or 132.7T" if self._si else "106935.5"
            self.fail(f"{str(value)[:40]!r} is not a number; write it as {example}", param, ctx)
        number = float(found[1]) * _POWERS[found[2].lower()]
        if not isfinite(number) or number < 0 or not (number or self._zero):
            self.fail(f"{str(value)[:40]!r} is not {'from' if self._zero else 'above'} 0", param, ctx)
        return number


class Part(click.ParamType[float]):
    """A part of a whole: 0.02, or 2%."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The fraction."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            part = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"{text[:40]!r} is not a part; write 0.02 or 2%", param, ctx)
        if not 0 <= part <= 1:
            self.fail(f"{text[:40]!r} is not between 0 and 1; 2 percent are 0.02 or 2%", param, ctx)
        return part


class Percent(click.ParamType[float]):
    """A change in percent: 2%, -1.5."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Percent."""
        try:
            percent = float(str(value).strip().removesuffix("%"))
        except ValueError:
            percent = float("nan")
        if not isfinite(percent):
            self.fail(f"{str(value)[:40]!r} is not a percentage; write 2% or -1.5%", param, ctx)
        return percent


class Offset(click.ParamType[int]):
    """Local time minus UTC: +1, -05:30."""

    name = "offset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Minutes."""
        if isinstance(value, int):
            return value
        found = _OFFSET.fullmatch(str(value).strip())
        if found is None or int(found[2]) > 14:
            self.fail(f"{str(value)[:40]!r} is not an offset from UTC; write +1, -5 or +05:30", param, ctx)
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        return -minutes if found[1] == "-" else minutes


def _rig_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from ..mining.rigs import catalogue  # noqa: PLC0415 # only for completion

    return [id for id in catalogue() if id.startswith(incomplete)]


def _several(*names: str, kind: click.ParamType[Any], metavar: str, about: str) -> Callable[[Any], Any]:
    return click.option(*names, type=kind, multiple=True, metavar=metavar, help=about)


_ABOVE, _FROM, _SI = Number(), Number(zero=True), Number(si=True)
_SCHEMES = ["FPPS", "PPS", "PPS+", "PPLNS", "solo"]

GROUPS: dict[str, list[Callable[[Any], Any]]] = {
    "Rigs": [
        click.option("--rig", "rigs", multiple=True, metavar="ID[*N]", shell_complete=_rig_ids,
                     help="A rig of the catalogue or of --rigs, and how many; repeat it for several. See --list."),
        click.option("--hashrate", metavar="RATE", help="A rig of your own, as 270TH/s; with --power."),
        click.option("--power", metavar="WATTS", help="What it draws, as 3645W or 3.6kW."),
        click.option("--rigs", "rigs_file", type=click.Path(), metavar="FILE",
                     help="Rigs of your own in TOML: [my-rig] with algorithm, hashrate, power. All, where no --rig "
                     "chooses."),
    ],
    "Costs and pool": [
        click.option("--electricity", "-e", metavar="PRICE",
                     help="Price of a kWh in the quote currency; or by time of day, as "
                     "00:00-06:00=0.04,06:00-24:00=0.09."),
        click.option("--utc-offset", type=Offset(), metavar="HOURS", help="Local time of those times of day, as +1."),
        click.option("--fee", type=Part(), default=0.0, metavar="PART", help="The pool's fee, as 2% or 0.02."),
        click.option("--scheme", type=click.Choice(_SCHEMES, case_sensitive=False), default="FPPS", show_default=True,
                     metavar="NAME", help=f"How the pool pays: {', '.join(_SCHEMES)}; PPS pays no transaction fees."),
        click.option("--uptime", type=Part(), default=1.0, metavar="PART", help="Part of the time it runs, as 95%."),
        click.option("--pue", type=_ABOVE, default=1.0, metavar="X",
                     help="What the site draws over what its rigs draw, as 1.05."),
    ],
    "Where numbers come from": [
        click.option("--quote", default="USD", show_default=True, metavar="CURRENCY", help="Currency of all money."),
        click.option("--venue", "venues", multiple=True, metavar="NAME",
                     help="Venue of the price; the median of several, or 'all'. [default: coinbase]"),
        click.option("--source", "sources", multiple=True, metavar="NAME",
                     help="Source of the chain, as mempool or bitcoind. [default: your nodes, and two public ones]"),
        click.option("--price-of", type=click.Choice(["ticker", "trades"]), default="ticker", show_default=True,
                     help="The middle of bid and ask, or the last trade."),
        _options.SIM,
        _options.TRANSPORT,
        _options.ENDPOINT,
    ],
    "What is shown": [
        click.option("--compare", is_flag=True, help="A table of all rigs and coins, the best first; then end."),
        click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N profits."),
        _options.DURATION,
        _options.JSON,
        click.option("--text", "as_text", is_flag=True, help="The view as text below text, also into a pipe."),
        _options.VERBOSE,
        _options.QUIET,
    ],
    "From given numbers": [
        click.option("--calc", is_flag=True, help="Compute once, with no network, from the options below."),
        _several("--difficulty", kind=_SI, metavar="D", about="Difficulty, as 132.7T; where merged, one for each coin "
                 "in their order, as with all of these."),
        _several("--price", kind=_FROM, metavar="P", about="Price of a coin."),
        _several("--fees", kind=_FROM, metavar="COINS", about="Transaction fees of a mean block, in coins."),
        _several("--height", kind=click.IntRange(min=0), metavar="N", about="Height whose subsidy is paid. "
                 "[default: about today's]"),
        _several("--reward", kind=_FROM, metavar="COINS", about="All that a block pays, in place of --fees and "
                 "--height."),
        click.option("--payback", type=_ABOVE, metavar="PRICE", help="When a machine of this price has paid for "
                     "itself."),
        click.option("--difficulty-growth", type=Percent(), metavar="PCT", help="With --payback: a month. "
                     "[default: 0]"),
        click.option("--price-change", type=Percent(), metavar="PCT", help="With --payback: a month. [default: 0]"),
        click.option("--resale", type=_FROM, metavar="PRICE", help="With --payback: what it is sold for in the end."),
    ],
    "Other": [
        click.option("--list", "list_rigs", is_flag=True, help="List the rigs that are known."),
        click.option("--income", metavar="FILE", help="Mined income by day as CSV, of what --json has written; - is "
                     "stdin."),
    ],
}  # fmt: skip
"""The options under their headings."""


class Command(click.Command):
    """A command whose `--help` has its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write them; what is in no group comes last."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {param.name: record for param in options if (record := param.get_help_record(ctx))}
        groups = {title: [records.pop(name) for name in of if name in records] for title, of in _names().items()}
        groups["Other"] += records.values()
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _names() -> dict[str, list[str]]:
    """The parameters of each group."""

    def name(option: Callable[[Any], Any]) -> str:
        def probe() -> None: ...

        made: Any = option(probe)
        return str(made.__click_params__[0].name)

    return {title: [name(option) for option in of] for title, of in GROUPS.items()}


ALL = _options.with_options(*(option for of in GROUPS.values() for option in of))
