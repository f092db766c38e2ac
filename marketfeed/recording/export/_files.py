"""Files of an export: written under names that nobody looks for, given their own all at the end, or none."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from ...errors import ConfigError, RecordingError


class Written(Struct, frozen=True):
    """A file: its path within the folder, rows and bytes."""

    name: str
    rows: int
    bytes: int


class Outputs:
    """The files of one export in one folder; `with` removes what was not committed.

    Raises ConfigError for a name that is taken, unless `force`, and RecordingError where the folder takes no files.
    """

    def __init__(self, folder: Path, *, force: bool) -> None:
        self.folder = folder
        self.force = force
        self._parts: list[Path] = []
        self._named: list[tuple[Path, str, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._parts:
            part.unlink(missing_ok=True)
        if isinstance(exc, OSError):
            raise RecordingError(f"{self.folder}: cannot export there: {exc.strerror or exc}") from exc

    def part(self) -> Path:
        """A new empty file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=".export-", suffix=".part", dir=self.folder)
        os.close(number)
        self._parts.append(Path(name))
        return Path(name)

    def check(self, *names: str) -> None:
        """Raise where one of these would take the place of another file."""
        for name in names:
            if not self.force and os.path.lexists(self.folder / name):
                raise ConfigError(f"{self.folder / name} is there already; --force replaces it")

    def add(self, part: Path, name: str, rows: int) -> None:
        """Give a part this name when all is committed."""
        self.check(name)
        self._named.append((part, name, rows))

    def commit(self, first: Sequence[str] = ()) -> list[Written]:
        """Give all their names, those of `first` before others: what tells of loss is there before what it is about."""
        for part, _, _ in self._named:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        done = []
        for part, name, rows in sorted(self._named, key=lambda named: named[1] not in first):
            whole = self.folder / name
            whole.parent.mkdir(parents=True, exist_ok=True)
            done.append(Written(name, rows, part.stat().st_size))
            part.replace(whole)
        return done
