"""`Driver`: runs the sessions of one link, one connection after another. Knows no venue and no kind of event.

Decisions are the session's; this is sockets, one timer, fetches within the budget, and back-off that never gives up.
All that a connection needs of the loop is here, with one end for it: the reason for its length.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from .commands import Close, Command, Fetch, Ping, Relist, Replace, Send
from .edge import SLOW_RETRY_NS, Edge
from .errors import ConfigError, TransportError
from .log_limit import limited
from .pace import SECOND, Backoff
from .session import Session
from .subscriptions import Subscription
from .transport import GIVEN_UP, Link
from .transports.polling import PollingLink

log = limited("marketfeed.driver")


class Maker(Protocol):
    """Makes the session of the next connection, and tells a failed attempt."""

    def session(self) -> Session[Any]:
        """A new session for what is wanted now."""

    def failed(self, reason: str, status: int, retry_s: float, attempt: int) -> None:
        """An attempt came to nothing."""

    def replace(self, reason: str) -> None:
        """The standing connection is to be left, once another has taken over."""

    def relist(self) -> None:
        """The list of instruments is to be read again."""

    def retry(self, delay: int) -> int:
        """The connection is lost: until the next attempt (ns), `delay` unless another one takes over."""

    def ended(self, session: Session[Any]) -> None:
        """A session's connection is gone; its counters are final."""


