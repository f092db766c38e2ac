"""Product against oracle: simulated venues full of faults, read by a real feed over loopback.

After every event of a book that the product calls live, its levels must be the oracle's at that very key: by an
order-independent hash each time, level by level every thousandth. `make fuzz SEED=1 MESSAGES=200000`.
"""

import argparse
import asyncio
import random
import time
from decimal import Decimal
from typing import Any

import marketfeed as mf
from marketfeed import sim
from marketfeed.counts import Counts

from . import ctrl_c

FAULTS = "drop=0.03%,dup=0.05%,reorder=0.03%,corrupt=0.03%,checksum=0.05%,cut=0.003%,late_snapshot=0.05s"
SYMBOLS = {"kraken": ["BTC-USD", "ETH-USD"], "binance": ["BTC-USDT", "ETH-USDT"], "coinbase": ["BTC-USD", "ETH-USD"]}
KRAKEN_DEPTH = 10  # its checksum covers ten levels: deeper ones rest on TCP's order, which these faults break
MASK = (1 << 64) - 1
FULL_EVERY = 1_000


class WrongBook(AssertionError):
    """A book that the product called live is not the venue's."""


class Checker:
    """Holds one book of the product against the oracle's, event by event."""

    def __init__(self, feed: mf.Feed, name: str, oracle: sim.Oracle, *, by_seq: bool, depth: int | None) -> None:
        self.checked = 0
        self.full = 0
        self.voids = 0
        self._view = feed.book(name)
        self._feed = feed
        self._name = name
        self._oracle = oracle
        self._by_seq = by_seq
        self._depth = depth
        self._known: dict[tuple[str, Any], int] = {}
        self._hash = 0

    def take(self, event: mf.BookSnapshot | mf.BookDelta) -> None:
        """Check the live book as of this event; a batch that runs ahead is checked at its last event."""
        view = self._feed.book(self._name)
        if isinstance(event, mf.BookSnapshot):
            self._known.clear()
            self._hash = 0
        for side, levels in (("bid", event.bids), ("ask", event.asks)):
            for price, size in levels:
                self._put(side, price, size)
        if not view.live or (view.epoch, view.seq) != (event.epoch, event.seq):
            return
        key = event.seq if self._by_seq else event.ts_event
        if not key:
            return  # the name of its time was spoiled on the way: nobody can say which update it is
        for side, there in (("bid", view.bids), ("ask", view.asks)):
            best = there(1)
            if best and self._known.get((side, best[0][0])) is None:
                raise WrongBook(f"{self._name}: best {side} {best} is not what events say")
        if self._hash != self._oracle.hash_at(key, self._depth):
            raise WrongBook(f"{self._name} at {key}: hash differs\n{self._difference(view, key)}")
        self.checked += 1
        if isinstance(event, mf.BookSnapshot) or self.checked % FULL_EVERY == 0:
            self.full += 1
            if difference := self._difference(view, key):
                raise WrongBook(f"{self._name} at {key}:\n{difference}")

    def _put(self, side: Any, price: Any, size: Any) -> None:
        one = self._oracle.instrument
        hashed = sim.level_hash(side, one.ticks(Decimal(str(price))), one.lots(Decimal(str(size))))
        self._hash = (self._hash - self._known.pop((side, price), 0) + hashed) & MASK
        if size:
            self._known[side, price] = hashed

    def _difference(self, view: mf.TrustedBook[Any], key: int) -> str:
        bids, asks = self._oracle.levels_at(key, self._depth)
        lines = []
        for side, ours, true in (("bid", view.bids(), bids), ("ask", view.asks(), asks)):
            mine = [(Decimal(str(p)).normalize(), Decimal(str(s)).normalize()) for p, s in ours]
            right = [(p.normalize(), s.normalize()) for p, s in true]
            if mine != right:
                lines.append(f"{side}: ours only {set(mine) - set(right)}, oracle only {set(right) - set(mine)}")
        return "\n".join(lines)


async def fuzz(venue: str, *, seed: int, messages: int, exact: bool = False, transport: str = "auto") -> dict[str, Any]:
    """Run one venue until the product has read `messages` frames; raises WrongBook. Returns figures."""
    dice = random.Random(seed)
    async with sim.Simulator([venue], seed=seed, faults=FAULTS, rate=None, symbols=SYMBOLS[venue]) as plant:
        at = plant.endpoints[venue]
        settings = {venue: mf.VenueSettings(ws=at.ws, rest=at.rest, max_resyncs=1_000_000)}
        async with mf.Feed(settings, exact=exact, transport=transport, dice=lambda: dice.random() * 0.1) as feed:
            checkers = {}
            errors: list[WrongBook] = []
            for symbol in SYMBOLS[venue]:
                name = f"{venue}:{symbol}"
                depth = KRAKEN_DEPTH if venue == "kraken" else None
                oracle = plant.oracle(venue, symbol)
                checkers[symbol] = Checker(feed, name, oracle, by_seq=venue == "binance", depth=depth)
                feed.subscribe(name, trades=True, ticker=True, book=depth or True)

            def check(event: mf.BookSnapshot | mf.BookDelta) -> None:
                try:
                    checkers[event.symbol].take(event)
                except WrongBook as wrong:
                    errors.append(wrong)

            def count(event: mf.BookVoid) -> None:
                checkers[event.symbol].voids += 1

            feed.on(mf.BookSnapshot, check)
            feed.on(mf.BookDelta, check)
            feed.on(mf.BookVoid, count)
            began = time.process_time()
            counts = Counts()
            while counts.frames < messages and not errors:
                await plant.step(20)
                await asyncio.sleep(0.001)
                counts = feed.counts()[venue]
            if errors:
                raise errors[0]
            return {
                "venue": venue,
                "frames": counts.frames,
                "checked": sum(c.checked for c in checkers.values()),
                "full": sum(c.full for c in checkers.values()),
                "voids": sum(c.voids for c in checkers.values()),
                "malformed": counts.malformed,
                "injected": dict(sorted(plant.injected.items())),
                "breaches": dict(plant.breaches),
                "cpu_s": round(time.process_time() - began, 1),
            }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.oracle", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messages", type=int, default=200_000, help="frames read for each venue and number mode")
    parser.add_argument("--venue", choices=sorted(SYMBOLS), action="append")
    parser.add_argument("--exact", action="store_true")
    args = parser.parse_args()
    for venue in args.venue or sorted(SYMBOLS):
        figures = mf.run(fuzz(venue, seed=args.seed, messages=args.messages, exact=args.exact))
        print(", ".join(f"{name} {value}" for name, value in figures.items()), flush=True)
        assert figures["checked"] > 0, "nothing was checked"


if __name__ == "__main__":
    ctrl_c.ends(main)
