"""A chain as its source tells it: each block once, reorgs and holes told, and the figures of the next block."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfeed.chain import EPOCH, ChainStream
from marketfeed.chain_check import EARLIEST_S, MAX_AHEAD_S
from marketfeed.events import Block, Gap, Head, NetworkStats, Recovered, Stale
from marketfeed.outlet import Outlet
from marketfeed.subscriptions import Subscription
from marketfeed.venues._spec import ChainBlock

SECOND = 1_000_000_000
BITS = 0x1702C4E4
"""Epoch 868896 of Bitcoin."""
DIFFICULTY = 101646843652785.17
NOW = 1_731_000_000
TIP = 869_000
"""Block 104 of that epoch: nothing happens near it."""


def name(height: int, branch: str = "a") -> str:
    return f"{height:08x}{branch}"


def block(height: int, branch: str = "a", parent: str = "", **fields: Any) -> ChainBlock:
    """A block on a branch; its parent is on the same one unless another is named."""
    given: dict[str, Any] = {
        "height": height,
        "hash": name(height, branch),
        "prev_hash": name(height - 1, parent or branch),
        "time_s": NOW + (height - TIP) * 600,
        "bits": BITS,
        **fields,
    }
    return ChainBlock(**given)


class Told:
    """A chain's stream and what it told."""

    def __init__(self, coin: str = "BTC") -> None:
        self.events: list[Head] = []
        self.stream = ChainStream(Subscription("mempool", coin, "chain"), Outlet(self.events.append))
        self.now = (NOW + 10) * SECOND

    def blocks(self, *blocks: ChainBlock, whole: bool = False) -> "Told":
        self.now = max(self.now + 600 * SECOND, (NOW + (blocks[-1].height - TIP) * 600) * SECOND)
        self.stream.blocks(blocks, self.now, whole=whole)
        return self

    def network(self, **said: Any) -> "Told":
        self.now += SECOND
        self.stream.network(self.now, **said)
        return self

    def take(self, kind: type[Any] | None = None) -> list[Any]:
        taken = [event for event in self.events if kind is None or isinstance(event, kind)]
        self.events.clear()
        return taken

    def best(self, kind: type[Any] = NetworkStats) -> Any:
        return self.take(kind)[-1]


@pytest.fixture
def told() -> Told:
    return Told()


def test_of_the_first_blocks_only_the_best_is_told(told: Told) -> None:
    told.blocks(block(TIP - 2), block(TIP - 1), block(TIP))
    first, stats = told.take()
    assert (first.height, first.hash, first.prev_hash, first.orphans) == (TIP, name(TIP), name(TIP - 1), 0)
    assert (first.venue, first.symbol, first.ts_event) == ("mempool", "BTC", NOW * SECOND)
    assert first.difficulty == stats.difficulty == DIFFICULTY
    assert stats.height == told.stream.tip == TIP


def test_each_block_is_told_once(told: Told) -> None:
    told.blocks(block(TIP)).blocks(block(TIP)).blocks(block(TIP), block(TIP + 1)).blocks(block(TIP + 1))
    assert [b.height for b in told.take(Block)] == [TIP, TIP + 1]
    assert told.stream.duplicates == 2


def test_a_source_that_falls_behind_tells_nothing(told: Told) -> None:
    told.blocks(block(TIP), block(TIP + 1)).take()
    told.blocks(block(TIP))
    assert told.take() == []
    assert told.stream.tip == TIP + 1


def test_what_came_while_away_is_told_in_order(told: Told) -> None:
    told.blocks(block(TIP)).take()
    told.stream.lost("link lost", told.now, "gone")
    told.blocks(*(block(TIP + i) for i in range(-2, 4)))
    assert [type(e) for e in told.take()] == [Block, Block, Block, NetworkStats]


