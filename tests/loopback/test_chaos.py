"""One of each transport fault at each venue, over loopback through a proxy: told, and recovered with no user code.

Every event is audited and every live book held to the oracle. `make chaos` mixes them by chance.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from random import Random
from typing import Any, NamedTuple

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, driver, sim

from ..chaos_proxy import ChaosProxy
from ..simulation.connect_proxy import ConnectProxy
from .rig import SYMBOLS, VENUES, Bench, plain

PACE = {"silence_s": 1.0, "ping_idle_s": 0.3, "pong_wait_s": 0.3, "ack_s": 0.5, "first_data_s": 0.6}
REFUSAL = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def through_proxy(
    venue: str, *, redundancy: int = 1, company: ConnectProxy | None = None
) -> AsyncIterator[tuple[Bench, ChaosProxy]]:
    """A bench whose venue is behind a proxy that harms, and where there is one, a company's."""
    async with sim.Simulator([venue], seed=7, rate=None, symbols=SYMBOLS[venue]) as plant:
        at = plant.endpoints[venue]
        port = int(at.rest.rpartition(":")[2])
        async with ChaosProxy(port, Random(7)) as proxy, company or nullcontext():
            ws, http = (url.replace(f":{port}", f":{proxy.port}") for url in (at.ws, at.rest))
            paced = structs.replace(catalogue.venue(venue).pace, **PACE)
            by = company and company.url
            settings = mf.VenueSettings(ws=ws, rest=http, pace=paced, max_resyncs=100, proxy=by, redundancy=redundancy)
            async with mf.Feed({venue: settings}, dice=lambda: 0.02) as feed:
                bench = Bench(venue, plant, feed)
                bench.subscribe()
                bench.move()
                try:
                    yield bench, proxy
                finally:
                    await bench.stop()
                bench.check()


Strike = Callable[[Bench, ChaosProxy], Awaitable[None]]


class Fault(NamedTuple):
    """What is done, and whether the connection is lost by it, or left in time, so that nothing is missing.

    `company` is a proxy between, and `told` what is told where nothing is lost.
    """

    strike: Strike
    lost: bool = True
    planned: bool = False
    redundancy: int = 1
    company: ConnectProxy | None = None
    told: type[mf.Gap] | None = None


async def reset(b: Bench, proxy: ChaosProxy) -> None:
    proxy.reset(within=500)


async def fin(b: Bench, proxy: ChaosProxy) -> None:
    proxy.cut()


async def half_open(b: Bench, proxy: ChaosProxy) -> None:
    proxy.half_open()


async def timeout(b: Bench, proxy: ChaosProxy) -> None:
    proxy.timeout(0.2)


async def drip(b: Bench, proxy: ChaosProxy) -> None:
    proxy.bandwidth = 20
    await b.until(lambda: b.audit.of(mf.Disconnected))
    proxy.heal()


async def limit(b: Bench, proxy: ChaosProxy) -> None:
    proxy.limit_bytes = 1
    await b.until(lambda: b.audit.of(mf.Disconnected))
    proxy.heal()


async def slices(b: Bench, proxy: ChaosProxy) -> None:
    proxy.slice_bytes = (1, 64)


async def latency(b: Bench, proxy: ChaosProxy) -> None:
    proxy.latency_s = proxy.jitter_s = 0.02


async def down(b: Bench, proxy: ChaosProxy) -> None:
    await proxy.down()
    await b.until(lambda: len(b.audit.of(mf.Disconnected)) > 1)
    await proxy.up()


def answered(status: bytes, times: int = 2) -> Strike:
    async def strike(b: Bench, proxy: ChaosProxy) -> None:
        proxy.answers = [REFUSAL % status] * times
        proxy.cut()
        await b.until(lambda: proxy.done["answer"] == times)

    return strike


def injected(kind: str, where: str = "") -> Strike:
    async def strike(b: Bench, proxy: ChaosProxy) -> None:
        b.plant.inject(b.venue, kind, where)

    return strike


COMPANY = ConnectProxy()


async def refused_by_the_company(b: Bench, proxy: ChaosProxy) -> None:
    COMPANY.refuses = 407
    COMPANY.cut()
    await b.until(lambda: len(b.audit.of(mf.Disconnected)) > 1)
    COMPANY.refuses = 0


