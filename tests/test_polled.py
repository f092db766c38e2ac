"""Sources that are asked over REST: one open call, answered, asked again in time, and given up where nothing comes."""

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from msgspec import structs

from marketfeed import catalogue
from marketfeed.commands import Close, Fetch
from marketfeed.errors import ConfigError, MissingExtra, TransportError
from marketfeed.events import (
    Block,
    Connected,
    Disconnected,
    Head,
    Malformed,
    NetworkStats,
    Recovered,
    Stale,
    VenueStatus,
)
from marketfeed.hub import Hub
from marketfeed.rest import Reply
from marketfeed.runner import Runner
from marketfeed.settings import VenueSettings, credentials
from marketfeed.subscriptions import Subscription
from marketfeed.venues._plan import one_host
from marketfeed.venues._spec import ChainBlock, Context, Endpoints, LinkPlan, Pace, Request, Secret, Venue

from .venues.conftest import SECOND, Talk
from .virtual import LoopClock, Rest, Transport, cancelled, now_s, settle, until, virtual

POLL_S = 5.0
PACE = Pace(
    frames_per_s=10,
    subscriptions_per_link=10,
    connects=(1000, 60),
    rest=(1000, 1.0),
    silence_s=20,
    heartbeat=True,  # a pong, which only a test's `Talk` has, is no sign of life
    ping_idle_s=float("inf"),
    poll_s=POLL_S,
)
BITS = 0x1702C4E4


