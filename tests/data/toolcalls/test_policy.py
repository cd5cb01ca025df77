"""The shipped policy, its tokenizer, and the script that makes them."""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gd2po.data.toolcalls.task import POLICY_PATH, ToolCallExample, load_toolcalls, toolcall_examples
from gd2po.evaluation.generation.generate import generate_completions
from gd2po.rewards import exact_calls, parse_tool_calls, think_length, tool_call_format

SCRIPTS = Path(__file__).parents[3] / "scripts"
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>")
HELD_OUT = 256
WITHOUT_HABITS = {"set_lights", "set_lock", "set_alarm", "send_email", "translate"}
TINY = [
    "--plain-steps",
    "1",
    "--noisy-steps",
    "1",
    "--batch-size",
    "4",
    "--hidden",
    "32",
    "--layers",
    "1",
    "--threads",
    "1",
    "--no-bf16",
]


@pytest.fixture(scope="module")
def policy() -> SimpleNamespace:
    return SimpleNamespace(
        model=AutoModelForCausalLM.from_pretrained(POLICY_PATH).eval(),
        tokenizer=AutoTokenizer.from_pretrained(POLICY_PATH),
    )


@pytest.fixture(scope="module")
def scripts() -> Iterator[SimpleNamespace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        import make_toolcalls_policy
        import toolcalls_demonstrations

        yield SimpleNamespace(policy=make_toolcalls_policy, demonstrations=toolcalls_demonstrations)


@pytest.fixture(scope="module")
def examples() -> list[ToolCallExample]:
    return list(islice(toolcall_examples("train", seed=0), 2000))


def rendered(tokenizer, prompt: list[dict[str, str]]) -> str:
    return tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)


def completions_of(policy: SimpleNamespace, prompts: list, **generation: object) -> list[str]:
    texts = [rendered(policy.tokenizer, prompt) for prompt in prompts]
    batch = policy.tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
    with torch.no_grad():
        ids = policy.model.generate(**batch, max_new_tokens=128, **generation)
    return policy.tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_policy_is_a_small_llama_in_a_small_file(policy: SimpleNamespace) -> None:
    assert type(policy.model).__name__ == "LlamaForCausalLM"
    assert sum(parameter.numel() for parameter in policy.model.parameters()) <= 4_000_000
    assert {parameter.dtype for parameter in policy.model.parameters()} == {torch.float32}
    assert (POLICY_PATH / "model.safetensors").stat().st_size < 10_000_000
    assert policy.model.lm_head.weight is policy.model.model.embed_tokens.weight
    assert policy.model.config.max_position_embeddings >= 512


def test_the_special_tokens_of_model_tokenizer_and_generation_agree(policy: SimpleNamespace) -> None:
    tokenizer = policy.tokenizer
    expected = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert len(set(expected)) == 3
    for config in (policy.model.config, policy.model.generation_config):
        assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == expected


def test_sampling_by_default_is_from_the_plain_distribution(policy: SimpleNamespace) -> None:
    config = policy.model.generation_config
    assert config.do_sample
    assert (config.temperature, config.top_p, config.top_k) == (1.0, 1.0, 0)
    assert config.repetition_penalty in (None, 1.0)


@pytest.mark.parametrize("tag", TAGS)
def test_each_tag_is_one_token_and_survives_decoding(policy: SimpleNamespace, tag: str) -> None:
    ids = policy.tokenizer(tag)["input_ids"]
    assert len(ids) == 1
    assert policy.tokenizer.decode(ids, skip_special_tokens=True) == tag


def test_a_token_holds_two_digits_at_most(policy: SimpleNamespace) -> None:
    tokens = policy.tokenizer.tokenize("2026-05-13 at 1234.5")
    assert max(sum(character.isdigit() for character in token) for token in tokens) == 2


@pytest.mark.parametrize("text", ["plain", "Übergröße 💡\n\t", '{"a": "<think>"}', "  two  spaces ", "a\r\nb"])
def test_the_tokenizer_gives_back_any_text(policy: SimpleNamespace, text: str) -> None:
    assert policy.tokenizer.decode(policy.tokenizer(text)["input_ids"]) == text


def test_the_chat_template_renders_turns_and_the_opening_of_the_answer(policy: SimpleNamespace) -> None:
    prompt = [{"role": "system", "content": "Tools:"}, {"role": "user", "content": "Hi."}]
    expected = "<|im_start|>system\nTools:<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n"
    assert rendered(policy.tokenizer, prompt) == expected
    ids = policy.tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ids == policy.tokenizer(expected)["input_ids"]


