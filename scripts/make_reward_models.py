"""Make two small reward models for trying the safety recipe: one for helpfulness, one for harmlessness.

    python scripts/make_reward_models.py --model HuggingFaceTB/SmolLM2-135M-Instruct --data safe_alignment --out models

They are real and small, and not good: what they know is what the prompts alone can teach.

* `helpful` has the published layout, a body with a `score_head`. Body: the first layers of the model, as they are.
  Head: logistic regression that tells an assistant's turn of an HH-RLHF dialogue from a turn of another dialogue.
* `harmless` is a sequence classifier with two layers, trained from nothing. It tells what Alpaca's prompts speak about
  from what those of PKU-SafeRLHF speak about, where both stand in the assistant's turn.

The last rows of each file are learned from, and nothing else: an evaluation of its first rows is on text not seen.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from safetensors.torch import save_file
from torch.nn import functional
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForSequenceClassification

from gd2po.data import load_prompts
from gd2po.evaluation.generation.policies import load_tokenizer
from gd2po.rewards import RewardModel
from gd2po.rewards.models.reward_model import conversation_texts

Conversation = tuple[str, str, bool]
"""Prompt, completion, and whether the completion is a good one."""
LONGEST_TURN = 300
"""Characters of a turn: short ones are enough, and quick."""
LONGEST_TEXT = 192
"""Tokens of a conversation, the last ones."""
console = Console()


Parts = tuple[list[Conversation], list[Conversation]]
"""To learn from, and to try it on: no text is in both."""


def last_rows(file: Path, count: int) -> list[list[dict[str, str]]]:
    """The messages of a file's last prompts."""
    return list(load_prompts(str(file))["prompt"])[-count:]


def relevance(data: Path, count: int, rng: random.Random) -> Parts:
    """Assistant's turns of HH-RLHF dialogues behind the user's turn before them, and behind that of another one."""
    dialogues = [turns for turns in last_rows(data / "hh_rlhf_test.parquet", 2 * count) if len(turns) >= 3][-count:]
    pairs = [(turns[-3]["content"][-LONGEST_TURN:], turns[-2]["content"][:LONGEST_TURN]) for turns in dialogues]

    def mixed(part: list[tuple[str, str]]) -> list[Conversation]:
        prompts = [prompt for prompt, _ in part]
        right = [(prompt, completion, True) for prompt, completion in part]
        wrong = [(rng.choice(prompts), completion, False) for _, completion in part]
        return rng.sample([*right, *wrong], k=2 * len(part))

    return mixed(pairs[: _most(pairs)]), mixed(pairs[_most(pairs) :])


def harm(data: Path, count: int, rng: random.Random) -> Parts:
    """Texts of Alpaca and of PKU-SafeRLHF in the assistant's turn, behind a prompt of either."""
    rows = [
        (turns[-1]["content"][:LONGEST_TURN], name == "alpaca")
        for name in ("alpaca", "pku_saferlhf")
        for turns in last_rows(data / f"{name}_test.parquet", count)
    ]
    rng.shuffle(rows)

    def mixed(part: list[tuple[str, bool]]) -> list[Conversation]:
        return [(rng.choice(part)[0], text, good) for text, good in part]

    return mixed(rows[: _most(rows)]), mixed(rows[_most(rows) :])


def _most(rows: list[Any]) -> int:
    """Three quarters of the rows."""
    return len(rows) * 3 // 4


def texts_of(tokenizer: Any, conversations: list[Conversation]) -> list[str]:
    """What a reward model reads of each conversation."""
    prompts = [[{"role": "user", "content": prompt}] for prompt, _, _ in conversations]
    return conversation_texts(tokenizer, prompts, [completion for _, completion, _ in conversations])


