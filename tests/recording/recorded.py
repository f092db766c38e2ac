"""What tests of a dataset share: a recording as a feed would have made it, sealed by the real sealer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from marketfeed import events as ev
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.journal import Journal
from marketfeed.recording.payload import pack
from marketfeed.recording.seal import JOURNAL, Sealer

DAY = 86_400 * 10**9
SECOND = 10**9
START = 20_550 * DAY + 10 * 3600 * SECOND
VENUE, SYMBOL = "kraken", "BTC-USD"


class Script:
    """Events in a feed's order: each `tell` is a moment after the one before."""

    def __init__(self, number: Any = float) -> None:
        self.events: list[ev.Head] = []
        self.now = START
        self.number = number
        self._trade = 1000
        self._epoch = self._seq = 0

    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    def tell(self, kind: Any, venue: str = VENUE, symbol: str = SYMBOL, **fields: Any) -> ev.Head:
        self.now += 1_000_003
        market = kind in ev.MARKET_TYPES
        head = {"ts_event": self.now - 50_000_000 if market else 0, "ts_recv": self.now}
        event: ev.Head = kind(venue=venue, symbol=symbol, seq_local=len(self.events) + 1, **{**head, **fields})
        self.events.append(event)
        return event

    def recorder(self, status: str, **fields: Any) -> None:
        self.tell(ev.RecorderStatus, venue="recorder", symbol="", status=status, **fields)

    def begin(self) -> None:
        self.recorder("started")
        self.connect()

    def connect(self) -> None:
        self.tell(ev.Connected, symbol="", link="kraken-1")
        for channel in ("trades", "ticker", "book"):
            self.tell(ev.Subscribed, channel=channel)
        self.snapshot()

    def snapshot(self, **fields: Any) -> None:
        self._epoch, self._seq = self._epoch + 1, 1
        levels = {
            "bids": tuple((self.number(str(99 - n)), self.number("1.5")) for n in range(5)),
            "asks": tuple((self.number(str(101 + n)), self.number("1.5")) for n in range(5)),
        }
        self.tell(ev.BookSnapshot, epoch=self._epoch, seq=1, **{**levels, **fields})

    def delta(self, bids: Any = None, asks: Any = ()) -> None:
        bids = ((self.number("99"), self.number(str(1 + self._seq % 3))),) if bids is None else bids
        self._seq += 1
        self.tell(ev.BookDelta, epoch=self._epoch, seq=self._seq, prev_seq=self._seq - 1, bids=bids, asks=asks)

    def trade(self, skip: int = 0) -> None:
        self._trade += 1 + skip
        side = "buy" if self._trade % 3 else "sell"
        price, size = self.number(str(100 + self._trade % 7)), self.number("0.25")
        self.tell(ev.Trade, price=price, size=size, side=side, id=str(self._trade))

    def ticker(self) -> None:
        bid, ask = self.number("99.5"), self.number(str(101 + len(self.events) % 3))
        self.tell(ev.Ticker, bid=bid, bid_size=self.number("1"), ask=ask, ask_size=self.number("2"))

    def flow(self, rounds: int, every_s: float = 0.5) -> None:
        for _ in range(rounds):
            self.delta()
            self.trade()
            self.ticker()
            self.wait(every_s)

    def part(self) -> int:
        """The link breaks; returns since when nothing came."""
        before = self.now
        self.wait(0.2)
        self.tell(ev.Disconnected, symbol="", link="kraken-1", code=1006, reason="reset")
        lost: dict[str, Any] = {"cause": "link lost", "ts_from": before, "ts_to": self.now}
        self.tell(ev.Gap, channel="book", epoch=self._epoch, **lost)
        self.tell(ev.BookVoid, epoch=self._epoch, reason="link lost: reset")
        self.tell(ev.Gap, channel="trades", **lost)
        self.tell(ev.Gap, channel="ticker", **lost)
        return before

    def lose(self, missed: int) -> None:
        """The link breaks and comes back; so many trades are missed."""
        before = self.part()
        self.wait(2)
        self.connect()
        self.miss(missed, since=before)

    def miss(self, missed: int, since: int | None = None) -> None:
        """Trades are missing before the next one."""
        ids: dict[str, Any] = {"from_seq": self._trade + 1, "to_seq": self._trade + missed}
        times: dict[str, Any] = {"ts_from": since or self.now, "ts_to": self.now + 1_000_003}
        self.tell(ev.Gap, channel="trades", cause="trade ids", **times, **ids)
        self.trade(skip=missed)


def script(number: Any = float) -> Script:
    """Half a minute with a broken link in it, and trades that were missed there and later."""
    made = Script(number)
    made.begin()
    made.flow(20)
    made.lose(missed=7)
    made.flow(15)
    made.miss(3)
    made.flow(15)
    made.recorder("ended")
    return made


def seal(root: Path, *passes: Sequence[ev.Head], exact: bool = False, simulated: bool = False) -> Path:
    """A dataset of these events, a pass of sealing each."""
    root.mkdir(exist_ok=True)
    disk = RealDisk()
    sealer = Sealer(disk, root, "0.1.0")
    sealer.finish()
    for events in passes:
        journal = Journal(disk, root / JOURNAL, next_number=sealer.last + 1)
        for at in range(0, len(events), 50):
            journal.add(pack(events[at : at + 50], exact=exact, simulated=simulated))
        journal.close()
        assert sealer.seal() is not None
    return root


def renumbered(events: Sequence[ev.Head]) -> list[ev.Head]:
    """The events with `seq_local` from 1, as a feed numbers them."""
    return [structs.replace(event, seq_local=n) for n, event in enumerate(events, 1)]
