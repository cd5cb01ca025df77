"""Many copies of one small Llama as one stack of weights, so that a GPU trains a hundred runs at the price of a few.

Letters: R runs in the stack, P prompts a run, G rollouts per prompt, C completion tokens, H hidden size. Prompts are
padded on the left and passed once for all of their rollouts; the last prompt token is the first input of a completion.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """What the model's configuration says."""

    layers: int
    heads: int
    head_size: int
    norm_eps: float
    rope_theta: float
    end_token: int

    @staticmethod
    def of(folder: Path) -> Shape:
        """Of a folder with config.json."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return Shape(
            config["num_hidden_layers"], config["num_attention_heads"], config["head_dim"], config["rms_norm_eps"],
            config["rope_parameters"]["rope_theta"], config["eos_token_id"],
        )  # fmt: skip


@dataclass(frozen=True)
class Prompts:
    """Prompts of R runs in the model's own terms, ready for their completions."""

    keys: list[Tensor]
    """Per layer (R P, heads, L - 1, head size), without the last token."""
    values: list[Tensor]
    mask: Tensor
    """(R P, 1, 1, L - 1): which tokens are no padding."""
    last: Tensor
    """(R, P): the last token of each."""


class Stack:
    """R copies of a policy.

    Args:
        folder: of the policy, in the layout of transformers.
        runs: R.
        device: where they live.
    """

    def __init__(self, folder: Path, runs: int, device: torch.device) -> None:
        self.shape, self.runs, self.device = Shape.of(folder), runs, device
        loaded = load_file(folder / "model.safetensors")
        self.weights = {
            name.removeprefix("model."): value.float().to(device).expand(runs, *value.shape).clone()
            for name, value in loaded.items()
        }

    def part(self, rows: slice) -> dict[str, Tensor]:
        """The weights of some of the runs."""
        return {name: value[rows] for name, value in self.weights.items()}

    # -- the model ------------------------------------------------------------------------------------------------

    def read(self, weights: dict[str, Tensor], ids: Tensor, mask: Tensor) -> Prompts:
        """Prompts (R, P, L) with their mask, passed through the model."""
        runs, prompts, length = ids.shape
        tokens, mask = ids[..., :-1], mask[..., :-1].flatten(0, 1).bool()[:, None, None]
        hidden = _embedded(weights, tokens.flatten(1))
        causal = torch.ones(length - 1, length - 1, dtype=torch.bool, device=ids.device).tril()
        # A padding token sees itself, so that no row is empty.
        seen = (mask & causal) | torch.eye(length - 1, dtype=torch.bool, device=ids.device)
        rotation = self._rotation(torch.arange(length - 1, device=ids.device))
        keys, values = [], []
        for layer in range(self.shape.layers):
            query, key, value = self._heads(weights, layer, hidden, rotation, runs * prompts)
            keys.append(key)
            values.append(value)
            scores = (query @ key.transpose(-1, -2)) / self.shape.head_size**0.5
            mixed = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value
            hidden = self._finish(weights, layer, hidden, mixed)
        return Prompts(keys, values, mask, ids[..., -1])

    def log_likelihoods(self, weights: dict[str, Tensor], prompts: Prompts, completions: Tensor) -> Tensor:
        """(R, P, G, C) the log-probability of each token of completions (R, P, G, C)."""
        runs, count, rollouts, length = completions.shape
        first = prompts.last[..., None, None].expand(-1, -1, rollouts, 1)
        inputs = torch.cat([first, completions[..., :-1]], -1)
        start = prompts.mask.shape[-1]
        rotation = self._rotation(torch.arange(start, start + length, device=inputs.device))
        hidden = _embedded(weights, inputs.flatten(1))
        causal = torch.ones(length, length, dtype=torch.bool, device=inputs.device).tril()
        for layer in range(self.shape.layers):
            query, key, value = self._heads(weights, layer, hidden, rotation, runs * count * rollouts)
            query, key, value = (part.unflatten(0, (-1, rollouts)).transpose(1, 2) for part in (query, key, value))
            mixed = self._attend(query, key, value, causal, prompts, layer)
            hidden = self._finish(weights, layer, hidden, mixed.transpose(1, 2).flatten(0, 1))
        logits = self._logits(weights, hidden)
        picked = functional.cross_entropy(logits.flatten(0, 1), completions.flatten(), reduction="none")
        return -picked.view_as(completions)

    @torch.no_grad()
    def complete(
        self,
        weights: dict[str, Tensor],
        prompts: Prompts,
        rollouts: int,
        length: int,
        generator: torch.Generator | None,
    ) -> Tensor:
        """(R, P, G, C) completions, sampled at temperature 1 or greedy without a generator; end tokens fill them up."""
        runs, count = prompts.last.shape
        heads, size, start = self.shape.heads, self.shape.head_size, prompts.mask.shape[-1]
        empty = (runs * count, heads, rollouts, length, size)
        cache = [[torch.zeros(empty, device=self.device) for _ in range(2)] for _ in range(self.shape.layers)]
        tokens = prompts.last[..., None].expand(-1, -1, rollouts)
        done = torch.zeros_like(tokens, dtype=torch.bool)
        written = torch.full((runs, count, rollouts, length), self.shape.end_token, device=self.device)
        for place in range(length):
            hidden = _embedded(weights, tokens.flatten(1))
            rotation = self._rotation(torch.tensor([start + place], device=self.device))
            for layer in range(self.shape.layers):
                new = self._heads(weights, layer, hidden, rotation, runs * count * rollouts)
                query, key, value = (part.unflatten(0, (-1, rollouts)).transpose(1, 2) for part in new)
                for kept, one in zip(cache[layer], (key, value), strict=True):
                    kept[:, :, :, place] = one[:, :, :, 0]
                past = [kept[:, :, :, : place + 1] for kept in cache[layer]]
                mixed = self._attend(query, *past, None, prompts, layer)
                hidden = self._finish(weights, layer, hidden, mixed.transpose(1, 2).flatten(0, 1))
            logits = self._logits(weights, hidden)
            if generator is None:
                tokens = logits.argmax(-1)
            else:  # the largest of p / Exp(1) falls on each token with its probability
                race = torch.empty_like(logits).exponential_(generator=generator)
                tokens = (logits.softmax(-1) / race).argmax(-1)
            tokens = tokens.view(runs, count, rollouts).masked_fill(done, self.shape.end_token)
            written[..., place] = tokens
            done |= tokens == self.shape.end_token
            if place % 8 == 7 and bool(done.all()):
                break
        return written

    # -- its parts ------------------------------------------------------------------------------------------------

    def _heads(
        self, weights: dict[str, Tensor], layer: int, hidden: Tensor, rotation: tuple[Tensor, Tensor], rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value (rows, heads, tokens, head size) of hidden states (R, rows / R * tokens, H)."""
        normed = self._norm(hidden, weights[f"layers.{layer}.input_layernorm.weight"])

        def of(name: str) -> Tensor:
            flat = _linear(normed, weights[f"layers.{layer}.self_attn.{name}_proj.weight"])
            return flat.reshape(rows, -1, self.shape.heads, self.shape.head_size).transpose(1, 2)

        return _rotated(of("q"), rotation), _rotated(of("k"), rotation), of("v")

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, causal: Tensor | None, prompts: Prompts, layer: int
    ) -> Tensor:
        """What rollouts (R P, heads, G, C, head size) see of their prompts and of their own tokens."""
        rollouts, length = query.shape[2:4]
        scale = self.shape.head_size**-0.5
        flat = query.flatten(2, 3)
        of_prompt = (flat @ prompts.keys[layer].transpose(-1, -2) * scale).masked_fill(~prompts.mask, -torch.inf)
        own = query @ key.transpose(-1, -2) * scale
        if causal is not None:
            own = own.masked_fill(~causal, -torch.inf)
        split = of_prompt.shape[-1]
        seen = torch.cat([of_prompt.unflatten(2, (rollouts, length)), own], -1).softmax(-1)
        from_prompt = seen[..., :split].flatten(2, 3) @ prompts.values[layer]
        return from_prompt.unflatten(2, (rollouts, length)) + seen[..., split:] @ value

    def _finish(self, weights: dict[str, Tensor], layer: int, hidden: Tensor, mixed: Tensor) -> Tensor:
        """The rest of a layer; `mixed` is (rows, heads, tokens, head size)."""
        of = {name.removeprefix(f"layers.{layer}."): value for name, value in weights.items()}
        flat = mixed.transpose(1, 2).reshape(hidden.shape)
        hidden = hidden + _linear(flat, of["self_attn.o_proj.weight"])
        normed = self._norm(hidden, of["post_attention_layernorm.weight"])
        gate = functional.silu(_linear(normed, of["mlp.gate_proj.weight"]))
        return hidden + _linear(gate * _linear(normed, of["mlp.up_proj.weight"]), of["mlp.down_proj.weight"])

    def _logits(self, weights: dict[str, Tensor], hidden: Tensor) -> Tensor:
        return _linear(self._norm(hidden, weights["norm.weight"]), weights["embed_tokens.weight"])

    def _norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return hidden * (hidden.square().mean(-1, keepdim=True) + self.shape.norm_eps).rsqrt() * weight[:, None]

    def _rotation(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine (tokens, head size) of the rotary positions."""
        powers = torch.arange(0, self.shape.head_size, 2, device=places.device) / self.shape.head_size
        angles = places[:, None].float() * self.shape.rope_theta**-powers
        return angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)