def test_prompts_and_answers_are_short(policy: SimpleNamespace) -> None:
    rows = load_toolcalls("test", 300)
    lengths = [len(policy.tokenizer(rendered(policy.tokenizer, prompt))["input_ids"]) for prompt in rows["prompt"]]
    assert sum(lengths) / len(lengths) < 150
    assert max(lengths) < 256
    assert max(len(policy.tokenizer(answer)["input_ids"]) for answer in rows["answer"]) < 128


def test_the_policy_starts_with_room_to_learn(policy: SimpleNamespace) -> None:
    rows = load_toolcalls("test", HELD_OUT)
    completions = generate_completions(policy.model, policy.tokenizer, rows["prompt"][:], max_new_tokens=128)
    exact = sum(exact_calls(completions, rows["answer"][:])) / HELD_OUT
    layout = sum(score or 0.0 for score in tool_call_format(completions, rows["answer"][:])) / HELD_OUT
    assert 0.33 < exact < 0.67
    assert 0.73 < layout < 0.97


def test_samples_of_the_policy_differ_and_end_by_themselves(policy: SimpleNamespace) -> None:
    rows = load_toolcalls("test", 8)
    torch.manual_seed(0)
    completions = completions_of(policy, [prompt for prompt in rows["prompt"] for _ in range(8)])
    answers = [answer for answer in rows["answer"] for _ in range(8)]
    assert len(set(completions)) > 48
    assert 0.2 < sum(think_length(completions, answers, target_words=32)) / 64 < 0.8
    layouts = tool_call_format(completions, answers)
    assert 0.0 < sum(score or 0.0 for score in layouts) < 64


def test_the_same_seed_makes_the_same_demonstrations(scripts: SimpleNamespace, examples: list) -> None:
    first, second = (
        [scripts.demonstrations.demonstration(example, rng) for example in examples[:300]]
        for rng in (random.Random(5), random.Random(5))
    )
    assert first == second


def test_plain_teachers_are_always_exact(scripts: SimpleNamespace, examples: list) -> None:
    rng = random.Random(0)
    texts = [scripts.demonstrations.plain_demonstration(example, rng) for example in examples]
    answers = [example.answer for example in examples]
    assert set(exact_calls(texts, answers)) == {1.0}
    assert set(tool_call_format(texts, answers)) == {1.0}


def test_teachers_keep_their_habits_at_the_rate_of_the_script(scripts: SimpleNamespace, examples: list) -> None:
    demonstrations = scripts.demonstrations
    rng = random.Random(0)
    days = []
    for example in examples:
        if example.kind != "one_call" or example.calls[0].tool.name != "book_table":
            continue
        for _ in range(20):
            calls = parse_tool_calls(demonstrations.demonstration(example, rng)) or []
            days += ["/" in str(call["parameters"].get("day")) for call in calls]
    assert len(days) > 300
    assert sum(days) / len(days) == pytest.approx(demonstrations.HABIT_RATE, abs=0.07)


def test_longer_thoughts_slip_more_often(scripts: SimpleNamespace, examples: list) -> None:
    rng = random.Random(0)
    right: dict[bool, list[float | None]] = {True: [], False: []}
    for example in examples:
        if example.kind == "one_call" and example.calls[0].tool.name in WITHOUT_HABITS:
            for _ in range(20):
                text = scripts.demonstrations.demonstration(example, rng)
                sentences = text.split("<tool_call>")[0].count(". ")
                right[sentences > 2] += exact_calls([text], [example.answer])
    short, long = (sum(right[key]) / len(right[key]) for key in (False, True))
    assert long < short - 0.02


def test_the_script_writes_a_policy_that_loads_and_generates(scripts: SimpleNamespace, tmp_path: Path) -> None:
    scripts.policy.main(["--out", str(tmp_path), *TINY])
    made = SimpleNamespace(
        model=AutoModelForCausalLM.from_pretrained(tmp_path), tokenizer=AutoTokenizer.from_pretrained(tmp_path)
    )
    assert len(made.tokenizer) == made.model.config.vocab_size
    assert len(completions_of(made, load_toolcalls("test", 2)["prompt"][:], do_sample=False)) == 2


def test_the_script_makes_the_same_files_from_the_same_seed(scripts: SimpleNamespace, tmp_path: Path) -> None:
    for name in ("first", "second"):
        scripts.policy.main(["--out", str(tmp_path / name), *TINY])
    for file in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_the_script_trains_the_shipped_tokenizer(policy: SimpleNamespace, scripts: SimpleNamespace) -> None:
    trained = scripts.policy.train_tokenizer(scripts.policy.tokenizer_texts(0, scripts.policy.TOKENIZER_PROMPTS))
    assert trained.get_vocab() == policy.tokenizer.get_vocab()
