"""`--plan`: what a start would cost, before anything is connected to."""

import json
from pathlib import Path

from .helpers import call


def test_a_plan_is_a_table_with_units_and_nothing_is_begun(tmp_path: Path) -> None:
    result = call("tail", "binance:BTC-USDT", "kraken:BTC-USD", "mempool:BTC", "--book", "--plan")
    assert (result.exit_code, result.stderr) == (0, "")
    head, *rows = result.stdout.splitlines()[:4]
    assert head.split("  ")[0] == "venue"
    assert "live after" in head
    assert [row.split()[:7] for row in rows] == [
        ["binance", "1", "1", "1", "1", "3", "90"],
        ["kraken", "1", "1", "1", "1", "2", "2"],
        ["mempool", "1", "0", "1", "2", "0", "0"],
    ]
    assert rows[0].endswith("90  5,000 in 60 s         0 s")
    folder = tmp_path / "data"
    assert call("record", "BTC-USD", "--to", str(folder), "--plan").exit_code == 0
    assert not folder.exists()


def test_a_plan_is_json_lines_where_that_is_asked_for() -> None:
    result = call("tail", "kraken:BTC-USD", "mempool:BTC", "--plan", "--json")
    plans = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["venue"], one["streams"], one["allowed"]) for one in plans] == [
        ("kraken", 2, [1, 1.0]),
        ("mempool", 1, [6, 60.0]),
    ]


def test_a_plan_of_a_chain_alone_and_of_what_cannot_be() -> None:
    assert call("tail", "mempool:BTC", "--plan").stdout.splitlines()[1].startswith("mempool")
    assert call("tail", "krakn:BTC-USD", "--plan").exit_code == 2
