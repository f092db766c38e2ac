"""Soak: a feed and a recorder under load for long, with a fault every 20 s; then nothing may have been left behind.

Each simulated venue and the proxy that harms it run in a process of their own. Memory is this process's, which has the
feed, looked at every ten seconds, once garbage is collected and the allocator has given back what is free: a burst
after a fault leaves it with a MiB or two that nothing is in, for minutes, which would hide what grows. `most` has them.
Python gives back whole MiB alone, so the blocks that it has given out are counted too: what grows there is held by us.
`python -m tests.fuzz.soak --minutes 30 --rate 5000`.
"""

import argparse
import asyncio
import ctypes
import gc
import json
import os
import resource
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, sim
from marketfeed.counts import Counts

from ..chaos_proxy import ChaosProxy
from ..loopback.rig import VENUES
from . import ctrl_c, figures
from .oracle import SYMBOLS

FAULT_S = 20.0
HARM_S = 3.0
LOOK_S = 10.0
WARM_UP = 20.0
"""Minutes. In their first half all venues are harmed at once, and for longer: a burst that is larger than any before it
has Python take a MiB more, which stays in use in part. By chance alone it would come in the hours after."""
WORST_HARM_S = 6.0
SLOPE = 1.0
"""MiB an hour that memory may grow after the warm-up."""
FRAMES_A_STEP = 11.0
"""Frames of the three venues together that arrive for each step, as counted over half an hour with its faults."""


async def plant(venue: str, seed: int, rate: float, warm_up: float) -> None:
    """A child: one venue behind a proxy that harms it, until its input ends."""
    dice = Random(f"{seed} {venue}")
    step_rate = rate / FRAMES_A_STEP
    async with sim.Simulator([venue], seed=seed, rate=step_rate, symbols=SYMBOLS[venue], keep=1_000) as venues:
        at = venues.endpoints[venue]
        port = at.rest.rpartition(":")[2]
        async with ChaosProxy(int(port), dice) as proxy:
            print(json.dumps([url.replace(f":{port}", f":{proxy.port}") for url in (at.ws, at.rest)]), flush=True)
            await harm(proxy, venue, dice, 30 * warm_up)


async def harm(proxy: ChaosProxy, venue: str, dice: Random, worst_s: float) -> None:
    """For so long all venues every `FAULT_S`, then each in its turn, one every `FAULT_S`, until the input ends."""
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for _ in range(int(worst_s / FAULT_S)):
        await asyncio.wait([ended], timeout=FAULT_S - WORST_HARM_S)
        await _harm(proxy, dice, WORST_HARM_S, ended)
    await asyncio.wait([ended], timeout=FAULT_S * VENUES.index(venue))
    while not ended.done():
        await asyncio.wait([ended], timeout=FAULT_S * len(VENUES) - HARM_S)
        await _harm(proxy, dice, HARM_S, ended)


async def _harm(proxy: ChaosProxy, dice: Random, harm_s: float, ended: "asyncio.Future[str]") -> None:
    match dice.randrange(6):
        case 0:
            proxy.reset(within=5_000)
        case 1:
            proxy.half_open()
        case 2:
            proxy.slice_bytes = (1, 64)
        case 3:
            proxy.bandwidth = 1_000
        case 4:
            proxy.corrupt()
        case _:
            proxy.cut()
    await asyncio.wait([ended], timeout=harm_s)
    proxy.heal()


class State:
    """What a process holds."""

    def __init__(self) -> None:
        gc.collect()
        self.tasks = len(asyncio.all_tasks())
        self.files = len(os.listdir("/proc/self/fd"))
        self.threads = threading.active_count()

    def text(self) -> str:
        return f"{self.tasks} tasks {self.files} files {self.threads} threads"


def held_mb() -> float:
    """Resident memory of this process in MiB, once what is free is given back."""
    gc.collect()
    with suppress(AttributeError):  # glibc's own
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def slope(points: list[tuple[float, float]]) -> float:
    """MiB an hour, by least squares over (seconds, MiB)."""
    n = len(points)
    x, y = sum(t for t, _ in points) / n, sum(m for _, m in points) / n
    spread = sum((t - x) ** 2 for t, _ in points)
    return 3600 * sum((t - x) * (m - y) for t, m in points) / spread if spread else 0.0


