"""The benchmarks of recordings run, and find what is promised. No figure is judged here: machines differ."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("pyarrow")

from benchmarks import play, record  # needs pyarrow


def test_the_benchmark_prints_its_figures() -> None:
    done = CliRunner().invoke(record.main, ["--seconds", "0.3", "--rate", "2000"])
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


def test_the_benchmark_of_playing_prints_its_figures(tmp_path: Path) -> None:
    trade = {"symbol": "BTC/USD", "side": "buy", "price": 1.5, "qty": 2, "ord_type": "market", "trade_id": 1}
    trade["timestamp"] = "2026-04-07T00:00:00.000000Z"
    lines = [{"t": 1775520000, "dir": "open", "conn": "1", "url": "wss://ws.kraken.com/v2", "raw": ""}]
    for number in range(1, 4):
        raw = json.dumps({"channel": "trade", "type": "update", "data": [trade | {"trade_id": number}]})
        lines.append({"t": 1775520000 + number, "dir": "in", "conn": "1", "raw": raw})
    file = tmp_path / "raw.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = CliRunner().invoke(play.main, [str(file)])
    assert done.exit_code == 0, done.output
    assert "trades              3 events" in done.output
    played = re.findall(r" +([\d,]+) events +[\d,]+ events/s", done.output)
    assert len(played) == 4
    assert len(set(played)) == 1, "each way tells all of them"
