"""Prompts of the helpfulness-safety evaluation: several data sets, each with its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gd2po.data.columns import require_columns
from gd2po.data.sources import load_prompts
from gd2po.errors import DataFormatError, InvalidInputError


@dataclass(frozen=True)
class SafetyPrompt:
    """One prompt."""

    key: str
    """File and position, unique."""
    dataset: str
    """The data set that its row names as `data_source`, or its file."""
    prompt: Any
    """Text or messages."""


def load_safety_prompts(source: str | os.PathLike[str], *, eval_prompts: int | None = None) -> list[SafetyPrompt]:
    """The prompts of a file, or of every test file in a folder.

    Args:
        source: a Parquet, JSON, JSON lines or CSV file with the column `prompt`, and `data_source` if it has one; or a
            folder: then all such files in it, at any depth, with `test` in their names.
        eval_prompts: at most so many prompts of each file, the first ones; None for all.

    Returns:
        Prompts in the order of the files' names and of their rows.

    Raises:
        DataFormatError: there is no such file, or one without prompts.
        InvalidInputError: `eval_prompts` is below 1.
    """
    if eval_prompts is not None and eval_prompts < 1:
        raise InvalidInputError(f"`eval_prompts` must be at least 1, got {eval_prompts}. Leave it out for all prompts.")
    root = Path(source)
    prompts = []
    for file in _files(root):
        dataset = load_prompts(str(file), size=eval_prompts)
        require_columns(dataset, ["prompt"], file)
        name = (file.relative_to(root) if root.is_dir() else Path(file.name)).with_suffix("").as_posix()
        for index, row in enumerate(dataset):
            if not row["prompt"]:
                raise DataFormatError(f"{file} row {index}: `prompt` is empty. Remove the row or fill it in.")
            prompts.append(SafetyPrompt(f"{name}/{index}", row.get("data_source") or name, row["prompt"]))
    return prompts


def _files(root: Path) -> list[Path]:
    """The file itself, or the test files of a folder."""
    if root.is_file():
        return [root]
    suffixes = (".parquet", ".json", ".jsonl", ".csv")
    files = sorted(file for file in root.rglob("*test*") if file.suffix in suffixes) if root.is_dir() else []
    if not files:
        raise DataFormatError(
            f"`dataset_name`: {root} is neither a file nor a folder with test files of prompts. Give a Parquet, JSON "
            "or CSV file, or a folder with such files, like alpaca_test.parquet."
        )
    return files
