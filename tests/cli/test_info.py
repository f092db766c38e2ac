import json
import re
import struct
import sys
from xml.etree import ElementTree

import pytest

from marketfeed.cli import _exit

from .helpers import Terminal, call

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq  # needs pyarrow

from marketfeed import events as ev  # needs pyarrow
from marketfeed.recording.disk import RealDisk
from marketfeed.recording.journal import Journal
from marketfeed.recording.payload import pack
from marketfeed.recording.seal import JOURNAL
from tests.recording.test_overview import EVENTS, KRAKEN, at, save, trade

ANSI = re.compile(r"\x1b\[[0-9;]*[mK]")


@pytest.fixture
def data(tmp_path):
    return save(tmp_path / "data")


def test_what_is_printed_into_a_pipe(data):
    result = call("info", str(data))
    assert result.exit_code == 0
    assert result.stderr == ""
    size = r"\d+\.\d kB"
    text = re.sub(rf" +{size}", " SIZE", re.sub(rf"\({size}\)", "(SIZE)", result.stdout))
    text = re.sub("rows +size ", "rows size ", text)
    assert text.replace("marketfeed 0.1.0", "marketfeed V").splitlines()[1:] == [
        "2026-04-07 00:00:00 to 2026-04-07 00:00:12 UTC (12 s)",
        "13 rows in 4 files (SIZE)",
        "",
        "venue     channel  rows size  missing  first     last      symbols",
        "kraken    life        1 SIZE           00:00:05  00:00:05  BTC-USD",
        "kraken    ticker      2 SIZE        1  00:00:01  00:00:05  BTC-USD",
        "kraken    trades      7 SIZE           00:00:00  00:00:12  BTC-USD ETH-USD",
        "recorder  life        3 SIZE           00:00:00  00:00:10",
        "",
        "missing (2):",
        "  2026-04-07 00:00:02, 3 s: kraken:BTC-USD:ticker: sequence",
        "  2026-04-07 00:00:06, 4.5 s: everything: not recorded",
        "",
        "one cell is 1 s, from 2026-04-07 00:00:00 UTC",
        "kraken ticker        .#---!-----..",
        "kraken trades        ####..----!.#",
        "# data",
        "! data, and some is missing",
        "- none, and some is missing",
        ". none came",
    ]
    assert result.stdout.startswith(f"{data}: SIMULATED, float, marketfeed ")


def test_json_has_all(data):
    found = json.loads(call("info", str(data), "--json", "--cells", "5").stdout)
    assert found["rows"] == len(EVENTS)
    assert [(loss["ts_from"], loss["channel"]) for loss in found["missing"]] == [(at(2), "ticker"), (at(6), "")]
    assert {len(one["cells"]) for one in found["streams"]} == {3}
    assert found["step"] == 5 * 10**9


def test_what_is_not_sealed_is_counted_apart(data):
    journal = Journal(RealDisk(), data / JOURNAL, next_number=10)
    journal.add(pack([trade(13), trade(15)], exact=False, simulated=True))
    journal.close()
    assert re.search(
        r"^2 events \(\d+ B\) not sealed yet: 2026-04-07 00:00:13 to 00:00:15$", call("info", str(data)).stdout, re.M
    )


def test_nothing_is_sealed_yet(tmp_path):
    journal = Journal(RealDisk(), tmp_path / JOURNAL, next_number=1)
    journal.add(pack([trade(13)], exact=False, simulated=True))
    journal.close()
    lines = call("info", str(tmp_path)).stdout.splitlines()
    assert lines[0] == f"{tmp_path}: nothing is sealed yet"
    assert lines[1].startswith("1 event (")
    assert len(lines) == 2


def test_many_losses_are_summed_up(tmp_path):
    gaps = [
        ev.Gap(**KRAKEN, ts_recv=at(n + 1), seq_local=n, channel="trades", cause="trade ids", ts_from=at(n))
        for n in range(14)
    ]
    lines = call("info", str(save(tmp_path / "data", [trade(0), *gaps]))).stdout.splitlines()
    at_ = lines.index("missing (14):")
    assert lines[at_ + 10].startswith("  2026-04-07 00:00:09")
    assert lines[at_ + 11] == "  and 4 more; --json has all"