def make_helpful(folder: Path, options: argparse.Namespace, learned: list[Conversation]) -> None:
    """A body with a `score_head`, which is fitted on the body's last hidden states."""
    loading = {} if options.gguf_file is None else {"gguf_file": options.gguf_file}
    tokenizer = load_tokenizer(options.model, **loading)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, **loading)
    body = model.model.eval()
    body.layers = body.layers[: options.layers]
    body.config.num_hidden_layers = options.layers
    body = body.to(torch.bfloat16)
    hidden = []
    for text in track(texts_of(tokenizer, learned), "Features: helpful", console=console, transient=True):
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"][-LONGEST_TEXT:]])
        with torch.inference_mode():
            hidden.append(body(input_ids=ids).last_hidden_state[0, -1].float())
    head = fit_head(torch.stack(hidden), torch.tensor([float(good) for _, _, good in learned]))
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in body.state_dict().items()}
    save_file({**tensors, "score_head.weight": head[None]}, folder / "model.safetensors", metadata={"format": "pt"})
    body.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def fit_head(hidden: torch.Tensor, good: torch.Tensor, penalty: float = 0.01) -> torch.Tensor:
    """Weights of a logistic regression without bias, for hidden states as they are; the penalty is on scaled ones."""
    scale = hidden.std(dim=0) + 1e-6
    inputs = hidden / scale
    weights = torch.zeros(hidden.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = functional.binary_cross_entropy_with_logits(inputs @ weights, good) + penalty * weights.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return (weights / scale).detach()


def make_harmless(folder: Path, options: argparse.Namespace, learned: list[Conversation]) -> None:
    """A small sequence classifier, trained from nothing."""
    loading = {} if options.gguf_file is None else {"gguf_file": options.gguf_file}
    tokenizer = load_tokenizer(options.model, **loading)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=2048, num_labels=1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = LlamaForSequenceClassification(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    encoded = [
        tokenizer(text, add_special_tokens=False)["input_ids"][-LONGEST_TEXT:] for text in texts_of(tokenizer, learned)
    ]
    rows = list(range(len(learned)))
    for _ in track(range(options.epochs), "Training: harmless", console=console, transient=True):
        random.shuffle(rows)
        for start in range(0, len(rows), 16):
            part = rows[start : start + 16]
            batch = tokenizer.pad(
                {"input_ids": [encoded[row] for row in part]}, padding_side="right", return_tensors="pt"
            )
            good = torch.tensor([float(learned[row][2]) for row in part])
            loss = functional.binary_cross_entropy_with_logits(model(**batch).logits[:, 0], good)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def ranked_right(folder: Path, held_out: list[Conversation]) -> float:
    """How often a reward model, loaded as any other, scores a good completion above a bad one: area under the curve."""
    reward = RewardModel(str(folder), device="cpu", max_length=LONGEST_TEXT)
    scores = torch.tensor(
        reward(
            [completion for _, completion, _ in held_out],
            [[{"role": "user", "content": prompt}] for prompt, _, _ in held_out],
        )
    )
    good = torch.tensor([good for _, _, good in held_out])
    return float((scores[good][:, None] > scores[~good][None]).float().mean())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="small chat model: folder or hub id")
    parser.add_argument("--gguf_file", help="file in its folder, for weights in GGUF")
    parser.add_argument("--data", type=Path, required=True, help="folder with alpaca_test.parquet and its siblings")
    parser.add_argument("--out", type=Path, required=True, help="folder for the two models")
    parser.add_argument("--size", type=int, default=400, help="rows to take of each file (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=15, help="layers of the body (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of the classifier (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of data and weights (default: %(default)s)")
    options = parser.parse_args(arguments)

    torch.manual_seed(options.seed)
    random.seed(options.seed)
    for name, make, source in (("helpful", make_helpful, relevance), ("harmless", make_harmless, harm)):
        learned, held_out = source(options.data, options.size, random.Random(options.seed))
        make(options.out / name, options, learned)
        right = ranked_right(options.out / name, held_out)
        console.print(
            f"{options.out / name}: learned from {len(learned)} conversations; of {len(held_out)} others it ranks "
            f"{100 * right:.0f} % of the pairs right.",
            soft_wrap=True,
        )


if __name__ == "__main__":
    main()
