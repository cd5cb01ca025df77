"""The code in docs/integrations.md runs, and gives what the core gives."""

from __future__ import annotations

import re
from dataclasses import make_dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from gd2po import gd2po_advantages
from gd2po.core import METHODS
from gd2po.integrations.components import OWN_KEYS, HostSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
KEYS = ["correctness", "length"]
REWARDS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.3, 0.2], [0.1, 0.9], [0.8, 0.8], [0.0, 0.5]])
GROUP_IDS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
TOKENS = torch.tensor([2, 5, 3, 1, 4, 4, 2, 5])
MASK = (torch.arange(5) < TOKENS[:, None]).float()
SCORES = [dict(zip(KEYS, scores, strict=True)) for scores in REWARDS.tolist()]


def code_under(heading: str) -> dict[str, Any]:
    """What the Python block of a section defines."""
    section = re.split(rf"^##+ {re.escape(heading)}$", PAGE, flags=re.MULTILINE)[1]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert block
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(block[1], f"docs/integrations.md, {heading}", "exec"), names)
    return names


def advantages(**options: Any) -> torch.Tensor:
    return gd2po_advantages(REWARDS, GROUP_IDS, **options).advantages


def test_the_trainer_of_ones_own_has_the_published_gradient_of_kept_rollouts_alone() -> None:
    logprobs = torch.full((8, 5), -1.0, requires_grad=True)
    loss = code_under("Your own trainer")["policy_loss"](logprobs, torch.full((8, 5), -1.0), MASK, REWARDS, GROUP_IDS)
    (gradient,) = torch.autograd.grad(loss, logprobs)
    expected = -advantages(filtering="snr", snr_threshold=0.8)[:, None] * MASK / MASK.sum()
    assert 0 < int((expected.abs().sum(1) == 0).sum()) < 8
    torch.testing.assert_close(gradient, expected)


def test_the_trainer_of_ones_own_has_no_more_than_ten_lines() -> None:
    section = PAGE.split("## Your own trainer")[1]
    body = section.split("```python\n")[1].split("```")[0]
    assert len([line for line in body.splitlines() if line.strip()]) <= 10


def test_nemo_rl() -> None:
    estimator = code_under("NeMo-RL")["GD2POAdvantageEstimator"](["reward1", "reward2"], whitening="tokens")
    found = estimator.compute_advantage(
        prompt_ids=torch.tensor([[7, 7, 1]] * 4 + [[2, 5, 0]] * 4),
        rewards=REWARDS.sum(1),
        mask=MASK,
        repeated_batch={"reward1": REWARDS[:, 0], "reward2": REWARDS[:, 1]},
        logprobs_policy=None,
    )
    torch.testing.assert_close(found, advantages(whitening="tokens", token_counts=TOKENS)[:, None].expand(8, 5))


def test_prime_rl() -> None:
    group_advantages = code_under("prime-rl")["group_advantages"]
    found = [*group_advantages(SCORES[:4], KEYS), *group_advantages(SCORES[4:], KEYS)]
    assert found == pytest.approx(advantages(whitening="none").tolist())


def test_slime(capsys: pytest.CaptureFixture[str]) -> None:
    section = yaml.safe_load(PAGE.split("## slime")[1].split("```yaml\n")[1].split("```")[0])["gd2po"]
    settings = HostSettings.from_mapping(section, "gd2po")
    assert settings.setting.resolved["whitening"] == "tokens"
    assert settings.log_folder == "runs/mine"
    fields = ["group_index", "index", "reward", "response_length", "loss_mask", "prompt", "response"]
    sample = make_dataclass("Sample", fields)
    rewards = [{"score": 0, "format": 1.0, **score} for score in SCORES]
    samples = [sample(row // 4, row, reward, 3, None, "?", "!") for row, reward in enumerate(rewards)]
    args = SimpleNamespace(
        advantage_estimator="grpo",
        normalize_advantages=False,
        n_samples_per_prompt=4,
        custom_rollout_log_function_path="my_log.my_log",
        gd2po=section,
    )
    assert code_under("slime")["my_log"](3, args, samples, None, 1.0) is False
    assert "'conflict/rate'" in capsys.readouterr().out


def test_the_functions_that_the_page_names_exist() -> None:
    paths = set(re.findall(r"gd2po\.integrations\.[\w.]+", PAGE))
    assert len(paths) >= 5
    for path in paths:
        if path == "gd2po.integrations.verl.plugin":  # needs verl
            continue
        engine = re.fullmatch(r"gd2po\.integrations\.(axolotl|swift|skyrl|openrlhf)(?:\.(\w+))?", path)
        if engine:  # it is not installed here
            source = (ROOT / "src" / "gd2po" / "integrations" / f"{engine[1]}.py").read_text(encoding="utf-8")
            assert engine[2] is None or re.search(rf"^(?:class|def) {engine[2]}\b", source, re.MULTILINE), path
            continue
        module, _, name = path.rpartition(".")
        try:
            import_module(path)
        except ModuleNotFoundError:
            assert hasattr(import_module(module), name), path


def test_the_page_names_keys_defaults_and_files_that_exist() -> None:
    options = {name for method in METHODS.values() for name in method.options}
    keys = re.findall(r"\+algorithm\.gd2po\.(\w+)=", PAGE)
    assert set(keys) <= {*OWN_KEYS, *options}
    table = re.findall(r"^\| `(\w+)` \|", PAGE.split("## Keys of the section")[1].split("## TRL")[0], re.MULTILINE)
    assert set(table) == set(OWN_KEYS)
    named = re.search(r"the keywords of its function, such as (.*) \|", PAGE)
    assert named
    assert set(re.findall(r"`(\w+)`", named[1])) <= set(METHODS["gd2po"].options)
    assert f"`snr_threshold` is {METHODS['gd2po'].options['snr_threshold'].default} by default" in PAGE
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists(), link


def test_the_settings_of_the_other_engines_are_settings() -> None:
    for engine in ("axolotl", "OpenRLHF"):
        section = yaml.safe_load(PAGE.split(f"## {engine}\n")[1].split("```yaml\n")[1].split("```")[0])["gd2po"]
        HostSettings.from_mapping({"reward_keys": KEYS, **section}, "gd2po")
    keys = re.findall(r"(?<!\.)\bgd2po\.(\w+)=", PAGE.split("## SkyRL\n")[1].split("```")[1])
    assert keys == ["reward_keys", "snr_threshold", "log_folder"]
    call = re.search(r"^register\((.*)\)$", PAGE, re.MULTILINE)
    assert call
    HostSettings.from_mapping({"reward_keys": KEYS, **eval(f"dict({call[1]})")}, "register")
