"""The methods themselves: pure functions on tensors. Needs torch and nothing else."""

from gd2po.core.gradients import gradient_coefficients
from gd2po.core.methods import METHODS
from gd2po.core.methods.base import Method
from gd2po.core.methods.consensus import consensus_advantages
from gd2po.core.methods.corr_grpo import corr_grpo_advantages
from gd2po.core.methods.dara import dara_advantages
from gd2po.core.methods.dr_grpo import dr_grpo_advantages
from gd2po.core.methods.dvao import dvao_advantages
from gd2po.core.methods.gd2po import gd2po_advantages
from gd2po.core.methods.gdpo import gdpo_advantages
from gd2po.core.methods.gdpo_corr import gdpo_corr_advantages
from gd2po.core.methods.grpo import grpo_advantages
from gd2po.core.methods.mo_grpo import mo_grpo_advantages
from gd2po.core.methods.reinforce_plus_plus_baseline import reinforce_plus_plus_baseline_advantages
from gd2po.core.methods.rloo import rloo_advantages
from gd2po.core.methods.rvpo import rvpo_advantages
from gd2po.core.methods.sa_mrpo import sa_mrpo_advantages
from gd2po.core.methods.saw import saw_advantages
from gd2po.core.result import AdvantageResult
from gd2po.core.schedules import ConstantSchedule, CosineSchedule, LinearSchedule, StepSchedule
from gd2po.core.setting import Setting, advantages
from gd2po.core.statistics import BatchDiagnostics, binary_snr_ceiling, diagnose_batch
from gd2po.core.transforms import Condition, conditioned_rewards, reward_varies_mask

__all__ = [
    "METHODS",
    "AdvantageResult",
    "BatchDiagnostics",
    "Condition",
    "ConstantSchedule",
    "CosineSchedule",
    "LinearSchedule",
    "Method",
    "Setting",
    "StepSchedule",
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
