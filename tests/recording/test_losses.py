"""What a recording says is missing: times in which a venue or a stream of it was not there."""

from decimal import Decimal
from pathlib import Path

import pytest

from marketfeed import events as ev

pytest.importorskip("pyarrow")

from marketfeed.recording.dataset import open_dataset
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.export import export
from marketfeed.recording.losses import ALL, NOT_CONNECTED, NOT_SUBSCRIBED, RECORDER, Loss, losses
from marketfeed.recording.manifest import manifests
from marketfeed.recording.overview import overview
from marketfeed.recording.times import FOREVER
from marketfeed.recording.verification import verify

from .recorded import SECOND, SYMBOL, VENUE, Script, seal

REASON = "no address for kraken"


def away(made: Script, seconds: float, code: int = 0) -> None:
    """The venue is tried for so long."""
    made.wait(0.5)
    made.tell(ev.Disconnected, symbol="", link="kraken-1", code=code, reason=REASON, attempt=1)
    made.wait(seconds - 0.5)


def late(seconds: float = 5) -> Script:
    """A run that reaches its venue so late, and then flows for ten seconds."""
    made = Script()
    made.recorder("started")
    away(made, seconds)
    made.connect()
    made.flow(20)
    made.recorder("ended")
    return made


def unreached(data: Path) -> list[Loss]:
    return [loss for loss in losses(open_dataset(data)) if loss.cause == NOT_CONNECTED]


def first(events: list[ev.Head], kind: type[ev.Head]) -> int:
    return next(event.ts_recv for event in events if isinstance(event, kind))


def test_time_from_the_start_to_the_first_acknowledgement_is_missing_of_a_venue_that_was_not_reached(
    tmp_path: Path,
) -> None:
    made = late()
    data = seal(tmp_path, made.events)
    since, until = made.events[0].ts_recv, first(made.events, ev.Subscribed)
    assert unreached(data) == [Loss(since, until, VENUE, ALL, ALL, NOT_CONNECTED, REASON)]
    told = open_dataset(data).missing("trades", venue=VENUE, symbol=SYMBOL).to_pylist()[0]
    assert (told["venue"], told["symbol"], told["channel"], told["cause"]) == (VENUE, None, None, NOT_CONNECTED)
    assert [(one.ts_from, one.ts_to) for one in overview(data).missing] == [(since, until)]


def test_verify_tells_it_and_does_not_count_it_as_covered(tmp_path: Path) -> None:
    report = verify(seal(tmp_path, late().events))
    (note,) = report.findings
    assert (note.severity, note.check, note.where) == ("note", "gap", VENUE)
    assert note.detail == "1 gap (not connected), 5.0 s in all, the first"
    for stream in report.coverage:
        assert stream.covered == pytest.approx(10 / 15, abs=0.01)
        assert [hour.covered for hour in stream.hours] == [stream.covered]


def test_a_recording_that_reached_nobody_is_missing_to_its_end_and_does_not_verify_without_a_note(
    tmp_path: Path,
) -> None:
    made = Script()
    made.recorder("started")
    away(made, 8)
    made.recorder("ended")
    data = seal(tmp_path, made.events)
    assert [(loss.ts_from, loss.ts_to) for loss in unreached(data)] == [
        (made.events[0].ts_recv, made.events[-1].ts_recv)
    ]
    report = verify(data)
    assert [(one.check, one.where) for one in report.findings] == [("silence", RECORDER), ("gap", VENUE)]
    assert report.findings[0].detail == "no data of any market came"


def test_a_recording_in_which_nobody_was_even_tried_does_not_verify_without_a_note(tmp_path: Path) -> None:
    made = Script()
    made.recorder("started")
    made.wait(8)
    made.recorder("ended")
    report = verify(seal(tmp_path, made.events))
    assert [(one.check, one.detail) for one in report.findings] == [("silence", "no data of any market came")]


def test_a_recorder_that_was_killed_knows_no_end_of_it(tmp_path: Path) -> None:
    made = Script()
    made.recorder("started")
    away(made, 8)
    assert [loss.ts_to for loss in unreached(seal(tmp_path, made.events))] == [FOREVER]


