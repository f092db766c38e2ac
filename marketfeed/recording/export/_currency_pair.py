"""An instrument as NautilusTrader's catalog has a `currency_pair`."""

from decimal import Decimal
from typing import Any

import pyarrow as pa

from ...events import Instrument
from ._numbers import text


def currency_pair(name: str, said: Instrument[Any], price_places: int, size_places: int) -> pa.Table:
    """A table of one row. The digits after the point are those of all data there; fees are not known and told as 0."""
    words = pa.dictionary(pa.int16(), pa.string())
    columns: dict[str, tuple[pa.DataType, Any]] = {
        "id": (pa.dictionary(pa.int64(), pa.string()), name),
        "raw_symbol": (pa.string(), said.native),
        "base_currency": (words, said.base),
        "quote_currency": (words, said.quote),
        "price_precision": (pa.uint8(), price_places),
        "size_precision": (pa.uint8(), size_places),
        "price_increment": (words, _increment(said.tick, price_places)),
        "size_increment": (words, _increment(said.lot, size_places)),
        "multiplier": (words, "1"),
        **dict.fromkeys(
            ("lot_size", "max_quantity", "min_quantity", "max_notional", "min_notional", "max_price", "min_price"),
            (words, None),
        ),
        **dict.fromkeys(("margin_init", "margin_maint", "maker_fee", "taker_fee"), (pa.string(), "0")),
        "info": (pa.binary(), b"null"),
        "ts_event": (pa.uint64(), said.ts_recv),
        "ts_init": (pa.uint64(), said.ts_recv),
    }
    arrays = [pa.array([value], type_) for type_, value in columns.values()]
    schema = pa.schema([(n, t) for n, (t, _) in columns.items()], metadata={"class": "CurrencyPair"})
    return pa.Table.from_arrays(arrays, schema=schema)


def _increment(known: Any, digits: int) -> str:
    whole, _, part = (text(known) if known else text(Decimal(1).scaleb(-digits))).partition(".")
    return f"{whole}.{part.ljust(digits, '0')}" if digits else whole
