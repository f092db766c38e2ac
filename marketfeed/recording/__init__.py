"""Recordings: raw ones replayed through the real sessions, digests, and events as JSON lines read back."""

from .digest import Digest
from .lines import read_events
from .raw import Line, read_lines
from .replay import Replay

__all__ = ["Digest", "Line", "Replay", "read_events", "read_lines"]
