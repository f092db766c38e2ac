from decimal import Decimal

import pytest

from marketfeed import events as ev
from marketfeed.cli._lines import Lines, number
from marketfeed.cli._notices import BURST, Notices, text
from marketfeed.trusted_book import TrustedBook

EVIL = "\x1b]0;owned\x07\u202eBTC"


def trade(**fields):
    return ev.Trade(
        **({"venue": "kraken", "symbol": "BTC-USD", "price": 1.5, "size": 2.0, "side": "buy", "id": "1"} | fields)
    )


def lines(width=200, **named):
    return Lines(width=lambda: width, colour=False, **({"venues": False, "symbols": False} | named))


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (65005.1, 2, "65,005.10"),
        (0.00000001, None, "0.00000001"),
        (Decimal("1234567.10"), None, "1,234,567.10"),
        (Decimal("1234.5"), 2, "1,234.50"),
        (None, 2, "-"),
    ],
)
def test_number(value, digits, expected):
    assert number(value, digits) == expected


def test_digits_are_the_instruments_else_the_most_seen():
    shown = lines()
    assert shown.line(trade(price=1.25)).endswith("1.25         2.0")
    assert shown.line(trade()).endswith("1.50         2.0")
    shown.line(
        ev.Instrument(venue="kraken", symbol="BTC-USD", native="", base="", quote="", price_digits=1, size_digits=3)
    )
    assert shown.line(trade()).endswith("1.5       2.000")


def test_narrow_lines_lose_columns_but_not_the_price():
    for width in range(5, 120):
        shown = lines(width, venues=True, symbols=True, simulated=True).line(trade())
        assert "1.5" in shown
        assert len(shown) <= width
        assert width < 10 or "SIM" in shown


def test_a_narrow_line_of_two_prices_keeps_the_first():
    for width in range(3, 120):
        assert "1.5" in lines(width, simulated=True).line(
            ev.Ticker(venue="v", bid=1.5, bid_size=2.0, ask=3.5, ask_size=4.0)
        )


def test_a_ticker_shows_what_it_carries():
    assert "last" not in lines().line(ev.Ticker(venue="v", bid=1.0, bid_size=2.0, ask=3.0, ask_size=4.0))
    last = lines().line(ev.Ticker(venue="v", last=1.5))
    assert last.endswith("last  1.5")
    assert "-" in lines().line(ev.Ticker(venue="v", bid=1.0, bid_size=1.0))


@pytest.mark.parametrize(
    ("coin", "said"), [("ZEC", "13.9066 GSol/s"), ("BTC", "13.9066 GH/s"), ("NEW", "13.9066 GH/s")]
)
def test_a_hashrate_has_the_unit_of_its_coin(coin, said):
    stats = ev.NetworkStats(
        venue="node",
        symbol=coin,
        ts_recv=1,
        seq_local=1,
        height=3_323_688,
        difficulty=127e6,
        hashrate=13.90664e9,
        reward=1,
    )
    assert said in lines().line(stats)


def test_a_book_is_told_when_its_best_prices_change():
    book = TrustedBook("v:BTC-USD:book")
    shown = lines(books=lambda _: book)

    def line(event):
        book.apply(event)
        return shown.line(event)

    head = {"venue": "v", "symbol": "BTC-USD", "epoch": 1}
    assert "1.0" in line(ev.BookSnapshot(**head, seq=1, bids=((1.0, 1.0),), asks=((2.0, 1.0),)))
    assert line(ev.BookDelta(**head, seq=2, prev_seq=1, bids=((0.5, 1.0),), asks=())) is None
    assert "3.0" in line(ev.BookDelta(**head, seq=3, prev_seq=2, bids=((1.0, 3.0),), asks=()))
    book.doubt("hole")
    assert shown.line(ev.BookDelta(**head, seq=4, prev_seq=3, bids=((1.0, 4.0),), asks=())) is None


@pytest.mark.parametrize("kind", [*ev.LIFE_TYPES, ev.Instrument])
def test_nothing_a_venue_says_reaches_the_terminal_raw(kind):
    evil = {f: EVIL for f in kind.__struct_fields__ if kind.__annotations__.get(f) is str}
    numbers = {f: 1 for f in kind.__struct_fields__ if kind.__annotations__.get(f) is int}
    more = {ev.Gap: {"cause": "sequence"}, ev.Audit: {"verdict": "differs"}}.get(kind, {})
    told = text(kind(**({"venue": EVIL, "symbol": EVIL} | evil | numbers | more)))
    assert told.isascii()
    assert told.isprintable()


def test_lines_are_escaped():
    shown = lines(venues=True, symbols=True).line(trade(venue=EVIL, symbol=EVIL))
    assert shown.isascii()
    assert shown.isprintable()


class Told:
    def __init__(self, **named):
        self.lines = []
        self.notices = Notices(self.lines.append, **({"held": False} | named))

    def __call__(self, *events):
        for event in events:
            self.notices.event(event)
        return self.lines


GAP = ev.Gap(venue="v", symbol="A-B", channel="book", cause="sequence", epoch=1, from_seq=3, to_seq=5)
VOID = ev.BookVoid(venue="v", symbol="A-B", epoch=1, reason="hole")
LOST = ev.Disconnected(venue="v", link="v-1", code=1006, reason="reset", retry_s=1.5)


def test_losses_are_told_by_default():
    told = Told()
    assert told(ev.Connected(venue="v", link="v-1"), ev.VenueStatus(venue="v", status="online")) == []
    assert told(LOST) == ["v: connection lost (1006): reset; trying again in 1.5 s"]


def test_a_void_after_its_gap_is_not_told_twice():
    assert Told()(GAP, VOID) == ["v:A-B:book: gap 3 to 5 (sequence)"]
    assert Told()(VOID) == ["v:A-B: book void: hole"]


def test_C05_C14_a_stall_of_a_second_and_a_step_of_the_clock_are_told_and_a_shorter_stall_to_who_wants_all():
    short, long = (ev.LoopLag(venue="", lag_ns=ns) for ns in (999_999_999, 5_000_000_000))
    step = ev.ClockStep(venue="", step_ns=-3_600_000_000_000)
    assert Told()(short, long, step) == [
        "feed: this program stood still for 5.0 s; what came meanwhile was read late",
        "feed: the clock of this machine moved by -3600.000 s",
    ]
    assert len(Told(verbose=1)(short)) == 1


def test_verbose_tells_all_and_quiet_nothing():
    assert len(Told(verbose=1)(ev.Connected(venue="v", link="l"), GAP, VOID)) == 3
    assert Told(quiet=True)(GAP, LOST) == []


def test_held_until_released():
    told = Told(held=True)
    assert told(LOST) == []
    told.notices.release()
    assert len(told.lines) == 1
    assert len(told(LOST)) == 2


def test_a_flood_is_summed_up(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("marketfeed.cli._notices.time.monotonic", lambda: now[0])
    told = Told()
    bad = ev.Malformed(venue="v", link="v-1", reason="no JSON", size=3, sample="{")
    told(*[bad] * (BURST + 20))
    assert len(told.lines) == BURST
    now[0] += 5
    told.notices.flush()
    assert told.lines[-1] == "v: 20 more of 'malformed' (-v shows all)"
    now[0] += 20
    assert len(told(bad)) == BURST + 2
