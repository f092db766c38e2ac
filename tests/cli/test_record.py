import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from marketfeed.cli import _exit, _reach

from .helpers import COMMAND, ENV, WAIT_S, Terminal, call, start

pytest.importorskip("pyarrow")

from marketfeed import events as ev  # needs pyarrow
from marketfeed.recording.dataset import open_dataset
from marketfeed.recording.lock import FolderLock
from marketfeed.recording.rerun import Rerun

SIM_LINE = "marketfeed: SIMULATED: made-up prices from a simulator in this process"
DEAD = "=ws://127.0.0.1:1,http://127.0.0.1:1"
CLEAR = "\x1b[2K"


def both(*args: str, columns: int) -> tuple[Terminal, str]:
    """A process whose stdout and stderr are one terminal."""
    terminal = Terminal.__new__(Terminal)
    terminal.master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    terminal.process = subprocess.Popen(
        [*COMMAND, *args], stdout=slave, stderr=slave, stdin=subprocess.DEVNULL, env=ENV | {"TERM": "xterm"}
    )
    os.close(slave)
    terminal.text = ""
    return terminal


def count_in(text: str) -> int:
    return int(re.search(r"recorded ([\d,]+) SIMULATED events", text)[1].replace(",", ""))


def test_what_was_recorded_is_one_line_and_is_there(tmp_path):
    folder = tmp_path / "data"
    names = ("BTC-USD", "ETH-USD", "--venue", "coinbase", "--venue", "kraken")
    result = call("record", *names, "--to", str(folder), "--sim", "--duration", "1500ms", "--rotate", "1s")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [SIM_LINE]
    assert re.fullmatch(
        r"recorded [\d,]+ SIMULATED events in \d+ files \([\d.]+ kB\) into \S+/data, 0 gaps\n", result.stdout
    )
    data = open_dataset(folder)
    assert data.venues == ["coinbase", "kraken"]
    assert data.symbols == ["BTC-USD", "ETH-USD"]
    assert data.channels == ["book", "instrument", "life", "ticker", "trades"]
    events = list(data.events())
    assert len(events) == count_in(result.stdout) > 100
    said = [event.status for event in events if isinstance(event, ev.RecorderStatus)]
    assert (said[0], said[-1]) == ("started", "ended")
    assert len(list((folder / "_manifests").iterdir())) == 2, "it rotated"
    assert not list((folder / "_journal").iterdir())


def test_only_what_is_asked_for(tmp_path):
    call("record", "kraken:BTC-USD", "--to", str(tmp_path), "--sim", "--duration", "800ms", "--trades", "--book=10")
    data = open_dataset(tmp_path)
    assert data.channels == ["book", "instrument", "life", "trades"]
    snapshots = [event for event in data.events("book") if isinstance(event, ev.BookSnapshot)]
    assert {event.depth for event in snapshots} == {10}


def test_a_depth_that_the_venue_has_not_is_told(tmp_path):
    result = call("record", "kraken:BTC-USD", "--to", str(tmp_path), "--sim", "--duration", "1s", "--book=2000")
    assert result.stderr.splitlines() == [
        SIM_LINE,
        "marketfeed: kraken has at most 1,000 levels a side: its books are that deep, not 2,000",
    ]


def test_raw_inputs_beside_it_make_the_same_events_again(tmp_path):
    call("record", "BTC-USD", "--to", str(tmp_path), "--sim", "--duration", "800ms", "--raw")
    replayed = json.loads(call("replay", str(tmp_path), "--stats", "--json").stdout)
    assert (replayed["torn"], replayed["unlike"]) == ([], [])
    again = list(Rerun(tmp_path / "_raw"))
    assert len(again) > 20
    recorded = {event.seq_local: event for event in open_dataset(tmp_path).events()}
    assert [recorded[event.seq_local] for event in again] == again


