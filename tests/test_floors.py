"""Who may import whom: only downwards, and the lower floors cannot wait, look at a clock, roll dice or write.

The contract in pyproject.toml says the same to import-linter; here are the reasons, one test each.
"""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .conftest import ROOT

PACKAGE = ROOT / "marketfeed"
FLOORS: list[set[str]] = [
    {"errors", "number", "symbols", "subscriptions", "events", "text", "counts"},
    {"venues"},
    {
        *("book", "trusted_book", "sync", "outlet", "streams", "chain", "chain_check", "chain_fees", "mining"),
        *("pace", "histogram", "tally", "commands", "desk", "fetches", "pulse", "liveness", "memory", "audit"),
        *("backfill", "hole", "probe", "polling", "care", "session", "taped", "lanes", "cold_start"),
    },
    {
        "clock",
        "transport",
        "transports",
        "rest",
        "hashblocks",
        "watch",
        "log_limit",
        "forked",
        "meter",
        "edge",
        "driver",
    },
    {
        "catalogue",
        "settings",
        "bans",
        "budgets",
        "consumer",
        "hub",
        "listing",
        "places",
        "runner",
        "mining_plan",
        "miner",
        "loop_watch",
        "feed",
        "stats",
        "loop",
    },
    {"recording", "sim", "testing", "schema", "metrics", "cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FACE = {"__init__", "__main__"}
"""What stands outside the house: it shows floor 4, and starts the command."""
NO_IO = {"asyncio", "socket", "ssl", "time", "random", "logging", "os", "aiohttp", "websockets"}
LAZY = {"recording", "sim", "testing", "schema", "metrics", "cli"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """`venues.kraken` of its file."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(module: str) -> str:
    return module.partition(".")[0]


@cache
def imports(path: Path, *, top_only: bool = False) -> tuple[str, ...]:
    """Absolute names of what a file imports, anywhere in it (`from . import x` gives `marketfeed.x`)."""
    return tuple(_imports(path, top_only=top_only))


def _imports(path: Path, *, top_only: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text("utf-8"))
    package = ("marketfeed", *path.relative_to(PACKAGE).parts[:-1])
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            whole = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{whole}.{alias.name}" for alias in node.names)


def inside(name: str) -> str | None:
    """The room of ours that an imported name lies in; None where it is somebody else's."""
    parts = name.split(".")
    return parts[1] if parts[0] == "marketfeed" and len(parts) > 1 else None


@pytest.fixture(params=MODULES, ids=name_of)
def module(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_module_has_its_room() -> None:
    assert {room_of(name_of(path)) for path in MODULES} - FACE == set(FLOOR)


def test_imports_go_downwards(module: Path) -> None:
    room = room_of(name_of(module))
    if room in FACE:
        return
    upwards = sorted({n for n in imports(module) if FLOOR.get(inside(n) or "", 0) > FLOOR[room]})
    assert not upwards, f"{name_of(module)} imports upwards: {upwards}"


def test_the_lower_floors_do_no_io(module: Path) -> None:
    if FLOOR.get(room_of(name_of(module)), 9) <= 2:
        assert not {n.partition(".")[0] for n in imports(module)} & NO_IO


def test_only_transports_know_websockets_and_only_rest_and_the_simulator_http(module: Path) -> None:
    used = {n.partition(".")[0] for n in imports(module)}
    room = room_of(name_of(module))
    if room != "transports" and room != "sim":
        assert not used & {"websockets", "picows"}
    if room not in {"rest", "sim", "testing"}:  # the last one winds its clock
        assert "aiohttp" not in used


def test_a_venue_knows_no_other_venue(module: Path) -> None:
    name = name_of(module)
    if room_of(name) != "venues" or name.rpartition(".")[2].startswith("_"):
        return
    others = {n.split(".")[2] for n in imports(module) if n.startswith("marketfeed.venues.")}
    assert all(other.startswith("_") for other in others), others


def test_floors_2_to_4_name_no_venue(module: Path) -> None:
    """Only the catalogue's table does."""
    room = room_of(name_of(module))
    if FLOOR.get(room) not in {2, 3, 4}:
        return
    venues = {n.split(".")[2] for n in imports(module) if n.startswith("marketfeed.venues.")}
    assert all(venue.startswith("_") for venue in venues), venues


def test_no_cycles() -> None:
    """Same floor is allowed, circles are not."""
    known = {name_of(path): path for path in MODULES if name_of(path) not in FACE}
    edges: dict[str, set[str]] = {}
    for name, path in known.items():
        found = set()
        for imported in imports(path, top_only=True):
            parts = imported.split(".")[1:]
            # `from .streams import Outlet` names the module and what is in it; the longest that is a module counts
            while parts and ".".join(parts) not in known:
                parts.pop()
            if imported.startswith("marketfeed.") and parts:
                found.add(".".join(parts))
        edges[name] = found - {name}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' > '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for imported in sorted(edges[name]):
                visit(imported, (*path, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())


def test_a_module_over_300_lines_says_its_reason(module: Path) -> None:
    text = module.read_text("utf-8")
    if len(text.splitlines()) > 300:
        docstring = ast.get_docstring(ast.parse(text)) or ""
        assert "reason" in docstring, f"{name_of(module)} has {len(text.splitlines())} lines and no reason for them"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import marketfeed", {"aiohttp", "picows", "pyarrow", "marketfeed.sim", "marketfeed.recording"}),
        ("import marketfeed.session", {"aiohttp", "websockets", "picows", "pyarrow"}),
    ],
)
def test_C16_importing_costs_no_extra(statement: str, absent: set[str]) -> None:
    code = f"{statement}; import sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not set(run.stdout.split()) & absent


def test_each_extra_brings_what_the_package_imports() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    features = {name: needs for name, needs in extras.items() if name not in {"all", "dev", "exportcheck"}}
    imported = {name.partition(".")[0] for path in MODULES for name in imports(path)}
    modules = {"prometheus-client": "prometheus_client", "pyzmq": "zmq", "resvg-py": "resvg_py"}
    for name, needs in features.items():
        packages = [need.partition(">")[0] for need in needs]
        assert {modules.get(package, package) for package in packages} <= imported, f"nothing uses [{name}]"
    (everything,) = extras["all"]
    assert everything == f"marketfeed[{','.join(features)}]"


def test_import_linter_holds_the_same_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [c for c in contracts if c["type"] == "layers"]
    told = [{room.strip() for room in layer.replace("|", ":").split(":")} for layer in layers["layers"]]
    assert told[::-1] == [{f"marketfeed.{room}" for room in rooms} for rooms in FLOORS]


def test_import_linter_is_content() -> None:
    lint = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr
