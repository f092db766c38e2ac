"""Where output goes: a disk that is full, a reader that has gone, no output at all."""

import subprocess
from pathlib import Path

import pytest

from marketfeed.cli import _exit

from .helpers import COMMAND, ENV, WAIT_S, start, write_capture

FULL = Path("/dev/full")
UNWRITTEN = "marketfeed: cannot write: No space left on device"
CALC = ("mine", "BTC", "--calc", "--rig", "s21xp", "-e", "0.05", "--difficulty", "132.7T", "--price", "65000")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


def told_where_full(*args: str) -> list[str]:
    """What a command says on stderr where nothing of its output can be written; it has failed."""
    with FULL.open("wb") as full:
        process = start(*args, stdout=full)
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == _exit.ERROR, err.decode()
    return [line for line in err.decode().splitlines() if "SIMULATED" not in line]


@pytest.mark.parametrize(
    "args",
    [
        ("tail", "BTC-USD", "--sim", "--duration", "10s", "--json"),
        ("tail", "BTC-USD", "--sim", "--count", "1"),
        ("book", "BTC-USD", "--sim", "--count", "1", "--plain"),
        ("mine", "BTC", "--rig", "s21xp", "-e", "0.06", "--sim", "--json", "--count", "2"),
    ],
    ids=lambda args: args[0],
)
def test_a_full_disk_ends_what_runs_with_an_error(args):
    assert told_where_full(*args) == [UNWRITTEN]


@pytest.mark.parametrize(
    "args",
    [
        ("venues",),
        ("symbols", "kraken", "--sim"),
        ("schema",),
        ("schema", "trade"),
        ("doctor", "--venue", "kraken", "--sim"),
        ("completion", "bash"),
        ("tail", "--help"),
        CALC,
    ],
    ids=lambda args: " ".join(args[:2]),
)
def test_a_full_disk_is_one_line_from_what_prints_at_once(args):
    assert told_where_full(*args) == [UNWRITTEN]


@pytest.mark.parametrize("how", ["--json", "--text", "--stats"])
def test_a_full_disk_is_one_line_from_replay(how, tmp_path):
    assert told_where_full("replay", str(write_capture(tmp_path / "capture.jsonl")), how) == [UNWRITTEN]


def test_a_recording_whose_last_line_cannot_be_written_is_whole(tmp_path):
    dataset = pytest.importorskip("marketfeed.recording.dataset", exc_type=ImportError)
    assert told_where_full("record", "BTC-USD", "--sim", "--to", str(tmp_path), "--duration", "1s") == [UNWRITTEN]
    assert dataset.open_dataset(tmp_path).channels
    for command in ("info", "verify"):
        assert told_where_full(command, str(tmp_path)) == [UNWRITTEN]


@pytest.mark.parametrize("args", [("tail", "BTC-USD", "--sim", "--count", "1"), ("venues",)], ids=lambda args: args[0])
def test_without_a_standard_output_it_says_so(args):
    command = ["sh", "-c", '"$@" >&-', "sh", *COMMAND, *args]
    done = subprocess.run(command, env=ENV, stderr=subprocess.PIPE, timeout=WAIT_S, check=False)
    assert done.returncode == _exit.ERROR
    assert done.stderr.decode() == "marketfeed: standard output is closed\n"


def test_who_closes_stderr_wants_nothing_of_it():
    command = ["sh", "-c", '"$@" 2>&-', "sh", *COMMAND, "tail", "BTC-USD", "--sim", "--count", "3"]
    done = subprocess.run(command, env=ENV, stdout=subprocess.PIPE, timeout=WAIT_S, check=False)
    assert done.returncode == _exit.OK
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.parametrize("args", [("digest",), ("mine", "--income", "-")], ids=" ".join)
def test_a_closed_standard_input_is_an_empty_one(args):
    command = ["sh", "-c", '"$@" <&-', "sh", *COMMAND, *args]
    done = subprocess.run(command, env=ENV, capture_output=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stdout) == (_exit.RECORDING, b"")
    assert len(done.stderr.splitlines()) == 1, done.stderr.decode()