async def corrupt(b: Bench, proxy: ChaosProxy) -> None:
    """Bytes until one harms: of what is not read, nothing is missed."""
    for _ in range(50):
        proxy.corrupt()
        await b.until(lambda: not proxy._corrupt)
        await b.checked()
        if b.audit.of(mf.Malformed, mf.Gap, mf.Disconnected):
            return
    raise AssertionError("fifty broken bytes, and nobody noticed one")


FAULTS = {
    "T01_reset": Fault(reset),
    "T02_fin": Fault(fin),
    "T02_limit": Fault(limit),
    "T02_timeout": Fault(timeout),
    "T03_half_open": Fault(half_open),
    "T04_stall": Fault(injected("stall")),
    "T04_mute": Fault(injected("mute", "book"), lost=False, told=mf.Gap),
    "T06_drip": Fault(drip),
    "T07_slices": Fault(slices, lost=False),
    "T07_latency": Fault(latency, lost=False),
    "T08_uneven": Fault(latency, lost=False, redundancy=2),
    "T10_down": Fault(down),
    "T12_proxy": Fault(refused_by_the_company, company=COMPANY),
    "T13_503": Fault(answered(b"503 Service Unavailable")),
    "T14_429": Fault(answered(b"429 Too Many Requests\r\nRetry-After: 1", 1)),
    "T15_404": Fault(answered(b"404 Not Found", 1)),
    "T16_shutdown": Fault(injected("shutdown"), planned=True),
    "T17_1012": Fault(injected("close", "1012")),
    "T17_4000": Fault(injected("close", "4000")),
    "T18_oversize": Fault(injected("frame", "oversize")),
    "T19_compressed": Fault(injected("frame", "compressed")),
    "T20_opcode": Fault(injected("frame", "opcode")),
    "T20_torn": Fault(injected("frame", "torn")),
    "T20_utf8": Fault(injected("frame", "utf8"), lost=False),
    "T21_pings": Fault(injected("pings"), lost=False),
}
QUICK = {"T01_reset", "T06_drip", "T13_503", "T18_oversize", "T21_pings"}


def cases() -> list[Any]:
    """Each fault at each venue; in the short run a few of them, each at one venue."""
    quick = {(name, VENUES[n % len(VENUES)]) for n, name in enumerate(sorted(QUICK))}
    return [
        pytest.param(name, venue, id=f"{name}-{venue}", marks=() if (name, venue) in quick else pytest.mark.soak)
        for name in FAULTS
        for venue in VENUES
    ]


@pytest.mark.parametrize(("name", "venue"), cases())
def test_T01_T21_a_fault_of_the_way_is_told_and_recovered(
    name: str, venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = FAULTS[name]
    monkeypatch.setattr(driver, "SLOW_RETRY_NS", 500_000_000)

    @plain
    async def run() -> None:
        async with through_proxy(venue, redundancy=fault.redundancy, company=fault.company) as (b, proxy):
            await b.recovered()
            assert not b.audit.of(mf.Gap, mf.BookVoid, mf.Malformed, mf.Disconnected)
            await fault.strike(b, proxy)
            if fault.planned and venue == "binance":  # the others give no notice
                await b.until(lambda: len(b.audit.of(mf.Connected)) > 1, 15.0)
                await b.recovered()
                assert not b.audit.of(mf.Gap, mf.BookVoid)
                return
            if fault.told:
                await b.until(lambda: fault.told and b.audit.of(fault.told), 30.0)
            if fault.lost:
                await b.until(lambda: len(b.audit.of(mf.Connected)) > 1, 15.0)
                assert {s.partition(":")[2] for s in b.audit.gaps()} == {"trades", "ticker", "book"}
            await b.recovered()
            if not fault.lost:
                assert not b.audit.of(mf.Disconnected)

    run()


@pytest.mark.soak
@pytest.mark.parametrize("venue", VENUES)
def test_P01_T20_a_byte_that_was_harmed_on_the_way_never_makes_a_wrong_book(venue: str) -> None:
    @plain
    async def run() -> None:
        async with through_proxy(venue) as (b, proxy):
            await b.recovered()
            await corrupt(b, proxy)
            await b.recovered()

    run()
