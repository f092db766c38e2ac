"""Raw recordings: reading, replaying through the real sessions, digests."""

from .digest import Digest
from .raw import Line, read_lines
from .replay import Replay

__all__ = ["Digest", "Line", "Replay", "read_lines"]
