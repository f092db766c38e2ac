import re
import signal
import time

import pytest

from marketfeed import events as ev
from marketfeed.cli import _exit
from marketfeed.cli._ladder import Frame, ladder
from marketfeed.trusted_book import TrustedBook

from .helpers import Terminal, call

BIDS = ((99.0, 1.0), (98.0, 2.0), (97.0, 3.0))
ASKS = ((100.0, 1.0), (101.0, 2.0), (102.0, 3.0))


def book():
    kept = TrustedBook("kraken:BTC-USD:book")
    kept.apply(ev.BookSnapshot(venue="kraken", symbol="BTC-USD", epoch=1, seq=7, bids=BIDS, asks=ASKS))
    return kept


def test_a_ladder():
    assert ladder(book(), None, Frame(columns=30, levels=2, simulated=True), 1_500_000_000) == [
        "LIVE  SIMULATED  kraken:BTC-US",
        "seq 7  age 1.5 s  epoch 1",
        "  101.0  2.0  ################",
        "  100.0  1.0  ########",
        "--  spread 1.0  mid 99.5",
        "   99.0  1.0  ########",
        "   98.0  2.0  ################",
    ]


@pytest.mark.parametrize("columns", range(1, 30))
def test_a_narrow_ladder_leaves_numbers_out_and_cuts_none(columns):
    bids, asks = ((64_999.25, 1.25),), ((65_004.5, 0.125),)
    kept = TrustedBook("v:A-B:book")
    kept.apply(ev.BookSnapshot(venue="v", symbol="A-B", epoch=1, seq=712, bids=bids, asks=asks))
    drawn = ladder(kept, None, Frame(columns=columns), 1_500_000_000)
    assert all(len(line) <= columns for line in drawn)
    whole = {"65,004.5", "65,004.50", "64,999.25", "0.125", "1.25", "1.250", "5.25", "65,001.875", "712", "1.5", "1"}
    assert set(re.findall(r"[\d.,]*\d[\d.,]*", " ".join(drawn))) <= whole


def test_a_void_ladder_says_why_and_shows_what_was_known():
    kept = book()
    kept.doubt("hole \x1b[2J")
    drawn = ladder(kept, None, Frame(columns=80), 0)
    assert drawn[0] == "kraken:BTC-USD  VOID: hole \\x1b[2J"
    assert any("100.0" in line for line in drawn)


@pytest.mark.parametrize("columns", range(4, 31))
def test_a_narrow_ladder_says_first_whether_its_book_is_proven(columns):
    void = book()
    void.doubt("hole")
    for kept, state in ((book(), "LIVE"), (void, "VOID")):
        assert state in ladder(kept, None, Frame(columns=columns, simulated=True), 0)[0]


def test_before_the_first_snapshot():
    assert ladder(TrustedBook("v:A-B:book"), None, Frame(columns=80), 0)[0] == "v:A-B  WAITING: no snapshot yet"


@pytest.mark.parametrize("rows", [4, 5, 8, 24])
@pytest.mark.parametrize("columns", [10, 40, 80])
def test_a_ladder_fits(rows, columns):
    drawn = ladder(book(), None, Frame(columns=columns, rows=rows), 0, "x" * 100)
    assert len(drawn) <= rows
    assert all(len(line) <= columns for line in drawn)


def test_plain():
    result = call("book", "kraken:BTC-USD", "--sim", "--count", "2", "--interval", "50ms", "--levels", "3")
    assert result.exit_code == 0
    assert result.stdout.count("kraken:BTC-USD  SIMULATED  LIVE") == 2
    assert result.stdout.count("spread") == 2
    assert "\x1b" not in result.stdout


def test_what_cannot_be():
    assert call("book", "BTC-USD", "--venue", "all").exit_code == _exit.USAGE
    assert call("book", "BTC-USX", "--sim").exit_code == _exit.REFUSED


def test_a_depth_that_the_venue_has_not_is_told():
    result = call("book", "kraken:BTC-USD", "--sim", "--depth", "2000", "--count", "1")
    assert "marketfeed: kraken has at most 1,000 levels a side: its books are that deep, not 2,000\n" in result.stderr


@pytest.mark.parametrize("args", [["mempool:BTC"], ["BTC-USD", "--venue", "mempool"]])
def test_a_chain_has_no_book(args):
    result = call("book", *args, "--sim")
    assert result.exit_code == _exit.USAGE
    assert result.stderr.splitlines()[-1] == "marketfeed: mempool has no 'book'; it serves chain of BTC"


def test_a_duration_in_which_the_venue_was_not_reached_is_no_success():
    dead = "kraken=ws://127.0.0.1:1,http://127.0.0.1:1"
    result = call("book", "kraken:BTC-USD", "--plain", "--duration", "500ms", "--endpoint", dead)
    assert result.exit_code == _exit.UNREACHED
    assert result.stderr.endswith("or try it without one: marketfeed book kraken:BTC-USD --sim\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_terminal_is_given_back(number, code):
    with Terminal("book", "BTC-USD", "--sim", columns=40, lines=12) as terminal:
        text = terminal.read_until(lambda text: text.count("LIVE") >= 3)
        assert text.startswith("\x1b[?1049h\x1b[?25l")
        assert "SIMULATED" in text
        began = time.monotonic()
        assert terminal.end(number) == code
        assert time.monotonic() - began < 2
        assert terminal.text.endswith("\x1b[?25h\x1b[?1049l")
        drawings = terminal.text.split("\x1b[H")[1:]
        plain = [re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", drawing).replace("\r", "").split("\n") for drawing in drawings]
        assert all(len(drawing) <= 12 and all(len(line) <= 40 for line in drawing) for drawing in plain)


def test_the_terminal_is_given_back_after_an_error():
    with Terminal("book", "BTC-USX", "--sim") as terminal:
        text = terminal.read_until(lambda _: False)
        assert terminal.process.wait(10) == _exit.REFUSED
        assert text.count("\x1b[?1049h") == text.count("\x1b[?1049l")
        assert b"coinbase has no BTC-USX" in terminal.process.stderr.read()
