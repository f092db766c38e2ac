"""blockchain.info as its protocol sheet and its real answers have it, and what else the captures of mining hold."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketfeed.mining.coins import COINS
from marketfeed.mining.compact import difficulty_from_bits
from marketfeed.mining.economics import network_hashrate
from marketfeed.subscriptions import Subscription
from marketfeed.venues import blockchaininfo, mempool, whattomine
from marketfeed.venues._spec import Request
from marketfeed.venues.blockchaininfo import VENUE

from .chain_talk import BAD_BODIES, ChainTalk

STATS = {
    "timestamp": 1557646525000,
    "market_price_usd": 7292.97,
    "hash_rate": 44977500727.36728,
    "total_fees_btc": 11648437530,
    "n_btc_mined": 168750000000,
    "n_tx": 335667,
    "n_blocks_mined": 135,
    "minutes_between_blocks": 9.8507,
    "totalbc": 1769555000000000,
    "n_blocks_total": 575644,
    "miners_revenue_usd": 13156403.929531645,
    "nextretarget": 576575,
    "difficulty": 6702169884349,
    "miners_revenue_btc": 1803,
}
"""Of 2019-05-12, when its fees were right (cw.hubwiz.com's copy, as in the sheet)."""
BARE = {"height": 575643, "difficulty": 6702169884349.0}
HASHES = {"hashrate": 44977500727.36728e9, "hashrate_blocks": 135}
FEES = {"fees": 11648437530 / 135, "fees_blocks": 135}


def hear(tip: int = 0, **fields: Any) -> ChainTalk:
    talk = ChainTalk(VENUE, tip=tip)
    assert talk.ask() == Request("/stats")
    assert talk.answer(STATS | fields) is False
    return talk


def test_figures_and_no_blocks() -> None:
    talk = hear()
    assert (talk.sink.runs, talk.sink.said) == ([], [BARE | HASHES | FEES])


def test_4_3_its_hashrate_is_of_the_blocks_of_a_day() -> None:
    assert 135 * network_hashrate(COINS["BTC"], 6702169884349) * 600 / 86400 == pytest.approx(
        hear().sink.said[0]["hashrate"], rel=1e-15
    )


@pytest.mark.parametrize(
    ("blocks", "paid"),
    [(476_111, 1_645_138_750_000_000), (575_644, 1_769_555_000_000_000), (969_990, 2_009_371_875_000_000)],
)
def test_its_total_of_coins_is_what_that_many_blocks_from_genesis_paid(blocks: int, paid: int) -> None:
    """`totalbc` beside `n_blocks_total` in answers of 2017 (stored public file 6886009100), 2019 and 2026."""
    halvings = range(0, blocks, 210_000)
    assert sum(COINS["BTC"].subsidy(h) * min(210_000, blocks - h) for h in halvings) == paid


@pytest.mark.parametrize("fees", [-51875000000, -1, 0, None])
def test_fees_that_cannot_be_are_not_told(fees: int | None) -> None:
    assert hear(total_fees_btc=fees).sink.said == [BARE | HASHES]


@pytest.mark.parametrize("blocks", [0, None])
def test_what_is_of_no_blocks_is_not_told(blocks: int | None) -> None:
    assert hear(n_blocks_mined=blocks).sink.said == [BARE]


@pytest.mark.parametrize("hash_rate", [0, None])
def test_a_hashrate_of_nothing_is_not_told(hash_rate: int | None) -> None:
    assert hear(hash_rate=hash_rate).sink.said == [BARE | FEES]


def test_P06_numbers_may_be_text_or_floats() -> None:
    assert hear(difficulty="6702169884349", total_fees_btc=1.164843753e10).sink.said == [BARE | HASHES | FEES]


def test_a_tip_far_above_what_is_said_is_doubted() -> None:
    assert len(hear(tip=2**40).sink.said) == 1


def test_a_server_behind_the_last_one_tells_nothing() -> None:
    talk = hear(tip=575644)
    assert (talk.sink.runs, talk.sink.said) == ([], [])
    assert len(hear(tip=575643).sink.said) == 1


def refused(body: Any) -> None:
    talk = ChainTalk(VENUE)
    talk.ask()
    with pytest.raises((ValueError, RecursionError)):
        talk.answer(body)
    assert (talk.sink.runs, talk.sink.said) == ([], [])


@pytest.mark.parametrize("body", [*BAD_BODIES, [], {}, {"difficulty": 1}], ids=lambda b: repr(b)[:60])
def test_P01_P02_P04_what_is_no_answer(body: Any) -> None:
    refused(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"n_blocks_total": None},
        {"n_blocks_total": -1},
        {"n_blocks_total": 0},
        {"n_blocks_total": 1},
        {"n_blocks_total": 2**63},
        {"n_blocks_total": 1.5},
        {"difficulty": None},
        {"difficulty": 0},
        {"difficulty": -1},
        {"difficulty": "NaN"},
        {"difficulty": "Infinity"},
        {"difficulty": "1e31"},
        {"difficulty": "1e-400"},
        {"difficulty": "9" * 400},
        {"hash_rate": -5},
        {"hash_rate": "inf"},
        {"hash_rate": "1_000"},
        {"n_blocks_mined": -1},
        {"n_blocks_mined": 2**64},
        {"total_fees_btc": "NaN"},
        {"total_fees_btc": "-inf"},
        {"total_fees_btc": []},
    ],
    ids=lambda f: str(f)[:60],
)
def test_P04_P07_P08_P10_what_it_never_says(fields: dict[str, Any]) -> None:
    refused(STATS | fields)


