"""The pytest plugin: stories on a stage, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

import marketfeed as mf

if TYPE_CHECKING:
    from marketfeed.testing.plugin import Stage

Play = Callable[..., Any]
pytest_plugins = ["marketfeed.testing.plugin"]


def watching(told: list[bytes], seconds: float = 20.0) -> Callable[["Stage"], Awaitable[None]]:
    async def story(stage: "Stage") -> None:
        stage.feed.subscribe("kraken:BTC-USD", trades=True, book=10)
        await stage.feed.live(timeout=30)
        await asyncio.sleep(seconds)
        told.extend(mf.encode_json(event) for event in stage.told(mf.Trade))

    return story


def test_the_same_arguments_make_the_same_run_and_another_seed_another(marketfeed_play: Play) -> None:
    first, again, other = list[bytes](), list[bytes](), list[bytes]()
    marketfeed_play(watching(first), seed=3, faults="drop=1%,cut@10s")
    marketfeed_play(watching(again), seed=3, faults="drop=1%,cut@10s")
    marketfeed_play(watching(other), seed=4, faults="drop=1%,cut@10s")
    assert first == again != other
    assert first


def test_T03_a_network_that_goes_dead_is_found_and_left(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        stage.feed.subscribe("kraken:BTC-USD", book=10)
        await stage.feed.live(timeout=30)
        stage.network.freeze(stage.port("kraken"))
        await stage.until(lambda: stage.told(mf.Disconnected), seconds=6)
        await stage.feed.live(timeout=5)

    marketfeed_play(story, "kraken")


def test_what_fails_in_a_story_fails_the_test(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        await stage.until(lambda: stage.told(mf.Trade), seconds=5)

    with pytest.raises(TimeoutError):
        marketfeed_play(story)


def test_a_broken_rule_of_a_venue_fails_the_test(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        stage.plant.breaches["kraken:subscribes"] += 1

    with pytest.raises(AssertionError, match=r"a venue's rule was broken: \{'kraken:subscribes': 1\}"):
        marketfeed_play(story)


def test_options_go_where_they_belong(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        assert stage.feed.exact
        assert stage.feed.plan("binance:BTC-USDT", book=True)
        with pytest.raises(KeyError):
            stage.port("coinbase")

    marketfeed_play(story, "kraken", "binance", settings={"backfill": False}, exact=True)