def test_a_connection_that_breaks_before_anything_is_acknowledged_was_not_reached_either(tmp_path: Path) -> None:
    made = Script()
    made.recorder("started")
    made.tell(ev.Connected, symbol="", link="kraken-1")
    away(made, 5, code=1006)
    made.connect()
    made.flow(20)
    made.recorder("ended")
    (loss,) = unreached(seal(tmp_path, made.events))
    acknowledged = first(made.events, ev.Subscribed)
    assert (loss.ts_from, loss.ts_to) == (made.events[0].ts_recv, acknowledged)


def test_data_ends_it_where_nothing_is_acknowledged(tmp_path: Path) -> None:
    made = Script()
    made.recorder("started")
    away(made, 5)
    made.ticker()
    made.recorder("ended")
    (loss,) = unreached(seal(tmp_path, made.events))
    assert loss.ts_to == first(made.events, ev.Ticker)


def test_each_run_counts_from_its_own_start(tmp_path: Path) -> None:
    one = late()
    two = Script()
    two.now = one.now + 3600 * 10**9
    two.recorder("started", ts_from=one.now, ts_to=two.now)
    away(two, 7)
    two.recorder("ended")
    report = verify(seal(tmp_path, one.events, two.events))
    assert [(loss.ts_from, loss.ts_to) for loss in unreached(tmp_path)] == [
        (one.events[0].ts_recv, first(one.events, ev.Subscribed)),
        (two.events[0].ts_recv, two.events[-1].ts_recv),
    ]
    covered = next(stream.covered for stream in report.coverage if stream.stream.endswith(":ticker"))
    assert covered == pytest.approx(10 / (15 + 7), abs=0.01), "the hour between is a hole, and not asked for"


@pytest.mark.parametrize("code", [0, 1006])
def test_a_venue_that_was_heard_before_is_not_missing_where_another_of_its_links_fails(
    code: int, tmp_path: Path
) -> None:
    made = Script()
    made.recorder("started")  # of a feed that has been connected for long
    made.ticker()
    away(made, 5, code)
    made.flow(4)
    made.recorder("ended")
    assert unreached(seal(tmp_path / "data", made.events)) == []
    made = Script()
    made.begin()
    away(made, 5, code)
    made.flow(4)
    made.recorder("ended")
    assert unreached(seal(tmp_path / "acknowledged", made.events)) == []


def run(symbols: list[str], after: Script | None = None, *, acknowledged: bool = True) -> Script:
    """A run of a quarter of a minute that connects to these markets within three seconds, ten seconds after another."""
    made = Script()
    if after is not None:
        made.now = after.now + 10 * SECOND
    made.recorder("started", **({"ts_from": after.now, "ts_to": made.now} if after else {}))
    if acknowledged:
        made.wait(3)
        made.tell(ev.Connected, symbol="", link="kraken-1")
        for symbol in symbols:
            made.tell(ev.Subscribed, symbol=symbol, channel="trades")
    for _ in range(12):
        for symbol in symbols:
            made.tell(ev.Trade, symbol=symbol, price=1.0, size=1.0, side="buy", id="")
        made.wait(1)
    made.recorder("ended")
    return made


def not_subscribed(data: Path) -> list[tuple[str, int, int]]:
    return [
        (loss.symbol, loss.ts_from, loss.ts_to) for loss in losses(open_dataset(data)) if loss.cause == NOT_SUBSCRIBED
    ]


