"""A connection of trades alone that falls silent: REST is asked before it is given up (T04, T05)."""

from typing import Any

import pytest

from marketfeed.events import Disconnected, Malformed, Stale
from marketfeed.venues import binance, kraken
from marketfeed.venues._spec import Request

from .test_backfill import ROWS, at_binance, binance_trade
from .test_lanes import World
from .venues.conftest import Talk
from .venues.test_kraken import ASKS, BIDS, SNAPSHOT, book, checksum, trade

NONE: list[Any] = []


def lively(*, names: tuple[str, ...] = ("BTC-USDT",), **care: Any) -> Talk:
    """Trades of the first market come four times a second, then no more."""
    options = {"channels": ("trades",), "native": lambda s: s.replace("-", ""), "backfill": True, **care}
    talk = Talk(binance.VENUE, *names, **options).open()
    for number in range(1, 61):
        talk.frame(binance_trade(number)).wait(0.25)
    return talk


def until_asked(talk: Talk, seconds: float) -> float:
    """Seconds of silence until REST is asked."""
    for quarter in range(round(seconds * 4)):
        if talk.fetches or talk.closed:
            return quarter / 4
        talk.wait(0.25)
    raise AssertionError("nobody asks")


def test_T04_one_of_which_rest_knows_more_is_left_within_ten_seconds() -> None:
    talk = lively()
    silent_s = until_asked(talk, 10)
    (fetch,) = talk.fetches
    assert fetch.background
    assert fetch.request == Request("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=61&limit=100", weight=25)
    talk.reply([{**ROWS[0], "id": 61}]).wait(0.25)
    assert silent_s <= 7.25
    assert talk.closed == "no data for 7.0 s, and pings answered"


def test_T05_a_quiet_one_is_asked_about_less_and_less_and_left_alone() -> None:
    talk = lively()
    waits = []
    for _ in range(7):
        waits.append(until_asked(talk, 130))
        talk.reply(NONE)
        assert not talk.closed
    assert waits == pytest.approx([7, 14, 28, 56, 112, 120, 120], abs=1)


def test_T04_one_of_which_rest_says_nothing_in_time_is_left() -> None:
    """The call waits for a turn, as it does while the venue has sent us away."""
    talk = lively()
    until_asked(talk, 10)
    talk.wait(29)
    assert not talk.closed
    talk.wait(2)
    assert talk.closed == "no data for 7.0 s, and pings answered"


def test_T05_data_that_comes_before_the_answer_is_an_answer() -> None:
    talk = lively()
    until_asked(talk, 10)
    talk.frame(binance_trade(61)).reply({}, status=503).wait(1)
    assert not talk.closed


def test_T04_where_the_market_asked_about_is_left_another_one_is_asked_about() -> None:
    talk = lively(names=("BTC-USDT", "ETH-USDT"))
    talk.frame(binance_trade(1, "ETHUSDT"))
    until_asked(talk, 10)
    talk.fetches.clear()
    talk.change(drop=[talk.sub("BTC-USDT", "trades")])
    until_asked(talk, 10)
    assert "symbol=ETHUSDT" in talk.fetches[0].request.path
    assert not talk.closed
    talk.reply([{**ROWS[0], "id": 61}]).wait(0.25)
    assert talk.closed


@pytest.mark.parametrize(("status", "newer", "left"), [(200, True, True), (200, False, False), (503, False, False)])
def test_T04_T05_a_young_one_is_left_only_where_rest_knows_more(status: int, newer: bool, left: bool) -> None:
    talk = at_binance(backfill=True)
    assert 115 <= until_asked(talk, 125) <= 120
    talk.reply([{**ROWS[0], "id": 4}] if newer else NONE, status=status).wait(0.25)
    assert bool(talk.closed) is left


def test_T05_a_young_one_that_asks_nothing_over_rest_is_left_alone() -> None:
    talk = at_binance()
    with pytest.raises(AssertionError, match="nobody asks"):
        until_asked(talk, 500)


@pytest.mark.parametrize("answer", ["refused", "unreadable", "failed"])
def test_T04_one_of_which_rest_says_nothing_is_left(answer: str) -> None:
    talk = lively()
    until_asked(talk, 10)
    if answer == "refused":
        talk.reply(NONE, status=503)
    elif answer == "unreadable":
        talk.reply(b"[{]")
        assert any(isinstance(e, Malformed) for e in talk.take())
    else:
        talk.session.on_failure(talk.fetches.pop().token, talk.mono_ns, "timeout")
    assert talk.wait(0.25).closed.startswith("no data for")


