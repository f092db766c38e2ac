import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.errors import ConfigError
from marketfeed.mining import compact, retarget
from marketfeed.mining.coins import COINS
from marketfeed.sim import SimChain
from marketfeed.sim.chain import START_BITS, START_HEIGHT
from marketfeed.sim.chain_block import retarget as rule
from marketfeed.sim.chain_block import subsidy_at
from marketfeed.sim.chain_view import ChainView
from marketfeed.sim.conduct import Conduct

START = 1_790_000_000.0

# mining.md 4.16: (first time, last time, old bits, new bits), from Bitcoin Core's tests and real headers
VECTORS = """
1231006505 1233061996 1d00ffff 1d00ffff
1261130161 1262152739 1d00ffff 1d00d86a
1279008237 1279297671 1c05a3f4 1c0168fd
1263163443 1269211443 1c387f6f 1d00e1fd
1280198558 1281037393 1c010c5a 1c00ba18
1301020785 1302034036 1b00f339 1b00cbbd
1457133956 1458291885 1806f0a8 1806a4c3
1502282210 1503539571 180130e0 18013ce9
1545175965 1546275302 17371ef4 173218a5
1546276809 1547431851 173218a5 172fd633
1547432394 1548656416 172fd633 17306835
1548657313 1549817652 17306835 172e6f88
1549817981 1551025524 172e6f88 172e5b50
1551026038 1552236227 172e5b50 172e6117
1552236304 1553387053 172e6117 172c1f6c
1553387093 1554594090 172c1f6c 172c071d
1635710370 1636865834 170cfecf 170c69ea
1681984653 1683212066 1705c739 1705dd01
""".strip().splitlines()


def made(**options):
    return SimChain(options.pop("seed", 7), start=START, **options)


def blocks_of(chain):
    return [chain.best(height) for height in range(chain.first, chain.tip.height + 1)]


@pytest.mark.parametrize("row", VECTORS)
def test_the_retarget_is_bitcoins(row):
    first, last, old, new = row.split()
    assert rule(int(old, 16), int(first), int(last)) == int(new, 16)


@pytest.mark.parametrize(
    ("height", "satoshi"),
    [
        (0, 5_000_000_000),
        (209_999, 5_000_000_000),
        (210_000, 2_500_000_000),
        (840_000, 312_500_000),
        (1_050_000, 156_250_000),
        (6_929_999, 1),
        (6_930_000, 0),
        (64 * 210_000, 0),
    ],
)
def test_the_subsidy_is_bitcoins(height, satoshi):
    assert subsidy_at(height) == satoshi


def check_laws(chain):
    """What holds of every chain: links, heights, times, work, bits by the rule."""
    chain_blocks, every = blocks_of(chain), chain.retarget_every
    assert len({block.hash for block in chain_blocks}) == len(chain_blocks)
    for parent, block in pairwise(chain_blocks):
        assert (block.prev_hash, block.height) == (parent.hash, parent.height + 1)
        assert block.time > parent.median_time
        assert block.found >= parent.found
        assert block.time <= block.found + max(chain.block_time, 11)
        assert block.chainwork == parent.chainwork + compact.work(block.bits)
        assert int(block.hash, 16) < compact.target_from_bits(block.bits)
        assert block.subsidy == subsidy_at(block.height)
        if block.height % every:
            assert block.bits == parent.bits
        else:
            first = chain.best(block.height - every)
            assert block.bits == rule(parent.bits, first.time, parent.time, round(chain.block_time * every))
    times = [block.time for block in chain_blocks]
    for n in range(11, len(times)):
        assert chain_blocks[n].median_time == sorted(times[n - 10 : n + 1])[5]


@given(
    st.integers(0, 1_000),
    st.sampled_from([1.0, 10.0, 600.0]),
    st.sampled_from([8, 16, 144, 2016]),
    st.lists(st.one_of(st.floats(0, 60), st.integers(1, 12)), max_size=12),
)
def test_the_best_chain_is_sound_whatever_happens(seed, block_time, every, deeds):
    chain = SimChain(seed, start=START, height=300, block_time=block_time, retarget_every=every, reorgs=0.1)
    known = blocks_of(chain)
    for deed in deeds:
        steps = [chain.reorg(deed)] if isinstance(deed, int) else chain.advance(chain.now + deed * block_time)
        for step in steps:
            assert tuple(known[len(known) - len(step.orphans) :]) == step.orphans
            del known[len(known) - len(step.orphans) :]
            before = known[-1]
            assert step.blocks[0].prev_hash == before.hash
            known += step.blocks
            if step.orphans:
                assert len(step.blocks) > len(step.orphans) or step.blocks[-1].bits != step.orphans[-1].bits
                assert step.blocks[-1].chainwork > step.orphans[-1].chainwork
            assert all(block.found <= step.at for block in step.blocks)
    assert known == blocks_of(chain)
    check_laws(chain)
    for orphan in chain.orphans:
        assert chain.find(orphan.hash) == orphan
        assert not chain.is_best(orphan)


