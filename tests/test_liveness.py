"""Which stream of a living connection is muted, and which is just quiet (T04, T05)."""

from itertools import pairwise
from random import Random

import pytest

from marketfeed.liveness import WITNESSED_S, Heard, Liveness
from marketfeed.pace import SECOND
from marketfeed.subscriptions import Channel

ALL: tuple[Channel, ...] = ("trades", "ticker", "book")


class Link:
    """Streams of some markets, each with a rate (events a second), looked at once a second."""

    def __init__(self, *markets: str, channels: tuple[Channel, ...] = ALL, rate: float = 2.0) -> None:
        self.rates: dict[tuple[Channel, str], float] = {(c, m): rate for m in markets for c in channels}
        self.counts: dict[tuple[Channel, str], float] = dict.fromkeys(self.rates, 0.0)
        self.liveness = Liveness()
        self.seconds = 0

    def run(self, seconds: int) -> list[tuple[int, Channel, str, str]]:
        """What was told, each with the second."""
        told = []
        for _ in range(seconds):
            self.seconds += 1
            for key, rate in self.rates.items():
                self.counts[key] += rate
            heard = [Heard(channel, market, int(count)) for (channel, market), count in self.counts.items()]
            told += [(self.seconds, *one[:3]) for one in self.liveness.look(heard, self.seconds * SECOND)]
        return told

    def mute(self, channel: Channel, market: str) -> None:
        self.rates[channel, market] = 0.0


@pytest.mark.parametrize("channel", ["book", "ticker"])
def test_T04_a_book_or_ticker_silent_beside_trades_is_muted_at_once(channel: Channel) -> None:
    link = Link("A", "B", rate=5)
    assert link.run(60) == []
    link.mute(channel, "A")
    ((second, *what),) = link.run(int(WITNESSED_S))
    assert what == [channel, "A", "silent for 5.0 s beside 25 trades"]
    assert second == 60 + WITNESSED_S


def test_T04_trades_are_muted_by_their_own_pace_while_the_market_goes_on() -> None:
    link = Link("A", "B")
    assert link.run(60) == []
    link.mute("trades", "A")
    ((second, *what),) = link.run(60)
    assert what == ["trades", "A", "silent for 20.0 s, and its market is not"]
    assert second == 60 + 20


def test_T04_a_lone_channel_has_its_pace_alone() -> None:
    link = Link("A", channels=("trades",), rate=1.0)
    link.run(60)
    link.mute("trades", "A")
    assert [(s - 60, reason) for s, _, _, reason in link.run(600)] == [(20, "silent for 20.0 s, once every 1 s before")]


def test_T04_one_muted_stream_of_fifty_is_found_inside_its_deadline() -> None:
    link = Link(*(f"M{n}" for n in range(50)), channels=("trades", "book"), rate=4)
    assert link.run(120) == []
    link.mute("book", "M17")
    assert [(s - 120, channel, market) for s, channel, market, _ in link.run(6)] == [(5, "book", "M17")]


def test_T04_T05_a_market_in_which_all_is_silent_is_asked_about_ever_more_seldom() -> None:
    link = Link("A", "B")
    link.run(60)
    for channel in ALL:
        link.mute(channel, "A")
    told = link.run(6 * 3600)
    assert told[0][1:] == ("book", "A", "silent for 20.0 s with all of its market")
    assert [(second - 60, channel) for second, channel, *_ in told] == [(20 * 2**n, "book") for n in range(11)]


def test_T05_of_many_markets_that_rest_at_once_one_is_asked_about_each_five_seconds() -> None:
    link = Link(*(f"M{n}" for n in range(50)), channels=("trades", "book"), rate=1)
    link.run(60)
    link.mute("trades", "M7")
    link.mute("book", "M7")
    link.run(10)
    for key in link.rates:
        link.rates[key] = 0.0
    told = link.run(60)
    assert told[0][2] == "M7"
    assert all(later[0] - one[0] >= 5 for one, later in pairwise(told))
    assert len({market for _, _, market, _ in told}) >= 8


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [0.005, 0.2])
def test_T05_a_day_of_quiet_and_bursty_trades_raises_no_alarm(rate: float, seed: int) -> None:
    dice, liveness = Random(seed), Liveness()
    counts: dict[Channel, int] = dict.fromkeys(ALL, 0)
    for second in range(24 * 3600):
        trades = int(dice.paretovariate(1.1)) if dice.random() < rate else 0
        counts["trades"] += trades
        counts["ticker"] += trades
        counts["book"] += trades + (dice.random() < 3 * rate)
        heard = [Heard(channel, "A", count) for channel, count in counts.items()]
        assert liveness.look(heard, second * SECOND) == []
    assert counts["trades"] > 100


def test_T05_a_slow_stream_is_not_judged_by_its_pace() -> None:
    link = Link("A", channels=("trades",), rate=0.1)
    link.run(1_000)
    link.mute("trades", "A")
    assert link.run(3600) == []


def test_what_is_told_is_told_again_only_where_it_was_heard_between() -> None:
    link = Link("A", channels=("trades",), rate=2.0)
    link.run(60)
    link.mute("trades", "A")
    assert len(link.run(3600)) == 1
    link.rates["trades", "A"] = 2.0
    link.run(60)
    link.mute("trades", "A")
    assert len(link.run(3600)) == 1


def test_a_stream_asked_for_again_is_new() -> None:
    link = Link("A", channels=("trades", "book"), rate=5)
    link.run(60)
    gone = {key: rate for key, rate in link.rates.items() if key[0] == "book"}
    for key in gone:
        del link.rates[key], link.counts[key]
    assert link.run(60) == []
    link.counts["book", "A"] = 0.0
    link.rates["book", "A"] = 0.0
    assert [(s - 120, channel) for s, channel, *_ in link.run(7)] == [(6, "book")]


def test_a_count_that_falls_back_is_a_new_beginning() -> None:
    link = Link("A", channels=("trades",), rate=2.0)
    link.run(60)
    link.counts["trades", "A"] = 0.0
    assert link.run(60) == []
