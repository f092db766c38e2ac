"""The table, the machine it was measured on, and the bars of the project's speed budget."""

import os
import platform
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from .measure import Row

LIBRARIES = ("picows", "websockets", "msgspec", "orjson", "aiohttp", "uvloop")


class Bar(Struct, frozen=True):
    """The most that a row may be: a multiple of its floor, or a plain figure in the row's unit."""

    what: str
    row: str
    ratio: float = 0.0
    value: float = 0.0


BARS = (
    Bar("trades, socket to callback, picows, to the floor by hand", "trades, picows: Feed.on", ratio=1.5),
    Bar("trades, socket to callback, websockets, to bare receive", "trades, websockets: Feed.on, to bare", ratio=1.3),
    Bar("depth of 28 levels with its book, to receive and decode", "depth, picows: Feed with its book", ratio=3.0),
    Bar("idle book of 1,000 levels a side", "idle book: float", value=300.0),
)


class Verdict(Struct):
    """A bar, and what was measured; `met` is None where it was not."""

    what: str
    limit: str
    measured: str
    met: bool | None


def verdicts(found: list[Row]) -> list[Verdict]:
    """Each bar beside its row."""
    by_name = {row.name: row for row in found}
    judged = []
    for bar in BARS:
        row = by_name.get(bar.row)
        limit = f"{bar.ratio:.1f}x" if bar.ratio else f"{bar.value:.0f} kB"
        if row is None:
            judged.append(Verdict(bar.what, limit, "not run", None))
        elif bar.ratio:
            assert row.ratio is not None
            judged.append(Verdict(bar.what, limit, f"{row.ratio:.2f}x", row.ratio <= bar.ratio))
        else:
            judged.append(Verdict(bar.what, limit, f"{row.value:.0f} {row.unit}", row.value <= bar.value))
    return judged


def machine(loop: str) -> dict[str, str]:
    """What it was measured on."""
    versions = " ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES if _installed(name))
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cpu": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "loop": loop,
        "libraries": versions,
    }


def heading(facts: dict[str, str]) -> str:
    """The machine, in three lines."""
    return (
        f"{facts['python']} on {facts['cpu']}, {facts['system']}\n"
        f"event loop {facts['loop']}, as marketfeed.run chooses; {facts['libraries']}\n"
        "CPU time of the client's process, the best of the rounds; x is the ratio to the row named after it"
    )


def table(title: str, found: list[Row]) -> str:
    """One group of rows, aligned."""
    lines = [f"\n{title}"]
    for row in found:
        line = f"  {row.name:<44}{row.value:>9.2f} {row.unit:<9}"
        if row.ratio is not None:
            line += f"{row.ratio:>6.2f}x  {row.floor}"
        lines.append(line.rstrip())
        if row.detail:
            lines.append(f"  {'':<44}{row.detail}")
    return "\n".join(lines)


def judgement(judged: list[Verdict]) -> str:
    """The bars, met or not."""
    words = {True: "met", False: "NOT MET", None: ""}
    lines = [f"  {v.what:<58}{v.limit:>7}{v.measured:>10}  {words[v.met]}".rstrip() for v in judged]
    return "\n".join(["\nbars", *lines])


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _cpu() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