def test_what_no_column_can_hold_is_a_gap_in_its_place(tmp_path: Path) -> None:
    made = Script(Decimal)
    made.recorder("started")
    made.connect()
    made.flow(4)
    tiny = made.tell(ev.Trade, price=Decimal(1), size=Decimal("1e-19"), side="buy", id="1005")
    broken = made.tell(ev.BookDelta, epoch=1, seq=6, prev_seq=5, bids=((Decimal(1), Decimal("1e-19")),), asks=())
    made.trade(skip=1)
    made.wait(1)
    made.snapshot()
    made.flow(4)
    made.recorder("ended")
    data = open_dataset(seal(tmp_path, made.events, exact=True))
    found = [(loss.channel, loss.cause, loss.ts_from) for loss in losses(data) if loss.symbol]
    assert found == [("trades", "rejected", tiny.ts_recv), ("book", "rejected", broken.ts_recv)]
    assert [one for one in verify(tmp_path).findings if one.severity == "error"] == []
    whole = [bar["ts"].value for bar in data.candles(VENUE, SYMBOL, "1s").to_pylist() if not bar["incomplete"]]
    assert whole
    assert tiny.ts_recv // SECOND * SECOND not in whole
    assert not data.book_at(VENUE, SYMBOL, broken.ts_recv).live
    assert data.book_at(VENUE, SYMBOL, made.now - SECOND).live
    (manifest,) = manifests(RealDisk(), tmp_path)
    assert (len(manifest.cuts), manifest.events, len(manifest.gaps)) == (2, len(made.events), 2)


def test_no_book_is_believed_that_lacks_a_change_which_no_column_can_hold(tmp_path: Path) -> None:
    made = Script(Decimal)
    made.begin()
    made.flow(4)
    size = Decimal("1e-19")
    broken = made.tell(ev.BookDelta, epoch=1, seq=6, prev_seq=5, bids=((Decimal(1), size),), asks=())
    made.trade()
    made.ticker()
    made.trade()
    made.recorder("ended")
    data = open_dataset(seal(tmp_path / "data", made.events, exact=True))
    bids = data.trades_with_quotes(VENUE, SYMBOL)["bid"].to_pylist()
    assert [bid is None for bid in bids] == [False] * 4 + [True] * 2
    tickers = data.trades_with_quotes(VENUE, SYMBOL, quotes="ticker")["bid"].to_pylist()
    assert [bid is None for bid in tickers] == [True] + [False] * 5, "of tickers nothing is missing"
    for name in ("hftbacktest", "tardis", "nautilus"):
        done = export(data, name, tmp_path / name, venue=VENUE, symbol=SYMBOL)
        assert done.book_unknown[-1] == {"ts_from": broken.ts_recv, "ts_to": done.ts_to, "reason": "rejected"}


@pytest.mark.parametrize("again", [True, False])
def test_a_stream_that_nobody_wants_any_more_is_missing_until_it_is_asked_for_again(
    tmp_path: Path, again: bool
) -> None:
    made = late()
    made.events.pop()  # its end
    since = made.now
    made.tell(ev.BookVoid, epoch=1, reason="unsubscribed")
    for channel in ("book", "trades"):
        made.tell(ev.Unsubscribed, channel=channel)
    for _ in range(5):
        made.ticker()
        made.wait(1)
    until = made.now if again else FOREVER
    if again:
        made.connect()
        made.flow(10)
    made.recorder("ended")
    data = seal(tmp_path, made.events)
    found = [(loss.channel, loss.ts_from - since < SECOND, abs(loss.ts_to - until) < SECOND) for loss in lacking(data)]
    assert found == [("book", True, True), ("trades", True, True)]
    book, ticker, trades = verify(data).coverage
    assert ticker.covered == pytest.approx(20 / 25 if again else 15 / 20, abs=0.01)
    for stream in (book, trades):
        assert stream.covered == pytest.approx(15 / 25 if again else 10 / 20, abs=0.01)


def lacking(data: Path) -> list[Loss]:
    return [loss for loss in losses(open_dataset(data)) if loss.cause == NOT_SUBSCRIBED]


