"""One gradient per reward: against autograd on a toy, and in the trainer against TRL's own loss, reward by reward."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import pytest
import torch
from tiny_runs import vowels
from torch import Tensor
from trl import GRPOTrainer

from gd2po.errors import ConfigError
from gd2po.integrations.trl.gradient_coordination import GradientCoordinator
from gd2po.integrations.trl.rows import COMPONENTS

Method = Literal["pcgrad", "mgda"]


def length(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    return [sum(ids) / 1e4 for ids in completion_ids]


def brevity(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    return [-sum(ids) / 1e4 + (ids[0] % 5) / 5 for ids in completion_ids]


def combined(gradients: Tensor, method: Method) -> Tensor:
    """Of K gradients (K, P), from the papers' words, on the scale of a sum."""
    if method == "pcgrad":
        surgered = gradients.clone()
        for k in range(len(gradients)):
            for other in range(len(gradients)):
                if other != k and surgered[k] @ gradients[other] < 0:
                    surgered[k] -= (surgered[k] @ gradients[other]) / gradients[other].square().sum() * gradients[other]
        return surgered.sum(0)
    weights = simplex(gradients)
    norms = ((weights @ (gradients @ gradients.T)) * weights).sum(1)
    return len(gradients) * weights[norms.argmin()] @ gradients


def simplex(gradients: Tensor) -> Tensor:
    """Weights of a fine grid, for two gradients or three."""
    steps = 400
    if len(gradients) == 2:
        points = [(one, steps - one) for one in range(steps + 1)]
    else:
        points = [(one, two, steps - one - two) for one in range(steps + 1) for two in range(steps + 1 - one)]
    return torch.tensor(points, dtype=gradients.dtype) / steps


@pytest.mark.parametrize("method", ["pcgrad", "mgda"])
@pytest.mark.parametrize("targets", [[[1.0, 2.0], [-1.5, 0.5]], [[1.0, 0.0], [-1.0, 1.0], [0.2, -2.0]]])
def test_the_gradient_of_a_toy_is_that_of_the_papers(method: Method, targets: list[list[float]]) -> None:
    weight, bias = torch.nn.Parameter(torch.tensor([0.3, -0.2])), torch.nn.Parameter(torch.zeros(1))
    unused = torch.nn.Parameter(torch.ones(3))
    coordinator = GradientCoordinator(method, [f"r{k}" for k in range(len(targets))], [weight, unused, bias])

    def losses(part: float) -> Any:
        shared = weight * part  # one graph under all losses
        return lambda k: ((shared - torch.tensor(targets[k])).square().sum() + bias.sum() * targets[k][0]) / 2

    gradients = []
    for k in range(len(targets)):
        total = losses(1.0)(k) + losses(0.5)(k)
        gradients.append(torch.cat([one.flatten() for one in torch.autograd.grad(total, [weight, bias])]))
    for part in (1.0, 0.5):  # two micro-batches
        loss = coordinator.add(losses(part), range(len(targets)))
        assert float(loss) == pytest.approx(sum(losses(part)(k).item() for k in range(len(targets))))
        assert not loss.requires_grad
    metrics = coordinator.combine()

    assert weight.grad is not None
    assert bias.grad is not None
    assert unused.grad is None
    actual, expected = torch.cat([weight.grad, bias.grad]), combined(torch.stack(gradients), method)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=2e-2 if method == "mgda" else 1e-5)
    cosine = torch.nn.functional.cosine_similarity(gradients[0], gradients[1], dim=0)
    assert metrics["conflict/gradient_cosine/r0/r1"] == pytest.approx(float(cosine), abs=1e-5)
    shares = torch.tensor([metrics[f"conflict/gradient_coefficient/r{k}"] for k in range(len(targets))])
    torch.testing.assert_close(shares @ torch.stack(gradients), actual, rtol=1e-4, atol=1e-5)


def test_a_reward_without_a_gradient_has_no_say() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    coordinator = GradientCoordinator("mgda", ["a", "dead", "b"], [weight])
    directions = {0: torch.tensor([1.0, 0.0]), 1: torch.zeros(2), 2: torch.tensor([1.0, 0.0])}
    coordinator.add(lambda k: weight @ directions[k], [0, 1, 2])
    metrics = coordinator.combine()
    assert weight.grad is not None
    assert weight.grad.tolist() == [2.0, 0.0]  # as the plain sum
    assert not any("dead" in name for name in metrics)
    assert coordinator.combine() == {}  # nothing is left for the next update


def flat(model: Any) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])


