"""`marketfeed sim`: simulated venues, or a recording served as one."""

from pathlib import Path

import click

from . import _options


@click.command("sim", short_help="Run simulated venues, or serve a recording as a venue.")
@click.argument("what", nargs=-1, metavar="[VENUE... | FILE]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N",
              help="Port of the first venue; the next ones count up. [default: any that is free]")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same market.")
@click.option("--rate", type=float, default=20.0, show_default=True, metavar="N", help="Market steps a second.")
@click.option("--symbols", metavar="A,B", help="List only these, as BTC-USD,ETH-USD.")
@click.option("--block-time", type=_options.Duration(), metavar="TIME",
              help="mempool, bitcoind: aimed at between two blocks. [default: 10s]")  # fmt: skip
@click.option("--retarget-every", type=click.IntRange(8, 1_000_000), metavar="N",
              help="mempool, bitcoind: blocks between two changes of difficulty. [default: 2016]")  # fmt: skip
@click.option("--fault", "faults", multiple=True, metavar="SPEC", help="What goes wrong, as drop=0.1%,stall@30s.")
@click.option("--venue", metavar="NAME", help="FILE: its venue, where no URL in it tells.")
@click.option("--once", is_flag=True, help="FILE: end when a client has had all of it.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), metavar="X",
              help="FILE: X times as fast as recorded. [default: as fast as it is read]")  # fmt: skip
@_options.QUIET
def command(
    what: tuple[str, ...],
    port: int,
    seed: int,
    rate: float,
    symbols: str | None,
    block_time: float | None,
    retarget_every: int | None,
    faults: tuple[str, ...],
    venue: str | None,
    once: bool,
    speed: float | None,
    quiet: bool,
) -> int:
    """Serve venues on this machine that speak the real ones' protocols, with made-up prices; or a recording.

    'mempool' and 'bitcoind' among them tell one made-up Bitcoin chain. Prints where they listen and the command that
    reads them. Ends with Ctrl-C.

    \b
    Examples:
      marketfeed sim
      marketfeed sim kraken binance --port 9001 --seed 7
      marketfeed sim kraken --fault drop=0.1%,checksum=0.1% --fault stall@30s
      marketfeed sim kraken mempool bitcoind --block-time 10s --fault mempool:lag=2@60s
      marketfeed sim kraken.jsonl.gz --once
    """
    from . import _exit, _loop, _serve  # noqa: PLC0415 # heavy

    fault = ",".join(faults)
    if len(what) == 1 and _is_file(what[0]):
        if not Path(what[0]).is_file():
            raise _exit.Failed(_exit.RECORDING, f"{what[0]}: there is no such file")
        return _loop.run(
            _serve.recording(Path(what[0]), venue=venue, port=port, faults=fault, once=once, speed=speed, quiet=quiet)
        )
    if venue or once or speed is not None:
        raise click.UsageError("--venue, --once and --speed go with a recording: marketfeed sim FILE")
    listed = [name.strip().upper() for name in symbols.split(",")] if symbols else None
    return _loop.run(
        _serve.venues(
            what,
            port=port,
            seed=seed,
            rate=rate,
            symbols=listed,
            faults=fault,
            block_time=block_time,
            retarget_every=retarget_every,
        )
    )


def _is_file(text: str) -> bool:
    return any(mark in text for mark in "./\\") or Path(text).is_file()
