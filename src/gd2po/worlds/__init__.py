"""Worlds: simulated settings whose truth is known, so that a method can be judged in seconds. See docs/worlds.md.

Simulating needs torch alone. Comparing, in `gd2po.worlds.analysis`, needs numpy, which comes with `gd2po[report]`.
"""

from gd2po.worlds.catalogue import WORLDS
from gd2po.worlds.declaration import Goal, Reward, World
from gd2po.worlds.error_models import BlindSpot, Flips, Gaussian, RareGross, StudentT, Tilt
from gd2po.worlds.knobs import knobs, turned
from gd2po.worlds.reading import read_world, world_of
from gd2po.worlds.simulation import WorldRun, simulate
from gd2po.worlds.store import run_all

__all__ = [
    "WORLDS",
    "BlindSpot",
    "Flips",
    "Gaussian",
    "Goal",
    "RareGross",
    "Reward",
    "StudentT",
    "Tilt",
    "World",
    "WorldRun",
    "knobs",
    "read_world",
    "run_all",
    "simulate",
    "turned",
    "world_of",
]
