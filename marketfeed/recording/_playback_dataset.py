"""The names of what a dataset holds, without its data."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ..errors import MissingExtra, RecordingError
from ..events import Subscribed
from ..subscriptions import CHANNELS
from .layout import present, reading

try:
    import pyarrow as pa
    import pyarrow.dataset as ds
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

if TYPE_CHECKING:
    from .dataset import Dataset


def streams(data: Dataset) -> set[tuple[str, str, str]]:
    """(venue, symbol, channel) of all that was recorded or acknowledged; of the data it reads one column."""
    paths: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file in data.files:
        if file.channel in CHANNELS:
            paths[file.venue, file.channel].append(str(present(file.path)))
    found = {(e.venue, e.symbol, e.channel) for e in data.events("life") if isinstance(e, Subscribed)}
    for (venue, channel), files in paths.items():
        try:
            with reading(data.root):
                column = ds.dataset(files, format="parquet").to_table(columns=["symbol"])["symbol"]
        except (pa.ArrowException, OSError) as exc:
            raise RecordingError(f"{data.root}, venue {venue}, channel {channel}: {exc}") from exc
        found.update((venue, symbol, channel) for symbol in column.unique().to_pylist())
    return found
