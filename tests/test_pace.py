"""Delays and quotas: never too much, never out of order, never a storm."""

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from marketfeed.pace import SECOND, Backoff, Budget, Quota
from marketfeed.venues._spec import Pace

dice = st.floats(0, 1)
asked = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3 * SECOND)), max_size=40)


@given(asked, st.integers(1, 6), st.sampled_from([0.5, 1.0, 2.0]))
def test_T22_never_more_than_the_quota_in_any_window_and_in_order(
    asked: list[tuple[int, int]], amount: int, seconds: float
) -> None:
    quota = Quota(amount, seconds)
    window = int(seconds * SECOND)
    now, spent = 0, list[tuple[int, int]]()
    for weight, later in asked:
        now += later
        at = quota.reserve(weight, now)
        assert at >= now
        assert not spent or at >= spent[-1][0], "served in the order asked"
        sooner = at - 1
        if sooner >= now and (not spent or sooner >= spent[-1][0]):
            inside = sum(w for when, w in spent if when > sooner - window)
            assert inside + weight > amount, "no later than it must be"
            assert inside, "even the heaviest goes when nothing else is in the window"
        spent.append((at, weight))
    for start, _ in spent:
        together = [weight for when, weight in spent if start <= when < start + window]
        assert sum(together) <= amount or len(together) == 1


@given(asked, st.integers(1, 6), st.integers(0, 5 * SECOND))
def test_a_peek_is_what_a_reservation_of_one_would_get(asked: list[tuple[int, int]], amount: int, until: int) -> None:
    quota = Quota(amount, 1.0)
    now = 0
    for i, (weight, later) in enumerate(asked):
        now += later
        if i == 5:
            quota.block(until)
        assert quota.peek(now) == quota.peek(now)
        peeked = quota.peek(now)
        assert quota.reserve(1, now) == peeked
        quota.reserve(weight, now)


def test_a_block_holds_everything_back_and_never_shrinks() -> None:
    quota = Quota(10, 1.0)
    assert quota.blocked_until == 0
    quota.block(5 * SECOND)
    quota.block(3 * SECOND)
    assert quota.blocked_until == 5 * SECOND
    assert quota.reserve(1, SECOND) == quota.peek(0) == 5 * SECOND
    assert quota.reserve(1, 6 * SECOND) == 6 * SECOND


asked_or_given_back = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2 * SECOND), st.booleans()), max_size=40)


@given(asked_or_given_back, st.integers(1, 6))
def test_T22_what_is_given_back_can_be_spent_by_others_and_nothing_more(
    asked: list[tuple[int, int, bool]], amount: int
) -> None:
    quota, window = Quota(amount, 1.0), SECOND
    now, spent = 0, list[tuple[int, int]]()
    for weight, later, back in asked:
        now += later
        if back and spent and spent[-1][0] > now:
            quota.give_back(spent[-1][1], spent[-1][0])
            spent.pop()
        at = quota.reserve(weight, now)
        sooner = at - 1
        if sooner >= now and (not spent or sooner >= spent[-1][0]):
            inside = sum(w for when, w in spent if when > sooner - window)
            assert inside + weight > amount, "no later than it must be"
        spent.append((at, weight))
    for start, _ in spent:
        together = [weight for at, weight in spent if start <= at < start + window]
        assert sum(together) <= amount or len(together) == 1


stalls = st.lists(st.tuples(st.integers(1, 3), st.integers(0, SECOND), st.integers(0, 3 * SECOND)), max_size=40)


@given(stalls, st.integers(1, 6))
def test_T22_C05_a_loop_that_stands_still_spends_no_more_in_any_window(
    asked: list[tuple[int, int, int]], amount: int
) -> None:
    """Each of `asked` comes so much later than the one before, and after it the loop stands still for so long."""
    quota, window = Quota(amount, 1.0), SECOND
    now, ready_at, spent = 0, 0, list[tuple[int, int]]()
    waiting: list[tuple[int, int, int, int]] = []
    """(when its timer is due, number, reserved for less what was moved then, weight)"""

    def awake(until: int) -> None:
        """What is due by then, each not before the loop runs again."""
        while waiting and waiting[0][0] <= until:
            timer, number, first, weight = heapq.heappop(waiting)
            at = max(timer, ready_at)
            due = first + quota.moved
            if due <= at and (due := quota.take(weight, due, at)) <= at:
                spent.append((at, weight))
            else:
                heapq.heappush(waiting, (due, number, first, weight))

    for number, (weight, later, stall) in enumerate(asked):
        now = max(now + later, ready_at)
        awake(now)
        moved = quota.moved
        at = quota.reserve(weight, now)
        heapq.heappush(waiting, (at, number, at - moved, weight))
        ready_at = now + stall
    awake(1 << 62)
    assert len(spent) == len(asked), "all have their turn"
    for start, _ in spent:
        together = [weight for when, weight in spent if start <= when < start + window]
        assert sum(together) <= amount or len(together) == 1


