"""What `verify` finds, and the report it makes of it."""

from typing import Literal

import msgspec

Severity = Literal["error", "note"]
MOST = 20
"""Findings of one check at one place that are kept one by one; the others are counted."""


class Finding(msgspec.Struct, kw_only=True):
    """One thing. `check` names what found it, `where` a file or a stream; `ts` is when (Unix ns), 0 if ever.

    `more` counts others of this check at this place that are left out.
    """

    severity: Severity
    check: str
    where: str
    detail: str
    ts: int = 0
    more: int = 0


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """One hour of a stream (it begins at `ts`, Unix ns): events, and how much of it is not known to be lost, 0 to 1."""

    ts: int
    events: int
    covered: float


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """One stream (`venue:symbol:channel`): events, the part of its time that is not known to be lost, and each hour.

    Its time is from its first event, or word about it, to the end of the recorder that heard the last, and any in which
    its venue was not reached from a recorder's start on. Without market
    events `covered` is None, as nothing proves it, and 0 where files that cannot be read may have held some.
    """

    stream: str
    events: int
    covered: float | None
    hours: list[Hour]


class Report(msgspec.Struct, kw_only=True):
    """What `verify` says of a dataset. `ts_from` to `ts_to` are its receive times, Unix ns, 0 where it has no rows."""

    path: str
    files: int = 0
    rows: int = 0
    bytes: int = 0
    ts_from: int = 0
    ts_to: int = 0
    simulated: bool = False
    quick: bool = False
    findings: list[Finding] = []
    coverage: list[Coverage] = []

    @property
    def errors(self) -> int:
        """How many things are damaged or contradict each other."""
        return self._count("error")

    @property
    def notes(self) -> int:
        """How many things are worth knowing and no damage."""
        return self._count("note")

    def _count(self, severity: Severity) -> int:
        return sum(1 + finding.more for finding in self.findings if finding.severity == severity)


class Findings:
    """Gathers findings; of one check at one place the first `MOST` are kept."""

    def __init__(self) -> None:
        self._of: dict[tuple[Severity, str, str], list[Finding]] = {}

    def error(self, check: str, where: str, detail: str, ts: int = 0) -> None:
        """Something is damaged or contradicts itself."""
        self._add("error", check, where, detail, ts)

    def note(self, check: str, where: str, detail: str, ts: int = 0) -> None:
        """Something is worth knowing and no damage."""
        self._add("note", check, where, detail, ts)

    def all(self) -> list[Finding]:
        """Errors first, each kind in the order it came."""
        return sorted((one for some in self._of.values() for one in some), key=lambda one: one.severity)

    def _add(self, severity: Severity, check: str, where: str, detail: str, ts: int) -> None:
        known = self._of.setdefault((severity, check, where), [])
        if len(known) < MOST:
            known.append(Finding(severity=severity, check=check, where=where, detail=detail, ts=ts))
        else:
            known[-1].more += 1
