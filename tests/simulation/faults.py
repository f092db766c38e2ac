"""What can happen to a world, by name: each fault strikes one venue and may give back what heals it."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from marketfeed.sim.bad_frames import BAD_FRAMES
from marketfeed.sim.faults import MUTED
from marketfeed.testing import VirtualLoop

from ..fuzz.oracle import SYMBOLS
from .world import World

Heal = Callable[[], object]
KNOWN = 60
"""Frames of a connection after which its pace is known."""
CLOSE_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4000, 4999)


class Fault(NamedTuple):
    """A row of the catalogue, the kind of its recovery budget, and what does it."""

    row: str
    kind: str
    strike: Callable[[World, str, Random], Heal | None]


def _reset(world: World, venue: str, dice: Random) -> None:
    world.network.reset(world.port(venue), dice.randrange(1, 400))


def _end(world: World, venue: str, dice: Random) -> None:
    world.network.end(world.port(venue))


def _blackhole(world: World, venue: str, dice: Random) -> Heal:
    """Nothing comes through, new connections neither; what heals it does not bring the old ones back."""
    way = world.way(venue)
    way.swallow = True
    world.network.freeze(world.port(venue))

    def heal() -> None:
        way.swallow = False

    return heal


def _pause(world: World, venue: str, dice: Random) -> Heal:
    """Nothing comes through, until all of it does."""
    world.network.freeze(world.port(venue))
    return lambda: world.network.thaw(world.port(venue))


def _drip(world: World, venue: str, dice: Random) -> Heal:
    way = world.way(venue)
    way.drip_s = 1.0

    def heal() -> None:
        way.drip_s = 0.0

    return heal


def _slices(world: World, venue: str, dice: Random) -> Heal:
    way = world.way(venue)
    way.slices = (1, 64)

    def heal() -> None:
        way.slices = None

    return heal


def _delay(world: World, venue: str, dice: Random) -> Heal:
    way = world.way(venue)
    way.latency_s, way.jitter_s = dice.uniform(0.01, 0.5), dice.uniform(0.0, 1.0)

    def heal() -> None:
        way.latency_s, way.jitter_s = 0.0005, 0.0

    return heal


def _spoil(world: World, venue: str, dice: Random) -> None:
    world.network.spoil(world.port(venue), dice.randrange(0, 2_000))


def _no_new(way_is: str) -> Callable[[World, str, Random], Heal]:
    """The connections end, and new ones fail: as `Way.refuse` or `Way.untrusted` has it."""

    def strike(world: World, venue: str, dice: Random) -> Heal:
        way = world.way(venue)
        setattr(way, way_is, True)
        world.network.end(world.port(venue))
        return lambda: setattr(way, way_is, False)

    return strike


def _dns(world: World, venue: str, dice: Random) -> Heal:
    names = world.network.names
    names["localhost"] = ()
    world.network.end(world.port(venue))

    def heal() -> None:
        names["localhost"] = ("127.0.0.1",)

    return heal


def _v6(world: World, venue: str, dice: Random) -> Heal:
    world.network.names["localhost"] = ("::1", "127.0.0.1")
    world.network.away.add("::1")
    world.network.end(world.port(venue))

    def heal() -> None:
        world.network.names["localhost"] = ("127.0.0.1",)

    return heal


def _proxy_refuses(world: World, venue: str, dice: Random) -> Heal:
    proxy = world.proxy
    assert proxy is not None
    proxy.refuses = dice.choice([403, 407, 502])
    proxy.cut()

    def heal() -> None:
        proxy.refuses = 0

    return heal


def _quiet(world: World, venue: str, dice: Random) -> Heal:
    """Nothing happens in any market; where there is a proxy, it cuts what is idle."""
    world.plant.pace(None)
    return lambda: world.plant.pace(world.rate)


def _unplug(world: World, venue: str, dice: Random) -> None:
    world.network.unplug(world.port(venue))


def _turned_away(*statuses: int, most: int) -> Callable[[World, str, Random], None]:
    def strike(world: World, venue: str, dice: Random) -> None:
        world.plant.turn_away(venue, dice.choice(statuses), dice.randint(1, most))
        world.network.end(world.port(venue))

    return strike


def _inject(kind: str, *what: object) -> Callable[[World, str, Random], None]:
    def strike(world: World, venue: str, dice: Random) -> None:
        world.plant.inject(venue, kind, str(dice.choice(what)) if what else "")

    return strike


def _mute_market(world: World, venue: str, dice: Random) -> None:
    """All channels of one market stop; the others go on."""
    symbol = dice.choice(SYMBOLS[venue])
    for link in list(world.plant._server(venue).links):
        link.conversation.muted.update(f"{channel}:{symbol}" for channel in MUTED)


def _digits(world: World, venue: str, dice: Random) -> None:
    world.plant.inject(venue, "digits", dice.choice(SYMBOLS[venue]))


def _stall(world: World, venue: str, dice: Random) -> None:
    """Not before the venue's pace is known: until then a stall is told, and not mended (see T04)."""
    sessions = world.feed._runners[venue].sessions()
    if sessions and all(session.counts.frames > KNOWN for session in sessions):
        world.plant.inject(venue, "stall")


