"""The run of `symbols`: asks a venue for its instruments and lists them."""

import asyncio
from fnmatch import fnmatchcase
from typing import Any

import click

from ..errors import ConfigError, TransportError, VenueError, nearest
from ..events import Instrument, encode_json
from ..text import escaped
from . import _exit
from ._lines import number
from ._loop import Stop
from ._reach import REACH_S
from ._source import SIMULATED, Source, opened
from ._table import table


async def listing(source: Source, venue: str, pattern: str, as_json: bool) -> int:
    """Print the instruments that match; the exit code. Raises Failed where the venue does not answer."""
    stop = Stop()
    if source.simulated:
        click.echo(f"marketfeed: {SIMULATED}", err=True)
    async with opened(source) as feed:
        asked = asyncio.ensure_future(feed.instruments(venue))
        await stop.wait(asked, timeout_s=REACH_S)
        if not asked.done():
            asked.cancel()
            if stop.code is not None:
                return stop.code
            raise _exit.Failed(_exit.UNREACHED, f"{venue} has not answered in {REACH_S:g} s; try --sim")
        try:
            found = asked.result()
        except ConfigError:  # no network would help
            raise
        except (TransportError, VenueError, ValueError) as exc:
            raise _exit.Failed(
                _exit.UNREACHED,
                f"{venue} does not list its symbols: {escaped(str(exc))}. Check the network, "
                f"or try it without one: marketfeed symbols {venue} --sim",
            ) from exc
    chosen = [instrument for instrument in found if matches(instrument.symbol, pattern)]
    if not chosen:
        hint = nearest(pattern.upper(), [i.symbol for i in found])
        raise _exit.Failed(_exit.REFUSED, f"{venue} has no {pattern}{hint}")
    _print(chosen, as_json)
    return _exit.OK


def matches(symbol: str, pattern: str) -> bool:
    """Whether a symbol is meant: by a part of its name, or by all of it with wildcards."""
    wanted = pattern.upper().replace("/", "-").replace("_", "-")
    return fnmatchcase(symbol, wanted) if any(c in wanted for c in "*?[") else wanted in symbol


def _print(instruments: list[Instrument[Any]], as_json: bool) -> None:
    if as_json:
        for instrument in instruments:
            click.echo(encode_json(instrument))
        return
    rows = [
        [i.symbol, i.native, number(i.tick, None), number(i.lot, None), "yes" if i.trading else "no", i.status]
        for i in instruments
    ]
    for line in table(["symbol", "native", "tick", "lot", "trading", "status"], rows, right=(2, 3)):
        click.echo(line)
