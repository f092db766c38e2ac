"""A pytest plugin that keeps what became of each row of the fault catalogue, for docs/conformance.md.

`pytest -p tests.conformance --conformance FILE`: of every test that names rows, its outcome, by row and venue. A run
of the long tests is kept beside one of the short ones.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

VENUES = ("kraken", "binance", "coinbase")
SOURCES = (
    *("mempool", "litecoinspace", "bitcoind", "litecoind", "dogecoind", "monerod", "geth", "kaspa", "blockchair"),
    *("blockchaininfo", "whattomine"),
)
_ROW = re.compile(r"(?<![A-Za-z0-9])([TPCRGI]\d{1,2}|D\d{1,2})(?![0-9A-Za-z])")


def rows_of(test: str) -> list[str]:
    """Rows that a test's name and parameters name, each once: `test_T01_T21_...[T06_drip-kraken]` is of T06 alone."""
    name, bracket, parameters = test.partition("[")
    given = _ROW.findall(parameters.replace("_", " ")) if bracket else []
    return list(dict.fromkeys(given or _ROW.findall(name.replace("_", " "))))


def venue_of(nodeid: str) -> str:
    """`kraken`, `chain` for sources of chains, `any` for what all venues share."""
    file, _, test = nodeid.partition("::")
    words = set(re.split(r"[^a-z]+", f"{Path(file).stem} {test}".lower()))
    found = next((v for v in VENUES if v in words), None)
    chain = words.intersection(SOURCES) or "chain" in words
    return found or ("chain" if chain else "any")


class Conformance:
    """Collects outcomes and writes them when the run ends."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._kind = kind
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test, or its beginning or end, is over."""
        if report.when != "call" and report.passed:
            return
        outcome = "skipped" if report.skipped else "passed" if report.passed else "failed"
        for row in rows_of(report.nodeid.partition("::")[2]):
            cell = self._rows.setdefault(row, {}).setdefault(
                venue_of(report.nodeid), {"passed": 0, "failed": [], "skipped": 0}
            )
            if outcome == "failed":
                cell["failed"].append(report.nodeid)
            else:
                cell[outcome] += 1

    def pytest_sessionfinish(self) -> None:
        """All are over."""
        known = json.loads(self._path.read_text("utf-8")) if self._path.exists() else {}
        known[self._kind] = self._rows
        self._path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that names the file."""
    parser.addoption(
        "--conformance", type=Path, metavar="FILE", help="keep the outcome of each row of the catalogue there"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect, where a file is named; of several processes the first."""
    path = config.getoption("--conformance")
    if path and not hasattr(config, "workerinput"):
        kind = "long" if config.getoption("markexpr") == "soak" else "short"
        config.pluginmanager.register(Conformance(path, kind))
