"""What to mine: the best coin of a rig, without flapping."""

from typing import Any

from marketfeed.events import Input, MiningProfit
from marketfeed.mining.ranking import Ranking

SECOND = 1_000_000_000


OLD = (Input(kind="network", what="BTC", source="mempool:BTC:chain", value=1.0, stale=True, used=True),)


def profit(coin: str, value: float | None, at: float = 0.0, rig: str = "xp", **fields: Any) -> MiningProfit:
    unknown = ("electricity", "fee_day", "power_cost_day", "margin", "hashprice", "breakeven_electricity")
    given: dict[str, Any] = dict.fromkeys((*unknown, "breakeven_price", "breakeven_difficulty", "cost_per_coin"))
    given |= {"revenue_day": 100.0, "stale": (), "trigger": "price", "terms": (), "inputs": ()}
    return MiningProfit(
        venue="mining",
        symbol=coin,
        ts_recv=round(at * SECOND),
        rig=rig,
        algorithm="SHA-256d",
        quote="USD",
        hashrate=1.0,
        watts=1.0,
        pool_fee=0.0,
        scheme="FPPS",
        uptime=1.0,
        hash_unit="TH/s",
        profit_day=value,
        **given | fields,
    )


def test_the_first_known_is_the_best() -> None:
    ranking = Ranking()
    assert ranking.offer(profit("BTC", None)) is None
    assert ranking.offer(profit("BCH", 5.0)) == "BCH"


def test_another_takes_over_after_it_was_better_by_enough_for_long_enough() -> None:
    ranking = Ranking(lead=0.02, hold_s=300)
    ranking.offer(profit("BTC", 10.0))
    assert ranking.offer(profit("BCH", 12.5, 1)) == "BTC"
    assert ranking.offer(profit("BCH", 12.5, 300)) == "BTC"
    assert ranking.offer(profit("BCH", 12.5, 301)) == "BCH"


def test_a_lead_that_is_small_or_short_changes_nothing() -> None:
    ranking = Ranking(lead=0.02, hold_s=300)
    ranking.offer(profit("BTC", 10.0))
    for at in range(0, 3000, 100):
        assert ranking.offer(profit("BCH", 11.9, at)) == "BTC"
    for at in range(3000, 6000, 200):
        assert ranking.offer(profit("BCH", 12.5, at)) == "BTC"
        assert ranking.offer(profit("BCH", 11.0, at + 100)) == "BTC"


def test_who_rests_on_stale_inputs_takes_over_never_and_gives_way_at_once() -> None:
    ranking = Ranking(hold_s=0)
    ranking.offer(profit("BTC", 10.0))
    assert ranking.offer(profit("BCH", 50.0, 1, inputs=OLD)) == "BTC"
    ranking.offer(profit("BCH", 5.0, 2))
    assert ranking.offer(profit("BTC", 10.0, 3, inputs=OLD)) == "BCH"


def test_a_stale_input_that_is_not_used_costs_no_place() -> None:
    spare = (Input(kind="network", what="BTC", source="blockchair:BTC:chain", value=1.0, stale=True),)
    assert Ranking().offer(profit("BTC", 10.0, inputs=spare, stale=("blockchair:BTC:chain",))) == "BTC"


def test_where_nothing_is_known_any_more_there_is_no_best() -> None:
    ranking = Ranking()
    ranking.offer(profit("BTC", 10.0))
    assert ranking.offer(profit("BTC", None, 1)) is None
    assert ranking.ranked("xp") == []


def test_a_third_that_overtakes_begins_its_own_wait() -> None:
    ranking = Ranking(hold_s=300)
    ranking.offer(profit("BTC", 10.0))
    ranking.offer(profit("BCH", 20.0, 0))
    ranking.offer(profit("XEC", 30.0, 299))
    assert ranking.offer(profit("XEC", 30.0, 301)) == "BTC"
    assert ranking.offer(profit("XEC", 30.0, 600)) == "XEC"


def test_two_that_take_turns_at_the_top_keep_nobody_in_place() -> None:
    ranking = Ranking(hold_s=300)
    ranking.offer(profit("BTC", 10.0))
    for at in range(0, 300, 10):
        assert ranking.offer(profit("BCH", 20.0 + at % 20, at)) == "BTC"
        assert ranking.offer(profit("XEC", 25.0, at)) == "BTC"
    assert ranking.offer(profit("BCH", 30.0, 300)) == "BCH"


def test_rigs_are_apart_and_ranked() -> None:
    ranking = Ranking()
    ranking.offer(profit("BTC", 10.0, rig="a"))
    ranking.offer(profit("BCH", 20.0, rig="a"))
    assert ranking.offer(profit("BCH", 1.0, rig="b")) == "BCH"
    assert [p.symbol for p in ranking.ranked("a")] == ["BCH", "BTC"]
    assert ranking.ranked("nobody") == []