def fifths(points: list[tuple[float, float]]) -> str:
    """The mean of each fifth of the time: whether memory still grows."""
    size = max(1, len(points) // 5)
    parts = [points[n : n + size] for n in range(0, 5 * size, size)]
    return " ".join(f"{sum(m for _, m in part) / len(part):.1f}" for part in parts if part)


async def soak(warm_up: float, minutes: float, rate: float, seed: int) -> dict[str, Any]:
    """The run. Returns figures; raises where something is left behind."""
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0)  # the executor's thread is there before
    options = ["--seed", str(seed), "--rate", str(rate), "--warm-up", str(warm_up)]
    command = [sys.executable, "-m", "tests.fuzz.soak", *options, "--plant"]
    pipe = asyncio.subprocess.PIPE
    children = [await asyncio.create_subprocess_exec(*command, name, stdin=pipe, stdout=pipe) for name in VENUES]
    places = {}
    for name, child in zip(VENUES, children, strict=True):
        assert child.stdout
        places[name] = json.loads(await child.stdout.readline())
    before = State()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = await _run(places, warm_up, minutes, Path(folder))
    await asyncio.sleep(1.0)
    after = State()
    for child in children:
        assert child.stdin
        child.stdin.close()
        await child.wait()
    same = vars(before) == vars(after)
    return {**found, "before": before.text(), "after": after.text(), "all given back": same}


async def _run(places: dict[str, list[str]], warm_up: float, minutes: float, folder: Path) -> dict[str, Any]:
    from marketfeed.recording import Recorder  # noqa: PLC0415 # needs an extra

    settings = {}
    for name, (ws, rest) in places.items():
        pace = structs.replace(catalogue.venue(name).pace, silence_s=5.0, ping_idle_s=1.0, pong_wait_s=1.0)
        settings[name] = mf.VenueSettings(ws=ws, rest=rest, pace=pace, max_resyncs=100)
    whole = warm_up + minutes
    points: list[tuple[float, float]] = []
    blocks: list[tuple[float, float]] = []
    lost: list[mf.Disconnected] = []
    frames = [0]
    began, every = time.monotonic(), min(LOOK_S, minutes)
    async with mf.Feed(settings) as feed, Recorder(feed, folder / "data", simulated=True, rotate_s=60):
        feed.on(mf.Disconnected, lost.append)
        for name in VENUES:
            for symbol in SYMBOLS[name]:
                feed.subscribe(f"{name}:{symbol}", trades=True, ticker=True, book=True)
        await feed.live(timeout=30)
        for number in range(1, round(60 * whole / every) + 1):
            await asyncio.sleep(began + every * number - time.monotonic())
            points.append((every * number, held_mb()))
            blocks.append((every * number, sys.getallocatedblocks() / 1000))
            frames.append(_frames(feed))
            if not number % 6:
                print(
                    f"{points[-1][0] / 60:.1f} of {whole:g} min: {points[-1][1]:.1f} MiB", file=sys.stderr, flush=True
                )
    warm, blocks = ([point for point in some if point[0] > 60 * warm_up] for some in (points, blocks))
    return {
        "warm-up": round(warm_up, 2),
        "minutes": minutes,
        "messages": frames[-1],
        "messages a second": round((frames[-1] - frames[-len(warm) - 1]) / (every * len(warm))),
        "disconnected": len(lost),
        "MiB by fifths": fifths(warm),
        "thousand blocks by fifths": fifths(blocks),
        "most": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "slope MiB/h": round(slope(warm), 2),
        "cpu_s": round(time.process_time(), 1),
    }


def _frames(feed: mf.Feed) -> int:
    total = Counts()
    for counts in feed.counts().values():
        total.add(counts)
    return total.frames


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="measured, after the warm-up")
    parser.add_argument("--warm-up", type=float, default=WARM_UP, metavar="MINUTES", help="[default: %(default)g]")
    parser.add_argument("--rate", type=float, default=5_000.0, help="messages a second, of all venues together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plant", choices=VENUES, help=argparse.SUPPRESS)
    figures.argument(parser)
    args = parser.parse_args()
    if args.plant:
        ctrl_c.ignore()  # who started it ends it
        mf.run(plant(args.plant, args.seed, args.rate, args.warm_up))
        return
    found = mf.run(soak(args.warm_up, args.minutes, args.rate, args.seed))
    figures.tell("soak", args.figures, [found])
    if not found["all given back"] or found["slope MiB/h"] > SLOPE:
        raise SystemExit("memory grew, or something was not given back: see above")


if __name__ == "__main__":
    ctrl_c.ends(main)
