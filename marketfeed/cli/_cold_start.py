"""A plan of a start, as a table or JSON lines."""

from collections.abc import Sequence

import click
import msgspec

from ..cold_start import ColdStart
from ..feed import Feed
from ._source import Source
from ._table import table

HEAD = [
    "venue",
    "streams",
    "books",
    "connections",
    "frames",
    "REST calls",
    "REST weight",
    "at most",
    "allowed",
    "live after",
]


def show(source: Source, *, trades: bool, ticker: bool, book: int | None, as_json: bool = False) -> int:
    """Print what the start would cost; nothing is connected to."""
    feed = Feed(source.settings, redundancy=source.redundancy)
    plans: list[ColdStart] = []
    if source.names:
        wanted = False if book is None else book or True
        plans += feed.plan(*source.names, trades=trades, ticker=ticker, book=wanted)
    if source.chains:
        plans += feed.plan(*source.chains, chain=True)
    for line in map(msgspec.json.encode, plans) if as_json else lines(plans):
        click.echo(line)
    return 0


def lines(plans: Sequence[ColdStart]) -> list[str]:
    """The table, and what its columns mean."""
    rows = [
        [
            one.venue,
            *(f"{n:,}" for n in (one.streams, one.books, one.connections, one.frames, one.calls, one.weight, one.peak)),
            f"{one.allowed[0]:,} in {one.allowed[1]:,g} s",
            f"{one.seconds:,.0f} s",
        ]
        for one in plans
    ]
    return [
        *table(HEAD, rows, right=range(1, len(HEAD))),
        "",
        "REST weight: in all, at most in any window, and the window that the venue allows this address.",
        "'live after' is by these limits alone: answers of the venue come on top.",
    ]
