"""A dataset read back: filtered, merged in order, and books and candles made from it are those that were."""

import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketfeed import events as ev
from marketfeed.errors import ConfigError, RecordingError
from marketfeed.trusted_book import TrustedBook

pa = pytest.importorskip("pyarrow")

from marketfeed.recording import tables  # noqa: E402 # needs pyarrow
from marketfeed.recording.dataset import open_dataset  # noqa: E402
from marketfeed.recording.layout import partition  # noqa: E402
from marketfeed.recording.manifest import MANIFESTS  # noqa: E402
from marketfeed.recording.times import step_ns, time_ns  # noqa: E402

from .recorded import script, seal  # noqa: E402
from .test_tables import samples  # noqa: E402

DAY = 86_400 * 10**9
MIDNIGHT = 20_550 * DAY
SECOND = 10**9


def save(root: Path, events: Iterable[ev.Head], exact: bool = False, rows_a_file: int = 150) -> None:
    """As a recorder does: by venue, channel and date, some files each."""
    held: dict[tuple[str, int], list[ev.Head]] = defaultdict(list)
    for event in events:
        held[event.venue, event.ts_recv // DAY].append(event)
    for (venue, day), some in held.items():
        for start in range(0, len(some), rows_a_file):
            for channel, table in tables.to_tables(some[start : start + rows_a_file], exact).items():
                folder = root / partition(venue, channel, day * DAY)
                folder.mkdir(parents=True, exist_ok=True)
                tables.write(table, folder / f"{start:08}.parquet")


def market(number: Any = float, seed: int = 1, count: int = 2000) -> list[ev.Head]:
    """Two venues and two symbols over a midnight: trades, tickers, books that break and mend, connections."""
    rng = random.Random(seed)
    now = MIDNIGHT - 300 * SECOND
    books = {(v, s): [0, 0, False] for v in ("kraken", "coin base/2") for s in ("BTC-USD", "ETH-USD")}
    events: list[ev.Head] = []

    def level() -> tuple[Any, Any]:
        return number(str(rng.randrange(1, 40))), number(str(rng.randrange(4) / 4))

    for n in range(count):
        now += rng.choice((0, 1, 7_000_003, 800_000_000))
        venue, symbol = rng.choice(list(books))
        state = books[venue, symbol]
        head: dict[str, Any] = {"venue": venue, "symbol": symbol, "ts_event": now - 5, "ts_recv": now, "seq_local": n}
        roll = rng.random()
        if roll < 0.3:
            price, size = number(str(rng.randrange(100, 200))), number(str(rng.randrange(1, 9) / 8))
            events.append(ev.Trade(**head, price=price, size=size, side=rng.choice(("buy", "sell")), id=str(n)))
        elif roll < 0.4:
            events.append(ev.Ticker(**head, bid=number("1.5")))
        elif roll < 0.42:
            events.append(ev.Disconnected(**{**head, "symbol": ""}, link="a", code=1006, reason="reset"))
        elif roll < 0.44 and state[2]:
            state[2] = False
            events.append(ev.BookVoid(**head, epoch=state[0], reason="hole"))
        elif not state[2] or roll < 0.46:
            state[0], state[1], state[2] = state[0] + 1, n, True
            sides = [tuple({p: (p, number(1)) for p, _ in (level(), level())}.values()) for _ in range(2)]
            events.append(ev.BookSnapshot(**head, epoch=state[0], seq=n, bids=sides[0], asks=sides[1]))
        else:
            bids, asks = (tuple(level() for _ in range(rng.randrange(3))) for _ in range(2))
            events.append(ev.BookDelta(**head, epoch=state[0], seq=n, prev_seq=state[1], bids=bids, asks=asks))
            state[1] = n
    return events


@pytest.fixture(params=[float, Decimal], ids=["float", "exact"], scope="module")
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ev.Head]]:
    root = tmp_path_factory.mktemp("data")
    events = market(request.param)
    save(root, events, request.param is Decimal)
    return root, events


