"""A short slice of the simulation, of each transport fault, and proof that one seed is one run.

`python -m tests.fuzz.simulation` and `python -m tests.fuzz.recovery` run the long of it.
"""

import asyncio
import os
import subprocess
import sys

import pytest

import marketfeed as mf
from marketfeed.pace import Budget
from marketfeed.testing import Network, run

from ..conftest import ROOT
from ..fuzz import recovery, silence, simulation
from ..fuzz.oracle import SYMBOLS
from .faults import TRANSPORT
from .manners import Manners
from .world import World

VENUES = sorted(SYMBOLS)
QUICK = {
    **{"T01": "reset", "T02": "end", "T03": "blackhole", "T06": "drip", "T07": "slices", "T10": "dns", "T11": "v6"},
    **{"T13": "handshake_5xx", "T14": "handshake_banned", "T16": "shutdown", "T17": "close", "T18": "oversize"},
    **{"T08": "uneven", "T09": "untrusted", "T12": "proxy_refuses"},
    **{"T19": "compressed", "T20": "bad_frame", "T21": "pings", "T24": "unplug"},
}
"""A fault of each row."""
SEEDS = [7]


def test_the_rows_of_the_slice_are_those_of_the_faults() -> None:
    assert {row: TRANSPORT[name].row for row, name in QUICK.items()} == {row: row for row in QUICK}


@pytest.mark.parametrize("number", range(len(QUICK)), ids=[f"{row}_{name}" for row, name in QUICK.items()])
def test_T01_T02_T03_T06_T07_T08_T09_T10_T11_T12_T13_T14_T16_T17_T18_T19_T20_T21_T24_each_is_mended_without_a_hand(
    number: int,
) -> None:
    """On virtual links; each fault at one venue here, at all of them in `tests.fuzz.recovery`."""
    name = list(QUICK.values())[number]
    row = recovery.repeat(name, VENUES[number % 3], range(1, 2))
    assert row["recovered"] == "1/1", row
    assert row["told"] or TRANSPORT[name].kind in recovery.HARMLESS


def test_T04_a_venue_that_stops_its_data_and_answers_pings_is_left() -> None:
    row = recovery.repeat("stall", "kraken", range(1, 2))
    assert (row["recovered"], row["told"]) == ("1/1", 1)
    assert row["detect_p95"] <= 5.0


@pytest.mark.parametrize("venue", VENUES)
def test_T12_a_proxy_that_cuts_idle_tunnels_cuts_none(venue: str) -> None:
    """Pings and heartbeats keep it from being idle, however quiet the market is."""
    row = recovery.repeat("proxy_idle", venue, range(1, 2))
    assert (row["recovered"], row["told"]) == ("1/1", 0), row


@pytest.mark.parametrize("kind", {kind.feed: kind for kind in silence.KINDS}.values(), ids=lambda kind: kind.feed)
def test_T03_T04_silence_is_found_in_time(kind: silence.Kind) -> None:
    row = silence.stalls(kind, range(3, 4))
    assert (row["found"], row["within"]) == ("1/1", "yes"), row


@pytest.mark.parametrize("venue", VENUES)
def test_T04_a_market_that_falls_silent_as_a_whole_is_found_by_asking_about_it(venue: str) -> None:
    row = recovery.repeat("mute_market", venue, range(1, 2))
    assert (row["recovered"], row["told"], row["within"]) == ("1/1", 1, "yes"), row
    assert row["detect_p95"] < 30.0


async def relisted(network: Network, venue: str, kind: str) -> tuple[World, list[mf.Instrument[float]], list[str]]:
    """What was told of a market that changes, and what else went wrong."""
    told: list[mf.Instrument[float]] = []
    harm: list[str] = []
    async with World(1, [venue], network, rate=5.0, taped=True) as world:
        await world.until_live(30.0)
        await world.run(30.0)
        world.feed.on(mf.Instrument, told.append)
        for event in (mf.Disconnected, mf.BookVoid, mf.Refused):
            world.feed.on(event, lambda event: harm.append(f"{type(event).__name__} {event.symbol}".strip()))
        world.plant.inject(venue, kind, SYMBOLS[venue][0])
        await world.run(60.0)
        before_the_end = harm[:]
    return world, told, before_the_end


def test_P29_I16_a_book_whose_market_is_made_finer_is_proven_again_and_harms_no_other() -> None:
    network = Network(1)
    world, told, harm = run(relisted(network, "kraken", "digits"), network)
    assert [(one.symbol, one.price_digits) for one in told] == [("BTC-USD", 2)]
    assert harm == ["BookVoid BTC-USD"]
    assert world.lived_again > 100