def test_a_hole_is_told_and_what_fills_it_later_too(told: Told) -> None:
    told.blocks(block(TIP)).take()
    told.blocks(block(TIP + 3))
    gap, late, _ = told.take()
    assert (type(gap), gap.channel, gap.cause) == (Gap, "chain", "blocks")
    assert (gap.from_seq, gap.to_seq, late.height, late.orphans) == (TIP + 1, TIP + 2, TIP + 3, 0)
    told.blocks(block(TIP + 2))
    told.blocks(block(TIP + 1))
    assert [(b.height, b.orphans) for b in told.take(Block)] == [(TIP + 2, 0), (TIP + 1, 0)]
    assert told.stream.tip == TIP + 3


@pytest.mark.parametrize("last", [2, 3, 4])
def test_a_hole_is_filled_from_below_too(told: Told, last: int) -> None:
    told.blocks(block(TIP)).blocks(block(TIP + 3)).take()
    told.blocks(*(block(TIP + i) for i in range(-1, last + 1)))
    assert [(b.height, b.orphans) for b in told.take(Block)] == [(TIP + i, 0) for i in (1, 2, 4) if i <= last]


@pytest.mark.parametrize("part", [3, 7, 10])
def test_a_block_replaced_below_a_hole_shows_when_the_hole_is_filled(told: Told, part: int) -> None:
    told.blocks(block(TIP - 1), block(TIP))
    told.stream.lost("link lost", told.now, "gone")
    best = [block(TIP, "b", parent="a"), *(block(TIP + i, "b") for i in range(1, 13))]
    told.blocks(*best[10:], whole=True)
    for end in range(10, 0, -part):  # history as a node is asked for it, from above in parts
        told.blocks(*(best[max(end - part, 0) : end]))
    told.blocks(block(TIP + 13, "b"), whole=True)
    stands: dict[int, str] = {}
    for event in told.take(Block):
        stands = {h: hash_ for h, hash_ in stands.items() if not event.orphans or h < event.height}
        stands[event.height] = event.hash
    assert stands == {b.height: b.hash for b in best} | {TIP + 13: name(TIP + 13, "b")}
    assert told.stream.tip == TIP + 13


def test_a_reorg_says_how_many_blocks_it_orphans(told: Told) -> None:
    told.blocks(block(TIP), block(TIP + 1)).blocks(block(TIP + 2)).take()
    told.blocks(block(TIP + 1, "b", parent="a"), block(TIP + 2, "b"), block(TIP + 3, "b"))
    assert [(b.height, b.hash, b.orphans) for b in told.take(Block)] == [
        (TIP + 1, name(TIP + 1, "b"), 2),
        (TIP + 2, name(TIP + 2, "b"), 0),
        (TIP + 3, name(TIP + 3, "b"), 0),
    ]


def test_a_reorg_seen_from_its_second_block_orphans_the_parent_and_tells_the_hole(told: Told) -> None:
    told.blocks(block(TIP), block(TIP + 1)).take()
    told.blocks(block(TIP + 2, "b"))
    gap, new, _ = told.take()
    assert (gap.from_seq, gap.to_seq) == (TIP + 1, TIP + 1)
    assert (new.height, new.orphans) == (TIP + 2, 1)
    told.blocks(block(TIP + 1, "b", parent="a"))
    assert [(b.height, b.orphans) for b in told.take(Block)] == [(TIP + 1, 0)]


def test_a_chain_may_become_shorter(told: Told) -> None:
    told.blocks(block(TIP), block(TIP + 1)).blocks(block(TIP + 2)).take()
    told.blocks(block(TIP + 1, "b", parent="a"))
    (new,) = told.take(Block)
    assert (new.height, new.orphans, told.stream.tip) == (TIP + 1, 2, TIP + 1)


def test_a_reorg_with_the_same_figures_tells_them_again(told: Told) -> None:
    told.blocks(block(TIP), block(TIP + 1)).take()
    told.stream.blocks([block(TIP + 1, "b", parent="a")], told.now + SECOND)
    assert [type(e) for e in told.take()] == [Block, NetworkStats]


