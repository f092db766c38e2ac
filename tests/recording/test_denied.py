"""A recording, or a part of it, that may not be read is told so, and as nothing else."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marketfeed.cli import _exit
from marketfeed.errors import RecordingError

from ..cli.helpers import call

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from marketfeed.recording.dataset import open_dataset
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.manifest import MANIFESTS
from marketfeed.recording.overview import overview
from marketfeed.recording.seal import JOURNAL
from marketfeed.recording.verification import verify

from .recorded import script, seal


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return seal(tmp_path / "data", script().events)


def a_manifest(data: Path) -> Path:
    return next((data / MANIFESTS).glob("*.json"))


def parquet(data: Path) -> Path:
    return next(data.glob("venue=kraken/channel=trades/*/*.parquet"))


CLOSED: dict[str, Callable[[Path], Path]] = {
    "the folder": lambda data: data,
    "the manifests": lambda data: data / MANIFESTS,
    "one manifest": a_manifest,
    "a file": parquet,
}
READERS: dict[str, Callable[[Path], Any]] = {
    "verify": verify,
    "quick": lambda data: verify(data, quick=True),
    "info": overview,
    "open": lambda data: list(open_dataset(data).events()),
    "table": lambda data: open_dataset(data).table("trades"),
    "symbols": lambda data: open_dataset(data).symbols,
}


def close(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody read what is there, as the operating system does for those who are not root."""

    def guarded(call: Any, *, told: bool = True) -> Any:
        def guard(*args: Any, **options: Any) -> Any:
            asked = next(Path(one) for one in args if isinstance(one, str | Path))
            if asked == path or path in asked.parents:
                name = [str(asked)] if told else []  # pyarrow has it in its text alone
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES) if told else "Failed to open", *name)
            return call(*args, **options)

        return guard

    for name in ("listing", "read"):
        monkeypatch.setattr(RealDisk, name, guarded(getattr(RealDisk, name)))
    monkeypatch.setattr(Path, "open", guarded(Path.open))
    for name in ("ParquetFile", "read_metadata"):
        monkeypatch.setattr(pq, name, guarded(getattr(pq, name), told=False))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("closed", CLOSED)
def test_what_may_not_be_read_is_named_and_nothing_else_is_guessed(
    closed: str, reader: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = CLOSED[closed](data)
    close(path, monkeypatch)
    with pytest.raises(RecordingError) as told:
        READERS[reader](data)
    name, _, detail = str(told.value).rpartition(": cannot be read: ")
    assert detail == "Permission denied"
    assert name.startswith(str(path))


@pytest.mark.parametrize("reader", ["verify", "info"])
def test_a_journal_that_may_not_be_read_is_not_taken_for_none(
    reader: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(data / JOURNAL, monkeypatch)
    with pytest.raises(RecordingError, match="_journal: cannot be read: Permission denied"):
        READERS[reader](data)


@pytest.mark.parametrize("command", ["verify", "info"])
def test_a_command_ends_with_6_and_prints_nothing_but_that(
    command: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(data / MANIFESTS, monkeypatch)
    result = call(command, str(data))
    assert (result.exit_code, result.stdout) == (_exit.RECORDING, "")
    assert result.stderr == f"marketfeed: {data / MANIFESTS}: cannot be read: Permission denied\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("closed", [*CLOSED, "a venue"])
def test_the_operating_system_refuses_it_in_the_same_way(closed: str, reader: str, data: Path) -> None:
    path = data / "venue=kraken" if closed == "a venue" else CLOSED[closed](data)
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        with pytest.raises(RecordingError, match="cannot be read: Permission denied"):
            READERS[reader](data)
    finally:
        path.chmod(mode)
