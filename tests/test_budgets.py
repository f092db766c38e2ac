"""Venues limit an address, so all feeds of a process share what it may do."""

import threading
from collections.abc import Callable

import pytest
from msgspec import structs

from marketfeed.budgets import budget_of
from marketfeed.clock import SystemClock
from marketfeed.pace import SECOND
from marketfeed.venues._spec import Endpoints, Pace
from marketfeed.venues.kraken import VENUE

from .virtual import LoopClock

PACE = structs.replace(VENUE.pace, connects=(2, 60), rest=(10, 60.0))


def at(name: str) -> Endpoints:
    return Endpoints(ws=f"wss://{name}.example", rest=f"https://{name}.example")


def test_two_feeds_share_a_budget() -> None:
    one, other = (budget_of(at("shared"), PACE, SystemClock()) for _ in range(2))
    assert one.connect_at(1) == 1
    assert other.connect_at(1) == 1
    assert one.connect_at(1) == 60 * SECOND + 1
    assert other.connect_at(1) == 60 * SECOND + 1


def test_T22_two_feeds_share_the_frames_of_their_address() -> None:
    pace = structs.replace(PACE, frames_per_s=2, frames_by_address=True)
    one, other = (budget_of(at("frames"), pace, SystemClock()) for _ in range(2))
    assert [one.frame_at(1, first=False), other.frame_at(1, first=False)] == [1, 1]
    assert one.frame_at(1, first=False) == other.frame_at(1, first=False) == SECOND + 1


def test_T14_a_ban_that_one_feed_is_told_keeps_all_away() -> None:
    one, other = (budget_of(at("banned"), PACE, SystemClock()) for _ in range(2))
    until = one.retry_after(120, 0, 0.5)
    assert other.blocked_until == until
    assert other.connect_at(0) == other.fetch_at(1, 0) == until
    assert budget_of(at("banned"), PACE, SystemClock()).blocked_until == until, "a feed made later knows too"


@pytest.mark.parametrize(
    ("endpoints", "pace"),
    [
        pytest.param(at("host"), structs.replace(PACE, silence_s=30), id="another pace"),
        pytest.param(structs.replace(at("host"), ws="wss://streams.example"), PACE, id="other streams"),
        pytest.param(structs.replace(at("host"), rest="https://host.example/v2"), PACE, id="another path"),
        pytest.param(structs.replace(at("host"), rest="https://host.example:443"), PACE, id="the port named"),
    ],
)
def test_T14_a_ban_of_a_host_keeps_feeds_of_other_paces_and_streams_away_too(endpoints: Endpoints, pace: Pace) -> None:
    told, before = budget_of(at("host"), PACE, SystemClock()), budget_of(endpoints, pace, SystemClock())
    assert before is not told
    until = told.retry_after(3600, 0, 0.5)
    after = budget_of(endpoints, structs.replace(pace, ack_s=7.0), SystemClock())
    for other in (before, after):
        assert other.blocked_until == until
        assert other.connect_at(0) == other.fetch_at(1, 0) == until


def test_T14_of_several_bans_of_a_host_the_longest_holds_for_all() -> None:
    one, other = (budget_of(at("longest"), pace, SystemClock()) for pace in (PACE, structs.replace(PACE, ack_s=7.0)))
    until = one.retry_after(3600, 0, 0.0)
    other.retry_after(60, 0, 0.0)
    assert one.blocked_until == other.blocked_until == until


def test_T14_a_ban_of_one_host_is_no_other_hosts() -> None:
    ports = [structs.replace(at("ports"), rest=f"http://127.0.0.1:{port}") for port in (8332, 9332)]
    one, other = (budget_of(endpoints, PACE, SystemClock()) for endpoints in ports)
    one.retry_after(3600, 0, 0.0)
    assert other.blocked_until == 0


def test_T14_bans_that_feeds_of_several_threads_are_told_of_hold_for_all_of_them() -> None:
    paces = [structs.replace(PACE, silence_s=float(n)) for n in range(1, 9)]

    def serve(pace: Pace) -> None:
        for seconds in range(1, 51):
            budget_of(at("crowd"), pace, SystemClock()).retry_after(seconds * pace.silence_s, 0, 0.0)

    threads = [threading.Thread(target=serve, args=[pace]) for pace in paces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {budget_of(at("crowd"), pace, SystemClock()).blocked_until for pace in paces} == {400 * SECOND}


def test_what_a_venue_says_was_spent_counts_for_all() -> None:
    one, other = (budget_of(at("spent"), PACE, SystemClock()) for _ in range(2))
    one.used(10, 5)
    assert other.fetch_at(1, 6) == 60 * SECOND + 5


def test_other_endpoints_paces_and_clocks_have_their_own() -> None:
    first = budget_of(at("own"), PACE, SystemClock())
    assert budget_of(at("own"), PACE, SystemClock()) is first
    assert budget_of(at("other"), PACE, SystemClock()) is not first
    assert budget_of(at("own"), Pace(**{**structs.asdict(PACE), "rest": (1, 1.0)}), SystemClock()) is not first
    clock = LoopClock()
    assert budget_of(at("own"), PACE, clock) is not budget_of(at("own"), PACE, clock)


def test_feeds_of_several_threads_never_spend_more_than_there_is() -> None:
    budget = budget_of(at("threads"), structs.replace(PACE, rest=(100, 60.0)), SystemClock())
    found: list[int] = []

    def spend() -> None:
        found.extend(budget.fetch_at(1, 0) for _ in range(250))

    both: list[Callable[[], None]] = [spend] * 8
    threads = [threading.Thread(target=one) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2_000
    for window in range(20):
        assert found.count(window * 60 * SECOND) == 100


def test_T22_a_turn_that_one_feed_gives_back_is_the_others() -> None:
    one, other = (budget_of(at("back"), PACE, SystemClock()) for _ in range(2))
    assert [one.connect_at(0) for _ in range(2)] == [0, 0]
    one.give_back(None, 0)
    assert other.connect_at(0) == 0
