"""What a frame of the journal holds: events, and whether they are exact and simulated.

It is MessagePack, which costs a third of JSON both ways. What that cannot hold (a number of wei) makes the frame JSON.
"""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from ..errors import RecordingError
from ..events import EVENT_TYPES, Event, Head

_MSGPACK = msgspec.msgpack.Encoder()
_JSON = msgspec.json.Encoder(decimal_format="number")


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """`packed` events, as JSON or MessagePack; `exact` says that their numbers are Decimal."""

    exact: bool
    simulated: bool
    json: bool
    packed: bytes

    def events(self) -> list[Head]:
        """The events. Raises RecordingError where it holds none."""
        try:
            found: list[Head] = _decoder(self.json, self.exact)(self.packed)
        except msgspec.MsgspecError as exc:
            raise _no_events(exc) from exc
        return found

    def each(self) -> tuple[list[Head], list[tuple[bytes, str]]]:
        """The events, and what is none though it says it is: as JSON, with the reason. A bad one costs no other.

        Raises RecordingError where it holds none, or some of a kind that this version does not know.
        """
        with suppress(RecordingError):
            return self.events(), []
        found, bad = list[Head](), list[tuple[bytes, str]]()
        reader: Any = msgspec.json if self.json else msgspec.msgpack
        decode = _decoder(self.json, self.exact)
        try:
            for raw in reader.Decoder(list[msgspec.Raw]).decode(self.packed):
                try:
                    found += decode(b"[%b]" % bytes(raw) if self.json else b"\x91" + bytes(raw))
                except msgspec.MsgspecError as exc:
                    if reader.decode(raw, type=_Kind).kind not in _KINDS:
                        raise
                    bad.append((bytes(raw) if self.json else msgspec.json.encode(reader.decode(raw)), str(exc)))
        except msgspec.MsgspecError as exc:
            raise _no_events(exc) from exc
        return found, bad


class _Kind(msgspec.Struct):
    kind: str = ""


_KINDS = {type_.__struct_config__.tag for type_ in EVENT_TYPES}


def pack(events: Sequence[Head], *, exact: bool, simulated: bool) -> bytes:
    """Some events as the payload of a frame. Raises what msgspec does for what is in no event."""
    try:
        json, packed = False, _MSGPACK.encode(events)
    except OverflowError:
        json, packed = True, _JSON.encode(events)
    return _MSGPACK.encode(Payload(exact, simulated, json, packed))


def unpack(payload: bytes) -> Payload:
    """The head of a payload, its events still packed. Raises RecordingError for what is none."""
    try:
        return _HEAD.decode(payload)
    except msgspec.MsgspecError as exc:
        raise _no_events(exc) from exc


_HEAD = msgspec.msgpack.Decoder(Payload)


@cache
def _decoder(json: bool, exact: bool) -> Any:
    of: Any = Event
    one = of[Decimal] if exact else of[float]
    several: Any = list[one]  # type: ignore[valid-type] # chosen as it runs
    return (msgspec.json if json else msgspec.msgpack).Decoder(several).decode


def _no_events(reason: Exception) -> RecordingError:
    return RecordingError(f"a frame of the journal holds no events of this version: {reason}")
