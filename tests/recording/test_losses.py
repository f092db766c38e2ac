"""What a recording says is missing: time in which a venue that was asked could not be reached."""

from pathlib import Path

import pytest

from marketfeed import events as ev

pytest.importorskip("pyarrow")

from marketfeed.recording.dataset import open_dataset
from marketfeed.recording.losses import ALL, NOT_CONNECTED, RECORDER, Loss, losses
from marketfeed.recording.overview import overview
from marketfeed.recording.times import FOREVER
from marketfeed.recording.verification import verify

from .recorded import SYMBOL, VENUE, Script, seal

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
