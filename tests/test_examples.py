"""Every example runs offline, prints what a person can read, and ends by itself or on Ctrl-C."""

import asyncio
import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import marketfeed as mf

EXAMPLES = Path(__file__).parent.parent / "examples"
BOTS = ["bot_skeleton.py", "spread_between_venues.py", "book_imbalance.py", "mining_profit.py"]
CELLS = "notebook_style.py"
RECORDED = {"record_a_day.py", "backtest_polars.py", "backtest_duckdb.py", "replay_bot.py"}
"""Run in tests/recording."""
HELPERS = {"_source.py", "run_cells.py"}


def start(*args: str, **env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *args],
        cwd=EXAMPLES.parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1"} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: "subprocess.Popen[str]") -> list[str]:
    """The lines of a process that ended well, and in time."""
    try:
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    return out.splitlines()


def test_all_examples_are_known() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*BOTS, CELLS, *HELPERS, *RECORDED}


def test_examples_are_short() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 80, path.name


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("bot_skeleton.py", r" +[\d,]+\.\d x [\d.]+ +(lifts the ask|hits the bid) +[\d,.]+ / [\d,.]+"),
        ("spread_between_venues.py", r"coinbase [\d,.]+ / [\d,.]+   kraken .* buy kraken: +[+-][\d.]+ bp"),
        ("book_imbalance.py", r"[+-][01]\.\d\d [ #]{20}\|[ #]{20}  buy [\d,.]+  sell [\d,.]+"),
        (
            "mining_profit.py",
            r"(start|price|difficulty) +block [\d,]+ +[\d,.]+ USD  profit \+\d\.\d{5} USD a day, 0 at [\d,]+",
        ),
    ],
)
def test_example_runs_offline(name: str, line: str) -> None:
    lines = finished(start(str(EXAMPLES / name), "--sim", "--seconds", "1"))
    assert lines[0].startswith("SIMULATED")
    assert sum(bool(re.fullmatch(line, one)) for one in lines) >= 2, lines


def test_cells_run_in_a_running_loop() -> None:
    lines = finished(start(str(EXAMPLES / "run_cells.py"), str(EXAMPLES / CELLS), "--sim", "--seconds", "1"))
    assert any(one.startswith("bids [(") for one in lines), lines
    assert re.fullmatch(r"\{'buy': \d+, 'sell': \d+\}", lines[-1])


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
@pytest.mark.parametrize(
    ("name", "under_way"), [("bot_skeleton.py", "the book is proven: go\n"), ("mining_profit.py", "start ")]
)
def test_example_ends_cleanly_on_ctrl_c(name: str, under_way: str) -> None:
    process = start(str(EXAMPLES / name), "--sim")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("SIMULATED")
    while not process.stdout.readline().startswith(under_way):
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    finished(process)
    assert time.monotonic() - began < 5


@pytest.mark.soak
def test_an_example_without_a_network_says_what_does_not_flow() -> None:
    nowhere = "http://127.0.0.1:9"
    names = ["spread_between_venues.py", "mining_profit.py"]
    for process in [start(str(EXAMPLES / name), "--seconds", "1", HTTPS_PROXY=nowhere) for name in names]:
        out, err = process.communicate(timeout=40)
        assert (process.returncode, out) == (1, "")
        assert re.fullmatch(r"not flowing: coinbase:BTC-USD:ticker \(.*\n", err), err


@pytest.mark.skipif(sys.platform == "win32", reason="no pipe that breaks")
def test_an_example_whose_reader_has_had_enough_ends_without_a_word() -> None:
    with start(str(EXAMPLES / "bot_skeleton.py"), "--sim") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize("name", [*BOTS, *sorted(RECORDED)])
def test_help_of_an_example_shows_its_command_on_a_line_of_its_own(name: str) -> None:
    for module in ("polars", "duckdb"):
        if module in name:
            pytest.importorskip(module)
    lines = finished(start(str(EXAMPLES / name), "-h"))
    assert any(re.fullmatch(rf"python examples/{name}( .*)?", line) for line in lines), lines


def test_the_bot_calls_no_trade_missing_that_follows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from marketfeed.testing.plugin import Stage, play  # noqa: PLC0415 # pytest is to load it first

    monkeypatch.syspath_prepend(EXAMPLES)
    skeleton = importlib.import_module("bot_skeleton")

    async def story(stage: Stage) -> None:
        stage.feed.subscribe("kraken:BTC-USD", trades=True, book=10)
        running = asyncio.create_task(skeleton.follow(stage.feed.consumer(books=True), skeleton.Bot()))
        await stage.feed.live(10)
        await asyncio.sleep(5)
        stage.network.reset(stage.port("kraken"))
        await stage.until(lambda: any(gap.healed for gap in stage.told(mf.Gap)))
        running.cancel()

    play(story)
    missing = [line for line in capsys.readouterr().out.splitlines() if "missing" in line]
    assert missing == ["trades may be missing (link lost): volume and position need a look"]


def test_the_bot_goes_on_where_another_connection_took_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from marketfeed.testing.plugin import Stage, play  # noqa: PLC0415 # pytest is to load it first

    monkeypatch.syspath_prepend(EXAMPLES)
    skeleton = importlib.import_module("bot_skeleton")
    bot = skeleton.Bot()

    async def story(stage: Stage) -> None:
        stage.feed.subscribe("binance:BTC-USDT", trades=True, book=True)
        running = asyncio.create_task(skeleton.follow(stage.feed.consumer(books=True), bot))
        await stage.until(lambda: stage.told(mf.Disconnected))
        await asyncio.sleep(5)
        running.cancel()

    play(story, "binance", faults="shutdown@30s")
    assert "replaced by" in capsys.readouterr().out
    assert bot.ready
