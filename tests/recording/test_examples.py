"""The examples that record and backtest: two tools come to the same figures, and know what is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from marketfeed.recording.dataset import open_dataset  # needs pyarrow

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(name: str, *args: str, at: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *args],
        cwd=at,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """A folder with the recording of two runs, and what they printed."""
    folder = tmp_path_factory.mktemp("examples")
    return folder, [run("record_a_day.py", "--sim", "--seconds", seconds, at=folder) for seconds in ("3", "2")]


def test_a_recording_says_what_it_holds(recorded: tuple[Path, list[list[str]]]) -> None:
    folder, (first, second) = recorded
    assert first[0] == "SIMULATED: made-up prices"
    counts = [int(lines[1].split()[1].replace(",", "")) for lines in (first, second)]
    assert sum(counts) == len(list(open_dataset(folder / "recorded").events()))
    assert any(re.fullmatch(r"kraken +trades +\d+ rows +\d+\.\d\d MB", line) for line in first)
    time = r"2\d{3}-\d\d-\d\dT[\d:.]+Z"
    assert any(re.fullmatch(rf"missing: {time} to {time}: all venues : not recorded", line) for line in second)


def test_polars_and_duckdb_come_to_the_same(recorded: tuple[Path, list[list[str]]]) -> None:
    pytest.importorskip("polars")
    pytest.importorskip("duckdb")
    folder, _ = recorded
    by_polars, by_duckdb = (run(f"backtest_{tool}.py", at=folder) for tool in ("polars", "duckdb"))
    assert by_polars == by_duckdb
    counts = re.fullmatch(r"(\d+) bars, (\d+) of them incomplete, \d+ changes of position", by_polars[0])
    assert counts
    assert int(counts[1]) > int(counts[2]) >= 1, "a bar that a pause has cut is not whole"
    assert re.fullmatch(r"[+-][\d.]+% before costs, [+-][\d.]+% after", by_polars[1])


@pytest.mark.parametrize("tool", ["polars", "duckdb"])
def test_a_backtest_of_no_recording_says_so_in_one_line(tool: str, tmp_path: Path) -> None:
    pytest.importorskip(tool)
    command = [sys.executable, str(EXAMPLES / f"backtest_{tool}.py"), "nosuch"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "nosuch: there is no such folder\n")


@pytest.mark.parametrize("name", ["record_a_day.py", "replay_bot.py"])
def test_an_example_that_lacks_its_extra_says_which_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text('raise ModuleNotFoundError("hidden", name="pyarrow")')
    command = [sys.executable, str(EXAMPLES / name), "--sim", "--seconds", "1"]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r".* needs an optional package: pip install 'marketfeed\[parquet\]'\n", done.stderr)
