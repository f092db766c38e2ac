"""`Wire`: a session of the product and a simulated venue's conversation, joined without sockets or a loop.

Time is the wire's own and moves with its steps, so one seed is one run.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from marketfeed import catalogue, sim
from marketfeed.commands import Close, Fetch, Ping, Send
from marketfeed.events import Head
from marketfeed.outlet import Outlet
from marketfeed.pace import Budget
from marketfeed.session import Session
from marketfeed.sim.faults import Gremlin, Troubles
from marketfeed.sim.instruments import INSTRUMENTS
from marketfeed.sim.market import Market
from marketfeed.sim.plant import DIALECTS
from marketfeed.sim.wire import Frame, Now, Out, Reply
from marketfeed.sim.wire import Ping as VenuePing
from marketfeed.streams import Streams
from marketfeed.subscriptions import Subscription
from marketfeed.trusted_book import TrustedBook

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
STEP_NS = 5_000_000
BEAT_NS = 50_000_000
"""Between two looks at timers."""
AGAIN_NS = SECOND // 10
"""Between a lost connection and the next."""

Hand = Callable[[Session[Any], list[bytes], int], object]
Answer = Callable[[Session[Any], int, int, bytes, int, int], object]


class Wire:
    """One venue, some symbols, all channels.

    `take` gets every event, a step lasts `step_ns`. `hand` puts frames into the session and `answer` a REST reply: a
    fuzzer's place to break them. `injected` counts what the simulator's own faults did.
    """

    def __init__(
        self,
        venue: str,
        symbols: Sequence[str],
        *,
        seed: str,
        take: Callable[[Head], None],
        faults: str = "",
        depth: int = 0,
        exact: bool = False,
        step_ns: int = STEP_NS,
        hand: Hand = Session.on_frames,
        answer: Answer = Session.on_reply,
    ) -> None:
        kind = DIALECTS[venue]
        self.venue = catalogue.venue(venue)
        self._budget = Budget(self.venue.pace)
        self.injected: Counter[str] = Counter()
        self.breaches: Counter[str] = Counter()
        self.mono = SECOND
        self._ended = 0
        self._faults = sim.Faults.parse(faults)
        self._seed = seed
        self._exact = exact
        self._step_ns = step_ns
        self._beat_at = 0
        self._hand = hand
        self._answer = answer
        self.markets = {
            one.symbol: Market(
                one, f"{seed}:{one.symbol}", resolution=kind.RESOLUTION_NS, by_update_id=kind.BY_UPDATE_ID
            )
            for one in INSTRUMENTS[venue]
            if one.symbol in symbols
        }
        self._dialect = kind(self.markets, Troubles(self._faults, venue, self.injected, self.breaches), by_hand=True)
        for market in self.markets.values():
            market.open(self._now().unix)
        self.streams: Streams[Any] = Streams(Outlet(take))
        listed = [i for request in self.venue.instruments_requests(()) for i in self._listing(request.path)]
        self.instruments: dict[str, Any] = {
            i.symbol: i if exact else i.as_floats() for i in listed if i.symbol in symbols
        }
        channels = self.venue.channels
        self._wanted = [Subscription(venue, s, c, depth if c == "book" else 0) for s in symbols for c in channels]
        self.links = 0
        self.session: Session[Any] | None = None
        self._connect_at = 0
        self._due: list[tuple[int, int, Reply]] = []

    @property
    def read(self) -> int:
        """Frames that the product has read."""
        return self._ended + (self.session.counts.frames if self.session else 0)

    def oracle(self, symbol: str) -> sim.Oracle:
        """The true book of a symbol."""
        return self.markets[symbol].oracle

    def book(self, name: str) -> TrustedBook[Any]:
        """The product's book of `venue:symbol`, as `Feed.book` gives it."""
        wanted = next(s for s in self._wanted if s.channel == "book" and s.name.startswith(f"{name}:"))
        view: TrustedBook[Any] = self.streams.get(wanted).view
        return view

    def step(self) -> None:
        """Each market moves once, and timers are looked at where it is time."""
        self.mono += self._step_ns
        if self.session is None:
            if self.mono >= self._connect_at:
                self._connect()
            return
        for market in self.markets.values():
            now = self._now()
            self._deliver(self._conversation.on_step(market.step(now.unix), now))
        if self.mono >= self._beat_at:
            self._beat_at = self.mono + BEAT_NS
            self._beat()

    def cut(self, reason: str = "connection lost") -> None:
        """The connection is gone; a new one is made soon."""
        if self.session is not None:
            ended, self.session = self.session, None
            ended.on_close(1006, reason, self._now().unix)
            self._ended += ended.counts.frames
            self._due.clear()
            self._connect_at = self.mono + AGAIN_NS

    def _now(self) -> Now:
        return Now(START + self.mono, self.mono / SECOND)

    def _listing(self, path: str) -> list[Any]:
        reply = self._rest("GET", path)
        return self.venue.instruments(reply.body) if reply.status == 200 else []

    def _rest(self, method: str, path: str) -> Reply:
        parts = urlsplit(path)
        return self._dialect.rest(method, parts.path, dict(parse_qsl(parts.query)), self._now())

    def _connect(self) -> None:
        self.links += 1
        (plan,) = self.venue.plan(self.venue.endpoints, self._wanted, self.venue.pace)
        parts = urlsplit(plan.url)
        conversation = self._dialect.connect(parts.path, dict(parse_qsl(parts.query)), self._now())
        assert not isinstance(conversation, Reply), conversation
        self._conversation = conversation
        self._gremlin = Gremlin(self._faults, f"{self._seed}:{self.links}", self.injected)
        self.session = Session(
            self.venue,
            plan,
            self.streams,
            self.instruments,
            link=f"link-{self.links}",
            exact=self._exact,
            max_resyncs=1_000_000,
            by_turns=self.venue.pace.frames_by_address,
        )
        self.session.on_open(self.mono, self._now().unix)
        self._perform()
        self._deliver(conversation.on_open(self._now()))

    def _beat(self) -> None:
        self._deliver(self._conversation.on_tick(self._now()), timed=True)
        for due in [d for d in self._due if d[0] <= self.mono]:
            self._due.remove(due)
            if self.session is not None:
                self._answer(self.session, due[1], due[2].status, due[2].body, self._now().unix, self.mono)
                self._perform()
        if self.session is not None and self.session.deadline <= self.mono:
            self.session.on_tick(self.mono, self._now().unix)
        self._perform()

    def _deliver(self, items: Sequence[Out], *, timed: bool = False) -> None:
        for item in items:
            session = self.session
            if session is None:
                return
            if isinstance(item, Frame):
                texts = self._gremlin.pass_on(item.text, timed=timed) if item.data else [item.text]
                if texts is None:
                    self.cut()
                    return
                if texts:
                    self._hand(session, [text.encode() for text in texts], self._now().unix)
                    self._perform()
            elif isinstance(item, VenuePing):
                session.on_pong()
                self._deliver(self._conversation.on_control(pong=True, now=self._now()))
            else:
                self.cut(item.reason)

    def _perform(self) -> None:
        """Do what the session asks for."""
        while (session := self.session) is not None:
            while (turn := session.turn) and self._budget.frame_at(self.mono, first=turn == "first") <= self.mono:
                session.on_turn(self.mono)
            if not session.commands:
                return
            command = session.commands.pop(0)
            now = self._now()
            if isinstance(command, Send):
                text = command.payload if isinstance(command.payload, str) else command.payload.decode()
                self._deliver(self._conversation.on_text(text, now))
            elif isinstance(command, Fetch):
                reply = self._rest(command.request.method, command.request.path)
                self._due.append((self.mono + int(reply.delay_s * SECOND), command.token, reply))
            elif isinstance(command, Ping):
                session.on_pong()
            elif isinstance(command, Close):
                self.cut(command.reason)