def test_blocks_come_about_as_often_as_aimed_and_the_difficulty_follows_the_hashrate():
    chain = made(drift=0.05)
    before, began = chain.tip, chain.now
    while chain.tip.height < before.height + 3 * 2016:
        chain.advance(chain.now + 86_400)
    span = chain.tip.found - began
    assert span / (chain.tip.height - before.height) == pytest.approx(600, rel=0.1)
    bits = {block.bits for block in blocks_of(chain)}
    assert len(bits) >= 4
    growth = compact.difficulty_from_bits(chain.tip.bits) / compact.difficulty_from_bits(before.bits)
    assert 1.05 < growth < 1.35
    backwards = sum(b.time < a.time for a, b in pairwise(blocks_of(chain)))
    assert 10 < backwards < 2_000  # header times are not in order, now and then


@pytest.mark.parametrize("seed", range(5))
def test_mean_interval_over_2000_blocks(seed):
    chain = made(seed=seed, block_time=10)
    before = chain.tip
    chain.advance(START + 25_000)
    block = chain.best(before.height + 2_000)
    assert (block.found - START) / 2_000 == pytest.approx(10, rel=0.1)


def test_the_same_seed_gives_the_same_chain_however_time_is_told():
    one, two, other = made(), made(), made(seed=8)
    one.advance(START + 200_000)
    for n in range(1, 2_001):
        two.advance(START + n * 100)
    other.advance(START + 200_000)
    assert blocks_of(one) == blocks_of(two)
    assert one.orphans == two.orphans
    assert one.tip.hash != other.tip.hash
    tip = one.tip
    assert one.advance(START) == []
    assert one.tip == tip
    assert one.now == START + 200_000


def test_the_start():
    chain = made()
    assert chain.tip.height == START_HEIGHT
    assert START - 1_000 < chain.tip.found <= START
    assert chain.best(chain.first).bits == START_BITS
    assert chain.first % 2016 == 0
    assert START_HEIGHT - chain.first > 2016 + 144
    assert chain.tip.hash.startswith("0" * 18)
    assert repr(chain) == f"SimChain(BTC, tip 969990, bits {chain.tip.bits:08x}, 0 orphans)"
    young = made(height=3)
    assert (young.first, young.tip.height) == (0, 3)
    with pytest.raises(KeyError, match="there are 0 to 3"):
        young.best(4)
    assert young.find("00") is None


def test_fees_are_usual_but_for_spikes_and_empty_blocks():
    fees = [block.fees for block in blocks_of(made(fee_spikes=0.02))]
    usual = statistics.median(fees)
    assert 1_500_000 < usual < 4_000_000
    assert 0.02 < sum(fee > 8 * usual for fee in fees) / len(fees) < 0.4
    assert 0 in fees
    calm = [block.fees for block in blocks_of(made(fee_spikes=0))]
    assert max(calm) < 8 * usual


def test_reorgs_happen_by_themselves():
    chain = made(block_time=10, reorgs=0.05)
    depths = [len(step.orphans) for step in chain.advance(START + 20_000)]
    assert 50 < sum(depth > 0 for depth in depths) < 160
    assert max(depths) == 2
    assert len(chain.orphans) == sum(depths)
    assert made(reorgs=0).advance(START + 600_000)[-1].orphans == ()


def test_a_reorg_across_a_retarget_is_recomputed():
    chain = made(block_time=10, retarget_every=16, reorgs=0)
    while chain.tip.height % 16 != 2:
        chain.advance(chain.next_at)
    lost = chain.best(chain.tip.height - 2).bits
    step = chain.reorg(4)
    check_laws(chain)
    assert [block.height for block in step.orphans] == [block.height for block in step.blocks[:4]]
    assert any(block.bits != lost for block in step.blocks)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coin": "LTC"}, "BTC's"),
        ({"height": -1}, "height -1"),
        ({"block_time": 0.5}, "1 s to a day"),
        ({"retarget_every": 2}, "every 8"),
        ({"drift": 3}, "drift"),
        ({"reorgs": 1.5}, "chances"),
        ({"bits": 0}, "bits"),
    ],
)
def test_what_no_chain_can_be(options, words):
    with pytest.raises(ConfigError, match=words):
        made(**options)


@pytest.mark.parametrize("depth", [0, 101])
def test_what_no_reorg_can_be(depth):
    with pytest.raises(ConfigError, match="1 to 100"):
        made().reorg(depth)


