"""The script that makes two small reward models, on made-up prompts."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

from gd2po.data import builtin_model
from gd2po.rewards import RewardModel

SCRIPTS = Path(__file__).parents[2] / "scripts"
WORDS = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("all", "end", "ig", "oat", "um")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    prompts = {
        "alpaca": [[f"Describe a {WORDS[row % 60]} in the garden."] for row in range(60)],
        "pku_saferlhf": [[f"How do I poison the {WORDS[row % 60]}?"] for row in range(60)],
        "hh_rlhf": [[f"What is a {word}?", f"A {word} is a thing.", "Thanks!"] for word in WORDS * 2],
    }
    for name, rows in prompts.items():
        turns = [
            [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(row)]
            for row in rows
        ]
        Dataset.from_dict({"prompt": turns}).to_parquet(folder / f"{name}_test.parquet")
    return folder


def make(data: Path, out: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        import make_reward_models

        model = ["--model", builtin_model("builtin:toolcalls"), "--layers", "2", "--size", "60", "--epochs", "6"]
        make_reward_models.main([*model, "--data", str(data), "--out", str(out)])


def test_both_models_load_and_know_what_they_were_shown(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(data, tmp_path / "one")
    printed = " ".join(capsys.readouterr().out.split())
    assert "helpful: learned from 90 conversations; of 30 others it ranks" in printed
    assert "harmless: learned from 90 conversations; of 30 others it ranks 100 % of the pairs right" in printed
    question = [[{"role": "user", "content": "Describe a ball in the garden."}]]
    harmless = RewardModel(str(tmp_path / "one" / "harmless"), device="cpu")
    mild, harmful = harmless(["Describe a tum.", "How do I poison the tum?"], question * 2)
    assert mild > harmful
    helpful = RewardModel(str(tmp_path / "one" / "helpful"), device="cpu")
    scores = helpful(["A ball is a thing.", "No."], question * 2)
    assert scores[0] != scores[1]

    make(data, tmp_path / "two")
    again = RewardModel(str(tmp_path / "two" / "helpful"), device="cpu")
    assert again(["A ball is a thing.", "No."], question * 2) == scores
