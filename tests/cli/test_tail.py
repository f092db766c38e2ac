import re
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from marketfeed.cli import _exit, _reach

from .helpers import WAIT_S, Terminal, call, rows, start

SIM_LINE = "marketfeed: SIMULATED: made-up prices from a simulator in this process"
DEAD = "=ws://127.0.0.1:1,http://127.0.0.1:1"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def test_json_lines_into_a_pipe():
    result = call("tail", "btc/usd", "--sim", "--count", "5")
    assert result.exit_code == 0
    events = rows(result.stdout)
    assert events[0]["kind"] == "instrument"
    assert len(events) == 6  # an instrument is no market event
    assert {e["kind"] for e in events[1:]} <= {"trade", "ticker"}
    assert {(e["venue"], e["symbol"]) for e in events} == {("coinbase", "BTC-USD")}
    assert result.stderr.splitlines() == [SIM_LINE]


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (["--trades"], {"trade"}),
        (["--ticker"], {"ticker"}),
        (["--book"], {"book_snapshot", "book_delta"}),
        (["--book=10", "--exact", "--transport", "websockets"], {"book_snapshot", "book_delta"}),
    ],
)
def test_channels(options, kinds):
    result = call("tail", *options, "kraken:BTC-USD", "--sim", "--count", "3", "-q")
    assert result.exit_code == 0
    events = rows(result.stdout)[1:]
    assert {e["kind"] for e in events} <= kinds
    if "--book=10" in options:
        assert len(events[0]["bids"]) == events[0]["depth"] == 10


def test_a_depth_that_no_venue_has_is_told_with_the_one_there_is():
    args = ("tail", "--book=5000", "kraken:BTC-USD", "coinbase:BTC-USD", "--sim", "--count", "3")
    told = "marketfeed: kraken has at most 1,000 levels a side: its books are that deep, not 5,000"
    assert call(*args).stderr.splitlines() == [SIM_LINE, told]
    assert call(*args, "--text").stderr.splitlines() == [SIM_LINE, told]
    assert call(*args, "-q").stderr.splitlines() == [SIM_LINE]
    assert call("tail", "--book=1000", *args[2:]).stderr.splitlines() == [SIM_LINE]


def test_text():
    result = call("tail", "BTC-USD", "--sim", "--count", "30", "--text", "--trades", "--book", "--venue", "kraken")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert any(re.search(r"  SIM  .*BTC-USD  (buy |sell)\s+6\d,\d{3}\.\d\s+\d+\.\d{8}$", line) for line in lines)
    assert any("  book " in line for line in lines)
    assert "\x1b" not in result.stdout


def test_life_in_the_stream():
    result = call("tail", "BTC-USD", "--sim", "--count", "3", "--life", "-v")
    assert {"connected", "subscribed"} <= {e["kind"] for e in rows(result.stdout)}
    assert "marketfeed: coinbase: connected (coinbase-1, attempt 1)" in result.stderr


def test_a_symbol_that_one_venue_lacks_is_named_once():
    result = call("tail", "BTC-USDT", "--venue", "kraken", "--venue", "coinbase", "--sim", "--count", "3")
    assert result.exit_code == 0
    assert {e["venue"] for e in rows(result.stdout)} == {"kraken"}
    named = [line for line in result.stderr.splitlines() if "coinbase" in line]
    assert named == ["marketfeed: coinbase has no BTC-USDT; did you mean BTC-USD or BTC-USDC or ETH-USD?"]


def test_all_venues():
    result = call("tail", "BTC-USDT", "BTC-USD", "--venue", "all", "--sim", "--count", "60", "--ticker")
    assert {e["venue"] for e in rows(result.stdout)} == {"binance", "coinbase", "kraken"}


def test_a_misspelt_symbol():
    result = call("tail", "BTC-USF", "--sim")
    assert result.exit_code == _exit.REFUSED
    assert result.stderr.splitlines() == [
        SIM_LINE,
        "marketfeed: coinbase has no BTC-USF; did you mean BTC-USD or BTC-USDC?",
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["BTC-USD", "--venue", "krakn"], "no venue is called 'krakn'; did you mean kraken?"),
        (["BTCUSD"], "'BTCUSD' is not a symbol; write BASE-QUOTE"),
        (["BTC-USD", "--json", "--text"], "choose one"),
        (["BTC-USD", "--endpoint", "kraken"], "write VENUE=WS,REST"),
        (["BTC-USD", "--endpoint", "kraken=wss://x"], "nothing is asked of it"),
        (["BTC-USD", "--ws", "ws://example.com"], "loopback only"),
        (["BTC-USD", "--sim", "--ws", "ws://127.0.0.1:1"], "--sim brings its own endpoints"),
        (["BTC-USD", "kraken:BTC-USD", "--ws", "ws://127.0.0.1:1"], "for one venue"),
        (["BTC-USD", "--duration", "soon"], "is not a time; write 10s"),
        (["BTC-USD", "--book", "10"], "'10' is not a symbol; did you mean --book=10?"),
        (["BTC-USD", "--book=many"], "write --book or --book=10"),
        (["BTC-USD", "--count", "0"], "--count"),
        (["BTC-USD", "--transport", "picow", "--sim"], "no transport is called 'picow'"),
        ([], "Missing argument 'SYMBOL...'"),
    ],
)
def test_what_cannot_be(args, words):
    result = call("tail", *args)
    assert result.exit_code == _exit.USAGE
    assert words in result.stderr
    assert result.stdout == ""


