"""Lanes: several connections for one stream, so that the fault or the end of one is no loss of the stream.

    session ─▶ lane ─┐
                     ├▶ merge ─▶ the stream, as everybody sees it
    session ─▶ lane ─┘

Of two connections neither is believed more than the other. Trades are merged by id and numbered books by number, the
first that comes is told; of what has no number one lane is told, and the others stand by, proven. A stream that one
connection feeds has no lane: nothing stands in its way.
"""

from .streams import LanedStreams

__all__ = ["LanedStreams"]