class Decoder:
    """Answers are {"height": ..., "more": bool}."""

    def __init__(self, context: Context[Any]) -> None:
        self.port = context.port
        self.asked = 0

    def frame(self, raw: bytes, recv_ns: int) -> None:
        raise ValueError("nothing comes by itself")

    def glance(self, frames: Sequence[bytes]) -> None: ...

    def suspects(self, raw: bytes) -> Sequence[str]:
        return []

    def subscribe(self, add: Sequence[tuple[Subscription, str]]) -> list[str]:
        for _, native in add:
            self.port.accepted("chain", native)
        return []

    def unsubscribe(self, drop: Sequence[tuple[Subscription, str]]) -> list[str]:
        for _, native in drop:
            self.port.dropped("chain", native)
        return []

    def ping(self) -> None:
        return None

    def poll(self, native: str) -> Request:
        self.asked += 1
        return Request(f"/{native}?n={self.asked}")

    def polled(self, native: str, body: bytes, recv_ns: int) -> bool:
        answer = json.loads(body)
        if "status" in answer:
            self.port.status(answer["status"], answer.get("detail", ""))
        if "height" not in answer:
            return bool(answer.get("more"))
        height = answer["height"]
        block = ChainBlock(height=height, hash=f"{height:08x}", time_s=recv_ns // SECOND - 5, bits=BITS)
        self.port.chains[native].blocks([block], recv_ns)
        if answer.get("now"):
            self.port.poll(native)
        return bool(answer.get("more"))


def plan(endpoints: Endpoints, wanted: Sequence[Subscription], pace: Pace) -> list[LinkPlan]:
    return one_host(endpoints.ws, wanted, pace)


VENUE = Venue(
    name="node",
    title="Node",
    endpoints=Endpoints(ws="", rest="https://node.example"),
    pace=PACE,
    decoder=Decoder,
    plan=plan,
    channels=("chain",),
    coins=("BTC", "LTC"),
    first_data=frozenset({"chain"}),
)


def answer(height: int, **more: Any) -> bytes:
    return json.dumps({"height": height, **more}).encode()


@pytest.fixture
def talk() -> Talk:
    return Talk(VENUE, "BTC", channels=("chain",)).open()


def test_it_asks_at_once_and_then_in_its_rhythm(talk: Talk) -> None:
    assert [f.request.path for f in talk.fetches] == ["/BTC?n=1"]
    talk.reply(answer(869_000))
    assert [type(e) for e in talk.take()][-2:] == [Block, NetworkStats]
    talk.wait(POLL_S - 0.5)
    assert talk.fetches == []
    talk.wait(0.5)
    assert [f.request.path for f in talk.fetches] == ["/BTC?n=2"]
    assert talk.counts.frames == talk.counts.decoded == 1


def test_a_conversation_goes_on_at_once(talk: Talk) -> None:
    talk.reply(answer(869_000, more=True))
    assert [f.request.path for f in talk.fetches] == ["/BTC?n=2"]


def test_I7_one_call_is_open_at_a_time(talk: Talk) -> None:
    talk.wait(15)
    assert len(talk.fetches) == 1


def test_what_is_wanted_within_an_answer_is_asked_once(talk: Talk) -> None:
    talk.reply(answer(869_000, now=True))
    assert len(talk.fetches) == 1
    talk.wait(10)
    assert len(talk.fetches) == 1


def test_what_is_wanted_at_once_does_not_wait(talk: Talk) -> None:
    talk.reply(answer(869_000)).session.poll("BTC")
    talk.wait(0.25)
    assert len(talk.fetches) == 1
    talk.session.poll("BTC")
    talk.wait(0.25)
    assert len(talk.fetches) == 1


def test_P01_an_answer_that_cannot_be_read_is_malformed_and_asked_again(talk: Talk) -> None:
    talk.take()
    talk.reply(b"<html>Bad gateway</html>")
    assert [type(e) for e in talk.take()] == [Connected, Malformed]
    assert talk.counts.malformed == talk.counts.frames == 1
    talk.wait(1)
    assert len(talk.fetches) == 1
    talk.reply(answer(869_000))
    assert isinstance(talk.take()[0], Block)


def test_P10_a_block_that_cannot_be_is_malformed(talk: Talk) -> None:
    talk.take()
    talk.reply(answer(-1))
    assert [type(e) for e in talk.take()] == [Connected, Malformed]


def test_a_status_that_is_no_answer_is_told_once_and_asked_again(talk: Talk) -> None:
    talk.take()
    for _ in range(3):
        talk.reply(b"work queue depth exceeded \x1b[2J", status=503).wait(2)
    told = [e for e in talk.take() if isinstance(e, VenueStatus)]
    assert [e.detail for e in told] == [r"HTTP 503: work queue depth exceeded \x1b[2J"]
    assert talk.counts.control == talk.counts.frames == 3


def test_T06_a_source_that_does_not_answer_is_left_with_the_reason(talk: Talk) -> None:
    talk.reply(answer(869_000)).wait(POLL_S)
    for _ in range(12):
        if talk.closed:
            break
        for fetch in talk.fetches[:]:
            talk.fetches.remove(fetch)
            talk.session.on_failure(fetch.token, talk.mono_ns, "cannot connect to node.example: refused")
        talk.wait(2)
    assert talk.closed == "silent for 20.0 s: cannot connect to node.example: refused"


def say(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b"starting", ": HTTP 500: starting"),
        (429, b"", ": HTTP 429"),
        (200, b"<html>", ": invalid|: Expecting"),
        (200, answer(-1), ": block -1 has"),
        (200, say(status="syncing", detail="at block 5"), ": syncing: at block 5"),
        (200, say(status="lagging"), ": lagging"),
        (200, say(), ": its answers tell nothing"),
        (200, say(status="online"), ": its answers tell nothing"),
    ],
    ids=str,
)
def test_T06_a_source_whose_answers_tell_nothing_is_left_with_the_reason(
    talk: Talk, status: int, body: bytes, why: str
) -> None:
    talk.reply(answer(869_000))
    for _ in range(60):
        if talk.closed:
            break
        for _ in talk.fetches[:]:
            talk.reply(body, status=status)
        talk.wait(0.5)
    assert re.match(rf"silent for 20\.\d s({why})", talk.closed)


def test_on_a_link_with_frames_of_its_own_an_answer_may_tell_nothing() -> None:
    venue = structs.replace(VENUE, endpoints=Endpoints(ws="wss://node.example", rest="https://node.example"))
    talk = Talk(venue, "BTC", channels=("chain",)).open()
    talk.reply(b"busy", status=503).wait(0.5).reply(say())
    for _ in range(25):
        talk.wait(1)
    assert re.fullmatch(r"silent for 20\.\d s", talk.closed), "the failure before is none of its reasons"


def test_on_a_link_with_frames_of_its_own_calls_without_an_answer_are_told_once() -> None:
    venue = structs.replace(VENUE, endpoints=Endpoints(ws="wss://node.example", rest="https://node.example"))
    talk = Talk(venue, "BTC", channels=("chain",)).open()
    talk.take()
    for reason in ("refused", "refused", "no answer\x1b[2J", "no answer\x1b[2J"):
        talk.session.on_failure(talk.fetches.pop(0).token, talk.mono_ns, reason)
        talk.wait(2)
    told = [(e.status, e.detail) for e in talk.take() if isinstance(e, VenueStatus)]
    assert told == [("error", "refused"), ("error", "no answer\\x1b[2J")]


