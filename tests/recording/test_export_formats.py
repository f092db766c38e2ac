"""What each format holds, read here with nothing but the standard library and pyarrow, against what was true."""

import ast
import csv
import gzip
import io
import struct
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from marketfeed import events as ev
from marketfeed.errors import RecordingError

pq = pytest.importorskip("pyarrow.parquet")

from marketfeed.recording.export import Summary, export  # noqa: E402 # needs pyarrow

from .export_data import HEAD, MIDNIGHT, SECOND, SYMBOL, VENUE, Made, Sides, market, recorder, save  # noqa: E402

MARKET: dict[str, Any] = {"venue": VENUE, "symbol": SYMBOL}
SEEDS = pytest.mark.parametrize("seed", range(1, 3))
EXCH, LOCAL, BUY = 1 << 31, 1 << 30, 1 << 29
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
START = MIDNIGHT - 20 * SECOND - 3
"""Within a day, and between events."""


class Row(NamedTuple):
    """A row of hftbacktest's array."""

    ev: int
    exch_ts: int
    local_ts: int
    px: float
    qty: float
    order_id: int
    ival: int
    fval: float

    @property
    def kind(self) -> int:
        return self.ev & 0xFF


def npz(path: Path) -> list[Row]:
    """Its array, read as the format's description says."""
    with zipfile.ZipFile(path) as packed:
        assert packed.namelist() == ["data.npy"]
        data = packed.read("data.npy")
    magic, size = data[:8], struct.unpack("<H", data[8:10])[0]
    assert magic == b"\x93NUMPY\x01\x00"
    assert (10 + size) % 64 == 0
    said = ast.literal_eval(data[10 : 10 + size].decode())
    types = [("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8")]
    assert said["descr"] == [*types, ("order_id", "<u8"), ("ival", "<i8"), ("fval", "<f8")]
    found = [Row(*row) for row in struct.iter_unpack("<QqqddQqd", data[10 + size :])]
    assert said["shape"] == (len(found),)
    return found


def arrays(folder: Path) -> list[list[Row]]:
    return [npz(path) for path in sorted(folder.glob("*.npz"))]


def kept(rows: list[Row], books: Sides) -> Iterator[Row]:
    """Each row after the books have taken it, as hftbacktest takes it."""
    for row in rows:
        side = books[0] if row.ev & BUY else books[1]
        if row.kind == CLEAR:
            to, up = row.px, bool(row.ev & BUY)
            for price in [price for price in side if (price >= to if up else price <= to)]:
                del side[price]
        elif row.kind != TRADE:
            if row.qty:
                side[row.px] = row.qty
            else:
                side.pop(row.px, None)
        yield row


def at_ends(rows: list[Row], of: int, name: str) -> dict[int, Sides]:
    """The book of one side (exchange or strategy) after all rows of each of its times."""
    books: Sides = ({}, {})
    found: dict[int, Sides] = {}
    for row in kept([row for row in rows if row.ev & of], books):
        found[getattr(row, name)] = (dict(books[0]), dict(books[1]))
    return found


def floats(book: Sides | None) -> Sides:
    if book is None:
        return {}, {}
    return tuple({float(p): float(s) for p, s in side.items()} for side in book)  # type: ignore[return-value]


def exported(tmp_path: Path, made: Made, name: str, *, exact: bool = False, **given: Any) -> tuple[Path, Summary]:
    root = save(tmp_path / "data", made.events, exact=exact)
    return tmp_path / "out", export(root, name, tmp_path / "out", **MARKET, **given)


@pytest.mark.parametrize("number", [float, Decimal], ids=["float", "exact"])
@SEEDS
def test_hftbacktest_has_the_true_book_at_every_time(number: Any, seed: int, tmp_path: Path) -> None:
    made = market(number, seed)
    folder, _ = exported(tmp_path, made, "hftbacktest", exact=number is Decimal)
    rows = [row for day in arrays(folder) for row in day]
    found = at_ends(rows, LOCAL, "local_ts")
    assert len(found) > 500
    for ts, book in found.items():
        assert book == floats(made.book(ts))
    exchange = [row for row in rows if row.ev & EXCH and row.kind != TRADE]
    strategy = [row for row in rows if row.ev & LOCAL and row.kind != TRADE]
    assert [row[2:] for row in exchange] == [row[2:] for row in strategy]  # the same changes in the same order


