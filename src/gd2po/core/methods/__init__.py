"""The methods, one file each, and the table that everything else asks: a new method is its file and a line here."""

from __future__ import annotations

from typing import Final

from gd2po.core.methods.base import Method
from gd2po.core.methods.consensus import CONSENSUS
from gd2po.core.methods.corr_grpo import CORR_GRPO
from gd2po.core.methods.dara import DARA
from gd2po.core.methods.dr_grpo import DR_GRPO
from gd2po.core.methods.dvao import DVAO
from gd2po.core.methods.gd2po import GD2PO
from gd2po.core.methods.gdpo import GDPO
from gd2po.core.methods.gdpo_corr import GDPO_CORR
from gd2po.core.methods.grpo import GRPO
from gd2po.core.methods.mo_grpo import MO_GRPO
from gd2po.core.methods.reinforce_plus_plus_baseline import REINFORCE_PLUS_PLUS_BASELINE
from gd2po.core.methods.rloo import RLOO
from gd2po.core.methods.rvpo import RVPO
from gd2po.core.methods.sa_mrpo import SA_MRPO
from gd2po.core.methods.saw import SAW

METHODS: Final[dict[str, Method]] = {
    method.name: method
    for method in (
        GRPO,
        DR_GRPO,
        RLOO,
        REINFORCE_PLUS_PLUS_BASELINE,
        CORR_GRPO,
        DVAO,
        GDPO,
        GD2PO,
        CONSENSUS,
        MO_GRPO,
        GDPO_CORR,
        DARA,
        SAW,
        SA_MRPO,
        RVPO,
    )
}
"""Every method by name, in the order of tables: first those that add the rewards up."""