def test_a_source_that_answers_lives_whatever_failed_between(talk: Talk) -> None:
    for number in range(20):
        talk.reply(b"busy", status=503).wait(0.5).reply(answer(869_000 + number)).wait(POLL_S)
    assert talk.closed == ""


def test_calls_made_in_haste_do_not_make_the_rhythm_look_like_silence() -> None:
    pace = structs.replace(PACE, heartbeat=False, silence_s=60.0)
    talk = Talk(structs.replace(VENUE, pace=pace), "BTC", channels=("chain",)).open()
    for number in range(30):
        talk.reply(answer(869_000 + number)).session.poll("BTC")
        talk.wait(0.25)
    talk.wait(50)
    assert talk.closed == ""


def test_one_coin_of_several_that_is_not_heard_is_stale_once() -> None:
    talk = Talk(VENUE, "BTC", "LTC", channels=("chain",)).open()

    def serve(seconds: int, body: bytes, status: int = 200) -> list[Head]:
        for _ in range(seconds):
            for fetch in talk.fetches[:]:
                ill = fetch.request.path.startswith("/LTC")
                talk.reply(body if ill else answer(869_000), status=status if ill else 200)
            talk.wait(1)
        return [e for e in talk.take() if isinstance(e, Stale | Recovered)]

    assert serve(10, answer(2_800_000)) == []
    assert serve(20, b"gone", 500) == []
    (stale,) = serve(60, b"gone", 500)
    assert isinstance(stale, Stale)
    assert (stale.symbol, stale.channel) == ("LTC", "chain")
    assert stale.reason == "not heard for 30 s: HTTP 500: gone"
    (well,) = serve(60, answer(2_800_001))
    assert (type(well), well.symbol) == (Recovered, "LTC")
    assert serve(60, answer(2_800_001)) == []
    (stale,) = serve(60, say())
    assert stale.reason == "not heard for 30 s: its answers tell nothing"  # type: ignore[attr-defined] # it is Stale
    talk.session.change((), [Subscription("node", "LTC", "chain")], talk.mono_ns)
    assert serve(60, b"") == []
    assert talk.closed == ""


@pytest.mark.parametrize(("coins", "rhythm_s"), [(1, 120), (2, 135.8), (6, 407.3)])
def test_the_calls_of_a_day_last_all_day_however_many_coins(coins: int, rhythm_s: float) -> None:
    venue = catalogue.venue("blockchair")
    talk = Talk(venue, *venue.coins[:coins], channels=("chain",)).open()
    times: list[int] = []
    for _ in range(3600):
        for fetch in talk.fetches[:]:
            times += [talk.mono_ns] * (fetch.request.path == "/bitcoin/stats")
            talk.reply({"data": {"best_block_height": 2_800_000, "difficulty": 1e14}})
        talk.wait(1)
    found = {(later - earlier) / SECOND for earlier, later in pairwise(times)}
    assert all(rhythm_s <= one <= rhythm_s + 2 for one in found)
    assert coins * 86_400 / min(found) < venue.pace.rest[0]
    assert [e for e in talk.take() if isinstance(e, Stale)] == []
    assert talk.closed == ""


def test_where_no_coin_is_heard_the_link_is_left_and_no_coin_stale() -> None:
    talk = Talk(structs.replace(VENUE, pace=structs.replace(PACE, silence_s=60.0)), "BTC", "LTC", channels=("chain",))
    talk.open().reply(answer(869_000)).reply(answer(2_800_000)).take()
    talk.wait(59)
    assert [e for e in talk.take() if isinstance(e, Stale)] == []
    assert talk.wait(2).closed == "silent for 60.0 s"


def test_it_is_connected_once_it_has_answered(talk: Talk) -> None:
    assert Connected not in [type(e) for e in talk.take()]
    talk.reply(b"", status=500)
    assert [type(e) for e in talk.take()] == [Connected, VenueStatus]
    talk.wait(1).reply(answer(869_000))
    assert Connected not in [type(e) for e in talk.take()]


def test_late_answers_are_nobodys(talk: Talk) -> None:
    token = talk.fetches[0].token
    talk.reply(answer(869_000)).take()
    talk.session.on_reply(token, 200, answer(1), talk.now, talk.mono_ns)
    talk.session.on_failure(token, talk.mono_ns)
    assert talk.take() == []


