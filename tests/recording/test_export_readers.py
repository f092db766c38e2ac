"""Each export read by the software it is for, where that is installed: `pip install hftbacktest nautilus_trader`."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

from marketfeed.recording.dataset import open_dataset
from marketfeed.recording.export import export

from .export_data import SYMBOL, VENUE, Made, market, save

MARKET: dict[str, Any] = {"venue": VENUE, "symbol": SYMBOL}


def of(module: str) -> Any:
    """A module of other software; the test is skipped where that is not installed."""
    return pytest.importorskip(module, reason=f"{module.partition('.')[0]} is not installed")


@pytest.fixture(scope="module")
def made() -> Made:
    """It ends with a whole book, of which neither side is above the other."""
    found = market(seed=3, count=1200)
    last = max(n for n, told in enumerate(found.truth) if told.book and all(told.book))
    return Made([e for e in found.events if e.ts_recv <= found.truth[last].ts], found.truth[: last + 1])


@pytest.fixture(scope="module")
def recorded(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("data"), made.events)


def test_hftbacktest_runs_over_it(recorded: Path, made: Made, tmp_path: Path) -> None:
    np, hft, validation = of("numpy"), of("hftbacktest"), of("hftbacktest.data.validation")
    done = export(recorded, "hftbacktest", tmp_path, **MARKET)
    files = sorted(map(str, tmp_path.glob("*.npz")))
    whole = np.concatenate([np.load(file)["data"] for file in files])
    assert whole.dtype == hft.types.event_dtype
    validation.validate_event_order(whole)
    asset = (
        hft.BacktestAsset()
        .data(files)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0, 0)
        .tick_size(0.1)
        .lot_size(0.0001)
        .last_trades_capacity(10_000)
    )
    backtest = hft.HashMapMarketDepthBacktest([asset])
    assert backtest.elapse(done.ts_from + 1) in {0, 1}
    while backtest.elapse(10**9) == 0:
        pass
    depth = backtest.depth(0)
    book = open_dataset(recorded).book_at(VENUE, SYMBOL, done.ts_to)
    bids, asks = dict(book.bids()), dict(book.asks())
    ticks = range(900, 1101)
    assert {t / 10: depth.bid_qty_at_tick(t) for t in ticks if depth.bid_qty_at_tick(t)} == bids != {}
    assert {t / 10: depth.ask_qty_at_tick(t) for t in ticks if depth.ask_qty_at_tick(t)} == asks != {}
    assert len(backtest.last_trades(0)) == len(made.trades())
    backtest.close()


def test_hftbacktest_converts_the_csv_files(recorded: Path, made: Made, tmp_path: Path) -> None:
    hft, tardis = of("hftbacktest"), of("hftbacktest.data.utils.tardis")
    export(recorded, "tardis", tmp_path, **MARKET)
    files = [*tmp_path.glob("*trades*"), *tmp_path.glob("*incremental_book_L2*")]
    array = tardis.convert(sorted(map(str, files)), buffer_size=200_000, ss_buffer_size=1_000)
    kinds = array["ev"] & 0xFF
    local = array["ev"] & hft.LOCAL_EVENT > 0
    assert (kinds[local] == hft.TRADE_EVENT).sum() == len(made.trades())
    assert {hft.DEPTH_EVENT, hft.DEPTH_SNAPSHOT_EVENT, hft.DEPTH_CLEAR_EVENT} <= set(kinds.tolist())


def test_nautilus_reads_its_catalog(recorded: Path, made: Made, tmp_path: Path) -> None:
    data, catalogs = of("nautilus_trader.model.data"), of("nautilus_trader.persistence.catalog")
    books, enums = of("nautilus_trader.model.book"), of("nautilus_trader.model.enums")
    done = export(recorded, "nautilus", tmp_path, **MARKET)
    catalog = catalogs.ParquetDataCatalog(str(tmp_path))
    (pair,) = catalog.instruments()
    assert (str(pair.id), pair.base_currency.code, pair.quote_currency.code) == ("BTC-USD.KRAKEN", "BTC", "USD")
    trades = catalog.query(data.TradeTick)
    assert [(float(t.price), float(t.size), str(t.trade_id), t.ts_init) for t in trades] == [
        (t.price, t.size, t.id, t.ts_recv) for t in made.trades()
    ]
    assert {(t.price.precision, t.size.precision) for t in trades} == {(pair.price_precision, pair.size_precision)}
    assert len(catalog.query(data.QuoteTick)) == next(f.rows for f in done.files if "quote_tick" in f.name)
    deltas = catalog.query(data.OrderBookDelta)
    book = books.OrderBook(pair.id, enums.BookType.L2_MBP)
    for delta in deltas:
        book.apply_delta(delta)
    wanted = open_dataset(recorded).book_at(VENUE, SYMBOL, done.ts_to)
    assert [(float(level.price), level.size()) for level in book.bids()] == wanted.bids() != []
    assert [(float(level.price), level.size()) for level in book.asks()] == wanted.asks() != []


def test_nautilus_loads_the_csv_files(recorded: Path, made: Made, tmp_path: Path) -> None:
    export(recorded, "tardis", tmp_path, **MARKET)
    loader = of("nautilus_trader.adapters.tardis.loaders").TardisCSVDataLoader()
    trades = [t for path in sorted(tmp_path.glob("*trades*")) for t in loader.load_trades(path)]
    assert [(float(t.price), float(t.size)) for t in trades] == [(t.price, t.size) for t in made.trades()]
    assert all(loader.load_deltas(path) for path in tmp_path.glob("*incremental_book_L2*"))


def test_pandas_and_polars_read_the_csv_files(recorded: Path, made: Made, tmp_path: Path) -> None:
    pl, pd = of("polars"), of("pandas")
    export(recorded, "tardis", tmp_path, **MARKET)
    paths = sorted(tmp_path.glob("*trades*"))
    prices = [trade.price for trade in made.trades()]
    assert pl.concat([pl.read_csv(path) for path in paths])["price"].to_list() == prices
    assert pd.concat([pd.read_csv(path) for path in paths])["price"].to_list() == prices
