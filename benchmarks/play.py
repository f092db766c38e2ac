"""`python -m benchmarks.play FILE`: how large a recording of FILE is, and how fast it is played, against live.

FILE is a raw recording or a capture. Live is what a feed does with the same frames between socket and consumer:
decoding, books, and all that proves them. Sizes are of one sealed pass, by channel.
"""

import asyncio
import gzip
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import marketfeed as mf
from marketfeed import events as ev
from marketfeed.recording import Playback, Replay
from marketfeed.recording import open as open_recording
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.journal import Journal
from marketfeed.recording.manifest import manifests
from marketfeed.recording.payload import pack
from marketfeed.recording.seal import JOURNAL, Sealer
from marketfeed.subscriptions import Subscription

from .table import machine

CHUNK = 1_000
"""Events in a frame of the journal."""


class Spent:
    """CPU seconds of this process."""

    seconds = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """Measure what is done within."""
    found = Spent()
    began = time.process_time()
    yield found
    found.seconds = time.process_time() - began


def seal(events: list[ev.Head], root: Path) -> None:
    """Make a dataset of events."""
    journal = Journal(RealDisk(), root / JOURNAL)
    for at in range(0, len(events), CHUNK):
        journal.add(pack(events[at : at + CHUNK], exact=False, simulated=False))
    journal.close()
    Sealer(RealDisk(), root, mf.__version__).seal()


def sizes(events: list[ev.Head], root: Path) -> dict[str, tuple[int, int, int]]:
    """Of each channel: events, bytes of Parquet, bytes of the same events as JSON lines in gzip."""
    lines, count, parquet = defaultdict[str, list[bytes]](list), defaultdict[str, int](int), defaultdict[str, int](int)
    for event in events:
        channel = "instrument" if isinstance(event, ev.Instrument) else ev.channel_of(event)
        channel = "life" if isinstance(event, ev.LIFE_TYPES) else channel
        lines[channel].append(ev.encode_json(event) + b"\n")
        count[channel] += 1
    for manifest in manifests(RealDisk(), root):
        for entry in manifest.files:
            parquet[entry.path.split("channel=")[1].split("/")[0]] += entry.bytes
    found = {c: (count[c], parquet[c], len(gzip.compress(b"".join(lines[c]), 6))) for c in sorted(lines)}
    whole = len(gzip.compress(b"".join(ev.encode_json(event) + b"\n" for event in events), 6))
    return {**found, "all": (len(events), sum(parquet.values()), whole)}


async def play(source: str | Path, wanted: list[Subscription]) -> int:
    """Read all of a recording as a feed tells it."""
    count = 0
    async with Playback(source, speed="max") as feed:
        for one in wanted:
            feed.subscribe(f"{one.venue}:{one.symbol}", **{one.channel: one.depth or True})
        async for events in feed.batches():
            count += len(events)
    return count


async def _loop() -> str:
    return type(asyncio.get_running_loop()).__module__


@click.command(help=__doc__)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def main(file: str) -> None:
    """Print what was found."""
    click.echo("  ".join(machine(mf.run(_loop())).values()))
    replay = Replay(file)
    with spent() as live:
        events = list(replay)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        seal(events, root)
        for channel, (count, parquet, zipped) in sizes(events, root).items():
            click.echo(
                f"{channel:12}{count:>9,} events  Parquet {parquet / count:8.1f} bytes an event, "
                f"JSON lines in gzip {zipped / count:8.1f}: {parquet / zipped:.2f}x"
            )
        rates = [("live, from its frames", len(events), live)]
        for name, source in (("raw, as a feed", file), ("Parquet, as a feed", folder)):
            with spent() as cost:
                count = mf.run(play(source, replay.wanted))
            rates.append((name, count, cost))
        with spent() as cost:
            count = sum(1 for _ in open_recording(folder).events())
        rates.append(("Parquet, its events", count, cost))
    rate = len(events) / live.seconds
    for name, count, cost in rates:
        each = count / cost.seconds
        click.echo(f"{name:24}{count:>9,} events{each:>12,.0f} events/s of CPU{each / rate:>8.2f}x live")


if __name__ == "__main__":
    main()
