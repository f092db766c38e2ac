"""A venue that sent this address away is left alone by the next process, too (T14)."""

import asyncio
import logging
from pathlib import Path

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import bans, budgets, sim
from marketfeed.bans import Bans, state_folder
from marketfeed.clock import SystemClock
from marketfeed.pace import SECOND
from marketfeed.venues._spec import Endpoints
from marketfeed.venues.kraken import VENUE

from .virtual import LoopClock

AT = Endpoints(ws="wss://ws.example", rest="https://rest.example:8443")
HOUR = 3600 * SECOND


class Stepped(SystemClock):
    """The machine's clock, set forward at will."""

    ahead = 0

    def unix_ns(self) -> int:  # type: ignore[override] # a C function there
        return SystemClock.unix_ns() + self.ahead


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(bans.STATE, str(tmp_path / "state"))
    return tmp_path / "state" / "bans"


def budget(at: Endpoints = AT) -> budgets.Budget:
    return budgets.budget_of(at, VENUE.pace, SystemClock())


def left_s(at: Endpoints = AT) -> float:
    return max(0, budget(at).blocked_until - SystemClock.mono_ns()) / SECOND


def test_T14_a_ban_outlives_the_process_and_ends_when_it_ends(folder: Path) -> None:
    budget().retry_after(3600, SystemClock.mono_ns(), 0.0)
    assert [path.name for path in folder.iterdir()] == ["rest.example-8443"]
    budgets._known.clear()
    assert 3590 < left_s() <= 3600
    assert left_s(structs.replace(AT, rest="https://other.example")) == 0
    clock = Stepped()
    assert 0 < Bans(AT, clock).left() <= HOUR
    clock.ahead = HOUR
    assert Bans(AT, clock).left() == 0


def test_T14_a_ban_that_another_process_was_told_of_is_heeded_by_all_feeds_once_one_finds_it() -> None:
    before = budget()
    Bans(AT, SystemClock()).keep(HOUR)
    found = budgets.budget_of(AT, structs.replace(VENUE.pace, silence_s=30), SystemClock())
    assert found.blocked_until == before.blocked_until
    assert left_s() > 3590


@pytest.mark.parametrize(
    ("told", "kept"),
    [((3600.0, 60.0), 3600), ((60.0, 3600.0), 3600), ((4.0,), 0), ((0.0,), 0), ((5.0,), 5), ((1e9,), 0)],
)
def test_the_longest_ban_stands_one_of_seconds_is_not_worth_a_file_and_one_of_years_is_not_believed(
    told: tuple[float, ...], kept: float
) -> None:
    for seconds in told:
        Bans(AT, SystemClock()).keep(int(seconds * SECOND))
    assert Bans(AT, SystemClock()).left() / SECOND == pytest.approx(kept, abs=2)


@pytest.mark.parametrize("text", ["", "soon", "9" * 5000, "\x00", "1e30", "١٢٣"])
def test_a_file_that_says_no_time_is_told_and_keeps_nobody_away(
    folder: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    folder.mkdir(parents=True)
    (folder / "rest.example-8443").write_text(text, "utf-8")
    with caplog.at_level(logging.WARNING, "marketfeed"):
        assert left_s() == 0
    assert "cannot be read" in caplog.text


def test_a_folder_that_cannot_be_written_is_told_and_the_ban_holds_in_this_process(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.write_text("a file, and no folder")
    with caplog.at_level(logging.WARNING, "marketfeed"):
        budget().retry_after(3600, SystemClock.mono_ns(), 0.0)
    assert "not kept for the next start" in caplog.text
    assert left_s() > 3590


def test_a_disk_that_refuses_is_left_as_it_was(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "rest.example-8443").mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "marketfeed"):
        budget().retry_after(3600, SystemClock.mono_ns(), 0.0)
    assert "not kept for the next start" in caplog.text
    assert [path.name for path in folder.iterdir()] == ["rest.example-8443"]


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"MARKETFEED_STATE": "/here"}, "/here"),
        ({"MARKETFEED_STATE": ""}, None),
        ({"XDG_STATE_HOME": "/there"}, "/there/marketfeed"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/one"}, "/home/one/.local/state/marketfeed"),
    ],
)
def test_where_the_state_of_a_user_is(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], found: str | None
) -> None:
    for name in ("MARKETFEED_STATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert state_folder() == (Path(found) if found else None)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "[::1]:8080", "localhost"])
def test_a_simulated_venue_sends_nobody_away_for_longer_than_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    at = Endpoints(ws=f"ws://{host}", rest=f"http://{host}")
    monkeypatch.delenv(bans.STATE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    Bans(at, SystemClock()).keep(HOUR)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(bans.STATE, str(tmp_path))
    Bans(at, SystemClock()).keep(HOUR)
    assert Bans(at, SystemClock()).left() > 0


def test_a_feed_on_a_clock_of_its_own_keeps_nothing(folder: Path) -> None:
    budgets.budget_of(AT, VENUE.pace, LoopClock()).retry_after(3600, 0, 0.0)
    assert not folder.exists()


async def test_T14_a_feed_started_again_says_so_at_once_and_asks_nothing() -> None:
    async with sim.Simulator(["kraken"], seed=1, faults="http429=1,retry_after=30") as venue:
        settings = {"kraken": mf.VenueSettings(ws=venue.endpoints["kraken"].ws, rest=venue.endpoints["kraken"].rest)}
        told: list[mf.Disconnected] = []
        heard = {1: asyncio.Event(), 2: asyncio.Event()}

        def hear(event: mf.Disconnected) -> None:
            told.append(event)
            heard[len(told)].set()

        for start in (1, 2):
            async with mf.Feed(settings) as feed:
                feed.on(mf.Disconnected, hear)
                feed.subscribe("kraken:BTC-USD", trades=True)
                async with asyncio.timeout(5):
                    await heard[start].wait()
                if start == 2:
                    with pytest.raises(mf.NotLive, match="Kraken sent this address away before"):
                        await feed.live(timeout=0.1)
                    with pytest.raises(mf.TransportError, match="left alone for"):
                        await feed.instruments("kraken")
            budgets._known.clear()
        assert (told[0].status, told[1].status) == (429, 0)
        assert 20 < told[1].retry_s <= 34
        assert venue.injected["http429"] == 1
        assert not venue.breaches
