"""An evaluation's generation: every prompt once, batch by batch, each batch on disk before the next begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gd2po.errors import InvalidInputError
from gd2po.evaluation.generation.generate import Policy, batches_by_length
from gd2po.evaluation.generation.output_log import OutputLog


def complete_all(
    policy: Policy,
    encoded: Sequence[list[int]],
    keys: Sequence[str],
    log: OutputLog,
    record: Callable[[int, str], Mapping[str, Any]],
    *,
    max_new_tokens: int,
    batch_size: int,
    on_batch: Callable[[int], None] | None = None,
) -> None:
    """Generate what the log does not hold yet, and append it.

    Batches are cut from all prompts, done or not, so that a resumed evaluation generates the same batches, and
    the same outputs, as one that was never stopped.

    Args:
        policy: generates.
        encoded: token ids of each prompt.
        keys: name of each prompt in the log.
        log: takes the records.
        record: makes the record of a prompt's row and its completion, without the key.
        max_new_tokens: longest completion, in tokens.
        batch_size: prompts generated together.
        on_batch: called with the number of records that each batch added.

    Raises:
        InvalidInputError: the log holds a key that is none of `keys`.
        OutputWriteError: the log cannot be written.
    """
    foreign = set(log.records) - set(keys)
    if foreign:
        raise InvalidInputError(
            f"{log.path} holds {min(foreign)!r}, which is no prompt of this data. Remove that line."
        )
    for rows in batches_by_length(encoded, batch_size):
        missing = [row for row in rows if keys[row] not in log.records]
        if not missing:
            continue
        texts = dict(zip(rows, policy.complete([encoded[row] for row in rows], max_new_tokens), strict=True))
        log.append({"key": keys[row], **record(row, texts[row])} for row in missing)
        if on_batch is not None:
            on_batch(len(missing))


def fingerprint(value: Any) -> str:
    """A short name for the content of a JSON value.

    Example:
        >>> fingerprint(["a"]) == fingerprint(["a"]), fingerprint(["a"]) == fingerprint(["b"])
        (True, False)
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def model_fingerprint(model: str) -> str | None:
    """A short name for the state of a model's folder, from the sizes and times of its files; None for a hub id.

    A run may be trained on into the same folder, and outputs of the old weights must not pass for those of the new.
    """
    folder = Path(model)
    if not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return fingerprint([[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files])
