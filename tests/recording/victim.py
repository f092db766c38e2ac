"""A process that records a load until it is killed: `python -m tests.recording.victim FOLDER RATE`.

It tells RATE events a second of running numbers, and after each turn of its loop it notes in shared memory how many
it has told: a ring of (time, number), which is read after its death.
"""

import asyncio
import mmap
import os
import struct
import sys
import time
from pathlib import Path

import marketfeed as mf
from marketfeed import events as ev
from marketfeed.recording import Recorder

NOTE = struct.Struct("<QQ")
RING = 4096
TURN_S = 0.005


class Notes:
    """The ring: when (monotonic ns), and the last number told by then."""

    def __init__(self, path: Path, *, make: bool = False) -> None:
        if make:
            path.write_bytes(bytes(NOTE.size * RING))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), NOTE.size * RING)
        self._at = 0

    def note(self, number: int) -> None:
        NOTE.pack_into(self._map, NOTE.size * (self._at % RING), time.monotonic_ns(), number)
        self._at += 1

    def all(self) -> list[tuple[int, int]]:
        """In order of time."""
        return sorted(note for note in NOTE.iter_unpack(self._map[:]) if note[0])


async def main(folder: Path, rate: int) -> None:
    notes, number = Notes(folder.parent / "notes"), 0
    async with mf.Feed() as feed, Recorder(feed, folder, rotate_s=0.7, rotate_bytes=1 << 20):
        print("recording", flush=True)
        began = time.monotonic()
        while True:
            until = int((time.monotonic() - began) * rate)
            while number < until:
                number += 1
                head = {"venue": "kraken", "symbol": "BTC-USD", "ts_recv": time.time_ns()}
                feed.tell(ev.Trade, **head, price=float(number), size=1.0, side="buy", id=f"{os.getpid()}:{number}")
            notes.note(number)
            await asyncio.sleep(TURN_S)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
