"""The benchmarks run, and find what they promise. No figure is judged here: machines differ."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import LAYERS, NAMES, SOCKETS, main
from benchmarks.measure import Row, Scale
from benchmarks.server import serving
from benchmarks.table import BARS, judgement, table, verdicts

TINY = Scale(messages=200, rounds=1)


@pytest.fixture(scope="module")
def port():
    with serving() as port:
        yield port


@pytest.mark.parametrize("name", SOCKETS)
def test_a_benchmark_over_a_socket_gives_rows(name, port):
    check(SOCKETS[name](port, TINY))


@pytest.mark.parametrize("name", LAYERS)
def test_a_benchmark_of_a_layer_gives_rows(name):
    check(LAYERS[name](TINY))


def check(rows):
    names = {row.name for row in rows}
    assert len(names) == len(rows) > 0
    for row in rows:
        assert 0 <= row.value < float("inf")
        assert row.floor == "" or (row.floor in names and row.ratio is not None)
    assert len(table("title", rows).splitlines()) > len(rows)


def test_every_bar_names_a_row_and_is_judged_by_what_was_measured():
    rows = [Row(bar.row, value=299.0, unit="kB", floor="x", ratio=2.0) for bar in BARS]
    assert [verdict.met for verdict in verdicts(rows)] == [False, False, True, True]
    assert [verdict.met for verdict in verdicts([])] == [None] * len(BARS)
    assert judgement(verdicts(rows)).count("NOT MET") == 2


def test_the_command_runs_one_benchmark_as_json():
    done = CliRunner().invoke(main, ["--only", "stream", "--seconds", "0.001", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert list(told["benchmarks"]) == ["stream"]
    assert told["machine"]["loop"] in {"uvloop", "asyncio"}
    assert len(told["bars"]) == len(BARS)


def test_the_command_prints_a_table():
    done = CliRunner().invoke(main, ["--only", "memory", "--seconds", "0.001"])
    assert done.exit_code == 0, done.output
    assert "idle book of 1,000 levels a side" in done.output
    assert set(NAMES) == {*SOCKETS, *LAYERS}
