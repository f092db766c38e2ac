"""Binance's REST interface: exchangeInfo, depth and old trades, with weights.

Source: binance-spot-api-docs, rest-api.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import orjson

from .faults import Troubles
from .instruments import SimInstrument
from .market import Market
from .wire import Limit, Now, Reply, fixed, json_reply

WEIGHT = 6_000
WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))
"""Weight of a depth request by its limit."""
OTHERS = {"/api/v3/exchangeInfo": 20, "/api/v3/historicalTrades": 25}
"""Weights of the others that have more than 1."""
INVALID_SYMBOL = {"code": -1121, "msg": "Invalid symbol."}


class BinanceRest:
    """One address's view of the REST interface."""

    def __init__(self, listed: Callable[[], Mapping[str, Market]], troubles: Troubles) -> None:
        self._listed = listed
        self._troubles = troubles
        self._weight = Limit(WEIGHT, 60.0)

    def reply(self, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """One request; every reply says in a header what weight is used up."""
        depth = path == "/api/v3/depth"
        limit = int(query["limit"]) if query.get("limit", "").isdecimal() else 100
        weight = next((w for top, w in WEIGHTS if limit <= top), 250) if depth else OTHERS.get(path, 1)
        allowed = self._weight.take(now.mono, weight)
        header = {"X-MBX-USED-WEIGHT-1M": f"{self._weight.used:.0f}"}
        if not allowed:
            self._troubles.breach("requests")
            header["Retry-After"] = "60"
            return json_reply({"code": -1003, "msg": "Too much request weight used."}, 429, header)
        match path:
            case "/api/v3/ping":
                return json_reply({}, headers=header)
            case "/api/v3/time":
                return json_reply({"serverTime": now.unix // 10**6}, headers=header)
            case "/api/v3/exchangeInfo":
                return self._info(query, now, header)
            case "/api/v3/depth":
                return self._depth(query.get("symbol", ""), max(1, min(limit, 5_000)), now, header)
            case "/api/v3/historicalTrades":
                return self._trades(query, max(1, min(limit, 1_000)), header)
        return json_reply({"code": -1000, "msg": "Not found."}, 404, header)

    @property
    def _markets(self) -> dict[str, Market]:
        return {m.instrument.base + m.instrument.quote: m for m in self._listed().values()}

    def _trades(self, query: Mapping[str, str], limit: int, header: dict[str, str]) -> Reply:
        """Trades from an id on, oldest first; the newest ones where none is named."""
        market = self._markets.get(query.get("symbol", ""))
        if market is None:
            return json_reply(INVALID_SYMBOL, 400, header)
        one, start = market.instrument, query.get("fromId", "")
        found = [report for report in market.past if not start.isdecimal() or report.id >= int(start)]
        rows = [
            {
                "id": report.id,
                "price": fixed(report.fill.price, one.tick, 8),
                "qty": fixed(report.fill.size, one.lot, 8),
                "time": report.at // 10**6,
                "isBuyerMaker": report.fill.taker == "ask",
                "isBestMatch": True,
            }
            for report in (found[:limit] if start else found[-limit:])
        ]
        return json_reply(rows, headers=header)

    def _info(self, query: Mapping[str, str], now: Now, header: dict[str, str]) -> Reply:
        markets = self._markets
        wanted = list(markets)
        if "symbol" in query:
            wanted = [query["symbol"]]
        elif "symbols" in query:
            try:
                wanted = [str(name) for name in orjson.loads(query["symbols"])]
            except (orjson.JSONDecodeError, TypeError):
                text = "Illegal characters found in parameter 'symbols'."
                return json_reply({"code": -1100, "msg": text}, 400, header)
        if not all(name in markets for name in wanted):
            return json_reply(INVALID_SYMBOL, 400, header)
        body = exchange_info((markets[name].instrument for name in wanted), now)
        return json_reply(body, headers=header)

    def _depth(self, name: str, limit: int, now: Now, header: dict[str, str]) -> Reply:
        market = self._markets.get(name)
        if market is None:
            return json_reply(INVALID_SYMBOL, 400, header)
        if self._troubles.withholds_snapshot():
            return json_reply({"code": -1001, "msg": "Internal error; unable to process your request."}, 503, header)
        one = market.instrument
        sides = [
            [[fixed(price, one.tick, 8), fixed(size, one.lot, 8)] for price, size in side.top(limit)]
            for side in (market.bids, market.asks)
        ]
        # A late snapshot is as old as its delay: it is taken now and sent then.
        body = {"lastUpdateId": market.update_id, "bids": sides[0], "asks": sides[1]}
        return json_reply(body, headers=header, delay_s=self._troubles.snapshot_delay_s())


def exchange_info(instruments: Iterable[SimInstrument], now: Now) -> dict[str, object]:
    """The exchangeInfo body of these instruments."""
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT}]
    return {
        "timezone": "UTC",
        "serverTime": now.unix // 10**6,
        "rateLimits": limits,
        "exchangeFilters": [],
        "symbols": [_symbol(one) for one in instruments],
    }


def _symbol(one: SimInstrument) -> dict[str, object]:
    tick, lot = fixed(1, one.tick, 8), fixed(1, one.lot, 8)
    return {
        "symbol": one.base + one.quote,
        "status": "TRADING",
        "baseAsset": one.base,
        "baseAssetPrecision": 8,
        "quoteAsset": one.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
        ],
        "permissions": [],
    }
