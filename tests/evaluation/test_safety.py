"""Mean rewards of completions scored elsewhere."""

from __future__ import annotations

import pytest

from gd2po.errors import InvalidInputError
from gd2po.evaluation.safety import DatasetRewards, summarise_rewards


def test_every_completion_counts_once_in_its_data_set() -> None:
    summary = summarise_rewards(["a", "b", "a"], {"useful": [1.0, 5.0, 2.0], "harmless": [-3.0, 1.0, 1.0]})
    assert list(summary) == ["a", "b"]
    assert summary["a"] == DatasetRewards(2, {"useful": 1.5, "harmless": -1.0}, 0.5)
    assert summary["b"] == DatasetRewards(1, {"useful": 5.0, "harmless": 1.0}, 6.0)


def test_scores_that_do_not_go_with_the_completions_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="needs one score per completion: expected 2, got 1"):
        summarise_rewards(["a", "b"], {"r": [1.0]})
    with pytest.raises(InvalidInputError, match="there is no completion to summarise"):
        summarise_rewards([], {"r": []})