class Driver:
    """One link kept up. `run()` never returns by itself; cancelling it closes the link and its tasks."""

    def __init__(self, url: str, headers: Mapping[str, str], maker: Maker, edge: Edge) -> None:
        self.url = url
        self.session: Session[Any] | None = None
        self.parting = "closed by us"
        """Why the connection ends, where cancelling ends it."""
        self.due = 0
        """When the next attempt is made, or the last one was (mono_ns)."""
        self._headers = headers
        self._maker = maker
        self._edge = edge
        self._deliver = edge.deliver
        self._backoff = Backoff()
        self._hopeless = False
        """Whether the last attempt failed in a way that trying again cannot mend, as it seemed."""
        self._link: Link | None = None
        self._closed: asyncio.Future[tuple[int, str]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0
        self._stood_ns = 0
        """For how long the loop stood still: sessions know nothing of that time, so that nobody's silence is in it."""
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._waiting: dict[int, tuple[Fetch, asyncio.Task[None]]] = {}
        """The calls that wait for their turn, by token."""
        self.on_frames: Callable[[list[bytes], int], None] = _nowhere
        """See `LinkListener`; made anew for each connection, with all it needs at hand."""

    @property
    def frame_age(self) -> int | None:
        """Since frames came (ns), known to about a second; None where no connection stands."""
        return None if self.session is None else max(0, self._now() - self.session.heard_at)

    async def run(self) -> None:
        """Connect, serve, and connect again, for ever."""
        edge = self._edge
        while True:
            await edge.turn()
            try:
                delay = await self._serve()
                await edge.rest.renew()
            except TransportError as exc:
                delay = self._failed(exc)
            self.due = edge.clock.mono_ns() + delay
            await edge.sleep_until(self.due)

    def change(self, add: Sequence[Subscription], drop: Sequence[Subscription]) -> None:
        """Change what is wanted on the standing connection; the next one asks the maker anyway."""
        if self.session is not None and self._link is not None:
            self.session.change(add, drop, self._now())
            self._after()

    def relisted(self, symbol: str) -> None:
        """A market is listed with a change."""
        if self.session is not None and self._link is not None:
            self.session.relisted(symbol, self._edge.clock.unix_ns())
            self._after()

    def poll(self) -> None:
        """Ask a polled source now: there is news."""
        if self.session is not None:
            for native in self.session.chains:
                self.session.poll(native)
            self._after()

    def restart(self, reason: str) -> None:
        """Close the standing connection; a new one follows."""
        if self._link is not None:
            self._link.close(1000, reason)

    def stood(self, lag_ns: int) -> None:
        """The loop stood still for so long: whoever was silent meanwhile was not heard (C05)."""
        self._stood_ns += lag_ns
        if self.session is not None:
            self._arm(self.session.deadline)

    def slept(self, reason: str) -> None:
        """The machine slept: all that flowed is in doubt at once, and a new connection follows (T23)."""
        session, link = self.session, self._link
        if session is not None and link is not None:
            session.slept(reason, self._edge.clock.unix_ns())
            self._edge.deliver()
            if self.url:
                link.close(GIVEN_UP, reason)
                self.on_closed(GIVEN_UP, reason)  # at once: what is in hand is not to be taken in

    def _now(self) -> int:
        """The time of sessions (mono_ns)."""
        return self._edge.clock.mono_ns() - self._stood_ns

    async def _serve(self) -> int:
        """One connection from open to close; returns the delay before the next, in nanoseconds."""
        edge = self._edge
        self._closed = asyncio.get_running_loop().create_future()
        if self.url:
            began = edge.clock.mono_ns()
            link = await edge.transport.connect(
                self.url, self, headers=self._headers, max_message=edge.max_message, proxy=edge.proxy, clock=edge.clock
            )
            edge.meter.exchanged(edge.clock.mono_ns() - began)
        else:
            link = PollingLink(self)
        try:
            # made now and not before: it serves also what came to be wanted while the connection was made
            return await self._converse(link, self._maker.session(), self._closed)
        finally:
            link.close()
            await link.wait_closed()

    async def _converse(self, link: Link, session: Session[Any], closed: "asyncio.Future[tuple[int, str]]") -> int:
        edge = self._edge
        self._link, self.session = link, session
        self.on_frames = self._receiver(session)
        self._backoff.up(edge.clock.mono_ns())
        self._hopeless = False
        code, reason, retry = 1000, "", False
        try:
            session.on_open(self._now(), edge.clock.unix_ns(), self._backoff.attempt + 1)
            self._after()
            code, reason = await closed
            retry = True
        finally:
            self._drop_link()
            delay = self._backoff.down(edge.clock.mono_ns(), edge.dice())
            session.on_close(
                code,
                reason if retry else self.parting,
                edge.clock.unix_ns(),
                retry_s=self._maker.retry(delay) / SECOND if retry else None,
                attempt=self._backoff.attempt,
            )
            self._maker.ended(session)
            edge.deliver()
        return delay

    def _drop_link(self) -> None:
        self._link = self.session = None
        self.on_frames = _nowhere
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        for task in list(self._tasks):
            task.cancel()

    def _failed(self, exc: TransportError) -> int:
        edge = self._edge
        now = edge.clock.mono_ns()
        delay = self._backoff.down(now, edge.dice())
        if exc.fatal and self._hopeless:  # once may be chance: a byte spoiled on the way, a server being replaced
            delay = max(delay, SLOW_RETRY_NS)
        self._hopeless = exc.fatal
        delay = max(delay, edge.budget.heed(exc.status, exc.retry_after_s, now, edge.dice()))
        self._maker.failed(str(exc), exc.status, delay / SECOND, self._backoff.attempt)
        edge.deliver()
        return delay

    def _receiver(self, session: Session[Any]) -> Callable[[list[bytes], int], None]:
        take, after, deliver = session.on_frames, self._after, self._deliver
        meter, clock = self._edge.meter, self._edge.clock
        watch, closed = self._edge.watch, self._closed

        def on_frames(frames: list[bytes], recv_ns: int) -> None:
            if recv_ns < meter.due:  # nothing stood still since the last that was measured
                if take(frames, recv_ns):
                    after()
                else:
                    deliver()
                return
            if recv_ns > watch.late_at:
                watch.look()
                if closed is not None and closed.done():
                    return  # the machine slept
            meter.measure(recv_ns, after if take(frames, recv_ns) else deliver, clock)

        return on_frames

    def on_pong(self) -> None:
        """See `LinkListener`."""
        if self.session is not None:
            self.session.on_pong()

    def on_closed(self, code: int, reason: str) -> None:
        """See `LinkListener`."""
        if self._closed is not None and not self._closed.done():
            self._closed.set_result((code, reason))

    def _after(self) -> None:
        """Do what the session left to do, deliver, and set the timer."""
        session = self.session
        if session is None:
            return
        now = self._now()
        if session.deadline <= now:
            session.on_tick(now, self._edge.clock.unix_ns())
            self._let_go()
        turn_at = self._take_turns(session)
        while session.commands:
            commands = session.commands[:]
            session.commands.clear()
            for command in commands:
                self._perform(session, command)
        self._edge.deliver()
        due = min(session.deadline, turn_at)
        if due != self._armed or self._timer is None:
            self._arm(due)

    def _take_turns(self, session: Session[Any]) -> int:
        """Have sent what waits for its turn among the frames of the address; returns when to try again."""
        while turn := session.turn:
            now = self._edge.clock.mono_ns()
            at = self._edge.budget.frame_at(now, first=turn == "first")
            if at > now:
                return at - self._stood_ns
            session.on_turn(now - self._stood_ns)
        return session.deadline

    def _arm(self, deadline: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = deadline
        delay = max(0, deadline - self._now()) / SECOND
        self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._edge.meter.due = 0  # the clock may have been turned back
        try:
            self._edge.watch.look()  # nobody is judged by a time in which nothing ran
            self._after()
        except Exception as exc:  # a fault of ours: the loop would only log it
            self._fault(exc)

    def _fault(self, error: BaseException) -> None:
        """A fault of ours beside `run()` comes out of it: nothing dies unheard."""
        if self._closed is not None and not self._closed.done():
            self._closed.set_exception(error)

    def _perform(self, session: Session[Any], command: Command) -> None:
        link = self._link
        if link is None:
            return
        if isinstance(command, Send):
            link.send(command.payload)
        elif isinstance(command, Ping):
            link.ping()
        elif isinstance(command, Close):
            link.close(GIVEN_UP if command.dead else 1000, command.reason)
        elif isinstance(command, Replace):
            self._maker.replace(command.reason)
        elif isinstance(command, Relist):
            self._maker.relist()
        elif command.wanted():
            task = asyncio.get_running_loop().create_task(self._fetch(session, command))
            self._tasks[task] = None
            self._waiting[command.token] = command, task
            task.add_done_callback(self._fetched)

    def _let_go(self) -> None:
        """Give back the turns of calls that nobody waits for any more; one that is being made is heard to its end."""
        for fetch, task in [waits for waits in self._waiting.values() if not waits[0].wanted()]:
            del self._waiting[fetch.token]
            task.cancel()

    def _fetched(self, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault(error)

    async def _fetch(self, session: Session[Any], fetch: Fetch) -> None:
        """Make a call when the budget allows it; the session hears of it either way."""
        edge = self._edge
        if fetch.background:
            await edge.leisure(fetch.request.weight)
        await edge.turn(fetch.request.weight)
        self._waiting.pop(fetch.token, None)
        try:
            reply = await edge.call(fetch.request)
        except (TransportError, ConfigError) as exc:
            log.info("fetch failed: %s", exc)
            session.on_failure(fetch.token, self._now(), str(exc))
        else:
            now = edge.clock.mono_ns()
            edge.budget.used(reply.used_weight, now)
            edge.budget.heed(reply.status, reply.retry_after_s, now, edge.dice())
            session.on_reply(fetch.token, reply.status, reply.body, edge.clock.unix_ns(), self._now())
        if session is self.session:
            self._after()


def _nowhere(frames: list[bytes], recv_ns: int) -> None:
    """Frames of a link that is being left."""
