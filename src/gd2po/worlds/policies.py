"""The two policies of worlds, S of them at once, and their plain policy gradient."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Policy(Protocol):
    """Softmax over the answers of a prompt, uniform at the start."""

    def logits(self, prompts: Tensor | None = None) -> Tensor:
        """(S, P, C) logits of the prompts numbered in (S, P); None: of all."""

    def climb(self, prompts: Tensor, logit_gradient: Tensor, learning_rate: float) -> None:
        """One step along the gradient with respect to the logits, (S, P, C), of the given prompts."""


class TabularPolicy:
    """Logits of its own per prompt and answer."""

    def __init__(self, seeds: int, prompts: int, answers: int) -> None:
        self._logits = torch.zeros(seeds, prompts, answers, dtype=torch.float64)

    def logits(self, prompts: Tensor | None = None) -> Tensor:
        """As of `Policy`."""
        return self._logits if prompts is None else rows_of(self._logits, prompts)

    def climb(self, prompts: Tensor, logit_gradient: Tensor, learning_rate: float) -> None:
        """As of `Policy`."""
        index = prompts.unsqueeze(-1).expand_as(logit_gradient)
        self._logits.scatter_add_(1, index, learning_rate * logit_gradient)


class FeaturePolicy:
    """Logits linear in the features of an answer, with weights shared by all prompts."""

    def __init__(self, features: Tensor) -> None:
        """The policy of (S, P, C, F) features, at weights of 0."""
        self._features = features
        self.weights = torch.zeros(len(features), features.shape[-1], dtype=torch.float64)

    def logits(self, prompts: Tensor | None = None) -> Tensor:
        """As of `Policy`."""
        # All prompts, since copying the features of some takes longer.
        logits = (self._features.flatten(1, 2) @ self.weights.unsqueeze(-1)).view(self._features.shape[:-1])
        return logits if prompts is None else rows_of(logits, prompts)

    def climb(self, prompts: Tensor, logit_gradient: Tensor, learning_rate: float) -> None:
        """As of `Policy`; the gradient is the mean over the prompts."""
        everywhere = torch.zeros(self._features.shape[:-1], dtype=torch.float64)
        everywhere.scatter_(1, prompts.unsqueeze(-1).expand_as(logit_gradient), logit_gradient)
        gradient = (everywhere.flatten(1).unsqueeze(1) @ self._features.flatten(1, 2)).squeeze(1)
        self.weights += learning_rate / prompts.shape[1] * gradient


def rows_of(table: Tensor, prompts: Tensor) -> Tensor:
    """(S, all prompts, C) at the prompts numbered in (S, P): (S, P, C)."""
    return table.gather(1, prompts.unsqueeze(-1).expand(-1, -1, table.shape[-1]))


def sampled_answers(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Answers drawn by inverting the distribution function.

    Args:
        probabilities: (S, P, C).
        uniform: (S, P, G) in [0, 1).

    Returns:
        (S, P, G) numbers of answers.
    """
    cumulative = probabilities.cumsum(-1)
    # Rounding may leave the last sum below 1.
    return torch.searchsorted(cumulative, uniform, right=True).clamp_(max=probabilities.shape[-1] - 1)


def logit_gradient(probabilities: Tensor, answers: Tensor, advantages: Tensor) -> Tensor:
    """Gradient of `mean over the rollouts of a prompt of A log pi(answer)` with respect to the logits.

    Args:
        probabilities: (S, P, C) that the answers were sampled from.
        answers: (S, P, G).
        advantages: (S, P, G).

    Returns:
        (S, P, C).

    Source: REINFORCE; `d log pi(a) / d logits = onehot(a) - pi`.
    """
    pushed = torch.zeros_like(probabilities).scatter_add_(-1, answers, advantages)
    return (pushed - probabilities * advantages.sum(-1, keepdim=True)) / answers.shape[-1]
