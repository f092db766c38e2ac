"""Bits, target, difficulty and work, against headers of the real chain (mining.md 1.1, 4.16)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.mining.compact import (
    DIFFICULTY_1,
    MAX_TARGET,
    bits_from_target,
    difficulty_from_bits,
    difficulty_from_target,
    target_from_bits,
    work,
)

from .oracles import EPOCHS, LATER_BITS


def test_difficulty_1() -> None:
    assert target_from_bits(0x1D00FFFF) == DIFFICULTY_1
    assert bits_from_target(DIFFICULTY_1) == 0x1D00FFFF
    assert difficulty_from_bits(0x1D00FFFF) == difficulty_from_target(DIFFICULTY_1) == 1.0


def test_the_oracle_of_1_1() -> None:
    """A real step of chainwork, 116927 to 116928."""
    assert difficulty_from_bits(0x1B00CBBD) == 82345.64411296662
    assert work(0x1B00CBBD) == 353677245119726


@pytest.mark.parametrize(("height", "_first_time", "bits", "difficulty", "_spans"), EPOCHS)
def test_epochs_of_4_16(height: int, _first_time: int, bits: int, difficulty: float, _spans: object) -> None:
    assert difficulty_from_bits(bits) == difficulty
    assert difficulty_from_target(target_from_bits(bits)) == difficulty
    assert bits_from_target(target_from_bits(bits)) == bits


@pytest.mark.parametrize("bits", LATER_BITS, ids=hex)
def test_later_bits_of_4_16_come_back(bits: int) -> None:
    assert bits_from_target(target_from_bits(bits)) == bits


@pytest.mark.parametrize(
    ("bits", "difficulty"),
    [
        (0x17034219, 86388558925171.02),  # 4.10
        (0x1701CDFB, 155973032196071.94),  # 4.4
        (0x17028BB1, 110568428300952.69),  # 4.5
        (0x1701FCA1, 141668107417558.25),  # 4.11
        (0x170240C3, 124932866006548.16),  # 4.16, newest found
    ],
)
def test_difficulties_elsewhere_in_mining_md(bits: int, difficulty: float) -> None:
    assert difficulty_from_bits(bits) == difficulty


def test_a_block_of_mempool_space_rounds_its_difficulty() -> None:
    """2.1: so it is computed from bits, never taken."""
    assert difficulty_from_bits(386038124) == pytest.approx(113757508810854, abs=1)


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x01010000, 1),  # what is below the first byte is cut off
        (0x02123456, 0x1234),
        (0x03123456, 0x123456),
        (0x04123456, 0x12345600),
        (0x207FFFFF, 0x7FFFFF << 232),
        (0x2100FFFF, 0xFFFF << 240),
        (0x220000FF, 0xFF << 248),
    ],
    ids=hex,
)
def test_small_and_large_targets(bits: int, target: int) -> None:
    assert target_from_bits(bits) == target


@pytest.mark.parametrize(
    ("target", "bits"), [(1, 0x01010000), (0x80, 0x02008000), (0x123456, 0x03123456), (MAX_TARGET, 0x2100FFFF)]
)
def test_the_top_bit_is_never_a_sign(target: int, bits: int) -> None:
    assert bits_from_target(target) == bits


@pytest.mark.parametrize(
    ("bits", "what"),
    [
        (-1, "32 bits"),
        (2**32, "32 bits"),
        (0x1D80FFFF, "sign bit"),
        (0x1D000000, "target of 0"),
        (0x01003456, "target of 0"),
        (0x2101FFFF, "over 256 bits"),
        (0xFF7FFFFF, "over 256 bits"),
    ],
)
@pytest.mark.parametrize("function", [target_from_bits, difficulty_from_bits, work])
def test_bad_bits_are_refused(function: object, bits: int, what: str) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match=what):
        function(bits)


@pytest.mark.parametrize("target", [0, -1, MAX_TARGET + 1])
@pytest.mark.parametrize("function", [bits_from_target, difficulty_from_target])
def test_bad_targets_are_refused(function: object, target: int) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="not between 1 and"):
        function(target)


@given(st.integers(1, MAX_TARGET))
def test_compact_form_cuts_off_and_is_stable(target: int) -> None:
    bits = bits_from_target(target)
    shown = target_from_bits(bits)
    assert shown <= target
    assert target - shown < max(target >> 15, 1)  # at least two bytes are kept
    assert bits_from_target(shown) == bits


@given(st.integers(1, MAX_TARGET))
def test_both_ways_to_difficulty_agree(target: int) -> None:
    bits = bits_from_target(target)
    assert difficulty_from_bits(bits) == difficulty_from_target(target_from_bits(bits))
