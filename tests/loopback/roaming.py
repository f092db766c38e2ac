"""T24 as the system does it: `unshare -rn python -m tests.loopback.roaming kraken`, in a network of its own.

The local address of a standing connection is taken away and another one is there for new ones. No socket is told: what
is sent goes nowhere, and what the venue sends never comes.
"""

import subprocess
import sys
import time

import marketfeed as mf

from .rig import bench, plain

PACE = {"silence_s": 2.0, "ping_idle_s": 0.5, "pong_wait_s": 1.0}
WORST_S = 15.0
CALL_S = 10.0
"""So long a REST call waits for its answer."""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def move(old: int, new: int) -> None:
    """Have new connections come from another address than before, which is no longer there."""
    ip("address", "add", f"10.9.0.{new}/32", "dev", "lo")
    ip("route", "replace", "local", "127.0.0.1", "dev", "lo", "table", "local", "src", f"10.9.0.{new}")
    if old:
        ip("address", "del", f"10.9.0.{old}/32", "dev", "lo")


def main(venue: str) -> None:
    """Move once under way; prints how long the books were not to be trusted. Fails where a word about it is missing."""

    @plain
    async def run() -> None:
        async with bench(venue, pace=PACE) as b:
            await b.recovered()
            began = time.monotonic()
            move(1, 2)
            b.plant.inject(venue, "cut")  # its own end, which is not heard here and would hold the market up
            await b.until(lambda: b.audit.of(mf.Disconnected), WORST_S)
            found = time.monotonic() - began
            await b.until(lambda: not b.feed.waiting(), WORST_S)
            await b.checked()
            took = time.monotonic() - began
            assert took < found + CALL_S, "a call waited for an answer over a connection that the network has left"
            assert b.epochs(b.first)[:2] == b.epochs(b.second)[:2] == [1, 2]
            streams = {f"{symbol}:{channel}" for symbol in (b.first, b.second) for channel in ("trades", "book")}
            assert streams <= b.audit.gaps()
            print(f"{venue}: found after {found:.1f} s, proven again after {took:.1f}")

    ip("link", "set", "lo", "up")
    move(0, 1)
    run()


if __name__ == "__main__":
    main(sys.argv[1])
