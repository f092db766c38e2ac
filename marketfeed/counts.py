"""What has been counted: plain integers, one record a session, added up for a venue or a replay."""

from msgspec import Struct, structs


class Counts(Struct):
    """Counters of one or more sessions. `frames` = `decoded` + `control` + `ignored` + `malformed`.

    `links_ok` and `links_broken` are sequence tests: one for each book message that has a predecessor on its book
    (on its link, where the venue numbers those), applied or not. `joins` are REST snapshots joined to their deltas.
    """

    frames: int = 0
    control: int = 0
    ignored: int = 0
    malformed: int = 0
    links_ok: int = 0
    links_broken: int = 0
    joins: int = 0
    checksums_ok: int = 0
    checksums_bad: int = 0
    stale: int = 0
    """Duplicate or old frames, without effect."""
    unproven: int = 0
    """Book updates left out because their book was not live."""
    unknown_symbols: int = 0
    resyncs: int = 0

    @property
    def decoded(self) -> int:
        """Frames that were data asked for."""
        return self.frames - self.control - self.ignored - self.malformed

    def add(self, other: "Counts") -> None:
        """Add another record to this one."""
        for name in structs.asdict(other):
            setattr(self, name, getattr(self, name) + getattr(other, name))
