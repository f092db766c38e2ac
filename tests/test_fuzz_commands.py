"""The commands of the fuzzers: Ctrl-C ends them at once in a line; figures that cannot be kept are refused before."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")


@contextmanager
def started(name: str, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """A runner, as a terminal starts it: Ctrl-C goes to all processes of its group, and none may be left."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", f"tests.fuzz.{name}", *options],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_simulation_and_its_workers_with_the_figures_so_far(times: int) -> None:
    with started("simulation", "--seeds", "1000", "--minutes", "1", "--jobs", "2", "--verbose") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("seed 1, ")
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.01)
        out, err = process.communicate(timeout=15)
    assert "of 1000 runs\nruns " in out
    assert (process.returncode, err) == (1, "")


@pytest.mark.parametrize(
    ("name", "amount"),
    [("differential", "--messages=20000"), ("mutation", "--messages=300"), ("recovery", "--repeats=1")],
)
def test_ctrl_c_ends_a_runner_in_one_line(name: str, amount: str) -> None:
    with started(name, amount) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (130, "stopped\n")


def test_ctrl_c_ends_chaos_and_what_it_started_in_one_line() -> None:
    with started("chaos", "--seconds", "60") as process:
        time.sleep(3)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (130, "stopped\n")


@pytest.mark.parametrize(
    ("place", "why"),
    [("nosuch/figures.json", "no figures can be written there"), ("figures.json", "holds no figures")],
)
def test_figures_that_could_not_be_kept_are_refused_before_the_run(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "figures.json").write_text("{")
    with started("storms", "--figures", str(tmp_path / place)) as process:
        _, err = process.communicate(timeout=15)
    assert process.returncode == 2
    assert why in err.splitlines()[-1]
