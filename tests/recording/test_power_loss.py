"""Power lost at any moment of a recording: journal, sealing and the start after it, all on a disk that forgets."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from random import Random
from typing import Any

import pytest

from marketfeed import events as ev

pytest.importorskip("pyarrow")

from marketfeed.recording.journal import Journal  # needs pyarrow
from marketfeed.recording.payload import pack
from marketfeed.recording.seal import JOURNAL, Sealer
from marketfeed.recording.writer import Limits, Writer

from .crash_disk import CrashDisk
from .run import MIDNIGHT, ROOT, SECOND, Hands, sealed

LIMITS = Limits(rotate_s=3.0, rotate_bytes=2_000, flush_s=0.1, sync_s=1.0)
MAY_BE_LOST = int(1.2 * SECOND)


class AtOnce(Executor):
    """Does what it is given before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as exc:
            done.set_exception(exc)
        return done


def event(number: int, at: int) -> ev.Head:
    received = MIDNIGHT - 4 * SECOND + at
    head: dict[str, Any] = {"venue": "kraken", "symbol": "BTC-USD", "ts_recv": received, "seq_local": number}
    if number % 5:
        return ev.Trade(**head, price=float(number), size=1.0, side="buy", id=str(number))
    return ev.Ticker(**head, bid=float(number))


class Recording:
    """What a recorder's thread does, step by step. `truth` is every event given, by number; `promised` what is safe."""

    def __init__(self, disk: CrashDisk, truth: dict[int, ev.Head], now: int = 0) -> None:
        self.disk = disk
        self.truth = truth
        self.promised: set[int] = set()
        self.clock = Hands()
        self.clock.now += now
        self.given: list[tuple[int, int]] = []

    def start(self) -> None:
        """As `Recorder` opens a folder."""
        self.disk.make_folder(str(ROOT))
        self.disk.sync_folder("/")
        sealer = Sealer(self.disk, ROOT, "1")
        sealer.finish()
        while sealer.seal():
            pass
        keys = Random(self.clock.now).randbytes
        options = {"flush_s": 0.0, "sync_s": LIMITS.sync_s, "segment_bytes": 1 << 62, "entropy": keys}
        self.journal = Journal(self.disk, ROOT / JOURNAL, next_number=sealer.last + 1, **options)  # type: ignore[arg-type] # as written
        tell: Any = lambda status, **fields: None  # noqa: E731 # nobody listens
        self.writer = Writer(self.journal, sealer, AtOnce(), self.clock, LIMITS, tell)

    def step(self, events: int) -> None:
        """A flush interval in which so many events come."""
        numbers = range(len(self.truth) + 1, len(self.truth) + events + 1)
        made = [event(number, self.clock.now) for number in numbers]
        self.truth.update(zip(numbers, made, strict=True))
        self.given += [(self.clock.now, number) for number in numbers]
        if made:
            self.writer.give(pack(made, exact=False, simulated=False))
        self.clock.move(0.1)
        self.writer.step()
        assert not self.writer._refused
        if not self.journal.unsynced_bytes:
            self.promised = set(self.truth)

    def safe(self) -> set[int]:
        """What a power loss must not take now: all that is synced, and all that is 1.2 s old."""
        return self.promised | {number for at, number in self.given if at < self.clock.now - MAY_BE_LOST}


def after(found: CrashDisk, safe: set[int], truth: dict[int, ev.Head], goes_on: bool) -> None:
    """A start on what a power loss left, and what must hold then; it may go on and end well."""
    truth = dict(truth)
    again = Recording(found, truth, now=100 * SECOND)
    again.start()
    read = sealed(found)
    numbers = {one.seq_local for one in read}
    assert len(read) == len(numbers), "nothing twice"
    assert all(one == truth.get(one.seq_local) for one in read), "nothing invented"
    assert safe <= numbers, f"lost: {sorted(safe - numbers)}"
    if goes_on:
        again.truth = dict.fromkeys(range(len(truth) + 1), truth[1])  # numbers go on behind all that was given
        for events in (3, 0, 2):
            again.step(events)
        again.writer.end(lambda: None)
        more = {one.seq_local for one in sealed(found)}
        assert numbers <= more
        assert len(more - numbers) == 5
        assert not [path for path in found.names if path.startswith(f"{ROOT / JOURNAL}/")], "all is sealed"


def lose_power_everywhere(seed: int, steps: int, variants: int) -> int:
    """Crash at every boundary of a recording, from its first start to its end; how many states were judged."""
    dice = Random(seed)
    disk = CrashDisk(seed)
    one = Recording(disk, {})
    states = 0

    def boundary() -> None:
        nonlocal states
        safe = one.safe()
        for _ in range(variants):
            found = disk.crash(dice)
            after(found, safe, one.truth, goes_on=bool(one.truth) and dice.random() < 0.1)
            states += 1

    disk.boundary = boundary
    one.start()
    for _ in range(steps):
        one.step(dice.choice((0, 0, 1, 2, 5)))
    one.writer.end(lambda: None)
    disk.boundary = lambda: None
    assert {one.seq_local for one in sealed(disk)} == set(one.truth)
    return states


def test_R02_R03_power_loss_at_every_boundary_of_a_recording_loses_nothing_that_was_synced() -> None:
    assert lose_power_everywhere(seed=1, steps=70, variants=2) > 400


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_R02_R03_the_same_in_20000_states(capsys: pytest.CaptureFixture[str]) -> None:
    states = seed = 0
    while states < 20_000:
        seed += 1
        states += lose_power_everywhere(seed, steps=80, variants=6)
    with capsys.disabled():
        print(f"\npower lost in {states:,} states: no synced event lost, none doubled, none invented")


def test_R02_a_journal_that_lost_its_tail_says_so_in_the_manifest() -> None:
    disk = CrashDisk()
    one = Recording(disk, {})
    one.start()
    one.step(4)
    one.step(2)
    disk.truncate(one.journal.path, disk.size(one.journal.path) - 5)
    found = disk.killed()
    again = Recording(found, {}, now=SECOND)
    again.start()
    assert {one.seq_local for one in sealed(found)} == {1, 2, 3, 4}
    from marketfeed.recording.manifest import manifests  # noqa: PLC0415 # pyarrow may be missing

    (manifest,) = manifests(found, ROOT)
    assert len(manifest.cuts) == 1
    assert "torn frame" in manifest.cuts[0]
