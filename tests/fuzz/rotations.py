"""Planned cuts with one link a stream, and single faults with two, over simulated venues on a virtual network.

Each connection in turn is replaced, or each of two is struck by one fault at a time, while the market moves; every
event is audited and every live book held to the oracle. `python -m tests.fuzz.rotations --rotations 1000`.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import marketfeed as mf
from marketfeed import catalogue
from marketfeed.places import Wire
from marketfeed.sim.link import Link
from marketfeed.sim.wire import Hangup
from marketfeed.testing import Network, run

from ..loopback.rig import Auditor
from ..simulation.world import World
from . import ctrl_c, figures
from .oracle import SYMBOLS

RATE = 4.0
PATIENCE_S = 180.0
"""Virtual seconds in which two links stand again after a fault; a muted stream takes a while to be noticed."""


def _cut(link: Link, dice: Random) -> None:
    link.abort()


def _close(link: Link, dice: Random) -> None:
    link.say(Hangup(dice.choice((1001, 1008, 1012, 4000)), "on purpose"))


def _stall(link: Link, dice: Random) -> None:
    link.gremlin.arm("stall")


def _mute(link: Link, dice: Random) -> None:
    channel = dice.choice(("book", "trades", "ticker"))
    link.conversation.muted.update(f"{channel}:{symbol}" for symbol in ("BTC-USD", "ETH-USD", "BTC-USDT", "ETH-USDT"))


def _freeze(link: Link, dice: Random) -> None:
    """Half-open: nothing comes through, and nobody says so."""
    pipe: Any = link._transport
    pipe.wire.frozen = pipe.back.frozen = True


def _frame(kind: str) -> Callable[[Link, Random], None]:
    def strike(link: Link, dice: Random) -> None:
        for _ in range(dice.choice((1, 1, 3))):
            link.gremlin.arm(kind)

    return strike


FAULTS: dict[str, Callable[[Link, Random], None]] = {
    "cut": _cut,
    "close": _close,
    "stall": _stall,
    "mute": _mute,
    "half-open": _freeze,
    **{kind: _frame(kind) for kind in ("drop", "dup", "reorder", "corrupt", "checksum")},
}


class Count:
    """What was told of one venue that would not have been, had nothing happened."""

    def __init__(self, world: World) -> None:
        self.told: Counter[str] = Counter()
        self.epochs: Counter[str] = Counter()
        self.gaps: list[mf.Gap] = []
        for kind in (mf.Gap, mf.BookVoid, mf.Stale, mf.Connected, mf.Disconnected):
            world.feed.on(kind, self._take)
        world.feed.on(mf.BookSnapshot, self._opened)

    def _take(self, event: Any) -> None:
        self.told[type(event).__name__] += 1
        if isinstance(event, mf.Gap):
            self.gaps.append(event)

    def _opened(self, event: Any) -> None:
        self.epochs[event.symbol] = event.epoch


async def steady(world: World, links: int) -> None:
    """Wait until so many links stand and everything flows on each."""
    runner = next(iter(world.feed._runners.values()))
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while len(runner.links) != links or any(wire.waiting() for wire in runner.links):
        assert loop.time() < end, f"{[(wire.link, wire.waiting()) for wire in runner.links]}"
        await asyncio.sleep(0.1)
        world.look()


async def replaced(world: World, wire: Wire) -> None:
    """Wait until another link has taken over from this one; a young one is left alone for a while."""
    runner = next(iter(world.feed._runners.values()))
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while wire in runner.links:
        assert loop.time() < end, f"{wire.link} is not replaced: {wire.leaving}"
        await asyncio.sleep(0.1)
        world.look()


async def healed(world: World, links: list[Link]) -> None:
    """Wait until the fault was noticed and made good, so that the next one is the only one."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while any(link.gremlin.stalled or link.conversation.muted or _frozen(link) for link in links):
        await world.run(1.0, deep_s=10.0)
        if loop.time() >= end:
            dead = [link for link in links if link.gremlin.stalled or _frozen(link)]
            assert not dead, "a dead connection was not noticed"
            for link in links:
                link.conversation.muted.clear()  # of a stream so quiet that nobody can tell
    for link in links:
        link.gremlin._armed.clear()
    await steady(world, 2)
    await world.run(4.0)  # what the other one lost is past


def _frozen(link: Link) -> bool:
    pipe: Any = link._transport
    return bool(pipe.back.frozen)


