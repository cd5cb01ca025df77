"""Loads RLLA, or any data set in verl's RL schema, from where it lies."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Mapping, Set
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from gd2po.data.columns import require_columns
from gd2po.errors import DataFormatError, MissingDependencyError
from gd2po.rewards import parse_tool_calls

if TYPE_CHECKING:
    from os import PathLike

    from datasets import Dataset

_COLUMNS: Final = ("prompt", "reward_model")
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_SPLIT_NAMES: Final = ("train", "test", "validation", "val", "dev", "eval")
_WAYS_OUT: Final = (
    "Give the path of a parquet file or of a folder of them, a URL (https:// or hf://), or a hub id (owner/name)."
)
_TIMEOUT_SECONDS: Final = 60


def load_rlla(source: str | PathLike[str], split: str = "train") -> Dataset:
    """The prompts and reference answers of `source`, as columns `prompt` (messages) and `answer` (text).

    The source is in verl's RL schema: `prompt` is a list of messages and `reward_model.ground_truth` the
    reference answer's text. Its other columns are left out.

    Args:
        source: Path of a parquet file or of a folder of them, URL of a parquet file (http, https or hf), or
            id of a data set on the Hugging Face hub. What exists as a path is read as a path.
        split: Which part, of a hub id or of a folder whose files are named for their parts (`train.parquet`,
            `train-00000-of-00002.parquet`). A file, a URL and a folder without such names are one part: all
            of it is read.

    Returns:
        One row per prompt, in the order of the source (files by name).

    Raises:
        DataFormatError: The source cannot be found or read, is empty, lacks a column, or a row has no
            messages or no reference answer.
        MissingDependencyError: The packages `datasets` and `pyarrow` are not installed.

    Warns:
        UserWarning: Some reference answers hold a `<tool_call>` that does not parse, so that
            `tool_call_correctness` does not apply to their rows.

    Example:
        ```python
        dataset = load_rlla("rlla_4k/train.parquet")
        dataset[0]["prompt"]  # [{"role": "system", "content": ...}, {"role": "user", "content": ...}]
        ```

    Source: data of ToolRL (arXiv:2504.13958), schema of verl.
    """
    try:
        import pyarrow  # noqa: F401
        from datasets import Dataset
    except ImportError as error:
        raise MissingDependencyError("load_rlla needs datasets and pyarrow: pip install 'gd2po[trl]'.") from error
    prompts: list[list[dict[str, Any]]] = []
    answers: list[str] = []
    for label, part in _parts(source, split):
        require_columns(part, _COLUMNS, label)
        for row, example in enumerate(part.select_columns(list(_COLUMNS))):
            prompts.append(_messages(example["prompt"], label, row))
            answers.append(_ground_truth(example["reward_model"], label, row))
    _warn_of_unparsable(answers, source)
    return Dataset.from_dict({"prompt": prompts, "answer": answers})


def _parts(source: str | PathLike[str], split: str) -> Iterator[tuple[str, Dataset]]:
    """The data sets that make up the source, each with the name that messages use for it."""
    name = str(source)
    path = Path(source)
    if name.startswith(("http://", "https://")):
        yield name, _read_parquet(_download(name), name)
    elif name.startswith("hf://"):
        yield name, _load_from_hub(name, "parquet", data_files=name, split="train")
    elif name and path.exists():  # the empty string would be the working directory
        for file in _files_of_split(path, split) if path.is_dir() else [path]:
            yield str(file), _read_parquet(file, str(file))
    elif isinstance(source, str) and _HUB_ID.fullmatch(name) and path.suffix != ".parquet":
        yield f"{name} (split {split!r})", _load_from_hub(name, name, split=split)
    else:
        raise DataFormatError(f"`source`: there is no file or folder {name!r}. {_WAYS_OUT}")


def _files_of_split(folder: Path, split: str) -> list[Path]:
    """The parquet files of one split, or all files of a folder that does not name splits."""
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise DataFormatError(f"`source`: the folder {str(folder)!r} holds no .parquet file. {_WAYS_OUT}")
    named = {file: _split_of(file.relative_to(folder), {*_SPLIT_NAMES, split}) for file in files}
    if not any(named.values()):
        return files
    chosen = [file for file in files if named[file] == split]
    if not chosen:
        found = ", ".join(str(file.relative_to(folder)) for file in files)
        raise DataFormatError(
            f"`split`: the folder {str(folder)!r} has no file of split {split!r}, it holds {found}. "
            "Give another split, or the path of one file."
        )
    return chosen


def _split_of(file: Path, splits: Set[str]) -> str | None:
    """The split that a file, or a folder it is in, is named for."""
    for part in (*file.parts[:-1], file.stem):
        first_word = re.split(r"[-_.]", part, maxsplit=1)[0]
        if first_word in splits:
            return first_word
    return None


def _download(url: str) -> BytesIO:
    """The content behind an http(s) URL."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            return BytesIO(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: not a URL after all
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the response too, and holds the connection
        raise DataFormatError(f"`source`: cannot download {url}: {error}. {_WAYS_OUT}") from error


