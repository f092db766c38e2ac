"""Blockchair as its protocol sheet and a recorded answer have it."""

from typing import Any

import pytest

from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import Request
from marketfeed.venues.blockchair import CHAINS, VENUE

from .chain_talk import BAD_BODIES, SECOND, ChainTalk

HASH = "00000000000000171993c83855edbbdb4b596a80d7979b9906199a152c02e602"
STATS = {
    "blocks": 2428756,
    "blocks_24h": 125,
    "difficulty": 104649090.3851,
    "best_block_height": 2428755,
    "best_block_hash": HASH,
    "best_block_time": "2023-04-13 15:55:31",
    "inflation_24h": 305175750,
    "hashrate_24h": "650455020414125",
    "market_price_usd": 0,
    "next_retarget_time_estimate": "2023-04-17 02:55:52",
    "next_difficulty_estimate": 107945581,
}
CONTEXT = {"code": 200, "source": "A", "state": 2428755}
AT = 1681401331
"""2023-04-13 15:55:31 UTC"""


def hear(coin: str = "BTC", tip: int = 0, **fields: Any) -> ChainTalk:
    talk = ChainTalk(VENUE, coin, tip)
    assert talk.ask() == Request(f"/{CHAINS[coin]}/stats")
    assert talk.answer({"data": STATS | fields, "context": CONTEXT}) is False
    return talk


@pytest.mark.parametrize("coin", CHAINS)
def test_the_figures_of_each_coin_and_no_blocks(coin: str) -> None:
    talk = hear(coin)
    assert talk.sink.runs == []
    (said,) = talk.sink.said
    assert (said.pop("height"), said.pop("difficulty")) == (2428755, 104649090.3851)
    measured = {} if coin == "ZEC" else {"hashrate": 650455020414125.0, "hashrate_blocks": 125}
    forecast = {}
    if coin in ("BTC", "LTC"):
        change = 107945581 / 104649090.3851 * 100 - 100
        forecast = {"retarget_change": change, "retarget_ts": (AT + 298821) * SECOND}
    assert said == measured | forecast


@pytest.mark.parametrize("absent", ["hashrate_24h", "blocks_24h"])
def test_a_hashrate_is_told_with_its_blocks_or_not(absent: str) -> None:
    assert hear("DASH", **{absent: None}).sink.said == [{"height": 2428755, "difficulty": 104649090.3851}]


@pytest.mark.parametrize("absent", ["next_difficulty_estimate", "next_retarget_time_estimate"])
def test_an_estimate_may_be_missing(absent: str) -> None:
    names = {"next_difficulty_estimate": "retarget_change", "next_retarget_time_estimate": "retarget_ts"}
    assert names[absent] not in hear("LTC", **{absent: None}).sink.said[0]


def test_P06_numbers_may_be_text() -> None:
    talk = hear(best_block_height="2428755", difficulty="104649090.3851", hashrate_24h=650455020414125)
    assert talk.sink.said[0]["difficulty"] == 104649090.3851


def test_a_tip_far_above_what_is_said_is_doubted() -> None:
    assert len(hear(tip=2**40).sink.said) == 1


def test_a_server_behind_the_last_one_tells_nothing() -> None:
    talk = hear(tip=2428756)
    assert (talk.sink.runs, talk.sink.said) == ([], [])
    assert hear(tip=2428755).sink.tip == 2428755


def refused(body: Any, match: str | None = None) -> None:
    talk = ChainTalk(VENUE, "BTC")
    talk.ask()
    with pytest.raises((ValueError, RecursionError), match=match):
        talk.answer(body)
    assert (talk.sink.runs, talk.sink.said) == ([], [])


@pytest.mark.parametrize("body", [*BAD_BODIES, [], {}, {"data": []}, {"data": {}}], ids=lambda b: repr(b)[:60])
def test_P01_P02_P04_what_is_no_answer(body: Any) -> None:
    refused(body)


def test_what_is_wrong_is_told_in_its_words() -> None:
    context = {"code": 402, "error": "Limit is exceeded"}
    refused({"data": None, "context": context}, "no data, code 402: Limit is exceeded")
    refused({"data": STATS, "context": context}, "no data, code 402: Limit is exceeded")


@pytest.mark.parametrize(
    "fields",
    [
        {"best_block_height": None},
        {"best_block_height": -1},
        {"best_block_height": str(2**63)},
        {"difficulty": 0},
        {"difficulty": "0"},
        {"difficulty": -1},
        {"difficulty": "NaN"},
        {"difficulty": "Infinity"},
        {"difficulty": "1e31"},
        {"difficulty": "1e-400"},
        {"difficulty": "9" * 400},
        {"difficulty": None},
        {"hashrate_24h": "-5"},
        {"hashrate_24h": "inf"},
        {"hashrate_24h": "1_000"},
        {"blocks_24h": 2**64},
        {"next_difficulty_estimate": "NaN"},
        {"next_retarget_time_estimate": "soon"},
    ],
    ids=lambda f: str(f)[:60],
)
def test_P04_P07_P08_P10_what_it_never_says(fields: dict[str, Any]) -> None:
    refused({"data": STATS | fields, "context": CONTEXT})


def test_one_polling_link_for_all_coins() -> None:
    wanted = [Subscription("blockchair", coin, "chain") for coin in VENUE.coins]
    (link,) = VENUE.plan(VENUE.endpoints, wanted, VENUE.pace)
    assert (link.url, set(link.subscriptions)) == ("", set(wanted))
    assert (VENUE.channels, VENUE.credentials) == (("chain",), "")
    assert VENUE.pace.rest == (1400, 86400)


def test_coins_are_asked_about_side_by_side() -> None:
    talk = ChainTalk(VENUE, "BTC")
    talk.port.chains["LTC"] = talk.sink
    assert [talk.decoder.poll(coin).path for coin in ("BTC", "LTC")] == ["/bitcoin/stats", "/litecoin/stats"]
    assert talk.answer({"data": STATS}) is False
    assert talk.sink.said[0]["height"] == 2428755
