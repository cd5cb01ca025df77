"""What processes beside the GPU do for `fleet.py`: texts, rewards and advantages of one run's batch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from jinja2 import Template
from tokenizers import Tokenizer

from gd2po.core import Setting
from gd2po.core.agreement import Agreement
from gd2po.data.toolcalls.task import ToolCallExample, toolcall_prompts
from gd2po.recipes import recipe_path
from gd2po.rewards import configure, load_eval_func, load_reward_func

GOLD = ("answer_quality", "exact_calls")
"""What every batch is scored by, beside the rewards that are trained on."""


@dataclass(frozen=True)
class Run:
    """A recipe, a method and a seed."""

    name: str
    """Of the recipe, and of what was changed in it."""
    recipe: dict[str, Any]
    label: str
    method: Setting
    seed: int

    @staticmethod
    def of(config: str, label: str, method: Setting, seed: int, **changes: Any) -> Run:
        """A run of a packaged recipe or a file, with other values for some of its keys."""
        recipe = yaml.safe_load(recipe_path(config).read_text(encoding="utf-8"))
        changed = "".join(f" {key}={value}" for key, value in changes.items())
        return Run(f"{Path(config).stem}{changed}", {**recipe, **changes}, label, method, seed)

    @property
    def reward_names(self) -> list[str]:
        """In the order of the matrix."""
        return list(self.recipe["reward_funcs"])

    @property
    def rewards(self) -> list[Any]:
        """The reward functions with their options."""
        options = self.recipe.get("reward_kwargs") or {}
        return [configure(load_reward_func(name), **options.get(name, {})) for name in self.reward_names]

    @property
    def families(self) -> list[str] | None:
        """A label per reward, if the recipe says what measures the same thing."""
        given = self.recipe.get("reward_families")
        return None if given is None else [given.get(name, name) for name in self.reward_names]

    @property
    def phrases(self) -> list[str]:
        """What its judges are fooled by."""
        options = (self.recipe.get("reward_kwargs") or {}).values()
        return sorted({str(kwargs["phrase"]) for kwargs in options if kwargs.get("phrase")})

    def prompts(self, split: str) -> list[ToolCallExample]:
        """Of the training set or the held-out ones."""
        size = self.recipe.get("dataset_size") if split == "train" else self.recipe["eval_prompts"]
        return _prompts(self.recipe["dataset_name"], split, size)

    def order(self) -> Iterator[int]:
        """Rows of the training set, a new order in every epoch; the same for every method."""
        rng, rows = random.Random(f"order {self.seed}"), list(range(len(self.prompts("train"))))
        while True:
            rng.shuffle(rows)
            yield from rows


@cache
def _prompts(name: str, split: str, size: int | None) -> list[ToolCallExample]:
    return toolcall_prompts(split, size, level="easy" if name == "builtin:toolcalls-easy" else "all")  # type: ignore[arg-type]


@dataclass(frozen=True)
class Texts:
    """A policy's tokenizer: prompts to ids, ids to texts."""

    folder: Path
    end_token: int

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def encoded(self, examples: Sequence[ToolCallExample]) -> list[list[int]]:
        """Token ids of prompts."""
        template = Template((self.folder / "chat_template.jinja").read_text(encoding="utf-8"))
        texts = [template.render(messages=example.prompt, add_generation_prompt=True) for example in examples]
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False)]

    def decoded(self, tokens: np.ndarray[Any, Any]) -> list[str]:
        """Texts of completions (N, C)."""
        return list(self.tokenizer.decode_batch(tokens.tolist(), skip_special_tokens=True))

    def lengths(self, tokens: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(N,) tokens up to the end token, itself included."""
        ended = tokens == self.end_token
        return np.where(ended.any(1), ended.argmax(1) + 1, tokens.shape[1])


@dataclass(frozen=True)
class Scored:
    """What a batch of one run comes to."""

    advantages: np.ndarray[Any, Any]
    """(P, G)"""
    lengths: np.ndarray[Any, Any]
    """(P, G) tokens of each completion."""
    metrics: dict[str, float] = field(default_factory=dict)
    agreement: Agreement | None = None
    """Of this batch and those before it, where the method looks for families."""


def score_batch(
    run: Run, texts: Texts, rows: Sequence[int], tokens: np.ndarray[Any, Any], before: Agreement | None = None
) -> Scored:
    """Rewards and advantages of completions (P, G, C) to rows of the training set, after batches that agreed so."""
    torch.set_num_threads(1)
    count, rollouts, _ = tokens.shape
    examples = run.prompts("train")
    answers = [examples[row].answer for row in rows for _ in range(rollouts)]
    flat = tokens.reshape(count * rollouts, -1)
    completions, lengths = texts.decoded(flat), texts.lengths(flat)
    columns = [func(completions=completions, answer=answers) for func in run.rewards]
    rewards = torch.from_numpy(np.array(columns, np.float32).T.copy())  # None becomes NaN
    groups = torch.arange(count).repeat_interleave(rollouts)
    agreement = None
    if run.method.finds_families(run.families):
        agreement = Agreement.of(rewards, groups).after(before)
    result = run.method.advantages(
        rewards,
        groups,
        reward_families=run.families,
        correlations=None if agreement is None else agreement.correlation,
        token_counts=torch.from_numpy(lengths),
    )
    metrics = _means(run, completions, answers, columns)
    metrics["kept"] = float(result.keep_mask.float().mean())
    metrics["conflicts"] = float(result.conflict_mask.float().mean())
    advantages = result.advantages.float().numpy().reshape(count, rollouts)
    return Scored(advantages, lengths.reshape(count, rollouts), metrics, agreement)


def score_held_out(run: Run, texts: Texts, tokens: np.ndarray[Any, Any]) -> dict[str, float]:
    """Means over one completion (E, C) per held-out prompt."""
    answers = [example.answer for example in run.prompts("test")]
    completions = texts.decoded(tokens)
    columns = [func(completions=completions, answer=answers) for func in run.rewards]
    return _means(run, completions, answers, columns)


def _means(run: Run, completions: list[str], answers: list[str], columns: list[list[float]]) -> dict[str, float]:
    means = {
        name: float(np.nanmean(np.array(column, float))) for name, column in zip(run.reward_names, columns, strict=True)
    }
    for name in GOLD:
        scores = load_eval_func(name)(completions=completions, answer=answers)
        means[name] = float(np.nanmean(np.array(scores, float)))
    for phrase in run.phrases:
        means[f"says {phrase!r}"] = float(np.mean([phrase in text for text in completions]))
    means["words"] = float(np.mean([len(text.split()) for text in completions]))
    return means