def test_one_polling_link() -> None:
    wanted = [Subscription("blockchaininfo", "BTC", "chain")]
    (link,) = VENUE.plan(VENUE.endpoints, wanted, VENUE.pace)
    assert (link.url, link.subscriptions) == ("", tuple(wanted))
    assert (VENUE.coins, VENUE.channels, VENUE.credentials) == (("BTC",), ("chain",), "")
    assert VENUE.pace.rest is not None
    assert VENUE.pace.rest[0] / VENUE.pace.rest[1] > 1 / VENUE.pace.poll_s > 3 / VENUE.pace.silence_s


# Every captured payload of sources of mining


def payloads(captures: Path, *names: str) -> dict[str, bytes]:
    """Raw bodies by URL."""
    found = {}
    for name in names:
        path = captures / name
        if not path.is_file():
            pytest.skip(f"no {path}")
        for line in map(json.loads, path.read_bytes().splitlines()):
            found[line["url"]] = line["raw"].encode()
    return found


@pytest.fixture(scope="session")
def bodies(captures: Path) -> dict[str, bytes]:
    return payloads(captures, "mining/rest-2026.jsonl", "mempool_space/rest-docs.jsonl")


MEMPOOL = "https://mempool.space/api"
STRUCTS: dict[str, Any] = {
    "https://api.blockchain.info/stats": blockchaininfo.WStats,
    "https://whattomine.com/coins/1.json": whattomine.WCoin,
    "https://whattomine.com/asic.json": dict[str, dict[str, whattomine.WCoin]],
    f"{MEMPOOL}/v1/difficulty-adjustment": mempool.WForecast,
    f"{MEMPOOL}/v1/mining/reward-stats/%{{1}}": mempool.WStats,
    f"{MEMPOOL}/v1/block/%{{1}}": mempool.WBlock,
}
UNUSED = {
    f"{MEMPOOL}/blocks/tip/height",
    f"{MEMPOOL}/v1/mining/pool/%{{1}}",
    f"{MEMPOOL}/v1/mining/hashrate/3d",
    f"{MEMPOOL}/v1/mining/difficulty-adjustments/1m",
}
"""Routes that nothing here asks."""


def test_no_captured_payload_is_left_out(bodies: dict[str, bytes]) -> None:
    assert bodies.keys() == STRUCTS.keys() | UNUSED


@pytest.mark.parametrize("url", STRUCTS)
def test_a_captured_payload_is_what_its_struct_says(bodies: dict[str, bytes], url: str) -> None:
    assert msgspec.json.decode(bodies[url], type=STRUCTS[url], strict=False)


def test_the_real_answer_of_blockchain_info(bodies: dict[str, bytes]) -> None:
    talk = ChainTalk(VENUE)
    talk.ask()
    talk.answer(bodies["https://api.blockchain.info/stats"])
    assert talk.sink.said == [
        {
            "height": 969_989,
            "difficulty": 132716002350731.0,
            "hashrate": 1095159811329.552e9,
            "hashrate_blocks": 166,
        }
    ]


def test_three_sources_of_one_moment_agree(bodies: dict[str, bytes]) -> None:
    stats = msgspec.json.decode(bodies["https://api.blockchain.info/stats"], type=blockchaininfo.WStats)
    coin = msgspec.json.decode(bodies["https://whattomine.com/coins/1.json"], type=whattomine.WCoin)
    da = json.loads(bodies[f"{MEMPOOL}/v1/difficulty-adjustment"])
    tip = da["nextRetargetHeight"] - da["remainingBlocks"]
    assert stats.difficulty == pytest.approx(coin.difficulty, rel=1e-9)
    assert coin.last_block is not None
    assert tip - 3 <= stats.n_blocks_total - 1 <= coin.last_block <= tip == 969_992


