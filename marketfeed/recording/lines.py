"""Events as JSON lines, as `tail --json` and `mine --json` print them, read back into what they were."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from ..events import Event, Head
from .raw import decoded


def read_events(path: str | Path, *, exact: bool = False) -> Iterator[Head]:
    """The events of a file of JSON lines, plain or gzip, in its order; `exact` gives Decimal with every digit.

    Raises RecordingError naming the file and the line.
    """
    return decoded(path, decoder(exact), "an event")


@cache
def decoder(exact: bool) -> Any:
    """Decodes one event of JSON; raises msgspec.DecodeError for what is none."""
    of: Any = Event
    return msgspec.json.Decoder(of[Decimal] if exact else of[float]).decode
