"""Prompts by name: the built-in task, files, URLs and hub ids, in any format that `datasets` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gd2po.data.rlla import load_rlla
from gd2po.data.toolcalls.task import POLICY_PATH, load_toolcalls
from gd2po.errors import DataFormatError, MissingDependencyError

if TYPE_CHECKING:
    from datasets import Dataset

BUILTIN_PREFIX: Final = "builtin:"
"""No path, URL or hub id starts like this, so that a built-in name never hides a file or a dataset."""

_TASKS: Final = {"builtin:toolcalls": load_toolcalls}
_POLICIES: Final = {"builtin:toolcalls": POLICY_PATH}
_READERS: Final = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv"}


def builtin_model(name: str) -> str:
    """Folder of a built-in policy, or the name itself where it is a path or a hub id.

    Raises:
        DataFormatError: there is no built-in policy of that name.

    Example:
        >>> builtin_model("Qwen/Qwen2.5-1.5B-Instruct")
        'Qwen/Qwen2.5-1.5B-Instruct'
    """
    if not name.startswith(BUILTIN_PREFIX):
        return name
    if name not in _POLICIES:
        raise DataFormatError(f"There is no built-in policy {name!r}. Built in: {', '.join(_POLICIES)}.")
    return str(_POLICIES[name])


def has_splits(source: str) -> bool:
    """False for a file or URL, which is one part: all of it is read, whatever split is asked for.

    Example:
        >>> has_splits("builtin:toolcalls"), has_splits("prompts.parquet")
        (True, False)
    """
    return Path(source).suffix not in _READERS


def load_prompts(source: str, split: str = "train", *, config: str | None = None, size: int | None = None) -> Dataset:
    """Prompts to train or evaluate on, with the column `prompt` and whatever else the source holds.

    Args:
        source: `builtin:toolcalls`; path or URL of a Parquet, JSON, JSON lines or CSV file; a folder; or a hub id.
            verl's RL schema (columns `prompt` and `reward_model`) becomes `prompt` and `answer` by `load_rlla`, and
            where it holds no reference answers, as for reward models, `prompt` and `data_source`.
        split: which part; a file or URL is one part.
        config: configuration of a hub dataset.
        size: at most so many rows, the first ones; None for all.

    Raises:
        DataFormatError: the source cannot be found or read, or its rows are not what their schema says.
        MissingDependencyError: `datasets` is not installed.
    """
    if source.startswith(BUILTIN_PREFIX):
        if source not in _TASKS:
            raise DataFormatError(f"There is no built-in task {source!r}. Built in: {', '.join(_TASKS)}.")
        return _TASKS[source](split, size)  # type: ignore[arg-type]  # the task itself refuses an unknown split
    dataset = _load(source, split, config)
    columns = dataset.column_names
    if "reward_model" in columns and "prompt" in columns and "answer" not in columns:
        reward_model = dataset.features["reward_model"]
        if isinstance(reward_model, Mapping) and "ground_truth" not in reward_model:
            dataset = dataset.select_columns([name for name in columns if name in ("prompt", "data_source")])
        else:
            dataset = load_rlla(source, split)
    return dataset if size is None else dataset.select(range(min(size, len(dataset))))


def _load(source: str, split: str, config: str | None) -> Any:
    """The rows of a file, folder, URL or hub id as they are."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingDependencyError("Loading prompts needs datasets: pip install 'gd2po[trl]'.") from error
    if not has_splits(source):
        if "://" not in source and not Path(source).is_file():
            raise DataFormatError(f"`dataset_name`: there is no file {source!r}.")
        arguments: dict[str, Any] = {"path": _READERS[Path(source).suffix], "data_files": source, "split": "train"}
    else:
        arguments = {"path": source, "name": config, "split": split}
    try:
        return load_dataset(**arguments)
    except Exception as error:
        if "corresponds to no data" in str(error):
            raise DataFormatError(f"{source} is empty: there is no row to train or evaluate on.") from error
        # Raised by several packages: no such dataset, split or configuration, no connection, not the format it claims.
        raise DataFormatError(
            f"`dataset_name`: cannot load {source!r} (split {split!r}): {type(error).__name__}: {error}. Give "
            f"{', '.join(_TASKS)}, the path or URL of a Parquet, JSON or CSV file, a folder, or a hub id (owner/name)."
        ) from error
