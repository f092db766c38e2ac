"""Events as JSON lines, read back."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

import marketfeed as mf
from marketfeed.errors import RecordingError
from marketfeed.recording import read_events

from .test_schemas import CHAIN, LIFE, MARKET


@pytest.mark.parametrize("number", [float, Decimal])
def test_every_event_comes_back_as_it_was(tmp_path: Path, number: type) -> None:
    events = [make(number) for make in MARKET] + CHAIN + LIFE
    lines = b"".join(mf.encode_json(event) + b"\n" for event in events)
    (tmp_path / "plain.jsonl").write_bytes(lines + b"\n")
    (tmp_path / "zipped.jsonl.gz").write_bytes(gzip.compress(lines))
    for path in tmp_path.iterdir():
        assert list(read_events(path, exact=number is Decimal)) == events


def test_exact_numbers_keep_their_digits(tmp_path: Path) -> None:
    trade = MARKET[0](Decimal)
    path = tmp_path / "one.jsonl"
    path.write_bytes(mf.encode_json(trade).replace(b'"price":1.5', b'"price":1.50'))
    (back,) = read_events(path, exact=True)
    assert str(back.price) == "1.50"  # type: ignore[attr-defined] # it is a trade


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"kind":"nonsense"}', b'{"kind":"trade","venue":1}', b"\xff\xfe"])
def test_what_is_no_event_is_named_with_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(mf.encode_json(LIFE[0]) + b"\n" + line + b"\n")
    with pytest.raises(RecordingError, match="line 2: not an event"):
        list(read_events(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        list(read_events(tmp_path / "none.jsonl"))