def test_T22_C05_who_is_late_moves_on_those_that_follow() -> None:
    quota = Quota(1, 1.0)
    assert [quota.reserve(1, 0) for _ in range(3)] == [0, SECOND, 2 * SECOND]
    assert quota.take(1, 0, SECOND // 2) == SECOND // 2
    assert quota.moved == SECOND // 2
    assert quota.take(1, 3 * SECOND // 2, SECOND) == 3 * SECOND // 2, "too soon"
    assert quota.take(1, 3 * SECOND // 2, 3 * SECOND // 2) == 3 * SECOND // 2
    assert quota.reserve(1, 2 * SECOND) == 7 * SECOND // 2, "after the third, which goes at 2.5 s"


def test_T22_what_was_never_reserved_or_is_long_past_cannot_be_given_back() -> None:
    quota = Quota(2, 10.0)
    assert [quota.reserve(1, 0) for _ in range(3)] == [0, 0, 10 * SECOND]
    quota.give_back(1, 7 * SECOND)
    quota.give_back(2, 0)
    assert quota.reserve(1, 0) == 10 * SECOND
    quota.give_back(1, 0)  # of those that passed
    assert quota.reserve(1, 0) == 20 * SECOND


def test_T22_a_budget_takes_back_connections_and_calls_alike() -> None:
    budget = Budget(structs.replace(PACE, connects=(1, 10.0), rest=(5, 10.0)))
    assert [budget.connect_at(0), budget.fetch_at(5, 0)] == [0, 0]
    budget.give_back(None, 0)
    budget.give_back(5, 0)
    assert [budget.connect_at(0), budget.fetch_at(5, 0)] == [0, 0]


PACE = Pace(frames_per_s=5, subscriptions_per_link=10, connects=(2, 10.0), rest=(20, 1.0), silence_s=10)


def test_T22_connects_and_fetches_have_budgets_of_their_own() -> None:
    budget = Budget(PACE)
    assert [budget.connect_at(0) // SECOND for _ in range(5)] == [0, 0, 10, 10, 20]
    assert [budget.fetch_at(10, 0) // SECOND for _ in range(5)] == [0, 0, 1, 1, 2]


def test_T22_the_first_frame_of_a_connection_goes_before_others() -> None:
    budget = Budget(structs.replace(PACE, frames_per_s=2))
    assert [budget.frame_at(at, first=False) for at in (0, 1, 2)] == [0, 1, SECOND]
    assert budget.frame_at(3, first=True) == SECOND
    other = budget.frame_at(4, first=False)
    assert SECOND < other < SECOND + SECOND // 100
    assert budget.frame_at(SECOND, first=True) == SECOND
    assert budget.frame_at(other, first=False) == other
    assert budget.frame_at(other, first=False) == 2 * SECOND


@pytest.mark.parametrize(
    ("ours", "venue_says", "next_at"),
    [
        ([], None, 0),
        ([], 20, 60),  # somebody else at this address spent it all
        ([], 15, 60),
        ([], 10, 0),
        ([10], 10, 0),  # it counts what we count
        ([10], 5, 0),
        ([10], 11, 60),
    ],
)
def test_what_a_venue_counts_beyond_ours_was_spent_by_others(
    ours: list[int], venue_says: int | None, next_at: int
) -> None:
    budget = Budget(structs.replace(PACE, rest=(20, 60.0)))
    for weight in ours:
        budget.fetch_at(weight, 0)
    budget.used(venue_says, 0)
    assert budget.fetch_at(10, 0) == next_at * SECOND


def test_what_we_spent_in_an_older_window_hides_nothing_of_the_venues_count() -> None:
    budget = Budget(structs.replace(PACE, rest=(20, 60.0)))
    budget.fetch_at(20, 0)
    budget.used(15, 70 * SECOND)
    assert budget.fetch_at(10, 70 * SECOND) == 130 * SECOND


def test_a_block_is_shown() -> None:
    budget = Budget(PACE)
    assert budget.blocked_until == 0
    assert budget.retry_after(10.0, SECOND, 0.0) == budget.blocked_until == 11 * SECOND


@given(st.floats(0, 10_000), dice)
def test_T14_nothing_goes_before_a_venue_wants_us_back(seconds: float, dice: float) -> None:
    budget = Budget(PACE)
    until = budget.retry_after(seconds, SECOND, dice)
    earliest = SECOND + int(seconds * SECOND)
    assert earliest <= until + 1
    assert until <= earliest + int(min(10.0, 0.1 * seconds + 0.05) * SECOND) + 1
    assert budget.connect_at(SECOND) == budget.fetch_at(1, SECOND) == until


def ceilings(fails: int) -> list[int]:
    backoff = Backoff()
    return [backoff.down(0, 1.0) for _ in range(fails)]


def test_D11_delays_grow_to_their_cap() -> None:
    seconds = [delay / SECOND for delay in ceilings(10)]
    assert seconds == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0, 15.0]


@given(st.integers(1, 3000), dice)
def test_D11_any_delay_is_below_its_ceiling_which_never_falls(fails: int, dice: float) -> None:
    backoff = Backoff()
    ceiling = ceilings(min(fails, 40))
    assert ceiling == sorted(ceiling)
    for i in range(fails):
        delay = backoff.down(0, dice)
        assert delay == int(dice * ceiling[min(i, len(ceiling) - 1)]) or abs(delay - dice * ceiling[min(i, 39)]) <= 1
        assert 0 <= delay <= Backoff.CAP_S * SECOND
    assert backoff.attempt == fails


@given(st.lists(st.floats(0, 29.99), min_size=1, max_size=12))
def test_D1_a_success_that_does_not_last_resets_nothing(lives: list[float]) -> None:
    backoff = Backoff()
    now, before = 0, 0
    for life in lives:
        backoff.up(now)
        now += int(life * SECOND)
        delay = backoff.down(now, 1.0)
        assert delay >= before
        before = delay
        now += delay
    assert before == ceilings(len(lives))[-1]


@pytest.mark.parametrize(("life", "delay"), [(29.999, 4.0), (30.0, 0.25), (3600.0, 0.25)])
def test_D1_thirty_seconds_of_success_begin_anew(life: float, delay: float) -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.down(0, 1.0)
    backoff.up(0)
    assert backoff.down(int(life * SECOND), 1.0) == delay * SECOND


def test_D1_an_attempt_that_never_stood_is_no_success() -> None:
    backoff = Backoff()
    backoff.up(0)
    backoff.down(40 * SECOND, 1.0)
    assert [backoff.down(100 * SECOND, 1.0) for _ in range(2)] == [SECOND // 2, SECOND]


def test_what_is_spent_of_a_quota_and_what_waits_for_its_turn() -> None:
    budget = Budget(structs.replace(PACE, rest=(10, 1.0), connects=(1, 5.0)))
    for _ in range(3):
        budget.fetch_at(4, SECOND)
    budget.connect_at(SECOND)
    assert budget.spent(SECOND) == {"rest": (8, 4, 10, 1.0), "connects": (1, 0, 1, 5.0)}
    assert budget.spent(2 * SECOND)["rest"] == (4, 0, 10, 1.0)
    assert budget.spent(9 * SECOND)["rest"].used == 0


@pytest.mark.parametrize(
    ("status", "retry_after_s", "away_s"),
    [(200, None, 0), (503, None, 0), (503, 7.0, 7), (402, None, 60), (429, None, 60), (418, 120.0, 120), (403, 0.0, 0)],
)
def test_T14_an_answer_is_heeded_by_its_status_and_its_retry_after(
    status: int, retry_after_s: float | None, away_s: int
) -> None:
    budget = Budget(PACE)
    assert budget.heed(status, retry_after_s, 1000, 0.0) == away_s * SECOND
    assert not away_s or budget.blocked_until == 1000 + away_s * SECOND
