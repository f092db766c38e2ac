"""`marketfeed export`: what a person asks for and reads."""

import json
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from marketfeed import events as ev
from marketfeed.cli import _export
from tests.recording.export_data import HEAD, MIDNIGHT, market, save

from .helpers import call

NPZ = "kraken_hftbacktest_2026-04-07_BTC-USD.npz"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two venues, of which one has two symbols."""
    trade = {"ts_recv": MIDNIGHT, "price": 1.0, "size": 1.0, "side": "buy", "id": "1"}
    others = [ev.Trade(**HEAD | {"symbol": "ETH-USD"} | trade), ev.Trade(**HEAD | {"venue": "coinbase"} | trade)]
    return str(save(tmp_path_factory.mktemp("data"), [*market().events, *others]))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(tmp_path_factory.mktemp("made-up"), market(count=100).events, simulated=True))


@pytest.mark.parametrize("symbol", ["kraken:BTC-USD", "kraken:btc/usd"])
def test_it_says_what_it_wrote_and_what_is_missing(symbol: str, recorded: str, tmp_path: Path) -> None:
    done = call("export", recorded, "--format", "hftbacktest", "--symbol", symbol, "--out", str(tmp_path))
    assert done.exit_code == 0
    first, *lines = done.stdout.splitlines()
    assert first.startswith("kraken:BTC-USD from 2026-04-06 23:59:")
    assert [path.name for path in tmp_path.iterdir() if f"  {path.name}  " not in done.stdout] == []
    assert any(line.startswith(f"  {NPZ}  ") and " rows, " in line for line in lines)
    assert "losses" in done.stdout
    assert "no book to be believed for" in done.stdout
    assert "exch_ts not given: " in done.stdout
    assert done.stderr == ""


def test_json_is_one_object(recorded: str, tmp_path: Path) -> None:
    market = ["--venue", "kraken", "--symbol", "BTC-USD"]
    done = call("export", recorded, "--format", "candles", "--every", "5s", *market, "--out", str(tmp_path), "--json")
    said = json.loads(done.stdout)
    assert (said["format"], said["venue"], said["symbol"], said["simulated"]) == ("candles", "kraken", "BTC-USD", False)
    assert {file["name"] for file in said["files"]} == {path.name for path in tmp_path.iterdir()}


def test_made_up_prices_are_named_so(simulated: str, tmp_path: Path) -> None:
    """And the only market there is needs no name."""
    done = call("export", simulated, "--format", "tardis", "--out", str(tmp_path))
    assert done.exit_code == 0
    assert done.stdout.startswith("SIMULATED kraken:BTC-USD ")
    assert "SIMULATED" in done.stderr
    assert all(json.loads(path.read_text())["simulated"] for path in tmp_path.glob("*.gaps.json"))
    assert call("export", simulated, "--format", "tardis", "--out", str(tmp_path), "--force", "-q").stderr == ""


def test_a_span(recorded: str, tmp_path: Path) -> None:
    span = ["--from", "2026-04-06T23:59:30", "--to", "2026-04-07T00:00:00Z"]
    done = call(
        "export", recorded, "--format", "tardis", "--symbol", "kraken:BTC-USD", *span, "--out", str(tmp_path), "--json"
    )
    said = json.loads(done.stdout)
    assert MIDNIGHT - 30 * 10**9 <= said["ts_from"] < said["ts_to"] < MIDNIGHT
    assert all("2026-04-06" in file["name"] for file in said["files"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--format", "csv"], 2, "'csv' is not one of 'hftbacktest'"),
        ([], 2, "say which with --venue: coinbase, kraken"),
        (["--venue", "kraken"], 2, "say which with --symbol: BTC-USD, ETH-USD"),
        (["--venue", "kraken", "--symbol", "coinbase:BTC-USD"], 2, "name two venues"),
        (["--symbol", "binance:BTC-USD"], 2, "has nothing of binance; it has coinbase, kraken"),
        (["--symbol", "kraken:DOGE-USD"], 2, "has no DOGE-USD of kraken; it has BTC-USD, ETH-USD"),
        (["--symbol", "kraken:../\x1b[2J"], 2, "has no ../\\x1b[2J of kraken"),
        (["--symbol", "kraken:BTC-USD", "--from", "2027-01-01"], 2, "nothing of kraken:BTC-USD to export"),
        (["--symbol", "kraken:BTC-USD", "--from", "noon"], 2, "'noon' is not a time"),
        (["--symbol", "kraken:BTC-USD", "--format", "candles", "--every", "7h"], 2, "whole number of such candles"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    options: list[str], code: int, words: str, recorded: str, tmp_path: Path
) -> None:
    given = options if "--format" in options else ["--format", "tardis", *options]
    done = call("export", recorded, *given, "--out", str(tmp_path / "out"))
    assert done.exit_code == code
    assert words in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_file_is_replaced_only_by_force(recorded: str, tmp_path: Path) -> None:
    (tmp_path / NPZ).write_text("mine")
    words = ["export", recorded, "--format", "hftbacktest", "--symbol", "kraken:BTC-USD", "--out", str(tmp_path)]
    done = call(*words)
    assert done.exit_code == 2
    assert "is there already; --force replaces it" in done.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    assert call(*words, "--force").exit_code == 0
    assert (tmp_path / NPZ).read_bytes()[:2] == b"PK"


def test_R08_a_folder_that_is_no_recording(tmp_path: Path) -> None:
    done = call("export", str(tmp_path), "--format", "tardis", "--out", str(tmp_path / "out"))
    assert done.exit_code == 6
    assert "no file venue=" in done.stderr


def test_help_has_examples() -> None:
    done = call("export", "--help")
    assert "marketfeed export data --format hftbacktest" in done.stdout
    assert ".gaps.json" in done.stdout


def test_how_far_it_is_is_shown_and_taken_away(recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Progress:
        def __init__(self, *, shown: bool) -> None:
            told.append(f"shown: {shown}")

        def look(self, text: str) -> None:
            told.append(text)

        def clear(self) -> None:
            told.append("cleared")

    monkeypatch.setattr(_export, "Progress", Progress)
    call("export", recorded, "--format", "tardis", "--symbol", "kraken:BTC-USD", "--out", str(tmp_path))
    assert told[:2] == ["shown: False", "reading"]  # stderr is no terminal here
    assert told[2].startswith("exporting: 2026-04-06 23:59:0")
    assert told[2].endswith(" UTC, 0 events")
    assert told[-1] == "cleared"
