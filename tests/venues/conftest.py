"""`talk`: a conversation with a venue, step by step, at times the test names."""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest

from marketfeed.commands import Close, Command, Fetch, Relist, Replace, Send
from marketfeed.counts import Counts
from marketfeed.events import Head, Instrument, encode_json
from marketfeed.outlet import Outlet
from marketfeed.session import Session
from marketfeed.streams import Streams
from marketfeed.subscriptions import CHANNELS, Channel, Subscription
from marketfeed.venues._spec import Venue

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND


class Talk:
    """A session and what came of it.

    `sent` are the frames it sent, `fetches` its open REST calls, `relists` how often the list is to be read again,
    `closed` why it wants to close, `replaced` why another connection is to take over, "" where it does not.
    Every frame comes a millisecond after what was before it. `care` is for the session.
    """

    def __init__(
        self,
        venue: Venue,
        *names: str,
        channels: Sequence[Channel] = CHANNELS[:3],
        native: Callable[[str], str] = str,
        depth: int = 0,
        exact: bool = False,
        digits: tuple[int, int] | None = None,
        **care: Any,
    ) -> None:
        self.events: list[Head] = []
        self.sent: list[Any] = []
        self.fetches: list[Fetch] = []
        self.closed = self.replaced = ""
        self.mono_ns = SECOND
        self.now = START
        self.venue = venue
        self.relists = 0
        self.instruments: dict[str, Instrument[Any]] = {}
        for name in names:
            self.enlist(name, native(name), digits)
        wanted = [Subscription(venue.name, n, c, depth if c == "book" else 0) for n in names for c in channels]
        (plan,) = venue.plan(venue.endpoints, wanted, venue.pace)
        self.session: Session[Any] = Session(
            venue, plan, Streams(Outlet(self.events.append)), self.instruments, link="link-1", exact=exact, **care
        )

    def enlist(self, name: str, native: str, digits: tuple[int, int] | None = None, **fields: Any) -> None:
        """The venue lists this market, so from now on."""
        base, _, counter = name.partition("-")
        price_digits, size_digits = digits or (None, None)
        told: dict[str, Any] = {"price_digits": price_digits, "size_digits": size_digits, **fields}
        self.instruments[name] = Instrument(
            venue=self.venue.name, symbol=name, native=native, base=base, quote=counter, **told
        )

    def relisted(self, name: str, native: str, digits: tuple[int, int] | None = None, **fields: Any) -> Self:
        """A market is listed with a change, and the session is told."""
        self.enlist(name, native, digits, **fields)
        self.session.relisted(name, self.now)
        return self.wait(1)

    @property
    def counts(self) -> Counts:
        """The session's counters, as they are now."""
        return self.session.counts

    def open(self) -> Self:
        """Connect, and send what is to be sent at first."""
        self.session.on_open(self.mono_ns, self.now)
        self._do()
        return self.wait(2)

    def frame(self, *frames: Any) -> Self:
        """Frames come: dicts as JSON, str and bytes as they are."""
        for frame in frames:
            self.now += SECOND // 1000
            raw = (
                frame if isinstance(frame, bytes) else (frame if isinstance(frame, str) else json.dumps(frame)).encode()
            )
            self.session.on_frame(raw, self.now)
            self._do()
        return self

    def reply(self, body: Any, status: int = 200) -> Self:
        """The oldest open REST call is answered."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.now += SECOND // 1000
        self.session.on_reply(self.fetches.pop(0).token, status, raw, self.now, self.mono_ns)
        self._do()
        return self

    def wait(self, seconds: float) -> Self:
        """Time passes in quarters of a second; nothing comes but pongs."""
        for _ in range(round(seconds * 4)):
            self.mono_ns += SECOND // 4
            self.now += SECOND // 4
            self.session.on_pong()
            self.session.on_tick(self.mono_ns, self.now)
            self._do()
        return self

    def change(self, add: Sequence[Subscription] = (), drop: Sequence[Subscription] = ()) -> Self:
        """What is wanted changes."""
        self.session.change(add, drop, self.mono_ns)
        return self.wait(1)

    def sub(self, symbol: str, channel: Channel, depth: int = 0) -> Subscription:
        """A subscription at this venue."""
        return Subscription(self.venue.name, symbol, channel, depth)

    def take(self) -> list[Head]:
        """The events since the last time."""
        taken = list(self.events)
        self.events.clear()
        return taken

    def told(self) -> list[str]:
        """`kind symbol channel` of the events since the last time, in short."""
        return [" ".join(filter(None, (_kind(e), e.symbol, getattr(e, "channel", "")))) for e in self.take()]

    def states(self) -> dict[str, str]:
        """Trust of each book: `live`, or what it waits for."""
        return {native: sync.state for native, sync in self.session.books.items()}

    def _do(self) -> None:
        commands: list[Command] = list(self.session.commands)
        self.session.commands.clear()
        for command in commands:
            if isinstance(command, Send):
                self.sent.append(json.loads(command.payload))
            elif isinstance(command, Fetch):
                self.fetches.append(command)
            elif isinstance(command, Close):
                self.closed = command.reason
            elif isinstance(command, Replace):
                self.replaced = command.reason
            elif isinstance(command, Relist):
                self.relists += 1


def _kind(event: Head) -> str:
    return type(event).__name__


@pytest.fixture
def talk() -> type[Talk]:
    """Begins a conversation: `talk(VENUE, "BTC-USD").open()`."""
    return Talk


Play = Callable[[Talk, Path], None]


@pytest.fixture
def play() -> Play:
    """Plays `<channel>.frames.jsonl` to an open conversation and compares all events with `<channel>.events.jsonl`.

    A line `{"reply":...}` answers the open REST call. In the expected events numbers are read with all their digits.
    """

    def run(talk: Talk, stem: Path) -> None:
        talk.take()
        for line in Path(f"{stem}.frames.jsonl").read_text("utf-8").splitlines():
            said = json.loads(line)
            if "reply" in said:
                talk.reply(said["reply"])
            else:
                talk.frame(line)
        expected = Path(f"{stem}.events.jsonl").read_text("utf-8").splitlines()
        assert [_read(encode_json(event)) for event in talk.events] == [_read(line) for line in expected]

    return run


def _read(line: str | bytes) -> Any:
    return json.loads(line, parse_float=Decimal)
