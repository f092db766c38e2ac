"""Kraken's public REST interface: reference data, books, trades. Source: docs.kraken.com, REST."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import orjson

from .faults import Troubles
from .instruments import SimInstrument
from .market import Market, Print
from .wire import Limit, Now, Reply, json_reply, rfc3339

REQUESTS = (15, 15.0)
"""About one a second, sustained; a start-up's handful at once is let through."""
OLD = {"BTC": "XBT", "DOGE": "XDG"}
"""Codes that REST still spells the old way."""
LETTERED = {"XBT": "XXBT", "XDG": "XXDG", "ETH": "XETH", "USD": "ZUSD", "EUR": "ZEUR", "GBP": "ZGBP"}
"""Assets with a class letter in front; younger ones have none."""


class KrakenRest:
    """Answers from what is listed, and from the markets of that where it has them."""

    def __init__(
        self,
        instruments: Callable[[], Iterable[SimInstrument]],
        troubles: Troubles,
        markets: Callable[[], Mapping[str, Market]] = dict,
    ) -> None:
        self._troubles = troubles
        self._listed = markets
        self._instruments = instruments
        self._limit = Limit(*REQUESTS)

    def reply(self, path: str, query: Mapping[str, str], now: Now) -> Reply:
        """One request; errors are status 200 with `error` filled."""
        if not self._limit.take(now.mono):
            self._troubles.breach("requests")
            return _error("EGeneral:Too many requests")
        match path.removeprefix("/0/public/"):
            case "Time":
                return _result({"unixtime": now.unix // 10**9, "rfc1123": ""})
            case "SystemStatus":
                return _result({"status": "online", "timestamp": rfc3339(now.unix, 6)[:19] + "Z"})
            case "AssetPairs":
                return self._asset_pairs(query.get("pair"))
            case "Depth" | "Trades" as what:
                name, _ = self._pair(query.get("pair", "")) or ("", {})
                market = next((m for m in self._listed().values() if asset_pair(m.instrument)[0] == name), None)
                if market is None:
                    return _error("EQuery:Unknown asset pair")
                one = self._depth if what == "Depth" else self._trades
                return one(name, market, query)
        return _error("EGeneral:Unknown method")

    def _pair(self, name: str) -> tuple[str, dict[str, object]] | None:
        """By REST name, altname, either style of name with or without slash."""
        spelled = name.strip().upper().replace("BTC", "XBT").replace("DOGE", "XDG").replace("/", "")
        return next((p for p in map(asset_pair, self._instruments()) if spelled in (p[0], p[1]["altname"])), None)

    def _asset_pairs(self, wanted: str | None) -> Reply:
        """All pairs, or those of `pair=`."""
        if wanted is None:
            return _result(dict(map(asset_pair, self._instruments())))
        found = {}
        for name in wanted.split(","):
            pair = self._pair(name)
            if pair is None:
                return _error("EQuery:Unknown asset pair")
            found[pair[0]] = pair[1]
        return _result(found)

    def _depth(self, name: str, market: Market, query: Mapping[str, str]) -> Reply:
        """The best levels of both sides, with the time of each in seconds."""
        count = min(int(query["count"]), 500) if query.get("count", "").isdecimal() else 100
        one = market.instrument
        bids, asks = (
            [[f"{one.price(p):f}", f"{one.size(q):f}", market.last_trade.at // 10**9] for p, q in side.top(count)]
            for side in (market.bids, market.asks)
        )
        return _result({name: {"asks": asks, "bids": bids}})

    def _trades(self, name: str, market: Market, query: Mapping[str, str]) -> Reply:
        """Trades after a time in nanoseconds, oldest first; the newest ones where none is named."""
        since, count = (int(query[key]) if query.get(key, "").isdecimal() else None for key in ("since", "count"))
        found = [report for report in market.past if since is None or report.at > since]
        limit = min(count or 1_000, 1_000)
        page = found[-limit:] if since is None else found[:limit]
        rows = [_trade(market.instrument, report) for report in page]
        return _result({name: rows, "last": f"{page[-1].at if page else since or 0}"})


def asset_pair(one: SimInstrument) -> tuple[str, dict[str, object]]:
    """The REST key and record of an instrument."""
    base, quote = OLD.get(one.base, one.base), OLD.get(one.quote, one.quote)
    altname = base + quote
    rest = (LETTERED.get(base, base), LETTERED.get(quote, quote))
    # The class letters stand in the key only where both sides have one: XXBTZUSD, but XBTUSDT.
    key = rest[0] + rest[1] if base in LETTERED and quote in LETTERED else altname
    return key, {
        "altname": altname,
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": rest[0],
        "aclass_quote": "currency",
        "quote": rest[1],
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": one.price_digits,
        "lot_decimals": one.size_digits,
        "lot_multiplier": 1,
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": f"{one.tick:f}",
        "status": "online",
    }


def _trade(one: SimInstrument, report: Print) -> list[object]:
    side = "b" if report.fill.taker == "bid" else "s"
    price, size = f"{one.price(report.fill.price):f}", f"{one.size(report.fill.size):f}"
    return [price, size, report.at / 10**9, side, "l", "", report.id]


def _result(result: object) -> Reply:
    return Reply(200, orjson.dumps({"error": [], "result": result}))


def _error(text: str) -> Reply:
    return json_reply({"error": [text]})
