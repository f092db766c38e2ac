"""Lines of raw recordings: what a venue sent, exactly, and nothing that a terminal obeys."""

import json

import pytest

from marketfeed.recording.raw_lines import lines_of
from marketfeed.taped import Input

HOSTILE = "\x1b[31m\x9b2J\u202e\u200b\u2066\ufeff ö€🙂"


@pytest.mark.parametrize("where", ["in", "close"])
def test_G12_what_a_terminal_obeys_is_escaped_and_comes_back_as_it_was(where: str) -> None:
    data, more = ((HOSTILE.encode(),), {}) if where == "in" else ((), {"reason": HOSTILE})
    (line,) = lines_of(Input(dir=where, conn="link-1", recv_ns=1, data=data, more=more), [])
    said = json.loads(line)
    assert (said["raw"] if where == "in" else said["reason"]) == HOSTILE
    assert set(line.decode()) & set(HOSTILE) <= set("[312mJ ö€🙂")
