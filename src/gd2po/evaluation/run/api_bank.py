"""API-Bank from prompts to scores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from gd2po.evaluation.api_bank import LEVELS, LevelScores, load_api_bank, score_output, summarise
from gd2po.evaluation.run.outputs import Task, collect, require_one_source
from gd2po.evaluation.run.policy import PolicyChoice
from gd2po.evaluation.run.result import Evaluation, finish


def evaluate_api_bank(
    dataset_name: str | os.PathLike[str],
    policy: PolicyChoice | None = None,
    *,
    outputs: str | os.PathLike[str] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    levels: Sequence[int] = LEVELS,
    eval_prompts: int | None = None,
    console: Console | None = None,
) -> Evaluation[LevelScores]:
    """Accuracy, format and length of thought on API-Bank, per level and overall.

    Outputs are saved as they come: the same call resumes an evaluation that was stopped.

    Args:
        dataset_name: folder with level-1-api_processed.json and so on.
        policy: generates the outputs; None to score `outputs`.
        outputs: file of outputs made elsewhere; None to generate.
        output_dir: folder of outputs and scores; None for one under `runs` named for the model. Scores of a file of
            outputs are saved only where a folder is given.
        levels: which levels.
        eval_prompts: at most so many samples of each level, the first ones; None for all.
        console: shows the progress; None shows none.

    Returns:
        Scores by "level 1" and so on, then "overall".

    Raises:
        ConfigError: neither or both of `policy` and `outputs` are given, the model cannot be loaded, or the folder
            holds outputs of other settings.
        InvalidInputError: unknown levels, `eval_prompts` below 1, or an option that the backend does not have.
        DataFormatError: `dataset_name` or `outputs` do not hold what they have to hold.
        OutputWriteError: the folder cannot be written to.
        KeyboardInterrupt: Ctrl-C; its text says how many outputs are saved.

    Source: GD²PO (arXiv:2606.16771), evaluation of the tool-calling runs on API-Bank (arXiv:2304.08244).
    """
    require_one_source(policy, outputs)
    samples = load_api_bank(dataset_name, levels, eval_prompts=eval_prompts)

    def record(row: int, text: str) -> Mapping[str, Any]:
        sample = samples[row]
        score = score_output(text, sample.answer)
        scores = {**asdict(score), "format_ok": score.format_ok}
        return {"level": sample.level, "index": sample.index, "raw_output": text, **scores}

    task = Task("api-bank", [sample.prompt for sample in samples], [sample.key for sample in samples], record)
    answers = collect(task, policy, outputs, output_dir, console or Console(quiet=True))
    # Scored anew: outputs made under an older version of the scoring are worth as much as new ones.
    scores = summarise(
        (sample.level, score_output(answers.records[sample.key]["raw_output"], sample.answer))
        for sample in samples
        if sample.key in answers.records
    )
    return finish(answers, scores, answers.records)
