"""What `info` prints: lines of figures, and the coverage as a picture of characters."""

from itertools import groupby

from ..recording.overview import Missing, Overview, Stream
from ..text import escaped
from ._colour import paint
from ._figures import length, many, moment, size
from ._table import table

SOME, LOSSY, LOST, NONE = "#!-."
COLOURS = {SOME: "green", LOSSY: "yellow", LOST: "red", NONE: "dim"}
LEGEND = {
    SOME: "data",
    LOSSY: "data, and some is missing",
    LOST: "none, and some is missing",
    NONE: "none came",
}
UNSTEADY = {"life", "instrument"}
"""Channels of which nothing comes for hours, and nothing is missing: they are not in the picture."""
LISTED = 10
"""So many losses are listed."""
PIPE = 80
"""Columns of the picture into a pipe."""
NAME = 20
"""Columns of a stream's name."""


def cells(width: int) -> int:
    """How many fit."""
    return max(min(width, PIPE if width > 1000 else width) - NAME - 1, 10)


def states(found: Overview, stream: Stream) -> str:
    """A sign for each cell of a stream."""
    lossy = set(stream.lossy)
    return "".join(
        (LOSSY if rows else LOST) if n in lossy else (SOME if rows else NONE) for n, rows in enumerate(stream.cells)
    )


def pictured(found: Overview) -> list[Stream]:
    """The streams of the picture."""
    return [stream for stream in found.streams if stream.channel not in UNSTEADY]


def text(found: Overview, width: int, *, picture: bool, colour: bool) -> list[str]:
    """The lines."""
    lines = _head(found)
    if found.streams:
        lines += ["", *_table(found)]
    if found.missing:
        lines += ["", f"missing ({len(found.missing):,}):", *map(_loss, found.missing[:LISTED])]
        rest = len(found.missing) - LISTED
        lines += [f"  and {rest:,} more; --json has all"] if rest > 0 else []
    if found.cuts:
        lines += ["", "of the journal could not be read:"]
        lines += [f"  {escaped(cut)}" for cut in found.cuts[:LISTED]]
    lines = [line if len(line) <= width else line[: width - 3] + "..." for line in lines]
    return lines + (["", *_picture(found, width, colour)] if picture and pictured(found) else [])


def _head(found: Overview) -> list[str]:
    kinds = ["SIMULATED" if found.simulated else "", "exact" if found.exact else "float" if found.streams else ""]
    version = f"marketfeed {escaped(', '.join(found.versions))}"
    lines = [f"{escaped(found.path)}: " + ", ".join([*filter(None, kinds), version])]
    if found.streams:
        span = f"{moment(found.ts_from)} to {moment(found.ts_to)} UTC ({length(found.ts_to - found.ts_from)})"
        lines += [span, f"{found.rows:,} rows in {many(found.files, 'file')} ({size(found.bytes)})"]
    else:
        lines = [f"{escaped(found.path)}: nothing is sealed yet"]
    waits = found.unsealed
    if waits.events:
        since = f"{moment(waits.ts_from)} to {moment(waits.ts_to)[11:]}"
        lines.append(f"{many(waits.events, 'event')} ({size(waits.bytes)}) not sealed yet: {since}")
    return lines


def _table(found: Overview) -> list[str]:
    head = ("venue", "channel", "rows", "size", "missing", "first", "last", "symbols")
    rows = [
        (
            stream.venue or "feed",
            stream.channel,
            f"{stream.rows:,}",
            size(stream.bytes),
            f"{stream.missing:,}" if stream.missing else "",
            _short(found, stream.ts_from),
            _short(found, stream.ts_to),
            " ".join(stream.symbols),
        )
        for stream in found.streams
    ]
    return table(head, rows, right=(2, 3, 4))


def _short(found: Overview, ns: int) -> str:
    """A time as short as the span allows."""
    whole = moment(ns)
    return whole[11:] if moment(found.ts_from)[:10] == moment(found.ts_to)[:10] else whole[5:16]


def _loss(loss: Missing) -> str:
    of = ":".join(escaped(part, 40) for part in (loss.venue, loss.symbol, loss.channel) if part) or "everything"
    detail = "" if loss.detail in {"", loss.cause} else f" ({escaped(loss.detail, 80)})"
    if loss.ts_to is None:
        return f"  {moment(loss.ts_from)}, no end known: {of}: {escaped(loss.cause)}{detail}"
    return f"  {moment(loss.ts_from)}, {length(loss.ts_to - loss.ts_from)}: {of}: {escaped(loss.cause)}{detail}"


def _picture(found: Overview, width: int, colour: bool) -> list[str]:
    streams = pictured(found)
    lines = [f"one cell is {length(found.step)}, from {moment(found.start)} UTC"[:width]]
    for stream in streams:
        name = escaped(f"{stream.venue} {stream.channel}", NAME)
        drawn = states(found, stream)[: width - NAME - 1]
        lines.append(f"{name:<{NAME}} " + _painted(drawn, colour))
    used = [sign for sign in LEGEND if any(sign in states(found, stream) for stream in streams)]
    return lines + [f"{_painted(sign, colour)} {LEGEND[sign][: width - 2]}" for sign in used]


def _painted(signs: str, colour: bool) -> str:
    if not colour:
        return signs
    return "".join(paint("".join(run), COLOURS[sign]) for sign, run in groupby(signs))
