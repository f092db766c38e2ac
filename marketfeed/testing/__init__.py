"""A machine in which time costs nothing: for tests of feeds and bots, with the real protocols and no socket.

async def main():
    async with sim.Simulator(["kraken"], clock=LoopClock().unix_ns) as plant, Feed(...) as feed:
        ...an hour in a second...

run(main(), Network(seed=7))
"""

from .loop import LoopClock, VirtualLoop, run
from .network import Network
from .wire import Way

__all__ = ["LoopClock", "Network", "VirtualLoop", "Way", "run"]