def _sleep(world: World, venue: str, dice: Random) -> None:
    """The whole machine stands still, and wakes: to the process its clock jumps."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.now += dice.choice([3.0, 30.0, 3_600.0])


def _step(world: World, venue: str, dice: Random) -> None:
    """Somebody sets the machine's clock."""
    world.clock.skew_ns += round(dice.uniform(-3_600, 3_600) * 1e9)


def _resubscribe(world: World, venue: str, dice: Random) -> Heal | None:
    names = [name for name in world.names if name.startswith(f"{venue}:") and name not in world.resting]
    if not names:
        return None
    name = dice.choice(names)
    world.unsubscribe(name)
    return lambda: world.subscribe(name)


TRANSPORT: dict[str, Fault] = {
    "reset": Fault("T01", "hard", _reset),
    "end": Fault("T02", "hard", _end),
    "blackhole": Fault("T03", "silent", _blackhole),
    "stall": Fault("T04", "silent", _stall),
    "mute": Fault("T04", "muted", _inject("mute", "book", "trades", "ticker")),
    "mute_market": Fault("T04", "muted", _mute_market),
    "quiet": Fault("T05", "pause", _quiet),
    "drip": Fault("T06", "silent", _drip),
    "slices": Fault("T07", "bytes", _slices),
    "uneven": Fault("T08", "pause", _delay),
    "untrusted": Fault("T09", "fatal", _no_new("untrusted")),
    "dns": Fault("T10", "refused", _dns),
    "refuse": Fault("T10", "refused", _no_new("refuse")),
    "v6": Fault("T11", "hard", _v6),
    "proxy_refuses": Fault("T12", "refused", _proxy_refuses),
    "proxy_idle": Fault("T12", "pause", _quiet),
    "handshake_5xx": Fault("T13", "refused", _turned_away(500, 502, 503, 504, most=3)),
    "handshake_banned": Fault("T14", "banned", _turned_away(403, 418, 429, most=2)),
    "handshake_4xx": Fault("T15", "fatal", _turned_away(400, 404, 301, most=1)),
    "shutdown": Fault("T16", "planned", _inject("shutdown")),
    "close": Fault("T17", "hard", _inject("close", *CLOSE_CODES)),
    "oversize": Fault("T18", "bytes", _inject("frame", "oversize")),
    "compressed": Fault("T19", "bytes", _inject("frame", "compressed")),
    "bad_frame": Fault("T20", "bytes", _inject("frame", *sorted(BAD_FRAMES))),
    "spoil": Fault("T20", "bytes", _spoil),
    "pings": Fault("T21", "bytes", _inject("pings")),
    "pause": Fault("T03", "pause", _pause),
    "sleep": Fault("T23", "silent", _sleep),
    "unplug": Fault("T24", "hard", _unplug),
    "delay": Fault("T07", "pause", _delay),
}
"""Faults of the way to a venue and of its connections."""

OPTIONS: dict[str, dict[str, object]] = {
    "uneven": {"redundancy": 2},
    "proxy_refuses": {"proxied": True},
    "proxy_idle": {"proxied": True, "ticker": False},
}
"""What a world needs for some of them."""

OTHERS: dict[str, Fault] = {
    "drop": Fault("P15", "data", _inject("drop")),
    "dup": Fault("P16", "data", _inject("dup")),
    "reorder": Fault("P15", "data", _inject("reorder")),
    "corrupt": Fault("P01", "data", _inject("corrupt")),
    "checksum": Fault("P23", "data", _inject("checksum")),
    "digits": Fault("P29", "data", _digits),
    "step": Fault("C14", "data", _step),
    "resubscribe": Fault("C04", "pause", _resubscribe),
}
"""Faults of data, and of the machine the feed runs on."""

FAULTS = {name: fault for name, fault in (TRANSPORT | OTHERS).items() if name not in OPTIONS}
"""What can happen to any world."""
