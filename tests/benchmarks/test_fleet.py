"""The runs of `benchmarks/fleet.py` are those of the trainer: same model, same loss and gradient, same optimiser."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gd2po.core import Setting
from gd2po.data import builtin_model

pytest.importorskip("trl")

FOLDER = Path(builtin_model("builtin:toolcalls"))
BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def fleet() -> Any:
    sys.path.insert(0, BENCHMARKS)
    import fleet

    yield fleet
    sys.path.remove(BENCHMARKS)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)


@pytest.fixture(scope="module")
def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    """Two prompts for each of two runs, padded on the left."""
    torch.manual_seed(0)
    mask = torch.ones(2, 2, 12, dtype=torch.long)
    mask[:, 1, :5] = 0
    return torch.randint(300, 1500, mask.shape) * mask, mask


def run_of(fleet: ModuleType, label: str = "gdpo", **changes: Any) -> Any:
    small = {"per_device_train_batch_size": 4, "num_generations": 2, "eval_prompts": 2, "max_completion_length": 12}
    return fleet.Run.of("quickstart", label, Setting.named(label, "test"), 0, **(small | changes))


def test_likelihoods_and_gradients_are_those_of_the_trainers_loss(
    fleet: Any, model: Any, prompts: Any, tmp_path: Path
) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer

    from gd2po import GD2POConfig, GD2POTrainer

    ids, mask = prompts
    stack = fleet.Stack(FOLDER, 2, torch.device("cpu"))
    completions = torch.randint(300, 1500, (2, 2, 2, 6))
    advantages, lengths = torch.randn(2, 2, 2), torch.tensor([6, 3, 4, 6]).view(1, 2, 2).expand(2, 2, 2)
    lengths_mask = (torch.arange(6) < lengths[..., None]).long()

    weights = {name: value.requires_grad_() for name, value in stack.part(slice(0, 2)).items()}
    likelihoods = stack.log_likelihoods(weights, stack.read(weights, ids, mask), completions)
    (
        -(advantages[..., None] * lengths_mask * likelihoods).sum((1, 2, 3)) / lengths_mask.sum((1, 2, 3))
    ).sum().backward()

    settings = GD2POConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, num_generations=2,
        per_device_train_batch_size=4, report_to="none", loss_type="dapo",
    )  # fmt: skip
    trainer = GD2POTrainer(
        model, lambda completions, **_: [0.0] * len(completions), settings,
        train_dataset=Dataset.from_dict({"prompt": ["unused"]}), processing_class=AutoTokenizer.from_pretrained(FOLDER),
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer.compute_loss(
        trainer.model,
        {
            "prompt_ids": ids[0].repeat_interleave(2, 0), "prompt_mask": mask[0].repeat_interleave(2, 0),
            "completion_ids": completions[0].flatten(0, 1), "completion_mask": lengths_mask[0].flatten(0, 1),
            "advantages": advantages[0].flatten(), "num_items_in_batch": lengths_mask[0].sum(),
        },
    )  # fmt: skip
    loss.backward()
    for name, parameter in trainer.model.model.named_parameters():
        torch.testing.assert_close(weights[name].grad[0], parameter.grad, rtol=1e-3, atol=1e-5)


def test_greedy_completions_are_those_of_transformers(fleet: Any, model: Any, prompts: Any) -> None:
    ids, mask = prompts
    stack = fleet.Stack(FOLDER, 2, torch.device("cpu"))
    ours = stack.complete(stack.weights, stack.read(stack.weights, ids, mask), 1, 16, None)[:, :, 0].flatten(0, 1)
    theirs = model.generate(
        input_ids=ids.flatten(0, 1), attention_mask=mask.flatten(0, 1), max_new_tokens=16, do_sample=False
    )[:, 12:]
    for mine, other in zip(ours, theirs, strict=True):
        kept = int((other != 0).sum())  # transformers pads after the end, this fills up with end tokens
        assert mine[:kept].tolist() == other[:kept].tolist()


def test_samples_follow_the_models_distribution(fleet: Any, model: Any, prompts: Any) -> None:
    ids, mask = prompts
    stack = fleet.Stack(FOLDER, 2, torch.device("cpu"))
    read = stack.read(stack.weights, ids, mask)
    first = stack.complete(stack.weights, read, 2000, 1, torch.Generator().manual_seed(0))[0, 0, :, 0]
    logits = model(input_ids=ids[0, :1], attention_mask=mask[0, :1]).logits[0, -1]
    likely = logits.softmax(-1).topk(5)
    seen = torch.stack([(first == token).float().mean() for token in likely.indices])
    torch.testing.assert_close(seen, likely.values.detach(), rtol=0, atol=0.05)


def test_the_optimiser_is_the_trainers(fleet: Any) -> None:
    from transformers import get_linear_schedule_with_warmup

    torch.manual_seed(0)
    start = torch.randn(2, 3, 4)
    weights = {"w": start.clone()}
    ours = fleet.Adam(weights, torch.tensor([0.1, 0.2]), steps=7, warmup=2)
    twins = [torch.nn.Parameter(start[run].clone()) for run in range(2)]
    optimizers = [
        torch.optim.AdamW([twin], lr=rate, weight_decay=0.0) for twin, rate in zip(twins, (0.1, 0.2), strict=True)
    ]
    schedules = [get_linear_schedule_with_warmup(optimizer, 2, 7) for optimizer in optimizers]
    for _ in range(7):
        gradients = torch.randn(2, 3, 4) * torch.tensor([0.1, 3.0]).view(2, 1, 1)
        ours.update(weights, {"w": gradients})
        for twin, gradient, optimizer, schedule in zip(twins, gradients, optimizers, schedules, strict=True):
            twin.grad = gradient.clone()
            torch.nn.utils.clip_grad_norm_([twin], 1.0)
            optimizer.step()
            schedule.step()
    torch.testing.assert_close(weights["w"], torch.stack(list(twins)).detach())


def test_a_fleet_trains_and_writes_its_runs(fleet: Any, tmp_path: Path) -> None:
    runs = [run_of(fleet, label) for label in ("gdpo", "gd2po-hard")]
    ships = fleet.Fleet(runs, torch.device("cpu"), 1)
    before = ships.stack.weights["norm.weight"].clone()
    assert ships.train(3, 2, tmp_path / "fleet.jsonl") == 3
    ships.pool.shutdown()
    assert not torch.equal(ships.stack.weights["norm.weight"], before)
    tables = pytest.importorskip("fleet_tables")
    written = tables.read([tmp_path / "fleet.jsonl"])
    assert list(written) == [(run.name, run.label) for run in runs]
    run = written[runs[0].name, "gdpo"][0]
    assert [entry["step"] for entry in run["evaluations"]] == [0, 2, 3]
    assert len(run["curve"]["answer_quality"]) == 3


def test_rank_correlations_share_the_ranks_of_ties(fleet: Any) -> None:
    import fleet_tables

    one, other = np.array([1.0, 2.0, 2.0, 4.0]), np.array([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    assert fleet_tables.spearman(one, other) == pytest.approx([0.9486833, -0.9486833])


def test_worlds_that_order_methods_as_the_runs_do_correlate_with_them(
    fleet: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    import fleet_tables

    quality = {"gdpo": 0.5, "gd2po-hard": 0.6, "rvpo": 0.9}
    lines = [
        {
            "setting": "gauss", "method": method, "seed": seed,
            "evaluations": [{"answer_quality": 0.4}, {"answer_quality": value + 0.01 * seed}],
        }
        for method, value in quality.items() for seed in range(5)
    ]  # fmt: skip
    runs, worlds = tmp_path / "fleet.jsonl", tmp_path / "worlds.json"
    runs.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    gains = {"gdpo": {}, "gd2po-hard": {str(seed): 0.01 for seed in range(5)}, "rvpo": {str(s): 0.02 for s in range(5)}}
    methods = [{"label": label, "seed_differences": values} for label, values in gains.items()]
    worlds.write_text(json.dumps({"worlds": [{"name": "gauss", "methods": methods}]}), encoding="utf-8")
    fleet_tables.print_ranks(fleet_tables.read([runs]), worlds, times=100)
    assert "| gauss | gauss | +1.00 [+1.00, +1.00] | 2 | 2 |" in capsys.readouterr().out
    fleet_tables.print_overview(fleet_tables.read([runs]), "answer_quality")
    assert "| gd2po-hard | **+0.100 ± 0.000** |" in capsys.readouterr().out
