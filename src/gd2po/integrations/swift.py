"""ms-swift: its own GRPO trainer with gd2po's advantages.

A plug-in file of yours calls `register` with the settings, and `swift rlhf --rlhf_type grpo --external_plugins FILE`
loads it in every process, before ms-swift looks up its trainer class. The trainer replaces what `_compute_advantages`
returns. That method is private, so ms-swift's version is pinned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gd2po.errors import ConfigError, MissingDependencyError
from gd2po.integrations.components import number_groups, refuse
from gd2po.integrations.trainer_session import TrainerSession

try:
    from accelerate.utils import gather_object
    from swift.rlhf_trainers.grpo_trainer import GRPOTrainer
    from swift.trainers.trainer_factory import TrainerFactory
except ImportError as error:
    raise MissingDependencyError(f"This needs ms-swift: pip install 'gd2po[ms-swift]' ({error}).") from error

_NO_EFFECT = "has no effect here, since the method of gd2po says how rewards become advantages: leave it out"
_RULES: dict[str, tuple[tuple[Any, ...], str]] = {
    "advantage_estimator": (("grpo",), _NO_EFFECT),
    "scale_rewards": (("group",), _NO_EFFECT),
    "kl_in_reward": ((False, None), "takes a penalty off the sum of the rewards, and there is no sum: set it to false"),
    "advantage_reweight": ((None,), "would change the advantages afterwards: leave it out"),
    "sequence_parallel_size": ((1,), "splits rollouts over processes, which gd2po does not follow: set it to 1"),
}

_section: dict[str, Any] = {}


def register(**section: Any) -> None:
    """Make ms-swift train with gd2po's advantages.

    Args:
        section: the keys of the section `gd2po` (docs/integrations.md) without `reward_keys`: the rewards are the ones
            of `--reward_funcs` and `--reward_model`, by ms-swift's names.

    Example:
        ```python
        from gd2po.integrations.swift import register

        register(method="gd2po", snr_threshold=0.5, log_folder="runs/mine")
        ```
    """
    _section.clear()
    _section.update(section)
    TrainerFactory.TRAINER_MAPPING["grpo"] = f"{__name__}.GD2POTrainer"


class GD2POTrainer(GRPOTrainer):  # type: ignore[misc]
    """ms-swift's `GRPOTrainer` with the advantages of the registered settings.

    Raises:
        ConfigError: the settings are wrong, or a setting of ms-swift would undo them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = {**vars(kwargs["args"]), "sequence_parallel_size": kwargs["template"].sequence_parallel_size}
        refuse(settings, _RULES)
        super().__init__(*args, **kwargs)
        if not self.reward_func_names:
            raise ConfigError("`reward_funcs` is empty: gd2po joins rewards, and a teacher alone gives none.")
        self._gd2po = TrainerSession(self, _section, "register")

    def _compute_advantages(
        self, samples: list[Any], rewards_per_func: Tensor, batch_encoded_inputs: list[dict[str, Any]]
    ) -> Tensor:
        super()._compute_advantages(samples, rewards_per_func, batch_encoded_inputs)  # for ms-swift's own logs
        masks = [batch["grpo_batch"].completion_mask.sum(1) for batch in batch_encoded_inputs]
        tokens = self.accelerator.gather(torch.cat(masks))
        texts = gather_object([(one.messages[:-1], one.messages[-1]["content"]) for one in samples])
        if self.dynamic_num_samples:  # several rows of one request are one rollout
            requests = gather_object([one.request_id for one in samples])
            groups = number_groups(gather_object([one.prompt_id for one in samples])).to(tokens.device)
            rollout_of_row = number_groups(requests).to(tokens.device)
        else:
            rollout_of_row = torch.arange(len(rewards_per_func), device=tokens.device)
            groups = rollout_of_row // self._gd2po.group_size
        last = torch.zeros(int(rollout_of_row.max()) + 1, dtype=torch.long, device=tokens.device)
        last = last.scatter_reduce(0, rollout_of_row, torch.arange(len(rollout_of_row), device=tokens.device), "amax")
        token_counts = torch.zeros_like(last, dtype=tokens.dtype).index_add(0, rollout_of_row, tokens)
        rewards, group_ids = rewards_per_func[last], groups[last]
        result = self._gd2po.advantages(rewards, group_ids, token_counts)
        prompts, completions = zip(*(texts[row] for row in last.tolist()), strict=True)
        self._gd2po.record(rewards, group_ids, result, token_counts, prompts=prompts, completions=completions)
        return result.loss_advantages[rollout_of_row]
