"""Raw recordings: what real venues sent, replayed through the sessions that run live; and files that are none."""

import gzip
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from marketfeed.errors import RecordingError
from marketfeed.events import BookDelta, BookSnapshot, BookVoid, Connected, Gap, Head, Ticker, Trade, encode_json
from marketfeed.recording import Digest, Replay, read_lines
from marketfeed.recording.discovery import guess, rest_key, venue_of
from marketfeed.recording.raw import Line
from marketfeed.trusted_book import TrustedBook

MODES = pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
WHOLE = "kraken/book-v2-btcusd-d10-mhadiamiri202607.jsonl"
TORN = "kraken/book-v2-btcusd-gap-mhadiamiri202607.jsonl"


def runs(events: Sequence[Head]) -> list[tuple[str, int]]:
    """Kinds of events in order, equal neighbours counted together."""
    return [(name, len(list(same))) for name, same in itertools.groupby(type(e).__name__ for e in events)]


# Captures


@MODES
def test_kraken_every_checksum_of_a_whole_recording_is_right(captures: Path, exact: bool) -> None:
    replay = Replay(captures / WHOLE, exact=exact)
    events = list(replay)
    assert runs(events)[-2:] == [("BookSnapshot", 1), ("BookDelta", 641)]
    assert (replay.counts.checksums_ok, replay.counts.checksums_bad) == (642, 0)
    assert (replay.counts.frames, replay.counts.decoded, replay.counts.control) == (688, 642, 46)
    assert [s.name for s in replay.wanted] == ["kraken:BTC-USD:book"]


@MODES
def test_P15_kraken_a_hole_is_told_and_nothing_is_applied_after_it(captures: Path, exact: bool) -> None:
    replay = Replay(captures / TORN, exact=exact)
    events = list(replay)
    assert runs(events)[-4:] == [("BookSnapshot", 1), ("BookDelta", 40), ("Gap", 1), ("BookVoid", 1)]
    counts = replay.counts
    assert (counts.checksums_ok, counts.checksums_bad, counts.unproven) == (41, 1, 16)
    gap = events[-2]
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.channel, gap.epoch) == ("checksum", "book", 1)
    assert not replay.book(gap).live


@pytest.mark.parametrize(
    ("file", "links", "joins"),
    [
        ("binance/spot-multi-cryptofeed202110.jsonl.gz", 173, 4),
        ("coinbase/advanced-multi-cryptofeed202608.jsonl.gz", 514, 0),
    ],
)
def test_chains_of_real_sequences_hold(captures: Path, file: str, links: int, joins: int) -> None:
    replay = Replay(captures / file)
    for _ in replay:
        pass
    counts = replay.counts
    assert (counts.links_broken, counts.joins, counts.malformed) == (0, joins, 0)
    assert counts.links_ok == links
    assert counts.decoded + counts.control + counts.ignored == counts.frames


@MODES
@pytest.mark.parametrize("file", [WHOLE, TORN])
def test_I16_a_replay_gives_the_same_events_again(captures: Path, file: str, exact: bool) -> None:
    once, twice = Replay(captures / file, exact=exact), Replay(captures / file, exact=exact)
    assert list(once) == list(twice)
    assert once.digest.hexdigest() == twice.digest.hexdigest() == once.stats()["digest"]


def test_I3_a_book_kept_from_the_events_is_the_book_of_the_replay(captures: Path) -> None:
    replay = Replay(captures / TORN)
    kept: TrustedBook[Any] = TrustedBook("kept")
    for event in replay:
        kept.apply(event)
        shown = replay.book(event)
        told = isinstance(event, Gap)  # before the void of its book: who only has the events knows it by this
        assert kept.live or not shown.live or told
        if shown.live and not told:
            assert (kept.bids(), kept.asks(), kept.seq) == (shown.bids(), shown.asks(), shown.seq)
            assert len(kept.bids()) <= 10


# Files


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), "utf-8")
    return path


def test_lines_are_read_plain_or_gzip_whatever_the_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"dir": "in", "t": 1.25, "raw": "é", "new": 1}, "", {"dir": "tick"})
    packed = tmp_path / "a.bin"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, str(path), packed):
        one, two = read_lines(file)
        assert (one.dir, one.data, one.recv_ns) == ("in", "é".encode(), 1_250_000_000)
        assert (two.dir, two.data, two.recv_ns) == ("tick", b"", 0)


def test_times_keep_all_nine_digits_and_frames_all_bytes(tmp_path: Path) -> None:
    (line,) = read_lines(write(tmp_path / "a", '{"dir":"in","t":1723161253.123456789,"b64":"//4="}'))
    assert (line.recv_ns, line.data) == (1_723_161_253_123_456_789, b"\xff\xfe")


def _packed() -> bytes:
    noise = random.Random(1)
    text = "".join(noise.choice("0123456789abcdef") for _ in range(6000))
    return gzip.compress(json.dumps({"dir": "in", "raw": text}).encode(), mtime=0)