@SEEDS
def test_each_day_of_hftbacktest_stands_alone(seed: int, tmp_path: Path) -> None:
    made = market(seed=seed)
    folder, _ = exported(tmp_path, made, "hftbacktest")
    before, after = arrays(folder)
    assert {row.local_ts // (86_400 * SECOND) for row in before if row.ev & LOCAL} == {
        MIDNIGHT // (86_400 * SECOND) - 1
    }
    for ts, book in at_ends(after, LOCAL, "local_ts").items():
        assert book == floats(made.book(ts))
    assert (list(at_ends(after, EXCH, "exch_ts").values())[-1]) == floats(made.truth[-1].book)


@SEEDS
def test_hftbacktest_is_in_the_order_of_both_clocks(seed: int, tmp_path: Path) -> None:
    made = market(seed=seed)
    folder, done = exported(tmp_path, made, "hftbacktest")
    rows = [row for day in arrays(folder) for row in day]
    exch = [row.exch_ts for row in rows if row.ev & EXCH]
    local = [row.local_ts for row in rows if row.ev & LOCAL]
    assert exch == sorted(exch)
    assert local == sorted(local)
    assert all(row.exch_ts <= row.local_ts for row in rows)
    assert all(row.ev & (EXCH | LOCAL) for row in rows)
    assert any(not row.ev & LOCAL for row in rows)
    late = done.changed["trades too late for the exchange"]
    trades = [row for row in rows if row.kind == TRADE]
    assert 0 < late == sum(row.ev & LOCAL > 0 for row in trades) - sum(row.ev & EXCH > 0 for row in trades)
    assert set(done.changed) == {
        "exch_ts not given",
        "exch_ts after local_ts",
        "exch_ts of a book going back",
        "trades too late for the exchange",
    }


@SEEDS
def test_hftbacktest_has_every_trade(seed: int, tmp_path: Path) -> None:
    made = market(seed=seed)
    folder, _ = exported(tmp_path, made, "hftbacktest")
    found = [row for day in arrays(folder) for row in day if row.kind == TRADE and row.ev & LOCAL]
    wanted = [
        (t.ts_recv, min(t.ts_event or t.ts_recv, t.ts_recv), t.price, t.size, t.side == "buy") for t in made.trades()
    ]
    assert [(r.local_ts, r.exch_ts, r.px, r.qty, bool(r.ev & BUY)) for r in found] == wanted


def test_a_depth_that_a_trade_made_is_after_it_for_the_exchange(tmp_path: Path) -> None:
    """Otherwise hftbacktest would take the traded size off a queue twice."""
    sides: dict[str, Any] = {"bids": ((1.0, 5.0),), "asks": ((2.0, 5.0),)}
    ts = MIDNIGHT + SECOND
    events: list[ev.Head] = [
        ev.BookSnapshot(**HEAD, ts_recv=MIDNIGHT, seq_local=1, epoch=1, seq=1, **sides),
        ev.BookDelta(
            **HEAD, ts_recv=ts, ts_event=ts - 5, seq_local=2, epoch=1, seq=2, prev_seq=1, bids=(), asks=((2.0, 4.0),)
        ),
        ev.Trade(**HEAD, ts_recv=ts + 1, ts_event=ts - 5, seq_local=3, price=2.0, size=1.0, side="buy", id="1"),
    ]
    folder, _ = exported(tmp_path, Made(events, []), "hftbacktest")
    (rows,) = arrays(folder)
    assert [r.kind for r in rows if r.ev & EXCH][-2:] == [TRADE, DEPTH]
    assert [r.kind for r in rows if r.ev & LOCAL][-2:] == [DEPTH, TRADE]


