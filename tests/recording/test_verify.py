"""`verify` finds what is wrong with a dataset, names it, and finds nothing wrong with a sound one."""

import asyncio
import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

import marketfeed as mf
from marketfeed import catalogue, sim
from marketfeed import events as ev
from marketfeed.errors import RecordingError
from marketfeed.text import escaped

from ..virtual import on

pa = pytest.importorskip("pyarrow")

import pyarrow.parquet as pq  # noqa: E402

from marketfeed.recording import tables  # noqa: E402
from marketfeed.recording.compact import compact  # noqa: E402
from marketfeed.recording.dataset import open_dataset  # noqa: E402
from marketfeed.recording.disk import RealDisk  # noqa: E402
from marketfeed.recording.findings import MOST, Coverage, Report  # noqa: E402
from marketfeed.recording.journal import Journal  # noqa: E402
from marketfeed.recording.manifest import MANIFESTS, Manifest  # noqa: E402
from marketfeed.recording.payload import pack  # noqa: E402
from marketfeed.recording.recorder import Recorder  # noqa: E402
from marketfeed.recording.seal import JOURNAL  # noqa: E402
from marketfeed.recording.verification import verify  # noqa: E402

from .recorded import SECOND, START, SYMBOL, VENUE, Script, renumbered, script, seal  # noqa: E402

Events = list[Any]


def checks(report: Report, severity: str = "error") -> set[str]:
    return {finding.check for finding in report.findings if finding.severity == severity}


