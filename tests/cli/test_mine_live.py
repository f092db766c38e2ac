import csv
import io
import re
import signal
import time

import pytest

from marketfeed.cli import _exit, _reach
from marketfeed.events import encode_json

from .helpers import WAIT_S, Terminal, call, rows, start
from .test_mine_view import NOW, SECOND, STATS, profit

SIM = ["BTC", "--rig", "s21xp", "--electricity", "0.06", "--sim"]
SIM_LINE = "marketfeed: SIMULATED: made-up prices from a simulator in this process"
DEAD = "=ws://127.0.0.1:1,http://127.0.0.1:1"


def test_json_lines_into_a_pipe():
    result = call("mine", *SIM, "--count", "2", "--fee", "2%")
    assert result.exit_code == 0
    found = rows(result.stdout)
    assert len(found) == 2
    assert {(row["kind"], row["symbol"], row["rig"]) for row in found} == {("mining_profit", "BTC", "s21xp")}
    first = found[0]
    assert first["profit_day"] == pytest.approx(first["revenue_day"] - first["fee_day"] - first["power_cost_day"])
    assert {one["source"] for one in first["inputs"]} == {"coinbase:BTC-USD:ticker", "mempool:BTC:chain", "tariff"}
    assert result.stderr.splitlines() == [SIM_LINE]


def test_text():
    result = call("mine", *SIM, "--count", "1", "--text", "--venue", "kraken", "--price-of", "trades")
    assert result.exit_code == 0
    assert result.stdout.startswith("mine BTC  SIMULATED  LIVE\n")
    assert "\x1b" not in result.stdout


def test_compare():
    args = ["mine", *SIM, "--rig", "s19pro*2", "--venue", "kraken", "--venue", "coinbase", "--compare"]
    result = call(*args, "--json")
    assert result.exit_code == 0
    found = rows(result.stdout)
    assert [(row["rank"], row["coin"], row["rig_name"]) for row in found] == [
        (1, "BTC", "s21xp"),
        (2, "BTC", "s19pro x2"),
    ]
    assert call(*args).stdout.splitlines()[0].split()[:3] == ["coin", "rig", "profit/day"]


def test_duration():
    assert call("mine", *SIM, "--duration", "2s").exit_code == 0


@pytest.mark.parametrize("compare", [[], ["--compare"]])
def test_nothing_reached_is_one_line(monkeypatch, compare):
    monkeypatch.setattr(_reach, "REACH_S", 1.5)
    result = call("mine", *SIM[:-1], "--source", "mempool", "--endpoint", "coinbase" + DEAD, "--endpoint",
                  "mempool" + DEAD, "-q", *compare)  # fmt: skip
    assert result.exit_code == _exit.UNREACHED
    assert result.stderr == (
        "marketfeed: no venue could be reached (coinbase: 127.0.0.1 refused the connection; mempool: 127.0.0.1 refused "
        "the connection). Check the network, or try it without one: "
        "marketfeed mine BTC --rig s21xp --electricity 0.06 --sim\n"
    )


@pytest.mark.parametrize("compare", [[], ["--compare"]])
def test_a_duration_in_which_nothing_was_reached_is_no_success(compare):
    dead = ["--endpoint", "coinbase" + DEAD, "--endpoint", "mempool" + DEAD]
    result = call("mine", *SIM[:-1], "--source", "mempool", *dead, "--duration", "1500ms", "-q", *compare)
    assert result.exit_code == _exit.UNREACHED
    assert result.stderr.startswith("marketfeed: no venue could be reached (coinbase: 127.0.0.1 refused")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_C10_signals_end_it_quietly_and_fast(number, code):
    process = start("mine", *SIM)
    assert process.stdout.readline()
    process.send_signal(number)
    began = time.monotonic()
    _, err = process.communicate(timeout=WAIT_S)
    assert time.monotonic() - began < 2
    assert process.returncode == code
    assert err.decode().splitlines() == [SIM_LINE]


def test_a_closed_pipe_ends_it_quietly():
    process = start("mine", *SIM)
    assert process.stdout.readline()
    time.sleep(0.5)
    began = time.monotonic()
    process.stdout.close()
    assert process.wait(WAIT_S) == 0
    assert time.monotonic() - began < 3
    assert process.stderr.read().decode().splitlines() == [SIM_LINE]
    process.stderr.close()


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_terminal(columns):
    with Terminal("mine", *SIM, columns=columns, lines=24) as terminal:
        text = terminal.read_until(lambda text: text.count("LIVE") >= 2)
        assert text.startswith("\x1b[?1049h\x1b[?25l")
        assert terminal.end() == 130
        assert terminal.text.endswith("\x1b[?25h\x1b[?1049l")
        drawings = terminal.text.split("\x1b[H")[1:]
        plain = [re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", drawing).replace("\r", "").split("\n") for drawing in drawings]
        assert all(len(drawing) <= 24 and all(len(line) <= columns for line in drawing) for drawing in plain)
        assert any("SIMULATED" in drawing[0] and "LIVE" in drawing[0] for drawing in plain)
        assert terminal.process.stderr.read().decode().splitlines() == [SIM_LINE]


def test_income(tmp_path):
    path = tmp_path / "profit.jsonl"
    events = [profit(ts_recv=NOW + i * 60 * SECOND) for i in range(11)]
    lines = [encode_json(event) for event in (STATS, *events)]
    path.write_bytes(b"\n".join(lines) + b"\n" + lines[-1][:50])
    result = call("mine", "--income", str(path))
    assert result.exit_code == 0
    assert result.stderr == f"marketfeed: {path}, line 13: not whole, left out\n"
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    coins = 0.000109501 * 0.98 * 600 / 86_400
    assert float(row["coins"]) == pytest.approx(coins)
    assert float(row["income"]) == pytest.approx(coins * 106935)
    assert (row["date"], row["rig"], row["coin"], row["quote"]) == ("2026-11-18", "s21xp", "BTC", "USD")
    assert (row["covered_s"], row["uncovered_s"]) == ("600.0", "0.0")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "no two profits of one rig"),
        (b"what?\n{}\n", "line 1: not a line of mine --json"),
        (b'{"kind":"mining_profit"}\n', "line 1: not a line of mine --json"),
        (encode_json(profit()) + b"\n" + encode_json(profit(ts_recv=NOW - 1)) + b"\n", "not in order of time"),
    ],
)
def test_income_that_cannot_be(tmp_path, data, words):
    path = tmp_path / "profit.jsonl"
    if data is not None:
        path.write_bytes(data)
    result = call("mine", "--income", str(path))
    assert result.exit_code == _exit.RECORDING
    assert words in result.stderr
    assert result.stdout == ""
