"""The run of `doctor`: all venues at once, told one after another."""

import asyncio
import contextlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable

import click
import msgspec
from msgspec import structs

from .. import catalogue
from ..settings import VenueSettings
from ..transport import pick_transport
from . import _colour, _exit
from ._doctor import MACHINE, Finding, machine, shown
from ._doctor_venue import Ahead, Visit
from ._figures import many
from ._source import SIMULATED, UNASKED, Source

STEP_S = 0.05
"""By which the wall clock may move against the monotonic one meanwhile."""
WRONG_S, BAD_S = 0.5, 5.0
"""A clock that is wrong by this much is told, and by that much is a failure: TLS and signatures suffer."""
ADVICE = "set the clock, and keep it set by NTP (chrony or systemd-timesyncd)"


async def examine(source: Source, *, books: int, as_json: bool) -> int:
    """Look at everything and print what is found; the exit code."""
    report = _Report(as_json)
    clocks = time.time() - time.monotonic()
    report.title("this machine")
    report.tell(machine())
    async with contextlib.AsyncExitStack() as stack:
        settings = dict(source.settings)
        if source.simulated:
            from ..sim import Simulator  # noqa: PLC0415 # it brings aiohttp's server

            plant = await stack.enter_async_context(Simulator(source.venues, keep=UNASKED))
            settings = {name: VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()}
        transport = pick_transport(source.transport)
        visits = [
            Visit(catalogue.venue(name), settings.get(name, VenueSettings()), transport, books)
            for name in source.venues
        ]
        under_way = [asyncio.create_task(_all_of(visit)) for visit in visits]
        for visit, found in zip(visits, under_way, strict=True):
            report.title(visit.venue.name + (f" ({SIMULATED})" if source.simulated else ""))
            report.tell(await found)
    report.title("clock")
    report.tell(_clock([visit.ahead for visit in visits if visit.ahead is not None]))
    report.tell(_step(time.time() - time.monotonic() - clocks))
    report.end()
    if not any(visit.reached for visit in visits):
        return _exit.UNREACHED
    return _exit.ERROR if report.count["fail"] else _exit.OK


async def _all_of(visit: Visit) -> list[Finding]:
    return [finding async for finding in visit.findings()]


def _clock(said: list[Ahead]) -> Iterable[Finding]:
    """Our clock by those of the venues: within what all say, or, where they contradict each other, most say."""
    if not said:
        return
    low, high = max(one.low for one in said), min(one.high for one in said)
    if low > high:  # one of them is wrong: the one in the middle is not
        low, high = sorted(said)[len(said) // 2]
    off = low if low > 0 else -high if high < 0 else 0.0
    words = f"right to within {max(-low, high):.1f} s"
    if off > 0:
        words = f"{off:.1f} s {'ahead' if low > 0 else 'behind'} at least"
    status = "fail" if off >= BAD_S else "warn" if off >= WRONG_S else "ok"
    text = f"{words}, by the clocks of {many(len(said), 'venue')}"
    yield Finding(about=MACHINE, check="time", status=status, text=text, advice=ADVICE)  # type: ignore[arg-type] # one of these


def _step(step_s: float) -> Iterable[Finding]:
    stepped = abs(step_s) > STEP_S
    yield Finding(
        about=MACHINE,
        check="steps",
        status="warn" if stepped else "ok",
        text=f"set by {step_s:+.2f} s meanwhile" if stepped else "none meanwhile",
        advice="let NTP slew it: times before and after do not compare",
    )


class _Report:
    """Prints findings, for people or as JSON lines, and counts them."""

    def __init__(self, as_json: bool) -> None:
        self.count: Counter[str] = Counter()
        self._json = as_json
        self._advised: set[str] = set()
        self._colour = _colour.wanted(sys.stdout)
        self._width = shutil.get_terminal_size((100, 24)).columns

    def title(self, text: str) -> None:
        """What the following is about."""
        if not self._json:
            click.echo(_colour.paint(text, "bold" if self._colour else ""))

    def tell(self, findings: Iterable[Finding]) -> None:
        """Print these."""
        for finding in findings:
            self.count[finding.status] += 1
            if finding.status == "ok" or (finding.advice in self._advised and not self._json):
                finding = structs.replace(finding, advice="")  # noqa: PLW2901 # it is said once
            self._advised.add(finding.advice)
            if self._json:
                click.echo(msgspec.json.encode(finding))
            else:
                click.echo("\n".join(shown(finding, width=self._width, colour=self._colour)))

    def end(self) -> None:
        """Sum up."""
        if not self._json:
            failures, warnings = many(self.count["fail"], "failure"), many(self.count["warn"], "warning")
            click.echo(f"{failures}, {warnings}")
