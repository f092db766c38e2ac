"""`python -m benchmarks`: run all benchmarks, or those named by `--only`, and print what they found."""

import asyncio
from collections.abc import Callable, Iterable

import click
import msgspec

import marketfeed as mf

from . import layers, sockets
from .measure import Row, Scale
from .server import serving
from .table import heading, judgement, machine, table, verdicts

SOCKETS: dict[str, Callable[[int, Scale], list[Row]]] = {
    "trades": sockets.trades,
    "depth": sockets.depth,
    "latency": sockets.latency,
}
LAYERS: dict[str, Callable[[Scale], list[Row]]] = {
    "decode": layers.decode,
    "session": layers.session,
    "stream": layers.stream,
    "apply": layers.apply,
    "checksum": layers.checksum,
    "fanout": layers.fanout,
    "memory": layers.memory,
}
NAMES = [*SOCKETS, *LAYERS]
TITLES = {
    "trades": "trades, socket to callback, as fast as they are read",
    "depth": "depth frames of 28 levels on a book of 1,000 levels a side, as fast as they are read",
    "latency": f"a paced stream of {sockets.RATE:,} trades a second, one a segment",
    "decode": "decoder without session",
    "session": "session without transport, driver and hub",
    "stream": "trade stream alone",
    "apply": "28 changes applied to a book",
    "checksum": "Kraken frames of 4 and 6 levels, book of 100 levels a side, checksum proven",
    "fanout": "hub to consumers",
    "memory": "memory of a live book of 1,000 levels a side",
}
MESSAGES_A_SECOND = 40_000
"""Messages a round that `--seconds 1` stands for: with five rounds about a second for a row at 5 us a message."""


def measure(names: Iterable[str], scale: Scale, found: Callable[[str, list[Row]], None]) -> None:
    """Run these benchmarks; `found` hears of each as it is done."""
    with serving() as port:
        for name in names:
            found(name, SOCKETS[name](port, scale) if name in SOCKETS else LAYERS[name](scale))


def _loop() -> str:
    """The loop that `mf.run` chooses, by its module."""

    async def running() -> str:
        return type(asyncio.get_running_loop()).__module__.partition(".")[0]

    return str(mf.run(running()))


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Run this benchmark alone; may be repeated.")
@click.option("--seconds", default=1.0, show_default=True, help="About how long each row is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(only: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Print as results come, and the bars at the end."""
    scale = Scale(messages=max(400, int(MESSAGES_A_SECOND * seconds)))
    facts = machine(_loop())
    results: dict[str, list[Row]] = {}
    if not as_json:
        click.echo(heading(facts))

    def found(name: str, rows: list[Row]) -> None:
        results[name] = rows
        if not as_json:
            click.echo(table(TITLES[name], rows))

    measure([name for name in NAMES if not only or name in only], scale, found)
    judged = verdicts([row for rows in results.values() for row in rows])
    if as_json:
        click.echo(msgspec.json.encode({"machine": facts, "benchmarks": results, "bars": judged}).decode())
    else:
        click.echo(judgement(judged))


if __name__ == "__main__":
    main()
