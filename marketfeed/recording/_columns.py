"""What each channel's table looks like: its columns are made from the event types, so that none can be forgotten.

Every table begins with `ts_recv`, `ts_event`, `seq_local`, `venue` and `symbol`. Times are `timestamp[ns, UTC]`; a 0
that means "not known" is null. Prices and sizes are `float64`, or `decimal128(38, 18)` in exact tables: one scale for
all, because DuckDB reads files of different scales as wrong numbers. Numbers of a sequence are `uint64`, amounts in a
coin's base units `decimal128(38, 0)` (wei do not fit 64 bits), other counts `int64`. Words of a small set are
dictionaries. Where a table has events of several types, `kind` names them, see `kind_in`.

Needs pyarrow: importing this raises MissingExtra where there is none.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from operator import attrgetter
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from ..errors import MissingExtra, RecordingError
from ..events import (
    LIFE_TYPES,
    Block,
    BookDelta,
    BookSnapshot,
    BookVoid,
    Disconnected,
    Head,
    Instrument,
    MiningProfit,
    NetworkStats,
    Ticker,
    Trade,
    channel_of,
)

try:
    import pyarrow as pa
except ImportError:
    raise MissingExtra("a Parquet dataset", "parquet") from None

FORMAT = 1
"""Version of the tables. A reader refuses a greater one; new columns do not change it, other meanings do."""

TIME = pa.timestamp("ns", tz="UTC")
WORD = pa.dictionary(pa.int32(), pa.string())  # int32, as readers infer for the folders' names
EXACT = pa.decimal128(38, 18)
AMOUNT = pa.decimal128(38, 0)

TYPES: dict[str, tuple[type[Head], ...]] = {
    "trades": (Trade,),
    "ticker": (Ticker,),
    "book": (BookSnapshot, BookDelta),
    "instrument": (Instrument,),
    "chain": (Block, NetworkStats),
    "profit": (MiningProfit,),
    "life": LIFE_TYPES,
}
"""The event types of each table."""
CHANNEL = {type_: channel for channel, types in TYPES.items() for type_ in types}
"""The table of each event type."""

HEAD = ("ts_recv", "ts_event", "seq_local", "venue", "symbol")
_TIMES = {"ts_recv", "ts_event", "ts_from", "ts_to", "retarget_ts"}
_SEQS = {"seq_local", "seq", "prev_seq", "from_seq", "to_seq", "from_seq_local", "to_seq_local"}
_AMOUNTS = {"subsidy", "fees", "reward", "next_subsidy"}
_TEXTS = {"id", "hash", "prev_hash", "reason", "detail", "sample", "what"}
_LEVELS = {"bids", "asks"}
_RENAMED: dict[tuple[type[Head], str], str] = {
    (Disconnected, "status"): "http_status",  # `status` of VenueStatus is a word
    (NetworkStats, "fees"): "mean_fees",  # of a Block they are an amount
    **{(type_, "channel"): "of_channel" for type_ in LIFE_TYPES},  # `channel` is a folder's name
}


@dataclass(slots=True)
class Column:
    """One column. `arrow_type` is None for prices and sizes; `get` takes its value from an event, by type.

    `encode` and `decode` turn a value that is not None into what is stored, and back.
    """

    name: str
    arrow_type: pa.DataType | None
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    get: dict[type[Head], Callable[[Any], Any]] = field(default_factory=dict)

    def arrow(self, exact: bool) -> pa.Field:
        """The column's Arrow field."""
        number = EXACT if exact else pa.float64()
        required = self.name in HEAD and self.name != "ts_event"
        return pa.field(self.name, number if self.arrow_type is None else self.arrow_type, nullable=not required)


@dataclass(slots=True, frozen=True)
class Field:
    """How a field of an event is filled from a column: null is None where `optional`, else the field's default."""

    name: str
    column: Column
    optional: bool
    required: bool


def _known(ns: int) -> int | None:
    return ns or None


def _always(word: str) -> Callable[[Any], str]:
    return lambda _: word


