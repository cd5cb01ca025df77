"""Make the built-in policy of the task `toolcalls`: train its tokenizer, then a small Llama on noisy demonstrations.

    python scripts/make_toolcalls_policy.py --out src/gd2po/data/toolcalls/policy --seed 0

It learns in two stages: the skill from plain right answers, then the ways of noisy teachers, so that reinforcement
learning starts with room to learn; `toolcalls_demonstrations.py` says which faults these teachers have. The same
seed, precision, thread count, library versions and kind of CPU give the same files. Needs torch 2.9 for Muon.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from toolcalls_demonstrations import KIND_SHARES, demonstration, plain_demonstration
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gd2po.data.toolcalls import task as toolcalls
from gd2po.data.toolcalls.task import ToolCallExample, toolcall_examples

TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>")
PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
CONTEXT = 1024
VOCABULARY = 1600
Teacher = Callable[[ToolCallExample, random.Random], str]
TOKENIZER_PROMPTS = 4000
IGNORED = -100

# Words keep their underscores, so a tool's name can become one token; runs of JSON punctuation stay together; so do two
# digits, so that days, months and most numbers are copied as one token.
WORD_PATTERN = r" ?[A-Za-z_]+| ?[0-9]{1,2}|[^\sA-Za-z_0-9]+(?: [^\sA-Za-z_0-9]+)*| [^\sA-Za-z_0-9]+|\s"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the RLLA tags as single ordinary tokens and a ChatML template."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(TAGS),
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, bos_token=START, eos_token=END, padding_side="left",
        model_max_length=CONTEXT, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    fast.chat_template = CHAT_TEMPLATE
    return fast


def tokenizer_texts(seed: int, size: int) -> Iterator[str]:
    """Prompts and demonstrations of the training split without the tags, which are tokens already."""
    rng = random.Random(f"tokenizer {seed}")
    for example in itertools.islice(toolcall_examples("train", seed=seed), size):
        text = demonstration(example, rng)
        for tag in TAGS:
            text = text.replace(tag, "")
        turns = [*example.prompt, {"role": "assistant", "content": text}]
        yield "\n".join(f"{turn['role']}\n{turn['content']}" for turn in turns)


def make_model(tokenizer: PreTrainedTokenizerFast, *, hidden: int, layers: int, seed: int) -> LlamaForCausalLM:
    """A fresh Llama with tied embeddings whose generation samples from the plain distribution."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3 // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=128,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return model


def encoded(example: ToolCallExample, text: str, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], int]:
    """Token ids of prompt, completion and end token, and the number of prompt tokens."""
    prompt = tokenizer.apply_chat_template(example.prompt, add_generation_prompt=True, tokenize=False)
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    completion_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [*prompt_ids, *completion_ids, tokenizer.eos_token_id], len(prompt_ids)


def demonstrated_examples(rng: random.Random) -> Iterator[ToolCallExample]:
    """Endless examples of the training split, with the kinds in the shares of the demonstrations."""
    ratios = {kind: share / toolcalls.KIND_SHARES[kind] for kind, share in KIND_SHARES.items()}
    for example in toolcall_examples("train", seed=rng.randrange(2**32)):
        if rng.random() < ratios[example.kind] / max(ratios.values()):
            yield example


