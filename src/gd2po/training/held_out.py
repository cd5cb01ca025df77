"""Held-out scores of a run: before, after and during training, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainerCallback

from gd2po.evaluation.generation.generate import generate_completions
from gd2po.evaluation.held_out import HeldOutScores, score_held_out
from gd2po.runs.evaluations import write_evaluation
from gd2po.training.arguments import ParsedRun

BATCH_SIZE = 128
LONGEST = 256
"""Tokens, where the run sets no limit."""


class HeldOutEvaluation:
    """Scores a trainer's policy, decoded greedily, on the same prompts whenever it is asked.

    Greedy decoding draws no random numbers, so a run with more evaluations is otherwise the same run.

    Args:
        prompts: the held-out prompts; None: there is nothing to score.
        reward_funcs: that the run trains on, with their options bound.
        eval_funcs: that it does not train on, likewise.
        parsed: the run.
        folder: the run folder, for evaluations.jsonl.
        console: where it says what it does.
    """

    def __init__(
        self,
        prompts: Any,
        reward_funcs: list[Any],
        eval_funcs: list[Any],
        parsed: ParsedRun,
        folder: Path,
        console: Console,
    ) -> None:
        self._prompts, self._folder, self._console = prompts, folder, console
        self._reward_funcs, self._eval_funcs = reward_funcs, eval_funcs
        self._max_new_tokens = parsed.training.max_completion_length or LONGEST

    def score(self, trainer: Any, step: int, when: str) -> HeldOutScores | None:
        """Score and write down the policy as it is; the main process does it while the others wait.

        Args:
            trainer: whose policy.
            step: steps of training behind it.
            when: "before training".

        Returns:
            The scores; None in the other processes, and without prompts.
        """
        if self._prompts is None:
            return None
        scores = None
        if trainer.accelerator.is_main_process:
            with self._console.status(f"Scoring {len(self._prompts)} held-out prompts {when} ..."):
                completions = generate_completions(
                    trainer.accelerator.unwrap_model(trainer.model),
                    trainer.processing_class,
                    self._prompts["prompt"],
                    max_new_tokens=self._max_new_tokens,
                    batch_size=BATCH_SIZE,
                )
                scores = score_held_out(list(self._prompts), completions, self._reward_funcs, self._eval_funcs)
            write_evaluation(self._folder, step, vars(scores))
        trainer.accelerator.wait_for_everyone()
        return scores


class EvaluateEvery(TrainerCallback):  # type: ignore[misc]
    """Scores the held-out prompts after every so many steps; the last step is left to who scores the trained policy.

    Args:
        trainer: whose policy.
        evaluation: of the held-out prompts.
        every: steps.
    """

    def __init__(self, trainer: Any, evaluation: HeldOutEvaluation, every: int) -> None:
        self._trainer, self._evaluation, self._every = trainer, evaluation, every

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score if it is time."""
        if state.global_step % self._every == 0 and state.global_step < state.max_steps:
            self._evaluation.score(self._trainer, state.global_step, f"after step {state.global_step}")
