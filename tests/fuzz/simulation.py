"""Deterministic simulation: a feed on all venues over a virtual network, struck by faults for virtual minutes.

One seed is one run: the same faults at the same times, the same bytes, the same digest of all events. After every
step what must hold is checked; at the end all is healed, and all must be live. `make fuzz SEEDS=100`.
"""

import argparse
import asyncio
import gc
import logging
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Any

import marketfeed as mf
from marketfeed import catalogue
from marketfeed.testing import Network, run

from ..simulation.faults import FAULTS, Heal
from ..simulation.readers import Readers
from ..simulation.world import World
from . import ctrl_c, figures
from .oracle import SYMBOLS

MEAN_S = 15.0
"""Between two faults."""
HOLDS_S = (0.5, 40.0)
"""How long a fault that is healed holds."""
HEALTHY_S = 30.0
"""A venue that is healthy for so long has every stream live (I9)."""
UNHEARD_S = 135.0
"""Before the end, nothing is muted any more: it takes up to two minutes to be noticed; and nothing is fatal."""
SLOW = ("mute", "handshake_4xx", "untrusted")
TAPED = 10
"""Every so many seeds one is recorded raw, and lived through again (I16)."""
SUMMED = ("events", "faults", "checked", "trades", "missing", "lived_again")
CONDUCT = ("", "late_snapshot=0.7s", "no_snapshot=2", "http429=2,retry_after=3", "retry_after=20")


async def simulate(seed: int, minutes: float, venues: list[str], network: Network, **options: Any) -> dict[str, Any]:
    """One seed's run. AssertionError says what did not hold, and when."""
    dice = Random(f"simulation {seed}")
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    world = World(seed, venues, network, faults=dice.choice(CONDUCT), taped=seed % TAPED == 0, **options)
    history: list[str] = []
    async with world:
        readers = Readers(world, dice)
        began = loop.time()
        passed = 0.0
        try:
            healing: list[tuple[float, str, Heal]] = []
            while passed < minutes * 60:
                await world.run(pause := min(dice.expovariate(1 / MEAN_S), minutes * 60 - passed))
                passed += pause
                for one in [one for one in healing if one[0] <= passed]:
                    healing.remove(one)
                    history.append(f"{loop.time() - began:.2f} {one[1]} healed")
                    one[2]()
                await readers.act()
                late = minutes * 60 - passed < UNHEARD_S
                name = dice.choice([name for name in FAULTS if not (late and name in SLOW)])
                venue = dice.choice(venues)
                history.append(f"{loop.time() - began:.2f} {name} at {venue}")
                world.struck[name] += 1
                heal = FAULTS[name].strike(world, venue, dice)
                if heal is not None:
                    healing.append((passed + dice.uniform(*HOLDS_S), f"{name} at {venue}", heal))
            for _, _, heal in healing:
                heal()
            for venue in venues:
                world.plant.turn_away(venue, 503, 0)
            history.append(f"{loop.time() - began:.2f} all healed")
            healed_s = await world.until_live(HEALTHY_S + network_s(world))
            await alone(world, venues)
            await world.run(10.0, deep_s=5.0)
            await readers.agree()
            world.look(deep=True)
        except AssertionError as exc:
            raise AssertionError(f"{loop.time() - began:.2f} s: {exc}\nbefore: {'; '.join(history[-12:])}") from exc
        finally:
            await readers.close()
    await asyncio.sleep(2 * HEALTHY_S)
    left = list(asyncio.all_tasks() - before)
    assert not left, f"I15: tasks left behind: {left}"
    assert not network.open, f"I15: connections left open: {network!r}"
    return {
        "seed": seed,
        "digest": world.digest,
        "events": world.events,
        "faults": sum(world.struck.values()),
        "checked": sum(checker.checked for checker in world.checkers.values()),
        "trades": world.ledger.told,
        "missing": world.ledger.missing,
        "lived_again": world.lived_again,
        "healed_s": round(healed_s, 2),
    }


async def alone(world: World, venues: list[str]) -> None:
    """In a calm world a frame is lost, and one that is not a link's of all books hurts one market alone (I17)."""
    for venue in venues:
        if catalogue.venue(venue).book.scope != "link":
            world.hit.clear()
            world.plant.inject(venue, "drop")
            await world.run(3.0)
            markets = {name for name in world.hit if name.startswith(f"{venue}:")}
            assert len(markets) <= 1 or f"{venue}:" in markets, f"I17: one frame was lost, and it hurt {markets}"


