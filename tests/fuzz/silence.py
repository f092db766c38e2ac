"""How soon silence is found, and that a quiet market is left alone: the two sides of liveness.

A stall is data that stops while pings are answered, a blackhole all that stops. A quiet day is lively for ten minutes,
and then moves once in five minutes. Times are virtual. `python -m tests.fuzz.silence --repeats 20 --hours 24`.
"""

import argparse
import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import marketfeed as mf
from marketfeed.events import Head
from marketfeed.testing import Network, run

from ..simulation.faults import FAULTS
from ..simulation.world import World
from ..virtual import until
from . import ctrl_c, figures
from .oracle import SYMBOLS

WARM_S = 60.0
LIVELY_S = 600.0
QUIET_RATE = 1 / 300


class Kind(NamedTuple):
    """A kind of feed, by the steps a second of its markets, and the seconds in which a fault is to be found."""

    feed: str
    venue: str
    rate: float
    ticker: bool
    fault: str
    allowed_s: float


KINDS = (
    *(
        Kind("venue heartbeat", venue, rate, True, fault, 5.0)
        for venue in ("coinbase", "kraken")
        for rate in (5.0, 0.2)
        for fault in ("stall", "blackhole")
    ),
    Kind("active", "binance", 5.0, True, "stall", 10.0),
    Kind("active", "binance", 5.0, True, "blackhole", 10.0),
    Kind("active, without tickers", "binance", 5.0, False, "stall", 10.0),
    Kind("active, without tickers", "binance", 5.0, False, "blackhole", 10.0),
    Kind("quiet", "binance", 0.2, False, "blackhole", 15.0),
    Kind("quiet, by its own limit", "binance", 0.2, False, "stall", 120.0),
)


async def found_after(kind: Kind, seed: int, network: Network) -> float:
    """Seconds from a fault to the first word of it."""
    loop, dice = asyncio.get_running_loop(), Random(f"silence {seed}")
    words: list[float] = []
    async with World(seed, [kind.venue], network, rate=kind.rate, ticker=kind.ticker) as world:
        await world.until_live(60.0)
        await world.run(WARM_S + dice.random())
        for event in (mf.Disconnected, mf.Stale, mf.Gap):
            world.feed.on(event, lambda event: words.append(loop.time()))
        if kind.fault == "stall":
            world.plant.inject(kind.venue, "stall")
        else:
            FAULTS[kind.fault].strike(world, kind.venue, dice)
        struck = loop.time()
        await until(lambda: words, 200.0)
        return words[0] - max(struck, world.way(kind.venue).struck_at)


def stalls(kind: Kind, seeds: range) -> dict[str, Any]:
    """A kind of feed, stalled once for each seed."""
    times = []
    for seed in seeds:
        network = Network(seed)
        times.append(run(found_after(kind, seed, network), network))
    return {
        "feed": kind.feed,
        "venue": kind.venue,
        "fault": kind.fault,
        "found": f"{len(times)}/{len(seeds)}",
        "worst_s": round(max(times), 2),
        "allowed_s": kind.allowed_s,
        "within": "yes" if max(times) <= kind.allowed_s + 0.02 else "no",
    }


async def quiet_day(hours: float, seed: int, network: Network, *, ticker: bool) -> dict[str, Any]:
    """Hours of a market that hardly moves."""
    told: Counter[str] = Counter()
    async with World(seed, sorted(SYMBOLS), network, rate=5.0, ticker=ticker) as world:
        await world.until_live(30.0)
        await world.run(LIVELY_S)

        def hear(event: Head) -> None:
            planned = isinstance(event, mf.Disconnected) and event.reason.startswith("replaced by")
            told.update(["planned" if planned else type(event).__name__])

        for kind in Head.__subclasses__():
            world.feed.on(kind, hear)
        world.plant.pace(QUIET_RATE)
        await world.run(hours * 3_600, look_s=60.0, deep_s=600.0)
        books = sum(world.feed.book(name).live for name in world.names)
        found = Counter(told)
    return {
        "quiet_hours": hours,
        "tickers": "yes" if ticker else "no",
        "reconnects": found["Disconnected"],
        "planned": found["planned"],
        "stale": found["Stale"],
        "gaps": found["Gap"],
        "asked_over_rest": found["Audit"],
        "events": sum(found.values()),
        "books_live": f"{books}/{len(world.names)}",
    }


def looked(seeds: range, hours: float) -> Iterator[dict[str, Any]]:
    """Each kind of feed with each fault, then quiet days with tickers and without."""
    for kind in KINDS:
        yield stalls(kind, seeds)
    for ticker in (True, False):
        network = Network(seeds.start)
        yield run(quiet_day(hours, seeds.start, network, ticker=ticker), network)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.silence", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--hours", type=float, default=24.0)
    figures.argument(parser)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rows = figures.tell("silence", args.figures, looked(range(args.seed, args.seed + args.repeats), args.hours))
    sys.exit(any(row.get("within") == "no" or row.get("reconnects") or row.get("stale") for row in rows))


if __name__ == "__main__":
    ctrl_c.ends(main)
