"""R01: a recorder is killed at random moments under load, again and again, on one folder, on a real disk."""

import asyncio
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

import marketfeed as mf
from marketfeed import events as ev

pytest.importorskip("pyarrow")

from marketfeed.recording import Recorder  # needs pyarrow
from marketfeed.recording import open as open_recording
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.manifest import Manifest, manifests

from .victim import Notes

REPO = Path(__file__).resolve().parents[2]
MAY_BE_LOST_MS = 200


class Death:
    """One victim: what it told, and when."""

    def __init__(self, folder: Path, rate: int, live_s: float) -> None:
        notes = Notes(folder.parent / "notes", make=True)
        command = [sys.executable, "-m", "tests.recording.victim", str(folder), str(rate)]
        with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"recording\n", "a restart needs no command"
            time.sleep(live_s)  # the moment is what is tried here
            victim.kill()
            self.pid = victim.pid
        self.notes = notes.all()
        self.told = self.notes[-1][1] if self.notes else 0

    def lost_ms(self, kept: int) -> float:
        """For how long before its death what it told is missing, where `kept` is the last that is there."""
        died = self.notes[-1][0] if self.notes else 0
        lost = [at for at, number in self.notes if number > kept]
        return (died - lost[0]) / 1e6 if lost else 0.0


def check_files(root: Path) -> list[Manifest]:
    """Every file that counts is there and whole, and there is no other."""
    found = manifests(RealDisk(), root)
    entries = {entry.path: entry for manifest in found for entry in manifest.files}
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.parquet")} == set(entries)
    assert not list(root.rglob("*.part"))
    for path, entry in entries.items():
        assert hashlib.sha256((root / path).read_bytes()).hexdigest() == entry.sha256
    return found


def kill_and_restart(root: Path, times: int, seed: int, rate: int) -> str:
    """Kill so often, then read all; the figures."""
    dice = Random(seed)
    deaths = [Death(root, rate, dice.uniform(0.0, 1.5)) for _ in range(times)]

    async def last() -> None:
        async with mf.Feed() as feed, Recorder(feed, root):
            pass

    asyncio.run(last())
    found = check_files(root)
    events = list(open_recording(root).events())
    kept: dict[int, list[int]] = {death.pid: [] for death in deaths}
    for event in events:
        if isinstance(event, ev.Trade):
            pid, number = map(int, event.id.split(":"))
            assert event.price == number
            kept[pid].append(number)
    for death in deaths:
        assert kept[death.pid] == list(range(1, len(kept[death.pid]) + 1)), "none wrong, doubled or missing in between"
    lost = sorted(death.lost_ms(len(kept[death.pid])) for death in deaths)
    starts = [event for event in events if isinstance(event, ev.RecorderStatus) and event.status == "started"]
    holes = [hole for manifest in found for hole in manifest.holes]
    by_time = sorted(event.ts_recv for event in events)
    told = [start for start in starts if start.ts_from]
    assert len(told) >= len([death for death in deaths if kept[death.pid]])
    assert told == holes, "and in the manifests"
    for start in told:
        assert not [at for at in by_time if start.ts_from < at < start.ts_to], "nothing was recorded in the hole"
    assert lost[-1] <= MAY_BE_LOST_MS
    return (
        f"killed {times} times at {rate:,} events/s: {sum(map(len, kept.values())):,} events kept, 0 wrong, 0 doubled; "
        f"{len(found)} passes, 0 files unreadable; lost before a kill: median {lost[len(lost) // 2]:.0f} ms, "
        f"most {lost[-1]:.0f} ms; {len(told)} holes told"
    )


def test_R01_C11_killed_three_times_under_load(tmp_path: Path) -> None:
    kill_and_restart(tmp_path / "data", times=3, seed=1, rate=4_000)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_R01_C11_killed_200_times_under_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = kill_and_restart(tmp_path / "data", times=200, seed=2, rate=4_000)
    with capsys.disabled():
        print(f"\n{figures}")
