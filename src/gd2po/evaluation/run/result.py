"""What an evaluation found, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from gd2po.errors import OutputWriteError
from gd2po.evaluation.generation.output_log import write_json
from gd2po.evaluation.run.outputs import Answers, Records
from gd2po.evaluation.run.policy import PolicyChoice

SCORES_NAME = "scores.json"

Score = TypeVar("Score")


@dataclass(frozen=True)
class Evaluation(Generic[Score]):
    """What an evaluation found."""

    benchmark: str
    """One of "api-bank", "toolcalls" and "safety"."""
    scores: dict[str, Score]
    """By name of a part of the benchmark, or of a score."""
    outputs: Records
    """Of each output by its key: the text as `raw_output`, and how it does."""
    num_prompts: int
    """All there are; a file of outputs may lack some."""
    policy: PolicyChoice | None
    """As it generated; None for outputs made elsewhere."""
    path: Path | None
    """The file with all of this; None where none was asked for."""


def finish(answers: Answers, scores: Mapping[str, Score], outputs: Records) -> Evaluation[Score]:
    """The evaluation, written as scores.json where the outputs have a folder.

    Args:
        answers: what was scored.
        scores: by name.
        outputs: the records, with whatever the scoring added.

    Raises:
        OutputWriteError: the file cannot be written.
    """
    path = None if answers.folder is None else answers.folder / SCORES_NAME
    task, policy = answers.task, answers.policy
    if path is not None:
        document = {
            "benchmark": task.benchmark,
            "settings": None if policy is None else asdict(policy),
            "scores": {name: _plain(score) for name, score in scores.items()},
            "outputs": list(outputs.values()),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, document)
        except OSError as error:
            raise OutputWriteError(
                f"Cannot write {path}: {error.strerror or error}. The outputs are safe; run the same command again."
            ) from error
    return Evaluation(task.benchmark, dict(scores), outputs, len(task.keys), policy, path)


def _plain(score: Any) -> Any:
    """A score as JSON knows it."""
    return asdict(score) if is_dataclass(score) and not isinstance(score, type) else score
