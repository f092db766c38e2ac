"""Numbers as venues write them: one grammar, no hostile values, no size that becomes 0 by itself."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from marketfeed import number
from marketfeed.number import MAX_CHARS, MAX_EXPONENT, Millis, Price, Size, check_numbers, decimals, odd, reader

from .venues.numbers import BEYOND, NO_NUMBERS, NOT_POSITIVE, SOUND, TINY, UNDERFLOW


class Level(Struct):
    size: Size


class ExactLevel(Struct):
    size: Decimal


class Quote(Struct):
    price: Price


Read = Callable[[bytes], Any]


@pytest.fixture(params=["float", "exact"])
def read(request: pytest.FixtureRequest) -> Read:
    checked = msgspec.json.Decoder(Level, strict=False).decode
    return reader(checked, msgspec.json.Decoder(ExactLevel).decode if request.param == "exact" else None)


price = reader(msgspec.json.Decoder(Quote, strict=False).decode, None)


def frame(number: str, field: str = "size") -> bytes:
    return f'{{"{field}":{number}}}'.encode()


@pytest.mark.parametrize(("text", "value"), SOUND)
def test_P06_sound_numbers_are_read_bare_or_in_quotes(read: Read, text: str, value: float) -> None:
    size = read(frame(text)).size
    assert float(size) == value
    if isinstance(size, Decimal):
        assert size == Decimal(text.strip('"'))


@pytest.mark.parametrize("text", [*NO_NUMBERS, "NaN", "Infinity", "-Infinity", "+1", "01", "1.", ".5", "1_0", "0x10"])
def test_P07_what_is_no_number_is_refused(read: Read, text: str) -> None:
    with pytest.raises(ValueError):
        read(frame(text))


@pytest.mark.parametrize("text", [*BEYOND, *UNDERFLOW])
def test_P08_P09_hostile_magnitudes_are_refused_at_once(read: Read, text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ValueError):
        read(frame(text))
    assert time.perf_counter() - began < 0.01


@pytest.mark.parametrize("text", [*TINY, *NOT_POSITIVE])
def test_P10_no_price_is_zero_negative_or_absurdly_small(text: str) -> None:
    with pytest.raises(ValueError):
        price(frame(text, "price"))


@pytest.mark.parametrize("text", ["-1", '"-1"', "-1e-8", "1e30", '"1e30"'])
def test_P10_no_size_is_negative_or_beyond_1e30(read: Read, text: str) -> None:
    with pytest.raises(ValueError):
        read(frame(text))


@pytest.mark.parametrize("text", ["0", "0.0", '"0"', '"0.00000000"', "0e0", "0e-8", "-0", '"-0.0"'])
def test_a_zero_is_a_zero(read: Read, text: str) -> None:
    assert read(frame(text)).size == 0


def test_floats_bring_back_15_digits(read: Read) -> None:
    assert str(read(frame('"0.123456789012345"')).size) == "0.123456789012345"


def test_P11_of_duplicate_keys_the_last_wins(read: Read) -> None:
    assert read(b'{"size":1,"size":2}').size == 2


def test_P08_a_megabyte_of_digits_is_judged_in_linear_time(read: Read) -> None:
    for text in ("1" * 2**20, "1" * 2**20 + "x", "1e" + "1" * 2**20, "1." * 2**19, "1e" + "1" * 2**20 + "e"):
        began = time.perf_counter()
        with pytest.raises(ValueError):
            read(frame(text))
        assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize("text", [b"", b"{}", b'{"a":"b"}', b'["1234567890.12345678","0.5"]', b"[1,2,3]", b"1" * 40])
def test_plain_frames_are_not_odd(text: bytes) -> None:
    assert not odd(text)
    check_numbers(text)


@pytest.mark.parametrize("text", [b"1e5", b"[1E-8]", b'"3e2"', b"9" * 41, b'{"abc1e":1}'])
def test_exponents_and_long_numbers_are_odd(text: bytes) -> None:
    assert odd(text)


@pytest.mark.parametrize("text", [b"0x1e99", b"deadbe1e99", b"1e99a", b"v1e99", b"1.2.3e99x", b"_1e99"])
def test_names_that_look_like_numbers_are_left_alone(text: bytes) -> None:
    check_numbers(b'{"id":"' + text + b'"}')


@pytest.mark.parametrize("text", ['"1\\u0065400"', '"\\u0031e5"', '"1\\u0045-400"', '"1\\u002e5"', '"\\u002d1"'])
def test_P08_a_number_behind_json_escapes_is_refused(read: Read, text: str) -> None:
    assert odd(frame(text))
    with pytest.raises(ValueError):
        read(frame(text))


def test_escapes_in_names_are_no_numbers() -> None:
    check_numbers(b'{"name":"\\u0041\\n\\u20bf"}')


@pytest.mark.parametrize(
    ("step", "digits"),
    [("0.01", 2), ("0.010", 2), ("1", 0), ("10", 0), ("1E+1", 0), ("1E-8", 8), ("0.5", 1), ("NaN", 0), ("Infinity", 0)],
)
def test_digits_of_a_step(step: str, digits: int) -> None:
    assert decimals(Decimal(step)) == digits


NUMBER = st.from_regex(re.compile(r"(0|[1-9][0-9]{0,45})(\.[0-9]{1,45})?([eE][+-]?[0-9]{1,4})?"), fullmatch=True)
_PARTS = re.compile(r"([\d.]+)(?:[eE]([+-]?\d+))?")


def hostile(text: str) -> bool:
    """The rule, said plainly."""
    parts = _PARTS.fullmatch(text)
    assert parts
    return len(text) > MAX_CHARS or (parts[2] is not None and abs(int(parts[2])) > MAX_EXPONENT)


@given(NUMBER, st.booleans())
@example("0." + "0" * 37 + "1", False)
@example("0." + "0" * 33 + "1e-30", True)
@example("1e-31", False)
@example("1" * 41, True)
@example("1e30", False)
def test_P08_P09_grammar(text: str, quoted: bool) -> None:
    """Every number over 40 characters or with an exponent beyond 30 is refused; none that passes becomes 0."""
    raw = frame(f'"{text}"' if quoted else text)
    for exact in (None, msgspec.json.Decoder(ExactLevel).decode):
        read = reader(msgspec.json.Decoder(Level, strict=False).decode, exact)
        out_of_range = Decimal(text) >= Decimal("1e30")
        if hostile(text) or out_of_range:
            with pytest.raises(ValueError):
                read(raw)
            continue
        size = read(raw).size
        assert (size == 0) == (Decimal(text) == 0)
        assert size == (Decimal(text) if exact else float(text))


@given(st.lists(NUMBER, max_size=5))
def test_odd_misses_no_hostile_number(texts: list[str]) -> None:
    raw = f"[{','.join(texts)}]".encode()
    if any(map(hostile, texts)):
        assert odd(raw)
        with pytest.raises(ValueError):
            check_numbers(raw)
    else:
        check_numbers(raw)


@given(st.binary(max_size=300))
def test_any_bytes_are_judged_without_another_error(raw: bytes) -> None:
    odd(raw)
    with suppress(ValueError):
        check_numbers(raw)


PIECES = st.sampled_from([b"1", b"09", b".", b"e", b"E", b"-", b"+", b",", b'"', b"x", b"_", b" ", b"7" * 39, b"\xe9"])


@given(st.lists(PIECES, max_size=30), st.sampled_from([0, 10**9]))
@example([b"1e-5", b"e-99"], 10**9)
def test_looking_at_single_words_finds_what_reading_all_finds(pieces: list[bytes], few: int) -> None:
    raw = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number, "FEW", few)
        found = {match.span() for match in number._suspects(raw)}
    assert found == {match.span() for match in number._SUSPECT.finditer(raw)}


@pytest.mark.parametrize("bad", ["-1", "1.5", "100000000000000", "null"])
def test_times_in_milliseconds_have_bounds(bad: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(bad.encode(), type=Millis)


def test_why_decimals_are_read_twice() -> None:
    """Limits on a Decimal field do not work in msgspec: should they one day, `reader` can be simpler."""
    with pytest.raises(TypeError):
        msgspec.json.Decoder(Annotated[Decimal, Meta(gt=0)])