def test_a_stream_of_another_run_is_missing_where_it_was_not_asked_for_and_until_it_is_acknowledged(
    tmp_path: Path,
) -> None:
    one = run(["BTC-USD", "ETH-USD"])
    two = run(["BTC-USD"], one)
    three = run(["ETH-USD"], two)
    data = seal(tmp_path, one.events, two.events, three.events)
    asked = [(made.events[0].ts_recv, first(made.events, ev.Subscribed)) for made in (two, three)]
    ends = [made.events[-1].ts_recv for made in (two, three)]
    assert not_subscribed(data) == [
        ("BTC-USD", *asked[0]),
        ("ETH-USD", asked[0][0], ends[0]),
        ("ETH-USD", *asked[1]),
        ("BTC-USD", asked[1][0], ends[1]),
    ]
    report = verify(data)
    covered = {stream.stream: stream.covered for stream in report.coverage}
    assert covered["kraken:BTC-USD:trades"] == pytest.approx(24 / (24 + 13), abs=0.02)
    assert covered["kraken:ETH-USD:trades"] == pytest.approx(24 / (24 + 13 + 25), abs=0.02)
    assert ("gap", "kraken:ETH-USD:trades") in {(one.check, one.where) for one in report.findings}
    candles = open_dataset(data).candles(VENUE, "BTC-USD", "1s").to_pylist()
    assert [row["ts"].value for row in candles if not row["incomplete"]][-1] < ends[0]


def test_a_stream_that_stood_before_the_recorder_began_is_not_missing_while_it_is_quiet(tmp_path: Path) -> None:
    one = run(["BTC-USD", "ETH-USD"])
    two = run(["BTC-USD"], one, acknowledged=False)  # of the same feed
    three = run([], two, acknowledged=False)  # nothing tells that anything of the venue was wanted
    data = seal(tmp_path, one.events, two.events, three.events)
    since, until = three.events[0].ts_recv, three.events[-1].ts_recv
    assert not_subscribed(data) == [("BTC-USD", since, until), ("ETH-USD", since, until)]


def test_a_gap_before_the_first_acknowledgement_is_of_a_stream_that_stood_before(tmp_path: Path) -> None:
    one = run(["BTC-USD"])
    two = run(["BTC-USD"], one, acknowledged=False)
    two.events.pop()
    two.tell(ev.Gap, channel="trades", cause="link lost", ts_from=two.now - 1, ts_to=two.now)
    two.tell(ev.Subscribed, channel="trades")
    two.recorder("ended")
    assert not_subscribed(seal(tmp_path, one.events, two.events)) == []


def test_a_run_whose_end_nobody_told_lacks_what_it_was_not_asked_for_to_an_end_that_is_not_known(
    tmp_path: Path,
) -> None:
    one = run(["BTC-USD", "ETH-USD"])
    two = run(["BTC-USD"], one)
    two.events.pop()
    data = seal(tmp_path, one.events, two.events)
    assert ("ETH-USD", two.events[0].ts_recv, FOREVER) in not_subscribed(data)


def lagging(*after: str) -> Script:
    """A run that begins to leave events out, and what it says and hears after that."""
    made = Script()
    made.begin()
    made.flow(4)
    made.recorder("lagged", ts_from=made.now, detail="the disk is too slow")
    for word in after:
        made.wait(5)
        made.recorder(word)
    return made


def lagged(data: Path) -> list[tuple[int, int]]:
    return [(loss.ts_from, loss.ts_to) for loss in losses(open_dataset(data)) if loss.cause == "lagged"]


def test_a_recorder_that_was_killed_while_it_left_events_out_left_them_out_to_the_next_start(tmp_path: Path) -> None:
    one = lagging("sealed", "sealed")
    since = next(e.ts_from for e in one.events if isinstance(e, ev.RecorderStatus) and e.status == "lagged")
    two = run(["BTC-USD"], one)
    assert lagged(seal(tmp_path / "again", one.events, two.events)) == [(since, two.events[0].ts_recv)]
    alone = seal(tmp_path / "alone", one.events)
    assert lagged(alone) == [(since, FOREVER)]
    holes = [finding.detail for finding in verify(alone).findings if finding.check == "hole"]
    assert holes == ["lagged to an end that is not known"]


def test_what_was_left_out_is_told_once_where_it_has_an_end(tmp_path: Path) -> None:
    made = lagging("sealed")
    since = made.now - 5 * SECOND
    made.recorder("resumed", ts_from=since, ts_to=made.now, events=7)
    made.recorder("ended")
    data = seal(tmp_path, made.events)
    assert lagged(data) == []
    assert [loss.ts_from for loss in losses(open_dataset(data)) if loss.cause == "resumed"] == [since]
