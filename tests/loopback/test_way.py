"""Rows of the way that no proxy can play: an address that swallows packets, a quiet market, many links that drop
together, a process that is halted. Over real sockets, at each venue."""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

import marketfeed as mf
from marketfeed import catalogue, pulse, sim, watch
from marketfeed.transport import Link
from marketfeed.transports import _dial
from marketfeed.transports.websockets import WebsocketsTransport

from ..conftest import ROOT
from .rig import SYMBOLS, VENUES, Auditor, bench, plain

FLOWING = (mf.Trade, mf.Ticker, mf.BookDelta)


def venues(quick: str) -> list[Any]:
    """All venues, of which the short run takes one, or none where it takes seconds."""
    return [pytest.param(name, marks=() if name == quick else pytest.mark.soak) for name in VENUES]


class Timed(WebsocketsTransport):
    """Knows when it was asked to connect."""

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[float] = []

    async def connect(self, *args: Any, **named: Any) -> Link:
        self.tried.append(time.monotonic())
        return await super().connect(*args, **named)


@contextmanager
def swallowing() -> Iterator[int]:
    """A port whose handshakes are never answered: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("venue", venues("kraken"))
def test_T11_where_the_first_address_swallows_packets_the_next_one_is_taken(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    @plain
    async def run() -> None:
        async with sim.Simulator([venue], seed=7, rate=100.0, symbols=SYMBOLS[venue]) as plant:
            at = plant.endpoints[venue]
            port = int(at.rest.rpartition(":")[2])
            with swallowing() as black:

                async def resolve(self: Any, host: str, port_: int, **named: Any) -> list[Any]:
                    tried.append(port_)
                    return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", one)) for one in (black, port)]

                monkeypatch.setattr(asyncio.SelectorEventLoop, "getaddrinfo", resolve)
                link = await _dial.dial("venue.example", port)
                assert link.getpeername()[1] == port
                link.close()
                lost: list[mf.Disconnected] = []
                async with mf.Feed({venue: mf.VenueSettings(ws=at.ws, rest=at.rest)}) as feed:
                    feed.on(mf.Disconnected, lost.append)
                    feed.subscribe(f"{venue}:{SYMBOLS[venue][0]}", trades=True)
                    await feed.live(timeout=5)
                    assert not lost

    run()
    assert len(tried) >= 2


@pytest.mark.parametrize("venue", venues(""))
def test_T05_a_market_that_falls_quiet_is_asked_about_and_left_alone(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "MIN_SILENCE_S", 0.5)
    monkeypatch.setattr(pulse, "LIVELY_PING_S", 0.2)

    @plain
    async def run() -> None:
        beats = catalogue.venue(venue).pace.heartbeat
        pace = {"silence_s": 2.5 if beats else 8.0, "ping_idle_s": 0.2, "pong_wait_s": 2.0}
        async with bench(venue, pace=pace) as b:
            await b.recovered()
            await b.stop()
            mark = len(b.audit.events)
            await asyncio.sleep(4.0)  # several times what is doubted: what is to be seen is that nothing happens
            assert beats or any(isinstance(event, mf.Audit) for event in b.audit.events[mark:]), "asked over REST"
            words = [event for event in b.audit.events[mark:] if not isinstance(event, (*FLOWING, mf.Audit))]
            assert not words
            assert all(b.feed.book(f"{venue}:{symbol}").live for symbol in SYMBOLS[venue])
            b.move()
            await b.recovered()
            assert b.epochs(b.first) == b.epochs(b.second) == [1]

    run()


@pytest.mark.parametrize("venue", venues("coinbase"))
def test_T22_links_that_drop_together_come_back_within_the_quota(venue: str) -> None:
    quota, window_s = 2, 0.5  # half of the venue's own: a busy machine pushes two bursts together

    @plain
    async def run() -> None:
        pace = {"subscriptions_per_link": 1, "connects": (quota, window_s)}
        transport = Timed()
        async with bench(venue, pace=pace, transport=transport) as b:
            b.audit = Auditor(links=6)  # of the venue: one that stands again says nothing of the others' books
            await b.recovered()
            links = len(b.audit.of(mf.Connected))
            assert links > quota
            b.plant.inject(venue, "cut")
            await b.until(lambda: len(b.audit.of(mf.Connected)) == 2 * links)
            await b.recovered()
            assert b.plant.injected["cut"] == links
            assert len(transport.tried) == 2 * links
            for first, last in zip(transport.tried, transport.tried[quota:], strict=False):
                assert last - first >= window_s - 0.001

    run()


@pytest.mark.parametrize("venue", venues("kraken"))
def test_T23_a_process_that_was_halted_says_that_all_is_stale_before_any_new_data(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SLEPT_NS", 500_000_000)

    @plain
    async def run() -> None:
        async with bench(venue) as b:
            await b.recovered()
            links, mark = len(b.audit.of(mf.Connected)), len(b.audit.events)
            time.sleep(0.8)  # noqa: ASYNC251 # halted
            await b.until(lambda: b.audit.of(mf.Disconnected))
            told = b.audit.events[mark:]
            data = [n for n, event in enumerate(told) if isinstance(event, FLOWING)]
            stale = [n for n, event in enumerate(told) if isinstance(event, mf.Stale)]
            assert {f"{told[n].symbol}:{told[n].channel}" for n in stale} == {  # type: ignore[attr-defined] # each has
                f"{symbol}:{channel}" for symbol in SYMBOLS[venue] for channel in ("trades", "ticker", "book")
            }
            assert not data or max(stale) < min(data)
            await b.recovered()
            assert len(b.audit.of(mf.Connected)) == 2 * links
            assert b.epochs(b.first) == [1, 2]

    run()


def can_roam() -> bool:
    """Whether a process may have a network of its own here, and can change it."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return (
        subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode
        == 0
    )


@pytest.mark.skipif(not can_roam(), reason="no network namespaces for us here")
@pytest.mark.parametrize("venue", venues("kraken"))
def test_T24_where_the_local_address_goes_a_new_connection_is_made_from_the_next(venue: str) -> None:
    command = ["unshare", "-rn", sys.executable, "-m", "tests.loopback.roaming", venue]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{venue}: found after ")
