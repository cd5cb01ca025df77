"""What a data set must have before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gd2po.errors import DataFormatError

if TYPE_CHECKING:
    from os import PathLike


def require_columns(dataset: Any, columns: Iterable[str], source: str | PathLike[str]) -> None:
    """Raise unless a data set has rows and these columns.

    Args:
        dataset: A `datasets.Dataset`, or an `IterableDataset`, whose rows are not counted and whose columns are
            checked only where it knows them.
        columns: Names of the columns it needs.
        source: Where it comes from, for the message.

    Raises:
        DataFormatError: A column is missing, the data set is empty, or it is a dictionary of splits.

    Example:
        >>> from datasets import Dataset
        >>> require_columns(Dataset.from_dict({"text": ["a"]}), ["prompt"], "my.parquet")
        Traceback (most recent call last):
            ...
        gd2po.errors.DataFormatError: my.parquet needs the column `prompt`, found `text`. Rename or add it.
    """
    found = dataset.column_names
    if isinstance(found, dict):
        splits = ", ".join(repr(name) for name in found)
        raise DataFormatError(f"{source} holds several splits ({splits}). Choose one of them.")
    missing = [column for column in columns if found is not None and column not in found]
    if missing:
        raise DataFormatError(
            f"{source} needs the column{'s' if len(missing) > 1 else ''} {_listed(missing)}, "
            f"found {_listed(found) or 'none'}. Rename or add {'them' if len(missing) > 1 else 'it'}."
        )
    if hasattr(dataset, "__len__") and len(dataset) == 0:
        raise DataFormatError(f"{source} is empty: there is no row to train or evaluate on.")


def _listed(names: Iterable[str]) -> str:
    """Names in backquotes, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)
