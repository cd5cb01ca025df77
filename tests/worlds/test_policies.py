"""The policies: sampling, and their gradient against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gd2po.worlds.policies import FeaturePolicy, TabularPolicy, logit_gradient, sampled_answers

SEEDS, PROMPTS, ANSWERS, GROUP, FEATURES = 2, 3, 4, 5, 6


@pytest.fixture
def numbers() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def objective(logits: Tensor, answers: Tensor, advantages: Tensor) -> Tensor:
    """Per seed and prompt: the mean over rollouts of A log pi."""
    return (logits.log_softmax(-1).gather(-1, answers) * advantages).mean(-1)


def visited(numbers: torch.Generator, prompts: int) -> tuple[Tensor, Tensor]:
    answers = torch.randint(ANSWERS, (SEEDS, prompts, GROUP), generator=numbers)
    return answers, torch.randn(SEEDS, prompts, GROUP, generator=numbers, dtype=torch.float64)


def test_the_gradient_of_the_logits_is_autograds(numbers: torch.Generator) -> None:
    logits = torch.randn(SEEDS, PROMPTS, ANSWERS, generator=numbers, dtype=torch.float64, requires_grad=True)
    answers, advantages = visited(numbers, PROMPTS)
    objective(logits, answers, advantages).sum().backward()
    assert torch.allclose(logit_gradient(logits.detach().softmax(-1), answers, advantages), logits.grad, atol=1e-14)


def test_a_tabular_policy_climbs_at_the_visited_prompts_only(numbers: torch.Generator) -> None:
    policy = TabularPolicy(SEEDS, PROMPTS, ANSWERS)
    prompts = torch.tensor([[2, 0], [1, 2]])
    gradient = torch.randn(SEEDS, 2, ANSWERS, generator=numbers, dtype=torch.float64)
    policy.climb(prompts, gradient, 0.5)
    policy.climb(prompts, gradient, 0.5)
    assert torch.allclose(policy.logits(prompts), gradient)
    assert bool((policy.logits()[0, 1] == 0).all())
    assert bool((policy.logits()[1, 0] == 0).all())


def test_a_feature_policy_climbs_along_autograds_gradient(numbers: torch.Generator) -> None:
    features = torch.randn(SEEDS, PROMPTS, ANSWERS, FEATURES, generator=numbers, dtype=torch.float64)
    policy = FeaturePolicy(features)
    policy.weights += torch.randn(SEEDS, FEATURES, generator=numbers, dtype=torch.float64)
    weights = policy.weights.clone().requires_grad_()
    prompts = torch.tensor([[2, 0], [1, 2]])
    answers, advantages = visited(numbers, 2)
    logits = torch.einsum("spcf,sf->spc", features[torch.arange(SEEDS)[:, None], prompts], weights)
    assert torch.allclose(policy.logits(prompts), logits.detach())
    objective(logits, answers, advantages).mean(1).sum().backward()
    policy.climb(prompts, logit_gradient(logits.detach().softmax(-1), answers, advantages), 0.7)
    assert torch.allclose(policy.weights, (weights + 0.7 * weights.grad).detach(), atol=1e-14)


def test_answers_are_sampled_with_their_probabilities(numbers: torch.Generator) -> None:
    probabilities = torch.tensor([[[0.1, 0.0, 0.6, 0.3]]], dtype=torch.float64)
    uniform = torch.rand(1, 1, 100_000, generator=numbers, dtype=torch.float64)
    shares = sampled_answers(probabilities, uniform).flatten().bincount(minlength=4) / 100_000
    assert shares.tolist() == pytest.approx([0.1, 0.0, 0.6, 0.3], abs=0.006)


def test_the_ends_of_the_unit_interval_are_answers_that_can_happen() -> None:
    probabilities = torch.tensor([[[0.0, 0.5, 0.5]]], dtype=torch.float64)
    uniform = torch.tensor([[[0.0, 1 - 1e-16]]], dtype=torch.float64)
    assert sampled_answers(probabilities, uniform).tolist() == [[[1, 2]]]
