"""A whole day of a mine, through sockets' sessions, chains and the join; profits reckoned again by plain arithmetic."""

import asyncio
from bisect import bisect_right
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed.events import Block, Disconnected, Head, MiningProfit, NetworkStats, Stale, Ticker
from marketfeed.mining.plan import Plan
from marketfeed.sim.chain_block import SimBlock

from ..virtual import cancelled, until, virtual
from .day import AUTH, DAY_S, EPOCH_STARTS, SECOND, Day

RIGS = {"s21xp": (270e12, 3645.0), "s19pro": (110e12, 3250.0)}
ELECTRICITY = 0.05
FEE = 0.02
STALE_S = 30
MINUTE, HOUR = 60, 3600


def difficulty_after(tip: SimBlock, chain: list[SimBlock]) -> float:
    """Of the next block, from headers alone: mining.md 1.1 and 1.9, written once more."""
    bits = tip.bits
    if (tip.height + 1) % 2016 == 0:
        first = next(block for block in chain if block.height == tip.height - 2015)
        span = min(max(tip.time - first.time, 302_400), 4_838_400)
        target = (bits & 0x7FFFFF) * 256 ** ((bits >> 24) - 3) * span // 1_209_600
        size = (target.bit_length() + 7) // 8
        mantissa = target >> 8 * (size - 3)
        if mantissa & 0x800000:
            mantissa, size = mantissa >> 8, size + 1
        bits = size << 24 | mantissa
    return 0xFFFF / (bits & 0x7FFFFF) * 256.0 ** (29 - (bits >> 24))


class Reference:
    """What a profit must be, from what the venues said. Knows nothing of the library but the event's own claims:
    which block the source was at, and the fees it told."""

    def __init__(self, day: Day, events: list[Head]) -> None:
        self.day = day
        self.price_times = [ts for ts, _ in day.prices]
        self.chain_times = [ts for ts, _ in day.history]
        self.stats: list[NetworkStats] = [e for e in events if isinstance(e, NetworkStats)]

    def price(self, ts: int) -> float:
        return self.day.prices[bisect_right(self.price_times, ts) - 1][1]

    def tip(self, ts: int, height: int) -> tuple[SimBlock, list[SimBlock]]:
        """The block at a height of the chain as it was, or had been while the source was away."""
        for _, chain in reversed(self.day.history[: bisect_right(self.chain_times, ts)]):
            if chain[0].height <= height <= chain[-1].height:
                return chain[height - chain[0].height], chain[: height - chain[0].height + 1]
        raise AssertionError(f"no chain ever had block {height}")

    def fees(self, profit: MiningProfit) -> float:
        source = next(i.source for i in profit.inputs if i.kind == "network" and not i.stale).split(":")[0]
        # a profit that was due before an event is told with its own time, and after it was received
        told = [
            s
            for s in self.stats
            if s.venue == source and s.seq_local < profit.seq_local and s.ts_recv <= profit.ts_recv
        ]
        return told[-1].fees or 0.0

    def check(self, profit: MiningProfit) -> None:
        hashrate, watts = RIGS[profit.rig]
        (term,) = profit.terms
        tip, chain = self.tip(profit.ts_recv, term.height)
        difficulty = difficulty_after(tip, chain)
        subsidy = 5_000_000_000 >> (term.height + 1) // 210_000
        reward = (subsidy + (self.fees(profit) if profit.scheme == "FPPS" else 0.0)) / 1e8
        price = self.price(profit.ts_recv)
        coins = hashrate * 86_400 / (difficulty * 4_294_967_296) * reward
        revenue = coins * price
        fee = revenue * FEE
        cost = watts * 24 / 1000 * ELECTRICITY
        close = {"rel": 1e-9, "abs": 0.0}
        assert term.difficulty == pytest.approx(difficulty, **close), profit
        assert term.price == pytest.approx(price, **close), profit
        assert term.reward == pytest.approx(reward, **close), profit
        assert term.coins_day == pytest.approx(coins, **close), profit
        assert profit.revenue_day == pytest.approx(revenue, **close), profit
        assert profit.fee_day == pytest.approx(fee, **close), profit
        assert profit.power_cost_day == pytest.approx(cost, **close), profit
        assert profit.profit_day == pytest.approx(revenue - fee - cost, **close), profit
        assert profit.margin == pytest.approx((revenue - fee - cost) / (revenue - fee), **close), profit
        kwh = watts * 24 / 1000
        assert profit.breakeven_electricity == pytest.approx((revenue - fee) / kwh, **close), profit
        assert profit.breakeven_price == pytest.approx(cost / (coins * (1 - FEE)), **close), profit
        assert profit.breakeven_difficulty == pytest.approx(difficulty * (revenue - fee) / cost, **close), profit


