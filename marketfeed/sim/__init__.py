"""Simulated venues: real wire protocols over real sockets, on loopback, with the truth at hand.

    async with sim.Simulator(["kraken"], seed=7, rate=None) as plant:
        ...connect a client to plant.endpoints["kraken"]...
        await plant.step(100)
        plant.oracle("kraken", "BTC-USD").hash_at(key)

Prices are made up; nothing here is chosen unless asked for.
"""

from .capture import CaptureSource
from .faults import Faults
from .oracle import Oracle, level_hash
from .plant import Plant, Simulator
from .playback import CapturePlant, serve_capture
from .server import Endpoint

__all__ = [
    "CapturePlant",
    "CaptureSource",
    "Endpoint",
    "Faults",
    "Oracle",
    "Plant",
    "Simulator",
    "level_hash",
    "serve_capture",
]
