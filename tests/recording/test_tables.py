"""Events as Parquet tables: every event comes back, nothing is rounded, and other tools read the same."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed import events as ev
from marketfeed.errors import RecordingError
from tests.test_schemas import CHAIN, LIFE, MARKET

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from marketfeed.recording import tables  # noqa: E402 # needs pyarrow
from marketfeed.recording._columns import CHANNEL, FORMAT, TYPES  # noqa: E402

NS = 1_775_572_202_789_012_345
HEAD: dict[str, Any] = {"venue": "kraken", "symbol": "BTC-USD", "ts_event": NS - 1, "ts_recv": NS, "seq_local": 3}


def samples(number: Callable[[str], Any]) -> list[ev.Head]:
    makers: list[Callable[[Any], ev.Head]] = MARKET
    return [make(number) for make in makers] + CHAIN + LIFE


def through_a_file(table: Any) -> Any:
    sink = pa.BufferOutputStream()
    tables.write(table, sink)
    return pq.read_table(pa.BufferReader(sink.getvalue()), page_checksum_verification=True)


def test_every_event_has_a_table() -> None:
    assert set(CHANNEL) == set(ev.EVENT_TYPES)
    assert {type(event) for event in samples(float)} == set(ev.EVENT_TYPES)


@pytest.mark.parametrize("number", [float, Decimal])
def test_every_event_comes_back(number: Callable[[str], Any]) -> None:
    made = tables.to_tables(samples(number), number is Decimal)
    assert set(made) == set(TYPES)
    for channel, table in made.items():
        wanted = [event for event in samples(number) if CHANNEL[type(event)] == channel]
        assert tables.to_events(channel, table) == wanted
        assert tables.to_events(channel, through_a_file(table)) == wanted


@pytest.mark.parametrize("channel", TYPES)
def test_every_table_begins_alike_and_says_what_it_is(channel: str) -> None:
    made = tables.schema(channel, exact=True, simulated=True)
    time = pa.timestamp("ns", tz="UTC")
    word = pa.dictionary(pa.int32(), pa.string())
    assert [(f.name, f.type) for f in made][:5] == [
        ("ts_recv", time),
        ("ts_event", time),
        ("seq_local", pa.uint64()),
        ("venue", word),
        ("symbol", word),
    ]
    metadata = made.metadata
    assert metadata[b"marketfeed.format"] == str(FORMAT).encode()
    assert metadata[b"marketfeed.channel"] == channel.encode()
    assert metadata[b"marketfeed.exact"] == metadata[b"marketfeed.simulated"] == b"true"
    assert metadata[b"marketfeed.version"]
    assert not {"channel", "date"} & set(made.names), "these are folders' names, and would be hidden by them"


@pytest.mark.parametrize(
    ("channel", "names"),
    [
        ("trades", "price size side id backfill"),
        ("ticker", "bid bid_size ask ask_size last volume_24h"),
        ("book", "kind epoch seq prev_seq depth part side price size"),
        (
            "instrument",
            "native base quote tick lot price_digits size_digits size_unit contract_size inverse trading status",
        ),
        (
            "chain",
            "kind height hash prev_hash difficulty bits subsidy fees orphans hashrate hashrate_blocks reward mean_fees "
            "fees_blocks epoch_blocks retarget_height retarget_change retarget_ts next_bits subsidy_height "
            "next_subsidy",
        ),
        (
            "life",
            "kind link attempt code reason http_status retry_s of_channel cause epoch from_seq to_seq ts_from ts_to "
            "healed detail policy dropped from_seq_local to_seq_local size sample what status",
        ),
    ],
)
def test_the_columns_are_a_contract(channel: str, names: str) -> None:
    """Readers know these names: one that goes or changes its meaning needs a new FORMAT. New ones may come."""
    assert [name for name in tables.schema(channel).names[5:] if name in names.split()] == names.split()


def test_loss_says_what_it_is_about() -> None:
    life = tables.to_tables([ev.BookVoid(**HEAD, epoch=1, reason="hole")])["life"].to_pylist()
    assert [(row["kind"], row["of_channel"], row["symbol"]) for row in life] == [("book_void", "book", "BTC-USD")]


def test_a_time_that_is_not_known_is_null() -> None:
    trade = ev.Trade(venue="v", ts_recv=1, price=1.0, size=1.0, side="buy", id="")
    table = tables.to_tables([trade])["trades"]
    assert table["ts_event"].null_count == 1
    assert tables.to_events("trades", table) == [trade]


HUGE = 2**64 - 1
whole = st.integers(0, HUGE)
ns = st.integers(0, 2**63 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
words = st.sampled_from(["kraken", "binance", "", "BTC-USD", "a/b=c d", "\x00", "\u202e", "\U0001f4b0"])
floats = st.floats(0, 1e30) | st.sampled_from([1e-30, 0.0, 5e-324, 0.1, 1.7976931348623157e308])
decimals = st.integers(0, 10**38 - 1).map(lambda n: Decimal(f"{n}e-18")) | st.sampled_from(
    [Decimal("1.50"), Decimal("1E+5"), Decimal("0"), Decimal("0E-30"), Decimal("1E-18")]
)
head = {"venue": words, "symbol": words, "ts_event": ns, "ts_recv": ns, "seq_local": whole}


def market(number: Any) -> Any:
    levels = st.lists(st.tuples(number, number), max_size=4).map(tuple)
    maybe = st.none() | number
    return st.one_of(
        st.builds(ev.Trade, **head, price=number, size=number, side=st.sampled_from(["buy", "sell"]), id=text),
        st.builds(
            ev.Ticker,
            **head,
            **dict.fromkeys(("bid", "bid_size", "ask", "ask_size", "last", "volume_24h"), maybe),
        ),
        st.builds(
            ev.BookSnapshot,
            **head,
            epoch=st.integers(0, 2**63 - 1),
            seq=whole,
            prev_seq=whole,
            depth=st.integers(0, 5000),
            bids=levels,
            asks=levels,
        ),
        st.builds(ev.BookDelta, **head, epoch=st.just(1), seq=whole, prev_seq=whole, bids=levels, asks=levels),
    )


def check_round_trip(events: list[ev.Head], exact: bool) -> None:
    for channel, table in tables.to_tables(events, exact).items():
        wanted = [event for event in events if CHANNEL[type(event)] == channel]
        back = tables.to_events(channel, table)
        assert back == wanted
        assert [type(event) for event in back] == [type(event) for event in wanted]
        if channel == "trades":
            assert {type(number) for e in back if isinstance(e, ev.Trade) for number in (e.price, e.size)} <= {
                Decimal if exact else float
            }
        # batches that cut an event in two
        assert list(tables.read_batches(channel, table.to_batches(max_chunksize=1))) == wanted
        assert tables.to_events(channel, through_a_file(table)) == wanted


@given(st.lists(market(floats), max_size=8))
def test_any_float_event_comes_back(events: list[ev.Head]) -> None:
    check_round_trip(events, False)


@given(st.lists(market(decimals), max_size=8))
def test_any_exact_event_comes_back(events: list[ev.Head]) -> None:
    check_round_trip(events, True)


def test_order_and_empty_sides_of_a_book_are_kept() -> None:
    events: list[ev.Head] = [
        ev.BookSnapshot(**HEAD, epoch=1, seq=1, bids=(), asks=()),
        ev.BookDelta(**HEAD, epoch=1, seq=2, prev_seq=1, bids=(), asks=((3.0, 0.0), (2.0, 1.0), (3.0, 1.0))),
        ev.BookDelta(**HEAD, epoch=1, seq=3, prev_seq=2, bids=((1.0, 0.0),), asks=()),
    ]
    table = tables.to_tables(events)["book"]
    assert table["part"].to_pylist() == [0, 0, 1, 2, 0]
    assert table["side"].to_pylist() == [None, "ask", "ask", "ask", "bid"]
    assert tables.to_events("book", table) == events


@pytest.mark.parametrize(
    "number", ["1e-19", "123456789012345678901", "1.0000000000000000001", "1e20", "NaN", "Infinity"]
)
def test_a_number_that_does_not_fit_is_refused_not_rounded(number: str) -> None:
    good = ev.Trade(**HEAD, price=Decimal(1), size=Decimal(1), side="buy", id="1")
    bad = ev.BookDelta(
        **{**HEAD, "symbol": "SHIB-USD"}, epoch=1, seq=1, prev_seq=0, bids=(), asks=((Decimal(1), Decimal(number)),)
    )
    with pytest.raises(RecordingError, match=r"kraken SHIB-USD: size Decimal\('.*'\) does not fit"):
        tables.to_tables([good, bad], True)


@pytest.mark.parametrize(
    ("event", "exact", "column"),
    [
        (ev.Trade(**HEAD, price=1.5, size=1.0, side="buy", id="1"), True, "price"),
        (ev.Trade(**HEAD, price=Decimal("1.5"), size=Decimal(1), side="buy", id="1"), False, "price"),
        (ev.Trade(**HEAD, price=1.0, size=1.0, side="buy", id="\ud800"), False, "id"),
        (ev.Trade(**{**HEAD, "seq_local": 2**64}, price=1.0, size=1.0, side="buy", id=""), False, "seq_local"),
        (ev.Trade(**{**HEAD, "ts_event": 2**63}, price=1.0, size=1.0, side="buy", id=""), False, "ts_event"),
    ],
)
def test_what_is_not_for_its_column_is_named(event: ev.Head, exact: bool, column: str) -> None:
    with pytest.raises(RecordingError, match=f"kraken BTC-USD: {column} "):
        tables.to_tables([event], exact)


def test_wei_fit() -> None:
    block = ev.Block(**HEAD, height=1, hash="0x", difficulty=0.0, subsidy=0, fees=10**21)
    (back,) = tables.to_events("chain", tables.to_tables([block])["chain"])
    assert back == block
    assert type(back.fees) is int


def test_a_type_without_a_table_is_refused() -> None:
    with pytest.raises(RecordingError, match="no table holds events of type Head"):
        tables.to_tables([ev.Head(venue="v")])


def test_columns_that_came_later_and_those_that_are_gone() -> None:
    table = tables.to_tables([ev.Connected(**HEAD, link="a")])["life"]
    older = table.drop_columns(["attempt", "what"]).append_column("new", pa.array([1]))
    assert tables.to_events("life", older) == [ev.Connected(**HEAD, link="a")]
    with pytest.raises(RecordingError, match="Connected has no link"):
        tables.to_events("life", table.drop_columns(["link"]))


def test_what_is_no_table_of_ours() -> None:
    table = tables.to_tables([ev.Connected(**HEAD, link="a")])["life"]
    with pytest.raises(RecordingError, match="no table is called nonsense"):
        tables.to_events("nonsense", table)
    kinds = pa.array(["new_kind"], pa.dictionary(pa.int32(), pa.string()))
    with pytest.raises(RecordingError, match="'new_kind' is not known"):
        tables.to_events("life", table.set_column(5, "kind", kinds))
    with pytest.raises(RecordingError, match="not written by marketfeed"):
        tables.write(pa.table({"a": [1]}), pa.BufferOutputStream())
    later = table.replace_schema_metadata({**table.schema.metadata, b"marketfeed.format": b"2"})
    with pytest.raises(RecordingError, match="format 2 of marketfeed"):
        tables.write(later, pa.BufferOutputStream())


def test_rows_that_are_missing_are_seen() -> None:
    delta = ev.BookDelta(**HEAD, epoch=1, seq=1, prev_seq=0, bids=((1.0, 1.0),) * 3, asks=())
    table = tables.to_tables([delta])["book"]
    with pytest.raises(RecordingError, match="missing or out of order at seq_local 3"):
        tables.to_events("book", table.take([0, 2]))
    with pytest.raises(RecordingError, match="missing or out of order"):
        tables.to_events("book", table.slice(1))


def test_how_files_are_written() -> None:
    trades = [
        ev.Trade(**{**HEAD, "seq_local": i, "ts_recv": NS + i}, price=1.0, size=1.0, side="buy", id=str(i))
        for i in range(tables.ROW_GROUP + 1)
    ]
    sink = pa.BufferOutputStream()
    tables.write(tables.to_tables(trades, simulated=True)["trades"], sink)
    file = pq.ParquetFile(pa.BufferReader(sink.getvalue()))
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [tables.ROW_GROUP, 1]
    assert file.schema_arrow.metadata[b"marketfeed.simulated"] == b"true"
    group = file.metadata.row_group(0)
    assert [(s.column_index, s.descending) for s in group.sorting_columns] == [(0, False), (2, False)]
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {c.compression for c in columns.values()} == {"ZSTD"}
    assert all(c.has_offset_index and c.has_column_index for c in columns.values())
    assert "DELTA_BINARY_PACKED" in columns["ts_recv"].encodings
    assert file.read(["ts_recv"])["ts_recv"][0].value == NS


@pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
def test_numbers_that_repeat_are_a_dictionary_and_others_are_plain(exact: bool) -> None:
    number = (lambda n: Decimal(n) / 8) if exact else (lambda n: n / 8)
    levels = tuple((number(900 - n), number(n % 7 + 1)) for n in range(200))
    head = {"venue": "kraken", "symbol": "BTC-USD", "ts_recv": NS, "seq_local": 1}
    sink = pa.BufferOutputStream()
    tables.write(tables.to_tables([ev.BookSnapshot(**head, epoch=1, seq=1, bids=levels, asks=())], exact)["book"], sink)
    group = pq.ParquetFile(pa.BufferReader(sink.getvalue())).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
    assert "RLE_DICTIONARY" in columns["size"]
    assert "RLE_DICTIONARY" not in columns["price"]
    assert "DELTA_BINARY_PACKED" in columns["part"]


@pytest.fixture(params=[False, True], ids=["float", "exact"])
def trades_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    number: Any = Decimal if request.param else float
    sides: list[Any] = ["buy", "sell", "buy"]
    trades = [
        ev.Trade(
            **{**HEAD, "ts_event": 0 if i else NS - 1, "seq_local": 2**64 - 4 + i},
            price=number("65000.12"),
            size=number("0.00012345"),
            side=side,
            id=str(10**30 + i),
        )
        for i, side in enumerate(sides)
    ]
    path = tmp_path / "trades.parquet"
    tables.write(tables.to_tables(trades, request.param)["trades"], path)
    return path


def is_right(rows: list[tuple[Any, ...]], exact: bool) -> None:
    number: Any = Decimal if exact else float
    price, size = number("65000.12"), number("0.00012345")
    times = [(NS, NS - 1), (NS, None), (NS, None)]
    wanted = [
        (*times[i], 2**64 - 4 + i, "kraken", "BTC-USD", price, size, side, str(10**30 + i), False)
        for i, side in enumerate(("buy", "sell", "buy"))
    ]
    assert rows == wanted
    assert {type(row[5]) for row in rows} == {number}


def exact_of(path: Path) -> bool:
    return bool(pq.read_schema(path).metadata[b"marketfeed.exact"] == b"true")


def test_polars_reads_it(trades_file: Path) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.read_parquet(trades_file)
    assert frame.schema["ts_recv"] == pl.Datetime("ns", "UTC")
    if exact_of(trades_file):
        assert frame.schema["price"] == pl.Decimal(38, 18)
    is_right(frame.with_columns(pl.col("ts_recv", "ts_event").cast(pl.Int64)).rows(), exact_of(trades_file))


def test_duckdb_reads_it(trades_file: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(
        f"select * replace (epoch_ns(ts_recv) as ts_recv, epoch_ns(ts_event) as ts_event) from '{trades_file}'"
    )
    is_right(found.fetchall(), exact_of(trades_file))
    types = dict(zip(found.columns, map(str, duckdb.sql(f"select * from '{trades_file}'").types), strict=True))
    assert types["ts_recv"].startswith("TIMESTAMP")
    assert types["price"] == ("DECIMAL(38,18)" if exact_of(trades_file) else "DOUBLE")


def test_pandas_reads_it(trades_file: Path) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.read_parquet(trades_file)
    assert str(frame.dtypes["ts_recv"]) == "datetime64[ns, UTC]"
    assert frame["ts_recv"][0].to_pydatetime(warn=False).replace(microsecond=0) == datetime.fromtimestamp(
        NS // 10**9, UTC
    )
    rows = [
        (row.ts_recv.value, None if pd.isna(row.ts_event) else row.ts_event.value, *row[2:])
        for row in frame.itertuples(index=False)
    ]
    is_right([tuple(row) for row in rows], exact_of(trades_file))


@pytest.mark.parametrize("channel", TYPES)
@pytest.mark.parametrize("number", [float, Decimal])
def test_every_tool_reads_every_table(channel: str, number: Any, tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    duckdb = pytest.importorskip("duckdb")
    pd = pytest.importorskip("pandas")
    table = tables.to_tables(samples(number), number is Decimal)[channel]
    path = tmp_path / "one.parquet"
    tables.write(table, path)
    names = table.schema.names
    assert pl.read_parquet(path).columns == list(pd.read_parquet(path).columns) == names
    assert duckdb.sql(f"select * from '{path}'").columns == names
    # as text: Python's own form of a time with a zone needs pytz in DuckDB
    found = duckdb.sql(f"select columns(*)::varchar from '{path}'").fetchall()
    assert len(found) == len(pl.read_parquet(path)) == table.num_rows
