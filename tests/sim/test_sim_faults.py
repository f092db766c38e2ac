import json
from collections import Counter

import pytest

from marketfeed.errors import ConfigError
from marketfeed.sim import Faults
from marketfeed.sim.faults import Gremlin, Scripted

FRAME = '{"channel":"book","data":[{"checksum":123}],"n":%d}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Faults()),
        ("drop=0.1%", Faults(drop=0.001)),
        (" drop = 1% , dup=0.05 ", Faults(drop=0.01, dup=0.05)),
        (
            "reorder=0.05%,corrupt=0.1%,checksum=.5,cut=0.01%",
            Faults(reorder=0.0005, corrupt=0.001, checksum=0.5, cut=0.0001),
        ),
        ("stall@30s,cut@1.5", Faults(script=(Scripted("stall", 30.0), Scripted("cut", 1.5)))),
        ("late_snapshot=2s,no_snapshot=3", Faults(late_snapshot=2.0, no_snapshot=3)),
        ("refuse=eth-usd,refuse=SOL-USD", Faults(refuse=("ETH-USD", "SOL-USD"))),
        ("http429=3,retry_after=2", Faults(http429=3, retry_after=2.0)),
        ("mute=book@30s,shutdown@60", Faults(script=(Scripted("mute", 30.0, "book"), Scripted("shutdown", 60.0)))),
        ("close=1012@4s,frame=utf8@5", Faults(script=(Scripted("close", 4.0, "1012"), Scripted("frame", 5.0, "utf8")))),
        ("delist=ETH-USD@4s", Faults(script=(Scripted("delist", 4.0, "ETH-USD"),))),
        ("handshake=503x3", Faults(handshake=(503, 3))),
    ],
)
def test_parse(text, expected):
    assert Faults.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("drip=1%", "'drip=1%'.*no kind is called 'drip'.*drop, dup"),
        ("dup=0.1%,drop=lots", "'drop=lots'.*0% to 100%"),
        ("drop=101%", "0% to 100%"),
        ("drop=-1", "0% to 100%"),
        ("drop", "0% to 100%"),
        ("stall=3", "stall@30s"),
        ("refuse@3s", "happen at a time"),
        ("refuse=btcusd", "one symbol"),
        ("late_snapshot=soon", "not a time"),
        ("cut@", "not a time"),
        ("http429=1.5", "whole number"),
        ("mute=books@3s", "mute=book@30s"),
        ("mute@3s", "mute=book@30s"),
        ("close=999@3s", "close=1012@30s"),
        ("frame=odd@3s", "frame=utf8@30s"),
        ("mute=book", "not a time"),
        ("digits=btc@3s", "digits=BTC-USD@30s"),
        ("pings=3", "pings@30s"),
        ("handshake=200x3", "handshake=503x3"),
        ("handshake=503", "handshake=503x3"),
    ],
)
def test_parse_names_the_part_that_is_wrong(text, words):
    with pytest.raises(ConfigError, match=words):
        Faults.parse(text)


def gremlin(text="", seed="1"):
    counts = Counter()
    return Gremlin(Faults.parse(text), seed, counts), counts


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("drop", []),
        ("dup", [FRAME % 1, FRAME % 1]),
        ("cut", None),
        ("checksum", [(FRAME % 1).replace("123", "122")]),
        ("stall", []),
    ],
)
def test_one_armed_fault(kind, expected):
    one, counts = gremlin()
    one.arm(kind)
    assert one.pass_on(FRAME % 1) == expected
    assert counts == {kind: 1}
    assert one.pass_on(FRAME % 2) == ([] if kind == "stall" else [FRAME % 2])


def test_reorder_swaps_with_the_next_frame_that_is_sent():
    one, counts = gremlin()
    one.arm("reorder")
    assert one.pass_on("{1}") == []
    one.arm("drop")
    assert one.pass_on("{2}") == []
    assert one.pass_on("{3}") == ["{3}", "{1}"]
    assert counts == {"reorder": 1, "drop": 1}


def test_an_armed_fault_waits_for_the_frame_it_is_for():
    one, _ = gremlin()
    one.arm("drop", "trade")
    assert one.pass_on(FRAME % 1) == [FRAME % 1]
    assert one.pass_on('{"channel":"trade"}') == []


def test_corrupt_frames_are_never_json_and_always_utf8():
    one, counts = gremlin("corrupt=100%")
    for n in range(200):
        [text] = one.pass_on(FRAME % n)
        text.encode()
        with pytest.raises(json.JSONDecodeError):
            json.loads(text, strict=False)
    assert counts["corrupt"] == 200


def test_the_checksum_fault_touches_nothing_where_there_is_none():
    one, counts = gremlin("checksum=100%")
    assert one.pass_on('{"channel":"trade"}') == ['{"channel":"trade"}']
    assert not counts["checksum"]


def test_the_same_seed_breaks_the_same_frames_whatever_the_heartbeats_do():
    def run(heartbeats):
        one, counts = gremlin("drop=5%,dup=5%,reorder=5%", "seed")
        out = []
        for n in range(2_000):
            if heartbeats and n % heartbeats == 0:
                out += one.pass_on("{beat}", timed=True)
            out += one.pass_on(str(n))
        return [text for text in out if text != "{beat}"], counts

    (plain, counts), (beating, _) = run(0), run(7)
    assert plain == run(0)[0]
    assert 70 < counts["drop"] < 130
    assert sorted(plain) == sorted(beating)  # a heartbeat may let a held frame go earlier
