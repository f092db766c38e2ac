"""Profits of a running feed: how they are asked for, what is subscribed to, and how it ends."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

import marketfeed as mf
from marketfeed.errors import ConfigError, TransportError
from marketfeed.events import MiningProfit
from marketfeed.mining.coins import coin
from marketfeed.mining.electricity import parse_tariff
from marketfeed.mining.live import share_out
from marketfeed.mining.prices import Leg
from marketfeed.mining.rigs import make_rig
from marketfeed.mining_plan import routes_of, sources_of, tariff

from ..virtual import cancelled, virtual
from .day import AUTH, Day

TERMS: dict[str, Any] = {"venues": ["kraken"], "sources": ["mempool"], "electricity": 0.06}


async def busy(day: Day) -> "asyncio.Task[None]":
    return asyncio.create_task(day.trade())


@virtual
async def test_a_stream_of_profits() -> None:
    day = Day()
    market = await busy(day)
    async with day.feed() as feed:
        stream = mf.mining.stream(feed, coins=["BTC"], rigs=["s21xp", "s19pro"], **TERMS)
        told = [await anext(stream) for _ in range(6)]
        await stream.aclose()
        assert {p.rig for p in told} == {"s21xp", "s19pro"}
        assert all(p.profit_day is not None for p in told)
        assert feed.waiting() == {}
        await asyncio.sleep(1)
        assert [s.counts for s in feed._runners["kraken"].sessions()] == [], "nobody wants the market any more"
    await cancelled(market)


@virtual
async def test_profits_are_events_for_everybody_and_two_miners_do_not_mix() -> None:
    day = Day()
    market = await busy(day)
    async with day.feed() as feed:
        told: list[MiningProfit] = []
        feed.on(MiningProfit, told.append)
        one = await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s21xp"], **TERMS))
        two = await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s21xp"], scheme="PPS", **TERMS))
        await asyncio.sleep(30)
        one.close()
        await asyncio.sleep(30)
        two.close()
        assert {p.scheme for p in told if one.tells(p)} == {"FPPS"}
        assert {p.scheme for p in told if two.tells(p)} == {"PPS"}
        assert max(p.ts_recv for p in told if one.tells(p)) < max(p.ts_recv for p in told if two.tells(p))
    await cancelled(market)


@virtual
async def test_who_comes_late_need_not_wait_for_a_block() -> None:
    day = Day()
    market = await busy(day)
    async with day.feed() as feed:
        feed.subscribe("mempool:BTC", chain=True)
        await feed.live(5)
        await asyncio.sleep(60)
        stream = mf.mining.stream(feed, coins=["BTC"], rigs=["s21xp"], **TERMS)
        async with asyncio.timeout(15):
            assert (await anext(stream)).trigger == "start"
        await stream.aclose()
    await cancelled(market)


@virtual
async def test_electricity_from_a_callable_that_fails_at_times() -> None:
    day = Day()
    market = await busy(day)
    prices = iter([0.05, RuntimeError("no answer"), float("nan"), asyncio.CancelledError(), 0.09])

    async def price() -> float:
        found = next(prices, 0.09)
        if isinstance(found, BaseException):
            raise found
        return found

    async with day.feed() as feed:
        stream = mf.mining.stream(feed, coins=["BTC"], rigs=["s21xp"], **TERMS | {"electricity": price})
        seen: dict[float | None, int] = {}
        async with asyncio.timeout(3600):
            async for profit in stream:
                seen.setdefault(profit.electricity, round(profit.ts_recv / 1e9))
                if profit.electricity == 0.09:
                    break
        await stream.aclose()
    assert list(seen) == [0.05, 0.09]
    await cancelled(market)


@virtual
async def test_T06_a_node_that_cannot_be_reached_is_flagged_and_the_stream_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MARKETFEED_BITCOIND_AUTH", AUTH)
    day = Day()
    market = await busy(day)
    day.down.add("127.0.0.1")
    async with day.feed() as feed:
        stream = mf.mining.stream(feed, coins=["BTC"], rigs=["s21xp"], **TERMS | {"sources": ["bitcoind"]})
        first = await anext(stream)
        assert (first.trigger, first.revenue_day, first.stale) == ("stale", None, ("bitcoind:BTC:chain",))
        day.heal("127.0.0.1")
        async for profit in stream:
            if profit.profit_day is not None:
                break
        await stream.aclose()
    await cancelled(market)


@virtual
async def test_missing_credentials_are_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARKETFEED_BITCOIND_AUTH", raising=False)
    async with Day().feed() as feed:
        with pytest.raises(ConfigError, match="set MARKETFEED_BITCOIND_AUTH to user:password"):
            await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s21xp"], **TERMS | {"sources": ["bitcoind"]}))


@virtual
async def test_a_mine_that_cannot_be_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARKETFEED_BITCOIND_AUTH", raising=False)
    async with Day().feed() as feed:
        for _ in range(2):
            with pytest.raises(ConfigError):
                await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s21xp"], **TERMS | {"sources": ["bitcoind"]}))
        assert feed._interest == {}
        assert not any(feed._hub.handlers.values())


@virtual
async def test_closing_twice_takes_nothing_from_others() -> None:
    day = Day()
    market = await busy(day)
    async with day.feed() as feed:
        one = await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s21xp"], **TERMS))
        await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s19pro"], **TERMS))
        one.close()
        one.close()
        assert len(feed._interest) == 2
    await cancelled(market)


@virtual
async def test_a_price_at_the_end_of_the_interval_is_told_in_time() -> None:
    day = Day()
    async with day.feed() as feed:
        told: list[tuple[float, MiningProfit]] = []
        feed.on(MiningProfit, lambda profit: told.append((day.clock.unix_ns() - profit.ts_recv, profit)))
        await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s21xp"], **TERMS))
        await asyncio.sleep(2)
        day.quote(100_000.0)
        await asyncio.sleep(0.4)
        day.quote(110_000.0)
        await asyncio.sleep(29)
        late, last = told[-1]
        assert last.trigger == "price"
        assert late < 50_000_000


@virtual
async def test_a_clock_that_jumps_makes_no_profits_up() -> None:
    day = Day()
    day.clock.skew_ns = 0
    market = await busy(day)
    async with day.feed() as feed:
        told: list[MiningProfit] = []
        feed.on(MiningProfit, told.append)
        await feed.mine(mf.mining.Mining(coins="BTC", rigs=["s21xp"], **TERMS))
        await asyncio.sleep(20)
        for jump in (3 * 86_400, -3600, 365 * 86_400):
            day.clock.skew_ns += jump * 1_000_000_000
            told.clear()
            await asyncio.sleep(100)
            assert 2 <= len(told) < 60, jump
    await cancelled(market)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coins": "BTX"}, "no coin to mine is called 'BTX'; did you mean BTC"),
        ({"rigs": []}, "no rig to compute for"),
        ({"rigs": ["s21xq"]}, "no rig is called 's21xq'; did you mean s21xp"),
        ({"coins": "LTC"}, "hashes SHA-256d, and LTC needs Scrypt"),
        ({"electricity": "cheap"}, "cheap"),
        ({"sources": ["kaspa"]}, "no source for the chain of BTC"),
        ({"quote": "JPY"}, "no market of kraken gives a price of BTC in JPY"),
    ],
)
def test_what_cannot_be_computed_is_a_clear_error(options: dict[str, Any], words: str) -> None:
    wanted: dict[str, Any] = {"coins": "BTC", "rigs": ["s21xp"], **TERMS, **options}

    @virtual
    async def run() -> None:
        async with Day().feed() as feed:
            with pytest.raises(ConfigError, match=words):
                await feed.mine(mf.mining.Mining(**wanted))

    run()


def test_rigs_are_shared_out_by_algorithm() -> None:
    own = make_rig("1GH/s", "500W", "Scrypt")
    shared = share_out(["BTC", "BCH", "doge+ltc"], ["s21xp", own])
    assert {label: [rig.id for rig in rigs] for label, rigs in shared.items()} == {
        "BTC": ["s21xp"],
        "BCH": ["s21xp"],
        "LTC+DOGE": [own.id],
    }
    with pytest.raises(ConfigError, match="no rig given hashes RandomX, which XMR needs"):
        share_out(["XMR"], ["s21xp"])
    with pytest.raises(ConfigError, match="can mine none of BTC"):
        share_out(["BTC"], ["s21xp", own])


def test_sources_are_those_that_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARKETFEED_BITCOIND_AUTH", raising=False)
    assert sources_of(coin("BTC"), [])[0] == "mempool"
    monkeypatch.setenv("MARKETFEED_BITCOIND_AUTH", AUTH)
    assert sources_of(coin("BTC"), [])[:2] == ["bitcoind", "mempool"]
    assert sources_of(coin("BTC"), ["mempool", "bitcoind"]) == ["mempool", "bitcoind"]
    assert sources_of(coin("BTC"), ["kaspa", "mempool"]) == ["mempool"]
    monkeypatch.delenv("MARKETFEED_RAVEND_AUTH", raising=False)
    with pytest.raises(ConfigError, match="no source for the chain of RVN can be used; there are ravend"):
        sources_of(coin("RVN"), [])


def test_tariffs() -> None:
    assert tariff(0.05) == parse_tariff("0.05")
    assert tariff(parse_tariff("0.05")) == parse_tariff("0.05")


LISTED: dict[str, Mapping[str, Any]] = {
    "kraken": {"BTC-USD": 1, "BTC-USDT": 1, "USDT-USD": 1, "KAS-USD": 1},
    "binance": {"BTC-USDT": 1, "KAS-USDT": 1, "LTC-BTC": 1, "EUR-USDC": 1, "KAS-USDC": 1},
}


async def markets(venue: str) -> Mapping[str, Any]:
    if venue == "away":
        raise TransportError("cannot connect")
    return LISTED[venue]


@pytest.mark.parametrize(
    ("of", "quote", "venues", "routes"),
    [
        ("BTC", "USD", ["kraken"], [(Leg("kraken", "BTC-USD"),)]),
        ("KAS", "USD", ["binance", "kraken"], [
            (Leg("binance", "KAS-USDT"), Leg("kraken", "USDT-USD")), (Leg("kraken", "KAS-USD"),)]),
        ("LTC", "USDT", ["binance"], [(Leg("binance", "LTC-BTC"), Leg("binance", "BTC-USDT"))]),
        ("KAS", "EUR", ["binance"], [(Leg("binance", "KAS-USDC"), Leg("binance", "EUR-USDC", inverse=True))]),
        ("BTC", "USD", ["away"], [(Leg("away", "BTC-USD"),)]),
    ],
)  # fmt: skip
async def test_routes_to_a_price(of: str, quote: str, venues: list[str], routes: list[Any]) -> None:
    assert await routes_of(of, quote, venues, "ticker", markets) == routes


async def test_no_route_to_a_price() -> None:
    with pytest.raises(ConfigError, match="no market of binance gives a price of XMR in USD, not over USDT"):
        await routes_of("XMR", "USD", ["binance"], "ticker", markets)


def test_there_is_no_other_name_in_mining() -> None:
    with pytest.raises(AttributeError, match="no attribute 'gold'"):
        getattr(mf.mining, "gold")  # noqa: B009 # a type checker would see it at once
    assert all(getattr(mf.mining, name) is not None for name in mf.mining.__all__)
