"""TRL: `GD2POTrainer` where `GRPOTrainer` was.

TRL gathers the rewards of all processes in `_calculate_rewards` and computes the advantages inline in
`_generate_and_score_completions`. The trainer keeps the matrix that the first returns and replaces the advantages that
the second returned; with dynamic sampling it calls that again for what has to be replaced. `_prepare_inputs` deals
rollouts into micro-batches, which may be dealt anew by length. `_compute_loss` gets the rows that have a gradient, once
per reward where gradients are coordinated, and then `_get_per_token_logps_and_entropies` returns the same forward pass
each time. Everything else is TRL's. All five are private, so the versions of TRL are pinned and contract tests hold
what is relied on.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gd2po.core import AdvantageResult
from gd2po.core.families import family_labels
from gd2po.core.metrics import PREFIX
from gd2po.errors import ConfigError, InvalidTypeError, MissingDependencyError
from gd2po.integrations.trl.dynamic_sampling import FilledBatch
from gd2po.integrations.trl.gradient_coordination import GradientCoordinator, check_coordination
from gd2po.integrations.trl.micro_batches import by_length, reason_to_leave_mixed
from gd2po.integrations.trl.rows import COMPONENTS, loss_mask
from gd2po.integrations.trl.zero_advantage import has_rotary_positions, reason_to_keep_all, reduce_inputs
from gd2po.report.wording import counted
from gd2po.rewards.guard import guarded
from gd2po.runs.files import write_text

try:
    from accelerate.logging import get_logger
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
    from trl import GRPOTrainer

    from gd2po.integrations.session import Session
    from gd2po.integrations.trainer_session import HostedSession, show_in_table
    from gd2po.integrations.trl.config import GD2POConfig
    from gd2po.integrations.trl.hub import ROLLOUTS, leaving_out
    from gd2po.integrations.trl.model_card import CardFacts, model_card
    from gd2po.integrations.trl.reward_settings import ScheduleGuard, check_rewards, reward_name, weights_as_numbers
    from gd2po.integrations.trl.sampler import DynamicSampler, sampling_metrics
except ImportError as error:
    raise MissingDependencyError(f"GD2POTrainer needs TRL: pip install 'gd2po[trl]' ({error}).") from error

logger = get_logger(__name__)

SESSION = "gd2po_state.json"
"""In a checkpoint: what the run knows of its batches so far."""

AGREEMENT = "gd2po_agreement.json"
"""What 0.2 wrote in its place: the agreement alone."""


class GD2POTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's `GRPOTrainer` with the advantages of GD²PO, GDPO or GRPO.

    Every argument is TRL's; `args` is a `GD2POConfig`. Each step logs, beside TRL's metrics, what the method did to
    each reward under `conflict/...` (docs/metrics.md), and TRL's completions table shows these advantages.

    Raises:
        InvalidTypeError: `args` is a plain `GRPOConfig`, or a reward is neither a function nor a model.
        RewardFunctionError: during training, when a reward function raises or returns anything but one finite number
            or None per completion.

    Example:
        ```python
        from gd2po import GD2POConfig, GD2POTrainer

        trainer = GD2POTrainer(
            model="Qwen/Qwen2.5-1.5B-Instruct",
            reward_funcs=[correctness, brevity],
            args=GD2POConfig(output_dir="runs/mine", snr_threshold=0.5),
            train_dataset=dataset,
        )
        trainer.train()
        ```

    Source:
        GD²PO (arXiv:2606.16771), GDPO (arXiv:2601.05242), GRPO (arXiv:2402.03300).
    """

    _tag_names = ["trl", "grpo", "gd2po"]  # noqa: RUF012  # TRL declares it so
    _name = "GD2PO"
    _buffered_inputs: list[dict[str, Any]] | None

    def __init__(self, model: Any, reward_funcs: Any = None, args: GD2POConfig | None = None, **kwargs: Any) -> None:
        if args is None:
            args = GD2POConfig(output_dir="gd2po_output")
        if not isinstance(args, GD2POConfig):
            raise InvalidTypeError(
                f"`args` must be a GD2POConfig: got {type(args).__name__}. It takes every argument of GRPOConfig."
            )
        several = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
        checked = [_checked(func, args.reward_timeout) for func in several]
        brings_rewards = kwargs.get("environment_factory") is not None  # of names that TRL finds out
        names = [] if reward_funcs is None else [reward_name(func) for func in several]
        args = args.with_weights_in_order(names)
        if reward_funcs is not None and not brings_rewards:
            check_rewards(args, names, len(several))  # before TRL loads the model
        with weights_as_numbers(args):
            super().__init__(model, checked if reward_funcs is not None else None, args, **kwargs)
        if brings_rewards:
            check_rewards(args, self.reward_func_names, 0 if reward_funcs is None else len(several))
        duplicates = {name for name in self.reward_func_names if self.reward_func_names.count(name) > 1}
        if duplicates:
            raise ConfigError(
                f"Two reward functions are called {duplicates.pop()!r}: logs and reports would mix them up. Give each "
                "its own `__name__`."
            )
        self._gathered_rewards: Tensor | None = None
        logs_here = args.log_rollouts and self.accelerator.is_main_process
        weights = args.weights()
        self._session = Session(
            args.setting(),
            self.reward_func_names,
            None if weights is None else weights.for_rewards(len(self.reward_func_names)),
            log_folder=args.output_dir if logs_here else None,
            reward_conditions=args.conditions(),
            reward_families=family_labels(args.reward_families, self.reward_func_names, "reward_families"),
        )
        self._hosted = HostedSession(self, self._session)
        if weights is not None:
            self.add_callback(ScheduleGuard(weights))
        self._skips: bool | None = None if args.skip_zero_advantage else False
        """Whether rows without advantage are left out; None until the first batch tells whether they can be."""
        self._sorts: bool | None = None if args.micro_batches_by_length else False
        """Whether micro-batches are by length; None until the first batch tells whether they can be."""
        self._sampler = DynamicSampler(self, self._session) if args.dynamic_sampling else None
        self._said_bound = False
        self._coordinator = None
        if args.gradient_coordination != "none":
            check_coordination(self, self._session)
            trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            self._coordinator = GradientCoordinator(args.gradient_coordination, self.reward_func_names, trained)
        self.card_facts = CardFacts()
        self._forward: list[Any] | None = None
        """The forward pass that the losses of several rewards share; None where each loss has its own."""

    def idle_rewards(self) -> dict[str, str]:
        """The rewards that have taught nothing so far, and why: "never applied", or "never told rollouts apart"."""
        return self._session.tally.idle(self.reward_func_names)

    def create_model_card(
        self, model_name: str | None = None, dataset_name: str | None = None, tags: str | list[str] | None = None
    ) -> None:
        """Write the model card, README.md, into the output folder. TRL and `push_to_hub` call it with every save.

        Args:
            model_name: of the policy; the folder's name unless given.
            dataset_name: of the prompts; `card_facts.dataset` unless given.
            tags: beside TRL's and the method's.
        """
        if self.is_world_process_zero():
            folder = Path(self.args.output_dir)
            facts = replace(self.card_facts, dataset=dataset_name or self.card_facts.dataset)
            card = model_card(self, model_name or folder.name, facts, [tags] if isinstance(tags, str) else tags or ())
            write_text(folder / "README.md", card)

    def push_to_hub(self, *args: Any, **kwargs: Any) -> Any:
        """As TRL's, but prompts and completions stay here unless `hub_rollouts` is set."""
        with leaving_out(() if self.args.hub_rollouts else ROLLOUTS):
            return super().push_to_hub(*args, **kwargs)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        with leaving_out(() if self.args.hub_rollouts else ROLLOUTS):
            super()._push_from_checkpoint(checkpoint_folder)

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        rewards: Tensor = super()._calculate_rewards(*args, **kwargs)
        self._gathered_rewards = rewards
        return rewards

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        batches = self._buffered_inputs
        if not self.model.training or batches is None or batches is before or not self._sorts_by_length(batches[0]):
            return inputs
        self._buffered_inputs = by_length(batches, rotary=self._rotary)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        weights = self._hosted.start_step()
        self.reward_weights = torch.tensor(weights, dtype=torch.float32)  # TRL logs with them too
        if self._sampler is not None and self.model.training:
            output, rewards, found = self._sampler.filled(inputs, self._generate_once)
            self._record_sampling(found)
        else:
            output, rewards = self._generate_once(inputs)
        group_ids = self._hosted.group_ids(rewards)
        token_counts = self.accelerator.gather(loss_mask(output).sum(1))
        result = self._hosted.advantages(rewards, group_ids, token_counts)
        # TRL's policy losses are proportional to a positive factor of the advantage, so a weight of the loss is one.
        output["advantages"] = self._hosted.rows_here(result.loss_advantages, len(inputs))
        if self._coordinator is not None and self.model.training:
            assert result.advantage_components is not None  # `check_coordination` has asked the method
            parts = result.advantage_components * result.loss_weight[:, None]
            output[COMPONENTS] = self._hosted.rows_here(parts, len(inputs))
        self._record(rewards, group_ids, result, token_counts)
        return output

    def _generate_once(self, inputs: list[dict[str, Any]]) -> tuple[dict[str, Any], Tensor]:
        """What TRL makes of the prompts, and the rewards (N, K) of all processes."""
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        rewards, self._gathered_rewards = self._gathered_rewards, None
        assert rewards is not None  # _calculate_rewards ran just now
        return output, rewards

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.args.should_save:  # first, since the trainer's own state is what completes a checkpoint
            folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
            write_text(folder / SESSION, json.dumps(self._session.state()))
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.restore_session(checkpoint)

    def restore_session(self, checkpoint: str | Path) -> None:
        """Take from a checkpoint what it knows of the batches before it. Resuming does so.

        Args:
            checkpoint: its folder; one that lacks the file leaves everything as it is.

        Raises:
            InvalidInputError: the file is of other rewards, or something else.
        """
        session, agreement = Path(checkpoint, SESSION), Path(checkpoint, AGREEMENT)
        if session.is_file():
            self._session.restore(json.loads(session.read_text(encoding="utf-8")))
        elif agreement.is_file():
            self._session.restore({"agreement": json.loads(agreement.read_text(encoding="utf-8"))})

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        factor: float | Tensor = 1.0
        if self.model.training and self._leaves_out(inputs):
            reduced = reduce_inputs(inputs, loss_type=self.loss_type, rotary=self._rotary, accelerator=self.accelerator)
            self._metrics["train"][f"{PREFIX}/skipped_rows"].append(reduced.skipped_rows)
            self._metrics["train"][f"{PREFIX}/skipped_tokens"].append(reduced.skipped_tokens)
            inputs, factor = reduced.inputs, reduced.loss_factor
        if self._coordinator is not None and COMPONENTS in inputs:
            return self._coordinated_loss(self._coordinator, model, inputs, factor)
        loss: Tensor = super()._compute_loss(model, inputs)
        return loss * factor

    def _coordinated_loss(
        self, coordinator: GradientCoordinator, model: Any, inputs: dict[str, Any], factor: float | Tensor
    ) -> Tensor:
        """The sum of the rewards' losses. Its backward pass does nothing: the gradients are taken here."""
        components = inputs[COMPONENTS]

        def loss_of(reward: int) -> Tensor:
            own = {**inputs, "advantages": components[:, reward]}
            return super(GD2POTrainer, self)._compute_loss(model, own) * factor  # type: ignore[no-any-return]

        rewards = (components != 0).any(0).nonzero()[:, 0].tolist()
        loss: Tensor
        if not rewards:  # nothing to tell apart, and a gradient of zeros
            loss = super()._compute_loss(model, inputs)
        else:
            self._forward = []
            try:
                loss = coordinator.add(loss_of, rewards).requires_grad_()
            finally:
                self._forward = None
        if self.accelerator.sync_gradients:
            for name, value in coordinator.combine().items():
                self._metrics["train"][name].append(value)
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        if self._forward is None:
            return super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if not self._forward:
            self._forward.append(super()._get_per_token_logps_and_entropies(*args, **kwargs))
        return self._forward[0]

    def _leaves_out(self, inputs: dict[str, Any]) -> bool:
        """Whether rows without advantage are left out, found out and said once."""
        if self._skips is None:
            reason = reason_to_keep_all(self, inputs)
            self._skips = reason is None
            if reason is not None:
                logger.warning(f"`skip_zero_advantage` is off: {reason}.")
        return self._skips

    def _sorts_by_length(self, inputs: dict[str, Any]) -> bool:
        """Whether micro-batches are by length, found out and said once."""
        if self._sorts is None:
            reason = reason_to_leave_mixed(self, inputs)
            self._sorts = reason is None
            if reason is not None:
                logger.warning(f"`micro_batches_by_length` is off: {reason}.")
        return self._sorts

    @cached_property
    def _rotary(self) -> bool:
        return has_rotary_positions(self.accelerator.unwrap_model(self.model))

    def _record_sampling(self, found: FilledBatch) -> None:
        """Log how the batch was filled, and say once if it could not be."""
        for name, value in sampling_metrics(found, self.num_generations).items():
            self._metrics["train"][name].append(value)
        if found.left_silent and not self._said_bound:
            self._said_bound = True
            groups = counted(found.left_silent, "group")
            logger.warning(
                f"`dynamic_sampling`: after {found.gen_batches} generation batches (`max_num_gen_batches`) {groups} of "
                f"{len(found.batch.rewards) // self.num_generations} still had no signal; the run trains on the batch "
                "as it is. Easier or harder prompts, a higher temperature, or more rollouts per prompt would help. "
                "(Said once.)"
            )

    def _record(self, rewards: Tensor, group_ids: Tensor, result: AdvantageResult, token_counts: Tensor) -> None:
        """Log the batch, in TRL's completions table too."""
        texts = show_in_table(self._logs, result)
        self._hosted.record(rewards, group_ids, result, token_counts, **texts)


def _checked(reward_func: Any, timeout: float | None) -> Any:
    """A reward function, guarded; a reward model, which TRL takes as a module or by name, as it is."""
    if reward_func is None or isinstance(reward_func, (str, torch.nn.Module)):
        return reward_func
    if not callable(reward_func):
        raise InvalidTypeError(
            f"`reward_funcs` must be functions, or models by name or as modules: got {type(reward_func).__name__} "
            f"{reward_func!r}."
        )
    return guarded(reward_func, timeout)
