"""`export`: the run of it, and the sidecar of each day."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from ...errors import ConfigError, nearest
from ...text import escaped
from ..dataset import Dataset, open_dataset
from ..losses import Loss
from ..times import DAY, FOREVER, Time, date_of, time_ns
from ._files import Outputs, Written
from ._market import Market, Step

FORMATS = {
    "hftbacktest": "events of hftbacktest 2, as .npz",
    "tardis": "CSV as Tardis has it: trades, incremental_book_L2, book_ticker",
    "nautilus": "a Parquet catalog of NautilusTrader",
    "candles": "open, high, low, close and volume as CSV",
}
"""What there is, and what it is."""
LOOK = 2_000
"""Steps between two calls of `progress`."""
GAPS = ".gaps.json"


class Writer(Protocol):
    """A format. Its module's `Writer(market, outputs, every)` is this."""

    kind: str
    """Of the names of its files."""
    channels: tuple[str, ...]
    book: bool

    def names(self, date: str) -> list[str]:
        """The files of a UTC date, where that alone tells."""

    def take(self, now: int, step: Step) -> None:
        """Write what was known at a time."""

    def close(self) -> dict[str, int]:
        """End the files; what was changed for the format, by name, with how often."""


class Said(Struct, frozen=True, kw_only=True):
    """What is told of exported files: first and last receive time (Unix ns), what is missing, when no book was known.

    Losses are those of `Dataset.missing` that touch the market, and frames of the venue that could not be read.
    `changed` counts what the format forced, of the whole export; see docs/how-to/export.md.
    """

    format: str
    version: str
    venue: str
    symbol: str
    simulated: bool
    exact: bool
    ts_from: int
    ts_to: int
    losses: list[dict[str, Any]]
    book_unknown: list[dict[str, Any]]
    changed: dict[str, int]


class Summary(Said, frozen=True, kw_only=True):
    """What an export has written."""

    files: list[Written]


class Day(Said, frozen=True, kw_only=True):
    """The sidecar of a UTC day's files; what is missing overlaps that day."""

    date: str


def export(
    data: Dataset | str | Path,
    format: str,
    to: str | Path,
    *,
    venue: str,
    symbol: str,
    start: Time | None = None,
    end: Time | None = None,
    every: str = "1m",
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Write a market of a dataset into the folder `to`, in one of `FORMATS`; all files, or none.

    `start` and `end` are receive times as in `Dataset.events`; `every` is the length of candles. `force` replaces files
    that are there. `progress` is called now and then with the receive time reached and the steps so far. Files are read
    and written in pieces. Raises ConfigError for what there is none of, RecordingError for what cannot be read or
    written.
    """
    if format not in FORMATS:
        hint = nearest(format, FORMATS) or f"; there are {', '.join(FORMATS)}"
        raise ConfigError(f"no format is called {format!r}{hint}")
    held = data if isinstance(data, Dataset) else open_dataset(data)
    if venue not in held.venues:
        raise ConfigError(f"{held.root} has nothing of {venue}; it has {', '.join(held.venues) or 'no venue'}")
    first, after = (None if t is None else time_ns(t) for t in (start, end))
    if first is not None and after is not None and first >= after:
        raise ConfigError("the time to begin at is not before the one to end at")
    market = Market(held, venue, symbol, first, after)
    with Outputs(Path(to), force=force) as outputs:
        writer: Writer = import_module(f".{format}", __package__).Writer(market, outputs, every)
        for date in _dates(market):
            outputs.check(*writer.names(date), market.stem(writer.kind, date) + GAPS)
        for number, (now, step) in enumerate(market.steps(writer.channels, book=writer.book)):
            writer.take(now, step)
            if progress is not None and not number % LOOK:
                progress(now, number)
        changed = writer.close()
        if market.first is None:
            raise market.missing()
        return _ended(market, outputs, format, writer.kind, changed)


def _dates(market: Market) -> list[str]:
    """The dates of which there may be files."""
    begins, ends = date_of(market.start or 0), date_of((market.end or FOREVER) - 1)
    return sorted({f.date for f in market.data.files if f.venue == market.venue and begins <= f.date <= ends})


def _ended(market: Market, outputs: Outputs, format: str, kind: str, changed: dict[str, int]) -> Summary:
    simulated, exact = market.marks()
    whole = Summary(
        format=format,
        version=version("marketfeed"),
        venue=market.venue,
        symbol=market.symbol,
        simulated=simulated,
        exact=exact,
        ts_from=market.first or 0,
        ts_to=market.last,
        losses=[_shown(loss) for loss in market.losses],
        book_unknown=[span._asdict() for span in market.unknown],
        changed=changed,
        files=[],
    )
    sidecars = []
    for day in _days(whole):
        part = outputs.part()
        part.write_bytes(msgspec.json.format(msgspec.json.encode(day)) + b"\n")
        sidecars.append(market.stem(kind, day.date) + GAPS)
        outputs.add(part, sidecars[-1], len(day.losses) + len(day.book_unknown))
    return msgspec.structs.replace(whole, files=outputs.commit(sidecars))


def _shown(loss: Loss) -> dict[str, Any]:
    """The loss with its words made safe, null where its end is not known."""
    end = None if loss.ts_to == FOREVER else loss.ts_to
    return loss._asdict() | {"ts_to": end, "cause": escaped(loss.cause), "detail": escaped(loss.detail)}


def _days(whole: Summary) -> Iterator[Day]:
    said = msgspec.structs.asdict(whole)
    del said["files"]
    for number in range(whole.ts_from // DAY, whole.ts_to // DAY + 1):
        begins, ends = number * DAY, number * DAY + DAY - 1

        def overlaps(span: dict[str, Any], begins: int = begins, ends: int = ends) -> bool:
            return bool(span["ts_from"] <= ends and (span["ts_to"] is None or span["ts_to"] >= begins))

        yield Day(
            **said
            | {
                "date": date_of(begins),
                "ts_from": max(whole.ts_from, begins),
                "ts_to": min(whole.ts_to, ends),
                "losses": [*filter(overlaps, whole.losses)],
                "book_unknown": [*filter(overlaps, whole.book_unknown)],
            }
        )
