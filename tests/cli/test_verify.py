"""`marketfeed verify` as people use it: what it prints where, and how it ends."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marketfeed import events as ev
from marketfeed.cli import _exit
from marketfeed.recording.times import iso

from .helpers import Terminal, call, start

pytest.importorskip("pyarrow")

from tests.recording.recorded import script, seal


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seal(tmp_path_factory.mktemp("verify") / "data", script().events, simulated=True)


@pytest.fixture
def damaged(sound: Path, tmp_path: Path) -> Path:
    data = Path(shutil.copytree(sound, tmp_path / "data"))
    path = next(data.glob("venue=kraken/channel=trades/*/*.parquet"))
    body = bytearray(path.read_bytes())
    body[60] ^= 1
    path.write_bytes(body)
    return data


def test_a_sound_recording_ends_with_0_and_shows_gaps_and_coverage(sound: Path) -> None:
    result = call("verify", str(sound))
    assert result.exit_code == _exit.OK
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{sound}: SIMULATED: 5 files, ")
    assert lines[1] == f"received from 2026-04-07T10:00:00.001Z to {iso(script().events[-1].ts_recv)}"
    assert any(line.startswith("note   gap        kraken:BTC-USD:trades: 2 gaps (trade ids), ") for line in lines)
    assert ["kraken:BTC-USD:trades", "52", "91.91", "%", "2026-04-07T10h", "91.91", "%"] in map(str.split, lines)
    assert lines[-1] == "0 errors, 4 notes"
    assert result.stderr == ""


def test_damage_ends_with_1_and_names_the_file(damaged: Path) -> None:
    result = call("verify", str(damaged))
    assert result.exit_code == _exit.ERROR
    assert "error  hash       venue=kraken/channel=trades/date=2026-04-07/" in result.stdout
    assert result.stderr == f"marketfeed: {damaged}: 2 errors, 4 notes\n"


def test_json_is_the_whole_report(damaged: Path) -> None:
    result = call("verify", str(damaged), "--json")
    report = json.loads(result.stdout)
    assert report["errors"] == 2
    assert {"path", "files", "rows", "bytes", "ts_from", "ts_to", "simulated", "quick", "notes"} <= report.keys()
    assert [f["check"] for f in report["findings"] if f["severity"] == "error"] == ["hash", "page"]
    assert report["coverage"][0]["hours"][0].keys() == {"ts", "events", "covered"}


def test_a_stream_without_an_event_shows_a_dash_in_place_of_its_coverage(tmp_path: Path) -> None:
    made = script()
    made.tell(ev.Refused, symbol="BTC-USF", channel="trades", reason="kraken has no BTC-USF")
    lines = call("verify", str(seal(tmp_path / "data", made.events))).stdout.splitlines()
    assert ["kraken:BTC-USF:trades", "0", "-"] in map(str.split, lines)


def test_quick_reads_no_rows(damaged: Path) -> None:
    result = call("verify", str(damaged), "--quick")
    assert result.exit_code == _exit.ERROR
    assert "quick: the rows were not read" in result.stdout
    assert "page" not in result.stdout
    assert "covered" not in result.stdout


def test_strict_fails_for_notes_and_quiet_prints_none(sound: Path, damaged: Path) -> None:
    assert call("verify", str(sound), "--quiet").stdout == ""
    strict = call("verify", str(sound), "--strict", "--quiet")
    assert (strict.exit_code, strict.stdout) == (_exit.ERROR, "")
    assert strict.stderr == f"marketfeed: {sound}: 0 errors, 4 notes\n"
    assert len(call("verify", str(damaged), "--quiet").stdout.splitlines()) == 2


@pytest.mark.parametrize("name", ["none", ""])
def test_what_is_no_recording_ends_with_6(name: str, tmp_path: Path) -> None:
    result = call("verify", str(tmp_path / name))
    assert result.exit_code == _exit.RECORDING
    assert result.stdout == ""
    assert result.stderr.startswith(f"marketfeed: {tmp_path / name}")


def test_names_of_others_cannot_write_to_the_terminal(damaged: Path) -> None:
    manifest = next((damaged / "_manifests").glob("*.json"))
    held = json.loads(manifest.read_bytes())
    held["files"][0]["path"] = "venue=x/channel=book/date=2026-01-01/\x1b]0;owned\x07.parquet"
    manifest.write_text(json.dumps(held))
    assert "\x1b" not in call("verify", str(damaged)).stdout


def test_a_terminal_shows_colours_and_leaves_no_trace_of_progress(damaged: Path) -> None:
    with Terminal("verify", str(damaged)) as shown:
        text = shown.read_until(lambda seen: "2 errors" in seen)
    assert "\x1b[31merror\x1b[0m  hash" in text
    assert "\x1b[33mnote \x1b[0m" in text
    with Terminal("verify", str(damaged), NO_COLOR="1") as plain:
        assert "\x1b[" not in plain.read_until(lambda seen: "2 errors" in seen)


def test_a_reader_that_has_had_enough_is_no_error(sound: Path) -> None:
    with start("verify", str(sound)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(20) == _exit.OK
        assert process.stderr.read() == b""


def test_without_pyarrow_it_says_what_to_install(sound: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from marketfeed.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "verify", str(sound)], capture_output=True, text=True, check=False, timeout=30
    )
    assert run.returncode == _exit.USAGE
    assert run.stderr == "marketfeed: a Parquet dataset needs an optional package: pip install 'marketfeed[parquet]'\n"