def test_a_node_that_steps_back_tells_the_lower_block_again(told: Told) -> None:
    told.blocks(block(TIP), block(TIP + 1)).blocks(block(TIP + 2)).network(bits=BITS).take()
    told.stream.blocks([block(TIP - 1), block(TIP)], told.now + SECOND, whole=True)
    again, stats = told.take()
    assert (type(again), again.height, again.hash, again.orphans) == (Block, TIP, name(TIP), 2)
    assert (type(stats), stats.height, told.stream.tip) == (NetworkStats, TIP, TIP)
    told.blocks(block(TIP), whole=True)
    assert told.take(Block) == []
    told.blocks(block(TIP), block(TIP + 1), whole=True)
    assert [(b.height, b.orphans) for b in told.take(Block)] == [(TIP + 1, 0)]


@pytest.mark.parametrize("lower", [block(TIP - 200), block(TIP - 200, "b")], ids=["a", "b"])
def test_a_lower_block_that_is_not_known_is_history(told: Told, lower: ChainBlock) -> None:
    told.blocks(block(TIP), block(TIP + 1)).take()
    told.blocks(lower, whole=True)
    assert told.take() == []
    assert told.stream.tip == TIP + 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=12))
def test_what_was_told_and_not_orphaned_is_the_best_chain(steps: list[tuple[int, int]]) -> None:
    """Each step goes back some blocks and adds some of a new branch; the source tells its last eight."""
    told = Told()
    best = [block(TIP + i) for i in range(5)]
    told.blocks(*best)
    for number, (back, add) in enumerate(steps):
        branch = f"{number:02x}"
        best = best[: len(best) - back] if back < len(best) else best[:1]
        for _ in range(add):
            last = best[-1]
            best.append(block(last.height + 1, branch).__class__(**_child(last, branch)))
        told.blocks(*best[-8:])
    stands: dict[int, str] = {}
    for event in told.take(Block):
        if event.orphans:
            assert len([h for h in stands if h >= event.height]) <= event.orphans
            stands = {h: hash_ for h, hash_ in stands.items() if h < event.height}
        stands[event.height] = event.hash
    assert stands.items() <= {b.height: b.hash for b in best}.items()
    assert max(stands) == best[-1].height


def _child(parent: ChainBlock, branch: str) -> dict[str, Any]:
    height = parent.height + 1
    return {
        "height": height,
        "hash": name(height, branch),
        "prev_hash": parent.hash,
        "time_s": NOW + (height - TIP) * 600,
        "bits": BITS,
    }


