"""Life and loss events as one line each on stderr: what is lost is told, and a flood is summed up."""

import time
from collections.abc import Callable
from typing import Any

from ..events import (
    Audit,
    BookVoid,
    ClockStep,
    Connected,
    Disconnected,
    Gap,
    Head,
    Instrument,
    Lagged,
    LoopLag,
    Malformed,
    Recovered,
    Refused,
    SchemaDrift,
    Stale,
    Subscribed,
    Unsubscribed,
    VenueStatus,
    kind,
)
from ..text import escaped

BURST = 5
WINDOW_S = 10.0
"""So many lines of one kind and venue in so long; what comes above is counted and told in one line."""
LONG_LAG_NS = 1_000_000_000
"""A shorter stall costs nobody anything; -v tells it."""
BLOCKED = {403: "HTTP 403: this address is blocked", 451: "HTTP 451: not served where this address is"}
LOSSES: frozenset[type[Head]] = frozenset(
    {Gap, BookVoid, Disconnected, Refused, Stale, Malformed, Lagged, Recovered, VenueStatus, LoopLag, ClockStep}
)


def blocked(event: Disconnected) -> str:
    """What to say where a venue does not serve this address, "" where that is not it."""
    if event.status not in BLOCKED:
        return ""
    return (
        f"{escaped(event.venue)} refuses this address ({BLOCKED[event.status]}); "
        f"use another endpoint with --endpoint {escaped(event.venue)}=wss://HOST,https://HOST"
    )


def _is_loss(event: Head) -> bool:
    if isinstance(event, LoopLag):
        return event.lag_ns >= LONG_LAG_NS
    return type(event) in LOSSES and getattr(event, "status", "") != "online"


def text(event: Head) -> str:
    """A life or loss event in words, safe to show."""
    teller = _TELLERS.get(type(event))
    at = escaped(event.venue or "feed")
    if isinstance(event, Refused) and event.reason.startswith(f"{event.venue} has no "):
        return escaped(event.reason)  # said once for all channels of the symbol
    if event.symbol:
        at += f":{escaped(event.symbol)}"
        at += f":{escaped(channel)}" if (channel := getattr(event, "channel", "")) else ""
    return f"{at}: {teller(event)}" if teller else f"{at}: {kind(event)}"


def _lost(event: Disconnected) -> str:
    why = blocked(event)
    if why:
        return why
    if event.reason.startswith("replaced by "):
        return f"connection {escaped(event.link)} {escaped(event.reason)}"
    what = "connection lost" if event.code else "cannot connect"
    number = f" ({event.code})" if event.code else ""
    again = f"; trying again in {event.retry_s:.1f} s" if event.retry_s else ""
    return f"{what}{number}: {escaped(event.reason) or 'no reason given'}{again}"


def _gap(event: Gap) -> str:
    missing = ""
    if event.from_seq:
        missing = f" {event.from_seq}" + (f" to {event.to_seq}" if event.to_seq != event.from_seq else "")
    cause = "" if event.detail.startswith(event.cause) else event.cause
    why = ", ".join(filter(None, (cause, escaped(event.detail))))
    return f"gap{missing} ({why})" + (", healed" if event.healed else "")


_TELLERS: dict[type[Head], Callable[[Any], str]] = {
    Connected: lambda e: f"connected ({escaped(e.link)}, attempt {e.attempt})",
    Disconnected: _lost,
    Subscribed: lambda e: "subscribed",
    Unsubscribed: lambda e: "unsubscribed",
    Refused: lambda e: f"refused: {escaped(e.reason)}",
    Gap: _gap,
    BookVoid: lambda e: f"book void: {escaped(e.reason)}",
    Stale: lambda e: f"stale: {escaped(e.reason)}",
    Recovered: lambda e: "flows again",
    Lagged: lambda e: f"too slow: {e.dropped} events left out ({escaped(e.policy)})",
    Malformed: lambda e: f"malformed frame of {e.size} bytes left out: {escaped(e.reason)}: {escaped(e.sample, 60)}",
    SchemaDrift: lambda e: f"unknown message: {escaped(e.what, 60)}",
    VenueStatus: lambda e: f"says {escaped(e.status)}" + (f": {escaped(e.detail)}" if e.detail else ""),
    LoopLag: lambda e: f"this program stood still for {e.lag_ns / 1e9:.1f} s; what came meanwhile was read late",
    ClockStep: lambda e: f"the clock of this machine moved by {e.step_ns / 1e9:+.3f} s",
    Audit: lambda e: f"audit: {e.verdict}, {e.wrong} of {e.levels} levels wrong, {e.score:.0%} of audits equal",
    Instrument: lambda e: f"{escaped(e.native)}, tick {e.tick}, lot {e.lot}, {escaped(e.status) or 'listed'}",
}


class Notices:
    """Tells events through `tell`, one line each: losses, or all with `verbose`, or none with `quiet`.

    Until `release()` they are held back, so that a command that never reaches a venue says one line and no more.
    """

    def __init__(
        self, tell: Callable[[str], None], *, verbose: int = 0, quiet: bool = False, held: bool = True
    ) -> None:
        self._tell = tell
        self._verbose = verbose
        self._quiet = quiet
        self._held: list[str] | None = [] if held and not verbose else None
        self._told: set[tuple[str, ...]] = set()
        self._windows: dict[tuple[str, str], list[float]] = {}
        self._over: dict[tuple[str, str], int] = {}
        self._gap: Gap | None = None

    def event(self, event: Head) -> None:
        """Tell an event, if it is to be told."""
        if self._verbose:
            self._say(text(event))
        elif not self._quiet and _is_loss(event) and not self._repeats(event):
            self._limited(event)

    def release(self) -> None:
        """Tell what was held back, and hold back nothing from here on."""
        held, self._held = self._held, None
        for line in held or ():
            self._tell(line)

    def flush(self) -> None:
        """Sum up what was left out; call it now and then, and at the end."""
        now = time.monotonic()
        for key, many in list(self._over.items()):
            if now - self._windows[key][-1] > WINDOW_S / BURST:
                del self._over[key]
                self._say(f"{escaped(key[1] or 'feed')}: {many} more of '{key[0]}' (-v shows all)")

    def _repeats(self, event: Head) -> bool:
        """Whether this says nothing new: a book's void right after its gap, or one symbol unknown for each channel."""
        if isinstance(event, Refused):
            key = (event.venue, event.symbol, event.reason)
            known = key in self._told
            self._told.add(key)
            return known
        gap = self._gap
        self._gap = event if isinstance(event, Gap) else None
        return (
            isinstance(event, BookVoid)
            and gap is not None
            and (gap.venue, gap.symbol, gap.epoch) == (event.venue, event.symbol, event.epoch)
        )

    def _limited(self, event: Head) -> None:
        key = (kind(event), event.venue)
        now = time.monotonic()
        recent = [at for at in self._windows.get(key, ()) if now - at < WINDOW_S]
        if len(recent) < BURST:
            self._windows[key] = [*recent, now]
            self._say(text(event))
        else:
            self._windows[key] = recent
            self._over[key] = self._over.get(key, 0) + 1

    def _say(self, line: str) -> None:
        if self._held is not None:
            self._held.append(line)
        else:
            self._tell(line)
