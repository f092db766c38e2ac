"""Kraken's public REST interface: reference data alone. Source: docs.kraken.com, REST."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from .faults import Troubles
from .instruments import SimInstrument
from .wire import Limit, Now, Reply, json_reply, rfc3339

REQUESTS = (15, 15.0)
"""About one a second, sustained; a start-up's handful at once is let through."""
OLD = {"BTC": "XBT", "DOGE": "XDG"}
"""Codes that REST still spells the old way."""
LETTERED = {"XBT": "XXBT", "XDG": "XXDG", "ETH": "XETH", "USD": "ZUSD", "EUR": "ZEUR", "GBP": "ZGBP"}
"""Assets with a class letter in front; younger ones have none."""


class KrakenRest:
    """Answers from a fixed list of instruments, by canonical symbol."""

    def __init__(self, instruments: Mapping[str, SimInstrument], troubles: Troubles) -> None:
        self._troubles = troubles
        self._pairs = [asset_pair(one) for one in instruments.values()]
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
        return _error("EGeneral:Unknown method")

    def _asset_pairs(self, wanted: str | None) -> Reply:
        """All pairs, or those of `pair=`: REST name, altname, either style of name with or without slash."""
        if wanted is None:
            return _result(dict(self._pairs))
        found = {}
        for name in wanted.split(","):
            spelled = name.strip().upper().replace("BTC", "XBT").replace("DOGE", "XDG").replace("/", "")
            pair = next((p for p in self._pairs if spelled in (p[0], p[1]["altname"])), None)
            if pair is None:
                return _error("EQuery:Unknown asset pair")
            found[pair[0]] = pair[1]
        return _result(found)


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


def _result(result: object) -> Reply:
    return Reply(200, orjson.dumps({"error": [], "result": result}))


def _error(text: str) -> Reply:
    return json_reply({"error": [text]})