def network_s(world: World) -> float:
    """What a venue's Retry-After adds to the time in which it cannot be healthy."""
    return world.plant.faults.retry_after * 1.2


def one(seed: int, minutes: float, venues: list[str]) -> dict[str, Any]:
    """One seed on a loop and a network of its own; with what was wrong, if anything."""
    logging.disable(logging.CRITICAL)  # in each process that runs seeds
    try:
        return run(simulate(seed, minutes, venues, network := Network(seed)), network)
    except Exception as exc:
        return {"seed": seed, "wrong": f"{type(exc).__name__}: {exc}"}
    finally:
        logging.disable(logging.NOTSET)
        gc.collect()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from the first one on")
    parser.add_argument("--minutes", type=float, default=10.0, help="virtual minutes for each seed")
    parser.add_argument("--venue", choices=sorted(SYMBOLS), action="append", help="of all, if none is given")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--twice", action="store_true", help="run each seed twice: the digests must be equal")
    parser.add_argument("--verbose", action="store_true", help="a line for each seed")
    figures.argument(parser)
    args = parser.parse_args()
    venues = args.venue or sorted(SYMBOLS)
    seeds = [seed for seed in range(args.seed, args.seed + args.seeds) for _ in range(1 + args.twice)]
    began = time.monotonic()
    found: list[dict[str, Any]] = []
    ctrl_c.once()
    pool = ProcessPoolExecutor(args.jobs, initializer=ctrl_c.ignore)
    try:
        for result in results(pool, args.minutes, venues, seeds, began):
            found.append(result)
            if "wrong" in result:
                again = f"python -m tests.fuzz.simulation --seed {result['seed']} --minutes {args.minutes:g}"
                again += "".join(f" --venue {venue}" for venue in args.venue or ())
                print(f"seed {result['seed']}: {result['wrong']}\nto repeat: {again}", flush=True)
            elif args.verbose:
                print(figures.text(result), flush=True)
        pool.shutdown()  # one that is not waited for may write to a pipe that is closed, as Python ends
    except KeyboardInterrupt:
        print(f"stopped after {len(found)} of {len(seeds)} runs", flush=True)
    finally:
        give_up(pool)
    total = summary(found, args.minutes, time.monotonic() - began, twice=args.twice)
    figures.tell("simulation", args.figures, [total])
    sys.exit(bool(total["failed"] or total["unequal"] or len(found) < len(seeds)))


def results(
    pool: ProcessPoolExecutor, minutes: float, venues: list[str], seeds: list[int], began: float
) -> Iterator[dict[str, Any]]:
    """What each run found, in order; of many, it is said at times how long the rest will take."""
    jobs = [pool.submit(one, seed, minutes, venues) for seed in seeds]
    for number, job in enumerate(jobs, 1):
        yield job.result()
        left = len(jobs) - number
        if left and len(jobs) > 40 and (number == 20 or not number % max(40, len(jobs) // 20)):
            left_s = (time.monotonic() - began) / number * left
            text = f"{left_s / 60:.0f} min" if left_s > 120 else f"{left_s:.0f} s"
            print(f"{number} of {len(jobs)} runs, expected to take {text} more", file=sys.stderr, flush=True)


def give_up(pool: ProcessPoolExecutor) -> None:
    """Begin nothing more, and end what is begun: a pool that is only shut down computes it to its end."""
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in multiprocessing.active_children():
        worker.terminate()


def summary(found: list[dict[str, Any]], minutes: float, took_s: float, *, twice: bool) -> dict[str, Any]:
    """The figures of a whole run."""
    well = [one for one in found if "wrong" not in one]
    healed = sorted(one["healed_s"] for one in well)
    digests = [one.get("digest") for one in found]
    added = {name: sum(one[name] for one in well) for name in SUMMED}
    return {
        "runs": len(found),
        "minutes": minutes,
        "failed": len(found) - len(well),
        "unequal": sum(a != b for a, b in zip(digests[::2], digests[1::2], strict=False)) if twice else 0,
        **added,
        "healed_p95_s": healed[int(len(healed) * 0.95)] if healed else None,
        "healed_worst_s": healed[-1] if healed else None,
        "took_s": round(took_s, 1),
        "version": mf.__version__,
    }


if __name__ == "__main__":
    ctrl_c.ends(main)
