"""Reward models that load from disk, and those that must not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from reward_checkpoints import BUILTIN, config, save_classifier, save_score_head, save_tokenizer
from transformers import AutoTokenizer, Qwen2ForCausalLM
from transformers.utils import logging

from gd2po.errors import ConfigError, InvalidInputError, InvalidTypeError
from gd2po.rewards import configure
from gd2po.rewards.models.reward_model import RewardModel, conversation_texts
from gd2po.rewards.safety import harmlessness, helpfulness

PROMPTS = [[{"role": "user", "content": "word " * n + "?"}] for n in (1, 40, 7, 90, 2, 13)]
COMPLETIONS = [[{"role": "assistant", "content": "answer " * n}] for n in (3, 1, 50, 9, 0, 21)]


@pytest.fixture(scope="module")
def score_head(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, torch.Tensor]:
    folder = tmp_path_factory.mktemp("models") / "useful"
    return str(folder), *save_score_head(folder)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    folder = tmp_path_factory.mktemp("models") / "classifier"
    return str(folder), save_classifier(folder, max_shard_size="50KB")


def load(folder: str, **options: Any) -> RewardModel:
    return RewardModel(folder, device="cpu", **options)


def ids_of(folder: str, text: str) -> torch.Tensor:
    return AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt", add_special_tokens=False)["input_ids"]


def test_a_score_head_scores_the_last_token_of_the_conversation(score_head: tuple[str, Any, torch.Tensor]) -> None:
    folder, body, head = score_head
    template = AutoTokenizer.from_pretrained(folder).apply_chat_template
    expected = []
    with torch.no_grad():
        for prompt, completion in zip(PROMPTS, COMPLETIONS, strict=True):
            ids = ids_of(folder, template([*prompt, *completion], tokenize=False))
            expected.append(float(head[0] @ body(ids).last_hidden_state[0, -1]))
    model = load(folder, batch_size=4)
    assert model(prompts=PROMPTS, completions=COMPLETIONS, answer=["x"] * 6) == pytest.approx(expected, rel=1e-5)
    assert model.__name__ == "useful"
    assert len(set(expected)) == 6


def test_the_head_of_a_score_head_is_not_called_unexpected(
    score_head: tuple[str, Any, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    before = logging.get_verbosity()
    logging.get_logger().addHandler(caplog.handler)
    try:
        load(score_head[0])
    finally:
        logging.get_logger().removeHandler(caplog.handler)
    assert "UNEXPECTED" not in caplog.text
    assert logging.get_verbosity() == before


def test_a_sequence_classifier_gives_the_score_of_its_own_head(classifier: tuple[str, Any]) -> None:
    folder, model = classifier
    assert len(list(Path(folder).glob("*.safetensors"))) > 1
    texts = ["one two", "three " * 30]
    with torch.no_grad():
        expected = [float(model(ids_of(folder, text)).logits[0, 0]) for text in texts]
    assert load(folder).scores(texts) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["score_head", "classifier"])
def test_a_score_does_not_depend_on_the_batch(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)[0]
    alone = load(folder, batch_size=1)(COMPLETIONS, PROMPTS)
    # A score near 0 is a difference of large terms, and keeps their rounding: the scale is that of the scores.
    same = pytest.approx(alone, rel=1e-5, abs=2e-6 * max(map(abs, alone)))
    for batch_size in (2, 4, 6):
        assert load(folder, batch_size=batch_size)(COMPLETIONS, PROMPTS) == same
    backwards = load(folder, batch_size=6)(COMPLETIONS[::-1], PROMPTS[::-1])
    assert backwards[::-1] == same


def test_a_score_head_in_shards_is_found(score_head: tuple[str, Any, torch.Tensor], tmp_path: Path) -> None:
    tensors = load_file(Path(score_head[0]) / "model.safetensors")
    save_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text((Path(score_head[0]) / "config.json").read_text())
    names = sorted(tensors)
    files = {"one.safetensors": names[:5], "two.safetensors": names[5:]}
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, tmp_path / file, metadata={"format": "pt"})
    weight_map = {name: file for file, part in files.items() for name in part}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert load(str(tmp_path))(COMPLETIONS, PROMPTS) == load(score_head[0])(COMPLETIONS, PROMPTS)


def test_long_conversations_are_read_from_their_end(score_head: tuple[str, Any, torch.Tensor]) -> None:
    model = load(score_head[0], max_length=8)
    assert model.scores(["x " * 90 + "one two three four five six seven eight"]) == pytest.approx(
        model.scores(["y " * 70 + "one two three four five six seven eight"]), rel=1e-6
    )
    assert model.scores(["one two"]) != model.scores(["one three"])


def test_scores_are_float32_whatever_the_models_dtype(score_head: tuple[str, Any, torch.Tensor]) -> None:
    exact, coarse = (load(score_head[0], dtype=dtype)(COMPLETIONS, PROMPTS) for dtype in ("float32", "bfloat16"))
    assert coarse == pytest.approx(exact, rel=0.1, abs=0.1)
    assert coarse != exact
    assert all(score != float(torch.tensor(score).bfloat16()) for score in coarse)


def test_an_empty_text_gets_a_score_and_no_texts_get_none(score_head: tuple[str, Any, torch.Tensor]) -> None:
    model = load(score_head[0])
    assert len(model.scores([""])) == 1
    assert model([], []) == []


def test_without_chat_template_each_message_is_a_line() -> None:
    tokenizer = AutoTokenizer.from_pretrained(BUILTIN)
    tokenizer.chat_template = None
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert conversation_texts(tokenizer, [prompt, "plain "], ["a", "b"]) == [
        "SYSTEM: s\nUSER: u\nASSISTANT: a",
        "plain b",
    ]


def test_an_offloaded_model_is_moved_for_each_use(
    score_head: tuple[str, Any, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(score_head[0], offload=True)
    moves: list[str | None] = []
    monkeypatch.setattr(model._scorer, "to", moves.append)
    model.scores(["one"])
    monkeypatch.setattr(model._scorer, "scores", lambda encoded: (_ for _ in ()).throw(ValueError("stop")))
    with pytest.raises(ValueError, match="stop"):
        model.scores(["one"])
    assert moves == ["cpu", "cpu"] * 2
    monkeypatch.setattr(model, "_device", "cuda:3")
    with pytest.raises(ValueError, match="stop"):
        model.scores(["one"])
    assert moves[-2:] == ["cuda:3", "cpu"]


# --- checkpoints that must not pass ---------------------------------------------------------------------------


def test_a_checkpoint_without_its_head_is_refused(tmp_path: Path) -> None:
    Qwen2ForCausalLM(config(num_labels=1)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    with pytest.raises(ConfigError, match=r"the head is not in the checkpoint \(score.weight would be random\)"):
        load(str(tmp_path))


def test_a_checkpoint_without_a_part_of_its_body_is_refused(tmp_path: Path) -> None:
    save_score_head(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"its body is not in the checkpoint \(norm.weight would be random\)"):
        load(str(tmp_path))


def test_a_head_of_another_shape_is_refused(tmp_path: Path) -> None:
    save_score_head(tmp_path, **{"score_head.weight": torch.zeros(2, 32)})
    with pytest.raises(ConfigError, match=r"must have the shape \(1, 32\).*got \(2, 32\)"):
        load(str(tmp_path))


def test_weights_that_the_score_does_not_use_are_told(tmp_path: Path) -> None:
    save_score_head(tmp_path, **{"score_head.bias": torch.ones(1)})
    with pytest.warns(UserWarning, match="holds score_head.bias, which the score does not use"):
        load(str(tmp_path))


def test_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    save_classifier(tmp_path, num_labels=3)
    with pytest.raises(ConfigError, match="needs one label, and its configuration has 3"):
        load(str(tmp_path))


def test_the_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    save_score_head(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(BUILTIN)
    tokenizer.add_tokens([f"<extra{n}>" for n in range(50)])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="its tokenizer has .* tokens and its body 1616: they do not belong together"):
        load(str(tmp_path))


def test_a_classifier_needs_a_pad_token(tmp_path: Path) -> None:
    save_classifier(tmp_path)
    save_tokenizer(tmp_path, pad_token=None)
    with pytest.raises(ConfigError, match="its tokenizer has no pad token"):
        load(str(tmp_path))


def test_pickled_weights_and_missing_folders_are_refused(tmp_path: Path) -> None:
    save_classifier(tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="there are no weights in safetensors"):
        load(str(tmp_path / "pickled"))
    with pytest.raises(ConfigError, match="cannot be loaded: .*Give the folder or hub id"):
        load(str(tmp_path / "nowhere"))


def test_wrong_arguments_are_named(score_head: tuple[str, Any, torch.Tensor]) -> None:
    with pytest.raises(InvalidInputError, match="`batch_size` must be a whole number of at least 1, got 0"):
        load(score_head[0], batch_size=0)
    model = load(score_head[0])
    with pytest.raises(InvalidInputError, match="`prompts` needs one prompt per completion: expected 2"):
        model(["a", "b"], ["p"])
    with pytest.raises(InvalidTypeError, match=r"`prompts\[0\]` must be a string or a list of messages"):
        model(["a"], [[{"role": "user"}]])


# --- as rewards of a run ---------------------------------------------------------------------------------------


def test_helpfulness_and_harmlessness_are_two_models_loaded_once(tmp_path: Path) -> None:
    for seed, name in enumerate(("useful", "harmless")):
        save_score_head(tmp_path / name, seed=seed)
    rewards = [
        configure(helpfulness, model=str(tmp_path / "useful"), device="cpu"),
        configure(harmlessness, model=str(tmp_path / "harmless"), device="cpu"),
    ]
    first = [reward(prompts=PROMPTS, completions=COMPLETIONS, data_source=["d"] * 6) for reward in rewards]
    expected = [load(str(tmp_path / name))(COMPLETIONS, PROMPTS) for name in ("useful", "harmless")]
    assert first == expected
    assert first[0] != first[1]
    for file in (tmp_path / "useful").iterdir():
        file.unlink()
    assert rewards[0](prompts=PROMPTS, completions=COMPLETIONS) == expected[0]
    assert [reward.__name__ for reward in rewards] == ["helpfulness", "harmlessness"]
    with pytest.raises(ConfigError, match="'helpfulness' is loaded already, with other options"):
        helpfulness(COMPLETIONS, PROMPTS, model=str(tmp_path / "harmless"))


def test_a_trainer_takes_a_reward_model_beside_functions(
    score_head: tuple[str, Any, torch.Tensor], tmp_path: Path
) -> None:
    from gd2po import GD2POConfig, GD2POTrainer
    from gd2po.data import load_toolcalls

    def brevity(completions: list[Any], **kwargs: Any) -> list[float]:
        return [-float(len(completion[0]["content"])) for completion in completions]

    trainer = GD2POTrainer(
        model=BUILTIN,
        reward_funcs=[load(score_head[0]), brevity],
        train_dataset=load_toolcalls("train", 8),
        args=GD2POConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, num_generations=4,
            per_device_train_batch_size=8, max_completion_length=8, max_steps=1, logging_steps=1, save_strategy="no",
            report_to="none", disable_tqdm=True,
        ),
    )  # fmt: skip
    trainer.train()
    (entry,) = [entry for entry in trainer.state.log_history if "rewards/useful/mean" in entry]
    assert entry["rewards/useful/std"] > 0
    assert "conflict/retained/useful" in entry