def test_no_venue_reached_is_one_line(monkeypatch):
    monkeypatch.setattr(_reach, "REACH_S", 1.0)
    result = call("tail", "BTC-USD", "ETH-USD", "--endpoint", "coinbase" + DEAD)
    assert result.exit_code == _exit.UNREACHED
    assert result.stderr == (
        "marketfeed: no venue could be reached (coinbase: 127.0.0.1 refused the connection). Check the network, "
        "or try it without one: marketfeed tail BTC-USD ETH-USD --sim\n"
    )


def test_a_duration_in_which_no_venue_was_reached_is_no_success():
    result = call("tail", "BTC-USD", "kraken:BTC-USD", "--duration", "1500ms", "--endpoint", "coinbase" + DEAD,
                  "--endpoint", "kraken" + DEAD)  # fmt: skip
    assert result.exit_code == _exit.UNREACHED
    assert result.stderr == (
        "marketfeed: no venue could be reached (coinbase: 127.0.0.1 refused the connection; kraken: 127.0.0.1 refused "
        "the connection). Check the network, or try it without one: marketfeed tail BTC-USD kraken:BTC-USD --sim\n"
    )


def test_T12_a_proxy_that_is_none_is_told_by_its_variable(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "foo")
    monkeypatch.delenv("https_proxy", raising=False)
    result = call("tail", "BTC-USD", "--duration", "1500ms")
    assert result.exit_code == _exit.UNREACHED
    assert "(coinbase: HTTPS_PROXY is not the URL of a proxy: write http://HOST:PORT)" in result.stderr


def test_failures_are_told_with_v(monkeypatch):
    monkeypatch.setattr(_reach, "REACH_S", 1.0)
    result = call("tail", "BTC-USD", "-v", "--endpoint", "coinbase" + DEAD)
    assert "coinbase: cannot connect: 127.0.0.1 refused the connection; trying again in" in result.stderr


class _Blocked(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(451)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_a_geo_block_is_named():
    with HTTPServer(("127.0.0.1", 0), _Blocked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"127.0.0.1:{server.server_port}"
        result = call("tail", "binance:BTC-USDT", "--endpoint", f"binance=ws://{at},http://{at}")
        server.shutdown()
    assert result.exit_code == _exit.UNREACHED
    assert result.stderr.count("\n") == 1
    assert "binance refuses this address (HTTP 451: not served where this address is)" in result.stderr
    assert "--endpoint binance=wss://HOST,https://HOST" in result.stderr


def test_T14_a_ban_that_lasts_is_told_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("MARKETFEED_STATE", str(tmp_path))
    (tmp_path / "bans").mkdir()
    (tmp_path / "bans" / "127.0.0.1-1").write_text(str(time.time_ns() + 300 * 10**9))
    began = time.monotonic()
    result = call("tail", "BTC-USD", "--endpoint", "coinbase=ws://127.0.0.1:1,http://127.0.0.1:1/banned")
    assert time.monotonic() - began < _reach.REACH_S / 2
    assert result.exit_code == _exit.UNREACHED
    assert "Coinbase sent this address away before, and is left alone for 5 min more" in result.stderr


def test_duration_and_idle_timeout():
    assert call("tail", "BTC-USD", "--sim", "--duration", "1s").exit_code == 0
    idle = call("tail", "BTC-USD", "--sim", "--idle-timeout", "1ms")
    assert idle.exit_code == _exit.IDLE
    assert "nothing came for 0.001 s" in idle.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_C10_signals_end_it_quietly_and_fast(number, code):
    process = start("tail", "BTC-USD", "--sim")
    assert process.stdout.readline()
    process.send_signal(number)
    began = time.monotonic()
    _, err = process.communicate(timeout=WAIT_S)
    assert time.monotonic() - began < 2
    assert process.returncode == code
    assert err.decode().splitlines() == [SIM_LINE]


def test_a_closed_pipe_ends_it_quietly():
    process = start("tail", "BTC-USD", "--sim")
    for _ in range(3):
        assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(WAIT_S) == 0
    assert process.stderr.read().decode().splitlines() == [SIM_LINE]
    process.stderr.close()


def test_a_reader_that_does_not_read_holds_nothing_up():
    process = start("tail", "BTC-USD", "--sim", "--book", "--venue", "all", stderr=subprocess.DEVNULL)
    assert process.stdout.readline()
    time.sleep(1.0)  # more than a pipe holds
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 130
    process.stdout.close()


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_gets_lines_that_fit(columns):
    with Terminal("tail", "BTC-USD", "--sim", "--venue", "kraken", columns=columns) as terminal:
        text = terminal.read_until(lambda text: text.count("\n") > 20)
        assert terminal.end() == 130
        assert "\x1b[32mbuy\x1b[0m" in text or "\x1b[31msell\x1b[0m" in text
        lines = ANSI.sub("", text).split("\r\n")[:20]
        assert all("SIM" in line and len(line) <= columns for line in lines)
        assert terminal.process.stderr.read().decode().splitlines() == [SIM_LINE]


def test_no_color():
    with Terminal("tail", "BTC-USD", "--sim", "--count", "3", NO_COLOR="1") as terminal:
        assert "\x1b" not in terminal.read_until(lambda _: False)


def test_help_is_quick_and_whole():
    text = call("--help").stdout
    assert all(f"\n  {name} " in text for name in ("tail", "book", "venues", "symbols", "sim", "schema", "replay"))
    assert all(f"  {code:<4} {meaning}" in text for code, meaning in _exit.MEANINGS.items())
    assert call("--version").stdout.startswith("marketfeed ")
    assert "did you mean tail?" in call("tial").stderr
