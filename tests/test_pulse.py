"""Whether a connection lives, judged once a second from what came since the last look."""

import pytest
from msgspec import structs

from marketfeed.pulse import Pulse
from marketfeed.venues._spec import Pace

SECOND = 1_000_000_000
PACE = Pace(frames_per_s=5, subscriptions_per_link=10, connects=(1, 1), rest=(1, 1), silence_s=60, ping_idle_s=10)


def looks(*, answers: bool, **pace: float) -> list[tuple[int, str]]:
    """What is found in half a minute of silence after a lively one, and when."""
    pulse, found = Pulse(structs.replace(PACE, **pace), 0), []
    for now in range(1, 61):
        verdict, _ = pulse.look(5 * min(now, 30), now * SECOND)
        pulse.pongs += answers and verdict == "ping"
        if verdict != "fine":
            found.append((now - 30, verdict))
    return found


def test_T03_a_lively_link_without_an_answer_is_dead_within_ten_seconds() -> None:
    assert looks(answers=False)[:2] == [(4, "ping"), (9, "dead")]


def test_T03_a_quiet_link_without_an_answer_is_dead_within_fifteen_seconds() -> None:
    pulse = Pulse(PACE, 0)
    found = [(now, verdict) for now in range(1, 16) if (verdict := pulse.look(1, now * SECOND)[0]) != "fine"]
    assert found == [(11, "ping")]
    assert pulse.look(1, 16 * SECOND) == ("dead", "no pong in 5 s")


def test_T04_answered_pings_beside_stopped_data_are_doubted() -> None:
    assert looks(answers=True)[:3] == [(4, "ping"), (7, "quiet"), (8, "quiet")]


def test_T04_pings_that_are_sent_at_each_look_do_not_hide_stopped_data() -> None:
    assert (7, "quiet") in looks(answers=True, ping_idle_s=1)


def test_T05_what_was_found_quiet_is_doubted_half_as_often_each_time_and_then_no_more_than_any_quiet_link() -> None:
    pulse = Pulse(PACE, 0)
    at, doubts = 30, []
    for now in range(1, 700):
        pulse.pongs += 1
        if pulse.look(5 * min(now, 30) + (now > 400), now * SECOND)[0] == "quiet":
            doubts.append(now - at)
            pulse.believe(now * SECOND)
            at = now
    assert doubts == [7, 14, 28, 56, 112, 120]


def test_T05_days_of_silence_that_is_believed_are_no_number_too_large() -> None:
    pulse = Pulse(PACE, 0)
    for now in range(1, 31):
        pulse.look(5 * now, now * SECOND)
    for _ in range(5_000):
        pulse.believe(30 * SECOND)
    found = set()
    for now in range(31, 152):
        pulse.pongs += 1
        found.add(pulse.look(150, now * SECOND)[0])
    assert found == {"fine", "quiet"}


@pytest.mark.parametrize("every_s", [400, 7])
def test_T04_a_link_that_is_slow_or_young_is_not_sure_to_be_alive_after_two_minutes(every_s: int) -> None:
    pulse, found = Pulse(PACE, 0), []
    frames, last = 0, 0
    for now in range(1, 1_000):
        if now % every_s == 0 and frames < 5:
            frames, last = frames + 1, now
        pulse.pongs += 1
        verdict, why = pulse.look(frames, now * SECOND)
        if verdict not in ("fine", "ping"):
            found.append((now - last, verdict))
            assert why == f"no data for {now - last}.0 s, and pings answered"
            pulse.believe(now * SECOND)
    assert found[:3] == [(120, "unsure"), (240, "unsure"), (360, "unsure")]
    assert {verdict for _, verdict in found} == {"unsure"}


def test_T03_silence_is_reckoned_from_the_frame_and_not_from_the_look_that_found_it() -> None:
    pulse = Pulse(structs.replace(PACE, silence_s=5), 0)
    assert pulse.look(1, SECOND, SECOND // 2) == ("fine", "")
    assert pulse.due == 11 * SECOND // 2
    assert pulse.look(1, pulse.due - 1)[0] == "fine"
    assert pulse.look(1, pulse.due) == ("dead", "silent for 5.0 s")


@pytest.mark.parametrize("age", [-SECOND, 0, 30 * SECOND])
def test_C14_a_clock_that_was_set_moves_it_by_a_look_at_most(age: int) -> None:
    pulse = Pulse(PACE, 0)
    pulse.look(1, 9 * SECOND, age)
    assert 8 * SECOND <= pulse.heard_at <= 9 * SECOND


def test_T03_a_pong_counts_from_the_look_before_it_was_seen() -> None:
    """It came a moment after that one, or nearly now: of the two the one by which a dead link is found in time."""
    pulse = Pulse(PACE, 0)
    for now in range(1, 11):
        pulse.look(1, now * SECOND)
    pulse.pongs += 1
    pulse.look(1, 11 * SECOND)
    assert pulse.due == 20 * SECOND


def test_a_ping_that_waits_is_due_before_silence() -> None:
    pulse = Pulse(PACE, 0)
    assert pulse.look(0, 10 * SECOND) == ("ping", "")
    assert pulse.due == 15 * SECOND
