"""`mine --income`: mined income by day, of profits that `mine --json` wrote."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import msgspec

from ..errors import RecordingError
from ..events import MiningProfit
from ..mining.income import Sample, daily_income, to_csv
from ..text import escaped

_ANY = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PROFIT = msgspec.json.Decoder(MiningProfit)
_KIND = b'"mining_profit"'


def csv_of(path: str, warn: Callable[[str], None]) -> str:
    """The CSV for a file, or stdin where it is `-`. Raises RecordingError, naming file and line."""
    with contextlib.ExitStack() as stack:
        try:
            file: BinaryIO = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
        except OSError as exc:
            raise RecordingError(f"{path} cannot be read: {exc.strerror}") from exc
        try:
            rows = daily_income(samples(file, path, warn))
        except ValueError as exc:
            raise RecordingError(f"{path}: {exc}") from exc
    if not rows:
        raise RecordingError(f"{path} has no two profits of one rig: nothing to add up")
    return to_csv(rows)


def samples(file: Iterable[bytes], path: str, warn: Callable[[str], None]) -> Iterator[Sample]:
    """What each profit says of its coins, less the pool's fee; other events are passed over.

    A last line that is not whole is left out and told to `warn`: a file that is still written, or was cut off, ends so.
    """
    for number, line in enumerate(file, 1):
        text = line.strip()
        if not text:
            continue
        try:
            if bytes(_ANY.decode(text).get("kind", b"")) != _KIND:
                continue
            event = _PROFIT.decode(text)
        except msgspec.MsgspecError as exc:
            if not line.endswith(b"\n"):
                warn(f"{path}, line {number}: not whole, left out")
                return
            raise RecordingError(f"{path}, line {number}: not a line of mine --json: {escaped(str(exc))}") from exc
        for term in event.terms:
            yield Sample(
                time_ns=event.ts_recv,
                coin=term.coin,
                quote=event.quote,
                coins_day=None if term.coins_day is None else term.coins_day * (1 - event.pool_fee),
                price=term.price,
                rig=event.rig,
            )
