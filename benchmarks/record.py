"""`python -m benchmarks.record`: a feed of so many events a second through a `Recorder`, all of it on one core.

The load is made in the same process: its cost is measured alone first, and taken off what is said of the recorder.
Everything, the sealing processes too, shares one core.
"""

import asyncio
import gc
import gzip
import os
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count, cycle
from pathlib import Path
from typing import Any

import click

import marketfeed as mf
from marketfeed import events as ev
from marketfeed.recording import Recorder
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.manifest import Manifest, manifests
from marketfeed.recording.tables import read_batches

from .table import machine

SECOND = 10**9
FRAME = 4
"""Events delivered together, as of one frame."""
COMPARED = 300_000
"""Events, at least, of which sizes are compared: the market repeats itself after so many."""
Row = tuple[type[ev.Head], dict[str, Any]]


def market(size: int) -> list[Row]:
    """A walk of prices at three venues: trades, tickers, and changes of one to eight levels of books."""
    dice, rows, price = random.Random(1), list[Row](), 65_000.0
    pools = [("kraken", "BTC-USD"), ("coinbase", "BTC-USD"), ("binance", "BTC-USDT"), ("kraken", "ETH-USD")]
    for _ in range(size):
        venue, symbol = dice.choice(pools)
        price = round(price + dice.choice((-0.1, 0.0, 0.0, 0.1)) * dice.randrange(4), 1)
        head = {"venue": venue, "symbol": symbol}
        kind = dice.random()
        if kind < 0.3:
            rows.append((ev.Trade, head | {"price": price, "size": _size(dice), "side": dice.choice(("buy", "sell"))}))
        elif kind < 0.5:
            sizes = {"bid_size": _size(dice), "ask_size": _size(dice)}
            rows.append((ev.Ticker, head | sizes | {"bid": price, "ask": round(price + 0.1, 1), "last": price}))
        else:
            down = tuple((round(price - 0.1 * dice.randrange(200), 1), _size(dice)) for _ in range(dice.randrange(5)))
            up = tuple((round(price + 0.1 * dice.randrange(1, 200), 1), _size(dice)) for _ in range(dice.randrange(5)))
            rows.append((ev.BookDelta, head | {"bids": down, "asks": up, "epoch": 1}))
    return rows


def _size(dice: random.Random) -> float:
    return dice.choice((0.0, 0.5, 1.0)) if dice.random() < 0.4 else round(dice.expovariate(2.0), 8)


def stream(rows: list[Row], number: Any) -> Iterator[ev.Head]:
    """The market over and over, with times and numbers of its own."""
    for at, (kind, fields) in zip(count(1), cycle(rows), strict=False):
        now = time.time_ns()
        head = {"ts_recv": now, "ts_event": now - 8_000_000, "seq_local": number()}
        if kind is ev.Trade:
            yield ev.Trade(**head, **fields, id=str(700_000_000 + at))
        elif kind is ev.BookDelta:
            yield ev.BookDelta(**head, **fields, seq=at, prev_seq=at - 1)
        else:
            yield ev.Ticker(**head, **fields)


class Lateness:
    """How late the loop is, looked at every five milliseconds."""

    def __init__(self) -> None:
        self.ms: list[float] = []

    async def watch(self) -> None:
        while True:
            due = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            self.ms.append((time.perf_counter() - due) * 1000)

    def __str__(self) -> str:
        ms = sorted(self.ms)
        return f"{ms[len(ms) // 2]:.2f} ms (median), {ms[len(ms) * 99 // 100]:.2f} ms (p99), {ms[-1]:.1f} ms (most)"


class Result:
    """Of one run: CPU is of this process and of all that it started, in seconds."""

    def __init__(self) -> None:
        self.events = self.lost = 0
        self.seconds = self.cpu = self.cpu_sealing = 0.0
        self.rss: list[float] = []
        self.late = Lateness()
        self.manifests: list[Manifest] = []


async def run(rows: list[Row], rate: int, seconds: float, folder: Path | None) -> Result:
    """The load through a recorder, or alone where there is no folder."""
    result = Result()
    before = _cpu()
    async with AsyncExitStack() as held:
        feed = await held.enter_async_context(mf.Feed())
        for kind in (ev.Lagged, ev.RecorderStatus):
            feed.on(kind, lambda event: setattr(result, "lost", result.lost + _lost(event)))
        recorder = await held.enter_async_context(Recorder(feed, folder)) if folder else None
        watch = asyncio.create_task(result.late.watch())
        await _load(feed, rows, rate, seconds, result)
        watch.cancel()
    if recorder is not None:
        assert folder is not None
        result.manifests = manifests(RealDisk(), folder)
    mine, children = (now - then for now, then in zip(_cpu(), before, strict=True))
    result.cpu, result.cpu_sealing = mine, children
    return result


