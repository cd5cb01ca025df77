"""GD²PO: reinforcement learning on several rewards that disagree.

The advantage functions and their diagnostics need torch alone and load with their first use; so do the trainer and its
configuration, which need `gd2po[trl]`.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from gd2po.lazy import lazy_name

if TYPE_CHECKING:
    from gd2po.core import (
        METHODS,
        AdvantageResult,
        BatchDiagnostics,
        Condition,
        ConstantSchedule,
        CosineSchedule,
        LinearSchedule,
        Method,
        Setting,
        StepSchedule,
        advantages,
        binary_snr_ceiling,
        conditioned_rewards,
        consensus_advantages,
        corr_grpo_advantages,
        dara_advantages,
        diagnose_batch,
        dr_grpo_advantages,
        dvao_advantages,
        gd2po_advantages,
        gdpo_advantages,
        gdpo_corr_advantages,
        gradient_coefficients,
        grpo_advantages,
        mo_grpo_advantages,
        reinforce_plus_plus_baseline_advantages,
        reward_varies_mask,
        rloo_advantages,
        rvpo_advantages,
        sa_mrpo_advantages,
        saw_advantages,
    )
    from gd2po.integrations.trl.config import GD2POConfig
    from gd2po.integrations.trl.trainer import GD2POTrainer

__version__ = metadata.version("gd2po")

__all__ = [
    "METHODS",
    "AdvantageResult",
    "BatchDiagnostics",
    "Condition",
    "ConstantSchedule",
    "CosineSchedule",
    "GD2POConfig",
    "GD2POTrainer",
    "LinearSchedule",
    "Method",
    "Setting",
    "StepSchedule",
    "__version__",
    "advantages",
    "binary_snr_ceiling",
    "conditioned_rewards",
    "consensus_advantages",
    "corr_grpo_advantages",
    "dara_advantages",
    "diagnose_batch",
    "dr_grpo_advantages",
    "dvao_advantages",
    "gd2po_advantages",
    "gdpo_advantages",
    "gdpo_corr_advantages",
    "gradient_coefficients",
    "grpo_advantages",
    "mo_grpo_advantages",
    "reinforce_plus_plus_baseline_advantages",
    "reward_varies_mask",
    "rloo_advantages",
    "rvpo_advantages",
    "sa_mrpo_advantages",
    "saw_advantages",
]

_HOMES = {
    **dict.fromkeys(__all__, "gd2po.core"),
    "GD2POConfig": "gd2po.integrations.trl.config",
    "GD2POTrainer": "gd2po.integrations.trl.trainer",
}


def __getattr__(name: str) -> Any:
    # So that `gd2po --help` starts without torch and the core without the training stack.
    return lazy_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
