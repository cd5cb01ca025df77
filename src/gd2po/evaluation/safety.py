"""Mean rewards of completions under several reward models, per data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gd2po.errors import InvalidInputError
from gd2po.evaluation.generation.output_log import OutputLog
from gd2po.rewards import RewardModel


@dataclass(frozen=True)
class DatasetRewards:
    """Mean rewards over the completions of one data set."""

    num_outputs: int
    means: dict[str, float]
    """Mean of each reward, in its model's own unit."""
    total: float
    """Sum of the means."""


def summarise_rewards(datasets: Sequence[str], scores: Mapping[str, Sequence[float]]) -> dict[str, DatasetRewards]:
    """Mean of each reward and their sum, per data set.

    Args:
        datasets: the data set of each of N completions.
        scores: for each reward, N scores.

    Returns:
        One entry per data set, in the order of their first completions.

    Raises:
        InvalidInputError: there is no completion, or a reward has another number of scores.

    Example:
        >>> summarise_rewards(["a", "b", "a"], {"useful": [1.0, 5.0, 2.0], "harmless": [0.0, 1.0, 1.0]})["a"]
        DatasetRewards(num_outputs=2, means={'useful': 1.5, 'harmless': 0.5}, total=2.0)

    Source: evaluation of the safety runs of GD²PO (arXiv:2606.16771).
    """
    if not datasets:
        raise InvalidInputError("`datasets` is empty: there is no completion to summarise.")
    for name, values in scores.items():
        if len(values) != len(datasets):
            raise InvalidInputError(
                f"`scores[{name!r}]` needs one score per completion: expected {len(datasets)}, got {len(values)}."
            )
    summary = {}
    for dataset in dict.fromkeys(datasets):
        rows = [row for row, name in enumerate(datasets) if name == dataset]
        means = {name: sum(values[row] for row in rows) / len(rows) for name, values in scores.items()}
        summary[dataset] = DatasetRewards(len(rows), means, sum(means.values()))
    return summary


def score_all(
    model: str,
    name: str,
    options: Mapping[str, Any],
    keys: Sequence[str],
    prompts: Sequence[Any],
    completions: Sequence[str],
    log: OutputLog,
    *,
    on_batch: Callable[[int], None] | None = None,
) -> None:
    """Score what the log does not hold yet, and append it; the model is only loaded if there is something to score.

    As with outputs, batches are cut from all completions, done or not: a score that depends on its batch by rounding
    is then the same whether the evaluation was stopped or not.

    Args:
        model: folder or hub id of the reward model.
        name: of the reward.
        options: keywords of `RewardModel`.
        keys: name of each of N prompts in the log.
        prompts: N texts or message lists.
        completions: N texts.
        log: takes the scores.
        on_batch: called with the number of scores that each batch added.

    Raises:
        ConfigError: the model cannot be loaded.
        OutputWriteError: the log cannot be written.
    """
    if all(key in log.records for key in keys):
        return
    reward = RewardModel(model, name=name, **options)
    # Batches of several of the model's own, which it sorts by length.
    step = 16 * int(options.get("batch_size", 8))
    for start in range(0, len(keys), step):
        part = slice(start, start + step)
        missing = [key for key in keys[part] if key not in log.records]
        if not missing:
            continue
        scores = dict(zip(keys[part], reward(completions[part], prompts[part]), strict=True))
        log.append({"key": key, "score": scores[key]} for key in missing)
        if on_batch is not None:
            on_batch(len(missing))
