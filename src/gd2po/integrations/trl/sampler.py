"""Dynamic sampling inside TRL's trainer: what it generates, logs and counts while a batch is being filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils.data import IterableDataset

from gd2po.core.metrics import PREFIX
from gd2po.errors import ConfigError
from gd2po.integrations.session import Session
from gd2po.integrations.trl.dynamic_sampling import (
    FilledBatch,
    GroupSignals,
    ReplacementPrompts,
    fill,
    groups_to_draw,
    rows_of_process,
)
from gd2po.integrations.trl.generated import Generated
from gd2po.integrations.trl.zero_advantage import has_rotary_positions

Generate = Callable[[list[dict[str, Any]]], tuple[dict[str, Any], Tensor]]
"""Prompts of this process to what TRL's loss takes, and the rewards (N, K) of all processes."""


class DynamicSampler:
    """Fills the batches of one trainer.

    Args:
        trainer: a `GRPOTrainer`, set up.
        session: of its run.

    Raises:
        ConfigError: data or a model that rollouts of several batches cannot be put together for.
    """

    def __init__(self, trainer: Any, session: Session) -> None:
        dataset = trainer.train_dataset
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
            raise ConfigError(
                "`dynamic_sampling` draws further prompts from the training data by number, and a streamed data set "
                "has none: load it as a whole, or set `dynamic_sampling` to false."
            )
        images = {"image", "images"} & set(getattr(dataset, "column_names", None) or ())
        if images:
            raise ConfigError(
                f"`dynamic_sampling` moves rollouts from batch to batch and cannot do that with images (column "
                f"{images.pop()!r}): set it to false."
            )
        if trainer.args.remove_unused_columns:
            dataset = trainer._remove_unused_columns(dataset, description="training")
        self._trainer, self._session = trainer, session
        self._prompts = ReplacementPrompts(dataset, trainer.args.seed)
        self._rotary = has_rotary_positions(trainer.accelerator.unwrap_model(trainer.model))

    def filled(self, inputs: list[dict[str, Any]], generate: Generate) -> tuple[dict[str, Any], Tensor, FilledBatch]:
        """Generate a batch and replace its groups without signal.

        Args:
            inputs: the prompts of this process.
            generate: TRL's own step.

        Returns:
            What TRL's loss takes, without advantages where groups were replaced; the rewards (N, K) of all processes;
            and how the batch was filled.
        """
        trainer = self._trainer
        self._prompts.start(trainer.state.global_step)
        output, first = self._generated(inputs, generate)
        self._require_rotary(output)
        metrics = trainer._metrics["train"]
        logged = {name: len(values) for name, values in metrics.items()}

        def draw(missing: int) -> Generated:
            processes, process = trainer.accelerator.num_processes, trainer.accelerator.process_index
            rows = self._prompts.take(groups_to_draw(missing, trainer.num_generations, processes))
            further = rows_of_process(rows, trainer.num_generations, process, processes)
            return self._generated(further, generate)[1]

        found = fill(
            first,
            draw=draw,
            judge=lambda batch: GroupSignals.of(self._session, batch, trainer.num_generations),
            group_size=trainer.num_generations,
            max_num_gen_batches=trainer.args.max_num_gen_batches,
        )
        # TRL's own metrics stay those of the batch as it was first drawn, which are about the policy on the data set.
        # The number of tokens counts all; TRL replaces it each time.
        for name, values in metrics.items():
            del values[logged.get(name, 0) :]
        self._put_back(found.batch)
        if found.batch is not first:
            output = found.batch.output(trainer.accelerator, trim=trainer.pad_to_multiple_of is None)
        return output, found.batch.rewards, found

    def _generated(self, inputs: list[dict[str, Any]], generate: Generate) -> tuple[dict[str, Any], Generated]:
        """What TRL makes of the prompts, and the same of all processes. TRL's completions table is left empty."""
        trainer = self._trainer
        self._put_back(None)
        output, rewards = generate(inputs)
        logs = {name: list(column) for name, column in self._table().items()}
        # A column of a reward function's own is missing where the function did not write it.
        for name, entries in logs.items():
            logs[name] = entries if len(entries) == len(rewards) else [None] * len(rewards)
        return output, Generated.gathered(output, rewards, logs, trainer.accelerator, trainer._tokenizer.pad_token_id)

    def _table(self) -> dict[str, Any]:
        """The columns of TRL's completions table by name, images aside."""
        logs = self._trainer._logs
        nested = {f"{kind}/{name}": column for kind in ("rewards", "extra") for name, column in logs[kind].items()}
        return {name: logs[name] for name in ("prompt", "completion", "advantages")} | nested

    def _put_back(self, batch: Generated | None) -> None:
        """Make TRL's completions table that of the batch; empty for None."""
        for name, column in self._table().items():
            column.clear()
            if batch is not None:
                column.extend(batch.logs.get(name, [None] * len(batch.rewards)))

    def _require_rotary(self, output: dict[str, Any]) -> None:
        if not self._rotary and {"old_per_token_logps", "ref_per_token_logps"} & output.keys():
            raise ConfigError(
                "`dynamic_sampling` changes the padding before prompts, and this model's positions count padding: the "
                "log-probabilities of its rollouts, which this run keeps, would no longer be right. Set beta to 0, "
                "num_iterations to 1 and steps_per_generation to gradient_accumulation_steps, or `dynamic_sampling` "
                "to false."
            )


def sampling_metrics(found: FilledBatch, group_size: int) -> dict[str, float]:
    """What to log about how a batch was filled."""
    discarded = found.drawn_groups * group_size - len(found.batch.rewards)
    return {
        f"{PREFIX}/num_gen_batches": float(found.gen_batches),
        f"{PREFIX}/discarded_rollouts": float(discarded),
        f"{PREFIX}/drawn_zero_signal_group_rate": (found.drawn_silent - found.drawn_cancelled) / found.drawn_groups,
        f"{PREFIX}/drawn_cancelled_group_rate": found.drawn_cancelled / found.drawn_groups,
    }
