"""The built-in task `toolcalls` from prompts to scores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console

from gd2po.data import load_toolcalls
from gd2po.evaluation.held_out import score_held_out
from gd2po.evaluation.run.outputs import Task, collect, require_one_source
from gd2po.evaluation.run.policy import PolicyChoice
from gd2po.evaluation.run.result import Evaluation, finish
from gd2po.evaluation.run.scoring import scoring_of
from gd2po.rewards import exact_calls


def evaluate_toolcalls(
    policy: PolicyChoice | None = None,
    *,
    outputs: str | os.PathLike[str] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    eval_prompts: int = 512,
    reward_kwargs: Any = None,
    console: Console | None = None,
) -> Evaluation[float]:
    """Exactly right calls and the mean of each reward on the built-in task.

    A policy in the folder of a run on that task is scored with the rewards, options and prompts of the run, and may
    write as much as there. Any other is scored with correctness, format and length.

    Outputs are saved as they come: the same call resumes an evaluation that was stopped.

    Args:
        policy: generates the outputs; None to score `outputs`.
        outputs: file of outputs made elsewhere; None to generate.
        output_dir: folder of outputs and scores; None for one under `runs` named for the model. Scores of a file of
            outputs are saved only where a folder is given.
        eval_prompts: held-out prompts, the first so many.
        reward_kwargs: options of the rewards that differ from the run's, or from the task's own, such as
            `{"think_length": {"target_words": 12}}`; 32 unless the run says otherwise.
        console: shows the progress; None shows none.

    Returns:
        Scores by name: `num_outputs`, `target_words` where there is a length reward, `exact_calls` in [0, 1], the
        run's other evaluation functions, and the mean of each reward.

    Raises:
        ConfigError: neither or both of `policy` and `outputs` are given, the model cannot be loaded, the folder holds
            outputs of other settings, or options of a function that is none of the rewards.
        InvalidInputError: there are no prompts, or an option that the backend does not have.
        DataFormatError: `outputs` does not hold what it has to hold.
        OutputWriteError: the folder cannot be written to.
        KeyboardInterrupt: Ctrl-C; its text says how many outputs are saved.
    """
    require_one_source(policy, outputs)
    console = console or Console(quiet=True)
    scoring = scoring_of(None if policy is None else policy.model_name_or_path, reward_kwargs)
    for note in scoring.notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)
    if policy is not None and policy.max_completion_length is None:
        policy = replace(policy, max_completion_length=scoring.max_completion_length)
    dataset = list(load_toolcalls("test", eval_prompts, level=scoring.level))
    keys = [str(row) for row in range(len(dataset))]

    def record(row: int, text: str) -> Mapping[str, Any]:
        return {"index": row, "raw_output": text, "exact": exact_calls([text], [dataset[row]["answer"]]) == [1.0]}

    task = Task("toolcalls", [row["prompt"] for row in dataset], keys, record)
    answers = collect(task, policy, outputs, output_dir, console)
    scored = [row for row, key in enumerate(keys) if key in answers.records]
    texts = [str(answers.records[keys[row]]["raw_output"]) for row in scored]
    held_out = score_held_out([dataset[row] for row in scored], texts, scoring.reward_funcs, scoring.eval_funcs)
    scores = {
        "num_outputs": held_out.num_prompts,
        **({} if scoring.target_words is None else {"target_words": scoring.target_words}),
        **held_out.metrics,
        **held_out.rewards,
    }
    return finish(answers, scores, answers.records)
