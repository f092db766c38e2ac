"""The scoreboard: every row of the catalogue is there, and a red one stays red."""

import json
from pathlib import Path
from typing import Any

import pytest

from docs.conformance import page

from .conformance import Conformance, rows_of, venue_of

FAULTS = """
| row | what happens | what you see | tests |
|---|---|---|---|
| T01 | the connection is reset | `Disconnected` | `a.py` |
| T02 | it ends | the same. **Partly**: not on Sundays | `a.py` |

| I1 | it holds. **Partly**: by day | `a.py` |
"""


@pytest.mark.parametrize(
    ("test", "rows"),
    [
        ("test_T01_a_cut", ["T01"]),
        ("test_D4_D6_lost[kraken]", ["D4", "D6"]),
        ("test_T01_T21_of_the_way[T06_drip-kraken]", ["T06"]),
        ("test_I3_a_book[200000-float]", ["I3"]),
        ("test_nothing_of_T1000", []),
    ],
    ids=["one", "two", "parameters", "numbers", "none"],
)
def test_rows_are_named_by_the_test_or_its_parameters(test: str, rows: list[str]) -> None:
    assert rows_of(test) == rows


@pytest.mark.parametrize(
    ("test", "venue"),
    [
        ("tests/test_a.py::test_x[kraken-1]", "kraken"),
        ("tests/venues/test_binance.py::test_x", "binance"),
        ("tests/venues/test_mempool.py::test_x", "chain"),
        ("tests/test_sync.py::test_x", "any"),
    ],
    ids=["parameter", "file", "chain", "shared"],
)
def test_a_venue_is_named_by_the_parameters_or_the_file(test: str, venue: str) -> None:
    assert venue_of(test) == venue


def report(nodeid: str, outcome: str, when: str = "call") -> Any:
    return pytest.TestReport(nodeid, ("", 0, ""), {}, outcome, None, when)  # type: ignore[arg-type]


def test_what_was_kept_is_added_up_and_a_failure_stays_visible(tmp_path: Path) -> None:
    kept = tmp_path / "results.json"
    for kind, outcome in (("short", "passed"), ("long", "failed")):
        run = Conformance(kept, kind)
        run.pytest_runtest_logreport(report("t.py::test_T01_cut[kraken]", "passed", "setup"))
        run.pytest_runtest_logreport(report("t.py::test_T01_cut[kraken]", outcome))
        run.pytest_runtest_logreport(report("t.py::test_T02_end", "passed"))
        run.pytest_sessionfinish()
    text = page(json.loads(kept.read_text()), FAULTS, {"soak": {"command": "c", "date": "d", "rows": [{"n": 1234}]}})
    assert "| T01 | the connection is reset | · | **✗ 1 of 2** | · | · | · |  |" in text
    assert "| T02 | it ends | ✓ 2 | · | · | · | · | not on Sundays |" in text
    assert "| T24 |  | **not shown** |" in text
    assert "- `t.py::test_T01_cut[kraken]`" in text
    assert "1,234" in text
    assert "2 rows" not in text
    assert "| I1 | it holds | **not shown** |  |  |  |  | by day |" in text
    assert "76 rows: 2 shown, 1 red, 74 not shown; 2 in part" in text


def test_what_a_fault_did_by_itself_at_a_venue_is_in_its_cell() -> None:
    def ran(fault: str, venue: str, recovered: str, within: str) -> dict[str, str]:
        return {"row": "T01", "fault": fault, "venue": venue, "recovered": recovered, "within": within}

    rows = [
        ran("reset", "kraken", "20/20", "yes"),
        ran("rst", "kraken", "20/20", "yes"),
        ran("reset", "binance", "19/20", "yes"),
        ran("reset", "coinbase", "20/20", "no"),
    ]
    text = page({}, FAULTS, {"recovery": {"command": "c", "date": "d", "rows": rows}})
    assert "| T01 | the connection is reset | · | ✓ 40/40 | **✗ 1 of 1** 19/20 | **✗ 1 of 1** 20/20 | · |" in text
    assert "- `tests.fuzz.recovery: reset at binance: 19/20 recovered, within its budget: yes`" in text
    assert "- `tests.fuzz.recovery: reset at coinbase: 20/20 recovered, within its budget: no`" in text
