"""How long each transport fault takes to be noticed and mended at each venue, over virtual links.

A fault is done to a feed where all flows; what an outside hand has to heal is healed once it is noticed. The user does
nothing. Times are virtual: detection is from the fault to the first word of it, recovery from the heal (the first word,
where a fault passes by itself) to the last moment at which a book was not live; `flows` is the same of all streams,
tickers that come once a second among them. Where streams are muted each is noticed by itself, and recovery is the
longest that one book was not live.
"""

import argparse
import asyncio
import logging
import sys
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

import marketfeed as mf
from marketfeed import catalogue
from marketfeed.sim.faults import NOTICE_S
from marketfeed.testing import Network, run

from ..simulation.faults import OPTIONS, TRANSPORT
from ..simulation.world import World
from ..virtual import until
from . import ctrl_c, figures
from .oracle import SYMBOLS

RATE = 5.0
BAN_S = 5.0
HOLD_S = (0.5, 3.0)
"""How long a fault holds at least where it has to be healed."""
CALM_S = 12.0
"""All has flowed for so long: it is mended."""
WORST_S = 200.0
HARMLESS = ("pause", "bytes")
"""Kinds that need not be noticed: they may do no harm."""
QUIET, QUIET_S = ("quiet", "proxy_idle"), 300.0
WARM_S = {"mute": 30.0, "mute_market": 30.0, "stall": 30.0}
"""Until a venue's pace is known."""


class Budget(NamedTuple):
    """Seconds to notice a fault; the 95th percentile and the worst of those to recover from it."""

    detect_s: float
    p95_s: float
    worst_s: float


BUDGETS = {
    "hard": Budget(0.05, 1.0, 2.0),
    "muted": Budget(120.0, 1.0, 2.0),
    "refused": Budget(10.0, 16.0, 16.0),
    "banned": Budget(10.0, 10.0, 10.0),
    "fatal": Budget(10.0, 61.0, 61.0),
    "planned": Budget(NOTICE_S + 0.05, 0.0, 0.0),
    "bytes": Budget(15.0, 1.0, 2.0),
    "pause": Budget(15.0, 1.0, 2.0),
}
"""By kind of fault. A ban's recovery is beyond the time that the venue gives; silence has the venue's own limit."""


class Outcome(NamedTuple):
    """One repeat; `told` is whether there was a word of it."""

    told: bool
    detect_s: float
    recover_s: float
    flows_s: float


def budget(name: str, venue: str) -> Budget:
    """What a fault is allowed at a venue."""
    kind = TRANSPORT[name].kind
    if kind == "silent":
        # a heartbeat a second; elsewhere a feed as active as this one
        return Budget(5.0 if catalogue.venue(venue).pace.heartbeat else 10.0, 1.0, 2.0)
    if kind == "planned" and venue != "binance":
        return Budget(NOTICE_S + 0.05, 1.0, 2.0)  # no notice there: its end is a cut
    return BUDGETS[kind]


async def strike(name: str, venue: str, seed: int, network: Network) -> Outcome:
    """One fault, once, and what came of it. AssertionError where anything is wrong, or not mended."""
    loop = asyncio.get_running_loop()
    dice = Random(f"recovery {seed}")
    fault = TRANSPORT[name]
    words: list[float] = []
    options: dict[str, Any] = {"rate": RATE, "faults": f"retry_after={BAN_S}", **OPTIONS.get(name, {})}
    async with World(seed, [venue], network, **options) as world:
        await world.until_live(30.0)
        await world.run(WARM_S.get(name, 5.0) + dice.random())
        for kind in (mf.Disconnected, mf.Stale, mf.Gap, mf.Malformed):
            world.feed.on(kind, lambda event: words.append(loop.time()))
        struck = loop.time()
        heal = fault.strike(world, venue, dice)
        struck = max(struck, loop.time())  # where the fault is that time jumps
        patience = QUIET_S if name in QUIET else 5.0 if fault.kind in HARMLESS else 150.0
        if heal is not None:
            await world.run(dice.uniform(*HOLD_S))
        await _heard(words, patience)
        if heal is not None:
            heal()
        began = loop.time() if heal is not None or not words else words[0]
        proven, flows, longest = await _mended(world, began)
        if fault.kind == "muted":
            proven = longest
        await world.run(2.0, deep_s=1.0)
        bans = BAN_S * world.plant.injected["handshake"] if fault.kind == "banned" else 0.0
        struck = max(struck, world.way(venue).struck_at)
        detect = max(0.0, words[0] - struck) if words else 0.0
        return Outcome(bool(words), detect, max(0.0, proven - bans), max(0.0, flows - bans))


