from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gd2po.errors import InvalidInputError
from gd2po.evaluation.generation.output_log import OutputLog
from gd2po.evaluation.generation.runs import complete_all, model_fingerprint

ENCODED = [[1], [1, 2, 3], [1, 2], [4, 5, 6, 7], [8]]
KEYS = ["a", "b", "c", "d", "e"]


class Echo:
    """Says who was in its batch, and dies when it is told to."""

    tokenizer: Any = None
    context = None

    def __init__(self, batches: int = 99) -> None:
        self.left = batches
        self.seen: list[list[list[int]]] = []

    def complete(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[str]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.seen.append(list(prompts))
        return [f"{prompt} among {len(prompts)}" for prompt in prompts]


def run(path: Path, policy: Echo, encoded: list[list[int]] = ENCODED, keys: list[str] = KEYS) -> dict[str, str]:
    added: list[int] = []
    with OutputLog(path, {}) as log:
        complete_all(
            policy, encoded, keys, log, lambda row, text: {"text": text, "row": row},
            max_new_tokens=4, batch_size=2, on_batch=added.append,
        )  # fmt: skip
        assert sum(added) <= len(keys)
        return {key: record["text"] for key, record in log.records.items()}


def test_every_prompt_is_completed_once_longest_first(tmp_path: Path) -> None:
    policy = Echo()
    texts = run(tmp_path / "o.jsonl", policy)
    assert texts == {key: f"{ids} among {2 if key != 'e' else 1}" for key, ids in zip(KEYS, ENCODED, strict=True)}
    assert [len(prompt) for prompt in policy.seen[0]] == [4, 3]


def test_an_evaluation_that_was_killed_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.jsonl", Echo())
    path = tmp_path / "killed.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, Echo(batches=2))
    path.write_bytes(path.read_bytes()[:-3])  # killed while it wrote the last line of the second batch
    policy = Echo()
    assert run(path, policy) == whole
    assert policy.seen == [[[1, 2], [1]], [[8]]]  # the batch that was cut is generated whole again


def test_nothing_is_generated_when_all_is_there(tmp_path: Path) -> None:
    run(tmp_path / "o.jsonl", Echo())
    policy = Echo()
    run(tmp_path / "o.jsonl", policy)
    assert policy.seen == []


def test_a_record_of_another_prompt_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "o.jsonl", Echo())
    with pytest.raises(InvalidInputError, match="holds 'e', which is no prompt of this data"):
        run(tmp_path / "o.jsonl", Echo(), ENCODED[:4], KEYS[:4])


def test_a_model_that_was_trained_on_has_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = model_fingerprint(str(tmp_path))
    assert model_fingerprint(str(tmp_path)) == before
    (tmp_path / "model.safetensors").write_bytes(b"12")
    assert model_fingerprint(str(tmp_path)) != before
    assert model_fingerprint("owner/name") is None
