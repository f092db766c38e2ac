"""An overview says what a dataset holds, cell by cell, what is missing and what is not sealed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from marketfeed import events as ev
from marketfeed.errors import RecordingError

pytest.importorskip("pyarrow")

from marketfeed.recording import overview as room  # needs pyarrow
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.journal import Journal
from marketfeed.recording.overview import STEPS, Stream, overview
from marketfeed.recording.payload import pack
from marketfeed.recording.seal import JOURNAL

from .test_compact import add_pass
from .test_dataset import MIDNIGHT, SECOND, market

KRAKEN: dict[str, Any] = {"venue": "kraken", "symbol": "BTC-USD"}
RECORDER: dict[str, Any] = {"venue": "recorder", "symbol": ""}


def at(second: float) -> int:
    return MIDNIGHT + int(second * SECOND)


def trade(second: float, **changes: Any) -> ev.Trade[Any]:
    head: dict[str, Any] = {**KRAKEN, "ts_recv": at(second), "seq_local": int(second * 10) + 5}
    return ev.Trade(**(head | changes), price=1.0, size=1.0, side="buy", id="")


def ticker(second: float) -> ev.Ticker[Any]:
    return ev.Ticker(**KRAKEN, ts_recv=at(second), seq_local=int(second * 10) + 5, bid=1.0)


def status(second: float, status: str, **more: Any) -> ev.RecorderStatus:
    return ev.RecorderStatus(**RECORDER, ts_recv=at(second), seq_local=int(second * 10), status=status, **more)


EVENTS: list[ev.Head] = [
    status(0, "started"),
    *(trade(n) for n in range(4)),
    trade(3.5, symbol="ETH-USD"),
    ticker(1),
    ev.Gap(**KRAKEN, ts_recv=at(5), seq_local=50, channel="ticker", cause="sequence", ts_from=at(2), ts_to=at(5)),
    ticker(5.2),
    status(6, "ended"),
    status(10.5, "started", ts_from=at(6), ts_to=at(10.5)),
    *(trade(n) for n in (10.6, 12)),
]


def save(root: Path, events: Sequence[ev.Head] = tuple(EVENTS), **said: Any) -> Path:
    root.mkdir(exist_ok=True)
    add_pass(RealDisk(), root, events, 1, 9, **said)
    return root


def stream(streams: list[Stream], channel: str, venue: str = "kraken") -> Stream:
    return next(one for one in streams if (one.venue, one.channel) == (venue, channel))


def test_figures_cells_and_what_is_missing(tmp_path: Path) -> None:
    seen = []
    found = overview(save(tmp_path, cuts=["torn"]), tell=lambda done, files: seen.append((done, files)))
    assert (found.exact, found.simulated, found.cuts) == (False, True, ["torn"])
    assert (found.rows, found.files, found.ts_from, found.ts_to) == (len(EVENTS), 4, at(0), at(12))
    assert found.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    assert (found.start, found.step) == (MIDNIGHT, SECOND)
    assert seen == [(n, 4) for n in range(4)]

    trades = stream(found.streams, "trades")
    assert (trades.symbols, trades.rows, trades.files) == (["BTC-USD", "ETH-USD"], 7, 1)
    assert (trades.ts_from, trades.ts_to, trades.missing) == (at(0), at(12), 0)
    assert trades.cells == [1, 1, 1, 2, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    assert trades.lossy == [6, 7, 8, 9, 10], "nothing was recorded"

    tickers = stream(found.streams, "ticker")
    assert tickers.missing == 1
    assert tickers.cells == [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert tickers.lossy == [2, 3, 4, 5, 6, 7, 8, 9, 10]

    assert [(loss.ts_from, loss.ts_to, loss.channel) for loss in found.missing] == [
        (at(2), at(5), "ticker"),
        (at(6), at(10.5), ""),
    ]
    assert found.unsealed.events == 0


def test_the_end_of_the_recording_is_not_missing(tmp_path: Path) -> None:
    found = overview(save(tmp_path, [*EVENTS[:6], status(6, "ended")]))
    assert found.missing == []
    assert all(one.lossy == [] for one in found.streams)


def test_what_is_not_sealed_counts_once(tmp_path: Path) -> None:
    save(tmp_path)
    journal = Journal(RealDisk(), tmp_path / JOURNAL, next_number=9)
    for events in ([trade(12)], [trade(13), trade(15)], [trade(14)]):  # frame 9 is sealed
        journal.add(pack(events, exact=False, simulated=True))
    journal.close()
    found = overview(tmp_path)
    assert (found.unsealed.events, found.unsealed.ts_from, found.unsealed.ts_to) == (3, at(13), at(15))
    assert found.rows == len(EVENTS)


def test_a_recording_of_which_nothing_is_sealed(tmp_path: Path) -> None:
    journal = Journal(RealDisk(), tmp_path / JOURNAL, next_number=1)
    journal.add(pack([trade(1)], exact=False, simulated=True))
    journal.close()
    found = overview(tmp_path)
    assert (found.streams, found.rows, found.unsealed.events) == ([], 0, 1)


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no such folder"):
        overview(tmp_path / "none")
    with pytest.raises(RecordingError, match="no file venue="):
        overview(tmp_path)


def test_R08_a_damaged_file_is_named(tmp_path: Path) -> None:
    save(tmp_path)
    path = next(tmp_path.rglob("channel=trades/**/*.parquet"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RecordingError, match=path.name):
        overview(tmp_path)


@pytest.mark.parametrize("cells", [2, 7, 60, 500])
def test_no_more_cells_than_asked_for(cells: int, tmp_path: Path) -> None:
    events = market()
    found = overview(save(tmp_path, events), cells=cells)
    count = len(found.streams[0].cells)
    assert all(len(one.cells) == count and sum(one.cells) == one.rows for one in found.streams)
    assert 0 <= found.ts_from - found.start < found.step
    assert 0 <= found.ts_to - (found.start + (count - 1) * found.step) < found.step
    assert count <= cells


def test_steps_grow() -> None:
    assert sorted(set(STEPS)) == STEPS
    assert [room._step(span * SECOND, 60) // SECOND for span in (0, 58, 60, 3600, 86_400)] == [1, 1, 2, 120, 1800]
    assert room._step(STEPS[-1] * 10**4, 60) == STEPS[-1]