def test_it_says_what_it_holds(recorded: tuple[Path, list[ev.Head]]) -> None:
    root, events = recorded
    data = open_dataset(root)
    assert data.channels == ["book", "life", "ticker", "trades"]
    assert data.venues == ["coin base/2", "kraken"]
    assert data.symbols == ["BTC-USD", "ETH-USD"]
    assert data.span == (events[0].ts_recv, events[-1].ts_recv)
    assert len({file.date for file in data.files}) == 2


def test_all_events_come_back_in_order(recorded: tuple[Path, list[ev.Head]]) -> None:
    root, events = recorded
    assert list(open_dataset(str(root)).events()) == events


def test_some_events(recorded: tuple[Path, list[ev.Head]]) -> None:
    root, events = recorded
    data = open_dataset(root)
    middle, end = events[700].ts_recv, events[1500].ts_recv
    found = list(data.events(("trades", "life"), venue="kraken", symbol="ETH-USD", start=middle, end=end))
    assert found == [
        e
        for e in events
        if (type(e) is ev.Trade and e.symbol == "ETH-USD")
        or (type(e) in {ev.BookVoid, ev.Disconnected} and e.symbol in {"ETH-USD", ""})
        if e.venue == "kraken" and middle <= e.ts_recv < end
    ]
    assert found
    assert list(data.events("trades", symbol="DOGE-USD")) == []
    assert list(data.events("instrument")) == list(data.events("trades", venue="binance")) == []


def test_tables_and_frames(recorded: tuple[Path, list[ev.Head]]) -> None:
    root, events = recorded
    data = open_dataset(root)
    trades = [e for e in events if isinstance(e, ev.Trade) and e.ts_recv >= MIDNIGHT]
    table = data.table("trades", start=MIDNIGHT)
    assert tables.to_events("trades", table) == trades
    assert data.table("trades", venue="nobody").num_rows == 0
    pl, pd = pytest.importorskip("polars"), pytest.importorskip("pandas")
    assert data.polars("trades", start=MIDNIGHT)["price"].to_list() == [e.price for e in trades]
    frame = data.pandas("life")
    assert isinstance(frame.dtypes["code"], pd.Int64Dtype)
    assert len(pl.scan_parquet(root / "**/channel=trades/**/*.parquet").collect()) == len(data.table("trades"))


def test_other_tools_read_the_folder(recorded: tuple[Path, list[ev.Head]]) -> None:
    pl, pd = pytest.importorskip("polars"), pytest.importorskip("pandas")
    duckdb = pytest.importorskip("duckdb")
    root, events = recorded
    wanted = sorted((e.seq_local, e.venue) for e in events if isinstance(e, ev.Trade))
    files = f"{root}/*/channel=trades/*/*.parquet"
    frame = pl.scan_parquet(files, hive_partitioning=True).select("seq_local", pl.col("venue").cast(pl.String))
    assert sorted(frame.collect().rows()) == wanted
    query = f"select seq_local, venue from read_parquet('{files}', hive_partitioning=true) where date >= '2026-01-01'"
    assert sorted(duckdb.sql(query).fetchall()) == wanted
    found = [pd.read_parquet(folder) for folder in root.glob("venue=*/channel=trades")]
    rows = pd.concat(found)[["seq_local", "venue"]].astype({"venue": str})
    assert sorted(rows.itertuples(index=False, name=None)) == wanted
    one = pd.read_parquet(root, filters=[("channel", "==", "trades")], columns=["seq_local", "venue"])
    assert sorted(one["seq_local"]) == [seq for seq, _ in wanted]


def followed(events: list[ev.Head], venue: str, symbol: str, t: int) -> TrustedBook[Any]:
    book: TrustedBook[Any] = TrustedBook(f"{venue}:{symbol}:book")
    for event in events:
        if (event.venue, event.symbol) == (venue, symbol) and event.ts_recv <= t:
            book.apply(event)
    return book


