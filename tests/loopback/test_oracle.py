"""Product against oracle, a short slice of `make fuzz` and a long one."""

from typing import Any

import pytest

import marketfeed as mf

from ..fuzz.oracle import SYMBOLS, fuzz


def run(venue: str, exact: bool, messages: int, seed: int) -> dict[str, Any]:
    figures: dict[str, Any] = mf.run(fuzz(venue, seed=seed, messages=messages, exact=exact))
    assert figures["frames"] >= messages
    assert figures["checked"] > messages / 40
    assert not figures["breaches"]
    return figures


@pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_I3_a_live_book_is_the_venue_s_through_3000_messages_with_faults(venue: str, exact: bool) -> None:
    run(venue, exact, 3_000, 11)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
@pytest.mark.parametrize("venue", sorted(SYMBOLS))
def test_I3_a_live_book_is_the_venue_s_through_200000_messages_with_faults(venue: str, exact: bool) -> None:
    assert run(venue, exact, 200_000, 5)["voids"] > 0