async def planned(world: World, rotations: int, dice: Random) -> dict[str, int]:
    """Replace the one connection again and again: on the venue's word where it has one, or for its age."""
    venue = world.venues[0]
    for _ in range(rotations):
        await world.run(dice.uniform(0.1, 4.0))
        wire = next(iter(world.feed._runners.values())).links[0]
        if venue == "binance" and dice.random() < 0.5:
            world.plant.announce_shutdown(venue)
        else:
            wire.replace("the venue ends connections of its age")
        await replaced(world, wire)
        await steady(world, 1)
    return {"rotations": rotations}


async def struck(world: World, rotations: int, dice: Random) -> dict[str, int]:
    """Strike one of two connections at a time, and let it come back."""
    server = world.plant._server(world.venues[0])
    kinds: Counter[str] = Counter()
    for _ in range(rotations):
        await world.run(dice.uniform(0.5, 3.0))
        kind = dice.choice(list(FAULTS))
        kinds[kind] += 1
        FAULTS[kind](dice.choice(server.links), dice)
        await world.run(dice.uniform(0.5, 3.0))
        await healed(world, server.links)
    return {"rotations": rotations, **dict(sorted(kinds.items()))}


async def rotate(venue: str, mode: str, *, seed: int, rotations: int, network: Network) -> dict[str, Any]:
    """One venue in one mode; AssertionError where something is wrong, or told that was not to be."""
    dice = Random(f"rotations {seed} {venue} {mode}")
    links = 1 if mode == "planned" else 2
    world = World(seed, [venue], network, rate=RATE, redundancy=links)
    world.audit = Auditor(renewals=True, links=2)
    async with world:
        count = Count(world)
        await steady(world, links)
        done = await (planned if links == 1 else struck)(world, rotations, dice)
        await world.run(2.0)
        world.look(deep=True)
        numbered = catalogue.venue(venue).book.numbered
        epochs = max(count.epochs.values())
        streams = world.feed._hub.streams
        found = {
            "venue": venue,
            "mode": mode,
            **done,
            "links": count.told["Connected"],
            "trades": world.ledger.told,
            "lost": world.ledger.missing,
            "doubled": 0,  # the ledger raises on the first
            "books checked": sum(checker.checked for checker in world.checkers.values()),
            "wrong": 0,  # and so do the checkers
            "gaps": count.told["Gap"],
            "voids": count.told["BookVoid"],
            "stale": count.told["Stale"],
            "epochs": epochs,
            "spared": streams.spared,
            "disagreements": streams.disagreements,
        }
        assert not world.ledger.missing, found
        assert not count.told["BookVoid"], found
        assert not count.gaps, f"{count.gaps[:3]} of {found}"
        assert not streams.disagreements, found
        assert epochs == 1 or not numbered, found
        return found


def one(venue: str, mode: str, *, seed: int, rotations: int) -> dict[str, Any]:
    """The same, on a loop and a network of its own."""
    network = Network(seed)
    return run(rotate(venue, mode, seed=seed, rotations=rotations, network=network), network)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.rotations", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rotations", type=int, default=1000, help="in each mode, shared by the venues")
    parser.add_argument("--venue", choices=sorted(SYMBOLS), action="append", help="of all, if none is given")
    parser.add_argument("--mode", choices=("planned", "faults"), action="append", help="both, if none is given")
    figures.argument(parser)
    args = parser.parse_args()
    venues = args.venue or sorted(SYMBOLS)
    each = -(-args.rotations // len(venues))
    wanted = [(venue, mode) for mode in args.mode or ("planned", "faults") for venue in venues]
    rows = figures.tell("rotations", args.figures, (row for pair in wanted if (row := told(*pair, args.seed, each))))
    sys.exit(len(rows) < len(wanted))


def told(venue: str, mode: str, seed: int, rotations: int) -> dict[str, Any] | None:
    """The figures of a venue in a mode; None where something did not hold, which is printed."""
    began = time.monotonic()
    try:
        row = one(venue, mode, seed=seed, rotations=rotations)
    except AssertionError as exc:
        again = f"--seed {seed} --rotations {rotations} --mode {mode} --venue {venue}"
        print(f"{venue} {mode}: {exc}\nto repeat: python -m tests.fuzz.rotations {again}", flush=True)
        return None
    return {**row, "seconds": round(time.monotonic() - began, 1)}


if __name__ == "__main__":
    ctrl_c.ends(main)
