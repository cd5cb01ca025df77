"""The table of dialects, and that a dialect of one's own is all that a new format needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from log_fixtures import group_rewards, read

from gd2po.diagnosis import ColumnChoices, RewardLog
from gd2po.errors import DataFormatError
from gd2po.logs import dialects
from gd2po.logs.dialects.base import Dialect, Groups, Rewards

LOGS = Path(__file__).parents[3] / "src" / "gd2po" / "logs"

EPISODES = Dialect(
    name="episodes",
    title="episodes of our trainer",
    recognises=lambda columns: {"episode", "task_hash"} <= columns,
    step="episode",
    group="task_hash",
    prompt="asked",
    completion="said",
    length="said_pieces",
    not_rewards=frozenset({"energy"}),
    folders=("episodes",),
    how_to_log="our trainer",
)


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a dialect before the others, as a line in the table would."""
    return lambda dialect: monkeypatch.setattr(dialects, "DIALECTS", (dialect, *dialects.DIALECTS))


def episodes(**more: list[Any]) -> dict[str, list[Any]]:
    return {
        "episode": [3, 3, 3, 3],
        "task_hash": ["q", "r", "q", "r"],
        "asked": ["1 + 1?"] * 4,
        "said": ["2", "4", "3", "5"],
        "said_pieces": [1, 1, 1, 1],
        "energy": [7.5, 8.5, 9.5, 6.5],
        "correct": [1.0, 1.0, 0.0, 0.0],
        "brief": [0.5, 0.25, 0.75, 1.0],
    } | more


def test_a_log_is_read_with_a_dialect_of_ones_own(register: Any, write_log: Any, tmp_path: Path) -> None:
    register(EPISODES)
    write_log(episodes(), "run/episodes/1.parquet")
    log = RewardLog(tmp_path / "run")
    assert log.files.run_folder == tmp_path / "run"
    assert log.layout.format == "episodes"
    assert log.notes()[0] == "The columns are those of episodes of our trainer."
    assert log.layout.reward_names == ["correct", "brief"]
    assert group_rewards(log) == [[[1, 0.5], [0, 0.75]], [[1, 0.25], [0, 1]]]
    rows = read(log)
    assert rows.steps.tolist() == [3] * 4
    assert rows.lengths.tolist() == [1] * 4
    assert log.texts([0])[0] == ("1 + 1?", "2")
    assert "Groups come from the column 'task_hash'." in log.notes()


def test_without_the_dialect_the_same_log_cannot_be_read(write_log: Any) -> None:
    with pytest.raises(DataFormatError, match="nothing tells which rollouts answer the same prompt"):
        RewardLog(write_log(episodes()))


def test_the_columns_that_a_user_names_win_over_the_dialects(register: Any, write_log: Any) -> None:
    register(EPISODES)
    path = write_log(episodes(other=["a", "a", "b", "b"]))
    log = RewardLog(path, ColumnChoices(group="other", rewards=["energy"], prompt="said"))
    assert group_rewards(log) == [[[7.5], [8.5]], [[9.5], [6.5]]]
    assert log.texts([0])[0] == ("2", "2")


def test_a_dialect_may_find_groups_and_rewards_by_the_rows(register: Any, write_log: Any) -> None:
    def pairs(head: pa.Table, prompt: str | None) -> Groups:
        assert prompt == "prompt"
        return Groups("blocks", size=2, reason="Rollouts come in pairs.")

    def last(head: pa.Table, prompt: str | None, candidates: Any) -> Rewards:
        assert list(candidates) == ["a", "b"]
        return Rewards([candidates[-1]], "The last column is the reward.")

    register(Dialect("pairs", "pairs", lambda columns: "pair" in columns, find_groups=pairs, find_rewards=last))
    log = RewardLog(write_log({"pair": ["x"] * 4, "prompt": ["p"] * 4, "a": [0.0] * 4, "b": [1.0, 2.0, 3.0, 4.0]}))
    assert group_rewards(log) == [[[1], [2]], [[3], [4]]]
    assert {"Rollouts come in pairs.", "The last column is the reward."} <= set(log.notes())


def test_a_dialect_that_finds_nothing_leaves_it_to_the_guess(register: Any, write_log: Any) -> None:
    register(
        Dialect(
            "shy",
            "shy",
            lambda columns: True,
            find_groups=lambda head, prompt: None,
            find_rewards=lambda head, prompt, candidates: None,
        )
    )
    log = RewardLog(write_log({"prompt": ["p", "p"], "score": [1.0, 0.0]}))
    assert (log.layout.group, log.layout.reward_names) == ("prompt", ["score"])


@pytest.mark.parametrize("apart", [True, False])
def test_equal_ids_in_two_files_are_two_groups_if_the_dialect_says_so(
    register: Any, write_log: Any, apart: bool
) -> None:
    register(Dialect("x", "x", lambda columns: True, whole_groups_per_file=apart))
    for file in (1, 2):
        path = write_log({"step": [1, 1], "group": [0, 0], "a": [1.0, 0.0]}, f"logs/{file}.parquet")
    assert [len(group) for group in group_rewards(RewardLog(path.parent))] == ([2, 2] if apart else [4])


@pytest.mark.parametrize("repeats", [True, False])
def test_a_repeated_batch_counts_once_if_the_dialect_says_so(register: Any, write_log: Any, repeats: bool) -> None:
    register(Dialect("x", "x", lambda columns: True, repeats_batches=repeats))
    texts = {"prompt": ["p"] * 6, "completion": ["one", "two"] * 2 + ["one", "three"]}
    log = RewardLog(write_log({"step": [1, 1, 2, 2, 3, 3], "a": [1.0, 0.0] * 3, **texts}))
    assert read(log).steps.tolist() == ([1, 1, 3, 3] if repeats else [1, 1, 2, 2, 3, 3])
    assert any("1 step repeats the rollouts" in note for note in log.notes()) is repeats


def test_a_group_size_is_proposed_unless_groups_are_scattered(register: Any, write_log: Any) -> None:
    path = write_log({"prompt": ["p", "p"], "a": [1.0, 0.0]})
    assert "`group_size` says" in " ".join(RewardLog(path).notes())
    register(Dialect("x", "x", lambda columns: True, scatters_groups=True))
    assert "`group_size` says" not in " ".join(RewardLog(path).notes())


def test_an_empty_folder_says_how_every_writer_logs(register: Any, tmp_path: Path) -> None:
    register(EPISODES)
    with pytest.raises(DataFormatError) as error:
        RewardLog(tmp_path)
    for expected in ("episodes/, rollouts/, completions/", "our trainer", "log_completions=True", "rollout_data_dir"):
        assert expected in str(error.value)


def test_no_two_dialects_share_a_name() -> None:
    names = [dialect.name for dialect in dialects.DIALECTS]
    assert len(set(names)) == len(names)
    assert names == ["gd2po", "trl", "verl", "swift", "verifiers", "verifiers_results", "plain"]


def test_only_a_dialects_own_file_knows_its_format() -> None:
    formats = re.compile(r"""["'](trl|verl|plain|completions|rollouts|uid|advantage)["']|format == """)
    allowed = {LOGS / "names.py", LOGS / "rollout_log.py"}  # usual names of columns; the writer of gd2po's own log
    files = [path for path in LOGS.rglob("*.py") if path.parent.name != "dialects" and path not in allowed]
    assert len(files) > 8
    assert [path.name for path in files if formats.search(path.read_text(encoding="utf-8"))] == []