def _linear(inputs: Tensor, weight: Tensor) -> Tensor:
    """(R, rows, in) times (R, out, in)."""
    return torch.bmm(inputs, weight.transpose(1, 2))


def _embedded(weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    """(R, tokens, H) of ids (R, tokens)."""
    table = weights["embed_tokens.weight"]
    runs, vocabulary, _ = table.shape
    offsets = torch.arange(runs, device=ids.device)[:, None] * vocabulary
    return functional.embedding(ids + offsets, table.flatten(0, 1))


def _rotated(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Heads turned by their positions."""
    cosine, sine = rotation
    first, second = heads.chunk(2, -1)
    return heads * cosine + torch.cat([-second, first], -1) * sine


class Adam:
    """AdamW without decay and with the gradient of each run clipped to norm 1, as transformers' trainer does it.

    Args:
        weights: of the stack.
        rates: (R,) peak learning rates.
        steps: of the whole run.
        warmup: steps to the peak; then the rate falls linearly to 0.
    """

    def __init__(self, weights: dict[str, Tensor], rates: Tensor, steps: int, warmup: int) -> None:
        self.rates, self.steps, self.warmup, self.step = rates, steps, warmup, 0
        self.first = {name: torch.zeros_like(value) for name, value in weights.items()}
        self.second = {name: torch.zeros_like(value) for name, value in weights.items()}

    @torch.no_grad()
    def update(self, weights: dict[str, Tensor], gradients: dict[str, Tensor]) -> Tensor:
        """One step; returns the norm of each run's gradient (R,)."""
        squares = sum(gradient.flatten(1).square().sum(1) for gradient in gradients.values())
        assert isinstance(squares, Tensor)
        norms = squares.sqrt()
        clip = (1 / (norms + 1e-6)).clamp(max=1)
        done, left = self.step, self.steps - self.step
        share = done / self.warmup if done < self.warmup else left / max(1, self.steps - self.warmup)
        self.step += 1
        for name, weight in weights.items():
            along = (-1, *[1] * (weight.ndim - 1))
            gradient = gradients[name] * clip.view(along)
            self.first[name].lerp_(gradient, 0.1)
            self.second[name].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            root = (self.second[name] / (1 - 0.999**self.step)).sqrt_().add_(1e-8)
            weight -= (self.rates * share / (1 - 0.9**self.step)).view(along) * self.first[name] / root
        return norms