BAD = {
    "no height": {"height": 0},
    "a height beyond all": {"height": 2**60},
    "no hash": {"hash": ""},
    "a hash that is a command": {"hash": "\x1b[2J00000000"},
    "a time before all chains": {"time_s": 1_000_000_000},
    "a time far ahead": {"time_s": NOW + 700 + MAX_AHEAD_S},
    "a time in milliseconds": {"time_s": NOW * 1000},
    "negative fees": {"fees": -1},
    "negative subsidy": {"subsidy": -1},
    "difficulty 0": {"bits": None, "difficulty": 0.0},
    "a difficulty of almost nothing": {"bits": None, "difficulty": 0.9e-3},
    "a difficulty beyond all": {"bits": None, "difficulty": 1.1e40},
    "negative difficulty": {"bits": None, "difficulty": -1.0},
    "no number": {"bits": None, "difficulty": float("nan")},
    "infinite difficulty": {"bits": None, "difficulty": float("inf")},
    "no difficulty": {"bits": None},
    "negative bits": {"bits": 0x1D80FFFF},
    "bits of 0": {"bits": 0},
    "difficulty and bits that differ": {"difficulty": DIFFICULTY * (1 + 1e-8)},
    "difficulty five times as high": {"bits": None, "difficulty": DIFFICULTY * 5},
    "difficulty a fifth": {"bits": None, "difficulty": DIFFICULTY / 5},
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_P10_what_no_chain_can_be_is_refused_and_changes_nothing(told: Told, fields: dict[str, Any]) -> None:
    told.blocks(block(TIP)).take()
    with pytest.raises(ValueError, match=r"\w"):
        told.stream.blocks([block(**{"height": TIP + 1, **fields})], (NOW + 610) * SECOND)
    assert told.take() == []
    assert told.stream.tip == TIP


def test_P10_blocks_must_follow_each_other(told: Told) -> None:
    with pytest.raises(ValueError, match="follow"):
        told.blocks(block(TIP), block(TIP + 2))
    with pytest.raises(ValueError, match="build on"):
        told.blocks(block(TIP), block(TIP + 1, "b"))


@pytest.mark.parametrize(
    "said",
    [
        {"difficulty": 0.0},
        {"difficulty": float("nan")},
        {"difficulty": DIFFICULTY * 5},
        {"hashrate": -1.0},
        {"fees": -1.0},
        {"fees": float("inf")},
        {"bits": 0},
        {"height": -5},
        {"epoch_start_s": 5},
        {"epoch_start_s": 2**62},
        {"retarget_change": 1e34, "retarget_ts": NOW * SECOND},
        {"retarget_change": float("nan")},
        {"retarget_change": 1.0, "retarget_ts": 99_999_999_999 * SECOND},
        {"retarget_change": 1.0, "retarget_ts": -1},
    ],
    ids=str,
)
def test_P10_figures_that_cannot_be_are_refused(told: Told, said: dict[str, Any]) -> None:
    told.blocks(block(TIP)).take()
    with pytest.raises(ValueError, match=r"\w"):
        told.network(**said)
    assert told.take() == []


def test_P10_a_retarget_beyond_all_clocks_is_not_forecast(told: Told) -> None:
    start = 868_896
    told.blocks(block(start, time_s=EARLIEST_S)).blocks(*(block(start + i) for i in range(1, 105)))
    stats = told.best()
    assert (stats.retarget_change, stats.retarget_ts) == (-75.0, None)


@pytest.mark.parametrize("difficulty", [0.9e-3, 1.1e40])
def test_P10_a_difficulty_of_no_chain_is_refused_of_the_very_first(difficulty: float) -> None:
    told = Told("KAS")
    with pytest.raises(ValueError, match="no chain"):
        told.network(height=TIP, difficulty=difficulty)
    with pytest.raises(ValueError, match="no chain"):
        told.blocks(block(TIP, bits=None, difficulty=difficulty))


def test_a_wrong_first_difficulty_is_mended_by_the_third_that_contradicts_it(told: Told) -> None:
    told.blocks(block(TIP, bits=None, difficulty=DIFFICULTY / 100)).take()
    for _ in range(2):
        with pytest.raises(ValueError, match="four times"):
            told.blocks(block(TIP), block(TIP + 1))
    told.blocks(block(TIP), block(TIP + 1))
    assert told.best().difficulty == DIFFICULTY
    with pytest.raises(ValueError, match="four times"):
        told.network(difficulty=DIFFICULTY / 100)


def test_a_wrong_first_difficulty_of_the_same_block_is_mended(told: Told) -> None:
    told.blocks(block(TIP, bits=None, difficulty=DIFFICULTY / 100)).network(difficulty=DIFFICULTY / 100).take()
    for _ in range(2):
        with pytest.raises(ValueError, match="four times"):
            told.blocks(block(TIP))
    told.blocks(block(TIP))
    (stats,) = told.take()
    assert (stats.difficulty, stats.bits) == (DIFFICULTY, BITS)


@pytest.mark.parametrize("said", [[100, 100, 1, 100, 100], [100, 401, 100], [0.01, 100, 0.01, 100]], ids=str)
def test_P10_refusals_that_are_not_in_a_row_or_do_not_agree_mend_nothing(told: Told, said: list[float]) -> None:
    told.blocks(block(TIP)).take()
    for factor in said:
        if factor == 1:
            told.network(difficulty=DIFFICULTY)
        else:
            with pytest.raises(ValueError, match="four times"):
                told.network(difficulty=DIFFICULTY * factor)
    told.network(hashrate=1e20)
    assert all(e.difficulty == DIFFICULTY for e in told.take())


@pytest.mark.parametrize("coin", ["BCH", "DOGE", "DASH", "ZEC", "RVN", "ETC", "XMR", "KAS"])
def test_P10_where_difficulty_follows_every_block_it_moves_tenfold_at_most(coin: str) -> None:
    told = Told(coin).network(height=9_000_000, difficulty=1e8).network(height=9_000_001, difficulty=0.9e9)
    told.network(height=9_000_002, difficulty=1e8).take()
    for _ in range(2):
        with pytest.raises(ValueError, match="ten times"):
            told.network(height=9_000_003, difficulty=1e3)
    assert (told.take(), told.stream.tip) == ([], 9_000_002)
    assert told.network(height=9_000_003, difficulty=1e3).best().difficulty == 1e3


def test_blocks_from_another_epoch_judge_no_step(told: Told) -> None:
    told.blocks(block(TIP)).take()
    for _ in range(2):
        with pytest.raises(ValueError, match="four times"):
            told.network(difficulty=DIFFICULTY * 100)
    with pytest.raises(ValueError, match="far from"):
        told.stream.blocks([block(TIP - 2 * 2016)], told.now)
    told.network(difficulty=DIFFICULTY * 100)
    assert told.best().difficulty == DIFFICULTY * 100


@pytest.mark.parametrize("far", [601, 10**6, -601, -TIP + 1])
def test_P10_a_height_far_from_the_last_one_is_refused_until_the_third_that_agrees(told: Told, far: int) -> None:
    told.blocks(block(TIP)).take()
    for _ in range(2):
        with pytest.raises(ValueError, match="far from"):
            told.stream.blocks([block(TIP + far, time_s=NOW)], told.now)
    assert (told.take(), told.stream.tip) == ([], TIP)
    told.stream.blocks([block(TIP + far, time_s=NOW)], told.now)
    gap, new, stats = told.take()
    assert (type(gap), gap.cause, gap.detail) == (Gap, "blocks", f"heights begin anew at {TIP + far}")
    assert (new.height, new.orphans, stats.height) == (TIP + far, 0, TIP + far)


def test_P10_a_height_said_alone_is_judged_too() -> None:
    told = Told("BCH").network(height=TIP, difficulty=DIFFICULTY)
    for height in (10**9, TIP, 10**9, 10**9, TIP, 10**12, 10**9, 10**6, 10**6 + 5):
        if height == TIP:
            told.network(height=height)
        else:
            with pytest.raises(ValueError, match="far from"):
                told.network(height=height)
    assert {e.height for e in told.take()} == {TIP}
    told.network(height=10**6 + 6, difficulty=DIFFICULTY)
    assert told.best().height == 10**6 + 6


@pytest.mark.parametrize("coin", ["DOGE", "ZEC"])
def test_P10_a_height_without_a_known_subsidy_changes_nothing(coin: str) -> None:
    told = Told(coin)
    with pytest.raises(ValueError, match="subsidy"):
        told.network(height=100, difficulty=1e7)
    with pytest.raises(ValueError, match="subsidy"):
        told.blocks(block(100, bits=None, difficulty=1e7, time_s=NOW))
    assert (told.take(), told.stream.tip) == ([], 0)


def test_a_source_that_was_away_for_long_may_be_far_ahead(told: Told) -> None:
    told.blocks(block(TIP)).take()
    told.blocks(block(TIP + 4000))
    assert told.best().height == TIP + 4000


def test_a_server_is_behind_where_it_is_not_far_from_the_tip(told: Told) -> None:
    assert not told.stream.behind(TIP)
    told.blocks(block(TIP))
    assert [told.stream.behind(TIP + by) for by in (1, 0, -1, -600, -601)] == [False, False, True, True, False]


def test_figures_said_alone_are_mended_too(told: Told) -> None:
    told.network(height=TIP, bits=0x1802C4E4).take()
    for _ in range(2):
        with pytest.raises(ValueError, match="four times"):
            told.network(difficulty=DIFFICULTY)
    stats = told.network(difficulty=DIFFICULTY).best()
    assert (stats.difficulty, stats.bits) == (DIFFICULTY, None)


def test_reported_difficulty_may_be_rounded(told: Told) -> None:
    told.blocks(block(TIP, difficulty=101646843652785.0))
    assert told.best(Block).difficulty == DIFFICULTY


def test_fees_are_the_mean_of_the_last_144_blocks(told: Told) -> None:
    told.blocks(*(block(TIP + i, fees=1000) for i in range(144)))
    stats = told.best()
    assert (stats.fees, stats.fees_blocks) == (1000.0, 144)
    told.blocks(block(TIP + 144, fees=1000 + 144 * 7))
    assert told.best().fees == 1007.0


def test_a_block_of_huge_fees_moves_the_mean_by_a_144th(told: Told) -> None:
    """Block 840000: 37.67 BTC of fees."""
    told.blocks(*(block(TIP + i, fees=10_000_000) for i in range(144)))
    told.blocks(block(TIP + 144, fees=3_767_000_000))
    assert told.best().fees == pytest.approx(10_000_000 + (3_767_000_000 - 10_000_000) / 144)


def test_where_blocks_are_not_known_the_sources_mean_stands_in(told: Told) -> None:
    told.blocks(block(TIP, fees=288)).network(fees=144.0, fees_blocks=144)
    assert told.best().fees == (288 + 143 * 144.0) / 144


def test_fees_of_orphans_do_not_count(told: Told) -> None:
    told.blocks(*(block(TIP + i, fees=100) for i in range(20)))
    told.blocks(block(TIP + 20, fees=900))
    told.blocks(block(TIP + 20, "b", parent="a", fees=310))
    assert told.best().fees == 110.0


def test_fees_of_less_than_20_blocks_are_luck(told: Told) -> None:
    told.blocks(*(block(TIP + i, fees=100) for i in range(19)))
    assert (told.best().fees, told.stream.tip) == (None, TIP + 18)
    told.blocks(block(TIP + 19, fees=100))
    stats = told.best()
    assert (stats.fees, stats.fees_blocks) == (100.0, 20)


def test_history_that_comes_later_counts_for_fees(told: Told) -> None:
    told.blocks(*(block(TIP + i, fees=100) for i in range(19))).take()
    told.blocks(*(block(TIP - 24 + i, fees=100) for i in range(24)))
    assert told.take() == []
    stats = told.network(hashrate=7e20).best()
    assert (stats.fees, stats.fees_blocks) == (100.0, 43)


def test_a_mean_of_fees_is_believed_for_two_hours(told: Told) -> None:
    told.blocks(block(TIP, fees=288)).network(fees=144.0, fees_blocks=144).take()
    told.now += 7198 * SECOND
    assert told.network(hashrate=7e20).best().fees == (288 + 143 * 144.0) / 144
    told.now += 2 * SECOND
    stats = told.network(hashrate=7e20).best()
    assert (stats.fees, stats.fees_blocks) == (None, 0)
    assert told.network(fees=144.0).best().fees_blocks == 144


def test_a_clock_set_back_keeps_no_figures_and_no_mean_of_fees(told: Told) -> None:
    told.blocks(block(TIP, fees=288)).network(fees=144.0, fees_blocks=144).take()
    told.now -= 6 * 3600 * SECOND
    assert told.network(fees=None).best().fees_blocks == 144
    told.now += 7198 * SECOND
    assert told.network(fees=None).best().fees_blocks == 144
    told.now += 2 * SECOND
    assert told.network(fees=None).best().fees_blocks == 0


def test_of_fees_and_subsidy_only_the_miners_part_counts() -> None:
    told = Told("DASH")
    told.network(height=2_399_999, difficulty=1e8, fees=400.0, fees_blocks=100)
    stats = told.best()
    assert (stats.reward, stats.fees) == (44_255_627, 100.0)


@pytest.mark.parametrize(
    ("last", "first_s", "last_s", "old", "new"),
    [
        (403_199, 1457133956, 1458291885, 0x1806F0A8, 0x1806A4C3),
        (788_255, 1681984653, 1683212066, 0x1705C739, 0x1705DD01),
    ],
)
def test_the_next_bits_are_exact_once_the_last_block_is_there(
    last: int, first_s: int, last_s: int, old: int, new: int
) -> None:
    """Vectors of mining.md 4.16."""
    told = Told()
    told.now = last_s * SECOND
    told.blocks(block(last, time_s=last_s, bits=old))
    assert told.best().next_bits is None
    told.network(epoch_start_s=first_s)
    stats = told.best()
    assert (stats.next_bits, stats.bits, stats.epoch_blocks) == (new, new, EPOCH)
    assert stats.retarget_height == last + 1
    assert stats.difficulty != Told().blocks(block(TIP, bits=old)).best().difficulty


def test_litecoins_next_bits_need_the_block_before_the_epoch() -> None:
    told = Told("LTC")
    first = 2016 * 1400
    told.now = (NOW + 10) * SECOND
    span = [block(first - 1 + i, bits=0x192495F8, time_s=NOW - (2016 - i) * 150) for i in range(2017)]
    told.blocks(*span[:2])
    for i in range(2, 2017, 100):
        told.blocks(*span[i : i + 100])
    assert told.best().next_bits == 0x192495F8  # on time: nothing changes
    late = Told("LTC").blocks(span[-1])
    assert late.best().next_bits is None
    assert late.network(epoch_start_s=span[0].time_s).best().next_bits == 0x192495F8


def test_the_epoch_is_counted_and_forecast(told: Told) -> None:
    start = 868_896
    told.blocks(block(start, time_s=NOW - 104 * 500))
    told.blocks(*(block(start + i, time_s=NOW - (104 - i) * 500) for i in range(1, 105)))
    stats = told.best()
    assert (stats.epoch_blocks, stats.retarget_height) == (105, 870_912)
    assert stats.retarget_change is not None
    told.network(retarget_change=-1.5, retarget_ts=5)
    assert (told.stream.tip, told.take()) == (TIP, [])  # an estimate that moved is told after a minute
    told.now += 60 * SECOND
    told.network(retarget_change=-1.5, retarget_ts=5)
    stats = told.best()
    assert (stats.retarget_change, stats.retarget_ts) == (-1.5, 5)


def test_a_forecast_of_the_epoch_before_is_not_one_of_this() -> None:
    """mempool.space keeps its answers for seconds, and is asked when a block comes."""
    told, first = Told(), 870_912
    told.blocks(block(first - 1)).network(epoch_start_s=NOW - 999_999, retarget_change=4.0, retarget_ts=NOW * SECOND)
    assert told.best().retarget_change == 4.0
    told.blocks(block(first)).network(epoch_start_s=NOW - 999_999, retarget_change=5.0, retarget_ts=NOW * SECOND)
    assert [(e.retarget_change, e.retarget_ts) for e in told.take(NetworkStats)] == [(None, None)]
    start = NOW + (first - TIP) * 600
    told.network(epoch_start_s=start, retarget_change=1.0, retarget_ts=(start + 14 * 86_400) * SECOND)
    assert told.best().retarget_change == 1.0


def test_a_forecast_ends_with_its_epoch_where_no_blocks_are_told(told: Told) -> None:
    said = {"difficulty": DIFFICULTY, "retarget_change": 4.0, "retarget_ts": NOW * SECOND}
    assert told.network(height=870_910, **said).best().retarget_change == 4.0
    assert told.network(height=870_911, difficulty=DIFFICULTY).best().retarget_change == 4.0
    stats = told.network(height=870_912, difficulty=DIFFICULTY).best()
    assert (stats.retarget_change, stats.retarget_ts) == (None, None)


def test_a_forecast_is_believed_for_two_hours(told: Told) -> None:
    told.blocks(block(TIP)).network(epoch_start_s=NOW - 104 * 500, retarget_change=1.0, retarget_ts=NOW * SECOND).take()
    told.now += 7198 * SECOND
    assert told.network(hashrate=7e20).best().retarget_change == 1.0
    told.now += 60 * SECOND
    stats = told.network(hashrate=7e20).best()
    assert stats.retarget_change == pytest.approx((600 * 105 / (told.now // SECOND - NOW + 104 * 500) - 1) * 100)
    assert stats.retarget_ts > told.now


def test_a_forecast_grows_old_where_the_clock_is_set_back(told: Told) -> None:
    told.blocks(block(TIP)).network(retarget_change=1.0, retarget_ts=NOW * SECOND).take()
    told.now -= 6 * 3600 * SECOND
    assert told.network(hashrate=7e20).best().retarget_change == 1.0
    told.now += 7258 * SECOND
    assert told.network(hashrate=7e20).best().retarget_change != 1.0


def test_the_next_subsidy_is_counted_down(told: Told) -> None:
    stats = told.blocks(block(TIP)).best()
    assert (stats.reward, stats.subsidy_height, stats.next_subsidy) == (312_500_000, 1_050_000, 156_250_000)


def test_a_source_without_blocks_tells_figures_alone() -> None:
    told = Told("KAS")
    told.network(height=110_165_000 + 10, difficulty=1e15)
    (stats,) = told.take()
    assert (stats.height, stats.difficulty, stats.hashrate) == (110_165_010, 1e15, 2e16)
    told.network(height=110_165_020, difficulty=1e15)
    assert told.best().height == 110_165_020
    assert told.stream.heard() == 2


def test_before_anything_is_known_nothing_is_told(told: Told) -> None:
    told.network(difficulty=DIFFICULTY)
    told.network(fees=5.0)
    assert told.take() == []


def test_measured_hashrate_is_told_as_such(told: Told) -> None:
    implied = told.blocks(block(TIP)).best()
    assert (implied.hashrate, implied.hashrate_blocks) == (DIFFICULTY * 2**32 / 600, 0)
    told.now += 60 * SECOND
    measured = told.network(hashrate=7e20, hashrate_blocks=120).best()
    assert (measured.hashrate, measured.hashrate_blocks) == (7e20, 120)


def test_a_measured_hashrate_that_is_not_said_again_keeps_its_blocks(told: Told) -> None:
    told.blocks(block(TIP)).network(hashrate=7e20, hashrate_blocks=120).take()
    told.now += 60 * SECOND
    stats = told.network(fees=5.0, hashrate_blocks=0).best()
    assert (stats.hashrate, stats.hashrate_blocks) == (7e20, 120)


def test_a_source_that_is_back_says_so_with_the_same_figures(told: Told) -> None:
    told.blocks(block(TIP)).take()
    assert told.stream.figures(told.now) is not None
    told.stream.lost("link lost", told.now)
    assert told.stream.figures(told.now) is None
    told.blocks(block(TIP))
    assert [type(e) for e in told.take()] == [NetworkStats]
    told.stream.blocks([block(TIP)], told.now + SECOND)
    assert told.take() == []


def test_figures_in_doubt_are_nobodys_until_they_are_heard_again(told: Told) -> None:
    told.blocks(block(TIP)).take()
    told.stream.doubt("not heard for 30 s", told.now)
    assert told.stream.figures(told.now) is None
    told.stream.blocks([block(TIP)], told.now + SECOND)
    told.stream.flows(told.now + SECOND)
    assert [type(e) for e in told.take()] == [Stale, NetworkStats, Recovered]
    assert told.stream.figures(told.now) is not None


def test_a_stream_at_rest_begins_anew(told: Told) -> None:
    told.blocks(block(TIP)).take()
    told.stream.rest()
    told.blocks(block(TIP - 1), block(TIP))
    assert [b.height for b in told.take(Block)] == [TIP]
