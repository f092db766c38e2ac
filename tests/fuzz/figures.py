"""What runners found out, printed, and kept in a file for the scoreboard where one is named."""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def argument(parser: argparse.ArgumentParser) -> None:
    """The option that names the file."""
    parser.add_argument("--figures", type=writable, metavar="FILE", help="keep the figures there (docs/figures.json)")


def writable(name: str) -> Path:
    """A file that figures can be added to: looked at before the run, which may take hours."""
    path = Path(name)
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.R_OK | os.W_OK)):
        raise argparse.ArgumentTypeError(f"no figures can be written there: {name}")
    try:
        kept(path)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{name} holds no figures: {exc}") from exc
    return path


def kept(path: Path) -> dict[str, Any]:
    """What the file holds, by runner; nothing where there is none. Raises ValueError for what is no JSON object."""
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def text(found: dict[str, Any]) -> str:
    """`name value, name value`."""
    return ", ".join(f"{name} {value}" for name, value in found.items())


def tell(name: str, file: Path | None, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print each row as it comes, put all into the file under `name` with the command and the day, and return them."""
    told = []
    for row in rows:
        print(text(row), flush=True)
        told.append(row)
    if file is None:
        return told
    known = kept(file)
    known[name] = {"command": command(), "date": datetime.now(UTC).date().isoformat(), "rows": told}
    file.write_text(json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=True) + "\n", "utf-8")
    return told


def command() -> str:
    """The command that repeats this run."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    arguments = [a for n, a in enumerate(sys.argv[1:]) if a != "--figures" and sys.argv[n] != "--figures"]
    return " ".join(["python -m", spec.name if spec else sys.argv[0], *arguments])
