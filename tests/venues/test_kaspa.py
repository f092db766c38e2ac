"""Kaspa's REST server as its protocol sheet has it."""

from typing import Any

import pytest

from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import Request
from marketfeed.venues.kaspa import VENUE

from .chain_talk import BAD_BODIES, ChainTalk
from .numbers import BEYOND, NO_NUMBERS, NOT_POSITIVE, TINY, UNDERFLOW

DAG = {
    "networkName": "kaspa-mainnet",
    "blockCount": "260890",
    "headerCount": "2131312",
    "tipHashes": ["78273854a739e3e379dfd34a262bbe922400d8e360e30e3f31228519a334350a"],
    "difficulty": 3870677677777.2,
    "pastMedianTime": "1656455670700",
    "virtualDaaScore": "19989141",
}


@pytest.mark.parametrize("score", ["19989141", 19989141], ids=repr)
@pytest.mark.parametrize("difficulty", [3870677677777.2, "3870677677777.2"], ids=repr)
def test_P06_the_score_is_the_height_and_numbers_may_be_text(score: Any, difficulty: Any) -> None:
    talk = ChainTalk(VENUE)
    assert talk.ask() == Request("/info/blockdag")
    assert talk.answer(DAG | {"virtualDaaScore": score, "difficulty": difficulty}) is False
    assert talk.sink.said == [{"height": 19989141, "difficulty": 3870677677777.2}]
    assert talk.sink.runs == []
    assert talk.ask() == Request("/info/blockdag")


def test_P05_another_network_is_refused_by_name() -> None:
    talk = ChainTalk(VENUE)
    talk.ask()
    with pytest.raises(ValueError, match="the node is on chain 'kaspa-testnet-10', not kaspa-mainnet"):
        talk.answer(DAG | {"networkName": "kaspa-testnet-10"})
    assert (talk.sink.said, talk.port.statuses[0][0]) == ([], "error")
    talk.ask()
    talk.answer(DAG)
    assert talk.port.statuses[1:] == [("online", "")]


def refused(body: Any) -> None:
    talk = ChainTalk(VENUE)
    talk.ask()
    with pytest.raises((ValueError, RecursionError)):
        talk.answer(body)
    assert talk.sink.said == []


@pytest.mark.parametrize("body", [*BAD_BODIES, [], {}, [DAG]], ids=lambda b: repr(b)[:60])
def test_P01_P02_P04_what_is_no_answer(body: Any) -> None:
    refused(body)


@pytest.mark.parametrize("text", [*NO_NUMBERS, *TINY, *UNDERFLOW, *NOT_POSITIVE], ids=lambda t: t[:40])
def test_P07_P09_P10_what_is_no_difficulty(text: str) -> None:
    refused(f'{{"virtualDaaScore":"19989141","difficulty":{text}}}')


@pytest.mark.parametrize("text", [t for t in BEYOND if "0.0" not in t], ids=lambda t: t[:40])
def test_P08_difficulties_beyond_all_range(text: str) -> None:
    refused(f'{{"virtualDaaScore":"19989141","difficulty":{text}}}')


@pytest.mark.parametrize("text", ['"-1"', "-1", "1.5", '"9223372036854775808"', "9223372036854775808", "null", '"x"'])
def test_P10_what_is_no_score(text: str) -> None:
    refused(f'{{"virtualDaaScore":{text},"difficulty":1}}')


def test_a_polling_link() -> None:
    wanted = Subscription("kaspa", "KAS", "chain")
    (link,) = VENUE.plan(VENUE.endpoints, [wanted], VENUE.pace)
    assert (link.url, link.subscriptions) == ("", (wanted,))
    assert (VENUE.coins, VENUE.channels, VENUE.pace.poll_s) == (("KAS",), ("chain",), 10)
