"""Raw recordings: every input of every session, so that a rerun tells what was told, event for event."""

import asyncio
import errno
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import sim
from marketfeed.clock import SystemClock
from marketfeed.errors import ConfigError, RecordingError
from marketfeed.events import ClockStep, Head, LoopLag, RecorderStatus, encode_json
from marketfeed.pace import SECOND
from marketfeed.recording import Playback, RawRecorder, Rerun
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.raw_file import mend
from marketfeed.recording.raw_lines import lines_of
from marketfeed.recording.raw_writer import LOST, Kept, RawWriter
from marketfeed.recording.segments import ABOUT, PART, SUFFIX, lines, segments
from marketfeed.taped import Input

from ..loopback.rig import plain
from ..virtual import until

ALL = ["kraken", "binance", "coinbase"]
NAMES = {"kraken": "kraken:BTC-USD", "binance": "binance:BTC-USDT", "coinbase": "coinbase:BTC-USD"}


class Run:
    """A feed on simulated venues, all it tells, and a raw recorder."""

    def __init__(self, feed: mf.Feed, plant: sim.Simulator, folder: Path, **options: Any) -> None:
        self.feed, self.plant = feed, plant
        self.events: list[Head] = []
        self.folder = folder
        self.recorder = RawRecorder(feed, folder, **options)
        for kind in Head.__subclasses__():
            feed.on(kind, self._take)

    def _take(self, event: Head) -> None:
        if not isinstance(event, RecorderStatus | LoopLag | ClockStep):  # what a feed tells of itself
            self.events.append(event)

    async def move(self, enough: Callable[[], Any], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not enough():
                await self.plant.step(3)
                await asyncio.sleep(0.001)

    def subscribe(self, *venues: str, **channels: Any) -> None:
        for venue in venues:
            self.feed.subscribe(NAMES[venue], **(channels or {"trades": True, "ticker": True, "book": True}))

    def statuses(self, found: list[RecorderStatus]) -> None:
        self.feed.on(RecorderStatus, found.append)


def settings(plant: sim.Simulator) -> dict[str, mf.VenueSettings]:
    return {name: mf.VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()}


@pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
def test_I16_a_rerun_tells_what_was_told_with_every_field(exact: bool, tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        faults = "drop=1%, corrupt=0.5%, cut=0.3%, dup=1%"
        async with (
            sim.Simulator(ALL, seed=5, faults=faults, rate=None) as plant,
            mf.Feed(settings(plant), exact=exact, dice=lambda: 0.02) as feed,
        ):
            one = Run(feed, plant, tmp_path / "raw", rotate_bytes=60_000)
            async with one.recorder:
                one.subscribe(*ALL)
                await one.move(lambda: len(one.events) > 1_500)
                feed.subscribe("kraken:ETH-USD", trades=True, book=10)
                feed.unsubscribe(NAMES["coinbase"], ticker=True)
                feed.subscribe("kraken:NOSUCH-USD", trades=True)
                await one.move(lambda: any(isinstance(e, mf.Refused) for e in one.events))
                assert feed._watch is not None
                await one.move(lambda: feed.book(NAMES["kraken"]).state == "live")  # else nothing may flow just now
                feed._watch.slept(3600 * 10**9)  # as after an hour's sleep (T23)
                assert any(isinstance(e, mf.Stale) for e in one.events)
                await one.move(lambda: sum(isinstance(e, mf.Disconnected) for e in one.events) > 3)
                await one.move(lambda: any(isinstance(e, mf.Recovered) for e in one.events))
                live = list(one.events)
            rerun = Rerun(one.folder)
            assert list(rerun) == live
            assert {mf.Gap, mf.BookVoid, mf.Malformed, mf.Disconnected, mf.Refused} <= {type(e) for e in live}
            assert (rerun.unlike, rerun.torn) == ([], [])
            assert len(segments(one.folder).popitem()[1]) > 1
            assert {s.venue for s in rerun.wanted} == set(ALL)

    run()


def test_chains_are_rerun_too(tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        async with (
            sim.Simulator(["mempool"], chain=sim.ChainSettings(block_time=1.0), seed=3) as plant,
            mf.Feed(settings(plant)) as feed,
        ):
            one = Run(feed, plant, tmp_path / "raw")
            async with one.recorder:
                feed.subscribe("mempool:BTC", chain=True)
                await until(lambda: sum(isinstance(e, mf.Block) for e in one.events) > 1, 20)
                live = list(one.events)
            rerun = list(Rerun(one.folder))
            assert rerun[: len(live)] == live

    run()


def test_what_differs_is_named(tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        async with sim.Simulator(["kraken"], rate=None) as plant, mf.Feed(settings(plant)) as feed:
            one = Run(feed, plant, tmp_path)
            async with one.recorder:
                one.subscribe("kraken", trades=True)
                await one.move(lambda: len(one.events) > 20)

    run()
    ((path,),) = segments(tmp_path).values()
    lines = gzip.decompress(path.read_bytes()).splitlines()
    changed = [line for line in lines if b'"trade' in line and b"price" in line][-1]
    path.write_bytes(gzip.compress(b"\n".join(line for line in lines if line != changed) + b"\n"))
    rerun = Rerun(tmp_path)
    assert list(rerun)
    assert rerun.unlike == [path.name]
    assert rerun.stats()["unlike"] == [path.name]


def test_a_segment_that_is_gone_is_noticed_in_a_run_that_began_after_a_loss_too(tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        async with sim.Simulator(["kraken"], rate=None) as plant, mf.Feed(settings(plant)) as feed:
            one = Run(feed, plant, tmp_path, flush_s=0.001, rotate_bytes=1_000)
            async with one.recorder:
                one.subscribe("kraken", trades=True)
                await one.move(lambda: len(list(tmp_path.glob("*.json"))) > 3)

    run()
    (paths,) = segments(tmp_path).values()
    for path in paths:  # such a run has no digest of its own
        about = path.with_name(path.name.removesuffix(SUFFIX) + ABOUT)
        about.write_text(json.dumps(json.loads(about.read_text()) | {"exact_digest": ""}))
    rerun = Rerun(tmp_path)
    assert list(rerun)
    assert rerun.unlike == []
    paths[1].unlink()
    rerun = Rerun(tmp_path)
    assert list(rerun)
    assert rerun.unlike == [path.name for path in paths[2:]]


@plain
async def test_it_begins_before_anything_is_subscribed_to(tmp_path: Path) -> None:
    async with sim.Simulator(["kraken"]) as plant, mf.Feed(settings(plant)) as feed:
        feed.subscribe("kraken:BTC-USD", trades=True)
        with pytest.raises(ConfigError, match="before you subscribe"):
            async with RawRecorder(feed, tmp_path):
                raise AssertionError
        async with mf.Feed(settings(plant)) as other, RawRecorder(other, tmp_path):
            pass


# Crashes and disks


def cut_off(folder: Path, keep: float) -> Path:
    """As a crash leaves it: without its end and what is said of it."""
    ((path,),) = segments(folder).values()
    data = path.read_bytes()
    torn = path.with_name(path.name.replace(".jsonl.gz", PART))
    torn.write_bytes(data[: int(len(data) * keep)])
    path.unlink()
    path.with_name(path.name.replace(".jsonl.gz", ".json")).unlink()
    return torn


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.8, 0.999])
def test_R01_R02_what_a_crash_cut_off_is_read_to_its_last_whole_line(keep: float, tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        async with sim.Simulator(["kraken"], rate=None) as plant, mf.Feed(settings(plant)) as feed:
            one = Run(feed, plant, tmp_path)
            async with one.recorder:
                one.subscribe("kraken")
                await one.move(lambda: len(one.events) > 200)
                live = list(one.events)
            torn = cut_off(tmp_path, keep)
            rerun = Rerun(tmp_path)
            found = list(rerun)
            assert found == live[: len(found)]
            assert rerun.torn == [torn.name]
            async with mf.Feed(settings(plant)) as other, RawRecorder(other, tmp_path) as again:
                other.subscribe("kraken:BTC-USD", trades=True)
                await until(lambda: again.lines > 5, 10)
            mended = Rerun(tmp_path)
            assert list(mended)[: len(found)] == found
            assert mended.torn == [torn.name.replace(PART, ".jsonl.gz")]
            assert len(segments(tmp_path)) == 2

    run()


@pytest.mark.parametrize(
    "rest", [bytes(5_000), b"\xff" * 5_000, b'{"dir":"in","con\n' * 300], ids=["zeros", "ones", "text"]
)
async def test_R02_bytes_that_a_power_loss_left_after_it_cost_nothing_of_what_was_synced(
    rest: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"20261122T000000.000000000Z-000001{PART}"
    pack = zlib.compressobj(wbits=31)
    texts = [b'{"dir":"tick","conn":"kraken-1","t":%d.0}\n' % n for n in range(1_000)]
    path.write_bytes(pack.compress(b"".join(texts)) + pack.flush(zlib.Z_SYNC_FLUSH) + rest)
    found = list(lines(path))
    assert found[: len(texts)] == [text.rstrip() for text in texts]
    async with mf.Feed() as feed, RawRecorder(feed, tmp_path):
        pass
    whole = path.with_name(path.name.replace(PART, SUFFIX))
    assert gzip.decompress(whole.read_bytes()) == b"".join(texts)


async def test_a_file_of_another_name_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / f"mine{PART}"
    path.write_bytes(b"mine")
    async with mf.Feed() as feed:
        with pytest.raises(RecordingError, match="its name tells no run; move it away"):
            async with RawRecorder(feed, tmp_path):
                pass
    assert path.read_bytes() == b"mine"


def test_R02_old_bytes_that_make_lines_end_a_cut_off_file(tmp_path: Path) -> None:
    path = tmp_path / f"20261122T000000.000000000Z-000001{PART}"
    path.write_bytes(gzip.compress(b'{"dir":"tick","t":1.0}\nrubbish\n{"dir":"tick","t":2.0}\n'))
    mend(RealDisk(), path, "1", simulated=False)
    assert list(lines(path.with_name(path.name.replace(PART, SUFFIX)))) == [b'{"dir":"tick","t":1.0}']


def books(events: list[Any]) -> list[Any]:
    """Their events, without what counts from the beginning of a run."""
    kinds = (mf.BookSnapshot, mf.BookDelta, mf.BookVoid)
    return [structs.replace(e, epoch=0, seq_local=0) for e in events if isinstance(e, kinds)]


class Ill(RealDisk):
    """A disk that refuses to write while it is ill."""

    ill = False

    def create(self, path: str) -> Any:
        disk, file = self, super().create(path)

        class Handle:
            def write(self, data: bytes) -> None:
                if disk.ill:
                    raise OSError(errno.ENOSPC, "No space left on device")
                file.write(data)

            sync, close = file.sync, file.close

        return Handle()


@plain
async def test_R04_a_full_disk_ends_a_run_and_harms_no_stream(tmp_path: Path) -> None:
    disk, told = Ill(), list[RecorderStatus]()
    async with sim.Simulator(["kraken"], rate=None) as plant, mf.Feed(settings(plant)) as feed:
        one = Run(feed, plant, tmp_path, disk=disk, flush_s=0.001)
        one.statuses(told)
        async with one.recorder:
            one.subscribe("kraken")
            await one.move(lambda: len(one.events) > 50)
            disk.ill = True
            await one.move(lambda: told)
            count = len(one.events)
            await one.move(lambda: len(one.events) > count + 50)
            disk.ill = False
            await one.move(lambda: len(told) == 2)
            feed.subscribe("kraken:ETH-USD", trades=True)
            plant.inject("kraken", "cut")
            mark = len(one.events)
            await one.move(lambda: sum(isinstance(e, mf.BookSnapshot) for e in one.events[mark:]) > 0)
            live = list(one.events)
        assert [(s.status, s.venue) for s in told] == [("paused", "recorder"), ("resumed", "recorder")]
        rerun = Rerun(tmp_path)
        found = list(rerun)
        assert len(rerun.torn) == 1
        assert rerun.unlike == []
        (after,) = [i for i, e in enumerate(found) if isinstance(e, mf.Connected)][1:]
        assert books(found[after:]) == books(live[live.index(found[after]) :])


def test_R09_a_second_recorder_is_refused(tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        async with mf.Feed() as feed, mf.Feed() as other, RawRecorder(feed, tmp_path):
            with pytest.raises(RecordingError, match="another recorder"):
                async with RawRecorder(other, tmp_path):
                    raise AssertionError

    run()


def test_R07_inputs_without_room_are_counted_and_end_the_run(tmp_path: Path) -> None:
    @plain
    async def run() -> None:
        told = list[RecorderStatus]()
        async with sim.Simulator(["kraken"], rate=None) as plant, mf.Feed(settings(plant)) as feed:
            one = Run(feed, plant, tmp_path, waiting_bytes=50_000, flush_s=0.2)
            one.statuses(told)
            async with one.recorder:
                one.subscribe("kraken")
                await one.move(lambda: [s for s in told if s.status == "lagged"])
        rerun = Rerun(tmp_path)
        found = list(rerun)
        again = [at for at, event in enumerate(found) if isinstance(event, mf.Instrument)][1]
        assert found[:again] == one.events[:again]
        left = {type(event) for event in found[again:]}
        assert left == {mf.Instrument}, "so begins each later run, of which no connection is whole"
        assert (rerun.unlike, rerun.torn) == ([], [])

    run()


def test_P29_I14_a_run_after_a_loss_begins_with_instruments_in_the_order_in_which_they_were_told(
    tmp_path: Path,
) -> None:
    def told(symbol: str, number: int, status: str = "online") -> Kept:
        listed: Any = mf.Instrument(
            venue="kraken", symbol=symbol, native=symbol, base="A", quote="B", status=status, seq_local=number
        )
        return Kept(Input(dir="told", conn=""), [listed])

    care = {"exact": False, "pace": None, "max_resyncs": 3, "backfill": False, "audit_s": 0.0}
    lost = Kept(Input(dir=LOST, conn="", more={"inputs": 1}), [])
    inputs = [Kept(Input(dir="about", conn="", more={"venue": "kraken", **care}), []), told("A-B", 1), told("C-B", 2)]
    inputs += [told("A-B", 3, "post_only"), lost, told("D-B", 9)]
    statuses: list[str] = []
    writer = RawWriter(
        RealDisk(),
        tmp_path,
        SystemClock(),
        lambda status, detail: statuses.append(status),
        rotate_s=3600,
        rotate_bytes=1 << 30,
        sync_s=1,
        simulated=False,
    )
    writer.open()
    writer.step(lambda: inputs.pop(0) if inputs else None)
    assert writer.end(lambda: None) == ""
    assert [event.seq_local for event in Rerun(tmp_path)] == [1, 2, 3, 2, 3, 9]
    assert statuses == ["lagged"]


@plain
async def test_R07_inputs_that_had_no_room_at_the_end_are_told_too(tmp_path: Path) -> None:
    told = list[RecorderStatus]()
    async with sim.Simulator(["kraken"], rate=None) as plant, mf.Feed(settings(plant)) as feed:
        one = Run(feed, plant, tmp_path, waiting_bytes=50_000, flush_s=60)
        one.statuses(told)
        async with one.recorder:
            one.subscribe("kraken")
            await one.move(lambda: one.recorder._tape._lost)
        await until(lambda: told)
    assert [status.status for status in told] == ["lagged"]
    assert "inputs left out" in told[0].detail


@plain
async def test_R04_an_end_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    disk = Ill()

    async def record(one: Run) -> None:
        async with one.recorder:
            one.subscribe("kraken")
            await one.move(lambda: len(one.events) > 50)
            disk.ill = True

    async with sim.Simulator(["kraken"], rate=None) as plant, mf.Feed(settings(plant)) as feed:
        with pytest.raises(RecordingError, match=r"the end of the raw recording is not whole: .*No space left"):
            await record(Run(feed, plant, tmp_path, disk=disk, flush_s=0.001))
    rerun = Rerun(tmp_path)
    assert list(rerun)
    assert len(rerun.torn) == 1


def test_R04_an_end_after_which_nothing_was_written_any_more_is_an_error(tmp_path: Path) -> None:
    disk, told = Ill(), list[str]()
    limits: Any = {"rotate_s": 60.0, "rotate_bytes": 1 << 20, "sync_s": 0.0, "simulated": True}
    writer = RawWriter(disk, tmp_path, SystemClock(), lambda status, _: told.append(status), **limits)
    more = {"venue": "kraken", "url": "wss://localhost", "add": [], "attempt": 1}
    waiting = [Kept(Input(dir="open", conn="kraken-1", recv_ns=1, mono_ns=1, more=more), [])]
    writer.open()
    disk.ill = True
    writer.step(lambda: waiting.pop() if waiting else None)
    assert (waiting, told) == ([], ["paused"])
    disk.ill = False
    assert "No space left" in writer.end(lambda: None)
    assert told == ["paused"], "nobody knows whether the disk takes data again"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "nosuch", "there is no such folder"),
        (lambda folder: folder, "holds no raw recording"),
    ],
)
def test_what_is_no_raw_recording(make: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=words):
        Rerun(make(tmp_path))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"dir":"open","conn":"a","venue":"kraken"}', "nothing was said before"),
        (b'{"dir":5}', "line 1: no line of a recording"),
        (b'{"dir":"want","drop":["x"]}', "is no stream"),
        (b'{"dir":"about","venue":"nosuch"}', "no venue is called"),
    ],
    ids=str,
)
def test_P01_what_cannot_be_run(line: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "20260101T000000.000000000Z-000001.jsonl.gz").write_bytes(gzip.compress(line + b"\n"))
    with pytest.raises((RecordingError, ConfigError), match=words):
        list(Rerun(tmp_path))