BROKEN = {
    "not JSON": (b"hello\n", "line 1: not a line"),
    "a list": (b"[1]\n", "line 1: not a line"),
    "no dir": (b'{"dir":"in"}\n{"raw":""}\n', "line 2: not a line"),
    "cut line": (b'{"dir":"in"}\n{"dir":', "line 2: not a line"),
    "wrong type": (b'{"dir":5}\n', "line 1: not a line"),
    "cut gzip": (_packed()[:1000], "Compressed file ended"),
    "gzip and more": (_packed() + b"more", "Not a gzipped file"),
    "gzip with a flipped byte": (_packed()[:200] + b"\xff\xff\xff" + _packed()[203:], ""),
    "bytes that are no text": (b'{"dir":"in","raw":"\xff"}\n', "line 1"),
    "bad base64": (b'{"dir":"in","b64":"a?"}\n', "line 1"),
    "a time without end": (b'{"dir":"in","t":1e999999}\n', "line 1"),
    "deep": (b'{"dir":"in","x":' + b"[" * 100_000 + b"\n", "line 1"),
}


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_recording_is_refused_with_file_and_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as refused:
        list(read_lines(path))
    assert str(path) in str(refused.value)
    assert words in str(refused.value)


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no such file"):
        list(read_lines(tmp_path / "none"))
    with pytest.raises(RecordingError, match="is a folder; name one recording"):
        list(read_lines(tmp_path))


def test_a_venue_is_found_by_its_hosts(tmp_path: Path) -> None:
    for url, name in [
        ("wss://ws.kraken.com/v2", "kraken"),
        ("https://api.binance.com/api/v3/depth", "binance"),
        ("wss://advanced-trade-ws.coinbase.com", "coinbase"),
    ]:
        assert venue_of([Line(dir="in"), Line(dir="open", url=url)]).name == name
    with pytest.raises(RecordingError, match="name it with --venue"):
        venue_of([Line(dir="open", url="wss://example.com"), Line(dir="in")])


# A recording with everything in it


def test_a_connection_that_ends_is_told_and_counted(tmp_path: Path) -> None:
    frame = json.loads(
        '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":1.5,"qty":2,'
        '"trade_id":3,"timestamp":"2026-10-06T07:48:36Z"}]}'
    )
    raw = json.dumps(frame)
    path = write(
        tmp_path / "a",
        {"dir": "open", "conn": "1", "url": "wss://ws.kraken.com/v2", "t": 1},
        {"dir": "in", "conn": "1", "raw": raw, "t": 2},
        {"dir": "close", "conn": "1", "code": 1001, "reason": "bye", "t": 3},
        {"dir": "close", "conn": "9", "t": 3},
        {"dir": "unheard of", "t": 3},
        {"dir": "open", "conn": "1", "url": "wss://ws.kraken.com/v2", "t": 4},
        {"dir": "in", "conn": "1", "raw": raw.replace('"trade_id": 3', '"trade_id": 5'), "t": 5},
        {"dir": "open", "conn": "1", "url": "wss://ws.kraken.com/v2", "t": 6},
    )
    replay = Replay(path)
    events = list(replay)
    told = [(type(e).__name__, getattr(e, "cause", getattr(e, "reason", ""))) for e in events]
    assert ("Disconnected", "bye") in told
    assert ("Disconnected", "opened again") in told
    assert [e.id for e in events if isinstance(e, Trade)] == ["3", "5"]
    assert [(e.cause, e.from_seq) for e in events if isinstance(e, Gap)] == [
        ("link lost", 0),
        ("trade ids", 4),
        ("link lost", 0),
    ]
    assert (replay.counts.frames, replay.stats()["frames"], replay.gaps) == (2, 2, 3)


# Digests


def trade(venue: str = "v", number: int = 1, **head: Any) -> Trade[float]:
    return Trade(venue=venue, symbol="A-B", price=1.5, size=2.0, side="buy", id=str(number), **head)


def book(seq: int, **head: Any) -> Head:
    epoch = head.pop("epoch", 1)
    if seq == 1:
        return BookSnapshot(venue="v", symbol="A-B", epoch=epoch, seq=1, bids=((1.0, 2.0),), asks=(), **head)
    return BookDelta(
        venue="v", symbol="A-B", epoch=epoch, seq=seq, prev_seq=seq - 1, bids=(), asks=((1.0, 0.0),), **head
    )


MARKET: list[Head] = [
    trade(number=1),
    book(1),
    Ticker(venue="v", symbol="A-B", last=3.0),
    book(2),
    trade(number=2),
    trade("w"),
]


def digest(events: Sequence[Head]) -> str:
    made = Digest()
    for event in events:
        made.add(event)
    return made.hexdigest()


@given(st.integers(0, 2**62), st.integers(0, 2**40), st.integers(1, 2**31))
def test_a_digest_does_not_depend_on_who_listened_and_when(recv: int, local: int, epoch: int) -> None:
    elsewhere = [
        structs.replace(e, ts_recv=recv + i, seq_local=local + i, **({"epoch": epoch} if hasattr(e, "epoch") else {}))
        for i, e in enumerate(MARKET)
    ]
    assert digest(elsewhere) == digest(MARKET)


