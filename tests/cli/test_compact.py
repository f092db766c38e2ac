import json
import re
import signal
import time

import pytest

from marketfeed.cli import _exit

from .helpers import WAIT_S, call, start

pytest.importorskip("pyarrow")

from marketfeed.recording.dataset import open_dataset  # needs pyarrow
from marketfeed.recording.lock import FolderLock
from tests.recording.test_compact import files, save
from tests.recording.test_dataset import market


@pytest.fixture
def data(tmp_path):
    save(tmp_path, market())
    return tmp_path


def test_it_says_what_became_of_what(data):
    before, events = files(data), list(open_dataset(data).events())
    result = call("compact", str(data), "--all")
    assert result.exit_code == 0
    after = files(data)
    size = r"\([\d.]+ kB\)"
    assert re.fullmatch(rf"merged {len(before)} files {size} into {len(after)} {size} in {data}\n", result.stdout)
    assert result.stderr == ""
    assert list(open_dataset(data).events()) == events
    again = call("compact", str(data))
    assert (again.exit_code, again.stdout) == (0, f"nothing to merge in {data} before today; --all takes all\n")
    assert call("compact", str(data), "--all").stdout == f"nothing to merge in {data}\n"


def test_json(data):
    before = files(data)
    done = json.loads(call("compact", str(data), "--json", "--all").stdout)
    assert (done["files_before"], done["files_after"], done["left"]) == (len(before), len(files(data)), [])
    assert done["bytes_after"] == sum(path.stat().st_size for path in files(data))


def test_R08_what_is_damaged_is_left_and_named(data):
    hurt = next(path for path in files(data) if "channel=ticker" in str(path))
    hurt.write_bytes(hurt.read_bytes() + b"\0")
    result = call("compact", str(data), "--all")
    assert result.exit_code == _exit.ERROR
    assert result.stderr == (
        f"marketfeed: left as it is: {hurt.relative_to(data)}: is not the file that was recorded\n"
    )
    assert "merged" in result.stdout
    assert hurt.exists()


def test_what_cannot_be(tmp_path):
    result = call("compact", str(tmp_path))
    assert result.exit_code == _exit.RECORDING
    assert result.stderr == f"marketfeed: {tmp_path}: holds no recording\n"
    assert list(tmp_path.iterdir()) == []


def test_R09_not_while_a_recorder_writes(data):
    held = FolderLock(data)
    result = call("compact", str(data))
    held.release()
    assert result.exit_code == _exit.RECORDING
    assert "another recorder writes there" in result.stderr


def test_R03_stopped_at_any_moment_it_leaves_a_whole_recording(data):
    events = list(open_dataset(data).events())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = start("compact", str(data), "--all")
        end = time.monotonic() + WAIT_S
        while process.poll() is None and not list(data.rglob("*.parquet.part")):
            assert time.monotonic() < end
        process.send_signal(number)
        _, err = process.communicate(timeout=WAIT_S)
        assert process.returncode in {0, {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -number)}
        assert err == b""
        assert list(open_dataset(data).events()) == events
    assert call("compact", str(data), "--all").exit_code == 0
    assert list(open_dataset(data).events()) == events
    assert not list(data.rglob("*.part"))