def test_one_that_asks_nothing_over_rest_is_left_by_its_rhythm() -> None:
    talk = lively(backfill=False)
    assert until_asked(talk, 10) <= 8
    assert talk.closed.startswith("no data for")


def test_T04_the_liveliest_market_speaks_for_the_connection() -> None:
    talk = lively(names=("ADA-USDT", "BTC-USDT"))
    until_asked(talk, 10)
    (fetch,) = talk.fetches
    assert "BTCUSDT" in fetch.request.path


def test_one_that_ends_meanwhile_is_not_left_again() -> None:
    talk = lively()
    until_asked(talk, 10)
    talk.session.on_close(1006, "cut", talk.now, retry_s=0.5)
    assert [type(e) for e in talk.take() if isinstance(e, Disconnected)] == [Disconnected]
    assert not talk.reply(NONE).closed


def beside_another(**care: Any) -> Talk:
    """A market of trades and ticker falls silent, and another one goes on."""
    talk = lively(names=("BTC-USDT", "ETH-USDT"), channels=("trades", "ticker"), **care)
    for number in range(61, 121):
        talk.frame(binance_trade(number), quote("BTCUSDT"), binance_trade(number, "ETHUSDT"), quote("ETHUSDT")).wait(1)
    number = 121
    while not talk.fetches:
        talk.frame(binance_trade(number, "ETHUSDT"), quote("ETHUSDT")).wait(1)
        number += 1
    talk.take()
    talk.sent.clear()
    return talk


def quote(symbol: str) -> dict[str, Any]:
    data = {"u": 1, "s": symbol, "b": "1", "B": "1", "a": "2", "A": "1"}
    return {"stream": f"{symbol.lower()}@bookTicker", "data": data}


@pytest.mark.parametrize(("newer", "status", "muted"), [(True, 200, True), (False, 200, False), (True, 503, False)])
def test_T04_T05_a_market_that_is_silent_as_a_whole_is_muted_only_where_rest_knows_more(
    newer: bool, status: int, muted: bool
) -> None:
    talk = beside_another()
    talk.reply([{**ROWS[0], "id": 121}] if newer else NONE, status).wait(0.25)
    stale = [(e.channel, e.reason) for e in talk.take() if isinstance(e, Stale)]
    assert stale == [("trades", "silent for 20.0 s with all of its market; it is asked for again")] * muted
    assert [frame["method"] for frame in talk.sent[:1]] == ["UNSUBSCRIBE"] * muted


def test_T05_a_trade_that_comes_while_rest_is_asked_mutes_nothing() -> None:
    talk = beside_another()
    talk.frame(binance_trade(121)).reply([{**ROWS[0], "id": 121}]).wait(1)
    assert talk.told() == ["Trade BTC-USDT"]
    assert talk.sent == []


def test_T04_where_books_are_not_audited_trades_are_asked_about() -> None:
    talk = Talk(
        kraken.VENUE, "BTC-USD", channels=("trades", "book"), native=lambda s: s.replace("-", "/"), backfill=True
    )
    talk.open().frame(SNAPSHOT)
    for number in range(1, 61):
        talk.frame(trade(number), book("update", BIDS[:1], [], checksum(BIDS, ASKS))).wait(1)
    for _ in range(25):
        talk.frame({"channel": "heartbeat"}).wait(1)
    assert [fetch.request.path.partition("?")[0] for fetch in talk.fetches] == ["/0/public/Trades"]


def test_T08_each_connection_is_asked_about_as_far_as_it_came_itself() -> None:
    world = World()
    one, other = world.seat(), world.seat()
    one.trade(1, 2, 3)
    other.trade(1)
    assert one.stream.reached == (4, 3)
    assert other.stream.reached == (2, 1)


def test_a_stream_without_a_trade_yet_cannot_be_asked_about() -> None:
    talk = at_binance(backfill=True)
    assert talk.session._care.probe("trades", "BTCUSDT", print, 0)
    assert not talk.session._care.probe("trades", "ETHUSDT", print, 0)
    assert not talk.session._care.probe("ticker", "BTCUSDT", print, 0)
