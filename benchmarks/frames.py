"""What a venue would send, rendered before anything is measured: trades, a book and its changes.

Prices and sizes have the digits of BTC-USDT on Binance; the same seed gives the same frames. Changes fall near the
touch: of those 28 in a depth frame some insert a level, some change one and some remove one, and the number of
levels stays about the same.
"""

import random
from collections.abc import Iterator

import orjson

from marketfeed.venues._rules import crc32_levels, level_text

START_MS = 1_760_000_000_000
MID = 6_234_567
"""Price between the sides, in cents."""
LEVELS = 1000
SNAPSHOT_ID = 5_000_000_000
CHANGES = 14
"""Of a depth frame, a side."""
NEAR = 40.0
"""Mean distance of a change from the touch, in cents."""


def trade(number: int, time: int, cents: int = MID, lots: int = 1500, *, sold: bool = False) -> bytes:
    """One trade as Binance sends it; `time` is its field T."""
    return (
        f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{time},"s":"BTCUSDT","t":{number},"p":"{_price(cents)}",'
        f'"q":"{_size(lots)}","T":{time},"m":{"true" if sold else "false"},"M":true}}}}'
    ).encode()


def trades(count: int) -> Iterator[bytes]:
    """So many trades with consecutive ids."""
    dice = random.Random(1)
    cents = MID
    for number in range(count):
        cents += dice.randrange(-3, 4)
        yield trade(
            4_000_000_000 + number, START_MS + number, cents, dice.randrange(1, 50_000), sold=dice.random() < 0.5
        )


class DepthBook:
    """A book that changes near its touch, and tells each step as Binance would."""

    def __init__(self, levels: int = LEVELS) -> None:
        self._dice = random.Random(2)
        self._update = SNAPSHOT_ID
        # every second price of a side is taken at first; a side is sizes by distance from the middle
        self._sides = [{2 * i: self._lots() for i in range(levels)} for _ in range(2)]

    def snapshot(self) -> bytes:
        """The REST reply for the book as it is."""
        bids, asks = (
            [[_price(_cents(side, at)), _size(lots)] for at, lots in sorted(self._sides[side].items())]
            for side in (0, 1)
        )
        return orjson.dumps({"lastUpdateId": self._update, "bids": bids, "asks": asks})

    def delta(self) -> bytes:
        """The next frame of changes."""
        bids, asks = self._changes(0), self._changes(1)
        first = self._update + 1
        self._update += len(bids) + len(asks)
        time = START_MS + (self._update - SNAPSHOT_ID) * 4
        data = {"e": "depthUpdate", "E": time, "s": "BTCUSDT", "U": first, "u": self._update, "b": bids, "a": asks}
        return orjson.dumps({"stream": "btcusdt@depth@100ms", "data": data})

    def _changes(self, side: int) -> list[list[str]]:
        levels, dice = self._sides[side], self._dice
        places: set[int] = set()
        while len(places) < CHANGES:
            places.add(int(dice.expovariate(1 / NEAR)))
        changes = []
        for at in sorted(places):
            if at in levels and dice.random() < 0.4:
                del levels[at]
                lots = 0
            else:
                lots = levels[at] = self._lots()
            changes.append([_price(_cents(side, at)), _size(lots)])
        return changes

    def _lots(self) -> int:
        return self._dice.randrange(1, 500_000)


def depth(count: int) -> tuple[bytes, list[bytes]]:
    """A REST snapshot of 1,000 levels a side, and so many depth frames that follow it."""
    book = DepthBook()
    return book.snapshot(), [book.delta() for _ in range(count)]


def exchange_info() -> bytes:
    """The REST reply that lists BTC-USDT."""
    filters = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.01000000",
            "maxPrice": "1000000.00000000",
            "tickSize": "0.01000000",
        },
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
    ]
    market = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": filters}
    return orjson.dumps({"timezone": "UTC", "serverTime": START_MS, "symbols": [market]})


KRAKEN_DEPTH = 100
KRAKEN_PAIRS = orjson.dumps(
    {
        "error": [],
        "result": {
            "XXBTZUSD": {
                "wsname": "XBT/USD",
                "pair_decimals": 1,
                "lot_decimals": 8,
                "tick_size": "0.1",
                "status": "online",
            }
        },
    }
)


def kraken_book(count: int) -> Iterator[bytes]:
    """A Kraken snapshot of 100 levels a side, then so many updates, all with their checksum.

    Each changes one level a side; besides, every second one takes the best level away and tells the one that moves
    into the depth, and the next brings it back, which pushes that one out again.
    """
    dice = random.Random(3)
    middle = MID // 10
    sides = [
        {middle + (2 * i + 1) * sign: dice.randrange(10**6, 10**9) for i in range(KRAKEN_DEPTH)} for sign in (-1, 1)
    ]
    yield _kraken_frame("snapshot", sides, sides)
    for number in range(count):
        told: list[dict[int, int]] = []
        for levels, sign in zip(sides, (-1, 1), strict=True):
            best, inner, worst = (middle + (2 * i + 1) * sign for i in (0, dice.randrange(1, 20), KRAKEN_DEPTH))
            taken = number % 2 == 0
            changes = {best: 0 if taken else 10**8, inner: dice.randrange(10**6, 10**9)}
            if taken:
                changes[worst] = 10**8
            else:
                del levels[worst]
            levels.update(changes)
            if taken:
                del levels[best]
            told.append(changes)
        yield _kraken_frame("update", told, sides)


def _kraken_frame(kind: str, told: list[dict[int, int]], book: list[dict[int, int]]) -> bytes:
    best = [sorted(levels, reverse=not side)[:10] for side, levels in enumerate(book)]
    texts = [[level_text(f"{p / 10:.1f}", f"{book[side][p] / 1e8:.8f}") for p in best[side]] for side in (0, 1)]
    bids, asks = (
        ",".join(
            f'{{"price":{p / 10:.1f},"qty":{told[side][p] / 1e8:.8f}}}' for p in sorted(told[side], reverse=not side)
        )
        for side in (0, 1)
    )
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{bids}],"asks":[{asks}],'
        f'"checksum":{crc32_levels(texts[0], texts[1])},"timestamp":"2026-11-21T14:30:02.789012Z"}}]}}'
    ).encode()


def _cents(side: int, at: int) -> int:
    return MID + 1 + at if side else MID - 1 - at


def _price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}000000"


def _size(lots: int) -> str:
    return f"{lots // 100_000}.{lots % 100_000:05d}000"
