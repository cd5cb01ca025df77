"""The model card that a trainer writes, with its runs in a real TRL and the hub's own reader."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import ModelCard
from transformers import Trainer
from trl import GRPOTrainer

from gd2po.evaluation.held_out import HeldOutScores
from gd2po.integrations.trl.model_card import CardFacts, _code, _hub_id, _text, training_means

pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument")


def length(completions: list[str], **kwargs: Any) -> list[float]:
    return [len(text) / 100 for text in completions]


def vowels(completions: list[str], **kwargs: Any) -> list[float]:
    return [sum(text.count(vowel) for vowel in "aeiou") / 10 for text in completions]


def constant(completions: list[str], **kwargs: Any) -> list[float]:
    return [1.0] * len(completions)


def card_of(trainer: Any) -> ModelCard:
    return ModelCard.load(Path(trainer.args.output_dir, "README.md"))


@pytest.fixture
def trained(make_trainer: Any) -> Any:
    trainer = make_trainer(
        [length, vowels, constant],
        advantage_estimator="gd2po",
        conflict_pairs="families",
        reward_families={"length": "size", "vowels": "size"},
        reward_weights=[1.0, 0.5, 1.0],
        reward_conditions=[{"reward": "vowels", "on": "length", "threshold": 0.0}],
        save_strategy="steps",
        save_steps=1,
    )
    trainer.card_facts = CardFacts(
        "HuggingFaceTB/SmolLM2-135M",
        "owner/prompts",
        HeldOutScores(8, {"length": 0.25, "vowels": 0.5}, {"exact": 0.25}, ["exact"]),
        HeldOutScores(8, {"length": 0.75, "vowels": 0.5}, {"exact": 0.5}, ["exact"]),
    )
    trainer.train()
    return trainer


def test_the_card_tells_what_was_trained_on_what_and_how(trained: Any) -> None:
    card = card_of(trained)  # of the last checkpoint
    assert card.data.base_model == "HuggingFaceTB/SmolLM2-135M"
    assert card.data.datasets == "owner/prompts"
    assert {"trl", "gd2po", "arxiv:2606.16771"} <= set(card.data.tags)
    for line in (
        "| `vowels` | 0.5 | size |",
        "* vowels counts where length is at least 0, and is 0 elsewhere",
        "16 prompts of `owner/prompts`.",
        "[arXiv:2606.16771](https://arxiv.org/abs/2606.16771)",
        "| conflict\\_pairs | families |",
        "| `exact` | not trained on | 25.0% | 50.0% |",
        "| `length` | reward | 0.250 | 0.750 |",
        "* `constant` never told rollouts apart: it taught nothing.",
    ):
        assert line in card.text
    assert "None" not in card.text
    assert "2402.03300" not in card.text  # GRPO's paper, of which TRL's own card is


def test_the_card_names_the_conflicts_of_the_training(trained: Any) -> None:
    trained.create_model_card()
    means = training_means(trained.state.log_history)
    text = card_of(trained).text
    assert f"the rewards conflicted on {100 * means['conflict/rate']:.0f}% of the rollouts" in text
    rows = text.partition("## Conflicts of the rewards")[2].splitlines()
    row = next(line for line in rows if line.startswith("| `length` |"))
    assert row.split(" | ")[2] == f"{100 * means['conflict/retained/length']:.0f}%"
    assert "| steps | 2 |" in text


def test_a_card_without_a_run_promises_nothing(make_trainer: Any) -> None:
    trainer = make_trainer([length], advantage_estimator="consensus")
    trainer.create_model_card(model_name="a|b", dataset_name="builtin:toolcalls", tags="mine")
    card = card_of(trainer)
    assert "None were taken." in card.text
    assert "No step was logged." in card.text
    assert "16 prompts of `builtin:toolcalls`." in card.text
    assert card.data.datasets is None
    assert card.data.base_model is None
    assert "mine" in card.data.tags
    assert "gd2po's own" in card.text


def test_other_processes_write_no_card(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer([length])
    monkeypatch.setattr(trainer, "is_world_process_zero", lambda: False)
    trainer.create_model_card()
    assert not Path(trainer.args.output_dir, "README.md").exists()


def test_a_push_to_the_hub_carries_the_card(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads: list[dict[str, Any]] = []
    hub = SimpleNamespace(upload_folder=lambda **keywords: uploads.append(keywords))
    monkeypatch.setattr("transformers.trainer.hf_api", lambda: hub)
    trained.hub_model_id = "owner/policy"
    trained.push_to_hub(dataset_name="owner/others", tags=["extra"])
    (upload,) = uploads
    assert upload["repo_id"] == "owner/policy"
    card = ModelCard.load(Path(upload["folder_path"], "README.md"))
    assert "of `owner/others`." in card.text
    assert "extra" in card.data.tags
    assert "| `length` | reward | 0.250 | 0.750 |" in card.text


def test_trl_calls_the_card_with_what_it_takes(make_trainer: Any) -> None:
    ours = inspect.signature(type(make_trainer([length])).create_model_card)
    assert list(ours.parameters) == list(inspect.signature(GRPOTrainer.create_model_card).parameters)
    assert "self.create_model_card(model_name=model_name)" in inspect.getsource(GRPOTrainer._save_checkpoint)
    assert "self.create_model_card(model_name=model_name, **kwargs)" in inspect.getsource(Trainer.push_to_hub)


def test_names_cannot_break_out_of_the_card() -> None:
    assert _text("a | b\n# <b>[x](y)") == "a \\| b # &lt;b&gt;\\[x\\](y)"
    assert _code("a`|\n`b") == "`a'¦ 'b`"


def test_only_what_the_hub_can_look_up_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs", "mine").mkdir(parents=True)
    assert _hub_id("owner/name") == "owner/name"
    for name in ("runs/mine", "/a/b", "builtin:toolcalls", "https://a.b/c", "", None):
        assert _hub_id(name) is None