def shown(book: TrustedBook[Any]) -> Any:
    known = book.last_known
    return book.state, book.reason, book.epoch, book.seq, book.ts_recv, known.bids(99), known.asks(99)


def test_the_book_at_any_time_is_the_one_that_was(recorded: tuple[Path, list[ev.Head]]) -> None:
    root, events = recorded
    data = open_dataset(root)
    rng = random.Random(7)
    times = [rng.choice(events).ts_recv + rng.choice((-1, 0, 1)) for _ in range(40)] + [0, events[-1].ts_recv + DAY]
    states = set()
    for t in times:
        venue, symbol = rng.choice(("kraken", "coin base/2")), rng.choice(("BTC-USD", "ETH-USD"))
        book = data.book_at(venue, symbol, t)
        wanted = followed(events, venue, symbol, t)
        states.add(book.state)
        assert shown(book) == shown(wanted)
    assert states == {"unsynced", "live", "void"}


def test_changes_that_waited_for_their_snapshot_follow_it(tmp_path: Path) -> None:
    market = ("binance", "BTC-USDT")
    head: dict[str, Any] = {"venue": market[0], "symbol": market[1]}
    at = MIDNIGHT + 60 * SECOND
    events: list[ev.Head] = [
        ev.BookSnapshot(**head, ts_recv=at, seq_local=1, epoch=1, seq=5, bids=((1.0, 1.0),), asks=((3.0, 1.0),)),
        ev.BookDelta(**head, ts_recv=at - 9, seq_local=2, epoch=1, seq=6, prev_seq=5, bids=((2.0, 1.0),), asks=()),
        ev.BookDelta(**head, ts_recv=at + 9, seq_local=3, epoch=1, seq=7, prev_seq=6, bids=((1.0, 0.0),), asks=()),
    ]
    save(tmp_path, events)
    data = open_dataset(tmp_path)
    assert list(data.events()) == events
    assert data.book_at(*market, at).bids() == [(2.0, 1.0), (1.0, 1.0)]
    assert data.book_at(*market, at + 9).bids() == [(2.0, 1.0)]
    assert not data.book_at(*market, at - 1).live


def test_a_book_is_not_believed_where_it_was_not_recorded(tmp_path: Path) -> None:
    events = [e for e in market() if e.ts_recv < MIDNIGHT]
    last = events[-1].ts_recv
    at: dict[str, Any] = {"venue": "recorder", "seq_local": 10**6}
    holes = [ev.RecorderStatus(**at, ts_recv=last + 5 * SECOND, status="started", ts_from=last, ts_to=last + SECOND)]
    save(tmp_path, [*events, *holes])
    data = open_dataset(tmp_path)
    assert data.venues == ["coin base/2", "kraken"]
    names = [(v, s) for v in data.venues for s in data.symbols if followed(events, v, s, last).live]
    assert names
    for venue, symbol in names:
        assert shown(data.book_at(venue, symbol, last - 1)) == shown(followed(events, venue, symbol, last - 1))
        for t in (last + 1, last + DAY):
            book = data.book_at(venue, symbol, t)
            assert (book.state, book.reason) == ("void", "it was not recorded")


def test_a_book_is_not_believed_after_the_recorder_has_ended(tmp_path: Path) -> None:
    events = [e for e in market() if e.ts_recv < MIDNIGHT]
    last = events[-1].ts_recv
    ended = ev.RecorderStatus(venue="recorder", seq_local=10**6, ts_recv=last + SECOND, status="ended", events=9)
    save(tmp_path, [*events, ended])
    data = open_dataset(tmp_path)
    venue, symbol = next((v, s) for v in data.venues for s in data.symbols if followed(events, v, s, last).live)
    assert data.book_at(venue, symbol, last).live
    assert data.book_at(venue, symbol, last + SECOND).state == "void"
    assert list(data.events("life", venue="recorder")) == [ended]


