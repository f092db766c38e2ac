"""Simulated venues: real wire protocols over real sockets, on loopback, with the truth at hand.

    async with sim.Simulator(["kraken"], seed=7, rate=None) as plant:
        ...connect a client to plant.endpoints["kraken"]...
        await plant.step(100)
        plant.oracle("kraken", "BTC-USD").hash_at(key)

Prices are made up; nothing here is chosen unless asked for.
"""

from .bitcoind import AUTH as BITCOIND_AUTH
from .capture import CaptureSource
from .chain import SimChain
from .chain_block import ChainStep, SimBlock
from .faults import Faults
from .oracle import Oracle, level_hash
from .plant import Plant
from .playback import CapturePlant, serve_capture
from .server import Endpoint
from .simulator import Simulator
from .sources import ChainSettings, Sources

__all__ = [
    "BITCOIND_AUTH",
    "CapturePlant",
    "CaptureSource",
    "ChainSettings",
    "ChainStep",
    "Endpoint",
    "Faults",
    "Oracle",
    "Plant",
    "SimBlock",
    "SimChain",
    "Simulator",
    "Sources",
    "level_hash",
    "serve_capture",
]
