"""A method is its file and a line of METHODS: a new one shows up everywhere with nothing else touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

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

for words in ("--help", "--help-all"):
    sys.argv = ["gd2po", "train", words]
    try:
        main()
    except SystemExit:
        pass
    print("END OF HELP", flush=True)
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
    found, texts = done.stdout.split("\n", 1)
    brief, full, _ = texts.split("END OF HELP")
    return {**json.loads(found), "help": brief, "help-all": full}


def test_a_new_method_is_in_the_help(places: dict[str, Any]) -> None:
    assert "halved" in places["help"]
    assert "halved, half of everything" in places["help-all"]
    assert "--share" in places["help-all"]
    assert "of every advantage that is left" in places["help-all"]


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
