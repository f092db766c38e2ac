"""The scoreboard: docs/conformance.md, from what tests and runners kept, and what faults.md says of each row.

`make conformance` runs the tests, `python -m docs.conformance` writes the page.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
COLUMNS = {
    "any": "all alike",
    "kraken": "kraken",
    "binance": "binance",
    "coinbase": "coinbase",
    "chain": "chain sources",
}
CATALOGUE = {"T": 24, "P": 35, "C": 16}
"""Rows that there are, by letter; of the others those that faults.md names."""
TITLES = {"T": "The connection", "P": "What the venue says", "C": "Your program", "D": "Mistakes others have made"}
TITLES |= {"G": "Text and keys", "R": "Recordings", "I": "Invariants"}
HEAD = """# Conformance

Which row of the [fault catalogue](explanation/faults.md) was shown at which venue, by the last runs. Made by
`make conformance`, never by hand.

`✓ 3`: so many tests that name the row passed. **✗ 1 of 3**: that one failed. `20/20`: of so many runs of that fault at
that venue, on virtual links below the real framing, so many recovered by themselves; the figures below have them. `·`:
no test of that row is of that venue alone; what all venues share is proven under *all alike*. **not shown**: no test
names the row. The last column is what faults.md says is not done, or not proven.
"""

Results = dict[str, dict[str, dict[str, Any]]]


def said(faults: str) -> dict[str, tuple[str, str]]:
    """Of each row in faults.md: what happens, and what of it is not done."""
    found = {}
    for line in faults.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if re.fullmatch(r"[TPCDGRI]\d{1,2}", cells[0]):
            what, _, partly = cells[1].partition("**Partly**")  # an invariant has no cell of its own for what happens
            partly = partly or " ".join(cells[2:-1]).partition("**Partly**")[2]
            found[cells[0]] = (what.strip(" ."), partly.lstrip(": "))
    return found


def added(runs: dict[str, Results]) -> Results:
    """The outcomes of the short and the long tests together."""
    total: Results = {}
    for run in runs.values():
        for row, cells in run.items():
            for venue, cell in cells.items():
                known = total.setdefault(row, {}).setdefault(venue, {"passed": 0, "failed": [], "skipped": 0})
                known["passed"] += cell["passed"]
                known["skipped"] += cell["skipped"]
                known["failed"] = [*known["failed"], *cell["failed"]]
    return total


def recovered(results: Results, runs: Iterable[dict[str, Any]]) -> None:
    """Put what `tests.fuzz.recovery` found into the cells: runs that recovered, of how many, and what did not."""
    for run in runs:
        cells = results.setdefault(run["row"], {})
        cell = cells.setdefault(run["venue"], {"passed": 0, "failed": [], "skipped": 0})
        well, of = map(int, run["recovered"].split("/"))
        before = cell.get("runs", (0, 0))
        cell["runs"] = (before[0] + well, before[1] + of)
        if well < of or run["within"] == "no":
            why = f"{run['recovered']} recovered, within its budget: {run['within']}"
            cell["failed"] = [*cell["failed"], f"tests.fuzz.recovery: {run['fault']} at {run['venue']}: {why}"]


def page(runs: dict[str, Results], faults: str, figures: dict[str, Any]) -> str:
    """The whole page."""
    results, rows = added(runs), said(faults)
    recovered(results, figures.get("recovery", {}).get("rows", ()))
    return "\n".join([HEAD, *_totals(results, rows), *_tables(results, rows), *_reds(results), *_figures(figures), ""])


def _codes(results: Results, rows: dict[str, tuple[str, str]]) -> list[str]:
    named = {f"{letter}{number:02}" for letter, last in CATALOGUE.items() for number in range(1, last + 1)}
    return sorted(named | rows.keys() | results.keys(), key=lambda code: (code[0], int(code[1:])))


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None or not (cell["passed"] or cell["failed"] or "runs" in cell):
        return "skipped" if cell else "·"
    ran = "{}/{}".format(*cell["runs"]) if "runs" in cell else ""
    if cell["failed"]:
        return f"**✗ {len(cell['failed'])} of {len(cell['failed']) + cell['passed']}** {ran}".strip()
    return " ".join(filter(None, (f"✓ {cell['passed']}" if cell["passed"] else "✓", ran)))


def _totals(results: Results, rows: dict[str, tuple[str, str]]) -> Iterator[str]:
    codes = _codes(results, rows)
    red = sum(any(cell["failed"] for cell in results.get(code, {}).values()) for code in codes)
    shown = sum(any(cell["passed"] or "runs" in cell for cell in results.get(code, {}).values()) for code in codes)
    partly = sum(bool(rows.get(code, ("", ""))[1]) for code in codes)
    unshown = len(codes) - shown
    yield f"{len(codes)} rows: {shown} shown, {red} red, {unshown} not shown; {partly} in part, by faults.md.\n"


def _tables(results: Results, rows: dict[str, tuple[str, str]]) -> Iterator[str]:
    letter = ""
    for code in _codes(results, rows):
        if code[0] != letter:
            letter = code[0]
            yield f"\n## {letter}: {TITLES[letter]}\n"
            yield "| row | what happens | " + " | ".join(COLUMNS.values()) + " | not done, or not proven |"
            yield "|---" * (len(COLUMNS) + 3) + "|"
        what, partly = rows.get(code, ("", "faults.md does not name this row"))
        cells = results.get(code, {})
        shown = [_cell(cells.get(venue)) for venue in COLUMNS] if cells else ["**not shown**", "", "", "", ""]
        yield f"| {code} | {what} | " + " | ".join(shown) + f" | {partly} |"


def _reds(results: Results) -> Iterator[str]:
    red = sorted({test for cells in results.values() for cell in cells.values() for test in cell["failed"]})
    if red:
        yield "\n## Red\n"
        yield from (f"- `{test}`" for test in red)


def _figures(figures: dict[str, Any]) -> Iterator[str]:
    if figures:
        yield "\n## Figures of the last runs"
    for name, run in sorted(figures.items()):
        heads = list(dict.fromkeys(head for row in run["rows"] for head in row))
        yield f"\n### {name}\n\n`{run['command']}`, {run['date']}\n"
        yield "| " + " | ".join(heads) + " |"
        yield "|---" * len(heads) + "|"
        for row in run["rows"]:
            yield "| " + " | ".join(_shown(row.get(head, "")) for head in heads) + " |"


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "/")


def _read(name: str) -> dict[str, Any]:
    path = DOCS / name
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def main() -> None:
    """The command."""
    faults = (DOCS / "explanation" / "faults.md").read_text("utf-8")
    text = page(_read("conformance.json"), faults, _read("figures.json"))
    (DOCS / "conformance.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