def test_R01_a_second_run_goes_on_where_the_first_ended(tmp_path):
    args = ("record", "BTC-USD", "--to", str(tmp_path), "--sim", "--duration", "1s", "--trades", "-q")
    runs = [count_in(call(*args).stdout) for _ in range(2)]
    events = list(open_dataset(tmp_path).events())
    assert len(events) == sum(runs)
    started = [e for e in events if isinstance(e, ev.RecorderStatus) and e.status == "started"]
    assert started[0].ts_from == 0
    assert 0 < started[1].ts_from < started[1].ts_to, "what was missed between them is told"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_C10_signals_end_it_with_everything_sealed(number, code, tmp_path):
    process = start("record", "BTC-USD", "--sim", "--to", str(tmp_path), "-v")
    seen = []
    for line in process.stderr:
        seen.append(line.decode())
        if "subscribed" in seen[-1]:
            break
    process.send_signal(number)
    out, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == code, seen
    assert out.decode().count("\n") == 1
    events = list(open_dataset(tmp_path).events())
    assert len(events) == count_in(out.decode())
    assert events[-1].status == "ended"


def test_C10_a_second_signal_ends_it_now_and_the_next_start_seals(tmp_path):
    process = start("record", "BTC-USD", "--sim", "--to", str(tmp_path), "-v")
    for line in process.stderr:
        if b"subscribed" in line:
            break
    process.send_signal(signal.SIGINT)
    end = time.monotonic() + WAIT_S
    while process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    assert call("record", "BTC-USD", "--sim", "--to", str(tmp_path), "--duration", "1s", "-q").exit_code == 0
    assert call("verify", str(tmp_path), "-q").exit_code == 0


def test_R01_what_a_kill_left_is_sealed_by_the_next_run(tmp_path):
    process = start("record", "BTC-USD", "--sim", "--to", str(tmp_path))
    end = time.monotonic() + WAIT_S
    journal = tmp_path / "_journal"
    while not (journal.is_dir() and sum(path.stat().st_size for path in journal.iterdir()) > 20_000):
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.communicate()
    result = call("record", "BTC-USD", "--sim", "--to", str(tmp_path), "--duration", "1s", "-q")
    assert result.exit_code == 0
    events = list(open_dataset(tmp_path).events())
    assert len(events) > count_in(result.stdout) + 10
    status = [event.status for event in events if isinstance(event, ev.RecorderStatus)]
    assert status.count("started") == 2


@pytest.mark.parametrize("columns", [40, 120])
def test_a_terminal_sees_one_line_that_redraws(columns, tmp_path):
    args = ("record", "BTC-USD", "--sim", "--venue", "kraken", "--to", str(tmp_path), "--rotate", "1s")
    with_both = both(*args, columns=columns)
    try:
        text = with_both.read_until(lambda text: text.count("SIMULATED  0:0") >= 4)
        assert with_both.end() == 130
        text = with_both.text
    finally:
        with_both.process.kill()
        os.close(with_both.master)
    first, *rest = text.split("\r" + CLEAR)
    assert first.startswith(SIM_LINE + "\r\n")
    drawn = [first.splitlines()[-1], *rest[:-1]]
    assert all(len(line) < columns for line in drawn)
    assert drawn[-1] == "sealing what is left"
    assert re.fullmatch(r"recorded [\d,]+ SIMULATED events in .*, 0 gaps\r\n", rest[-1].removeprefix(CLEAR))
    line = (
        r"SIMULATED  0:0\d  [\d,]+ events  [\d,]+/s  lag -?\d+ ms  0 gaps  journal [\d.]+ k?B  \d+ files [\d.]+ k?B  "
    )
    if columns > 100:
        assert all(re.fullmatch(line + r"seals in 0:0\d", one) for one in drawn[1:-1])


def test_quiet_on_a_terminal(tmp_path):
    terminal = both("record", "BTC-USD", "--sim", "--to", str(tmp_path), "--duration", "1s", "-q", columns=80)
    text = terminal.read_until(lambda _: False)
    terminal.process.wait(WAIT_S)
    os.close(terminal.master)
    assert "\x1b" not in text
    assert text.count("\n") == 2


def test_a_closed_pipe_ends_nothing(tmp_path):
    process = start("record", "BTC-USD", "--sim", "--to", str(tmp_path), "--duration", "1s")
    process.stdout.close()
    assert process.wait(WAIT_S) == 0
    process.stderr.close()
    assert open_dataset(tmp_path).channels


def record(folder, *more):
    return call("record", "BTC-USD", "--to", str(folder), "--sim", "--duration", "1s", *more)


def refused(result) -> str:
    """The one line that says why."""
    assert result.exit_code == _exit.RECORDING, result.output
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line != SIM_LINE]
    return line


