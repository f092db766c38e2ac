"""What is made of a recording: candles, trades with quotes, what is missing, books at any time, in any reader."""

import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import marketfeed as mf
from marketfeed import events as ev
from marketfeed import sim
from marketfeed.errors import ConfigError
from marketfeed.trusted_book import TrustedBook

from ..virtual import on

pa = pytest.importorskip("pyarrow")

from marketfeed.recording.dataset import Dataset, open_dataset  # noqa: E402
from marketfeed.recording.recorder import Recorder  # noqa: E402

from .recorded import SECOND, START, SYMBOL, VENUE, Script, script, seal  # noqa: E402


@pytest.fixture(params=[float, Decimal], ids=["float", "exact"], scope="module")
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, list[ev.Head]]:
    events = script(request.param).events
    root = tmp_path_factory.mktemp("data")
    return open_dataset(seal(root, events[:100], events[100:], exact=request.param is Decimal)), events


def rows(table: Any) -> list[tuple[Any, ...]]:
    """The rows of a table, times as Unix nanoseconds."""
    columns = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def plain_candles(events: list[ev.Head], step: int) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for e in events:
        if isinstance(e, ev.Trade):
            p, nothing = e.price, e.size * 0
            one = found.setdefault(e.ts_recv // step * step, [p, p, p, p, nothing, nothing, nothing, 0])
            one[1], one[2], one[3] = max(one[1], p), min(one[2], p), p
            one[4] += e.size
            one[5 if e.side == "buy" else 6] += e.size
            one[7] += 1
    return found


def test_candles_are_those_of_a_plain_loop(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    data, events = recorded
    found = data.candles(VENUE, SYMBOL, "2s")
    prices = ["open", "high", "low", "close", "volume", "buy_volume", "sell_volume"]
    assert found.schema.names == ["ts", *prices, "trades", "incomplete"]
    wanted = plain_candles(events, 2 * SECOND)
    assert [[ts, *values] for ts, *values, _ in rows(found)] == [[ts, *values] for ts, values in wanted.items()]
    assert {found[name].type for name in prices} == {data.table("trades")["price"].type}, "exact stays exact"
    assert data.candles(VENUE, "DOGE-USD").num_rows == 0


def test_candles_that_touch_a_hole_say_so_and_none_is_made_up(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    data, events = recorded
    step = SECOND
    marks = {ts: incomplete for ts, *_, incomplete in rows(data.candles(VENUE, SYMBOL, "1s"))}
    trades = {e.ts_recv // step * step for e in events if isinstance(e, ev.Trade)}
    assert set(marks) == trades, "no candle without a trade"
    holes = [(e.ts_from, e.ts_to) for e in events if isinstance(e, ev.Gap) and e.cause == "trade ids"]
    lost = next(e for e in events if isinstance(e, ev.Gap) and (e.channel, e.cause) == ("trades", "link lost"))
    again = next(e.ts_recv for e in events if isinstance(e, ev.Subscribed) and e.ts_recv > lost.ts_recv)
    holes += [(lost.ts_from, again), (0, events[0].ts_recv), (events[-1].ts_recv, 2**63)]
    assert marks == {ts: any(a < ts + step and ts < b for a, b in holes) for ts in marks}
    assert {True, False} == set(marks.values())


def test_a_candle_that_is_cut_by_what_was_asked_for_is_incomplete(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    data, _ = recorded
    start, end = START + 2 * SECOND + 1, START + 7 * SECOND - 1
    found = rows(data.candles(VENUE, SYMBOL, "1s", start=start, end=end))
    assert [incomplete for *_, incomplete in found] == [True, False, False, False, True]


def test_a_candle_is_incomplete_where_trades_are_missing_within_one_read(tmp_path: Path) -> None:
    made = Script()
    made.begin()
    made.flow(3, every_s=1)
    made.trade()
    at = made.events[-1].ts_recv
    lost = {"ts_recv": at, "ts_from": at, "ts_to": at, "from_seq": 1005, "to_seq": 1007}
    made.tell(ev.Gap, channel="trades", cause="trade ids", **lost)
    made.tell(ev.Trade, price=100.0, size=0.25, side="buy", id="1008", ts_recv=at)
    made.wait(2)
    made.flow(3, every_s=1)
    made.recorder("ended")
    found = rows(open_dataset(seal(tmp_path, made.events)).candles(VENUE, SYMBOL, "1s"))
    assert {ts for ts, *_, incomplete in found[1:-1] if incomplete} == {at // SECOND * SECOND}


def test_candles_are_incomplete_where_a_clock_was_set_back_over_a_loss(tmp_path: Path) -> None:
    made = Script()
    made.begin()
    made.flow(6, every_s=1)
    before = made.part()
    made.wait(-2.5)
    made.connect()
    back = made.now
    made.flow(6, every_s=1)
    made.recorder("ended")
    found = rows(open_dataset(seal(tmp_path, made.events)).candles(VENUE, SYMBOL, "1s"))
    first, last = back // SECOND * SECOND, before // SECOND * SECOND
    assert [ts for ts, *_, incomplete in found[1:-1] if incomplete] == [*range(first, last + 1, SECOND)]


def test_the_last_candle_is_incomplete_while_the_recorder_has_not_ended(tmp_path: Path) -> None:
    made = Script()
    made.begin()
    made.flow(6, every_s=1)
    found = rows(open_dataset(seal(tmp_path, made.events)).candles(VENUE, SYMBOL, "1s"))
    assert [incomplete for *_, incomplete in found] == [True, False, False, False, False, True]


def test_a_candle_in_which_its_stream_only_began_is_incomplete(tmp_path: Path) -> None:
    made = Script()
    made.recorder("started")
    made.wait(7)
    made.connect()
    made.flow(8, every_s=1)
    made.recorder("ended")
    data = open_dataset(seal(tmp_path, made.events))
    for start in (None, START + 5 * SECOND):  # whatever is asked for
        found = rows(data.candles(VENUE, SYMBOL, "5s", start=start))
        assert [(ts - START, incomplete) for ts, *_, incomplete in found] == [(5 * SECOND, True), (10 * SECOND, False)]


def test_a_stream_that_stood_before_its_recorder_began_cuts_no_candle(tmp_path: Path) -> None:
    made = Script()
    made.recorder("started")
    made.flow(12, every_s=1)
    made.lose(missed=1)
    made.flow(12, every_s=1)
    made.recorder("ended")
    found = rows(open_dataset(seal(tmp_path, made.events)).candles(VENUE, SYMBOL, "5s"))
    assert [incomplete for *_, incomplete in found] == [True, False, True, False, False, True]


def test_what_is_missing_is_told_with_its_cause(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    data, events = recorded
    found = data.missing("trades", venue=VENUE, symbol=SYMBOL)
    assert found.schema.names == ["ts_from", "ts_to", "venue", "symbol", "channel", "cause", "detail"]
    assert [row[5] for row in rows(found)] == ["link lost", "trade ids", "trade ids", "not recorded"]
    assert rows(found)[-1][:3] == (events[-1].ts_recv, None, None), "of every venue, with no end"
    assert data.missing("ticker").num_rows == 2
    book = rows(data.missing("book", symbol=SYMBOL))[0]
    assert book[1] == [e.ts_recv for e in events if isinstance(e, ev.BookSnapshot)][1], "until the next snapshot"


def walked(events: list[ev.Head], quotes: str) -> list[tuple[Any, ...]]:
    """The quote before each trade, by a plain loop over what a consumer saw."""
    book: TrustedBook[Any] = TrustedBook("")
    quote: Any = (None,) * 5
    found = []
    for e in events:
        if quotes == "book" and isinstance(e, ev.BookSnapshot | ev.BookDelta | ev.BookVoid):
            book.apply(e)
            quote = (None,) * 5
            if book.live:
                bid, ask = book.best()
                quote = (*(bid or (None, None)), *(ask or (None, None)), e.ts_recv)
        elif quotes == "ticker" and isinstance(e, ev.Ticker):
            quote = (e.bid, e.bid_size, e.ask, e.ask_size, e.ts_recv)
        elif quotes == "ticker" and isinstance(e, ev.Gap) and e.channel == "ticker":
            quote = (None,) * 5
        elif isinstance(e, ev.Trade):
            found.append((e.id, *quote))
    return found


@pytest.mark.parametrize("quotes", ["book", "ticker"])
def test_each_trade_has_the_quote_that_stood_when_it_came(quotes: Any, recorded: tuple[Dataset, list[ev.Head]]) -> None:
    data, events = recorded
    found = data.trades_with_quotes(VENUE, SYMBOL, quotes=quotes)
    assert found.num_rows == data.table("trades").num_rows
    got = rows(found.select(["id", "bid", "bid_size", "ask", "ask_size", "ts_quote"]))
    assert got == walked(events, quotes)
    start = START + 5 * SECOND
    later = rows(data.trades_with_quotes(VENUE, SYMBOL, quotes=quotes, start=start).select(["id", "bid", "ts_quote"]))
    assert later == [(row[0], row[1], row[5]) for row in got[-len(later) :]], "a later start changes no quote"


def test_no_quote_goes_over_a_gap(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    data, events = recorded
    lost = next(e for e in events if isinstance(e, ev.Disconnected)).ts_recv
    first = next(e for e in events if isinstance(e, ev.Trade) and e.ts_recv > lost)
    by_ticker = {
        row[0]: row[1] for row in rows(data.trades_with_quotes(VENUE, SYMBOL, quotes="ticker").select(["id", "ask"]))
    }
    assert by_ticker[first.id] is None, "no ticker has come since the link broke"


def test_no_ticker_is_a_quote_once_nobody_wants_it_any_more(tmp_path: Path) -> None:
    made = Script()
    made.begin()
    made.flow(3)
    made.tell(ev.Unsubscribed, channel="ticker")
    made.trade()
    made.recorder("ended")
    data = open_dataset(seal(tmp_path, made.events))
    quotes = [row[0] for row in rows(data.trades_with_quotes(VENUE, SYMBOL, quotes="ticker").select(["bid"]))]
    assert quotes == [None, 99.5, 99.5, None]


def test_no_quote_goes_over_a_time_that_was_not_recorded(tmp_path: Path) -> None:
    first, later = Script(), Script()
    first.begin()
    first.flow(5)
    later.now = first.now + 3600 * SECOND
    later.recorder("started", ts_from=first.now, ts_to=first.now + 3600 * SECOND)
    later.trade()
    data = open_dataset(seal(tmp_path, first.events, later.events))
    for quotes in ("book", "ticker"):
        found = data.trades_with_quotes(VENUE, SYMBOL, quotes=quotes)["bid"].to_pylist()
        assert found[-1] is None
        assert None not in found[1:-1]


def test_other_quotes_are_refused(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    with pytest.raises(ConfigError, match="there are book and ticker"):
        recorded[0].trades_with_quotes(VENUE, SYMBOL, quotes="candles")  # type: ignore[arg-type]


# --- other readers ---------------------------------------------------------------------------------------------------


def whole_numbers(events: list[ev.Head]) -> list[tuple[int, Any, str]]:
    return [(e.ts_recv, e.price, e.id) for e in events if isinstance(e, ev.Trade)]


def test_polars_reads_numbers_and_times_as_they_are(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    pl = pytest.importorskip("polars")
    data, events = recorded
    for frame in (
        pl.scan_parquet(data.root / "venue=*/channel=trades/**/*.parquet").collect(),
        pl.from_arrow(data.table("trades")),
    ):
        assert frame.schema["ts_recv"] == pl.Datetime("ns", "UTC")
        exact = isinstance(events[2], ev.BookSnapshot) and isinstance(events[2].bids[0][0], Decimal)
        assert not exact or frame.schema["price"] == pl.Decimal(38, 18)
        found = frame.sort("ts_recv").select(pl.col("ts_recv").to_physical(), "price", pl.col("id"))
        assert found.rows() == whole_numbers(events)


def test_duckdb_reads_numbers_and_times_as_they_are(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    duckdb = pytest.importorskip("duckdb")
    data, events = recorded
    files = f"{data.root}/venue=*/channel=trades/*/*.parquet"
    query = f"select epoch_ns(ts_recv), price, id from read_parquet('{files}', hive_partitioning=true) order by ts_recv"
    assert duckdb.sql(query).fetchall() == whole_numbers(events)
    where = "date = '2026-04-07' and venue = 'kraken'"
    asked = f"select count(*) from read_parquet('{files}', hive_partitioning=true) where {where}"
    assert duckdb.sql(asked).fetchall() == [(len(whole_numbers(events)),)]


def test_pandas_reads_numbers_and_times_as_they_are(recorded: tuple[Dataset, list[ev.Head]]) -> None:
    pd = pytest.importorskip("pandas")
    data, events = recorded
    wanted = whole_numbers(events)
    for read in (pd.read_parquet(data.root / f"venue={VENUE}" / "channel=trades"), data.pandas("trades")):
        frame = read.sort_values("ts_recv")
        assert str(frame["ts_recv"].dtype) == "datetime64[ns, UTC]"
        assert list(zip(frame["ts_recv"].astype("int64"), frame["price"], frame["id"], strict=True)) == wanted
        first = frame["ts_recv"].iloc[0].to_pydatetime(warn=False)
        assert first == datetime.fromtimestamp(wanted[0][0] // 1000 / 1e6, UTC)


# --- books -----------------------------------------------------------------------------------------------------------

SYMBOLS = {"binance": "BTC-USDT", "coinbase": "BTC-USD", "kraken": "BTC-USD"}


def state(book: Any) -> tuple[Any, ...]:
    known = book.last_known
    return book.state, book.epoch, book.seq, hash((tuple(known.bids(10_000)), tuple(known.asks(10_000))))


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_books_rebuilt_at_random_times_are_the_live_ones(venue: str, count: int, tmp_path: Path) -> None:
    symbol = SYMBOLS[venue]
    live: list[tuple[int, tuple[Any, ...]]] = []
    """From when on the live book was how."""

    @on(asyncio.SelectorEventLoop)
    async def run() -> None:
        faults = "drop=1%,cut=0.3%,reorder=0.5%"
        async with sim.Simulator([venue], seed=11, rate=None, faults=faults, symbols=[symbol]) as plant:
            at = plant.endpoints[venue]
            settings = mf.VenueSettings(ws=at.ws, rest=at.rest, max_resyncs=100)
            async with mf.Feed({venue: settings}, dice=lambda: 0.02) as feed:
                async with Recorder(feed, tmp_path, rotate_s=2, simulated=True):
                    consumer = feed.consumer(books=True)
                    feed.subscribe(f"{venue}:{symbol}", trades=True, book=True)
                    async with asyncio.timeout(60):
                        async for event in consumer:
                            if isinstance(event, ev.BookSnapshot | ev.BookDelta | ev.BookVoid):
                                known_since = max(event.ts_recv, live[-1][0] if live else 0)
                                live.append((known_since, state(consumer.book(event))))
                            if len(live) > max(400, 300 + count):
                                break
                            if not len(consumer):
                                await plant.step(3)

    run()
    data = open_dataset(tmp_path)
    dice = random.Random(3)
    seen = set()
    broken = [at for at, (_, known) in enumerate(live) if known[0] == "void"]
    for n in range(count):
        t = live[0][0] + dice.randrange(live[-1][0] - live[0][0])
        if n % 3:
            at = dice.choice(broken if n % 3 == 1 else range(len(live)))
            t = live[at][0] + dice.choice((-1, 0, 1))
        wanted = next((known for since, known in reversed(live) if since <= t), None)
        book = data.book_at(venue, symbol, t)
        seen.add(book.state)
        assert wanted is None or state(book) == wanted
    assert {"live", "void"} <= seen