def test_top_of_book_is_what_was_known_at_each_time(recorded: tuple[Path, list[ev.Head]]) -> None:
    root, events = recorded
    start, end = MIDNIGHT - 100 * SECOND, MIDNIGHT + 100 * SECOND
    found = open_dataset(root).top_of_book("kraken", "BTC-USD", "10s", start=start, end=end)
    assert found.schema.names == ["ts", "bid", "bid_size", "ask", "ask_size"]
    rows = [(ts.value, *row) for ts, *row in zip(found["ts"], *(c.to_pylist() for c in found.columns[1:]), strict=True)]
    assert [row[0] for row in rows] == list(range(start, start + len(rows) * 10 * SECOND, 10 * SECOND))
    assert len(rows) >= 15
    for ts, *best in rows:
        book = followed(events, "kraken", "BTC-USD", ts)
        bid, ask = book.best() if book.live else (None, None)
        assert best == [*(bid or (None, None)), *(ask or (None, None))]
    whole = open_dataset(root).top_of_book("kraken", "BTC-USD", "1m")
    assert whole["ts"][0].value % (60 * SECOND) == 0
    assert whole["ts"][0].value >= events[0].ts_recv
    assert whole["ts"][-1].value <= events[-1].ts_recv
    assert open_dataset(root).top_of_book("nobody", "BTC-USD").num_rows == 0


def test_every_kind_of_event_through_a_dataset(tmp_path: Path) -> None:
    events = samples(float)
    save(tmp_path, events)
    found = list(open_dataset(tmp_path).events())
    assert sorted(map(repr, found)) == sorted(map(repr, events))


@pytest.mark.parametrize(
    "t",
    [
        1_775_572_202_789_012_345,
        "2026-04-07T14:30:02.789012345Z",
        "2026-04-07 14:30:02.789012345",
        "2026-04-07T16:30:02.789012345+02:00",
    ],
)
def test_times(t: Any) -> None:
    assert time_ns(t) == 1_775_572_202_789_012_345


def test_times_of_other_kinds() -> None:
    assert time_ns("2026-04-07") == time_ns(datetime(2026, 4, 7, tzinfo=UTC)) == 20_550 * DAY
    assert time_ns(datetime(2026, 4, 7, 2, 0, 0, 123_456, timezone(timedelta(hours=2)))) == 20_550 * DAY + 123_456_000
    pd = pytest.importorskip("pandas")
    assert time_ns(pd.Timestamp(1_775_572_202_789_012_345, tz="UTC")) == 1_775_572_202_789_012_345


@pytest.mark.parametrize("t", ["", "yesterday", "2026-13-01", datetime(2026, 4, 7), -1, 2**63, "2500-01-01"])  # noqa: DTZ001
def test_what_is_no_time(t: Any) -> None:
    with pytest.raises(ConfigError):
        time_ns(t)


def test_lengths_of_time() -> None:
    assert [step_ns(t) for t in ("250ms", "1s", "5m", "1h", "1d")] == [
        250 * 10**6,
        SECOND,
        300 * SECOND,
        3600 * SECOND,
        DAY,
    ]
    for wrong in ("", "0s", "1", "s", "1w", "-1s", "1.5s"):
        with pytest.raises(ConfigError, match="not a length of time"):
            step_ns(wrong)


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such folder"):
        open_dataset(tmp_path / "none")
    with pytest.raises(RecordingError, match="no file venue="):
        open_dataset(tmp_path)


def a_file(root: Path, exact: bool = False, channel: str = "trades") -> Path:
    number: Any = Decimal if exact else float
    save(root, samples(number)[:1], exact)
    return next(root.rglob(f"channel={channel}/**/*.parquet"))


def test_an_unknown_channel_is_named(tmp_path: Path) -> None:
    a_file(tmp_path)
    with pytest.raises(ConfigError, match="no channel is called 'trade'"):
        open_dataset(tmp_path).table("trade")


