"""Run the command in this process, as a process, or on a terminal of its own."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from click.testing import CliRunner, Result

from marketfeed.cli import cli
from marketfeed.venues import kraken

WAIT_S = 15.0
COMMAND = [sys.executable, "-m", "marketfeed"]
ENV = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}}


def call(*args: str, columns: int | None = None) -> Result:
    """Run in this process; a traceback is a failure. `columns` is the variable COLUMNS."""
    env = {"COLUMNS": None if columns is None else str(columns)}
    result = CliRunner(env=env).invoke(cli, args, prog_name="marketfeed")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def start(*args: str, **named) -> subprocess.Popen:
    """Run as a process with pipes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "env": ENV}
    return subprocess.Popen([*COMMAND, *args], **(pipes | named))


def rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


class Terminal:
    """A process on a terminal of its own; `text` is all it has written to it."""

    def __init__(self, *args: str, columns: int = 80, lines: int = 24, **env: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *args],
            stdout=slave,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=ENV | {"TERM": "xterm"} | env,
        )
        os.close(slave)
        self.text = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.master)

    def read_until(self, found) -> str:
        """Read until `found(text)`, or the process has ended."""
        end = time.monotonic() + WAIT_S
        while not found(self.text):
            assert time.monotonic() < end, self.text[-2000:]
            if not select.select([self.master], [], [], 0.2)[0]:
                continue
            with contextlib.suppress(OSError):  # a terminal whose process has gone
                if data := os.read(self.master, 65536):
                    self.text += data.decode()
                    continue
            break
        return self.text

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        self.read_until(lambda _: False)
        return self.process.wait(WAIT_S)


def _book(kind: str, bids, asks, checksum: int) -> str:
    def levels(side):
        return ",".join(f'{{"price":{p},"qty":{q}}}' for p, q in side)

    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{levels(bids)}],'
        f'"asks":[{levels(asks)}],"checksum":{checksum},"timestamp":"2026-01-02T03:04:05.678901Z"}}]}}'
    )


def _checksum(bids, asks) -> int:
    def texts(side):
        return [p.replace(".", "").lstrip("0") + q.replace(".", "").lstrip("0") for p, q in side]

    return kraken.BOOK.checksum(texts(bids), texts(asks))


def write_capture(path: Path) -> Path:
    """A recording of Kraken: a book of two updates, and trades."""
    bids, asks = [("100.1", "1.50000001"), ("100.0", "2.00000000")], [("100.2", "0.50000000"), ("100.3", "1.00000000")]
    new = [("100.1", "0.25000000"), bids[1]]
    frames = [
        '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},'
        '"success":true,"time_in":"2026-01-02T03:04:05.0Z","time_out":"2026-01-02T03:04:05.1Z"}',
        '{"method":"subscribe","result":{"channel":"trade","snapshot":true,"symbol":"BTC/USD"},'
        '"success":true,"time_in":"2026-01-02T03:04:05.0Z","time_out":"2026-01-02T03:04:05.1Z"}',
        _book("snapshot", bids, asks, _checksum(bids, asks)),
        _book("update", new[:1], [], _checksum(new, asks)),
        *(
            '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":100.2,'
            f'"qty":0.01000000,"ord_type":"market","trade_id":{n},"timestamp":"2026-01-02T03:04:0{n}.000000Z"}}]}}'
            for n in (6, 7)
        ),
    ]
    lines = [{"dir": "open", "conn": "1", "url": "wss://ws.kraken.com/v2", "t": 1767323045.0}]
    lines += [{"dir": "in", "conn": "1", "raw": raw, "t": 1767323045.1 + i / 10} for i, raw in enumerate(frames)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
