"""A diagnosis: plain numbers by name, which the terminal, the page and the JSON all show.

A float that is None is undefined: a reward without signal has no correlation, a method that drops nothing no threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

from gd2po.diagnosis.model.families import FamilyMethod, FamilyNumbers, FamilyOrigin, FamilyRollout, FarScores
from gd2po.diagnosis.model.methods import ConditionNumbers, ConditionOrigin, Explorer, MethodNumbers, MethodSample
from gd2po.diagnosis.model.prompts import ShownGroup, ShownRollout
from gd2po.diagnosis.model.rewards import Course, OverallNumbers, PairKind, PairNumbers, RewardNumbers
from gd2po.diagnosis.model.source import HeldOut, HeldOutScore, Run, Source, WeightsOrigin
from gd2po.diagnosis.model.verdict import Action, Finding, Verdict, VerdictKind
from gd2po.report.intervals import Interval

__all__ = [
    "SCHEMA_VERSION",
    "Action",
    "ConditionNumbers",
    "ConditionOrigin",
    "Course",
    "Diagnosis",
    "Explorer",
    "FamilyMethod",
    "FamilyNumbers",
    "FamilyOrigin",
    "FamilyRollout",
    "FarScores",
    "Finding",
    "HeldOut",
    "HeldOutScore",
    "Interval",
    "MethodNumbers",
    "MethodSample",
    "OverallNumbers",
    "PairKind",
    "PairNumbers",
    "RewardNumbers",
    "Run",
    "ShownGroup",
    "ShownRollout",
    "Source",
    "Verdict",
    "VerdictKind",
    "WeightsOrigin",
]

SCHEMA_VERSION = 2
"""Of the JSON. It rises when a key changes its meaning or goes away; new keys leave it."""


@dataclass(frozen=True)
class Diagnosis:
    """Everything that is known about a log."""

    source: Source
    verdict: Verdict
    action: Action
    held_out: HeldOut | None
    """None where the log is in no run folder, or the run scored none."""
    rewards: list[RewardNumbers]
    pairs: list[PairNumbers]
    families: list[FamilyNumbers]
    """Those of two or more rewards."""
    overall: OverallNumbers
    conditions: list[ConditionNumbers]
    """What conditions would do, the rewards as given first; empty where there is nothing to condition."""
    methods: list[MethodNumbers]
    method_sample: MethodSample
    explorer: Explorer
    course: Course
    prompts: list[ShownGroup]
    version: str
    """Of gd2po."""
