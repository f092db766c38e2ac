"""What runners found out, printed, and kept in a file for the scoreboard where one is named."""

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def argument(parser: argparse.ArgumentParser) -> None:
    """The option that names the file."""
    parser.add_argument("--figures", type=Path, metavar="FILE", help="keep the figures there (docs/figures.json)")


def text(found: dict[str, Any]) -> str:
    """`name value, name value`."""
    return ", ".join(f"{name} {value}" for name, value in found.items())


def tell(name: str, kept: Path | None, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print each row as it comes, put all into the file under `name` with the command and the day, and return them."""
    told = []
    for row in rows:
        print(text(row), flush=True)
        told.append(row)
    if kept is None:
        return told
    known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    known[name] = {"command": command(), "date": datetime.now(UTC).date().isoformat(), "rows": told}
    kept.write_text(json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=True) + "\n", "utf-8")
    return told


def command() -> str:
    """The command that repeats this run."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    arguments = [a for n, a in enumerate(sys.argv[1:]) if a != "--figures" and sys.argv[n] != "--figures"]
    return " ".join(["python -m", spec.name if spec else sys.argv[0], *arguments])
