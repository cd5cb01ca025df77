"""Helpfulness and safety from prompts to scores: the mean of each reward model, per data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from gd2po.data.safety import SafetyPrompt, load_safety_prompts
from gd2po.errors import ConfigError
from gd2po.evaluation.generation.output_log import OutputLog
from gd2po.evaluation.run.outputs import Answers, Task, collect, require_one_source
from gd2po.evaluation.run.policy import SAFETY_PROMPT_TOKENS, PolicyChoice
from gd2po.evaluation.run.progress import counting
from gd2po.evaluation.run.result import Evaluation, finish
from gd2po.evaluation.safety import DatasetRewards, score_all, summarise_rewards

_TAKEN: Final = ("sum", "outputs", "key", "dataset", "raw_output")
"""What a table of scores and a record of an output have beside the rewards."""


def evaluate_safety(
    dataset_name: str | os.PathLike[str],
    reward_models: Mapping[str, str],
    policy: PolicyChoice | None = None,
    *,
    outputs: str | os.PathLike[str] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    eval_prompts: int | None = None,
    reward_options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Evaluation[DatasetRewards]:
    """The mean of each reward model and of their sum, per data set.

    Outputs and scores are saved as they come: the same call resumes an evaluation that was stopped.

    Args:
        dataset_name: file of prompts, or folder with test files of them.
        reward_models: folder or hub id of each model, by the name of its reward.
        policy: generates the outputs; None to score `outputs`. Without `max_prompt_tokens` of its own it reads the
            last 512 tokens of a longer prompt, as the paper's evaluation does.
        outputs: file of outputs made elsewhere; None to generate.
        output_dir: folder of outputs and scores; None for one under `runs` named for the model. A file of outputs
            needs a folder: scores of reward models take time, and are saved there as they come.
        eval_prompts: at most so many prompts of each data set, the first ones; None for all.
        reward_options: keywords of every `RewardModel`, such as `batch_size`, `dtype` and `device`.
        console: shows the progress; None shows none.

    Returns:
        Scores by data set.

    Raises:
        ConfigError: neither or both of `policy` and `outputs` are given, a model cannot be loaded, the folder is
            missing or holds outputs of other settings, or a reward's name is not one that files and tables can have.
        InvalidInputError: `eval_prompts` below 1, or an option that the backend does not have.
        DataFormatError: `dataset_name` or `outputs` do not hold what they have to hold.
        OutputWriteError: the folder cannot be written to.
        KeyboardInterrupt: Ctrl-C; its text says how many outputs or scores are saved.

    Source: evaluation of the safety runs of GD²PO (arXiv:2606.16771).
    """
    require_one_source(policy, outputs)
    _require_names(reward_models)
    if policy is None and output_dir is None:
        raise ConfigError(
            "`output_dir` is missing: scores of reward models take time, and are saved there as they come."
        )
    console = console or Console(quiet=True)
    prompts = load_safety_prompts(dataset_name, eval_prompts=eval_prompts)

    def record(row: int, text: str) -> Mapping[str, Any]:
        return {"dataset": prompts[row].dataset, "raw_output": text}

    if policy is not None and policy.max_prompt_tokens is None:
        policy = replace(policy, max_prompt_tokens=SAFETY_PROMPT_TOKENS)
    task = Task("safety", [prompt.prompt for prompt in prompts], [prompt.key for prompt in prompts], record)
    answers = collect(task, policy, outputs, output_dir, console)
    answered = [prompt for prompt in prompts if prompt.key in answers.records]
    options = dict(reward_options or {})
    scores = {
        name: _reward_scores(name, model, answered, answers, options, console) for name, model in reward_models.items()
    }
    records = dict(answers.records)
    for row, prompt in enumerate(answered):
        records[prompt.key] = {**records[prompt.key], **{name: values[row] for name, values in scores.items()}}
    return finish(answers, summarise_rewards([prompt.dataset for prompt in answered], scores), records)


def _require_names(reward_models: Mapping[str, str]) -> None:
    """Raise unless there are rewards, and their names can be those of files and columns."""
    if not reward_models:
        raise ConfigError("`reward_models` is empty: name at least one reward and its model.")
    for name in reward_models:
        if name in _TAKEN:
            raise ConfigError(f"`reward_models`: the name {name!r} is taken. Give the reward another one.")
        if not name or "/" in name:
            raise ConfigError(f"`reward_models`: a name must not be empty or hold a slash, got {name!r}.")


def _reward_scores(
    name: str,
    model: str,
    prompts: Sequence[SafetyPrompt],
    answers: Answers,
    options: Mapping[str, Any],
    console: Console,
) -> list[float]:
    """The score of each output under one reward model, which is gone from memory afterwards."""
    from gd2po.evaluation.generation.runs import fingerprint, model_fingerprint

    texts = [str(answers.records[prompt.key]["raw_output"]) for prompt in prompts]
    shown = [[prompt.key, prompt.prompt, text] for prompt, text in zip(prompts, texts, strict=True)]
    # Where and in which batches a model scores may change from call to call; all else changes what it says.
    chosen = {key: value for key, value in options.items() if key not in ("device", "batch_size", "offload")}
    settings = {"model": model, "model_state": model_fingerprint(model), "dtype": "auto", **chosen}
    path = Path(answers.folder or ".") / f"reward-{name}.jsonl"
    with OutputLog(path, {**settings, "outputs": fingerprint(shown)}) as log:
        done, total = len(log.records), len(prompts)
        with counting(console, f"Scoring: {name}", "scores", done=done, total=total) as advance:
            score_all(model, name, options, [prompt.key for prompt in prompts], [prompt.prompt for prompt in prompts],
                      texts, log, on_batch=advance)  # fmt: skip
        return [float(log.records[prompt.key]["score"]) for prompt in prompts]