def test_I16_reads_of_one_stamp_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    """A clock may be coarse, and what the feed tells of itself takes numbers between two reads."""
    read = b'{"dir":"in","conn":"a","t":1790000000.000000001,"seq":%d,"raw":"{"}'
    same = b'{"dir":"in","conn":"a","t":1790000000.000000001,"raw":"["}'
    lines = [
        b'{"dir":"about","conn":"","venue":"kraken"}',
        b'{"dir":"open","conn":"a","venue":"kraken","url":"wss://host","seq":1}',
        *(read % 10, same, read % 20, same),
    ]
    (tmp_path / "20260101T000000.000000000Z-000001.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    assert [e.seq_local for e in Rerun(tmp_path) if isinstance(e, mf.Malformed)] == [10, 11, 20, 21]


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_I16_a_frame_goes_out_in_its_turn_again_and_its_answer_is_awaited_from_then_on(
    turns: int, tmp_path: Path
) -> None:
    market = mf.Instrument(venue="coinbase", symbol="BTC-USD", native="BTC-USD", base="BTC", quote="USD")
    head = [
        {"dir": "about", "venue": "coinbase"},
        {"dir": "told", "venue": "coinbase", "raw": encode_json(market).decode()},
        {"dir": "open", "conn": "a", "venue": "coinbase", "url": "wss://host", "add": ["coinbase:BTC-USD:ticker"]},
    ]
    later: list[dict[str, Any]] = []
    for number in range(3):  # tries; heartbeats before the first
        mono = number * 6 * SECOND + SECOND
        later += [{"dir": "turn", "conn": "a", "mono": mono}] * (turns if number == 0 else min(turns, 1))
        later += [{"dir": "in", "conn": "a", "raw": json.dumps({"channel": "heartbeats", "sequence_num": number})}]
        later += [{"dir": "tick", "conn": "a", "mono": mono + 6 * SECOND - 2 + step} for step in range(2)]
    lines = b"\n".join(json.dumps(line).encode() for line in [*head, *later])
    (tmp_path / "20260101T000000.000000000Z-000001.jsonl.gz").write_bytes(gzip.compress(lines + b"\n"))
    stale = [event.reason for event in Rerun(tmp_path) if isinstance(event, mf.Stale)]
    assert stale == (["no acknowledgement after 3 tries"] if turns == 2 else [])


# Lines


def test_lines_hold_what_the_format_says() -> None:
    what = Input(dir="in", conn="k-1", recv_ns=1_790_000_000_000_000_001, data=[b'{"a":1}', b"\xff"])
    one, other = lines_of(what, [])
    assert one == b'{"dir":"in","conn":"k-1","t":1790000000.000000001,"raw":"{\\"a\\":1}"}\n'
    assert json.loads(other)["b64"] == "/w=="
    told = lines_of(Input(dir="open", conn="k", more={"url": "wss://me:secret@host/p?key=secret"}), [])
    assert json.loads(told[0])["url"] == "wss://host/p"


def test_G13_a_password_that_a_node_repeats_is_taken_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = 'pass"word'
    monkeypatch.setenv("MARKETFEED_BITCOIND_AUTH", f"user:{secret}")

    @plain
    async def run() -> None:
        rest = {"bitcoind": mf.VenueSettings(rest="http://127.0.0.1:1")}
        async with mf.Feed(rest) as feed, RawRecorder(feed, tmp_path) as recorder:
            feed.subscribe("bitcoind:BTC", chain=True)
            tape: Any = feed._tape
            for body in (secret.encode(), b"user:" + secret.encode(), msgspec.json.encode({"said": secret})):
                tape.keep(Input(dir="rest", conn="", data=(body,)), tape.mark())
            await until(lambda: recorder.lines >= 4, 10)

    run()
    ((path,),) = segments(tmp_path).values()
    text = gzip.decompress(path.read_bytes()).decode()
    assert text.count("[redacted]") == 3
    assert "pass" not in text


# As a feed


def test_a_bot_sees_in_a_playback_what_it_saw_live(tmp_path: Path) -> None:
    async def bot(feed: Any, seen: list[Head], enough: Callable[[], Any]) -> None:
        feed.subscribe(NAMES["kraken"], trades=True, book=True)
        async for event in feed:
            if isinstance(event, mf.Trade | mf.BookSnapshot | mf.BookDelta):
                assert isinstance(event, mf.Trade) or feed.book(event).live
                seen.append(event)
            if enough():
                break

    @plain
    async def run() -> None:
        live, again = list[Head](), list[Head]()
        async with sim.Simulator(["kraken"], rate=200) as plant, mf.Feed(settings(plant)) as feed:
            async with RawRecorder(feed, tmp_path):
                await asyncio.wait_for(bot(feed, live, lambda: len(live) > 300), 30)
        async with Playback(Rerun(tmp_path), speed="max") as feed:
            await asyncio.wait_for(bot(feed, again, lambda: len(again) == len(live)), 30)
        assert again == live

    run()
