"""Evaluation: pure scoring, the generation that it scores, and both together.

    evaluation = evaluate_api_bank("api_bank", PolicyChoice("runs/mine"))
    evaluation.scores["overall"].accuracy

Generating needs `gd2po[trl]`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gd2po.evaluation.run.api_bank import evaluate_api_bank
    from gd2po.evaluation.run.policy import PolicyChoice
    from gd2po.evaluation.run.result import Evaluation
    from gd2po.evaluation.run.safety import evaluate_safety
    from gd2po.evaluation.run.toolcalls import evaluate_toolcalls

__all__ = ["Evaluation", "PolicyChoice", "evaluate_api_bank", "evaluate_safety", "evaluate_toolcalls"]

_HOMES = {
    "Evaluation": "gd2po.evaluation.run.result",
    "PolicyChoice": "gd2po.evaluation.run.policy",
    "evaluate_api_bank": "gd2po.evaluation.run.api_bank",
    "evaluate_safety": "gd2po.evaluation.run.safety",
    "evaluate_toolcalls": "gd2po.evaluation.run.toolcalls",
}


def __getattr__(name: str) -> Any:
    # Lazy (PEP 562): the scoring functions need neither data sets nor reward models.
    if name not in _HOMES:
        raise AttributeError(f"module 'gd2po.evaluation' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
