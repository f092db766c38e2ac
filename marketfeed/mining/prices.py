"""Prices for profit: of each coin in one currency, over one route or the median of several, with what each rests on.

A route goes from a coin to the currency over markets: KAS-USDT times USDT-USD. It is stale where one of its markets
has said nothing for too long; stale routes are left out while others are fresh, and named in any case.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from statistics import median
from typing import Any, Literal

from msgspec import Struct, structs

from ..events import Input, Ticker, Trade

PriceKind = Literal["ticker", "trades"]
"""The middle of best bid and ask (the last price where one is missing), or the last trade."""
APART = 0.05
"""Part of the median that a route may be away from it: more is another coin, or a market left by the others."""
WIDEST = 2
"""Times the bid that an ask may be: the middle of a market all but empty says nothing."""


class Leg(Struct, frozen=True):
    """One market of a route; `inverse` where its price is of the other side: BTC-USD on the way from USD to BTC."""

    venue: str
    symbol: str
    kind: PriceKind = "ticker"
    inverse: bool = False

    @property
    def name(self) -> str:
        """The stream's name: `kraken:BTC-USD:ticker`."""
        return f"{self.venue}:{self.symbol}:{self.kind}"


Route = tuple[Leg, ...]


class _Quote:
    """What a market said last: price, and when it gave a sign of life."""

    __slots__ = ("price", "ts")

    def __init__(self) -> None:
        self.price: float | None = None
        self.ts = 0


class Price(Struct, frozen=True):
    """A coin's price now: None where no route has one young enough. `disagree` names routes far from the median."""

    value: float | None
    inputs: tuple[Input, ...]
    complete: bool
    """Whether every route has had a price at some time."""
    disagree: tuple[str, ...]


class Prices:
    """`routes` by coin. A leg silent for `stale_ns` is stale; older than `dead_ns`, its price counts no more."""

    def __init__(self, routes: Mapping[str, Sequence[Route]], stale_ns: int, dead_ns: int) -> None:
        self._routes = {coin: tuple(of) for coin, of in routes.items()}
        self._stale_ns = stale_ns
        self._dead_ns = dead_ns
        self._quotes = {leg: _Quote() for leg in self.legs()}
        self._by_market = {(leg.venue, leg.symbol, leg.kind): leg for leg in self._quotes}

    def legs(self) -> list[Leg]:
        """Every market needed, once."""
        return list(dict.fromkeys(leg for of in self._routes.values() for route in of for leg in route))

    def on_event(self, event: Trade[Any] | Ticker[Any]) -> bool:
        """Take in a trade or a ticker; whether it is of a market of ours, and has a price."""
        kind: PriceKind = "trades" if type(event) is Trade else "ticker"
        leg = self._by_market.get((event.venue, event.symbol, kind))
        if leg is None:
            return False
        price = _price_of(event)
        if price is None:
            return False  # an empty book, or a crossed one: the price before it grows old
        quote = self._quotes[leg]
        at = event.ts_recv
        if isinstance(event, Trade) and event.backfill:
            at = min(at, event.ts_event)  # it was missed, and is as old as it is
            if at <= quote.ts:
                return False
        quote.ts = max(quote.ts, at)
        quote.price = 1 / price if leg.inverse else price
        return True

    def rebase(self, now: int) -> None:
        """The clock was set back: nothing was received after now."""
        for quote in self._quotes.values():
            quote.ts = min(quote.ts, now)

    def edges(self, now: int) -> Iterable[int]:
        """Times after `now` at which a market becomes stale or dead, if nothing comes."""
        for quote in self._quotes.values():
            for limit in (self._stale_ns, self._dead_ns):
                if quote.ts and quote.ts + limit > now:
                    yield quote.ts + limit

    def price(self, coin: str, now: int) -> Price:
        """The coin's price at a time, and what it was made from."""
        inputs: list[Input] = []
        complete = True
        for route in self._routes[coin]:
            value, ts, stale = self._walk(route, now)
            complete = complete and value is not None
            source = " x ".join(leg.name for leg in route)
            age = (now - ts) // 1_000_000 if ts else 0
            inputs.append(Input(kind="price", what=coin, source=source, value=value, ts=ts, age_ms=age, stale=stale))
        fresh = any(not one.stale for one in inputs)
        marked = tuple(
            structs.replace(
                one, used=not one.stale if fresh else one.value is not None and now - one.ts < self._dead_ns
            )
            for one in inputs
        )
        price = self.value(coin, now)
        used = [one for one in marked if one.used]
        return Price(
            price, marked, complete, tuple(f"{one.source} disagrees" for one in used if _apart(one.value, price))
        )

    def apart(self, now: int) -> bool:
        """Whether routes of a coin disagree."""
        for coin, of in self._routes.items():
            if len(of) > 1 and (values := self._counting(coin, now)):
                price = median(values)
                if any(_apart(value, price) for value in values):
                    return True
        return False

    def value(self, coin: str, now: int) -> float | None:
        """The median of a coin's fresh routes, of the stale ones where none is fresh; None where all are dead."""
        values = self._counting(coin, now)
        return median(values) if values else None

    def _counting(self, coin: str, now: int) -> list[float]:
        """The prices of the routes that count now."""
        fresh: list[float] = []
        old: list[float] = []
        for route in self._routes[coin]:
            value, ts, stale = self._walk(route, now)
            if value is not None and now - ts < self._dead_ns:
                (old if stale else fresh).append(value)
        return fresh or old

    def _walk(self, route: Route, now: int) -> tuple[float | None, int, bool]:
        """(price, time of the oldest part, whether stale) over all legs."""
        value, oldest = 1.0, now
        for leg in route:
            quote = self._quotes[leg]
            if quote.price is None:
                return None, 0, True
            value *= quote.price
            oldest = min(oldest, quote.ts)
        return value, oldest, now - oldest >= self._stale_ns


def _apart(value: float | None, price: float | None) -> bool:
    return value is not None and price is not None and abs(value - price) > APART * price


def _price_of(event: Trade[Any] | Ticker[Any]) -> float | None:
    if isinstance(event, Trade):
        price = float(event.price)
    elif event.bid and event.ask:
        bid, ask = float(event.bid), float(event.ask)
        price = (bid + ask) / 2 if bid <= ask <= WIDEST * bid else 0.0
    else:
        price = float(event.last or 0)
    return price if isfinite(price) and price > 0 else None
