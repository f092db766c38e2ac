"""The pytest plugin: stories on a stage, in virtual time."""

import asyncio
import traceback
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


async def bot_of(feed: mf.Feed, symbol: str = "kraken:BTC-USD", name: str = "price") -> None:
    """It reads `name` of each trade."""
    feed.subscribe(symbol, trades=True)
    async for event in feed:
        if isinstance(event, mf.Trade):
            getattr(event, name)


def test_what_a_story_waits_for_in_vain_says_how_long_and_what_does_not_flow(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        stage.feed.subscribe("kraken:BTC-USF", trades=True)
        await stage.until(lambda: stage.told(mf.Trade), seconds=5)

    with pytest.raises(TimeoutError, match=r"^waited 5 s; not flowing: kraken:BTC-USF:trades \(.*did you mean BTC-USD"):
        marketfeed_play(story)


def test_what_a_story_waits_for_in_vain_says_where_nothing_was_asked_for(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        await stage.until(lambda: stage.told(mf.Trade), seconds=5)

    with pytest.raises(TimeoutError, match=r"^waited 5 s; nothing is subscribed to$"):
        marketfeed_play(story)


def test_a_story_that_waits_for_ever_fails_and_says_where(marketfeed_play: Play) -> None:
    async def fill_that_never_comes() -> None:
        await asyncio.Event().wait()

    async def story(stage: "Stage") -> None:
        stage.feed.subscribe("kraken:BTC-USD", book=10)
        await fill_that_never_comes()

    with pytest.raises(TimeoutError, match=r"^the story has not ended after 30 s$") as caught:
        marketfeed_play(story, limit_s=30)
    assert "fill_that_never_comes" in "".join(traceback.format_exception(caught.value))


def test_a_condition_that_would_have_to_be_awaited_is_no_condition(marketfeed_play: Play) -> None:
    async def never() -> bool:
        return False

    async def story(stage: "Stage") -> None:
        await stage.until(never)

    with pytest.raises(TypeError, match="a condition is a plain function"):
        marketfeed_play(story)


def test_what_a_story_waits_for_in_vain_says_of_what_the_bot_died(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        bot = asyncio.create_task(bot_of(stage.feed, name="prise"), name="bot")
        await stage.until(lambda: not bot, seconds=5)

    with pytest.raises(TimeoutError, match=r"^waited 5 s; the task bot died: AttributeError: .*'prise'") as failed:
        marketfeed_play(story)
    assert isinstance(failed.value.__cause__, AttributeError), "whose traceback says where"
    assert all("asyncio" not in str(entry.path) for entry in failed.traceback), "the loop's own lines tell nothing"


def test_a_bot_that_died_fails_the_test_whose_story_does_not_wait_on_it(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        stage.bot = asyncio.create_task(bot_of(stage.feed, name="prise"), name="bot")  # type: ignore[attr-defined]
        await asyncio.sleep(60)

    with pytest.raises(AssertionError, match=r"^the task bot died: AttributeError: .*'prise'") as failed:
        marketfeed_play(story)
    assert isinstance(failed.value.__cause__, AttributeError)


@pytest.mark.parametrize("waits", [False, True])
def test_a_bot_whose_handler_raised_fails_the_test(marketfeed_play: Play, waits: bool) -> None:
    def handler(trade: mf.Trade[float]) -> None:
        raise ZeroDivisionError

    async def waiting(trade: mf.Trade[float]) -> None:
        raise ZeroDivisionError

    async def story(stage: "Stage") -> None:
        stage.feed.on(mf.Trade, waiting if waits else handler)
        stage.feed.subscribe("kraken:BTC-USD", trades=True)
        await stage.until(lambda: stage.told(mf.Trade))
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match=r"^handlers raised, \d+ in all: the log says what$"):
        marketfeed_play(story)


def test_a_story_that_fails_for_a_dead_bot_says_of_what_it_died(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        asyncio.create_task(bot_of(stage.feed, name="prise"), name="bot")  # noqa: RUF006 # the stage keeps it
        await asyncio.sleep(60)
        assert stage.told(mf.BookVoid), "the bot did nothing"

    with pytest.raises(AssertionError, match="the bot did nothing") as failed:
        marketfeed_play(story)
    assert isinstance(failed.value.__cause__, AttributeError)


def test_a_bot_whose_end_the_story_looks_at_may_fail(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        bot = asyncio.create_task(bot_of(stage.feed, name="prise"))
        await stage.until(bot.done)
        assert isinstance(bot.exception(), AttributeError)

    marketfeed_play(story)


def test_a_bot_that_is_cancelled_or_still_runs_has_not_died(marketfeed_play: Play) -> None:
    async def story(stage: "Stage") -> None:
        bots = [asyncio.create_task(bot_of(stage.feed)) for _ in range(2)]
        await stage.feed.live(timeout=30)
        bots[0].cancel()
        await asyncio.sleep(1)

    marketfeed_play(story, faults="cut@10s")
