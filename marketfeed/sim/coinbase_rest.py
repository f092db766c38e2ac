"""Coinbase's public REST interface: products, their trades, and product_book. Source: docs.cdp.coinbase.com, REST."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .faults import Troubles
from .instruments import SimInstrument
from .market import Market
from .wire import Limit, Now, Reply, json_reply, rfc3339, too_many

REQUESTS = (10, 1.0)
ROOT = "/api/v3/brokerage/market/"
PAGE = ("start", "end", "limit")


class CoinbaseRest:
    """Answers from the venue's markets, by product id."""

    def __init__(self, listed: Callable[[], Mapping[str, Market]], troubles: Troubles) -> None:
        self._troubles = troubles
        self._listed = listed
        self._limit = Limit(*REQUESTS)

    def reply(self, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """One request; ten a second are let through."""
        if not self._limit.take(now.mono):
            self._troubles.breach("requests")
            return too_many(1, {"error": "RESOURCE_EXHAUSTED", "message": "rate limit exceeded"})
        what, _, product = path.removeprefix(ROOT).partition("/")
        if what == "products" and product.endswith("/ticker"):
            return self._trades(product.removesuffix("/ticker"), query)
        if what == "products":
            return self._product(product) if product else self._list(query)
        if what == "product_book":
            return self._book(query, now)
        return json_reply({"error": "NOT_FOUND"}, 404)

    @property
    def _markets(self) -> Mapping[str, Market]:
        return self._listed()

    def _list(self, query: Mapping[str, str]) -> Reply:
        kind = query.get("product_type", "SPOT")
        rows = [self._row(market.instrument) for market in self._markets.values()] if kind == "SPOT" else []
        start = int(query.get("offset", "0")) if query.get("offset", "0").isdecimal() else 0
        limit = int(query.get("limit", "0")) if query.get("limit", "0").isdecimal() else 0
        page = rows[start : start + limit] if limit else rows[start:]
        return json_reply({"products": page, "num_products": len(page)})

    def _product(self, name: str) -> Reply:
        if name not in self._markets:
            return json_reply({"error": "NOT_FOUND", "message": f"product {name} not found"}, 404)
        return json_reply(self._row(self._markets[name].instrument))

    def _row(self, one: SimInstrument) -> dict[str, object]:
        others = [m.instrument.symbol for m in self._markets.values() if m.instrument.alias == one.symbol]
        return product(one, others)

    def _trades(self, name: str, query: Mapping[str, str]) -> Reply:
        """Trades, newest first; `start` and `end` are Unix seconds, and both count."""
        market = self._market(name)
        if market is None:
            return json_reply({"error": "NOT_FOUND", "message": f"product {name} not found"}, 404)
        start, end, limit = (int(query[key]) if query.get(key, "").isdecimal() else 0 for key in PAGE)
        one = market.instrument
        found = [p for p in market.past if start * 10**9 <= p.at and (not end or p.at < (end + 1) * 10**9)]
        rows = [
            {
                "trade_id": f"{report.id}",
                "product_id": one.symbol,
                "price": f"{one.price(report.fill.price):f}",
                "size": f"{one.size(report.fill.size):f}",
                "time": rfc3339(report.at, 6),
                "side": "SELL" if report.fill.taker == "bid" else "BUY",
            }
            for report in reversed(found[-(limit or 100) :])
        ]
        return json_reply({"trades": rows})

    def _market(self, name: str) -> Market | None:
        market = self._markets.get(name)
        return self._markets[market.instrument.alias] if market and market.instrument.alias else market

    def _book(self, query: Mapping[str, str], now: Now) -> Reply:
        name = query.get("product_id", "")
        market = self._market(name)
        if market is None:
            return json_reply({"error": "NOT_FOUND", "message": f"product {name} not found"}, 404)
        one = market.instrument
        depth = int(query["limit"]) if query.get("limit", "").isdecimal() else None
        bids, asks = (
            [{"price": f"{one.price(price):f}", "size": f"{one.size(size):f}"} for price, size in side.top(depth)]
            for side in (market.bids, market.asks)
        )
        book = {"product_id": one.symbol, "bids": bids, "asks": asks, "time": rfc3339(now.unix, 6)}
        return json_reply({"pricebook": book, "last": f"{one.price(market.last_trade.fill.price):f}"})


def product(one: SimInstrument, aliases: list[str]) -> dict[str, object]:
    """The venue's record of an instrument; `aliases` are the names that show its book."""
    return {
        "product_id": one.symbol,
        "price": f"{one.start:f}",
        "base_increment": f"{one.lot:f}",
        "quote_increment": f"{one.tick:f}",
        "price_increment": f"{one.tick:f}",
        "base_min_size": f"{one.lot:f}",
        "quote_min_size": "1",
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "is_disabled": False,
        "view_only": False,
        "product_type": "SPOT",
        "base_currency_id": one.base,
        "quote_currency_id": one.quote,
        "alias": one.alias or "",
        "alias_to": aliases,
        "product_venue": "CBE",
    }
