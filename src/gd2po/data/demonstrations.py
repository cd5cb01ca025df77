"""Demonstrations for a warm start: prompts with the completions to learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gd2po.data.columns import require_columns
from gd2po.data.sources import load_prompts
from gd2po.errors import DataFormatError

if TYPE_CHECKING:
    from datasets import Dataset

_INSTRUCTION_COLUMNS: Final = ("instruction", "input", "output")
_READY_COLUMNS: Final = (("messages",), ("prompt", "completion"))


def load_demonstrations(
    source: str, split: str = "train", *, config: str | None = None, size: int | None = None
) -> Dataset:
    """Demonstrations in a form that TRL's `SFTTrainer` reads.

    Args:
        source: path or URL of a Parquet, JSON, JSON lines or CSV file; a folder; or a hub id. Its rows have
            `messages`; or `prompt` and `completion`; or the texts `instruction`, `input` and `output`, which become
            the system message, the user message and the completion, as in the demonstrations of ToolRL.
        split: which part; a file or URL is one part.
        config: configuration of a hub dataset.
        size: at most so many rows, the first ones; None for all.

    Returns:
        One row per demonstration, with `messages`, or with `prompt` and `completion`.

    Raises:
        DataFormatError: the source cannot be found or read, has other columns, or a row lacks a text.
        MissingDependencyError: `datasets` is not installed.

    Source: data of ToolRL (arXiv:2504.13958).
    """
    dataset = load_prompts(source, split, config=config, size=size)
    for columns in _READY_COLUMNS:
        if set(columns) <= set(dataset.column_names):
            require_columns(dataset, columns, source)
            return dataset.select_columns(list(columns))
    if not set(_INSTRUCTION_COLUMNS) <= set(dataset.column_names):
        raise DataFormatError(
            f"{source} needs the columns `instruction`, `input` and `output`, or `prompt` and `completion`, or "
            f"`messages`: found {', '.join(f'`{name}`' for name in dataset.column_names)}. Rename them."
        )
    require_columns(dataset, _INSTRUCTION_COLUMNS, source)
    rows = [_conversation(row, number, source) for number, row in enumerate(dataset)]
    from datasets import Dataset

    return Dataset.from_list(rows)


def _conversation(row: dict[str, Any], number: int, source: str) -> dict[str, list[dict[str, str]]]:
    """Instruction, input and output as messages."""
    for column in _INSTRUCTION_COLUMNS:
        if not isinstance(row[column], str) or (column != "input" and not row[column].strip()):
            raise DataFormatError(f"{source} row {number}: `{column}` must be a text, got {row[column]!r}.")
    return {
        "prompt": [{"role": "system", "content": row["instruction"]}, {"role": "user", "content": row["input"]}],
        "completion": [{"role": "assistant", "content": row["output"]}],
    }