def test_a_docs_block_has_the_difficulty_of_its_bits(bodies: dict[str, bytes]) -> None:
    block = msgspec.json.decode(bodies[f"{MEMPOOL}/v1/block/%{{1}}"], type=mempool.WBlock)
    assert (block.height, block.bits) == (363_366, 404_111_758)
    assert difficulty_from_bits(404_111_758) == block.difficulty == 49402014931.22746
    assert block.extras is not None
    assert block.extras.reward == COINS["BTC"].subsidy(363_366) + (block.extras.totalFees or 0)


def test_4_12_docs_reward_stats_are_subsidies_and_fees(bodies: dict[str, bytes]) -> None:
    body = bodies[f"{MEMPOOL}/v1/mining/reward-stats/%{{1}}"]
    stats = msgspec.json.decode(body, type=mempool.WStats, strict=False)
    blocks = stats.endBlock - stats.startBlock + 1
    assert (int(json.loads(body)["totalReward"]) - stats.totalFee) / blocks == COINS["BTC"].subsidy(stats.endBlock)


def test_a_forecast_is_of_the_epoch_at_hand(bodies: dict[str, bytes]) -> None:
    body = bodies[f"{MEMPOOL}/v1/difficulty-adjustment"]
    said = msgspec.json.decode(body, type=mempool.WForecast)
    da = json.loads(body)
    done = 2016 - da["remainingBlocks"]
    assert (said.previousTime, said.difficultyChange) == (1791011796, -1.909509687533617)
    assert da["progressPercent"] == pytest.approx(done / 2016 * 100)
    assert da["expectedBlocks"] == pytest.approx(da["timeAvg"] / 1000 * done / 600, rel=1e-4)


def test_the_tips_height_that_we_do_not_ask_for_is_plain_text(bodies: dict[str, bytes]) -> None:
    assert int(bodies[f"{MEMPOOL}/blocks/tip/height"]) == 698_767


def test_a_pool_that_we_do_not_ask_about_has_its_blocks(bodies: dict[str, bytes]) -> None:
    pool = json.loads(bodies[f"{MEMPOOL}/v1/mining/pool/%{{1}}"])
    assert pool["blockCount"]["24h"] <= pool["blockCount"]["1w"] <= pool["blockCount"]["all"]


def test_the_hashrate_that_we_do_not_ask_for_is_of_the_difficulty(bodies: dict[str, bytes]) -> None:
    said = json.loads(bodies[f"{MEMPOOL}/v1/mining/hashrate/3d"])
    (step,) = said["difficulty"]
    assert step["difficulty"] == said["currentDifficulty"] == 31251101365711.12
    implied = network_hashrate(COINS["BTC"], said["currentDifficulty"])
    for hashrate in (said["currentHashrate"], *(h["avgHashrate"] for h in said["hashrates"])):
        assert hashrate == pytest.approx(implied, rel=0.25)  # of a day: 8 % is chance


def test_difficulty_adjustments_that_we_do_not_ask_for_are_ratios(bodies: dict[str, bytes]) -> None:
    steps = json.loads(bodies[f"{MEMPOOL}/v1/mining/difficulty-adjustments/1m"])
    assert [height for _, height, _, _ in steps] == [822_528, 820_512, 818_496]
    assert all(height % 2016 == 0 for _, height, _, _ in steps)
    for newer, older in pairwise(steps):
        assert newer[2] / older[2] == pytest.approx(newer[3], rel=1e-5)


FRAMES: dict[str, Callable[[ChainTalk], bool]] = {
    "blocks": lambda talk: bool(talk.sink.runs),
    "block": lambda talk: bool(talk.sink.runs),
    "": lambda talk: talk.port.counts["control"] == 1,
}


def test_every_captured_frame_is_understood(captures: Path) -> None:
    path = captures / "mempool_space" / "ws-cypress2024-2025.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    frames = [json.loads(line)["raw"] for line in path.read_bytes().splitlines()]
    assert len(frames) == 7
    for frame in frames:
        talk = ChainTalk(mempool.VENUE)
        talk.decoder.subscribe(talk.pairs)
        talk.frame(frame)
        kind = next((name for name in ("blocks", "block") if name in json.loads(frame)), "")
        assert FRAMES[kind](talk), frame[:100]
        assert talk.port.counts["drift"] == 0
