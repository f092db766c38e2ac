"""The run of `sim`: servers that stand until they are stopped."""

import asyncio
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .. import sim
from ..errors import ConfigError
from ..sim.capture import Stream
from ..sim.instruments import INSTRUMENTS
from ..sim.plant import Plant
from . import _exit
from ._loop import Stop
from ._source import UNASKED

LOOK_S = 0.5
IDLE = {True: "3s", False: "30s"}
"""When `tail` is to end after a recording: before it takes silence for a lost link, which would play it again."""


async def venues(
    names: Sequence[str],
    *,
    port: int,
    seed: int,
    rate: float,
    symbols: list[str] | None,
    faults: str,
    block_time: float | None = None,
    retarget_every: int | None = None,
) -> int:
    """Serve made-up markets of these venues, all there are where none is named, and a chain where sources of it are."""
    stop = Stop()
    asked = list(dict.fromkeys(name.lower() for name in names)) or list(INSTRUMENTS)
    ports = {name: port + i if port else 0 for i, name in enumerate(asked)}
    chosen = {"block_time": block_time, "retarget_every": retarget_every}
    given = {name: value for name, value in chosen.items() if value is not None}
    chain = sim.ChainSettings(**given) if given else None  # type: ignore[arg-type]
    how: dict[str, Any] = {"seed": seed, "rate": rate, "symbols": symbols, "faults": faults, "keep": UNASKED}
    plant = sim.Simulator(asked, ports=ports, chain=chain, **how)
    async with _listening(plant):
        _say("SIMULATED: made-up prices")
        for name in asked:
            if name not in INSTRUMENTS:
                _tell_source(plant, name)
                continue
            listed = [one.symbol for one in INSTRUMENTS[name] if symbols is None or one.symbol in symbols]
            at = plant.endpoints[name]
            click.echo(f"{name}: {at.ws} {at.rest} ({', '.join(listed)})")
            click.echo(f"  {_command(['tail', listed[0], '--venue', name], name, at)}")
        await stop.wait()
    return stop.code or _exit.OK


def _tell_source(plant: sim.Simulator, name: str) -> None:
    """Where a source of the chain listens, and how to read it."""
    at = plant.endpoints[name]
    truth = plant.chain.truth
    words = f"{truth.coin} at block {truth.tip.height}, one every {plant.chain.block_time:g} s"
    click.echo(f"{name}: {' '.join(filter(None, (at.ws, at.rest)))} ({words})")
    secret = f"MARKETFEED_BITCOIND_AUTH={sim.BITCOIND_AUTH} " if name == "bitcoind" else ""
    command = ["mine", truth.coin, "--rig", "s21xp", "--electricity", "0.06", "--source", name]
    click.echo(f"  {secret}{_command(command, name, at)}")


async def recording(
    path: Path, *, venue: str | None, port: int, faults: str, once: bool, speed: float | None, quiet: bool
) -> int:
    """Serve a recording, to each client that asks for all it holds."""
    stop = Stop()
    plant = sim.serve_capture(path, venue, faults=faults, port=port, once=False, speed=speed)
    async with _listening(plant):
        source = plant.source
        at = plant.endpoints[source.venue]
        click.echo(f"{source.venue}: {at.ws} {at.rest}")
        words = [*source.tail_command(), "--json", "--idle-timeout", IDLE[speed is None]]
        click.echo(f"  {_command(words, source.venue, at)}")
        finished = asyncio.ensure_future(plant.finished())
        told: set[Stream] = set()
        while stop.code is None and not finished.done():
            await stop.wait(finished, timeout_s=LOOK_S)
            told = told if quiet else _tell_missing(plant, told)
        if finished.done() and not quiet:
            _say("a client has had the whole recording")
        if not once:
            await stop.wait()
        finished.cancel()
    return stop.code or _exit.OK


def _tell_missing(plant: sim.CapturePlant, told: set[Stream]) -> set[Stream]:
    """Say once why nothing is sent to a client: it has not asked for all that the recording holds."""
    missing = plant.missing()
    everything = set(plant.source.streams)
    if missing and missing != everything and missing != told:
        names = ", ".join(f"{symbol} {kind}" for symbol, kind in sorted(missing))
        _say(f"nothing is sent yet: the client has not asked for {names}")
        return missing
    return told


class _listening:  # noqa: N801 # used as a function
    """A running plant. Raises ConfigError where its port is taken."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    async def __aenter__(self) -> None:
        logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # a client that goes away is no error of ours
        try:
            await self._plant.__aenter__()
        except OSError as exc:
            raise ConfigError(f"cannot listen: {exc.strerror or exc}; choose another --port") from exc

    async def __aexit__(self, *exc: object) -> None:
        await self._plant.__aexit__(None, None, None)


def _command(words: Sequence[str], venue: str, at: sim.Endpoint) -> str:
    return shlex.join(["marketfeed", *words, "--endpoint", f"{venue}={at.ws},{at.rest}"])


def _say(text: str) -> None:
    click.echo(f"marketfeed: {text}", err=True)