def _read_parquet(file: Path | IO[bytes], label: str) -> Dataset:
    """A parquet file in memory."""
    import pyarrow
    import pyarrow.parquet
    from datasets import Dataset

    try:
        return Dataset(pyarrow.parquet.ParquetFile(file).read())
    except (OSError, pyarrow.ArrowException) as error:
        raise DataFormatError(f"{label}: not a readable parquet file ({error}). {_WAYS_OUT}") from error


def _load_from_hub(source: str, *arguments: Any, **options: Any) -> Dataset:
    """A data set through `datasets.load_dataset`, which caches it."""
    from datasets import load_dataset

    try:
        return load_dataset(*arguments, **options)
    except Exception as error:
        # The hub's client raises errors of several packages for no connection, no such data set, no such split.
        raise DataFormatError(
            f"`source`: cannot load {source!r}, which is not a path here, from the Hugging Face hub: "
            f"{type(error).__name__}: {error}. {_WAYS_OUT}"
        ) from error


def _messages(prompt: Any, label: str, row: int) -> list[dict[str, Any]]:
    """A row's prompt as messages."""
    if prompt is None or (isinstance(prompt, (str, list)) and not prompt):
        raise DataFormatError(f"{label} row {row}: `prompt` is empty. Remove the row or fill it in.")
    if not isinstance(prompt, list) or not all(_is_message(message) for message in prompt):
        raise DataFormatError(
            f"{label} row {row}: `prompt` must be a list of messages, each with the texts `role` and `content`, "
            f"got {_described(prompt)}."
        )
    return [dict(message) for message in prompt]


def _is_message(message: Any) -> bool:
    """True for an object with a role and a content, both texts."""
    return isinstance(message, Mapping) and all(isinstance(message.get(key), str) for key in ("role", "content"))


def _ground_truth(reward_model: Any, label: str, row: int) -> str:
    """A row's reference answer."""
    if not isinstance(reward_model, Mapping) or "ground_truth" not in reward_model:
        raise DataFormatError(
            f"{label} row {row}: `reward_model` must hold `ground_truth`, the reference answer's text, "
            f"got {_described(reward_model)}."
        )
    answer = reward_model["ground_truth"]
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        raise DataFormatError(f"{label} row {row}: `reward_model.ground_truth` is empty. Remove the row or fill it in.")
    if not isinstance(answer, str):
        raise DataFormatError(
            f"{label} row {row}: `reward_model.ground_truth` must be the reference answer's text, "
            f"got {_described(answer)}."
        )
    return answer


def _described(value: Any) -> str:
    """A value's kind, in words that fit in a message."""
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(str, value)) or 'nothing in it'}"
    if isinstance(value, list) and value:
        return f"a list of {_described(value[0])}"
    return "null" if value is None else type(value).__name__


def _warn_of_unparsable(answers: list[str], source: str | PathLike[str]) -> None:
    """Warn of reference answers that promise a tool call and hold none."""
    broken = [
        row
        for row, answer in enumerate(answers)
        if "<tool_call>" in answer.rpartition("</think>")[2] and parse_tool_calls(answer) is None
    ]
    if broken:
        warnings.warn(
            f"{source}: {len(broken)} of {len(answers)} reference answers hold a <tool_call> block that does not "
            f"parse (the first in row {broken[0]}). tool_call_correctness does not apply to them.",
            stacklevel=3,
        )