def told(report: Report, check: str) -> str:
    return "\n".join(f"{f.where}: {f.detail}" for f in report.findings if f.check == check)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two passes of one run."""
    events = script().events
    return seal(tmp_path_factory.mktemp("data") / "sound", events[:120], events[120:])


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(sound, tmp_path / "data"))


# --- what is sound -------------------------------------------------------------------------------------------------


def test_a_sound_recording_has_no_errors_and_its_gaps_are_notes(sound: Path) -> None:
    report = verify(sound)
    assert [f for f in report.findings if f.severity == "error"] == []
    assert checks(report, "note") == {"gap"}
    assert "kraken:BTC-USD:trades: 2 gaps (trade ids)" in told(report, "gap")
    assert report.rows == sum(pq.read_metadata(path).num_rows for path in sound.rglob("*.parquet"))
    assert report.ts_from == START + 1_000_003
    assert not report.simulated


def test_coverage_is_the_time_that_is_not_told_to_be_lost(sound: Path) -> None:
    events = script().events
    report = verify(sound)
    coverage = {one.stream: one for one in report.coverage}
    assert set(coverage) == {f"{VENUE}:{SYMBOL}:{channel}" for channel in ("trades", "ticker", "book")}
    trades = [e for e in events if isinstance(e, ev.Trade)]
    one = coverage[f"{VENUE}:{SYMBOL}:trades"]
    assert one.events == len(trades) == sum(hour.events for hour in one.hours)
    gaps = [e for e in events if isinstance(e, ev.Gap) and e.cause == "trade ids"]
    about = [e for e in events if ev.channel_of(e) == "trades"]
    whole = events[-1].ts_recv - about[0].ts_recv
    assert one.covered == pytest.approx(1 - sum(gap.ts_to - gap.ts_from for gap in gaps) / whole)
    assert 0.8 < one.covered < 1


def by_stream(report: Report) -> dict[str, Coverage]:
    return {one.stream.removeprefix(f"{VENUE}:"): one for one in report.coverage}


def test_time_after_a_loss_that_nothing_ended_is_not_covered_to_the_end_of_the_recorder(tmp_path: Path) -> None:
    made = Script()
    made.begin()
    made.flow(8)
    made.part()
    made.wait(20)
    made.tell(ev.Disconnected, symbol="", link="kraken-1", code=0, reason="refused the connection")
    made.recorder("ended")
    later = Script()
    later.now = made.now + 3600 * SECOND
    later.recorder("started", ts_from=made.now, ts_to=later.now)
    later.tell(ev.Subscribed, symbol="ETH-USD", channel="trades")
    later.recorder("ended")
    covered = by_stream(verify(seal(tmp_path, made.events, later.events)))
    assert 0.15 < covered["BTC-USD:trades"].covered < 0.2, "4 s of 24 s, and the run after it was not about this stream"
    assert 0.15 < covered["BTC-USD:book"].covered < 0.2
    assert covered["BTC-USD:trades"].hours[-1].covered == covered["BTC-USD:trades"].covered


def test_a_recorder_that_was_killed_ran_to_the_last_event_of_any_venue(tmp_path: Path) -> None:
    made = Script()
    made.begin()
    made.flow(8)
    made.part()
    made.wait(20)
    made.tell(ev.Ticker, venue="binance", bid=99.0, ask=101.0)
    covered = by_stream(verify(seal(tmp_path, made.events)))
    assert 0.15 < covered["BTC-USD:trades"].covered < 0.2


def test_a_stream_without_an_event_has_no_coverage(tmp_path: Path) -> None:
    made = script()
    ended = made.events.pop()
    made.tell(ev.Refused, symbol="BTC-USF", channel="trades", reason="kraken has no BTC-USF")
    made.events.append(ended)
    report = verify(seal(tmp_path, renumbered(made.events)))
    one = by_stream(report)["BTC-USF:trades"]
    assert (one.events, one.covered, one.hours) == (0, None, [])
    assert msgspec.json.decode(msgspec.json.encode(one))["covered"] is None


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_R08_a_stream_of_which_no_file_can_be_read_is_not_covered_at_all(
    spoil: Callable[[Path], object], tmp_path: Path
) -> None:
    data = seal(tmp_path, script().events)
    spoil(parquet(data))
    one = by_stream(verify(data))["BTC-USD:trades"]
    assert (one.events, one.covered) == (0, 0.0)
    assert {hour.covered for hour in one.hours} == {0.0}


def test_silence_to_the_end_of_the_recorder_is_told(tmp_path: Path) -> None:
    made = script()
    made.events.pop()
    made.wait(399.5)  # beside the half second of the flow
    made.recorder("ended")
    assert "kraken: nothing came for 400 s" in told(verify(seal(tmp_path, made.events)), "silence")


def test_a_second_run_and_a_time_that_was_not_recorded_are_no_errors(tmp_path: Path) -> None:
    first = script()
    later = Script()
    later.now = first.now + 600 * SECOND
    later.begin()
    later.events[0] = structs.replace(later.events[0], ts_from=first.now, ts_to=later.now)
    later.flow(20)
    later.recorder("ended")
    report = verify(seal(tmp_path, first.events, later.events))
    assert checks(report) == set()
    assert "not recorded for 600" in told(report, "hole")


def test_a_compacted_recording_is_sound(data: Path) -> None:
    compact(data, everything=True)
    report = verify(data)
    assert checks(report) == set()
    assert report.files == 5, "life, trades, ticker and book, and what the recorder says"


def test_a_folder_without_manifests_can_be_checked_as_far_as_that_goes(data: Path) -> None:
    shutil.rmtree(data / MANIFESTS)
    report = verify(data)
    assert checks(report) == set()
    assert "manifest" in checks(report, "note")
    path = max(data.rglob("*.parquet"), key=lambda p: p.stat().st_size)
    flip(path, 60 * 8)
    assert checks(verify(data)) & {"page", "footer"}


def test_it_changes_nothing(data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    verify(data)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("venue", ["binance", "coinbase", "kraken"])
def test_what_a_recorder_makes_of_a_bad_venue_is_sound(venue: str, tmp_path: Path) -> None:
    symbol = {"binance": "BTC-USDT"}.get(venue, "BTC-USD")

    @on(asyncio.SelectorEventLoop)
    async def run() -> None:
        faults = "drop=1%,cut=0.3%,dup=0.5%,reorder=0.3%,corrupt=0.2%"
        async with sim.Simulator([venue], seed=5, rate=None, faults=faults, symbols=[symbol]) as plant:
            at = plant.endpoints[venue]
            pace = structs.replace(catalogue.venue(venue).pace, connects=(300, 10))
            settings = mf.VenueSettings(ws=at.ws, rest=at.rest, pace=pace, max_resyncs=100)
            async with mf.Feed({venue: settings}, dice=lambda: 0.02) as feed:
                async with Recorder(feed, tmp_path, rotate_s=0.3, simulated=True) as recorder:
                    feed.subscribe(f"{venue}:{symbol}", trades=True, ticker=True, book=True)
                    async with asyncio.timeout(30):
                        while recorder.events < 1500:
                            await plant.step(3)
                            await asyncio.sleep(0.001)

    run()
    report = verify(tmp_path)
    assert [f for f in report.findings if f.severity == "error"] == []
    assert "gap" in checks(report, "note")
    assert report.simulated
    assert report.rows >= 1500


CAPTURES = [
    "binance/spot-multi-cryptofeed202110.jsonl.gz",
    "coinbase/advanced-multi-cryptofeed202608.jsonl.gz",
    "kraken/book-v2-btcusd-d10-mhadiamiri202607.jsonl",
    "kraken/book-v2-btcusd-gap-mhadiamiri202607.jsonl",
]


@pytest.mark.parametrize("name", CAPTURES)
def test_a_recorded_capture_is_sound(name: str, captures: Path, tmp_path: Path) -> None:
    if not (captures / name).exists():
        pytest.skip(f"no {name} among the captures")

    @on(asyncio.SelectorEventLoop)
    async def run() -> None:
        async with sim.serve_capture(captures / name, once=True) as plant:
            venue, at = plant.source.venue, plant.endpoints[plant.source.venue]
            asked = plant.source.tail_command()
            names = [f"{venue}:{word}" for word in asked[1 : asked.index("--venue")]]
            depth = next((word.partition("=")[2] for word in asked if word.startswith("--book")), None)
            async with mf.Feed({venue: mf.VenueSettings(ws=at.ws, rest=at.rest)}) as feed:
                left = asyncio.Event()
                feed.on(mf.Disconnected, lambda _: left.set())
                async with Recorder(feed, tmp_path, rotate_s=0.5, simulated=True) as recorder:
                    feed.subscribe(
                        *names,
                        trades="--trades" in asked,
                        ticker="--ticker" in asked,
                        book=False if depth is None else int(depth) if depth else True,
                    )
                    async with asyncio.timeout(30):
                        await plant.finished()
                        await left.wait()
                assert recorder.events > 20

    run()
    assert [f for f in verify(tmp_path).findings if f.severity == "error"] == []


# --- what is wrong with the events, in files that are whole ---------------------------------------------------------


def of(events: Events, kind: Any, which: int = 10) -> int:
    """Where the nth event of a type is."""
    return [at for at, event in enumerate(events) if isinstance(event, kind)][which]


def without_a_trade(events: Events) -> Events:
    del events[of(events, ev.Trade)]
    return events


def without_the_word_of_a_gap(events: Events) -> Events:
    return [e for e in events if not (isinstance(e, ev.Gap) and e.from_seq == 1044)]


def a_trade_twice(events: Events) -> Events:
    at = of(events, ev.Trade)
    return renumbered([*events[: at + 1], events[at], *events[at + 1 :]])


def an_old_trade_again(events: Events) -> Events:
    at = of(events, ev.Trade, 30)
    again = structs.replace(events[of(events, ev.Trade)], ts_recv=events[at].ts_recv)
    return renumbered([*events[: at + 1], again, *events[at + 1 :]])


def a_row_twice(events: Events) -> Events:
    at = of(events, ev.Ticker)
    return [*events[: at + 1], events[at], *events[at + 1 :]]


def two_rows_swapped(events: Events) -> Events:
    one, two = of(events, ev.Ticker), of(events, ev.Ticker, 11)
    events[one], events[two] = events[two], events[one]
    return events


def without_a_change(events: Events) -> Events:
    del events[of(events, ev.BookDelta)]
    return events


def without_a_snapshot(events: Events) -> Events:
    del events[of(events, ev.BookSnapshot, 1)]
    return events


def without_a_whole_epoch(events: Events) -> Events:
    void = of(events, ev.BookVoid, 0)
    again = events[void:]
    for _ in range(2):
        again = [
            structs.replace(e, epoch=e.epoch + 1) if isinstance(e, ev.BookSnapshot | ev.BookDelta) else e for e in again
        ]
    return [*events[:void], *again]


def levels_out_of_order(events: Events) -> Events:
    at = of(events, ev.BookSnapshot, 0)
    events[at] = structs.replace(events[at], bids=events[at].bids[::-1])
    return events


def a_crossed_book(events: Events) -> Events:
    at = of(events, ev.BookDelta)
    events[at] = structs.replace(events[at], bids=((103.5, 1.0),))
    return events


EVENTS_WRONG: list[tuple[Callable[[Events], Events], str, str]] = [
    (without_a_trade, "trade ids", "1011 are missing, and no gap tells it"),
    (without_the_word_of_a_gap, "trade ids", "1044 to 1046 are missing, and no gap tells it"),
    (a_trade_twice, "trade ids", "trade 1011 is there twice"),
    (an_old_trade_again, "trade ids", "trade 1011 is there twice"),
    (a_row_twice, "order", "is there twice"),
    (two_rows_swapped, "order", "comes after"),
    (without_a_change, "book", "change 13 of epoch 1 follows 12, and 11 came before it"),
    (without_a_snapshot, "book", "is of a book without a snapshot"),
    (without_a_whole_epoch, "book", "epoch 4 follows epoch 1"),
    (levels_out_of_order, "book", "a snapshot's levels are out of order"),
    (a_crossed_book, "crossed", "the bid stood above the ask for"),
]


@pytest.mark.parametrize(("plant", "check", "detail"), EVENTS_WRONG, ids=[row[0].__name__ for row in EVENTS_WRONG])
def test_events_that_contradict_each_other_are_found(
    plant: Callable[[Events], Events], check: str, detail: str, tmp_path: Path
) -> None:
    report = verify(seal(tmp_path, plant(script().events)))
    assert check in checks(report), report.findings
    assert checks(report) <= {check, "trade ids" if check == "order" else check}
    assert detail in told(report, check)
    assert report.errors <= 2, "what follows from a break is not told again"


def the_clock_set_forward(events: Events) -> Events:
    cut = len(events) * 3 // 4
    return [*events[:cut], *(structs.replace(e, ts_recv=e.ts_recv + 200 * SECOND) for e in events[cut:])]


def the_clock_set_back(events: Events) -> Events:
    cut = len(events) * 3 // 4
    return [*events[:cut], *(structs.replace(e, ts_recv=e.ts_recv - 5 * SECOND) for e in events[cut:])]


def a_long_silence(events: Events) -> Events:
    cut = len(events) * 3 // 4
    late = {"ts_recv": 400 * SECOND, "ts_event": 400 * SECOND}
    return [
        *events[:cut],
        *(
            structs.replace(e, **{k: getattr(e, k) + ns for k, ns in late.items() if getattr(e, k)})
            for e in events[cut:]
        ),
    ]


def a_stale_stream(events: Events) -> Events:
    at = of(events, ev.Ticker)
    new = ev.Stale(venue=VENUE, symbol=SYMBOL, ts_recv=events[at].ts_recv, channel="ticker", reason="no data yet")
    return renumbered([*events[:at], new, *events[at:]])


EVENTS_TOLD: list[tuple[Callable[[Events], Events], str, str]] = [
    (the_clock_set_forward, "clock", "receive times jump by +200.000 s against the venue's clock"),
    (the_clock_set_back, "clock", "receive times go back by"),
    (a_long_silence, "silence", "kraken: nothing came for 400 s"),
    (a_stale_stream, "stale", "kraken:BTC-USD:ticker: no data yet"),
]


@pytest.mark.parametrize(("plant", "check", "detail"), EVENTS_TOLD, ids=[row[0].__name__ for row in EVENTS_TOLD])
def test_what_is_worth_knowing_is_a_note(
    plant: Callable[[Events], Events], check: str, detail: str, tmp_path: Path
) -> None:
    made = script()
    made.events.pop()
    made.flow(80)
    report = verify(seal(tmp_path, plant(made.events)))
    assert detail in told(report, check)
    assert check in checks(report, "note")
    assert checks(report) == set()


# --- what is wrong with the files ------------------------------------------------------------------------------------


def flip(path: Path, bit: int) -> None:
    body = bytearray(path.read_bytes())
    body[bit // 8] ^= 1 << bit % 8
    path.write_bytes(body)


def parquet(data: Path, channel: str = "trades", which: int = 0) -> Path:
    return sorted(data.glob(f"venue={VENUE}/channel={channel}/*/*.parquet"))[which]


def manifest(data: Path, which: int = 0) -> Path:
    return sorted((data / MANIFESTS).glob("*.json"))[which]


def edit(path: Path, change: Callable[[Any], object]) -> None:
    held = json.loads(path.read_bytes())
    change(held)
    path.write_text(json.dumps(held))


def first_entry(**fields: Any) -> Callable[[Path], object]:
    return lambda data: edit(manifest(data), lambda held: held["files"][0].update(fields))


def of_manifest(**fields: Any) -> Callable[[Path], object]:
    return lambda data: edit(manifest(data), lambda held: held.update(fields))


def a_gap_less(data: Path) -> None:
    edit(manifest(data), lambda held: held["gaps"].pop())


def another_gap(data: Path) -> None:
    edit(manifest(data), lambda held: held["gaps"].append(held["gaps"][0] | {"ts_to": 7}))


def an_epoch_of_a_gap(data: Path) -> None:
    edit(manifest(data), lambda held: held["gaps"][0].update(epoch=9))


def rehashed(data: Path, path: Path, change: Callable[[Any], Any]) -> None:
    """Rewrite a file and make its manifest agree."""
    with pq.ParquetFile(path) as read:
        table = read.read()
    table = change(table)
    tables.write(table, path)
    body = path.read_bytes()
    fields = {"rows": table.num_rows, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}

    def update(held: Any) -> None:
        for entry in held["files"]:
            if entry["path"] == path.relative_to(data).as_posix():
                held["events"] += fields["rows"] - entry["rows"]
                entry.update(fields)

    edit(manifest(data), update)


def rows_of_another_venue(data: Path) -> None:
    def change(table: Any) -> Any:
        names = pa.array(["binance"] * table.num_rows).cast(table.schema.field("venue").type)
        return table.set_column(table.schema.get_field_index("venue"), table.schema.field("venue"), names)

    rehashed(data, parquet(data), change)


def a_row_less_and_a_new_hash(data: Path) -> None:
    rehashed(data, parquet(data), lambda table: pa.concat_tables([table.slice(0, 5), table.slice(6)]))


def part_of_an_event_less(data: Path) -> None:
    rehashed(data, parquet(data, "book"), lambda table: pa.concat_tables([table.slice(0, 3), table.slice(4)]))


def moved_to_another_day(data: Path) -> None:
    old = parquet(data)
    new = old.parents[1] / "date=2020-01-01" / old.name
    new.parent.mkdir()
    old.rename(new)

    def update(held: Any) -> None:
        for entry in held["files"]:
            entry["path"] = entry["path"].replace(*(p.relative_to(data).as_posix() for p in (old, new)))

    edit(manifest(data), update)


def copied_under_other_frames(data: Path) -> None:
    held = json.loads(manifest(data, 1).read_bytes())
    held["first"] -= 1
    (data / MANIFESTS / f"{held['first']:012d}-{held['last']:012d}.json").write_text(json.dumps(held))


def copy_under_another_name(data: Path) -> None:
    shutil.copy(parquet(data), parquet(data).with_name("copy.parquet"))


def both_files_of_a_pass_swapped(data: Path) -> None:
    one, two = parquet(data), parquet(data, which=1)
    spare = one.with_name("spare")
    one.rename(spare), two.rename(one), spare.rename(two)


FILES_WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a bit of a page": (lambda data: flip(parquet(data), 60 * 8), "hash", "SHA-256"),
    "a bit of a footer": (lambda data: flip(parquet(data), parquet(data).stat().st_size * 8 - 900), "hash", "SHA-256"),
    "cut": (lambda data: parquet(data).write_bytes(parquet(data).read_bytes()[:-9]), "footer", "cannot be read"),
    "empty": (lambda data: parquet(data).write_bytes(b""), "footer", "cannot be read"),
    "removed": (lambda data: parquet(data).unlink(), "missing", "names it, and it is not there"),
    "two files swapped": (both_files_of_a_pass_swapped, "size", "bytes, and its manifest says"),
    "a copy": (copy_under_another_name, "stray", "no manifest names it"),
    "a manifest removed": (lambda data: manifest(data).unlink(), "frames", "are in no manifest"),
    "a manifest of nonsense": (lambda data: manifest(data).write_text("{}"), "manifest", "cannot be read"),
    "a manifest of the future": (of_manifest(format=99), "manifest", "has format 99"),
    "a manifest of no format": (of_manifest(format=0), "manifest", "has format 0"),
    "a manifest renamed": (
        lambda data: manifest(data).rename(data / MANIFESTS / "000000000001-000000000009.json"),
        "manifest",
        "which is not its name",
    ),
    "a manifest twice": (copied_under_other_frames, "frames", "were sealed twice"),
    "another hash": (first_entry(sha256="0" * 64), "hash", "SHA-256"),
    "another size": (first_entry(bytes=1), "size", "its manifest says 1"),
    "other rows": (first_entry(rows=1), "rows", "its manifest says 1"),
    "another span": (first_entry(ts_from=START), "span", "its manifest says 2026-04-07T10:00:00.000Z"),
    "a path that leads out": (first_entry(path="../../etc/passwd"), "manifest", "is no path of a dataset's file"),
    "other events": (of_manifest(events=1), "rows", "it says 1"),
    "of another kind": (of_manifest(simulated=True), "kind", "simulated and real data are mixed"),
    "exact and not": (of_manifest(exact=True), "kind", "exact and float data are mixed"),
    "a gap less": (a_gap_less, "gaps", "does not tell a gap that its files hold"),
    "a gap more": (another_gap, "gaps", "tells a gap that its files do not hold"),
    "a gap changed": (an_epoch_of_a_gap, "gaps", "does not tell a gap that its files hold: kraken:BTC-USD:book"),
    "rows of another venue": (rows_of_another_venue, "place", "another venue than its folder says"),
    "moved to another day": (moved_to_another_day, "place", "its folder says 2020-01-01"),
    "a trade less, and hashed again": (a_row_less_and_a_new_hash, "trade ids", "are missing, and no gap tells it"),
    "a level less, and hashed again": (part_of_an_event_less, "order", "rows of one event are missing"),
}


@pytest.mark.parametrize("name", FILES_WRONG)
def test_R08_what_is_wrong_with_files_and_manifests_is_found(name: str, data: Path) -> None:
    plant, check, detail = FILES_WRONG[name]
    plant(data)
    report = verify(data)
    assert check in checks(report), report.findings
    assert detail in told(report, check)


def test_a_file_that_cannot_be_read_is_not_blamed_on_the_events(data: Path) -> None:
    for channel in ("trades", "book"):
        parquet(data, channel).unlink()
    report = verify(data)
    assert checks(report) == {"missing"}
    assert report.errors == 2
    assert {one.stream: one.covered is not None and one.covered < 0.7 for one in report.coverage} == {
        f"{VENUE}:{SYMBOL}:trades": True,
        f"{VENUE}:{SYMBOL}:book": True,
        f"{VENUE}:{SYMBOL}:ticker": False,
    }


def test_what_a_crash_left_is_a_note(data: Path) -> None:
    path = parquet(data)
    path.rename(path.with_name(path.name + ".part"))  # counts: the crash was before its name was given
    (path.with_name("000000000099-000000000100.parquet.part")).write_bytes(b"half")
    (data / JOURNAL / "0000000009.journal").write_bytes(b"MFJ\x01 torn")
    report = verify(data)
    assert checks(report) == set()
    assert "counts, and has not its name yet" in told(report, "left over")
    assert "a pass that did not end" in told(report, "left over")
    assert "its last 9 bytes are not whole" in told(report, "journal")
    assert list(open_dataset(data).events()) == script().events, "and the reader takes what counts, once"


def test_frames_that_wait_to_be_sealed_are_a_note(tmp_path: Path) -> None:
    events = script().events
    seal(tmp_path, events[:120])
    journal = Journal(RealDisk(), tmp_path / JOURNAL, next_number=4)
    journal.add(pack(events[120:], exact=False, simulated=False))
    journal.close()
    report = verify(tmp_path)
    assert checks(report) == set()
    assert "1 frames wait to be sealed" in told(report, "journal")


def test_many_findings_of_one_kind_are_counted(tmp_path: Path) -> None:
    events = [e for n, e in enumerate(script().events) if not (isinstance(e, ev.Trade) and n % 2)]
    report = verify(seal(tmp_path, renumbered(events)))
    some = [f for f in report.findings if (f.severity, f.check) == ("error", "trade ids")]
    assert len(some) == MOST
    assert report.errors == MOST + some[-1].more


def test_a_quick_check_reads_no_rows_and_still_sees_damage(data: Path) -> None:
    assert verify(data, quick=True).findings == []
    assert verify(data, quick=True).rows == verify(data).rows
    flip(parquet(data), 60 * 8)
    assert checks(verify(data, quick=True)) == {"hash"}


def test_hostile_names_are_escaped(data: Path) -> None:
    edit(
        manifest(data),
        lambda held: held["files"][0].update(path="venue=a/channel=book/date=2026-01-01/\x1b[2J.parquet"),
    )
    report = verify(data)
    assert all(" " <= char <= "~" for finding in report.findings for char in finding.where + finding.detail)


def test_it_tells_how_far_it_is(sound: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    report = verify(sound, tell=lambda *call: calls.append(call))
    files = [call for call in calls if call[0] == "files"]
    assert files[-1] == ("files", report.bytes, report.bytes)
    what, done, of_ = calls[-1]
    assert (what, done) == ("events", of_ - 2), "all but those of the recorder itself"


def test_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such folder"):
        verify(tmp_path / "none")
    with pytest.raises(RecordingError, match="no recording in it"):
        verify(tmp_path)


# --- bit rot ---------------------------------------------------------------------------------------------------------


def swept(data: Path, path: Path, bits: list[int]) -> list[int]:
    """The bits of a file that may flip unseen."""
    body = path.read_bytes()
    unseen = []
    for bit in bits:
        flip(path, bit)
        if not verify(data, quick=True).errors:
            unseen.append(bit)
        path.write_bytes(body)
    return unseen


def small(root: Path) -> Path:
    made = Script()
    made.begin()
    made.flow(3)
    return seal(root, made.events)


def test_R08_a_flipped_bit_of_a_sealed_file_is_found(tmp_path: Path) -> None:
    data = small(tmp_path)
    path = parquet(data)
    bits = random.Random(8).sample(range(path.stat().st_size * 8), 80)
    assert swept(data, path, bits) == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_R08_every_flipped_bit_of_a_sealed_file_is_found(tmp_path: Path) -> None:
    data = small(tmp_path)
    path = parquet(data)
    assert swept(data, path, list(range(path.stat().st_size * 8))) == []


def matters(old: Any, new: bytes) -> bool:
    """Whether a manifest says something else of the data."""
    try:
        read = msgspec.json.decode(new, type=type(old))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    return bool(structs.replace(read, version=old.version) != old)


@pytest.mark.parametrize("every", [211, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_R08_a_flipped_bit_of_a_manifest_is_found_where_it_matters(every: int, tmp_path: Path) -> None:
    data = small(tmp_path)
    path = manifest(data)
    body = path.read_bytes()
    old = msgspec.json.decode(body, type=Manifest)
    unseen = []
    for bit in range(0, len(body) * 8, every):
        flip(path, bit)
        if matters(old, path.read_bytes()) and not verify(data).errors:
            unseen.append(body[max(0, bit // 8 - 20) : bit // 8 + 20])
        path.write_bytes(body)
    assert unseen == []


@pytest.mark.parametrize(("folder", "name"), [(MANIFESTS, "\x1b[2J.json"), (JOURNAL, "\x1b[2J.journal")])
def test_a_finding_names_no_file_as_a_terminal_would_obey(folder: str, name: str, tmp_path: Path) -> None:
    data = seal(tmp_path, script().events)
    (data / folder / name).write_text("no")
    (found,) = (one for one in verify(data).findings if "2J" in one.where)
    assert found.where == escaped(f"{folder}/{name}")