def batches(
    teacher: Teacher, tokenizer: PreTrainedTokenizerFast, *, size: int, seed: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches of ids and completion masks (B, T), right-padded, of rows of like length."""
    rng = random.Random(seed)
    examples = demonstrated_examples(rng)
    while True:
        rows = [encoded(example, teacher(example, rng), tokenizer) for example in itertools.islice(examples, 16 * size)]
        rows.sort(key=lambda row: len(row[0]))
        starts = list(range(0, len(rows), size))
        rng.shuffle(starts)
        for start in starts:
            chunk = rows[start : start + size]
            width = math.ceil(max(len(ids) for ids, _ in chunk) / 32) * 32
            ids = torch.full((len(chunk), width), tokenizer.pad_token_id)
            mask = torch.zeros((len(chunk), width), dtype=torch.bool)
            for row, (tokens, prompt_length) in enumerate(chunk):
                ids[row, : len(tokens)] = torch.tensor(tokens)
                mask[row, prompt_length : len(tokens)] = True
            yield ids, mask


def completion_loss(model: LlamaForCausalLM, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the completion tokens, up to the next 256 of which logits are computed.

    Few distinct shapes, here and in `batches`, because CPU kernels are compiled and cached for each.
    """
    hidden = model.model(ids).last_hidden_state[:, :-1]
    targets = ids[:, 1:].masked_fill(~mask[:, 1:], IGNORED)
    order = mask[:, 1:].flatten().argsort(descending=True, stable=True)
    chosen = order[: math.ceil(int(mask.sum()) / 256) * 256]
    return functional.cross_entropy(
        model.lm_head(hidden.flatten(0, 1)[chosen]), targets.flatten()[chosen], ignore_index=IGNORED
    )


def learning_rate_scale(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up over a twentieth of the run, then a cosine down to nothing."""
    warmup = max(1, steps // 20)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def make_optimizers(model: LlamaForCausalLM, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the weight matrices, with which values are copied right after half the steps; AdamW for the rest."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and "embed" not in name else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=lr, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=0.3 * lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    teacher: Teacher,
    *,
    steps: int,
    lr: float,
    options: argparse.Namespace,
) -> None:
    """Fine-tunes the model on a fresh demonstration of a fresh prompt each time."""
    optimizers = make_optimizers(model, lr)
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    stream = batches(teacher, tokenizer, size=options.batch_size, seed=f"{teacher.__name__} {options.seed}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]:.3f}"),
    )
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task(f"loss on {teacher.__name__}", total=steps, loss=float("nan"))
        for step, (ids, mask) in zip(range(steps), stream, strict=False):
            scale = learning_rate_scale(step, steps)
            for optimizer, rates in zip(optimizers, peaks, strict=True):
                for group, peak in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = scale * peak
            with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
                loss = completion_loss(model, ids, mask)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            if options.log_every and (step + 1) % options.log_every == 0:
                progress.console.print(f"step {step + 1}: loss {loss.item():.4f}")
            progress.update(task, advance=1, loss=loss.item())


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model and tokenizer to")
    parser.add_argument("--seed", type=int, default=0, help="seed of data and weights (default: %(default)s)")
    parser.add_argument("--plain-steps", type=int, default=2400, help="steps on right answers (default: %(default)s)")
    parser.add_argument("--noisy-steps", type=int, default=400, help="steps on noisy ones (default: %(default)s)")
    parser.add_argument("--skilled", type=Path, help="start from this folder of --save-skilled; no plain steps")
    parser.add_argument("--save-skilled", type=Path, help="folder for the model as it is after the plain steps")
    parser.add_argument("--batch-size", type=int, default=32, help="demonstrations a step (default: %(default)s)")
    parser.add_argument("--plain-lr", type=float, default=1e-2, help="peak learning rate (default: %(default)s)")
    parser.add_argument("--noisy-lr", type=float, default=4e-3, help="peak learning rate (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=160, help="hidden size (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=3, help="decoder layers (default: %(default)s)")
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=True,
        help="multiply in bfloat16: twice as fast on CPUs with AVX512-BF16 or AMX (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--log-every", type=int, default=100, help="steps between printed losses; 0 for none (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    options = parser.parse_args(arguments)

    torch.set_num_threads(options.threads)
    tokenizer = train_tokenizer(tokenizer_texts(options.seed, TOKENIZER_PROMPTS))
    model = make_model(tokenizer, hidden=options.hidden, layers=options.layers, seed=options.seed)
    if options.skilled:
        model = LlamaForCausalLM.from_pretrained(options.skilled)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.skilled)
    else:
        train(model, tokenizer, plain_demonstration, steps=options.plain_steps, lr=options.plain_lr, options=options)
    if options.save_skilled:
        model.save_pretrained(options.save_skilled)
        tokenizer.save_pretrained(options.save_skilled)
    train(model, tokenizer, demonstration, steps=options.noisy_steps, lr=options.noisy_lr, options=options)
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)


if __name__ == "__main__":
    main()
