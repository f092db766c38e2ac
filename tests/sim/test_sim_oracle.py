from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.sim import Oracle, level_hash
from marketfeed.sim.engine import LevelChange
from marketfeed.sim.instruments import INSTRUMENTS

BTC = INSTRUMENTS["kraken"][0]
changes = st.lists(
    st.builds(LevelChange, st.sampled_from(["bid", "ask"]), st.integers(1, 30), st.integers(0, 5)), max_size=40
)


@given(changes)
def test_the_hash_is_the_sum_over_the_levels_at_every_key(log):
    oracle = Oracle(BTC, keep=10_000)
    states = []
    for key, change in enumerate(log):
        oracle.learn([change])
        oracle.publish(key)
        states.append(oracle.ticks_at(key))
    for key in reversed(range(len(log))):
        bids, asks = oracle.ticks_at(key)
        assert (bids, asks) == states[key]
        total = sum(level_hash("bid", *level) for level in bids) + sum(level_hash("ask", *level) for level in asks)
        assert oracle.hash_at(key) == total % 2**64 == oracle.hash_at(key, 100)


def test_levels_come_best_first_and_exact():
    oracle = Oracle(BTC, keep=10_000)
    oracle.learn([LevelChange("bid", 650000, 1), LevelChange("bid", 650001, 250), LevelChange("ask", 650005, 3)])
    oracle.publish(9)
    bids, asks = oracle.levels_at(9, depth=1)
    assert bids == [(Decimal("65000.1"), Decimal("0.00000250"))]
    assert asks == [(Decimal("65000.5"), Decimal("0.00000003"))]
    assert oracle.hash_at(9, 1) != oracle.hash_at(9) == oracle.hash_at(9, 2)


def test_old_keys_are_forgotten_and_others_answer_across_checkpoints():
    oracle = Oracle(BTC, keep=3_000)
    for n in range(1, 8_001):
        oracle.learn([LevelChange("bid", n % 700 + 1, n)])
        oracle.publish(n)
    assert 4_000 not in oracle
    assert oracle.keys[0] >= 5_000
    assert oracle.last_key == 8_000
    with pytest.raises(KeyError, match="4000"):
        oracle.hash_at(4_000)
    for key in (7_999, 5_001, 6_500, 6_499, 7_000):
        assert dict(oracle.ticks_at(key)[0]) == {n % 700 + 1: n for n in range(key - 699, key + 1)}


def test_level_hashes_of_near_levels_differ():
    hashes = {level_hash(side, p, q) for side in ("bid", "ask") for p in range(1, 60) for q in range(1, 60)}
    assert len(hashes) == 2 * 59 * 59
    assert level_hash("bid", 7, 0) == 0
