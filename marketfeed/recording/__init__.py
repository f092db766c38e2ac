"""Recordings: datasets in Parquet, raw ones replayed through the real sessions, events as JSON lines read back.

What needs pyarrow (`Recorder`, `open`, `verify`) is loaded when first used, from the extra `[parquet]`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtra
from .digest import Digest
from .lines import read_events
from .raw import Line, read_lines
from .replay import Replay

if TYPE_CHECKING:
    from .dataset import Dataset
    from .dataset import open_dataset as open  # `mf.recording.open` is what people write
    from .playback import Playback
    from .raw_recorder import RawRecorder
    from .recorder import Recorder
    from .rerun import Rerun
    from .verification import verify

__all__ = [
    "Dataset",
    "Digest",
    "Line",
    "Playback",
    "RawRecorder",
    "Recorder",
    "Replay",
    "Rerun",
    "open",
    "read_events",
    "read_lines",
    "verify",
]
_ROOMS = {
    "Dataset": ("dataset", "Dataset"),
    "Playback": ("playback", "Playback"),
    "open": ("dataset", "open_dataset"),
    "RawRecorder": ("raw_recorder", "RawRecorder"),
    "Rerun": ("rerun", "Rerun"),
    "Recorder": ("recorder", "Recorder"),
    "verify": ("verification", "verify"),
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room, known = _ROOMS[name]
    try:
        return getattr(import_module(f"{__name__}.{room}"), known)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] == "pyarrow":
            raise MissingExtra(f"marketfeed.recording.{name}", "parquet") from None
        raise