def test_an_unsubscribed_chain_is_not_asked_any_more(talk: Talk) -> None:
    talk.reply(answer(869_000))
    talk.session.change((), [Subscription("node", "BTC", "chain")], talk.mono_ns)
    talk.wait(20)
    assert talk.fetches == []


# On a driver, with time that costs nothing


class World:
    """A runner of the polled venue; `answers` are used up in order, the last one for ever."""

    def __init__(self, *answers: Any, venue: Venue = VENUE, zmq: str | None = None) -> None:
        self.asked: list[tuple[float, Request]] = []
        self.answers = list(answers)
        self.rest = Rest({})
        self.rest.fetch = self._fetch  # type: ignore[method-assign] # the test answers itself
        self.hub = Hub()
        self.events: list[Head] = []
        for kind in Head.__subclasses__():
            self.hub.handlers[kind] = [self.events.append]
        self.runner = Runner(
            venue,
            VenueSettings(zmq=zmq),
            self.hub,
            transport=Transport(),
            rest=self.rest,
            clock=LoopClock(),
            dice=lambda: 0.5,
            exact=False,
        )

    async def _fetch(self, base: str, request: Request) -> Reply:
        self.asked.append((now_s(), request))
        await asyncio.sleep(0.01)
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, Reply) else Reply(200, given)

    async def run(self, seconds: float, *coins: str) -> "World":
        task = asyncio.create_task(self.runner.run())
        self.runner.want([Subscription("node", coin, "chain") for coin in coins])
        await asyncio.sleep(seconds)
        await cancelled(task)
        return self

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@virtual
async def test_a_polling_link_lives_without_a_socket() -> None:
    world = await World(answer(869_000), answer(869_001)).run(21, "BTC")
    assert [b.height for b in world.told(Block)] == [869_000, 869_001]
    assert len(world.told(Connected)) == 1
    assert [round(at - world.asked[0][0]) for at, _ in world.asked] == [0, 5, 10, 15, 20]
    assert world.told(Disconnected)[0].reason == "closed by us"


@virtual
async def test_T06_a_node_that_is_away_is_told_and_tried_for_ever() -> None:
    down = TransportError("cannot connect to node.example: refused")
    world = await World(down, down, down, down, down, down, down, down, answer(869_000)).run(600, "BTC")
    ends = world.told(Disconnected)
    assert ends
    assert "refused" in ends[0].reason
    assert [b.height for b in world.told(Block)] == [869_000]


@virtual
async def test_a_coin_the_source_does_not_have_is_refused() -> None:
    world = await World(answer(869_000)).run(10, "DOGE")
    assert "DOGE" in world.runner.refused["node:DOGE:chain"]


@virtual
async def test_429_keeps_the_source_away_as_long_as_it_says() -> None:
    world = await World(Reply(429, b"", retry_after_s=30.0), answer(869_000)).run(60, "BTC")
    first, second = world.asked[0][0], world.asked[1][0]
    assert second - first >= 30


@virtual
async def test_a_source_that_answers_with_errors_alone_is_disconnected() -> None:
    world = await World(Reply(500, b"starting")).run(300, "BTC")
    assert {e.reason.partition(": ")[2] for e in world.told(Disconnected)[:-1]} == {"HTTP 500: starting"}
    assert [e.detail for e in world.told(VenueStatus)][:1] == ["HTTP 500: starting"]


# Pushed hints


async def test_a_block_over_zmq_is_asked_for_at_once() -> None:
    """A node that is polled once in an hour, and says that there is a block."""
    zmq = pytest.importorskip("zmq")
    with zmq.Context() as context, context.socket(zmq.PUB) as node:
        node.setsockopt(zmq.LINGER, 0)
        port = node.bind_to_random_port("tcp://127.0.0.1")
        seldom = structs.replace(VENUE, pace=structs.replace(PACE, poll_s=3600.0, silence_s=1e6))
        world = World(answer(869_000), answer(869_001), venue=seldom, zmq=f"tcp://127.0.0.1:{port}")
        task = asyncio.create_task(world.runner.run())
        world.runner.want([Subscription("node", "BTC", "chain")])
        await until(lambda: world.told(Block))
        node.send_multipart([b"hashblock", b"too short", bytes(4)])
        while len(world.asked) < 2:  # a subscriber that joins late misses what was said before
            node.send_multipart([b"hashblock", bytes(32), bytes(4)])
            await asyncio.sleep(0.01)
        await until(lambda: len(world.told(Block)) == 2)
        await cancelled(task)