def test_changes_told_later_than_trades_are_known_to_the_exchange_after_them(tmp_path: Path) -> None:
    """As where the book's connection stalls and that of the trades does not."""
    sides: dict[str, Any] = {"bids": ((1.0, 5.0),), "asks": ((2.0, 5.0),)}
    events: list[ev.Head] = [ev.BookSnapshot(**HEAD, ts_recv=MIDNIGHT, seq_local=1, epoch=1, seq=1, **sides)]
    for n in range(2, 22):
        ts = MIDNIGHT + n * SECOND
        head: dict[str, Any] = {**HEAD, "ts_recv": ts, "ts_event": ts, "seq_local": n}
        events.append(ev.Trade(**head, price=2.0, size=1.0, side="buy", id=f"{n}"))
    late: dict[str, Any] = {"ts_recv": ts + 1, "ts_event": MIDNIGHT + 3 * SECOND}
    events.append(ev.BookDelta(**HEAD, **late, seq_local=22, epoch=1, seq=2, prev_seq=1, bids=(), asks=((2.0, 4.0),)))
    folder, done = exported(tmp_path, Made(events, []), "hftbacktest")
    (rows,) = arrays(folder)
    exch = [row.exch_ts for row in rows if row.ev & EXCH]
    assert exch == sorted(exch)
    assert done.changed["exch_ts of a book going back"] == 1


def test_what_clears_a_book_is_left_out_where_nothing_follows(tmp_path: Path) -> None:
    """The end of a recording is no event of a market: a backtest ends with the last book."""
    made = market(seed=9, count=200)
    ended = recorder("ended", made.events[-1].ts_recv + 1)
    alive = next(n for n in range(len(made.events), 0, -1) if made.book(made.events[n - 1].ts_recv))
    cut = Made([*made.events[:alive], ended], made.truth)
    folder, _ = exported(tmp_path, cut, "hftbacktest")
    rows = [row for day in arrays(folder) for row in day]
    assert list(at_ends(rows, LOCAL, "local_ts").values())[-1] == floats(made.book(cut.events[alive - 1].ts_recv))


def tables(folder: Path, type_: str) -> list[list[dict[str, str]]]:
    found = []
    for path in sorted(folder.glob(f"kraken_{type_}_*_BTC-USD.csv.gz")):
        found.append(list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline=""))))
    return found


def follow(rows: list[dict[str, str]], *, obeys: bool) -> dict[int, Sides]:
    """The book after each `local_timestamp`; a reader that does not obey takes a snapshot's rows as any others."""
    books: Sides = ({}, {})
    found: dict[int, Sides] = {}
    whole = False
    for row in rows:
        began, whole = not whole and row["is_snapshot"] == "true", row["is_snapshot"] == "true"
        if began and obeys:
            books = {}, {}
        side = books[0 if row["side"] == "bid" else 1]
        if float(row["amount"]):
            side[Decimal(row["price"])] = Decimal(row["amount"])
        else:
            side.pop(Decimal(row["price"]), None)
        found[int(row["local_timestamp"])] = (dict(books[0]), dict(books[1]))
    return found


@pytest.mark.parametrize("obeys", [True, False], ids=["is_snapshot is obeyed", "is_snapshot is not looked at"])
@SEEDS
def test_tardis_has_the_true_book_at_every_time(obeys: bool, seed: int, tmp_path: Path) -> None:
    made = market(Decimal, seed)
    folder, _ = exported(tmp_path, made, "tardis", exact=True)
    days = tables(folder, "incremental_book_L2")
    assert len(days) == 2
    for day in days:
        found = follow(day, obeys=obeys)
        assert len(found) > 100
        for ts, book in found.items():
            assert book == (made.book(ts * 1000 + 999) or ({}, {}))


