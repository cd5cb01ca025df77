"""A method is its file and a line of METHODS: a new one shows up everywhere with nothing else touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from gd2po import METHODS, Setting, advantages
from gd2po.core.setting import all_labels
from gd2po.errors import ConfigError, InvalidInputError

NEW_METHOD = '''
from typing import Annotated
from torch import Tensor
from gd2po.core import METHODS, AdvantageResult, Method
from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Range, check_options

def halved_advantages(rewards: Tensor, group_ids: Tensor, *, share: Annotated[float, Range(0, 1)] = 0.5,
                      reward_weights: Weights = None, whitening: Whitening = "none",
                      token_counts: Tensor | None = None) -> AdvantageResult:
    """Halved advantages.

    Args:
        share: of every advantage that is left.
    """
    check_options(halved_advantages, share=share, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    z = batch.standardised()
    return batch.result(batch.weigh(z).sum(REWARD_DIM) * share, reward_advantages=z)

METHODS["halved"] = Method("halved", "half of everything", "nobody, arXiv:0000.00000", halved_advantages,
                           variants={"gently": {"share": 0.9}})
'''


USE = """
import json, sys
from pathlib import Path

import torch
from gd2po.comparison.run.plan import choose_methods
from gd2po.diagnosis import RewardLog, diagnose
from gd2po.integrations.components import HostSettings
from gd2po.training.arguments import parse_run

setting = parse_run(["--config", "run.yaml", "--use_cpu"], "out").training.setting()
result = setting.advantages(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 0]))
section = {"reward_keys": ["a"], "method": "halved", "share": 0.25}
print(json.dumps({
    "trainer": [setting.label, result.advantages.tolist()],
    "host": HostSettings.from_mapping(section, "algorithm.gd2po").setting.label,
    "comparison": choose_methods(["gdpo", "halved-gently"], [])["halved-gently"],
    "diagnosis": [method.name for method in diagnose(RewardLog("log.csv")).methods],
}), flush=True)
from gd2po.cli import main

sys.argv = ["gd2po", "train", "--help"]
main()
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process finds of the method that has registered it before it imports anything else of gd2po."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "run.yaml").write_text("advantage_estimator: halved\nshare: 0.25\noutput_dir: out\nbf16: false\n")
    (folder / "log.csv").write_text("step,group,correct,brief\n0,a,1,0\n0,a,0,1\n0,a,1,1\n0,a,0,0\n")
    done = subprocess.run(
        [sys.executable, "-c", NEW_METHOD + USE],
        capture_output=True, text=True, cwd=folder, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found, help_text = done.stdout.split("\n", 1)
    return {**json.loads(found), "help": help_text}


def test_a_new_method_is_in_the_help(places: dict[str, Any]) -> None:
    assert "halved, half of everything" in places["help"]
    assert "--share" in places["help"]
    assert "of every advantage that is left" in places["help"]


def test_a_new_method_is_in_yaml_and_the_configuration_of_trl(places: dict[str, Any]) -> None:
    label, advantages = places["trainer"]
    assert label == "halved share=0.25"
    assert advantages == pytest.approx([-0.1768, 0.1768], abs=1e-4)


def test_a_new_method_is_in_the_keys_of_other_hosts(places: dict[str, Any]) -> None:
    assert places["host"] == "halved share=0.25"


def test_a_new_method_is_in_comparisons(places: dict[str, Any]) -> None:
    assert places["comparison"] == {"advantage_estimator": "halved", "share": "0.9"}


def test_a_new_method_is_in_the_table_of_a_diagnosis(places: dict[str, Any]) -> None:
    assert {"halved", "halved-gently"} <= set(places["diagnosis"])


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"method": "gdop"}, ConfigError, "`here`: `method` must be one of .*: got 'gdop'. Did you mean 'gdpo'?"),
        ({"method": "gd2po", "filterin": "hard"}, ConfigError, "no option 'filterin' of gd2po. Did you mean 'filt"),
        ({"method": "gdpo", "filtering": "hard"}, ConfigError, "no option 'filtering' of gdpo. It is one of gd2po"),
        ({"method": "gdpo", "whitening": "token"}, InvalidInputError, "`here`: `whitening` must be one of 'rollouts'"),
        ({"min_retained": 2}, InvalidInputError, r"`here`: `min_retained` must be a number in \[0, 1\]: got 2"),
        ({"query_reweighting": "yes"}, InvalidInputError, "`query_reweighting` must be true or false: got 'yes'"),
        ({"snr_threshold": "high"}, InvalidInputError, r"must be a number in \[0, 1\] or 'auto': got 'high'"),
    ],
)
def test_a_mistyped_method_or_option_gets_the_nearest_name(
    values: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Setting.of(values, "here")


def test_a_method_by_name_is_its_function() -> None:
    import torch

    torch.manual_seed(0)
    rewards, group_ids = torch.randn(12, 3), torch.arange(3).repeat_interleave(4)
    given = {"reward_minima": [-9.0] * 3, "reward_bounds": [[-9.0, 9.0]] * 3}
    for name, method in METHODS.items():
        options = {"whitening": "rollouts", **{need: given[need] for need in method.needs}}
        expected = method.function(rewards, group_ids, **options)
        assert torch.equal(advantages(rewards, group_ids, method=name, **options).advantages, expected.advantages)


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"method": "grpo"}, "grpo"),
        ({}, "consensus"),
        ({"whitening": "tokens"}, "consensus whitening=tokens"),
        ({"method": "gd2po"}, "gd2po-snr 0.3"),
        ({"snr_threshold": 0.5, "whitening": "tokens"}, "gd2po-snr 0.5 whitening=tokens"),
        ({"snr_threshold": "auto"}, "gd2po-auto"),
        ({"filtering": "hard"}, "gd2po-hard"),
        ({"filtering": "hard", "conflict_pairs": "correlated"}, "gd2po-gated"),
        ({"filtering": "hard", "query_reweighting": False}, "gd2po-hard query_reweighting=False"),
    ],
)
def test_one_setting_has_one_label(values: dict[str, object], label: str) -> None:
    assert Setting.of(values, "here").label == label


def test_every_label_names_a_setting_of_that_variant() -> None:
    for label, (method, _) in all_labels().items():
        if method.needs:
            with pytest.raises(ConfigError, match=f"`here`: {method.name} needs `{method.needs[0]}`: \\(K, ?2?\\)"):
                Setting.named(label, "here")
            continue
        setting = Setting.named(label, "here")
        assert setting.label == label or setting.label.startswith(label) or label == "gd2po"
