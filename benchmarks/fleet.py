"""Many runs of `gd2po train` on the built-in policy at once, on one GPU: methods x seeds of one or more recipes.

    python benchmarks/fleet.py --config trade-off,noisy-graders --methods gdpo,gd2po-hard --out fleet.jsonl
    python benchmarks/fleet_tables.py fleet.jsonl

A policy of 2M parameters leaves a GPU idle: here the runs are one stack of weights. Prompts, rewards, advantages, loss
(dapo, one update per batch), clipping, optimiser and learning rate are those of the trainer; `tests/benchmarks` holds
the model, its gradient and its step against transformers and TRL. Random numbers are not the same, so runs agree with
those of `gd2po train` in distribution only. Without CUDA it says so and ends, unless `--cpu` asks for a try.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from _scoring import Run, Scored, Texts, score_batch, score_held_out
from _stacked import Adam, Stack
from torch import Tensor

from gd2po.comparison.run.plan import parse_seeds
from gd2po.core import Setting
from gd2po.core.agreement import Agreement
from gd2po.data import builtin_model

TRAINED_AT_ONCE = 64
"""Runs whose activations are in memory together."""
SAMPLED_AT_ONCE = 128

_RUNS: list[Run] = []
_TEXTS: list[Texts] = []


def _score(index: int, rows: list[int], tokens: np.ndarray[Any, Any], before: Agreement | None) -> Scored:
    return score_batch(_RUNS[index], _TEXTS[0], rows, tokens, before)


def _score_held_out(index: int, tokens: np.ndarray[Any, Any]) -> dict[str, float]:
    return score_held_out(_RUNS[index], _TEXTS[0], tokens)


class Fleet:
    """Runs that are trained together.

    Args:
        runs: of recipes with the same policy, prompts per step, rollouts per prompt, completion limit and number of
            held-out prompts.
        device: of the weights.
        workers: processes that score.
    """

    def __init__(self, runs: list[Run], device: torch.device, workers: int) -> None:
        recipe = runs[0].recipe
        folder = Path(builtin_model(recipe["model_name_or_path"]))
        self.runs, self.device = runs, device
        self.rollouts = recipe["num_generations"]
        self.count = recipe["per_device_train_batch_size"] // self.rollouts
        self.length = recipe["max_completion_length"]
        _RUNS[:], _TEXTS[:] = runs, [Texts(folder, json.loads((folder / "config.json").read_text())["eos_token_id"])]
        self._encode()
        self.pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"))
        list(self.pool.map(abs, range(workers)))  # forked before CUDA is touched
        self.stack = Stack(folder, len(runs), device)
        self.generator = torch.Generator(device).manual_seed(0)
        self.orders = [run.order() for run in runs]
        self.agreements: list[Agreement | None] = [None] * len(runs)
        self.curves: list[list[dict[str, float]]] = [[] for _ in runs]
        self.evaluations: list[list[dict[str, float]]] = [[] for _ in runs]

    def _encode(self) -> None:
        """Token ids of all prompts, padded on the left to one length."""
        cache: dict[int, list[list[int]]] = {}
        ids = [[cache.setdefault(id(run.prompts(split)), []) for split in ("train", "test")] for run in self.runs]
        for run, pair in zip(self.runs, ids, strict=True):
            for split, encoded in zip(("train", "test"), pair, strict=True):
                if not encoded:
                    encoded.extend(_TEXTS[0].encoded(run.prompts(split)))
        self.width = max(len(row) for encoded in cache.values() for row in encoded)
        self.ids = ids

    def _prompt_tensors(self, rows: list[list[list[int]]]) -> tuple[Tensor, Tensor]:
        """(R, P, L) ids and mask of R lists of prompts."""
        ids = np.zeros((len(rows), len(rows[0]), self.width), np.int64)
        mask = np.zeros_like(ids)
        for run, prompts in enumerate(rows):
            for place, tokens in enumerate(prompts):
                ids[run, place, self.width - len(tokens) :] = tokens
                mask[run, place, self.width - len(tokens) :] = 1
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)

    def step(self, adam: Adam) -> None:
        """One training step of every run."""
        rows = [[next(order) for _ in range(self.count)] for order in self.orders]
        parts = _parts(len(self.runs), SAMPLED_AT_ONCE)
        sampled: list[tuple[slice, Tensor, list[Future[Scored]]]] = []
        for part in parts:  # the workers score one part while the GPU samples the next
            prompts = self._prompt_tensors([[self.ids[run][0][row] for row in rows[run]] for run in _range(part)])
            with torch.no_grad():
                read = self.stack.read(self.stack.part(part), *prompts)
                tokens = self.stack.complete(self.stack.part(part), read, self.rollouts, self.length, self.generator)
            host = tokens.to(torch.int16).cpu().numpy()
            futures = [
                self.pool.submit(_score, run, rows[run], host[place], self.agreements[run])
                for place, run in enumerate(_range(part))
            ]
            sampled.append((part, tokens, futures))
        gradients = {name: torch.zeros_like(value) for name, value in self.stack.weights.items()}
        for part, tokens, futures in sampled:
            scored = [future.result() for future in futures]
            for run, result in zip(_range(part), scored, strict=True):
                self.curves[run].append(result.metrics)
                self.agreements[run] = result.agreement
            for inner in _parts(len(scored), TRAINED_AT_ONCE):
                runs = slice(part.start + inner.start, part.start + inner.stop)
                self._gradients(runs, rows, tokens[inner], scored[inner], gradients)
        adam.update(self.stack.weights, gradients)

    def _gradients(
        self, runs: slice, rows: list[list[int]], tokens: Tensor, scored: Sequence[Scored], gradients: dict[str, Tensor]
    ) -> None:
        """The gradients of TRL's loss `dapo`: advantage x log-likelihood over all tokens of a run's batch."""
        lengths = torch.from_numpy(np.stack([item.lengths for item in scored])).to(self.device)
        advantages = torch.from_numpy(np.stack([item.advantages for item in scored])).to(self.device)
        longest = int(lengths.max())
        mask = torch.arange(longest, device=self.device) < lengths[..., None]
        prompts = self._prompt_tensors([[self.ids[run][0][row] for row in rows[run]] for run in _range(runs)])
        weights = {name: value.detach().requires_grad_() for name, value in self.stack.part(runs).items()}
        read = self.stack.read(weights, *prompts)
        likelihoods = self.stack.log_likelihoods(weights, read, tokens[..., :longest])
        losses = -(advantages[..., None] * mask * likelihoods).sum((1, 2, 3)) / mask.sum((1, 2, 3))
        losses.sum().backward()
        for name, value in weights.items():
            gradients[name][runs] = value.grad  # type: ignore[assignment]

    def evaluate(self, step: int) -> None:
        """Held-out scores of every run, decoded greedily."""
        pending = []
        at_once = max(1, SAMPLED_AT_ONCE * self.count * self.rollouts // len(self.ids[0][1]))
        for part in _parts(len(self.runs), at_once):
            pending += self._evaluated(part)
        for run, future in enumerate(pending):
            self.evaluations[run].append({"step": step, **future.result()})

    def evaluate_start(self) -> None:
        """The same before training, where all runs of a setting are one policy."""
        firsts = {run.name: place for place, run in reversed(list(enumerate(self.runs)))}
        scores = {name: self._evaluated(slice(place, place + 1))[0] for name, place in firsts.items()}
        for place, run in enumerate(self.runs):
            self.evaluations[place].append({"step": 0, **scores[run.name].result()})

    @torch.no_grad()
    def _evaluated(self, part: slice) -> list[Future[dict[str, float]]]:
        prompts = self._prompt_tensors([self.ids[run][1] for run in _range(part)])
        read = self.stack.read(self.stack.part(part), *prompts)
        tokens = self.stack.complete(self.stack.part(part), read, 1, self.length, None)
        host = tokens[:, :, 0].to(torch.int16).cpu().numpy()
        return [self.pool.submit(_score_held_out, run, host[place]) for place, run in enumerate(_range(part))]

    def train(self, steps: int, every: int, out: Path | None = None, seconds: float | None = None) -> int:
        """Train all runs.

        Args:
            steps: of each.
            every: steps between evaluations.
            out: file to write after each of them.
            seconds: stop after the evaluation that is nearest to it; the learning rates still fall over all `steps`.

        Returns:
            The steps that were taken.
        """
        start = time.perf_counter()
        recipe = self.runs[0].recipe
        rates = torch.tensor([run.recipe["learning_rate"] for run in self.runs], device=self.device)
        adam = Adam(self.stack.weights, rates, steps, recipe["warmup_steps"])
        self.evaluate_start()
        print(f"{time.perf_counter() - start:6.1f} s: {len(self.runs)} runs ready", flush=True)
        for step in range(1, steps + 1):
            self.step(adam)
            if step % every == 0 or step == steps:
                trained = time.perf_counter() - start
                self.evaluate(step)
                now = time.perf_counter() - start
                print(f"{trained:6.1f} s: step {step}; {now - trained:.1f} s for its evaluation", flush=True)
                if out is not None:
                    self.write(out, step)
                if seconds is not None and now + now / step * every > seconds:
                    return step
        return steps

    def write(self, out: Path, steps: int) -> None:
        """All that is known, a line per run."""
        lines = []
        for run, curve, evaluations in zip(self.runs, self.curves, self.evaluations, strict=True):
            keys = list(curve[0])
            lines.append(json.dumps({
                "setting": run.name, "method": run.label, "seed": run.seed, "steps": steps, "rewards": run.reward_names,
                "curve": {key: [round(entry[key], 5) for entry in curve] for key in keys},
                "evaluations": [{key: round(value, 5) for key, value in entry.items()} for entry in evaluations],
            }))  # fmt: skip
        temporary = out.with_suffix(".part")
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        temporary.replace(out)


def _parts(total: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def _range(part: slice) -> range:
    return range(part.start, part.stop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="feature-one-fooled", help="recipes or files, separated by commas")
    parser.add_argument("--methods", default="gdpo,gd2po-hard", help="labels, separated by commas")
    parser.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="NAME:KEY=YAML,...",
        help="one of your own: `method` and options",
    )
    parser.add_argument("--seeds", default="0-4", help="numbers and ranges (default: %(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=YAML", help="another value for a key of the recipes"
    )
    parser.add_argument("--steps", type=int, help="instead of the first recipe's")
    parser.add_argument("--eval-every", type=int, help="steps (default: a third of the run)")
    parser.add_argument("--seconds", type=float, help="stop at the evaluation that is nearest to it")
    parser.add_argument("--workers", type=int, default=4, help="processes that score (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("fleet.jsonl"), help="a line per run (default: %(default)s)")
    parser.add_argument("--cpu", action="store_true", help="without a GPU, to try it out")
    options = parser.parse_args()
    if not (options.cpu or torch.cuda.is_available()):
        print("No CUDA device here: nothing is trained. `gd2po compare` trains one run at a time on a CPU.")
        return
    changes = {key: yaml.safe_load(value) for key, _, value in (item.partition("=") for item in options.set)}
    settings = {label: Setting.named(label, "--methods") for label in options.methods.split(",")}
    for name, _, given in (item.partition(":") for item in options.method):
        pairs = (item.partition("=") for item in given.split(","))
        settings[name] = Setting.of({key: yaml.safe_load(value) for key, _, value in pairs}, name)
    runs = [
        Run.of(config, label, setting, seed, **changes)
        for config in options.config.split(",")
        for label, setting in settings.items()
        for seed in parse_seeds(options.seeds)
    ]
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = True
    fleet = Fleet(runs, torch.device("cpu" if options.cpu else "cuda"), options.workers)
    steps = options.steps or runs[0].recipe["max_steps"]
    start = time.perf_counter()
    done = fleet.train(steps, options.eval_every or -(-steps // 3), options.out, options.seconds)
    fleet.pool.shutdown()
    where = "the CPU" if options.cpu else torch.cuda.get_device_name()
    print(f"{len(runs)} runs of {done} steps in {time.perf_counter() - start:.0f} s on {where}: {options.out}")


if __name__ == "__main__":
    main()