def view_of(chain):
    return ChainView(chain, Conduct())


@pytest.mark.parametrize("advance", [0, 300_000, 1_000_000, 1_030_000, 1_200_000])
def test_the_adjustment_is_what_the_library_computes(advance):
    chain = made()
    chain.advance(START + advance)
    view, now = view_of(chain), int(chain.now)
    view.follow()
    found = view.adjustment(now)
    tip = chain.tip.height
    start = tip - tip % 2016
    wanted = retarget.forecast(
        COINS["BTC"],
        tip,
        start_time_s=chain.best(start).time,
        now_s=now,
        tip_time_s=chain.tip.time,
        window_time_s=chain.best(tip - 503).time,
        previous_change_percent=found["previousRetarget"],
    )
    assert found["difficultyChange"] == pytest.approx(wanted.change_percent, rel=1e-12)
    assert found["estimatedRetargetDate"] == wanted.estimated_retarget_ms
    assert found["timeAvg"] == wanted.time_avg_ms
    assert found["adjustedTimeAvg"] == wanted.adjusted_time_avg_ms
    assert found["nextRetargetHeight"] == wanted.next_height
    assert found["expectedBlocks"] == pytest.approx(wanted.expected_blocks)
    assert found["previousTime"] == chain.best(start).time
    old, new = chain.best(start - 1).bits, chain.best(start).bits
    assert found["previousRetarget"] == pytest.approx(retarget.change_percent(old, new))


def test_the_last_block_of_an_epoch_decides_without_the_clock():
    chain = made(reorgs=0)
    while chain.tip.height % 2016 != 2015:
        chain.advance(chain.next_at)
    view = view_of(chain)
    one, two = view.adjustment(int(chain.now)), view.adjustment(int(chain.now) + 5_000)
    assert one["difficultyChange"] == two["difficultyChange"]
    expected = compact.difficulty_from_bits(view.next_bits()) / compact.difficulty_from_bits(chain.tip.bits)
    assert one["difficultyChange"] == pytest.approx((expected - 1) * 100, abs=0.01)
    assert view.next_bits() == chain.bits_after(chain.tip) != chain.tip.bits


def test_a_view_lags_and_catches_up():
    chain = made(reorgs=0)
    view = view_of(chain)
    view.conduct.change("lag=3")
    old = view.tip
    told = []
    for _ in range(5):
        chain.advance(chain.next_at)
        told.append([block.height - old.height for block in view.follow()])
    assert told == [[], [], [], [1], [2]]
    assert view.block(old.height + 3) is None
    assert view.find(chain.tip.hash) is None
    view.conduct.change("well")
    assert [block.height - old.height for block in view.follow()] == [3, 4, 5]
    assert view.follow() == []


def test_a_lagging_view_stays_on_a_lost_branch_until_another_has_more_work():
    chain = made(reorgs=0, retarget_every=16, block_time=10)
    while chain.tip.height % 16 != 15:
        chain.advance(chain.next_at)
    view = view_of(chain)
    view.conduct.change("lag=2")
    old = view.tip
    chain.reorg(2)
    assert view.follow() == []
    assert view.tip == old
    assert view.block(old.height) == old
    assert view.block(old.height - 1).hash == old.prev_hash
    assert view.block(old.height - 2) == chain.best(old.height - 2)
    assert [b.hash for b in view.last(2)] == [old.prev_hash, old.hash]
    assert view.next_bits() == rule(old.bits, chain.best(old.height - 15).time, old.time, 160)
    assert view.holds(old)
    chain.advance(chain.next_at)
    chain.advance(chain.next_at)
    assert view.follow() == [None]
    assert chain.is_best(view.tip)
    assert not view.holds(old)


def test_lies_agree_with_themselves_and_misprints_do_not():
    view = view_of(made())
    true = compact.difficulty_from_bits(view.tip.bits)
    view.conduct.change("lie=2")
    assert view.difficulty(view.tip.bits) == compact.difficulty_from_bits(view.bits(view.tip.bits))
    assert view.difficulty(view.tip.bits) == pytest.approx(2 * true, rel=1e-4)
    view.conduct.change("well")
    view.conduct.change("misprint=2")
    assert view.bits(view.tip.bits) == view.tip.bits
    assert view.difficulty(view.tip.bits) == 2 * true


def test_hashrate_is_what_the_difficulty_implies_whatever_the_block_time():
    for block_time in (10, 600):
        view = view_of(made(block_time=block_time))
        implied = compact.work(view.tip.bits) / 600
        assert view.hashrate(1_008) == pytest.approx(implied, rel=0.15)
        assert view.hashrate(0) == 0
