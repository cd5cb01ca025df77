"""Prompts by name: the built-in task, files, URLs and hub ids, in any format that `datasets` reads."""

from __future__ import annotations

import functools
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Set
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from gd2po.data.rlla import has_reference_answers, prompts_and_answers
from gd2po.data.toolcalls.task import POLICY_PATH, load_toolcalls
from gd2po.errors import DataFormatError, MissingDependencyError

if TYPE_CHECKING:
    from os import PathLike

    from datasets import Dataset

BUILTIN_PREFIX: Final = "builtin:"
"""No path, URL or hub id starts like this, so that a built-in name never hides a file or a dataset."""

_TASKS: Final[dict[str, Callable[..., Dataset]]] = {
    "builtin:toolcalls": load_toolcalls,
    "builtin:toolcalls-easy": functools.partial(load_toolcalls, level="easy"),
}
_POLICIES: Final = {"builtin:toolcalls": POLICY_PATH}
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_SPLIT_NAMES: Final = ("train", "test", "validation", "val", "dev", "eval")
_WAYS_OUT: Final = (
    "Give the path of a parquet file or of a folder of them, a URL (https:// or hf://), or a hub id (owner/name)."
)
_TIMEOUT_SECONDS: Final = 60
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
        source: `builtin:toolcalls`, or `builtin:toolcalls-easy` for its easy requests; path or URL of a Parquet, JSON,
            JSON lines or CSV file; a folder; or a hub id.
            verl's RL schema (columns `prompt` and `reward_model`) becomes `prompt` and `answer`, and
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
        return _TASKS[source](split, size)  # the task itself refuses an unknown split
    dataset = _load(source, split, config)
    columns = dataset.column_names
    if has_reference_answers(dataset):
        dataset = prompts_and_answers([(source, dataset)], source)
    elif {"prompt", "reward_model"} <= set(columns) and "answer" not in columns:
        dataset = dataset.select_columns([name for name in columns if name in ("prompt", "data_source")])
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
        import datasets  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("load_rlla needs datasets and pyarrow: pip install 'gd2po[trl]'.") from error
    return prompts_and_answers(_parts(source, split), source)


def hub_rows(source: str, split: str) -> list[Path]:
    """Arrow files with the rows of a dataset on the Hugging Face hub, downloaded to the cache of `datasets`.

    Args:
        source: its id.
        split: which part.

    Raises:
        DataFormatError: it cannot be loaded, or is empty.
        MissingDependencyError: `datasets` is not installed.
    """
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"{source!r} is no path here, and a dataset of the Hugging Face hub needs datasets: pip install "
            "'gd2po[trl]'."
        ) from error
    dataset = _load_from_hub(source, source, split=split)
    files = [Path(file["filename"]) for file in dataset.cache_files]
    if not files or not len(dataset):
        raise DataFormatError(f"`source`: {source} (split {split!r}) is empty.")
    return files


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