def seen_by_the_loss(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    inputs_seen: list[dict[str, Any]] = []
    original = type(trainer)._compute_loss

    def note(self: Any, model: Any, inputs: dict[str, Any]) -> Any:
        inputs_seen.append(dict(inputs))
        return original(self, model, inputs)

    monkeypatch.setattr(type(trainer), "_compute_loss", note)
    return inputs_seen


@pytest.mark.parametrize("method", ["pcgrad", "mgda"])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"gradient_checkpointing": True},
        {"skip_zero_advantage": False, "loss_type": "grpo"},
        {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "whitening": "tokens"},
    ],
)  # fmt: skip
def test_the_update_is_that_of_the_combined_gradients_of_trls_loss(
    make_trainer: Any, tiny_model: Any, monkeypatch: pytest.MonkeyPatch, method: Method, config: dict[str, Any]
) -> None:
    tiny_model.double()
    plain = {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0, "max_steps": 1}
    settings = {"advantage_estimator": "gdpo", "loss_type": "dapo", **plain, **config}
    trainer = make_trainer([length, brevity], gradient_coordination=method, **settings)
    before, batches = flat(tiny_model), seen_by_the_loss(trainer, monkeypatch)
    state = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    trainer.train()
    change = flat(tiny_model) - before
    monkeypatch.undo()

    tiny_model.load_state_dict(state)
    parameters = list(tiny_model.parameters())
    gradients = torch.zeros(2, len(before), dtype=torch.float64)
    for inputs in batches:
        torch.testing.assert_close(inputs[COMPONENTS].sum(1), inputs["advantages"], rtol=1e-4, atol=1e-4)
        for k in range(2):
            loss = GRPOTrainer._compute_loss(trainer, tiny_model, {**inputs, "advantages": inputs[COMPONENTS][:, k]})
            found = torch.autograd.grad(loss, parameters)
            gradients[k] += torch.cat([gradient.flatten() for gradient in found])
    assert gradients[0] @ gradients[1] < 0  # they do conflict
    expected = -combined(gradients, method)
    assert (change - expected).norm() / expected.norm() < (1e-2 if method == "mgda" else 1e-5)
    entry = next(entry for entry in trainer.state.log_history if "reward" in entry)
    assert entry["conflict/gradient_cosine/length/brevity"] < 0
    assert entry["conflict/gradient_coefficient/length"] > 0


def test_without_conflict_pcgrad_is_the_plain_update(make_trainer: Any, tiny_model: Any) -> None:
    def twice(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        return [2 * sum(ids) / 1e4 for ids in completion_ids]

    start, changes = {name: value.clone() for name, value in tiny_model.state_dict().items()}, []
    for coordination in ("none", "pcgrad"):
        tiny_model.load_state_dict(start)
        before = flat(tiny_model)
        make_trainer(
            [length, twice], advantage_estimator="gdpo", gradient_coordination=coordination, optim="sgd",
            learning_rate=1.0, max_grad_norm=0.0, max_steps=2,
        ).train()  # fmt: skip
        changes.append(flat(tiny_model) - before)
    assert changes[0].norm() > 1e-4
    assert (changes[1] - changes[0]).norm() / changes[0].norm() < 1e-4


def test_a_rollout_that_the_sum_cancels_still_has_a_gradient_per_reward(make_trainer: Any) -> None:
    def first(completions: list[str], **kwargs: Any) -> list[float]:
        return [1.0, 0.0, 1.0, 0.0] * (len(completions) // 4)

    def second(completions: list[str], **kwargs: Any) -> list[float]:
        return [0.0, 1.0, 1.0, 0.0] * (len(completions) // 4)

    for coordination, skipped in (("none", 0.5), ("mgda", 0.0)):
        trainer = make_trainer(
            [first, second], advantage_estimator="gdpo", gradient_coordination=coordination, max_steps=1
        )
        trainer.train()
        entry = next(entry for entry in trainer.state.log_history if "reward" in entry)
        assert entry["conflict/skipped_rows"] == skipped


def test_a_batch_without_any_signal_changes_nothing(make_trainer: Any, tiny_model: Any) -> None:
    def same(completions: list[str], **kwargs: Any) -> list[float]:
        return [1.0] * len(completions)

    def other(completions: list[str], **kwargs: Any) -> list[float]:
        return [0.0] * len(completions)

    before = flat(tiny_model)
    make_trainer([same, other], gradient_coordination="pcgrad", max_steps=1, optim="sgd").train()
    assert torch.equal(flat(tiny_model), before)


def test_it_goes_with_lora_dynamic_sampling_and_reuse(make_trainer: Any) -> None:
    from peft import LoraConfig

    trainer = make_trainer(
        [length, brevity], gradient_coordination="pcgrad", dynamic_sampling=True, num_iterations=2,
        per_device_train_batch_size=8, gradient_accumulation_steps=2,
        peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"), max_steps=2,
    )  # fmt: skip
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    changed = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert all("lora" in name for name in changed)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"gradient_coordination": "surgery"}, "must be 'none', 'pcgrad' or 'mgda': got 'surgery'"),
        ({"advantage_estimator": "grpo"}, "grpo puts the rewards together before its advantages"),
        ({"advantage_estimator": "rvpo"}, "rvpo puts the rewards together"),
        ({"entropy_coef": 0.01}, "set `entropy_coef` to 0"),
        ({"torch_compile": True}, "set `torch_compile` to false"),
        ({"optim": "lomo"}, "takes its steps during the backward pass"),
    ],
)
def test_what_it_cannot_do_is_refused_before_the_run(make_trainer: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_trainer([length, vowels], **{"gradient_coordination": "pcgrad", **config})


def test_a_kl_penalty_and_a_single_reward_are_refused(make_trainer: Any, tiny_model: Any, tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="it needs two rewards"):
        make_trainer([length], gradient_coordination="mgda")
    tiny_model.save_pretrained(tmp_path)
    tiny_model.config._name_or_path = str(tmp_path)
    with pytest.raises(ConfigError, match="set `beta` to 0"):
        make_trainer([length, vowels], gradient_coordination="mgda", beta=0.1)


def test_the_seams_in_trl_are_where_the_coordination_expects_them() -> None:
    source = inspect.getsource(GRPOTrainer._compute_loss)
    assert source.count("self._get_per_token_logps_and_entropies(") == 1
    assert 'advantages = inputs["advantages"]' in source
    # Metrics are all that a second call of the loss leaves behind, where no entropy bonus is adapted.
    assert "self._entropy_window_stats" in source
    assert "accelerator.sync_gradients" in source