async def the_day(day: Day, scheme: Any) -> tuple[list[Head], dict[str, int], list[SimBlock], Plan]:
    """A feed that mines a day and 144 blocks; returns what was told, when what happened, orphans, what was computed."""
    happened: dict[str, int] = {}
    orphans: list[SimBlock] = []
    world = [asyncio.create_task(day.trade()), asyncio.create_task(day.mine())]
    start = day.chain.tip.height

    async def at(hours: float, name: str, act: Any, *args: Any) -> None:
        await asyncio.sleep(max(0.0, begun + hours * HOUR - loop.time()))
        happened[name] = day.clock.unix_ns()
        orphans.extend(act(*args) or [])

    loop = asyncio.get_running_loop()
    begun = loop.time()
    events: list[Head] = []
    async with day.feed() as feed:
        for kind in (Ticker, Block, NetworkStats, Disconnected, Stale, MiningProfit):
            feed.on(kind, events.append)
        miner = await feed.mine(
            mf.mining.Mining(
                coins="BTC",
                rigs=list(RIGS),
                electricity=ELECTRICITY,
                venues=["kraken"],
                sources=["mempool", "bitcoind"],
                pool_fee=FEE,
                scheme=scheme,
            )
        )
        await at(2, "price cut", day.cut, "ws.kraken.com")
        await at(2.05, "price back", day.heal, "ws.kraken.com")
        await at(4, "mempool down", day.cut, "mempool.space")
        await at(5.5, "mempool up", day.heal, "mempool.space")
        await at(8, "price mute", setattr, day, "muted", True)
        await at(8.03, "price heard", setattr, day, "muted", False)
        await at(14, "node down", day.cut, "127.0.0.1")
        await at(16, "node up", day.heal, "127.0.0.1")
        await at(18, "reorg", day.reorg, 1)
        await asyncio.sleep(begun + DAY_S - loop.time())
        await until(lambda: day.chain.tip.height >= start + 144, seconds=6 * HOUR, step=10)
        await asyncio.sleep(5)
        for task in world:
            await cancelled(task)
    return events, happened, orphans, miner.plan


@virtual
@pytest.mark.parametrize("scheme", ["FPPS", pytest.param("PPS", marks=pytest.mark.soak)])
async def test_a_day_reckoned_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str) -> None:
    monkeypatch.setenv("MARKETFEED_BITCOIND_AUTH", AUTH)
    day = Day()
    events, happened, orphans, plan = await the_day(day, scheme)
    told = [event for event in events if isinstance(event, MiningProfit)]
    blocks = [event for event in events if isinstance(event, Block) and event.venue == "mempool"]

    # a whole day: 144 blocks or more, a retarget, a reorg
    assert blocks[-1].height - blocks[0].height >= 144
    assert blocks[0].height < EPOCH_STARTS < blocks[-1].height
    assert len({day.chain.best(h).bits for h in (EPOCH_STARTS - 1, EPOCH_STARTS)}) == 2
    assert orphans
    assert len(told) > 1500

    # every profit is what plain arithmetic makes of what was said
    reference = Reference(day, events)
    for profit in told:
        assert profit.profit_day is not None, profit
        reference.check(profit)

    # the new difficulty counts from the block before it on
    turn = [p for p in told if p.terms[0].height == EPOCH_STARTS - 1]
    assert turn
    assert {p.terms[0].difficulty for p in turn} == {told[-1].terms[0].difficulty}

    # what is stale is named, within its limit, and not named where it is well
    def named(source: str, start: str, end: str) -> list[int]:
        return [
            p.ts_recv for p in told if source in p.stale and happened[start] <= p.ts_recv <= happened[end] + 60 * SECOND
        ]

    for start, end in (("price cut", "price back"), ("price mute", "price heard")):
        last = max(ts for ts in reference.price_times if ts <= happened[start])
        first = min(named("kraken:BTC-USD:ticker", start, end))
        assert 0 <= first - last - STALE_S * SECOND <= SECOND
    assert min(named("mempool:BTC:chain", "mempool down", "mempool up")) - happened["mempool down"] <= 46 * SECOND
    assert min(named("bitcoind:BTC:chain", "node down", "node up")) - happened["node down"] <= 300 * SECOND
    troubled = [(happened[a], happened[b] + 5 * MINUTE * SECOND) for a, b in _pairs(happened)]
    for profit in told:
        if profit.stale:
            assert any(start <= profit.ts_recv <= end for start, end in troubled), profit

    # no profit of an orphaned block stands uncorrected
    reorgs = [p for p in told if p.trigger == "reorg"]
    assert reorgs
    assert min(p.ts_recv for p in reorgs) - happened["reorg"] <= SECOND
    for orphan in orphans:
        later = [b for b in blocks if b.ts_recv >= happened["reorg"]]
        assert any(b.orphans and b.height <= orphan.height for b in later)
    gone = {orphan.hash for orphan in orphans}
    standing: dict[int, str] = {}
    for block in blocks:
        if block.orphans:
            standing = {h: hash_ for h, hash_ in standing.items() if h < block.height}
        standing[block.height] = block.hash
    assert not gone & set(standing.values())
    assert standing == {h: day.chain.best(h).hash for h in standing}

    # a recording of the inputs is a recording of the profits
    file = tmp_path / "inputs.jsonl"
    file.write_bytes(b"".join(mf.encode_json(e) + b"\n" for e in events if not isinstance(e, MiningProfit)))
    again = mf.mining.profits(mf.recording.read_events(file), plan)
    assert [structs.replace(p, seq_local=0) for p in again] == [
        structs.replace(p, seq_local=0) for p in told[: len(again)]
    ]
    assert len(told) - len(again) < 10, "those that came after the last input"


def _pairs(happened: dict[str, int]) -> list[tuple[str, str]]:
    return [
        ("price cut", "price back"),
        ("mempool down", "mempool up"),
        ("price mute", "price heard"),
        ("node down", "node up"),
    ]
