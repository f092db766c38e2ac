import json
import signal

import pytest

from marketfeed import catalogue, schema
from marketfeed.cli import _exit

from .helpers import WAIT_S, Terminal, call, rows, start


def test_venues():
    lines = call("venues").stdout.splitlines()
    assert lines[0].startswith("name ")
    assert [line.split()[0] for line in lines[1:4]] == ["binance", "coinbase", "kraken"]
    assert {line.split()[0] for line in lines[1:]} == set(catalogue.names())
    found = {row["name"]: row for row in rows(call("venues", "--json").stdout)}
    assert found["kraken"]["book_proof"] == "checksum"
    assert found["coinbase"]["default"]
    assert found["mempool"]["coins"] == ["BTC"]


@pytest.mark.parametrize("columns", [30, 60, 100, 160])
def test_venues_fit_a_terminal(columns):
    with Terminal("venues", columns=columns) as terminal:
        lines = terminal.read_until(lambda _: False).splitlines()
    assert max(map(len, lines)) <= columns
    assert {line.split()[0] for line in lines[1:]} == set(catalogue.names())


def test_venues_into_a_pipe_are_whole():
    assert call("venues", columns=40).stdout == call("venues").stdout


def test_symbols():
    lines = call("symbols", "kraken", "--sim").stdout.splitlines()
    assert lines[1].split() == ["BTC-USD", "BTC/USD", "0.1", "0.00000001", "yes", "online"]
    assert len(call("symbols", "kraken", "*-USD", "--sim").stdout.splitlines()) == 4
    assert [row["symbol"] for row in rows(call("symbols", "kraken", "eth", "--sim", "--json").stdout)] == ["ETH-USD"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["krakn"], _exit.USAGE, "did you mean kraken?"),
        (["all", "--sim"], _exit.USAGE, "marketfeed: no venue is called 'all'; there are "),
        (["kraken", "ETH-USF", "--sim"], _exit.REFUSED, "kraken has no ETH-USF; did you mean ETH-USD?"),
        (["kraken", "--rest", "http://127.0.0.1:1"], _exit.UNREACHED, "marketfeed symbols kraken --sim"),
    ],
)
def test_symbols_that_cannot_be(args, code, words):
    result = call("symbols", *args)
    assert result.exit_code == code
    assert words in result.stderr


def test_schema():
    assert json.loads(call("schema", "trade").stdout) == schema.schemas()["trade"]
    assert call("schema", "BookDelta").stdout == call("schema", "book_delta").stdout
    assert call("schema").stdout.splitlines()[0].split() == ["trade", "One", "match"]
    bad = call("schema", "trad")
    assert bad.exit_code == _exit.USAGE
    assert "did you mean trade?" in bad.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    assert "_MARKETFEED_COMPLETE" in call("completion", shell).stdout


def test_completion_of_venues():
    process = start("x", env={"COMP_WORDS": "marketfeed tail --venue k", "COMP_CWORD": "3",
                              "_MARKETFEED_COMPLETE": "bash_complete"})  # fmt: skip
    out, _ = process.communicate(timeout=WAIT_S)
    assert out == b"plain,kraken\n"


def test_sim():
    process = start("sim", "kraken", "--symbols", "ETH-USD", "--fault", "drop=1%", "--seed", "7")
    first, second = process.stdout.readline().decode(), process.stdout.readline().decode()
    assert first.endswith("(ETH-USD)\n")
    words = second.split()
    assert words[:5] == ["marketfeed", "tail", "ETH-USD", "--venue", "kraken"]
    result = call(*words[1:], "--count", "2")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert result.exit_code == 0
    assert process.returncode == 130
    assert err == b"marketfeed: SIMULATED: made-up prices\n"


def test_sim_of_a_chain():
    process = start("sim", "kraken", "mempool", "bitcoind", "--block-time", "5s", "--retarget-every", "16")
    lines = [process.stdout.readline().decode() for _ in range(6)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert lines[2].startswith("mempool: ws://127.0.0.1:")
    assert lines[2].endswith("(BTC at block 969990, one every 5 s)\n")
    assert lines[4].startswith("bitcoind: http://127.0.0.1:")
    assert lines[5].startswith("  MARKETFEED_BITCOIND_AUTH=marketfeed:simulated marketfeed mine BTC ")
    assert f"--endpoint bitcoind=,{lines[4].split()[1]}" in lines[5]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["kraken", "--block-time", "5s"], _exit.USAGE, "a chain needs a source"),
        (["mempool", "--block-time", "100ms"], _exit.USAGE, "1 s to a day"),
        (["mempool", "--fault", "mempool:sulk"], _exit.USAGE, "cannot 'sulk'"),
        (["krakn"], _exit.USAGE, "no simulated venue is called 'krakn'"),
        (["kraken", "--fault", "drip=1"], _exit.USAGE, "no kind is called 'drip'"),
        (["kraken", "--once"], _exit.USAGE, "go with a recording"),
        (["kraken", "--rate", "0"], _exit.USAGE, "rate"),
        (["kraken", "--symbols", "XYZ-USD"], _exit.USAGE, "lists none of XYZ-USD"),
        (["nothing.jsonl"], _exit.RECORDING, "there is no such file"),
    ],
)
def test_sim_that_cannot_be(args, code, words):
    result = call("sim", *args)
    assert result.exit_code == code
    assert words in result.stderr


def test_a_taken_port():
    process = start("sim", "kraken")
    port = process.stdout.readline().decode().split("/v2")[0].rpartition(":")[2]
    result = call("sim", "kraken", "--port", port)
    process.kill()
    process.communicate()
    assert result.exit_code == _exit.USAGE
    assert "choose another --port" in result.stderr