@given(st.randoms(use_true_random=False))
def test_the_order_between_streams_does_not_matter_and_within_one_it_does(dice: random.Random) -> None:
    streams: dict[tuple[str, str], list[Head]] = {}
    for event in MARKET:
        channel = "book" if hasattr(event, "epoch") else type(event).__name__
        streams.setdefault((event.venue, channel), []).append(event)
    merged: list[Head] = []
    left = [list(s) for s in streams.values()]
    while left:
        chosen = dice.choice(left)
        merged.append(chosen.pop(0))
        left = [s for s in left if s]
    assert digest(merged) == digest(MARKET)
    assert digest([MARKET[4], *MARKET[1:4], MARKET[0], MARKET[5]]) != digest(MARKET)


@pytest.mark.parametrize("change", [{"ts_event": 5}, {"price": 1.6}, {"id": "9"}, {"side": "sell"}, {"symbol": "A-C"}])
def test_any_difference_in_the_market_makes_another_digest(change: dict[str, Any]) -> None:
    assert digest([structs.replace(MARKET[0], **change), *MARKET[1:]]) != digest(MARKET)


def test_events_of_life_are_left_out() -> None:
    life: list[Head] = [Connected(venue="v", link="l"), BookVoid(venue="v", symbol="A-B", epoch=1, reason="")]
    assert digest([*life, *MARKET]) == digest(MARKET)
    assert digest(life) == Digest().hexdigest()
    made = Digest()
    for event in life:
        made.add_json(encode_json(event))
    assert made.streams() == {}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no JSON",
        b'{"kind":"trade","venue":"v","symbol":"A-B"',
        b'{"kind":"trade","venue":"v","symbol":"A-B"}',
        b'{"kind":"nosuch","venue":"v","symbol":"A-B"}',
        encode_json(trade(number=1)).replace(b":", b": "),
        b'{"dir":"in","conn":"1","raw":"{}"}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_event_has_no_digest(line: bytes) -> None:
    made = Digest()
    with pytest.raises(ValueError, match=r"."):
        made.add_json(line)
    assert made.streams() == {}


def test_the_digest_of_printed_lines_is_the_digest_of_the_events() -> None:
    printed = Digest()
    for event in MARKET:
        printed.add_json(encode_json(event) + b"\r\n")
    assert printed.hexdigest() == digest(MARKET)
    assert list(printed.streams()) == ["v:A-B:book", "v:A-B:ticker", "v:A-B:trades", "w:A-B:trades"]


# Names


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000", ("depth", "BTCUSDT")),
        ("https://www.binance.us/api/v1/depth/?limit=5&symbol=BTCUSDT", ("depth", "BTCUSDT")),
        ("/api/v3/depth?symbol=BTCUSDT", ("depth", "BTCUSDT")),
        ("https://x/0/public/Depth?pair=XBTUSD", ("Depth", "XBTUSD")),
        ("https://x/book?product_id=BTC-USD", ("book", "BTC-USD")),
        ("https://x/api/v3/exchangeInfo", ("exchangeInfo", "")),
        ("", ("", "")),
    ],
)
def test_a_rest_line_answers_the_same_question_of_any_host_and_version(url: str, key: tuple[str, str]) -> None:
    assert rest_key(url) == key


@pytest.mark.parametrize(
    ("native", "symbol"),
    [
        ("BTC/USD", "BTC-USD"),
        ("BTC-USD", "BTC-USD"),
        ("btc_usd", "BTC-USD"),
        ("btcusdt", "BTC-USDT"),
        ("BTCUSDC", "BTC-USDC"),
        ("BTCFDUSD", "BTC-FDUSD"),
        ("ETHBTC", "ETH-BTC"),
        ("BTC-USD-20261225", "BTC-USD-20261225"),
        ("USDT", None),
        ("XYZ", None),
        ("", None),
        ("BTC/\x1bUSD", None),
        ("../../USD", None),
    ],
)
def test_names_are_guessed_only_where_they_say_what_they_are(native: str, symbol: str | None) -> None:
    found = guess("v", native)
    assert (found.symbol if found else None) == symbol
    if found:
        assert found.native == native


def test_trades_of_a_capture_are_discovered_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "trades.jsonl"
    raw = '{"data":{"e":"trade","s":"BTCUSDT","t":7,"p":"1.5","q":"2","T":1700000000000,"m":true}}'
    path.write_text(json.dumps({"dir": "in", "conn": "1", "raw": raw}) + "\n")
    replay = Replay(path, venue="binance")
    assert [type(event).__name__ for event in replay][-1] == "Trade"
    assert replay.counts.ignored == 0


def test_P02_a_list_of_instruments_that_cannot_be_read_ends_no_replay(tmp_path: Path) -> None:
    path = tmp_path / "nested.jsonl"
    trade = '{"data":{"e":"trade","s":"BTCUSDT","t":7,"p":"1.5","q":"2","T":1700000000000,"m":true}}'
    lines = [
        {"dir": "rest", "url": "https://api.binance.com/api/v3/exchangeInfo", "raw": '{"more":' + "[" * 100_000},
        {"dir": "in", "conn": "1", "raw": trade},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [type(event).__name__ for event in Replay(path)][-1] == "Trade"
