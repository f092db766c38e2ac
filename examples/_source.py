"""What the examples share: their two options, and a simulator in place of the real venues."""

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import marketfeed as mf


def options(about: str | None) -> argparse.Namespace:
    """`--sim` for simulated venues, `--seconds N` to stop by itself."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(
        "--sim", action="store_true", help="made-up prices from a simulator in this process, no network"
    )
    parser.add_argument("--seconds", type=float, default=None, help="stop after so long; without it, on Ctrl-C")
    return parser.parse_args()


def run(main: Callable[[bool, float | None], Coroutine[None, None, None]], about: str | None) -> None:
    """Run `main(sim, seconds)` until it ends or Ctrl-C; what a user can mend is told in one line."""
    chosen = options(about)
    try:
        mf.run(main(chosen.sim, chosen.seconds))
    except KeyboardInterrupt:
        print("stopped")
    except mf.MarketFeedError as exc:
        sys.exit(str(exc))


@asynccontextmanager
async def venues(sim: bool, *names: str) -> AsyncIterator[dict[str, mf.VenueSettings]]:
    """Settings for `mf.Feed`: none for the real venues, else the addresses of simulated ones."""
    if not sim:
        yield {}
        return
    from marketfeed.sim import Simulator  # noqa: PLC0415 # a live bot has no use for it

    print("SIMULATED: made-up prices")
    async with Simulator(names, rate=20) as plant:
        yield {name: mf.VenueSettings(ws=at.ws, rest=at.rest) for name, at in plant.endpoints.items()}
