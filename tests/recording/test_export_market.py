"""An export's files: all or none, never over another, safe names, and beside them all that is missing."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketfeed import events as ev
from marketfeed.errors import ConfigError, RecordingError

pytest.importorskip("pyarrow")

from marketfeed.recording.dataset import open_dataset
from marketfeed.recording.export import FORMATS, export, symbols_of
from marketfeed.recording.export import _files as files
from marketfeed.recording.export import _run as run

from .export_data import HEAD, MIDNIGHT, SECOND, SYMBOL, VENUE, market, recorder, save
from .recorded import Script, seal

MARKET: dict[str, Any] = {"venue": VENUE, "symbol": SYMBOL}
NAMED = pytest.mark.parametrize("name", list(FORMATS))


def trade(ts: int, **more: Any) -> ev.Trade[float]:
    given = {"price": 1.0, "size": 2.0, "side": "buy", "id": "7"}
    return ev.Trade(**HEAD | {"ts_recv": ts, "seq_local": 2, "ts_event": ts} | given | more)


def snapshot(ts: int, epoch: int = 1) -> ev.BookSnapshot[float]:
    levels: dict[str, Any] = {"bids": ((1.0, 1.0),), "asks": ((2.0, 1.0),)}
    return ev.BookSnapshot(**HEAD, ts_recv=ts, seq_local=1, ts_event=ts, epoch=epoch, seq=1, **levels)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("data"), market().events, simulated=True)


def sidecars(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.gaps.json"))]


@NAMED
def test_each_day_has_a_sidecar(name: str, recorded: Path, tmp_path: Path) -> None:
    done = export(recorded, name, tmp_path, **MARKET)
    assert {file.name for file in done.files} == {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert all((tmp_path / file.name).stat().st_size == file.bytes for file in done.files)
    days = sidecars(tmp_path)
    assert [day["date"] for day in days] == ["2026-04-06", "2026-04-07"]
    for day in days:
        assert (day["format"], day["venue"], day["symbol"]) == (name, VENUE, SYMBOL)
        assert day["simulated"] is True
        assert day["exact"] is False
    assert days[0]["ts_from"] == done.ts_from < days[0]["ts_to"] < MIDNIGHT == days[1]["ts_from"]
    assert days[1]["ts_to"] == done.ts_to


@NAMED
def test_the_same_data_makes_the_same_files(name: str, recorded: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        export(recorded, name, tmp_path / folder, **MARKET)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert files
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


@NAMED
def test_another_file_is_replaced_only_by_force(name: str, recorded: Path, tmp_path: Path) -> None:
    done = export(recorded, name, tmp_path, **MARKET)
    (victim,) = [file.name for file in done.files if file.name.endswith("json")][:1]
    (tmp_path / victim).write_text("mine")
    with pytest.raises(ConfigError, match="there already"):
        export(recorded, name, tmp_path, **MARKET)
    assert (tmp_path / victim).read_text() == "mine"
    assert export(recorded, name, tmp_path, **MARKET, force=True).files == done.files
    assert (tmp_path / victim).read_text() != "mine"


def test_a_catalog_never_has_a_time_twice(recorded: Path, tmp_path: Path) -> None:
    export(recorded, "nautilus", tmp_path, **MARKET, end=MIDNIGHT)
    for sidecar in tmp_path.glob("*.json"):
        sidecar.unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="has data of that time already"):
        export(recorded, "nautilus", tmp_path, **MARKET, start=MIDNIGHT - 20 * SECOND, force=True)
    assert sorted(tmp_path.rglob("*")) == before
    export(recorded, "nautilus", tmp_path, **MARKET, start=MIDNIGHT)
    assert len(list((tmp_path / "data" / "trade_tick" / "BTC-USD.KRAKEN").iterdir())) == 2


@NAMED
def test_nothing_is_left_of_an_export_that_fails(
    name: str, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.Outputs, "commit", full)
    with pytest.raises(RecordingError, match="No space left on device"):
        export(recorded, name, tmp_path, **MARKET)
    assert not list(tmp_path.rglob("*"))


def test_a_damaged_file_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    root = save(tmp_path / "data", market(count=300).events)
    (victim,) = root.glob("*/channel=book/date=2026-04-06/*")
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises(RecordingError, match="channel=book"):
        export(root, "tardis", tmp_path / "out", **MARKET)
    assert not list((tmp_path / "out").rglob("*"))


def test_a_folder_that_takes_no_files(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot export there"):
        export(recorded, "tardis", tmp_path / "file", **MARKET)


@NAMED
def test_names_from_a_file_lead_nowhere(name: str, tmp_path: Path) -> None:
    hostile = "../../X\x1b[2J\n/\u202e:*,\"'"
    root = save(tmp_path / "data", [trade(MIDNIGHT, symbol=hostile, id='a,b\n"c')])
    out = tmp_path / "far" / "out"
    done = export(root, name, out, venue=VENUE, symbol=hostile)
    assert {file.name for file in done.files} == {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["out"]
    assert all(path.name.isascii() and path.name.isprintable() for path in out.rglob("*"))
    assert sidecars(out)[0]["symbol"] == hostile


def test_what_there_is_none_of(recorded: Path, tmp_path: Path) -> None:
    def why(*, name: str = "tardis", **given: Any) -> str:
        with pytest.raises(ConfigError) as error:
            export(recorded, name, tmp_path / "out", **MARKET | given)
        return str(error.value)

    assert "did you mean tardis" in why(name="tardi")
    assert "it has kraken" in why(venue="binance")
    assert "it has BTC-USD" in why(symbol="DOGE-USD")
    assert "kraken was recorded from 2026-04-06T23:5" in why(start="2026-05-01")
    assert "not before" in why(start="2026-05-01", end="2026-05-01")
    assert "not a time" in why(end="noon")
    assert "whole number" in why(name="candles", every="7h")
    assert not (tmp_path / "out").exists()
    assert symbols_of(open_dataset(recorded), VENUE) == [SYMBOL]


def test_all_that_is_missing_is_beside_it(tmp_path: Path) -> None:
    """A gap and a bad frame of the market, a pause of the recorder over midnight; not what is about others."""
    at = MIDNIGHT - 60 * SECOND
    told: list[ev.Head] = [
        snapshot(at),
        trade(at + 1),
        ev.Gap(
            **HEAD, ts_recv=at + 9, channel="trades", cause="trade ids", ts_from=at + 1, ts_to=at + 9, detail="\x1b"
        ),
        ev.Gap(**HEAD, ts_recv=at + 10, channel="ticker", cause="malformed", ts_from=at + 1, ts_to=at + 10),
        ev.Gap(**HEAD | {"symbol": "ETH-USD"}, ts_recv=at + 11, channel="trades", cause="trade ids", ts_from=at),
        ev.Malformed(venue=VENUE, ts_recv=at + 12, link="a", reason="no JSON", size=3, sample="}"),
        recorder("started", MIDNIGHT + SECOND, ts_from=MIDNIGHT - SECOND, ts_to=MIDNIGHT + SECOND),
        trade(MIDNIGHT + 2 * SECOND),
        snapshot(MIDNIGHT + 3 * SECOND, 2),
        ev.Gap(**HEAD, ts_recv=MIDNIGHT + 4 * SECOND, channel="trades", cause="overflow"),
        trade(MIDNIGHT + 5 * SECOND),
    ]
    root = save(tmp_path / "data", told)
    done = export(root, "hftbacktest", tmp_path / "out", **MARKET)
    days = sidecars(tmp_path / "out")
    later = {"ts_from": MIDNIGHT + 4 * SECOND, "cause": "overflow"}
    pause = {"ts_from": MIDNIGHT - SECOND, "ts_to": MIDNIGHT + SECOND, "cause": "not recorded"}
    wanted = [
        {"ts_from": at + 1, "ts_to": at + 9, "cause": "trade ids", "channel": "trades", "detail": "\\x1b"},
        {"ts_from": at + 12, "ts_to": at + 12, "cause": "malformed", "detail": "no JSON"},
        pause,
    ]
    unknown = [{"ts_from": MIDNIGHT - SECOND, "ts_to": MIDNIGHT + 3 * SECOND, "reason": "it was not recorded"}]

    def same(found: list[dict[str, Any]], these: list[dict[str, Any]]) -> bool:
        return [{key: loss[key] for key in some} for loss, some in zip(found, these, strict=True)] == these

    assert same(done.losses, [*wanted, later])
    assert same(days[0]["losses"], wanted)
    assert same(days[1]["losses"], [pause, later])
    assert same(export(root, "hftbacktest", tmp_path / "late", **MARKET, start=MIDNIGHT + 2 * SECOND).losses, [later])
    assert same(export(root, "hftbacktest", tmp_path / "early", **MARKET, end=at + 2).losses, wanted[:1])
    assert days[0]["book_unknown"] == days[1]["book_unknown"] == done.book_unknown == unknown


def test_what_tells_of_loss_gets_its_name_first(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str] = []
    monkeypatch.setattr(Path, "replace", lambda part, whole: named.append(whole.name))
    export(recorded, "tardis", tmp_path, **MARKET)
    assert len(named) == 8
    assert [name.endswith(".gaps.json") for name in named] == [True] * 2 + [False] * 6


def test_a_change_of_a_book_that_is_over_is_left_out(tmp_path: Path) -> None:
    old = ev.BookDelta(
        **HEAD, ts_recv=MIDNIGHT + 2, seq_local=1, epoch=1, seq=2, prev_seq=1, bids=((7.0, 7.0),), asks=()
    )
    root = save(tmp_path / "data", [snapshot(MIDNIGHT), snapshot(MIDNIGHT + 1, 2), old])
    done = export(root, "tardis", tmp_path / "out", **MARKET)
    assert [file.rows for file in done.files if "csv" in file.name] == [2 + 2 + 2]  # a book, its end, the next


def test_a_symbol_whose_book_was_not_recorded(tmp_path: Path) -> None:
    root = save(tmp_path / "data", [trade(MIDNIGHT), trade(MIDNIGHT + 9)])
    done = export(root, "tardis", tmp_path / "out", **MARKET)
    assert done.book_unknown == [{"ts_from": MIDNIGHT, "ts_to": MIDNIGHT + 9, "reason": "no snapshot yet"}]
    assert [file.name for file in done.files if "csv" in file.name] == ["kraken_trades_2026-04-07_BTC-USD.csv.gz"]


def test_candles_are_those_of_the_dataset(recorded: Path, tmp_path: Path) -> None:
    done = export(recorded, "candles", tmp_path, **MARKET, every="10s")
    wanted = open_dataset(recorded).candles(VENUE, SYMBOL, "10s")
    rows: list[dict[str, str]] = []
    for path in sorted(tmp_path.glob("kraken_candles_10s_*_BTC-USD.csv.gz")):
        first, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert first.split(",") == wanted.schema.names
        rows += [dict(zip(first.split(","), line.split(","), strict=True)) for line in lines]
    assert len(rows) == wanted.num_rows == sum(file.rows for file in done.files if "csv" in file.name) > 10
    for row, known in zip(rows, wanted.to_pylist(), strict=True):
        assert row["ts"] == known["ts"].isoformat().replace("+00:00", "Z")
        assert [float(row[name]) for name in ("open", "high", "low", "close", "volume", "trades")] == [
            known[name] for name in ("open", "high", "low", "close", "volume", "trades")
        ]
        assert row["incomplete"] == str(known["incomplete"]).lower()


def test_candles_that_are_incomplete_are_counted(tmp_path: Path) -> None:
    made = Script()
    made.begin()
    made.flow(25)
    made.recorder("ended")
    root = seal(tmp_path / "data", made.events)
    done = export(root, "candles", tmp_path / "out", **MARKET, every="5s")
    assert done.changed == {"incomplete candles": 2}, "cut by the beginning and the end"


def test_progress_is_told(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LOOK", 100)
    told: list[tuple[int, int]] = []
    done = export(recorded, "tardis", tmp_path, **MARKET, progress=lambda now, steps: told.append((now, steps)))
    assert told == sorted(told)
    assert [steps for _, steps in told] == list(range(0, 100 * len(told), 100))
    assert len(told) > 5
    assert done.ts_from <= told[0][0] < told[-1][0] <= done.ts_to


def test_a_summary_is_json(recorded: Path, tmp_path: Path) -> None:
    done = export(recorded, "tardis", tmp_path, **MARKET)
    assert msgspec.json.decode(msgspec.json.encode(done), type=run.Summary) == done


def test_without_pyarrow_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['pyarrow'] = None; import marketfeed.recording.export"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtra" in done.stderr
    assert "pip install 'marketfeed[parquet]'" in done.stderr
