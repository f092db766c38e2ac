"""The documents are run: every block of code, every command, every link, every page made from the code."""

import asyncio
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from msgspec import structs

import marketfeed as mf
from docs import generate
from marketfeed import (
    bans,
    catalogue,
    chain,
    chain_fees,
    cli,
    consumer,
    desk,
    fetches,
    listing,
    liveness,
    miner,
    number,
    pace,
    places,
    pulse,
    runner,
    session,
    settings,
    sync,
    transport,
    watch,
)
from marketfeed.feed import Feed
from marketfeed.lanes import book_lane, trades
from marketfeed.mining import networks
from marketfeed.sim import Simulator
from marketfeed.sim.plant import DIALECTS
from marketfeed.sim.sources import SOURCES as CHAIN
from marketfeed.venues._spec import Pace

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
SECONDS = 0.5
"""What runs for ever is stopped after so long, if it has printed something."""
PATIENCE_S = 10.0
"""On a busy machine; then it is stopped anyway."""
PORT = ":9001"
"""Where the documents let their readers start a simulator."""

FENCE = re.compile(
    r"(?:^<!-- (?P<word>runs|file): (?P<how>.+?) -->\n)?^```(?P<kind>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)

HARNESSES = {
    "in a feed": """
        async def main():
            async with mf.Feed() as feed:
                feed.subscribe("kraken:BTC-USD", trades=True, ticker=True, book=10)
                await feed.live(timeout=5)
        {code:8}

        mf.run(main())
        """,
    "in a loop": """
        async def main():
            async with mf.Feed() as feed:
                feed.subscribe("kraken:BTC-USD", trades=True, ticker=True, book=10)
                async for event in feed:
        {code:12}

        mf.run(main())
        """,
    "on a recording": """
        import asyncio
        import marketfeed as mf


        async def main():
            async with mf.Feed() as feed, mf.recording.Recorder(feed, "data", simulated=True):
                feed.subscribe("kraken:BTC-USD", trades=True, book=10)
                await feed.live(10)

        asyncio.run(main())  # to its end, however long a busy machine takes
        {code:0}
        """,
}
"""What completes a fragment, named in a comment above it: `<!-- runs: in a feed -->`. Two more are not texts:
`this page` runs all such blocks of a page in one namespace, `pytest` runs a block as a test file."""


class Block(NamedTuple):
    """A block of code in a page; `how` is what the comment above it says."""

    page: Path
    line: int
    kind: str
    word: str
    how: str
    code: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*kinds: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start("kind")) + 1
            if match["kind"] in kinds:
                found.append(Block(page, line, match["kind"], match["word"] or "", match["how"] or "", match["code"]))
    return found


def named(found: list[Block]) -> list[Any]:
    return [pytest.param(block, id=block.name) for block in found]


PYTHON = blocks("python")
SHELL = blocks("sh")


@pytest.fixture
def simulated() -> Iterator[dict[str, mf.VenueSettings]]:
    """Simulated venues and a chain in a thread: what runs a loop of its own can reach them.

    New for each test: venues limit an address, and one reader is not all readers.
    """
    ready, done = threading.Event(), threading.Event()
    found: dict[str, mf.VenueSettings] = {}

    async def serve() -> None:
        async with Simulator([*DIALECTS, *CHAIN], rate=40) as plant:
            found.update({name: mf.VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()})
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield found
    done.set()
    thread.join(10)


@pytest.fixture
def said() -> list[str]:
    """What a block has printed."""
    return []


