"""Product against oracle without sockets: up to twice the messages of `oracle` in a time, and one seed is one run.

Each venue's dialect talks straight into the product's session, with faults and in its own time. Every event is
audited (I1, I2, I4, I14) and every live book held to the oracle (I3). `make fuzz SEED=1 MESSAGES=200000`.
"""

import argparse
import time
from collections import Counter
from typing import Any

import marketfeed as mf
from marketfeed.events import Head

from ..loopback.rig import Auditor
from . import ctrl_c, figures
from .oracle import KRAKEN_DEPTH, SYMBOLS, Checker
from .wire import Wire

FAULTS = "drop=0.05%,dup=0.05%,reorder=0.05%,corrupt=0.05%,checksum=0.05%,cut=0.01%,late_snapshot=0.05s"
ROUND = 100_000
"""Messages after which a market of another seed begins."""


class Round:
    """One market of a venue, until the product has read so many frames; raises WrongBook or AssertionError."""

    def __init__(self, venue: str, seed: str, *, exact: bool = False) -> None:
        depth = KRAKEN_DEPTH if venue == "kraken" else None
        self.audit = Auditor(renewals=True)
        self.kinds: Counter[str] = Counter()
        self.checkers: dict[str, Checker] = {}
        self.wire = Wire(
            venue, SYMBOLS[venue], seed=seed, take=self._take, faults=FAULTS, depth=depth or 0, exact=exact
        )
        for symbol in SYMBOLS[venue]:
            feed: Any = self.wire  # all that a checker asks of a feed is its books
            name, oracle = f"{venue}:{symbol}", self.wire.oracle(symbol)
            self.checkers[symbol] = Checker(feed, name, oracle, by_seq=venue == "binance", depth=depth)

    def _take(self, event: Head) -> None:
        self.audit.take(event)
        self.audit.events.clear()
        if isinstance(event, mf.BookSnapshot | mf.BookDelta):
            self.checkers[event.symbol].take(event)
        else:
            self.kinds[type(event).__name__] += 1

    def run(self, messages: int) -> dict[str, int]:
        """Run it to the end; returns what was counted."""
        wire = self.wire
        while wire.read < messages:
            wire.step()
        assert not wire.breaches, wire.breaches
        checkers = self.checkers.values()
        return {
            "frames": wire.read,
            "checked": sum(c.checked for c in checkers),
            "full": sum(c.full for c in checkers),
            "epochs": sum(self.wire.book(f"{wire.venue.name}:{s}").epoch for s in SYMBOLS[wire.venue.name]),
            "voids": self.kinds["BookVoid"],
            "malformed": self.kinds["Malformed"],
            "links": wire.links,
            "injected": sum(wire.injected.values()) - wire.injected["late_snapshot"],
        }


def fuzz(venue: str, *, seed: int, messages: int, exact: bool = False) -> dict[str, Any]:
    """Rounds of one venue until so many frames were read; raises WrongBook. Returns figures."""
    total: Counter[str] = Counter()
    began = time.process_time()
    number = 0
    while total["frames"] < messages:
        number += 1
        one = Round(venue, f"{seed}:{number}", exact=exact)
        try:
            total.update(one.run(min(ROUND, messages - total["frames"])))
        except Exception:
            print(f"failed in round {number}; again: python -m tests.fuzz.differential --seed {seed} --venue {venue}")
            raise
    assert total["checked"] > 0, "nothing was checked"
    return {"venue": venue, **total, "cpu_s": round(time.process_time() - began, 1)}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.differential", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messages", type=int, default=200_000, help="frames read for each venue")
    parser.add_argument("--venue", choices=sorted(SYMBOLS), action="append")
    parser.add_argument("--exact", action="store_true", help="numbers as Decimal")
    figures.argument(parser)
    args = parser.parse_args()
    venues = args.venue or sorted(SYMBOLS)
    done = (fuzz(venue, seed=args.seed, messages=args.messages, exact=args.exact) for venue in venues)
    figures.tell("differential", args.figures, done)


if __name__ == "__main__":
    ctrl_c.ends(main)
