"""One number for a whole event stream: equal digests mean equal market events, whatever the day or the transport."""

import re
from hashlib import sha256
from typing import Any

from ..events import MARKET_TYPES, Block, Head, channel_of, encode_json
from .lines import decoder

_LOCAL = re.compile(rb'"(?:ts_recv|seq_local|epoch)":\d+,|,"backfill":(?:true|false)')
_STREAM = re.compile(rb'\{"kind":"[a-z_]+","venue":"([^"]*)","symbol":"([^"]*)"')


def counted(event: Head) -> bool:
    """Whether a digest is made of it: market events and blocks."""
    return type(event) in MARKET_TYPES or type(event) is Block


class Digest:
    """SHA-256 over the sorted digests of the streams.

    A stream's digest (`venue:symbol:channel`) is over its market events as JSON lines, without `ts_recv`,
    `seq_local`, `epoch` and `backfill`, which depend on who listened and when. The whole is over lines of
    "name hexdigest".
    """

    def __init__(self) -> None:
        self._decode = decoder(exact=False)
        self._streams: dict[str, Any] = {}  # hashes; their type has no public name

    def add(self, event: Head) -> None:
        """Take in an event; what is not `counted` is left out."""
        if counted(event):
            self._add(f"{event.venue}:{event.symbol}:{channel_of(event)}", encode_json(event))

    def add_json(self, line: bytes) -> None:
        """The same for an event's JSON line, as `tail --json` prints it. Raises ValueError for what is none."""
        try:
            event = self._decode(line)
        except RecursionError as exc:
            raise ValueError(str(exc)) from exc
        if not counted(event):
            return
        head = _STREAM.match(line)
        if head is None:
            raise ValueError("it is not written as marketfeed writes it")
        self._add(f"{head[1].decode()}:{head[2].decode()}:{channel_of(event)}", line.strip())

    def _add(self, name: str, line: bytes) -> None:
        hash_ = self._streams.get(name)
        if hash_ is None:
            hash_ = self._streams[name] = sha256()
        hash_.update(_LOCAL.sub(b"", line) + b"\n")

    def streams(self) -> dict[str, str]:
        """Digest of each stream."""
        return {name: self._streams[name].hexdigest() for name in sorted(self._streams)}

    def hexdigest(self) -> str:
        """Digest of all."""
        return sha256("".join(f"{name} {digest}\n" for name, digest in self.streams().items()).encode()).hexdigest()