def test_a_damaged_page_is_seen(tmp_path: Path) -> None:
    events = [e for e in market() if type(e) is ev.Trade]
    save(tmp_path, events, rows_a_file=10**6)
    path = max(tmp_path.rglob("*.parquet"), key=lambda p: p.stat().st_size)
    body = bytearray(path.read_bytes())
    body[60] ^= 1
    path.write_bytes(body)
    data = open_dataset(tmp_path)
    with pytest.raises(RecordingError, match="channel trades"):
        data.table("trades")
    with pytest.raises(RecordingError, match=path.name):
        list(data.events())


def test_a_torn_file_and_one_of_others(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    body = path.read_bytes()
    path.write_bytes(body[:-20])
    with pytest.raises(RecordingError, match="not a whole Parquet file"):
        list(open_dataset(tmp_path).events())
    pa.parquet.write_table(pa.table({"ts_recv": [1]}), path)
    with pytest.raises(RecordingError, match="not written by marketfeed"):
        open_dataset(tmp_path).table("trades")


def test_float_and_exact_files_are_not_mixed(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    path.rename(path.with_name("other.parquet"))
    a_file(tmp_path, exact=True)
    with pytest.raises(RecordingError, match="float and exact"):
        open_dataset(tmp_path).table("trades")


def test_R03_only_what_a_manifest_names_counts(tmp_path: Path) -> None:
    events = script().events
    data = seal(tmp_path, events[:100], events[100:])
    some = sorted(data.rglob("*.parquet"))
    some[0].rename(some[0].with_name(some[0].name + ".part"))  # counts: the crash was before its name was given
    (some[1].with_name("000000000077-000000000078.parquet")).write_bytes(some[1].read_bytes())  # of nobody
    (some[2].with_name("000000000077-000000000078.parquet.part")).write_bytes(b"half")
    assert list(open_dataset(data).events()) == events


def test_a_file_that_counts_and_is_missing_is_named(tmp_path: Path) -> None:
    data = seal(tmp_path, script().events)
    path = next(data.glob("venue=kraken/channel=trades/*/*.parquet"))
    path.unlink()
    with pytest.raises(RecordingError, match=f"{path.name}: is missing, and a manifest names it"):
        open_dataset(data).table("trades")


def test_a_folder_where_nothing_is_sealed_yet_says_so(tmp_path: Path) -> None:
    (tmp_path / MANIFESTS).mkdir()
    with pytest.raises(RecordingError, match="nothing is sealed yet"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("path", ["../elsewhere.parquet", "venue=a/channel=b/../x.parquet", "/etc/passwd", ""])
def test_a_manifest_cannot_lead_out_of_the_folder(path: str, tmp_path: Path) -> None:
    data = seal(tmp_path, script().events)
    manifest = next((data / MANIFESTS).glob("*.json"))
    held = json.loads(manifest.read_bytes())
    held["files"][0]["path"] = path
    manifest.write_text(json.dumps(held))
    with pytest.raises(RecordingError, match="is no path of a dataset's file"):
        open_dataset(data)


def test_files_that_overlap_are_merged(tmp_path: Path) -> None:
    events = [e for e in market() if e.ts_recv < MIDNIGHT and e.venue == "kraken"]
    for n in range(3):
        for channel, table in tables.to_tables(events[n::3]).items():
            folder = tmp_path / partition("kraken", channel, MIDNIGHT - 1)
            folder.mkdir(parents=True, exist_ok=True)
            tables.write(table, folder / f"{n}.parquet")
    assert list(open_dataset(tmp_path).events()) == events


@pytest.mark.parametrize("module", ["tables", "dataset"])
def test_without_pyarrow_it_says_what_to_install(module: str) -> None:
    code = (
        "import sys\n"
        "import marketfeed.recording\n"
        "assert 'pyarrow' not in sys.modules\n"
        "sys.modules['pyarrow'] = None\n"
        f"import marketfeed.recording.{module}"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "MissingExtra: a Parquet dataset needs an optional package: pip install 'marketfeed[parquet]'" in run.stderr


@pytest.mark.parametrize("name", ["polars", "pandas"])
def test_a_tool_that_is_not_installed_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_file(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"pip install {name}"):
        getattr(open_dataset(tmp_path), name)("trades")
