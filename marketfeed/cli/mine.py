"""`marketfeed mine`: what mining earns, live or from given numbers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from . import _mine_options

if TYPE_CHECKING:
    from ._mine_ask import Ask

ASKED = (
    "rigs",
    "hashrate",
    "power",
    "rigs_file",
    "electricity",
    "utc_offset",
    "quote",
    "fee",
    "scheme",
    "uptime",
    "pue",
)


@click.command("mine", cls=_mine_options.Command, short_help="Show what mining earns, live or from given numbers.")
@click.argument("coins", nargs=-1, metavar="COIN...")
@_mine_options.ALL
def command(coins: tuple[str, ...], **given: Any) -> int:
    """Show what mining earns a day, live: revenue, costs, profit, break-evens, and what is about to change.

    COIN is as BTC, or LTC+DOGE where several are mined by the same hashes. A terminal shows a view that redraws in
    place, a pipe gets a JSON line for each change of a profit. Prices come from --venue, difficulty, reward and fees
    from --source; what is stale or missing is named, and never filled in. It ends with exit code 3 where nothing is
    reached within 10 seconds of the start.

    \b
    Examples:
      marketfeed mine BTC --rig s21xp --electricity 0.06
      marketfeed mine BTC --rig s21xp --electricity 0.06 --sim
      marketfeed mine BTC --hashrate 270TH/s --power 3645W -e 0.06 --fee 2%
      marketfeed mine BTC --rig 's21xp*10' -e 00:00-06:00=0.04,06:00-24:00=0.09
      marketfeed mine BTC BCH LTC+DOGE --rig s21pro --rig l9 -e 0.05 --compare
      marketfeed mine BTC --rig s21xp -e 0.06 --json > profit.jsonl
      marketfeed mine --income profit.jsonl > income.csv
      marketfeed mine --list

    \b
    Without a network:
      marketfeed mine BTC --calc --rig s21xp -e 0.05 --difficulty 132.7T --price 65000
      marketfeed mine LTC+DOGE --calc --rig l9 -e 0.05 --difficulty 100M --price 90
        --difficulty 40M --price 0.15 --payback 5000
    """
    if given["list_rigs"]:
        return _list(coins, given)
    if given["income"] is not None:
        return _income(coins, given)
    from . import _mine_ask  # noqa: PLC0415 # heavy

    ask = _mine_ask.read(coins, **{name: given[name] for name in ASKED}, given=given)
    return _calc(ask, given) if given["calc"] else _live(ask, given)


def _live(ask: "Ask", given: Mapping[str, Any]) -> int:
    import sys  # noqa: PLC0415 # with the heavy ones

    from . import _loop, _mine_run, _mine_source, _watch  # noqa: PLC0415 # heavy

    venues, chains, source = _mine_source.chosen(
        ask.coins,
        given["venues"],
        given["sources"],
        sim=given["sim"],
        transport=given["transport"],
        endpoints=given["endpoints"],
    )
    as_json = _watch.json_wanted(given["as_json"], given["as_text"])
    return _loop.run(
        _mine_run.mine(
            _mine_run.Plan(
                ask=ask,
                source=source,
                venues=venues,
                chains=chains,
                price_of=given["price_of"],
                compare=given["compare"],
                as_json=given["as_json"] if given["compare"] else as_json,
                plain=given["as_text"] or not sys.stdout.isatty(),
                count=given["count"],
                duration_s=given["duration"],
                verbose=given["verbose"],
                quiet=given["quiet"],
            )
        )
    )


def _calc(ask: "Ask", given: Mapping[str, Any]) -> int:
    import sys  # noqa: PLC0415 # with the heavy ones

    import orjson  # noqa: PLC0415 # heavy

    from . import _colour, _mine_calc, _mine_calc_text, _mine_compare, _mine_tables, _watch  # noqa: PLC0415 # heavy

    found = _mine_calc.computed(ask, given)
    width, colour = _watch.columns(), _colour.wanted(sys.stdout)
    names = {rig.id: _mine_tables.rig_name(rig) for rig in ask.rigs}
    if given["compare"]:
        rows = [_mine_compare.row_of_calc(one, names[one["rig"]]) for one in found]
        lines = _mine_compare.printed(rows, given["as_json"], width, colour)
    elif given["as_json"]:
        lines = [orjson.dumps(one).decode() for one in found]
    else:
        lines = []
        for one in found:
            lines += [""] * bool(lines) + _mine_calc_text.lines(one, names[one["rig"]], width, colour)
    click.echo("\n".join(lines))
    return 0


def _list(coins: tuple[str, ...], given: Mapping[str, Any]) -> int:
    import orjson  # noqa: PLC0415 # heavy

    from ..mining.coins import parse_coins  # noqa: PLC0415 # heavy
    from . import _mine_ask, _mine_tables, _watch  # noqa: PLC0415 # heavy

    wanted = {parse_coins(text)[0].algorithm for text in coins}
    found = [rig for rig in _mine_ask.known_rigs(given["rigs_file"]) if not wanted or rig.algorithm in wanted]
    if given["as_json"]:
        lines = [orjson.dumps(_mine_tables.rig_row(rig)).decode() for rig in found]
    else:
        lines = _mine_tables.rigs(found, _watch.columns())
    click.echo("\n".join(lines))
    return 0


def _income(coins: tuple[str, ...], given: Mapping[str, Any]) -> int:
    from ..errors import ConfigError  # noqa: PLC0415 # heavy
    from . import _exit, _mine_income  # noqa: PLC0415 # heavy

    if coins:
        raise ConfigError("--income takes the coins from the file: leave them out")
    click.echo(_mine_income.csv_of(given["income"], _exit.complain), nl=False)
    return 0
