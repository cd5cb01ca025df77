"""What the numbers of a run can be. TRL trains for days on `max_steps` -5, and divides by a temperature of 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final

from gd2po.errors import ConfigError


@dataclass(frozen=True)
class Bound:
    """The numbers that a field takes; all are finite."""

    least: float
    most: float = math.inf
    whole: bool = False
    above: bool = False
    """`least` itself is too small."""
    below: bool = False
    """`most` itself is too large."""
    also: float | None = None
    """One that is taken as well, for its own meaning."""
    hint: str = ""

    def takes(self, value: Any) -> bool:
        """Whether a number is one of them."""
        if value == self.also:
            return True
        if not isinstance(value, int) and (not math.isfinite(value) or (self.whole and value != math.floor(value))):
            return False
        large = value > self.least if self.above else value >= self.least
        small = value < self.most if self.below else value <= self.most
        return bool(large and small)

    @property
    def words(self) -> str:
        """What they are, for messages.

        Example:
            >>> Bound(1, whole=True).words, Bound(0, 1, above=True).words
            ('a whole number of at least 1', 'a number above 0 and at most 1')
        """
        low = f"above {self.least:.10g}" if self.above else f"of at least {self.least:.10g}"
        high = "" if self.most == math.inf else f" and {'below' if self.below else 'at most'} {self.most:.10g}"
        return f"a {'whole ' if self.whole else ''}number {low}{high}"


_COUNT: Final = Bound(1, whole=True)
_COUNT_OR_NONE: Final = Bound(0, whole=True)
_POSITIVE: Final = Bound(0, above=True)
_NOT_NEGATIVE: Final = Bound(0)
_SHARE: Final = Bound(0, 1)
_BELOW_ONE: Final = Bound(0, 1, below=True)
_SEED: Final = Bound(0, 2**32 - 1, whole=True)
_PORT: Final = Bound(1, 65535, whole=True)

BOUNDS: Final[dict[str, Bound]] = {
    # how long, and how much at a time
    "max_steps": Bound(1, whole=True, also=-1, hint="-1 leaves the length of the run to `num_train_epochs`."),
    "num_train_epochs": _POSITIVE,
    "per_device_train_batch_size": _COUNT,
    "per_device_eval_batch_size": _COUNT,
    "gradient_accumulation_steps": _COUNT,
    "generation_batch_size": _COUNT,
    "steps_per_generation": _COUNT,
    "num_iterations": _COUNT,
    "dataset_size": _COUNT,
    "dataset_num_proc": _COUNT,
    "dataloader_num_workers": _COUNT_OR_NONE,
    "dataloader_prefetch_factor": _COUNT,
    "seed": _SEED,
    "data_seed": _SEED,
    # the optimizer
    "learning_rate": _NOT_NEGATIVE,
    "warmup_steps": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "max_grad_norm": _NOT_NEGATIVE,
    "adam_beta1": _BELOW_ONE,
    "adam_beta2": _BELOW_ONE,
    "adam_epsilon": _POSITIVE,
    "label_smoothing_factor": _SHARE,
    "lora_r": _COUNT,
    "lora_alpha": _POSITIVE,
    "lora_dropout": _BELOW_ONE,
    # completions
    "num_generations": Bound(2, whole=True, hint="Advantages compare a rollout with its group."),
    "num_generations_eval": _COUNT,
    "max_completion_length": _COUNT,
    "max_length": _COUNT,
    "max_tool_calling_iterations": _COUNT_OR_NONE,
    "temperature": Bound(0, above=True, hint="A group of equal completions has no advantages."),
    "top_p": Bound(0, 1, above=True),
    "top_k": Bound(0, whole=True, also=-1, hint="0 switches it off."),
    "min_p": _SHARE,
    "repetition_penalty": _POSITIVE,
    "vllm_gpu_memory_utilization": Bound(0, 1, above=True),
    "vllm_tensor_parallel_size": _COUNT,
    "vllm_max_model_length": _COUNT,
    "vllm_server_port": _PORT,
    "vllm_group_port": _PORT,
    "vllm_server_timeout": _POSITIVE,
    # the loss
    "beta": _NOT_NEGATIVE,
    "epsilon": _NOT_NEGATIVE,
    "epsilon_high": _NOT_NEGATIVE,
    "delta": _POSITIVE,
    "top_entropy_quantile": _SHARE,
    "ref_model_mixup_alpha": _SHARE,
    "ref_model_sync_steps": _COUNT,
    # logs, checkpoints, evaluations
    "logging_steps": _POSITIVE,
    "eval_steps": _POSITIVE,
    "save_steps": _POSITIVE,
    "save_total_limit": Bound(1, whole=True, hint="Leave it out to keep all checkpoints."),
    "eval_delay": _NOT_NEGATIVE,
    "eval_prompts": _COUNT_OR_NONE,
    "eval_every": _COUNT_OR_NONE,
    "reward_timeout": _POSITIVE,
}
"""By field, of `GD2POConfig`, `SFTConfig`, `ModelConfig` and the arguments of the commands alike."""


def require_meant(values: Mapping[str, Any]) -> None:
    """Raise for the first number that nobody can mean.

    Args:
        values: fields by name. Those without bounds, without a value, and texts, which name a mode, pass.

    Raises:
        ConfigError: names the field.

    Example:
        >>> require_meant({"max_steps": -5})
        Traceback (most recent call last):
        ...
        gd2po.errors.ConfigError: `max_steps` must be a whole number of at least 1, or -1: got -5. -1 leaves the ...
    """
    for name, value in values.items():
        bound = BOUNDS.get(name)
        if bound is None or value is None or isinstance(value, str):
            continue
        if isinstance(value, bool) or not isinstance(value, Real) or not bound.takes(value):
            also = "" if bound.also is None else f", or {bound.also:g}"
            raise ConfigError(f"`{name}` must be {bound.words}{also}: got {value!r}. {bound.hint}".rstrip())
