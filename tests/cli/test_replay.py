import asyncio
import json
import re
import shlex
import signal

import pytest

import marketfeed as mf
from marketfeed.cli import _exit
from marketfeed.recording.digest import Digest
from marketfeed.sim import Simulator

from .helpers import WAIT_S, call, rows, start, write_capture


@pytest.fixture
def capture(tmp_path):
    return str(write_capture(tmp_path / "kraken.jsonl"))


def test_events(capture):
    result = call("replay", capture, "--json")
    assert result.exit_code == 0
    assert [e["kind"] for e in rows(result.stdout)] == ["instrument", "book_snapshot", "book_delta", "trade", "trade"]
    assert rows(call("replay", capture).stdout) == rows(result.stdout)
    assert {"connected", "subscribed"} <= {e["kind"] for e in rows(call("replay", capture, "--life").stdout)}


def test_text(capture):
    lines = call("replay", capture, "--text").stdout.splitlines()
    assert len(lines) == 4
    assert lines[2].endswith("  buy    100.2  0.01000000")
    assert "book" in lines[0]


def test_stats_and_digest(capture):
    stats = json.loads(call("replay", capture, "--stats", "--json").stdout)
    assert {"frames": 6, "control": 2, "ignored": 0, "malformed": 0, "checksums_ok": 2, "checksums_bad": 0}.items() <= (
        stats.items()
    )
    assert {"links_ok", "links_broken", "joins", "gaps", "digest"} <= stats.keys()
    assert stats["events"]["trade"] == 2
    table = call("replay", capture, "--stats").stdout
    assert re.search(r"^checksums ok +2$", table, re.M)
    assert stats["digest"] in table


def test_digest_of_lines(capture, tmp_path):
    digest = json.loads(call("replay", capture, "--stats", "--json").stdout)["digest"]
    events = tmp_path / "events.jsonl"
    events.write_text(call("replay", capture, "--json", "--life").stdout)
    assert call("digest", str(events)).stdout == digest + "\n"
    lines = call("digest", str(events), "--streams").stdout.splitlines()
    assert [line.split()[-1] for line in lines[:2]] == ["kraken:BTC-USD:book", "kraken:BTC-USD:trades"]
    assert lines[2] == digest


def test_a_raw_capture_has_no_digest_and_the_way_to_one_is_said(capture):
    result = call("digest", capture)
    assert (result.exit_code, result.stdout) == (_exit.RECORDING, "")
    assert f"{capture}, line 1: not an event" in result.stderr
    assert f"of a raw recording: marketfeed replay {capture} --json | marketfeed digest" in result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no market event"),
        ("\n", "no market event"),
        ('{"kind":"connected","venue":"kraken","link":"1"}\n', "no market event"),
        ('\n{"kind":"connected","venue":"kraken","link":"1"}\nsome words\n', "line 3: not an event"),
    ],
)
def test_what_holds_no_market_event_has_no_digest(content, words, tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(content)
    result = call("digest", str(path))
    assert (result.exit_code, result.stdout) == (_exit.RECORDING, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_venue_that_is_not_that_of_the_file_is_refused(capture):
    result = call("replay", capture, "--venue", "binance", "--stats")
    assert (result.exit_code, result.stdout) == (_exit.USAGE, "")
    assert "its URLs are kraken's: leave out --venue binance" in result.stderr
    assert call("replay", capture, "--venue", "kraken", "--stats").exit_code == 0


def test_a_venue_is_named_where_the_urls_have_no_host(tmp_path):
    path = tmp_path / "bare.jsonl"
    path.write_text('{"dir":"rest","conn":"1","url":"/api/v3/depth?symbol=BTCUSDT","raw":"{}"}\n')
    assert call("replay", str(path), "--venue", "binance").exit_code == 0
    assert "name it with --venue" in call("replay", str(path)).stderr


def test_speed(capture):
    assert len(rows(call("replay", capture, "--speed", "100", "--json").stdout)) == 5
    process = start("replay", capture, "--speed", "0.01", "--json")
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, err) == (130, b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        ("not json\n", "line 1: not a line of a raw recording"),
        ('{"dir":"in","raw":"{}"}\n', "name it with --venue"),
    ],
)
def test_a_bad_file(content, words, tmp_path):
    path = tmp_path / "bad.jsonl"
    if content is not None:
        path.write_text(content)
    result = call("replay", str(path))
    assert result.exit_code == _exit.RECORDING
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_served_recording_gives_the_digest_of_its_replay(capture):
    sim = start("sim", capture)
    try:
        assert sim.stdout.readline().startswith(b"kraken: ws://127.0.0.1:")
        words = shlex.split(sim.stdout.readline().decode())
        assert words[:6] == ["marketfeed", "tail", "BTC-USD", "--venue", "kraken", "--trades"]
        words[words.index("--idle-timeout") + 1] = "500ms"
        result = call(*words[1:])
        assert result.exit_code == _exit.IDLE
        assert [e["kind"] for e in rows(result.stdout)].count("trade") == 2
    finally:
        sim.send_signal(signal.SIGTERM)
        _, err = sim.communicate(timeout=WAIT_S)
    assert sim.returncode == 143
    assert err.decode() == "marketfeed: a client has had the whole recording\n"
    lines = call("replay", capture, "--json").stdout
    assert _digest(result.stdout) == _digest(lines)