@pytest.fixture
def offline(
    simulated: dict[str, mf.VenueSettings], said: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Feeds that would go to the real venues go to the simulated ones; `mf.run` stops after a while.

    Files are written to, and read from, a folder of the test.
    """
    made, run = Feed.__init__, mf.run
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)

    def to_simulator(self: Feed, venues: dict[str, mf.VenueSettings] | None = None, **rest: Any) -> None:
        given = dict(venues or {})
        for name, at in simulated.items():
            own = given.get(name, at)
            given[name] = own if own.ws and PORT not in own.ws else structs.replace(own, ws=at.ws, rest=at.rest)
        for name in catalogue.BUILT_IN.keys() - simulated.keys():
            given[name] = mf.VenueSettings(ws="ws://127.0.0.1:9", rest="http://127.0.0.1:9")  # nobody listens there
        made(self, given, **rest)

    def bounded(main: Awaitable[Any]) -> Any:
        async def within() -> Any:
            loop = asyncio.get_running_loop()
            task = asyncio.ensure_future(main)
            end = loop.time() + PATIENCE_S
            await asyncio.wait([task], timeout=SECONDS)
            while not task.done() and not said and loop.time() < end:
                await asyncio.wait([task], timeout=0.05)
            task.cancel()
            with suppress(asyncio.CancelledError):
                return await task
            return None

        return run(within())

    monkeypatch.setattr(Feed, "__init__", to_simulator)
    monkeypatch.setattr(mf, "run", bounded)


def whole(code: str, harness: str) -> str:
    """A fragment with what its harness puts around it."""

    def put(match: re.Match[str]) -> str:
        return textwrap.indent(code, " " * int(match[1]))

    return re.sub(r"^\{code:(\d+)\}", put, textwrap.dedent(HARNESSES[harness]), flags=re.MULTILINE)


def test_every_fragment_names_its_harness() -> None:
    known = {"", "this page", "pytest", *HARNESSES}
    assert [b.name for b in PYTHON if (b.word, b.how) != ("", "") and (b.word != "runs" or b.how not in known)] == []
    assert len(PYTHON) > 20


@pytest.mark.parametrize("block", named([b for b in PYTHON if b.how in {"", *HARNESSES}]))
@pytest.mark.usefixtures("offline")
def test_python_runs(block: Block, said: list[str]) -> None:
    code = whole(block.code, block.how) if block.how else block.code
    space = {"mf": mf, "asyncio": asyncio, "__name__": "__main__", "print": lambda *words: said.append(str(words))}
    if "print(" not in code:
        said.append("nothing to say")
    exec(compile("\n" * block.line + code, block.name, "exec"), space)
    assert said, "it printed nothing"


@pytest.mark.parametrize("page", sorted({b.page for b in PYTHON if b.how == "this page"}), ids=lambda p: p.stem)
@pytest.mark.usefixtures("offline")
def test_python_of_a_page_runs(page: Path, said: list[str]) -> None:
    space: dict[str, Any] = {"__name__": "a_page", "print": lambda *words: said.append(str(words))}
    for block in PYTHON:
        if block.page == page and block.how == "this page":
            said[:] = [] if "print(" in block.code else ["nothing to say"]
            exec(compile("\n" * block.line + block.code, block.name, "exec"), space)


@pytest.mark.parametrize("block", named([b for b in PYTHON if b.how == "pytest"]))
def test_python_is_a_test_that_passes(block: Block, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(block.code)
    done = subprocess.run(  # noqa: PLW1510 # judged below
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def write_files(folder: Path) -> None:
    """Blocks that a page tells its reader to save: `<!-- file: kraken.jsonl -->`."""
    for block in blocks("json", "jsonl", "toml", "python"):
        if block.word == "file":
            (folder / block.how).write_text(block.code)


def lines_of(block: Block) -> list[str]:
    code = block.code.replace("\\\n", " ")
    return [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def calls_in(line: str) -> list[list[str]]:
    """The `marketfeed` calls of a shell line: their arguments."""
    found = []
    for part in re.split(r"\s(?:\||&&|&)\s|\s&$", f"{line} "):
        words = shlex.split(part.split(" > ")[0], comments=True)
        if words and words[0].rpartition("/")[2] == "marketfeed":
            found.append(words[1:])
    return found


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """(command, its parameters); raises UsageError where it does not parse."""
    if words[0].startswith("-"):
        return words[0], {}
    # click keeps a command's help option: made here, it must be the one that `--help` shows
    context = click.Context(cli.cli, help_option_names=cli.cli.context_settings["help_option_names"])
    command = cli.cli.get_command(context, words[0])
    assert command is not None, f"no command {words[0]}"
    return words[0], command.make_context(words[0], list(words[1:]), parent=context).params


def is_offline(words: list[str]) -> bool:
    """Whether a call needs no network and ends by itself."""
    name, given = parsed(words)
    ends = given.get("count") or given.get("duration") or given.get("compare")
    if given.get("calc") or given.get("list_rigs") or given.get("income") == "-":
        return True
    return name in {"--version", "venues", "schema", "completion", "replay", "digest"} or bool(
        given.get("sim") and (ends or name == "symbols")
    )


@pytest.mark.parametrize("block", named(SHELL))
def test_shell_commands_are_ours(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in lines_of(block):
        for words in calls_in(line):
            parsed(words)
        if line.split()[0] == "make":
            assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        for script in re.findall(r"(?:examples|docs)/\w+\.py", line):
            assert (ROOT / script).exists(), line


OFFLINE = sorted(
    {line for b in SHELL for line in lines_of(b) if (calls := calls_in(line)) and all(map(is_offline, calls))}
    - {line for line in (ROOT / "README.md").read_text().splitlines() if "venv" in line}
)


@pytest.mark.parametrize("line", OFFLINE)
def test_offline_shell_commands_run(line: str, tmp_path: Path) -> None:
    write_files(tmp_path)
    line = re.sub(r"(^|\| )marketfeed ", rf"\1{shlex.quote(sys.executable)} -m marketfeed ", line)
    done = subprocess.run(  # noqa: PLW1510 # judged below
        ["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout or " > " in line


@pytest.mark.parametrize("name", sorted(generate.PAGES))
def test_made_pages_are_what_the_code_says(name: str) -> None:
    assert (generate.REFERENCE / name).read_text() == generate.PAGES[name](), "run: python -m docs.generate"


def test_every_command_has_a_row() -> None:
    page = (generate.REFERENCE / "commands.md").read_text()
    assert set(re.findall(r"^\| \[`marketfeed (\w+)`\]", page, re.MULTILINE)) == set(cli.COMMANDS)


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in {slug(h) for h in re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)}, target


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    reached = {(index.parent / t.partition("#")[0]).resolve() for t in re.findall(r"\]\(([^)]+)\)", index.read_text())}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - reached == {index}


def test_version_is_the_same_everywhere() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert newest[1] == mf.__version__ == project["version"]


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without backquotes."""
    text = (generate.REFERENCE / page).read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[c.strip().strip("`") for c in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return rows[2:]


def written(value: Any) -> str:
    """A knob's value as the page has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"{value[0]} in {value[1]:g} s"
    if value == float("inf"):
        return "never"
    return f"{value:g}" if value < 10**6 else f"{value >> 20} MiB"


def heading_of(page: str, heading: str) -> list[str]:
    """The heads of the columns of the first table below a heading, without backquotes."""
    text = (generate.REFERENCE / page).read_text().partition(f"## {heading}\n")[2]
    line = next(line for line in text.splitlines() if line.startswith("|"))
    return [cell.strip().strip("`") for cell in line.strip("|").split("|")]


SOURCES = [name for name in catalogue.BUILT_IN if catalogue.venue(name).coins]


def test_pace_of_every_market_is_written_down() -> None:
    names = heading_of("settings.md", "Pace of a venue")[1:-1]
    assert sorted(names) == sorted(catalogue.BUILT_IN.keys() - set(SOURCES))
    rows = {row[0]: row[1 : 1 + len(names)] for row in rows_of("settings.md", "Pace of a venue")}
    assert rows.keys() == set(Pace.__struct_fields__)
    for knob, cells in rows.items():
        real = [getattr(catalogue.venue(name).pace, knob) for name in names]
        wanted = [written(value) for value in real]
        assert cells == wanted, knob


def test_pace_of_every_chain_source_is_written_down() -> None:
    knobs = heading_of("settings.md", "Pace of a chain source")[1:]
    found = rows_of("settings.md", "Pace of a chain source")
    rows = {name.strip("`"): cells for names, *cells in found for name in names.split(", ")}
    assert sorted(rows) == sorted(SOURCES)
    defaults = {field.name: field.default for field in structs.fields(Pace)}
    for name, cells in rows.items():
        pace = catalogue.venue(name).pace
        assert cells == [written(getattr(pace, knob)) for knob in knobs], name
        rest = {knob: getattr(pace, knob) for knob in Pace.__struct_fields__ if knob not in knobs}
        assert rest == {knob: defaults[knob] for knob in rest}, f"{name}: not the defaults"


def test_what_mining_takes_is_written_down() -> None:
    assert [row[0] for row in rows_of("settings.md", "Mining")] == list(mf.mining.Mining.__struct_fields__)
    limits = mf.mining.Limits()
    told = {row[0]: row[1] for row in rows_of("settings.md", "Limits")}
    assert told == {
        name: f"{getattr(limits, name):g}" + " s" * name.endswith("_s") for name in mf.mining.Limits.__struct_fields__
    }


def test_sources_of_every_coin_are_written_down_in_their_order() -> None:
    text = (ROOT / "docs" / "how-to" / "mine.md").read_text()
    told = dict(re.findall(r"^\| (\w+) \| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE))
    assert told == {
        code: ", ".join(f"`{one.name}`" for one in catalogue.chain_sources(code)) for code in mf.mining.COINS
    }


def test_coins_are_written_down() -> None:
    text = (ROOT / "docs" / "explanation" / "mining.md").read_text()
    told = {}
    for names, *cells in re.findall(r"^\| ([A-Z, ]+) \| (\S+) \| ([^|]+) \| ([\d.]+) s \|", text, re.MULTILINE):
        told |= dict.fromkeys(names.split(", "), cells)
    for code, coin in mf.mining.COINS.items():
        algorithm, factor, seconds = told.pop(code)
        base, _, divisor = factor.partition(" / ")
        factor_is = float(eval(base.replace("^", "**"))) / (int(divisor, 16) if divisor else 1)
        assert (algorithm, factor_is, float(seconds)) == (coin.algorithm, coin.hashes_per_difficulty, coin.block_time_s)
    assert not told


CONSTANTS: dict[str, Callable[[], Any]] = {
    "MAX_EVENTS": lambda: f"{consumer.MAX_EVENTS:,} events",
    "MAX_LAG_NS": lambda: f"{consumer.MAX_LAG_NS / 1e9:g} s",
    "MAX_BYTES": lambda: f"{consumer.MAX_BYTES >> 20} MiB",
    "max_resyncs": lambda: str(settings.VenueSettings().max_resyncs),
    "FIRST_S": lambda: f"{pace.Backoff.FIRST_S:g} s",
    "CAP_S": lambda: f"{pace.Backoff.CAP_S:g} s",
    "RESET_S": lambda: f"{pace.Backoff.RESET_S:g} s",
    "MAX_BUFFERED": lambda: f"{sync.MAX_BUFFERED:,} deltas",
    "MAX_CROSSED_NS": lambda: f"{sync.MAX_CROSSED_NS / 1e9:g} s",
    "MAX_OLD": lambda: f"{sync.MAX_OLD} updates",
    "TRIES": lambda: str(desk.TRIES),
    "RETRY_S": lambda: f"{desk.RETRY_S:g} s",
    "MOST_QUIET": lambda: str(desk.MOST_QUIET),
    "MAX_DELAY_S": lambda: f"{fetches.MAX_DELAY_S:g} s",
    "LONG_NS": lambda: f"{session.LONG_NS / 1e9:g} s",
    "STEADY_NS": lambda: f"{session.STEADY_NS / 1e9:g} s",
    "ROTATE_AT": lambda: f"{places.ROTATE_AT:g}",
    "SETTLE_S": lambda: f"{places.SETTLE_S:g} s",
    "HAND_OVER_S": lambda: f"{places.HAND_OVER_S:g} s",
    "MAX_WAITING": lambda: f"{trades.MAX_WAITING:,} trades",
    "AHEAD": lambda: f"{book_lane.AHEAD:,} changes",
    "LIVELY": lambda: str(pulse.LIVELY),
    "MIN_SILENCE_S": lambda: f"{pulse.MIN_SILENCE_S:g} s",
    "LIVELY_PING_S": lambda: f"{pulse.LIVELY_PING_S:g} s",
    "MAX_SILENCE_S": lambda: f"{pulse.MAX_SILENCE_S:g} s",
    "FRESH_NS": lambda: f"{listing.FRESH_NS / 1e9:g} s",
    "AGAIN_S": lambda: f"{listing.AGAIN_S:,.0f} s",
    "ASK_NS": lambda: f"{liveness.ASK_NS / 1e9:g} s",
    "AT_MOST_S": lambda: f"{listing.AT_MOST_S:g} s",
    "SAMPLE_NS": lambda: f"{watch.SAMPLE_NS / 1e6:g} ms",
    "LAG_NS": lambda: f"{watch.LAG_NS / 1e6:g} ms",
    "SLEPT_NS": lambda: f"{watch.SLEPT_NS / 1e9:g} s",
    "STEP_NS": lambda: f"{watch.STEP_NS / 1e6:g} ms",
    "LATE_NS": lambda: f"{pace.LATE_NS / 1e6:g} ms",
    "SHORTEST_S": lambda: f"{bans.SHORTEST_S:g} s",
    "PATIENCE_S": lambda: f"{runner.PATIENCE_S:g} s",
    "SLICE": lambda: f"{transport.SLICE} frames",
    "MAX_CHARS": lambda: f"{number.MAX_CHARS} characters",
    "MAX_EXPONENT": lambda: str(number.MAX_EXPONENT),
    "KEPT": lambda: f"{chain.KEPT} blocks",
    "FEE_BLOCKS": lambda: f"{chain_fees.FEE_BLOCKS} blocks",
    "FEES_LEAST": lambda: f"{chain_fees.FEES_LEAST} blocks",
    "BELIEVED_NS": lambda: f"{chain_fees.BELIEVED_NS / 3.6e12:g} h",
    "EARLY": lambda: f"{chain.EARLY} blocks",
    "BLOCKS_SILENT": lambda: f"{networks.BLOCKS_SILENT} block times",
    "LAG_BLOCKS": lambda: f"{networks.LAG_BLOCKS} blocks",
    "ASK_S": lambda: f"{miner.ASK_S:g} s",
}


def test_fixed_bounds_are_written_down() -> None:
    rows = {row[0]: row[1] for row in rows_of("settings.md", "Fixed bounds")}
    assert rows == {name: value() for name, value in CONSTANTS.items()}


def test_picture_is_small_and_marked() -> None:
    picture = (ROOT / "docs" / "images" / "terminal.svg").read_text()
    assert len(picture) < 60_000
    assert "SIM" in picture
    assert "images/terminal.svg" in (ROOT / "README.md").read_text()


ROW = re.compile(r"(?<![A-Za-z0-9])([CDGIPRT])(0?[1-9]|[1-9]\d)(?:-\1(\d{1,2}))?(?![A-Za-z0-9])")
FAULTS = ROOT / "docs" / "explanation" / "faults.md"


def rows_named() -> dict[str, set[str]]:
    """Rows that the code and the tests name, in words or in a test's name, and where; `P12-P14` are three."""
    found: dict[str, set[str]] = {}
    for folder in ("marketfeed", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path == Path(__file__):
                continue
            for kind, first, last in ROW.findall(path.read_text()):
                for row in range(int(first), int(last or first) + 1):
                    name = f"{kind}{row:0{len(first)}}"
                    found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def test_every_row_that_is_named_has_its_line_and_its_tests() -> None:
    told: dict[str, set[str]] = {}
    for name, line in re.findall(r"^\| ([A-Z]\d+) \|(.*)$", FAULTS.read_text(), re.MULTILINE):
        assert name not in told, f"{name} has two lines"
        told[name] = {
            f"tests/{file}" for file in re.findall(r"`((?:\w+/)?(?:\w+\.py)?)`", line.rpartition("| ")[2]) if file
        }
    named = rows_named()
    assert named.keys() == told.keys(), named.keys() ^ told.keys()
    for name, files in told.items():
        assert files, f"{name} names no test"
        for file in files:
            assert any(where.startswith(file) for where in named[name]), f"{name} is not named in {file}"
