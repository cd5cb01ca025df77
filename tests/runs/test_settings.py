"""How a run was made, from its rollout log or its folder; what cannot be understood is a note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gd2po.core import Setting
from gd2po.core.setting import all_labels
from gd2po.runs.reward_conditions import RewardConditions
from gd2po.runs.settings import LOG, RunSettings, describe_run

NAMES = ["correct", "brief"]
RUN = {"method": "gd2po", "options": {"filtering": "hard"}, "reward_names": NAMES, "reward_weights": [1.0, 0.5]}


NEEDS = {"reward_minima": [0.0, -1.0], "reward_bounds": [[0.0, 1.0], [-1.0, 1.0]]}
"""Options that some methods cannot do without."""


def every_setting() -> list[Setting]:
    return [
        Setting.of({"method": method.name, **options, **{name: NEEDS[name] for name in method.needs}}, "tests")
        for method, options in all_labels().values()
    ]


def from_config(folder: Path, config: Any, names: list[str] = NAMES) -> RunSettings:
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return RunSettings.find(None, folder, names)


@pytest.mark.parametrize("setting", every_setting(), ids=lambda setting: setting.label)
def test_what_a_run_writes_into_its_log_is_read_back(setting: Setting) -> None:
    weights = torch.tensor([1.0, 0.25])
    found = RunSettings.find(json.loads(json.dumps(describe_run(setting, NAMES, weights))), None, NAMES)
    assert found.setting.label == setting.label
    assert found.setting.resolved == setting.resolved
    assert (found.reward_weights, found.origin, found.notes) == ([1.0, 0.25], LOG, ())


def test_options_of_any_kind_become_plain() -> None:
    setting = Setting(
        Setting.named("gd2po", "tests").method, {"min_retained": torch.tensor([0.5, 1.0]), "x": (1, (2,))}
    )
    assert describe_run(setting, NAMES, None)["options"]["min_retained"] == [0.5, 1.0]
    json.dumps(describe_run(setting, NAMES, None), allow_nan=False)


def test_the_log_goes_before_the_folder(tmp_path: Path) -> None:
    assert from_config(tmp_path, {"advantage_estimator": "gdpo"}).setting.label == "gdpo"
    assert RunSettings.find(RUN, tmp_path, NAMES).setting.label == "gd2po-hard"
    assert RunSettings.find(None, tmp_path / "nowhere", NAMES) == RunSettings()
    assert RunSettings.find(None, None, NAMES) == RunSettings()


@pytest.mark.parametrize(
    ("config", "label"),
    [
        ({"advantage_estimator": "grpo"}, "grpo"),
        ({"advantage_estimator": "gdpo", "scale_rewards": "group", "snr_threshold": 0.8}, "gdpo"),
        ({"advantage_estimator": "gdpo", "scale_rewards": "none"}, "gdpo scale_rewards=False"),
        ({"advantage_estimator": "gd2po", "filtering": "snr", "snr_threshold": 0.8}, "gd2po-snr 0.8"),
        ({"advantage_estimator": "gd2po", "filtering": "hard", "snr_threshold": 0.8}, "gd2po-hard snr_threshold=0.8"),
        ({"advantage_estimator": "gd2po", "snr_threshold": "auto", "whitening": None}, "gd2po-auto"),
        ({"advantage_estimator": "gd2po", "filtering": "snr", "snr_threshold": "0.8"}, "gd2po-snr 0.8"),
        (
            {"advantage_estimator": "gd2po", "filtering": "hard", "conflict_pairs": "correlated", "other": [1]},
            "gd2po-gated",
        ),
    ],
)
def test_a_run_folder_tells_the_setting(tmp_path: Path, config: dict[str, Any], label: str) -> None:
    found = from_config(tmp_path, config)
    assert found.setting.label == label
    assert (found.reward_weights, found.notes) == ([1.0, 1.0], ())
    assert found.origin == str(tmp_path / "config.yaml")


def test_a_run_folder_tells_the_weights(tmp_path: Path) -> None:
    config = {"advantage_estimator": "gdpo", "reward_weights": [2, 0.5]}
    assert from_config(tmp_path, config).reward_weights == [2.0, 0.5]
    assert from_config(tmp_path, {"reward_weights": [2, 0.5]}).reward_weights == [2.0, 0.5]
    assert from_config(tmp_path, {"learning_rate": 1.0}).reward_weights is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "gd3po"}, "'gd3po'"),
        ({"method": ["gdpo"]}, "`method` must be a text"),
        ({"method": None}, "`method` must be a text"),
        ({"options": {"filterin": "hard"}}, "no option 'filterin'"),
        ({"options": {"filtering": "soft"}}, "`filtering`"),
        ({"options": {"snr_threshold": [0.5]}}, "`snr_threshold`"),
        ({"options": "hard"}, "`options` must be a mapping"),
    ],
)
def test_a_setting_that_this_version_does_not_know_is_a_note(changes: dict[str, Any], words: str) -> None:
    found = RunSettings.find({**RUN, **changes}, None, NAMES)
    assert found.setting is None
    assert found.reward_weights == [1.0, 0.5]
    (note,) = found.notes
    assert words in note
    assert "none of the methods is marked as its own" in note


@pytest.mark.parametrize("weights", ["a,b", [1.0], [0, 0], [1.0, "x"], [1.0, float("nan")], [True, 1.0], {"a": 1}])
def test_weights_that_make_no_sense_are_a_note(tmp_path: Path, weights: Any) -> None:
    config = {"advantage_estimator": "gdpo", "reward_weights": weights}
    for found in (RunSettings.find({**RUN, "reward_weights": weights}, None, NAMES), from_config(tmp_path, config)):
        assert found.setting is not None
        assert found.reward_weights is None
        assert "reward weights" in found.notes[0]


@pytest.mark.parametrize(
    "config",
    [
        "[not, a, mapping]", "a: [", "advantage_estimator: gd3po", "advantage_estimator: [gdpo]",
        "advantage_estimator: gdpo\nscale_rewards: batch", "advantage_estimator: gdpo\nscale_rewards: [group]",
        "advantage_estimator: gd2po\nsnr_threshold: 7", "advantage_estimator: gd2po\nfiltering: soft",
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_a_note(tmp_path: Path, config: str) -> None:
    found = from_config(tmp_path, config)
    assert found.setting is None
    assert str(tmp_path / "config.yaml") in found.notes[0]


def test_weights_are_read_beside_a_setting_that_makes_no_sense(tmp_path: Path) -> None:
    found = from_config(tmp_path, {"advantage_estimator": "gd3po", "reward_weights": [1.0, 2.0]})
    assert (found.setting, found.reward_weights, len(found.notes)) == (None, [1.0, 2.0], 1)


def test_a_config_that_is_no_text_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00advantage")
    assert RunSettings.find(None, tmp_path, NAMES).notes


def test_numbers_per_reward_go_with_the_rewards_of_the_run() -> None:
    run = {**RUN, "method": "saw", "options": {"reward_minima": [0.0, -1.0]}}
    assert RunSettings.find(run, None, NAMES).setting.options["reward_minima"] == [0.0, -1.0]
    found = RunSettings.find(run, None, ["brief"])
    assert found.setting is None
    assert "`reward_minima` has a number for every reward of the run" in found.notes[0]
    assert "needs `reward_minima`" in RunSettings.find({**run, "options": {}}, None, NAMES).notes[0]


def test_weights_that_move_are_told_apart_from_weights_that_make_no_sense(tmp_path: Path) -> None:
    for moving in (
        {"schedule": "linear", "start": 0, "end": 1, "steps": 9},
        {"schedule": "of a newer version"},
        "os.nice",
    ):
        for found in (
            RunSettings.find({**RUN, "reward_weights": [1.0, moving]}, None, NAMES),
            from_config(tmp_path, {"advantage_estimator": "gdpo", "reward_weights": [1.0, moving]}),
        ):
            assert (found.reward_weights, found.weights_move, found.notes) == (None, True, ())
    for given in (["2", "0.5"], "2,0.5", "correct=2 brief=0.5", {"correct": 2, "brief": 0.5, "of another": 3}):
        assert from_config(tmp_path, {"reward_weights": given}).reward_weights == [2.0, 0.5]
    found = from_config(tmp_path, {"reward_weights": {"correct": {"schedule": "linear", "start": 0}}})
    assert (found.reward_weights, found.weights_move) == (None, True)
    assert not RunSettings.find(RUN, None, NAMES).weights_move


def test_conditions_are_read_back_and_those_that_make_no_sense_are_a_note(tmp_path: Path) -> None:
    conditions = RewardConditions.of([{"reward": "brief", "on": "correct", "threshold": 1.0}])
    run = describe_run(Setting.named("gdpo", "tests"), NAMES, None, conditions)
    assert RunSettings.find(json.loads(json.dumps(run)), None, NAMES).reward_conditions == conditions
    config = {"advantage_estimator": "gdpo", "reward_conditions": json.dumps(conditions.plain())}
    assert from_config(tmp_path, config).reward_conditions == conditions
    assert RunSettings.find(RUN, None, NAMES).reward_conditions is None
    for names, given in ((["correct"], conditions.plain()), (NAMES, "all"), (NAMES, [{"reward": "brief"}])):
        found = RunSettings.find({**run, "reward_conditions": given}, None, names)
        assert found.reward_conditions is None
        assert any("every reward is taken as its function gave it" in note for note in found.notes)


def test_families_follow_their_names(tmp_path: Path) -> None:
    run = describe_run(Setting.named("consensus", "test"), NAMES, None, reward_families=["style", "style"])
    assert RunSettings.find(json.loads(json.dumps(run)), None, ["brief", "correct"]).reward_families == ["style"] * 2
    assert RunSettings.find(run, None, ["brief"]).reward_families == ["style"]
    assert RunSettings.find(RUN, None, NAMES).reward_families is None
    families = {"brief": "style", "gone": "style"}
    found = from_config(tmp_path, {"advantage_estimator": "consensus", "reward_families": families})
    assert found.reward_families == ["correct", "style"]
    assert found.setting.label == "consensus"
    bad = RunSettings.find({**run, "reward_families": {"brief": 7}}, None, NAMES)
    assert bad.setting is not None
    assert "The reward families in its rollout log were not understood: `reward_families` must name one" in bad.notes[0]


def test_families_that_the_command_line_took_as_json_are_read(tmp_path: Path) -> None:
    found = from_config(tmp_path, {"reward_families": json.dumps(dict.fromkeys(NAMES, "one"))})
    assert found.reward_families == ["one"] * len(NAMES)


def test_weights_follow_their_names() -> None:
    assert RunSettings.find(RUN, None, ["brief", "correct"]).reward_weights == [0.5, 1.0]
    assert RunSettings.find(RUN, None, ["brief"]).reward_weights == [0.5]
    assert RunSettings.find({**RUN, "reward_names": None}, None, NAMES).reward_weights == [1.0, 0.5]
    found = RunSettings.find(RUN, None, ["brief", "polite"])
    assert found.reward_weights is None
    assert "not polite" in found.notes[0]
    alone = RunSettings.find({**RUN, "reward_weights": [1.0, 0.0]}, None, ["brief"])
    assert "all have weight 0" in alone.notes[0]
