"""WhatToMine as its protocol sheet and its real answers have it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketfeed.mining.coins import COINS
from marketfeed.mining.economics import network_hashrate
from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import Request
from marketfeed.venues.whattomine import IDS, VENUE, WCoin

from .chain_talk import BAD_BODIES, ChainTalk

COIN = {
    "id": 1,
    "name": "Bitcoin",
    "tag": "BTC",
    "algorithm": "SHA-256",
    "block_time": "512.0",
    "block_reward": 3.1443778833333336,
    "last_block": 969991,
    "difficulty": 132716002350731.3,
    "difficulty24": 132716002350731.61,
    "nethash": 1113302519047363281250,
    "exchange_rate": 85956.45,
    "exchange_rate_curr": "BTC",
    "market_cap": "$1,727,174,523,720",
    "status": "Active",
    "lagging": False,
    "testing": False,
    "listed": True,
    "timestamp": 1791192973,
}
SAID = {"height": 969991, "difficulty": 132716002350731.3}


def hear(coin: str = "BTC", tip: int = 0, **fields: Any) -> ChainTalk:
    talk = ChainTalk(VENUE, coin, tip)
    assert talk.ask() == Request(f"/coins/{IDS[coin]}.json")
    assert talk.answer(COIN | {"tag": coin} | fields) is False
    return talk


@pytest.mark.parametrize("coin", IDS)
def test_the_figures_of_each_coin_and_no_blocks(coin: str) -> None:
    talk = hear(coin)
    assert (talk.sink.runs, talk.sink.said) == ([], [SAID])


def test_neither_its_reward_nor_a_hashrate_of_unknown_blocks_is_told() -> None:
    assert hear(block_reward=99.0, nethash="many", block_time=None).sink.said == [SAID]


def test_P06_numbers_may_be_text() -> None:
    assert hear(difficulty="132716002350731.3", last_block="969991").sink.said == [SAID]


def test_a_tip_far_above_what_is_said_is_doubted() -> None:
    assert len(hear(tip=2**40).sink.said) == 1


def test_a_server_behind_the_last_one_tells_nothing() -> None:
    talk = hear(tip=969992)
    assert (talk.sink.runs, talk.sink.said) == ([], [])
    assert hear(tip=969991).sink.said == [SAID]


def both() -> ChainTalk:
    talk = ChainTalk(VENUE, "BTC")
    talk.port.chains["BCH"] = talk.sink
    return talk


def told(talk: ChainTalk, coin: str, *, lagging: bool) -> None:
    talk.coin = coin
    talk.ask()
    assert talk.answer(COIN | {"tag": coin, "lagging": lagging}) is False


def test_figures_that_lag_are_ignored_and_it_is_told_once() -> None:
    talk = both()
    for _ in range(3):
        told(talk, "BCH", lagging=True)
        assert talk.sink.said == []
        told(talk, "BTC", lagging=False)
        assert talk.sink.said == [SAID]
        talk.sink.said.clear()
    assert talk.port.statuses == [("lagging", "its figures of BCH are old")]
    told(talk, "BTC", lagging=True)
    told(talk, "BCH", lagging=False)
    assert len(talk.port.statuses) == 1
    told(talk, "BTC", lagging=False)
    assert talk.port.statuses[1:] == [("online", "")]


def test_a_coin_that_lagged_and_is_not_wanted_any_more_is_forgotten() -> None:
    talk = both()
    told(talk, "BCH", lagging=True)
    talk.decoder.unsubscribe([(Subscription("whattomine", "BCH", "chain"), "BCH")])
    del talk.port.chains["BCH"]
    told(talk, "BTC", lagging=False)
    assert [status for status, _ in talk.port.statuses] == ["lagging", "online"]


def refused(body: Any, match: str | None = None) -> None:
    talk = ChainTalk(VENUE, "BTC")
    talk.ask()
    with pytest.raises((ValueError, RecursionError), match=match):
        talk.answer(body)
    assert (talk.sink.runs, talk.sink.said, talk.port.statuses) == ([], [], [])


@pytest.mark.parametrize("body", [*BAD_BODIES, [], {}, {"errors": ["Not found"]}], ids=lambda b: repr(b)[:60])
def test_P01_P02_P04_what_is_no_answer(body: Any) -> None:
    refused(body)


def test_another_coin_is_not_taken_for_the_one_asked_about() -> None:
    refused(COIN | {"tag": "BCH"}, "figures of 'BCH', BTC was asked about")
    refused(COIN | {"tag": "x" * 10_000}, rf"figures of '{'x' * 20}', BTC")


def test_figures_without_a_height_are_of_no_use() -> None:
    refused({name: value for name, value in COIN.items() if name != "last_block"}, "without a height")
    refused(COIN | {"last_block": None}, "without a height")


@pytest.mark.parametrize(
    "fields",
    [
        {"tag": None},
        {"tag": 1},
        {"last_block": -1},
        {"last_block": 0},
        {"last_block": 2**63},
        {"last_block": 1.5},
        {"difficulty": None},
        {"difficulty": 0},
        {"difficulty": -1},
        {"difficulty": "NaN"},
        {"difficulty": "Infinity"},
        {"difficulty": "1e31"},
        {"difficulty": "1e-400"},
        {"difficulty": "9" * 400},
        {"difficulty": "1_000"},
        {"lagging": "maybe"},
        {"lagging": []},
    ],
    ids=lambda f: str(f)[:60],
)
def test_P04_P07_P08_P10_what_it_never_says(fields: dict[str, Any]) -> None:
    refused(COIN | fields)


def test_one_polling_link_for_all_coins() -> None:
    wanted = [Subscription("whattomine", coin, "chain") for coin in VENUE.coins]
    (link,) = VENUE.plan(VENUE.endpoints, wanted, VENUE.pace)
    assert (link.url, set(link.subscriptions)) == ("", set(wanted))
    assert (VENUE.channels, VENUE.credentials) == (("chain",), "")
    assert VENUE.pace.rest is not None
    assert VENUE.pace.rest[0] / VENUE.pace.rest[1] > len(wanted) / VENUE.pace.poll_s
    assert VENUE.pace.silence_s > 3 * VENUE.pace.poll_s


def test_coins_are_asked_about_side_by_side() -> None:
    talk = both()
    assert [talk.decoder.poll(coin).path for coin in ("BTC", "BCH")] == ["/coins/1.json", "/coins/193.json"]


# What the captures prove of the numbers


@pytest.fixture(scope="session")
def bodies(captures: Path) -> dict[str, bytes]:
    path = captures / "mining" / "rest-2026.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return {line["url"]: line["raw"].encode() for line in map(json.loads, path.read_bytes().splitlines())}


def rows(bodies: dict[str, bytes]) -> dict[str, Any]:
    coins: dict[str, Any] = json.loads(bodies["https://whattomine.com/asic.json"])["coins"]
    return {row["tag"]: row for row in coins.values()}


def test_the_real_answer_about_a_coin(bodies: dict[str, bytes]) -> None:
    talk = ChainTalk(VENUE)
    talk.ask()
    talk.answer(bodies["https://whattomine.com/coins/1.json"])
    assert (talk.sink.said, talk.port.statuses) == ([SAID], [])


def test_rows_of_the_real_list_that_we_do_not_ask_for_are_as_the_answers(bodies: dict[str, bytes]) -> None:
    listed = msgspec.json.decode(bodies["https://whattomine.com/asic.json"], type=dict[str, dict[str, WCoin]])["coins"]
    assert {coin.tag: coin.lagging for coin in listed.values()} == {
        "BTC": False,
        "BCH": False,
        "DGB": False,
        "XEC": True,
    }
    assert all(coin.last_block is None for coin in listed.values())


def test_its_numbers_of_coins_are_as_captured(bodies: dict[str, bytes]) -> None:
    assert {tag: rows(bodies)[tag]["id"] for tag in VENUE.coins} == IDS


def test_4_7_a_unit_of_its_difficulty_is_as_many_hashes_as_ours(bodies: dict[str, bytes]) -> None:
    said = json.loads(bodies["https://whattomine.com/coins/1.json"])
    coin = COINS[said["tag"]]
    implied = network_hashrate(coin, said["difficulty"])
    assert implied * coin.block_time_s / float(said["block_time"]) == pytest.approx(said["nethash"], rel=1e-15)
    assert implied == pytest.approx(said["nethash"], rel=0.25)


@pytest.mark.parametrize("tag", IDS)
def test_coins_of_one_algorithm_pay_the_same_for_a_hash(bodies: dict[str, bytes], tag: str) -> None:
    """Miners move to where a hash pays more, so a difficulty in another unit would show; prices there are in BTC."""
    btc, other = rows(bodies)["BTC"], rows(bodies)[tag]
    assert COINS[tag].algorithm == COINS["BTC"].algorithm

    def pays(row: dict[str, Any]) -> float:
        price = 1.0 if row["tag"] == "BTC" else row["exchange_rate"]
        hashes = row["difficulty"] * COINS[row["tag"]].hashes_per_difficulty
        return float(row["block_reward"] * price / hashes)

    assert pays(other) == pytest.approx(pays(btc), rel=0.25)
