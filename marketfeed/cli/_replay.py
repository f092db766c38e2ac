"""The run of `replay`: a file's events to lines, or to counts."""

import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from msgspec import Struct

from ..errors import ConfigError
from ..events import Head, encode_json
from ..recording.replay import Replay
from ..recording.rerun import Rerun
from ..recording.segments import FOLDER
from ..text import escaped
from . import _colour, _exit
from ._lines import Lines
from ._notices import Notices
from ._watch import PRINTED, columns

CHUNK = 512
PROGRESS_S = 0.2


class Plan(Struct, frozen=True, kw_only=True):
    """What `replay` was asked to do; see its options."""

    file: str
    speed: float | None = None
    stats: bool = False
    venue: str | None = None
    exact: bool = False
    as_json: bool = False
    life: bool = False
    verbose: int = 0
    quiet: bool = False


def run(plan: Plan) -> int:
    """Replay the file; the exit code. Raises RecordingError."""
    progress = Progress(shown=not plan.quiet and plan.speed is None and sys.stderr.isatty())
    progress.look("reading")
    replay = _opened(plan)
    if plan.stats:
        for number, _ in enumerate(_paced(replay, plan.speed)):
            if not number % CHUNK:
                progress.look(f"{number:,} events")
        progress.clear()
        _print_stats(replay.stats(), plan.as_json)
    else:
        _Printer(replay, plan, progress).run()
    return _judged(replay)


def _opened(plan: Plan) -> Replay | Rerun:
    """A capture, or the raw recording that a folder is or has. Raises RecordingError and ConfigError."""
    path = Path(plan.file)
    if not path.is_dir():
        return Replay(path, venue=plan.venue, exact=plan.exact)
    if plan.venue or plan.exact:
        raise ConfigError(
            "a recording of ours says itself of which venues it is, and how: leave out --venue and --exact"
        )
    inner = path / FOLDER
    return Rerun(inner if inner.is_dir() else path)


def _judged(replay: Replay | Rerun) -> int:
    """Say what of a recording of ours is not as it was; the exit code."""
    if isinstance(replay, Replay):
        return _exit.OK
    for name in replay.torn:
        _exit.complain(f"{escaped(name)} did not end: what came in its last second may be missing")
    if replay.unlike:
        names = escaped(", ".join(replay.unlike), 200)
        raise _exit.Failed(_exit.RECORDING, f"the events are not those that were told live: {names}")
    return _exit.OK


def _paced(replay: Replay | Rerun, speed: float | None) -> Any:
    """The events, each when its time has come."""
    if speed is None:
        yield from replay
        return
    began, first = time.monotonic(), 0
    for event in replay:
        first = first or event.ts_recv
        wait = (event.ts_recv - first) / 1e9 / speed - (time.monotonic() - began)
        if first and wait > 0:
            sys.stdout.flush()
            time.sleep(wait)
        yield event


class Progress:
    """One line on a terminal's stderr that says how far long work has come."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._next = time.monotonic() + 2 * PROGRESS_S
        self._drawn = False

    def look(self, text: str) -> None:
        """Draw the line, if the last one is old enough."""
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + PROGRESS_S
            self._drawn = True
            print(f"\r\x1b[Kmarketfeed: {text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = False


class _Printer:
    """Events to stdout and stderr, flushed in chunks so that a reader of a pipe sees them soon."""

    def __init__(self, replay: Replay | Rerun, plan: Plan, progress: Progress) -> None:
        self._replay, self._plan = replay, plan
        # both on one terminal: the lines are progress enough
        self._progress = progress if not sys.stdout.isatty() else Progress(shown=False)
        progress.clear()
        self._out: BinaryIO = sys.stdout.buffer
        self._notices = Notices(self._tell, verbose=plan.verbose, quiet=plan.quiet, held=False)
        wanted = replay.wanted
        self._lines = Lines(
            replay.book,
            width=columns,
            colour=_colour.wanted(sys.stdout),
            venues=False,
            symbols=len({s.symbol for s in wanted}) > 1,
        )

    def run(self) -> None:
        """Print all events."""
        for number, event in enumerate(_paced(self._replay, self._plan.speed)):
            line = self._line(event)
            if line is not None:
                self._out.write(line + b"\n")
            if not number % CHUNK:
                self._out.flush()
                self._progress.look(f"{number:,} events")
        self._notices.flush()
        self._out.flush()
        self._progress.clear()

    def _line(self, event: Head) -> bytes | None:
        if type(event) not in PRINTED:
            self._notices.event(event)
            return encode_json(event) if self._plan.life and self._plan.as_json else None
        if self._plan.as_json:
            return encode_json(event)
        line = self._lines.line(event)
        return None if line is None else line.encode()

    def _tell(self, line: str) -> None:
        self._out.flush()
        self._progress.clear()
        print(f"marketfeed: {line}", file=sys.stderr, flush=True)


def _print_stats(stats: dict[str, Any], as_json: bool) -> None:
    out = sys.stdout
    if as_json:
        print(orjson.dumps(stats).decode(), file=out)
        return
    rows: list[tuple[str, str]] = []
    for name, value in stats.items():
        if isinstance(value, dict):
            rows += [(f"{name}: {kind}", f"{many:,}") for kind, many in value.items()]
        elif isinstance(value, list):
            rows.append((f"segments {name}", f"{len(value):,}"))
        else:
            rows.append((name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value)))
    name_width = max(len(name) for name, _ in rows)
    number_width = max(len(text) for _, text in rows if text[0].isdigit() and len(text) < 40)
    for name, text in rows:
        print(f"{name:<{name_width}}  {text:>{number_width}}", file=out)
