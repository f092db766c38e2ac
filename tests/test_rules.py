"""Sequence verdicts, checksums and clocks that venues share; what a venue declares; how links are filled."""

import zlib
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.subscriptions import Subscription
from marketfeed.venues._plan import one_host
from marketfeed.venues._rules import Verdict, contiguous, crc32_levels, level_text, rfc3339_ns, step
from marketfeed.venues._spec import BookRule, Pace, Request, Secret


@pytest.mark.parametrize(
    ("known", "first", "last", "verdict"),
    [
        (100, 101, 101, "apply"),
        (100, 101, 105, "apply"),
        (100, 99, 101, "apply"),  # P17: it overlaps what is known, and ends after it
        (100, 1, 200, "apply"),
        (100, 100, 100, "stale"),  # P16
        (100, 90, 100, "stale"),
        (100, 90, 95, "stale"),
        (100, 102, 102, "gap"),  # P15
        (100, 102, 200, "gap"),
        (0, 1, 1, "apply"),
        (0, 2, 2, "gap"),
    ],
)
def test_P15_P16_P17_contiguous(known: int, first: int, last: int, verdict: Verdict) -> None:
    assert contiguous(known, first, last) == verdict


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50))
def test_contiguous_applies_exactly_what_holds_the_next_number(known: int, first: int, more: int) -> None:
    last = first + more
    holds_next = first <= known + 1 <= last
    assert (contiguous(known, first, last) == "apply") == holds_next
    assert (contiguous(known, first, last) == "stale") == (last <= known)


# docs.kraken.com, "Book checksum (v2)": the worked example
ASKS = """45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660
45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827"""
BIDS = """45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586
45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238"""


def test_P23_the_worked_example_of_kraken() -> None:
    asks, bids = ([level_text(*level.split("/")) for level in side.split()] for side in (ASKS, BIDS))
    assert asks[0] == "452852100000"
    assert crc32_levels(bids, asks) == 3310070434


def test_an_empty_book_has_the_checksum_of_nothing() -> None:
    assert crc32_levels([], []) == zlib.crc32(b"") == 0


@pytest.mark.parametrize(
    ("price", "size", "text"),
    [("0.00010", "0.0010", "1010"), ("10", "0.5", "105"), ("1.0", "100.00", "1010000"), ("0.1", "0.0", "1")],
)
def test_a_levels_text_has_no_point_and_no_leading_zeros(price: str, size: str, text: str) -> None:
    assert level_text(price, size) == text


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("2026-04-07T14:30:02Z", 1_775_572_202_000_000_000),
        ("2026-04-07T14:30:02.789012Z", 1_775_572_202_789_012_000),
        ("2026-04-07T14:30:02.789012345Z", 1_775_572_202_789_012_345),
        ("2038-01-19T03:14:08Z", 2**31 * 1_000_000_000),
        ("0001-01-01T00:00:00Z", 0),  # how a venue writes "none"
        ("1969-12-31T23:59:59.999Z", 0),
    ],
)
def test_P32_times(text: str, ns: int) -> None:
    assert rfc3339_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2026-04-07T14:30:02",
        "2026-04-07T14:30:02+00:00",
        "2026-04-07T14:30:02.1234567890Z",
        "2026-04-07T14:30:02.\u0661Z",
        "2026-04-07T14:30:02.-1Z",
        "2026-04-07T14:30:02,5Z",
        "2026-13-07T14:30:02Z",
        "2026-02-30T14:30:02Z",
        "2026-04-07T24:30:02Z",
        "2016-12-31T23:59:60Z",  # a leap second: refused, not guessed
        "x" * 10_000 + "Z",
    ],
    ids=lambda t: ascii(t[:32]),
)
def test_P32_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        rfc3339_ns(text)
    assert len(str(refused.value)) < 200


@given(st.integers(0, 2**63 // 1000))
def test_P32_times_come_back(us: int) -> None:
    when = datetime.fromtimestamp(us // 10**6, UTC).replace(microsecond=us % 10**6)
    text = when.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert rfc3339_ns(text) == us * 1000


@given(st.text(max_size=30))
def test_P32_any_text_is_a_time_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert rfc3339_ns(text + "Z") >= 0


@pytest.mark.parametrize(
    ("listed", "sane"),
    [(None, None), ("0.01", "0.01"), ("0", None), ("-1", None), ("NaN", None), ("1e30", None), ("1e-31", None)],
)
def test_a_listed_step_is_a_sane_positive_number_or_none(listed: str | None, sane: str | None) -> None:
    assert step(None if listed is None else Decimal(listed)) == (None if sane is None else Decimal(sane))


@pytest.mark.parametrize(
    ("offers", "wanted", "asked"),
    [
        ((), 0, 0),
        ((), 10, 0),
        ((10, 25, 100), 0, 100),
        ((10, 25, 100), 1, 10),
        ((10, 25, 100), 10, 10),
        ((10, 25, 100), 11, 25),
        ((10, 25, 100), 5000, 100),
    ],
)
def test_the_depth_asked_for_is_the_shallowest_that_holds_what_is_wanted(
    offers: tuple[int, ...], wanted: int, asked: int
) -> None:
    assert BookRule(snapshot="stream", depths=offers).offered(wanted) == asked


def test_G13_a_secret_never_prints_itself() -> None:
    secret = Secret("hunter2")
    request = Request("/x", headers={"key": secret})
    assert "hunter2" not in f"{secret} {secret!r} {request} {[secret]}"
    assert secret.reveal() == "hunter2"


@given(st.integers(0, 50), st.integers(1, 20))
def test_links_are_filled_in_order_and_lose_nothing(symbols: int, room: int) -> None:
    pace = Pace(frames_per_s=1, subscriptions_per_link=room, connects=(1, 1), rest=(1, 1), silence_s=1)
    wanted = [Subscription("v", f"S{i:02}-USD", c) for i in reversed(range(symbols)) for c in ("trades", "book")]
    plans = one_host("wss://x", wanted, pace, "public")
    assert [s for plan in plans for s in plan.subscriptions] == sorted(wanted)
    assert all(len(plan.subscriptions) <= room for plan in plans)
    assert {(plan.url, plan.kind) for plan in plans} <= {("wss://x", "public")}