def _digest(lines):
    digest = Digest()
    for line in lines.encode().splitlines():
        digest.add_json(line)
    return digest.streams()


def test_a_recording_is_served_once_and_says_what_a_client_has_not_asked_for(capture):
    sim = start("sim", capture, "--once")
    words = [sim.stdout.readline(), sim.stdout.readline()][1].decode().split()
    endpoint = words[words.index("--endpoint") + 1]
    tail = start("tail", "kraken:BTC-USD", "--trades", "--endpoint", endpoint)
    assert b"nothing is sent yet: the client has not asked for BTC/USD book" in sim.stderr.readline()
    tail.send_signal(signal.SIGINT)
    tail.communicate(timeout=WAIT_S)
    call("tail", "kraken:BTC-USD", "--trades", "--book=10", "--endpoint", endpoint, "--idle-timeout", "300ms")
    sim.communicate(timeout=WAIT_S)
    assert sim.returncode == 0


def raw_recording(folder):
    async def run():
        async with Simulator(["kraken"], rate=None) as plant:
            at = plant.endpoints["kraken"]
            async with mf.Feed({"kraken": mf.VenueSettings(ws=at.ws, rest=at.rest)}) as feed:
                async with mf.recording.RawRecorder(feed, folder) as recorder:
                    feed.subscribe("kraken:BTC-USD", trades=True, book=True)
                    while recorder.lines < 50:
                        await plant.step(3)
                        await asyncio.sleep(0.002)

    asyncio.run(run())


@pytest.mark.parametrize("inner", [False, True], ids=["itself", "of a dataset"])
def test_a_recording_of_ours(tmp_path, inner):
    raw_recording(tmp_path / "_raw" if inner else tmp_path)
    told = json.loads(call("replay", str(tmp_path), "--stats", "--json").stdout)
    assert told["events"]["book_delta"] > 0
    assert (told["torn"], told["unlike"]) == ([], [])
    assert re.search(r"^segments unlike +0$", call("replay", str(tmp_path), "--stats").stdout, re.M)
    events = rows(call("replay", str(tmp_path), "--json", "--life").stdout)
    assert [e["seq_local"] for e in events] == sorted(e["seq_local"] for e in events)


def test_a_recording_of_ours_that_is_not_as_it_was(tmp_path):
    raw_recording(tmp_path)
    (told,) = tmp_path.glob("*.json")
    told.write_text(re.sub(r'"exact_digest": "....', '"exact_digest": "0000', told.read_text()))
    result = call("replay", str(tmp_path), "--stats")
    assert result.exit_code == _exit.RECORDING
    assert "not those that were told live" in result.stderr
    (path,) = tmp_path.glob("*.jsonl.gz")
    path.rename(path.with_name(path.name + ".part"))
    result = call("replay", str(tmp_path), "--stats")
    assert result.exit_code == 0
    assert "did not end" in result.stderr
    assert "says itself" in call("replay", str(tmp_path), "--exact").stderr
