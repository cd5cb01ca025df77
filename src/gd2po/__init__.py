"""GD²PO: reinforcement learning on several rewards that disagree.

The advantage functions and their diagnostics need torch alone and load with their first use; so do the trainer and its
configuration, which need `gd2po[trl]`.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gd2po.core import (
        METHODS,
        AdvantageResult,
        BatchDiagnostics,
        Method,
        Setting,
        advantages,
        binary_snr_ceiling,
        diagnose_batch,
        gd2po_advantages,
        gdpo_advantages,
        grpo_advantages,
    )
    from gd2po.integrations.trl.config import GD2POConfig
    from gd2po.integrations.trl.trainer import GD2POTrainer

__version__ = metadata.version("gd2po")

__all__ = [
    "METHODS",
    "AdvantageResult",
    "BatchDiagnostics",
    "GD2POConfig",
    "GD2POTrainer",
    "Method",
    "Setting",
    "__version__",
    "advantages",
    "binary_snr_ceiling",
    "diagnose_batch",
    "gd2po_advantages",
    "gdpo_advantages",
    "grpo_advantages",
]

_HOMES = {
    "GD2POConfig": "gd2po.integrations.trl.config",
    "GD2POTrainer": "gd2po.integrations.trl.trainer",
    **dict.fromkeys(
        (
            "METHODS",
            "AdvantageResult",
            "BatchDiagnostics",
            "Method",
            "Setting",
            "advantages",
            "binary_snr_ceiling",
            "diagnose_batch",
            "gd2po_advantages",
            "gdpo_advantages",
            "grpo_advantages",
        ),
        "gd2po.core",
    ),
}


def __getattr__(name: str) -> Any:
    # Lazy (PEP 562), so that `gd2po --help` starts without torch and the core without the training stack.
    if name not in _HOMES:
        raise AttributeError(f"module 'gd2po' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
