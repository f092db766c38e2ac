"""The recorder's benchmark runs, and finds what it promises. No figure is judged here: machines differ."""

import pytest
from click.testing import CliRunner

pytest.importorskip("pyarrow")

from benchmarks.record import main  # needs pyarrow


def test_the_benchmark_prints_its_figures() -> None:
    done = CliRunner().invoke(main, ["--seconds", "0.3", "--rate", "2000"])
    assert done.exit_code == 0, done.output
    assert "0 events left out, +0 recorded against told" in done.output
    for what in (
        "on one core",
        "loop late by",
        "MB at the end",
        "us to seal",
        "JSON lines, gzip -6",
        "CSV as of tardis",
    ):
        assert what in done.output
