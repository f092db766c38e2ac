"""Time that costs nothing: a loop whose clock jumps to the next timer, and what drivers need to run on it."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from marketfeed import testing
from marketfeed.driver import Driver
from marketfeed.rest import FakeRest, Reply
from marketfeed.testing.loop import SECOND, UNIX_S
from marketfeed.transport import Link, LinkListener
from marketfeed.transports.fake import FakeLink, FakeTransport
from marketfeed.venues._spec import Request

LoopClock = testing.LoopClock
UNIX = UNIX_S * SECOND


class VirtualLoop(testing.VirtualLoop):
    """The one that users have, and what our own tests ask of it. `turns` counts its iterations."""

    def __init__(self) -> None:
        self.turns = 0
        self.at_turn: dict[int, Callable[[], None]] = {}
        super().__init__()

    def _run_once(self) -> None:
        self.turns += 1
        if (act := self.at_turn.pop(self.turns, None)) is not None:
            self.call_soon(act)
        super()._run_once()  # type: ignore[misc] # asyncio's own step, of which there is no public form

    def timers(self) -> list[asyncio.TimerHandle]:
        """Timers of drivers that are still to fire."""
        handles: list[asyncio.TimerHandle] = [h for h in self._scheduled if not h.cancelled()]  # type: ignore[attr-defined]
        return [h for h in handles if isinstance(getattr(h._callback, "__self__", None), Driver)]  # type: ignore[attr-defined]


def now_s() -> float:
    """Seconds on the running loop's clock."""
    return asyncio.get_running_loop().time()


def left_behind() -> list[str]:
    """Tasks besides the current one, and on a virtual loop timers too: a test ends with none."""
    tasks = [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    loop = asyncio.get_running_loop()
    return tasks + ([repr(timer) for timer in loop.timers()] if isinstance(loop, VirtualLoop) else [])


Main = Callable[..., Coroutine[Any, Any, None]]


def on(factory: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[Main], Callable[..., None]]:
    """Run a coroutine test on a loop of this kind; it fails where a task or a timer is left behind."""

    def decorate(test: Main) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            async def main() -> None:
                await test(*args, **kwargs)
                for _ in range(3):  # what was cancelled needs a turn of the loop to end
                    await asyncio.sleep(0)
                assert not left_behind()

            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(main())

        return run

    return decorate


virtual = on(VirtualLoop)


async def settle(turns: int = 8) -> None:
    """Let everybody do what needs no time."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any], seconds: float = 10.0, step: float = 0.01) -> None:
    """Wait until something holds, by the loop's clock."""
    end = now_s() + seconds
    while not condition():
        assert now_s() < end, f"did not come true within {seconds} s"
        await asyncio.sleep(step)


class Transport(FakeTransport):
    """A fake that notes when each attempt was made, and can be slow."""

    def __init__(self, *script: Exception | None, takes_s: float = 0.0) -> None:
        super().__init__(*script)
        self.at: list[float] = []
        self.takes_s = takes_s
        self.on_link: Callable[[FakeLink], object] = lambda link: None
        self.answers_pings = False

    async def connect(self, url: str, listener: LinkListener, **options: Any) -> Link:
        self.at.append(now_s())
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        link = await super().connect(url, listener, **options)
        if self.answers_pings:
            _answer_pings(self.links[-1])
        self.on_link(self.links[-1])
        return link

    @property
    def waits(self) -> list[float]:
        """Seconds between attempts."""
        return [round(b - a, 6) for a, b in zip(self.at, self.at[1:], strict=False)]


def _answer_pings(link: FakeLink) -> None:
    def ping() -> None:
        FakeLink.ping(link)
        asyncio.get_running_loop().call_soon(link.pong)

    link.ping = ping  # type: ignore[method-assign]


class Rest(FakeRest):
    """A fake that notes when each call was made, and can be slow."""

    def __init__(self, replies: Any = None, *, takes_s: float = 0.0) -> None:
        super().__init__(replies)
        self.at: list[float] = []
        self.takes_s = takes_s

    async def fetch(self, base: str, request: Request) -> Reply:
        self.at.append(now_s())
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        return await super().fetch(base, request)


async def cancelled(task: "asyncio.Task[Any]") -> None:
    """Cancel a task and wait until it has ended so."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
