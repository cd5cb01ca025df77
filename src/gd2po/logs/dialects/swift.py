"""ms-swift's completions: `completions.jsonl`, one line per logged step. Written against ms-swift 4.6.

A line has a list per column: step, prompt, completion, the rewards by name, `advantages`, and whatever else was logged.
The weights of the rewards are not in it, but in the `args.json` beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gd2po.logs.dialects.base import Dialect, Groups, Lines
from gd2po.logs.names import REWARD_PREFIX, WEIGHT_PREFIX

FILE = "completions.jsonl"
_ARGUMENTS = "args.json"
_LARGEST_ARGUMENTS = 1024 * 1024
_TEXTS = ("step", "prompt", "completion")


def rollouts_of_step(line: Mapping[str, Any], path: Path) -> Sequence[Mapping[str, Any]]:
    """A row per rollout. The rewards are the columns between the completion and the advantages.

    Example:
        >>> line = {"step": ["1"], "prompt": ["1 + 1?"], "completion": ["2"], "Correct": [1.0], "advantages": [0.0]}
        >>> rollouts_of_step(line, Path("completions.jsonl"))
        [{'step': '1', 'prompt': '1 + 1?', 'completion': '2', 'reward/Correct': 1.0, 'advantages': 0.0}]
    """
    columns = list(line)
    names = [name for name in columns[: columns.index("advantages")] if name not in _TEXTS]
    called = {name: f"{REWARD_PREFIX}{name}" for name in names}
    weights = {
        f"{WEIGHT_PREFIX}{name}": weight for name, weight in zip(names, _weights(path, len(names)), strict=False)
    }
    rows = zip(*line.values(), strict=True)
    return [{called.get(name, name): cell for name, cell in zip(columns, row, strict=True)} | weights for row in rows]


def _weights(path: Path, count: int) -> Sequence[float]:
    """The weights that the run was given for its rewards; none where its arguments do not tell."""
    arguments = path.with_name(_ARGUMENTS)
    try:
        if arguments.stat().st_size > _LARGEST_ARGUMENTS:
            return ()
        weights = json.loads(arguments.read_bytes())["reward_weights"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
    fits = isinstance(weights, list) and len(weights) == count and all(isinstance(one, int | float) for one in weights)
    return weights if fits else ()


def _recognises(columns: set[str]) -> bool:
    return {*_TEXTS, "advantages"} <= columns and any(name.startswith(REWARD_PREFIX) for name in columns)


DIALECT = Dialect(
    name="swift",
    title="ms-swift's completions",
    recognises=_recognises,
    step="step",
    prompt="prompt",
    completion="completion",
    find_groups=lambda head, prompt: Groups("runs", prompt),
    lines=Lines(
        recognises=lambda first: all(isinstance(first.get(name), list) for name in (*_TEXTS, "advantages")),
        rollouts=rollouts_of_step,
        once_per="step",  # its last batch is logged again when a run ends, and an evaluation under a step of training
        begins=re.compile(rb'\s*\{"step": \["'),
    ),
    folders=(FILE,),
    how_to_log="ms-swift with --log_completions true",
    repeats_batches=True,  # a generation batch is logged at every step that trains on it
)
