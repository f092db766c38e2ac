"""What `doctor` finds on this machine, and how it shows a finding; `_doctor_venue` asks the venues."""

import importlib.metadata
import os
import platform
import re
import ssl
import sys
import textwrap
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from ..errors import ConfigError
from ..text import escaped
from ..transport import is_proxy, pick_transport, user_agent
from ._colour import paint

Status = Literal["ok", "note", "warn", "fail"]
COLOURS = {"ok": "green", "note": "dim", "warn": "yellow", "fail": "red"}
MACHINE = "machine"
LEAST_FILES = 1024
NARROW = 60
"""Columns below which the words have lines of their own."""
FOR_PEOPLE = frozenset({"dev", "exportcheck", "all"})
"""Extras that are no feature."""
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
UNSYNCHRONISED = 5
"""What Linux' adjtimex says where nobody sets the clock."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `about` is a venue, or `machine`; `advice` says what to do; `ms` what it took."""

    about: str
    check: str
    status: Status
    text: str
    advice: str = ""
    ms: float | None = None


def shown(finding: Finding, *, width: int, colour: bool) -> list[str]:
    """Its lines: at most so wide, what is beyond goes into the next."""
    head = 22 if width >= NARROW else 8
    room = max(width - 1 - head, 20)
    took = f", {finding.ms:.0f} ms" if finding.ms is not None else ""
    lines = textwrap.wrap(escaped(finding.text, 600) + took, room) or [""]
    if finding.advice:
        lines += textwrap.wrap("-> " + escaped(finding.advice, 600), room, subsequent_indent="   ")
    word = paint(f"{finding.status:<5}", COLOURS[finding.status] if colour else "")
    first = f"  {word} {finding.check:<13} " + (lines.pop(0) if width >= NARROW else "")
    return [first.rstrip(), *(" " * head + line for line in lines)]


def machine() -> Iterator[Finding]:
    """What needs no network."""
    yield _python()
    yield _loop()
    yield _transport()
    yield from _extras()
    yield from _files()
    yield from _proxies()
    yield from _ntp()


def _python() -> Finding:
    words = f"{platform.python_implementation()} {platform.python_version()}, {ssl.OPENSSL_VERSION}, {sys.platform}"
    debug = sys.flags.dev_mode or os.environ.get("PYTHONASYNCIODEBUG")
    return Finding(
        about=MACHINE,
        check="python",
        status="warn" if debug else "ok",
        text=f"{words}, marketfeed {user_agent().partition('/')[2]}" + (", debug mode" if debug else ""),
        advice="the debug mode of asyncio makes every message cost several times as much: unset PYTHONASYNCIODEBUG "
        "and PYTHONDEVMODE, leave out -X dev",
    )


def _loop() -> Finding:
    found = _version("uvloop")
    if found or sys.platform == "win32":
        return Finding(about=MACHINE, check="loop", status="ok", text=f"uvloop {found}" if found else "asyncio's")
    text = "asyncio's own: uvloop is not installed"
    return Finding(about=MACHINE, check="loop", status="warn", text=text, advice="pip install uvloop")


def _transport() -> Finding:
    try:
        name = pick_transport().name
    except ConfigError as exc:
        return Finding(about=MACHINE, check="transport", status="fail", text=str(exc))
    fast = name == "picows"
    return Finding(
        about=MACHINE,
        check="transport",
        status="ok" if fast else "note",
        text=f"{name} {_version(name)}",
        advice="picows takes less of the CPU: pip install 'marketfeed[fast]'",
    )


def _extras() -> Iterator[Finding]:
    """Which features of the package are installed, as its own list of them says."""
    missing: list[str] = []
    there: list[str] = []
    for text in _requires():
        found = re.fullmatch(r"([\w.-]+)[^;]*; extra == ['\"](\w+)['\"]", text)
        if found and found[2] not in FOR_PEOPLE and found[1] != "marketfeed":
            version = _version(found[1])
            (there if version else missing).append(f"{found[2]} ({found[1]} {version})" if version else found[2])
    if there:
        yield Finding(about=MACHINE, check="extras", status="ok", text=", ".join(there))
    if missing:
        yield Finding(
            about=MACHINE,
            check="extras",
            status="note",
            text=f"not installed: {', '.join(missing)}",
            advice=f"only where you want what they bring: pip install 'marketfeed[{','.join(missing)}]'",
        )


def _files() -> Iterator[Finding]:
    try:
        import resource  # noqa: PLC0415 # not on Windows
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft >= LEAST_FILES or soft == resource.RLIM_INFINITY
    most = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    yield Finding(
        about=MACHINE,
        check="open files",
        status="ok" if enough else "warn",
        text="no limit" if soft == resource.RLIM_INFINITY else f"at most {soft:,}",
        advice=f"connections and recordings need them: ulimit -n {LEAST_FILES} (here at most {most})",
    )


def _proxies() -> Iterator[Finding]:
    """Which proxies the environment names: hosts alone, since such a URL may hold a password."""
    for name in PROXIES:
        value = os.environ.get(name) or os.environ.get(name.lower())
        if value and name == "NO_PROXY":
            yield Finding(about=MACHINE, check="proxy", status="note", text=f"{name} is {value}")
        elif value:
            status: Status = "note" if is_proxy(value) else "fail"
            text = f"{name} is {_host(value)}"
            advice = "" if status == "note" else f"{name} is to be the URL of a proxy: http://HOST:PORT"
            yield Finding(about=MACHINE, check="proxy", status=status, text=text, advice=advice)


def _host(url: str) -> str:
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        return "no URL"


def _ntp() -> Iterator[Finding]:
    """Whether somebody sets the clock, where the kernel knows."""
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 # only here

    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # modes 0: it only reads
    except (OSError, AttributeError):
        return
    kept = state != UNSYNCHRONISED
    yield Finding(
        about=MACHINE,
        check="clock set by",
        status="ok" if kept else "note",
        text="NTP or the like" if kept else "nobody that the kernel knows of",
        advice="turn on systemd-timesyncd or chrony, unless the host of this container sets its clock",
    )


def _requires() -> list[str]:
    try:
        return importlib.metadata.requires("marketfeed") or []
    except importlib.metadata.PackageNotFoundError:
        return []  # it runs from a folder


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
