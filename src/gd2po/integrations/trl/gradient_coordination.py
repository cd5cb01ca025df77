"""One gradient per reward, and a step that the rewards agree on: PCGrad or MGDA over a whole update.

TRL's loss is computed once per reward, with that reward's part of the advantages, on one forward pass that they share.
The gradients are added up over the micro-batches of an update. Where TRL's loop is about to take the step, their
scalar products give coefficients, and the combined gradient becomes that of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from gd2po.core import gradient_coefficients
from gd2po.core.metrics import PREFIX
from gd2po.errors import ConfigError
from gd2po.integrations.session import Session


@dataclass(eq=False)
class GradientCoordinator:
    """Collects the gradients of K rewards over the micro-batches of an update and combines them.

    Args:
        method: "pcgrad" or "mgda".
        reward_names: K names.
        parameters: what is trained.
    """

    method: Literal["pcgrad", "mgda"]
    reward_names: Sequence[str]
    parameters: Sequence[Tensor]
    _gradients: dict[int, list[Tensor | None]] = field(init=False, repr=False, default_factory=dict)
    """By reward, of those with a gradient so far; None for a parameter that has none."""

    def add(self, losses: Callable[[int], Tensor], rewards: Sequence[int]) -> Tensor:
        """Add the gradients of a micro-batch, whose graph is kept until the last of them.

        Args:
            losses: the loss of a reward.
            rewards: those that have a loss here.

        Returns:
            () the sum of the losses, which has no gradient any more.
        """
        total = None
        for reward in rewards:
            loss = losses(reward)
            total = loss.detach() if total is None else total + loss.detach()
            with torch.autocast(loss.device.type, enabled=False):  # backward goes in the types of forward
                found = torch.autograd.grad(
                    loss, self.parameters, retain_graph=reward != rewards[-1], allow_unused=True
                )
            mine = self._gradients.setdefault(reward, [None] * len(found))
            for place, gradient in enumerate(found):
                if gradient is not None:
                    before = mine[place]
                    mine[place] = gradient if before is None else before.add_(gradient)
            del loss, found
        assert total is not None, "a micro-batch has the loss of one reward at least"
        return total

    def combine(self) -> dict[str, float]:
        """Make the combined gradient that of the parameters, and forget the others.

        Returns:
            To log: each reward's coefficient, and the cosine of each pair. A reward without a gradient has none.
        """
        gram = self._gram()
        rewards = list(self._gradients)
        alive = [place for place in range(len(rewards)) if gram[place, place] > 0]
        metrics: dict[str, float] = {}
        if alive:
            products = gram[alive][:, alive]
            # The scale of a sum, which the plain update has: rewards that agree are updated as without coordination.
            coefficients = gradient_coefficients(products, method=self.method) * len(alive)
            names = [self.reward_names[rewards[place]] for place in alive]
            metrics = _metrics(products, coefficients, names)
            self._write({rewards[place]: float(coefficients[one]) for one, place in enumerate(alive)})
        self._gradients.clear()
        return metrics

    def _gram(self) -> Tensor:
        """(R, R) scalar products of the gradients so far, in float32 or, if that is theirs, float64."""
        gradients = list(self._gradients.values())
        precise = any(parameter.dtype == torch.float64 for parameter in self.parameters)
        dtype = torch.float64 if precise else torch.float32
        gram = torch.zeros(len(gradients), len(gradients), dtype=dtype)
        for one in range(len(gradients)):
            for other in range(one + 1):
                products = [
                    torch.dot(left.flatten().to(dtype), right.flatten().to(dtype))
                    for left, right in zip(gradients[one], gradients[other], strict=True)
                    if left is not None and right is not None
                ]
                gram[one, other] = gram[other, one] = float(torch.stack(products).sum()) if products else 0.0
        return gram

    def _write(self, coefficients: Mapping[int, float]) -> None:
        for place, parameter in enumerate(self.parameters):
            combined = None
            for reward, coefficient in coefficients.items():
                gradient = self._gradients[reward][place]
                if gradient is not None:
                    scaled = gradient.mul_(coefficient)
                    combined = scaled if combined is None else combined.add_(scaled)
            parameter.grad = combined


def _metrics(products: Tensor, coefficients: Tensor, names: Sequence[str]) -> dict[str, float]:
    norms = products.diagonal().sqrt()
    metrics = {
        f"{PREFIX}/gradient_coefficient/{name}": float(coefficient)
        for name, coefficient in zip(names, coefficients, strict=True)
    }
    for one, name in enumerate(names):
        for other in range(one + 1, len(names)):
            cosine = float(products[one, other] / (norms[one] * norms[other]))
            metrics[f"{PREFIX}/gradient_cosine/{name}/{names[other]}"] = cosine
    return metrics


def check_coordination(trainer: Any, session: Session) -> None:
    """Raise where the trainer's settings do not go with one gradient per reward.

    Raises:
        ConfigError: names the setting, and what to do.
    """
    args, accelerator = trainer.args, trainer.accelerator
    reasons = {
        "gradients per reward are not reduced over processes; run one": accelerator.num_processes > 1 or args.n_gpu > 1,
        "DeepSpeed and FSDP keep gradients where they cannot be combined": (
            trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled
        ),
        "loss scaling of fp16 is not applied to gradients per reward; use bf16": args.fp16,
        "the KL penalty belongs to no reward; set `beta` to 0": trainer.beta != 0,
        "the entropy bonus belongs to no reward; set `entropy_coef` to 0": getattr(
            trainer, "_entropy_bonus_enabled", False
        ),
        "the router's auxiliary loss belongs to no reward": getattr(trainer, "aux_loss_enabled", False),
        "Liger's kernels allow one backward pass; set `use_liger_kernel` to false": args.use_liger_kernel,
        "compiled models allow one backward pass; set `torch_compile` to false": args.torch_compile,
        f"the optimizer {args.optim} takes its steps during the backward pass": (
            "lomo" in args.optim or "layerwise" in args.optim
        ),
        "it needs two rewards": len(trainer.reward_funcs) < 2,
    }
    for reason, applies in reasons.items():
        if applies:
            raise ConfigError(f"`gradient_coordination` {args.gradient_coordination!r}: {reason}.")
    num_rewards = len(trainer.reward_funcs)
    two = torch.full((2, num_rewards), torch.nan)  # scores that lie outside no bound
    result = session.setting.advantages(
        two, torch.tensor([0, 0]), reward_families=session.reward_families, token_counts=torch.tensor([1, 1])
    )
    if result.components is None:
        raise ConfigError(
            f"`gradient_coordination` {args.gradient_coordination!r}: {args.advantage_estimator} puts the rewards "
            "together before its advantages, so there is no gradient per reward; take a method that has components, "
            "such as 'gdpo'."
        )