def kind_in(channel: str, type_: type[Head]) -> str:
    """How the column `kind` of a channel names a type: as JSON does, and `snapshot` and `delta` of a book."""
    name = str(type_.__struct_config__.tag)
    return name.removeprefix("book_") if channel == "book" else name


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _column(name: str, of: str, hint: Any) -> tuple[Column, bool]:
    """The column `name` for a field `of` that type, and whether the field may be None."""
    parts = get_args(hint)
    optional = NoneType in parts
    bare = next(part for part in parts if part is not NoneType) if optional else hint
    if isinstance(bare, TypeVar):
        return Column(name, None), optional
    if get_origin(bare) is Literal:
        return Column(name, WORD), optional
    if bare is int and of in _TIMES:
        return Column(name, TIME, encode=None if optional or of == "ts_recv" else _known), optional
    if bare is int and of in _AMOUNTS:
        return Column(name, AMOUNT, decode=int), optional
    if get_origin(bare) is tuple:
        return Column(name, pa.string(), _json, msgspec.json.Decoder(bare).decode), optional
    plain = {
        int: pa.uint64() if of in _SEQS else pa.int64(),
        str: pa.string() if of in _TEXTS else WORD,
        float: pa.float64(),
        bool: pa.bool_(),
    }
    return Column(name, plain[bare]), optional


def _build(channel: str) -> tuple[dict[str, Column], dict[type[Head], list[Field]]]:
    columns: dict[str, Column] = {}
    fields: dict[type[Head], list[Field]] = {}
    if len(TYPES[channel]) > 1:
        columns["kind"] = Column("kind", WORD)
    for type_ in TYPES[channel]:
        hints = get_type_hints(type_)
        fields[type_] = []
        if "kind" in columns:
            columns["kind"].get[type_] = _always(kind_in(channel, type_))
        for info in msgspec.structs.fields(type_):
            if info.name in _LEVELS:
                continue  # a row each, see tables.py
            name = _RENAMED.get((type_, info.name), info.name)
            made, optional = _column(name, info.name, hints[info.name])
            column = columns.setdefault(name, made)
            assert column.arrow_type == made.arrow_type, f"{channel}: two types for {name}"
            column.get[type_] = attrgetter(info.name)
            fields[type_].append(Field(info.name, column, optional, info.required))
    if BookVoid in fields:
        columns["of_channel"].get[BookVoid] = channel_of  # it has no such field, and is about one all the same
    ordered = {name: columns[name] for name in (*HEAD, *columns)}
    return ordered, fields


COLUMNS: dict[str, dict[str, Column]] = {}
"""The columns of each channel by name, without those that only levels of a book have."""
FIELDS: dict[str, dict[type[Head], list[Field]]] = {}
"""How each channel's events are filled from them."""
for _channel in TYPES:
    COLUMNS[_channel], FIELDS[_channel] = _build(_channel)

LEVEL = (Column("part", pa.uint32()), Column("side", WORD), Column("price", None), Column("size", None))
"""What a book's row has more: its place in its event, `bid` or `ask`, price and size; null in an event's only row."""


@cache
def _version() -> str:
    return version("marketfeed")  # reads files


def schema(channel: str, *, exact: bool = False, simulated: bool = False) -> pa.Schema:
    """The Arrow schema of a channel's table. Its metadata say format, version, channel, exact and simulated."""
    columns = [*COLUMNS[channel].values(), *(LEVEL if channel == "book" else ())]
    metadata = {
        "marketfeed.format": str(FORMAT),
        "marketfeed.version": _version(),
        "marketfeed.channel": channel,
        "marketfeed.exact": str(exact).lower(),
        "marketfeed.simulated": str(simulated).lower(),
    }
    return pa.schema([column.arrow(exact) for column in columns], metadata=metadata)


def told(metadata: dict[bytes, bytes] | None, where: str) -> dict[str, str]:
    """What the metadata of a schema or a file say of us, without the `marketfeed.` of the names.

    Raises RecordingError where they say nothing, or name a later format than this version reads.
    """
    ours = {key: value for key, value in (metadata or {}).items() if key.startswith(b"marketfeed.")}
    said = {key.decode().removeprefix("marketfeed."): value.decode() for key, value in ours.items()}
    if not said.get("format", "").isdecimal() or said.get("channel") not in TYPES:
        raise RecordingError(f"{where}: was not written by marketfeed")
    if int(said["format"]) > FORMAT:
        newer = f"format {said['format']} of marketfeed {said.get('version')}"
        raise RecordingError(f"{where}: has {newer}; this version reads formats up to {FORMAT}")
    return said
