"""`python -m benchmarks.isolation`: what 98 healthy readers notice of one that is stuck and one that is slow.

Every reader is a consumer of one feed, with a task of its own. The load is made in the same process. Rounds of both
kinds take turns, so that a machine with other work is as slow for the ones as for the others.
"""

import asyncio
import gc
import os
import time
from pathlib import Path

import click
from msgspec import Struct

import marketfeed as mf
from marketfeed import events as ev
from marketfeed.consumer import Consumer

from .table import machine

BATCH = 4
"""Events delivered together, as of one frame."""
SLOW_S = 0.1
"""What the slow reader takes for each event."""


class Reader(Struct):
    """A reader's count of what it got and was told to have missed."""

    consumer: Consumer
    name: str
    got: int = 0
    missed: int = 0
    most_waiting: int = 0
    most_bytes: int = 0


class Round(Struct):
    """Of one round: how late events came to the healthy readers, in ms, and what became of the others."""

    sent: int
    late_ms: list[float]
    others: list[Reader]
    growth_mib: float

    def at(self, part: float) -> float:
        """A percentile, in ms."""
        return self.late_ms[min(len(self.late_ms) - 1, int(len(self.late_ms) * part))]


async def _healthy(reader: Reader, late_ms: list[float]) -> None:
    async for event in reader.consumer:
        reader.got += 1
        if reader.got % 50 == 0:
            late_ms.append((time.perf_counter_ns() - event.ts_event) / 1e6)


async def _slow(reader: Reader) -> None:
    async for event in reader.consumer:
        _count(reader, event)
        await asyncio.sleep(SLOW_S)


def _count(reader: Reader, event: ev.Head) -> None:
    if isinstance(event, ev.Lagged):
        reader.missed += event.dropped
    else:
        reader.got += 1


async def one_round(healthy: int, ill: bool, rate: int, seconds: float) -> Round:
    """So many readers for so long; `ill` adds a stuck one and a slow one, of each policy that drops."""
    late_ms: list[float] = []
    others: list[Reader] = []
    async with mf.Feed() as feed:
        readers = [Reader(feed.consumer(), "healthy") for _ in range(healthy)]
        tasks = [asyncio.create_task(_healthy(reader, late_ms)) for reader in readers]
        if ill:
            others = [
                Reader(feed.consumer(policy="drop_oldest", max_lag_s=1.0), "stuck"),
                Reader(feed.consumer(policy="drop_oldest", max_lag_s=1.0), "slow"),
            ]
            tasks.append(asyncio.create_task(_slow(others[1])))
        before = _rss_mib()
        sent = await _load(feed, others, rate, seconds)
        growth = _rss_mib() - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for reader in others:
            reader.consumer.end()
            async for event in reader.consumer:
                _count(reader, event)
    return Round(sent, sorted(late_ms), others, growth)


async def _load(feed: mf.Feed, others: list[Reader], rate: int, seconds: float) -> int:
    hub, sent, began = feed._hub, 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        while sent < int(elapsed * rate):
            for _ in range(BATCH):
                now = time.perf_counter_ns()
                number = hub.outlet.number()
                hub.outlet.emit(
                    ev.Trade(
                        venue="x", symbol="A-B", ts_event=now, seq_local=number, price=1.0, size=1.0, side="buy", id="1"
                    )
                )
            hub.deliver()
            sent += BATCH
            await asyncio.sleep(0)  # as between two reads of a socket
        for reader in others:
            size, _ = reader.consumer.backlog()
            reader.most_waiting = max(reader.most_waiting, len(reader.consumer))
            reader.most_bytes = max(reader.most_bytes, size)
        await asyncio.sleep(0.001)
    return sent


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def verdict(alone: list[Round], beside: list[Round]) -> list[str]:
    """What the bar says of it: p99 within 10 % or 1 ms of alone, and every event of the ill ones accounted for."""
    best, other = (min(one.at(0.99) for one in rounds) for rounds in (alone, beside))
    fine = other <= max(best * 1.1, best + 1.0)
    counted = all(reader.got + reader.missed == one.sent for one in beside for reader in one.others)
    return [
        f"p99 beside the ill ones {other:.3f} ms, alone {best:.3f} ms: {'within' if fine else 'BEYOND'} 10 % or 1 ms",
        f"got + missed = sent for each of the ill ones: {'yes' if counted else 'NO'}",
    ]


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Of each kind.")
@click.option("--seconds", default=3.0, show_default=True, help="How long a round lasts.")
@click.option("--rate", default=1_000, show_default=True, help="Events a second.")
def main(rounds: int, seconds: float, rate: int) -> None:
    """Print what was found."""
    alone: list[Round] = []
    beside: list[Round] = []
    click.echo("  ".join(machine("").values()))
    for _ in range(rounds):
        for ill, found in ((False, alone), (True, beside)):
            gc.collect()
            found.append(mf.run(one_round(98, ill, rate, seconds)))
    for name, found in (("98 alone", alone), ("98 beside 1 stuck, 1 slow", beside)):
        for one in found:
            figures = "  ".join(f"p{part:g} {one.at(part / 100):7.3f}" for part in (50, 90, 99, 99.9))
            click.echo(f"{name:28} {figures} ms   {one.sent:,} events   memory {one.growth_mib:+.1f} MiB")
    for reader in beside[-1].others:
        most = f"at most {reader.most_waiting:,} waiting, {reader.most_bytes / 2**20:.1f} MiB"
        click.echo(f"{reader.name:28} got {reader.got:,}, told to have missed {reader.missed:,}; {most}")
    for line in verdict(alone, beside):
        click.echo(line)


if __name__ == "__main__":
    main()