@pytest.mark.parametrize("url", ["127.0.0.1:28332", "http://127.0.0.1", "tcp://127.0.0.1", "tcp://x:y", "ipc://", ""])
def test_what_is_no_address_of_a_publisher(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of a ZMQ publisher"):
        World(answer(1), zmq=url)


def test_zmq_is_an_extra_and_for_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="kraken is not polled"):
        World(answer(1), venue=catalogue.venue("kraken"), zmq="tcp://127.0.0.1:28332")
    monkeypatch.setitem(sys.modules, "zmq", None)
    with pytest.raises(MissingExtra, match=r"marketfeed\[zmq\]"):
        World(answer(1), zmq="tcp://127.0.0.1:28332")


# Keys


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    asks = structs.replace(VENUE, credentials="required")
    with pytest.raises(ConfigError, match="MARKETFEED_NODE_AUTH"):
        credentials(asks)
    assert credentials(structs.replace(VENUE, credentials="optional")) == credentials(VENUE) == {}
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:secret\n")
    monkeypatch.setenv("MARKETFEED_NODE_COOKIE", str(cookie))
    found = credentials(asks)["Authorization"]
    assert isinstance(found, Secret)
    assert found.reveal() == "Basic X19jb29raWVfXzpzZWNyZXQ="
    assert "secret" not in repr(found)
    monkeypatch.setenv("MARKETFEED_NODE_AUTH", "user:pass")
    assert credentials(asks)["Authorization"] != found
    monkeypatch.setenv("MARKETFEED_NODE_AUTH", "nonsense")
    with pytest.raises(ConfigError, match="user:password") as told:
        credentials(asks)
    assert "nonsense" not in str(told.value)
    monkeypatch.delenv("MARKETFEED_NODE_AUTH")
    monkeypatch.setenv("MARKETFEED_NODE_COOKIE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="cannot be read"):
        credentials(asks)


@virtual
async def test_a_cookie_that_a_restarted_node_wrote_anew_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:first")
    monkeypatch.setenv("MARKETFEED_NODE_COOKIE", str(cookie))
    asks = structs.replace(VENUE, credentials="required")
    world = World(answer(869_000), venue=asks)
    await world.run(3, "BTC")
    cookie.write_text("__cookie__:second")
    again = World(answer(869_000), venue=asks)
    cookie.write_text("__cookie__:third")
    await again.run(3, "BTC")
    keys = [request.headers["Authorization"].reveal() for w in (world, again) for _, request in w.asked]  # type: ignore[union-attr] # ours are
    assert keys == ["Basic X19jb29raWVfXzpmaXJzdA==", "Basic X19jb29raWVfXzp0aGlyZA=="]


@virtual
async def test_keys_go_with_each_call_and_into_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETFEED_NODE_AUTH", "user:hunter2")
    asks = structs.replace(VENUE, credentials="required")
    world = await World(Reply(401, b"denied"), answer(869_000), venue=asks).run(20, "BTC")
    assert all("Authorization" in request.headers for _, request in world.asked)
    assert "hunter2" not in repr(world.events) + repr(world.asked)
    await settle()


def test_a_venue_has_the_channels_it_says() -> None:
    with pytest.raises(ConfigError, match="kraken has no 'chain'; it serves trades, ticker, book"):
        catalogue.check(Subscription("kraken", "BTC", "chain"))
    with pytest.raises(ConfigError, match="mempool has no 'trades'; it serves chain of BTC"):
        catalogue.check(Subscription("mempool", "BTC-USD", "trades"))
    public = ["mempool", "blockchair", "blockchaininfo", "whattomine"]
    assert [venue.name for venue in catalogue.chain_sources("BTC")] == ["bitcoind", *public]


def test_a_source_of_chains_lists_nothing_but_its_coins() -> None:
    assert (VENUE.instruments_requests([]), VENUE.instruments(b"")) == ([], [])


def test_closing_is_quiet() -> None:
    talk = Talk(VENUE, "BTC", channels=("chain",)).open()
    assert not any(isinstance(c, Close | Fetch) for c in talk.session.commands)
    talk.session.on_close(1000, "closed by us", talk.now, retry_s=None)
    assert [type(e) for e in talk.take()][-1] is Disconnected
