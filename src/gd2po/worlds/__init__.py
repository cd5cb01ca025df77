"""Worlds: simulated settings whose truth is known, so that a method can be judged in seconds. See docs/worlds.md."""

from gd2po.worlds.catalogue import WORLDS
from gd2po.worlds.declaration import Goal, Reward, World
from gd2po.worlds.error_models import BlindSpot, Flips, Gaussian, RareGross, StudentT, Tilt
from gd2po.worlds.simulation import WorldRun, simulate

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
    "simulate",
]