async def _load(feed: mf.Feed, rows: list[Row], rate: int, seconds: float, result: Result) -> None:
    hub, began, looked = feed._hub, time.perf_counter(), 0.0
    events = stream(rows, hub.outlet.number)
    while (elapsed := time.perf_counter() - began) < seconds:
        for _ in range(min(int(elapsed * rate) - result.events, rate // 100) // FRAME):
            for _ in range(FRAME):
                hub.outlet.emit(next(events))
            hub.deliver()
            result.events += FRAME
        if elapsed >= looked:
            looked += 1.0
            result.rss.append(_rss())
        await asyncio.sleep(0.001)
    result.seconds = time.perf_counter() - began


def _lost(event: Any) -> int:
    return int(event.dropped if isinstance(event, ev.Lagged) else event.events if event.status == "resumed" else 0)


def _cpu() -> tuple[float, float]:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    mine, children = (one.ru_utime + one.ru_stime for one in used)
    return mine, children


def _rss() -> float:
    """Megabytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def sizes(folder: Path) -> tuple[int, dict[str, float]]:
    """Of the first passes: how many events were compared, and bytes an event in each form."""
    import pyarrow.parquet as pq  # noqa: PLC0415 # an extra

    events, parquet = list[Any](), 0
    for manifest in manifests(RealDisk(), folder):
        for entry in manifest.files:
            channel = entry.path.split("channel=")[1].split("/")[0]
            file = pq.ParquetFile(folder / entry.path)
            events += read_batches(channel, file.iter_batches())
            parquet += entry.bytes
        if len(events) >= COMPARED:
            break
    events.sort(key=lambda event: event.seq_local)
    lines = b"".join(ev.encode_json(event) + b"\n" for event in events)
    tables = defaultdict[Any, list[str]](list)
    for event in events:
        if isinstance(event, ev.Trade | ev.Ticker | ev.BookDelta):
            tables[event.venue, event.symbol, type(event)] += _csv(event)
    csv = sum(len(gzip.compress("\n".join(table).encode(), 6)) for table in tables.values())
    found = {
        "Parquet": parquet,
        "JSON lines": len(lines),
        "JSON lines, gzip -6": len(gzip.compress(lines, 6)),
        "CSV as of tardis, gzip -6": csv,
    }
    return len(events), {name: size / len(events) for name, size in found.items()}


def _csv(event: Any) -> list[str]:
    head = f"{event.venue},{event.symbol},{event.ts_event // 1000},{event.ts_recv // 1000}"
    if isinstance(event, ev.Trade):
        return [f"{head},{event.id},{event.side},{event.price},{event.size}"]
    if isinstance(event, ev.Ticker):
        return [f"{head},{event.ask_size},{event.ask},{event.bid},{event.bid_size}"]
    sides = (("bid", event.bids), ("ask", event.asks))
    return [f"{head},false,{side},{price},{size}" for side, levels in sides for price, size in levels]


@click.command(help=__doc__)
@click.option("--seconds", default=10.0, show_default=True, help="How long it is recorded.")
@click.option("--rate", default=50_000, show_default=True, help="Events a second.")
def main(seconds: float, rate: int) -> None:
    """Print what was found."""
    rows = market(min(COMPARED, int(rate * seconds)))
    gc.freeze()  # the load is not the recorder's to look through
    click.echo("  ".join(machine(type(asyncio.SelectorEventLoop).__module__).values()))
    alone = mf.run(run(rows, rate, min(seconds, 5.0), None))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        found = mf.run(run(rows, rate, seconds, root))
        compared, size = sizes(root)
    base = alone.cpu / alone.events * 1e6
    recorded = sum(manifest.events for manifest in found.manifests)
    own = sum(entry.rows for m in found.manifests for entry in m.files if "venue=recorder" in entry.path)
    click.echo(f"{found.events / found.seconds:,.0f} events/s for {found.seconds:.0f} s, on one core")
    click.echo(f"{found.lost:,} events left out, {recorded - own - found.events:+,} recorded against told")
    click.echo(f"loop late by {found.late}; without a recorder {alone.late}")
    click.echo(f"memory {found.rss[min(3, len(found.rss) - 1)]:.0f} MB at the start, {found.rss[-1]:.0f} MB at the end")
    own_us, sealing_us = found.cpu / found.events * 1e6 - base, found.cpu_sealing / found.events * 1e6
    click.echo(f"CPU an event: {own_us:.2f} us to record, {sealing_us:.2f} us to seal (the load itself {base:.2f} us)")
    for name, bytes_ in size.items():
        click.echo(f"{name:26} {bytes_:7.1f} bytes an event   {bytes_ / size['Parquet']:.2f}x   of {compared:,} events")


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core for all, and for what is started
    main()