@SEEDS
def test_tardis_has_every_trade_and_quote(seed: int, tmp_path: Path) -> None:
    made = market(seed=seed)
    folder, _ = exported(tmp_path, made, "tardis")

    def times(event: Any) -> tuple[str, str, str, str]:
        return VENUE, SYMBOL, str((event.ts_event or event.ts_recv) // 1000), str(event.ts_recv // 1000)

    names = ["exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"]
    trades = [row for day in tables(folder, "trades") for row in day]
    assert [list(row) for row in trades] == [names] * len(trades)
    assert [(*list(r.values())[:6], float(r["price"]), float(r["amount"])) for r in trades] == [
        (*times(t), t.id, t.side, t.price, t.size) for t in made.trades()
    ]
    quotes = [row for day in tables(folder, "book_ticker") for row in day]
    known = [e for e in made.events if isinstance(e, ev.Ticker)]
    assert [list(row)[4:] for row in quotes] == [["ask_amount", "ask_price", "bid_price", "bid_amount"]] * len(quotes)
    assert [(*list(r.values())[:4], *(float(v) if v else None for v in list(r.values())[4:])) for r in quotes] == [
        (*times(t), t.ask_size, t.ask, t.bid, t.bid_size) for t in known
    ]


def test_tardis_has_digits_and_no_exponents(tmp_path: Path) -> None:
    prices = (1e-7, 123456789.0, 0.1)
    trades = [
        ev.Trade(**HEAD, ts_recv=MIDNIGHT + n, seq_local=n, price=p, size=1e16, side="buy", id='x,"y"')
        for n, p in enumerate(prices)
    ]
    folder, _ = exported(tmp_path, Made([*trades], []), "tardis")
    ((*rows,),) = tables(folder, "trades")
    assert [row["price"] for row in rows] == ["0.0000001", "123456789", "0.1"]
    assert {(row["amount"], row["id"]) for row in rows} == {("10000000000000000", 'x,"y"')}


@SEEDS
@pytest.mark.parametrize("name", ["hftbacktest", "tardis"])
def test_a_span_begins_with_its_whole_book(name: str, seed: int, tmp_path: Path) -> None:
    made = market(Decimal, seed)
    end = MIDNIGHT + 30 * SECOND
    folder, done = exported(tmp_path, made, name, exact=True, start=START, end=end)
    assert START <= done.ts_from < done.ts_to < end
    if name == "tardis":
        rows = [row for day in tables(folder, "incremental_book_L2") for row in day]
        found = {ts * 1000 + 999: book for ts, book in follow(rows, obeys=True).items()}
        for ts, book in found.items():
            assert book == (made.book(ts) or ({}, {}))
        first = rows[0]["is_snapshot"] == "true"
    else:
        raw = [row for day in arrays(folder) for row in day]
        for ts, held in at_ends(raw, LOCAL, "local_ts").items():
            assert held == floats(made.book(ts))
        first = next(row for row in raw if row.kind != TRADE).kind == SNAPSHOT
    assert first
    before = made.book(START - 1)
    assert (done.ts_from == START) == (before is not None)


FIXED = Decimal(10) ** 16


def fixed(data: bytes) -> Decimal:
    return int.from_bytes(data, "little", signed=True) / FIXED


def catalog(folder: Path, type_: str) -> tuple[list[dict[str, Any]], dict[bytes, bytes]]:
    (path,) = folder.glob(f"data/{type_}/BTC-USD.KRAKEN/*.parquet")
    table = pq.read_table(path, partitioning=None)
    rows: list[dict[str, Any]] = table.to_pylist()
    if type_ != "currency_pair":
        begins, ends = path.stem.split("_")
        assert begins.endswith(f"-{rows[0]['ts_init'] % SECOND:09}Z")
        assert ends.endswith(f"-{rows[-1]['ts_init'] % SECOND:09}Z")
    return rows, table.schema.metadata


@SEEDS
def test_nautilus_has_the_true_book_at_every_time(seed: int, tmp_path: Path) -> None:
    made = market(Decimal, seed)
    folder, _ = exported(tmp_path, made, "nautilus", exact=True)
    rows, said = catalog(folder, "order_book_delta")
    assert said == {b"instrument_id": b"BTC-USD.KRAKEN", b"price_precision": b"1", b"size_precision": b"4"}
    books: Sides = ({}, {})
    found = {}
    for row in rows:
        if row["action"] == 4:
            books = {}, {}
        elif row["action"] == 3:
            books[row["side"] - 1].pop(fixed(row["price"]), None)
        else:
            books[row["side"] - 1][fixed(row["price"])] = fixed(row["size"])
        if row["flags"] & 128:
            found[row["ts_init"]] = (dict(books[0]), dict(books[1]))
    assert len(found) > 300
    assert [row["ts_init"] for row in rows] == sorted(row["ts_init"] for row in rows)
    for ts, book in found.items():
        assert book == (made.book(ts) or ({}, {}))
    assert rows[-1]["flags"] & 128


@SEEDS
def test_nautilus_has_every_trade_and_whole_quote(seed: int, tmp_path: Path) -> None:
    made = market(seed=seed)
    folder, done = exported(tmp_path, made, "nautilus")
    rows, said = catalog(folder, "trade_tick")
    assert said == catalog(folder, "order_book_delta")[1] == catalog(folder, "quote_tick")[1]
    assert [(float(fixed(r["price"])), float(fixed(r["size"])), r["aggressor_side"], r["trade_id"]) for r in rows] == [
        (t.price, t.size, 1 if t.side == "buy" else 2, t.id) for t in made.trades()
    ]
    assert [(r["ts_init"], r["ts_event"]) for r in rows] == [
        (t.ts_recv, t.ts_event or t.ts_recv) for t in made.trades()
    ]
    quotes = catalog(folder, "quote_tick")[0]
    known = [e for e in made.events if isinstance(e, ev.Ticker) and e.ask is not None]
    names = ("bid_price", "ask_price", "bid_size", "ask_size")
    assert [tuple(float(fixed(q[name])) for name in names) for q in quotes] == [
        (t.bid, t.ask, t.bid_size, t.ask_size) for t in known
    ]
    left = sum(isinstance(e, ev.Ticker) for e in made.events) - len(known)
    assert done.changed == {"tickers without both sides left out": left, "instrument made of its name": 1}


def test_nautilus_has_the_instrument_as_it_was_told(tmp_path: Path) -> None:
    made = market(seed=5, count=50)
    told = ev.Instrument(
        **HEAD,
        ts_recv=made.events[0].ts_recv,
        native="XBT/USD",
        base="BTC",
        quote="USD",
        tick=0.05,
        lot=1e-8,
        price_digits=2,
    )
    folder, done = exported(tmp_path, Made([told, *made.events], []), "nautilus")
    ((row,), _) = catalog(folder, "currency_pair")
    assert (row["id"], row["raw_symbol"], row["base_currency"], row["quote_currency"]) == (
        "BTC-USD.KRAKEN",
        "XBT/USD",
        "BTC",
        "USD",
    )
    assert (row["price_precision"], row["price_increment"]) == (2, "0.05")
    assert (row["size_precision"], row["size_increment"]) == (8, "0.00000001")
    assert catalog(folder, "trade_tick")[1][b"size_precision"] == b"8"
    assert "instrument made of its name" not in done.changed


@pytest.mark.parametrize("price", ["0.00000000000000001", "17014118346046"], ids=["too fine", "too great"])
def test_nautilus_rounds_nothing(price: str, tmp_path: Path) -> None:
    trade = ev.Trade(**HEAD, ts_recv=MIDNIGHT, price=Decimal(price), size=Decimal(1), side="buy", id="1")
    with pytest.raises(RecordingError, match="NautilusTrader has no such number"):
        exported(tmp_path, Made([trade], []), "nautilus", exact=True)
    assert not list((tmp_path / "out").rglob("*"))


def test_nautilus_gets_ids_that_it_takes(tmp_path: Path) -> None:
    ids = ["1", "", " ", "é", "x" * 36, "x" * 37]
    trades = [
        ev.Trade(**HEAD, ts_recv=MIDNIGHT + n, seq_local=n, price=1.0, size=1.0, side="buy", id=id_)
        for n, id_ in enumerate(ids)
    ]
    folder, done = exported(tmp_path, Made([*trades], []), "nautilus")
    found = [row["trade_id"] for row in catalog(folder, "trade_tick")[0]]
    assert (found[0], found[1], found[4]) == ("1", "1", "x" * 36)
    assert len(set(found[2:])) == 4
    assert all(0 < len(id_) <= 36 and id_.isascii() for id_ in found)
    assert done.changed["trade ids made"] == 4


def test_what_is_no_currency_pair_has_no_instrument(tmp_path: Path) -> None:
    name = "BTC-USD-PERP"
    trade = ev.Trade(venue=VENUE, symbol=name, ts_recv=MIDNIGHT, price=1.0, size=1.0, side="buy", id="1")
    root = save(tmp_path / "data", [trade])
    done = export(root, "nautilus", tmp_path / "out", venue=VENUE, symbol=name)
    assert done.changed["no instrument: it is no currency pair"] == 1
    assert not (tmp_path / "out" / "data" / "currency_pair").exists()
