"""`marketfeed venues`: what venues there are."""

from typing import Any

import click

from . import _options


@click.command("venues", short_help="List the venues there are.")
@_options.JSON
def command(as_json: bool) -> int:
    """List the venues there are: how their books are proven, and where they are, as far as a
    terminal is wide. Sources of chains come last.

    \b
    Book proof:
      numbers         every update carries numbers that must join
      checksum        every update carries a checksum of the book
      link numbers    one count over all frames of a connection
    """
    import sys  # noqa: PLC0415 # with the heavy ones

    import orjson  # noqa: PLC0415 # heavy

    from .. import catalogue  # noqa: PLC0415 # heavy
    from ._table import table  # noqa: PLC0415 # heavy
    from ._watch import columns  # noqa: PLC0415 # heavy

    rows = []
    for name in sorted(catalogue.names(), key=lambda name: bool(catalogue.venue(name).coins)):
        venue = catalogue.venue(name)
        rule = venue.book
        proof = (
            ""
            if venue.coins
            else "checksum"
            if rule.checksum
            else "link numbers"
            if rule.scope == "link"
            else "numbers"
        )
        rows.append(
            {
                "name": name,
                "title": venue.title,
                "channels": list(venue.channels),
                "book_proof": proof,
                "depths": list(rule.depths),
                "ws": venue.endpoints.ws,
                "rest": venue.endpoints.rest,
                "coins": list(venue.coins),
                "default": name == catalogue.DEFAULT_VENUE,
            }
        )
    if as_json:
        for row in rows:
            click.echo(orjson.dumps(row))
        return 0
    shown = [
        [str(r["name"]), str(r["title"]), _channels(r), str(r["book_proof"]), str(r["ws"]), str(r["rest"])]
        for r in rows
    ]
    head = ["name", "title", "channels", "book proof", "websocket", "rest"]
    room = columns() if sys.stdout.isatty() else sys.maxsize
    for keep in ((0, 1, 2, 3, 4, 5), (0, 1, 2, 3), (0, 2, 3), (0, 3), (0,)):
        lines = table([head[i] for i in keep], [[row[i] for i in keep] for row in shown])
        if max(map(len, lines)) <= room:
            break
    click.echo("\n".join(lines))
    return 0


def _channels(row: dict[str, Any]) -> str:
    of = f" of {', '.join(row['coins'])}" if row["coins"] else ""
    return ", ".join(row["channels"]) + of
