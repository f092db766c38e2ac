"""What the examples share: their options, how they end, and a simulator in place of the real venues."""

import argparse
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import marketfeed as mf


def options(about: str | None) -> argparse.Namespace:
    """`--sim` for simulated venues, `--seconds N` to stop by itself."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sim", action="store_true", help="made-up prices from a simulator in this process, no network"
    )
    parser.add_argument("--seconds", type=float, default=None, help="stop after so long; without it, on Ctrl-C")
    return parser.parse_args()


def run(main: Callable[[bool, float | None], Coroutine[None, None, None]], about: str | None) -> None:
    """Run `main(sim, seconds)` until it ends or Ctrl-C."""
    chosen = options(about)
    told(lambda: mf.run(main(chosen.sim, chosen.seconds)))


def run_on(main: Callable[[Path], None], about: str | None) -> None:
    """Run `main(folder)` on the recording that the command names, or `recorded`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default="recorded", help="of a recording; default: recorded")
    folder = parser.parse_args().folder
    told(lambda: main(folder))


def told(work: Callable[[], None]) -> None:
    """Do it; what a user can mend is told in one line, and a reader of a pipe who has had enough ends it."""
    try:
        work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("stopped")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is not written yet goes nowhere
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
