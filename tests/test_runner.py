"""One venue of a feed: its instruments learnt, its links planned, kept and closed. Time is virtual."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from msgspec import structs

from marketfeed.errors import ConfigError, TransportError, VenueError
from marketfeed.events import Connected, Disconnected, Gap, Head, Instrument, Refused, Subscribed, Trade
from marketfeed.hub import Hub
from marketfeed.rest import Reply
from marketfeed.runner import Runner
from marketfeed.settings import VenueSettings
from marketfeed.subscriptions import Channel, Subscription
from marketfeed.transports.fake import FakeLink
from marketfeed.venues._spec import Pace, Request, Venue

from . import toy
from .virtual import LoopClock, Rest, Transport, cancelled, now_s, settle, until, virtual

LISTED = {"BTC-USD": "BTCUSD", "ETH-USD": "ETHUSD", "SOL-USD": "SOLUSD", "BTC-USDC": "BTCUSD"}
PACE = Pace(frames_per_s=50, subscriptions_per_link=3, connects=(1000, 60), rest=(1000, 1.0), silence_s=30)
DOWN = TransportError("cannot resolve host toy.example")


def listing(*symbols: str) -> bytes:
    return json.dumps({symbol: LISTED[symbol] for symbol in symbols}).encode()


def read_listing(body: bytes) -> list[Instrument[Decimal]]:
    listed = json.loads(body)
    if not isinstance(listed, dict):
        raise ValueError("that is no listing")
    return [
        Instrument(
            venue="toy", symbol=s, native=native, base=s.split("-")[0], quote=s.split("-")[1], tick=Decimal("0.1")
        )
        for s, native in listed.items()
    ]


def ask_for(symbols: Sequence[str]) -> list[Request]:
    return [Request("/list?of=" + ",".join(symbols)), Request("/list")]


def a_venue(pace: Pace = PACE, rule: Any = toy.STREAM) -> Venue:
    return structs.replace(toy.venue(rule, pace=pace), instruments_requests=ask_for, instruments=read_listing)


class World:
    """A runner at work, its hub, and the venue played by the test."""

    def __init__(self, *script: Exception | None, replies: Any = None, exact: bool = False, **options: Any) -> None:
        self.transport = Transport(*script)
        self.transport.answers_pings = True
        self.transport.on_link = self._opened
        self.rest = Rest(replies if replies is not None else {"/list": listing(*LISTED)})
        self.hub = Hub()
        self.events: list[Head] = []
        for kind in Head.__subclasses__():
            self.hub.handlers[kind] = [self.events.append]
        self.runner = Runner(
            options.pop("venue", None) or a_venue(options.pop("pace", PACE)),
            options.pop("settings", VenueSettings()),
            self.hub,
            transport=self.transport,
            rest=self.rest,
            clock=LoopClock(),
            dice=lambda: 1.0,
            exact=exact,
        )
        self.task = asyncio.create_task(self.runner.run())

    def _opened(self, link: FakeLink) -> None:
        """The venue acknowledges whatever is asked of it."""
        send = FakeLink.send

        def answer(payload: str | bytes) -> None:
            send(link, payload)
            said = json.loads(payload)
            what = {"sub": "ack", "unsub": "gone"}[said["do"]]
            for native in said["s"]:
                reply = json.dumps({"c": "talk", "what": what, "ch": said["ch"], "s": native})
                asyncio.get_running_loop().call_soon(link.frame, reply.encode())

        link.send = answer  # type: ignore[method-assign]

    def want(self, *names: str, channel: Channel = "trades") -> list[Subscription]:
        wanted = [toy.subscription(name, channel) for name in names]
        self.runner.want(wanted)
        return wanted

    def of(self, kind: type[Head]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def open_links(self) -> list[FakeLink]:
        return [link for link in self.transport.links if link.closed is None]

    def paths(self) -> list[str]:
        return [request.path for _, request in self.rest.asked]

    async def flowing(self) -> None:
        await until(lambda: not self.runner.waiting())


def world(test: Callable[..., Awaitable[None]]) -> Callable[[], None]:
    """Run with a `World` maker; every world is stopped at the end."""

    @virtual
    async def run() -> None:
        worlds: list[World] = []

        def make(*args: Any, **kwargs: Any) -> World:
            worlds.append(World(*args, **kwargs))
            return worlds[-1]

        await test(make)
        for one in worlds:
            await cancelled(one.task)
            assert one.open_links() == []

    run.__name__ = test.__name__  # type: ignore[attr-defined]
    return run


Make = Callable[..., World]


def natives(link: FakeLink, do: str = "sub") -> list[str]:
    return sorted(f"{f['ch']} {n}" for f in map(json.loads, link.sent) if f["do"] == do for n in f["s"])


@world
async def test_T01_trades_of_which_none_had_come_yet_are_missing_after_an_outage_and_it_is_told(make: Make) -> None:
    w = make()
    w.want("BTC-USD")
    await w.flowing()
    w.transport.links[0].drop()
    await until(lambda: len(w.of(Subscribed)) == 2)
    await w.flowing()
    w.transport.links[1].frame(json.dumps(toy.trade(5000)).encode())
    assert [type(event).__name__ for event in w.events] == [
        "Instrument",
        "Connected",
        "Subscribed",
        "Disconnected",
        "Gap",
        "Connected",
        "Subscribed",
        "Trade",
    ]
    (gap,) = w.of(Gap)
    assert (gap.channel, gap.cause, gap.healed, gap.from_seq) == ("trades", "link lost", False, 0)
    assert gap.ts_from <= gap.ts_to


@world
async def test_what_is_wanted_is_looked_up_introduced_and_subscribed(make: Make) -> None:
    w = make()
    w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    assert w.paths() == ["/list?of=BTC-USD,ETH-USD", "/list"]
    kinds = [type(event).__name__ for event in w.events]
    assert kinds == ["Instrument", "Instrument", "Connected", "Subscribed", "Subscribed"]
    assert w.of(Instrument)[0].tick == 0.1
    assert isinstance(w.of(Instrument)[0].tick, float)
    assert natives(w.transport.links[0]) == ["trades BTCUSD", "trades ETHUSD"]


@world
async def test_exact_numbers_are_decimal_in_instruments_too(make: Make) -> None:
    w = make(exact=True)
    w.want("BTC-USD")
    await w.flowing()
    assert w.of(Instrument)[0].tick == Decimal("0.1")
    assert isinstance(w.of(Instrument)[0].tick, Decimal)


@world
async def test_P27_an_unknown_symbol_is_refused_with_the_nearest_while_the_others_go_on(make: Make) -> None:
    w = make()
    w.want("BTC-USD", "BTC-UDS")
    await until(lambda: w.of(Refused))
    (refused,) = w.of(Refused)
    assert (refused.symbol, refused.channel) == ("BTC-UDS", "trades")
    assert "did you mean BTC-USD" in refused.reason
    await until(lambda: len(w.runner.waiting()) == 1)
    assert w.runner.waiting() == w.runner.refusals() == {"toy:BTC-UDS:trades": refused.reason}
    assert natives(w.transport.links[0]) == ["trades BTCUSD"]


@world
async def test_a_symbol_refused_and_let_go_can_be_wanted_again(make: Make) -> None:
    w = make()
    wanted = w.want("XXX-USD")
    await until(lambda: w.of(Refused))
    w.runner.unwant(wanted)
    await settle()
    assert w.runner.waiting() == {}
    w.want("XXX-USD")
    await until(lambda: len(w.of(Refused)) == 2)


@world
async def test_a_narrow_listing_that_answers_is_enough(make: Make) -> None:
    w = make(replies={"/list?of=BTC-USD": listing("BTC-USD")})
    w.want("BTC-USD")
    await w.flowing()
    assert w.paths() == ["/list?of=BTC-USD"]


@pytest.mark.parametrize("answer", [Reply(400), Reply(404), b"[]", b"{", listing("ETH-USD"), b"{}"])
def test_a_narrow_listing_that_is_refused_or_lacks_something_falls_back_to_the_whole(answer: Any) -> None:
    @world
    async def run(make: Make) -> None:
        w = make(replies={"/list?of=BTC-USD": answer, "/list": listing(*LISTED)})
        w.want("BTC-USD")
        await w.flowing()
        assert w.paths() == ["/list?of=BTC-USD", "/list"]

    run()


@world
async def test_all_instruments_are_listed_once_and_hide_nothing_from_what_is_wanted_later(make: Make) -> None:
    w = make(replies={"/list?of=": b"{}", "/list": listing(*LISTED)})
    found = await w.runner.all_instruments()
    assert [one.symbol for one in found] == sorted(LISTED)
    assert await w.runner.all_instruments() == found
    assert w.paths() == ["/list"]
    w.want("SOL-USD")
    await w.flowing()
    assert w.paths() == ["/list"]


@world
async def test_all_instruments_of_a_venue_that_has_no_list_is_an_error(make: Make) -> None:
    w = make(replies={})
    with pytest.raises(TransportError, match="does not list its instruments"):
        await w.runner.all_instruments()


@world
async def test_a_venue_that_cannot_be_reached_is_told_and_tried_until_it_can(make: Make) -> None:
    w = make(replies={"/list?of=BTC-USD": [DOWN, DOWN, Reply(500), b"[]"], "/list": [b"[]", listing(*LISTED)]})
    w.want("BTC-USD")
    await until(lambda: len(w.of(Disconnected)) == 1)
    assert w.runner.waiting() == {"toy:BTC-USD:trades": "cannot resolve host toy.example"}
    await w.flowing()
    told = w.of(Disconnected)
    assert [(t.link, t.code, t.attempt, t.retry_s) for t in told] == [
        ("rest", 0, 1, 0.25),
        ("rest", 0, 2, 0.5),
        ("rest", 0, 3, 1.0),
        ("rest", 0, 4, 2.0),
    ]
    assert told[0].reason == "cannot resolve host toy.example"
    assert told[2].reason == "Toy answered HTTP 500"
    assert told[2].status == 500
    assert w.of(Connected)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ValueError("an error in place of a list"), "an error in place of a list"),
        (RecursionError("nested too deep"), "nested too deep"),
        (InvalidOperation("a step beyond all numbers"), "a step beyond all numbers"),
        (KeyError("filters"), "filters"),
    ],
)
def test_P01_P02_a_listing_that_cannot_be_read_is_told_and_asked_for_again(failure: Exception, words: str) -> None:
    failures = [failure, failure]  # of the narrow list and of the whole

    def read(body: bytes) -> list[Instrument[Decimal]]:
        if failures:
            raise failures.pop()
        return read_listing(body)

    @world
    async def run(make: Make) -> None:
        replies = {"/list?of=BTC-USD": listing("BTC-USD"), "/list": listing(*LISTED)}
        w = make(venue=structs.replace(a_venue(), instruments=read), replies=replies)
        w.want("BTC-USD")
        await w.flowing()
        (told,) = w.of(Disconnected)
        assert (told.link, told.attempt) == ("rest", 1)
        assert told.reason.startswith("Toy answered with no list of instruments: ")
        assert words in told.reason

    run()


@world
async def test_P02_who_asks_for_the_list_is_told_that_it_cannot_be_read(make: Make) -> None:
    w = make(replies={"/list": b"[" * 100_000})
    with pytest.raises(VenueError, match="Toy answered with no list of instruments: maximum recursion depth"):
        await w.runner.all_instruments()


@pytest.mark.parametrize(
    ("failure", "words", "least_s"),
    [
        (Reply(429, retry_after_s=30), "too many requests", 30),
        (Reply(418), "banned", 60),
        (Reply(403), "blocked", 60),
        (Reply(451), "blocked in your region", 0),
        (Reply(503, retry_after_s=20), "503", 20),
        (TransportError("TLS: the certificate is refused", fatal=True), "certificate", 60),
        (ConfigError("the call cannot be made"), "cannot be made", 0),
    ],
)
def test_T14_T15_a_listing_refused_is_not_asked_for_before_its_time(failure: Any, words: str, least_s: float) -> None:
    @world
    async def run(make: Make) -> None:
        w = make(replies={"/list?of=BTC-USD": [failure, listing("BTC-USD")]})
        w.want("BTC-USD")
        await until(lambda: w.of(Connected), 200)
        (told,) = w.of(Disconnected)
        assert words in told.reason
        assert w.rest.at[1] - w.rest.at[0] >= max(least_s, told.retry_s) - 0.001
        assert w.rest.at[1] - w.rest.at[0] <= least_s * 1.1 + 1

    run()


@world
async def test_T14_a_listing_that_is_sent_away_keeps_links_away_too(make: Make) -> None:
    w = make(replies={"/list?of=BTC-USD": listing("BTC-USD"), "/list?of=ETH-USD": [Reply(429, retry_after_s=50)]})
    w.want("BTC-USD")
    await w.flowing()
    w.want("ETH-USD")
    await until(lambda: w.of(Disconnected))
    start = now_s()
    w.transport.links[0].drop()
    await w.transport.link(1)
    assert now_s() - start >= 50


@world
async def test_known_symbols_are_served_while_a_listing_fails_for_ever(make: Make) -> None:
    w = make(replies={"/list?of=BTC-USD": listing("BTC-USD"), "/list?of=ETH-USD": listing("ETH-USD")})
    w.want("BTC-USD", channel="trades")
    await w.flowing()
    w.want("ETH-USD")
    await w.flowing()
    w.rest.replies = {}
    w.rest.replies["/list?of=SOL-USD"] = DOWN
    w.want("SOL-USD")
    await until(lambda: w.of(Disconnected))
    w.want("BTC-USD", channel="ticker")
    w.runner.unwant([toy.subscription("ETH-USD", "trades")])
    await until(lambda: "ticker BTCUSD" in natives(w.transport.links[0]), 3)
    await until(lambda: natives(w.transport.links[0], "unsub") == ["trades ETHUSD"], 3)
    assert w.runner.waiting() == {"toy:SOL-USD:trades": "cannot resolve host toy.example"}


@world
async def test_what_is_wanted_while_a_listing_is_awaited_is_looked_up_next(make: Make) -> None:
    w = make(replies={f"/list?of={s}": listing(s) for s in LISTED})
    w.rest.takes_s = 3
    w.want("BTC-USD")
    await asyncio.sleep(1)
    w.want("ETH-USD")
    assert set(w.runner.waiting().values()) == {"loading instruments"}
    await w.flowing()
    assert w.paths() == ["/list?of=BTC-USD", "/list?of=ETH-USD"]


@world
async def test_what_is_let_go_while_a_listing_is_awaited_is_never_subscribed(make: Make) -> None:
    w = make()
    w.rest.takes_s = 3
    wanted = w.want("BTC-USD", "ETH-USD")
    await asyncio.sleep(1)
    w.runner.unwant(wanted[:1])
    await w.flowing()
    await asyncio.sleep(1)
    assert natives(w.transport.links[0]) == ["trades ETHUSD"]


@world
async def test_subscriptions_are_spread_over_links_and_fill_free_places_first(make: Make) -> None:
    w = make()
    for channel in ("trades", "ticker"):
        w.want("BTC-USD", "ETH-USD", channel=channel)
    await w.flowing()
    assert sorted(len(natives(link)) for link in w.transport.links) == [1, 3]
    w.want("SOL-USD")
    w.want("SOL-USD", channel="ticker")
    await w.flowing()
    assert len(w.transport.links) == 2
    w.want("SOL-USD", channel="book")
    await until(lambda: len(w.transport.links) == 3)
    assert len({e.link for e in w.of(Connected)}) == 3


@world
async def test_an_empty_link_is_closed_and_the_others_stay(make: Make) -> None:
    w = make(pace=structs.replace(PACE, subscriptions_per_link=1))
    wanted = w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    w.runner.unwant(wanted[:1])
    await until(lambda: len(w.open_links()) == 1)
    (gone,) = [link for link in w.transport.links if link.closed]
    assert natives(gone, "unsub") == ["trades BTCUSD"]
    assert natives(w.open_links()[0]) == ["trades ETHUSD"]
    (told,) = w.of(Disconnected)
    assert (told.code, told.reason) == (1000, "closed by us")
    assert len(w.runner.sessions()) == 1


@world
async def test_an_alias_of_a_market_gets_a_link_of_its_own(make: Make) -> None:
    w = make(venue=structs.replace(a_venue(), plan=toy.venue().plan))
    w.want("BTC-USD")
    await w.flowing()
    w.want("BTC-USDC")
    await w.flowing()
    assert [natives(link) for link in w.transport.links] == [["trades BTCUSD"], ["trades BTCUSD"]]
    for link in w.transport.links:
        link.frame(json.dumps(toy.trade(1)).encode())
    assert sorted(event.symbol for event in w.of(Trade)) == ["BTC-USD", "BTC-USDC"]


@world
async def test_aliases_wanted_together_get_links_of_their_own_too(make: Make) -> None:
    w = make()
    w.want("BTC-USD", "BTC-USDC")
    await w.flowing()
    for link in w.transport.links:
        link.frame(json.dumps(toy.trade(1)).encode())
    assert sorted(event.symbol for event in w.of(Trade)) == ["BTC-USD", "BTC-USDC"]


@world
async def test_links_of_another_url_or_kind_are_not_filled(make: Make) -> None:
    venue = a_venue()

    def two_hosts(endpoints: Any, wanted: Sequence[Subscription], pace: Pace) -> Any:
        plans = venue.plan(endpoints, [s for s in wanted if s.channel == "trades"], pace)
        others = venue.plan(endpoints, [s for s in wanted if s.channel != "trades"], pace)
        return [*plans, *(structs.replace(plan, url=plan.url + "/other") for plan in others)]

    w = make(venue=structs.replace(venue, plan=two_hosts))
    w.want("BTC-USD")
    w.want("BTC-USD", channel="ticker")
    await w.flowing()
    assert sorted(call["url"] for call in w.transport.calls) == ["wss://toy.example", "wss://toy.example/other"]
    w.want("ETH-USD")
    await w.flowing()
    assert len(w.transport.links) == 2


@world
async def test_a_link_that_cannot_be_made_is_told_with_status_and_retry(make: Make) -> None:
    w = make(TransportError("toy.example answered HTTP 503: it is in trouble", status=503))
    w.want("BTC-USD")
    await until(lambda: w.of(Disconnected))
    (told,) = w.of(Disconnected)
    assert (told.link, told.code, told.status, told.retry_s, told.attempt) == ("toy-1", 0, 503, 0.25, 1)
    assert w.runner.waiting() == {"toy:BTC-USD:trades": "toy.example answered HTTP 503: it is in trouble"}
    await w.flowing()


@world
async def test_a_link_being_made_says_so(make: Make) -> None:
    w = make()
    w.transport.takes_s = 5
    w.want("BTC-USD")
    await until(lambda: w.transport.at)
    assert w.runner.waiting() == {"toy:BTC-USD:trades": "connecting"}
    await w.flowing()


@world
async def test_counts_add_up_over_connections(make: Make) -> None:
    w = make()
    w.want("BTC-USD")
    for number in range(3):
        link = await w.transport.link(number)
        await w.flowing()
        link.frame(json.dumps(toy.trade(number + 1)).encode())
        assert w.runner.counts().decoded == number + 1
        link.drop()
        await settle()
        assert w.runner.counts().decoded == number + 1
    assert w.runner.sessions() == []


@world
async def test_C04_dropped_and_wanted_again_at_once_a_stream_flows(make: Make) -> None:
    w = make()
    wanted = w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    for _ in range(5):
        w.runner.unwant(wanted[:1])
        await settle(3)
        w.runner.want(wanted[:1])
        await settle(3)
    await asyncio.sleep(3)
    await w.flowing()
    before = len(w.of(Trade))
    w.open_links()[0].frame(json.dumps(toy.trade(99)).encode())
    assert len(w.of(Trade)) == before + 1


@world
async def test_C04_a_link_s_last_stream_dropped_and_wanted_again_at_once_flows_on_a_new_link(make: Make) -> None:
    w = make()
    wanted = w.want("BTC-USD")
    await w.flowing()
    w.runner.unwant(wanted)
    await settle(1)
    w.runner.want(wanted)
    await asyncio.sleep(3)
    await w.flowing()
    (link,) = w.open_links()
    link.frame(json.dumps(toy.trade(99)).encode())
    assert len(w.of(Trade)) == 1


@world
async def test_settings_replace_endpoints_pace_and_proxy(make: Make) -> None:
    pace = structs.replace(PACE, max_message=77, subscriptions_per_link=1)
    settings = VenueSettings(
        ws="ws://127.0.0.1:1/x/", rest="http://localhost:2/", pace=pace, proxy="http://localhost:3128"
    )
    w = make(settings=settings)
    w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    assert len(w.transport.links) == 2
    call = w.transport.calls[0]
    assert (call["url"], call["max_message"], call["proxy"]) == ("ws://127.0.0.1:1/x", 77, "http://localhost:3128")
    assert w.rest.asked[0][0] == "http://localhost:2"


@virtual
async def test_a_fault_of_ours_in_a_link_ends_the_runner_with_it() -> None:
    class Broken(toy.Decoder):
        def subscribe(self, add: Any) -> list[str]:
            raise ZeroDivisionError

    w = World(venue=structs.replace(a_venue(), decoder=Broken))
    w.want("BTC-USD")
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(w.task, 5)
    assert caught.group_contains(ZeroDivisionError)
    assert w.open_links() == []


def changed(**fields: Any) -> Callable[[bytes], list[Instrument[Decimal]]]:
    """A list whose BTC-USD has these fields."""

    def read(body: bytes) -> list[Instrument[Decimal]]:
        return [structs.replace(i, **fields) if i.symbol == "BTC-USD" else i for i in read_listing(body)]

    return read


class Listed:
    """A venue whose list the test changes."""

    def __init__(self) -> None:
        self.read = read_listing
        self.venue = structs.replace(a_venue(), instruments=self._read)

    def _read(self, body: bytes) -> list[Instrument[Decimal]]:
        return self.read(body)


@world
async def test_P29_the_list_is_read_again_each_hour_and_a_change_is_told_to_readers_and_links(make: Make) -> None:
    listed = Listed()
    w = make(venue=listed.venue)
    w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    asked = len(w.paths())
    await asyncio.sleep(3590)
    assert len(w.paths()) == asked
    await asyncio.sleep(20)
    assert w.paths()[asked:] == ["/list?of=BTC-USD,ETH-USD", "/list"]
    assert len(w.of(Instrument)) == 2  # nothing has changed
    heard: list[str] = []
    w.runner.links[0].driver.relisted = heard.append  # type: ignore[method-assign]
    listed.read = changed(price_digits=3)
    await asyncio.sleep(3620)
    told = w.of(Instrument)[2:]
    assert [(i.symbol, i.price_digits) for i in told] == [("BTC-USD", 3)]
    assert heard == ["BTC-USD"]
    assert len(w.open_links()) == 1


@world
async def test_P29_a_link_that_doubts_its_markets_has_the_list_read_at_once_but_not_all_the_time(make: Make) -> None:
    w = make()
    w.want("BTC-USD")
    await w.flowing()
    asked, began = w.paths().count("/list"), now_s()
    w.runner.links[0].relist()
    await until(lambda: w.paths().count("/list") > asked)
    assert now_s() - began < 1
    for _ in range(290):
        w.runner.links[0].relist()
        await asyncio.sleep(0.1)
    assert w.paths().count("/list") == asked + 3


@world
async def test_P29_a_market_that_is_not_listed_any_more_is_told_and_so_is_its_return(make: Make) -> None:
    listed = Listed()
    w = make(venue=listed.venue)
    w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    listed.read = lambda body: [i for i in read_listing(body) if i.symbol != "BTC-USD"]
    w.runner.links[0].relist()
    await asyncio.sleep(15)
    assert [i.symbol for i in await w.runner.all_instruments()] == sorted(set(LISTED) - {"BTC-USD"})
    listed.read = read_listing
    w.runner.links[0].relist()
    await asyncio.sleep(15)
    told = [(i.symbol, i.trading, i.status) for i in w.of(Instrument)]
    assert told[2:] == [("BTC-USD", False, "not listed"), ("BTC-USD", True, "")]
    assert w.of(Refused) == []


@world
async def test_P29_a_list_that_lacks_a_market_once_is_read_again_before_that_is_believed(make: Make) -> None:
    for glitch in (b"{}", listing("ETH-USD")):
        sound = listing(*LISTED)
        w = make(replies={"/list": [sound, glitch, *[sound] * 100]})
        w.want("BTC-USD", "ETH-USD")
        await w.flowing()
        w.runner.links[0].relist()
        await asyncio.sleep(60)
        assert w.paths().count("/list") == 3
        assert len(w.of(Instrument)) == 2


ONE_BY_ONE = structs.replace(
    a_venue(), instruments_requests=lambda symbols: [*(Request(f"/one/{s}") for s in symbols), Request("/list")]
)


@world
async def test_where_each_market_is_asked_for_by_itself_the_whole_list_is_not_needed(make: Make) -> None:
    w = make(venue=ONE_BY_ONE, replies={f"/one/{s}": listing(s) for s in ("BTC-USD", "ETH-USD")})
    w.want("BTC-USD", "ETH-USD")
    await w.flowing()
    assert w.paths() == ["/one/BTC-USD", "/one/ETH-USD"]


@world
async def test_a_market_found_by_itself_is_listed_though_the_whole_list_lacks_it(make: Make) -> None:
    w = make(venue=ONE_BY_ONE, replies={"/one/SOL-USD": listing("SOL-USD"), "/list": listing("BTC-USD")})
    w.want("SOL-USD", "XXX-USD")
    await until(lambda: w.of(Refused) and w.runner.waiting().keys() == {"toy:XXX-USD:trades"})
    assert [(i.symbol, i.status) for i in w.of(Instrument)] == [("SOL-USD", "")]


@world
async def test_P29_of_two_readings_the_older_one_takes_nothing_away(make: Make) -> None:
    narrow = {f"/list?of={s}": listing(s) for s in ("BTC-USD", "SOL-USD")}
    w = make(replies={**narrow, "/list": listing("BTC-USD")})
    w.want("BTC-USD")
    await w.flowing()
    w.rest.replies["/list?of=BTC-USD"] = Reply(404)
    w.rest.takes_s = 2.0
    w.runner.links[0].relist()
    await asyncio.sleep(3)
    w.want("SOL-USD")
    await asyncio.sleep(60)
    assert [(i.symbol, i.status) for i in w.of(Instrument)] == [("BTC-USD", ""), ("SOL-USD", "")]


@world
async def test_P27_what_was_refused_as_unknown_and_is_learnt_later_is_waited_for_no_more(make: Make) -> None:
    w = make(replies={"/list": listing("BTC-USD")})
    w.want("BTC-USD", "SOL-USD")
    await until(lambda: w.of(Refused))
    w.rest.replies["/list"] = listing("BTC-USD", "SOL-USD")
    w.rest.replies["/list?of=BTC-USD"] = Reply(404)
    w.runner.links[0].relist()
    await w.flowing()
    assert w.runner.refusals() == {}


@world
async def test_P29_a_list_that_cannot_be_read_again_is_asked_for_later_and_nothing_ends(make: Make) -> None:
    sound = listing(*LISTED)
    w = make(replies={"/list": [sound, b"[]", DOWN, Reply(429, retry_after_s=30.0), sound]})
    w.want("BTC-USD")
    await w.flowing()
    asked, began = w.paths().count("/list"), now_s()
    w.runner.links[0].relist()
    await until(lambda: w.paths().count("/list") == asked + 4, 200)
    assert 20 + 40 + 80 <= now_s() - began < 150
    await asyncio.sleep(1000)
    assert w.paths().count("/list") == asked + 4
    assert (w.of(Disconnected), len(w.open_links())) == ([], 1)