def test_R05_a_folder_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    assert "file: cannot record there" in refused(record(tmp_path / "file"))
    assert "link: cannot record there" in refused(record(tmp_path / "link"))
    assert "missing: cannot record there" in refused(record(tmp_path / "none" / "missing"))
    assert (tmp_path / "file").read_text() == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_R09_a_second_recorder_is_refused(tmp_path):
    held = FolderLock(tmp_path)
    line = refused(record(tmp_path))
    held.release()
    assert f"another recorder writes there (process {os.getpid()}" in line


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ((), ("--exact",), "holds float numbers"),
        (("--exact",), (), "holds exact numbers"),
    ],
)
def test_R10_kinds_are_not_mixed(first, second, words, tmp_path):
    assert record(tmp_path, *first).exit_code == 0
    before = len(list(open_dataset(tmp_path).events()))
    assert words in refused(record(tmp_path, *second))
    assert len(list(open_dataset(tmp_path).events())) == before


def test_real_and_simulated_data_are_not_mixed(tmp_path):
    assert record(tmp_path).exit_code == 0
    result = call("record", "BTC-USD", "--to", str(tmp_path), "--endpoint", "coinbase" + DEAD)
    assert "holds simulated data; record real data into another folder" in refused(result)


def a_fault(*_):
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("what", ["recorder.Recorder._take", "writer.Writer.step"])
def test_it_does_not_go_on_without_its_recorder(what, tmp_path, monkeypatch):
    monkeypatch.setattr(f"marketfeed.recording.{what}", a_fault)
    began = time.monotonic()
    result = record(tmp_path, "--duration", "1h")
    assert time.monotonic() - began < WAIT_S
    last = f"marketfeed: {tmp_path}: recording ended before it was to: RuntimeError('a fault of ours')"
    assert result.exit_code == _exit.RECORDING
    assert result.stderr.splitlines()[-1] == last


def test_no_venue_reached_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(_reach, "REACH_S", 1.0)
    result = call("record", "BTC-USD", "--to", str(tmp_path), "--endpoint", "coinbase" + DEAD)
    assert result.exit_code == _exit.UNREACHED
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "no venue could be reached (coinbase: 127.0.0.1 refused the connection)" in result.stderr


def test_a_duration_in_which_no_venue_was_reached_is_no_success(tmp_path):
    result = call("record", "BTC-USD", "--to", str(tmp_path), "--duration", "500ms", "--endpoint", "coinbase" + DEAD)
    assert result.exit_code == _exit.UNREACHED
    assert result.stdout == ""
    assert result.stderr.endswith("or try it without one: marketfeed record --to trial BTC-USD --sim\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["BTC-USD"], "Missing option '--to'"),
        (["--to", "x"], "Missing argument 'SYMBOL...'"),
        (["BTC-USD", "--to", "x", "--rotate", "100ms"], "files of less than a second"),
        (["BTC-USD", "--to", "x", "--rotate-size", "5"], "is not a size from 1MB to 1GB; write 64MB"),
        (["BTC-USD", "--to", "x", "--rotate-size", "2GB"], "is not a size"),
        (["BTCUSD", "--to", "x"], "is not a symbol"),
    ],
)
def test_what_cannot_be(args, words):
    result = call("record", *args)
    assert result.exit_code == _exit.USAGE
    assert words in result.stderr


def test_a_misspelt_symbol_is_refused(tmp_path):
    result = call("record", "BTC-USF", "--sim", "--to", str(tmp_path))
    assert result.exit_code == _exit.REFUSED
    assert "did you mean BTC-USD" in result.stderr


@pytest.mark.parametrize("command", [("record", "BTC-USD", "--sim", "--to", "x"), ("info", "x"), ("compact", "x")])
def test_C16_without_pyarrow_it_says_what_to_install(command, tmp_path):
    hidden = f"import sys; sys.modules['pyarrow'] = None; sys.argv[1:] = {command!r}"
    code = f"{hidden}\nfrom marketfeed.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    err = done.stderr.decode()
    assert done.returncode == _exit.USAGE, err
    assert "needs an optional package: pip install 'marketfeed[parquet]'" in err
    assert not (tmp_path / "x").exists()


def test_help():
    text = call("record", "--help").stdout
    assert "marketfeed record BTC-USD ETH-USD --venue coinbase --venue kraken --to data" in text
    assert "[default: 64MB]" in text