def test_a_file_that_names_an_odd_version_is_no_command_to_the_terminal(tmp_path):
    path = next(save(tmp_path / "data").glob("venue=kraken/channel=trades/*/*.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"marketfeed.version": b"\x1b[2J"}), path)
    assert "\x1b" not in call("info", str(tmp_path / "data")).stdout


def test_text_of_venues_is_escaped(tmp_path):
    evil = trade(1, symbol="\x1b[2J-USD", venue="k<\x1b>")
    result = call("info", str(save(tmp_path / "data", [evil])), "--svg", str(tmp_path / "x.svg"))
    assert "\\x1b[2J-USD" in result.stdout
    assert "\x1b" not in result.stdout + (tmp_path / "x.svg").read_text()


def test_into_a_pipe_nothing_is_cut(data):
    wide, narrow = (call("info", str(data), columns=columns).stdout.splitlines() for columns in (300, 40))
    picture = next(i for i, line in enumerate(wide) if line.startswith("one cell"))
    assert narrow[:picture] == wide[:picture]


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_gets_lines_that_fit(columns, data):
    with Terminal("info", str(data), columns=columns) as terminal:
        text = terminal.read_until(lambda _: False)
        assert terminal.process.wait(10) == 0
    assert "\x1b[32m#" in text
    assert "\x1b[31m-" in text
    plain = ANSI.sub("", text).split("\r\n")
    assert all(len(line) <= columns for line in plain)
    assert any(re.fullmatch(r"kraken ticker +[.#!-]{3,}", line) for line in plain)


def test_no_color(data):
    with Terminal("info", str(data), NO_COLOR="1") as terminal:
        assert "\x1b" not in terminal.read_until(lambda _: False)


def test_a_picture_as_svg(data, tmp_path):
    path = tmp_path / "coverage.svg"
    result = call("info", str(data), "--svg", str(path))
    assert result.stdout.endswith(f"\nthe coverage is drawn in {path}\n")
    assert "one cell is" not in result.stdout
    drawn = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    words = [one.text for one in drawn.iter(f"{space}text")]
    assert {"kraken ticker", "kraken trades", "one cell is 1 s"} <= set(words)
    assert any("SIMULATED" in word for word in words)
    found = json.loads(call("info", str(data), "--json").stdout)
    rects = [one.attrib for one in drawn.iter(f"{space}rect") if one.attrib["height"] == "15"]
    rows = {rect["y"] for rect in rects}
    assert len(rows) == 2, "a row for each stream of the picture"
    widths = [sum(int(rect["width"]) for rect in rects if rect["y"] == y) for y in rows]
    assert len(set(widths)) == 1
    assert widths[0] % len(found["streams"][0]["cells"]) == 0


def test_the_same_picture_as_png(data, tmp_path):
    pytest.importorskip("resvg_py")
    svg, png = tmp_path / "coverage.svg", tmp_path / "coverage.png"
    result = call("info", str(data), "--svg", str(svg), "--png", str(png))
    assert f"the coverage is drawn in {svg} and {png}" in result.stdout
    head = png.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    drawn = ElementTree.parse(svg).getroot()
    size = tuple(int(drawn.attrib[name]) * 2 for name in ("width", "height"))
    assert struct.unpack(">II", head[16:]) == size


def test_without_its_extra_a_png_says_what_to_install(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    result = call("info", str(data), "--png", str(tmp_path / "coverage.png"))
    assert result.exit_code == _exit.USAGE
    assert "marketfeed[png]" in result.stderr
    assert not (tmp_path / "coverage.png").exists()


def test_a_picture_that_cannot_be_written(data, tmp_path):
    result = call("info", str(data), "--svg", str(tmp_path / "none" / "x.svg"))
    assert result.exit_code == _exit.ERROR
    assert "x.svg: cannot be written: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "there is no such folder"),
        (lambda path: path.mkdir(), "no file venue="),
        (lambda path: path.write_text("x"), "there is no such folder"),
    ],
    ids=["missing", "empty", "file"],
)
def test_what_is_no_recording(make, words, tmp_path):
    make(tmp_path / "data")
    result = call("info", str(tmp_path / "data"))
    assert result.exit_code == _exit.RECORDING
    assert words in result.stderr
    assert result.stdout == ""


def test_R08_a_damaged_file_is_named(data):
    path = next(data.rglob("channel=trades/**/*.parquet"))
    path.write_bytes(b"")
    result = call("info", str(data))
    assert result.exit_code == _exit.RECORDING
    assert path.name in result.stderr


def test_figures_of_a_sparse_stream(data):
    found = json.loads(call("info", str(data), "--json").stdout)
    (life,) = (one for one in found["streams"] if (one["venue"], one["channel"]) == ("kraken", "life"))
    assert sum(life["cells"]) == life["rows"] == 1