@pytest.mark.parametrize("venue", VENUES)
def test_P29_I16_a_market_that_is_taken_off_the_list_is_told_and_its_book_is_void(venue: str) -> None:
    network = Network(1)
    world, told, harm = run(relisted(network, venue, "delist"), network)
    symbol = SYMBOLS[venue][0]
    assert [(one.symbol, one.trading, one.status) for one in told] == [(symbol, False, "not listed")]
    assert harm[0] == f"BookVoid {symbol}"
    assert {one.split()[-1] for one in harm} == {symbol}
    assert world.lived_again > 100


def test_T05_a_quiet_market_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LIVELY_S", 30.0)
    network = Network(2)
    found = run(silence.quiet_day(0.2, 2, network, ticker=False), network)
    assert (found["reconnects"], found["stale"], found["gaps"], found["books_live"]) == (0, 0, 0, "6/6")
    assert found["asked_over_rest"] > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_I1_I2_I3_I4_I5_I7_I9_I10_I11_I12_I13_I14_I15_I17_I18_hold_in_a_world_of_faults(seed: int) -> None:
    figures = simulation.one(seed, 2.0, VENUES)
    assert "wrong" not in figures, figures["wrong"]
    assert figures["checked"] > 100
    assert figures["faults"] > 3


def test_I16_a_world_that_was_recorded_raw_is_lived_through_again() -> None:
    figures = simulation.one(simulation.TAPED, 0.5, VENUES)
    assert "wrong" not in figures, figures["wrong"]
    assert figures["lived_again"] > 100


def test_I16_T04_a_link_that_only_pongs_is_lived_through_again() -> None:
    """Its market is asked about before it is left, and whether it pongs decides that."""

    async def stalled(network: Network) -> tuple[World, list[str]]:
        verdicts: list[str] = []
        async with World(1, ["binance"], network, rate=5.0, taped=True) as world:
            await world.until_live(30.0)
            await world.run(30.0)
            world.feed.on(mf.Audit, lambda event: verdicts.append(event.verdict))
            world.plant.inject("binance", "stall")
            await world.run(30.0)
        return world, verdicts

    network = Network(1)
    world, verdicts = run(stalled(network), network)
    assert "differs" in verdicts
    assert world.lived_again > 100


def test_I16_one_seed_is_one_digest_in_any_process() -> None:
    """Hash seeds differ between the two, so that no order of a set is in the digest."""
    once = simulation.one(5, 0.5, VENUES)
    command = [sys.executable, "-m", "tests.fuzz.simulation", "--seed", "5", "--minutes", "0.5", "--verbose"]
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert f"digest {once['digest']}, events {once['events']}," in again.stdout


def test_a_failure_says_when_it_was_and_what_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world that is wrong is not called well."""
    monkeypatch.setattr(simulation.World, "_compare", lambda world, name: world.wrong.append(f"I3: {name} is a lie"))
    figures = simulation.one(3, 0.5, ["kraken"])
    assert "I3: kraken:BTC-USD is a lie" in figures["wrong"]
    assert "before: " in figures["wrong"]


def test_the_ledger_knows_a_doubled_trade_and_an_untold_gap() -> None:
    from .ledger import Ledger  # noqa: PLC0415

    def trade(number: int) -> mf.Trade[float]:
        return mf.Trade(venue="v", symbol="s", price=1.0, size=1.0, side="buy", id=str(number))

    def gap(first: int, last: int) -> mf.Gap:
        return mf.Gap(venue="v", symbol="s", channel="trades", cause="trade ids", from_seq=first, to_seq=last)

    told = Ledger()
    for event in (trade(1), trade(2), gap(3, 5), trade(6), trade(4)):
        told.take(event)
    assert (told.told, told.missing) == (4, 2)
    with pytest.raises(AssertionError, match="doubled, or an untold gap"):
        told.take(trade(4))
    with pytest.raises(AssertionError, match="doubled, or an untold gap"):
        told.take(trade(8))
    with pytest.raises(AssertionError, match="7 to 8 are not in any gap"):
        told.take(gap(9, 9))


def test_a_virtual_network_is_left_without_a_connection() -> None:
    network = Network(1)
    run(recovery.strike("end", "coinbase", 1, network), network)
    assert network.open == 0


def test_T14_a_feed_that_does_not_heed_a_ban_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "heed", lambda *_: 0)
    network = Network(1)

    async def main() -> Manners:
        async with World(1, ["binance"], network, faults="http429=3,retry_after=5") as world:
            await asyncio.sleep(20.0)
            with pytest.raises(AssertionError, match=r"T14: .* before the end of its ban"):
                world.look()
            return world.manners

    assert run(main(), network).told == 3
