import pytest

from marketfeed.cli._figures import SECOND, clock, length, many, moment, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.012, "12 ms"), (1.5, "1.5 s"), (59.4, "59.4 s"), (60, "1 min"), (125, "2 min 5 s"),
     (3600, "1 h"), (5400, "1 h 30 min"), (90_000, "1 d 1 h"), (864_000, "10 d")],
)  # fmt: skip
def test_lengths_of_time(seconds, text):
    assert length(int(seconds * SECOND)) == text


def test_counts_sizes_and_times():
    assert [many(1, "file"), many(0, "gap"), many(1234, "event")] == ["1 file", "0 gaps", "1,234 events"]
    assert [size(n) for n in (0, 999, 1000, 35_400, 2_500_000, 3_200_000_000_000)] == [
        "0 B", "999 B", "1.0 kB", "35.4 kB", "2.5 MB", "3,200.0 GB"]  # fmt: skip
    assert [clock(s) for s in (0, 59.9, 3599, 43_200)] == ["0:00", "0:59", "59:59", "12:00:00"]
    assert moment(1_775_520_000 * SECOND + 5) == "2026-04-07 00:00:00"
