"""What was told is counted by place, kind and a reason of few words."""

from typing import Any

import pytest

from marketfeed import tally
from marketfeed.events import (
    Audit,
    BookVoid,
    Connected,
    Disconnected,
    Gap,
    Head,
    Malformed,
    RecorderStatus,
    Stale,
    Trade,
    VenueStatus,
)
from marketfeed.tally import Tally, reason_of

AT: dict[str, Any] = {"venue": "toy", "symbol": "BTC-USD"}


def lost(code: int = 1006, reason: str = "", status: int = 0) -> Disconnected:
    return Disconnected(venue="toy", link="toy-1", code=code, reason=reason, status=status)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Gap(channel="trades", cause="trade ids", **AT), "trade ids"),
        (BookVoid(epoch=1, reason="checksum: 1 and 2 differ", **AT), "checksum"),
        (BookVoid(epoch=1, reason="gremlins: many", **AT), "other"),
        (lost(0, "cannot resolve host toy.example"), "name not resolved"),
        (lost(0, "toy.example refused the connection"), "refused"),
        (lost(0, "toy.example answered HTTP 429: too many requests", 429), "HTTP 429"),
        (lost(1000, "silent for 5.0 s"), "silent"),
        (lost(1000, "replaced by toy-2: the venue announced its shutdown"), "replaced"),
        (lost(1006, "this program stood still for 40 s"), "stood still"),
        (lost(1000, "4 resyncs of BTC/USD within a minute"), "resyncs"),
        (lost(1006, "\x1b[31mred words of a venue"), "close 1006"),
        (lost(0, "TLS: the certificate of toy.example is refused"), "TLS"),
        (lost(0, "words of a venue"), "other"),
        (Stale(channel="book", reason="silent for 6.1 s beside 40 trades; it is asked for again", **AT), "silent"),
        (Stale(channel="book", reason="words", **AT), "other"),
        (VenueStatus(venue="toy", status="maintenance"), "maintenance"),
        (VenueStatus(venue="toy", status="words of a venue"), "other"),
        (Audit(epoch=1, verdict="differs", **AT), "differs"),
        (RecorderStatus(venue="", status="paused"), "paused"),
        (Malformed(venue="toy", link="toy-1", reason="words", size=1, sample="x"), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_reasons_are_few_and_never_a_venues_own_words(event: Head, reason: str) -> None:
    assert reason_of(event) == reason


def test_events_are_counted_by_stream_kind_and_reason() -> None:
    counted = Tally()
    for cause in ("sequence", "checksum", "sequence"):
        counted.note(Gap(channel="book", cause=cause, **AT))
    counted.note(BookVoid(epoch=1, reason="sequence: 2", **AT))
    counted.note(lost())
    told = counted.at("toy", "BTC-USD", "book")
    assert told == {"gap": {"sequence": 2, "checksum": 1}, "book_void": {"sequence": 1}}
    told["gap"]["sequence"] = 7
    assert counted.at("toy", "BTC-USD", "book")["gap"]["sequence"] == 2
    assert counted.at("toy", "ETH-USD", "book") == {}


def test_what_is_of_no_known_stream_is_counted_for_its_venue() -> None:
    counted = Tally()
    counted.note(Connected(venue="toy", link="toy-1"))
    counted.note(Gap(channel="book", cause="sequence", **AT))
    counted.note(Stale(channel="book", reason="silent for 1 s", venue="toy", symbol="XXX-USD"))
    counted.note(Stale(channel="book", reason="silent for 1 s", venue="toy", symbol="YYY-USD"))
    counted.note(Connected(venue="other", link="other-1"))
    assert counted.of_venue("toy", {"toy:BTC-USD:book"}) == {"connected": {"": 1}, "stale": {"silent": 2}}


def test_data_is_not_counted_as_life_or_loss() -> None:
    counted = Tally()
    counted.note(Trade(price=1.0, size=1.0, side="buy", id="1", backfill=True, **AT))
    assert counted.told == {}


def test_the_newest_score_of_a_books_audits_is_kept() -> None:
    counted = Tally()
    for score in (1.0, 0.5):
        counted.note(Audit(epoch=1, verdict="equal", score=score, **AT))
    assert counted.scores == {("toy", "BTC-USD"): 0.5}


def test_beyond_so_many_places_the_venue_is_counted_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST", 2)
    counted = Tally()
    for symbol in ("A-USD", "B-USD", "C-USD", "D-USD", "A-USD"):
        counted.note(Audit(venue="toy", symbol=symbol, epoch=1, verdict="equal"))
    assert len(counted.told) == 3
    assert counted.told["toy", "", ""] == {"audit": {"equal": 2}}
    assert counted.at("toy", "A-USD", "book") == {"audit": {"equal": 2}}
    assert set(counted.scores) == {("toy", "A-USD"), ("toy", "B-USD")}
