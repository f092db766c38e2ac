"""Candles as CSV: what `Dataset.candles` makes, a file a day.

`ts` is when a candle begins, ISO 8601, UTC. A time without trades has no row; whether trades of it are lost, the
sidecar says.
"""

from datetime import datetime
from typing import Any

from ...errors import ConfigError
from ...events import Trade
from ..times import DAY, FOREVER, date_of, step_ns
from ._csv import CsvFile
from ._files import Outputs
from ._market import Market, Step
from ._numbers import text


class Writer:
    """See `_run.Writer`."""

    channels = ("trades",)
    book = False

    def __init__(self, market: Market, outputs: Outputs, every: str) -> None:
        if DAY % step_ns(every):
            raise ConfigError(f"{every!r}: a day is not a whole number of such candles")
        self.kind = f"candles_{every}"
        self._market, self._outputs, self._every = market, outputs, every
        self._days: set[int] = set()
        self._incomplete = 0

    def names(self, date: str) -> list[str]:
        """See `_run.Writer`."""
        return [self._market.stem(self.kind, date) + ".csv.gz"]

    def take(self, now: int, step: Step) -> None:
        """See `_run.Writer`; the trades themselves are read again, a day at a time."""
        if isinstance(step, Trade):
            self._days.add(step.ts_recv // DAY)

    def close(self) -> dict[str, int]:
        """See `_run.Writer`."""
        for day in sorted(self._days):
            self._write(day)
        return {"incomplete candles": self._incomplete} if self._incomplete else {}

    def _write(self, day: int) -> None:
        market = self._market
        start, end = max(day * DAY, market.start or 0), min(day * DAY + DAY, market.end or FOREVER)
        table = market.data.candles(market.venue, market.symbol, self._every, start=start, end=end)
        file = CsvFile(self._outputs.part(), table.schema.names)
        for batch in table.to_batches():
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                file.write([[_cell(value) for value in values]])
        file.close()
        self._incomplete += table["incomplete"].to_pylist().count(True)
        self._outputs.add(file.part, self.names(date_of(day * DAY))[0], file.rows)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else text(value)
