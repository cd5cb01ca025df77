"""axolotl: a plug-in that puts gd2po's advantages into axolotl's own GRPO trainers.

`plugins: [gd2po.integrations.axolotl.Plugin]` in the configuration, with `rl: grpo` and a section `gd2po`. The plug-in
names the trainer class (`trainer_cls`), whose advantages are then those of the section. The synchronous trainer is
TRL's: rewards come from `_calculate_rewards`, advantages are replaced in what `_generate_and_score_completions`
returns. The asynchronous trainers score in `_compute_deferred_scores` and call `_post_advantage_hook`, made to be
overridden, before the replay buffer keeps a copy. These four are private, so axolotl's version is pinned.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.errors import ConfigError, MissingDependencyError
from gd2po.integrations.components import refuse
from gd2po.integrations.trainer_session import TrainerSession, show_in_table

try:
    from axolotl.core.trainers.grpo.trainer import AxolotlAsyncGRPOTrainer, AxolotlGRPOTrainer
    from axolotl.integrations.base import BasePlugin
    from pydantic import BaseModel
except ImportError as error:
    raise MissingDependencyError(
        f"The axolotl plug-in needs axolotl: pip install axolotl==0.19.0 ({error})."
    ) from error

_NO_EFFECT = "has no effect beside the section `gd2po`, whose method scales and joins the rewards: leave it out"
_RULES: dict[str, tuple[tuple[Any, ...], str]] = {
    "rl": (("grpo",), "must be 'grpo' with gd2po's plug-in, whatever the method"),
    "context_parallel_size": (
        (None, 0, 1),
        "splits rollouts over processes in a trainer of its own, which gd2po does not reach: leave it out",
    ),
    "trl.scale_rewards": ((None, True, "group"), _NO_EFFECT),
    "trl.multi_objective_aggregation": ((None, "sum_then_normalize"), _NO_EFFECT),
    "trl.streaming_partial_batch": (
        (None, False),
        "scores a few groups at a time, and the methods look at the whole batch: leave it out",
    ),
}


class Arguments(BaseModel):  # type: ignore[misc]
    """What the plug-in adds to axolotl's configuration."""

    gd2po: dict[str, Any] | None = None


class Plugin(BasePlugin):  # type: ignore[misc]
    """The plug-in, for `plugins` in axolotl's configuration."""

    def register(self, cfg: Any) -> None:
        """Name the trainer class, and refuse what would undo its advantages."""
        trl = cfg.get("trl") or {}
        refuse({**cfg, **{f"trl.{name}": value for name, value in trl.items()}}, _RULES)
        runs_async = trl.get("async_prefetch") or trl.get("use_data_producer")
        ours = f"{__name__}.{'AsyncTrainer' if runs_async else 'Trainer'}"
        if cfg.get("trainer_cls") not in (None, ours):
            raise ConfigError(f"`trainer_cls` is named by gd2po's plug-in: leave it out. It is {cfg['trainer_cls']!r}.")
        cfg["trainer_cls"] = ours

    def get_input_args(self) -> str:
        """The class of the arguments that axolotl's configuration takes."""
        return f"{__name__}.Arguments"

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        """Give the trainer its session."""
        if isinstance(trainer, _Advantages):
            trainer.gd2po = TrainerSession(trainer, cfg.gd2po, "gd2po")


class _Advantages:
    """Replaces the advantages of a trainer that computes rewards in `_calculate_rewards`."""

    gd2po: TrainerSession
    _rewards: Tensor

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        self._rewards = super()._calculate_rewards(*args, **kwargs)  # type: ignore[misc]
        return self._rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        batch = self._batch(output, self._rewards)
        output["advantages"] = self.gd2po.rows_here(batch[2].loss_advantages, len(output["advantages"]))
        self._record(*batch)
        return output

    def _batch(self, output: dict[str, Any], rewards: Tensor) -> tuple[Tensor, Tensor, AdvantageResult, Tensor]:
        """Rewards (N, K), groups (N,), result and token counts (N,) of all processes."""
        mask = output["completion_mask"] * output.get("tool_mask", 1)
        tokens = mask.sum(1)
        if len(tokens) < len(rewards):  # in one of axolotl's modes each process holds the whole batch
            tokens = self.accelerator.gather(tokens)  # type: ignore[attr-defined]
        group_ids = self.gd2po.group_ids(rewards)
        return rewards, group_ids, self.gd2po.advantages(rewards, group_ids, tokens), tokens

    def _record(self, rewards: Tensor, group_ids: Tensor, result: AdvantageResult, tokens: Tensor) -> None:
        texts = show_in_table(self._logs, result)  # type: ignore[attr-defined]
        self.gd2po.record(rewards, group_ids, result, tokens, **texts)


class Trainer(_Advantages, AxolotlGRPOTrainer):  # type: ignore[misc]
    """axolotl's GRPO trainer with gd2po's advantages."""


class AsyncTrainer(_Advantages, AxolotlAsyncGRPOTrainer):  # type: ignore[misc]
    """axolotl's asynchronous GRPO trainer with gd2po's advantages."""

    def _post_advantage_hook(
        self, data: dict[str, Any], rewards_per_func: Tensor, advantages: Tensor, *args: Any, **kwargs: Any
    ) -> None:
        self._scored = self._batch(data, rewards_per_func)
        data["advantages"] = self.gd2po.rows_here(self._scored[2].loss_advantages, len(advantages))
        super()._post_advantage_hook(data, rewards_per_func, data["advantages"], *args, **kwargs)

    def _compute_deferred_scores(self, rollout: dict[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = super()._compute_deferred_scores(rollout)
        self._record(*self._scored)
        return data
