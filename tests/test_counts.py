"""Counters, and text made safe: the two smallest rooms of floor 0."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from marketfeed.counts import Counts
from marketfeed.text import escaped


def test_decoded_is_what_is_nothing_else() -> None:
    assert Counts(frames=10, control=3, ignored=2, malformed=1).decoded == 4


def test_records_add_up_field_by_field() -> None:
    names = [field.name for field in structs.fields(Counts)]
    one, ten = Counts(*range(len(names))), Counts(*([10] * len(names)))
    one.add(ten)
    assert structs.astuple(one) == tuple(10 + i for i in range(len(names)))
    assert structs.astuple(ten) == (10,) * len(names)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ~", "plain ~"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\r\nb\tc\x7f", "a\\x0d\\x0ab\\x09c\\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil\u200b", "\\u202eevil\\u200b"),
        ("caf\u00e9", "caf\\xe9"),
        ("\U0001f680", "\\U0001f680"),
        (b"\xff\xfe{", "\\xff\\xfe{"),
        ("\u20bf".encode(), "\\u20bf"),
        ("", ""),
    ],
    ids=ascii,
)
def test_G12_text_from_outside_is_shown_as_plain_ascii(text: str | bytes, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize(
    ("limit", "shown"),
    [(26, "abcdefghijklmnopqrstuvwxyz"), (25, "abcdefghijklmnopqrstuv..."), (3, "..."), (1, "."), (0, "")],
)
def test_text_that_was_cut_ends_in_dots(limit: int, shown: str) -> None:
    assert escaped("abcdefghijklmnopqrstuvwxyz", limit) == shown


@given(st.text() | st.binary(), st.integers(0, 60))
def test_G12_never_longer_than_asked_nor_anything_but_printable(text: str | bytes, limit: int) -> None:
    shown = escaped(text, limit)
    assert len(shown) <= limit
    assert all(" " <= c <= "~" for c in shown)


@given(st.text(max_size=200))
def test_G12_a_cut_of_bytes_is_the_cut_of_their_text(text: str) -> None:
    assert escaped(text.encode("utf-8", "surrogatepass").decode("utf-8", "backslashreplace"), 20) == escaped(
        text.encode("utf-8", "surrogatepass"), 20
    )


def test_a_huge_sample_costs_nothing() -> None:
    assert escaped(b"[" * 50_000_000, 10) == "[[[[[[[..."
