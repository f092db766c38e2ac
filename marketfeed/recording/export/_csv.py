"""A CSV file in gzip, the same for the same rows."""

import csv
import gzip
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

LEVEL = 6
"""Of compression: gzip's own default."""


class CsvFile:
    """Written into `part`; `rows` counts them, without the line of names."""

    def __init__(self, part: Path, columns: Sequence[str]) -> None:
        self.part = part
        self.rows = 0
        self._file = part.open("wb")
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=self._file, mtime=0)
        self._text = TextIOWrapper(packed, encoding="utf-8", newline="")
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(columns)

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows."""
        for row in rows:
            self._csv.writerow(row)
            self.rows += 1

    def close(self) -> None:
        """End the file."""
        self._text.close()
        self._file.close()
