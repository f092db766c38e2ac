"""A raw recording of a world, written where the loop stands and not in a thread, so that one seed stays one run."""

import shutil
import tempfile
from pathlib import Path

import marketfeed as mf
from marketfeed.clock import Clock
from marketfeed.recording import RawRecorder
from marketfeed.recording.rerun import Rerun


class RawTape:
    """Keeps all that a feed's connections heard; lived through again it must give the same events (I16)."""

    def __init__(self, feed: mf.Feed, clock: Clock) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="simulation-"))
        self._recorder = RawRecorder(feed, self._folder / "raw", clock=clock, simulated=True)
        self._recorder._writer.open()
        feed.tape(self._recorder._tape)

    def step(self) -> None:
        """Write what has come."""
        self._recorder._writer.step(self._recorder._tape.take)

    def lived_again(self) -> int:
        """The events of the rerun, once the feed is closed. AssertionError where they are not those of the run."""
        self._recorder._writer.end(self._recorder._tape.take)
        rerun = Rerun(self._recorder.path)
        events = sum(1 for _ in rerun)
        shutil.rmtree(self._folder)
        assert not rerun.unlike, f"I16: other events in {rerun.unlike}"
        assert not rerun.torn, f"I16: no end of {rerun.torn}"
        return events