async def _heard(words: list[float], patience_s: float) -> None:
    """Wait for a word, so long."""
    with suppress(AssertionError):
        await until(lambda: words, patience_s)


async def _mended(world: World, began: float) -> tuple[float, float, float]:
    """Seconds until every book was live again, and until all flowed again; and both went on; and one book's longest."""
    loop = asyncio.get_running_loop()
    proven = flows = began
    longest = 0.0
    proven_at: dict[str, float] = {}
    while loop.time() - flows < CALM_S:
        for name in world.names:
            if world.feed.book(name).live:
                proven_at[name] = loop.time()
            else:
                proven = loop.time()
                longest = max(longest, proven - proven_at.setdefault(name, began))
        if not (world.live and world.proven):
            flows = loop.time()
            assert flows - began < WORST_S, f"not mended: {world.feed.waiting()}"
        world.look()
        await asyncio.sleep(0.02)
    return proven - began, flows - began, longest


def repeat(name: str, venue: str, seeds: range) -> dict[str, Any]:
    """A fault at a venue, once for each seed: the figures, and what was wrong."""
    outcomes, wrong = [], []
    for seed in seeds:
        network = Network(seed)
        try:
            outcomes.append(run(strike(name, venue, seed, network), network))
        except Exception as exc:
            wrong.append(f"seed {seed}: {type(exc).__name__}: {exc}")
    allowed = budget(name, venue)
    detect = sorted(one.detect_s for one in outcomes if one.told)
    recover = sorted(one.recover_s for one in outcomes)
    row = {
        "row": TRANSPORT[name].row,
        "fault": name,
        "venue": venue,
        "recovered": f"{len(outcomes)}/{len(seeds)}",
        "told": len(detect),
        "detect_p95": p95(detect),
        "allowed": allowed.detect_s,
        "recover_p95": p95(recover),
        "p95_allowed": allowed.p95_s,
        "worst": round(recover[-1], 2) if recover else None,
        "flows_p95": p95(sorted(one.flows_s for one in outcomes)),
    }
    within = bool(recover) and p95(recover) <= allowed.p95_s + 0.02 and (p95(detect) or 0.0) <= allowed.detect_s + 0.02
    return {**row, "within": "yes" if within and not wrong else "no", **({"wrong": "; ".join(wrong)} if wrong else {})}


def p95(values: list[float]) -> float:
    """The 95th percentile of sorted values, 0 where there are none."""
    return round(values[min(len(values) - 1, int(len(values) * 0.95))], 2) if values else 0.0


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.recovery", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--fault", choices=sorted(TRANSPORT), action="append", help="of all, if none is given")
    parser.add_argument("--venue", choices=sorted(SYMBOLS), action="append", help="of all, if none is given")
    figures.argument(parser)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    seeds = range(args.seed, args.seed + args.repeats)
    each = ((name, venue) for name in args.fault or TRANSPORT for venue in args.venue or sorted(SYMBOLS))
    rows = figures.tell("recovery", args.figures, (repeat(name, venue, seeds) for name, venue in each))
    failed = [row for row in rows if "wrong" in row]
    over = [f"{row['fault']} at {row['venue']}" for row in rows if row["within"] == "no"]
    print(f"{len(rows)} of fault and venue, {len(failed)} failed, over their budget: {', '.join(over) or 'none'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    ctrl_c.ends(main)
