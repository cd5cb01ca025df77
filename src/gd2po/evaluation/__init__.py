"""Evaluation: pure scoring, the generation that it scores, and both together.

    evaluation = evaluate_api_bank("api_bank", PolicyChoice("runs/mine"))
    evaluation.scores["overall"].accuracy

Generating needs `gd2po[trl]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gd2po.lazy import lazy_name

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
    # The scoring functions need neither data sets nor reward models.
    return lazy_name(__name__, _HOMES, name)
